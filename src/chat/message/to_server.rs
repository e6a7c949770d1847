//! Messages of a client. PROTOCOL.md §6.

use super::{MessageError, MessageFields, member, name, room, split};
use crate::chat::name::{Name, RoomName};
use crate::chat::{Cursor, Owner, SessionNumber};
use crate::wire::codec::{DecodeError, Reader, Writer};

/// From a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToServer {
    /// 16: wants to be in a room.
    Join {
        /// Which.
        room: RoomName,
        /// For a name that belongs to another key, or the token of an invitation; mostly empty.
        password: String,
        /// The last event it has seen of a session to resume; mostly 0.
        cursor: Cursor,
    },
    /// 17 to 20: counted, and answered once each.
    Numbered {
        /// From 1, one after the other.
        n: u64,
        /// Body.
        body: Numbered,
    },
    /// 21: asks for the owner of a name.
    Lookup(Name),
    /// 22: has seen all events up to this cursor.
    Seen(Cursor),
    /// 23: wants to leave a room.
    Leave(RoomName),
    /// 24: is there.
    Ping,
    /// 25: a command for the server.
    Command(String),
    /// 26: the password of the name one has here; empty for none.
    Password(String),
    /// A known type with wrong fields.
    Malformed,
    /// Another type.
    Unsupported,
}

/// Body of a numbered message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Numbered {
    /// 17: a message to a room.
    Say {
        /// Which.
        room: RoomName,
        /// The room's change that its sender knew as the last.
        change: u64,
        /// Envelope; bytes that the server relays.
        envelope: Vec<u8>,
    },
    /// 18: a whisper to one session.
    Whisper {
        /// Recipient.
        to: SessionNumber,
        /// Box; bytes that the server relays.
        boxed: Vec<u8>,
    },
    /// 19: one's key for a room, to each of these.
    Share(Vec<(SessionNumber, Vec<u8>)>),
    /// 20: a letter to an absent user.
    Letter {
        /// Their identity's fingerprint.
        to: Owner,
        /// Letter; bytes that the server relays.
        letter: Vec<u8>,
    },
    /// One of them with wrong fields.
    Malformed,
}

impl ToServer {
    /// Parses a record's text.
    ///
    /// # Errors
    /// [`MessageError`] if any of it is not a message; then none of it counts.
    pub fn parse_all(text: &[u8]) -> Result<Vec<Self>, MessageError> {
        split(text)?.into_iter().map(|(kind, fields)| Self::parse(kind, fields)).collect()
    }

    fn parse(kind: u64, fields: MessageFields<'_>) -> Result<Self, MessageError> {
        let parsed = match kind {
            16 => Self::parse_join(fields),
            17..=20 => return Self::parse_numbered(kind, fields),
            22 => fields.read(1, |reader| Ok(Self::Seen(reader.uint()?))),
            23 => fields.read(1, |reader| Ok(Self::Leave(room(reader)?))),
            24 => Ok(Self::Ping),
            21 => fields.read(1, |reader| Ok(Self::Lookup(name(reader)?))),
            25 => fields.read(1, |reader| Ok(Self::Command(reader.text()?.to_owned()))),
            26 => fields.read(1, |reader| Ok(Self::Password(reader.text()?.to_owned()))),
            _ => Ok(Self::Unsupported),
        };
        Ok(parsed.unwrap_or(Self::Malformed))
    }

    fn parse_join(fields: MessageFields<'_>) -> Result<Self, DecodeError> {
        fields.read(3, |reader| {
            Ok(Self::Join { room: room(reader)?, password: reader.text()?.to_owned(), cursor: reader.uint()? })
        })
    }

    fn parse_numbered(kind: u64, fields: MessageFields<'_>) -> Result<Self, MessageError> {
        let n = fields.clone().read(1, Reader::uint).map_err(|_| MessageError)?;
        if n == 0 {
            return Err(MessageError);
        }
        let count = match kind {
            17 => 4,
            19 => 2,
            _ => 3,
        };
        let body = fields.read(count, |reader| {
            reader.uint()?;
            Numbered::parse(kind, reader)
        });
        Ok(Self::Numbered { n, body: body.unwrap_or(Numbered::Malformed) })
    }

    /// The message's bytes.
    ///
    /// # Panics
    /// For a message that could not be read: there is no encoding.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let writer = Writer::new();
        match self {
            Self::Join { room, password, cursor } => {
                writer.array(4).uint(16).text(room.as_str()).text(password).uint(*cursor)
            }
            Self::Numbered { n, body } => body.encode(*n),
            Self::Lookup(name) => writer.array(2).uint(21).text(name.as_str()),
            Self::Seen(cursor) => writer.array(2).uint(22).uint(*cursor),
            Self::Leave(room) => writer.array(2).uint(23).text(room.as_str()),
            Self::Ping => writer.array(1).uint(24),
            Self::Command(line) => writer.array(2).uint(25).text(line),
            Self::Password(password) => writer.array(2).uint(26).text(password),
            Self::Malformed | Self::Unsupported => {
                unreachable!("only what was read from a peer can be unreadable")
            }
        }
        .finish()
    }
}

impl Numbered {
    fn parse(kind: u64, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match kind {
            17 => Self::Say { room: room(reader)?, change: reader.uint()?, envelope: reader.bytes()?.to_vec() },
            18 => Self::Whisper { to: member(reader)?, boxed: reader.bytes()?.to_vec() },
            19 => {
                let count = reader.array()?;
                let one = |_| {
                    if reader.array()? == 2 {
                        Ok((member(reader)?, reader.bytes()?.to_vec()))
                    } else {
                        Err(DecodeError)
                    }
                };
                Self::Share((0..count).map(one).collect::<Result<_, _>>()?)
            }
            20 => Self::Letter { to: reader.bytes_exact()?, letter: reader.bytes()?.to_vec() },
            _ => return Err(DecodeError),
        })
    }

    fn encode(&self, n: u64) -> Writer {
        let writer = Writer::new();
        match self {
            Self::Say { room, change, envelope } => {
                writer.array(5).uint(17).uint(n).text(room.as_str()).uint(*change).bytes(envelope)
            }
            Self::Whisper { to, boxed } => writer.array(4).uint(18).uint(n).uint(to.0).bytes(boxed),
            Self::Share(boxes) => {
                let head = writer.array(3).uint(19).uint(n).array(boxes.len());
                boxes.iter().fold(head, |writer, (to, boxed)| writer.array(2).uint(to.0).bytes(boxed))
            }
            Self::Letter { to, letter } => writer.array(4).uint(20).uint(n).bytes(to).bytes(letter),
            Self::Malformed => unreachable!("only what was read from a peer can be unreadable"),
        }
    }
}
