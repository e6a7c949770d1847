//! Letters on their way out: whose a name is, is asked first. PROTOCOL.md §6 "Lookup", §7 "Letter".

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::super::notices;
use crate::chat::message::ErrorCode;
use crate::chat::name::{Name, Text};
use crate::secure::identity::Fingerprint;

/// A Lookup that came too fast is tried again after this.
const PAUSE: Duration = Duration::from_secs(1);

/// Letters whose reader's key is yet to be told.
#[derive(Debug, Default)]
pub(super) struct Letters {
    waiting: VecDeque<Pending>,
    /// The one whose name has been asked for.
    asked: Option<Pending>,
    not_before: Option<Instant>,
}

/// A letter.
#[derive(Debug)]
pub(super) struct Pending {
    /// To whom, by name.
    pub(super) name: Name,
    /// And by the keys that are known: it may be any of them.
    pub(super) known: Vec<Fingerprint>,
    /// What.
    pub(super) text: Text,
    /// When, in milliseconds since 1970.
    pub(super) sent_at: u64,
}

impl Letters {
    pub(super) fn push(&mut self, pending: Pending) {
        self.waiting.push_back(pending);
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len() + usize::from(self.asked.is_some())
    }

    /// The connection is lost, and the answer with it: the same is asked for again.
    pub(super) fn lost(&mut self) {
        if let Some(asked) = self.asked.take() {
            self.waiting.push_front(asked);
        }
    }

    /// The next name to ask for.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Name> {
        // One at a time: so they stay in order, and no server finds it too fast.
        if self.asked.is_some() || self.not_before.is_some_and(|when| now < when) {
            return None;
        }
        let pending = self.waiting.pop_front()?;
        let name = pending.name.clone();
        self.asked = Some(pending);
        Some(name)
    }

    /// The letter whose Lookup is answered now, if it is one for this name.
    pub(super) fn found(&mut self, name: &Name) -> Option<Pending> {
        self.asked.take().filter(|asked| asked.name == *name)
    }

    pub(super) fn due_at(&self) -> Option<Instant> {
        self.not_before.filter(|_| !self.waiting.is_empty())
    }

    /// An Error with n 0, which answers the Lookup that has no answer.
    pub(super) fn not_found(&mut self, code: ErrorCode, now: Instant) -> NotFound {
        match self.asked.take() {
            None => NotFound::NotAsked,
            Some(pending) if code == ErrorCode::Wait => {
                self.not_before = Some(now + PAUSE);
                self.waiting.push_front(pending);
                NotFound::ComesAgain
            }
            Some(Pending { name, text, .. }) => {
                let why = match code {
                    ErrorCode::Absent => format!("this server knows nobody named {name}"),
                    code => format!("the server does not say who {name} is: {code}"),
                };
                NotFound::Lost(notices::not_delivered(&why, &text))
            }
        }
    }
}

/// What becomes of a Lookup that was not answered with a key.
pub(super) enum NotFound {
    /// There was none.
    NotAsked,
    /// It was too fast, and comes again by itself.
    ComesAgain,
    /// The letter is not sent, and the user is told.
    Lost(String),
}
