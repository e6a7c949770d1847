//! Moderation state: operators, bans, mutes, invitations, the message of the day. PROTOCOL.md
//! §6 "Commands".
//!
//! All of it is bounded, expires when it is next looked at, and is persistent.

use core::net::IpAddr;
use std::collections::{BTreeMap, HashMap, HashSet};

use super::Owner;
use super::registry_record::{AccountId, Ban, Banned, Invite, Mute, Network, RegistryRecord};

/// Bans, and invitations, at once.
const MAX_RULES: usize = 256;

/// There are too many of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the limit of {MAX_RULES} is reached: remove some first")]
pub(super) struct LimitError;

/// Moderation state.
#[derive(Debug, Default)]
pub(super) struct Moderation {
    operators: HashSet<Owner>,
    bans: BTreeMap<u64, Ban>,
    mutes: HashMap<AccountId, Mute>,
    invites: BTreeMap<u64, Invite>,
    words: String,
    changes: Vec<RegistryRecord>,
}

impl Moderation {
    pub(super) fn restore(&mut self, lasting: RegistryRecord) {
        match lasting {
            RegistryRecord::Operator(owner) => drop(self.operators.insert(owner)),
            RegistryRecord::Ban(ban) => drop(self.bans.insert(ban.id, ban)),
            RegistryRecord::Mute(mute) => drop(self.mutes.insert(mute.account, mute)),
            RegistryRecord::Invite(invite) => drop(self.invites.insert(invite.id, invite)),
            RegistryRecord::WordsOfTheDay(words) => self.words = words,
            _ => {}
        }
    }

    /// Takes the pending registry changes.
    pub(super) fn take_changes(&mut self) -> impl Iterator<Item = RegistryRecord> {
        self.changes.drain(..)
    }

    pub(super) fn is_operator(&self, owner: Owner) -> bool {
        self.operators.contains(&owner)
    }

    pub(super) fn operators(&self) -> impl Iterator<Item = Owner> {
        self.operators.iter().copied()
    }

    /// Gives whether that is new.
    pub(super) fn set_operator(&mut self, owner: Owner, is_one: bool) -> bool {
        let is_new = if is_one { self.operators.insert(owner) } else { self.operators.remove(&owner) };
        if is_new {
            self.changes.push(if is_one {
                RegistryRecord::Operator(owner)
            } else {
                RegistryRecord::OperatorGone(owner)
            });
        }
        is_new
    }

    /// The ban in force against a user, if there is one: the one that lasts longest.
    pub(super) fn banned(
        &self,
        owner: Owner,
        account: Option<AccountId>,
        address: Option<IpAddr>,
        now: u64,
    ) -> Option<&Ban> {
        let is_on = |ban: &&Ban| !is_over(ban.until, now) && ban.on.is_on(owner, account, address);
        let applies = self.bans.values().filter(is_on);
        applies.max_by_key(|ban| ban.until.unwrap_or(u64::MAX))
    }

    /// True if a name is banned now.
    pub(super) fn bans_name(&self, account: AccountId, now: u64) -> bool {
        let is_it = |ban: &Ban| matches!(ban.on, Banned::Name { account: banned, .. } if banned == account);
        self.bans.values().any(|ban| is_it(ban) && !is_over(ban.until, now))
    }

    /// All bans that are not over, and the past ones forgotten.
    pub(super) fn bans(&mut self, now: u64) -> impl Iterator<Item = &Ban> {
        self.tidy(now);
        self.bans.values()
    }

    /// From now on; one on the same is replaced.
    pub(super) fn ban(
        &mut self,
        on: Banned,
        until: Option<u64>,
        reason: &str,
        by: &str,
        now: u64,
    ) -> Result<&Ban, LimitError> {
        self.tidy(now);
        let is_same = |ban: &&Ban| match (&ban.on, &on) {
            (Banned::Name { account, .. }, Banned::Name { account: other, .. }) => account == other,
            (one, other) => one == other,
        };
        let before = self.bans.values().find(is_same).map(|ban| ban.id);
        if before.is_none() && self.bans.len() >= MAX_RULES {
            return Err(LimitError);
        }
        let id = before.unwrap_or_else(|| self.bans.last_key_value().map_or(1, |(last, _)| last + 1));
        let ban = Ban { id, on, until, reason: reason.to_owned(), by: by.to_owned(), at: now };
        self.changes.push(RegistryRecord::Ban(ban.clone()));
        self.bans.insert(id, ban);
        Ok(&self.bans[&id])
    }

    /// Lifts bans. Gives how many.
    pub(super) fn unban(&mut self, which: impl Fn(&Ban) -> bool) -> usize {
        let gone: Vec<u64> = self.bans.values().filter(|ban| which(ban)).map(|ban| ban.id).collect();
        for id in &gone {
            self.bans.remove(id);
            self.changes.push(RegistryRecord::BanGone(*id));
        }
        gone.len()
    }

    /// True if no name is muted, nor was lately.
    pub(super) fn mutes_nobody(&self) -> bool {
        self.mutes.is_empty()
    }

