//! Limits on unauthenticated connections. PROTOCOL.md §9.
//!
//! A connection that has not said who it is holds one of few places, for a few seconds. When all are taken, one that
//! has sent no byte is evicted, at random: silent connections keep no client out. Only failures earn an address
//! penalties, and they decay; an address with a joined member is never penalized, so a group behind one
//! address stays open while one of them fumbles.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use rand::RngExt;

use crate::secure::credential::UnixSeconds;

/// Bounds on connections that have not joined yet.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// Places in all.
    pub places: usize,
    /// Places for one address.
    pub places_each: usize,
    /// True if failures earn penalties.
    pub penalties: bool,
}

impl ConnectionLimits {
    /// The protocol's (§9).
    #[must_use]
    pub const fn standard() -> Self {
        Self { places: 64, places_each: 32, penalties: true }
    }

    /// For benchmarks and trusted rooms: handshakes still have their deadline.
    #[must_use]
    pub const fn off() -> Self {
        Self { places: usize::MAX, places_each: usize::MAX, penalties: false }
    }
}

/// Penalties add up to at most this.
const MAX_PENALTY: Duration = Duration::from_secs(600);
/// Below this they are only remembered: OpenSSH's PerSourcePenalties has the same numbers.
const ENFORCED_FROM: Duration = Duration::from_secs(15);
/// Penalty of a silent connection, and of one that a wrong clock may have ended: a group with a failing network, or
/// whose machines have just booted in 1970, is not to be kept out.
const LOOKED_IN: Duration = Duration::from_millis(250);
/// A clock that differs from the time that has passed by more than this was set.
const CLOCK_SET: Duration = Duration::from_secs(60);
/// So many addresses are remembered.
const REMEMBERED: usize = 65_536;

/// A failure that earns an address a penalty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It left during the handshake.
    WentAway,
    /// It was refused: what it said does not hold.
    Refused,
    /// It came with a wrong password, or a token that is not good.
    Wrong,
    /// It asked for a name that has another owner.
    Slight,
    /// It held its place until the deadline.
    Silent,
    /// One of the two did not like the other's credential, which may be because a clock is wrong.
    Declined,
    /// It wanted to resume an ended session, as all clients do after the server has stopped.
    Stale,
}

impl Failure {
    fn penalty(self) -> Duration {
        Duration::from_secs(match self {
            Self::Declined => return LOOKED_IN,
            Self::Stale => 0,
            Self::WentAway | Self::Slight => 1,
            // Five of them are enforced.
            Self::Wrong => 3,
            Self::Refused => 5,
            Self::Silent => 10,
        })
    }
}

/// An address as penalties and places know it: an IPv6 user has a whole /64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SourceAddress(IpAddr);

impl From<IpAddr> for SourceAddress {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
            v4 @ IpAddr::V4(_) => v4,
        })
    }
}

/// A connection's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotId(u64);

/// Decision on a new connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Admission<T> {
    /// It has a place; if another had to give way for it, that one.
    Admitted(SlotId, Option<Evicted<T>>),
    /// All slots are taken by connections that have sent bytes.
    Busy,
    /// Its address has to wait.
    Penalized(Duration),
}

/// A connection that has to give way.
#[derive(Debug, PartialEq, Eq)]
pub struct Evicted<T> {
    /// Handle that ends it.
    pub end: T,
    /// True if it has sent no byte: then it can be told the reason in the clear.
    pub said_nothing: bool,
}

/// The places, and the penalties. `T` is what ends a connection that has to give way.
#[derive(Debug)]
pub struct ConnectionLimiter<T> {
    limits: ConnectionLimits,
    places: Vec<Slot<T>>,
    next: u64,
    penalties: HashMap<SourceAddress, Instant>,
    inside: HashMap<SourceAddress, usize>,
    /// The wall clock's time when it was looked at last.
    clock: Option<(UnixSeconds, Instant)>,
}

#[derive(Debug)]
struct Slot<T> {
    ticket: SlotId,
    source: SourceAddress,
    stage: Stage,
    end: T,
}

/// Stage of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It has sent no byte yet.
    Silent,
    /// It is proving who it is: it does not have to give way.
    Busy,
    /// It has proved it, and is to come up with a password.
    Waiting,
}

impl<T> ConnectionLimiter<T> {
    /// A limiter with all places free.
    #[must_use]
    pub fn new(limits: ConnectionLimits) -> Self {
        Self { limits, places: Vec::new(), next: 0, penalties: HashMap::new(), inside: HashMap::new(), clock: None }
    }

    /// Applies new bounds; connections keep their slots.
    pub fn keep(&mut self, limits: ConnectionLimits) {
        self.limits = limits;
    }

