//! Who comes in, and who goes: sessions begin and end, rooms open and empty. PROTOCOL.md §6 "Joining", "Leaving".

use super::{
    Asks, ByeReason, Conn, Cursor, Effect, ErrorCode, Event, Hall, Kept, LeftReason, MAX_TEXT, Member, Moment,
    Newcomer, Note, Numbers, OpenRoom, Owner, Place, Present, Range, Room, RoomId, RoomName, Seat, Session, ToClient,
    ToServer, User, Verdict, refusal, tell,
};
use crate::chat::message::Welcome;

impl Hall {
    /// Somebody's first message, or their second after [`Verdict::OnceMore`], which is the last.
    pub fn arrive(&mut self, who: Newcomer, asks: &Asks, now: Moment, out: &mut Vec<Effect>) -> Verdict {
        let conn = who.conn;
        let verdict = self.decide(who, asks, now, out);
        if let Verdict::Closed(_) | Verdict::Stale(_) = verdict {
            out.push(Effect::End(conn));
        }
        verdict
    }

    fn decide(&mut self, who: Newcomer, asks: &Asks, now: Moment, out: &mut Vec<Effect>) -> Verdict {
        let Newcomer { conn, user } = who;
        let (room, cursor) = match asks {
            Asks::First(ToServer::Join { room, cursor, .. }) | Asks::OnceMore(ToServer::Join { room, cursor, .. }) => {
                (room, *cursor)
            }
            // Whoever is asked for a password may take longer than it takes to be lost.
            Asks::OnceMore(ToServer::Ping) => {
                out.push(tell(conn, &ToClient::Pong));
                return Verdict::OnceMore;
            }
            _ => return Verdict::Closed("its first message is no Join"),
        };
        let mut refuse = |code, why| {
            out.push(refusal(conn, code, why));
            Verdict::Closed(why)
        };
        if cursor > 0 {
            return match self.resume(conn, user.session, room, cursor, now, out) {
                Ok(()) => Verdict::Admitted,
                Err(why) => {
                    out.push(refusal(conn, ErrorCode::Refused, why));
                    Verdict::Stale(why)
                }
            };
        }
        if self.ended.has(user.session) || self.sessions.contains_key(&user.session) {
            return refuse(ErrorCode::Refused, "that session has been here before: begin a new one");
        }
        if !self.names.may_have(&user.name, user.owner) {
            let closed = refuse(ErrorCode::Password, "that name, or one that looks like it, belongs to another key");
            return if matches!(asks, Asks::First(_)) { Verdict::OnceMore } else { closed };
        }
        let is_earlier = |other: &User| other.owner == user.owner && other.name.looks_like(&user.name);
        let earlier = self.present.iter().find(|(_, present)| is_earlier(&present.user)).map(|(member, _)| *member);
        let is_full = self.limits.sessions.is_some_and(|most| self.present.len() >= most);
        // Who is lost makes way.
        let makes_way = if is_full && earlier.is_none() { self.longest_away() } else { None };
        if is_full && earlier.or(makes_way).is_none() {
            return refuse(ErrorCode::Refused, "the server is full");
        }
        // Nothing is changed for somebody who is then refused: no name is taken, nobody replaced.
        if let Err(why) = self.may_join(user.owner, room, earlier, now) {
            return refuse(ErrorCode::Refused, why);
        }
        if let Some(member) = makes_way {
            self.end(member, LeftReason::Lost, None, now, out);
        }
        if let Some(earlier) = earlier {
            self.end(earlier, LeftReason::Replaced, Some(ByeReason::Replaced), now, out);
        }
        let (owner, member) = (user.owner, self.begin(conn, user, out));
        self.join(member, room, now, out);
        self.hand_over_letters(owner, member, now, out);
        Verdict::Admitted
    }

    /// A session begins.
    fn begin(&mut self, conn: Conn, user: User, out: &mut Vec<Effect>) -> Member {
        self.members += 1;
        let (member, range) = (Member(self.members), Range::default());
        self.names.register(&user.name, user.owner, &user.spki, member, |other| self.present.contains_key(&other));
        self.conns.insert(conn, member);
        self.sessions.insert(user.session, member);
        out.push(Effect::Keep(Kept::Session { member, user: user.clone(), last: 0, refused: Vec::new(), range }));
        self.present.insert(member, Present::new(user, Place::Here(conn), Numbers::default(), range));
        member
    }

