//! People and rules: names, messages, rooms, and who may do what in them.
//!
//! ```text
//! record's text ──▶ message::ToServer ──▶ hall::Hall::receive ──▶ Effect ──▶ log::Log, or one connection
//! ```
//!
//! Invariant: nothing here knows a socket, a key, a file, a thread or a clock. Time is an argument.

pub mod command;
pub mod hall;
pub mod log;
pub mod message;
pub mod name;
pub mod numbers;
pub mod pace;
pub mod room;

use std::time::Instant;

/// Now, as the caller's clocks have it.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Milliseconds since 1970: what is told to people.
    pub at: u64,
    /// For measuring how long things take; never set back.
    pub tick: Instant,
}
