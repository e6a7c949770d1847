//! People who talk, and the account of it: what each has said, what they were told became of it, and what stands on
//! everybody's screens.

use std::collections::HashMap;
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use cfb_chat::client::ClientTimeouts;
use cfb_chat::secure::identity::Identity;
use rustix::process::Signal;

use super::inside::Inside;
use crate::support::PATIENCE;
use crate::support::folder::Folder;
use crate::support::output::Output;
use crate::support::process::{Client, Exit, Process, READY, talk};

/// Their names; none looks like another.
pub const NAMES: [&str; 22] = [
    "Anna", "Boris", "Clara", "Dmitri", "Emma", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Katja", "Lorenzo", "Marek",
    "Nadia", "Oskar", "Petra", "Quentin", "Rosa", "Stefan", "Tamar", "Ulrich", "Vera",
];

/// What people say who meet again, behind their name; it is not counted.
const GREETING: &str = ": Hello";

/// Everybody has their own key; making one takes its time.
static KEYS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let make =
        |_: &str| Identity::generate(&mut rand::rng(), 2_048).expect("a size that is taken").to_pem(None).to_string();
    let (first, second) = NAMES.split_at(NAMES.len() / 2);
    thread::scope(|scope| {
        let half = scope.spawn(|| first.iter().map(|name| make(name)).collect::<Vec<_>>());
        let other: Vec<String> = second.iter().map(|name| make(name)).collect();
        half.join().expect("keys are made").into_iter().chain(other).collect()
    })
});

/// Somebody, in one process after the other.
pub struct Person {
    pub number: usize,
    pub folder: Folder,
    here: Option<Here>,
    /// What those have shown that have ended.
    out: String,
    err: String,
}

/// Where somebody is.
enum Here {
    Process(Client),
    Inside(Inside),
}

impl Here {
    fn screens(&self) -> (&Output, &Output) {
        match self {
            Self::Process(client) => (&client.process.out, &client.process.err),
            Self::Inside(inside) => (&inside.out, &inside.err),
        }
    }
}

/// What somebody has read, and was told.
#[derive(Default)]
pub struct Read {
    /// Of what was said to the room, in its order.
    pub said: Vec<usize>,
    /// Of what was said to them alone.
    pub secrets: Vec<usize>,
    /// Of what they have said to somebody alone, what is known to have been taken.
    pub sent: Vec<usize>,
    /// All that they were told beside that.
    pub told: String,
}

/// All that was said.
#[derive(Default)]
pub struct Account {
    /// By whom, to the room.
    pub said: Vec<usize>,
    /// By whom, to whom.
    pub secrets: Vec<(usize, usize)>,
}

impl Person {
    /// Somebody who is not in yet.
    pub fn new(number: usize) -> Self {
        let folder = Folder::of_user(NAMES[number], &KEYS[number]);
        Self { number, folder, here: None, out: String::new(), err: String::new() }
    }

    pub fn name(&self) -> &'static str {
        NAMES[self.number]
    }

    /// Is on the way in.
    pub fn sets_out(&mut self, port: u16) {
        assert!(self.here.is_none(), "{} is in", self.name());
        self.here = Some(Here::Process(Client::start(port, self.name(), self.folder.inside("."), &[])));
    }

    /// Is on the way in, as this process: for all that it is a client.
    pub fn sets_out_as(&mut self, process: Process) {
        assert!(self.here.is_none(), "{} is in", self.name());
        self.here = Some(Here::Process(Client { process, folder: self.folder.inside(".") }));
    }

    /// Is on the way in, in this process, where deadlines can be short.
    pub fn sets_out_inside(&mut self, port: u16, timing: ClientTimeouts) {
        assert!(self.here.is_none(), "{} is in", self.name());
        self.here = Some(Here::Inside(Inside::start(port, self.name(), &self.folder, timing)));
    }

    /// Comes in.
    pub fn comes(&mut self, port: u16) {
        self.sets_out(port);
        self.sees(READY);
    }

    fn here(&self) -> &Here {
        self.here.as_ref().expect("they are here")
    }

    pub fn says(&mut self, line: &str) {
        match self.here.as_mut().expect("they are here") {
            Here::Process(client) => client.says(line),
            Here::Inside(inside) => inside.says(line),
        }
    }

    /// Waits for a line of the talk.
    pub fn sees(&self, part: &str) -> String {
        self.here().screens().0.wait_for(part)
    }

    /// Waits for a line beside the talk.
    pub fn is_told(&self, part: &str) -> String {
        self.here().screens().1.wait_for(part)
    }

    /// Leaves, as one should.
    pub fn leaves(&mut self) {
        self.says("EXIT");
        let ended = self.ends();
        assert_eq!(ended.status, Some(0), "{}: {}", self.name(), ended.err);
    }

    /// Is killed, with no time for anything.
    pub fn is_killed(&mut self) {
        let Here::Process(client) = self.here() else { panic!("only a process can be killed") };
        client.process.signal(Signal::KILL);
        assert_eq!(self.ends().status, None, "it was killed, and did not end");
    }

    /// Waits until the process has ended.
    pub fn ends(&mut self) -> Exit {
        let ended = match self.here.take().expect("they are here") {
            Here::Process(mut client) => client.process.wait(),
            Here::Inside(inside) => inside.ends(),
        };
        self.out.push_str(&ended.out);
        self.err.push_str(&ended.err);
        ended
    }

    /// All that has stood on their screens.
    pub fn read(&self) -> Read {
        let now = self.here.as_ref().map(|here| (here.screens().0.so_far(), here.screens().1.so_far()));
        let (out, err) = now.unwrap_or_default();
        let (out, told) = (self.out.clone() + &out, self.err.clone() + &err);
        let mut read = Read { told, ..Read::default() };
        for line in talk(&out).iter().filter(|line| !line.contains(GREETING)) {
            match Line::parse(line).unwrap_or_else(|| panic!("nobody said {line:?}")) {
                Line::Said(id) => read.said.push(id),
                Line::From(id) => read.secrets.push(id),
                Line::To(id) => read.sent.push(id),
            }
        }
        read
    }

    /// How many lines of their screens have this in them.
    pub fn times_shown(&self, part: &str) -> usize {
        let now = self.here.as_ref().map(|here| here.screens().0.so_far()).unwrap_or_default();
        self.out.lines().chain(now.lines()).filter(|line| line.contains(part)).count()
    }

    /// How often they were told that they are back.
    pub fn times_back(&self) -> usize {
        self.read().told.matches("[+] Back after ").count()
    }
}

