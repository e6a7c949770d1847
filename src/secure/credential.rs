//! Credentials: what an identity signs for a few days, so that it need not be used again until then. PROTOCOL.md §2.
//!
//! A user's credential is its session. The idea is RFC 9345's delegated credential.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use rand::CryptoRng;
use sha2::{Digest, Sha256};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use super::identity::{Fingerprint, Identity, PublicIdentity};
use crate::wire::codec::{DecodeError, Reader, Writer};

/// Lifetime of a credential, in seconds: seven days.
pub const LIFETIME: u64 = 7 * DAY;
const DAY: u64 = 24 * 60 * 60;

const LABEL: &str = "cfb-chat/1 credential";

/// Role of a credential's holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A server; its name and its X25519 key are empty.
    Server,
    /// A user.
    User,
}

impl Role {
    fn word(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::User => "user",
        }
    }
}

/// Seconds since 1970, as credentials count them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixSeconds(pub u64);

/// Why a credential is refused, in the order in which one looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// Fields, role, fingerprint, key, signature or proof are not what they must be.
    #[error("invalid credential")]
    Credential,
    /// It has expired, or lasts longer than allowed: one of the two clocks is wrong.
    #[error("the credential is not valid today")]
    Clock,
    /// A user's name breaks the rules.
    #[error("invalid name")]
    Name,
}

/// The three parts in which a credential travels.
#[derive(Clone, Copy, Debug)]
pub struct CredentialBundle<'a> {
    /// DER SubjectPublicKeyInfo of the identity.
    pub spki: &'a [u8],
    /// The credential's bytes.
    pub credential: &'a [u8],
    /// The identity's signature over them.
    pub signature: &'a [u8],
}

impl CredentialBundle<'_> {
    /// The session that a user's credential is: its SHA-256, whether or not it holds.
    #[must_use]
    pub fn session(&self) -> [u8; 32] {
        session(self.credential)
    }
}

/// One's own credential, with the private half of its signing key, which lives only here and is wiped.
pub struct OwnCredential {
    spki: Vec<u8>,
    bytes: Vec<u8>,
    signature: Vec<u8>,
    signing: SigningKey,
    /// Private key of boxes; a server has none.
    agreement: Option<StaticSecret>,
    expires: UnixSeconds,
}

impl OwnCredential {
    /// A server's, from `now` on.
    #[must_use]
    pub fn for_server(rng: &mut impl CryptoRng, identity: &Identity, now: UnixSeconds) -> Self {
        Self::make(rng, identity, Role::Server, "", None, now)
    }

    /// A user's, from `now` on.
    #[must_use]
    pub fn for_user(rng: &mut impl CryptoRng, identity: &Identity, name: &str, now: UnixSeconds) -> Self {
        let agreement = StaticSecret::random_from_rng(rng);
        Self::make(rng, identity, Role::User, name, Some(agreement), now)
    }

    /// The parts to send.
    #[must_use]
    pub fn presented(&self) -> CredentialBundle<'_> {
        CredentialBundle { spki: &self.spki, credential: &self.bytes, signature: &self.signature }
    }

    /// The session that a user's credential is: its SHA-256.
    #[must_use]
    pub fn session(&self) -> [u8; 32] {
        session(&self.bytes)
    }

    /// When it ends.
    #[must_use]
    pub fn expires(&self) -> UnixSeconds {
        self.expires
    }

    /// True if a receiver whose clock says `now` takes it (§2).
    #[must_use]
    pub fn is_current(&self, now: UnixSeconds) -> bool {
        is_acceptable(self.expires.0, now)
    }

    /// Signs what this credential's key is for.
    pub(super) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.signing.sign(message).to_bytes()
    }

    /// Shared secret of a peer's ephemeral key and this credential; `None` where it is all zeros (§2).
    pub(super) fn agree(&self, fresh: &[u8; 32]) -> Option<Zeroizing<[u8; 32]>> {
        let agreed = self.agreement.as_ref()?.diffie_hellman(&PublicKey::from(*fresh));
        agreed.was_contributory().then(|| Zeroizing::new(agreed.to_bytes()))
    }

    fn make(
        rng: &mut impl CryptoRng,
        identity: &Identity,
        role: Role,
        name: &str,
        agreement: Option<StaticSecret>,
        now: UnixSeconds,
    ) -> Self {
        let signing = SigningKey::generate(rng);
        let expires = UnixSeconds(now.0 + LIFETIME);
        let public = identity.public();
        let agreement_public = agreement.as_ref().map(PublicKey::from);
        let bytes = Writer::new()
            .array(7)
            .text(LABEL)
            .text(role.word())
            .text(name)
            .bytes(&public.fingerprint().0)
            .bytes(signing.verifying_key().as_bytes())
            .bytes(agreement_public.as_ref().map_or(&[], |key| key.as_bytes()))
            .uint(expires.0)
            .finish();
        let signature = identity.sign(rng, &bytes);
        Self { spki: public.spki().to_vec(), bytes, signature, signing, agreement, expires }
    }
}

