//! The handshake over a link, under one deadline; then records.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rand::CryptoRng;

use super::{Link, left, write_all};
use crate::secure::credential::{OwnCredential, SignatureCache, UnixSeconds};
use crate::secure::handshake::{
    ClientHandshakeError, Established, RefusalCode, ServerHandshakeError, VerifiedPeer, client, server,
};
use crate::secure::identity::Identity;
use crate::secure::record::{Opener, Sealer};
use crate::wire::frame::{Deframer, FrameLengthError, MAX_FRAME, MAX_HANDSHAKE_FRAME};

/// Bytes of a first read, which waits for the peer: most records are shorter. On the stack, which is
/// all that an idle connection holds.
const FIRST: usize = 512;
/// Bytes of a second read: not on the stack, because touched stack pages are never given back.
const CHUNK: usize = 16_384;

/// Now, by the clock that credentials are made and checked by.
#[must_use]
pub fn now() -> UnixSeconds {
    UnixSeconds(since_1970().as_secs())
}

/// Now, in milliseconds since 1970: what people are told.
#[must_use]
pub fn now_in_millis() -> u64 {
    u64::try_from(since_1970().as_millis()).unwrap_or(u64::MAX)
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The incoming half of a channel: bytes in, records' texts out.
pub struct Incoming {
    link: Arc<dyn Link>,
    deframer: Deframer,
    opener: Opener,
}

/// Why there is no next record.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No bytes for too long.
    #[error("no data came for too long")]
    Silent,
    /// The other end has closed.
    #[error("the connection ended")]
    Closed,
    /// Bytes that are no record of this channel: an attacker changed or injected them.
    #[error("the data was changed on the way")]
    Broken,
    /// A frame's length is none.
    #[error("not the protocol: {0}")]
    BadLength(#[from] FrameLengthError),
    /// The connection failed.
    #[error("the connection failed: {0}")]
    Failed(io::Error),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut => Self::Silent,
            _ => Self::Failed(error),
        }
    }
}

/// A channel to an authenticated peer.
pub struct Channel {
    /// Reads what they send.
    pub incoming: Incoming,
    /// Seals what they are sent.
    pub sealer: Sealer,
    /// The authenticated peer.
    pub peer: VerifiedPeer,
}

impl Incoming {
    /// Waits for the next record, for `timeout` in all; gives its text.
    ///
    /// # Errors
    /// [`ReadError`]: there will be no more.
    pub fn next_text(&mut self, timeout: Duration) -> Result<&mut [u8], ReadError> {
        let deadline = Instant::now() + timeout;
        let mut frames = Frames { link: &*self.link, deframer: &mut self.deframer };
        frames.wait(timeout, deadline)?;
        let body = self.deframer.next_frame().ok().flatten().ok_or(ReadError::Broken)?;
        self.opener.open(body).map_err(|_| ReadError::Broken)
    }
}

/// Reason why the server refused a client.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// They were refused, and told so if they could be.
    #[error("{code}{}", .detail.map(|detail| format!(" ({detail})")).unwrap_or_default())]
    Refused {
        /// The code that the peer was told.
        code: RefusalCode,
        /// Detail for the log alone.
        detail: Option<&'static str>,
    },
    /// They were silent for too long.
    #[error("was silent for too long")]
    Silent,
    /// They went away.
    #[error("left during the handshake")]
    Gone,
    /// They went away when they had the server's credential: it may be that a clock is wrong, or that their pin is.
    #[error("left during the handshake")]
    Declined,
}

const LENGTH: Option<&str> = Some("a frame of an impossible length");

impl From<ReadError> for AcceptError {
    fn from(ended: ReadError) -> Self {
        match ended {
            ReadError::Silent => Self::Silent,
            _ => Self::Gone,
        }
    }
}

/// A step of the server's handshake, for its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerStep {
    /// The first frame has come: not just an open connection any more.
    Spoke,
    /// The user's credential and proof hold.
    UserProved,
    /// The secret has been sent.
    SecretSent,
}

