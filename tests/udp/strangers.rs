//! People without keys, who see everything or nothing, and would end a talk, stall it, move it, or fill the server.

use std::fs;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use cfb_chat::net::udp::datagram::{Datagram, ack, parse, syn};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::relay::{Direction, Faults, Relay, local};
use super::{server, they_talk, two_people};
use crate::support::PATIENCE;
use crate::support::folder::{Folder, SERVER};
use crate::support::process::Server;

/// Datagrams of a flood.
const FLOOD: u32 = 100_000;

/// What a process holds, in KiB.
fn resident(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("Linux says so");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

/// Sends these to a server, and gives how many bytes went out and came back.
fn floods(port: u16, datagrams: impl Iterator<Item = Vec<u8>>) -> (usize, usize) {
    let socket = local();
    let (mut sent, mut came, mut buffer) = (0, 0, [0; 2_048]);
    let mut read = |socket: &UdpSocket| {
        while let Ok(length) = socket.recv(&mut buffer) {
            came += length;
        }
    };
    for bytes in datagrams {
        sent += socket.send_to(&bytes, ("127.0.0.1", port)).expect("it is this machine");
        read(&socket);
    }
    answers(port);
    read(&socket);
    (sent, came)
}

/// Waits until the server has answered somebody: what came before has been looked at, or lost.
fn answers(port: u16) {
    let deadline = Instant::now() + PATIENCE;
    let asking = UdpSocket::bind(("127.0.0.1", 0)).expect("a port");
    asking.set_read_timeout(Some(Duration::from_millis(200))).expect("a socket");
    let mut buffer = [0; 64];
    while asking.send_to(&syn(*b"last"), ("127.0.0.1", port)).is_ok() && asking.recv(&mut buffer).is_err() {
        assert!(Instant::now() < deadline, "the server answers nobody any more");
    }
}

/// PROTOCOL.md 10.2-1.
#[test]
fn floods_of_strangers_fill_nothing_get_less_than_they_send_and_keep_nobody_out() {
    let server = server();
    let mut people = two_people(server.port);
    they_talk(&mut people, "before");
    let before = resident(server.process.id());
    let mut rng = StdRng::seed_from_u64(1);
    let id = |number: u32| (number ^ 0x5555_5555).to_be_bytes();
    let (sent, came) = floods(server.port, (0..FLOOD).map(|number| syn(id(number))));
    assert!(came > 0 && came <= sent, "SYNs: {came} bytes for {sent}");
    let wrong = (0..FLOOD).map(|number| ack(id(number), &rng.random(), &first_segment(id(number))));
    let (sent, came) = floods(server.port, wrong);
    assert!(came > 0 && came <= sent, "wrong cookies: {came} bytes for {sent}");
    let mut rng = StdRng::seed_from_u64(2);
    let noise = (0..FLOOD).map(|_| {
        let mut bytes = vec![0; rng.random_range(1..1_300)];
        rng.fill(&mut bytes[..]);
        bytes[0] %= 7;
        bytes
    });
    let (sent, came) = floods(server.port, noise);
    assert!(came <= sent, "noise: {came} bytes for {sent}");
    let after = resident(server.process.id());
    println!("resident: {before} KiB before, {after} KiB after");
    assert!(after < before + 16 * 1_024, "{before} KiB before, {after} KiB after");
    they_talk(&mut people, "after");
}

/// Who reads what is sent to their address has conversations, but few, and each only until the deadline.
/// PROTOCOL.md 10.6-4.
#[test]
fn who_begins_conversations_and_says_nothing_keeps_nobody_else_out() {
    let server = Server::start_in(Folder::of_server(SERVER), &["-p", "0", "--udp"]);
    let before = resident(server.process.id());
    let asking = UdpSocket::bind(("127.0.0.2", 0)).expect("an address of this machine");
    asking.set_read_timeout(Some(Duration::from_millis(200))).expect("a socket");
    let to = ("127.0.0.1", server.port);
    let mut buffer = [0; 2_048];
    for number in 0..3_000_u32 {
        let id = number.to_be_bytes();
        asking.send_to(&syn(id), to).expect("it is this machine");
        while let Ok(length) = asking.recv(&mut buffer) {
            if let Some((of, Datagram::SynAck(cookie))) = parse(&buffer[..length])
                && of == id
            {
                asking.send_to(&ack(id, &cookie, &first_segment(id)), to).expect("it is this machine");
                break;
            }
        }
    }
    let after = resident(server.process.id());
    println!("resident: {before} KiB before, {after} KiB after");
    assert!(after < before + 32 * 1_024, "{before} KiB before, {after} KiB after");
    let mut people = two_people(server.port);
    they_talk(&mut people, "among strangers");
}

fn first_segment(id: [u8; 4]) -> Vec<u8> {
    let mut segment = [&id[..], &[81, 0, 0, 1], &[0; 16], b"!"].concat();
    segment[20] = 1;
    segment
}

/// PROTOCOL.md 10.5-1.
#[test]
fn an_unknown_conversation_is_reset_in_less_bytes() {
    let server = server();
    let socket = local();
    socket.set_nonblocking(false).expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let mut buffer = [0; 2_048];
    for length in [29_usize, 100, 1_200] {
        let mut data = vec![7; length];
        data[0] = 4;
        socket.send_to(&data, ("127.0.0.1", server.port)).expect("it is this machine");
        let came = socket.recv(&mut buffer).expect("a RESET");
        assert!(came < length);
        assert_eq!((buffer[0], &buffer[1..5], &buffer[5..came]), (3, &data[1..5], &data[length - 16..]));
    }
}

/// Somebody on the path, who sees every datagram and can say things in both ends' names.
#[test]
fn who_sees_everything_can_neither_end_nor_stall_nor_move_a_talk() {
    let server = server();
    let relay = Relay::to(server.port, Faults::default(), 1);
    let mut people = two_people(relay.port);
    let mut rng = StdRng::seed_from_u64(1);
    for round in 0..5 {
        they_talk(&mut people, &format!("in round {round}"));
        let elsewhere = local();
        for (to, all) in
            [(Direction::Server, relay.kept(Direction::Server)), (Direction::Client, relay.kept(Direction::Client))]
        {
            let forge = |bytes: &[u8]| match to {
                Direction::Server => {
                    relay.forge_to_server(bytes);
                    elsewhere.send_to(bytes, ("127.0.0.1", server.port)).expect("it is this machine");
                }
                Direction::Client => relay.forge_to_clients(bytes),
            };
            // The last of them, so that none is too old to be looked at.
            for bytes in all.iter().rev().take(40) {
                forge(bytes);
                let mut bent = bytes.clone();
                let at = rng.random_range(0..bent.len());
                bent[at] ^= 1 << rng.random_range(0..8);
                forge(&bent);
                // A DATA that ends the stream, an ACK, and a number far ahead.
                let mut forged = bytes.clone();
                forged[0] = [2, 4][round % 2];
                forge(&forged);
                forged[0] = 4;
                forged.truncate(29);
                forge(&forged);
                forged.resize(29, 0);
                forged[5..13].copy_from_slice(&u64::MAX.to_be_bytes());
                forge(&forged);
                // And a PATH.
                forged[0] = 5;
                forged.resize(37, 0);
                forge(&forged);
            }
        }
        for bytes in relay.kept(Direction::Server) {
            if let Some(echo) = bytes.last_chunk::<16>() {
                relay.forge_to_clients(&[&[3], &bytes[1..5], echo].concat());
            }
        }
        they_talk(&mut people, &format!("after round {round}"));
        let mut buffer = [0; 2_048];
        while elsewhere.recv(&mut buffer).is_ok() {
            assert!(![4, 5].contains(&buffer[0]), "nothing of the talk goes elsewhere");
        }
    }
    let log = server.log();
    assert_eq!(log.matches("New connection").count(), 2, "{log}");
    assert!(!log.contains("left the server"), "{log}");
    for person in people {
        assert_eq!(person.exit().status, Some(0));
    }
}
