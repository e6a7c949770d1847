//! The transcripts of a real session, on real pseudo-terminals: what people see, and what their terminal is left as.

mod inherited;
mod keys;
mod passwords;
mod together;

use std::num::NonZeroU16;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use cfb_chat::chat::message::{Numbered, ToClient, ToServer};
use expectrl::Expect;
use expectrl::session::OsSession;

use crate::support::hostile_server::{HostileServer, Served};

/// Everything here happens within this, or has failed.
const DEADLINE: Duration = Duration::from_secs(30);
const ROWS: NonZeroU16 = NonZeroU16::new(40).unwrap();
const COLUMNS: NonZeroU16 = NonZeroU16::new(90).unwrap();

/// A program on a terminal, and the screen as a person sees it.
struct Terminal {
    session: OsSession,
    screen: vt100::Parser,
    /// All that has come, as it came.
    came: Vec<u8>,
}

impl Terminal {
    fn start(program: &str, arguments: &[&str], folder: &Path) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(folder).env("TERM", "xterm-256color").env("TZ", "UTC");
        command.env_remove("CFB_CHAT_KEYS");
        let mut session = OsSession::spawn(command).unwrap();
        session.get_process_mut().set_window_size(COLUMNS.get(), ROWS.get()).unwrap();
        Self { session, screen: vt100::Parser::new(ROWS, COLUMNS, 0), came: Vec::new() }
    }

    fn server(folder: &Path) -> (Self, String) {
        let arguments = ["-p", "0", "--bits", "2048"];
        let mut server = Self::start(env!("CARGO_BIN_EXE_server"), &arguments, folder);
        server.wait_for("[+] Running on port: ");
        server.wait_for("Fingerprint: SHA256:");
        let port = server.line_with("[+] Running on port: ").split(": ").nth(1).unwrap().to_owned();
        (server, port)
    }

    fn client(name: &str, port: &str, folder: &Path) -> Self {
        let arguments = ["-s", "127.0.0.1", "-p", port, "-u", name, "--bits", "2048"];
        let mut client = Self::start(env!("CARGO_BIN_EXE_client"), &arguments, folder);
        client.wait_for("[+] Now you can start to exchange messages");
        client.wait_until("a prompt", |screen| last_line(screen) == ">");
        client
    }

    fn type_in(&mut self, keys: &str) {
        self.session.send(keys).unwrap();
    }

    fn type_bytes(&mut self, bytes: &[u8]) {
        self.session.send(bytes).unwrap();
    }

    fn enter(&mut self, line: &str) {
        self.type_in(&format!("{line}\r"));
    }

    fn wait_for(&mut self, text: &str) {
        self.wait_until(text, |screen| screen.contents().contains(text));
    }

    fn wait_until(&mut self, what: &str, holds: impl Fn(&vt100::Screen) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !holds(self.screen.screen()) {
            assert!(Instant::now() < deadline, "no {what} on:\n{}", self.screen.screen().contents());
            self.read();
        }
    }

    /// Waits for the program's end; gives its exit code.
    fn wait_for_end(&mut self) -> i32 {
        let deadline = Instant::now() + DEADLINE;
        loop {
            self.read();
            match self.session.get_process().status() {
                Ok(expectrl::process::unix::WaitStatus::Exited(_, code)) => {
                    self.read();
                    return code;
                }
                Ok(expectrl::process::unix::WaitStatus::StillAlive) => {}
                other => panic!("ended by {other:?}"),
            }
            assert!(Instant::now() < deadline, "still running:\n{}", self.screen.screen().contents());
        }
    }

    /// Takes in what is there, waiting a moment for it.
    fn read(&mut self) {
        let mut chunk = [0; 4_096];
        match self.session.try_read(&mut chunk) {
            Ok(read) if read > 0 => {
                self.came.extend_from_slice(&chunk[..read]);
                self.screen.process(&chunk[..read]);
            }
            // Nothing there yet, or the end.
            _ => thread::sleep(Duration::from_millis(5)),
        }
    }

    fn lines(&self) -> Vec<String> {
        let contents = self.screen.screen().contents();
        contents.lines().map(|line| line.trim_end().to_owned()).filter(|line| !line.is_empty()).collect()
    }

    fn line_with(&self, text: &str) -> String {
        self.lines().into_iter().find(|line| line.contains(text)).unwrap()
    }
}

