//! Clocks that are set a day back and a day forward, on either side, while people talk and while they are away.

use std::fs;
use std::time::Instant;

use super::apart::{Telling, runs_apart};
use super::people::{Account, Person, come_together_by, nobody_is_told_of_anything_but, settle, until};
use crate::support::clock::{faketime, with_clock};
use crate::support::folder::{Folder, SERVER};
use crate::support::house::House;
use crate::support::process::{Process, client_command};

/// What a clock is set to, beside the true time; the last is the true time again.
const SETTINGS: [&str; 6] = ["+1d", "-1d", "+0d", "-1d", "+1d", "+0d"];

/// They talk while a clock is set; the server is killed at each setting, and comes again.
fn goes_on(what: &str, test: &str, server_clock: bool, client_clock: bool) {
    let Some(library) = faketime() else {
        println!("NOT TESTED: {what}: there is no libfaketime here (Debian's package faketime)");
        return;
    };
    if runs_apart(test) {
        return;
    }
    let start = Instant::now();
    let folder = Folder::of_server(SERVER);
    let clock = folder.write("clock", "+0d", 0o600);
    let (preload, file) = (library.clone(), clock.clone());
    let mut house =
        House::open_as(
            folder,
            &[],
            move |command| {
                if server_clock { with_clock(command, &preload, &file) } else { command }
            },
        );
    let mut people: Vec<Person> = (0..4).map(Person::new).collect();
    let port = house.port;
    // The first two have the other clock, the others the true time.
    come_together_by(&mut people, |person| {
        let command = client_command(port, person.name(), &person.folder, &[]);
        if client_clock && person.number < 2 {
            person.sets_out_as(Process::start(&mut with_clock(command, &library, &clock)));
        } else {
            person.sets_out(port);
        }
    });
    let mut account = Account::default();
    people[3].leaves();
    people[0].sees("[+] Dmitri left the room.");
    let _telling = Telling::begin();
    for (round, setting) in SETTINGS.iter().enumerate() {
        fs::write(&clock, setting).unwrap();
        settle(&mut people[..3], &mut account);
        for (by, person) in people[..3].iter_mut().enumerate() {
            account.whispers(person, (by + 1) % 3);
        }
        settle(&mut people[..3], &mut account);
        let times: Vec<usize> = people[..3].iter().map(Person::times_back).collect();
        house.kill();
        // Set once more while nobody is there.
        fs::write(&clock, SETTINGS[(round + 1) % SETTINGS.len()]).unwrap();
        house.open_again();
        for (person, before) in people[..3].iter().zip(times) {
            until(&format!("{} is back at {setting}", person.name()), || person.times_back() > before);
        }
        settle(&mut people[..3], &mut account);
    }
    fs::write(&clock, "+0d").unwrap();
    people[3].comes(port);
    people[3].leaves();
    people[..3].iter_mut().for_each(Person::leaves);
    nobody_is_told_of_anything_but(
        &people,
        &["[!] Connection lost. Reconnecting …", "[+] Back after ", "[!] Not back yet: "],
    );
    account.is_read_by_all(&people, &[3]);
    let told = account.secrets_are_kept(&people);
    let anew = people.iter().filter(|person| person.read().told.contains("in a new session")).count();
    assert_eq!(anew, 0, "every session goes on");
    let differ: usize = people.iter().map(|person| person.times_shown(" (came ")).sum();
    assert!(differ > 0, "the clocks have not been set");
    println!(
        "{what}: set {} times by a day or two while they talk and while they are away, {:.0} s: {} lines read once and in \
         one order, whispers {told:?}, every session went on; {differ} lines show that clocks differ",
        2 * SETTINGS.len(),
        start.elapsed().as_secs_f64(),
        account.said.len()
    );
}

#[test]
fn a_servers_clock_that_is_set_changes_nothing() {
    goes_on("The server's clock", "clock::a_servers_clock_that_is_set_changes_nothing", true, false);
}

#[test]
fn a_clients_clock_that_is_set_changes_nothing() {
    goes_on("The clock of two clients", "clock::a_clients_clock_that_is_set_changes_nothing", false, true);
}
