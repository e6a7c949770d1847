//! What the server is asked beside what is counted: it answers in order. PROTOCOL.md §6 "Codes".

use std::collections::VecDeque;

use zeroize::Zeroizing;

use super::Session;
use crate::chat::message::ToServer;
use crate::chat::name::Name;

/// What has no answer yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Lookup,
    Password,
}

/// Questions, on their way and before.
#[derive(Default)]
pub(super) struct Asking {
    waiting: VecDeque<Zeroizing<String>>,
    /// Passwords on their way: another connection is asked again, for it makes no difference how often one is set.
    sent: VecDeque<Zeroizing<String>>,
    unanswered: VecDeque<Asked>,
}

impl Session {
    /// Sets the password of the name one has here; an empty one takes it away.
    pub fn set_password(&mut self, password: Zeroizing<String>) {
        self.asking.waiting.push_back(password);
    }
}

impl Asking {
    pub(super) fn take_due(&mut self) -> Option<ToServer> {
        let password = self.waiting.pop_front()?;
        let message = ToServer::Password(password.to_string());
        self.sent.push_back(password);
        self.unanswered.push_back(Asked::Password);
        Some(message)
    }

    pub(super) fn looks_up(&mut self, name: Name) -> ToServer {
        self.unanswered.push_back(Asked::Lookup);
        ToServer::Lookup(name)
    }

    /// An answer to this has come; nothing if another one is due.
    pub(super) fn answers(&mut self, asked: Asked) -> Option<Asked> {
        self.unanswered.front().filter(|due| **due == asked)?;
        if asked == Asked::Password {
            self.sent.pop_front();
        }
        self.unanswered.pop_front()
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.sent.len()
    }

    pub(super) fn lost(&mut self) {
        self.unanswered.clear();
        while let Some(password) = self.sent.pop_back() {
            self.waiting.push_front(password);
        }
    }
}
