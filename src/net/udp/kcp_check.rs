//! KCP's segments, looked at before KCP does.
//!
//! KCP takes a peer's word for much: it does its arithmetic on numbers and times as they come (which may overflow),
//! remembers to acknowledge as often as it comes, and uses the first of several segments before it looks at the
//! second. So what is not as §10 has it never gets there: all of a datagram's segments, or none.

use super::datagram::Id;

/// Bytes before a segment's own.
const HEAD: usize = 24;
/// Number of segments in a window.
pub(super) const WINDOW: u16 = 256;
/// Segments in ACKs have numbers below this: a handshake is a few KiB.
pub(super) const HANDSHAKE: u32 = 64;
/// And none ever has one above this: what KCP computes with it stays far from overflowing.
pub(super) const MAX_WINDOW_OFFSET: u32 = 1 << 30;
/// An older acknowledgement does not measure the path, in milliseconds.
const OLDEST_ANSWER: u32 = 90_000;

const PUSH: u8 = 81;
const ACK: u8 = 82;
const ASK: u8 = 83;
const TELL: u8 = 84;

/// Contents of a datagram's segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    /// Segments that carry bytes.
    pub(super) pushed: usize,
    /// True if it has segments to acknowledge.
    pub(super) asks: bool,
    /// True if the stream's first bytes are in it.
    pub(super) begins: bool,
    /// The highest number of a segment with bytes.
    pub(super) highest: u32,
}

/// One segment's head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    id: Id,
    kind: u8,
    fragment: u8,
    /// The window of its sender.
    pub(super) window: u16,
    /// Its sender's time; of an acknowledgement, the time of what it acknowledges.
    stamp: u32,
    /// Its own number, or that of the segment that it acknowledges.
    pub(super) number: u32,
    /// All numbers below this have come.
    pub(super) acknowledged: u32,
    length: usize,
}

impl Head {
    /// The next segment's, and the segments behind it.
    fn next(segments: &[u8]) -> Option<(Self, &[u8])> {
        let (head, rest) = segments.split_first_chunk::<HEAD>()?;
        let u32_at = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let length = usize::try_from(u32_at(20)).ok()?;
        let head = Self {
            id: [head[0], head[1], head[2], head[3]],
            kind: head[4],
            fragment: head[5],
            window: u16::from_le_bytes([head[6], head[7]]),
            stamp: u32_at(8),
            number: u32_at(12),
            acknowledged: u32_at(16),
            length,
        };
        Some((head, rest.get(length..)?))
    }

    /// A question about the other end's window.
    pub(super) fn question(id: Id) -> Self {
        Self { id, kind: ASK, fragment: 0, window: 0, stamp: 0, number: 0, acknowledged: 0, length: 0 }
    }

    /// True if it carries bytes.
    pub(super) fn is_push(&self) -> bool {
        self.kind == PUSH
    }

    /// True if it acknowledges a segment.
    pub(super) fn is_ack(&self) -> bool {
        self.kind == ACK
    }

    /// The same one, as it is sent at another time.
    pub(super) fn resent(self, window: u16, stamp: u32, acknowledged: u32) -> Self {
        Self { window, stamp, acknowledged, ..self }
    }

    /// The segment with these bytes behind it.
    pub(super) fn segment(&self, bytes: &[u8]) -> Vec<u8> {
        let parts: [&[u8]; 8] = [
            &self.id,
            &[self.kind, self.fragment],
            &self.window.to_le_bytes(),
            &self.stamp.to_le_bytes(),
            &self.number.to_le_bytes(),
            &self.acknowledged.to_le_bytes(),
            &u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes(),
            bytes,
        ];
        parts.concat()
    }

    fn is_as_it_should_be(&self, id: Id, limit: u32, now: u32) -> bool {
        let fits = match self.kind {
            PUSH => self.length > 0,
            ACK => self.length == 0 && self.stamp <= now && now - self.stamp <= OLDEST_ANSWER,
            ASK | TELL => self.length == 0,
            _ => false,
        };
        let numbers = self.number < limit && self.acknowledged <= limit;
        fits && numbers && self.id == id && self.fragment == 0 && self.window <= WINDOW
    }
}

impl Content {
    fn add(&mut self, head: &Head) {
        if head.kind == PUSH {
            self.pushed += 1;
            self.begins |= head.number == 0;
            self.highest = self.highest.max(head.number);
        }
        self.asks |= matches!(head.kind, PUSH | ASK);
    }
}

