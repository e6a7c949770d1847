//! Files that are made: once, whole or not at all, for their owner alone; on any disk.
//!
//! Disks differ in what they can do (exFAT has no hard links, network disks may have no locks), and say so with errors
//! of many kinds. So each way is tried, and the next one when it fails for whatever reason.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::shortcomings::{Shortcoming, note};
use super::{DiskError, folder_of, write_error};

/// Outcome of [`create_new`] and [`create_empty`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Created {
    Made,
    WasThere,
}

/// Makes a file with this content, durably and all at once, unless one of that name is there.
pub(super) fn create_new(path: &Path, content: &[u8], mode: u32) -> Result<Created, DiskError> {
    let mut draft_name = path.file_name().unwrap_or_default().to_owned();
    draft_name.push(format!(".{}.{:?}.tmp", std::process::id(), std::thread::current().id()));
    let draft = folder_of(path).join(draft_name);
    let placed = write_draft(&draft, content, mode).and_then(|()| place(&draft, path));
    let _ = fs::remove_file(&draft);
    match placed {
        Ok(()) => {
            sync_folder_of(path)?;
            Ok(Created::Made)
        }
        Err(DiskError::Write { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => Ok(Created::WasThere),
        Err(DiskError::Write { source, .. }) => Err(write_error(path)(source)),
        Err(other) => Err(other),
    }
}

/// Gives a finished draft its name: it appears whole, and this fails if the name is taken.
fn place(draft: &Path, path: &Path) -> Result<(), DiskError> {
    let is_settled = |placed: &io::Result<()>| match placed {
        Ok(()) => true,
        Err(error) => error.kind() == io::ErrorKind::AlreadyExists,
    };
    let mut placed = fs::hard_link(draft, path);
    if !is_settled(&placed) {
        placed = renameat_with(CWD, draft, CWD, path, RenameFlags::NOREPLACE).map_err(io::Error::from);
    }
    if !is_settled(&placed) {
        placed = rename_in_turn(draft, path);
    }
    placed.map_err(write_error(path))
}

/// Renames a draft unless the name is taken. Programs that do this in one folder take turns.
fn rename_in_turn(draft: &Path, path: &Path) -> io::Result<()> {
    let folder = File::open(folder_of(path))?;
    if folder.lock().is_err() {
        note(path, Shortcoming::Locks);
    }
    match fs::symlink_metadata(path) {
        Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => fs::rename(draft, path),
        Err(error) => Err(error),
    }
}

/// Writes a draft, durably. One that others could read though they may not is refused, and removed again.
pub(super) fn write_draft(draft: &Path, content: &[u8], mode: u32) -> Result<(), DiskError> {
    // A file left behind by a crash has no owner.
    let _ = fs::remove_file(draft);
    let written = try_write(draft, content, mode);
    if written.is_err() {
        let _ = fs::remove_file(draft);
    }
    written
}

fn try_write(draft: &Path, content: &[u8], mode: u32) -> Result<(), DiskError> {
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(mode).open(draft).map_err(write_error(draft))?;
    set_mode(&file, draft, mode)?;
    file.write_all(content).and_then(|()| sync(&file)).map_err(write_error(draft))
}

/// Makes an empty file for its owner alone, unless one of that name is there. Gives whether it is new.
pub(super) fn create_empty(path: &Path) -> Result<Created, DiskError> {
    let file = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(Created::WasThere),
        made => made.map_err(write_error(path))?,
    };
    if let Err(refused) = set_mode(&file, path, 0o600) {
        let _ = fs::remove_file(path);
        return Err(refused);
    }
    sync_folder_of(path)?;
    Ok(Created::Made)
}

/// Gives a new file its mode under every umask. A disk may have no modes: what it has instead is looked at.
fn set_mode(file: &File, path: &Path, mode: u32) -> Result<(), DiskError> {
    let _ = file.set_permissions(Permissions::from_mode(mode));
    let found = file.metadata().map_err(write_error(path))?.permissions().mode() & 0o777;
    if mode & 0o077 == 0 && found & 0o077 != 0 {
        return Err(DiskError::NoModes { path: folder_of(path).to_owned(), mode: found });
    }
    Ok(())
}

/// Waits until a file's content is on its disk, if that can be waited for.
pub(super) fn sync(file: &File) -> io::Result<()> {
    match file.sync_all() {
        Err(error) if is_unable(&error) => Ok(()),
        synced => synced,
    }
}

/// Makes sure that a file that was just made is found there after a crash.
pub(super) fn sync_folder_of(path: &Path) -> Result<(), DiskError> {
    let synced = File::open(folder_of(path)).and_then(|folder| folder.sync_all());
    match synced {
        Err(error) if is_unable(&error) => {
            note(path, Shortcoming::FolderSync);
            Ok(())
        }
        synced => synced.map_err(write_error(path)),
    }
}

/// True if a disk lacks the ability that was asked for.
fn is_unable(error: &io::Error) -> bool {
    let unable = [Errno::INVAL, Errno::NOTSUP, Errno::NOSYS, Errno::NOTTY];
    Errno::from_io_error(error).is_some_and(|errno| unable.contains(&errno))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_placed_once_in_either_way() {
        let folder = tempfile::tempdir().unwrap();
        let (draft, path) = (folder.path().join("draft"), folder.path().join("file"));
        let ways: [fn(&Path, &Path) -> io::Result<()>; 2] =
            [rename_in_turn, |draft, path| place(draft, path).map_err(io::Error::other)];
        for way in ways {
            fs::write(&draft, "first").unwrap();
            way(&draft, &path).unwrap();
            // The draft's name may be one of the same file still.
            let _ = fs::remove_file(&draft);
            fs::write(&draft, "second").unwrap();
            assert!(way(&draft, &path).is_err());
            assert_eq!(fs::read_to_string(&path).unwrap(), "first");
            fs::remove_file(&path).unwrap();
        }
    }
}
