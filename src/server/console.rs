//! The operator's console: standard input, and signals.

use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::thread;
use std::time::Duration;

use log::{info, warn};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::getpgrp;
use rustix::termios::tcgetpgrp;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::Stopper;
use crate::chat::name::Visible;
use crate::store::process::heeded;
use crate::store::standard_streams::{BlockingStream, is_named_pipe};

/// Takes commands from `input` until it ends, or the server does. What cannot be answered is done all the same.
/// `goes_on` is asked at an end whether more may follow, and waits for it.
pub fn run(mut input: impl BufRead, mut output: impl Write, server: &Stopper, goes_on: impl Fn() -> bool) {
    let mut line = Vec::new();
    loop {
        line.clear();
        match input.read_until(b'\n', &mut line) {
            Ok(0) if goes_on() => continue,
            Ok(0) => return info!("[*] The console has ended: its input is at its end"),
            Err(error) => return warn!("[!] The console has ended: {error}"),
            Ok(_) => {}
        }
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
    let input = BufReader::new(ForegroundInput(BlockingStream(io::stdin())));
    let output = BlockingStream(io::stdout());
    // The shell that opened a pipe with a name is one writer of it, and each `echo` is another.
    let goes_on = || {
        let is_named = is_named_pipe(io::stdin());
        if is_named {
            thread::sleep(LOOK_AGAIN);
        }
        is_named
    };
    thread::Builder::new().name("console".into()).spawn(move || run(input, output, &server, goes_on))?;
    Ok(())
}

/// Standard input, read only while the terminal is ours: a server in the background (`server &`) that read from it
/// would be stopped by the system, with all its clients.
struct ForegroundInput(BlockingStream<io::Stdin>);

/// Interval at which a background server checks its terminal for a line, and a console a pipe without writers.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

impl Read for ForegroundInput {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            // Interrupted or not: a line is looked for again.
            let _ = poll(&mut [PollFd::new(&self.0.0, PollFlags::IN)], None);
            match tcgetpgrp(&self.0.0) {
                Ok(foreground) if foreground != getpgrp() => thread::sleep(LOOK_AGAIN),
                // Ours; or no terminal at all.
                _ => return self.0.read(into),
            }
        }
    }
}

/// Lets Ctrl+C and SIGTERM end the server as TERMINATE does; a second one ends the process at once. SIGHUP has it read
/// its settings again; if it comes because the server's terminal is gone, it ends the server. A signal that the server was
/// started to ignore stays ignored.
///
/// # Errors
/// The system's error.
pub fn watch_signals(server: Stopper) -> io::Result<()> {
    let mut signals = Signals::new(heeded(&[SIGINT, SIGTERM, SIGHUP]))?;
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
