//! `known_servers`: which fingerprint each server had when it was first seen. PROTOCOL.md §7 "Who is who".
//!
//! One line each, `host:port SHA256:…`, written durably before what it admits is used.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::{DiskError, make_private_folder, read_error, refuse_foreign, sync_folder_of, write_error};
use crate::secure::identity::Fingerprint;

/// What is known of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pin {
    /// Nothing.
    Unknown,
    /// It is who it was.
    Same,
    /// It is somebody else than it was.
    Changed {
        /// Who it was.
        known: Fingerprint,
        /// The line that says so, from 1.
        line: usize,
    },
}

/// The file, in the folder of the keys.
#[derive(Clone, Debug)]
pub struct KnownServers {
    path: PathBuf,
}

/// A line of the file is not one of ours.
#[derive(Debug, thiserror::Error)]
pub enum KnownServersError {
    /// The disk.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A line that cannot be read: nothing is guessed.
    #[error("{path}, line {line}: not \"host:port SHA256:…\"")]
    BadLine {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
}

impl KnownServers {
    /// The file in this folder; it need not be there.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        Self { path: folder.join("known_servers") }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Looks a server up.
    ///
    /// # Errors
    /// [`KnownServersError`] if the file cannot be read, or not be understood.
    pub fn look_up(&self, host: &str, port: u16, fingerprint: Fingerprint) -> Result<Pin, KnownServersError> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => {
                refuse_foreign(&self.path)?;
                text
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(read_error(&self.path)(error).into()),
        };
        self.find(&text, &address(host, port), fingerprint)
    }

    /// Keeps a server that is not known, durably. If another process has just kept one, that one counts.
    ///
    /// # Errors
    /// [`KnownServersError`] if the file cannot be written, or not be understood.
    pub fn keep(&self, host: &str, port: u16, fingerprint: Fingerprint) -> Result<Pin, KnownServersError> {
        if let Some(folder) = self.path.parent() {
            make_private_folder(folder)?;
        }
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&self.path)
            .map_err(write_error(&self.path))?;
        file.lock().map_err(write_error(&self.path))?;
        refuse_foreign(&self.path)?;
        let text = io::read_to_string(&mut file).map_err(read_error(&self.path))?;
        let address = address(host, port);
        let pin = self.find(&text, &address, fingerprint)?;
        if pin == Pin::Unknown {
            let start = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
            append(&mut file, format!("{start}{address} {fingerprint}\n").as_bytes())
                .map_err(write_error(&self.path))?;
            sync_folder_of(&self.path)?;
        }
        Ok(pin)
    }

    fn find(&self, text: &str, address: &str, fingerprint: Fingerprint) -> Result<Pin, KnownServersError> {
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let known = line.split_once(' ').and_then(|(host, known)| Some((host, known.trim().parse().ok()?)));
            match known {
                None => return Err(KnownServersError::BadLine { path: self.path.clone(), line: index + 1 }),
                Some((host, known)) if host == address => {
                    let same = known == fingerprint;
                    return Ok(if same { Pin::Same } else { Pin::Changed { known, line: index + 1 } });
                }
                Some(_) => {}
            }
        }
        Ok(Pin::Unknown)
    }
}

/// Adds a line at the end, or nothing at all: a file that is full is left as it was.
fn append(file: &mut File, line: &[u8]) -> io::Result<()> {
    let end = file.seek(SeekFrom::End(0))?;
    let written = file.write_all(line).and_then(|()| file.sync_all());
    if written.is_err() {
        let _ = file.set_len(end);
    }
    written
}

/// `host:port`, the host in lower case, and in brackets if it has colons of its own.
#[must_use]
pub fn address(host: &str, port: u16) -> String {
    let host = host.to_lowercase();
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}
