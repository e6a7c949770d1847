//! What secrecy costs: records of several sizes, each step of the handshake, credentials and key files.
//!
//! A step that takes its state away is given a fresh one each time, made outside the measurement. Making an identity is
//! left out: it takes seconds, and happens once in a user's life.

use std::sync::LazyLock;

use cfb_chat::secure::credential::{OwnCredential, UnixSeconds};
use cfb_chat::secure::handshake::{Established, client, server};
use cfb_chat::secure::identity::Identity;
use cfb_chat::secure::record::{Opener, Sealer};
use cfb_chat::wire::frame::{Deframer, MAX_FRAME, PREFIX};
use divan::Bencher;
use divan::counter::BytesCount;

/// The default size of an identity, in bits.
const BITS: usize = 3072;
/// Any day will do, as long as it is the same for both ends.
const NOW: UnixSeconds = UnixSeconds(1_790_000_000);
/// Lengths of records' texts, in bytes. A record takes 32 bytes less than 64 KiB: that is what the largest one stands for.
const TEXTS: [usize; 6] = [64, 256, 1_024, 4_096, 16_384, 65_503];

static SERVER: LazyLock<(Identity, OwnCredential)> = LazyLock::new(|| {
    let identity = identity();
    let credential = OwnCredential::for_server(&mut rand::rng(), &identity, NOW);
    (identity, credential)
});
static USER: LazyLock<(Identity, OwnCredential)> = LazyLock::new(|| {
    let identity = identity();
    let credential = OwnCredential::for_user(&mut rand::rng(), &identity, "ira", NOW);
    (identity, credential)
});

fn main() {
    // Made here, so that no measurement has it in it.
    LazyLock::force(&SERVER);
    LazyLock::force(&USER);
    divan::main();
}

#[divan::bench(args = TEXTS, sample_size = 64)]
fn record_seal(bencher: Bencher, length: usize) {
    let mut sealer = established().0.sealer;
    let (text, mut out) = (vec![7; length], Vec::with_capacity(MAX_FRAME + PREFIX));
    bencher.counter(BytesCount::new(length)).bench_local(|| {
        out.clear();
        sealer.seal(divan::black_box(&text), &mut out);
    });
}

#[divan::bench(args = TEXTS, sample_size = 64)]
fn record_open(bencher: Bencher, length: usize) {
    let (client, server) = established();
    let (mut sealer, mut opener): (Sealer, Opener) = (server.sealer, client.opener);
    let text = vec![7; length];
    // They are opened in the order in which they are made: in any other they would not open.
    let next_record = || {
        let mut out = Vec::with_capacity(length + 64);
        sealer.seal(&text, &mut out);
        out
    };
    bencher.counter(BytesCount::new(length)).with_inputs(next_record).bench_local_refs(|record| {
        opener.open(&mut record[PREFIX..]).expect("the next record of this direction").len()
    });
}

#[divan::bench(sample_size = 1)]
fn handshake_1_client_start(bencher: Bencher) {
    bencher.bench_local(|| client::Start::new(&mut rand::rng()));
}

/// ML-KEM encapsulation, X25519, and the proof with the credential's key.
#[divan::bench(sample_size = 1)]
fn handshake_2_server_accept(bencher: Bencher) {
    bencher.with_inputs(start).bench_local_values(|(_, hello)| server_accept(&hello));
}

#[divan::bench(sample_size = 1)]
fn handshake_3_client_agree(bencher: Bencher) {
    bencher.with_inputs(accept).bench_local_values(|(start, _, [answer, _])| agree(start, &answer));
}

/// RSA and Ed25519 verification of the server's credential and proof.
#[divan::bench(sample_size = 1)]
fn handshake_4_client_check_server(bencher: Bencher) {
    bencher.with_inputs(keyed).bench_local_values(|(keyed, _, proof)| check_server(keyed, proof));
}

#[divan::bench(sample_size = 1)]
fn handshake_5_client_prove(bencher: Bencher) {
    bencher.with_inputs(checked).bench_local_values(|(checked, _)| checked.prove(&USER.1));
}

/// RSA and Ed25519 verification of the user's credential and proof.
#[divan::bench(sample_size = 1)]
fn handshake_6_server_check_user(bencher: Bencher) {
    bencher.with_inputs(proved).bench_local_values(|(_, proving, proof)| check_user(proving, proof));
}

