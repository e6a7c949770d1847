//! Passwords as they travel: in the one spelling that RFC 8265 gives them, so that two keyboards mean the same.

use precis_core::profile::Profile;
use precis_profiles::OpaqueString;
use zeroize::Zeroizing;

/// A password in PRECIS OpaqueString. How long one may be is for those to say who keep it.
///
/// # Errors
/// [`PasswordError`] for an empty one, and for characters that RFC 8265 keeps out.
pub fn normalized(text: &str) -> Result<Zeroizing<String>, PasswordError> {
    let normal = OpaqueString::new().enforce(text).map_err(|_| PasswordError)?;
    Ok(Zeroizing::new(normal.into_owned()))
}

/// A text that can be no password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a password may not have control characters")]
pub struct PasswordError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_the_same_however_it_was_typed() {
        for (typed, sent) in [
            ("correct horse", "correct horse"),
            ("Zoe\u{308} 1234", "Zoë 1234"),
            ("no\u{a0}break\u{2003}space", "no break space"),
            ("  kept as it is  ", "  kept as it is  "),
            ("Ｗide stays", "Ｗide stays"),
        ] {
            assert_eq!(normalized(typed).as_deref().map(String::as_str), Ok(sent));
        }
    }

    #[test]
    fn what_can_be_no_password_is_none() {
        for typed in ["", "bell\u{7}bell", "line\nline", "\u{1b}[2Jxxxxx", "\u{ad}\u{ad}\u{ad}\u{ad}"] {
            assert_eq!(normalized(typed), Err(PasswordError), "{typed:?}");
        }
    }
}
