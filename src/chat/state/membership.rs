//! Membership: sessions begin and end, rooms open and empty. PROTOCOL.md §6 "Joining", "Leaving".

use super::{
    AuditEvent, ByeReason, ChatState, Cursor, Effect, Event, JournalRecord, LeftReason, LiveRoom, MAX_TEXT, Now, Owner,
    Room, RoomId, RoomName, RoomSubscription, SessionNumber, ToClient, WELCOME_NUMBERS, tell,
};
use crate::chat::message::Welcome;
use crate::chat::registry_record::AccountId;

impl ChatState {
    /// Checks that the room has a place and the join is within the rate, and counts it.
    pub(super) fn check_join(
        &mut self,
        owner: Owner,
        account: Option<AccountId>,
        name: &RoomName,
        replaced: Option<SessionNumber>,
        now: Now,
    ) -> Result<(), String> {
        self.check_open_to(name, account, self.order.is_operator(owner))?;
        if let Some(room) = self.rooms.get(name) {
            let others = room.roster.members().iter().filter(|member| Some(**member) != replaced).count();
            if others >= self.most_members() {
                return Err("the room is full".into());
            }
        }
        if let Some(pace) = self.limits.joins {
            self.joins.retain(|_, bucket| !bucket.is_full(now.tick));
            if !self.joins.entry(owner).or_default().take(pace, now.tick) {
                return Err("too many joins: wait a minute".into());
            }
        }
        Ok(())
    }

    /// Returns the limit on members of a room: one Welcome can list them, however high their numbers are by now.
    fn most_members(&self) -> usize {
        let fit = WELCOME_NUMBERS / if self.members < u64::from(u32::MAX) { 5 } else { 9 };
        self.limits.members.map_or(fit, |most| most.min(fit))
    }

    /// Adds a permitted user to a room, and tells its members.
    pub(super) fn join(&mut self, member: SessionNumber, name: &RoomName, now: Now, out: &mut Vec<Effect>) {
        let Some(present) = self.present.get(&member) else {
            return;
        };
        let (person, own_name) = (present.person.clone(), present.user.name.clone());
        let (conn, account) = (present.conn(), present.account);
        let is_first = present.seats.is_empty();
        let rooms_opened = &mut self.rooms_opened;
        let open = self.rooms.entry(name.clone()).or_insert_with(|| {
            *rooms_opened += 1;
            let opened_by = (*name != RoomName::lobby()).then_some(account);
            LiveRoom::new(RoomId(*rooms_opened), opened_by, Room::default())
        });
        let (room, others) = (open.id, open.roster.members().to_vec());
        let is_alone = others.is_empty();
        let change = open.roster.add(member, now);
        let as_it_is = open.kept(name);
        // Members learn the newcomer's credential before the join event.
        let joined = Event::Joined { room: name.clone(), who: member, change };
        self.broadcast(name, Some(member), &person, joined, now, out);
        let since = self.cursor;
        out.push(Effect::Keep(as_it_is));
        out.push(Effect::Keep(JournalRecord::Seat { member, room, since, until: None }));
        if let Some(conn) = conn {
            let persons = others.iter().filter_map(|other| self.present.get(other)).map(|other| &other.person);
            out.push(Effect::Introduce(conn, persons.cloned().collect()));
            let notice = self.welcome_notice(name, is_first);
            out.push(tell(conn, &welcome(name, (others, member), change, notice, since, now)));
            out.push(Effect::Enter(conn, member, room, since));
        }
        if !is_alone {
            out.push(Effect::Note(AuditEvent::Joined(own_name)));
        }
        if let Some(present) = self.present.get_mut(&member) {
            if present.seats.is_empty() {
                // It has read no earlier event.
                present.seen = since;
            }
            present.seats.push(RoomSubscription { name: name.clone(), room, since, until: None });
        }
    }

    /// Text for a user who joins a room: about the server too, at the first room.
    fn welcome_notice(&self, room: &RoomName, is_first: bool) -> String {
        let rules = is_first.then(|| self.server_notice());
        let all: Vec<String> = rules.into_iter().chain(self.topic_text(room)).collect();
        all.join("\n")
    }

    /// Leaves a room they are in; of the last one, that is the end of the session.
    pub(super) fn leave(&mut self, member: SessionNumber, name: &RoomName, now: Now, out: &mut Vec<Effect>) {
        self.remove_member(member, name, LeftReason::Left, now, out);
        let Some(present) = self.present.get(&member) else {
            return;
        };
        if let Some(pace) = self.limits.joins {
            self.joins.entry(present.user.owner).or_default().charge(pace, now.tick);
        }
        if present.rooms().next().is_none() {
            self.end(member, LeftReason::Left, Some(ByeReason::Left), now, out);
        }
    }

