//! Encryption of a private key by a passphrase (RFC 8018): its name, whether it is read, and its opening.
//!
//! Parameters are checked here before the library sees them: it takes lengths and costs on trust.

use pkcs8::EncryptedPrivateKeyInfoRef;
use zeroize::Zeroizing;

use super::oids::{self, ObjectId};
use super::structure::{Values, object_id};
use super::{KeyFileError, Secret};

/// The most rounds of PBKDF2 that are computed: some ten seconds.
const MAX_ROUNDS: u64 = 10_000_000;
/// The most memory that scrypt may take, in bytes.
const MAX_SCRYPT_MEMORY: u64 = 1 << 30;
/// The most lanes of scrypt, which are computed one after the other.
const MAX_SCRYPT_LANES: u64 = 16;
/// The longest salt that the library stores, in bytes.
const MAX_SALT: usize = 32;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;

/// Functions of PBKDF2 and ciphers that are read; all others are only named.
const PRFS: [&str; 5] = ["HMAC-SHA1", "HMAC-SHA224", "HMAC-SHA256", "HMAC-SHA384", "HMAC-SHA512"];
const CIPHERS: [(&str, usize); 6] = [
    ("AES-128-CBC", 16),
    ("AES-192-CBC", 16),
    ("AES-256-CBC", 16),
    ("AES-128-GCM", 12),
    ("AES-256-GCM", 12),
    ("DES-EDE3-CBC", 8),
];

/// A scheme of encryption.
pub(super) struct Protection {
    /// Such as `PBES2/HMAC-SHA1/AES-256-CBC`.
    name: String,
    is_read: bool,
}

impl Protection {
    /// Parses an AlgorithmIdentifier of its identifier and its parameters.
    pub(super) fn parse(scheme: ObjectId<'_>, parameters: &[u8]) -> Self {
        if scheme != oids::PBES2 {
            return Self { name: scheme.scheme_name(), is_read: false };
        }
        let (Some((derivation, derives)), Some((cipher, ciphers))) = parts(parameters) else {
            return Self { name: "PBES2 with unknown parameters".into(), is_read: false };
        };
        Self { name: format!("PBES2/{derivation}/{cipher}"), is_read: derives && ciphers }
    }

    /// Decrypts an EncryptedPrivateKeyInfo.
    pub(super) fn open(&self, whole: &[u8], passphrase: Option<&str>) -> Result<Secret, KeyFileError> {
        if !self.is_read {
            return Err(self.unread());
        }
        let locked = EncryptedPrivateKeyInfoRef::try_from(whole).map_err(|_| self.unread())?;
        let passphrase = passphrase.ok_or(KeyFileError::Locked)?;
        match locked.encryption_algorithm.decrypt(passphrase, locked.encrypted_data.as_bytes()) {
            Ok(opened) => Ok(Zeroizing::new(opened)),
            Err(pkcs8::pkcs5::Error::DecryptFailed) => Err(KeyFileError::WrongPassphrase),
            Err(_) => Err(self.unread()),
        }
    }

    /// True if OpenSSL 3 reads it only with its legacy provider.
    pub(super) fn is_legacy(&self) -> bool {
        oids::is_legacy(&self.name)
    }

    fn unread(&self) -> KeyFileError {
        KeyFileError::Encryption { name: self.name.clone(), is_legacy: self.is_legacy() }
    }
}

/// A part of PBES2: its name, and whether it is read.
type Part = (String, bool);

/// The derivation and the cipher of PBES2-params.
fn parts(parameters: &[u8]) -> (Option<Part>, Option<Part>) {
    let Some(both) = Values(parameters).next().filter(|value| value.tag == SEQUENCE) else {
        return (None, None);
    };
    let mut both = Values(both.body);
    let mut next = || both.next().filter(|value| value.tag == SEQUENCE);
    (next().and_then(|part| derivation(part.body)), next().and_then(|part| cipher(part.body)))
}

fn derivation(algorithm: &[u8]) -> Option<Part> {
    let mut values = Values(algorithm);
    let function = ObjectId(values.next()?.body);
    let parameters = values.next()?;
    match function {
        oids::PBKDF2 => pbkdf2(parameters.body),
        oids::SCRYPT => scrypt(parameters.body),
        other => Some((other.prf_name(), false)),
    }
}

fn pbkdf2(parameters: &[u8]) -> Option<Part> {
    let mut values = Values(parameters).peekable();
    let (salt, rounds) = (values.next()?, count(values.next()?.body));
    // The length of the key may stand before the function, and follows from the cipher.
    values.next_if(|value| value.tag == INTEGER);
    let name = match values.next() {
        Some(function) => object_id(function.body)?.prf_name(),
        None => "HMAC-SHA1".to_owned(),
    };
    let is_salt_read = salt.tag == OCTET_STRING && salt.body.len() <= MAX_SALT;
    let is_read = PRFS.contains(&&*name) && is_salt_read && (1..=MAX_ROUNDS).contains(&rounds);
    Some(if !is_salt_read {
        (format!("{name} with a salt of {} bytes", salt.body.len()), false)
    } else if rounds > MAX_ROUNDS {
        (format!("{name} in {rounds} rounds"), false)
    } else {
        (name, is_read)
    })
}

fn scrypt(parameters: &[u8]) -> Option<Part> {
    let mut values = Values(parameters);
    let salt = values.next()?;
    let mut next = || values.next().map(|value| count(value.body));
    let (cost, block, lanes) = (next()?, next()?, next()?);
    let memory = cost.saturating_mul(block).saturating_mul(128);
    let is_read = salt.tag == OCTET_STRING
        && salt.body.len() <= MAX_SALT
        && memory <= MAX_SCRYPT_MEMORY
        && (1..=MAX_SCRYPT_LANES).contains(&lanes);
    let name = if is_read { "scrypt".into() } else { format!("scrypt (N {cost}, r {block}, p {lanes})") };
    Some((name, is_read))
}

fn cipher(algorithm: &[u8]) -> Option<Part> {
    let mut values = Values(algorithm);
    let name = ObjectId(values.next()?.body).cipher_name();
    let vector = values.next().filter(|value| value.tag == OCTET_STRING).map(|value| value.body.len());
    let is_read = CIPHERS.iter().any(|(read, length)| *read == name && Some(*length) == vector);
    Some((name, is_read))
}

/// An INTEGER of any length; one that is too large for a count is the largest.
fn count(body: &[u8]) -> u64 {
    body.iter().try_fold(0u64, |sum, byte| sum.checked_mul(256)?.checked_add(u64::from(*byte))).unwrap_or(u64::MAX)
}
