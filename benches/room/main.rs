//! How much one server delivers, how fast, and what it costs: `cargo bench --bench room`.
//!
//! ```text
//! this process: one thread ──▶ N real connections ──▶ the release server, a process of its own
//!               opens and counts every record ◀──────┘
//! ```
//!
//! Nothing is simulated: handshakes, keys, records and messages are those of the protocol, and every delivery that is
//! counted has been opened and read. What is not done is what costs members only: checking who the others are. At the
//! end of each measure everything that was said must have come to everybody, exactly once.
//!
//! Arguments choose measures (`-- saturated light connect idle floor`; none: all), and `quick` makes all of them small.

mod cpu;
mod floor;
mod load;
mod measures;
mod member;
mod report;
mod server_process;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use cfb_chat::secure::identity::Identity;
use cfb_chat::store::key_files::{Owner, load_or_make};
use cfb_chat::store::passphrase::PassphraseSource;

use self::cpu::{Cores, Placement};
use self::report::Report;

/// What can go wrong here goes wrong for good.
type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// What can be asked for.
const MEASURES: [&str; 5] = ["floor", "saturated", "light", "connect", "idle"];

/// Says that a sender in a saturated room has unanswered: with four senders, the second puts about as many messages into
/// a record as the larger floor puts into a write.
const UNANSWERED: [u64; 2] = [64, 4];

/// What every measure needs.
struct Setup {
    /// Whose members all are: names belong to an identity, and one may have many.
    identity: Identity,
    /// Where the server's keys are. Made once, for all servers of this run and of later ones.
    keys: PathBuf,
    cores: Cores,
    warm_up: Duration,
    /// How long saturated rooms are measured.
    window: Duration,
    /// How long quiet ones are.
    listening: Duration,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if !arguments.iter().any(|argument| argument == "--bench") {
        println!("nothing is measured in a test run: cargo bench --bench room");
        return ExitCode::SUCCESS;
    }
    let words: Vec<&str> = arguments.iter().map(String::as_str).filter(|word| !word.starts_with("--")).collect();
    if let Some(unknown) = words.iter().find(|word| **word != "quick" && !MEASURES.contains(word)) {
        eprintln!("error: unknown measure {unknown}: quick, {}", MEASURES.join(", "));
        return ExitCode::from(2);
    }
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Outcome<()> {
    let quick = words.contains(&"quick");
    let wanted = |measure| words.iter().all(|word| *word == "quick") || words.contains(&measure);
    cpu::raise_open_files()?;
    let setup = prepare(quick)?;
    let rooms: &[usize] = if quick { &[20, 100] } else { &[50, 500, 1_000] };
    let mut report = Report::default();
    if wanted("floor") || wanted("saturated") {
        for &sockets in rooms {
            for together in [1, 16] {
                progress(&format!("floor: {sockets} sockets, {together} together"));
                report.floor.push(floor::measure(&setup, sockets, together)?);
            }
        }
    }
    if wanted("saturated") {
        let pinned = rooms.iter().map(|members| (*members, Placement::Pinned));
        for (members, placement) in pinned.chain([(rooms[1], Placement::Free)]) {
            progress(&format!("saturated: {members} members, {}", setup.cores.words(placement)));
            report.saturated.extend(measures::saturated(&setup, placement, members, &UNANSWERED)?);
        }
    }
    if wanted("light") {
        let members = if quick { 50 } else { 200 };
        progress(&format!("light: {members} members"));
        report.light.push(measures::light(&setup, Placement::Pinned, members, 20)?);
    }
    if wanted("connect") {
        let connections = if quick { 50 } else { 500 };
        progress(&format!("connect: {connections} connections"));
        report.connect.push(measures::connect(&setup, connections)?);
    }
    if wanted("idle") {
        let members = if quick { 100 } else { 1_000 };
        progress(&format!("idle: {members} members, then as many again"));
        report.idle.push(measures::idle(&setup, members)?);
    }
    println!("{}\nMachine: {}", report.to_markdown(&setup.cores), cpu::machine(&setup.cores));
    Ok(())
}

fn prepare(quick: bool) -> Outcome<Setup> {
    progress("keys: 3072 bits, made once and kept");
    let keys = Path::new(env!("CARGO_TARGET_TMPDIR")).join("room-bench");
    let owner = Owner::Client("bench");
    let identity = load_or_make(&keys, owner, 3072, &mut rand::rng(), &PassphraseSource::default())?.identity;
    let seconds = |in_full: u64| Duration::from_secs(if quick { 1 } else { in_full });
    let cores = Cores::find()?;
    Ok(Setup { identity, keys, cores, warm_up: seconds(2), window: seconds(5), listening: seconds(10) })
}

/// What is being done, for whoever waits: it takes minutes.
fn progress(what: &str) {
    eprintln!("{what}");
}
