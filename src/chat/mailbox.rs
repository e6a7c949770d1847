//! Letters that wait for who they are for. Every bound is kept at the time a letter comes. PROTOCOL.md §6, §9.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::message::{ErrorCode, SessionId};
use super::registry_record::{Letter, RegistryRecord};
use super::{Cursor, Owner, SessionNumber};

/// Limits on waiting letters: per pair, per recipient, and per author.
const FROM_ONE_TO_ONE: usize = 10;
const FOR_ONE: usize = 100;
const FROM_ONE: usize = 100;
/// Limit on the bytes of all waiting letters.
const IN_ALL: usize = 64 * 1_024 * 1_024;
/// Overhead of a letter beside its bytes.
const OVERHEAD: usize = 128;
/// Lifetime of a letter, in milliseconds; readers refuse older ones.
const KEPT: u64 = 30 * 24 * 60 * 60 * 1_000;

/// A mailbox that is full is looked through for what is too old this often, in milliseconds.
const SWEEP: u64 = 60 * 1_000;

/// All letters that wait.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    waiting: HashMap<Owner, VecDeque<QueuedLetter>>,
    /// Number of waiting letters by author.
    authors: HashMap<Owner, usize>,
    bytes: usize,
    next: u64,
    swept: u64,
    /// Accepted letters with answers that a crash may have lost.
    untold: HashMap<SessionId, Vec<Written>>,
    /// Pending registry changes.
    changes: Vec<RegistryRecord>,
}

/// A letter, by recipient and number.
type Written = (Owner, Arc<[u8]>);

/// A letter that waits until its reader has seen it.
#[derive(Debug)]
pub(super) struct QueuedLetter {
    letter: Letter,
    /// Event that carries it, and the receiving session.
    handed_over: Option<(SessionNumber, Cursor)>,
}

impl QueuedLetter {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.letter.bytes
    }

    pub(super) fn hand_over(&mut self, to: SessionNumber, cursor: Cursor) {
        self.handed_over = Some((to, cursor));
    }

    fn is_fresh(&self, now: u64) -> bool {
        now.saturating_sub(self.letter.at) <= KEPT
    }
}

impl Mailbox {
    /// Takes a letter in that an author's session has sent under this number. `now` is in milliseconds since 1970, as with
    /// all that follows.
    pub(super) fn put(
        &mut self,
        author: Owner,
        from: (SessionId, u64),
        reader: Owner,
        bytes: &[u8],
        now: u64,
    ) -> Result<(), ErrorCode> {
        let size = bytes.len() + OVERHEAD;
        self.keep(reader, |waiting| waiting.is_fresh(now));
        if self.bytes + size > IN_ALL && now.abs_diff(self.swept) >= SWEEP {
            self.swept = now;
            for owner in self.waiting.keys().copied().collect::<Vec<_>>() {
                self.keep(owner, |waiting| waiting.is_fresh(now));
            }
        }
        let before = self.waiting.get(&reader);
        let of_author = before.into_iter().flatten().filter(|waiting| waiting.letter.author == author).count();
        let in_all = self.authors.get(&author).copied().unwrap_or_default();
        let is_full = of_author >= FROM_ONE_TO_ONE || before.map_or(0, VecDeque::len) >= FOR_ONE || in_all >= FROM_ONE;
        if is_full || self.bytes + size > IN_ALL {
            return Err(ErrorCode::Refused);
        }
        let letter = Letter { id: self.next + 1, author, reader, at: now, bytes: bytes.into(), from: Some(from) };
        self.changes.push(RegistryRecord::Letter(letter.clone()));
        self.restore(letter);
        Ok(())
    }

    /// A letter waits as it did before.
    pub(super) fn restore(&mut self, letter: Letter) {
        self.next = self.next.max(letter.id);
        self.bytes += letter.bytes.len() + OVERHEAD;
        *self.authors.entry(letter.author).or_default() += 1;
        self.waiting.entry(letter.reader).or_default().push_back(QueuedLetter { letter, handed_over: None });
    }

    /// Of the letters that wait, remembers those that their authors do not know to have been taken.
    pub(super) fn remember_untold(&mut self, is_untold: impl Fn(SessionId, u64) -> bool) {
        for QueuedLetter { letter, .. } in self.waiting.values().flatten() {
            if let Some((session, n)) = letter.from
                && is_untold(session, n)
            {
                self.untold.entry(session).or_default().push((letter.reader, letter.bytes.clone()));
            }
        }
    }

    /// True if this letter was taken before, and its author is yet to know: then they do now.
    pub(super) fn tell(&mut self, session: SessionId, reader: Owner, bytes: &[u8]) -> bool {
        let Entry::Occupied(mut untold) = self.untold.entry(session) else {
            return false;
        };
        let letters = untold.get_mut();
        let Some(at) = letters.iter().position(|(other, letter)| *other == reader && **letter == *bytes) else {
            return false;
        };
        letters.swap_remove(at);
        if letters.is_empty() {
            untold.remove();
        }
        true
    }

    /// A letter is in flight to a session, as it was before.
    pub(super) fn mark_in_flight(&mut self, owner: Owner, letter: &[u8], to: SessionNumber, cursor: Cursor) {
        let mut waiting = self.waiting.get_mut(&owner).into_iter().flatten();
        if let Some(waiting) = waiting.find(|waiting| *waiting.letter.bytes == *letter) {
            waiting.hand_over(to, cursor);
        }
    }

    /// Letters of a recipient that are not in flight, the oldest first.
    pub(super) fn waiting_for(&mut self, owner: Owner, now: u64) -> impl Iterator<Item = &mut QueuedLetter> {
        let all = self.waiting.get_mut(&owner).into_iter().flatten();
        all.filter(move |waiting| waiting.handed_over.is_none() && waiting.is_fresh(now))
    }

    /// A session has seen every event up to this one.
    pub(super) fn seen(&mut self, owner: Owner, by: SessionNumber, cursor: Cursor) {
        self.keep(owner, |waiting| waiting.handed_over.is_none_or(|(to, at)| to != by || at > cursor));
    }

    /// A session has ended: letters that it has not seen wait again.
    pub(super) fn take_back(&mut self, owner: Owner, from: SessionNumber) {
        for waiting in self.waiting.get_mut(&owner).into_iter().flatten() {
            if waiting.handed_over.is_some_and(|(to, _)| to == from) {
                waiting.handed_over = None;
            }
        }
    }

    /// Takes the pending registry changes.
    pub(super) fn take_changes(&mut self) -> impl Iterator<Item = RegistryRecord> {
        self.changes.drain(..)
    }

    /// Keeps only these of a recipient's letters.
    fn keep(&mut self, owner: Owner, keep: impl Fn(&QueuedLetter) -> bool) {
        let Some(letters) = self.waiting.get_mut(&owner) else {
            return;
        };
        letters.retain(|waiting| {
            let keep = keep(waiting);
            if !keep {
                let Letter { id, author, bytes, .. } = &waiting.letter;
                self.bytes -= bytes.len() + OVERHEAD;
                self.changes.push(RegistryRecord::LetterGone(*id));
                if let Entry::Occupied(mut count) = self.authors.entry(*author) {
                    *count.get_mut() -= 1;
                    if *count.get() == 0 {
                        count.remove();
                    }
                }
            }
            keep
        });
        if letters.is_empty() {
            self.waiting.remove(&owner);
        }
    }
}
