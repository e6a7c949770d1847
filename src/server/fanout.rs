//! Workers: each owns the sealers and the sockets' outgoing half of its share of the connections.
//!
//! ```text
//! disk ──commands──▶ [ log a room ] ◀──cursor── line ──seal──▶ one record ──▶ one send
//! ```
//!
//! Invariant: a worker never waits for a socket, nor for the service.

mod worker;

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crossbeam::channel::{self, Sender, TrySendError};

use self::worker::WorkerLoop;
use super::vital_thread;
use super::worker_event::WorkerEvent;
use crate::chat::message::ToClient;
use crate::chat::room_log::LogEntry;
use crate::chat::state::{Effect, Outcome, Piece, answer};
use crate::chat::{ConnectionId, Cursor, RoomId, SessionNumber};
use crate::net::Link;
use crate::secure::record::Sealer;

/// Commands that may wait for a worker.
const QUEUE: usize = 4_096;

/// A command for a worker.
pub enum WorkerCommand {
    /// A connection is this worker's from now on.
    Attach(ConnectionId, Arc<dyn Link>, Sealer),
    /// One connection gets these, after the events so far.
    Tell(ConnectionId, Vec<Arc<[u8]>>),
    /// One connection gets this event.
    Event(ConnectionId, LogEntry),
    /// An event for all members of a room.
    Post(RoomId, LogEntry),
    /// A connection reads a room's log from after this cursor on.
    Enter(ConnectionId, SessionNumber, RoomId, Cursor),
    /// A connection reads a room's log up to this cursor.
    Exit(ConnectionId, RoomId, Cursor),
    /// A connection that is behind gets this.
    CatchUp(ConnectionId, SessionNumber, Piece),
    /// A connection gets this as the last, and ends.
    Bye(ConnectionId, Arc<[u8]>),
    /// A connection ends, when it has got what is due to it.
    End(ConnectionId),
    /// A connection ends now.
    Cut(ConnectionId),
    /// A connection has ended.
    Drop(ConnectionId),
    /// The worker ends.
    Stop,
}

/// Sending side of a worker's queue.
struct FanoutWorker {
    commands: Sender<WorkerCommand>,
    bell: Arc<Bell>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// All workers: each has its share of the connections.
pub struct Fanout(Vec<FanoutWorker>);

impl Fanout {
    /// Starts as many as there are cores.
    ///
    /// # Errors
    /// The system's error when it has no more threads or descriptors.
    pub fn start(reports: &Sender<WorkerEvent>) -> io::Result<Self> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        (1..=cores).map(|number| FanoutWorker::start(number, reports.clone())).collect::<io::Result<_>>().map(Self)
    }

    /// Does what an effect says, as far as connections go.
    pub fn deliver(&self, effect: Effect) {
        match effect {
            Effect::Tell(conn, bytes) => self.send(conn, WorkerCommand::Tell(conn, vec![bytes])),
            Effect::Introduce(conn, persons) => self.send(conn, WorkerCommand::Tell(conn, persons)),
            Effect::One(Some(conn), _, entry) => self.send(conn, WorkerCommand::Event(conn, entry)),
            Effect::Post(room, entry) => {
                for worker in &self.0 {
                    worker.send(WorkerCommand::Post(room, entry.clone()));
                }
            }
            Effect::Answer(conn, _, n, outcome) => self.answer(conn, n, outcome),
            Effect::Enter(conn, member, room, since) => {
                self.send(conn, WorkerCommand::Enter(conn, member, room, since));
            }
            Effect::Exit(conn, room, until) => self.send(conn, WorkerCommand::Exit(conn, room, until)),
            Effect::CatchUp(conn, member, piece) => self.send(conn, WorkerCommand::CatchUp(conn, member, piece)),
            Effect::Bye(conn, reason) => {
                self.send(conn, WorkerCommand::Bye(conn, ToClient::Bye(reason).encode().into()));
            }
            Effect::End(conn) => self.send(conn, WorkerCommand::End(conn)),
            Effect::Cut(conn) => self.send(conn, WorkerCommand::Cut(conn)),
            Effect::One(None, ..) | Effect::Keep(_) | Effect::Note(_) | Effect::Wish(..) => {}
        }
    }

    /// Answers a counted message.
    pub fn answer(&self, conn: ConnectionId, n: u64, outcome: Outcome) {
        self.send(conn, WorkerCommand::Tell(conn, vec![answer(n, outcome).encode().into()]));
    }

    /// Sends a command to a connection's worker.
    pub fn send(&self, conn: ConnectionId, command: WorkerCommand) {
        let index = usize::try_from(conn.0 % self.0.len().max(1) as u64);
        if let Some(worker) = index.ok().and_then(|index| self.0.get(index)) {
            worker.send(command);
        }
    }

    /// Lets them finish what they have, and waits for that.
    pub fn stop(&self) {
        self.0.iter().for_each(FanoutWorker::stop);
    }
}

/// Wakes a worker that waits for sockets, and only then.
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

impl FanoutWorker {
    fn start(number: usize, report: Sender<WorkerEvent>) -> io::Result<Self> {
        let (commands, inbox) = channel::bounded(QUEUE);
        let (ring, heard) = UnixStream::pair()?;
        ring.set_nonblocking(true)?;
        heard.set_nonblocking(true)?;
        let bell = Arc::new(Bell { waiting_for_sockets: AtomicBool::new(false), ring });
        let round = WorkerLoop::new(inbox, bell.clone(), heard, report);
        let thread = vital_thread(&format!("courier {number}"), move || round.run())?;
        Ok(Self { commands, bell, thread: Mutex::new(Some(thread)) })
    }

    /// Sends a command. Blocks while the queue is full.
    fn send(&self, command: WorkerCommand) {
        if let Err(TrySendError::Full(command)) = self.commands.try_send(command) {
            self.bell.ring_if_waiting();
            // An error is a worker that has stopped: then no client is left to be told.
            let _ = self.commands.send(command);
        }
        self.bell.ring_if_waiting();
    }

    fn stop(&self) {
        self.send(WorkerCommand::Stop);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // None has panicked: that would have been the end of the process.
        thread.map(JoinHandle::join);
    }
}
