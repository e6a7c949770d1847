//! Connections that say nothing, too little, or all at once. PROTOCOL.md §9.

use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use cfb_chat::secure::handshake::RefusalCode;
use rand::RngExt;

use crate::support::peer::{ANNA, BORIS, Peer, credential, still_serves};
use crate::support::process::{Client, Server};
use crate::support::wire::{Came, Refusal, Wire};

#[test]
fn whoever_says_too_little_delays_nobody_and_is_gone_after_ten_seconds() {
    let server = Server::start();
    // Where somebody is in, failures keep nobody out.
    let _inside = Peer::join(server.port, &BORIS, "Boris");
    let start = Instant::now();
    let mut silent = Wire::connect(server.port);
    let mut half_a_length = Wire::connect(server.port);
    half_a_length.send(&[0x04]);
    let mut owes_the_proof = Wire::connect(server.port);
    let _ = owes_the_proof.until_proof();
    let mut owes_the_join = Peer::enter(server.port, &ANNA, "Olga");
    let mut trickles = Wire::connect(server.port);
    trickles.send(&[0x04, 0xd0]);

    still_serves(server.port);
    assert!(start.elapsed() < Duration::from_secs(8), "the others waited for them");

    while trickles.next_within(Duration::from_secs(1)) == Came::Nothing {
        trickles.send(&[0x82]);
        assert!(start.elapsed() < Duration::from_secs(30), "one byte a second keeps a place");
    }
    silent.ends();
    half_a_length.ends();
    owes_the_proof.ends();
    owes_the_join.ends();
    let waited = start.elapsed();
    assert!((Duration::from_secs(9)..Duration::from_secs(20)).contains(&waited), "{waited:?}");
    server.process.err.wait_for_times("[-] Refused 127.0.0.1:", 5);
    still_serves(server.port);
}

#[test]
fn two_hundred_silent_connections_keep_nobody_out() {
    for source in [Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 9)] {
        let server = Server::start();
        let silent: Vec<Wire> = (0..200).map(|_| Wire::connect_from(source, server.port)).collect();
        let ended = Client::join(server.port, "Ira").exit();
        assert_eq!(ended.status, Some(0), "{ended:?}");
        drop(silent);
        still_serves(server.port);
    }
}

#[test]
fn an_address_that_fails_again_and_again_has_to_wait_and_no_other_does() {
    let server = Server::start();
    for _ in 0..4 {
        let mut wire = Wire::connect(server.port);
        wire.send(b"GET / HTTP/1.1\r\n\r\n");
        assert_eq!(wire.refusal_of_hello(), Some(Refusal::Bare(RefusalCode::Malformed)));
    }
    server.process.err.wait_for_times(": malformed", 4);
    assert_eq!(Wire::connect(server.port).refusal_of_hello(), Some(Refusal::Bare(RefusalCode::Busy)));
    server.wait_for_log("too many failures from its address");
    let elsewhere = Wire::connect_from(Ipv4Addr::new(127, 0, 0, 9), server.port);
    let own = credential(&ANNA, "Anna");
    let mut inside = Peer::enter_as(elsewhere, &ANNA, &own).expect("another address has its own");
    inside.ask_to_join("#lobby");
    inside.is_welcomed();
}

#[test]
fn thirty_users_behind_one_address_get_in_at_once() {
    let server = Server::start();
    let port = server.port;
    let coming: Vec<_> = (0..30).map(|number| thread::spawn(move || come_in_patiently(port, number))).collect();
    let mut peers: Vec<Peer> = coming.into_iter().map(|peer| peer.join().expect("got in")).collect();
    peers[0].say_raw("all here");
    let speaker = peers[0].session;
    for peer in &mut peers[1..] {
        assert_eq!(peer.hears_raw(), (speaker, "all here".into()));
    }
}

/// As the protocol wants it: after "busy", or an end before anything was said, again after 1 to 3 seconds, five times.
fn come_in_patiently(port: u16, number: u32) -> Peer {
    let who = if number.is_multiple_of(2) { &*ANNA } else { &*BORIS };
    let own = credential(who, &format!("user-{number}"));
    for _ in 0..6 {
        match Peer::enter_as(Wire::connect(port), who, &own) {
            Ok(mut peer) => {
                peer.ask_to_join("#lobby");
                peer.is_welcomed();
                return peer;
            }
            Err(Refusal::Bare(RefusalCode::Busy) | Refusal::Silent) => {
                thread::sleep(Duration::from_millis(rand::rng().random_range(1_000..3_000)));
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    panic!("user {number} was kept out");
}
