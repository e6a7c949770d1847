//! Everybody who is here, the rooms, and the rules: what each message brings about. PROTOCOL.md §6, §9.
//!
//! ```text
//! arrive / receive / lost / slow / terminate ──▶ Effect, Effect, …
//! ```
//!
//! Invariant: whoever is here arrived as a [`Newcomer`], which the server makes of a verified peer only.

mod direct;

use std::collections::HashMap;
use std::sync::Arc;

use super::claims::{Ended, Names};
use super::log::Entry;
use super::mailbox::Mailbox;
use super::message::{ByeReason, ErrorCode, Event, LeftReason, Numbered, Session, ToClient, ToServer, Welcome};
use super::name::{MAX_TEXT, Name, RoomName};
use super::numbers::{Numbers, Standing};
use super::pace::{Bucket, Pace};
use super::room::Room;
use super::{Conn, Cursor, Moment, Owner, RoomId};

/// How much larger than its text an envelope may be, in bytes.
const ENVELOPE_OVER_TEXT: usize = 512;
const NOT_DONE: &str = "this server does not do that";
/// So many members fit into a Welcome, which is one record; the bound that stays when limits are off.
const MOST_MEMBERS: usize = 1_900;

/// Somebody who has proved who they are, and wants to come in.
#[derive(Clone, Debug)]
pub struct Newcomer {
    /// Their connection.
    pub conn: Conn,
    /// The name they go by.
    pub name: Name,
    /// Their identity's fingerprint: whose the name is.
    pub owner: Owner,
    /// Their credential's hash.
    pub session: Session,
    /// The Person message that shows others who they are.
    pub person: Arc<[u8]>,
    /// Their identity, as DER SubjectPublicKeyInfo.
    pub spki: Arc<[u8]>,
}

/// What somebody says who is not in yet.
#[derive(Clone, Debug)]
pub enum Asks {
    /// Their first message.
    First(ToServer),
    /// Another try, with a password.
    OnceMore(ToServer),
}

/// What becomes of somebody's first message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They are in.
    Admitted,
    /// Another try, with a password, is allowed.
    OnceMore,
    /// The connection ends, after what there is to say, for this reason; its [`Effect::End`] is among the effects.
    Closed(&'static str),
}

/// What is to be done, in this order.
#[derive(Clone, Debug)]
pub enum Effect {
    /// One connection gets this.
    Tell(Conn, Arc<[u8]>),
    /// Everybody in a room gets this.
    Post(RoomId, Entry),
    /// A connection reads a room's events from after this cursor on.
    Enter(Conn, RoomId, Cursor),
    /// A connection reads a room's events up to this cursor, and no further.
    Exit(Conn, RoomId, Cursor),
    /// A connection ends, after what it has yet to get.
    End(Conn),
    /// Something for the operator's log.
    Note(Note),
}

/// What the operator's log tells: who and that, never what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// Somebody came into a room where others are.
    Joined(Name),
    /// Somebody said something.
    Exchanged,
    /// Somebody's session has ended.
    Left(Name),
}

/// Bounds; `None` where there is none.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Sessions at once.
    pub sessions: Option<usize>,
    /// Members of a room.
    pub members: Option<usize>,
    /// Rooms of a session.
    pub rooms: usize,
    /// Messages that cost others something (17 to 21, 25).
    pub messages: Option<Pace>,
    /// Joins and leaves of one identity.
    pub joins: Option<Pace>,
}

impl Limits {
    /// The protocol's (§9).
    #[must_use]
    pub const fn standard() -> Self {
        Self {
            sessions: Some(4_096),
            members: Some(1_000),
            rooms: 32,
            messages: Some(Pace::per_second(20, 5)),
            joins: Some(Pace::per_minute(16)),
        }
    }

    /// For benchmarks and trusted rooms: no rates, and rooms as large as the protocol can have them.
    #[must_use]
    pub const fn off() -> Self {
        Self { sessions: None, members: Some(MOST_MEMBERS), rooms: 32, messages: None, joins: None }
    }
}

/// Everybody who is here.
#[derive(Debug)]
pub struct Hall {
    limits: Limits,
    present: HashMap<Conn, Present>,
    sessions: HashMap<Session, Conn>,
    rooms: HashMap<RoomName, OpenRoom>,
    names: Names,
    mailbox: Mailbox,
    ended: Ended,
    joins: HashMap<Owner, Bucket>,
    cursor: Cursor,
    rooms_opened: u64,
}

#[derive(Debug)]
struct Present {
    who: Newcomer,
    rooms: Vec<RoomName>,
    numbers: Numbers,
    messages: Bucket,
}

#[derive(Debug)]
struct OpenRoom {
    id: RoomId,
    roster: Room,
}

