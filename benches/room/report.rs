//! The figures as Markdown tables, ready for a README.

use std::time::Duration;

use super::cpu::Cores;
use super::floor::Floor;
use super::measures::{Connect, Idle, Light, SENDERS, Saturated, TEXT};

/// Everything that was measured.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) floor: Vec<Floor>,
    pub(crate) saturated: Vec<Saturated>,
    pub(crate) light: Vec<Light>,
    pub(crate) connect: Vec<Connect>,
    pub(crate) idle: Vec<Idle>,
}

impl Report {
    /// The tables of what was measured.
    pub(crate) fn to_markdown(&self, cores: &Cores) -> String {
        let tables = [
            self.saturated(cores),
            table(
                "Quiet room: from the sending of a message to a member's having opened it.",
                &["members", "messages/s in all", "placement", "p50 ms", "p99 ms", "p99.9 ms", CPU, "messages/record"],
                self.light.iter().map(|it| light(it, cores)),
            ),
            table(
                "The floor: one thread that writes to each socket in turn, and does nothing else.",
                &["sockets", "messages/write", "bytes/write", "CPU s per million messages"],
                self.floor.iter().map(floor),
            ),
            table(
                "Connections, 3072-bit keys.",
                &["what", "setting", "figure"],
                self.connect.iter().flat_map(connect).chain(self.idle.iter().flat_map(idle)),
            ),
        ];
        tables.into_iter().flatten().collect::<Vec<_>>().join("\n")
    }

    fn saturated(&self, cores: &Cores) -> Option<String> {
        let title = format!(
            "Saturated room: {SENDERS} members send {TEXT}-byte messages as fast as they are answered, everybody else \
             gets each."
        );
        let head = [
            "members",
            "unanswered a sender",
            "placement",
            "busy: server, load",
            "deliveries/s",
            CPU,
            "messages/record",
            "× floor, 1/write",
            "× floor, 16/write",
        ];
        let rows = self.saturated.iter().map(|it| {
            vec![
                count(it.members),
                it.unanswered.to_string(),
                cores.words(it.placement),
                it.busy.map(|share| format!("{:.0} %", share * 100.0)).join(", "),
                thousands(&format!("{:.0}", it.per_second)),
                format!("{:.2}", it.cpu_per_million),
                format!("{:.0}", it.per_record),
                self.times_floor(it, 1),
                self.times_floor(it, 16),
            ]
        });
        table(&title, &head, rows)
    }

    fn times_floor(&self, of: &Saturated, together: usize) -> String {
        let floor = self.floor.iter().find(|floor| floor.sockets == of.members && floor.together == together);
        floor.map(|floor| format!("{:.2}", of.cpu_per_million / floor.cpu_per_million)).unwrap_or_default()
    }
}

const CPU: &str = "server CPU s per million deliveries";

fn light(it: &Light, cores: &Cores) -> Vec<String> {
    let [p50, p99, p999] = it.latency.map(millis);
    let (cpu, per_record) = (format!("{:.2}", it.cpu_per_million), format!("{:.1}", it.per_record));
    vec![count(it.members), it.rate.to_string(), cores.words(it.placement), p50, p99, p999, cpu, per_record]
}

fn floor(it: &Floor) -> Vec<String> {
    vec![count(it.sockets), it.together.to_string(), count(it.bytes), format!("{:.2}", it.cpu_per_million)]
}

fn connect(it: &Connect) -> [Vec<String>; 2] {
    [
        row(
            "server CPU of one that joins and leaves",
            format!("{}, {} at a time", count(it.connections), it.at_a_time),
            format!("{} ms", millis(it.cpu_each)),
        ),
        row(
            "wall time of it",
            "both ends, and the making of the user's credential".into(),
            format!("{} ms", millis(it.wall_each)),
        ),
    ]
}

fn idle(it: &Idle) -> [Vec<String>; 3] {
    let share = it.cpu.as_secs_f64() / it.window.as_secs_f64() * 100.0;
    [
        row(
            "server memory of one that is idle",
            format!("resident, without the kernel's; {} in one room", count(it.members)),
            format!("{} KiB", it.memory_each / KIB),
        ),
        row(
            "CPU of the idle server",
            format!("{} members, each pings every 30 s", count(it.members)),
            format!("{share:.2} % of a core"),
        ),
        row(
            "held at once",
            format!("two rooms of {}, everybody heard what was said in theirs", count(it.members)),
            format!("{}, {} MiB resident in all", count(it.held), it.memory_held / KIB / KIB),
        ),
    ]
}

const KIB: u64 = 1_024;

fn row(what: &str, setting: String, figure: String) -> Vec<String> {
    vec![what.into(), setting, figure]
}

/// A Markdown table under a title, if it has any rows.
fn table(title: &str, head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Option<String> {
    let rows: Vec<String> = rows.map(|cells| format!("| {} |", cells.join(" | "))).collect();
    let (head, rule) = (head.join(" | "), "---|".repeat(head.len()));
    (!rows.is_empty()).then(|| format!("{title}\n\n| {head} |\n|{rule}\n{}\n", rows.join("\n")))
}

fn millis(duration: Duration) -> String {
    format!("{:.2}", duration.as_secs_f64() * 1_000.0)
}

fn count(number: usize) -> String {
    thousands(&number.to_string())
}

/// Digits, in groups of three.
fn thousands(digits: &str) -> String {
    let (head, rest) = digits.split_at(digits.len() % 3);
    let groups = (0..rest.len()).step_by(3).map(|at| &rest[at..at + 3]);
    let groups: Vec<&str> = Some(head).filter(|head| !head.is_empty()).into_iter().chain(groups).collect();
    groups.join(",")
}
