//! Threads of connections: how many the system bears, and that there are no more.
//!
//! The system refuses a connection too many with an error, but not always a thread: one that starts and gets no memory
//! mapping for its signal stack ends the whole process. So the bound is computed before, from all that bounds it.

use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;

use rustix::process::{Resource, geteuid, getrlimit};

use super::STACK;

/// Mappings of a thread: its stack and its signal stack, each with a guard.
const MAPS_EACH: u64 = 4;
/// Address space of a thread, in bytes: its stack, its signal stack, and their guards.
const SPACE_EACH: u64 = STACK as u64 + 64 * 1_024;
/// Address space that glibc's allocator reserves for an arena, in bytes, and the most arenas of each core.
const ARENA: u64 = 64 * 1_024 * 1_024;
const ARENAS_EACH_CORE: u64 = 8;
/// Descriptors that are kept for files and the listeners, at most.
const FILES_KEPT: u64 = 32;
/// Share that is left to the rest of the process, and to others: an eighth of each limit.
const SHARE_KEPT: u64 = 8;

/// Threads of the server besides those of connections and one a core.
const OWN_THREADS: u64 = 12;
/// Fewer than these are told of at the start.
const FEW: usize = 512;

/// One limit of the system: what it bounds, how much of it is free, and how much a connection takes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct SystemLimit {
    name: &'static str,
    free: u64,
    each: u64,
}

impl SystemLimit {
    /// A limit of `most`, of which `used` are gone, and a share is kept.
    fn new(name: &'static str, most: u64, used: u64, kept: u64, each: u64) -> Self {
        Self { name, free: most.saturating_sub(used).saturating_sub(kept), each }
    }

    /// The same, with the usual share kept.
    fn shared(name: &'static str, most: u64, used: u64, each: u64) -> Self {
        Self::new(name, most, used, most / SHARE_KEPT, each)
    }
}

/// Bound on the threads of connections.
#[derive(Debug)]
pub(super) struct ThreadBudget {
    most: usize,
    /// The limit that bounds them.
    name: &'static str,
    taken: Arc<AtomicUsize>,
}

/// A place in the budget, until it is dropped.
#[derive(Debug)]
pub(super) struct ThreadPermit(Arc<AtomicUsize>);

impl Drop for ThreadPermit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl ThreadBudget {
    /// Reads what the system bears now.
    pub(super) fn of_system() -> Self {
        Self::within(&limits())
    }

    fn within(limits: &[SystemLimit]) -> Self {
        let most = |limit: &SystemLimit| usize::try_from(limit.free / limit.each).unwrap_or(usize::MAX);
        let tightest = limits.iter().min_by_key(|limit| most(limit));
        // One connection is tried in any case: an operator can come in.
        let (most, name) = tightest.map_or((usize::MAX, "none"), |limit| (most(limit).max(1), limit.name));
        Self { most, name, taken: Arc::default() }
    }

    /// Takes a place, if one is free.
    pub(super) fn take(&self) -> Option<ThreadPermit> {
        let more = |taken: usize| (taken < self.most).then_some(taken + 1);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(ThreadPermit(self.taken.clone()))
    }

    /// True if an operator may want to know how few there are.
    pub(super) fn is_scant(&self) -> bool {
        self.most < FEW
    }

    /// True if no place is free.
    pub(super) fn is_spent(&self) -> bool {
        self.taken.load(Ordering::Relaxed) >= self.most
    }
}

impl fmt::Display for ThreadBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} connections at once, as {} has it", self.most, self.name)
    }
}

/// The limits that the system tells of. A limit that cannot be read sets no bound.
fn limits() -> Vec<SystemLimit> {
    let mut all = Vec::new();
    let cores = available_parallelism().map_or(1, |cores| cores.get() as u64);
    // The server's own threads are yet to start.
    let own = cores + OWN_THREADS;
    let rlimit = |resource| getrlimit(resource).current;
    if let Some(most) = number_in("/proc/sys/vm/max_map_count") {
        let used = fs::read_to_string("/proc/self/maps").map_or(0, |maps| maps.lines().count() as u64);
        all.push(SystemLimit::shared("vm.max_map_count", most, used + own * MAPS_EACH, MAPS_EACH));
    }
    if let Some(most) = rlimit(Resource::Nofile) {
        let used = fs::read_dir("/proc/self/fd").map_or(FILES_KEPT, |open| open.count() as u64);
        all.push(SystemLimit::new("RLIMIT_NOFILE", most, used, FILES_KEPT.min(most / 4), 1));
    }
    let threads = fs::read_to_string("/proc/loadavg").ok().and_then(|load| threads_in(&load)).unwrap_or_default();
    for (name, path) in [("threads-max", "/proc/sys/kernel/threads-max"), ("pid_max", "/proc/sys/kernel/pid_max")] {
        if let Some(most) = number_in(path) {
            all.push(SystemLimit::shared(name, most, threads + own, 1));
        }
    }
    // Root has as many as the system has.
    if let Some(most) = rlimit(Resource::Nproc).filter(|_| !geteuid().is_root()) {
        all.push(SystemLimit::shared("RLIMIT_NPROC", most, threads_of_user() + own, 1));
    }
    if let Some(most) = rlimit(Resource::As) {
        let used = status_kib("VmSize:").unwrap_or_default() * 1_024;
        let free = threads_in_space(most.saturating_sub(used).saturating_sub(most / SHARE_KEPT), cores);
        all.push(SystemLimit { name: "RLIMIT_AS", free, each: 1 });
    }
    if number_in("/proc/sys/vm/overcommit_memory") == Some(2) {
        let kib = |key| fs::read_to_string("/proc/meminfo").ok().and_then(|info| kib_in(&info, key));
        if let (Some(most), Some(used)) = (kib("CommitLimit:"), kib("Committed_AS:")) {
            all.push(SystemLimit::shared("CommitLimit", most * 1_024, used * 1_024, SPACE_EACH));
        }
    }
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    all.extend(group_folders(&groups).iter().filter_map(|folder| group_limit(Path::new(folder), own)));
    all
}

