//! A client's life: connect, talk, leave.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel::{self, Receiver, Sender, never, select};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::connect::{Connected, connect};
use super::notices;
use super::session::{Files, NotSaid, Own, Progress, Session};
use super::ui::{Input, Screen};
use super::view::Shown;
use super::{ClientError, Config};
use crate::chat::Moment;
use crate::chat::command::{Compared, USER_HELP, UserCommand};
use crate::chat::message::{BadServer, ByeReason, ErrorCode, ToClient, ToServer};
use crate::chat::name::{Name, RoomName, Visible};
use crate::net::channel::{Ended, Incoming, now, now_in_millis};
use crate::net::{Link, write_all};
use crate::secure::credential::OwnCredential;
use crate::secure::e2e::safety_number::SafetyNumber;
use crate::secure::e2e::text::Kind;
use crate::secure::record::Sealer;
use crate::store::key_files::{Owner, load_or_make};
use crate::store::known_users::KnownUsers;
use crate::store::letters_seen::LettersSeen;

/// Records, and lines of input, that may wait to be looked at.
const QUEUE: usize = 256;
/// A server that takes nothing for so long is lost.
const STALLED: Duration = Duration::from_secs(30);
/// Leaving that takes longer says what it waits for.
const SILENT_WAIT: Duration = Duration::from_secs(1);

/// Connects, talks until the user leaves or the server ends it, and leaves.
///
/// # Errors
/// [`ClientError`]: why it did not begin, or did not end by the user's wish.
pub fn run(config: &Config, screen: &mut dyn Screen) -> Result<(), ClientError> {
    let mut rng = rand::rng();
    let owner = Owner::Client(config.name.as_str());
    let loaded = load_or_make(&config.keys, owner, config.bits, &mut rng, &config.passphrase)?;
    if loaded.made {
        let fingerprint = loaded.identity.public().fingerprint();
        screen.show(&Shown::Remark(format!(
            "[!] New key pair in {}. Your fingerprint is\n    {fingerprint}",
            loaded.path.display()
        )))?;
    }
    let credential = OwnCredential::for_user(&mut rng, &loaded.identity, config.name.as_str(), now());
    let Connected { channel, link } = connect(config, &loaded.identity, &credential, screen)?;
    let server = channel.peer.credential().fingerprint();
    let files = Files { users: KnownUsers::open(&config.keys, server)?, letters: LettersSeen::in_folder(&config.keys) };
    let own = Own {
        name: config.name.clone(),
        identity: loaded.identity,
        credential,
        server,
        verified_only: config.verified_only,
    };
    let (session, join) = Session::join(own, RoomName::lobby());
    let (records, arrived) = channel::bounded(QUEUE);
    let incoming = channel.incoming;
    let silence = config.timing.silence;
    thread::Builder::new().name("reader".into()).spawn(move || read(incoming, silence, &records))?;
    let start = Instant::now();
    let mut talk = Talk {
        config,
        session,
        files,
        sealer: channel.sealer,
        link,
        arrived,
        last_sent: start,
        last_answer: start,
        finishing_since: start,
        unsent: 0,
        mistaken: false,
        told_waiting: false,
        screen,
    };
    talk.send(&join)?;
    let outcome = match talk.go() {
        Ok(()) if talk.unsent > 0 && !talk.screen.is_watched() => {
            Err(ClientError::Unsent { lines: talk.unsent, mistaken: talk.mistaken })
        }
        // Nobody reads what is said, as in `client … | head`: that is leaving, at once.
        Err(ClientError::System(error)) if error.kind() == io::ErrorKind::BrokenPipe => talk.gone(),
        outcome => outcome,
    };
    talk.link.close(std::net::Shutdown::Both);
    talk.screen.close();
    outcome
}

/// What the reader thread has read.
type Arrived = Result<Vec<ToClient>, Silenced>;

/// Why the reader thread reads no more.
enum Silenced {
    Ended(Ended),
    Broken(BadServer),
}

