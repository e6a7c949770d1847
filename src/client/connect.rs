//! The way to a channel: connection, handshake, and a check of the server's identity.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rand::RngExt;

use super::race::{Answered, RaceError, first_answer};
use super::ui::Screen;
use super::ui_event::UiEvent;
use super::{ClientConfig, ClientError, ServerPinError};
use crate::net::Link;
use crate::net::secure_channel::{Channel, ChannelConnectError, ClientStep, now};
use crate::secure::credential::{CredentialError, OwnCredential};
use crate::secure::handshake::{ClientHandshakeError, RefusalCode, VerifiedPeer};
use crate::secure::identity::{Fingerprint, Identity};
use crate::store::DiskError;
use crate::store::known_servers::{KnownServers, Pin, address};
use crate::store::line_file::LineFileError;

/// Number of retries at a busy server, and their delay, in milliseconds.
const MORE_TRIES: u32 = 5;
const PAUSE: std::ops::RangeInclusive<u64> = 1_000..=3_000;

/// A channel, and the link under it.
pub(super) struct Connected {
    pub(super) channel: Channel,
    pub(super) link: Arc<dyn Link>,
}

/// Connects, and comes back a few times if the server is busy. Gives whether the server was known before, or was told of
/// by its fingerprint.
pub(super) fn connect(
    config: &ClientConfig,
    identity: &Identity,
    own: &OwnCredential,
    screen: &mut dyn Screen,
) -> Result<(Connected, bool), ClientError> {
    let mut steps = Steps { screen, shown: 0 };
    let mut is_pinned = true;
    for tries_left in (0..=MORE_TRIES).rev() {
        let mut remarks = Vec::new();
        let is_wanted = |found| judge(config, found, &mut remarks, &mut is_pinned);
        let tried = try_once(config, identity, own, is_wanted, |count| steps.up_to(count));
        for remark in remarks {
            steps.screen.show(&remark)?;
        }
        match tried {
            Err(ConnectError::Busy(_)) if tries_left > 0 => {
                let pause = Duration::from_millis(rand::rng().random_range(PAUSE));
                steps.screen.show(&UiEvent::Remark(format!(
                    "[!] The server is busy. Trying again in {:.1} s …",
                    pause.as_secs_f32()
                )))?;
                thread::sleep(pause);
            }
            Err(failed) => return Err(failed.into_error()),
            Ok(connected) => return Ok((connected, is_pinned)),
        }
    }
    unreachable!("the last try is final")
}

/// Connects once more, to the very same server.
pub(super) fn connect_again(
    config: &ClientConfig,
    identity: &Identity,
    own: &OwnCredential,
    server: Fingerprint,
) -> Result<Connected, ConnectError> {
    try_once(config, identity, own, |found| check_same_server(config, found, server), |_| {})
}

/// Why there is no connection.
pub(super) enum ConnectError {
    /// The server has no room now.
    Busy(ClientError),
    /// It may change later: the claim is not authenticated.
    Passing(ClientError),
    /// The own credential is not for today, as the server's clock and the own one say.
    Stale(ClientError),
    /// It will not be otherwise.
    Final(ClientError),
}

impl ConnectError {
    fn into_error(self) -> ClientError {
        match self {
            Self::Busy(error) | Self::Passing(error) | Self::Stale(error) | Self::Final(error) => error,
        }
    }
}

impl<E: Into<ClientError>> From<E> for ConnectError {
    fn from(error: E) -> Self {
        Self::Final(error.into())
    }
}

/// The steps that are shown, each once, however often one tries.
struct Steps<'a> {
    screen: &'a mut dyn Screen,
    shown: usize,
}

const STEPS: [&str; 5] = [
    "Connected successfully.",
    "Exchanging keys.",
    "Getting public key from the server",
    "Sending public key to server",
    "Exchange completed!",
];

impl Steps<'_> {
    fn up_to(&mut self, count: usize) {
        for step in STEPS.iter().take(count).skip(self.shown) {
            // A screen that fails to show must fail before data can be lost.
            let _ = self.screen.show(&UiEvent::Step(step));
        }
        self.shown = self.shown.max(count);
    }
}

fn try_once(
    config: &ClientConfig,
    identity: &Identity,
    own: &OwnCredential,
    is_wanted: impl FnOnce(Fingerprint) -> Result<(), ServerPinError>,
    mut step: impl FnMut(usize),
) -> Result<Connected, ConnectError> {
    // Both steps are shown when an address has taken the connection.
    let answered = first_answer(config, || step(3)).map_err(|failed| match failed {
        RaceError::Unreached(error) => ConnectError::Passing(unreachable_at(config, &error)),
        RaceError::Failed(failed) => not_connected(config, own, failed),
    })?;
    let Answered { handshake, deadline } = answered;
    let link = handshake.link().clone();
    let judge = |server: &VerifiedPeer| is_wanted(server.credential().fingerprint());
    let channel = handshake.finish(deadline, &mut rand::rng(), identity, own, now(), judge, |come_to| {
        step(match come_to {
            ClientStep::GettingKey => 3,
            ClientStep::SendingKey => 4,
            ClientStep::Completed => 5,
        });
    });
    match channel {
        Ok(channel) => Ok(Connected { channel, link }),
        Err(failed) => Err(not_connected(config, own, failed)),
    }
}

