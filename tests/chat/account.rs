//! What must hold of all that a crowd has done and seen.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::crowd::NAMES;
use crate::support::process::{Exit, talk};

/// All that has happened.
#[derive(Default)]
pub struct Story {
    pub visits: Vec<Visit>,
    pub sayings: Vec<Saying>,
    pub whispers: Vec<Whispering>,
}

/// One process of one person.
pub struct Visit {
    person: usize,
    /// What stood on somebody's screen before it began: nothing of it is for this one.
    seen_before: HashSet<usize>,
    end: End,
    lines: Vec<Line>,
    errors: String,
}

/// How a visit ended.
pub enum End {
    /// As it should; by then all this stood on somebody's screen.
    Left { seen: HashSet<usize> },
    /// Killed, or cut off.
    Vanished,
}

/// Something said to the room.
pub struct Saying {
    /// In which visit.
    pub by: usize,
    /// Of which visits their screen had told.
    pub readers: HashSet<usize>,
}

/// Something said to one alone.
pub struct Whispering {
    pub by: usize,
    /// To which person.
    pub to: usize,
}

/// A line of talk on a screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// Somebody said something.
    Said(usize, usize),
    /// Somebody whispered or wrote to oneself.
    From(usize, usize),
    /// One's own whisper or letter to somebody is on its way.
    To(usize, usize),
}

pub fn said(id: usize) -> String {
    format!("word {id}.")
}

pub fn whispered(id: usize) -> String {
    format!("secret {id}.")
}

/// What a screen shows that was said to the room.
pub fn ids_said(screen: &str) -> Vec<usize> {
    let ids = lines(screen).into_iter().filter_map(|line| if let Line::Said(_, id) = line { Some(id) } else { None });
    ids.collect()
}

fn lines(screen: &str) -> Vec<Line> {
    talk(screen).iter().map(|line| Line::parse(line).unwrap_or_else(|| panic!("nobody said {line:?}"))).collect()
}

impl Line {
    fn parse(line: &str) -> Option<Self> {
        let person = |name: &str| NAMES.iter().position(|known| *known == name);
        let id = |text: &str, of: &str| text.strip_prefix(of)?.strip_suffix('.')?.parse().ok();
        if let Some((head, text)) = line.strip_prefix('[').and_then(|line| line.split_once("] ")) {
            let head = head.strip_suffix(", without forward secrecy").unwrap_or(head);
            let [_, way, name] = head.split(' ').collect::<Vec<_>>()[..] else { return None };
            let (person, id) = (person(name)?, id(text, "secret ")?);
            return match way {
                "from" => Some(Self::From(person, id)),
                "to" => Some(Self::To(person, id)),
                _ => None,
            };
        }
        let (name, text) = match line.strip_prefix("* ") {
            Some(action) => action.split_once(' ')?,
            None => line.split_once(": ")?,
        };
        Some(Self::Said(person(name)?, id(text, "word ")?))
    }
}

impl Visit {
    pub fn begin(person: usize, seen_before: HashSet<usize>) -> Self {
        Self { person, seen_before, end: End::Vanished, lines: Vec::new(), errors: String::new() }
    }

    pub fn has_ended(&mut self, ended: Exit, end: End) {
        (self.lines, self.errors, self.end) = (lines(&ended.out), ended.err, end);
    }

    fn vanished(&self) -> bool {
        matches!(self.end, End::Vanished)
    }

    fn read(&self) -> impl Iterator<Item = usize> {
        self.lines.iter().filter_map(|line| if let Line::Said(_, id) = line { Some(*id) } else { None })
    }

    fn was_whispered(&self, id: usize) -> usize {
        self.lines.iter().filter(|line| matches!(line, Line::From(_, whisper) if *whisper == id)).count()
    }
}

impl Story {
    /// Who has not read all that was written to them, and may find it when they come back.
    pub fn awaited(&self) -> Vec<usize> {
        let unread = (0..self.whispers.len()).filter(|id| self.was_sent(*id) && self.times_read(*id) == 0);
        let people: BTreeSet<usize> = unread.map(|id| self.whispers[id].to).collect();
        people.into_iter().collect()
    }

    fn was_sent(&self, id: usize) -> bool {
        let Whispering { by, to } = self.whispers[id];
        self.visits[by].lines.contains(&Line::To(to, id))
    }

    fn visits_of(&self, person: usize) -> impl Iterator<Item = &Visit> {
        self.visits.iter().filter(move |visit| visit.person == person)
    }

    fn times_read(&self, id: usize) -> usize {
        self.visits_of(self.whispers[id].to).map(|visit| visit.was_whispered(id)).sum()
    }

    /// What was said in a visit, in its order.
    fn said_by(&self, visit: usize) -> Vec<usize> {
        (0..self.sayings.len()).filter(|id| self.sayings[*id].by == visit).collect()
    }
}

