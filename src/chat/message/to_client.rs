//! What a server says. PROTOCOL.md §6.

use super::{ByeReason, ErrorCode, Fields, LeftReason, NoMessages, Session, flag, name, room, session, split};
use crate::chat::Cursor;
use crate::chat::name::{Name, RoomName};
use crate::wire::codec::{BadEncoding, Reader, Writer};

/// From a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToClient {
    /// 32: you are in.
    Welcome(Welcome),
    /// 33: this number was taken.
    Accepted(u64),
    /// 34: something happened.
    Event {
        /// Its place.
        cursor: Cursor,
        /// When, in milliseconds since 1970 by the server's clock.
        at: u64,
        /// What.
        event: Event,
    },
    /// 35: who a session is.
    Person(Person),
    /// 36: something was not done.
    Error {
        /// Why.
        code: ErrorCode,
        /// In words.
        text: String,
        /// Which number; 0 for none.
        n: u64,
    },
    /// 37: whose a name is.
    Found {
        /// The name that was looked up.
        name: Name,
        /// DER SubjectPublicKeyInfo of the identity that has it.
        spki: Vec<u8>,
    },
    /// 38: is there.
    Pong,
    /// 39: the session ends.
    Bye(ByeReason),
    /// 40: what has become of a Command or a Password, in lines.
    Answer(String),
    /// What a later server may say.
    Unknown,
}

/// What somebody who has come into a room is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// Which room.
    pub room: RoomName,
    /// Everybody in it, the newcomer included.
    pub sessions: Vec<Session>,
    /// The room's change by which the newcomer came in.
    pub change: u64,
    /// Whether a session was resumed.
    pub resumed: bool,
    /// The newcomer's own joined event's place.
    pub cursor: Cursor,
    /// When that was, in milliseconds since 1970.
    pub at: u64,
    /// What the operator has to say; may be empty.
    pub notice: String,
    /// The longest text, in bytes.
    pub longest_text: u64,
}

/// A user's credential, with its identity and signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// DER SubjectPublicKeyInfo.
    pub spki: Vec<u8>,
    /// The credential.
    pub credential: Vec<u8>,
    /// The identity's signature over it.
    pub signature: Vec<u8>,
}

/// What happens in rooms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// 1: somebody said something.
    Said {
        /// Where.
        room: RoomName,
        /// Who.
        session: Session,
        /// The change that their Say gave.
        change: u64,
        /// What.
        envelope: Vec<u8>,
    },
    /// 2: somebody said something to oneself alone.
    Whispered {
        /// Who.
        session: Session,
        /// What.
        boxed: Vec<u8>,
    },
    /// 3: somebody gave their key to oneself.
    Shared {
        /// Who.
        session: Session,
        /// Which.
        boxed: Vec<u8>,
    },
    /// 4: somebody came in.
    Joined {
        /// Where.
        room: RoomName,
        /// Who.
        session: Session,
        /// The room's change by which they did.
        change: u64,
    },
    /// 5: somebody is no longer there.
    Left {
        /// Where.
        room: RoomName,
        /// Who.
        session: Session,
        /// The room's change by which they left.
        change: u64,
        /// Why.
        reason: LeftReason,
    },
    /// 6: the operator says something.
    Notice(String),
    /// 7: somebody wrote while one was away.
    Letter(Vec<u8>),
    /// 8: somebody's connection was lost, or they are back; they were in the room all the time.
    Presence {
        /// Who.
        session: Session,
        /// Whether they are away.
        lost: bool,
    },
    /// What a later server may tell.
    Unknown,
}

/// What a server sent breaks the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadServer {
    /// A record holds no messages.
    #[error("a record that holds no messages")]
    NoMessages,
    /// A known type has wrong fields.
    #[error("a message of type {0} with wrong fields")]
    Malformed(u64),
}

impl ToClient {
    /// Parses a record's text.
    ///
    /// # Errors
    /// [`BadServer`] if any of it breaks the protocol.
    pub fn parse_all(text: &[u8]) -> Result<Vec<Self>, BadServer> {
        split(text)
            .map_err(|NoMessages| BadServer::NoMessages)?
            .into_iter()
            .map(|(kind, fields)| Self::parse(kind, fields).map_err(|_| BadServer::Malformed(kind)))
            .collect()
    }

    fn parse(kind: u64, fields: Fields<'_>) -> Result<Self, BadEncoding> {
        match kind {
            32 => fields.read(8, |reader| Ok(Self::Welcome(Welcome::parse(reader)?))),
            33 => fields.read(1, |reader| Ok(Self::Accepted(reader.uint()?))),
            34 => fields.read(3, |reader| {
                Ok(Self::Event { cursor: reader.uint()?, at: reader.uint()?, event: Event::parse(reader.value()?)? })
            }),
            35 => fields.read(3, |reader| {
                let mut part = || reader.bytes().map(<[u8]>::to_vec);
                Ok(Self::Person(Person { spki: part()?, credential: part()?, signature: part()? }))
            }),
            36 => fields.read(3, |reader| {
                let code = ErrorCode::from_word(reader.text()?).ok_or(BadEncoding)?;
                Ok(Self::Error { code, text: reader.text()?.to_owned(), n: reader.uint()? })
            }),
            37 => fields.read(2, |reader| Ok(Self::Found { name: name(reader)?, spki: reader.bytes()?.to_vec() })),
            38 => Ok(Self::Pong),
            39 => fields.read(1, |reader| ByeReason::from_word(reader.text()?).map(Self::Bye).ok_or(BadEncoding)),
            40 => fields.read(1, |reader| Ok(Self::Answer(reader.text()?.to_owned()))),
            _ => Ok(Self::Unknown),
        }
    }

