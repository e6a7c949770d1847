//! Owners of names: the first identity to use a name owns it, and all names that look like it. PROTOCOL.md §6
//! "Names", §9.
//!
//! A name is used with one identity or more; one identity has few names. All of it is bounded and persistent.
//!
//! Invariant: each look of a name ([`Name::skeletons`]) is one account's.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::Owner;
use super::name::Name;
use super::registry_record::{Account, AccountId, DeviceKey, RegistryRecord};
use super::user::User;

/// Names in all; beyond that those without a password give way, who was here least lately first.
const MAX_NAMES: usize = 32_768;
/// Identities of one name.
pub(super) const MAX_KEYS: usize = 16;
/// Looks of one name: eight ways of writing it, three looks each.
const MAX_LOOKS: usize = 24;
/// That a name is used is written down again after this, in milliseconds.
const NOTED_EVERY: u64 = 24 * 60 * 60 * 1_000;

/// Ownership of a name as seen by an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NameOwnership {
    /// No owner.
    Free,
    /// Its own.
    Own(AccountId),
    /// Another identity's.
    Taken(AccountId),
}

impl NameOwnership {
    /// The name, if it is its own.
    pub(super) fn own(self) -> Option<AccountId> {
        if let Self::Own(account) = self { Some(account) } else { None }
    }
}

/// Reason why a name is not given to a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NameClaimError {
    /// The identity has enough.
    #[error("that key has {0} names already: an operator can forget one")]
    TooMany(usize),
    /// So has the name.
    #[error("that name has {MAX_KEYS} keys already: remove one with /devices")]
    TooManyKeys,
    /// It looks in too many ways.
    #[error("that name has too many spellings: use an earlier one")]
    TooManyLooks,
    /// It could be taken for another one, too.
    #[error("that name looks like two that are registered: choose another")]
    LooksLikeTwo,
    /// None is free.
    #[error("this server has no free names")]
    Full,
}

/// All names.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    all: BTreeMap<AccountId, Account>,
    looks: HashMap<String, AccountId>,
    owners: HashMap<Owner, Vec<AccountId>>,
    /// The highest number that there has been.
    last: AccountId,
    changes: Vec<RegistryRecord>,
}

impl Accounts {
    pub(super) fn restore(&mut self, mut account: Account) {
        self.reserve_id(account.id);
        // An earlier version kept fewer looks of a name.
        for look in account.name.skeletons() {
            if !account.looks.contains(&look) && !self.looks.contains_key(&look) {
                account.looks.push(look);
            }
        }
        self.index(&account);
        self.all.insert(account.id, account);
    }

    /// A change of this number is recorded: no other account may use it.
    pub(super) fn reserve_id(&mut self, id: AccountId) {
        self.last = self.last.max(id);
    }

    /// Takes the pending registry changes.
    pub(super) fn take_changes(&mut self) -> impl Iterator<Item = RegistryRecord> {
        self.changes.drain(..)
    }

