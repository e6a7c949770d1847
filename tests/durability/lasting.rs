//! What stays when the server stops, on a disk that takes nothing of it for a while: everybody is told, and what was
//! held back is there when the disk has taken it.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::apart::{Telling, is_apart, runs_apart};
use super::people::{Account, Person, come_together, settle, until};
use crate::support::folder::{Folder, SERVER};
use crate::support::house::House;
use crate::support::process::{Exit, run_server};

const NOTICE: &str = "[server] The server's disk cannot keep names, bans, rooms and letters";
const KEPT_AGAIN: &str = "[server] The server's disk keeps names, bans, rooms and letters again.";
const LOGGED: &str = "[!] Names, bans, rooms and letters of now are lost if the server stops: ";
const LOGGED_AGAIN: &str = "[+] Names, bans, rooms and letters are kept on disk again";
const LOST: &str = " changes of names, bans, rooms and letters are lost: ";
/// Who is away, and is written to.
const CLARA: usize = 2;
/// Who comes for the first time while it fails.
const DMITRI: usize = 3;

/// A server, two who talk there, and one who is away.
struct Evening {
    house: House,
    people: Vec<Person>,
    account: Account,
}

impl Evening {
    fn open(house: House) -> Self {
        let mut people: Vec<Person> = (0..=CLARA).map(Person::new).collect();
        come_together(&mut people, house.port);
        people[CLARA].leaves();
        people[0].sees("[+] Clara left the room.");
        people[1].sees("[+] Clara left the room.");
        let mut evening = Self { house, people, account: Account::default() };
        assert!(evening.writes(), "the disk takes everything");
        evening
    }

    /// Somebody writes to Clara. Gives whether that is kept.
    fn writes(&mut self) -> bool {
        let id = self.account.secrets.len();
        let author = &mut self.people[id % 2];
        self.account.whispers(author, CLARA);
        until("the letter is answered", || {
            let read = author.read();
            read.sent.contains(&id) || read.told.contains(&format!(": secret {id}.\n"))
        });
        author.read().sent.contains(&id)
    }

    /// Everybody who is here is told that the disk fails, once.
    fn is_told(&mut self) {
        self.house.server().wait_for_log(LOGGED);
        for person in &self.people[..CLARA] {
            person.is_told(NOTICE);
        }
    }

    /// They talk until the disk has taken what it had not, and everybody is told.
    fn keeps_again(&mut self) {
        until("it is kept again", || {
            settle(&mut self.people[..CLARA], &mut self.account);
            thread::sleep(Duration::from_millis(50));
            self.house.log().contains(LOGGED_AGAIN)
        });
        for person in &self.people[..CLARA] {
            person.is_told(KEPT_AGAIN);
            assert_eq!(person.read().told.matches(NOTICE).count(), 1, "once");
        }
        assert!(self.writes(), "{}", self.house.log());
    }

    /// The server is killed and started again, and everybody is back.
    fn is_killed(&mut self) {
        let times: Vec<usize> = self.people.iter().map(Person::times_back).collect();
        let _telling = Telling::begin();
        self.house.kill();
        self.house.open_again();
        for (person, times) in self.people[..CLARA].iter().zip(times) {
            until("they are back", || person.times_back() > times);
        }
    }

    /// Clara comes, and reads these letters and no others.
    fn clara_reads(&mut self, what: &str, letters: impl Iterator<Item = usize>) {
        self.people[CLARA].comes(self.house.port);
        self.people[CLARA].leaves();
        assert_eq!(self.people[CLARA].read().secrets, letters.collect::<Vec<_>>(), "{what}");
        let told = self.account.secrets_are_kept(&self.people);
        println!("{what}: {told:?}");
    }

    /// How large files of the server may become; none for as large as can be.
    fn bound_files(&mut self, bound: Option<u64>) {
        let server = self.house.server().process.id();
        let server = i32::try_from(server).ok().and_then(Pid::from_raw);
        prlimit(server, Resource::Fsize, Rlimit { current: bound, maximum: None }).expect("it is ours");
    }
}

fn is_refused(what: &str, ended: &Exit, why: &str) {
    assert_eq!(ended.status, Some(5), "{what}: {}", ended.err);
    let is_clear = ["chat.db", why, "hint: "].iter().all(|part| ended.err.contains(part));
    assert!(is_clear && !ended.err.contains("panicked"), "{what}: {}", ended.err);
    println!("{what}: {}", ended.err);
}

