//! Writer of registry records. Records that the disk does not take wait here.
//!
//! ```text
//! disk's thread ──RegistryRecord, …──▶ Registry
//!                   └── could not be written ──▶ Waiting ──(in 5 s, or at the stop)──▶ Registry
//! ```
//!
//! Invariant: the last record is written last, and no record overtakes a waiting one.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use log::warn;

use crate::chat::Owner;
use crate::chat::name::RoomName;
use crate::chat::registry_record::{AccountId, RegistryRecord};
use crate::store::database::DatabaseError;
use crate::store::registry::Registry;

/// A disk that has failed is tried again after this.
const RETRY: Duration = Duration::from_secs(5);
/// So many changes wait for it at most; then the oldest are lost.
const MAX_PENDING: usize = 65_536;

/// Change in a disk's health.
pub enum DiskHealth {
    /// It fails from now on.
    Failed(String),
    /// It keeps all again that waited for it.
    KeepsAgain,
}

/// Keeps what stays.
pub struct RegistryWriter {
    registry: Registry,
    /// When it is tried again, if it has failed.
    retry_at: Option<Instant>,
    waiting: PendingChanges,
}

impl RegistryWriter {
    /// Keeps it there.
    pub fn new(registry: Registry) -> Self {
        Self { registry, retry_at: None, waiting: PendingChanges::new(MAX_PENDING) }
    }

    /// Writes these down, and what has waited for it. Gives whether all is on the disk, and what has changed in that.
    pub fn keep<'a>(
        &mut self,
        changes: impl Iterator<Item = &'a RegistryRecord> + Clone,
    ) -> (bool, Option<DiskHealth>) {
        let is_something = changes.clone().next().is_some();
        let Some(retry_at) = self.retry_at else {
            // Without a change the files are looked at all the same: what they hold is answered already.
            let kept = if is_something { self.registry.keep(changes.clone()) } else { self.registry.mend() };
            return match kept {
                Ok(was_mended) => {
                    if was_mended {
                        warn!(
                            "[!] The log of names, bans, rooms and letters was taken away: what it held is written anew"
                        );
                    }
                    (true, None)
                }
                Err(error) => (false, Some(self.fail(changes, &error))),
            };
        };
        changes.for_each(|change| self.waiting.put(change.clone()));
        if Instant::now() < retry_at {
            return (!is_something, None);
        }
        match self.registry.keep(self.waiting.all()) {
            Ok(_) => {
                self.waiting = PendingChanges::new(MAX_PENDING);
                self.retry_at = None;
                (true, Some(DiskHealth::KeepsAgain))
            }
            Err(error) => {
                warn!("[!] Names, bans, rooms and letters still cannot be kept: {error}");
                self.retry_at = Some(Instant::now() + RETRY);
                (!is_something, None)
            }
        }
    }

    /// The server stops: what waits is tried for the last time.
    pub fn stop(mut self) {
        if self.retry_at.is_some()
            && let Err(error) = self.registry.keep(self.waiting.all())
        {
            let count = self.waiting.all().count();
            warn!("[!] {count} changes of names, bans, rooms and letters are lost: {error}");
        }
    }

    fn fail<'a>(&mut self, changes: impl Iterator<Item = &'a RegistryRecord>, error: &DatabaseError) -> DiskHealth {
        changes.for_each(|change| self.waiting.put(change.clone()));
        self.retry_at = Some(Instant::now() + RETRY);
        DiskHealth::Failed(error.to_string())
    }
}

/// Changes that wait for the disk: of those of one thing only the last.
struct PendingChanges {
    most: usize,
    /// In the order in which they are so.
    changes: BTreeMap<u64, RegistryRecord>,
    places: HashMap<PendingKey, u64>,
    next: u64,
    /// True if some are lost.
    overflowed: bool,
}

