//! Many readers do not read while others talk: what the server holds for them.

use std::time::{Duration, Instant};

use super::cpu::{self, Placement};
use super::load::{Crowd, ignore};
use super::measures::{self, LOBBY, SENDERS, Scene};
use super::server_process::ServerProcess;
use super::{Outcome, Setup};

/// Members who read, of whom some talk.
pub(crate) const ACTIVE: usize = 20;
/// How much the journal holds, in MiB.
pub(crate) const BOUND: u64 = 64;
/// What is said while the others do not read, in MiB: what the journal holds for them, and what it does not.
const SAID: [u64; 2] = [24, 80];
/// Bytes of each envelope.
const ENVELOPE: usize = 2_048;
/// Says of each talker that are not answered.
const UNANSWERED: u64 = 16;
/// How far the active may be behind, in envelopes.
const MAX_BEHIND: u64 = 512;
/// The server's memory is looked at this often.
const GLANCE: Duration = Duration::from_millis(20);
/// What is still under way has come to its end after this, and everybody has told what they have seen.
const SETTLE: Duration = Duration::from_secs(3);
/// For each reader to catch up in, beside a while for all.
const PATIENCE: Duration = Duration::from_secs(10);
const PATIENCE_EACH: Duration = Duration::from_millis(300);

/// How it went: once with what the journal holds, once with more.
pub(crate) struct Lagging {
    pub(crate) readers: usize,
    pub(crate) rounds: Vec<Round>,
}

/// Talk while they did not read, and how they went on. Memory is in bytes.
pub(crate) struct Round {
    /// What was said.
    pub(crate) said: u64,
    /// What the server held before.
    pub(crate) before: u64,
    /// What it held at most while they did not read.
    pub(crate) peak: u64,
    /// And while they read again.
    pub(crate) reading: u64,
    /// And when all was quiet.
    pub(crate) after: u64,
    /// What the system held for all connections, at both ends, at most: before, and while they did not read.
    pub(crate) system: [u64; 2],
    /// How many have had everything; the others were told that they are too slow.
    pub(crate) had_all: usize,
    /// How long it took until all had that.
    pub(crate) took: Duration,
}

pub(crate) fn measure(setup: &Setup, readers: usize) -> Outcome<Lagging> {
    let mut scene = Scene::new(setup, Placement::Pinned, 0, &["--journal-size", &BOUND.to_string()])?;
    scene.crowd.join(scene.server.address(), &setup.identity, LOBBY, ACTIVE + readers)?;
    let rounds = SAID.map(|mib| round(&mut scene, readers, mib * 1_024 * 1_024));
    let rounds = rounds.into_iter().collect::<Outcome<_>>()?;
    scene.end()?;
    Ok(Lagging { readers, rounds })
}

fn round(scene: &mut Scene, readers: usize, said: u64) -> Outcome<Round> {
    let Scene { server, crowd } = scene;
    let lagging = ACTIVE..ACTIVE + readers;
    crowd.listen(SETTLE)?;
    let (before, system) = (server.resident()?, cpu::held_for_tcp()?);
    lagging.clone().try_for_each(|place| crowd.pause(place))?;
    let mut peak = Peak::default();
    talk(server, crowd, said, &mut peak)?;
    let (at_peak, system) = (peak.bytes, [system, cpu::held_for_tcp()?]);
    let start = Instant::now();
    lagging.clone().try_for_each(|place| crowd.listen_to(place))?;
    let sent: u64 = crowd.members.iter().map(|member| member.sent).sum();
    let deadline = start + PATIENCE + PATIENCE_EACH * u32::try_from(readers)?;
    let mut peak = Peak::default();
    // Who has had everything has had it in order, and once.
    while crowd.members[lagging.clone()].iter().any(|it| !it.tally.bye && it.tally.delivered.said < sent) {
        if Instant::now() >= deadline {
            return Err("somebody has neither had everything nor been told that they are too slow".into());
        }
        crowd.turn(GLANCE, &mut ignore)?;
        peak.look(server)?;
    }
    let took = start.elapsed();
    let had_all = crowd.members[lagging].iter().filter(|it| it.tally.delivered.said == sent).count();
    crowd.listen(SETTLE)?;
    Ok(Round { said, before, peak: at_peak, reading: peak.bytes, after: server.resident()?, system, had_all, took })
}

/// So much is said, and all who read have it.
fn talk(server: &ServerProcess, crowd: &mut Crowd, bytes: u64, peak: &mut Peak) -> Outcome<()> {
    let envelope = [7; ENVELOPE];
    let mut left = bytes / ENVELOPE as u64;
    while left > 0 {
        if measures::behind(&crowd.members[..ACTIVE]) < MAX_BEHIND {
            for sender in &mut crowd.members[..SENDERS] {
                let more = UNANSWERED.saturating_sub(sender.unaccepted()).min(left);
                (0..more).for_each(|_| sender.say(&envelope));
                left -= more;
                sender.flush()?;
            }
        }
        crowd.turn(GLANCE, &mut ignore)?;
        peak.look(server)?;
    }
    crowd.until_delivered(&mut ignore, 0..ACTIVE)?;
    peak.at = None;
    peak.look(server)
}

/// The most memory that a server was seen to hold.
#[derive(Default)]
struct Peak {
    bytes: u64,
    at: Option<Instant>,
}

impl Peak {
    fn look(&mut self, server: &ServerProcess) -> Outcome<()> {
        if self.at.is_none_or(|at| at.elapsed() >= GLANCE) {
            self.at = Some(Instant::now());
            self.bytes = self.bytes.max(server.resident()?);
        }
        Ok(())
    }
}
