//! One member of a room: a real connection, whose every record is opened and read.
//!
//! Who the other members are is not checked: that costs the members, not the server.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cfb_chat::chat::message::{Numbered, ToServer};
use cfb_chat::chat::name::RoomName;
use cfb_chat::secure::credential::{OwnCredential, UnixSeconds};
use cfb_chat::secure::handshake::{Established, client};
use cfb_chat::secure::identity::Identity;
use cfb_chat::secure::record::{Opener, Sealer};
use cfb_chat::wire::codec::{BadEncoding, Reader};
use cfb_chat::wire::frame::{Deframer, MAX_FRAME, MAX_HANDSHAKE_FRAME, PREFIX};

use super::Outcome;

/// How long any one answer of the server may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A connection that has joined a room.
pub(crate) struct Member {
    socket: TcpStream,
    deframer: Deframer,
    opener: Opener,
    sealer: Sealer,
    room: RoomName,
    /// Sealed, and not taken by the socket yet.
    outgoing: Vec<u8>,
    /// How many Says have been sent.
    pub(crate) sent: u64,
    pub(crate) tally: Tally,
}

/// What was said, as it has come to members.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Delivered {
    /// Said events.
    pub(crate) said: u64,
    /// Records with said events in them.
    pub(crate) records: u64,
    /// Bytes of these records on the wire.
    pub(crate) bytes: u64,
}

/// What a member has heard.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) delivered: Delivered,
    /// Sender keys, in boxes.
    pub(crate) keys: u64,
    /// Says of its own that were accepted.
    pub(crate) accepted: u64,
    /// The room's last change.
    pub(crate) change: u64,
    /// Whether it has been welcomed.
    pub(crate) welcomed: bool,
    /// Whether it has been told goodbye.
    pub(crate) bye: bool,
}

/// How a read went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Open,
    Closed,
}

impl Member {
    /// Connects, proves who it is, and asks to join; the answer is yet to come. A session is new each time.
    pub(crate) fn connect(address: SocketAddr, identity: &Identity, name: &str, room: &RoomName) -> Outcome<Self> {
        let rng = &mut rand::rng();
        let now = UnixSeconds(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs());
        let own = OwnCredential::for_user(rng, identity, name, now);
        let socket = TcpStream::connect_timeout(&address, PATIENCE)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let mut deframer = Deframer::new(MAX_HANDSHAKE_FRAME);
        let (start, hello) = client::Start::new(rng);
        (&socket).write_all(&hello)?;
        let keyed = start.agree(next_frame(&socket, &mut deframer)?)?;
        let checked = keyed.check_server(next_frame(&socket, &mut deframer)?, now)?;
        let (proved, proof) = checked.prove(&own);
        (&socket).write_all(&proof)?;
        let Established { sealer, opener, .. } =
            proved.establish(rng, next_frame(&socket, &mut deframer)?, identity)?;
        deframer.set_limit(MAX_FRAME);
        socket.set_nonblocking(true)?;
        let (room, outgoing) = (room.clone(), Vec::new());
        let mut member = Self { socket, deframer, opener, sealer, room, outgoing, sent: 0, tally: Tally::default() };
        let join = ToServer::Join { room: member.room.clone(), password: String::new(), cursor: 0 };
        member.send(&join)?;
        Ok(member)
    }

    /// Says something to its room, in a record of its own, which goes out with the next [`Member::flush`].
    pub(crate) fn say(&mut self, envelope: &[u8]) {
        self.sent += 1;
        let body = Numbered::Say { room: self.room.clone(), change: self.tally.change, envelope: envelope.to_vec() };
        self.seal(&ToServer::Numbered { n: self.sent, body });
    }

    /// How many of its Says have not been answered.
    pub(crate) fn unaccepted(&self) -> u64 {
        self.sent - self.tally.accepted
    }

    /// Leaves its room.
    pub(crate) fn leave(&mut self) -> io::Result<()> {
        self.send(&ToServer::Leave(self.room.clone()))
    }