/// The server's side of the handshake.
///
/// `check` is asked when a user has proved who they are, and may still refuse them.
///
/// # Errors
/// [`AcceptError`]: the refusal has been sent, the link is the caller's to close.
#[allow(
    clippy::too_many_arguments,
    reason = "each is something the handshake must be given, and none belongs to another"
)]
pub fn accept(
    link: &Arc<dyn Link>,
    deadline: Instant,
    rng: &mut impl CryptoRng,
    own: &OwnCredential,
    verified: &SignatureCache,
    now: UnixSeconds,
    name_holds: impl FnOnce(&str) -> bool,
    mut step: impl FnMut(ServerStep, Option<&VerifiedPeer>),
) -> Result<Channel, AcceptError> {
    let mut deframer = Deframer::new(MAX_HANDSHAKE_FRAME);
    let mut frames = Frames { link: &**link, deframer: &mut deframer };
    let refuse = |refused: ServerHandshakeError, detail| {
        // Whether the farewell arrives is not ours to know.
        let _ = refused.farewell.map(|farewell| write_all(&**link, &farewell, deadline));
        AcceptError::Refused { code: refused.code, detail }
    };
    let hello = match frames.next(deadline) {
        Ok(body) => body,
        Err(ReadError::BadLength(_)) => return Err(refuse(server::refused_bare(RefusalCode::Malformed), LENGTH)),
        Err(ended) => return Err(ended.into()),
    };
    step(ServerStep::Spoke, None);
    let (proving, answer_and_proof) = server::accept(rng, hello, own).map_err(|refused| refuse(refused, None))?;
    write_all(&**link, &answer_and_proof, deadline).map_err(|_| AcceptError::Gone)?;
    let proof = match frames.next(deadline) {
        Ok(body) => body,
        Err(ReadError::BadLength(_)) => return Err(refuse(proving.refuse(RefusalCode::Malformed), LENGTH)),
        Err(ReadError::Closed | ReadError::Failed(_)) => return Err(AcceptError::Declined),
        Err(ended) => return Err(ended.into()),
    };
    let checked = proving.check_user_again(proof, now, name_holds, verified).map_err(|refused| {
        let detail = refused.farewell.is_none().then_some("a record that does not open");
        refuse(refused, detail)
    })?;
    step(ServerStep::UserProved, Some(checked.user()));
    let (Established { sealer, opener, datagrams, peer }, frame) = checked.issue(rng);
    // Before the client can authenticate any data.
    link.authenticate(datagrams);
    write_all(&**link, &frame, deadline).map_err(|_| AcceptError::Gone)?;
    step(ServerStep::SecretSent, Some(&peer));
    deframer.set_limit(MAX_FRAME);
    let incoming = Incoming { link: link.clone(), deframer, opener };
    Ok(Channel { incoming, sealer, peer })
}

/// Why a client did not get through the handshake. `E` is what the caller's own check says.
#[derive(Debug, thiserror::Error)]
pub enum ChannelConnectError<E> {
    /// The server, or an attacker on the path, broke the protocol.
    #[error(transparent)]
    Handshake(#[from] ClientHandshakeError),
    /// The caller does not want this server.
    #[error("this is not the server that was expected")]
    Unwanted(E),
    /// The connection ended; `true` if before its first byte.
    #[error("the server ended the connection during the handshake")]
    Cut {
        /// True if not even its keys had come: it may be busy.
        before_keys: bool,
    },
    /// No bytes for too long.
    #[error("the server did not answer in time")]
    Silent,
}

/// A step of the client's handshake, for its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientStep {
    /// Waits for the server's keys.
    GettingKey,
    /// The server is who it should be; the user's own keys go out.
    SendingKey,
    /// Both have the secret.
    Completed,
}

/// The client's side of the handshake.
///
/// `judge` is asked when the server is authenticated, before data about the user is sent.
///
/// # Errors
/// [`ChannelConnectError`].
#[allow(
    clippy::too_many_arguments,
    reason = "each is something the handshake must be given, and none belongs to another"
)]
pub fn connect<E>(
    link: &Arc<dyn Link>,
    deadline: Instant,
    rng: &mut impl CryptoRng,
    identity: &Identity,
    own: &OwnCredential,
    now: UnixSeconds,
    judge: impl FnOnce(&VerifiedPeer) -> Result<(), E>,
    mut step: impl FnMut(ClientStep),
) -> Result<Channel, ChannelConnectError<E>> {
    AnsweredHandshake::begin(link, deadline, rng, &mut step)?.finish(deadline, rng, identity, own, now, judge, step)
}

/// A client's handshake that the server has answered with its ephemeral keys.
pub struct AnsweredHandshake {
    link: Arc<dyn Link>,
    deframer: Deframer,
    keyed: client::Keyed,
    /// Result of writing the first message: why the server reads no more is the better answer, if there is one.
    sent: io::Result<()>,
}

