//! What lets one in where one is not known: an invitation, or a password. Neither ever stands on a command line.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::ui::line_of_input;
use crate::chat::password::{BadPassword, normalized};
use crate::secure::invitation::{BadInvitation, Invitation};
use crate::secure::password::{BadLength, LENGTH};
use crate::store::DiskError;
use crate::store::passphrase::{first_line, secret_line};

/// Where an invitation is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvitationSource {
    /// The first line of standard input; what comes behind it is left there.
    Input,
    /// The first line of a file.
    File(PathBuf),
}

/// Why there is no invitation.
#[derive(Debug, thiserror::Error)]
pub enum NoInvitation {
    /// Standard input could not be read, or there is no line in it.
    #[error("cannot read the invitation from standard input: {0}")]
    Input(std::io::Error),
    /// The file could not be read.
    #[error(transparent)]
    File(DiskError),
    /// It is none.
    #[error("that is no invitation: {0}")]
    Bad(#[from] BadInvitation),
}

impl NoInvitation {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Input(_) => None,
            Self::File(error) => error.hint(),
            Self::Bad(_) => Some("it is one line: cfb-chat://host:port/#SHA256:…/token".into()),
        }
    }
}

/// Reads an invitation.
///
/// # Errors
/// [`NoInvitation`] if there is none.
pub fn invitation(source: &InvitationSource) -> Result<Invitation, NoInvitation> {
    let line = match source {
        InvitationSource::Input => line_of_input("Invitation: ").map_err(NoInvitation::Input)?,
        InvitationSource::File(file) => first_line(file).map_err(NoInvitation::File)?,
    };
    Ok(line.trim().parse()?)
}

/// A text that can be no password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPassword {
    /// For what is in it.
    #[error(transparent)]
    Bad(#[from] BadPassword),
    /// For its length.
    #[error(transparent)]
    Length(#[from] BadLength),
}

/// A password as it travels (PROTOCOL.md §6 "Passwords").
///
/// # Errors
/// [`NoPassword`] for what no server takes.
pub fn as_password(text: &str) -> Result<Zeroizing<String>, NoPassword> {
    let password = normalized(text)?;
    if LENGTH.contains(&password.len()) { Ok(password) } else { Err(BadLength.into()) }
}

/// The password that is a file's first line.
pub(super) fn password_in(file: &Path) -> Result<Zeroizing<String>, DiskError> {
    as_password(&secret_line(file)?)
        .map_err(|why| DiskError::Read { path: file.to_owned(), source: std::io::Error::other(why) })
}
