//! The frozen values of another implementation: what it has made opens here, what is made here is what it has made, and
//! what it refuses is refused.

use serde_json::Value;

use super::body::{BodyKind, MessageBody};
use super::offline_message::{self, Author, SignedLetter};
use super::roster::RosterHash;
use super::safety_number::SafetyNumber;
use super::sealed_box::{self, BoxCounters, Purpose, SignedBox};
use super::sender_key::{InboundSenderKey, OutboundSenderKey, SenderKeyDistribution, SignedEnvelope};
use super::{EndToEndError, SessionBytes};
use crate::secure::credential::{OwnCredential, Role, SessionKeys, VerifiedCredential};
use crate::secure::identity::Fingerprint;
use crate::secure::vectors::{
    FROZEN, IRA, SAHNAWAZ, Script, array, bytes, cases, now, other_credential, text, user_credential,
};
use crate::wire::codec::{Reader, Writer};

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number stands here")
}

fn server(case: &Value) -> Fingerprint {
    Fingerprint(array(&case["server"]))
}

fn own(name: &Value) -> OwnCredential {
    if text(name) == "Ira" { user_credential() } else { other_credential() }
}

fn keys(of: &OwnCredential) -> SessionKeys {
    VerifiedCredential::check(of.presented(), Role::User, now(), |_| true).unwrap().session_keys()
}

fn sessions(value: &Value) -> Vec<SessionBytes> {
    let mut all: Vec<SessionBytes> = cases(value).iter().map(array).collect();
    all.sort_unstable();
    all
}

fn roster(case: &Value) -> RosterHash {
    RosterHash::new(server(case), text(&case["room"]), number(&case["change"]), sessions(&case["sessions"]).iter())
}

fn said(case: &Value) -> MessageBody {
    let kind = if number(&case["kind"]) == 1 { BodyKind::Action } else { BodyKind::Text };
    MessageBody { sent_at: number(&case["sent_at"]), kind, text: text(&case["said"]).to_owned() }
}

/// Rules of names belong to the floor above, which shows them. These follow them.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(char::is_alphanumeric)
}

/// PROTOCOL.md 7.4-5.
#[test]
fn rosters_and_safety_numbers_are_the_same() {
    for case in cases(&FROZEN["roster"]) {
        assert_eq!(roster(case).0, array(&case["roster"]), "{case}");
    }
    for case in cases(&FROZEN["safety_number"]) {
        let [one, other] = [0, 1].map(|at| Fingerprint(array(&case["fingerprints"][at])));
        let groups: Vec<&str> = cases(&case["groups"]).iter().map(text).collect();
        assert_eq!(SafetyNumber::new(one, other).to_string(), groups.join(" "));
        assert_eq!(SafetyNumber::new(one, other), SafetyNumber::new(other, one));
    }
}

/// PROTOCOL.md 7.1-7, 7.3-3.
#[test]
fn texts_are_padded_the_same_and_nothing_else_is_read() {
    for case in cases(&FROZEN["text"]["cases"]) {
        let padded = bytes(&case["padded"]);
        let read = MessageBody::unpad(&padded).expect("it is as it should be");
        assert_eq!((read.sent_at, &*read.text), (number(&case["sent_at"]), text(&case["text"])));
        if number(&case["kind"]) <= 1 {
            assert_eq!(read.pad(), padded, "{}", case["name"]);
        }
    }
    for case in cases(&FROZEN["text"]["refused"]) {
        let read = MessageBody::unpad(&bytes(&case["padded"]));
        let too_long = read.is_ok_and(|said| said.text.len() as u64 > number(&FROZEN["text"]["longest"]));
        assert!(read_fails(&case["padded"]) || too_long, "{}", case["why"]);
    }
}

fn read_fails(padded: &Value) -> bool {
    MessageBody::unpad(&bytes(padded)).is_err()
}

fn purpose(case: &Value) -> Purpose {
    if text(&case["purpose"]) == "key" { Purpose::Key } else { Purpose::Whisper }
}

