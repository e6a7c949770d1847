//! What the user says, on its way out: sealed when it is sent, and only for those who may read it. PROTOCOL.md §7.

use std::time::Instant;

use super::super::notices;
use super::super::outbox::{Form, NotDue, NotTaken};
use super::super::view::{Manner, Shown};
use super::{Broken, Files, Id, Own, Pending, People, Request, Session, Standing};
use crate::chat::message::{ErrorCode, Numbered, ToServer};
use crate::chat::name::{BadText, Name, RoomName, Text};
use crate::chat::{Member, Moment};
use crate::secure::e2e::boxed::{self, Purpose};
use crate::secure::e2e::letter::{self, Author};
use crate::secure::e2e::sender_key::SealedSaid;
use crate::secure::e2e::text::{Kind, Said};
use crate::secure::identity::PublicIdentity;

/// Something that gets a number.
#[derive(Debug)]
pub(super) enum Item {
    /// Something to a room; if nobody had the key when it was sealed, as of which change of the roster.
    Say { room: RoomName, kind: Kind, text: Text, sent_at: u64, sealed: Option<SealedSaid>, unread: Option<u64> },
    /// One's key for a room, to each of these; in boxes, once it has been sent.
    Share { room: RoomName, to: Vec<Id>, boxes: Vec<(Member, Vec<u8>)> },
    /// Something to somebody who is here; in a box, once it has been sent.
    Whisper { to: Id, name: Name, text: Text, sent_at: u64, boxed: Option<(Member, Vec<u8>)> },
    /// Something to somebody who is away.
    Letter { name: Name, to: PublicIdentity, text: Text, sent_at: u64, written: Option<Vec<u8>> },
}

/// What is to be done about the message that is due.
enum Due {
    Send(Numbered),
    /// Another one is due now.
    Another,
    /// Nothing, until something has been answered.
    Wait,
}

/// Why something is not said.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSaid {
    /// Its text.
    #[error(transparent)]
    Text(#[from] BadText),
    /// Nobody has that name.
    #[error("nobody named {0} is here, and you have never met one")]
    Nobody(Name),
    /// One's own name.
    #[error("that is you")]
    Oneself,
    /// Whoever goes by that name here is refused.
    #[error("whoever is here as {0} now is refused (/list), and is not the one you know, if you know one")]
    Shunned(Name),
    /// Nobody who is here may read it.
    #[error("nobody here could read it: none is verified, and --verified-only was given")]
    Unread,
    /// Nobody has whispered yet.
    #[error("nobody has whispered to you yet")]
    NoWhisper,
    /// One is not in that room.
    #[error("you are not in {0}")]
    NotThere(RoomName),
    /// The user has not chosen a room since one that was meant was not to be had.
    #[error("no room is in focus: /focus #name chooses one")]
    Nowhere,
    /// A line was typed under another room's prompt.
    #[error("you were in {0} when you began to type, and are not now: say it again")]
    Elsewhere(RoomName),
    /// It is the only one.
    #[error("it is the only room you are in: EXIT leaves")]
    LastRoom,
    /// Fingerprints have not been compared, and that was asked for.
    #[error("{0} is not verified, and --verified-only was given")]
    NotVerified(Name),
}

impl Session {
    /// Takes something to say to the room in focus.
    ///
    /// # Errors
    /// [`NotSaid`] if it may not be said; nothing is cut.
    pub fn say(&mut self, kind: Kind, text: &str, now: Moment) -> Result<(), NotSaid> {
        let text = Text::parse(text, self.longest_text)?;
        let room = self.focus()?.clone();
        let members = self.rooms.get(&room).into_iter().flat_map(|inside| inside.roster.members());
        let mut others = members.filter(|who| **who != self.id);
        if self.own.verified_only && others.clone().next().is_some() && !others.any(|who| self.people.may_read(*who)) {
            return Err(NotSaid::Unread);
        }
        self.outbox.push(Item::Say { room, kind, text, sent_at: now.at, sealed: None, unread: None });
        Ok(())
    }

    /// Takes something to say to one alone: at once if they are here, as a letter if they are away and known.
    ///
    /// # Errors
    /// [`NotSaid`] if it may not be said.
    pub fn whisper(&mut self, name: &Name, text: &str, now: Moment, files: &Files) -> Result<(), NotSaid> {
        let text = Text::parse(text, self.longest_text)?;
        let sent_at = now.at;
        if let Some((to, present)) = self.people.find(name) {
            let name = present.name.clone();
            if !self.people.trusts(present.standing) {
                return Err(NotSaid::NotVerified(name));
            }
            self.outbox.push(Item::Whisper { to, name, text, sent_at, boxed: None });
            return Ok(());
        }
        if self.own.name.looks_like(name) {
            return Err(NotSaid::Oneself);
        }
        if self.people.shuns(name) {
            return Err(NotSaid::Shunned(name.clone()));
        }
        match files.users.find(name) {
            None => Err(NotSaid::Nobody(name.clone())),
            Some((name, keys)) => {
                let known = keys.iter().filter(|key| key.verified || !self.own.verified_only);
                let known: Vec<_> = known.map(|key| key.fingerprint).collect();
                if known.is_empty() {
                    return Err(NotSaid::NotVerified(name.clone()));
                }
                let pending = Pending { name: name.clone(), known, text, sent_at };
                self.requests.push(Request::Lookup(pending));
                Ok(())
            }
        }
    }

