//! A room's roster, as its members receive it: changes are in order, and all members see the same. PROTOCOL.md §6
//! "Joining", §7.

use std::collections::VecDeque;
use std::time::Duration;

use super::peers::PeerTable;
use crate::chat::message::{SessionId, Welcome};
use crate::chat::room;
use crate::secure::e2e::roster::RosterHash;
use crate::secure::identity::Fingerprint;

/// For how long after it was replaced a message may name a change: what the server allows, and a little for its clock.
const STALE_AFTER: Duration = room::STALE_AFTER.saturating_add(Duration::from_secs(5));
/// For so long after coming in, messages for those who were there before may still be on their way, in milliseconds.
const JUST_COME: u64 = 60_000;

/// The server's account of a room does not add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RosterError {
    /// A change is missing, or was told twice.
    #[error("the room's change {told} came where {due} was due: the server hides who is here")]
    Change {
        /// The one that was told.
        told: u64,
        /// The one that was due.
        due: u64,
    },
    /// A member joined twice, or a stranger left.
    #[error("the room's list of members does not add up: the server hides who is here")]
    Member,
    /// A number was named before its Person.
    #[error("a member was named before being introduced")]
    Stranger,
}

/// A room's roster, and those of its last changes.
#[derive(Debug)]
pub struct Roster {
    server: Fingerprint,
    room: String,
    change: u64,
    members: Vec<SessionId>,
    /// The last first.
    history: VecDeque<Past>,
    own_change: u64,
    own_at: u64,
}

#[derive(Debug)]
struct Past {
    change: u64,
    hash: RosterHash,
    /// When the next change came, in milliseconds since 1970.
    replaced: Option<u64>,
}

/// Result of looking up a message's roster change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// A roster that a message may name, with all its members.
    Roster(RosterHash),
    /// One before the reader came in, who has only just come.
    BeforeOneself,
    /// One from too long ago.
    Stale,
    /// One that is none.
    Unknown,
}

impl Roster {
    /// The room at this client's own join: all members are known, and this client is one.
    ///
    /// # Errors
    /// [`RosterError`] if not.
    pub fn new(welcome: &Welcome, own: SessionId, server: Fingerprint, peers: &PeerTable) -> Result<Self, RosterError> {
        let all = welcome.members.iter().map(|number| peers.session_numbers.session(*number));
        let mut members: Vec<SessionId> = all.collect::<Option<_>>().ok_or(RosterError::Stranger)?;
        members.sort_unstable();
        let count = members.len();
        members.dedup();
        if members.len() < count || !members.contains(&own) || welcome.change < count as u64 {
            return Err(RosterError::Member);
        }
        let mut roster = Self {
            server,
            room: welcome.room.to_string(),
            change: welcome.change,
            members,
            history: VecDeque::new(),
            own_change: welcome.change,
            own_at: welcome.at,
        };
        roster.remember(welcome.at);
        Ok(roster)
    }

    /// The room's last change.
    #[must_use]
    pub fn change(&self) -> u64 {
        self.change
    }

    /// Returns the members.
    #[must_use]
    pub fn hash(&self) -> RosterHash {
        self.history[0].hash
    }

    /// All members, this client included, in the order of their session ids' bytes.
    #[must_use]
    pub fn members(&self) -> &[SessionId] {
        &self.members
    }

    /// True if a session is a member.
    #[must_use]
    pub fn has(&self, session: SessionId) -> bool {
        self.members.binary_search(&session).is_ok()
    }

    /// Looks up `change`, of a message that came at `at` (milliseconds since 1970, by the server's clock).
    #[must_use]
    pub fn named(&self, change: u64, at: u64) -> Named {
        if change < self.own_change {
            let just_come = at <= self.own_at.saturating_add(JUST_COME);
            return if just_come { Named::BeforeOneself } else { Named::Stale };
        }
        let past = self.history.iter().find(|past| past.change == change);
        match past.filter(|past| {
            past.replaced.is_none_or(|when| u128::from(at.saturating_sub(when)) <= STALE_AFTER.as_millis())
        }) {
            Some(past) => Named::Roster(past.hash),
            None if change > self.change => Named::Unknown,
            None => Named::Stale,
        }
    }

    /// Adds a member, at `at`.
    ///
    /// # Errors
    /// [`RosterError`] if that does not add up.
    pub fn joined(&mut self, session: SessionId, change: u64, at: u64) -> Result<(), RosterError> {
        self.count(change)?;
        let place = self.members.binary_search(&session).err().ok_or(RosterError::Member)?;
        self.members.insert(place, session);
        self.remember(at);
        Ok(())
    }

    /// Removes a member, since `at`.
    ///
    /// # Errors
    /// [`RosterError`] if that does not add up.
    pub fn left(&mut self, session: SessionId, change: u64, at: u64) -> Result<(), RosterError> {
        self.count(change)?;
        let place = self.members.binary_search(&session).map_err(|_| RosterError::Member)?;
        self.members.remove(place);
        self.remember(at);
        Ok(())
    }

