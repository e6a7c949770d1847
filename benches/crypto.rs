//! What secrecy costs: records of several sizes, each step of the handshake, credentials and key files; and end to end,
//! what is said to a room, boxes, letters, and what a room's changes cost its members.
//!
//! A step that takes its state away is given a fresh one each time, made outside the measurement. Making an identity is
//! left out: it takes seconds, and happens once in a user's life.

use std::sync::LazyLock;

use cfb_chat::chat::SessionNumber;
use cfb_chat::chat::message::{Numbered, ToServer};
use cfb_chat::chat::name::Name;
use cfb_chat::secure::credential::{OwnCredential, Role, SessionKeys, UnixSeconds, VerifiedCredential};
use cfb_chat::secure::e2e::body::{BodyKind, MessageBody};
use cfb_chat::secure::e2e::offline_message::{self, Author, SignedLetter};
use cfb_chat::secure::e2e::roster::RosterHash;
use cfb_chat::secure::e2e::sealed_box::{self, BoxCounters, Purpose, SignedBox};
use cfb_chat::secure::e2e::sender_key::{InboundSenderKey, OutboundSenderKey, SenderKeyDistribution, SignedEnvelope};
use cfb_chat::secure::handshake::{Established, client, server};
use cfb_chat::secure::identity::{Fingerprint, Identity};
use cfb_chat::secure::record::{Opener, Sealer};
use cfb_chat::wire::frame::{Deframer, MAX_FRAME, PREFIX};
use divan::Bencher;
use divan::counter::BytesCount;

/// The default size of an identity, in bits.
const BITS: usize = 3072;
/// Any day will do, as long as it is the same for both ends.
const NOW: UnixSeconds = UnixSeconds(1_790_000_000);
/// Lengths of records' texts, in bytes. A record takes 32 bytes less than 64 KiB: that is what the largest one stands
/// for.
const TEXTS: [usize; 6] = [64, 256, 1_024, 4_096, 16_384, 65_503];
/// Lengths of what is said to a room, in bytes, up to the longest.
const SAID: [usize; 4] = [64, 256, 1_024, 4_096];
/// Members of a room.
const MEMBERS: [usize; 2] = [100, 1_000];
const ROOM: &str = "#lobby";
/// Boxes that go into one Share.
const BOXES: usize = 128;

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
/// Another session of the same user: what it costs to reach somebody does not depend on who they are.
static OTHER: LazyLock<OwnCredential> =
    LazyLock::new(|| OwnCredential::for_user(&mut rand::rng(), &USER.0, "zoe", NOW));

