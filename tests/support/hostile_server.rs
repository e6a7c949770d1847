//! A server that does to its client whatever a test wants, message by message; and members whose credentials are real,
//! so that what they say is valid until somebody bends it.

mod lobby;
pub mod member;
pub mod served;
pub mod stage;

use std::convert::Infallible;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use cfb_chat::chat::SessionNumber as Number;
use cfb_chat::chat::message::{Event, Person, SessionId, ToClient, ToServer};
use cfb_chat::chat::name::RoomName;
use cfb_chat::net::secure_channel::{AcceptError, Channel, accept, now};
use cfb_chat::net::tcp::TcpLink;
use cfb_chat::net::{Link, timespec};
use cfb_chat::secure::credential::{CredentialBundle, OwnCredential, SignatureCache};
use cfb_chat::secure::identity::{Fingerprint, Identity};
use rustix::event::{PollFd, PollFlags, poll};

use super::PATIENCE;
use super::folder::{Folder, SERVER, USER_A, USER_B, identity};
use super::process::Client;

pub use member::{Member, padded};
pub use served::Served;
pub use stage::Stage;

/// The server itself, and who plays its members. The client has user A's key.
static OWN: LazyLock<Identity> = LazyLock::new(|| identity(SERVER));
pub static IRA: LazyLock<Identity> = LazyLock::new(|| {
    Identity::from_pem(include_str!("../vectors/keys/ira_pbkdf2.pem"), Some("correct horse")).expect("Ira's key")
});
pub static MALLORY: LazyLock<Identity> = LazyLock::new(|| identity(USER_B));

/// The client's name.
pub const CLIENT: &str = "Anna";

pub const MINUTE: u64 = 60_000;

/// What happens, about whom it is; on the wire they have their [`number`].
pub type Happened = Event<SessionId>;

/// The number by which such a server names a session: always the same, without remembering any.
pub fn number(session: SessionId) -> Number {
    Number(session.0[..6].iter().fold(1, |number, byte| number << 8 | u64::from(*byte)))
}

/// What happens, as it is told.
pub fn on_the_wire(event: Happened) -> Event {
    let Ok(event) = event.known_as(|session| Ok::<_, Infallible>(number(session)));
    event
}

/// A Person, under the number of the session that it shows.
pub fn numbered(person: Person) -> ToClient {
    let Person { spki, credential, signature, .. } = &person;
    let session = SessionId(CredentialBundle { spki, credential, signature }.session());
    ToClient::Person(Person { member: number(session), ..person })
}

/// A server that waits for its clients.
pub struct HostileServer {
    listener: TcpListener,
    own: OwnCredential,
}

impl HostileServer {
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        Self { listener, own: OwnCredential::for_server(&mut rand::rng(), &OWN, now()) }
    }

    pub fn port(&self) -> u16 {
        self.listener.local_addr().expect("an address").port()
    }

    /// Starts a client, and does the handshake with it; it has asked to be let in, and waits.
    pub fn meets(&self, folder: Folder, arguments: &[&str]) -> Stage {
        self.meets_client(Client::start(self.port(), CLIENT, folder, arguments))
    }

    /// The same with a client that has been started.
    pub fn meets_client(&self, client: Client) -> Stage {
        let (link, channel) = self.accepts(|| client.process.err.so_far());
        Stage::begin(client, link, channel.expect("the handshake"))
    }

    /// The client has lost its connection, and comes back on another: what it says first.
    pub fn meets_again(&self, stage: &mut Stage) -> ToServer {
        let (link, channel) = self.accepts(|| stage.client.process.err.so_far());
        stage.goes_on(link, channel.expect("the handshake"))
    }

    /// Somebody else is here from now on, with another key.
    pub fn becomes(&mut self, who: &Identity) {
        self.own = OwnCredential::for_server(&mut rand::rng(), who, now());
    }

    /// Waits for a connection, and does the handshake on it as far as the client does.
    pub fn accepts(&self, told: impl Fn() -> String) -> (Arc<dyn Link>, Result<Channel, AcceptError>) {
        let mut waiting = [PollFd::new(&self.listener, PollFlags::IN)];
        let came = poll(&mut waiting, Some(&timespec(PATIENCE))).expect("a listener");
        assert_eq!(came, 1, "the client should have come: {}", told());
        let (socket, _) = self.listener.accept().expect("a connection");
        let link: Arc<dyn Link> = Arc::new(TcpLink::new(socket).expect("a connection"));
        let deadline = Instant::now() + PATIENCE;
        let own = &self.own;
        let channel =
            accept(&link, deadline, &mut rand::rng(), own, &SignatureCache::default(), now(), |_| true, |_, _| {});
        (link, channel)
    }
}

/// The fingerprint of every such server.
pub fn server() -> Fingerprint {
    OWN.public().fingerprint()
}

/// Another server's.
pub fn other_server() -> Fingerprint {
    Fingerprint([7; 32])
}

/// The client's folder, with its key and with these lines in `known_users`.
pub fn home(known_users: &str) -> Folder {
    let folder = Folder::of_user(CLIENT, USER_A);
    folder.write("known_users", known_users, 0o600);
    folder
}

/// The client's folder, inside of one that outlives the client; with its key from the first time on.
pub fn home_inside(whole: &Folder) -> Folder {
    let folder = whole.inside("keys");
    if !folder.path().exists() {
        fs::create_dir(folder.path()).expect("a folder in a temporary one");
        folder.write(&format!("client_{CLIENT}_private_key.pem"), USER_A, 0o600);
    }
    folder
}

/// A line of `known_users`; `mark` stands behind it.
pub fn known(name: &str, who: &Identity, mark: &str) -> String {
    format!("{} {name} {}{mark}\n", server(), who.public().fingerprint())
}

/// What somebody says in the lobby as it was, or will be, at any change.
pub fn said_at(change: u64, session: SessionId, envelope: Vec<u8>) -> Happened {
    Event::Said { room: RoomName::lobby(), who: session, change, envelope }
}
