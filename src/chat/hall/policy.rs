//! What the operator settles, and may settle anew while people are here.

use std::time::Duration;

use super::{Hall, Limits};
use crate::chat::Moment;

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

/// What the operator has settled beside the bounds: who may come in, and what is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Who may come in.
    pub access: Access,
    /// A name without a password is free again when it has not been used for so long.
    pub unused_names: Duration,
    /// Whether what was accepted is found again after a crash.
    pub journal_on_disk: bool,
    /// Whether limits on rates and sizes are kept.
    pub limits: bool,
}

impl Default for Policy {
    fn default() -> Self {
        let unused_names = Duration::from_secs(180 * 24 * 60 * 60);
        Self { access: Access::default(), unused_names, journal_on_disk: true, limits: true }
    }
}

impl Hall {
    /// This is settled from now on. Whoever is here stays, whatever it is.
    pub fn govern(&mut self, limits: Limits, policy: Policy, now: Moment) {
        (self.limits, self.policy) = (limits, policy);
        self.backlog.bound(limits.backlog);
        // Who is waited for may have been waited for long enough.
        self.look_again_at(now.tick);
    }

    /// What is settled.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }
}
