//! Everybody who is here, the rooms, and the rules: what each message brings about. PROTOCOL.md §6, §8, §9.
//!
//! ```text
//! arrive / receive / lost / slow / tick / terminate ──▶ Effect, Effect, …
//! ```
//!
//! Whoever is here is a session, a [`Member`]; its connections come and go. Every event goes to the backlog and, as an
//! effect, to whoever reads now; what must be found again after a crash is among the effects too, as [`Kept`].
//!
//! Invariant: whoever is here arrived as a [`Newcomer`], which the server makes of a verified peer only.

mod coming;
mod direct;
mod staying;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::backlog::{Backlog, To};
use super::claims::{Ended, Names};
use super::kept::{Kept, Range};
use super::lasting::Lasting;
use super::log::Entry;
use super::mailbox::Mailbox;
use super::message::{ByeReason, ErrorCode, Event, LeftReason, Numbered, Session, ToClient, ToServer};
use super::name::{MAX_TEXT, Name, RoomName};
use super::numbers::{Numbers, Standing};
use super::pace::{Bucket, Pace};
use super::room::Room;
use super::user::User;
use super::{Conn, Cursor, Member, Moment, Owner, RoomId};

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
    /// Who they are.
    pub user: User,
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
    /// The same, for a session that cannot go on: that is nobody's fault.
    Stale(&'static str),
}

/// What is to be done, in this order.
#[derive(Clone, Debug)]
pub enum Effect {
    /// This is so, and is to be found again after a crash.
    Keep(Kept),
    /// One connection gets this, before what happens after it, which is no event.
    Tell(Conn, Arc<[u8]>),
    /// Everybody in a room gets this event.
    Post(RoomId, Entry),
    /// A session gets this event, on its connection if it has one.
    One(Option<Conn>, Member, Entry),
    /// A connection gets the answer to a counted message, when what came before is on the disk.
    Answer(Conn, Member, u64, Outcome),
    /// A connection reads a room's events from after this cursor on.
    Enter(Conn, Member, RoomId, Cursor),
    /// A connection reads a room's events up to this cursor, and no further.
    Exit(Conn, RoomId, Cursor),
    /// A connection that is behind gets this.
    CatchUp(Conn, Member, Piece),
    /// A connection is told goodbye, and ends, when all else that is due to it is out and on the disk.
    Bye(Conn, ByeReason),
    /// A connection ends, after all answers and what else it has yet to get.
    End(Conn),
    /// A connection ends now.
    Cut(Conn),
    /// Something for the operator's log.
    Note(Note),
}

/// A piece of what a connection has missed.
#[derive(Clone, Debug)]
pub struct Piece {
    /// It has had everything up to here.
    pub from: Cursor,
    /// What comes next.
    pub entries: Vec<Entry>,
    /// After that it has had everything up to here.
    pub to: Cursor,
    /// Whether it is not behind any more then.
    pub is_last: bool,
}

/// Whether a counted message was taken.
pub type Outcome = Result<(), ErrorCode>;

/// What the operator's log tells: who and that, never what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// Somebody came into a room where others are.
    Joined(Name),
    /// Somebody said something.
    Exchanged,
    /// Somebody's connection was lost; they may be back.
    Lost(Name),
    /// They are back.
    Back(Name),
    /// Somebody's session has ended.
    Left(Name),
}

/// Who may come in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    #[default]
    Open,
    /// Whoever has registered a name, and whoever has an invitation.
    Invite,
    /// Whoever has registered a name.
    Closed,
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
    /// For how long a session whose connection is lost is waited for.
    pub resume: Duration,
    /// Events that are held for who has yet to read them, in bytes.
    pub backlog: u64,
}

impl Limits {
    /// The protocol's (§8, §9).
    #[must_use]
    pub const fn standard() -> Self {
        Self {
            sessions: Some(4_096),
            members: Some(1_000),
            rooms: 32,
            messages: Some(Pace::per_second(20, 5)),
            joins: Some(Pace::per_minute(16)),
            resume: Duration::from_secs(120),
            backlog: 64 * 1_024 * 1_024,
        }
    }

