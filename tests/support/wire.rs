//! A connection on which a test says whatever it wants, and sees what comes back, frame by frame.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use cfb_chat::secure::handshake::{ClientHandshakeError, RefusalCode, client};
use cfb_chat::wire::frame::{Deframer, MAX_FRAME};
use rustix::net::sockopt::{set_socket_linger, set_socket_recv_buffer_size};
use rustix::net::{AddressFamily, SocketType, bind, connect, getsockname, socket};

use super::PATIENCE;
use super::peer::now;

/// A port of this machine that is taken, and on which nobody listens.
pub struct DeafPort {
    _socket: OwnedFd,
    pub port: String,
}

impl DeafPort {
    pub fn take() -> Self {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a port");
        let address = SocketAddr::try_from(getsockname(&socket).expect("its address")).expect("an address of IPv4");
        Self { _socket: socket, port: address.port().to_string() }
    }
}

/// A connection.
pub struct Wire {
    socket: TcpStream,
    deframer: Deframer,
}

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Came {
    /// The body of a frame.
    Frame(Vec<u8>),
    /// The end of the connection.
    End,
    /// Nothing, in the time there was.
    Nothing,
}

/// How the other end took what it was sent, if it did not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It closed without a word.
    Silent,
    /// It said why, in the clear.
    Bare(RefusalCode),
    /// It said why, sealed.
    Sealed(RefusalCode),
}

impl Wire {
    pub fn connect(port: u16) -> Self {
        Self::connect_from(Ipv4Addr::LOCALHOST, port)
    }

    /// From an address of this machine.
    pub fn connect_from(source: Ipv4Addr, port: u16) -> Self {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        bind(&socket, &SocketAddr::from((source, 0))).expect("an address of this machine");
        connect(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, port))).expect("somebody listens");
        let socket = TcpStream::from(socket);
        socket.set_nodelay(true).expect("a connection");
        Self { socket, deframer: Deframer::new(MAX_FRAME) }
    }

    /// Sends bytes. If the other end takes no more, what it said shows why.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.socket.write_all(bytes);
    }

    /// Has nothing more to send.
    pub fn end_sending(&mut self) {
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    /// Is gone, as after a power failure with a new start: the other end gets a reset.
    pub fn reset(self) {
        set_socket_linger(&self.socket, Some(Duration::ZERO)).expect("a socket");
    }

    /// Takes in about this many bytes while nobody reads.
    pub fn hold(&self, bytes: usize) {
        set_socket_recv_buffer_size(&self.socket, bytes).expect("a socket");
    }

    /// The next frame, within this time.
    pub fn next_within(&mut self, timeout: Duration) -> Came {
        let deadline = Instant::now() + timeout;
        let mut chunk = [0; 16_384];
        loop {
            if let Some(body) = self.deframer.next_frame().expect("the server's frames have a length") {
                return Came::Frame(body.to_vec());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Came::Nothing;
            }
            self.socket.set_read_timeout(Some(left)).expect("a socket");
            match self.socket.read(&mut chunk) {
                Ok(0) => return Came::End,
                Ok(read) => self.deframer.feed(&chunk[..read]),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => return Came::Nothing,
                    ErrorKind::Interrupted => {}
                    ErrorKind::ConnectionReset => return Came::End,
                    _ => panic!("{error}"),
                },
            }
        }
    }

    /// The next frame; `None` at the end of the connection.
    pub fn next_frame(&mut self) -> Option<Vec<u8>> {
        match self.next_within(PATIENCE) {
            Came::Frame(body) => Some(body),
            Came::End => None,
            Came::Nothing => panic!("nothing came in {PATIENCE:?}"),
        }
    }

    /// Nothing more comes but the end.
    pub fn ends(&mut self) {
        assert_eq!(self.next_frame(), None, "the connection should have ended");
    }

    /// What the other end says to what stood in the place of the first frame, and then the end. Gives `None` if it goes
    /// on, and offers its keys.
    pub fn refusal_of_hello(&mut self) -> Option<Refusal> {
        let Some(body) = self.next_frame() else {
            return Some(Refusal::Silent);
        };
        match client::Start::new(&mut rand::rng()).0.agree(&body) {
            Err(ClientHandshakeError::RefusedBare(code)) => {
                self.ends();
                Some(Refusal::Bare(code))
            }
            Err(error) => panic!("neither keys nor a refusal: {error}"),
            Ok(_) => None,
        }
    }

    /// The handshake, until the server has proved who it is: what follows is record 4.
    pub fn until_proof(&mut self) -> client::CheckedServer {
        self.try_until_proof().expect("the server has a place")
    }

    /// The same, unless the server is busy.
    pub fn try_until_proof(&mut self) -> Result<client::CheckedServer, Refusal> {
        let (start, hello) = client::Start::new(&mut rand::rng());
        self.send(&hello);
        let Some(answer) = self.next_frame() else {
            return Err(Refusal::Silent);
        };
        let keyed = match start.agree(&answer) {
            Ok(keyed) => keyed,
            Err(ClientHandshakeError::RefusedBare(code)) => return Err(Refusal::Bare(code)),
            Err(error) => panic!("neither keys nor a refusal: {error}"),
        };
        Ok(keyed.check_server(&mut self.next_frame().expect("frame 3"), now()).expect("the server's proof"))
    }
}
