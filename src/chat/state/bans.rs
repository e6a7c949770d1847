//! Bans: on a name with its keys, on a key, for a short while on addresses. PROTOCOL.md §6
//! "Commands".

use core::net::IpAddr;

use super::command_reply::{Actor, CommandError, CommandOutcome, absent, because, count, end, refused, until_text};
use super::{ChatState, Duration, Effect, Now, SessionNumber, SessionState};
use crate::chat::command::server::BanTarget;
use crate::chat::name::Name;
use crate::chat::registry_record::{Account, AccountId, Ban, Banned, Network};
use crate::chat::{fingerprint, when};

/// Addresses are banned for so long, unless it is said, and at most for so long.
const ADDRESS_BANNED: Duration = Duration::from_secs(60 * 60);
const ADDRESS_BANNED_AT_MOST: Duration = Duration::from_secs(24 * 60 * 60);
/// New names from the address of a banned user are refused for so long.
const WARY: Duration = Duration::from_secs(10 * 60);
/// So many addresses are watched so.
const MAX_WATCHED: usize = 1_024;

impl ChatState {
    pub(super) fn ban(
        &mut self,
        by: &Actor,
        whom: BanTarget,
        lasts: Option<Duration>,
        reason: &str,
        now: Now,
        out: &mut Vec<Effect>,
    ) -> Result<CommandOutcome, CommandError> {
        let on = match whom {
            BanTarget::Name(name) => {
                let account = self.named(&name)?;
                let keys = self.accounts.get(account).map(Account::owners).unwrap_or_default();
                Banned::Name { account, name, keys }
            }
            BanTarget::Key(owner) => Banned::Key(owner),
            BanTarget::Network(network) => Banned::Network(network),
            BanTarget::Number(..) => return Err(refused("BAN needs a name, a key or an address".into())),
        };
        if let (Banned::Network(_), Some(lasts)) = (&on, lasts)
            && lasts > ADDRESS_BANNED_AT_MOST
        {
            return Err(refused("addresses change hands: they are banned for a day at most; ban the name".into()));
        }
        let lasts = if matches!(on, Banned::Network(_)) { lasts.or(Some(ADDRESS_BANNED)) } else { lasts };
        let until = lasts.map(|lasts| end(now, lasts));
        let own = by.member().and_then(|member| self.present.get(&member));
        if own.is_some_and(|own| on.is_on(own.user.owner, Some(own.account), own.address)) {
            return Err(refused("you cannot ban yourself".into()));
        }
        let ban =
            self.order.ban(on.clone(), until, reason, &by.label(), now.at).map_err(|why| refused(why.to_string()))?;
        let (line, told) = (ban_line(ban), ban_text(ban));
        let is_on = |present: &SessionState| on.is_on(present.user.owner, Some(present.account), present.address);
        let hit: Vec<SessionNumber> =
            self.present.iter().filter(|(_, it)| is_on(it)).map(|(member, _)| *member).collect();
        for member in &hit {
            if let (Some(address), Banned::Name { account, .. }) =
                (self.present.get(member).and_then(|it| it.address), &on)
            {
                self.watch(*account, address, now);
            }
            self.kick(*member, &told, now, out);
        }
        Ok(format!("{line}\nremoved {}", hit.len()).into())
    }

    /// New names from the address of a banned user are refused for a while: a new key costs an attacker no effort.
    fn watch(&mut self, account: AccountId, address: IpAddr, now: Now) {
        // An IPv6 user has a whole /64.
        let prefix = if address.to_canonical().is_ipv4() { 32 } else { 64 };
        self.wary.retain(|_, (until, _)| *until > now.tick);
        if let Ok(network) = Network::new(address, Some(prefix))
            && self.wary.len() < MAX_WATCHED
        {
            self.wary.insert(network, (now.tick + WARY, account));
        }
    }

    /// True if new names from an address are not taken for now.
    pub(super) fn is_wary_of(&self, address: Option<IpAddr>, now: Now) -> bool {
        let Some(address) = address else { return false };
        let is_watched = |(network, (until, account)): (&Network, &(_, AccountId))| {
            *until > now.tick && network.has(address) && self.order.bans_name(*account, now.at)
        };
        self.wary.iter().any(is_watched)
    }

    /// They are not banned any more.
    fn watch_no_longer(&mut self, account: Option<AccountId>) {
        self.wary.retain(|_, (_, of)| Some(*of) != account);
    }

    pub(super) fn unban(&mut self, whom: &BanTarget, now: u64) -> Result<CommandOutcome, CommandError> {
        let by_name = |chat: &Self, name: &Name| chat.accounts.find(name).map(|account| account.id);
        let lifted = match whom {
            BanTarget::Number(number, name) => {
                let of_number = self.order.bans(now).find(|ban| ban.id == *number);
                let banned = of_number.and_then(|ban| ban.on.account());
                let lifted = self.order.unban(|ban| ban.id == *number);
                let account = name.as_ref().filter(|_| lifted == 0).and_then(|name| by_name(self, name));
                self.watch_no_longer(banned.or(account));
                lifted + account.map_or(0, |account| self.order.unban(|ban| ban.on.account() == Some(account)))
            }
            BanTarget::Name(name) => {
                let account = by_name(self, name);
                self.watch_no_longer(account);
                let is_it = |ban: &Ban| match &ban.on {
                    Banned::Name { account: id, name: spelt, .. } => Some(*id) == account || spelt == name,
                    _ => false,
                };
                self.order.unban(is_it)
            }
            BanTarget::Key(owner) => self.order.unban(|ban| ban.on == Banned::Key(*owner)),
            BanTarget::Network(network) => self.order.unban(|ban| ban.on == Banned::Network(*network)),
        };
        match lifted {
            0 => Err(absent(format!("there is no ban on {whom}: BANS lists them"))),
            _ => Ok(format!("{whom} is no longer banned").into()),
        }
    }
}

impl Banned {
    fn account(&self) -> Option<AccountId> {
        if let Self::Name { account, .. } = self { Some(*account) } else { None }
    }
}

/// Text for a banned user.
pub(super) fn ban_text(ban: &Ban) -> String {
    format!("you are banned {}{}", until_text(ban.until), because(&ban.reason))
}

/// A ban, in a list.
pub(super) fn ban_line(ban: &Ban) -> String {
    let on = match &ban.on {
        Banned::Name { name, keys, .. } => format!("{name} with {}", count(keys.len(), "key")),
        Banned::Key(owner) => fingerprint::ShownFingerprint(*owner).to_string(),
        Banned::Network(network) => network.to_string(),
    };
    let (until, reason) = (until_text(ban.until), because(&ban.reason));
    format!("{:>3}  {on} {until} (by {}, {}){reason}", ban.id, ban.by, when(ban.at))
}
