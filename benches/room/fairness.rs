//! A room that is talked in quietly, without and with those who disturb: one who does not read, one who says more than
//! they may, and one who comes and goes as fast as they may. The server's limits are on.
//!
//! All come from one address, as from a classroom; those who disturb have what the load leaves of its processor.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use cfb_chat::chat::name::{MAX_TEXT, RoomName};
use cfb_chat::net::timespec;
use cfb_chat::secure::identity::Identity;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::nice;

use super::cpu::Placement;
use super::load::{CHUNK, Crowd};
use super::measures::{LOBBY, percentiles, since_sent, talk};
use super::member::{Line, Member, PATIENCE, Tally};
use super::server_process::{LIMITS, LOG_LEVEL, ServerProcess};
use super::setup::identities;
use super::{Outcome, Setup};

/// What is said in a second, in all: each says less than they may.
pub(crate) const RATE: u32 = 20;
/// The p99 with those who disturb is to be at most so many times that without them.
pub(crate) const AIM: f64 = 2.0;
/// Names that one identity may have.
const NAMES_EACH: usize = 8;
/// The largest envelope that is taken, which the one says who says more than they may; nobody else's begins so.
const LARGEST: usize = MAX_TEXT + 512;
const MARK: u8 = b'f';
/// What they say at once: twice that is more than the server takes of anybody.
const AT_ONCE: u64 = 64;
/// Nobody disturbs any more after this.
const SETTLE: Duration = Duration::from_secs(1);
/// Whoever disturbs looks this often whether they still are to.
const GLANCE: Duration = Duration::from_millis(10);

/// The priority of whoever disturbs.
const LEAST: i32 = 19;
/// Of what is told: p50, p99, p99.9.
const OF: [usize; 3] = [500, 990, 999];

/// How it went.
pub(crate) struct Fairness {
    pub(crate) members: usize,
    pub(crate) phase: Duration,
    /// From a Say's sending to another member's having opened it, p50, p99 and p99.9: of each round, without and with.
    pub(crate) rounds: Vec<[[Duration; 3]; 2]>,
    /// The same of all rounds.
    pub(crate) all: [[Duration; 3]; 2],
    pub(crate) flood: Flood,
    pub(crate) visits: Visits,
}

/// What became of the one who says more than they may.
#[derive(Default)]
pub(crate) struct Flood {
    pub(crate) accepted: u64,
    pub(crate) told_off: u64,
    pub(crate) cut: u64,
}

/// And of the one who comes and goes.
#[derive(Default)]
pub(crate) struct Visits {
    pub(crate) made: u64,
    pub(crate) refused: u64,
}

/// What those who disturb have to know.
struct Mischief {
    address: SocketAddr,
    room: RoomName,
    goes_on: AtomicBool,
    ends: AtomicBool,
}

pub(crate) fn measure(setup: &Setup, members: usize, rounds: usize, phase: Duration) -> Outcome<Fairness> {
    let identities = identities(setup, members.div_ceil(NAMES_EACH) + 2)?;
    let [flooder, visitor, ordinary @ ..] = &identities[..] else { return Err("there are identities".into()) };
    let mut server = ServerProcess::start(setup, Placement::Pinned, &[LIMITS, "on", LOG_LEVEL, "error"])?;
    let mut crowd = Crowd::new("m")?;
    crowd.join_as(server.address(), |place| &ordinary[place / NAMES_EACH], LOBBY, members)?;
    let room = RoomName::parse(LOBBY).map_err(|_| "a room's name")?;
    let (goes_on, ends) = (AtomicBool::new(false), AtomicBool::new(false));
    let mischief = &Mischief { address: server.address(), room, goes_on, ends };
    let (talked, flood, visits) = thread::scope(|scope| {
        let flood = scope.spawn(|| flood(mischief, flooder).map_err(|error| error.to_string()));
        let visits = scope.spawn(|| visit(mischief, visitor).map_err(|error| error.to_string()));
        let talked = talk_in_turns(setup, &mut crowd, &mischief.goes_on, rounds, phase);
        mischief.ends.store(true, Ordering::Relaxed);
        (talked, flood.join(), visits.join())
    });
    let (flood, visits) = (flood.map_err(|_| "the flooder panicked")??, visits.map_err(|_| "the visitor panicked")??);
    let talked = talked?;
    server.terminate()?;
    crowd.until_closed()?;
    server.wait()?;
    let all = [0, 1].map(|which| talked.iter().flat_map(|both| both[which].clone()).collect());
    let of = |[without, with]: [Vec<Duration>; 2]| Ok([percentiles(without, OF)?, percentiles(with, OF)?]);
    let rounds = talked.into_iter().map(of).collect::<Outcome<_>>()?;
    Ok(Fairness { members, phase, rounds, all: of(all)?, flood, visits })
}

/// What ordinary members have heard.
struct Heard {
    /// How often each has heard an ordinary one.
    count: Vec<usize>,
    /// How long that took, but for the one who does not read at times, who is the last.
    took: Vec<Duration>,
}

impl Heard {
    fn hear(&mut self, sent: &[Instant], place: usize, envelope: &[u8]) {
        if envelope.first() == Some(&MARK) {
            return;
        }
        self.count[place] += 1;
        if place + 1 < self.count.len() {
            self.took.push(since_sent(sent, envelope));
        }
    }

    /// Whether the first so many have heard whatever the others have said.
    fn is_all(&self, crowd: &Crowd, sent: usize, readers: usize) -> bool {
        let mut both = self.count.iter().zip(&crowd.members).take(readers);
        both.all(|(count, member)| *count as u64 + member.sent == sent as u64)
    }
}