fn main() {
    // Made here, so that no measurement has it in it.
    LazyLock::force(&SERVER);
    LazyLock::force(&USER);
    LazyLock::force(&OTHER);
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

/// Padded, sealed and signed.
#[divan::bench(args = SAID, sample_size = 16)]
fn said_seal(bencher: Bencher, length: usize) {
    let (said, roster, mut key) = (said(length), roster(&sessions(500)), OutboundSenderKey::new(&mut rand::rng(), 0));
    bencher.counter(BytesCount::new(length)).bench_local(|| envelope(&mut key, divan::black_box(&said), roster));
}

/// Verified, opened and unpadded.
#[divan::bench(args = SAID, sample_size = 16)]
fn said_open(bencher: Bencher, length: usize) {
    let (said, roster, mut key) = (said(length), roster(&sessions(500)), OutboundSenderKey::new(&mut rand::rng(), 0));
    let (from, server, mut reading) = (keys_of(&USER.1), server_fingerprint(), InboundSenderKey::from_the_first());
    reading.take(SenderKeyDistribution::parse(&key.shared(ROOM)).expect("a shared key")).expect("a new key");
    // They are opened in the order in which they are made, as records are.
    let next_envelope = || envelope(&mut key, &said, roster);
    bencher.counter(BytesCount::new(length)).with_inputs(next_envelope).bench_local_refs(|envelope| {
        let signed = SignedEnvelope::verify(envelope, &from, server, ROOM, roster).expect("the signature holds");
        MessageBody::unpad(&reading.open(&signed).expect("the next of this key").padded).expect("what was padded")
    });
}

/// With a sender key inside.
#[divan::bench]
fn box_seal(bencher: Bencher) {
    let (to, text) = (keys_of(&OTHER), OutboundSenderKey::new(&mut rand::rng(), 0).shared(ROOM));
    bencher.bench_local(|| key_box(&to, 1, divan::black_box(&text)));
}

#[divan::bench]
fn box_open(bencher: Bencher) {
    let (from, server) = (keys_of(&USER.1), server_fingerprint());
    let boxed = key_box(&keys_of(&OTHER), 1, &OutboundSenderKey::new(&mut rand::rng(), 0).shared(ROOM));
    bencher.bench_local(|| {
        let boxed = divan::black_box(&boxed);
        let signed = SignedBox::verify(boxed, &OTHER, &from, server, Purpose::Key).expect("the signature holds");
        signed.open(&OTHER, &mut BoxCounters::default()).expect("the first box")
    });
}

/// OAEP encryption and an RSA signature.
#[divan::bench(sample_size = 1)]
fn letter_write(bencher: Bencher) {
    let said = said(128);
    bencher.bench_local(|| letter(divan::black_box(&said)));
}

/// RSA verification and OAEP decryption.
#[divan::bench(sample_size = 1)]
fn letter_read(bencher: Bencher) {
    let (reader, letter) = (&SERVER.0, letter(&said(128)));
    let own = reader.public().fingerprint();
    bencher.bench_local(|| {
        let letter = divan::black_box(&letter);
        let signed = SignedLetter::verify(letter, own, server_fingerprint(), NOW.0 * 1_000).expect("a letter of today");
        signed.open(&mut rand::rng(), reader).expect("it is for this reader")
    });
}

/// Each join and each leave costs every member one.
#[divan::bench(args = MEMBERS)]
fn roster_hash(bencher: Bencher, members: usize) {
    let sessions = sessions(members);
    bencher.bench_local(|| roster(divan::black_box(&sessions)));
}

/// What the client of somebody who speaks computes after a member who had its key has left: a new key, a box with it
/// for everybody else, and the records they go out in. Aims: 15 ms of CPU among 100, 150 ms among 1,000.
#[divan::bench(args = MEMBERS, sample_size = 1, sample_count = 20)]
fn rekey(bencher: Bencher, members: usize) {
    let (to, mut sealer) = (keys_of(&OTHER), established().0.sealer);
    let mut others = vec![BoxCounters::default(); members - 1];
    bencher.bench_local(|| {
        let text = OutboundSenderKey::new(&mut rand::rng(), 0).shared(ROOM);
        let mut records = Vec::new();
        for (n, some) in (1..).zip(others.chunks_mut(BOXES)) {
            let boxes = some.iter_mut().map(|counts| (SessionNumber(1), key_box(&to, counts.next_sent(), &text)));
            let share = ToServer::Numbered { n, body: Numbered::Share(boxes.collect()) };
            sealer.seal(&share.encode(), &mut records);
        }
        records
    });
}

/// What each member of a room costs somebody who joins it, and whoever joins costs each member.
#[divan::bench(sample_size = 1)]
fn person_check(bencher: Bencher) {
    bencher.bench_local(|| check(divan::black_box(&USER.1)));
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

fn checked() -> (client::CheckedServer, server::Proving) {
    let (keyed, proving, proof) = keyed();
    (check_server(keyed, proof), proving)
}

fn proved() -> (client::Proved, server::Proving, Vec<u8>) {
    let (checked, proving) = checked();
    let (proved, proof) = checked.prove(&USER.1);
    (proved, proving, body(&proof))
}

fn user_checked() -> (client::Proved, server::CheckedClient) {
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

fn check_server(keyed: client::Keyed, mut proof: Vec<u8>) -> client::CheckedServer {
    keyed.check_server(&mut proof, NOW).expect("the server's proof holds")
}

fn check_user(proving: server::Proving, mut proof: Vec<u8>) -> server::CheckedClient {
    proving.check_user(&mut proof, NOW, |_| true).expect("the user's proof holds")
}

fn establish(proved: client::Proved, mut secret: Vec<u8>) -> Established {
    proved.establish(&mut rand::rng(), &mut secret, &USER.0).expect("the secret opens")
}

fn server_fingerprint() -> Fingerprint {
    SERVER.0.public().fingerprint()
}

fn check(credential: &OwnCredential) -> VerifiedCredential {
    let name_holds = |name: &str| Name::parse(name).is_ok();
    VerifiedCredential::check(credential.presented(), Role::User, NOW, name_holds).expect("the credential holds")
}

fn keys_of(credential: &OwnCredential) -> SessionKeys {
    check(credential).session_keys()
}

fn said(length: usize) -> MessageBody {
    MessageBody { sent_at: NOW.0 * 1_000, kind: BodyKind::Text, text: "x".repeat(length) }
}

/// So many sessions, in the order of their bytes.
fn sessions(count: usize) -> Vec<[u8; 32]> {
    let session = |number: usize| {
        let mut session = [7; 32];
        session[..8].copy_from_slice(&number.to_be_bytes());
        session
    };
    (0..count).map(session).collect()
}

fn roster(sessions: &[[u8; 32]]) -> RosterHash {
    RosterHash::new(server_fingerprint(), ROOM, 1_000, sessions.iter())
}

fn envelope(key: &mut OutboundSenderKey, said: &MessageBody, roster: RosterHash) -> Vec<u8> {
    key.seal(&said.pad()).sign(&USER.1, server_fingerprint(), ROOM, roster)
}

fn key_box(to: &SessionKeys, count: u64, text: &[u8]) -> Vec<u8> {
    sealed_box::seal(&mut rand::rng(), &USER.1, to, server_fingerprint(), Purpose::Key, count, text)
        .expect("a key that boxes can be sealed to")
}

/// A letter from the user to whoever has the server's key: any other identity will do.
fn letter(said: &MessageBody) -> Vec<u8> {
    let author = Author { identity: &USER.0, name: "ira", server: server_fingerprint() };
    offline_message::seal(&mut rand::rng(), &author, SERVER.0.public(), said)
}

/// A frame's body.
fn body(frame: &[u8]) -> Vec<u8> {
    frame[PREFIX..].to_vec()
}
