//! What stays taken after its user has gone: names, and sessions. Both are bounded.

use std::collections::{HashMap, HashSet, VecDeque};

use super::Conn;
use super::message::Session;
use super::name::Name;

/// How many names, and how many ended sessions, are remembered.
const REMEMBERED: usize = 65_536;

/// An identity's fingerprint: whose a name is.
pub type Owner = [u8; 32];

/// Whose each name is. The first to use one has it, and all that look like it, as long as the server runs.
#[derive(Debug, Default)]
pub(super) struct Names {
    owners: HashMap<String, (Owner, Conn)>,
    oldest_first: VecDeque<String>,
}

impl Names {
    /// Whether the name is theirs, now at the latest. Beyond the bound the oldest claim of somebody away gives way.
    pub(super) fn claim(&mut self, name: &Name, owner: Owner, conn: Conn, is_here: impl Fn(Conn) -> bool) -> bool {
        let skeletons = name.skeletons();
        let mut claimed = skeletons.iter().filter_map(|skeleton| self.owners.get(skeleton));
        if claimed.any(|(claimant, _)| *claimant != owner) {
            return false;
        }
        let mut tries = self.oldest_first.len();
        while self.owners.len() >= REMEMBERED && tries > 0 {
            tries -= 1;
            let Some(oldest) = self.oldest_first.pop_front() else { break };
            if self.owners.get(&oldest).is_some_and(|(_, conn)| is_here(*conn)) {
                self.oldest_first.push_back(oldest);
            } else {
                self.owners.remove(&oldest);
            }
        }
        for skeleton in skeletons {
            if self.owners.insert(skeleton.clone(), (owner, conn)).is_none() {
                self.oldest_first.push_back(skeleton);
            }
        }
        true
    }
}

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
