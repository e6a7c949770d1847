//! Sessions that have ended, which are never taken again. Bounded.

use std::collections::{HashSet, VecDeque};

use super::message::Session;

/// How many are remembered.
const REMEMBERED: usize = 65_536;

/// Sessions that have ended, which are never taken again: the last so many.
#[derive(Debug, Default)]
pub(super) struct Ended {
    sessions: HashSet<Session>,
    oldest_first: VecDeque<Session>,
}

impl Ended {
    pub(super) fn has(&self, session: Session) -> bool {
        self.sessions.contains(&session)
    }

    pub(super) fn add(&mut self, session: Session) {
        self.sessions.insert(session);
        self.oldest_first.push_back(session);
        if self.oldest_first.len() > REMEMBERED
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.sessions.remove(&oldest);
        }
    }
}
