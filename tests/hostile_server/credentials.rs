//! Credentials that do not hold, each for another reason, and keys that are none: nothing of their owners is shown, and
//! nothing is sealed to them.

use cfb_chat::chat::message::{Event, Person};
use cfb_chat::net::secure_channel::now;
use cfb_chat::wire::codec::Writer;
use ed25519_dalek::VerifyingKey;

use super::forger::{Claim, Forger};
use crate::support::hostile_server::{IRA, MALLORY, Member, Stage, number, numbered, padded};

const DAY: u64 = 24 * 3_600;

/// Numbers modulo 2^255 - 19, little endian: `low` and then ff up to 7f; or all zeros behind `low`.
fn high(low: u8, last: u8) -> [u8; 32] {
    let mut bytes = [0xff; 32];
    (bytes[0], bytes[31]) = (low, last);
    bytes
}

fn low(first: u8, last: u8) -> [u8; 32] {
    let mut bytes = [0; 32];
    (bytes[0], bytes[31]) = (first, last);
    bytes
}

/// A point of order 8, in each of its four places.
fn order_8(last: u8) -> [u8; 32] {
    let mut bytes = *b"\x26\xe8\x95\x8f\xc2\xb2\x27\xb0\x45\xc3\xf4\x89\xf2\xef\x98\xf0\xd5\xdf\xac\x05\xd3\xc6\x33\x39\xb1\x38\x02\x88\x6d\x53\xfc\x05";
    if last & 0x70 != 0 {
        bytes = bytes.map(|byte| !byte);
        bytes[0] -= 19 - 1;
    }
    bytes[31] = last;
    bytes
}

/// Comes in with this, and is told of as somebody of whom nothing is shown; and nothing is.
fn is_refused(stage: &mut Stage, forger: &Forger, person: Person) {
    stage.tell(&[numbered(person)]);
    stage.joined(forger.session);
    stage.is_told("[!] A member's messages are hidden: their credential does not hold.");
    let envelope = forger.envelope(stage, [1; 8], 0, &[0; 96]);
    let said = stage.said_by(forger.session, envelope);
    stage.event(said);
    stage.event(Event::Whispered { who: forger.session, boxed: vec![1; 200] });
    stage.event(Event::Shared { who: forger.session, boxed: vec![1; 200] });
}

/// PROTOCOL.md 6.6-6.
#[test]
fn nobody_is_let_in_by_a_credential_that_does_not_hold() {
    let mut ira = Member::ira();
    let mut stage = Stage::with(&[&ira]);
    stage.shares(&mut ira);
    stage.told();
    let mut forger = Forger::new(&MALLORY);
    let good = forger.claim("Mallory");
    let now = now().0;
    let ed25519 = |key| Claim { ed25519: key, ..good.clone() };
    let name = |name: &str| Claim { name: name.into(), ..good.clone() };
    let expires = |expires| Claim { expires, ..good.clone() };
    let role = |role| Claim { role, ..good.clone() };
    let x25519 = |length| Claim { x25519: vec![9; length], ..good.clone() };

    let small = [low(0, 0), low(0, 0x80), low(1, 0), low(1, 0x80), high(0xec, 0x7f), high(0xec, 0xff)];
    let second_spelling = [high(0xed, 0x7f), high(0xed, 0xff), high(0xee, 0x7f), high(0xee, 0xff)];
    let order_8 = [0x05, 0x85, 0x7a, 0xfa].map(order_8);
    assert!(order_8.iter().all(|key| VerifyingKey::from_bytes(key).is_ok_and(|key| key.is_weak())));
    // Not small, but spelt as a number over 2^255 - 19.
    let not_normal: Vec<[u8; 32]> = (0xed..=0xff)
        .flat_map(|first| [high(first, 0x7f), high(first, 0xff)])
        .filter(|key| VerifyingKey::from_bytes(key).is_ok_and(|key| !key.is_weak()))
        .collect();
    assert!(!not_normal.is_empty());
    let no_point = (2..=255).map(|first| low(first, 0)).find(|key| VerifyingKey::from_bytes(key).is_err());

    let keys = [&small[..], &second_spelling, &order_8, &not_normal, no_point.as_slice()].concat();
    let mut claims: Vec<Claim> = keys.into_iter().map(ed25519).collect();
    claims.extend([0, now - DAY - 60, now + 8 * DAY + 60, u64::MAX].map(expires));
    claims.extend(["server", "", "User", "admin"].map(role));
    claims.extend([0, 31, 33].map(x25519));
    claims.extend(["", "two words", "Zoe\u{308}", "evil\u{1b}[2J", "\u{202e}evil"].map(name));
    claims.push(name(&"x".repeat(33)));
    claims.push(Claim { fingerprint: IRA.public().fingerprint().0, ..good.clone() });
    for claim in claims {
        let person = forger.person(&claim);
        is_refused(&mut stage, &forger, person);
    }
    let fields = |writer: Writer, label| {
        let head = writer.text(label).text("user").text("Mallory").bytes(&good.fingerprint);
        head.bytes(&good.ed25519).bytes(&good.x25519).uint(good.expires)
    };
    let label = "cfb-chat/1 credential";
    let spelt = [
        vec![],
        fields(Writer::new().array(7), "cfb-chat/2 credential").finish(),
        fields(Writer::new().array(8), label).uint(1).finish(),
        fields(Writer::new().array(7), label).uint(1).finish(),
        fields(Writer::new().value(&[0x98, 7]), label).finish(),
    ];
    for credential in spelt {
        let person = forger.person_of(credential);
        is_refused(&mut stage, &forger, person);
    }
    // Signed by somebody else than who it names.
    let person = Person { spki: IRA.public().spki().to_vec(), ..forger.person(&good) };
    is_refused(&mut stage, &forger, person);
    stage.left(forger.session);

    assert_eq!(stage.talks_to(&mut ira, "for Ira alone"), [ira.number()]);
    stage.says(&mut ira, "Who are all these?");
    for claim in [expires(now - DAY + 60), expires(now + 8 * DAY - 60), good.clone()] {
        let person = forger.person(&claim);
        stage.tell(&[numbered(person)]);
        stage.joined(forger.session);
        stage.left(forger.session);
    }
    let told = stage.told().join("\n");
    assert_eq!(told.matches("First contact with Mallory").count(), 1, "they are one person: {told}");
    assert!(!told.contains("nothing is shown"), "{told}");
    assert_eq!(stage.talk(), ["Ira: Who are all these?"]);
    stage.ends();
}

