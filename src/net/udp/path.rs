//! Where a client is, and how much may be sent there. No socket, no clock.
//!
//! A holder of the keys can still forge a datagram's source address. So before the peer has shown that it receives what
//! is sent there, little more goes than came from there.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use rand::CryptoRng;

use super::datagram::{PATH, QUESTION};

/// Time after which a challenge is repeated.
const AGAIN: Duration = Duration::from_millis(250);
/// So many times what came from an address goes there before it is answered from.
const TIMES: usize = 3;

/// The addresses of a datagram: the other end's, and the own one, where the socket has several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) peer: SocketAddr,
    /// Unknown for a socket with one address.
    pub(super) local: Option<LocalAddress>,
}

/// An address of this machine that was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only Linux tells it"))]
pub(super) struct LocalAddress {
    pub(super) address: IpAddr,
    /// Of a link-local address; else 0.
    pub(super) interface: u32,
}

impl From<SocketAddr> for Route {
    fn from(peer: SocketAddr) -> Self {
        Self { peer, local: None }
    }
}

/// The way to the other end.
pub(super) struct Path {
    route: Route,
    /// The last one on which the other end has shown that it reads.
    shown: Route,
    /// Of a route that is not that one.
    trial: Option<PathValidation>,
}

/// Since a route has become the one.
struct PathValidation {
    question: [u8; QUESTION],
    /// Bytes of datagrams that counted.
    came: usize,
    sent: usize,
    asked: Option<Instant>,
}

impl Path {
    /// Makes a path by a route that is validated already.
    pub(super) fn new(route: Route) -> Self {
        Self { route, shown: route, trial: None }
    }

    pub(super) fn route(&self) -> Route {
        self.route
    }

    /// A datagram that counts, the newest or not, has come from there.
    pub(super) fn came(&mut self, from: Route, newest: bool, length: usize, rng: &mut impl CryptoRng) {
        if newest && from != self.route {
            self.route = from;
            self.trial = (from != self.shown).then(|| {
                let mut question = [0; QUESTION];
                rng.fill_bytes(&mut question);
                PathValidation { question, came: 0, sent: 0, asked: None }
            });
        }
        if let Some(trial) = self.trial.as_mut().filter(|_| from == self.route) {
            trial.came = trial.came.saturating_add(length);
        }
    }

    /// Handles an answer; only the right one, from the challenged address, validates it.
    pub(super) fn answered(&mut self, from: Route, answer: [u8; QUESTION]) {
        if from == self.route && self.trial.as_ref().is_some_and(|trial| trial.question == answer) {
            (self.shown, self.trial) = (from, None);
        }
    }

    /// True if so many bytes more may go there.
    pub(super) fn allows(&self, length: usize) -> bool {
        self.trial.as_ref().is_none_or(|trial| trial.sent + length <= trial.came.saturating_mul(TIMES))
    }

    /// So many bytes have gone there.
    pub(super) fn sent(&mut self, length: usize) {
        if let Some(trial) = &mut self.trial {
            trial.sent += length;
        }
    }

    /// Time of the next challenge. `None`: not before a datagram from there.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        let trial = self.trial.as_ref().filter(|_| self.allows(PATH))?;
        Some(trial.asked.map_or(now, |asked| asked + AGAIN))
    }

    /// Returns the challenge that is due.
    pub(super) fn question(&mut self, now: Instant) -> Option<[u8; QUESTION]> {
        self.due(now).filter(|due| *due <= now)?;
        let trial = self.trial.as_mut()?;
        trial.asked = Some(now);
        Some(trial.question)
    }

    /// True if the other end has shown that it reads there.
    #[cfg(test)]
    pub(super) fn is_shown(&self) -> bool {
        self.trial.is_none()
    }
}
