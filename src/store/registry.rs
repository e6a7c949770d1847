//! Registry on disk: letters, names, moderation, rooms.
//!
//! Invariant: each change is written whole, in the place of what was there before, and all that come together come all
//! at once, or not at all.

mod load;

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, Transaction, params};

use super::database::{DatabaseError, number, open};
use super::placed_files::PlacedFiles;
use super::write_error;
use crate::chat::registry_record::{Account, Ban, Banned, DeviceKey, Invite, Letter, Mute, RegistryRecord, RoomRules};

const FILE: &str = "chat.db";
/// Migrations, each from the version before. A released one is never changed.
const STEPS: [&str; 2] = [
    "
    CREATE TABLE letter (
        id INTEGER PRIMARY KEY, author BLOB NOT NULL, reader BLOB NOT NULL, at INTEGER NOT NULL, bytes BLOB NOT NULL);",
    "
    ALTER TABLE letter ADD COLUMN session BLOB;
    ALTER TABLE letter ADD COLUMN n INTEGER;
    CREATE TABLE account (id INTEGER PRIMARY KEY, name TEXT NOT NULL, password TEXT, used_at INTEGER NOT NULL);
    CREATE TABLE account_look (
        account INTEGER REFERENCES account ON DELETE CASCADE, place INTEGER, look TEXT NOT NULL,
        PRIMARY KEY (account, place)) WITHOUT ROWID;
    CREATE TABLE account_key (
        account INTEGER REFERENCES account ON DELETE CASCADE, place INTEGER, owner BLOB NOT NULL, spki BLOB NOT NULL,
        added_at INTEGER NOT NULL, used_at INTEGER NOT NULL, PRIMARY KEY (account, place)) WITHOUT ROWID;
    CREATE TABLE operator (owner BLOB PRIMARY KEY) WITHOUT ROWID;
    CREATE TABLE ban (
        id INTEGER PRIMARY KEY, account INTEGER, name TEXT, owner BLOB, network TEXT, until INTEGER,
        reason TEXT NOT NULL, said_by TEXT NOT NULL, at INTEGER NOT NULL);
    CREATE TABLE ban_key (
        ban INTEGER REFERENCES ban ON DELETE CASCADE, place INTEGER, owner BLOB NOT NULL,
        PRIMARY KEY (ban, place)) WITHOUT ROWID;
    CREATE TABLE mute (account INTEGER PRIMARY KEY, until INTEGER, said_by TEXT NOT NULL);
    CREATE TABLE invite (
        id INTEGER PRIMARY KEY, hash BLOB NOT NULL, until INTEGER NOT NULL, uses INTEGER NOT NULL,
        said_by TEXT NOT NULL);
    CREATE TABLE words_of_the_day (text TEXT NOT NULL);
    CREATE TABLE room (
        name TEXT PRIMARY KEY, keeper INTEGER, locked INTEGER NOT NULL, topic TEXT NOT NULL,
        registered INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE room_guest (
        room TEXT REFERENCES room ON DELETE CASCADE, place INTEGER, account INTEGER NOT NULL,
        PRIMARY KEY (room, place)) WITHOUT ROWID;",
];

/// The database of what stays.
pub struct Registry {
    path: PathBuf,
    files: PlacedFiles,
    /// None between the end of one and the beginning of the next.
    connection: Option<Connection>,
}

impl Registry {
    /// Opens it, and gives what it holds: names before what is said of them, each kind in the order of its numbers, the
    /// oldest letter first.
    ///
    /// # Errors
    /// [`DatabaseError`] if it cannot be used, or a row of it cannot be read.
    pub fn open(folder: &Path) -> Result<(Self, Vec<RegistryRecord>), DatabaseError> {
        let path = folder.join(FILE);
        let (connection, files) = open_registry(&path)?;
        let all = load::read_all(&path, &connection)?;
        Ok((Self { path, files, connection: Some(connection) }, all))
    }

    /// Writes down what has changed, in this order and all at once. It outlives the machine. Gives whether it had to be
    /// mended, as [`Registry::mend`] does.
    ///
    /// # Errors
    /// [`DatabaseError`] if it could not; a removed file keeps no data.
    pub fn keep<'a>(
        &mut self,
        changes: impl Iterator<Item = &'a RegistryRecord> + Clone,
    ) -> Result<bool, DatabaseError> {
        let was_mended = self.mend()?;
        let Some(connection) = &mut self.connection else { return Err(self.not_open()) };
        let written = write(connection, changes.clone()).or_else(|_| {
            // There may be room for it, once what the log of it holds is where it belongs.
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
            write(connection, changes)
        });
        written.map_err(DatabaseError::of(&self.path))?;
        self.files.note_lengths();
        // A log that was taken away meanwhile is still open: what it holds can be saved.
        Ok(self.mend()? || was_mended)
    }

    /// Checks that the files are in their places. What a log that was taken away holds is written to the database, and
    /// another log begins. Gives whether that was so.
    ///
    /// # Errors
    /// [`DatabaseError`] if the database was taken away too, or cannot be written.
    pub fn mend(&mut self) -> Result<bool, DatabaseError> {
        let Err(missing) = self.files.check() else { return Ok(false) };
        if !self.files.has_database() {
            return Err(missing.into());
        }
        let failed = DatabaseError::of(&self.path);
        if let Some(connection) = &self.connection {
            let busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0));
            if busy.map_err(&failed)? {
                return Err(missing.into());
            }
        }
        // The old connection has the lock, and writes to the old log.
        self.connection = None;
        let (connection, files) = open_registry(&self.path)?;
        (self.connection, self.files) = (Some(connection), files);
        Ok(true)
    }

    fn not_open(&self) -> DatabaseError {
        write_error(&self.path)(io::ErrorKind::NotConnected.into()).into()
    }
}

