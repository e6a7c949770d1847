//! People and rules: names, messages, rooms, and who may do what in them.
//!
//! ```text
//! record's text ──▶ message::ToServer ──▶ state::ChatState::receive ──▶ Effect ──▶ room_log::Log, or one connection
//! ```
//!
//! Invariant: this floor knows no socket, key, file, thread or clock. Time is an argument.

mod accounts;
pub mod command;
mod ended_sessions;
mod fingerprint;
pub mod journal_record;
mod mailbox;
pub mod message;
pub mod message_seq;
mod moderation;
pub mod name;
pub mod password;
pub mod rate_limit;
pub mod registry_record;
mod replay_buffer;
pub mod room;
pub mod room_log;
pub mod state;
pub mod user;

use std::time::Instant;

use chrono::DateTime;

pub use replay_buffer::Audience;

/// A connection, by a number that is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// A session, by a number that is never used again: it outlives its connections. It has it on the wire, too (§6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionNumber(pub u64);

/// A room, by a number that is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RoomId(pub u64);

/// An identity's fingerprint: the owner of a name or of a letter.
pub type Owner = [u8; 32];

/// An event's number: 1, 2, 3 …, all rooms of a server together.
pub type Cursor = u64;

/// A time, in milliseconds since 1970, as people are told it.
fn when(at: u64) -> String {
    let time = i64::try_from(at).ok().and_then(DateTime::from_timestamp_millis);
    time.map_or("some day".into(), |time| time.format("%Y-%m-%d %H:%M UTC").to_string())
}

/// Now, as the caller's clocks have it.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Milliseconds since 1970: what is told to people.
    pub at: u64,
    /// For measuring how long things take; never set back.
    pub tick: Instant,
}
