//! The thread that takes connections in.

use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use log::warn;
use rustix::event::{PollFd, PollFlags, poll};

use super::Shared;
use crate::net::tcp::TcpLink;
use crate::net::timespec;

/// Connections that are accepted before other work.
const AT_ONCE: usize = 64;
/// When the system has no more descriptors, the next connection is looked at after this.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// The listener's thread.
pub(super) struct Accept {
    pub(super) listener: TcpListener,
    /// Closed when the server is to stop.
    pub(super) stopped: UnixStream,
    pub(super) shared: Arc<Shared>,
}

impl Accept {
    pub(super) fn run(self) {
        loop {
            let untold = self.shared.refusals().until_due(Instant::now());
            let timeout = untold.map(timespec);
            let mut waiting = [PollFd::new(&self.listener, PollFlags::IN), PollFd::new(&self.stopped, PollFlags::IN)];
            // Interrupted or not: all sources are polled again. The stopper ends the wait.
            let _ = poll(&mut waiting, timeout.as_ref());
            if !waiting[1].revents().is_empty() {
                return;
            }
            let untold = self.shared.refusals().sum_up(Instant::now());
            if let Some(line) = untold {
                warn!("{line}");
            }
            self.accept_all();
        }
    }

    fn accept_all(&self) {
        for _ in 0..AT_ONCE {
            match self.listener.accept() {
                Ok((socket, from)) => {
                    let link = socket.set_nonblocking(false).and_then(|()| TcpLink::new(socket));
                    if let Err(error) = link.and_then(|link| self.shared.admit(Arc::new(link), from)) {
                        self.shared.warn_of_refusal(&error);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    self.shared.warn_of_refusal(&error);
                    thread::sleep(EXHAUSTED);
                    return;
                }
            }
        }
    }
}

/// True if accept(2) failed for the connection that was to be taken, and not for all.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}
