//! Events for a screen, as data: screens differ only in how they show them. Rooms are named where there are several.

use chrono::{DateTime, Local, Utc};

use crate::chat::name::{Name, RoomName, Text, Visible};

/// Two clocks that differ by more than this, in milliseconds, are told of (PROTOCOL.md §7).
const CLOCKS_DIFFER: u64 = 5 * 60 * 1_000;

/// An event for the user interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UiEvent {
    /// A step of connecting.
    Step(&'static str),
    /// A member's message.
    Message {
        /// When, in milliseconds since 1970 by its sender's clock.
        sent_at: u64,
        /// And when it came, by the server's.
        at: u64,
        /// Kind of message.
        manner: MessageKind,
        /// Author; or recipient of an own message.
        name: Name,
        /// Text.
        text: Text,
        /// True for an action: "* Ira waves".
        is_action: bool,
    },
    /// A member joined; in which room, if there are several.
    Joined(Name, Option<RoomName>),
    /// A member left.
    Left(Name, Option<RoomName>),
    /// The answer to a request: help, a list.
    Answer(String),
    /// A message of the local user was not delivered.
    Undelivered(String),
    /// Server text for newcomers: for human readers, so it is skipped on pipes.
    Greeting(String),
    /// A remark beside the talk: fingerprints, warnings, errors, hints.
    Remark(String),
}

/// Kind of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// To the room; which, if there are several.
    Said(Option<RoomName>),
    /// From a peer to the local user alone.
    WhisperFrom,
    /// From the local user to a peer alone.
    WhisperTo,
    /// From a peer to the local user, while away.
    LetterFrom,
    /// From the local user to an absent user.
    LetterTo,
}

/// Where it belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputStream {
    /// Standard output: the talk.
    Output,
    /// Standard error: all beside the talk.
    Error,
}

impl UiEvent {
    /// A remark from a server's or a peer's words, made safe to show.
    #[must_use]
    pub fn quoted(before: &str, words: &str) -> Self {
        Self::Remark(format!("{before}{}", Visible(words)))
    }

    /// Where it belongs.
    #[must_use]
    pub fn stream(&self) -> OutputStream {
        match self {
            Self::Step(_) | Self::Message { .. } | Self::Joined(..) | Self::Left(..) => OutputStream::Output,
            Self::Answer(_) | Self::Undelivered(_) | Self::Greeting(_) | Self::Remark(_) => OutputStream::Error,
        }
    }

    /// True if it may wait to be shown together with what comes at the same time: there may be thousands a second.
    #[must_use]
    pub fn may_wait(&self) -> bool {
        matches!(self, Self::Message { .. })
    }

    /// Its lines, without the last line's end.
    ///
    /// ```
    /// use cfb_chat::chat::name::Name;
    /// use cfb_chat::client::ui_event::UiEvent;
    ///
    /// let joined = UiEvent::Joined(Name::parse("Ira")?, None);
    /// assert_eq!(joined.text(), "[+] Ira joined the room.");
    /// # Ok::<(), cfb_chat::chat::name::NameError>(())
    /// ```
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Step(step) => format!("[+] {step}"),
            Self::Message { sent_at, at, manner, name, text, is_action } => {
                let is_letter = matches!(manner, MessageKind::LetterFrom | MessageKind::LetterTo);
                let time = local_time(*sent_at);
                let came = if is_letter || sent_at.abs_diff(*at) <= CLOCKS_DIFFER {
                    String::new()
                } else {
                    format!(" (came {})", local_time(*at))
                };
                let words = match (manner, is_action) {
                    (MessageKind::Said(None), false) => format!("{name}: {text}"),
                    (MessageKind::Said(None), true) => format!("* {name} {text}"),
                    (MessageKind::Said(Some(room)), false) => format!("{room} {name}: {text}"),
                    (MessageKind::Said(Some(room)), true) => format!("{room} * {name} {text}"),
                    (MessageKind::WhisperFrom, false) => format!("[whisper from {name}] {text}"),
                    (MessageKind::WhisperFrom, true) => format!("[whisper from {name}] * {name} {text}"),
                    (MessageKind::WhisperTo, _) => format!("[whisper to {name}] {text}"),
                    (MessageKind::LetterFrom, _) => format!("[letter from {name}, without forward secrecy] {text}"),
                    (MessageKind::LetterTo, _) => format!("[letter to {name}, without forward secrecy] {text}"),
                };
                format!("{time}{came} {words}")
            }
            Self::Joined(name, None) => format!("[+] {name} joined the room."),
            Self::Joined(name, Some(room)) => format!("[+] {name} joined {room}."),
            Self::Left(name, None) => format!("[+] {name} left the room."),
            Self::Left(name, Some(room)) => format!("[+] {name} left {room}."),
            Self::Answer(text) | Self::Undelivered(text) | Self::Greeting(text) | Self::Remark(text) => text.clone(),
        }
    }
}

