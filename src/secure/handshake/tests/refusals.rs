//! Refusals: at which message, with which word, and in which form.

use proptest::prelude::*;

use super::*;
use crate::secure::credential::{CredentialBundle, LIFETIME};
use crate::secure::handshake::messages::{self, Prover};
use crate::secure::keys::{Transcript, TranscriptHash};
use crate::secure::vectors::{IRA, cases, repeatable, text};
use crate::wire::codec::Writer;

/// Every word there is, in the order of the frozen ones.
pub(super) const CODES: [RefusalCode; 7] = [
    RefusalCode::Version,
    RefusalCode::Malformed,
    RefusalCode::Credential,
    RefusalCode::Clock,
    RefusalCode::Name,
    RefusalCode::Refused,
    RefusalCode::Busy,
];

/// Returns the server's refusal of a first message, if it is in the clear.
fn refusal_of_hello(hello: &[u8]) -> Option<RefusalCode> {
    let refused = accept(hello).err()?;
    let farewell = refused.farewell.expect("before the second frame a refusal is always said");
    assert_eq!(only_body(&farewell), refused.code.message());
    Some(refused.code)
}

/// PROTOCOL.md 4-2.
#[test]
fn the_one_version_is_found_among_others_of_any_shape() {
    let (share, offers) = (share(1), |count| Writer::new().array(2).uint(1).array(count));
    let others: [Writer; 4] = [
        offers(2).array(2).uint(2).text("anything"),
        offers(2).array(2).uint(0).bytes(&[0; 7]),
        offers(2).array(2).uint(u64::MAX).array(2).uint(1).array(0),
        // With the three around it, eight arrays in one another.
        offers(2).array(2).uint(2).array(1).array(1).array(1).array(1).array(0),
    ];
    for (n, other) in others.into_iter().enumerate() {
        assert_eq!(refusal_of_hello(&other.array(2).uint(1).bytes(&share).finish()), None, "{n}");
    }
    let first = offers(2).array(2).uint(1).bytes(&share).array(2).uint(2).uint(7).finish();
    assert_eq!(refusal_of_hello(&first), None);
}

/// PROTOCOL.md 2-10, 4-7.
#[test]
fn a_first_message_without_our_version_or_of_another_shape_is_refused_in_the_clear() {
    use RefusalCode::{Malformed, Version};
    let share = share(1);
    let long = [&share[..], &[0]].concat();
    let begin = |kind, count| Writer::new().array(2).uint(kind).array(count);
    let table = [
        ("no version", begin(1, 0).finish(), Version),
        ("only a later one", begin(1, 1).array(2).uint(2).bytes(&share).finish(), Version),
        ("only others", begin(1, 2).array(2).uint(2).uint(0).array(2).uint(3).text("").finish(), Version),
        ("nothing", Vec::new(), Malformed),
        ("a stray client", b"GET / HTTP/1.1\r\n\r\n".to_vec(), Malformed),
        ("another type", begin(2, 1).array(2).uint(1).bytes(&share).finish(), Malformed),
        ("no list", Writer::new().array(2).uint(1).uint(1).finish(), Malformed),
        ("one field", Writer::new().array(1).uint(1).finish(), Malformed),
        ("a third field", Writer::new().array(3).uint(1).array(0).uint(0).finish(), Malformed),
        ("a byte behind", [message(1), vec![0]].concat(), Malformed),
        ("cut off", message(1).split_last().unwrap().1.to_vec(), Malformed),
        ("a version alone", begin(1, 1).array(1).uint(1).finish(), Malformed),
        ("three in a pair", begin(1, 1).array(3).uint(1).bytes(&share).uint(0).finish(), Malformed),
        ("a version in words", begin(1, 1).array(2).text("1").bytes(&share).finish(), Malformed),
        ("a share in words", begin(1, 1).array(2).uint(1).text("share").finish(), Malformed),
        ("a short share", begin(1, 1).array(2).uint(1).bytes(&share[1..]).finish(), Malformed),
        ("a long share", begin(1, 1).array(2).uint(1).bytes(&long).finish(), Malformed),
        ("ours twice", begin(1, 2).array(2).uint(1).bytes(&share).array(2).uint(1).bytes(&share).finish(), Malformed),
        ("another twice", begin(1, 2).array(2).uint(2).uint(0).array(2).uint(2).uint(0).finish(), Malformed),
        (
            "nine arrays in one another",
            begin(1, 1).array(2).uint(2).array(1).array(1).array(1).array(1).array(1).array(0).finish(),
            Malformed,
        ),
    ];
    for (what, hello, code) in table {
        assert_eq!(refusal_of_hello(&hello), Some(code), "{what}");
    }
}

