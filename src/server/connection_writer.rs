//! A connection as its worker sees it: where it is in its rooms' logs, and what its socket has yet to take.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::Shutdown;
use std::sync::Arc;

use log::warn;

use crate::chat::room_log::Log;
use crate::chat::state::Piece;
use crate::chat::{ConnectionId, Cursor, RoomId, SessionNumber};
use crate::net::Link;
use crate::secure::record::{BatchSealer, MAX_RECORD_TEXT, Sealer};

/// Overhead of a direct message beside its bytes, so that many small ones are bounded too.
const OVERHEAD: u64 = 64;

/// This worker's members of a room, by their place among its lines, and what they have yet to get.
#[derive(Default)]
pub(super) struct RoomShare {
    pub(super) log: Log,
    pub(super) members: Vec<usize>,
    pub(super) dirty: bool,
}

pub(super) type RoomShares = HashMap<RoomId, RoomShare>;

/// A connection.
pub(super) struct ConnectionWriter {
    pub(super) conn: ConnectionId,
    /// Session, once it has joined.
    pub(super) member: Option<SessionNumber>,
    pub(super) link: Arc<dyn Link>,
    pub(super) state: WriterState,
    sealer: Sealer,
    /// Every event up to here has been sealed.
    cursor: Cursor,
    seats: Vec<WriterSubscription>,
    /// Direct messages.
    own: VecDeque<DirectItem>,
    own_bytes: u64,
    /// Events yet to be sent from the replay buffer, which no log here holds.
    missed: VecDeque<(Cursor, Arc<[u8]>)>,
    /// When that is sent, it has received all events up to here.
    missed_to: Cursor,
    reading: ReadMode,
    /// Sealed, and not taken by the socket yet.
    tail: Vec<u8>,
}

/// State of a connection's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriterState {
    /// It goes on.
    Open,
    /// It ends when it has got what is due to it.
    Ending,
    /// No more bytes are sent.
    Done,
}

/// A message for one connection, to be sealed after the event of this cursor, or as that.
struct DirectItem {
    after: Cursor,
    is_event: bool,
    bytes: Arc<[u8]>,
}

/// Where a line has its events from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReadMode {
    /// As they come.
    Live,
    /// From the replay buffer.
    Behind,
    /// From the replay buffer, of which it has asked for more.
    Asked,
}

/// A connection's place in a room's log.
#[derive(Clone, Copy)]
struct WriterSubscription {
    room: RoomId,
    since: Cursor,
    until: Option<Cursor>,
}

/// The text of a line's next record. Most readers of a room are at the same place, so it is kept between lines.
#[derive(Default)]
pub(super) struct Batch {
    /// Source of the batch: a room's log after a cursor, up to this last event.
    source: Option<(RoomId, Cursor, Cursor)>,
    pub(super) to: Cursor,
    pub(super) text: Vec<u8>,
    except: Vec<SessionNumber>,
}

impl DirectItem {
    fn size(&self) -> u64 {
        self.bytes.len() as u64 + OVERHEAD
    }
}

impl ConnectionWriter {
    pub(super) fn new(conn: ConnectionId, link: Arc<dyn Link>, sealer: Sealer, latest: Cursor) -> Self {
        Self {
            conn,
            member: None,
            link,
            state: WriterState::Open,
            sealer,
            cursor: latest,
            seats: Vec::with_capacity(1),
            own: VecDeque::new(),
            own_bytes: 0,
            missed: VecDeque::new(),
            missed_to: latest,
            reading: ReadMode::Live,
            tail: Vec::new(),
        }
    }

    pub(super) fn tell(&mut self, after: Cursor, bytes: Arc<[u8]>) {
        self.push(DirectItem { after, is_event: false, bytes });
    }

    /// Takes an event in; who is behind finds it in the replay buffer.
    pub(super) fn tell_event(&mut self, cursor: Cursor, bytes: Arc<[u8]>) {
        if self.state == WriterState::Open && !self.is_behind() {
            self.push(DirectItem { after: cursor, is_event: true, bytes });
        }
    }

