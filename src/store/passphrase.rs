//! Secrets from files, and passphrases of encrypted keys: from a file, or asked for on the terminal. Never from the
//! command line.

use std::fs;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{DiskError, read_error, refuse_exposed};

/// Where a passphrase comes from.
#[derive(Clone, Debug, Default)]
pub struct PassphraseSource {
    /// A file with the passphrase in its first line.
    pub file: Option<PathBuf>,
}

impl PassphraseSource {
    /// The passphrase for the key at `key`. On a terminal it is asked for only if it is `needed` to open one.
    ///
    /// # Errors
    /// [`DiskError`] if the file, or the terminal, cannot be read; or if others can read the file.
    pub fn get(&self, key: &Path, needed: bool) -> Result<Option<Zeroizing<String>>, DiskError> {
        if let Some(file) = &self.file {
            return secret_line(file).map(Some);
        }
        if !needed || !io::stdin().is_terminal() {
            return Ok(None);
        }
        let asked = rpassword::prompt_password(format!("Passphrase for {}: ", key.display()));
        asked.map(|passphrase| Some(passphrase.into())).map_err(read_error(key))
    }
}

/// The secret that is a file's first line.
///
/// # Errors
/// [`DiskError`] if the file cannot be read, or others can read it, or the line is empty.
pub fn secret_line(file: &Path) -> Result<Zeroizing<String>, DiskError> {
    let line = first_line(file)?;
    refuse_exposed(file)?;
    Ok(line)
}

/// A file's first line, without a check of its mode.
///
/// # Errors
/// [`DiskError`] if the file cannot be read, or the line is empty.
pub fn first_line(file: &Path) -> Result<Zeroizing<String>, DiskError> {
    let text = Zeroizing::new(fs::read_to_string(file).map_err(read_error(file))?);
    let line = Zeroizing::new(text.lines().next().unwrap_or_default().to_owned());
    if line.is_empty() { Err(read_error(file)(io::Error::other("its first line is empty"))) } else { Ok(line) }
}
