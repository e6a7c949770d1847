//! The digits that two users compare, by voice or on paper, to detect an attacker between them. PROTOCOL.md §7.

use std::fmt;

use crate::secure::identity::Fingerprint;

/// Groups of digits for each of the two.
const GROUPS: usize = 6;
/// Bytes of a fingerprint in a group, and the digits that are made of them.
const BYTES: usize = 5;

/// Sixty digits, the same for both users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SafetyNumber([u64; 2 * GROUPS]);

impl SafetyNumber {
    /// That of two identities.
    #[must_use]
    pub fn new(one: Fingerprint, other: Fingerprint) -> Self {
        let mut groups = [0; 2 * GROUPS];
        let both = [one.min(other), one.max(other)];
        let parts = both.iter().flat_map(|fingerprint| fingerprint.0.chunks_exact(BYTES).take(GROUPS));
        for (group, part) in groups.iter_mut().zip(parts) {
            let number = part.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
            *group = number % 100_000;
        }
        Self(groups)
    }
}

impl fmt::Display for SafetyNumber {
    /// Twelve groups of five digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, group) in self.0.iter().enumerate() {
            write!(f, "{}{group:05}", if at == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}
