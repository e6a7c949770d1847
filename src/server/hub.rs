//! The hub: everybody who is here, and the couriers that are told what happens.
//!
//! ```text
//! connection threads, console ──lock──▶ Hall ──▶ Effects ──▶ disk ──▶ couriers (bounded queues); log
//! ```
//!
//! A lock, not a thread: who has something to say does the little work that it brings about, and nobody has to be
//! woken for it. What takes long, sealing and sending, is the couriers'.
//!
//! Invariant: whoever holds the lock never waits for a socket or a log. They wait for a disk or a courier that has its
//! hands full, and everybody else with them: that is how a room's pace is kept to what can be kept and delivered. Neither
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

use super::courier::{Command, Couriers};
use super::disk::{Disk, Item};
use super::report::Report;
use super::settings::Settings;
use super::{Config, public_address, status, vital_thread};
use crate::chat::hall::{Asks, Effect, Fault, Hall, Newcomer, Note, Reply, Verdict, Wish, replied};
use crate::chat::kept::Kept;
use crate::chat::message::{ErrorCode, ToServer};
use crate::chat::{Conn, Moment};
use crate::net::Link;
use crate::net::channel::now_in_millis;
use crate::secure::identity::Fingerprint;
use crate::secure::invitation::Invitation;
use crate::secure::record::Sealer;
use crate::secure::token::Token;
use crate::store::journal::Journal;
use crate::store::lasting::Registry;

/// Reports that may wait.
const QUEUE: usize = 1_024;
/// How long everybody may take to hear that the server stops.
const FAREWELL: Duration = Duration::from_secs(2);
/// How long the console waits for what it is told to be on the disk.
const WRITTEN: Duration = Duration::from_secs(5);

const STOPS: &str = "the server stops";
const NOT_KEPT: &str = "The server's disk cannot keep what is said: it is delivered to who is here, and lost if the \
                        server fails before they have it.";
const KEPT_AGAIN: &str = "The server's disk keeps what is said again.";
const LASTING_NOT_KEPT: &str = "The server's disk cannot keep names, bans, rooms and letters: those of now are lost if \
                                the server stops before it can.";
const LASTING_KEPT_AGAIN: &str = "The server's disk keeps names, bans, rooms and letters again.";

/// What a server begins with.
pub struct Found {
    /// Where its data are.
    pub folder: PathBuf,
    /// The journal; without one, events are kept in memory alone.
    pub journal: Option<Journal>,
    /// The place of what stays when the server stops.
    pub registry: Registry,
    /// What both of them hold.
    pub kept: Vec<Kept>,
}

/// What a server tells of itself.
pub struct About {
    /// Who it is.
    pub fingerprint: Fingerprint,
    /// What invitations name as its address.
    pub address: String,
    /// Where it listens.
    pub listens: SocketAddr,
    /// Since when it runs.
    pub started: Instant,
}

/// Everybody who is here, for all threads.
pub struct Hub {
    state: Mutex<State>,
    settings: Settings,
    /// Somebody has gone, something is due, or the server is to stop.
    changed: Condvar,
}

struct State {
    hall: Hall,
    /// Until the server has stopped.
    disk: Option<Disk>,
    couriers: Arc<Couriers>,
    attached: usize,
    about: About,
    /// Who wants the settings read again, which takes the disk: not while this is locked.
    reloads: Vec<Conn>,
    /// Dropped as soon as the server is to stop.
    accepting: Option<UnixStream>,
}

