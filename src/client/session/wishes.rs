//! What the user wants of the server: rooms, commands, a password; and what it says to that.

use zeroize::Zeroizing;

use super::super::notices;
use super::super::outbox::CAPACITY;
use super::super::view::{Shown, lines};
use super::outgoing::{Item, NotSaid};
use super::requests::{NotAsked, Request, Wish};
use super::{Broken, Id, Progress, Session, Standing};
use crate::chat::Moment;
use crate::chat::message::{ErrorCode, LeftReason};
use crate::chat::name::RoomName;

impl Session {
    /// The room that one speaks in.
    ///
    /// # Errors
    /// [`NotSaid::Nowhere`] if there is none.
    pub fn focus(&self) -> Result<&RoomName, NotSaid> {
        self.rooms.focus().ok_or(NotSaid::Nowhere)
    }

    /// The rooms that one is in or comes back to by itself, the one in focus first.
    pub fn rooms(&self) -> impl Iterator<Item = &RoomName> {
        self.rooms.names()
    }

    /// Whether there are rooms to choose from: one that is being left is none.
    #[must_use]
    pub fn has_a_choice(&self) -> bool {
        self.rooms().filter(|room| !self.is_leaving(room)).count() > 1
    }

    /// Whether the server is yet to say whether one is in a room that the user has asked for. What is typed meanwhile may be
    /// meant for it, and for no other.
    #[must_use]
    pub fn is_joining(&self) -> bool {
        self.requests.all().any(|request| matches!(request, Request::Join { why: Wish::New, .. }))
    }

    /// Speaks in this room from now on: comes in, if one is not there.
    pub fn join_room(&mut self, room: &RoomName) {
        // One that is being left is left, and joined again.
        if self.is_leaving(room) || !self.rooms.look_at(room) {
            self.requests.push(Request::Join { room: room.clone(), why: Wish::New, limbo: false });
        }
    }

    /// Speaks in this room, in which one is, from now on.
    ///
    /// # Errors
    /// [`NotSaid::NotThere`] if one is not.
    pub fn look_at(&mut self, room: &RoomName) -> Result<(), NotSaid> {
        if self.is_leaving(room) || !self.rooms.look_at(room) {
            return Err(NotSaid::NotThere(room.clone()));
        }
        Ok(())
    }

    /// Speaks nowhere until the user has chosen a room: what was meant for one room is not said in another.
    pub fn look_nowhere(&mut self) {
        self.rooms.look_nowhere();
    }

    /// Leaves a room, once what was said there is delivered.
    ///
    /// # Errors
    /// [`NotSaid`] if one is not there, or nowhere else.
    pub fn part(&mut self, room: &RoomName) -> Result<(), NotSaid> {
        if self.is_leaving(room) || self.rooms.get(room).is_none() {
            return Err(NotSaid::NotThere(room.clone()));
        }
        if !self.has_a_choice() {
            return Err(NotSaid::LastRoom);
        }
        self.requests.push(Request::Leave { room: room.clone(), again: false });
        let next = self.rooms.names().find(|room| !self.is_leaving(room)).cloned();
        if let Some(next) = next.filter(|_| self.rooms.focus() == Some(room)) {
            self.rooms.look_at(&next);
        }
        Ok(())
    }

    /// Has the server do something; what it says to it is shown.
    pub fn command(&mut self, line: String) {
        self.requests.push(Request::Command(line));
    }

    /// Gives one's name this password; none if it is empty.
    pub fn set_password(&mut self, password: Zeroizing<String>) {
        self.requests.push(Request::Password(password));
    }

    /// Whether a room is to be left, or being left.
    pub(super) fn is_leaving(&self, room: &RoomName) -> bool {
        self.requests.all().any(|request| matches!(request, Request::Leave { room: which, .. } if which == room))
    }

    /// Whether a request may go now: a room is left when all that was said there has its answer.
    pub(super) fn may_ask(&self, request: &Request) -> bool {
        let Request::Leave { room, .. } = request else {
            return !self.leaving;
        };
        self.leaving || !self.outbox.unanswered().any(|item| item.is_said_in(room))
    }

    /// How many requests there is room for.
    pub(super) fn takes_requests(&self) -> bool {
        self.requests.all().count() < CAPACITY
    }