#[test]
fn what_a_database_that_is_away_cannot_keep_it_keeps_when_it_is_back() {
    if runs_apart("lasting::what_a_database_that_is_away_cannot_keep_it_keeps_when_it_is_back") {
        return;
    }
    let mut evening = Evening::open(House::open(&[]));
    let (file, away) = (evening.house.folder.file("data/chat.db"), evening.house.folder.file("away"));
    fs::rename(&file, &away).unwrap();
    assert!(!evening.writes(), "{}", evening.house.log());
    evening.is_told();
    assert!(!evening.writes(), "and as long as it is away");
    settle(&mut evening.people[..CLARA], &mut evening.account);
    assert!(!evening.house.log().contains("does not survive the server"), "the journal goes on");
    evening.people.push(Person::new(DMITRI));
    evening.people[DMITRI].comes(evening.house.port);
    evening.people[0].sees("[+] Dmitri joined the room.");
    evening.people[DMITRI].leaves();
    evening.people[0].sees("[+] Dmitri left the room.");
    fs::rename(&away, &file).unwrap();
    evening.keeps_again();
    let told = evening.people[..CLARA].iter().map(|person| person.read().told).collect::<String>();
    assert!(!told.contains(": word "), "what was said was kept all the time: {told}");
    evening.is_killed();
    // The name is known, and whose it is: whoever has it can be written to.
    evening.account.whispers(&mut evening.people[0], DMITRI);
    evening.people[0].sees("secret 4.");
    evening.people[DMITRI].comes(evening.house.port);
    evening.people[DMITRI].leaves();
    assert_eq!(evening.people[DMITRI].read().secrets, [4]);
    evening.clara_reads("A database that was away, a kill", 0..4);
}

#[test]
fn what_a_disk_takes_nothing_of_is_tried_once_more_at_the_stop() {
    let mut evening = Evening::open(House::open(&[]));
    evening.bound_files(Some(0));
    assert!(!evening.writes(), "{}", evening.house.log());
    evening.is_told();
    assert!(!evening.writes());
    evening.bound_files(None);
    evening.house.server().process.type_line("TERMINATE");
    assert_eq!(evening.house.ends().status, Some(0));
    assert!(!evening.house.log().contains(LOST), "{}", evening.house.log());
    evening.people[..CLARA].iter_mut().for_each(|person| drop(person.ends()));
    evening.house.open_again();
    evening.clara_reads("A disk that takes everything at the stop", 0..3);
}

#[test]
fn what_a_disk_takes_nothing_of_to_the_end_is_told_of_as_lost() {
    let mut evening = Evening::open(House::open(&[]));
    evening.bound_files(Some(0));
    assert!(!evening.writes(), "{}", evening.house.log());
    evening.is_told();
    evening.house.server().process.type_line("TERMINATE");
    assert_eq!(evening.house.ends().status, Some(0));
    assert!(evening.house.log().contains(LOST), "{}", evening.house.log());
    evening.people[..CLARA].iter_mut().for_each(|person| drop(person.ends()));
    evening.house.open_again();
    evening.clara_reads("A disk that takes nothing to the end", 0..1);
}

/// A real one, where that can be had.
#[test]
fn a_full_disk_is_told_of_at_the_start_and_keeps_what_stays_when_there_is_room() {
    if runs_apart("lasting::a_full_disk_is_told_of_at_the_start_and_keeps_what_stays_when_there_is_room") {
        return;
    }
    if !is_apart() {
        println!("NOT TESTED: a full disk; only a bound on files' size, in other tests");
        return;
    }
    let folder = Folder::of_server(SERVER);
    let data = folder.file("data");
    fs::create_dir(&data).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=6m,mode=700", "none"]).arg(&data).status();
    assert!(mounted.is_ok_and(|status| status.success()), "the mounts are ours");
    let filler = data.join("filler");
    let fill = || {
        let mut file = File::options().append(true).create(true).open(&filler).unwrap();
        while file.write_all(&[0; 4_096]).is_ok() {}
    };
    fill();
    is_refused(
        "Full at the start",
        &run_server(&folder, &["-p", "0", "--data", data.to_str().unwrap()]),
        "disk is full",
    );
    fs::remove_file(&filler).unwrap();
    let mut evening = Evening::open(House::open_as(folder, &[], |command| command));
    // What there was room for in files that are there already is used up first.
    let failed = (0..15).any(|_| {
        fill();
        !evening.writes() && evening.house.log().contains(LOGGED)
    });
    assert!(failed, "{}", evening.house.log());
    evening.is_told();
    fs::remove_file(&filler).unwrap();
    evening.keeps_again();
    evening.is_killed();
    let all = evening.account.secrets.len();
    evening.clara_reads("A full disk, room again, a kill", 0..all);
}

#[test]
fn a_database_that_may_not_be_written_is_told_of_at_the_start() {
    let is_root = rustix::process::geteuid().is_root();
    let mut house = House::open_as(Folder::of_server(SERVER), &[], move |command| {
        if !is_root {
            return command;
        }
        // Whoever is root may write whatever the permissions say, unless that is taken away.
        let mut restrained = Command::new("setpriv");
        restrained.args(["--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"]);
        restrained.arg(command.get_program()).args(command.get_args());
        restrained
    });
    house.server().process.type_line("TERMINATE");
    assert_eq!(house.ends().status, Some(0));
    let file = house.folder.file("data/chat.db");
    fs::set_permissions(&file, Permissions::from_mode(0o400)).unwrap();
    is_refused("Read-only", &house.cannot_open(), "Permission denied");
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    house.open_again();
}
