//! `server`: hosts a chat.

mod shared;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use cfb_chat::chat::hall::Access;
use cfb_chat::server::log_pipe::LogPipe;
use cfb_chat::server::{Config, JournalPlace, Keeping, Server, StartError, Timing, console};
use clap::{Parser, ValueEnum};
use log::{LevelFilter, info};

use self::shared::{KeyArguments, host, report};

const EXAMPLES: &str = "\
Examples:
  server -p 9443                     for this machine alone
  server --host 0.0.0.0 -p 9443      for everybody who can reach it
  server -p 0 --keys /srv/chat/keys  on any free port, which is printed
  server --udp                       for clients with --udp too, on the same port

Console:
  TERMINATE  ends all sessions and stops the server (as do Ctrl+C and SIGTERM)
  WHO        lists who is here
  HELP       lists the commands

Exit status:
  0  stopped by TERMINATE, Ctrl+C or SIGTERM
  1  anything else that failed
  2  wrong usage
  3  its keys cannot be used
  4  cannot listen on that address
  5  what it keeps (--data) cannot be used";

/// Hosts a private group chat. Standard output has its address and the answers to console commands; the event log,
/// which never has content, goes to standard error.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Arguments {
    /// Port to listen on; 0 for any
    #[arg(short, long, default_value_t = 9443)]
    port: u16,
    /// Address to listen on, IPv4 or IPv6
    #[arg(long, default_value = "127.0.0.1", value_parser = host)]
    host: String,
    /// Listen for UDP too, on the same port
    #[arg(long)]
    udp: bool,
    #[command(flatten)]
    keys: KeyArguments,
    /// Folder for what it keeps: letters, and the journal of what has yet to be read
    #[arg(long, value_name = "FOLDER", env = "CFB_CHAT_DATA", default_value = "data")]
    data: PathBuf,
    /// Where the journal is: on disk, and nothing accepted is lost in a crash; or in memory
    #[arg(long, value_enum, default_value = "disk")]
    journal: Place,
    /// How much the journal holds, in MiB; then it forgets the oldest
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    journal_size: u64,
    /// For how long somebody whose connection is lost is waited for, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(..=86_400))]
    resume_window: u64,
    /// What the event log has: off, error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log_level: LevelFilter,
    /// Limits on rates, sizes of rooms and connections; deadlines and bounds of buffers always hold
    #[arg(long, value_enum, default_value = "on")]
    limits: Switch,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Place {
    Disk,
    Memory,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error, error.hint());
            ExitCode::from(match error {
                StartError::Key(_) => 3,
                StartError::Listen { .. } => 4,
                StartError::Data(_) => 5,
                StartError::System(_) => 1,
            })
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), StartError> {
    let log = start_log(arguments.log_level)?;
    let config = Config {
        host: arguments.host.clone(),
        port: arguments.port,
        udp: arguments.udp,
        keys: arguments.keys.keys.clone(),
        bits: arguments.keys.bits(),
        passphrase: arguments.keys.passphrase(),
        keeping: Keeping {
            data: arguments.data.clone(),
            journal: match arguments.journal {
                Place::Disk => JournalPlace::Disk,
                Place::Memory => JournalPlace::Memory,
            },
            journal_size: arguments.journal_size * 1_024 * 1_024,
            resume: Duration::from_secs(arguments.resume_window),
            unused_names: Duration::from_secs(180 * 24 * 60 * 60),
        },
        access: Access::Open,
        public_address: None,
        limits: arguments.limits == Switch::On,
        timing: Timing::standard(),
    };
    let server = Server::start(&config)?;
    let address = server.address();
    say(&format!("[+] Running on host: {}\n[+] Running on port: {}", address.ip(), address.port()));
    info!("[+] Fingerprint: {}", server.fingerprint());
    console::watch_signals(server.stopper())?;
    console::start(server.stopper())?;
    server.wait();
    log.finish(Duration::from_secs(1));
    say("[+] All connections had been terminated\n[+] Server is shut down");
    Ok(())
}

/// Lines on standard output; that nobody reads them is no reason to stop.
fn say(lines: &str) {
    let mut output = io::stdout().lock();
    let _ = writeln!(output, "{lines}").and_then(|()| output.flush());
}

fn start_log(level: LevelFilter) -> io::Result<LogPipe> {
    let pipe = LogPipe::start(io::stderr())?;
    env_logger::Builder::new()
        .filter_module("cfb_chat", level)
        .filter_module("server", level)
        .target(env_logger::Target::Pipe(Box::new(pipe.clone())))
        .format(|line, record| writeln!(line, "{} {}", chrono::Local::now().format("%Y-%m-%d %H:%M:%S"), record.args()))
        .init();
    Ok(pipe)
}
