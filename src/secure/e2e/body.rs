//! A message's text, with its time, padded so that its length tells little. PROTOCOL.md §7.

use super::EndToEndError;
use crate::wire::codec::{Reader, Writer};

/// Texts are padded to a multiple of so many bytes.
const BLOCK: usize = 64;
/// The first byte of the padding; zeros follow.
const END: u8 = 0x80;

/// Kind of a text. Unknown kinds are plain texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// "Ira: Hi"
    Text,
    /// "* Ira waves"
    Action,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageBody {
    /// When, in milliseconds since 1970 by its sender's clock.
    pub sent_at: u64,
    /// Kind of message.
    pub kind: BodyKind,
    /// Text.
    pub text: String,
}

impl MessageBody {
    /// The bytes to seal.
    #[must_use]
    pub fn pad(&self) -> Vec<u8> {
        let kind = match self.kind {
            BodyKind::Text => 0,
            BodyKind::Action => 1,
        };
        let mut bytes = Writer::new().array(3).uint(self.sent_at).uint(kind).text(&self.text).finish();
        bytes.push(END);
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        bytes
    }

    /// Reads what was sealed.
    ///
    /// # Errors
    /// [`EndToEndError::Malformed`] for all paddings but the right one, and for an empty text.
    pub fn unpad(padded: &[u8]) -> Result<Self, EndToEndError> {
        let end = padded.iter().rposition(|byte| *byte != 0).ok_or(EndToEndError::Malformed)?;
        if !padded.len().is_multiple_of(BLOCK) || padded[end] != END || padded.len() - end > BLOCK {
            return Err(EndToEndError::Malformed);
        }
        let mut reader = Reader::new(&padded[..end]);
        if reader.array()? != 3 {
            return Err(EndToEndError::Malformed);
        }
        let sent_at = reader.uint()?;
        let kind = if reader.uint()? == 1 { BodyKind::Action } else { BodyKind::Text };
        let text = reader.text()?.to_owned();
        reader.end()?;
        if text.is_empty() { Err(EndToEndError::Malformed) } else { Ok(Self { sent_at, kind, text }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_multiples_of_64_and_every_text_comes_back() {
        for length in 1..200 {
            let said = MessageBody { sent_at: 1_700_000_000_123, kind: BodyKind::Action, text: "x".repeat(length) };
            let padded = said.pad();
            assert!(padded.len().is_multiple_of(BLOCK) && padded.len() <= length + 15 + BLOCK, "{length}");
            assert_eq!(MessageBody::unpad(&padded), Ok(said));
        }
    }

    #[test]
    fn every_other_padding_is_refused() {
        let padded = MessageBody { sent_at: 1, kind: BodyKind::Text, text: "Hi".into() }.pad();
        let longer = [&padded[..], &[0; BLOCK]].concat();
        let mut marked = padded.clone();
        marked[BLOCK - 1] = 1;
        for bytes in [&[][..], &padded[..BLOCK - 1], &longer, &marked, &[0; BLOCK]] {
            assert_eq!(MessageBody::unpad(bytes), Err(EndToEndError::Malformed), "{bytes:02x?}");
        }
    }
}
