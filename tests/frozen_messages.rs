//! The encoding and the messages against `tests/vectors/frozen.json`, which the Python implementation in
//! `tests/interop` made; what the handshake and the keys have in it is checked beside them, in `src/secure`.

use std::sync::LazyLock;

use cfb_chat::chat::SessionNumber;
use cfb_chat::chat::message::{
    ByeReason, ErrorCode, Event, LeftReason, MessageError, Numbered, Person, ServerMessageError, ToClient, ToServer,
    Welcome,
};
use cfb_chat::chat::name::{Name, RoomName};
use cfb_chat::secure::credential::{CredentialBundle, CredentialError, Role, UnixSeconds, VerifiedCredential};
use cfb_chat::secure::handshake::{ClientHandshakeError, RefusalCode, client};
use cfb_chat::wire::codec::{DecodeError, Reader, Writer};
use serde_json::Value;

static FROZEN: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("vectors/frozen.json")).expect("the frozen values are JSON"));

/// Frozen cases, of which there is at least one.
fn cases(value: &Value) -> &[Value] {
    let cases = value.as_array().expect("an array stands here");
    assert!(!cases.is_empty());
    cases
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text stands here")
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number stands here")
}

fn hex(value: &Value) -> Vec<u8> {
    let digits = text(value);
    assert!(digits.len().is_multiple_of(2), "whole bytes: {digits}");
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal")).collect()
}

/// A value of the encoding as the file writes it: `{"hex": …}` is a byte string.
fn write(writer: Writer, value: &Value) -> Writer {
    match value {
        Value::Number(_) => writer.uint(number(value)),
        Value::String(text) => writer.text(text),
        Value::Object(_) => writer.bytes(&hex(&value["hex"])),
        Value::Array(all) => all.iter().fold(writer.array(all.len()), write),
        other => panic!("{other} is no value of the encoding"),
    }
}

fn reads_as(reader: &mut Reader<'_>, value: &Value) -> Result<(), DecodeError> {
    match value {
        Value::Number(_) => assert_eq!(reader.uint()?, number(value)),
        Value::String(text) => assert_eq!(reader.text()?, text),
        Value::Object(_) => assert_eq!(reader.bytes()?, hex(&value["hex"])),
        Value::Array(all) => {
            assert_eq!(reader.array()?, all.len());
            all.iter().try_for_each(|value| reads_as(reader, value))?;
        }
        other => panic!("{other} is no value of the encoding"),
    }
    Ok(())
}

/// One value of any kind, and nothing behind it.
fn is_one_value(bytes: &[u8]) -> Result<(), DecodeError> {
    let mut reader = Reader::new(bytes);
    reader.value()?;
    reader.end()
}

#[test]
fn values_have_the_frozen_encoding_and_no_other() {
    for case in cases(&FROZEN["encodings"]) {
        let (value, encoding) = (&case["value"], hex(&case["encoding"]));
        assert_eq!(write(Writer::new(), value).finish(), encoding, "{value}");
        let mut reader = Reader::new(&encoding);
        assert_eq!(reads_as(&mut reader, value).and_then(|()| reader.end()), Ok(()), "{value}");
        assert_eq!(Reader::new(&encoding).value(), Ok(&encoding[..]), "{value}");
        assert_eq!(is_one_value(&[&encoding[..], &[0]].concat()), Err(DecodeError), "{value}, and a byte");
        for length in 0..encoding.len() {
            assert_eq!(is_one_value(&encoding[..length]), Err(DecodeError), "{value}, cut off at {length}");
        }
    }
}

#[test]
fn frozen_invalid_encodings_are_refused() {
    for case in cases(&FROZEN["invalid_encodings"]) {
        let encoding = hex(&case["encoding"]);
        assert_eq!(is_one_value(&encoding), Err(DecodeError), "{encoding:02x?}: {}", case["reason"]);
        // In a field's place, and in a message's, where nothing at all is no fault.
        let behind_a_message = [&[0x81, 0x18, 24][..], &encoding].concat();
        let as_a_field = [&[0x82, 0x18, 24][..], &encoding].concat();
        for record in [as_a_field, behind_a_message].iter().take(if encoding.is_empty() { 1 } else { 2 }) {
            assert_eq!(ToServer::parse_all(record), Err(MessageError), "{record:02x?}");
            assert_eq!(ToClient::parse_all(record), Err(ServerMessageError::NoMessages), "{record:02x?}");
        }
    }
}

/// A field of a frozen message or event, by its name.
fn field<'a>(case: &'a Value, name: &str) -> &'a Value {
    let mut named = cases(&case["fields"]).iter().filter(|field| field["name"] == name);
    let found = named.next().unwrap_or_else(|| panic!("{} has no field {name}", case["name"]));
    assert!(named.next().is_none());
    &found["value"]
}

fn room(case: &Value) -> RoomName {
    RoomName::parse(text(field(case, "room"))).expect("a frozen room is one")
}

fn member(value: &Value) -> SessionNumber {
    SessionNumber(number(value))
}

