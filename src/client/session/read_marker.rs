//! When the server is told what has come: it forgets that then. PROTOCOL.md §8 "Seen".

use std::time::{Duration, Instant};

use rand::RngExt;

/// The server is told of an event after this at the latest, and not by all of a room at once.
const AFTER: Duration = Duration::from_secs(20);
/// And at once of so many.
const AT_ONCE: u64 = 8_192;

/// Read marker of the session, and its timer.
#[derive(Debug, Default)]
pub(super) struct ReadMarker {
    due: Option<Instant>,
    /// The last event that it has been told of.
    pub(super) told: u64,
    /// A letter could not be noted as read: it, and all after it, are to come again.
    pub(super) withheld: bool,
}

impl ReadMarker {
    /// An event has come.
    pub(super) fn schedule(&mut self, cursor: u64, now: Instant) {
        if cursor.saturating_sub(self.told) >= AT_ONCE {
            self.schedule_by(now);
        } else if self.due.is_none() {
            self.due = Some(now + rand::rng().random_range(AFTER / 2..=AFTER));
        }
    }

    pub(super) fn schedule_by(&mut self, when: Instant) {
        self.due = Some(self.due.map_or(when, |due| due.min(when)));
    }

    pub(super) fn due_at(&self) -> Option<Instant> {
        self.due.filter(|_| !self.withheld)
    }

    pub(super) fn take_due(&mut self, now: Instant) -> bool {
        self.due_at().is_some_and(|due| due <= now) && self.due.take().is_some()
    }
}
