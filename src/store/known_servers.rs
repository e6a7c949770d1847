//! `known_servers`: which fingerprint each server had when it was first seen. PROTOCOL.md §7 "Who is who".

use std::path::Path;

use super::line_file::{Change, LineFile, LineFileError};
use crate::secure::identity::Fingerprint;

/// Pin of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pin {
    /// Empty.
    Unknown,
    /// It is who it was.
    Same,
    /// It has another identity than before.
    Changed {
        /// The pinned fingerprint.
        known: Fingerprint,
        /// The line that says so, from 1.
        line: usize,
    },
}

/// The file, in the folder of the keys.
#[derive(Clone, Debug)]
pub struct KnownServers {
    file: LineFile,
}

impl KnownServers {
    /// The file in this folder; it need not be there.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        Self { file: LineFile::new(folder.join("known_servers"), "host:port SHA256:…") }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Looks a server up.
    ///
    /// # Errors
    /// [`LineFileError`] if the file cannot be read, or not be understood.
    pub fn look_up(&self, host: &str, port: u16, fingerprint: Fingerprint) -> Result<Pin, LineFileError> {
        self.find(&self.file.read()?, &address(host, port), fingerprint)
    }

    /// Keeps a server that is not known, durably. If another process has just kept one, that one counts.
    ///
    /// # Errors
    /// [`LineFileError`] if the file cannot be written, or not be understood.
    pub fn keep(&self, host: &str, port: u16, fingerprint: Fingerprint) -> Result<Pin, LineFileError> {
        let address = address(host, port);
        self.file.change(|text| {
            let pin = self.find(text, &address, fingerprint)?;
            let new = || Change::Append(format!("{address} {fingerprint}\n"));
            Ok((if pin == Pin::Unknown { new() } else { Change::Nothing }, pin))
        })
    }

    fn find(&self, text: &str, address: &str, fingerprint: Fingerprint) -> Result<Pin, LineFileError> {
        let parse = |line: &'_ str| {
            let (host, known) = line.split_once(' ')?;
            Some((host.to_owned(), known.trim().parse::<Fingerprint>().ok()?))
        };
        for parsed in self.file.parse(text, parse) {
            let (line, (host, known)) = parsed?;
            if host == address {
                return Ok(if known == fingerprint { Pin::Same } else { Pin::Changed { known, line } });
            }
        }
        Ok(Pin::Unknown)
    }
}

/// `host:port`, the host in lower case, and in brackets if it has colons of its own.
#[must_use]
pub fn address(host: &str, port: u16) -> String {
    let host = host.to_lowercase();
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}
