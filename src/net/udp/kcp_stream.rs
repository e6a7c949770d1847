//! A conversation's bytes in order, each once: KCP, with what it needs around it.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kcp::Kcp;

use super::datagram::{AROUND, Id, MAX_DATAGRAM};
use super::kcp_check::{self, Content, WINDOW};
use super::kcp_resend::ResendQueue;

/// The most segments' bytes in a datagram.
pub(super) const PACKET: usize = MAX_DATAGRAM - AROUND;
/// Bytes of the stream in one segment, at most.
pub(super) const SEGMENT: usize = PACKET - kcp::KCP_OVERHEAD;
/// KCP checks its timers this often, in milliseconds, while data is in flight.
const INTERVAL: i32 = 10;
/// A segment is sent again when so many sent after it have been acknowledged.
const FAST_RESEND: i32 = 2;
/// So many segments may wait to be sent or acknowledged: the window's, and some behind.
const WAITING: usize = WINDOW as usize + 64;
/// So many that have come are acknowledged at the latest.
const UNACKNOWLEDGED: usize = 128;
/// KCP checks its timers this often while the other end's window is closed.
const SHUT: Duration = Duration::from_millis(100);

/// So many packets wait at most. More come only while they are held back, and are as if the network had lost them.
const PACKETS: usize = 2 * WINDOW as usize;

/// The packets that KCP has made.
#[derive(Clone, Default)]
struct Outlet(Arc<Mutex<VecDeque<Vec<u8>>>>);

impl Outlet {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Outlet {
    /// KCP gives a packet a write.
    fn write(&mut self, packet: &[u8]) -> io::Result<usize> {
        let mut packets = self.lock();
        if packets.len() < PACKETS {
            packets.push_back(packet.to_vec());
        }
        Ok(packet.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One stream, both directions.
pub(super) struct KcpStream {
    kcp: Kcp<Outlet>,
    packets: Outlet,
    id: Id,
    resends: ResendQueue,
    /// KCP's time 0, if it had never stood still.
    born: Instant,
    /// Time at which KCP's stands still, because no answer comes.
    still_at: Option<Instant>,
    /// True if KCP may send before its next interval.
    pressing: bool,
    unacknowledged: usize,
}

impl KcpStream {
    pub(super) fn new(id: Id, now: Instant) -> Self {
        let packets = Outlet::default();
        let mut kcp = Kcp::new_stream(u32::from_le_bytes(id), packets.clone());
        kcp.set_nodelay(true, INTERVAL, FAST_RESEND, false);
        kcp.set_wndsize(WINDOW, WINDOW);
        // It refuses only what is less than a head.
        let _ = kcp.set_mtu(PACKET);
        let mut stream = Self {
            kcp,
            packets,
            id,
            resends: ResendQueue::default(),
            born: now,
            still_at: None,
            pressing: true,
            unacknowledged: 0,
        };
        // It opens its window at the first look.
        stream.press(now);
        stream
    }

    /// True if more may be written.
    pub(super) fn has_room(&self) -> bool {
        self.kcp.wait_snd() < WAITING
    }

    /// True if all that was written has been acknowledged.
    pub(super) fn is_delivered(&self) -> bool {
        self.kcp.wait_snd() == 0
    }

    /// Takes bytes, a few KiB at a time.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        // Above 127 segments at once it takes some of them, and fails.
        for piece in bytes.chunks(64 * SEGMENT) {
            let _ = self.kcp.send(piece);
        }
        self.pressing = true;
    }

    /// Reads the next bytes, if `into` has the length of a segment.
    pub(super) fn read(&mut self, into: &mut [u8]) -> Option<usize> {
        let read = self.kcp.recv(into).ok()?;
        // It may have to tell that there is room again.
        self.pressing = true;
        Some(read)
    }

    /// Checks a datagram's segments without feeding them to KCP.
    pub(super) fn look(&self, segments: &[u8], limit: u32, now: Instant) -> Option<Content> {
        kcp_check::check(segments, self.id, limit, self.clock(now))
    }

    /// Takes in segments that have been looked at.
    pub(super) fn take(&mut self, segments: &[u8], content: Content, now: Instant) {
        if self.resends.take(segments, now) {
            self.go_on(now);
        }
        if self.unacknowledged + content.pushed > UNACKNOWLEDGED {
            self.press(now);
        }
        self.unacknowledged += content.pushed;
        // Also before its time: arriving segments are measured by the clock that this sets.
        let _ = self.kcp.update(self.clock(now));
        let _ = self.kcp.input(segments);
        self.pressing = true;
    }

    /// A valid datagram has come, of any kind.
    pub(super) fn heard(&mut self, now: Instant) {
        self.resends.heard(now);
    }

    /// KCP's time goes on from where it stood still.
    fn go_on(&mut self, now: Instant) {
        if let Some(still_at) = self.still_at.take() {
            self.born += now.saturating_duration_since(still_at);
        }
    }

    /// Makes packets of what is to be sent now.
    pub(super) fn flush(&mut self, now: Instant) {
        if self.is_delivered() {
            // A packet that had waited to be sent may have left a segment that was acknowledged meanwhile.
            self.resends.clear();
            self.go_on(now);
        }
        self.resends.watch_window(self.is_shut(), now);
        if self.resends.is_stalled(now) {
            self.still_at.get_or_insert(now);
        }
        if self.pressing {
            self.press(now);
        } else {
            let _ = self.kcp.update(self.clock(now));
        }
        // What KCP sends at this moment is noted when it is sent, and not due here.
        if self.next_packet().is_none()
            && let Some(packet) = self.resends.packet(self.id, self.clock(now), now)
        {
            self.packets.lock().push_back(packet);
        }
    }

    /// True if the other end has no room for the data that is there.
    fn is_shut(&self) -> bool {
        self.kcp.rmt_wnd() == 0 && !self.is_delivered()
    }

    fn press(&mut self, now: Instant) {
        // Neither fails: the outlet accepts all packets.
        let _ = self.kcp.update(self.clock(now));
        let _ = self.kcp.flush();
        (self.pressing, self.unacknowledged) = (false, 0);
    }

    /// Returns the length of the next packet.
    pub(super) fn next_packet(&self) -> Option<usize> {
        self.packets.lock().front().map(Vec::len)
    }

    /// The next packet, and what is in it.
    pub(super) fn packet(&mut self, now: Instant) -> Option<(Vec<u8>, Content)> {
        let packet = self.packets.lock().pop_front()?;
        self.resends.sent(&packet, now);
        let content = kcp_check::made(&packet);
        Some((packet, content))
    }

    /// Time of the next action without input. `None`: not before input.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        if self.is_delivered() {
            return None;
        }
        let resend = self.resends.due(now).map(|due| due.max(now));
        if self.still_at.is_some() {
            return resend;
        }
        let next = Duration::from_millis(self.kcp.check(self.clock(now)).max(1).into());
        let next = now + if self.is_shut() { next.max(SHUT) } else { next };
        Some(resend.map_or(next, |resend| resend.min(next)))
    }