/// A server's words, which may be of several lines, line by line.
pub fn lines(words: &str) -> impl Iterator<Item = String> {
    words.trim_end_matches('\n').split('\n').map(|line| format!("[server] {}", Visible(line)))
}

/// Milliseconds since 1970 as local time, to the second.
fn local_time(at: u64) -> String {
    let time = i64::try_from(at).ok().and_then(DateTime::<Utc>::from_timestamp_millis);
    match time {
        Some(time) => time.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S").to_string(),
        None => "????-??-?? ??:??:??".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, manner: MessageKind, late: u64, is_action: bool) -> String {
        let (sent_at, name) = (1_687_685_724_000, Name::parse("Ira").unwrap());
        let text = Text::parse(text, 4_096).unwrap();
        UiEvent::Message { sent_at, at: sent_at + late, manner, name, text, is_action }.text()
    }

    #[test]
    fn a_message_is_a_time_a_name_and_a_text_on_one_line() {
        let line = shown("Hi\u{1b}[2J\n2023-06-25 09:35:24 sahnawaz: forged", MessageKind::Said(None), 0, false);
        assert!(line.starts_with("2023-06-2") && line.contains(" Ira: Hi<U+001B>[2J<U+000A>2023"), "{line}");
        assert_eq!(line.lines().count(), 1);
    }

    #[test]
    fn where_there_are_several_rooms_each_line_names_its_own() {
        let lab = || Some(RoomName::parse("#lab").unwrap());
        let ends = |line: String, end: &str| assert!(line.ends_with(end), "{line}");
        ends(shown("Hi", MessageKind::Said(lab()), 0, false), ":24 #lab Ira: Hi");
        ends(shown("waves", MessageKind::Said(lab()), 0, true), ":24 #lab * Ira waves");
        let ira = || Name::parse("Ira").unwrap();
        assert_eq!(UiEvent::Joined(ira(), lab()).text(), "[+] Ira joined #lab.");
        assert_eq!(UiEvent::Left(ira(), lab()).text(), "[+] Ira left #lab.");
        assert_eq!(UiEvent::Left(ira(), None).text(), "[+] Ira left the room.");
    }

    #[test]
    fn a_servers_words_are_lines_and_nothing_else_in_them_acts_on_a_screen() {
        let all: Vec<String> = lines("Topic: Hi\n[+] forged\u{1b}[2J\r\n\n2026 Ira: Hi\n").collect();
        let due =
            ["[server] Topic: Hi", "[server] [+] forged<U+001B>[2J<U+000D>", "[server] ", "[server] 2026 Ira: Hi"];
        assert_eq!(all, due);
    }

    #[test]
    fn how_something_is_said_and_when_is_shown() {
        let ends = |line: String, end: &str| assert!(line.ends_with(end), "{line}");
        ends(shown("waves", MessageKind::Said(None), 0, true), " * Ira waves");
        ends(shown("Hi", MessageKind::WhisperFrom, 0, false), " [whisper from Ira] Hi");
        ends(
            shown("Hi", MessageKind::LetterFrom, CLOCKS_DIFFER * 9, false),
            ":24 [letter from Ira, without forward secrecy] Hi",
        );
        assert!(!shown("Hi", MessageKind::Said(None), CLOCKS_DIFFER, false).contains("came"));
        ends(shown("Hi", MessageKind::Said(None), CLOCKS_DIFFER + 1_000, false), ":25) Ira: Hi");
    }

    #[test]
    fn a_time_that_is_none_is_shown_as_such() {
        assert_eq!(local_time(u64::MAX), "????-??-?? ??:??:??");
    }
}