fn read(mut incoming: Incoming, silence: Duration, records: &Sender<Arrived>) {
    loop {
        let messages = match incoming.next_text(silence) {
            Ok(text) => ToClient::parse_all(text).map_err(Silenced::Broken),
            Err(ended) => Err(Silenced::Ended(ended)),
        };
        let last = messages.is_err();
        // An error is a session that has ended.
        if records.send(messages).is_err() || last {
            return;
        }
    }
}

/// A session over a channel, on a screen.
struct Talk<'a> {
    config: &'a Config,
    session: Session,
    files: Files,
    sealer: Sealer,
    link: Arc<dyn Link>,
    arrived: Receiver<Arrived>,
    last_sent: Instant,
    /// When the server last answered something said.
    last_answer: Instant,
    /// When the user had said all.
    finishing_since: Instant,
    /// Lines that were not delivered, and the user told so.
    unsent: usize,
    /// Whether one of them was taken for a command.
    mistaken: bool,
    /// Whether the user knows what is waited for.
    told_waiting: bool,
    screen: &'a mut dyn Screen,
}

/// How a session goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// The server is yet to let one in.
    Joining(Instant),
    /// Lines are taken.
    Talking,
    /// The user has said all: it is delivered, and then left.
    Finishing,
    /// The Leave is out.
    Leaving(Instant),
}

