//! Events in the name of somebody who is not in the room, or of the reader.

use cfb_chat::chat::message::{Event, LeftReason, Numbered, SessionId, ToClient};
use cfb_chat::chat::name::RoomName;

use crate::support::hostile_server::{Happened, Member, Stage, said_at};

/// Everything that can come from a session: something said, a key, a whisper.
fn all_from(stage: &Stage, session: SessionId, maker: &mut Member) -> [Happened; 3] {
    let (envelope, key) = (stage.envelope_from(maker, "believe me"), stage.key_from(maker));
    let boxed = stage.whisper_from(maker, "believe me");
    [
        stage.said_by(session, envelope),
        Event::Shared { who: session, boxed: key },
        Event::Whispered { who: session, boxed },
    ]
}

/// PROTOCOL.md 6.6-9.
#[test]
fn nothing_is_shown_of_somebody_who_is_not_in_the_room() {
    let (mut ira, mut mallory) = (Member::ira(), Member::mallory());
    let mut stage = Stage::with(&[&ira]);
    stage.shares(&mut ira);
    stage.tell(&[mallory.person()]);
    stage.told();
    for event in all_from(&stage, mallory.session(), &mut mallory) {
        stage.event(event);
        stage.is_told("[!] REFUSED: a message from Mallory, who is not in the room.");
    }
    // What had no effect then has its place when they come in; and none when they have left.
    mallory = Member::mallory();
    stage.joins(&mallory);
    stage.shares(&mut mallory);
    stage.says(&mut mallory, "here I am");
    stage.whispers(&mut mallory, "hear me");
    stage.left(mallory.session());
    stage.told();
    for event in all_from(&stage, mallory.session(), &mut mallory) {
        stage.event(event);
        stage.is_told("[!] REFUSED: a message from Mallory, who is not in the room.");
    }
    stage.says(&mut ira, "they are gone");
    assert_eq!(stage.talk(), ["Mallory: here I am", "[whisper from Mallory] hear me", "Ira: they are gone"]);
    stage.ends();
}

/// PROTOCOL.md 7.1-2, 7.3-13.
#[test]
fn a_key_from_before_somebody_left_opens_nothing_when_they_are_back_and_counts_go_on() {
    let mut ira = Member::ira();
    let mut stage = Stage::with(&[&ira]);
    stage.shares(&mut ira);
    stage.says(&mut ira, "before");
    stage.left(ira.session());
    stage.joins(&ira);
    stage.told();
    let envelope = stage.envelope_from(&mut ira, "under the old key");
    stage.relays(&ira, envelope);
    stage.is_told_of("[!] A message from Ira could not be opened: Ira has not shared the key.");
    ira.renews_key(1);
    stage.shares(&mut ira);
    stage.says(&mut ira, "under a new key");
    assert!(stage.told().is_empty(), "boxes and messages are counted on");
    assert_eq!(stage.talk(), ["Ira: before", "Ira: under a new key"]);
    stage.ends();
}

/// PROTOCOL.md 6.6-8.
#[test]
fn nothing_is_shown_in_ones_own_name_that_one_has_not_said() {
    let (mut ira, mut mallory) = (Member::ira(), Member::mallory());
    let mut stage = Stage::with(&[&ira, &mallory]);
    stage.shares(&mut ira);
    stage.told();
    let own = stage.session();
    for event in all_from(&stage, own, &mut mallory) {
        stage.event(event);
    }
    // One's own words, handed back: they are not said again.
    stage.client.says("my own words");
    let (n, _) = stage.hear_numbered();
    let (m, said) = stage.hear_numbered();
    stage.tell(&[n, m].map(ToClient::Accepted));
    let Numbered::Say { envelope, change, .. } = said else { panic!("said nothing") };
    let said = said_at(change, own, envelope);
    stage.event(said);
    stage.says(&mut ira, "that was all");
    assert_eq!(stage.talk(), ["Ira: that was all"]);
    stage.ends();
}

#[test]
fn who_is_put_out_of_the_room_is_told_so() {
    let ira = Member::ira();
    let mut stage = Stage::with(&[&ira]);
    stage.told();
    let (session, change) = (stage.session(), stage.change + 1);
    stage.event(Event::Left { room: RoomName::lobby(), who: session, change, reason: LeftReason::Kicked });
    let told = stage.told();
    assert!(!told.is_empty(), "somebody who is not in the room any more should know it");
}
