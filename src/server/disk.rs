//! The disk's thread: what must be found again is written down before it is handed out, and on the disk before it is
//! answered. PROTOCOL.md §8.
//!
//! ```text
//! hub ──effects──▶ disk: one transaction, no waiting ──▶ couriers
//!                    └── answers ──▶ sync: one for all that waits ──▶ couriers
//! ```
//!
//! While one batch is written, or synced, the next gathers. A disk that takes nothing holds nobody up: what happens is
//! handed out all the same, and answered "volatile", until a new journal can be begun.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam::channel::{self, Receiver, Sender};
use log::warn;

use super::courier::{Command, Couriers};
use super::hub::Report;
use crate::chat::hall::{Effect, Outcome};
use crate::chat::kept::Kept;
use crate::chat::message::ErrorCode;
use crate::chat::{Conn, Member, To};
use crate::store::database::DatabaseError;
use crate::store::journal::{Durable, Journal};
use crate::store::letters::Letters;

/// What may wait for the disk.
const QUEUE: usize = 4_096;
/// What one transaction takes at most.
const BATCH: usize = 1_024;
/// Batches that may wait to be synced.
const UNSYNCED: usize = 256;
/// A disk that has failed is tried again after this.
const RETRY: Duration = Duration::from_secs(5);
/// Messages of which the hub is yet to be told that they were not kept.
const UNREPORTED: usize = 65_536;

/// What the hub gives the disk, in order.
pub enum Item {
    /// Something that the hall brings about.
    Effect(Effect),
    /// Something for a connection's courier that is nothing to keep.
    Command(Conn, Command),
    /// All there is, for a journal that begins here.
    Snapshot(Vec<Kept>),
    /// The server stops.
    Stop,
}

/// The hub's end of it.
pub struct Disk {
    items: Sender<Item>,
    writing: JoinHandle<()>,
    syncing: JoinHandle<()>,
}

/// What waits for the disk before it goes out.
enum Answer {
    Counted(Conn, Member, u64, Outcome),
    /// What follows answers in order.
    Other(Effect),
}

/// Answers, and what has to be synced before they go out.
struct Unsynced {
    answers: Vec<Answer>,
    journal: Option<Arc<Durable>>,
}

/// Where the journal is.
enum State {
    /// In memory alone.
    Off,
    On(Journal),
    /// It could not be written. A new one is begun when there is time.
    Failed {
        retry_at: Instant,
    },
}

struct Writing {
    items: Receiver<Item>,
    couriers: Arc<Couriers>,
    unsynced: Sender<Unsynced>,
    sync_failed: Arc<AtomicBool>,
    reports: Reports,
    folder: PathBuf,
    journal: State,
    letters: Letters,
}

struct Syncing {
    unsynced: Receiver<Unsynced>,
    couriers: Arc<Couriers>,
    failed: Arc<AtomicBool>,
    reports: Reports,
}

/// What the hub is yet to be told. It may be waiting for the disk, so the disk does not wait for it.
struct Reports {
    sender: Sender<Report>,
    waiting: VecDeque<Report>,
}

impl Reports {
    fn push(&mut self, report: Report) {
        if self.waiting.len() >= UNREPORTED {
            self.waiting.pop_front();
        }
        self.waiting.push_back(report);
        self.send();
    }

    fn send(&mut self) {
        while let Some(report) = self.waiting.pop_front() {
            if let Err(refused) = self.sender.try_send(report) {
                return self.waiting.push_front(refused.into_inner());
            }
        }
    }
}

impl Disk {
    /// Starts the threads. Without a journal, events are kept in memory alone; letters are kept in any case.
    ///
    /// # Errors
    /// Whatever the system says when it has no more threads.
    pub fn start(
        folder: PathBuf,
        journal: Option<Journal>,
        letters: Letters,
        couriers: Arc<Couriers>,
        reports: &Sender<Report>,
    ) -> io::Result<Self> {
        let (items, inbox) = channel::bounded(QUEUE);
        let (unsynced, to_sync) = channel::bounded(UNSYNCED);
        let sync_failed = Arc::new(AtomicBool::new(false));
        let reports = || Reports { sender: reports.clone(), waiting: VecDeque::new() };
        let syncing =
            Syncing { unsynced: to_sync, couriers: couriers.clone(), failed: sync_failed.clone(), reports: reports() };
        let journal = journal.map_or(State::Off, State::On);
        let reports = reports();
        let writing = Writing { items: inbox, couriers, unsynced, sync_failed, reports, folder, journal, letters };
        Ok(Self {
            items,
            writing: thread::Builder::new().name("disk".into()).spawn(move || writing.run())?,
            syncing: thread::Builder::new().name("sync".into()).spawn(move || syncing.run())?,
        })
    }

