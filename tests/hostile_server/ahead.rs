//! Numbers as far ahead as they can be: of keys, messages, boxes, changes and times. None of them costs more than a
//! thousand steps of a chain, and none is taken for another.

use std::iter;

use cfb_chat::chat::message::{Event, ToClient};
use cfb_chat::chat::name::RoomName;
use cfb_chat::net::secure_channel::now_in_millis;
use cfb_chat::secure::e2e::body::{BodyKind, MessageBody};

use super::forger::{Forger, seal};
use crate::support::hostile_server::{HostileServer, MALLORY, Member, Stage, home, padded};

const FAR: u64 = 1_000_000;
const TOO_FAR: &str = "[!] A message from Mallory could not be opened: too much is missing before it.";

/// PROTOCOL.md 7.1-3.
#[test]
fn a_key_may_be_any_number_of_messages_ahead_and_the_gap_is_shown() {
    // Of those who were there before, the first key is the beginning.
    let (mut ira, mut mallory) = (Member::ira(), Member::mallory());
    let mut stage = Stage::with(&[&ira]);
    stage.joins(&mallory);
    stage.told();
    for member in [&mut ira, &mut mallory] {
        member.renews_key(FAR);
        stage.shares(member);
        stage.says(member, "far ahead");
    }
    stage.is_told("[!] 1000000 messages from Mallory are missing.");
    mallory.renews_key(3 * FAR);
    stage.shares(&mut mallory);
    stage.is_told("[!] 1999999 messages from Mallory are missing.");
    stage.says(&mut mallory, "farther");
    // A new key that goes back opens nothing that has come before.
    mallory.renews_key(0);
    stage.shares(&mut mallory);
    let envelope = stage.envelope_from(&mut mallory, "back at the beginning");
    stage.relays(&mallory, envelope);
    stage.is_told("[!] Dropped: a repeated message from Mallory.");
    stage.says(&mut ira, "nothing is missing of me");
    let talk = ["Ira: far ahead", "Mallory: far ahead", "Mallory: farther", "Ira: nothing is missing of me"];
    assert_eq!(stage.talk(), talk);
    stage.ends();
}

#[test]
fn a_message_is_opened_a_thousand_steps_ahead_of_its_key_and_no_further() {
    let mut mallory = Member::mallory();
    let mut stage = Stage::with(&[&mallory]);
    stage.shares(&mut mallory);
    stage.told();
    let mut all: Vec<Vec<u8>> =
        iter::repeat_with(|| stage.envelope_from(&mut mallory, "far ahead")).take(1_002).collect();
    stage.relays(&mallory, all.remove(1_001));
    stage.is_told(TOO_FAR);
    stage.relays(&mallory, all.remove(1_000));
    stage.is_told("[!] 1000 messages from Mallory are missing.");
    stage.relays(&mallory, all.remove(999));
    stage.is_told("[!] Dropped: a repeated message from Mallory.");
    stage.client.sees("Mallory", "far ahead");
    assert_eq!(stage.talk(), ["Mallory: far ahead"]);
    stage.ends();
}

/// To open one of these the chain would have to be walked for longer than anybody waits.
#[test]
fn messages_far_ahead_of_their_key_are_refused_without_a_walk() {
    let mut ira = Member::ira();
    let mut stage = Stage::with(&[&ira]);
    stage.shares(&mut ira);
    let mut forger = Forger::comes_in(&mut stage, &MALLORY, "Mallory");
    let boxed = forger.key(&stage, [1; 8], 0, &[7; 32]);
    stage.event(Event::Shared { who: forger.session, boxed });
    stage.told();
    let ahead = [1_001, FAR, u64::MAX / 2, u64::MAX - 1, u64::MAX];
    let counters = ahead.iter().cycle().take(500);
    let envelopes: Vec<Vec<u8>> = counters.map(|counter| forger.envelope(&stage, [1; 8], *counter, &[0; 96])).collect();
    for envelope in envelopes {
        let event = stage.said_by(forger.session, envelope);
        stage.event(event);
    }
    let told = stage.told();
    assert!(told.len() == 500 && told.iter().all(|line| line == TOO_FAR), "{told:#?}");
    // A thousand steps are walked for each, to no effect.
    for _ in 0..100 {
        let event = stage.said_by(forger.session, forger.envelope(&stage, [1; 8], 1_000, &[0; 96]));
        stage.event(event);
    }
    let told = stage.told();
    let words = "[!] A message from Mallory could not be opened: it does not fit its key.";
    assert!(told.len() == 100 && told.iter().all(|line| line == words), "{told:#?}");
    let event =
        stage.said_by(forger.session, forger.envelope(&stage, [1; 8], 0, &seal(&[7; 32], &padded("the first"))));
    stage.event(event);
    stage.client.sees("Mallory", "the first");
    stage.says(&mut ira, "still here");
    assert!(stage.told().is_empty());
    stage.ends();
}

