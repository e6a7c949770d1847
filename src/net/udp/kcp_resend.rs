//! Segments that wait for their acknowledgement: the oldest is sent again on a clock of its own.
//!
//! KCP waits half as long again after each loss, without bound: after an outage of half a minute it would be silent for
//! a third of one more. So its time stands still while no answer comes, and the oldest segment goes out once a second.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::datagram::Id;
use super::kcp_check::{self, Head};

/// The oldest segment is sent again after this at the latest, and a closed window is asked about as often.
const AGAIN: Duration = Duration::from_secs(1);
/// Without an answer for so long, time stands still for KCP.
const STALLED: Duration = Duration::from_secs(2);
/// When a datagram comes after such a time, the oldest segment is sent again after this.
const SOON: Duration = Duration::from_millis(250);

/// Segments on their way.
#[derive(Default)]
pub(super) struct ResendQueue {
    on_way: BTreeMap<u32, SentSegment>,
    /// Time since which a segment is on its way, without an answer.
    unanswered_since: Option<Instant>,
    /// The last valid datagram.
    heard: Option<Instant>,
    /// The last question about the other end's closed window, or when it closed.
    asked: Option<Instant>,
    /// The window and the next number that were told last.
    window: u16,
    acknowledged: u32,
}

struct SentSegment {
    head: Head,
    bytes: Vec<u8>,
    last: Instant,
}

impl ResendQueue {
    /// Notes the segments of a packet that is sent.
    pub(super) fn sent(&mut self, packet: &[u8], now: Instant) {
        for (head, bytes) in kcp_check::segments(packet) {
            (self.window, self.acknowledged) = (head.window, head.acknowledged);
            if head.is_push() {
                self.on_way.insert(head.number, SentSegment { head, bytes: bytes.to_vec(), last: now });
                self.unanswered_since.get_or_insert(now);
            }
        }
    }

    /// Notes what the segments of a datagram acknowledge. Gives whether one answers a segment on its way.
    pub(super) fn take(&mut self, segments: &[u8], now: Instant) -> bool {
        let before = self.on_way.len();
        for (head, _) in kcp_check::segments(segments) {
            while self.on_way.first_key_value().is_some_and(|(number, _)| *number < head.acknowledged) {
                self.on_way.pop_first();
            }
            if head.is_ack() {
                self.on_way.remove(&head.number);
            }
        }
        let is_answer = self.on_way.len() < before;
        if is_answer {
            self.unanswered_since = (!self.on_way.is_empty()).then_some(now);
        }
        is_answer
    }

    /// All has been acknowledged.
    pub(super) fn clear(&mut self) {
        self.on_way.clear();
        self.unanswered_since = None;
    }

    /// A valid datagram has come, of any kind.
    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = Some(now);
    }

    /// Watches whether the other end's window is closed while there is data for it.
    pub(super) fn watch_window(&mut self, is_shut: bool, now: Instant) {
        self.asked = is_shut.then(|| self.asked.unwrap_or(now));
    }

    /// True if no answer has come for so long that time is to stand still for KCP.
    pub(super) fn is_stalled(&self, now: Instant) -> bool {
        self.unanswered_since.is_some_and(|since| now.saturating_duration_since(since) >= STALLED)
    }

    /// Time when the oldest segment is sent again.
    fn segment_due(&self, now: Instant) -> Option<Instant> {
        let (_, oldest) = self.on_way.first_key_value()?;
        let is_back = self.heard.is_some_and(|heard| heard > oldest.last) && self.is_stalled(now);
        Some(oldest.last + if is_back { SOON } else { AGAIN })
    }

    /// Time of the next packet of this clock.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        let question = self.asked.map(|asked| asked + AGAIN);
        [self.segment_due(now), question].into_iter().flatten().min()
    }

    /// The packet that is due: the oldest segment, or a question about the closed window.
    pub(super) fn packet(&mut self, id: Id, stamp: u32, now: Instant) -> Option<Vec<u8>> {
        let (window, acknowledged) = (self.window, self.acknowledged);
        if self.segment_due(now).is_some_and(|due| due <= now) {
            let mut oldest = self.on_way.first_entry()?;
            let SentSegment { head, bytes, last } = oldest.get_mut();
            *last = now;
            return Some(head.resent(window, stamp, acknowledged).segment(bytes));
        }
        let asked = self.asked.as_mut().filter(|asked| **asked + AGAIN <= now)?;
        *asked = now;
        Some(Head::question(id).resent(window, stamp, acknowledged).segment(&[]))
    }
}
