//! Couriers: each owns the sealers and the sockets' outgoing half of its share of the connections.
//!
//! ```text
//! hub ──commands──▶ [ log a room ] ◀──cursor── line ──seal──▶ one record ──▶ one send
//! ```
//!
//! A sweep takes what the hub has sent, and then, for each connection that is behind, everything since its cursor:
//! one record, one write that does not wait. While a sweep runs more gathers, and goes out together in the next: the
//! busier, the larger the batches, and without any delay when it is quiet. A socket that is full keeps its unsent tail
//! and delays nobody: its line's cursor stays behind, in a log that is there once for all.
//!
//! Invariant: a courier never waits for a socket, nor for the hub.

use std::collections::HashMap;
use std::io;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam::channel::{self, Receiver, RecvTimeoutError, Sender, TrySendError};
use rustix::event::{PollFd, PollFlags, poll};
use slab::Slab;

use super::line::{Batch, Line, Rooms, State};
use crate::chat::log::Entry;
use crate::chat::message::{ByeReason, ToClient};
use crate::chat::{Conn, Cursor, RoomId};
use crate::net::{Link, timespec};
use crate::secure::record::Sealer;

/// Commands that may wait for a courier.
const QUEUE: usize = 4_096;
/// Commands that one sweep takes at most.
const SWEEP: usize = 1_024;
/// What may wait for a reader that does not read, in bytes, beside what the system holds for it.
const MOST_WAITING: u64 = 4 * 1_024 * 1_024;
/// How long a connection that has been told goodbye may take to hear it.
const FAREWELL: Duration = Duration::from_secs(5);
/// And one that is told so because it does not read. What is held for it until then is less than two records.
const SLOW_FAREWELL: Duration = Duration::from_secs(30);
/// A report that the hub had no room for is tried again after this.
const RETRY: Duration = Duration::from_millis(10);

/// What the hub tells a courier.
pub enum Command {
    /// A connection is this courier's from now on.
    Attach(Conn, Arc<dyn Link>, Sealer),
    /// One connection gets this, after the events so far.
    Tell(Conn, Arc<[u8]>),
    /// Everybody in a room gets this.
    Post(RoomId, Entry),
    /// A connection reads a room's log from after this cursor on.
    Enter(Conn, RoomId, Cursor),
    /// A connection reads a room's log up to this cursor.
    Exit(Conn, RoomId, Cursor),
    /// A connection ends, when it has got what is due to it.
    End(Conn),
    /// A connection has ended.
    Drop(Conn),
    /// The courier ends.
    Stop,
}

/// The hub's end of a courier.
pub struct Courier {
    commands: Sender<Command>,
    bell: Arc<Bell>,
    thread: JoinHandle<()>,
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
    /// Starts a courier's thread.
    ///
    /// # Errors
    /// Whatever the system says when it has no more threads or descriptors.
    pub fn start(number: usize, report_slow: Sender<Conn>) -> io::Result<Self> {
        let (commands, inbox) = channel::bounded(QUEUE);
        let (ring, heard) = UnixStream::pair()?;
        ring.set_nonblocking(true)?;
        heard.set_nonblocking(true)?;
        let bell = Arc::new(Bell { waiting_for_sockets: AtomicBool::new(false), ring });
        let round = Round::new(inbox, bell.clone(), heard, report_slow);
        let thread = thread::Builder::new().name(format!("courier {number}")).spawn(move || round.run())?;
        Ok(Self { commands, bell, thread })
    }

    /// Gives it something to do. Waits while it has its hands full.
    pub fn send(&self, command: Command) {
        if let Err(TrySendError::Full(command)) = self.commands.try_send(command) {
            self.bell.ring_if_waiting();
            // An error is a courier that has stopped: then nobody is left to be told.
            let _ = self.commands.send(command);
        }
        self.bell.ring_if_waiting();
    }

    /// Lets it finish what it has, and waits for that.
    pub fn stop(self) {
        self.send(Command::Stop);
        // A courier that has panicked has nothing more to say; the panic has been shown.
        let _ = self.thread.join();
    }
}

/// What a courier's thread owns.
struct Round {
    inbox: Receiver<Command>,
    bell: Arc<Bell>,
    heard: UnixStream,
    report_slow: Sender<Conn>,
    lines: Slab<Line>,
    by_conn: HashMap<Conn, usize>,
    rooms: Rooms,
    /// The last event that has come.
    latest: Cursor,
    dirty_rooms: Vec<RoomId>,
    dirty_lines: Vec<usize>,
    /// Lines whose socket is full.
    stuck: Vec<usize>,
    /// Lines for which too much waits.
    overfull: Vec<usize>,
    /// When connections that are to end are cut off.
    endings: Vec<(Instant, Conn)>,
    /// Connections found slow, of which the hub is yet to be told.
    reports: Vec<Conn>,
    batch: Batch,
    sealed: Vec<u8>,
    stopping: bool,
}

