//! What is said arrives once and in order, whatever becomes of datagrams.

use std::time::Duration;

use super::relay::{Faults, Relay};
use super::{server, two_people};

const LINES: usize = 60;

fn arrives(way: Faults, seed: u64) {
    println!("{way:?}, seed {seed}");
    let server = server();
    let relay = Relay::to(server.port, way, seed);
    let [mut anna, mut boris] = two_people(relay.port);
    for line in 0..LINES {
        anna.says(&format!("a{line} {}", "x".repeat(line * 20)));
        boris.says(&format!("b{line}"));
    }
    boris.sees("Anna", &format!("a{} ", LINES - 1));
    anna.sees("Boris", &format!("b{}", LINES - 1));
    let said = |name: &str, line: usize| match name {
        "Anna" => format!("Anna: a{line} {}", "x".repeat(line * 20)),
        _ => format!("Boris: b{line}"),
    };
    for (reader, speaker) in [(&anna, "Boris"), (&boris, "Anna")] {
        let all: Vec<String> = (0..LINES).map(|line| said(speaker, line).trim_end().to_owned()).collect();
        let read: Vec<String> = reader.talk().iter().map(|line| line.trim_end().to_owned()).collect();
        assert_eq!(read, all);
    }
    assert_eq!(relay.too_long(), 0, "no datagram is longer than 1,200 bytes");
    for person in [anna, boris] {
        let ended = person.exit();
        assert_eq!(ended.status, Some(0), "{}", ended.err);
    }
    server.wait_for_log("Boris left the server.");
    assert_eq!(server.terminate().status, Some(0));
}

#[test]
fn through_a_good_network() {
    arrives(Faults::default(), 1);
}

#[test]
fn through_one_that_loses_a_hundredth() {
    arrives(Faults { lost: 1, ..Faults::default() }, 2);
}

#[test]
fn through_one_that_loses_a_twentieth_doubles_and_mixes_up() {
    arrives(Faults { lost: 5, doubled: 10, late: 20, ..Faults::default() }, 3);
}

#[test]
fn through_one_that_loses_a_fifth() {
    arrives(Faults { lost: 20, ..Faults::default() }, 4);
}

#[test]
fn through_one_that_is_slow_and_bad() {
    arrives(Faults { lost: 5, doubled: 5, late: 20, delay: Duration::from_millis(200) }, 5);
}
