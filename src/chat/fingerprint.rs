//! Fingerprints as people read and write them: `SHA256:` and base64 without padding. PROTOCOL.md §2.

use std::fmt;

use base64ct::{Base64Unpadded, Encoding};

use super::Owner;

const PREFIX: &str = "SHA256:";

/// An identity's fingerprint, for people.
#[derive(Clone, Copy, Debug)]
pub(super) struct ShownFingerprint(pub(super) Owner);

impl fmt::Display for ShownFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", Base64Unpadded::encode_string(&self.0))
    }
}

/// Parses a fingerprint as a user typed it.
pub(super) fn parse(text: &str) -> Option<Owner> {
    let mut owner = [0; 32];
    let decoded = Base64Unpadded::decode(text.strip_prefix(PREFIX)?, &mut owner).ok()?;
    (decoded.len() == owner.len()).then_some(owner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_as_it_is_shown() {
        let text = ShownFingerprint([7; 32]).to_string();
        assert_eq!((text.len(), parse(&text)), (50, Some([7; 32])));
        for wrong in ["", "SHA256:", "SHA256:AAAA", &text[7..], &format!("{text}A"), &format!("{text}=")] {
            assert_eq!(parse(wrong), None, "{wrong:?}");
        }
    }
}
