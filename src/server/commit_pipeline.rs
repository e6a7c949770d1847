//! The disk's thread: what must be found again is written down before it is handed out, and on the disk before it is
//! answered. PROTOCOL.md §8.
//!
//! ```text
//! service ──effects──▶ disk: one transaction, no waiting ──▶ workers
//!                    └── answers ──▶ sync: one for all that waits ──▶ workers
//! ```
//!
//! While one batch is written, or synced, the next gathers. Items without records, and without a batch to wait for, take
//! the short way: no thread is woken to pass them on. A failing disk does not stop the chat: events are
//! handed out all the same, and answered "volatile", until a new journal can be begun. What stays when the server stops
//! is on the disk before the journal says what it was answered.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam::channel::{self, Receiver, RecvError, Sender};
use log::warn;

use super::fanout::{Fanout, WorkerCommand};
use super::registry_writer::{DiskHealth, RegistryWriter};
use super::vital_thread;
use super::worker_event::WorkerEvent;
use crate::chat::journal_record::JournalRecord;
use crate::chat::message::ErrorCode;
use crate::chat::registry_record::RegistryRecord;
use crate::chat::state::{Effect, Outcome};
use crate::chat::{Audience, ConnectionId, SessionNumber};
use crate::store::database::DatabaseError;
use crate::store::journal::{Durable, Journal};
use crate::store::registry::Registry;

/// Length of the disk's queue.
const QUEUE: usize = 4_096;
/// Limit on the items of one transaction.
const BATCH: usize = 1_024;
/// Batches that may wait to be synced.
const UNSYNCED: usize = 256;
/// A disk that has failed is tried again after this.
const RETRY: Duration = Duration::from_secs(5);
/// Messages of which the service is yet to be told that they were not kept.
const UNREPORTED: usize = 65_536;

/// An item for the disk, in order.
pub enum CommitItem {
    /// One change of the chat state. It is written atomically: a crash in the middle leaves
    /// all of it again, or none.
    Together(Vec<Effect>),
    /// One of these.
    Effect(Effect),
    /// A command for a connection's worker, without a record.
    Command(ConnectionId, WorkerCommand),
    /// All there is, for a journal that begins here.
    Snapshot(Vec<JournalRecord>),
    /// Dropped when all before it is written down, or cannot be.
    Written(Sender<()>),
    /// The server stops.
    Stop,
}

/// The service's end of it.
pub struct CommitPipeline {
    items: Sender<CommitItem>,
    fanout: Arc<Fanout>,
    /// Number of items not handed out yet.
    in_hand: Arc<AtomicUsize>,
    writing: JoinHandle<()>,
    syncing: JoinHandle<()>,
}

/// An answer that waits for the disk.
enum PendingAck {
    Counted(ConnectionId, SessionNumber, u64, Outcome),
    /// An effect that follows answers in order.
    Other(Effect),
}

/// Answers, and what has to be synced before they go out.
struct Unsynced {
    answers: Vec<PendingAck>,
    journal: Option<Arc<Durable>>,
}

/// A message, by session and number.
type Counted = (SessionNumber, u64);

/// Where the journal is.
enum AckState {
    /// In memory alone.
    Off,
    On(Journal),
    /// It could not be written. A new one is begun when there is time.
    Failed {
        retry_at: Instant,
    },
}

struct CommitWriter {
    items: Receiver<CommitItem>,
    fanout: Arc<Fanout>,
    in_hand: Arc<AtomicUsize>,
    unsynced: Sender<Unsynced>,
    reports: Reports,
    folder: PathBuf,
    journal: AckState,
    registry_writer: RegistryWriter,
}

struct Syncing {
    unsynced: Receiver<Unsynced>,
    fanout: Arc<Fanout>,
    reports: Reports,
}

/// Reports for the service. It may be waiting for the disk, so the disk does not wait for it.
struct Reports {
    sender: Sender<WorkerEvent>,
    waiting: VecDeque<WorkerEvent>,
}

