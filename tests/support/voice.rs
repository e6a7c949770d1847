//! The end-to-end half of an honest peer. PROTOCOL.md §7: what it says is sealed and signed for who is there, and what it
//! hears is opened.
//!
//! It has no connection: it is told what a server says ([`Voice::take_in`]), and gives what is to be sent. It takes for
//! granted that all it sends is accepted, in order; a test in which that is not so sends by itself.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use cfb_chat::chat::SessionNumber;
use cfb_chat::chat::message::{Event, Numbered, Person, SessionId, ToClient, Welcome};
use cfb_chat::chat::name::RoomName;
use cfb_chat::secure::credential::{CredentialBundle, OwnCredential, Role, SessionKeys, VerifiedCredential};
use cfb_chat::secure::e2e::EndToEndError;
use cfb_chat::secure::e2e::body::{BodyKind, MessageBody};
use cfb_chat::secure::e2e::offline_message::{LetterError, SignedLetter};
use cfb_chat::secure::e2e::roster::RosterHash;
use cfb_chat::secure::e2e::sealed_box::{self, BoxCounters, OpenedBox, Purpose, SignedBox};
use cfb_chat::secure::e2e::sender_key::{InboundSenderKey, OutboundSenderKey, SenderKeyDistribution, SignedEnvelope};
use cfb_chat::secure::identity::{Fingerprint, Identity, PublicIdentity};
use cfb_chat::wire::codec::{Reader, Writer};

use super::peer::now;

/// So many boxes are the most that one Share takes.
const BOXES: usize = 128;

/// Somebody's session, as far as it concerns those at its two ends.
pub struct Voice {
    own: Arc<OwnCredential>,
    identity: &'static Identity,
    server: Fingerprint,
    people: HashMap<SessionId, Known>,
    /// Who has which number on this server, oneself too.
    sessions: HashMap<SessionNumber, SessionId>,
    rooms: HashMap<RoomName, Inside>,
    /// What was in each box with a key that has ever been for it.
    pub keys: Vec<Vec<u8>>,
}

/// Somebody else, by what their credential says.
struct Known {
    number: SessionNumber,
    name: String,
    keys: SessionKeys,
    boxes: BoxCounters,
}

/// A room that one is in.
struct Inside {
    change: u64,
    members: Vec<SessionId>,
    /// Who was there at each change since one came in.
    rosters: HashMap<u64, RosterHash>,
    key: Option<OutboundSenderKey>,
    /// The counter of the next text.
    counter: u64,
    /// Who has been sent the key.
    have: HashSet<SessionId>,
    readings: HashMap<SessionId, InboundSenderKey>,
}

/// What somebody said, and how many texts of theirs before it have not come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    pub said: MessageBody,
    pub missing: u64,
}

/// Why something that was said is not heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unheard {
    /// By somebody, or for a room, of which nobody has told.
    Unknown,
    /// For people among whom one was not.
    OtherPeople,
    /// A room's message, or a box.
    Refused(EndToEndError),
    /// A letter.
    BadLetter(LetterError),
}

impl From<EndToEndError> for Unheard {
    fn from(why: EndToEndError) -> Self {
        Self::Refused(why)
    }
}

impl From<LetterError> for Unheard {
    fn from(why: LetterError) -> Self {
        Self::BadLetter(why)
    }
}

impl Voice {
    pub fn new(identity: &'static Identity, own: Arc<OwnCredential>, server: Fingerprint) -> Self {
        Self {
            own,
            identity,
            server,
            people: HashMap::new(),
            sessions: HashMap::new(),
            rooms: HashMap::new(),
            keys: Vec::new(),
        }
    }

    pub fn session(&self) -> SessionId {
        SessionId(self.own.session())
    }

    /// The last change of a room; 0 if one is not in it.
    pub fn change(&self, room: &RoomName) -> u64 {
        self.rooms.get(room).map_or(0, |inside| inside.change)
    }

    /// Somebody with this name who is in a room with oneself.
    pub fn find(&self, name: &str) -> SessionNumber {
        let present = self.rooms.values().flat_map(|inside| &inside.members);
        let mut known = present.filter_map(|session| self.people.get(session));
        known.find(|known| known.name == name).unwrap_or_else(|| panic!("no {name} is here")).number
    }

    fn who(&self, number: SessionNumber) -> SessionId {
        *self.sessions.get(&number).unwrap_or_else(|| panic!("nobody was told of who has the number {}", number.0))
    }

