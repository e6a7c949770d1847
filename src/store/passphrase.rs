//! Secrets from files, and passphrases of encrypted keys: from a file, or asked for on the terminal. Never from the
//! command line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::access::SecretAccess;
use super::{DiskError, read_error, refuse_unsafe_secret};

/// The longest line that is read, in bytes.
const MAX_LINE: u64 = 65_536;

/// Where a passphrase comes from.
#[derive(Clone, Debug, Default)]
pub struct PassphraseSource {
    /// A file with the passphrase in its first line.
    pub file: Option<PathBuf>,
    /// Rule for this file, for the private key and for other files of secrets.
    pub access: SecretAccess,
}

impl PassphraseSource {
    /// The passphrase for the key at `key`. On a terminal it is asked for only if it is `needed` to open one.
    ///
    /// The file is read at each call; a pipe gives its line once.
    ///
    /// # Errors
    /// [`DiskError`] if the file, or the terminal, cannot be read; or if others can read the file.
    pub fn get(&self, key: &Path, needed: bool) -> Result<Option<Zeroizing<String>>, DiskError> {
        if let Some(file) = &self.file {
            return secret_line(file, self.access).map(Some);
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
pub fn secret_line(file: &Path, access: SecretAccess) -> Result<Zeroizing<String>, DiskError> {
    let line = first_line(file)?;
    refuse_unsafe_secret(file, access)?;
    Ok(line)
}

/// A file's first line, without a check of its mode.
///
/// # Errors
/// [`DiskError`] if the file cannot be read, or the line is empty.
pub fn first_line(file: &Path) -> Result<Zeroizing<String>, DiskError> {
    let bytes = File::open(file).and_then(read_line).map_err(read_error(file))?;
    let line = str::from_utf8(&bytes).map_err(|_| read_error(file)(io::Error::other("its first line is not UTF-8")))?;
    // A mark that editors of Windows put at the start.
    let line = line.strip_prefix('\u{feff}').unwrap_or(line);
    let line = line.strip_suffix('\n').unwrap_or(line);
    let line = Zeroizing::new(line.strip_suffix('\r').unwrap_or(line).to_owned());
    if line.is_empty() { Err(read_error(file)(io::Error::other("its first line is empty"))) } else { Ok(line) }
}

/// Reads as far as the first line's end, with it.
fn read_line(file: File) -> io::Result<Zeroizing<Vec<u8>>> {
    // A pipe's writer may stay, and what follows the line there may be for another reader: not a byte more is taken.
    let ahead = if file.metadata()?.is_file() { 4_096 } else { 1 };
    let mut line = Zeroizing::new(Vec::with_capacity(4_096));
    BufReader::with_capacity(ahead, file.take(MAX_LINE)).read_until(b'\n', &mut line)?;
    Ok(line)
}
