//! A guard: how many instructions the hot paths take, each with a bound. tests/all fails if one of them takes more. It
//! compiles this library optimized and its dependencies as the tests do, so that nothing else is compiled twice;
//! `cargo bench --bench instructions` compiles all of it as a release, and counts fewer.
//!
//! ```text
//! a text:      said_send ─▶ [ says_parse ─▶ hall_say ─▶ records_seal ] ─▶ record_open ─▶ events_parse ─▶ said_read
//!                           └───────────── server ─────────────────┘
//! a newcomer:  server_accept ─▶ server_check_user ─▶ server_issue
//! ```
//!
//! Invariant: the same code gives the same count, however busy the machine is: keys are the tests' (2048 bits),
//! randomness is seeded, and what a step takes is made before counting begins. Only the hall's hash maps are seeded by
//! the system: where memory lies after that changes a count by one in five hundred.
//!
//! It counts what our code asks for, not time: time is what benches/crypto.rs and benches/room measure. Valgrind knows
//! AES-NI and AVX2, but neither SHA extensions nor AVX-512 and VAES: what looks for those when it runs takes another way
//! here than on such a processor, SHA-256 above all. So a share of a count is not a share of the time.
//! Nor is work that a processor does side by side, as in records_seal: that is as many instructions, in half the time.
//! What couriers do between a room's log and a socket cannot be reached from here; `--bench room` measures that.
//!
//! The counts are of x86-64 with AES-NI and AVX2, Rust 1.95 and glibc 2.36; a tenth more is taken, which is for other
//! versions of these. Whoever makes a path longer on purpose writes down what it takes from then on; whoever makes one
//! shorter does too, so that it stays so.

#![expect(missing_docs, reason = "what the macros make has none")]

use std::hint::black_box;
use std::time::Instant;

use cfb_chat::chat::message::{Numbered, SessionId, ToClient, ToServer};
use cfb_chat::chat::name::{Name, RoomName};
use cfb_chat::chat::state::{AuthenticatedUser, ChatState, Effect, JoinAttempt, JoinOutcome, Limits};
use cfb_chat::chat::user::User;
use cfb_chat::chat::{ConnectionId, Now};
use cfb_chat::secure::credential::{OwnCredential, Role, SessionKeys, UnixSeconds, VerifiedCredential};
use cfb_chat::secure::e2e::body::{BodyKind, MessageBody};
use cfb_chat::secure::e2e::roster::RosterHash;
use cfb_chat::secure::e2e::sender_key::{InboundSenderKey, OutboundSenderKey, SenderKeyDistribution, SignedEnvelope};
use cfb_chat::secure::handshake::{Established, client, server};
use cfb_chat::secure::identity::{Fingerprint, Identity};
use cfb_chat::secure::record::{BatchSealer, Opener, Sealer};
use cfb_chat::wire::frame::{Deframer, MAX_FRAME, PREFIX};
use gungraun::{Callgrind, EventKind, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main};
use rand::SeedableRng;
use rand::rngs::StdRng;

/// Any day will do, as long as it is the same for both ends.
const NOW: UnixSeconds = UnixSeconds(1_790_000_000);
/// Members of the room in which something is said.
const MEMBERS: u64 = 100;
/// Messages that a saturated room puts into one record.
const TOGETHER: usize = 16;
const ROOM: &str = "#lobby";

/// What somebody has to say, and what they need to say it.
type SendInput = (MessageBody, OutboundSenderKey, OwnCredential, Place);
/// What has been said, and what one needs to read it.
type OpenInput = (Vec<u8>, SessionKeys, InboundSenderKey, Place);
/// A room, what is about to be said in it, and where that goes.
type Busy = (ChatState, Vec<ToServer>, Vec<Effect>, Now);
/// The server, and who is in the room.
type Place = (Fingerprint, RosterHash);

/// So many instructions were counted when this was written; a tenth more is taken, and no more than that.
fn counted(instructions: u64) -> LibraryBenchmarkConfig {
    let mut callgrind = Callgrind::default();
    callgrind.hard_limits([(EventKind::Ir, instructions + instructions / 10)]);
    let mut config = LibraryBenchmarkConfig::default();
    config.tool(callgrind);
    config
}

