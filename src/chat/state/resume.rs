//! Sessions outlive their connections: who is lost is waited for, and goes on where they were. PROTOCOL.md §8.

use core::net::IpAddr;
use std::sync::Arc;

use super::membership::welcome_back;
use super::{
    AccountId, Audience, AuditEvent, AuthenticatedUser, ByeReason, ChatState, ConnectionId, Connectivity, Cursor,
    Duration, Effect, ErrorCode, Event, HashMap, Instant, JournalRecord, LeftReason, Limits, LiveRoom, LogEntry,
    MessageSequence, Now, Piece, RegistryRecord, ResumeRange, Room, RoomId, RoomName, RoomSubscription, SessionNumber,
    SessionState, ToClient, TokenBucket, User,
};
use super::{lasts, set_aside};
use crate::chat::accounts::NameOwnership;
use crate::chat::registry_record::{Ban, Banned};

/// Members are told of a lost connection after so long.
const TOLD_AFTER: Duration = Duration::from_secs(2);
/// After a crash members are told only after all sessions had time to resume.
const TOLD_AFTER_CRASH: Duration = Duration::from_secs(30);
/// Events that all sessions have seen are trimmed this often.
const FORGET_EVERY: Duration = Duration::from_secs(1);
/// A page of missed events has so many bytes, or a few more.
const PIECE: usize = 256 * 1_024;
/// So many rooms that a session has left, without having seen it yet, are remembered for it.
const MAX_LEFT: usize = 32;

impl ChatState {
    /// Restores the state from before a crash: all sessions are disconnected.
    #[must_use]
    pub fn restore(limits: Limits, kept: Vec<JournalRecord>, now: Now) -> Self {
        let mut chat = Self::new(limits);
        let mut names: HashMap<RoomId, RoomName> = HashMap::new();
        let mut seats = Vec::new();
        // An owner has to be known before a session uses the name.
        let (lasting, kept): (Vec<JournalRecord>, Vec<JournalRecord>) =
            kept.into_iter().partition(|kept| kept.lasting().is_some());
        for kept in lasting.into_iter().chain(kept) {
            match kept {
                JournalRecord::Members(count) => chat.members = chat.members.max(count),
                JournalRecord::Session { member, user, person, last, refused, range } => {
                    chat.members = chat.members.max(member.0);
                    chat.sessions.insert(user.session, member);
                    let place =
                        Connectivity::Away { since: now.tick, tell_at: now.tick + TOLD_AFTER_CRASH, told: false };
                    // It was recorded before the join, unless the disk failed.
                    let account = match chat.accounts.standing(&user.name, user.owner, |_| false) {
                        NameOwnership::Taken(_) => AccountId::default(),
                        own => chat
                            .accounts
                            .claim(&user, own.own(), None, now.at, |_| false, |_| false)
                            .unwrap_or_default(),
                    };
                    chat.names.insert(account, member);
                    let numbers = MessageSequence::restore(last, refused);
                    chat.present.insert(member, SessionState::new(user, person, account, None, place, numbers, range));
                }
                JournalRecord::Room { room, name, change, opened_by } => {
                    chat.rooms_opened = chat.rooms_opened.max(room.0);
                    // A session whose name was released has lost it.
                    chat.accounts.reserve_id(opened_by.unwrap_or_default());
                    chat.rooms.insert(name.clone(), LiveRoom::new(room, opened_by, Room::restore(change)));
                    names.insert(room, name);
                }
                JournalRecord::Seat { member, room, since, until } => {
                    chat.rooms_opened = chat.rooms_opened.max(room.0);
                    seats.push((since, member, room, until));
                }
                JournalRecord::Event(to, entry) => chat.replay_event(to, entry, &names),
                JournalRecord::Forgotten(cursor) => chat.cursor = chat.cursor.max(cursor),
                JournalRecord::Lasting(lasting) => chat.restore_lasting(lasting),
                JournalRecord::SessionGone(_)
                | JournalRecord::Number { .. }
                | JournalRecord::Range(..)
                | JournalRecord::RoomGone(_) => {}
            }
        }
        // A room lists its members in the order of their joins.
        seats.sort_unstable_by_key(|(since, ..)| *since);
        for (since, member, room, until) in seats {
            let Some(present) = chat.present.get_mut(&member) else { continue };
            // The name of a room that one has left, and that may have emptied, is of no use any more.
            let name = names.get(&room).cloned().unwrap_or_else(RoomName::lobby);
            match until {
                Some(until) => present.last = present.last.max(until),
                None => {
                    if let Some(open) = chat.rooms.get_mut(&name).filter(|open| open.id == room) {
                        open.roster.put_back(member);
                    }
                }
            }
            present.seats.push(RoomSubscription { name, room, since, until });
        }
        for (to, entry) in chat.backlog.after(0) {
            if let Audience::One(member) = to
                && let Some(present) = chat.present.get(member)
                && let Ok([ToClient::Event { event: Event::Letter(letter), .. }]) =
                    ToClient::parse_all(&entry.bytes).as_deref()
            {
                chat.mailbox.mark_in_flight(present.user.owner, letter, *member, entry.cursor);
            }
        }
        let Self { mailbox, sessions, present, .. } = &mut chat;
        mailbox.remember_untold(|session, n| {
            sessions.get(&session).and_then(|member| present.get(member)).is_some_and(|there| there.numbers.next() <= n)
        });
        for open in chat.rooms.values_mut() {
            open.opened_by = open.opened_by.filter(|account| chat.accounts.get(*account).is_some());
        }
        let gone: Vec<RoomName> = chat.rules.keys().filter(|room| !chat.rooms.contains_key(room)).cloned().collect();
        for room in &gone {
            chat.on_room_empty(room);
        }
        chat.members = set_aside(chat.members);
        chat.due_at = (!chat.present.is_empty()).then_some(now.tick);
        chat
    }

