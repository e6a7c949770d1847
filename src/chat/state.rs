//! All sessions, rooms and rules, and the effects of each message. PROTOCOL.md §6, §8, §9.
//!
//! ```text
//! arrive / receive / lost / slow / tick / terminate ──▶ Effect, Effect, …
//! ```
//!
//! A user is present as a session, a [`SessionNumber`]; its connections come and go. Every event goes to the replay buffer and, as an
//! effect, to the current readers; what a crash must not lose is among the effects too, as [`JournalRecord`].
//!
//! Invariant: every session arrived as a [`AuthenticatedUser`], which the server makes of a verified peer only.

mod admission;
mod bans;
mod command_reply;
mod commands;
mod direct;
mod membership;
mod messages;
mod policy;
mod resume;
mod room_settings;

use core::net::IpAddr;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use self::policy::{Access, JournalPlace, Policy};
use super::accounts::Accounts;
use super::command::server::LONGEST as LONGEST_LINE;
use super::ended_sessions::EndedSessions;
use super::journal_record::{JournalRecord, ResumeRange};
use super::mailbox::Mailbox;
use super::message::{ByeReason, ErrorCode, Event, LeftReason, Numbered, SessionId, ToClient, ToServer};
use super::message_seq::{MessageSequence, SeqStatus};
use super::moderation::Moderation;
use super::name::{MAX_TEXT, Name, RoomName};
use super::rate_limit::{Rate, TokenBucket};
use super::registry_record::{AccountId, Network, RegistryRecord, RoomRules};
use super::replay_buffer::{Audience, ReplayBuffer};
use super::room::Room;
use super::room_log::LogEntry;
use super::user::User;
use super::{ConnectionId, Cursor, Now, Owner, RoomId, SessionNumber};

pub use admission::{AuthenticatedUser, JoinAttempt, JoinOutcome, Severity};
pub use command_reply::{CommandReply, HostRequest, replied};
pub use commands::ServerCounts;
pub use messages::answer;

/// Passwords that users set.
const PASSWORDS: Rate = Rate { burst: 3, interval: Duration::from_secs(10) };
const NOT_DONE: &str = "this server does not do that";
/// A Welcome, which is one record, has so many bytes for the numbers of those who are there, beside the longest notice.
const WELCOME_NUMBERS: usize = 60_000;
/// So many members fit into it; the bound that stays when limits are off.
const MAX_MEMBERS: usize = WELCOME_NUMBERS / 5;
/// Sessions' numbers are set aside so many at a time: not every newcomer has one written down.
const NUMBERS: u64 = 64;

/// An effect to carry out, in order.
#[derive(Clone, Debug)]
pub enum Effect {
    /// This is so, and is to be found again after a crash.
    Keep(JournalRecord),
    /// One connection gets this, before what happens after it, which is no event.
    Tell(ConnectionId, Arc<[u8]>),
    /// Introduces sessions to one connection, before any event that names them.
    Introduce(ConnectionId, Vec<Arc<[u8]>>),
    /// Delivers this event to all members of a room.
    Post(RoomId, LogEntry),
    /// A session gets this event, on its connection if it has one.
    One(Option<ConnectionId>, SessionNumber, LogEntry),
    /// A connection gets the answer to a counted message, when what came before is on the disk.
    Answer(ConnectionId, SessionNumber, u64, Outcome),
    /// A connection reads a room's events from after this cursor on.
    Enter(ConnectionId, SessionNumber, RoomId, Cursor),
    /// A connection reads a room's events up to this cursor, and no further.
    Exit(ConnectionId, RoomId, Cursor),
    /// A connection that is behind gets this.
    CatchUp(ConnectionId, SessionNumber, Piece),
    /// A connection is told goodbye, and ends, when all else that is due to it is out and on the disk.
    Bye(ConnectionId, ByeReason),
    /// A connection ends, after all answers and what else it has yet to get.
    End(ConnectionId),
    /// A connection ends now.
    Cut(ConnectionId),
    /// A line for the operator's log.
    Note(AuditEvent),
    /// A request to the process, which answers this connection.
    Wish(ConnectionId, HostRequest),
}