    /// Gives it something. Waits while it has its hands full.
    pub fn send(&self, item: Item) {
        // An error is a thread that has stopped: then nobody is left to be told.
        let _ = self.items.send(item);
    }

    /// Lets it finish what it has, takes the journal away, and waits for that.
    pub fn stop(self) {
        self.send(Item::Stop);
        // A thread that has panicked has nothing more to do; the panic has been shown.
        let _ = self.writing.join();
        let _ = self.syncing.join();
    }
}

impl Writing {
    fn run(mut self) {
        let mut batch = Vec::new();
        let mut stops = false;
        while !stops {
            let Ok(first) = self.items.recv() else {
                return;
            };
            batch.push(first);
            while batch.len() < BATCH
                && let Ok(next) = self.items.try_recv()
            {
                batch.push(next);
            }
            if let Some(at) = batch.iter().position(|item| matches!(item, Item::Stop)) {
                batch.truncate(at);
                stops = true;
            }
            #[cfg(test)]
            tests::note(&batch);
            let is_kept = self.write(&batch);
            self.hand_out(batch.drain(..), is_kept);
            self.reports.send();
        }
        if let State::On(journal) = self.journal
            && let Err(error) = journal.delete()
        {
            warn!("[!] The journal cannot be deleted: {error}");
        }
    }

    /// Writes down all of a batch that is to be kept. Gives whether it is.
    fn write(&mut self, batch: &[Item]) -> bool {
        let letters = kept(batch).filter(|kept| kept.stays());
        if letters.clone().next().is_some()
            && let Err(error) = self.letters.keep(letters)
        {
            warn!("[!] Letters cannot be kept: {error}");
            return false;
        }
        if self.sync_failed.swap(false, Ordering::Relaxed) {
            self.fail("it could not be synced");
        }
        if let Some(all) = batch.iter().rev().find_map(|item| match item {
            Item::Snapshot(all) => Some(all),
            _ => None,
        }) {
            // What follows it in this batch is written with it; what came before is part of it.
            return self.begin_anew(all, batch);
        }
        match &mut self.journal {
            State::Off => true,
            State::On(journal) => match write(journal, batch) {
                Ok(()) => true,
                Err(error) => {
                    self.fail(&error.to_string());
                    false
                }
            },
            State::Failed { retry_at } => {
                if Instant::now() >= *retry_at && kept(batch).next().is_some() {
                    *retry_at = Instant::now() + RETRY;
                    self.reports.push(Report::WantsSnapshot);
                }
                false
            }
        }
    }

    fn begin_anew(&mut self, all: &[Kept], batch: &[Item]) -> bool {
        let begin = || {
            let mut journal = Journal::fresh(&self.folder)?;
            journal.begin()?;
            all.iter().try_for_each(|kept| journal.keep(kept))?;
            journal.commit()?;
            let after = batch.iter().rposition(|item| matches!(item, Item::Snapshot(_))).map_or(0, |at| at + 1);
            write(&mut journal, &batch[after..])?;
            Ok::<_, DatabaseError>(journal)
        };
        match begin() {
            Ok(journal) => {
                self.journal = State::On(journal);
                self.reports.push(Report::Disk(Ok(())));
                true
            }
            Err(error) => {
                self.journal = State::Failed { retry_at: Instant::now() + RETRY };
                warn!("[!] Still no journal: {error}");
                false
            }
        }
    }

    /// The journal is good for nothing any more. Better none is found than one that lacks something.
    fn fail(&mut self, why: &str) {
        warn!("[!] The disk cannot keep what happens: {why}");
        let before = std::mem::replace(&mut self.journal, State::Failed { retry_at: Instant::now() + RETRY });
        if let State::On(journal) = before
            && let Err(error) = journal.delete()
        {
            warn!("[!] The journal cannot be deleted either: {error}");
        }
        self.reports.push(Report::Disk(Err(why.to_owned())));
    }

