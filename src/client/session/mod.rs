//! One session's state: what each message of the server changes, and what of it is shown. PROTOCOL.md §6, §7.
//!
//! ```text
//! lines ──▶ outgoing ──▶ ToServer ──▶ …  ──▶ ToClient ──▶ receive ──▶ incoming ──▶ UiEvent
//! ```
//!
//! A session outlives its connections: [`ClientSession::lost`], and then [`ClientSession::resume`] or [`ClientSession::start_new_session`]. It is in
//! one room at least, from the first Welcome on; what is asked without a number waits for its answer in one queue.
//!
//! Invariant: no socket and no clock; the only files are [`Files`], and what they admit is on disk before it is used.
//! A server that breaks the protocol ends the session, and is told of.

mod actions;
mod incoming;
mod key_change;
mod outgoing;
mod read_marker;
mod requests;
mod resume;
mod rooms;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use self::outgoing::OutboxItem;
pub use self::outgoing::SendError;
use self::read_marker::ReadMarker;
use self::requests::{JoinReason, Pending, Request, Requests};
use self::rooms::{JoinedRooms, present};
use super::notices;
use super::notices::Listed;
use super::outbox::{Outbox, UnexpectedAckError};
use super::peers::{PeerTable, PeerTableError, PresentSession};
use super::roster::{Roster, RosterError};
use super::ui_event::{UiEvent, lines};
use crate::chat::message::{
    ByeReason, ErrorCode, Numbered, ServerMessageError, SessionId as Id, ToClient, ToServer, Welcome,
};
use crate::chat::name::{MAX_TEXT, Name, RoomName};
use crate::chat::{Now, SessionNumber};
use crate::secure::credential::{OwnCredential, UnixSeconds};
use crate::secure::identity::{Fingerprint, Identity};
use crate::store::known_users::KnownUsers;
use crate::store::letters_seen::LettersSeen;
use crate::store::line_file::LineFileError;

/// The local user in this session, and the server.
pub struct LocalUser {
    /// One's name.
    pub name: Name,
    /// One's identity: what opens letters, and writes them.
    pub identity: Arc<Identity>,
    /// One's credential: what opens boxes, and signs what is said.
    pub credential: Arc<OwnCredential>,
    /// The server's fingerprint.
    pub server: Fingerprint,
    /// True to share sender keys with verified users only.
    pub verified_only: bool,
}

impl LocalUser {
    fn session(&self) -> Id {
        Id(self.credential.session())
    }

    /// The peers of a new session.
    fn nobody_else(&self) -> PeerTable {
        PeerTable::new(self.session(), &self.name, self.fingerprint(), self.verified_only)
    }

    /// Returns the local user's name.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.identity.public().fingerprint()
    }
}

/// Files beyond the session.
#[derive(Debug)]
pub struct Files {
    /// Pins of users.
    pub users: KnownUsers,
    /// Which letters have been read.
    pub letters: LettersSeen,
}

/// A session, from its Join on; and the one that takes its place, if the server has forgotten it.
pub struct ClientSession {
    own: LocalUser,
    id: Id,
    standing: JoinState,
    peers: PeerTable,
    rooms: JoinedRooms,
    /// One is in for the first time, and has yet to look who is there.
    looks_around: Option<Vec<Id>>,
    cursor: u64,
    longest_text: usize,
    /// Where the session before this one had come to.
    left_off: u64,
    outbox: Outbox<OutboxItem, Numbered>,
    /// Messages that go first on a new connection.
    sent_again: VecDeque<ToServer>,
    requests: Requests,
    /// Boxes of peers that the server announces when it readmits this client to a room.
    unopened: Vec<UnopenedText>,
    /// On this connection there may still come what was missed: until the Pong behind it has.
    catching_up: bool,
    /// The room one was in last is not to be had, in a new session: the lobby may be.
    shut_out: bool,
    seen: ReadMarker,
    /// Number of letters read in this session, by author.
    letters_read: HashMap<Fingerprint, u32>,
    /// The latest time that the server has told, in milliseconds since 1970: by its own account it goes forward only.
    latest: u64,
    /// The peer who last whispered to the local user.
    last_whisper: Option<Name>,
    pings: u32,
    leaving: bool,
}

/// State of the join.
enum JoinState {
    /// A new session asks to join here, with the peers announced so far; they replace the peer table when the join succeeds.
    Joining(RoomName, Box<PeerTable>),
    /// In a room, or in several.
    Inside,
    /// Without a connection.
    Lost,
    /// On another connection, and yet to be told that the session goes on, by this room's Welcome.
    Resuming(RoomName),
}

/// A box for this client, from a session that the server is yet to announce.
struct UnopenedText {
    from: SessionNumber,
    boxed: Vec<u8>,
    at: u64,
    is_whisper: bool,
}

