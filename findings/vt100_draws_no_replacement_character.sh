#!/usr/bin/env bash
# vt100 0.18.1 (crates.io), a terminal emulator for tests of terminal programs.
#
# Expected: U+FFFD, the character that programs print for what they cannot decode, is drawn like any other: terminals
# show it as a question mark in a lozenge, one column wide, and it is an ordinary character of three bytes in UTF-8.
# Seen: the emulator drops it. It takes no column, so that all that follows on the row stands one column further left
# than on a terminal, and a test that looks for the character on the screen never finds it. Its neighbours U+FFFC and
# U+2370 are drawn.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/src"
cat > "$folder/Cargo.toml" <<'TOML'
[package]
name = "finding"
version = "0.0.0"
edition = "2021"
[dependencies]
vt100 = "=0.18.1"
TOML
cat > "$folder/src/main.rs" <<'RUST'
fn main() {
    for drawn in ["\u{FFFD}", "\u{FFFC}", "\u{2370}"] {
        let mut screen = vt100::Parser::new(2.try_into().unwrap(), 20.try_into().unwrap(), 0);
        screen.process(format!("a{drawn}b").as_bytes());
        let contents = screen.screen().contents();
        println!("U+{:04X}: cursor at column {}, drawn {}",
            drawn.chars().next().unwrap() as u32, screen.screen().cursor_position().1, contents.contains(drawn));
    }
}
RUST
CARGO_TARGET_DIR="$folder/target" cargo run --quiet --manifest-path "$folder/Cargo.toml" | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN'
U+FFFD: cursor at column 2, drawn false
U+FFFC: cursor at column 3, drawn true
U+2370: cursor at column 3, drawn true
SEEN
echo "as stated: vt100 0.18.1 draws no U+FFFD"
