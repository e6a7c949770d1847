//! A client's life: connect, talk, come back when the connection is lost, leave.

mod commands;
mod connection;
mod interrupts;
mod login;
mod reconnect;
mod server_clock;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, never, select};

use self::connection::{ActiveConnection, Arrived, ReaderError};
use self::interrupts::interrupts;
use self::login::Login;
use self::reconnect::{Outage, ReconnectReason};
use self::server_clock::ServerClock;
use super::connect::connect;
use super::notices;
use super::password_input::password_in;
use super::reconnector::{ReconnectEvent, Reconnector};
use super::session::{ClientSession, Files, LocalUser, Progress};
use super::ui::{Input, Screen, tell_shortcomings};
use super::ui_event::UiEvent;
use super::{ClientConfig, ClientError};
use crate::chat::Now;
use crate::chat::message::{ByeReason, ErrorCode, ToClient, ToServer};
use crate::chat::name::{Name, RoomName};
use crate::net::secure_channel::{ReadError, now, now_in_millis};
use crate::secure::credential::OwnCredential;
use crate::secure::identity::Fingerprint;
use crate::store::key_files::{KeyHolder, load_or_make};
use crate::store::known_users::KnownUsers;
use crate::store::letters_seen::LettersSeen;
use crate::store::line_file::LineFileError;

/// Leaving that takes longer says what it waits for.
const SILENT_WAIT: Duration = Duration::from_secs(1);

/// Connects, talks until the user leaves or the server ends it, and leaves.
///
/// A client that says one line and leaves once that is delivered:
///
/// ```
/// use std::io;
///
/// use cfb_chat::chat::name::Name;
/// use cfb_chat::client::ui::{Input, Screen};
/// use cfb_chat::client::ui_event::UiEvent;
/// use cfb_chat::client::{ClientConfig, run};
/// use cfb_chat::server::{Server, ServerConfig};
/// use crossbeam::channel::{Receiver, unbounded};
///
/// struct OneLine;
///
/// impl Screen for OneLine {
///     fn show(&mut self, shown: &UiEvent) -> io::Result<()> {
///         println!("{}", shown.text());
///         Ok(())
///     }
///     fn start_input(&mut self) -> io::Result<Receiver<Input>> {
///         let (lines, input) = unbounded();
///         let _ = lines.send(Input::Line("The build is green".into(), None));
///         let _ = lines.send(Input::End);
///         Ok(input)
///     }
///     fn is_watched(&self) -> bool {
///         false
///     }
///     fn close(&mut self) {}
/// }
///
/// let folder = tempfile::tempdir()?;
/// let server = Server::start(&ServerConfig { bits: 2048, ..ServerConfig::in_folder(folder.path(), 0) })?;
/// let keys = folder.path().join("bot");
/// let config = ClientConfig::new("127.0.0.1", server.address().port(), Name::parse("bot")?, &keys);
/// run(&ClientConfig { bits: 2048, ..config }, &mut OneLine)?;
/// server.stopper().terminate();
/// server.wait();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`ClientError`]: why it did not begin, or did not end by the user's wish.
pub fn run(config: &ClientConfig, screen: &mut dyn Screen) -> Result<(), ClientError> {
    let mut rng = rand::rng();
    let password_in = |file| password_in(file, config.passphrase.access);
    let password = config.password_file.as_deref().map(password_in).transpose().map_err(LineFileError::from)?;
    let owner = KeyHolder::Client(config.name.as_str());
    let loaded = load_or_make(&config.keys, owner, config.bits, &mut rng, &config.passphrase)?;
    if loaded.made {
        let fingerprint = loaded.identity.public().fingerprint();
        screen.show(&UiEvent::Remark(format!(
            "[!] New key pair in {}. Your fingerprint is\n    {fingerprint}",
            loaded.path.display()
        )))?;
    }
    tell_shortcomings(screen)?;
    let identity = Arc::new(loaded.identity);
    let credential = Arc::new(OwnCredential::for_user(&mut rng, &identity, config.name.as_str(), now()));
    let (connected, is_pinned) = connect(config, &identity, &credential, screen)?;
    let server = connected.channel.peer.credential().fingerprint();
    let files = Files { users: KnownUsers::open(&config.keys, server)?, letters: LettersSeen::in_folder(&config.keys) };
    let own =
        LocalUser { name: config.name.clone(), identity, credential, server, verified_only: config.verified_only };
    let (session, join) = ClientSession::join(own, RoomName::lobby());
    let start = Instant::now();
    let live = ActiveConnection::begin(connected, config.timing.silence)?;
    let mut talk = EventLoop {
        config,
        session,
        files,
        way: ConnectionState::Coming(live, start + config.timing.join),
        phase: Phase::Joining,
        entry: Login::new(is_pinned, password),
        compared: None,
        input: never(),
        loss: None,
        outage: None,
        renewing: None,
        pauses: 0,
        back_at: None,
        last_answer: start,
        finishing_since: start,
        unsent: 0,
        mistaken: false,
        told_waiting: false,
        unaccepted: Unaccepted::default(),
        server_clock: ServerClock::default(),
        screen,
    };
    talk.asks_to_join(join);
    let outcome = talk.go();
    // What was said before the end is shown before why it ended.
    let shown = talk.screen.flush().map_err(ClientError::from);
    let outcome = match outcome.and(shown) {
        Ok(()) if talk.unsent > 0 && !talk.screen.is_watched() => {
            Err(ClientError::Unsent { lines: talk.unsent, mistaken: talk.mistaken })
        }
        // A closed standard output, as in `client … | head`, means leaving, at once.
        Err(ClientError::System(error)) if error.kind() == io::ErrorKind::BrokenPipe => talk.gone(),
        outcome => outcome,
    };
    talk.way = ConnectionState::None;
    talk.screen.close();
    outcome
}