impl Reports {
    fn push(&mut self, report: WorkerEvent) {
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

impl CommitPipeline {
    /// Starts the threads. Without a journal, events are kept in memory alone; what stays is kept in any case.
    ///
    /// # Errors
    /// The system's error when it has no more threads.
    pub fn start(
        folder: PathBuf,
        journal: Option<Journal>,
        registry: Registry,
        fanout: Arc<Fanout>,
        reports: &Sender<WorkerEvent>,
    ) -> io::Result<Self> {
        let (items, inbox) = channel::bounded(QUEUE);
        let (unsynced, to_sync) = channel::bounded(UNSYNCED);
        let reports = || Reports { sender: reports.clone(), waiting: VecDeque::new() };
        let syncing = Syncing { unsynced: to_sync, fanout: fanout.clone(), reports: reports() };
        let journal = journal.map_or(AckState::Off, AckState::On);
        let reports = reports();
        let registry_writer = RegistryWriter::new(registry);
        let in_hand = Arc::new(AtomicUsize::new(0));
        let (to_count, carriers) = (in_hand.clone(), fanout.clone());
        let writing = CommitWriter {
            items: inbox,
            fanout,
            in_hand: to_count,
            unsynced,
            reports,
            folder,
            journal,
            registry_writer,
        };
        Ok(Self {
            items,
            fanout: carriers,
            in_hand,
            writing: vital_thread("disk", move || writing.run())?,
            syncing: vital_thread("sync", move || syncing.run())?,
        })
    }

    /// Returns the length of its queue.
    pub fn waiting(&self) -> usize {
        self.items.len()
    }

    /// Sends an item. Blocks while the queue is full. One caller at a time: the items are ordered.
    pub fn send(&self, item: CommitItem) {
        if self.in_hand.load(Ordering::Acquire) == 0 && item.needs_no_disk() {
            return forward(&self.fanout, item);
        }
        self.in_hand.fetch_add(1, Ordering::Relaxed);
        // An error is a thread that has stopped: then no client is left to be told.
        let _ = self.items.send(item);
    }

    /// Lets it finish what it has, takes the journal away, and waits for that.
    pub fn stop(self) {
        self.send(CommitItem::Stop);
        // None has panicked: that would have been the end of the process.
        let _ = self.writing.join();
        let _ = self.syncing.join();
    }
}

impl CommitWriter {
    fn run(mut self) {
        let mut batch = Vec::new();
        let mut stops = false;
        while !stops {
            let Ok(gathered) = gather(&self.items, &mut batch) else { return };
            if let Some(at) = batch.iter().position(|item| matches!(item, CommitItem::Stop)) {
                batch.truncate(at);
                stops = true;
            }
            let lost = self.keep_lasting(&batch);
            let is_kept = self.write(&batch, &lost);
            self.hand_out(batch.drain(..), is_kept, &lost);
            self.in_hand.fetch_sub(gathered, Ordering::Release);
            self.reports.send();
        }
        self.registry_writer.stop();
        if let AckState::On(journal) = self.journal
            && let Err(error) = journal.delete()
        {
            warn!("[!] The journal cannot be deleted: {error}");
        }
    }

    /// Writes registry records. Returns the messages with records that failed.
    fn keep_lasting(&mut self, batch: &[CommitItem]) -> HashSet<Counted> {
        let (are_kept, turn) = self.registry_writer.keep(kept(batch).filter_map(JournalRecord::lasting));
        match turn {
            Some(DiskHealth::Failed(why)) => self.reports.push(WorkerEvent::Lasting(Err(why))),
            Some(DiskHealth::KeepsAgain) => self.reports.push(WorkerEvent::Lasting(Ok(()))),
            None => {}
        }
        if are_kept { HashSet::new() } else { with_letters(batch) }
    }

    /// Writes down the rest of a batch that is to be found again. Gives whether it is.
    fn write(&mut self, batch: &[CommitItem], lost: &HashSet<Counted>) -> bool {
        if let AckState::On(journal) = &self.journal
            && journal.durable().has_failed()
        {
            self.fail("it could not be synced");
        }
        if let Some(all) = batch.iter().rev().find_map(|item| match item {
            CommitItem::Snapshot(all) => Some(all),
            _ => None,
        }) {
            // What follows it in this batch is written with it; what came before is part of it.
            return self.rewrite_journal(all, batch, lost);
        }
        match &mut self.journal {
            AckState::Off => true,
            AckState::On(journal) => match write(journal, batch, lost) {
                Ok(()) => true,
                Err(error) => {
                    self.fail(&error.to_string());
                    false
                }
            },
            AckState::Failed { retry_at } => {
                if Instant::now() >= *retry_at && kept(batch).next().is_some() {
                    *retry_at = Instant::now() + RETRY;
                    self.reports.push(WorkerEvent::WantsSnapshot);
                }
                false
            }
        }
    }

    fn rewrite_journal(&mut self, all: &[JournalRecord], batch: &[CommitItem], lost: &HashSet<Counted>) -> bool {
        let begin = || {
            let mut journal = Journal::fresh(&self.folder)?;
            journal.begin()?;
            all.iter().try_for_each(|kept| journal.keep(kept))?;
            journal.commit()?;
            let after = batch.iter().rposition(|item| matches!(item, CommitItem::Snapshot(_))).map_or(0, |at| at + 1);
            write(&mut journal, &batch[after..], lost)?;
            Ok::<_, DatabaseError>(journal)
        };
        match begin() {
            Ok(journal) => {
                self.journal = AckState::On(journal);
                self.reports.push(WorkerEvent::Disk(Ok(())));
                true
            }
            Err(error) => {
                self.journal = AckState::Failed { retry_at: Instant::now() + RETRY };
                warn!("[!] Still no journal: {error}");
                false
            }
        }
    }

    /// The journal is unusable from now on. No journal is better than one with a gap.
    fn fail(&mut self, why: &str) {
        warn!("[!] The journal cannot be written: {why}");
        let before = std::mem::replace(&mut self.journal, AckState::Failed { retry_at: Instant::now() + RETRY });
        if let AckState::On(journal) = before
            && let Err(error) = journal.delete()
        {
            warn!("[!] The journal cannot be deleted either: {error}");
        }
        self.reports.push(WorkerEvent::Disk(Err(why.to_owned())));
    }

    /// Hands out what is written, or cannot be.
    fn hand_out(&mut self, batch: impl Iterator<Item = CommitItem>, is_kept: bool, lost: &HashSet<Counted>) {
        let mut answers = Vec::new();
        for item in batch {
            match item {
                CommitItem::Effect(Effect::Answer(conn, member, n, outcome)) => {
                    let is_lost = outcome.is_ok() && (!is_kept || lost.contains(&(member, n)));
                    if is_lost {
                        self.reports.push(WorkerEvent::Volatile(member, n));
                    }
                    let outcome = if is_lost { Err(ErrorCode::Volatile) } else { outcome };
                    answers.push(PendingAck::Counted(conn, member, n, outcome));
                }
                CommitItem::Effect(effect @ (Effect::Bye(..) | Effect::End(_))) => {
                    answers.push(PendingAck::Other(effect));
                }
                CommitItem::Written(written) => drop(written),
                item => forward(&self.fanout, item),
            }
        }
        if !answers.is_empty() {
            // What uses a number up is to stay so, whether it was taken or not.
            let comes_again = |outcome| matches!(outcome, Err(ErrorCode::Again | ErrorCode::Wait));
            let is_promised = answers
                .iter()
                .any(|answer| matches!(answer, PendingAck::Counted(.., outcome) if !comes_again(*outcome)));
            let journal = match &self.journal {
                AckState::On(journal) if is_kept && is_promised => Some(journal.durable().clone()),
                _ => None,
            };
            // An error would be a thread that has ended, and it ends after this one.
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
                    _ => is_synced(journal),
                };
                synced = Some((journal.clone(), is_synced));
                if !is_synced {
                    for answer in answers {
                        self.reject_accepted(answer);
                    }
                }
            }
            for answer in all.into_iter().flat_map(|unsynced| unsynced.answers) {
                match answer {
                    PendingAck::Counted(conn, _, n, outcome) => self.fanout.answer(conn, n, outcome),
                    PendingAck::Other(effect) => self.fanout.deliver(effect),
                }
            }
            self.reports.send();
        }
    }

