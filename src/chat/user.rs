//! The user of a session.

use std::sync::Arc;

use super::Owner;
use super::message::SessionId;
use super::name::Name;

/// A user, as authenticated.
#[derive(Clone, Debug)]
pub struct User {
    /// The name they go by.
    pub name: Name,
    /// Fingerprint of the identity that owns the name.
    pub owner: Owner,
    /// Their credential's hash.
    pub session: SessionId,
    /// Their identity, as DER SubjectPublicKeyInfo.
    pub spki: Arc<[u8]>,
}
