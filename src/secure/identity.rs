//! Long-term identities: an RSA key pair, its fingerprint, and its PEM text. PROTOCOL.md §2.

use std::fmt;
use std::str::FromStr;

use base64ct::{Base64Unpadded, Encoding};
use pkcs8::der::Decode;
use pkcs8::der::asn1::AnyRef;
use pkcs8::spki::{ObjectIdentifier, SubjectPublicKeyInfoRef};
use pkcs8::{EncodePrivateKey, EncodePublicKey, LineEnding};
use rand::CryptoRng;
use rsa::traits::PublicKeyParts;
use rsa::{BoxedUint, Oaep, Pss, RsaPrivateKey, RsaPublicKey};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::key_file::{self, KeyFileError, PrivateNumbers};

/// Sizes of RSA modulus that are taken, in bits.
pub const KEY_BITS: [usize; 3] = [2048, 3072, 4096];
/// The longest SPKI, in bytes.
const MAX_SPKI: usize = 640;
/// 65537, big endian, as the only public exponent that is taken.
const EXPONENT: [u8; 3] = [1, 0, 1];
/// rsaEncryption, RFC 8017 appendix A.1.
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// Why a key cannot be an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RsaKeyError {
    /// No key.
    #[error("it is damaged, or no key at all")]
    Damaged,
    /// A key of another algorithm.
    #[error("it is not an RSA key")]
    NotRsa,
    /// An RSA key of a size that is not taken.
    #[error("it has {0} bits; 2048, 3072 and 4096 are taken")]
    Size(usize),
    /// An RSA key with a public exponent that is not taken.
    #[error("its public exponent is not 65537")]
    Exponent,
    /// The numbers do not belong together.
    #[error("its numbers do not make a key")]
    Inconsistent,
}

/// SHA-256 of an identity's SPKI: what people compare.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// Length of a fingerprint's text.
    pub const TEXT_LENGTH: usize = "SHA256:".len() + 43;
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SHA256:{}", Base64Unpadded::encode_string(&self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not `SHA256:` and 43 characters of base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is SHA256: and 43 characters of base64")]
pub struct FingerprintError;

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let encoded = text.strip_prefix("SHA256:").ok_or(FingerprintError)?;
        let mut bytes = [0; 32];
        match Base64Unpadded::decode(encoded, &mut bytes) {
            Ok(decoded) if decoded.len() == 32 => Ok(Self(bytes)),
            _ => Err(FingerprintError),
        }
    }
}

/// A public RSA identity that keeps to the rules of §2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicIdentity {
    spki: Vec<u8>,
    key: RsaPublicKey,
    fingerprint: Fingerprint,
}

impl PublicIdentity {
    /// Parses DER SubjectPublicKeyInfo. Size and exponent are looked at before any arithmetic.
    ///
    /// # Errors
    /// [`RsaKeyError`] for all input but the one accepted encoding of an RSA key.
    pub fn from_spki(spki: &[u8]) -> Result<Self, RsaKeyError> {
        if spki.len() > MAX_SPKI {
            return Err(RsaKeyError::Damaged);
        }
        let info = SubjectPublicKeyInfoRef::from_der(spki).map_err(|_| RsaKeyError::Damaged)?;
        if info.algorithm.oid != RSA_ENCRYPTION || info.algorithm.parameters != Some(AnyRef::NULL) {
            return Err(RsaKeyError::NotRsa);
        }
        let numbers = info.subject_public_key.as_bytes().ok_or(RsaKeyError::Damaged)?;
        let numbers = rsa::pkcs1::RsaPublicKeyRef::from_der(numbers).map_err(|_| RsaKeyError::Damaged)?;
        let public = Self::from_numbers(numbers.modulus.as_bytes(), numbers.public_exponent.as_bytes())?;
        if public.spki == spki { Ok(public) } else { Err(RsaKeyError::Damaged) }
    }

