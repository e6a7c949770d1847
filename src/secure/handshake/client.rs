//! The client's side of the handshake. PROTOCOL.md §4.

use ml_kem::kem::{Decapsulate, KeyExport};
use ml_kem::ml_kem_768::DecapsulationKey;
use rand::CryptoRng;
use x25519_dalek::{EphemeralSecret, PublicKey};
use zeroize::Zeroize;

use super::messages::{self, ML_KEM_KEY, Prover, SECRET_LABEL, Share};
use super::{ClientHandshakeError, Established, VerifiedPeer};
use crate::secure::credential::{CredentialError, OwnCredential, Role, UnixSeconds, VerifiedCredential};
use crate::secure::identity::Identity;
use crate::secure::keys::{Agreed, HandshakeSecret, IssuedSecret, KeySide, Transcript};
use crate::secure::record::{Opener, Sealer};
use crate::wire::frame;

/// Only ephemeral keys have been sent.
pub struct Start {
    ml_kem: Box<DecapsulationKey>,
    x25519: EphemeralSecret,
    transcript: Transcript,
}

/// Both have the handshake keys; who the server is, is not known yet.
pub struct Keyed {
    secret: HandshakeSecret,
    sealer: Sealer,
    opener: Opener,
    transcript: Transcript,
}

/// The server is authenticated. No data about the user has been sent.
pub struct CheckedServer {
    keyed: Keyed,
    server: VerifiedPeer,
}

/// The user has proved who they are; the server's secret is due.
pub struct Proved {
    keyed: Keyed,
    server: VerifiedPeer,
}

impl Start {
    /// Makes the ephemeral keys, and the first frame.
    #[must_use]
    pub fn new(rng: &mut impl CryptoRng) -> (Self, Vec<u8>) {
        let mut seed = ml_kem::Seed::default();
        rng.fill_bytes(&mut seed);
        let ml_kem = Box::new(DecapsulationKey::from_seed(seed));
        seed.zeroize();
        let x25519 = EphemeralSecret::random_from_rng(rng);
        let share: Share<ML_KEM_KEY> =
            Share { ml_kem: ml_kem.encapsulation_key().to_bytes().into(), x25519: PublicKey::from(&x25519).to_bytes() };
        let hello = messages::hello(&share);
        let mut transcript = Transcript::default();
        transcript.push(&hello);
        (Self { ml_kem, x25519, transcript }, frame::frame(&hello))
    }

    /// Takes the second frame's body: the server's ephemeral keys, or a refusal in the clear.
    ///
    /// # Errors
    /// [`ClientHandshakeError`] if it is refused or malformed.
    pub fn agree(mut self, body: &[u8]) -> Result<Keyed, ClientHandshakeError> {
        if let Some(code) = messages::refusal(body) {
            return Err(ClientHandshakeError::RefusedBare(code));
        }
        let share = messages::parse_answer(body).map_err(|_| ClientHandshakeError::Malformed)?;
        let x25519 = self.x25519.diffie_hellman(&PublicKey::from(share.x25519));
        if !x25519.was_contributory() {
            return Err(ClientHandshakeError::Malformed);
        }
        let mut agreed = Agreed([0; 64]);
        let mut ml_kem = self.ml_kem.decapsulate(&share.ml_kem.into());
        agreed.0[..32].copy_from_slice(&ml_kem);
        ml_kem.zeroize();
        agreed.0[32..].copy_from_slice(x25519.as_bytes());
        self.transcript.push(body);
        let (secret, th2) = (HandshakeSecret::new(&agreed), self.transcript.hash());
        Ok(Keyed {
            sealer: Sealer::new(secret.chain(KeySide::Client, th2)),
            opener: Opener::new(secret.chain(KeySide::Server, th2)),
            secret,
            transcript: self.transcript,
        })
    }
}

impl Keyed {
    /// Opens the third frame's body: the server's credential and proof. All of it is checked.
    ///
    /// # Errors
    /// [`ClientHandshakeError`] if it does not open, is refused or malformed, or does not prove who the server is.
    pub fn check_server(mut self, body: &mut [u8], now: UnixSeconds) -> Result<CheckedServer, ClientHandshakeError> {
        let message = open(&mut self.opener, body)?;
        let (presented, proof) =
            messages::parse_proof(Prover::Server, message).map_err(|_| ClientHandshakeError::Malformed)?;
        let server =
            VerifiedCredential::check(presented, Role::Server, now, |_| false).map_err(ClientHandshakeError::Server)?;
        let signed = messages::proof_input(Prover::Server, self.transcript.hash(), presented);
        if !server.verifies(&signed, proof) {
            return Err(ClientHandshakeError::Server(CredentialError::Credential));
        }
        self.transcript.push(message);
        Ok(CheckedServer { keyed: self, server: VerifiedPeer(server) })
    }
}

impl CheckedServer {
    /// Returns the server's identity: the caller compares its fingerprint with the pin before it goes on.
    #[must_use]
    pub fn server(&self) -> &VerifiedPeer {
        &self.server
    }

    /// Proves who the user is; gives the fourth frame.
    #[must_use]
    pub fn prove(mut self, own: &OwnCredential) -> (Proved, Vec<u8>) {
        let presented = own.presented();
        let signed = messages::proof_input(Prover::Client, self.keyed.transcript.hash(), presented);
        let message = messages::proof(Prover::Client, presented, &own.sign(&signed));
        self.keyed.transcript.push(&message);
        let mut frame = Vec::new();
        self.keyed.sealer.seal(&message, &mut frame);
        (Proved { keyed: self.keyed, server: self.server }, frame)
    }
}

impl Proved {
    /// Opens the fifth frame's body: the server's secret. The first record that opens after it confirms the handshake.
    ///
    /// # Errors
    /// [`ClientHandshakeError`] if it does not open, is refused or malformed.
    pub fn establish(
        mut self,
        rng: &mut impl CryptoRng,
        body: &mut [u8],
        identity: &Identity,
    ) -> Result<Established, ClientHandshakeError> {
        let message = open(&mut self.keyed.opener, body)?;
        let encrypted = messages::parse_secret(message).map_err(|_| ClientHandshakeError::Malformed)?;
        let issued = IssuedSecret(*identity.decrypt(rng, SECRET_LABEL, encrypted));
        let th4 = self.keyed.transcript.hash();
        self.keyed.transcript.push(message);
        let (master, th5) = (self.keyed.secret.master(th4, &issued), self.keyed.transcript.hash());
        Ok(Established {
            sealer: Sealer::new(master.chain(KeySide::Client, th5)),
            opener: Opener::new(master.chain(KeySide::Server, th5)),
            datagrams: master.datagrams(KeySide::Client, th5),
            peer: self.server,
        })
    }
}

fn open<'a>(opener: &mut Opener, body: &'a mut [u8]) -> Result<&'a [u8], ClientHandshakeError> {
    let message = opener.open(body).map_err(|_| ClientHandshakeError::Unopened)?;
    messages::refusal(message).map_or(Ok(&*message), |code| Err(ClientHandshakeError::Refused(code)))
}
