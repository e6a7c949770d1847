//! UDP as a stream of bytes. PROTOCOL.md §10.
//!
//! ```text
//! user of the Link ◀──bytes──▶ [socket pair] bridge [connection: tags, numbers, KCP] ◀──datagrams──▶ socket
//!                                  └───────────── the udp thread: one a program ───────────┘
//! ```
//!
//! The resulting link is a local socket like any other, so the floors above know no datagrams. What decides
//! (`connection`, `acceptor`) has no socket, no clock and no randomness of its own: the threads in [`server`] and
//! [`client`] give it these.
//!
//! Invariant: the server keeps no state before the client's address is validated; from the secret on
//! no datagram counts without a tag; and before a peer has shown that it receives at an address, the address gets little
//! more bytes than came from it (`path`).

mod acceptor;
mod bridge;
pub mod client;
mod connection;
pub mod datagram;
mod kcp_check;
mod kcp_resend;
mod kcp_stream;
mod path;
mod replay_window;
pub mod server;
mod server_socket;

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::Link;
use super::memory::MemoryLink;
use crate::secure::datagram::DatagramKeys;

/// SYN and the end of a stream are sent again after this, and then after twice as long each time.
const FIRST_AGAIN: Duration = Duration::from_millis(250);
/// SYN is sent again after no more than this: an outage that ends is noticed soon.
const LONGEST_AGAIN: Duration = Duration::from_secs(1);

/// A link over UDP.
pub struct UdpLink {
    link: MemoryLink,
    keys: Arc<KeySlot>,
}

/// Where keys are put for the thread that carries a link's bytes.
#[derive(Default)]
struct KeySlot(Mutex<Option<DatagramKeys>>);

impl KeySlot {
    fn put(&self, keys: DatagramKeys) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(keys);
    }

    fn take(&self) -> Option<DatagramKeys> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl AsFd for UdpLink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.link.as_fd()
    }
}

impl Link for UdpLink {
    fn read(&self, into: &mut [u8], timeout: Duration) -> io::Result<usize> {
        self.link.read(into, timeout)
    }

    fn write_now(&self, bytes: &[u8]) -> io::Result<usize> {
        self.link.write_now(bytes)
    }

    fn authenticate(&self, keys: DatagramKeys) {
        self.keys.put(keys);
    }

    fn close(&self, how: Shutdown) {
        self.link.close(how);
    }
}