impl Hub {
    /// Starts the couriers and the disk, with everybody whom the last server has left behind. `accepting` is dropped as
    /// soon as the server is to stop.
    ///
    /// # Errors
    /// Whatever the system says when it has no more threads or descriptors.
    pub fn start(settings: Settings, about: About, found: Found, accepting: UnixStream) -> io::Result<Arc<Self>> {
        let (report, reports) = channel::bounded(QUEUE);
        let couriers = Arc::new(Couriers::start(&report)?);
        let Found { folder, journal, registry, kept } = found;
        let config = settings.now();
        let mut hall = Hall::restore(config.hall_limits(), kept, now());
        hall.govern(config.hall_limits(), config.policy(), now());
        let disk = Disk::start(folder, journal, registry, couriers.clone(), &report)?;
        let (disk, accepting, reloads) = (Some(disk), Some(accepting), Vec::new());
        let state = State { hall, disk, couriers, attached: 0, about, reloads, accepting };
        let hub = Arc::new(Self { state: Mutex::new(state), settings, changed: Condvar::new() });
        let told = hub.clone();
        // Ends with those who report. They cannot tell the hub themselves: whoever has its lock may be waiting for them.
        vital_thread("reports", move || reports.iter().for_each(|report| told.hear(report)))?;
        let timed = hub.clone();
        vital_thread("timer", move || timed.keep_time())?;
        Ok(hub)
    }

    /// Somebody has proved who they are; what they are sent goes this way.
    pub fn attach(&self, conn: Conn, link: Arc<dyn Link>, sealer: Sealer) {
        let mut state = self.lock();
        state.attached += 1;
        state.command(conn, Command::Attach(conn, link, sealer));
    }

    /// Somebody who is attached wants to come in.
    pub fn arrive(&self, who: Newcomer, asks: &Asks) -> Verdict {
        let mut state = self.lock();
        if state.accepting.is_none() {
            state.command(who.conn, Command::End(who.conn));
            return Verdict::Closed("the server stops".into(), Fault::None);
        }
        state.change(|hall, effects| hall.arrive(who, asks, now(), effects))
    }

    /// Somebody says something.
    pub fn receive(&self, from: Conn, message: ToServer) {
        let mut state = self.lock();
        let due = state.hall.due_at();
        state.change(|hall, effects| hall.receive(from, message, now(), effects));
        self.wake_if_changed(due, &state);
        let reloads = std::mem::take(&mut state.reloads);
        drop(state);
        for conn in reloads {
            let reply = Reply::Done(self.reloaded());
            self.lock().send(Item::Effect(replied(conn, &reply)));
        }
    }

    /// Whether a connection is a session's: it is not any more once another has taken its place, or it was told goodbye.
    pub fn is_somebodys(&self, conn: Conn) -> bool {
        self.lock().hall.is_somebodys(conn)
    }

    /// An attached connection has ended.
    pub fn lost(&self, conn: Conn) {
        let mut state = self.lock();
        let due = state.hall.due_at();
        state.change(|hall, effects| hall.lost(conn, now(), effects));
        state.command(conn, Command::Drop(conn));
        state.attached -= 1;
        self.wake_if_changed(due, &state);
    }

    /// Wakes whoever waits for what is due, or for the end, and only if there is something for them.
    fn wake_if_changed(&self, due: Option<Instant>, state: &State) {
        if state.hall.due_at() != due || state.accepting.is_none() {
            self.changed.notify_all();
        }
    }

    fn hear(&self, report: Report) {
        let mut state = self.lock();
        match report {
            Report::Slow(conn) => state.change(|hall, effects| hall.slow(conn, now(), effects)),
            Report::Behind(conn, cursor) => state.change(|hall, effects| hall.catch_up(conn, cursor, now(), effects)),
            Report::Volatile(member, n) => state.hall.volatile(member, n),
            Report::WantsSnapshot => {
                let all = state.hall.snapshot();
                state.send(Item::Snapshot(all));
            }
            Report::Disk(Ok(())) => {
                info!("[+] The disk keeps what happens again");
                state.change(|hall, effects| hall.notice(KEPT_AGAIN, now(), effects));
            }
            Report::Disk(Err(why)) => {
                warn!("[!] What is said from now on does not survive the server: {why}");
                state.change(|hall, effects| hall.notice(NOT_KEPT, now(), effects));
            }
            Report::Lasting(Ok(())) => {
                info!("[+] The disk keeps names, bans, rooms and letters again");
                state.change(|hall, effects| hall.notice(LASTING_KEPT_AGAIN, now(), effects));
            }
            Report::Lasting(Err(why)) => {
                warn!("[!] Names, bans, rooms and letters of now are lost if the server stops: {why}");
                state.change(|hall, effects| hall.notice(LASTING_NOT_KEPT, now(), effects));
            }
        }
    }

