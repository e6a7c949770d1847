//! The server's clock, as its messages tell it: two clocks that agree say when a credential is to be renewed.

use std::time::{Duration, Instant};

use crate::chat::Now;
use crate::chat::message::ToClient;

/// Clocks that differ by less agree (§2).
const TOLERANCE: Duration = Duration::from_secs(24 * 60 * 60);

/// The last time that the server has told.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ServerClock(Option<(u64, Instant)>);

impl ServerClock {
    /// Notes the time in a message, if it has one.
    pub(super) fn note(&mut self, message: &ToClient, tick: Instant) {
        match message {
            ToClient::Event { at, .. } => self.0 = Some((*at, tick)),
            ToClient::Welcome(welcome) => self.0 = Some((welcome.at, tick)),
            _ => {}
        }
    }

    /// True if the own clock is about as the server's. A clock that was set by days at one end alone may be wrong: a
    /// credential made by it would keep its user out.
    pub(super) fn agrees(self, now: Now) -> bool {
        self.0.is_none_or(|(at, tick)| {
            let passed = now.tick.saturating_duration_since(tick).as_millis();
            let expected = at.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX));
            u128::from(expected.abs_diff(now.at)) < TOLERANCE.as_millis()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::message::Event;

    const DAY: u64 = 24 * 60 * 60 * 1_000;
    const AT: u64 = 1_790_000_000_000;

    #[test]
    fn clocks_agree_until_one_is_set_and_again_when_both_are() {
        let start = Instant::now();
        let mut clock = ServerClock::default();
        let agrees =
            |clock: ServerClock, at, seconds| clock.agrees(Now { at, tick: start + Duration::from_secs(seconds) });
        assert!(agrees(clock, AT, 0), "none is known to differ");
        clock.note(&ToClient::Event { cursor: 1, at: AT, event: Event::Unknown }, start);
        clock.note(&ToClient::Pong, start);
        assert!(agrees(clock, AT + DAY - 1, 0) && agrees(clock, AT - DAY + 1, 0));
        assert!(!agrees(clock, AT + 9 * DAY, 0) && !agrees(clock, AT - 9 * DAY, 0) && !agrees(clock, 0, 0));
        assert!(agrees(clock, AT + 6 * DAY, 6 * DAY / 1_000), "days may pass");
        clock.note(&ToClient::Event { cursor: 2, at: AT + 9 * DAY, event: Event::Unknown }, start);
        assert!(agrees(clock, AT + 9 * DAY, 0));
    }
}
