//! One connection's thread: handshake and Join under one deadline, then what the client says, to the service.

use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use log::{info, warn};

use super::connection_limits::{Failure, SlotId, SourceAddress};
use super::{ServerTimeouts, Shared, named_thread};
use crate::chat::ConnectionId;
use crate::chat::message::{MessageError, SessionId, ToServer};
use crate::chat::name::Name;
use crate::chat::rate_limit::TokenBucket;
use crate::chat::state::{AuthenticatedUser, JoinAttempt, JoinOutcome, Severity};
use crate::chat::user::User;
use crate::net::Link;
use crate::net::secure_channel::{AcceptError, Channel, Incoming, ReadError, ServerStep, accept, now};
use crate::secure::handshake::{RefusalCode, VerifiedPeer};
use crate::secure::token::Token;

/// So many messages come in one record at most: they are read within seconds, however slowly.
const MAX_TOGETHER: usize = 256;

/// A connection that has been given a place at the limiter.
pub(super) struct Connection {
    pub(super) conn: ConnectionId,
    pub(super) link: Arc<dyn Link>,
    pub(super) from: SocketAddr,
    pub(super) ticket: SlotId,
    /// As it was settled when it came.
    pub(super) timing: ServerTimeouts,
}

/// Marks a joined connection until it is dropped, however its thread ends.
struct ConnectionGuard {
    shared: Arc<Shared>,
    conn: ConnectionId,
    source: SourceAddress,
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.shared.service.lost(self.conn);
        self.shared.limiter().left(self.source);
    }
}

/// Reason why a connection did not join, and the penalty of its address.
struct JoinError {
    why: String,
    failure: Failure,
}

impl Connection {
    /// Admits or refuses it. A joined connection gets a thread of its own, with a fresh stack: the
    /// stack pages that the handshake touched go back to the system.
    pub(super) fn serve(self, shared: &Arc<Shared>) {
        let source = SourceAddress::from(self.from.ip());
        match self.authenticate(shared) {
            Ok((incoming, rest)) => {
                shared.limiter().joined(self.ticket, source);
                let presence = ConnectionGuard { shared: shared.clone(), conn: self.conn, source };
                // Of a thread's stack each page that is touched is held: a pointer is all that begins it.
                let mut inside = Box::new((self, presence, incoming, rest));
                let mut listen = move || {
                    let (connection, presence, incoming, rest) = &mut *inside;
                    connection.listen(&presence.shared, incoming, std::mem::take(rest));
                };
                // Without room for another thread this one goes on, with the stack that it has.
                let Some(permit) = shared.threads.take() else { return listen() };
                let listening = named_thread("listener").spawn(move || {
                    let _permit = permit;
                    listen();
                });
                if let Err(error) = listening {
                    warn!("[!] Cannot read from a client: {error}");
                }
            }
            Err(JoinError { why, failure }) => {
                let had_place = shared.limiter().failed(self.ticket, source, failure, Instant::now());
                let why = if had_place { why } else { "busy (it gave way to another)".into() };
                warn!("[-] Refused {}: {why}", self.from);
            }
        }
    }

    /// Handshake and Join. Gives what was said after the Join in the same record.
    fn authenticate(&self, shared: &Shared) -> Result<(Incoming, Vec<ToServer>), JoinError> {
        let deadline = Instant::now() + self.timing.join;
        let own = shared.credential.at(now());
        let name_holds = |name: &str| Name::parse(name).is_ok();
        let verified = &shared.verified;
        let channel = accept(
            &self.link,
            deadline,
            &mut rand::rng(),
            &own,
            verified,
            now(),
            name_holds,
            |step, user| match step {
                ServerStep::Spoke => shared.limiter().spoke(self.ticket),
                ServerStep::UserProved => {
                    if let Some(name) = user.and_then(name_of) {
                        info!("[+] New connection. Username: {name}");
                        info!("[+] Client public key had been received");
                    }
                }
                ServerStep::SecretSent => info!("[+] Secret key had been sent to the client"),
            },
        );
        let Channel { mut incoming, sealer, peer } = channel?;
        let who = self.newcomer(&peer).ok_or_else(|| JoinError::refused("its name breaks the rules"))?;
        // A user is present only after this has opened: it shows the RSA key, not just a credential.
        let mut messages = first_messages(&mut incoming, deadline)?;
        shared.service.attach(self.conn, self.link.clone(), sealer);
        let joined = self.join(shared, &who, &mut incoming, &mut messages);
        if joined.is_err() {
            shared.service.lost(self.conn);
        }
        joined.map(|()| (incoming, messages))
    }

    fn join(
        &self,
        shared: &Shared,
        who: &AuthenticatedUser,
        incoming: &mut Incoming,
        messages: &mut Vec<ToServer>,
    ) -> Result<(), JoinError> {
        let mut asks = asks(messages.remove(0), false);
        let mut deadline = None;
        let mut pace = TokenBucket::default();
        loop {
            // A client that asks its user for a password may ping meanwhile: no faster than a joined one.
            if self.timing.messages.is_some_and(|limit| !pace.take(limit, Instant::now())) {
                self.link.close(Shutdown::Both);
                return Err(JoinError::refused(format!("{}: too fast", who.user.name)));
            }
            match shared.service.arrive(who.clone(), &asks) {
                JoinOutcome::Admitted => return Ok(()),
                JoinOutcome::Check(kept) => {
                    let fits = shared.fits(password_of(&asks.message), &kept);
                    asks.checked = Some((kept, fits));
                }
                JoinOutcome::OnceMore => {
                    // It has a minute for that, once, but a new connection may take its slot.
                    shared.limiter().waits(self.ticket);
                    let deadline = *deadline.get_or_insert(Instant::now() + self.timing.once_more);
                    if messages.is_empty() {
                        let named = |turned: JoinError| {
                            let why = format!("{} was asked for a password ({})", who.user.name, turned.why);
                            JoinError { why, ..turned }
                        };
                        *messages = first_messages(incoming, deadline).map_err(named)?;
                    }
                    asks = self::asks(messages.remove(0), true);
                }
                JoinOutcome::Closed(why, fault) => {
                    self.drain_until_close(incoming, self.timing.farewell);
                    let failure = match fault {
                        Severity::None => Failure::Stale,
                        Severity::Slight => Failure::Slight,
                        Severity::Wrong => Failure::Wrong,
                        Severity::Plain => Failure::Refused,
                    };
                    return Err(JoinError { why: format!("{}: {why}", who.user.name), failure });
                }
            }
        }
    }