    fn push(&mut self, own: DirectItem) {
        self.own_bytes += own.size();
        self.own.push_back(own);
    }

    /// True if its events come from the replay buffer.
    pub(super) fn is_behind(&self) -> bool {
        self.reading != ReadMode::Live
    }

    /// True if it may be left behind: what waits for it is in the replay buffer too, but for a little.
    pub(super) fn may_fall_behind(&self, most: u64) -> bool {
        let answers = self.own.iter().filter(|own| !own.is_event).map(DirectItem::size);
        self.reading == ReadMode::Live && self.member.is_some() && answers.sum::<u64>() <= most / 4
    }

    /// Switches it to the replay buffer. Returns the rooms with logs that it no longer needs.
    pub(super) fn fall_behind(&mut self) -> Vec<RoomId> {
        self.reading = ReadMode::Behind;
        self.missed.clear();
        self.missed_to = self.cursor;
        self.own.retain(|own| !own.is_event);
        self.own_bytes = self.own.iter().map(DirectItem::size).sum();
        std::mem::take(&mut self.seats).into_iter().map(|seat| seat.room).collect()
    }

    /// Takes a piece of the replay buffer in.
    pub(super) fn catch_up(&mut self, piece: Piece) {
        if self.state != WriterState::Open {
            return;
        }
        self.cursor = if self.missed.is_empty() { piece.from } else { self.cursor };
        self.missed.extend(piece.entries.into_iter().map(|entry| (entry.cursor, entry.bytes)));
        self.missed_to = piece.to;
        self.reading = if piece.is_last { ReadMode::Live } else { ReadMode::Behind };
    }

    /// Returns the event after which it needs more of the replay buffer, once for each need.
    pub(super) fn missing_from(&mut self) -> Option<Cursor> {
        let wants = self.reading == ReadMode::Behind && self.missed.is_empty() && !self.is_stuck();
        if wants && self.state == WriterState::Open {
            self.reading = ReadMode::Asked;
            return Some(self.missed_to);
        }
        None
    }

    pub(super) fn enter(&mut self, room: RoomId, since: Cursor) {
        self.seats.push(WriterSubscription { room, since, until: None });
    }

    pub(super) fn exit(&mut self, room: RoomId, until: Cursor) {
        if let Some(seat) = self.seats.iter_mut().find(|seat| seat.room == room && seat.until.is_none()) {
            seat.until = Some(until);
        }
    }

    /// Rooms with logs that it still reads.
    pub(super) fn rooms(&self) -> impl Iterator<Item = RoomId> {
        self.seats.iter().map(|seat| seat.room)
    }

    /// Rooms it has left, with logs that it has read to its end.
    pub(super) fn give_up_seats(&mut self) -> Vec<RoomId> {
        let cursor = self.cursor;
        self.seats
            .extract_if(.., |seat| seat.until.is_some_and(|until| until <= cursor))
            .map(|seat| seat.room)
            .collect()
    }

    /// Drops all unsent data, except sealed bytes and this.
    pub(super) fn only(&mut self, last_words: Arc<[u8]>) -> Vec<RoomId> {
        self.own.clear();
        self.own_bytes = 0;
        self.missed.clear();
        self.reading = ReadMode::Live;
        self.tell(self.cursor, last_words);
        std::mem::take(&mut self.seats).into_iter().map(|seat| seat.room).collect()
    }

    /// Where it is in this room's log: events up to here are not needed for it any more.
    pub(super) fn position(&self, room: RoomId) -> Cursor {
        self.seats.iter().find(|seat| seat.room == room).map_or(self.cursor, |seat| seat.since.max(self.cursor))
    }

    /// True if its socket is full.
    pub(super) fn is_stuck(&self) -> bool {
        !self.tail.is_empty()
    }

