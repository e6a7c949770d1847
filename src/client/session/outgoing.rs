//! What the user says, on its way out: sealed when it is sent, and only for those who may read it. PROTOCOL.md §7.

use std::time::Instant;

use super::super::notices;
use super::super::outbox::{CAPACITY, Form, NotDue, NotTaken};
use super::super::view::{Manner, Shown};
use super::asking::Asked;
use super::letters::Pending;
use super::{Broken, Files, Id, Own, People, Session, Standing};
use crate::chat::Moment;
use crate::chat::message::{ErrorCode, Numbered, ToServer};
use crate::chat::name::{BadText, Name, Text};
use crate::secure::e2e::boxed::{self, Purpose};
use crate::secure::e2e::letter::{self, Author};
use crate::secure::e2e::sender_key::SealedSaid;
use crate::secure::e2e::text::{Kind, Said};
use crate::secure::identity::PublicIdentity;

/// Something that gets a number.
#[derive(Debug)]
pub(super) enum Item {
    /// Something to the room.
    Say { kind: Kind, text: Text, sent_at: u64, sealed: Option<SealedSaid> },
    /// One's key, to each of these; in boxes, once it has been sent.
    Share { to: Vec<Id>, boxes: Vec<(Id, Vec<u8>)> },
    /// Something to somebody who is here; in a box, once it has been sent.
    Whisper { to: Id, name: Name, text: Text, sent_at: u64, boxed: Option<Vec<u8>> },
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
    /// Fingerprints have not been compared, and that was asked for.
    #[error("{0} is not verified, and --verified-only was given")]
    NotVerified(Name),
}

impl Session {
    /// Takes something to say to the room.
    ///
    /// # Errors
    /// [`NotSaid`] if it may not be said; nothing is cut.
    pub fn say(&mut self, kind: Kind, text: &str, now: Moment) -> Result<(), NotSaid> {
        let text = Text::parse(text, self.longest_text)?;
        let mut others = self.inside.iter().flat_map(|inside| inside.roster.members()).filter(|who| **who != self.id);
        if self.own.verified_only && others.clone().next().is_some() && !others.any(|who| self.people.may_read(*who)) {
            return Err(NotSaid::Unread);
        }
        self.outbox.push(Item::Say { kind, text, sent_at: now.at, sealed: None });
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
                self.letters.push(Pending { name: name.clone(), known, text, sent_at });
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
        self.outbox.has_room() && self.letters.len() < CAPACITY
    }

