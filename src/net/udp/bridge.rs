//! A conversation and the local socket that its bytes come from and go to.

use std::io::{self, Read};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Instant;

use rand::CryptoRng;
use rustix::event::PollFlags;
use rustix::net::{SendFlags, send};

use super::connection::UdpConnection;
use super::datagram::{Datagram, Id};
use super::kcp_stream::SEGMENT;
use super::path::Route;
use super::{KeySlot, UdpLink};
use crate::net::tcp::SocketLink;

/// Bytes that one read takes at most.
const CHUNK: usize = 16 * 1_024;

/// Carries bytes between a conversation and a [`UdpLink`]. Neither is read faster than the other takes.
pub(super) struct Bridge {
    pub(super) conversation: UdpConnection,
    local: UnixStream,
    keys: Arc<KeySlot>,
    /// Has come, and the local end has not taken it.
    held: Vec<u8>,
    /// True if there may be more to read from the local end.
    reads: bool,
    /// True if the local end accepts bytes.
    writes: bool,
    /// Time of the next action without input.
    due: Instant,
}

impl Bridge {
    /// The carrier, and the link at the other end of it.
    pub(super) fn new(conversation: UdpConnection, now: Instant) -> io::Result<(Self, UdpLink)> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let keys = Arc::new(KeySlot::default());
        let link = UdpLink { link: SocketLink::local(theirs), keys: keys.clone() };
        Ok((Self { conversation, local: ours, keys, held: Vec::new(), reads: true, writes: true, due: now }, link))
    }

    /// True if a datagram is of this conversation.
    pub(super) fn is_of(&self, id: Id) -> bool {
        self.conversation.id() == id
    }

    /// True if the user of the link has closed its sending side.
    pub(super) fn is_turned_away(&self) -> bool {
        !self.reads
    }

    /// Takes a datagram of this conversation. What comes of it is carried when it is due: now.
    pub(super) fn take(&mut self, datagram: &Datagram<'_>, from: Route, now: Instant, rng: &mut impl CryptoRng) {
        self.look_for_keys();
        self.due = now;
        self.conversation.take(datagram, from, now, rng);
    }

    /// Keys arrive before the bytes that they protect.
    fn look_for_keys(&mut self) {
        if !self.conversation.has_keys()
            && let Some(keys) = self.keys.take()
        {
            self.conversation.authenticate(keys);
        }
    }

    /// Brings bytes as far as they go now, and sends what is due.
    pub(super) fn carry(&mut self, now: Instant, send: &mut dyn FnMut(&[u8])) {
        self.read_local(now);
        // After what they may have been put there for, and before it is sent.
        self.look_for_keys();
        self.write_local();
        self.conversation.flush(now, send);
        self.due = self.conversation.due(now);
    }

    /// The local end is not read from any more: the program ends.
    pub(super) fn end(&mut self, now: Instant) {
        self.read_local(now);
        self.reads = false;
        self.conversation.end(now);
        self.due = now;
    }

    fn read_local(&mut self, now: Instant) {
        let mut chunk = [0; CHUNK];
        while self.reads && self.conversation.has_room() {
            match self.local.read(&mut chunk) {
                Ok(0) => self.reads = false,
                Ok(read) => self.conversation.write(&chunk[..read]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.reads = false,
            }
        }
        if !self.reads {
            self.conversation.end(now);
        }
    }

    fn write_local(&mut self) {
        let mut segment = [0; SEGMENT];
        loop {
            if self.held.is_empty() {
                match self.conversation.read(&mut segment) {
                    // Without a recipient, but the other end is to forget it.
                    Some(_) if !self.writes => continue,
                    Some(read) => self.held.extend_from_slice(&segment[..read]),
                    None => break,
                }
            }
            match send(&self.local, &self.held, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(written) => drop(self.held.drain(..written)),
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => return,
                Err(_) => (self.held, self.writes) = (Vec::new(), false),
            }
        }
        if self.conversation.other_has_ended() && self.writes {
            self.writes = false;
            // The one error there is: that it has ended already.
            let _ = self.local.shutdown(Shutdown::Write);
        }
    }

    /// Events to wait for at the local end. Empty: then not even its end.
    pub(super) fn interest(&self) -> PollFlags {
        let mut interest = PollFlags::empty();
        interest.set(PollFlags::IN, self.reads && self.conversation.has_room());
        interest.set(PollFlags::OUT, !self.held.is_empty());
        interest
    }

    /// The local end.
    pub(super) fn local(&self) -> BorrowedFd<'_> {
        self.local.as_fd()
    }

    /// Time when [`Bridge::carry`] is due without input.
    pub(super) fn due(&self) -> Instant {
        self.due
    }
}