/// Everything holds.
pub fn holds(story: &Story) {
    for (number, visit) in story.visits.iter().enumerate() {
        nothing_is_told_of_but_what_may_be(visit);
        nothing_is_somebody_elses_or_came_before(story, visit);
        each_speakers_words_come_in_order_without_a_gap(story, visit);
        all_that_was_said_to_them_was_read(story, number);
    }
    all_read_in_one_order(story);
    whispers_reach_whom_they_are_for(story);
}

fn nothing_is_told_of_but_what_may_be(visit: &Visit) {
    let may_be = |line: &str| {
        let always =
            ["[!] First contact with ", "[!] Compare it with what ", "[!] Not delivered (", "[!] No member of #lobby "];
        let vanished = ["error: the connection was lost"];
        // A letter that had been read, when the way to say so was lost.
        let again = ["[!] Dropped: a repeated letter from "];
        always.iter().chain(&again).any(|start| line.starts_with(start))
            || line.starts_with("    ")
            || line.starts_with("error: ") && line.ends_with("not delivered, see above")
            || visit.vanished() && vanished.iter().any(|start| line.starts_with(start))
    };
    for line in visit.errors.lines() {
        assert!(may_be(line), "{} is told: {line}\n{}", NAMES[visit.person], visit.errors);
    }
}

fn nothing_is_somebody_elses_or_came_before(story: &Story, visit: &Visit) {
    for line in &visit.lines {
        let (by, to) = match *line {
            Line::Said(by, id) => {
                assert!(!visit.seen_before.contains(&id), "{id} was said before {} came", NAMES[visit.person]);
                assert_eq!(story.visits[story.sayings[id].by].person, by, "{line:?} was said by somebody else");
                assert_ne!(by, visit.person, "one's own words come back");
                continue;
            }
            Line::From(by, id) => (by, (visit.person, id)),
            Line::To(to, id) => (visit.person, (to, id)),
        };
        let (to, id) = to;
        let whisper = &story.whispers[id];
        assert_eq!((story.visits[whisper.by].person, whisper.to), (by, to), "{line:?} is for somebody else");
    }
}

fn each_speakers_words_come_in_order_without_a_gap(story: &Story, visit: &Visit) {
    let mut read: HashMap<usize, Vec<usize>> = HashMap::new();
    for id in visit.read() {
        read.entry(story.sayings[id].by).or_default().push(id);
    }
    for (speaker, read) in read {
        let said = story.said_by(speaker);
        let is_part = said.windows(read.len()).any(|part| part == read);
        assert!(is_part, "{} read {read:?} of {said:?}", NAMES[visit.person]);
    }
}

fn all_that_was_said_to_them_was_read(story: &Story, number: usize) {
    let visit = &story.visits[number];
    let End::Left { seen } = &visit.end else { return };
    let read: HashSet<usize> = visit.read().collect();
    let missing = |id: &usize| seen.contains(id) && story.sayings[*id].readers.contains(&number) && !read.contains(id);
    let missing: Vec<usize> = (0..story.sayings.len()).filter(missing).collect();
    assert_eq!(missing, [0; 0], "{} has not read these", NAMES[visit.person]);
}

/// There is an order in which everybody has read what they have read, and said what they have said.
fn all_read_in_one_order(story: &Story) {
    let read = story.visits.iter().map(|visit| visit.read().collect::<Vec<_>>());
    let said = (0..story.visits.len()).map(|visit| story.said_by(visit));
    let mut orders: Vec<_> = read.chain(said).map(|order| order.into_iter().peekable()).collect();
    loop {
        // The next is one that comes first wherever it has not come yet.
        let later: HashSet<usize> = orders.iter().flat_map(|order| order.clone().skip(1)).collect();
        let first: Vec<usize> = orders.iter_mut().filter_map(|order| order.peek().copied()).collect();
        if first.is_empty() {
            return;
        }
        let next = first.iter().find(|id| !later.contains(*id));
        let next = *next.unwrap_or_else(|| panic!("read in different orders: {first:?}"));
        for order in &mut orders {
            order.next_if_eq(&next);
        }
    }
}

fn whispers_reach_whom_they_are_for(story: &Story) {
    for (id, Whispering { by, to }) in story.whispers.iter().enumerate() {
        let (sender, read) = (&story.visits[*by], story.times_read(id));
        let was_sent = story.was_sent(id);
        let was_not = sender.errors.contains(&format!("): {}\n", whispered(id)));
        assert!(read <= 1, "{} has read secret {id} {read} times", NAMES[*to]);
        assert!(sender.vanished() || was_sent != was_not, "{} does not know of secret {id}", NAMES[sender.person]);
        assert!(!was_not || read == 0, "secret {id} was said not to be delivered, and was");
        // Who vanishes may do so with it in hand.
        let may_be_lost = story.visits_of(*to).any(Visit::vanished);
        assert!(!was_sent || may_be_lost || read == 1, "{} has never read secret {id}", NAMES[*to]);
    }
}
