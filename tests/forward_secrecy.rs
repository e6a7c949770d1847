//! Who was not there cannot read it: a newcomer nothing of before, a leaver nothing of after, whatever the server hands
//! them. PROTOCOL.md §1, §7.

use cfb_chat::chat::message::Event;
use cfb_chat::wire::codec::{Reader, Writer};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::support::peer::{ANNA, BORIS, Peer};
use crate::support::process::{Client, Server};

/// So far the keys that somebody has are followed: beyond all that is said here, and all that a reader would follow.
const STEPS: usize = 2_000;

/// The next thing that is said, and the keys that come before it. It is for them: it opens.
fn reads(reader: &mut Peer, text: &str) -> Vec<Event> {
    let mut all = Vec::new();
    loop {
        let event = reader.hears_event(|event| matches!(event, Event::Shared { .. } | Event::Said { .. }));
        all.push(event.clone());
        if let Event::Said { envelope, .. } = &event {
            assert_eq!(reader.voice.open(&event).expect("it is for them").said.text, text);
            assert!(fits(&reader.voice.keys, envelope), "it is told by its tag");
            return all;
        }
    }
}

/// Somebody who is handed all this opens none of it: neither as the protocol says, nor with all the keys they ever got.
fn opens_none(peer: &mut Peer, events: &[Event]) {
    assert!(events.iter().any(|event| matches!(event, Event::Said { .. })));
    for event in events {
        match event {
            Event::Shared { who: session, boxed } => {
                let taken = peer.voice.take_key(*session, boxed);
                assert!(taken.is_err(), "a key for somebody else");
            }
            Event::Said { envelope, .. } => {
                let opened = peer.voice.open(event);
                assert!(opened.is_err(), "{opened:?}");
                assert!(!fits(&peer.voice.keys, envelope), "a key of theirs fits");
            }
            other => panic!("{other:?} is nothing to open"),
        }
    }
}

/// Whether an envelope was sealed with any step of any of these keys: then its tag fits. Nothing else is looked at.
fn fits(keys: &[Vec<u8>], envelope: &[u8]) -> bool {
    let mut envelope = Reader::new(envelope);
    assert_eq!(envelope.array(), Ok(4));
    let _key_and_counter = (envelope.bytes(), envelope.uint());
    let (text, tag) = envelope.bytes().expect("what is sealed").split_last_chunk::<32>().expect("a tag");
    keys.iter().any(|key| chain(key).take(STEPS).any(|mac| mac.chain_update(text).verify_slice(tag).is_ok()))
}

/// What authenticates the texts under a key, one after the other: §5, §7 "Sender key".
fn chain(key: &[u8]) -> impl Iterator<Item = Hmac<Sha256>> {
    let mut key = Reader::new(key);
    assert_eq!(key.array(), Ok(4));
    let _room_id_and_counter = (key.text(), key.bytes(), key.uint());
    let mut chain: [u8; 32] = key.bytes_exact().expect("a chain");
    let info = Writer::new().array(3).text("cfb-chat/1").text("step").bytes(&[]).finish();
    std::iter::repeat_with(move || {
        let mut step = [0; 112];
        Hkdf::<Sha256>::from_prk(&chain).expect("32 bytes").expand(&info, &mut step).expect("112 bytes");
        chain.copy_from_slice(&step[80..]);
        Hmac::new_from_slice(&step[32..64]).expect("a key")
    })
}

/// Comes in, and is seen to.
fn comes_in(port: u16, name: &str, speaker: &Client) -> Peer {
    let peer = Peer::join(port, &ANNA, name);
    speaker.process.out.wait_for(&format!("[+] {name} joined the room."));
    peer
}

fn leaves(peer: &mut Peer, name: &str, speaker: &Client) {
    peer.leave("#lobby");
    speaker.process.out.wait_for(&format!("[+] {name} left the room."));
}

/// PROTOCOL.md 7.3-5, 7.3-6.
#[test]
fn a_newcomer_opens_nothing_that_was_said_before_they_came() {
    let server = Server::without_limits();
    let mut speaker = Client::join(server.port, "Ira");
    let mut reader = Peer::join(server.port, &BORIS, "Boris");
    speaker.process.out.wait_for("[+] Boris joined the room.");
    let mut before = Vec::new();
    for text in ["one", "two", "three"] {
        speaker.says(text);
        before.extend(reads(&mut reader, text));
    }
    let mut newcomer = comes_in(server.port, "newcomer", &speaker);
    opens_none(&mut newcomer, &before);

    // The key goes on for all, and theirs begins where they came in.
    for text in ["four", "five"] {
        speaker.says(text);
        let now = reads(&mut reader, text);
        assert!(!now.iter().any(|event| matches!(event, Event::Shared { .. })), "who has the key keeps it");
        reads(&mut newcomer, text);
    }
    assert_eq!(newcomer.voice.keys.len(), 1);
    opens_none(&mut newcomer, &before);
}

/// PROTOCOL.md 7.3-7.
#[test]
fn a_leaver_opens_nothing_that_is_said_after_they_left() {
    let server = Server::without_limits();
    let mut speaker = Client::join(server.port, "Ira");
    let mut reader = Peer::join(server.port, &BORIS, "Boris");
    let mut leaver = comes_in(server.port, "leaver", &speaker);
    for text in ["one", "two"] {
        speaker.says(text);
        reads(&mut reader, text);
        reads(&mut leaver, text);
    }
    leaves(&mut leaver, "leaver", &speaker);
    let mut after = Vec::new();
    for text in ["three", "four"] {
        speaker.says(text);
        after.extend(reads(&mut reader, text));
    }
    assert_eq!(reader.voice.keys.len(), 2, "a new key for who remains");
    opens_none(&mut leaver, &after);
}

#[test]
fn who_leaves_and_comes_back_opens_nothing_that_was_said_meanwhile() {
    let server = Server::without_limits();
    let mut speaker = Client::join(server.port, "Ira");
    let mut reader = Peer::join(server.port, &BORIS, "Boris");
    let mut first = comes_in(server.port, "wanderer", &speaker);
    speaker.says("one");
    reads(&mut reader, "one");
    reads(&mut first, "one");
    leaves(&mut first, "wanderer", &speaker);
    speaker.says("two");
    let meanwhile = reads(&mut reader, "two");

    let mut second = Peer::join(server.port, &ANNA, "wanderer");
    speaker.process.out.wait_for_times("[+] wanderer joined the room.", 2);
    speaker.says("three");
    reads(&mut reader, "three");
    reads(&mut second, "three");
    second.voice.keys.append(&mut first.voice.keys);
    assert_eq!(second.voice.keys.len(), 2, "the keys of both visits");
    opens_none(&mut second, &meanwhile);
}

/// PROTOCOL.md 7.3-4.
#[test]
fn who_left_before_anything_was_said_changes_no_key() {
    let server = Server::without_limits();
    let mut speaker = Client::join(server.port, "Ira");
    let mut reader = Peer::join(server.port, &BORIS, "Boris");
    speaker.process.out.wait_for("[+] Boris joined the room.");
    speaker.says("one");
    reads(&mut reader, "one");
    let mut visitor = comes_in(server.port, "visitor", &speaker);
    leaves(&mut visitor, "visitor", &speaker);
    speaker.says("two");
    let after = reads(&mut reader, "two");
    assert_eq!(reader.voice.keys.len(), 1, "they never had it");
    opens_none(&mut visitor, &after);
}
