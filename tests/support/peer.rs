//! Somebody who speaks the protocol from inside a test: as well as it has to, or as badly as it wants to.

use std::collections::{HashMap, VecDeque};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cfb_chat::chat::message::{ByeReason, ErrorCode, Event, Numbered, Session, ToClient, ToServer};
use cfb_chat::chat::name::RoomName;
use cfb_chat::secure::credential::{OwnCredential, UnixSeconds};
use cfb_chat::secure::handshake::{Established, Failed, client};
use cfb_chat::secure::identity::Identity;
use cfb_chat::secure::record::{Opener, Sealer};

use super::PATIENCE;
use super::folder::{USER_A, USER_B, identity};
use super::wire::{Came, Refusal, Wire};

/// The users whose keys the tests have.
pub static ANNA: LazyLock<Identity> = LazyLock::new(|| identity(USER_A));
pub static BORIS: LazyLock<Identity> = LazyLock::new(|| identity(USER_B));

/// Somebody at the other end of a channel.
pub struct Peer {
    wire: Wire,
    sealer: Sealer,
    opener: Opener,
    heard: VecDeque<ToClient>,
    /// Who it is in this session.
    pub session: Session,
    /// The last change of each room it is in.
    changes: HashMap<RoomName, u64>,
    /// The number of its last message.
    pub n: u64,
}

/// What one hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    Message(Box<ToClient>),
    /// The end of the connection.
    End,
    /// Nothing, in the time there was.
    Nothing,
}

/// The answer to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Accepted(u64),
    Error(ErrorCode, u64),
}

impl Peer {
    /// Comes into the lobby.
    pub fn join(port: u16, who: &Identity, name: &str) -> Self {
        let mut peer = Self::enter(port, who, name);
        peer.ask_to_join("#lobby");
        peer.is_welcomed();
        peer
    }

    /// Goes as far as the handshake; the Join is yet to be sent.
    pub fn enter(port: u16, who: &Identity, name: &str) -> Self {
        Self::enter_as(Wire::connect(port), who, &credential(who, name)).expect("the server takes them")
    }

    /// The handshake on a connection, with a credential.
    pub fn enter_as(mut wire: Wire, who: &Identity, own: &OwnCredential) -> Result<Self, Refusal> {
        let (proved, record) = wire.try_until_proof()?.prove(own);
        wire.send(&record);
        Self::after_proof(wire, who, own, proved)
    }

    /// What comes of a record 4 that has been sent, whatever was in it.
    pub fn after_proof(
        mut wire: Wire,
        who: &Identity,
        own: &OwnCredential,
        proved: client::Proved,
    ) -> Result<Self, Refusal> {
        let Some(mut body) = wire.next_frame() else {
            return Err(Refusal::Silent);
        };
        match proved.establish(&mut rand::rng(), &mut body, who) {
            Ok(Established { sealer, opener, .. }) => {
                let session = Session(own.session());
                Ok(Self { wire, sealer, opener, heard: VecDeque::new(), session, changes: HashMap::new(), n: 0 })
            }
            Err(Failed::Refused(code)) => {
                wire.ends();
                Err(Refusal::Sealed(code))
            }
            Err(error) => panic!("neither a secret nor a refusal: {error}"),
        }
    }

    /// Sends any text as a record.
    pub fn record(&mut self, text: &[u8]) {
        let frame = self.sealed(text);
        self.wire.send(&frame);
    }

    /// The next record, with its length, not sent.
    pub fn sealed(&mut self, text: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        self.sealer.seal(text, &mut frame);
        frame
    }

