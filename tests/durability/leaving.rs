//! Who leaves while the server cannot be reached leaves when all they said is delivered, or says that it is not.

use std::collections::HashSet;
use std::thread;
use std::time::{Duration, Instant};

use super::people::{Account, Person, come_together};
use crate::support::house::House;

/// So many leave; one more stays and listens.
const LEAVING: usize = 5;
const KILLS: usize = 10;
const BETWEEN: Duration = Duration::from_millis(1_500);
const PACE: Duration = Duration::from_millis(20);

#[test]
fn who_leaves_while_away_has_delivered_all_or_says_what_was_not() {
    let start = Instant::now();
    let mut house = House::open(&[]);
    let mut people: Vec<Person> = (0..=LEAVING).map(Person::new).collect();
    come_together(&mut people, house.port);
    let mut account = Account::default();
    let talk = |people: &mut [Person], account: &mut Account, time: Duration| {
        let end = Instant::now() + time;
        while Instant::now() < end {
            people[..LEAVING].iter_mut().for_each(|person| drop(account.says(person)));
            thread::sleep(PACE);
        }
    };
    for _ in 0..KILLS {
        talk(&mut people, &mut account, BETWEEN);
        house.kill();
        house.open_again();
    }
    talk(&mut people, &mut account, Duration::from_secs(4));
    let away = people[..LEAVING].iter().filter(|person| {
        let told = person.read().told;
        told.matches("Reconnecting …").count() > told.matches("[+] Back after").count()
    });
    let away = away.count();
    people[..LEAVING].iter_mut().for_each(|person| person.says("EXIT"));
    let statuses: Vec<_> = people[..LEAVING].iter_mut().map(|person| person.ends().status).collect();
    people[LEAVING].is_told("[+] Back after");
    for person in &people[..LEAVING] {
        // The last of those who left: all that they said is before it.
        people[LEAVING].sees(&format!("[+] {} left the room.", person.name()));
    }
    let read = people[LEAVING].read();
    for (person, status) in people[..LEAVING].iter().zip(&statuses) {
        let told = person.read().told;
        let of_theirs = (0..account.said.len()).filter(|id| account.said[*id] == person.number);
        let missing: Vec<usize> = of_theirs.filter(|id| !read.said.contains(id)).collect();
        for id in &missing {
            assert!(told.contains(&format!(": word {id}.\n")), "{}: word {id} is lost without a word", person.name());
        }
        assert_eq!(*status, Some(if missing.is_empty() { 0 } else { 9 }), "{} {missing:?}: {told}", person.name());
    }
    // Who has left has not read what others delivered after that: it may be that nobody else has.
    let by_leavers: HashSet<usize> = people[..LEAVING].iter().flat_map(|person| person.read().said).collect();
    let only_here = read.said.iter().filter(|id| !by_leavers.contains(id)).count();
    println!(
        "{LEAVING} leave after {KILLS} kills of the server, {away} of them while away, {:.0} s: {statuses:?}, {} lines, all \
         delivered, {only_here} of them when all others had left",
        start.elapsed().as_secs_f64(),
        account.said.len()
    );
}
