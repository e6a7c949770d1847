//! Somebody on the path of datagrams: loses, doubles, delays and keeps them, and says things in others' names.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use cfb_chat::net::timespec;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rustix::event::{PollFd, PollFlags, poll};

/// The longest datagram that it passes on.
const MAX_DATAGRAM: usize = 1_200;
/// What a test has changed is seen after this at the latest.
const LOOK: Duration = Duration::from_millis(10);

/// How a network is bad; the first three in datagrams of a hundred.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    pub lost: u32,
    pub doubled: u32,
    /// Come up to 50 ms later than they should.
    pub late: u32,
    pub delay: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    Server,
    Client,
}

/// A relay on the path to one server.
pub struct Relay {
    pub port: u16,
    state: Arc<Mutex<State>>,
}

/// A datagram, when it goes on, and for which client or from which.
type Due = Reverse<(Instant, u64, Direction, SocketAddr, Vec<u8>)>;

struct State {
    down: Arc<UdpSocket>,
    server: SocketAddr,
    /// Each client, and the socket that is it for the server.
    up: HashMap<SocketAddr, Arc<UdpSocket>>,
    way: Faults,
    rng: StdRng,
    due: BinaryHeap<Due>,
    count: u64,
    kept: Vec<(Direction, Vec<u8>)>,
    too_long: usize,
}

impl Relay {
    pub fn to(server: u16, way: Faults, seed: u64) -> Self {
        let down = Arc::new(local());
        let port = down.local_addr().expect("an address").port();
        let state = State {
            down,
            server: (Ipv4Addr::LOCALHOST, server).into(),
            up: HashMap::new(),
            way,
            rng: StdRng::seed_from_u64(seed),
            due: BinaryHeap::new(),
            count: 0,
            kept: Vec::new(),
            too_long: 0,
        };
        let state = Arc::new(Mutex::new(state));
        let weak = Arc::downgrade(&state);
        thread::spawn(move || {
            while let Some(state) = weak.upgrade() {
                pass_on(&state);
            }
        });
        Self { port, state }
    }

    /// Everything that has gone in so far.
    pub fn kept(&self, to: Direction) -> Vec<Vec<u8>> {
        self.lock().kept.iter().filter(|(which, _)| *which == to).map(|(_, bytes)| bytes.clone()).collect()
    }

    /// How many datagrams were longer than a network may pass on.
    pub fn too_long(&self) -> usize {
        self.lock().too_long
    }

    /// From now on the network is as bad as this.
    pub fn becomes(&self, way: Faults) {
        self.lock().way = way;
    }

    /// From how many addresses clients have sent something.
    pub fn addresses(&self) -> usize {
        self.lock().up.len()
    }

    /// From now on the server sees every client at another port; what it sends to the old ones is lost.
    pub fn moves(&self) {
        let mut state = self.lock();
        state.up.values_mut().for_each(|socket| *socket = Arc::new(local()));
    }

    /// Says something to the server as if it were each of the clients.
    pub fn forge_to_server(&self, bytes: &[u8]) {
        let state = self.lock();
        for socket in state.up.values() {
            let _ = socket.send_to(bytes, state.server);
        }
    }

    /// Says something to each client as if it were the server.
    pub fn forge_to_clients(&self, bytes: &[u8]) {
        let state = self.lock();
        for client in state.up.keys() {
            let _ = state.down.send_to(bytes, client);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("the relay goes on")
    }
}

/// A socket of this machine that does not wait.
pub fn local() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    socket.set_nonblocking(true).expect("a socket");
    socket
}

/// Waits for something to come or go, and passes all of it on.
fn pass_on(state: &Mutex<State>) {
    let (down, up, timeout) = {
        let state = state.lock().expect("tests do not panic with it");
        let next = state.due.peek().map(|Reverse((when, ..))| when.saturating_duration_since(Instant::now()));
        let up: Vec<_> = state.up.iter().map(|(client, socket)| (*client, socket.clone())).collect();
        (state.down.clone(), up, next.unwrap_or(LOOK).min(LOOK))
    };
    let mut waiting = vec![PollFd::new(&*down, PollFlags::IN)];
    waiting.extend(up.iter().map(|(_, socket)| PollFd::new(&**socket, PollFlags::IN)));
    let _ = poll(&mut waiting, Some(&timespec(timeout)));
    let mut state = state.lock().expect("tests do not panic with it");
    let mut buffer = [0; 2_048];
    while let Ok((length, client)) = down.recv_from(&mut buffer) {
        state.up.entry(client).or_insert_with(|| Arc::new(local()));
        state.take(Direction::Server, client, &buffer[..length]);
    }
    for (client, socket) in up {
        while let Ok((length, _)) = socket.recv_from(&mut buffer) {
            state.take(Direction::Client, client, &buffer[..length]);
        }
    }
    state.send_due();
}

impl State {
    fn take(&mut self, to: Direction, client: SocketAddr, bytes: &[u8]) {
        self.kept.push((to, bytes.to_vec()));
        if bytes.len() > MAX_DATAGRAM {
            self.too_long += 1;
            return;
        }
        let Faults { lost, doubled, late, delay } = self.way;
        if self.happens(lost) {
            return;
        }
        for _ in 0..=u32::from(self.happens(doubled)) {
            let more = if self.happens(late) { self.rng.random_range(0..50) } else { 0 };
            let when = Instant::now() + delay + Duration::from_millis(more);
            self.count += 1;
            self.due.push(Reverse((when, self.count, to, client, bytes.to_vec())));
        }
    }

    fn happens(&mut self, of_a_hundred: u32) -> bool {
        self.rng.random_range(0..100) < of_a_hundred
    }

    fn send_due(&mut self) {
        let now = Instant::now();
        while self.due.peek().is_some_and(|Reverse((when, ..))| *when <= now) {
            let Some(Reverse((_, _, to, client, bytes))) = self.due.pop() else { return };
            let _ = match to {
                Direction::Server => self.up[&client].send_to(&bytes, self.server),
                Direction::Client => self.down.send_to(&bytes, client),
            };
        }
    }
}