    /// True if a new name needs another to give way.
    pub(super) fn is_full(&self) -> bool {
        self.all.len() >= MAX_NAMES
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn get(&self, id: AccountId) -> Option<&Account> {
        self.all.get(&id)
    }

    /// Owner of the name, or of a name that looks like it.
    pub(super) fn find(&self, name: &Name) -> Option<&Account> {
        self.claimants(name).next()
    }

    /// Every name that an identity is one of.
    pub(super) fn of(&self, owner: Owner) -> impl Iterator<Item = &Account> {
        self.owners.get(&owner).into_iter().flatten().filter_map(|id| self.all.get(id))
    }

    /// Ownership of the name as seen by an identity. A name that is `free` has no owner.
    pub(super) fn standing(&self, name: &Name, owner: Owner, free: impl Fn(&Account) -> bool) -> NameOwnership {
        let mut own = None;
        for account in self.claimants(name) {
            if account.has(owner) {
                own = own.or(Some(account.id));
            } else if !free(account) {
                return NameOwnership::Taken(account.id);
            }
        }
        own.map_or(NameOwnership::Free, NameOwnership::Own)
    }

    /// Uses the name with this identity, which becomes its owner if it had none, or one of its keys.
    /// If there are too many, one that `gives_way` is forgotten. No state has changed if that fails.
    pub(super) fn claim(
        &mut self,
        user: &User,
        before: Option<AccountId>,
        most_each: Option<usize>,
        now: u64,
        free: impl Fn(&Account) -> bool,
        gives_way: impl Fn(&Account) -> bool,
    ) -> Result<AccountId, NameClaimError> {
        let User { name, owner, spki, .. } = user;
        let has_enough = most_each.filter(|most| self.of(*owner).count() >= *most);
        self.check_claim(name, *owner, before, has_enough, &free)?;
        if before.is_none() && self.is_full() {
            let oldest = self.all.values().filter(|it| gives_way(it)).min_by_key(|account| account.used_at);
            let oldest = oldest.map(|account| account.id).ok_or(NameClaimError::Full)?;
            self.forget(oldest);
        }
        // What has run out of time gives the name up.
        let expired: Vec<AccountId> = self
            .claimants(name)
            .filter(|it| !it.has(*owner) && Some(it.id) != before && free(it))
            .map(|it| it.id)
            .collect();
        for id in expired {
            self.forget(id);
        }
        let id = before.unwrap_or_else(|| self.begin(name, now));
        let Some(account) = self.all.get_mut(&id) else { return Err(NameClaimError::Full) };
        let mut is_news = account.name != *name || now.saturating_sub(account.used_at) >= NOTED_EVERY;
        account.name = name.clone();
        for look in name.skeletons() {
            if !account.looks.contains(&look) {
                account.looks.push(look);
                is_news = true;
            }
        }
        if let Some(key) = account.keys.iter_mut().find(|key| key.owner == *owner) {
            is_news |= now.saturating_sub(key.used_at) >= NOTED_EVERY;
            key.used_at = now;
        } else {
            account.keys.push(DeviceKey { owner: *owner, spki: spki.clone(), added_at: now, used_at: now });
            is_news = true;
        }
        account.used_at = now;
        let account = account.clone();
        self.index(&account);
        if is_news {
            self.changes.push(RegistryRecord::Account(account));
        }
        Ok(id)
    }

    fn check_claim(
        &self,
        name: &Name,
        owner: Owner,
        before: Option<AccountId>,
        has_enough: Option<usize>,
        free: &impl Fn(&Account) -> bool,
    ) -> Result<(), NameClaimError> {
        // The user of one name gains no right to another by a third that looks like both.
        if self.claimants(name).any(|it| Some(it.id) != before && (it.has(owner) || !free(it))) {
            return Err(NameClaimError::LooksLikeTwo);
        }
        match (before.and_then(|id| self.all.get(&id)), has_enough) {
            (Some(account), _) => {
                let new = name.skeletons().iter().filter(|look| !account.looks.contains(look)).count();
                if account.looks.len() + new > MAX_LOOKS {
                    Err(NameClaimError::TooManyLooks)
                } else if !account.has(owner) && account.keys.len() >= MAX_KEYS {
                    Err(NameClaimError::TooManyKeys)
                } else {
                    has_enough.filter(|_| !account.has(owner)).map_or(Ok(()), |most| Err(NameClaimError::TooMany(most)))
                }
            }
            (None, Some(most)) => Err(NameClaimError::TooMany(most)),
            (None, None) => Ok(()),
        }
    }

    fn begin(&mut self, name: &Name, now: u64) -> AccountId {
        // Never a time before the last one, even if the clock was set back.
        let id = AccountId(now.max(self.last.0.saturating_add(1)));
        self.last = id;
        // Most have one key.
        let (name, looks, keys) = (name.clone(), Vec::new(), Vec::with_capacity(1));
        self.all.insert(id, Account { id, name, looks, keys, password: None, used_at: now });
        id
    }

    /// The name is in use until now.
    pub(super) fn touch(&mut self, id: AccountId, now: u64) {
        if let Some(account) = self.all.get_mut(&id) {
            let is_news = now.saturating_sub(account.used_at) >= NOTED_EVERY;
            account.used_at = now;
            if is_news {
                self.changes.push(RegistryRecord::Account(account.clone()));
            }
        }
    }

    pub(super) fn set_password(&mut self, id: AccountId, password: Option<String>) {
        if let Some(account) = self.all.get_mut(&id) {
            account.password = password;
            self.changes.push(RegistryRecord::Account(account.clone()));
        }
    }

    /// Takes an identity away from a name. Gives whether it was one of its keys.
    pub(super) fn remove_key(&mut self, id: AccountId, owner: Owner) -> bool {
        let Some(account) = self.all.get_mut(&id).filter(|account| account.has(owner)) else {
            return false;
        };
        account.keys.retain(|key| key.owner != owner);
        self.changes.push(RegistryRecord::Account(account.clone()));
        self.disown(owner, id);
        true
    }

    /// Removes a name's owner.
    pub(super) fn forget(&mut self, id: AccountId) {
        if let Some(account) = self.all.remove(&id) {
            for look in &account.looks {
                self.looks.remove(look);
            }
            for key in &account.keys {
                self.disown(key.owner, id);
            }
            self.changes.push(RegistryRecord::AccountGone(id));
        }
    }

    fn claimants(&self, name: &Name) -> impl Iterator<Item = &Account> {
        let ids = name.skeletons().into_iter().filter_map(|look| self.looks.get(&look));
        let mut found: Vec<AccountId> = Vec::new();
        for id in ids {
            if !found.contains(id) {
                found.push(*id);
            }
        }
        found.into_iter().filter_map(|id| self.all.get(&id))
    }

    fn index(&mut self, account: &Account) {
        for look in &account.looks {
            self.looks.insert(look.clone(), account.id);
        }
        for key in &account.keys {
            let ids = self.owners.entry(key.owner).or_default();
            if !ids.contains(&account.id) {
                ids.push(account.id);
            }
        }
    }

    fn disown(&mut self, owner: Owner, id: AccountId) {
        if let Some(ids) = self.owners.get_mut(&owner) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.owners.remove(&owner);
            }
        }
    }
}

impl Account {
    /// True if it is this identity's.
    #[must_use]
    pub fn has(&self, owner: Owner) -> bool {
        self.keys.iter().any(|key| key.owner == owner)
    }

    /// Every identity that it is used with.
    pub(super) fn owners(&self) -> Vec<Owner> {
        self.keys.iter().map(|key| key.owner).collect()
    }

    /// True if the name has expired: it is not protected, and has not been used for so long.
    #[must_use]
    pub fn is_unused(&self, after: Duration, now: u64) -> bool {
        self.password.is_none() && u128::from(now.saturating_sub(self.used_at)) >= after.as_millis()
    }

    /// The identity, as SPKI, that it was used with last.
    #[must_use]
    pub fn latest_key(&self) -> Option<&Arc<[u8]>> {
        self.keys.iter().max_by_key(|key| key.used_at).map(|key| &key.spki)
    }
}
