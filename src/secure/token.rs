//! An invitation's token: 16 random bytes, in base64url without padding. A server keeps only its hash. PROTOCOL.md §6
//! "Who may come in".

use std::fmt;
use std::str::FromStr;

use base64ct::{Base64UrlUnpadded, Encoding};
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

/// Length of a token, in bytes.
pub const LENGTH: usize = 16;

/// A token that admits a user. Shown only on purpose ([`Token::text`]).
#[derive(Clone, PartialEq, Eq)]
pub struct Token([u8; LENGTH]);

impl Token {
    /// A token of these bytes, which are random.
    #[must_use]
    pub fn new(bytes: [u8; LENGTH]) -> Self {
        Self(bytes)
    }

    /// The token as it is passed on, and as it stands in a Join.
    #[must_use]
    pub fn text(&self) -> String {
        Base64UrlUnpadded::encode_string(&self.0)
    }

    /// Returns the hash that the server keeps.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0).into()
    }
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let mut token = Self([0; LENGTH]);
        match Base64UrlUnpadded::decode(text, &mut token.0) {
            Ok(decoded) if decoded.len() == LENGTH => Ok(token),
            _ => Err(TokenError),
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// The text is not 16 bytes in base64url.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a token is 22 characters of base64url")]
pub struct TokenError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_one_hash_and_nothing_else_is_a_token() {
        let token = Token::new([0xfb; 16]);
        let text = token.text();
        assert_eq!((text.len(), text.parse()), (22, Ok(token.clone())));
        assert_ne!(token.hash(), Token::new([0xfc; 16]).hash());
        assert_eq!(token.hash(), <[u8; 32]>::from(Sha256::digest([0xfb; 16])));
        for wrong in ["", "short", &text[1..], &format!("{text}A"), &text.replace('-', "+"), &format!("{text}==")] {
            assert_eq!(wrong.parse::<Token>(), Err(TokenError), "{wrong:?}");
        }
    }
}
