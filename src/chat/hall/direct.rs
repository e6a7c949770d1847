//! What goes to one: whispers, shared keys, letters. PROTOCOL.md §6 "To one".

use super::{Effect, Hall, Newcomer, Note, answer, refusal, tell};
use crate::chat::message::{ErrorCode, Event, Session, ToClient};
use crate::chat::name::{MAX_TEXT, Name};
use crate::chat::{Conn, Moment, Owner};
use crate::wire::codec::{BadEncoding, Reader};

/// How much larger than their text these may be, in bytes.
const BOX_OVER_TEXT: usize = 512;
const LETTER_OVER_TEXT: usize = 2_048;
/// How large a shared key's box may be, in bytes, and how many of them one message may have.
const MOST_KEY_BOX: usize = 1_024;
const MOST_BOXES: usize = 128;

impl Hall {
    /// Something to one session.
    pub(super) fn whisper(
        &mut self,
        from: Conn,
        to: Session,
        boxed: Vec<u8>,
        now: Moment,
        out: &mut Vec<Effect>,
    ) -> Result<(), ErrorCode> {
        if boxed.len() > MAX_TEXT + BOX_OVER_TEXT {
            return Err(ErrorCode::Large);
        }
        let (session, to) = self.reach(from, to).ok_or(ErrorCode::Absent)?;
        out.push(self.event_for(to, Event::Whispered { session, boxed }, now));
        out.push(Effect::Note(Note::Exchanged));
        Ok(())
    }

    /// One's key, to each of these. Who has gone meanwhile is passed over.
    pub(super) fn share(
        &mut self,
        from: Conn,
        boxes: Vec<(Session, Vec<u8>)>,
        now: Moment,
        out: &mut Vec<Effect>,
    ) -> Result<(), ErrorCode> {
        if boxes.len() > MOST_BOXES || boxes.iter().any(|(_, boxed)| boxed.len() > MOST_KEY_BOX) {
            return Err(ErrorCode::Large);
        }
        for (to, boxed) in boxes {
            if let Some((session, to)) = self.reach(from, to) {
                out.push(self.event_for(to, Event::Shared { session, boxed }, now));
            }
        }
        Ok(())
    }

    /// Something to somebody who may be away.
    pub(super) fn letter(
        &mut self,
        from: Conn,
        to: Owner,
        letter: &[u8],
        now: Moment,
        out: &mut Vec<Effect>,
    ) -> Result<(), ErrorCode> {
        if letter.len() > MAX_TEXT + LETTER_OVER_TEXT {
            return Err(ErrorCode::Large);
        }
        let author = &self.present.get(&from).ok_or(ErrorCode::Refused)?.who;
        if !self.names.knows(to) {
            return Err(ErrorCode::Absent);
        }
        // A reader who is yet to meet the author has nothing but this to tell whose the name is.
        if !is_written_by(letter, author).unwrap_or(false) {
            return Err(ErrorCode::Refused);
        }
        self.mailbox.put(author.owner, to, letter.into(), now.tick)?;
        out.push(Effect::Note(Note::Exchanged));
        let reader = self.present.values().find(|present| present.who.owner == to).map(|present| present.who.conn);
        if let Some(reader) = reader {
            self.hand_over_letters(to, reader, now, out);
        }
        Ok(())
    }

    /// Gives somebody who is here the letters that wait for them, and are not on their way already.
    pub(super) fn hand_over_letters(&mut self, owner: Owner, to: Conn, now: Moment, out: &mut Vec<Effect>) {
        for waiting in self.mailbox.waiting_for(owner, now.tick) {
            self.cursor += 1;
            waiting.hand_over(to, self.cursor);
            let event = Event::Letter(waiting.letter().to_vec());
            out.push(tell(to, &ToClient::Event { cursor: self.cursor, at: now.at, event }));
        }
    }

    /// Answers whose a name is.
    pub(super) fn look_up(&mut self, from: Conn, name: Name, now: Moment, out: &mut Vec<Effect>) {
        let limits = self.limits;
        let Some(present) = self.present.get_mut(&from) else {
            return;
        };
        if !present.keeps_pace(&limits, now) {
            return out.push(answer(from, ErrorCode::Wait, 0));
        }
        out.push(match self.names.find(&name) {
            Some(spki) => tell(from, &ToClient::Found { name, spki: spki.to_vec() }),
            None => refusal(from, ErrorCode::Absent, "nobody has that name here"),
        });
    }

    /// One's own session, and the connection of another that shares a room with it.
    fn reach(&self, from: Conn, to: Session) -> Option<(Session, Conn)> {
        let to = self.sessions.get(&to).filter(|to| **to != from)?;
        let (from, to) = (self.present.get(&from)?, self.present.get(to)?);
        let share_a_room = from.rooms.iter().any(|room| to.rooms.contains(room));
        share_a_room.then_some((from.who.session, to.who.conn))
    }

    fn event_for(&mut self, to: Conn, event: Event, now: Moment) -> Effect {
        self.cursor += 1;
        tell(to, &ToClient::Event { cursor: self.cursor, at: now.at, event })
    }
}

/// Whether a letter says that it is by this author: their key, and the name they go by. The rest of it is not looked at.
fn is_written_by(letter: &[u8], author: &Newcomer) -> Result<bool, BadEncoding> {
    let mut reader = Reader::new(letter);
    reader.array()?;
    let mut context = Reader::new(reader.value()?);
    context.array()?;
    let (_label, _server) = (context.text()?, context.bytes()?);
    Ok(context.bytes()? == &*author.spki && context.text()? == author.name.as_str())
}