/// Result of a message.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// The session goes on.
    Goes,
    /// One is in the room, in a new session: if it is the first, [`ClientSession::look_around`] is due.
    Welcomed,
    /// The session goes on; what one has missed follows.
    Resumed,
    /// The server has answered a Ping: all that it had to say before has come.
    Pong,
    /// The server does not let one in.
    Refused(ErrorCode, String),
    /// The server does not let one into another room, for which the user has asked.
    NotInThere,
    /// The server ends the session.
    Bye(ByeReason),
}

/// The server broke the protocol.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// Its messages.
    #[error(transparent)]
    Message(#[from] ServerMessageError),
    /// Its account of who is here.
    #[error(transparent)]
    Roster(#[from] RosterError),
    /// Its account of people.
    #[error(transparent)]
    People(#[from] PeerTableError),
    /// Its answers.
    #[error(transparent)]
    Answer(#[from] UnexpectedAckError),
    /// Its events' numbers.
    #[error("event {0} came after event {1}")]
    Cursor(u64, u64),
    /// Another message that was not due.
    #[error("{0} that was not due")]
    Unasked(&'static str),
}

impl ClientSession {
    /// Begins one, with the message that asks to be let in.
    #[must_use]
    pub fn join(own: LocalUser, room: RoomName) -> (Self, ToServer) {
        let id = own.session();
        let join = asks_to_join(room.clone(), 0);
        let session = Self {
            standing: JoinState::Joining(room.clone(), Box::new(own.nobody_else())),
            peers: own.nobody_else(),
            own,
            id,
            rooms: JoinedRooms::beginning_with(room),
            looks_around: None,
            cursor: 0,
            left_off: 0,
            sent_again: VecDeque::new(),
            longest_text: MAX_TEXT,
            outbox: Outbox::new(),
            requests: Requests::default(),
            unopened: Vec::new(),
            catching_up: false,
            shut_out: false,
            seen: ReadMarker::default(),
            letters_read: HashMap::new(),
            latest: 0,
            last_whisper: None,
            pings: 0,
            leaving: false,
        };
        (session, join)
    }

    /// Says that one is there.
    pub fn ping(&mut self) -> ToServer {
        self.pings += 1;
        ToServer::Ping
    }

    /// Leaves all rooms.
    pub fn leave(&mut self) -> Vec<ToServer> {
        self.leaving = true;
        let rooms: Vec<RoomName> = self.rooms.names().filter(|room| self.rooms.get(room).is_some()).cloned().collect();
        let requests = rooms.iter().map(|room| Request::Leave { room: room.clone(), again: false });
        self.requests.sent(requests);
        rooms.into_iter().map(ToServer::Leave).collect()
    }

    /// The local user, and the server.
    #[must_use]
    pub fn own(&self) -> &LocalUser {
        &self.own
    }

    /// Returns the members of a joined room, by name.
    #[must_use]
    pub fn list(&self, room: &RoomName) -> Vec<Listed> {
        let members = self.rooms.get(room).into_iter().flat_map(|inside| inside.roster.members());
        let listed = |session: &Id| {
            let away = self.rooms.away.contains(session);
            let (name, mark, fingerprint) = match self.peers.get(*session) {
                _ if *session == self.id => (self.own.name.to_string(), "you", Some(self.own.fingerprint())),
                Some(PresentSession { name, keys, standing }) => {
                    (name.to_string(), standing.word(), Some(keys.fingerprint))
                }
                None => (self.peers.last_name(*session), "refused", None),
            };
            Listed { name, mark, fingerprint, away }
        };
        let mut all: Vec<Listed> = members.map(listed).collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }

    /// A peer who is present or known, with this name or with one that looks like it.
    ///
    /// # Errors
    /// [`SendError`] if there is no such peer, or a rejected peer has that name.
    pub fn whois(&self, name: &Name, files: &Files) -> Result<(Name, Fingerprint), SendError> {
        let (name, fingerprint) = match self.peers.find(name) {
            Some((_, present)) => (present.name, present.keys.fingerprint),
            None if self.own.name.looks_like(name) => return Err(SendError::Oneself),
            None if self.peers.shuns(name) => return Err(SendError::Shunned(name.clone())),
            None => {
                // Of several devices the one that was accepted last.
                let known = files.users.find(name).and_then(|(name, keys)| Some((name, keys.last()?.fingerprint)));
                known.ok_or_else(|| SendError::Nobody(name.clone()))?
            }
        };
        Ok((name.clone(), fingerprint))
    }

    /// Marks a peer as verified. Returns true if the mark is kept.
    ///
    /// # Errors
    /// [`LineFileError`] if that could not be kept.
    pub fn verify(&mut self, name: &Name, fingerprint: Fingerprint, files: &mut Files) -> Result<bool, LineFileError> {
        let marked = files.users.verify(name, fingerprint)?;
        if marked {
            self.peers.verify(name, fingerprint);
            self.rooms.all_mut().for_each(|inside| inside.sender_key.mark_incomplete());
        }
        Ok(marked)
    }

    /// Takes in what the server sent; what is to be shown goes to `shown`.
    ///
    /// # Errors
    /// [`ProtocolError`] if the server breaks the protocol.
    pub fn receive(
        &mut self,
        message: ToClient,
        now: Now,
        files: &mut Files,
        shown: &mut Vec<UiEvent>,
    ) -> Result<Progress, ProtocolError> {
        self.look_around(now, files, shown)?;
        if matches!(self.standing, JoinState::Resuming(_)) && !resume::may_come_first(&message) {
            return Err(ProtocolError::Unasked("something before the Welcome"));
        }
        match message {
            ToClient::Welcome(welcome) => return self.welcome(&welcome, now, files, shown),
            ToClient::Accepted(n) => self.accepted(n, now, shown)?,
            ToClient::Event { cursor, at, event } => {
                self.grow(cursor)?;
                self.happened(at, event, now, files, shown)?;
            }
            ToClient::Person(person) => {
                let now = UnixSeconds(now.at / 1_000);
                if let JoinState::Joining(_, peers) = &mut self.standing {
                    // Of a crowd all are checked together.
                    peers.meet(person, now)?;
                } else {
                    self.peers.meet(person, now)?;
                    self.peers.check(now);
                }
            }
            ToClient::Error { code, text, n: 0 } => return self.refused(code, text, now, shown),
            ToClient::Error { code, n, .. } => self.not_taken(n, code, now.tick, shown)?,
            ToClient::Found { name, spki } => self.found(&name, &spki, shown)?,
            ToClient::Pong => {
                self.pings = self.pings.checked_sub(1).ok_or(ProtocolError::Unasked("a Pong"))?;
                self.catching_up = false;
                return Ok(Progress::Pong);
            }
            ToClient::Bye(reason) => return Ok(Progress::Bye(reason)),
            ToClient::Answer(text) => self.answered(&text, shown)?,
            ToClient::Unknown => {}
        }
        Ok(Progress::Goes)
    }

    /// Verifies the members at the first join: credentials and pins. In a large room that takes
    /// a while, in which the user can already type. No other message is handled before.
    ///
    /// # Errors
    /// [`ProtocolError`] if the server's account of them does not add up.
    pub fn look_around(&mut self, now: Now, files: &mut Files, shown: &mut Vec<UiEvent>) -> Result<(), ProtocolError> {
        if let Some(others) = self.looks_around.take() {
            self.on_peers_joined(&others, now, files, shown)?;
            self.tell_unread(&others, shown);
        }
        Ok(())
    }

    fn welcome(
        &mut self,
        welcome: &Welcome,
        now: Now,
        files: &mut Files,
        shown: &mut Vec<UiEvent>,
    ) -> Result<Progress, ProtocolError> {
        match std::mem::replace(&mut self.standing, JoinState::Inside) {
            JoinState::Joining(room, peers) if room == welcome.room && !welcome.resumed => {
                self.first_welcome(welcome, *peers, now, files, shown)?;
                Ok(Progress::Welcomed)
            }
            JoinState::Resuming(room) if room == welcome.room && self.is_resumed_by(welcome) => Ok(self.goes_on(now)),
            JoinState::Inside if !welcome.resumed => {
                let is_this = |room: &RoomName, limbo: bool| *room == welcome.room && !limbo;
                let asked = self
                    .requests
                    .answered(|request| matches!(request, Request::Join { room, limbo, .. } if is_this(room, *limbo)));
                let Some(Request::Join { why, .. }) = asked else { return Err(ProtocolError::Unasked("a Welcome")) };
                self.grow(welcome.cursor)?;
                self.peers.set_own_number(welcome.own)?;
                let roster = Roster::new(welcome, self.id, self.own.server, &self.peers)?;
                self.latest = self.latest.max(welcome.at);
                self.enters(welcome, roster, Some(why), now, files, shown)?;
                Ok(Progress::Goes)
            }
            _ => Err(ProtocolError::Unasked("a Welcome")),
        }
    }

    /// A new session is in its first room; it comes back to the others that the one before it was in.
    fn first_welcome(
        &mut self,
        welcome: &Welcome,
        mut peers: PeerTable,
        now: Now,
        files: &mut Files,
        shown: &mut Vec<UiEvent>,
    ) -> Result<(), ProtocolError> {
        self.grow(welcome.cursor)?;
        let id = self.own.session();
        peers.set_own_number(welcome.own)?;
        peers.session_numbers.settle();
        let roster = Roster::new(welcome, id, self.own.server, &peers)?;
        self.rooms.start_new_session(&self.peers);
        (self.id, self.peers) = (id, peers);
        self.latest = welcome.at;
        self.shut_out = false;
        self.requests.keep_waiting(
            |request| !matches!(request, Request::Join { room, why: JoinReason::New, .. } if *room == welcome.room),
        );
        self.enters(welcome, roster, None, now, files, shown)?;
        let others: Vec<RoomName> = self.rooms.names().filter(|room| **room != welcome.room).cloned().collect();
        for room in others.into_iter().rev() {
            self.requests.push_first(Request::Join { room, why: JoinReason::Again, limbo: false });
        }
        Ok(())
    }

    /// One is in a room: as the first of a session, or because one asked for it.
    fn enters(
        &mut self,
        welcome: &Welcome,
        roster: Roster,
        why: Option<JoinReason>,
        now: Now,
        files: &mut Files,
        shown: &mut Vec<UiEvent>,
    ) -> Result<(), ProtocolError> {
        let others: Vec<Id> = roster.members().iter().filter(|member| **member != self.id).copied().collect();
        let room = &welcome.room;
        self.longest_text = usize::try_from(welcome.longest_text).unwrap_or(MAX_TEXT).min(MAX_TEXT);
        let unmet: Vec<Id> = others.iter().filter(|session| !self.rooms.have(**session)).copied().collect();
        let before = self.rooms.enter(room, roster, welcome.notice.clone());
        if why == Some(JoinReason::New) {
            self.rooms.set_focus(room);
        }
        let first = shown.len();
        let is_first = before.is_none() && why.is_none() && self.left_off == 0;
        if !is_first {
            self.on_peers_joined(&unmet, now, files, shown)?;
        }
        let known_notice = before.as_ref().map(|before| before.notice.clone()).unwrap_or_default();
        if let Some(before) = before {
            let changes = self.changes_since(room, &before.present);
            let is_new = |id: &Id| self.peers.get(*id).is_some_and(|who| !before.present.contains(&who.named()));
            let new: Vec<Id> = others.into_iter().filter(is_new).collect();
            shown.splice(first..first, changes);
            self.tell_unread(&new, shown);
        } else if is_first {
            shown.push(UiEvent::Step("Initial set up had been completed!"));
            shown.push(UiEvent::Step("Now you can start to exchange messages"));
            self.looks_around = Some(unmet);
        } else {
            self.tell_unread(&unmet, shown);
            shown.push(UiEvent::Answer(notices::you_are_in(room, &self.list(room))));
        }
        if welcome.notice != known_notice {
            // The requester is told about the room; users on a terminal about the server.
            let how = if why.is_some() { UiEvent::Remark } else { UiEvent::Greeting };
            shown.extend(lines(&welcome.notice).map(how));
        }
        self.open_what_waited(shown);
        Ok(())
    }

    /// Some have come in, and the user is told what there is to tell of them.
    fn on_peers_joined(
        &mut self,
        sessions: &[Id],
        now: Now,
        files: &mut Files,
        shown: &mut Vec<UiEvent>,
    ) -> Result<(), PeerTableError> {
        let now = UnixSeconds(now.at / 1_000);
        let arrivals = self.peers.on_peers_joined(sessions, self.rooms.count(), now, &mut files.users)?;
        shown.extend(arrivals.shunned.into_iter().map(UiEvent::Remark));
        shown.extend(notices::first_contact(&arrivals.new, files.users.path()).map(UiEvent::Remark));
        Ok(())
    }

    /// Reports which of these members cannot read the local user's messages.
    fn tell_unread(&self, sessions: &[Id], shown: &mut Vec<UiEvent>) {
        let present = sessions.iter().filter_map(|session| self.peers.get(*session));
        let unread = present.filter(|present| !self.peers.trusts(present.standing));
        shown.extend(unread.map(|present| UiEvent::Remark(notices::not_verified(present.name))));
    }

    fn grow(&mut self, cursor: u64) -> Result<(), ProtocolError> {
        if cursor <= self.cursor {
            return Err(ProtocolError::Cursor(cursor, self.cursor));
        }
        self.cursor = cursor;
        self.peers.session_numbers.settle();
        Ok(())
    }

    /// Time of the next message that is not due now.
    #[must_use]
    pub fn due_at(&self) -> Option<Instant> {
        let said = if self.leaving { [None, None] } else { [self.outbox.due_at(), self.requests.due_at()] };
        let next = said.into_iter().chain([self.seen.due_at()]).flatten().min();
        next.filter(|_| self.may_speak())
    }
}

fn asks_to_join(room: RoomName, cursor: u64) -> ToServer {
    ToServer::Join { room, password: String::new(), cursor }
}

#[cfg(test)]
mod tests;