    fn count(&mut self, told: u64) -> Result<(), RosterError> {
        match self.change.checked_add(1) {
            Some(due) if due == told => {
                self.change = told;
                Ok(())
            }
            due => Err(RosterError::Change { told, due: due.unwrap_or(u64::MAX) }),
        }
    }

    /// The members are as they are since `at`.
    fn remember(&mut self, at: u64) {
        if let Some(last) = self.history.front_mut() {
            last.replaced = Some(at);
        }
        let hash = RosterHash::new(self.server, &self.room, self.change, self.members.iter().map(|member| &member.0));
        self.history.push_front(Past { change: self.change, hash, replaced: None });
        self.history.truncate(1 + room::CHANGES_BACK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::SessionNumber;
    use crate::chat::message::Person;
    use crate::chat::name::{Name, RoomName};
    use crate::secure::credential::UnixSeconds;

    const OWN: SessionId = SessionId([1; 32]);
    const OWN_NUMBER: SessionNumber = SessionNumber(7);
    const SERVER: Fingerprint = Fingerprint([9; 32]);

    /// A missing session, and one whose credential does not hold.
    fn peers() -> (PeerTable, SessionId) {
        let mut peers = PeerTable::new(OWN, &Name::parse("Ira").unwrap(), Fingerprint([1; 32]), false);
        let (spki, credential, signature) = (Vec::new(), b"none".to_vec(), Vec::new());
        peers.meet(Person { member: SessionNumber(1), spki, credential, signature }, UnixSeconds(0)).unwrap();
        peers.set_own_number(OWN_NUMBER).unwrap();
        let presented = crate::secure::credential::CredentialBundle { spki: &[], credential: b"none", signature: &[] };
        (peers, SessionId(presented.session()))
    }

    fn welcome(members: &[SessionNumber], change: u64) -> Welcome {
        Welcome {
            room: RoomName::lobby(),
            members: members.to_vec(),
            change,
            resumed: false,
            cursor: 1,
            at: 0,
            notice: String::new(),
            longest_text: 4_096,
            own: OWN_NUMBER,
        }
    }

    #[test]
    fn each_change_follows_the_last_and_adds_up() {
        let (peers, other) = peers();
        let roster = || Roster::new(&welcome(&[OWN_NUMBER], 4), OWN, SERVER, &peers).unwrap();
        assert_eq!(roster().joined(other, 5, 0), Ok(()));
        assert_eq!(roster().joined(other, 6, 0), Err(RosterError::Change { told: 6, due: 5 }), "one was hidden");
        assert_eq!(roster().joined(other, 4, 0), Err(RosterError::Change { told: 4, due: 5 }), "one was told twice");
        assert_eq!(roster().joined(OWN, 5, 0), Err(RosterError::Member));
        assert_eq!(roster().left(other, 5, 0), Err(RosterError::Member));
        let mut full = roster();
        full.joined(other, 5, 0).unwrap();
        assert_eq!((full.left(other, 6, 0), full.has(other), full.change()), (Ok(()), false, 6));
    }

    #[test]
    fn a_welcome_names_oneself_and_nobody_unknown_or_twice() {
        let (peers, _) = peers();
        let refused = |members: &[SessionNumber], change| {
            Roster::new(&welcome(members, change), OWN, SERVER, &peers).unwrap_err()
        };
        assert_eq!(refused(&[], 1), RosterError::Member);
        assert_eq!(refused(&[OWN_NUMBER, SessionNumber(2)], 2), RosterError::Stranger);
        assert_eq!(refused(&[OWN_NUMBER, OWN_NUMBER], 2), RosterError::Member);
        assert_eq!(refused(&[OWN_NUMBER], 0), RosterError::Member);
    }

    #[test]
    fn a_message_may_name_a_change_of_the_last_minute_and_none_before_oneself() {
        let (peers, other) = peers();
        let mut roster = Roster::new(&welcome(&[OWN_NUMBER], 4), OWN, SERVER, &peers).unwrap();
        let alone = roster.hash();
        roster.joined(other, 5, 1_000).unwrap();
        assert_ne!(alone, roster.hash());
        assert_eq!(roster.named(5, 1_000_000), Named::Roster(roster.hash()), "the present one, however old");
        assert_eq!(roster.named(4, 66_000), Named::Roster(alone));
        assert_eq!(roster.named(4, 66_001), Named::Stale);
        assert_eq!(roster.named(6, 1_000), Named::Unknown);
        assert_eq!([roster.named(3, 60_000), roster.named(3, 60_001)], [Named::BeforeOneself, Named::Stale]);
        for change in 0..16 {
            roster.left(other, 6 + 2 * change, 1_000).unwrap();
            roster.joined(other, 7 + 2 * change, 1_000).unwrap();
        }
        assert_ne!(roster.named(5, 1_000), Named::Stale, "32 back");
        assert_eq!(roster.named(4, 1_000), Named::Stale, "33 back");
    }
}
