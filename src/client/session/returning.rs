//! A session from one connection to the next, and from one session to the next. PROTOCOL.md §8.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::outgoing::Item;
use super::{Id, Inside, Progress, Seen, Session, Standing};
use crate::chat::Moment;
use crate::chat::message::{ToClient, ToServer, Welcome};
use crate::chat::name::Name;
use crate::client::view::Shown;
use crate::secure::credential::OwnCredential;
use crate::secure::e2e::sender_key::Reading;
use crate::secure::identity::Fingerprint;

impl Inside {
    /// What another session of one's own goes on with: how far one has read whom.
    pub(super) fn carried_over(mut self) -> HashMap<Id, Reading> {
        self.readings.values_mut().for_each(Reading::carry_over);
        self.readings
    }
}

impl Session {
    /// The connection is lost: what was asked on it is not answered any more.
    pub fn lost(&mut self) {
        self.standing = Standing::Lost;
        self.pings = 0;
        self.letters.lost();
        self.sent_again.clear();
    }

    /// Whether there is a session that a server may go on with: one that has been welcomed.
    #[must_use]
    pub fn can_resume(&self) -> bool {
        self.cursor > 0
    }

    /// Asks to go on, on another connection: the message that comes first there.
    pub fn resume(&mut self) -> ToServer {
        self.standing = Standing::Resuming;
        self.asks_to_join()
    }

    /// Begins a new session instead of this one, with another credential: gives the message that asks to be let in, as
    /// the first on another connection. What was sent and has no answer is told; what was not sent goes on.
    pub fn begin_anew(&mut self, credential: Arc<OwnCredential>, shown: &mut Vec<Shown>) -> ToServer {
        self.lost();
        self.own.credential = credential;
        self.standing = Standing::Joining(self.own.nobody_else());
        self.left_off = self.left_off.max(self.cursor);
        self.cursor = 0;
        self.seen = Seen::default();
        self.leaving = false;
        let unknown = self.outbox.begin_anew(Item::goes_on);
        shown.extend(unknown.iter().filter_map(Item::not_known));
        self.asks_to_join()
    }

    /// How many events came between the last one of the session before this one and one's coming in again, at most:
    /// most are nobody's here.
    #[must_use]
    pub fn passed_by(&self) -> u64 {
        self.cursor.saturating_sub(self.left_off)
    }

    /// Whether one's credential ends within this time, by the wall clock.
    #[must_use]
    pub fn ends_within(&self, left: Duration, now: Moment) -> bool {
        self.own.credential.expires().0 < (now.at / 1_000).saturating_add(left.as_secs())
    }

    pub(super) fn asks_to_join(&self) -> ToServer {
        ToServer::Join { room: self.room.clone(), password: String::new(), cursor: self.cursor }
    }

    /// Whether a Welcome says just what it has to for the session to go on.
    pub(super) fn is_resumed_by(&self, welcome: &Welcome) -> bool {
        let Welcome { sessions, change, resumed, cursor, .. } = welcome;
        *resumed && sessions.is_empty() && *change == 0 && *cursor == self.cursor
    }

    /// The session goes on: what has no answer goes out again, before anything new, and so does what was seen.
    pub(super) fn goes_on(&mut self, now: Moment) -> Progress {
        let numbered = self.outbox.sent_again().map(|(n, body)| ToServer::Numbered { n, body });
        self.sent_again = numbered.collect();
        if self.leaving {
            self.sent_again.push_back(ToServer::Leave(self.room.clone()));
        }
        self.seen.is_due_by(now.tick);
        Progress::Resumed
    }

    /// Who is here and is shown, oneself left out.
    pub(super) fn present(&self) -> Vec<(Name, Fingerprint)> {
        let members = self.inside.iter().flat_map(|inside| inside.roster.members());
        let present = members.filter_map(|session| self.people.get(*session));
        present.map(|present| present.named()).collect()
    }

    /// Who has come and gone, seen from before a new session and from after.
    pub(super) fn changes_since(&self, before: &[(Name, Fingerprint)]) -> Vec<Shown> {
        let now = self.present();
        let left = before.iter().filter(|who| !now.contains(who)).map(|(name, _)| Shown::Left(name.clone()));
        let joined = now.iter().filter(|who| !before.contains(who)).map(|(name, _)| Shown::Joined(name.clone()));
        left.chain(joined).collect()
    }
}

/// Whether this may come before the Welcome of a session that is to go on.
pub(super) fn may_come_first(message: &ToClient) -> bool {
    matches!(message, ToClient::Welcome(_) | ToClient::Error { n: 0, .. } | ToClient::Bye(_) | ToClient::Unknown)
}