    /// For benchmarks and trusted rooms: no rates, and rooms as large as the protocol can have them.
    #[must_use]
    pub const fn off() -> Self {
        Self { sessions: None, members: Some(MOST_MEMBERS), messages: None, joins: None, ..Self::standard() }
    }
}

/// Everybody who is here.
#[derive(Debug)]
pub struct Hall {
    limits: Limits,
    present: HashMap<Member, Present>,
    conns: HashMap<Conn, Member>,
    sessions: HashMap<Session, Member>,
    rooms: HashMap<RoomName, OpenRoom>,
    names: Names,
    mailbox: Mailbox,
    ended: Ended,
    joins: HashMap<Owner, Bucket>,
    backlog: Backlog,
    cursor: Cursor,
    members: u64,
    rooms_opened: u64,
    /// When something is due with time alone.
    due_at: Option<Instant>,
    /// When the backlog was last looked through for what everybody has seen.
    forgot_at: Option<Instant>,
}

/// A session.
#[derive(Debug)]
struct Present {
    user: User,
    place: Place,
    seats: Vec<Seat>,
    numbers: Numbers,
    messages: Bucket,
    /// It has told that it has had everything up to here.
    seen: Cursor,
    /// The last event that was for it alone.
    last: Cursor,
    range: Range,
}

/// Where a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Here(Conn),
    /// Its connection is lost. Others are told when it has been for a while.
    Away {
        since: Instant,
        tell_at: Instant,
        told: bool,
    },
}

/// What a session reads of a room.
#[derive(Clone, Debug)]
struct Seat {
    name: RoomName,
    room: RoomId,
    since: Cursor,
    /// The event by which it left, until it has seen it.
    until: Option<Cursor>,
}

#[derive(Debug)]
struct OpenRoom {
    id: RoomId,
    roster: Room,
    /// The last event, who caused it, and the last one that they did not cause.
    last: Cursor,
    by: Option<Member>,
    last_by_others: Cursor,
}

