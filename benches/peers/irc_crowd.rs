//! The load: all clients of an IRC server in one thread, which reads whatever comes, as soon as it comes.

use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::epoll;
use rustls::ClientConfig;

use super::irc_client::IrcClient;
use super::load::{CHUNK, EVENTS, wait_for};
use super::member::{Line, PATIENCE};
use super::peer_process::Peer;
use super::setup::Outcome;

/// How often it is looked at what is waited for, if nothing comes.
const GLANCE: Duration = Duration::from_millis(10);

/// Those who join at a time: what all others are told of them is to stay well below what may wait for a reader.
pub(crate) const AT_ONCE: usize = 25;

/// Everybody who is connected, and in a room.
pub(crate) struct IrcCrowd {
    /// What its clients' names begin with, and the name of their room.
    names: &'static str,
    /// Whether each has a room of its own.
    apart: bool,
    epoll: OwnedFd,
    pub(crate) clients: Vec<IrcClient>,
    closed: usize,
    chunk: Vec<u8>,
}

/// What to do with a text that is of no interest beyond having been delivered.
pub(crate) fn ignore(_text: &[u8]) {}

impl IrcCrowd {
    /// Nobody yet.
    pub(crate) fn new(names: &'static str, apart: bool) -> Outcome<Self> {
        Ok(Self {
            names,
            apart,
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            clients: Vec::new(),
            closed: 0,
            chunk: vec![0; CHUNK],
        })
    }

    /// Where a client is.
    pub(crate) fn room(&self, place: usize) -> String {
        if self.apart { format!("#{}{place}", self.names) } else { format!("#{}", self.names) }
    }

    /// This client may say as much as it likes.
    pub(crate) fn free(&mut self, peer: Peer, place: usize) -> Outcome<()> {
        let nick = format!("{}{place}", self.names);
        peer.frees(&nick).map_or(Ok(()), |lines| self.clients[place].tell(&lines))
    }

    /// Lets so many more come, and join some at a time, and waits until all know of all.
    pub(crate) fn join(&mut self, address: SocketAddr, config: &Arc<ClientConfig>, more: usize) -> Outcome<()> {
        let newcomers = self.clients.len()..self.clients.len() + more;
        let count = newcomers.end;
        for place in newcomers.clone() {
            let client = IrcClient::connect(address, config, &format!("{}{place}", self.names))?;
            let data = epoll::EventData::new_u64(place as u64);
            epoll::add(&self.epoll, &client, data, epoll::EventFlags::IN)?;
            self.clients.push(client);
        }
        self.until("somebody was not welcomed", |crowd| crowd.clients.iter().all(|client| client.tally.welcomed))?;
        for place in newcomers {
            let join = format!("JOIN {}", self.room(place));
            self.clients[place].tell(&join)?;
            let here = place + 1;
            if here % AT_ONCE != 0 && here < count {
                continue;
            }
            // The first hears of all who come into its room, the second of one less.
            let heard = if self.apart { here } else { here * (here + 1) / 2 } as u64;
            self.until("somebody does not know who is there", |crowd| {
                let all_listed = crowd.clients[..here].iter().all(|client| client.tally.listed);
                all_listed && crowd.clients.iter().map(|client| client.tally.joined).sum::<u64>() == heard
            })?;
        }
        Ok(())
    }

    /// Reads what has come, after waiting for it for `timeout` at most.
    pub(crate) fn turn(&mut self, timeout: Duration, said: &mut impl FnMut(&[u8])) -> Outcome<()> {
        let mut ready = [const { MaybeUninit::uninit() }; EVENTS];
        for event in wait_for(&self.epoll, &mut ready, timeout)? {
            let client = &mut self.clients[usize::try_from(event.data.u64())?];
            if client.read(&mut self.chunk, said)? == Line::Closed {
                if !client.tally.bye {
                    return Err("a connection was lost".into());
                }
                epoll::delete(&self.epoll, &*client)?;
                self.closed += 1;
            }
        }
        Ok(())
    }

    /// Reads until `done`.
    pub(crate) fn until(&mut self, otherwise: &str, done: impl Fn(&Self) -> bool) -> Outcome<()> {
        self.until_hearing(&mut ignore, otherwise, done)
    }

    fn until_hearing(
        &mut self,
        said: &mut impl FnMut(&[u8]),
        otherwise: &str,
        done: impl Fn(&Self) -> bool,
    ) -> Outcome<()> {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) {
            if Instant::now() >= deadline {
                return Err(otherwise.into());
            }
            self.turn(GLANCE, said)?;
        }
        Ok(())
    }

    /// Reads for so long.
    pub(crate) fn listen(&mut self, how_long: Duration) -> Outcome<()> {
        let end = Instant::now() + how_long;
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            self.turn(left, &mut ignore)?;
        }
        Ok(())
    }

    /// Everybody leaves the room and goes.
    pub(crate) fn go(&mut self) -> Outcome<()> {
        for place in 0..self.clients.len() {
            let part = format!("PART {}\r\nQUIT", self.room(place));
            self.clients[place].tell(&part)?;
        }
        self.until("somebody was not told goodbye", |crowd| crowd.closed == crowd.clients.len())
    }

    /// Waits until everything that was said has come to everybody else, once; fails if it has not.
    pub(crate) fn until_delivered(&mut self, said: &mut impl FnMut(&[u8])) -> Outcome<()> {
        self.until_hearing(said, "something was not delivered", |crowd| crowd.behind() == 0)?;
        let sent = self.sent();
        let twice = self.clients.iter().any(|client| client.tally.said + client.sent > sent);
        if twice { Err("something was delivered twice".into()) } else { Ok(()) }
    }

    fn sent(&self) -> u64 {
        self.clients.iter().map(|client| client.sent).sum()
    }

    /// How many lines the slowest reader has yet to get.
    pub(crate) fn behind(&self) -> u64 {
        let slowest = self.clients.iter().map(|client| client.tally.said + client.sent).min();
        let sent = self.sent();
        sent.saturating_sub(slowest.unwrap_or(sent))
    }

    /// Lines that have been delivered so far, and records that have come.
    pub(crate) fn delivered(&self) -> (u64, u64) {
        let all = self.clients.iter().map(|client| client.tally);
        all.fold((0, 0), |(said, reads), tally| (said + tally.said, reads + tally.reads))
    }
}
