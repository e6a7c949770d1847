//! One session's state: what each message of the server changes, and what of it is shown. PROTOCOL.md §6, §7.
//!
//! ```text
//! lines ──▶ outgoing ──▶ ToServer ──▶ …  ──▶ ToClient ──▶ receive ──▶ incoming ──▶ Shown
//! ```
//!
//! Invariant: no socket and no clock; the only files are [`Files`], and what they admit is on disk before it is used.
//! A server that breaks the protocol ends the session, and is told of.

mod incoming;
mod letters;
mod outgoing;

use std::collections::HashMap;
use std::time::Instant;

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
use crate::chat::message::{BadServer, ByeReason, ErrorCode, Session as Id, ToClient, ToServer, Welcome};
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
    pub identity: Identity,
    /// One's credential: what opens boxes, and signs what is said.
    pub credential: OwnCredential,
    /// The server's fingerprint.
    pub server: Fingerprint,
    /// Whether what one says is for those only with whom one has compared fingerprints.
    pub verified_only: bool,
}

impl Own {
    fn session(&self) -> Id {
        Id(self.credential.session())
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

/// A session, from its Join on.
pub struct Session {
    own: Own,
    id: Id,
    room: RoomName,
    people: People,
    /// From the Welcome on.
    inside: Option<Inside>,
    cursor: u64,
    longest_text: usize,
    outbox: Outbox<Item>,
    letters: Letters,
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

/// A room that one is in.
struct Inside {
    roster: Roster,
    speaking: Speaking,
    /// What one has of each, whoever has come after oneself from their first word on.
    readings: HashMap<Id, Reading>,
}

/// Whether the server is to be told that letters have been read.
#[derive(Debug, Default)]
struct Seen {
    due: bool,
    /// One could not be noted as read: it, and all after it, are to come again.
    withheld: bool,
}

/// What a message has led to.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// The session goes on.
    Goes,
    /// One is in the room.
    Welcomed,
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
        let join = ToServer::Join { room: room.clone(), password: String::new(), cursor: 0 };
        let id = own.session();
        let session = Self {
            people: People::new(id, &own.name, own.fingerprint(), own.verified_only),
            own,
            id,
            room,
            inside: None,
            cursor: 0,
            longest_text: MAX_TEXT,
            outbox: Outbox::new(),
            letters: Letters::default(),
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
        let listed = |session: &Id| match self.people.get(*session) {
            _ if *session == self.id => {
                Listed { name: self.own.name.to_string(), mark: "you", fingerprint: Some(self.own.fingerprint()) }
            }
            Some(Present { name, keys, standing }) => {
                Listed { name: name.to_string(), mark: standing.word(), fingerprint: Some(keys.fingerprint) }
            }
            None => Listed { name: self.people.last_name(*session), mark: "refused", fingerprint: None },
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
                let (name, known) = files.users.find(name).ok_or_else(|| NotSaid::Nobody(name.clone()))?;
                (name, known.fingerprint)
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
        match message {
            ToClient::Welcome(welcome) => return self.welcome(&welcome, now, files, shown),
            ToClient::Accepted(n) => self.accepted(n, now, shown)?,
            ToClient::Event { cursor, at, event } => {
                self.grow(cursor)?;
                self.happened(at, event, now, files, shown)?;
            }
            ToClient::Person(person) => {
                self.people.meet(&person, UnixSeconds(now.at / 1_000))?;
            }
            ToClient::Error { code, text, n: 0 } => return self.refused(code, text, now, shown),
            ToClient::Error { code, n, .. } => self.not_taken(n, code, now.tick, shown)?,
            ToClient::Found { name, spki } => self.found(&name, &spki, shown)?,
            ToClient::Pong => {
                self.pings = self.pings.checked_sub(1).ok_or(Broken::Unasked("a Pong"))?;
            }
            ToClient::Bye(reason) => return Ok(Progress::Bye(reason)),
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
        if self.inside.is_some() || welcome.room != self.room || welcome.resumed {
            return Err(Broken::Unasked("a Welcome"));
        }
        self.grow(welcome.cursor)?;
        let roster = Roster::new(welcome, self.id, self.own.server, &self.people)?;
        let others: Vec<Id> = roster.members().iter().filter(|member| **member != self.id).copied().collect();
        self.inside = Some(Inside { roster, speaking: Speaking::default(), readings: HashMap::new() });
        self.longest_text = usize::try_from(welcome.longest_text).unwrap_or(MAX_TEXT).min(MAX_TEXT);
        self.latest = welcome.at;
        self.come_in(&others, now, files, shown)?;
        shown.push(Shown::Step("Initial set up had been completed!"));
        shown.push(Shown::Step("Now you can start to exchange messages"));
        if !welcome.notice.is_empty() {
            shown.push(Shown::quoted("[server] ", &welcome.notice));
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
        let present = sessions.iter().filter_map(|session| self.people.get(*session));
        let unread = present.filter(|present| !self.people.trusts(present.standing));
        shown.extend(unread.map(|present| Shown::Remark(notices::not_verified(present.name))));
        Ok(())
    }

    /// An Error that answers nothing counted: a Lookup, the Join, or a Leave, which is no fault.
    fn refused(
        &mut self,
        code: ErrorCode,
        text: String,
        now: Moment,
        shown: &mut Vec<Shown>,
    ) -> Result<Progress, Broken> {
        if self.inside.is_none() {
            return Ok(Progress::Refused(code, text));
        }
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
        [self.outbox.due_at(), self.letters.due_at()].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests;
