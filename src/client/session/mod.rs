//! One session's state: what each message of the server changes, and what of it is shown. PROTOCOL.md §6, §7.
//!
//! ```text
//! lines ──▶ outgoing ──▶ ToServer ──▶ …  ──▶ ToClient ──▶ receive ──▶ incoming ──▶ Shown
//! ```
//!
//! A session outlives its connections: [`Session::lost`], and then [`Session::resume`] or [`Session::begin_anew`]. It is in
//! one room at least, from the first Welcome on; what is asked without a number waits for its answer in one queue.
//!
//! Invariant: no socket and no clock; the only files are [`Files`], and what they admit is on disk before it is used.
//! A server that breaks the protocol ends the session, and is told of.

mod accepting;
mod incoming;
mod outgoing;
mod requests;
mod returning;
mod rooms;
mod seen;
mod wishes;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use self::outgoing::Item;
pub use self::outgoing::NotSaid;
use self::requests::{Pending, Request, Requests, Wish};
use self::rooms::{Rooms, present};
use self::seen::Seen;
use super::notices;
use super::notices::Listed;
use super::outbox::{NotDue, Outbox};
use super::people::{BadPeople, People, Present};
use super::roster::{BadRoster, Roster};
use super::view::{Shown, lines};
use crate::chat::message::{BadServer, ByeReason, ErrorCode, Numbered, Session as Id, ToClient, ToServer, Welcome};
use crate::chat::name::{MAX_TEXT, Name, RoomName};
use crate::chat::{Member, Moment};
use crate::secure::credential::{OwnCredential, UnixSeconds};
use crate::secure::identity::{Fingerprint, Identity};
use crate::store::known_users::KnownUsers;
use crate::store::letters_seen::LettersSeen;
use crate::store::lines::LinesError;

/// Who one is, in this session, and whose server it is.
pub struct Own {
    /// One's name.
    pub name: Name,
    /// One's identity: what opens letters, and writes them.
    pub identity: Arc<Identity>,
    /// One's credential: what opens boxes, and signs what is said.
    pub credential: Arc<OwnCredential>,
    /// The server's fingerprint.
    pub server: Fingerprint,
    /// Whether what one says is for those only with whom one has compared fingerprints.
    pub verified_only: bool,
}

impl Own {
    fn session(&self) -> Id {
        Id(self.credential.session())
    }

    /// Everybody a new session knows.
    fn nobody_else(&self) -> People {
        People::new(self.session(), &self.name, self.fingerprint(), self.verified_only)
    }

    /// Who one is.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.identity.public().fingerprint()
    }
}

/// What is known beyond the session.
#[derive(Debug)]
pub struct Files {
    /// Who is who.
    pub users: KnownUsers,
    /// Which letters have been read.
    pub letters: LettersSeen,
}

/// A session, from its Join on; and the one that takes its place, if the server has forgotten it.
pub struct Session {
    own: Own,
    id: Id,
    standing: Standing,
    people: People,
    rooms: Rooms,
    /// One is in for the first time, and has yet to look who is there.
    looks_around: Option<Vec<Id>>,
    cursor: u64,
    longest_text: usize,
    /// Where the session before this one had come to.
    left_off: u64,
    outbox: Outbox<Item, Numbered>,
    /// What goes first on a connection after a loss.
    sent_again: VecDeque<ToServer>,
    requests: Requests,
    /// Boxes of people whom the server tells of when it lets one into a room again.
    unopened: Vec<Unopened>,
    /// On this connection there may still come what was missed: until the Pong behind it has.
    catching_up: bool,
    /// The room one was in last is not to be had, in a new session: the lobby may be.
    shut_out: bool,
    seen: Seen,
    /// How many letters of each author's have come in this session.
    letters_read: HashMap<Fingerprint, u32>,
    /// The latest time that the server has told, in milliseconds since 1970: by its own account it goes forward only.
    latest: u64,
    /// Who last whispered to oneself.
    last_whisper: Option<Name>,
    pings: u32,
    leaving: bool,
}