    /// Shows that it is there.
    pub(crate) fn ping(&mut self) -> io::Result<()> {
        self.send(&ToServer::Ping)
    }

    fn send(&mut self, message: &ToServer) -> io::Result<()> {
        self.seal(message);
        self.flush()
    }

    fn seal(&mut self, message: &ToServer) {
        self.sealer.seal(&message.encode(), &mut self.outgoing);
    }

    /// Hands over what the socket takes now.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        while !self.outgoing.is_empty() {
            match self.socket.write(&self.outgoing) {
                Ok(written) => drop(self.outgoing.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads what has come, up to a chunk. `said` gets each envelope of what was said.
    pub(crate) fn read(&mut self, chunk: &mut [u8], said: &mut impl FnMut(&[u8])) -> Outcome<Line> {
        let read = match self.socket.read(chunk) {
            Ok(0) => return Ok(Line::Closed),
            Ok(read) => read,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => 0,
            Err(error) => return Err(error.into()),
        };
        self.deframer.feed(&chunk[..read]);
        while let Some(record) = self.deframer.next_frame()? {
            let (before, length) = (self.tally.delivered.said, PREFIX + record.len());
            self.tally.hear(self.opener.open(record)?, said)?;
            let delivered = &mut self.tally.delivered;
            if delivered.said > before {
                delivered.records += 1;
                delivered.bytes += length as u64;
            }
        }
        Ok(Line::Open)
    }
}

impl AsFd for Member {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Tally {
    /// Takes a record's text in. An Error is none of what a member here should ever be told.
    fn hear(&mut self, text: &[u8], said: &mut impl FnMut(&[u8])) -> Outcome<()> {
        let mut reader = Reader::new(text);
        while reader.left() > 0 {
            let (fields, kind) = (reader.array()?, reader.uint()?);
            let read = match kind {
                32 => {
                    reader.text()?;
                    reader.value()?;
                    (self.change, self.welcomed) = (reader.uint()?, true);
                    4
                }
                33 => {
                    reader.uint()?;
                    self.accepted += 1;
                    2
                }
                34 => {
                    reader.uint()?;
                    reader.uint()?;
                    self.hear_event(&mut reader, said)?;
                    4
                }
                36 => return Err(format!("told off: {} ({})", reader.text()?, reader.text()?).into()),
                39 => {
                    self.bye = true;
                    1
                }
                _ => 1,
            };
            pass_over(&mut reader, fields.saturating_sub(read))?;
        }
        Ok(())
    }

    fn hear_event(&mut self, reader: &mut Reader<'_>, said: &mut impl FnMut(&[u8])) -> Result<(), BadEncoding> {
        let (fields, kind) = (reader.array()?, reader.uint()?);
        let read = match kind {
            1 => {
                reader.text()?;
                reader.bytes()?;
                reader.uint()?;
                said(reader.bytes()?);
                self.delivered.said += 1;
                5
            }
            3 => {
                self.keys += 1;
                1
            }
            4 | 5 => {
                reader.text()?;
                reader.bytes()?;
                self.change = reader.uint()?;
                4
            }
            _ => 1,
        };
        pass_over(reader, fields.saturating_sub(read))
    }
}

fn pass_over(reader: &mut Reader<'_>, values: usize) -> Result<(), BadEncoding> {
    (0..values).try_for_each(|_| reader.value().map(drop))
}

/// Waits for the next frame of the handshake.
fn next_frame<'a>(mut socket: &TcpStream, deframer: &'a mut Deframer) -> Outcome<&'a mut [u8]> {
    let mut chunk = [0; MAX_HANDSHAKE_FRAME];
    while !deframer.has_frame()? {
        match socket.read(&mut chunk)? {
            0 => return Err("cut off during the handshake".into()),
            read => deframer.feed(&chunk[..read]),
        }
    }
    Ok(deframer.next_frame()?.ok_or("a frame is there")?)
}
