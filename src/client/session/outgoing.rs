//! Outgoing messages of the user: sealed when they are sent, for their readers only. PROTOCOL.md §7.

use std::time::Instant;

use super::super::notices;
use super::super::outbox::{Form, OutboxError, UnexpectedAckError};
use super::super::ui_event::{MessageKind, UiEvent};
use super::{ClientSession, Files, Id, JoinState, LocalUser, PeerTable, Pending, ProtocolError, Request};
use crate::chat::message::{ErrorCode, Numbered, ToServer};
use crate::chat::name::{Name, RoomName, Text, TextError};
use crate::chat::{Now, SessionNumber};
use crate::secure::e2e::body::{BodyKind, MessageBody};
use crate::secure::e2e::offline_message::{self, Author};
use crate::secure::e2e::sealed_box::{self, Purpose};
use crate::secure::e2e::sender_key::SealedMessage;
use crate::secure::identity::PublicIdentity;

/// A message that gets a number.
#[derive(Debug)]
pub(super) enum OutboxItem {
    /// A message to a room; with the roster change at which no member had the key, if so.
    Say { room: RoomName, kind: BodyKind, text: Text, sent_at: u64, sealed: Option<SealedMessage>, unread: Option<u64> },
    /// One's key for a room, to each of these; in boxes, once it has been sent.
    Share { room: RoomName, to: Vec<Id>, boxes: Vec<(SessionNumber, Vec<u8>)> },
    /// A whisper to a present peer; in a box, once it has been sent.
    Whisper { to: Id, name: Name, text: Text, sent_at: u64, boxed: Option<(SessionNumber, Vec<u8>)> },
    /// A letter to an absent user.
    Letter { name: Name, to: PublicIdentity, text: Text, sent_at: u64, written: Option<Vec<u8>> },
}

/// Next step for the message that is due.
enum Due {
    Send(Numbered),
    /// Another one is due now.
    Another,
    /// No message, until an answer arrives.
    Wait,
}

/// Reason why a text is not sent.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Its text.
    #[error(transparent)]
    Text(#[from] TextError),
    /// No user has that name.
    #[error("no user named {0} is here or known to you")]
    Nobody(Name),
    /// One's own name.
    #[error("that is you")]
    Oneself,
    /// The peer with that name is rejected.
    #[error("the present {0} is refused (/list), and is not the {0} you know")]
    Shunned(Name),
    /// No present member may read it.
    #[error("no member could read it: none is verified, and --verified-only is set")]
    Unread,
    /// No peer has whispered yet.
    #[error("no whisper has come yet")]
    NoWhisper,
    /// One is not in that room.
    #[error("you are not in {0}")]
    NotThere(RoomName),
    /// The user has not chosen a room since one that was meant was not to be had.
    #[error("no room is in focus: /focus #name chooses one")]
    Nowhere,
    /// A line was typed under another room's prompt.
    #[error("you left {0} while typing: send it again")]
    Elsewhere(RoomName),
    /// It is the only one.
    #[error("it is the only room you are in: EXIT leaves")]
    LastRoom,
    /// Fingerprints have not been compared, and that was asked for.
    #[error("{0} is not verified, and --verified-only was given")]
    NotVerified(Name),
}

impl ClientSession {
    /// Queues a text for the room in focus.
    ///
    /// # Errors
    /// [`SendError`] if it may not be sent; no text is cut.
    pub fn say(&mut self, kind: BodyKind, text: &str, now: Now) -> Result<(), SendError> {
        let text = Text::parse(text, self.longest_text)?;
        let room = self.focus()?.clone();
        let members = self.rooms.get(&room).into_iter().flat_map(|inside| inside.roster.members());
        let mut others = members.filter(|who| **who != self.id);
        if self.own.verified_only && others.clone().next().is_some() && !others.any(|who| self.peers.may_read(*who)) {
            return Err(SendError::Unread);
        }
        self.outbox.push(OutboxItem::Say { room, kind, text, sent_at: now.at, sealed: None, unread: None });
        Ok(())
    }

