//! Members whose credentials are real.

use cfb_chat::chat::SessionNumber as Number;
use cfb_chat::chat::message::{Person, SessionId, ToClient};
use cfb_chat::net::secure_channel::{now, now_in_millis};
use cfb_chat::secure::credential::{OwnCredential, Role, SessionKeys, VerifiedCredential};
use cfb_chat::secure::e2e::body::{BodyKind, MessageBody};
use cfb_chat::secure::e2e::offline_message::{self, Author};
use cfb_chat::secure::e2e::sealed_box::{self, BoxCounters, Purpose, SignedBox};
use cfb_chat::secure::e2e::sender_key::{InboundSenderKey, OutboundSenderKey, SenderKeyDistribution, SignedEnvelope};
use cfb_chat::secure::identity::{Fingerprint, Identity, PublicIdentity};

use super::{IRA, MALLORY, Stage, number};

/// Somebody whose credential is real, in a session of their own.
pub struct Member {
    pub name: &'static str,
    pub identity: &'static Identity,
    pub credential: OwnCredential,
    /// The key under which they speak in the lobby.
    pub key: OutboundSenderKey,
    /// The count of their last box to the client.
    pub boxes: u64,
    counts: BoxCounters,
    reading: InboundSenderKey,
}

impl Member {
    pub fn new(name: &'static str, identity: &'static Identity) -> Self {
        Self::with_credential(name, identity, OwnCredential::for_user(&mut rand::rng(), identity, name, now()))
    }

    pub fn with_credential(name: &'static str, identity: &'static Identity, credential: OwnCredential) -> Self {
        let key = OutboundSenderKey::new(&mut rand::rng(), 0);
        let (counts, reading) = (BoxCounters::default(), InboundSenderKey::default());
        Self { name, identity, credential, key, boxes: 0, counts, reading }
    }

    pub fn ira() -> Self {
        Self::new("Ira", &IRA)
    }

    pub fn mallory() -> Self {
        Self::new("Mallory", &MALLORY)
    }

    pub fn session(&self) -> SessionId {
        SessionId(self.credential.session())
    }

    /// Their session's number.
    pub fn number(&self) -> Number {
        number(self.session())
    }

    pub fn fingerprint(&self) -> Fingerprint {
        self.identity.public().fingerprint()
    }

    /// The public keys of their session.
    pub fn keys(&self) -> SessionKeys {
        let checked = VerifiedCredential::check(self.credential.presented(), Role::User, now(), |_| true);
        checked.expect("a credential that holds").session_keys()
    }

    pub fn person(&self) -> ToClient {
        ToClient::Person(self.as_person())
    }

    pub fn as_person(&self) -> Person {
        let presented = self.credential.presented();
        Person {
            member: self.number(),
            spki: presented.spki.to_vec(),
            credential: presented.credential.to_vec(),
            signature: presented.signature.to_vec(),
        }
    }

    /// Begins a new key, whose first text has this counter.
    pub fn renews_key(&mut self, counter: u64) {
        self.key = OutboundSenderKey::new(&mut rand::rng(), counter);
    }

    /// The next box to somebody.
    pub fn boxes_up(&mut self, to: &SessionKeys, server: Fingerprint, purpose: Purpose, text: &[u8]) -> Vec<u8> {
        self.boxes += 1;
        sealed_box::seal(&mut rand::rng(), &self.credential, to, server, purpose, self.boxes, text).expect("a good key")
    }

    /// A letter, under any name.
    pub fn letter(&self, name: &str, to: &PublicIdentity, server: Fingerprint, sent_at: u64, text: &str) -> Vec<u8> {
        let author = Author { identity: self.identity, name, server };
        offline_message::seal(
            &mut rand::rng(),
            &author,
            to,
            &MessageBody { sent_at, kind: BodyKind::Text, text: text.into() },
        )
    }

    /// Takes the client's key out of a Share, if one for this member is in it.
    pub fn takes_key(&mut self, stage: &Stage, boxes: &[(Number, Vec<u8>)]) {
        let own = self.number();
        for (_, boxed) in boxes.iter().filter(|(to, _)| *to == own) {
            let signed = SignedBox::verify(boxed, &self.credential, &stage.keys, stage.server, Purpose::Key);
            let opened = signed.expect("its signature").open(&self.credential, &mut self.counts).expect("it opens");
            self.reading.take(SenderKeyDistribution::parse(&opened.text).expect("a key")).expect("a key that is due");
        }
    }

    /// Reads what the client whispers; the box is the one that is due.
    pub fn hears(&mut self, stage: &Stage, boxed: &[u8]) -> String {
        let signed = SignedBox::verify(boxed, &self.credential, &stage.keys, stage.server, Purpose::Whisper);
        let opened = signed.expect("its signature").open(&self.credential, &mut self.counts).expect("it opens");
        assert_eq!(opened.missing, 0);
        MessageBody::unpad(&opened.text).expect("a text").text
    }

    /// Reads what the client says in the lobby as it is.
    pub fn reads(&mut self, stage: &Stage, envelope: &[u8]) -> String {
        let signed = SignedEnvelope::verify(envelope, &stage.keys, stage.server, "#lobby", stage.roster());
        let opened = self.reading.open(&signed.expect("its signature")).expect("it opens");
        MessageBody::unpad(&opened.padded).expect("a text").text
    }
}

/// A text of now, as it is sealed.
pub fn padded(text: &str) -> Vec<u8> {
    MessageBody { sent_at: now_in_millis(), kind: BodyKind::Text, text: text.into() }.pad()
}
