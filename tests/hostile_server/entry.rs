//! Being let in with a password or a token: who is told one, and who is not.

use std::io;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use cfb_chat::chat::message::{ErrorCode, Numbered, ToClient, ToServer};
use cfb_chat::client::ui::{Input, Screen, SecretPrompt};
use cfb_chat::client::ui_event::UiEvent;
use cfb_chat::client::{ClientError, ClientTimeouts, Transport, run};
use cfb_chat::secure::identity::Fingerprint;
use cfb_chat::secure::invitation::Invitation;
use cfb_chat::secure::token::Token;
use crossbeam::channel::{Receiver, Sender, bounded};
use zeroize::Zeroizing;

use super::recording::config;
use crate::support::folder::Folder;
use crate::support::hostile_server::{CLIENT, HostileServer, MALLORY, Served, Stage, home, server};
use crate::support::process::{CLIENT_PROGRAM, Client, Process, READY, client_command, run_client};

/// The client's folder, in which this server is known.
fn knows(server_of: &HostileServer) -> Folder {
    let folder = home("");
    folder.write("known_servers", format!("127.0.0.1:{} {}\n", server_of.port(), server()), 0o600);
    folder
}

/// Starts a client with this password in a file.
fn meets(server: &HostileServer, folder: Folder, password: &str, more: &[&str]) -> Stage {
    let file = folder.write("password", password, 0o600).display().to_string();
    server.meets(folder, &[&["--password-file", &file], more].concat())
}

/// The client ends as one who is refused, without another word to the server. Gives what it said to its user.
fn is_refused(mut stage: Stage) -> String {
    stage.hears_nothing_more();
    let ended = stage.client.process.wait();
    assert_eq!(ended.status, Some(6), "{}", ended.err);
    ended.err
}

fn is_in_and_leaves(mut stage: Stage) {
    stage.welcomes(&[]);
    stage.ends();
}

/// PROTOCOL.md 6.8-3.
#[test]
fn a_server_of_first_contact_is_told_no_password() {
    let hostile = HostileServer::start();
    let mut stage = meets(&hostile, home(""), "correct horse\n", &[]);
    assert_eq!(stage.password, "");
    stage.answers(ErrorCode::Password, 0);
    let err = is_refused(stage);
    assert!(err.contains("this is the first contact with it: none is sent to a server that is not known"), "{err}");
    assert!(err.contains("hint: compare its fingerprint. Then connect once more"), "{err}");
    assert!(!err.contains("horse"));
}

#[test]
fn a_server_that_is_known_is_told_the_password_once_it_asks() {
    let hostile = HostileServer::start();
    let pinned = server().to_string();
    for (folder, more) in [(knows(&hostile), &[][..]), (home(""), &["--fingerprint", &pinned])] {
        let mut stage = meets(&hostile, folder, "Zoe\u{308}\u{a0}1234\nnot this\n", more);
        assert_eq!(stage.password, "", "not before it asks");
        stage.answers(ErrorCode::Password, 0);
        assert_eq!(stage.hears_join(), "Zoë 1234", "in its normal form");
        is_in_and_leaves(stage);
    }
}

#[test]
fn a_wrong_password_is_sent_once_and_told() {
    let hostile = HostileServer::start();
    let mut stage = meets(&hostile, knows(&hostile), "correct horse", &[]);
    stage.answers(ErrorCode::Password, 0);
    assert_eq!(stage.hears_join(), "correct horse");
    stage.answers(ErrorCode::Password, 0);
    let err = is_refused(stage);
    assert!(
        err.contains("refused: the password is not the one of Anna (no)\nhint: a name takes five wrong ones"),
        "{err}"
    );
}

#[test]
fn what_the_server_does_not_take_is_told_with_what_to_do() {
    for (code, why, hint) in [
        (
            ErrorCode::Taken,
            "belongs to another key\n",
            "hint: choose another with -u, or use the key that it was first used with",
        ),
        (ErrorCode::Taken, "", "its owner can set a password with /password"),
        (ErrorCode::Wait, "refused: too fast (no)\n", "hint: wait half a minute"),
        (ErrorCode::Refused, "refused: no\n", ""),
    ] {
        let hostile = HostileServer::start();
        let mut stage = meets(&hostile, knows(&hostile), "correct horse", &[]);
        stage.answers(code, 0);
        let err = is_refused(stage);
        assert!(err.contains(why) && err.contains(hint), "{code}: {err}");
    }
}

