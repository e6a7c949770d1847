//! One member of a room: a real connection, whose every record is opened and read.
//!
//! Who the other members are is not checked: that costs the members, not the server.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cfb_chat::chat::SessionNumber as Number;
use cfb_chat::chat::message::{Numbered, Person, ToServer};
use cfb_chat::chat::name::RoomName;
use cfb_chat::secure::credential::{OwnCredential, UnixSeconds};
use cfb_chat::secure::handshake::{Established, client};
use cfb_chat::secure::identity::{Fingerprint, Identity};
use cfb_chat::secure::record::{Opener, Sealer};
use cfb_chat::wire::codec::{DecodeError, Reader};
use cfb_chat::wire::frame::{Deframer, MAX_FRAME, MAX_HANDSHAKE_FRAME, PREFIX};

use super::Outcome;

/// How long any one answer of the server may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A session, and its connection, which has joined a room.
pub(crate) struct Member {
    pub(crate) own: OwnCredential,
    channel: Channel,
    room: RoomName,
    /// Sealed, and not taken by the socket yet.
    outgoing: Vec<u8>,
    /// How many Says have been sent.
    pub(crate) sent: u64,
    /// When those were sent that are not answered yet.
    asked: VecDeque<Instant>,
    /// How long each of the others waited for its Accepted.
    pub(crate) waited: Vec<Duration>,
    /// It has told that it has seen everything up to here.
    told: u64,
    /// When it last said anything.
    spoke: Instant,
    pub(crate) tally: Tally,
}

/// A connection after the handshake.
struct Channel {
    socket: TcpStream,
    deframer: Deframer,
    opener: Opener,
    sealer: Sealer,
    server: Fingerprint,
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
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) delivered: Delivered,
    /// Sender keys, in boxes.
    pub(crate) keys: u64,
    /// Says of its own that were accepted.
    pub(crate) accepted: u64,
    /// The room's last change.
    pub(crate) change: u64,
    /// The last event that it has had.
    pub(crate) cursor: u64,
    /// How often it has been welcomed: once, and whenever its session goes on.
    pub(crate) welcomed: u64,
    /// The number of the last that was.
    pub(crate) last_accepted: u64,
    /// How often it has been told off, if that is to be expected.
    pub(crate) told_off: Option<u64>,
    /// How many of its pings were answered.
    pub(crate) pongs: u64,
    /// Whether it has been told goodbye.
    pub(crate) bye: bool,
    /// Whether it is to remember of whom the server has told last; and who that is.
    pub(crate) minds_people: bool,
    pub(crate) person: Option<Person>,
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
        let own = OwnCredential::for_user(&mut rand::rng(), identity, name, now()?);
        let channel = Channel::open(address, identity, &own)?;
        let mut member = Self {
            own,
            channel,
            room: room.clone(),
            outgoing: Vec::new(),
            sent: 0,
            asked: VecDeque::new(),
            waited: Vec::new(),
            told: 0,
            spoke: Instant::now(),
            tally: Tally::default(),
        };
        member.join()?;
        Ok(member)
    }

    /// Connects again, and asks to go on after the last event that it has had. The Pong comes behind what it has missed.
    pub(crate) fn resume(&mut self, address: SocketAddr, identity: &Identity) -> Outcome<()> {
        self.channel = Channel::open(address, identity, &self.own)?;
        self.outgoing.clear();
        self.join()?;
        Ok(self.ping()?)
    }

    /// Proves once more who it is, on another connection, and goes no further.
    pub(crate) fn shake_hands(&self, address: SocketAddr, identity: &Identity) -> Outcome<()> {
        Channel::open(address, identity, &self.own).map(drop)
    }

    fn join(&mut self) -> io::Result<()> {
        self.send(&ToServer::Join { room: self.room.clone(), password: String::new(), cursor: self.tally.cursor })
    }

    /// Says something to its room, in a record of its own, which goes out with the next [`Member::flush`].
    pub(crate) fn say(&mut self, envelope: &[u8]) {
        self.sent += 1;
        self.asked.push_back(Instant::now());
        let body = Numbered::Say { room: self.room.clone(), change: self.tally.change, envelope: envelope.to_vec() };
        self.seal(&ToServer::Numbered { n: self.sent, body });
    }

    /// Says something under any number, which is nowhere counted.
    pub(crate) fn say_as(&mut self, n: u64, envelope: &[u8]) {
        let body = Numbered::Say { room: self.room.clone(), change: self.tally.change, envelope: envelope.to_vec() };
        self.seal(&ToServer::Numbered { n, body });
    }

    /// Sends a box with its key to somebody. It gets a number as a Say does, and is counted as one.
    pub(crate) fn share(&mut self, to: Number, boxed: Vec<u8>) {
        self.sent += 1;
        self.asked.push_back(Instant::now());
        self.seal(&ToServer::Numbered { n: self.sent, body: Numbered::Share(vec![(to, boxed)]) });
    }

    /// Whose server it is.
    pub(crate) fn server(&self) -> Fingerprint {
        self.channel.server
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

    /// How long it has said nothing.
    pub(crate) fn quiet_for(&self) -> Duration {
        self.spoke.elapsed()
    }

    /// How many events there have been since it has last told of one.
    pub(crate) fn unseen(&self) -> u64 {
        self.tally.cursor - self.told
    }

    /// Tells what it has seen, if that is more than it has told before.
    pub(crate) fn tell_seen(&mut self) -> io::Result<()> {
        if self.tally.cursor == self.told {
            return Ok(());
        }
        self.told = self.tally.cursor;
        self.send(&ToServer::Seen(self.told))
    }

    fn send(&mut self, message: &ToServer) -> io::Result<()> {
        self.seal(message);
        self.flush()
    }

    fn seal(&mut self, message: &ToServer) {
        self.spoke = Instant::now();
        self.channel.sealer.seal(&message.encode(), &mut self.outgoing);
    }

    /// Hands over what the socket takes now.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        while !self.outgoing.is_empty() {
            match self.channel.socket.write(&self.outgoing) {
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
        let read = match self.channel.socket.read(chunk) {
            Ok(0) => return Ok(Line::Closed),
            Ok(read) => read,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => 0,
            Err(error) => return Err(error.into()),
        };
        self.channel.deframer.feed(&chunk[..read]);
        while let Some(record) = self.channel.deframer.next_frame()? {
            let (before, length) = (self.tally.delivered.said, PREFIX + record.len());
            self.tally.hear(self.channel.opener.open(record)?, said)?;
            let delivered = &mut self.tally.delivered;
            if delivered.said > before {
                delivered.records += 1;
                delivered.bytes += length as u64;
            }
        }
        // What is said as [`Member::say_as`] has it is not among those.
        let answered = (self.asked.len() as u64).saturating_sub(self.sent.saturating_sub(self.tally.accepted));
        self.waited.extend(self.asked.drain(..usize::try_from(answered)?).map(|asked| asked.elapsed()));
        Ok(Line::Open)
    }
}