    /// Returns the bytes that wait for it here.
    pub(super) fn waiting(&self, rooms: &RoomShares) -> u64 {
        let unread = |seat: &WriterSubscription| {
            rooms.get(&seat.room).map_or(0, |room| room.log.bytes_after(seat.since.max(self.cursor)))
        };
        let missed = self.missed.iter().map(|(_, bytes)| bytes.len() as u64).sum::<u64>();
        self.tail.len() as u64 + self.own_bytes + missed + self.seats.iter().map(unread).sum::<u64>()
    }

    /// True if a record that begins in a room's log after `from` is what it is to get next, and all that it is to get
    /// until `latest` is in that log.
    pub(super) fn reads_on(&self, room: RoomId, from: Cursor, latest: Cursor) -> bool {
        self.state == WriterState::Open
            && !self.is_stuck()
            && self.reads_only() == Some(room)
            && self.cursor < latest
            && self.position(room) == from
    }

    /// Adds its record to a batch, unless the record is its own: `lanes` seals it.
    pub(super) fn take_part(&mut self, batch: &Batch, lanes: &mut BatchSealer) -> bool {
        if self.is_excepted(batch) {
            return false;
        }
        // No data, no record.
        if !batch.text.is_empty() {
            lanes.add(&mut self.sealer);
        }
        self.cursor = batch.to;
        true
    }

    fn is_excepted(&self, batch: &Batch) -> bool {
        self.member.is_some_and(|member| batch.except.contains(&member))
    }

    /// Sends as much as its socket takes of what is due to it.
    pub(super) fn flush(&mut self, rooms: &RoomShares, latest: Cursor, batch: &mut Batch, sealed: &mut Vec<u8>) {
        if self.state == WriterState::Done || !self.send_tail() {
            return;
        }
        while self.state != WriterState::Done && self.has_more(latest) {
            sealed.clear();
            if let Some(room) = self.reads_only() {
                batch.fill(room, self.position(room), latest, rooms);
                if self.is_excepted(batch) {
                    self.fill_own(rooms, latest, sealed);
                } else {
                    self.cursor = batch.to;
                    seal(&mut self.sealer, &batch.text, sealed);
                }
            } else {
                self.fill_own(rooms, latest, sealed);
            }
            if !self.send(sealed) {
                return;
            }
        }
        // Buffers of a burst, such as a Welcome with all members of a room, are given back.
        if self.own.is_empty() {
            self.own = VecDeque::new();
        }
        if self.missed.is_empty() {
            self.missed = VecDeque::new();
        }
        if self.state == WriterState::Ending {
            self.link.close(Shutdown::Write);
            self.state = WriterState::Done;
        }
    }

    /// True if there is data to seal.
    fn has_more(&self, latest: Cursor) -> bool {
        match self.reading {
            ReadMode::Live => self.cursor < latest || !self.own.is_empty() || !self.missed.is_empty(),
            // An answer comes after the events that were before it.
            ReadMode::Behind | ReadMode::Asked => {
                self.cursor < self.missed_to || !self.missed.is_empty() || self.own_is_due()
            }
        }
    }

    fn own_is_due(&self) -> bool {
        self.own.front().is_some_and(|own| own.after <= self.missed_to || !self.is_behind())
    }

    /// The room, if all that is due to it are the events of one.
    fn reads_only(&self) -> Option<RoomId> {
        match self.seats[..] {
            [WriterSubscription { room, until: None, .. }] if self.own.is_empty() && self.missed.is_empty() => {
                Some(room)
            }
            _ => None,
        }
    }

