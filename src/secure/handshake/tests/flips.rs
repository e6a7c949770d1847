//! Every byte of every message, flipped: on the path, and by the other end.

use super::*;
use crate::secure::credential::CredentialBundle;
use crate::secure::vectors::{IRA, repeatable};

#[test]
fn a_flipped_first_frame_is_refused_or_nothing_opens_after_it() {
    const VERSION: usize = 4;
    const SHARE: usize = 8;
    let whole = message(1);
    let (mut refused, mut mismatched) = (0, 0);
    for at in 0..whole.len() {
        match accept(&flipped(&whole, at)) {
            Err(refusal) => {
                let code = if at == VERSION { RefusalCode::Version } else { RefusalCode::Malformed };
                assert_eq!(refusal.code, code, "byte {at}");
                assert_eq!(only_body(&refusal.farewell.unwrap()), code.message());
                refused += 1;
            }
            // A share like any other: but the two ends have different transcripts.
            Ok((_, frames)) => {
                assert!(at >= SHARE, "byte {at}");
                let [second, mut third] = bodies(&frames).try_into().unwrap();
                let keyed = start().0.agree(&second).unwrap();
                assert_eq!(
                    keyed.check_server(&mut third, now()).err(),
                    Some(ClientHandshakeError::Unopened),
                    "byte {at}"
                );
                mismatched += 1;
            }
        }
    }
    assert!(refused > SHARE && mismatched > 32, "{refused}, {mismatched}");
}

#[test]
fn a_flipped_second_frame_is_refused_or_nothing_opens_after_it() {
    const SHARE: usize = 6;
    let whole = message(2);
    for at in 0..whole.len() {
        match start().0.agree(&flipped(&whole, at)) {
            Err(failed) => {
                assert_eq!(failed, ClientHandshakeError::Malformed, "byte {at}");
                assert!(at < SHARE, "byte {at}");
            }
            Ok(keyed) => {
                assert!(at >= SHARE, "byte {at}");
                assert_eq!(
                    keyed.check_server(&mut body(3), now()).err(),
                    Some(ClientHandshakeError::Unopened),
                    "byte {at}"
                );
            }
        }
    }
}

#[test]
fn a_flipped_third_frame_does_not_open() {
    let whole = body(3);
    for at in 0..whole.len() {
        let failed = keyed().check_server(&mut flipped(&whole, at), now()).err();
        assert_eq!(failed, Some(ClientHandshakeError::Unopened), "byte {at}");
    }
}

#[test]
fn a_flipped_fourth_frame_does_not_open_and_is_not_answered() {
    let whole = body(4);
    for at in 0..whole.len() {
        let refused = proving().check_user(&mut flipped(&whole, at), now(), is_ira).err().unwrap();
        assert_eq!((refused.code, refused.farewell), (RefusalCode::Malformed, None), "byte {at}");
    }
}

#[test]
fn a_flipped_fifth_frame_does_not_open() {
    let whole = body(5);
    for at in 0..whole.len() {
        let failed = proved().establish(&mut repeatable(), &mut flipped(&whole, at), &IRA).err();
        assert_eq!(failed, Some(ClientHandshakeError::Unopened), "byte {at}");
    }
}

/// Refusal of a third or fourth message with the byte at `at` flipped before it was sealed.
fn reason(message: &[u8], at: usize, presented: CredentialBundle<'_>, name: &str) -> RefusalCode {
    let start = |part: &[u8]| message.windows(part.len()).position(|window| window == part).expect("it is in there");
    let within = |part: &[u8]| (start(part)..start(part) + part.len()).contains(&at);
    let credential = start(presented.credential);
    let expires = credential + presented.credential.len() - 4;
    // The name stands behind its head, the role before it.
    let name_at = credential + 1 + 22 + if name.is_empty() { 7 } else { 5 } + 1;
    if (name_at..name_at + name.len()).contains(&at) {
        RefusalCode::Name
    } else if (expires..expires + 4).contains(&at) {
        let bytes: [u8; 4] = flipped_low(message, at)[expires..expires + 4].try_into().unwrap();
        let day = 24 * 60 * 60;
        let holds = now().0 - day..=now().0 + 8 * day;
        if holds.contains(&u32::from_be_bytes(bytes).into()) { RefusalCode::Credential } else { RefusalCode::Clock }
    } else if [presented.spki, presented.credential, presented.signature].into_iter().any(within)
        || at >= message.len() - 64
    {
        RefusalCode::Credential
    } else {
        RefusalCode::Malformed
    }
}

#[test]
fn a_server_that_flips_a_byte_of_what_it_proves_is_refused_for_that() {
    let whole = message(3);
    let mut seen = Vec::new();
    for at in 0..whole.len() {
        let reason = reason(&whole, at, SERVER_CREDENTIAL.presented(), "");
        let expected = match reason {
            RefusalCode::Credential => ClientHandshakeError::Server(CredentialError::Credential),
            RefusalCode::Clock => ClientHandshakeError::Server(CredentialError::Clock),
            RefusalCode::Malformed => ClientHandshakeError::Malformed,
            other => panic!("a server has no {other}"),
        };
        let mut bent = sealed_by("server", &[&flipped_low(&whole, at)]);
        assert_eq!(keyed().check_server(&mut bent, now()).err(), Some(expected), "byte {at}");
        seen.push(reason);
    }
    for code in [RefusalCode::Malformed, RefusalCode::Credential, RefusalCode::Clock] {
        assert!(seen.contains(&code), "{code}");
    }
}

#[test]
fn a_client_that_flips_a_byte_of_what_it_proves_is_told_why_it_is_refused() {
    let whole = message(4);
    let mut seen = Vec::new();
    for at in 0..whole.len() {
        let code = reason(&whole, at, USER_CREDENTIAL.presented(), "Ira");
        let mut bent = sealed_by("client", &[&flipped_low(&whole, at)]);
        let refused = proving().check_user(&mut bent, now(), is_ira).err().unwrap();
        assert_eq!(refused.code, code, "byte {at}");
        assert_eq!(after_the_third(&refused.farewell.unwrap()), code.message());
        seen.push(code);
    }
    for code in [RefusalCode::Malformed, RefusalCode::Credential, RefusalCode::Clock, RefusalCode::Name] {
        assert!(seen.contains(&code), "{code}");
    }
}

#[test]
fn a_server_that_flips_a_byte_of_the_secret_cannot_be_read() {
    const CIPHERTEXT: usize = 5;
    let (whole, third) = (message(5), message(3));
    let first_record = bytes(&FROZEN["handshake"]["first_application_records"]["server"]["sealed"]);
    for at in 0..whole.len() {
        let mut bent = sealed_by("server", &[&third, &flipped_low(&whole, at)]);
        match proved().establish(&mut repeatable(), &mut bent, &IRA) {
            Err(failed) => {
                assert_eq!(failed, ClientHandshakeError::Malformed, "byte {at}");
                assert!(at < CIPHERTEXT, "byte {at}");
            }
            // Opened or not is undetectable; the keys differ.
            Ok(mut established) => {
                assert!(at >= CIPHERTEXT, "byte {at}");
                assert!(established.opener.open(&mut first_record.clone()).is_err(), "byte {at}");
            }
        }
    }
}
