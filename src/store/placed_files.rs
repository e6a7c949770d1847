//! Files of an open database, under the names that they were opened by: what is written to a file that was taken away
//! is lost with the process.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::database::log_of;
use super::{DiskError, read_error, write_error};

/// The file of a database, and that of its log.
pub(super) struct PlacedFiles {
    files: [PlacedFile; 2],
}

struct PlacedFile {
    path: PathBuf,
    device: u64,
    inode: u64,
    /// Bytes that it had after the last commit.
    length: AtomicU64,
}

impl PlacedFiles {
    /// Those of an open database, which has been written to: only then there is a log.
    pub(super) fn of(database: &Path) -> Result<Self, DiskError> {
        Ok(Self { files: [PlacedFile::at(database.to_owned())?, PlacedFile::at(log_of(database))?] })
    }

    /// Checks that both files are still under their names.
    pub(super) fn check_names(&self) -> Result<(), DiskError> {
        self.files.iter().try_for_each(|file| file.found().map(|_| ()))
    }

    /// Checks between two commits that both files are under their names, and that neither was cut short meanwhile.
    pub(super) fn check(&self) -> Result<(), DiskError> {
        self.files.iter().try_for_each(|file| {
            if file.found()?.len() < file.length.load(Ordering::Relaxed) {
                return Err(write_error(&file.path)(io::Error::other("it was cut short")));
            }
            Ok(())
        })
    }

    /// True if the database's own file is under its name, whatever became of its log.
    pub(super) fn has_database(&self) -> bool {
        self.files[0].found().is_ok()
    }

    /// Notes how long the files are after a commit: a commit may cut the log back, and no other program may.
    pub(super) fn note_lengths(&self) {
        for file in &self.files {
            // A file that is away is found out by the next check.
            if let Ok(found) = file.found() {
                file.length.store(found.len(), Ordering::Relaxed);
            }
        }
    }
}

impl PlacedFile {
    fn at(path: PathBuf) -> Result<Self, DiskError> {
        let found = fs::metadata(&path).map_err(read_error(&path))?;
        let (device, inode, length) = (found.dev(), found.ino(), AtomicU64::new(found.len()));
        Ok(Self { path, device, inode, length })
    }

    fn found(&self) -> Result<Metadata, DiskError> {
        let error = write_error(&self.path);
        match fs::metadata(&self.path) {
            Ok(found) if (found.dev(), found.ino()) == (self.device, self.inode) => Ok(found),
            Ok(_) => Err(error(io::Error::new(io::ErrorKind::NotFound, "another file is in its place"))),
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => {
                Err(error(io::Error::new(io::ErrorKind::NotFound, "it was taken away")))
            }
            Err(other) => Err(error(other)),
        }
    }
}