    fn reject_accepted(&mut self, answer: &mut PendingAck) {
        if let PendingAck::Counted(_, member, n, outcome @ Ok(())) = answer {
            *outcome = Err(ErrorCode::Volatile);
            self.reports.push(WorkerEvent::Volatile(*member, *n));
        }
    }
}

fn is_synced(journal: &Durable) -> bool {
    journal.sync().inspect_err(|error| warn!("[!] The journal cannot be synced: {error}")).is_ok()
}

impl CommitItem {
    /// True if it has no record, and no answer that follows one.
    fn needs_no_disk(&self) -> bool {
        let is_for_couriers = |effect: &Effect| {
            matches!(
                effect,
                Effect::Tell(..)
                    | Effect::Introduce(..)
                    | Effect::Enter(..)
                    | Effect::Exit(..)
                    | Effect::CatchUp(..)
                    | Effect::Cut(_)
            )
        };
        match self {
            Self::Command(..) => true,
            Self::Effect(effect) => is_for_couriers(effect),
            Self::Together(all) => all.iter().all(is_for_couriers),
            Self::Snapshot(_) | Self::Written(_) | Self::Stop => false,
        }
    }
}

/// Has workers do it, if it is for them.
fn forward(fanout: &Fanout, item: CommitItem) {
    match item {
        CommitItem::Command(conn, command) => fanout.send(conn, command),
        CommitItem::Effect(effect) => fanout.deliver(effect),
        CommitItem::Together(all) => all.into_iter().for_each(|effect| fanout.deliver(effect)),
        CommitItem::Snapshot(_) | CommitItem::Written(_) | CommitItem::Stop => {}
    }
}