#[library_benchmark]
#[bench::one_event(args = (305), setup = sealing, config = counted(67_161))]
#[bench::large(args = (16_384), setup = sealing, config = counted(977_933))]
fn record_seal((mut sealer, text, mut out): (Sealer, Vec<u8>, Vec<u8>)) -> (Sealer, Vec<u8>, Vec<u8>) {
    sealer.seal(black_box(&text), &mut out);
    (sealer, text, out)
}

// What many readers get: one text under as many keys.
#[library_benchmark]
#[bench::eight_of_4_096(setup = sealing_side_by_side, config = counted(2_315_487))]
fn records_seal(
    (mut sealers, mut lanes, text): (Vec<Sealer>, BatchSealer, Vec<u8>),
) -> (Vec<Sealer>, BatchSealer, Vec<u8>) {
    seal_for_all(&mut sealers, &mut lanes, black_box(&text));
    (sealers, lanes, text)
}

#[library_benchmark]
#[bench::one_event(args = (305), setup = opening, config = counted(66_978))]
#[bench::large(args = (16_384), setup = opening, config = counted(957_704))]
fn record_open((mut opener, mut record): (Opener, Vec<u8>)) -> (Opener, Vec<u8>) {
    opener.open(black_box(&mut record[PREFIX..])).expect("the next record of this direction");
    (opener, record)
}

// Padded, sealed and signed.
#[library_benchmark]
#[bench::of_128_bytes(setup = speaking, config = counted(387_630))]
fn said_send((said, mut key, own, place): SendInput) -> (OutboundSenderKey, OwnCredential, Vec<u8>) {
    let envelope = send(black_box(&said), &mut key, &own, place);
    (key, own, envelope)
}

// Verified, opened and unpadded.
#[library_benchmark]
#[bench::of_128_bytes(setup = listening, config = counted(511_561))]
fn said_read((envelope, from, mut reading, (server, roster)): OpenInput) -> (Vec<u8>, InboundSenderKey, MessageBody) {
    let signed = SignedEnvelope::verify(black_box(&envelope), &from, server, ROOM, roster);
    let opened = reading.open(&signed.expect("the signature holds")).expect("the next of this key");
    let said = MessageBody::unpad(&opened.padded).expect("what was padded");
    (envelope, reading, said)
}

// What a server does with a record of a speaker's, when it is open.
#[library_benchmark]
#[bench::sixteen(setup = says, config = counted(47_827))]
fn says_parse(text: Vec<u8>) -> (Vec<u8>, Vec<ToServer>) {
    let messages = parse_says(black_box(&text));
    (text, messages)
}

// What a client does with a record of a busy room's, when it is open.
#[library_benchmark]
#[bench::sixteen(setup = events, config = counted(86_319))]
fn events_parse(text: Vec<u8>) -> (Vec<u8>, Vec<ToClient>) {
    let messages = parse_events(black_box(&text));
    (text, messages)
}

// Judged, numbered, kept, and handed out.
#[library_benchmark]
#[bench::sixteen_among_100(setup = busy_room, config = counted(97_917))]
fn hall_say((mut hall, says, mut effects, now): Busy) -> (ChatState, Vec<Effect>) {
    for say in black_box(says) {
        hall.receive(ConnectionId(1), say, now, &mut effects);
    }
    (hall, effects)
}

// ML-KEM encapsulation, X25519, and the proof with the credential's key.
#[library_benchmark]
#[bench::step(setup = hello, config = counted(3_426_903))]
fn server_accept((hello, own, mut rng): (Vec<u8>, OwnCredential, StdRng)) -> (OwnCredential, server::Proving, Vec<u8>) {
    let (proving, frames) = accept(&mut rng, black_box(&hello), &own);
    (own, proving, frames)
}

// RSA and Ed25519 verification of the user's credential and proof.
#[library_benchmark]
#[bench::step(setup = user_proves, config = counted(2_204_671))]
fn server_check_user((proving, proof): (server::Proving, Vec<u8>)) -> server::CheckedClient {
    check_user(proving, black_box(proof))
}

