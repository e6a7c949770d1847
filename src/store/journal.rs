//! The journal: what a server that was killed finds again. PROTOCOL.md §8.
//!
//! A transaction is written without waiting for the disk: it outlives the process. [`Durable::sync`], by another thread,
//! makes what was written until then outlive the machine.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::{Connection, Row, params};

use super::database::{DatabaseError, log_of, maybe, number, open, remove, uint, wrong};
use super::placed_files::PlacedFiles;
use super::{read_error, write_error};
use crate::chat::journal_record::{JournalRecord, ResumeRange};
use crate::chat::message::{ErrorCode, SessionId};
use crate::chat::message_seq::REMEMBERED;
use crate::chat::name::{Name, RoomName};
use crate::chat::registry_record::AccountId;
use crate::chat::room_log::LogEntry;
use crate::chat::user::User;
use crate::chat::{Audience, RoomId, SessionNumber};

const FILE: &str = "journal.db";
/// Size that the log is cut back to after a large transaction, in bytes.
const LOG_KEPT: i64 = 16 * 1_024 * 1_024;
/// Migrations, each from the version before.
const STEPS: [&str; 3] = [
    "
    CREATE TABLE session (
        member INTEGER PRIMARY KEY, name TEXT NOT NULL, owner BLOB NOT NULL, session BLOB NOT NULL, person BLOB NOT NULL,
        spki BLOB NOT NULL, last INTEGER NOT NULL, lowest INTEGER NOT NULL, highest INTEGER);
    CREATE TABLE refused (member INTEGER, n INTEGER, code TEXT NOT NULL, PRIMARY KEY (member, n)) WITHOUT ROWID;
    CREATE TABLE room (room INTEGER PRIMARY KEY, name TEXT NOT NULL, change INTEGER NOT NULL);
    CREATE TABLE seat (member INTEGER, since INTEGER, room INTEGER NOT NULL, until INTEGER, PRIMARY KEY (member, since))
        WITHOUT ROWID;
    CREATE TABLE event (cursor INTEGER PRIMARY KEY, room INTEGER, member INTEGER, except_for INTEGER, bytes BLOB NOT NULL);
    CREATE TABLE forgotten (cursor INTEGER NOT NULL);
    INSERT INTO forgotten VALUES (0);",
    // What was written before names sessions in another way: it is given up, and who was here begins anew.
    "
    UPDATE forgotten SET cursor = max(cursor, coalesce((SELECT max(cursor) FROM event), 0));
    DELETE FROM session; DELETE FROM refused; DELETE FROM room; DELETE FROM seat; DELETE FROM event;
    CREATE TABLE members (count INTEGER NOT NULL);
    INSERT INTO members VALUES (0);",
    "
    ALTER TABLE room ADD COLUMN opened_by INTEGER;",
];

/// An open journal: no other process can open it.
pub struct Journal {
    path: PathBuf,
    connection: Connection,
    durable: Arc<Durable>,
    /// The last number of each session in this transaction.
    numbers: HashMap<SessionNumber, u64>,
}

/// Handle that syncs a journal.
pub struct Durable {
    files: PlacedFiles,
    log: File,
    /// A failure is told of once by the system; what was written before it is not there for all that.
    failed: AtomicBool,
}

impl Durable {
    /// Waits until the disk has all that was committed.
    ///
    /// # Errors
    /// The system's error; a removed file keeps no data.
    pub fn sync(&self) -> io::Result<()> {
        let synced = if self.has_failed() { Err(io::Error::other("it has failed before")) } else { self.try_sync() };
        synced.inspect_err(|_| self.failed.store(true, Ordering::Relaxed))
    }

    fn try_sync(&self) -> io::Result<()> {
        self.log.sync_data()?;
        // Behind the sync: a file that was taken away before it keeps no data.
        self.files.check_names().map_err(io::Error::other)
    }

    /// True after a failed sync: it is unusable from now on.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }
}

impl Journal {
    /// Opens the journal in a folder, and gives what it holds.
    ///
    /// # Errors
    /// [`DatabaseError`] if it cannot be used, or what it holds cannot be read.
    pub fn open(folder: &Path) -> Result<(Self, Vec<JournalRecord>), DatabaseError> {
        let path = folder.join(FILE);
        let connection = open(&path, &STEPS)?;
        let failed = DatabaseError::of(&path);
        // A session that has not resumed yet cannot have received more than what is found now.
        let highest = "UPDATE session SET highest = max((SELECT cursor FROM forgotten), \
                       coalesce((SELECT max(cursor) FROM event), 0)) WHERE highest IS NULL";
        connection.execute(highest, []).map_err(&failed)?;
        let kept = read(&connection).map_err(&failed)?;
        Ok((Self::over(path, connection)?, kept))
    }

