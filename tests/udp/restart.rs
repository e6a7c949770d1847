//! A server that is not the one it was.

use std::time::Instant;

use rustix::process::Signal;

use super::support::PATIENCE;
use super::support::folder::{Folder, SERVER};
use super::support::process::Server;
use super::{server, they_talk, two_people};

#[test]
fn a_server_that_was_killed_and_started_again_is_noticed_soon() {
    let mut first = server();
    let port = first.port.to_string();
    let mut people = two_people(first.port);
    they_talk(&mut people, "before");
    first.process.signal(Signal::KILL);
    first.process.wait();
    let second = Server::start_in(Folder::of_server(SERVER), &["-p", &port, "--limits", "off"]);
    let start = Instant::now();
    for person in &mut people {
        person.says("is anybody there?");
    }
    for person in &people {
        person.process.err.wait_for("[!] Connection lost.");
    }
    println!("noticed after {:?}", start.elapsed());
    assert!(start.elapsed() < PATIENCE, "by a RESET, not by 90 s of silence");
    for person in &people {
        person.process.err.wait_for("[+] Back after ");
    }
    they_talk(&mut people, "with the second");
    drop(second);
}

#[test]
fn a_server_that_ends_tells_everybody() {
    let server = server();
    let mut people = two_people(server.port);
    they_talk(&mut people, "before");
    assert_eq!(server.terminate().status, Some(0));
    for mut person in people {
        let ended = person.process.wait();
        assert_eq!(ended.status, Some(7), "{}", ended.err);
        assert!(ended.err.contains("terminated"), "{}", ended.err);
    }
}
