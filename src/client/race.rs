//! The first address of a server that answers. PROTOCOL.md §4.
//!
//! A name may have several addresses, and one of them may take a connection and then be silent. So an address counts as
//! reached when it has answered the first message of the handshake; until then the next one races it (the idea of
//! RFC 8305). That message tells nothing about the user, and only the first address that answers gets more.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel::{self, Receiver, Sender};

use super::{ClientConfig, ServerPinError, Transport};
use crate::net::Link;
use crate::net::secure_channel::{AnsweredHandshake, ChannelConnectError, ClientStep};
use crate::net::tcp::TcpLink;
use crate::net::udp;
use crate::secure::handshake::{ClientHandshakeError, RefusalCode};

/// An address that has not answered for so long is raced by the next.
const HEAD_START: Duration = Duration::from_secs(1);
/// Addresses of a name that are tried, in the order of the system's resolver.
const MAX_ADDRESSES: usize = 16;

/// A server that has answered.
pub(super) struct Answered {
    pub(super) handshake: AnsweredHandshake,
    /// Of the rest of the handshake.
    pub(super) deadline: Instant,
}

/// Why no address has answered.
pub(super) enum RaceError {
    /// None took a connection.
    Unreached(io::Error),
    /// The best that was heard.
    Failed(ChannelConnectError<ServerPinError>),
}

/// Transport and timeout of attempts.
#[derive(Clone, Copy)]
struct Dialing {
    transport: Transport,
    /// For the connection, and once more for the handshake.
    timeout: Duration,
}

/// An event of an attempt, by its number.
enum AttemptEvent {
    Reached(usize, Arc<dyn Link>),
    Ended(usize, Result<Answered, RaceError>),
}

