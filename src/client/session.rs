//! One session's state: what each message of the server changes, and what of it is shown. PROTOCOL.md §6.
//!
//! Invariant: no I/O and no clock. A server that breaks the protocol ends the session, and is told of.

use std::time::Instant;

use super::outbox::{NotDue, Outbox};
use super::room::{BadRoster, Member, People, Roster};
use super::view::Shown;
use crate::chat::message::{
    BadServer, ByeReason, ErrorCode, Event, Numbered, Session as Id, ToClient, ToServer, Welcome,
};
use crate::chat::name::{BadText, MAX_TEXT, Name, RoomName, Text};
use crate::secure::credential::UnixSeconds;
use crate::secure::identity::Fingerprint;

/// Who one is, in this session.
#[derive(Clone, Debug)]
pub struct Own {
    /// One's name.
    pub name: Name,
    /// One's identity.
    pub fingerprint: Fingerprint,
    /// One's credential's hash.
    pub session: Id,
}

/// A session, from its Join on.
#[derive(Debug)]
pub struct Session {
    own: Id,
    room: RoomName,
    people: People,
    roster: Option<Roster>,
    cursor: u64,
    longest_text: usize,
    outbox: Outbox,
    pings: u32,
    leaving: bool,
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
    pub fn join(own: &Own, room: RoomName) -> (Self, ToServer) {
        let join = ToServer::Join { room: room.clone(), password: String::new(), cursor: 0 };
        let session = Self {
            own: own.session,
            room,
            people: People::new(own.session, &own.name, own.fingerprint),
            roster: None,
            cursor: 0,
            longest_text: MAX_TEXT,
            outbox: Outbox::new(),
            pings: 0,
            leaving: false,
        };
        (session, join)
    }

    /// Takes something to say.
    ///
    /// # Errors
    /// [`BadText`] if it may not be said; nothing is cut.
    pub fn say(&mut self, text: &str) -> Result<(), BadText> {
        self.outbox.push(Text::parse(text, self.longest_text)?);
        Ok(())
    }

