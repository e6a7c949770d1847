//! Messages of a server. PROTOCOL.md §6.

use super::{ByeReason, ErrorCode, LeftReason, MessageError, MessageFields, flag, member, name, room, split};
use crate::chat::name::{Name, RoomName};
use crate::chat::{Cursor, SessionNumber};
use crate::wire::codec::{DecodeError, Reader, Writer};

/// From a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToClient {
    /// 32: you are in.
    Welcome(Welcome),
    /// 33: this number was taken.
    Accepted(u64),
    /// 34: an event.
    Event {
        /// Its place.
        cursor: Cursor,
        /// When, in milliseconds since 1970 by the server's clock.
        at: u64,
        /// The event.
        event: Event,
    },
    /// 35: who a session is.
    Person(Person),
    /// 36: a request was refused.
    Error {
        /// Why.
        code: ErrorCode,
        /// In words.
        text: String,
        /// Which number; 0 for none.
        n: u64,
    },
    /// 37: owner of a name.
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
    /// A message of a later protocol version.
    Unknown,
}

/// Welcome, for a session that has joined a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// Which room.
    pub room: RoomName,
    /// All members, the newcomer included.
    pub members: Vec<SessionNumber>,
    /// The room's change by which the newcomer came in.
    pub change: u64,
    /// True if a session was resumed.
    pub resumed: bool,
    /// The newcomer's own joined event's place.
    pub cursor: Cursor,
    /// When that was, in milliseconds since 1970.
    pub at: u64,
    /// The operator's notice; may be empty.
    pub notice: String,
    /// The longest text, in bytes.
    pub longest_text: u64,
    /// The newcomer's own number.
    pub own: SessionNumber,
}

/// A user's credential, with its identity and signature, and the number that names their session from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The number.
    pub member: SessionNumber,
    /// DER SubjectPublicKeyInfo.
    pub spki: Vec<u8>,
    /// The credential.
    pub credential: Vec<u8>,
    /// The identity's signature over it.
    pub signature: Vec<u8>,
}

/// Events in rooms. The subject is a number on the wire; the client maps it to a session id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<Who = SessionNumber> {
    /// 1: a member sent a message.
    Said {
        /// Where.
        room: RoomName,
        /// Author.
        who: Who,
        /// The change that their Say gave.
        change: u64,
        /// Envelope.
        envelope: Vec<u8>,
    },
    /// 2: a member whispered to this session.
    Whispered {
        /// Author.
        who: Who,
        /// Box.
        boxed: Vec<u8>,
    },
    /// 3: a member gave this session their sender key.
    Shared {
        /// Sender.
        who: Who,
        /// Which.
        boxed: Vec<u8>,
    },
    /// 4: a member joined.
    Joined {
        /// Where.
        room: RoomName,
        /// New member.
        who: Who,
        /// The room's change by which they did.
        change: u64,
    },
    /// 5: a member left.
    Left {
        /// Where.
        room: RoomName,
        /// Former member.
        who: Who,
        /// The room's change by which they left.
        change: u64,
        /// Why.
        reason: LeftReason,
    },
    /// 6: the operator's notice.
    Notice(String),
    /// 7: a user wrote a letter while this user was away.
    Letter(Vec<u8>),
    /// 8: a member's connection was lost, or is back; the member was in the room all the time.
    Presence {
        /// Member.
        who: Who,
        /// True if they are away.
        lost: bool,
    },
    /// An event of a later protocol version.
    Unknown,
}

/// A server's message that breaks the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServerMessageError {
    /// A record holds no messages.
    #[error("a record without messages")]
    NoMessages,
    /// A known type has wrong fields.
    #[error("a message of type {0} with wrong fields")]
    Malformed(u64),
}

impl ToClient {
    /// Parses a record's text.
    ///
    /// # Errors
    /// [`ServerMessageError`] if any of it breaks the protocol.
    pub fn parse_all(text: &[u8]) -> Result<Vec<Self>, ServerMessageError> {
        split(text)
            .map_err(|MessageError| ServerMessageError::NoMessages)?
            .into_iter()
            .map(|(kind, fields)| Self::parse(kind, fields).map_err(|_| ServerMessageError::Malformed(kind)))
            .collect()
    }

    fn parse(kind: u64, fields: MessageFields<'_>) -> Result<Self, DecodeError> {
        match kind {
            32 => fields.read(9, |reader| Ok(Self::Welcome(Welcome::parse(reader)?))),
            33 => fields.read(1, |reader| Ok(Self::Accepted(reader.uint()?))),
            34 => fields.read(3, |reader| {
                Ok(Self::Event { cursor: reader.uint()?, at: reader.uint()?, event: Event::parse(reader.value()?)? })
            }),
            35 => fields.read(4, |reader| {
                let member = member(reader)?;
                let mut part = || reader.bytes().map(<[u8]>::to_vec);
                Ok(Self::Person(Person { member, spki: part()?, credential: part()?, signature: part()? }))
            }),
            36 => fields.read(3, |reader| {
                let code = ErrorCode::from_word(reader.text()?).ok_or(DecodeError)?;
                Ok(Self::Error { code, text: reader.text()?.to_owned(), n: reader.uint()? })
            }),
            37 => fields.read(2, |reader| Ok(Self::Found { name: name(reader)?, spki: reader.bytes()?.to_vec() })),
            38 => Ok(Self::Pong),
            39 => fields.read(1, |reader| ByeReason::from_word(reader.text()?).map(Self::Bye).ok_or(DecodeError)),
            40 => fields.read(1, |reader| Ok(Self::Answer(reader.text()?.to_owned()))),
            _ => Ok(Self::Unknown),
        }
    }