fn open_registry(path: &Path) -> Result<(Connection, PlacedFiles), DatabaseError> {
    let connection = open(path, &STEPS)?;
    let failed = DatabaseError::of(path);
    connection.pragma_update(None, "foreign_keys", true).map_err(&failed)?;
    connection.pragma_update(None, "synchronous", "FULL").map_err(&failed)?;
    connection.set_prepared_statement_cache_capacity(32);
    let files = PlacedFiles::of(path)?;
    Ok((connection, files))
}

fn write<'a>(connection: &mut Connection, changes: impl Iterator<Item = &'a RegistryRecord>) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    let mut writing = RegistryTransaction { transaction: &transaction };
    for change in changes {
        writing.change(change)?;
    }
    transaction.commit()
}

struct RegistryTransaction<'a> {
    transaction: &'a Transaction<'a>,
}

impl RegistryTransaction<'_> {
    fn change(&mut self, change: &RegistryRecord) -> rusqlite::Result<()> {
        match change {
            RegistryRecord::Letter(letter) => self.letter(letter),
            RegistryRecord::LetterGone(id) => self.run("DELETE FROM letter WHERE id = ?1", [number(*id)]),
            RegistryRecord::Account(account) => self.account(account),
            RegistryRecord::AccountGone(id) => self.run("DELETE FROM account WHERE id = ?1", [number(id.0)]),
            RegistryRecord::Operator(owner) => self.run("INSERT OR REPLACE INTO operator VALUES (?1)", [owner]),
            RegistryRecord::OperatorGone(owner) => self.run("DELETE FROM operator WHERE owner = ?1", [owner]),
            RegistryRecord::Ban(ban) => self.ban(ban),
            RegistryRecord::BanGone(id) => self.run("DELETE FROM ban WHERE id = ?1", [number(*id)]),
            RegistryRecord::Mute(Mute { account, until, by }) => self.run(
                "INSERT OR REPLACE INTO mute VALUES (?1, ?2, ?3)",
                params![number(account.0), until.map(number), by],
            ),
            RegistryRecord::MuteGone(account) => self.run("DELETE FROM mute WHERE account = ?1", [number(account.0)]),
            RegistryRecord::Invite(Invite { id, hash, until, uses, by }) => self.run(
                "INSERT OR REPLACE INTO invite VALUES (?1, ?2, ?3, ?4, ?5)",
                params![number(*id), hash, number(*until), uses, by],
            ),
            RegistryRecord::InviteGone(id) => self.run("DELETE FROM invite WHERE id = ?1", [number(*id)]),
            RegistryRecord::WordsOfTheDay(text) => {
                self.run("DELETE FROM words_of_the_day", [])?;
                if text.is_empty() { Ok(()) } else { self.run("INSERT INTO words_of_the_day VALUES (?1)", [text]) }
            }
            RegistryRecord::Room(rules) => self.room(rules),
            RegistryRecord::RoomGone(room) => self.run("DELETE FROM room WHERE name = ?1", [room.as_str()]),
        }
    }

    fn letter(&mut self, letter: &Letter) -> rusqlite::Result<()> {
        let Letter { id, author, reader, at, bytes, from } = letter;
        let (session, n) = from.map(|(session, n)| (session.0, number(n))).unzip();
        self.run(
            "INSERT OR REPLACE INTO letter VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![number(*id), author, reader, number(*at), &**bytes, session, n],
        )
    }

    fn account(&mut self, account: &Account) -> rusqlite::Result<()> {
        let Account { id, name, looks, keys, password, used_at } = account;
        let id = number(id.0);
        self.run("DELETE FROM account WHERE id = ?1", [id])?;
        self.run(
            "INSERT INTO account VALUES (?1, ?2, ?3, ?4)",
            params![id, name.as_str(), password, number(*used_at)],
        )?;
        for (place, look) in (0_i64..).zip(looks) {
            self.run("INSERT INTO account_look VALUES (?1, ?2, ?3)", params![id, place, look])?;
        }
        for (place, DeviceKey { owner, spki, added_at, used_at }) in (0_i64..).zip(keys) {
            self.run(
                "INSERT INTO account_key VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![id, place, owner, &**spki, number(*added_at), number(*used_at)],
            )?;
        }
        Ok(())
    }

    fn ban(&mut self, ban: &Ban) -> rusqlite::Result<()> {
        let Ban { id, on, until, reason, by, at } = ban;
        let id = number(*id);
        let (account, name, owner, network, keys) = match on {
            Banned::Name { account, name, keys } => {
                (Some(number(account.0)), Some(name.as_str()), None, None, &keys[..])
            }
            Banned::Key(owner) => (None, None, Some(owner), None, &[][..]),
            Banned::Network(network) => (None, None, None, Some(load::text_of(*network)), &[][..]),
        };
        self.run("DELETE FROM ban WHERE id = ?1", [id])?;
        self.run(
            "INSERT INTO ban VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![id, account, name, owner, network, until.map(number), reason, by, number(*at)],
        )?;
        for (place, owner) in (0_i64..).zip(keys) {
            self.run("INSERT INTO ban_key VALUES (?1, ?2, ?3)", params![id, place, owner])?;
        }
        Ok(())
    }

    fn room(&mut self, rules: &RoomRules) -> rusqlite::Result<()> {
        let RoomRules { room, keeper, locked, guests, topic, registered } = rules;
        let room = room.as_str();
        self.run("DELETE FROM room WHERE name = ?1", [room])?;
        self.run(
            "INSERT INTO room VALUES (?1, ?2, ?3, ?4, ?5)",
            params![room, keeper.map(|keeper| number(keeper.0)), locked, topic, registered],
        )?;
        for (place, guest) in (0_i64..).zip(guests) {
            self.run("INSERT INTO room_guest VALUES (?1, ?2, ?3)", params![room, place, number(guest.0)])?;
        }
        Ok(())
    }

    fn run(&mut self, sql: &str, values: impl rusqlite::Params) -> rusqlite::Result<()> {
        self.transaction.prepare_cached(sql)?.execute(values).map(|_| ())
    }
}

#[cfg(test)]
mod tests;
