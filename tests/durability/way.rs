//! The way from one person to the server, on which connections end as chance has it: reset, ended in order in the middle
//! of a record, or fallen silent; and on which what goes through comes late, in pieces, or all at once.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::set_socket_linger;

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Both ends are reset.
    Reset,
    /// Both are told that there is no more, wherever a record may be.
    End,
    /// Neither hears of it.
    Silence,
}

/// What is done to connections; shared by all ways.
pub struct Weather {
    /// How they end; if not at all, only their pace is changed.
    cuts: Vec<Cut>,
    /// After how many bytes one way, from when on it is bad: as many, at most.
    most: usize,
    is_bad: AtomicBool,
    pub resets: AtomicUsize,
    pub ends: AtomicUsize,
    pub silences: AtomicUsize,
}

impl Weather {
    /// Fair at first.
    pub fn fair(cuts: &[Cut], most: usize) -> Arc<Self> {
        let zero = AtomicUsize::default;
        let is_bad = AtomicBool::new(false);
        Arc::new(Self { cuts: cuts.to_vec(), most, is_bad, resets: zero(), ends: zero(), silences: zero() })
    }

    pub fn turns(&self, bad: bool) {
        self.is_bad.store(bad, Ordering::Relaxed);
    }

    fn is_bad(&self) -> bool {
        self.is_bad.load(Ordering::Relaxed)
    }
}

/// Opens a way to a server, gives its port.
pub fn open_way(server: u16, weather: &Arc<Weather>, seed: u64) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (weather, mut chance) = (weather.clone(), StdRng::seed_from_u64(seed));
    thread::spawn(move || {
        for client in listener.incoming() {
            let (Ok(client), Ok(server)) = (client, TcpStream::connect((Ipv4Addr::LOCALHOST, server))) else {
                continue;
            };
            let passing = Passing { weather: weather.clone(), chance: StdRng::seed_from_u64(chance.random()) };
            // A connection that has ended of itself is nothing to tell.
            thread::spawn(move || passing.pass_on(client, server));
        }
    });
    port
}

/// One connection.
struct Passing {
    weather: Arc<Weather>,
    chance: StdRng,
}

impl Passing {
    fn pass_on(mut self, client: TcpStream, server: TcpStream) -> io::Result<()> {
        let mut sockets = [client, server];
        for socket in &sockets {
            socket.set_nodelay(true)?;
        }
        let mut chunk = [0; 4_096];
        // Which direction is counted, and what is left of it.
        let mut left: Option<(usize, usize)> = None;
        loop {
            if self.weather.is_bad() && left.is_none() && !self.weather.cuts.is_empty() {
                left = Some((self.chance.random_range(0..2), self.chance.random_range(0..self.weather.most)));
            }
            for from in readable(&sockets) {
                let is_bad = self.weather.is_bad();
                let mut read = sockets[from].read(&mut chunk)?;
                if read == 0 {
                    return sockets[1 - from].shutdown(Shutdown::Write);
                }
                let fills_up = is_bad && self.chance.random_range(0..4) == 0 && read < chunk.len();
                if fills_up {
                    // What comes a little later goes with it.
                    sockets[from].set_read_timeout(Some(Duration::from_millis(self.chance.random_range(1..8))))?;
                    read += sockets[from].read(&mut chunk[read..]).unwrap_or(0);
                    sockets[from].set_read_timeout(None)?;
                }
                let is_cut = match &mut left {
                    Some((counted, rest)) if is_bad && *counted == from => {
                        let goes = read.min(*rest);
                        *rest -= goes;
                        let is_cut = goes < read;
                        read = goes;
                        is_cut
                    }
                    _ => false,
                };
                let all = &chunk[..read];
                self.write(&mut sockets[1 - from], all)?;
                if is_cut {
                    return self.cut(sockets);
                }
            }
        }
    }

    /// In one piece, or byte by byte.
    fn write(&mut self, to: &mut TcpStream, all: &[u8]) -> io::Result<()> {
        if !self.weather.is_bad() || self.chance.random_range(0..2) == 0 {
            return to.write_all(all);
        }
        for byte in all.chunks(1) {
            to.write_all(byte)?;
            if self.chance.random_range(0..256) == 0 {
                thread::sleep(Duration::from_micros(self.chance.random_range(0..3_000)));
            }
        }
        Ok(())
    }

    fn cut(&mut self, sockets: [TcpStream; 2]) -> io::Result<()> {
        let cut = self.weather.cuts[self.chance.random_range(0..self.weather.cuts.len())];
        match cut {
            Cut::Reset => {
                self.weather.resets.fetch_add(1, Ordering::Relaxed);
                for socket in &sockets {
                    // To close it is to reset it.
                    set_socket_linger(socket, Some(Duration::ZERO))?;
                }
            }
            Cut::End => {
                self.weather.ends.fetch_add(1, Ordering::Relaxed);
                for socket in &sockets {
                    socket.shutdown(Shutdown::Write)?;
                }
                swallow(sockets, Duration::from_secs(2));
            }
            Cut::Silence => {
                self.weather.silences.fetch_add(1, Ordering::Relaxed);
                swallow(sockets, Duration::from_secs(60));
            }
        }
        Ok(())
    }
}

/// Takes what comes, and passes nothing on, until both have ended or it has been long enough.
fn swallow(sockets: [TcpStream; 2], timeout: Duration) {
    let end = Instant::now() + timeout;
    let swallowing = sockets.map(|mut socket| {
        thread::spawn(move || {
            let mut chunk = [0; 4_096];
            while let left @ 1.. = end.saturating_duration_since(Instant::now()).as_millis() {
                let left = Duration::from_millis(u64::try_from(left).unwrap_or(1));
                if socket.set_read_timeout(Some(left)).is_err() || !matches!(socket.read(&mut chunk), Ok(1..)) {
                    return;
                }
            }
        })
    });
    for thread in swallowing {
        let _ = thread.join();
    }
}

/// Which of these have something, or have ended; nothing for a moment is none.
fn readable(sockets: &[TcpStream; 2]) -> Vec<usize> {
    let mut waiting = sockets.each_ref().map(|socket| PollFd::new(socket, PollFlags::IN));
    let moment = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
    let _ = poll(&mut waiting, Some(&moment));
    (0..2).filter(|at| !waiting[*at].revents().is_empty()).collect()
}
