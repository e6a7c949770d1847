//! Incoming events and messages: opened only if all checks hold, and shown only then. PROTOCOL.md §7.

use super::super::notices;
use super::super::peers::{MAX_MET, PresentSession};
use super::super::roster::{Named, RosterError};
use super::super::ui_event::{MessageKind, UiEvent, lines};
use super::{ClientSession, Files, Id, JoinState, ProtocolError, UnopenedText};
use crate::chat::message::{Event, LeftReason};
use crate::chat::name::{Name, RoomName, Text};
use crate::chat::{Now, SessionNumber};
use crate::secure::e2e::EndToEndError;
use crate::secure::e2e::body::{BodyKind, MessageBody};
use crate::secure::e2e::offline_message::SignedLetter;
use crate::secure::e2e::sealed_box::{OpenedBox, Purpose, SignedBox};
use crate::secure::e2e::sender_key::{InboundSenderKey, SenderKeyDistribution, SignedEnvelope};
use crate::secure::identity::Fingerprint;
use crate::store::known_users::PinStatus;

/// Maximum number of boxes that wait for their sender's announcement.
const MAX_UNOPENED: usize = 256;
/// So many letters of one author's are taken in one session: what is more is not worth a disk.
const MAX_LETTERS: u32 = 100;

impl ClientSession {
    pub(super) fn happened(
        &mut self,
        at: u64,
        event: Event,
        now: Now,
        files: &mut Files,
        shown: &mut Vec<UiEvent>,
    ) -> Result<(), ProtocolError> {
        if !matches!(self.standing, JoinState::Inside) {
            return Err(ProtocolError::Unasked("an event"));
        }
        self.seen.schedule(self.cursor, now.tick);
        // A time that goes back is the last one: here, and in all that is shown.
        self.latest = self.latest.max(at);
        let at = self.latest;
        if self.is_passed_over(&event) {
            return Ok(());
        }
        self.check_due(&event)?;
        // From here on people are who they are, and not what the server calls them.
        match event.known_as(|number| self.peers.session_numbers.session(number).ok_or(RosterError::Stranger))? {
            Event::Said { room, who, change, envelope } => self.said(&room, who, change, &envelope, at, shown),
            Event::Whispered { who, boxed } => self.whispered(who, &boxed, at, shown),
            Event::Shared { who, boxed } => self.shared(who, &boxed, shown),
            Event::Joined { room, who, change } => self.joined(&room, who, change, now, files, shown)?,
            Event::Left { room, who, change, reason } => self.left(&room, who, change, reason, shown)?,
            Event::Notice(text) => shown.extend(lines(&text).map(UiEvent::Remark)),
            Event::Letter(letter) => {
                let letter = self.letter(&letter, at, now, files, shown);
                shown.push(letter);
            }
            Event::Presence { who, lost } => self.set_away(who, lost),
            Event::Unknown => {}
        }
        Ok(())
    }

    /// True if an event is of a room into which the server may have let one, without one's having heard of it: one does not
    /// know its members. A box for this client waits until then.
    fn is_passed_over(&mut self, event: &Event) -> bool {
        match event {
            Event::Left { room, who, reason, .. } if self.requests.is_in_limbo(room) => {
                if self.peers.session_numbers.session(*who) == Some(self.id) && *reason == LeftReason::Left {
                    self.requests.has_left(room);
                }
                true
            }
            Event::Said { room, .. } | Event::Joined { room, .. } => self.requests.is_in_limbo(room),
            Event::Whispered { who, boxed } | Event::Shared { who, boxed }
                if self.requests.are_in_limbo() && !self.is_here(*who) =>
            {
                if self.unopened.len() < MAX_UNOPENED {
                    let is_whisper = matches!(event, Event::Whispered { .. });
                    self.unopened.push(UnopenedText { from: *who, boxed: boxed.clone(), at: self.latest, is_whisper });
                }
                true
            }
            Event::Presence { who, .. } => self.requests.are_in_limbo() && !self.is_here(*who),
            _ => false,
        }
    }

