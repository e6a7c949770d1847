//! The messages of a session: fields to bytes and back. PROTOCOL.md §6.
//!
//! A record's text is one or more messages, one behind the other. What comes from a peer is parsed here, once.

use std::fmt;

use super::log::Cursor;
use super::name::RoomName;
use crate::wire::codec::{BadEncoding, Reader, Writer};

/// One process of one user, by its credential's hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Session(pub [u8; 32]);

impl fmt::Debug for Session {
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

            /// What the word on the wire means, if it is one of ours.
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
    /// Why something was not done.
    ErrorCode {
        /// Not in that room, already in it, not allowed, full, or too many joins.
        Refused = "refused",
        /// The name belongs to another key.
        Password = "password",
        /// Nobody such.
        Absent = "absent",
        /// Larger than it may be.
        Large = "large",
        /// The fields are not what they must be.
        Malformed = "malformed",
        /// Not something this server does.
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
    /// Why somebody is no longer in a room.
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

/// A record's text is not one or more messages, or counts with a number that is none: the connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record that holds no messages")]
pub struct NoMessages;

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
            Self::Numbered { .. } | Self::Malformed | Self::Unsupported => {
                unreachable!("only what was read from a peer can be unreadable")
            }
        }
        .finish()
    }
}

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
    /// 38: is there.
    Pong,
    /// 39: the session ends.
    Bye(ByeReason),
    /// 37, and what a later server may say.
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
            38 => Ok(Self::Pong),
            39 => fields.read(1, |reader| ByeReason::from_word(reader.text()?).map(Self::Bye).ok_or(BadEncoding)),
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
            Self::Pong => writer.array(1).uint(38),
            Self::Bye(reason) => writer.array(2).uint(39).text(reason.word()),
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
            resumed: match reader.uint()? {
                0 => false,
                1 => true,
                _ => return Err(BadEncoding),
            },
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
            4 => fields.read(3, |reader| {
                Ok(Self::Joined { room: room(reader)?, session: session(reader)?, change: reader.uint()? })
            }),
            5 => fields.read(4, |reader| {
                let (room, session, change) = (room(reader)?, session(reader)?, reader.uint()?);
                let reason = LeftReason::from_word(reader.text()?).ok_or(BadEncoding)?;
                Ok(Self::Left { room, session, change, reason })
            }),
            6 => fields.read(1, |reader| Ok(Self::Notice(reader.text()?.to_owned()))),
            _ => Ok(Self::Unknown),
        }
    }

    fn encode(&self, writer: Writer) -> Writer {
        match self {
            Self::Said { room, session, change, envelope } => {
                writer.array(5).uint(1).text(room.as_str()).bytes(&session.0).uint(*change).bytes(envelope)
            }
            Self::Joined { room, session, change } => {
                writer.array(4).uint(4).text(room.as_str()).bytes(&session.0).uint(*change)
            }
            Self::Left { room, session, change, reason } => {
                writer.array(5).uint(5).text(room.as_str()).bytes(&session.0).uint(*change).text(reason.word())
            }
            Self::Notice(text) => writer.array(2).uint(6).text(text),
            Self::Unknown => unreachable!("only what was read from a peer can be unknown"),
        }
    }
}

/// The fields of one message, after its type.
#[derive(Clone)]
struct Fields<'a> {
    reader: Reader<'a>,
    count: usize,
}

impl<'a> Fields<'a> {
    /// The type and the fields of an array `[type, field, …]`.
    fn of(value: &'a [u8]) -> Result<(u64, Self), BadEncoding> {
        let mut reader = Reader::new(value);
        let count = reader.array()?.checked_sub(1).ok_or(BadEncoding)?;
        Ok((reader.uint()?, Self { reader, count }))
    }

