//! Numbered messages, and the events that they cause. PROTOCOL.md §6 "Numbers".

use super::{
    Audience, AuditEvent, ChatState, ConnectionId, Effect, ErrorCode, Event, JournalRecord, LogEntry, MAX_TEXT,
    NOT_DONE, Now, Numbered, Outcome, RoomName, SeqStatus, SessionNumber, SessionState, ToClient,
};

/// Size of an envelope over its text, at most, in bytes.
const ENVELOPE_OVER_TEXT: usize = 512;

impl ChatState {
    pub(super) fn handle_numbered(
        &mut self,
        from: ConnectionId,
        member: SessionNumber,
        n: u64,
        body: Numbered,
        now: Now,
        out: &mut Vec<Effect>,
    ) {
        let Some(present) = self.present.get_mut(&member) else {
            return;
        };
        let answer = |n, outcome| Effect::Answer(from, member, n, outcome);
        match present.numbers.standing(n) {
            SeqStatus::Answered(None) => return out.push(answer(n, Ok(()))),
            SeqStatus::Answered(Some(code)) => return out.push(answer(n, Err(code))),
            SeqStatus::TooHigh(next) => return out.push(answer(next, Err(ErrorCode::Again))),
            SeqStatus::Next => {}
        }
        if !present.try_consume(&self.limits, now) {
            return out.push(answer(n, Err(ErrorCode::Wait)));
        }
        let done = match body {
            Numbered::Say { room, change, envelope } => self.say(member, room, change, envelope, now, out),
            Numbered::Whisper { to, boxed } => self.whisper(member, to, boxed, now, out),
            Numbered::Share(boxes) => self.share(member, boxes, now, out),
            Numbered::Letter { to, letter } => self.letter(member, n, to, &letter, now, out),
            Numbered::Malformed => Err(ErrorCode::Malformed),
        };
        let Some(SessionState { numbers, .. }) = self.present.get_mut(&member) else {
            return;
        };
        match done {
            Ok(()) => numbers.accept(),
            Err(ErrorCode::Again) => return out.push(answer(n, done)),
            Err(code) => numbers.refuse(code),
        }
        out.push(Effect::Keep(JournalRecord::Number { member, last: n, refused: done.err() }));
        out.push(answer(n, done));
    }

    /// A message to a room.
    fn say(
        &mut self,
        from: SessionNumber,
        room: RoomName,
        change: u64,
        envelope: Vec<u8>,
        now: Now,
        out: &mut Vec<Effect>,
    ) -> Result<(), ErrorCode> {
        let present = self.present.get(&from).ok_or(ErrorCode::Refused)?;
        let open = self.rooms.get(&room).filter(|_| present.is_in(&room)).ok_or(ErrorCode::Refused)?;
        self.check_not_muted(from, now)?;
        if envelope.len() > MAX_TEXT + ENVELOPE_OVER_TEXT {
            return Err(ErrorCode::Large);
        }
        if !open.roster.takes(change, now) {
            return Err(ErrorCode::Again);
        }
        self.counts.messages += 1;
        self.counts.deliveries += open.roster.members().len() as u64 - 1;
        self.broadcast(&room.clone(), Some(from), &[], Event::Said { room, who: from, change, envelope }, now, out);
        out.push(Effect::Note(AuditEvent::Exchanged));
        Ok(())
    }

    /// Checks that the user is not muted.
    pub(super) fn check_not_muted(&self, member: SessionNumber, now: Now) -> Result<(), ErrorCode> {
        if self.order.mutes_nobody() {
            return Ok(());
        }
        let Some(SessionState { account, user, .. }) = self.present.get(&member) else { return Ok(()) };
        // Another name of the same key is muted too.
        let mut names = self.accounts.of(user.owner).map(|name| name.id).chain([*account]);
        if names.any(|name| self.order.muted(name, now.at).is_some()) { Err(ErrorCode::Muted) } else { Ok(()) }
    }

    /// Broadcasts an event to a room. `before` precedes it, for the same readers.
    pub(super) fn broadcast(
        &mut self,
        room: &RoomName,
        except: Option<SessionNumber>,
        before: &[u8],
        event: Event,
        now: Now,
        out: &mut Vec<Effect>,
    ) {
        let Some(open) = self.rooms.get_mut(room) else {
            return;
        };
        self.cursor += 1;
        open.happens(self.cursor, except);
        let event = ToClient::Event { cursor: self.cursor, at: now.at, event }.encode();
        let bytes = if before.is_empty() { event.into() } else { [before, &event].concat().into() };
        let (id, entry) = (open.id, LogEntry { cursor: self.cursor, except, bytes });
        out.push(Effect::Post(id, entry.clone()));
        self.retain_event(Audience::Room(id), entry, now, out);
    }

    /// Sends an event to one session.
    pub(super) fn send_event(&mut self, to: SessionNumber, event: Event, now: Now, out: &mut Vec<Effect>) {
        let Some(present) = self.present.get_mut(&to) else {
            return;
        };
        self.cursor += 1;
        present.last = self.cursor;
        let bytes = ToClient::Event { cursor: self.cursor, at: now.at, event }.encode().into();
        let entry = LogEntry { cursor: self.cursor, except: None, bytes };
        out.push(Effect::One(present.conn(), to, entry.clone()));
        self.retain_event(Audience::One(to), entry, now, out);
    }
}

/// The answer to a counted message.
#[must_use]
pub fn answer(n: u64, outcome: Outcome) -> ToClient {
    let Err(code) = outcome else {
        return ToClient::Accepted(n);
    };
    let text = match code {
        ErrorCode::Refused => "not in that room, or too many letters wait",
        ErrorCode::Absent => "no such user",
        ErrorCode::Large => "too long",
        ErrorCode::Malformed => "wrong fields",
        ErrorCode::Unsupported => NOT_DONE,
        ErrorCode::Again => "the room has changed, or a message before it is missing",
        ErrorCode::Wait => "too fast",
        ErrorCode::Volatile => "handed out, but the disk could not keep it",
        ErrorCode::Muted => "you are muted",
        ErrorCode::Password | ErrorCode::Invitation | ErrorCode::Taken => "",
    };
    ToClient::Error { code, text: text.to_owned(), n }
}
