//! Passwords, as a server keeps them: Argon2id (RFC 9106), as PHC strings.
//!
//! One costs 19 MiB and some 15 ms ([`argon2::Params::DEFAULT`]): a caller that checks strangers' passwords does so one
//! at a time.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};

/// Length of a password, in bytes.
pub const LENGTH: std::ops::RangeInclusive<usize> = 8..=256;

/// Hashes a password for storage; salted at random by `salt`.
///
/// # Errors
/// [`PasswordLengthError`] for one that is too short or too long.
pub fn hash(password: &str, salt: [u8; 16]) -> Result<String, PasswordLengthError> {
    if !LENGTH.contains(&password.len()) {
        return Err(PasswordLengthError);
    }
    let hashed: PasswordHash =
        Argon2::default().hash_password_with_salt(password.as_bytes(), &salt).map_err(|_| PasswordLengthError)?;
    Ok(hashed.to_string())
}

/// True if this is the password of which that is kept. What is no PHC string fits none.
#[must_use]
pub fn verify(password: &str, kept: &str) -> bool {
    LENGTH.contains(&password.len())
        && PasswordHash::new(kept)
            .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

/// A password that is too short or too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a password has 8 to 256 bytes")]
pub struct PasswordLengthError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_fits_what_is_kept_of_it_and_no_other_does() {
        let kept = hash("correct horse", [7; 16]).unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$") && !kept.contains("horse"), "{kept}");
        assert!(verify("correct horse", &kept));
        for other in ["correct Horse", "correct horse ", "", "x"] {
            assert!(!verify(other, &kept), "{other:?}");
        }
        assert_ne!(kept, hash("correct horse", [8; 16]).unwrap(), "salted");
        assert!(!verify("correct horse", "$argon2id$nonsense"));
    }

    #[test]
    fn a_password_is_neither_short_nor_endless() {
        assert_eq!(hash("1234567", [0; 16]), Err(PasswordLengthError));
        assert_eq!(hash(&"x".repeat(257), [0; 16]), Err(PasswordLengthError));
        assert!(hash("12345678", [0; 16]).is_ok());
    }
}
