//! The client as users run it: the release binary, in a process of its own, with pipes or a pseudo-terminal.

use std::fs::File;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::Outcome;
use super::cpu::{self, LivingThreads};

/// A client that runs. It is ended when this is dropped, whatever has happened.
pub(crate) struct ClientProcess {
    child: Child,
    input: Box<dyn Write>,
    /// What ends a line there.
    enter: char,
    started: Instant,
    /// What it says, and when; closed when it has ended.
    lines: Receiver<(Instant, String)>,
    /// What it says beside the talk, for when something goes wrong; on a terminal that is among its lines.
    remarks: PathBuf,
}

/// Where a client's lines come from, and its own go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Console {
    /// Pipes, as scripts have them.
    Pipes,
    /// A terminal, whose other end takes everything at once.
    Terminal,
}

impl ClientProcess {
    /// Starts a client with the keys of this folder, where this thread is.
    pub(crate) fn start(server: SocketAddr, name: &str, keys: &Path, console: Console) -> Outcome<Self> {
        let remarks = keys.join("remarks");
        let mut command = Command::new(env!("CARGO_BIN_EXE_client"));
        let (host, port) = (server.ip().to_string(), server.port().to_string());
        command.args(["-s", &host, "-p", &port, "-u", name, "--keys"]).arg(keys);
        command.env("TERM", "xterm-256color");
        let (said, lines) = mpsc::channel();
        let read = thread::Builder::new().name("client's output".into());
        match console {
            Console::Pipes => {
                command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(&remarks)?);
                let started = Instant::now();
                let mut child = command.spawn()?;
                let streams = child.stdin.take().zip(child.stdout.take());
                let (input, output) = streams.ok_or("its streams are piped")?;
                read.spawn(move || read_lines(output, console, &said))?;
                Ok(Self { child, input: Box::new(input), enter: '\n', started, lines, remarks })
            }
            Console::Terminal => {
                let (ours, theirs) = terminal()?;
                command.stdin(theirs.try_clone()?).stdout(theirs.try_clone()?).stderr(theirs);
                let started = Instant::now();
                let child = command.spawn()?;
                // Its end of the terminal is to be its alone.
                drop(command);
                let output = ours.try_clone()?;
                read.spawn(move || read_lines(output, console, &said))?;
                Ok(Self { child, input: Box::new(ours), enter: '\r', started, lines, remarks })
            }
        }
    }

    /// The processor time it has used, in hundredths of a second: who comes into a crowd has threads that end.
    pub(crate) fn cpu_of_all_threads(&self) -> Outcome<Duration> {
        Ok(cpu::of_process(self.child.id())?)
    }

    /// What its living threads have used. Once it has looked who is there, none ends before it does.
    pub(crate) fn living_threads(&self) -> Outcome<LivingThreads> {
        Ok(LivingThreads::of(self.child.id())?)
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

    /// How many lines with this in them it has said since it was last asked, and forgets them. Nothing that it says for
    /// the user alone may be among them.
    pub(crate) fn count_said(&self, what: &str) -> Outcome<u64> {
        let mut count = 0;
        loop {
            match self.lines.try_recv() {
                Ok((_, line)) if line.contains(what) => count += 1,
                Ok((_, line)) if line.contains("[!]") && !line.contains("[!] In #lobby: ") => {
                    return Err(format!("the client says: {line}").into());
                }
                Ok(_) => {}
                Err(TryRecvError::Empty) => return Ok(count),
                Err(TryRecvError::Disconnected) => {
                    return Err(format!("the client has ended: see {}", self.remarks.display()).into());
                }
            }
        }
    }

    /// Types a line.
    pub(crate) fn type_line(&mut self, line: &str) -> Outcome<()> {
        Ok(self.input.write_all(format!("{line}{}", self.enter).as_bytes())?)
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

/// The prompt, where a line ends that is none yet.
pub(crate) const PROMPT: &str = "> ";

/// Tells each line that has come, and when; on a terminal the prompt too.
fn read_lines(mut output: impl Read, console: Console, said: &Sender<(Instant, String)>) {
    let (mut chunk, mut begun) = (vec![0; 64 * 1_024], Vec::new());
    // A terminal whose other end is closed says so with an error.
    while let Ok(read @ 1..) = output.read(&mut chunk) {
        let now = Instant::now();
        begun.extend_from_slice(&chunk[..read]);
        let is_prompt = console == Console::Terminal && has_prompt(&begun);
        let end = if is_prompt { Some(begun.len()) } else { begun.iter().rposition(|byte| *byte == b'\n') };
        let Some(end) = end else { continue };
        let rest = begun.split_off((end + 1).min(begun.len()));
        let text = String::from_utf8_lossy(&begun).into_owned();
        if text.lines().any(|line| said.send((now, line.to_owned())).is_err()) {
            return;
        }
        begun = rest;
    }
}

/// Whether there is a prompt at the end, with nothing behind it but what steers the cursor.
fn has_prompt(text: &[u8]) -> bool {
    let prompt = PROMPT.as_bytes();
    let behind = text.windows(prompt.len()).rposition(|part| part == prompt).map(|at| &text[at + prompt.len()..]);
    behind.is_some_and(|rest| {
        let mut steps = rest.split(|byte| *byte == b'\x1b').map(|step| step.strip_suffix(b"\r").unwrap_or(step));
        let is_csi = |step: &[u8]| {
            step.first() == Some(&b'[')
                && step.iter().skip(1).position(|byte| (b'@'..=b'~').contains(byte)) == Some(step.len() - 2)
        };
        steps.next().is_some_and(<[u8]>::is_empty) && steps.all(is_csi)
    })
}

/// Both ends of a new terminal: ours, and the program's.
fn terminal() -> Outcome<(File, File)> {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&ours)?;
    unlockpt(&ours)?;
    tcsetwinsize(&ours, Winsize { ws_row: 40, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 })?;
    let name = ptsname(&ours, Vec::new())?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok((File::from(ours), File::from(open(name, flags, Mode::empty())?)))
}
