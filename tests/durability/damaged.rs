//! What a server finds at its start, and cannot use: it says what, and what to do, and changes nothing.

use std::fs;
use std::path::Path;

use rand::rngs::StdRng;
use rand::{Rng, RngExt};
use rusqlite::Connection;

use super::people::{Account, Person, come_together, settle};
use crate::support::folder::Folder;
use crate::support::house::House;
use crate::support::process::{Exit, Process, run_server, server_command};
use crate::support::rounds;

const FILES: [&str; 2] = ["journal.db", "chat.db"];

/// The data of a server that was killed, all of it in the databases themselves.
fn left_behind() -> House {
    let mut house = House::open(&[]);
    let mut people: Vec<Person> = (0..3).map(Person::new).collect();
    come_together(&mut people, house.port);
    let mut account = Account::default();
    people[2].leaves();
    people[0].sees("[+] Clara left the room.");
    account.whispers(&mut people[0], 2);
    people[0].sees("secret 0.");
    settle(&mut people[..2], &mut account);
    house.kill();
    for file in FILES {
        let database = Connection::open(house.folder.file("data").join(file)).unwrap();
        database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    }
    assert_eq!(house.folder.inside("data").names(), ["chat.db", "journal.db"], "nothing beside them");
    house
}

/// Tries to start a server with a copy of these data, damaged so. Gives how that ended, and what was there and is then.
fn tried(house: &House, file: &str, damage: impl FnOnce(&Path)) -> (Exit, Vec<u8>, Vec<u8>) {
    let copy = house.folder.inside("copy");
    let _ = fs::remove_dir_all(copy.path());
    fs::create_dir(copy.path()).unwrap();
    for file in FILES {
        fs::copy(house.folder.file("data").join(file), copy.file(file)).unwrap();
    }
    let path = copy.file(file);
    damage(&path);
    let before = fs::read(&path).unwrap();
    let data = copy.path().to_str().unwrap().to_owned();
    let ended = run_server_or_stop(&house.folder, &data);
    (ended, before, fs::read(&path).unwrap_or_default())
}

/// One that starts after all is stopped.
fn run_server_or_stop(folder: &Folder, data: &str) -> Exit {
    let arguments = ["-p", "0", "--data", data, "--resume-window", "120"];
    let mut server = Process::start(&mut server_command(folder, &arguments));
    server.type_line("TERMINATE");
    server.wait()
}

fn is_refused(what: &str, (ended, before, after): (Exit, Vec<u8>, Vec<u8>), why: &str) {
    assert_eq!(ended.status, Some(5), "{what}: {}", ended.err);
    assert!(ended.err.contains(why) && ended.err.contains("hint: "), "{what}: {}", ended.err);
    assert!(!ended.err.contains("panicked"), "{}", ended.err);
    assert!(before == after, "{what}: it was changed");
}

#[test]
fn what_cannot_be_used_is_told_with_what_to_do_and_stays_as_it_is() {
    let (house, mut chance) = (left_behind(), super::chance());
    let pragma = |path: &Path, what: &str| Connection::open(path).unwrap().execute_batch(what).unwrap();
    for file in FILES {
        is_refused(
            file,
            tried(&house, file, |path| fs::write(path, "These are my notes.\n".repeat(500)).unwrap()),
            "no database",
        );
        let newer = |path: &Path| pragma(path, "PRAGMA user_version = 99");
        is_refused(file, tried(&house, file, newer), "newer version");
        let other = |path: &Path| {
            fs::write(path, "").unwrap();
            pragma(path, "CREATE TABLE bookmark (url TEXT); INSERT INTO bookmark VALUES ('x')");
        };
        is_refused(file, tried(&house, file, other), "no database of a chat server");
        let mut random = vec![0; 40_000];
        chance.fill_bytes(&mut random);
        is_refused(file, tried(&house, file, |path| fs::write(path, &random).unwrap()), "no database");
        for part in [2, 4] {
            let cut_short = |path: &Path| {
                let all = fs::read(path).unwrap();
                fs::write(path, &all[..all.len() / part - 7]).unwrap();
            };
            let (ended, ..) = tried(&house, file, cut_short);
            assert_eq!(ended.status, Some(5), "{file}: {}", ended.err);
            assert!(ended.err.contains("hint: "), "{}", ended.err);
        }
    }
    let mangled = |path: &Path| pragma(path, "UPDATE letter SET author = x'01'");
    is_refused("chat.db", tried(&house, "chat.db", mangled), "is damaged: table letter: ");
    let all: Vec<&str> = vec!["text", "newer", "somebody else's", "random", "cut short"];
    println!("Refused with status 5 and a hint, {FILES:?}: {}", all.join(", "));
}

#[test]
fn bytes_that_have_changed_are_found_or_do_no_harm() {
    let (house, mut chance) = (left_behind(), super::chance());
    let mut count = [0, 0];
    for _ in 0..rounds(30) {
        let file = FILES[chance.random_range(0..2)];
        let (ended, ..) = tried(&house, file, |path| flip(path, &mut chance));
        assert!(!ended.err.contains("panicked"), "{}", ended.err);
        match ended.status {
            Some(0) => count[0] += 1,
            Some(5) => {
                assert!(ended.err.contains("hint: "), "{}", ended.err);
                count[1] += 1;
            }
            other => panic!("{other:?}: {}", ended.err),
        }
    }
    println!(
        "Bytes changed in {} databases: {} found, {} of no consequence at the start",
        count[0] + count[1],
        count[1],
        count[0]
    );
}

fn flip(path: &Path, chance: &mut StdRng) {
    let mut all = fs::read(path).unwrap();
    for _ in 0..chance.random_range(1..=64) {
        let at = chance.random_range(0..all.len());
        all[at] ^= chance.random_range(1..=255_u8);
    }
    fs::write(path, &all).unwrap();
}

#[test]
fn two_servers_do_not_share_their_data_and_nobody_else_can_lock_them() {
    let house = House::open(&[]);
    let mut people: Vec<Person> = (0..2).map(Person::new).collect();
    come_together(&mut people, house.port);
    let mut account = Account::default();
    settle(&mut people, &mut account);
    let data = house.folder.file("data");
    let second = run_server(&house.folder, &["-p", "0", "--data", data.to_str().unwrap()]);
    assert_eq!(second.status, Some(5), "{}", second.err);
    assert!(second.err.contains("is in use by another program") && second.err.contains("hint: "), "{}", second.err);
    for file in FILES {
        let other = Connection::open(data.join(file)).unwrap();
        other.busy_timeout(std::time::Duration::ZERO).unwrap();
        let locked = other.execute_batch("BEGIN EXCLUSIVE; COMMIT");
        assert!(locked.is_err(), "{file} could be locked");
    }
    settle(&mut people, &mut account);
    account.is_read_by_all(&people, &[]);
    assert!(!house.log().contains("[!]"), "{}", house.log());
    println!("A second server, and another program that wants the lock, are told that it is in use; nobody notices");
}
