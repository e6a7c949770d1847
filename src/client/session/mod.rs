//! One session's state: what each message of the server changes, and what of it is shown. PROTOCOL.md §6, §7.
//!
//! ```text
//! lines ──▶ outgoing ──▶ ToServer ──▶ …  ──▶ ToClient ──▶ receive ──▶ incoming ──▶ Shown
//! ```
//!
//! A session outlives its connections: [`Session::lost`], and then [`Session::resume`] or [`Session::begin_anew`].
//!
//! Invariant: no socket and no clock; the only files are [`Files`], and what they admit is on disk before it is used.
//! A server that breaks the protocol ends the session, and is told of.

mod accepting;
mod asking;
mod incoming;
mod letters;
mod outgoing;
mod returning;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use self::asking::{Asked, Asking};
use self::letters::{Letters, NotFound};
use self::outgoing::Item;
pub use self::outgoing::NotSaid;
use super::notices;
use super::notices::Listed;
use super::outbox::{NotDue, Outbox};
use super::people::{BadPeople, People, Present};
use super::roster::{BadRoster, Roster};
use super::speaking::Speaking;
use super::view::Shown;
use crate::chat::Moment;
use crate::chat::message::{BadServer, ByeReason, ErrorCode, Numbered, Session as Id, ToClient, ToServer, Welcome};
use crate::chat::name::{MAX_TEXT, Name, RoomName};
use crate::secure::credential::{OwnCredential, UnixSeconds};
use crate::secure::e2e::sender_key::Reading;
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
    room: RoomName,
    standing: Standing,
    people: People,
    /// From the first Welcome on.
    inside: Option<Inside>,
    cursor: u64,
    longest_text: usize,
    /// Where the session before this one had come to.
    left_off: u64,
    outbox: Outbox<Item, Numbered>,
    /// What goes first on a connection after a loss.
    sent_again: VecDeque<ToServer>,
    letters: Letters,
    asking: Asking,
    seen: Seen,
    /// How many letters of each author's have come in this session.
    letters_read: HashMap<Fingerprint, u32>,
    /// The latest time that the server has told, in milliseconds since 1970: by its own account it goes forward only.
    latest: u64,
    /// Who last whispered to oneself.
    last_whisper: Option<Name>,
    /// What the operator had to say when one came in.
    notice: String,
    pings: u32,
    leaving: bool,
}

/// How one stands with the server.
enum Standing {
    /// A new session asks to be let in. These are whom it has been told of; until it is in, one has whom one had.
    Joining(People),
    /// In the room.
    Inside,
    /// Without a connection.
    Lost,
    /// On another connection, and yet to be told that the session goes on.
    Resuming,
}

/// A room that one is in.
struct Inside {
    roster: Roster,
    speaking: Speaking,
    /// What one has of each, whoever has come after oneself from their first word on.
    readings: HashMap<Id, Reading>,
    /// Who has lost their connection, and may be back soon.
    away: HashSet<Id>,
}

/// When the server is to be told what has come: it forgets that then.
#[derive(Debug, Default)]
struct Seen {
    due: Option<Instant>,
    /// A letter could not be noted as read: it, and all after it, are to come again.
    withheld: bool,
}

impl Seen {
    fn is_due_by(&mut self, when: Instant) {
        self.due = Some(self.due.map_or(when, |due| due.min(when)));
    }

    fn due_at(&self) -> Option<Instant> {
        self.due.filter(|_| !self.withheld)
    }

    fn take_due(&mut self, now: Instant) -> bool {
        self.due_at().is_some_and(|due| due <= now) && self.due.take().is_some()
    }
}

