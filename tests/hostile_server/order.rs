//! What members send, whole, but not as it was sent: left out, again, in another order, as somebody else's, in another
//! room, or from another server.

use cfb_chat::chat::message::Event;
use cfb_chat::chat::name::RoomName;
use cfb_chat::net::secure_channel::now_in_millis;
use cfb_chat::secure::e2e::sealed_box::Purpose;

use crate::support::hostile_server::{Member, Stage, other_server, padded};

/// A room with Ira, whose key the client has, and nothing that is yet to be told of.
fn with_ira() -> (Stage, Member) {
    let mut ira = Member::ira();
    let mut stage = Stage::with(&[&ira]);
    stage.shares(&mut ira);
    stage.told();
    (stage, ira)
}

/// PROTOCOL.md 7.1-3, 7.3-13, 7.3-14.
#[test]
fn what_is_left_out_is_told_of_by_the_next() {
    let (mut stage, mut ira) = with_ira();
    stage.says(&mut ira, "first");
    stage.envelope_from(&mut ira, "left out");
    stage.says(&mut ira, "third");
    stage.is_told("[!] 1 message from Ira is missing.");
    for _ in 0..1_000 {
        stage.envelope_from(&mut ira, "left out");
    }
    stage.says(&mut ira, "much later");
    stage.is_told("[!] 1000 messages from Ira are missing.");
    stage.whisper_from(&mut ira, "left out");
    stage.whispers(&mut ira, "second whisper");
    stage.is_told("[!] 1 private message (or key) from Ira is missing.");
    stage.whisper_from(&mut ira, "left out");
    stage.key_from(&mut ira);
    stage.whispers(&mut ira, "fifth whisper");
    stage.is_told("[!] 2 private messages (or keys) from Ira are missing.");
    let talk = ["Ira: first", "Ira: third", "Ira: much later"];
    assert_eq!(stage.talk()[..3], talk);
    stage.ends();
}

#[test]
fn a_key_that_is_left_out_is_told_of_by_what_it_would_have_opened() {
    let (mut stage, mut ira) = with_ira();
    stage.says(&mut ira, "first");
    ira.renews_key(1);
    stage.key_from(&mut ira);
    let envelope = stage.envelope_from(&mut ira, "under a key that did not come");
    stage.relays(&ira, envelope);
    stage.is_told_of("[!] A message from Ira could not be opened: Ira has not shared the key.");
    ira.renews_key(2);
    stage.shares(&mut ira);
    let told = stage.told();
    let missing = ["[!] 1 private message (or key) from Ira is missing.", "[!] 1 message from Ira is missing."];
    assert_eq!(told, missing);
    stage.says(&mut ira, "third");
    assert_eq!(stage.talk(), ["Ira: first", "Ira: third"]);
    stage.ends();
}

#[test]
fn what_comes_again_is_dropped_and_told_of() {
    let (mut stage, mut ira) = with_ira();
    let said = stage.envelope_from(&mut ira, "once");
    let whisper = stage.whisper_from(&mut ira, "once too");
    let key = stage.key_from(&mut ira);
    let session = ira.session();
    for times in 0..3 {
        stage.relays(&ira, said.clone());
        stage.event(Event::Whispered { who: session, boxed: whisper.clone() });
        stage.event(Event::Shared { who: session, boxed: key.clone() });
        let again = [
            "[!] Dropped: a repeated message from Ira.",
            "[!] Dropped: a whisper from Ira, a repeated one.",
            "[!] Dropped: a key from Ira, a repeated one.",
        ];
        // The second key box has a place in the chain that is behind: the first time it is that which is told.
        let told = stage.told();
        if times > 0 {
            assert_eq!(told, again);
        } else {
            assert_eq!(told, again[2..]);
        }
    }
    stage.says(&mut ira, "after");
    assert!(stage.told().is_empty());
    assert_eq!(stage.talk(), ["Ira: once", "[whisper from Ira] once too", "Ira: after"]);
    stage.ends();
}

#[test]
fn what_overtakes_is_shown_with_its_gap_and_what_it_overtook_is_dropped() {
    let (mut stage, mut ira) = with_ira();
    let [first, second, third] = ["first", "second", "third"].map(|text| stage.envelope_from(&mut ira, text));
    for envelope in [third, first, second] {
        stage.relays(&ira, envelope);
    }
    let dropped = "[!] Dropped: a repeated message from Ira.";
    assert_eq!(stage.told(), ["[!] 2 messages from Ira are missing.", dropped, dropped]);
    let session = ira.session();
    let [first, second] = ["first", "second"].map(|text| stage.whisper_from(&mut ira, text));
    for boxed in [second, first] {
        stage.event(Event::Whispered { who: session, boxed });
    }
    let dropped = "[!] Dropped: a whisper from Ira, a repeated one.";
    assert_eq!(stage.told(), ["[!] 1 private message (or key) from Ira is missing.", dropped]);
    stage.says(&mut ira, "fourth");
    assert_eq!(stage.talk(), ["Ira: third", "[whisper from Ira] second", "Ira: fourth"]);
    stage.ends();
}

