//! Another key of a known peer, beside the first: only with the user's consent. PROTOCOL.md §7.

use super::super::notices;
use super::super::peers::KeyChangeError;
use super::super::ui_event::UiEvent;
use super::{ClientSession, Files};
use crate::chat::name::Name;
use crate::store::line_file::LineFileError;

/// Reason why a peer's other key is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum AcceptKeyError {
    /// There is none that could be.
    #[error(transparent)]
    Nobody(#[from] KeyChangeError),
    /// It could not be kept.
    #[error(transparent)]
    NotKept(#[from] LineFileError),
}

impl ClientSession {
    /// Accepts the key of the present peer with this name, who was rejected for it: the key is pinned, and then they
    /// are as newly met. What they have said so far stays unread.
    ///
    /// # Errors
    /// [`AcceptKeyError`] if there is no such peer, or it could not be pinned; then no state has changed.
    pub fn accept(&mut self, name: &Name, files: &mut Files, shown: &mut Vec<UiEvent>) -> Result<(), AcceptKeyError> {
        let (session, fingerprint) = self.peers.changed(name, &files.users)?;
        if !files.users.accept(name, fingerprint)? {
            // Another process has removed the line that they were known by.
            return Err(KeyChangeError::Nobody.into());
        }
        let held = self.peers.admit(session);
        self.rooms.all_mut().for_each(|inside| inside.sender_key.mark_incomplete());
        shown.push(UiEvent::Remark(notices::accepted(name, fingerprint, files.users.path())));
        self.tell_unread(&[session], shown);
        for boxed in held.iter().rev() {
            self.shared(session, boxed, shown);
        }
        Ok(())
    }
}
