//! Loading of the registry: all of it, or the reason why not.

use std::collections::HashMap;
use std::hash::Hash;
use std::path::Path;

use rusqlite::types::{FromSql, Type};
use rusqlite::{Connection, Row};

use crate::chat::Owner;
use crate::chat::message::SessionId;
use crate::chat::name::{Name, RoomName};
use crate::chat::registry_record::{
    Account, AccountId, Ban, Banned, DeviceKey, Invite, Letter, Mute, Network, RegistryRecord, RoomRules,
};
use crate::store::database::{DatabaseError, maybe, uint};

/// A database that is being read.
struct RegistryLoader<'a> {
    path: &'a Path,
    connection: &'a Connection,
}

/// All records, each after those that it names.
pub(super) fn read_all(path: &Path, connection: &Connection) -> Result<Vec<RegistryRecord>, DatabaseError> {
    let reading = RegistryLoader { path, connection };
    reading.refuse_orphans()?;
    let mut all: Vec<RegistryRecord> = reading.accounts()?.into_iter().map(RegistryRecord::Account).collect();
    all.extend(
        reading.rows("operator", "SELECT owner FROM operator", |row| Ok(RegistryRecord::Operator(row.get(0)?)))?,
    );
    all.extend(reading.bans()?);
    all.extend(reading.rows("mute", "SELECT account, until, said_by FROM mute ORDER BY account", |row| {
        Ok(RegistryRecord::Mute(Mute { account: AccountId(uint(row, 0)?), until: maybe(row, 1)?, by: row.get(2)? }))
    })?);
    all.extend(reading.rows("invite", "SELECT id, hash, until, uses, said_by FROM invite ORDER BY id", |row| {
        let (id, until) = (uint(row, 0)?, uint(row, 2)?);
        Ok(RegistryRecord::Invite(Invite { id, hash: row.get(1)?, until, uses: row.get(3)?, by: row.get(4)? }))
    })?);
    all.extend(reading.rows("words_of_the_day", "SELECT text FROM words_of_the_day", |row| {
        Ok(RegistryRecord::WordsOfTheDay(row.get(0)?))
    })?);
    all.extend(reading.rooms()?);
    all.extend(reading.rows(
        "letter",
        "SELECT id, author, reader, at, bytes, session, n FROM letter ORDER BY id",
        |row| letter(row).map(RegistryRecord::Letter),
    )?);
    Ok(all)
}

