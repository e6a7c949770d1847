//! The server's UDP socket, and the thread that has all conversations on it.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::sockopt::set_socket_recv_buffer_size;

use super::acceptor::{AcceptDecision, Acceptor};
use super::bridge::Bridge;
use super::connection::{Side, UdpConnection};
use super::datagram::{Cookie, Datagram, Id, MAX_DATAGRAM, parse};
use super::path::Route;
use super::server_socket::ServerSocket;
use crate::net::{Link, timespec};

/// Conversations.
const CONVERSATIONS: usize = 8_192;
/// Those among them without a secret.
const NEW: usize = 256;
/// And those among these from one address (IPv6: one /64).
const NEW_EACH: usize = 64;
/// Datagrams that are read before other work.
const AT_ONCE: usize = 256;
/// Receive buffer asked of the system, in bytes.
const RECEIVED: usize = 4 * 1_024 * 1_024;
/// At the end, what has been said may take so long to arrive.
const FAREWELL: Duration = Duration::from_secs(2);

/// A socket on which conversations are taken in.
pub struct UdpListener {
    /// Closed when it is to end.
    stop: UnixStream,
    thread: JoinHandle<()>,
}

impl UdpListener {
    /// Takes conversations in on a socket. `admit` gets each new one, and must not wait.
    ///
    /// # Errors
    /// The system's error when it has no more threads or descriptors.
    pub fn start(socket: UdpSocket, admit: impl FnMut(Arc<dyn Link>, SocketAddr) + Send + 'static) -> io::Result<Self> {
        // Less than that is no reason not to start.
        let _ = set_socket_recv_buffer_size(&socket, RECEIVED);
        let socket = ServerSocket::new(socket)?;
        let (stop, stopped) = UnixStream::pair()?;
        let round = ServerLoop {
            socket,
            stopped,
            admit,
            reception: Acceptor::new(&mut rand::rng(), Instant::now()),
            carriers: HashMap::new(),
            stopping: None,
        };
        let thread = thread::Builder::new().name("udp".into()).spawn(move || round.run())?;
        Ok(Self { stop, thread })
    }

    /// Accepts no more connections, and waits until sent data has arrived, or had the time to.
    pub fn stop(self) {
        drop(self.stop);
        // A thread that has panicked has ended too; the panic has been shown.
        let _ = self.thread.join();
    }
}

/// State of the thread.
struct ServerLoop<A> {
    socket: ServerSocket,
    stopped: UnixStream,
    admit: A,
    reception: Acceptor,
    carriers: HashMap<Id, Bridge>,
    /// When it ends at the latest.
    stopping: Option<Instant>,
}

impl<A: FnMut(Arc<dyn Link>, SocketAddr)> ServerLoop<A> {
    fn run(mut self) {
        loop {
            let (incoming, ready) = self.wait();
            let now = Instant::now();
            if incoming {
                self.take_in(now);
            }
            if self.stopping.is_some_and(|end| end <= now || self.carriers.is_empty()) {
                return;
            }
            self.carry(&ready, now);
        }
    }

    /// Waits for the next event. Returns true if datagrams have come, and the connections with ready local ends.
    fn wait(&mut self) -> (bool, Vec<Id>) {
        let due = self.carriers.values().map(Bridge::due).chain(self.stopping).min();
        let timeout = due.map(|due| timespec(due.saturating_duration_since(Instant::now())));
        let mut waiting = vec![PollFd::new(&self.socket, PollFlags::IN)];
        let mut ids = Vec::new();
        for (id, carrier) in &self.carriers {
            // A socket polled for no event would still report its end.
            let interest = carrier.interest();
            if !interest.is_empty() {
                waiting.push(PollFd::from_borrowed_fd(carrier.local(), interest));
                ids.push(*id);
            }
        }
        if self.stopping.is_none() {
            waiting.push(PollFd::new(&self.stopped, PollFlags::IN));
        }
        // Interrupted or not: all sources are polled again.
        let _ = poll(&mut waiting, timeout.as_ref());
        let is_ready = |fd: &PollFd<'_>| !fd.revents().is_empty();
        let incoming = is_ready(&waiting[0]);
        let ready = ids.iter().zip(&waiting[1..]).filter(|(_, fd)| is_ready(fd)).map(|(id, _)| *id).collect();
        let stops = waiting.get(1 + ids.len()).is_some_and(is_ready);
        if stops {
            self.stop();
        }
        (incoming, ready)
    }

