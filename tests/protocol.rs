//! Holds PROTOCOL.md's form: numbered rules with their key words, citations that exist, versions of the crates that are
//! in use, and the conversation in appendix A, which is made of the frozen values here.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::sync::LazyLock;

use cfb_chat::chat::name::{MAX_NAME, MAX_TEXT};
use cfb_chat::chat::state::Limits;
use cfb_chat::net::udp::datagram::MAX_DATAGRAM;
use cfb_chat::secure::e2e::sender_key::MAX_STEPS;
use cfb_chat::wire::codec::Writer;
use serde_json::Value;

use crate::support::sources;

/// The block between these two lines is generated.
const BEGIN: &str = "<!-- generated from tests/vectors/frozen.json by tests/protocol.rs: begin -->\n";
const END: &str = "<!-- generated: end -->";
/// Set to write the block anew instead of comparing it.
const WRITE: &str = "CFB_CHAT_WRITE_APPENDIX";
/// Column at which an explanation stands.
const COLUMN: usize = 58;
/// A longer byte string is shown by its first and last bytes.
const WHOLE: usize = 32;

static FROZEN: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("vectors/frozen.json")).expect("the frozen values are JSON"));

fn protocol() -> String {
    fs::read_to_string(sources::root().join("PROTOCOL.md")).unwrap()
}

/// `6.3-4` as its subsection and its own number, if `text` begins with one.
fn rule_number(text: &str) -> Option<(String, usize)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '-').unwrap_or(text.len());
    let (section, own) = text[..end].trim_end_matches(['.', '-']).split_once('-')?;
    Some((section.to_owned(), own.parse().ok()?))
}

/// Rules, with their texts.
fn rules(text: &str) -> Vec<((String, usize), String)> {
    let mut rules: Vec<((String, usize), String)> = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("- **") {
            let number = rule_number(rest).unwrap_or_else(|| panic!("no rule's number: {line}"));
            rules.push((number, rest.to_owned()));
        } else if let (Some((_, rule)), true) = (rules.last_mut(), line.starts_with("  ")) {
            rule.push(' ');
            rule.push_str(line.trim());
        }
    }
    rules
}

#[test]
fn rules_are_numbered_one_after_the_other() {
    let text = protocol();
    let mut section = String::new();
    let mut due = 1;
    let mut count = 0;
    for line in text.lines() {
        let heading = line.strip_prefix("## ").or_else(|| line.strip_prefix("### "));
        if let Some(heading) = heading {
            let number = heading.split(' ').next().unwrap_or_default().trim_end_matches('.');
            (section, due) = (number.to_owned(), 1);
        }
        if let Some(number) = line.strip_prefix("- **").and_then(rule_number) {
            assert_eq!(number, (section.clone(), due), "{line}");
            (due, count) = (due + 1, count + 1);
        }
    }
    assert!(count > 150, "{count} rules");
}

#[test]
fn a_rule_names_a_role_and_a_key_word() {
    for ((section, own), rule) in rules(&protocol()) {
        let has_key_word = ["MUST", "SHOULD", "MAY"].iter().any(|word| rule.contains(word));
        let text = rule.split_once("** ").map_or("", |(_, text)| text);
        let role = text.strip_prefix("A ").or_else(|| text.strip_prefix("Both ")).unwrap_or_default();
        let roles = ["client", "server", "peer", "sender", "reader", "receiver", "newcomer", "user"];
        assert!(has_key_word && roles.iter().any(|known| role.starts_with(known)), "{section}-{own}: {rule}");
    }
}

