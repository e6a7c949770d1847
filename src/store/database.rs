//! SQLite files of one server: private, of one schema version, and locked while it runs.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OpenFlags, Row};
use rustix::fs::{Access, FlockOperation, access, fcntl_lock};
use rustix::io::Errno;

use super::new_file::{Created, create_empty};
use super::{DiskError, look_at_folder, make_private_folder, quoted, read_error, refuse_exposed, write_error};

const NOT_WRITTEN: &str =
    "is there room on that disk, and may this user write there? Another folder can be given with --data";

/// Of each file SQLite holds so much in memory: with a minus sign, in KiB. It is written far more than it is read.
const HELD: i32 = -512;
/// Marks a file as ours: "cfbc".
const APPLICATION: i32 = 0x6366_6263;

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The file, or its folder.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Another process has it open.
    #[error("{path} is in use by another program")]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// Its disk has no locks, which keep a second server away.
    #[error("{path} cannot be locked: {source}")]
    NoLocks {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// It is of a later version of this program.
    #[error("{path} was written by a newer version of this program (schema {found}, this one knows {known})")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i32,
        /// The latest that is known.
        known: i32,
    },
    /// It is no such database.
    #[error("{path} is no database of a chat server")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Its contents are inconsistent.
    #[error("{path} is damaged: {why}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The damage.
        why: String,
    },
    /// SQLite, or the system under it.
    #[error("cannot use {path}: {source}")]
    Failed {
        /// The file.
        path: PathBuf,
        /// SQLite's error.
        source: rusqlite::Error,
    },
}

impl DatabaseError {
    /// Returns a remedy for the operator.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Disk(error) => error.hint().or_else(|| Some(NOT_WRITTEN.into())),
            Self::InUse { .. } => {
                Some("another server runs there: stop it, or give this one a folder of its own with --data".into())
            }
            Self::NoLocks { .. } => Some("its disk has no locks: give a folder on another disk with --data".into()),
            Self::Newer { .. } => Some("run the newer program, or give this one another folder with --data".into()),
            Self::Foreign { .. } => Some("give another folder with --data".into()),
            Self::Damaged { path, .. } => Some(format!(
                "put a copy back, or move it away ({} and what begins so) to start without what it holds",
                quoted(path)
            )),
            Self::Failed { .. } => Some(NOT_WRITTEN.into()),
        }
    }

    /// Names the file in what SQLite says.
    pub(super) fn of(path: &Path) -> impl Fn(rusqlite::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| {
            let path = path.clone();
            match source.sqlite_error_code() {
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::InUse { path },
                // Without a code it is what a row holds that is none of ours.
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::Unknown) | None => {
                    Self::Damaged { path, why: source.to_string() }
                }
                Some(ErrorCode::NotADatabase) => Self::Foreign { path },
                _ => Self::Failed { path, source },
            }
        }
    }
}