/// OAEP encryption of the secret.
#[divan::bench(sample_size = 1)]
fn handshake_7_server_issue(bencher: Bencher) {
    bencher.with_inputs(user_checked).bench_local_values(|(_, checked)| checked.issue(&mut rand::rng()));
}

/// The only step with an RSA private key: OAEP decryption of the secret, by the user.
#[divan::bench(sample_size = 1)]
fn handshake_8_client_establish(bencher: Bencher) {
    bencher.with_inputs(issued).bench_local_values(|(proved, _, secret)| establish(proved, secret));
}

/// An RSA signature over two fresh keys: once a process.
#[divan::bench(sample_size = 1)]
fn credential_for_user(bencher: Bencher) {
    let identity = &USER.0;
    bencher.bench_local(|| OwnCredential::for_user(&mut rand::rng(), identity, "ira", NOW));
}

#[divan::bench(sample_size = 1)]
fn identity_from_pem(bencher: Bencher) {
    let pem = USER.0.to_pem(None);
    bencher.bench_local(|| Identity::from_pem(&pem, None));
}

/// Slow on purpose: whoever guesses passphrases pays the same.
#[divan::bench(sample_size = 1, sample_count = 5)]
fn identity_from_encrypted_pem(bencher: Bencher) {
    let pem = USER.0.to_pem(Some("correct horse"));
    bencher.bench_local(|| Identity::from_pem(&pem, Some("correct horse")));
}

fn identity() -> Identity {
    Identity::generate(&mut rand::rng(), BITS).expect("a size that is taken")
}

/// The handshake up to each of its messages: what the client has, what the server has, and the bodies on their way.
fn start() -> (client::Start, Vec<u8>) {
    let (start, hello) = client::Start::new(&mut rand::rng());
    (start, body(&hello))
}

fn accept() -> (client::Start, server::Proving, [Vec<u8>; 2]) {
    let (start, hello) = start();
    let (proving, frames) = server_accept(&hello);
    let mut deframer = Deframer::new(MAX_FRAME);
    deframer.feed(&frames);
    let bodies = [(); 2].map(|()| deframer.next_frame().expect("lengths that are taken").expect("two frames").to_vec());
    (start, proving, bodies)
}

fn keyed() -> (client::Keyed, server::Proving, Vec<u8>) {
    let (start, proving, [answer, proof]) = accept();
    (agree(start, &answer), proving, proof)
}

fn checked() -> (client::Checked, server::Proving) {
    let (keyed, proving, proof) = keyed();
    (check_server(keyed, proof), proving)
}

fn proved() -> (client::Proved, server::Proving, Vec<u8>) {
    let (checked, proving) = checked();
    let (proved, proof) = checked.prove(&USER.1);
    (proved, proving, body(&proof))
}

fn user_checked() -> (client::Proved, server::Checked) {
    let (proved, proving, proof) = proved();
    (proved, check_user(proving, proof))
}

fn issued() -> (client::Proved, Established, Vec<u8>) {
    let (proved, checked) = user_checked();
    let (established, secret) = checked.issue(&mut rand::rng());
    (proved, established, body(&secret))
}

/// Both ends of a channel: the client's, the server's.
fn established() -> (Established, Established) {
    let (proved, server, secret) = issued();
    (establish(proved, secret), server)
}

fn server_accept(hello: &[u8]) -> (server::Proving, Vec<u8>) {
    server::accept(&mut rand::rng(), hello, &SERVER.1).expect("the client's keys are taken")
}

fn agree(start: client::Start, answer: &[u8]) -> client::Keyed {
    start.agree(answer).expect("the server's keys are taken")
}

fn check_server(keyed: client::Keyed, mut proof: Vec<u8>) -> client::Checked {
    keyed.check_server(&mut proof, NOW).expect("the server's proof holds")
}

fn check_user(proving: server::Proving, mut proof: Vec<u8>) -> server::Checked {
    proving.check_user(&mut proof, NOW, |_| true).expect("the user's proof holds")
}

fn establish(proved: client::Proved, mut secret: Vec<u8>) -> Established {
    proved.establish(&mut rand::rng(), &mut secret, &USER.0).expect("the secret opens")
}

/// A frame's body.
fn body(frame: &[u8]) -> Vec<u8> {
    frame[PREFIX..].to_vec()
}
