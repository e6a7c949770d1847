#!/usr/bin/env bash
# rusqlite 0.41.0 with its feature "bundled" (libsqlite3-sys), both crates.io.
#
# Expected: the flag SQLITE_OPEN_URI is off by default in SQLite (https://sqlite.org/uri.html), so a database that is
# opened by a path without that flag has this path, whatever it begins with.
# Seen: the bundled SQLite is compiled with SQLITE_USE_URI. Connection::open_with_flags without SQLITE_OPEN_URI takes a
# relative path that begins with "file:" as a URI: the file is made under another name, and what follows "?" are options
# ("file:x?mode=memory" makes no file at all). A program that opens paths of its users puts "./" in front of relative ones.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/src" "$folder/files"
cat > "$folder/Cargo.toml" <<'TOML'
[package]
name = "finding"
version = "0.0.0"
edition = "2021"
[dependencies]
rusqlite = { version = "=0.41.0", features = ["bundled"] }
TOML
cat > "$folder/src/main.rs" <<'RUST'
use rusqlite::{Connection, OpenFlags};

fn main() {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    std::env::set_current_dir(std::env::args().nth(1).unwrap()).unwrap();
    for path in ["file:one", "file:two?mode=memory", "./file:three"] {
        let connection = Connection::open_with_flags(path, flags).unwrap();
        connection.execute_batch("CREATE TABLE t (a)").unwrap();
        println!("{path} is open");
    }
    let mut names: Vec<_> = std::fs::read_dir(".").unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    println!("files: {names:?}");
}
RUST
CARGO_TARGET_DIR="$folder/target" cargo run --quiet --manifest-path "$folder/Cargo.toml" -- "$folder/files" |
    tee "$folder/seen"
diff "$folder/seen" - <<'SEEN'
file:one is open
file:two?mode=memory is open
./file:three is open
files: ["file:three", "one"]
SEEN