    /// Forgives all failures when the wall clock was set: the server's own clock may have caused them.
    pub fn watch_clock(&mut self, wall: UnixSeconds, now: Instant) {
        if let Some((wall_before, before)) = self.clock.replace((wall, now)) {
            let expected = wall_before.0.saturating_add(now.saturating_duration_since(before).as_secs());
            if wall.0.abs_diff(expected) > CLOCK_SET.as_secs() {
                self.penalties.clear();
            }
        }
    }

    /// A new connection asks for a place.
    pub fn admit(&mut self, source: SourceAddress, end: T, now: Instant, rng: &mut impl RngExt) -> Admission<T> {
        if let Some(wait) = self.penalty(source, now) {
            return Admission::Penalized(wait);
        }
        let from_there = self.places.iter().filter(|place| place.source == source).count();
        let gives_way = if from_there >= self.limits.places_each {
            Some(self.pick_idle(|place| place.source == source, rng))
        } else if self.places.len() >= self.limits.places {
            Some(self.pick_idle(|_| true, rng))
        } else {
            None
        };
        let displaced = match gives_way {
            None => None,
            Some(None) => return Admission::Busy,
            Some(Some(index)) => {
                let place = self.places.swap_remove(index);
                Some(Evicted { end: place.end, said_nothing: place.stage == Stage::Silent })
            }
        };
        self.next += 1;
        let ticket = SlotId(self.next);
        self.places.push(Slot { ticket, source, stage: Stage::Silent, end });
        Admission::Admitted(ticket, displaced)
    }

    /// A connection has sent bytes: it is not evicted any more.
    pub fn spoke(&mut self, ticket: SlotId) {
        self.reached(ticket, Stage::Busy);
    }

    /// A connection is to come up with a password, which takes a while: it may have to give way again.
    pub fn waits(&mut self, ticket: SlotId) {
        self.reached(ticket, Stage::Waiting);
    }

    fn reached(&mut self, ticket: SlotId, stage: Stage) {
        if let Some(place) = self.places.iter_mut().find(|place| place.ticket == ticket) {
            place.stage = stage;
        }
    }

    /// A connection has joined: its place is free.
    pub fn joined(&mut self, ticket: SlotId, source: SourceAddress) {
        self.places.retain(|place| place.ticket != ticket);
        *self.inside.entry(source).or_default() += 1;
    }

