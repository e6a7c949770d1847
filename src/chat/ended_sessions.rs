//! Sessions that have ended, which are never taken again. Bounded.

use std::collections::{HashSet, VecDeque};

use super::message::SessionId;

/// Number of remembered ids.
const REMEMBERED: usize = 65_536;

/// Sessions that have ended, which are never taken again: the last so many.
#[derive(Debug, Default)]
pub(super) struct EndedSessions {
    sessions: HashSet<SessionId>,
    oldest_first: VecDeque<SessionId>,
}

impl EndedSessions {
    pub(super) fn has(&self, session: SessionId) -> bool {
        self.sessions.contains(&session)
    }

    pub(super) fn add(&mut self, session: SessionId) {
        self.sessions.insert(session);
        self.oldest_first.push_back(session);
        if self.oldest_first.len() > REMEMBERED
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.sessions.remove(&oldest);
        }
    }
}
