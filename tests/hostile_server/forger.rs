//! What no program of this house makes: credentials, envelopes, boxes and letters written field by field, and signed as
//! they should be, whatever they say.

use aes::Aes256;
use cfb_chat::chat::message::{Person, SessionId, ToClient};
use cfb_chat::net::secure_channel::now;
use cfb_chat::secure::identity::Identity;
use cfb_chat::wire::codec::Writer;
use cfb_mode::Encryptor;
use cfb_mode::cipher::KeyIvInit;
use ed25519_dalek::{Signer, SigningKey};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use rsa::pkcs8::DecodePrivateKey;
use rsa::{Pss, RsaPrivateKey};
use sha2::{Digest, Sha256};
use x25519_dalek::{PublicKey, StaticSecret};

use crate::support::hostile_server::{Stage, number};

/// Somebody who signs anything.
pub struct Forger {
    identity: &'static Identity,
    rsa: RsaPrivateKey,
    signing: SigningKey,
    /// Whose words it is that are signed: their credential's hash.
    pub session: SessionId,
    /// The count of their last box to the client.
    pub boxes: u64,
}

/// The fields of a credential.
#[derive(Clone)]
pub struct Claim {
    pub role: &'static str,
    pub name: String,
    pub fingerprint: [u8; 32],
    pub ed25519: [u8; 32],
    pub x25519: Vec<u8>,
    pub expires: u64,
}

impl Claim {
    fn write(&self) -> Vec<u8> {
        let head = Writer::new().array(7).text("cfb-chat/1 credential").text(self.role).text(&self.name);
        head.bytes(&self.fingerprint).bytes(&self.ed25519).bytes(&self.x25519).uint(self.expires).finish()
    }
}

impl Forger {
    pub fn new(identity: &'static Identity) -> Self {
        let rsa = RsaPrivateKey::from_pkcs8_pem(&identity.to_pem(None)).expect("a key in PKCS#8");
        Self { identity, rsa, signing: SigningKey::generate(&mut rand::rng()), session: SessionId([0; 32]), boxes: 0 }
    }

    /// What a credential says that holds.
    pub fn claim(&self, name: &str) -> Claim {
        Claim {
            role: "user",
            name: name.into(),
            fingerprint: self.identity.public().fingerprint().0,
            ed25519: self.signing.verifying_key().to_bytes(),
            // The base point, which is somebody's key as well as any other.
            x25519: [&[9][..], &[0; 31]].concat(),
            expires: now().0 + 7 * 24 * 3_600,
        }
    }

    /// Somebody who comes in with a credential that holds.
    pub fn comes_in(stage: &mut Stage, identity: &'static Identity, name: &str) -> Self {
        let mut forger = Self::new(identity);
        let claim = forger.claim(name);
        let person = forger.person(&claim);
        stage.tell(&[ToClient::Person(person)]);
        stage.joined(forger.session);
        forger
    }

    /// Signs a claim; from now on it is this session that speaks.
    pub fn person(&mut self, claim: &Claim) -> Person {
        self.person_of(claim.write())
    }

    /// Signs any bytes as a credential.
    pub fn person_of(&mut self, credential: Vec<u8>) -> Person {
        self.session = SessionId(Sha256::digest(&credential).into());
        let signature = self.sign_slowly(&credential);
        let member = number(self.session);
        Person { member, spki: self.identity.public().spki().to_vec(), credential, signature }
    }

    /// An envelope for the lobby as it is.
    pub fn envelope(&self, stage: &Stage, key: [u8; 8], counter: u64, sealed: &[u8]) -> Vec<u8> {
        let head = Writer::new().array(5).text("cfb-chat/1 roster").bytes(&stage.server.0).text("#lobby");
        let head = head.uint(stage.change).array(stage.members.len());
        let roster = stage.members.iter().fold(head, |writer, member| writer.bytes(&member.0)).finish();
        let head = Writer::new().array(8).text("cfb-chat/1 said").bytes(&stage.server.0).text("#lobby");
        let head = head.bytes(&self.session.0).bytes(&key).uint(counter).bytes(&Sha256::digest(roster));
        let signature = self.signing.sign(&head.bytes(sealed).finish()).to_bytes();
        Writer::new().array(4).bytes(&key).uint(counter).bytes(sealed).bytes(&signature).finish()
    }