/// Gives how long everything took, of each round: without and with those who disturb. One reader, who is not among whom
/// that is of, reads nothing then.
fn talk_in_turns(
    setup: &Setup,
    crowd: &mut Crowd,
    goes_on: &AtomicBool,
    rounds: usize,
    phase: Duration,
) -> Outcome<Vec<[Vec<Duration>; 2]>> {
    let (members, length) = (crowd.members.len(), setup.envelope.len());
    let reader = members - 1;
    let count = usize::try_from(phase.as_secs())? * RATE as usize;
    let (mut sent, mut heard) = (Vec::new(), Heard { count: vec![0; members], took: Vec::new() });
    let mut all = Vec::new();
    for _ in 0..rounds {
        let mut both = [const { Vec::new() }; 2];
        for (took, disturbs) in both.iter_mut().zip([false, true]) {
            settle(crowd, &mut heard, &sent)?;
            goes_on.store(disturbs, Ordering::Relaxed);
            if disturbs {
                crowd.pause(reader)?;
            }
            heard.took.clear();
            talk(crowd, reader, RATE, count, length, &mut sent, &mut |sent, place, envelope| {
                heard.hear(sent, place, envelope);
            })?;
            let deadline = Instant::now() + PATIENCE;
            while !heard.is_all(crowd, sent.len(), reader) {
                if Instant::now() >= deadline {
                    return Err("something was not delivered".into());
                }
                crowd.turn(GLANCE, &mut |place, envelope| heard.hear(&sent, place, envelope))?;
            }
            *took = std::mem::take(&mut heard.took);
            goes_on.store(false, Ordering::Relaxed);
            if disturbs {
                crowd.listen_to(reader)?;
            }
        }
        all.push(both);
    }
    settle(crowd, &mut heard, &sent)?;
    Ok(all)
}

/// Waits until nobody disturbs any more, and who has not read has everything.
fn settle(crowd: &mut Crowd, heard: &mut Heard, sent: &[Instant]) -> Outcome<()> {
    let (end, members) = (Instant::now() + SETTLE, crowd.members.len());
    while Instant::now() < end || !heard.is_all(crowd, sent.len(), members) {
        if Instant::now() >= end + PATIENCE {
            return Err("the reader who had not read has not had everything".into());
        }
        crowd.turn(GLANCE, &mut |place, envelope| heard.hear(sent, place, envelope))?;
    }
    Ok(())
}

/// Says more than they may, until the server ends the connection; then comes back at once.
fn flood(mischief: &Mischief, identity: &Identity) -> Outcome<Flood> {
    nice(LEAST)?;
    let mut member = Member::connect(mischief.address, identity, "flooder", &mischief.room)?;
    member.tally.told_off = Some(0);
    let (mut flood, mut envelope) = (Flood::default(), vec![b'x'; LARGEST]);
    envelope[0] = MARK;
    look(&mut member, |tally| tally.welcomed == 1)?;
    let mut answered = 0;
    while !mischief.ends.load(Ordering::Relaxed) {
        let answers = |tally: &Tally| tally.accepted + tally.told_off.unwrap_or_default();
        let is_open = if mischief.goes_on.load(Ordering::Relaxed) {
            let next = member.tally.last_accepted + 1;
            (next..next + AT_ONCE).for_each(|n| member.say_as(n, &envelope));
            member.flush().is_ok() && look(&mut member, |tally| answers(tally) >= answered + AT_ONCE)? == Line::Open
        } else {
            thread::sleep(GLANCE);
            member.tell_seen().is_ok() && look(&mut member, |_| true)? == Line::Open
        };
        if !is_open {
            flood.cut += 1;
            let welcomed = member.tally.welcomed;
            member.resume(mischief.address, identity)?;
            look(&mut member, |tally| tally.welcomed > welcomed)?;
        }
        answered = answers(&member.tally);
    }
    (flood.accepted, flood.told_off) = (member.tally.last_accepted, member.tally.told_off.unwrap_or_default());
    Ok(flood)
}

/// Comes and goes; when told that this was too often, tries again at once.
fn visit(mischief: &Mischief, identity: &Identity) -> Outcome<Visits> {
    nice(LEAST)?;
    let mut visits = Visits::default();
    while !mischief.ends.load(Ordering::Relaxed) {
        if !mischief.goes_on.load(Ordering::Relaxed) {
            thread::sleep(GLANCE);
            continue;
        }
        let mut member = Member::connect(mischief.address, identity, "visitor", &mischief.room)?;
        member.tally.told_off = Some(0);
        look(&mut member, |tally| tally.welcomed == 1 || tally.told_off != Some(0))?;
        if member.tally.welcomed == 1 {
            member.leave()?;
            look(&mut member, |tally| tally.bye)?;
            visits.made += 1;
        } else {
            visits.refused += 1;
        }
    }
    Ok(visits)
}

/// Reads what has come, and waits for more of it until it is this, or the connection has ended.
fn look(member: &mut Member, is_it: impl Fn(&Tally) -> bool) -> Outcome<Line> {
    let (mut chunk, deadline) = (vec![0; CHUNK], Instant::now() + PATIENCE);
    loop {
        match member.read(&mut chunk, &mut |_| {}) {
            Ok(Line::Open) if is_it(&member.tally) => return Ok(Line::Open),
            Ok(Line::Open) => {}
            Ok(Line::Closed) => return Ok(Line::Closed),
            // Whoever is cut off while they send hears that in this way.
            Err(error) if error.is::<io::Error>() => return Ok(Line::Closed),
            Err(error) => return Err(error),
        }
        // What the socket did not take goes on.
        if member.flush().is_err() {
            return Ok(Line::Closed);
        }
        if Instant::now() >= deadline {
            return Err("somebody who disturbs was not answered".into());
        }
        poll(&mut [PollFd::new(&*member, PollFlags::IN)], Some(&timespec(GLANCE)))?;
    }
}
