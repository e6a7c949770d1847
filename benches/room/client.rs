//! How fast the client is for whoever uses it: from its start to a prompt, and reading a room in which much is said.
//!
//! It knows the server and everybody there; its key is one of 3072 bits. Nothing is simulated here either: what is said
//! is sealed and signed for all who are there, and the client has the key of each who speaks.

use std::time::{Duration, Instant};

use cfb_chat::chat::name::Name;
use cfb_chat::chat::name::RoomName;
use cfb_chat::secure::credential::{CredentialBundle, Role, SessionKeys, UnixSeconds, VerifiedCredential};
use cfb_chat::secure::e2e::body::{BodyKind, MessageBody};
use cfb_chat::secure::e2e::roster::RosterHash;
use cfb_chat::secure::e2e::sealed_box::{self, Purpose};
use cfb_chat::secure::e2e::sender_key::OutboundSenderKey;
use cfb_chat::store::key_files::{KeyHolder, load_or_make};
use cfb_chat::store::passphrase::PassphraseSource;

use super::big_room::NAME;
use super::client_process::{ClientProcess, Console, PROMPT};
use super::cpu::Placement;
use super::load::ignore;
use super::measures::{MAX_BEHIND, SENDERS, Scene, behind, ratio};
use super::member::{PATIENCE, now};
use super::{Outcome, Setup, TEXT};

/// How often it is started.
pub(crate) const STARTS: usize = 20;
/// A person who starts it may type after this at the latest.
pub(crate) const AIM_START: Duration = Duration::from_millis(60);
/// So much CPU may one message cost: 10,000 a second.
pub(crate) const AIM_EACH: Duration = Duration::from_micros(100);

/// So many messages may be on their way to the client, or in it: it never waits for one.
const AHEAD: u64 = 2_000;
/// Messages that a speaker says before it waits for an answer.
const UNANSWERED: u64 = 64;
/// How soon after something has happened it is looked at.
const GLANCE: Duration = Duration::from_micros(200);

/// What the client tells on its way in, in this order; the prompt is the last.
pub(crate) const STEPS: [&str; 5] = [
    "Connected successfully.",
    "Sending public key to server",
    "Exchange completed!",
    "Now you can start to exchange messages",
    PROMPT,
];

/// A room of so many, and a client there.
pub(crate) struct Client {
    pub(crate) members: usize,
    /// From the process's start until each of the steps was seen; medians.
    pub(crate) steps: [Duration; STEPS.len()],
    pub(crate) start_cpu: Duration,
    pub(crate) busy: Vec<Busy>,
}

/// A room in which much is said, and a client that shows it.
pub(crate) struct Busy {
    pub(crate) console: Console,
    pub(crate) messages: u64,
    pub(crate) cpu_each: Duration,
    /// How many a second were shown.
    pub(crate) per_second: f64,
}

/// Measures a client in a room with so many others.
pub(crate) fn measure(setup: &Setup, members: usize) -> Outcome<Client> {
    let home = setup.keys.join("client");
    load_or_make(&home, KeyHolder::Client(NAME), 3072, &mut rand::rng(), &PassphraseSource::default())?;
    super::big_room::forget(&home.join("known_servers"))?;
    let mut scene = Scene::new(setup, Placement::Pinned, members, &[])?;
    scene.crowd.members[..SENDERS].iter_mut().for_each(|speaker| speaker.tally.minds_people = true);
    let start = |scene: &Scene, console| ClientProcess::start(scene.server.address(), NAME, &home, console);
    // The server is known from here on, and so is everybody; both programs are in memory.
    let mut client = start(&scene, Console::Pipes)?;
    until_said(&mut scene, &mut client, STEPS[3])?;
    leave(&mut scene, client)?;
    let mut starts = Vec::with_capacity(STARTS);
    for _ in 0..STARTS {
        let mut client = start(&scene, Console::Terminal)?;
        let mut steps = [Duration::ZERO; STEPS.len()];
        for (step, took) in STEPS.into_iter().zip(&mut steps) {
            *took = until_said(&mut scene, &mut client, step)?;
        }
        starts.push((steps, client.living_threads()?.in_all()));
        leave(&mut scene, client)?;
    }
    let mut busy = Vec::new();
    for console in [Console::Pipes, Console::Terminal] {
        let mut client = start(&scene, console)?;
        let ready = if console == Console::Terminal { PROMPT } else { STEPS[3] };
        until_said(&mut scene, &mut client, ready)?;
        busy.push(flood(setup, &mut scene, &client, console)?);
        leave(&mut scene, client)?;
    }
    scene.end()?;
    let steps = std::array::from_fn(|step| median(starts.iter().map(|(steps, _)| steps[step]).collect()));
    Ok(Client { members, steps, start_cpu: median(starts.into_iter().map(|(_, cpu)| cpu).collect()), busy })
}

