//! Journal records: a server that was killed resumes from them. PROTOCOL.md §8.
//!
//! ```text
//! chat state ──JournalRecord, JournalRecord, …──▶ disk ──(crash)──▶ JournalRecord, JournalRecord, … ──▶ ChatState::restore
//! ```

use std::sync::Arc;

use super::message::ErrorCode;
use super::name::RoomName;
use super::registry_record::{AccountId, RegistryRecord};
use super::replay_buffer::Audience;
use super::room_log::LogEntry;
use super::user::User;
use super::{Cursor, RoomId, SessionNumber};

/// A record that holds from now on.
#[derive(Clone, Debug)]
pub enum JournalRecord {
    /// Sessions' numbers up to here may have been used, and are never used again.
    Members(u64),
    /// A session is there.
    Session {
        /// Which.
        member: SessionNumber,
        /// User of the session.
        user: User,
        /// The Person message that shows others who they are.
        person: Arc<[u8]>,
        /// Number of its answered messages.
        last: u64,
        /// Which of them were not taken, and why.
        refused: Vec<(u64, ErrorCode)>,
        /// From where it can be resumed.
        range: ResumeRange,
    },
    /// A session has ended.
    SessionGone(SessionNumber),
    /// A session's next message has been answered.
    Number {
        /// Session that subscribes.
        member: SessionNumber,
        /// Its number: all up to here are.
        last: u64,
        /// Why it was not taken, if it was not.
        refused: Option<ErrorCode>,
    },
    /// From where a session can be resumed.
    Range(SessionNumber, ResumeRange),
    /// A room is as it is after this change.
    Room {
        /// Which.
        room: RoomId,
        /// Its name.
        name: RoomName,
        /// Number of its roster's changes.
        change: u64,
        /// Owner, as long as the room has no settings ([`RegistryRecord::Room`]).
        opened_by: Option<AccountId>,
    },
    /// A room has emptied.
    RoomGone(RoomId),
    /// A session's subscription to a room.
    Seat {
        /// Which session.
        member: SessionNumber,
        /// Of which room.
        room: RoomId,
        /// First event after this number.
        since: Cursor,
        /// Up to this one; `None` as long as it is in the room.
        until: Option<Cursor>,
    },
    /// An event happened.
    Event(Audience, LogEntry),
    /// All events up to here are trimmed.
    Forgotten(Cursor),
    /// A record that stays when the server stops: it is no part of the journal.
    Lasting(RegistryRecord),
}

/// From where a session can be resumed: the last event that it has had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResumeRange {
    /// Events below this number are trimmed.
    pub lowest: Cursor,
    /// The last event that was found after a crash: it cannot have had a later one, or not of these events.
    pub highest: Option<Cursor>,
}

impl JournalRecord {
    /// Returns the registry part of the record, if it has one.
    #[must_use]
    pub fn lasting(&self) -> Option<&RegistryRecord> {
        if let Self::Lasting(lasting) = self { Some(lasting) } else { None }
    }
}
