//! Messages that break the rules of PROTOCOL.md §6, each with the answer that it gets.

use std::time::{Duration, Instant};

use cfb_chat::chat::message::{ByeReason, ErrorCode, Event, Numbered, ToClient, ToServer};
use cfb_chat::wire::codec::Writer;

use crate::support::peer::{ANNA, Answer, BORIS, Peer, room, still_serves};
use crate::support::process::Server;

/// A Say in the lobby, with any number and change.
fn say(n: u64, change: u64, text: &str) -> ToServer {
    let body = Numbered::Say { room: room("#lobby"), change, envelope: text.into() };
    ToServer::Numbered { n, body }
}

/// PROTOCOL.md 6.3-2, 6.3-5.
#[test]
fn a_number_is_answered_once_and_the_same_ever_after() {
    let server = Server::without_limits();
    let mut reader = Peer::join(server.port, &BORIS, "reader");
    let mut peer = Peer::join(server.port, &ANNA, "Anna");
    let change = peer.change();
    let steps = [
        (say(2, change, "a gap"), Answer::Error(ErrorCode::Again, 1)),
        (say(1, change, "one"), Answer::Accepted(1)),
        (say(1, change, "one again"), Answer::Accepted(1)),
        (say(3, change, "a gap"), Answer::Error(ErrorCode::Again, 2)),
        (say(u64::MAX, change, "a large gap"), Answer::Error(ErrorCode::Again, 2)),
        (say(2, change, &"x".repeat(5_000)), Answer::Error(ErrorCode::Large, 2)),
        (say(2, change, "short now"), Answer::Error(ErrorCode::Large, 2)),
        (say(3, change, "two"), Answer::Accepted(3)),
    ];
    for (message, answer) in steps {
        peer.send(&message);
        assert_eq!(peer.is_answered(), answer, "{message:?}");
    }
    assert_eq!([(); 2].map(|()| reader.hears_raw().1), ["one", "two"]);
    still_serves(server.port);
}

/// PROTOCOL.md 6.2-4.
#[test]
fn a_number_that_is_none_ends_the_connection() {
    let server = Server::without_limits();
    let rest = |writer: Writer| writer.text("#lobby").uint(1).bytes(b"x").finish();
    let messages = [
        rest(Writer::new().array(5).uint(17).uint(0)),
        rest(Writer::new().array(5).uint(17).text("1")),
        rest(Writer::new().array(5).uint(17).bytes(&[1])),
        Writer::new().array(1).uint(17).finish(),
        Writer::new().array(2).uint(18).uint(0).finish(),
        Writer::new().array(2).uint(20).text("1").finish(),
    ];
    for message in messages {
        let mut peer = Peer::join(server.port, &ANNA, "Anna");
        peer.record(&message);
        peer.ends_unanswered();
    }
    still_serves(server.port);
}

/// PROTOCOL.md 6.3-3, 6.3-4, 7.3-9.
#[test]
fn a_stale_roster_is_told_again_and_uses_no_number_up() {
    let server = Server::without_limits();
    let mut peer = Peer::join(server.port, &ANNA, "Anna");
    let change = peer.change();
    for (stale, answer) in [
        (0, Answer::Error(ErrorCode::Again, 1)),
        (change + 1, Answer::Error(ErrorCode::Again, 1)),
        (u64::MAX, Answer::Error(ErrorCode::Again, 1)),
        (change, Answer::Accepted(1)),
    ] {
        peer.send(&say(1, stale, "x"));
        assert_eq!(peer.is_answered(), answer);
    }
    let _other = Peer::join(server.port, &BORIS, "Boris");
    peer.sees_change();
    peer.send(&say(2, change, "a change of a moment ago"));
    assert_eq!(peer.is_answered(), Answer::Accepted(2));
    still_serves(server.port);
}

/// PROTOCOL.md 6.3-4.
#[test]
fn too_fast_is_told_wait_and_uses_no_number_up() {
    let server = Server::start();
    let mut peer = Peer::join(server.port, &ANNA, "Anna");
    (0..60).for_each(|_| peer.say_raw("quick"));
    let answers: Vec<Answer> = (0..60).map(|_| peer.is_answered()).collect();
    let accepted = (1..).zip(&answers).take_while(|(n, answer)| **answer == Answer::Accepted(*n)).count();
    assert!((20..40).contains(&accepted), "20 at once, then 5 a second: {answers:?}");
    let next = accepted as u64 + 1;
    assert_eq!(answers[accepted], Answer::Error(ErrorCode::Wait, next));
    for answer in &answers[accepted..] {
        let held = matches!(answer, Answer::Error(ErrorCode::Wait | ErrorCode::Again, n) if *n == next);
        assert!(held, "all that follow are held back too: {answers:?}");
    }
    still_serves(server.port);
}

