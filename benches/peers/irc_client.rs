//! One client of an IRC server: a real connection over TLS 1.3, whose every record is opened and every line read.

use std::io::{BufRead, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::member::{Line, PATIENCE};
use super::setup::Outcome;

/// A connection that has asked to be registered.
pub(crate) struct IrcClient {
    socket: TcpStream,
    tls: ClientConnection,
    /// Lines that go out with the next [`IrcClient::flush`], in one record: not more than a peer takes at once.
    outgoing: Vec<u8>,
    /// The beginning of a line whose end has not come yet.
    begun: Vec<u8>,
    /// How many lines it has said.
    pub(crate) sent: u64,
    pub(crate) tally: Tally,
}

/// What a client has heard.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// Lines that others have said.
    pub(crate) said: u64,
    /// Records that came.
    pub(crate) reads: u64,
    /// Those who came in since it is there, itself included.
    pub(crate) joined: u64,
    /// All that it is told first has come.
    pub(crate) welcomed: bool,
    /// It knows who is in the room.
    pub(crate) listed: bool,
    /// It has been told goodbye.
    pub(crate) bye: bool,
}

/// Trusts this certificate, and takes up nothing from an earlier connection.
pub(crate) fn trust(certificate: &Path) -> Outcome<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate)?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS13])?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

impl IrcClient {
    /// Connects, shakes hands, and asks to be registered; the answer is yet to come.
    pub(crate) fn connect(address: SocketAddr, config: &Arc<ClientConfig>, nick: &str) -> Outcome<Self> {
        let mut socket = TcpStream::connect_timeout(&address, PATIENCE)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let mut tls = ClientConnection::new(config.clone(), address.ip().into())?;
        tls.set_buffer_limit(None);
        while tls.is_handshaking() {
            tls.complete_io(&mut socket)?;
        }
        socket.set_nonblocking(true)?;
        let (outgoing, begun) = (Vec::new(), Vec::new());
        let mut client = Self { socket, tls, outgoing, begun, sent: 0, tally: Tally::default() };
        client.tell(&format!("NICK {nick}\r\nUSER {nick} 0 * :{nick}"))?;
        Ok(client)
    }

    /// Sends a line at once.
    pub(crate) fn tell(&mut self, line: &str) -> Outcome<()> {
        self.outgoing.extend_from_slice(line.as_bytes());
        self.outgoing.extend_from_slice(b"\r\n");
        self.flush()
    }

    /// Says something to a room. It goes out with the next [`IrcClient::flush`].
    pub(crate) fn say(&mut self, room: &str, text: &[u8]) {
        self.sent += 1;
        for part in [b"PRIVMSG ", room.as_bytes(), b" :", text, b"\r\n"] {
            self.outgoing.extend_from_slice(part);
        }
    }

    /// Hands over what the socket takes now.
    pub(crate) fn flush(&mut self) -> Outcome<()> {
        if !self.outgoing.is_empty() {
            self.tls.writer().write_all(&self.outgoing)?;
            self.outgoing.clear();
        }
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut self.socket) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Reads what has come, up to a chunk. `said` gets each text that was said.
    pub(crate) fn read(&mut self, chunk: &mut [u8], said: &mut impl FnMut(&[u8])) -> Outcome<Line> {
        let read = match self.socket.read(chunk) {
            Ok(0) => return Ok(Line::Closed),
            Ok(read) => read,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => 0,
            // Both peers may close while there is something that they have not read.
            Err(error) if error.kind() == ErrorKind::ConnectionReset && self.tally.bye => return Ok(Line::Closed),
            Err(error) => return Err(error.into()),
        };
        let mut sealed = &chunk[..read];
        while !sealed.is_empty() {
            self.tls.read_tls(&mut sealed)?;
            self.tls.process_new_packets()?;
            self.read_lines(said)?;
        }
        Ok(Line::Open)
    }

    fn read_lines(&mut self, said: &mut impl FnMut(&[u8])) -> Outcome<()> {
        let mut reader = self.tls.reader();
        loop {
            let opened = match reader.fill_buf() {
                Ok([]) => return Ok(()),
                Ok(opened) => opened,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let length = opened.len();
            self.tally.reads += 1;
            let mut rest = opened;
            while !rest.is_empty() {
                let here = rest;
                let (line, _) = here.split_at(rest.skip_until(b'\n')?);
                if !line.ends_with(b"\n") {
                    self.begun.extend_from_slice(line);
                } else if self.begun.is_empty() {
                    self.tally.hear(line, said)?;
                } else {
                    self.begun.extend_from_slice(line);
                    self.tally.hear(&self.begun, said)?;
                    self.begun.clear();
                }
            }
            reader.consume(length);
        }
    }
}

impl AsFd for IrcClient {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Tally {
    /// Takes a line in. A refusal, or a wish for a sign of life, is none of what a client here should ever be told.
    fn hear(&mut self, line: &[u8], said: &mut impl FnMut(&[u8])) -> Outcome<()> {
        let mut words = line.trim_ascii_end().splitn(4, |byte| *byte == b' ');
        let (first, command) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        match command {
            b"PRIVMSG" => {
                let text = words.nth(1).and_then(|text| text.strip_prefix(b":"));
                said(text.ok_or("somebody said nothing")?);
                self.said += 1;
            }
            b"JOIN" => self.joined += 1,
            b"366" => self.listed = true,
            b"376" | b"422" => self.welcomed = true,
            [b'4' | b'5', _, _] => return Err(format!("told off: {}", line.escape_ascii()).into()),
            _ if first == b"ERROR" => self.bye = true,
            _ if first == b"PING" => return Err("pinged within a measure".into()),
            _ => {}
        }
        Ok(())
    }
}
