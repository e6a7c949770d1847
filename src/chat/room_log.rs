//! A room's recent events, held once for all readers.
//!
//! A reader is a cursor into it: a slow reader lags behind and delays no other. No event is copied for a reader.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{Cursor, SessionNumber};

/// An event for all members of a room, encoded once.
#[derive(Clone, Debug)]
pub struct LogEntry {
    /// Its place.
    pub cursor: Cursor,
    /// Author, who does not receive it.
    pub except: Option<SessionNumber>,
    /// One or more messages.
    pub bytes: Arc<[u8]>,
}

/// Entries in the order of their cursors.
#[derive(Debug, Default)]
pub struct Log {
    entries: VecDeque<(u64, LogEntry)>,
    appended: u64,
}

impl Log {
    /// Adds an entry, which is newer than all before.
    pub fn push(&mut self, entry: LogEntry) {
        debug_assert!(self.entries.back().is_none_or(|(_, last)| last.cursor < entry.cursor));
        let offset = self.appended;
        self.appended += entry.bytes.len() as u64;
        self.entries.push_back((offset, entry));
    }

    /// Returns the events after `cursor`, oldest first.
    pub fn after(&self, cursor: Cursor) -> impl Iterator<Item = &LogEntry> {
        self.entries.range(self.index_after(cursor)..).map(|(_, entry)| entry)
    }

    /// Returns the number of bytes after `cursor`.
    #[must_use]
    pub fn bytes_after(&self, cursor: Cursor) -> u64 {
        self.entries.get(self.index_after(cursor)).map_or(0, |(offset, _)| self.appended - offset)
    }

    /// Trims events that no reader needs: all up to `cursor`.
    pub fn forget(&mut self, cursor: Cursor) {
        self.entries.drain(..self.index_after(cursor));
    }

    /// True if it holds an event.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn index_after(&self, cursor: Cursor) -> usize {
        match self.entries.front() {
            Some((_, first)) if first.cursor <= cursor => self.entries.partition_point(|(_, e)| e.cursor <= cursor),
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(cursors: &[Cursor]) -> Log {
        let mut log = Log::default();
        for &cursor in cursors {
            log.push(LogEntry { cursor, except: None, bytes: vec![0; 10].into() });
        }
        log
    }

    #[test]
    fn a_reader_gets_what_came_after_its_cursor_in_order() {
        let log = log(&[3, 4, 9]);
        let after = |cursor| log.after(cursor).map(|entry| entry.cursor).collect::<Vec<_>>();
        assert_eq!([0, 3, 5, 9].map(after), [vec![3, 4, 9], vec![4, 9], vec![9], vec![]]);
        assert_eq!([0, 3, 8, 9].map(|cursor| log.bytes_after(cursor)), [30, 20, 10, 0]);
    }

    #[test]
    fn what_is_forgotten_is_gone_and_the_rest_counts_as_before() {
        let mut log = log(&[1, 2, 3]);
        log.forget(2);
        assert_eq!(log.after(0).map(|entry| entry.cursor).collect::<Vec<_>>(), [3]);
        assert_eq!(log.bytes_after(0), 10);
        log.forget(3);
        assert!(log.is_empty());
    }
}
