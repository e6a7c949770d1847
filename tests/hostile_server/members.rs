//! A member who means harm, with a credential as good as anybody's: it is their own words that are not shown, and the
//! others go on.

use cfb_chat::chat::message::{Event, ToClient, Welcome};
use cfb_chat::secure::e2e::body::{BodyKind, MessageBody};
use cfb_chat::secure::e2e::sealed_box::Purpose;
use cfb_chat::wire::codec::Writer;

use super::forger::{Forger, key_text, seal};
use crate::support::acting_character;
use crate::support::hostile_server::{HostileServer, MALLORY, Member, Stage, home, padded};

#[test]
fn whoever_has_the_chain_of_another_cannot_speak_with_it() {
    let (mut ira, mut mallory) = (Member::ira(), Member::mallory());
    let mut stage = Stage::with(&[&ira, &mallory]);
    stage.shares(&mut ira);
    stage.shares(&mut mallory);
    stage.told();
    // Sealed with Ira's chain, which every reader has; signed by whoever wrote it.
    let sealed = ira.key.seal(&padded("forged"));
    let forged = sealed.sign(&mallory.credential, stage.server, "#lobby", stage.roster());
    stage.relays(&ira, forged.clone());
    stage.is_told_of("[!] REFUSED: a message in Ira's name");
    stage.relays(&mallory, forged);
    stage.is_told_of("[!] A message from Mallory could not be opened: Mallory has not shared the key.");
    // Not even if Mallory hands Ira's chain out as Mallory's own: it is Mallory who has said it then.
    let key = ira.key.shared("#lobby");
    let boxed = mallory.boxes_up(&stage.keys, stage.server, Purpose::Key, &key);
    stage.event(Event::Shared { who: mallory.session(), boxed });
    let mine = ira.key.seal(&padded("with a borrowed chain"));
    let mine = mine.sign(&mallory.credential, stage.server, "#lobby", stage.roster());
    stage.relays(&mallory, mine);
    stage.client.sees("Mallory", "with a borrowed chain");
    stage.is_told("[!] 1 message from Mallory is missing.");
    stage.says(&mut ira, "my own words");
    stage.is_told("[!] 2 messages from Ira are missing.");
    assert_eq!(stage.talk(), ["Mallory: with a borrowed chain", "Ira: my own words"]);
    stage.ends();
}

/// PROTOCOL.md 7.3-16.
#[test]
fn a_wrong_chain_opens_nothing_and_harms_nobody_else() {
    let (mut ira, mut mallory) = (Member::ira(), Member::mallory());
    let mut stage = Stage::with(&[&ira, &mallory]);
    stage.shares(&mut ira);
    let envelope = stage.envelope_from(&mut mallory, "cannot be read");
    // The box names the key that the message names, with another chain behind it.
    let id = &envelope[2..10];
    let boxed = mallory.boxes_up(&stage.keys, stage.server, Purpose::Key, &key_text("#lobby", id, 0, &[9; 32]));
    stage.event(Event::Shared { who: mallory.session(), boxed });
    stage.told();
    for _ in 0..3 {
        stage.relays(&mallory, envelope.clone());
        stage.is_told("[!] A message from Mallory could not be opened: it does not fit its key.");
        stage.says(&mut ira, "I can be read");
    }
    // The right one mends it.
    stage.shares(&mut mallory);
    stage.relays(&mallory, envelope);
    stage.client.sees("Mallory", "cannot be read");
    assert_eq!(stage.talk().len(), 4);
    stage.ends();
}