    /// True if the session with this number shares a room with this client.
    fn is_here(&self, number: SessionNumber) -> bool {
        self.peers.session_numbers.session(number).is_some_and(|session| self.rooms.have(session))
    }

    /// One is in a room, and knows who is there: what waited for that is opened. Keys from before are of no use.
    pub(super) fn open_what_waited(&mut self, shown: &mut Vec<UiEvent>) {
        for UnopenedText { from, boxed, at, is_whisper } in std::mem::take(&mut self.unopened) {
            match self.peers.session_numbers.session(from).filter(|session| self.rooms.have(*session)) {
                Some(session) if is_whisper => self.whispered(session, &boxed, at, shown),
                Some(session) => drop(self.open_box(session, &boxed, Purpose::Key, shown)),
                None if is_whisper => shown.push(UiEvent::Remark(notices::whisper_of_somebody_gone())),
                None => {}
            }
        }
    }

    /// Checks that an event about a room is about a joined one.
    fn check_due(&self, event: &Event) -> Result<(), ProtocolError> {
        match event {
            Event::Said { room, .. } | Event::Joined { room, .. } | Event::Left { room, .. }
                if self.rooms.get(room).is_none() =>
            {
                Err(ProtocolError::Unasked("an event"))
            }
            _ => Ok(()),
        }
    }

    fn joined(
        &mut self,
        room: &RoomName,
        session: Id,
        change: u64,
        now: Now,
        files: &mut Files,
        shown: &mut Vec<UiEvent>,
    ) -> Result<(), ProtocolError> {
        if let Some(inside) = self.rooms.get_mut(room) {
            inside.roster.joined(session, change, self.latest)?;
            inside.sender_key.mark_incomplete();
            // Who has gone is remembered as long as their credential could come back.
            if inside.readings.len() > MAX_MET {
                inside.readings.retain(|session, _| self.peers.has_met(*session));
            }
            inside.readings.entry(session).or_insert_with(InboundSenderKey::from_the_first);
        }
        self.on_roster_changed(room);
        let before = shown.len();
        let is_new = self.peers.get(session).is_none();
        self.on_peers_joined(&[session], now, files, shown)?;
        if is_new {
            self.tell_unread(&[session], shown);
        }
        if let Some(present) = self.peers.get(session) {
            shown.insert(before, UiEvent::Joined(present.name.clone(), self.rooms.told(room)));
        }
        Ok(())
    }

    fn left(
        &mut self,
        room: &RoomName,
        session: Id,
        change: u64,
        reason: LeftReason,
        shown: &mut Vec<UiEvent>,
    ) -> Result<(), ProtocolError> {
        if let Some(inside) = self.rooms.get_mut(room) {
            inside.roster.left(session, change, self.latest)?;
            inside.sender_key.left(session);
            if let Some(reading) = inside.readings.get_mut(&session) {
                reading.end();
            }
        }
        self.on_roster_changed(room);
        if session == self.id {
            return self.on_self_left(room, reason, shown);
        }
        if let Some(present) = self.peers.get(session) {
            shown.push(UiEvent::Left(present.name.clone(), self.rooms.told(room)));
        }
        self.drop_absent(&[session]);
        Ok(())
    }

    /// A member's connection was lost, or is back. The member is in the rooms all the time.
    fn set_away(&mut self, session: Id, lost: bool) {
        if lost && self.rooms.have(session) {
            self.rooms.away.insert(session);
        } else {
            self.rooms.away.remove(&session);
        }
    }