/// Threads that so much address space is enough for. The allocator reserves an arena for each of the first ones.
fn threads_in_space(free: u64, cores: u64) -> u64 {
    let arenas = ARENAS_EACH_CORE * cores * ARENA;
    if free > arenas + arenas / 8 { (free - arenas) / SPACE_EACH } else { free / (ARENA + SPACE_EACH) }
}

/// Where the process' control groups are that may bound its threads: of each kind with all above it.
fn group_folders(groups: &str) -> Vec<String> {
    let mut folders = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(kinds), Some(path)) = (parts.next(), parts.next()) else { continue };
        let root = match kinds {
            "" => "/sys/fs/cgroup",
            kinds if kinds.split(',').any(|kind| kind == "pids") => "/sys/fs/cgroup/pids",
            _ => continue,
        };
        let mut path = path.trim_end_matches('/');
        loop {
            folders.push(format!("{root}{path}"));
            let Some((above, _)) = path.rsplit_once('/') else { break };
            path = above;
        }
    }
    folders
}

fn group_limit(folder: &Path, own: u64) -> Option<SystemLimit> {
    let number = |name: &str| fs::read_to_string(folder.join(name)).ok()?.trim().parse().ok();
    // Without a limit it says "max".
    let most = number("pids.max")?;
    let used = number("pids.current").unwrap_or_default() + own;
    Some(SystemLimit::shared("the control group's pids.max", most, used, 1))
}

/// All threads of this user, as far as they can be seen.
fn threads_of_user() -> u64 {
    let Ok(processes) = fs::read_dir("/proc") else { return 0 };
    let own = geteuid().as_raw().to_string();
    let count = |status: String| {
        let word = |key| status.lines().find_map(|line| line.strip_prefix(key)?.split_whitespace().next());
        (word("Uid:") == Some(&*own)).then(|| word("Threads:")?.parse::<u64>().ok()).flatten()
    };
    let statuses = processes.flatten().map(|process| process.path().join("status"));
    statuses.filter_map(|path| fs::read_to_string(path).ok()).filter_map(count).sum()
}

fn status_kib(key: &str) -> Option<u64> {
    kib_in(&fs::read_to_string("/proc/self/status").ok()?, key)
}

/// A number of KiB behind its key.
fn kib_in(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}

/// All threads of the system: the fourth word is `running/all`.
fn threads_in(load: &str) -> Option<u64> {
    load.split(' ').nth(3)?.split_once('/')?.1.parse().ok()
}

fn number_in(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tightest_limit_bounds_and_a_place_comes_back() {
        let maps = SystemLimit::shared("maps", 800, 100, MAPS_EACH);
        let files = SystemLimit::new("files", 100, 60, 38, 1);
        let budget = ThreadBudget::within(&[maps.clone(), files]);
        assert_eq!(budget.to_string(), "2 connections at once, as files has it");
        let (first, _second) = (budget.take(), budget.take());
        assert!(first.is_some() && budget.is_spent() && budget.take().is_none());
        drop(first);
        assert!(!budget.is_spent() && budget.take().is_some());
        assert_eq!(ThreadBudget::within(&[maps]).most, 150);
        assert_eq!(ThreadBudget::within(&[SystemLimit::shared("full", 10, 20, 1)]).most, 1);
        assert_eq!(ThreadBudget::within(&[]).most, usize::MAX);
        assert_eq!([0, ARENA + SPACE_EACH, 100 * ARENA].map(|free| threads_in_space(free, 1)), [0, 1, 92 * 1_024 / 5]);
    }

    #[test]
    fn what_the_system_tells_is_read() {
        assert_eq!(threads_in("9.84 7.85 4.79 8/209 31977\n"), Some(209));
        assert_eq!(kib_in("VmPeak:\t 9 kB\nVmSize:\t    8584 kB\n", "VmSize:"), Some(8_584));
        let groups = "9:name=systemd:/a\n8:pids:/x/y\n4:memory:/m\n0::/\n";
        let folders = ["/sys/fs/cgroup/pids/x/y", "/sys/fs/cgroup/pids/x", "/sys/fs/cgroup/pids", "/sys/fs/cgroup"];
        assert_eq!(group_folders(groups), folders);
        assert_eq!(group_folders("0::/system.slice/chat.service\n").len(), 3);
        let limits = limits();
        assert!(!limits.is_empty() && limits.iter().all(|limit| limit.each > 0), "{limits:?}");
    }
}
