//! What comes together is shown together, and nobody waits for a prompt until a crowd has been looked at.

use std::process::{Command, Stdio};

use cfb_chat::chat::message::{Event, ToClient};
use cfb_chat::chat::name::RoomName;
use cfb_chat::net::secure_channel::now_in_millis;
use cfb_chat::secure::e2e::roster::RosterHash;
use cfb_chat::secure::e2e::sealed_box::Purpose;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::{DEADLINE, Terminal, last_line};
use crate::support::hostile_server::{HostileServer, Member, Served, on_the_wire, padded, said_at, server};

/// Lines that come in one record.
const LINES: usize = 100;

/// Lets the client in, and then Mallory, of whom it has the key. Gives what she says, for one record.
fn lets_in(served: &mut Served) -> Vec<ToClient> {
    served.welcomes(None);
    let mut mallory = Member::mallory();
    let (session, at) = (mallory.session(), now_in_millis());
    let mut members = [session.0, served.session().0];
    members.sort_unstable();
    let (change, roster) = (2, RosterHash::new(server(), "#lobby", 2, members.iter()));
    let boxed = mallory.boxes_up(&served.keys(), server(), Purpose::Key, &mallory.key.shared("#lobby"));
    let joined = Event::Joined { room: RoomName::lobby(), who: session, change };
    let mut events = vec![joined, Event::Shared { who: session, boxed }];
    for number in 1..=LINES {
        let sealed = mallory.key.seal(&padded(&format!("number {number:03}.")));
        events.push(said_at(change, session, sealed.sign(&mallory.credential, server(), "#lobby", roster)));
    }
    let mut events = (2..).zip(events).map(|(cursor, event)| ToClient::Event { cursor, at, event: on_the_wire(event) });
    served.tell(&mallory.person());
    served.tell_at_once(&events.by_ref().take(2).collect::<Vec<_>>());
    events.collect()
}

/// The numbers of Mallory's lines, as they are shown.
fn numbers(shown: &str) -> Vec<usize> {
    shown.split("Mallory: number ").skip(1).map(|rest| rest[..3].parse().unwrap()).collect()
}

#[test]
fn the_line_being_typed_is_drawn_once_for_all_that_comes_together() {
    let folder = tempfile::tempdir().unwrap();
    let hostile = HostileServer::start();
    let arguments = ["-p", &hostile.port().to_string(), "-u", "Ira", "--bits", "2048"];
    let mut ira = Terminal::start(env!("CARGO_BIN_EXE_client"), &arguments, folder.path());
    let mut served = Served::accept(&hostile);
    let lines = lets_in(&mut served);
    ira.wait_for("[+] Mallory joined the room.");
    ira.type_in("half a thou");
    ira.wait_until("what was typed", |screen| last_line(screen) == "> half a thou");

    let before = ira.came.len();
    served.tell_at_once(&lines);
    ira.wait_for(&format!("Mallory: number {LINES}."));
    ira.wait_until("what was typed", |screen| last_line(screen) == "> half a thou");
    let came = String::from_utf8_lossy(&ira.came[before..]).into_owned();
    assert_eq!(numbers(&came), (1..=LINES).collect::<Vec<_>>(), "each is there once, in order");
    let drawn = came.matches("> half a thou").count();
    assert!(drawn <= 4, "the line that is typed was drawn {drawn} times for {LINES} lines");
}

#[test]
fn to_a_pipe_all_that_comes_together_is_written_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let hostile = HostileServer::start();
    // What is written at once can be read at once, and no more.
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
    set_socket_timeout(&ours, Timeout::Recv, Some(DEADLINE)).unwrap();
    let mut client = Command::new(env!("CARGO_BIN_EXE_client"));
    client
        .args(["-p", &hostile.port().to_string(), "-u", "Ira", "--bits", "2048", "--no-reconnect"])
        .current_dir(folder.path());
    client.stdin(Stdio::piped()).stdout(theirs).stderr(Stdio::null()).env_remove("CFB_CHAT_KEYS");
    let mut running = client.spawn().unwrap();
    drop(client);
    let mut served = Served::accept(&hostile);
    let lines = lets_in(&mut served);
    served.tell_at_once(&lines);
    let (mut shown, mut writes, mut chunk) = (String::new(), 0, vec![0; 65_536]);
    while numbers(&shown).len() < LINES {
        let read = rustix::io::read(&ours, &mut chunk[..]).unwrap();
        assert!(read > 0, "the client has ended:\n{shown}");
        let text = std::str::from_utf8(&chunk[..read]).unwrap();
        writes += usize::from(text.contains("Mallory: number "));
        shown.push_str(text);
    }
    assert_eq!(numbers(&shown), (1..=LINES).collect::<Vec<_>>(), "each is there once, in order");
    assert!(writes <= 4, "{LINES} lines were written in {writes} pieces");
    running.kill().unwrap();
    running.wait().unwrap();
}

#[test]
fn one_may_type_before_those_who_are_there_have_been_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, port) = Terminal::server(folder.path());
    let _ira = Terminal::client("Ira", &port, folder.path());
    let mut sahnawaz = Terminal::client("sahnawaz", &port, folder.path());
    sahnawaz.wait_for("[!] In #lobby: Ira.");
    let lines = sahnawaz.lines();
    let place = |text: &str| lines.iter().position(|line| line.starts_with(text));
    let ready = place("[+] Now you can start to exchange messages");
    assert!(ready.is_some() && ready < place("[!] First contact with Ira."), "{lines:?}");
    assert!(place("[!] First contact with Ira.") < place("[!] In #lobby: Ira."), "{lines:?}");
}