#[test]
fn one_members_words_are_not_shown_as_anothers() {
    let (mut ira, mut mallory) = (Member::ira(), Member::mallory());
    let mut stage = Stage::with(&[&ira, &mallory]);
    stage.shares(&mut ira);
    stage.shares(&mut mallory);
    stage.told();
    let (by_ira, by_mallory) = (stage.envelope_from(&mut ira, "Ira's"), stage.envelope_from(&mut mallory, "Mallory's"));
    stage.relays(&ira, by_mallory.clone());
    stage.is_told_of("REFUSED: a message in Ira's name");
    stage.relays(&mallory, by_ira.clone());
    stage.is_told_of("REFUSED: a message in Mallory's name");
    let (to, from) = (stage.whisper_from(&mut ira, "Ira's"), mallory.session());
    stage.event(Event::Whispered { who: from, boxed: to });
    stage.is_told("[!] REFUSED: a whisper in Mallory's name with an invalid signature.");
    let boxed = stage.key_from(&mut ira);
    stage.event(Event::Shared { who: from, boxed });
    stage.is_told("[!] REFUSED: a key in Mallory's name with an invalid signature.");
    stage.relays(&ira, by_ira);
    stage.relays(&mallory, by_mallory);
    stage.says(&mut ira, "the last");
    assert!(stage.told().is_empty(), "in their own names nothing is amiss with them");
    assert_eq!(stage.talk(), ["Ira: Ira's", "Mallory: Mallory's", "Ira: the last"]);
    stage.ends();
}

#[test]
fn what_was_said_in_another_room_is_not_shown_in_this_one() {
    let (mut stage, mut ira) = with_ira();
    let roster = stage.roster();
    let elsewhere = ira.key.seal(&padded("elsewhere")).sign(&ira.credential, stage.server, "#other", roster);
    stage.relays(&ira, elsewhere);
    stage.is_told_of("REFUSED: a message in Ira's name");
    let text = ira.key.shared("#other");
    let boxed = ira.boxes_up(&stage.keys, stage.server, Purpose::Key, &text);
    stage.event(Event::Shared { who: ira.session(), boxed });
    stage.is_told_of("[!] A key from Ira could not be opened");
    stage.says(&mut ira, "here");
    stage.is_told("[!] 1 message from Ira is missing.");
    let envelope = stage.envelope_from(&mut ira, "here, but said to be there");
    let (room, session, change) = (RoomName::parse("#other").unwrap(), ira.session(), stage.change);
    stage.event(Event::Said { room, who: session, change, envelope });
    stage.ends_for("an event that was not due", &["Ira: here"]);
}

#[test]
fn what_was_sealed_for_another_server_is_not_shown_on_this_one() {
    let (mut stage, mut ira) = with_ira();
    let (roster, session) = (stage.roster(), ira.session());
    let envelope = ira.key.seal(&padded("not here")).sign(&ira.credential, other_server(), "#lobby", roster);
    stage.relays(&ira, envelope);
    stage.is_told_of("REFUSED: a message in Ira's name");
    let boxed = ira.boxes_up(&stage.keys, other_server(), Purpose::Whisper, &padded("not here"));
    stage.event(Event::Whispered { who: session, boxed });
    stage.is_told("[!] REFUSED: a whisper in Ira's name with an invalid signature.");
    let key = ira.key.shared("#lobby");
    let boxed = ira.boxes_up(&stage.keys, other_server(), Purpose::Key, &key);
    stage.event(Event::Shared { who: session, boxed });
    stage.is_told("[!] REFUSED: a key in Ira's name with an invalid signature.");
    let letter = ira.letter("Ira", &stage.identity, other_server(), now_in_millis(), "not here");
    stage.event(Event::Letter(letter));
    stage.is_told("[!] A letter was refused: it is addressed to another user, or to another server.");
    stage.whispers(&mut ira, "here");
    stage.says(&mut ira, "and here");
    assert_eq!(stage.talk(), ["[whisper from Ira] here", "Ira: and here"]);
    stage.ends();
}

#[test]
fn a_box_for_somebody_else_is_not_opened() {
    let (mut stage, mut ira) = with_ira();
    let other = Member::mallory();
    stage.joins(&other);
    stage.told();
    let boxed = ira.boxes_up(&other.keys(), stage.server, Purpose::Whisper, &padded("for Mallory"));
    stage.event(Event::Whispered { who: ira.session(), boxed });
    stage.is_told("[!] REFUSED: a whisper in Ira's name with an invalid signature.");
    stage.whispers(&mut ira, "for you");
    assert_eq!(stage.talk(), ["[whisper from Ira] for you"]);
    stage.ends();
}

/// PROTOCOL.md 7.3-17.
#[test]
fn a_time_that_goes_back_is_shown_as_the_last_one() {
    let (mut stage, mut ira) = with_ira();
    let now = now_in_millis();
    for (at, text) in
        [(now, "in time"), (now - 3_600_000, "by a clock that was set back"), (0, "by one without a time")]
    {
        let envelope = stage.envelope_from(&mut ira, text);
        let said = stage.said(&ira, envelope);
        stage.event_at(at, said);
        stage.client.sees("Ira", text);
    }
    let boxed = stage.whisper_from(&mut ira, "whispered an hour ago");
    stage.event_at(now - 3_600_000, Event::Whispered { who: ira.session(), boxed });
    stage.client.process.out.wait_for("whispered an hour ago");
    let shown = stage.client.process.out.so_far();
    assert!(!format!("{shown:?}").contains("(came"), "{shown:?}");
    stage.ends();
}