    /// A box for the client, with any count and any text.
    pub fn boxed(&self, stage: &Stage, purpose: &str, count: u64, text: &[u8]) -> Vec<u8> {
        let secret = StaticSecret::random_from_rng(&mut rand::rng());
        let agreed = secret.diffie_hellman(&PublicKey::from(stage.agreement)).to_bytes();
        self.boxed_with(stage, purpose, count, PublicKey::from(&secret).to_bytes(), agreed, text)
    }

    /// The same, with any fresh key, and whatever is said to be agreed on.
    pub fn boxed_with(
        &self,
        stage: &Stage,
        purpose: &str,
        count: u64,
        fresh: [u8; 32],
        agreed: [u8; 32],
        text: &[u8],
    ) -> Vec<u8> {
        let head = Writer::new().array(7).text("cfb-chat/1 box").text(purpose).bytes(&stage.server.0);
        let context = head.bytes(&self.session.0).bytes(&stage.keys.session).uint(count).bytes(&fresh).finish();
        let chain = Hkdf::<Sha256>::extract(Some(&Sha256::digest(&context)), &agreed).0.into();
        let sealed = seal(&chain, text);
        let signed = Writer::new().array(3).text("cfb-chat/1 box signed").value(&context).bytes(&sealed).finish();
        let signature = self.signing.sign(&signed).to_bytes();
        Writer::new().array(4).uint(count).bytes(&fresh).bytes(&sealed).bytes(&signature).finish()
    }

    /// The next box to the client, with a key for the lobby in it.
    pub fn key(&mut self, stage: &Stage, key: [u8; 8], counter: u64, chain: &[u8]) -> Vec<u8> {
        self.boxes += 1;
        self.boxed(stage, "key", self.boxes, &key_text("#lobby", &key, counter, chain))
    }

    /// A letter to the client that was sealed to nobody.
    pub fn letter(&self, stage: &Stage, name: &str, sent_at: u64, locked: &[u8]) -> Vec<u8> {
        let head = Writer::new().array(8).text("cfb-chat/1 letter").bytes(&stage.server.0);
        let head = head.bytes(self.identity.public().spki()).text(name).bytes(&stage.identity.fingerprint().0);
        let context = head.bytes(&rand::random::<[u8; 16]>()).uint(sent_at).bytes(locked).finish();
        let sealed = [1; 96];
        let signed = Writer::new().array(3).text("cfb-chat/1 letter signed").value(&context).bytes(&sealed).finish();
        Writer::new().array(3).value(&context).bytes(&sealed).bytes(&self.sign_slowly(&signed)).finish()
    }

    fn sign_slowly(&self, message: &[u8]) -> Vec<u8> {
        let padding = Pss::<Sha256>::new_with_salt(32);
        self.rsa.sign_with_rng(&mut rand::rng(), padding, &Sha256::digest(message)).expect("a key that signs")
    }
}

/// What is in a box with a key.
pub fn key_text(room: &str, key: &[u8], counter: u64, chain: &[u8]) -> Vec<u8> {
    Writer::new().array(4).text(room).bytes(key).uint(counter).bytes(chain).finish()
}

/// PROTOCOL.md §5: one text under the first step of a chain.
pub fn seal(chain: &[u8; 32], text: &[u8]) -> Vec<u8> {
    let info = Writer::new().array(3).text("cfb-chat/1").text("step").bytes(b"").finish();
    let (mut step, mut sealed) = ([0; 112], text.to_vec());
    Hkdf::<Sha256>::from_prk(chain).expect("its length").expand(&info, &mut step).expect("112 bytes");
    let (enc, mac, iv) = (&step[..32], &step[32..64], &step[64..80]);
    Encryptor::<Aes256>::new_from_slices(enc, iv).expect("their lengths").encrypt(&mut sealed);
    let mut tag = <Hmac<Sha256> as KeyInit>::new_from_slice(mac).expect("any length");
    tag.update(&sealed);
    sealed.extend_from_slice(&tag.finalize().into_bytes());
    sealed
}