/// Four speak as fast as the client shows it, for a while.
fn flood(setup: &Setup, scene: &mut Scene, client: &ClientProcess, console: Console) -> Outcome<Busy> {
    let mut speakers = speakers(scene)?;
    let mut said = 0;
    let mut shown = 0;
    let mut talk = |scene: &mut Scene, how_long: Duration| -> Outcome<()> {
        let end = Instant::now() + how_long;
        while Instant::now() < end {
            let may_say = behind(&scene.crowd.members) * (setup.envelope.len() as u64) < MAX_BEHIND;
            for (place, speaker) in speakers.iter_mut().enumerate() {
                let member = &mut scene.crowd.members[place];
                while may_say && member.unaccepted() < UNANSWERED && said - shown < AHEAD {
                    member.say(&speaker.envelope(member));
                    said += 1;
                }
                member.flush()?;
            }
            scene.crowd.turn(GLANCE, &mut ignore)?;
            shown += client.count_said(SAID)?;
        }
        let deadline = Instant::now() + PATIENCE;
        while shown < said {
            if Instant::now() >= deadline {
                return Err(format!("the client has shown {shown} of {said}").into());
            }
            scene.crowd.turn(GLANCE, &mut ignore)?;
            shown += client.count_said(SAID)?;
        }
        if shown > said { Err("the client has shown something twice".into()) } else { Ok(()) }
    };
    talk(scene, setup.warm_up)?;
    let (before, start) = (client.living_threads()?, Instant::now());
    let told = scene.crowd.members[..SENDERS].iter().map(|member| member.sent).sum::<u64>();
    talk(scene, setup.window)?;
    let (cpu, wall) = (before.used_since()?, start.elapsed());
    let messages = scene.crowd.members[..SENDERS].iter().map(|member| member.sent).sum::<u64>() - told;
    let cpu_each = cpu / u32::try_from(messages)?;
    Ok(Busy { console, messages, cpu_each, per_second: ratio(messages, 1) / wall.as_secs_f64() })
}

/// What is in each line that the client shows of them.
const SAID: &str = ": xxxx";

/// Somebody who speaks as PROTOCOL.md §7 has it, to a room that does not change.
struct Speaker {
    key: OutboundSenderKey,
    roster: RosterHash,
    said: Vec<u8>,
}

impl Speaker {
    fn envelope(&mut self, member: &super::member::Member) -> Vec<u8> {
        self.key.seal(&self.said).sign(&member.own, member.server(), RoomName::lobby().as_str(), self.roster)
    }
}

/// Those who speak, when all have heard of the client; their keys are on the way to it.
fn speakers(scene: &mut Scene) -> Outcome<Vec<Speaker>> {
    let crowd = &mut scene.crowd;
    crowd.until("the client's coming was not heard of", |crowd| {
        crowd.members.iter().all(|member| member.tally.change == crowd.members[0].tally.change)
            && crowd.members[..SENDERS].iter().all(|member| member.tally.person.is_some())
    })?;
    let person = crowd.members[0].tally.person.clone().ok_or("the client was told of")?;
    let client = keys_of(&CredentialBundle {
        spki: &person.spki,
        credential: &person.credential,
        signature: &person.signature,
    })?;
    let mut sessions: Vec<[u8; 32]> = crowd.members.iter().map(|member| member.own.session()).collect();
    sessions.push(client.session);
    sessions.sort_unstable();
    let (rng, room) = (&mut rand::rng(), RoomName::lobby());
    let said = MessageBody { sent_at: now()?.0 * 1_000, kind: BodyKind::Text, text: "x".repeat(TEXT) }.pad();
    let speak = |member: &mut super::member::Member| -> Outcome<Speaker> {
        let roster = RosterHash::new(member.server(), room.as_str(), member.tally.change, sessions.iter());
        let key = OutboundSenderKey::new(rng, 0);
        let shared = key.shared(room.as_str());
        let boxed = sealed_box::seal(rng, &member.own, &client, member.server(), Purpose::Key, 1, &shared)?;
        member.share(person.member, boxed);
        member.flush()?;
        Ok(Speaker { key, roster, said: said.clone() })
    };
    crowd.members[..SENDERS].iter_mut().map(speak).collect()
}

fn keys_of(presented: &CredentialBundle<'_>) -> Outcome<SessionKeys> {
    let now = UnixSeconds(now()?.0);
    let checked = VerifiedCredential::check(*presented, Role::User, now, |name| Name::parse(name).is_ok());
    Ok(checked.map_err(|why| why.to_string())?.session_keys())
}

/// Reads for all until the client has said something. Gives how long after its start that was.
fn until_said(scene: &mut Scene, client: &mut ClientProcess, what: &str) -> Outcome<Duration> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(when) = client.has_said(what)? {
            return Ok(when);
        }
        glance(scene, deadline)?;
    }
}

/// The client leaves; everybody has heard of it.
fn leave(scene: &mut Scene, mut client: ClientProcess) -> Outcome<()> {
    client.type_line("EXIT")?;
    let deadline = Instant::now() + PATIENCE;
    while !client.has_ended()? {
        glance(scene, deadline)?;
    }
    scene.crowd.until("somebody was not heard leaving", |crowd| {
        let change = crowd.members[0].tally.change;
        change % 2 == crowd.members.len() as u64 % 2 && crowd.members.iter().all(|member| member.tally.change == change)
    })?;
    scene.crowd.members[..SENDERS].iter_mut().for_each(|speaker| speaker.tally.person = None);
    Ok(())
}

fn glance(scene: &mut Scene, deadline: Instant) -> Outcome<()> {
    if Instant::now() >= deadline {
        return Err("the client takes too long".into());
    }
    scene.crowd.turn(GLANCE, &mut ignore)
}

fn median(mut all: Vec<Duration>) -> Duration {
    all.sort_unstable();
    all.get(all.len() / 2).copied().unwrap_or_default()
}
