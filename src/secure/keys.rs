//! Every key that is derived, one type a purpose, and the one place where it is derived. PROTOCOL.md §2, §4, §5, §7.
//!
//! No Clone, no Debug; wiped when dropped.

use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::datagram::{DatagramKey, DatagramKeys};
use crate::wire::codec::Writer;

/// The protocol's name: the handshake's salt, and the first field of every derivation.
pub(super) const PROTOCOL: &str = "cfb-chat/1";

/// The two ends of a connection, as the derivation labels name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeySide {
    Client,
    Server,
}

/// The hash of the handshake's messages so far: th(n).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TranscriptHash(pub(super) [u8; 32]);

/// The handshake's messages, as they were before sealing.
#[derive(Debug, Default)]
pub(super) struct Transcript(Vec<Vec<u8>>);

impl Transcript {
    /// Adds the next message.
    pub(super) fn push(&mut self, message: &[u8]) {
        self.0.push(message.to_vec());
    }

    /// th(n), n being the number of messages so far.
    pub(super) fn hash(&self) -> TranscriptHash {
        let head = Writer::new().array(self.0.len());
        let all = self.0.iter().fold(head, |writer, message| writer.bytes(message));
        TranscriptHash(Sha256::digest(all.finish()).into())
    }
}

/// Secret of the key agreement: ML-KEM's, then X25519's.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct Agreed(pub(super) [u8; 64]);

/// Keys the handshake's records, and goes into the master secret.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct HandshakeSecret([u8; 32]);

impl HandshakeSecret {
    pub(super) fn new(agreed: &Agreed) -> Self {
        Self(extract(PROTOCOL.as_bytes(), &agreed.0))
    }

    /// The chain under which `side` sends its handshake records.
    pub(super) fn chain(&self, side: KeySide, th2: TranscriptHash) -> Chain {
        let label = match side {
            KeySide::Client => "client handshake",
            KeySide::Server => "server handshake",
        };
        Chain(derive(&self.0, label, &th2.0))
    }

    /// The master secret, once the server has issued its own.
    pub(super) fn master(&self, th4: TranscriptHash, issued: &IssuedSecret) -> MasterSecret {
        let mut salt: [u8; 32] = derive(&self.0, "master", &th4.0);
        let master = MasterSecret(extract(&salt, &issued.0));
        salt.zeroize();
        master
    }
}

/// The secret that the server issues to one client, for one session.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct IssuedSecret(pub(super) [u8; 32]);

/// Keys the application records of both directions, and the datagrams under them.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct MasterSecret([u8; 32]);

impl MasterSecret {
    /// The chain under which `side` sends its application records.
    pub(super) fn chain(&self, side: KeySide, th5: TranscriptHash) -> Chain {
        let label = match side {
            KeySide::Client => "client",
            KeySide::Server => "server",
        };
        Chain(derive(&self.0, label, &th5.0))
    }

    /// The keys with which `side` sends datagrams and takes them.
    pub(super) fn datagrams(&self, side: KeySide, th5: TranscriptHash) -> DatagramKeys {
        let of = |label| DatagramKey(derive(&self.0, label, &th5.0));
        let (client, server) = (of("client datagrams"), of("server datagrams"));
        match side {
            KeySide::Client => DatagramKeys { outgoing: client, incoming: server },
            KeySide::Server => DatagramKeys { outgoing: server, incoming: client },
        }
    }
}

/// One direction's chain: each step gives the keys for one text, and the chain that follows.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct Chain([u8; 32]);

impl Chain {
    /// The keys for one text. The chain moves on; what it was is wiped.
    pub(super) fn step(&mut self) -> StepKeys {
        // ["cfb-chat/1", "step", h''], written out: this is on the way of every record.
        const INFO: &[u8] = b"\x83\x6acfb-chat/1\x64step\x40";
        let mut out = [0; 112];
        expand(&self.0, INFO, &mut out);
        let mut keys = StepKeys { enc: [0; 32], mac: [0; 32], iv: [0; 16] };
        keys.enc.copy_from_slice(&out[..32]);
        keys.mac.copy_from_slice(&out[32..64]);
        keys.iv.copy_from_slice(&out[64..80]);
        self.0.copy_from_slice(&out[80..]);
        out.zeroize();
        keys
    }

    /// The chain that begins with these bytes.
    pub(super) fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the chain's key, for sharing a sender key.
    pub(super) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A second chain that begins where this one is: to go on with only if what is tried holds.
    pub(super) fn fork(&self) -> Self {
        Self(self.0)
    }
}

/// The keys for the one text of a box or a letter: `agreed` is a secret of its own, `context` all that surrounds it.
pub(super) fn one_shot_keys(context: &[u8], agreed: &[u8; 32]) -> StepKeys {
    Chain(extract(&Sha256::digest(context), agreed)).step()
}

/// Keys that seal or open one text, ever: an AES-256 key, an HMAC-SHA-256 key and an IV.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct StepKeys {
    pub(super) enc: [u8; 32],
    pub(super) mac: [u8; 32],
    pub(super) iv: [u8; 16],
}

/// derive(secret, label, context, N) of §2.
pub(super) fn derive<const N: usize>(secret: &[u8; 32], label: &str, context: &[u8]) -> [u8; N] {
    let info = Writer::new().array(3).text(PROTOCOL).text(label).bytes(context).finish();
    let mut out = [0; N];
    expand(secret, &info, &mut out);
    out
}

fn extract(salt: &[u8], ikm: &[u8]) -> [u8; 32] {
    Hkdf::<Sha256>::extract(Some(salt), ikm).0.into()
}

fn expand(prk: &[u8; 32], info: &[u8], out: &mut [u8]) {
    Hkdf::<Sha256>::from_prk(prk)
        .and_then(|hkdf| hkdf.expand(info, out).map_err(|_| hkdf::InvalidPrkLength))
        .expect("a 32-byte PRK and at most 8,160 bytes out are within RFC 5869");
}

#[cfg(test)]
mod tests;
