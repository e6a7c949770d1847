//! Files that hold no key for this program, by what they are.

use std::fmt;

use super::oids;
use super::protection::Protection;
use super::structure::{self, DerContent};
use super::text::{Block, decode_base64};
use super::{DamageError, KeyFileError};
use crate::secure::identity::check_modulus;

/// A file that is another thing than a key that is taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForeignFileError {
    /// `BEGIN OPENSSH PRIVATE KEY`.
    #[error("an RSA key in OpenSSH's own format")]
    OpenSsh,
    /// A `.ppk` file.
    #[error("an RSA key in PuTTY's format")]
    Putty,
    /// `BEGIN SSH2 ENCRYPTED PRIVATE KEY`.
    #[error("a private key in the format of ssh.com")]
    SshCom,
    /// PEM that is encrypted as RFC 1421 has it.
    #[error("an RSA key in an old PEM form, encrypted with {cipher} (\"Proc-Type: 4,ENCRYPTED\")")]
    OldEncryption {
        /// As the file names it.
        cipher: String,
        /// True if OpenSSL 3 reads it only with its legacy provider.
        is_legacy: bool,
    },
    /// A private key of another algorithm.
    #[error("not an RSA key: its algorithm is {0}")]
    Algorithm(String),
    /// A key that may sign only.
    #[error("an RSA-PSS key, which may sign only: the key that is needed here decrypts too")]
    RsaPss {
        /// True if a passphrase protects it.
        is_encrypted: bool,
    },
    /// An RSA key of more than two primes.
    #[error("an RSA key of {0} primes; those of two are taken")]
    MultiPrime(usize),
    /// An RSA private key in DER.
    #[error("an RSA key in binary form (DER), and not PEM")]
    Der,
    /// An encrypted private key in DER.
    #[error("an encrypted private key in binary form (DER), and not PEM")]
    EncryptedDer {
        /// True if OpenSSL 3 reads it only with its legacy provider.
        is_legacy: bool,
    },
    /// PFX.
    #[error("a PKCS #12 store (.p12, .pfx)")]
    Pkcs12 {
        /// True if OpenSSL 3 reads it only with its legacy provider.
        is_legacy: bool,
    },
    /// JKS or JCEKS.
    #[error("a Java key store")]
    JavaKeyStore,
    /// A private key of Microsoft's tools (PVK).
    #[error("a private key in Microsoft's PVK format")]
    Pvk {
        /// True if OpenSSL 3 reads it only with its legacy provider.
        is_legacy: bool,
    },
    /// A private key of Microsoft's tools (PRIVATEKEYBLOB).
    #[error("a private key as a Microsoft key blob")]
    KeyBlob,
    /// JSON Web Key, RFC 7517.
    #[error("a JSON Web Key")]
    Jwk,
    /// RSAKeyValue, as .NET writes it.
    #[error("a key in XML, as .NET writes it")]
    Xml,
    /// A file that another tool has encrypted or packed whole.
    #[error("a file that {} has {}", .0.tool(), .0.verb())]
    Wrapped(Wrapping),
    /// OpenPGP.
    #[error("an OpenPGP key")]
    OpenPgp,
    /// Base64 of a whole PEM file.
    #[error("a PEM file in base64 once more")]
    Base64OfPem,
    /// Base64 of DER without the lines around it.
    #[error("the base64 of a key without its first and last line")]
    BareBase64,
    /// A public key, or what has one in it.
    #[error("{0}")]
    Public(PublicForm),
    /// A private key in a public one's place.
    #[error("a private key, which does not belong in a file for others")]
    PrivateKey,
    /// A block of another kind.
    #[error("a PEM block of the kind \"{0}\"")]
    Block(String),
}

/// Tool that makes a file of another one, whatever is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrapping {
    /// `BEGIN PGP MESSAGE`, or the same in bytes.
    Gpg,
    /// `BEGIN AGE ENCRYPTED FILE`, or the same in bytes.
    Age,
    /// `$ANSIBLE_VAULT;…`.
    AnsibleVault,
    /// RFC 1952.
    Gzip,
}

