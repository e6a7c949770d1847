//! An invitation's token: 16 random bytes, in base64url without padding. A server keeps only its hash. PROTOCOL.md §6
//! "Who may come in".

use base64ct::{Base64UrlUnpadded, Encoding};
use sha2::{Digest, Sha256};

/// How long a token is, in bytes.
pub const LENGTH: usize = 16;

/// The token as it is passed on.
#[must_use]
pub fn text(token: [u8; LENGTH]) -> String {
    Base64UrlUnpadded::encode_string(&token)
}

/// What is kept of a token, if this is one.
#[must_use]
pub fn hash(text: &str) -> Option<[u8; 32]> {
    let mut token = [0; LENGTH];
    let decoded = Base64UrlUnpadded::decode(text, &mut token).ok()?;
    (decoded.len() == LENGTH).then(|| Sha256::digest(decoded).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_one_hash_and_nothing_else_is_a_token() {
        let token = text([0xfb; 16]);
        assert_eq!((token.len(), hash(&token).is_some()), (22, true));
        assert_ne!(hash(&token), hash(&text([0xfc; 16])));
        for wrong in ["", "short", &token[1..], &format!("{token}A"), &token.replace('-', "+"), &format!("{token}==")] {
            assert_eq!(hash(wrong), None, "{wrong:?}");
        }
    }
}
