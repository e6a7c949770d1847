//! SPKIs and credentials from strangers.
#![no_main]

use cfb_chat::secure::credential::{VerifiedCredential, CredentialBundle, Role, UnixSeconds};
use cfb_chat::secure::identity::{Identity, PublicIdentity};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|parts: (&[u8], &[u8], &[u8], bool)| {
    let (spki, credential, signature, user) = parts;
    if let Ok(identity) = PublicIdentity::from_spki(spki) {
        assert_eq!(identity.spki(), spki, "a key has one encoding");
    }
    let role = if user { Role::User } else { Role::Server };
    let presented = CredentialBundle { spki, credential, signature };
    let checked = VerifiedCredential::check(presented, role, UnixSeconds(1_700_000_000), |_| true);
    assert!(checked.is_err(), "nobody signs by chance");
    let _ = Identity::from_pem(spki, Some("x"));
    let _ = PublicIdentity::from_pem(spki);
});