    /// An empty journal, in place of what is there.
    ///
    /// # Errors
    /// [`DatabaseError`] if it cannot be made.
    pub fn fresh(folder: &Path) -> Result<Self, DatabaseError> {
        let path = folder.join(FILE);
        remove(&path).map_err(write_error(&path))?;
        let connection = open(&path, &STEPS)?;
        Self::over(path, connection)
    }

    fn over(path: PathBuf, connection: Connection) -> Result<Self, DatabaseError> {
        let failed = DatabaseError::of(&path);
        connection.pragma_update(None, "synchronous", "NORMAL").map_err(&failed)?;
        connection.pragma_update(None, "wal_autocheckpoint", 2_000).map_err(&failed)?;
        connection.pragma_update(None, "journal_size_limit", LOG_KEPT).map_err(&failed)?;
        connection.set_prepared_statement_cache_capacity(32);
        // A log exists after the first write.
        connection.execute("UPDATE forgotten SET cursor = cursor", []).map_err(&failed)?;
        let log = File::open(log_of(&path)).map_err(read_error(&path))?;
        let durable = Durable { files: PlacedFiles::of(&path)?, log, failed: AtomicBool::new(false) };
        durable.sync().map_err(write_error(&path))?;
        super::new_file::sync_folder_of(&path)?;
        Ok(Self { path, connection, durable: Arc::new(durable), numbers: HashMap::new() })
    }

    /// Returns its sync handle.
    #[must_use]
    pub fn durable(&self) -> &Arc<Durable> {
        &self.durable
    }

    /// Begins to write; what is written comes all at once, with [`Journal::commit`], or not at all.
    ///
    /// # Errors
    /// [`DatabaseError`], as with all that follows: then the journal is unusable.
    pub fn begin(&mut self) -> Result<(), DatabaseError> {
        self.durable.files.check()?;
        self.numbers.clear();
        self.run("BEGIN", [])
    }

    /// Writes a record.
    ///
    /// # Errors
    /// As [`Journal::begin`].
    pub fn keep(&mut self, kept: &JournalRecord) -> Result<(), DatabaseError> {
        match kept {
            JournalRecord::Members(count) => self.run("UPDATE members SET count = ?1", [number(*count)]),
            JournalRecord::Session { member, user, person, last, refused, range } => {
                let User { name, owner, session, spki } = user;
                self.run(
                    "INSERT INTO session VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                    params![
                        number(member.0),
                        name.as_str(),
                        owner,
                        session.0,
                        &**person,
                        &**spki,
                        number(*last),
                        number(range.lowest),
                        range.highest.map(number)
                    ],
                )?;
                refused.iter().try_for_each(|(n, code)| self.refuse(*member, *n, *code))
            }
            JournalRecord::SessionGone(member) => {
                self.numbers.remove(member);
                for gone in [
                    "DELETE FROM session WHERE member = ?1",
                    "DELETE FROM seat WHERE member = ?1",
                    "DELETE FROM refused WHERE member = ?1",
                ] {
                    self.run(gone, [number(member.0)])?;
                }
                Ok(())
            }
            JournalRecord::Number { member, last, refused } => {
                self.numbers.insert(*member, *last);
                refused.map_or(Ok(()), |code| self.refuse(*member, *last, code))
            }
            JournalRecord::Range(member, ResumeRange { lowest, highest }) => self.run(
                "UPDATE session SET lowest = ?2, highest = ?3 WHERE member = ?1",
                params![number(member.0), number(*lowest), highest.map(number)],
            ),
            JournalRecord::Room { room, name, change, opened_by } => self.run(
                "INSERT OR REPLACE INTO room VALUES (?1, ?2, ?3, ?4)",
                params![number(room.0), name.as_str(), number(*change), opened_by.map(|account| number(account.0))],
            ),
            JournalRecord::RoomGone(room) => self.run("DELETE FROM room WHERE room = ?1", [number(room.0)]),
            JournalRecord::Seat { member, room, since, until } => self.run(
                "INSERT OR REPLACE INTO seat VALUES (?1, ?2, ?3, ?4)",
                params![number(member.0), number(*since), number(room.0), until.map(number)],
            ),
            JournalRecord::Event(to, entry) => self.event(*to, entry),
            JournalRecord::Forgotten(cursor) => {
                for forget in [
                    "UPDATE forgotten SET cursor = ?1",
                    "DELETE FROM event WHERE cursor <= ?1",
                    "DELETE FROM seat WHERE until <= ?1",
                ] {
                    self.run(forget, [number(*cursor)])?;
                }
                Ok(())
            }
            // They stay when the journal goes.
            JournalRecord::Lasting(_) => Ok(()),
        }
    }

    /// Writes an event down.
    ///
    /// # Errors
    /// As [`Journal::begin`].
    pub fn event(&mut self, to: Audience, entry: &LogEntry) -> Result<(), DatabaseError> {
        let (room, member) = match to {
            Audience::Room(room) => (Some(number(room.0)), None),
            Audience::One(member) => (None, Some(number(member.0))),
        };
        let except = entry.except.map(|member| number(member.0));
        self.run(
            "INSERT INTO event VALUES (?1, ?2, ?3, ?4, ?5)",
            params![number(entry.cursor), room, member, except, &*entry.bytes],
        )
    }

    /// Commits the writes since [`Journal::begin`]: they survive the process.
    ///
    /// # Errors
    /// As [`Journal::begin`].
    pub fn commit(&mut self) -> Result<(), DatabaseError> {
        for (member, last) in std::mem::take(&mut self.numbers) {
            self.run("UPDATE session SET last = ?2 WHERE member = ?1", [number(member.0), number(last)])?;
        }
        self.run("COMMIT", [])?;
        self.durable.files.note_lengths();
        Ok(())
    }

    /// Deletes it: its sessions have ended, or it is unusable.
    ///
    /// # Errors
    /// The system's error.
    pub fn delete(self) -> io::Result<()> {
        let path = self.path;
        drop(self.connection);
        remove(&path)
    }

    fn refuse(&mut self, member: SessionNumber, n: u64, code: ErrorCode) -> Result<(), DatabaseError> {
        self.run(
            "INSERT OR REPLACE INTO refused VALUES (?1, ?2, ?3)",
            params![number(member.0), number(n), code.word()],
        )?;
        let forgotten = n.saturating_sub(REMEMBERED);
        self.run("DELETE FROM refused WHERE member = ?1 AND n <= ?2", [number(member.0), number(forgotten)])
    }

    fn run(&mut self, sql: &str, values: impl rusqlite::Params) -> Result<(), DatabaseError> {
        let ran = self.connection.prepare_cached(sql).and_then(|mut statement| statement.execute(values));
        ran.map(|_| ()).map_err(DatabaseError::of(&self.path))
    }
}