/// How one stands with the server.
enum Standing {
    /// A new session asks to be let in here. These are whom it has been told of; until it is in, one has whom one had.
    Joining(RoomName, Box<People>),
    /// In a room, or in several.
    Inside,
    /// Without a connection.
    Lost,
    /// On another connection, and yet to be told that the session goes on, by this room's Welcome.
    Resuming(RoomName),
}

/// Something for oneself alone, from somebody whom the server is yet to tell of.
struct Unopened {
    from: Member,
    boxed: Vec<u8>,
    at: u64,
    is_whisper: bool,
}

/// What a message has led to.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// The session goes on.
    Goes,
    /// One is in the room, in a new session: if it is the first, [`Session::look_around`] is due.
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
pub enum Broken {
    /// Its messages.
    #[error(transparent)]
    Message(#[from] BadServer),
    /// Its account of who is here.
    #[error(transparent)]
    Roster(#[from] BadRoster),
    /// Its account of people.
    #[error(transparent)]
    People(#[from] BadPeople),
    /// Its answers.
    #[error(transparent)]
    Answer(#[from] NotDue),
    /// Its events' numbers.
    #[error("event {0} came after event {1}")]
    Cursor(u64, u64),
    /// Something else that was not due.
    #[error("{0} that was not due")]
    Unasked(&'static str),
}

impl Session {
    /// Begins one, with the message that asks to be let in.
    #[must_use]
    pub fn join(own: Own, room: RoomName) -> (Self, ToServer) {
        let id = own.session();
        let join = asks_to_join(room.clone(), 0);
        let session = Self {
            standing: Standing::Joining(room.clone(), Box::new(own.nobody_else())),
            people: own.nobody_else(),
            own,
            id,
            rooms: Rooms::beginning_with(room),
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
            seen: Seen::default(),
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

    /// Who one is, and whose server this is.
    #[must_use]
    pub fn own(&self) -> &Own {
        &self.own
    }

    /// Who is in a room that one is in, by name.
    #[must_use]
    pub fn list(&self, room: &RoomName) -> Vec<Listed> {
        let members = self.rooms.get(room).into_iter().flat_map(|inside| inside.roster.members());
        let listed = |session: &Id| {
            let away = self.rooms.away.contains(session);
            let (name, mark, fingerprint) = match self.people.get(*session) {
                _ if *session == self.id => (self.own.name.to_string(), "you", Some(self.own.fingerprint())),
                Some(Present { name, keys, standing }) => (name.to_string(), standing.word(), Some(keys.fingerprint)),
                None => (self.people.last_name(*session), "refused", None),
            };
            Listed { name, mark, fingerprint, away }
        };
        let mut all: Vec<Listed> = members.map(listed).collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }

    /// Somebody who is here or known, by this name or by one that could be taken for it.
    ///
    /// # Errors
    /// [`NotSaid`] if there is nobody such, or somebody of whom nothing is shown goes by that name.
    pub fn whois(&self, name: &Name, files: &Files) -> Result<(Name, Fingerprint), NotSaid> {
        let (name, fingerprint) = match self.people.find(name) {
            Some((_, present)) => (present.name, present.keys.fingerprint),
            None if self.own.name.looks_like(name) => return Err(NotSaid::Oneself),
            None if self.people.shuns(name) => return Err(NotSaid::Shunned(name.clone())),
            None => {
                // Of several devices the one that was accepted last.
                let known = files.users.find(name).and_then(|(name, keys)| Some((name, keys.last()?.fingerprint)));
                known.ok_or_else(|| NotSaid::Nobody(name.clone()))?
            }
        };
        Ok((name.clone(), fingerprint))
    }

    /// The user has compared fingerprints with somebody. Gives whether they are marked so.
    ///
    /// # Errors
    /// [`LinesError`] if that could not be kept.
    pub fn verify(&mut self, name: &Name, fingerprint: Fingerprint, files: &mut Files) -> Result<bool, LinesError> {
        let marked = files.users.verify(name, fingerprint)?;
        if marked {
            self.people.verify(name, fingerprint);
            self.rooms.all_mut().for_each(|inside| inside.speaking.more_may_read());
        }
        Ok(marked)
    }

    /// Takes in what the server sent; what is to be shown goes to `shown`.
    ///
    /// # Errors
    /// [`Broken`] if the server breaks the protocol.
    pub fn receive(
        &mut self,
        message: ToClient,
        now: Moment,
        files: &mut Files,
        shown: &mut Vec<Shown>,
    ) -> Result<Progress, Broken> {
        self.look_around(now, files, shown)?;
        if matches!(self.standing, Standing::Resuming(_)) && !returning::may_come_first(&message) {
            return Err(Broken::Unasked("something before the Welcome"));
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
                if let Standing::Joining(_, people) = &mut self.standing {
                    // Of a crowd all are checked together.
                    people.meet(person, now)?;
                } else {
                    self.people.meet(person, now)?;
                    self.people.check(now);
                }
            }
            ToClient::Error { code, text, n: 0 } => return self.refused(code, text, now, shown),
            ToClient::Error { code, n, .. } => self.not_taken(n, code, now.tick, shown)?,
            ToClient::Found { name, spki } => self.found(&name, &spki, shown)?,
            ToClient::Pong => {
                self.pings = self.pings.checked_sub(1).ok_or(Broken::Unasked("a Pong"))?;
                self.catching_up = false;
                return Ok(Progress::Pong);
            }
            ToClient::Bye(reason) => return Ok(Progress::Bye(reason)),
            ToClient::Answer(text) => self.answered(&text, shown)?,
            ToClient::Unknown => {}
        }
        Ok(Progress::Goes)
    }

    /// Looks who is there, when one is in for the first time: whose credentials hold, and who is known. Of a crowd that takes
    /// a while, in which nobody need wait for a place to type. Nothing else is taken in before.
    ///
    /// # Errors
    /// [`Broken`] if the server's account of them does not add up.
    pub fn look_around(&mut self, now: Moment, files: &mut Files, shown: &mut Vec<Shown>) -> Result<(), Broken> {
        if let Some(others) = self.looks_around.take() {
            self.come_in(&others, now, files, shown)?;
            self.tell_unread(&others, shown);
        }
        Ok(())
    }

    fn welcome(
        &mut self,
        welcome: &Welcome,
        now: Moment,
        files: &mut Files,
        shown: &mut Vec<Shown>,
    ) -> Result<Progress, Broken> {
        match std::mem::replace(&mut self.standing, Standing::Inside) {
            Standing::Joining(room, people) if room == welcome.room && !welcome.resumed => {
                self.first_welcome(welcome, *people, now, files, shown)?;
                Ok(Progress::Welcomed)
            }
            Standing::Resuming(room) if room == welcome.room && self.is_resumed_by(welcome) => Ok(self.goes_on(now)),
            Standing::Inside if !welcome.resumed => {
                let is_this = |room: &RoomName, limbo: bool| *room == welcome.room && !limbo;
                let asked = self
                    .requests
                    .answered(|request| matches!(request, Request::Join { room, limbo, .. } if is_this(room, *limbo)));
                let Some(Request::Join { why, .. }) = asked else { return Err(Broken::Unasked("a Welcome")) };
                self.grow(welcome.cursor)?;
                self.people.is_oneself(welcome.own)?;
                let roster = Roster::new(welcome, self.id, self.own.server, &self.people)?;
                self.latest = self.latest.max(welcome.at);
                self.enters(welcome, roster, Some(why), now, files, shown)?;
                Ok(Progress::Goes)
            }
            _ => Err(Broken::Unasked("a Welcome")),
        }
    }

    /// A new session is in its first room; it comes back to the others that the one before it was in.
    fn first_welcome(
        &mut self,
        welcome: &Welcome,
        mut people: People,
        now: Moment,
        files: &mut Files,
        shown: &mut Vec<Shown>,
    ) -> Result<(), Broken> {
        self.grow(welcome.cursor)?;
        let id = self.own.session();
        people.is_oneself(welcome.own)?;
        people.directory.settle();
        let roster = Roster::new(welcome, id, self.own.server, &people)?;
        self.rooms.begin_anew(&self.people);
        (self.id, self.people) = (id, people);
        self.latest = welcome.at;
        self.shut_out = false;
        self.requests.keep_waiting(
            |request| !matches!(request, Request::Join { room, why: Wish::New, .. } if *room == welcome.room),
        );
        self.enters(welcome, roster, None, now, files, shown)?;
        let others: Vec<RoomName> = self.rooms.names().filter(|room| **room != welcome.room).cloned().collect();
        for room in others.into_iter().rev() {
            self.requests.push_first(Request::Join { room, why: Wish::Again, limbo: false });
        }
        Ok(())
    }

    /// One is in a room: as the first of a session, or because one asked for it.
    fn enters(
        &mut self,
        welcome: &Welcome,
        roster: Roster,
        why: Option<Wish>,
        now: Moment,
        files: &mut Files,
        shown: &mut Vec<Shown>,
    ) -> Result<(), Broken> {
        let others: Vec<Id> = roster.members().iter().filter(|member| **member != self.id).copied().collect();
        let room = &welcome.room;
        self.longest_text = usize::try_from(welcome.longest_text).unwrap_or(MAX_TEXT).min(MAX_TEXT);
        let unmet: Vec<Id> = others.iter().filter(|session| !self.rooms.have(**session)).copied().collect();
        let before = self.rooms.enter(room, roster, welcome.notice.clone());
        if why == Some(Wish::New) {
            self.rooms.look_at(room);
        }
        let first = shown.len();
        let is_first = before.is_none() && why.is_none() && self.left_off == 0;
        if !is_first {
            self.come_in(&unmet, now, files, shown)?;
        }
        let known_notice = before.as_ref().map(|before| before.notice.clone()).unwrap_or_default();
        if let Some(before) = before {
            let changes = self.changes_since(room, &before.present);
            let is_new = |id: &Id| self.people.get(*id).is_some_and(|who| !before.present.contains(&who.named()));
            let new: Vec<Id> = others.into_iter().filter(is_new).collect();
            shown.splice(first..first, changes);
            self.tell_unread(&new, shown);
        } else if is_first {
            shown.push(Shown::Step("Initial set up had been completed!"));
            shown.push(Shown::Step("Now you can start to exchange messages"));
            self.looks_around = Some(unmet);
        } else {
            self.tell_unread(&unmet, shown);
            shown.push(Shown::Answer(notices::you_are_in(room, &self.list(room))));
        }
        if welcome.notice != known_notice {
            // Who asked for a room is told of it; of the server whoever looks.
            let how = if why.is_some() { Shown::Remark } else { Shown::Greeting };
            shown.extend(lines(&welcome.notice).map(how));
        }
        self.open_what_waited(shown);
        Ok(())
    }

    /// Some have come in, and the user is told what there is to tell of them.
    fn come_in(
        &mut self,
        sessions: &[Id],
        now: Moment,
        files: &mut Files,
        shown: &mut Vec<Shown>,
    ) -> Result<(), BadPeople> {
        let now = UnixSeconds(now.at / 1_000);
        let arrivals = self.people.come_in(sessions, self.rooms.count(), now, &mut files.users)?;
        shown.extend(arrivals.shunned.into_iter().map(Shown::Remark));
        shown.extend(notices::first_contact(&arrivals.new, files.users.path()).map(Shown::Remark));
        Ok(())
    }

    /// Who of these will not read what one says is told of.
    fn tell_unread(&self, sessions: &[Id], shown: &mut Vec<Shown>) {
        let present = sessions.iter().filter_map(|session| self.people.get(*session));
        let unread = present.filter(|present| !self.people.trusts(present.standing));
        shown.extend(unread.map(|present| Shown::Remark(notices::not_verified(present.name))));
    }

    fn grow(&mut self, cursor: u64) -> Result<(), Broken> {
        if cursor <= self.cursor {
            return Err(Broken::Cursor(cursor, self.cursor));
        }
        self.cursor = cursor;
        self.people.directory.settle();
        Ok(())
    }

    /// When something may be due that is not now.
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