    /// Whether it takes something more to say.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.outbox.has_room()
    }

    /// How much has been said that has no final answer.
    #[must_use]
    pub fn undelivered(&self) -> usize {
        self.outbox.len()
    }

    /// The next thing to send now.
    pub fn take_due(&mut self, now: Instant) -> Option<ToServer> {
        let change = self.roster.as_ref()?.change();
        let (n, text) = self.outbox.take_due(now)?;
        let envelope = text.as_written().as_bytes().to_vec();
        Some(ToServer::Numbered { n, body: Numbered::Say { room: self.room.clone(), change, envelope } })
    }

    /// When something may be due that is not now.
    #[must_use]
    pub fn due_at(&self) -> Option<Instant> {
        self.outbox.due_at()
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

    /// Takes in what the server sent; what is to be shown goes to `shown`.
    ///
    /// # Errors
    /// [`Broken`] if the server breaks the protocol.
    pub fn receive(
        &mut self,
        message: ToClient,
        now: (Instant, UnixSeconds),
        shown: &mut Vec<Shown>,
    ) -> Result<Progress, Broken> {
        match message {
            ToClient::Welcome(welcome) => return self.welcome(&welcome, shown),
            ToClient::Accepted(n) => self.outbox.accepted(n)?,
            ToClient::Event { cursor, at, event } => {
                self.grow(cursor)?;
                self.happened(at, event, shown)?;
            }
            ToClient::Person(person) => self.people.meet(&person, now.1)?,
            ToClient::Error { code, text, n: 0 } => return self.refused(code, text),
            ToClient::Error { code, n, .. } => {
                if let Some(text) = self.outbox.not_taken(n, code, now.0)? {
                    shown.push(Shown::Remark(format!("[!] Not delivered ({}): {text}", why(code))));
                }
            }
            ToClient::Pong => {
                self.pings = self.pings.checked_sub(1).ok_or(Broken::Unasked("a Pong"))?;
            }
            ToClient::Bye(reason) => return Ok(Progress::Bye(reason)),
            ToClient::Unknown => {}
        }
        Ok(Progress::Goes)
    }

    fn welcome(&mut self, welcome: &Welcome, shown: &mut Vec<Shown>) -> Result<Progress, Broken> {
        if self.roster.is_some() || welcome.room != self.room {
            return Err(Broken::Unasked("a Welcome"));
        }
        self.grow(welcome.cursor)?;
        self.roster = Some(Roster::new(welcome, self.own, &self.people)?);
        shown.push(Shown::Step("Initial set up had been completed!"));
        shown.push(Shown::Step("Now you can start to exchange messages"));
        self.longest_text = usize::try_from(welcome.longest_text).unwrap_or(MAX_TEXT).min(MAX_TEXT);
        for session in &welcome.sessions {
            if let Some(Member::Refused(why)) = self.people.get(*session) {
                shown.push(stranger("is here", why));
            }
        }
        if !welcome.notice.is_empty() {
            shown.push(Shown::quoted("[server] ", &welcome.notice));
        }
        Ok(Progress::Welcomed)
    }

    fn happened(&mut self, at: u64, event: Event, shown: &mut Vec<Shown>) -> Result<(), Broken> {
        let roster = self.roster.as_mut().ok_or(Broken::Unasked("an event"))?;
        match event {
            Event::Said { room, session, .. }
            | Event::Joined { room, session, .. }
            | Event::Left { room, session, .. }
                if room != self.room || session != self.own && self.people.get(session).is_none() =>
            {
                return Err(if room == self.room { BadRoster::Stranger.into() } else { Broken::Unasked("an event") });
            }
            Event::Said { session, envelope, .. } => {
                let said = Text::from_utf8(&envelope);
                shown.extend(match (self.people.get(session), said) {
                    (Some(Member::Known { name, .. }), _) if !roster.has(session) => {
                        Some(Shown::Remark(format!("[!] Refused: a message from {name}, who is not in the room.")))
                    }
                    (Some(Member::Known { name, .. }), Ok(text)) => {
                        Some(Shown::Message { at, from: name.clone(), text })
                    }
                    (Some(Member::Known { name, .. }), Err(why)) => {
                        Some(Shown::Remark(format!("[!] A message from {name} cannot be shown: {why}.")))
                    }
                    (Some(Member::Refused(_)) | None, _) => None,
                });
            }
            Event::Joined { session, change, .. } => {
                roster.joined(session, change)?;
                self.outbox.room_changed();
                shown.extend(self.people.get(session).map(|member| match member {
                    Member::Known { name, .. } => Shown::Joined(name.clone()),
                    Member::Refused(why) => stranger("came in", why),
                }));
            }
            Event::Left { session, change, .. } => {
                roster.left(session, change)?;
                self.outbox.room_changed();
                if let Some(Member::Known { name, .. }) = self.people.get(session) {
                    shown.push(Shown::Left(name.clone()));
                }
                self.people.forget(session);
            }
            Event::Notice(text) => shown.push(Shown::quoted("[server] ", &text)),
            Event::Unknown => {}
        }
        Ok(())
    }

    /// An Error that answers nothing counted: the Join, or a Leave, which is no fault.
    fn refused(&self, code: ErrorCode, text: String) -> Result<Progress, Broken> {
        match (&self.roster, self.leaving) {
            (None, _) => Ok(Progress::Refused(code, text)),
            (Some(_), true) => Ok(Progress::Goes),
            (Some(_), false) => Err(Broken::Unasked("an Error")),
        }
    }

    fn grow(&mut self, cursor: u64) -> Result<(), Broken> {
        if cursor <= self.cursor {
            return Err(Broken::Cursor(cursor, self.cursor));
        }
        self.cursor = cursor;
        Ok(())
    }
}

fn stranger(did: &str, why: &str) -> Shown {
    Shown::Remark(format!("[!] Somebody {did} of whom nothing is shown: {why}."))
}

fn why(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::Refused => "you are not in that room",
        ErrorCode::Large => "it is too long for this server",
        ErrorCode::Volatile => "the server handed it out, but could not keep it",
        ErrorCode::Password | ErrorCode::Absent => "there is nobody such",
        ErrorCode::Malformed | ErrorCode::Unsupported => "the server does not understand it",
        ErrorCode::Again | ErrorCode::Wait => "too fast",
    }
}
