//! The subset of CBOR (RFC 8949) that the protocol speaks: PROTOCOL.md §2.
//!
//! Unsigned integers, byte strings, UTF-8 text and arrays, of definite length, with the shortest head, at most
//! [`MAX_DEPTH`] arrays in one another. A value has exactly one encoding, so what was signed or hashed can be
//! made again from the fields, and no two byte strings mean the same.

use minicbor::data::Type;
use minicbor::{Decoder, Encoder};

/// Maximum depth of nested arrays.
pub const MAX_DEPTH: usize = 8;

/// The bytes are not the one encoding of the value that was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the encoding of the value that belongs here")]
pub struct DecodeError;

/// Why writing cannot fail.
const INTO_VEC: &str = "a Vec takes what is written";

/// Writes values one behind the other. Lengths are the caller's promise: `array(n)` wants n values after it.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

#[allow(clippy::missing_panics_doc, reason = "a Vec takes what is written")]
impl Writer {
    /// An empty writer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty writer with room for `bytes` bytes.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// The head of an array of `len` values.
    #[must_use]
    pub fn array(mut self, len: usize) -> Self {
        Encoder::new(&mut self.0).array(len as u64).expect(INTO_VEC);
        self
    }

    /// An unsigned integer.
    #[must_use]
    pub fn uint(mut self, value: u64) -> Self {
        Encoder::new(&mut self.0).u64(value).expect(INTO_VEC);
        self
    }

    /// A byte string.
    #[must_use]
    pub fn bytes(mut self, value: &[u8]) -> Self {
        Encoder::new(&mut self.0).bytes(value).expect(INTO_VEC);
        self
    }

    /// A text string.
    #[must_use]
    pub fn text(mut self, value: &str) -> Self {
        Encoder::new(&mut self.0).str(value).expect(INTO_VEC);
        self
    }

    /// A value that is encoded already.
    #[must_use]
    pub fn value(mut self, encoding: &[u8]) -> Self {
        self.0.extend_from_slice(encoding);
        self
    }

    /// Returns the written bytes.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Reads values one behind the other, refusing every encoding but the one.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    decoder: Decoder<'a>,
}

impl<'a> Reader<'a> {
    /// Reads from the first byte of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { decoder: Decoder::new(bytes) }
    }

    /// The head of an array: how many values follow. Never more than there are bytes left.
    ///
    /// # Errors
    /// [`DecodeError`] if no array of definite length and shortest head begins here.
    pub fn array(&mut self) -> Result<usize, DecodeError> {
        let start = self.decoder.position();
        let len = self.decoder.array().map_err(|_| DecodeError)?.ok_or(DecodeError)?;
        self.expect_length(start, head_length(len))?;
        let len = usize::try_from(len).map_err(|_| DecodeError)?;
        if len > self.left() { Err(DecodeError) } else { Ok(len) }
    }

    /// An unsigned integer.
    ///
    /// # Errors
    /// [`DecodeError`] if none with the shortest head stands here.
    pub fn uint(&mut self) -> Result<u64, DecodeError> {
        let start = self.decoder.position();
        let value = self.decoder.u64().map_err(|_| DecodeError)?;
        self.expect_length(start, head_length(value))?;
        Ok(value)
    }

    /// A byte string.
    ///
    /// # Errors
    /// [`DecodeError`] if none of definite length and shortest head stands here, or it is longer than what is left.
    pub fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let start = self.decoder.position();
        let value = self.decoder.bytes().map_err(|_| DecodeError)?;
        self.expect_length(start, head_length(value.len() as u64) + value.len())?;
        Ok(value)
    }

    /// A byte string of exactly `N` bytes.
    ///
    /// # Errors
    /// [`DecodeError`] as [`Reader::bytes`], and for any other length.
    pub fn bytes_exact<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        self.bytes()?.try_into().map_err(|_| DecodeError)
    }

    /// A text string.
    ///
    /// # Errors
    /// [`DecodeError`] as [`Reader::bytes`], and if it is not UTF-8.
    pub fn text(&mut self) -> Result<&'a str, DecodeError> {
        let start = self.decoder.position();
        let value = self.decoder.str().map_err(|_| DecodeError)?;
        self.expect_length(start, head_length(value.len() as u64) + value.len())?;
        Ok(value)
    }

    /// Any one value, and its bytes.
    ///
    /// # Errors
    /// [`DecodeError`] if what stands here is no value of the subset, or too deep.
    pub fn value(&mut self) -> Result<&'a [u8], DecodeError> {
        let start = self.decoder.position();
        self.skip(MAX_DEPTH)?;
        self.decoder.input().get(start..self.decoder.position()).ok_or(DecodeError)
    }

    /// Returns the number of unread bytes.
    #[must_use]
    pub fn left(&self) -> usize {
        self.decoder.input().len() - self.decoder.position()
    }

    /// The end of the bytes.
    ///
    /// # Errors
    /// [`DecodeError`] if bytes are left.
    pub fn end(&self) -> Result<(), DecodeError> {
        if self.left() == 0 { Ok(()) } else { Err(DecodeError) }
    }

    fn skip(&mut self, depth: usize) -> Result<(), DecodeError> {
        match self.decoder.datatype().map_err(|_| DecodeError)? {
            Type::U8 | Type::U16 | Type::U32 | Type::U64 => self.uint().map(drop),
            Type::Bytes => self.bytes().map(drop),
            Type::String => self.text().map(drop),
            Type::Array if depth > 0 => {
                let len = self.array()?;
                (0..len).try_for_each(|_| self.skip(depth - 1))
            }
            _ => Err(DecodeError),
        }
    }

    fn expect_length(&self, start: usize, length: usize) -> Result<(), DecodeError> {
        if self.decoder.position() - start == length { Ok(()) } else { Err(DecodeError) }
    }
}

