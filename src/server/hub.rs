//! The hub: one thread that owns everybody who is here, and hands out what happens.
//!
//! ```text
//! connections, console ──bounded channel──▶ Hall ──▶ Effects ──▶ couriers, log
//! ```
//!
//! Invariant: the hub never waits for a socket. It waits for a courier that has its hands full, and with it the
//! senders: that is how the room's pace is kept to what can be delivered.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam::channel::{self, Receiver, Sender};
use log::info;

use super::courier::{Command, Courier};
use crate::chat::hall::{Asks, Effect, Hall, Limits, Newcomer, Note, Verdict};
use crate::chat::message::ToServer;
use crate::chat::name::{Name, RoomName};
use crate::chat::{Conn, Moment};
use crate::net::Link;
use crate::secure::record::Sealer;

/// Messages that may wait for the hub.
const QUEUE: usize = 1_024;
/// How long everybody may take to hear that the server stops.
const FAREWELL: Duration = Duration::from_secs(2);

/// Everybody who is here: name and rooms.
pub type Who = Vec<(Name, Vec<RoomName>)>;

/// What the hub is told.
pub enum ToHub {
    /// Somebody has proved who they are; what they are sent goes this way.
    Attach(Conn, Arc<dyn Link>, Sealer),
    /// Their first message, or the second after [`Verdict::OnceMore`].
    Arrive(Box<Newcomer>, Asks, Sender<Verdict>),
    /// Another message.
    Said(Conn, ToServer),
    /// The connection has ended.
    Lost(Conn),
    /// A courier has told somebody that they are too slow.
    Slow(Conn),
    /// The operator wants to know who is here.
    Who(Sender<Who>),
    /// The server is to stop.
    Terminate,
}

/// Starts the hub and its couriers. It drops `stop` as soon as it is to stop.
///
/// # Errors
/// Whatever the system says when it has no more threads or descriptors.
pub fn start(limits: Limits, stop: UnixStream) -> io::Result<(Sender<ToHub>, JoinHandle<()>)> {
    let (sender, inbox) = channel::bounded(QUEUE);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let courier = |number| {
        let hub = sender.clone();
        Courier::start(number, Box::new(move |conn| hub.try_send(ToHub::Slow(conn)).is_ok()))
    };
    let couriers = (1..=cores).map(courier).collect::<io::Result<_>>()?;
    let hub = Hub { inbox, hall: Hall::new(limits), couriers, effects: Vec::new(), attached: 0 };
    let thread = thread::Builder::new().name("hub".into()).spawn(move || hub.run(stop))?;
    Ok((sender, thread))
}

struct Hub {
    inbox: Receiver<ToHub>,
    hall: Hall,
    couriers: Vec<Courier>,
    effects: Vec<Effect>,
    attached: usize,
}

impl Hub {
    fn run(mut self, stop: UnixStream) {
        while let Ok(message) = self.inbox.recv() {
            if let ToHub::Terminate = message {
                break;
            }
            self.take(message);
        }
        drop(stop);
        self.hall.terminate(&mut self.effects);
        self.carry_out();
        self.wait_for_farewells();
        self.couriers.into_iter().for_each(Courier::stop);
    }

    /// Until everybody has gone, or the time for it is over.
    fn wait_for_farewells(&mut self) {
        let deadline = Instant::now() + FAREWELL;
        while self.attached > 0
            && let Ok(message) = self.inbox.recv_deadline(deadline)
        {
            if let ToHub::Lost(conn) = message {
                self.lost(conn);
            }
        }
    }

    fn take(&mut self, message: ToHub) {
        match message {
            ToHub::Attach(conn, link, sealer) => {
                self.attached += 1;
                self.courier(conn).send(Command::Attach(conn, link, sealer));
            }
            ToHub::Arrive(who, asks, answer) => {
                let verdict = self.hall.arrive(*who, &asks, now(), &mut self.effects);
                // It waits for this, unless it has ended.
                let _ = answer.try_send(verdict);
            }
            ToHub::Said(conn, message) => self.hall.receive(conn, message, now(), &mut self.effects),
            ToHub::Lost(conn) => self.lost(conn),
            ToHub::Slow(conn) => self.hall.slow(conn, now(), &mut self.effects),
            ToHub::Who(answer) => drop(answer.try_send(self.hall.who())),
            ToHub::Terminate => {}
        }
        self.carry_out();
    }

    fn lost(&mut self, conn: Conn) {
        self.attached -= 1;
        self.hall.lost(conn, now(), &mut self.effects);
        self.carry_out();
        self.courier(conn).send(Command::Drop(conn));
    }

    fn carry_out(&mut self) {
        let mut effects = std::mem::take(&mut self.effects);
        for effect in effects.drain(..) {
            match effect {
                Effect::Tell(conn, bytes) => self.courier(conn).send(Command::Tell(conn, bytes)),
                Effect::Post(room, entry) => {
                    for courier in &self.couriers {
                        courier.send(Command::Post(room, entry.clone()));
                    }
                }
                Effect::Enter(conn, room, since) => self.courier(conn).send(Command::Enter(conn, room, since)),
                Effect::Exit(conn, room, until) => self.courier(conn).send(Command::Exit(conn, room, until)),
                Effect::End(conn) => self.courier(conn).send(Command::End(conn)),
                Effect::Note(Note::Joined(name)) => {
                    info!("[+] Broadcast message:  New person joined the room. Username: {name}");
                }
                Effect::Note(Note::Exchanged) => info!("Message exchanged"),
                Effect::Note(Note::Left(name)) => info!("[+] {name} left the server."),
            }
        }
        // Its room is kept for the next.
        self.effects = effects;
    }

    fn courier(&self, conn: Conn) -> &Courier {
        let count = self.couriers.len() as u64;
        &self.couriers[usize::try_from(conn.0 % count).unwrap_or_default()]
    }
}

fn now() -> Moment {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Moment { at: u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX), tick: Instant::now() }
}
