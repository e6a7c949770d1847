//! Passwords, as one types them or keeps them in a file. They never stand on a command line.

use std::path::Path;

use zeroize::Zeroizing;

use crate::chat::password::{PasswordError, normalized};
use crate::secure::password::{LENGTH, PasswordLengthError};
use crate::store::DiskError;
use crate::store::access::SecretAccess;
use crate::store::passphrase::secret_line;

/// A text that can be no password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordInputError {
    /// For what is in it.
    #[error(transparent)]
    Bad(#[from] PasswordError),
    /// For its length.
    #[error(transparent)]
    Length(#[from] PasswordLengthError),
}

/// A password as it travels (PROTOCOL.md §6 "Passwords").
///
/// # Errors
/// [`PasswordInputError`] for what no server takes.
pub fn as_password(text: &str) -> Result<Zeroizing<String>, PasswordInputError> {
    let password = normalized(text)?;
    if LENGTH.contains(&password.len()) { Ok(password) } else { Err(PasswordLengthError.into()) }
}

/// The password that is a file's first line.
pub(super) fn password_in(file: &Path, access: SecretAccess) -> Result<Zeroizing<String>, DiskError> {
    as_password(&secret_line(file, access)?)
        .map_err(|why| DiskError::Read { path: file.to_owned(), source: std::io::Error::other(why) })
}
