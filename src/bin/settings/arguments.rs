//! Arguments of the server: the command line, and which of them are settings.

use std::path::PathBuf;
use std::time::Duration;

use cfb_chat::chat::state;
use cfb_chat::server::{JournalPlace, ServerConfig, ServerTimeouts, StorageConfig};
use clap::{ArgAction, Args, Parser, ValueEnum};
use log::LevelFilter;

use super::address::public_address;
use crate::shared::{KeyArguments, host};

const DAY: u64 = 24 * 60 * 60;

const EXAMPLES: &str = "\
Examples:
  server -p 9443                     for this machine alone
  server --host 0.0.0.0 -p 9443      for everybody who can reach it
  server -p 0 --keys /srv/chat/keys  on any free port, which is printed
  server --udp                       for clients with --udp too, on the same port
  server --config chat.toml          with the settings of a file
  server --check > chat.toml         makes such a file

A file of settings is TOML; each long flag above is a key of it, but for --config and --check:
  host = \"0.0.0.0\"
  port = 9443
  udp = true
  access = \"invite\"
  data = \"/srv/chat/data\"
A relative path in it begins at the file's folder. The command line comes before the environment,
and that before the file. SIGHUP has the file read again: access, journal-size, limits, log-level,
public-address, resume-window and unused-names change at once, and everybody who is in stays; the
rest waits for a restart.

Console:
  TERMINATE  ends all sessions and stops the server (as do Ctrl+C and SIGTERM)
  WHO        lists who is here
  HELP       lists the commands

Exit status:
  0  stopped by TERMINATE, Ctrl+C or SIGTERM; or --check has found nothing wrong
  1  anything else that failed
  2  wrong usage, or something is wrong in the file of settings
  3  its keys cannot be used
  4  cannot listen on that address
  5  what it keeps (--data) cannot be used";

/// Hosts a private group chat. Standard output has its address and the answers to console commands; the event log,
/// which never has content, goes to standard error.
#[derive(Parser)]
#[command(name = "server", version, after_help = EXAMPLES)]
pub struct Arguments {
    /// File of settings, in TOML
    #[arg(long, value_name = "FILE", env = "CFB_CHAT_CONFIG")]
    pub config: Option<PathBuf>,
    /// Check the settings: report errors, or print them with their sources. Starts and changes no server
    #[arg(long)]
    pub check: bool,
    #[command(flatten)]
    pub settings: ServerArguments,
}

/// All that can be settled; each long flag is a key of the file.
#[derive(Args)]
pub struct ServerArguments {
    /// Port to listen on; 0 for any
    #[arg(short, long, default_value_t = 9443)]
    port: u16,
    /// Address to listen on, IPv4 or IPv6
    #[arg(long, default_value = "127.0.0.1", value_parser = host)]
    pub host: String,
    /// Address that invitations name, if it differs from the listening one
    #[arg(long, value_name = "HOST[:PORT]", value_parser = public_address)]
    pub public_address: Option<String>,
    /// Listen for UDP too, on the same port
    #[arg(
        long,
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        value_name = "true|false",
        default_value = "false",
        default_missing_value = "true",
        hide_possible_values = true
    )]
    udp: bool,
    #[command(flatten)]
    pub keys: KeyArguments,
    /// Folder for what it keeps: letters, and the journal of what has yet to be read
    #[arg(long, value_name = "FOLDER", env = "CFB_CHAT_DATA", default_value = "data")]
    pub data: PathBuf,
    /// Where the journal is: on disk, where accepted messages survive a crash; or in memory
    #[arg(long, value_enum, default_value = "disk")]
    journal: JournalChoice,
    /// Size limit of the journal, in MiB; above it the oldest events are dropped
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    journal_size: u64,
    /// Time that the server keeps the session of a lost connection, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(..=86_400))]
    resume_window: u64,
    /// After how many unused days a name without a password is free again
    #[arg(long, value_name = "DAYS", default_value_t = 180, value_parser = clap::value_parser!(u64).range(1..=36_500))]
    unused_names: u64,
    /// Users who may join: all; those with a registered name or an invitation; or only the former
    #[arg(long, value_enum, default_value = "open")]
    access: AccessChoice,
    /// Limits on rates, sizes of rooms and connections; deadlines and bounds of buffers always hold
    #[arg(long, value_enum, default_value = "on")]
    limits: Switch,
    /// Level of the event log: off, error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub log_level: LevelFilter,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum JournalChoice {
    Disk,
    Memory,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum AccessChoice {
    Open,
    Invite,
    Closed,
}

impl ServerArguments {
    /// Makes the server's settings of them.
    pub fn config(&self) -> ServerConfig {
        ServerConfig {
            host: self.host.clone(),
            port: self.port,
            public_address: self.public_address.clone(),
            udp: self.udp,
            keys: self.keys.keys.clone(),
            bits: self.keys.bits(),
            passphrase: self.keys.passphrase(),
            keeping: StorageConfig {
                data: self.data.clone(),
                journal: match self.journal {
                    JournalChoice::Disk => JournalPlace::Disk,
                    JournalChoice::Memory => JournalPlace::Memory,
                },
                journal_size: self.journal_size * 1_024 * 1_024,
                resume: Duration::from_secs(self.resume_window),
                unused_names: Duration::from_secs(self.unused_names * DAY),
            },
            access: match self.access {
                AccessChoice::Open => state::Access::Open,
                AccessChoice::Invite => state::Access::Invite,
                AccessChoice::Closed => state::Access::Closed,
            },
            limits: self.limits == Switch::On,
            log_level: self.log_level,
            timing: ServerTimeouts::standard(),
        }
    }
}
