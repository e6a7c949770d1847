//! Keys in files: the PEM text that people and tools write, and what a file is that holds no key for this program.
//!
//! ```text
//! bytes ──▶ text (blocks) ──▶ structure (DER) ──▶ protection (PBES2) ──▶ the numbers of an RSA key
//!              └── no block: foreign (which other tool's file it is)
//! ```
//!
//! Invariant: a file is read leniently (RFC 7468 §2 and what OpenSSL reads), a peer's key strictly (`identity`).

mod foreign;
mod oids;
mod protection;
mod structure;
mod text;

use zeroize::Zeroizing;

pub use self::foreign::{ForeignFileError, PublicForm, Wrapping};
use self::protection::Protection;
use self::structure::DerContent;
use self::text::Block;
use super::identity::RsaKeyError;

/// Labels of blocks that hold a private key which is taken, if it is an RSA key.
const PRIVATE: [&str; 3] = ["PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "RSA PRIVATE KEY"];
/// Labels of blocks that hold a public key which is taken, if it is an RSA key.
const PUBLIC: [&str; 2] = ["PUBLIC KEY", "RSA PUBLIC KEY"];

/// Reason why a file holds no usable key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileError {
    /// The file is whole, and another thing.
    #[error("it is {0}")]
    Foreign(ForeignFileError),
    /// The file is a key no more.
    #[error("it is damaged: {0}")]
    Damaged(DamageError),
    /// An RSA key that does not keep to the rules of PROTOCOL.md §2.
    #[error(transparent)]
    Unsuitable(RsaKeyError),
    /// Encrypted in a way that is not read.
    #[error("it is encrypted with {name}, which is not read here")]
    Encryption {
        /// The scheme, such as `PBES2/HMAC-SHA256/DES-CBC`.
        name: String,
        /// True if OpenSSL 3 reads it only with its legacy provider.
        is_legacy: bool,
    },
    /// Encrypted, and no passphrase was given.
    #[error("it is protected by a passphrase")]
    Locked,
    /// Encrypted in a way that is read, and not with this passphrase.
    #[error("the passphrase does not open it")]
    WrongPassphrase,
}

impl KeyFileError {
    /// The same for a file that is encrypted, which the command that rewrites it has to keep so.
    fn of_encrypted(self) -> Self {
        match self {
            Self::Foreign(ForeignFileError::RsaPss { .. }) => {
                Self::Foreign(ForeignFileError::RsaPss { is_encrypted: true })
            }
            other => other,
        }
    }
}

impl From<RsaKeyError> for KeyFileError {
    fn from(error: RsaKeyError) -> Self {
        match error {
            RsaKeyError::Inconsistent | RsaKeyError::Damaged => Self::Damaged(DamageError::Numbers),
            other => Self::Unsuitable(other),
        }
    }
}

/// First thing that is wrong with a damaged file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DamageError {
    /// No bytes, or only white space.
    #[error("it is empty")]
    Empty,
    /// Zero bytes alone, as some file systems leave after a crash.
    #[error("it has zero bytes only, as a crash or a failing disk can leave them")]
    Zeros,
    /// The end of a block without its first line.
    #[error("its first line (\"-----BEGIN …\") is missing or not whole")]
    NoBegin,
    /// Neither a PEM block nor another form of key.
    #[error("there is no \"-----BEGIN PRIVATE KEY-----\" or other key in it")]
    NoKey,
    /// A block without its last line.
    #[error("its end is missing (no line \"-----END …\" follows the first one)")]
    NoEnd,
    /// A block whose last line is of another kind, or cut.
    #[error("its last line is cut, or does not belong to the first one")]
    OtherEnd,
    /// A character that base64 has not.
    #[error("line {0} has a character that is not base64")]
    Character(usize),
    /// Base64 that ends within a byte.
    #[error("its base64 is not whole: a part is missing, or too much")]
    Base64,
    /// Fewer bytes than the first ones announce.
    #[error("a part is missing: {found} of {announced} bytes are there")]
    Cut {
        /// Number that is there.
        found: usize,
        /// Number that is announced.
        announced: usize,
    },
    /// Numbers that make no RSA key.
    #[error("its numbers do not make a key: at least one has changed")]
    Numbers,
    /// Bytes that are no key.
    #[error("the bytes in it are not those of a key")]
    Structure,
}

/// The numbers of an RSA private key, as RFC 8017 appendix A.1.2 has them: big endian, without leading zeros.
pub(super) struct PrivateNumbers<'a> {
    pub(super) modulus: &'a [u8],
    pub(super) exponent: &'a [u8],
    pub(super) private_exponent: &'a [u8],
    pub(super) primes: [&'a [u8]; 2],
}

