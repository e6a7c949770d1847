//! Many who are there and say nothing, beside a room that is talked in: what they cost, and what that room has of them.

use std::time::{Duration, Instant};

use super::cpu::{self, Placement};
use super::measures::{SENDERS, Scene, per_million, percentiles, since_sent, talk};
use super::{Outcome, Setup};

/// Members of each of their rooms.
pub(crate) const ROOM: usize = 100;
/// What is said in a second, in all.
pub(crate) const RATE: u32 = 20;
/// Joins of the first and of the last that are looked at.
pub(crate) const JOINS: usize = 500;
/// What is still under way has come to its end after this.
const SETTLE: Duration = Duration::from_secs(2);

/// How it went: without the others, and with them there.
pub(crate) struct Held {
    pub(crate) talking: usize,
    pub(crate) others: usize,
    /// The room that is talked in: from a Say's sending to a member's having opened it, p50 and p99.
    pub(crate) latency: [[Duration; 2]; 2],
    /// The server's processor seconds for a million deliveries there, whatever it did else meanwhile.
    pub(crate) cpu_per_million: [f64; 2],
    /// The share of a core that the server needs for all, while nobody says anything.
    pub(crate) idle: [f64; 2],
    /// What the server holds, in bytes, and what the kernel does for all threads' stacks.
    pub(crate) memory: [u64; 2],
    pub(crate) stacks: [u64; 2],
    /// Threads and mappings of the server.
    pub(crate) threads: [[usize; 2]; 2],
    /// The server's processor time for a join, of the first of the others and of the last.
    pub(crate) join: [Duration; 2],
    /// The joins that were looked at.
    pub(crate) joins: usize,
}

/// What is seen of the server, with so many there.
struct Seen {
    latency: [Duration; 2],
    cpu_per_million: f64,
    idle: f64,
    memory: u64,
    stacks: u64,
    threads: [usize; 2],
}

/// Lets so many talk, and so many others come, and talks again.
pub(crate) fn measure(setup: &Setup, talking: usize, others: usize) -> Outcome<Held> {
    let mut scene = Scene::new(setup, Placement::Pinned, talking, &[])?;
    let mut sent = Vec::new();
    let alone = look(setup, &mut scene, talking, &mut sent)?;
    let (mut join, joins) = ([Duration::ZERO; 2], JOINS.min(others / 2));
    for number in 0..others / ROOM {
        let before = scene.server.cpu()?;
        scene.crowd.join(scene.server.address(), &setup.identity, &format!("#room{number}"), ROOM)?;
        let cpu = scene.server.cpu()?.saturating_sub(before);
        let is_last = number >= (others - joins) / ROOM;
        if is_last || number < joins / ROOM {
            join[usize::from(is_last)] += cpu / u32::try_from(joins)?;
        }
    }
    let beside = look(setup, &mut scene, talking, &mut sent)?;
    scene.end()?;
    let both = [alone, beside];
    Ok(Held {
        talking,
        others,
        latency: both.each_ref().map(|it| it.latency),
        cpu_per_million: both.each_ref().map(|it| it.cpu_per_million),
        idle: both.each_ref().map(|it| it.idle),
        memory: both.each_ref().map(|it| it.memory),
        stacks: both.each_ref().map(|it| it.stacks),
        threads: both.each_ref().map(|it| it.threads),
        join,
        joins,
    })
}

fn look(setup: &Setup, scene: &mut Scene, talking: usize, sent: &mut Vec<Instant>) -> Outcome<Seen> {
    scene.crowd.listen(SETTLE)?;
    // Nobody comes or goes: no thread ends.
    let (before, start) = (scene.server.living_threads()?, Instant::now());
    scene.crowd.listen(setup.listening)?;
    let idle = before.used_since()?.as_secs_f64() / start.elapsed().as_secs_f64();
    let count = usize::try_from(setup.listening.as_secs() * u64::from(RATE))?;
    let (mut took, length) = (Vec::with_capacity(count * talking), setup.envelope.len());
    let (before, delivered) = (scene.server.living_threads()?, scene.crowd.delivered().said);
    talk(&mut scene.crowd, SENDERS, RATE, count, length, sent, &mut |sent, _, envelope| {
        took.push(since_sent(sent, envelope));
    })?;
    scene.crowd.until_delivered(&mut |_, envelope| took.push(since_sent(sent, envelope)), 0..talking)?;
    let cpu = before.used_since()?;
    Ok(Seen {
        latency: percentiles(took, [500, 990])?,
        cpu_per_million: per_million(cpu, scene.crowd.delivered().said - delivered),
        idle,
        memory: scene.server.resident()?,
        stacks: cpu::held_for_stacks()?,
        threads: scene.server.threads_and_mappings()?,
    })
}
