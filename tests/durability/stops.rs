//! A server that is stopped in order, and one that keeps its journal in memory alone.

use rustix::process::Signal;

use super::apart::{Telling, runs_apart};
use super::people::{Account, Person, come_together, meet_again, settle};
use crate::support::house::House;

/// A way to stop, in words and in deed.
type WayToStop = (&'static str, fn(&mut House));

const WAYS: [WayToStop; 3] = [
    ("TERMINATE", |house| house.server().process.type_line("TERMINATE")),
    ("SIGTERM", |house| house.server().process.signal(Signal::TERM)),
    ("Ctrl+C", |house| house.server().process.signal(Signal::INT)),
];

/// PROTOCOL.md 8.1-5, 8.1-6.
#[test]
fn a_server_that_is_stopped_leaves_no_journal_and_letters_stay() {
    for (way, stop) in WAYS {
        let mut house = House::open(&[]);
        let mut people: Vec<Person> = (0..4).map(Person::new).collect();
        come_together(&mut people, house.port);
        let mut account = Account::default();
        people[3].leaves();
        people[0].sees("[+] Dmitri left the room.");
        for _ in 0..3 {
            account.whispers(&mut people[0], 3);
        }
        people[0].sees("secret 2.");
        settle(&mut people[..3], &mut account);
        assert!(house.folder.file("data/journal.db").exists(), "it is there while the server runs");
        stop(&mut house);
        assert_eq!(house.ends().status, Some(0), "{way}");
        for person in &mut people[..3] {
            let ended = person.ends();
            assert_eq!(ended.status, Some(7), "{way}: {}", ended.err);
            assert!(
                ended.err.contains("it stops (terminated)") && !ended.err.contains("Reconnecting"),
                "{}",
                ended.err
            );
        }
        assert_eq!(house.folder.inside("data").names(), ["chat.db"], "{way}");
        house.open_again();
        assert_eq!(house.found_again(), (0, 0), "{way}");
        people[3].comes(house.port);
        people[3].leaves();
        let told = account.secrets_are_kept(&people);
        assert_eq!((told.taken, told.refused, told.unknown), (3, 0, 0), "{way}");
        // And they do not come again.
        house.kill();
        house.open_again();
        people[3].comes(house.port);
        people[3].leaves();
        account.secrets_are_kept(&people);
        println!("{way}: 3 clients end with status 7, the journal is gone, 3 letters stay, and are read once after it");
    }
}

#[test]
fn a_journal_in_memory_leaves_nothing_on_disk_and_a_kill_begins_new_sessions_and_is_told_of() {
    if runs_apart("stops::a_journal_in_memory_leaves_nothing_on_disk_and_a_kill_begins_new_sessions_and_is_told_of") {
        return;
    }
    let mut house = House::open(&["--journal", "memory"]);
    let mut people: Vec<Person> = (0..4).map(Person::new).collect();
    come_together(&mut people, house.port);
    let mut account = Account::default();
    people[3].leaves();
    people[0].sees("[+] Dmitri left the room.");
    account.whispers(&mut people[0], 3);
    people[0].sees("secret 0.");
    settle(&mut people[..3], &mut account);
    let names = house.folder.inside("data").names();
    assert!(names.iter().all(|name| name.starts_with("chat.db")), "{names:?}");

    // What is under way when it is killed: a stopped server has taken none of it.
    house.server().process.signal(Signal::STOP);
    let first = account.said.len();
    for _ in 0..3 {
        account.says(&mut people[1]);
    }
    // They are on their way: one that is said only when the client is back is heard by whoever is back by then.
    people[1].says("/help");
    people[1].is_told("EXIT leaves");
    let _telling = Telling::begin();
    // Whether they were sent before the kill is for the client to say: they are told of, or said later.
    house.kill();
    house.open_again();
    for person in &people[..3] {
        person.is_told("[+] Back after ");
        let told = person.read().told;
        assert!(told.contains(", in a new session: messages sent meanwhile cannot be caught up."), "{told}");
    }
    assert_eq!(house.found_again(), (0, 0));
    meet_again(&mut people[..3]);
    settle(&mut people[..3], &mut account);
    let told = people[1].read().told;
    let (mut unknown, mut said) = (0, 0);
    for id in first..first + 3 {
        let is_unknown = told.contains(&format!("[!] Delivery unknown: word {id}.\n"));
        let times = people[0].read().said.iter().filter(|read| **read == id).count();
        assert!(times == usize::from(!is_unknown), "word {id}: read {times} times; {told}");
        if is_unknown { unknown += 1 } else { said += 1 }
    }
    // Who leaves meanwhile says at the end what is not known.
    house.server().process.signal(Signal::STOP);
    let last: Vec<String> = (0..2).map(|_| account.says(&mut people[2])).collect();
    people[2].says("EXIT");
    house.kill();
    house.open_again();
    let ended = people[2].ends();
    let not_known = last.iter().filter(|text| ended.err.contains(&format!("[!] Delivery unknown: {text}")));
    let status = if not_known.count() > 0 { 9 } else { 0 };
    assert_eq!(ended.status, Some(status), "{}", ended.err);
    people[3].comes(house.port);
    people[3].leaves();
    account.secrets_are_kept(&people);
    println!(
        "In memory: nothing on disk but letters; after a kill 3 new sessions, {unknown} lines not known, {said} said then; who \
         leaves meanwhile ends with status {status}"
    );
}