    pub(super) fn muted(&self, account: AccountId, now: u64) -> Option<&Mute> {
        self.mutes.get(&account).filter(|mute| !is_over(mute.until, now))
    }

    pub(super) fn mute(&mut self, mute: Mute) {
        self.changes.push(RegistryRecord::Mute(mute.clone()));
        self.mutes.insert(mute.account, mute);
    }

    /// Gives whether it was muted.
    pub(super) fn unmute(&mut self, account: AccountId) -> bool {
        let was = self.mutes.remove(&account).is_some();
        if was {
            self.changes.push(RegistryRecord::MuteGone(account));
        }
        was
    }

    /// All valid invitations; expired ones are removed.
    pub(super) fn invites(&mut self, now: u64) -> impl Iterator<Item = &Invite> {
        self.tidy(now);
        self.invites.values()
    }

    pub(super) fn invite(
        &mut self,
        hash: [u8; 32],
        until: u64,
        uses: u32,
        by: &str,
        now: u64,
    ) -> Result<u64, LimitError> {
        self.tidy(now);
        if self.invites.len() >= MAX_RULES {
            return Err(LimitError);
        }
        let id = self.invites.last_key_value().map_or(1, |(last, _)| last + 1);
        let invite = Invite { id, hash, until, uses, by: by.to_owned() };
        self.changes.push(RegistryRecord::Invite(invite.clone()));
        self.invites.insert(id, invite);
        Ok(id)
    }

    /// The invitation that this token belongs to, if it is valid.
    pub(super) fn invited_by(&self, token: [u8; 32], now: u64) -> Option<u64> {
        // Hashes of unguessable tokens: the time of a comparison reveals no secret.
        self.invites.values().find(|it| it.hash == token && it.uses > 0 && it.until > now).map(|it| it.id)
    }

    /// Counts one use of it.
    pub(super) fn use_up(&mut self, id: u64) {
        if let Some(invite) = self.invites.get_mut(&id) {
            invite.uses = invite.uses.saturating_sub(1);
            let change =
                if invite.uses > 0 { RegistryRecord::Invite(invite.clone()) } else { RegistryRecord::InviteGone(id) };
            if invite.uses == 0 {
                self.invites.remove(&id);
            }
            self.changes.push(change);
        }
    }

    /// Gives whether there was one.
    pub(super) fn revoke(&mut self, id: u64) -> bool {
        let was = self.invites.remove(&id).is_some();
        if was {
            self.changes.push(RegistryRecord::InviteGone(id));
        }
        was
    }

    pub(super) fn words(&self) -> &str {
        &self.words
    }

    pub(super) fn set_words(&mut self, words: &str) {
        words.clone_into(&mut self.words);
        self.changes.push(RegistryRecord::WordsOfTheDay(words.to_owned()));
    }

    /// Removes what is kept of a name without owner; bans stay on its keys.
    pub(super) fn forget(&mut self, account: AccountId, keys: &[Owner]) {
        self.unmute(account);
        for owner in keys {
            self.set_operator(*owner, false);
        }
    }

    fn tidy(&mut self, now: u64) {
        self.unban(|ban| is_over(ban.until, now));
        let past: Vec<u64> =
            self.invites.values().filter(|it| it.until <= now || it.uses == 0).map(|it| it.id).collect();
        for id in past {
            self.revoke(id);
        }
    }
}

fn is_over(until: Option<u64>, now: u64) -> bool {
    until.is_some_and(|until| until <= now)
}

impl Banned {
    /// True if it covers a user with this key, name, and address.
    pub(super) fn is_on(&self, owner: Owner, account: Option<AccountId>, address: Option<IpAddr>) -> bool {
        match self {
            Self::Name { account: banned, keys, .. } => keys.contains(&owner) || account == Some(*banned),
            Self::Key(banned) => *banned == owner,
            Self::Network(network) => address.is_some_and(|address| network.has(address)),
        }
    }
}

impl Network {
    /// The addresses that have so many bits in common with this one.
    ///
    /// # Errors
    /// What is wrong with it: a prefix that is too long, or that reaches so far that it could only be a mistake.
    pub fn new(address: IpAddr, prefix: Option<u8>) -> Result<Self, &'static str> {
        let address = address.to_canonical();
        let (whole, shortest) = if address.is_ipv4() { (32, 16) } else { (128, 32) };
        let prefix = prefix.unwrap_or(whole);
        if prefix > whole {
            return Err("that prefix is longer than the address");
        }
        if prefix < shortest {
            return Err("that would keep too many out: a prefix has at least 16 bits (IPv6: 32)");
        }
        let first = match address {
            IpAddr::V4(v4) => IpAddr::V4((v4.to_bits() & (u32::MAX << (32 - prefix))).into()),
            IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & (u128::MAX << (128 - prefix))).into()),
        };
        Ok(Self { first, prefix })
    }

    /// True if it is one of them.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        Self::new(address, Some(self.prefix)).is_ok_and(|other| other == *self)
    }
}