    /// Takes in what a server says: who is who, who is where, whose key is which. What cannot be used is passed over.
    pub fn take_in(&mut self, message: &ToClient) {
        match message {
            ToClient::Person(person) => self.meet(person),
            ToClient::Welcome(welcome) => self.come_in(welcome),
            ToClient::Event { event, .. } => match event {
                Event::Joined { room, who: session, change } => self.joined(room, self.who(*session), *change),
                Event::Left { room, who: session, change, .. } => self.left(room, self.who(*session), *change),
                Event::Shared { who: session, boxed } => drop(self.take_key(*session, boxed)),
                _ => {}
            },
            _ => {}
        }
    }

    /// What has to be sent for something to be said in a room: one's key first, to all who lack it.
    pub fn say(&mut self, room: &RoomName, text: &str) -> Vec<Numbered> {
        self.say_as(room, BodyKind::Text, text)
    }

    pub fn say_as(&mut self, room: &RoomName, kind: BodyKind, text: &str) -> Vec<Numbered> {
        let me = self.session();
        let inside = self.rooms.get_mut(room).expect("one speaks in rooms that one is in");
        let counter = inside.counter;
        let key = inside.key.get_or_insert_with(|| OutboundSenderKey::new(&mut rand::rng(), counter));
        let shared = key.shared(room.as_str());
        let sealed = key.seal(&said(kind, text).pad());
        key.settle(&sealed);
        inside.counter = sealed.counter() + 1;
        let roster = inside.rosters[&inside.change];
        let envelope = sealed.sign(&self.own, self.server, room.as_str(), roster);
        let say = Numbered::Say { room: room.clone(), change: inside.change, envelope };
        let lacks = |member: &&SessionId| **member != me && !inside.have.contains(*member);
        let lacking: Vec<SessionId> = inside.members.iter().filter(lacks).copied().collect();
        inside.have.extend(&lacking);
        let boxes: Vec<(SessionNumber, Vec<u8>)> =
            lacking.into_iter().map(|to| self.seal_box(to, Purpose::Key, &shared)).collect();
        boxes.chunks(BOXES).map(|boxes| Numbered::Share(boxes.to_vec())).chain([say]).collect()
    }

    /// Something for one session alone.
    pub fn whisper(&mut self, to: SessionNumber, text: &str) -> Numbered {
        let to = self.who(to);
        let (to, boxed) = self.seal_box(to, Purpose::Whisper, &said(BodyKind::Text, text).pad());
        Numbered::Whisper { to, boxed }
    }

    /// What looks like a letter by oneself to whoever relays it, and cannot be opened: its text is there to be found.
    pub fn write_openly(&self, to: &PublicIdentity, text: &[u8]) -> Numbered {
        let own =
            VerifiedCredential::check(self.own.presented(), Role::User, now(), |_| true).expect("it is one's own");
        let head =
            Writer::new().array(4).text("").bytes(b"").bytes(self.own.presented().spki).text(own.name()).finish();
        let letter = Writer::new().array(2).value(&head).bytes(text).finish();
        Numbered::Letter { to: to.fingerprint().0, letter }
    }

    /// The text of such a letter.
    pub fn read_openly(letter: &[u8]) -> &[u8] {
        let mut reader = Reader::new(letter);
        let text = reader.array().and_then(|_| reader.value()).and_then(|_| reader.bytes());
        text.expect("it is one that was written openly")
    }

    /// Opens what somebody said, whispered or wrote. Each opens once.
    pub fn open(&mut self, event: &Event) -> Result<Heard, Unheard> {
        let (said, missing) = match event {
            Event::Said { room, who: session, change, envelope } => {
                let session = self.sessions.get(session).ok_or(Unheard::Unknown)?;
                let keys = &self.people.get(session).ok_or(Unheard::Unknown)?.keys;
                let inside = self.rooms.get_mut(room).ok_or(Unheard::Unknown)?;
                let roster = *inside.rosters.get(change).ok_or(Unheard::OtherPeople)?;
                let signed = SignedEnvelope::verify(envelope, keys, self.server, room.as_str(), roster)?;
                let opened = inside.readings.entry(*session).or_default().open(&signed)?;
                (MessageBody::unpad(&opened.padded)?, opened.missing)
            }
            Event::Whispered { who: session, boxed } => {
                let opened = self.open_box(*session, Purpose::Whisper, boxed)?;
                (MessageBody::unpad(&opened.text)?, opened.missing)
            }
            Event::Letter(letter) => {
                let own = self.identity.public().fingerprint();
                let signed = SignedLetter::verify(letter, own, self.server, millis())?;
                (signed.open(&mut rand::rng(), self.identity)?, 0)
            }
            other => panic!("{other:?} has no words in it"),
        };
        Ok(Heard { said, missing })
    }

