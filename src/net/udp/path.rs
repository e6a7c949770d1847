//! Where a client is, and how much may be sent there. No socket, no clock.
//!
//! A holder of the keys can still forge a datagram's source address. So before the peer has shown that it receives what
//! is sent there, little more goes than came from there.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::CryptoRng;

use super::datagram::{PATH, QUESTION};

/// Time after which a challenge is repeated.
const AGAIN: Duration = Duration::from_millis(250);
/// So many times what came from an address goes there before it is answered from.
const TIMES: usize = 3;

/// The other end's address.
pub(super) struct Path {
    address: SocketAddr,
    /// The last one where the other end has shown that it reads.
    shown: SocketAddr,
    /// Of an address that is not that one.
    trial: Option<PathValidation>,
}

/// Since an address has become the one.
struct PathValidation {
    question: [u8; QUESTION],
    /// Bytes of datagrams that counted.
    came: usize,
    sent: usize,
    asked: Option<Instant>,
}

impl Path {
    /// Makes a path to an address that is validated already.
    pub(super) fn new(address: SocketAddr) -> Self {
        Self { address, shown: address, trial: None }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// A datagram that counts, the newest or not, has come from there.
    pub(super) fn came(&mut self, from: SocketAddr, newest: bool, length: usize, rng: &mut impl CryptoRng) {
        if newest && from != self.address {
            self.address = from;
            self.trial = (from != self.shown).then(|| {
                let mut question = [0; QUESTION];
                rng.fill_bytes(&mut question);
                PathValidation { question, came: 0, sent: 0, asked: None }
            });
        }
        if let Some(trial) = self.trial.as_mut().filter(|_| from == self.address) {
            trial.came = trial.came.saturating_add(length);
        }
    }

    /// Handles an answer; only the right one, from the challenged address, validates it.
    pub(super) fn answered(&mut self, from: SocketAddr, answer: [u8; QUESTION]) {
        if from == self.address && self.trial.as_ref().is_some_and(|trial| trial.question == answer) {
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