#[test]
fn what_is_cited_is_there() {
    let text = protocol();
    let all: BTreeSet<(String, usize)> = rules(&text).into_iter().map(|(number, _)| number).collect();
    let mut cited = 0;
    let mut check = |place: &str, text: &str| {
        for (at, _) in text.match_indices("PROTOCOL.md ") {
            for word in text[at + "PROTOCOL.md ".len()..].split_whitespace().take(4) {
                let word = word.trim_start_matches('(');
                if let Some(number) = rule_number(word).filter(|(section, _)| section.parse::<f64>().is_ok()) {
                    assert!(all.contains(&number), "{place} cites {word}, which is not there");
                    cited += 1;
                }
            }
        }
    };
    let root = sources::root();
    for (folder, extension) in [("src", "rs"), ("tests", "rs"), ("tests", "py"), ("docs", "md")] {
        for path in sources::files(&root.join(folder), extension) {
            check(&path.display().to_string(), &fs::read_to_string(&path).unwrap());
        }
    }
    // Within the text a rule is cited by its number alone.
    for word in text.split(|c: char| c.is_whitespace() || "(),:;*".contains(c)) {
        if let Some((section, own)) = rule_number(word).filter(|_| word.contains('.') && word.matches('-').count() == 1)
        {
            assert!(all.contains(&(section, own)), "PROTOCOL.md cites {word}, which is not there");
        }
    }
    assert!(cited > 0, "tests cite rules");
}

#[test]
fn no_line_is_longer_than_120_characters() {
    for line in protocol().lines() {
        assert!(line.chars().count() <= 120, "{line}");
    }
}

#[test]
fn versions_that_bind_are_those_in_use() {
    let (text, lock) = (protocol(), fs::read_to_string(sources::root().join("Cargo.lock")).unwrap());
    for (name, version) in
        [("precis-core", "0.2.0"), ("unicode-normalization", "0.1.26"), ("unicode-security", "0.1.3"), ("kcp", "0.6.0")]
    {
        assert!(lock.contains(&format!("name = \"{name}\"\nversion = \"{version}\"\n")), "{name} {version}");
        assert!(text.contains(&format!("{name} {version}")), "{name} {version}");
    }
    let (major, minor, patch) = unicode_security::UNICODE_VERSION;
    assert!(text.contains(&format!("| skeletons of UTS 39 | Unicode {major}.{minor}.{patch} |")), "UTS 39");
}

#[test]
fn limits_are_those_of_the_code() {
    let text = protocol();
    let limits = Limits::standard();
    let shown = |number: usize| match number {
        0..1_000 => number.to_string(),
        _ => format!("{},{:03}", number / 1_000, number % 1_000),
    };
    let (sessions, members) = (limits.sessions.unwrap(), limits.members.unwrap());
    let rows = [
        format!("| sessions | {};", shown(sessions)),
        format!("| a room; a session | {} members", shown(members)),
        format!("{} rooms |", limits.rooms),
        format!("| text | {} bytes |", shown(MAX_TEXT)),
        format!("{} for a fingerprint |", limits.names.unwrap()),
        format!("| joins and leaves of a fingerprint | {} a minute |", limits.joins.unwrap().burst),
        format!("| messages 17 to 21, 25 and 26 | {} at once, then 5 a second |", limits.messages.unwrap().burst),
        format!("{} MiB; {} minutes |", limits.backlog >> 20, limits.resume.as_secs() / 60),
        format!("A name is 1 to {MAX_NAME} characters."),
        format!("more than {} above the counter", shown(usize::try_from(MAX_STEPS).unwrap())),
        format!("A datagram has at most\n{} bytes", shown(MAX_DATAGRAM)),
    ];
    for row in rows {
        assert!(text.contains(&row), "{row}");
    }
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text stands here")
}