    /// Numbers are big endian, without leading zeros.
    fn from_numbers(modulus: &[u8], exponent: &[u8]) -> Result<Self, RsaKeyError> {
        check_numbers(modulus, exponent)?;
        let modulus = number(modulus, modulus.len())?;
        let key = RsaPublicKey::new(modulus, 65_537u64.into()).map_err(|_| RsaKeyError::Inconsistent)?;
        Self::from_key(key)
    }

    /// Reads a public key file: PEM of SPKI or PKCS#1, as tools write it and OpenSSL reads it.
    ///
    /// # Errors
    /// [`KeyFileError`] says what the file is, or what is wrong with it.
    pub fn from_pem(content: impl AsRef<[u8]>) -> Result<Self, KeyFileError> {
        key_file::public_key(content.as_ref(), |numbers| Self::from_numbers(numbers.modulus, numbers.exponent))
    }

    /// The PEM text ("BEGIN PUBLIC KEY").
    #[allow(clippy::missing_panics_doc, reason = "what was parsed or made as a key can be encoded")]
    #[must_use]
    pub fn to_pem(&self) -> String {
        self.key.to_public_key_pem(LineEnding::LF).expect("a key that was encoded once can be again")
    }

    /// DER SubjectPublicKeyInfo.
    #[must_use]
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// The number that people compare.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// True if `signature` is this identity's over `message`: RSASSA-PSS, SHA-256, 32 bytes of salt.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.key.verify(Pss::<Sha256>::new_with_salt(32), &Sha256::digest(message), signature).is_ok()
    }

    /// Encrypts a secret so that only this identity can open it: RSAES-OAEP, SHA-256.
    pub(super) fn encrypt(&self, rng: &mut impl CryptoRng, label: &str, secret: &[u8; 32]) -> Vec<u8> {
        self.key
            .encrypt(rng, Oaep::<Sha256>::new_with_label(label.as_bytes()), secret)
            .expect("32 bytes fit under OAEP with a modulus of 2048 bits or more")
    }

    fn from_key(key: RsaPublicKey) -> Result<Self, RsaKeyError> {
        let spki = key.to_public_key_der().map_err(|_| RsaKeyError::Damaged)?.into_vec();
        let fingerprint = Fingerprint(Sha256::digest(&spki).into());
        Ok(Self { spki, key, fingerprint })
    }
}

/// An RSA key pair: a user's or a server's identity. It is used rarely: to sign a credential, and to open the issued secret.
pub struct Identity {
    private: RsaPrivateKey,
    public: PublicIdentity,
}

impl Identity {
    /// Makes a new key pair of `bits` bits, one of [`KEY_BITS`].
    ///
    /// # Errors
    /// [`RsaKeyError::Size`] for another size.
    pub fn generate(rng: &mut impl CryptoRng, bits: usize) -> Result<Self, RsaKeyError> {
        check_size(bits)?;
        Self::from_key(RsaPrivateKey::new(rng, bits).map_err(|_| RsaKeyError::Inconsistent)?)
    }

    /// Reads a private key file: PEM of PKCS#8 or PKCS#1, as tools write it and OpenSSL reads it; an encrypted one with
    /// the passphrase.
    ///
    /// # Errors
    /// [`KeyFileError`] says what the file is, or what is wrong with it.
    pub fn from_pem(content: impl AsRef<[u8]>, passphrase: Option<&str>) -> Result<Self, KeyFileError> {
        key_file::private_key(content.as_ref(), passphrase, Self::from_numbers)
    }

