#!/usr/bin/env bash
# precis-core 0.2.0 and precis-profiles 0.2.0 beside unicode-security 0.1.3 (all crates.io).
#
# Expected: two crates that check the same user names agree on which characters exist.
# Seen: the tables of precis-core are generated from Unicode 6.3.0 (2013), those of unicode-security from 18.0.0. The
# profile UsernameCasePreserved (RFC 8265 section 3.4) takes the Georgian letter U+10D0 and refuses its capital U+1C90
# (Unicode 11.0) as unassigned, while unicode-security allows both in identifiers. RFC 8264 disallows unassigned code
# points, so a newer letter is an error, not a warning, and a name's upper case can be refused where the name is not.
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
precis-core = "=0.2.0"
precis-profiles = "=0.2.0"
unicode-security = "=0.1.3"
TOML
cat > "$folder/src/main.rs" <<'RUST'
use precis_core::profile::PrecisFastInvocation;
use precis_profiles::UsernameCasePreserved;
use unicode_security::GeneralSecurityProfile;

fn main() {
    println!("unicode-security has tables of Unicode {:?}", unicode_security::UNICODE_VERSION);
    for name in ["\u{10D0}", "\u{1C90}"] {
        let allowed = name.chars().all(GeneralSecurityProfile::identifier_allowed);
        let profile = UsernameCasePreserved::enforce(name);
        println!("U+{:04X}: allowed by UTS 39 {allowed}, by PRECIS {profile:?}", name.chars().next().unwrap() as u32);
    }
}
RUST
CARGO_TARGET_DIR="$folder/target" cargo run --quiet --manifest-path "$folder/Cargo.toml" | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN'
unicode-security has tables of Unicode (18, 0, 0)
U+10D0: allowed by UTS 39 true, by PRECIS Ok("ა")
U+1C90: allowed by UTS 39 true, by PRECIS Err(BadCodepoint(CodepointInfo { cp: 7312, position: 0, property: Unassigned }))
SEEN
echo "as stated: precis-core 0.2.0 knows no character that is newer than Unicode 6.3.0"
