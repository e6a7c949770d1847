//! The figures as Markdown tables, ready for a README.

mod keeping;
mod others;

use std::time::Duration;

use self::keeping::KeepingFigures;
use self::others::Others;
use super::TEXT;
use super::big_room::{self, BigRoom, Cost};
use super::client::{self, Client};
use super::client_process::Console;
use super::cpu::{Cores, Placement};
use super::disk::{self, Disk};
use super::floor::Floor;
use super::measures::{Connect, Idle, Light, SENDERS, Saturated};
use super::udp::{self, Journey};

/// Everything that was measured.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) floor: Vec<Floor>,
    pub(crate) saturated: Vec<Saturated>,
    pub(crate) light: Vec<Light>,
    pub(crate) connect: Vec<Connect>,
    pub(crate) idle: Vec<Idle>,
    pub(crate) big_room: Vec<BigRoom>,
    pub(crate) client: Vec<Client>,
    pub(crate) journeys: Vec<Journey>,
    pub(crate) keeping: KeepingFigures,
    pub(crate) others: Others,
    pub(crate) disk: Option<Disk>,
}

impl Report {
    /// The tables of what was measured.
    pub(crate) fn to_markdown(&self, cores: &Cores) -> String {
        let tables = [
            self.saturated(cores),
            self.what_sealing_adds(),
            table(
                "Quiet room: from the sending of a message to a member's having opened it.",
                &["members", "messages/s in all", "placement", "p50 ms", "p99 ms", "p99.9 ms", CPU, "messages/record"],
                self.light.iter().map(|it| light(it, cores)),
            ),
            table(
                "The floor: one thread that writes to each socket in turn, and does nothing else.",
                &["sockets", "envelope, bytes", "messages/write", "bytes/write", "CPU s per million messages"],
                self.floor.iter().map(floor),
            ),
            table(
                "Connections, 3072-bit keys.",
                &["what", "setting", "figure"],
                self.connect.iter().flat_map(connect).chain(self.idle.iter().flat_map(idle)),
            ),
            self.big_room(cores),
            self.client(),
            self.journeys(),
        ];
        tables
            .into_iter()
            .chain(self.keeping.tables(cores))
            .chain(self.others.tables(cores))
            .chain([self.disk.as_ref().map(kept_on)])
            .flatten()
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn journeys(&self) -> Option<String> {
        let title = format!(
            "A record of {} bytes every {} ms through a relay that takes {} ms each way. The relay loses datagrams; what \
             TCP sends it cannot lose, so TCP is there for comparison with no loss.",
            udp::TEXT,
            udp::PACE.as_millis(),
            udp::DELAY.as_millis()
        );
        let row = |it: &Journey| {
            let [p50, p99, most] = it.took.map(millis);
            vec![it.by.into(), format!("{} %", it.lost), count(it.records), p50, p99, most]
        };
        let head = ["by", "lost each way", "records", "p50 ms", "p99 ms", "most ms"];
        table(&title, &head, self.journeys.iter().map(row))
    }

    fn saturated(&self, cores: &Cores) -> Option<String> {
        let title = format!(
            "Saturated room: {SENDERS} members send {TEXT}-byte texts as fast as they are answered, everybody else \
             gets each. An envelope of {TEXT} bytes is the bare text, for comparison."
        );
        let head = [
            "members",
            "envelope, bytes",
            "unanswered a sender",
            "placement",
            "busy: server, load",
            "deliveries/s",
            CPU,
            "bytes/delivery",
            "messages/record",
            "× floor, 1/write",
            "× floor, 16/write",
        ];
        let rows = self.saturated.iter().map(|it| {
            vec![
                count(it.members),
                it.envelope.to_string(),
                it.unanswered.to_string(),
                cores.words(it.placement),
                it.busy.map(|share| format!("{:.0} %", share * 100.0)).join(", "),
                thousands(&format!("{:.0}", it.per_second)),
                format!("{:.2}", it.cpu_per_million),
                format!("{:.0}", it.bytes_each),
                format!("{:.0}", it.per_record),
                self.times_floor(it, 1),
                self.times_floor(it, 16),
            ]
        });
        table(&title, &head, rows)
    }

    fn times_floor(&self, of: &Saturated, together: usize) -> String {
        let floor = self.floor_of(of, together);
        floor.map(|floor| format!("{:.2}", of.cpu_per_million / floor.cpu_per_million)).unwrap_or_default()
    }

    fn floor_of(&self, of: &Saturated, together: usize) -> Option<&Floor> {
        let same = |floor: &&Floor| (floor.sockets, floor.envelope) == (of.members, of.envelope);
        self.floor.iter().filter(same).find(|floor| floor.together == together)
    }

    /// Whether the server's cost has grown with the bytes alone: in words, for that is what the bare texts are for.
    fn what_sealing_adds(&self) -> Option<String> {
        let bare = self.saturated.iter().find(|it| it.envelope == TEXT)?;
        let same = |it: &&Saturated| (it.members, it.unanswered) == (bare.members, bare.unanswered);
        let pinned = |it: &&Saturated| it.envelope != TEXT && it.placement == Placement::Pinned;
        let sealed = self.saturated.iter().filter(same).find(pinned)?;
        let [sealed_floor, bare_floor] = [self.floor_of(sealed, 16)?, self.floor_of(bare, 16)?];
        Some(format!(
            "What sealing adds, {} members, {} unanswered: {:.0} bytes a delivery instead of {:.0} (× {:.2}), {:.2} s \
             of server CPU per million instead of {:.2} (× {:.2}); the floor at 16/write, {:.2} instead of {:.2} \
             (× {:.2}).\n",
            count(bare.members),
            bare.unanswered,
            sealed.bytes_each,
            bare.bytes_each,
            sealed.bytes_each / bare.bytes_each,
            sealed.cpu_per_million,
            bare.cpu_per_million,
            sealed.cpu_per_million / bare.cpu_per_million,
            sealed_floor.cpu_per_million,
            bare_floor.cpu_per_million,
            sealed_floor.cpu_per_million / bare_floor.cpu_per_million,
        ))
    }

    fn client(&self) -> Option<String> {
        let title = format!(
            "The client, 3072-bit key, who knows the server and everybody: medians of {} starts on a terminal; and four \
             who say {TEXT}-byte texts as fast as it shows them.",
            client::STARTS,
        );
        table(&title, &["members", "what", "figure", "aim"], self.client.iter().flat_map(client_rows))
    }

    fn big_room(&self, cores: &Cores) -> Option<String> {
        let title = format!(
            "Big room: a client among members who say nothing; medians of {} rounds. Its line has {TEXT} bytes. Wall \
             time of a join is from the process's start, of a line until all have heard it; the server's CPU is \
             without the handshake; {}, client with the load.",
            big_room::ROUNDS,
            cores.words(Placement::Pinned),
        );
        let head = ["members", "the client", "its CPU ms", "aim ms", "wall ms", "server CPU ms"];
        table(&title, &head, self.big_room.iter().flat_map(big_room_rows))
    }
}

fn client_rows(it: &Client) -> Vec<Vec<String>> {
    let row = |what: String, figure: String, aim: String| vec![count(it.members), what, figure, aim];
    let mut rows = Vec::new();
    let mut before = Duration::ZERO;
    for (what, when) in CLIENT_STEPS.iter().zip(it.steps) {
        rows.push(row((*what).into(), format!("{} ms", millis(when.saturating_sub(before))), String::new()));
        before = when;
    }
    rows.push(row(
        "in all, from its start to a prompt".into(),
        format!("{} ms", millis(before)),
        format!("{} ms", millis(client::AIM_START)),
    ));
    rows.push(row("its CPU until then".into(), format!("{} ms", millis(it.start_cpu)), String::new()));
    for busy in &it.busy {
        let to = match busy.console {
            Console::Pipes => "a pipe",
            Console::Terminal => "a terminal",
        };
        let a_second = |each: Duration| thousands(&format!("{:.0}", each.as_secs_f64().recip()));
        let each = busy.cpu_each.as_secs_f64() * 1_000_000.0;
        let told = thousands(&busy.messages.to_string());
        let per_second = thousands(&format!("{:.0}", busy.per_second));
        rows.push(row(
            format!("reads a busy room, to {to}: messages for a second of its CPU"),
            format!("{} ({each:.1} µs each; {told} at {per_second} a second)", a_second(busy.cpu_each)),
            a_second(client::AIM_EACH),
        ));
    }
    rows
}

/// What each of the steps is the end of.
const CLIENT_STEPS: [&str; client::STEPS.len()] = [
    "process started, key loaded, credential signed, connected",
    "the server has proved who it is",
    "the secret is opened",
    "welcomed",
    "the prompt is there",
];

fn kept_on(it: &Disk) -> String {
    let [p50, p99] = it.sync.map(millis);
    format!(
        "What is kept is on {}: {} bytes appended and synced take {p50} ms (p50; p99 {p99} ms; {} times).\n",
        it.file_system,
        disk::PIECE,
        disk::PIECES,
    )
}

const CPU: &str = "server CPU s per million deliveries";

fn light(it: &Light, cores: &Cores) -> Vec<String> {
    let [p50, p99, p999] = it.latency.map(millis);
    let (cpu, per_record) = (format!("{:.2}", it.cpu_per_million), format!("{:.1}", it.per_record));
    vec![count(it.members), it.rate.to_string(), cores.words(it.placement), p50, p99, p999, cpu, per_record]
}

fn floor(it: &Floor) -> Vec<String> {
    let envelope = it.envelope.to_string();
    vec![count(it.sockets), envelope, it.together.to_string(), count(it.bytes), format!("{:.2}", it.cpu_per_million)]
}

fn big_room_rows(it: &BigRoom) -> Vec<Vec<String>> {
    let BigRoom { joins_new, joins_known, first, next, after_leave, .. } = it;
    let aim = millis(big_room::AIM_EACH * u32::try_from(it.members).unwrap_or(u32::MAX));
    let row = |what: &str, aim: &str, cost: &Cost| {
        let Cost { client, wall, server } = cost;
        vec![count(it.members), what.into(), millis(*client), aim.into(), millis(*wall), millis(*server)]
    };
    let relayed = vec![
        count(it.members),
        "(relaying its boxes: the first line less the next)".into(),
        String::new(),
        String::new(),
        String::new(),
        millis(first.server.saturating_sub(next.server)),
    ];
    vec![
        row("joins, knowing nobody", "", joins_new),
        row("joins, knowing all", "", joins_known),
        row("says its first line: its key to each", &aim, first),
        row("says the next line", "", next),
        row("says one after somebody has left: a new key to each", &aim, after_leave),
        relayed,
    ]
}

fn connect(it: &Connect) -> [Vec<String>; 2] {
    [
        row(
            &format!("server CPU of one that {}", it.what),
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

fn idle(it: &Idle) -> [Vec<String>; 4] {
    let share = it.cpu.as_secs_f64() / it.window.as_secs_f64() * 100.0;
    let (silent, silence) = it.silence;
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
            "CPU of it while nothing comes",
            format!("{} members, {} s", count(it.members), silence.as_secs()),
            format!("{:.2} % of a core", silent.as_secs_f64() / silence.as_secs_f64() * 100.0),
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
