//! People and rules: names, messages, rooms, and who may do what in them.
//!
//! ```text
//! record's text ──▶ message::ToServer ──▶ hall::Hall::receive ──▶ Effect ──▶ log::Log, or one connection
//! ```
//!
//! Invariant: nothing here knows a socket, a key, a file, a thread or a clock. Time is an argument.

mod accounts;
mod backlog;
pub mod command;
mod ended;
mod fingerprint;
pub mod hall;
pub mod kept;
pub mod lasting;
pub mod log;
mod mailbox;
pub mod message;
pub mod name;
pub mod numbers;
mod order;
pub mod pace;
pub mod password;
pub mod room;
pub mod user;

use std::time::Instant;

use chrono::DateTime;

pub use backlog::To;

/// A connection, by a number that is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Conn(pub u64);

/// A session, by a number that is never used again: it outlives its connections. It has it on the wire, too (§6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Member(pub u64);

/// A room, by a number that is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RoomId(pub u64);

/// An identity's fingerprint: whose a name is, and a letter.
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
pub struct Moment {
    /// Milliseconds since 1970: what is told to people.
    pub at: u64,
    /// For measuring how long things take; never set back.
    pub tick: Instant,
}