fn last_line(screen: &vt100::Screen) -> String {
    screen.contents().trim_end().lines().last().unwrap_or_default().trim_end().to_owned()
}

/// A line's time, if it begins with one as the programs write it.
fn without_time(line: &str) -> Option<&str> {
    let (time, rest) = line.split_at_checked(20)?;
    chrono::NaiveDateTime::parse_from_str(time, "%Y-%m-%d %H:%M:%S ").ok().map(|_| rest)
}

#[test]
fn two_people_talk_as_in_the_first_transcript() {
    let folder = tempfile::tempdir().unwrap();
    let (mut server, port) = Terminal::server(folder.path());
    assert_eq!(server.lines()[..2].iter().filter(|line| line.starts_with("[+] Running on host: 127.0.0.1")).count(), 1);

    let mut sahnawaz = Terminal::client("sahnawaz", &port, folder.path());
    let steps: Vec<String> = sahnawaz.lines().into_iter().filter(|line| line.starts_with("[+]")).collect();
    assert_eq!(
        steps,
        [
            "[+] Connected successfully.",
            "[+] Exchanging keys.",
            "[+] Getting public key from the server",
            "[+] Sending public key to server",
            "[+] Exchange completed!",
            "[+] Initial set up had been completed!",
            "[+] Now you can start to exchange messages",
        ]
    );
    let mut ira = Terminal::client("Ira", &port, folder.path());
    sahnawaz.wait_for("[+] Ira joined the room.");

    ira.enter("Hi");
    sahnawaz.wait_for("Ira: Hi");
    sahnawaz.enter("Hello Ira");
    ira.wait_for("sahnawaz: Hello Ira");
    assert_eq!(without_time(&sahnawaz.line_with("Ira: Hi")), Some("Ira: Hi"));
    assert_eq!(without_time(&ira.line_with("sahnawaz: ")), Some("sahnawaz: Hello Ira"));
    // The editor may be half way through drawing its line anew.
    ira.wait_until("own line once", |screen| screen.contents().matches("Hi").count() == 1);

    ira.enter("EXIT");
    assert_eq!(ira.wait_for_end(), 0);
    sahnawaz.wait_for("[+] Ira left the room.");
    sahnawaz.enter("EXIT");
    assert_eq!(sahnawaz.wait_for_end(), 0);
    server.wait_for("[+] sahnawaz left the server.");
    server.enter("TERMINATE");
    assert_eq!(server.wait_for_end(), 0);

    let seen = server.lines();
    let log: Vec<&str> = seen.iter().filter_map(|line| without_time(line)).skip(2).collect();
    assert_eq!(
        log,
        [
            "[+] New connection. Username: sahnawaz",
            "[+] Client public key had been received",
            "[+] Secret key had been sent to the client",
            "[+] New connection. Username: Ira",
            "[+] Client public key had been received",
            "[+] Secret key had been sent to the client",
            "[+] Broadcast message:  New person joined the room. Username: Ira",
            "Message exchanged",
            "Message exchanged",
            "[+] Ira left the server.",
            "[+] sahnawaz left the server.",
        ]
    );
    assert_eq!(seen[seen.len() - 2..], ["[+] All connections had been terminated", "[+] Server is shut down"]);
}

#[test]
fn what_arrives_stands_above_the_line_being_typed() {
    let folder = tempfile::tempdir().unwrap();
    let (mut server, port) = Terminal::server(folder.path());
    let mut ira = Terminal::client("Ira", &port, folder.path());
    let mut sahnawaz = Terminal::client("sahnawaz", &port, folder.path());
    ira.type_in("half a thou");
    ira.wait_until("what was typed", |screen| last_line(screen) == "> half a thou");
    for i in 0..5 {
        sahnawaz.enter(&format!("interruption {i}"));
    }
    ira.wait_for("sahnawaz: interruption 4");
    ira.wait_until("what was typed, below", |screen| last_line(screen) == "> half a thou");
    ira.type_in("ght\x1b[D\x1b[D\x1b[D\x1b[D\x1b[D\x1b[D\x1b[D\x7f\x7fthe ");
    ira.enter("");
    sahnawaz.wait_for("Ira: half the thought");
    assert_eq!(ira.lines().iter().filter(|line| line.contains("interruption")).count(), 5, "each is shown once");
    ira.type_in("\x1b[A");
    ira.wait_until("history", |screen| last_line(screen) == "> half the thought");
    server.enter("TERMINATE");
    server.wait_for_end();
}