/// Opens a database, or makes it. Its version is how many `steps` have made it; one that is older is brought up to the
/// latest, all at once. From now on no other process can open it.
pub(super) fn open(path: &Path, steps: &[&str]) -> Result<Connection, DatabaseError> {
    make_private_folder(super::folder_of(path))?;
    // What it opens is closed before SQLite locks it: closing any descriptor of a file ends all locks that a process has.
    if create_empty(path)? == Created::WasThere {
        refuse_exposed(path)?;
        // SQLite would read it all the same, and report little more than a failure.
        access(path, Access::WRITE_OK).map_err(|error| write_error(path)(error.into()))?;
    }
    check_locks(path)?;
    let failed = DatabaseError::of(path);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(as_file_name(path), flags).map_err(&failed)?;
    connection.busy_timeout(std::time::Duration::ZERO).map_err(&failed)?;
    // Exclusive before the first read: its index is then in memory, and a second server fails at once. Most other
    // settings, the size of the cache too, read the schema.
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE").map_err(&failed)?;
    connection.pragma_update(None, "cache_size", HELD).map_err(&failed)?;
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0)).map_err(&failed);
    let (application, found) = (pragma("application_id")?, pragma("user_version")?);
    let is_empty = connection.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get::<_, i64>(0));
    let version = i32::try_from(steps.len()).unwrap_or(i32::MAX);
    // Foreign content stays as it is.
    let done = match (application, found) {
        (0, 0) if is_empty.map_err(&failed)? == 0 => 0,
        (APPLICATION, 1..) if found > version => {
            return Err(DatabaseError::Newer { path: path.to_owned(), found, known: version });
        }
        (APPLICATION, 1..) => usize::try_from(found).unwrap_or_default(),
        _ => return Err(DatabaseError::Foreign { path: path.to_owned() }),
    };
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)).map_err(&failed)?;
    if mode != "wal" {
        return Err(DatabaseError::Damaged { path: path.to_owned(), why: format!("journal mode {mode}") });
    }
    if done > 0 {
        // A write, so that a second server does not get as far as believing that it has it.
        connection.execute_batch("BEGIN IMMEDIATE; COMMIT").map_err(&failed)?;
        let why: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(&failed)?;
        if why != "ok" {
            return Err(DatabaseError::Damaged { path: path.to_owned(), why });
        }
    }
    if done < steps.len() {
        let transaction = connection.transaction().map_err(&failed)?;
        steps[done..].iter().try_for_each(|step| transaction.execute_batch(step)).map_err(&failed)?;
        transaction.pragma_update(None, "application_id", APPLICATION).map_err(&failed)?;
        transaction.pragma_update(None, "user_version", version).map_err(&failed)?;
        transaction.commit().map_err(&failed)?;
    }
    Ok(connection)
}

/// Checks that the databases of a folder are usable, as far as they exist. Makes, opens and changes no file.
///
/// # Errors
/// [`DatabaseError`] as it would be said then.
pub fn look(folder: &Path) -> Result<(), DatabaseError> {
    look_at_folder(folder)?;
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(());
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.extension().is_some_and(|extension| extension == "db") {
            refuse_exposed(&path)?;
            access(&path, Access::READ_OK | Access::WRITE_OK).map_err(|error| write_error(&path)(error.into()))?;
        }
    }
    Ok(())
}

/// Checks that the disk has locks: without them SQLite reports a database that is in use.
fn check_locks(path: &Path) -> Result<(), DatabaseError> {
    let file = File::open(path).map_err(read_error(path))?;
    match fcntl_lock(&file, FlockOperation::NonBlockingLockShared) {
        // Where another program has it locked, SQLite tells that.
        Ok(()) | Err(Errno::AGAIN | Errno::ACCESS | Errno::INTR) => Ok(()),
        Err(error) => Err(DatabaseError::NoLocks { path: path.to_owned(), source: error.into() }),
    }
}

/// A path that SQLite takes as one. It is built to take what begins with `file:` as a URI, without being asked for that.
fn as_file_name(path: &Path) -> PathBuf {
    if path.is_absolute() { path.to_owned() } else { Path::new(".").join(path) }
}

/// A database's file that what is written goes to first.
pub(super) fn log_of(path: &Path) -> PathBuf {
    beside(path, "-wal")
}

/// Takes a database away, with all that belongs to it. What is not there is no error.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    for file in [path.to_owned(), log_of(path), beside(path, "-shm")] {
        match fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// As SQLite has numbers: no server gives out so many.
pub(super) fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// And back.
pub(super) fn uint(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    u64::try_from(row.get::<_, i64>(column)?).map_err(|_| wrong(column))
}

/// The same of a column that may be empty.
pub(super) fn maybe(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<u64>> {
    row.get::<_, Option<i64>>(column)?.map(|value| u64::try_from(value).map_err(|_| wrong(column))).transpose()
}

/// A column holds a value that this program never writes there.
pub(super) fn wrong(column: usize) -> rusqlite::Error {
    rusqlite::Error::IntegralValueOutOfRange(column, 0)
}
