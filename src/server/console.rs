//! The operator's console: standard input, and signals.

use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::thread;
use std::time::Duration;

use log::warn;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::getpgrp;
use rustix::termios::tcgetpgrp;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
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
/// The system's error when it has no more threads.
pub fn start(server: Stopper) -> io::Result<()> {
    let input = BufReader::new(ForegroundInput(io::stdin()));
    thread::Builder::new().name("console".into()).spawn(move || run(input, io::stdout(), &server))?;
    Ok(())
}

/// Standard input, read only while the terminal is ours: a server in the background (`server &`) that read from it
/// would be stopped by the system, with all its clients.
struct ForegroundInput(io::Stdin);

/// Interval at which a background server checks its terminal for a line.
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

/// Lets Ctrl+C and SIGTERM end the server as TERMINATE does; a second one ends the process at once. SIGHUP has it read
/// its settings again; if it comes because the server's terminal is gone, it ends the server.
///
/// # Errors
/// The system's error.
pub fn watch_signals(server: Stopper) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let had_terminal = io::stdin().is_terminal();
    thread::Builder::new().name("signals".into()).spawn(move || {
        let mut ends = false;
        for signal in signals.forever() {
            let server = server.clone();
            let has_hung_up = had_terminal && !io::stdin().is_terminal();
            if signal == SIGHUP && !has_hung_up {
                thread::spawn(move || log_reload(server.reload()));
                continue;
            }
            // A shell passes on what the system has told already: that a terminal is gone is no impatience.
            if signal != SIGHUP && std::mem::replace(&mut ends, true) {
                std::process::exit(128 + signal);
            }
            // The service may be long in coming to it: a second signal must not wait for that.
            thread::spawn(move || server.terminate());
        }
    })?;
    Ok(())
}

/// Its outcome is for the log: no caller waits for an answer.
fn log_reload(outcome: Result<String, String>) {
    match outcome {
        Ok(changed) => changed.lines().for_each(|line| warn!("[+] {line}")),
        Err(why) => {
            why.lines().for_each(|line| warn!("[!] {line}"));
            warn!("[!] The settings are as they were");
        }
    }
}