    fn restore_lasting(&mut self, lasting: RegistryRecord) {
        match lasting {
            RegistryRecord::Letter(letter) => self.mailbox.restore(letter),
            RegistryRecord::Account(account) => self.accounts.restore(account),
            RegistryRecord::Room(rules) => drop(self.rules.insert(rules.room.clone(), rules)),
            lasting => {
                // A name that is gone can have left a ban behind.
                if let RegistryRecord::Ban(Ban { on: Banned::Name { account, .. }, .. }) = &lasting {
                    self.accounts.reserve_id(*account);
                }
                self.order.restore(lasting);
            }
        }
    }

    fn replay_event(&mut self, to: Audience, entry: LogEntry, names: &HashMap<RoomId, RoomName>) {
        self.cursor = self.cursor.max(entry.cursor);
        self.members = entry.except.map_or(self.members, |member| self.members.max(member.0));
        match to {
            Audience::Room(id) => {
                self.rooms_opened = self.rooms_opened.max(id.0);
                if let Some(open) = names.get(&id).and_then(|name| self.rooms.get_mut(name)) {
                    open.happens(entry.cursor, entry.except);
                }
            }
            Audience::One(member) => {
                self.members = self.members.max(member.0);
                if let Some(present) = self.present.get_mut(&member) {
                    present.last = entry.cursor;
                }
            }
        }
        self.backlog.push(to, entry);
    }

    /// All records that a new journal begins with.
    #[must_use]
    pub fn snapshot(&self) -> Vec<JournalRecord> {
        let mut all = vec![JournalRecord::Forgotten(
            self.backlog.after(0).next().map_or(self.cursor, |(_, first)| first.cursor - 1),
        )];
        all.push(JournalRecord::Members(set_aside(self.members)));
        all.extend(self.rooms.iter().map(|(name, open)| open.kept(name)));
        for (&member, SessionState { user, person, numbers, range, seats, .. }) in &self.present {
            let (last, refused) = (numbers.next() - 1, numbers.refused().collect());
            let (user, person) = (user.clone(), person.clone());
            all.push(JournalRecord::Session { member, user, person, last, refused, range: *range });
            all.extend(seats.iter().map(|RoomSubscription { room, since, until, .. }| JournalRecord::Seat {
                member,
                room: *room,
                since: *since,
                until: *until,
            }));
        }
        all.extend(self.backlog.after(0).map(|(to, entry)| JournalRecord::Event(*to, entry.clone())));
        all
    }