fn not_connected(
    config: &ClientConfig,
    own: &OwnCredential,
    failed: ChannelConnectError<ServerPinError>,
) -> ConnectError {
    match failed {
        ChannelConnectError::Unwanted(unwanted) => unwanted.into(),
        ChannelConnectError::Handshake(failed) => failure(config, own, failed),
        ChannelConnectError::Cut { before_keys: true } => ConnectError::Busy(refused(config, "it hung up", None)),
        ChannelConnectError::Cut { before_keys: false } => ConnectError::Passing(refused(config, "it hung up", None)),
        ChannelConnectError::Silent => {
            let why = "something listens there, but did not answer in time as a cfb-chat server does".into();
            ConnectError::Passing(ClientError::Unreachable { address: address(&config.host, config.port), why })
        }
    }
}

/// Checks the server's identity. A new one is pinned before data is sent to it.
fn judge(
    config: &ClientConfig,
    found: Fingerprint,
    remarks: &mut Vec<UiEvent>,
    is_pinned: &mut bool,
) -> Result<(), ServerPinError> {
    let address = address(&config.host, config.port);
    if let Some(wanted) = config.fingerprint.filter(|wanted| *wanted != found) {
        return Err(ServerPinError::NotAsked { address, wanted, found });
    }
    let known = KnownServers::in_folder(&config.keys);
    let mut pin = known.look_up(&config.host, config.port, found)?;
    if pin == Pin::Unknown {
        if config.strict && config.fingerprint.is_none() {
            return Err(ServerPinError::Unknown { address, found });
        }
        *is_pinned &= config.fingerprint.is_some();
        let (kept, why) = match known.keep(&config.host, config.port, found) {
            // The fingerprint is given each time: the file is a convenience then.
            Err(LineFileError::Disk(error @ DiskError::Write { .. })) if config.fingerprint.is_some() => {
                (Pin::Unknown, Some(error))
            }
            kept => (kept?, None),
        };
        pin = kept;
        if let Some(why) = why {
            remarks.push(UiEvent::Remark(format!("[!] First contact with {address}, which is not kept: {why}")));
        } else if pin == Pin::Unknown {
            let check = if config.fingerprint.is_some() {
                ""
            } else {
                "\n[!] Compare it with what the server shows at its start."
            };
            remarks.push(UiEvent::Remark(format!(
                "[!] First contact with {address}. Its fingerprint is\n    {found}{check}\n    Kept in {}.",
                known.path().display()
            )));
        }
    }
    match pin {
        Pin::Unknown | Pin::Same => Ok(()),
        Pin::Changed { known: was, line } => {
            Err(ServerPinError::Changed { address, known: was, found, file: known.path().to_owned(), line })
        }
    }
}

/// Checks that the server is the same as before; no file is read or written.
fn check_same_server(config: &ClientConfig, found: Fingerprint, before: Fingerprint) -> Result<(), ServerPinError> {
    if found == before {
        return Ok(());
    }
    let address = address(&config.host, config.port);
    let known = KnownServers::in_folder(&config.keys);
    match known.look_up(&config.host, config.port, found) {
        Ok(Pin::Changed { known: was, line }) => {
            Err(ServerPinError::Changed { address, known: was, found, file: known.path().to_owned(), line })
        }
        _ => Err(ServerPinError::NotAsked { address, wanted: before, found }),
    }
}

fn failure(config: &ClientConfig, own: &OwnCredential, failed: ClientHandshakeError) -> ConnectError {
    // Data that is not sealed with the agreed keys may be forged on the way.
    let (code, bare, trouble): (_, _, fn(ClientError) -> ConnectError) = match failed {
        ClientHandshakeError::RefusedBare(code) => {
            (code, " (said in the clear: perhaps not by the server)", ConnectError::Passing)
        }
        // Either clock may be set right at any time; the server's credential has held by ours.
        ClientHandshakeError::Refused(RefusalCode::Clock) if own.is_current(now()) => {
            (RefusalCode::Clock, "", ConnectError::Passing)
        }
        ClientHandshakeError::Refused(RefusalCode::Clock) => (RefusalCode::Clock, "", ConnectError::Stale),
        ClientHandshakeError::Refused(code) => (code, "", ConnectError::Final),
        ClientHandshakeError::Server(CredentialError::Clock) => {
            let hint = Some("is this machine's clock right? The server's credential is not for today");
            return ConnectError::Passing(refused(config, "the two clocks differ by more than a day", hint));
        }
        ClientHandshakeError::Malformed | ClientHandshakeError::Unopened | ClientHandshakeError::Server(_) => {
            return ConnectError::Passing(ClientError::Broken(failed.to_string()));
        }
    };
    let (why, hint) = match code {
        RefusalCode::Version => {
            ("it speaks another version of the protocol", Some("the newer of the two programs is the one to keep"))
        }
        RefusalCode::Malformed => ("it did not understand", None),
        RefusalCode::Credential => ("your credential does not hold for it", None),
        RefusalCode::Clock => ("the two clocks differ by more than a day", Some("is this machine's clock right?")),
        RefusalCode::Name => ("it does not take your name", Some("choose another with -u")),
        RefusalCode::Refused => ("you may not come in", None),
        RefusalCode::Busy => {
            return ConnectError::Busy(refused(config, &format!("it is busy{bare}"), Some("try again in a minute")));
        }
    };
    trouble(refused(config, &format!("{why}{bare}"), hint))
}

fn refused(config: &ClientConfig, why: &str, hint: Option<&'static str>) -> ClientError {
    ClientError::Refused { address: address(&config.host, config.port), why: why.into(), hint }
}

fn unreachable_at(config: &ClientConfig, error: &std::io::Error) -> ClientError {
    ClientError::Unreachable { address: address(&config.host, config.port), why: error.to_string() }
}
