//! End to end: messages that only their readers can open. PROTOCOL.md §7.
//!
//! ```text
//! text ──pad──▶ sender_key ──▶ envelope      to a room; the key itself goes to each member in a box
//!          └──▶ boxed      ──▶ box           from one session to one session
//!          └──▶ letter     ──▶ letter        from one identity to one identity that is away
//! roster ──▶ signed in every envelope: a message holds only where all see the same people
//! ```
//!
//! Invariant: input is checked in one order (fields, signature, count, tag), and changes no state unless
//! all of it holds. The server's code cannot name this module.

pub mod body;
pub mod offline_message;
pub mod roster;
pub mod safety_number;
pub mod sealed_box;
pub mod sender_key;

pub use super::seal::OpenError;

/// A session, as its credential's SHA-256.
pub type SessionBytes = [u8; 32];

/// Reason why end-to-end input is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndToEndError {
    /// Its fields are not what they must be.
    #[error("malformed")]
    Malformed,
    /// Its signature does not hold.
    #[error("invalid signature")]
    Signature,
    /// It is for a room that the two do not share.
    #[error("it is for another room")]
    OtherRoom,
    /// It has come before.
    #[error("it is a repetition")]
    Replayed,
    /// It was read in an earlier session of one's own.
    #[error("it was read in an earlier session")]
    ReadEarlier,
    /// The key it was sealed with is not there.
    #[error("its key has not come")]
    NoKey,
    /// So much is missing before it that it is not looked for.
    #[error("too much is missing before it")]
    TooFarAhead,
    /// It does not open.
    #[error("it does not fit its key")]
    Unopened,
}

impl From<OpenError> for EndToEndError {
    fn from(OpenError: OpenError) -> Self {
        Self::Unopened
    }
}

impl From<crate::wire::codec::DecodeError> for EndToEndError {
    fn from(_: crate::wire::codec::DecodeError) -> Self {
        Self::Malformed
    }
}

#[cfg(test)]
mod tests;
