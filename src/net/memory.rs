//! A pair of links inside one process: for tests, and for programs that embed both ends.

use std::io;
use std::os::unix::net::UnixStream;

use super::tcp::SocketLink;

/// One end of a [`pair`].
pub type MemoryLink = SocketLink<UnixStream>;

/// Two links, each of which reads what the other writes.
///
/// # Errors
/// The system's error when it has no more descriptors.
pub fn pair() -> io::Result<(MemoryLink, MemoryLink)> {
    let (one, other) = UnixStream::pair()?;
    Ok((SocketLink::local(one), SocketLink::local(other)))
}