#[test]
fn a_paste_of_many_lines_loses_none() {
    let folder = tempfile::tempdir().unwrap();
    let (mut server, port) = Terminal::server(folder.path());
    let mut ira = Terminal::client("Ira", &port, folder.path());
    let mut sahnawaz = Terminal::client("sahnawaz", &port, folder.path());
    // As a terminal without bracketed paste sends it: all at once, lines ended as Enter ends them.
    ira.type_in(&(1..=12).map(|i| format!("plain {i:02}.\r")).collect::<Vec<_>>().concat());
    sahnawaz.wait_for("Ira: plain 12.");
    // And with it: one edit, that is sent by Enter.
    let pasted = (1..=8).map(|i| format!("bracketed {i:02}.\n")).collect::<Vec<_>>().concat();
    ira.type_in(&format!("\x1b[200~{pasted}\x1b[201~\r"));
    sahnawaz.wait_for("Ira: bracketed 08.");
    let seen = sahnawaz.lines();
    let texts: Vec<&str> = seen.iter().filter_map(|line| without_time(line)).collect();
    let plain = (1..=12).map(|i| format!("Ira: plain {i:02}."));
    let expected: Vec<String> = plain.chain((1..=8).map(|i| format!("Ira: bracketed {i:02}."))).collect();
    assert_eq!(texts, expected);
    server.enter("TERMINATE");
    server.wait_for_end();
}

#[test]
fn the_terminal_is_left_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let (mut server, port) = Terminal::server(folder.path());
    // A shell around the client shows in which state the terminal is afterwards.
    let client = format!(
        "before=$(stty -g); '{}' -p {port} -u Ira --bits 2048; echo \"code $?\"; [ \"$before\" = \"$(stty -g)\" ] && echo same",
        env!("CARGO_BIN_EXE_client")
    );
    for (end, code) in [("\x03", 0), ("\x04", 0), ("EXIT\r", 0), ("", 7)] {
        let mut shell = Terminal::start("sh", &["-c", &client], folder.path());
        shell.wait_for("[+] Now you can start to exchange messages");
        shell.wait_until("a prompt", |screen| last_line(screen) == ">");
        if end.is_empty() {
            shell.type_in("half a line");
            shell.wait_for("half a line");
            server.enter("TERMINATE");
        } else {
            shell.type_in(end);
        }
        shell.wait_for(&format!("code {code}"));
        shell.wait_for("same");
        assert_eq!(shell.wait_for_end(), 0);
    }
    assert_eq!(server.wait_for_end(), 0);
}

#[test]
fn the_console_answers_and_only_terminate_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    let (mut server, port) = Terminal::server(folder.path());
    server.enter("WHO");
    server.wait_for("no user is here");
    server.enter("hello");
    server.wait_for("no such command: hello; HELP lists them");
    server.enter("terminate");
    server.wait_for("in capitals");
    let mut ira = Terminal::client("Ira", &port, folder.path());
    server.enter("who");
    server.wait_for("Ira  #lobby");
    server.enter("HELP");
    server.wait_for("ends all sessions and stops the server");
    server.enter("TERMINATE");
    assert_eq!(server.wait_for_end(), 0);
    ira.wait_for("error: the server ended the session: it stops (terminated)");
    assert_eq!(ira.wait_for_end(), 7);
}

#[test]
fn a_locked_key_asks_for_its_passphrase_on_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let (mut server, port) = Terminal::server(folder.path());
    let file = folder.path().join("passphrase");
    std::fs::write(&file, "open sesame\n").unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let arguments = ["-p", &port, "-u", "Ira", "--bits", "2048", "--passphrase-file", "passphrase"];
    let mut first = Terminal::start(env!("CARGO_BIN_EXE_client"), &arguments, folder.path());
    first.wait_for("[+] Now you can start");
    first.enter("EXIT");
    assert_eq!(first.wait_for_end(), 0);
    for (answer, code) in [("wrong", 3), ("open sesame", 0)] {
        let mut again = Terminal::start(env!("CARGO_BIN_EXE_client"), &arguments[..6], folder.path());
        again.wait_for("Passphrase for keys/client_Ira_private_key.pem:");
        again.enter(answer);
        if code == 0 {
            again.wait_for("[+] Now you can start");
            again.enter("EXIT");
        }
        assert_eq!(again.wait_for_end(), code);
        assert!(!again.screen.screen().contents().contains(answer), "what is typed is not shown");
    }
    server.enter("TERMINATE");
    server.wait_for_end();
}