impl Hall {
    /// An empty hall.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            present: HashMap::new(),
            conns: HashMap::new(),
            sessions: HashMap::new(),
            rooms: HashMap::new(),
            names: Names::default(),
            mailbox: Mailbox::default(),
            ended: Ended::default(),
            joins: HashMap::new(),
            backlog: Backlog::new(limits.backlog),
            cursor: 0,
            members: 0,
            rooms_opened: 0,
            due_at: None,
            forgot_at: None,
        }
    }

    /// A message from somebody who is here; from anybody else it is passed over.
    pub fn receive(&mut self, from: Conn, message: ToServer, now: Moment, out: &mut Vec<Effect>) {
        let limits = self.limits;
        let Some((member, present)) = self.at(from) else {
            return;
        };
        match message {
            ToServer::Numbered { n, body } => self.numbered(from, member, n, body, now, out),
            ToServer::Join { room, cursor: 0, .. } => {
                let owner = present.user.owner;
                let may = if present.is_in(&room) {
                    Err("already in that room")
                } else if present.rooms().count() >= limits.rooms {
                    Err("in too many rooms")
                } else {
                    self.may_join(owner, &room, None, now)
                };
                match may {
                    Ok(()) => self.join(member, &room, now, out),
                    Err(why) => out.push(refusal(from, ErrorCode::Refused, why)),
                }
            }
            ToServer::Join { .. } => {
                out.push(refusal(from, ErrorCode::Refused, "a session is resumed at once or never"));
            }
            ToServer::Leave(room) if present.is_in(&room) => self.leave(member, &room, now, out),
            ToServer::Leave(_) => out.push(refusal(from, ErrorCode::Refused, "not in that room")),
            ToServer::Seen(cursor) => self.seen(member, cursor, now, out),
            ToServer::Lookup(name) => self.look_up(from, member, name, now, out),
            ToServer::Ping => out.push(tell(from, &ToClient::Pong)),
            ToServer::Malformed => out.push(refusal(from, ErrorCode::Malformed, "wrong fields")),
            ToServer::Unsupported => out.push(refusal(from, ErrorCode::Unsupported, NOT_DONE)),
            ToServer::Command(_) | ToServer::Password(_) => {
                let in_time = present.keeps_pace(&limits, now);
                let code = if in_time { ErrorCode::Unsupported } else { ErrorCode::Wait };
                out.push(refusal(from, code, NOT_DONE));
            }
        }
    }

    /// Everybody's session ends.
    pub fn terminate(&mut self, out: &mut Vec<Effect>) {
        let here = self.present.values().filter_map(Present::conn);
        out.extend(here.map(|conn| Effect::Bye(conn, ByeReason::Terminated)));
        self.present.clear();
        self.conns.clear();
        self.sessions.clear();
        self.rooms.clear();
        self.due_at = None;
    }

    /// Something for everybody who is in a room, from the operator.
    pub fn notice(&mut self, text: &str, now: Moment, out: &mut Vec<Effect>) {
        let rooms: Vec<RoomName> = self.rooms.keys().cloned().collect();
        for room in rooms {
            self.post(&room, None, &[], Event::Notice(text.to_owned()), now, out);
        }
    }

    /// Who is here, in which rooms, and whether their connection is lost, by name.
    #[must_use]
    pub fn who(&self) -> Vec<(Name, Vec<RoomName>, bool)> {
        let one = |present: &Present| {
            (present.user.name.clone(), present.rooms().cloned().collect(), present.conn().is_none())
        };
        let mut all: Vec<_> = self.present.values().map(one).collect();
        all.sort();
        all
    }

    fn numbered(&mut self, from: Conn, member: Member, n: u64, body: Numbered, now: Moment, out: &mut Vec<Effect>) {
        let Some(present) = self.present.get_mut(&member) else {
            return;
        };
        let answer = |n, outcome| Effect::Answer(from, member, n, outcome);
        match present.numbers.standing(n) {
            Standing::Answered(None) => return out.push(answer(n, Ok(()))),
            Standing::Answered(Some(code)) => return out.push(answer(n, Err(code))),
            Standing::TooHigh(next) => return out.push(answer(next, Err(ErrorCode::Again))),
            Standing::Next => {}
        }
        if !present.keeps_pace(&self.limits, now) {
            return out.push(answer(n, Err(ErrorCode::Wait)));
        }
        let done = match body {
            Numbered::Say { room, change, envelope } => self.say(member, room, change, envelope, now, out),
            Numbered::Whisper { to, boxed } => self.whisper(member, to, boxed, now, out),
            Numbered::Share(boxes) => self.share(member, boxes, now, out),
            Numbered::Letter { to, letter } => self.letter(member, n, to, &letter, now, out),
            Numbered::Malformed => Err(ErrorCode::Malformed),
        };
        let Some(Present { numbers, .. }) = self.present.get_mut(&member) else {
            return;
        };
        match done {
            Ok(()) => numbers.accept(),
            Err(ErrorCode::Again) => return out.push(answer(n, done)),
            Err(code) => numbers.refuse(code),
        }
        out.push(Effect::Keep(Kept::Number { member, last: n, refused: done.err() }));
        out.push(answer(n, done));
    }

    /// Something to a room.
    fn say(
        &mut self,
        from: Member,
        room: RoomName,
        change: u64,
        envelope: Vec<u8>,
        now: Moment,
        out: &mut Vec<Effect>,
    ) -> Result<(), ErrorCode> {
        let present = self.present.get(&from).ok_or(ErrorCode::Refused)?;
        let session = present.user.session;
        let open = self.rooms.get(&room).filter(|_| present.is_in(&room)).ok_or(ErrorCode::Refused)?;
        if envelope.len() > MAX_TEXT + ENVELOPE_OVER_TEXT {
            return Err(ErrorCode::Large);
        }
        if !open.roster.takes(change, now.tick) {
            return Err(ErrorCode::Again);
        }
        self.post(&room.clone(), Some(from), &[], Event::Said { room, session, change, envelope }, now, out);
        out.push(Effect::Note(Note::Exchanged));
        Ok(())
    }

    /// Something happens in a room. `before` goes in front of it, to the same people.
    fn post(
        &mut self,
        room: &RoomName,
        except: Option<Member>,
        before: &[u8],
        event: Event,
        now: Moment,
        out: &mut Vec<Effect>,
    ) {
        let Some(open) = self.rooms.get_mut(room) else {
            return;
        };
        self.cursor += 1;
        open.happens(self.cursor, except);
        let event = ToClient::Event { cursor: self.cursor, at: now.at, event }.encode();
        let bytes = if before.is_empty() { event.into() } else { [before, &event].concat().into() };
        let (id, entry) = (open.id, Entry { cursor: self.cursor, except, bytes });
        out.push(Effect::Post(id, entry.clone()));
        self.hold(To::Room(id), entry, now, out);
    }

    /// Something happens to one session.
    fn post_to(&mut self, to: Member, event: Event, now: Moment, out: &mut Vec<Effect>) {
        let Some(present) = self.present.get_mut(&to) else {
            return;
        };
        self.cursor += 1;
        present.last = self.cursor;
        let bytes = ToClient::Event { cursor: self.cursor, at: now.at, event }.encode().into();
        let entry = Entry { cursor: self.cursor, except: None, bytes };
        out.push(Effect::One(present.conn(), to, entry.clone()));
        self.hold(To::One(to), entry, now, out);
    }

    /// The session that a connection is of.
    fn at(&mut self, conn: Conn) -> Option<(Member, &mut Present)> {
        let member = *self.conns.get(&conn)?;
        Some((member, self.present.get_mut(&member)?))
    }
}