    /// A connection that had joined has ended.
    pub fn left(&mut self, source: SourceAddress) {
        if let Some(count) = self.inside.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                self.inside.remove(&source);
            }
        }
    }

    /// A connection has ended before it joined. Gives whether it still had its place: if not, it gave way.
    pub fn failed(&mut self, ticket: SlotId, source: SourceAddress, failure: Failure, now: Instant) -> bool {
        let Some(at) = self.places.iter().position(|place| place.ticket == ticket) else {
            return false;
        };
        let penalty = match (failure, self.places.swap_remove(at).stage) {
            (Failure::WentAway, Stage::Silent) => LOOKED_IN,
            (failure, _) => failure.penalty(),
        };
        if self.limits.penalties && !penalty.is_zero() {
            self.penalize(source, penalty, now);
        }
        true
    }

    fn penalize(&mut self, source: SourceAddress, penalty: Duration, now: Instant) {
        if self.penalties.len() >= REMEMBERED {
            self.penalties.retain(|_, until| *until > now);
        }
        if self.penalties.len() < REMEMBERED {
            let until = self.penalties.entry(source).or_insert(now);
            *until = ((*until).max(now) + penalty).min(now + MAX_PENALTY);
        }
    }

    fn penalty(&self, source: SourceAddress, now: Instant) -> Option<Duration> {
        let wait = self.penalties.get(&source)?.saturating_duration_since(now);
        (wait >= ENFORCED_FROM && !self.inside.contains_key(&source)).then_some(wait)
    }

    fn pick_idle(&self, of: impl Fn(&Slot<T>) -> bool, rng: &mut impl RngExt) -> Option<usize> {
        let idle = |place: &Slot<T>| place.stage != Stage::Busy && of(place);
        let count = self.places.iter().filter(|place| idle(place)).count();
        let chosen = (count > 0).then(|| rng.random_range(..count))?;
        self.places.iter().enumerate().filter(|(_, place)| idle(place)).nth(chosen).map(|(index, _)| index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(last: u8) -> SourceAddress {
        IpAddr::from([192, 0, 2, last]).into()
    }

    fn limiter(places: usize, places_each: usize) -> ConnectionLimiter<u32> {
        ConnectionLimiter::new(ConnectionLimits { places, places_each, penalties: true })
    }

    fn admit(limiter: &mut ConnectionLimiter<u32>, from: u8, end: u32) -> Admission<u32> {
        limiter.admit(source(from), end, Instant::now(), &mut rand::rng())
    }

    #[test]
    fn a_silent_one_gives_way_and_one_that_spoke_does_not() {
        let mut limiter = limiter(10, 2);
        let Admission::Admitted(first, None) = admit(&mut limiter, 1, 1) else { panic!() };
        limiter.spoke(first);
        assert!(matches!(admit(&mut limiter, 1, 2), Admission::Admitted(_, None)));
        let Admission::Admitted(third, Some(Evicted { end: 2, said_nothing: true })) = admit(&mut limiter, 1, 3) else {
            panic!()
        };
        limiter.spoke(third);
        assert_eq!(admit(&mut limiter, 1, 4), Admission::Busy);
        limiter.waits(third);
        let gave_way = Evicted { end: 3, said_nothing: false };
        assert!(matches!(admit(&mut limiter, 1, 5), Admission::Admitted(_, Some(it)) if it == gave_way));
        assert!(matches!(admit(&mut limiter, 2, 5), Admission::Admitted(_, None)), "another address has its own");
    }

    #[test]
    fn places_are_bounded_over_all_addresses() {
        let mut limiter = limiter(2, 2);
        admit(&mut limiter, 1, 1);
        admit(&mut limiter, 2, 2);
        assert!(matches!(admit(&mut limiter, 3, 3), Admission::Admitted(_, Some(Evicted { end: 1 | 2, .. }))));
        assert_eq!(limiter.places.len(), 2);
    }

    #[test]
    fn failures_add_up_and_decay_and_giving_way_is_none() {
        let (mut limiter, start, rng) = (limiter(64, 1), Instant::now(), &mut rand::rng());
        let fail = |limiter: &mut ConnectionLimiter<u32>, now| {
            let Admission::Admitted(ticket, None) = limiter.admit(source(1), 0, now, &mut rand::rng()) else {
                panic!()
            };
            assert!(limiter.failed(ticket, source(1), Failure::Refused, now));
        };
        (0..3).for_each(|_| fail(&mut limiter, start));
        assert_eq!(limiter.admit(source(1), 0, start, rng), Admission::Penalized(Duration::from_secs(15)));
        assert!(matches!(limiter.admit(source(2), 0, start, rng), Admission::Admitted(..)));
        let later = start + Duration::from_secs(1);
        let Admission::Admitted(first, None) = limiter.admit(source(1), 0, later, rng) else { panic!() };
        let Admission::Admitted(_, Some(_)) = limiter.admit(source(1), 0, later, rng) else { panic!() };
        assert!(!limiter.failed(first, source(1), Failure::Silent, later));
    }

    #[test]
    fn a_wrong_clock_is_no_offence() {
        let (mut limiter, now) = (limiter(64, 16), Instant::now());
        for _ in 0..30 {
            let Admission::Admitted(ticket, None) = admit(&mut limiter, 1, 0) else { panic!() };
            limiter.spoke(ticket);
            limiter.failed(ticket, source(1), Failure::Declined, now);
        }
        assert!(matches!(admit(&mut limiter, 1, 0), Admission::Admitted(..)), "30 machines that booted in 1970");
    }

    #[test]
    fn failures_are_forgiven_when_the_servers_clock_is_set() {
        let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
        for set_to in [1_790_000_000, 30 * 24 * 3_600, 0] {
            let (mut limiter, now) = (limiter(64, 16), Instant::now());
            limiter.watch_clock(UnixSeconds(12_345_678), now);
            limiter.penalize(source(1), MAX_PENALTY, now);
            limiter.watch_clock(UnixSeconds(12_345_679), now + second);
            assert!(limiter.penalty(source(1), now + second).is_some(), "it goes on as it should");
            limiter.watch_clock(UnixSeconds(set_to), now + second);
            assert_eq!(limiter.penalty(source(1), now + second), None, "set to {set_to}");
            limiter.penalize(source(1), MAX_PENALTY, now + second);
            limiter.watch_clock(UnixSeconds(set_to + 60), now + second + minute);
            assert!(limiter.penalty(source(1), now + second + minute).is_some(), "and goes on again");
        }
    }

    #[test]
    fn an_address_with_somebody_inside_is_not_penalized() {
        let (mut limiter, now) = (limiter(64, 16), Instant::now());
        let Admission::Admitted(ticket, None) = admit(&mut limiter, 1, 0) else { panic!() };
        limiter.joined(ticket, source(1));
        (0..100).for_each(|_| limiter.penalize(source(1), MAX_PENALTY, now));
        assert!(matches!(admit(&mut limiter, 1, 0), Admission::Admitted(..)));
        limiter.left(source(1));
        assert!(matches!(admit(&mut limiter, 1, 0), Admission::Penalized(_)));
    }

    #[test]
    fn an_ipv6_user_is_a_64_and_a_mapped_address_is_ipv4() {
        let source = |text: &str| SourceAddress::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(source("2001:db8::1"), source("2001:db8::ffff:1"));
        assert_ne!(source("2001:db8::1"), source("2001:db8:0:1::1"));
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
    }
}