impl Hall {
    /// An empty hall.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            present: HashMap::new(),
            sessions: HashMap::new(),
            rooms: HashMap::new(),
            names: Names::default(),
            mailbox: Mailbox::default(),
            ended: Ended::default(),
            joins: HashMap::new(),
            cursor: 0,
            rooms_opened: 0,
        }
    }

    /// Somebody's first message, or their second after [`Verdict::OnceMore`], which is the last.
    pub fn arrive(&mut self, who: Newcomer, asks: &Asks, now: Moment, out: &mut Vec<Effect>) -> Verdict {
        let conn = who.conn;
        let verdict = self.decide(who, asks, now, out);
        if let Verdict::Closed(_) = verdict {
            out.push(Effect::End(conn));
        }
        verdict
    }

    fn decide(&mut self, who: Newcomer, asks: &Asks, now: Moment, out: &mut Vec<Effect>) -> Verdict {
        let conn = who.conn;
        let room = match asks {
            Asks::First(ToServer::Join { room, .. }) | Asks::OnceMore(ToServer::Join { room, .. }) => room,
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
        if self.ended.has(who.session) || self.sessions.contains_key(&who.session) {
            return refuse(ErrorCode::Refused, "that session has been here before: begin a new one");
        }
        if !self.names.may_have(&who.name, who.owner) {
            let closed = refuse(ErrorCode::Password, "that name, or one that looks like it, belongs to another key");
            return if matches!(asks, Asks::First(_)) { Verdict::OnceMore } else { closed };
        }
        let earlier =
            self.present.values().find(|other| other.who.owner == who.owner && other.who.name.looks_like(&who.name));
        let earlier = earlier.map(|present| present.who.conn);
        if earlier.is_none() && self.limits.sessions.is_some_and(|most| self.present.len() >= most) {
            return refuse(ErrorCode::Refused, "the server is full");
        }
        // Nothing is changed for somebody who is then refused: no name is taken, nobody replaced.
        if let Err(why) = self.may_join(who.owner, room, earlier, now) {
            return refuse(ErrorCode::Refused, why);
        }
        self.names.register(&who.name, who.owner, &who.spki, conn, |conn| self.present.contains_key(&conn));
        if let Some(earlier) = earlier {
            self.end(earlier, ByeReason::Replaced, LeftReason::Replaced, now, out);
        }
        self.sessions.insert(who.session, conn);
        let owner = who.owner;
        let present = Present { who, rooms: Vec::new(), numbers: Numbers::default(), messages: Bucket::default() };
        self.present.insert(conn, present);
        self.join(conn, room, now, out);
        self.hand_over_letters(owner, conn, now, out);
        Verdict::Admitted
    }

    /// A message from somebody who is here; from anybody else it is passed over.
    pub fn receive(&mut self, from: Conn, message: ToServer, now: Moment, out: &mut Vec<Effect>) {
        let Some(present) = self.present.get_mut(&from) else {
            return;
        };
        match message {
            ToServer::Numbered { n, body } => self.numbered(from, n, body, now, out),
            ToServer::Join { room, .. } => {
                let (owner, rooms) = (present.who.owner, &present.rooms);
                let may = if rooms.contains(&room) {
                    Err("already in that room")
                } else if rooms.len() >= self.limits.rooms {
                    Err("in too many rooms")
                } else {
                    self.may_join(owner, &room, None, now)
                };
                match may {
                    Ok(()) => self.join(from, &room, now, out),
                    Err(why) => out.push(refusal(from, ErrorCode::Refused, why)),
                }
            }
            ToServer::Leave(room) if present.rooms.contains(&room) => self.leave(from, &room, now, out),
            ToServer::Leave(_) => out.push(refusal(from, ErrorCode::Refused, "not in that room")),
            ToServer::Seen(cursor) => self.mailbox.seen(present.who.owner, from, cursor),
            ToServer::Lookup(name) => self.look_up(from, name, now, out),
            ToServer::Ping => out.push(tell(from, &ToClient::Pong)),
            ToServer::Malformed => out.push(refusal(from, ErrorCode::Malformed, "wrong fields")),
            ToServer::Unsupported => out.push(refusal(from, ErrorCode::Unsupported, NOT_DONE)),
            ToServer::Unbuilt => {
                let in_time = present.keeps_pace(&self.limits, now);
                let code = if in_time { ErrorCode::Unsupported } else { ErrorCode::Wait };
                out.push(refusal(from, code, NOT_DONE));
            }
        }
    }

    /// A connection has ended without a word.
    pub fn lost(&mut self, conn: Conn, now: Moment, out: &mut Vec<Effect>) {
        self.leave_all(conn, LeftReason::Lost, now, out);
    }

    /// Too much was waiting for a connection that does not read; it has been told.
    pub fn slow(&mut self, conn: Conn, now: Moment, out: &mut Vec<Effect>) {
        self.leave_all(conn, LeftReason::Slow, now, out);
    }

    /// Everybody's session ends.
    pub fn terminate(&mut self, out: &mut Vec<Effect>) {
        self.sessions.clear();
        for (conn, _) in self.present.drain() {
            out.push(tell(conn, &ToClient::Bye(ByeReason::Terminated)));
            out.push(Effect::End(conn));
        }
        self.rooms.clear();
    }

    /// Who is here, and in which rooms, by name.
    #[must_use]
    pub fn who(&self) -> Vec<(Name, Vec<RoomName>)> {
        let mut all: Vec<_> =
            self.present.values().map(|present| (present.who.name.clone(), present.rooms.clone())).collect();
        all.sort();
        all
    }

    /// Whether there is room, and it is not one join too many; if so it counts.
    fn may_join(
        &mut self,
        owner: Owner,
        name: &RoomName,
        replaced: Option<Conn>,
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
    fn join(&mut self, conn: Conn, name: &RoomName, now: Moment, out: &mut Vec<Effect>) {
        let Some(present) = self.present.get_mut(&conn) else {
            return;
        };
        let rooms_opened = &mut self.rooms_opened;
        let room = self.rooms.entry(name.clone()).or_insert_with(|| {
            *rooms_opened += 1;
            OpenRoom { id: RoomId(*rooms_opened), roster: Room::default() }
        });
        let (id, others) = (room.id, room.roster.members().to_vec());
        let change = room.roster.add(conn, now.tick);
        present.rooms.push(name.clone());
        let (session, newcomer, person) = (present.who.session, present.who.name.clone(), present.who.person.clone());
        self.cursor += 1;
        // Everybody is told who comes before they are told that somebody has come.
        let joined = ToClient::Event {
            cursor: self.cursor,
            at: now.at,
            event: Event::Joined { room: name.clone(), session, change },
        };
        let bytes = [&*person, &joined.encode()].concat().into();
        out.push(Effect::Post(id, Entry { cursor: self.cursor, except: Some(conn), bytes }));
        let others: Vec<&Newcomer> =
            others.iter().filter_map(|other| self.present.get(other)).map(|present| &present.who).collect();
        out.extend(others.iter().map(|other| Effect::Tell(conn, other.person.clone())));
        let welcome = ToClient::Welcome(Welcome {
            room: name.clone(),
            sessions: others.iter().map(|other| other.session).chain([session]).collect(),
            change,
            resumed: false,
            cursor: self.cursor,
            at: now.at,
            notice: String::new(),
            longest_text: MAX_TEXT as u64,
        });
        out.push(tell(conn, &welcome));
        out.push(Effect::Enter(conn, id, self.cursor));
        if !others.is_empty() {
            out.push(Effect::Note(Note::Joined(newcomer)));
        }
    }

    fn numbered(&mut self, from: Conn, n: u64, body: Numbered, now: Moment, out: &mut Vec<Effect>) {
        let Some(present) = self.present.get_mut(&from) else {
            return;
        };
        match present.numbers.standing(n) {
            Standing::Answered(None) => return out.push(tell(from, &ToClient::Accepted(n))),
            Standing::Answered(Some(code)) => return out.push(answer(from, code, n)),
            Standing::TooHigh(next) => return out.push(answer(from, ErrorCode::Again, next)),
            Standing::Next => {}
        }
        if !present.keeps_pace(&self.limits, now) {
            return out.push(answer(from, ErrorCode::Wait, n));
        }
        let done = match body {
            Numbered::Say { room, change, envelope } => self.say(from, room, change, envelope, now, out),
            Numbered::Whisper { to, boxed } => self.whisper(from, to, boxed, now, out),
            Numbered::Share(boxes) => self.share(from, boxes, now, out),
            Numbered::Letter { to, letter } => self.letter(from, to, &letter, now, out),
            Numbered::Malformed => Err(ErrorCode::Malformed),
        };
        let Some(Present { numbers, .. }) = self.present.get_mut(&from) else {
            return;
        };
        match done {
            Ok(()) => {
                numbers.accept();
                out.push(tell(from, &ToClient::Accepted(n)));
            }
            Err(code) => {
                if code != ErrorCode::Again {
                    numbers.refuse(code);
                }
                out.push(answer(from, code, n));
            }
        }
    }

    /// Something to a room.
    fn say(
        &mut self,
        from: Conn,
        room: RoomName,
        change: u64,
        envelope: Vec<u8>,
        now: Moment,
        out: &mut Vec<Effect>,
    ) -> Result<(), ErrorCode> {
        let present = self.present.get(&from).ok_or(ErrorCode::Refused)?;
        let open = self.rooms.get(&room).filter(|_| present.rooms.contains(&room)).ok_or(ErrorCode::Refused)?;
        if envelope.len() > MAX_TEXT + ENVELOPE_OVER_TEXT {
            return Err(ErrorCode::Large);
        }
        if !open.roster.takes(change, now.tick) {
            return Err(ErrorCode::Again);
        }
        self.cursor += 1;
        let event = Event::Said { room, session: present.who.session, change, envelope };
        let bytes = ToClient::Event { cursor: self.cursor, at: now.at, event }.encode().into();
        out.push(Effect::Post(open.id, Entry { cursor: self.cursor, except: Some(from), bytes }));
        out.push(Effect::Note(Note::Exchanged));
        Ok(())
    }

    /// Leaves a room they are in; of the last one, that is the end of the session.
    fn leave(&mut self, conn: Conn, name: &RoomName, now: Moment, out: &mut Vec<Effect>) {
        self.take_out(conn, name, LeftReason::Left, now, out);
        let Some(present) = self.present.get_mut(&conn) else {
            return;
        };
        present.rooms.retain(|room| room != name);
        if let Some(pace) = self.limits.joins {
            self.joins.entry(present.who.owner).or_default().charge(pace, now.tick);
        }
        if present.rooms.is_empty() {
            self.end(conn, ByeReason::Left, LeftReason::Left, now, out);
        }
    }

    /// Ends somebody's session, and tells them why.
    fn end(&mut self, conn: Conn, bye: ByeReason, left: LeftReason, now: Moment, out: &mut Vec<Effect>) {
        self.leave_all(conn, left, now, out);
        out.push(tell(conn, &ToClient::Bye(bye)));
        out.push(Effect::End(conn));
    }

    fn leave_all(&mut self, conn: Conn, reason: LeftReason, now: Moment, out: &mut Vec<Effect>) {
        let Some(present) = self.present.get_mut(&conn) else {
            return;
        };
        let name = present.who.name.clone();
        for room in std::mem::take(&mut present.rooms) {
            self.take_out(conn, &room, reason, now, out);
        }
        self.forget(conn);
        out.push(Effect::Note(Note::Left(name)));
    }

    /// Tells a room that somebody is gone; them too, if they have asked for it or were put out.
    fn take_out(&mut self, conn: Conn, name: &RoomName, reason: LeftReason, now: Moment, out: &mut Vec<Effect>) {
        let (Some(room), Some(present)) = (self.rooms.get_mut(name), self.present.get(&conn)) else {
            return;
        };
        let Some(change) = room.roster.remove(conn, now.tick) else {
            return;
        };
        self.cursor += 1;
        let event = Event::Left { room: name.clone(), session: present.who.session, change, reason };
        let bytes = ToClient::Event { cursor: self.cursor, at: now.at, event }.encode().into();
        let is_told = matches!(reason, LeftReason::Left | LeftReason::Kicked);
        let except = if is_told { None } else { Some(conn) };
        out.push(Effect::Post(room.id, Entry { cursor: self.cursor, except, bytes }));
        out.push(Effect::Exit(conn, room.id, self.cursor));
        if room.roster.members().is_empty() {
            self.rooms.remove(name);
        }
    }

    fn forget(&mut self, conn: Conn) {
        if let Some(present) = self.present.remove(&conn) {
            self.sessions.remove(&present.who.session);
            self.mailbox.take_back(present.who.owner, conn);
            self.ended.add(present.who.session);
        }
    }
}

impl Present {
    /// Whether they are slow enough for another message that costs others something; if so it counts.
    fn keeps_pace(&mut self, limits: &Limits, now: Moment) -> bool {
        limits.messages.is_none_or(|pace| self.messages.take(pace, now.tick))
    }
}

fn tell(conn: Conn, message: &ToClient) -> Effect {
    Effect::Tell(conn, message.encode().into())
}

/// An Error that answers nothing counted.
fn refusal(conn: Conn, code: ErrorCode, text: &str) -> Effect {
    tell(conn, &ToClient::Error { code, text: text.to_owned(), n: 0 })
}

/// An Error that answers a number.
fn answer(conn: Conn, code: ErrorCode, n: u64) -> Effect {
    let text = match code {
        ErrorCode::Refused => "not in that room, or too many letters wait",
        ErrorCode::Absent => "nobody such is here",
        ErrorCode::Large => "too long",
        ErrorCode::Malformed => "wrong fields",
        ErrorCode::Unsupported => NOT_DONE,
        ErrorCode::Again => "the room has changed, or a message before it is missing",
        ErrorCode::Wait => "too fast",
        ErrorCode::Password | ErrorCode::Volatile => "",
    };
    tell(conn, &ToClient::Error { code, text: text.to_owned(), n })
}

#[cfg(test)]
mod tests;