    /// Takes in a key that somebody shares.
    pub fn take_key(&mut self, from: SessionNumber, boxed: &[u8]) -> Result<(), Unheard> {
        let opened = self.open_box(from, Purpose::Key, boxed)?;
        self.keys.push(opened.text.to_vec());
        let key = SenderKeyDistribution::parse(&opened.text)?;
        let mut rooms = self.rooms.iter_mut();
        let (_, inside) = rooms.find(|(room, _)| room.as_str() == key.room()).ok_or(Unheard::Unknown)?;
        inside.readings.entry(self.sessions[&from]).or_default().take(key)?;
        Ok(())
    }

    fn meet(&mut self, Person { member, spki, credential, signature }: &Person) {
        let presented = CredentialBundle { spki, credential, signature };
        self.sessions.insert(*member, SessionId(presented.session()));
        if let Ok(checked) = VerifiedCredential::check(presented, Role::User, now(), |_| true) {
            let (name, keys) = (checked.name().to_owned(), checked.session_keys());
            // One who is told of again goes on with the counts there are.
            self.people.entry(SessionId(keys.session)).or_insert(Known {
                number: *member,
                name,
                keys,
                boxes: BoxCounters::default(),
            });
        }
    }

    fn come_in(&mut self, Welcome { room, members, change, own, .. }: &Welcome) {
        self.sessions.insert(*own, self.session());
        let mut inside = Inside {
            change: *change,
            members: members.iter().map(|number| self.who(*number)).collect(),
            rosters: HashMap::new(),
            key: None,
            counter: 0,
            have: HashSet::new(),
            readings: HashMap::new(),
        };
        inside.changed(self.server, room, *change);
        self.rooms.insert(room.clone(), inside);
    }

    fn joined(&mut self, room: &RoomName, session: SessionId, change: u64) {
        if let Some(inside) = self.rooms.get_mut(room) {
            inside.members.push(session);
            inside.readings.insert(session, InboundSenderKey::from_the_first());
            inside.changed(self.server, room, change);
        }
    }

    fn left(&mut self, room: &RoomName, session: SessionId, change: u64) {
        if session == self.session() {
            self.rooms.remove(room);
        } else if let Some(inside) = self.rooms.get_mut(room) {
            inside.members.retain(|member| *member != session);
            if inside.have.contains(&session) {
                (inside.key, inside.have) = (None, HashSet::new());
            }
            if let Some(reading) = inside.readings.get_mut(&session) {
                reading.end();
            }
            inside.changed(self.server, room, change);
        }
    }

    fn seal_box(&mut self, to: SessionId, purpose: Purpose, text: &[u8]) -> (SessionNumber, Vec<u8>) {
        let Known { number, keys, boxes, .. } =
            self.people.get_mut(&to).expect("one seals to those of whom one was told");
        let boxed = sealed_box::seal(&mut rand::rng(), &self.own, keys, self.server, purpose, boxes.next_sent(), text);
        (*number, boxed.expect("a key that is one"))
    }

    fn open_box(&mut self, from: SessionNumber, purpose: Purpose, boxed: &[u8]) -> Result<OpenedBox, Unheard> {
        let from = self.sessions.get(&from).ok_or(Unheard::Unknown)?;
        let Known { keys, boxes, .. } = self.people.get_mut(from).ok_or(Unheard::Unknown)?;
        Ok(SignedBox::verify(boxed, &self.own, keys, self.server, purpose)?.open(&self.own, boxes)?)
    }
}

impl Inside {
    fn changed(&mut self, server: Fingerprint, room: &RoomName, change: u64) {
        self.change = change;
        self.members.sort_unstable();
        let members = self.members.iter().map(|SessionId(session)| session);
        self.rosters.insert(change, RosterHash::new(server, room.as_str(), change, members));
    }
}

/// Something that is said now.
fn said(kind: BodyKind, text: &str) -> MessageBody {
    MessageBody { sent_at: millis(), kind, text: text.to_owned() }
}

/// Milliseconds since 1970.
pub fn millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970");
    u64::try_from(since.as_millis()).expect("it is not so late yet")
}