/// A line of talk.
enum Line {
    Said(usize),
    From(usize),
    To(usize),
}

impl Line {
    fn parse(line: &str) -> Option<Self> {
        let id = |text: &str, of: &str| text.strip_prefix(of)?.strip_suffix('.')?.parse().ok();
        // Where clocks differ it says when it came.
        let line = line.strip_prefix("(came ").and_then(|line| line.split_once(") ")).map_or(line, |(_, said)| said);
        match line.strip_prefix('[').and_then(|line| line.split_once("] ")) {
            Some((head, text)) if head.contains(" from ") => Some(Self::From(id(text, "secret ")?)),
            Some((_, text)) => Some(Self::To(id(text, "secret ")?)),
            None => Some(Self::Said(id(line.split_once(": ")?.1, "word ")?)),
        }
    }
}

impl Account {
    /// Somebody says something to the room. Gives what.
    pub fn says(&mut self, person: &mut Person) -> String {
        let text = format!("word {}.", self.said.len());
        self.said.push(person.number);
        person.says(&text);
        text
    }

    /// Somebody says something to one alone.
    pub fn whispers(&mut self, person: &mut Person, to: usize) {
        let id = self.secrets.len();
        self.secrets.push((person.number, to));
        person.says(&format!("/whisper {} secret {id}.", NAMES[to]));
    }

    /// Everybody who was in all the time has read all that the others have said, once, and all in one order; those who
    /// are `killed` in between have perhaps not said all that they have said, but what they have they have to all.
    pub fn is_read_by_all(&self, all: &[Person], killed: &[usize]) {
        let stayed: Vec<&Person> = all.iter().filter(|person| !killed.contains(&person.number)).collect();
        let read: Vec<Read> = stayed.iter().map(|person| person.read()).collect();
        for (person, read) in stayed.iter().zip(&read) {
            let mut times: HashMap<usize, usize> = HashMap::new();
            read.said.iter().for_each(|id| *times.entry(*id).or_default() += 1);
            let twice: Vec<_> = times.iter().filter(|(_, times)| **times > 1).map(|(id, _)| id).collect();
            assert!(twice.is_empty(), "{} has read {twice:?} more than once", person.name());
            let others = (0..self.said.len()).filter(|id| self.said[*id] != person.number);
            let missing: Vec<usize> =
                others.filter(|id| !times.contains_key(id) && !killed.contains(&self.said[*id])).collect();
            assert!(missing.is_empty(), "{} has not read {missing:?}; told:\n{}", person.name(), read.told);
            assert!(
                !read.said.iter().any(|id| self.said[*id] == person.number),
                "{} reads their own words",
                person.name()
            );
        }
        for (one, (person, of_one)) in stayed.iter().zip(&read).enumerate() {
            for (other, of_other) in stayed.iter().zip(&read).skip(one + 1) {
                let without = |read: &Read, who: &Person| -> Vec<usize> {
                    read.said.iter().filter(|id| self.said[**id] != who.number).copied().collect()
                };
                let (one, two) = (without(of_one, other), without(of_other, person));
                let differs = one.iter().zip(&two).position(|(one, two)| one != two);
                let shown = differs.map(|at| (at, one[at], two[at]));
                assert!(one == two, "{} and {} read in different orders: {shown:?}", person.name(), other.name());
            }
        }
        for read in &read {
            self.each_is_in_its_speakers_order(read);
        }
    }

