//! Letters that wait, on the server's disk. They stay when it stops.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};

use super::database::{DatabaseError, number, open, uint};
use super::{read_error, write_error};
use crate::chat::lasting::{Lasting, Letter};

const FILE: &str = "chat.db";
const VERSION: i32 = 1;
const SCHEMA: &str = "
    CREATE TABLE letter (
        id INTEGER PRIMARY KEY, author BLOB NOT NULL, reader BLOB NOT NULL, at INTEGER NOT NULL, bytes BLOB NOT NULL);";

/// The database of what stays.
pub struct Letters {
    path: PathBuf,
    /// The file that is found under that name as long as nobody takes it away.
    inode: u64,
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
        let inode = std::fs::metadata(&path).map_err(read_error(&path))?.ino();
        Ok((Self { path, inode, connection }, letters))
    }

    /// Writes down what has become of letters, durably and all at once.
    ///
    /// # Errors
    /// [`DatabaseError`] if it could not; a file that was taken away keeps nothing.
    pub fn keep<'a>(&mut self, changes: impl Iterator<Item = &'a Lasting>) -> Result<(), DatabaseError> {
        let path = &self.path;
        if std::fs::metadata(path).map_err(read_error(path))?.ino() != self.inode {
            return Err(
                write_error(path)(io::Error::new(io::ErrorKind::NotFound, "another file is in its place")).into()
            );
        }
        let write = || {
            let transaction = self.connection.transaction()?;
            for change in changes {
                match change {
                    Lasting::Letter(Letter { id, author, reader, at, bytes }) => transaction.execute(
                        "INSERT OR REPLACE INTO letter VALUES (?1, ?2, ?3, ?4, ?5)",
                        params![number(*id), author, reader, number(*at), &**bytes],
                    )?,
                    Lasting::LetterGone(id) => {
                        transaction.execute("DELETE FROM letter WHERE id = ?1", [number(*id)])?
                    }
                    _ => 0,
                };
            }
            transaction.commit()
        };
        write().map_err(DatabaseError::of(path))
    }
}

fn read(connection: &Connection) -> rusqlite::Result<Vec<Letter>> {
    let mut rows = connection.prepare("SELECT id, author, reader, at, bytes FROM letter ORDER BY id")?;
    let letters = rows.query_map([], |row| {
        let bytes: Vec<u8> = row.get(4)?;
        let (id, at) = (uint(row, 0)?, uint(row, 3)?);
        Ok(Letter { id, author: row.get(1)?, reader: row.get(2)?, at, bytes: bytes.into() })
    })?;
    letters.collect()
}
