//! SIGHUP: what is read again, what changes at once, and what does not.

use cfb_chat::chat::message::{ErrorCode, ToClient, ToServer};
use rustix::process::Signal;

use crate::support::folder::{Folder, SERVER};
use crate::support::peer::{ANNA, BORIS, Peer};
use crate::support::process::{Process, Server, server_command};

const READ_AGAIN: &str = "[+] the settings are read again";

/// A server whose settings are these, and where they are.
fn server(settings: &str, arguments: &[&str]) -> Server {
    let folder = Folder::of_server(SERVER);
    let file = folder.write("chat.toml", settings, 0o600);
    let file = file.to_str().expect("text");
    let process = Process::start(&mut server_command(&folder, &[&["--config", file, "-p", "0"], arguments].concat()));
    Server::running(process, folder)
}

/// These are its settings from now on. Waits for what it says about that, the `times`th time.
fn settles(server: &Server, settings: &str, says: &str, times: usize) {
    server.folder.write("chat.toml", settings, 0o600);
    server.process.signal(Signal::HUP);
    server.process.err.wait_for_times(says, times);
}

/// Says something so often, at once, and gives how often that was taken.
fn taken(peer: &mut Peer, times: usize) -> usize {
    for _ in 0..times {
        peer.say("Hi");
    }
    let answered = (0..times).map(|_| {
        peer.wait_for(|message| match message {
            ToClient::Accepted(_) => Some(true),
            ToClient::Error { code: ErrorCode::Wait | ErrorCode::Again, .. } => Some(false),
            _ => None,
        })
    });
    answered.filter(|taken| *taken).count()
}

#[test]
fn what_can_change_changes_at_once_and_who_is_here_stays() {
    let before = "access = \"open\"\nlimits = \"off\"\nlog-level = \"warn\"\nunused-names = 180\n";
    let server = server(before, &["--host", "127.0.0.1"]);
    let mut anna = Peer::join(server.port, &ANNA, "Anna");
    assert_eq!(taken(&mut anna, 60), 60);
    assert!(!server.log().contains("Anna"), "{}", server.log());

    let after = "access = \"invite\"\nlimits = \"on\"\nlog-level = \"info\"\nunused-names = 30\n\
                 journal-size = 128\nresume-window = 9\npublic-address = \"chat.example.org\"\nhost = \"::1\"\nudp = true\n";
    settles(&server, after, "journal-size: 64 MiB → 128 MiB", 1);
    server.wait_for_log("log-level: warn → info");
    let log = server.log();
    let expected = [
        "access: open → invite\n",
        "limits: off → on\n",
        "unused-names: 180 days → 30 days\n",
        "public-address: none → chat.example.org\n",
        "udp: false → true, after a restart\n",
    ];
    for part in expected {
        assert!(log.contains(part), "no {part:?} in {log}");
    }
    // What the line says comes before the file, then as at the start.
    assert!(!log.contains("host:") && !log.contains("resume-window"), "{log}");
    assert!(taken(&mut anna, 60) < 60, "she is still here, and is kept to the pace of all");
    server.wait_for_log("Message exchanged");

    settles(&server, after, "udp: false → true, after a restart", 2);
    let log = server.log();
    let (_, again) = log.rsplit_once(READ_AGAIN).expect("it was waited for");
    assert_eq!(again.lines().count(), 2, "only what waits for a restart: {again}");
}

#[test]
fn limits_are_lifted_for_who_is_here_and_who_comes() {
    let server = server("limits = \"on\"\n", &[]);
    let mut anna = Peer::join(server.port, &ANNA, "Anna");
    let mut boris = Peer::join(server.port, &BORIS, "Boris");
    assert!(taken(&mut anna, 60) < 60);
    settles(&server, "limits = \"off\"\n", "limits: on → off", 1);
    assert_eq!(taken(&mut boris, 60), 60);
    boris.leaves_for_good();
    let mut boris = Peer::join(server.port, &BORIS, "Boris");
    assert_eq!(taken(&mut boris, 300), 300, "messages of any kind too");
}

#[test]
fn a_broken_file_changes_nothing() {
    let mut server = server("limits = \"on\"\n", &[]);
    let mut anna = Peer::join(server.port, &ANNA, "Anna");
    settles(&server, "limits = \"off\"\nport = 99999\n", "[!] The settings are as they were", 1);
    let log = server.log();
    assert!(log.contains("chat.toml:2: port: 99999 is not in 0..=65535\n"), "{log}");
    assert!(taken(&mut anna, 60) < 60, "limits are on");
    std::fs::remove_file(server.folder.file("chat.toml")).expect("it is there");
    server.process.signal(Signal::HUP);
    server.process.err.wait_for_times("[!] The settings are as they were", 2);
    settles(&server, "limits = \"on\"\n", "read again: nothing has changed", 1);
    anna.hears_until_pong();
    server.process.type_line("TERMINATE");
    assert_eq!(server.process.wait().status, Some(0));
}

#[test]
fn an_operator_and_the_console_have_them_read_again_too() {
    let mut server = server("access = \"invite\"\n", &["--udp=false", "--access", "open"]);
    let mut anna = Peer::join(server.port, &ANNA, "Anna");
    server.process.type_line("OP Anna");
    server.process.type_line("INVITE");
    server.process.out.wait_for("cfb-chat://127.0.0.1:");
    server.folder.write("chat.toml", "access = \"closed\"\npublic-address = \"chat.example.org\"\n", 0o600);
    server.process.type_line("RELOAD");
    server.process.out.wait_for("public-address: none → chat.example.org");
    assert!(!server.process.out.so_far().contains("access: "), "the line says otherwise");
    server.process.type_line("INVITE");
    server.process.out.wait_for(&format!("cfb-chat://chat.example.org:{}/#SHA256:", server.port));

    server.folder.write("chat.toml", "port = 99999\n", 0o600);
    anna.send(&ToServer::Command("RELOAD".into()));
    let answer = |message: &ToClient| if let ToClient::Answer(text) = message { Some(text.clone()) } else { None };
    let text = anna.wait_for(answer);
    assert!(text.contains("chat.toml:1: port: 99999") && text.ends_with("the settings are as they were"), "{text}");
    server.folder.write("chat.toml", "", 0o600);
    anna.send(&ToServer::Command("RELOAD".into()));
    assert!(anna.wait_for(answer).contains("public-address: chat.example.org → none"));
}

#[test]
fn who_is_new_does_not_come_in_once_it_is_closed() {
    let server = server("access = \"open\"\n", &[]);
    let mut anna = Peer::join(server.port, &ANNA, "Anna");
    settles(&server, "access = \"closed\"\n", "access: open → closed", 1);
    let mut boris = Peer::enter(server.port, &BORIS, "Boris");
    boris.ask_to_join("#lobby");
    boris.wait_for(|message| matches!(message, ToClient::Error { code: ErrorCode::Refused, .. }).then_some(()));
    anna.hears_until_pong();
    settles(&server, "access = \"open\"\n", "access: closed → open", 1);
    Peer::join(server.port, &BORIS, "Boris");
}