impl Round {
    fn new(inbox: Receiver<Command>, bell: Arc<Bell>, heard: UnixStream, report_slow: Sender<Conn>) -> Self {
        Self {
            inbox,
            bell,
            heard,
            report_slow,
            lines: Slab::new(),
            by_conn: HashMap::new(),
            rooms: HashMap::new(),
            latest: 0,
            dirty_rooms: Vec::new(),
            dirty_lines: Vec::new(),
            stuck: Vec::new(),
            overfull: Vec::new(),
            endings: Vec::new(),
            reports: Vec::new(),
            batch: Batch::default(),
            sealed: Vec::new(),
            stopping: false,
        }
    }

    fn run(mut self) {
        while !self.stopping {
            self.wait();
            for _ in 0..SWEEP {
                match self.inbox.try_recv() {
                    Ok(command) => self.take(command),
                    Err(_) => break,
                }
            }
            self.sweep();
            self.cut_off();
            self.report();
        }
    }

    /// Waits until there is a command, a stuck socket takes something, or something is due.
    fn wait(&mut self) {
        let retry = (!self.reports.is_empty()).then(|| Instant::now() + RETRY);
        let due = self.endings.iter().map(|(when, _)| *when).chain(retry).min();
        if self.stuck.is_empty() {
            let command = match due {
                None => self.inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(due) => self.inbox.recv_deadline(due),
            };
            match command {
                Ok(command) => self.take(command),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => self.stopping = true,
            }
        } else {
            self.wait_for_sockets(due);
        }
    }