    fn said(&mut self, room: &RoomName, session: Id, change: u64, envelope: &[u8], at: u64, shown: &mut Vec<UiEvent>) {
        let told = self.rooms.told(room);
        let Some(inside) = self.rooms.get_mut(room) else {
            return;
        };
        if !inside.roster.has(session) {
            shown.push(UiEvent::Remark(notices::said_from_outside(&self.peers.last_name(session))));
            return;
        }
        // A rejected peer's messages are hidden; own messages come from no other session.
        let Some(PresentSession { name, keys, .. }) = self.peers.get(session) else {
            return;
        };
        let reading = inside.readings.entry(session).or_default();
        let roster = match inside.roster.named(change, self.latest) {
            Named::Roster(hash) => hash,
            // It was written before one came, for those who were there.
            Named::BeforeOneself if !reading.has_begun() || inside.came_back => return,
            Named::BeforeOneself | Named::Stale | Named::Unknown => {
                shown.push(UiEvent::Remark(notices::said_for_another_roster(name)));
                return;
            }
        };
        let opened = SignedEnvelope::verify(envelope, keys, self.own.server, room.as_str(), roster)
            .and_then(|envelope| reading.open(&envelope));
        match opened {
            // It came in one's last session too: there it was shown.
            Err(EndToEndError::ReadEarlier) => {}
            Err(why) => shown.push(UiEvent::Remark(notices::said_refused(name, why))),
            Ok(opened) => {
                shown.extend(notices::gap(opened.missing, name).map(UiEvent::Remark));
                let said = MessageBody::unpad(&opened.padded);
                shown.push(message("A message", MessageKind::Said(told), name, at, self.longest_text, said));
            }
        }
    }

    fn whispered(&mut self, session: Id, boxed: &[u8], at: u64, shown: &mut Vec<UiEvent>) {
        let Some((name, opened)) = self.open_box(session, boxed, Purpose::Whisper, shown) else {
            return;
        };
        shown.push(message(
            "A whisper",
            MessageKind::WhisperFrom,
            &name,
            at,
            self.longest_text,
            MessageBody::unpad(&opened.text),
        ));
        self.last_whisper = Some(name);
    }

    pub(super) fn shared(&mut self, session: Id, boxed: &[u8], shown: &mut Vec<UiEvent>) {
        self.peers.hold(session, boxed);
        let Some((name, opened)) = self.open_box(session, boxed, Purpose::Key, shown) else {
            return;
        };
        let taken = SenderKeyDistribution::parse(&opened.text).and_then(|key| match RoomName::parse(key.room()) {
            // It was on its way when one left.
            Ok(room) if self.rooms.get(&room).is_none() && self.rooms.have_left(&room) => Ok(0),
            Ok(room) if self.rooms.has(&room, session) => {
                let Some(inside) = self.rooms.get_mut(&room) else { return Err(EndToEndError::OtherRoom) };
                let reading = inside.readings.entry(session).or_default();
                // Keys that are missing may have opened what is missing with them.
                let is_unknown = opened.missing > 0 && !reading.has_begun();
                shown.extend(is_unknown.then(|| UiEvent::Remark(notices::unknown_gap(&name))));
                reading.take(key)
            }
            _ => Err(EndToEndError::OtherRoom),
        });
        match taken {
            Ok(missing) => shown.extend(notices::gap(missing, &name).map(UiEvent::Remark)),
            Err(why) => shown.push(UiEvent::Remark(notices::box_refused("a key", &name, why))),
        }
    }

    /// Opens a box that a present peer sent to this client.
    fn open_box(
        &mut self,
        session: Id,
        boxed: &[u8],
        purpose: Purpose,
        shown: &mut Vec<UiEvent>,
    ) -> Option<(Name, OpenedBox)> {
        let what = match purpose {
            Purpose::Whisper => "a whisper",
            Purpose::Key => "a key",
        };
        if !self.rooms.have(session) {
            shown.push(UiEvent::Remark(notices::said_from_outside(&self.peers.last_name(session))));
            return None;
        }
        let (name, keys) = self.peers.get(session).map(|present| (present.name.clone(), present.keys.clone()))?;
        let own = &self.own;
        let counts = self.peers.boxes(session)?;
        let opened = SignedBox::verify(boxed, &own.credential, &keys, own.server, purpose)
            .and_then(|signed| signed.open(&own.credential, counts));
        match opened {
            Ok(opened) => {
                shown.extend(notices::box_gap(opened.missing, &name).map(UiEvent::Remark));
                Some((name, opened))
            }
            Err(why) => {
                shown.push(UiEvent::Remark(notices::box_refused(what, &name, why)));
                None
            }
        }
    }

