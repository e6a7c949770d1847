//! What a big room costs somebody in it: the real client, with keys of its own, among members who only listen.
//!
//! In each round it joins knowing nobody, leaves, joins again knowing all, and says three lines: with the first goes
//! its key, in a box to each; with the second nothing; with the third, before which somebody has left who had the key,
//! a new one.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cfb_chat::store::key_files::{KeyHolder, load_or_make};
use cfb_chat::store::passphrase::PassphraseSource;

use super::client_process::{ClientProcess, Console};
use super::cpu::Placement;
use super::load::ignore;
use super::measures::Scene;
use super::member::PATIENCE;
use super::{Outcome, Setup, TEXT};

/// How often everything is done.
pub(crate) const ROUNDS: usize = 5;
/// What a key may cost its speaker, for each member: 15 ms of CPU among 100, 150 ms among 1,000.
pub(crate) const AIM_EACH: Duration = Duration::from_micros(150);

/// Nobody else's here, nor like anybody else's.
pub(crate) const NAME: &str = "Ira";
/// What is still under way when all have heard has come to its end after this: answers, goodbyes.
const SETTLE: Duration = Duration::from_millis(100);
/// How soon after the client has said something it is looked at.
const GLANCE: Duration = Duration::from_millis(1);

/// A room of so many, and what each thing that the client does there costs.
pub(crate) struct BigRoom {
    pub(crate) members: usize,
    pub(crate) joins_new: Cost,
    pub(crate) joins_known: Cost,
    pub(crate) first: Cost,
    pub(crate) next: Cost,
    pub(crate) after_leave: Cost,
}

/// Processor time of the client and of the server, and how long it took.
#[derive(Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) client: Duration,
    pub(crate) wall: Duration,
    pub(crate) server: Duration,
}

/// A room, and somebody who comes and goes.
struct Stage {
    scene: Scene,
    home: PathBuf,
    /// What everybody who is still here must have heard, and how many keys they must have.
    said: u64,
    keys: u64,
}

/// Measures a room of so many beside the client.
pub(crate) fn measure(setup: &Setup, members: usize) -> Outcome<BigRoom> {
    let home = setup.keys.join("client");
    load_or_make(&home, KeyHolder::Client(NAME), 3072, &mut rand::rng(), &PassphraseSource::default())?;
    forget(&home.join("known_servers"))?;
    let scene = Scene::new(setup, Placement::Pinned, members, &[])?;
    let mut stage = Stage { scene, home, said: 0, keys: 0 };
    // The server is known from here on, and both programs are in memory.
    let (client, _) = stage.joins()?;
    stage.leaves(client)?;
    let rounds = (0..ROUNDS).map(|round| stage.round(round)).collect::<Outcome<Vec<_>>>()?;
    stage.scene.end()?;
    let [joins_new, joins_known, first, next, after_leave] = [0, 1, 2, 3, 4].map(|step| median(&rounds, step));
    Ok(BigRoom { members, joins_new, joins_known, first, next, after_leave })
}

impl Stage {
    fn round(&mut self, round: usize) -> Outcome<[Cost; 5]> {
        forget(&self.home.join("known_users"))?;
        let (client, joins_new) = self.joins()?;
        self.leaves(client)?;
        let (mut client, joins_known) = self.joins()?;
        let first = self.says(&mut client, 1)?;
        let next = self.says(&mut client, 0)?;
        self.scene.crowd.members[round].leave()?;
        self.until_said(&client, "left the room")?;
        let after_leave = self.says(&mut client, 1)?;
        self.leaves(client)?;
        Ok([joins_new, joins_known, first, next, after_leave])
    }

    /// The client comes in; the others have heard of it.
    fn joins(&mut self) -> Outcome<(ClientProcess, Cost)> {
        self.scene.crowd.listen(SETTLE)?;
        let before = self.scene.server.living_threads()?;
        let client = ClientProcess::start(self.scene.server.address(), NAME, &self.home, Console::Pipes)?;
        let wall = self.until_said(&client, "Now you can start to exchange messages")?;
        self.until_rests(&client)?;
        let used = client.cpu_of_all_threads()?;
        self.scene.crowd.listen(SETTLE)?;
        let server = before.used_since()?;
        Ok((client, Cost { client: used, wall, server }))
    }

    /// The client says a line, which comes to everybody; so do so many keys.
    fn says(&mut self, client: &mut ClientProcess, keys: u64) -> Outcome<Cost> {
        // Nobody's thread ends from here on.
        self.scene.crowd.listen(SETTLE)?;
        let before = (client.living_threads()?, self.scene.server.living_threads()?);
        let start = Instant::now();
        client.type_line(&"x".repeat(TEXT))?;
        (self.said, self.keys) = (self.said + 1, self.keys + keys);
        let due = (self.said, self.keys);
        let crowd = &mut self.scene.crowd;
        crowd.until("a line was not heard by all", |crowd| {
            crowd.here().all(|member| member.tally.delivered.said >= due.0)
        })?;
        let wall = start.elapsed();
        crowd.listen(SETTLE)?;
        if crowd.here().any(|member| (member.tally.delivered.said, member.tally.keys) != due) {
            return Err("a line or a key is missing, or came twice".into());
        }
        Ok(Cost { client: before.0.used_since()?, wall, server: before.1.used_since()? })
    }

    fn leaves(&mut self, mut client: ClientProcess) -> Outcome<()> {
        client.type_line("EXIT")?;
        let deadline = Instant::now() + PATIENCE;
        while !client.has_ended()? {
            self.glance(deadline)?;
        }
        Ok(())
    }

    /// Reads for all until the client has nothing more to do: it looks who is there when one may type already.
    fn until_rests(&mut self, client: &ClientProcess) -> Outcome<()> {
        let mut before = client.cpu_of_all_threads()?;
        loop {
            self.scene.crowd.listen(SETTLE)?;
            let used = client.cpu_of_all_threads()?;
            if used == before {
                return Ok(());
            }
            before = used;
        }
    }

    /// Reads for all until the client has said something. Gives how long after its start that was.
    fn until_said(&mut self, client: &ClientProcess, what: &str) -> Outcome<Duration> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(when) = client.has_said(what)? {
                return Ok(when);
            }
            self.glance(deadline)?;
        }
    }

    fn glance(&mut self, deadline: Instant) -> Outcome<()> {
        if Instant::now() >= deadline {
            return Err("the client takes too long".into());
        }
        self.scene.crowd.turn(GLANCE, &mut ignore)
    }
}

/// The median of each figure by itself.
fn median(rounds: &[[Cost; 5]], step: usize) -> Cost {
    let of = |figure: fn(Cost) -> Duration| {
        let mut all: Vec<Duration> = rounds.iter().map(|costs| figure(costs[step])).collect();
        all.sort_unstable();
        all[all.len() / 2]
    };
    Cost { client: of(|cost| cost.client), wall: of(|cost| cost.wall), server: of(|cost| cost.server) }
}

pub(crate) fn forget(file: &Path) -> Outcome<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
