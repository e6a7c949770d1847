//! What is on a screen, as data: screens differ in how they show it, not in what.

use chrono::{DateTime, Local, Utc};

use crate::chat::name::{Name, Text, Visible};

/// Something to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// How far connecting has come.
    Step(&'static str),
    /// What somebody said.
    Message {
        /// When, in milliseconds since 1970 by the server's clock.
        at: u64,
        /// Who.
        from: Name,
        /// What.
        text: Text,
    },
    /// Somebody came in.
    Joined(Name),
    /// Somebody is no longer there.
    Left(Name),
    /// Help that was asked for.
    Help(&'static str),
    /// Anything beside the talk: fingerprints, warnings, errors, hints.
    Remark(String),
}

/// Where it belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output: the talk.
    Output,
    /// Standard error: everything beside it.
    Error,
}

impl Shown {
    /// A remark from a server's or a peer's words, made safe to show.
    #[must_use]
    pub fn quoted(before: &str, words: &str) -> Self {
        Self::Remark(format!("{before}{}", Visible(words)))
    }

    /// Where it belongs.
    #[must_use]
    pub fn stream(&self) -> Stream {
        match self {
            Self::Step(_) | Self::Message { .. } | Self::Joined(_) | Self::Left(_) => Stream::Output,
            Self::Help(_) | Self::Remark(_) => Stream::Error,
        }
    }

    /// Its lines, without the last line's end.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Step(step) => format!("[+] {step}"),
            Self::Message { at, from, text } => format!("{} {from}: {text}", local_time(*at)),
            Self::Joined(name) => format!("[+] {name} joined the room."),
            Self::Left(name) => format!("[+] {name} left the room."),
            Self::Help(text) => (*text).to_owned(),
            Self::Remark(text) => text.clone(),
        }
    }
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

    #[test]
    fn a_message_is_a_time_a_name_and_a_text_on_one_line() {
        let shown = Shown::Message {
            at: 1_687_685_724_000,
            from: Name::parse("Ira").unwrap(),
            text: Text::parse("Hi\u{1b}[2J\n2023-06-25 09:35:24 sahnawaz: forged", 4_096).unwrap(),
        };
        let line = shown.text();
        assert!(line.starts_with("2023-06-2") && line.contains(" Ira: Hi<U+001B>[2J<U+000A>2023"), "{line}");
        assert_eq!(line.lines().count(), 1);
    }

    #[test]
    fn a_time_that_is_none_is_shown_as_such() {
        assert_eq!(local_time(u64::MAX), "????-??-?? ??:??:??");
    }
}
