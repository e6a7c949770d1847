//! A server that is not the one it was.

use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{server, they_talk, two_people};
use crate::support::PATIENCE;
use crate::support::folder::{Folder, SERVER};
use crate::support::process::{Client, Server};

#[test]
fn a_server_that_was_killed_and_started_again_is_noticed_soon() {
    let mut first = server();
    let port = first.port.to_string();
    let mut people = two_people(first.port);
    they_talk(&mut people, "before");
    first.process.signal(Signal::KILL);
    first.process.wait();
    let second = Server::start_in(Folder::of_server(SERVER), &["-p", &port, "--limits", "off", "--udp"]);
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
    // What is said before one has heard that somebody is in again is not for them.
    let [anna, boris] = &people;
    let sees = |person: &Client, what: &str, times| person.process.out.so_far().matches(what).count() >= times;
    while !sees(anna, "Boris joined", 2) && !sees(boris, "Anna joined", 1) {
        assert!(start.elapsed() < PATIENCE, "they do not see each other");
        thread::sleep(Duration::from_millis(10));
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
