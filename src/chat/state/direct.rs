//! Messages to one session or user: whispers, shared keys, letters. PROTOCOL.md §6 "To one".

use super::{AuditEvent, ChatState, Effect, User, lasts, refusal, tell};
use crate::chat::mailbox::QueuedLetter;
use crate::chat::message::{ErrorCode, Event, ToClient};
use crate::chat::name::{MAX_TEXT, Name};
use crate::chat::registry_record::Account;
use crate::chat::{ConnectionId, Now, Owner, SessionNumber};
use crate::wire::codec::{DecodeError, Reader};

/// Size of a box over its text, at most, in bytes.
const BOX_OVER_TEXT: usize = 512;
const LETTER_OVER_TEXT: usize = 2_048;
/// Limits on a shared key's box, in bytes, and on the boxes of one message.
const MAX_KEY_BOX: usize = 1_024;
const MAX_BOXES: usize = 128;

impl ChatState {
    /// A message to one session.
    pub(super) fn whisper(
        &mut self,
        from: SessionNumber,
        to: SessionNumber,
        boxed: Vec<u8>,
        now: Now,
        out: &mut Vec<Effect>,
    ) -> Result<(), ErrorCode> {
        self.check_not_muted(from, now)?;
        if boxed.len() > MAX_TEXT + BOX_OVER_TEXT {
            return Err(ErrorCode::Large);
        }
        if !self.reaches(from, to) {
            return Err(ErrorCode::Absent);
        }
        self.counts.messages += 1;
        self.counts.deliveries += 1;
        self.send_event(to, Event::Whispered { who: from, boxed }, now, out);
        out.push(Effect::Note(AuditEvent::Exchanged));
        Ok(())
    }

    /// One's key, to each of these. Who has gone meanwhile is passed over.
    pub(super) fn share(
        &mut self,
        from: SessionNumber,
        boxes: Vec<(SessionNumber, Vec<u8>)>,
        now: Now,
        out: &mut Vec<Effect>,
    ) -> Result<(), ErrorCode> {
        if boxes.len() > MAX_BOXES || boxes.iter().any(|(_, boxed)| boxed.len() > MAX_KEY_BOX) {
            return Err(ErrorCode::Large);
        }
        for (to, boxed) in boxes {
            if self.reaches(from, to) {
                self.send_event(to, Event::Shared { who: from, boxed }, now, out);
            }
        }
        Ok(())
    }

    /// A letter to a user who may be away.
    pub(super) fn letter(
        &mut self,
        from: SessionNumber,
        n: u64,
        to: Owner,
        letter: &[u8],
        now: Now,
        out: &mut Vec<Effect>,
    ) -> Result<(), ErrorCode> {
        self.check_not_muted(from, now)?;
        if letter.len() > MAX_TEXT + LETTER_OVER_TEXT {
            return Err(ErrorCode::Large);
        }
        let author = &self.present.get(&from).ok_or(ErrorCode::Refused)?.user;
        // That it is taken, and that its author is told, come to the disk one after the other, and a crash between them.
        if !self.mailbox.tell(author.session, to, letter) {
            if self.accounts.of(to).next().is_none() {
                return Err(ErrorCode::Absent);
            }
            // A reader who is yet to meet the author learns the name's owner from this alone.
            if !check_author(letter, author).unwrap_or(false) {
                return Err(ErrorCode::Refused);
            }
            let put = self.mailbox.put(author.owner, (author.session, n), to, letter, now.at);
            out.extend(self.mailbox.take_changes().map(lasts));
            put?;
            self.counts.messages += 1;
            self.counts.deliveries += 1;
            out.push(Effect::Note(AuditEvent::Exchanged));
        }
        let reader = self.present.iter().find(|(_, present)| present.user.owner == to).map(|(member, _)| *member);
        if let Some(reader) = reader {
            self.hand_over_letters(to, reader, now, out);
        }
        Ok(())
    }

    /// Sends a session the letters that wait for it and are not in flight.
    pub(super) fn hand_over_letters(&mut self, owner: Owner, to: SessionNumber, now: Now, out: &mut Vec<Effect>) {
        let mut cursor = self.cursor;
        let hand_over = |waiting: &mut QueuedLetter| {
            cursor += 1;
            waiting.hand_over(to, cursor);
            Event::Letter(waiting.bytes().to_vec())
        };
        let letters: Vec<Event> = self.mailbox.waiting_for(owner, now.at).map(hand_over).collect();
        for letter in letters {
            self.send_event(to, letter, now, out);
        }
    }

    /// Answers with the owner of a name.
    pub(super) fn look_up(
        &mut self,
        from: ConnectionId,
        member: SessionNumber,
        name: Name,
        now: Now,
        out: &mut Vec<Effect>,
    ) {
        let limits = self.limits;
        let Some(present) = self.present.get_mut(&member) else {
            return;
        };
        if !present.try_consume(&limits, now) {
            return out.push(refusal(from, ErrorCode::Wait, "too fast"));
        }
        out.push(match self.accounts.find(&name).and_then(Account::latest_key) {
            Some(spki) => tell(from, &ToClient::Found { name, spki: spki.to_vec() }),
            None => refusal(from, ErrorCode::Absent, "no user has that name here"),
        });
    }

    /// True if this is another session that shares a room with one's own.
    fn reaches(&self, from: SessionNumber, to: SessionNumber) -> bool {
        let (Some(one), Some(other)) = (self.present.get(&from), self.present.get(&to)) else { return false };
        from != to && one.rooms().any(|room| other.is_in(room))
    }
}

/// Returns true if a letter says that it is by this author: their key, and the name they go by. The rest of it is not looked at.
fn check_author(letter: &[u8], author: &User) -> Result<bool, DecodeError> {
    let mut reader = Reader::new(letter);
    reader.array()?;
    let mut context = Reader::new(reader.value()?);
    context.array()?;
    let (_label, _server) = (context.text()?, context.bytes()?);
    Ok(context.bytes()? == &*author.spki && context.text()? == author.name.as_str())
}