    /// An Answer: to a command or a password, or to nothing.
    pub(super) fn answered(&mut self, text: &str, shown: &mut Vec<Shown>) -> Result<(), Broken> {
        let is_due = |request: &Request| matches!(request, Request::Command(_) | Request::Password(_));
        self.requests.answered(is_due).ok_or(Broken::Unasked("an Answer"))?;
        shown.extend(lines(text).map(Shown::Answer));
        Ok(())
    }

    /// An Error that answers nothing counted: the first Join, or a request.
    pub(super) fn refused(
        &mut self,
        code: ErrorCode,
        text: String,
        now: Moment,
        shown: &mut Vec<Shown>,
    ) -> Result<Progress, Broken> {
        if !matches!(self.standing, Standing::Inside) {
            return Ok(Progress::Refused(code, text));
        }
        let why = if text.is_empty() { code.to_string() } else { text };
        match self.requests.refused(code, now.tick) {
            Err(NotAsked) => return Err(Broken::Unasked("an Error")),
            Ok(Some(Request::Join { room, why: Wish::New, .. })) => {
                shown.push(Shown::Undelivered(notices::not_let_into(&room, &why)));
                return Ok(Progress::NotInThere);
            }
            Ok(Some(Request::Join { room, why: Wish::Again, .. })) => {
                shown.push(Shown::Remark(notices::not_back_in(&room, &why)));
                self.is_lost_to(&room, shown);
            }
            Ok(Some(Request::Lookup(pending))) => {
                let why = match code {
                    ErrorCode::Absent => format!("this server knows nobody named {}", pending.name),
                    code => format!("the server does not say who {} is: {code}", pending.name),
                };
                shown.push(Shown::Undelivered(notices::not_delivered(&why, None, &pending.text)));
            }
            Ok(Some(Request::Command(line))) => shown.push(Shown::Undelivered(notices::not_done(&line, &why))),
            Ok(Some(Request::Password(_))) => shown.push(Shown::Undelivered(notices::password_not_set(&why))),
            // That one is not there is what was wanted.
            Ok(Some(Request::Leave { room, .. })) if !self.leaving && self.rooms.count() > 1 => {
                self.is_lost_to(&room, shown);
            }
            Ok(Some(Request::Leave { .. }) | None) => {}
        }
        Ok(Progress::Goes)
    }

    /// One is not in a room any more, and does not come back to it by itself.
    pub(super) fn is_lost_to(&mut self, room: &RoomName, shown: &mut Vec<Shown>) {
        let was_told = self.rooms.told(room);
        let was_in_focus = self.rooms.focus() == Some(room);
        let gone = self.rooms.exit(room);
        self.are_gone(&gone);
        let why = NotSaid::NotThere(room.clone()).to_string();
        for item in self.outbox.take_waiting(|item| item.is_said_in(room)) {
            if let Item::Say { text, .. } = item {
                shown.push(Shown::Undelivered(notices::not_delivered(&why, was_told.as_ref(), &text)));
            }
        }
        if let Some(focus) = self.rooms.focus().filter(|_| was_in_focus) {
            shown.push(Shown::Remark(notices::you_speak_in(focus)));
        }
    }

    /// Of these some may be in no room any more.
    pub(super) fn are_gone(&mut self, sessions: &[Id]) {
        for session in sessions.iter().filter(|session| **session != self.id) {
            if !self.rooms.have(*session) {
                self.people.go(*session);
                self.rooms.away.remove(session);
            }
        }
    }

    /// One's own session is not in a room any more.
    pub(super) fn is_out(&mut self, room: &RoomName, reason: LeftReason, shown: &mut Vec<Shown>) -> Result<(), Broken> {
        let was_asked = reason == LeftReason::Left && self.requests.has_left(room);
        if reason == LeftReason::Left && !was_asked {
            return Err(Broken::Unasked("one's own leaving"));
        }
        // Where one was last is known to the end; and from where one comes back.
        if self.leaving {
            return Ok(());
        }
        let is_last = self.rooms.count() < 2;
        shown.push(match (was_asked, is_last) {
            (true, _) => Shown::Answer(notices::you_have_left(room)),
            (false, true) => Shown::Remark(notices::put_out(room, reason)),
            (false, false) => Shown::Remark(notices::put_out_of(room, reason)),
        });
        if !is_last {
            self.is_lost_to(room, shown);
        }
        Ok(())
    }
}