fn hex(value: &Value) -> Vec<u8> {
    let digits = text(value);
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal")).collect()
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut digits, byte| {
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

/// All bytes, or the first and last of many.
fn shown(bytes: &[u8]) -> String {
    match bytes.len() {
        0..=WHOLE => digits(bytes),
        length => format!("{}…{}", digits(&bytes[..8]), digits(&bytes[length - 8..])),
    }
}

/// Writes one line: bytes, and what they are.
fn line(out: &mut String, depth: usize, bytes: &str, what: &str) {
    let indented = format!("{:indent$}{bytes}", "", indent = 2 * depth);
    let _ = match what {
        "" => writeln!(out, "{indented}"),
        what => writeln!(out, "{indented:<COLUMN$}  {what}"),
    };
}

/// Explains the encoding of one value, head by head; gives what is behind it.
fn explain<'a>(out: &mut String, depth: usize, bytes: &'a [u8], nested: &[usize], at: usize) -> &'a [u8] {
    let (kind, small) = (bytes[0] >> 5, usize::from(bytes[0] & 31));
    let (value, head) = match small {
        0..24 => (small as u64, 1),
        more => {
            let length = 1 << (more - 24);
            (bytes[1..=length].iter().fold(0, |value, byte| value << 8 | u64::from(*byte)), 1 + length)
        }
    };
    let (head, mut rest) = bytes.split_at(head);
    let length = usize::try_from(value).expect("a length");
    match kind {
        0 => line(out, depth, &digits(head), &value.to_string()),
        2 if nested.contains(&at) => {
            line(out, depth, &digits(head), &format!("bytes, {length}, that hold an encoding:"));
            let (inner, behind) = rest.split_at(length);
            explain(out, depth + 1, inner, &[], 0);
            rest = behind;
        }
        2 => {
            let (own, behind) = rest.split_at(length);
            line(out, depth, &format!("{} {}", digits(head), shown(own)), &format!("bytes, {length}"));
            rest = behind;
        }
        3 => {
            let (own, behind) = rest.split_at(length);
            let own = std::str::from_utf8(own).expect("text");
            line(out, depth, &format!("{} {}", digits(head), shown(own.as_bytes())), &format!("\"{own}\""));
            rest = behind;
        }
        4 => {
            line(out, depth, &digits(head), &format!("array of {length}"));
            for field in 0..length {
                rest = explain(out, depth + 1, rest, nested, field);
            }
        }
        other => panic!("{other} is no kind of the encoding"),
    }
    rest
}

/// A message under its title. Fields in `nested` are byte strings that hold an encoding.
fn message(out: &mut String, title: &str, bytes: &[u8], nested: &[usize]) {
    let _ = writeln!(out, "\n{title}");
    assert!(explain(out, 1, bytes, nested, usize::MAX).is_empty(), "{title}");
}

/// A frame with a record in it.
fn record(out: &mut String, frame: &[u8]) {
    let (length, sealed) = frame.split_at(2);
    let (sealed, tag) = sealed.split_at(sealed.len() - 32);
    line(out, 0, &digits(length), &format!("on the wire: length {}", sealed.len() + tag.len()));
    let kind = if sealed.len() > WHOLE { "ciphertext, its ends" } else { "ciphertext" };
    line(out, 0, &shown(sealed), kind);
    let _ = writeln!(out, "{}\n  tag", digits(tag));
}

fn secret(out: &mut String, name: &str, value: &Value) {
    let digits = text(value);
    match digits.split_at_checked(64) {
        Some((first, second)) if !second.is_empty() => {
            let _ = writeln!(out, "{name:<28}{first}\n{:<28}{second}", "");
        }
        _ => {
            let _ = writeln!(out, "{name:<28}{digits}");
        }
    }
}

