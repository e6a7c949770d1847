//! The chat service: all sessions, and the workers that are told about events.
//!
//! ```text
//! connection threads, console ──lock──▶ ChatState ──▶ Effects ──▶ disk ──▶ workers (bounded queues); log
//! ```
//!
//! A lock, not a thread: the caller does the little work that its message causes, and no thread has to be
//! woken for it. What takes long, sealing and sending, is the workers'.
//!
//! Invariant: the lock's holder never waits for a socket or a log. It waits for a full queue of the disk or a worker,
//! and all callers with it: that is how a room's rate is limited to what can be stored and delivered. Neither
//! of them ever waits for the lock: what they have to say goes through a thread of its own.

use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam::channel;
use log::{info, warn};
use rand::RngExt;

use super::commit_pipeline::{CommitItem, CommitPipeline};
use super::fanout::{Fanout, WorkerCommand};
use super::settings::ServerSettings;
use super::worker_event::WorkerEvent;
use super::{ServerConfig, public_address, status, vital_thread};
use crate::chat::journal_record::JournalRecord;
use crate::chat::message::{ErrorCode, ToServer};
use crate::chat::state::{
    AuditEvent, AuthenticatedUser, ChatState, CommandReply, Effect, HostRequest, JoinAttempt, JoinOutcome, Severity,
    replied,
};
use crate::chat::{ConnectionId, Now};
use crate::net::Link;
use crate::net::secure_channel::now_in_millis;
use crate::secure::identity::Fingerprint;
use crate::secure::invitation::Invitation;
use crate::secure::record::Sealer;
use crate::secure::token::Token;
use crate::store::journal::Journal;
use crate::store::registry::Registry;

/// Reports that may wait.
const QUEUE: usize = 1_024;
/// Time that clients have to hear that the server stops.
const FAREWELL: Duration = Duration::from_secs(2);
/// Time that the console waits for its command to be durable.
const WRITTEN: Duration = Duration::from_secs(5);

const STOPS: &str = "the server stops";
const NOT_KEPT: &str = "The server's disk cannot keep what is said: it is delivered to who is here, and lost if the \
                        server fails before they have it.";
const KEPT_AGAIN: &str = "The server's disk keeps what is said again.";
const LASTING_NOT_KEPT: &str = "The server's disk cannot keep names, bans, rooms and letters: those of now are lost if \
                                the server stops before it can.";
const LASTING_KEPT_AGAIN: &str = "The server's disk keeps names, bans, rooms and letters again.";

/// State that a server starts with.
pub struct RecoveredState {
    /// Where its data are.
    pub folder: PathBuf,
    /// The journal; without one, events are kept in memory alone.
    pub journal: Option<Journal>,
    /// The place of what stays when the server stops.
    pub registry: Registry,
    /// Records of both databases.
    pub kept: Vec<JournalRecord>,
}

/// Facts about the server, for users.
pub struct ServerInfo {
    /// Fingerprint.
    pub fingerprint: Fingerprint,
    /// Address that invitations name.
    pub address: String,
    /// Number of connections that the system has room for, and why.
    pub room: String,
    /// Where it listens.
    pub listens: SocketAddr,
    /// Since when it runs.
    pub started: Instant,
}

/// All sessions, for all threads.
pub struct ChatService {
    state: Mutex<ServiceState>,
    settings: ServerSettings,
    /// A session has gone, a timer is due, or the server is to stop.
    changed: Condvar,
}

struct ServiceState {
    chat: ChatState,
    /// Until the server has stopped.
    pipeline: Option<CommitPipeline>,
    fanout: Arc<Fanout>,
    attached: usize,
    about: ServerInfo,
    /// Connections that asked for a reload, which reads the disk: not under this lock.
    reloads: Vec<ConnectionId>,
    /// Dropped as soon as the server is to stop.
    accepting: Option<UnixStream>,
}

