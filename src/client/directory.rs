//! Which session each of the server's numbers stands for: events and Welcomes name people so, and nothing that is signed or
//! sealed does. PROTOCOL.md §6 "Numbers of sessions".
//!
//! Invariant: a number stands for one session, and a session has one number. Whoever is not among those whom the server
//! has told of, and is not oneself, has none.

use std::collections::{HashMap, HashSet};

use super::people::BadPeople;
use crate::chat::Member;
use crate::chat::message::Session;

/// Numbers and sessions, both ways.
#[derive(Debug, Default)]
pub(super) struct Directory {
    sessions: HashMap<Member, Session>,
    numbers: HashMap<Session, Member>,
    /// Given since the last event or Welcome.
    fresh: HashSet<Member>,
}

impl Directory {
    /// A session has this number. Who has gone may have come back under another one: the server that was killed does not
    /// know all who had been there before.
    ///
    /// # Errors
    /// [`BadPeople`] if the number is somebody else's, or the session is here under another one.
    pub(super) fn give(&mut self, number: Member, session: Session, is_here: bool) -> Result<(), BadPeople> {
        match (self.session(number), self.number(session)) {
            (Some(whose), _) if whose == session => return Ok(()),
            (Some(_), _) => return Err(BadPeople::Reused(number.0)),
            (None, Some(_)) if is_here => return Err(BadPeople::Renumbered(number.0)),
            (None, Some(before)) => self.forget(before),
            (None, None) => {}
        }
        self.sessions.insert(number, session);
        self.numbers.insert(session, number);
        self.fresh.insert(number);
        Ok(())
    }

    /// Whom a number stands for.
    pub(super) fn session(&self, number: Member) -> Option<Session> {
        self.sessions.get(&number).copied()
    }

    /// The number that somebody has.
    pub(super) fn number(&self, session: Session) -> Option<Member> {
        self.numbers.get(&session).copied()
    }

    /// An event or a Welcome has come: what the numbers were given for has, and they are what they are from now on.
    pub(super) fn settle(&mut self) {
        self.fresh.clear();
    }

    /// The connection is lost: what they were given for since then will not come any more. A power cut may have taken it
    /// from the server too, which gives these numbers to others then.
    pub(super) fn forget_fresh(&mut self) {
        for number in std::mem::take(&mut self.fresh) {
            self.forget(number);
        }
    }

    fn forget(&mut self, number: Member) {
        self.fresh.remove(&number);
        if let Some(session) = self.sessions.remove(&number) {
            self.numbers.remove(&session);
        }
    }

    /// Keeps only these sessions' numbers.
    pub(super) fn keep(&mut self, keep: impl Fn(Session) -> bool) {
        self.sessions.retain(|_, session| keep(*session));
        self.numbers.retain(|session, _| keep(*session));
        self.fresh.retain(|number| self.sessions.contains_key(number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANNA: Session = Session([1; 32]);
    const BORIS: Session = Session([2; 32]);

    fn directory() -> Directory {
        let mut directory = Directory::default();
        directory.give(Member(1), ANNA, false).unwrap();
        directory.settle();
        directory
    }

    #[test]
    fn a_number_is_one_sessions_and_may_be_told_again() {
        let mut directory = directory();
        assert_eq!((directory.session(Member(1)), directory.number(ANNA)), (Some(ANNA), Some(Member(1))));
        assert_eq!((directory.session(Member(2)), directory.number(BORIS)), (None, None));
        assert_eq!(directory.give(Member(1), ANNA, true), Ok(()));
        for is_here in [false, true] {
            assert_eq!(directory.give(Member(1), BORIS, is_here), Err(BadPeople::Reused(1)));
        }
        assert_eq!((directory.session(Member(1)), directory.number(BORIS)), (Some(ANNA), None));
    }

    #[test]
    fn who_is_here_keeps_their_number_and_who_was_gone_may_have_another() {
        let mut directory = directory();
        assert_eq!(directory.give(Member(2), ANNA, true), Err(BadPeople::Renumbered(2)));
        assert_eq!((directory.session(Member(2)), directory.number(ANNA)), (None, Some(Member(1))));
        directory.give(Member(2), BORIS, false).unwrap();
        assert_eq!(directory.give(Member(2), ANNA, false), Err(BadPeople::Reused(2)), "it is somebody else's");
        assert_eq!(directory.give(Member(3), ANNA, false), Ok(()));
        assert_eq!((directory.session(Member(1)), directory.session(Member(3))), (None, Some(ANNA)));
    }

    #[test]
    fn what_was_given_for_nothing_that_came_is_forgotten() {
        let mut directory = directory();
        directory.give(Member(2), BORIS, false).unwrap();
        directory.forget_fresh();
        assert_eq!((directory.session(Member(2)), directory.number(BORIS)), (None, None));
        directory.forget_fresh();
        assert_eq!(directory.session(Member(1)), Some(ANNA), "an event has come since");
        directory.give(Member(2), Session([3; 32]), false).unwrap();
    }

    #[test]
    fn of_who_is_forgotten_nothing_is_left() {
        let mut directory = directory();
        directory.give(Member(2), BORIS, false).unwrap();
        directory.keep(|session| session == BORIS);
        directory.give(Member(3), ANNA, false).unwrap();
        directory.give(Member(4), ANNA, false).unwrap();
        directory.keep(|session| session == BORIS);
        assert_eq!((directory.sessions.len(), directory.numbers.len(), directory.fresh.len()), (1, 1, 1));
        assert_eq!(directory.session(Member(2)), Some(BORIS));
    }
}