    /// Reads a letter: author and novelty are known, and on disk, before RSA opens it.
    fn letter(&mut self, letter: &[u8], at: u64, now: Now, files: &mut Files, shown: &mut Vec<UiEvent>) -> UiEvent {
        let own = &self.own;
        // But for one that could not be noted, none would be better the next time.
        self.seen.schedule_by(now.tick);
        let letter = match SignedLetter::verify(letter, own.fingerprint(), own.server, now.at) {
            Ok(letter) => letter,
            Err(why) => return UiEvent::Remark(notices::letter_refused(why)),
        };
        let (from, Ok(name)) = (letter.from(), Name::parse(letter.name())) else {
            return UiEvent::Remark(notices::letter_refused(EndToEndError::Malformed.into()));
        };
        if let Err(why) = self.acquaint(&name, from, files, shown) {
            return UiEvent::Remark(why);
        }
        let read = self.letters_read.entry(from).or_default();
        if *read >= MAX_LETTERS {
            return UiEvent::Remark(notices::too_many_letters(&name));
        }
        *read += 1;
        match files.letters.admit(from, letter.id(), now.at / 1_000) {
            Ok(true) => {}
            Ok(false) => return UiEvent::Remark(notices::letter_again(&name)),
            Err(why) => {
                // A later one's cursor would confirm it too.
                self.seen.withheld = true;
                return UiEvent::Remark(notices::letter_not_kept(&name, &why));
            }
        }
        match letter.open(&mut rand::rng(), &self.own.identity) {
            Err(why) => UiEvent::Remark(notices::box_refused("a letter", &name, why)),
            Ok(said) => {
                self.last_whisper = Some(name.clone());
                message("A letter", MessageKind::LetterFrom, &name, at, self.longest_text, Ok(said))
            }
        }
    }

    /// Checks that the author of a letter is known, by this name; or gives the reason why the letter is hidden.
    fn acquaint(
        &mut self,
        name: &Name,
        from: Fingerprint,
        files: &mut Files,
        shown: &mut Vec<UiEvent>,
    ) -> Result<(), String> {
        let new = [(name.clone(), from)];
        let (is_new, is_taken) =
            (files.users.judge(name, from) == PinStatus::New, self.peers.is_somebody_elses(name, from));
        if is_new
            && !is_taken
            && let Err(why) = files.users.keep(&new)
        {
            self.seen.withheld = true;
            return Err(notices::letter_not_kept(name, &why));
        }
        // Another process may have pinned another key meanwhile.
        match files.users.judge(name, from) {
            PinStatus::Known { .. } if !is_taken => {
                let told = if is_new { notices::first_contact(&new, files.users.path()) } else { None };
                shown.extend(told.map(UiEvent::Remark));
                Ok(())
            }
            PinStatus::Changed { known, line } => {
                Err(notices::letter_from_changed(name, known, from, files.users.path(), line))
            }
            _ => Err(notices::letter_from_look_alike(name)),
        }
    }
}

/// An opened text, as it is shown.
fn message(
    what: &str,
    manner: MessageKind,
    name: &Name,
    at: u64,
    longest: usize,
    said: Result<MessageBody, EndToEndError>,
) -> UiEvent {
    match said.map(|said| (Text::parse(&said.text, longest), said)) {
        Ok((Ok(text), MessageBody { sent_at, kind, .. })) => {
            UiEvent::Message { sent_at, at, manner, name: name.clone(), text, is_action: kind == BodyKind::Action }
        }
        _ => UiEvent::Remark(notices::unreadable(what, name)),
    }
}