#[test]
fn boxes_are_the_same_and_open_once() {
    for case in cases(&FROZEN["box"]["cases"]) {
        let (from, to) = (own(&case["from"]), own(&case["to"]));
        let (count, inside) = (number(&case["count"]), bytes(&case["text"]));
        let rng = &mut Script::new(&[&bytes(&case["e_private"])]);
        let made = sealed_box::seal(rng, &from, &keys(&to), server(case), purpose(case), count, &inside).unwrap();
        assert_eq!(made, bytes(&case["box"]));

        let mut counts = BoxCounters::default();
        let mut open =
            || SignedBox::verify(&made, &to, &keys(&from), server(case), purpose(case))?.open(&to, &mut counts);
        let opened = open().expect("it is for them");
        assert_eq!((&*opened.text, opened.missing), (&inside, count - 1));
        assert_eq!(open().err(), Some(EndToEndError::Replayed));
    }
}

#[test]
fn boxes_that_another_implementation_refuses_are_refused() {
    for case in cases(&FROZEN["box"]["refused"]) {
        let to = [user_credential(), other_credential()]
            .into_iter()
            .find(|own| own.session() == array::<32>(&case["to_session"]));
        // One is read by a peer in another session than the one it was made for.
        let to = to.unwrap_or_else(user_credential);
        let mut from = keys(&user_credential()).with_signing_key(&array(&case["from_ed25519"]));
        from.session = array(&case["from_session"]);
        let sealed = bytes(&case["box"]);
        let opened = SignedBox::verify(&sealed, &to, &from, server(case), purpose(case))
            .and_then(|signed| signed.open(&to, &mut BoxCounters::default()))
            .and_then(|opened| MessageBody::unpad(&opened.text));
        assert!(opened.is_err(), "{}", case["why"]);
    }
}

/// PROTOCOL.md 7.1-8.
#[test]
fn nothing_is_sealed_to_a_key_of_small_order() {
    let (rng, own) = (&mut Script::new(&[]), user_credential());
    let mut one = [0; 32];
    one[0] = 1;
    for weak in [[0; 32], one] {
        let to = keys(&other_credential()).with_agreement_key(weak);
        let sealed = sealed_box::seal(rng, &own, &to, Fingerprint([1; 32]), Purpose::Whisper, 1, b"Hi");
        assert_eq!(sealed, Err(sealed_box::WeakKeyError));
    }
}

fn key_text(case: &Value, counter: u64) -> Vec<u8> {
    let head = Writer::new().array(4).text(text(&case["room"])).bytes(&bytes(&case["key_id"])).uint(counter);
    head.bytes(&bytes(&case["chain"])).finish()
}

#[test]
fn sender_keys_are_the_same() {
    for case in cases(&FROZEN["sender_key"]["cases"]) {
        let (id, chain) = (bytes(&case["key_id"]), bytes(&case["chain"]));
        let key = OutboundSenderKey::new(&mut Script::new(&[&id, &chain]), number(&case["counter"]));
        assert_eq!(*key.shared(text(&case["room"])), bytes(&case["text"]));
        assert_eq!(
            SenderKeyDistribution::parse(&bytes(&case["text"])).map(|key| key.room().to_owned()),
            Ok(text(&case["room"]).to_owned())
        );
    }
    for case in cases(&FROZEN["sender_key"]["refused"]) {
        let inside = bytes(&case["text"]);
        let parsed = SenderKeyDistribution::parse(&inside).ok();
        let opened = parsed.filter(|key| key.room().strip_prefix('#').is_some_and(is_plain));
        assert!(opened.is_none(), "{}", case["why"]);
    }
}

#[test]
fn envelopes_are_the_same_and_open_once() {
    for case in cases(&FROZEN["envelope"]["cases"]) {
        let (from, room, counter) = (own(&case["from"]), text(&case["room"]), number(&case["counter"]));
        let mut key =
            OutboundSenderKey::new(&mut Script::new(&[&bytes(&case["key_id"]), &bytes(&case["chain"])]), counter);
        let made = key.seal(&said(case).pad()).sign(&from, server(case), room, roster(case));
        assert_eq!(made, bytes(&case["envelope"]), "{}", case["name"]);

        let mut reading = InboundSenderKey::default();
        let shared = key_text(case, counter);
        reading.take(SenderKeyDistribution::parse(&shared).unwrap()).unwrap();
        let mut open = || reading.open(&SignedEnvelope::verify(&made, &keys(&from), server(case), room, roster(case))?);
        let opened = open().expect("it is for them");
        assert_eq!((MessageBody::unpad(&opened.padded), opened.missing), (Ok(said(case)), 0));
        assert_eq!(open().err(), Some(EndToEndError::Replayed));
    }
}

