//! What happens in rooms, and what others say: opened only if all of it holds, and shown only then. PROTOCOL.md §7.

use super::super::notices;
use super::super::people::{MOST_MET, Present};
use super::super::roster::{BadRoster, Named};
use super::super::view::{Manner, Shown, lines};
use super::{Broken, Files, Id, Session, Standing, Unopened};
use crate::chat::message::{Event, LeftReason};
use crate::chat::name::{Name, RoomName, Text};
use crate::chat::{Member, Moment};
use crate::secure::e2e::Refused;
use crate::secure::e2e::boxed::{OpenedBox, Purpose, SignedBox};
use crate::secure::e2e::letter::SignedLetter;
use crate::secure::e2e::sender_key::{Reading, SharedKey, SignedEnvelope};
use crate::secure::e2e::text::{Kind, Said};
use crate::secure::identity::Fingerprint;
use crate::store::known_users::Acquaintance;

/// So many boxes wait for the server to tell whose they are.
const MOST_UNOPENED: usize = 256;
/// So many letters of one author's are taken in one session: what is more is not worth a disk.
const MOST_LETTERS: u32 = 100;

impl Session {
    pub(super) fn happened(
        &mut self,
        at: u64,
        event: Event,
        now: Moment,
        files: &mut Files,
        shown: &mut Vec<Shown>,
    ) -> Result<(), Broken> {
        if !matches!(self.standing, Standing::Inside) {
            return Err(Broken::Unasked("an event"));
        }
        self.seen.is_to_tell(self.cursor, now.tick);
        self.latest = self.latest.max(at);
        if self.is_passed_over(&event) {
            return Ok(());
        }
        self.is_due(&event)?;
        // From here on people are who they are, and not what the server calls them.
        match event.known_as(|number| self.people.directory.session(number).ok_or(BadRoster::Stranger))? {
            Event::Said { room, who, change, envelope } => self.said(&room, who, change, &envelope, at, shown),
            Event::Whispered { who, boxed } => self.whispered(who, &boxed, at, shown),
            Event::Shared { who, boxed } => self.shared(who, &boxed, shown),
            Event::Joined { room, who, change } => self.joined(&room, who, change, now, files, shown)?,
            Event::Left { room, who, change, reason } => self.left(&room, who, change, reason, shown)?,
            Event::Notice(text) => shown.extend(lines(&text).map(Shown::Remark)),
            Event::Letter(letter) => {
                let letter = self.letter(&letter, at, now, files, shown);
                shown.push(letter);
            }
            Event::Presence { who, lost } => self.is_away(who, lost),
            Event::Unknown => {}
        }
        Ok(())
    }

    /// Whether an event is of a room into which the server may have let one, without one's having heard of it: one does not
    /// know who is there. What somebody there has for oneself alone waits until one does.
    fn is_passed_over(&mut self, event: &Event) -> bool {
        match event {
            Event::Left { room, who, reason, .. } if self.requests.is_in_limbo(room) => {
                if self.people.directory.session(*who) == Some(self.id) && *reason == LeftReason::Left {
                    self.requests.has_left(room);
                }
                true
            }
            Event::Said { room, .. } | Event::Joined { room, .. } => self.requests.is_in_limbo(room),
            Event::Whispered { who, boxed } | Event::Shared { who, boxed }
                if self.requests.are_in_limbo() && !self.is_here(*who) =>
            {
                if self.unopened.len() < MOST_UNOPENED {
                    let is_whisper = matches!(event, Event::Whispered { .. });
                    self.unopened.push(Unopened { from: *who, boxed: boxed.clone(), at: self.latest, is_whisper });
                }
                true
            }
            Event::Presence { who, .. } => self.requests.are_in_limbo() && !self.is_here(*who),
            _ => false,
        }
    }

    /// Whether somebody with this number shares a room with oneself.
    fn is_here(&self, number: Member) -> bool {
        self.people.directory.session(number).is_some_and(|session| self.rooms.have(session))
    }

    /// One is in a room, and knows who is there: what waited for that is opened. Keys from before are of no use.
    pub(super) fn open_what_waited(&mut self, shown: &mut Vec<Shown>) {
        for Unopened { from, boxed, at, is_whisper } in std::mem::take(&mut self.unopened) {
            match self.people.directory.session(from).filter(|session| self.rooms.have(*session)) {
                Some(session) if is_whisper => self.whispered(session, &boxed, at, shown),
                Some(session) => drop(self.open_box(session, &boxed, Purpose::Key, shown)),
                None if is_whisper => shown.push(Shown::Remark(notices::whisper_of_somebody_gone())),
                None => {}
            }
        }
    }

    /// Whether an event is about a room one is in, if about any.
    fn is_due(&self, event: &Event) -> Result<(), Broken> {
        match event {
            Event::Said { room, .. } | Event::Joined { room, .. } | Event::Left { room, .. }
                if self.rooms.get(room).is_none() =>
            {
                Err(Broken::Unasked("an event"))
            }
            _ => Ok(()),
        }
    }

