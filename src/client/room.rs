//! A room as a member sees it: who is in it, and that every change of that is told. PROTOCOL.md §6 "Joining".

use std::collections::HashMap;

use crate::chat::message::{Person, Session, Welcome};
use crate::chat::name::Name;
use crate::secure::credential::{CheckedCredential, Presented, Role, UnixSeconds};
use crate::secure::identity::Fingerprint;

/// No room holds so many, with a newcomer or two on the way.
const MOST_PEOPLE: usize = 2_000;

/// Everybody a server has told of.
#[derive(Debug)]
pub struct People {
    known: HashMap<Session, Member>,
    /// Whose each look of a name is.
    looks: HashMap<String, Vec<(Session, Fingerprint)>>,
}

/// Somebody a server has told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Member {
    /// Their credential holds.
    Known {
        /// Their name.
        name: Name,
        /// Who they are.
        fingerprint: Fingerprint,
    },
    /// Nothing of them is shown, and why.
    Refused(&'static str),
}

impl People {
    /// Nobody but oneself, whose name nobody else may look like.
    #[must_use]
    pub fn new(own: Session, name: &Name, key: Fingerprint) -> Self {
        let mut people = Self { known: HashMap::new(), looks: HashMap::new() };
        people.take_looks(own, name, key);
        people
    }

    /// Takes a Person in. Their session is what their credential says it is.
    ///
    /// # Errors
    /// [`BadRoster::Crowd`] if the server tells of more people than can be in a room.
    pub fn meet(&mut self, person: &Person, now: UnixSeconds) -> Result<(), BadRoster> {
        let Person { spki, credential, signature } = person;
        let presented = Presented { spki, credential, signature };
        let session = Session(presented.session());
        if matches!(self.known.get(&session), Some(Member::Known { .. })) {
            return Ok(());
        }
        if self.known.len() >= MOST_PEOPLE {
            return Err(BadRoster::Crowd);
        }
        let checked = CheckedCredential::check(presented, Role::User, now, |name| Name::parse(name).is_ok());
        let member = match checked.as_ref().map(|checked| (Name::parse(checked.name()), checked.fingerprint())) {
            Ok((Ok(name), fingerprint)) if !self.is_taken(&name, fingerprint) => {
                self.take_looks(session, &name, fingerprint);
                Member::Known { name, fingerprint }
            }
            Ok((Ok(_), _)) => Member::Refused("their name looks like somebody else's"),
            _ => Member::Refused("their credential does not hold"),
        };
        self.known.insert(session, member);
        Ok(())
    }

    /// Who a session is, if the server has told.
    #[must_use]
    pub fn get(&self, session: Session) -> Option<&Member> {
        self.known.get(&session)
    }

    /// Forgets whoever is in no room any more.
    pub fn forget(&mut self, session: Session) {
        if let Some(Member::Known { name, .. }) = self.known.remove(&session) {
            for look in name.skeletons() {
                if let Some(whose) = self.looks.get_mut(&look) {
                    whose.retain(|(other, _)| *other != session);
                    if whose.is_empty() {
                        self.looks.remove(&look);
                    }
                }
            }
        }
    }

    /// Whether a name looks like that of somebody with another key.
    fn is_taken(&self, name: &Name, fingerprint: Fingerprint) -> bool {
        let whose = name.skeletons().into_iter().filter_map(|look| self.looks.get(&look));
        whose.flatten().any(|(_, other)| *other != fingerprint)
    }

    fn take_looks(&mut self, session: Session, name: &Name, fingerprint: Fingerprint) {
        for look in name.skeletons() {
            self.looks.entry(look).or_default().push((session, fingerprint));
        }
    }
}

/// The server's account of a room does not add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRoster {
    /// A change is missing, or was told twice.
    #[error("the room's change {told} came where {due} was due: the server hides who is here")]
    Change {
        /// The one that was told.
        told: u64,
        /// The one that was due.
        due: u64,
    },
    /// Somebody joined who was there, or left who was not.
    #[error("the room's list of members does not add up: the server hides who is here")]
    Member,
    /// More people were told of than can be in a room.
    #[error("it tells of more people than can be in a room")]
    Crowd,
    /// A session was named before its Person.
    #[error("somebody was named before it was told who they are")]
    Stranger,
}

