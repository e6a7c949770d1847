//! Somebody who speaks the protocol from inside a test: as well as it has to, or as badly as it wants to.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cfb_chat::chat::SessionNumber;
use cfb_chat::chat::message::{ByeReason, ErrorCode, Event, Numbered, ToClient, ToServer, Welcome};
use cfb_chat::chat::name::RoomName;
use cfb_chat::secure::credential::{OwnCredential, UnixSeconds};
use cfb_chat::secure::handshake::{ClientHandshakeError, Established, client};
use cfb_chat::secure::identity::Identity;
use cfb_chat::secure::record::{Opener, Sealer};

use super::PATIENCE;
use super::folder::{USER_A, USER_B, identity};
use super::voice::{self, Voice};
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
    /// The place of the last event it has heard.
    cursor: u64,
    /// Who it is in this session, to the server and to others; 0 until it is in a room.
    pub number: SessionNumber,
    /// What it says and hears from end to end, as one should.
    pub voice: Voice,
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
    pub fn join(port: u16, who: &'static Identity, name: &str) -> Self {
        let mut peer = Self::enter(port, who, name);
        peer.ask_to_join("#lobby");
        peer.is_welcomed();
        peer
    }

    /// Goes as far as the handshake; the Join is yet to be sent.
    pub fn enter(port: u16, who: &'static Identity, name: &str) -> Self {
        Self::enter_as(Wire::connect(port), who, &credential(who, name)).expect("the server takes them")
    }

    /// The handshake on a connection, with a credential.
    pub fn enter_as(mut wire: Wire, who: &'static Identity, own: &Arc<OwnCredential>) -> Result<Self, Refusal> {
        let (proved, record) = wire.try_until_proof()?.prove(own);
        wire.send(&record);
        Self::after_proof(wire, who, own, proved)
    }

    /// What comes of a record 4 that has been sent, whatever was in it.
    pub fn after_proof(
        mut wire: Wire,
        who: &'static Identity,
        own: &Arc<OwnCredential>,
        proved: client::Proved,
    ) -> Result<Self, Refusal> {
        let Some(mut body) = wire.next_frame() else {
            return Err(Refusal::Silent);
        };
        match proved.establish(&mut rand::rng(), &mut body, who) {
            Ok(Established { sealer, opener, peer, .. }) => {
                let voice = Voice::new(who, own.clone(), peer.credential().fingerprint());
                Ok(Self {
                    wire,
                    sealer,
                    opener,
                    heard: VecDeque::new(),
                    cursor: 0,
                    number: SessionNumber(0),
                    voice,
                    n: 0,
                })
            }
            Err(ClientHandshakeError::Refused(code)) => {
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

    /// Says something in the lobby, sealed and signed for all who are there. They are given its key first.
    pub fn say(&mut self, text: &str) {
        for body in self.voice.say(&RoomName::lobby(), text) {
            self.send_next(body);
        }
    }

    /// Says something in the lobby that only a server takes.
    pub fn say_raw(&mut self, envelope: &str) {
        let say = self.saying("#lobby", envelope.as_bytes());
        self.send(&say);
    }

    /// The next message, as far as a server looks into it: something to say in a room.
    pub fn saying(&mut self, room: &str, envelope: &[u8]) -> ToServer {
        let room = self::room(room);
        let change = self.voice.change(&room);
        self.next(Numbered::Say { room, change, envelope: envelope.to_vec() })
    }

    /// A message with the next number.
    pub fn next(&mut self, body: Numbered) -> ToServer {
        self.n += 1;
        ToServer::Numbered { n: self.n, body }
    }

    pub fn send_next(&mut self, body: Numbered) {
        let message = self.next(body);
        self.send(&message);
    }

    /// The last change of the lobby.
    pub fn change(&self) -> u64 {
        self.voice.change(&RoomName::lobby())
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

    /// The next thing it hears, within this time. Events and changes of rooms are what they must be.
    pub fn hear_within(&mut self, timeout: Duration) -> Heard {
        while self.heard.is_empty() {
            match self.wire.next_within(timeout) {
                Came::End => return Heard::End,
                Came::Nothing => return Heard::Nothing,
                Came::Frame(mut body) => {
                    let text = self.opener.open(&mut body).expect("the server's records open");
                    self.heard.extend(ToClient::parse_all(text).expect("the server's messages can be read"));
                }
            }
        }
        let message = self.heard.pop_front().expect("not empty");
        if let ToClient::Event { cursor, .. } | ToClient::Welcome(Welcome { cursor, .. }) = &message {
            assert!(*cursor > self.cursor, "event {cursor} after event {}", self.cursor);
            self.cursor = *cursor;
        }
        if let ToClient::Event {
            event: Event::Joined { room, change, .. } | Event::Left { room, change, .. }, ..
        } = &message
        {
            assert_eq!(self.voice.change(room) + 1, *change, "each change is the next");
        }
        if let ToClient::Welcome(welcome) = &message {
            self.number = welcome.own;
        }
        self.voice.take_in(&message);
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

    /// Everything that comes before the answer to a Ping.
    pub fn hears_until_pong(&mut self) -> Vec<ToClient> {
        self.send(&ToServer::Ping);
        std::iter::from_fn(|| self.hear().filter(|message| *message != ToClient::Pong)).collect()
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

    /// The next thing that somebody says: who, and what. It opens, and nothing of theirs is missing before it.
    pub fn hears_said(&mut self) -> (SessionNumber, String) {
        let event = self.hears_event(|event| matches!(event, Event::Said { .. }));
        self.open(&event)
    }

    /// The next event of a kind.
    pub fn hears_event(&mut self, wanted: impl Fn(&Event) -> bool) -> Event {
        self.wait_for(|message| match message {
            ToClient::Event { event, .. } if wanted(event) => Some(event.clone()),
            _ => None,
        })
    }

    fn open(&mut self, event: &Event) -> (SessionNumber, String) {
        let (Event::Said { who: session, .. } | Event::Whispered { who: session, .. }) = event else {
            panic!("{event:?} is by no session");
        };
        let voice::Heard { said, missing } = self.voice.open(event).expect("it opens");
        assert_eq!(missing, 0, "missing before {said:?}");
        (*session, said.text)
    }

    /// The next thing that somebody says, as the server relays it: who, and what.
    pub fn hears_raw(&mut self) -> (SessionNumber, String) {
        self.wait_for(|message| match message {
            ToClient::Event { event: Event::Said { who: session, envelope, .. }, .. } => {
                Some((*session, String::from_utf8_lossy(envelope).into_owned()))
            }
            _ => None,
        })
    }

    /// The next event of somebody coming or going.
    pub fn sees_change(&mut self) -> Event {
        self.hears_event(|event| matches!(event, Event::Joined { .. } | Event::Left { .. }))
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
pub fn credential(who: &Identity, name: &str) -> Arc<OwnCredential> {
    Arc::new(OwnCredential::for_user(&mut rand::rng(), who, name, now()))
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
    speaker.say_raw(&text);
    assert_eq!(speaker.is_answered(), Answer::Accepted(1));
    let heard = std::iter::repeat_with(|| listener.hears_raw()).find(|(who, _)| *who == speaker.number);
    assert_eq!(heard.map(|(_, said)| said), Some(text));
    speaker.leaves_for_good();
    listener.leaves_for_good();
}
