//! Clients whose address changes.

use std::collections::HashSet;
use std::thread;
use std::time::{Duration, Instant};

use super::relay::{Direction, Faults, Relay, local};
use super::{server, they_talk, two_people};
use crate::support::PATIENCE;

#[test]
fn a_client_whose_port_changes_goes_on_without_coming_in_again() {
    let server = server();
    let relay = Relay::to(server.port, Faults::default(), 1);
    let mut people = two_people(relay.port);
    they_talk(&mut people, "before");
    for number in 0..5 {
        relay.moves();
        // Who has moved is found as soon as they say something, and both do.
        let [anna, boris] = &mut people;
        anna.says(&format!("Anna after move {number}"));
        boris.says(&format!("Boris after move {number}"));
        boris.sees("Anna", &format!("Anna after move {number}"));
        anna.sees("Boris", &format!("Boris after move {number}"));
    }
    // Each was asked, each time, whether they read there, and has said so.
    let paths = |to| -> HashSet<Vec<u8>> {
        let kept = relay.kept(to).into_iter().filter(|bytes| bytes[0] == 5);
        kept.map(|bytes| [&bytes[1..5], &bytes[13..21]].concat()).collect()
    };
    let deadline = Instant::now() + PATIENCE;
    while paths(Direction::Server).len() < 10 {
        assert!(Instant::now() < deadline, "they were asked {}", paths(Direction::Client).len());
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(paths(Direction::Server), paths(Direction::Client));
    let log = server.log();
    assert_eq!(log.matches("New connection").count(), 2, "{log}");
    assert!(!log.contains("left the server"), "{log}");
}

/// PROTOCOL.md 10.6-2.
#[test]
fn a_client_whose_network_is_gone_tries_another_port_and_goes_on_when_it_is_back() {
    let server = server();
    let relay = Relay::to(server.port, Faults::default(), 1);
    let mut people = two_people(relay.port);
    they_talk(&mut people, "before");
    let before = relay.addresses();
    relay.becomes(Faults { lost: 100, ..Faults::default() });
    people[0].says("said into the void");
    let deadline = Instant::now() + PATIENCE;
    while relay.addresses() == before {
        assert!(Instant::now() < deadline, "it stays where it gets no answers");
        thread::sleep(Duration::from_millis(10));
    }
    relay.becomes(Faults::default());
    people[1].sees("Anna", "said into the void");
    they_talk(&mut people, "after");
    let log = server.log();
    assert_eq!(log.matches("New connection").count(), 2, "{log}");
}

#[test]
fn what_somebody_kept_and_sends_again_moves_nothing() {
    let server = server();
    let relay = Relay::to(server.port, Faults::default(), 1);
    let mut people = two_people(relay.port);
    they_talk(&mut people, "before");
    let elsewhere = local();
    for kept in relay.kept(Direction::Server) {
        elsewhere.send_to(&kept, ("127.0.0.1", server.port)).expect("it is this machine");
    }
    they_talk(&mut people, "after");
    let mut buffer = [0; 2_048];
    while let Ok(length) = elsewhere.recv(&mut buffer) {
        assert_eq!(buffer[0], 1, "only cookies for that address go there, not {:?}", &buffer[..length]);
    }
}