/// PROTOCOL.md 6.2-5.
#[test]
fn wrong_fields_are_told_malformed_and_what_came_before_has_counted() {
    let server = Server::without_limits();
    let mut peer = Peer::join(server.port, &ANNA, "Anna");
    let mut reader = Peer::join(server.port, &BORIS, "reader");
    peer.sees_change();
    let before = peer.saying("#lobby", b"before").encode();
    // One box of so many fields.
    let share = |n, fields| Writer::new().array(3).uint(19).uint(n).array(1).array(fields);
    let malformed = [
        (Writer::new().array(4).uint(17).uint(2).text("#lobby").uint(1).finish(), 2),
        (Writer::new().array(5).uint(17).uint(3).text("lobby").uint(1).bytes(b"x").finish(), 3),
        (Writer::new().array(5).uint(17).uint(4).text("#lobby").text("1").bytes(b"x").finish(), 4),
        (Writer::new().array(5).uint(17).uint(5).text("#lobby").uint(1).text("x").finish(), 5),
        (Writer::new().array(4).uint(18).uint(6).bytes(&[7; 31]).bytes(b"x").finish(), 6),
        (Writer::new().array(3).uint(18).uint(7).bytes(&[7; 32]).finish(), 7),
        (Writer::new().array(3).uint(19).uint(8).bytes(b"no boxes").finish(), 8),
        (share(9, 2).bytes(&[7; 31]).bytes(b"x").finish(), 9),
        (share(10, 3).bytes(&[7; 32]).bytes(b"x").uint(0).finish(), 10),
        (share(11, 1).bytes(&[7; 32]).finish(), 11),
        (Writer::new().array(4).uint(20).uint(12).bytes(&[7; 33]).bytes(b"x").finish(), 12),
        (Writer::new().array(4).uint(20).uint(13).bytes(&[7; 32]).text("x").finish(), 13),
        (Writer::new().array(1).uint(21).finish(), 0),
        (Writer::new().array(2).uint(21).text("two words").finish(), 0),
        (Writer::new().array(1).uint(16).finish(), 0),
        (Writer::new().array(4).uint(16).text("#a b").text("").uint(0).finish(), 0),
        (Writer::new().array(4).uint(16).text("#more").text("").text("0").finish(), 0),
        (Writer::new().array(2).uint(22).text("1").finish(), 0),
        (Writer::new().array(1).uint(23).finish(), 0),
        (Writer::new().array(2).uint(23).bytes(b"#lobby").finish(), 0),
    ];
    peer.record(&[&before, &malformed[0].0[..]].concat());
    assert_eq!(peer.is_answered(), Answer::Accepted(1));
    assert_eq!(peer.is_answered(), Answer::Error(ErrorCode::Malformed, 2));
    for (message, n) in &malformed[1..] {
        peer.record(message);
        assert_eq!(peer.is_answered(), Answer::Error(ErrorCode::Malformed, *n), "{message:02x?}");
    }
    peer.n = 13;
    peer.say_raw("after");
    assert_eq!(peer.is_answered(), Answer::Accepted(14));
    assert_eq!([(); 2].map(|()| reader.hears_raw().1), ["before", "after"]);
    still_serves(server.port);
}

/// PROTOCOL.md 6.2-2.
#[test]
fn what_the_server_does_not_do_is_told_unsupported() {
    let server = Server::without_limits();
    let mut peer = Peer::join(server.port, &ANNA, "Anna");
    let messages = [
        Writer::new().array(2).uint(27).text("KICK Boris").finish(),
        Writer::new().array(1).uint(0).finish(),
        Writer::new().array(2).uint(15).text("busy").finish(),
        Writer::new().array(2).uint(32).text("#lobby").finish(),
        Writer::new().array(1).uint(u64::MAX).finish(),
    ];
    for message in messages {
        peer.record(&message);
        assert_eq!(peer.is_answered(), Answer::Error(ErrorCode::Unsupported, 0), "{message:02x?}");
    }
    peer.send(&ToServer::Seen(1));
    assert_eq!(peer.hears_until_pong(), [], "Seen is taken without a word");
    peer.say_raw("the first number");
    assert_eq!(peer.is_answered(), Answer::Accepted(1));
    still_serves(server.port);
}

