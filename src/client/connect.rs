//! From nothing to a channel: the connection, the handshake, and whether the server is who it should be.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rand::RngExt;

use super::ui::Screen;
use super::view::Shown;
use super::{ClientError, Config, Transport, Unwanted};
use crate::net::Link;
use crate::net::channel::{Channel, ClientStep, NotConnected, connect as handshake, now};
use crate::net::tcp::TcpLink;
use crate::net::udp;
use crate::secure::credential::{BadCredential, OwnCredential};
use crate::secure::handshake::{Failed, RefusalCode, VerifiedPeer};
use crate::secure::identity::{Fingerprint, Identity};
use crate::store::known_servers::{KnownServers, Pin, address};

/// How often a busy server is tried again, and after how long, in milliseconds.
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
    config: &Config,
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
            Err(Trouble::Busy(_)) if tries_left > 0 => {
                let pause = Duration::from_millis(rand::rng().random_range(PAUSE));
                steps.screen.show(&Shown::Remark(format!(
                    "[!] The server is busy. Trying again in {:.1} s …",
                    pause.as_secs_f32()
                )))?;
                thread::sleep(pause);
            }
            Err(Trouble::Busy(error) | Trouble::Passing(error) | Trouble::Final(error)) => return Err(error),
            Ok(connected) => return Ok((connected, is_pinned)),
        }
    }
    unreachable!("the last try is final")
}

/// Connects once more, to the very same server.
pub(super) fn connect_again(
    config: &Config,
    identity: &Identity,
    own: &OwnCredential,
    server: Fingerprint,
) -> Result<Connected, Trouble> {
    try_once(config, identity, own, |found| is_same(config, found, server), |_| {})
}

/// Why there is no connection.
pub(super) enum Trouble {
    /// The server has no room now.
    Busy(ClientError),
    /// It may be otherwise later, and nobody who could be trusted has said that it will not.
    Passing(ClientError),
    /// It will not be otherwise.
    Final(ClientError),
}

impl<E: Into<ClientError>> From<E> for Trouble {
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
            // A screen that takes nothing shows when there is something to lose.
            let _ = self.screen.show(&Shown::Step(step));
        }
        self.shown = self.shown.max(count);
    }
}

fn try_once(
    config: &Config,
    identity: &Identity,
    own: &OwnCredential,
    is_wanted: impl FnOnce(Fingerprint) -> Result<(), Unwanted>,
    mut step: impl FnMut(usize),
) -> Result<Connected, Trouble> {
    let link = reach(config).map_err(Trouble::Passing)?;
    let deadline = Instant::now() + config.timing.join;
    step(2);
    let judge = |server: &VerifiedPeer| is_wanted(server.credential().fingerprint());
    let channel = handshake(&link, deadline, &mut rand::rng(), identity, own, now(), judge, |come_to| {
        step(match come_to {
            ClientStep::GettingKey => 3,
            ClientStep::SendingKey => 4,
            ClientStep::Completed => 5,
        });
    });
    match channel {
        Ok(channel) => Ok(Connected { channel, link }),
        Err(NotConnected::Unwanted(unwanted)) => Err(unwanted.into()),
        Err(NotConnected::Handshake(failed)) => Err(failure(config, failed)),
        Err(NotConnected::Cut { before_keys: true }) => Err(Trouble::Busy(refused(config, "it hung up", None))),
        Err(NotConnected::Cut { before_keys: false }) => Err(Trouble::Passing(refused(config, "it hung up", None))),
        Err(NotConnected::Silent) => {
            let why = "something listens there, but did not answer in time as a cfb-chat server does".into();
            Err(Trouble::Passing(ClientError::Unreachable { address: address(&config.host, config.port), why }))
        }
    }
}

fn reach(config: &Config) -> Result<Arc<dyn Link>, ClientError> {
    let addresses = (&*config.host, config.port).to_socket_addrs().map_err(|error| unreachable_at(config, &error))?;
    let mut last = None;
    for address in addresses {
        match reach_at(address, config) {
            Ok(link) => return Ok(link),
            Err(error) => last = Some(error),
        }
    }
    let error = last.unwrap_or_else(|| std::io::Error::other("that name has no address"));
    Err(unreachable_at(config, &error))
}

