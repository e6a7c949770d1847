#!/usr/bin/env bash
# SQLite as in rusqlite 0.41.0 with its feature "bundled" (crates.io), on a disk without locks, as a network disk without
# its lock service is: fcntl(F_SETLK) fails with ENOLCK. A seccomp filter lets it fail so on any disk.
#
# Expected: opening a database there fails with an error about locks (SQLITE_IOERR_LOCK, or SQLITE_NOLFS).
# Seen: ENOLCK becomes SQLITE_BUSY, "database is locked", the answer for a database that another program has open. No
# timeout helps, and no other program is to be found. A program that wants to tell the two apart tries a lock first.
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
rusqlite = { version = "=0.41.0", features = ["bundled"] }
TOML
cat > "$folder/src/main.rs" <<'RUST'
use rusqlite::Connection;

fn main() {
    let path = std::env::args().nth(1).unwrap();
    let connection = Connection::open(path).unwrap();
    let error = connection.execute_batch("CREATE TABLE t (a)").unwrap_err();
    println!("{:?}: {error}", error.sqlite_error_code().unwrap());
}
RUST
cat > "$folder/without_locks.py" <<'PYTHON'
import ctypes, errno, os, platform, struct, sys
number = {'x86_64': 72, 'aarch64': 25}[platform.machine()]
# fcntl with F_SETLK (6) in its second argument fails with ENOLCK; all else is allowed.
program = [(0x20, 0, 0, 0), (0x15, 0, 3, number), (0x20, 0, 0, 24), (0x15, 0, 1, 6),
           (0x06, 0, 0, 0x00050000 | errno.ENOLCK), (0x06, 0, 0, 0x7fff0000)]
code = ctypes.create_string_buffer(b''.join(struct.pack('HBBI', *line) for line in program))
class Program(ctypes.Structure):
    _fields_ = [('length', ctypes.c_ushort), ('filter', ctypes.c_void_p)]
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(Program(len(program), ctypes.addressof(code))), 0, 0) == 0
os.execv(sys.argv[1], sys.argv[1:])
PYTHON
CARGO_TARGET_DIR="$folder/target" cargo build --quiet --manifest-path "$folder/Cargo.toml"
python3 "$folder/without_locks.py" "$folder/target/debug/finding" "$folder/database" | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN'
DatabaseBusy: database is locked
SEEN
