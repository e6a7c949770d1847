//! What is measured of a peer: what `benches/room` measures of us, in the same way.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use super::cpu::{self, Placement};
use super::irc_client::trust;
use super::irc_crowd::{AT_ONCE, IrcCrowd, ignore};
use super::measures::{AT_A_TIME, SENDERS, number_of, per_million, percentiles, ratio};
use super::peer_process::{Certificate, Peer, PeerProcess};
use super::setup::{Outcome, Setup, TEXT};

/// How a saturated room is filled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Filling {
    /// Lines by which each sender may be ahead of the slowest reader.
    pub(crate) window: u64,
    /// Lines in each record that a sender sends.
    pub(crate) together: u64,
}

/// Which peer, and where its configuration and its certificates are.
pub(crate) struct Stage<'a> {
    pub(crate) peer: Peer,
    pub(crate) setup: &'a Setup,
    pub(crate) folder: PathBuf,
}

/// A room in which as much is said as the peer can deliver.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Busy {
    pub(crate) pace: Filling,
    pub(crate) cpu_per_million: f64,
    pub(crate) per_second: f64,
    pub(crate) per_record: f64,
    /// The shares of one core that the peer and the load used.
    pub(crate) shares: [f64; 2],
}

/// A room in which now and then somebody says something.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quiet {
    pub(crate) cpu_per_million: f64,
    /// From sending to having been read: p50, p99.
    pub(crate) latency: [Duration; 2],
}

