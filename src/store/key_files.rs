//! RSA key pairs as PEM files: made once, loaded after, never overwritten.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rand::CryptoRng;

use super::passphrase::PassphraseSource;
use super::{Created, DiskError, create_new, look_at_folder, make_private_folder, quoted, read_error, refuse_exposed};
use crate::secure::identity::{Identity, PublicIdentity, RsaKeyError};

/// The longest key file that is read, in bytes: a 4096-bit key in PEM has some 3,300.
const MAX_FILE: u64 = 65_536;

/// Holder of a key pair, and so the names of its files.
#[derive(Clone, Copy, Debug)]
pub enum KeyHolder<'a> {
    /// `server_private_key.pem`, `server_public_key.pem`.
    Server,
    /// `client_NAME_private_key.pem`, `client_NAME_public_key.pem`.
    Client(&'a str),
}

impl KeyHolder<'_> {
    fn files(self, folder: &Path) -> (PathBuf, PathBuf) {
        let stem = match self {
            Self::Server => "server".to_owned(),
            Self::Client(name) => format!("client_{}", as_file_name(name)),
        };
        (folder.join(format!("{stem}_private_key.pem")), folder.join(format!("{stem}_public_key.pem")))
    }
}

/// Why there is no key pair.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The disk.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The file is there, but cannot be used.
    #[error("cannot use {path}: {why}")]
    Bad {
        /// Which file.
        path: PathBuf,
        /// Why not.
        why: RsaKeyError,
    },
    /// The public file is not that of the private one.
    #[error("{public} is not the public half of {private}")]
    Mismatch {
        /// The public file.
        public: PathBuf,
        /// The private file.
        private: PathBuf,
    },
    /// The public file is there and the private one is not.
    #[error("{public} is there, but {private} is not")]
    PrivateMissing {
        /// The public file.
        public: PathBuf,
        /// The private file.
        private: PathBuf,
    },
}

impl KeyError {
    /// Returns a remedy for the user.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Disk(error) => return error.hint(),
            Self::Bad { why: RsaKeyError::Locked, .. } => {
                "give its passphrase on a terminal, or by --passphrase-file".into()
            }
            Self::Bad { why: RsaKeyError::WrongPassphrase, .. } => return None,
            Self::Bad { path, why: RsaKeyError::OtherForm } => {
                format!("openssl pkey -in {0} -out {0}.new rewrites an older form as PKCS#8", quoted(path))
            }
            Self::Bad { path, .. } => format!(
                "put the right key back, or move {} away: a new one is then made, and you are somebody new to others",
                quoted(path)
            ),
            Self::Mismatch { public, .. } => {
                format!("remove {}: it is written anew from the private key", quoted(public))
            }
            Self::PrivateMissing { public, .. } => {
                format!("put the private key back, or remove {}: a new pair is then made", quoted(public))
            }
        })
    }
}

/// A key pair, and whether it is new.
pub struct Loaded {
    /// The key pair.
    pub identity: Identity,
    /// Where its private half is.
    pub path: PathBuf,
    /// True if it was made just now.
    pub made: bool,
}

/// Loads a key pair, or makes one of `bits` bits if there is none.
///
/// A new one is encrypted if the passphrase comes from a file; to open one it is also asked for.
///
/// # Errors
/// [`KeyError`] says which file, why, and what to do. What is there is left as it is.
pub fn load_or_make(
    folder: &Path,
    owner: KeyHolder<'_>,
    bits: usize,
    rng: &mut impl CryptoRng,
    passphrase: &PassphraseSource,
) -> Result<Loaded, KeyError> {
    make_private_folder(folder)?;
    let (private, public) = owner.files(folder);
    let (pem, made) = match read(&private)? {
        Some(pem) => (pem, false),
        None if public.exists() => return Err(KeyError::PrivateMissing { public, private }),
        None => {
            let bad = |why| KeyError::Bad { path: private.clone(), why };
            let passphrase = passphrase.get(&private, false)?;
            let identity = Identity::generate(rng, bits).map_err(bad)?;
            let pem = identity.to_pem(passphrase.as_ref().map(|word| word.as_str()));
            // Another process may have made one meanwhile: then that one is used.
            let made = create_new(&private, pem.as_bytes(), 0o600)? == Created::Made;
            (read(&private)?.unwrap_or_default(), made)
        }
    };
    refuse_exposed(&private)?;
    let bad = |why| KeyError::Bad { path: private.clone(), why };
    let identity = match Identity::from_pem(&pem, None) {
        Err(RsaKeyError::Locked) => {
            let passphrase = passphrase.get(&private, true)?;
            Identity::from_pem(&pem, passphrase.as_ref().map(|word| word.as_str())).map_err(bad)?
        }
        other => other.map_err(bad)?,
    };
    match_public(&identity, &private, &public)?;
    Ok(Loaded { identity, path: private, made })
}

