//! Letters: to whom the server lets them be written, and which of those that it hands out are shown.

use cfb_chat::chat::message::{ErrorCode, Event, Numbered, ToClient, ToServer};
use cfb_chat::chat::name::Name;
use cfb_chat::net::secure_channel::now_in_millis;
use cfb_chat::secure::e2e::offline_message::SignedLetter;

use super::forger::Forger;
use crate::support::acting_character;
use crate::support::folder::Folder;
use crate::support::hostile_server::{HostileServer, IRA, MALLORY, MINUTE, Member, Stage, home, home_inside, known};

const DAY: u64 = 24 * 60 * MINUTE;

/// A client that knows Ira, who is away; nothing is yet to be told of.
fn knows_ira() -> Stage {
    let mut stage = HostileServer::start().meets(home(&known("Ira", &IRA, "")), &[]);
    stage.welcomes(&[]);
    stage.told();
    stage
}

/// Hands a letter out; the client says that it has seen it, whatever it thinks of it.
fn hands_out(stage: &mut Stage, letter: Vec<u8>) {
    stage.event(Event::Letter(letter));
    let cursor = stage.cursor;
    while !matches!(stage.hear(), ToServer::Seen(seen) if seen >= cursor) {}
}

fn is_shown(stage: &Stage, name: &str, text: &str) {
    stage.client.process.out.wait_for(&format!(" [letter from {name}, without forward secrecy] {text}"));
}

/// The user writes to Ira, and the client asks whose the name is.
fn writes(stage: &mut Stage, text: &str) {
    stage.client.says(&format!("/whisper Ira {text}"));
    assert_eq!(stage.hear(), ToServer::Lookup(Name::parse("Ira").unwrap()));
}

fn found(spki: &[u8]) -> ToClient {
    ToClient::Found { name: Name::parse("Ira").unwrap(), spki: spki.to_vec() }
}

/// PROTOCOL.md 7.4-4.
#[test]
fn a_letter_goes_to_the_key_that_is_known_and_to_no_other() {
    let mut stage = knows_ira();
    let (ira, mallory) = (IRA.public(), MALLORY.public());
    let mut damaged = ira.spki().to_vec();
    damaged[40] ^= 1;
    for (number, spki) in [mallory.spki(), &damaged, b"", stage.identity.clone().spki()].into_iter().enumerate() {
        let secret = format!("secret {number}");
        writes(&mut stage, &secret);
        stage.tell(&[found(spki)]);
        let told = stage.told().join("\n");
        assert!(told.starts_with("[!] REFUSED: the server hands out another key for Ira"), "{told}");
        assert!(
            told.contains(&ira.fingerprint().to_string()) && told.ends_with(&format!("Not sent: {secret}")),
            "{told}"
        );
    }
    writes(&mut stage, "secret 4");
    stage.answers(ErrorCode::Absent, 0);
    stage.is_told("[!] Not delivered (this server knows no user named Ira): secret 4");

    writes(&mut stage, "for Ira alone");
    stage.tell(&[found(ira.spki())]);
    let (n, Numbered::Letter { to, letter }) = stage.hear_numbered() else { panic!("the letter should have come") };
    assert_eq!((n, to), (1, ira.fingerprint().0), "nothing was sent before it");
    stage.tell(&[ToClient::Accepted(n)]);
    stage.client.process.out.wait_for("[letter to Ira, without forward secrecy] for Ira alone");
    let signed = SignedLetter::verify(&letter, ira.fingerprint(), stage.server, now_in_millis()).expect("it holds");
    assert_eq!((signed.from(), signed.name()), (stage.identity.fingerprint(), "Anna"));
    assert_eq!(signed.open(&mut rand::rng(), &IRA).expect("it opens").text, "for Ira alone");
    assert!(signed.open(&mut rand::rng(), &MALLORY).is_err());
    stage.ends();
}

/// PROTOCOL.md 7.2-2.
#[test]
fn a_letter_that_comes_again_is_shown_once_even_after_a_crash() {
    let whole = Folder::empty();
    let server = HostileServer::start();
    let ira = Member::ira();
    let mut stage = server.meets(home_inside(&whole), &[]);
    stage.welcomes(&[]);
    let letter = ira.letter("Ira", &stage.identity, stage.server, now_in_millis(), "once");
    hands_out(&mut stage, letter.clone());
    is_shown(&stage, "Ira", "once");
    stage.told();
    for _ in 0..3 {
        hands_out(&mut stage, letter.clone());
        stage.is_told("[!] Dropped: a repeated letter from Ira.");
    }
    assert_eq!(stage.talk().len(), 1);
    // Killed: what was shown is on file.
    drop(stage);

    let mut stage = server.meets(home_inside(&whole), &[]);
    stage.welcomes(&[]);
    stage.told();
    hands_out(&mut stage, letter.clone());
    stage.is_told("[!] Dropped: a repeated letter from Ira.");
    let other = ira.letter("Ira", &stage.identity, stage.server, now_in_millis(), "another");
    hands_out(&mut stage, other);
    is_shown(&stage, "Ira", "another");
    assert_eq!(stage.talk().len(), 1);
    stage.ends();
}

