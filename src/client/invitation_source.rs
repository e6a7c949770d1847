//! Invitations: read from standard input or a file, and never from a command line.

use std::path::PathBuf;

use super::ui::line_of_input;
use crate::secure::invitation::{Invitation, InvitationError};
use crate::store::DiskError;
use crate::store::passphrase::first_line;

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
pub enum InvitationSourceError {
    /// Standard input could not be read, or there is no line in it.
    #[error("cannot read the invitation from standard input: {0}")]
    Input(std::io::Error),
    /// The file could not be read.
    #[error(transparent)]
    File(DiskError),
    /// It is none.
    #[error("that is no invitation: {0}")]
    Bad(#[from] InvitationError),
}

impl InvitationSourceError {
    /// Returns a remedy for the user.
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
/// [`InvitationSourceError`] if there is none.
pub fn invitation(source: &InvitationSource) -> Result<Invitation, InvitationSourceError> {
    let line = match source {
        InvitationSource::Input => line_of_input("Invitation: ").map_err(InvitationSourceError::Input)?,
        InvitationSource::File(file) => first_line(file).map_err(InvitationSourceError::File)?,
    };
    Ok(line.trim().parse()?)
}