fn name(case: &Value) -> Name {
    Name::parse(text(field(case, "name"))).expect("a frozen name is one")
}

/// A field that is bytes.
fn bytes(case: &Value, name: &str) -> Vec<u8> {
    hex(&field(case, name)["hex"])
}

/// What we read a frozen message from a client as.
fn from_client(case: &Value) -> ToServer {
    match text(&case["name"]) {
        "Join" => {
            let password = text(field(case, "password")).to_owned();
            ToServer::Join { room: room(case), password, cursor: number(field(case, "cursor")) }
        }
        "Say" | "Whisper" | "Share" | "Letter" => {
            ToServer::Numbered { n: number(field(case, "n")), body: numbered(case) }
        }
        "Lookup" => ToServer::Lookup(name(case)),
        "Seen" => ToServer::Seen(number(field(case, "cursor"))),
        "Leave" => ToServer::Leave(room(case)),
        "Ping" => ToServer::Ping,
        "Command" => ToServer::Command(text(field(case, "text")).to_owned()),
        "Password" => ToServer::Password(text(field(case, "password")).to_owned()),
        other => panic!("a new message {other}"),
    }
}

fn numbered(case: &Value) -> Numbered {
    match text(&case["name"]) {
        "Say" => {
            let change = number(field(case, "change"));
            Numbered::Say { room: room(case), change, envelope: bytes(case, "envelope") }
        }
        "Whisper" => Numbered::Whisper { to: member(field(case, "to number")), boxed: bytes(case, "box") },
        "Share" => {
            let boxes = cases(field(case, "boxes")).iter().map(|pair| (member(&pair[0]), hex(&pair[1]["hex"])));
            Numbered::Share(boxes.collect())
        }
        _ => {
            let to = bytes(case, "to fingerprint").try_into().expect("a fingerprint is 32 bytes");
            Numbered::Letter { to, letter: bytes(case, "letter") }
        }
    }
}

/// What a frozen message from a server is to us.
fn from_server(case: &Value) -> ToClient {
    match text(&case["name"]) {
        "Welcome" => ToClient::Welcome(Welcome {
            room: room(case),
            members: cases(field(case, "numbers")).iter().map(member).collect(),
            change: number(field(case, "change")),
            resumed: number(field(case, "resumed")) == 1,
            cursor: number(field(case, "cursor")),
            at: number(field(case, "at")),
            notice: text(field(case, "notice")).to_owned(),
            longest_text: number(field(case, "longest text")),
            own: member(field(case, "own number")),
        }),
        "Accepted" => ToClient::Accepted(number(field(case, "n"))),
        "Event" => {
            let said = &cases(&FROZEN["events"])[0];
            let shown: Vec<Value> = cases(&said["fields"]).iter().map(|field| field["value"].clone()).collect();
            assert_eq!(cases(field(case, "event"))[1..], shown, "the first frozen event");
            let (cursor, at) = (number(field(case, "cursor")), number(field(case, "at")));
            ToClient::Event { cursor, at, event: event(said) }
        }
        "Person" => ToClient::Person(Person {
            member: member(field(case, "number")),
            spki: bytes(case, "SPKI"),
            credential: bytes(case, "credential"),
            signature: bytes(case, "signature"),
        }),
        "Error" => {
            let code = ErrorCode::from_word(text(field(case, "code"))).expect("a code");
            ToClient::Error { code, text: text(field(case, "text")).to_owned(), n: number(field(case, "n")) }
        }
        "Found" => ToClient::Found { name: name(case), spki: bytes(case, "SPKI") },
        "Pong" => ToClient::Pong,
        "Bye" => ToClient::Bye(ByeReason::from_word(text(field(case, "reason"))).expect("a reason")),
        "Answer" => ToClient::Answer(text(field(case, "text")).to_owned()),
        other => panic!("a new message {other}"),
    }
}

/// What we read a frozen event as.
fn event(case: &Value) -> Event {
    let who = || member(field(case, "number"));
    let change = || number(field(case, "change"));
    match text(&case["name"]) {
        "said" => Event::Said { room: room(case), who: who(), change: change(), envelope: bytes(case, "envelope") },
        "whispered" => Event::Whispered { who: who(), boxed: bytes(case, "box") },
        "shared" => Event::Shared { who: who(), boxed: bytes(case, "box") },
        "joined" => Event::Joined { room: room(case), who: who(), change: change() },
        "left" => {
            let reason = LeftReason::from_word(text(field(case, "reason"))).expect("a reason");
            Event::Left { room: room(case), who: who(), change: change(), reason }
        }
        "notice" => Event::Notice(text(field(case, "text")).to_owned()),
        "letter" => Event::Letter(bytes(case, "letter")),
        "absence" => Event::Presence { who: who(), lost: number(field(case, "lost")) == 1 },
        other => panic!("a new event {other}"),
    }
}

/// `[type, field, …]`, written value by value.
fn from_its_fields(case: &Value) -> Vec<u8> {
    let fields = case["fields"].as_array().expect("fields");
    let head = Writer::new().array(1 + fields.len()).uint(number(&case["type"]));
    fields.iter().fold(head, |writer, field| write(writer, &field["value"])).finish()
}

