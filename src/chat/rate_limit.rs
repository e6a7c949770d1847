//! Rate limits: a token bucket.

use std::time::{Duration, Instant};

/// So many at once, then one an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Burst size.
    pub burst: u32,
    /// After that, one in this time.
    pub interval: Duration,
}

impl Rate {
    /// `burst` at once, then `per_second` a second.
    #[must_use]
    pub const fn per_second(burst: u32, per_second: u32) -> Self {
        Self { burst, interval: Duration::from_nanos(1_000_000_000 / per_second as u64) }
    }

    /// `count` a minute, all at once if they like.
    #[must_use]
    pub const fn per_minute(count: u32) -> Self {
        Self { burst: count, interval: Duration::from_nanos(60_000_000_000 / count as u64) }
    }
}

/// Used part of a [`Rate`]: the time at which the bucket is full again.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokenBucket {
    free_at: Option<Instant>,
}

impl TokenBucket {
    /// Takes one, if there is one.
    pub fn take(&mut self, pace: Rate, now: Instant) -> bool {
        let free_at = self.free_at.map_or(now, |free_at| free_at.max(now)) + pace.interval;
        let taken = free_at <= now + pace.interval * pace.burst;
        if taken {
            self.free_at = Some(free_at);
        }
        taken
    }

    /// Takes one even if there is none; such a debt is at most as large as the burst.
    pub fn charge(&mut self, pace: Rate, now: Instant) {
        let free_at = self.free_at.map_or(now, |free_at| free_at.max(now)) + pace.interval;
        self.free_at = Some(free_at.min(now + pace.interval * pace.burst * 2));
    }

    /// True if it is full.
    #[must_use]
    pub fn is_full(&self, now: Instant) -> bool {
        self.free_at.is_none_or(|free_at| free_at <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_one_an_interval() {
        let (pace, start) = (Rate::per_second(3, 2), Instant::now());
        let mut bucket = TokenBucket::default();
        let mut take = |millis| bucket.take(pace, start + Duration::from_millis(millis));
        assert_eq!([0, 0, 0, 0, 499, 500, 501].map(&mut take), [true, true, true, false, false, true, false]);
        assert_eq!([60_000, 60_000, 60_000, 60_000].map(&mut take), [true, true, true, false]);
    }

    #[test]
    fn what_is_charged_is_owed_but_never_more_than_twice_the_burst() {
        let (pace, start) = (Rate::per_second(2, 1), Instant::now());
        let mut bucket = TokenBucket::default();
        (0..100).for_each(|_| bucket.charge(pace, start));
        assert!(!bucket.take(pace, start + Duration::from_millis(2_999)));
        assert!(bucket.take(pace, start + Duration::from_secs(3)));
    }
}