    fn each_is_in_its_speakers_order(&self, read: &Read) {
        let mut last: HashMap<usize, usize> = HashMap::new();
        for id in &read.said {
            let before = last.insert(self.said[*id], *id);
            assert!(before.is_none_or(|before| before < *id), "{before:?} came before {id}, and was said after it");
        }
    }

    /// What was said to one alone was read by them once, if the sender was told that it was taken; not, if they were told
    /// that it was not. Gives how many were taken, refused, and of how many nobody knows.
    pub fn secrets_are_kept(&self, all: &[Person]) -> Told {
        let read: HashMap<usize, Read> = all.iter().map(|person| (person.number, person.read())).collect();
        let mut told = Told::default();
        for (id, (by, to)) in self.secrets.iter().enumerate() {
            let sender = &read[by];
            let times = read[to].secrets.iter().filter(|read| **read == id).count();
            let elsewhere = read.iter().filter(|(who, _)| *who != to).any(|(_, read)| read.secrets.contains(&id));
            assert!(!elsewhere, "secret {id} has been read by others");
            let line = format!(": secret {id}.\n");
            let (by, to) = (NAMES[*by], NAMES[*to]);
            match sender.sent.iter().filter(|sent| **sent == id).count() {
                1 => {
                    assert_eq!(times, 1, "{to} has read secret {id} of {by} {times} times, and it was taken");
                    told.taken += 1;
                }
                0 => {
                    let why = sender.told.lines().find(|told| format!("{told}\n").ends_with(&line));
                    let why = why.unwrap_or_else(|| panic!("{by} does not know of secret {id}:\n{}", sender.told));
                    if why.starts_with("[!] Not known") || why.contains("handed it out") {
                        assert!(times <= 1, "{to} has read secret {id} {times} times");
                        told.unknown += 1;
                    } else {
                        assert_eq!(times, 0, "{to} has read secret {id}, and {by} was told {why}");
                        told.refused += 1;
                    }
                }
                more => panic!("{by} was told {more} times of secret {id}"),
            }
        }
        told
    }
}

/// What became of what was said to one alone.
#[derive(Debug, Default)]
pub struct Told {
    pub taken: usize,
    pub refused: usize,
    pub unknown: usize,
}

/// Nobody was told of anything but this.
pub fn nobody_is_told_of_anything_but(all: &[Person], but: &[&str]) {
    let always = ["[!] First contact with ", "[!] Compare it with what ", "    "];
    for person in all {
        for line in person.read().told.lines() {
            let may_be = always.iter().chain(but).any(|start| line.starts_with(start));
            assert!(may_be, "{} is told: {line}", person.name());
        }
    }
}

/// Everybody comes in, one after the other, and knows of all the others.
pub fn come_together(people: &mut [Person], port: u16) {
    come_together_by(people, |person| person.sets_out(port));
}

/// As [`come_together`], each in this way.
pub fn come_together_by(people: &mut [Person], set_out: impl Fn(&mut Person)) {
    for person in people.iter_mut() {
        set_out(person);
        person.sees(READY);
    }
    let names: Vec<&str> = people.iter().map(Person::name).collect();
    for (place, person) in people.iter_mut().enumerate() {
        for name in &names[place + 1..] {
            person.sees(&format!("[+] {name} joined the room."));
        }
    }
}

/// Waits until this is so, trying it again and again, for as long as anything may take.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(3));
    }
}

/// Everybody knows of everybody again, in new sessions: what is said before that is not for all.
pub fn meet_again(people: &mut [Person]) {
    let names: Vec<&str> = people.iter().map(Person::name).collect();
    let greeted = |person: &Person| -> Vec<usize> {
        names.iter().map(|name| person.times_shown(&format!(" {name}{GREETING}"))).collect()
    };
    let before: Vec<Vec<usize>> = people.iter().map(greeted).collect();
    let deadline = Instant::now() + PATIENCE;
    loop {
        for person in people.iter_mut() {
            person.says("Hello");
        }
        thread::sleep(Duration::from_millis(100));
        let met = people.iter().zip(&before).enumerate().all(|(own, (person, before))| {
            let now = greeted(person);
            (0..now.len()).all(|other| other == own || now[other] > before[other])
        });
        if met {
            return;
        }
        assert!(Instant::now() < deadline, "they do not meet again");
    }
}

/// Everybody says something more, and all have read it: then all that was said before is there too.
pub fn settle(people: &mut [Person], account: &mut Account) {
    let last: Vec<(usize, String)> = people.iter_mut().map(|person| (person.number, account.says(person))).collect();
    for person in people.iter_mut() {
        let own = person.number;
        for (by, text) in last.iter().filter(|(by, _)| *by != own) {
            person.sees(&format!(" {}: {text}", NAMES[*by]));
        }
    }
}
