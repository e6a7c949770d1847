//! Connections that say nothing, too little, or all at once. PROTOCOL.md §9.

use std::net::Ipv4Addr;
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use cfb_chat::secure::handshake::RefusalCode;
use cfb_chat::secure::identity::Identity;

use crate::support::peer::{ANNA, BORIS, Peer, credential, still_serves};
use crate::support::process::{Client, Server};
use crate::support::wire::{Came, Refusal, Wire};

/// PROTOCOL.md 4-9.
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

/// A key has eight names at most.
static KEYS: LazyLock<[Identity; 4]> =
    LazyLock::new(|| std::array::from_fn(|_| Identity::generate(&mut rand::rng(), 2_048).expect("a key")));

#[test]
fn thirty_users_behind_one_address_get_in_at_once_while_two_hundred_bad_connections_come_from_another() {
    let server = Server::start();
    let port = server.port;
    LazyLock::force(&KEYS);
    let elsewhere = Ipv4Addr::new(127, 0, 0, 9);
    let bad = thread::spawn(move || (0..200).map(|number| bad_connection(elsewhere, port, number)).collect::<Vec<_>>());
    let mut peers: Vec<Peer> = thread::scope(|scope| {
        let come_in = |number: usize| {
            let key = &KEYS[number % KEYS.len()];
            scope.spawn(move || Peer::join(port, key, &format!("user-{number}")))
        };
        let coming: Vec<_> = (0..30).map(come_in).collect();
        coming.into_iter().map(|peer| peer.join().expect("got in, at the first try")).collect()
    });
    drop(bad.join().expect("they came"));
    let (speaker, changes) = (peers[0].number, 30);
    while peers[0].change() < changes {
        peers[0].sees_change();
    }
    peers[0].say_raw("all here");
    for peer in &mut peers[1..] {
        assert_eq!(peer.hears_raw(), (speaker, "all here".into()));
    }
}

/// Silent, half a frame, another protocol, or gone at once.
fn bad_connection(from: Ipv4Addr, port: u16, number: usize) -> Option<Wire> {
    let mut wire = Wire::connect_from(from, port);
    match number % 4 {
        0 => {}
        1 => wire.send(&[0x04]),
        2 => wire.send(b"GET / HTTP/1.1\r\n\r\n"),
        _ => return None,
    }
    Some(wire)
}
