//! A worker's thread: one sweep after the other.
//!
//! A sweep takes the service's commands, and then, for each connection that is behind, all events since its cursor:
//! one record, one write that does not wait. While a sweep runs more gathers, and goes out together in the next: the
//! busier, the larger the batches, and without any delay when it is quiet. Most of a room are at the same place, and
//! their records are sealed side by side. A socket that is full keeps its unsent tail and delays no other: its writer's
//! cursor stays behind, in a log that is there once for all. One that stays too far behind leaves the log to the others,
//! and goes on from the chat state's replay buffer, piece by piece, when it reads again.

use std::collections::HashMap;
use std::io;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender};
use rustix::event::{PollFd, PollFlags, poll};
use slab::Slab;

use super::{Bell, WorkerCommand};
use crate::chat::message::{ByeReason, ToClient};
use crate::chat::room_log::LogEntry;
use crate::chat::{ConnectionId, Cursor, RoomId};
use crate::net::timespec;
use crate::secure::record::BatchSealer;
use crate::server::connection_writer::{Batch, ConnectionWriter, RoomShares, WriterState};
use crate::server::worker_event::WorkerEvent;

/// Commands that one sweep takes at most.
const SWEEP: usize = 1_024;
/// Limit on the bytes that wait for a slow reader, beside the system's buffers.
const MAX_WAITING: u64 = 4 * 1_024 * 1_024;
/// Time that a connection has to receive its goodbye.
const FAREWELL: Duration = Duration::from_secs(5);
/// And one that is told so because it does not read. What is held for it until then is less than two records.
const SLOW_FAREWELL: Duration = Duration::from_secs(30);
/// A report that the service had no room for is tried again after this.
const RETRY: Duration = Duration::from_millis(10);

/// State of a worker's thread.
pub(super) struct WorkerLoop {
    inbox: Receiver<WorkerCommand>,
    bell: Arc<Bell>,
    heard: UnixStream,
    report: Sender<WorkerEvent>,
    lines: Slab<ConnectionWriter>,
    by_conn: HashMap<ConnectionId, usize>,
    rooms: RoomShares,
    /// The last event that has come.
    latest: Cursor,
    dirty_rooms: Vec<RoomId>,
    dirty_lines: Vec<usize>,
    /// Writers with a full socket.
    stuck: Vec<usize>,
    /// Lines for which too much waits.
    overfull: Vec<usize>,
    /// When connections that are to end are cut off.
    endings: Vec<(Instant, ConnectionId)>,
    /// Reports for the service.
    reports: Vec<WorkerEvent>,
    batch: Batch,
    sealed: Vec<u8>,
    /// Lines that get the next record of a room's log side by side, and what seals it for them.
    together: Vec<usize>,
    lanes: BatchSealer,
    stopping: bool,
}

impl WorkerLoop {
    pub(super) fn new(
        inbox: Receiver<WorkerCommand>,
        bell: Arc<Bell>,
        heard: UnixStream,
        report: Sender<WorkerEvent>,
    ) -> Self {
        Self {
            inbox,
            bell,
            heard,
            report,
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
            together: Vec::with_capacity(BatchSealer::MAX_LANES),
            lanes: BatchSealer::default(),
            stopping: false,
        }
    }

