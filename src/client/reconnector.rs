//! The way back to a server: attempts, with a pause before each, in a thread of their own. PROTOCOL.md §6 "Keeping alive".

use std::collections::HashSet;
use std::io::{self, PipeReader, PipeWriter};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel::{self, Receiver, Sender};
use rand::RngExt;

use super::connect::{ConnectError, Connected, connect_again};
use super::{ClientConfig, ClientError};
use crate::net::network_monitor::{NetworkMonitor, Woken};
use crate::secure::credential::OwnCredential;
use crate::secure::identity::{Fingerprint, Identity};

/// The first pause, and the longest.
const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(30);
/// A network that changes all the time is not taken for one that has come back more often than this.
const AT_MOST_EVERY: Duration = Duration::from_secs(1);
/// Limit on pending events; more are dropped.
const QUEUE: usize = 4;

/// Attempts that are being made. They end when this is dropped.
pub(super) struct Reconnector {
    pub(super) news: Receiver<ReconnectEvent>,
    /// Its end is the attempts' end.
    _stop: PipeWriter,
}

/// An event of the reconnector.
pub(super) enum ReconnectEvent {
    /// An unexpected answer: the next attempt may succeed.
    Odd(ClientError),
    /// The server is there, after so many pauses.
    There(Box<Connected>, u32),
    /// The credential is of another time: the next attempt needs a new one. After so many pauses.
    Stale(u32),
    /// No attempt will help.
    Hopeless(ClientError),
}

/// Address and user of the next attempts.
pub(super) struct Plan {
    pub(super) config: ClientConfig,
    pub(super) identity: Arc<Identity>,
    pub(super) credential: Arc<OwnCredential>,
    /// The only server that it may be.
    pub(super) server: Fingerprint,
    /// Number of pauses so far; at 0 the first attempt comes at once.
    pub(super) pauses: u32,
    /// The last attempt comes after so many.
    pub(super) most: u32,
}

impl Reconnector {
    pub(super) fn start(plan: Plan) -> io::Result<Self> {
        let (stopped, stop) = io::pipe()?;
        let (tell, news) = channel::bounded(QUEUE);
        thread::Builder::new().name("reconnect".into()).spawn(move || plan.follow(&stopped, &tell))?;
        Ok(Self { news, _stop: stop })
    }
}

impl Plan {
    fn follow(mut self, stopped: &PipeReader, tell: &Sender<ReconnectEvent>) {
        let changes = NetworkMonitor::watch();
        let mut told = HashSet::new();
        loop {
            let pause = pause(self.pauses, rand::rng().random_range(-1.0..=1.0));
            if !has_paused(&changes, stopped, pause) {
                return;
            }
            self.pauses = self.pauses.saturating_add(1);
            let last = match connect_again(&self.config, &self.identity, &self.credential, self.server) {
                Ok(connected) => ReconnectEvent::There(Box::new(connected), self.pauses),
                Err(ConnectError::Final(error)) => ReconnectEvent::Hopeless(error),
                Err(ConnectError::Stale(_)) => ReconnectEvent::Stale(self.pauses),
                Err(ConnectError::Busy(error) | ConnectError::Passing(error)) if self.pauses >= self.most => {
                    ReconnectEvent::Hopeless(error)
                }
                Err(ConnectError::Passing(error @ (ClientError::Refused { .. } | ClientError::Broken(_)))) => {
                    if told.insert(error.to_string()) {
                        let _ = tell.try_send(ReconnectEvent::Odd(error));
                    }
                    continue;
                }
                Err(ConnectError::Busy(_) | ConnectError::Passing(_)) => continue,
            };
            // The event loop may have stopped waiting.
            let _ = tell.send(last);
            return;
        }
    }
}

/// The pause after so many, give or take a third.
fn pause(before: u32, give_or_take: f64) -> Duration {
    let Some(doubled) = before.checked_sub(1) else {
        return Duration::ZERO;
    };
    let pause = FIRST.saturating_mul(1 << doubled.min(7)).min(LONGEST);
    pause.mul_f64(1.0 + give_or_take / 3.0)
}

/// Waits; less if the network changes. Returns true if another attempt is wanted.
fn has_paused(changes: &NetworkMonitor, stopped: &PipeReader, pause: Duration) -> bool {
    let start = Instant::now();
    let quiet = start + pause.min(AT_MOST_EVERY);
    NetworkMonitor::none().wait(stopped, quiet) != Woken::Stopped
        && changes.wait(stopped, start + pause) != Woken::Stopped
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PROTOCOL.md 6.13-4.
    #[test]
    fn pauses_double_up_to_half_a_minute_give_or_take_a_third() {
        let exactly = |before| pause(before, 0.0).as_secs_f64();
        assert_eq!(pause(0, 1.0), Duration::ZERO);
        let all: Vec<f64> = (1..=10).map(exactly).collect();
        assert_eq!(all, [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]);
        assert_eq!((pause(99, 1.0), pause(99, -1.0)), (Duration::from_secs(40), Duration::from_secs(20)));
    }
}
