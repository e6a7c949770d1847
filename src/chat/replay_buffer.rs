//! Events that a session may have yet to read, each once: a session that was away or lags behind goes on from here.
//! PROTOCOL.md §8.

use std::collections::VecDeque;

use super::room_log::LogEntry;
use super::{Cursor, RoomId, SessionNumber};

/// Overhead of an event beside its bytes.
const OVERHEAD: u64 = 64;

/// Recipients of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// All members of a room.
    Room(RoomId),
    /// One session.
    One(SessionNumber),
}

/// Events in the order of their cursors, up to a bound.
#[derive(Debug)]
pub(super) struct ReplayBuffer {
    events: VecDeque<(Audience, LogEntry)>,
    bytes: u64,
    most: u64,
}

impl ReplayBuffer {
    /// Holds at most so many bytes.
    pub(super) fn new(most: u64) -> Self {
        Self { events: VecDeque::new(), bytes: 0, most }
    }

    pub(super) fn push(&mut self, to: Audience, entry: LogEntry) {
        self.bytes += size(&entry);
        self.events.push_back((to, entry));
    }

    /// If it holds too much: up to which event it is to forget, so that there is room for a while.
    pub(super) fn overflow(&self) -> Option<Cursor> {
        let mut over = self.bytes.checked_sub(self.most).filter(|over| *over > 0)? + self.most / 8;
        let too_old = self.events.iter().find(|(_, entry)| {
            over = over.saturating_sub(size(entry));
            over == 0
        });
        too_old.or(self.events.back()).map(|(_, entry)| entry.cursor)
    }

    /// Returns the events after `cursor`, oldest first.
    pub(super) fn after(&self, cursor: Cursor) -> impl Iterator<Item = &(Audience, LogEntry)> {
        self.events.range(self.events.partition_point(|(_, entry)| entry.cursor <= cursor)..)
    }

    /// Trims all events up to `cursor`. Returns true if there were any.
    pub(super) fn forget(&mut self, cursor: Cursor) -> bool {
        let before = self.events.len();
        let count = self.events.partition_point(|(_, entry)| entry.cursor <= cursor);
        self.bytes -= self.events.drain(..count).map(|(_, entry)| size(&entry)).sum::<u64>();
        if self.events.is_empty() {
            // What a busy hour has needed is not held for ever.
            self.events = VecDeque::new();
        }
        self.events.len() < before
    }

    /// Returns its size, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Holds at most so many bytes from now on.
    pub(super) fn set_bound(&mut self, most: u64) {
        self.most = most;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}

fn size(entry: &LogEntry) -> u64 {
    entry.bytes.len() as u64 + OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backlog(most: u64, events: u64) -> ReplayBuffer {
        let mut backlog = ReplayBuffer::new(most);
        for cursor in 1..=events {
            let entry = LogEntry { cursor, except: None, bytes: vec![0; 36].into() };
            backlog.push(Audience::Room(RoomId(1)), entry);
        }
        backlog
    }

    fn cursors(backlog: &ReplayBuffer, after: Cursor) -> Vec<Cursor> {
        backlog.after(after).map(|(_, entry)| entry.cursor).collect()
    }

    #[test]
    fn what_came_after_a_cursor_is_there_until_it_is_forgotten() {
        let mut backlog = backlog(10_000, 4);
        assert_eq!([cursors(&backlog, 0), cursors(&backlog, 3)], [vec![1, 2, 3, 4], vec![4]]);
        assert!(backlog.forget(2) && !backlog.forget(2));
        assert_eq!((cursors(&backlog, 0), backlog.bytes), (vec![3, 4], 200));
        assert!(backlog.forget(9) && backlog.is_empty());
        assert_eq!(backlog.bytes, 0);
    }

    #[test]
    fn too_much_is_forgotten_the_oldest_first_and_an_eighth_more() {
        assert_eq!(backlog(1_600, 16).overflow(), None);
        let mut backlog = backlog(1_600, 17);
        assert_eq!(backlog.overflow(), Some(3));
        backlog.forget(3);
        assert_eq!(backlog.overflow(), None);
    }
}