impl Wrapping {
    fn tool(self) -> &'static str {
        match self {
            Self::Gpg => "GnuPG",
            Self::Age => "age",
            Self::AnsibleVault => "ansible-vault",
            Self::Gzip => "gzip",
        }
    }

    fn verb(self) -> &'static str {
        if self == Self::Gzip { "compressed" } else { "encrypted" }
    }

    /// Tool by how a file begins.
    fn of(content: &[u8]) -> Option<Self> {
        let begins: [(&[u8], Self); 5] = [
            (b"-----BEGIN PGP MESSAGE-----", Self::Gpg),
            (b"-----BEGIN AGE ENCRYPTED FILE-----", Self::Age),
            (b"age-encryption.org/", Self::Age),
            (b"$ANSIBLE_VAULT;", Self::AnsibleVault),
            (b"\x1f\x8b", Self::Gzip),
        ];
        begins.iter().find(|(begin, _)| content.starts_with(begin)).map(|(_, tool)| *tool)
    }
}

/// Form of a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublicForm {
    /// In any form of PEM or DER.
    Plain,
    /// A line of `authorized_keys`, or RFC 4716.
    Ssh,
    /// X.509.
    Certificate,
}

impl fmt::Display for PublicForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "a public key",
            Self::Ssh => "a public key of SSH",
            Self::Certificate => "a certificate or a request for one",
        })
    }
}