    /// Hands out what is written, or cannot be.
    fn hand_out(&mut self, batch: impl Iterator<Item = Item>, is_kept: bool) {
        let mut answers = Vec::new();
        for item in batch {
            match item {
                Item::Effect(Effect::Answer(conn, member, n, outcome)) => {
                    let outcome = if is_kept { outcome } else { outcome.and(Err(ErrorCode::Volatile)) };
                    if outcome == Err(ErrorCode::Volatile) {
                        self.reports.push(Report::Volatile(member, n));
                    }
                    answers.push(Answer::Counted(conn, member, n, outcome));
                }
                Item::Effect(effect @ (Effect::Bye(..) | Effect::End(_))) => {
                    answers.push(Answer::Other(effect));
                }
                Item::Effect(effect) => self.couriers.carry_out(effect),
                Item::Command(conn, command) => self.couriers.send(conn, command),
                Item::Snapshot(_) | Item::Stop => {}
            }
        }
        if !answers.is_empty() {
            let is_promised = answers.iter().any(|answer| matches!(answer, Answer::Counted(.., Ok(()))));
            let journal = match &self.journal {
                State::On(journal) if is_kept && is_promised => Some(journal.durable().clone()),
                _ => None,
            };
            // An error is a thread that has panicked, which has been shown.
            let _ = self.unsynced.send(Unsynced { answers, journal });
        }
    }
}

impl Syncing {
    fn run(mut self) {
        while let Ok(first) = self.unsynced.recv() {
            let mut all = vec![first];
            all.extend(self.unsynced.try_iter());
            let mut synced: Option<(Arc<Durable>, bool)> = None;
            // What was written last is synced first: that is one sync for all before it.
            for Unsynced { answers, journal } in all.iter_mut().rev() {
                let Some(journal) = journal else { continue };
                let is_synced = match &synced {
                    Some((other, is_synced)) if Arc::ptr_eq(other, journal) => *is_synced,
                    _ => self.sync(journal),
                };
                synced = Some((journal.clone(), is_synced));
                if !is_synced {
                    for answer in answers {
                        self.spoil(answer);
                    }
                }
            }
            for answer in all.into_iter().flat_map(|unsynced| unsynced.answers) {
                match answer {
                    Answer::Counted(conn, _, n, outcome) => self.couriers.answer(conn, n, outcome),
                    Answer::Other(effect) => self.couriers.carry_out(effect),
                }
            }
            self.reports.send();
        }
    }

    fn sync(&mut self, journal: &Durable) -> bool {
        match journal.sync() {
            Ok(()) => true,
            Err(error) => {
                warn!("[!] The journal cannot be synced: {error}");
                self.failed.store(true, Ordering::Relaxed);
                false
            }
        }
    }

    fn spoil(&mut self, answer: &mut Answer) {
        if let Answer::Counted(_, member, n, outcome @ Ok(())) = answer {
            *outcome = Err(ErrorCode::Volatile);
            self.reports.push(Report::Volatile(*member, *n));
        }
    }
}

/// What of a batch is to be kept, but for events.
fn kept(batch: &[Item]) -> impl Iterator<Item = &Kept> + Clone {
    batch.iter().filter_map(|item| match item {
        Item::Effect(Effect::Keep(kept)) => Some(kept),
        _ => None,
    })
}