/// A piece of what a connection has missed.
#[derive(Clone, Debug)]
pub struct Piece {
    /// It has received all events up to here.
    pub from: Cursor,
    /// The next entries.
    pub entries: Vec<LogEntry>,
    /// After that it has received all events up to here.
    pub to: Cursor,
    /// True if it is not behind any more then.
    pub is_last: bool,
}

/// Outcome of a numbered message.
pub type Outcome = Result<(), ErrorCode>;

/// An event for the operator's log: its actors, never its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditEvent {
    /// A member joined a room that has other members.
    Joined(Name),
    /// A member sent a message.
    Exchanged,
    /// A session lost its connection; it may resume.
    Lost(Name),
    /// They are back.
    Back(Name),
    /// A session has ended.
    Left(Name),
    /// A user gave the server a command.
    Act {
        /// Actor.
        by: String,
        /// Command, without a user's text.
        what: String,
    },
}

/// Bounds; `None` where there is none.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Sessions at once.
    pub sessions: Option<usize>,
    /// Members of a room.
    pub members: Option<usize>,
    /// Names of one identity.
    pub names: Option<usize>,
    /// Rooms of a session.
    pub rooms: usize,
    /// Messages that cost other members work (17 to 21, 25).
    pub messages: Option<Rate>,
    /// Joins and leaves of one identity.
    pub joins: Option<Rate>,
    /// Time that a session without a connection is kept.
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
            names: Some(8),
            rooms: 32,
            messages: Some(Rate::per_second(20, 5)),
            joins: Some(Rate::per_minute(16)),
            resume: Duration::from_secs(120),
            backlog: 64 * 1_024 * 1_024,
        }
    }

    /// For benchmarks and trusted rooms: no rates, and rooms as large as the protocol can have them.
    #[must_use]
    pub const fn off() -> Self {
        Self {
            sessions: None,
            members: Some(MAX_MEMBERS),
            names: None,
            messages: None,
            joins: None,
            ..Self::standard()
        }
    }
}

/// All sessions.
#[derive(Debug)]
pub struct ChatState {
    limits: Limits,
    policy: Policy,
    present: HashMap<SessionNumber, SessionState>,
    conns: HashMap<ConnectionId, SessionNumber>,
    sessions: HashMap<SessionId, SessionNumber>,
    /// Sessions by name.
    names: HashMap<AccountId, SessionNumber>,
    rooms: HashMap<RoomName, LiveRoom>,
    accounts: Accounts,
    order: Moderation,
    /// Settings of rooms; most rooms have none.
    rules: HashMap<RoomName, RoomRules>,
    /// Wrong passwords of a name.
    tries: HashMap<AccountId, TokenBucket>,
    /// Addresses from which new names are refused until then, and the ban's name.
    wary: HashMap<Network, (Instant, AccountId)>,
    /// Pending registry changes.
    changes: Vec<RegistryRecord>,
    counts: ServerCounts,
    mailbox: Mailbox,
    ended: EndedSessions,
    joins: HashMap<Owner, TokenBucket>,
    backlog: ReplayBuffer,
    cursor: Cursor,
    members: u64,
    rooms_opened: u64,
    /// Time of the next timed action.
    due_at: Option<Instant>,
    /// Time of the last trim of events that all sessions have seen.
    forgot_at: Option<Instant>,
}

/// A session.
#[derive(Debug)]
struct SessionState {
    user: User,
    /// The Person message that shows others who they are, encoded once for all of them.
    person: Arc<[u8]>,
    /// The name that they go by.
    account: AccountId,
    /// Where they come from, if that is known.
    address: Option<IpAddr>,
    place: Connectivity,
    seats: Vec<RoomSubscription>,
    numbers: MessageSequence,
    messages: TokenBucket,
    passwords: TokenBucket,
    /// Cursor that it has acknowledged.
    seen: Cursor,
    /// The last event that was for it alone.
    last: Cursor,
    range: ResumeRange,
}

