//! Signals that ask the client to leave.

use std::io;
use std::thread;

use crossbeam::channel::{self, Receiver};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::store::process::heeded;

/// Ctrl+C and SIGTERM, from here on, unless the client was started to ignore them.
pub(super) fn interrupts() -> io::Result<Receiver<()>> {
    let mut signals = Signals::new(heeded(&[SIGINT, SIGTERM]))?;
    let (sender, receiver) = channel::bounded(2);
    thread::Builder::new().name("signals".into()).spawn(move || {
        // A third request, when the first two were not taken, is not waited for.
        for signal in signals.forever() {
            if sender.try_send(()).is_err() {
                std::process::exit(128 + signal);
            }
        }
    })?;
    Ok(receiver)
}
