//! Handshakes that are none. PROTOCOL.md §3, §4: told off bare instead of 2, sealed instead of 5, or not at all.

use std::sync::Arc;

use cfb_chat::secure::credential::{OwnCredential, UnixSeconds};
use cfb_chat::secure::handshake::{ClientHandshakeError, RefusalCode, client};
use cfb_chat::wire::codec::Writer;
use cfb_chat::wire::frame::{MAX_HANDSHAKE_FRAME, PREFIX, frame};

use crate::support::peer::{ANNA, Peer, credential, now, still_serves};
use crate::support::process::Server;
use crate::support::wire::{Refusal, Wire};

const MALFORMED: Option<Refusal> = Some(Refusal::Bare(RefusalCode::Malformed));
const SILENT: Option<Refusal> = Some(Refusal::Silent);

/// PROTOCOL.md 3-1, 3-2.
#[test]
fn whoever_has_strayed_here_is_told_off_in_the_clear_within_their_first_packet() {
    let server = Server::without_limits();
    let long_request = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", "x".repeat(10_000));
    let tls = [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &[7; 506]].concat();
    let strays: [(&str, &[u8]); 9] = [
        ("HTTP", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ("HTTP, a long request", long_request.as_bytes()),
        ("TLS", &tls),
        ("SSH", b"SSH-2.0-OpenSSH_9.9\r\n"),
        ("noise", &[0xe3, 0x19, 0x7f, 0x00, 0xff, 0x80, 0x61, 0x02]),
        ("an empty frame", &[0, 0]),
        ("a frame too large", &[0x10, 0x01]),
        ("the largest frame, of noise", &frame(&[0xa5; MAX_HANDSHAKE_FRAME])),
        ("an empty line", &frame(b"\n")),
    ];
    for (who, bytes) in strays {
        let mut wire = Wire::connect(server.port);
        wire.send(bytes);
        assert_eq!(wire.refusal_of_hello(), MALFORMED, "{who}");
    }
    still_serves(server.port);
}

/// PROTOCOL.md 4-1, 4-7.
#[test]
fn a_first_message_offers_versions_each_once_and_one_of_ours() {
    let server = Server::without_limits();
    let (_, whole) = client::Start::new(&mut rand::rng());
    let pair = &whole[PREFIX + 3..];
    let offers = |count: usize| Writer::new().array(2).uint(1).array(count).finish();
    let unknown = Writer::new().array(2).uint(2).text("any value").finish();
    let cases: [(&str, Vec<u8>, Option<Refusal>); 7] = [
        ("ours and another", [&offers(2), &unknown[..], pair].concat(), None),
        ("only another", [&offers(1), &unknown[..]].concat(), Some(Refusal::Bare(RefusalCode::Version))),
        ("none", offers(0), Some(Refusal::Bare(RefusalCode::Version))),
        ("ours twice", [&offers(2), pair, pair].concat(), MALFORMED),
        ("something behind", [&whole[PREFIX..], &[0]].concat(), MALFORMED),
        ("another type", Writer::new().array(2).uint(4).array(0).finish(), MALFORMED),
        ("a refusal", RefusalCode::Busy.message(), MALFORMED),
    ];
    for (what, message, expected) in cases {
        let mut wire = Wire::connect(server.port);
        wire.send(&frame(&message));
        assert_eq!(wire.refusal_of_hello(), expected, "{what}");
    }
    still_serves(server.port);
}

#[test]
fn a_first_message_cut_anywhere_gets_nowhere() {
    let server = Server::without_limits();
    let (_, whole) = client::Start::new(&mut rand::rng());
    for cut in [0, 1, 2, 3, 9, 100, 1_000, whole.len() - 1] {
        let mut wire = Wire::connect(server.port);
        wire.send(&whole[..cut]);
        wire.end_sending();
        assert_eq!(wire.refusal_of_hello(), SILENT, "cut off after {cut} bytes");
        if cut > PREFIX {
            let mut wire = Wire::connect(server.port);
            wire.send(&frame(&whole[PREFIX..cut]));
            assert_eq!(wire.refusal_of_hello(), MALFORMED, "a frame that ends after {cut} bytes");
        }
    }
    still_serves(server.port);
}

#[test]
fn a_first_message_with_any_byte_changed_gets_nowhere() {
    let server = Server::without_limits();
    let length = client::Start::new(&mut rand::rng()).1.len();
    for at in 0..length {
        let (start, mut hello) = client::Start::new(&mut rand::rng());
        hello[at] ^= 1 << (at % 8);
        let mut wire = Wire::connect(server.port);
        wire.send(&hello);
        wire.end_sending();
        let Some(answer) = wire.next_frame() else {
            assert!(at < PREFIX, "byte {at}: only a frame that waits for more is no reason to say something");
            continue;
        };
        match start.agree(&answer) {
            Err(ClientHandshakeError::RefusedBare(RefusalCode::Malformed | RefusalCode::Version)) => {}
            // Keys that agree with nobody's: what the server then says of itself cannot be opened.
            Ok(keyed) => {
                let mut proof = wire.next_frame().expect("frame 3");
                assert_eq!(
                    keyed.check_server(&mut proof, now()).err(),
                    Some(ClientHandshakeError::Unopened),
                    "byte {at}"
                );
            }
            Err(other) => panic!("byte {at}: {other}"),
        }
        wire.ends();
    }
    still_serves(server.port);
}

/// PROTOCOL.md 4-8.
#[test]
fn a_proof_with_any_byte_changed_ends_the_connection() {
    let server = Server::without_limits();
    let own = credential(&ANNA, "Anna");
    for at in 0.. {
        let mut wire = Wire::connect(server.port);
        let (proved, mut record) = wire.until_proof().prove(&own);
        if at == record.len() {
            break;
        }
        record[at] ^= 1 << (at % 8);
        let length = usize::from(u16::from_be_bytes([record[0], record[1]]));
        let expected = if (1..=MAX_HANDSHAKE_FRAME).contains(&length) {
            Refusal::Silent
        } else {
            Refusal::Sealed(RefusalCode::Malformed)
        };
        wire.send(&record);
        wire.end_sending();
        assert_eq!(Peer::after_proof(wire, &ANNA, &own, proved).err(), Some(expected), "byte {at}");
    }
    assert!(!server.log().contains("New connection"), "nobody has proved who they are");
    still_serves(server.port);
}

#[test]
fn a_proof_cut_anywhere_ends_in_silence() {
    let server = Server::without_limits();
    let own = credential(&ANNA, "Anna");
    for (cut, in_a_frame) in [0, 1, 2, 3, 33, 34, 35, 300, 700].into_iter().flat_map(|cut| [(cut, false), (cut, true)])
    {
        let mut wire = Wire::connect(server.port);
        let (proved, record) = wire.until_proof().prove(&own);
        match in_a_frame {
            true if cut > PREFIX => wire.send(&frame(&record[PREFIX..cut])),
            true => continue,
            false => wire.send(&record[..cut]),
        }
        wire.end_sending();
        assert_eq!(Peer::after_proof(wire, &ANNA, &own, proved).err(), SILENT, "{cut} bytes");
    }
    still_serves(server.port);
}

/// PROTOCOL.md 3-2, 4-11.
#[test]
fn a_length_that_is_none_in_place_of_the_proof_is_told_off_sealed() {
    let server = Server::without_limits();
    let own = credential(&ANNA, "Anna");
    for length in [[0, 0], [0x10, 0x01], *b"GE"] {
        let mut wire = Wire::connect(server.port);
        let (proved, _) = wire.until_proof().prove(&own);
        wire.send(&length);
        let expected = Some(Refusal::Sealed(RefusalCode::Malformed));
        assert_eq!(Peer::after_proof(wire, &ANNA, &own, proved).err(), expected);
    }
    still_serves(server.port);
}

#[test]
fn messages_that_come_twice_or_out_of_order_end_the_connection() {
    let server = Server::without_limits();
    let own = credential(&ANNA, "Anna");

    let mut wire = Wire::connect(server.port);
    let _ = wire.until_proof();
    wire.send(&client::Start::new(&mut rand::rng()).1);
    wire.ends();

    let mut wire = Wire::connect(server.port);
    let (_, elsewhere) = wire.until_proof().prove(&own);
    let mut first = Wire::connect(server.port);
    first.send(&elsewhere);
    assert_eq!(first.refusal_of_hello(), MALFORMED, "a proof first");

    let mut other = Wire::connect(server.port);
    let (proved, _) = other.until_proof().prove(&own);
    other.send(&elsewhere);
    assert_eq!(Peer::after_proof(other, &ANNA, &own, proved).err(), SILENT, "a proof made for another connection");

    let mut wire = Wire::connect(server.port);
    let (proved, record) = wire.until_proof().prove(&own);
    wire.send(&record);
    wire.send(&record);
    let mut peer = Peer::after_proof(wire, &ANNA, &own, proved).expect("the first one holds");
    peer.ends();
    still_serves(server.port);
}

/// PROTOCOL.md 2.1-6.
#[test]
fn credentials_that_do_not_hold_are_refused_in_one_sealed_word() {
    const DAY: u64 = 24 * 60 * 60;
    let server = Server::without_limits();
    let rng = &mut rand::rng();
    let (long_ago, soon) = (UnixSeconds(now().0 - 9 * DAY), UnixSeconds(now().0 + 2 * DAY));
    let cases = [
        (OwnCredential::for_server(rng, &ANNA, now()), RefusalCode::Credential),
        (OwnCredential::for_user(rng, &ANNA, "Anna", long_ago), RefusalCode::Clock),
        (OwnCredential::for_user(rng, &ANNA, "Anna", soon), RefusalCode::Clock),
    ];
    for (own, code) in cases {
        let refused = Peer::enter_as(Wire::connect(server.port), &ANNA, &Arc::new(own)).err();
        assert_eq!(refused, Some(Refusal::Sealed(code)));
    }
    assert!(!server.log().contains("New connection"));
    still_serves(server.port);
}