/// Where a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Connectivity {
    Here(ConnectionId),
    /// Its connection is lost. Others are told when it has been for a while.
    Away {
        since: Instant,
        tell_at: Instant,
        told: bool,
    },
}

/// A session's subscription to a room.
#[derive(Clone, Debug)]
struct RoomSubscription {
    name: RoomName,
    room: RoomId,
    since: Cursor,
    /// The event by which it left, until it has seen it.
    until: Option<Cursor>,
}

#[derive(Debug)]
struct LiveRoom {
    id: RoomId,
    /// Its owner, as long as the room has no settings.
    opened_by: Option<AccountId>,
    roster: Room,
    /// The last event, who caused it, and the last one that they did not cause.
    last: Cursor,
    by: Option<SessionNumber>,
    last_by_others: Cursor,
}

impl ChatState {
    /// An empty chat state.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            policy: Policy::default(),
            present: HashMap::new(),
            conns: HashMap::new(),
            sessions: HashMap::new(),
            names: HashMap::new(),
            rooms: HashMap::new(),
            accounts: Accounts::default(),
            order: Moderation::default(),
            rules: HashMap::new(),
            tries: HashMap::new(),
            wary: HashMap::new(),
            changes: Vec::new(),
            counts: ServerCounts::default(),
            mailbox: Mailbox::default(),
            ended: EndedSessions::default(),
            joins: HashMap::new(),
            backlog: ReplayBuffer::new(limits.backlog),
            cursor: 0,
            members: 0,
            rooms_opened: 0,
            due_at: None,
            forgot_at: None,
        }
    }

    /// Handles a message of a session; ignores other connections.
    pub fn receive(&mut self, from: ConnectionId, message: ToServer, now: Now, out: &mut Vec<Effect>) {
        self.handle_message(from, message, now, out);
        self.flush_registry_changes(out);
    }

    fn handle_message(&mut self, from: ConnectionId, message: ToServer, now: Now, out: &mut Vec<Effect>) {
        let limits = self.limits;
        let Some((member, present)) = self.at(from) else {
            return;
        };
        match message {
            ToServer::Numbered { n, body } => self.handle_numbered(from, member, n, body, now, out),
            ToServer::Join { room, cursor: 0, .. } => {
                let (owner, account) = (present.user.owner, Some(present.account));
                let may = if present.is_in(&room) {
                    Err("already in that room".into())
                } else if present.rooms().count() >= limits.rooms {
                    Err("in too many rooms".into())
                } else {
                    self.check_join(owner, account, &room, None, now)
                };
                match may {
                    Ok(()) => self.join(member, &room, now, out),
                    Err(why) => out.push(refusal(from, ErrorCode::Refused, &why)),
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
            ToServer::Command(_) if !present.try_consume(&limits, now) => {
                out.push(refusal(from, ErrorCode::Wait, "too fast"));
            }
            ToServer::Command(line) if line.len() > LONGEST_LINE => {
                out.push(refusal(from, ErrorCode::Large, "that line is too long"));
            }
            ToServer::Command(line) => self.handle_command(from, member, &line, now, out),
            // A password is hashed before it gets here.
            ToServer::Unsupported | ToServer::Password(_) => out.push(refusal(from, ErrorCode::Unsupported, NOT_DONE)),
        }
    }

    /// True if a user may set a password now, which takes time; if not, the user is told.
    pub fn may_set_password(&mut self, from: ConnectionId, now: Now, out: &mut Vec<Effect>) -> bool {
        let limits = self.limits;
        let Some((_, present)) = self.at(from) else {
            return false;
        };
        let may = present.try_consume(&limits, now) && present.passwords.take(PASSWORDS, now.tick);
        if !may {
            out.push(refusal(from, ErrorCode::Wait, "too fast: wait a little"));
        }
        may
    }

    /// Sets or removes the password hash of a user's name.
    pub fn set_password(&mut self, from: ConnectionId, kept: Option<String>, out: &mut Vec<Effect>) {
        let Some((_, present)) = self.at(from) else {
            return;
        };
        let (account, name) = (present.account, present.user.name.clone());
        let (done, what) = if kept.is_some() {
            ("another key can use your name with that password from now on", "set a password")
        } else {
            ("no other key can be added to your name any more", "took the password away")
        };
        self.accounts.set_password(account, kept);
        out.push(Effect::Note(AuditEvent::Act { by: name.to_string(), what: what.into() }));
        out.push(tell(from, &ToClient::Answer(done.into())));
        self.flush_registry_changes(out);
    }

    /// Ends all sessions.
    pub fn terminate(&mut self, out: &mut Vec<Effect>) {
        let here = self.present.values().filter_map(SessionState::conn);
        out.extend(here.map(|conn| Effect::Bye(conn, ByeReason::Terminated)));
        self.present.clear();
        self.conns.clear();
        self.sessions.clear();
        self.names.clear();
        for room in std::mem::take(&mut self.rooms).into_keys() {
            self.on_room_empty(&room);
        }
        self.due_at = None;
        self.flush_registry_changes(out);
    }

    /// Sends the operator's notice to all sessions, once to each. Most are in the lobby.
    pub fn notice(&mut self, text: &str, now: Now, out: &mut Vec<Effect>) {
        let (lobby, notice) = (RoomName::lobby(), || Event::Notice(text.to_owned()));
        self.broadcast(&lobby, None, &[], notice(), now, out);
        let elsewhere = self.present.iter().filter(|(_, present)| !present.is_in(&lobby));
        for member in elsewhere.map(|(member, _)| *member).collect::<Vec<_>>() {
            self.send_event(member, notice(), now, out);
        }
    }

    /// Has all written down that lasts.
    fn flush_registry_changes(&mut self, out: &mut Vec<Effect>) {
        let names: Vec<RegistryRecord> = self.accounts.take_changes().collect();
        for change in &names {
            if let RegistryRecord::AccountGone(account) = change {
                self.release_rooms_of(*account);
                self.order.unmute(*account);
            }
        }
        let all = names.into_iter().chain(self.order.take_changes()).chain(std::mem::take(&mut self.changes));
        out.extend(all.map(lasts));
    }

    /// True if a connection is a session's.
    #[must_use]
    pub fn is_somebodys(&self, conn: ConnectionId) -> bool {
        self.conns.contains_key(&conn)
    }

    /// The session that a connection is of.
    fn at(&mut self, conn: ConnectionId) -> Option<(SessionNumber, &mut SessionState)> {
        let member = *self.conns.get(&conn)?;
        Some((member, self.present.get_mut(&member)?))
    }
}

impl SessionState {
    /// True if the session is within its rate for messages that cost other members work; counts this one.
    fn try_consume(&mut self, limits: &Limits, now: Now) -> bool {
        limits.messages.is_none_or(|pace| self.messages.take(pace, now.tick))
    }

    fn conn(&self) -> Option<ConnectionId> {
        match self.place {
            Connectivity::Here(conn) => Some(conn),
            Connectivity::Away { .. } => None,
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

/// Up to where numbers are set aside when this one is in use.
fn set_aside(member: u64) -> u64 {
    member.next_multiple_of(NUMBERS)
}

fn lasts(lasting: RegistryRecord) -> Effect {
    Effect::Keep(JournalRecord::Lasting(lasting))
}

fn tell(conn: ConnectionId, message: &ToClient) -> Effect {
    Effect::Tell(conn, message.encode().into())
}

/// An Error for a message without a number.
fn refusal(conn: ConnectionId, code: ErrorCode, text: &str) -> Effect {
    tell(conn, &ToClient::Error { code, text: text.to_owned(), n: 0 })
}

#[cfg(test)]
mod tests;