    /// KCP's time: milliseconds since the stream began in which answers came. A conversation ends before they do not
    /// fit.
    fn clock(&self, now: Instant) -> u32 {
        let now = self.still_at.unwrap_or(now);
        u32::try_from(now.saturating_duration_since(self.born).as_millis()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Id = *b"talk";

    fn segment(kind: u8, window: u16, [stamp, number, due]: [u32; 3], text: &[u8]) -> Vec<u8> {
        let length = u32::try_from(text.len()).unwrap();
        let numbers = [stamp, number, due, length].map(u32::to_le_bytes).concat();
        [&ID[..], &[kind, 0], &window.to_le_bytes(), &numbers, text].concat()
    }

    /// PROTOCOL.md 10.1-1, 10.1-2: every end stamps by its own clock, and an acknowledgement has the stamp of its push.
    #[test]
    fn a_segment_is_laid_out_as_the_protocol_has_it() {
        let born = Instant::now();
        let at = |millis| born + Duration::from_millis(millis);
        let (mut sender, mut reader) = (KcpStream::new(ID, born), KcpStream::new(ID, at(5_000)));
        sender.write(b"Hi");
        sender.flush(at(300));
        let (push, content) = sender.packet(at(300)).unwrap();
        assert_eq!(push, segment(81, 256, [300, 0, 0], b"Hi"));
        assert!(content.begins && content.asks);
        let content = reader.look(&push, kcp_check::HANDSHAKE, at(5_100)).unwrap();
        reader.take(&push, content, at(5_100));
        reader.flush(at(5_100));
        let (ack, content) = reader.packet(at(5_100)).unwrap();
        assert_eq!(
            (&ack[..6], &ack[8..]),
            (&segment(82, 0, [300, 0, 1], b"")[..6], &segment(82, 0, [300, 0, 1], b"")[8..])
        );
        assert_eq!(content, Content::default());
        // Unanswered, a push comes again after 200 ms, and then after half as much longer, with a new stamp.
        let mut sent = Vec::new();
        for millis in (310..1_400).step_by(10) {
            sender.flush(at(millis));
            sent.extend(std::iter::from_fn(|| sender.packet(at(millis))).map(|(packet, _)| packet));
        }
        let stamps: Vec<u32> =
            sent.iter().map(|packet| u32::from_le_bytes(packet[8..12].try_into().unwrap())).collect();
        assert_eq!(stamps.len(), 3, "{stamps:?}");
        assert!(stamps[0] >= 500 && stamps[1] >= stamps[0] + 300 && stamps[2] >= stamps[1] + 450, "{stamps:?}");
    }
}