#[test]
fn without_a_password_or_somebody_to_ask_none_is_sent() {
    let hostile = HostileServer::start();
    let mut stage = hostile.meets(knows(&hostile), &[]);
    stage.answers(ErrorCode::Password, 0);
    let err = is_refused(stage);
    assert!(err.contains("hint: --password-file FILE has it"), "{err}");
}

#[test]
fn a_password_that_others_can_read_or_that_is_none_is_refused_before_anything_is_sent() {
    for (password, mode, why) in [
        ("correct horse\n", 0o644, "can be read by others (mode 0644)\nhint: chmod 600 "),
        ("1234567\n", 0o600, "a password has 8 to 256 bytes"),
        ("\nsecond line", 0o600, "its first line is empty"),
        ("bell\u{7}bell\n", 0o600, "may not have control characters"),
    ] {
        let folder = home("");
        let file = folder.write("password", password, mode).display().to_string();
        let ended = run_client(&folder, &["-p", "9", "-u", CLIENT, "--password-file", &file], "");
        assert_eq!(ended.status, Some(3), "{}", ended.err);
        assert!(ended.err.contains(why), "{}", ended.err);
    }
}

fn invitation(hostile: &HostileServer, to: Fingerprint) -> Invitation {
    Invitation::new("127.0.0.1", hostile.port(), to, Token::new([9; 16])).expect("a host")
}

/// Starts a client that is told by an invitation where to go.
fn comes(folder: &Folder, arguments: &[&str]) -> Process {
    let mut command = Command::new(CLIENT_PROGRAM);
    Process::start(command.arg("--keys").arg(folder.path()).args(["-u", CLIENT]).args(arguments))
}

#[test]
fn an_invitation_says_where_and_who_and_its_token_goes_with_the_first_join_only() {
    let mut hostile = HostileServer::start();
    let invited = invitation(&hostile, server());
    let token = invited.token().text();
    let folder = home("");
    let file = folder.write("invitation", format!("{invited}\n"), 0o644).display().to_string();
    let process = comes(&folder, &["--join-file", &file]);
    let mut stage = hostile.meets_client(Client { process, folder });
    assert_eq!(stage.password, token);
    // Lost before it was let in: it is still to be.
    stage.hangs_up();
    assert!(matches!(hostile.meets_again(&mut stage), ToServer::Join { password, .. } if password == token));
    stage.welcomes(&[]);
    // From then on it is known there.
    stage.hangs_up();
    assert!(
        matches!(hostile.meets_again(&mut stage), ToServer::Join { password, cursor: 1, .. } if password.is_empty())
    );
    stage.answers(ErrorCode::Refused, 0);
    stage.hangs_up();
    assert!(
        matches!(hostile.meets_again(&mut stage), ToServer::Join { password, cursor: 0, .. } if password.is_empty())
    );
    drop(stage);

    // Another server in its place is told nothing.
    hostile.becomes(&MALLORY);
    let other = home("");
    let file = other.write("invitation", invited.to_string(), 0o600).display().to_string();
    let ended = thread::scope(|scope| {
        let client = scope.spawn(|| run_client(&other, &["-u", CLIENT, "--join-file", &file], ""));
        let (_, channel) = hostile.accepts(String::new);
        assert!(channel.is_err());
        client.join().expect("it ends")
    });
    assert_eq!(ended.status, Some(5), "{}", ended.err);
}

#[test]
fn an_invitation_on_standard_input_is_one_line_and_what_follows_is_said() {
    let hostile = HostileServer::start();
    let folder = home("");
    let invited = invitation(&hostile, server());
    let mut process = comes(&folder, &["--join", "-"]);
    process.type_bytes(format!("{invited}\r\nfirst\nsecond\n").as_bytes());
    process.end_input();
    let mut stage = hostile.meets_client(Client { process, folder });
    assert_eq!(stage.password, invited.token().text());
    stage.welcomes(&[]);
    for _ in 0..2 {
        assert!(matches!(stage.takes(), Numbered::Say { .. }));
    }
    while !matches!(stage.hear(), ToServer::Leave(_)) {}
    assert!(!stage.client.process.err.so_far().contains("Invitation: "), "nobody is asked on a pipe");
}

