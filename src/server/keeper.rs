//! What stays when the server stops, on its way to the disk. What a disk does not take waits here.
//!
//! ```text
//! disk's thread ──Lasting, …──▶ Registry
//!                   └── could not be written ──▶ Waiting ──(in 5 s, or at the stop)──▶ Registry
//! ```
//!
//! Invariant: what is so last is written last, and nothing is written before what waits.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use log::warn;

use crate::chat::Owner;
use crate::chat::lasting::{AccountId, Lasting};
use crate::chat::name::RoomName;
use crate::store::database::DatabaseError;
use crate::store::lasting::Registry;

/// A disk that has failed is tried again after this.
const RETRY: Duration = Duration::from_secs(5);
/// So many changes wait for it at most; then the oldest are lost.
const MOST: usize = 65_536;

/// What has become of a disk.
pub enum Turn {
    /// It fails from now on.
    Failed(String),
    /// It keeps all again that waited for it.
    KeepsAgain,
}

/// Keeps what stays.
pub struct Keeper {
    registry: Registry,
    /// When it is tried again, if it has failed.
    retry_at: Option<Instant>,
    waiting: Waiting,
}

impl Keeper {
    /// Keeps it there.
    pub fn new(registry: Registry) -> Self {
        Self { registry, retry_at: None, waiting: Waiting::new(MOST) }
    }

    /// Writes these down, and what has waited for it. Gives whether all is on the disk, and what has changed in that.
    pub fn keep<'a>(&mut self, changes: impl Iterator<Item = &'a Lasting> + Clone) -> (bool, Option<Turn>) {
        let is_something = changes.clone().next().is_some();
        let Some(retry_at) = self.retry_at else {
            if !is_something {
                return (true, None);
            }
            return match self.registry.keep(changes.clone()) {
                Ok(()) => (true, None),
                Err(error) => (false, Some(self.fail(changes, &error))),
            };
        };
        changes.for_each(|change| self.waiting.put(change.clone()));
        if Instant::now() < retry_at {
            return (!is_something, None);
        }
        match self.registry.keep(self.waiting.all()) {
            Ok(()) => {
                self.waiting = Waiting::new(MOST);
                self.retry_at = None;
                (true, Some(Turn::KeepsAgain))
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

    fn fail<'a>(&mut self, changes: impl Iterator<Item = &'a Lasting>, error: &DatabaseError) -> Turn {
        changes.for_each(|change| self.waiting.put(change.clone()));
        self.retry_at = Some(Instant::now() + RETRY);
        Turn::Failed(error.to_string())
    }
}

/// Changes that wait for the disk: of those of one thing only the last.
struct Waiting {
    most: usize,
    /// In the order in which they are so.
    changes: BTreeMap<u64, Lasting>,
    places: HashMap<Key, u64>,
    next: u64,
    /// Whether some are lost.
    overflowed: bool,
}

/// What a change is of.
#[derive(PartialEq, Eq, Hash)]
enum Key {
    Letter(u64),
    Account(AccountId),
    Operator(Owner),
    Ban(u64),
    Mute(AccountId),
    Invite(u64),
    WordsOfTheDay,
    Room(RoomName),
}

impl Key {
    fn of(change: &Lasting) -> Self {
        match change {
            Lasting::Letter(letter) => Self::Letter(letter.id),
            Lasting::LetterGone(id) => Self::Letter(*id),
            Lasting::Account(account) => Self::Account(account.id),
            Lasting::AccountGone(id) => Self::Account(*id),
            Lasting::Operator(owner) | Lasting::OperatorGone(owner) => Self::Operator(*owner),
            Lasting::Ban(ban) => Self::Ban(ban.id),
            Lasting::BanGone(id) => Self::Ban(*id),
            Lasting::Mute(mute) => Self::Mute(mute.account),
            Lasting::MuteGone(account) => Self::Mute(*account),
            Lasting::Invite(invite) => Self::Invite(invite.id),
            Lasting::InviteGone(id) => Self::Invite(*id),
            Lasting::WordsOfTheDay(_) => Self::WordsOfTheDay,
            Lasting::Room(rules) => Self::Room(rules.room.clone()),
            Lasting::RoomGone(room) => Self::Room(room.clone()),
        }
    }
}

impl Waiting {
    fn new(most: usize) -> Self {
        Self { most, changes: BTreeMap::new(), places: HashMap::new(), next: 0, overflowed: false }
    }

    fn put(&mut self, change: Lasting) {
        if let Some(before) = self.places.insert(Key::of(&change), self.next) {
            self.changes.remove(&before);
        }
        self.changes.insert(self.next, change);
        self.next += 1;
        if self.changes.len() > self.most
            && let Some((_, oldest)) = self.changes.pop_first()
        {
            self.places.remove(&Key::of(&oldest));
            if !self.overflowed {
                warn!("[!] More than {} changes wait for the disk: the oldest are lost", self.most);
            }
            self.overflowed = true;
        }
    }

    /// All of them, the oldest first.
    fn all(&self) -> impl Iterator<Item = &Lasting> + Clone {
        self.changes.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(waiting: &Waiting) -> Vec<Lasting> {
        waiting.all().cloned().collect()
    }

    #[test]
    fn of_one_thing_only_the_last_change_waits_and_behind_what_came_before_it() {
        let mut waiting = Waiting::new(10);
        let room = RoomName::lobby();
        let changes = [
            Lasting::OperatorGone([1; 32]),
            Lasting::WordsOfTheDay("Hello".into()),
            Lasting::RoomGone(room),
            Lasting::Operator([1; 32]),
            Lasting::LetterGone(1),
            Lasting::BanGone(1),
            Lasting::WordsOfTheDay(String::new()),
            Lasting::InviteGone(1),
            Lasting::MuteGone(AccountId(1)),
            Lasting::AccountGone(AccountId(1)),
        ];
        for change in &changes {
            waiting.put(change.clone());
        }
        assert_eq!(told(&waiting), [&changes[2..]].concat(), "the first two have been replaced");
    }

    #[test]
    fn the_oldest_are_lost_when_too_many_wait() {
        let mut waiting = Waiting::new(3);
        (0..5).for_each(|id| waiting.put(Lasting::LetterGone(id)));
        assert!(waiting.overflowed && waiting.places.len() == 3);
        assert_eq!(told(&waiting), [2, 3, 4].map(Lasting::LetterGone));
        waiting.put(Lasting::LetterGone(2));
        assert_eq!(told(&waiting), [3, 4, 2].map(Lasting::LetterGone), "none is lost for one that is replaced");
    }
}