fn handshake(out: &mut String) {
    let shake = &FROZEN["handshake"];
    let (messages, frames) = (&shake["messages"], &shake["frames_on_the_wire"]);
    for (number, from) in [("1", "client"), ("2", "server"), ("3", "server"), ("4", "client"), ("5", "server")] {
        let (bytes, frame) = (hex(&messages[format!("m{number}")]), hex(&frames[number]));
        let nested: &[usize] = if matches!(number, "3" | "4") { &[2] } else { &[] };
        message(out, &format!("message {number}, {from}: {} bytes", bytes.len()), &bytes, nested);
        if matches!(number, "1" | "2") {
            line(out, 0, &digits(&frame[..2]), &format!("on the wire: length {}, then the message", bytes.len()));
        } else {
            record(out, &frame);
        }
        if number == "2" {
            let _ = writeln!(out);
            for name in ["ml_kem_secret", "x25519_secret"] {
                secret(out, &name.replace('_', " "), &shake[name]);
            }
            secret(out, "handshake", &shake["handshake_secret"]);
            secret(out, "th(2)", &shake["th"]["2"]);
            secret(out, "client handshake chain", &shake["handshake_chains"]["client"]);
            secret(out, "server handshake chain", &shake["handshake_chains"]["server"]);
        }
    }
    let _ = writeln!(out);
    secret(out, "s", &shake["s"]);
    secret(out, "th(4)", &shake["th"]["4"]);
    secret(out, "master", &shake["master"]);
    secret(out, "th(5)", &shake["th"]["5"]);
    secret(out, "client chain", &shake["application_chains"]["client"]);
    secret(out, "server chain", &shake["application_chains"]["server"]);
    for (side, name) in [("client", "Join"), ("server", "Welcome")] {
        let first = &shake["first_application_records"][side];
        message(out, &format!("{name}, {side}"), &hex(&first["text"]), &[]);
        record(out, &hex(&first["frame"]));
    }
}

/// Ira is number 1. sahnawaz comes, gets a whisper and a key, and reads what is said.
fn talk(out: &mut String) {
    let credential = &FROZEN["credentials"]["sahnawaz"];
    let person = Writer::new().array(5).uint(35).uint(2).bytes(&hex(&FROZEN["identities"]["sahnawaz"]["spki"]));
    let person = person.bytes(&hex(&credential["credential"])).bytes(&hex(&credential["signature"])).finish();
    message(out, "Person of sahnawaz, number 2, server to Ira", &person, &[3]);
    let at = FROZEN["box"]["cases"][0]["sent_at"].as_u64().unwrap_or(1_700_000_000_123) + 1;
    let event = |cursor| Writer::new().array(4).uint(34).uint(cursor).uint(at);
    let joined = event(2).array(4).uint(4).text("#lobby").uint(2).uint(2).finish();
    message(out, "Event 2, server to Ira: sahnawaz joined by change 2", &joined, &[]);
    let (whisper, key) = (&FROZEN["box"]["cases"][0], &FROZEN["box"]["cases"][1]);
    let envelope = &FROZEN["envelope"]["cases"][0];
    assert_eq!((text(&key["text"]), text(&key["purpose"])), (text(&FROZEN["sender_key"]["cases"][0]["text"]), "key"));
    assert_eq!((text(&key["from"]), text(&key["to"]), &key["count"]), ("Ira", "sahnawaz", &Value::from(2)));
    assert_eq!((&envelope["change"], &envelope["counter"]), (&Value::from(2), &Value::from(0)));
    message(out, "what the whisper's box seals, padded to 64 bytes (first value)", &unpadded(whisper), &[]);
    message(out, "its context: the array that is hashed, and nested in what is signed", &hex(&whisper["context"]), &[]);
    let _ = writeln!(out);
    secret(out, "SHA-256(context)", &whisper["context_hash"]);
    secret(out, "X25519(e, to's x25519)", &whisper["ikm"]);
    secret(out, "chain of its one step", &whisper["chain"]);
    message(out, "what Ed25519 signs", &hex(&whisper["signed"]), &[]);
    let said = Writer::new().array(4).uint(18).uint(1).uint(2).bytes(&hex(&whisper["box"])).finish();
    message(out, "Whisper, Ira to server", &said, &[3]);
    message(out, "Accepted, server to Ira", &Writer::new().array(2).uint(33).uint(1).finish(), &[]);
    message(out, "the text of the key's box", &hex(&key["text"]), &[]);
    let share = Writer::new().array(3).uint(19).uint(2).array(1).array(2).uint(2).bytes(&hex(&key["box"])).finish();
    message(out, "Share, Ira to server: the second box, so count 2", &share, &[]);
    message(out, "the roster of change 2: what is hashed", &roster(envelope), &[]);
    let _ = writeln!(out);
    secret(out, "roster", &envelope["roster"]);
    secret(out, "the step's enc", &envelope["enc"]);
    secret(out, "mac", &envelope["mac"]);
    secret(out, "iv", &envelope["iv"]);
    secret(out, "next chain", &envelope["next"]);
    message(out, "what Ed25519 signs", &hex(&envelope["signed"]), &[]);
    let bytes = hex(&envelope["envelope"]);
    let say = Writer::new().array(5).uint(17).uint(3).text("#lobby").uint(2).bytes(&bytes).finish();
    message(out, "Say, Ira to server: \"Hi\"", &say, &[4]);
    let heard = event(5).array(5).uint(1).text("#lobby").uint(1).uint(2).bytes(&bytes).finish();
    message(out, "Event 5, server to sahnawaz", &heard, &[]);
    message(out, "Seen, sahnawaz to server", &Writer::new().array(2).uint(22).uint(5).finish(), &[]);
    message(out, "Leave, Ira to server", &Writer::new().array(2).uint(23).text("#lobby").finish(), &[]);
    let left = event(6).array(5).uint(5).text("#lobby").uint(1).uint(3).text("left").finish();
    message(out, "Event 6, server to both", &left, &[]);
    message(out, "Bye, server to Ira", &Writer::new().array(2).uint(39).text("left").finish(), &[]);
}

