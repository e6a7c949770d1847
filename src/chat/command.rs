//! Commands of a client's user, and the commands that a server carries out.

pub mod server;

use super::name::{Name, RoomName, Visible};

/// The longest line for the server, in bytes.
const LONGEST_LINE: usize = 4_096;

/// State of a comparison of digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compared {
    /// They are to be shown.
    NotYet,
    /// They are the same.
    Yes,
}

/// Change of the user's password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewPassword {
    /// It is asked for, hidden.
    Set,
    /// There is none any more.
    Off,
}

/// A line in a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserCommand<'a> {
    /// Leaves.
    Exit,
    /// Says a text to the room in focus.
    Say(&'a str),
    /// Says an action in the room: "* Ira waves".
    Act(&'a str),
    /// Whispers a text to one member.
    Whisper(Name, &'a str),
    /// Whispers a text to the member who whispered last.
    Reply(&'a str),
    /// Lists who is in a room, or in the one in focus.
    List(Option<RoomName>),
    /// Comes into a room, and speaks there.
    Join(RoomName),
    /// Leaves a room, or the one in focus.
    Part(Option<RoomName>),
    /// Speaks in another room.
    Focus(RoomName),
    /// Lists the rooms.
    Rooms,
    /// Sends a room command for the room in focus: a word, and the text after the room's name.
    ToRoom(&'static str, &'a str),
    /// Sends a command to the server.
    ToServer(String),
    /// Shows the digits to compare with a peer; or records that they have been compared.
    Verify(Name, Compared),
    /// Accepts the key of the member who uses this name and had another key.
    Accept(Name),
    /// Sets the password of one's name, or takes it away.
    Password(NewPassword),
    /// Shows one's own fingerprint, and the server's.
    Fingerprint,
    /// Lists the commands.
    Help,
}

/// The client's commands.
pub const USER_HELP: &str = "\
what you type is said to the room; EXIT leaves (so do end of input and Ctrl+C)
/say TEXT           says TEXT, whatever it is: EXIT, or something with a / in front
/me TEXT            says what you do: * sahnawaz waves
/whisper NAME TEXT  says TEXT to NAME alone; a letter, if NAME is away (/w, /msg)
/reply TEXT         the same, to whoever whispered last (/r)
Who is who:
/list [#name]       lists who is here, or in another room of yours (/who, /names)
/verify NAME        shows digits to compare with NAME, by voice or on paper
/verify NAME yes    marks NAME as verified: the digits were the same
/accept NAME        takes the new key of NAME, who is here and had another, beside the old one
/password           asks for a password: with it your name can be used with more keys; /password off takes it away
/fingerprint        shows your fingerprint and the server's
/devices            lists the fingerprints that your name has; with one behind it, takes it away
Rooms:
/join #name         comes into a room, and speaks there; opens it if it is not there
/part [#name]       leaves this room, or another
/focus #name        speaks in another room that you are in (/f)
/rooms              lists the rooms
/topic [TEXT]       shows this room's topic, or sets it; - takes it away
Whoever keeps this room:
/lock, /unlock      lets in only guests; everybody
/invite NAME        makes NAME a guest
/kick NAME [WHY]    puts NAME out of this room
/keeper NAME        has NAME keep it
/register, /unregister  keeps it when it is empty; no more
Operators:
/ban /unban /bans /mute /unmute /op /deop /invites /revoke /forget /status /reload /motd
/server LINE        sends LINE to the server as it is; alone, the server's own help
/help               shows this";

impl<'a> UserCommand<'a> {
    /// True if a line may hold a secret when history is browsed: a password, typed in the wrong place.
    #[must_use]
    pub fn is_secret(line: &str) -> bool {
        let command = line.trim_start().strip_prefix('/').map(|command| first_word(command).to_lowercase());
        command.is_some_and(|word| word.starts_with("pass"))
    }

    /// Parses a line; `None` if it is empty. A line that begins with `/` is never sent as a message.
    ///
    /// # Errors
    /// A hint, for a line that is no command.
    #[must_use]
    pub fn parse(line: &'a str) -> Option<Result<Self, String>> {
        if line.trim().is_empty() {
            return None;
        }
        let Some(command) = line.strip_prefix('/') else {
            return Some(match line.trim_start().strip_prefix('/') {
                _ if line == "EXIT" => Ok(Self::Exit),
                // What was meant for one is not said to all for a space.
                Some(command) if IN_PRIVATE.contains(&&*first_word(command).to_lowercase()) => {
                    Err("not sent: a command begins the line; /say in front says it as it is".into())
                }
                _ => Ok(Self::Say(line)),
            });
        };
        let (word, rest) = command.split_once(' ').unwrap_or((command, ""));
        let word = word.to_lowercase();
        if word == "say" && command.len() > word.len() && rest.trim().is_empty() {
            return None;
        }
        Some(match &*word {
            "fingerprint" | "help" | "rooms" if !rest.trim().is_empty() => Err(format!("/{word} stands alone")),
            "say" | "me" | "reply" | "r" if rest.trim().is_empty() => Err(format!("/{word} wants something to say")),
            "say" => Ok(Self::Say(rest)),
            "me" => Ok(Self::Act(rest)),
            "reply" | "r" => Ok(Self::Reply(rest)),
            "whisper" | "w" | "msg" => match split_name(rest) {
                Some((name, text)) if !text.trim().is_empty() => name.map(|name| Self::Whisper(name, text)),
                _ => Err(format!("/{word} wants a name and something to say")),
            },
            "verify" => match split_name(rest) {
                Some((name, "")) => name.map(|name| Self::Verify(name, Compared::NotYet)),
                Some((name, yes)) if yes.trim().eq_ignore_ascii_case("yes") => {
                    name.map(|name| Self::Verify(name, Compared::Yes))
                }
                _ => Err("/verify wants a name; then, if the digits were the same, yes".into()),
            },
            "list" | "who" | "names" => room(rest).transpose().map(Self::List),
            "join" | "focus" | "f" => match room(rest) {
                Some(room) => room.map(if word == "join" { Self::Join } else { Self::Focus }),
                None => Err(format!("/{word} wants a room")),
            },
            "part" => room(rest).transpose().map(Self::Part),
            "rooms" => Ok(Self::Rooms),
            "server" if rest.trim().is_empty() => Ok(Self::ToServer("HELP".into())),
            "server" => for_server(&[rest.trim()]).map(Self::ToServer),
            "accept" => match split_name(rest) {
                Some((name, "")) => name.map(Self::Accept),
                _ => Err("/accept wants a name".into()),
            },
            "password" => match rest.trim() {
                "" => Ok(Self::Password(NewPassword::Set)),
                "off" => Ok(Self::Password(NewPassword::Off)),
                _ => Err("not sent: a password is not typed where it shows; /password alone asks for it".into()),
            },
            "fingerprint" => Ok(Self::Fingerprint),
            "help" => Ok(Self::Help),
            "exit" | "quit" => Err("to leave type EXIT".into()),
            _ => of_server(&word, rest.trim()).unwrap_or_else(|| {
                Err(format!("not sent, and no such command: /{}; /help lists them", shortened(&word)))
            }),
        })
    }
}

/// Argument of a server command.
#[derive(Clone, Copy)]
enum Behind {
    Nothing,
    Something,
    Anything,
}

/// Words that the server does: whether to the room in focus, and what stands behind them.
const OF_SERVER: [(&str, bool, Behind); 22] = [
    ("TOPIC", true, Behind::Anything),
    ("LOCK", true, Behind::Nothing),
    ("UNLOCK", true, Behind::Nothing),
    ("INVITE", true, Behind::Something),
    ("KICK", true, Behind::Something),
    ("KEEPER", true, Behind::Something),
    ("REGISTER", true, Behind::Nothing),
    ("UNREGISTER", true, Behind::Nothing),
    ("DEVICES", false, Behind::Anything),
    ("BAN", false, Behind::Something),
    ("UNBAN", false, Behind::Something),
    ("BANS", false, Behind::Nothing),
    ("MUTE", false, Behind::Something),
    ("UNMUTE", false, Behind::Something),
    ("OP", false, Behind::Something),
    ("DEOP", false, Behind::Something),
    ("INVITES", false, Behind::Nothing),
    ("REVOKE", false, Behind::Something),
    ("FORGET", false, Behind::Something),
    ("STATUS", false, Behind::Nothing),
    ("RELOAD", false, Behind::Nothing),
    ("MOTD", false, Behind::Anything),
];

/// A word that the server does, if it is one, with what stands behind it.
fn of_server<'a>(word: &str, rest: &'a str) -> Option<Result<UserCommand<'a>, String>> {
    let (word, in_room, behind) = *OF_SERVER.iter().find(|(known, ..)| known.eq_ignore_ascii_case(word))?;
    let lower = word.to_lowercase();
    Some(match behind {
        Behind::Nothing if !rest.is_empty() => Err(format!("/{lower} stands alone")),
        Behind::Something if rest.is_empty() => Err(format!("/{lower} wants something behind it; /help shows what")),
        _ if in_room => Ok(UserCommand::ToRoom(word, rest)),
        _ => for_server(&[word, rest]).map(UserCommand::ToServer),
    })
}

/// A line for the server, of these parts.
///
/// # Errors
/// A hint, if no server takes it.
pub fn for_server(parts: &[&str]) -> Result<String, String> {
    let line = parts.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(" ");
    if line.len() > LONGEST_LINE {
        return Err(format!("not sent: a command has at most {LONGEST_LINE} bytes"));
    }
    Ok(line)
}

/// The room that stands alone there, if there is one. Who types it may leave out the `#`.
fn room(rest: &str) -> Option<Result<RoomName, String>> {
    let room = rest.trim();
    let named =
        Name::normalize(room.strip_prefix('#').unwrap_or(room)).map(|name| RoomName::parse(&format!("#{name}")));
    let parsed = named.and_then(|room| room).map_err(|why| format!("{} is no room: {why}", shortened(room)));
    (!room.is_empty()).then_some(parsed)
}

/// Commands with a text that is private or secret.
const IN_PRIVATE: [&str; 7] = ["whisper", "w", "msg", "reply", "r", "server", "password"];

fn first_word(text: &str) -> &str {
    text.split_whitespace().next().unwrap_or_default()
}

/// The name that stands first, and the text after it; empty if there is none.
fn split_name(rest: &str) -> Option<(Result<Name, String>, &str)> {
    let rest = rest.trim_start();
    let (name, text) = rest.split_once(' ').unwrap_or((rest, ""));
    let parsed = Name::normalize(name).map_err(|why| format!("not sent: {} is no name: {why}", shortened(name)));
    (!name.is_empty()).then_some((parsed, text.trim_start()))
}

/// The word that stands first, and what comes after it.
fn split_word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim_start())
}

fn shortened(word: &str) -> String {
    let start: String = word.chars().take(32).collect();
    let more = if start.len() < word.len() { "…" } else { "" };
    format!("{}{more}", Visible(&start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lab() -> RoomName {
        RoomName::parse("#lab").unwrap()
    }

    #[test]
    fn a_command_that_no_server_takes_is_not_sent() {
        let long = |bytes: usize| format!("/server {}", "x".repeat(bytes));
        assert!(matches!(UserCommand::parse(&long(4_096)), Some(Ok(_))));
        assert!(matches!(UserCommand::parse(&long(4_097)), Some(Err(_))));
    }

    fn ira() -> Name {
        Name::parse("Ira").unwrap()
    }

    #[test]
    fn a_line_is_said_unless_it_is_a_command() {
        let cases = [
            ("Hi", UserCommand::Say("Hi")),
            (" indented", UserCommand::Say(" indented")),
            ("EXIT", UserCommand::Exit),
            ("exit", UserCommand::Say("exit")),
            ("EXIT now", UserCommand::Say("EXIT now")),
            ("/say EXIT", UserCommand::Say("EXIT")),
            ("/say  /etc is a folder", UserCommand::Say(" /etc is a folder")),
            ("/help", UserCommand::Help),
            ("/LIST", UserCommand::List(None)),
            (" /etc is a folder", UserCommand::Say(" /etc is a folder")),
            ("/me waves", UserCommand::Act("waves")),
            ("/whisper Ira  Hi there", UserCommand::Whisper(ira(), "Hi there")),
            ("/w Ira Hi", UserCommand::Whisper(ira(), "Hi")),
            ("/msg  Ira Hi", UserCommand::Whisper(ira(), "Hi")),
            ("/r Hi", UserCommand::Reply("Hi")),
            ("/who", UserCommand::List(None)),
            ("/list #lab", UserCommand::List(Some(lab()))),
            ("/join #lab", UserCommand::Join(lab())),
            ("/join lab ", UserCommand::Join(lab())),
            ("/part", UserCommand::Part(None)),
            ("/part lab", UserCommand::Part(Some(lab()))),
            ("/focus #lab", UserCommand::Focus(lab())),
            ("/f lab", UserCommand::Focus(lab())),
            ("/rooms", UserCommand::Rooms),
            ("/topic", UserCommand::ToRoom("TOPIC", "")),
            ("/topic  what we  do ", UserCommand::ToRoom("TOPIC", "what we  do")),
            ("/Lock", UserCommand::ToRoom("LOCK", "")),
            ("/kick Ira too loud", UserCommand::ToRoom("KICK", "Ira too loud")),
            ("/devices", UserCommand::ToServer("DEVICES".into())),
            ("/ban Ira 1h", UserCommand::ToServer("BAN Ira 1h".into())),
            ("/motd", UserCommand::ToServer("MOTD".into())),
            ("/server", UserCommand::ToServer("HELP".into())),
            ("/server KICK Ira", UserCommand::ToServer("KICK Ira".into())),
            ("/verify Ira", UserCommand::Verify(ira(), Compared::NotYet)),
            ("/verify Ira yes", UserCommand::Verify(ira(), Compared::Yes)),
            ("/accept Ira", UserCommand::Accept(ira())),
            ("/password", UserCommand::Password(NewPassword::Set)),
            ("/Password off ", UserCommand::Password(NewPassword::Off)),
            ("/fingerprint", UserCommand::Fingerprint),
        ];
        for (line, expected) in cases {
            assert_eq!(UserCommand::parse(line), Some(Ok(expected)), "{line:?}");
        }
        assert_eq!(UserCommand::parse("   "), None);
    }

    #[test]
    fn a_mistyped_command_is_never_said() {
        assert_eq!(UserCommand::parse("/say "), None, "nothing is said");
        for line in [
            "/",
            "/sya secret",
            "/say",
            "/exit",
            "//",
            "/mgs bob secret",
            "/w Ira",
            "/w",
            "/r",
            "/whisper \u{202e} x",
            " /w Ira secret",
            " /password secret",
            "\t/Reply x",
            "/list two rooms",
            "/join",
            "/join #",
            "/join #a b",
            "/focus ##lab",
            "/part \u{202e}",
            "/lock the door",
            "/kick",
            "/bans all",
            "/ban",
            "/topics",
            " /server BAN Ira",
            "/accept",
            "/accept Ira now",
            "/password secret",
            "/password off now",
        ] {
            assert!(matches!(UserCommand::parse(line), Some(Err(_))), "{line:?}");
        }
    }

    #[test]
    fn a_password_on_a_line_is_told_from_what_may_be_looked_back_at() {
        for line in ["/password secret", " /PASSWORD secret", "/passwd secret", "/pass", "/password off"] {
            assert!(UserCommand::is_secret(line), "{line:?}");
        }
        for line in ["my password is secret", "/say password", "/whisper Ira /password"] {
            assert!(!UserCommand::is_secret(line), "{line:?}");
        }
    }
}
