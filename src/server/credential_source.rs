//! The server's credential, renewed when it is used: by the clock that clients look at, which may be set at any time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::secure::credential::{LIFETIME, OwnCredential, UnixSeconds};
use crate::secure::identity::Identity;

/// The server makes itself a new credential this often.
const RENEWAL: Duration = Duration::from_secs(24 * 60 * 60);

/// Makes credentials and keeps the last.
pub(super) struct CredentialSource {
    identity: Identity,
    last: Mutex<Arc<OwnCredential>>,
}

impl CredentialSource {
    /// Makes the first credential.
    pub(super) fn new(identity: Identity, now: UnixSeconds) -> Self {
        let first = OwnCredential::for_server(&mut rand::rng(), &identity, now);
        Self { identity, last: Mutex::new(Arc::new(first)) }
    }

    /// Returns a credential for a handshake: a new one if the last is a day old, or of another time altogether.
    pub(super) fn at(&self, now: UnixSeconds) -> Arc<OwnCredential> {
        // A panic loses at most a renewal.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if !is_fresh(last.expires(), now) {
            *last = Arc::new(OwnCredential::for_server(&mut rand::rng(), &self.identity, now));
        }
        last.clone()
    }
}

/// True if a credential was made within the last day, or half a day ahead of a clock that was set back since.
fn is_fresh(expires: UnixSeconds, now: UnixSeconds) -> bool {
    let earliest = now.0.saturating_add(LIFETIME).saturating_sub(RENEWAL.as_secs());
    let latest = now.0.saturating_add(LIFETIME).saturating_add(RENEWAL.as_secs() / 2);
    (earliest..=latest).contains(&expires.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secure::credential::{Role, VerifiedCredential};

    const DAY: u64 = 24 * 60 * 60;
    /// A day in 2026, and one in 1970.
    const TODAY: u64 = 1_790_000_000;
    const BOOT: u64 = 12_345;

    #[test]
    fn a_credential_holds_at_the_time_of_its_use_whatever_the_clock_was_set_to() {
        let identity = Identity::generate(&mut rand::rng(), 2_048).unwrap();
        let source = CredentialSource::new(identity, UnixSeconds(BOOT));
        for now in [BOOT, TODAY, TODAY + 9 * DAY, TODAY, TODAY - 9 * DAY, TODAY, u64::from(u32::MAX) * 8, 0, TODAY] {
            let credential = source.at(UnixSeconds(now));
            let checked = VerifiedCredential::check(credential.presented(), Role::Server, UnixSeconds(now), |_| true);
            assert!(checked.is_ok(), "at {now}");
            // Nor is it about to end for a client that is a day behind or ahead.
            assert!(is_fresh(credential.expires(), UnixSeconds(now)));
        }
    }

    #[test]
    fn a_credential_is_kept_for_a_day() {
        let identity = Identity::generate(&mut rand::rng(), 2_048).unwrap();
        let source = CredentialSource::new(identity, UnixSeconds(TODAY));
        let first = source.at(UnixSeconds(TODAY)).session();
        assert_eq!(source.at(UnixSeconds(TODAY + DAY)).session(), first);
        assert_ne!(source.at(UnixSeconds(TODAY + DAY + 1)).session(), first);
    }
}