/// A link to one address, by TCP or by UDP: nothing else differs.
fn reach_at(address: SocketAddr, config: &Config) -> std::io::Result<Arc<dyn Link>> {
    if config.transport == Transport::Udp {
        return Ok(Arc::new(udp::client::connect(address, config.timing.join)?));
    }
    Ok(Arc::new(TcpLink::new(TcpStream::connect_timeout(&address, config.timing.join)?)?))
}

/// Whether the server is the one that is wanted. A new one is kept before anything is sent to it.
fn judge(config: &Config, found: Fingerprint, remarks: &mut Vec<Shown>, is_pinned: &mut bool) -> Result<(), Unwanted> {
    let address = address(&config.host, config.port);
    if let Some(wanted) = config.fingerprint.filter(|wanted| *wanted != found) {
        return Err(Unwanted::NotAsked { address, wanted, found });
    }
    let known = KnownServers::in_folder(&config.keys);
    let mut pin = known.look_up(&config.host, config.port, found)?;
    if pin == Pin::Unknown {
        if config.strict && config.fingerprint.is_none() {
            return Err(Unwanted::Unknown { address, found });
        }
        *is_pinned &= config.fingerprint.is_some();
        pin = known.keep(&config.host, config.port, found)?;
        if pin == Pin::Unknown {
            let check = if config.fingerprint.is_some() {
                ""
            } else {
                "\n[!] Compare it with what the server shows at its start."
            };
            remarks.push(Shown::Remark(format!(
                "[!] First contact with {address}. Its fingerprint is\n    {found}{check}\n    Kept in {}.",
                known.path().display()
            )));
        }
    }
    match pin {
        Pin::Unknown | Pin::Same => Ok(()),
        Pin::Changed { known: was, line } => {
            Err(Unwanted::Changed { address, known: was, found, file: known.path().to_owned(), line })
        }
    }
}

/// Whether the server is the very same as before: nothing is kept, and no file need say so.
fn is_same(config: &Config, found: Fingerprint, before: Fingerprint) -> Result<(), Unwanted> {
    if found == before {
        return Ok(());
    }
    let address = address(&config.host, config.port);
    let known = KnownServers::in_folder(&config.keys);
    match known.look_up(&config.host, config.port, found) {
        Ok(Pin::Changed { known: was, line }) => {
            Err(Unwanted::Changed { address, known: was, found, file: known.path().to_owned(), line })
        }
        _ => Err(Unwanted::NotAsked { address, wanted: before, found }),
    }
}

fn failure(config: &Config, failed: Failed) -> Trouble {
    // What is not sealed with what the server has agreed to is anybody's on the way.
    let (code, bare, trouble): (_, _, fn(ClientError) -> Trouble) = match failed {
        Failed::RefusedBare(code) => (code, " (said in the clear: perhaps not by the server)", Trouble::Passing),
        Failed::Refused(code) => (code, "", Trouble::Final),
        Failed::Server(BadCredential::Clock) => {
            let hint = Some("is this machine's clock right? The server's credential is not for today");
            return Trouble::Passing(refused(config, "the two clocks differ by more than a day", hint));
        }
        Failed::Malformed | Failed::Unopened | Failed::Server(_) => {
            return Trouble::Passing(ClientError::Broken(failed.to_string()));
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
            return Trouble::Busy(refused(config, &format!("it is busy{bare}"), Some("try again in a minute")));
        }
    };
    trouble(refused(config, &format!("{why}{bare}"), hint))
}

fn refused(config: &Config, why: &str, hint: Option<&'static str>) -> ClientError {
    ClientError::Refused { address: address(&config.host, config.port), why: why.into(), hint }
}

fn unreachable_at(config: &Config, error: &std::io::Error) -> ClientError {
    ClientError::Unreachable { address: address(&config.host, config.port), why: error.to_string() }
}
