//! Settings of the server, and their changes while it runs.
//!
//! ```text
//! RELOAD, SIGHUP ──▶ ChatService::reload ──▶ ConfigLoader ──▶ changed ──▶ ChatState::reconfigure, log level; limiter and connections look here
//! ```
//!
//! Invariant: invalid settings change no setting; what cannot change while the server runs stays, and is reported.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use log::LevelFilter;

use super::connection_limits::ConnectionLimits;
use crate::chat::name::Visible;
use crate::chat::rate_limit::Rate;
pub use crate::chat::state::JournalPlace;
use crate::chat::state::{Access, Limits, Policy};
use crate::store::passphrase::PassphraseSource;

/// Configuration of a server.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Where to listen: a name or an address, IPv4 or IPv6.
    pub host: String,
    /// On which port; 0 for any.
    pub port: u16,
    /// Address that invitations name, `host` or `host:port`, if it differs from the listening one.
    pub public_address: Option<String>,
    /// True if it listens for UDP too, on the same port.
    pub udp: bool,
    /// The folder with its keys.
    pub keys: PathBuf,
    /// The size of a new key, in bits.
    pub bits: usize,
    /// The passphrase of its private key.
    pub passphrase: PassphraseSource,
    /// Storage.
    pub keeping: StorageConfig,
    /// Access.
    pub access: Access,
    /// True if the limits of PROTOCOL.md §9 are kept. Deadlines and bounds of buffers always are.
    pub limits: bool,
    /// Level of the event log.
    pub log_level: LevelFilter,
    /// Deadlines.
    pub timing: ServerTimeouts,
}

impl ServerConfig {
    /// Configuration of a server on 127.0.0.1 with keys and data in a folder, open to all users, with the program's
    /// defaults for all else. Port 0 is any free port.
    #[must_use]
    pub fn in_folder(folder: &Path, port: u16) -> Self {
        Self {
            host: "127.0.0.1".into(),
            port,
            public_address: None,
            udp: false,
            keys: folder.join("keys"),
            bits: 3072,
            passphrase: PassphraseSource::default(),
            keeping: StorageConfig {
                data: folder.join("data"),
                journal: JournalPlace::Disk,
                journal_size: 64 * 1_024 * 1_024,
                resume: Duration::from_secs(120),
                unused_names: Duration::from_secs(180 * 24 * 60 * 60),
            },
            access: Access::Open,
            limits: true,
            log_level: LevelFilter::Info,
            timing: ServerTimeouts::standard(),
        }
    }
}

/// Storage of a server (PROTOCOL.md §8).
#[derive(Clone, Debug)]
pub struct StorageConfig {
    /// The folder with the journal and the letters.
    pub data: PathBuf,
    /// Place of the journal: on disk, where it survives a crash, or in memory.
    pub journal: JournalPlace,
    /// Limit on the events kept for slow readers, in bytes.
    pub journal_size: u64,
    /// Time that the session of a lost connection is kept.
    pub resume: Duration,
    /// A name without a password is free again when it has not been used for so long.
    pub unused_names: Duration,
}

/// Deadlines and paces of one connection.
#[derive(Clone, Copy, Debug)]
pub struct ServerTimeouts {
    /// For handshake and Join together.
    pub join: Duration,
    /// For a second Join, with a password.
    pub once_more: Duration,
    /// Without a record for so long, a connection is lost.
    pub silence: Duration,
    /// For hearing why one may not join.
    pub farewell: Duration,
    /// Messages of any kind; above it the connection is throttled. `None`: no bound.
    pub messages: Option<Rate>,
}

impl ServerTimeouts {
    /// The protocol's (§6, §9).
    #[must_use]
    pub const fn standard() -> Self {
        Self {
            join: Duration::from_secs(10),
            once_more: Duration::from_secs(60),
            silence: Duration::from_secs(90),
            farewell: Duration::from_secs(5),
            messages: Some(Rate::per_second(100, 100)),
        }
    }
}

/// Reads the settings again, from wherever they came. An error is for the operator, with a hint in a line of its own.
pub type ConfigLoader = Box<dyn Fn() -> Result<ServerConfig, String> + Send + Sync>;

const NOT_READ_AGAIN: &str = "this server has no settings to read again";
const DAY: u64 = 24 * 60 * 60;

/// The settings that are in effect.
pub(super) struct ServerSettings {
    now: Mutex<Arc<ServerConfig>>,
    reread: Option<ConfigLoader>,
    /// Held while they are read again: one reader after the other.
    reading: Mutex<()>,
}

