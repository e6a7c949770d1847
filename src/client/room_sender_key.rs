//! One's own key in a room, and who has it. PROTOCOL.md §7 "Sender key".

use std::collections::HashSet;

use super::peers::PeerTable;
use super::roster::Roster;
use crate::chat::message::SessionId;
use crate::secure::e2e::sender_key::{OutboundSenderKey, SealedMessage};
use zeroize::Zeroizing;

/// Limit on the boxes of one Share.
const BOXES: usize = 128;

/// One's own speaking in a room.
#[derive(Default)]
pub struct RoomSenderKey {
    key: Option<OutboundSenderKey>,
    /// The counter of the next text that has no final answer.
    counter: u64,
    /// Members who have been sent the key.
    have: HashSet<SessionId>,
    /// True if all readers have the key.
    complete: bool,
    /// Roster change for which the user was told that no member can read the messages.
    told_unread: Option<u64>,
}

impl RoomSenderKey {
    /// Goes on counting where one left off in this room.
    #[must_use]
    pub fn resume_at(counter: u64) -> Self {
        Self { counter, ..Self::default() }
    }

    /// The counter of the next text that has no final answer.
    #[must_use]
    pub fn counter(&self) -> u64 {
        self.counter
    }

    /// True if all readers have the key.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.key.is_some() && self.complete
    }

    /// True if a member has been sent the key, or is to be.
    #[must_use]
    pub fn has_recipients(&self) -> bool {
        !self.have.is_empty()
    }

    /// Records that no member could read a message at this roster change. Returns true if the user is to be told: once,
    /// until a member joins.
    pub fn should_warn_no_recipient(&mut self, change: u64) -> bool {
        self.told_unread.replace(change) != Some(change)
    }

    /// Makes a key if there is none. Returns the members who lack it, in as many Shares as needed.
    pub fn prepare(&mut self, own: SessionId, roster: &Roster, peers: &PeerTable) -> Vec<Vec<SessionId>> {
        let counter = self.counter;
        self.key.get_or_insert_with(|| OutboundSenderKey::new(&mut rand::rng(), counter));
        self.complete = true;
        let without = |session: &&SessionId| **session != own && !self.have.contains(*session);
        let lacking = roster.members().iter().filter(without).filter(|session| peers.may_read(**session));
        let lacking: Vec<SessionId> = lacking.copied().collect();
        self.have.extend(&lacking);
        lacking.chunks(BOXES).map(<[SessionId]>::to_vec).collect()
    }

    /// Returns the plaintext of a box with the key, if there still is one.
    #[must_use]
    pub fn shared(&self, room: &str) -> Option<Zeroizing<Vec<u8>>> {
        self.key.as_ref().map(|key| key.shared(room))
    }

    /// Seals what is to be said; what this key has sealed already stays as it is.
    pub fn seal(&mut self, padded: &[u8], before: Option<SealedMessage>) -> Option<SealedMessage> {
        let key = self.key.as_mut()?;
        Some(before.filter(|sealed| key.has_sealed(sealed)).unwrap_or_else(|| key.seal(padded)))
    }

    /// A text was accepted.
    pub fn settle(&mut self, said: &SealedMessage) {
        self.counter = said.counter() + 1;
        if let Some(key) = &mut self.key {
            key.settle(said);
        }
    }

    /// Retires the key of a message that was refused for good.
    pub fn refused(&mut self, said: &SealedMessage) {
        self.settle(said);
        self.forget_key();
    }

    /// A member has joined, or may read from now on.
    pub fn mark_incomplete(&mut self) {
        self.complete = false;
    }

    /// A member has left: a key that was sent to them is retired.
    pub fn left(&mut self, session: SessionId) {
        if self.have.contains(&session) {
            self.forget_key();
        }
    }

    /// The next text gets a new key.
    pub fn forget_key(&mut self) {
        self.key = None;
        self.have.clear();
        self.complete = false;
    }
}
