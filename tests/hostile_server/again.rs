//! "Again", the one answer after which something is sent a second time: when it may be given, what is sent then, and who
//! can read it.

use std::time::{Duration, Instant};

use cfb_chat::chat::message::{ErrorCode, Numbered, ToClient};
use cfb_chat::wire::codec::Reader;

use crate::support::hostile_server::{Member, Stage};

/// A room with Ira, who has the client's key and has read a first message; and that message.
fn talking_to_ira() -> (Stage, Member) {
    let mut ira = Member::ira();
    let mut stage = Stage::with(&[&ira]);
    stage.told();
    assert_eq!(stage.talks_to(&mut ira, "first"), [ira.number()]);
    (stage, ira)
}

/// The next thing that the client says to the room: its number, and the envelope.
fn say(stage: &mut Stage) -> (u64, Vec<u8>) {
    match stage.hear_numbered() {
        (n, Numbered::Say { change, envelope, .. }) if change == stage.change => (n, envelope),
        other => panic!("nothing said for the room as it is: {other:?}"),
    }
}

/// An envelope's key, counter and sealed text.
fn parts(envelope: &[u8]) -> ([u8; 8], u64, Vec<u8>) {
    let mut reader = Reader::new(envelope);
    assert_eq!(reader.array(), Ok(4));
    (reader.bytes_exact().unwrap(), reader.uint().unwrap(), reader.bytes().unwrap().to_vec())
}

fn again(n: u64) -> ToClient {
    ToClient::Error { code: ErrorCode::Again, text: "no".into(), n }
}

/// PROTOCOL.md 6.3-8, 7.3-11.
#[test]
fn what_comes_again_is_what_it_was_signed_anew_and_not_too_fast() {
    let (mut stage, mut ira) = talking_to_ira();
    stage.client.says("second");
    let (n, before) = say(&mut stage);
    let mut waited = Vec::new();
    for _ in 0..3 {
        let told = Instant::now();
        stage.tell(&[again(n)]);
        let (same_n, envelope) = say(&mut stage);
        waited.push(told.elapsed());
        assert_eq!((same_n, &envelope), (n, &before), "nothing is sealed twice under one key");
    }
    // The first time at once; then after 200 ms, doubled, for the room has not changed.
    assert!(waited[1] >= Duration::from_millis(200) && waited[2] >= Duration::from_millis(400), "{waited:?}");
    stage.tell(&[ToClient::Accepted(n)]);
    assert_eq!(ira.reads(&stage, &before), "second");
    stage.ends();
}

/// PROTOCOL.md 7.3-6.
#[test]
fn who_comes_before_it_is_taken_is_told_of_and_then_given_the_same_sealed_text() {
    let (mut stage, mut ira) = talking_to_ira();
    stage.client.says("second");
    let (n, before) = say(&mut stage);
    let mut ghost = Member::mallory();
    stage.joins(&ghost);
    stage.tell(&[again(n)]);
    let (share, boxes) = match stage.hear_numbered() {
        (share, Numbered::Share(boxes)) => (share, boxes),
        other => panic!("no key for the newcomer: {other:?}"),
    };
    let to: Vec<_> = boxes.iter().map(|(to, _)| *to).collect();
    assert_eq!((share, &to[..]), (n, &[ghost.number()][..]), "the key takes its number, and goes to nobody else");
    let (next, envelope) = say(&mut stage);
    assert_eq!((next, parts(&envelope)), (n + 1, parts(&before)));
    assert_ne!(envelope, before, "it is signed for other people");
    stage.tell(&[ToClient::Accepted(n), ToClient::Accepted(n + 1)]);
    stage.is_told_of("[!] First contact with Mallory.");
    ghost.takes_key(&stage, &boxes);
    for reader in [&mut ira, &mut ghost] {
        assert_eq!(reader.reads(&stage, &envelope), "second");
    }
    assert_eq!(stage.talks_to(&mut ghost, "third"), []);
    stage.ends();
}

