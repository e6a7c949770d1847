//! Roster hash: a room's members as one hash, which every message there is signed over. PROTOCOL.md §7.

use sha2::{Digest, Sha256};

use super::SessionBytes;
use crate::secure::identity::Fingerprint;
use crate::wire::codec::Writer;

/// The members of a room at one of its changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RosterHash(pub(super) [u8; 32]);

impl RosterHash {
    /// `members` are the sessions of all members, the local one too, in the order of their bytes.
    #[must_use]
    pub fn new<'a>(
        server: Fingerprint,
        room: &str,
        change: u64,
        members: impl ExactSizeIterator<Item = &'a SessionBytes>,
    ) -> Self {
        let head = Writer::with_capacity(256 + 34 * members.len())
            .array(5)
            .text("cfb-chat/1 roster")
            .bytes(&server.0)
            .text(room)
            .uint(change)
            .array(members.len());
        let all = members.fold(head, |writer, member| writer.bytes(member));
        Self(Sha256::digest(all.finish()).into())
    }
}