/// Which credentials' signatures have held: RSA takes a tenth of a millisecond to say so again, and who comes back
/// shows the same one.
#[derive(Debug, Default)]
pub struct SignatureCache(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    hashes: HashSet<[u8; 32]>,
    in_order: VecDeque<[u8; 32]>,
}

impl SignatureCache {
    /// So many are remembered; the oldest gives way.
    const MAX_CACHED: usize = 4_096;

    /// True if it holds: as is known, or as `verify` says.
    fn holds(&self, presented: CredentialBundle<'_>, verify: impl FnOnce() -> bool) -> bool {
        let CredentialBundle { spki, credential, signature } = presented;
        let all = Writer::new().array(3).bytes(spki).bytes(credential).bytes(signature).finish();
        let hash = Sha256::digest(all).into();
        if self.known().hashes.contains(&hash) {
            return true;
        }
        let holds = verify();
        if holds {
            self.known().remember(hash);
        }
        holds
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // A panic loses at most cache entries.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn remember(&mut self, hash: [u8; 32]) {
        if self.hashes.insert(hash) {
            self.in_order.push_back(hash);
        }
        if self.in_order.len() > SignatureCache::MAX_CACHED
            && let Some(oldest) = self.in_order.pop_front()
        {
            self.hashes.remove(&oldest);
        }
    }
}

/// A credential that holds: its fields can be shown and used. Only [`VerifiedCredential::check`] makes one.
#[derive(Clone, Debug)]
pub struct VerifiedCredential {
    identity: PublicIdentity,
    bytes: Vec<u8>,
    signature: Vec<u8>,
    name: String,
    signing: VerifyingKey,
    agreement: [u8; 32],
    expires: UnixSeconds,
}

/// The public keys of a verified credential's session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionKeys {
    /// The session.
    pub session: [u8; 32],
    /// The identity that signed for it.
    pub fingerprint: Fingerprint,
    /// When it ends.
    pub expires: UnixSeconds,
    signing: VerifyingKey,
    agreement: [u8; 32],
}

impl SessionKeys {
    /// True if `signature` is this session's over `message`, strictly (§2).
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        verifies_strictly(&self.signing, message, signature)
    }

    /// The key that boxes are sealed to.
    pub(super) fn agreement(&self) -> &[u8; 32] {
        &self.agreement
    }

    #[cfg(test)]
    pub(super) fn with_signing_key(self, key: &[u8; 32]) -> Self {
        Self { signing: VerifyingKey::from_bytes(key).expect("a point on the curve"), ..self }
    }

    #[cfg(test)]
    pub(super) fn with_agreement_key(self, key: [u8; 32]) -> Self {
        Self { agreement: key, ..self }
    }
}

impl VerifiedCredential {
    /// Checks all rules of §2, in its order. `name_holds` is the rule for users' names.
    ///
    /// # Errors
    /// [`CredentialError`] says which part does not hold.
    pub fn check(
        presented: CredentialBundle<'_>,
        role: Role,
        now: UnixSeconds,
        name_holds: impl FnOnce(&str) -> bool,
    ) -> Result<Self, CredentialError> {
        Self::check_again(presented, role, now, name_holds, &SignatureCache::default())
    }

