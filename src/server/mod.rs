//! The server's threads.
//!
//! ```text
//! accept, udp ──▶ limiter ──▶ handshake pool ──▶ listener (one a client) ──▶ service (a lock) ──▶ workers (one a core) ──▶ sockets
//!                                                                 ▲
//!                                                 console, signals┘
//! ```
//!
//! Invariant: it holds no key to what it relays, and every session belongs to a verified peer.

mod accept;
mod commit_pipeline;
mod connection;
mod connection_limits;
mod connection_writer;
pub mod console;
mod credential_source;
mod fanout;
mod handshake_pool;
pub mod log_writer;
mod registry_writer;
mod repeated_warning;
mod service;
mod settings;
mod status;
mod thread_budget;
mod worker_event;

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, ToSocketAddrs, UdpSocket};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use log::{info, warn};
use rand::RngExt;

use self::accept::Accept;
use self::connection::Connection;
use self::connection_limits::{Admission, ConnectionLimiter, Evicted};
use self::credential_source::CredentialSource;
use self::handshake_pool::HandshakePool;
use self::repeated_warning::RepeatedWarning;
use self::service::{ChatService, RecoveredState, ServerInfo};
use self::settings::ServerSettings;
pub use self::settings::{ConfigLoader, JournalPlace, ServerConfig, ServerTimeouts, StorageConfig};
use self::thread_budget::ThreadBudget;
use crate::chat::ConnectionId;
use crate::chat::journal_record::JournalRecord;
use crate::chat::name::Visible;
use crate::net::Link;
use crate::net::secure_channel::now;
use crate::net::udp::server::UdpListener;
use crate::secure::credential::SignatureCache;
use crate::secure::handshake::RefusalCode;
use crate::secure::handshake::server::refused_bare;
use crate::secure::identity::Fingerprint;
use crate::secure::invitation::Invitation;
use crate::secure::password;
use crate::secure::token::Token;
use crate::store::database::DatabaseError;
use crate::store::journal::Journal;
use crate::store::key_files::{self, KeyError, KeyHolder};
use crate::store::registry::Registry;
use crate::store::shortcomings::take_untold;

/// Stack of a connection's thread, in bytes; untouched pages cost no memory.
const STACK: usize = 256 * 1_024;
/// Any port that is free for TCP is mostly free for UDP too; else another is tried, so many times.
const PORTS: u32 = 32;

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its key pair.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Its data.
    #[error(transparent)]
    Data(#[from] DatabaseError),
    /// The address.
    #[error("cannot listen on {host}, port {port}: {source}")]
    Listen {
        /// The host asked for.
        host: String,
        /// The port asked for.
        port: u16,
        /// The system's error.
        source: io::Error,
    },
    /// Threads or descriptors.
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
}

impl StartError {
    /// Returns a remedy for the user.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Key(error) => error.hint(),
            Self::Data(error) => error.hint(),
            Self::Listen { source, port, .. } => match source.kind() {
                io::ErrorKind::AddrInUse => {
                    Some(format!("another program listens there: choose another port than {port} with -p"))
                }
                io::ErrorKind::PermissionDenied => {
                    Some("ports under 1024 are the system's: choose a higher one with -p".into())
                }
                io::ErrorKind::AddrNotAvailable => {
                    Some("--host wants an address of this machine; 0.0.0.0 is all of them".into())
                }
                _ => None,
            },
            Self::System(_) => None,
        }
    }
}

/// A server that runs.
pub struct Server {
    address: SocketAddr,
    fingerprint: Fingerprint,
    service: Arc<ChatService>,
    accepting: JoinHandle<()>,
    udp: Option<UdpListener>,
}

/// Ends a server, and asks it things, from any thread.
#[derive(Clone)]
pub struct Stopper {
    service: Arc<ChatService>,
}

impl Stopper {
    /// Stops the server: all clients are told, and it stops within seconds.
    pub fn terminate(&self) {
        self.service.terminate();
    }

    /// Does what a line at the console says; gives what there is to say about it.
    #[must_use]
    pub fn command(&self, line: &str) -> Option<String> {
        self.service.console(line)
    }

    /// Reads the settings again. Gives what has changed, in lines, and what will only after a restart.
    ///
    /// # Errors
    /// The errors in them; then no setting has changed.
    pub fn reload(&self) -> Result<String, String> {
        self.service.reload()
    }
}

/// State shared by all threads of a server.
struct Shared {
    service: Arc<ChatService>,
    limiter: Mutex<ConnectionLimiter<Arc<dyn Link>>>,
    handshake_pool: HandshakePool,
    credential: CredentialSource,
    /// Bound on the threads of all connections.
    threads: ThreadBudget,
    /// Connections that the system has no room for.
    refusals: Mutex<RepeatedWarning>,
    /// Users' credentials with valid signatures.
    verified: SignatureCache,
    /// The last connection's number.
    last: AtomicU64,
    /// Passwords are looked at one at a time: each takes much memory.
    passwords: Mutex<()>,
}

