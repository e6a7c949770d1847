//! Things that a process inherits: the mask for the modes of its files, the limit on their size, and ignored signals.

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::fs::Mode;
use signal_hook::consts::SIGXFSZ;

/// Where Linux tells which signals are ignored, in this line.
const STATUS: &str = "/proc/self/status";
const IGNORED: &str = "SigIgn:";

/// Makes files and folders come out the same whatever the process has inherited. Called before any other thread runs.
///
/// # Errors
/// The system's error.
pub fn prepare() -> io::Result<()> {
    // Files are their owner's alone, and their owner may use them: a mask can take that away too.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    // A write beyond the limit on a file's size (`ulimit -f`) fails, as on a full disk, unless this signal ends the
    // process first. A handler that does no more than note it is enough.
    signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
    Ok(())
}

/// Those of these signals that the process was not started to ignore: `nohup`, and a shell that starts a program in the
/// background, want them to stay ignored. Where the system does not tell, these are all.
#[must_use]
pub fn heeded(signals: &[i32]) -> Vec<i32> {
    let ignored = fs::read_to_string(STATUS).ok().and_then(|status| ignored_in(&status)).unwrap_or_default();
    signals.iter().copied().filter(|signal| !is_in(ignored, *signal)).collect()
}

/// The set of ignored signals: bit 0 is signal 1.
fn ignored_in(status: &str) -> Option<u64> {
    let set = status.lines().find_map(|line| line.strip_prefix(IGNORED))?;
    u64::from_str_radix(set.trim(), 16).ok()
}

fn is_in(set: u64, signal: i32) -> bool {
    let bit = u32::try_from(signal).ok().and_then(|signal| signal.checked_sub(1));
    bit.and_then(|bit| 1_u64.checked_shl(bit)).is_some_and(|bit| set & bit != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_set_of_ignored_signals_is_read() {
        let set = ignored_in("Name:\tserver\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001003\n").unwrap();
        assert_eq!([1, 2, 3, 13, 15, 64].map(|signal| is_in(set, signal)), [true, true, false, true, false, false]);
        assert_eq!([0, -1, 65].map(|signal| is_in(u64::MAX, signal)), [false; 3]);
        assert_eq!(ignored_in("Name:\tserver\n"), None);
    }
}
