//! Disks that take nothing any more, while people talk: they go on, they are told, and what was accepted stays.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::thread;
use std::time::Duration;

use super::people::{Account, NAMES, Person, come_together, meet_again, settle, until};
use crate::support::apart::{Telling, is_apart, runs_apart};
use crate::support::folder::{Folder, SERVER, USER_B};
use crate::support::house::House;
use crate::support::process::run_client;

/// What the sender is told, and what everybody is.
const NOT_KEPT: &str = "[!] Not delivered (the server handed it out, but could not keep it): ";
const NOTICE: &str = "[server] The server's disk cannot keep what is said";
const KEPT_AGAIN: &str = "[server] The server's disk keeps what is said again.";
/// So many lines are said in vain at most, for a disk to notice that it is full, or that it is not any more.
const MAX_LINES: usize = 4_000;

/// A server whose disk fails, and those who talk there.
struct Room {
    house: House,
    people: Vec<Person>,
    account: Account,
    accepted: usize,
}

impl Room {
    fn open(house: House) -> Self {
        let mut people: Vec<Person> = (0..3).map(Person::new).collect();
        come_together(&mut people, house.port);
        let mut room = Self { house, people, account: Account::default(), accepted: 0 };
        for _ in 0..20 {
            assert!(!room.says_in_vain());
        }
        room
    }

    /// Somebody says something, and all others read it, kept or not. Gives whether it was not kept.
    fn says_in_vain(&mut self) -> bool {
        let id = self.account.said.len();
        let by = id % self.people.len();
        let text = self.account.says(&mut self.people[by]);
        for reader in self.people.iter().filter(|reader| reader.number != by) {
            reader.sees(&format!(" {}: {text}", NAMES[by]));
        }
        // A whisper to oneself is answered after it, by the client; a whisper to another by the server.
        let to = (by + 1) % self.people.len();
        let secret = self.account.secrets.len();
        self.account.whispers(&mut self.people[by], to);
        self.people[to].sees(&format!("secret {secret}."));
        let answered = |person: &Person| {
            let read = person.read();
            read.sent.contains(&secret) || read.told.contains(&format!(": secret {secret}.\n"))
        };
        until("the whisper is answered", || answered(&self.people[by]));
        let told = self.people[by].read().told;
        let in_vain = told.contains(&format!("{NOT_KEPT}{text}\n"));
        self.accepted += usize::from(!in_vain);
        in_vain
    }

    /// They talk until the disk fails, and everybody is told.
    fn fails(&mut self) {
        let failed = (0..MAX_LINES).any(|_| self.says_in_vain());
        assert!(failed, "the disk does not fail: {}", self.house.log());
        for person in &self.people {
            person.is_told(NOTICE);
        }
        self.house.server().wait_for_log("[!] Messages from now on are lost if the server stops: ");
        // The talk goes on.
        for _ in 0..5 {
            self.says_in_vain();
        }
    }

    /// They talk until the disk keeps things again, and everybody is told.
    fn keeps_again(&mut self) {
        let again = (0..MAX_LINES).any(|_| {
            self.says_in_vain();
            thread::sleep(Duration::from_millis(5));
            self.house.log().contains("[+] Messages are kept on disk again")
        });
        assert!(again, "{}", self.house.log());
        for person in &self.people {
            person.is_told(KEPT_AGAIN);
        }
        until("it is accepted", || !self.says_in_vain());
    }

    /// The server is killed and started again. Gives whether all sessions went on.
    fn is_killed(&mut self) -> bool {
        let times: Vec<usize> = self.people.iter().map(Person::times_back).collect();
        let _telling = Telling::begin();
        self.house.kill();
        self.house.open_again();
        for (person, times) in self.people.iter().zip(times) {
            until("they are back", || person.times_back() > times);
        }
        settle(&mut self.people, &mut self.account);
        !self.people.iter().any(|person| person.read().told.contains("in a new session"))
    }

    /// All that is not told of as lost has been read by all, once; and what is told of, once at most.
    fn account_for(&self, what: &str) {
        let told: Vec<String> = self.people.iter().map(|person| person.read().told).collect();
        let mut not_kept = 0;
        for person in &self.people {
            let read = person.read().said;
            for (id, by) in self.account.said.iter().enumerate().filter(|(_, by)| **by != person.number) {
                let times = read.iter().filter(|read| **read == id).count();
                let is_told = told[*by].contains(&format!(": word {id}.\n"));
                not_kept += usize::from(is_told);
                assert!(times == 1 || (times == 0 && is_told), "{} has read word {id} {times} times", person.name());
            }
        }
        let secrets = self.account.secrets_are_kept(&self.people);
        println!(
            "{what}: {} lines, {} of them told of as not kept, all others read once by all; whispers {secrets:?}",
            self.account.said.len(),
            not_kept / 2
        );
    }
}

