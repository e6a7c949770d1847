//! The handshake with both ends in one process: the frozen one, and attacks on it.
//!
//! Every state here is reached with the frozen randomness, so the keys are known, and a test can be either end.

mod agreement;
mod flips;
mod frozen;
mod refusals;

use std::sync::LazyLock;

use super::*;
use crate::secure::credential::{OwnCredential, UnixSeconds};
use crate::secure::keys::Chain;
use crate::secure::vectors::{
    FROZEN, ML_KEM_MESSAGE, Script, array, bytes, hex, now, server_credential, user_credential,
};
use crate::wire::frame::{Deframer, MAX_FRAME};

static SERVER_CREDENTIAL: LazyLock<OwnCredential> = LazyLock::new(server_credential);
static USER_CREDENTIAL: LazyLock<OwnCredential> = LazyLock::new(user_credential);

fn is_ira(name: &str) -> bool {
    name == "Ira"
}

/// The frozen message `n`, as it was before sealing.
fn message(n: usize) -> Vec<u8> {
    bytes(&FROZEN["handshake"]["messages"][format!("m{n}")])
}

/// The body of the frozen frame `n`.
fn body(n: usize) -> Vec<u8> {
    let frame = bytes(&FROZEN["handshake"]["frames_on_the_wire"][n.to_string()]);
    let [body] = bodies(&frame).try_into().expect("one frame");
    body
}

/// The bodies of whole frames.
fn bodies(frames: &[u8]) -> Vec<Vec<u8>> {
    let mut deframer = Deframer::new(MAX_FRAME);
    deframer.feed(frames);
    let mut all = Vec::new();
    while let Some(body) = deframer.next_frame().expect("a length that may be") {
        all.push(body.to_vec());
    }
    assert!(!all.is_empty());
    all
}

/// The body of the only frame.
fn only_body(frame: &[u8]) -> Vec<u8> {
    let [body] = bodies(frame).try_into().expect("one frame");
    body
}

/// Seals texts one after the other under a frozen handshake chain; gives the last one's body.
fn sealed_by(side: &str, texts: &[&[u8]]) -> Vec<u8> {
    let mut sealer = Sealer::new(Chain::from_bytes(array(&FROZEN["handshake"]["handshake_chains"][side])));
    let mut last = Vec::new();
    for text in texts {
        last.clear();
        sealer.seal(text, &mut last);
    }
    only_body(&last)
}

/// Returns the result of a client that has opened the third frame, and gets `frame`.
fn after_the_third(frame: &[u8]) -> Vec<u8> {
    let mut opener = Opener::new(Chain::from_bytes(array(&FROZEN["handshake"]["handshake_chains"]["server"])));
    opener.open(&mut body(3)).expect("the frozen third frame");
    opener.open(&mut only_body(frame)).expect("sealed as the server's second record").to_vec()
}

fn start() -> (client::Start, Vec<u8>) {
    let frozen = &FROZEN["handshake"];
    let (seed, x25519) = (bytes(&frozen["client_ml_kem_seed"]), bytes(&frozen["client_x25519_private"]));
    client::Start::new(&mut Script::new(&[&seed, &x25519]))
}

fn keyed() -> client::Keyed {
    start().0.agree(&body(2)).expect("the frozen second frame")
}

fn checked() -> client::CheckedServer {
    keyed().check_server(&mut body(3), now()).expect("the frozen third frame")
}

fn proved() -> client::Proved {
    checked().prove(&USER_CREDENTIAL).0
}

/// The server, given the first frame's body, with the frozen randomness.
fn accept(hello: &[u8]) -> Result<(server::Proving, Vec<u8>), ServerHandshakeError> {
    let x25519 = bytes(&FROZEN["handshake"]["server_x25519_private"]);
    server::accept(&mut Script::new(&[&hex(ML_KEM_MESSAGE), &x25519]), hello, &SERVER_CREDENTIAL)
}

fn proving() -> server::Proving {
    accept(&message(1)).expect("the frozen first frame").0
}

/// The frozen bytes with one bit turned over, in the byte at `at`.
fn flipped(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bent = bytes.to_vec();
    bent[at] ^= 1 << (at % 8);
    bent
}

/// The same, always in the lowest bit: text stays text.
fn flipped_low(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bent = bytes.to_vec();
    bent[at] ^= 1;
    bent
}