    pub(super) fn run(mut self) {
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

    /// Waits for a command, a writable socket, or a timer.
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
        let timeout = if self.inbox.is_empty() {
            due.map(|due| due.saturating_duration_since(Instant::now()))
        } else {
            Some(Duration::ZERO)
        };
        let mut waiting = vec![PollFd::new(&self.heard, PollFlags::IN)];
        waiting.extend(
            self.stuck.iter().map(|line| PollFd::from_borrowed_fd(self.lines[*line].link.as_fd(), PollFlags::OUT)),
        );
        // Interrupted or not: all sources are polled again.
        let _ = poll(&mut waiting, timeout.map(timespec).as_ref());
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

    fn take(&mut self, command: WorkerCommand) {
        match command {
            WorkerCommand::Attach(conn, link, sealer) => {
                let line = self.lines.insert(ConnectionWriter::new(conn, link, sealer, self.latest));
                self.by_conn.insert(conn, line);
            }
            WorkerCommand::Tell(conn, all) => {
                let latest = self.latest;
                self.with(conn, |line| {
                    // No message follows a goodbye.
                    if line.state == WriterState::Open {
                        for bytes in all {
                            line.tell(latest, bytes);
                        }
                    }
                });
            }
            WorkerCommand::Event(conn, LogEntry { cursor, bytes, .. }) => {
                self.latest = self.latest.max(cursor);
                self.with(conn, |line| line.tell_event(cursor, bytes));
            }
            WorkerCommand::Post(id, entry) => {
                self.latest = entry.cursor;
                if let Some(room) = self.rooms.get_mut(&id) {
                    room.log.push(entry);
                    if !room.dirty {
                        room.dirty = true;
                        self.dirty_rooms.push(id);
                    }
                }
            }
            WorkerCommand::Enter(conn, member, id, since) => {
                if let Some(&line) = self.by_conn.get(&conn) {
                    let it = &mut self.lines[line];
                    // Who is behind enters when they are not any more.
                    if it.state != WriterState::Open || it.is_behind() {
                        return;
                    }
                    it.member = Some(member);
                    // Who has left and come again may have yet to read up to their leaving: they are a member once.
                    let was_there = it.rooms().any(|room| room == id);
                    it.enter(id, since);
                    let members = &mut self.rooms.entry(id).or_default().members;
                    if !was_there {
                        members.push(line);
                    }
                }
            }
            WorkerCommand::Exit(conn, room, until) => self.with(conn, |line| line.exit(room, until)),
            WorkerCommand::CatchUp(conn, member, piece) => {
                self.latest = self.latest.max(piece.to);
                self.with(conn, |line| {
                    line.member = Some(member);
                    line.catch_up(piece);
                });
            }
            WorkerCommand::Bye(conn, bytes) => {
                let latest = self.latest;
                if let Some(&line) =
                    self.by_conn.get(&conn).filter(|line| self.lines[**line].state == WriterState::Open)
                {
                    if self.lines[line].is_behind() {
                        // What it has yet to read is not waited for.
                        let rooms = self.lines[line].only(bytes);
                        self.leave_rooms(line, rooms);
                    } else {
                        self.lines[line].tell(latest, bytes);
                    }
                    self.take(WorkerCommand::End(conn));
                }
            }
            WorkerCommand::Cut(conn) => {
                if let Some(&line) = self.by_conn.get(&conn) {
                    self.lines[line].state = WriterState::Done;
                    self.lines[line].link.close(Shutdown::Both);
                }
            }
            WorkerCommand::End(conn) => {
                self.endings.push((Instant::now() + FAREWELL, conn));
                self.with(conn, |line| {
                    if line.state == WriterState::Open {
                        line.state = WriterState::Ending;
                    }
                });
            }
            WorkerCommand::Drop(conn) => self.drop_line(conn),
            WorkerCommand::Stop => self.stopping = true,
        }
    }

    /// Changes a connection's writer, which then has data to send.
    fn with(&mut self, conn: ConnectionId, change: impl FnOnce(&mut ConnectionWriter)) {
        if let Some(&line) = self.by_conn.get(&conn) {
            change(&mut self.lines[line]);
            self.dirty_lines.push(line);
        }
    }

    /// Advances all connections that are behind as far as their sockets let them.
    fn sweep(&mut self) {
        let dirty_rooms = std::mem::take(&mut self.dirty_rooms);
        for id in &dirty_rooms {
            let Some(room) = self.rooms.get_mut(id) else { continue };
            room.dirty = false;
            // Flushing moves lines, not members.
            let members = std::mem::take(&mut room.members);
            self.flush_room(*id, &members);
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

    /// Most members are at the same place of a room's log, without other data: they are served side by side.
    fn flush_room(&mut self, room: RoomId, members: &[usize]) {
        let mut from = 0;
        for &line in members {
            let Some(it) = self.lines.get(line) else { continue };
            if self.together.is_empty() {
                from = it.position(room);
            }
            if it.reads_on(room, from, self.latest) {
                self.together.push(line);
            } else {
                self.flush(line);
            }
            if self.together.len() == BatchSealer::MAX_LANES {
                self.flush_together(room, from);
            }
        }
        self.flush_together(room, from);
    }

    /// Brings lines that are at the same place as far as their sockets let them.
    fn flush_together(&mut self, room: RoomId, mut from: Cursor) {
        let mut lines = std::mem::take(&mut self.together);
        while !lines.is_empty() {
            self.batch.fill(room, from, self.latest, &self.rooms);
            let (batch, lanes) = (&self.batch, &mut self.lanes);
            let excepted: Vec<usize> =
                lines.extract_if(.., |line| !self.lines[*line].take_part(batch, lanes)).collect();
            for (&line, record) in lines.iter().zip(lanes.seal(&batch.text)) {
                self.lines[line].send(record);
            }
            from = batch.to;
            for &line in &lines {
                self.look_after(line, false);
            }
            lines.retain(|line| self.lines[*line].reads_on(room, from, self.latest));
            for line in excepted {
                self.flush(line);
            }
        }
        self.together = lines;
    }

    fn flush(&mut self, line: usize) {
        let Some(it) = self.lines.get_mut(line) else {
            return;
        };
        let was_stuck = it.is_stuck();
        it.flush(&self.rooms, self.latest, &mut self.batch, &mut self.sealed);
        self.look_after(line, was_stuck);
    }

    /// Notes the outcome of a send.
    fn look_after(&mut self, line: usize, was_stuck: bool) {
        let it = &mut self.lines[line];
        self.reports.extend(it.missing_from().map(|cursor| WorkerEvent::Behind(it.conn, cursor)));
        if it.is_stuck() && it.waiting(&self.rooms) > MAX_WAITING {
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
        if it.waiting(&self.rooms) <= MAX_WAITING {
            return;
        }
        match it.state {
            // What it has yet to read is read from the replay buffer, when it reads again.
            WriterState::Open if it.may_fall_behind(MAX_WAITING) => {
                let rooms = it.fall_behind();
                self.leave_rooms(line, rooms);
            }
            WriterState::Open => {
                let rooms = it.only(ToClient::Bye(ByeReason::Slow).encode().into());
                it.state = WriterState::Ending;
                self.reports.push(WorkerEvent::Slow(it.conn));
                self.endings.push((Instant::now() + SLOW_FAREWELL, it.conn));
                self.leave_rooms(line, rooms);
            }
            WriterState::Ending => it.link.close(Shutdown::Both),
            WriterState::Done => {}
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
        let readers =
            room.members.iter().filter_map(|line| self.lines.get(*line)).filter(|it| it.state != WriterState::Done);
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

    /// Has the service told what there is to tell. It may be waiting for this worker, so the worker does not wait for it.
    fn report(&mut self) {
        while let Some(report) = self.reports.pop() {
            if let Err(refused) = self.report.try_send(report) {
                self.reports.push(refused.into_inner());
                break;
            }
        }
    }

    fn drop_line(&mut self, conn: ConnectionId) {
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