fn read(connection: &Connection) -> rusqlite::Result<Vec<JournalRecord>> {
    let mut all = Vec::new();
    let mut refused: HashMap<u64, Vec<(u64, ErrorCode)>> = HashMap::new();
    let mut rows = connection.prepare("SELECT member, n, code FROM refused ORDER BY n")?;
    for row in rows.query_map([], |row| Ok((uint(row, 0)?, uint(row, 1)?, row.get::<_, String>(2)?)))? {
        let (member, n, word) = row?;
        refused.entry(member).or_default().push((n, ErrorCode::from_word(&word).unwrap_or(ErrorCode::Refused)));
    }
    let mut rows = connection.prepare("SELECT * FROM session")?;
    for session in rows.query_map([], |row| session(row, &mut refused))? {
        all.push(session?);
    }
    let mut rows = connection.prepare("SELECT room, name, change, opened_by FROM room")?;
    for room in rows.query_map([], |row| {
        let name = RoomName::parse(&row.get::<_, String>(1)?).map_err(|_| wrong(1))?;
        let (room, change, opened_by) = (RoomId(uint(row, 0)?), uint(row, 2)?, maybe(row, 3)?.map(AccountId));
        Ok(JournalRecord::Room { room, name, change, opened_by })
    })? {
        all.push(room?);
    }
    let mut rows = connection.prepare("SELECT member, since, room, until FROM seat")?;
    for seat in rows.query_map([], |row| {
        let (member, since, room) = (SessionNumber(uint(row, 0)?), uint(row, 1)?, RoomId(uint(row, 2)?));
        Ok(JournalRecord::Seat { member, room, since, until: maybe(row, 3)? })
    })? {
        all.push(seat?);
    }
    all.push(JournalRecord::Members(connection.query_row("SELECT count FROM members", [], |row| uint(row, 0))?));
    all.push(JournalRecord::Forgotten(connection.query_row("SELECT cursor FROM forgotten", [], |row| uint(row, 0))?));
    let mut rows = connection.prepare("SELECT cursor, room, member, except_for, bytes FROM event ORDER BY cursor")?;
    for event in rows.query_map([], |row| {
        let to = match (maybe(row, 1)?, maybe(row, 2)?) {
            (Some(room), None) => Audience::Room(RoomId(room)),
            (None, Some(member)) => Audience::One(SessionNumber(member)),
            _ => return Err(wrong(1)),
        };
        let (except, bytes) = (maybe(row, 3)?.map(SessionNumber), row.get::<_, Vec<u8>>(4)?.into());
        Ok(JournalRecord::Event(to, LogEntry { cursor: uint(row, 0)?, except, bytes }))
    })? {
        all.push(event?);
    }
    Ok(all)
}

