//! Requests to the server without a number, answered in order. PROTOCOL.md §6 "Codes".
//!
//! ```text
//! push ──▶ waiting ──take_due──▶ asked ──answer──▶ …        one at a time, but for the Leaves at the end
//! ```
//!
//! Invariant: an answer belongs to the first request, or to none. Unanswered requests are sent again after a loss, except
//! commands and passwords: their outcome is unknown.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use crate::chat::message::{ErrorCode, ToServer};
use crate::chat::name::{Name, RoomName, Text};
use crate::secure::identity::Fingerprint;

/// Delay before a throttled request is sent again.
const PAUSE: Duration = Duration::from_secs(1);

/// A request to the server.
pub(super) enum Request {
    /// To be let into another room.
    Join {
        /// Which.
        room: RoomName,
        /// Why.
        why: JoinReason,
        /// It was asked on a connection that is lost: the room is left first, for the server may have let one in.
        limbo: bool,
    },
    /// To leave a room.
    Leave {
        /// Which.
        room: RoomName,
        /// It was asked before, on a connection that is lost.
        again: bool,
    },
    /// Asks for the owner of a name: a letter waits for it.
    Lookup(Pending),
    /// A command.
    Command(String),
    /// To take one's name's password.
    Password(Zeroizing<String>),
}

/// Why one wants to be in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JoinReason {
    /// The user has asked for it.
    New,
    /// One was in it, in the session before.
    Again,
}

/// A letter that waits for its reader's key.
#[derive(Debug)]
pub(super) struct Pending {
    /// Recipient, by name.
    pub(super) name: Name,
    /// And by the keys that are known: it may be any of them.
    pub(super) known: Vec<Fingerprint>,
    /// Text.
    pub(super) text: Text,
    /// When, in milliseconds since 1970.
    pub(super) sent_at: u64,
}

/// Requests, on their way and before.
#[derive(Default)]
pub(super) struct Requests {
    waiting: VecDeque<Request>,
    asked: VecDeque<Request>,
    not_before: Option<Instant>,
}

impl Requests {
    pub(super) fn push(&mut self, request: Request) {
        self.waiting.push_back(request);
    }

    /// Adds a request that goes before all that wait.
    pub(super) fn push_first(&mut self, request: Request) {
        self.waiting.push_front(request);
    }

    /// These have been sent.
    pub(super) fn sent(&mut self, all: impl IntoIterator<Item = Request>) {
        self.asked.extend(all);
    }

    /// All unanswered requests, in order.
    pub(super) fn all(&self) -> impl Iterator<Item = &Request> {
        self.asked.iter().chain(&self.waiting)
    }

    /// Keeps only these pending requests.
    pub(super) fn keep_waiting(&mut self, keep: impl FnMut(&Request) -> bool) {
        self.waiting.retain(keep);
    }

    /// Returns the next request, if it may be sent now.
    pub(super) fn next(&self) -> Option<&Request> {
        self.waiting.front()
    }