    /// The same, but for the signature, if that has held before.
    ///
    /// # Errors
    /// [`CredentialError`] says which part does not hold.
    pub fn check_again(
        presented: CredentialBundle<'_>,
        role: Role,
        now: UnixSeconds,
        name_holds: impl FnOnce(&str) -> bool,
        verified: &SignatureCache,
    ) -> Result<Self, CredentialError> {
        let fields = Fields::parse(presented.credential).map_err(|_| CredentialError::Credential)?;
        let x25519_length = if role == Role::User { 32 } else { 0 };
        if fields.role != role.word()
            || fields.x25519.len() != x25519_length
            || role == Role::Server && !fields.name.is_empty()
            || fields.fingerprint != <[u8; 32]>::from(Sha256::digest(presented.spki))
        {
            return Err(CredentialError::Credential);
        }
        let identity = PublicIdentity::from_spki(presented.spki).map_err(|_| CredentialError::Credential)?;
        if !is_acceptable(fields.expires, now) {
            return Err(CredentialError::Clock);
        }
        if role == Role::User && !name_holds(fields.name) {
            return Err(CredentialError::Name);
        }
        if !verified.holds(presented, || identity.verifies(presented.credential, presented.signature)) {
            return Err(CredentialError::Credential);
        }
        let signing = VerifyingKey::from_bytes(&fields.ed25519).map_err(|_| CredentialError::Credential)?;
        if signing.is_weak() || signing.to_edwards().compress().to_bytes() != fields.ed25519 {
            return Err(CredentialError::Credential);
        }
        Ok(Self {
            identity,
            bytes: presented.credential.to_vec(),
            signature: presented.signature.to_vec(),
            name: fields.name.to_owned(),
            signing,
            agreement: fields.x25519.try_into().unwrap_or_default(),
            expires: UnixSeconds(fields.expires),
        })
    }

    /// The parts as they came.
    #[must_use]
    pub fn presented(&self) -> CredentialBundle<'_> {
        CredentialBundle { spki: self.identity.spki(), credential: &self.bytes, signature: &self.signature }
    }

    /// The identity that signed it.
    #[must_use]
    pub fn identity(&self) -> &PublicIdentity {
        &self.identity
    }

    /// The identity's fingerprint.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.identity.fingerprint()
    }

    /// The user's name, which has passed the rule it was checked by; empty for a server.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The session that a user's credential is: its SHA-256.
    #[must_use]
    pub fn session(&self) -> [u8; 32] {
        session(&self.bytes)
    }

    /// The session's public keys alone.
    #[must_use]
    pub fn session_keys(&self) -> SessionKeys {
        SessionKeys {
            session: self.session(),
            fingerprint: self.fingerprint(),
            expires: self.expires,
            signing: self.signing,
            agreement: self.agreement,
        }
    }

    /// True if `signature` is this credential's key's over `message`, strictly (§2).
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        verifies_strictly(&self.signing, message, signature)
    }
}

struct Fields<'a> {
    role: &'a str,
    name: &'a str,
    fingerprint: [u8; 32],
    ed25519: [u8; 32],
    x25519: &'a [u8],
    expires: u64,
}

impl<'a> Fields<'a> {
    fn parse(credential: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(credential);
        if reader.array()? != 7 || reader.text()? != LABEL {
            return Err(DecodeError);
        }
        let fields = Self {
            role: reader.text()?,
            name: reader.text()?,
            fingerprint: reader.bytes_exact()?,
            ed25519: reader.bytes_exact()?,
            x25519: reader.bytes()?,
            expires: reader.uint()?,
        };
        reader.end()?;
        Ok(fields)
    }
}

/// True if it has not ended, and does not end later than any that was made by now; clocks may differ by a day.
fn is_acceptable(expires: u64, now: UnixSeconds) -> bool {
    (now.0.saturating_sub(DAY)..=now.0.saturating_add(LIFETIME + DAY)).contains(&expires)
}

/// Small-order keys, small-order R, and R or S in a second spelling are refused (§2); a key in one was by `check`.
fn verifies_strictly(key: &VerifyingKey, message: &[u8], signature: &[u8]) -> bool {
    Signature::from_slice(signature).is_ok_and(|signature| key.verify_strict(message, &signature).is_ok())
}

fn session(credential: &[u8]) -> [u8; 32] {
    Sha256::digest(credential).into()
}

#[cfg(test)]
mod tests;
