//! Sender keys: one chain for each speaker in each room, which every reader has from a box. PROTOCOL.md §7.
//!
//! ```text
//! OwnKey ──shared──▶ key box ──▶ Reading::take
//!   └─seal─▶ SealedSaid ──sign──▶ envelope ──▶ SignedEnvelope ──▶ Reading::open
//! ```
//!
//! The chain authenticates no sender, since every reader has it: the signature does.

use rand::CryptoRng;
use zeroize::Zeroizing;

use super::EndToEndError;
use super::roster::RosterHash;
use crate::secure::credential::{OwnCredential, SessionKeys};
use crate::secure::identity::Fingerprint;
use crate::secure::keys::Chain;
use crate::secure::seal;
use crate::wire::codec::{Reader, Writer};

/// A reader goes so many steps beyond the last one that a key has opened.
pub const MAX_STEPS: u64 = 1_000;

/// A sender key's number, drawn at random.
pub type KeyId = [u8; 8];

/// The key under which one speaks in a room.
pub struct OutboundSenderKey {
    id: KeyId,
    /// Where the next new text is sealed.
    head: Chain,
    head_counter: u64,
    /// Where the first text is that has no final answer: what is shared with newcomers begins there.
    settled: Chain,
    settled_counter: u64,
}

impl OutboundSenderKey {
    /// A new key; its first text has this counter.
    pub fn new(rng: &mut impl CryptoRng, counter: u64) -> Self {
        let (mut id, mut chain) = ([0; 8], Zeroizing::new([0; 32]));
        rng.fill_bytes(&mut id);
        rng.fill_bytes(&mut *chain);
        let (head, settled) = (Chain::from_bytes(*chain), Chain::from_bytes(*chain));
        Self { id, head, head_counter: counter, settled, settled_counter: counter }
    }

    /// Seals a text. It is what it is for good: it may be signed again, never sealed again.
    pub fn seal(&mut self, padded: &[u8]) -> SealedMessage {
        let mut sealed = Vec::with_capacity(padded.len() + seal::TAG);
        seal::seal(&self.head.step(), padded, &mut sealed);
        let counter = self.head_counter;
        self.head_counter += 1;
        SealedMessage { key: self.id, counter, sealed }
    }

    /// True if this key sealed it.
    #[must_use]
    pub fn has_sealed(&self, said: &SealedMessage) -> bool {
        self.id == said.key
    }

    /// A text has its final answer, as all before it have: who comes later cannot open them.
    pub fn settle(&mut self, said: &SealedMessage) {
        while self.id == said.key && self.settled_counter <= said.counter {
            self.settled.step();
            self.settled_counter += 1;
        }
    }

    /// The text of a box that gives this key to a member, from the first unanswered text on.
    #[must_use]
    pub fn shared(&self, room: &str) -> Zeroizing<Vec<u8>> {
        let head = Writer::with_capacity(192).array(4).text(room).bytes(&self.id).uint(self.settled_counter);
        Zeroizing::new(head.bytes(self.settled.as_bytes()).finish())
    }
}

/// A text under a sender key, before it is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedMessage {
    key: KeyId,
    counter: u64,
    sealed: Vec<u8>,
}

impl SealedMessage {
    /// Its place among all that its sender has said in the room.
    #[must_use]
    pub fn counter(&self) -> u64 {
        self.counter
    }

    /// The envelope, for a room with these members.
    #[must_use]
    pub fn sign(&self, own: &OwnCredential, server: Fingerprint, room: &str, roster: RosterHash) -> Vec<u8> {
        let Self { key, counter, sealed } = self;
        let signature = own.sign(&signed(server, room, &own.session(), *key, *counter, roster, sealed));
        let head = Writer::with_capacity(128 + sealed.len()).array(4).bytes(key).uint(*counter);
        head.bytes(sealed).bytes(&signature).finish()
    }

    #[cfg(test)]
    pub(super) fn at(self, counter: u64) -> Self {
        Self { counter, ..self }
    }
}

/// An envelope with a valid signature; not opened yet.
pub struct SignedEnvelope<'a> {
    key: KeyId,
    counter: u64,
    sealed: &'a [u8],
}

impl<'a> SignedEnvelope<'a> {
    /// Reads an envelope that is said to come from `from`, for a room with these members.
    ///
    /// # Errors
    /// [`EndToEndError::Malformed`], or [`EndToEndError::Signature`]: also if its sender sees other members.
    pub fn verify(
        envelope: &'a [u8],
        from: &SessionKeys,
        server: Fingerprint,
        room: &str,
        roster: RosterHash,
    ) -> Result<Self, EndToEndError> {
        let mut reader = Reader::new(envelope);
        if reader.array()? != 4 {
            return Err(EndToEndError::Malformed);
        }
        let (key, counter, sealed) = (reader.bytes_exact()?, reader.uint()?, reader.bytes()?);
        let signature: [u8; 64] = reader.bytes_exact()?;
        reader.end()?;
        if from.verifies(&signed(server, room, &from.session, key, counter, roster, sealed), &signature) {
            Ok(Self { key, counter, sealed })
        } else {
            Err(EndToEndError::Signature)
        }
    }
}