#[test]
fn a_terminal_that_cannot_be_steered_takes_plain_lines() {
    let folder = tempfile::tempdir().unwrap();
    let (mut server, port) = Terminal::server(folder.path());
    let client = format!("TERM=dumb '{}' -p {port} -u Ira --bits 2048", env!("CARGO_BIN_EXE_client"));
    let mut ira = Terminal::start("sh", &["-c", &client], folder.path());
    ira.wait_for("[+] Now you can start to exchange messages");
    let mut sahnawaz = Terminal::client("sahnawaz", &port, folder.path());
    ira.enter("plainly");
    sahnawaz.wait_for("Ira: plainly");
    ira.enter("EXIT");
    assert_eq!(ira.wait_for_end(), 0);
    server.enter("TERMINATE");
    server.wait_for_end();
}

#[test]
fn a_server_in_the_background_is_not_stopped_by_its_terminal() {
    let folder = tempfile::tempdir().unwrap();
    // A shell with job control, as a person has: what is typed is the shell's, and the server must go on.
    let mut shell = Terminal::start("bash", &["--norc", "-i"], folder.path());
    shell.enter(&format!("'{}' -p 0 --bits 2048 --keys keys &", env!("CARGO_BIN_EXE_server")));
    shell.wait_for("[+] Running on port: ");
    shell.wait_for("Fingerprint: SHA256:");
    let port = shell.line_with("[+] Running on port: ").split(": ").nth(1).unwrap().to_owned();
    shell.enter("echo typed | tr a-z A-Z");
    shell.wait_for("TYPED");
    let mut ira = Terminal::client("Ira", &port, folder.path());
    ira.enter("EXIT");
    assert_eq!(ira.wait_for_end(), 0);
    shell.enter("kill %1");
    shell.wait_for("[+] Server is shut down");
}

#[test]
fn two_people_whisper_and_compare_what_they_see_of_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, port) = Terminal::server(folder.path());
    let mut sahnawaz = Terminal::client("sahnawaz", &port, folder.path());
    let mut ira = Terminal::client("Ira", &port, folder.path());
    for (person, other) in [(&mut sahnawaz, "Ira"), (&mut ira, "sahnawaz")] {
        person.wait_for(&format!("[!] First contact with {other}. Their fingerprint is"));
    }

    ira.enter("/whisper sahnawaz psst");
    sahnawaz.wait_for(" [whisper from Ira] psst");
    ira.wait_for(" [whisper to sahnawaz] psst");
    sahnawaz.enter("/r yes?");
    ira.wait_for(" [whisper from sahnawaz] yes?");
    ira.enter("/w nobody psst");
    ira.wait_for("[!] Not sent: no user named nobody is here or known to you.");

    let mut digits = [(&mut sahnawaz, "Ira"), (&mut ira, "sahnawaz")].map(|(person, other)| {
        person.enter(&format!("/verify {other}"));
        person.wait_for(&format!("The same? Then: /verify {other} yes"));
        let lines = person.lines();
        let first = lines.iter().position(|line| line.starts_with("[+] Compare with what /verify shows")).unwrap();
        lines[first + 1..first + 3].join(" ")
    });
    assert_eq!(digits[0], digits[1], "both see the same");
    digits[0].retain(|char| char.is_ascii_digit());
    assert_eq!(digits[0].len(), 60);
    ira.enter("/verify sahnawaz yes");
    ira.wait_for("[+] sahnawaz is verified.");
    ira.enter("/list");
    ira.wait_for("[+] In #lobby: 2");
    ira.wait_for("    sahnawaz  verified  SHA256:");
    assert!(ira.lines().iter().any(|line| line.starts_with("    Ira       you       SHA256:")), "{:?}", ira.lines());

    sahnawaz.enter("EXIT");
    ira.wait_for("[+] sahnawaz left the room.");
    ira.enter("/msg sahnawaz see you");
    ira.wait_for(" [letter to sahnawaz, without forward secrecy] see you");
    let mut back = Terminal::client("sahnawaz", &port, folder.path());
    back.wait_for(" [letter from Ira, without forward secrecy] see you");
}

