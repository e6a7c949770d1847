//! The load: all members of a server in one thread, which reads whatever comes, as soon as it comes.

use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use cfb_chat::chat::name::RoomName;
use cfb_chat::net::timespec;
use cfb_chat::secure::identity::Identity;
use rustix::event::epoll;

use super::Outcome;
use super::member::{Delivered, Line, Member, PATIENCE};

/// Bytes that are read of one connection before the next has its turn.
pub(crate) const CHUNK: usize = 64 * 1_024;
/// Connections that one turn looks at: few, so that senders hear soon that they may go on.
pub(crate) const EVENTS: usize = 64;
/// Each member that has said nothing for so long pings, as clients do.
const PING: Duration = Duration::from_secs(30);
/// And each that has had an event tells so this often, as clients do: after 10 to 20 s.
const SEEN: Duration = Duration::from_secs(15);
/// And at once of so many.
const SEEN_AT_ONCE: u64 = 8_192;
/// Whoever waits for something looks again after this.
const GLANCE: Duration = Duration::from_millis(10);

/// Everybody who is connected.
pub(crate) struct Crowd {
    /// What its members' names begin with.
    names: &'static str,
    epoll: OwnedFd,
    pub(crate) members: Vec<Member>,
    closed: usize,
    /// Whether the server has been asked to end: nobody has anything more to tell it.
    ends: bool,
    chunk: Vec<u8>,
    pinged: Turns,
    told: Turns,
}

/// Whose turn it is of many, each of whom is to have one in a certain time.
struct Turns {
    each: Duration,
    last: Instant,
    next: usize,
}

impl Turns {
    fn new(each: Duration) -> Self {
        Self { each, last: Instant::now(), next: 0 }
    }

    /// Those of so many whose turn is due; nobody has two at once.
    fn due(&mut self, of: usize) -> impl Iterator<Item = usize> + use<> {
        let due = self.last.elapsed().as_nanos() * of as u128 / self.each.as_nanos();
        let (begin, due) = (self.next, usize::try_from(due).map_or(of, |due| due.min(of)));
        if due > 0 {
            (self.last, self.next) = (Instant::now(), (begin + due) % of);
        }
        (begin..begin + due).map(move |turn| turn % of)
    }
}

/// What is ready to be read, after `timeout` at most.
pub(crate) fn wait_for<'a>(
    epoll: &OwnedFd,
    ready: &'a mut [MaybeUninit<epoll::Event>],
    timeout: Duration,
) -> Outcome<&'a [epoll::Event]> {
    match epoll::wait(epoll, ready, Some(&timespec(timeout))) {
        Ok((ready, _)) => Ok(ready),
        Err(rustix::io::Errno::INTR) => Ok(&[]),
        Err(error) => Err(error.into()),
    }
}

/// What to do with an envelope that is of no interest beyond having been delivered.
pub(crate) fn ignore(_place: usize, _envelope: &[u8]) {}

impl Crowd {
    /// Nobody yet.
    pub(crate) fn new(names: &'static str) -> Outcome<Self> {
        Ok(Self {
            names,
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            members: Vec::new(),
            closed: 0,
            ends: false,
            chunk: vec![0; CHUNK],
            pinged: Turns::new(PING),
            told: Turns::new(SEEN),
        })
    }

    /// Lets `count` more join a room, one after the other, and waits until all of the room know of all.
    pub(crate) fn join(&mut self, address: SocketAddr, identity: &Identity, room: &str, count: usize) -> Outcome<()> {
        self.join_as(address, |_| identity, room, count)
    }