/// Key of a pending change.
#[derive(PartialEq, Eq, Hash)]
enum PendingKey {
    Letter(u64),
    Account(AccountId),
    Operator(Owner),
    Ban(u64),
    Mute(AccountId),
    Invite(u64),
    WordsOfTheDay,
    Room(RoomName),
}

impl PendingKey {
    fn of(change: &RegistryRecord) -> Self {
        match change {
            RegistryRecord::Letter(letter) => Self::Letter(letter.id),
            RegistryRecord::LetterGone(id) => Self::Letter(*id),
            RegistryRecord::Account(account) => Self::Account(account.id),
            RegistryRecord::AccountGone(id) => Self::Account(*id),
            RegistryRecord::Operator(owner) | RegistryRecord::OperatorGone(owner) => Self::Operator(*owner),
            RegistryRecord::Ban(ban) => Self::Ban(ban.id),
            RegistryRecord::BanGone(id) => Self::Ban(*id),
            RegistryRecord::Mute(mute) => Self::Mute(mute.account),
            RegistryRecord::MuteGone(account) => Self::Mute(*account),
            RegistryRecord::Invite(invite) => Self::Invite(invite.id),
            RegistryRecord::InviteGone(id) => Self::Invite(*id),
            RegistryRecord::WordsOfTheDay(_) => Self::WordsOfTheDay,
            RegistryRecord::Room(rules) => Self::Room(rules.room.clone()),
            RegistryRecord::RoomGone(room) => Self::Room(room.clone()),
        }
    }
}

impl PendingChanges {
    fn new(most: usize) -> Self {
        Self { most, changes: BTreeMap::new(), places: HashMap::new(), next: 0, overflowed: false }
    }

    fn put(&mut self, change: RegistryRecord) {
        if let Some(before) = self.places.insert(PendingKey::of(&change), self.next) {
            self.changes.remove(&before);
        }
        self.changes.insert(self.next, change);
        self.next += 1;
        if self.changes.len() > self.most
            && let Some((_, oldest)) = self.changes.pop_first()
        {
            self.places.remove(&PendingKey::of(&oldest));
            if !self.overflowed {
                warn!("[!] More than {} changes wait for the disk: the oldest are lost", self.most);
            }
            self.overflowed = true;
        }
    }

    /// All of them, the oldest first.
    fn all(&self) -> impl Iterator<Item = &RegistryRecord> + Clone {
        self.changes.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(waiting: &PendingChanges) -> Vec<RegistryRecord> {
        waiting.all().cloned().collect()
    }

    #[test]
    fn of_one_thing_only_the_last_change_waits_and_behind_what_came_before_it() {
        let mut waiting = PendingChanges::new(10);
        let room = RoomName::lobby();
        let changes = [
            RegistryRecord::OperatorGone([1; 32]),
            RegistryRecord::WordsOfTheDay("Hello".into()),
            RegistryRecord::RoomGone(room),
            RegistryRecord::Operator([1; 32]),
            RegistryRecord::LetterGone(1),
            RegistryRecord::BanGone(1),
            RegistryRecord::WordsOfTheDay(String::new()),
            RegistryRecord::InviteGone(1),
            RegistryRecord::MuteGone(AccountId(1)),
            RegistryRecord::AccountGone(AccountId(1)),
        ];
        for change in &changes {
            waiting.put(change.clone());
        }
        assert_eq!(told(&waiting), [&changes[2..]].concat(), "the first two have been replaced");
    }

    #[test]
    fn the_oldest_are_lost_when_too_many_wait() {
        let mut waiting = PendingChanges::new(3);
        (0..5).for_each(|id| waiting.put(RegistryRecord::LetterGone(id)));
        assert!(waiting.overflowed && waiting.places.len() == 3);
        assert_eq!(told(&waiting), [2, 3, 4].map(RegistryRecord::LetterGone));
        waiting.put(RegistryRecord::LetterGone(2));
        assert_eq!(told(&waiting), [3, 4, 2].map(RegistryRecord::LetterGone), "none is lost for one that is replaced");
    }
}
