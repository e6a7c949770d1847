//! Changes of the machine's network: a client that waits to reconnect tries at once.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, poll};

use super::{left, timespec};

/// Watches links, addresses and routes; does not wake where the system has no such source.
#[derive(Debug)]
pub struct NetworkMonitor(Option<OwnedFd>);

/// Why a wait has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// It was long enough.
    Due,
    /// The network has changed.
    Changed,
    /// Ends the wait.
    Stopped,
}

impl NetworkMonitor {
    /// From now on.
    #[must_use]
    pub fn watch() -> Self {
        Self(open())
    }

    /// Watches only for the end of the wait.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// Waits until `until`, until the network changes, or until `stop` is readable or has ended.
    pub fn wait(&self, stop: &impl AsFd, until: Instant) -> Woken {
        while let Ok(left) = left(until) {
            let mut watched = vec![PollFd::new(stop, PollFlags::IN)];
            watched.extend(self.0.iter().map(|changes| PollFd::new(changes, PollFlags::IN)));
            match poll(&mut watched, Some(&timespec(left))) {
                Ok(0) | Err(rustix::io::Errno::INTR) => continue,
                Ok(_) => {}
                Err(_) => return Woken::Stopped,
            }
            if !watched[0].revents().is_empty() {
                return Woken::Stopped;
            }
            self.drain();
            return Woken::Changed;
        }
        Woken::Due
    }

    /// Several pending events count as one change.
    fn drain(&self) {
        use rustix::net::{RecvFlags, recv};
        let mut chunk = [0; 8_192];
        let Some(changes) = &self.0 else {
            return;
        };
        // So many more come at once only while they still change: then the next wait ends early too.
        for _ in 0..64 {
            match recv(changes, &mut chunk[..], RecvFlags::DONTWAIT) {
                // Some were too many to be kept, which is a change too.
                Ok(_) | Err(rustix::io::Errno::INTR | rustix::io::Errno::NOBUFS) => {}
                Err(_) => break,
            }
        }
    }
}

/// rtnetlink(7): its groups for links, and for addresses and routes of IPv4 and IPv6.
#[cfg(target_os = "linux")]
fn open() -> Option<OwnedFd> {
    use rustix::net::netlink::SocketAddrNetlink;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with};

    const LINK: u32 = 0x1;
    const ADDRESSES: u32 = 0x10 | 0x100;
    const ROUTES: u32 = 0x40 | 0x400;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None).ok()?;
    bind(&socket, &SocketAddrNetlink::new(0, LINK | ADDRESSES | ROUTES)).ok()?;
    Some(socket)
}

#[cfg(not(target_os = "linux"))]
fn open() -> Option<OwnedFd> {
    None
}

#[cfg(test)]
mod tests {
    use std::io::{Write, pipe};
    use std::os::unix::net::UnixDatagram;
    use std::time::Duration;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(20)
    }

    fn late() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn a_wait_ends_when_it_is_due_when_something_changes_and_when_nobody_waits_any_more() {
        let (told, hears) = UnixDatagram::pair().unwrap();
        let (stop, stopping) = pipe().unwrap();
        let changes = NetworkMonitor(Some(OwnedFd::from(hears)));
        assert_eq!(changes.wait(&stop, soon()), Woken::Due);
        told.send(b"a link").unwrap();
        told.send(b"its address").unwrap();
        assert_eq!(changes.wait(&stop, late()), Woken::Changed);
        assert_eq!(changes.wait(&stop, soon()), Woken::Due, "both were one change");
        drop(stopping);
        told.send(b"a route").unwrap();
        assert_eq!(changes.wait(&stop, late()), Woken::Stopped);
        let (stop, mut stopping) = pipe().unwrap();
        stopping.write_all(b"x").unwrap();
        assert_eq!(NetworkMonitor::none().wait(&stop, late()), Woken::Stopped);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_system_tells_of_changes() {
        assert!(open().is_some());
    }
}
