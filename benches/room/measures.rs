//! What is measured, and how.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use super::cpu::{self, Placement};
use super::load::{Crowd, ignore};
use super::member::Member;
use super::server_process::ServerProcess;
use super::{Outcome, Setup};

/// Members who speak, of all who listen.
pub(crate) const SENDERS: usize = 4;
/// A sender waits while the slowest reader is behind by about this many bytes: nobody is to be cut off for being slow.
pub(crate) const MAX_BEHIND: u64 = 1_024 * 1_024;

pub(crate) const LOBBY: &str = "#lobby";

/// A room in which as much is said as the server can deliver.
pub(crate) struct Saturated {
    pub(crate) members: usize,
    /// Says that each sender sends before it waits for an answer.
    pub(crate) unanswered: u64,
    pub(crate) placement: Placement,
    /// Bytes of each envelope.
    pub(crate) envelope: usize,
    pub(crate) per_second: f64,
    pub(crate) cpu_per_million: f64,
    pub(crate) per_record: f64,
    /// Bytes on the wire for each delivery.
    pub(crate) bytes_each: f64,
    /// The shares of one core that the server and the load used.
    pub(crate) busy: [f64; 2],
    /// From a Say's sending to its Accepted: p50, p99.
    pub(crate) accepted: [Duration; 2],
    /// Says a second, and bytes that the server has had written to the disk in a second.
    pub(crate) said_per_second: f64,
    pub(crate) written_per_second: f64,
}

/// A room in which now and then somebody says something.
pub(crate) struct Light {
    pub(crate) members: usize,
    pub(crate) rate: u32,
    pub(crate) placement: Placement,
    /// From a Say's sending to a member's having opened it: p50, p99, p99.9.
    pub(crate) latency: [Duration; 3],
    /// From a Say's sending to its Accepted: p50, p99.
    pub(crate) accepted: [Duration; 2],
    pub(crate) cpu_per_million: f64,
    pub(crate) per_record: f64,
}

/// People who come and go.
pub(crate) struct Connect {
    /// What each does.
    pub(crate) what: &'static str,
    pub(crate) connections: usize,
    pub(crate) at_a_time: usize,
    pub(crate) cpu_each: Duration,
    pub(crate) wall_each: Duration,
}

/// Who comes and goes at the same time.
pub(crate) const AT_A_TIME: [&str; 4] = ["a", "b", "c", "d"];

/// People who are there and say nothing.
pub(crate) struct Idle {
    pub(crate) members: usize,
    pub(crate) memory_each: u64,
    pub(crate) window: Duration,
    pub(crate) cpu: Duration,
    /// What it used while nobody said anything, for how long.
    pub(crate) silence: (Duration, Duration),
    /// Connections held at the end, in two rooms.
    pub(crate) held: usize,
    pub(crate) memory_held: u64,
}

/// A server, and everybody in it.
pub(crate) struct Scene {
    pub(crate) server: ServerProcess,
    pub(crate) crowd: Crowd,
}

impl Scene {
    pub(crate) fn new(setup: &Setup, placement: Placement, members: usize, options: &[&str]) -> Outcome<Self> {
        let server = ServerProcess::start(setup, placement, options)?;
        let mut crowd = Crowd::new("m")?;
        crowd.join(server.address(), &setup.identity, LOBBY, members)?;
        Ok(Self { server, crowd })
    }

    pub(crate) fn end(mut self) -> Outcome<()> {
        self.server.terminate()?;
        self.crowd.until_closed()?;
        self.server.wait()
    }
}

/// Says as much as the server takes, for a while, and counts what is delivered; once for each number of Says that a
/// sender sends before it waits for an answer.
pub(crate) fn saturated(
    setup: &Setup,
    placement: Placement,
    members: usize,
    envelope: &[u8],
    windows: &[u64],
    options: &[&str],
) -> Outcome<Vec<Saturated>> {
    let mut scene = Scene::new(setup, placement, members, options)?;
    let mut all = Vec::new();
    for &unanswered in windows {
        flood(&mut scene.crowd, envelope, unanswered, setup.warm_up)?;
        let before = (scene.server.cpu()?, cpu::of_this_thread(), Instant::now(), scene.crowd.delivered());
        let written = scene.server.written()?;
        scene.crowd.waited();
        flood(&mut scene.crowd, envelope, unanswered, setup.window)?;
        let cpu = scene.server.cpu()?.saturating_sub(before.0);
        let own_cpu = cpu::of_this_thread().saturating_sub(before.1);
        let (wall, delivered) = (before.2.elapsed(), scene.crowd.delivered());
        let (written, waited) = (scene.server.written()? - written, scene.crowd.waited());
        scene.crowd.until_delivered(&mut ignore, 0..members)?;
        let deliveries = delivered.said - before.3.said;
        all.push(Saturated {
            members,
            unanswered,
            placement,
            envelope: envelope.len(),
            per_second: ratio(deliveries, 1) / wall.as_secs_f64(),
            cpu_per_million: per_million(cpu, deliveries),
            per_record: ratio(deliveries, delivered.records - before.3.records),
            bytes_each: ratio(delivered.bytes - before.3.bytes, deliveries),
            busy: [cpu, own_cpu].map(|used| used.as_secs_f64() / wall.as_secs_f64()),
            said_per_second: ratio(waited.len() as u64, 1) / wall.as_secs_f64(),
            accepted: percentiles(waited, [500, 990])?,
            written_per_second: ratio(written, 1) / wall.as_secs_f64(),
        });
    }
    scene.end()?;
    Ok(all)
}