/// PROTOCOL.md 6.2-1.
#[test]
fn extra_fields_are_a_later_versions_and_ignored() {
    let server = Server::without_limits();
    let mut reader = Peer::join(server.port, &BORIS, "reader");
    let mut peer = Peer::enter(server.port, &ANNA, "Anna");
    peer.record(&Writer::new().array(6).uint(16).text("#lobby").text("").uint(0).array(1).uint(7).uint(8).finish());
    peer.is_welcomed();
    let change = peer.change();
    peer.record(&Writer::new().array(6).uint(17).uint(1).text("#lobby").uint(change).bytes(b"Hi").text("x").finish());
    assert_eq!(peer.is_answered(), Answer::Accepted(1));
    assert_eq!(reader.hears_raw().1, "Hi");
    peer.record(&Writer::new().array(2).uint(24).text("x").finish());
    assert_eq!(peer.hear(), Some(ToClient::Pong));
    peer.record(&Writer::new().array(3).uint(23).text("#lobby").uint(0).finish());
    peer.is_told_bye(ByeReason::Left);
    still_serves(server.port);
}

/// PROTOCOL.md 6.4-2.
#[test]
fn a_first_message_other_than_join_ends_the_connection() {
    let server = Server::without_limits();
    let mut watcher = Peer::join(server.port, &BORIS, "watcher");
    let messages = [
        ToServer::Ping.encode(),
        say(1, 1, "x").encode(),
        ToServer::Leave(room("#lobby")).encode(),
        ToServer::Seen(0).encode(),
        Writer::new().array(1).uint(16).finish(),
        Writer::new().array(1).uint(99).finish(),
    ];
    for message in messages {
        let mut peer = Peer::enter(server.port, &ANNA, "Anna");
        peer.record(&message);
        assert_eq!(peer.hear(), None, "{message:02x?}");
    }
    watcher.send(&ToServer::Ping);
    assert_eq!(watcher.hear(), Some(ToClient::Pong), "nobody hears of them");
    still_serves(server.port);
}

/// PROTOCOL.md 6.4-1, 6.12-2.
#[test]
fn joins_and_leaves_that_cannot_be_are_refused_in_order() {
    let server = Server::without_limits();
    let mut peer = Peer::join(server.port, &ANNA, "Anna");
    peer.leave("#elsewhere");
    peer.ask_to_join("#lobby");
    peer.send(&say(1, 1, "still in it"));
    for answer in [Answer::Error(ErrorCode::Refused, 0), Answer::Error(ErrorCode::Refused, 0), Answer::Accepted(1)] {
        assert_eq!(peer.is_answered(), answer);
    }
    let elsewhere = peer.saying("#elsewhere", b"not in that room");
    peer.send(&ToServer::Numbered { n: 2, body: body(elsewhere) });
    assert_eq!(peer.is_answered(), Answer::Error(ErrorCode::Refused, 2));
    for number in 2..=32 {
        peer.ask_to_join(&format!("#room-{number}"));
        peer.is_welcomed();
    }
    peer.ask_to_join("#room-33");
    assert_eq!(peer.is_answered(), Answer::Error(ErrorCode::Refused, 0), "32 rooms are the most");
    still_serves(server.port);
}

fn body(message: ToServer) -> Numbered {
    match message {
        ToServer::Numbered { body, .. } => body,
        other => panic!("{other:?} has no number"),
    }
}

/// PROTOCOL.md 6.12-2.
#[test]
fn sixteen_joins_and_leaves_a_minute_are_the_most_for_an_identity() {
    let server = Server::start();
    let mut peer = Peer::join(server.port, &ANNA, "Anna");
    for _ in 0..7 {
        peer.ask_to_join("#side");
        peer.is_welcomed();
        peer.leave("#side");
        let left = peer.wait_for(|message| match message {
            ToClient::Event { event: Event::Left { room, who: session, .. }, .. } => Some((room.clone(), *session)),
            _ => None,
        });
        assert_eq!(left, (room("#side"), peer.number));
    }
    // One is left of sixteen; a little may have come back meanwhile.
    let mut refused = false;
    for number in 0..4 {
        peer.ask_to_join(&format!("#side-{number}"));
        refused |= peer.wait_for(|message| match message {
            ToClient::Welcome(_) => Some(false),
            ToClient::Error { code: ErrorCode::Refused, n: 0, .. } => Some(true),
            _ => None,
        });
    }
    assert!(refused, "sixteen a minute");
    peer.say_raw("nothing else is refused");
    assert_eq!(peer.is_answered(), Answer::Accepted(1));

    let mut same_identity = Peer::enter(server.port, &ANNA, "Anna-2");
    same_identity.ask_to_join("#lobby");
    assert_eq!(same_identity.is_answered(), Answer::Error(ErrorCode::Refused, 0));
    same_identity.ends();
    Peer::join(server.port, &BORIS, "Boris").leaves_for_good();
}