    /// The disk could not keep this message: it is known as that from now on.
    pub fn mark_not_durable(&mut self, member: SessionNumber, n: u64) {
        if let Some(present) = self.present.get_mut(&member) {
            present.numbers.reject_accepted(n, ErrorCode::Volatile);
        }
    }

    /// A connection has ended without a word.
    pub fn lost(&mut self, conn: ConnectionId, now: Now, out: &mut Vec<Effect>) {
        let Some(member) = self.conns.remove(&conn) else {
            return;
        };
        let Some(present) = self.present.get_mut(&member) else {
            return;
        };
        present.place = Connectivity::Away { since: now.tick, tell_at: now.tick + TOLD_AFTER, told: false };
        if self.limits.resume.is_zero() {
            self.end(member, LeftReason::Lost, None, now, out);
            return self.flush_registry_changes(out);
        }
        out.push(Effect::Note(AuditEvent::Lost(present.user.name.clone())));
        self.schedule_tick(now.tick + TOLD_AFTER.min(self.limits.resume));
    }

    /// Too much was waiting for a connection that does not read; it has been told.
    pub fn slow(&mut self, conn: ConnectionId, now: Now, out: &mut Vec<Effect>) {
        if let Some((member, _)) = self.at(conn) {
            self.end(member, LeftReason::Slow, None, now, out);
            self.flush_registry_changes(out);
        }
    }

    /// When [`ChatState::tick`] is due.
    #[must_use]
    pub fn due_at(&self) -> Option<Instant> {
        self.due_at
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Now, out: &mut Vec<Effect>) {
        if self.due_at.is_none_or(|due| now.tick < due) {
            return;
        }
        self.due_at = None;
        let mut gone = Vec::new();
        let mut to_tell = Vec::new();
        for (member, present) in &mut self.present {
            let Connectivity::Away { since, tell_at, told } = &mut present.place else { continue };
            let ends_at = *since + self.limits.resume;
            if now.tick >= ends_at {
                gone.push((*since, *member));
                continue;
            }
            if now.tick >= *tell_at && !*told {
                *told = true;
                to_tell.push(*member);
            }
            let next = if *told { ends_at } else { ends_at.min(*tell_at) };
            self.due_at = Some(self.due_at.map_or(next, |due| due.min(next)));
        }
        gone.sort_unstable();
        for member in to_tell {
            self.tell_presence(member, true, now, out);
        }
        for (_, member) in gone {
            self.end(member, LeftReason::Lost, None, now, out);
        }
        self.trim_acknowledged(now, out);
        self.flush_registry_changes(out);
    }

    /// The session that has been away longest, if there is one.
    pub(super) fn longest_away(&self) -> Option<SessionNumber> {
        let away = self.present.iter().filter_map(|(member, present)| match present.place {
            Connectivity::Away { since, .. } => Some((since, *member)),
            Connectivity::Here(_) => None,
        });
        away.min().map(|(_, member)| member)
    }