/// Checks received segments; `None` if one is invalid. `limit` is above
/// all numbers, `now` the time by which our segments are stamped.
pub(super) fn check(mut segments: &[u8], id: Id, limit: u32, now: u32) -> Option<Content> {
    let mut content = Content::default();
    loop {
        let (head, rest) = Head::next(segments)?;
        if !head.is_as_it_should_be(id, limit, now) {
            return None;
        }
        content.add(&head);
        segments = rest;
        if segments.is_empty() {
            return Some(content);
        }
    }
}

/// Returns the contents of own segments.
pub(super) fn made(packet: &[u8]) -> Content {
    let mut content = Content::default();
    segments(packet).for_each(|(head, _)| content.add(&head));
    content
}

/// The segments of a packet that has been checked or that KCP has made: their heads and their bytes.
pub(super) fn segments(mut packet: &[u8]) -> impl Iterator<Item = (Head, &[u8])> {
    std::iter::from_fn(move || {
        let (head, rest) = Head::next(packet)?;
        let segment = &packet[..packet.len() - rest.len()];
        packet = rest;
        Some((head, segment.get(HEAD..)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Id = *b"talk";

    fn segment(kind: u8, number: u32, text: &[u8]) -> Vec<u8> {
        let length = u32::try_from(text.len()).unwrap();
        let parts: [&[u8]; 8] = [
            &ID,
            &[kind, 0],
            &256_u16.to_le_bytes(),
            &1_000_u32.to_le_bytes(),
            &number.to_le_bytes(),
            &5_u32.to_le_bytes(),
            &length.to_le_bytes(),
            text,
        ];
        parts.concat()
    }

    fn checked(segments: &[u8]) -> Option<Content> {
        check(segments, ID, HANDSHAKE, 2_000)
    }

    #[test]
    fn segments_as_they_should_be_are_told_apart() {
        let push = segment(PUSH, 7, b"text");
        let content = Content { pushed: 1, asks: true, begins: false, highest: 7 };
        assert_eq!(checked(&push), Some(content));
        assert_eq!(checked(&segment(ACK, 7, b"")), Some(Content::default()));
        assert_eq!(checked(&segment(ASK, 0, b"")), Some(Content { asks: true, ..Content::default() }));
        let both = [push, segment(PUSH, 0, b"!"), segment(TELL, 0, b"")].concat();
        let content = Content { pushed: 2, begins: true, ..content };
        assert_eq!(checked(&both), Some(content));
        assert_eq!(made(&both), content);
    }

    /// PROTOCOL.md 10.1-3.
    #[test]
    fn one_that_is_not_is_refused_with_all_beside_it() {
        let bend = |at: usize, to: u8| {
            let mut bent = segment(PUSH, 7, b"text");
            bent[at] = to;
            bent
        };
        let cases = [
            ("another conversation", bend(0, b'T')),
            ("another kind", bend(4, 80)),
            ("a fragment", bend(5, 1)),
            ("the last fragment there can be", bend(5, 255)),
            ("a wider window", bend(7, 2)),
            ("a number of after the handshake", bend(12, 64)),
            ("a number far ahead", bend(15, 0x80)),
            ("far more acknowledged", bend(19, 0x80)),
            ("more bytes than there are", bend(20, 5)),
            ("far more bytes than there are", bend(23, 255)),
            ("bytes behind", bend(20, 3)),
            ("no bytes", segment(PUSH, 7, b"")),
            ("bytes where none belong", segment(ACK, 7, b"text")),
            ("nothing", Vec::new()),
        ];
        for (what, bent) in &cases {
            assert_eq!(checked(bent), None, "{what}");
            assert_eq!(checked(&[segment(ACK, 1, b""), bent.clone()].concat()).filter(|_| !bent.is_empty()), None);
        }
        let ack = segment(ACK, 7, b"");
        assert_eq!(check(&ack, ID, MAX_WINDOW_OFFSET, 999), None, "an answer from the future");
        assert_eq!(check(&ack, ID, MAX_WINDOW_OFFSET, 91_001), None, "to what was asked long ago");
        for cut in 1..ack.len() {
            assert_eq!(checked(&ack[..cut]), None, "{cut}");
        }
    }
}
