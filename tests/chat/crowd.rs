//! People who do what chance tells them to. All that they did, and all that stood on their screens, is kept.

use std::collections::HashSet;
use std::sync::LazyLock;

use cfb_chat::secure::identity::Identity;
use rustix::process::Signal;

use super::Step;
use super::account::{End, Saying, Story, Visit, Whispering, ids_said, said, whispered};
use super::path::Path;
use crate::support::folder::Folder;
use crate::support::process::{Client, READY, Server};

/// Their names; none looks like another.
pub const NAMES: [&str; 12] =
    ["Anna", "Boris", "Clara", "Dmitri", "Emma", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Katja", "Lorenzo"];

/// Everybody has their own key; making one takes its time.
static KEYS: LazyLock<[String; NAMES.len()]> = LazyLock::new(|| {
    NAMES.map(|_| {
        let identity = Identity::generate(&mut rand::rng(), 2_048).expect("a size that is taken");
        identity.to_pem(None).to_string()
    })
});

/// A server, and the people around it.
pub struct Crowd {
    server: Server,
    people: Vec<Person>,
    /// Who came last, and may still be on the way in.
    coming: Option<usize>,
    story: Story,
}

struct Person {
    path: Path,
    folder: Folder,
    here: Option<Here>,
}

/// Somebody who is in, or on the way in.
struct Here {
    client: Client,
    visit: usize,
    /// The visits that were there before.
    before: HashSet<usize>,
    /// Everybody's visits since, in their order.
    since: [Vec<usize>; NAMES.len()],
}

impl Here {
    /// Whether it has stood on their screen that this visit of somebody's has begun.
    fn knows(&self, person: usize, visit: usize) -> bool {
        let place = self.since[person].iter().position(|since| *since == visit);
        let lines = || self.client.process.out.so_far().matches(&joined(person)).count();
        self.before.contains(&visit) || place.is_some_and(|place| place < lines())
    }
}

fn joined(person: usize) -> String {
    format!("[+] {} joined the room.", NAMES[person])
}

impl Crowd {
    /// So many people, none of whom is in yet.
    pub fn gather(people: usize) -> Self {
        let server = Server::without_limits();
        let person = |index: usize| Person {
            path: Path::to(server.port),
            folder: Folder::of_user(NAMES[index], &KEYS[index]),
            here: None,
        };
        Self { people: (0..people).map(person).collect(), server, coming: None, story: Story::default() }
    }

    /// They all come in, do these things, come back, and go. Gives what has happened.
    pub fn live(mut self, steps: &[Step]) -> Story {
        let everybody = 0..self.people.len();
        let all_come: Vec<Step> = everybody.clone().map(Step::Come).chain([Step::Settle]).collect();
        for step in all_come.iter().chain(steps).chain(&all_come) {
            self.take(*step);
        }
        everybody.for_each(|person| self.leave(person));
        // Letters that came too late still wait for their readers.
        for person in self.story.awaited() {
            self.come(person);
            self.leave(person);
        }
        assert_eq!(self.server.terminate().status, Some(0));
        self.story
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Say(person, times) => (0..times).for_each(|_| self.say(person, "")),
            Step::Act(person) => self.say(person, "/me "),
            Step::Whisper(from, to) => self.whisper(from, to),
            Step::Come(person) => self.come(person),
            Step::Leave(person) => self.leave(person),
            Step::Die(person) => self.vanish(person, None, |_, client| client.process.signal(Signal::KILL)),
            Step::Lose(person) => self.vanish(person, Some(8), |path, _| path.cut()),
            Step::Settle => self.settle(),
        }
    }

    fn come(&mut self, person: usize) {
        if self.people[person].here.is_some() {
            return;
        }
        self.coming_is_in();
        let visit = self.story.visits.len();
        self.story.visits.push(Visit::begin(person, self.seen_so_far()));
        let before = self.here().map(|(_, here)| here.visit).collect();
        for other in self.people.iter_mut().filter_map(|other| other.here.as_mut()) {
            other.since[person].push(visit);
        }
        let Person { path, folder, here } = &mut self.people[person];
        let client = Client::start(path.port, NAMES[person], folder.inside("."), &["--no-reconnect"]);
        *here = Some(Here { client, visit, before, since: NAMES.map(|_| Vec::new()) });
        self.coming = Some(person);
    }

    fn say(&mut self, person: usize, how: &str) {
        let Some(speaker) = self.wait_for(person) else { return };
        let must_read =
            |other: &(usize, &Here)| other.1.visit != speaker.visit && speaker.knows(other.0, other.1.visit);
        let readers = self.here().filter(must_read).map(|(_, here)| here.visit).collect();
        let (by, id) = (speaker.visit, self.story.sayings.len());
        self.types(person, &format!("{how}{}", said(id)));
        self.story.sayings.push(Saying { by, readers });
    }

    fn whisper(&mut self, from: usize, to: usize) {
        if let Some(by) = self.wait_for(from).map(|here| here.visit).filter(|_| from != to) {
            let id = self.story.whispers.len();
            self.types(from, &format!("/whisper {} {}", NAMES[to], whispered(id)));
            self.story.whispers.push(Whispering { by, to });
        }
    }

    fn leave(&mut self, person: usize) {
        if self.wait_for(person).is_some() {
            let seen = self.seen_so_far();
            self.types(person, "EXIT");
            self.ends(person, Some(0), End::Left { seen });
        }
    }

    /// Is gone, without a word.
    fn vanish(&mut self, person: usize, status: Option<i32>, how: impl FnOnce(&Path, &Client)) {
        if let Some(here) = self.wait_for(person) {
            how(&self.people[person].path, &here.client);
            self.ends(person, status, End::Vanished);
        }
    }

    /// Everybody knows of everybody, and then hears them.
    fn settle(&mut self) {
        self.coming_is_in();
        for (_, here) in self.here() {
            for (other, since) in here.since.iter().enumerate().filter(|(_, since)| !since.is_empty()) {
                here.client.process.out.wait_for_times(&joined(other), since.len());
            }
        }
        let here: Vec<usize> = self.here().map(|(person, _)| person).collect();
        let first = self.story.sayings.len();
        for person in &here {
            self.say(*person, "");
        }
        for (id, speaker) in (first..).zip(&here) {
            for (_, reader) in self.here().filter(|(reader, _)| reader != speaker) {
                reader.client.sees(NAMES[*speaker], &said(id));
            }
        }
    }

    /// What has been said, as far as it stands on anybody's screen.
    fn seen_so_far(&self) -> HashSet<usize> {
        self.here().flat_map(|(_, here)| ids_said(&here.client.process.out.so_far())).collect()
    }

    fn here(&self) -> impl Iterator<Item = (usize, &Here)> {
        self.people.iter().enumerate().filter_map(|(person, one)| Some((person, one.here.as_ref()?)))
    }

    /// Somebody who is in; waits if they are on the way.
    fn wait_for(&self, person: usize) -> Option<&Here> {
        if self.coming == Some(person) {
            self.coming_is_in();
        }
        self.people[person].here.as_ref()
    }

    fn coming_is_in(&self) {
        if let Some(here) = self.coming.and_then(|person| self.people[person].here.as_ref()) {
            here.client.process.out.wait_for(READY);
        }
    }

    fn types(&mut self, person: usize, line: &str) {
        self.people[person].here.as_mut().expect("they are here").client.says(line);
    }

    fn ends(&mut self, person: usize, status: Option<i32>, end: End) {
        let mut here = self.people[person].here.take().expect("they were here");
        let ended = here.client.process.wait();
        // A whisper to somebody who was just going is told of, and at the end of a pipe counts.
        let undelivered = ended.err.contains("[!] Not delivered (") && ended.status == Some(9);
        assert!(ended.status == status || status == Some(0) && undelivered, "{}: {}", NAMES[person], ended.err);
        self.story.visits[here.visit].has_ended(ended, end);
    }
}