    /// A session goes on, on a new connection, after the last event it has had.
    pub(super) fn resume(
        &mut self,
        who: &AuthenticatedUser,
        room: &RoomName,
        cursor: Cursor,
        now: Now,
        out: &mut Vec<Effect>,
    ) -> Result<(), &'static str> {
        let AuthenticatedUser { conn, address, .. } = *who;
        let member = *self.sessions.get(&who.user.session).ok_or("no such session: begin a new one")?;
        let latest = self.cursor;
        let present = self.present.get(&member).ok_or("no such session: begin a new one")?;
        let ResumeRange { lowest, highest } = present.range;
        // Or was in, and has yet to hear that it is not any more.
        let reads = |seat: &RoomSubscription| seat.name == *room && seat.until.is_none_or(|until| until > cursor);
        if !present.seats.iter().any(reads) {
            return Err("that session is not in that room: begin a new one");
        }
        if cursor < present.seen || cursor < lowest || cursor > highest.unwrap_or(latest) {
            return Err("that session cannot go on from there: begin a new one");
        }
        // A letter may have been taken for it, and not been handed to it before a crash.
        self.hand_over_letters(present.user.owner, member, now, out);
        let present = self.present.get_mut(&member).ok_or("no such session: begin a new one")?;
        let before = std::mem::replace(&mut present.place, Connectivity::Here(conn));
        present.address = address.or(present.address);
        let name = present.user.name.clone();
        if highest.is_some() {
            present.range.highest = None;
            out.push(Effect::Keep(JournalRecord::Range(member, present.range)));
        }
        // That it has had a letter does not say that it has been able to keep it.
        present.acknowledge(cursor);
        self.conns.insert(conn, member);
        match before {
            Connectivity::Here(old) => {
                self.conns.remove(&old);
                out.push(Effect::Cut(old));
            }
            Connectivity::Away { told, .. } => {
                out.push(Effect::Note(AuditEvent::Back(name)));
                if told {
                    self.tell_presence(member, false, now, out);
                }
            }
        }
        let welcome = welcome_back(room, member, cursor, now).encode().into();
        self.send_backlog_page(conn, member, cursor, Some(LogEntry { cursor, except: None, bytes: welcome }), out);
        Ok(())
    }

    /// A connection that is behind has received all events up to here, and takes more.
    pub fn catch_up(&mut self, conn: ConnectionId, from: Cursor, now: Now, out: &mut Vec<Effect>) {
        let Some((member, present)) = self.at(conn) else {
            return;
        };
        if from < present.range.lowest {
            self.end(member, LeftReason::Slow, Some(ByeReason::Slow), now, out);
            return self.flush_registry_changes(out);
        }
        self.send_backlog_page(conn, member, from, None, out);
    }

    /// Hands on the next piece of what a session has missed, behind this.
    fn send_backlog_page(
        &self,
        conn: ConnectionId,
        member: SessionNumber,
        from: Cursor,
        before: Option<LogEntry>,
        out: &mut Vec<Effect>,
    ) {
        let Some(present) = self.present.get(&member) else {
            return;
        };
        let latest = self.cursor;
        let (mut entries, mut length, mut to, mut is_last) = (Vec::from_iter(before), 0, latest, true);
        let mut read = from;
        for (whose, entry) in self.backlog.after(from) {
            if length >= PIECE {
                (to, is_last) = (read, false);
                break;
            }
            read = entry.cursor;
            if present.reads(member, *whose, entry) {
                length += entry.bytes.len();
                entries.push(entry.clone());
            }
        }
        out.push(Effect::CatchUp(conn, member, Piece { from, entries, to, is_last }));
        if is_last {
            let seats = present.seats.iter().filter(|seat| seat.until.is_none());
            out.extend(seats.map(|seat| Effect::Enter(conn, member, seat.room, latest)));
        }
    }

    /// A session has acknowledged all events up to here.
    pub(super) fn seen(&mut self, member: SessionNumber, cursor: Cursor, now: Now, out: &mut Vec<Effect>) {
        let latest = self.cursor;
        let Some(present) = self.present.get_mut(&member) else {
            return;
        };
        present.acknowledge(cursor.min(latest));
        self.mailbox.seen(present.user.owner, member, present.seen);
        out.extend(self.mailbox.take_changes().map(lasts));
        if !self.backlog.is_empty() {
            self.schedule_tick(self.forgot_at.map_or(now.tick, |at| at + FORGET_EVERY));
        }
    }

    /// Retains an event for later readers. Trims above the bound, even events that are yet to be read.
    pub(super) fn retain_event(&mut self, to: Audience, entry: LogEntry, now: Now, out: &mut Vec<Effect>) {
        self.backlog.push(to, entry);
        let Some(cursor) = self.backlog.overflow() else {
            return;
        };
        self.trim_acknowledged(now, out);
        if self.backlog.overflow().is_none() {
            return;
        }
        for (member, present) in &mut self.present {
            let due = present.due(*member, &self.rooms);
            if present.seen < cursor && due > present.seen {
                present.range.lowest = cursor.min(due);
                out.push(Effect::Keep(JournalRecord::Range(*member, present.range)));
            }
        }
        self.forget(cursor, out);
    }

    /// Forgets what all it is for have seen.
    fn trim_acknowledged(&mut self, now: Now, out: &mut Vec<Effect>) {
        if self.backlog.is_empty() {
            return;
        }
        self.forgot_at = Some(now.tick);
        let unseen = self.present.iter().filter(|(member, present)| present.due(**member, &self.rooms) > present.seen);
        let floor = unseen.map(|(_, present)| present.seen.max(present.range.lowest)).min().unwrap_or(self.cursor);
        self.forget(floor, out);
    }

    fn forget(&mut self, cursor: Cursor, out: &mut Vec<Effect>) {
        if self.backlog.forget(cursor) {
            out.push(Effect::Keep(JournalRecord::Forgotten(cursor)));
        }
    }

    /// Tells all members who share a room with a session that it is away, or back.
    fn tell_presence(&mut self, member: SessionNumber, lost: bool, now: Now, out: &mut Vec<Effect>) {
        let Some(present) = self.present.get(&member) else {
            return;
        };
        for room in present.rooms().cloned().collect::<Vec<_>>() {
            self.broadcast(&room, Some(member), &[], Event::Presence { who: member, lost }, now, out);
        }
    }

    pub(super) fn schedule_tick(&mut self, when: Instant) {
        self.due_at = Some(self.due_at.map_or(when, |due| due.min(when)));
    }
}