/// A cookie, and a DATA without segments, of the keys of this handshake.
fn datagrams(out: &mut String) {
    let frozen = &FROZEN["datagrams"];
    let (cookie, data) = (&frozen["cookies"][0], &frozen["tags"][0]);
    let (address, conversation) = (hex(&cookie["address"]), hex(&cookie["conversation"]));
    let port = cookie["port"].as_u64().expect("a port");
    let input =
        Writer::new().array(4).text("cfb-chat/1 cookie").bytes(&address).uint(port).bytes(&conversation).finish();
    message(out, "a cookie: what HMAC-SHA-256 is over", &input, &[]);
    let _ = writeln!(out);
    secret(out, "the server's secret", &cookie["secret"]);
    secret(out, "cookie", &cookie["cookie"]);
    assert_eq!(data["key"], frozen["keys"]["client"]);
    let bytes = hex(&data["datagram"]);
    let (kind, rest) = bytes.split_at(1);
    let (conversation, number) = rest.split_at(4);
    let _ = writeln!(out, "\nDATA without segments, client to server: its stream has ended");
    line(out, 1, &digits(kind), "type");
    line(out, 1, &digits(conversation), "conversation");
    line(out, 1, &digits(number), "number");
    line(out, 1, text(&data["tag"]), "tag");
    let _ = writeln!(out);
    secret(out, "key of client datagrams", &data["key"]);
}

/// A sealed text without its padding.
fn unpadded(case: &Value) -> Vec<u8> {
    let padded = hex(&case["text"]);
    let end = padded.iter().rposition(|byte| *byte != 0).expect("an end");
    padded[..end].to_vec()
}

fn roster(envelope: &Value) -> Vec<u8> {
    let mut sessions: Vec<Vec<u8>> = envelope["sessions"].as_array().expect("sessions").iter().map(hex).collect();
    sessions.sort();
    let head = Writer::new().array(5).text("cfb-chat/1 roster").bytes(&hex(&envelope["server"])).text("#lobby").uint(2);
    sessions.iter().fold(head.array(sessions.len()), |writer, session| writer.bytes(session)).finish()
}

#[test]
fn the_conversation_in_bytes_is_that_of_the_frozen_values() {
    let mut out = String::from("```");
    handshake(&mut out);
    talk(&mut out);
    datagrams(&mut out);
    out.push_str("```\n");
    let text = protocol();
    let (before, rest) = text.split_once(BEGIN).expect("the block's begin");
    let (block, after) = rest.split_once(END).expect("the block's end");
    if std::env::var_os(WRITE).is_some() {
        fs::write(sources::root().join("PROTOCOL.md"), [before, BEGIN, &out, END, after].concat()).unwrap();
    } else {
        assert!(
            block == out,
            "appendix A is not that of the frozen values: {WRITE}=1 cargo test --test integration protocol::"
        );
    }
}