impl Stage<'_> {
    fn start(&self, placement: Placement, certificate: Certificate) -> Outcome<PeerProcess> {
        PeerProcess::start(self.peer, self.setup, placement, &self.folder, certificate)
    }

    fn room(&self, placement: Placement, clients: usize) -> Outcome<(PeerProcess, IrcCrowd)> {
        let server = self.start(placement, Certificate::Ecdsa)?;
        let config = trust(&Certificate::Ecdsa.files(&self.folder)[1])?;
        let mut crowd = IrcCrowd::new("m", false)?;
        crowd.join(server.address(), &config, clients)?;
        (0..SENDERS.min(clients)).try_for_each(|place| crowd.free(self.peer, place))?;
        Ok((server, crowd))
    }

    /// Says as much as the peer takes, for a while, and counts what is delivered; once at each pace.
    pub(crate) fn saturated(&self, placement: Placement, clients: usize, paces: &[Filling]) -> Outcome<Vec<Busy>> {
        let (server, mut crowd) = self.room(placement, clients)?;
        let mut all = Vec::new();
        for pace in paces {
            flood(&mut crowd, SENDERS, *pace, self.setup.warm_up)?;
            let before = (server.cpu()?, cpu::of_this_thread(), Instant::now(), crowd.delivered());
            flood(&mut crowd, SENDERS, *pace, self.setup.window)?;
            let used = [server.cpu()?.saturating_sub(before.0), cpu::of_this_thread().saturating_sub(before.1)];
            let (wall, delivered) = (before.2.elapsed(), crowd.delivered());
            crowd.until_delivered(&mut ignore)?;
            let deliveries = delivered.0 - before.3.0;
            all.push(Busy {
                pace: *pace,
                cpu_per_million: per_million(used[0], deliveries),
                per_second: ratio(deliveries, 1) / wall.as_secs_f64(),
                per_record: ratio(deliveries, delivered.1 - before.3.1),
                shares: used.map(|used| used.as_secs_f64() / wall.as_secs_f64()),
            });
        }
        Ok(all)
    }

    /// How many lines a second one sender alone brings to one reader: proof that nobody is held back.
    pub(crate) fn alone(&self, pace: Filling) -> Outcome<f64> {
        let (_server, mut crowd) = self.room(Placement::Pinned, 2)?;
        let start = Instant::now();
        flood(&mut crowd, 1, pace, self.setup.window)?;
        crowd.until_delivered(&mut ignore)?;
        let delivered = crowd.delivered().0;
        let per_second = ratio(delivered, 1) / start.elapsed().as_secs_f64();
        Ok(per_second)
    }

    /// Says something `rate` times a second, and takes the time until it is there.
    pub(crate) fn light(&self, clients: usize, rate: u32) -> Outcome<Quiet> {
        let (server, mut crowd) = self.room(Placement::Pinned, clients)?;
        let (room, count) = (crowd.room(0), usize::try_from(self.setup.listening.as_secs() * u64::from(rate))?);
        let (mut sent, mut took) = (Vec::with_capacity(count), Vec::with_capacity(count * clients));
        let since_sent = |sent: &[Instant], text: &[u8]| sent[number_of(text)].elapsed();
        let (before, start) = (server.living_threads()?, Instant::now());
        for number in 0..count {
            let due = start + Duration::from_secs(1) * u32::try_from(number)? / rate;
            while let Some(left) = due.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
                crowd.turn(left, &mut |text| took.push(since_sent(&sent, text)))?;
            }
            let sender = &mut crowd.clients[number % SENDERS];
            sender.say(&room, format!("{number:0TEXT$}").as_bytes());
            sent.push(Instant::now());
            sender.flush()?;
        }
        crowd.until_delivered(&mut |text| took.push(since_sent(&sent, text)))?;
        let cpu = before.used_since()?;
        let delivered = crowd.delivered().0;
        Ok(Quiet { cpu_per_million: per_million(cpu, delivered), latency: percentiles(took, [500, 990])? })
    }

    /// Handshake, registration, JOIN, PART and QUIT, each in an empty room of its own: the processor time of each. Many
    /// come before the first goes: InspIRCd looks once a second whom it can welcome.
    pub(crate) fn connect(&self, certificate: Certificate, connections: usize) -> Outcome<Duration> {
        let server = self.start(Placement::Pinned, certificate)?;
        let config = trust(&certificate.files(&self.folder)[1])?;
        let address = server.address();
        let come_and_go = |names: &'static str, count| {
            let mut crowd = IrcCrowd::new(names, true)?;
            crowd.join(address, &config, count)?;
            crowd.go()
        };
        come_and_go("warm", 1)?;
        let before = server.living_threads()?;
        let (each, visit) = (connections / AT_A_TIME.len(), &come_and_go);
        thread::scope(|scope| {
            let go = |names| scope.spawn(move || visit(names, each).map_err(|error| error.to_string()));
            let threads = AT_A_TIME.map(go);
            threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a client panicked")?)
        })?;
        Ok(before.used_since()? / u32::try_from(each * AT_A_TIME.len())?)
    }

    /// The memory that somebody takes who is there and says nothing, in bytes.
    pub(crate) fn idle(&self, clients: usize) -> Outcome<u64> {
        let server = self.start(Placement::Pinned, Certificate::Ecdsa)?;
        let config = trust(&Certificate::Ecdsa.files(&self.folder)[1])?;
        let mut crowd = IrcCrowd::new("m", false)?;
        let empty = server.resident()?;
        // Few at a time: what many need who come at once is not what they need later.
        for first in (0..clients).step_by(AT_ONCE) {
            crowd.join(server.address(), &config, AT_ONCE.min(clients - first))?;
        }
        let held = server.resident()?.saturating_sub(empty);
        crowd.listen(self.setup.warm_up)?;
        Ok(held / clients as u64)
    }
}

/// Keeps so many senders ahead of the slowest reader.
fn flood(crowd: &mut IrcCrowd, senders: usize, pace: Filling, how_long: Duration) -> Outcome<()> {
    let (room, text, end) = (crowd.room(0), [b'x'; TEXT], Instant::now() + how_long);
    while Instant::now() < end {
        let more = (pace.window * senders as u64).saturating_sub(crowd.behind()) / senders as u64;
        for sender in &mut crowd.clients[..senders] {
            for _ in 0..more / pace.together {
                (0..pace.together).for_each(|_| sender.say(&room, &text));
                sender.flush()?;
            }
        }
        crowd.turn(Duration::from_millis(100), &mut ignore)?;
    }
    Ok(())
}
