//! RSA key pairs as PEM files: made once, loaded after, never overwritten.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rand::CryptoRng;

use rustix::fs::Access;
use zeroize::Zeroizing;

use super::new_file::{Created, create_new};

use super::passphrase::PassphraseSource;
use super::{
    DiskError, access, key_hints, look_at_folder, look_at_folder_for, make_private_folder, quoted, read_error,
    refuse_unsafe_secret,
};
use crate::secure::identity::{Identity, PublicIdentity};
use crate::secure::key_file::KeyFileError;

/// The longest key file that is read, in bytes: a 4096-bit key in PEM has some 3,300, and texts may stand around it.
const MAX_FILE: u64 = 1_048_576;

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
    /// The private file is there, but cannot be used.
    #[error("cannot use {path}: {why}")]
    Bad {
        /// Which file.
        path: PathBuf,
        /// Why not.
        why: KeyFileError,
    },
    /// The public file is there, but cannot be used.
    #[error("cannot use {path} as the public half: {why}")]
    BadPublic {
        /// Which file.
        path: PathBuf,
        /// Why not.
        why: KeyFileError,
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
            Self::Disk(DiskError::Read { path, source }) if source.kind() == io::ErrorKind::PermissionDenied => {
                access::let_in(path)
            }
            Self::Disk(error) => return error.hint(),
            Self::Bad { path, why } => key_hints::for_private(path, why),
            Self::BadPublic { path, .. } => {
                format!("remove {}: it is written anew from the private key", quoted(path))
            }
            Self::Mismatch { public, .. } => {
                format!("remove {}: it is written anew from the private key", quoted(public))
            }
            Self::PrivateMissing { public, .. } => {
                format!(
                    "put the private key back from a backup. Only if there is none, remove {}: a new pair is then made, \
                     with which you are unknown to all others",
                    quoted(public)
                )
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
    let bad = |why| KeyError::Bad { path: private.clone(), why };
    let (content, made, mut word) = match read(&private)? {
        Some(content) => (content, false, None),
        None if public.exists() => return Err(KeyError::PrivateMissing { public, private }),
        None => {
            let word = passphrase.get(&private, false)?;
            let identity = Identity::generate(rng, bits).map_err(|why| bad(why.into()))?;
            let pem = identity.to_pem(text_of(word.as_ref()));
            // Another process may have made one meanwhile: then that one is used.
            let made = create_new(&private, pem.as_bytes(), 0o600)? == Created::Made;
            (read(&private)?.unwrap_or_default(), made, word)
        }
    };
    refuse_unsafe_secret(&private, passphrase.access)?;
    let identity = match Identity::from_pem(&*content, text_of(word.as_ref())) {
        Err(KeyFileError::Locked) => {
            // Asked for here alone: a pipe gives its passphrase once.
            word = passphrase.get(&private, true)?;
            Identity::from_pem(&*content, text_of(word.as_ref())).map_err(bad)?
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
    let (private, public) = owner.files(folder);
    let word = match passphrase.file {
        Some(_) => passphrase.get(&private, false)?,
        None => None,
    };
    let Some(content) = read(&private)? else {
        look_at_folder(folder)?;
        return if public.exists() { Err(KeyError::PrivateMissing { public, private }) } else { Ok(()) };
    };
    // With a key in it, the folder need not be writable.
    look_at_folder_for(folder, Access::EXEC_OK)?;
    refuse_unsafe_secret(&private, passphrase.access)?;
    let identity = match Identity::from_pem(&*content, text_of(word.as_ref())) {
        // It is asked for when the server starts.
        Err(KeyFileError::Locked) => return Ok(()),
        Err(why) => return Err(KeyError::Bad { path: private, why }),
        Ok(identity) => identity,
    };
    match read(&public)? {
        Some(content) => match_content(&identity, &content, &private, &public),
        None => Ok(()),
    }
}

/// The public file says the same as the private one. It is written if it is not there and can be: the private key alone
/// is enough.
fn match_public(identity: &Identity, private: &Path, public: &Path) -> Result<(), KeyError> {
    let content = match read(public)? {
        Some(content) => content,
        None => match create_new(public, identity.public().to_pem().as_bytes(), 0o644) {
            Ok(_) => read(public)?.unwrap_or_default(),
            Err(DiskError::Write { .. }) => return Ok(()),
            Err(other) => return Err(other.into()),
        },
    };
    match_content(identity, &content, private, public)
}

fn match_content(identity: &Identity, content: &[u8], private: &Path, public: &Path) -> Result<(), KeyError> {
    let bad = |why| KeyError::BadPublic { path: public.to_owned(), why };
    let found = PublicIdentity::from_pem(content).map_err(bad)?;
    if found == *identity.public() {
        Ok(())
    } else {
        Err(KeyError::Mismatch { public: public.to_owned(), private: private.to_owned() })
    }
}

fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, KeyError> {
    let readable = |path: &Path| {
        let file = File::open(path)?;
        let mut content = Zeroizing::new(Vec::with_capacity(4_096));
        let length = file.take(MAX_FILE + 1).read_to_end(&mut content)?;
        if length as u64 > MAX_FILE { Err(io::Error::other("too large for a key")) } else { Ok(content) }
    };
    match readable(path) {
        Ok(content) => Ok(Some(content)),
        // A link to a place that is not there now, such as a disk that is not mounted, is no reason for a new key.
        Err(error) if error.kind() == io::ErrorKind::NotFound => match fs::read_link(path) {
            Ok(target) => {
                let why = format!("it is a link to {}, and that is not there: is its disk mounted?", target.display());
                Err(read_error(path)(io::Error::other(why)).into())
            }
            Err(_) => Ok(None),
        },
        Err(error) => Err(read_error(path)(error).into()),
    }
}

fn text_of(secret: Option<&Zeroizing<String>>) -> Option<&str> {
    secret.map(|text| text.as_str())
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