    /// The message's bytes.
    ///
    /// # Panics
    /// For [`ToClient::Unknown`]: there is no encoding.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let writer = Writer::new();
        match self {
            Self::Welcome(welcome) => return welcome.encode(),
            Self::Accepted(n) => writer.array(2).uint(33).uint(*n),
            Self::Event { cursor, at, event } => event.encode(writer.array(4).uint(34).uint(*cursor).uint(*at)),
            Self::Person(Person { member, spki, credential, signature }) => {
                writer.array(5).uint(35).uint(member.0).bytes(spki).bytes(credential).bytes(signature)
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
    fn parse(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let room = room(reader)?;
        let count = reader.array()?;
        let members = (0..count).map(|_| member(reader)).collect::<Result<_, _>>()?;
        Ok(Self {
            room,
            members,
            change: reader.uint()?,
            resumed: flag(reader)?,
            cursor: reader.uint()?,
            at: reader.uint()?,
            notice: reader.text()?.to_owned(),
            longest_text: reader.uint()?,
            own: member(reader)?,
        })
    }

    fn encode(&self) -> Vec<u8> {
        let head = Writer::with_capacity(128 + self.notice.len() + 5 * self.members.len())
            .array(10)
            .uint(32)
            .text(self.room.as_str())
            .array(self.members.len());
        self.members
            .iter()
            .fold(head, |writer, member| writer.uint(member.0))
            .uint(self.change)
            .uint(self.resumed.into())
            .uint(self.cursor)
            .uint(self.at)
            .text(&self.notice)
            .uint(self.longest_text)
            .uint(self.own.0)
            .finish()
    }
}

impl Event {
    fn parse(value: &[u8]) -> Result<Self, DecodeError> {
        let (kind, fields) = MessageFields::of(value)?;
        match kind {
            1 => fields.read(4, |reader| {
                Ok(Self::Said {
                    room: room(reader)?,
                    who: member(reader)?,
                    change: reader.uint()?,
                    envelope: reader.bytes()?.to_vec(),
                })
            }),
            2 => fields.read(2, |reader| Ok(Self::Whispered { who: member(reader)?, boxed: reader.bytes()?.to_vec() })),
            3 => fields.read(2, |reader| Ok(Self::Shared { who: member(reader)?, boxed: reader.bytes()?.to_vec() })),
            4 => fields.read(3, |reader| {
                Ok(Self::Joined { room: room(reader)?, who: member(reader)?, change: reader.uint()? })
            }),
            5 => fields.read(4, |reader| {
                let (room, who, change) = (room(reader)?, member(reader)?, reader.uint()?);
                let reason = LeftReason::from_word(reader.text()?).ok_or(DecodeError)?;
                Ok(Self::Left { room, who, change, reason })
            }),
            6 => fields.read(1, |reader| Ok(Self::Notice(reader.text()?.to_owned()))),
            7 => fields.read(1, |reader| Ok(Self::Letter(reader.bytes()?.to_vec()))),
            8 => fields.read(2, |reader| Ok(Self::Presence { who: member(reader)?, lost: flag(reader)? })),
            _ => Ok(Self::Unknown),
        }
    }

    fn encode(&self, writer: Writer) -> Writer {
        match self {
            Self::Said { room, who, change, envelope } => {
                writer.array(5).uint(1).text(room.as_str()).uint(who.0).uint(*change).bytes(envelope)
            }
            Self::Whispered { who, boxed } => writer.array(3).uint(2).uint(who.0).bytes(boxed),
            Self::Shared { who, boxed } => writer.array(3).uint(3).uint(who.0).bytes(boxed),
            Self::Joined { room, who, change } => writer.array(4).uint(4).text(room.as_str()).uint(who.0).uint(*change),
            Self::Left { room, who, change, reason } => {
                writer.array(5).uint(5).text(room.as_str()).uint(who.0).uint(*change).text(reason.word())
            }
            Self::Notice(text) => writer.array(2).uint(6).text(text),
            Self::Letter(letter) => writer.array(2).uint(7).bytes(letter),
            Self::Presence { who, lost } => writer.array(3).uint(8).uint(who.0).uint((*lost).into()),
            Self::Unknown => unreachable!("only what was read from a peer can be unknown"),
        }
    }
}

impl<Who> Event<Who> {
    /// Subject of the event, if it has one.
    pub fn who(&self) -> Option<&Who> {
        match self {
            Self::Said { who, .. }
            | Self::Whispered { who, .. }
            | Self::Shared { who, .. }
            | Self::Joined { who, .. }
            | Self::Left { who, .. }
            | Self::Presence { who, .. } => Some(who),
            Self::Notice(_) | Self::Letter(_) | Self::Unknown => None,
        }
    }

    /// The same event with the subject mapped to another type.
    ///
    /// # Errors
    /// If there is no such subject.
    pub fn known_as<Other, Nobody>(
        self,
        find: impl FnOnce(Who) -> Result<Other, Nobody>,
    ) -> Result<Event<Other>, Nobody> {
        Ok(match self {
            Self::Said { room, who, change, envelope } => Event::Said { room, who: find(who)?, change, envelope },
            Self::Whispered { who, boxed } => Event::Whispered { who: find(who)?, boxed },
            Self::Shared { who, boxed } => Event::Shared { who: find(who)?, boxed },
            Self::Joined { room, who, change } => Event::Joined { room, who: find(who)?, change },
            Self::Left { room, who, change, reason } => Event::Left { room, who: find(who)?, change, reason },
            Self::Notice(text) => Event::Notice(text),
            Self::Letter(letter) => Event::Letter(letter),
            Self::Presence { who, lost } => Event::Presence { who: find(who)?, lost },
            Self::Unknown => Event::Unknown,
        })
    }
}