/// PROTOCOL.md 7-2, 7.1-6.
#[test]
fn what_is_sealed_well_and_is_no_text_is_not_shown() {
    let mut ira = Member::ira();
    let mut stage = Stage::with(&[&ira]);
    stage.shares(&mut ira);
    let mut forger = Forger::comes_in(&mut stage, &MALLORY, "Mallory");
    let session = forger.session;
    stage.told();
    let text = |text: &str| MessageBody { sent_at: 1, kind: BodyKind::Text, text: text.into() }.pad();
    let mut unmarked = text("no end");
    unmarked[63] = 1;
    let no_utf8: Vec<u8> = text("x?x").into_iter().map(|byte| if byte == b'?' { 0xff } else { byte }).collect();
    let longer = [text("padded too far"), vec![0; 64]].concat();
    let unreadable = [
        vec![],
        vec![0; 64],
        vec![0x80; 64],
        text(""),
        text(&"x".repeat(4_097)),
        unmarked,
        no_utf8,
        longer,
        vec![1; 63],
    ];
    let mut key = 0;
    let mut says = |stage: &mut Stage, forger: &mut Forger, padded: &[u8]| {
        key += 1;
        let (id, chain) = ([key; 8], [key; 32]);
        let boxed = forger.key(stage, id, u64::from(key) - 1, &chain);
        stage.event(Event::Shared { who: session, boxed });
        let envelope = forger.envelope(stage, id, u64::from(key) - 1, &seal(&chain, padded));
        let said = stage.said_by(session, envelope);
        stage.event(said);
    };
    for padded in &unreadable {
        says(&mut stage, &mut forger, padded);
        stage.is_told("[!] A message from Mallory cannot be shown: it is empty, too long, or not text.");
        forger.boxes += 1;
        let boxed = forger.boxed(&stage, "whisper", forger.boxes, padded);
        stage.event(Event::Whispered { who: session, boxed });
        stage.is_told("[!] A whisper from Mallory cannot be shown: it is empty, too long, or not text.");
    }
    // Keys that are none.
    let no_keys = [
        vec![],
        key_text("#other", &[1; 8], 0, &[1; 32]),
        key_text("#lobby", &[1; 7], 0, &[1; 32]),
        key_text("#lobby", &[1; 8], 0, &[1; 31]),
    ];
    for text in no_keys {
        forger.boxes += 1;
        let boxed = forger.boxed(&stage, "key", forger.boxes, &text);
        stage.event(Event::Shared { who: session, boxed });
        stage.is_told_of("[!] A key from Mallory could not be opened");
    }
    says(&mut stage, &mut forger, &text("\u{1b}[2J\u{202e}all\nof it"));
    stage.client.sees("Mallory", "<U+001B>[2J<U+202E>all<U+000A>of it");
    // A kind that is not known is a text.
    let mut later = Writer::new().array(3).uint(1).uint(7).text("of a later kind").finish();
    later.push(0x80);
    later.resize(64, 0);
    says(&mut stage, &mut forger, &later);
    stage.client.sees("Mallory", "of a later kind");
    says(&mut stage, &mut forger, &text(&"x".repeat(4_096)));
    stage.client.sees("Mallory", "xxxx");
    stage.says(&mut ira, "still here");
    assert!(stage.told().is_empty(), "nothing is missing");
    assert_eq!(stage.talk().len(), 4);
    assert_eq!(acting_character(&stage.client.process.out.so_far()), None);
    stage.ends();
}

/// PROTOCOL.md 7.3-3.
#[test]
fn a_text_longer_than_the_server_takes_is_not_shown() {
    let mut ira = Member::ira();
    let mut stage = HostileServer::start().meets(home(""), &[]);
    stage.introduces(&[&ira]);
    let welcome = Welcome { longest_text: 10, ..stage.welcome() };
    stage.tell(&[ToClient::Welcome(welcome)]);
    stage.shares(&mut ira);
    stage.told();
    let envelope = stage.envelope_from(&mut ira, "eleven char");
    stage.relays(&ira, envelope);
    stage.is_told("[!] A message from Ira cannot be shown: it is empty, too long, or not text.");
    stage.says(&mut ira, "ten charac");
    assert_eq!(stage.talk(), ["Ira: ten charac"]);
    stage.ends();
}

#[test]
fn whoever_comes_and_goes_all_the_time_costs_the_others_no_word() {
    let (mut ira, mallory) = (Member::ira(), Member::mallory());
    let mut stage = Stage::with(&[&ira]);
    stage.shares(&mut ira);
    for round in 0..20 {
        for _ in 0..10 {
            stage.joins(&mallory);
            stage.left(mallory.session());
        }
        stage.says(&mut ira, &format!("round {round}."));
        let shared = stage.talks_to(&mut ira, &format!("my round {round}."));
        assert_eq!(shared.len(), usize::from(round == 0), "who never had the key takes none away");
    }
    let told = stage.told().join("\n");
    assert_eq!(told.matches("First contact with Mallory").count(), 1, "{told}");
    assert_eq!(stage.talk().len(), 20);
    // Somebody who has had each key costs a new one each time.
    for round in 0..20 {
        stage.joins(&mallory);
        let mut shared = stage.talks_to(&mut ira, "with you");
        shared.retain(|number| *number == mallory.number());
        assert_eq!(shared.len(), 1, "round {round}");
        stage.left(mallory.session());
        assert_eq!(stage.talks_to(&mut ira, "without you"), [ira.number()], "round {round}");
    }
    stage.ends();
}
