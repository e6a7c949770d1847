//! What we cost beside two IRC servers, on one machine and in one session: `cargo bench --bench peers`.
//!
//! ```text
//! this process: one thread ──▶ N real connections ──▶ a server, a process of its own: ours, ngIRCd, InspIRCd, ours, …
//!               opens and counts every record ◀──────┘
//! ```
//!
//! Ours is measured by the code of `benches/room`. The peers are Debian's packages: what is missing of them is
//! installed, with `apt-get` and, unless root does it, `sudo`. They are set up anew each time with all limits off
//! (`peer_process`), speak TLS 1.3 with GnuTLS, and are ended with the measure. They are loaded in the same way: one
//! thread, which opens every record and reads every line; what was said must have come to everybody else, once, and who
//! is cut off or told off makes the measure fail.
//!
//! IRC has no answer to what is said, so a sender's window is how far it is ahead of the slowest reader. Where there was a
//! choice it is the peers': a saturated peer is measured with several windows, of which its best counts, ours with 64.
//! How much a peer delivers in one record, and so what a delivery costs it, hangs on how much it reads in one turn of its
//! loop, from each sender one record: so there are two rows of each figure. In one a record has one line, as each of ours
//! has one message; in the other eight. Certificates are ECDSA P-256, except where connections are measured with both.
//!
//! Figures are medians over rounds, in which all have their turn. Processor time is that of `/proc/PID/stat`, and of
//! `/proc/PID/task/*/schedstat` where little is used.
//!
//! Arguments choose measures (`-- saturated free light connect idle floor`; none: all), and `quick` makes all of them
//! small.

#[path = "../room/cpu.rs"]
#[allow(dead_code, reason = "benches/room uses the rest of it")]
mod cpu;
#[path = "../room/floor.rs"]
#[allow(dead_code, reason = "benches/room uses the rest of it")]
mod floor;
mod irc_client;
mod irc_crowd;
mod irc_measures;
#[path = "../room/load.rs"]
#[allow(dead_code, reason = "benches/room uses the rest of it")]
mod load;
#[path = "../room/measures.rs"]
#[allow(dead_code, reason = "benches/room uses the rest of it")]
mod measures;
#[path = "../room/member.rs"]
#[allow(dead_code, reason = "benches/room uses the rest of it")]
mod member;
mod peer_process;
#[path = "../room/server_process.rs"]
#[allow(dead_code, reason = "benches/room uses the rest of it")]
mod server_process;
#[path = "../room/setup.rs"]
#[allow(dead_code, reason = "benches/room uses the rest of it")]
mod setup;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use self::cpu::Placement;
use self::irc_measures::{Filling, Stage};
use self::peer_process::{Certificate, Peer};
use self::setup::{Outcome, Request, Setup, prepare, progress};
use self::table::{Better, Table, Unit};

/// What can be asked for.
const MEASURES: [&str; 6] = ["saturated", "free", "light", "connect", "idle", "floor"];

/// Says that a sender of ours has unanswered in a saturated room.
const UNANSWERED: u64 = 64;
/// Lines by which a peer's sender may be ahead of the slowest reader.
const WINDOWS: [u64; 2] = [64, 256];
/// Lines that a peer's sender puts into each record: one, as ours does; or as many as ngIRCd takes at once, so that in
/// one turn of a peer's loop more is queued for each reader.
const ONE: u64 = 1;
const SEVERAL: u64 = 8;
/// What one sender alone must bring to a reader in a second, so that nobody can be said to be held back.
const UNHINDERED: f64 = 2_000.0;

const CPU: Unit = Unit { better: Better::Less, digits: 2 };
const FINE: Unit = Unit { better: Better::Less, digits: 3 };
const WHOLE: Unit = Unit { better: Better::Less, digits: 0 };
const RATE: Unit = Unit { better: Better::More, digits: 0 };

/// Everything that the measures share.
struct Measuring {
    setup: Setup,
    folder: PathBuf,
    table: Table,
    /// What the table does not say.
    notes: Vec<String>,
}

fn main() -> ExitCode {
    setup::bench("peers", &MEASURES, run)
}