    /// Queues a whisper: as a box for a present peer, as a letter for an absent known user.
    ///
    /// # Errors
    /// [`SendError`] if it may not be said.
    pub fn whisper(&mut self, name: &Name, text: &str, now: Now, files: &Files) -> Result<(), SendError> {
        let text = Text::parse(text, self.longest_text)?;
        let sent_at = now.at;
        if let Some((to, present)) = self.peers.find(name) {
            let name = present.name.clone();
            if !self.peers.trusts(present.standing) {
                return Err(SendError::NotVerified(name));
            }
            self.outbox.push(OutboxItem::Whisper { to, name, text, sent_at, boxed: None });
            return Ok(());
        }
        if self.own.name.looks_like(name) {
            return Err(SendError::Oneself);
        }
        if self.peers.shuns(name) {
            return Err(SendError::Shunned(name.clone()));
        }
        match files.users.find(name) {
            None => Err(SendError::Nobody(name.clone())),
            Some((name, keys)) => {
                let known = keys.iter().filter(|key| key.verified || !self.own.verified_only);
                let known: Vec<_> = known.map(|key| key.fingerprint).collect();
                if known.is_empty() {
                    return Err(SendError::NotVerified(name.clone()));
                }
                let pending = Pending { name: name.clone(), known, text, sent_at };
                self.requests.push(Request::Lookup(pending));
                Ok(())
            }
        }
    }

    /// Queues a whisper to the last peer who whispered.
    ///
    /// # Errors
    /// [`SendError`] if it may not be said.
    pub fn reply(&mut self, text: &str, now: Now, files: &Files) -> Result<(), SendError> {
        let name = self.last_whisper.clone().ok_or(SendError::NoWhisper)?;
        self.whisper(&name, text, now, files)
    }

