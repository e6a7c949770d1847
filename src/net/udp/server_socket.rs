//! The server's socket. One with several addresses of its own answers from the one that was called.

use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsFd, BorrowedFd};

use super::path::Route;

/// A socket that receives from all clients.
pub(super) struct ServerSocket {
    socket: UdpSocket,
    /// True if the system tells to which address a datagram came.
    has_several: bool,
}

impl ServerSocket {
    /// Takes over a socket. Only one that is bound to a wildcard address pays for the learning of addresses.
    ///
    /// # Errors
    /// The system's error.
    pub(super) fn new(socket: UdpSocket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let is_wildcard = socket.local_addr()?.ip().to_canonical().is_unspecified();
        // Without that option the system chooses the address of answers, which is right on a machine with one.
        let has_several = is_wildcard && several::ask_for_addresses(&socket).is_ok();
        Ok(Self { socket, has_several })
    }

    /// Receives a datagram: its length and its way.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if there is none; the system's errors.
    pub(super) fn receive(&self, into: &mut [u8]) -> io::Result<(usize, Route)> {
        if self.has_several {
            return several::receive(&self.socket, into);
        }
        let (length, peer) = self.socket.recv_from(into)?;
        Ok((length, peer.into()))
    }

    /// Sends a datagram. Whether it goes is not ours to know, as little as whether it arrives.
    pub(super) fn send(&self, bytes: &[u8], to: Route) {
        let _ = match to.local {
            Some(local) => several::send(&self.socket, bytes, to.peer, local),
            None => self.socket.send_to(bytes, to.peer),
        };
    }
}

impl AsFd for ServerSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// `IP_PKTINFO` (ip(7)) and `IPV6_PKTINFO` (RFC 3542).
#[cfg(target_os = "linux")]
mod several {
    use std::io::{self, IoSlice, IoSliceMut};
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
    use std::os::fd::AsRawFd;

    use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
    use nix::sys::socket::sockopt::{Ipv4PacketInfo, Ipv6RecvPacketInfo};
    use nix::sys::socket::{
        ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt,
    };

    use crate::net::udp::path::{LocalAddress, Route};

    pub(super) fn ask_for_addresses(socket: &UdpSocket) -> io::Result<()> {
        // An IPv6 socket tells of IPv4 datagrams by mapped addresses.
        match socket.local_addr()? {
            SocketAddr::V4(_) => setsockopt(socket, Ipv4PacketInfo, &true)?,
            SocketAddr::V6(_) => setsockopt(socket, Ipv6RecvPacketInfo, &true)?,
        }
        Ok(())
    }

    pub(super) fn receive(socket: &UdpSocket, into: &mut [u8]) -> io::Result<(usize, Route)> {
        // Room for either; on the heap, so that it is aligned as its reader wants it.
        let mut control = nix::cmsg_space!(in_pktinfo, in6_pktinfo);
        let mut parts = [IoSliceMut::new(into)];
        let received =
            recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::empty())?;
        let peer = received.address.as_ref().and_then(address).ok_or(io::ErrorKind::AddrNotAvailable)?;
        let local = received.cmsgs().ok().and_then(|mut messages| messages.find_map(|message| local(&message)));
        Ok((received.bytes, Route { peer, local }))
    }

    pub(super) fn send(socket: &UdpSocket, bytes: &[u8], to: SocketAddr, from: LocalAddress) -> io::Result<usize> {
        let (v4, v6);
        let source = match from.address {
            IpAddr::V4(address) => {
                let own = in_addr { s_addr: u32::from_ne_bytes(address.octets()) };
                // No interface: routes decide, as they do for all that is sent.
                v4 = in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: own, ipi_addr: in_addr { s_addr: 0 } };
                ControlMessage::Ipv4PacketInfo(&v4)
            }
            IpAddr::V6(address) => {
                let own = in6_addr { s6_addr: address.octets() };
                v6 = in6_pktinfo { ipi6_addr: own, ipi6_ifindex: from.interface };
                ControlMessage::Ipv6PacketInfo(&v6)
            }
        };
        let to = SockaddrStorage::from(to);
        Ok(sendmsg(socket.as_raw_fd(), &[IoSlice::new(bytes)], &[source], MsgFlags::empty(), Some(&to))?)
    }

    fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
        let v4 = storage.as_sockaddr_in().map(|v4| SocketAddrV4::from(*v4).into());
        v4.or_else(|| storage.as_sockaddr_in6().map(|v6| SocketAddrV6::from(*v6).into()))
    }

    fn local(message: &ControlMessageOwned) -> Option<LocalAddress> {
        match message {
            ControlMessageOwned::Ipv4PacketInfo(info) => {
                // Not the address in the datagram's head, which may be a broadcast's: no datagram comes from there.
                let address = Ipv4Addr::from(info.ipi_spec_dst.s_addr.to_ne_bytes()).into();
                Some(LocalAddress { address, interface: 0 })
            }
            ControlMessageOwned::Ipv6PacketInfo(info) => {
                let address = Ipv6Addr::from(info.ipi6_addr.s6_addr);
                // A link-local address is one of several equal ones without its interface.
                let interface = if address.is_unicast_link_local() { info.ipi6_ifindex } else { 0 };
                (!address.is_multicast()).then_some(LocalAddress { address: address.into(), interface })
            }
            _ => None,
        }
    }
}

