//! What people type: at the server's console, and in a client.

use super::name::Visible;

/// A line at the server's console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsoleCommand {
    /// Ends everything.
    Terminate,
    /// Lists who is here.
    Who,
    /// Lists the commands.
    Help,
}

/// What the console can do.
pub const CONSOLE_HELP: &str = "\
TERMINATE  ends all sessions and stops the server
WHO        lists who is here, and in which rooms
HELP       shows this";

impl ConsoleCommand {
    /// Parses a line; `None` if there is nothing in it.
    ///
    /// # Errors
    /// A hint, for a line that is no command: it changes nothing.
    #[must_use]
    pub fn parse(line: &str) -> Option<Result<Self, String>> {
        let word = line.trim();
        Some(match word {
            "" => return None,
            "TERMINATE" => Ok(Self::Terminate),
            _ if word.eq_ignore_ascii_case("WHO") => Ok(Self::Who),
            _ if word.eq_ignore_ascii_case("HELP") => Ok(Self::Help),
            _ if word.eq_ignore_ascii_case("TERMINATE") => Err("to stop the server type TERMINATE, in capitals".into()),
            _ => Err(format!("no such command: {}; HELP lists them", shortened(word))),
        })
    }
}

/// A line in a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserCommand<'a> {
    /// Leaves.
    Exit,
    /// Says something to the room.
    Say(&'a str),
    /// Lists the commands.
    Help,
}

/// What a client can do.
pub const USER_HELP: &str = "\
EXIT       leaves (so do end of input and Ctrl+C)
/say TEXT  says TEXT, whatever it is: EXIT, or something with a / in front
/help      shows this
anything else is said to the room";

impl<'a> UserCommand<'a> {
    /// Parses a line; `None` if there is nothing in it. A line that begins with `/` is never taken for something to say.
    ///
    /// # Errors
    /// A hint, for a line that is no command.
    #[must_use]
    pub fn parse(line: &'a str) -> Option<Result<Self, String>> {
        if line.trim().is_empty() {
            return None;
        }
        let Some(command) = line.strip_prefix('/') else {
            return Some(Ok(if line == "EXIT" { Self::Exit } else { Self::Say(line) }));
        };
        let (word, rest) = command.split_once(' ').unwrap_or((command, ""));
        Some(match word {
            "say" if rest.trim().is_empty() => Err("/say wants something to say".into()),
            "say" => Ok(Self::Say(rest)),
            "help" => Ok(Self::Help),
            "exit" | "quit" => Err("to leave type EXIT".into()),
            _ => Err(format!("not sent, and no such command: /{}; /help lists them", shortened(word))),
        })
    }
}

fn shortened(word: &str) -> String {
    let start: String = word.chars().take(32).collect();
    let more = if start.len() < word.len() { "…" } else { "" };
    format!("{}{more}", Visible(&start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_console_does_only_what_it_is_told_exactly() {
        assert_eq!(ConsoleCommand::parse("TERMINATE"), Some(Ok(ConsoleCommand::Terminate)));
        assert_eq!(ConsoleCommand::parse(" WHO\r"), Some(Ok(ConsoleCommand::Who)));
        assert_eq!(ConsoleCommand::parse("help"), Some(Ok(ConsoleCommand::Help)));
        assert_eq!(ConsoleCommand::parse("  "), None);
        for line in ["terminate", "TERMINATE now", "TERMINATED", "hello", "\u{1b}[2J", "/help"] {
            assert!(matches!(ConsoleCommand::parse(line), Some(Err(_))), "{line:?}");
        }
        assert!(!ConsoleCommand::parse("\u{1b}[2J").unwrap().unwrap_err().contains('\u{1b}'));
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
        ];
        for (line, expected) in cases {
            assert_eq!(UserCommand::parse(line), Some(Ok(expected)), "{line:?}");
        }
        assert_eq!(UserCommand::parse("   "), None);
    }

    #[test]
    fn a_mistyped_command_is_never_said() {
        for line in ["/", "/sya secret", "/say", "/say  ", "/SAY x", "/exit", "//", "/mgs bob secret"] {
            assert!(matches!(UserCommand::parse(line), Some(Err(_))), "{line:?}");
        }
    }
}