/// What a message has led to.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// The session goes on.
    Goes,
    /// One is in the room, in a new session.
    Welcomed,
    /// The session goes on; what one has missed follows.
    Resumed,
    /// The server has answered a Ping: all that it had to say before has come.
    Pong,
    /// The server does not let one in.
    Refused(ErrorCode, String),
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
        let session = Self {
            standing: Standing::Joining(own.nobody_else()),
            people: own.nobody_else(),
            own,
            id,
            room,
            inside: None,
            cursor: 0,
            left_off: 0,
            sent_again: VecDeque::new(),
            notice: String::new(),
            longest_text: MAX_TEXT,
            outbox: Outbox::new(),
            letters: Letters::default(),
            asking: Asking::default(),
            seen: Seen::default(),
            letters_read: HashMap::new(),
            latest: 0,
            last_whisper: None,
            pings: 0,
            leaving: false,
        };
        let join = session.asks_to_join();
        (session, join)
    }

    /// Says that one is there.
    pub fn ping(&mut self) -> ToServer {
        self.pings += 1;
        ToServer::Ping
    }

    /// Leaves.
    pub fn leave(&mut self) -> ToServer {
        self.leaving = true;
        ToServer::Leave(self.room.clone())
    }

    /// Who one is, and whose server this is.
    #[must_use]
    pub fn own(&self) -> &Own {
        &self.own
    }

    /// The room, and who is in it, by name.
    #[must_use]
    pub fn list(&self) -> (&RoomName, Vec<Listed>) {
        let members = self.inside.iter().flat_map(|inside| inside.roster.members());
        let listed = |session: &Id| {
            let away = self.inside.as_ref().is_some_and(|inside| inside.away.contains(session));
            let (name, mark, fingerprint) = match self.people.get(*session) {
                _ if *session == self.id => (self.own.name.to_string(), "you", Some(self.own.fingerprint())),
                Some(Present { name, keys, standing }) => (name.to_string(), standing.word(), Some(keys.fingerprint)),
                None => (self.people.last_name(*session), "refused", None),
            };
            Listed { name, mark, fingerprint, away }
        };
        let mut all: Vec<Listed> = members.map(listed).collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        (&self.room, all)
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
            if let Some(inside) = &mut self.inside {
                inside.speaking.more_may_read();
            }
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
        if matches!(self.standing, Standing::Resuming) && !returning::may_come_first(&message) {
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
                let people = if let Standing::Joining(people) = &mut self.standing { people } else { &mut self.people };
                people.meet(&person, UnixSeconds(now.at / 1_000))?;
            }
            ToClient::Error { code, text, n: 0 } => return self.refused(code, text, now, shown),
            ToClient::Error { code, n, .. } => self.not_taken(n, code, now.tick, shown)?,
            ToClient::Found { name, spki } => self.found(&name, &spki, shown)?,
            ToClient::Pong => {
                self.pings = self.pings.checked_sub(1).ok_or(Broken::Unasked("a Pong"))?;
                return Ok(Progress::Pong);
            }
            ToClient::Bye(reason) => return Ok(Progress::Bye(reason)),
            ToClient::Answer(text) => {
                self.asking.answers(Asked::Password).ok_or(Broken::Unasked("an Answer"))?;
                shown.extend(text.lines().map(|line| Shown::quoted("[server] ", line)));
            }
            ToClient::Unknown => {}
        }
        Ok(Progress::Goes)
    }

    fn welcome(
        &mut self,
        welcome: &Welcome,
        now: Moment,
        files: &mut Files,
        shown: &mut Vec<Shown>,
    ) -> Result<Progress, Broken> {
        let is_ours = welcome.room == self.room;
        let people = match std::mem::replace(&mut self.standing, Standing::Inside) {
            Standing::Joining(people) if is_ours && !welcome.resumed => people,
            Standing::Resuming if is_ours && self.is_resumed_by(welcome) => return Ok(self.goes_on(now)),
            _ => return Err(Broken::Unasked("a Welcome")),
        };
        self.grow(welcome.cursor)?;
        let id = self.own.session();
        let roster = Roster::new(welcome, id, self.own.server, &people)?;
        let others: Vec<Id> = roster.members().iter().filter(|member| **member != id).copied().collect();
        let before = self.inside.as_ref().map(|_| self.present());
        let readings = self.inside.take().map_or_else(HashMap::new, Inside::carried_over);
        (self.id, self.people) = (id, people);
        self.inside = Some(Inside { roster, speaking: Speaking::default(), readings, away: HashSet::new() });
        self.longest_text = usize::try_from(welcome.longest_text).unwrap_or(MAX_TEXT).min(MAX_TEXT);
        self.latest = welcome.at;
        let first = shown.len();
        self.come_in(&others, now, files, shown)?;
        if let Some(before) = before {
            let changes = self.changes_since(&before);
            let is_new = |id: &Id| self.people.get(*id).is_some_and(|who| !before.contains(&who.named()));
            let new: Vec<Id> = others.into_iter().filter(is_new).collect();
            shown.splice(first..first, changes);
            self.tell_unread(&new, shown);
        } else {
            self.tell_unread(&others, shown);
            shown.push(Shown::Step("Initial set up had been completed!"));
            shown.push(Shown::Step("Now you can start to exchange messages"));
        }
        if welcome.notice != self.notice {
            shown.push(Shown::quoted("[server] ", &welcome.notice));
            self.notice.clone_from(&welcome.notice);
        }
        Ok(Progress::Welcomed)
    }

    /// Some have come in, and the user is told what there is to tell of them.
    fn come_in(
        &mut self,
        sessions: &[Id],
        now: Moment,
        files: &mut Files,
        shown: &mut Vec<Shown>,
    ) -> Result<(), BadPeople> {
        let arrivals = self.people.come_in(sessions, UnixSeconds(now.at / 1_000), &mut files.users)?;
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

    /// An Error that answers nothing counted: a Lookup, the Join, or a Leave, which is no fault.
    fn refused(
        &mut self,
        code: ErrorCode,
        text: String,
        now: Moment,
        shown: &mut Vec<Shown>,
    ) -> Result<Progress, Broken> {
        if !matches!(self.standing, Standing::Inside) {
            return Ok(Progress::Refused(code, text));
        }
        if self.asking.answers(Asked::Password).is_some() {
            let code = code.to_string();
            let why = if text.is_empty() { &code } else { &text };
            shown.push(Shown::quoted("[!] The password is as it was. The server says: ", why));
            return Ok(Progress::Goes);
        }
        self.asking.answers(Asked::Lookup);
        match self.letters.not_found(code, now.tick) {
            NotFound::Lost(told) => shown.push(Shown::Undelivered(told)),
            NotFound::ComesAgain => {}
            NotFound::NotAsked if self.leaving => {}
            NotFound::NotAsked => return Err(Broken::Unasked("an Error")),
        }
        Ok(Progress::Goes)
    }

    fn grow(&mut self, cursor: u64) -> Result<(), Broken> {
        if cursor <= self.cursor {
            return Err(Broken::Cursor(cursor, self.cursor));
        }
        self.cursor = cursor;
        Ok(())
    }

    /// When something may be due that is not now.
    #[must_use]
    pub fn due_at(&self) -> Option<Instant> {
        let said = if self.leaving { [None, None] } else { [self.outbox.due_at(), self.letters.due_at()] };
        let next = said.into_iter().chain([self.seen.due_at()]).flatten().min();
        next.filter(|_| self.may_speak())
    }
}

#[cfg(test)]
mod tests;