    fn wait_for_sockets(&mut self, due: Option<Instant>) {
        self.bell.waiting_for_sockets.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        // What came before the bell was armed has not rung it: then the sockets are only looked at.
        let patience = if self.inbox.is_empty() {
            due.map(|due| due.saturating_duration_since(Instant::now()))
        } else {
            Some(Duration::ZERO)
        };
        let mut waiting = vec![PollFd::new(&self.heard, PollFlags::IN)];
        waiting.extend(
            self.stuck.iter().map(|line| PollFd::from_borrowed_fd(self.lines[*line].link.as_fd(), PollFlags::OUT)),
        );
        // Interrupted or not: everything is looked at again.
        let _ = poll(&mut waiting, patience.map(timespec).as_ref());
        let ready: Vec<usize> = self
            .stuck
            .iter()
            .zip(&waiting[1..])
            .filter(|(_, fd)| !fd.revents().is_empty())
            .map(|(line, _)| *line)
            .collect();
        if !waiting[0].revents().is_empty() {
            let _ = io::Read::read(&mut &self.heard, &mut [0; 64]);
        }
        self.bell.waiting_for_sockets.store(false, Ordering::SeqCst);
        self.dirty_lines.extend(ready);
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Attach(conn, link, sealer) => {
                let line = self.lines.insert(Line::new(conn, link, sealer, self.latest));
                self.by_conn.insert(conn, line);
            }
            Command::Tell(conn, bytes) => {
                let latest = self.latest;
                self.with(conn, |line| {
                    // Nothing follows a goodbye.
                    if line.state == State::Open {
                        line.tell(latest, bytes);
                    }
                });
            }
            Command::Post(id, entry) => {
                self.latest = entry.cursor;
                if let Some(room) = self.rooms.get_mut(&id) {
                    room.log.push(entry);
                    if !room.dirty {
                        room.dirty = true;
                        self.dirty_rooms.push(id);
                    }
                }
            }
            Command::Enter(conn, id, since) => {
                if let Some(&line) = self.by_conn.get(&conn) {
                    let it = &mut self.lines[line];
                    if it.state != State::Open {
                        return;
                    }
                    // Who has left and come again may have yet to read up to their leaving: they are a member once.
                    let was_there = it.rooms().any(|room| room == id);
                    it.enter(id, since);
                    let members = &mut self.rooms.entry(id).or_default().members;
                    if !was_there {
                        members.push(line);
                    }
                }
            }
            Command::Exit(conn, room, until) => self.with(conn, |line| line.exit(room, until)),
            Command::End(conn) => {
                self.endings.push((Instant::now() + FAREWELL, conn));
                self.with(conn, |line| {
                    if line.state == State::Open {
                        line.state = State::Ending;
                    }
                });
            }
            Command::Drop(conn) => self.drop_line(conn),
            Command::Stop => self.stopping = true,
        }
    }

    /// Does something to a connection's line, which then has something to send.
    fn with(&mut self, conn: Conn, change: impl FnOnce(&mut Line)) {
        if let Some(&line) = self.by_conn.get(&conn) {
            change(&mut self.lines[line]);
            self.dirty_lines.push(line);
        }
    }

    /// Brings everybody who is behind as far as their socket lets them.
    fn sweep(&mut self) {
        let dirty_rooms = std::mem::take(&mut self.dirty_rooms);
        for id in &dirty_rooms {
            let Some(room) = self.rooms.get_mut(id) else { continue };
            room.dirty = false;
            // Flushing moves lines, not members.
            let members = std::mem::take(&mut room.members);
            for &line in &members {
                self.flush(line);
            }
            if let Some(room) = self.rooms.get_mut(id) {
                room.members = members;
            }
        }
        for line in std::mem::take(&mut self.dirty_lines) {
            self.flush(line);
            self.leave_rooms_read(line);
        }
        for line in std::mem::take(&mut self.overfull) {
            self.give_up(line);
        }
        for id in dirty_rooms.into_iter().chain(std::mem::take(&mut self.dirty_rooms)) {
            self.forget_what_all_have(id);
        }
    }

    fn flush(&mut self, line: usize) {
        let Some(it) = self.lines.get_mut(line) else {
            return;
        };
        let was_stuck = it.is_stuck();
        it.flush(&self.rooms, self.latest, &mut self.batch, &mut self.sealed);
        if it.is_stuck() && it.waiting(&self.rooms) > MOST_WAITING {
            self.overfull.push(line);
        }
        match (was_stuck, it.is_stuck()) {
            (false, true) => self.stuck.push(line),
            (true, false) => {
                self.stuck.retain(|stuck| *stuck != line);
                // Its rooms' logs may have been kept for it alone.
                self.dirty_rooms.extend(self.lines[line].rooms());
            }
            _ => {}
        }
    }

    /// A reader that does not read: what waits is let go, and it is told so, if it ever reads that far.
    fn give_up(&mut self, line: usize) {
        let it = &mut self.lines[line];
        if it.waiting(&self.rooms) <= MOST_WAITING {
            return;
        }
        match it.state {
            State::Open => {
                let rooms = it.only(ToClient::Bye(ByeReason::Slow).encode().into());
                it.state = State::Ending;
                self.reports.push(it.conn);
                self.endings.push((Instant::now() + SLOW_FAREWELL, it.conn));
                self.leave_rooms(line, rooms);
            }
            State::Ending => it.link.close(Shutdown::Both),
            State::Done => {}
        }
    }

    /// Its part in rooms that it has left and read to the end is over.
    fn leave_rooms_read(&mut self, line: usize) {
        if let Some(it) = self.lines.get_mut(line) {
            let rooms = it.give_up_seats();
            self.leave_rooms(line, rooms);
        }
    }

    fn leave_rooms(&mut self, line: usize, rooms: Vec<RoomId>) {
        for id in rooms {
            let still_reads = self.lines.get(line).is_some_and(|it| it.rooms().any(|room| room == id));
            if !still_reads && let Some(room) = self.rooms.get_mut(&id) {
                room.members.retain(|member| *member != line);
                self.dirty_rooms.push(id);
            }
        }
    }

    fn forget_what_all_have(&mut self, id: RoomId) {
        let Some(room) = self.rooms.get_mut(&id) else {
            return;
        };
        if room.members.is_empty() {
            self.rooms.remove(&id);
            return;
        }
        let readers = room.members.iter().filter_map(|line| self.lines.get(*line)).filter(|it| it.state != State::Done);
        room.log.forget(readers.map(|it| it.position(id)).min().unwrap_or(self.latest));
    }

    /// Ends connections that have had their time to hear goodbye.
    fn cut_off(&mut self) {
        if self.endings.is_empty() {
            return;
        }
        let now = Instant::now();
        for (_, conn) in self.endings.extract_if(.., |(when, _)| *when <= now) {
            if let Some(&line) = self.by_conn.get(&conn) {
                self.lines[line].link.close(Shutdown::Both);
            }
        }
    }

    /// Has the hub told who was slow. It may be waiting for this courier, so the courier does not wait for it.
    fn report(&mut self) {
        while let Some(&conn) = self.reports.last() {
            if self.report_slow.try_send(conn).is_err() {
                break;
            }
            self.reports.pop();
        }
    }

    fn drop_line(&mut self, conn: Conn) {
        let Some(line) = self.by_conn.remove(&conn) else {
            return;
        };
        let rooms = self.lines.remove(line).rooms().collect();
        self.leave_rooms(line, rooms);
        self.stuck.retain(|stuck| *stuck != line);
        self.dirty_lines.retain(|dirty| *dirty != line);
        self.endings.retain(|(_, ending)| *ending != conn);
    }
}