impl ChatService {
    /// Starts the workers and the disk, with all sessions that the last server left. `accepting` is dropped as
    /// soon as the server is to stop.
    ///
    /// # Errors
    /// The system's error when it has no more threads or descriptors.
    pub fn start(
        settings: ServerSettings,
        about: ServerInfo,
        found: RecoveredState,
        accepting: UnixStream,
    ) -> io::Result<Arc<Self>> {
        let (report, reports) = channel::bounded(QUEUE);
        let fanout = Arc::new(Fanout::start(&report)?);
        let RecoveredState { folder, journal, registry, kept } = found;
        let config = settings.now();
        let mut chat = ChatState::restore(config.hall_limits(), kept, now());
        chat.reconfigure(config.hall_limits(), config.policy(), now());
        let pipeline = CommitPipeline::start(folder, journal, registry, fanout.clone(), &report)?;
        let (pipeline, accepting, reloads) = (Some(pipeline), Some(accepting), Vec::new());
        let state = ServiceState { chat, pipeline, fanout, attached: 0, about, reloads, accepting };
        let service = Arc::new(Self { state: Mutex::new(state), settings, changed: Condvar::new() });
        let told = service.clone();
        // Ends with the reporters. They cannot call the service themselves: the lock's holder may be waiting for them.
        vital_thread("reports", move || reports.iter().for_each(|report| told.on_worker_event(report)))?;
        let timed = service.clone();
        vital_thread("timer", move || timed.keep_time())?;
        Ok(service)
    }

    /// Attaches an authenticated connection; its messages go this way.
    pub fn attach(&self, conn: ConnectionId, link: Arc<dyn Link>, sealer: Sealer) {
        let mut state = self.lock();
        state.attached += 1;
        state.command(conn, WorkerCommand::Attach(conn, link, sealer));
    }

    /// Handles the Join of an attached connection.
    pub fn arrive(&self, who: AuthenticatedUser, asks: &JoinAttempt) -> JoinOutcome {
        let mut state = self.lock();
        if state.accepting.is_none() {
            state.command(who.conn, WorkerCommand::End(who.conn));
            return JoinOutcome::Closed("the server stops".into(), Severity::None);
        }
        state.change(|chat, effects| chat.arrive(who, asks, now(), effects))
    }

    /// Handles a message.
    pub fn receive(&self, from: ConnectionId, message: ToServer) {
        let mut state = self.lock();
        let due = state.chat.due_at();
        state.change(|chat, effects| chat.receive(from, message, now(), effects));
        self.wake_if_changed(due, &state);
        let reloads = std::mem::take(&mut state.reloads);
        drop(state);
        for conn in reloads {
            let reply = CommandReply::Done(self.reloaded());
            self.lock().send(CommitItem::Effect(replied(conn, &reply)));
        }
    }

    /// True if a connection is a session's: it is not any more once another has taken its place, or it was told goodbye.
    pub fn is_somebodys(&self, conn: ConnectionId) -> bool {
        self.lock().chat.is_somebodys(conn)
    }

    /// An attached connection has ended.
    pub fn lost(&self, conn: ConnectionId) {
        let mut state = self.lock();
        let due = state.chat.due_at();
        state.change(|chat, effects| chat.lost(conn, now(), effects));
        state.command(conn, WorkerCommand::Drop(conn));
        state.attached -= 1;
        self.wake_if_changed(due, &state);
    }

    /// Wakes the timer's thread, only if its next action changed, or at the end.
    fn wake_if_changed(&self, due: Option<Instant>, state: &ServiceState) {
        if state.chat.due_at() != due || state.accepting.is_none() {
            self.changed.notify_all();
        }
    }

    fn on_worker_event(&self, report: WorkerEvent) {
        let mut state = self.lock();
        match report {
            WorkerEvent::Slow(conn) => state.change(|chat, effects| chat.slow(conn, now(), effects)),
            WorkerEvent::Behind(conn, cursor) => {
                state.change(|chat, effects| chat.catch_up(conn, cursor, now(), effects));
            }
            WorkerEvent::Volatile(member, n) => state.chat.mark_not_durable(member, n),
            WorkerEvent::WantsSnapshot => {
                let all = state.chat.snapshot();
                state.send(CommitItem::Snapshot(all));
            }
            WorkerEvent::Disk(Ok(())) => {
                info!("[+] Messages are kept on disk again");
                state.change(|chat, effects| chat.notice(KEPT_AGAIN, now(), effects));
            }
            WorkerEvent::Disk(Err(why)) => {
                warn!("[!] Messages from now on are lost if the server stops: {why}");
                state.change(|chat, effects| chat.notice(NOT_KEPT, now(), effects));
            }
            WorkerEvent::Lasting(Ok(())) => {
                info!("[+] Names, bans, rooms and letters are kept on disk again");
                state.change(|chat, effects| chat.notice(LASTING_KEPT_AGAIN, now(), effects));
            }
            WorkerEvent::Lasting(Err(why)) => {
                warn!("[!] Names, bans, rooms and letters of now are lost if the server stops: {why}");
                state.change(|chat, effects| chat.notice(LASTING_NOT_KEPT, now(), effects));
            }
        }
    }

