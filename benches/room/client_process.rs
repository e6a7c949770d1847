//! The client as users run it: the release binary, in a process of its own, whose standard input is a pipe.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use super::Outcome;
use super::cpu;

/// A client that runs. It is ended when this is dropped, whatever has happened.
pub(crate) struct ClientProcess {
    child: Child,
    stdin: ChildStdin,
    started: Instant,
    /// What it says, and when; closed when it has ended.
    lines: Receiver<(Instant, String)>,
    /// What it says beside the talk, for when something goes wrong.
    remarks: PathBuf,
}

impl ClientProcess {
    /// Starts a client with the keys of this folder, where this thread is.
    pub(crate) fn start(server: SocketAddr, name: &str, keys: &Path) -> Outcome<Self> {
        let remarks = keys.join("remarks");
        let mut command = Command::new(env!("CARGO_BIN_EXE_client"));
        let (host, port) = (server.ip().to_string(), server.port().to_string());
        command.args(["-s", &host, "-p", &port, "-u", name, "--keys"]).arg(keys);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(&remarks)?);
        let started = Instant::now();
        let mut child = command.spawn()?;
        let streams = child.stdin.take().zip(child.stdout.take());
        let (stdin, stdout) = streams.ok_or("its streams are piped")?;
        let (said, lines) = mpsc::channel();
        thread::Builder::new().name("client's output".into()).spawn(move || {
            let lines = BufReader::new(stdout).lines().map_while(Result::ok);
            lines.map_while(|line| said.send((Instant::now(), line)).ok()).for_each(drop);
        })?;
        Ok(Self { child, stdin, started, lines, remarks })
    }

    /// The processor time it has used: none of its threads ends before it does.
    pub(crate) fn cpu(&self) -> Outcome<Duration> {
        Ok(cpu::of_living_threads(self.child.id())?)
    }

    /// After how long it has said something, if it has by now. What it said before that is forgotten.
    pub(crate) fn has_said(&self, what: &str) -> Outcome<Option<Duration>> {
        loop {
            match self.lines.try_recv() {
                Ok((when, line)) if line.contains(what) => return Ok(Some(when - self.started)),
                Ok(_) => {}
                Err(TryRecvError::Empty) => return Ok(None),
                Err(TryRecvError::Disconnected) => {
                    return Err(format!("the client has ended: see {}", self.remarks.display()).into());
                }
            }
        }
    }

    /// Types a line.
    pub(crate) fn type_line(&mut self, line: &str) -> Outcome<()> {
        Ok(self.stdin.write_all(format!("{line}\n").as_bytes())?)
    }

    /// Whether it has ended, which must be as it should.
    pub(crate) fn has_ended(&mut self) -> Outcome<bool> {
        match self.child.try_wait()? {
            None => Ok(false),
            Some(status) if status.success() => Ok(true),
            Some(status) => Err(format!("the client failed: {status}: see {}", self.remarks.display()).into()),
        }
    }
}

impl Drop for ClientProcess {
    fn drop(&mut self) {
        // Both are no-ops for one that has ended and been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