/// Keeps every sender's window full, unless somebody reads too slowly.
fn flood(crowd: &mut Crowd, envelope: &[u8], unanswered: u64, how_long: Duration) -> Outcome<()> {
    let end = Instant::now() + how_long;
    while Instant::now() < end {
        if behind(&crowd.members) * (envelope.len() as u64) < MAX_BEHIND {
            for sender in &mut crowd.members[..SENDERS] {
                (sender.unaccepted()..unanswered).for_each(|_| sender.say(envelope));
                sender.flush()?;
            }
        }
        crowd.turn(Duration::from_millis(100), &mut ignore)?;
    }
    Ok(())
}

/// How many envelopes the slowest of these readers, among whom are all senders, has yet to get, at most.
pub(crate) fn behind(members: &[Member]) -> u64 {
    let sent: u64 = members.iter().map(|member| member.sent).sum();
    let slowest = members.iter().map(|member| member.tally.delivered.said + member.sent).min();
    sent - slowest.unwrap_or(sent)
}

/// Says something `rate` times a second, and takes the time until it is there.
pub(crate) fn light(
    setup: &Setup,
    placement: Placement,
    members: usize,
    rate: u32,
    options: &[&str],
) -> Outcome<Light> {
    let mut scene = Scene::new(setup, placement, members, options)?;
    let count = usize::try_from(setup.listening.as_secs() * u64::from(rate))?;
    let mut sent: Vec<Instant> = Vec::with_capacity(count);
    let (mut took, length) = (Vec::with_capacity(count * members), setup.envelope.len());
    // Nobody comes or goes: no thread ends.
    let before = scene.server.living_threads()?;
    talk(&mut scene.crowd, SENDERS, rate, count, length, &mut sent, &mut |sent, _, envelope| {
        took.push(since_sent(sent, envelope));
    })?;
    scene.crowd.until_delivered(&mut |_, envelope| took.push(since_sent(&sent, envelope)), 0..members)?;
    let cpu = before.used_since()?;
    let delivered = scene.crowd.delivered();
    let accepted = percentiles(scene.crowd.waited(), [500, 990])?;
    scene.end()?;
    Ok(Light {
        members,
        rate,
        placement,
        latency: percentiles(took, [500, 990, 999])?,
        accepted,
        cpu_per_million: per_million(cpu, delivered.said),
        per_record: ratio(delivered.said, delivered.records),
    })
}

/// The first so many say something in turn, `rate` times a second in all, `count` times: the number of its Say, under
/// which `sent` has when that was. `heard` gets that, who has opened something, and what.
pub(crate) fn talk(
    crowd: &mut Crowd,
    speakers: usize,
    rate: u32,
    count: usize,
    length: usize,
    sent: &mut Vec<Instant>,
    heard: &mut impl FnMut(&[Instant], usize, &[u8]),
) -> Outcome<()> {
    let start = Instant::now();
    for turn in 0..count {
        let due = start + Duration::from_secs(1) * u32::try_from(turn)? / rate;
        while let Some(left) = due.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            crowd.turn(left, &mut |place, envelope| heard(sent, place, envelope))?;
        }
        let number = sent.len();
        let sender = &mut crowd.members[number % speakers];
        sender.say(format!("{number:0length$}").as_bytes());
        sent.push(Instant::now());
        sender.flush()?;
    }
    Ok(())
}

/// An envelope of [`talk`] is the number of its Say.
pub(crate) fn since_sent(sent: &[Instant], envelope: &[u8]) -> Duration {
    sent[number_of(envelope)].elapsed()
}

/// The number that an envelope is.
pub(crate) fn number_of(envelope: &[u8]) -> usize {
    // With more digits none can be.
    let digits = &envelope[envelope.len().saturating_sub(19)..];
    let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
    number.expect("what was said is what was sent")
}

