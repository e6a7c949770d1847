//! The handshake, without I/O: SIGMA-I, then the server issues its secret. PROTOCOL.md §4.
//!
//! ```text
//! client::Start ──1──▶ server::accept          ephemeral keys first,
//! client::Keyed ◀──2── server::Keyed            all below is sealed
//! client::CheckedServer ◀──3── server::Proving        then who the server is: the caller looks at its pin here
//! client::Proved ──4──▶ server::CheckedClient         then who the user is
//! Established ◀──5── Established                the server's secret; both have the chains of §5
//! ```
//!
//! Each step takes `self`: none can be repeated, left out, or gone on from after a failure.

pub mod client;
mod messages;
pub mod server;

pub use messages::RefusalCode;

use super::credential::{CredentialError, VerifiedCredential};
use super::datagram::DatagramKeys;
use super::record::{Opener, Sealer};

/// A verified peer: its credential holds, and it has proved over this transcript that the credential is its own.
pub struct VerifiedPeer(VerifiedCredential);

impl VerifiedPeer {
    /// Returns the proven credential.
    #[must_use]
    pub fn credential(&self) -> &VerifiedCredential {
        &self.0
    }
}

/// Result of a handshake, and made only by one: a channel to a known peer.
pub struct Established {
    /// Seals what goes out.
    pub sealer: Sealer,
    /// Opens what comes in.
    pub opener: Opener,
    /// Authenticates datagrams, for a link that is made of them.
    pub datagrams: DatagramKeys,
    /// The peer.
    pub peer: VerifiedPeer,
}

/// Why a server ends a handshake, and the frame that tells the client, if it may be told.
#[derive(Debug)]
pub struct ServerHandshakeError {
    /// Why.
    pub code: RefusalCode,
    /// The frame to send before closing.
    pub farewell: Option<Vec<u8>>,
}

/// Why a client ends a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientHandshakeError {
    /// The server refused, in a bare frame: an attacker on the path could have sent it.
    #[error("refused: {0} (said in the clear: perhaps not by the server)")]
    RefusedBare(RefusalCode),
    /// The server refused, sealed.
    #[error("refused by the server: {0}")]
    Refused(RefusalCode),
    /// The message is not the one that the protocol has here.
    #[error("the other end does not speak this protocol")]
    Malformed,
    /// A record did not open: an attacker changed it.
    #[error("the data was changed on the way")]
    Unopened,
    /// The server's credential or its proof does not hold.
    #[error("the server could not prove who it is: {0}")]
    Server(CredentialError),
}

#[cfg(test)]
mod tests;
