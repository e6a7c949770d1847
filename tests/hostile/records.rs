//! Records after the handshake: a failed one ends the connection, unanswered. PROTOCOL.md §3, §5, §6.

use cfb_chat::chat::message::{Event, LeftReason, ToServer};
use cfb_chat::wire::codec::Writer;
use cfb_chat::wire::frame::frame;

use crate::support::peer::{ANNA, Answer, BORIS, Peer, join, still_serves};
use crate::support::process::Server;

/// PROTOCOL.md 5-3.
#[test]
fn a_first_record_with_any_byte_changed_ends_in_silence() {
    let server = Server::without_limits();
    for at in 0.. {
        let mut peer = Peer::enter(server.port, &ANNA, "Anna");
        let mut record = peer.sealed(&join("#lobby").encode());
        if at == record.len() {
            break;
        }
        record[at] ^= 1 << (at % 8);
        peer.raw(&record);
        peer.end_sending();
        peer.ends();
    }
    still_serves(server.port);
}

/// What somebody does, in words and in deed.
type Deed = (&'static str, fn(&mut Peer));

/// PROTOCOL.md 5-3, 5-4.
#[test]
fn a_later_record_that_does_not_open_ends_the_session_unanswered_as_a_loss() {
    let server = Server::without_limits();
    let mut watcher = Peer::join(server.port, &BORIS, "watcher");
    let spoilt: [Deed; 6] = [
        ("a byte changed", |peer| {
            let mut record = peer.sealed(&ToServer::Ping.encode());
            record[5] ^= 1;
            peer.raw(&record);
        }),
        ("sent twice", |peer| {
            let say = peer.saying("#lobby", b"once");
            let record = peer.sealed(&say.encode());
            peer.raw(&record);
            assert_eq!(peer.is_answered(), Answer::Accepted(1));
            peer.raw(&record);
        }),
        ("out of order", |peer| {
            let _dropped = peer.sealed(&ToServer::Ping.encode());
            peer.send(&ToServer::Ping);
        }),
        ("shorter than its tag", |peer| peer.raw(&[0, 5, 1, 2, 3, 4, 5])),
        ("of length 0", |peer| peer.raw(&[0, 0])),
        ("in the clear", |peer| {
            let ping = frame(&ToServer::Ping.encode());
            peer.raw(&ping);
        }),
    ];
    for (what, spoil) in spoilt {
        let mut peer = Peer::join(server.port, &ANNA, "Anna");
        let session = peer.number;
        spoil(&mut peer);
        peer.ends_unanswered();
        assert!(matches!(watcher.sees_change(), Event::Joined { who, .. } if who == session), "{what}");
        let left = watcher.sees_change();
        let lost = matches!(left, Event::Left { who, reason: LeftReason::Lost, .. } if who == session);
        assert!(lost, "{what}: {left:?}");
    }
    still_serves(server.port);
}

/// PROTOCOL.md 6.2-4.
#[test]
fn a_record_that_holds_no_messages_ends_the_connection() {
    let server = Server::without_limits();
    let (text, deep) = (Writer::new().array(1).text("24").finish(), [&[0x82, 0x18, 24][..], &[0x81; 9], &[0]].concat());
    let ping = ToServer::Ping.encode();
    let records: [(&str, Vec<u8>); 9] = [
        ("nothing", vec![]),
        ("a number", vec![0x18, 24]),
        ("an empty array", vec![0x80]),
        ("a type that is no number", text),
        ("cut", ping[..1].to_vec()),
        ("a message and something behind", [&ping[..], &[0]].concat()),
        ("a map", vec![0xa0]),
        ("a number that is too long", vec![0x81, 0x19, 0, 24]),
        ("nine arrays in one another", deep),
    ];
    for (what, text) in records {
        for joined in [false, true] {
            println!("{what}, in the room: {joined}");
            let mut peer = Peer::enter(server.port, &ANNA, "Anna");
            if joined {
                peer.ask_to_join("#lobby");
                peer.is_welcomed();
            }
            peer.record(&text);
            peer.ends_unanswered();
        }
    }
    still_serves(server.port);
}
