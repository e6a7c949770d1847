//! Somebody on the path who only listens.

use std::collections::HashMap;

use crate::support::folder::{Folder, USER_A};
use crate::support::peer::{BORIS, Peer};
use crate::support::process::{Client, READY, Server};
use crate::support::proxy::Proxy;

const CANARY: &str = "the canary sings at midnight";

#[test]
fn nothing_on_the_wire_repeats_and_no_word_is_on_it() {
    let server = Server::without_limits();
    let proxy = Proxy::start(server.port, 2);
    let mut peer = Peer::join(server.port, &BORIS, "Boris");
    for _ in 0..2 {
        let mut client = Client::start(proxy.port, "Ira", Folder::of_user("Ira", USER_A), &[]);
        client.process.out.wait_for(READY);
        for _ in 0..3 {
            client.says(CANARY);
            assert_eq!(peer.hears_said().1, CANARY);
            peer.say(CANARY);
        }
        client.process.out.wait_for_times(CANARY, 3);
        assert_eq!(client.exit().status, Some(0));
    }

    let kept: Vec<Vec<u8>> = proxy.kept().into_iter().map(|kept| kept.bytes).collect();
    assert!(kept.iter().all(|direction| direction.len() > 1_000), "all of it went through here");
    for direction in &kept {
        for secret in [&b"canary"[..], b"lobby", b"Boris", b"server", b"cfb-chat"] {
            assert!(!direction.windows(secret.len()).any(|window| window == secret), "{secret:?} in the clear");
        }
    }
    // Twice the same words, people and server: no 16 bytes in a row are ever the same.
    let mut seen = HashMap::new();
    for (number, direction) in kept.iter().enumerate() {
        for (at, window) in direction.windows(16).enumerate() {
            let before = seen.insert(window, (number, at));
            assert_eq!(before, None, "16 bytes came again in direction {number}, at {at}");
        }
    }
}