    /// Ends a session; tells its connection the reason, if there is one.
    pub(super) fn end(
        &mut self,
        member: SessionNumber,
        left: LeftReason,
        bye: Option<ByeReason>,
        now: Now,
        out: &mut Vec<Effect>,
    ) {
        let Some(present) = self.present.get(&member) else {
            return;
        };
        for room in present.rooms().cloned().collect::<Vec<_>>() {
            self.remove_member(member, &room, left, now, out);
        }
        let Some(present) = self.present.remove(&member) else {
            return;
        };
        self.sessions.remove(&present.user.session);
        if self.names.get(&present.account) == Some(&member) {
            self.names.remove(&present.account);
        }
        self.mailbox.take_back(present.user.owner, member);
        self.accounts.touch(present.account, now.at);
        self.ended.add(present.user.session);
        if let Some(conn) = present.conn() {
            self.conns.remove(&conn);
            out.extend(bye.map(|bye| Effect::Bye(conn, bye)));
        }
        out.push(Effect::Keep(JournalRecord::SessionGone(member)));
        out.push(Effect::Note(AuditEvent::Left(present.user.name)));
    }

    /// Tells a room that a member has left; the leaver too, after a request or a kick.
    pub(super) fn remove_member(
        &mut self,
        member: SessionNumber,
        name: &RoomName,
        reason: LeftReason,
        now: Now,
        out: &mut Vec<Effect>,
    ) {
        let (Some(open), Some(present)) = (self.rooms.get_mut(name), self.present.get(&member)) else {
            return;
        };
        let Some(change) = open.roster.remove(member, now) else {
            return;
        };
        let (room, is_empty, as_it_is) = (open.id, open.roster.members().is_empty(), open.kept(name));
        let conn = present.conn();
        let is_told = matches!(reason, LeftReason::Left | LeftReason::Kicked);
        let except = if is_told { None } else { Some(member) };
        let left = Event::Left { room: name.clone(), who: member, change, reason };
        self.broadcast(name, except, &[], left, now, out);
        let until = self.cursor;
        out.extend(conn.map(|conn| Effect::Exit(conn, room, until)));
        if let Some(present) = self.present.get_mut(&member)
            && let Some(seat) = present.seats.iter_mut().find(|seat| seat.room == room && seat.until.is_none())
        {
            seat.until = Some(until);
            out.push(Effect::Keep(JournalRecord::Seat { member, room, since: seat.since, until: seat.until }));
            present.last = if is_told { until } else { present.last };
            present.forget_a_seat();
        }
        if is_empty {
            self.rooms.remove(name);
            self.on_room_empty(name);
            out.push(Effect::Keep(JournalRecord::RoomGone(room)));
        } else {
            out.push(Effect::Keep(as_it_is));
        }
    }
}

impl LiveRoom {
    pub(super) fn new(id: RoomId, opened_by: Option<AccountId>, roster: Room) -> Self {
        Self { id, opened_by, roster, last: 0, by: None, last_by_others: 0 }
    }

    pub(super) fn kept(&self, name: &RoomName) -> JournalRecord {
        let (name, change) = (name.clone(), self.roster.change());
        JournalRecord::Room { room: self.id, name, change, opened_by: self.opened_by }
    }

    /// Delivers an event to a room, except to its author if given.
    pub(super) fn happens(&mut self, cursor: Cursor, by: Option<SessionNumber>) {
        if self.by != by {
            self.last_by_others = self.last;
        }
        (self.last, self.by) = (cursor, by);
    }
}

/// Builds the Welcome of a new session, or of a session in a new room.
fn welcome(
    room: &RoomName,
    (others, own): (Vec<SessionNumber>, SessionNumber),
    change: u64,
    notice: String,
    cursor: Cursor,
    now: Now,
) -> ToClient {
    let (room, longest_text) = (room.clone(), MAX_TEXT as u64);
    let members = others.into_iter().chain([own]).collect();
    ToClient::Welcome(Welcome { room, members, change, resumed: false, cursor, at: now.at, notice, longest_text, own })
}

/// Builds the Welcome of a resumed session.
pub(super) fn welcome_back(room: &RoomName, own: SessionNumber, cursor: Cursor, now: Now) -> ToClient {
    let (room, longest_text) = (room.clone(), MAX_TEXT as u64);
    ToClient::Welcome(Welcome {
        room,
        members: Vec::new(),
        change: 0,
        resumed: true,
        cursor,
        at: now.at,
        notice: String::new(),
        longest_text,
        own,
    })
}