#[test]
fn an_invitation_that_is_not_taken_is_told_and_no_password_goes_instead() {
    let hostile = HostileServer::start();
    let folder = home("");
    let invitation =
        folder.write("invitation", invitation(&hostile, server()).to_string(), 0o600).display().to_string();
    let password = folder.write("password", "correct horse", 0o600).display().to_string();
    let process = comes(&folder, &["--join-file", &invitation, "--password-file", &password]);
    let mut stage = hostile.meets_client(Client { process, folder });
    stage.answers(ErrorCode::Password, 0);
    let err = is_refused(stage);
    assert!(err.contains("the invitation is not taken (no)\nhint: it may be over, or used up"), "{err}");
}

/// PROTOCOL.md 6.8-1, 6.8-5.
#[test]
fn a_new_password_is_sent_as_it_travels_and_its_answer_is_shown() {
    let hostile = HostileServer::start();
    let mut stage = meets(&hostile, knows(&hostile), "Zoe\u{308} 1234", &[]);
    stage.welcomes(&[]);
    stage.told();
    stage.client.says("/password");
    assert_eq!(stage.hear(), ToServer::Password("Zoë 1234".into()));
    stage.tell(&[ToClient::Answer("It is set.\nFor all\u{1b}[2J your keys.".into())]);
    assert_eq!(stage.told(), ["[server] It is set.", "[server] For all<U+001B>[2J your keys."]);
    stage.client.says("/password off");
    while !matches!(stage.hear(), ToServer::Password(password) if password.is_empty()) {}
    stage.answers(ErrorCode::Wait, 0);
    stage.is_told("[!] The password is unchanged. The server says: no");
    // Lost on its way: nobody knows whether it is set, and it is not set again by itself.
    stage.client.says("/password");
    while !matches!(stage.hear(), ToServer::Password(_)) {}
    stage.hangs_up();
    assert!(matches!(hostile.meets_again(&mut stage), ToServer::Join { .. }));
    stage.tell(&[ToClient::Welcome(stage.resumed())]);
    stage.is_told_of("[!] The connection was lost; it is not known whether the password was changed.");
    stage.client.says("/password");
    while !matches!(stage.hear(), ToServer::Password(_)) {}
    stage.tell(&[ToClient::Answer("set".into())]);
    stage.is_told("[server] set");
    stage.ends();
}

#[test]
fn a_new_password_goes_to_no_server_of_first_contact_and_needs_a_file_without_a_terminal() {
    let hostile = HostileServer::start();
    let mut stage = meets(&hostile, home(""), "correct horse", &[]);
    stage.welcomes(&[]);
    stage.told();
    stage.client.says("/password");
    stage.client.process.err.wait_for("[!] Nothing is changed: this is the first contact with this server");
    drop(stage);
    let mut stage = hostile.meets(knows(&hostile), &[]);
    stage.welcomes(&[]);
    stage.told();
    stage.client.says("/password correct horse");
    stage.client.process.err.wait_for("[!] not sent: a password is not typed where it shows");
    stage.client.says("Hi");
    while !matches!(stage.hear(), ToServer::Numbered { n: 1, .. }) {}
    stage.tell(&[ToClient::Accepted(1)]);
    stage.client.says("/password");
    stage.client.process.err.wait_for("[!] Nothing is changed: with no terminal to ask on");
    // What stands behind it may be the password: it is not said.
    stage.client.says("correct horse");
    while !matches!(stage.hear(), ToServer::Leave(_)) {}
}

#[test]
fn an_answer_that_is_not_due_ends_the_session() {
    let mut stage = Stage::with(&[]);
    stage.tell(&[ToClient::Answer("to nothing".into())]);
    stage.ends_for("an Answer that was not due", &[]);
}