// OAEP encryption of the secret, and the channel's keys.
#[library_benchmark]
#[bench::step(setup = user_is_checked, config = counted(1_672_331))]
fn server_issue((checked, mut rng): (server::CheckedClient, StdRng)) -> (Established, Vec<u8>) {
    black_box(checked).issue(&mut rng)
}

library_benchmark_group!(name = records, benchmarks = [record_seal, records_seal, record_open]);
library_benchmark_group!(name = texts, benchmarks = [said_send, says_parse, hall_say, events_parse, said_read]);
library_benchmark_group!(name = newcomers, benchmarks = [server_accept, server_check_user, server_issue]);

main!(library_benchmark_groups = [records, texts, newcomers]);

fn rng() -> StdRng {
    StdRng::from_seed([7; 32])
}

fn server_identity() -> Identity {
    Identity::from_pem(include_str!("../tests/vectors/keys/server.pem"), None).expect("a key of the tests")
}

fn user() -> (Identity, OwnCredential) {
    let identity =
        Identity::from_pem(include_str!("../tests/vectors/keys/user_a.pem"), None).expect("a key of the tests");
    let own = OwnCredential::for_user(&mut rng(), &identity, "ira", NOW);
    (identity, own)
}

fn sealing(length: usize) -> (Sealer, Vec<u8>, Vec<u8>) {
    (established().1.sealer, vec![7; length], Vec::with_capacity(MAX_FRAME + PREFIX))
}

/// Lanes that have been used before.
fn sealing_side_by_side() -> (Vec<Sealer>, BatchSealer, Vec<u8>) {
    let (mut sealers, mut lanes, text) = (Vec::new(), BatchSealer::default(), vec![7; 4_096]);
    sealers.extend((0..BatchSealer::MAX_LANES).map(|_| established().1.sealer));
    seal_for_all(&mut sealers, &mut lanes, &text);
    (sealers, lanes, text)
}

fn seal_for_all(sealers: &mut [Sealer], lanes: &mut BatchSealer, text: &[u8]) {
    for sealer in sealers {
        lanes.add(sealer);
    }
    lanes.seal(text).for_each(|record| _ = black_box(record));
}

fn opening(length: usize) -> (Opener, Vec<u8>) {
    let (client, server) = established();
    let (mut sealer, mut record) = (server.sealer, Vec::new());
    sealer.seal(&vec![7; length], &mut record);
    (client.opener, record)
}

fn speaking() -> SendInput {
    let said = MessageBody { sent_at: NOW.0 * 1_000, kind: BodyKind::Text, text: "x".repeat(128) };
    let server = server_identity().public().fingerprint();
    let roster = RosterHash::new(server, ROOM, MEMBERS, [].iter());
    (said, OutboundSenderKey::new(&mut rng(), 0), user().1, (server, roster))
}

fn listening() -> OpenInput {
    let ((said, mut key, own, place), mut reading) = (speaking(), InboundSenderKey::from_the_first());
    reading.take(SenderKeyDistribution::parse(&key.shared(ROOM)).expect("a shared key")).expect("a new key");
    let envelope = send(&said, &mut key, &own, place);
    let checked = VerifiedCredential::check(own.presented(), Role::User, NOW, |_| true).expect("the credential holds");
    (envelope, checked.session_keys(), reading, place)
}

fn send(said: &MessageBody, key: &mut OutboundSenderKey, own: &OwnCredential, (server, roster): Place) -> Vec<u8> {
    key.seal(&said.pad()).sign(own, server, ROOM, roster)
}

/// What somebody says to the room, as the server has it: bytes.
fn say(n: u64) -> ToServer {
    let (said, mut key, own, place) = speaking();
    let envelope = send(&said, &mut key, &own, place);
    ToServer::Numbered { n, body: Numbered::Say { room: RoomName::lobby(), change: MEMBERS, envelope } }
}

/// A record's text; one like it has been parsed before.
fn says() -> Vec<u8> {
    let text: Vec<u8> = (1..).take(TOGETHER).flat_map(|n| say(n).encode()).collect();
    parse_says(&text);
    text
}

fn parse_says(text: &[u8]) -> Vec<ToServer> {
    ToServer::parse_all(text).expect("messages")
}