    /// Passes on what is said, until the connection ends.
    fn listen(&self, shared: &Shared, incoming: &mut Incoming, rest: Vec<ToServer>) {
        let mut pace = TokenBucket::default();
        let mut messages = Ok(rest);
        while let Ok(said) = messages {
            if self.timing.messages.is_some() && said.len() > MAX_TOGETHER {
                return self.link.close(Shutdown::Both);
            }
            for message in said {
                if !self.throttle(&mut pace, shared) {
                    return self.link.close(Shutdown::Both);
                }
                match message {
                    ToServer::Password(password) => self.set_password(shared, &password),
                    message => shared.service.receive(self.conn, message),
                }
            }
            messages = next_messages(incoming, self.timing.silence);
        }
    }

    /// Throttles clients over the limit instead of disconnecting them: a reconnect
    /// costs the server a handshake. Returns false if the session has ended meanwhile:
    /// its unread data is dropped instead of being read at this rate.
    fn throttle(&self, pace: &mut TokenBucket, shared: &Shared) -> bool {
        let Some(limit) = self.timing.messages else { return true };
        while !pace.take(limit, Instant::now()) {
            if !shared.service.is_somebodys(self.conn) {
                return false;
            }
            thread::sleep(limit.interval);
        }
        true
    }

    /// Sets the password of a user's name. Hashing takes time, which must not delay other connections.
    fn set_password(&self, shared: &Shared, password: &str) {
        if !shared.service.may_set_password(self.conn) {
            return;
        }
        let kept = if password.is_empty() { Ok(None) } else { shared.hash(password).map(Some) };
        shared.service.set_password(self.conn, kept.map_err(|why| why.to_string()));
    }

    /// Lets the other end close first, so that what it was told last is not lost with the connection.
    fn drain_until_close(&self, incoming: &mut Incoming, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        while Instant::now() < deadline
            && incoming.next_text(deadline.saturating_duration_since(Instant::now())).is_ok()
        {}
        self.link.close(Shutdown::Both);
    }

    /// The chat's view of an authenticated user: the one place where it is made.
    fn newcomer(&self, peer: &VerifiedPeer) -> Option<AuthenticatedUser> {
        let credential = peer.credential();
        let presented = credential.presented();
        let user = User {
            name: name_of(peer)?,
            owner: credential.fingerprint().0,
            session: SessionId(credential.session()),
            spki: presented.spki.into(),
        };
        let (credential, signature) = (presented.credential.into(), presented.signature.into());
        let address = Some(self.from.ip().to_canonical());
        Some(AuthenticatedUser { conn: self.conn, user, credential, signature, address })
    }
}

impl JoinError {
    fn refused(why: impl Into<String>) -> Self {
        Self { why: why.into(), failure: Failure::Refused }
    }
}

impl From<AcceptError> for JoinError {
    fn from(error: AcceptError) -> Self {
        let failure = match error {
            AcceptError::Refused { code: RefusalCode::Clock, .. } | AcceptError::Declined => Failure::Declined,
            AcceptError::Refused { .. } => Failure::Refused,
            AcceptError::Silent => Failure::Silent,
            AcceptError::Gone => Failure::WentAway,
        };
        Self { why: error.to_string(), failure }
    }
}

impl From<ReadError> for JoinError {
    fn from(ended: ReadError) -> Self {
        let failure = match ended {
            ReadError::Silent => Failure::Silent,
            ReadError::Closed | ReadError::Failed(_) => Failure::WentAway,
            ReadError::Broken | ReadError::BadLength(_) => Failure::Refused,
        };
        Self { why: ended.to_string(), failure }
    }
}

/// The messages of the record that is due until `deadline`.
fn first_messages(incoming: &mut Incoming, deadline: Instant) -> Result<Vec<ToServer>, JoinError> {
    let text = incoming.next_text(deadline.saturating_duration_since(Instant::now()))?;
    ToServer::parse_all(text).map_err(|MessageError| JoinError::refused("its first record holds no messages"))
}

/// A message of a connection that has not joined.
fn asks(message: ToServer, once_more: bool) -> JoinAttempt {
    let token = password_of(&message).parse().ok().map(|token: Token| token.hash());
    JoinAttempt { once_more, token, ..JoinAttempt::first(message) }
}

fn password_of(message: &ToServer) -> &str {
    if let ToServer::Join { password, .. } = message { password } else { "" }
}

fn next_messages(incoming: &mut Incoming, timeout: Duration) -> Result<Vec<ToServer>, ReadError> {
    ToServer::parse_all(incoming.next_text(timeout)?).map_err(|MessageError| ReadError::Broken)
}

fn name_of(peer: &VerifiedPeer) -> Option<Name> {
    Name::parse(peer.credential().name()).ok()
}