    /// The next message to send, if it is time.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<ToServer> {
        if !self.asked.is_empty() || self.not_before.is_some_and(|when| now < when) {
            return None;
        }
        let request = self.waiting.pop_front()?;
        let message = request.message();
        self.asked.push_back(request);
        Some(message)
    }

    /// Time of the next request that is not due now.
    pub(super) fn due_at(&self) -> Option<Instant> {
        self.not_before.filter(|_| self.asked.is_empty() && !self.waiting.is_empty())
    }

    /// The request that is answered now, if it is one of these.
    pub(super) fn answered(&mut self, is_it: impl FnOnce(&Request) -> bool) -> Option<Request> {
        pop_if(&mut self.asked, is_it)
    }

    /// One has left a room as one asked for: gives whether one had. What was asked on a connection that is lost may have
    /// been done there, and is not asked again then.
    pub(super) fn has_left(&mut self, room: &RoomName) -> bool {
        let leaves = |request: &Request| match request {
            Request::Leave { room: which, .. } | Request::Join { room: which, limbo: true, .. } => which == room,
            _ => false,
        };
        let was_sent = |request: &Request| matches!(request, Request::Leave { again: true, .. } | Request::Join { .. });
        let (queue, place) = if self.asked.front().is_some_and(leaves) {
            (&mut self.asked, 0)
        } else if let Some(place) = self.waiting.iter().position(|request| leaves(request) && was_sent(request)) {
            (&mut self.waiting, place)
        } else {
            return false;
        };
        if let Some(Request::Join { room, why, .. }) = queue.remove(place) {
            self.push_first(Request::Join { room, why, limbo: false });
        }
        true
    }

    /// True if the server may have let one into this room, and cannot say so any more.
    pub(super) fn is_in_limbo(&self, room: &RoomName) -> bool {
        self.limbo().any(|other| other == room)
    }

    /// All such rooms.
    pub(super) fn limbo(&self) -> impl Iterator<Item = &RoomName> {
        self.all().filter_map(|request| match request {
            Request::Join { room, limbo: true, .. } => Some(room),
            _ => None,
        })
    }

    /// True if there are any.
    pub(super) fn are_in_limbo(&self) -> bool {
        self.limbo().next().is_some()
    }

    /// An Error with n 0: the request that is not done. One that came too fast is asked again, and not given.
    pub(super) fn refused(&mut self, code: ErrorCode, now: Instant) -> Result<Option<Request>, UnexpectedReplyError> {
        match self.asked.pop_front().ok_or(UnexpectedReplyError)? {
            Request::Join { room, why, limbo: true } => {
                // The server had not let one in.
                self.push_first(Request::Join { room, why, limbo: false });
            }
            request @ (Request::Lookup(_) | Request::Command(_)) if code == ErrorCode::Wait => {
                self.not_before = Some(now + PAUSE);
                self.push_first(request);
            }
            request => return Ok(Some(request)),
        }
        Ok(None)
    }

    /// Handles a loss. Returns the requests with unknown outcome; the others are sent again.
    pub(super) fn lost(&mut self) -> Vec<Request> {
        let mut unknown = Vec::new();
        for request in self.asked.drain(..).rev() {
            match request {
                Request::Join { room, why, .. } => {
                    self.waiting.push_front(Request::Join { room, why, limbo: true });
                }
                Request::Leave { room, .. } => self.waiting.push_front(Request::Leave { room, again: true }),
                Request::Lookup(pending) => self.waiting.push_front(Request::Lookup(pending)),
                Request::Command(_) | Request::Password(_) => unknown.push(request),
            }
        }
        unknown
    }

    /// Rooms that were asked to be left, on a connection that is lost.
    pub(super) fn left_again(&self) -> impl Iterator<Item = &RoomName> {
        self.waiting.iter().filter_map(|request| match request {
            Request::Leave { room, again: true } => Some(room),
            _ => None,
        })
    }

    /// Starts a new session, which is in no room: leaves are done, joins are not. Rooms that
    /// this client was in are asked for anew.
    pub(super) fn start_new_session(&mut self) {
        self.waiting.retain_mut(|request| match request {
            Request::Join { why, limbo, .. } => {
                *limbo = false;
                *why == JoinReason::New
            }
            Request::Leave { again, .. } => !*again,
            Request::Lookup(_) | Request::Command(_) | Request::Password(_) => true,
        });
    }
}

fn pop_if(queue: &mut VecDeque<Request>, is_it: impl FnOnce(&Request) -> bool) -> Option<Request> {
    if queue.front().is_some_and(is_it) { queue.pop_front() } else { None }
}

/// An answer to no request.
pub(super) struct UnexpectedReplyError;

impl Request {
    fn message(&self) -> ToServer {
        match self {
            Self::Join { room, limbo: true, .. } | Self::Leave { room, .. } => ToServer::Leave(room.clone()),
            Self::Join { room, .. } => ToServer::Join { room: room.clone(), password: String::new(), cursor: 0 },
            Self::Lookup(Pending { name, .. }) => ToServer::Lookup(name.clone()),
            Self::Command(line) => ToServer::Command(line.clone()),
            Self::Password(password) => ToServer::Password(password.to_string()),
        }
    }

    /// True if it was asked on a connection that is lost, and what it led to may be among what was missed.
    pub(super) fn may_be_done(&self) -> bool {
        matches!(self, Self::Join { limbo: true, .. } | Self::Leave { again: true, .. })
    }

    /// True if it carries a text of the user.
    pub(super) fn is_said(&self) -> bool {
        matches!(self, Self::Lookup(_) | Self::Command(_) | Self::Password(_))
    }
}