    fn joined(
        &mut self,
        room: &RoomName,
        session: Id,
        change: u64,
        now: Moment,
        files: &mut Files,
        shown: &mut Vec<Shown>,
    ) -> Result<(), Broken> {
        if let Some(inside) = self.rooms.get_mut(room) {
            inside.roster.joined(session, change, self.latest)?;
            inside.speaking.more_may_read();
            // Who has gone is remembered as long as their credential could come back.
            if inside.readings.len() > MOST_MET {
                inside.readings.retain(|session, _| self.people.has_met(*session));
            }
            inside.readings.entry(session).or_insert_with(Reading::from_the_first);
        }
        self.has_changed(room);
        let before = shown.len();
        let is_new = self.people.get(session).is_none();
        self.come_in(&[session], now, files, shown)?;
        if is_new {
            self.tell_unread(&[session], shown);
        }
        if let Some(present) = self.people.get(session) {
            shown.insert(before, Shown::Joined(present.name.clone(), self.rooms.told(room)));
        }
        Ok(())
    }

    fn left(
        &mut self,
        room: &RoomName,
        session: Id,
        change: u64,
        reason: LeftReason,
        shown: &mut Vec<Shown>,
    ) -> Result<(), Broken> {
        if let Some(inside) = self.rooms.get_mut(room) {
            inside.roster.left(session, change, self.latest)?;
            inside.speaking.left(session);
            if let Some(reading) = inside.readings.get_mut(&session) {
                reading.end();
            }
        }
        self.has_changed(room);
        if session == self.id {
            return self.is_out(room, reason, shown);
        }
        if let Some(present) = self.people.get(session) {
            shown.push(Shown::Left(present.name.clone(), self.rooms.told(room)));
        }
        self.are_gone(&[session]);
        Ok(())
    }

    /// Somebody's connection was lost, or is there again. They are in their rooms all the time.
    fn is_away(&mut self, session: Id, lost: bool) {
        if lost && self.rooms.have(session) {
            self.rooms.away.insert(session);
        } else {
            self.rooms.away.remove(&session);
        }
    }

    fn said(&mut self, room: &RoomName, session: Id, change: u64, envelope: &[u8], at: u64, shown: &mut Vec<Shown>) {
        let told = self.rooms.told(room);
        let Some(inside) = self.rooms.get_mut(room) else {
            return;
        };
        if !inside.roster.has(session) {
            shown.push(Shown::Remark(notices::said_from_outside(&self.people.last_name(session))));
            return;
        }
        // Nothing is shown of somebody who is shunned, nor of oneself: one's own words come from nobody else.
        let Some(Present { name, keys, .. }) = self.people.get(session) else {
            return;
        };
        let reading = inside.readings.entry(session).or_default();
        let roster = match inside.roster.named(change, self.latest) {
            Named::Roster(hash) => hash,
            // It was written before one came, for those who were there.
            Named::BeforeOneself if !reading.has_begun() || inside.came_back => return,
            Named::BeforeOneself | Named::Stale | Named::Unknown => {
                shown.push(Shown::Remark(notices::said_for_another_roster(name)));
                return;
            }
        };
        let opened = SignedEnvelope::verify(envelope, keys, self.own.server, room.as_str(), roster)
            .and_then(|envelope| reading.open(&envelope));
        match opened {
            // It came in one's last session too: there it was shown.
            Err(Refused::ReadEarlier) => {}
            Err(why) => shown.push(Shown::Remark(notices::said_refused(name, why))),
            Ok(opened) => {
                shown.extend(notices::gap(opened.missing, name).map(Shown::Remark));
                let said = Said::unpad(&opened.padded);
                shown.push(message("A message", Manner::Said(told), name, at, self.longest_text, said));
            }
        }
    }

    fn whispered(&mut self, session: Id, boxed: &[u8], at: u64, shown: &mut Vec<Shown>) {
        let Some((name, opened)) = self.open_box(session, boxed, Purpose::Whisper, shown) else {
            return;
        };
        shown.push(message("A whisper", Manner::WhisperFrom, &name, at, self.longest_text, Said::unpad(&opened.text)));
        self.last_whisper = Some(name);
    }

    pub(super) fn shared(&mut self, session: Id, boxed: &[u8], shown: &mut Vec<Shown>) {
        self.people.hold(session, boxed);
        let Some((name, opened)) = self.open_box(session, boxed, Purpose::Key, shown) else {
            return;
        };
        let taken = SharedKey::parse(&opened.text).and_then(|key| match RoomName::parse(key.room()) {
            // It was on its way when one left.
            Ok(room) if self.rooms.get(&room).is_none() && self.rooms.have_left(&room) => Ok(0),
            Ok(room) if self.rooms.has(&room, session) => {
                let Some(inside) = self.rooms.get_mut(&room) else { return Err(Refused::OtherRoom) };
                let reading = inside.readings.entry(session).or_default();
                // Keys that are missing may have opened what is missing with them.
                let is_unknown = opened.missing > 0 && !reading.has_begun();
                shown.extend(is_unknown.then(|| Shown::Remark(notices::unknown_gap(&name))));
                reading.take(key)
            }
            _ => Err(Refused::OtherRoom),
        });
        match taken {
            Ok(missing) => shown.extend(notices::gap(missing, &name).map(Shown::Remark)),
            Err(why) => shown.push(Shown::Remark(notices::box_refused("a key", &name, why))),
        }
    }

