//! What stays taken after its user has gone: names, and sessions. Both are bounded.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use super::message::Session;
use super::name::Name;
use super::{Member, Owner};

/// How many names, and how many ended sessions, are remembered.
const REMEMBERED: usize = 65_536;

/// Whose each name is. The first to use one has it, and all that look like it, as long as the server runs.
#[derive(Debug, Default)]
pub(super) struct Names {
    claims: HashMap<String, Claim>,
    oldest_first: VecDeque<String>,
    /// Everybody who has a claim.
    owners: HashMap<Owner, Claimant>,
}

#[derive(Debug)]
struct Claim {
    owner: Owner,
    /// Who used it last.
    member: Member,
}

#[derive(Debug)]
struct Claimant {
    spki: Arc<[u8]>,
    claims: usize,
}

impl Names {
    /// Whether nobody else has the name, nor one that looks like it.
    pub(super) fn may_have(&self, name: &Name, owner: Owner) -> bool {
        let skeletons = name.skeletons();
        let mut claimed = skeletons.iter().filter_map(|skeleton| self.claims.get(skeleton));
        claimed.all(|claim| claim.owner == owner)
    }

    /// The identity, as SPKI, of whose name it is.
    pub(super) fn find(&self, name: &Name) -> Option<&Arc<[u8]>> {
        let claim = name.skeletons().into_iter().find_map(|skeleton| self.claims.get(&skeleton))?;
        self.owners.get(&claim.owner).map(|claimant| &claimant.spki)
    }

    /// Whether somebody has a name.
    pub(super) fn knows(&self, owner: Owner) -> bool {
        self.owners.contains_key(&owner)
    }

    /// A name is theirs from now on. Beyond the bound the oldest claims of people who are away give way.
    pub(super) fn register(
        &mut self,
        name: &Name,
        owner: Owner,
        spki: &Arc<[u8]>,
        member: Member,
        is_here: impl Fn(Member) -> bool,
    ) {
        let mut tries = self.oldest_first.len();
        while self.claims.len() >= REMEMBERED && tries > 0 {
            tries -= 1;
            let Some(oldest) = self.oldest_first.pop_front() else { break };
            if self.claims.get(&oldest).is_some_and(|claim| is_here(claim.member)) {
                self.oldest_first.push_back(oldest);
            } else {
                self.give_up(&oldest);
            }
        }
        for skeleton in name.skeletons() {
            if self.claims.insert(skeleton.clone(), Claim { owner, member }).is_none() {
                self.oldest_first.push_back(skeleton);
                let new = || Claimant { spki: spki.clone(), claims: 0 };
                self.owners.entry(owner).or_insert_with(new).claims += 1;
            }
        }
    }

    fn give_up(&mut self, skeleton: &str) {
        if let Some(Claim { owner, .. }) = self.claims.remove(skeleton)
            && let Some(claimant) = self.owners.get_mut(&owner)
        {
            claimant.claims -= 1;
            if claimant.claims == 0 {
                self.owners.remove(&owner);
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
