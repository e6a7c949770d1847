//! Pipes: bytes between two ends, and the channel that the handshake makes of them.
//!
//! ```text
//! Link (tcp, udp, memory) ──▶ secure_channel::accept / connect ──▶ Incoming (records' texts) + Sealer and Link
//! ```
//!
//! Invariant: this floor does not know the meaning of bytes.

pub mod memory;
pub mod network_monitor;
pub mod secure_channel;
pub mod tcp;
pub mod udp;

use std::io;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::secure::datagram::DatagramKeys;

/// One end of an ordered, reliable stream of bytes, shared by the thread that reads and the thread that writes.
///
/// After [`Link::close`] with [`Shutdown::Both`], a waiting [`Link::read`] returns.
pub trait Link: AsFd + Send + Sync {
    /// Waits for bytes: how many came, 0 at the end of the stream.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`] after `timeout`; the system's errors.
    fn read(&self, into: &mut [u8], timeout: Duration) -> io::Result<usize>;

    /// Writes as much as fits now, at once.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if no byte fits; the system's errors.
    fn write_now(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Has the keys for its datagrams from now on, if it is made of any.
    fn authenticate(&self, _keys: DatagramKeys) {}

    /// Ends one direction or both. That it has ended before is no error.
    fn close(&self, how: Shutdown);
}

/// Writes all of `bytes`, waiting until `deadline` for room.
///
/// # Errors
/// [`io::ErrorKind::TimedOut`] at the deadline; the system's errors.
pub fn write_all(link: &dyn Link, mut bytes: &[u8], deadline: Instant) -> io::Result<()> {
    while !bytes.is_empty() {
        match link.write_now(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let mut waiting = [PollFd::new(&link, PollFlags::OUT)];
                match poll(&mut waiting, Some(&timespec(left(deadline)?))) {
                    Ok(_) | Err(rustix::io::Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Returns the time until `deadline`.
///
/// # Errors
/// [`io::ErrorKind::TimedOut`] if it has passed.
pub fn left(deadline: Instant) -> io::Result<Duration> {
    match deadline.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
        left => Ok(left),
    }
}

/// A duration as poll(2) wants it.
#[must_use]
pub fn timespec(duration: Duration) -> Timespec {
    Timespec { tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX), tv_nsec: duration.subsec_nanos().into() }
}