/// A full disk: a real one where that can be had, else a bound on how large a file may be.
#[test]
fn a_full_disk_is_told_of_and_keeps_again_when_there_is_room() {
    if runs_apart("disk::a_full_disk_is_told_of_and_keeps_again_when_there_is_room") {
        return;
    }
    if !is_apart() {
        println!("NOT TESTED: a full disk; only a bound on a file's size, in another test");
        return;
    }
    let folder = Folder::of_server(SERVER);
    fs::create_dir(folder.file("data")).unwrap();
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=6m,mode=700", "none"]).arg(folder.file("data")).status();
    assert!(mounted.is_ok_and(|status| status.success()), "the mounts are ours");
    let mut room = Room::open(House::open_as(folder, &[], |command| command));
    let filler = room.house.folder.file("data/filler");
    let full = || {
        let mut file = File::create(&filler).unwrap();
        while file.write_all(&[0; 4_096]).is_ok() {}
    };
    full();
    room.fails();
    // Still full: it is tried again, and fails again.
    fs::remove_file(&filler).unwrap();
    room.keeps_again();
    assert!(room.is_killed(), "they go on where they were: {}", room.house.log());
    room.account_for("A full disk, room again, a kill");
    // Full, and killed then: what was accepted was read; sessions begin anew, once there is room to start.
    full();
    room.fails();
    room.house.kill();
    fs::remove_file(&filler).unwrap();
    room.house.open_again();
    let telling = Telling::begin();
    for person in &room.people {
        person.is_told(", in a new session");
    }
    meet_again(&mut room.people);
    settle(&mut room.people, &mut room.account);
    drop(telling);
    room.account_for("A full disk, and a kill while it is full");
}

#[test]
fn a_file_that_may_not_grow_is_told_of_and_another_is_begun() {
    if runs_apart("disk::a_file_that_may_not_grow_is_told_of_and_another_is_begun") {
        return;
    }
    let house = House::open_as(Folder::of_server(SERVER), &[], |command| {
        let mut bounded = Command::new("sh");
        bounded.args(["-c", "ulimit -f 2000; exec \"$0\" \"$@\""]);
        bounded.arg(command.get_program()).args(command.get_args());
        bounded
    });
    let mut room = Room::open(house);
    room.fails();
    room.keeps_again();
    assert!(room.is_killed(), "{}", room.house.log());
    room.account_for("A file that may not grow, another one, a kill");
}

#[test]
fn a_journal_that_is_taken_away_or_replaced_is_told_of_and_another_is_begun() {
    if runs_apart("disk::a_journal_that_is_taken_away_or_replaced_is_told_of_and_another_is_begun") {
        return;
    }
    let mut room = Room::open(House::open(&[]));
    let journal = room.house.folder.file("data/journal.db");
    fs::remove_file(&journal).unwrap();
    room.fails();
    room.keeps_again();
    assert!(room.is_killed(), "{}", room.house.log());
    room.account_for("A journal that was taken away, a kill");
    let other = room.house.folder.write("data/other", "not a journal", 0o600);
    fs::rename(other, &journal).unwrap();
    room.people.iter().for_each(|person| assert_eq!(person.read().told.matches(NOTICE).count(), 1));
    assert!((0..MAX_LINES).any(|_| room.says_in_vain()), "{}", room.house.log());
    let kept = |room: &Room| room.house.log().matches("[+] Messages are kept on disk again").count();
    let before = kept(&room);
    until("it is kept again", || {
        room.says_in_vain();
        kept(&room) > before
    });
    until("it is accepted", || !room.says_in_vain());
    assert!(room.is_killed(), "{}", room.house.log());
    room.account_for("And one that was replaced, a kill");
}

/// What a database's log holds is in no other file until it is copied over.
#[test]
fn a_log_that_is_taken_away_replaced_or_cut_short_is_told_of_and_another_is_begun() {
    if runs_apart("disk::a_log_that_is_taken_away_replaced_or_cut_short_is_told_of_and_another_is_begun") {
        return;
    }
    let mut room = Room::open(House::open(&[]));
    let data = room.house.folder.inside("data");
    let (journal, registry) = (data.file("journal.db-wal"), data.file("chat.db-wal"));
    fs::remove_file(&journal).unwrap();
    fs::remove_file(&registry).unwrap();
    assert!(room.says_in_vain(), "it is noticed at the next line: {}", room.house.log());
    room.fails();
    room.house.server().wait_for_log("letters was taken away: what it held is written anew");
    room.keeps_again();
    assert!(room.is_killed(), "{}", room.house.log());
    room.account_for("Logs that were taken away, a kill");
    let stranger = Folder::of_user(NAMES[0], USER_B);
    let port = room.house.port.to_string();
    let refused = run_client(&stranger, &["-p", &port, "-u", NAMES[0]], "");
    assert_eq!(refused.status, Some(6), "the name is its owner's still: {}", refused.err);
    let kept = |room: &Room| room.house.log().matches("[+] Messages are kept on disk again").count();
    let damages: [&dyn Fn(); 2] = [
        &|| {
            let other = data.write("other", fs::read(&journal).unwrap(), 0o600);
            fs::rename(other, &journal).unwrap();
        },
        &|| File::options().write(true).open(&journal).unwrap().set_len(0).unwrap(),
    ];
    for damage in damages {
        let before = kept(&room);
        damage();
        assert!(room.says_in_vain(), "{}", room.house.log());
        until("it is kept again", || {
            room.says_in_vain();
            kept(&room) > before
        });
        until("it is accepted", || !room.says_in_vain());
        assert!(room.is_killed(), "{}", room.house.log());
    }
    room.account_for("Logs that were replaced and cut short, kills");
}

