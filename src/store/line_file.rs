//! Files of lines that several processes may read and change at once: what is known of servers, of users, of letters.
//!
//! A line is written durably before what it admits is used, or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::new_file::{sync, sync_folder_of, write_draft};
use super::shortcomings::{Shortcoming, note};
use super::{DiskError, folder_of, make_private_folder, read_error, refuse_foreign, write_error};

/// So often a file may be another one than that which was locked.
const MAX_REPLACED: usize = 1_000;
/// The longest file that is kept, in bytes: tens of thousands of lines.
const MAX_FILE_SIZE: u64 = 8 * 1_024 * 1_024;

/// Why such a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LineFileError {
    /// The disk.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A line that cannot be read: it is not guessed.
    #[error("{path}, line {line}: not \"{form}\"")]
    BadLine {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// Form of a line.
        form: &'static str,
    },
    /// It is as long as it may become.
    #[error("{path} is full: {what}")]
    Full {
        /// The file.
        path: PathBuf,
        /// Unit of the limit.
        what: &'static str,
    },
}

impl LineFileError {
    /// Returns a remedy for the user.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Disk(error) => error.hint(),
            Self::BadLine { line, .. } => Some(format!("mend or remove line {line}")),
            Self::Full { .. } => Some("remove the lines that are not needed any more".into()),
        }
    }
}

/// Such a file; it need not be there.
#[derive(Clone, Debug)]
pub(super) struct LineFile {
    path: PathBuf,
    form: &'static str,
}

/// Change of a file's text.
pub(super) enum Change {
    Nothing,
    /// These lines, each with its end, behind what is there.
    Append(String),
    /// Another text instead.
    Replace(String),
}

impl LineFile {
    /// `form` is what a line looks like, for people.
    pub(super) fn new(path: PathBuf, form: &'static str) -> Self {
        Self { path, form }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn full(&self, what: &'static str) -> LineFileError {
        LineFileError::Full { path: self.path.clone(), what }
    }

    /// The whole text.
    pub(super) fn read(&self) -> Result<String, LineFileError> {
        match fs::read_to_string(&self.path) {
            Ok(text) => {
                refuse_foreign(&self.path)?;
                Ok(text)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(read_error(&self.path)(error).into()),
        }
    }

    /// Reads the text under a lock, and changes it as `decide` says, durably and atomically.
    pub(super) fn change<T>(
        &self,
        decide: impl FnOnce(&str) -> Result<(Change, T), LineFileError>,
    ) -> Result<T, LineFileError> {
        make_private_folder(folder_of(&self.path))?;
        let mut file = self.lock()?;
        refuse_foreign(&self.path)?;
        let text = io::read_to_string(&mut file).map_err(read_error(&self.path))?;
        let (change, result) = decide(&text)?;
        match change {
            Change::Nothing => {}
            Change::Append(lines) => {
                let start = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
                if (text.len() + lines.len()) as u64 > MAX_FILE_SIZE {
                    return Err(self.full("8 MiB"));
                }
                append(&mut file, format!("{start}{lines}").as_bytes()).map_err(write_error(&self.path))?;
                sync_folder_of(&self.path)?;
            }
            Change::Replace(text) => {
                let mut draft = self.path.clone().into_os_string();
                draft.push(".tmp");
                // The lock's holder is the only one with a draft.
                write_draft(Path::new(&draft), text.as_bytes(), 0o600)?;
                let replaced = fs::rename(&draft, &self.path);
                if replaced.is_err() {
                    let _ = fs::remove_file(&draft);
                }
                replaced.map_err(write_error(&self.path))?;
                sync_folder_of(&self.path)?;
            }
        }
        Ok(result)
    }

    /// Each line with its number, from 1, but for empty ones and comments.
    pub(super) fn parse<'a, T: 'a>(
        &'a self,
        text: &'a str,
        parse: impl Fn(&'a str) -> Option<T> + 'a,
    ) -> impl Iterator<Item = Result<(usize, T), LineFileError>> + 'a {
        let lines = text.lines().map(str::trim).enumerate().map(|(index, line)| (index + 1, line));
        lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')).map(move |(line, text)| {
            let bad = || LineFileError::BadLine { path: self.path.clone(), line, form: self.form };
            parse(text).map(|parsed| (line, parsed)).ok_or_else(bad)
        })
    }

    /// The file, locked: the one that is there under its name now, for another may have taken its place meanwhile.
    fn lock(&self) -> Result<File, DiskError> {
        for _ in 0..MAX_REPLACED {
            let file = OpenOptions::new()
                .read(true)
                .append(true)
                .create(true)
                .mode(0o600)
                .open(&self.path)
                .map_err(write_error(&self.path))?;
            if file.lock().is_err() {
                // A lock keeps two clients of one user apart: a disk that has none is good enough for one.
                note(&self.path, Shortcoming::Locks);
                return Ok(file);
            }
            let locked = file.metadata().map_err(read_error(&self.path))?.ino();
            if fs::metadata(&self.path).is_ok_and(|found| found.ino() == locked) {
                return Ok(file);
            }
        }
        Err(write_error(&self.path)(io::Error::other("it is replaced again and again")))
    }
}

/// Adds lines at the end, or none: a file that is full is left as it was.
fn append(file: &mut File, lines: &[u8]) -> io::Result<()> {
    let end = file.seek(SeekFrom::End(0))?;
    let written = file.write_all(lines).and_then(|()| sync(file));
    if written.is_err() {
        let _ = file.set_len(end);
    }
    written
}
