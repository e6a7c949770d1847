//! Holds the floors of the house: who may import whom, and in which room each third-party crate lives.

use crate::support::sources;
use std::path::{Path, PathBuf};

/// A room, and the rooms below that it may import.
const ROOMS: [(&str, &[&str]); 7] = [
    ("wire", &[]),
    ("secure", &["wire"]),
    ("chat", &["wire"]),
    ("net", &["wire", "secure"]),
    ("store", &["wire", "secure", "chat"]),
    ("server", &["wire", "secure", "chat", "net", "store"]),
    ("client", &["wire", "secure", "chat", "net", "store"]),
];

/// A third-party crate, and the only rooms that may name it. `bin` is the two programs.
const HOMES: [(&str, &[&str]); 31] = [
    ("aes", &["secure"]),
    ("argon2", &["secure"]),
    ("base64ct", &["secure", "chat"]),
    ("cfb_mode", &["secure"]),
    ("chrono", &["chat", "client", "bin"]),
    ("clap", &["bin"]),
    ("crossbeam", &["server", "client"]),
    ("ed25519_dalek", &["secure"]),
    ("env_logger", &["bin"]),
    ("hkdf", &["secure"]),
    ("hmac", &["secure"]),
    ("kcp", &["net"]),
    ("log", &["server", "bin"]),
    ("minicbor", &["wire"]),
    ("ml_kem", &["secure"]),
    ("nix", &["net"]),
    ("pkcs8", &["secure"]),
    ("precis_core", &["chat"]),
    ("precis_profiles", &["chat"]),
    ("unicode_normalization", &["chat"]),
    ("rpassword", &["store"]),
    ("rsa", &["secure"]),
    ("rusqlite", &["store"]),
    ("rustix", &["net", "store", "server", "client"]),
    ("rustyline", &["client"]),
    ("sha2", &["secure"]),
    ("signal_hook", &["store", "server", "client"]),
    ("slab", &["server"]),
    ("toml", &["bin"]),
    ("unicode_security", &["chat"]),
    ("x25519_dalek", &["secure"]),
];

/// What a room without I/O, clocks and randomness of its own never names.
const PURE: [&str; 3] = ["wire", "secure", "chat"];
const IMPURE: [&str; 9] = [
    "std::fs",
    "std::net",
    "std::io",
    "std::thread",
    "std::process",
    "SystemTime",
    "Instant::now",
    "rand::rng(",
    "println!",
];

/// What the server must never be able to name, by whatever way: the keys to what it relays.
const NEVER_IN_SERVER: &str = "e2e";
/// All that the rooms it is built on have from there: a letter's number, which opens nothing.
const OPENS_NOTHING: &str = "use crate::secure::e2e::offline_message::LetterId;";

struct Source {
    room: String,
    path: PathBuf,
    /// The code, without comments; tests are left out of `code`, and kept in `all`.
    code: String,
    all: String,
}

fn sources() -> Vec<Source> {
    let root = sources::root().join("src");
    let (files, texts): (Vec<PathBuf>, Vec<String>) =
        sources::rust().into_iter().map(|(path, text)| (path, sources::code(&text))).unzip();
    let test_modules: Vec<&str> = texts.iter().flat_map(|text| test_modules(text)).collect();
    let mut sources = Vec::new();
    for (path, all) in files.iter().zip(&texts).filter(|(path, _)| path.parent() != Some(&root)) {
        let below = path.strip_prefix(&root).unwrap().with_extension("");
        let parts: Vec<&str> = below.iter().map(|part| part.to_str().unwrap()).collect();
        let is_test = parts.iter().any(|part| test_modules.contains(part));
        let code = if is_test { "" } else { sources::without_tests(all) };
        sources.push(Source { room: parts[0].to_owned(), path: path.clone(), code: code.to_owned(), all: all.clone() });
    }
    sources
}

/// The modules in files of their own that are there for tests only.
fn test_modules(code: &str) -> Vec<&str> {
    let after = code.split("#[cfg(test)]\nmod ").skip(1);
    after.filter_map(|rest| rest.split_once(';').map(|(name, _)| name)).filter(|name| !name.contains(' ')).collect()
}

/// Whether `code` names the path or crate `name`, as a whole word followed by `::`.
fn names(code: &str, name: &str) -> bool {
    code.match_indices(&format!("{name}::")).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
    })
}

#[test]
fn imports_go_down_only() {
    for source in sources().iter().filter(|source| source.room != "bin") {
        let (_, below) = ROOMS.iter().find(|(room, _)| *room == source.room).unwrap();
        for (room, _) in ROOMS.iter().filter(|(room, _)| *room != source.room && !below.contains(room)) {
            let up = format!("crate::{room}");
            assert!(!source.all.contains(&up), "{} names {up}", source.path.display());
        }
    }
}

#[test]
fn each_crate_lives_in_its_rooms_only() {
    let sources = sources();
    for (name, homes) in HOMES {
        for source in &sources {
            let at_home = homes.contains(&&*source.room);
            assert!(at_home || !names(&source.code, name), "{} names {name}", source.path.display());
        }
        let used = sources.iter().any(|source| names(&source.code, name));
        assert!(used || name == "clap", "{name} is listed, and nobody uses it");
    }
}

#[test]
fn protocol_and_rules_do_no_io_and_read_no_clock() {
    for source in sources().iter().filter(|source| PURE.contains(&&*source.room)) {
        for word in IMPURE {
            assert!(!source.code.contains(word), "{} names {word}", source.path.display());
        }
        assert!(!source.code.contains("log::info!") && !source.code.contains("use ::log"), "{}", source.path.display());
    }
}

#[test]
fn the_server_cannot_name_what_opens_what_it_relays() {
    let (_, below_server) = ROOMS.iter().find(|(room, _)| *room == "server").unwrap();
    let is_home = |path: &Path| path.ends_with("secure/mod.rs") || path.parent().unwrap().ends_with("secure/e2e");
    for source in sources().iter().filter(|source| source.room != "client" && !is_home(&source.path)) {
        assert!(source.room == "bin" || source.room == "server" || below_server.contains(&&*source.room));
        let named = source.all.replace(OPENS_NOTHING, "").contains(NEVER_IN_SERVER);
        assert!(!named, "{} names {NEVER_IN_SERVER}", source.path.display());
    }
}
