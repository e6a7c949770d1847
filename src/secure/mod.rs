//! Secrecy: identities, the handshake, and the sealing of records.
//!
//! ```text
//! identity (RSA, on disk) ──signs──▶ credential ──proves──▶ handshake ──▶ Established { sealer, opener, peer }
//!                                                                              │
//!                               one chain a direction: step ▶ seal ▶ record ◀──┘
//!
//! datagram: tags and cookies, for what comes by UDP
//! invitation, password: admission of unknown users
//!
//! two people's credentials ──▶ e2e: boxes, sender keys, letters; the server can name none of it
//! ```
//!
//! Invariant: this floor does no I/O, reads no clock, owns no source of randomness, and logs no line. Bytes, time and
//! randomness are arguments. Only [`handshake`] makes an [`handshake::Established`] or a [`handshake::VerifiedPeer`].

pub mod credential;
pub mod datagram;
pub mod e2e;
pub mod handshake;
pub mod identity;
pub mod invitation;
pub mod key_file;
mod keys;
pub mod password;
pub mod record;
mod seal;
pub mod token;
#[cfg(test)]
mod vectors;