#[test]
fn frozen_messages_are_written_and_read_as_they_stand() {
    let all = cases(&FROZEN["messages"]);
    for case in all {
        let (encoding, kind) = (hex(&case["encoding"]), number(&case["type"]));
        let name = &case["name"];
        let ours = if kind < 32 {
            let message = from_client(case);
            assert_eq!(ToServer::parse_all(&encoding), Ok(vec![message.clone()]), "{name}");
            message.encode()
        } else {
            let message = from_server(case);
            assert_eq!(ToClient::parse_all(&encoding), Ok(vec![message.clone()]), "{name}");
            message.encode()
        };
        assert_eq!(ours, encoding, "{name}");
        assert_eq!(from_its_fields(case), encoding, "{name}");
    }
    assert_eq!(all.len(), 20);
}

#[test]
fn frozen_messages_follow_one_another_in_a_record() {
    let of_kinds = |kinds: std::ops::Range<u64>| {
        cases(&FROZEN["messages"]).iter().filter(move |case| kinds.contains(&number(&case["type"])))
    };
    let together: Vec<u8> = of_kinds(16..32).flat_map(|case| hex(&case["encoding"])).collect();
    let expected: Vec<_> = of_kinds(16..32).map(from_client).collect();
    assert_eq!(ToServer::parse_all(&together), Ok(expected));
    let together: Vec<u8> = of_kinds(32..41).flat_map(|case| hex(&case["encoding"])).collect();
    let expected: Vec<_> = of_kinds(32..41).map(from_server).collect();
    assert_eq!(ToClient::parse_all(&together), Ok(expected));
}

#[test]
fn frozen_events_are_written_and_read_as_they_stand() {
    let (cursor, at) = (6, 1_700_000_000_124);
    let mut written = 0;
    for case in cases(&FROZEN["events"]) {
        let head = Writer::new().array(4).uint(34).uint(cursor).uint(at).finish();
        let encoding = [head, hex(&case["encoding"])].concat();
        assert_eq!(from_its_fields(case), hex(&case["encoding"]), "{}", case["name"]);
        let message = ToClient::Event { cursor, at, event: event(case) };
        assert_eq!(ToClient::parse_all(&encoding), Ok(vec![message.clone()]), "{}", case["name"]);
        assert_eq!(message.encode(), encoding, "{}", case["name"]);
        written += 1;
    }
    assert_eq!(written, 8);
}

#[test]
fn frozen_refusals_are_written_and_read_as_they_stand() {
    use RefusalCode::{Busy, Clock, Credential, Malformed, Name, Refused, Version};
    let codes = [Version, Malformed, Credential, Clock, Name, Refused, Busy];
    let frozen = cases(&FROZEN["refusals"]);
    assert_eq!(frozen.len(), codes.len());
    for (case, code) in frozen.iter().zip(codes) {
        assert_eq!(code.word(), text(&case["code"]));
        assert_eq!(code.message(), hex(&case["encoding"]));
        let (start, _) = client::Start::new(&mut rand::rng());
        assert_eq!(start.agree(&hex(&case["encoding"])).err(), Some(ClientHandshakeError::RefusedBare(code)));
    }
}

#[test]
fn frozen_bad_credentials_are_refused_by_the_rule_for_names_that_is_ours() {
    let now = UnixSeconds(number(&FROZEN["now"]));
    let check = |case: &Value, spki: &[u8]| {
        let (credential, signature) = (hex(&case["credential"]), hex(&case["signature"]));
        let presented = CredentialBundle { spki, credential: &credential, signature: &signature };
        VerifiedCredential::check(presented, Role::User, now, |name| Name::parse(name).is_ok()).map(|_| ())
    };
    let good = hex(&FROZEN["identities"]["Ira"]["spki"]);
    assert_eq!(check(&FROZEN["credentials"]["Ira"], &good), Ok(()));
    for case in cases(&FROZEN["refused_user_credentials"]) {
        let expected = match text(&case["code"]) {
            "credential" => CredentialError::Credential,
            "clock" => CredentialError::Clock,
            "name" => CredentialError::Name,
            other => panic!("a new code {other}"),
        };
        assert_eq!(check(case, &hex(&case["spki"])), Err(expected), "{}", case["why"]);
    }
}

#[test]
fn frozen_names_are_some_and_frozen_bad_ones_are_none() {
    for name in cases(&FROZEN["names"]["names"]).iter().map(text) {
        assert_eq!(Name::parse(name).map(|parsed| parsed.as_str() == name), Ok(true), "{name}");
        let room = format!("#{name}");
        assert_eq!(RoomName::parse(&room).map(|parsed| parsed.as_str() == room), Ok(true), "{room}");
    }
    for case in cases(&FROZEN["names"]["refused"]) {
        let (name, why) = (text(&case["name"]), text(&case["why"]));
        assert!(Name::parse(name).is_err(), "{name:?}: {why}");
        assert!(RoomName::parse(&format!("#{name}")).is_err(), "#{name:?}: {why}");
    }
}