    /// Takes something to say to whoever whispered last.
    ///
    /// # Errors
    /// [`NotSaid`] if it may not be said.
    pub fn reply(&mut self, text: &str, now: Moment, files: &Files) -> Result<(), NotSaid> {
        let name = self.last_whisper.clone().ok_or(NotSaid::NoWhisper)?;
        self.whisper(&name, text, now, files)
    }

    /// Whether it takes something more to say.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.outbox.has_room() && self.takes_requests()
    }

    /// How much has been said that has no final answer.
    #[must_use]
    pub fn undelivered(&self) -> usize {
        self.requests.all().filter(|request| request.is_said()).count()
            + self.outbox.unanswered().filter(|item| !matches!(item, Item::Share { .. })).count()
    }

    /// Whether all that one has said and asked for has its final answer.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.undelivered() == 0 && self.requests.all().next().is_none()
    }

    /// The next thing to send now. What is found not to be for anybody any more is told.
    pub fn take_due(&mut self, now: Moment, shown: &mut Vec<Shown>) -> Option<ToServer> {
        if matches!(self.standing, Standing::Inside)
            && let Some(again) = self.sent_again.pop_front()
        {
            return Some(again);
        }
        if !self.may_speak() {
            return None;
        }
        if self.seen.take_due(now.tick) {
            self.seen.told = self.cursor;
            return Some(ToServer::Seen(self.cursor));
        }
        if let Some(asks) = self.asks(now.tick) {
            return Some(asks);
        }
        if self.leaving {
            return None;
        }
        loop {
            let due = match self.outbox.due(now.tick)? {
                Item::Say { .. } => self.say_due(shown),
                Item::Share { .. } => self.share_due(shown),
                Item::Whisper { .. } => self.whisper_due(shown),
                Item::Letter { .. } => self.letter_due(),
            };
            match due {
                Due::Wait => return None,
                Due::Another => {}
                Due::Send(body) => return self.outbox.sent(body.clone()).map(|n| ToServer::Numbered { n, body }),
            }
        }
    }

    /// Whether the server is there to be told anything. Who has been put out says nothing any more, whatever it would relay.
    pub(super) fn may_speak(&self) -> bool {
        matches!(self.standing, Standing::Inside) && (self.leaving || self.rooms.have(self.id))
    }

    fn asks(&mut self, now: Instant) -> Option<ToServer> {
        let next = self.requests.next()?;
        let may_go = self.may_ask(next) && !(self.catching_up && next.may_be_done());
        if may_go { self.requests.take_due(now) } else { None }
    }

    /// The Say that is due, once everybody who may read it has the key.
    fn say_due(&mut self, shown: &mut Vec<Shown>) -> Due {
        let Some(Item::Say { room, .. }) = self.outbox.due_now() else {
            return Due::Wait;
        };
        let (room, own) = (room.clone(), &self.own);
        let Some(inside) = self.rooms.get_mut(&room) else {
            if self.rooms.are_with(&room) {
                return Due::Wait;
            }
            if let Some(Item::Say { text, .. }) = self.outbox.drop_due() {
                let why = NotSaid::NotThere(room).to_string();
                shown.push(Shown::Undelivered(notices::not_delivered(&why, None, &text)));
            }
            return Due::Another;
        };
        if !inside.speaking.is_ready() {
            // What has no answer yet was not meant for whoever has come, and may still come back.
            if self.outbox.in_flight().any(|item| item.is_said_in(&room)) {
                return Due::Wait;
            }
            for to in inside.speaking.prepare(self.id, &inside.roster, &self.people).into_iter().rev() {
                self.outbox.push_first(Item::Share { room: room.clone(), to, boxes: Vec::new() });
            }
            return Due::Another;
        }
        let Some(Item::Say { kind, text, sent_at, sealed, unread, .. }) = self.outbox.due_now() else {
            return Due::Wait;
        };
        *unread = (!inside.speaking.is_read()).then_some(inside.roster.change());
        let said = padded(*kind, text, *sent_at);
        let Some(ready) = inside.speaking.seal(&said, sealed.take()) else {
            return Due::Wait;
        };
        let change = inside.roster.change();
        let envelope = ready.sign(&own.credential, own.server, room.as_str(), inside.roster.hash());
        *sealed = Some(ready);
        Due::Send(Numbered::Say { room, change, envelope })
    }

    /// A room has changed: what was written for it as it was may go at once.
    pub(super) fn has_changed(&mut self, room: &RoomName) {
        let first = self.outbox.unanswered().find(|item| matches!(item, Item::Say { .. }));
        if first.is_some_and(|item| item.is_said_in(room)) {
            self.outbox.room_changed();
        }
    }

    /// The Share that is due, for those who are still here. One that comes again is what it was: its boxes are counted.
    fn share_due(&mut self, shown: &mut Vec<Shown>) -> Due {
        let Some(Item::Share { room, to, boxes }) = self.outbox.due_now() else {
            return Due::Wait;
        };
        // A key that is not used any more is not sent any more.
        let key = self.rooms.get(room).and_then(|inside| inside.speaking.shared(room.as_str()));
        if let Some(key) = key.filter(|_| boxes.is_empty()) {
            for session in to.drain(..) {
                let sealed = seal(&self.own, &mut self.people, session, Purpose::Key, &key, shown);
                boxes.extend(sealed);
            }
        }
        if boxes.is_empty() {
            self.outbox.drop_due();
            return Due::Another;
        }
        Due::Send(Numbered::Share(boxes.clone()))
    }

    /// The Whisper that is due. One that comes again is what it was.
    fn whisper_due(&mut self, shown: &mut Vec<Shown>) -> Due {
        let Some(Item::Whisper { to, text, sent_at, boxed, .. }) = self.outbox.due_now() else {
            return Due::Wait;
        };
        if boxed.is_none() {
            let said = padded(Kind::Text, text, *sent_at);
            *boxed = seal(&self.own, &mut self.people, *to, Purpose::Whisper, &said, shown);
        }
        if let Some((to, boxed)) = boxed.clone() {
            return Due::Send(Numbered::Whisper { to, boxed });
        }
        let to = *to;
        if let Some(Item::Whisper { name, text, .. }) = self.outbox.drop_due() {
            let why = if self.rooms.have(to) { format!("nothing is sent to {name}") } else { gone(&name) };
            shown.push(Shown::Undelivered(notices::not_delivered(&why, None, &text)));
        }
        Due::Another
    }

    fn letter_due(&mut self) -> Due {
        let Some(Item::Letter { to, text, sent_at, written, .. }) = self.outbox.due_now() else {
            return Due::Wait;
        };
        let own = &self.own;
        let letter = written.get_or_insert_with(|| {
            let said = said(Kind::Text, text, *sent_at);
            let author = Author { identity: &own.identity, name: own.name.as_str(), server: own.server };
            letter::seal(&mut rand::rng(), &author, to, &said)
        });
        Due::Send(Numbered::Letter { to: to.fingerprint().0, letter: letter.clone() })
    }

    /// Whose a name is, as the server says: it is believed only if that is what is known.
    pub(super) fn found(&mut self, name: &Name, spki: &[u8], shown: &mut Vec<Shown>) -> Result<(), Broken> {
        let is_due = |request: &Request| matches!(request, Request::Lookup(pending) if pending.name == *name);
        let Some(Request::Lookup(due)) = self.requests.answered(is_due) else {
            return Err(Broken::Unasked("a Found"));
        };
        let Pending { name, known, text, sent_at } = due;
        match PublicIdentity::from_spki(spki) {
            Ok(to) if known.contains(&to.fingerprint()) => {
                self.outbox.push(Item::Letter { name, to, text, sent_at, written: None });
            }
            _ => shown.push(Shown::Undelivered(notices::false_key(&name, &known, &text))),
        }
        Ok(())
    }

    /// `n` was taken.
    pub(super) fn accepted(&mut self, n: u64, now: Moment, shown: &mut Vec<Shown>) -> Result<(), NotDue> {
        let (manner, name, text, sent_at) = match self.outbox.accepted(n)? {
            Item::Say { room, sealed, unread, .. } => {
                if let Some(sealed) = sealed {
                    self.rooms.settle(&room, &sealed);
                }
                let inside = self.rooms.get_mut(&room);
                if let (Some(change), Some(inside)) = (unread, inside)
                    && inside.speaking.is_news_that_nobody_reads(change)
                {
                    shown.push(Shown::Remark(notices::unread(&room)));
                }
                return Ok(());
            }
            Item::Share { .. } => return Ok(()),
            Item::Whisper { name, text, sent_at, .. } => (Manner::WhisperTo, name, text, sent_at),
            Item::Letter { name, text, sent_at, .. } => (Manner::LetterTo, name, text, sent_at),
        };
        shown.push(Shown::Message { sent_at, at: now.at, manner, name, text, is_action: false });
        Ok(())
    }

    /// `n` was not taken: it comes again by itself, or the user is told.
    pub(super) fn not_taken(
        &mut self,
        n: u64,
        code: ErrorCode,
        now: Instant,
        shown: &mut Vec<Shown>,
    ) -> Result<(), NotDue> {
        match self.outbox.not_taken(n, code, now)? {
            // What is boxed is counted: it goes as it is, before anything new is.
            NotTaken::ForNow(item @ (Item::Share { .. } | Item::Whisper { .. })) => {
                self.outbox.put_back(item, Form::Made);
            }
            NotTaken::ForNow(item) => self.outbox.put_back(item, Form::Unmade),
            NotTaken::ForGood(item) => {
                let room = if let Item::Say { room, .. } = &item { self.rooms.told(room) } else { None };
                let lost = self.is_lost(item, code);
                let told = lost.map(|(why, text)| notices::not_delivered(&why, room.as_ref(), &text));
                shown.extend(told.map(Shown::Undelivered));
            }
        }
        Ok(())
    }

    /// What has been refused for good: why, and what the user had said.
    fn is_lost(&mut self, item: Item, code: ErrorCode) -> Option<(String, Text)> {
        match item {
            Item::Say { room, text, sealed, .. } => {
                if let Some(sealed) = sealed {
                    self.rooms.refuse(&room, &sealed);
                }
                Some((why(code).to_owned(), text))
            }
            Item::Share { room, .. } => {
                self.rooms.get_mut(&room)?.speaking.forget_key();
                None
            }
            Item::Whisper { name, text, .. } => {
                Some((if code == ErrorCode::Absent { gone(&name) } else { why(code).to_owned() }, text))
            }
            Item::Letter { name, text, .. } => Some((
                match code {
                    ErrorCode::Absent => format!("this server does not know {name} any more"),
                    ErrorCode::Refused => format!("too many letters wait for {name} already"),
                    code => why(code).to_owned(),
                },
                text,
            )),
        }
    }
}

