//! Records: one direction's chain, and the frames it seals or opens. PROTOCOL.md §3, §5.
//!
//! There is no counter and no rekeying: what is replayed, dropped or reordered meets another key.

use super::keys::Chain;
use super::seal::{self, TAG};
use crate::wire::frame::{self, MAX_FRAME};

pub use super::seal::Unopened;

/// The longest text of a record, in bytes.
pub const MAX_RECORD_TEXT: usize = MAX_FRAME - TAG;

/// Seals one direction's records. No Clone, no Debug: a chain has one owner.
pub struct Sealer {
    chain: Chain,
}

impl Sealer {
    pub(super) fn new(chain: Chain) -> Self {
        Self { chain }
    }

    /// Appends `text`, at most [`MAX_RECORD_TEXT`] bytes, to `out` as one record in its frame.
    ///
    /// # Panics
    /// If the text is longer: whoever gathers texts keeps the bound.
    pub fn seal(&mut self, text: &[u8], out: &mut Vec<u8>) {
        assert!(text.len() <= MAX_RECORD_TEXT, "a record's text is bounded by who gathers it");
        out.extend_from_slice(&frame::prefix(text.len() + TAG));
        seal::seal(&self.chain.step(), text, out);
    }
}

/// Opens one direction's records, and is dead after the first that fails.
pub struct Opener {
    chain: Option<Chain>,
}

impl Opener {
    pub(super) fn new(chain: Chain) -> Self {
        Self { chain: Some(chain) }
    }

    /// Opens a frame's body in place; what comes back is the record's text.
    ///
    /// # Errors
    /// [`Unopened`] if it is not the next record of this direction, and for whatever comes after such a one.
    pub fn open<'a>(&mut self, body: &'a mut [u8]) -> Result<&'a mut [u8], Unopened> {
        let mut chain = self.chain.take().ok_or(Unopened)?;
        let text = seal::open(&chain.step(), body)?;
        self.chain = Some(chain);
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Sealer, Opener) {
        (Sealer::new(Chain::from_bytes([7; 32])), Opener::new(Chain::from_bytes([7; 32])))
    }

    fn sealed(sealer: &mut Sealer, text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        sealer.seal(text, &mut out);
        out.split_off(frame::PREFIX)
    }

    #[test]
    fn the_same_text_twice_gives_different_records_and_both_open() {
        let (mut sealer, mut opener) = pair();
        let (mut first, mut second) = (sealed(&mut sealer, b"Hi"), sealed(&mut sealer, b"Hi"));
        assert_ne!(first, second);
        assert_eq!(opener.open(&mut first).unwrap(), b"Hi");
        assert_eq!(opener.open(&mut second).unwrap(), b"Hi");
    }

    #[test]
    fn every_flipped_byte_is_refused_and_nothing_opens_after() {
        let whole = sealed(&mut pair().0, b"seventeen letters");
        for at in 0..whole.len() {
            let (mut sealer, mut opener) = pair();
            let mut bent = sealed(&mut sealer, b"seventeen letters");
            bent[at] ^= 1;
            let before = bent.clone();
            assert_eq!(opener.open(&mut bent), Err(Unopened), "byte {at}");
            assert_eq!(bent, before, "nothing was decrypted");
            assert_eq!(opener.open(&mut whole.clone()), Err(Unopened), "dead");
        }
    }

    #[test]
    fn replayed_dropped_and_reordered_records_are_refused() {
        let texts: [&[u8]; 3] = [b"one", b"two", b"three"];
        for order in [[0, 0], [1, 0], [2, 1]] {
            let (mut sealer, mut opener) = pair();
            let records = texts.map(|text| sealed(&mut sealer, text));
            let opened = order.map(|which| opener.open(&mut records[which].clone()).is_ok());
            assert!(!opened[1], "{order:?}");
        }
    }

    #[test]
    fn a_record_shorter_than_its_tag_is_refused() {
        for length in 0..TAG {
            assert_eq!(pair().1.open(&mut vec![0; length]), Err(Unopened));
        }
    }
}