fn session(row: &Row<'_>, refused: &mut HashMap<u64, Vec<(u64, ErrorCode)>>) -> rusqlite::Result<JournalRecord> {
    let name = Name::parse(&row.get::<_, String>(1)?).map_err(|_| wrong(1))?;
    let bytes = |column| row.get::<_, Vec<u8>>(column);
    let hash = |column| bytes(column).and_then(|bytes| <[u8; 32]>::try_from(bytes).map_err(|_| wrong(column)));
    let (person, spki) = (bytes(4)?.into(), bytes(5)?.into());
    let user = User { name, owner: hash(2)?, session: SessionId(hash(3)?), spki };
    let range = ResumeRange { lowest: uint(row, 7)?, highest: maybe(row, 8)? };
    let (member, last) = (uint(row, 0)?, uint(row, 6)?);
    let refused = refused.remove(&member).unwrap_or_default();
    Ok(JournalRecord::Session { member: SessionNumber(member), user, person, last, refused, range })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal_with_one() -> (tempfile::TempDir, Journal, SessionNumber) {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::fresh(folder.path()).unwrap();
        let user = User {
            name: Name::parse("Mallory").unwrap(),
            owner: [1; 32],
            session: SessionId([1; 32]),
            spki: [1].into(),
        };
        let (member, person, range) = (SessionNumber(1), [1].into(), ResumeRange::default());
        journal.begin().unwrap();
        journal.keep(&JournalRecord::Session { member, user, person, last: 0, refused: Vec::new(), range }).unwrap();
        journal.commit().unwrap();
        (folder, journal, member)
    }

    #[test]
    fn of_what_was_not_taken_the_journal_keeps_no_more_than_the_hall() {
        let (folder, mut journal, member) = journal_with_one();
        for n in 1..=5_000 {
            journal.begin().unwrap();
            journal.keep(&JournalRecord::Number { member, last: n, refused: Some(ErrorCode::Absent) }).unwrap();
            journal.commit().unwrap();
        }
        drop(journal);
        let (_, kept) = Journal::open(folder.path()).unwrap();
        let Some(JournalRecord::Session { refused, .. }) = kept.first() else { panic!() };
        assert!(refused.len() <= 1_024, "{} are kept", refused.len());
    }

    #[test]
    fn what_was_written_before_sessions_had_numbers_is_given_up_and_events_are_counted_on() {
        let folder = tempfile::tempdir().unwrap();
        let before = open(&folder.path().join(FILE), &STEPS[..1]).unwrap();
        let old = "INSERT INTO session VALUES (9, 'Mallory', zeroblob(32), zeroblob(32), x'00', x'00', 0, 0, NULL);
                   INSERT INTO seat VALUES (9, 1, 1, NULL);
                   INSERT INTO room VALUES (1, '#lobby', 1);
                   INSERT INTO event VALUES (7, 1, NULL, NULL, x'00');";
        before.execute_batch(old).unwrap();
        drop(before);
        let (_, kept) = Journal::open(folder.path()).unwrap();
        assert!(matches!(kept[..], [JournalRecord::Members(0), JournalRecord::Forgotten(7)]), "{kept:?}");
    }

    #[test]
    fn whose_a_room_is_is_found_again_and_not_known_of_rooms_of_a_former_version() {
        let folder = tempfile::tempdir().unwrap();
        let before = open(&folder.path().join(FILE), &STEPS[..2]).unwrap();
        before.execute("INSERT INTO room VALUES (1, '#lab', 5)", []).unwrap();
        drop(before);
        let (mut journal, _) = Journal::open(folder.path()).unwrap();
        journal.begin().unwrap();
        let (name, opened_by) = (RoomName::parse("#den").unwrap(), Some(AccountId(7)));
        journal.keep(&JournalRecord::Room { room: RoomId(2), name, change: 1, opened_by }).unwrap();
        journal.commit().unwrap();
        drop(journal);
        let (_, kept) = Journal::open(folder.path()).unwrap();
        let rooms = kept.iter().filter_map(|kept| match kept {
            JournalRecord::Room { room, name, change, opened_by } => Some((room.0, name.as_str(), *change, *opened_by)),
            _ => None,
        });
        assert_eq!(rooms.collect::<Vec<_>>(), [(1, "#lab", 5, None), (2, "#den", 1, Some(AccountId(7)))]);
    }

    #[test]
    fn how_many_sessions_there_have_been_outlives_them() {
        let (folder, mut journal, member) = journal_with_one();
        journal.begin().unwrap();
        journal.keep(&JournalRecord::Members(3)).unwrap();
        journal.keep(&JournalRecord::SessionGone(member)).unwrap();
        journal.commit().unwrap();
        drop(journal);
        let (_, kept) = Journal::open(folder.path()).unwrap();
        assert!(matches!(kept[..], [JournalRecord::Members(3), JournalRecord::Forgotten(0)]), "{kept:?}");
    }
}
