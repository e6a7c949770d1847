//! Letters: from one identity to an absent one, with their RSA keys alone. No forward secrecy. PROTOCOL.md §7.

use rand::CryptoRng;
use zeroize::Zeroizing;

use super::EndToEndError;
use super::body::MessageBody;
use crate::secure::identity::{Fingerprint, Identity, PublicIdentity};
use crate::secure::keys::one_shot_keys;
use crate::secure::seal;
use crate::wire::codec::{Reader, Writer};

const LABEL: &str = "cfb-chat/1 letter";
const DAY: u64 = 24 * 60 * 60 * 1_000;
/// Maximum age of a letter, in milliseconds.
const OLDEST: u64 = 30 * DAY;
/// And how far ahead of one's own clock.
const AHEAD: u64 = DAY;

/// A letter's number, drawn at random.
pub type LetterId = [u8; 16];

/// Author of a letter, with name and server.
pub struct Author<'a> {
    /// Their identity.
    pub identity: &'a Identity,
    /// Their name.
    pub name: &'a str,
    /// The server's fingerprint.
    pub server: Fingerprint,
}

/// Writes a letter.
pub fn seal(rng: &mut impl CryptoRng, author: &Author<'_>, to: &PublicIdentity, said: &MessageBody) -> Vec<u8> {
    let mut id: LetterId = [0; 16];
    rng.fill_bytes(&mut id);
    let mut secret = Zeroizing::new([0; 32]);
    rng.fill_bytes(&mut *secret);
    let locked = to.encrypt(rng, LABEL, &secret);
    let context = Writer::new()
        .array(8)
        .text(LABEL)
        .bytes(&author.server.0)
        .bytes(author.identity.public().spki())
        .text(author.name)
        .bytes(&to.fingerprint().0)
        .bytes(&id)
        .uint(said.sent_at)
        .bytes(&locked)
        .finish();
    let mut sealed = Vec::new();
    seal::seal(&one_shot_keys(&context, &secret), &said.pad(), &mut sealed);
    let signature = author.identity.sign(rng, &signed(&context, &sealed));
    Writer::new().array(3).value(&context).bytes(&sealed).bytes(&signature).finish()
}

/// A letter's faults that do not concern keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LetterError {
    /// It cannot be read, or its signature is invalid.
    #[error(transparent)]
    Refused(#[from] EndToEndError),
    /// It is for another identity, or for another server.
    #[error("it is addressed to another user, or to another server")]
    Address,
    /// It was written too long ago, or is yet to be written.
    #[error("it is more than 30 days old, or from the future")]
    Age,
}

/// A letter with valid signature, address and age; not opened yet.
pub struct SignedLetter<'a> {
    from: Fingerprint,
    fields: LetterFields<'a>,
}

impl<'a> SignedLetter<'a> {
    /// Reads a letter to `own`. `now` is in milliseconds since 1970.
    ///
    /// # Errors
    /// [`LetterError`] names the rule that fails. RSA has opened no ciphertext.
    pub fn verify(letter: &'a [u8], own: Fingerprint, server: Fingerprint, now: u64) -> Result<Self, LetterError> {
        let fields = LetterFields::read(letter)?;
        let from = PublicIdentity::from_spki(fields.spki).map_err(|_| EndToEndError::Malformed)?;
        if !from.verifies(&signed(fields.context, fields.sealed), fields.signature) {
            return Err(EndToEndError::Signature.into());
        }
        if fields.server != server || fields.to != own {
            return Err(LetterError::Address);
        }
        if fields.sent_at < now.saturating_sub(OLDEST) || fields.sent_at > now.saturating_add(AHEAD) {
            return Err(LetterError::Age);
        }
        Ok(Self { from: from.fingerprint(), fields })
    }

    /// Returns the signer.
    #[must_use]
    pub fn from(&self) -> Fingerprint {
        self.from
    }

    /// By which name: a peer's words.
    #[must_use]
    pub fn name(&self) -> &'a str {
        self.fields.name
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> LetterId {
        self.fields.id
    }

    /// When it was written, in milliseconds since 1970 by its author's clock.
    #[must_use]
    pub fn sent_at(&self) -> u64 {
        self.fields.sent_at
    }

    /// Opens it.
    ///
    /// # Errors
    /// [`EndToEndError::Unopened`], or [`EndToEndError::Malformed`] for what is inside.
    pub fn open(&self, rng: &mut impl CryptoRng, own: &Identity) -> Result<MessageBody, EndToEndError> {
        let secret = own.decrypt(rng, LABEL, self.fields.locked);
        let said =
            MessageBody::unpad(&seal::opened(&one_shot_keys(self.fields.context, &secret), self.fields.sealed)?)?;
        if said.sent_at == self.fields.sent_at { Ok(said) } else { Err(EndToEndError::Malformed) }
    }
}

struct LetterFields<'a> {
    context: &'a [u8],
    server: Fingerprint,
    spki: &'a [u8],
    name: &'a str,
    to: Fingerprint,
    id: LetterId,
    sent_at: u64,
    locked: &'a [u8],
    sealed: &'a [u8],
    signature: &'a [u8],
}

impl<'a> LetterFields<'a> {
    fn read(letter: &'a [u8]) -> Result<Self, EndToEndError> {
        let mut reader = Reader::new(letter);
        if reader.array()? != 3 {
            return Err(EndToEndError::Malformed);
        }
        let (context, sealed, signature) = (reader.value()?, reader.bytes()?, reader.bytes()?);
        reader.end()?;
        let mut reader = Reader::new(context);
        if reader.array()? != 8 || reader.text()? != LABEL {
            return Err(EndToEndError::Malformed);
        }
        Ok(Self {
            context,
            server: Fingerprint(reader.bytes_exact()?),
            spki: reader.bytes()?,
            name: reader.text()?,
            to: Fingerprint(reader.bytes_exact()?),
            id: reader.bytes_exact()?,
            sent_at: reader.uint()?,
            locked: reader.bytes()?,
            sealed,
            signature,
        })
    }
}

fn signed(context: &[u8], sealed: &[u8]) -> Vec<u8> {
    Writer::new().array(3).text("cfb-chat/1 letter signed").value(context).bytes(sealed).finish()
}
