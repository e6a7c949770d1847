//! How much one server delivers, how fast, and what it costs: `cargo bench --bench room`.
//!
//! ```text
//! this process: one thread ──▶ N real connections ──▶ the release server, a process of its own
//!               opens and counts every record ◀──────┘
//! ```
//!
//! Nothing is simulated: handshakes, keys, records and messages are those of the protocol, and every delivery that is
//! counted has been opened and read. What is said is an envelope as PROTOCOL.md §7 makes it of a text, the same each
//! time: to the server it is bytes. What is not done is what costs members only: checking who the others are, and
//! opening envelopes. At the end of each measure everything that was said must have come to everybody, exactly once.
//!
//! What it costs a member is measured with the release client among them, as one more process: `big-room`, `client`.
//!
//! What is kept is on the disk that the build's files are on; how long that takes to keep something is said with the
//! tables. Members tell every 15 s what they have seen, as clients do.
//!
//! Arguments choose measures (`-- floor saturated light connect idle big-room client udp journal paused lagging restart
//! fairness held`; none: all), and `quick` makes all of them small.

mod big_room;
mod client;
mod client_process;
mod cpu;
mod disk;
mod fairness;
mod floor;
mod held;
mod journal;
mod lagging;
mod load;
#[allow(dead_code, reason = "benches/peers uses the rest of it")]
mod measures;
mod member;
mod paused;
#[path = "../../tests/udp/relay.rs"]
#[allow(dead_code, reason = "tests use the rest of it")]
mod relay;
mod report;
mod restart;
mod server_process;
mod setup;
mod udp;

use std::process::ExitCode;
use std::time::Duration;

use self::cpu::Placement;
use self::report::Report;
use self::setup::{Outcome, Request, Setup, TEXT, prepare, progress};

/// What can be asked for.
const MEASURES: [&str; 14] = [
    "floor",
    "saturated",
    "light",
    "connect",
    "idle",
    "big-room",
    "client",
    "udp",
    "journal",
    "paused",
    "lagging",
    "restart",
    "fairness",
    "held",
];

/// Says that a sender in a saturated room has unanswered: with four senders, the second puts about as many messages
/// into a record as the larger floor puts into a write.
const UNANSWERED: [u64; 2] = [64, 4];

fn main() -> ExitCode {
    setup::bench("room", &MEASURES, run)
}

fn run(asked: &Request<'_>) -> Outcome<()> {
    let (quick, wanted) = (asked.quick(), |measure| asked.wants(measure));
    cpu::raise_open_files()?;
    let setup = prepare("room-bench", quick)?;
    let rooms: &[usize] = if quick { &[20, 100] } else { &[50, 500, 1_000, 5_000] };
    let mut report = Report::default();
    // What the sealing of texts costs the server shows beside the same room in which they go as they are.
    let (sealed, bare) = (&setup.envelope[..], &[b'x'; TEXT][..]);
    if wanted("floor") || wanted("saturated") {
        for (sockets, envelope) in rooms.iter().map(|&sockets| (sockets, sealed)).chain([(rooms[1], bare)]) {
            for together in [1, 16] {
                progress(&format!("floor: {sockets} sockets, {together} together of {} bytes", envelope.len()));
                report.floor.push(floor::measure(&setup, sockets, together, envelope.len())?);
            }
        }
    }
    if wanted("saturated") {
        let pinned = rooms.iter().map(|&members| (members, Placement::Pinned, sealed, &UNANSWERED[..]));
        let others = [
            (rooms[1], Placement::Pinned, bare, &UNANSWERED[..1]),
            (rooms[1], Placement::Free, sealed, &UNANSWERED[..]),
        ];
        for (members, placement, envelope, windows) in pinned.chain(others) {
            let (length, cores) = (envelope.len(), setup.cores.words(placement));
            progress(&format!("saturated: {members} members, envelopes of {length} bytes, {cores}"));
            report.saturated.extend(measures::saturated(&setup, placement, members, envelope, windows, &[])?);
        }
    }
    if wanted("light") {
        let members = if quick { 50 } else { 200 };
        progress(&format!("light: {members} members"));
        report.light.push(measures::light(&setup, Placement::Pinned, members, 20, &[])?);
    }
    if wanted("connect") {
        let connections = if quick { 50 } else { 500 };
        progress(&format!("connect: {connections} connections"));
        report.connect.push(measures::connect(&setup, connections)?);
        report.connect.push(measures::connect_again(&setup, connections)?);
    }
    if wanted("idle") {
        let members = if quick { 100 } else { 1_000 };
        progress(&format!("idle: {members} members, then as many again"));
        report.idle.push(measures::idle(&setup, members)?);
    }
    if wanted("big-room") {
        for members in if quick { [20, 100] } else { [100, 1_000] } {
            progress(&format!("big-room: {members} members, and a client"));
            report.big_room.push(big_room::measure(&setup, members)?);
        }
    }
    if wanted("client") {
        for members in if quick { [4, 100] } else { [20, 1_000] } {
            progress(&format!("client: {members} members, and a client that starts, and reads them"));
            report.client.push(client::measure(&setup, members)?);
        }
    }
    if wanted("udp") {
        let records = if quick { 100 } else { 1_000 };
        progress(&format!("udp: {records} records by TCP, and by UDP with more and more loss"));
        report.journeys = udp::measure(&setup, records)?;
    }
    measure_keeping(&setup, quick, wanted, &mut report)?;
    measure_others(&setup, quick, wanted, &mut report)?;
    report.disk = Some(disk::measure(&setup.keys)?);
    println!("{}\nMachine: {}", report.to_markdown(&setup.cores), cpu::machine(&setup.cores));
    Ok(())
}

