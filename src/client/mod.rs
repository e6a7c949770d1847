//! The client: one session, and the screen it is on.
//!
//! ```text
//! keyboard or pipe ──lines──▶ event_loop (owns ClientSession) ──frames──▶ server
//!        screen ◀──UiEvent─────┘    ▲   ▲
//!                                   │   └── reader thread ◀── records      one a connection
//!                                   └── reconnector (a thread), while there is no connection
//! ```
//!
//! A session outlives its connections.
//!
//! Invariant: what came from a peer reaches a screen as a `Name` or a `Text` only, and what is said leaves the session
//! sealed for those who may read it.

mod connect;
mod event_loop;
pub mod invitation_source;
mod notices;
mod outbox;
mod password_input;
mod peers;
mod race;
mod reconnector;
mod room_sender_key;
mod roster;
mod session;
mod session_numbers;
pub mod ui;
pub mod ui_event;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::chat::message::ByeReason;
use crate::chat::name::Name;
use crate::secure::identity::Fingerprint;
use crate::secure::token::Token;
use crate::store::key_files::KeyError;
use crate::store::line_file::LineFileError;
use crate::store::passphrase::PassphraseSource;

pub use event_loop::run;

/// Configuration of a client.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// The server: a name or an address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// By which it is reached.
    pub transport: Transport,
    /// The user's name.
    pub name: Name,
    /// The folder of one's own keys, and of what is known of servers.
    pub keys: PathBuf,
    /// The size of a new key, in bits.
    pub bits: usize,
    /// The passphrase of one's private key.
    pub passphrase: PassphraseSource,
    /// The only fingerprint that is taken.
    pub fingerprint: Option<Fingerprint>,
    /// An invitation's token; only with the server's fingerprint.
    pub token: Option<Token>,
    /// A file with the password of the user's name in its first line.
    pub password_file: Option<PathBuf>,
    /// True if a server that is not known is refused.
    pub strict: bool,
    /// True to share sender keys with verified users only.
    pub verified_only: bool,
    /// True if it comes back by itself when the connection is lost.
    pub reconnect: bool,
    /// Deadlines.
    pub timing: ClientTimeouts,
}

impl ClientConfig {
    /// Configuration of a client that takes every server at the first meeting, reconnects, and has the program's
    /// defaults for all else. Keys are in the folder `keys`.
    #[must_use]
    pub fn new(host: &str, port: u16, name: Name, keys: &Path) -> Self {
        Self {
            host: host.into(),
            port,
            transport: Transport::Tcp,
            name,
            keys: keys.into(),
            bits: 3072,
            passphrase: PassphraseSource::default(),
            fingerprint: None,
            token: None,
            password_file: None,
            strict: false,
            verified_only: false,
            reconnect: true,
            timing: ClientTimeouts::standard(Transport::Tcp),
        }
    }
}

/// Transport of records to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP (PROTOCOL.md §10).
    Udp,
}

/// Deadlines of a client.
#[derive(Clone, Copy, Debug)]
pub struct ClientTimeouts {
    /// For reaching the server, and then for handshake and Join.
    pub join: Duration,
    /// Time without a message after which the client sends a ping.
    pub ping: Duration,
    /// Without a record for so long, the connection is lost.
    pub silence: Duration,
    /// Time without an answer after which the user is told that a message is not accepted yet.
    pub accept: Duration,
    /// Time that leaving may take once all messages are delivered.
    pub leave: Duration,
    /// A credential that ends within this is changed for another one.
    pub renew: Duration,
}

impl ClientTimeouts {
    /// The protocol's timeouts (§6). Address translators forget UDP mappings sooner (§10).
    #[must_use]
    pub const fn standard(transport: Transport) -> Self {
        Self {
            join: Duration::from_secs(10),
            ping: Duration::from_secs(match transport {
                Transport::Tcp => 30,
                Transport::Udp => 15,
            }),
            silence: Duration::from_secs(90),
            accept: Duration::from_secs(10),
            leave: Duration::from_secs(5),
            renew: Duration::from_secs(24 * 60 * 60),
        }
    }
}