    /// The PKCS#8 PEM text, encrypted if there is a passphrase (PBES2, scrypt and AES-256-CBC; OpenSSL reads it).
    #[allow(clippy::missing_panics_doc, reason = "what was parsed or made as a key can be encoded")]
    #[must_use]
    pub fn to_pem(&self, passphrase: Option<&str>) -> Zeroizing<String> {
        match passphrase {
            None => self.private.to_pkcs8_pem(LineEnding::LF),
            Some(passphrase) => self.private.to_pkcs8_encrypted_pem(passphrase, LineEnding::LF),
        }
        .expect("a valid key can be encoded")
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &PublicIdentity {
        &self.public
    }

    /// RSASSA-PSS, SHA-256, 32 bytes of salt, blinded.
    pub(super) fn sign(&self, rng: &mut impl CryptoRng, message: &[u8]) -> Vec<u8> {
        self.private
            .sign_with_rng(rng, Pss::<Sha256>::new_blinded_with_salt(32), &Sha256::digest(message))
            .expect("a checked key of 2048 bits or more signs")
    }

    /// Opens what was encrypted to this identity. Where that fails one goes on with random bytes (§2),
    /// so that an answer does not reveal whether it did.
    pub(super) fn decrypt(&self, rng: &mut impl CryptoRng, label: &str, ciphertext: &[u8]) -> Zeroizing<[u8; 32]> {
        let mut secret = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *secret);
        if let Some(opened) = self.opened(rng, label.as_bytes(), ciphertext)
            && let Ok(opened) = <&[u8; 32]>::try_from(opened.as_slice())
        {
            *secret = *opened;
        }
        secret
    }

    /// Plaintext, of any length; `None` where OAEP fails.
    fn opened(&self, rng: &mut impl CryptoRng, label: &[u8], ciphertext: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let padding = Oaep::<Sha256>::new_with_label(label);
        self.private.decrypt_blinded(rng, padding, ciphertext).map(Zeroizing::new).ok()
    }

    #[cfg(test)]
    fn from_pkcs8(der: &[u8]) -> Result<Self, KeyFileError> {
        key_file::private_der(der, Self::from_numbers)
    }

    fn from_numbers(numbers: &PrivateNumbers<'_>) -> Result<Self, RsaKeyError> {
        check_numbers(numbers.modulus, numbers.exponent)?;
        let length = numbers.modulus.len();
        // Longer than the modulus is no number of this key.
        let within =
            |bytes: &[u8]| if bytes.len() <= length { number(bytes, length) } else { Err(RsaKeyError::Inconsistent) };
        let primes = vec![within(numbers.primes[0])?, within(numbers.primes[1])?];
        let (modulus, private_exponent) = (within(numbers.modulus)?, within(numbers.private_exponent)?);
        let key = RsaPrivateKey::from_components(modulus, 65_537u64.into(), private_exponent, primes);
        Self::from_key(key.map_err(|_| RsaKeyError::Inconsistent)?)
    }

    fn from_key(private: RsaPrivateKey) -> Result<Self, RsaKeyError> {
        private.validate().map_err(|_| RsaKeyError::Inconsistent)?;
        let public = PublicIdentity::from_key(private.to_public_key())?;
        check_size(public.key.n().bits() as usize)?;
        Ok(Self { private, public })
    }
}

/// Checks size and exponent before any arithmetic; both are without leading zeros.
fn check_numbers(modulus: &[u8], exponent: &[u8]) -> Result<(), RsaKeyError> {
    check_modulus(modulus)?;
    if exponent == EXPONENT { Ok(()) } else { Err(RsaKeyError::Exponent) }
}

/// Checks the size of a modulus without leading zeros.
pub(super) fn check_modulus(modulus: &[u8]) -> Result<(), RsaKeyError> {
    check_size(modulus.len() * 8 - modulus.first().map_or(0, |first| first.leading_zeros() as usize))
}

/// A number of `length` bytes at most, big endian.
fn number(bytes: &[u8], length: usize) -> Result<BoxedUint, RsaKeyError> {
    let bits = u32::try_from(length * 8).map_err(|_| RsaKeyError::Damaged)?;
    BoxedUint::from_be_slice(bytes, bits).map_err(|_| RsaKeyError::Damaged)
}

fn check_size(bits: usize) -> Result<(), RsaKeyError> {
    if KEY_BITS.contains(&bits) { Ok(()) } else { Err(RsaKeyError::Size(bits)) }
}

#[cfg(test)]
mod tests;
