//! What a client says. PROTOCOL.md §6.

use super::{Fields, NoMessages, room, split};
use crate::chat::Cursor;
use crate::chat::name::RoomName;
use crate::wire::codec::{BadEncoding, Reader, Writer};

/// From a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToServer {
    /// 16: wants to be in a room.
    Join {
        /// Which.
        room: RoomName,
        /// For a name that belongs to another key, or an invitation; mostly empty.
        password: String,
        /// The last event it has seen of a session to resume; mostly 0.
        cursor: Cursor,
    },
    /// 17 to 20: counted, and answered once each.
    Numbered {
        /// From 1, one after the other.
        n: u64,
        /// What it says.
        body: Numbered,
    },
    /// 22: has seen everything up to this cursor.
    Seen(Cursor),
    /// 23: wants to leave a room.
    Leave(RoomName),
    /// 24: is there.
    Ping,
    /// A known type with wrong fields.
    Malformed,
    /// 21 Lookup and 25 Command, which nobody does yet; they count against one's pace.
    Unbuilt,
    /// Another type.
    Unsupported,
}

/// What a counted message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Numbered {
    /// 17: something to a room.
    Say {
        /// Which.
        room: RoomName,
        /// The room's change that its sender knew as the last.
        change: u64,
        /// What it says; bytes that the server relays.
        envelope: Vec<u8>,
    },
    /// 17 with wrong fields.
    Malformed,
    /// 18 to 20, which nobody does yet.
    Unsupported,
}

impl ToServer {
    /// Parses a record's text.
    ///
    /// # Errors
    /// [`NoMessages`] if any of it is not a message; then none of it counts.
    pub fn parse_all(text: &[u8]) -> Result<Vec<Self>, NoMessages> {
        split(text)?.into_iter().map(|(kind, fields)| Self::parse(kind, fields)).collect()
    }

    fn parse(kind: u64, fields: Fields<'_>) -> Result<Self, NoMessages> {
        let parsed = match kind {
            16 => Self::parse_join(fields),
            17..=20 => return Self::parse_numbered(kind, fields),
            22 => fields.read(1, |reader| Ok(Self::Seen(reader.uint()?))),
            23 => fields.read(1, |reader| Ok(Self::Leave(room(reader)?))),
            24 => Ok(Self::Ping),
            21 | 25 => Ok(Self::Unbuilt),
            _ => Ok(Self::Unsupported),
        };
        Ok(parsed.unwrap_or(Self::Malformed))
    }

    fn parse_join(fields: Fields<'_>) -> Result<Self, BadEncoding> {
        fields.read(3, |reader| {
            Ok(Self::Join { room: room(reader)?, password: reader.text()?.to_owned(), cursor: reader.uint()? })
        })
    }

    fn parse_numbered(kind: u64, fields: Fields<'_>) -> Result<Self, NoMessages> {
        let n = fields.clone().read(1, Reader::uint).map_err(|_| NoMessages)?;
        if n == 0 {
            return Err(NoMessages);
        }
        let body = match kind {
            17 => fields
                .read(4, |reader| {
                    reader.uint()?;
                    Ok(Numbered::Say {
                        room: room(reader)?,
                        change: reader.uint()?,
                        envelope: reader.bytes()?.to_vec(),
                    })
                })
                .unwrap_or(Numbered::Malformed),
            _ => Numbered::Unsupported,
        };
        Ok(Self::Numbered { n, body })
    }

    /// The message's bytes.
    ///
    /// # Panics
    /// For what stands for a message that could not be read: there is nothing to write.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let writer = Writer::new();
        match self {
            Self::Join { room, password, cursor } => {
                writer.array(4).uint(16).text(room.as_str()).text(password).uint(*cursor)
            }
            Self::Numbered { n, body: Numbered::Say { room, change, envelope } } => {
                writer.array(5).uint(17).uint(*n).text(room.as_str()).uint(*change).bytes(envelope)
            }
            Self::Seen(cursor) => writer.array(2).uint(22).uint(*cursor),
            Self::Leave(room) => writer.array(2).uint(23).text(room.as_str()),
            Self::Ping => writer.array(1).uint(24),
            Self::Numbered { .. } | Self::Malformed | Self::Unbuilt | Self::Unsupported => {
                unreachable!("only what was read from a peer can be unreadable")
            }
        }
        .finish()
    }
}
