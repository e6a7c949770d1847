#!/usr/bin/env bash
# kcp 0.6.0 (crates.io), the Rust port of ikcp.c 1.7.
#
# Expected: the constant KCP_RTO_MAX (60,000 ms) bounds how long an unacknowledged segment waits for its next
# retransmission, as RFC 6298 section 2.5 allows for TCP.
# Seen: the constant bounds only the estimate that is made from acknowledgements. The timeout of a segment that is on
# its way grows by half at each loss (nodelay on) or doubles (nodelay off) and passes 60 s: with a peer that acknowledges
# nothing, the sixteenth wait is 87 s with nodelay on, and the tenth is 102 s with nodelay off; the next are longer still.
# An application that sends over networks with long outages has to bound the wait itself.
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
kcp = "=0.6.0"
TOML
cat > "$folder/src/main.rs" <<'RUST'
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

/// Notes when a datagram leaves, by the simulated clock, and delivers none.
struct Lossy(Arc<Mutex<(u32, Vec<u32>)>>);

impl Write for Lossy {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.0.lock().unwrap();
        let now = state.0;
        state.1.push(now);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The milliseconds between the transmissions of one segment in the first `minutes`.
fn waits(nodelay: bool, minutes: u32) -> Vec<u32> {
    let state = Arc::new(Mutex::new((0, Vec::new())));
    let mut kcp = kcp::Kcp::new(1, Lossy(state.clone()));
    kcp.set_nodelay(nodelay, 10, 0, true);
    kcp.set_maximum_resend_times(1_000);
    kcp.update(0).unwrap();
    kcp.send(b"hello").unwrap();
    for now in (0..minutes * 60_000).step_by(10) {
        state.lock().unwrap().0 = now;
        kcp.update(now).unwrap();
    }
    let sent = state.lock().unwrap().1.clone();
    sent.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

fn main() {
    for nodelay in [true, false] {
        println!("nodelay {nodelay}: {:?}", waits(nodelay, 15));
    }
}
RUST
CARGO_TARGET_DIR="$folder/target" cargo run --quiet --manifest-path "$folder/Cargo.toml" | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN'
nodelay true: [200, 300, 450, 680, 1020, 1520, 2280, 3420, 5130, 7690, 11530, 17290, 25930, 38900, 58340, 87510, 131270, 196900, 295340]
nodelay false: [230, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 102400, 204800, 409600]
SEEN
echo "as stated: kcp 0.6.0 retransmits with waits that grow beyond 60 s"
