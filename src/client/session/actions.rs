//! Requests of the user to the server: rooms, commands, a password; and the server's answers.

use zeroize::Zeroizing;

use super::super::notices;
use super::super::outbox::CAPACITY;
use super::super::ui_event::{UiEvent, lines};
use super::outgoing::{OutboxItem, SendError};
use super::requests::{JoinReason, Request, UnexpectedReplyError};
use super::{ClientSession, Id, JoinState, Progress, ProtocolError};
use crate::chat::Now;
use crate::chat::message::{ErrorCode, LeftReason};
use crate::chat::name::RoomName;

impl ClientSession {
    /// The room that one speaks in.
    ///
    /// # Errors
    /// [`SendError::Nowhere`] if there is none.
    pub fn focus(&self) -> Result<&RoomName, SendError> {
        self.rooms.focus().ok_or(SendError::Nowhere)
    }

    /// The rooms that one is in or comes back to by itself, the one in focus first.
    pub fn rooms(&self) -> impl Iterator<Item = &RoomName> {
        self.rooms.names()
    }

    /// True if there are rooms to choose from: one that is being left is none.
    #[must_use]
    pub fn has_a_choice(&self) -> bool {
        self.rooms().filter(|room| !self.is_leaving(room)).count() > 1
    }

    /// True if the server is yet to say whether one is in a room that the user has asked for. What is typed meanwhile may be
    /// meant for it, and for no other.
    #[must_use]
    pub fn is_joining(&self) -> bool {
        self.requests.all().any(|request| matches!(request, Request::Join { why: JoinReason::New, .. }))
    }

    /// Speaks in this room from now on: comes in, if one is not there.
    pub fn join_room(&mut self, room: &RoomName) {
        // One that is being left is left, and joined again.
        if self.is_leaving(room) || !self.rooms.set_focus(room) {
            self.requests.push(Request::Join { room: room.clone(), why: JoinReason::New, limbo: false });
        }
    }

    /// Speaks in this room, in which one is, from now on.
    ///
    /// # Errors
    /// [`SendError::NotThere`] if one is not.
    pub fn set_focus(&mut self, room: &RoomName) -> Result<(), SendError> {
        if self.is_leaving(room) || !self.rooms.set_focus(room) {
            return Err(SendError::NotThere(room.clone()));
        }
        Ok(())
    }

    /// Speaks nowhere until the user has chosen a room: what was meant for one room is not said in another.
    pub fn clear_focus(&mut self) {
        self.rooms.clear_focus();
    }

    /// Leaves a room, once what was said there is delivered.
    ///
    /// # Errors
    /// [`SendError`] if one is not there, or nowhere else.
    pub fn part(&mut self, room: &RoomName) -> Result<(), SendError> {
        if self.is_leaving(room) || self.rooms.get(room).is_none() {
            return Err(SendError::NotThere(room.clone()));
        }
        if !self.has_a_choice() {
            return Err(SendError::LastRoom);
        }
        self.requests.push(Request::Leave { room: room.clone(), again: false });
        let next = self.rooms.names().find(|room| !self.is_leaving(room)).cloned();
        if let Some(next) = next.filter(|_| self.rooms.focus() == Some(room)) {
            self.rooms.set_focus(&next);
        }
        Ok(())
    }

    /// Sends a server command; its answer is shown.
    pub fn command(&mut self, line: String) {
        self.requests.push(Request::Command(line));
    }

    /// Gives one's name this password; none if it is empty.
    pub fn set_password(&mut self, password: Zeroizing<String>) {
        self.requests.push(Request::Password(password));
    }

    /// True if a room is to be left, or being left.
    pub(super) fn is_leaving(&self, room: &RoomName) -> bool {
        self.requests.all().any(|request| matches!(request, Request::Leave { room: which, .. } if which == room))
    }

    /// True if a request may go now: a room is left when all that was said there has its answer.
    pub(super) fn may_ask(&self, request: &Request) -> bool {
        let Request::Leave { room, .. } = request else {
            return !self.leaving;
        };
        self.leaving || !self.outbox.unanswered().any(|item| item.is_said_in(room))
    }

    /// Returns the room left for requests.
    pub(super) fn takes_requests(&self) -> bool {
        self.requests.all().count() < CAPACITY
    }

