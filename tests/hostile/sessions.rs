//! Sessions that vanish, come twice, or are somebody else's. PROTOCOL.md §6.

use std::time::{Duration, Instant};

use cfb_chat::chat::message::{ByeReason, ErrorCode, Event, LeftReason, ToClient, ToServer};
use cfb_chat::chat::name::RoomName;
use cfb_chat::server::{self, ServerConfig, ServerTimeouts};

use crate::support::folder::{Folder, SERVER};
use crate::support::peer::{ANNA, Answer, BORIS, Heard, Peer, credential, still_serves};
use crate::support::process::Server;
use crate::support::wire::Wire;

/// PROTOCOL.md 8.3-1.
#[test]
fn whoever_vanishes_has_left_the_room_as_lost() {
    let server = Server::without_limits();
    let mut watcher = Peer::join(server.port, &BORIS, "watcher");
    for how in ["a reset", "a close without Leave"] {
        let victim = Peer::join(server.port, &ANNA, "Anna");
        let (room, session) = (RoomName::lobby(), victim.number);
        let Event::Joined { change, .. } = watcher.sees_change() else { panic!("{how}: came in") };
        if how == "a reset" {
            victim.reset();
        } else {
            drop(victim);
        }
        let left = Event::Left { room, who: session, change: change + 1, reason: LeftReason::Lost };
        assert_eq!(watcher.sees_change(), left, "{how}");
    }
    still_serves(server.port);
}

/// PROTOCOL.md 6.13-3.
#[test]
fn a_connection_on_which_nothing_comes_for_too_long_is_lost() {
    const SILENCE: Duration = Duration::from_secs(3);
    let folder = Folder::of_server(SERVER);
    let timing = ServerTimeouts { silence: SILENCE, ..ServerTimeouts::standard() };
    let config = ServerConfig { limits: true, timing, ..folder.server_settings() };
    let server = server::Server::start(&config).expect("it starts");
    let port = server.address().port();
    let mut watcher = Peer::join(port, &BORIS, "watcher");
    let start = Instant::now();
    let mut silent = Peer::join(port, &ANNA, "Anna");
    loop {
        match watcher.hear_within(SILENCE / 6) {
            Heard::Nothing => watcher.send(&ToServer::Ping),
            Heard::End => panic!("whoever pings is there"),
            Heard::Message(message) => {
                if let ToClient::Event { event: Event::Left { who: session, reason, .. }, .. } = *message {
                    assert_eq!((session, reason), (silent.number, LeftReason::Lost));
                    break;
                }
            }
        }
    }
    assert!(start.elapsed() >= SILENCE, "{:?}", start.elapsed());
    assert!(silent.hears_out().iter().all(|message| !matches!(message, ToClient::Bye(_))), "a loss is no goodbye");
    server.stopper().terminate();
    server.wait();
}

/// PROTOCOL.md 6.7-8.
#[test]
fn the_same_name_and_key_on_a_new_connection_replaces_the_old_one() {
    let server = Server::without_limits();
    let mut watcher = Peer::join(server.port, &BORIS, "watcher");
    let mut old = Peer::join(server.port, &ANNA, "Anna");
    watcher.sees_change();
    let mut new = Peer::join(server.port, &ANNA, "Anna");

    let heard = old.hears_out();
    assert_eq!(heard.last(), Some(&ToClient::Bye(ByeReason::Replaced)));
    let left = |message: &ToClient| matches!(message, ToClient::Event { event: Event::Left { .. }, .. });
    assert!(!heard.iter().any(left), "who is replaced does not get their own left event");
    let left = watcher.sees_change();
    assert!(
        matches!(left, Event::Left { who: session, reason: LeftReason::Replaced, .. } if session == old.number),
        "{left:?}"
    );
    assert!(matches!(watcher.sees_change(), Event::Joined { who: session, .. } if session == new.number));
    new.say_raw("it is still me");
    assert_eq!(watcher.hears_raw(), (new.number, "it is still me".into()));
    still_serves(server.port);
}

/// PROTOCOL.md 6.7-7, 6.4-3.
#[test]
fn the_same_name_with_another_key_is_refused_and_the_connection_ends() {
    let server = Server::without_limits();
    let mut owner = Peer::join(server.port, &ANNA, "Anna");
    let mut other = Peer::enter(server.port, &BORIS, "Anna");
    other.ask_to_join("#lobby");
    assert_eq!(other.is_answered(), Answer::Error(ErrorCode::Taken, 0));
    other.ends();
    owner.say_raw("it was me all the time");
    assert_eq!(owner.is_answered(), Answer::Accepted(1), "nobody has come in between");
    assert_eq!(owner.change(), 1);
    still_serves(server.port);
}

