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
    /// Whether nobody else has the name, nor one that looks like it.
    pub(super) fn may_have(&self, name: &Name, owner: Owner) -> bool {
        let skeletons = name.skeletons();
        let mut claimed = skeletons.iter().filter_map(|skeleton| self.owners.get(skeleton));
        claimed.all(|(claimant, _)| *claimant == owner)
    }

    /// A name is theirs from now on. Beyond the bound the oldest claims of people who are away give way.
    pub(super) fn register(&mut self, name: &Name, owner: Owner, conn: Conn, is_here: impl Fn(Conn) -> bool) {
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
        for skeleton in name.skeletons() {
            if self.owners.insert(skeleton.clone(), (owner, conn)).is_none() {
                self.oldest_first.push_back(skeleton);
            }
        }
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
