//! Letters that wait for who they are for. Every bound is kept at the time a letter comes. PROTOCOL.md §6, §9.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::message::ErrorCode;
use super::{Conn, Cursor, Owner};

/// How many may wait from one to another, for one, and from one.
const FROM_ONE_TO_ONE: usize = 10;
const FOR_ONE: usize = 100;
const FROM_ONE: usize = 100;
/// How much may wait in all, in bytes.
const IN_ALL: usize = 64 * 1_024 * 1_024;
/// What each costs beside its bytes.
const OVERHEAD: usize = 128;
/// How long one waits; a reader takes none that is older.
const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A mailbox that is full is looked through for what is too old this often.
const SWEEP: Duration = Duration::from_secs(60);

/// All letters that wait.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    waiting: HashMap<Owner, VecDeque<Waiting>>,
    /// How many wait of each author's.
    authors: HashMap<Owner, usize>,
    bytes: usize,
    swept: Option<Instant>,
}

/// A letter that waits until its reader has seen it.
#[derive(Debug)]
pub(super) struct Waiting {
    author: Owner,
    letter: Arc<[u8]>,
    since: Instant,
    /// As which event it is on its way, and to whom.
    handed_over: Option<(Conn, Cursor)>,
}

impl Waiting {
    pub(super) fn letter(&self) -> &[u8] {
        &self.letter
    }

    pub(super) fn hand_over(&mut self, to: Conn, cursor: Cursor) {
        self.handed_over = Some((to, cursor));
    }

    fn is_fresh(&self, now: Instant) -> bool {
        now.duration_since(self.since) <= KEPT
    }
}

impl Mailbox {
    /// Takes a letter in.
    pub(super) fn put(&mut self, author: Owner, to: Owner, letter: Arc<[u8]>, now: Instant) -> Result<(), ErrorCode> {
        let size = letter.len() + OVERHEAD;
        self.keep(to, |waiting| waiting.is_fresh(now));
        if self.bytes + size > IN_ALL && self.swept.is_none_or(|when| now.duration_since(when) >= SWEEP) {
            self.swept = Some(now);
            for owner in self.waiting.keys().copied().collect::<Vec<_>>() {
                self.keep(owner, |waiting| waiting.is_fresh(now));
            }
        }
        let before = self.waiting.get(&to).map_or(0, VecDeque::len);
        let of_author = self.waiting.get(&to).into_iter().flatten().filter(|waiting| waiting.author == author).count();
        let in_all = self.authors.get(&author).copied().unwrap_or_default();
        let is_full = of_author >= FROM_ONE_TO_ONE || before >= FOR_ONE || in_all >= FROM_ONE;
        if is_full || self.bytes + size > IN_ALL {
            return Err(ErrorCode::Refused);
        }
        self.bytes += size;
        *self.authors.entry(author).or_default() += 1;
        self.waiting.entry(to).or_default().push_back(Waiting { author, letter, since: now, handed_over: None });
        Ok(())
    }

    /// What waits for somebody and is not on its way to them, the oldest first.
    pub(super) fn waiting_for(&mut self, owner: Owner, now: Instant) -> impl Iterator<Item = &mut Waiting> {
        let all = self.waiting.get_mut(&owner).into_iter().flatten();
        all.filter(move |waiting| waiting.handed_over.is_none() && waiting.is_fresh(now))
    }

    /// Somebody has seen every event up to this one.
    pub(super) fn seen(&mut self, owner: Owner, by: Conn, cursor: Cursor) {
        self.keep(owner, |waiting| waiting.handed_over.is_none_or(|(to, at)| to != by || at > cursor));
    }

    /// Somebody is gone: what they have not seen waits for them again.
    pub(super) fn take_back(&mut self, owner: Owner, from: Conn) {
        for waiting in self.waiting.get_mut(&owner).into_iter().flatten() {
            if waiting.handed_over.is_some_and(|(to, _)| to == from) {
                waiting.handed_over = None;
            }
        }
    }

    /// Keeps only these of somebody's letters.
    fn keep(&mut self, owner: Owner, keep: impl Fn(&Waiting) -> bool) {
        let Some(letters) = self.waiting.get_mut(&owner) else {
            return;
        };
        letters.retain(|waiting| {
            let keep = keep(waiting);
            if !keep {
                self.bytes -= waiting.letter.len() + OVERHEAD;
                if let Entry::Occupied(mut count) = self.authors.entry(waiting.author) {
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