impl Present {
    /// Whether they are slow enough for another message that costs others something; if so it counts.
    fn keeps_pace(&mut self, limits: &Limits, now: Moment) -> bool {
        limits.messages.is_none_or(|pace| self.messages.take(pace, now.tick))
    }

    fn conn(&self) -> Option<Conn> {
        match self.place {
            Place::Here(conn) => Some(conn),
            Place::Away { .. } => None,
        }
    }

    /// The rooms it is in.
    fn rooms(&self) -> impl Iterator<Item = &RoomName> {
        self.seats.iter().filter(|seat| seat.until.is_none()).map(|seat| &seat.name)
    }

    fn is_in(&self, room: &RoomName) -> bool {
        self.rooms().any(|other| other == room)
    }
}

fn lasts(lasting: Lasting) -> Effect {
    Effect::Keep(Kept::Lasting(lasting))
}

fn tell(conn: Conn, message: &ToClient) -> Effect {
    Effect::Tell(conn, message.encode().into())
}

/// An Error that answers nothing counted.
fn refusal(conn: Conn, code: ErrorCode, text: &str) -> Effect {
    tell(conn, &ToClient::Error { code, text: text.to_owned(), n: 0 })
}

/// The answer to a counted message.
#[must_use]
pub fn answer(n: u64, outcome: Outcome) -> ToClient {
    let Err(code) = outcome else {
        return ToClient::Accepted(n);
    };
    let text = match code {
        ErrorCode::Refused => "not in that room, or too many letters wait",
        ErrorCode::Absent => "nobody such is here",
        ErrorCode::Large => "too long",
        ErrorCode::Malformed => "wrong fields",
        ErrorCode::Unsupported => NOT_DONE,
        ErrorCode::Again => "the room has changed, or a message before it is missing",
        ErrorCode::Wait => "too fast",
        ErrorCode::Volatile => "handed out, but the disk could not keep it",
        ErrorCode::Muted => "you are muted",
        ErrorCode::Password | ErrorCode::Taken => "",
    };
    ToClient::Error { code, text: text.to_owned(), n }
}

#[cfg(test)]
mod tests;