impl RegistryLoader<'_> {
    /// Reads what a query finds in a table, which is named if it cannot be.
    fn rows<T>(
        &self,
        table: &str,
        sql: &str,
        take: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, DatabaseError> {
        let read = || self.connection.prepare(sql)?.query_map([], take)?.collect::<rusqlite::Result<Vec<T>>>();
        read().map_err(|source| match DatabaseError::of(self.path)(source) {
            DatabaseError::Damaged { path, why } => {
                DatabaseError::Damaged { path, why: format!("table {table}: {why}") }
            }
            other => other,
        })
    }

    /// Reads the rows of a part table, by their owner, in order.
    fn parts<K: Eq + Hash + FromSql, T>(
        &self,
        table: &str,
        sql: &str,
        mut take: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<HashMap<K, Vec<T>>, DatabaseError> {
        let mut parts: HashMap<K, Vec<T>> = HashMap::new();
        for (whose, part) in self.rows(table, sql, |row| Ok((row.get(0)?, take(row)?)))? {
            parts.entry(whose).or_default().push(part);
        }
        Ok(parts)
    }

    /// A part of a missing record.
    fn refuse_orphans(&self) -> Result<(), DatabaseError> {
        let orphans = self.rows("", "PRAGMA foreign_key_check", |row| row.get::<_, String>(0))?;
        orphans.into_iter().next().map_or(Ok(()), |table| {
            let why = format!("table {table}: a row is part of nothing");
            Err(DatabaseError::Damaged { path: self.path.to_owned(), why })
        })
    }

    fn accounts(&self) -> Result<Vec<Account>, DatabaseError> {
        let sql = "SELECT account, look FROM account_look ORDER BY account, place";
        let mut looks: HashMap<i64, Vec<String>> = self.parts("account_look", sql, |row| row.get(1))?;
        let sql = "SELECT account, owner, spki, added_at, used_at FROM account_key ORDER BY account, place";
        let mut keys: HashMap<i64, Vec<DeviceKey>> = self.parts("account_key", sql, |row| {
            let spki = row.get::<_, Vec<u8>>(2)?.into();
            Ok(DeviceKey { owner: row.get(1)?, spki, added_at: uint(row, 3)?, used_at: uint(row, 4)? })
        })?;
        self.rows("account", "SELECT id, name, password, used_at FROM account ORDER BY id", |row| {
            let id = row.get(0)?;
            Ok(Account {
                id: AccountId(uint(row, 0)?),
                name: name(row, 1)?,
                looks: looks.remove(&id).unwrap_or_default(),
                keys: keys.remove(&id).unwrap_or_default(),
                password: row.get(2)?,
                used_at: uint(row, 3)?,
            })
        })
    }

    fn bans(&self) -> Result<Vec<RegistryRecord>, DatabaseError> {
        let sql = "SELECT ban, owner FROM ban_key ORDER BY ban, place";
        let mut keys: HashMap<i64, Vec<Owner>> = self.parts("ban_key", sql, |row| row.get(1))?;
        let sql = "SELECT id, account, name, owner, network, until, reason, said_by, at FROM ban ORDER BY id";
        self.rows("ban", sql, |row| {
            let keys = keys.remove(&row.get(0)?).unwrap_or_default();
            let on = match (maybe(row, 1)?, row.get(3)?, row.get::<_, Option<String>>(4)?) {
                (Some(account), None, None) => Banned::Name { account: AccountId(account), name: name(row, 2)?, keys },
                (None, Some(owner), None) => Banned::Key(owner),
                (None, None, Some(text)) => Banned::Network(network(&text).ok_or_else(|| bad(4, "no network"))?),
                _ => return Err(bad(1, "a ban is on a name, a key or a network")),
            };
            let (until, reason, by) = (maybe(row, 5)?, row.get(6)?, row.get(7)?);
            Ok(RegistryRecord::Ban(Ban { id: uint(row, 0)?, on, until, reason, by, at: uint(row, 8)? }))
        })
    }

    fn rooms(&self) -> Result<Vec<RegistryRecord>, DatabaseError> {
        let sql = "SELECT room, account FROM room_guest ORDER BY room, place";
        let mut guests: HashMap<String, Vec<AccountId>> =
            self.parts("room_guest", sql, |row| uint(row, 1).map(AccountId))?;
        let sql = "SELECT name, keeper, locked, topic, registered FROM room ORDER BY name";
        self.rows("room", sql, |row| {
            let name: String = row.get(0)?;
            Ok(RegistryRecord::Room(RoomRules {
                room: RoomName::parse(&name).map_err(|why| bad(0, why))?,
                keeper: maybe(row, 1)?.map(AccountId),
                locked: row.get(2)?,
                guests: guests.remove(&name).unwrap_or_default(),
                topic: row.get(3)?,
                registered: row.get(4)?,
            }))
        })
    }
}

fn letter(row: &Row<'_>) -> rusqlite::Result<Letter> {
    let from = match (row.get(5)?, maybe(row, 6)?) {
        (Some(session), Some(n)) => Some((SessionId(session), n)),
        (None, None) => None,
        _ => return Err(bad(5, "a session without a number, or a number without a session")),
    };
    let bytes = row.get::<_, Vec<u8>>(4)?.into();
    Ok(Letter { id: uint(row, 0)?, author: row.get(1)?, reader: row.get(2)?, at: uint(row, 3)?, bytes, from })
}

fn name(row: &Row<'_>, column: usize) -> rusqlite::Result<Name> {
    Name::parse(&row.get::<_, String>(column)?).map_err(|why| bad(column, why))
}

/// A network, as it is kept: its first address and how many bits of it count.
pub(super) fn text_of(network: Network) -> String {
    format!("{}/{}", network.first, network.prefix)
}

fn network(text: &str) -> Option<Network> {
    let (first, prefix) = text.split_once('/')?;
    let network = Network { first: first.parse().ok()?, prefix: prefix.parse().ok()? };
    let longest = if network.first.is_ipv4() { 32 } else { 128 };
    // No other way to write it: what was not written here is not read.
    (network.prefix <= longest && text_of(network) == text).then_some(network)
}

/// A column holds a value that this program never writes there.
fn bad(column: usize, why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, why.into())
}