#[test]
fn the_last_numbers_that_there_are_stop_only_whoever_uses_them() {
    let mut ira = Member::ira();
    let mut stage = Stage::with(&[&ira]);
    stage.shares(&mut ira);
    let mut forger = Forger::comes_in(&mut stage, &MALLORY, "Mallory");
    let session = forger.session;
    stage.told();
    let boxed = forger.key(&stage, [1; 8], u64::MAX - 1, &[7; 32]);
    stage.event(Event::Shared { who: session, boxed });
    stage.is_told("[!] 18446744073709551614 messages from Mallory are missing.");
    let event = stage
        .said_by(forger.session, forger.envelope(&stage, [1; 8], u64::MAX - 1, &seal(&[7; 32], &padded("almost"))));
    stage.event(event);
    stage.client.sees("Mallory", "almost");
    for key in [[1; 8], [2; 8]] {
        let boxed = forger.key(&stage, key, u64::MAX, &[7; 32]);
        stage.event(Event::Shared { who: session, boxed });
        assert!(stage.told().is_empty(), "it is the one that is due");
        let envelope = forger.envelope(&stage, key, u64::MAX, &seal(&[7; 32], &padded("there is no next")));
        let event = stage.said_by(forger.session, envelope);
        stage.event(event);
        stage.is_told(TOO_FAR);
    }
    let boxed = forger.boxed(&stage, "whisper", u64::MAX, &padded("the last box"));
    stage.event(Event::Whispered { who: session, boxed });
    stage.client.process.out.wait_for("[whisper from Mallory] the last box");
    stage.is_told("[!] 18446744073709551611 private messages (or keys) from Mallory are missing.");
    for count in [0, 1, u64::MAX] {
        let boxed = forger.boxed(&stage, "whisper", count, &padded("one more"));
        stage.event(Event::Whispered { who: session, boxed });
        stage.is_told("[!] Dropped: a whisper from Mallory, a repeated one.");
    }
    stage.says(&mut ira, "still here");
    stage.whispers(&mut ira, "and here");
    stage.talks_to(&mut ira, "so am I");
    let talk =
        ["Mallory: almost", "[whisper from Mallory] the last box", "Ira: still here", "[whisper from Ira] and here"];
    assert_eq!(stage.talk(), talk);
    stage.ends();
}

/// PROTOCOL.md 7.3-17, 7.3-18.
#[test]
fn times_that_are_none_are_shown_as_such_and_clocks_that_differ_are_told() {
    let mut ira = Member::ira();
    let mut stage = Stage::with(&[&ira]);
    stage.shares(&mut ira);
    let now = now_in_millis();
    let cases =
        [(now, now), (0, now), (u64::MAX, now), (now, 0), (now, now + 300_000), (now, now + 301_000), (now, u64::MAX)];
    for (number, (sent_at, at)) in cases.into_iter().enumerate() {
        let said = MessageBody { sent_at, kind: BodyKind::Text, text: format!("of time {number}.") };
        let envelope = ira.key.seal(&said.pad()).sign(&ira.credential, stage.server, "#lobby", stage.roster());
        let event = stage.said(&ira, envelope);
        stage.event_at(at, event);
        let line = stage.client.process.out.wait_for(&format!(" Ira: of time {number}."));
        // The fourth goes back, and is shown as the one before.
        assert_eq!(line.contains(" (came "), ![0, 3, 4].contains(&number), "{line}");
        assert_eq!(line.starts_with("????-??-?? ??:??:?? "), number == 2, "{line}");
        assert_eq!(line.contains("(came ????-??-?? ??:??:??)"), number == 6, "{line}");
    }
    stage.ends();
}

#[test]
fn the_last_change_that_there_is_has_no_next() {
    let (ira, mut mallory) = (Member::ira(), Member::mallory());
    let mut stage = HostileServer::start().meets(home(""), &[]);
    stage.introduces(&[&ira]);
    stage.change = u64::MAX - 1;
    stage.tell(&[ToClient::Welcome(stage.welcome())]);
    stage.joins(&mallory);
    stage.shares(&mut mallory);
    stage.says(&mut mallory, "the last to come");
    let (room, change, one_more) = (RoomName::lobby(), u64::MAX, Member::mallory());
    stage.tell(&[one_more.person()]);
    stage.event(Event::Joined { room, who: one_more.session(), change });
    let ended = stage.client.process.wait();
    assert_eq!(ended.status, Some(8), "{}", ended.err);
    assert!(ended.err.contains("the server hides who is here"), "{}", ended.err);
}
