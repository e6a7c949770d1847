//! Records: one direction's chain, and the frames it seals or opens. PROTOCOL.md §3, §5.
//!
//! There is no counter and no rekeying: what is replayed, dropped or reordered meets another key.

use super::keys::{Chain, StepKeys};
use super::seal::{self, TAG};
use crate::wire::frame::{self, MAX_FRAME, PREFIX};

pub use super::seal::OpenError;

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
    /// If the text is longer: the caller keeps the bound.
    pub fn seal(&mut self, text: &[u8], out: &mut Vec<u8>) {
        assert!(text.len() <= MAX_RECORD_TEXT, "a record's text is bounded by who gathers it");
        out.extend_from_slice(&frame::prefix(text.len() + TAG));
        seal::seal(&self.chain.step(), text, out);
    }
}

/// Seals one text for several readers, each under their own chain: what [`Sealer::seal`] makes for each of them, sooner.
#[derive(Default)]
pub struct BatchSealer {
    keys: Vec<StepKeys>,
    records: Vec<Vec<u8>>,
}

impl BatchSealer {
    /// This many records fill a processor's pipelines; more gain no speed.
    pub const MAX_LANES: usize = 8;

    /// One more reader gets the next text.
    pub fn add(&mut self, sealer: &mut Sealer) {
        self.keys.push(sealer.chain.step());
    }

    /// Seals `text`, at most [`MAX_RECORD_TEXT`] bytes, for those who have been added: their records, in their order, each
    /// in its frame. Then no reader has been added.
    ///
    /// # Panics
    /// If the text is longer: the caller keeps the bound.
    pub fn seal(&mut self, text: &[u8]) -> impl Iterator<Item = &[u8]> {
        assert!(text.len() <= MAX_RECORD_TEXT, "a record's text is bounded by who gathers it");
        if self.records.len() < self.keys.len() {
            self.records.resize_with(self.keys.len(), Vec::new);
        }
        let prefix = frame::prefix(text.len() + TAG);
        let all = self.keys.len();
        let (mut keys, mut records) = (&self.keys[..], &mut self.records[..all]);
        for record in &mut *records {
            record.resize(PREFIX + text.len() + TAG, 0);
            record[..PREFIX].copy_from_slice(&prefix);
        }
        while let [alone, ..] = keys {
            let done = if seal_first::<8>(keys, text, records) {
                8
            } else if seal_first::<4>(keys, text, records) {
                4
            } else if seal_first::<2>(keys, text, records) {
                2
            } else {
                records[0].truncate(PREFIX);
                seal::seal(alone, text, &mut records[0]);
                1
            };
            (keys, records) = (&keys[done..], &mut records[done..]);
        }
        self.keys.clear();
        self.records[..all].iter().map(|record| &record[..])
    }
}

/// Seals the first so many, if there are as many.
fn seal_first<const N: usize>(keys: &[StepKeys], text: &[u8], records: &mut [Vec<u8>]) -> bool {
    let (Some(keys), Some(records)) = (keys.first_chunk::<N>(), records.first_chunk_mut::<N>()) else {
        return false;
    };
    seal::seal_side_by_side(keys.each_ref(), text, records.each_mut().map(|record| &mut record[PREFIX..]));
    true
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
    /// [`OpenError`] if it is not the next record of this direction, and for all records after such a one.
    pub fn open<'a>(&mut self, body: &'a mut [u8]) -> Result<&'a mut [u8], OpenError> {
        let mut chain = self.chain.take().ok_or(OpenError)?;
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
    fn what_is_sealed_side_by_side_is_what_is_sealed_alone() {
        let all: Vec<u8> = (0..MAX_RECORD_TEXT).map(|at| at.to_le_bytes()[0]).collect();
        let mut lanes = BatchSealer::default();
        for readers in 0..=BatchSealer::MAX_LANES + 3 {
            let chain = |reader: usize| Sealer::new(Chain::from_bytes([u8::try_from(reader).unwrap(); 32]));
            let mut alone: Vec<Sealer> = (0..readers).map(chain).collect();
            let mut together: Vec<Sealer> = (0..readers).map(chain).collect();
            // Longer ones first: what is left of them must not show.
            for length in [MAX_RECORD_TEXT, 4_097, 300, 129, 128, 127, 64, 17, 16, 15, 1, 0] {
                for sealer in &mut together {
                    lanes.add(sealer);
                }
                let records: Vec<Vec<u8>> = lanes.seal(&all[..length]).map(<[u8]>::to_vec).collect();
                let expected: Vec<Vec<u8>> = alone
                    .iter_mut()
                    .map(|sealer| {
                        let mut out = Vec::new();
                        sealer.seal(&all[..length], &mut out);
                        out
                    })
                    .collect();
                assert!(records == expected, "{readers} readers, {length} bytes");
            }
        }
    }

    #[test]
    fn every_flipped_byte_is_refused_and_nothing_opens_after() {
        let whole = sealed(&mut pair().0, b"seventeen letters");
        for at in 0..whole.len() {
            let (mut sealer, mut opener) = pair();
            let mut bent = sealed(&mut sealer, b"seventeen letters");
            bent[at] ^= 1;
            let before = bent.clone();
            assert_eq!(opener.open(&mut bent), Err(OpenError), "byte {at}");
            assert_eq!(bent, before, "nothing was decrypted");
            assert_eq!(opener.open(&mut whole.clone()), Err(OpenError), "dead");
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
            assert_eq!(pair().1.open(&mut vec![0; length]), Err(OpenError));
        }
    }
}
