//! A room: who is in it, and how often that has changed. PROTOCOL.md §6 "Joining", §7.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Now, SessionNumber};

/// Number of roster changes back that a Say may name.
pub const CHANGES_BACK: usize = 32;
/// For how long after the change was replaced: by the clock that readers are told, which may be set in between, and by
/// one that is not.
pub const STALE_AFTER: Duration = Duration::from_secs(60);

/// A room's roster. A member is in it once.
#[derive(Debug, Default)]
pub struct Room {
    members: Vec<SessionNumber>,
    change: u64,
    replaced: VecDeque<Now>,
}

impl Room {
    /// Returns the members, in the order of their joins.
    #[must_use]
    pub fn members(&self) -> &[SessionNumber] {
        &self.members
    }

    /// True if `member` is in it.
    #[must_use]
    pub fn has(&self, member: SessionNumber) -> bool {
        self.members.contains(&member)
    }

    /// The last change.
    #[must_use]
    pub fn change(&self) -> u64 {
        self.change
    }

    /// Adds a new member; returns the change number of the join.
    pub fn add(&mut self, member: SessionNumber, now: Now) -> u64 {
        debug_assert!(!self.has(member));
        self.members.push(member);
        self.count_change(now)
    }

    /// An empty room with this change number: its members are yet to be restored.
    #[must_use]
    pub fn restore(change: u64) -> Self {
        Self { change, ..Self::default() }
    }

    /// Restores a member, which is no change.
    pub fn put_back(&mut self, member: SessionNumber) {
        self.members.push(member);
    }

    /// Removes a member; returns the change number of the leave, if it was one.
    pub fn remove(&mut self, member: SessionNumber, now: Now) -> Option<u64> {
        let at = self.members.iter().position(|present| *present == member)?;
        self.members.remove(at);
        Some(self.count_change(now))
    }

    /// True if a Say that names `change` is taken: the present one, or one that was not long ago.
    #[must_use]
    pub fn takes(&self, change: u64, now: Now) -> bool {
        let Some(back) = self.change.checked_sub(change).and_then(|back| usize::try_from(back).ok()) else {
            return false;
        };
        match back.checked_sub(1) {
            None => change > 0,
            Some(_) if change == 0 => false,
            // `replaced[0]` is when the last change replaced the one before it.
            Some(index) => self.replaced.get(index).is_some_and(|when| {
                let told = Duration::from_millis(now.at.saturating_sub(when.at));
                told.max(now.tick.duration_since(when.tick)) <= STALE_AFTER
            }),
        }
    }

    fn count_change(&mut self, now: Now) -> u64 {
        self.change += 1;
        self.replaced.push_front(now);
        self.replaced.truncate(CHANGES_BACK);
        self.change
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// So many seconds after the first of these.
    fn moments() -> impl Fn(u64) -> Now {
        let start = Instant::now();
        move |seconds| Now { at: seconds * 1_000, tick: start + Duration::from_secs(seconds) }
    }

    #[test]
    fn each_join_and_leave_is_the_next_change() {
        let (mut room, now) = (Room::default(), moments()(0));
        assert_eq!([room.add(SessionNumber(1), now), room.add(SessionNumber(2), now)], [1, 2]);
        assert_eq!(room.remove(SessionNumber(1), now), Some(3));
        assert_eq!(room.remove(SessionNumber(1), now), None);
        assert_eq!((room.change(), room.members()), (3, &[SessionNumber(2)][..]));
    }

    #[test]
    fn a_say_may_name_a_change_of_the_last_minute_and_at_most_32_back() {
        let (mut room, at) = (Room::default(), moments());
        room.add(SessionNumber(1), at(0));
        assert!(room.takes(1, at(1_000)), "the present one, however old");
        assert!(!room.takes(2, at(0)), "one that has not come");
        assert!(!room.takes(0, at(0)), "none");
        room.add(SessionNumber(2), at(1_000));
        assert!(room.takes(1, at(1_060)));
        assert!(!room.takes(1, at(1_061)));
        for i in 0..32 {
            room.add(SessionNumber(10 + i), at(2_000));
        }
        assert!(room.takes(2, at(2_000)), "32 back");
        room.add(SessionNumber(99), at(2_000));
        assert!(!room.takes(2, at(2_000)), "33 back");
    }

    #[test]
    fn a_clock_that_is_set_lets_nothing_through_that_a_reader_would_find_old() {
        let (mut room, at) = (Room::default(), moments());
        room.add(SessionNumber(1), at(0));
        room.add(SessionNumber(2), at(1_000));
        let set = |to| Now { at: to, ..at(1_001) };
        assert!(!room.takes(1, set(90_000_000)), "forward: to the reader it would be a day old");
        assert!(room.takes(2, set(90_000_000)), "the present one, however old");
        assert!(room.takes(1, set(0)), "back");
        assert!(!room.takes(1, Now { at: 0, ..at(1_061) }), "back, and a minute has gone by");
    }
}
