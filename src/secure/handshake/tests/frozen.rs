//! The frozen handshake, which two Python ends had with each other: either of ours gives the same bytes.

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::secure::handshake::messages::{self, Prover, SECRET_LABEL};
use crate::secure::keys::Transcript;
use crate::secure::vectors::{IRA, OAEP_SEED, SERVER, cases, repeatable, text};

fn frame(n: usize) -> Vec<u8> {
    bytes(&FROZEN["handshake"]["frames_on_the_wire"][n.to_string()])
}

/// Seals the frozen first record of one end and opens that of the other.
fn exchange_first_records(mut established: Established, ours: &str, theirs: &str) {
    let records = &FROZEN["handshake"]["first_application_records"];
    let mut sealed = Vec::new();
    established.sealer.seal(&bytes(&records[ours]["text"]), &mut sealed);
    assert_eq!(sealed, bytes(&records[ours]["frame"]));
    let mut body = only_body(&bytes(&records[theirs]["frame"]));
    assert_eq!(body, bytes(&records[theirs]["sealed"]));
    assert_eq!(established.opener.open(&mut body).unwrap(), bytes(&records[theirs]["text"]));
}

#[test]
fn our_client_sends_the_frozen_frames_and_opens_the_servers() {
    let (start, first) = start();
    assert_eq!(first, frame(1));
    assert_eq!(only_body(&first), message(1));
    let checked = start.agree(&body(2)).unwrap().check_server(&mut body(3), now()).unwrap();
    assert_eq!(checked.server().credential().fingerprint(), SERVER.public().fingerprint());
    assert_eq!(checked.server().credential().name(), "");
    let (proved, fourth) = checked.prove(&USER_CREDENTIAL);
    assert_eq!(fourth, frame(4));
    let established = proved.establish(&mut repeatable(), &mut body(5), &IRA).unwrap();
    assert_eq!(established.peer.credential().fingerprint(), SERVER.public().fingerprint());
    exchange_first_records(established, "client", "server");
}

#[test]
fn our_server_sends_the_frozen_frames_and_opens_the_clients() {
    let (proving, second_and_third) = accept(&body(1)).unwrap();
    assert_eq!(second_and_third, [frame(2), frame(3)].concat());
    let checked = proving.check_user(&mut body(4), now(), is_ira).unwrap();
    assert_eq!(checked.user().credential().name(), "Ira");
    assert_eq!(checked.user().credential().session(), array(&FROZEN["credentials"]["Ira"]["session"]));
    let secret = bytes(&FROZEN["handshake"]["s"]);
    let (established, fifth) = checked.issue(&mut Script::new(&[&secret, &hex(OAEP_SEED)]));
    assert_eq!(fifth, frame(5));
    assert_eq!(established.peer.credential().fingerprint(), IRA.public().fingerprint());
    exchange_first_records(established, "server", "client");
}

#[test]
fn records_are_frames_without_their_length_and_open_to_the_frozen_messages() {
    let chain = |side: &str| Opener::new(Chain::from_bytes(array(&FROZEN["handshake"]["handshake_chains"][side])));
    let (mut of_client, mut of_server) = (chain("client"), chain("server"));
    for n in [3, 4, 5] {
        let opener = if n == 4 { &mut of_client } else { &mut of_server };
        let mut record = bytes(&FROZEN["handshake"]["sealed_records"][n.to_string()]);
        assert_eq!(record, body(n));
        assert_eq!(opener.open(&mut record).unwrap(), message(n));
    }
}

#[test]
fn proofs_are_over_the_frozen_inputs_and_in_the_frozen_messages() {
    let frozen = &FROZEN["handshake"];
    let mut transcript = Transcript::default();
    transcript.push(&message(1));
    transcript.push(&message(2));
    let ends = [
        (Prover::Server, &*SERVER_CREDENTIAL, 3, "server_proof"),
        (Prover::Client, &*USER_CREDENTIAL, 4, "client_proof"),
    ];
    for (prover, own, n, name) in ends {
        let input = messages::proof_input(prover, transcript.hash(), own.presented());
        assert_eq!(input, bytes(&frozen[format!("{name}_input")]), "{name}");
        let signed = own.sign(&input);
        assert_eq!(signed, array(&frozen[name]), "{name}");
        assert_eq!(messages::proof(prover, own.presented(), &signed), message(n));
        transcript.push(&message(n));
    }
}

#[test]
fn the_fifth_message_holds_the_frozen_ciphertext_of_the_secret() {
    let (whole, frozen) = (message(5), &FROZEN["handshake"]);
    let encrypted = messages::parse_secret(&whole).unwrap();
    assert_eq!(encrypted, bytes(&frozen["oaep_ciphertext"]));
    assert_eq!(messages::secret(encrypted), whole);
    assert_eq!(*IRA.decrypt(&mut repeatable(), SECRET_LABEL, encrypted), array(&frozen["s"]));
}

#[test]
fn the_words_of_a_refusal_are_the_frozen_ones() {
    let all = cases(&FROZEN["refusals"]);
    for (case, code) in all.iter().zip(refusals::CODES) {
        assert_eq!(code.word(), text(&case["code"]));
        assert_eq!(code.message(), bytes(&case["encoding"]));
        assert_eq!(messages::refusal(&bytes(&case["encoding"])), Some(code));
    }
    assert_eq!(all.len(), refusals::CODES.len());
}

/// A whole handshake, with randomness of its own.
fn live(seed: u8) -> (Established, Established) {
    let mut rng = StdRng::from_seed([seed; 32]);
    let (start, first) = client::Start::new(&mut rng);
    let (proving, frames) = server::accept(&mut rng, &only_body(&first), &SERVER_CREDENTIAL).unwrap();
    let [second, mut third] = bodies(&frames).try_into().unwrap();
    let checked = start.agree(&second).unwrap().check_server(&mut third, now()).unwrap();
    let (proved, fourth) = checked.prove(&USER_CREDENTIAL);
    let checked = proving.check_user(&mut only_body(&fourth), now(), is_ira).unwrap();
    let (server, fifth) = checked.issue(&mut rng);
    (proved.establish(&mut rng, &mut only_body(&fifth), &IRA).unwrap(), server)
}

fn sealed(sealer: &mut Sealer, text: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    sealer.seal(text, &mut frame);
    only_body(&frame)
}

#[test]
fn two_live_ends_read_each_other_and_no_other_handshakes_records() {
    let (mut client, mut server) = live(1);
    for text in ["first", "second"].map(str::as_bytes) {
        assert_eq!(server.opener.open(&mut sealed(&mut client.sealer, text)).unwrap(), text);
        assert_eq!(client.opener.open(&mut sealed(&mut server.sealer, text)).unwrap(), text);
    }
    let (mut other_client, mut other_server) = live(2);
    assert!(server.opener.open(&mut sealed(&mut other_client.sealer, b"text")).is_err());
    assert!(client.opener.open(&mut sealed(&mut other_server.sealer, b"text")).is_err());
}

#[test]
fn the_two_directions_have_different_keys() {
    let (mut client, mut server) = live(3);
    let (of_client, of_server) = (sealed(&mut client.sealer, b"text"), sealed(&mut server.sealer, b"text"));
    assert_ne!(of_client, of_server);
    assert!(client.opener.open(&mut of_client.clone()).is_err(), "sent back to who sealed it");
    assert!(server.opener.open(&mut of_server.clone()).is_err(), "sent back to who sealed it");
}