/// Returns the length of the shortest head for `value`, in bytes (RFC 8949 §4.2.1).
fn head_length(value: u64) -> usize {
    match value {
        0..=23 => 1,
        24..=0xff => 2,
        0x100..=0xffff => 3,
        0x1_0000..=0xffff_ffff => 5,
        _ => 9,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PROTOCOL.md 2-4.
    #[test]
    fn a_length_greater_than_what_is_left_is_refused() {
        // 2^63 values, 2^32 - 1 bytes, 5 characters: none of them there.
        let claims: [&[u8]; 3] =
            [&[0x9b, 0x80, 0, 0, 0, 0, 0, 0, 0], &[0x5a, 0xff, 0xff, 0xff, 0xff, 1], &[0x65, b'a']];
        for claim in claims {
            assert_eq!(Reader::new(claim).value(), Err(DecodeError), "{claim:02x?}");
        }
    }

    /// PROTOCOL.md 2-1, 2-2.
    #[test]
    fn long_heads_other_types_and_open_ends_are_refused() {
        let refused: [&[u8]; 12] = [
            &[0x18, 0x17],             // 23 in two bytes
            &[0x19, 0x00, 0xff],       // 255 in three
            &[0x58, 0x01, 0x00],       // a long head for one byte
            &[0x78, 0x01, b'a'],       // and for one character
            &[0x98, 0x01, 0x00],       // and for an array
            &[0x20],                   // -1
            &[0xa0],                   // a map
            &[0xc0, 0x60],             // a tag
            &[0xf5],                   // true
            &[0xf9, 0x3c, 0x00],       // 1.0
            &[0x9f, 0x00, 0xff],       // an array of open length
            &[0x5f, 0x41, 0x00, 0xff], // bytes of open length
        ];
        for bytes in refused {
            assert_eq!(Reader::new(bytes).value(), Err(DecodeError), "{bytes:02x?}");
        }
        assert_eq!(Reader::new(&[0x61, 0xff]).value(), Err(DecodeError), "text that is not UTF-8");
    }

    /// PROTOCOL.md 2-3.
    #[test]
    fn arrays_stand_at_most_eight_deep() {
        let nested = |depth: usize| [vec![0x81; depth - 1], vec![0x80]].concat();
        assert!(Reader::new(&nested(MAX_DEPTH)).value().is_ok());
        assert_eq!(Reader::new(&nested(MAX_DEPTH + 1)).value(), Err(DecodeError));
    }
}
