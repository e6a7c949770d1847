//! Disk: one's own keys, and what is known of others.
//!
//! Invariant: this floor knows no socket, and never overwrites a key.

pub mod access;
pub mod database;
pub mod journal;
pub mod key_files;
mod key_hints;
pub mod known_servers;
pub mod known_users;
pub mod letters_seen;
pub mod line_file;
mod new_file;
pub mod passphrase;
mod placed_files;
pub mod process;
pub mod registry;
pub mod shortcomings;
pub mod standard_streams;

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::Access;

use self::access::SecretAccess;

/// Reason why a file cannot be used. Each names the path, and [`DiskError::hint`] what to do.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// It could not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// It could not be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// Path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Every user of the machine can change it, or put files in it (mode bit 0o002).
    #[error("{path} can be written by every user (mode {mode:04o})")]
    Open {
        /// Path.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A user other than root and the current one owns it.
    #[error("{path} belongs to another user (number {owner})")]
    Foreign {
        /// Path.
        path: PathBuf,
        /// Owner.
        owner: u32,
    },
    /// A disk without modes would let others read a secret: it was not written.
    #[error(
        "{path} cannot hold a secret: its disk keeps no permissions, and all its files can be read by others \
             (mode {mode:04o})"
    )]
    NoModes {
        /// The folder.
        path: PathBuf,
        /// The permissions of files there.
        mode: u32,
    },
    /// Others than its owner can read a secret.
    #[error("{path} can be read by others (mode {mode:04o})")]
    Exposed {
        /// Path.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
        /// Remedy.
        remedy: String,
    },
}

impl DiskError {
    /// Returns a remedy for the user.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoModes { .. } => Some(format!("{}, or give another folder", access::MOUNT)),
            Self::Open { path, .. } if path.is_file() => Some(access::chmod("600", path)),
            Self::Open { path, .. } => Some(access::chmod("700", path)),
            Self::Exposed { remedy, .. } => Some(remedy.clone()),
            Self::Foreign { path, .. } => Some(format!(
                "if it is yours, as root: chown {} {}. If it is not, move it away",
                rustix::process::geteuid().as_raw(),
                quoted(path)
            )),
            Self::Read { path, source } | Self::Write { path, source } => {
                let is_barred = source.kind() == io::ErrorKind::PermissionDenied;
                let folder = is_barred.then(|| own_barred_folder(path)).flatten()?;
                Some(format!("chmod 700 {}", quoted(folder)))
            }
        }
    }
}

/// A folder on the way to a file that its owner, this user, has no right to use.
fn own_barred_folder(path: &Path) -> Option<&Path> {
    let is_barred = |folder: &&Path| {
        let found = fs::metadata(folder);
        found.is_ok_and(|found| {
            found.is_dir() && found.uid() == rustix::process::geteuid().as_raw() && found.mode() & 0o700 != 0o700
        })
    };
    path.ancestors().find(is_barred)
}

/// A path as a shell takes it.
pub(crate) fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
}

fn read_error(path: &Path) -> impl FnOnce(io::Error) -> DiskError {
    let path = path.to_owned();
    |source| DiskError::Read { path, source }
}

fn write_error(path: &Path) -> impl FnOnce(io::Error) -> DiskError {
    let path = path.to_owned();
    |source| DiskError::Write { path, source }
}

/// Makes a folder that only its owner can enter, if it is missing; refuses one that every user can write
/// (mode bit 0o002). A group that can write is not checked.
fn make_private_folder(folder: &Path) -> Result<(), DiskError> {
    let was_there = folder.exists();
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(write_error(folder))?;
    let mode = fs::metadata(folder).map_err(read_error(folder))?.permissions().mode() & 0o7777;
    let refused = access::refuse_open_folder(folder, mode);
    if refused.is_err() && !was_there {
        // The disk has given it a mode of its own. It is empty, and of no use.
        let _ = fs::remove_dir(folder);
        return Err(DiskError::NoModes { path: folder.to_owned(), mode });
    }
    refused
}

/// Checks that a folder is usable, or can be made. Makes and changes no file.
fn look_at_folder(folder: &Path) -> Result<(), DiskError> {
    look_at_folder_for(folder, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK)
}

/// Checks that a folder lets the program do as much as `may` says, or can be made. Makes and changes no file.
fn look_at_folder_for(folder: &Path, may: Access) -> Result<(), DiskError> {
    let mut place = folder;
    let found = loop {
        match fs::metadata(place) {
            // The folders above it are made too.
            Err(error) if error.kind() == io::ErrorKind::NotFound && place != folder_of(place) => {
                place = folder_of(place);
            }
            other => break other.map_err(read_error(place))?,
        }
    };
    if !found.is_dir() {
        return Err(write_error(folder)(io::ErrorKind::NotADirectory.into()));
    }
    let mode = found.permissions().mode() & 0o7777;
    if place == folder {
        access::refuse_open_folder(folder, mode)?;
    }
    rustix::fs::access(place, may).map_err(|error| write_error(folder)(error.into()))
}

/// Refuses a file that a user other than root and the current one owns, or that every user can write (mode bit 0o002).
/// A group that can write is not checked.
fn refuse_foreign(path: &Path) -> Result<(), DiskError> {
    let found = fs::metadata(path).map_err(read_error(path))?;
    let (owner, mode) = (found.uid(), found.mode() & 0o7777);
    if ![0, rustix::process::geteuid().as_raw()].contains(&owner) {
        return Err(DiskError::Foreign { path: path.to_owned(), owner });
    }
    if mode & 0o002 == 0 { Ok(()) } else { Err(DiskError::Open { path: path.to_owned(), mode }) }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Refuses what others can read, or have put there.
fn refuse_exposed(path: &Path) -> Result<(), DiskError> {
    refuse_unsafe_secret(path, SecretAccess::Private)
}

/// Refuses a file of a secret that others can read, unless the rule takes it, or have put there.
fn refuse_unsafe_secret(path: &Path, rule: SecretAccess) -> Result<(), DiskError> {
    access::refuse_readable(path, rule)?;
    refuse_foreign(path)
}