impl Channel {
    /// Connects, and proves who it is. Nobody hears of that before there is a Join.
    fn open(address: SocketAddr, identity: &Identity, own: &OwnCredential) -> Outcome<Self> {
        let rng = &mut rand::rng();
        let socket = TcpStream::connect_timeout(&address, PATIENCE)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let mut deframer = Deframer::new(MAX_HANDSHAKE_FRAME);
        let (start, hello) = client::Start::new(rng);
        (&socket).write_all(&hello)?;
        let keyed = start.agree(next_frame(&socket, &mut deframer)?)?;
        let checked = keyed.check_server(next_frame(&socket, &mut deframer)?, now()?)?;
        let (proved, proof) = checked.prove(own);
        (&socket).write_all(&proof)?;
        let Established { sealer, opener, peer, .. } =
            proved.establish(rng, next_frame(&socket, &mut deframer)?, identity)?;
        deframer.set_limit(MAX_FRAME);
        socket.set_nonblocking(true)?;
        Ok(Self { socket, deframer, opener, sealer, server: peer.credential().fingerprint() })
    }
}

impl AsFd for Member {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.socket.as_fd()
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
                    let (change, resumed, cursor) = (reader.uint()?, reader.uint()?, reader.uint()?);
                    self.welcomed += 1;
                    match (self.welcomed, resumed) {
                        (1, 0) => (self.change, self.cursor) = (change, cursor),
                        (2.., 1) if cursor == self.cursor => {}
                        _ => return Err("welcomed to another session, or to another place in it".into()),
                    }
                    6
                }
                33 => {
                    self.last_accepted = reader.uint()?;
                    self.accepted += 1;
                    2
                }
                34 => {
                    let cursor = reader.uint()?;
                    if cursor <= self.cursor {
                        return Err("an event came twice, or out of order".into());
                    }
                    self.cursor = cursor;
                    reader.uint()?;
                    self.hear_event(&mut reader, said)?;
                    4
                }
                35 if self.minds_people => {
                    let member = Number(reader.uint()?);
                    let mut part = || reader.bytes().map(<[u8]>::to_vec);
                    self.person = Some(Person { member, spki: part()?, credential: part()?, signature: part()? });
                    5
                }
                36 if self.told_off.is_some() => {
                    self.told_off = self.told_off.map(|before| before + 1);
                    1
                }
                36 => return Err(format!("told off: {} ({})", reader.text()?, reader.text()?).into()),
                38 => {
                    self.pongs += 1;
                    1
                }
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

    fn hear_event(&mut self, reader: &mut Reader<'_>, said: &mut impl FnMut(&[u8])) -> Result<(), DecodeError> {
        let (fields, kind) = (reader.array()?, reader.uint()?);
        let read = match kind {
            1 => {
                reader.text()?;
                reader.uint()?;
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
                reader.uint()?;
                self.change = reader.uint()?;
                4
            }
            _ => 1,
        };
        pass_over(reader, fields.saturating_sub(read))
    }
}

/// The present time, as credentials have it.
pub(crate) fn now() -> Outcome<UnixSeconds> {
    Ok(UnixSeconds(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs()))
}

fn pass_over(reader: &mut Reader<'_>, values: usize) -> Result<(), DecodeError> {
    (0..values).try_for_each(|_| reader.value().map(drop))
}

/// Waits for the next frame of the handshake.
fn next_frame<'a>(mut socket: &TcpStream, deframer: &'a mut Deframer) -> Outcome<&'a mut [u8]> {
    let mut chunk = [0; MAX_HANDSHAKE_FRAME];
    while !deframer.frame_is_complete()? {
        match socket.read(&mut chunk)? {
            0 => return Err("cut off during the handshake".into()),
            read => deframer.feed(&chunk[..read]),
        }
    }
    Ok(deframer.next_frame()?.ok_or("a frame is there")?)
}