    /// How much has been said that has no final answer.
    #[must_use]
    pub fn undelivered(&self) -> usize {
        self.asking.len()
            + self.letters.len()
            + self.outbox.unanswered().filter(|item| !matches!(item, Item::Share { .. })).count()
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
            return Some(ToServer::Seen(self.cursor));
        }
        if self.leaving {
            return None;
        }
        if let Some(asked) = self.asking.take_due() {
            return Some(asked);
        }
        if let Some(name) = self.letters.take_due(now.tick) {
            return Some(self.asking.looks_up(name));
        }
        loop {
            let due = match self.outbox.due(now.tick)? {
                Item::Say { .. } => self.say_due(),
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
        let is_in = |inside: &super::Inside| self.leaving || inside.roster.has(self.id);
        matches!(self.standing, Standing::Inside) && self.inside.as_ref().is_some_and(is_in)
    }

    /// The Say that is due, once everybody who may read it has the key.
    fn say_due(&mut self) -> Due {
        let (Some(inside), own) = (&mut self.inside, &self.own) else {
            return Due::Wait;
        };
        if !inside.speaking.is_ready() {
            // What has no answer yet was not meant for whoever has come, and may still come back.
            if self.outbox.in_flight().any(|item| matches!(item, Item::Say { .. })) {
                return Due::Wait;
            }
            for share in inside.speaking.prepare(self.id, &inside.roster, &self.people).into_iter().rev() {
                self.outbox.push_first(Item::Share { to: share, boxes: Vec::new() });
            }
            return Due::Another;
        }
        let Some(Item::Say { kind, text, sent_at, sealed }) = self.outbox.due_now() else {
            return Due::Wait;
        };
        let said = padded(*kind, text, *sent_at);
        let Some(ready) = inside.speaking.seal(&said, sealed.take()) else {
            return Due::Wait;
        };
        let (room, change) = (self.room.clone(), inside.roster.change());
        let envelope = ready.sign(&own.credential, own.server, room.as_str(), inside.roster.hash());
        *sealed = Some(ready);
        Due::Send(Numbered::Say { room, change, envelope })
    }

    /// The Share that is due, for those who are still here. One that comes again is what it was: its boxes are counted.
    fn share_due(&mut self, shown: &mut Vec<Shown>) -> Due {
        let Some(Item::Share { to, boxes }) = self.outbox.due_now() else {
            return Due::Wait;
        };
        // A key that is not used any more is not sent any more.
        let key = self.inside.as_ref().and_then(|inside| inside.speaking.shared(self.room.as_str()));
        if let Some(key) = key.filter(|_| boxes.is_empty()) {
            for session in to.drain(..) {
                let sealed = seal(&self.own, &mut self.people, session, Purpose::Key, &key, shown);
                boxes.extend(sealed.map(|boxed| (session, boxed)));
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
        if let Some(boxed) = boxed.clone() {
            return Due::Send(Numbered::Whisper { to: *to, boxed });
        }
        let to = *to;
        if let Some(Item::Whisper { name, text, .. }) = self.outbox.drop_due() {
            let is_here = self.inside.as_ref().is_some_and(|inside| inside.roster.has(to));
            let why = if is_here { format!("nothing is sent to {name}") } else { gone(&name) };
            shown.push(Shown::Undelivered(notices::not_delivered(&why, &text)));
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
        let due = self.letters.found(name).ok_or(Broken::Unasked("a Found"))?;
        self.asking.answers(Asked::Lookup).ok_or(Broken::Unasked("a Found"))?;
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
            Item::Say { sealed, .. } => {
                if let (Some(inside), Some(sealed)) = (&mut self.inside, sealed) {
                    inside.speaking.settle(&sealed);
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
                let lost = self.is_lost(item, code);
                shown.extend(lost.map(|(why, text)| Shown::Undelivered(notices::not_delivered(&why, &text))));
            }
        }
        Ok(())
    }

    /// What has been refused for good: why, and what the user had said.
    fn is_lost(&mut self, item: Item, code: ErrorCode) -> Option<(String, Text)> {
        let speaking = self.inside.as_mut().map(|inside| &mut inside.speaking);
        match item {
            Item::Say { text, sealed, .. } => {
                if let (Some(speaking), Some(sealed)) = (speaking, sealed) {
                    speaking.refused(&sealed);
                }
                Some((why(code).to_owned(), text))
            }
            Item::Share { .. } => {
                speaking?.forget_key();
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

    /// What the user is told of one that was sent, and of which nobody knows more.
    pub(super) fn not_known(&self) -> Option<Shown> {
        let told = match self {
            Self::Say { text, .. } => notices::not_known(None, text),
            Self::Whisper { name, text, .. } | Self::Letter { name, text, .. } => notices::not_known(Some(name), text),
            Self::Share { .. } => return None,
        };
        Some(Shown::Undelivered(told))
    }
}

/// A box to somebody who is here and may have it, with the next count. Somebody to whom nothing can be sealed is told of.
fn seal(
    own: &Own,
    people: &mut People,
    to: Id,
    purpose: Purpose,
    text: &[u8],
    shown: &mut Vec<Shown>,
) -> Option<Vec<u8>> {
    let keys = people.get(to).filter(|_| people.may_read(to))?.keys.clone();
    let counts = people.boxes(to)?;
    let rng = &mut rand::rng();
    match boxed::seal(rng, &own.credential, &keys, own.server, purpose, counts.next_sent(), text) {
        Ok(sealed) => Some(sealed),
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
        ErrorCode::Password | ErrorCode::Taken | ErrorCode::Absent => "there is nobody such",
        ErrorCode::Malformed | ErrorCode::Unsupported => "the server does not understand it",
        ErrorCode::Again | ErrorCode::Wait => "too fast",
    }
}