fn run(asked: &Request<'_>) -> Outcome<()> {
    let (quick, wanted) = (asked.quick(), |measure| asked.wants(measure));
    cpu::raise_open_files()?;
    let mut setup = prepare("peers-bench", quick)?;
    // Measured in rounds: each is shorter.
    let seconds = |in_full: u64| Duration::from_secs(if quick { 1 } else { in_full });
    (setup.warm_up, setup.window) = (seconds(1), seconds(3));
    let folder = setup.keys.join("peers");
    peer_process::prepare(&folder)?;
    let (table, notes) = (Table::default(), Vec::new());
    let mut session = Measuring { setup, folder, table, notes };
    let (rounds, rooms) = if quick { (1, &[20, 100][..]) } else { (3, &[50, 500, 1_000][..]) };
    session.check_that_nobody_is_held_back()?;
    let [ngircd, inspircd] = [Peer::Ngircd.version()?, Peer::Inspircd.version()?];
    let sides = ["ours", &ngircd, &inspircd];
    for round in 1..=rounds {
        progress(&format!("round {round} of {rounds}"));
        if wanted("saturated") {
            rooms.iter().try_for_each(|&members| session.saturated(Placement::Pinned, members))?;
        }
        if wanted("free") {
            session.saturated(Placement::Free, rooms[1])?;
        }
        if wanted("light") {
            session.light(if quick { 50 } else { 200 }, 20)?;
        }
        if wanted("connect") {
            session.connect(if quick { 40 } else { 1_000 })?;
        }
        if wanted("idle") {
            session.idle(if quick { 100 } else { 1_000 })?;
        }
        if round < rounds {
            // Each takes minutes: whoever stops it then has something.
            println!("After {round} of {rounds} rounds:\n{}", session.table.to_markdown(sides));
        }
    }
    if wanted("floor") {
        session.floor(rooms)?;
    }
    println!("{}", session.table.to_markdown(sides));
    println!("{}", session.notes.join("\n"));
    println!("Medians of {rounds} rounds. Machine: {}", cpu::machine(&session.setup.cores));
    Ok(())
}

