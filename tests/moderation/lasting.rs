//! A server that is killed, and has nothing to say in it: all that was answered is as it was.

use cfb_chat::chat::message::ErrorCode;

use super::people::{CLARA, DORA, Somebody, Who, fingerprint};
use super::stage::{anna, boris, clara};
use crate::support::house::House;
use crate::support::process::Server;

const PASSWORD: &str = "correct horse";
const WORDS: &str = "be kind to each other";

/// Gives a line at a console of pipes; gives the answer.
fn console(house: &mut House, line: &str) -> String {
    let mark = format!("mark-{}", house.server().process.out.so_far().matches("mark-").count());
    let before = house.server().process.out.so_far().len();
    house.server().process.type_line(&format!("{line}\n{mark}"));
    let end = format!("no such command: {mark}; HELP lists them");
    house.server().process.out.wait_for(&end);
    let out = house.server().process.out.so_far();
    out[before..].split(&end).next().unwrap_or_default().trim_end().to_owned()
}

fn dies(house: &mut House) {
    house.kill();
    house.open_again();
}

/// What the console lists of what is in force.
fn lists(house: &mut House) -> [String; 4] {
    ["BANS", "INVITES", "ROOMS", "MOTD"].map(|line| console(house, line))
}

#[test]
fn everything_that_was_settled_is_as_it_was_after_a_kill() {
    let mut house = House::open(&["--access", "invite", "--resume-window", "0"]);
    let port = house.port;
    let invitation = console(&mut house, "INVITE 24 9");
    let token = invitation.rsplit('/').next().expect("a token").to_owned();
    let comes = |who: Who, room: &str| who.tries(port, room, &token).unwrap_or_else(|why| panic!("{why:?}"));

    // Anna keeps a room, and has a password; Boris is muted, and a guest; Clara is an operator; Dora is banned.
    let mut keeper = comes(anna(), "#den");
    assert!(keeper.sets_password(PASSWORD).is_ok());
    let guest = comes(boris(), "#lobby");
    for line in ["TOPIC #den all about it", "LOCK #den", "INVITE #den Boris", "REGISTER #den"] {
        keeper.commands(line).unwrap_or_else(|why| panic!("{line}: {why:?}"));
    }
    let mut operator = comes(clara(), "#lobby");
    let dora = Who::new(&DORA, "Dora", 5);
    let banned = comes(dora, "#lobby");
    assert_eq!(console(&mut house, "OP Clara"), "Clara is an operator, with 1 key");
    for line in ["BAN Dora 3d selling things", "BAN 127.0.0.99 2h noise", "MUTE Boris 5h"] {
        operator.commands(line).unwrap_or_else(|why| panic!("{line}: {why:?}"));
    }
    operator.commands(&format!("MOTD {WORDS}")).expect("she is an operator");
    let why = dora.is_refused(port, "#lobby", "", ErrorCode::Refused);
    drop((keeper, guest, operator, banned));
    let before = lists(&mut house);
    assert!(before[1].contains("good for 5 until 2"), "four have come in by it: {before:?}");

    dies(&mut house);
    // Who is still in it, and how wide the list is, is the moment's.
    let rooms = |told: &str| {
        let line = told.lines().find(|line| line.starts_with("#den ")).expect("the room is listed");
        line.replace(['0', '1'], "").split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let after = lists(&mut house);
    assert_eq!((&after[0], &after[1], &after[3]), (&before[0], &before[1], &before[3]));
    assert_eq!(rooms(&after[2]), rooms(&before[2]), "with its topic and its lock");

    // Names, and the password of one.
    clara().called("Boris").is_refused(port, "#lobby", "", ErrorCode::Taken);
    let other_annas = Who::new(CLARA, "Anna", 6);
    other_annas.is_refused(port, "#lobby", "", ErrorCode::Password);
    other_annas.is_refused(port, "#lobby", "another horse", ErrorCode::Password);
    let second = other_annas.tries(port, "#lobby", PASSWORD).unwrap_or_else(|why| panic!("{why:?}"));
    assert!(
        second.notice.contains("Operators: Clara") || second.notice.contains("Operators: Anna"),
        "{}",
        second.notice
    );
    assert!(second.notice.ends_with(WORDS), "{}", second.notice);
    second.goes("#lobby");
    // The ban, until the same time and for the same reason.
    assert!(why.contains("until 2") && why.ends_with(": selling things"), "{why}");
    assert_eq!(dora.is_refused(port, "#lobby", "", ErrorCode::Refused), why);
    let elsewhere = Who { from: [127, 0, 0, 99].into(), ..boris() };
    assert!(elsewhere.is_refused(port, "#lobby", "", ErrorCode::Refused).ends_with(": noise"));
    // The mute, the operator, and what is left of the invitation.
    let mut guest = boris().comes(port, "#lobby");
    assert_eq!(guest.says("#lobby", "anything"), Err(ErrorCode::Muted));
    let mut operator = clara().comes(port, "#lobby");
    assert!(operator.commands("WHO").is_ok());
    boris().called("Stranger").comes(port, "#lobby").goes("#lobby");
    assert!(console(&mut house, "INVITES").contains("good for 5 until 2"), "a key that is known needs none");
    // The room: its lock, its guest, its topic, its keeper.
    let mut stranger = clara().called("Claire").comes(port, "#lobby");
    operator.commands("DEOP Clara").expect("an operator may");
    let locked = stranger.joins_with("#den", "").expect_err("it is locked");
    assert_eq!(locked, (ErrorCode::Refused, "#den is locked: ask Anna for an invitation".into()));
    guest.joins_with("#den", "").unwrap_or_else(|why| panic!("a guest: {why:?}"));
    assert_eq!(guest.notice, "topic of #den: all about it");
    assert_eq!(guest.commands("UNLOCK #den").map_err(|why| why.0), Err(ErrorCode::Refused));
    let mut keeper = anna().comes(port, "#den");
    assert!(keeper.commands("DEVICES").is_ok_and(|told| told.contains(&fingerprint(CLARA))));
    assert_eq!(keeper.commands("UNLOCK #den"), Ok("Anna has unlocked #den".into()));
    stranger.joins("#den");

    // And what was lifted and taken back stays so.
    for line in ["UNBAN Dora", "UNBAN 127.0.0.99", "UNMUTE Boris", "MOTD -", "UNREGISTER #den"] {
        console(&mut house, line);
    }
    drop((guest, keeper, stranger, operator));
    dies(&mut house);
    let [bans, _, rooms, words] = lists(&mut house);
    assert_eq!((&*bans, &*words), ("there are no bans", "there is no message of the day"));
    assert!(!rooms.contains("#den"), "{rooms}");
    dora.comes(port, "#lobby");
    assert_eq!(boris().comes(port, "#lobby").says("#lobby", "at last"), Ok(()));
    assert_eq!(clara().comes(port, "#lobby").commands("WHO").map_err(|why| why.0), Err(ErrorCode::Refused));
}

/// Who is told that something is done may pull the plug.
#[test]
fn what_the_console_answers_is_kept_whatever_happens_then() {
    let mut house = House::open(&["--resume-window", "0"]);
    for round in 0..20 {
        house.server().process.type_line(&format!("BAN 127.1.0.{round} 1h"));
        house.server().process.out.wait_for("removed 0");
        house.kill();
        house.open_again();
        house.server().process.type_line("BANS");
        house.server().process.out.wait_for(&format!("127.1.0.{round} until "));
    }
}

#[test]
fn a_room_whose_members_come_back_in_time_is_as_it_was() {
    let mut house = House::open(&[]);
    let port = house.port;
    let mut keeper = anna().comes(port, "#tent");
    let guest = boris().comes(port, "#tent");
    for line in ["TOPIC #tent under canvas", "LOCK #tent"] {
        keeper.commands(line).unwrap_or_else(|why| panic!("{line}: {why:?}"));
    }
    let _passing = clara().comes(port, "#gone");
    keeper.hears();
    dies(&mut house);
    // They are away, and in it all the same.
    assert_eq!(console(&mut house, "ROOMS").lines().next(), Some("#gone     1  kept by Clara"));
    let mut keeper = keeper.comes_back(port, "#tent");
    let dora = Who::new(&DORA, "Dora", 5);
    let why = dora.is_refused(port, "#tent", "", ErrorCode::Refused);
    assert_eq!(why, "#tent is locked: ask Anna for an invitation");
    assert_eq!(keeper.commands("TOPIC #tent"), Ok("topic of #tent: under canvas".into()));
    let mut guest = guest.comes_back(port, "#tent");
    assert_eq!(guest.commands("UNLOCK #tent").map_err(|why| why.0), Err(ErrorCode::Refused));
    assert_eq!(keeper.commands("UNLOCK #tent"), Ok("Anna has unlocked #tent".into()));
    let told = dora.comes(port, "#tent");
    assert_eq!(told.notice.lines().last(), Some("topic of #tent: under canvas"));
}

/// PROTOCOL.md 6.10-4.
#[test]
fn a_room_whose_members_do_not_come_back_is_gone() {
    let mut house = House::open(&["--resume-window", "1"]);
    let port = house.port;
    let mut keeper = anna().comes(port, "#tent");
    assert!(keeper.commands("LOCK #tent").is_ok());
    dies(&mut house);
    let log = |server: &mut Server| server.wait_for_log("Anna left the server.");
    log(house.server());
    assert_eq!(console(&mut house, "ROOMS"), "there are no rooms");
    let mut first: Somebody = boris().comes(port, "#tent");
    assert!(first.commands("LOCK #tent").is_ok(), "whoever opens it anew keeps it");
}