    /// Reads `needed` fields; those after them are a later version's, and ignored.
    fn read<T>(
        mut self,
        needed: usize,
        read: impl FnOnce(&mut Reader<'a>) -> Result<T, BadEncoding>,
    ) -> Result<T, BadEncoding> {
        if self.count < needed { Err(BadEncoding) } else { read(&mut self.reader) }
    }
}

/// A record's text as messages: one or more arrays that begin with their type.
fn split(text: &[u8]) -> Result<Vec<(u64, Fields<'_>)>, NoMessages> {
    let mut reader = Reader::new(text);
    let mut all = Vec::with_capacity(1);
    while reader.left() > 0 {
        all.push(reader.value().and_then(Fields::of).map_err(|_| NoMessages)?);
    }
    if all.is_empty() { Err(NoMessages) } else { Ok(all) }
}

fn room(reader: &mut Reader<'_>) -> Result<RoomName, BadEncoding> {
    RoomName::parse(reader.text()?).map_err(|_| BadEncoding)
}

fn session(reader: &mut Reader<'_>) -> Result<Session, BadEncoding> {
    reader.bytes_exact().map(Session)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(n: u64) -> ToServer {
        let body = Numbered::Say { room: RoomName::lobby(), change: 3, envelope: b"Hi".to_vec() };
        ToServer::Numbered { n, body }
    }

    #[test]
    fn several_messages_in_a_record_are_read_in_order() {
        let text = [say(1).encode(), ToServer::Ping.encode(), say(2).encode()].concat();
        assert_eq!(ToServer::parse_all(&text), Ok(vec![say(1), ToServer::Ping, say(2)]));
    }

    #[test]
    fn what_is_no_message_ends_everything() {
        let array_of_text = Writer::new().array(1).text("24").finish();
        let cut = &say(1).encode()[..10];
        for text in [&b""[..], &[0x00], &[0x80], &array_of_text, cut] {
            assert_eq!(ToServer::parse_all(text), Err(NoMessages), "{text:02x?}");
        }
        let valid_then_not = [ToServer::Ping.encode(), vec![0x80]].concat();
        assert_eq!(ToServer::parse_all(&valid_then_not), Err(NoMessages));
    }

    #[test]
    fn a_number_that_is_none_ends_everything() {
        let zero = Writer::new().array(2).uint(17).uint(0).finish();
        let text = Writer::new().array(2).uint(18).text("1").finish();
        let none = Writer::new().array(1).uint(19).finish();
        for bytes in [zero, text, none] {
            assert_eq!(ToServer::parse_all(&bytes), Err(NoMessages));
        }
    }

    #[test]
    fn wrong_fields_are_malformed_and_other_types_unsupported() {
        let bad_room = Writer::new().array(4).uint(16).text("lobby").text("").uint(0).finish();
        assert_eq!(ToServer::parse_all(&bad_room), Ok(vec![ToServer::Malformed]));
        let short_say = Writer::new().array(2).uint(17).uint(7).finish();
        let expected = ToServer::Numbered { n: 7, body: Numbered::Malformed };
        assert_eq!(ToServer::parse_all(&short_say), Ok(vec![expected]));
        let whisper = Writer::new().array(4).uint(18).uint(8).bytes(&[0; 32]).bytes(b"box").finish();
        let expected = ToServer::Numbered { n: 8, body: Numbered::Unsupported };
        assert_eq!(ToServer::parse_all(&whisper), Ok(vec![expected]));
        let unknown = Writer::new().array(1).uint(99).finish();
        assert_eq!(ToServer::parse_all(&unknown), Ok(vec![ToServer::Unsupported]));
        assert_eq!(ToClient::parse_all(&unknown), Ok(vec![ToClient::Unknown]));
        let bad_accepted = Writer::new().array(2).uint(33).text("1").finish();
        assert_eq!(ToClient::parse_all(&bad_accepted), Err(BadServer::Malformed(33)));
    }

    #[test]
    fn fields_that_a_later_version_adds_are_passed_over() {
        let ping = Writer::new().array(3).uint(24).text("later").array(0).finish();
        assert_eq!(ToServer::parse_all(&ping), Ok(vec![ToServer::Ping]));
        let accepted = Writer::new().array(3).uint(33).uint(5).bytes(b"later").finish();
        assert_eq!(ToClient::parse_all(&accepted), Ok(vec![ToClient::Accepted(5)]));
    }

    mod properties {
        use super::*;
        use proptest::prelude::*;

        fn room() -> impl Strategy<Value = RoomName> {
            "[a-z0-9]{1,32}".prop_map(|name| RoomName::parse(&format!("#{name}")).unwrap())
        }

        fn session() -> impl Strategy<Value = Session> {
            any::<[u8; 32]>().prop_map(Session)
        }

        fn bytes() -> impl Strategy<Value = Vec<u8>> {
            proptest::collection::vec(any::<u8>(), 0..400)
        }

        fn to_server() -> impl Strategy<Value = ToServer> {
            prop_oneof![
                (room(), ".{0,20}", any::<u64>()).prop_map(|(room, password, cursor)| ToServer::Join {
                    room,
                    password,
                    cursor
                }),
                (1u64.., room(), any::<u64>(), bytes()).prop_map(|(n, room, change, envelope)| ToServer::Numbered {
                    n,
                    body: Numbered::Say { room, change, envelope }
                }),
                any::<u64>().prop_map(ToServer::Seen),
                room().prop_map(ToServer::Leave),
                Just(ToServer::Ping),
            ]
        }

        fn event() -> impl Strategy<Value = Event> {
            prop_oneof![
                (room(), session(), any::<u64>(), bytes())
                    .prop_map(|(room, session, change, envelope)| { Event::Said { room, session, change, envelope } }),
                (room(), session(), any::<u64>()).prop_map(|(room, session, change)| Event::Joined {
                    room,
                    session,
                    change
                }),
                (room(), session(), any::<u64>()).prop_map(|(room, session, change)| Event::Left {
                    room,
                    session,
                    change,
                    reason: LeftReason::Lost
                }),
                ".{0,40}".prop_map(Event::Notice),
            ]
        }

        fn to_client() -> impl Strategy<Value = ToClient> {
            let numbers = any::<(u64, u64, u64, u64, bool)>();
            prop_oneof![
                (room(), proptest::collection::vec(session(), 0..40), numbers, ".{0,40}").prop_map(
                    |(room, sessions, (change, cursor, at, longest_text, resumed), notice)| {
                        ToClient::Welcome(Welcome { room, sessions, change, resumed, cursor, at, notice, longest_text })
                    }
                ),
                any::<u64>().prop_map(ToClient::Accepted),
                (any::<u64>(), any::<u64>(), event()).prop_map(|(cursor, at, event)| ToClient::Event {
                    cursor,
                    at,
                    event
                }),
                (bytes(), bytes(), bytes()).prop_map(|(spki, credential, signature)| ToClient::Person(Person {
                    spki,
                    credential,
                    signature
                })),
                (".{0,40}", any::<u64>()).prop_map(|(text, n)| ToClient::Error { code: ErrorCode::Wait, text, n }),
                Just(ToClient::Pong),
                Just(ToClient::Bye(ByeReason::Slow)),
            ]
        }

        proptest! {
            #[test]
            fn what_is_written_is_read_and_nothing_else_is(message in to_server(), at in any::<usize>(), bit in 0..8u32) {
                let bytes = message.encode();
                prop_assert_eq!(ToServer::parse_all(&bytes), Ok(vec![message.clone()]));
                let mut bent = bytes.clone();
                let at = at % bent.len();
                bent[at] ^= 1 << bit;
                prop_assert_ne!(ToServer::parse_all(&bent), Ok(vec![message]));
                prop_assert!(ToServer::parse_all(&bytes[..bytes.len() - 1]).is_err());
            }

            #[test]
            fn what_a_server_writes_is_read(message in to_client()) {
                prop_assert_eq!(ToClient::parse_all(&message.encode()), Ok(vec![message]));
            }

            #[test]
            fn no_bytes_make_the_parsers_panic(bytes in bytes()) {
                let _ = ToServer::parse_all(&bytes);
                let _ = ToClient::parse_all(&bytes);
            }
        }
    }
}