/// The same, as the hall has encoded what follows from it.
fn events() -> Vec<u8> {
    let (mut hall, says, mut effects, now) = busy_room();
    for say in says {
        hall.receive(ConnectionId(1), say, now, &mut effects);
    }
    let posted = |effect| if let Effect::Post(_, entry) = effect { Some(entry.bytes) } else { None };
    let text: Vec<u8> = effects.into_iter().filter_map(posted).flat_map(|bytes| bytes.to_vec()).collect();
    assert_eq!(parse_events(&text).len(), TOGETHER);
    text
}

fn parse_events(text: &[u8]) -> Vec<ToClient> {
    ToClient::parse_all(text).expect("messages")
}

/// A room of so many members, the first of whom has said something, and is about to go on.
fn busy_room() -> Busy {
    let (mut hall, now) = (ChatState::new(Limits::off()), Now { at: NOW.0 * 1_000, tick: Instant::now() });
    let join = || ToServer::Join { room: RoomName::lobby(), password: String::new(), cursor: 0 };
    let mut effects = Vec::with_capacity(16 * TOGETHER);
    for number in 1..=MEMBERS {
        let mut bytes = [7; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        let name = Name::parse(&format!("member{number:03}")).expect("a name");
        let user = User { name, owner: bytes, session: SessionId(bytes), spki: [7; 294].into() };
        let (credential, signature) = ([7; 220].into(), [7; 384].into());
        let newcomer = AuthenticatedUser { conn: ConnectionId(number), user, credential, signature, address: None };
        assert_eq!(hall.arrive(newcomer, &JoinAttempt::first(join()), now, &mut effects), JoinOutcome::Admitted);
        effects.clear();
    }
    let mut says = (1..).take(2 * TOGETHER).map(say);
    says.by_ref().take(TOGETHER).for_each(|say| hall.receive(ConnectionId(1), say, now, &mut effects));
    effects.clear();
    (hall, says.collect(), effects, now)
}

/// The handshake up to each of the server's steps.
fn hello() -> (Vec<u8>, OwnCredential, StdRng) {
    let (_, hello, own) = started();
    (hello, own, rng())
}

fn started() -> (client::Start, Vec<u8>, OwnCredential) {
    let (start, hello) = client::Start::new(&mut rng());
    (start, body(&hello), OwnCredential::for_server(&mut rng(), &server_identity(), NOW))
}

fn accept(rng: &mut StdRng, hello: &[u8], own: &OwnCredential) -> (server::Proving, Vec<u8>) {
    server::accept(rng, hello, own).expect("the client's keys are taken")
}

fn proved() -> (client::Proved, server::Proving, Vec<u8>) {
    let (start, hello, own) = started();
    let (proving, frames) = accept(&mut rng(), &hello, &own);
    let mut deframer = Deframer::new(MAX_FRAME);
    deframer.feed(&frames);
    let mut next = || deframer.next_frame().expect("lengths that are taken").expect("two frames").to_vec();
    let keyed = start.agree(&next()).expect("the server's keys are taken");
    let checked = keyed.check_server(&mut next(), NOW).expect("the server's proof holds");
    let (proved, proof) = checked.prove(&user().1);
    (proved, proving, body(&proof))
}

fn user_proves() -> (server::Proving, Vec<u8>) {
    let (_, proving, proof) = proved();
    (proving, proof)
}

fn check_user(proving: server::Proving, mut proof: Vec<u8>) -> server::CheckedClient {
    proving.check_user(&mut proof, NOW, |_| true).expect("the user's proof holds")
}

fn user_is_checked() -> (server::CheckedClient, StdRng) {
    let (proving, proof) = user_proves();
    (check_user(proving, proof), rng())
}

/// Both ends of a channel: the client's, the server's.
fn established() -> (Established, Established) {
    let (proved, proving, proof) = proved();
    let (server, secret) = check_user(proving, proof).issue(&mut rng());
    let client = proved.establish(&mut rng(), &mut body(&secret), &user().0).expect("the secret opens");
    (client, server)
}

/// A frame's body.
fn body(frame: &[u8]) -> Vec<u8> {
    frame[PREFIX..].to_vec()
}
