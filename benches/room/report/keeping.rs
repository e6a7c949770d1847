//! The tables about what is kept.

use super::super::cpu::{Cores, Placement};
use super::super::journal::{self, Busy, Quiet};
use super::super::lagging::{self, Lagging};
use super::super::measures::SENDERS;
use super::super::paused::{self, Paused};
use super::super::restart::{self, Cost, Restart};
use super::{CPU, KIB, count, millis, table, thousands};

/// What was measured of it.
#[derive(Default)]
pub(crate) struct KeepingFigures {
    pub(crate) busy: Vec<Busy>,
    pub(crate) quiet: Vec<Quiet>,
    pub(crate) paused: Vec<Paused>,
    pub(crate) lagging: Vec<Lagging>,
    pub(crate) restart: Vec<Restart>,
}

impl KeepingFigures {
    pub(super) fn tables(&self, cores: &Cores) -> [Option<String>; 5] {
        let placement = cores.words(Placement::Pinned);
        [self.busy(&placement), self.quiet(&placement), self.paused(), self.lagging(), self.restart()]
    }

    fn busy(&self, placement: &str) -> Option<String> {
        let title = format!(
            "The journal, saturated room: in memory, on the disk, and the second for one of the first. Medians of rounds \
             in which both had their turn, and of their ratios (the least and the most of these). Aim: at least {} of \
             the deliveries. {placement}.",
            journal::AIM
        );
        let head = [
            "members",
            "unanswered a sender",
            "rounds",
            "deliveries/s: memory",
            "disk",
            "ratio",
            "CPU s per million: memory",
            "disk",
            "ratio",
            "server busy: memory, disk",
            "Accepted p50, p99 ms: memory",
            "disk",
            "written for a message, bytes",
        ];
        let rows = self.busy.iter().map(|it| {
            let [memory, disk, ratio] = compared(&it.rounds, |one| one.per_second);
            let [cpu_memory, cpu_disk, cpu_ratio] = compared(&it.rounds, |one| one.cpu_per_million);
            let accepted = |place: usize| {
                [0, 1]
                    .map(|which| median(it.rounds.iter().map(|both| both[place].accepted[which])))
                    .map(millis)
                    .join(", ")
            };
            let [busy_memory, busy_disk, _] = compared(&it.rounds, |one| one.busy[0]);
            let busy = [busy_memory, busy_disk].map(|share| format!("{:.0} %", share.median * 100.0)).join(", ");
            let written = it.rounds.iter().map(|[_, disk]| disk.written_per_second / disk.said_per_second);
            vec![
                count(it.members),
                it.unanswered.to_string(),
                it.rounds.len().to_string(),
                thousands(&format!("{:.0}", memory.median)),
                thousands(&format!("{:.0}", disk.median)),
                ratio.words(),
                format!("{:.2}", cpu_memory.median),
                format!("{:.2}", cpu_disk.median),
                cpu_ratio.words(),
                busy,
                accepted(0),
                accepted(1),
                format!("{:.0}", Spread::of(written).median),
            ]
        });
        table(&title, &head, rows)
    }

    fn quiet(&self, placement: &str) -> Option<String> {
        let title = format!(
            "The journal, quiet room: from the sending of a message to a member's having opened it, and to its Accepted. \
             {placement}."
        );
        let head =
            ["members", "messages/s in all", "round", "journal", "p50 ms", "p99 ms", "Accepted p50 ms", "p99 ms", CPU];
        let rows = self.quiet.iter().flat_map(|it| {
            let rounds = it.rounds.iter().enumerate();
            rounds.flat_map(move |(round, both)| {
                ["memory", "disk"].into_iter().zip(both).map(move |(place, one)| {
                    let [p50, p99, _] = one.latency.map(millis);
                    let [accepted_p50, accepted_p99] = one.accepted.map(millis);
                    let (round, cpu) = ((round + 1).to_string(), format!("{:.2}", one.cpu_per_million));
                    let rate = it.rate.to_string();
                    vec![count(it.members), rate, round, place.into(), p50, p99, accepted_p50, accepted_p99, cpu]
                })
            })
        });
        table(&title, &head, rows)
    }

    fn paused(&self) -> Option<String> {
        let title = format!(
            "One reader does not read: from the sending of a message of {} bytes to another member's having opened it. \
             Aim: p99 within {:.0} % of what it was before. The reader then had everything, in order and once.",
            paused::ENVELOPE,
            paused::AIM * 100.0
        );
        let head = ["members", "messages/s", "the reader", "others' p50 ms", "p99 ms", "p99 to that before"];
        let rows = self.paused.iter().flat_map(|it| {
            let caught_up = format!("reads again; as far as the others after {} ms", millis(it.caught_up));
            let pause = format!("does not read for {} s: {} events missed", it.pause.as_secs(), count_of(it.missed));
            let phases = ["reads".to_owned(), pause, caught_up];
            phases.into_iter().zip(it.others).map(|(phase, [p50, p99])| {
                let ratio = p99.as_secs_f64() / it.others[0][1].as_secs_f64();
                let (members, rate) = (count(it.members), it.rate.to_string());
                vec![members, rate, phase, millis(p50), millis(p99), format!("{ratio:.2}")]
            })
        });
        table(&title, &head, rows)
    }

