//! Secrecy: identities, the handshake, and the sealing of records.
//!
//! ```text
//! identity (RSA, on disk) ──signs──▶ credential ──proves──▶ handshake ──▶ Established { sealer, opener, peer }
//!                                                                              │
//!                               one chain a direction: step ▶ seal ▶ record ◀──┘
//!
//! datagram: tags and cookies, for what comes by UDP
//! invitation, password: how somebody comes in who is not known
//!
//! two people's credentials ──▶ e2e: boxes, sender keys, letters; the server can name none of it
//! ```
//!
//! Invariant: nothing here does I/O, reads a clock, owns a source of randomness, or logs. Bytes, time and
//! randomness are arguments. Only [`handshake`] makes an [`handshake::Established`] or a [`handshake::VerifiedPeer`].

pub mod credential;
pub mod datagram;
pub mod e2e;
pub mod handshake;
pub mod identity;
pub mod invitation;
mod keys;
pub mod password;
pub mod record;
mod seal;
pub mod token;
#[cfg(test)]
mod vectors;
