//! The two handshake messages that come in the clear, from anybody.
#![no_main]

use std::sync::LazyLock;

use cfb_chat::secure::credential::{OwnCredential, UnixSeconds};
use cfb_chat::secure::handshake::{client, server};
use cfb_chat::secure::identity::Identity;
use libfuzzer_sys::fuzz_target;

static OWN: LazyLock<OwnCredential> = LazyLock::new(|| {
    let mut rng = rand::rng();
    let identity = Identity::generate(&mut rng, 2048).expect("a size that is taken");
    OwnCredential::for_server(&mut rng, &identity, UnixSeconds(1_700_000_000))
});

fuzz_target!(|bytes: &[u8]| {
    let mut rng = rand::rng();
    let _ = client::Start::new(&mut rng).0.agree(bytes);
    if let Ok((proving, frames)) = server::accept(&mut rng, bytes, &OWN) {
        assert!(frames.len() < 4_096);
        assert!(proving.check_user(&mut bytes.to_vec(), UnixSeconds(1_700_000_000), |_| true).is_err());
    }
});
