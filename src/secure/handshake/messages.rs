//! The handshake's messages: fields to bytes and back. PROTOCOL.md §4.

use std::fmt;

use crate::secure::credential::CredentialBundle;
use crate::secure::keys::TranscriptHash;
use crate::wire::codec::{DecodeError, Reader, Writer};

/// The one version there is.
pub(super) const VERSION: u64 = 1;

pub(super) const ML_KEM_KEY: usize = 1_184;
pub(super) const ML_KEM_CIPHERTEXT: usize = 1_088;
const X25519: usize = 32;

/// Why a server refuses, in the one word that it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalCode {
    /// No version in common.
    Version,
    /// The message is malformed.
    Malformed,
    /// The credential or its proof does not hold.
    Credential,
    /// One of the two clocks is wrong.
    Clock,
    /// The name breaks the rules.
    Name,
    /// This user may not come in.
    Refused,
    /// Too many at once: later, perhaps.
    Busy,
}

impl RefusalCode {
    const ALL: [Self; 7] =
        [Self::Version, Self::Malformed, Self::Credential, Self::Clock, Self::Name, Self::Refused, Self::Busy];

    /// The word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Version => "version",
            Self::Malformed => "malformed",
            Self::Credential => "credential",
            Self::Clock => "clock",
            Self::Name => "name",
            Self::Refused => "refused",
            Self::Busy => "busy",
        }
    }

    /// The message that says it.
    #[must_use]
    pub fn message(self) -> Vec<u8> {
        Writer::new().array(2).uint(15).text(self.word()).finish()
    }
}

impl fmt::Display for RefusalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The code, if this is a refusal.
pub(super) fn refusal(message: &[u8]) -> Option<RefusalCode> {
    let mut reader = Reader::new(message);
    if (reader.array().ok()?, reader.uint().ok()?) != (2, 15) {
        return None;
    }
    let word = reader.text().ok()?;
    reader.end().ok()?;
    RefusalCode::ALL.into_iter().find(|code| code.word() == word)
}

/// The two public halves of a key agreement: ML-KEM's, of `N` bytes, then X25519's.
pub(super) struct Share<const N: usize> {
    pub(super) ml_kem: [u8; N],
    pub(super) x25519: [u8; X25519],
}

impl<const N: usize> Share<N> {
    fn to_bytes(&self) -> Vec<u8> {
        [&self.ml_kem[..], &self.x25519].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (ml_kem, x25519) = bytes.split_at_checked(N).ok_or(DecodeError)?;
        Ok(Self {
            ml_kem: ml_kem.try_into().map_err(|_| DecodeError)?,
            x25519: x25519.try_into().map_err(|_| DecodeError)?,
        })
    }
}

/// [1, [[1, share]]]
pub(super) fn hello(share: &Share<ML_KEM_KEY>) -> Vec<u8> {
    Writer::new().array(2).uint(1).array(1).array(2).uint(VERSION).bytes(&share.to_bytes()).finish()
}

/// The share that a first message has for our version; `None` if it offers only others.
pub(super) fn parse_hello(message: &[u8]) -> Result<Option<Share<ML_KEM_KEY>>, DecodeError> {
    let mut reader = Reader::new(message);
    reader.clone().value()?; // whole, as the depth of what is passed over below counts from out here
    if reader.array()? != 2 || reader.uint()? != 1 {
        return Err(DecodeError);
    }
    let (mut seen, mut ours) = (Vec::new(), None);
    for _ in 0..reader.array()? {
        if reader.array()? != 2 {
            return Err(DecodeError);
        }
        let version = reader.uint()?;
        if seen.contains(&version) {
            return Err(DecodeError);
        }
        seen.push(version);
        if version == VERSION {
            ours = Some(Share::from_bytes(reader.bytes()?)?);
        } else {
            reader.value()?;
        }
    }
    reader.end()?;
    Ok(ours)
}

/// [2, 1, share]
pub(super) fn answer(share: &Share<ML_KEM_CIPHERTEXT>) -> Vec<u8> {
    Writer::new().array(3).uint(2).uint(VERSION).bytes(&share.to_bytes()).finish()
}

pub(super) fn parse_answer(message: &[u8]) -> Result<Share<ML_KEM_CIPHERTEXT>, DecodeError> {
    let mut reader = Reader::new(message);
    if (reader.array()?, reader.uint()?, reader.uint()?) != (3, 2, VERSION) {
        return Err(DecodeError);
    }
    let share = Share::from_bytes(reader.bytes()?)?;
    reader.end()?;
    Ok(share)
}

/// Side of the proof, as its message's type and its signed label say.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Prover {
    Server,
    Client,
}

impl Prover {
    fn kind(self) -> u64 {
        match self {
            Self::Server => 3,
            Self::Client => 4,
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Server => "cfb-chat/1 server proof",
            Self::Client => "cfb-chat/1 client proof",
        }
    }
}

/// Builds the input of a proof: the transcript so far, and the credential with its identity and signature.
pub(super) fn proof_input(prover: Prover, so_far: TranscriptHash, presented: CredentialBundle<'_>) -> Vec<u8> {
    Writer::new()
        .array(5)
        .text(prover.label())
        .bytes(&so_far.0)
        .bytes(presented.spki)
        .bytes(presented.credential)
        .bytes(presented.signature)
        .finish()
}

/// [3 or 4, SPKI, credential, signature, proof]
pub(super) fn proof(prover: Prover, presented: CredentialBundle<'_>, proof: &[u8; 64]) -> Vec<u8> {
    Writer::new()
        .array(5)
        .uint(prover.kind())
        .bytes(presented.spki)
        .bytes(presented.credential)
        .bytes(presented.signature)
        .bytes(proof)
        .finish()
}

pub(super) fn parse_proof(prover: Prover, message: &[u8]) -> Result<(CredentialBundle<'_>, &[u8]), DecodeError> {
    let mut reader = Reader::new(message);
    if (reader.array()?, reader.uint()?) != (5, prover.kind()) {
        return Err(DecodeError);
    }
    let presented = CredentialBundle { spki: reader.bytes()?, credential: reader.bytes()?, signature: reader.bytes()? };
    let proof = reader.bytes()?;
    reader.end()?;
    Ok((presented, proof))
}

/// [5, OAEP(…)]
pub(super) fn secret(encrypted: &[u8]) -> Vec<u8> {
    Writer::new().array(2).uint(5).bytes(encrypted).finish()
}

pub(super) fn parse_secret(message: &[u8]) -> Result<&[u8], DecodeError> {
    let mut reader = Reader::new(message);
    if (reader.array()?, reader.uint()?) != (2, 5) {
        return Err(DecodeError);
    }
    let encrypted = reader.bytes()?;
    reader.end()?;
    Ok(encrypted)
}

/// The label under which the server's secret is encrypted.
pub(super) const SECRET_LABEL: &str = "cfb-chat/1 secret";