/// A session, on one connection after the other, and on a screen.
struct EventLoop<'a> {
    config: &'a ClientConfig,
    session: ClientSession,
    files: Files,
    way: ConnectionState,
    phase: Phase,
    entry: Login,
    /// The peer whose digits were shown last.
    compared: Option<(Name, Fingerprint)>,
    input: Receiver<Input>,
    /// Reason of a loss that is not handled yet.
    loss: Option<String>,
    /// From a loss until all that was missed has come.
    outage: Option<Outage>,
    /// Until when the server has time to let one go who comes back at once with another credential.
    renewing: Option<Instant>,
    /// Pauses before attempts to come back, since it last went well for long.
    pauses: u32,
    /// Since when one is back.
    back_at: Option<Instant>,
    /// Time of the server's last answer to a message.
    last_answer: Instant,
    /// When the user had said all.
    finishing_since: Instant,
    /// Lines that were not delivered, and the user told so.
    unsent: usize,
    /// True if one of them was taken for a command.
    mistaken: bool,
    /// True if the user knows what is waited for.
    told_waiting: bool,
    unaccepted: Unaccepted,
    server_clock: ServerClock,
    screen: &'a mut dyn Screen,
}

/// State of the connection to the server.
enum ConnectionState {
    /// On this connection; one is in the room.
    Open(ActiveConnection),
    /// The Join is out on this connection, and is to be answered by then.
    Coming(ActiveConnection, Instant),
    /// Not at all; it is tried, and this is the Join that goes first.
    Away(Reconnector, ToServer),
    /// Not at all, at the end.
    None,
}

/// Watch over messages without an answer, while the server can be reached.
#[derive(Clone, Copy, Debug, Default)]
struct Unaccepted {
    /// Time when the user is told.
    due: Option<Instant>,
    is_told: bool,
}

/// Phase of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The server is yet to let one in for the first time.
    Joining,
    /// Lines are taken.
    Talking,
    /// The user has said all: it is delivered, and then left.
    Finishing,
    /// The Leave is out.
    Leaving(Instant),
    /// Left.
    Over,
}

impl ConnectionState {
    fn live(&mut self) -> Option<&mut ActiveConnection> {
        match self {
            Self::Open(live) | Self::Coming(live, _) => Some(live),
            Self::Away(..) | Self::None => None,
        }
    }

