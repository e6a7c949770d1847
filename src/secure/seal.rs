//! The one construction under everything that is sealed: AES-256-CFB-128, then HMAC-SHA-256. PROTOCOL.md §5.
//!
//! CFB alone lets anyone flip bits, so no byte is decrypted before the tag has been compared, in constant time.

use aes::Aes256;
use cfb_mode::cipher::KeyIvInit;
use cfb_mode::{Decryptor, Encryptor};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::keys::StepKeys;

/// Bytes that sealing adds to a text.
pub(super) const TAG: usize = 32;

/// It did not open. There is one word for every reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("could not be opened")]
pub struct Unopened;

/// Appends `text`, sealed, to `out`. The keys are used up.
pub(super) fn seal(keys: &StepKeys, text: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + text.len(), 0);
    Encryptor::<Aes256>::new((&keys.enc).into(), (&keys.iv).into())
        .encrypt_b2b(text, &mut out[start..])
        .expect("both are as long as the text");
    let tag = mac(keys, &out[start..]).finalize().into_bytes();
    out.extend_from_slice(&tag);
}

/// Opens in place; what comes back is the text.
pub(super) fn open<'a>(keys: &StepKeys, sealed: &'a mut [u8]) -> Result<&'a mut [u8], Unopened> {
    let length = sealed.len().checked_sub(TAG).ok_or(Unopened)?;
    let (text, tag) = sealed.split_at_mut(length);
    mac(keys, text).verify_slice(tag).map_err(|_| Unopened)?;
    Decryptor::<Aes256>::new((&keys.enc).into(), (&keys.iv).into()).decrypt(text);
    Ok(text)
}

/// Opens a copy; what comes back is the text.
pub(super) fn opened(keys: &StepKeys, sealed: &[u8]) -> Result<Vec<u8>, Unopened> {
    let mut text = sealed.to_vec();
    let length = open(keys, &mut text)?.len();
    text.truncate(length);
    Ok(text)
}

fn mac(keys: &StepKeys, ciphertext: &[u8]) -> Hmac<Sha256> {
    <Hmac<Sha256> as KeyInit>::new_from_slice(&keys.mac)
        .expect("HMAC takes a key of any length")
        .chain_update(ciphertext)
}

#[cfg(test)]
mod tests;
