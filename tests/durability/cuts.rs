//! Connections end in the middle of it, at any byte and in every way that there is, again and again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use cfb_chat::client::{ClientTimeouts, Transport};
use cfb_chat::server::{JournalPlace, Server};
use rand::RngExt;
use rand::rngs::StdRng;

use super::apart::{Telling, runs_apart};
use super::people::{Account, Person, come_together_by, nobody_is_told_of_anything_but, settle};
use super::way::{Cut, Weather, open_way};
use crate::support::folder::{Folder, SERVER};
use crate::support::house::House;
use crate::support::rounds;

/// Somebody says something this often.
const PACE: Duration = Duration::from_millis(6);
const MAY_BE_TOLD: [&str; 3] = ["[!] Connection lost. Reconnecting …", "[+] Back after ", "[!] Not back yet: "];

/// So many seconds; more if more rounds are asked for than usual.
fn for_so_long(seconds: usize) -> Duration {
    Duration::from_millis((seconds * rounds(25) * 40) as u64)
}

/// They talk for so long, in bad weather, and then in fair weather until all has been read.
fn talk(people: &mut [Person], weather: &Weather, time: Duration, chance: &mut StdRng) -> Account {
    let mut account = Account::default();
    let _telling = Telling::begin();
    weather.turns(true);
    let end = Instant::now() + time;
    while Instant::now() < end {
        let (by, to) = (chance.random_range(0..people.len()), chance.random_range(0..people.len()));
        if chance.random_range(0..10) == 0 && by != to {
            account.whispers(&mut people[by], to);
        } else {
            account.says(&mut people[by]);
        }
        thread::sleep(PACE);
    }
    weather.turns(false);
    settle(people, &mut account);
    account
}

fn account_for(people: &[Person], account: &Account, weather: &Weather, what: &str, start: Instant) {
    nobody_is_told_of_anything_but(people, &MAY_BE_TOLD);
    account.is_read_by_all(people, &[]);
    let told = account.secrets_are_kept(people);
    assert_eq!((told.refused, told.unknown), (0, 0), "all are taken");
    let back: usize = people.iter().map(Person::times_back).sum();
    let count = |kind: &AtomicUsize| kind.load(Ordering::Relaxed);
    println!(
        "{what}, {} people, {:.0} s: {} connections reset, {} ended, {} fallen silent; {back} times somebody was back; {} lines \
         to the room, each read by all others once and in one order; {} whispers, each read once",
        people.len(),
        start.elapsed().as_secs_f64(),
        count(&weather.resets),
        count(&weather.ends),
        count(&weather.silences),
        account.said.len(),
        told.taken
    );
}

#[test]
fn nothing_is_lost_or_doubled_where_connections_are_cut_at_any_byte() {
    if runs_apart("cuts::nothing_is_lost_or_doubled_where_connections_are_cut_at_any_byte") {
        return;
    }
    let (mut chance, start) = (super::chance(), Instant::now());
    let mut house = House::open(&[]);
    let weather = Weather::fair(&[Cut::Reset, Cut::End], 25_000);
    let mut people: Vec<Person> = (0..10).map(Person::new).collect();
    let ways: Vec<u16> = people.iter().map(|_| open_way(house.port, &weather, chance.random())).collect();
    come_together_by(&mut people, |person| person.sets_out(ways[person.number]));
    let account = talk(&mut people, &weather, for_so_long(12), &mut chance);
    people.iter_mut().for_each(Person::leaves);
    account_for(&people, &account, &weather, "Cut at any byte", start);
    let cuts = weather.resets.load(Ordering::Relaxed) + weather.ends.load(Ordering::Relaxed);
    assert!(cuts > 20, "only {cuts} cuts");
    house.server().process.type_line("TERMINATE");
    assert_eq!(house.ends().status, Some(0));
}

#[test]
fn whatever_comes_late_in_pieces_or_all_at_once_is_what_it_was() {
    if runs_apart("cuts::whatever_comes_late_in_pieces_or_all_at_once_is_what_it_was") {
        return;
    }
    let (mut chance, start) = (super::chance(), Instant::now());
    let house = House::open(&[]);
    let weather = Weather::fair(&[], 0);
    // Handshakes too.
    weather.turns(true);
    let mut people: Vec<Person> = (0..6).map(Person::new).collect();
    let ways: Vec<u16> = people.iter().map(|_| open_way(house.port, &weather, chance.random())).collect();
    come_together_by(&mut people, |person| person.sets_out(ways[person.number]));
    let account = talk(&mut people, &weather, Duration::from_secs(5), &mut chance);
    people.iter_mut().for_each(Person::leaves);
    account_for(&people, &account, &weather, "Late, in pieces, all at once", start);
    assert!(people.iter().all(|person| person.times_back() == 0), "nobody was away");
}

#[test]
fn nothing_is_lost_or_doubled_where_connections_fall_silent() {
    if runs_apart("cuts::nothing_is_lost_or_doubled_where_connections_fall_silent") {
        return;
    }
    let (mut chance, start) = (super::chance(), Instant::now());
    let silence = Duration::from_millis(1_500);
    let folder = Folder::of_server(SERVER);
    let mut config = folder.server_settings();
    config.keeping.journal = JournalPlace::Disk;
    config.keeping.journal_size = 64 * 1_024 * 1_024;
    config.keeping.resume = Duration::from_secs(120);
    config.timing.silence = silence;
    let server = Server::start(&config).expect("it starts");
    let weather = Weather::fair(&[Cut::Silence], 40_000);
    let timing = ClientTimeouts {
        ping: silence / 3,
        silence,
        join: Duration::from_secs(3),
        ..ClientTimeouts::standard(Transport::Tcp)
    };
    let mut people: Vec<Person> = (0..8).map(Person::new).collect();
    let ways: Vec<u16> = people.iter().map(|_| open_way(server.address().port(), &weather, chance.random())).collect();
    come_together_by(&mut people, |person| person.sets_out_inside(ways[person.number], timing));
    let account = talk(&mut people, &weather, for_so_long(15), &mut chance);
    people.iter_mut().for_each(Person::leaves);
    account_for(&people, &account, &weather, "Fallen silent, neither end hears of it", start);
    let silences = weather.silences.load(Ordering::Relaxed);
    assert!(silences > 10, "only {silences}");
    server.stopper().terminate();
    server.wait();
}
