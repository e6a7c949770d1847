//! Registry records, which survive a stop of the server: names, moderation, registered rooms, letters.
//!
//! ```text
//! chat state ──JournalRecord::Lasting──▶ disk (one database) ──(start)──▶ RegistryRecord, RegistryRecord, … ──▶ ChatState::restore
//! ```
//!
//! Each is whole: one that is told again takes the place of what was told before.

use core::net::IpAddr;
use std::sync::Arc;

use super::Owner;
use super::message::SessionId;
use super::name::{Name, RoomName};

/// A record that holds from now on, across restarts of the server. Times are in milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegistryRecord {
    /// A letter waits.
    Letter(Letter),
    /// A letter waits no more.
    LetterGone(u64),
    /// A name has an owner.
    Account(Account),
    /// A name is free.
    AccountGone(AccountId),
    /// An identity is an operator's.
    Operator(Owner),
    /// It is not any more.
    OperatorGone(Owner),
    /// A user is banned.
    Ban(Ban),
    /// They may, by the ban's number.
    BanGone(u64),
    /// A name is muted.
    Mute(Mute),
    /// It may.
    MuteGone(AccountId),
    /// The holder of a token may join.
    Invite(Invite),
    /// They may not any more, by the invitation's number.
    InviteGone(u64),
    /// The words of the day; empty for none.
    WordsOfTheDay(String),
    /// A room's own rules.
    Room(RoomRules),
    /// A room is gone, and its rules with it.
    RoomGone(RoomName),
}

/// A name's number, never used again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId(pub u64);

/// A letter that waits for its reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Its number, by which it is forgotten.
    pub id: u64,
    /// Author.
    pub author: Owner,
    /// Recipient.
    pub reader: Owner,
    /// When it came.
    pub at: u64,
    /// Sealed letter, as the server relays it.
    pub bytes: Arc<[u8]>,
    /// The session that wrote it, and under which number: it is not to be taken again when a crash has taken back what
    /// the session was told of it. None is known of letters of former versions.
    pub from: Option<(SessionId, u64)>,
}

/// An owned name, with all the keys that use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its number.
    pub id: AccountId,
    /// The name, as it was spelt last.
    pub name: Name,
    /// Skeletons of each spelling ([`Name::skeletons`]).
    pub looks: Vec<String>,
    /// Owners, in the order of their first use.
    pub keys: Vec<DeviceKey>,
    /// Argon2id of the password, as a PHC string, if it has one.
    pub password: Option<String>,
    /// When it was last used.
    pub used_at: u64,
}

/// An identity that a name is used with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceKey {
    /// Its fingerprint.
    pub owner: Owner,
    /// As DER SubjectPublicKeyInfo.
    pub spki: Arc<[u8]>,
    /// When it came to the name.
    pub added_at: u64,
    /// When it was last used.
    pub used_at: u64,
}

/// A ban.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    /// Its number.
    pub id: u64,
    /// Target.
    pub on: Banned,
    /// Until when; `None` until it is lifted.
    pub until: Option<u64>,
    /// Reason; may be empty.
    pub reason: String,
    /// Issuer: an operator's name, or the console.
    pub by: String,
    /// When.
    pub at: u64,
}

/// Target of a ban.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Banned {
    /// A name, and all keys that it had then.
    Name {
        /// Its number.
        account: AccountId,
        /// Spelling.
        name: Name,
        /// The keys.
        keys: Vec<Owner>,
    },
    /// An identity.
    Key(Owner),
    /// Addresses.
    Network(Network),
}

/// Addresses that begin alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    /// The first of them.
    pub first: IpAddr,
    /// Length of the common prefix, in bits.
    pub prefix: u8,
}

/// A muted name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mute {
    /// Name.
    pub account: AccountId,
    /// Until when; `None` until it is lifted.
    pub until: Option<u64>,
    /// Issuer.
    pub by: String,
}

/// A token that admits a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invite {
    /// Its number.
    pub id: u64,
    /// SHA-256 of the token.
    pub hash: [u8; 32],
    /// Until when.
    pub until: u64,
    /// Remaining uses.
    pub uses: u32,
    /// Inviter.
    pub by: String,
}

/// Settings of a room by its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomRules {
    /// Which room.
    pub room: RoomName,
    /// Owner; none for the lobby.
    pub keeper: Option<AccountId>,
    /// True if only guests may come in.
    pub locked: bool,
    /// Guests, who may join when it is locked.
    pub guests: Vec<AccountId>,
    /// Topic; may be empty.
    pub topic: String,
    /// True if it stays when it is empty.
    pub registered: bool,
}