/// Waits for an item, and takes the others: a batch's worth, and always all of a change. Returns their number.
fn gather(items: &Receiver<CommitItem>, batch: &mut Vec<CommitItem>) -> Result<usize, RecvError> {
    add(batch, items.recv()?);
    let mut gathered = 1;
    while batch.len() < BATCH
        && let Ok(next) = items.try_recv()
    {
        add(batch, next);
        gathered += 1;
    }
    Ok(gathered)
}

fn add(batch: &mut Vec<CommitItem>, item: CommitItem) {
    match item {
        CommitItem::Together(all) => batch.extend(all.into_iter().map(CommitItem::Effect)),
        item => batch.push(item),
    }
}

/// Returns the records of a batch, except events.
fn kept(batch: &[CommitItem]) -> impl Iterator<Item = &JournalRecord> + Clone {
    batch.iter().filter_map(|item| match item {
        CommitItem::Effect(Effect::Keep(kept)) => Some(kept),
        _ => None,
    })
}

/// Messages of a batch with registry records: letters. Each is followed by the number of its message.
fn with_letters(batch: &[CommitItem]) -> HashSet<Counted> {
    let mut found = HashSet::new();
    let mut is_letter = false;
    for kept in kept(batch) {
        match kept {
            JournalRecord::Lasting(RegistryRecord::Letter(_)) => is_letter = true,
            JournalRecord::Number { member, last, .. } if std::mem::take(&mut is_letter) => {
                found.insert((*member, *last));
            }
            _ => {}
        }
    }
    found
}

/// Writes a batch down, but those messages as lost: they will never be known as accepted.
fn write(journal: &mut Journal, batch: &[CommitItem], lost: &HashSet<Counted>) -> Result<(), DatabaseError> {
    let is_written =
        |item: &CommitItem| matches!(item, CommitItem::Effect(Effect::Keep(_) | Effect::Post(..) | Effect::One(..)));
    if !batch.iter().any(is_written) {
        return Ok(());
    }
    journal.begin()?;
    for item in batch {
        match item {
            CommitItem::Effect(Effect::Keep(JournalRecord::Number { member, last, refused: None }))
                if lost.contains(&(*member, *last)) =>
            {
                let refused = Some(ErrorCode::Volatile);
                journal.keep(&JournalRecord::Number { member: *member, last: *last, refused })?;
            }
            CommitItem::Effect(Effect::Keep(kept)) => journal.keep(kept)?,
            CommitItem::Effect(Effect::Post(room, entry)) => journal.event(Audience::Room(*room), entry)?,
            CommitItem::Effect(Effect::One(_, member, entry)) => journal.event(Audience::One(*member), entry)?,
            _ => {}
        }
    }
    journal.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_batch_ends_in_the_middle_of_a_change() {
        let (sender, items) = channel::unbounded();
        for _ in 1..BATCH {
            sender.send(CommitItem::Snapshot(Vec::new())).unwrap();
        }
        let change = vec![Effect::Cut(ConnectionId(1)), Effect::Cut(ConnectionId(2)), Effect::Cut(ConnectionId(3))];
        sender.send(CommitItem::Together(change)).unwrap();
        sender.send(CommitItem::Stop).unwrap();
        let mut batch = Vec::new();
        assert_eq!(gather(&items, &mut batch), Ok(BATCH));
        assert_eq!(batch.len(), BATCH + 2);
        assert!(matches!(batch.last(), Some(CommitItem::Effect(Effect::Cut(ConnectionId(3))))));
        batch.clear();
        gather(&items, &mut batch).unwrap();
        assert!(matches!(batch[..], [CommitItem::Stop]));
    }
}
