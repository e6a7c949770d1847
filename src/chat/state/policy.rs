//! Policy of the operator, which can change while users are connected.

use std::time::Duration;

use super::{ChatState, Limits};
use crate::chat::Now;

/// Access policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// All users.
    #[default]
    Open,
    /// Users with a registered name or an invitation.
    Invite,
    /// Users with a registered name.
    Closed,
}

/// Policy of a server, beside its limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Access.
    pub access: Access,
    /// A name without a password is free again when it has not been used for so long.
    pub unused_names: Duration,
    /// Where what is yet to be read is kept.
    pub journal: JournalPlace,
}

impl Default for Policy {
    fn default() -> Self {
        let unused_names = Duration::from_secs(180 * 24 * 60 * 60);
        Self { access: Access::Open, unused_names, journal: JournalPlace::Disk }
    }
}

/// Where what is yet to be read is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalPlace {
    /// On disk.
    Disk,
    /// In memory.
    Memory,
}

impl ChatState {
    /// Applies new settings. Connected users stay.
    pub fn reconfigure(&mut self, limits: Limits, policy: Policy, now: Now) {
        (self.limits, self.policy) = (limits, policy);
        self.backlog.set_bound(limits.backlog);
        // Who is waited for may have been waited for long enough.
        self.schedule_tick(now.tick);
    }

    /// Returns the policy.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }
}