    /// The message's bytes.
    ///
    /// # Panics
    /// For [`ToClient::Unknown`]: there is nothing to write.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let writer = Writer::new();
        match self {
            Self::Welcome(welcome) => return welcome.encode(),
            Self::Accepted(n) => writer.array(2).uint(33).uint(*n),
            Self::Event { cursor, at, event } => event.encode(writer.array(4).uint(34).uint(*cursor).uint(*at)),
            Self::Person(Person { spki, credential, signature }) => {
                writer.array(4).uint(35).bytes(spki).bytes(credential).bytes(signature)
            }
            Self::Error { code, text, n } => writer.array(4).uint(36).text(code.word()).text(text).uint(*n),
            Self::Found { name, spki } => writer.array(3).uint(37).text(name.as_str()).bytes(spki),
            Self::Pong => writer.array(1).uint(38),
            Self::Bye(reason) => writer.array(2).uint(39).text(reason.word()),
            Self::Answer(text) => writer.array(2).uint(40).text(text),
            Self::Unknown => unreachable!("only what was read from a peer can be unknown"),
        }
        .finish()
    }
}

impl Welcome {
    fn parse(reader: &mut Reader<'_>) -> Result<Self, BadEncoding> {
        let room = room(reader)?;
        let count = reader.array()?;
        let sessions = (0..count).map(|_| session(reader)).collect::<Result<_, _>>()?;
        Ok(Self {
            room,
            sessions,
            change: reader.uint()?,
            resumed: flag(reader)?,
            cursor: reader.uint()?,
            at: reader.uint()?,
            notice: reader.text()?.to_owned(),
            longest_text: reader.uint()?,
        })
    }

    fn encode(&self) -> Vec<u8> {
        let head = Writer::with_capacity(128 + self.notice.len() + 34 * self.sessions.len())
            .array(9)
            .uint(32)
            .text(self.room.as_str())
            .array(self.sessions.len());
        self.sessions
            .iter()
            .fold(head, |writer, session| writer.bytes(&session.0))
            .uint(self.change)
            .uint(self.resumed.into())
            .uint(self.cursor)
            .uint(self.at)
            .text(&self.notice)
            .uint(self.longest_text)
            .finish()
    }
}

impl Event {
    fn parse(value: &[u8]) -> Result<Self, BadEncoding> {
        let (kind, fields) = Fields::of(value)?;
        match kind {
            1 => fields.read(4, |reader| {
                Ok(Self::Said {
                    room: room(reader)?,
                    session: session(reader)?,
                    change: reader.uint()?,
                    envelope: reader.bytes()?.to_vec(),
                })
            }),
            2 => fields
                .read(2, |reader| Ok(Self::Whispered { session: session(reader)?, boxed: reader.bytes()?.to_vec() })),
            3 => {
                fields.read(2, |reader| Ok(Self::Shared { session: session(reader)?, boxed: reader.bytes()?.to_vec() }))
            }
            4 => fields.read(3, |reader| {
                Ok(Self::Joined { room: room(reader)?, session: session(reader)?, change: reader.uint()? })
            }),
            5 => fields.read(4, |reader| {
                let (room, session, change) = (room(reader)?, session(reader)?, reader.uint()?);
                let reason = LeftReason::from_word(reader.text()?).ok_or(BadEncoding)?;
                Ok(Self::Left { room, session, change, reason })
            }),
            6 => fields.read(1, |reader| Ok(Self::Notice(reader.text()?.to_owned()))),
            7 => fields.read(1, |reader| Ok(Self::Letter(reader.bytes()?.to_vec()))),
            8 => fields.read(2, |reader| Ok(Self::Presence { session: session(reader)?, lost: flag(reader)? })),
            _ => Ok(Self::Unknown),
        }
    }

    fn encode(&self, writer: Writer) -> Writer {
        match self {
            Self::Said { room, session, change, envelope } => {
                writer.array(5).uint(1).text(room.as_str()).bytes(&session.0).uint(*change).bytes(envelope)
            }
            Self::Whispered { session, boxed } => writer.array(3).uint(2).bytes(&session.0).bytes(boxed),
            Self::Shared { session, boxed } => writer.array(3).uint(3).bytes(&session.0).bytes(boxed),
            Self::Joined { room, session, change } => {
                writer.array(4).uint(4).text(room.as_str()).bytes(&session.0).uint(*change)
            }
            Self::Left { room, session, change, reason } => {
                writer.array(5).uint(5).text(room.as_str()).bytes(&session.0).uint(*change).text(reason.word())
            }
            Self::Notice(text) => writer.array(2).uint(6).text(text),
            Self::Letter(letter) => writer.array(2).uint(7).bytes(letter),
            Self::Presence { session, lost } => writer.array(3).uint(8).bytes(&session.0).uint((*lost).into()),
            Self::Unknown => unreachable!("only what was read from a peer can be unknown"),
        }
    }
}