impl Shared {
    fn limiter(&self) -> MutexGuard<'_, ConnectionLimiter<Arc<dyn Link>>> {
        // The state is never left half changed by a panic.
        self.limiter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refusals(&self) -> MutexGuard<'_, RepeatedWarning> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs that the system has no room for a connection: not each time, as clients try again and again.
    fn warn_of_refusal(&self, why: &io::Error) {
        let line = self.refusals().came(format!("[!] Cannot take a connection in: {why}"), Instant::now());
        if let Some(line) = line {
            warn!("{line}");
        }
    }

    /// True if this is the password of which that is kept.
    fn fits(&self, password: &str, kept: &str) -> bool {
        let _one_at_a_time = self.passwords.lock().unwrap_or_else(PoisonError::into_inner);
        password::verify(password, kept)
    }

    /// Hashes a password for storage.
    fn hash(&self, password: &str) -> Result<String, password::PasswordLengthError> {
        let _one_at_a_time = self.passwords.lock().unwrap_or_else(PoisonError::into_inner);
        password::hash(password, rand::rng().random())
    }

    /// A new connection, by TCP or UDP, passes the limiter and gets a thread.
    fn admit(self: &Arc<Self>, link: Arc<dyn Link>, from: SocketAddr) -> io::Result<()> {
        if self.threads.is_spent() {
            refuse_busy(&*link);
            return Err(io::Error::other(format!("there are {} already", self.threads)));
        }
        let config = self.service.settings();
        let admission = {
            let mut limiter = self.limiter();
            limiter.keep(config.gate_limits());
            limiter.watch_clock(now(), Instant::now());
            limiter.admit(from.ip().into(), link.clone(), Instant::now(), &mut rand::rng())
        };
        match admission {
            Admission::Admitted(ticket, gives_way) => {
                match gives_way {
                    Some(Evicted { end, said_nothing: true }) => refuse_busy(&*end),
                    Some(Evicted { end, said_nothing: false }) => end.close(Shutdown::Both),
                    None => {}
                }
                let conn = ConnectionId(self.last.fetch_add(1, Ordering::Relaxed) + 1);
                let connection = Connection { conn, link, from, ticket, timing: config.timing_in_force() };
                if let Err(error) = self.handshake_pool.spawn_handshake(connection, self) {
                    self.limiter().failed(
                        ticket,
                        from.ip().into(),
                        connection_limits::Failure::WentAway,
                        Instant::now(),
                    );
                    return Err(error);
                }
            }
            Admission::Busy => {
                refuse_busy(&*link);
                warn!("[-] Refused {from}: busy");
            }
            Admission::Penalized(wait) => {
                refuse_busy(&*link);
                warn!("[-] Refused {from}: too many failures from its address, for {} s more", wait.as_secs());
            }
        }
        Ok(())
    }
}

impl Server {
    /// Loads or makes the key pair, and listens.
    ///
    /// ```
    /// use cfb_chat::server::{Server, ServerConfig};
    ///
    /// let folder = tempfile::tempdir()?;
    /// let server = Server::start(&ServerConfig { bits: 2048, ..ServerConfig::in_folder(folder.path(), 0) })?;
    /// assert_eq!(server.stopper().command("WHO").as_deref(), Some("no user is here"));
    /// server.stopper().terminate();
    /// server.wait();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`StartError`] says what is wrong, and what to do about it.
    pub fn start(config: &ServerConfig) -> Result<Self, StartError> {
        Self::run(config, None)
    }

    /// The same; `reread` gives the settings as they are to be whenever [`Stopper::reload`] asks.
    ///
    /// # Errors
    /// [`StartError`] says what is wrong, and what to do about it.
    pub fn start_with(config: &ServerConfig, reread: ConfigLoader) -> Result<Self, StartError> {
        Self::run(config, Some(reread))
    }

