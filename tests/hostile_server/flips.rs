//! Every byte of what members send through the server, changed on the way: none of it is shown, all of it is told of,
//! and what was not changed is shown after.

use cfb_chat::chat::message::{Event, Person, SessionId, ToClient};
use cfb_chat::chat::name::RoomName;
use cfb_chat::net::secure_channel::now_in_millis;
use cfb_chat::secure::credential::CredentialBundle;

use crate::support::hostile_server::{Happened, Member, Stage, numbered};

/// Every one that differs from `bytes` in one bit, of these.
fn flipped(bytes: &[u8], bits: &[u8]) -> Vec<Vec<u8>> {
    let all = (0..bytes.len()).flat_map(|at| bits.iter().map(move |bit| (at, bit)));
    let flip = |(at, bit): (usize, &u8)| {
        let mut bent = bytes.to_vec();
        bent[at] ^= bit;
        bent
    };
    all.map(flip).collect()
}

const EVERY_BIT: [u8; 8] = [1, 2, 4, 8, 16, 32, 64, 128];

/// Sends all of these as events; each is told of in a line of its own, which names `whose` and says that nothing is
/// shown.
fn each_is_told_of(stage: &mut Stage, bent: Vec<Happened>, whose: &str) {
    let count = bent.len();
    let events: Vec<ToClient> = bent.into_iter().map(|event| stage.next(event)).collect();
    stage.tell(&events);
    let told = stage.told();
    let refused = |line: &&String| {
        line.starts_with("[!] ")
            && line.contains(whose)
            && ["REFUSED", "could not be opened", "was refused"].iter().any(|words| line.contains(words))
    };
    assert_eq!(told.iter().filter(refused).count(), count, "{told:#?}");
    assert_eq!(told.len(), count, "and of nothing else");
}

/// PROTOCOL.md 7-1.
#[test]
fn an_envelope_of_which_any_bit_was_flipped_is_not_shown() {
    let mut ira = Member::ira();
    let mut stage = Stage::with(&[&ira]);
    stage.shares(&mut ira);
    stage.told();
    let envelope = stage.envelope_from(&mut ira, "as it was written");
    let bent = flipped(&envelope, &EVERY_BIT).into_iter().map(|envelope| stage.said(&ira, envelope)).collect();
    each_is_told_of(&mut stage, bent, "Ira");
    stage.relays(&ira, envelope);
    stage.client.sees("Ira", "as it was written");
    stage.says(&mut ira, "and more");
    assert!(stage.told().is_empty(), "nothing is missing");
    assert_eq!(stage.talk(), ["Ira: as it was written", "Ira: and more"]);
    stage.talks_to(&mut ira, "I am here");
    stage.ends();
}

/// PROTOCOL.md 7-1, 7-3.
#[test]
fn a_whisper_of_which_any_bit_was_flipped_is_not_shown() {
    let mut ira = Member::ira();
    let mut stage = Stage::with(&[&ira]);
    stage.told();
    let whisper = stage.whisper_from(&mut ira, "for you alone");
    let session = ira.session();
    let bent =
        flipped(&whisper, &EVERY_BIT).into_iter().map(|boxed| Event::Whispered { who: session, boxed }).collect();
    each_is_told_of(&mut stage, bent, "Ira");
    // A box for one thing is none for another.
    each_is_told_of(&mut stage, vec![Event::Shared { who: session, boxed: whisper.clone() }], "Ira");
    stage.event(Event::Whispered { who: session, boxed: whisper });
    stage.client.process.out.wait_for(" [whisper from Ira] for you alone");
    stage.whispers(&mut ira, "and more");
    assert!(stage.told().is_empty(), "nothing is missing");
    assert_eq!(stage.talk(), ["[whisper from Ira] for you alone", "[whisper from Ira] and more"]);
    stage.ends();
}

#[test]
fn a_key_of_which_any_bit_was_flipped_opens_nothing() {
    let mut ira = Member::ira();
    let mut stage = Stage::with(&[&ira]);
    stage.told();
    let key = stage.key_from(&mut ira);
    let session = ira.session();
    let bent = flipped(&key, &EVERY_BIT).into_iter().map(|boxed| Event::Shared { who: session, boxed }).collect();
    each_is_told_of(&mut stage, bent, "Ira");
    each_is_told_of(&mut stage, vec![Event::Whispered { who: session, boxed: key.clone() }], "Ira");
    let envelope = stage.envelope_from(&mut ira, "Hi");
    stage.relays(&ira, envelope.clone());
    stage.is_told_of("[!] A message from Ira could not be opened: Ira has not shared the key.");
    stage.event(Event::Shared { who: session, boxed: key });
    stage.relays(&ira, envelope);
    stage.client.sees("Ira", "Hi");
    assert!(stage.told().is_empty(), "nothing is missing");
    assert_eq!(stage.talk(), ["Ira: Hi"]);
    stage.ends();
}

#[test]
fn a_letter_of_which_any_byte_was_changed_is_not_shown() {
    let ira = Member::ira();
    let mut stage = Stage::with(&[]);
    stage.told();
    let letter = ira.letter("Ira", &stage.identity, stage.server, now_in_millis(), "as it was written");
    let bent = flipped(&letter, &[1]).into_iter().map(Event::Letter).collect();
    each_is_told_of(&mut stage, bent, "A letter");
    stage.event(Event::Letter(letter));
    stage.client.process.out.wait_for("[letter from Ira, without forward secrecy] as it was written");
    assert_eq!(stage.talk(), ["[letter from Ira, without forward secrecy] as it was written"]);
    assert_eq!(stage.client.folder.read("letters_seen").lines().count(), 1, "the others were not kept");
    stage.ends();
}

/// PROTOCOL.md 6.6-6.
#[test]
fn a_person_of_whom_any_byte_was_changed_is_nobody() {
    let mut ira = Member::ira();
    let mallory = Member::mallory();
    let mut stage = Stage::with(&[&mallory]);
    stage.told();
    let Person { spki, credential, signature, .. } = ira.as_person();
    let spkis = flipped(&spki, &[1]).into_iter().map(|spki| Person { spki, ..ira.as_person() });
    let credentials = flipped(&credential, &[1]).into_iter().map(|credential| Person { credential, ..ira.as_person() });
    let signatures = flipped(&signature, &[1]).into_iter().map(|signature| Person { signature, ..ira.as_person() });
    let bent: Vec<Person> = spkis.chain(credentials).chain(signatures).collect();
    let count = bent.len();
    for person in bent {
        let Person { spki, credential, signature, .. } = &person;
        let session = SessionId(CredentialBundle { spki, credential, signature }.session());
        stage.tell(&[numbered(person)]);
        stage.joined(session);
        let said = Event::Said { room: RoomName::lobby(), who: session, change: stage.change, envelope: vec![0; 200] };
        stage.event(said);
        stage.left(session);
    }
    let told = stage.told();
    let words = "[!] A member's messages are hidden: their credential does not hold.";
    assert!(told.iter().all(|line| line == words), "{told:#?}");
    assert_eq!(told.len(), count);
    stage.joins(&ira);
    stage.is_told_of("[!] First contact with Ira.");
    stage.shares(&mut ira);
    stage.says(&mut ira, "it is me");
    assert_eq!(stage.talk(), ["Ira: it is me"]);
    let screen = stage.client.process.out.so_far();
    assert_eq!(screen.matches(" joined the room.").count(), 1, "{screen}");
    assert!(!screen.contains(" left the room."), "{screen}");
    stage.ends();
}
