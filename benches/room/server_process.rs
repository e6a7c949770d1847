//! The server as users run it: the release binary, in a process of its own, with its limits off. What it keeps is on the
//! disk, unless it is told otherwise.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::cpu::{self, LivingThreads, Placement};
use super::{Outcome, Setup};

/// How long it may take to make its keys, and to end.
const START: Duration = Duration::from_secs(60);
const END: Duration = Duration::from_secs(10);

/// Warnings are shown, and limits are off, unless these are among the options.
pub(crate) const LOG_LEVEL: &str = "--log-level";
pub(crate) const LIMITS: &str = "--limits";

/// A server that runs. It is ended when this is dropped, whatever has happened.
pub(crate) struct ServerProcess {
    child: Child,
    /// What it says; closed when it has ended.
    lines: Receiver<String>,
    address: SocketAddr,
}

impl ServerProcess {
    /// Starts a server that has kept nothing, with these options beside its own, and moves this thread to where the load
    /// belongs.
    pub(crate) fn start(setup: &Setup, placement: Placement, options: &[&str]) -> Outcome<Self> {
        // One that was killed has left something behind.
        match fs::remove_dir_all(data(setup)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            _ => Self::start_again(setup, placement, options),
        }
    }

    /// The same, with what the last one has left behind.
    pub(crate) fn start_again(setup: &Setup, placement: Placement, options: &[&str]) -> Outcome<Self> {
        setup.cores.start(placement, || Self::spawn(setup, options))?
    }

    fn spawn(setup: &Setup, options: &[&str]) -> Outcome<Self> {
        let unless_there = |option: &'static str, value: &'static str| {
            [option, value].into_iter().filter(move |_| !options.contains(&option))
        };
        let mut child = Command::new(env!("CARGO_BIN_EXE_server"))
            .args(["-p", "0", "--bits", "3072", "--keys"])
            .arg(&setup.keys)
            .arg("--data")
            .arg(data(setup))
            .args(unless_there(LIMITS, "off"))
            .args(unless_there(LOG_LEVEL, "warn"))
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().ok_or("its output is piped")?;
        let (said, lines) = mpsc::channel();
        let mut server = Self { child, lines, address: (Ipv4Addr::LOCALHOST, 0).into() };
        thread::Builder::new().name("server's output".into()).spawn(move || {
            let lines = BufReader::new(stdout).lines().map_while(Result::ok);
            lines.map_while(|line| said.send(line).ok()).for_each(drop);
        })?;
        let deadline = Instant::now() + START;
        while server.address.port() == 0 {
            let line = server.lines.recv_timeout(deadline.saturating_duration_since(Instant::now()))?;
            if let Some(port) = line.strip_prefix("[+] Running on port: ") {
                server.address.set_port(port.parse()?);
            }
        }
        Ok(server)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The processor time it has used.
    pub(crate) fn cpu(&self) -> Outcome<Duration> {
        Ok(cpu::of_process(self.child.id())?)
    }

    /// The same of its living threads, to the nanosecond, when those have ended that let newcomers in.
    pub(crate) fn living_threads(&self) -> Outcome<LivingThreads> {
        while cpu::has_thread(self.child.id(), "usher")? {
            thread::sleep(Duration::from_millis(50));
        }
        Ok(LivingThreads::of(self.child.id())?)
    }

    /// The memory it holds, in bytes.
    pub(crate) fn resident(&self) -> Outcome<u64> {
        Ok(cpu::resident(self.child.id())?)
    }

    /// How many threads it has, and how many mappings.
    pub(crate) fn threads_and_mappings(&self) -> Outcome<[usize; 2]> {
        Ok(cpu::threads_and_mappings(self.child.id())?)
    }

    /// What it has had written to the disk, in bytes.
    pub(crate) fn written(&self) -> Outcome<u64> {
        Ok(cpu::written(self.child.id())?)
    }

    /// Ends it without a word.
    pub(crate) fn kill(mut self) -> Outcome<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to end.
    pub(crate) fn terminate(&mut self) -> Outcome<()> {
        let mut stdin = self.child.stdin.take().ok_or("it has been asked before")?;
        Ok(stdin.write_all(b"TERMINATE\n")?)
    }

    /// Waits until it has ended, as it should.
    pub(crate) fn wait(mut self) -> Outcome<()> {
        if !self.has_closed_its_output() {
            return Err("the server did not end".into());
        }
        let status = self.child.wait()?;
        if status.success() { Ok(()) } else { Err(format!("the server failed: {status}").into()) }
    }

    fn has_closed_its_output(&self) -> bool {
        let deadline = Instant::now() + END;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return true,
                Err(RecvTimeoutError::Timeout) => return false,
            }
        }
    }
}

/// Where it keeps what it keeps.
fn data(setup: &Setup) -> PathBuf {
    setup.keys.join("data")
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // Both are no-ops for one that has ended and been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
