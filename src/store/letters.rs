//! Letters that wait, on the server's disk. They stay when it stops.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};

use super::database::{DatabaseError, open};
use crate::chat::kept::{Kept, Letter};

const FILE: &str = "chat.db";
const VERSION: i32 = 1;
const SCHEMA: &str = "
    CREATE TABLE letter (
        id INTEGER PRIMARY KEY, author BLOB NOT NULL, reader BLOB NOT NULL, at INTEGER NOT NULL, bytes BLOB NOT NULL);";

/// The database of what stays.
pub struct Letters {
    path: PathBuf,
    connection: Connection,
}

impl Letters {
    /// Opens it, and gives the letters that wait, the oldest first.
    ///
    /// # Errors
    /// [`DatabaseError`] if it cannot be used.
    pub fn open(folder: &Path) -> Result<(Self, Vec<Letter>), DatabaseError> {
        let path = folder.join(FILE);
        let connection = open(&path, VERSION, SCHEMA)?;
        let failed = DatabaseError::of(&path);
        connection.pragma_update(None, "synchronous", "FULL").map_err(&failed)?;
        let letters = read(&connection).map_err(&failed)?;
        Ok((Self { path, connection }, letters))
    }

    /// Writes down what has become of letters, durably and all at once.
    ///
    /// # Errors
    /// [`DatabaseError`] if it could not.
    pub fn keep<'a>(&mut self, changes: impl Iterator<Item = &'a Kept>) -> Result<(), DatabaseError> {
        let path = &self.path;
        let write = || {
            let transaction = self.connection.transaction()?;
            for change in changes {
                match change {
                    Kept::Letter(Letter { id, author, reader, at, bytes }) => transaction.execute(
                        "INSERT OR REPLACE INTO letter VALUES (?1, ?2, ?3, ?4, ?5)",
                        params![signed(*id), author, reader, signed(*at), &**bytes],
                    )?,
                    Kept::LetterGone(id) => transaction.execute("DELETE FROM letter WHERE id = ?1", [signed(*id)])?,
                    _ => 0,
                };
            }
            transaction.commit()
        };
        write().map_err(DatabaseError::of(path))
    }
}

#[cfg(test)]
impl Letters {
    /// From now on nothing can be kept, as on a disk that is full.
    pub fn break_for_test(&self) {
        self.connection.execute_batch("DROP TABLE letter").unwrap();
    }
}

fn read(connection: &Connection) -> rusqlite::Result<Vec<Letter>> {
    let mut rows = connection.prepare("SELECT id, author, reader, at, bytes FROM letter ORDER BY id")?;
    let letters = rows.query_map([], |row| {
        let bytes: Vec<u8> = row.get(4)?;
        let (id, at) = (row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, i64>(3)?.cast_unsigned());
        Ok(Letter { id, author: row.get(1)?, reader: row.get(2)?, at, bytes: bytes.into() })
    })?;
    letters.collect()
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
