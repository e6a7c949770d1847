//! The peers: Debian's `ngircd` and `inspircd`, installed if they are missing, and run with their limits off.
//!
//! Nothing is to be slowed down on purpose, and nobody cut off for being quick:
//!
//! - ngIRCd makes whom it has read much of wait for seconds: with `MaxPenaltyTime = 0` for none. Compiled in is that it
//!   takes three commands of somebody in a turn of its loop, or ten with the user mode F, which an operator may set:
//!   senders are operators, and set it. What is left over of a record after that waits until something else happens, and
//!   be it a second: nobody puts more into one. What waits for one reader may not exceed 64 KiB.
//! - InspIRCd counts commands a second: `threshold` and `commandrate` are out of reach, `fakelag` is off, and what may
//!   wait for a reader or from a sender (`hardsendq`, `softsendq`, `recvq`) is more than a measure makes.
//! - Both: no look-ups of names or idents, no PAM, no limit to connections from one address, no pings in the time that
//!   a measure takes. Records and buffers of InspIRCd are as large as TLS has them, where its own choice is 2 KiB and
//!   10 KiB: that favours it.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::cpu::{self, LivingThreads, Placement};
use super::setup::{Outcome, Setup, progress};

/// How long one may take until it listens.
const START: Duration = Duration::from_secs(60);
/// The name and the password of an operator of ngIRCd's.
const OPERATOR: &str = "bench";
/// How often it is tried whether it does.
const TRY: Duration = Duration::from_millis(20);

/// Who is measured beside us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    Ngircd,
    Inspircd,
}

/// What kind of key is in a peer's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Certificate {
    Rsa,
    Ecdsa,
}

impl Peer {
    pub(crate) const ALL: [Self; 2] = [Self::Ngircd, Self::Inspircd];

    fn package(self) -> &'static str {
        match self {
            Self::Ngircd => "ngircd",
            Self::Inspircd => "inspircd",
        }
    }

    /// Its name and version, as it gives them.
    pub(crate) fn version(self) -> Outcome<String> {
        let program = find(self.package()).ok_or("it is installed")?;
        let output = Command::new(program).arg("--version").output()?;
        let text = String::from_utf8(output.stdout)?;
        // "ngIRCd 26.1-IDENT+…", "InspIRCd-3.15.0-debian"
        let words = text.lines().next().unwrap_or_default().replace(' ', "-");
        let mut parts = words.split('-');
        Ok([parts.next(), parts.next()].map(Option::unwrap_or_default).join(" "))
    }

    /// What somebody of this nick says, once, who is to say much.
    pub(crate) fn frees(self, nick: &str) -> Option<String> {
        match self {
            Self::Ngircd => Some(format!("OPER {OPERATOR} {OPERATOR}\r\nMODE {nick} +F")),
            Self::Inspircd => None,
        }
    }

    /// Writes its configuration.
    fn configure(self, folder: &Path, port: u16, certificate: Certificate) -> Outcome<PathBuf> {
        let path = folder.join(self.package()).with_extension("conf");
        let [key, chain] = certificate.files(folder).map(|file| file.display().to_string());
        let text = match self {
            Self::Ngircd => format!(
                "[Global]\nName = peer.bench.local\nInfo = bench\nListen = 127.0.0.1\nMotdPhrase = none\n\
                 [Limits]\nMaxConnections = 0\nMaxConnectionsIP = 0\nMaxJoins = 0\nMaxPenaltyTime = 0\n\
                 MaxNickLength = 16\nPingTimeout = 3600\nPongTimeout = 3600\n\
                 [Options]\nDNS = no\nIdent = no\nPAM = no\n\
                 [Operator]\nName = {OPERATOR}\nPassword = {OPERATOR}\n\
                 [SSL]\nPorts = {port}\nKeyFile = {key}\nCertFile = {chain}\nDHFile = {}\n",
                folder.join(DH).display(),
            ),
            Self::Inspircd => format!(
                "<server name=\"peer.bench.local\" description=\"bench\" network=\"bench\">\n\
                 <admin name=\"bench\" nick=\"bench\" email=\"bench@localhost\">\n\
                 <module name=\"ssl_gnutls\">\n\
                 <sslprofile name=\"bench\" provider=\"gnutls\" keyfile=\"{key}\" certfile=\"{chain}\" \
                 hash=\"sha256\" outrecsize=\"16384\">\n\
                 <bind address=\"127.0.0.1\" port=\"{port}\" type=\"clients\" sslprofile=\"bench\">\n\
                 <connect name=\"all\" allow=\"*\" limit=\"1000000\" localmax=\"1000000\" globalmax=\"1000000\" \
                 maxconnwarn=\"no\" timeout=\"60\" pingfreq=\"1h\" resolvehostnames=\"no\" useident=\"no\" \
                 fakelag=\"no\" threshold=\"1000000000\" commandrate=\"1000000000\" \
                 recvq=\"100M\" softsendq=\"1G\" hardsendq=\"1G\">\n\
                 <performance softlimit=\"1000000\" somaxconn=\"4096\" netbuffersize=\"65534\">\n"
            ),
        };
        fs::write(&path, text)?;
        Ok(path)
    }

    fn command(self, configuration: &Path) -> Outcome<Command> {
        let mut command = Command::new(find(self.package()).ok_or("it is installed")?);
        match self {
            // Started by root it goes on as nobody.
            Self::Ngircd => command.arg("--nodaemon").arg("--config").arg(configuration),
            Self::Inspircd => command.arg(format!("--config={}", configuration.display())).args([
                "--nofork",
                "--nopid",
                "--nolog",
                "--runasroot",
            ]),
        };
        Ok(command)
    }
}