#[test]
fn typing_goes_on_while_the_connection_is_away_and_the_prompt_shows_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = HostileServer::start();
    let port = server.port().to_string();
    let arguments = ["-p", &port, "-u", "Ira", "--bits", "2048"];
    let mut ira = Terminal::start(env!("CARGO_BIN_EXE_client"), &arguments, folder.path());
    let mut first = Served::accept(&server);
    first.welcomes(None);
    ira.wait_for("[+] Now you can start to exchange messages");
    ira.wait_until("a prompt", |screen| last_line(screen) == ">");
    ira.type_in("half a thou");
    ira.wait_until("what was typed", |screen| last_line(screen) == "> half a thou");
    first.cuts();
    ira.wait_for("[!] Connection lost. Reconnecting …");
    ira.wait_until("the state", |screen| last_line(screen) == "~ half a thou");
    ira.enter("ght");
    ira.enter("/list");
    ira.wait_for("You are reconnecting: these were the members when the connection was lost.");
    ira.wait_until("the state", |screen| last_line(screen) == "~");
    ira.type_in("and more");
    let mut second = Served::accept(&server);
    second.waits_for(|message| matches!(message, ToServer::Join { cursor: 1, .. }));
    second.welcomes(Some(1));
    second.tell(&ToClient::Pong);
    ira.wait_for("[+] Back after ");
    ira.wait_until("the prompt as it was", |screen| last_line(screen) == "> and more");
    second.waits_for(|said| matches!(said, ToServer::Numbered { n: 1, body: Numbered::Say { .. } }));
    second.tell(&ToClient::Accepted(1));
    // Gone again, and nobody there to come back to: Ctrl+C leaves at once.
    drop(server);
    second.cuts();
    ira.wait_until("the state", |screen| last_line(screen) == "~ and more");
    ira.type_in("\x03");
    assert_eq!(ira.wait_for_end(), 0);
}

#[test]
fn in_several_rooms_the_prompt_names_the_one_that_a_line_goes_to() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, port) = Terminal::server(folder.path());
    let mut ira = Terminal::client("Ira", &port, folder.path());
    let mut sahnawaz = Terminal::client("sahnawaz", &port, folder.path());
    sahnawaz.enter("/join laboratory");
    sahnawaz.wait_for("[+] You are in #laboratory now.");
    sahnawaz.wait_until("the room", |screen| last_line(screen) == "#laboratory>");
    sahnawaz.enter("/f lobby");
    sahnawaz.wait_until("the other room", |screen| last_line(screen) == "#lobby>");
    sahnawaz.enter("to the lobby");
    ira.wait_for(" sahnawaz: to the lobby");
    ira.enter("/join laboratory");
    ira.wait_until("the room", |screen| last_line(screen) == "#laboratory>");
    ira.enter("hi");
    sahnawaz.wait_for(" #laboratory Ira: hi");
    // The prompt of a line that is being typed stays, and what is typed in a room that is gone is said in none.
    ira.type_in("a secret");
    ira.wait_until("what was typed", |screen| last_line(screen) == "#laboratory> a secret");
    sahnawaz.enter("/f laboratory");
    sahnawaz.wait_until("the room", |screen| last_line(screen) == "#laboratory>");
    sahnawaz.enter("/kick Ira");
    ira.wait_for("[!] You are no longer in #laboratory (kicked).");
    ira.wait_until("what was typed", |screen| last_line(screen) == "#laboratory> a secret");
    ira.enter(" of the laboratory");
    ira.wait_for("[!] Not sent: you left #laboratory while typing");
    ira.wait_until("one room", |screen| last_line(screen) == ">");
    ira.enter("to the lobby too");
    sahnawaz.wait_for(" #lobby Ira: to the lobby too");
    assert!(!sahnawaz.screen.screen().contents().contains("a secret"));
    // What is pasted behind a command goes where that leads.
    sahnawaz.type_in("\x1b[200~/f lobby\rto all\x1b[201~\r");
    ira.wait_for(" sahnawaz: to all");
    sahnawaz.wait_until("the other room", |screen| last_line(screen) == "#lobby>");
    sahnawaz.enter("/part #laboratory");
    sahnawaz.wait_for("[+] You have left #laboratory.");
    sahnawaz.wait_until("one room", |screen| last_line(screen) == ">");
}