/// Receiving state for another member's messages in a room.
#[derive(Default)]
pub struct InboundSenderKey {
    /// The counter that is due; none before the first key of a member who was there first.
    expected: Option<u64>,
    /// All before this one was one's own earlier session's to read.
    read_earlier: u64,
    key: Option<ReceivedSenderKey>,
}

struct ReceivedSenderKey {
    id: KeyId,
    chain: Chain,
    counter: u64,
}

/// A key that came in a box, and the room it is for.
pub struct SenderKeyDistribution<'a> {
    room: &'a str,
    key: ReceivedSenderKey,
}

impl<'a> SenderKeyDistribution<'a> {
    /// Reads the text of a box.
    ///
    /// # Errors
    /// [`EndToEndError::Malformed`].
    pub fn parse(text: &'a [u8]) -> Result<Self, EndToEndError> {
        let mut reader = Reader::new(text);
        if reader.array()? != 4 {
            return Err(EndToEndError::Malformed);
        }
        let room = reader.text()?;
        let (id, counter) = (reader.bytes_exact()?, reader.uint()?);
        let chain = Chain::from_bytes(reader.bytes_exact()?);
        reader.end()?;
        Ok(Self { room, key: ReceivedSenderKey { id, chain, counter } })
    }

    /// The room: a peer's words.
    #[must_use]
    pub fn room(&self) -> &'a str {
        self.room
    }
}

impl InboundSenderKey {
    /// For a member who joined later: their first message is due first.
    #[must_use]
    pub fn from_the_first() -> Self {
        Self { expected: Some(0), ..Self::default() }
    }

    /// True if the due counter is known: the first key has come, or the member joined later.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.expected.is_some()
    }

    /// Takes a key in. Gives how many texts of theirs are missing before it.
    ///
    /// # Errors
    /// [`EndToEndError::Replayed`] for a place in one's present key that lies behind.
    pub fn take(&mut self, shared: SenderKeyDistribution<'_>) -> Result<u64, EndToEndError> {
        let SenderKeyDistribution { key, .. } = shared;
        let expected = self.expected.unwrap_or(key.counter);
        if key.counter < expected && self.key.as_ref().is_some_and(|present| present.id == key.id) {
            return Err(EndToEndError::Replayed);
        }
        self.expected = Some(expected.max(key.counter));
        let missing = key.counter.saturating_sub(expected);
        self.key = Some(key);
        Ok(missing)
    }

    /// Opens an envelope. The state changes only if all checks hold.
    ///
    /// # Errors
    /// [`EndToEndError`]: no such key, come before (in this session or an earlier one), too far ahead, or not sealed with it.
    pub fn open(&mut self, envelope: &SignedEnvelope<'_>) -> Result<OpenedEnvelope, EndToEndError> {
        let key = self.key.as_mut().filter(|key| key.id == envelope.key).ok_or(EndToEndError::NoKey)?;
        let expected = self.expected.unwrap_or(key.counter);
        let before =
            if envelope.counter < self.read_earlier { EndToEndError::ReadEarlier } else { EndToEndError::Replayed };
        let missing = envelope.counter.checked_sub(expected).ok_or(before)?;
        let steps = envelope.counter.checked_sub(key.counter).ok_or(EndToEndError::Replayed)?;
        if steps > MAX_STEPS {
            return Err(EndToEndError::TooFarAhead);
        }
        let mut chain = key.chain.fork();
        (0..steps).for_each(|_| drop(chain.step()));
        let next = envelope.counter.checked_add(1).ok_or(EndToEndError::TooFarAhead)?;
        let padded = seal::opened(&chain.step(), envelope.sealed)?;
        (key.chain, key.counter) = (chain, next);
        self.expected = Some(next);
        Ok(OpenedEnvelope { padded, missing })
    }

    /// The member has left: their key opens no more messages. The counter stays.
    pub fn end(&mut self) {
        self.key = None;
    }

    /// Another session of one's own begins: they give their key to it anew. What they have said stays counted.
    pub fn carry_over(&mut self) {
        self.key = None;
        self.read_earlier = self.expected.unwrap_or_default();
    }
}

/// Contents of an envelope.
#[derive(Debug)]
pub struct OpenedEnvelope {
    /// Its text, padded.
    pub padded: Vec<u8>,
    /// Number of the sender's texts that are missing before it.
    pub missing: u64,
}

fn signed(
    server: Fingerprint,
    room: &str,
    session: &[u8; 32],
    key: KeyId,
    counter: u64,
    roster: RosterHash,
    sealed: &[u8],
) -> Vec<u8> {
    Writer::with_capacity(320 + sealed.len())
        .array(8)
        .text("cfb-chat/1 said")
        .bytes(&server.0)
        .text(room)
        .bytes(session)
        .bytes(&key)
        .uint(counter)
        .bytes(&roster.0)
        .bytes(sealed)
        .finish()
}
