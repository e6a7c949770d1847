//! Verification of credentials: of a crowd on all processors, for each is a signature by a key of its own.

use std::thread;

use crate::chat::message::Person;
use crate::chat::name::Name;
use crate::secure::credential::{CredentialBundle, Role, SessionKeys, UnixSeconds, VerifiedCredential};

/// Identity and keys of a session; or the reason why its credential is invalid.
pub(super) type Credential = Result<(Name, SessionKeys), &'static str>;

/// Reason why a credential is invalid, as shown to the user.
pub(super) const DOES_NOT_HOLD: &str = "their credential does not hold";

/// Credentials that a thread is started for, at least: they take it some milliseconds.
const LEAST: usize = 16;

/// A Person as §2 has it.
pub(super) fn presented(Person { spki, credential, signature, .. }: &Person) -> CredentialBundle<'_> {
    CredentialBundle { spki, credential, signature }
}

/// Checks these, each for itself; what comes of it is in the same order.
pub(super) fn check(peers: &[Box<Person>], now: UnixSeconds) -> Vec<Credential> {
    let check_some = |some: &[Box<Person>]| -> Vec<Credential> { some.iter().map(|one| check_one(one, now)).collect() };
    let threads = match peers.len() / LEAST {
        0 | 1 => return check_some(peers),
        most => thread::available_parallelism().map_or(1, Into::into).min(most),
    };
    let mut parts = peers.chunks(peers.len().div_ceil(threads));
    let own = parts.next().unwrap_or_default();
    thread::scope(|scope| {
        let start = |part| {
            let thread = thread::Builder::new().name("check".into()).spawn_scoped(scope, move || check_some(part));
            (part, thread)
        };
        let others: Vec<_> = parts.map(start).collect();
        let mut all = check_some(own);
        for (part, thread) in others {
            // Where there are no more threads, it is done here.
            let done = thread.ok().and_then(|thread| thread.join().ok());
            all.extend(done.unwrap_or_else(|| check_some(part)));
        }
        all
    })
}

fn check_one(person: &Person, now: UnixSeconds) -> Credential {
    let checked = VerifiedCredential::check(presented(person), Role::User, now, |name| Name::parse(name).is_ok());
    match checked.map(|checked| (Name::parse(checked.name()), checked.session_keys())) {
        Ok((Ok(name), keys)) => Ok((name, keys)),
        _ => Err(DOES_NOT_HOLD),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::SessionNumber;
    use crate::secure::credential::OwnCredential;
    use crate::secure::identity::Identity;

    const NOW: UnixSeconds = UnixSeconds(1_790_000_000);

    #[test]
    fn of_a_crowd_each_is_checked_for_itself() {
        let identity = Identity::from_pem(include_str!("../../../tests/vectors/keys/user_a.pem"), None).unwrap();
        let person = |number: usize| {
            let own = OwnCredential::for_user(&mut rand::rng(), &identity, &format!("m{number}"), NOW);
            let CredentialBundle { spki, credential, signature } = own.presented();
            let mut signature = signature.to_vec();
            signature[0] ^= u8::from(number % 5 == 3);
            let (member, spki, credential) = (SessionNumber(1), spki.to_vec(), credential.to_vec());
            Box::new(Person { member, spki, credential, signature })
        };
        let peers: Vec<Box<Person>> = (0..=3 * LEAST).map(person).collect();
        for count in [0, 1, peers.len()] {
            let found = check(&peers[..count], NOW);
            assert_eq!(found.len(), count);
            for (number, credential) in found.into_iter().enumerate() {
                let name = credential.map(|(name, _)| name.to_string());
                let due = if number % 5 == 3 { Err(DOES_NOT_HOLD) } else { Ok(format!("m{number}")) };
                assert_eq!(name, due);
            }
        }
    }
}