impl Item {
    /// Whether it goes on in another session of one's own; what was sealed for the last one is not used there.
    pub(super) fn goes_on(&mut self) -> bool {
        match self {
            Self::Say { sealed, .. } => *sealed = None,
            Self::Whisper { boxed, .. } => *boxed = None,
            Self::Letter { .. } => {}
            Self::Share { .. } => return false,
        }
        true
    }

    /// Whether it is something said in this room.
    pub(super) fn is_said_in(&self, room: &RoomName) -> bool {
        matches!(self, Self::Say { room: which, .. } if which == room)
    }

    /// What the user is told of one that was sent, and of which nobody knows more; rooms are named if there are several.
    pub(super) fn not_known(&self, are_several: bool) -> Option<Shown> {
        let told = match self {
            Self::Say { room, text, .. } => notices::not_known_in(are_several.then_some(room), text),
            Self::Whisper { name, text, .. } | Self::Letter { name, text, .. } => notices::not_known(name, text),
            Self::Share { .. } => return None,
        };
        Some(Shown::Undelivered(told))
    }
}

/// A box to somebody who is here and may have it, with the next count; and the number that the server is told. Somebody
/// to whom nothing can be sealed is told of.
fn seal(
    own: &Own,
    people: &mut People,
    to: Id,
    purpose: Purpose,
    text: &[u8],
    shown: &mut Vec<Shown>,
) -> Option<(Member, Vec<u8>)> {
    let number = people.directory.number(to)?;
    let keys = people.get(to).filter(|_| people.may_read(to))?.keys.clone();
    let counts = people.boxes(to)?;
    let rng = &mut rand::rng();
    match boxed::seal(rng, &own.credential, &keys, own.server, purpose, counts.next_sent(), text) {
        Ok(sealed) => Some((number, sealed)),
        // Its count is used up, and nothing is sent to them any more.
        Err(weak) => {
            shown.extend(people.shun(to, &weak.to_string()).map(Shown::Remark));
            None
        }
    }
}

fn said(kind: Kind, text: &Text, sent_at: u64) -> Said {
    Said { sent_at, kind, text: text.as_written().to_owned() }
}

fn padded(kind: Kind, text: &Text, sent_at: u64) -> Vec<u8> {
    said(kind, text, sent_at).pad()
}

fn gone(name: &Name) -> String {
    format!("{name} has just gone: another /whisper leaves a letter")
}

fn why(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::Refused => "you are not in that room",
        ErrorCode::Large => "it is too long for this server",
        ErrorCode::Volatile => "the server handed it out, but could not keep it",
        ErrorCode::Muted => "an operator has muted you",
        ErrorCode::Taken | ErrorCode::Password | ErrorCode::Invitation => "your name belongs to somebody else",
        ErrorCode::Absent => "there is nobody such",
        ErrorCode::Malformed | ErrorCode::Unsupported => "the server does not understand it",
        ErrorCode::Again | ErrorCode::Wait => "too fast",
    }
}