#[test]
fn envelopes_that_another_implementation_refuses_are_refused() {
    for case in cases(&FROZEN["envelope"]["refused"]) {
        let mut reading = InboundSenderKey::default();
        let shared = key_text(case, number(&case["counter"]));
        reading.take(SenderKeyDistribution::parse(&shared).unwrap()).unwrap();
        let mut from = keys(&user_credential()).with_signing_key(&array(&case["from_ed25519"]));
        from.session = array(&case["session"]);
        let sealed = bytes(&case["envelope"]);
        let opened = SignedEnvelope::verify(&sealed, &from, server(case), text(&case["room"]), roster(case))
            .and_then(|envelope| reading.open(&envelope))
            .and_then(|opened| MessageBody::unpad(&opened.padded));
        assert!(opened.is_err(), "{}", case["why"]);
    }
}

#[test]
fn letters_are_the_same_and_open() {
    for case in cases(&FROZEN["letter"]["cases"]) {
        let parts = ["id", "r", "oaep_seed", "pss_salt"].map(|part| bytes(&case[part]));
        let rng = &mut Script::new(&parts.each_ref().map(Vec::as_slice));
        let author = Author { identity: &IRA, name: text(&case["from"]), server: server(case) };
        let made = offline_message::seal(rng, &author, SAHNAWAZ.public(), &said(case));
        assert_eq!(made, bytes(&case["letter"]), "{}", case["name"]);

        for at in cases(&case["opens_at"]) {
            let reader = SAHNAWAZ.public().fingerprint();
            let signed = SignedLetter::verify(&made, reader, server(case), number(at)).expect("it holds");
            assert_eq!(
                (signed.name(), signed.from(), signed.id().to_vec()),
                ("Ira", IRA.public().fingerprint(), parts[0].clone())
            );
            assert_eq!(signed.open(rng, &SAHNAWAZ), Ok(said(case)));
        }
    }
}

/// PROTOCOL.md 7.2-1, 7.2-5.
#[test]
fn letters_that_another_implementation_refuses_are_refused() {
    for case in cases(&FROZEN["letter"]["refused"]) {
        let (reader, sealed) = (SAHNAWAZ.public().fingerprint(), bytes(&case["letter"]));
        let signed = SignedLetter::verify(&sealed, reader, server(case), number(&case["now"])).ok();
        let opened = signed.filter(|letter| is_plain(letter.name()));
        let opened = opened.and_then(|letter| letter.open(&mut Script::new(&[]), &SAHNAWAZ).ok());
        assert_eq!(opened, None, "{}", case["why"]);
    }
}

mod sender_keys {
    use super::*;

    struct Room {
        from: OwnCredential,
        key: OutboundSenderKey,
        roster: RosterHash,
    }

    const SERVER: Fingerprint = Fingerprint([5; 32]);

    impl Room {
        fn new(first: u64) -> Self {
            let from = user_credential();
            let roster = RosterHash::new(SERVER, "#lobby", 1, [from.session()].iter());
            Self { from, key: OutboundSenderKey::new(&mut Script::new(&[]), first), roster }
        }

        fn say(&mut self) -> Vec<u8> {
            let sealed = self.key.seal(&MessageBody { sent_at: 1, kind: BodyKind::Text, text: "Hi".into() }.pad());
            self.key.settle(&sealed);
            sealed.sign(&self.from, SERVER, "#lobby", self.roster)
        }

        fn share(&self, reading: &mut InboundSenderKey) -> Result<u64, EndToEndError> {
            reading.take(SenderKeyDistribution::parse(&self.key.shared("#lobby")).unwrap())
        }

        fn open(&self, reading: &mut InboundSenderKey, envelope: &[u8]) -> Result<u64, EndToEndError> {
            let keys = keys(&self.from);
            let signed = SignedEnvelope::verify(envelope, &keys, SERVER, "#lobby", self.roster)?;
            reading.open(&signed).map(|opened| opened.missing)
        }
    }

