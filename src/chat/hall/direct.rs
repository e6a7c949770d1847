//! What goes to one: whispers, shared keys, letters. PROTOCOL.md §6 "To one".

use super::{Effect, Hall, Note, User, lasts, refusal, tell};
use crate::chat::lasting::Account;
use crate::chat::mailbox::Waiting;
use crate::chat::message::{ErrorCode, Event, ToClient};
use crate::chat::name::{MAX_TEXT, Name};
use crate::chat::{Conn, Member, Moment, Owner};
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
        from: Member,
        to: Member,
        boxed: Vec<u8>,
        now: Moment,
        out: &mut Vec<Effect>,
    ) -> Result<(), ErrorCode> {
        self.may_speak(from, now)?;
        if boxed.len() > MAX_TEXT + BOX_OVER_TEXT {
            return Err(ErrorCode::Large);
        }
        if !self.reaches(from, to) {
            return Err(ErrorCode::Absent);
        }
        self.counts.messages += 1;
        self.counts.deliveries += 1;
        self.post_to(to, Event::Whispered { who: from, boxed }, now, out);
        out.push(Effect::Note(Note::Exchanged));
        Ok(())
    }

    /// One's key, to each of these. Who has gone meanwhile is passed over.
    pub(super) fn share(
        &mut self,
        from: Member,
        boxes: Vec<(Member, Vec<u8>)>,
        now: Moment,
        out: &mut Vec<Effect>,
    ) -> Result<(), ErrorCode> {
        if boxes.len() > MOST_BOXES || boxes.iter().any(|(_, boxed)| boxed.len() > MOST_KEY_BOX) {
            return Err(ErrorCode::Large);
        }
        for (to, boxed) in boxes {
            if self.reaches(from, to) {
                self.post_to(to, Event::Shared { who: from, boxed }, now, out);
            }
        }
        Ok(())
    }

    /// Something to somebody who may be away.
    pub(super) fn letter(
        &mut self,
        from: Member,
        n: u64,
        to: Owner,
        letter: &[u8],
        now: Moment,
        out: &mut Vec<Effect>,
    ) -> Result<(), ErrorCode> {
        self.may_speak(from, now)?;
        if letter.len() > MAX_TEXT + LETTER_OVER_TEXT {
            return Err(ErrorCode::Large);
        }
        let author = &self.present.get(&from).ok_or(ErrorCode::Refused)?.user;
        // That it is taken, and that its author is told, come to the disk one after the other, and a crash between them.
        if !self.mailbox.tell(author.session, to, letter) {
            if self.accounts.of(to).next().is_none() {
                return Err(ErrorCode::Absent);
            }
            // A reader who is yet to meet the author has nothing but this to tell whose the name is.
            if !is_written_by(letter, author).unwrap_or(false) {
                return Err(ErrorCode::Refused);
            }
            let put = self.mailbox.put(author.owner, (author.session, n), to, letter, now.at);
            out.extend(self.mailbox.take_changes().map(lasts));
            put?;
            self.counts.messages += 1;
            self.counts.deliveries += 1;
            out.push(Effect::Note(Note::Exchanged));
        }
        let reader = self.present.iter().find(|(_, present)| present.user.owner == to).map(|(member, _)| *member);
        if let Some(reader) = reader {
            self.hand_over_letters(to, reader, now, out);
        }
        Ok(())
    }

    /// Gives somebody who is here the letters that wait for them, and are not on their way already.
    pub(super) fn hand_over_letters(&mut self, owner: Owner, to: Member, now: Moment, out: &mut Vec<Effect>) {
        let mut cursor = self.cursor;
        let hand_over = |waiting: &mut Waiting| {
            cursor += 1;
            waiting.hand_over(to, cursor);
            Event::Letter(waiting.bytes().to_vec())
        };
        let letters: Vec<Event> = self.mailbox.waiting_for(owner, now.at).map(hand_over).collect();
        for letter in letters {
            self.post_to(to, letter, now, out);
        }
    }

    /// Answers whose a name is.
    pub(super) fn look_up(&mut self, from: Conn, member: Member, name: Name, now: Moment, out: &mut Vec<Effect>) {
        let limits = self.limits;
        let Some(present) = self.present.get_mut(&member) else {
            return;
        };
        if !present.keeps_pace(&limits, now) {
            return out.push(refusal(from, ErrorCode::Wait, "too fast"));
        }
        out.push(match self.accounts.find(&name).and_then(Account::latest_key) {
            Some(spki) => tell(from, &ToClient::Found { name, spki: spki.to_vec() }),
            None => refusal(from, ErrorCode::Absent, "nobody has that name here"),
        });
    }

    /// Whether this is another session that shares a room with one's own.
    fn reaches(&self, from: Member, to: Member) -> bool {
        let (Some(one), Some(other)) = (self.present.get(&from), self.present.get(&to)) else { return false };
        from != to && one.rooms().any(|room| other.is_in(room))
    }
}

/// Whether a letter says that it is by this author: their key, and the name they go by. The rest of it is not looked at.
fn is_written_by(letter: &[u8], author: &User) -> Result<bool, BadEncoding> {
    let mut reader = Reader::new(letter);
    reader.array()?;
    let mut context = Reader::new(reader.value()?);
    context.array()?;
    let (_label, _server) = (context.text()?, context.bytes()?);
    Ok(context.bytes()? == &*author.spki && context.text()? == author.name.as_str())
}