    /// True if it accepts another text.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.outbox.has_room() && self.takes_requests()
    }

    /// Returns the number of texts without a final answer.
    #[must_use]
    pub fn undelivered(&self) -> usize {
        self.unanswered_texts().count()
    }

    /// True if each text has its final answer. Stops at the first that has none.
    #[must_use]
    pub fn is_delivered(&self) -> bool {
        self.unanswered_texts().next().is_none()
    }

    /// True if each text and each request has its final answer.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.is_delivered() && self.requests.all().next().is_none()
    }

    fn unanswered_texts(&self) -> impl Iterator<Item = ()> {
        let requests = self.requests.all().filter(|request| request.is_said()).map(|_| ());
        let items = self.outbox.unanswered().filter(|item| !matches!(item, OutboxItem::Share { .. })).map(|_| ());
        requests.chain(items)
    }

    /// Returns the next message to send now. Reports messages that have lost their recipient.
    pub fn take_due(&mut self, now: Now, shown: &mut Vec<UiEvent>) -> Option<ToServer> {
        if matches!(self.standing, JoinState::Inside)
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
                OutboxItem::Say { .. } => self.say_due(shown),
                OutboxItem::Share { .. } => self.share_due(shown),
                OutboxItem::Whisper { .. } => self.whisper_due(shown),
                OutboxItem::Letter { .. } => self.letter_due(),
            };
            match due {
                Due::Wait => return None,
                Due::Another => {}
                Due::Send(body) => return self.outbox.sent(body.clone()).map(|n| ToServer::Numbered { n, body }),
            }
        }
    }

    /// True if the server accepts messages. A client that was removed from its rooms sends none.
    pub(super) fn may_speak(&self) -> bool {
        matches!(self.standing, JoinState::Inside) && (self.leaving || self.rooms.have(self.id))
    }

    fn asks(&mut self, now: Instant) -> Option<ToServer> {
        let next = self.requests.next()?;
        let may_go = self.may_ask(next) && !(self.catching_up && next.may_be_done());
        if may_go { self.requests.take_due(now) } else { None }
    }

    /// Prepares the Say that is due, once all readers have the key.
    fn say_due(&mut self, shown: &mut Vec<UiEvent>) -> Due {
        let Some(OutboxItem::Say { room, .. }) = self.outbox.due_now() else {
            return Due::Wait;
        };
        let (room, own) = (room.clone(), &self.own);
        let Some(inside) = self.rooms.get_mut(&room) else {
            if self.rooms.are_with(&room) {
                return Due::Wait;
            }
            if let Some(OutboxItem::Say { text, .. }) = self.outbox.drop_due() {
                let why = SendError::NotThere(room).to_string();
                shown.push(UiEvent::Undelivered(notices::not_delivered(&why, None, &text)));
            }
            return Due::Another;
        };
        if !inside.sender_key.is_ready() {
            // Unanswered texts were not meant for a newcomer, and may still be returned.
            if self.outbox.in_flight().any(|item| item.is_said_in(&room)) {
                return Due::Wait;
            }
            for to in inside.sender_key.prepare(self.id, &inside.roster, &self.peers).into_iter().rev() {
                self.outbox.push_first(OutboxItem::Share { room: room.clone(), to, boxes: Vec::new() });
            }
            return Due::Another;
        }
        let Some(OutboxItem::Say { kind, text, sent_at, sealed, unread, .. }) = self.outbox.due_now() else {
            return Due::Wait;
        };
        *unread = (!inside.sender_key.has_recipients()).then_some(inside.roster.change());
        let said = padded(*kind, text, *sent_at);
        let Some(ready) = inside.sender_key.seal(&said, sealed.take()) else {
            return Due::Wait;
        };
        let change = inside.roster.change();
        let envelope = ready.sign(&own.credential, own.server, room.as_str(), inside.roster.hash());
        *sealed = Some(ready);
        Due::Send(Numbered::Say { room, change, envelope })
    }

    /// A room has changed: what was written for it as it was may go at once.
    pub(super) fn on_roster_changed(&mut self, room: &RoomName) {
        let first = self.outbox.unanswered().find(|item| matches!(item, OutboxItem::Say { .. }));
        if first.is_some_and(|item| item.is_said_in(room)) {
            self.outbox.room_changed();
        }
    }

    /// The Share that is due, for those who are still here. One that comes again is what it was: its boxes are counted.
    fn share_due(&mut self, shown: &mut Vec<UiEvent>) -> Due {
        let Some(OutboxItem::Share { room, to, boxes }) = self.outbox.due_now() else {
            return Due::Wait;
        };
        // A key that is not used any more is not sent any more.
        let key = self.rooms.get(room).and_then(|inside| inside.sender_key.shared(room.as_str()));
        if let Some(key) = key.filter(|_| boxes.is_empty()) {
            for session in to.drain(..) {
                let sealed = seal(&self.own, &mut self.peers, session, Purpose::Key, &key, shown);
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
    fn whisper_due(&mut self, shown: &mut Vec<UiEvent>) -> Due {
        let Some(OutboxItem::Whisper { to, text, sent_at, boxed, .. }) = self.outbox.due_now() else {
            return Due::Wait;
        };
        if boxed.is_none() {
            let said = padded(BodyKind::Text, text, *sent_at);
            *boxed = seal(&self.own, &mut self.peers, *to, Purpose::Whisper, &said, shown);
        }
        if let Some((to, boxed)) = boxed.clone() {
            return Due::Send(Numbered::Whisper { to, boxed });
        }
        let to = *to;
        if let Some(OutboxItem::Whisper { name, text, .. }) = self.outbox.drop_due() {
            let why = if self.rooms.have(to) { format!("nothing is sent to {name}") } else { gone(&name) };
            shown.push(UiEvent::Undelivered(notices::not_delivered(&why, None, &text)));
        }
        Due::Another
    }

    fn letter_due(&mut self) -> Due {
        let Some(OutboxItem::Letter { to, text, sent_at, written, .. }) = self.outbox.due_now() else {
            return Due::Wait;
        };
        let own = &self.own;
        let letter = written.get_or_insert_with(|| {
            let said = said(BodyKind::Text, text, *sent_at);
            let author = Author { identity: &own.identity, name: own.name.as_str(), server: own.server };
            offline_message::seal(&mut rand::rng(), &author, to, &said)
        });
        Due::Send(Numbered::Letter { to: to.fingerprint().0, letter: letter.clone() })
    }

    /// Handles the owner of a name, as the server claims: accepted only if that key is known.
    pub(super) fn found(&mut self, name: &Name, spki: &[u8], shown: &mut Vec<UiEvent>) -> Result<(), ProtocolError> {
        let is_due = |request: &Request| matches!(request, Request::Lookup(pending) if pending.name == *name);
        let Some(Request::Lookup(due)) = self.requests.answered(is_due) else {
            return Err(ProtocolError::Unasked("a Found"));
        };
        let Pending { name, known, text, sent_at } = due;
        match PublicIdentity::from_spki(spki) {
            Ok(to) if known.contains(&to.fingerprint()) => {
                self.outbox.push(OutboxItem::Letter { name, to, text, sent_at, written: None });
            }
            _ => shown.push(UiEvent::Undelivered(notices::false_key(&name, &known, &text))),
        }
        Ok(())
    }

    /// `n` was taken.
    pub(super) fn accepted(&mut self, n: u64, now: Now, shown: &mut Vec<UiEvent>) -> Result<(), UnexpectedAckError> {
        let (manner, name, text, sent_at) = match self.outbox.accepted(n)? {
            OutboxItem::Say { room, sealed, unread, .. } => {
                if let Some(sealed) = sealed {
                    self.rooms.settle(&room, &sealed);
                }
                let inside = self.rooms.get_mut(&room);
                if let (Some(change), Some(inside)) = (unread, inside)
                    && inside.sender_key.should_warn_no_recipient(change)
                {
                    shown.push(UiEvent::Remark(notices::unread(&room)));
                }
                return Ok(());
            }
            OutboxItem::Share { .. } => return Ok(()),
            OutboxItem::Whisper { name, text, sent_at, .. } => (MessageKind::WhisperTo, name, text, sent_at),
            OutboxItem::Letter { name, text, sent_at, .. } => (MessageKind::LetterTo, name, text, sent_at),
        };
        shown.push(UiEvent::Message { sent_at, at: now.at, manner, name, text, is_action: false });
        Ok(())
    }

    /// `n` was not taken: it comes again by itself, or the user is told.
    pub(super) fn not_taken(
        &mut self,
        n: u64,
        code: ErrorCode,
        now: Instant,
        shown: &mut Vec<UiEvent>,
    ) -> Result<(), UnexpectedAckError> {
        match self.outbox.not_taken(n, code, now)? {
            // A sealed box is counted: it is sent as it is, before any new one.
            OutboxError::ForNow(item @ (OutboxItem::Share { .. } | OutboxItem::Whisper { .. })) => {
                self.outbox.put_back(item, Form::Made);
            }
            OutboxError::ForNow(item) => self.outbox.put_back(item, Form::Unmade),
            OutboxError::ForGood(item) => {
                let room = if let OutboxItem::Say { room, .. } = &item { self.rooms.told(room) } else { None };
                let lost = self.on_outbox_item_lost(item, code);
                let told = lost.map(|(why, text)| notices::not_delivered(&why, room.as_ref(), &text));
                shown.extend(told.map(UiEvent::Undelivered));
            }
        }
        Ok(())
    }

    /// Handles a message that was refused for good: returns the reason, and the text.
    fn on_outbox_item_lost(&mut self, item: OutboxItem, code: ErrorCode) -> Option<(String, Text)> {
        match item {
            OutboxItem::Say { room, text, sealed, .. } => {
                if let Some(sealed) = sealed {
                    self.rooms.refuse(&room, &sealed);
                }
                Some((why(code).to_owned(), text))
            }
            OutboxItem::Share { room, .. } => {
                self.rooms.get_mut(&room)?.sender_key.forget_key();
                None
            }
            OutboxItem::Whisper { name, text, .. } => {
                Some((if code == ErrorCode::Absent { gone(&name) } else { why(code).to_owned() }, text))
            }
            OutboxItem::Letter { name, text, .. } => Some((
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

impl OutboxItem {
    /// True if it goes on in another session of one's own; what was sealed for the last one is not used there.
    pub(super) fn goes_on(&mut self) -> bool {
        match self {
            Self::Say { sealed, .. } => *sealed = None,
            Self::Whisper { boxed, .. } => *boxed = None,
            Self::Letter { .. } => {}
            Self::Share { .. } => return false,
        }
        true
    }

    /// True if it is a text for this room.
    pub(super) fn is_said_in(&self, room: &RoomName) -> bool {
        matches!(self, Self::Say { room: which, .. } if which == room)
    }

    /// Text for the user about a message whose delivery is unknown; names the room if there are several.
    pub(super) fn not_known(&self, are_several: bool) -> Option<UiEvent> {
        let told = match self {
            Self::Say { room, text, .. } => notices::not_known_in(are_several.then_some(room), text),
            Self::Whisper { name, text, .. } | Self::Letter { name, text, .. } => notices::not_known(name, text),
            Self::Share { .. } => return None,
        };
        Some(UiEvent::Undelivered(told))
    }
}

/// Seals a box to a present peer with the next count; returns the peer's number too. Reports a peer
/// to whom no box can be sealed.
fn seal(
    own: &LocalUser,
    peers: &mut PeerTable,
    to: Id,
    purpose: Purpose,
    text: &[u8],
    shown: &mut Vec<UiEvent>,
) -> Option<(SessionNumber, Vec<u8>)> {
    let number = peers.session_numbers.number(to)?;
    let keys = peers.get(to).filter(|_| peers.may_read(to))?.keys.clone();
    let counts = peers.boxes(to)?;
    let rng = &mut rand::rng();
    match sealed_box::seal(rng, &own.credential, &keys, own.server, purpose, counts.next_sent(), text) {
        Ok(sealed) => Some((number, sealed)),
        // Its count is used up, and the peer receives no more boxes.
        Err(weak) => {
            shown.extend(peers.reject(to, &weak.to_string()).map(UiEvent::Remark));
            None
        }
    }
}

fn said(kind: BodyKind, text: &Text, sent_at: u64) -> MessageBody {
    MessageBody { sent_at, kind, text: text.as_written().to_owned() }
}

fn padded(kind: BodyKind, text: &Text, sent_at: u64) -> Vec<u8> {
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
        ErrorCode::Taken | ErrorCode::Password | ErrorCode::Invitation => "your name belongs to another user",
        ErrorCode::Absent => "no such user",
        ErrorCode::Malformed | ErrorCode::Unsupported => "the server does not understand it",
        ErrorCode::Again | ErrorCode::Wait => "too fast",
    }
}