/// Tries the addresses of a server until one answers. `reached` is called when one has taken a connection.
pub(super) fn first_answer(config: &ClientConfig, mut reached: impl FnMut()) -> Result<Answered, RaceError> {
    let dialing = Dialing { transport: config.transport, timeout: config.timing.join };
    let resolved = (&*config.host, config.port).to_socket_addrs().map_err(RaceError::Unreached)?;
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for address in resolved {
        if addresses.len() < MAX_ADDRESSES && !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    match *addresses {
        [] => Err(RaceError::Unreached(io::Error::other("that name has no address"))),
        [address] => dialing.try_address(address, |_| {
            reached();
            true
        }),
        _ => Race::run(&addresses, dialing, reached),
    }
}

impl Dialing {
    /// Connects to one address and waits for its answer. `reached` says whether it is still wanted.
    fn try_address(
        self,
        address: SocketAddr,
        reached: impl FnOnce(&Arc<dyn Link>) -> bool,
    ) -> Result<Answered, RaceError> {
        let link = self.connect(address).map_err(RaceError::Unreached)?;
        if !reached(&link) {
            link.close(Shutdown::Both);
            return Err(RaceError::Unreached(io::ErrorKind::Interrupted.into()));
        }
        let deadline = Instant::now() + self.timeout;
        let begun = AnsweredHandshake::begin(&link, deadline, &mut rand::rng(), &mut |_: ClientStep| {});
        let handshake = begun.map_err(RaceError::Failed)?;
        Ok(Answered { handshake, deadline })
    }

    /// A link to one address, by TCP or by UDP; the rest is equal.
    fn connect(self, address: SocketAddr) -> io::Result<Arc<dyn Link>> {
        match self.transport {
            Transport::Udp => Ok(Arc::new(udp::client::connect(address, self.timeout)?)),
            Transport::Tcp => Ok(Arc::new(TcpLink::new(TcpStream::connect_timeout(&address, self.timeout)?)?)),
        }
    }
}

/// Attempts at several addresses, each in a thread of its own.
struct Race {
    tell: Sender<AttemptEvent>,
    events: Receiver<AttemptEvent>,
    /// Of each attempt, while it runs.
    links: Vec<Option<Arc<dyn Link>>>,
    running: usize,
    best: RaceError,
}

impl Race {
    fn run(addresses: &[SocketAddr], dialing: Dialing, reached: impl FnMut()) -> Result<Answered, RaceError> {
        // Each attempt has two events: none ever waits.
        let (tell, events) = channel::bounded(2 * addresses.len());
        let best = RaceError::Unreached(io::ErrorKind::TimedOut.into());
        let mut race = Self { tell, events, links: vec![None; addresses.len()], running: 0, best };
        let winner = race.winner(addresses, dialing, reached);
        race.end_others();
        winner.ok_or(race.best)
    }

    fn winner(&mut self, addresses: &[SocketAddr], dialing: Dialing, mut reached: impl FnMut()) -> Option<Answered> {
        let mut left = addresses.iter().enumerate().peekable();
        let mut next = Instant::now();
        loop {
            if (next <= Instant::now() || self.running == 0)
                && let Some((number, address)) = left.next()
            {
                self.start(number, *address, dialing);
                next = Instant::now() + HEAD_START;
                continue;
            }
            if self.running == 0 {
                return None;
            }
            // Each attempt ends by its own deadlines.
            let until = if left.peek().is_some() { next } else { Instant::now() + 2 * dialing.timeout };
            match self.events.recv_deadline(until) {
                Ok(AttemptEvent::Reached(number, link)) => {
                    reached();
                    self.links[number] = Some(link);
                }
                Ok(AttemptEvent::Ended(number, ended)) => {
                    self.running -= 1;
                    self.links[number] = None;
                    match ended {
                        Ok(answered) => return Some(answered),
                        Err(error) => self.note(error),
                    }
                    // The next one need not wait for an attempt that has failed.
                    next = Instant::now();
                }
                // The race has a sender itself, so this is a timeout.
                Err(_) => {}
            }
        }
    }

    fn start(&mut self, number: usize, address: SocketAddr, dialing: Dialing) {
        let tell = self.tell.clone();
        let attempt = move || {
            // The receiver is gone when another address has answered.
            let reached = |link: &Arc<dyn Link>| tell.send(AttemptEvent::Reached(number, link.clone())).is_ok();
            let ended = dialing.try_address(address, reached);
            if let Err(unsent) = tell.send(AttemptEvent::Ended(number, ended))
                && let AttemptEvent::Ended(_, Ok(answered)) = unsent.into_inner()
            {
                answered.handshake.link().close(Shutdown::Both);
            }
        };
        match thread::Builder::new().name("dial".into()).spawn(attempt) {
            Ok(_) => self.running += 1,
            Err(error) => self.note(RaceError::Unreached(error)),
        }
    }

    /// Keeps what says most, and of equals the last.
    fn note(&mut self, error: RaceError) {
        if error.rank() >= self.best.rank() {
            self.best = error;
        }
    }

    /// Ends the attempts that another has outrun.
    fn end_others(&mut self) {
        for event in self.events.try_iter() {
            match event {
                AttemptEvent::Reached(number, link) => self.links[number] = Some(link),
                AttemptEvent::Ended(_, Ok(answered)) => answered.handshake.link().close(Shutdown::Both),
                AttemptEvent::Ended(number, Err(_)) => self.links[number] = None,
            }
        }
        self.links.iter().flatten().for_each(|link| link.close(Shutdown::Both));
    }
}

impl RaceError {
    /// Rank of what it says: a busy server may have room later.
    fn rank(&self) -> u32 {
        match self {
            Self::Unreached(_) => 0,
            Self::Failed(ChannelConnectError::Silent) => 1,
            Self::Failed(
                ChannelConnectError::Handshake(ClientHandshakeError::RefusedBare(RefusalCode::Busy))
                | ChannelConnectError::Cut { before_keys: true },
            ) => 3,
            Self::Failed(_) => 2,
        }
    }
}