impl AnsweredHandshake {
    /// Sends the first message, which tells nothing about the user, and waits for its answer.
    ///
    /// # Errors
    /// [`ChannelConnectError`].
    pub fn begin<E>(
        link: &Arc<dyn Link>,
        deadline: Instant,
        rng: &mut impl CryptoRng,
        step: &mut impl FnMut(ClientStep),
    ) -> Result<Self, ChannelConnectError<E>> {
        let mut deframer = Deframer::new(MAX_HANDSHAKE_FRAME);
        let (start, hello) = client::Start::new(rng);
        // A server that is busy may say so and close before it reads: what it said is still there to be read.
        let sent = write_all(&**link, &hello, deadline);
        step(ClientStep::GettingKey);
        let mut frames = Frames { link: &**link, deframer: &mut deframer };
        let keyed = start.agree(frames.next(deadline).map_err(|ended| cut(&ended, true))?)?;
        Ok(Self { link: link.clone(), deframer, keyed, sent })
    }

    /// The link that it is on.
    #[must_use]
    pub fn link(&self) -> &Arc<dyn Link> {
        &self.link
    }

    /// The rest of the handshake, as [`connect`] has it.
    ///
    /// # Errors
    /// [`ChannelConnectError`].
    #[allow(
        clippy::too_many_arguments,
        reason = "each is something the handshake must be given, and none belongs to another"
    )]
    pub fn finish<E>(
        self,
        deadline: Instant,
        rng: &mut impl CryptoRng,
        identity: &Identity,
        own: &OwnCredential,
        now: UnixSeconds,
        judge: impl FnOnce(&VerifiedPeer) -> Result<(), E>,
        mut step: impl FnMut(ClientStep),
    ) -> Result<Channel, ChannelConnectError<E>> {
        let Self { link, mut deframer, keyed, sent } = self;
        let mut frames = Frames { link: &*link, deframer: &mut deframer };
        let gone = |error: io::Error| match error.kind() {
            io::ErrorKind::TimedOut => ChannelConnectError::Silent,
            _ => ChannelConnectError::Cut { before_keys: false },
        };
        sent.map_err(gone)?;
        let checked = keyed.check_server(frames.next(deadline).map_err(|ended| cut(&ended, false))?, now)?;
        judge(checked.server()).map_err(ChannelConnectError::Unwanted)?;
        step(ClientStep::SendingKey);
        let (proved, proof) = checked.prove(own);
        let sent = write_all(&*link, &proof, deadline);
        let secret = frames.next(deadline).map_err(|ended| cut(&ended, false))?;
        let Established { sealer, opener, datagrams, peer } = proved.establish(rng, secret, identity)?;
        link.authenticate(datagrams);
        sent.map_err(gone)?;
        step(ClientStep::Completed);
        deframer.set_limit(MAX_FRAME);
        let incoming = Incoming { link, deframer, opener };
        Ok(Channel { incoming, sealer, peer })
    }
}

/// Why no frame came.
fn cut<E>(ended: &ReadError, before_keys: bool) -> ChannelConnectError<E> {
    match ended {
        ReadError::BadLength(_) => ChannelConnectError::Handshake(ClientHandshakeError::Malformed),
        ReadError::Silent => ChannelConnectError::Silent,
        _ => ChannelConnectError::Cut { before_keys },
    }
}

/// A link's bytes as frames.
struct Frames<'a> {
    link: &'a dyn Link,
    deframer: &'a mut Deframer,
}

impl Frames<'_> {
    /// The next frame's body.
    fn next(&mut self, deadline: Instant) -> Result<&mut [u8], ReadError> {
        self.wait(left(deadline)?, deadline)?;
        self.deframer.next_frame()?.ok_or(ReadError::Closed)
    }

    /// Reads until a frame is there; `timeout` is what is left until `deadline`.
    fn wait(&mut self, mut timeout: Duration, deadline: Instant) -> Result<(), ReadError> {
        let mut is_more_there = false;
        loop {
            if self.deframer.frame_is_complete()? {
                return Ok(());
            }
            is_more_there =
                if is_more_there { self.read(&mut vec![0; CHUNK], timeout)? } else { self.read_first(timeout)? };
            // Zero once it has passed: a frame that is whole by now still counts, another read does not.
            timeout = deadline.saturating_duration_since(Instant::now());
            if timeout.is_zero() && !self.deframer.frame_is_complete()? {
                return Err(ReadError::Silent);
            }
        }
    }

    /// A function of its own: its buffer has left the stack when the record is handled.
    #[inline(never)]
    fn read_first(&mut self, timeout: Duration) -> Result<bool, ReadError> {
        self.read(&mut [0; FIRST], timeout)
    }

    /// Reads once. Gives whether there may be more.
    fn read(&mut self, chunk: &mut [u8], timeout: Duration) -> Result<bool, ReadError> {
        match self.link.read(chunk, timeout)? {
            0 => Err(ReadError::Closed),
            read => {
                self.deframer.feed(&chunk[..read]);
                Ok(read == chunk.len())
            }
        }
    }
}