impl ServerSettings {
    pub(super) fn new(config: &ServerConfig, reread: Option<ConfigLoader>) -> Self {
        Self { now: Mutex::new(Arc::new(config.clone())), reread, reading: Mutex::new(()) }
    }

    /// Returns the settings in effect.
    pub(super) fn now(&self) -> Arc<ServerConfig> {
        lock(&self.now).clone()
    }

    /// Reads them again, and has `put_in_force` make of them what is to be so from now on. Gives what has changed.
    pub(super) fn reload(&self, put_in_force: impl FnOnce(&ServerConfig)) -> Result<String, String> {
        let _one_at_a_time = lock(&self.reading);
        let wanted = self.reread.as_ref().ok_or(NOT_READ_AGAIN)?()?;
        let before = self.now();
        let after = changed(&before, &wanted);
        let told = told(&before, &after, &wanted);
        put_in_force(&after);
        *lock(&self.now) = Arc::new(after);
        Ok(told)
    }
}

impl ServerConfig {
    /// The chat state's bounds.
    pub(super) fn hall_limits(&self) -> Limits {
        let limits = if self.limits { Limits::standard() } else { Limits::off() };
        Limits { resume: self.keeping.resume, backlog: self.keeping.journal_size, ..limits }
    }

    /// Returns the chat's policy.
    pub(super) fn policy(&self) -> Policy {
        Policy { access: self.access, unused_names: self.keeping.unused_names, journal: self.keeping.journal }
    }

    pub(super) fn gate_limits(&self) -> ConnectionLimits {
        if self.limits { ConnectionLimits::standard() } else { ConnectionLimits::off() }
    }

    /// Deadlines and paces of connections that come from now on.
    pub(super) fn timing_in_force(&self) -> ServerTimeouts {
        ServerTimeouts { messages: self.timing.messages.filter(|_| self.limits), ..self.timing }
    }
}

/// Merges wanted settings that can change while the server runs into the present ones.
fn changed(before: &ServerConfig, wanted: &ServerConfig) -> ServerConfig {
    ServerConfig {
        access: wanted.access,
        limits: wanted.limits,
        log_level: wanted.log_level,
        public_address: wanted.public_address.clone(),
        keeping: StorageConfig {
            journal_size: wanted.keeping.journal_size,
            resume: wanted.keeping.resume,
            unused_names: wanted.keeping.unused_names,
            ..before.keeping.clone()
        },
        ..before.clone()
    }
}

/// Name of a setting, and its text.
type ShownSetting = (&'static str, fn(&ServerConfig) -> String);

const SHOWN: [ShownSetting; 15] = [
    ("port", |config| config.port.to_string()),
    ("host", |config| config.host.clone()),
    ("public-address", |config| config.public_address.clone().unwrap_or_else(|| "none".into())),
    ("udp", |config| config.udp.to_string()),
    ("keys", |config| shown(&config.keys)),
    ("bits", |config| config.bits.to_string()),
    ("passphrase-file", |config| config.passphrase.file.as_deref().map_or("none".into(), shown)),
    ("data", |config| shown(&config.keeping.data)),
    ("journal", |config| if config.keeping.journal == JournalPlace::Disk { "disk".into() } else { "memory".into() }),
    ("journal-size", |config| format!("{} MiB", config.keeping.journal_size >> 20)),
    ("resume-window", |config| format!("{} s", config.keeping.resume.as_secs())),
    ("unused-names", |config| format!("{} days", config.keeping.unused_names.as_secs() / DAY)),
    ("access", |config| access(config.access).into()),
    ("limits", |config| if config.limits { "on".into() } else { "off".into() }),
    ("log-level", |config| config.log_level.as_str().to_lowercase()),
];

fn access(access: Access) -> &'static str {
    match access {
        Access::Open => "open",
        Access::Invite => "invite",
        Access::Closed => "closed",
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// One text for the operator: what is other than before, and what will be after a restart.
fn told(before: &ServerConfig, after: &ServerConfig, wanted: &ServerConfig) -> String {
    let mut lines = String::new();
    for (key, show) in SHOWN {
        let (was, is, will_be) = (show(before), show(after), show(wanted));
        if was != will_be {
            let when = if is == will_be { "" } else { ", after a restart" };
            let _ = write!(lines, "\n{key}: {} → {}{when}", Visible(&was), Visible(&will_be));
        }
    }
    if lines.is_empty() {
        return "the settings are read again: nothing has changed".into();
    }
    format!("the settings are read again:{lines}")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Its value is never half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