/// The share of the frozen message 1 or 2, which ends it.
fn share(n: usize) -> Vec<u8> {
    let head = if n == 1 { 8 } else { 6 };
    message(n).split_off(head)
}

/// PROTOCOL.md 4-3.
#[test]
fn an_answer_that_is_not_to_our_offer_is_malformed() {
    let share = share(2);
    let long = [&share[..], &[0]].concat();
    let begin = |count, kind, version| Writer::new().array(count).uint(kind).uint(version);
    assert!(start().0.agree(&begin(3, 2, 1).bytes(&share).finish()).is_ok());
    let table = [
        ("nothing", Vec::new()),
        ("a version not offered", begin(3, 2, 2).bytes(&share).finish()),
        ("version 0", begin(3, 2, 0).bytes(&share).finish()),
        ("another type", begin(3, 3, 1).bytes(&share).finish()),
        ("a short share", begin(3, 2, 1).bytes(&share[1..]).finish()),
        ("a long share", begin(3, 2, 1).bytes(&long).finish()),
        ("a fourth field", begin(4, 2, 1).bytes(&share).uint(0).finish()),
        ("a byte behind", [message(2), vec![0]].concat()),
        ("our own message sent back", message(1)),
        ("a refusal in no known word", Writer::new().array(2).uint(15).text("tired").finish()),
        ("a refusal without a word", Writer::new().array(1).uint(15).finish()),
        ("a refusal with more than a word", Writer::new().array(3).uint(15).text("busy").uint(0).finish()),
        ("a refusal and a byte", [RefusalCode::Busy.message(), vec![0]].concat()),
    ];
    for (what, answer) in table {
        assert_eq!(start().0.agree(&answer).err(), Some(ClientHandshakeError::Malformed), "{what}");
    }
}

/// PROTOCOL.md 4-12.
#[test]
fn a_refusal_in_the_clear_is_told_from_a_sealed_one() {
    for code in CODES {
        let bare = server::refused_bare(code);
        assert_eq!(bare.code, code);
        let bare = only_body(&bare.farewell.unwrap());
        assert_eq!(start().0.agree(&bare).err(), Some(ClientHandshakeError::RefusedBare(code)));

        let mut third = sealed_by("server", &[&code.message()]);
        assert_eq!(keyed().check_server(&mut third, now()).err(), Some(ClientHandshakeError::Refused(code)));
        let refused = proving().refuse(code);
        assert_eq!(refused.code, code);
        let mut fifth = only_body(&refused.farewell.unwrap());
        assert_eq!(
            proved().establish(&mut repeatable(), &mut fifth, &IRA).err(),
            Some(ClientHandshakeError::Refused(code))
        );
    }
}

#[test]
fn a_bare_refusal_where_a_record_is_due_does_not_open() {
    for code in CODES {
        assert_eq!(keyed().check_server(&mut code.message(), now()).err(), Some(ClientHandshakeError::Unopened));
        let failed = proved().establish(&mut repeatable(), &mut code.message(), &IRA).err();
        assert_eq!(failed, Some(ClientHandshakeError::Unopened));
    }
}

#[test]
fn a_record_in_anothers_place_does_not_open() {
    for n in [1, 2, 4, 5] {
        assert_eq!(keyed().check_server(&mut body(n), now()).err(), Some(ClientHandshakeError::Unopened), "{n} for 3");
    }
    for n in [1, 2, 3, 5] {
        let refused = proving().check_user(&mut body(n), now(), is_ira).err().unwrap();
        assert_eq!((refused.code, refused.farewell), (RefusalCode::Malformed, None), "{n} for 4");
    }
    for n in [1, 2, 3, 4] {
        let failed = proved().establish(&mut repeatable(), &mut body(n), &IRA).err();
        assert_eq!(failed, Some(ClientHandshakeError::Unopened), "{n} for 5");
    }
}