impl Measuring {
    fn stage(&self, peer: Peer) -> Stage<'_> {
        Stage { peer, setup: &self.setup, folder: self.folder.clone() }
    }

    fn check_that_nobody_is_held_back(&mut self) -> Outcome<()> {
        for peer in Peer::ALL {
            let (version, per_second) =
                (peer.version()?, self.stage(peer).alone(Filling { window: WINDOWS[1], together: ONE })?);
            if per_second < UNHINDERED {
                return Err(format!("{version} holds senders back: {per_second:.0} lines a second").into());
            }
            self.note(format!("{version}: one sender alone brings {per_second:.0} lines a second to one reader."));
        }
        Ok(())
    }

    /// All in turn, the peers at every pace.
    fn saturated(&mut self, placement: Placement, members: usize) -> Outcome<()> {
        let (cores, envelope) = (self.setup.cores.words(placement), &self.setup.envelope);
        let free = placement == Placement::Free;
        let what = if free { format!("deliveries a second, {cores}") } else { "CPU s per million deliveries".into() };
        let row = |together| match together {
            1 => format!("{what}, N = {members}; a record for each line that is sent"),
            _ => format!("{what}, N = {members}; peers' senders put {together} lines into each record"),
        };
        let mut add = |side, pace: Filling, cpu, per_second| {
            let (unit, figure) = if free { (RATE, per_second) } else { (CPU, cpu) };
            self.table.add(&row(pace.together), unit, side, pace.window, figure);
        };
        for it in measures::saturated(&self.setup, placement, members, envelope, &[UNANSWERED], &[])? {
            progress(&format!(
                "N = {members}, {cores}: ours: {:.2} CPU s per million, {:.0} a second, {:.0} together, busy {:.2?}",
                it.cpu_per_million, it.per_second, it.per_record, it.busy
            ));
            for together in [ONE, SEVERAL] {
                add(0, Filling { window: UNANSWERED, together }, it.cpu_per_million, it.per_second);
            }
        }
        let paces = [ONE, SEVERAL].into_iter().flat_map(|together| WINDOWS.map(|window| Filling { window, together }));
        let paces: Vec<Filling> = paces.collect();
        for (side, peer) in (1..).zip(Peer::ALL) {
            let stage = Stage { peer, setup: &self.setup, folder: self.folder.clone() };
            for it in stage.saturated(placement, members, &paces)? {
                progress(&format!(
                    "N = {members}, {cores}: {peer:?}, {:?}: {:.2} CPU s per million, {:.0} a second, {:.0} together, \
                     busy {:.2?}",
                    it.pace, it.cpu_per_million, it.per_second, it.per_record, it.shares
                ));
                add(side, it.pace, it.cpu_per_million, it.per_second);
            }
        }
        Ok(())
    }

    fn light(&mut self, members: usize, rate: u32) -> Outcome<()> {
        let ours = measures::light(&self.setup, Placement::Pinned, members, rate, &[])?;
        let [p50, p99, _] = ours.latency;
        let mut all = vec![(ours.cpu_per_million, [p50, p99])];
        for peer in Peer::ALL {
            let it = self.stage(peer).light(members, rate)?;
            all.push((it.cpu_per_million, it.latency));
        }
        let setting = format!("N = {members}, {rate} a second");
        for (side, (cpu, latency)) in all.into_iter().enumerate() {
            let [p50, p99] = latency.map(millis);
            progress(&format!("light, {setting}: side {side}: {cpu:.2}, {p50:.2} ms, {p99:.2} ms"));
            self.table.add(&format!("light load, {setting}: CPU s per million deliveries"), CPU, side, 0, cpu);
            self.table.add(&format!("light load, {setting}: delivery p50, ms"), CPU, side, 0, p50);
            self.table.add(&format!("light load, {setting}: delivery p99, ms"), CPU, side, 0, p99);
        }
        Ok(())
    }

    /// Ours has one kind of key, and stands beside either of theirs.
    fn connect(&mut self, connections: usize) -> Outcome<()> {
        let ours = millis(measures::connect(&self.setup, connections)?.cpu_each);
        let again = millis(measures::connect_again(&self.setup, connections)?.cpu_each);
        let rsa = "CPU ms per new connection, RSA-2048 certificate (ours: 3072-bit RSA both ways, ML-KEM, X25519)";
        let ecdsa = "CPU ms per new connection, ECDSA P-256 certificate (ours as before)";
        let returning = "the same, where our credential has come before";
        progress(&format!("connect: ours {ours:.3} ms, the same credential again {again:.3} ms"));
        self.table.add(rsa, FINE, 0, 0, ours);
        self.table.add(ecdsa, FINE, 0, 0, ours);
        self.table.add(returning, FINE, 0, 0, again);
        for (side, peer) in (1..).zip(Peer::ALL) {
            let kinds = [(Certificate::Rsa, &[rsa][..]), (Certificate::Ecdsa, &[ecdsa, returning])];
            for (certificate, rows) in kinds {
                let each = millis(self.stage(peer).connect(certificate, connections)?);
                progress(&format!("connect: {}, {certificate:?}: {each:.3} ms", peer.version()?));
                for row in rows {
                    self.table.add(row, FINE, side, 0, each);
                }
            }
        }
        Ok(())
    }

    fn idle(&mut self, members: usize) -> Outcome<()> {
        let mut all = vec![measures::idle(&self.setup, members)?.memory_each];
        for peer in Peer::ALL {
            all.push(self.stage(peer).idle(members)?);
        }
        let what = format!("resident KiB per idle connection, joined, N = {members}");
        for (side, each) in all.into_iter().enumerate() {
            progress(&format!("idle: side {side}: {each} bytes"));
            self.table.add(&what, WHOLE, side, 0, measures::ratio(each, 1_024));
        }
        Ok(())
    }

    /// What no server can go below that writes our bytes.
    fn floor(&mut self, rooms: &[usize]) -> Outcome<()> {
        for &sockets in rooms {
            let mut costs = [0.0; 2];
            for (cost, together) in costs.iter_mut().zip([1, 16]) {
                *cost = floor::measure(&self.setup, sockets, together, self.setup.envelope.len())?.cpu_per_million;
            }
            self.note(format!(
                "Plain writes of our bytes to {sockets} sockets, no cryptography: {:.2} CPU s per million one by one, \
                 {:.2} sixteen together.",
                costs[0], costs[1],
            ));
        }
        Ok(())
    }

    fn note(&mut self, note: String) {
        progress(&note);
        self.notes.push(note);
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