    fn stop(&mut self) {
        let now = Instant::now();
        self.stopping = Some(now + FAREWELL);
        for carrier in self.carriers.values_mut() {
            carrier.end(now);
        }
    }

    fn take_in(&mut self, now: Instant) {
        let mut buffer = [0; MAX_DATAGRAM + 1];
        for _ in 0..AT_ONCE {
            match self.socket.receive(&mut buffer) {
                Ok((length, from)) => self.take(&buffer[..length], from, now),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // About one sent datagram, to an address without a listener.
                Err(_) => {}
            }
        }
    }

    fn take(&mut self, whole: &[u8], from: Route, now: Instant) {
        let Some((id, datagram)) = parse(whole) else { return };
        if let Some(carrier) = self.carriers.get_mut(&id).filter(|_| datagram != Datagram::Syn) {
            return carrier.take(&datagram, from, now, &mut rand::rng());
        }
        match self.reception.meet(from.peer, (id, &datagram), whole, now, &mut rand::rng()) {
            AcceptDecision::Answered(answer) => self.socket.send(&answer, from),
            AcceptDecision::Begins(cookie) if self.stopping.is_none() && self.has_room(from.peer) => {
                // Without descriptors it is as if the datagram had been lost.
                let _ = self.begin(id, cookie, from, now);
                if let Some(carrier) = self.carriers.get_mut(&id) {
                    carrier.take(&datagram, from, now, &mut rand::rng());
                }
            }
            // What there is no room for comes again, and there may be then.
            AcceptDecision::Begins(_) | AcceptDecision::Ignored => {}
        }
    }

    /// True if there is room for one more from that address. Refused connections are evicted first: silence keeps
    /// no client out, here as at the limiter.
    fn has_room(&mut self, from: SocketAddr) -> bool {
        let source = network(from.ip());
        let (mut new, mut from_there) = (0, 0);
        let (mut turned_away, mut turned_away_there) = (None, None);
        for (id, carrier) in self.carriers.iter().filter(|(_, carrier)| !carrier.conversation.is_authenticated()) {
            let is_there = network(carrier.conversation.route().peer.ip()) == source;
            new += 1;
            from_there += usize::from(is_there);
            if carrier.is_turned_away() {
                turned_away = Some(*id);
                turned_away_there = turned_away.filter(|_| is_there).or(turned_away_there);
            }
        }
        let gives_way = if from_there >= NEW_EACH {
            turned_away_there
        } else if new >= NEW {
            turned_away
        } else {
            return self.carriers.len() < CONVERSATIONS;
        };
        gives_way.is_some_and(|id| self.carriers.remove(&id).is_some())
    }

    fn begin(&mut self, id: Id, cookie: Cookie, from: Route, now: Instant) -> io::Result<()> {
        let conversation = UdpConnection::new(Side::Server, id, cookie, from, now);
        let (carrier, link) = Bridge::new(conversation, now)?;
        self.carriers.insert(id, carrier);
        (self.admit)(Arc::new(link), from.peer);
        Ok(())
    }

    /// Carries bytes for all connections that are due, and drops those that are over.
    fn carry(&mut self, ready: &[Id], now: Instant) {
        let Self { socket, carriers, stopping, .. } = self;
        let carry = |carrier: &mut Bridge| {
            let mut datagrams: Vec<Vec<u8>> = Vec::new();
            carrier.carry(now, &mut |bytes| datagrams.push(bytes.to_vec()));
            let to = carrier.conversation.route();
            for bytes in &datagrams {
                socket.send(bytes, to);
            }
        };
        for id in ready {
            if let Some(carrier) = carriers.get_mut(id) {
                carry(carrier);
            }
        }
        carriers.retain(|_, carrier| {
            if carrier.due() <= now {
                carry(carrier);
            }
            let conversation = &carrier.conversation;
            let is_said = stopping.is_some() && (conversation.has_ended() || !conversation.is_authenticated());
            !conversation.is_over(now) && !is_said
        });
    }
}

/// An address as it is counted: an IPv6 user has a whole /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}