    fn arrived(&self) -> Receiver<Arrived> {
        match self {
            Self::Open(live) | Self::Coming(live, _) => live.arrived.clone(),
            Self::Away(..) | Self::None => never(),
        }
    }

    fn news(&self) -> Receiver<ReconnectEvent> {
        if let Self::Away(reconnector, _) = self { reconnector.news.clone() } else { never() }
    }
}

impl EventLoop<'_> {
    /// From the Join to the end.
    fn go(&mut self) -> Result<(), ClientError> {
        let interrupts = interrupts()?;
        loop {
            self.send_due()?;
            self.look_at_clock()?;
            tell_shortcomings(self.screen)?;
            if let Some(why) = self.loss.take() {
                self.on_connection_lost(&why)?;
            }
            if self.phase == Phase::Over {
                return self.gone();
            }
            let takes_lines = self.phase == Phase::Talking && self.session.has_room() && !self.session.is_joining();
            if takes_lines {
                self.screen.speaks_in(self.session.focus().ok(), self.session.has_a_choice());
            }
            let lines = if takes_lines { self.input.clone() } else { never() };
            let arrived = self.way.arrived();
            if arrived.is_empty() {
                self.screen.flush()?;
            }
            select! {
                recv(arrived) -> arrived => self.take(arrived.unwrap_or(Err(ReaderError::Ended(ReadError::Closed))))?,
                recv(self.way.news()) -> news => {
                    let gone = |_| ReconnectEvent::Hopeless(io::Error::other("a thread has ended").into());
                    self.on_reconnect_event(news.unwrap_or_else(gone))?;
                }
                recv(self.entry.typed()) -> typed => self.on_password_typed(typed.ok().flatten())?,
                recv(lines) -> line => self.handle_input(line.unwrap_or(Input::End))?,
                recv(interrupts) -> _ => match self.phase {
                    Phase::Talking => self.finish(),
                    Phase::Joining => {
                        if self.entry.is_asking() {
                            self.screen.show(&UiEvent::Remark(String::new()))?;
                        }
                        return Err(ClientError::Abandoned);
                    }
                    // In a hurry: what is not delivered is told.
                    Phase::Finishing | Phase::Leaving(_) | Phase::Over => self.phase = Phase::Over,
                },
                default(self.timeout()) => {}
            }
        }
    }

    /// Does what is due by now.
    fn look_at_clock(&mut self) -> Result<(), ClientError> {
        let now = Instant::now();
        match self.phase {
            Phase::Leaving(deadline) if now >= deadline => self.phase = Phase::Over,
            Phase::Finishing if self.answer_due() <= now => return Err(self.lost("the server does not answer")),
            Phase::Finishing if self.session.is_settled() => {
                self.screen.flush()?;
                self.leave();
            }
            _ => {}
        }
        match self.way {
            ConnectionState::Coming(_, deadline) if now >= deadline => {
                if self.entry.is_asking() {
                    return Err(self.typed_too_late());
                }
                let silent = ReadError::Silent.to_string();
                // It was there a moment ago: who starts the client is told at once.
                if self.phase == Phase::Joining {
                    return Err(self.lost(&silent));
                }
                self.loss.get_or_insert(silent);
            }
            _ if self.renewing.is_some_and(|deadline| now >= deadline) => self.begins_anew(ReconnectReason::Renewed)?,
            _ => self.renew_in_time(),
        }
        self.tell_of_absence()?;
        self.tell_unaccepted(now)?;
        if self.phase == Phase::Finishing && !self.told_waiting && self.finishing_since.elapsed() >= SILENT_WAIT {
            self.told_waiting = true;
            self.tell_waiting()?;
        }
        Ok(())
    }

    fn take(&mut self, arrived: Arrived) -> Result<(), ClientError> {
        let messages = match arrived {
            Ok(messages) => messages,
            Err(ReaderError::Broken(error)) => return Err(ClientError::Broken(error.to_string())),
            Err(ReaderError::Ended(ended)) => {
                self.loss.get_or_insert(ended.to_string());
                return Ok(());
            }
        };
        let mut shown = Vec::new();
        for message in messages {
            if is_answer(&message) {
                self.last_answer = Instant::now();
                self.unaccepted = Unaccepted::default();
            }
            self.server_clock.note(&message, Instant::now());
            shown.clear();
            let progress = self.session.receive(message, moment(), &mut self.files, &mut shown);
            self.counts(&shown);
            self.show_all(&shown)?;
            self.on_progress(progress.map_err(|broken| ClientError::Broken(broken.to_string()))?)?;
            if self.phase == Phase::Over || self.way.live().is_none() {
                break;
            }
        }
        Ok(())
    }

    fn on_progress(&mut self, progress: Progress) -> Result<(), ClientError> {
        match progress {
            Progress::Pong if self.is_in() => self.on_caught_up()?,
            Progress::Resumed => self.on_joined(),
            Progress::Welcomed if self.phase == Phase::Joining => {
                self.on_joined();
                self.outage = None;
                self.screen.set_away(false);
                self.input = self.screen.start_input()?;
                self.phase = Phase::Talking;
                self.verify_members()?;
            }
            Progress::Welcomed => {
                self.on_joined();
                self.on_caught_up()?;
            }
            // Who has typed on may have meant that room, and no other.
            Progress::NotInThere if !self.screen.is_watched() || !self.input.is_empty() => self.session.clear_focus(),
            Progress::Goes | Progress::Pong | Progress::NotInThere => {}
            Progress::Refused(ErrorCode::Password, text) if self.phase == Phase::Joining => {
                self.on_password_required(&text)?;
            }
            Progress::Refused(code, text) if self.phase == Phase::Joining => return Err(self.refused(code, &text)),
            Progress::Refused(code, text) => self.on_join_refused(code, &text)?,
            Progress::Bye(ByeReason::Left) if matches!(self.phase, Phase::Leaving(_)) => self.phase = Phase::Over,
            Progress::Bye(ByeReason::Left) if self.renewing.is_some() => self.begins_anew(ReconnectReason::Renewed)?,
            Progress::Bye(ByeReason::Slow) if self.config.reconnect && self.phase != Phase::Joining => match self.phase
            {
                Phase::Leaving(_) => self.phase = Phase::Over,
                _ => self.begins_anew(ReconnectReason::Slow)?,
            },
            Progress::Bye(reason) => {
                return Err(ClientError::Ended { reason, undelivered: self.session.undelivered() });
            }
        }
        Ok(())
    }

    /// Lists the members for a user who may be typing already.
    fn verify_members(&mut self) -> Result<(), ClientError> {
        let mut shown = Vec::new();
        let looked = self.session.look_around(moment(), &mut self.files, &mut shown);
        self.show_all(&shown)?;
        looked.map_err(|broken| ClientError::Broken(broken.to_string()))?;
        let room = RoomName::lobby();
        let peers = self.session.list(&room);
        match notices::here(&room, &peers).filter(|_| self.screen.is_watched()) {
            Some(here) => self.answer(here),
            None => Ok(()),
        }
    }

    fn show_all(&mut self, all: &[UiEvent]) -> io::Result<()> {
        self.unsent += all.iter().filter(|item| matches!(item, UiEvent::Undelivered(_))).count();
        let is_watched = self.screen.is_watched();
        let mut shown = all.iter().filter(|item| is_watched || !matches!(item, UiEvent::Greeting(_)));
        shown.try_for_each(|item| self.screen.show(item))
    }

    fn send_due(&mut self) -> Result<(), ClientError> {
        let mut shown = Vec::new();
        while self.loss.is_none()
            && let Some(message) = self.session.take_due(moment(), &mut shown)
        {
            // Events are on the screen before they are acknowledged; a server that accepts no bytes must not stop reading.
            self.screen.flush()?;
            self.send(&message);
        }
        self.show_all(&shown)?;
        // However much arrives: who only listens has to say that they are there.
        if self.way.live().is_some_and(|live| live.last_sent.elapsed() >= self.config.timing.ping) {
            self.screen.flush()?;
            let ping = self.session.ping();
            self.send(&ping);
        }
        Ok(())
    }

    /// Sends a message; if that cannot be done, the connection is lost.
    fn send(&mut self, message: &ToServer) {
        if let Some(Err(why)) = self.way.live().map(|live| live.send(message)) {
            self.loss.get_or_insert(why);
        }
    }

    /// True if one is in the room, and the server can be reached.
    fn is_in(&self) -> bool {
        matches!(self.way, ConnectionState::Open(_))
    }

    /// Time until the next timed action.
    fn timeout(&mut self) -> Duration {
        let ping = self.way.live().map(|live| live.last_sent + self.config.timing.ping);
        let phase = match self.phase {
            Phase::Leaving(deadline) => Some(deadline),
            Phase::Finishing if self.told_waiting => Some(self.answer_due()),
            Phase::Finishing => Some(self.finishing_since + SILENT_WAIT),
            Phase::Joining | Phase::Talking | Phase::Over => None,
        };
        let joined = if let ConnectionState::Coming(_, deadline) = self.way { Some(deadline) } else { None };
        let all = [ping, phase, joined, self.renewing, self.telling_due(), self.unaccepted.due, self.session.due_at()];
        let next = all.into_iter().flatten().min();
        next.map_or(self.config.timing.ping, |next| next.saturating_duration_since(Instant::now()))
    }

    /// All is said; from now on the server has its time to answer.
    fn finish(&mut self) {
        self.last_answer = Instant::now();
        self.finishing_since = self.last_answer;
        self.phase = Phase::Finishing;
    }

    /// All messages are delivered.
    fn leave(&mut self) {
        if !self.is_in() {
            // No server to tell: the client is not connected.
            self.phase = Phase::Over;
            return;
        }
        if self.renewing.take().is_none() {
            self.leave_all();
        }
        self.phase = Phase::Leaving(Instant::now() + self.config.timing.leave);
    }

    pub(self) fn leave_all(&mut self) {
        for leave in self.session.leave() {
            self.send(&leave);
        }
    }

    /// Tells the user, once, that a server that is there has not answered a message for too long.
    fn tell_unaccepted(&mut self, now: Instant) -> Result<(), ClientError> {
        if !self.is_in() || self.phase != Phase::Talking || self.session.is_delivered() {
            self.unaccepted = Unaccepted::default();
        } else if !self.unaccepted.is_told {
            let timeout = self.config.timing.accept;
            if now >= *self.unaccepted.due.get_or_insert(now + timeout) {
                self.unaccepted = Unaccepted { due: None, is_told: true };
                let text = notices::not_accepted_yet(self.session.undelivered(), timeout);
                self.screen.show(&UiEvent::Remark(text))?;
            }
        }
        Ok(())
    }

    /// States what leaving waits for, on a terminal.
    fn tell_waiting(&mut self) -> Result<(), ClientError> {
        if self.screen.is_watched() {
            let left = self.session.undelivered();
            let text = format!("[!] Leaving when {left} more are delivered. Ctrl+C leaves at once.");
            self.screen.show(&UiEvent::Remark(text))?;
        }
        Ok(())
    }

    /// Deadline for a server that answers no message, once only answers are awaited.
    fn answer_due(&self) -> Instant {
        self.last_answer + self.config.timing.silence
    }

    /// Left without the server's goodbye.
    fn gone(&self) -> Result<(), ClientError> {
        match self.session.undelivered() {
            0 => Ok(()),
            undelivered => Err(ClientError::Hurried { undelivered }),
        }
    }

    fn lost(&self, why: &str) -> ClientError {
        ClientError::Lost { why: why.to_owned(), undelivered: self.session.undelivered() }
    }
}

/// "Again" and "wait" are no answers to wait for for ever.
fn is_answer(message: &ToClient) -> bool {
    match message {
        ToClient::Error { code, .. } => !matches!(code, ErrorCode::Again | ErrorCode::Wait),
        message => matches!(
            message,
            ToClient::Accepted(_) | ToClient::Found { .. } | ToClient::Answer(_) | ToClient::Welcome(_)
        ),
    }
}

fn moment() -> Now {
    Now { at: now_in_millis(), tick: Instant::now() }
}