/// The keys with which everybody agrees on the same: nothing.
fn weak_x25519() -> Vec<[u8; 32]> {
    let one = *b"\xe0\xeb\x7a\x7c\x3b\x41\xb8\xae\x16\x56\xe3\xfa\xf1\x9f\xc4\x6a\xda\x09\x8d\xeb\x9c\x32\xb1\xfd\x86\x62\x05\x16\x5f\x49\xb8\x00";
    let other = *b"\x5f\x9c\x95\xbc\xa3\x50\x8c\x24\xb1\xd0\xb1\x55\x9c\x83\xef\x5b\x04\x44\x5c\xc4\x58\x1c\x8e\x86\xd8\x22\x4e\xdd\xd0\x9f\x11\x57";
    let all = [low(0, 0), low(1, 0), one, other, high(0xec, 0x7f), high(0xed, 0x7f), high(0xee, 0x7f)];
    let with_the_bit_that_is_ignored = |key: [u8; 32]| {
        let mut same = key;
        same[31] |= 0x80;
        [key, same]
    };
    all.into_iter().flat_map(with_the_bit_that_is_ignored).collect()
}

/// PROTOCOL.md 7.1-8.
#[test]
fn nothing_is_sealed_to_a_key_that_agrees_on_nothing_and_the_others_can_read() {
    let mut ira = Member::ira();
    let mut stage = Stage::with(&[&ira]);
    stage.told();
    let mut forger = Forger::new(&MALLORY);
    let keys = weak_x25519();
    for (number, key) in keys.iter().enumerate() {
        let claim = Claim { x25519: key.to_vec(), ..forger.claim(&format!("weak{number}")) };
        let person = forger.person(&claim);
        stage.tell(&[numbered(person)]);
        stage.joined(forger.session);
    }
    stage.told();
    assert_eq!(stage.talks_to(&mut ira, "for Ira alone"), [ira.number()]);
    let told = stage.told();
    let words = "their key cannot be used for sealing";
    assert_eq!(told.iter().filter(|line| line.contains(words)).count(), keys.len(), "{told:#?}");
    let claim = Claim { x25519: vec![0; 32], ..forger.claim("late") };
    let person = forger.person(&claim);
    stage.tell(&[numbered(person)]);
    stage.joined(forger.session);
    stage.told();
    stage.client.says("/whisper late a secret");
    stage.client.process.err.wait_for("[!] Not delivered (");
    let good = Claim { name: "good".into(), ..forger.claim("good") };
    let person = forger.person(&good);
    stage.tell(&[numbered(person)]);
    stage.joined(forger.session);
    stage.told();
    assert_eq!(stage.talks_to(&mut ira, "for two"), [number(forger.session)], "and to a good key it is");
    stage.ends();
}

#[test]
fn a_box_whose_key_agrees_on_nothing_is_not_opened() {
    let mut stage = Stage::with(&[]);
    let forger = Forger::comes_in(&mut stage, &MALLORY, "Mallory");
    stage.told();
    let session = forger.session;
    for fresh in weak_x25519() {
        let boxed = forger.boxed_with(&stage, "whisper", 1, fresh, [0; 32], &padded("anybody could read this"));
        stage.event(Event::Whispered { who: session, boxed });
        stage.is_told("[!] A whisper from Mallory could not be opened: it does not fit its key.");
    }
    let boxed = forger.boxed(&stage, "whisper", 1, &padded("for you alone"));
    stage.event(Event::Whispered { who: session, boxed });
    stage.client.process.out.wait_for("[whisper from Mallory] for you alone");
    assert!(stage.told().is_empty());
    assert_eq!(stage.talk(), ["[whisper from Mallory] for you alone"]);
    stage.ends();
}

/// The order of the group that signatures are reckoned in, little endian.
const ORDER: [u8; 32] =
    *b"\xed\xd3\xf5\x5c\x1a\x63\x12\x58\xd6\x9c\xf7\xa2\xde\xf9\xde\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x10";

#[test]
fn a_signature_in_a_second_spelling_is_none() {
    let mut ira = Member::ira();
    let mut stage = Stage::with(&[&ira]);
    stage.shares(&mut ira);
    stage.told();
    let envelope = stage.envelope_from(&mut ira, "in the one spelling");
    let mut bent = envelope.clone();
    let scalar = bent.len() - 32;
    let mut carry = 0;
    for (digit, more) in bent[scalar..].iter_mut().zip(ORDER) {
        carry += u16::from(*digit) + u16::from(more);
        *digit = carry.to_le_bytes()[0];
        carry >>= 8;
    }
    assert_eq!(carry, 0, "it has room for its order once more");
    stage.relays(&ira, bent);
    stage.is_told_of("[!] REFUSED: a message in Ira's name");
    stage.relays(&ira, envelope);
    stage.client.sees("Ira", "in the one spelling");
    assert!(stage.told().is_empty());
    stage.ends();
}