    /// Seals one record of its due data: events of all its rooms and its own messages,
    /// in their order.
    fn fill_own(&mut self, rooms: &RoomShares, latest: Cursor, sealed: &mut Vec<u8>) {
        let mut due: Vec<(Cursor, &Arc<[u8]>)> = Vec::new();
        for seat in &self.seats {
            let Some(room) = rooms.get(&seat.room) else { continue };
            let mut length = 0;
            due.extend(
                room.log
                    .after(seat.since.max(self.cursor))
                    .take_while(|entry| seat.until.is_none_or(|until| entry.cursor <= until))
                    .filter(|entry| entry.except.is_none() || entry.except != self.member)
                    // More than one record's worth of a room is not looked at.
                    .take_while(|entry| {
                        let fits = length <= MAX_RECORD_TEXT;
                        length += entry.bytes.len();
                        fits
                    })
                    .map(|entry| (entry.cursor, &entry.bytes)),
            );
        }
        due.sort_unstable_by_key(|(cursor, _)| *cursor);
        let mut text = Vec::new();
        let mut events = due.into_iter().peekable();
        loop {
            let missed = self.missed.front();
            let event = missed.map(|(cursor, bytes)| (*cursor, bytes)).or(events.peek().copied());
            let own_is_next = match (self.own.front(), event) {
                (Some(own), Some((cursor, _))) => own.after < cursor,
                _ => self.own_is_due(),
            };
            let next: &[u8] = match (own_is_next, self.own.front(), event) {
                (true, Some(own), _) => &own.bytes,
                (_, _, Some((_, bytes))) => bytes,
                _ => {
                    self.cursor = if self.is_behind() { self.missed_to } else { latest };
                    break;
                }
            };
            if text.is_empty() && next.len() > MAX_RECORD_TEXT {
                // It would never be sent, nor the data behind it: ending one connection is better than blocking this thread.
                warn!("[!] Something for a connection is longer than a record: the connection ends");
                self.link.close(Shutdown::Both);
                self.state = WriterState::Done;
                return;
            }
            if text.len() + next.len() > MAX_RECORD_TEXT {
                break;
            }
            text.extend_from_slice(next);
            if own_is_next {
                if let Some(own) = self.own.pop_front() {
                    self.own_bytes -= own.size();
                    self.cursor = self.cursor.max(own.after);
                }
            } else if let Some((cursor, _)) = self.missed.pop_front() {
                self.cursor = cursor;
            } else if let Some((cursor, _)) = events.next() {
                self.cursor = cursor;
            }
        }
        seal(&mut self.sealer, &text, sealed);
    }

    /// Sends what is sealed; what the socket does not take becomes the tail. Gives whether it took all.
    pub(super) fn send(&mut self, sealed: &[u8]) -> bool {
        let mut rest = sealed;
        while !rest.is_empty() {
            match self.link.write_now(rest) {
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    // Its reader wakes up, and the service hears of it from there.
                    self.link.close(Shutdown::Both);
                    self.state = WriterState::Done;
                    self.tail = Vec::new();
                    return false;
                }
            }
        }
        self.tail.extend_from_slice(rest);
        rest.is_empty()
    }

    fn send_tail(&mut self) -> bool {
        if self.tail.is_empty() {
            return true;
        }
        let tail = std::mem::take(&mut self.tail);
        self.send(&tail)
    }
}

impl Batch {
    /// Makes the text of the record that begins after `from`, unless it is there already.
    pub(super) fn fill(&mut self, room: RoomId, from: Cursor, latest: Cursor, rooms: &RoomShares) {
        if self.source == Some((room, from, latest)) {
            return;
        }
        self.source = Some((room, from, latest));
        self.text.clear();
        self.except.clear();
        self.to = from;
        for entry in rooms.get(&room).into_iter().flat_map(|share| share.log.after(from)) {
            if self.text.len() + entry.bytes.len() > MAX_RECORD_TEXT {
                return;
            }
            self.text.extend_from_slice(&entry.bytes);
            self.except.extend(entry.except);
            self.to = entry.cursor;
        }
        self.to = latest;
    }
}

fn seal(sealer: &mut Sealer, text: &[u8], sealed: &mut Vec<u8>) {
    if !text.is_empty() {
        sealer.seal(text, sealed);
    }
}