    #[test]
    fn what_is_missing_is_counted_and_what_came_before_is_not_opened_again() {
        let (mut room, mut reading) = (Room::new(0), InboundSenderKey::from_the_first());
        assert_eq!(room.share(&mut reading), Ok(0));
        let said: Vec<Vec<u8>> = (0..5).map(|_| room.say()).collect();
        assert_eq!(room.open(&mut reading, &said[0]), Ok(0));
        assert_eq!(room.open(&mut reading, &said[3]), Ok(2));
        for before in [0, 1, 2, 3] {
            assert_eq!(room.open(&mut reading, &said[before]), Err(EndToEndError::Replayed));
        }
        assert_eq!(room.open(&mut reading, &said[4]), Ok(0));
    }

    /// PROTOCOL.md 7.3-6.
    #[test]
    fn whoever_gets_the_key_later_opens_nothing_that_was_settled_before() {
        let (mut room, mut late) = (Room::new(0), InboundSenderKey::default());
        let before = room.say();
        room.share(&mut late).unwrap();
        assert_eq!(room.open(&mut late, &before), Err(EndToEndError::Replayed));
        let after = room.say();
        assert_eq!(room.open(&mut late, &after), Ok(0));
    }

    /// PROTOCOL.md 7.3-13.
    #[test]
    fn a_key_that_comes_again_goes_forward_only_and_a_new_one_replaces_it() {
        let (mut room, mut reading) = (Room::new(0), InboundSenderKey::from_the_first());
        room.share(&mut reading).unwrap();
        let early = room.key.shared("#lobby").to_vec();
        let said = room.say();
        room.open(&mut reading, &said).unwrap();
        assert_eq!(reading.take(SenderKeyDistribution::parse(&early).unwrap()), Err(EndToEndError::Replayed));
        room.say();
        assert_eq!(room.share(&mut reading), Ok(1), "one was skipped");
        room.key = OutboundSenderKey::new(&mut Script::new(&[&[9; 40]]), 2);
        let new = room.say();
        assert_eq!(room.open(&mut reading, &new), Err(EndToEndError::NoKey));
        room.key = OutboundSenderKey::new(&mut Script::new(&[&[9; 40]]), 2);
        assert_eq!(room.share(&mut reading), Ok(0));
        assert_eq!(room.open(&mut reading, &new), Ok(0));
        reading.end();
        let last = room.say();
        assert_eq!(room.open(&mut reading, &last), Err(EndToEndError::NoKey), "they have left");
    }

    /// PROTOCOL.md 7.3-14.
    #[test]
    fn nobody_is_made_to_go_more_than_a_thousand_steps() {
        let (room, mut reading) = (Room::new(0), InboundSenderKey::from_the_first());
        room.share(&mut reading).unwrap();
        let mut key = OutboundSenderKey::new(&mut Script::new(&[]), 0);
        let sealed = (0..=1_000).map(|_| key.seal(b"")).last().unwrap();
        let at = |counter| sealed.clone().at(counter).sign(&room.from, SERVER, "#lobby", room.roster);
        assert_eq!(room.open(&mut reading, &at(1_001)), Err(EndToEndError::TooFarAhead));
        assert_eq!(room.open(&mut reading, &at(u64::MAX)), Err(EndToEndError::TooFarAhead));
        assert_eq!(room.open(&mut reading, &at(999)), Err(EndToEndError::Unopened));
        assert_eq!(room.open(&mut reading, &at(1_000)), Ok(1_000), "nothing of all that has changed anything");
    }

    /// PROTOCOL.md 7.3-11.
    #[test]
    fn a_text_that_was_sealed_stays_as_it_is_until_the_key_changes() {
        let mut key = OutboundSenderKey::new(&mut Script::new(&[]), 7);
        let first = key.seal(b"one");
        let second = key.seal(b"two");
        assert_eq!([first.counter(), second.counter()], [7, 8]);
        let early = key.shared("#lobby").to_vec();
        key.settle(&first);
        assert_ne!(*key.shared("#lobby"), early, "what is settled is not shared any more");
        let other = OutboundSenderKey::new(&mut Script::new(&[&[9; 40]]), 8);
        assert!(key.has_sealed(&second) && !other.has_sealed(&second));
        let mut reader = Reader::new(&early);
        assert_eq!((reader.array(), reader.text()), (Ok(4), Ok("#lobby")));
    }
}