    /// Tells the hall what time it is, whenever that makes a difference.
    fn keep_time(&self) {
        let mut state = self.lock();
        while state.accepting.is_some() {
            state = match state.hall.due_at() {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(due) => {
                    let patience = due.saturating_duration_since(Instant::now());
                    self.changed.wait_timeout(state, patience).unwrap_or_else(PoisonError::into_inner).0
                }
            };
            state.change(|hall, effects| hall.tick(now(), effects));
        }
    }

    /// Whether somebody may set a password now.
    pub fn may_set_password(&self, from: Conn) -> bool {
        self.lock().change(|hall, effects| hall.may_set_password(from, now(), effects))
    }

    /// Somebody sets the password of their name, or takes it away; or tries to, and is told what is wrong with it.
    pub fn set_password(&self, from: Conn, kept: Result<Option<String>, String>) {
        let mut state = self.lock();
        match kept {
            Ok(kept) => state.change(|hall, effects| hall.set_password(from, kept, effects)),
            Err(why) => state.send(Item::Effect(replied(from, &Reply::Refused(ErrorCode::Refused, why)))),
        }
    }

    /// Does what a line at the console says; gives what there is to say about it.
    pub fn console(&self, line: &str) -> Option<String> {
        let mut state = self.lock();
        let reply = match state.change(|hall, effects| hall.console(line, now(), effects))? {
            Reply::Wish(Wish::Reload) => {
                drop(state);
                return Some(self.reloaded());
            }
            Reply::Wish(wish) => state.grant(wish),
            reply => reply,
        };
        if state.accepting.is_none() {
            // The server's own end tells of itself.
            self.changed.notify_all();
            return None;
        }
        let (on_its_way, written) = channel::bounded(0);
        state.send(Item::Written(on_its_way));
        drop(state);
        // What is answered is on the disk. A disk that fails tells of itself.
        let _ = written.recv_timeout(WRITTEN);
        match reply {
            Reply::Done(text) | Reply::Refused(_, text) => Some(text),
            Reply::Wish(_) => None,
        }
    }

    /// The settings in effect.
    #[must_use]
    pub fn settings(&self) -> Arc<Config> {
        self.settings.now()
    }

    /// Reads the settings again. Gives what has changed, in lines. Not for who has the lock: it is taken once the disk
    /// has been read.
    ///
    /// # Errors
    /// What is wrong with them; then nothing has changed.
    pub fn reload(&self) -> Result<String, String> {
        self.settings.reload(|config| {
            let mut state = self.lock();
            state.hall.govern(config.hall_limits(), config.policy(), now());
            state.about.address = public_address(config, state.about.listens);
            log::set_max_level(config.log_level);
            self.changed.notify_all();
        })
    }

    /// The same, for whoever wants to know how it went.
    fn reloaded(&self) -> String {
        self.reload().unwrap_or_else(|why| format!("{why}\nthe settings are as they were"))
    }

    /// The server is to stop: everybody is told.
    pub fn terminate(&self) {
        self.lock().terminate();
        self.changed.notify_all();
    }