/// Who is in a room.
#[derive(Debug)]
pub struct Roster {
    change: u64,
    members: Vec<Session>,
}

impl Roster {
    /// The room at one's own joining: everybody is known, and oneself is among them.
    ///
    /// # Errors
    /// [`BadRoster`] if not.
    pub fn new(welcome: &Welcome, own: Session, people: &People) -> Result<Self, BadRoster> {
        let known = |session: &Session| *session == own || people.get(*session).is_some();
        if !welcome.sessions.iter().all(known) {
            return Err(BadRoster::Stranger);
        }
        let mut members = welcome.sessions.clone();
        members.sort_unstable();
        let count = members.len();
        members.dedup();
        if members.len() < count || !members.contains(&own) || welcome.change < count as u64 {
            return Err(BadRoster::Member);
        }
        Ok(Self { change: welcome.change, members })
    }

    /// The room's last change.
    #[must_use]
    pub fn change(&self) -> u64 {
        self.change
    }

    /// Whether somebody is in it.
    #[must_use]
    pub fn has(&self, session: Session) -> bool {
        self.members.binary_search(&session).is_ok()
    }

    /// Somebody has come in.
    ///
    /// # Errors
    /// [`BadRoster`] if that does not add up.
    pub fn joined(&mut self, session: Session, change: u64) -> Result<(), BadRoster> {
        self.count(change)?;
        match self.members.binary_search(&session) {
            Ok(_) => Err(BadRoster::Member),
            Err(at) => {
                self.members.insert(at, session);
                Ok(())
            }
        }
    }

    /// Somebody is no longer in it.
    ///
    /// # Errors
    /// [`BadRoster`] if that does not add up.
    pub fn left(&mut self, session: Session, change: u64) -> Result<(), BadRoster> {
        self.count(change)?;
        let at = self.members.binary_search(&session).map_err(|_| BadRoster::Member)?;
        self.members.remove(at);
        Ok(())
    }

    fn count(&mut self, told: u64) -> Result<(), BadRoster> {
        let due = self.change.saturating_add(1);
        if told != due {
            return Err(BadRoster::Change { told, due });
        }
        self.change = told;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::name::RoomName;

    const OWN: Session = Session([1; 32]);
    const OTHER: Session = Session([2; 32]);

    fn nobody() -> People {
        People::new(OWN, &Name::parse("Ira").unwrap(), Fingerprint([1; 32]))
    }

    fn welcome(sessions: &[Session], change: u64) -> Welcome {
        Welcome {
            room: RoomName::lobby(),
            sessions: sessions.to_vec(),
            change,
            resumed: false,
            cursor: 1,
            at: 0,
            notice: String::new(),
            longest_text: 4_096,
        }
    }

    #[test]
    fn each_change_follows_the_last_and_adds_up() {
        let mut people = nobody();
        people.known.insert(OTHER, Member::Refused("test"));
        let roster = || Roster::new(&welcome(&[OWN], 4), OWN, &people).unwrap();
        assert_eq!(roster().joined(OTHER, 5), Ok(()));
        assert_eq!(roster().joined(OTHER, 6), Err(BadRoster::Change { told: 6, due: 5 }), "one was hidden");
        assert_eq!(roster().joined(OTHER, 4), Err(BadRoster::Change { told: 4, due: 5 }), "one was told twice");
        assert_eq!(roster().joined(OWN, 5), Err(BadRoster::Member));
        assert_eq!(roster().left(OTHER, 5), Err(BadRoster::Member));
        let mut full = roster();
        full.joined(OTHER, 5).unwrap();
        assert_eq!((full.left(OTHER, 6), full.has(OTHER), full.change()), (Ok(()), false, 6));
    }

    #[test]
    fn a_welcome_names_oneself_and_nobody_unknown_or_twice() {
        let people = nobody();
        let refused = |sessions: &[Session], change| Roster::new(&welcome(sessions, change), OWN, &people).unwrap_err();
        assert_eq!(refused(&[], 1), BadRoster::Member);
        assert_eq!(refused(&[OWN, OTHER], 2), BadRoster::Stranger);
        assert_eq!(refused(&[OWN, OWN], 2), BadRoster::Member);
        assert_eq!(refused(&[OWN], 0), BadRoster::Member);
    }
}
