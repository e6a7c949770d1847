//! The server is killed in the middle of it, again and again, and started again.

use std::thread;
use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::StdRng;

use super::apart::{Telling, runs_apart};
use super::people::{Account, NAMES, Person, come_together, nobody_is_told_of_anything_but, settle};
use crate::support::house::House;
use crate::support::rounds;

/// So many people talk; two more come and go, and letters are written to them.
const TALKING: usize = 20;
/// Somebody says something this often.
const PACE: Duration = Duration::from_millis(6);
/// One of the two comes and goes in every so many rounds.
const VISIT_EVERY: usize = 3;

/// Talk, and how often the server was killed.
struct Evening {
    house: House,
    people: Vec<Person>,
    account: Account,
    chance: StdRng,
}

impl Evening {
    /// Somebody says something.
    fn somebody_speaks(&mut self) {
        let by = self.chance.random_range(0..TALKING);
        let person = &mut self.people[by];
        match self.chance.random_range(0..100) {
            0..82 => drop(self.account.says(person)),
            82..94 => {
                let to = (by + self.chance.random_range(1..TALKING)) % TALKING;
                self.account.whispers(person, to);
            }
            // As a letter, if they are not there.
            _ => self.account.whispers(person, self.chance.random_range(TALKING..NAMES.len())),
        }
    }

    /// They talk for so long.
    fn talk(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.somebody_speaks();
            thread::sleep(PACE);
        }
    }

    /// Somebody comes, reads the letters that wait for them, and goes.
    fn visit(&mut self, visitor: usize) {
        let port = self.house.port;
        self.people[visitor].comes(port);
        self.talk(Duration::from_millis(100));
        self.people[visitor].leaves();
    }

    /// All that has been said is read: by who is back.
    fn end(&mut self) {
        settle(&mut self.people[..TALKING], &mut self.account);
        for visitor in TALKING..NAMES.len() {
            let port = self.house.port;
            self.people[visitor].comes(port);
            self.people[visitor].leaves();
        }
        self.people[..TALKING].iter_mut().for_each(Person::leaves);
        self.house.server().process.type_line("TERMINATE");
        assert_eq!(self.house.ends().status, Some(0));
    }
}

/// PROTOCOL.md 8.1-1, 8.1-2.
#[test]
fn all_that_was_accepted_is_read_once_and_in_one_order_however_often_the_server_is_killed() {
    if runs_apart("rounds::all_that_was_accepted_is_read_once_and_in_one_order_however_often_the_server_is_killed") {
        return;
    }
    let chance = super::chance();
    let rounds = rounds(25);
    let start = Instant::now();
    let house = House::open(&[]);
    let mut people: Vec<Person> = (0..NAMES.len()).map(Person::new).collect();
    // Everybody knows the two who come and go: who has never met somebody cannot write to them.
    come_together(&mut people, house.port);
    people[TALKING..].iter_mut().for_each(Person::leaves);
    let mut evening = Evening { house, people, account: Account::default(), chance };
    let _telling = Telling::begin();
    for round in 0..rounds {
        let time = evening.chance.random_range(600..1_500);
        evening.talk(Duration::from_millis(time));
        if round % VISIT_EVERY == 0 {
            evening.visit(TALKING + round / VISIT_EVERY % 2);
        }
        for _ in 0..evening.chance.random_range(0..60) {
            evening.somebody_speaks();
        }
        thread::sleep(Duration::from_micros(evening.chance.random_range(0..20_000)));
        evening.house.kill();
        if evening.chance.random_range(0..4) == 0 {
            thread::sleep(Duration::from_millis(evening.chance.random_range(0..300)));
        }
        evening.house.open_again();
    }
    evening.end();

    let Evening { house, people, account, .. } = &evening;
    // A letter that was read and not known to be before a kill comes once more, and is not shown again.
    let may_be = [
        "[!] Connection lost. Reconnecting …",
        "[+] Back after ",
        "[!] Not back yet: ",
        "[!] Not delivered (",
        "[!] Dropped: a letter from ",
    ];
    nobody_is_told_of_anything_but(people, &may_be);
    account.is_read_by_all(&people[..TALKING], &[]);
    let told = account.secrets_are_kept(people);
    let back: usize = people.iter().map(Person::times_back).sum();
    let (sessions, events) = house.found_again();
    let log = house.log();
    assert!(rounds == 0 || (sessions > 0 && back > 0 && house.came_back() > 0), "{log}");
    assert!(!log.contains("[!]"), "{log}");
    let anew = people.iter().filter(|person| person.read().told.contains("in a new session")).count();
    assert_eq!(anew, 0, "every session goes on");
    println!(
        "{rounds} kills of the server in {:.0} s: {} lines of {TALKING} to the room, each read by all {} others once and in one \
         order; whispers and letters: {told:?}; {sessions} sessions and {events} events found again, {} times somebody \
         came back to the server, {back} times a client said so",
        start.elapsed().as_secs_f64(),
        account.said.len(),
        TALKING - 1,
        house.came_back()
    );
}