    /// Waits until the server is to stop, and everybody has heard it or had the time for it.
    pub fn wait(&self) {
        let state = self.lock();
        let state = self.changed.wait_while(state, |state| state.accepting.is_some());
        let state = state.unwrap_or_else(PoisonError::into_inner);
        let heard = self.changed.wait_timeout_while(state, FAREWELL, |state| state.attached > 0);
        let mut state = heard.unwrap_or_else(PoisonError::into_inner).0;
        let (disk, couriers) = (state.disk.take(), state.couriers.clone());
        drop(state);
        disk.into_iter().for_each(Disk::stop);
        couriers.stop();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A thread that has panicked with it has shown that; the others go on.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Changes who is here, and has it carried out.
    fn change<T>(&mut self, change: impl FnOnce(&mut Hall, &mut Vec<Effect>) -> T) -> T {
        let mut effects = Vec::new();
        let result = change(&mut self.hall, &mut effects);
        effects.retain(|effect| !is_logged(effect));
        let is_wish = |effect: &mut Effect| matches!(effect, Effect::Wish(..));
        let wishes: Vec<Effect> = effects.extract_if(.., is_wish).collect();
        if !effects.is_empty() {
            self.send(Item::Together(effects));
        }
        if !wishes.is_empty() {
            self.fulfil(wishes);
        }
        result
    }

    /// Does what is wished for. A function of its own, as such wishes are rare: all others need no stack for it.
    #[inline(never)]
    fn fulfil(&mut self, wishes: Vec<Effect>) {
        for wish in wishes {
            let Effect::Wish(conn, wish) = wish else { continue };
            if matches!(wish, Wish::Reload) {
                self.reloads.push(conn);
                continue;
            }
            if matches!(wish, Wish::Terminate) {
                // Behind Bye nobody hears an answer.
                self.send(Item::Effect(replied(conn, &Reply::Done(STOPS.into()))));
                self.terminate();
                continue;
            }
            let reply = self.grant(wish);
            self.send(Item::Effect(replied(conn, &reply)));
        }
    }

    /// Does what takes more than knowing who is here.
    fn grant(&mut self, wish: Wish) -> Reply {
        match wish {
            Wish::Terminate => {
                self.terminate();
                Reply::Done(STOPS.into())
            }
            Wish::Status => {
                let waiting = self.disk.as_ref().map_or(0, Disk::waiting);
                Reply::Done(status::text(&self.hall.counts(), self.about.started.elapsed(), waiting))
            }
            // It is for who has the hub, and not its lock.
            Wish::Reload => Reply::Refused(ErrorCode::Unsupported, "not now".into()),
            Wish::Invite { lasts, uses, by } => {
                let token = Token::new(rand::rng().random());
                let hash = token.hash();
                let invitation = match Invitation::to(&self.about.address, self.about.fingerprint, token) {
                    Ok(invitation) => invitation.to_string(),
                    Err(why) => return Reply::Refused(ErrorCode::Refused, why.to_string()),
                };
                match self.change(|hall, effects| hall.invite(hash, lasts, uses, &by, now(), effects)) {
                    Ok(_) => Reply::Done(invitation),
                    Err(why) => Reply::Refused(ErrorCode::Refused, why),
                }
            }
        }
    }

    fn terminate(&mut self) {
        self.accepting = None;
        self.change(Hall::terminate);
    }

    fn command(&self, conn: Conn, command: Command) {
        self.send(Item::Command(conn, command));
    }

    /// Gives the disk something; nobody, when it has stopped.
    fn send(&self, item: Item) {
        if let Some(disk) = &self.disk {
            disk.send(item);
        }
    }
}

/// Logs what is for the log. Gives whether it was.
fn is_logged(effect: &Effect) -> bool {
    let Effect::Note(note) = effect else {
        return false;
    };
    match note {
        Note::Joined(name) => info!("[+] Broadcast message:  New person joined the room. Username: {name}"),
        Note::Exchanged => info!("Message exchanged"),
        Note::Lost(name) => info!("[-] {name}: connection lost"),
        Note::Back(name) => info!("[+] {name} is back."),
        Note::Left(name) => info!("[+] {name} left the server."),
        Note::Act { by, what } => info!("[*] {by}: {what}"),
    }
    true
}

fn now() -> Moment {
    Moment { at: now_in_millis(), tick: Instant::now() }
}
