//! A client's UDP socket, and the thread that has its conversation.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rand::Rng;
use rustix::event::{PollFd, PollFlags, poll};

use super::bridge::Bridge;
use super::connection::{Side, UdpConnection};
use super::datagram::{Cookie, Datagram, Id, MAX_DATAGRAM, parse, syn};
use super::{FIRST_AGAIN, LONGEST_AGAIN, UdpLink};
use crate::net::{left, timespec};

/// Time without an answer after which the client tries another port: the path may have changed.
const NO_ANSWER: Duration = Duration::from_secs(3);
/// Another port is tried this often.
const MOVES: Duration = Duration::from_secs(1);
/// Datagrams that are read before other work.
const AT_ONCE: usize = 64;

/// Number of connections of this process that are not closed at both ends.
static UNFINISHED: Mutex<usize> = Mutex::new(0);
static FINISHED: Condvar = Condvar::new();

/// Waits until what was said over UDP has arrived and been ended, for `timeout` at most: what a kernel does for TCP
/// when a program ends.
pub fn finish(timeout: Duration) {
    let unfinished = UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner);
    // Either way the connection is over.
    drop(FINISHED.wait_timeout_while(unfinished, timeout, |unfinished| *unfinished > 0));
}

/// A conversation that is counted until it has ended.
struct Unfinished;

impl Unfinished {
    fn begin() -> Self {
        *UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Self
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        *UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        FINISHED.notify_all();
    }
}

/// Begins a conversation with the server that is there.
///
/// # Errors
/// [`ErrorKind::TimedOut`] without an answer; the system's errors.
pub fn connect(server: SocketAddr, timeout: Duration) -> io::Result<UdpLink> {
    let mut id = [0; 4];
    rand::rng().fill_bytes(&mut id);
    let socket = open(server)?;
    let cookie = ask_for_cookie(&socket, id, Instant::now() + timeout)?;
    socket.set_nonblocking(true)?;
    let now = Instant::now();
    let (carrier, link) = Bridge::new(UdpConnection::new(Side::Client, id, cookie, server.into(), now), now)?;
    let round = ClientLoop { socket, server, carrier, moved: now, unfinished: Some(Unfinished::begin()) };
    thread::Builder::new().name("udp".into()).spawn(move || round.run())?;
    Ok(link)
}

/// A socket on a free port.
fn open(server: SocketAddr) -> io::Result<UdpSocket> {
    let socket = match server {
        SocketAddr::V4(_) => UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)),
    }?;
    socket.connect(server)?;
    Ok(socket)
}

fn ask_for_cookie(socket: &UdpSocket, id: Id, deadline: Instant) -> io::Result<Cookie> {
    let mut buffer = [0; MAX_DATAGRAM + 1];
    let mut wait = FIRST_AGAIN;
    while left(deadline).is_ok() {
        socket.send(&syn(id))?;
        let again = deadline.min(Instant::now() + wait);
        wait = (wait * 2).min(LONGEST_AGAIN);
        while let Ok(timeout) = left(again) {
            socket.set_read_timeout(Some(timeout))?;
            match socket.recv(&mut buffer) {
                Ok(length) => match parse(&buffer[..length]) {
                    Some((of, Datagram::SynAck(cookie))) if of == id => return Ok(cookie),
                    _ => {}
                },
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // ICMP says that the port is closed, which is not authenticated.
                Err(error) => return Err(error),
            }
        }
    }
    Err(ErrorKind::TimedOut.into())
}

/// State of the thread.
struct ClientLoop {
    socket: UdpSocket,
    server: SocketAddr,
    carrier: Bridge,
    /// When it took its port.
    moved: Instant,
    unfinished: Option<Unfinished>,
}

impl ClientLoop {
    fn run(mut self) {
        loop {
            self.wait();
            let now = Instant::now();
            self.take_in(now);
            let failed = self.carry(now);
            let conversation = &self.carrier.conversation;
            if conversation.is_over(now) {
                return;
            }
            // Without a secret there is no reason to wait: the user of the link has given up.
            if conversation.has_ended() || self.carrier.is_turned_away() && !conversation.has_keys() {
                self.unfinished = None;
            }
            self.move_if_lost(failed, now);
        }
    }

    fn wait(&self) {
        let timeout = timespec(self.carrier.due().saturating_duration_since(Instant::now()));
        let mut waiting = vec![PollFd::new(&self.socket, PollFlags::IN)];
        let interest = self.carrier.interest();
        if !interest.is_empty() {
            waiting.push(PollFd::from_borrowed_fd(self.carrier.local(), interest));
        }
        // Interrupted or not: all sources are polled again.
        let _ = poll(&mut waiting, Some(&timeout));
    }

    fn take_in(&mut self, now: Instant) {
        let mut buffer = [0; MAX_DATAGRAM + 1];
        for _ in 0..AT_ONCE {
            match self.socket.recv(&mut buffer) {
                Ok(length) => {
                    if let Some((_, datagram)) = parse(&buffer[..length]).filter(|(id, _)| self.carrier.is_of(*id)) {
                        self.carrier.take(&datagram, self.server.into(), now, &mut rand::rng());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // An attacker can forge network errors about earlier datagrams.
                Err(_) => {}
            }
        }
    }

    /// Carries bytes, and returns true if sending failed.
    fn carry(&mut self, now: Instant) -> bool {
        let Self { socket, carrier, .. } = self;
        let mut failed = false;
        carrier.carry(now, &mut |bytes| {
            let sent = match socket.send(bytes) {
                // That was about an earlier one, and this one has not gone.
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => socket.send(bytes),
                sent => sent,
            };
            failed = sent.is_err_and(|error| {
                !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::ConnectionRefused)
            });
        });
        failed
    }

    /// Takes another port when this one leads nowhere. Before there is a secret the server would not follow.
    fn move_if_lost(&mut self, failed: bool, now: Instant) {
        let conversation = &self.carrier.conversation;
        let waited = now.saturating_duration_since(self.moved);
        let unanswered = conversation.unanswered_for(now).min(waited) >= NO_ANSWER;
        if conversation.has_keys() && (unanswered || failed && waited >= MOVES) {
            self.moved = now;
            // Without a route it stays where it was, and tries again.
            if let Ok(socket) = open(self.server).and_then(|socket| socket.set_nonblocking(true).map(|()| socket)) {
                self.socket = socket;
            }
        }
    }
}
