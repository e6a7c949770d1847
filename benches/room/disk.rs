//! What the journal is on: how long the disk takes to keep something.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use super::Outcome;
use super::measures::percentiles;

/// Bytes that are appended, and how often.
pub(crate) const PIECE: usize = 4_096;
pub(crate) const PIECES: usize = 200;

/// A file system, and what it takes to be sure that it has kept something.
pub(crate) struct Disk {
    pub(crate) file_system: String,
    /// From an append's beginning until it is on the disk: p50, p99.
    pub(crate) sync: [Duration; 2],
}

/// Appends a piece and waits for the disk, again and again, in a file of this folder.
pub(crate) fn measure(folder: &Path) -> Outcome<Disk> {
    let path = folder.join("appended");
    let mut file = File::create(&path)?;
    let mut took = Vec::with_capacity(PIECES);
    for _ in 0..PIECES {
        let start = Instant::now();
        file.write_all(&[7; PIECE])?;
        file.sync_data()?;
        took.push(start.elapsed());
    }
    fs::remove_file(&path)?;
    Ok(Disk { file_system: file_system(folder)?, sync: percentiles(took, [500, 990])? })
}

/// The kind of the file system that a folder is on.
fn file_system(folder: &Path) -> Outcome<String> {
    let folder = folder.canonicalize()?;
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let mounted = mounts.lines().filter_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        Some((fields.next()?, fields.next()?))
    });
    // Of two on the same folder the later one is seen.
    let on = mounted.filter(|(root, _)| folder.starts_with(root)).max_by_key(|(root, _)| root.len());
    Ok(on.map_or("unknown", |(_, kind)| kind).to_owned())
}
