//! The hub: everybody who is here, and the couriers that are told what happens.
//!
//! ```text
//! connection threads, console ──lock──▶ Hall ──▶ Effects ──▶ couriers (bounded queues), log
//! ```
//!
//! A lock, not a thread: who has something to say does the little work that it brings about, and nobody has to be
//! woken for it. What takes long, sealing and sending, is the couriers'.
//!
//! Invariant: whoever holds the lock never waits for a socket or a log. They wait for a courier that has its hands
//! full, and everybody else with them: that is how a room's pace is kept to what can be delivered. A courier never
//! waits for the lock.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel;
use log::info;

use super::courier::{Command, Courier};
use crate::chat::hall::{Asks, Effect, Hall, Limits, Newcomer, Note, Verdict};
use crate::chat::message::ToServer;
use crate::chat::name::{Name, RoomName};
use crate::chat::{Conn, Moment};
use crate::net::Link;
use crate::net::channel::now_in_millis;
use crate::secure::record::Sealer;

/// Connections found slow that may wait to be reported.
const QUEUE: usize = 1_024;
/// How long everybody may take to hear that the server stops.
const FAREWELL: Duration = Duration::from_secs(2);

/// Everybody who is here: name and rooms.
pub type Who = Vec<(Name, Vec<RoomName>)>;

/// Everybody who is here, for all threads.
pub struct Hub {
    state: Mutex<State>,
    /// Somebody has gone, or the server is to stop.
    changed: Condvar,
}

struct State {
    hall: Hall,
    couriers: Vec<Courier>,
    effects: Vec<Effect>,
    attached: usize,
    /// Dropped as soon as the server is to stop.
    accepting: Option<UnixStream>,
}

impl Hub {
    /// Starts the couriers. `accepting` is dropped as soon as the server is to stop.
    ///
    /// # Errors
    /// Whatever the system says when it has no more threads or descriptors.
    pub fn start(limits: Limits, accepting: UnixStream) -> io::Result<Arc<Self>> {
        let state = State {
            hall: Hall::new(limits),
            couriers: Vec::new(),
            effects: Vec::new(),
            attached: 0,
            accepting: Some(accepting),
        };
        let hub = Arc::new(Self { state: Mutex::new(state), changed: Condvar::new() });
        let (report_slow, slow) = channel::bounded(QUEUE);
        let cores = thread::available_parallelism().map_or(1, usize::from);
        for number in 1..=cores {
            let courier = Courier::start(number, report_slow.clone())?;
            hub.lock().couriers.push(courier);
        }
        let told = hub.clone();
        // Ends with the couriers. They cannot tell the hub themselves: whoever has its lock may be waiting for them.
        thread::Builder::new()
            .name("slow readers".into())
            .spawn(move || slow.iter().for_each(|conn| told.slow(conn)))?;
        Ok(hub)
    }

    /// Somebody has proved who they are; what they are sent goes this way.
    pub fn attach(&self, conn: Conn, link: Arc<dyn Link>, sealer: Sealer) {
        let mut state = self.lock();
        state.attached += 1;
        state.send(conn, Command::Attach(conn, link, sealer));
    }

    /// Somebody who is attached wants to come in.
    pub fn arrive(&self, who: Newcomer, asks: &Asks) -> Verdict {
        let mut state = self.lock();
        if state.accepting.is_none() {
            state.send(who.conn, Command::End(who.conn));
            return Verdict::Closed("the server stops");
        }
        state.change(|hall, effects| hall.arrive(who, asks, now(), effects))
    }

    /// Somebody says something.
    pub fn receive(&self, from: Conn, message: ToServer) {
        self.lock().change(|hall, effects| hall.receive(from, message, now(), effects));
    }

    /// An attached connection has ended.
    pub fn lost(&self, conn: Conn) {
        let mut state = self.lock();
        state.change(|hall, effects| hall.lost(conn, now(), effects));
        state.send(conn, Command::Drop(conn));
        state.attached -= 1;
        self.changed.notify_all();
    }

    /// A courier has told somebody that they are too slow.
    fn slow(&self, conn: Conn) {
        self.lock().change(|hall, effects| hall.slow(conn, now(), effects));
    }

    /// Who is here.
    #[must_use]
    pub fn who(&self) -> Who {
        self.lock().hall.who()
    }

    /// The server is to stop: everybody is told.
    pub fn terminate(&self) {
        let mut state = self.lock();
        state.accepting = None;
        state.change(Hall::terminate);
        self.changed.notify_all();
    }

    /// Waits until the server is to stop, and everybody has heard it or had the time for it.
    pub fn wait(&self) {
        let state = self.lock();
        let state = self.changed.wait_while(state, |state| state.accepting.is_some());
        let state = state.unwrap_or_else(PoisonError::into_inner);
        let heard = self.changed.wait_timeout_while(state, FAREWELL, |state| state.attached > 0);
        let couriers = std::mem::take(&mut heard.unwrap_or_else(PoisonError::into_inner).0.couriers);
        couriers.into_iter().for_each(Courier::stop);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A thread that has panicked with it has shown that; the others go on.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Changes who is here, and has it carried out.
    fn change<T>(&mut self, change: impl FnOnce(&mut Hall, &mut Vec<Effect>) -> T) -> T {
        let mut effects = std::mem::take(&mut self.effects);
        let result = change(&mut self.hall, &mut effects);
        for effect in effects.drain(..) {
            self.carry_out(effect);
        }
        // Its room is kept for the next.
        self.effects = effects;
        result
    }

    fn carry_out(&self, effect: Effect) {
        match effect {
            Effect::Tell(conn, bytes) => self.send(conn, Command::Tell(conn, bytes)),
            Effect::Post(room, entry) => {
                for courier in &self.couriers {
                    courier.send(Command::Post(room, entry.clone()));
                }
            }
            Effect::Enter(conn, room, since) => self.send(conn, Command::Enter(conn, room, since)),
            Effect::Exit(conn, room, until) => self.send(conn, Command::Exit(conn, room, until)),
            Effect::End(conn) => self.send(conn, Command::End(conn)),
            Effect::Note(Note::Joined(name)) => {
                info!("[+] Broadcast message:  New person joined the room. Username: {name}");
            }
            Effect::Note(Note::Exchanged) => info!("Message exchanged"),
            Effect::Note(Note::Left(name)) => info!("[+] {name} left the server."),
        }
    }

    /// Tells a connection's courier something; nobody, when they have stopped.
    fn send(&self, conn: Conn, command: Command) {
        let count = self.couriers.len().max(1) as u64;
        if let Some(courier) = usize::try_from(conn.0 % count).ok().and_then(|index| self.couriers.get(index)) {
            courier.send(command);
        }
    }
}

fn now() -> Moment {
    Moment { at: now_in_millis(), tick: Instant::now() }
}
