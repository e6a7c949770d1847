//! TCP, and what else is a socket with a stream: one implementation for both.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::Link;

/// A stream socket as a [`Link`]: it blocks for the reader only.
#[derive(Debug)]
pub struct SocketLink<S> {
    socket: S,
    /// The read timeout that the socket has, in milliseconds: most reads want the same as the last.
    timeout: AtomicU64,
}

/// A TCP connection as a [`Link`].
pub type TcpLink = SocketLink<TcpStream>;

impl TcpLink {
    /// Takes a connection over. Small messages go out at once (`TCP_NODELAY`).
    ///
    /// # Errors
    /// The system's error, for a connection that has ended already.
    pub fn new(socket: TcpStream) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        Ok(Self { socket, timeout: AtomicU64::new(0) })
    }
}

impl SocketLink<UnixStream> {
    pub(super) fn local(socket: UnixStream) -> Self {
        Self { socket, timeout: AtomicU64::new(0) }
    }
}

/// Operations shared by TCP and Unix sockets, without a trait in std.
pub trait Socket: AsFd + Send + Sync {
    /// Sets the timeout of reads.
    ///
    /// # Errors
    /// The system's error.
    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()>;

    /// Ends one direction or both.
    ///
    /// # Errors
    /// The system's error.
    fn shutdown(&self, how: Shutdown) -> io::Result<()>;
}

impl Socket for TcpStream {
    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        Self::set_read_timeout(self, Some(timeout))
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        Self::shutdown(self, how)
    }
}

impl Socket for UnixStream {
    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        Self::set_read_timeout(self, Some(timeout))
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        Self::shutdown(self, how)
    }
}

impl<S: Socket> Link for SocketLink<S> {
    fn read(&self, into: &mut [u8], timeout: Duration) -> io::Result<usize> {
        // At least one: 0 would be for ever.
        let millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX).max(1);
        if self.timeout.swap(millis, Ordering::Relaxed) != millis {
            self.socket.set_read_timeout(Duration::from_millis(millis))?;
        }
        loop {
            match recv(&self.socket, &mut *into, RecvFlags::empty()) {
                Ok((read, _)) => return Ok(read),
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => return Err(io::ErrorKind::TimedOut.into()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn write_now(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(send(&self.socket, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?)
    }

    fn close(&self, how: Shutdown) {
        // The one error there is: that it has ended already.
        let _ = self.socket.shutdown(how);
    }
}

impl<S: AsFd> AsFd for SocketLink<S> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
