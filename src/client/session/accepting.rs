//! Another key of somebody who is known, beside the one that was met first: only if the user says so. PROTOCOL.md §7.

use super::super::notices;
use super::super::people::NotChanged;
use super::super::view::Shown;
use super::{Files, Session};
use crate::chat::name::Name;
use crate::store::lines::LinesError;

/// Why somebody's other key is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum NotAccepted {
    /// There is none that could be.
    #[error(transparent)]
    Nobody(#[from] NotChanged),
    /// It could not be kept.
    #[error(transparent)]
    NotKept(#[from] LinesError),
}

impl Session {
    /// Accepts the key of whoever is here by this name, and refused because they had another: it is kept, and then they
    /// are as newly met. What they have said so far stays unread.
    ///
    /// # Errors
    /// [`NotAccepted`] if there is nobody such, or it could not be kept; then nothing has changed.
    pub fn accept(&mut self, name: &Name, files: &mut Files, shown: &mut Vec<Shown>) -> Result<(), NotAccepted> {
        let (session, fingerprint) = self.people.changed(name, &files.users)?;
        if !files.users.accept(name, fingerprint)? {
            // Another process has removed the line that they were known by.
            return Err(NotChanged::Nobody.into());
        }
        let held = self.people.admit(session);
        self.rooms.all_mut().for_each(|inside| inside.speaking.more_may_read());
        shown.push(Shown::Remark(notices::accepted(name, fingerprint, files.users.path())));
        self.tell_unread(&[session], shown);
        for boxed in held.iter().rev() {
            self.shared(session, boxed, shown);
        }
        Ok(())
    }
}