#[test]
fn a_sealed_message_of_another_kind_or_shape_is_malformed() {
    let kinds = [vec![], b"text".to_vec(), vec![0x80], Writer::new().array(2).uint(15).text("tired").finish()];
    let more = |n: usize| [vec![message(n)[0] + 1], message(n)[1..].to_vec(), vec![0]].concat();
    let behind = |n: usize| [message(n), vec![0]].concat();
    let (third, fifth) = (message(3), message(5));
    for text in kinds.iter().chain(&[message(1), message(4), message(5), more(3), behind(3)]) {
        let mut sealed = sealed_by("server", &[text]);
        assert_eq!(
            keyed().check_server(&mut sealed, now()).err(),
            Some(ClientHandshakeError::Malformed),
            "{text:02x?} for 3"
        );
    }
    for text in kinds.iter().chain(&[message(1), message(3), message(5), more(4), behind(4)]) {
        let refused = proving().check_user(&mut sealed_by("client", &[text]), now(), is_ira).err().unwrap();
        assert_eq!(refused.code, RefusalCode::Malformed, "{text:02x?} for 4");
        assert_eq!(after_the_third(&refused.farewell.unwrap()), RefusalCode::Malformed.message());
    }
    for text in kinds.iter().chain(&[message(1), third.clone(), message(4), more(5), behind(5)]) {
        let mut sealed = sealed_by("server", &[&third, text]);
        let failed = proved().establish(&mut repeatable(), &mut sealed, &IRA).err();
        assert_eq!(failed, Some(ClientHandshakeError::Malformed), "{text:02x?} for 5");
    }
    let mut sealed = sealed_by("server", &[&third, &fifth]);
    assert!(proved().establish(&mut repeatable(), &mut sealed, &IRA).is_ok());
}

/// th(n) of the frozen handshake.
fn th(n: usize) -> TranscriptHash {
    let mut transcript = Transcript::default();
    (1..=n).for_each(|n| transcript.push(&message(n)));
    transcript.hash()
}

/// Proofs that do not hold over `presented`, where `prover` must sign th(n).
fn wrong_proofs(prover: Prover, presented: CredentialBundle<'_>, n: usize) -> Vec<(&'static str, Vec<u8>)> {
    let (own, others) = match prover {
        Prover::Server => (&*SERVER_CREDENTIAL, &*USER_CREDENTIAL),
        Prover::Client => (&*USER_CREDENTIAL, &*SERVER_CREDENTIAL),
    };
    let other = if prover == Prover::Server { Prover::Client } else { Prover::Server };
    let input = messages::proof_input(prover, th(n), presented);
    let good = own.sign(&input);
    let bent_signature = flipped(presented.signature, 0);
    let elsewhere = CredentialBundle { signature: &bent_signature, ..presented };
    vec![
        ("another key's", others.sign(&input).to_vec()),
        ("over another handshake", own.sign(&messages::proof_input(prover, th(1), presented)).to_vec()),
        ("under the other end's label", own.sign(&messages::proof_input(other, th(n), presented)).to_vec()),
        ("over another signature", own.sign(&messages::proof_input(prover, th(n), elsewhere)).to_vec()),
        ("over nothing", own.sign(b"").to_vec()),
        ("none", Vec::new()),
        ("a short one", good[..63].to_vec()),
        ("a long one", [&good[..], &[0]].concat()),
        ("zero", vec![0; 64]),
    ]
}

/// Message 3 or 4 with any bytes for its proof.
fn proving_message(kind: u64, presented: CredentialBundle<'_>, proof: &[u8]) -> Vec<u8> {
    Writer::new()
        .array(5)
        .uint(kind)
        .bytes(presented.spki)
        .bytes(presented.credential)
        .bytes(presented.signature)
        .bytes(proof)
        .finish()
}

/// PROTOCOL.md 4-4.
#[test]
fn a_server_whose_proof_does_not_hold_is_refused() {
    let presented = SERVER_CREDENTIAL.presented();
    for (what, proof) in wrong_proofs(Prover::Server, presented, 2) {
        let mut third = sealed_by("server", &[&proving_message(3, presented, &proof)]);
        let expected = Some(ClientHandshakeError::Server(CredentialError::Credential));
        assert_eq!(keyed().check_server(&mut third, now()).err(), expected, "{what}");
    }
}

