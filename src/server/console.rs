//! The operator's console: standard input, and signals.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::getpgrp;
use rustix::termios::tcgetpgrp;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::Stopper;
use crate::chat::name::Visible;

/// Takes commands from `input` until it ends, or the server does. What cannot be answered is done all the same.
pub fn run(mut input: impl BufRead, mut output: impl Write, server: &Stopper) {
    let mut line = Vec::new();
    while {
        line.clear();
        input.read_until(b'\n', &mut line).is_ok_and(|read| read > 0)
    } {
        let Some(answer) = server.command(&String::from_utf8_lossy(&line)) else { continue };
        let lines: Vec<String> = answer.lines().map(|line| Visible(line).to_string()).collect();
        let answer = lines.join("\n");
        let _ = writeln!(output, "{answer}").and_then(|()| output.flush());
    }
}

/// Takes commands from standard input, in a thread of its own.
///
/// # Errors
/// Whatever the system says when it has no more threads.
pub fn start(server: Stopper) -> io::Result<()> {
    let input = BufReader::new(ForegroundInput(io::stdin()));
    thread::Builder::new().name("console".into()).spawn(move || run(input, io::stdout(), &server))?;
    Ok(())
}

/// Standard input, read only while the terminal is ours: a server in the background (`server &`) that read from it
/// would be stopped by the system, and everybody with it.
struct ForegroundInput(io::Stdin);

/// How often a server in the background looks whether a line that waits at its terminal is for it.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

impl Read for ForegroundInput {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            // Interrupted or not: a line is looked for again.
            let _ = poll(&mut [PollFd::new(&self.0, PollFlags::IN)], None);
            match tcgetpgrp(&self.0) {
                Ok(foreground) if foreground != getpgrp() => thread::sleep(LOOK_AGAIN),
                // Ours; or no terminal at all.
                _ => return Ok(rustix::io::read(&self.0, &mut *into)?),
            }
        }
    }
}

/// Lets Ctrl+C and SIGTERM end the server as TERMINATE does; a second one ends the process at once.
///
/// # Errors
/// Whatever the system says.
pub fn watch_signals(server: Stopper) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        for (count, signal) in signals.forever().enumerate() {
            if count > 0 {
                std::process::exit(128 + signal);
            }
            let server = server.clone();
            // The hub may be long in coming to it: a second signal must not wait for that.
            thread::spawn(move || server.terminate());
        }
    })?;
    Ok(())
}