    /// Tells the chat state what time it is, whenever that makes a difference.
    fn keep_time(&self) {
        let mut state = self.lock();
        while state.accepting.is_some() {
            state = match state.chat.due_at() {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(due) => {
                    let timeout = due.saturating_duration_since(Instant::now());
                    self.changed.wait_timeout(state, timeout).unwrap_or_else(PoisonError::into_inner).0
                }
            };
            state.change(|chat, effects| chat.tick(now(), effects));
        }
    }

    /// True if a user may set a password now.
    pub fn may_set_password(&self, from: ConnectionId) -> bool {
        self.lock().change(|chat, effects| chat.may_set_password(from, now(), effects))
    }

    /// Sets or removes the password of a user's name; tells the user about errors.
    pub fn set_password(&self, from: ConnectionId, kept: Result<Option<String>, String>) {
        let mut state = self.lock();
        match kept {
            Ok(kept) => state.change(|chat, effects| chat.set_password(from, kept, effects)),
            Err(why) => state.send(CommitItem::Effect(replied(from, &CommandReply::Refused(ErrorCode::Refused, why)))),
        }
    }

    /// Does what a line at the console says; gives what there is to say about it.
    pub fn console(&self, line: &str) -> Option<String> {
        let mut state = self.lock();
        let reply = match state.change(|chat, effects| chat.console(line, now(), effects))? {
            CommandReply::Wish(HostRequest::Reload) => {
                drop(state);
                return Some(self.reloaded());
            }
            CommandReply::Wish(wish) => state.handle_host_request(wish),
            reply => reply,
        };
        if state.accepting.is_none() {
            // The server's own end tells of itself.
            self.changed.notify_all();
            return None;
        }
        let (on_its_way, written) = channel::bounded(0);
        state.send(CommitItem::Written(on_its_way));
        drop(state);
        // What is answered is on the disk. A disk that fails tells of itself.
        let _ = written.recv_timeout(WRITTEN);
        match reply {
            CommandReply::Done(text) | CommandReply::Refused(_, text) => Some(text),
            CommandReply::Wish(_) => None,
        }
    }

    /// The settings in effect.
    #[must_use]
    pub fn settings(&self) -> Arc<ServerConfig> {
        self.settings.now()
    }

    /// Reads the settings again. Gives what has changed, in lines. Not for who has the lock: it is taken once the disk
    /// has been read.
    ///
    /// # Errors
    /// The errors in them; then no setting has changed.
    pub fn reload(&self) -> Result<String, String> {
        self.settings.reload(|config| {
            let mut state = self.lock();
            state.chat.reconfigure(config.hall_limits(), config.policy(), now());
            state.about.address = public_address(config, state.about.listens);
            log::set_max_level(config.log_level);
            self.changed.notify_all();
        })
    }

    /// The same, with an answer for the caller.
    fn reloaded(&self) -> String {
        self.reload().unwrap_or_else(|why| format!("{why}\nthe settings are as they were"))
    }

    /// Stops the server: all clients are told.
    pub fn terminate(&self) {
        self.lock().terminate();
        self.changed.notify_all();
    }

    /// Waits until the server is to stop, and all clients have heard it or had the time for it.
    pub fn wait(&self) {
        let state = self.lock();
        let state = self.changed.wait_while(state, |state| state.accepting.is_some());
        let state = state.unwrap_or_else(PoisonError::into_inner);
        let heard = self.changed.wait_timeout_while(state, FAREWELL, |state| state.attached > 0);
        let mut state = heard.unwrap_or_else(PoisonError::into_inner).0;
        let (pipeline, fanout) = (state.pipeline.take(), state.fanout.clone());
        drop(state);
        pipeline.into_iter().for_each(CommitPipeline::stop);
        fanout.stop();
    }

