//! Boxes: from one session to one session. Private messages, and the sender keys of rooms. PROTOCOL.md §7.

use rand::CryptoRng;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use super::{EndToEndError, SessionBytes};
use crate::secure::credential::{OwnCredential, SessionKeys};
use crate::secure::identity::Fingerprint;
use crate::secure::keys::one_shot_keys;
use crate::secure::seal;
use crate::wire::codec::{Reader, Writer};

/// Purpose of a box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A private message.
    Whisper,
    /// A room's sender key.
    Key,
}

/// A small-order key, which gives no secret; its maker knew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("their key cannot be used for sealing")]
pub struct WeakKeyError;

/// Seals `text` to a session; `count` is that of one's boxes to it, from 1.
///
/// # Errors
/// [`WeakKeyError`] if their X25519 key is of small order.
pub fn seal(
    rng: &mut impl CryptoRng,
    own: &OwnCredential,
    to: &SessionKeys,
    server: Fingerprint,
    purpose: Purpose,
    count: u64,
    text: &[u8],
) -> Result<Vec<u8>, WeakKeyError> {
    let fresh = StaticSecret::random_from_rng(rng);
    let public = PublicKey::from(&fresh);
    let agreed = fresh.diffie_hellman(&PublicKey::from(*to.agreement()));
    if !agreed.was_contributory() {
        return Err(WeakKeyError);
    }
    let context = context(server, purpose, &own.session(), &to.session, count, public.as_bytes());
    let mut sealed = Vec::with_capacity(text.len() + seal::TAG);
    seal::seal(&one_shot_keys(&context, agreed.as_bytes()), text, &mut sealed);
    let signature = own.sign(&signed(&context, &sealed));
    let head = Writer::with_capacity(128 + sealed.len()).array(4).uint(count).bytes(public.as_bytes());
    Ok(head.bytes(&sealed).bytes(&signature).finish())
}

/// A box with a valid signature; not opened yet.
pub struct SignedBox<'a> {
    count: u64,
    fresh: [u8; 32],
    sealed: &'a [u8],
    context: Vec<u8>,
}

impl<'a> SignedBox<'a> {
    /// Reads a box that is said to come from `from`, for this purpose.
    ///
    /// # Errors
    /// [`EndToEndError::Malformed`] or [`EndToEndError::Signature`].
    pub fn verify(
        boxed: &'a [u8],
        own: &OwnCredential,
        from: &SessionKeys,
        server: Fingerprint,
        purpose: Purpose,
    ) -> Result<Self, EndToEndError> {
        let mut reader = Reader::new(boxed);
        if reader.array()? != 4 {
            return Err(EndToEndError::Malformed);
        }
        let (count, fresh, sealed) = (reader.uint()?, reader.bytes_exact()?, reader.bytes()?);
        let signature: [u8; 64] = reader.bytes_exact()?;
        reader.end()?;
        let context = context(server, purpose, &from.session, &own.session(), count, &fresh);
        if from.verifies(&signed(&context, sealed), &signature) {
            Ok(Self { count, fresh, sealed, context })
        } else {
            Err(EndToEndError::Signature)
        }
    }

    /// Opens it, if it is not one that has come before. Only then does `counts` change.
    ///
    /// # Errors
    /// [`EndToEndError::Replayed`] or [`EndToEndError::Unopened`].
    pub fn open(self, own: &OwnCredential, counts: &mut BoxCounters) -> Result<OpenedBox, EndToEndError> {
        let missing = self
            .count
            .checked_sub(counts.received)
            .and_then(|ahead| ahead.checked_sub(1))
            .ok_or(EndToEndError::Replayed)?;
        let agreed = own.agree(&self.fresh).ok_or(EndToEndError::Unopened)?;
        let text = Zeroizing::new(seal::opened(&one_shot_keys(&self.context, &agreed), self.sealed)?);
        counts.received = self.count;
        Ok(OpenedBox { text, missing })
    }
}

/// Contents of a box.
#[derive(Debug)]
pub struct OpenedBox {
    /// Its text.
    pub text: Zeroizing<Vec<u8>>,
    /// Number of boxes of the same session that are missing before it.
    pub missing: u64,
}

/// Numbers of boxes sent to and received from another session: both purposes together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BoxCounters {
    received: u64,
    sent: u64,
}

impl BoxCounters {
    /// The count of the next box to go out.
    pub fn next_sent(&mut self) -> u64 {
        self.sent += 1;
        self.sent
    }
}

fn context(
    server: Fingerprint,
    purpose: Purpose,
    from: &SessionBytes,
    to: &SessionBytes,
    count: u64,
    fresh: &[u8; 32],
) -> Vec<u8> {
    let purpose = match purpose {
        Purpose::Whisper => "whisper",
        Purpose::Key => "key",
    };
    Writer::with_capacity(192)
        .array(7)
        .text("cfb-chat/1 box")
        .text(purpose)
        .bytes(&server.0)
        .bytes(from)
        .bytes(to)
        .uint(count)
        .bytes(fresh)
        .finish()
}

fn signed(context: &[u8], sealed: &[u8]) -> Vec<u8> {
    let head = Writer::with_capacity(64 + context.len() + sealed.len()).array(3).text("cfb-chat/1 box signed");
    head.value(context).bytes(sealed).finish()
}