/// PROTOCOL.md 7.2-1.
#[test]
fn letters_from_too_long_ago_and_from_the_future_are_refused() {
    let mut stage = knows_ira();
    let ira = Member::ira();
    let now = now_in_millis();
    for (sent_at, text) in [(now - 30 * DAY + MINUTE, "old"), (now + DAY - MINUTE, "early"), (now, "of now")] {
        let letter = ira.letter("Ira", &stage.identity, stage.server, sent_at, text);
        hands_out(&mut stage, letter);
        is_shown(&stage, "Ira", text);
    }
    assert!(stage.told().is_empty());
    for sent_at in [0, now - 31 * DAY, now - 30 * DAY - MINUTE, now + DAY + MINUTE, u64::MAX] {
        let letter = ira.letter("Ira", &stage.identity, stage.server, sent_at, "not shown");
        hands_out(&mut stage, letter);
        stage.is_told("[!] A letter was refused: it is more than 30 days old, or from the future.");
    }
    assert_eq!(stage.talk().len(), 3);
    assert_eq!(stage.client.folder.read("letters_seen").lines().count(), 3);
    stage.ends();
}

/// PROTOCOL.md 7.2-1, 7.2-3.
#[test]
fn letters_for_somebody_else_are_not_shown() {
    let mut stage = knows_ira();
    let ira = Member::ira();
    let letter = ira.letter("Ira", MALLORY.public(), stage.server, now_in_millis(), "for Mallory");
    hands_out(&mut stage, letter);
    stage.is_told("[!] A letter was refused: it is addressed to another user, or to another server.");
    // For this reader, but locked for nobody.
    let forger = Forger::new(&IRA);
    for locked in [&[][..], &[0; 384], &[0xff; 384], &[7; 256], &[7; 5_000]] {
        let letter = forger.letter(&stage, "Ira", now_in_millis(), locked);
        hands_out(&mut stage, letter);
        stage.is_told("[!] A letter from Ira could not be opened: it does not fit its key.");
    }
    let letter = ira.letter("Ira", &stage.identity, stage.server, now_in_millis(), "for you");
    hands_out(&mut stage, letter);
    is_shown(&stage, "Ira", "for you");
    assert_eq!(stage.talk().len(), 1);
    stage.ends();
}

#[test]
fn letters_under_a_known_name_and_another_key_are_refused_with_both_fingerprints() {
    let mut stage = knows_ira();
    let (ira, mallory) = (Member::ira(), Member::mallory());
    let letter = mallory.letter("Ira", &stage.identity, stage.server, now_in_millis(), "believe me");
    hands_out(&mut stage, letter);
    let told = stage.told().join("\n");
    assert!(told.starts_with("[!] REFUSED: a letter in Ira's name, signed with another key."), "{told}");
    for fingerprint in [ira.fingerprint(), mallory.fingerprint()] {
        assert!(told.contains(&fingerprint.to_string()), "{told}");
    }
    assert!(told.contains("remove line 1 of "), "{told}");
    for name in ["lra", "Іra", "anna", "Anna"] {
        let letter = mallory.letter(name, &stage.identity, stage.server, now_in_millis(), "believe me");
        hands_out(&mut stage, letter);
        stage.is_told(&format!("[!] REFUSED: a letter from {name}, a name that looks like another user's."));
    }
    for name in ["", "two words", "\u{1b}[2Jcleared", "\u{202e}evil", &"x".repeat(33)] {
        let letter = mallory.letter(name, &stage.identity, stage.server, now_in_millis(), "believe me");
        hands_out(&mut stage, letter);
        stage.is_told_of("[!] A letter was refused: ");
    }
    assert_eq!(stage.client.folder.read("known_users"), known("Ira", &IRA, ""), "nobody else was kept");
    let letter =
        mallory.letter("Mallory", &stage.identity, stage.server, now_in_millis(), "under my own name\u{1b}[2J");
    hands_out(&mut stage, letter);
    is_shown(&stage, "Mallory", "under my own name<U+001B>[2J");
    stage.is_told_of(&format!("[!] First contact with Mallory. Their fingerprint is\n    {}", mallory.fingerprint()));
    assert_eq!(stage.talk().len(), 1);
    assert_eq!(acting_character(&stage.client.process.err.so_far()), None);
    stage.ends();
}

/// They became known when the user had another name.
#[test]
fn who_looks_like_oneself_is_refused_even_if_known() {
    let mallory = Member::new("anna", &MALLORY);
    let mut stage = HostileServer::start().meets(home(&known("anna", &MALLORY, "")), &[]);
    stage.welcomes(&[]);
    stage.told();
    stage.joins(&mallory);
    stage.is_told_of("[!] anna looks like");
    let letter = mallory.letter("anna", &stage.identity, stage.server, now_in_millis(), "believe me");
    hands_out(&mut stage, letter);
    stage.is_told("[!] REFUSED: a letter from anna, a name that looks like another user's.");
    assert!(stage.talk().is_empty());
    stage.ends();
}