    /// Whether there is room, and it is not one join too many; if so it counts.
    pub(super) fn may_join(
        &mut self,
        owner: Owner,
        name: &RoomName,
        replaced: Option<Member>,
        now: Moment,
    ) -> Result<(), &'static str> {
        if let (Some(most), Some(room)) = (self.limits.members, self.rooms.get(name)) {
            let others = room.roster.members().iter().filter(|member| Some(**member) != replaced).count();
            if others >= most {
                return Err("the room is full");
            }
        }
        if let Some(pace) = self.limits.joins {
            self.joins.retain(|_, bucket| !bucket.is_full(now.tick));
            if !self.joins.entry(owner).or_default().take(pace, now.tick) {
                return Err("too many joins: wait a minute");
            }
        }
        Ok(())
    }

    /// Puts somebody who may into a room, and tells everybody who has to know.
    pub(super) fn join(&mut self, member: Member, name: &RoomName, now: Moment, out: &mut Vec<Effect>) {
        let Some(present) = self.present.get(&member) else {
            return;
        };
        let (user, conn) = (present.user.clone(), present.conn());
        let rooms_opened = &mut self.rooms_opened;
        let open = self.rooms.entry(name.clone()).or_insert_with(|| {
            *rooms_opened += 1;
            OpenRoom::new(RoomId(*rooms_opened), Room::default())
        });
        let (room, others) = (open.id, open.roster.members().to_vec());
        let change = open.roster.add(member, now.tick);
        // Everybody is told who comes before they are told that somebody has come.
        let joined = Event::Joined { room: name.clone(), session: user.session, change };
        self.post(name, Some(member), &user.person, joined, now, out);
        let since = self.cursor;
        out.push(Effect::Keep(Kept::Room { room, name: name.clone(), change }));
        out.push(Effect::Keep(Kept::Seat { member, room, since, until: None }));
        let others: Vec<&User> =
            others.iter().filter_map(|other| self.present.get(other)).map(|present| &present.user).collect();
        if let Some(conn) = conn {
            out.extend(others.iter().map(|other| Effect::Tell(conn, other.person.clone())));
            let sessions = others.iter().map(|other| other.session).chain([user.session]).collect();
            out.push(tell(conn, &welcome(name, sessions, change, false, since, now)));
            out.push(Effect::Enter(conn, member, room, since));
        }
        if !others.is_empty() {
            out.push(Effect::Note(Note::Joined(user.name)));
        }
        if let Some(present) = self.present.get_mut(&member) {
            if present.seats.is_empty() {
                // It knows of nothing that was before.
                present.seen = since;
            }
            present.seats.push(Seat { name: name.clone(), room, since, until: None });
        }
    }

    /// Leaves a room they are in; of the last one, that is the end of the session.
    pub(super) fn leave(&mut self, member: Member, name: &RoomName, now: Moment, out: &mut Vec<Effect>) {
        self.take_out(member, name, LeftReason::Left, now, out);
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

    /// Ends a session; a connection that it still has is told why, if there is anything to tell.
    pub(super) fn end(
        &mut self,
        member: Member,
        left: LeftReason,
        bye: Option<ByeReason>,
        now: Moment,
        out: &mut Vec<Effect>,
    ) {
        let Some(present) = self.present.get(&member) else {
            return;
        };
        for room in present.rooms().cloned().collect::<Vec<_>>() {
            self.take_out(member, &room, left, now, out);
        }
        let Some(present) = self.present.remove(&member) else {
            return;
        };
        self.sessions.remove(&present.user.session);
        self.mailbox.take_back(present.user.owner, member);
        self.ended.add(present.user.session);
        if let Some(conn) = present.conn() {
            self.conns.remove(&conn);
            out.extend(bye.map(|bye| Effect::Bye(conn, bye)));
        }
        out.push(Effect::Keep(Kept::SessionGone(member)));
        out.push(Effect::Note(Note::Left(present.user.name)));
    }

    /// Tells a room that somebody is gone; them too, if they have asked for it or were put out.
    fn take_out(&mut self, member: Member, name: &RoomName, reason: LeftReason, now: Moment, out: &mut Vec<Effect>) {
        let (Some(open), Some(present)) = (self.rooms.get_mut(name), self.present.get(&member)) else {
            return;
        };
        let Some(change) = open.roster.remove(member, now.tick) else {
            return;
        };
        let (room, is_empty) = (open.id, open.roster.members().is_empty());
        let (session, conn) = (present.user.session, present.conn());
        let is_told = matches!(reason, LeftReason::Left | LeftReason::Kicked);
        let except = if is_told { None } else { Some(member) };
        let left = Event::Left { room: name.clone(), session, change, reason };
        self.post(name, except, &[], left, now, out);
        let until = self.cursor;
        out.extend(conn.map(|conn| Effect::Exit(conn, room, until)));
        if let Some(present) = self.present.get_mut(&member)
            && let Some(seat) = present.seats.iter_mut().find(|seat| seat.room == room && seat.until.is_none())
        {
            seat.until = Some(until);
            out.push(Effect::Keep(Kept::Seat { member, room, since: seat.since, until: seat.until }));
            present.last = if is_told { until } else { present.last };
            present.forget_a_seat();
        }
        if is_empty {
            self.rooms.remove(name);
            out.push(Effect::Keep(Kept::RoomGone(room)));
        } else {
            out.push(Effect::Keep(Kept::Room { room, name: name.clone(), change }));
        }
    }
}

impl OpenRoom {
    pub(super) fn new(id: RoomId, roster: Room) -> Self {
        Self { id, roster, last: 0, by: None, last_by_others: 0 }
    }

    /// Something happens there, caused by somebody who does not read it, or for all.
    pub(super) fn happens(&mut self, cursor: Cursor, by: Option<Member>) {
        if self.by != by {
            self.last_by_others = self.last;
        }
        (self.last, self.by) = (cursor, by);
    }
}

pub(super) fn welcome(
    room: &RoomName,
    sessions: Vec<Session>,
    change: u64,
    resumed: bool,
    cursor: Cursor,
    now: Moment,
) -> ToClient {
    ToClient::Welcome(Welcome {
        room: room.clone(),
        sessions,
        change,
        resumed,
        cursor,
        at: now.at,
        notice: String::new(),
        longest_text: MAX_TEXT as u64,
    })
}
