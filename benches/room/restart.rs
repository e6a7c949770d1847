//! The server is killed and started again on what it has kept: everybody goes on.

use std::time::{Duration, Instant};

use super::cpu::{self, Placement};
use super::load::ignore;
use super::measures::{SENDERS, Scene};
use super::server_process::{LOG_LEVEL, ServerProcess};
use super::{Outcome, Setup};

/// What half of them have yet to hear when the server is killed.
pub(crate) const UNHEARD: usize = 20;
/// The server's processor time until all talk again, for a thousand.
pub(crate) const AIM: Duration = Duration::from_secs(2);
/// What a thousand who speak to a thousand take.
const PATIENCE: Duration = Duration::from_secs(120);
/// What is still under way has come to its end after this.
const SETTLE: Duration = Duration::from_millis(200);

/// How it went.
pub(crate) struct Restart {
    pub(crate) members: usize,
    /// When the server listened.
    pub(crate) listens: Cost,
    /// When all were back, and had had what they had missed.
    pub(crate) back: Cost,
    /// When one had said something, and all had heard it.
    pub(crate) heard: Cost,
    /// When all had said something, and all had heard that.
    pub(crate) talked: Cost,
    /// The server's processor time for as many handshakes as there were, and nothing else.
    pub(crate) handshakes: Duration,
}

/// Since the server's start: its processor time, the load's, and how long it was.
#[derive(Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) server: Duration,
    pub(crate) load: Duration,
    pub(crate) wall: Duration,
}

pub(crate) fn measure(setup: &Setup, members: usize) -> Outcome<Restart> {
    let Scene { server, mut crowd } = Scene::new(setup, Placement::Pinned, members, &[])?;
    let half = members / 2;
    (half..members).try_for_each(|place| crowd.pause(place))?;
    for number in 0..UNHEARD {
        let sender = &mut crowd.members[number % SENDERS];
        sender.say(&setup.envelope);
        sender.flush()?;
    }
    crowd.until_delivered(&mut ignore, 0..half)?;
    (0..half).try_for_each(|place| crowd.pause(place))?;
    let pongs: Vec<u64> = crowd.members.iter().map(|member| member.tally.pongs).collect();
    server.kill()?;

    let (start, own) = (Instant::now(), cpu::of_this_thread());
    let server = ServerProcess::start_again(setup, Placement::Pinned, &[LOG_LEVEL, "error"])?;
    let cost = |server: &ServerProcess| {
        let load = cpu::of_this_thread().saturating_sub(own);
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(Cost { server: server.cpu()?, load, wall: start.elapsed() })
    };
    let listens = cost(&server)?;
    for place in 0..members {
        crowd.members[place].resume(server.address(), &setup.identity)?;
        crowd.listen_to(place)?;
    }
    crowd.until_within(PATIENCE, &mut ignore, "somebody is not back", |crowd| {
        let mut both = crowd.members.iter().zip(&pongs);
        both.all(|(member, pongs)| member.tally.welcomed == 2 && member.tally.pongs > *pongs)
    })?;
    let back = cost(&server)?;
    // What half of them had not heard is among what all must have.
    crowd.members[0].say(&setup.envelope);
    crowd.members[0].flush()?;
    crowd.until_delivered_within(PATIENCE, &mut ignore, 0..members)?;
    let heard = cost(&server)?;
    for member in &mut crowd.members {
        member.say(&setup.envelope);
        member.flush()?;
    }
    crowd.until_delivered_within(PATIENCE, &mut ignore, 0..members)?;
    let talked = cost(&server)?;

    // Each of these is an attempt that went no further, of which the server would warn.
    crowd.listen(SETTLE)?;
    let before = server.cpu()?;
    crowd.members.iter().try_for_each(|member| member.shake_hands(server.address(), &setup.identity))?;
    crowd.listen(SETTLE)?;
    let handshakes = server.cpu()?.saturating_sub(before);
    Scene { server, crowd }.end()?;
    Ok(Restart { members, listens, back, heard, talked, handshakes })
}