/// What a room has of those who disturb, and of very many who are elsewhere.
fn measure_others(
    setup: &Setup,
    quick: bool,
    wanted: impl Fn(&'static str) -> bool,
    report: &mut Report,
) -> Outcome<()> {
    if wanted("fairness") {
        let (members, rounds, phase) = if quick { (30, 2, 3) } else { (100, 4, 10) };
        progress(&format!("fairness: {members} members, {rounds} rounds, each without and with those who disturb"));
        let phase = Duration::from_secs(phase);
        report.others.fairness.push(fairness::measure(setup, members, rounds, phase)?);
    }
    if wanted("held") {
        let (talking, others) = if quick { (100, 1_000) } else { (1_000, 10_000) };
        progress(&format!("held: {talking} in a room that is talked in, {others} beside it"));
        report.others.held.push(held::measure(setup, talking, others)?);
    }
    Ok(())
}

/// What it costs that nothing is lost (PROTOCOL.md §8).
fn measure_keeping(
    setup: &Setup,
    quick: bool,
    wanted: impl Fn(&'static str) -> bool,
    report: &mut Report,
) -> Outcome<()> {
    if wanted("journal") {
        for members in if quick { [20, 100] } else { [50, 500] } {
            let rounds = if quick { 2 } else { 4 };
            progress(&format!("journal: {members} members, {rounds} rounds, each in memory and on the disk"));
            report.keeping.busy.extend(journal::saturated(setup, members, rounds)?);
        }
        let members = if quick { 50 } else { 200 };
        progress(&format!("journal: {members} members, lightly"));
        report.keeping.quiet.push(journal::light(setup, members, 20, 2)?);
    }
    if wanted("paused") {
        let (members, around, pause) = if quick { (10, 3, 5) } else { (100, 20, 60) };
        progress(&format!("paused: {members} members, one of whom does not read for {pause} s"));
        let (around, pause) = (Duration::from_secs(around), Duration::from_secs(pause));
        report.keeping.paused.push(paused::measure(setup, members, around, pause)?);
    }
    if wanted("lagging") {
        let readers = if quick { 100 } else { 1_000 };
        progress(&format!("lagging: {readers} readers who do not read"));
        report.keeping.lagging.push(lagging::measure(setup, readers)?);
    }
    if wanted("restart") {
        let members = if quick { 100 } else { 1_000 };
        progress(&format!("restart: {members} members"));
        report.keeping.restart.push(restart::measure(setup, members)?);
    }
    Ok(())
}