#[test]
fn the_index_of_a_log_is_no_file() {
    let mut house = House::open(&[]);
    for _ in 0..3 {
        let names = house.folder.inside("data").names();
        assert_eq!(names, ["chat.db", "chat.db-wal", "journal.db", "journal.db-wal"]);
        house.kill();
        house.open_again();
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_told_of_at_the_start_and_while_running() {
    if runs_apart("disk::a_folder_that_cannot_be_written_is_told_of_at_the_start_and_while_running") {
        return;
    }
    // Whoever is root may write whatever the permissions say, unless that is taken away.
    let is_root = rustix::process::geteuid().is_root();
    let house = House::open_as(Folder::of_server(SERVER), &[], move |command| {
        if !is_root {
            return command;
        }
        let mut restrained = Command::new("setpriv");
        restrained.args(["--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"]);
        restrained.arg(command.get_program()).args(command.get_args());
        restrained
    });
    let mut room = Room::open(house);
    let data = room.house.folder.file("data");
    let set = |mode| fs::set_permissions(&data, Permissions::from_mode(mode)).unwrap();
    set(0o500);
    for _ in 0..20 {
        assert!(!room.says_in_vain(), "what is open can still be written");
    }
    set(0o700);
    fs::remove_file(data.join("journal.db")).unwrap();
    set(0o500);
    room.fails();
    for _ in 0..MAX_LINES {
        room.says_in_vain();
        thread::sleep(Duration::from_millis(5));
        if room.house.log().contains("[!] Still no journal: ") {
            break;
        }
    }
    assert!(room.house.log().contains("[!] Still no journal: "), "{}", room.house.log());
    set(0o700);
    room.keeps_again();
    assert!(room.is_killed(), "{}", room.house.log());
    room.account_for("A folder that could not be written, and can, a kill");
    room.house.kill();
    for name in room.house.folder.inside("data").names().iter().filter(|name| name.starts_with("journal")) {
        fs::remove_file(data.join(name)).unwrap();
    }
    set(0o500);
    let ended = room.house.cannot_open();
    set(0o700);
    assert_eq!(ended.status, Some(5), "{}", ended.err);
    assert!(ended.err.contains("hint: "), "{}", ended.err);
}

#[test]
fn letters_that_cannot_be_kept_are_told_of_and_nothing_else_is_lost_with_them() {
    if runs_apart("disk::letters_that_cannot_be_kept_are_told_of_and_nothing_else_is_lost_with_them") {
        return;
    }
    let mut room = Room::open(House::open(&[]));
    room.people[2].leaves();
    room.people[0].sees("[+] Clara left the room.");
    let first = room.account.secrets.len();
    room.account.whispers(&mut room.people[0], 2);
    room.people[0].sees(&format!("secret {first}."));
    fs::remove_file(room.house.folder.file("data/chat.db")).unwrap();
    room.account.whispers(&mut room.people[0], 2);
    room.people[0].is_told(&format!("{NOT_KEPT}secret {}.", first + 1));
    // They wait all the same, as long as the server runs.
    let port = room.house.port;
    room.people[2].comes(port);
    for letter in [first, first + 1] {
        room.people[2].sees(&format!("secret {letter}."));
    }
    room.people[0].sees("[+] Clara joined the room.");
    room.people[1].sees("[+] Clara joined the room.");
    room.house.server().wait_for_log("[!] Names, bans, rooms and letters of now are lost if the server stops: ");
    assert!(!room.house.log().contains("does not survive the server"), "the journal goes on: {}", room.house.log());
    for _ in 0..5 {
        assert!(!room.says_in_vain(), "what is said is kept as ever");
    }
    assert!(room.is_killed(), "{}", room.house.log());
    room.account_for("Letters that cannot be kept, a kill");
}
