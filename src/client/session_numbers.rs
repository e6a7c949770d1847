//! Sessions of the server's numbers: events and Welcomes name sessions by number; signed and sealed data
//! never does. PROTOCOL.md §6 "Numbers of sessions".
//!
//! Invariant: a number stands for one session, and a session has one number. A session that the server has not
//! announced, except the local one, has none.

use std::collections::{HashMap, HashSet};

use super::peers::PeerTableError;
use crate::chat::SessionNumber;
use crate::chat::message::SessionId;

/// Numbers and sessions, both ways.
#[derive(Debug, Default)]
pub(super) struct SessionNumbers {
    sessions: HashMap<SessionNumber, SessionId>,
    numbers: HashMap<SessionId, SessionNumber>,
    /// Given since the last event or Welcome.
    fresh: HashSet<SessionNumber>,
}

impl SessionNumbers {
    /// A session has this number. Who has gone may have come back under another one: the server that was killed does not
    /// know all who had been there before.
    ///
    /// # Errors
    /// [`PeerTableError`] if another session has the number, or the session has another number.
    pub(super) fn give(
        &mut self,
        number: SessionNumber,
        session: SessionId,
        is_here: bool,
    ) -> Result<(), PeerTableError> {
        match (self.session(number), self.number(session)) {
            (Some(whose), _) if whose == session => return Ok(()),
            (Some(_), _) => return Err(PeerTableError::Reused(number.0)),
            (None, Some(_)) if is_here => return Err(PeerTableError::Renumbered(number.0)),
            (None, Some(before)) => self.forget(before),
            (None, None) => {}
        }
        self.sessions.insert(number, session);
        self.numbers.insert(session, number);
        self.fresh.insert(number);
        Ok(())
    }

    /// Session of a number.
    pub(super) fn session(&self, number: SessionNumber) -> Option<SessionId> {
        self.sessions.get(&number).copied()
    }

    /// Number of a session.
    pub(super) fn number(&self, session: SessionId) -> Option<SessionNumber> {
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

    fn forget(&mut self, number: SessionNumber) {
        self.fresh.remove(&number);
        if let Some(session) = self.sessions.remove(&number) {
            self.numbers.remove(&session);
        }
    }

    /// Keeps only these sessions' numbers.
    pub(super) fn keep(&mut self, keep: impl Fn(SessionId) -> bool) {
        self.sessions.retain(|_, session| keep(*session));
        self.numbers.retain(|session, _| keep(*session));
        self.fresh.retain(|number| self.sessions.contains_key(number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANNA: SessionId = SessionId([1; 32]);
    const BORIS: SessionId = SessionId([2; 32]);

    fn session_numbers() -> SessionNumbers {
        let mut session_numbers = SessionNumbers::default();
        session_numbers.give(SessionNumber(1), ANNA, false).unwrap();
        session_numbers.settle();
        session_numbers
    }

    #[test]
    fn a_number_is_one_sessions_and_may_be_told_again() {
        let mut session_numbers = session_numbers();
        assert_eq!(
            (session_numbers.session(SessionNumber(1)), session_numbers.number(ANNA)),
            (Some(ANNA), Some(SessionNumber(1)))
        );
        assert_eq!((session_numbers.session(SessionNumber(2)), session_numbers.number(BORIS)), (None, None));
        assert_eq!(session_numbers.give(SessionNumber(1), ANNA, true), Ok(()));
        for is_here in [false, true] {
            assert_eq!(session_numbers.give(SessionNumber(1), BORIS, is_here), Err(PeerTableError::Reused(1)));
        }
        assert_eq!((session_numbers.session(SessionNumber(1)), session_numbers.number(BORIS)), (Some(ANNA), None));
    }

    #[test]
    fn who_is_here_keeps_their_number_and_who_was_gone_may_have_another() {
        let mut session_numbers = session_numbers();
        assert_eq!(session_numbers.give(SessionNumber(2), ANNA, true), Err(PeerTableError::Renumbered(2)));
        assert_eq!(
            (session_numbers.session(SessionNumber(2)), session_numbers.number(ANNA)),
            (None, Some(SessionNumber(1)))
        );
        session_numbers.give(SessionNumber(2), BORIS, false).unwrap();
        assert_eq!(
            session_numbers.give(SessionNumber(2), ANNA, false),
            Err(PeerTableError::Reused(2)),
            "it is another user's"
        );
        assert_eq!(session_numbers.give(SessionNumber(3), ANNA, false), Ok(()));
        assert_eq!(
            (session_numbers.session(SessionNumber(1)), session_numbers.session(SessionNumber(3))),
            (None, Some(ANNA))
        );
    }

    #[test]
    fn what_was_given_for_nothing_that_came_is_forgotten() {
        let mut session_numbers = session_numbers();
        session_numbers.give(SessionNumber(2), BORIS, false).unwrap();
        session_numbers.forget_fresh();
        assert_eq!((session_numbers.session(SessionNumber(2)), session_numbers.number(BORIS)), (None, None));
        session_numbers.forget_fresh();
        assert_eq!(session_numbers.session(SessionNumber(1)), Some(ANNA), "an event has come since");
        session_numbers.give(SessionNumber(2), SessionId([3; 32]), false).unwrap();
    }

    #[test]
    fn of_who_is_forgotten_nothing_is_left() {
        let mut session_numbers = session_numbers();
        session_numbers.give(SessionNumber(2), BORIS, false).unwrap();
        session_numbers.keep(|session| session == BORIS);
        session_numbers.give(SessionNumber(3), ANNA, false).unwrap();
        session_numbers.give(SessionNumber(4), ANNA, false).unwrap();
        session_numbers.keep(|session| session == BORIS);
        assert_eq!(
            (session_numbers.sessions.len(), session_numbers.numbers.len(), session_numbers.fresh.len()),
            (1, 1, 1)
        );
        assert_eq!(session_numbers.session(SessionNumber(2)), Some(BORIS));
    }
}
