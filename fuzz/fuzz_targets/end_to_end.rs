//! What a server hands out as another's: envelopes, boxes, letters, and what is inside them.
#![no_main]

use std::sync::LazyLock;

use cfb_chat::secure::credential::{CheckedCredential, OwnCredential, Role, SessionKeys, UnixSeconds};
use cfb_chat::secure::e2e::boxed::{Purpose, SignedBox};
use cfb_chat::secure::e2e::letter::SignedLetter;
use cfb_chat::secure::e2e::roster::RosterHash;
use cfb_chat::secure::e2e::sender_key::{Reading, SharedKey, SignedEnvelope};
use cfb_chat::secure::e2e::text::{Kind, Said};
use cfb_chat::secure::identity::{Fingerprint, Identity};
use libfuzzer_sys::fuzz_target;

const NOW: UnixSeconds = UnixSeconds(1_700_000_000);
const SERVER: Fingerprint = Fingerprint([7; 32]);

static OWN: LazyLock<(OwnCredential, SessionKeys)> = LazyLock::new(|| {
    let mut rng = rand::rng();
    let identity = Identity::generate(&mut rng, 2048).expect("a size that is taken");
    let own = OwnCredential::for_user(&mut rng, &identity, "Ira", NOW);
    let keys = CheckedCredential::check(own.presented(), Role::User, NOW, |_| true).expect("it holds").session_keys();
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
    if let Ok(key) = SharedKey::parse(bytes) {
        let mut reading = Reading::from_the_first();
        let _ = reading.take(key);
    }
    match Said::unpad(bytes) {
        Ok(said) if said.kind == Kind::Action => assert_eq!(said.pad(), bytes, "a text has one form"),
        Ok(said) => assert!(said.pad().len() <= bytes.len()),
        Err(_) => {}
    }
});
