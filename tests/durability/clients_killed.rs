//! Clients are killed, and others of the same name and key take their place: nobody else loses anything.

use std::collections::HashSet;
use std::thread;
use std::time::{Duration, Instant};

use rand::RngExt;

use super::people::{Account, Person, come_together, nobody_is_told_of_anything_but, settle};
use crate::support::house::House;
use crate::support::process::READY;
use crate::support::rounds;

/// So many stay; as many more are killed and come again.
const STAYING: usize = 6;
const PACE: Duration = Duration::from_millis(6);

#[test]
fn nobody_else_loses_anything_when_a_client_is_killed_and_comes_again() {
    let (mut chance, start) = (super::chance(), Instant::now());
    let rounds = rounds(25);
    let house = House::open(&[]);
    let mut people: Vec<Person> = (0..2 * STAYING).map(Person::new).collect();
    come_together(&mut people, house.port);
    let mut account = Account::default();
    for _ in 0..rounds {
        let victim = chance.random_range(STAYING..people.len());
        let end = Instant::now() + Duration::from_millis(chance.random_range(50..400));
        while Instant::now() < end {
            let by = chance.random_range(0..people.len());
            account.says(&mut people[by]);
            thread::sleep(PACE);
        }
        for _ in 0..chance.random_range(0..20) {
            account.says(&mut people[victim]);
        }
        thread::sleep(Duration::from_micros(chance.random_range(0..10_000)));
        people[victim].is_killed();
        people[victim].sets_out(house.port);
        // What is typed until then is said then.
        account.says(&mut people[victim]);
    }
    let killed: Vec<usize> = (STAYING..people.len()).collect();
    people[STAYING..].iter_mut().for_each(Person::leaves);
    settle(&mut people[..STAYING], &mut account);
    account.is_read_by_all(&people, &killed);
    let said: HashSet<usize> = people[0].read().said.into_iter().collect();
    for person in &people[1..STAYING] {
        let read: HashSet<usize> = person.read().said.into_iter().collect();
        let differ: Vec<_> =
            said.symmetric_difference(&read).filter(|id| killed.contains(&account.said[**id])).collect();
        assert!(differ.is_empty(), "{differ:?} of the killed has been read by some, and not by {}", person.name());
    }
    nobody_is_told_of_anything_but(&people[..STAYING], &[]);
    let of_killed = (0..account.said.len()).filter(|id| killed.contains(&account.said[*id]));
    let (heard, lost): (Vec<usize>, Vec<usize>) = of_killed.partition(|id| said.contains(id));
    println!(
        "{rounds} kills of clients in {:.0} s: {} lines, all of those who stayed read by all, once and in one order; of the \
         killed {} read by all, {} by nobody",
        start.elapsed().as_secs_f64(),
        account.said.len(),
        heard.len(),
        lost.len()
    );
}

#[test]
fn letters_of_which_their_reader_has_not_told_come_again_when_it_is_killed() {
    let (mut chance, start) = (super::chance(), Instant::now());
    let rounds = rounds(25).min(100);
    let house = House::open(&[]);
    let mut people: Vec<Person> = (0..3).map(Person::new).collect();
    come_together(&mut people, house.port);
    let mut account = Account::default();
    people[1].leaves();
    let mut written = 0;
    for round in 0..rounds {
        // What another says now comes behind the news that the reader has left.
        let text = account.says(&mut people[2]);
        people[0].sees(&format!(" Clara: {text}"));
        for _ in 0..5 {
            account.whispers(&mut people[0], 1);
            written += 1;
        }
        // All of them wait when they are taken.
        let taken = format!("secret {}.", written - 1);
        people[0].sees(&taken);
        people[1].sets_out(house.port);
        if round % 4 != 0 {
            people[1].sees(READY);
            thread::sleep(Duration::from_micros(chance.random_range(0..4_000)));
        } else {
            thread::sleep(Duration::from_millis(chance.random_range(0..40)));
        }
        people[1].is_killed();
        // One that comes and goes in good order has all that is left, and takes the place of the one that was killed.
        people[1].comes(house.port);
        people[1].leaves();
    }
    let read = people[1].read();
    let twice: Vec<usize> =
        (0..written).filter(|id| read.secrets.iter().filter(|read| *read == id).count() > 1).collect();
    assert!(twice.is_empty(), "{twice:?} were shown more than once");
    let missing = (0..written).filter(|id| !read.secrets.contains(id)).count();
    let dropped = read.told.matches("[!] Dropped: a repeated letter from Anna.").count();
    // Noted as read, and then killed before it was shown: it comes again, and that is told.
    assert!(missing <= dropped, "{missing} letters are missing, and only {dropped} were told of:\n{}", read.told);
    nobody_is_told_of_anything_but(&people, &["[!] Dropped: a repeated letter from Anna."]);
    println!(
        "{rounds} kills of a reader of letters in {:.0} s: {written} letters, {} shown once, {missing} noted as read and not \
         shown, {dropped} times told that one came again",
        start.elapsed().as_secs_f64(),
        read.secrets.len()
    );
}