    /// Opens what somebody who is here has sent to oneself alone.
    fn open_box(
        &mut self,
        session: Id,
        boxed: &[u8],
        purpose: Purpose,
        shown: &mut Vec<Shown>,
    ) -> Option<(Name, OpenedBox)> {
        let what = match purpose {
            Purpose::Whisper => "a whisper",
            Purpose::Key => "a key",
        };
        if !self.rooms.have(session) {
            shown.push(Shown::Remark(notices::said_from_outside(&self.people.last_name(session))));
            return None;
        }
        let (name, keys) = self.people.get(session).map(|present| (present.name.clone(), present.keys.clone()))?;
        let own = &self.own;
        let counts = self.people.boxes(session)?;
        let opened = SignedBox::verify(boxed, &own.credential, &keys, own.server, purpose)
            .and_then(|signed| signed.open(&own.credential, counts));
        match opened {
            Ok(opened) => {
                shown.extend(notices::box_gap(opened.missing, &name).map(Shown::Remark));
                Some((name, opened))
            }
            Err(why) => {
                shown.push(Shown::Remark(notices::box_refused(what, &name, why)));
                None
            }
        }
    }

    /// Reads a letter: who wrote it and that it is new is known, and on disk, before RSA opens anything.
    fn letter(&mut self, letter: &[u8], at: u64, now: Moment, files: &mut Files, shown: &mut Vec<Shown>) -> Shown {
        let own = &self.own;
        // But for one that could not be noted, none would be better the next time.
        self.seen.is_due_by(now.tick);
        let letter = match SignedLetter::verify(letter, own.fingerprint(), own.server, now.at) {
            Ok(letter) => letter,
            Err(why) => return Shown::Remark(notices::letter_refused(why)),
        };
        let (from, Ok(name)) = (letter.from(), Name::parse(letter.name())) else {
            return Shown::Remark(notices::letter_refused(Refused::Malformed.into()));
        };
        if let Err(why) = self.acquaint(&name, from, files, shown) {
            return Shown::Remark(why);
        }
        let read = self.letters_read.entry(from).or_default();
        if *read >= MOST_LETTERS {
            return Shown::Remark(notices::too_many_letters(&name));
        }
        *read += 1;
        match files.letters.admit(from, letter.id(), now.at / 1_000) {
            Ok(true) => {}
            Ok(false) => return Shown::Remark(notices::letter_again(&name)),
            Err(why) => {
                // A later one's cursor would confirm it too.
                self.seen.withheld = true;
                return Shown::Remark(notices::letter_not_kept(&name, &why));
            }
        }
        match letter.open(&mut rand::rng(), &self.own.identity) {
            Err(why) => Shown::Remark(notices::box_refused("a letter", &name, why)),
            Ok(said) => {
                self.last_whisper = Some(name.clone());
                message("A letter", Manner::LetterFrom, &name, at, self.longest_text, Ok(said))
            }
        }
    }

    /// Sees to it that the author of a letter is known, by this name: or else says why nothing of theirs is shown.
    fn acquaint(
        &mut self,
        name: &Name,
        from: Fingerprint,
        files: &mut Files,
        shown: &mut Vec<Shown>,
    ) -> Result<(), String> {
        let new = [(name.clone(), from)];
        let (is_new, is_taken) =
            (files.users.judge(name, from) == Acquaintance::New, self.people.is_somebody_elses(name, from));
        if is_new
            && !is_taken
            && let Err(why) = files.users.keep(&new)
        {
            self.seen.withheld = true;
            return Err(notices::letter_not_kept(name, &why));
        }
        // Another process may have kept somebody else meanwhile.
        match files.users.judge(name, from) {
            Acquaintance::Known { .. } if !is_taken => {
                let told = if is_new { notices::first_contact(&new, files.users.path()) } else { None };
                shown.extend(told.map(Shown::Remark));
                Ok(())
            }
            Acquaintance::Changed { known, line } => {
                Err(notices::letter_from_changed(name, known, from, files.users.path(), line))
            }
            _ => Err(notices::letter_from_look_alike(name)),
        }
    }
}

/// Something that was opened, as it is shown.
fn message(what: &str, manner: Manner, name: &Name, at: u64, longest: usize, said: Result<Said, Refused>) -> Shown {
    match said.map(|said| (Text::parse(&said.text, longest), said)) {
        Ok((Ok(text), Said { sent_at, kind, .. })) => {
            Shown::Message { sent_at, at, manner, name: name.clone(), text, is_action: kind == Kind::Action }
        }
        _ => Shown::Remark(notices::unreadable(what, name)),
    }
}