    /// The same, each by the identity for their place.
    pub(crate) fn join_as<'a>(
        &mut self,
        address: SocketAddr,
        identity: impl Fn(usize) -> &'a Identity,
        room: &str,
        count: usize,
    ) -> Outcome<()> {
        let room = RoomName::parse(room).map_err(|_| "a room's name")?;
        let newcomers = self.members.len()..self.members.len() + count;
        for place in newcomers.clone() {
            let member = Member::connect(address, identity(place), &format!("{}{place}", self.names), &room)?;
            self.members.push(member);
            self.listen_to(place)?;
            self.until("somebody was not welcomed", |crowd| crowd.members[place].tally.welcomed == 1)?;
        }
        let all = count as u64;
        self.until("somebody does not know who is there", |crowd| {
            crowd.members[newcomers.clone()].iter().all(|member| member.tally.change == all)
        })
    }

    /// From now on this member reads what comes.
    pub(crate) fn listen_to(&self, place: usize) -> Outcome<()> {
        let data = epoll::EventData::new_u64(place as u64);
        Ok(epoll::add(&self.epoll, &self.members[place], data, epoll::EventFlags::IN)?)
    }

    /// From now on it does not, but is there.
    pub(crate) fn pause(&self, place: usize) -> Outcome<()> {
        Ok(epoll::delete(&self.epoll, &self.members[place])?)
    }

    /// Reads what has come, after waiting for it for `timeout` at most. `said` gets each envelope of what was said, and
    /// who has heard it.
    pub(crate) fn turn(&mut self, timeout: Duration, said: &mut impl FnMut(usize, &[u8])) -> Outcome<()> {
        let mut ready = [const { MaybeUninit::uninit() }; EVENTS];
        for event in wait_for(&self.epoll, &mut ready, timeout)? {
            let place = usize::try_from(event.data.u64())?;
            let member = &mut self.members[place];
            if member.read(&mut self.chunk, &mut |envelope| said(place, envelope))? == Line::Closed {
                if !member.tally.bye {
                    return Err("a connection was lost".into());
                }
                epoll::delete(&self.epoll, &*member)?;
                self.closed += 1;
            } else if member.unseen() >= SEEN_AT_ONCE && !member.tally.bye {
                member.tell_seen()?;
            }
        }
        self.tell()
    }

    /// Reads until `done`.
    pub(crate) fn until(&mut self, otherwise: &str, done: impl Fn(&Self) -> bool) -> Outcome<()> {
        self.until_hearing(&mut ignore, otherwise, done)
    }

    /// Reads until `done`. `said` gets each envelope of what was said.
    pub(crate) fn until_hearing(
        &mut self,
        said: &mut impl FnMut(usize, &[u8]),
        otherwise: &str,
        done: impl Fn(&Self) -> bool,
    ) -> Outcome<()> {
        self.until_within(PATIENCE, said, otherwise, done)
    }

    /// The same, with as much patience as that.
    pub(crate) fn until_within(
        &mut self,
        timeout: Duration,
        said: &mut impl FnMut(usize, &[u8]),
        otherwise: &str,
        done: impl Fn(&Self) -> bool,
    ) -> Outcome<()> {
        let deadline = Instant::now() + timeout;
        while !done(self) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(otherwise.into());
            }
            self.turn(left.min(GLANCE), said)?;
        }
        Ok(())
    }

    /// Reads for so long.
    pub(crate) fn listen(&mut self, how_long: Duration) -> Outcome<()> {
        let end = Instant::now() + how_long;
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            self.turn(left.min(PING / 1_000), &mut ignore)?;
        }
        Ok(())
    }

    /// Reads until the server has said goodbye to everybody.
    pub(crate) fn until_closed(&mut self) -> Outcome<()> {
        self.ends = true;
        self.until("somebody was not told goodbye", |crowd| crowd.closed == crowd.members.len())
    }

    /// Waits until everything that was said has come to everybody in the room, once; fails if it has not.
    pub(crate) fn until_delivered(
        &mut self,
        said: &mut impl FnMut(usize, &[u8]),
        members: Range<usize>,
    ) -> Outcome<()> {
        self.until_delivered_within(PATIENCE, said, members)
    }

    /// The same, with as much patience as that.
    pub(crate) fn until_delivered_within(
        &mut self,
        timeout: Duration,
        said: &mut impl FnMut(usize, &[u8]),
        members: Range<usize>,
    ) -> Outcome<()> {
        let sent: u64 = self.members[members.clone()].iter().map(|member| member.sent).sum();
        self.until_within(timeout, said, "something was not delivered", |crowd| {
            let heard = |member: &Member| member.tally.delivered.said >= sent - member.sent;
            let has_all = |member: &Member| heard(member) && member.unaccepted() == 0;
            crowd.members[members.clone()].iter().all(has_all)
        })?;
        let twice = self.members[members].iter().any(|member| member.tally.delivered.said > sent - member.sent);
        if twice { Err("something was delivered twice".into()) } else { Ok(()) }
    }

    /// What has been delivered so far.
    pub(crate) fn delivered(&self) -> Delivered {
        let all = self.members.iter().map(|member| member.tally.delivered);
        all.fold(Delivered::default(), |sum, one| Delivered {
            said: sum.said + one.said,
            records: sum.records + one.records,
            bytes: sum.bytes + one.bytes,
        })
    }

    /// How long each Say waited for its Accepted, of those that have been answered since this was last asked.
    pub(crate) fn waited(&mut self) -> Vec<Duration> {
        self.members.iter_mut().flat_map(|member| std::mem::take(&mut member.waited)).collect()
    }

    /// Those whom the server has not told goodbye.
    pub(crate) fn here(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| !member.tally.bye)
    }

    /// Those whose turn it is tell that they are there, and what they have seen.
    fn tell(&mut self) -> Outcome<()> {
        let count = self.members.len();
        if self.ends || count == 0 {
            return Ok(());
        }
        for place in self.pinged.due(count) {
            let member = &mut self.members[place];
            // Its turn comes once in that time, give or take a little.
            if !member.tally.bye && member.quiet_for() > PING / 2 {
                member.ping()?;
            }
        }
        for place in self.told.due(count) {
            let member = &mut self.members[place];
            if !member.tally.bye {
                member.tell_seen()?;
            }
        }
        Ok(())
    }
}
