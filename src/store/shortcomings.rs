//! Abilities that the disk of a folder lacks, and what is lost with them: each is told once, as no error.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::folder_of;

/// Folders that are remembered, at most: a program has few.
const REMEMBERED: usize = 64;

/// Ability that a disk lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shortcoming {
    /// No locks on files.
    Locks,
    /// No way to make sure that the name of a new file is on the disk.
    FolderSync,
}

impl fmt::Display for Shortcoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Locks => {
                "has no locks on files: of two programs that use it at once, one can lose what the other has just \
                 written there. Run one at a time, or give another folder"
            }
            Self::FolderSync => "cannot be told to keep a new file at once: a power failure can take it away again",
        })
    }
}

/// Shortcomings of each folder's disk, and how many of them have been told.
struct Noted {
    all: Vec<(PathBuf, Shortcoming)>,
    told: usize,
}

static NOTED: Mutex<Noted> = Mutex::new(Noted { all: Vec::new(), told: 0 });
static IS_UNTOLD: AtomicBool = AtomicBool::new(false);

/// Notes that the disk of a file's folder lacks an ability.
pub(super) fn note(file: &Path, what: Shortcoming) {
    let mut noted = NOTED.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = folder_of(file);
    let is_known = noted.all.iter().any(|(path, known)| path == folder && *known == what);
    if !is_known && noted.all.len() < REMEMBERED {
        noted.all.push((folder.to_owned(), what));
        IS_UNTOLD.store(true, Ordering::Release);
    }
}

/// Takes the lines that are to be told, one for each ability of a folder's disk.
#[must_use]
pub fn take_untold() -> Vec<String> {
    // Asked often, with an answer hardly ever.
    if !IS_UNTOLD.swap(false, Ordering::Acquire) {
        return Vec::new();
    }
    let mut noted = NOTED.lock().unwrap_or_else(PoisonError::into_inner);
    let (told, all) = (noted.told, noted.all.len());
    noted.told = all;
    noted.all[told..].iter().map(|(folder, what)| format!("The disk of {} {what}.", folder.display())).collect()
}