/// Elsewhere the system chooses the address of answers.
#[cfg(not(target_os = "linux"))]
mod several {
    use std::io;
    use std::net::{SocketAddr, UdpSocket};

    use crate::net::udp::path::{LocalAddress, Route};

    pub(super) fn ask_for_addresses(_: &UdpSocket) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn receive(socket: &UdpSocket, into: &mut [u8]) -> io::Result<(usize, Route)> {
        let (length, peer) = socket.recv_from(into)?;
        Ok((length, peer.into()))
    }

    pub(super) fn send(socket: &UdpSocket, bytes: &[u8], to: SocketAddr, _: LocalAddress) -> io::Result<usize> {
        socket.send_to(bytes, to)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
    use std::time::Duration;

    use super::*;

    /// A socket, and its port.
    fn bound_to(address: impl Into<std::net::IpAddr>) -> (ServerSocket, u16) {
        let socket = UdpSocket::bind(SocketAddr::from((address.into(), 0))).unwrap();
        let port = socket.local_addr().unwrap().port();
        (ServerSocket::new(socket).unwrap(), port)
    }

    fn receive(socket: &ServerSocket, into: &mut [u8]) -> (usize, Route) {
        loop {
            match socket.receive(into) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                received => return received.unwrap(),
            }
        }
    }

    /// A client of each loopback address reads the answer there: a connected socket takes it from nowhere else.
    #[cfg(target_os = "linux")]
    fn answers_from_what_was_called(socket: &ServerSocket, port: u16) {
        for number in 1..=5 {
            let called = SocketAddr::from((Ipv4Addr::new(127, 0, 0, number), port));
            let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            client.connect(called).unwrap();
            client.send(b"question").unwrap();
            let mut buffer = [0; 64];
            let (length, route) = receive(socket, &mut buffer);
            assert_eq!(&buffer[..length], b"question");
            assert_eq!(route.local.map(|local| local.address.to_canonical()), Some(called.ip()));
            socket.send(b"answer", route);
            let length = client.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], b"answer");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_wildcard_socket_answers_from_the_address_that_was_called() {
        let (socket, port) = bound_to(Ipv4Addr::UNSPECIFIED);
        answers_from_what_was_called(&socket, port);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_socket_for_both_families_does_so_for_ipv4_too() {
        let Ok(probe) = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)) else {
            println!("NOT TESTED: a socket for both families: there is no IPv6 here");
            return;
        };
        drop(probe);
        let (socket, port) = bound_to(Ipv6Addr::UNSPECIFIED);
        answers_from_what_was_called(&socket, port);
    }

    #[test]
    fn a_socket_of_one_address_asks_for_none() {
        let (socket, port) = bound_to(Ipv4Addr::LOCALHOST);
        assert!(!socket.has_several);
        let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        client.send_to(b"question", (Ipv4Addr::LOCALHOST, port)).unwrap();
        let (_, route) = receive(&socket, &mut [0; 64]);
        assert_eq!(route, client.local_addr().unwrap().into());
    }
}
