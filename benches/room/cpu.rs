//! What a process or a thread has used, as the kernel counts it, and which cores it may use.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::time::Duration;

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

/// The cores that this process may use, and which of them are whose.
#[derive(Clone, Debug)]
pub(crate) struct Cores {
    allowed: Vec<usize>,
}

/// Where the server and the load run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    /// The server on the first core, the load on the second: neither disturbs the other.
    Pinned,
    /// Both on all cores.
    Free,
}

impl Cores {
    /// What this process may use now.
    pub(crate) fn find() -> io::Result<Self> {
        let set = sched_getaffinity(None)?;
        Ok(Self { allowed: (0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect() })
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.allowed.len()
    }

    /// Moves this thread, and what it starts from now on, to where the server belongs.
    pub(crate) fn as_server(&self, placement: Placement) -> io::Result<()> {
        self.move_to(placement, 0)
    }

    /// Moves this thread, and what it starts from now on, to where the load belongs.
    pub(crate) fn as_load(&self, placement: Placement) -> io::Result<()> {
        self.move_to(placement, 1)
    }

    /// Starts a server where it belongs, which is where it stays, and moves this thread to where the load does.
    pub(crate) fn start<T>(&self, placement: Placement, start: impl FnOnce() -> T) -> io::Result<T> {
        self.as_server(placement)?;
        let started = start();
        self.as_load(placement)?;
        Ok(started)
    }

    /// In words, for the tables.
    pub(crate) fn words(&self, placement: Placement) -> String {
        match (placement, &self.allowed[..]) {
            (Placement::Pinned, [server, load, ..]) => format!("server on core {server}, load on core {load}"),
            (Placement::Pinned, _) => "one core for both: not pinned".into(),
            (Placement::Free, all) => format!("{} cores for both", all.len()),
        }
    }

    fn move_to(&self, placement: Placement, which: usize) -> io::Result<()> {
        let chosen = match (placement, &self.allowed[..]) {
            (Placement::Pinned, [_, _, ..]) => &self.allowed[which..=which],
            (_, all) => all,
        };
        let mut set = CpuSet::new();
        for core in chosen {
            set.set(*core);
        }
        Ok(sched_setaffinity(None, &set)?)
    }
}

/// The processor time, user and system, that a process has used, its ended threads included.
pub(crate) fn of_process(id: u32) -> io::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
    // The command's name, in parentheses, may hold anything. After it come fields 3 and on; 14 and 15 are wanted.
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest.split_ascii_whitespace().skip(11));
    let ticks: Option<u64> = fields.and_then(|mut fields| {
        let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        Some(user + system)
    });
    let ticks = ticks.ok_or(io::ErrorKind::InvalidData)?;
    Ok(Duration::from_nanos(ticks * (1_000_000_000 / clock_ticks_per_second())))
}

/// The processor time that each of a process's living threads has used: to the nanosecond, where [`of_process`] knows
/// hundredths of a second.
pub(crate) struct LivingThreads {
    process: u32,
    each: HashMap<OsString, Duration>,
}

impl LivingThreads {
    pub(crate) fn of(process: u32) -> io::Result<Self> {
        let mut each = HashMap::new();
        for thread in fs::read_dir(format!("/proc/{process}/task"))? {
            let thread = thread?;
            let schedstat = match fs::read_to_string(thread.path().join("schedstat")) {
                // One that has just ended.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                read => read?,
            };
            let nanoseconds = schedstat.split_ascii_whitespace().next().and_then(|number| number.parse().ok());
            each.insert(thread.file_name(), Duration::from_nanos(nanoseconds.ok_or(io::ErrorKind::InvalidData)?));
        }
        Ok(Self { process, each })
    }

    /// What they have used since then, and those that have begun since. It cannot be told if one has ended.
    pub(crate) fn used_since(&self) -> io::Result<Duration> {
        let now = Self::of(self.process)?;
        if self.each.keys().any(|thread| !now.each.contains_key(thread)) {
            return Err(io::Error::other("a thread has ended, and nobody knows what it had used"));
        }
        Ok(now.in_all().saturating_sub(self.in_all()))
    }

    /// What all of them have used.
    pub(crate) fn in_all(&self) -> Duration {
        self.each.values().sum()
    }
}

/// Whether a process has a thread of this name.
pub(crate) fn has_thread(process: u32, name: &str) -> io::Result<bool> {
    let names = fs::read_dir(format!("/proc/{process}/task"))?.flatten().map(|thread| thread.path().join("comm"));
    // One that cannot be read has just ended.
    Ok(names.filter_map(|comm| fs::read_to_string(comm).ok()).any(|comm| comm.trim_end() == name))
}

/// The processor time that this thread has used.
pub(crate) fn of_this_thread() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap_or_default()
}

/// The memory of a process that is in RAM, in bytes.
pub(crate) fn resident(id: u32) -> io::Result<u64> {
    kib_of(&format!("/proc/{id}/status"), "VmRSS:")
}

/// What the kernel holds for the stacks of all threads of this machine, in bytes: no process's memory has that.
pub(crate) fn held_for_stacks() -> io::Result<u64> {
    kib_of("/proc/meminfo", "KernelStack:")
}

/// What such a file says of this, which is in KiB there, in bytes.
fn kib_of(path: &str, what: &str) -> io::Result<u64> {
    let status = fs::read_to_string(path)?;
    let kib = status.lines().find_map(|line| line.strip_prefix(what)?.trim().strip_suffix("kB"));
    let kib: Option<u64> = kib.and_then(|number| number.trim().parse().ok());
    Ok(kib.ok_or(io::ErrorKind::InvalidData)? * 1_024)
}

/// How many threads a process has, and how many mappings: the system bounds both.
pub(crate) fn threads_and_mappings(id: u32) -> io::Result<[usize; 2]> {
    let mappings = fs::read_to_string(format!("/proc/{id}/maps"))?;
    Ok([fs::read_dir(format!("/proc/{id}/task"))?.count(), mappings.lines().count()])
}

/// What a process has had written to the disk, in bytes.
pub(crate) fn written(id: u32) -> io::Result<u64> {
    let counts = fs::read_to_string(format!("/proc/{id}/io"))?;
    let written = counts.lines().find_map(|line| line.strip_prefix("write_bytes:")?.trim().parse().ok());
    Ok(written.ok_or(io::ErrorKind::InvalidData)?)
}

/// What the kernel holds for all TCP connections of this machine, in bytes.
pub(crate) fn held_for_tcp() -> io::Result<u64> {
    let counts = fs::read_to_string("/proc/net/sockstat")?;
    let tcp = counts.lines().find_map(|line| line.strip_prefix("TCP:")?.split_once(" mem ")?.1.trim().parse().ok());
    let pages: u64 = tcp.ok_or(io::ErrorKind::InvalidData)?;
    Ok(pages * page_size() as u64)
}

/// Lets this process, and those it starts, open as many files as the system lets it.
pub(crate) fn raise_open_files() -> io::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

/// The machine, in a line.
pub(crate) fn machine(cores: &Cores) -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let model = read("/proc/cpuinfo")
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.trim().to_owned()))
        .unwrap_or_else(|| std::env::consts::ARCH.into());
    let congestion = read("/proc/sys/net/ipv4/tcp_congestion_control");
    let (kernel, tcp) = (read("/proc/sys/kernel/osrelease"), congestion.trim());
    format!("{model}, {} cores, Linux {}, TCP congestion control {tcp}", cores.count(), kernel.trim())
}
