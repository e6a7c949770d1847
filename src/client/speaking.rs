//! One's own key in a room, and who has it. PROTOCOL.md §7 "Sender key".

use std::collections::HashSet;

use super::people::People;
use super::roster::Roster;
use crate::chat::message::Session;
use crate::secure::e2e::sender_key::{OwnKey, SealedSaid};
use zeroize::Zeroizing;

/// How many boxes one Share takes.
const BOXES: usize = 128;

/// One's own speaking in a room.
#[derive(Default)]
pub struct Speaking {
    key: Option<OwnKey>,
    /// The counter of the next text that has no final answer.
    counter: u64,
    /// Who has been sent the key.
    have: HashSet<Session>,
    /// Whether everybody who may read has it.
    complete: bool,
    /// The roster's last change as of which the user has been told that nobody reads what they say.
    told_unread: Option<u64>,
}

impl Speaking {
    /// Goes on counting where one left off in this room.
    #[must_use]
    pub fn counted_on(counter: u64) -> Self {
        Self { counter, ..Self::default() }
    }

    /// The counter of the next text that has no final answer.
    #[must_use]
    pub fn counter(&self) -> u64 {
        self.counter
    }

    /// Whether everybody who may read has the key.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.key.is_some() && self.complete
    }

    /// Whether somebody has been sent the key, or is to be.
    #[must_use]
    pub fn is_read(&self) -> bool {
        !self.have.is_empty()
    }

    /// Nobody could read a text that was said after this change of the roster. Gives whether the user is to be told: once,
    /// until somebody comes in.
    pub fn is_news_that_nobody_reads(&mut self, change: u64) -> bool {
        self.told_unread.replace(change) != Some(change)
    }

    /// Makes a key if there is none. Gives everybody who is yet to be sent it, in as many Shares as that takes.
    pub fn prepare(&mut self, own: Session, roster: &Roster, people: &People) -> Vec<Vec<Session>> {
        let counter = self.counter;
        self.key.get_or_insert_with(|| OwnKey::new(&mut rand::rng(), counter));
        self.complete = true;
        let without = |session: &&Session| **session != own && !self.have.contains(*session);
        let lacking = roster.members().iter().filter(without).filter(|session| people.may_read(**session));
        let lacking: Vec<Session> = lacking.copied().collect();
        self.have.extend(&lacking);
        lacking.chunks(BOXES).map(<[Session]>::to_vec).collect()
    }

    /// What a box with the key has in it, if there still is one.
    #[must_use]
    pub fn shared(&self, room: &str) -> Option<Zeroizing<Vec<u8>>> {
        self.key.as_ref().map(|key| key.shared(room))
    }

    /// Seals what is to be said; what this key has sealed already stays as it is.
    pub fn seal(&mut self, padded: &[u8], before: Option<SealedSaid>) -> Option<SealedSaid> {
        let key = self.key.as_mut()?;
        Some(before.filter(|sealed| key.has_sealed(sealed)).unwrap_or_else(|| key.seal(padded)))
    }

    /// A text was accepted.
    pub fn settle(&mut self, said: &SealedSaid) {
        self.counter = said.counter() + 1;
        if let Some(key) = &mut self.key {
            key.settle(said);
        }
    }

    /// A text was refused for good: its key is used for nothing more.
    pub fn refused(&mut self, said: &SealedSaid) {
        self.settle(said);
        self.forget_key();
    }

    /// Somebody has come in, or may read from now on.
    pub fn more_may_read(&mut self) {
        self.complete = false;
    }

    /// Somebody has left: if they had been sent the key, it is used for nothing more.
    pub fn left(&mut self, session: Session) {
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