/// Handshake, Join, Leave and goodbye, some at a time, each in an empty room of its own: the load's processor is never
/// idle, so that no send of the server pays for waking one.
pub(crate) fn connect(setup: &Setup, connections: usize) -> Outcome<Connect> {
    let come_and_go = |address, name: &'static str| {
        let mut crowd = Crowd::new(name)?;
        crowd.join(address, &setup.identity, &format!("#{name}"), 1)?;
        crowd.members[0].leave()?;
        crowd.until_closed()
    };
    let begin = |address, name| come_and_go(address, name).map(|()| (address, name));
    visits(setup, "joins and leaves", connections, begin, |(address, name)| come_and_go(*address, name))
}

/// Handshake and Join, by which a session goes on whose connection was lost: the same credential each time.
pub(crate) fn connect_again(setup: &Setup, connections: usize) -> Outcome<Connect> {
    let begin = |address, name: &'static str| {
        let mut crowd = Crowd::new(name)?;
        crowd.join(address, &setup.identity, &format!("#{name}"), 1)?;
        Ok((address, crowd))
    };
    visits(setup, "is lost and comes back", connections, begin, |(address, crowd)| {
        crowd.members[0].resume(*address, &setup.identity)?;
        crowd.listen_to(0)?;
        let pongs = crowd.members[0].tally.pongs;
        crowd.until("somebody is not back", |crowd| crowd.members[0].tally.pongs > pongs)
    })
}

/// So many visits, some at a time, by people who have begun to be there before that.
fn visits<V: Send>(
    setup: &Setup,
    what: &'static str,
    connections: usize,
    begin: impl Fn(SocketAddr, &'static str) -> Outcome<V>,
    visit: impl Fn(&mut V) -> Outcome<()> + Sync,
) -> Outcome<Connect> {
    let mut server = ServerProcess::start(setup, Placement::Pinned, &[])?;
    let visitors = AT_A_TIME.iter().map(|name| begin(server.address(), name)).collect::<Outcome<Vec<V>>>()?;
    let (each, visit) = (connections / AT_A_TIME.len(), &visit);
    let before = (server.cpu()?, Instant::now());
    thread::scope(|scope| {
        let go = |mut visitor: V| {
            scope.spawn(move || {
                let done = (0..each).try_for_each(|_| visit(&mut visitor));
                done.map_err(|error| error.to_string())
            })
        };
        let threads: Vec<_> = visitors.into_iter().map(go).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a client panicked")?)
    })?;
    let (cpu, wall) = (server.cpu()?.saturating_sub(before.0), before.1.elapsed());
    server.terminate()?;
    server.wait()?;
    let count = u32::try_from(each * AT_A_TIME.len())?;
    Ok(Connect { what, connections, at_a_time: AT_A_TIME.len(), cpu_each: cpu / count, wall_each: wall / count })
}

/// What it costs to hold people who say nothing, then as many again in a second room.
pub(crate) fn idle(setup: &Setup, members: usize) -> Outcome<Idle> {
    let mut scene = Scene::new(setup, Placement::Pinned, 0, &[])?;
    let (address, identity) = (scene.server.address(), &setup.identity);
    let empty = scene.server.resident()?;
    scene.crowd.join(address, identity, LOBBY, members)?;
    let memory = scene.server.resident()? - empty;
    let (cpu, start) = (scene.server.cpu()?, Instant::now());
    scene.crowd.listen(setup.listening)?;
    let (cpu, window) = (scene.server.cpu()?.saturating_sub(cpu), start.elapsed());
    let before = scene.server.cpu()?;
    thread::sleep(setup.listening);
    let silence = (scene.server.cpu()?.saturating_sub(before), setup.listening);
    scene.crowd.join(address, identity, "#second", members)?;
    let rooms = [0..members, members..2 * members];
    for room in rooms {
        let speaker = &mut scene.crowd.members[room.start];
        speaker.say(&setup.envelope);
        speaker.flush()?;
        scene.crowd.until_delivered(&mut ignore, room)?;
    }
    let (held, memory_held) = (scene.crowd.members.len(), scene.server.resident()?);
    scene.end()?;
    Ok(Idle { members, memory_each: memory / members as u64, window, cpu, silence, held, memory_held })
}

/// Processor seconds for a million deliveries.
pub(crate) fn per_million(cpu: Duration, deliveries: u64) -> f64 {
    cpu.as_secs_f64() * ratio(1_000_000, deliveries)
}

/// So many of a thousand took no longer than this.
pub(crate) fn percentiles<const N: usize>(mut took: Vec<Duration>, of: [usize; N]) -> Outcome<[Duration; N]> {
    took.sort_unstable();
    let last = took.len().checked_sub(1).ok_or("nothing was measured")?;
    Ok(of.map(|per_mille| took[last * per_mille / 1_000]))
}

#[allow(clippy::cast_precision_loss, reason = "counts far below 2^52")]
pub(crate) fn ratio(of: u64, to: u64) -> f64 {
    of as f64 / to as f64
}
