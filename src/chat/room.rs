//! A room: who is in it, and how often that has changed. PROTOCOL.md §6 "Joining", §7.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Member;

/// How many changes back a Say may name.
pub const CHANGES_BACK: usize = 32;
/// For how long after the change was replaced.
pub const STALE_AFTER: Duration = Duration::from_secs(60);

/// A room's roster. Nobody is in it twice.
#[derive(Debug, Default)]
pub struct Room {
    members: Vec<Member>,
    change: u64,
    replaced: VecDeque<Instant>,
}

impl Room {
    /// Who is in it, in the order of coming.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Whether `member` is in it.
    #[must_use]
    pub fn has(&self, member: Member) -> bool {
        self.members.contains(&member)
    }

    /// The last change.
    #[must_use]
    pub fn change(&self) -> u64 {
        self.change
    }

    /// Adds somebody who is not in it; gives the change by which they are.
    pub fn add(&mut self, member: Member, now: Instant) -> u64 {
        debug_assert!(!self.has(member));
        self.members.push(member);
        self.count_change(now)
    }

    /// A room that has changed so often, and is empty: whoever was in it is yet to be put back.
    #[must_use]
    pub fn restore(change: u64) -> Self {
        Self { change, ..Self::default() }
    }

    /// Somebody is in it as they were, which is no change.
    pub fn put_back(&mut self, member: Member) {
        self.members.push(member);
    }

    /// Takes somebody out; gives the change by which they are gone, if they were there.
    pub fn remove(&mut self, member: Member, now: Instant) -> Option<u64> {
        let at = self.members.iter().position(|present| *present == member)?;
        self.members.remove(at);
        Some(self.count_change(now))
    }

    /// Whether a Say that names `change` is taken: the present one, or one that was not long ago.
    #[must_use]
    pub fn takes(&self, change: u64, now: Instant) -> bool {
        let Some(back) = self.change.checked_sub(change).and_then(|back| usize::try_from(back).ok()) else {
            return false;
        };
        match back.checked_sub(1) {
            None => change > 0,
            Some(_) if change == 0 => false,
            // `replaced[0]` is when the last change replaced the one before it.
            Some(index) => self.replaced.get(index).is_some_and(|when| now.duration_since(*when) <= STALE_AFTER),
        }
    }

    fn count_change(&mut self, now: Instant) -> u64 {
        self.change += 1;
        self.replaced.push_front(now);
        self.replaced.truncate(CHANGES_BACK);
        self.change
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_join_and_leave_is_the_next_change() {
        let (mut room, now) = (Room::default(), Instant::now());
        assert_eq!([room.add(Member(1), now), room.add(Member(2), now)], [1, 2]);
        assert_eq!(room.remove(Member(1), now), Some(3));
        assert_eq!(room.remove(Member(1), now), None);
        assert_eq!((room.change(), room.members()), (3, &[Member(2)][..]));
    }

    #[test]
    fn a_say_may_name_a_change_of_the_last_minute_and_at_most_32_back() {
        let (mut room, start) = (Room::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        room.add(Member(1), at(0));
        assert!(room.takes(1, at(1_000)), "the present one, however old");
        assert!(!room.takes(2, at(0)), "one that has not come");
        assert!(!room.takes(0, at(0)), "none");
        room.add(Member(2), at(1_000));
        assert!(room.takes(1, at(1_060)));
        assert!(!room.takes(1, at(1_061)));
        for i in 0..32 {
            room.add(Member(10 + i), at(2_000));
        }
        assert!(room.takes(2, at(2_000)), "32 back");
        room.add(Member(99), at(2_000));
        assert!(!room.takes(2, at(2_000)), "33 back");
    }
}