impl SessionState {
    pub(super) fn new(
        user: User,
        person: Arc<[u8]>,
        account: AccountId,
        address: Option<IpAddr>,
        place: Connectivity,
        numbers: MessageSequence,
        range: ResumeRange,
    ) -> Self {
        let (messages, passwords) = (TokenBucket::default(), TokenBucket::default());
        // Most are in one room.
        let seats = Vec::with_capacity(1);
        Self { user, person, account, address, place, seats, numbers, messages, passwords, seen: 0, last: 0, range }
    }

    /// It has received all events up to here.
    fn acknowledge(&mut self, cursor: Cursor) {
        let seen = self.seen.max(cursor);
        self.seen = seen;
        self.seats.retain(|seat| seat.until.is_none_or(|until| until > seen));
    }

    /// Of rooms that it has left, and not seen it, the oldest is forgotten if there are too many.
    pub(super) fn forget_a_seat(&mut self) {
        let left = self.seats.iter().filter(|seat| seat.until.is_some()).count();
        if left > MAX_LEFT
            && let Some(oldest) = self.seats.iter().position(|seat| seat.until.is_some())
        {
            self.range.lowest = self.range.lowest.max(self.seats.remove(oldest).until.unwrap_or_default());
        }
    }

    /// True if an event is for it.
    fn reads(&self, member: SessionNumber, to: Audience, entry: &LogEntry) -> bool {
        match to {
            Audience::One(other) => other == member,
            Audience::Room(room) => {
                let reads = |seat: &RoomSubscription| {
                    seat.room == room
                        && seat.since < entry.cursor
                        && seat.until.is_none_or(|until| entry.cursor <= until)
                };
                entry.except != Some(member) && self.seats.iter().any(reads)
            }
        }
    }

    /// The last event that is for it, as far as the chat state has told it.
    pub(super) fn due(&self, member: SessionNumber, rooms: &HashMap<RoomName, LiveRoom>) -> Cursor {
        let of_room = |seat: &RoomSubscription| {
            let last = rooms
                .get(&seat.name)
                .filter(|open| open.id == seat.room && seat.until.is_none())
                .map_or(0, |open| if open.by == Some(member) { open.last_by_others } else { open.last });
            if last > seat.since { last } else { 0 }
        };
        self.seats.iter().map(of_room).max().unwrap_or_default().max(self.last)
    }
}
