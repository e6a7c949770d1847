//! The one construction under all sealed data: AES-256-CFB-128, then HMAC-SHA-256. PROTOCOL.md §5.
//!
//! CFB alone lets an attacker flip bits, so no byte is decrypted before the tag has been compared, in constant time.
//!
//! A stream of CFB is a chain: each block waits for the one before, and a processor that could encrypt several at once
//! encrypts one. What goes to many readers goes under as many keys, so their records can be made side by side: eight at
//! once take less than half the time that they take one after the other.

use aes::cipher::BlockCipherEncrypt;
use aes::{Aes256, Block};
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
pub struct OpenError;

/// Appends `text`, sealed, to `out`. The keys are used up.
pub(super) fn seal(keys: &StepKeys, text: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + text.len(), 0);
    Encryptor::<Aes256>::new((&keys.enc).into(), (&keys.iv).into())
        .encrypt_b2b(text, &mut out[start..])
        .expect("both are as long as the text");
    let tag = mac(keys).chain_update(&out[start..]).finalize().into_bytes();
    out.extend_from_slice(&tag);
}

/// Bytes of a ciphertext that go into its tag before the next one has its turn: so few that a processor begins with the
/// next while it ends the one before.
const TURN: usize = 128;

/// Computes what [`seal`] appends under each of the keys, side by side. Each of `outs` is as long as that.
pub(super) fn seal_side_by_side<const N: usize>(keys: [&StepKeys; N], text: &[u8], outs: [&mut [u8]; N]) {
    let mut outs = outs.map(|out| out.split_at_mut(text.len()));
    encrypt_side_by_side(keys, text, outs.each_mut().map(|(ciphertext, _)| &mut **ciphertext));
    let mut macs = keys.map(mac);
    for start in (0..text.len()).step_by(TURN) {
        let turn = start..text.len().min(start + TURN);
        for (mac, (ciphertext, _)) in macs.iter_mut().zip(&outs) {
            mac.update(&ciphertext[turn.clone()]);
        }
    }
    for (mac, (_, tag)) in macs.into_iter().zip(outs) {
        tag.copy_from_slice(&mac.finalize().into_bytes());
    }
}

/// CFB-128, a block of each at a time.
fn encrypt_side_by_side<const N: usize>(keys: [&StepKeys; N], text: &[u8], outs: [&mut [u8]; N]) {
    let ciphers = keys.map(|keys| <Aes256 as KeyInit>::new((&keys.enc).into()));
    let mut feedback = keys.map(|keys| Block::from(keys.iv));
    let mut outs = outs.map(|out| out.as_chunks_mut::<16>());
    let (blocks, rest) = text.as_chunks::<16>();
    for (at, block) in blocks.iter().enumerate() {
        for (cipher, feedback) in ciphers.iter().zip(&mut feedback) {
            cipher.encrypt_block(feedback);
        }
        for (feedback, (out, _)) in feedback.iter_mut().zip(&mut outs) {
            feedback.iter_mut().zip(block).for_each(|(feedback, text)| *feedback ^= text);
            out[at] = (*feedback).into();
        }
    }
    for ((cipher, mut feedback), (_, out)) in ciphers.into_iter().zip(feedback).zip(outs) {
        cipher.encrypt_block(&mut feedback);
        out.iter_mut().zip(feedback).zip(rest).for_each(|((out, feedback), text)| *out = feedback ^ text);
    }
}

/// Opens in place; what comes back is the text.
pub(super) fn open<'a>(keys: &StepKeys, sealed: &'a mut [u8]) -> Result<&'a mut [u8], OpenError> {
    let length = sealed.len().checked_sub(TAG).ok_or(OpenError)?;
    let (text, tag) = sealed.split_at_mut(length);
    mac(keys).chain_update(&*text).verify_slice(tag).map_err(|_| OpenError)?;
    Decryptor::<Aes256>::new((&keys.enc).into(), (&keys.iv).into()).decrypt(text);
    Ok(text)
}

/// Opens a copy; what comes back is the text.
pub(super) fn opened(keys: &StepKeys, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
    let mut text = sealed.to_vec();
    let length = open(keys, &mut text)?.len();
    text.truncate(length);
    Ok(text)
}

fn mac(keys: &StepKeys) -> Hmac<Sha256> {
    <Hmac<Sha256> as KeyInit>::new_from_slice(&keys.mac).expect("HMAC takes a key of any length")
}

#[cfg(test)]
mod tests;