    /// Sends any bytes.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.wire.send(bytes);
    }

    /// Has nothing more to send.
    pub fn end_sending(&mut self) {
        self.wire.end_sending();
    }

    pub fn send(&mut self, message: &ToServer) {
        self.record(&message.encode());
    }

    pub fn ask_to_join(&mut self, room: &str) {
        self.send(&join(room));
    }

    /// Says something in the lobby.
    pub fn say(&mut self, text: &str) {
        let say = self.saying("#lobby", text.as_bytes());
        self.send(&say);
    }

    /// The next message, as it should be: something to say in a room.
    pub fn saying(&mut self, room: &str, envelope: &[u8]) -> ToServer {
        self.n += 1;
        let room = self::room(room);
        let change = self.changes.get(&room).copied().unwrap_or_default();
        ToServer::Numbered { n: self.n, body: Numbered::Say { room, change, envelope: envelope.to_vec() } }
    }

    /// The last change of the lobby.
    pub fn change(&self) -> u64 {
        self.changes.get(&RoomName::lobby()).copied().unwrap_or_default()
    }

    pub fn leave(&mut self, room: &str) {
        self.send(&ToServer::Leave(self::room(room)));
    }

    /// Leaves its one room, and hears goodbye.
    pub fn leaves_for_good(mut self) {
        self.leave("#lobby");
        self.is_told_bye(ByeReason::Left);
        self.ends();
    }

    /// The next thing it hears, within this time. Its account of the rooms is kept.
    pub fn hear_within(&mut self, patience: Duration) -> Heard {
        while self.heard.is_empty() {
            match self.wire.next_within(patience) {
                Came::End => return Heard::End,
                Came::Nothing => return Heard::Nothing,
                Came::Frame(mut body) => {
                    let text = self.opener.open(&mut body).expect("the server's records open");
                    self.heard.extend(ToClient::parse_all(text).expect("the server's messages can be read"));
                }
            }
        }
        let message = self.heard.pop_front().expect("not empty");
        match &message {
            ToClient::Welcome(welcome) => drop(self.changes.insert(welcome.room.clone(), welcome.change)),
            ToClient::Event {
                event: Event::Joined { room, change, .. } | Event::Left { room, change, .. }, ..
            } => {
                let last = self.changes.insert(room.clone(), *change);
                assert_eq!(last.map(|last| last + 1), Some(*change), "each change is the next");
            }
            _ => {}
        }
        Heard::Message(Box::new(message))
    }

    /// The next message; `None` at the end of the connection.
    pub fn hear(&mut self) -> Option<ToClient> {
        match self.hear_within(PATIENCE) {
            Heard::Message(message) => Some(*message),
            Heard::End => None,
            Heard::Nothing => panic!("heard nothing in {PATIENCE:?}"),
        }
    }

    /// The first thing that is what is waited for; what comes before it is passed over.
    pub fn wait_for<T>(&mut self, wanted: impl Fn(&ToClient) -> Option<T>) -> T {
        loop {
            let message = self.hear().expect("the connection ended before what was waited for");
            if let Some(found) = wanted(&message) {
                return found;
            }
        }
    }

    pub fn is_welcomed(&mut self) {
        self.wait_for(|message| matches!(message, ToClient::Welcome(_)).then_some(()));
    }

    /// The next answer to a message.
    pub fn is_answered(&mut self) -> Answer {
        self.wait_for(|message| match message {
            ToClient::Accepted(n) => Some(Answer::Accepted(*n)),
            ToClient::Error { code, n, .. } => Some(Answer::Error(*code, *n)),
            _ => None,
        })
    }

    /// The next thing that somebody says: who, and what.
    pub fn hears_said(&mut self) -> (Session, String) {
        self.wait_for(|message| match message {
            ToClient::Event { event: Event::Said { session, envelope, .. }, .. } => {
                Some((*session, String::from_utf8_lossy(envelope).into_owned()))
            }
            _ => None,
        })
    }

    /// The next event of somebody coming or going.
    pub fn sees_change(&mut self) -> Event {
        self.wait_for(|message| match message {
            ToClient::Event { event: event @ (Event::Joined { .. } | Event::Left { .. }), .. } => Some(event.clone()),
            _ => None,
        })
    }

    pub fn is_told_bye(&mut self, why: ByeReason) {
        let told = self.wait_for(|message| if let ToClient::Bye(why) = message { Some(*why) } else { None });
        assert_eq!(told, why);
    }

    /// Nothing more comes but the end.
    pub fn ends(&mut self) {
        assert_eq!(self.hear(), None, "the connection should have ended");
    }

    /// Everything that comes until the end.
    pub fn hears_out(&mut self) -> Vec<ToClient> {
        std::iter::from_fn(|| self.hear()).collect()
    }

    /// Nothing more comes but events, and the end: what it sent last is not answered.
    pub fn ends_unanswered(&mut self) {
        let heard = self.hears_out();
        assert!(heard.iter().all(|message| matches!(message, ToClient::Event { .. })), "{heard:?}");
    }

    /// Is gone: the other end gets a reset.
    pub fn reset(self) {
        self.wire.reset();
    }

    /// Takes in about this many bytes while nobody reads.
    pub fn hold(&self, bytes: usize) {
        self.wire.hold(bytes);
    }
}

/// A credential for now.
pub fn credential(who: &Identity, name: &str) -> OwnCredential {
    OwnCredential::for_user(&mut rand::rng(), who, name, now())
}

pub fn now() -> UnixSeconds {
    UnixSeconds(SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970").as_secs())
}

pub fn join(room: &str) -> ToServer {
    ToServer::Join { room: self::room(room), password: String::new(), cursor: 0 }
}

pub fn room(name: &str) -> RoomName {
    RoomName::parse(name).expect("a room's name")
}

/// The server goes on: two who were not there before come in, one hears the other, and they leave.
pub fn still_serves(port: u16) {
    static VISITS: AtomicU32 = AtomicU32::new(100);
    let visit = VISITS.fetch_add(1, Ordering::Relaxed);
    let mut listener = Peer::join(port, &BORIS, &format!("listener-{visit}"));
    let mut speaker = Peer::join(port, &ANNA, &format!("speaker-{visit}"));
    let text = format!("still here {visit}");
    speaker.say(&text);
    assert_eq!(speaker.is_answered(), Answer::Accepted(1));
    let heard = std::iter::repeat_with(|| listener.hears_said()).find(|(who, _)| *who == speaker.session);
    assert_eq!(heard.map(|(_, said)| said), Some(text));
    speaker.leaves_for_good();
    listener.leaves_for_good();
}