/// PROTOCOL.md 4-5.
#[test]
fn a_user_whose_proof_does_not_hold_is_refused() {
    let presented = USER_CREDENTIAL.presented();
    for (what, proof) in wrong_proofs(Prover::Client, presented, 3) {
        let mut fourth = sealed_by("client", &[&proving_message(4, presented, &proof)]);
        let refused = proving().check_user(&mut fourth, now(), is_ira).err().unwrap();
        assert_eq!(refused.code, RefusalCode::Credential, "{what}");
        assert_eq!(after_the_third(&refused.farewell.unwrap()), RefusalCode::Credential.message());
    }
}

#[test]
fn a_user_is_no_server_and_a_server_no_user() {
    let user = USER_CREDENTIAL.presented();
    let proof = USER_CREDENTIAL.sign(&messages::proof_input(Prover::Server, th(2), user));
    let mut third = sealed_by("server", &[&proving_message(3, user, &proof)]);
    let failed = keyed().check_server(&mut third, now()).err();
    assert_eq!(failed, Some(ClientHandshakeError::Server(CredentialError::Credential)));

    let server = SERVER_CREDENTIAL.presented();
    let proof = SERVER_CREDENTIAL.sign(&messages::proof_input(Prover::Client, th(3), server));
    let mut fourth = sealed_by("client", &[&proving_message(4, server, &proof)]);
    let refused = proving().check_user(&mut fourth, now(), |_| true).err().unwrap();
    assert_eq!(refused.code, RefusalCode::Credential);
}

/// PROTOCOL.md 2.1-6.
#[test]
fn a_user_is_refused_with_the_frozen_word_for_a_frozen_bad_credential() {
    // The whole rule for names is not this room's; what the frozen names break is in this much of it.
    let name_holds = |name: &str| (1..=32).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic());
    for case in cases(&FROZEN["refused_user_credentials"]) {
        let (spki, credential, signature) =
            (bytes(&case["spki"]), bytes(&case["credential"]), bytes(&case["signature"]));
        let presented = CredentialBundle { spki: &spki, credential: &credential, signature: &signature };
        let proof = USER_CREDENTIAL.sign(&messages::proof_input(Prover::Client, th(3), presented));
        let mut fourth = sealed_by("client", &[&proving_message(4, presented, &proof)]);
        let refused = proving().check_user(&mut fourth, now(), name_holds).err().unwrap();
        assert_eq!(refused.code.word(), text(&case["code"]), "{}", case["why"]);
        assert_eq!(after_the_third(&refused.farewell.unwrap()), refused.code.message());
    }
}

#[test]
fn each_end_looks_at_its_own_clock() {
    let day = 24 * 60 * 60;
    let (first, last) = (now().0 + LIFETIME - 8 * day, now().0 + LIFETIME + day);
    for (time, holds) in [(first - 1, false), (first, true), (last, true), (last + 1, false)] {
        let time = UnixSeconds(time);
        let failed = keyed().check_server(&mut body(3), time).err();
        assert_eq!(failed, (!holds).then_some(ClientHandshakeError::Server(CredentialError::Clock)), "{time:?}");
        let refused = proving().check_user(&mut body(4), time, is_ira).err().map(|refused| refused.code);
        assert_eq!(refused, (!holds).then_some(RefusalCode::Clock), "{time:?}");
    }
}

#[test]
fn a_name_that_the_server_does_not_take_is_refused_as_such() {
    let refused = proving().check_user(&mut body(4), now(), |_| false).err().unwrap();
    assert_eq!(refused.code, RefusalCode::Name);
    assert_eq!(after_the_third(&refused.farewell.unwrap()), RefusalCode::Name.message());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_bytes_make_either_end_panic_or_go_on(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(accept(&bytes).is_err());
        prop_assert!(start().0.agree(&bytes).is_err());
        prop_assert!(keyed().check_server(&mut sealed_by("server", &[&bytes]), now()).is_err());
        prop_assert!(proving().check_user(&mut sealed_by("client", &[&bytes]), now(), |_| true).is_err());
        let mut fifth = sealed_by("server", &[&message(3), &bytes]);
        prop_assert!(proved().establish(&mut repeatable(), &mut fifth, &IRA).is_err());
    }
}