    fn lock(&self) -> MutexGuard<'_, ServiceState> {
        // A thread that has panicked with it has shown that; the others go on.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ServiceState {
    /// Changes who is here, and has it carried out.
    fn change<T>(&mut self, change: impl FnOnce(&mut ChatState, &mut Vec<Effect>) -> T) -> T {
        let mut effects = Vec::new();
        let result = change(&mut self.chat, &mut effects);
        effects.retain(|effect| !is_logged(effect));
        let is_wish = |effect: &mut Effect| matches!(effect, Effect::Wish(..));
        let wishes: Vec<Effect> = effects.extract_if(.., is_wish).collect();
        if !effects.is_empty() {
            self.send(CommitItem::Together(effects));
        }
        if !wishes.is_empty() {
            self.handle_host_requests(wishes);
        }
        result
    }

    /// Does what is wished for. A function of its own, as such wishes are rare: all others need no stack for it.
    #[inline(never)]
    fn handle_host_requests(&mut self, wishes: Vec<Effect>) {
        for wish in wishes {
            let Effect::Wish(conn, wish) = wish else { continue };
            if matches!(wish, HostRequest::Reload) {
                self.reloads.push(conn);
                continue;
            }
            if matches!(wish, HostRequest::Terminate) {
                // Behind Bye no client reads an answer.
                self.send(CommitItem::Effect(replied(conn, &CommandReply::Done(STOPS.into()))));
                self.terminate();
                continue;
            }
            let reply = self.handle_host_request(wish);
            self.send(CommitItem::Effect(replied(conn, &reply)));
        }
    }

    /// Does what takes more than knowing who is here.
    fn handle_host_request(&mut self, wish: HostRequest) -> CommandReply {
        match wish {
            HostRequest::Terminate => {
                self.terminate();
                CommandReply::Done(STOPS.into())
            }
            HostRequest::Status => {
                let waiting = self.pipeline.as_ref().map_or(0, CommitPipeline::waiting);
                CommandReply::Done(status::text(&self.chat.counts(), &self.about, waiting))
            }
            // It is for who has the service, and not its lock.
            HostRequest::Reload => CommandReply::Refused(ErrorCode::Unsupported, "not now".into()),
            HostRequest::Invite { lasts, uses, by } => {
                let token = Token::new(rand::rng().random());
                let hash = token.hash();
                let invitation = match Invitation::to(&self.about.address, self.about.fingerprint, token) {
                    Ok(invitation) => invitation.to_string(),
                    Err(why) => return CommandReply::Refused(ErrorCode::Refused, why.to_string()),
                };
                match self.change(|chat, effects| chat.invite(hash, lasts, uses, &by, now(), effects)) {
                    Ok(_) => CommandReply::Done(invitation),
                    Err(why) => CommandReply::Refused(ErrorCode::Refused, why),
                }
            }
        }
    }

    fn terminate(&mut self) {
        self.accepting = None;
        self.change(ChatState::terminate);
    }

    fn command(&self, conn: ConnectionId, command: WorkerCommand) {
        self.send(CommitItem::Command(conn, command));
    }

    /// Sends the disk an item; ignored when it has stopped.
    fn send(&self, item: CommitItem) {
        if let Some(pipeline) = &self.pipeline {
            pipeline.send(item);
        }
    }
}

/// Logs what is for the log. Gives whether it was.
fn is_logged(effect: &Effect) -> bool {
    let Effect::Note(note) = effect else {
        return false;
    };
    match note {
        AuditEvent::Joined(name) => info!("[+] Broadcast message:  New person joined the room. Username: {name}"),
        AuditEvent::Exchanged => info!("Message exchanged"),
        AuditEvent::Lost(name) => info!("[-] {name}: connection lost"),
        AuditEvent::Back(name) => info!("[+] {name} is back."),
        AuditEvent::Left(name) => info!("[+] {name} left the server."),
        AuditEvent::Act { by, what } => info!("[*] {by}: {what}"),
    }
    true
}

fn now() -> Now {
    Now { at: now_in_millis(), tick: Instant::now() }
}
