//! What a server hands out as another's: envelopes, boxes, letters, and what is inside them.
#![no_main]

use std::sync::LazyLock;

use cfb_chat::secure::credential::{VerifiedCredential, OwnCredential, Role, SessionKeys, UnixSeconds};
use cfb_chat::secure::e2e::sealed_box::{Purpose, SignedBox};
use cfb_chat::secure::e2e::offline_message::SignedLetter;
use cfb_chat::secure::e2e::roster::RosterHash;
use cfb_chat::secure::e2e::sender_key::{InboundSenderKey, SenderKeyDistribution, SignedEnvelope};
use cfb_chat::secure::e2e::body::{BodyKind, MessageBody};
use cfb_chat::secure::identity::{Fingerprint, Identity};
use libfuzzer_sys::fuzz_target;

const NOW: UnixSeconds = UnixSeconds(1_700_000_000);
const SERVER: Fingerprint = Fingerprint([7; 32]);

static OWN: LazyLock<(OwnCredential, SessionKeys)> = LazyLock::new(|| {
    let mut rng = rand::rng();
    let identity = Identity::generate(&mut rng, 2048).expect("a size that is taken");
    let own = OwnCredential::for_user(&mut rng, &identity, "Ira", NOW);
    let keys = VerifiedCredential::check(own.presented(), Role::User, NOW, |_| true).expect("it holds").session_keys();
    (own, keys)
});

fuzz_target!(|bytes: &[u8]| {
    let (own, keys) = &*OWN;
    let roster = RosterHash::new(SERVER, "#lobby", 1, [keys.session].iter());
    assert!(SignedEnvelope::verify(bytes, keys, SERVER, "#lobby", roster).is_err(), "nobody signs by chance");
    for purpose in [Purpose::Whisper, Purpose::Key] {
        assert!(SignedBox::verify(bytes, own, keys, SERVER, purpose).is_err());
    }
    assert!(SignedLetter::verify(bytes, keys.fingerprint, SERVER, NOW.0 * 1_000).is_err());
    if let Ok(key) = SenderKeyDistribution::parse(bytes) {
        let mut reading = InboundSenderKey::from_the_first();
        let _ = reading.take(key);
    }
    match MessageBody::unpad(bytes) {
        Ok(said) if said.kind == BodyKind::Action => assert_eq!(said.pad(), bytes, "a text has one form"),
        Ok(said) => assert!(said.pad().len() <= bytes.len()),
        Err(_) => {}
    }
});