    fn run(config: &ServerConfig, reread: Option<ConfigLoader>) -> Result<Self, StartError> {
        log::set_max_level(config.log_level);
        let mut rng = rand::rng();
        let loaded =
            key_files::load_or_make(&config.keys, KeyHolder::Server, config.bits, &mut rng, &config.passphrase)?;
        if loaded.made {
            info!("[+] New key pair: {}", loaded.path.display());
        }
        for told in take_untold() {
            warn!("[!] {told}");
        }
        let identity = loaded.identity;
        let fingerprint = identity.public().fingerprint();
        let listen = |source| StartError::Listen { host: config.host.clone(), port: config.port, source };
        let (listener, datagrams) = bind(&config.host, config.port, config.udp).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        listener.set_nonblocking(true)?;
        let found = find(&config.keeping)?;
        let (stop, stopped) = UnixStream::pair()?;
        let named = public_address(config, address);
        if let Err(why) = Invitation::to(&named, fingerprint, Token::new(rng.random())) {
            warn!("[!] INVITE will refuse to name this server {}: {why} (--public-address)", Visible(&named));
        }
        let threads = ThreadBudget::of_system();
        let level = if threads.is_scant() { log::Level::Warn } else { log::Level::Debug };
        log::log!(level, "[!] Room for {threads}");
        let (room, started) = (threads.to_string(), Instant::now());
        let about = ServerInfo { fingerprint, address: named, room, listens: address, started };
        let service = ChatService::start(ServerSettings::new(config, reread), about, found, stop)?;
        let shared = Arc::new(Shared {
            service: service.clone(),
            limiter: Mutex::new(ConnectionLimiter::new(config.gate_limits())),
            handshake_pool: HandshakePool::new(),
            credential: CredentialSource::new(identity, now()),
            threads,
            refusals: Mutex::default(),
            verified: SignatureCache::default(),
            last: AtomicU64::new(0),
            passwords: Mutex::new(()),
        });
        let by_udp = shared.clone();
        let admit = move |link, from| {
            if let Err(error) = by_udp.admit(link, from) {
                by_udp.warn_of_refusal(&error);
            }
        };
        let udp = datagrams.map(|socket| UdpListener::start(socket, admit)).transpose()?;
        let accept = Accept { listener, stopped, shared };
        let accepting = thread::Builder::new().name("accept".into()).spawn(move || accept.run())?;
        Ok(Self { address, fingerprint, service, accepting, udp })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns its fingerprint.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Returns its stopper.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        Stopper { service: self.service.clone() }
    }

    /// Waits until it has ended.
    pub fn wait(self) {
        self.service.wait();
        // What the kernel does for TCP after the end is to be waited for here.
        if let Some(udp) = self.udp {
            udp.stop();
        }
        // A thread that has panicked has ended too; the panic has been shown.
        let _ = self.accepting.join();
    }
}

/// Returns the address that invitations name.
fn public_address(config: &ServerConfig, listens: SocketAddr) -> String {
    match &config.public_address {
        Some(address) if names_port(address) => address.clone(),
        Some(host) => format!("{host}:{}", listens.port()),
        // A wildcard address is no address to connect to.
        None if listens.ip().is_unspecified() => {
            let host = rustix::system::uname();
            format!("{}:{}", host.nodename().to_string_lossy(), listens.port())
        }
        None => listens.to_string(),
    }
}

/// True if a port comes after the host; an IPv6 address stands in brackets.
fn names_port(address: &str) -> bool {
    address.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'))
}

/// Opens what the last server has left behind.
fn find(keeping: &StorageConfig) -> Result<RecoveredState, DatabaseError> {
    let folder = keeping.data.clone();
    let (registry, lasting) = Registry::open(&folder)?;
    let (journal, happened) = match keeping.journal {
        JournalPlace::Disk => Journal::open(&folder).map(|(journal, kept)| (Some(journal), kept))?,
        JournalPlace::Memory => (None, Vec::new()),
    };
    let (mut sessions, mut events) = (0, 0);
    for kept in &happened {
        match kept {
            JournalRecord::Session { .. } => sessions += 1,
            JournalRecord::Event(..) => events += 1,
            _ => {}
        }
    }
    if sessions > 0 {
        info!("[+] Recovered after a crash: {sessions} sessions and {events} events");
    }
    // Owners of names come before the sessions that use them.
    let kept = lasting.into_iter().map(JournalRecord::Lasting).chain(happened).collect();
    Ok(RecoveredState { folder, journal, registry, kept })
}

/// Starts a thread that the server depends on. If it panics the process ends at once: a restart
/// resumes all sessions from the journal, which is better than a server that accepts clients and stays silent.
fn vital_thread<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> io::Result<JoinHandle<T>> {
    thread::Builder::new().name(name.into()).spawn(move || {
        let vital = AbortOnPanic;
        let result = work();
        std::mem::forget(vital);
        result
    })
}

struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        // Reached by a panic only, which has been shown.
        std::process::abort();
    }
}

/// A thread of a connection, which there may be thousands of.
fn named_thread(name: &str) -> thread::Builder {
    thread::Builder::new().name(name.into()).stack_size(STACK)
}

/// Says "busy", in the clear, and closes.
fn refuse_busy(link: &dyn Link) {
    let farewell = refused_bare(RefusalCode::Busy).farewell.unwrap_or_default();
    // Whether it arrives is not ours to know.
    let _ = link.write_now(&farewell);
    link.close(Shutdown::Both);
}

/// Listens on the first of the host's addresses that can be listened on; for UDP, if wanted, on the same port.
fn bind(host: &str, port: u16, udp: bool) -> io::Result<(TcpListener, Option<UdpSocket>)> {
    let addresses: Vec<SocketAddr> = (host, port).to_socket_addrs()?.collect();
    let mut tries = PORTS;
    loop {
        let listener = TcpListener::bind(&*addresses)?;
        if !udp {
            return Ok((listener, None));
        }
        tries -= 1;
        match UdpSocket::bind(listener.local_addr()?) {
            Ok(socket) => return Ok((listener, Some(socket))),
            Err(error) if port == 0 && tries > 0 && error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error),
        }
    }
}