    fn lagging(&self) -> Option<String> {
        let title = format!(
            "Readers who do not read, while {SENDERS} of {} others talk; the journal holds {} MiB. Memory of the server is \
             what is resident; what it holds for each reader is what it holds more than before and than was said, once, \
             as far as the journal holds that. Memory of the system is what it holds for all TCP, both ends.",
            lagging::ACTIVE,
            lagging::BOUND
        );
        let head = [
            "readers",
            "said, MiB",
            "server MiB: before",
            "most while they do not read",
            "of it for each reader, KiB",
            "most while they read again",
            "after",
            "system MiB: before",
            "while they do not read",
            "had everything",
            "after s",
        ];
        let rows = self.lagging.iter().flat_map(|it| {
            it.rounds.iter().map(|round| {
                let [before, peak, reading, after] =
                    [round.before, round.peak, round.reading, round.after].map(|bytes| (bytes / KIB / KIB).to_string());
                let [system_before, system] = round.system.map(|bytes| (bytes / KIB / KIB).to_string());
                let once = round.said.min(lagging::BOUND * KIB * KIB);
                let each = round.peak.saturating_sub(round.before + once) / it.readers as u64 / KIB;
                vec![
                    count(it.readers),
                    (round.said / KIB / KIB).to_string(),
                    before,
                    peak,
                    each.to_string(),
                    reading,
                    after,
                    system_before,
                    system,
                    format!("{}; {} were told: too slow", count(round.had_all), count(it.readers - round.had_all)),
                    format!("{:.1}", round.took.as_secs_f64()),
                ]
            })
        });
        table(&title, &head, rows)
    }

    fn restart(&self) -> Option<String> {
        let title = format!(
            "The server is killed, with {} messages that half of its members have yet to hear, and started again: all go \
             on, one after the other, by one thread. Since its start; aim for 1,000: {} s of CPU until all talk again.",
            restart::UNHEARD,
            restart::AIM.as_secs()
        );
        let rows = self.restart.iter().flat_map(|it| {
            let row = |what: &str, cost: &Cost| {
                let [server, load, wall] = [cost.server, cost.load, cost.wall].map(seconds);
                vec![count(it.members), what.into(), server, load, wall]
            };
            let of_handshakes = vec![
                count(it.members),
                "(as many handshakes, and nothing else)".into(),
                seconds(it.handshakes),
                String::new(),
                String::new(),
            ];
            vec![
                row("it listens", &it.listens),
                row("all are back, and have had what they had missed", &it.back),
                row("one has said something, and all have heard it", &it.heard),
                row("all have said something, and all have heard all", &it.talked),
                of_handshakes,
            ]
        });
        table(&title, &["members", "until", "server CPU s", "the load's CPU s", "wall s"], rows)
    }
}

/// A figure of several rounds.
pub(super) struct Spread {
    least: f64,
    median: f64,
    most: f64,
}

impl Spread {
    pub(super) fn of(all: impl Iterator<Item = f64>) -> Self {
        let mut all: Vec<f64> = all.collect();
        all.sort_by(f64::total_cmp);
        let [least, most] = [all.first(), all.last()].map(|end| end.copied().unwrap_or_default());
        let middle = &all[(all.len().saturating_sub(1)) / 2..=all.len() / 2];
        #[allow(clippy::cast_precision_loss, reason = "one or two")]
        let median = middle.iter().sum::<f64>() / middle.len() as f64;
        Self { least, median, most }
    }

    pub(super) fn words(&self) -> String {
        format!("{:.2} ({:.2} to {:.2})", self.median, self.least, self.most)
    }
}

/// A figure of the first, of the second, and the second's for one of the first's.
fn compared<T>(rounds: &[[T; 2]], figure: impl Fn(&T) -> f64) -> [Spread; 3] {
    let of = |which: usize| Spread::of(rounds.iter().map(|both| figure(&both[which])));
    let ratio = rounds.iter().map(|[first, second]| figure(second) / figure(first));
    [of(0), of(1), Spread::of(ratio)]
}

fn median(all: impl Iterator<Item = std::time::Duration>) -> std::time::Duration {
    let mut all: Vec<_> = all.collect();
    all.sort_unstable();
    all[all.len() / 2]
}

fn seconds(duration: std::time::Duration) -> String {
    format!("{:.2}", duration.as_secs_f64())
}

fn count_of(number: u64) -> String {
    thousands(&number.to_string())
}
