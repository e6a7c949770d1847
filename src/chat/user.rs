//! Who somebody is.

use std::sync::Arc;

use super::Owner;
use super::message::SessionId;
use super::name::Name;

/// Who somebody is, as they have proved it.
#[derive(Clone, Debug)]
pub struct User {
    /// The name they go by.
    pub name: Name,
    /// Their identity's fingerprint: whose the name is.
    pub owner: Owner,
    /// Their credential's hash.
    pub session: SessionId,
    /// Their identity, as DER SubjectPublicKeyInfo.
    pub spki: Arc<[u8]>,
}