fn write(journal: &mut Journal, batch: &[Item]) -> Result<(), DatabaseError> {
    let is_written = |item: &Item| matches!(item, Item::Effect(Effect::Keep(_) | Effect::Post(..) | Effect::One(..)));
    if !batch.iter().any(is_written) {
        return Ok(());
    }
    journal.begin()?;
    for item in batch {
        match item {
            Item::Effect(Effect::Keep(kept)) => journal.keep(kept)?,
            Item::Effect(Effect::Post(room, entry)) => journal.event(To::Room(*room), entry)?,
            Item::Effect(Effect::One(_, member, entry)) => journal.event(To::One(*member), entry)?,
            _ => {}
        }
    }
    journal.commit()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::chat::Moment;
    use crate::chat::hall::{Asks, Hall, Limits, Newcomer, User};
    use crate::chat::kept::Letter;
    use crate::chat::message::{Numbered, Session, ToServer};
    use crate::chat::name::{Name, RoomName};
    use crate::server::hub::{Found, Hub};

    /// Batches of a Say's effects, and those that end inside of one.
    static BATCHES: AtomicUsize = AtomicUsize::new(0);
    static SPLIT: AtomicUsize = AtomicUsize::new(0);

    /// A Say's effects end with its answer.
    pub(super) fn note(batch: &[Item]) {
        BATCHES.fetch_add(1, Ordering::Relaxed);
        let ends_inside =
            matches!(batch.last(), Some(Item::Effect(Effect::Post(..) | Effect::Keep(Kept::Number { .. }))));
        SPLIT.fetch_add(usize::from(ends_inside), Ordering::Relaxed);
    }

    fn newcomer(conn: u64, name: &str, key: u8) -> Newcomer {
        let user = User {
            name: Name::parse(name).unwrap(),
            owner: [key; 32],
            session: Session([key; 32]),
            person: [1].into(),
            spki: [key].into(),
        };
        Newcomer { conn: Conn(conn), user }
    }

    fn join() -> Asks {
        Asks::First(ToServer::Join { room: RoomName::lobby(), password: String::new(), cursor: 0 })
    }

    #[test]
    fn what_one_change_brings_about_is_written_in_one_transaction() {
        let folder = tempfile::tempdir().unwrap();
        let found = Found {
            folder: folder.path().into(),
            journal: Some(Journal::fresh(folder.path()).unwrap()),
            letters: Letters::open(folder.path()).unwrap().0,
            kept: Vec::new(),
        };
        let hub = Hub::start(Limits::off(), found, std::os::unix::net::UnixStream::pair().unwrap().0).unwrap();
        hub.arrive(newcomer(1, "Ira", 1), &join());
        thread::sleep(Duration::from_millis(100));
        SPLIT.store(0, Ordering::Relaxed);
        for n in 1..=2_000 {
            let body = Numbered::Say { room: RoomName::lobby(), change: 1, envelope: vec![0; 100] };
            hub.receive(Conn(1), ToServer::Numbered { n, body });
            thread::sleep(Duration::from_micros(500));
        }
        let split = SPLIT.load(Ordering::Relaxed);
        assert_eq!(split, 0, "{split} of 2000 Says were cut in two by a transaction's end");
    }

    #[test]
    fn a_journal_that_is_there_lacks_nothing_after_a_letter_could_not_be_kept() {
        let folder = tempfile::tempdir().unwrap();
        let letters = Letters::open(folder.path()).unwrap().0;
        letters.break_for_test();
        let (sender, _reports) = channel::bounded(1_024);
        let (_items, inbox) = channel::bounded(1);
        let (unsynced, _to_sync) = channel::bounded(1_024);
        let mut writing = Writing {
            items: inbox,
            couriers: Arc::new(Couriers::start(&sender).unwrap()),
            unsynced,
            sync_failed: Arc::new(AtomicBool::new(false)),
            reports: Reports { sender, waiting: VecDeque::new() },
            folder: folder.path().into(),
            journal: State::On(Journal::fresh(folder.path()).unwrap()),
            letters,
        };
        let now = Moment { at: 1, tick: Instant::now() };
        let (mut hall, mut effects) = (Hall::new(Limits::off()), Vec::new());
        hall.arrive(newcomer(1, "Ira", 1), &join(), now, &mut effects);
        let mut items: Vec<Item> = effects.drain(..).map(Item::Effect).collect();
        assert!(writing.write(&items));
        // In one batch: a letter, and somebody who comes in.
        let letter = Letter { id: 1, author: [1; 32], reader: [2; 32], at: 1, bytes: [1].into() };
        hall.arrive(newcomer(2, "Boris", 2), &join(), now, &mut effects);
        items = effects.drain(..).map(Item::Effect).collect();
        items.push(Item::Effect(Effect::Keep(Kept::Letter(letter))));
        assert!(!writing.write(&items));
        writing.hand_out(items.drain(..), false);
        drop(writing);
        let Ok((_, kept)) = Journal::open(folder.path()) else { return };
        let sessions = kept.iter().filter(|kept| matches!(kept, Kept::Session { .. })).count();
        assert_ne!(sessions, 1, "the journal is still there, and Boris, of whom Ira has been told, is not in it");
    }
}
