//! The server's side of the handshake. PROTOCOL.md §4.
//!
//! The identity's private key is not here: a stranger cannot make it work.

use ml_kem::kem::Encapsulate;
use ml_kem::ml_kem_768::EncapsulationKey;
use rand::CryptoRng;
use x25519_dalek::{EphemeralSecret, PublicKey};
use zeroize::Zeroize;

use super::messages::{self, ML_KEM_CIPHERTEXT, Prover, RefusalCode, SECRET_LABEL, Share};
use super::{Established, ServerHandshakeError, VerifiedPeer};
use crate::secure::credential::{
    CredentialError, OwnCredential, Role, SignatureCache, UnixSeconds, VerifiedCredential,
};
use crate::secure::keys::{Agreed, HandshakeSecret, IssuedSecret, KeySide, Transcript};
use crate::secure::record::{Opener, Sealer};
use crate::wire::frame;

/// Both have the handshake keys; the server has proved who it is, the user's proof is due.
pub struct Proving {
    secret: HandshakeSecret,
    sealer: Sealer,
    opener: Opener,
    transcript: Transcript,
}

/// The user has proved who they are.
pub struct CheckedClient {
    proving: Proving,
    user: VerifiedPeer,
}

/// Takes the first frame's body; gives the second and the third frame, one behind the other.
///
/// # Errors
/// [`ServerHandshakeError`], in the clear, if the message is malformed, of no known version, or its keys are none.
pub fn accept(
    rng: &mut impl CryptoRng,
    body: &[u8],
    own: &OwnCredential,
) -> Result<(Proving, Vec<u8>), ServerHandshakeError> {
    let share = match messages::parse_hello(body) {
        Ok(Some(share)) => share,
        Ok(None) => return Err(refused_bare(RefusalCode::Version)),
        Err(_) => return Err(refused_bare(RefusalCode::Malformed)),
    };
    let malformed = || refused_bare(RefusalCode::Malformed);
    let key = EncapsulationKey::new(&share.ml_kem.into()).map_err(|_| malformed())?;
    let (ciphertext, mut ml_kem) = key.encapsulate_with_rng(rng);
    let ephemeral = EphemeralSecret::random_from_rng(rng);
    let answer = messages::answer(&Share::<ML_KEM_CIPHERTEXT> {
        ml_kem: ciphertext.into(),
        x25519: PublicKey::from(&ephemeral).to_bytes(),
    });
    let x25519 = ephemeral.diffie_hellman(&PublicKey::from(share.x25519));
    if !x25519.was_contributory() {
        return Err(malformed());
    }
    let mut agreed = Agreed([0; 64]);
    agreed.0[..32].copy_from_slice(&ml_kem);
    ml_kem.zeroize();
    agreed.0[32..].copy_from_slice(x25519.as_bytes());
    let mut transcript = Transcript::default();
    transcript.push(body);
    transcript.push(&answer);
    let mut proving = Proving::new(&agreed, transcript);
    let mut frames = frame::frame(&answer);
    proving.prove(own, &mut frames);
    Ok((proving, frames))
}

impl Proving {
    fn new(agreed: &Agreed, transcript: Transcript) -> Self {
        let (secret, th2) = (HandshakeSecret::new(agreed), transcript.hash());
        Self {
            sealer: Sealer::new(secret.chain(KeySide::Server, th2)),
            opener: Opener::new(secret.chain(KeySide::Client, th2)),
            secret,
            transcript,
        }
    }

    fn prove(&mut self, own: &OwnCredential, frames: &mut Vec<u8>) {
        let presented = own.presented();
        let signed = messages::proof_input(Prover::Server, self.transcript.hash(), presented);
        let message = messages::proof(Prover::Server, presented, &own.sign(&signed));
        self.transcript.push(&message);
        self.sealer.seal(&message, frames);
    }

    /// Opens the fourth frame's body: the user's credential and proof. All of it is checked; `name_holds` is the rule
    /// for names.
    ///
    /// # Errors
    /// [`ServerHandshakeError`], sealed; without a farewell if the record did not open.
    pub fn check_user(
        self,
        body: &mut [u8],
        now: UnixSeconds,
        name_holds: impl FnOnce(&str) -> bool,
    ) -> Result<CheckedClient, ServerHandshakeError> {
        self.check_user_again(body, now, name_holds, &SignatureCache::default())
    }

    /// The same, but for the credential's signature, if that has held before.
    ///
    /// # Errors
    /// [`ServerHandshakeError`], as [`Proving::check_user`].
    pub fn check_user_again(
        mut self,
        body: &mut [u8],
        now: UnixSeconds,
        name_holds: impl FnOnce(&str) -> bool,
        verified: &SignatureCache,
    ) -> Result<CheckedClient, ServerHandshakeError> {
        let Ok(message) = self.opener.open(body) else {
            return Err(ServerHandshakeError { code: RefusalCode::Malformed, farewell: None });
        };
        let Ok((presented, proof)) = messages::parse_proof(Prover::Client, message) else {
            return Err(self.refuse(RefusalCode::Malformed));
        };
        let user = match VerifiedCredential::check_again(presented, Role::User, now, name_holds, verified) {
            Ok(user) => user,
            Err(CredentialError::Credential) => return Err(self.refuse(RefusalCode::Credential)),
            Err(CredentialError::Clock) => return Err(self.refuse(RefusalCode::Clock)),
            Err(CredentialError::Name) => return Err(self.refuse(RefusalCode::Name)),
        };
        let signed = messages::proof_input(Prover::Client, self.transcript.hash(), presented);
        if !user.verifies(&signed, proof) {
            return Err(self.refuse(RefusalCode::Credential));
        }
        self.transcript.push(message);
        Ok(CheckedClient { proving: self, user: VerifiedPeer(user) })
    }

    /// Ends the handshake, with a sealed refusal.
    #[must_use]
    pub fn refuse(mut self, code: RefusalCode) -> ServerHandshakeError {
        let mut farewell = Vec::new();
        self.sealer.seal(&code.message(), &mut farewell);
        ServerHandshakeError { code, farewell: Some(farewell) }
    }
}

impl CheckedClient {
    /// Returns the user.
    #[must_use]
    pub fn user(&self) -> &VerifiedPeer {
        &self.user
    }

    /// Issues the secret: gives the fifth frame, and the channel.
    #[must_use]
    pub fn issue(mut self, rng: &mut impl CryptoRng) -> (Established, Vec<u8>) {
        let mut issued = IssuedSecret([0; 32]);
        rng.fill_bytes(&mut issued.0);
        let encrypted = self.user.credential().identity().encrypt(rng, SECRET_LABEL, &issued.0);
        let message = messages::secret(&encrypted);
        let mut frame = Vec::new();
        self.proving.sealer.seal(&message, &mut frame);
        let th4 = self.proving.transcript.hash();
        self.proving.transcript.push(&message);
        let (master, th5) = (self.proving.secret.master(th4, &issued), self.proving.transcript.hash());
        let established = Established {
            sealer: Sealer::new(master.chain(KeySide::Server, th5)),
            opener: Opener::new(master.chain(KeySide::Client, th5)),
            datagrams: master.datagrams(KeySide::Server, th5),
            peer: self.user,
        };
        (established, frame)
    }
}

/// A refusal in the clear, as it stands before the second frame.
#[must_use]
pub fn refused_bare(code: RefusalCode) -> ServerHandshakeError {
    ServerHandshakeError { code, farewell: Some(frame::frame(&code.message())) }
}
