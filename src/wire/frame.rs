//! Frames: a length, then that many bytes. PROTOCOL.md §3.

use std::ops::Range;

/// The largest frame, in bytes: what a `u16` can say.
pub const MAX_FRAME: usize = 65_535;
/// The largest frame before the handshake is done, in bytes.
pub const MAX_HANDSHAKE_FRAME: usize = 4_096;
/// Bytes of the length in front of each frame.
pub const PREFIX: usize = 2;

/// Buffer that an idle deframer keeps for the next frame, in bytes: a ping's worth. More is given back, as
/// thousands may be waiting.
const KEPT: usize = 128;

/// A frame's length is 0 or over the bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {0} bytes")]
pub struct FrameLengthError(pub usize);

/// The two bytes in front of a frame of `length` bytes, which is at most [`MAX_FRAME`].
#[must_use]
pub fn prefix(length: usize) -> [u8; PREFIX] {
    debug_assert!((1..=MAX_FRAME).contains(&length));
    u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes()
}

/// One frame around `body`, which is at most [`MAX_FRAME`] bytes.
#[must_use]
pub fn frame(body: &[u8]) -> Vec<u8> {
    [&prefix(body.len())[..], body].concat()
}

/// Finds frames in bytes that come in pieces of any size. Holds at most one unfinished frame and what was fed with it.
#[derive(Debug)]
pub struct Deframer {
    held: Vec<u8>,
    read: usize,
    limit: usize,
}

impl Deframer {
    /// Refuses frames of more than `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { held: Vec::new(), read: 0, limit }
    }

    /// From here on frames may have up to `limit` bytes.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Takes in what has arrived.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.read > 0 {
            self.held.drain(..self.read);
            self.read = 0;
        }
        self.held.extend_from_slice(bytes);
    }

    /// The next frame, whole, in place: the caller may decrypt it where it lies.
    ///
    /// # Errors
    /// [`FrameLengthError`] as soon as a length of 0 or over the limit has arrived, without waiting for the rest.
    pub fn next_frame(&mut self) -> Result<Option<&mut [u8]>, FrameLengthError> {
        self.give_back();
        let Some(range) = self.whole_frame()? else { return Ok(None) };
        self.read = range.end;
        Ok(Some(&mut self.held[range]))
    }

    /// Returns true if a frame has arrived whole.
    ///
    /// # Errors
    /// [`FrameLengthError`] as [`Deframer::next_frame`].
    pub fn frame_is_complete(&mut self) -> Result<bool, FrameLengthError> {
        self.give_back();
        Ok(self.whole_frame()?.is_some())
    }

    /// An idle deframer holds little.
    fn give_back(&mut self) {
        if self.held.len() == self.read && self.held.capacity() > KEPT {
            *self = Self::new(self.limit);
        }
    }

    fn whole_frame(&self) -> Result<Option<Range<usize>>, FrameLengthError> {
        let Some(&[high, low]) = self.held.get(self.read..self.read + PREFIX) else {
            return Ok(None);
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length == 0 || length > self.limit {
            return Err(FrameLengthError(length));
        }
        let start = self.read + PREFIX;
        Ok((self.held.len() >= start + length).then_some(start..start + length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(deframer: &mut Deframer) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        while let Ok(Some(frame)) = deframer.next_frame() {
            all.push(frame.to_vec());
        }
        all
    }

    #[test]
    fn a_bad_length_is_refused_before_the_rest_has_come() {
        let mut deframer = Deframer::new(MAX_HANDSHAKE_FRAME);
        deframer.feed(b"GE"); // how an HTTP client begins: a length of 0x4745
        assert_eq!(deframer.next_frame(), Err(FrameLengthError(0x4745)));
        let mut deframer = Deframer::new(MAX_FRAME);
        deframer.feed(&[0, 0]);
        assert_eq!(deframer.next_frame(), Err(FrameLengthError(0)));
    }

    #[test]
    fn nothing_large_is_held_while_nothing_waits() {
        let mut deframer = Deframer::new(MAX_FRAME);
        deframer.feed(&frame(&vec![7; MAX_FRAME]));
        assert_eq!(frames(&mut deframer), [vec![7; MAX_FRAME]]);
        assert!(deframer.held.capacity() <= KEPT);
    }

    proptest::proptest! {
        #[test]
        fn any_split_of_the_bytes_gives_the_same_frames(
            bodies in proptest::collection::vec(proptest::collection::vec(proptest::num::u8::ANY, 1..300), 0..8),
            cuts in proptest::collection::vec(1..200usize, 0..40),
        ) {
            let stream: Vec<u8> = bodies.iter().flat_map(|body| frame(body)).collect();
            let mut deframer = Deframer::new(MAX_FRAME);
            let (mut rest, mut found) = (&stream[..], Vec::new());
            for cut in cuts {
                let (piece, more) = rest.split_at(cut.min(rest.len()));
                deframer.feed(piece);
                found.extend(frames(&mut deframer));
                rest = more;
            }
            deframer.feed(rest);
            found.extend(frames(&mut deframer));
            proptest::prop_assert_eq!(found, bodies);
        }
    }
}
