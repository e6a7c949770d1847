//! Couriers: each owns the sealers and the sockets' outgoing half of its share of the connections.
//!
//! ```text
//! disk ──commands──▶ [ log a room ] ◀──cursor── line ──seal──▶ one record ──▶ one send
//! ```
//!
//! Invariant: a courier never waits for a socket, nor for the hub.

mod round;

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crossbeam::channel::{self, Sender, TrySendError};

use self::round::Round;
use super::report::Report;
use super::vital_thread;
use crate::chat::hall::{Effect, Outcome, Piece, answer};
use crate::chat::log::Entry;
use crate::chat::message::ToClient;
use crate::chat::{Conn, Cursor, Member, RoomId};
use crate::net::Link;
use crate::secure::record::Sealer;

/// Commands that may wait for a courier.
const QUEUE: usize = 4_096;

/// What a courier is told.
pub enum Command {
    /// A connection is this courier's from now on.
    Attach(Conn, Arc<dyn Link>, Sealer),
    /// One connection gets these, after the events so far.
    Tell(Conn, Vec<Arc<[u8]>>),
    /// One connection gets this event.
    Event(Conn, Entry),
    /// Everybody in a room gets this.
    Post(RoomId, Entry),
    /// A connection reads a room's log from after this cursor on.
    Enter(Conn, Member, RoomId, Cursor),
    /// A connection reads a room's log up to this cursor.
    Exit(Conn, RoomId, Cursor),
    /// A connection that is behind gets this.
    CatchUp(Conn, Member, Piece),
    /// A connection gets this as the last, and ends.
    Bye(Conn, Arc<[u8]>),
    /// A connection ends, when it has got what is due to it.
    End(Conn),
    /// A connection ends now.
    Cut(Conn),
    /// A connection has ended.
    Drop(Conn),
    /// The courier ends.
    Stop,
}

/// Who tells couriers what to do has this end of one.
struct Courier {
    commands: Sender<Command>,
    bell: Arc<Bell>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// All couriers: each has its share of the connections.
pub struct Couriers(Vec<Courier>);

impl Couriers {
    /// Starts as many as there are cores.
    ///
    /// # Errors
    /// Whatever the system says when it has no more threads or descriptors.
    pub fn start(reports: &Sender<Report>) -> io::Result<Self> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        (1..=cores).map(|number| Courier::start(number, reports.clone())).collect::<io::Result<_>>().map(Self)
    }

    /// Does what an effect says, as far as connections go.
    pub fn carry_out(&self, effect: Effect) {
        match effect {
            Effect::Tell(conn, bytes) => self.send(conn, Command::Tell(conn, vec![bytes])),
            Effect::Introduce(conn, persons) => self.send(conn, Command::Tell(conn, persons)),
            Effect::One(Some(conn), _, entry) => self.send(conn, Command::Event(conn, entry)),
            Effect::Post(room, entry) => {
                for courier in &self.0 {
                    courier.send(Command::Post(room, entry.clone()));
                }
            }
            Effect::Answer(conn, _, n, outcome) => self.answer(conn, n, outcome),
            Effect::Enter(conn, member, room, since) => self.send(conn, Command::Enter(conn, member, room, since)),
            Effect::Exit(conn, room, until) => self.send(conn, Command::Exit(conn, room, until)),
            Effect::CatchUp(conn, member, piece) => self.send(conn, Command::CatchUp(conn, member, piece)),
            Effect::Bye(conn, reason) => self.send(conn, Command::Bye(conn, ToClient::Bye(reason).encode().into())),
            Effect::End(conn) => self.send(conn, Command::End(conn)),
            Effect::Cut(conn) => self.send(conn, Command::Cut(conn)),
            Effect::One(None, ..) | Effect::Keep(_) | Effect::Note(_) | Effect::Wish(..) => {}
        }
    }

    /// Answers a counted message.
    pub fn answer(&self, conn: Conn, n: u64, outcome: Outcome) {
        self.send(conn, Command::Tell(conn, vec![answer(n, outcome).encode().into()]));
    }

    /// Tells a connection's courier something.
    pub fn send(&self, conn: Conn, command: Command) {
        let index = usize::try_from(conn.0 % self.0.len().max(1) as u64);
        if let Some(courier) = index.ok().and_then(|index| self.0.get(index)) {
            courier.send(command);
        }
    }

    /// Lets them finish what they have, and waits for that.
    pub fn stop(&self) {
        self.0.iter().for_each(Courier::stop);
    }
}

/// Wakes a courier that waits for sockets, and only then.
struct Bell {
    waiting_for_sockets: AtomicBool,
    ring: UnixStream,
}

impl Bell {
    fn ring_if_waiting(&self) {
        fence(Ordering::SeqCst);
        if self.waiting_for_sockets.swap(false, Ordering::SeqCst) {
            // Full means that it rings already.
            let _ = io::Write::write(&mut &self.ring, &[1]);
        }
    }
}

impl Courier {
    fn start(number: usize, report: Sender<Report>) -> io::Result<Self> {
        let (commands, inbox) = channel::bounded(QUEUE);
        let (ring, heard) = UnixStream::pair()?;
        ring.set_nonblocking(true)?;
        heard.set_nonblocking(true)?;
        let bell = Arc::new(Bell { waiting_for_sockets: AtomicBool::new(false), ring });
        let round = Round::new(inbox, bell.clone(), heard, report);
        let thread = vital_thread(&format!("courier {number}"), move || round.run())?;
        Ok(Self { commands, bell, thread: Mutex::new(Some(thread)) })
    }

    /// Gives it something to do. Waits while it has its hands full.
    fn send(&self, command: Command) {
        if let Err(TrySendError::Full(command)) = self.commands.try_send(command) {
            self.bell.ring_if_waiting();
            // An error is a courier that has stopped: then nobody is left to be told.
            let _ = self.commands.send(command);
        }
        self.bell.ring_if_waiting();
    }

    fn stop(&self) {
        self.send(Command::Stop);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // None has panicked: that would have been the end of the process.
        thread.map(JoinHandle::join);
    }
}