/// PROTOCOL.md 6.3-5, 6.4-1.
#[test]
fn several_messages_in_one_record_are_answered_in_order() {
    let server = Server::without_limits();
    let mut reader = Peer::join(server.port, &BORIS, "reader");
    let mut peer = Peer::enter(server.port, &ANNA, "Anna");
    let first = [
        crate::support::peer::join("#lobby").encode(),
        say(1, 2, "one").encode(),
        ToServer::Ping.encode(),
        say(2, 2, "two").encode(),
        ToServer::Leave(room("#elsewhere")).encode(),
    ];
    peer.record(&first.concat());
    peer.is_welcomed();
    // What is counted waits for the disk, and the rest does not wait for it: each in its own order.
    let heard: Vec<ToClient> = (0..4).map(|_| peer.hear().expect("an answer")).collect();
    let is_counted = |message: &&ToClient| matches!(message, ToClient::Accepted(_));
    let (counted, rest): (Vec<_>, Vec<_>) = heard.iter().partition(is_counted);
    assert_eq!(counted, [&ToClient::Accepted(1), &ToClient::Accepted(2)]);
    assert!(matches!(rest[..], [ToClient::Pong, ToClient::Error { code: ErrorCode::Refused, n: 0, .. }]), "{rest:?}");
    assert_eq!([(); 2].map(|()| reader.hears_raw().1), ["one", "two"]);

    peer.record(&[ToServer::Leave(room("#lobby")).encode(), say(3, 2, "too late").encode()].concat());
    peer.is_told_bye(ByeReason::Left);
    peer.ends();
    still_serves(server.port);
}

#[test]
fn who_says_more_than_a_hundred_messages_a_second_is_read_no_faster_and_others_are() {
    let server = Server::start();
    let mut peer = Peer::join(server.port, &ANNA, "Anna");
    let start = Instant::now();
    (0..300).for_each(|_| peer.send(&ToServer::Ping));
    let mut other = Peer::join(server.port, &BORIS, "Boris");
    assert_eq!(other.hears_until_pong().len(), 0, "nothing is in Boris's way");
    let pongs = std::iter::from_fn(|| peer.hear()).filter(|message| *message == ToClient::Pong);
    assert_eq!(pongs.take(300).count(), 300, "nothing is lost");
    assert!(start.elapsed() >= Duration::from_millis(1_900), "{:?}", start.elapsed());
    still_serves(server.port);
}

/// Threads that listen to a connection.
#[cfg(target_os = "linux")]
fn listeners(process: u32) -> usize {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).expect("it runs");
    let names = threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("comm")).ok());
    names.filter(|name| name.trim_end() == "listener").count()
}

#[cfg(target_os = "linux")]
#[test]
fn what_is_unread_of_a_connection_that_another_has_replaced_holds_no_thread() {
    let server = Server::start();
    let mut old = Peer::join(server.port, &ANNA, "Anna");
    // Ten minutes of them, at the pace at which they are read.
    (0..60_000).for_each(|_| old.send(&ToServer::Ping));
    let _new = Peer::join(server.port, &ANNA, "Anna");
    let start = Instant::now();
    while listeners(server.process.id()) > 1 {
        assert!(start.elapsed() < Duration::from_secs(30), "it is read on, for nobody");
        std::thread::sleep(Duration::from_millis(50));
    }
    still_serves(server.port);
}

#[test]
fn more_than_256_messages_in_one_record_cut_the_connection() {
    let server = Server::start();
    let mut peer = Peer::join(server.port, &ANNA, "Anna");
    let pings = |count| ToServer::Ping.encode().repeat(count);
    peer.record(&pings(256));
    (0..256).for_each(|_| assert_eq!(peer.hear(), Some(ToClient::Pong)));
    peer.record(&pings(257));
    assert_eq!(peer.hears_out(), [], "an end without goodbye is a loss");
    still_serves(server.port);
}
