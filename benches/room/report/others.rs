//! The tables about what a room has of others: of those who disturb, and of very many who are elsewhere.

use super::super::cpu::{Cores, Placement};
use super::super::fairness::{self, Fairness};
use super::super::held::{self, Held};
use super::super::measures::ratio;
use super::keeping::Spread;
use super::{KIB, count, millis, table};

/// What was measured of it.
#[derive(Default)]
pub(crate) struct Others {
    pub(crate) fairness: Vec<Fairness>,
    pub(crate) held: Vec<Held>,
}

impl Others {
    pub(super) fn tables(&self, cores: &Cores) -> [Option<String>; 2] {
        let placement = cores.words(Placement::Pinned);
        [self.fairness(&placement), self.held(&placement)]
    }

    fn fairness(&self, placement: &str) -> Option<String> {
        let title = format!(
            "Fairness, limits on, {} messages/s in all: from the sending of a message to a member's having opened it; \
             without those who disturb and with them, in turns. One reads nothing; one says what is taken and more, and \
             comes back at once if it is cut off; one comes and goes, and tries again at once. The ratio of the p99 is \
             the median of all rounds' (the least and the most). Aim: at most {}. {placement}.",
            fairness::RATE,
            fairness::AIM
        );
        let head = ["members", "phases", "with them", "p50 ms", "p99 ms", "p99.9 ms", "p99 to that without"];
        let rows = self.fairness.iter().flat_map(|it| {
            let ratios = it.rounds.iter().map(|[without, with]| with[1].as_secs_f64() / without[1].as_secs_f64());
            let fairness::Flood { accepted, told_off, cut } = it.flood;
            let fairness::Visits { made, refused } = it.visits;
            let with = format!(
                "yes: {} messages taken of one, {} answered \"wait\" or \"again\", cut off {} times; {} visits made, {} \
                 refused",
                count_of(accepted),
                count_of(told_off),
                count_of(cut),
                count_of(made),
                count_of(refused)
            );
            let phases = format!("{} of {} s", it.rounds.len(), it.phase.as_secs());
            let rows = [("no".into(), String::new()), (with, Spread::of(ratios).words())];
            rows.into_iter().zip(it.all).map(move |((with, ratio), [p50, p99, p999])| {
                vec![count(it.members), phases.clone(), with, millis(p50), millis(p99), millis(p999), ratio]
            })
        });
        table(&title, &head, rows)
    }

    fn held(&self, placement: &str) -> Option<String> {
        let title = format!(
            "Many who say nothing, in rooms of {}, beside one in which {} messages/s are said: before they have come, \
             and with them there. {placement}.",
            held::ROOM,
            held::RATE
        );
        table(&title, &["what", "without", "with them", ""], self.held.iter().flat_map(held_rows))
    }
}

fn held_rows(it: &Held) -> Vec<Vec<String>> {
    let row = |what: &str, figures: [String; 2], beside: String| {
        let [without, with] = figures;
        vec![what.to_owned(), without, with, beside]
    };
    let times = |[without, with]: [f64; 2]| format!("× {:.2}", with / without);
    let each = |[without, with]: [u64; 2]| {
        format!("{:.1} KiB for each", ratio(with.saturating_sub(without), it.others as u64 * KIB))
    };
    let mib = |bytes: u64| format!("{} MiB", bytes / KIB / KIB);
    let latency = |which: usize| it.latency.map(|of| of[which]);
    let of_latency = |what: &str, which: usize| {
        let both = latency(which);
        row(what, both.map(|took| format!("{} ms", millis(took))), times(both.map(|took| took.as_secs_f64())))
    };
    let system = |what: &str, which: usize| {
        let [without, with] = it.threads.map(|both| both[which]);
        let each = ratio(with.saturating_sub(without) as u64, it.others as u64);
        row(what, [without, with].map(count), format!("{each:.1} for each"))
    };
    let first_and_last =
        format!("CPU of the server for one's join: the first {0} of them, the last {0}", count(it.joins));
    vec![
        row("connections", [it.talking, it.talking + it.others].map(count), String::new()),
        of_latency("from sending to opened, p50", 0),
        of_latency("p99", 1),
        row(
            "server CPU s per million deliveries, whatever else it did",
            it.cpu_per_million.map(|cpu| format!("{cpu:.2}")),
            times(it.cpu_per_million),
        ),
        row(
            "CPU of the server when nobody says anything, each pings every 30 s",
            it.idle.map(|share| format!("{:.2} % of a core", share * 100.0)),
            String::new(),
        ),
        row(
            &first_and_last,
            it.join.map(|cpu| format!("{} ms", millis(cpu))),
            times(it.join.map(|cpu| cpu.as_secs_f64())),
        ),
        row("server memory, resident, without the kernel's", it.memory.map(mib), each(it.memory)),
        row("the kernel's stacks of all threads of the machine (KernelStack)", it.stacks.map(mib), each(it.stacks)),
        system("threads of the server", 0),
        system("its mappings (vm.max_map_count bounds them)", 1),
    ]
}

fn count_of(number: u64) -> String {
    super::thousands(&number.to_string())
}