/// Why a session did not begin, or how it ended but by the user's own wish.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// One's own key pair.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Files of known users, or of letters.
    #[error(transparent)]
    Files(#[from] LineFileError),
    /// The server could not be reached.
    #[error("cannot reach {address}: {why}")]
    Unreachable {
        /// Where it should be.
        address: String,
        /// The system's error.
        why: String,
    },
    /// The server has another identity.
    #[error(transparent)]
    Unwanted(#[from] ServerPinError),
    /// The server refused.
    #[error("the server at {address} refused: {why}")]
    Refused {
        /// Where.
        address: String,
        /// Why.
        why: String,
        /// Remedy for the user.
        hint: Option<&'static str>,
    },
    /// The server ended the session.
    #[error("the server ended the session: {}{}", bye_text(*.reason), undelivered_text(*.undelivered))]
    Ended {
        /// Why.
        reason: ByeReason,
        /// Messages of which it is not known whether they were delivered.
        undelivered: usize,
    },
    /// The connection ended, without a goodbye.
    #[error("the connection was lost: {why}{}", undelivered_text(*.undelivered))]
    Lost {
        /// The error.
        why: String,
        /// Messages of which it is not known whether they were delivered.
        undelivered: usize,
    },
    /// The user left before the server had let them in.
    #[error("left before joining")]
    Abandoned,
    /// The user left before all messages were delivered.
    #[error("left{}", undelivered_text(*.undelivered))]
    Hurried {
        /// Messages of which it is not known whether they were delivered.
        undelivered: usize,
    },
    /// Lines from a pipe or a file were not delivered; the rest was.
    #[error("{}, see above", unsent_text(*.lines))]
    Unsent {
        /// Number.
        lines: usize,
        /// True if one of them was taken for a command.
        mistaken: bool,
    },
    /// The other end broke the protocol.
    #[error("the other end broke the protocol: {0}")]
    Broken(String),
    /// Threads, or the screen.
    #[error("cannot go on: {0}")]
    System(#[from] std::io::Error),
}

/// Reason why a server is refused. No data about the user has been sent to it.
#[derive(Debug, thiserror::Error)]
pub enum ServerPinError {
    /// It has another fingerprint than when it was first seen.
    #[error(
        "THE SERVER AT {address} HAS CHANGED KEYS. This may be an impostor.\n\
         \x20 it was  {known}\n\
         \x20 it is   {found}\n\
         Nothing about you has been sent."
    )]
    Changed {
        /// Where.
        address: String,
        /// The pinned fingerprint.
        known: Fingerprint,
        /// The present fingerprint.
        found: Fingerprint,
        /// The file that says so.
        file: PathBuf,
        /// The line there, from 1.
        line: usize,
    },
    /// It has another fingerprint than was asked for.
    #[error(
        "the server at {address} has another fingerprint than was asked for:\n  wanted  {wanted}\n  found   {found}"
    )]
    NotAsked {
        /// Where.
        address: String,
        /// The wanted fingerprint.
        wanted: Fingerprint,
        /// The present fingerprint.
        found: Fingerprint,
    },
    /// It is not known, and only known ones were to be taken.
    #[error("the server at {address} is not known, and --strict takes only known ones. Its fingerprint is\n  {found}")]
    Unknown {
        /// Where.
        address: String,
        /// The present fingerprint.
        found: Fingerprint,
    },
    /// The pins could not be read, or the new one not be written.
    #[error(transparent)]
    KnownServers(#[from] LineFileError),
}

impl ClientError {
    /// Returns a remedy for the user.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Key(error) => error.hint(),
            Self::Files(error) | Self::Unwanted(ServerPinError::KnownServers(error)) => error.hint(),
            Self::Unreachable { .. } => Some("check that the server runs, and that -s and -p are what it shows".into()),
            Self::Unwanted(ServerPinError::Changed { file, line, .. }) => Some(format!(
                "ask the operator. If the server has a new key, remove line {line} of {}",
                file.display()
            )),
            Self::Unwanted(ServerPinError::NotAsked { .. }) => Some("ask the operator which one is right".into()),
            Self::Unwanted(ServerPinError::Unknown { .. }) => Some(
                "if the operator confirms it, give it with --fingerprint, or leave --strict out once".into(),
            ),
            Self::Refused { hint, .. } => hint.map(str::to_owned),
            Self::Ended { reason: ByeReason::Replaced, .. } => {
                Some("the same name has joined from another place, with your key or another of its keys: /devices lists them".into())
            }
            Self::Unsent { mistaken: true, .. } => {
                Some("/say TEXT sends TEXT as it is".into())
            }
            Self::Unsent { .. }
            | Self::Ended { .. }
            | Self::Lost { .. }
            | Self::Hurried { .. }
            | Self::Abandoned
            | Self::Broken(_)
            | Self::System(_) => None,
        }
    }
}

fn bye_text(reason: ByeReason) -> &'static str {
    match reason {
        ByeReason::Terminated => "it stops (terminated)",
        ByeReason::Kicked => "an operator removed you (kicked)",
        ByeReason::Replaced => "you joined from another place (replaced)",
        ByeReason::Slow => "too many messages were waiting for you (slow)",
        ByeReason::Left => "you have left (left)",
    }
}

fn unsent_text(lines: usize) -> String {
    match lines {
        1 => "1 line was not delivered".into(),
        lines => format!("{lines} lines were not delivered"),
    }
}

fn undelivered_text(count: usize) -> String {
    match count {
        0 => String::new(),
        1 => "; it is not known whether your last message was delivered".into(),
        count => format!("; it is not known whether your last {count} messages were delivered"),
    }
}