/// PROTOCOL.md 7.3-2, 7.3-7.
#[test]
fn who_leaves_before_it_is_taken_does_not_get_it_and_it_keeps_its_counter() {
    let (mut stage, mut ira) = talking_to_ira();
    let mallory = Member::mallory();
    stage.joins(&mallory);
    stage.told();
    assert_eq!(stage.talks_to(&mut ira, "second"), [mallory.number()]);
    stage.client.says("third");
    let (n, before) = say(&mut stage);
    stage.left(mallory.session());
    stage.tell(&[again(n)]);
    let boxes = match stage.takes() {
        Numbered::Share(boxes) => boxes,
        other => panic!("no new key: {other:?}"),
    };
    let to: Vec<_> = boxes.iter().map(|(to, _)| *to).collect();
    assert_eq!(to, [ira.number()]);
    let (next, envelope) = say(&mut stage);
    assert_eq!(next, n + 1);
    let ((old_key, old_counter, old_text), (key, counter, text)) = (parts(&before), parts(&envelope));
    assert_eq!(counter, old_counter);
    assert!(key != old_key && text != old_text, "sealed anew, under a key that Mallory does not have");
    stage.tell(&[ToClient::Accepted(next)]);
    ira.takes_key(&stage, &boxes);
    assert_eq!(ira.reads(&stage, &envelope), "third");
    stage.ends();
}

/// PROTOCOL.md 7.3-7.
#[test]
fn what_is_refused_for_good_is_told_and_the_next_has_a_new_key() {
    let (mut stage, mut ira) = talking_to_ira();
    stage.client.says("second");
    let (n, before) = say(&mut stage);
    stage.answers(ErrorCode::Large, n);
    stage.is_told_of("[!] Not delivered (it is too long for this server): second");
    stage.client.says("third");
    let Numbered::Share(boxes) = stage.takes() else { panic!("no new key") };
    assert_eq!(boxes.len(), 1);
    ira.takes_key(&stage, &boxes);
    let (n, envelope) = say(&mut stage);
    stage.tell(&[ToClient::Accepted(n)]);
    let ((old_key, old_counter, _), (key, counter, _)) = (parts(&before), parts(&envelope));
    assert_eq!(counter, old_counter + 1, "its place was used up");
    assert_ne!(key, old_key);
    assert_eq!(ira.reads(&stage, &envelope), "third");
    stage.ends();
}

/// PROTOCOL.md 7.1-4.
#[test]
fn keys_and_whispers_that_are_told_again_come_again_and_are_delivered_once() {
    let mut ira = Member::ira();
    let mut stage = Stage::with(&[&ira]);
    stage.client.says("first");
    let (n, key) = stage.hear_numbered();
    let (next, said) = stage.hear_numbered();
    assert!(matches!((&key, &said), (Numbered::Share(_), Numbered::Say { .. })));
    assert_eq!([n, next], [1, 2]);
    stage.tell(&[again(1), again(1)]);
    let Numbered::Share(boxes) = stage.takes() else { panic!("the key goes first") };
    ira.takes_key(&stage, &boxes);
    let (n, envelope) = say(&mut stage);
    stage.tell(&[ToClient::Accepted(n)]);
    assert_eq!((n, ira.reads(&stage, &envelope).as_str()), (2, "first"));

    stage.client.says("/w Ira for you");
    let (n, _) = stage.hear_numbered();
    stage.tell(&[again(n)]);
    let (n, Numbered::Whisper { to, boxed }) = stage.hear_numbered() else { panic!("the whisper comes again") };
    stage.tell(&[ToClient::Accepted(n)]);
    assert_eq!((n, to), (3, ira.number()));
    assert_eq!(ira.hears(&stage, &boxed), "for you", "and is the box that is due");
    stage.client.process.out.wait_for("[whisper to Ira] for you");
    stage.ends();
}