/// Returns what a file without a private key that is taken is.
pub(super) fn no_private_key(text: &str, blocks: &[Block<'_>]) -> KeyFileError {
    if let Some(tool) = Wrapping::of(text.trim_start().as_bytes()) {
        return KeyFileError::Foreign(ForeignFileError::Wrapped(tool));
    }
    let private = blocks.iter().find(|block| block.label.contains("PRIVATE KEY"));
    match private.or(blocks.first()) {
        Some(block) => of_block(block),
        None => of_text(text),
    }
}

/// Returns what a file without a public key that is taken is.
pub(super) fn no_public_key(text: &str, blocks: &[Block<'_>]) -> KeyFileError {
    match blocks.first() {
        Some(block) => of_block(block),
        None => of_text(text),
    }
}

fn of_block(block: &Block<'_>) -> KeyFileError {
    let foreign = match block.label {
        "OPENSSH PRIVATE KEY" => return block.decode().map_or_else(|damage| damage, |bytes| openssh(&bytes)),
        "EC PRIVATE KEY" => ForeignFileError::Algorithm("EC".into()),
        "DSA PRIVATE KEY" => ForeignFileError::Algorithm("DSA".into()),
        "RSA-PSS PRIVATE KEY" => ForeignFileError::RsaPss { is_encrypted: block.old_encryption().is_some() },
        "PGP PRIVATE KEY BLOCK" | "PGP PUBLIC KEY BLOCK" => ForeignFileError::OpenPgp,
        "PUBLIC KEY" | "RSA PUBLIC KEY" | "DSA PUBLIC KEY" => ForeignFileError::Public(PublicForm::Plain),
        label if label.contains("CERTIFICATE") => ForeignFileError::Public(PublicForm::Certificate),
        // The label comes from a file that a user may have fetched: no control characters go to a screen.
        label => ForeignFileError::Block(label.chars().filter(|char| !char.is_control()).take(40).collect()),
    };
    KeyFileError::Foreign(foreign)
}

fn of_text(text: &str) -> KeyFileError {
    let trimmed = text.trim();
    let damaged = |why| KeyFileError::Damaged(why);
    if trimmed.is_empty() {
        return damaged(DamageError::Empty);
    }
    if trimmed.bytes().all(|byte| byte == 0) {
        return damaged(DamageError::Zeros);
    }
    let is_ssh = ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"].iter().any(|kind| trimmed.starts_with(kind));
    let foreign = if let Some(first) = trimmed.strip_prefix("PuTTY-User-Key-File-") {
        return putty(first);
    } else if trimmed.contains("BEGIN SSH2 ENCRYPTED PRIVATE KEY") {
        ForeignFileError::SshCom
    } else if is_ssh || trimmed.contains("BEGIN SSH2 PUBLIC KEY") {
        ForeignFileError::Public(PublicForm::Ssh)
    } else if trimmed.starts_with(['{', '[']) && trimmed.contains("\"kty\"") {
        ForeignFileError::Jwk
    } else if trimmed.contains("<RSAKeyValue>") {
        ForeignFileError::Xml
    } else if trimmed.contains("-----END ") || trimmed.contains("BEGIN ") && trimmed.contains("PRIVATE KEY") {
        return damaged(DamageError::NoBegin);
    } else {
        let base64: zeroize::Zeroizing<String> =
            zeroize::Zeroizing::new(trimmed.chars().filter(|char| !char.is_whitespace()).collect());
        match decode_base64(&base64) {
            Some(bytes) if bytes.starts_with(b"-----BEGIN ") => ForeignFileError::Base64OfPem,
            Some(bytes) if bytes.first() == Some(&0x30) => match structure::parse(&bytes) {
                Ok(content @ (DerContent::Pkcs8 { .. } | DerContent::Pkcs1(_))) => match of_private(&content) {
                    KeyFileError::Foreign(ForeignFileError::Der) => ForeignFileError::BareBase64,
                    other => return other,
                },
                Ok(DerContent::Encrypted { .. }) => ForeignFileError::BareBase64,
                Ok(other) => return other_content(&other),
                Err(damage) => return damage,
            },
            _ => return damaged(DamageError::NoKey),
        }
    };
    KeyFileError::Foreign(foreign)
}

/// Returns what a file that is no text is.
pub(super) fn binary(content: &[u8]) -> KeyFileError {
    const JAVA: [&[u8]; 2] = [&[0xfe, 0xed, 0xfe, 0xed], &[0xce, 0xce, 0xce, 0xce]];
    const PVK: &[u8] = &[0x1e, 0xf1, 0xb5, 0xb0];
    const BLOB: &[u8] = &[0x07, 0x02, 0x00, 0x00];
    // A PFX whose lengths are left open, as some browsers write it.
    const OPEN_PFX: &[u8] = &[0x30, 0x80, 0x02, 0x01, 0x03];
    let foreign = if let Some(tool) = Wrapping::of(content) {
        ForeignFileError::Wrapped(tool)
    } else if JAVA.iter().any(|magic| content.starts_with(magic)) {
        ForeignFileError::JavaKeyStore
    } else if content.starts_with(PVK) {
        // A word behind the magic, a reserved one and the kind of key tells whether it is encrypted, by RC4 then.
        ForeignFileError::Pvk { is_legacy: content.get(12..16).is_some_and(|word| word != [0; 4]) }
    } else if content.starts_with(BLOB) {
        ForeignFileError::KeyBlob
    } else if content.starts_with(OPEN_PFX) {
        ForeignFileError::Pkcs12 { is_legacy: oids::has_old_pkcs12(content) }
    } else if content.first() == Some(&0x30) {
        return match structure::parse(content) {
            Ok(content @ (DerContent::Pkcs8 { .. } | DerContent::Pkcs1(_))) => of_private(&content),
            Ok(other) => other_content(&other),
            Err(damage) => damage,
        };
    } else {
        return KeyFileError::Damaged(DamageError::NoKey);
    };
    KeyFileError::Foreign(foreign)
}

/// Returns what a private key that is not in PEM is: one that can be rewritten, or one that cannot.
fn of_private(content: &DerContent<'_>) -> KeyFileError {
    let key = match content {
        DerContent::Pkcs8 { algorithm: oids::RSA, key } => key,
        DerContent::Pkcs1(whole) => whole,
        other => return other_content(other),
    };
    match structure::rsa_private(key) {
        Ok((numbers, _)) => {
            check_modulus(numbers.modulus).err().map_or(KeyFileError::Foreign(ForeignFileError::Der), Into::into)
        }
        Err(damage) => damage,
    }
}

/// Returns what DER that is no RSA private key is.
pub(super) fn other_content(content: &DerContent<'_>) -> KeyFileError {
    KeyFileError::Foreign(match content {
        DerContent::Pkcs8 { algorithm, .. } => match algorithm.key_name() {
            name if name == "RSA-PSS" => ForeignFileError::RsaPss { is_encrypted: false },
            name => ForeignFileError::Algorithm(name),
        },
        DerContent::Spki { .. } | DerContent::Pkcs1Public(_) => ForeignFileError::Public(PublicForm::Plain),
        DerContent::Certificate => ForeignFileError::Public(PublicForm::Certificate),
        DerContent::Sec1 => ForeignFileError::Algorithm("EC".into()),
        DerContent::Dsa => ForeignFileError::Algorithm("DSA".into()),
        DerContent::Pkcs12(whole) => ForeignFileError::Pkcs12 { is_legacy: oids::has_old_pkcs12(whole) },
        DerContent::Encrypted { scheme, parameters, .. } => {
            ForeignFileError::EncryptedDer { is_legacy: Protection::parse(*scheme, parameters).is_legacy() }
        }
        DerContent::Pkcs1(_) => ForeignFileError::PrivateKey,
    })
}

/// Returns what a block of OpenSSH is, by the public key that stands in it unencrypted (PROTOCOL.key of OpenSSH).
fn openssh(bytes: &[u8]) -> KeyFileError {
    let public = || {
        let mut rest = bytes.strip_prefix(b"openssh-key-v1\0")?;
        for _cipher_and_derivation in 0..3 {
            ssh_string(&mut rest)?;
        }
        let _count = rest.split_off(..4)?;
        ssh_string(&mut rest)
    };
    public().map_or(KeyFileError::Damaged(DamageError::Structure), |blob| of_ssh(blob, ForeignFileError::OpenSsh))
}

/// Returns what a file of PuTTY is, by the public key that stands in it unencrypted.
fn putty(text: &str) -> KeyFileError {
    let mut lines = text.lines();
    let count = lines.find_map(|line| line.strip_prefix("Public-Lines:")?.trim().parse::<usize>().ok());
    let base64: String = lines.take(count.unwrap_or_default()).map(str::trim).collect();
    match decode_base64(&base64) {
        Some(blob) if !blob.is_empty() => of_ssh(&blob, ForeignFileError::Putty),
        _ => KeyFileError::Damaged(DamageError::Structure),
    }
}

/// Returns `foreign` if a public key of SSH (RFC 4253 §6.6) is RSA of a size that is taken, or else what it is.
fn of_ssh(mut blob: &[u8], foreign: ForeignFileError) -> KeyFileError {
    let damaged = KeyFileError::Damaged(DamageError::Structure);
    match ssh_string(&mut blob) {
        Some(b"ssh-rsa") => {
            let Some((_exponent, modulus)) = ssh_string(&mut blob).zip(ssh_string(&mut blob)) else {
                return damaged;
            };
            let start = modulus.iter().position(|byte| *byte != 0).unwrap_or(modulus.len());
            check_modulus(&modulus[start..]).err().map_or(KeyFileError::Foreign(foreign), Into::into)
        }
        Some(name) => {
            let name = String::from_utf8_lossy(name);
            let name = name.chars().filter(char::is_ascii_graphic).take(40).collect();
            KeyFileError::Foreign(ForeignFileError::Algorithm(name))
        }
        None => damaged,
    }
}

/// Takes a string of RFC 4251 §5 from the front.
fn ssh_string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = rest.split_off(..4)?;
    let length = u32::from_be_bytes(length.try_into().ok()?);
    rest.split_off(..usize::try_from(length).ok()?)
}