impl Certificate {
    /// Where the key is, and the certificate.
    pub(crate) fn files(self, folder: &Path) -> [PathBuf; 2] {
        let name = match self {
            Self::Rsa => "rsa",
            Self::Ecdsa => "ecdsa",
        };
        ["key", "crt"].map(|extension| folder.join(name).with_extension(extension))
    }

    fn make(self, folder: &Path) -> Outcome<()> {
        let [key, certificate] = self.files(folder);
        let kind = match self {
            Self::Rsa => &["-newkey", "rsa:2048"][..],
            Self::Ecdsa => &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"],
        };
        let mut command = Command::new("openssl");
        command.args(["req", "-x509", "-nodes", "-days", "30", "-subj", "/CN=peer", "-addext"]);
        command.args(["basicConstraints=critical,CA:FALSE", "-addext", "subjectAltName=IP:127.0.0.1"]).args(kind);
        run(command.arg("-keyout").arg(key).arg("-out").arg(certificate))
    }
}

/// Parameters that ngIRCd makes itself if it is given none, which takes long. Nobody here uses them.
const DH: &str = "dh.pem";

/// Installs what is missing, and makes certificates in this folder.
pub(crate) fn prepare(folder: &Path) -> Outcome<()> {
    install()?;
    fs::create_dir_all(folder)?;
    [Certificate::Rsa, Certificate::Ecdsa].into_iter().try_for_each(|certificate| certificate.make(folder))?;
    let mut command = Command::new("openssl");
    command.args(["genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:ffdhe2048", "-out"]);
    run(command.arg(folder.join(DH)))
}

/// Debian's packages, with `apt-get`. Their services are not wanted, and stopped where there is somebody who starts them.
fn install() -> Outcome<()> {
    let packages = Peer::ALL.map(Peer::package).into_iter().chain(["openssl"]);
    let missing: Vec<&str> = packages.filter(|package| find(package).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    progress(&format!("installing with apt-get: {}", missing.join(", ")));
    let root = |program| {
        let mut command = Command::new(if rustix::process::geteuid().is_root() { "env" } else { "sudo" });
        command.args(["DEBIAN_FRONTEND=noninteractive", program]);
        command
    };
    run(root("apt-get").args(["update", "-qq"]))?;
    run(root("apt-get").args(["install", "-y", "-qq", "--no-install-recommends"]).args(&missing))?;
    let services: Vec<&str> = missing.into_iter().filter(|package| *package != "openssl").collect();
    if Path::new("/run/systemd/system").exists() && !services.is_empty() {
        run(root("systemctl").args(["disable", "--now"]).args(services))?;
    }
    Ok(())
}

/// A program, also where only administrators look for one.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Runs a command to its end, which must be a good one. What it says is shown only if it is not.
fn run(command: &mut Command) -> Outcome<()> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    let what = command.get_program().display();
    Err(format!("{what} failed: {}", String::from_utf8_lossy(&output.stderr).escape_debug()).into())
}

/// A peer that runs. It is ended when this is dropped, whatever has happened.
pub(crate) struct PeerProcess {
    child: Child,
    address: SocketAddr,
}

impl PeerProcess {
    /// Starts one where the server belongs, and moves this thread to where the load does.
    pub(crate) fn start(
        peer: Peer,
        setup: &Setup,
        placement: Placement,
        folder: &Path,
        certificate: Certificate,
    ) -> Outcome<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let configuration = peer.configure(folder, port, certificate)?;
        let remarks = folder.join(peer.package()).with_extension("log");
        let said = File::create(&remarks)?;
        let mut command = peer.command(&configuration)?;
        command.stdin(Stdio::null()).stdout(said.try_clone()?).stderr(said);
        let started = setup.cores.start(placement, || command.spawn())?;
        let mut server = Self { child: started?, address: (Ipv4Addr::LOCALHOST, port).into() };
        let deadline = Instant::now() + START;
        while TcpStream::connect_timeout(&server.address, START).is_err() {
            if server.child.try_wait()?.is_some() || Instant::now() >= deadline {
                return Err(format!("{} does not listen: see {}", peer.package(), remarks.display()).into());
            }
            thread::sleep(TRY);
        }
        Ok(server)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The processor time it has used.
    pub(crate) fn cpu(&self) -> Outcome<Duration> {
        Ok(cpu::of_process(self.child.id())?)
    }

    /// The same to the nanosecond: it has one thread.
    pub(crate) fn living_threads(&self) -> Outcome<LivingThreads> {
        Ok(LivingThreads::of(self.child.id())?)
    }

    /// The memory it holds, in bytes.
    pub(crate) fn resident(&self) -> Outcome<u64> {
        Ok(cpu::resident(self.child.id())?)
    }
}

impl Drop for PeerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
