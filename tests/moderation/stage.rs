//! A server with its console on a terminal, and somebody who tells it what to do: there, or in chat.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use cfb_chat::chat::message::ErrorCode;
use expectrl::Expect;
use expectrl::session::OsSession;

use super::people::{CLARA, Somebody, Who};
use crate::support::PATIENCE;
use crate::support::folder::{Folder, SERVER};
use crate::support::peer::{ANNA, BORIS};
use crate::support::process::{SERVER_PROGRAM, is_time};

const FIRST_SETTINGS: &str = "log-level = \"debug\"\n";

/// A server's console, on a terminal. Its log goes elsewhere.
pub struct Console {
    session: OsSession,
    text: String,
    marks: usize,
    pub port: u16,
    pub folder: Folder,
}

impl Console {
    pub fn open() -> Self {
        let folder = Folder::of_server(SERVER);
        folder.write("chat.toml", FIRST_SETTINGS, 0o600);
        // Without an echo all that shows is the server's.
        let mut command = Command::new("sh");
        command.args(["-c", "stty -echo; exec \"$0\" \"$@\" 2>log", SERVER_PROGRAM]).current_dir(folder.path());
        command.args(["-p", "0", "--keys", ".", "--data", "data", "--config", "chat.toml"]);
        command.args(["--resume-window", "0", "--limits", "off"]);
        for variable in ["CFB_CHAT_KEYS", "CFB_CHAT_DATA", "CFB_CHAT_CONFIG"] {
            command.env_remove(variable);
        }
        let session = OsSession::spawn(command).expect("a terminal");
        let mut console = Self { session, text: String::new(), marks: 0, port: 0, folder };
        console.read_until("[+] Running on port: ");
        console.port = console.read_until("\n").trim().parse().expect("a port");
        console
    }

    /// Types a line; gives what is answered, without the last end of a line.
    pub fn types(&mut self, line: &str) -> String {
        // The answer to this comes behind the answer to that.
        self.marks += 1;
        let mark = format!("mark-{}", self.marks);
        self.session.send(format!("{line}\n{mark}\n")).expect("a terminal");
        let answer = self.read_until(&format!("no such command: {mark}; HELP lists them\n"));
        // What the server says of itself may come before.
        answer.trim_start_matches("[+] ").trim_end().to_owned()
    }

    /// Ends the server, and gives its exit code.
    pub fn terminates(&mut self) -> i32 {
        self.session.send("TERMINATE\n").expect("a terminal");
        self.ends()
    }

    pub fn ends(&mut self) -> i32 {
        use expectrl::process::unix::WaitStatus;
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.read();
            match self.session.get_process().status() {
                Ok(WaitStatus::Exited(_, code)) => return code,
                Ok(WaitStatus::StillAlive) => assert!(Instant::now() < deadline, "still running: {}", self.log()),
                other => panic!("ended by {other:?}"),
            }
        }
    }

    pub fn log(&self) -> String {
        self.folder.read("log")
    }

    /// Waits until a whole line of the log has been there so often.
    pub fn wait_for_log(&self, line: &str, times: usize) {
        let deadline = Instant::now() + PATIENCE;
        while count(&self.log(), line) < times {
            assert!(Instant::now() < deadline, "no {line:?} in\n{}", self.log());
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn read_until(&mut self, end: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some((before, after)) = self.text.split_once(end) {
                let (before, after) = (before.to_owned(), after.to_owned());
                self.text = after;
                return before;
            }
            assert!(Instant::now() < deadline, "no {end:?} in {:?}", self.text);
            self.read();
        }
    }

    fn read(&mut self) {
        let mut chunk = [0; 4_096];
        match self.session.try_read(&mut chunk) {
            Ok(read) if read > 0 => self.text += &String::from_utf8_lossy(&chunk[..read]).replace('\r', ""),
            // Nothing there yet, or the end.
            _ => thread::sleep(Duration::from_millis(2)),
        }
    }
}

/// How often a line, without its time, is in a log.
fn count(log: &str, line: &str) -> usize {
    let words = |logged: &str| logged.split_at_checked(20).filter(|(time, _)| is_time(time)).map(|it| it.1.to_owned());
    log.lines().filter(|logged| words(logged).as_deref() == Some(line)).count()
}

/// Who tells the server what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    Console,
    Operator,
    Keeper,
}

/// A server, and whoever tells it what to do.
pub struct Stage {
    pub by: Actor,
    pub console: Console,
    pub clara: Option<Somebody>,
}

impl Stage {
    pub fn set(by: Actor) -> Self {
        let mut console = Console::open();
        let clara = (by != Actor::Console).then(|| clara().comes(console.port, "#lobby"));
        if by == Actor::Operator {
            assert_eq!(console.types("OP Clara"), "Clara is an operator, with 1 key");
        }
        Self { by, console, clara }
    }

    pub fn port(&self) -> u16 {
        self.console.port
    }

    /// How others are told who it was.
    pub fn label(&self) -> &'static str {
        if self.by == Actor::Console { "the console" } else { "Clara" }
    }

    /// Whoever keeps rooms that are opened here.
    pub fn keeper(&self) -> &'static str {
        if self.by == Actor::Keeper { "Clara" } else { "Anna" }
    }

    /// Opens a room; whoever keeps it, if that is not who tells the server what to do.
    pub fn opens(&mut self, room: &str) -> Option<Somebody> {
        if self.by == Actor::Keeper {
            self.clara.as_mut().expect("she is here").joins(room);
            return None;
        }
        Some(anna().comes(self.port(), room))
    }

    /// Gives a line, and gives its answer.
    pub fn asks(&mut self, line: &str) -> String {
        match &mut self.clara {
            Some(clara) => clara.commands(line).unwrap_or_else(|why| panic!("{line}: {why:?}")),
            None => self.console.types(line),
        }
    }

    /// Gives a line that changes something, of which the log tells so.
    pub fn does(&mut self, line: &str, logged: &str) -> String {
        let logged = format!("[*] {}: {logged}", self.label());
        let before = count(&self.console.log(), &logged);
        let answer = self.asks(line);
        self.console.wait_for_log(&logged, before + 1);
        answer
    }

    /// Gives a line that is not done; gives why.
    pub fn is_refused(&mut self, line: &str, wanted: ErrorCode) -> String {
        match &mut self.clara {
            Some(clara) => match clara.commands(line) {
                Ok(answer) => panic!("{line} should not be done: {answer}"),
                Err((code, why)) => {
                    assert_eq!(code, wanted, "{line}: {why}");
                    why
                }
            },
            None => self.console.types(line),
        }
    }
}

pub fn anna() -> Who {
    Who::new(&ANNA, "Anna", 2)
}

pub fn boris() -> Who {
    Who::new(&BORIS, "Boris", 3)
}

pub fn clara() -> Who {
    Who::new(CLARA, "Clara", 4)
}

/// Other settings in the file that the server reads again.
pub fn settles(stage: &Stage, more: &str) {
    fs::write(stage.console.folder.file("chat.toml"), format!("{FIRST_SETTINGS}{more}")).expect("a file");
}