/// Checks that [`load_or_make`] could use the files. Makes and changes no file, and asks for no passphrase.
///
/// # Errors
/// [`KeyError`] as it would say then.
pub fn look(folder: &Path, owner: KeyHolder<'_>, passphrase: &PassphraseSource) -> Result<(), KeyError> {
    look_at_folder(folder)?;
    let (private, public) = owner.files(folder);
    let word = match passphrase.file {
        Some(_) => passphrase.get(&private, false)?,
        None => None,
    };
    let Some(pem) = read(&private)? else {
        return if public.exists() { Err(KeyError::PrivateMissing { public, private }) } else { Ok(()) };
    };
    refuse_exposed(&private)?;
    let identity = match Identity::from_pem(&pem, word.as_ref().map(|word| word.as_str())) {
        // It is asked for when the server starts.
        Err(RsaKeyError::Locked) => return Ok(()),
        Err(why) => return Err(KeyError::Bad { path: private, why }),
        Ok(identity) => identity,
    };
    match read(&public)? {
        Some(pem) => match_pem(&identity, &pem, &private, &public),
        None => Ok(()),
    }
}

/// The public file says the same as the private one; it is written if it is not there.
fn match_public(identity: &Identity, private: &Path, public: &Path) -> Result<(), KeyError> {
    let pem = if let Some(pem) = read(public)? {
        pem
    } else {
        create_new(public, identity.public().to_pem().as_bytes(), 0o644)?;
        read(public)?.unwrap_or_default()
    };
    match_pem(identity, &pem, private, public)
}

fn match_pem(identity: &Identity, pem: &str, private: &Path, public: &Path) -> Result<(), KeyError> {
    let found = PublicIdentity::from_pem(pem).map_err(|why| KeyError::Bad { path: public.to_owned(), why })?;
    if found == *identity.public() {
        Ok(())
    } else {
        Err(KeyError::Mismatch { public: public.to_owned(), private: private.to_owned() })
    }
}

fn read(path: &Path) -> Result<Option<zeroize::Zeroizing<String>>, KeyError> {
    let readable = |path: &Path| {
        let length = fs::metadata(path)?.len();
        if length > MAX_FILE { Err(io::Error::other("too large for a key")) } else { fs::read(path) }
    };
    match readable(path) {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(pem) => Ok(Some(pem.into())),
            Err(_) => Err(KeyError::Bad { path: path.to_owned(), why: RsaKeyError::Damaged }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(read_error(path)(error).into()),
    }
}

/// A name as part of a file's: letters and digits of any script, `-`, `_` and `.` as they are, the rest as `%XX`.
fn as_file_name(name: &str) -> String {
    let mut out = String::new();
    for char in name.chars() {
        if char.is_alphanumeric() || matches!(char, '-' | '_' | '.') {
            out.push(char);
        } else {
            let mut buffer = [0; 4];
            out.extend(char.encode_utf8(&mut buffer).bytes().map(|byte| format!("%{byte:02X}")));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_the_folder() {
        let (private, _) = KeyHolder::Client("../../etc/x%").files(Path::new("keys"));
        assert_eq!(private, Path::new("keys/client_..%2F..%2Fetc%2Fx%25_private_key.pem"));
        let (private, public) = KeyHolder::Client("Ira").files(Path::new("keys"));
        assert_eq!(private, Path::new("keys/client_Ira_private_key.pem"));
        assert_eq!(public, Path::new("keys/client_Ira_public_key.pem"));
    }
}