/// Somebody who types, as the test says.
struct Typist {
    answers: Receiver<Option<Zeroizing<String>>>,
    asked: Arc<Mutex<Vec<String>>>,
    lines: Receiver<Input>,
}

impl Screen for Typist {
    fn show(&mut self, _shown: &UiEvent) -> io::Result<()> {
        Ok(())
    }

    fn ask_secret(&mut self, prompt: &str) -> io::Result<Option<SecretPrompt>> {
        self.asked.lock().expect("nobody has failed").push(prompt.to_owned());
        Ok(Some(self.answers.clone().into()))
    }

    fn start_input(&mut self) -> io::Result<Receiver<Input>> {
        Ok(self.lines.clone())
    }

    fn is_watched(&self) -> bool {
        true
    }

    fn close(&mut self) {}
}

type Typed = Sender<Option<Zeroizing<String>>>;

/// Runs a client whose user is asked for a password while `play` plays the server; gives how it ended, and the prompts.
fn asks(play: impl FnOnce(&mut Served, &Typed)) -> (Result<(), ClientError>, Vec<String>) {
    let hostile = HostileServer::start();
    let folder = knows(&hostile);
    // Whoever waited for the deadline of a Join would not wait for a password.
    let timing = ClientTimeouts {
        ping: Duration::from_millis(50),
        join: Duration::from_secs(2),
        leave: Duration::from_millis(50),
        ..ClientTimeouts::standard(Transport::Tcp)
    };
    let config = config(&hostile, &folder, timing);
    let (type_in, answers) = bounded(1);
    let (end, lines) = bounded(1);
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let mut screen = Typist { answers, asked: asked.clone(), lines };
    let client = thread::spawn(move || run(&config, &mut screen));
    let mut served = Served::accept(&hostile);
    served.waits_for(|said| matches!(said, ToServer::Join { .. }));
    served.tell(&ToClient::Error { code: ErrorCode::Password, text: String::new(), n: 0 });
    play(&mut served, &type_in);
    let _ = end.try_send(Input::End);
    // The connection is not what ends it.
    let ended = client.join().expect("it does not fail");
    drop(served);
    let asked = asked.lock().expect("nobody has failed").clone();
    (ended, asked)
}

#[test]
fn while_a_password_is_typed_the_session_goes_on() {
    let (ended, asked) = asks(|served, typed| {
        // More pings than fit into the deadline of a Join.
        for _ in 0..50 {
            served.waits_for(|said| *said == ToServer::Ping);
            served.tell(&ToClient::Pong);
        }
        // What can be no password is told at once, and asked for again.
        typed.send(Some(Zeroizing::new("short".into()))).expect("the client runs");
        typed.send(Some(Zeroizing::new("correct horse".into()))).expect("the client runs");
        served.waits_for(|said| matches!(said, ToServer::Join { password, .. } if password == "correct horse"));
        served.welcomes(None);
    });
    assert!(ended.is_ok(), "{ended:?}");
    assert_eq!(asked, ["Password for Anna: "; 2]);
}

#[test]
fn who_types_none_or_whose_connection_is_lost_meanwhile_is_told() {
    let (ended, _) = asks(|_, typed| typed.send(None).expect("the client runs"));
    assert!(matches!(&ended, Err(ClientError::Refused { why, .. }) if why == "no password was given"), "{ended:?}");
    let (ended, _) = asks(|served, _| served.cuts());
    assert!(matches!(ended, Err(ClientError::Lost { .. })), "{ended:?}");
}

#[test]
fn a_client_asks_nobody_where_nobody_is() {
    // Standard input is a pipe, however much of a terminal there may be elsewhere.
    let hostile = HostileServer::start();
    let folder = knows(&hostile);
    let process = Process::start(&mut client_command(hostile.port(), CLIENT, &folder, &["--no-reconnect"]));
    let mut stage = hostile.meets_client(Client { process, folder });
    stage.answers(ErrorCode::Password, 0);
    stage.hears_nothing_more();
    let ended = stage.client.process.wait();
    assert!(!ended.err.contains("Password for") && !ended.out.contains(READY), "{}", ended.err);
}