impl Talk<'_> {
    /// From the Join to the end.
    fn go(&mut self) -> Result<(), ClientError> {
        let interrupts = interrupts()?;
        let mut input = never();
        let mut mode = Mode::Joining(Instant::now() + self.config.timing.join);
        loop {
            self.send_due()?;
            match mode {
                Mode::Joining(deadline) if Instant::now() >= deadline => {
                    return Err(self.lost(&Ended::Silent.to_string()));
                }
                Mode::Leaving(deadline) if Instant::now() >= deadline => return self.gone(),
                Mode::Finishing if self.answer_due() <= Instant::now() => {
                    return Err(self.lost("the server does not answer"));
                }
                Mode::Finishing if self.session.undelivered() == 0 => {
                    let leave = self.session.leave();
                    self.send(&leave)?;
                    mode = Mode::Leaving(Instant::now() + self.config.timing.leave);
                }
                _ => {}
            }
            if mode == Mode::Finishing && !self.told_waiting && self.finishing_since.elapsed() >= SILENT_WAIT {
                self.told_waiting = true;
                self.tell_waiting()?;
            }
            let takes_lines = mode == Mode::Talking && self.session.has_room();
            let lines = if takes_lines { input.clone() } else { never() };
            select! {
                recv(self.arrived) -> arrived => {
                    for progress in self.take(arrived.unwrap_or(Err(Silenced::Ended(Ended::Closed))))? {
                        match progress {
                            Progress::Goes => {}
                            Progress::Welcomed => {
                                let (room, people) = self.session.list();
                                if let Some(here) = notices::here(room, &people).filter(|_| self.screen.is_watched()) {
                                    self.answer(here)?;
                                }
                                input = self.screen.start_input()?;
                                mode = Mode::Talking;
                            }
                            Progress::Refused(code, text) => return Err(self.refused(code, &text)),
                            Progress::Bye(ByeReason::Left) if matches!(mode, Mode::Leaving(_)) => return Ok(()),
                            Progress::Bye(reason) => {
                                let undelivered = self.session.undelivered();
                                return Err(ClientError::Ended { reason, undelivered });
                            }
                        }
                    }
                }
                recv(lines) -> line => mode = self.obey(line.unwrap_or(Input::End), mode)?,
                recv(interrupts) -> _ => mode = match mode {
                    Mode::Talking => self.finish(),
                    // Nothing said yet, or in a hurry: what is not delivered is told.
                    Mode::Joining(_) | Mode::Finishing | Mode::Leaving(_) => return self.gone(),
                },
                default(self.patience(mode)) => {}
            }
        }
    }

    fn take(&mut self, arrived: Arrived) -> Result<Vec<Progress>, ClientError> {
        let messages = match arrived {
            Ok(messages) => messages,
            Err(Silenced::Broken(error)) => return Err(ClientError::Broken(error.to_string())),
            Err(Silenced::Ended(ended)) => return Err(self.lost(&ended.to_string())),
        };
        let (mut all, mut shown) = (Vec::new(), Vec::new());
        let mut broken = None;
        // "Again" and "wait" are no answers to wait for for ever.
        let is_answer = |message: &ToClient| match message {
            ToClient::Error { code, .. } => !matches!(code, ErrorCode::Again | ErrorCode::Wait),
            message => matches!(message, ToClient::Accepted(_) | ToClient::Found { .. }),
        };
        if messages.iter().any(is_answer) {
            self.last_answer = Instant::now();
        }
        for message in messages {
            match self.session.receive(message, moment(), &mut self.files, &mut shown) {
                Ok(Progress::Goes) => {}
                Ok(progress) => all.push(progress),
                Err(error) => {
                    broken = Some(error);
                    break;
                }
            }
        }
        self.show_all(&shown)?;
        match broken {
            Some(error) => Err(ClientError::Broken(error.to_string())),
            None => Ok(all),
        }
    }

    fn show_all(&mut self, all: &[Shown]) -> io::Result<()> {
        self.unsent += all.iter().filter(|item| matches!(item, Shown::Undelivered(_))).count();
        all.iter().try_for_each(|item| self.screen.show(item))
    }

    /// Does what a line says.
    fn obey(&mut self, input: Input, mode: Mode) -> Result<Mode, ClientError> {
        let line = match input {
            Input::Line(line) => line,
            Input::End => return Ok(self.finish()),
            Input::Unreadable(why) => {
                self.not_sent(&format!("Not sent: {why}"))?;
                return Ok(mode);
            }
        };
        match UserCommand::parse(&line) {
            None => {}
            Some(Ok(UserCommand::Exit)) => {
                // Who says so has seen what there was to see.
                self.unsent = 0;
                return Ok(self.finish());
            }
            Some(Ok(UserCommand::Help)) => self.answer(USER_HELP.into())?,
            Some(Ok(UserCommand::List)) => {
                let (room, people) = self.session.list();
                self.answer(notices::list(room, &people))?;
            }
            Some(Ok(UserCommand::Fingerprint)) => {
                let own = self.session.own();
                self.answer(notices::fingerprints(own.fingerprint(), own.server))?;
            }
            Some(Ok(UserCommand::Verify(name, compared))) => self.verify(&name, compared)?,
            Some(Ok(UserCommand::Say(text))) => self.is_said(|session, _| session.say(Kind::Text, text, moment()))?,
            Some(Ok(UserCommand::Act(text))) => self.is_said(|session, _| session.say(Kind::Action, text, moment()))?,
            Some(Ok(UserCommand::Whisper(name, text))) => {
                self.is_said(|session, files| session.whisper(&name, text, moment(), files))?;
            }
            Some(Ok(UserCommand::Reply(text))) => {
                self.is_said(|session, files| session.reply(text, moment(), files))?;
            }
            Some(Err(hint)) => {
                self.mistaken = true;
                self.not_sent(&hint)?;
            }
        }
        Ok(mode)
    }

    fn is_said(&mut self, say: impl FnOnce(&mut Session, &Files) -> Result<(), NotSaid>) -> Result<(), ClientError> {
        match say(&mut self.session, &self.files) {
            Ok(()) => Ok(()),
            Err(why) => self.not_sent(&format!("Not sent: {why}")),
        }
    }

    fn answer(&mut self, text: String) -> Result<(), ClientError> {
        Ok(self.screen.show(&Shown::Answer(text))?)
    }

    fn verify(&mut self, name: &Name, compared: Compared) -> Result<(), ClientError> {
        let (name, fingerprint) = match self.session.whois(name, &self.files) {
            Ok(known) => known,
            Err(why) => return self.answer(format!("[!] {}.", capitalized(&why.to_string()))),
        };
        let answer = match compared {
            Compared::NotYet => {
                let own = self.session.own().fingerprint();
                notices::digits(&name, SafetyNumber::new(own, fingerprint))
            }
            Compared::Yes => match self.session.verify(&name, fingerprint, &mut self.files) {
                Ok(true) => notices::verified(&name),
                Ok(false) => notices::no_such_line(&name, self.files.users.path()),
                Err(error) => format!("[!] {name} is not marked: {error}."),
            },
        };
        self.answer(answer)
    }

    fn not_sent(&mut self, why: &str) -> Result<(), ClientError> {
        self.unsent += 1;
        Ok(self.screen.show(&Shown::Remark(format!("[!] {why}.")))?)
    }

    fn send_due(&mut self) -> Result<(), ClientError> {
        let mut shown = Vec::new();
        while let Some(message) = self.session.take_due(moment(), &mut shown) {
            self.send(&message)?;
        }
        self.show_all(&shown)?;
        // However much arrives: who only listens has to say that they are there.
        if self.last_sent.elapsed() >= self.config.timing.ping {
            let ping = self.session.ping();
            self.send(&ping)?;
        }
        Ok(())
    }

    fn send(&mut self, message: &ToServer) -> Result<(), ClientError> {
        let mut frame = Vec::new();
        self.sealer.seal(&message.encode(), &mut frame);
        self.last_sent = Instant::now();
        match write_all(&*self.link, &frame, Instant::now() + STALLED) {
            Ok(()) => Ok(()),
            // Why it ended may still be waiting to be read: that is the better answer.
            Err(error) if is_gone(&error) => Ok(()),
            Err(error) => Err(self.lost(&error.to_string())),
        }
    }

    /// How long nothing need be done.
    fn patience(&self, mode: Mode) -> Duration {
        let ping = self.last_sent + self.config.timing.ping;
        let deadline = match mode {
            Mode::Joining(deadline) | Mode::Leaving(deadline) => Some(deadline),
            Mode::Finishing if self.told_waiting => Some(self.answer_due()),
            Mode::Finishing => Some(self.finishing_since + SILENT_WAIT),
            Mode::Talking => None,
        };
        let next = [Some(ping), deadline, self.session.due_at()].into_iter().flatten().min().unwrap_or(ping);
        next.saturating_duration_since(Instant::now())
    }

    /// All is said; from now on the server has its time to answer.
    fn finish(&mut self) -> Mode {
        self.last_answer = Instant::now();
        self.finishing_since = self.last_answer;
        Mode::Finishing
    }

    /// Says what leaving waits for, to somebody who looks.
    fn tell_waiting(&mut self) -> Result<(), ClientError> {
        if self.screen.is_watched() {
            let left = self.session.undelivered();
            let text = format!("[!] Leaving when {left} more are delivered. Ctrl+C leaves at once.");
            self.screen.show(&Shown::Remark(text))?;
        }
        Ok(())
    }

    /// Until when a server that answers nothing is waited for, once there is only that to wait for.
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

    fn refused(&self, code: ErrorCode, text: &str) -> ClientError {
        let (why, hint) = match code {
            ErrorCode::Password => (
                "the name, or one that looks like it, belongs to another key".into(),
                Some("choose another with -u, or use the key that it was first used with"),
            ),
            _ => (Visible(text).to_string(), None),
        };
        let address = crate::store::known_servers::address(&self.config.host, self.config.port);
        ClientError::Refused { address, why, hint }
    }
}

/// Ctrl+C and SIGTERM, from here on.
fn interrupts() -> io::Result<Receiver<()>> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let (sender, receiver) = channel::bounded(2);
    thread::Builder::new().name("signals".into()).spawn(move || {
        // A third one, when nobody has taken the first two, is one too many to wait for.
        for signal in signals.forever() {
            if sender.try_send(()).is_err() {
                std::process::exit(128 + signal);
            }
        }
    })?;
    Ok(receiver)
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

fn moment() -> Moment {
    Moment { at: now_in_millis(), tick: Instant::now() }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::NotConnected)
}