/// The numbers of an RSA public key.
pub(super) struct PublicNumbers<'a> {
    pub(super) modulus: &'a [u8],
    pub(super) exponent: &'a [u8],
}

/// Finds the private key of a file and hands its numbers to `take`.
pub(super) fn private_key<T>(
    content: &[u8],
    passphrase: Option<&str>,
    take: impl FnOnce(&PrivateNumbers<'_>) -> Result<T, RsaKeyError>,
) -> Result<T, KeyFileError> {
    let Some(text) = text::decode(content) else {
        return Err(foreign::binary(content));
    };
    let blocks = text::blocks(&text);
    let Some(block) = blocks.iter().find(|block| PRIVATE.contains(&block.label)) else {
        return Err(foreign::no_private_key(&text, &blocks));
    };
    refuse_old_encryption(block)?;
    let der = block.decode()?;
    match structure::parse(&der)? {
        DerContent::Encrypted { scheme, parameters, whole } => {
            let protection = Protection::parse(scheme, parameters);
            let opened = protection.open(whole, passphrase)?;
            // A wrong passphrase decrypts to padding that holds once in 256 times, and to no key.
            match structure::parse(&opened) {
                Ok(inner @ (DerContent::Pkcs8 { .. } | DerContent::Pkcs1(_))) => {
                    private_numbers(inner, take).map_err(KeyFileError::of_encrypted)
                }
                _ => Err(KeyFileError::WrongPassphrase),
            }
        }
        plain => private_numbers(plain, take),
    }
}

/// Finds the public key of a file and hands its numbers to `take`.
pub(super) fn public_key<T>(
    content: &[u8],
    take: impl FnOnce(&PublicNumbers<'_>) -> Result<T, RsaKeyError>,
) -> Result<T, KeyFileError> {
    let Some(text) = text::decode(content) else {
        return Err(foreign::binary(content));
    };
    let blocks = text::blocks(&text);
    if blocks.iter().any(|block| block.label.ends_with("PRIVATE KEY")) {
        return Err(KeyFileError::Foreign(ForeignFileError::PrivateKey));
    }
    let Some(block) = blocks.iter().find(|block| PUBLIC.contains(&block.label)) else {
        return Err(foreign::no_public_key(&text, &blocks));
    };
    let der = block.decode()?;
    match structure::parse(&der)? {
        DerContent::Spki { algorithm: oids::RSA, key } => match structure::parse(key)? {
            DerContent::Pkcs1Public(numbers) => Ok(take(&numbers)?),
            _ => Err(KeyFileError::Damaged(DamageError::Structure)),
        },
        DerContent::Pkcs1Public(numbers) => Ok(take(&numbers)?),
        other => Err(foreign::other_content(&other)),
    }
}

/// Parses PKCS#8 DER and hands the numbers to `take`.
#[cfg(test)]
pub(super) fn private_der<T>(
    der: &[u8],
    take: impl FnOnce(&PrivateNumbers<'_>) -> Result<T, RsaKeyError>,
) -> Result<T, KeyFileError> {
    private_numbers(structure::parse(der)?, take)
}

fn private_numbers<T>(
    content: DerContent<'_>,
    take: impl FnOnce(&PrivateNumbers<'_>) -> Result<T, RsaKeyError>,
) -> Result<T, KeyFileError> {
    let key = match content {
        DerContent::Pkcs8 { algorithm: oids::RSA, key } => key,
        DerContent::Pkcs1(whole) => whole,
        other => return Err(foreign::other_content(&other)),
    };
    match structure::rsa_private(key)? {
        (numbers, 0) => Ok(take(&numbers)?),
        (_, more) => Err(KeyFileError::Foreign(ForeignFileError::MultiPrime(2 + more))),
    }
}

/// Refuses the encryption of PEM itself (RFC 1421), which derives its key by one round of MD5.
fn refuse_old_encryption(block: &Block<'_>) -> Result<(), KeyFileError> {
    match block.old_encryption() {
        None => Ok(()),
        Some(cipher) => {
            let cipher: String = cipher.chars().filter(char::is_ascii_graphic).take(40).collect();
            let is_legacy = oids::is_legacy(&format!("/{cipher}"));
            Err(KeyFileError::Foreign(ForeignFileError::OldEncryption { cipher, is_legacy }))
        }
    }
}

/// Bytes of a key on their way, wiped when dropped.
type Secret = Zeroizing<Vec<u8>>;

#[cfg(test)]
mod tests;
