//! Data shared by the tests of this floor: the frozen values of `tests/vectors`, and recorded randomness.
//!
//! The frozen values come from the Python implementation in `tests/interop`. What it drew at random and did not write
//! down has been computed back from them with their private keys; giving the frozen bytes again shows it right.

use std::convert::Infallible;
use std::sync::LazyLock;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng, TryCryptoRng, TryRng};
use serde_json::Value;

use super::credential::{OwnCredential, UnixSeconds};
use super::identity::Identity;

/// The salt of the frozen server credential's PSS signature.
const SERVER_SALT: &str = "cfe10fc1be3b4cd1ae871edb50360f01839325544d818ca6a9e6feff354a4b8c";
/// The salt of the frozen user credential's PSS signature.
const USER_SALT: &str = "ee43118b2ab0cdb7d55080ba46e80d9e7f4d3143c9a3ebfd1e7feb48be176f17";
/// Plaintext of the frozen ML-KEM ciphertext.
pub(super) const ML_KEM_MESSAGE: &str = "a129ad0c490e74d334eed029adbbfbc5bb306a296dd15edf426bbda006d774fd";
/// The seed of the frozen OAEP ciphertext.
pub(super) const OAEP_SEED: &str = "2422c6c9d3dad94e624690d15c9af2e2625443141c467f4b9fc1fcc09a237051";

/// tests/vectors/frozen.json
pub(super) static FROZEN: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../tests/vectors/frozen.json")).expect("the frozen values are JSON")
});

/// The frozen server's identity.
pub(super) static SERVER: LazyLock<Identity> = LazyLock::new(|| frozen_identity("server"));
/// The frozen user's identity.
pub(super) static IRA: LazyLock<Identity> = LazyLock::new(|| frozen_identity("Ira"));

/// The other frozen user's identity.
pub(super) static SAHNAWAZ: LazyLock<Identity> = LazyLock::new(|| frozen_identity("sahnawaz"));

fn frozen_identity(who: &str) -> Identity {
    Identity::from_pem(text(&FROZEN["identities"][who]["pem"]), None).expect("a frozen identity is one")
}

/// The time at which the frozen credentials were made.
pub(super) fn now() -> UnixSeconds {
    UnixSeconds(FROZEN["now"].as_u64().expect("the frozen time is a number"))
}

/// Makes the frozen server's credential anew.
pub(super) fn server_credential() -> OwnCredential {
    let seed = bytes(&FROZEN["credentials"]["server"]["ed25519_seed"]);
    OwnCredential::for_server(&mut Script::new(&[&seed, &hex(SERVER_SALT)]), &SERVER, now())
}

/// Makes the frozen user's credential anew.
pub(super) fn user_credential() -> OwnCredential {
    made_anew("Ira", &IRA, &hex(USER_SALT))
}

/// Makes the other frozen user's credential anew.
pub(super) fn other_credential() -> OwnCredential {
    made_anew("sahnawaz", &SAHNAWAZ, &bytes(&FROZEN["credentials"]["sahnawaz"]["pss_salt"]))
}

fn made_anew(name: &str, identity: &Identity, salt: &[u8]) -> OwnCredential {
    let frozen = &FROZEN["credentials"][name];
    let (agreement, seed) = (bytes(&frozen["x25519_private"]), bytes(&frozen["ed25519_seed"]));
    let made = OwnCredential::for_user(&mut Script::new(&[&agreement, &seed, salt]), identity, name, now());
    assert_eq!(made.presented().signature, bytes(&frozen["signature"]));
    made
}

/// A frozen text.
pub(super) fn text(value: &Value) -> &str {
    value.as_str().expect("a text stands here")
}

/// Frozen bytes.
pub(super) fn bytes(value: &Value) -> Vec<u8> {
    hex(text(value))
}

/// Frozen bytes of a length that is known.
pub(super) fn array<const N: usize>(value: &Value) -> [u8; N] {
    bytes(value).try_into().expect("the length is fixed by the protocol")
}

/// Frozen cases, of which there is at least one.
pub(super) fn cases(value: &Value) -> &[Value] {
    let cases = value.as_array().expect("an array stands here");
    assert!(!cases.is_empty());
    cases
}

/// Bytes from their hexadecimal digits.
pub(super) fn hex(digits: &str) -> Vec<u8> {
    assert!(digits.len().is_multiple_of(2) && digits.is_ascii(), "whole bytes: {digits}");
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).expect("ASCII"), 16).expect("hexadecimal digits");
    digits.as_bytes().chunks(2).map(byte).collect()
}

/// A source of what was written down, and after that of what looks random and is the same every time.
pub(super) struct Script {
    written: Vec<u8>,
    then: StdRng,
}

impl Script {
    pub(super) fn new(parts: &[&[u8]]) -> Self {
        Self { written: parts.concat(), then: StdRng::from_seed([7; 32]) }
    }
}

/// Randomness that is the same every time.
pub(super) fn repeatable() -> Script {
    Script::new(&[])
}

impl TryRng for Script {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes).map(|()| u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes).map(|()| u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, wanted: &mut [u8]) -> Result<(), Infallible> {
        let (first, rest) = wanted.split_at_mut(self.written.len().min(wanted.len()));
        first.copy_from_slice(&self.written[..first.len()]);
        self.written.drain(..first.len());
        self.then.fill_bytes(rest);
        Ok(())
    }
}

impl TryCryptoRng for Script {}
