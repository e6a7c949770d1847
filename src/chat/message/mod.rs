//! The messages of a session: fields to bytes and back. PROTOCOL.md §6.
//!
//! A record's text is one or more messages, one behind the other. What comes from a peer is parsed here, once.

mod to_client;
mod to_server;

use std::fmt;

use super::SessionNumber;
use super::name::{Name, RoomName};
use crate::wire::codec::{DecodeError, Reader};

pub use to_client::{Event, Person, ServerMessageError, ToClient, Welcome};
pub use to_server::{Numbered, ToServer};

/// One process of one user, by its credential's hash: what is signed and sealed names it so. On the wire it has a number,
/// a [`SessionNumber`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub [u8; 32]);

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session {:02x}{:02x}…", self.0[0], self.0[1])
    }
}

/// Words that the protocol spells out: an enum, its words, and the way back.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// The word on the wire.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// Parses a word of the wire, if it is known.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.word())
            }
        }
    };
}

words! {
    /// Reason why a request was refused.
    ErrorCode {
        /// Not in that room, already in it, not allowed, full, or too many joins.
        Refused = "refused",
        /// The name belongs to another key, and has no password.
        Taken = "taken",
        /// It has one.
        Password = "password",
        /// The server is by invitation.
        Invitation = "invitation",
        /// No such user or room.
        Absent = "absent",
        /// An operator has muted this name.
        Muted = "muted",
        /// Larger than it may be.
        Large = "large",
        /// The fields are not what they must be.
        Malformed = "malformed",
        /// Not supported by this server.
        Unsupported = "unsupported",
        /// Not now: the roster it was written for has changed, or a number before it is missing.
        Again = "again",
        /// Too fast.
        Wait = "wait",
        /// Handed out, but the disk could not keep it.
        Volatile = "volatile",
    }
}

words! {
    /// Reason why a member is no longer in a room.
    LeftReason {
        /// By themselves.
        Left = "left",
        /// By an operator.
        Kicked = "kicked",
        /// By themselves, from somewhere else.
        Replaced = "replaced",
        /// The connection was lost.
        Lost = "lost",
        /// They did not read.
        Slow = "slow",
    }
}

words! {
    /// Why the server ends a session.
    ByeReason {
        /// The server stops.
        Terminated = "terminated",
        /// By an operator.
        Kicked = "kicked",
        /// The same user has come in from somewhere else.
        Replaced = "replaced",
        /// Too much was waiting for a reader that did not read.
        Slow = "slow",
        /// The user left their last room.
        Left = "left",
    }
}

/// A record's text is not one or more messages, or counts with a number that is none: the connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record without messages")]
pub struct MessageError;

/// The fields of one message, after its type.
#[derive(Clone)]
struct MessageFields<'a> {
    reader: Reader<'a>,
    count: usize,
}

impl<'a> MessageFields<'a> {
    /// The type and the fields of an array `[type, field, …]`.
    fn of(value: &'a [u8]) -> Result<(u64, Self), DecodeError> {
        let mut reader = Reader::new(value);
        let count = reader.array()?.checked_sub(1).ok_or(DecodeError)?;
        Ok((reader.uint()?, Self { reader, count }))
    }

    /// Reads `needed` fields; those after them are a later version's, and ignored.
    fn read<T>(
        mut self,
        needed: usize,
        read: impl FnOnce(&mut Reader<'a>) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        if self.count < needed { Err(DecodeError) } else { read(&mut self.reader) }
    }
}

/// A record's text as messages: one or more arrays that begin with their type.
fn split(text: &[u8]) -> Result<Vec<(u64, MessageFields<'_>)>, MessageError> {
    let mut reader = Reader::new(text);
    let mut all = Vec::with_capacity(1);
    while reader.left() > 0 {
        all.push(reader.value().and_then(MessageFields::of).map_err(|_| MessageError)?);
    }
    if all.is_empty() { Err(MessageError) } else { Ok(all) }
}

fn room(reader: &mut Reader<'_>) -> Result<RoomName, DecodeError> {
    RoomName::parse(reader.text()?).map_err(|_| DecodeError)
}

fn name(reader: &mut Reader<'_>) -> Result<Name, DecodeError> {
    Name::parse(reader.text()?).map_err(|_| DecodeError)
}

/// A session's number. None has 0.
fn member(reader: &mut Reader<'_>) -> Result<SessionNumber, DecodeError> {
    Some(reader.uint()?).filter(|number| *number > 0).map(SessionNumber).ok_or(DecodeError)
}

/// 0 or 1.
fn flag(reader: &mut Reader<'_>) -> Result<bool, DecodeError> {
    match reader.uint()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(DecodeError),
    }
}

#[cfg(test)]
mod tests;