    /// An Answer: to a command or a password, or unexpected.
    pub(super) fn answered(&mut self, text: &str, shown: &mut Vec<UiEvent>) -> Result<(), ProtocolError> {
        let is_due = |request: &Request| matches!(request, Request::Command(_) | Request::Password(_));
        self.requests.answered(is_due).ok_or(ProtocolError::Unasked("an Answer"))?;
        shown.extend(lines(text).map(UiEvent::Answer));
        Ok(())
    }

    /// An Error without a number: to the first Join, or to a request.
    pub(super) fn refused(
        &mut self,
        code: ErrorCode,
        text: String,
        now: Now,
        shown: &mut Vec<UiEvent>,
    ) -> Result<Progress, ProtocolError> {
        if !matches!(self.standing, JoinState::Inside) {
            return Ok(Progress::Refused(code, text));
        }
        let why = if text.is_empty() { code.to_string() } else { text };
        match self.requests.refused(code, now.tick) {
            Err(UnexpectedReplyError) => return Err(ProtocolError::Unasked("an Error")),
            Ok(Some(Request::Join { room, why: JoinReason::New, .. })) => {
                shown.push(UiEvent::Undelivered(notices::not_let_into(&room, &why)));
                return Ok(Progress::NotInThere);
            }
            Ok(Some(Request::Join { room, why: JoinReason::Again, .. })) => {
                shown.push(UiEvent::Remark(notices::not_back_in(&room, &why)));
                self.drop_room(&room, shown);
            }
            Ok(Some(Request::Lookup(pending))) => {
                let why = match code {
                    ErrorCode::Absent => format!("this server knows no user named {}", pending.name),
                    code => format!("the server does not identify {}: {code}", pending.name),
                };
                shown.push(UiEvent::Undelivered(notices::not_delivered(&why, None, &pending.text)));
            }
            Ok(Some(Request::Command(line))) => shown.push(UiEvent::Undelivered(notices::not_done(&line, &why))),
            Ok(Some(Request::Password(_))) => shown.push(UiEvent::Undelivered(notices::password_not_set(&why))),
            // That one is not there is what was wanted.
            Ok(Some(Request::Leave { room, .. })) if !self.leaving && self.rooms.count() > 1 => {
                self.drop_room(&room, shown);
            }
            Ok(Some(Request::Leave { .. }) | None) => {}
        }
        Ok(Progress::Goes)
    }

    /// One is not in a room any more, and does not come back to it by itself.
    pub(super) fn drop_room(&mut self, room: &RoomName, shown: &mut Vec<UiEvent>) {
        let was_told = self.rooms.told(room);
        let was_in_focus = self.rooms.focus() == Some(room);
        let gone = self.rooms.exit(room);
        self.drop_absent(&gone);
        let why = SendError::NotThere(room.clone()).to_string();
        for item in self.outbox.take_waiting(|item| item.is_said_in(room)) {
            if let OutboxItem::Say { text, .. } = item {
                shown.push(UiEvent::Undelivered(notices::not_delivered(&why, was_told.as_ref(), &text)));
            }
        }
        if let Some(focus) = self.rooms.focus().filter(|_| was_in_focus) {
            shown.push(UiEvent::Remark(notices::you_speak_in(focus)));
        }
    }

    /// Of these some may be in no room any more.
    pub(super) fn drop_absent(&mut self, sessions: &[Id]) {
        for session in sessions.iter().filter(|session| **session != self.id) {
            if !self.rooms.have(*session) {
                self.peers.go(*session);
                self.rooms.away.remove(session);
            }
        }
    }

    /// One's own session is not in a room any more.
    pub(super) fn on_self_left(
        &mut self,
        room: &RoomName,
        reason: LeftReason,
        shown: &mut Vec<UiEvent>,
    ) -> Result<(), ProtocolError> {
        let was_asked = reason == LeftReason::Left && self.requests.has_left(room);
        if reason == LeftReason::Left && !was_asked {
            return Err(ProtocolError::Unasked("one's own leaving"));
        }
        // Where one was last is known to the end; and from where one comes back.
        if self.leaving {
            return Ok(());
        }
        let is_last = self.rooms.count() < 2;
        shown.push(match (was_asked, is_last) {
            (true, _) => UiEvent::Answer(notices::you_have_left(room)),
            (false, true) => UiEvent::Remark(notices::kicked(room, reason)),
            (false, false) => UiEvent::Remark(notices::kicked_from(room, reason)),
        });
        if !is_last {
            self.drop_room(room, shown);
        }
        Ok(())
    }
}