/// PROTOCOL.md 6.7-5.
#[test]
fn a_name_stays_its_first_owners_when_they_are_away() {
    let server = Server::without_limits();
    Peer::join(server.port, &ANNA, "Anna").leaves_for_good();
    let mut other = Peer::enter(server.port, &BORIS, "Anna");
    other.ask_to_join("#lobby");
    assert_eq!(other.is_answered(), Answer::Error(ErrorCode::Taken, 0));
    drop(other);
    Peer::join(server.port, &ANNA, "Anna").leaves_for_good();
    still_serves(server.port);
}

/// PROTOCOL.md 8.4-7.
#[test]
fn a_credential_is_one_session_and_is_never_taken_again() {
    let server = Server::without_limits();
    let own = credential(&ANNA, "Anna");
    let mut watcher = Peer::join(server.port, &BORIS, "watcher");
    let come_again = || {
        let mut again = Peer::enter_as(Wire::connect(server.port), &ANNA, &own).expect("its credential holds");
        again.ask_to_join("#lobby");
        assert_eq!(again.is_answered(), Answer::Error(ErrorCode::Refused, 0));
        again.ends();
    };

    let mut first = Peer::enter_as(Wire::connect(server.port), &ANNA, &own).expect("its credential holds");
    first.ask_to_join("#lobby");
    first.is_welcomed();
    come_again();
    first.say_raw("I am still here");
    assert_eq!(first.is_answered(), Answer::Accepted(1));
    first.leaves_for_good();
    come_again();

    assert!(matches!(watcher.sees_change(), Event::Joined { .. }));
    assert!(matches!(watcher.sees_change(), Event::Left { reason: LeftReason::Left, .. }));
    watcher.send(&ToServer::Ping);
    assert_eq!(watcher.hear(), Some(ToClient::Pong), "nobody hears of those that were refused");
    still_serves(server.port);
}

#[test]
fn whoever_leaves_a_room_and_comes_again_at_once_misses_nothing_of_it() {
    let server = Server::without_limits();
    let mut boris = Peer::join(server.port, &BORIS, "Boris");
    boris.ask_to_join("#a");
    boris.is_welcomed();
    let mut anna = Peer::join(server.port, &ANNA, "Anna");
    anna.ask_to_join("#a");
    anna.is_welcomed();
    for round in 0..20 {
        let room = RoomName::parse("#a").unwrap();
        let again = ToServer::Join { room: room.clone(), password: String::new(), cursor: 0 };
        anna.record(&[ToServer::Leave(room).encode(), again.encode()].concat());
        anna.is_welcomed();
        let is_back = |message: &ToClient| {
            matches!(message, ToClient::Event { event: Event::Joined { who: session, .. }, .. } if *session == anna.number)
                .then_some(())
        };
        boris.wait_for(is_back);
        let said = boris.saying("#a", format!("round {round}").as_bytes());
        boris.send(&said);
        assert_eq!(anna.hears_raw(), (boris.number, format!("round {round}")));
    }
    still_serves(server.port);
}

/// PROTOCOL.md 6.6-1.
#[test]
fn who_is_refused_has_taken_no_name_and_replaced_nobody() {
    let server = Server::start();
    let mut boris = Peer::join(server.port, &BORIS, "Boris");
    // As many joins as a minute has: the last of them are refused.
    let refused = (0..20).filter(|_| {
        let mut other = Peer::enter(server.port, &BORIS, "Boris2");
        other.ask_to_join("#other");
        let answer = other.hear();
        matches!(answer, Some(ToClient::Error { code: ErrorCode::Refused, .. }))
    });
    assert!(refused.count() >= 4);
    let mut again = Peer::enter(server.port, &BORIS, "Boris");
    again.ask_to_join("#lobby");
    assert!(matches!(again.hear(), Some(ToClient::Error { code: ErrorCode::Refused, .. })));
    let mut squatter = Peer::enter(server.port, &BORIS, "Ivan");
    squatter.ask_to_join("#lobby");
    assert!(matches!(squatter.hear(), Some(ToClient::Error { code: ErrorCode::Refused, .. })));
    boris.say_raw("I am still here");
    assert_eq!(boris.is_answered(), Answer::Accepted(boris.n));
    Peer::join(server.port, &ANNA, "Ivan");
}
