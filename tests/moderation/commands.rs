//! Every command there is, at the console of a terminal, by an operator and by a room's keeper in chat; and by those who
//! may not.

use cfb_chat::chat::command::server::Rank;
use cfb_chat::chat::message::{ByeReason, ErrorCode};

use super::for_operators::{self, MOTD_CANARY, PASSWORD_CANARY, REPLACED_CANARY, SAY_CANARY};
use super::for_rooms::{self, TOPIC_CANARY};
use super::people::Somebody;
use super::stage::{Actor, Stage, anna, boris, clara};

/// A command as HELP tells of it, one line with it, and what is to be shown of it.
pub struct Row {
    pub usage: &'static str,
    pub line: &'static str,
    pub rank: Rank,
    pub shows: fn(&mut Stage, &str),
}

pub const fn row(usage: &'static str, line: &'static str, rank: Rank, shows: fn(&mut Stage, &str)) -> Row {
    Row { usage, line, rank, shows }
}

/// In the order of HELP; what comes last ends the server.
fn all() -> Vec<Row> {
    let mut all: Vec<Row> = for_rooms::ROWS.into_iter().chain(for_operators::ROWS).collect();
    all.extend([
        row("DURATION", "HELP DURATION", Rank::Operator, |stage, line| is_no_command(stage, line, "forever")),
        row("NAME", "HELP NAME", Rank::Keeper, |stage, line| {
            is_no_command(stage, line, "present or absent");
        }),
        row("#room", "HELP #room", Rank::Anybody, |stage, line| is_no_command(stage, line, "with its #")),
    ]);
    all
}

/// What HELP has words for, and nobody can do.
fn is_no_command(stage: &mut Stage, line: &str, part: &str) {
    let answer = stage.asks(line);
    assert!(answer.contains(part), "{answer}");
    let word = line.trim_start_matches("HELP ");
    let why = stage.is_refused(word, ErrorCode::Malformed);
    assert_eq!(why, format!("no such command: {word}; HELP lists them"));
}

/// What stands first in each line of HELP.
fn usages(help: &str) -> Vec<&str> {
    help.lines().map(|line| line.split("  ").next().unwrap_or_default().trim_end()).collect()
}

/// Everything that was said, set or drawn, and that a log has no business with.
fn is_discreet(stage: &Stage) {
    let log = stage.console.log();
    for secret in [SAY_CANARY, MOTD_CANARY, TOPIC_CANARY, PASSWORD_CANARY, REPLACED_CANARY, "cfb-chat://"] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
}

fn runs(by: Actor, may: impl Fn(&Row) -> bool) {
    let mut stage = Stage::set(by);
    for row in all().into_iter().filter(|row| may(row) && row.line != "TERMINATE") {
        println!("{by:?}: {}", row.line);
        (row.shows)(&mut stage, row.line);
    }
    if by == Actor::Keeper {
        assert_eq!(stage.console.terminates(), 0);
    } else {
        for_operators::terminates(&mut stage, "TERMINATE");
    }
    is_discreet(&stage);
}

#[test]
fn each_does_what_it_says_at_the_console_of_a_terminal() {
    runs(Actor::Console, |_| true);
}

#[test]
fn each_does_what_it_says_for_an_operator() {
    runs(Actor::Operator, |_| true);
}

#[test]
fn each_does_what_it_says_for_whoever_keeps_the_room() {
    runs(Actor::Keeper, |row| row.rank <= Rank::Keeper);
}

#[test]
fn there_is_none_that_is_not_tested() {
    let mut stage = Stage::set(Actor::Console);
    let rows = all();
    let help = stage.asks("HELP");
    let tested: Vec<&str> = rows.iter().map(|row| row.usage).collect();
    assert_eq!(usages(&help), tested);
    for row in &rows {
        // A line is one of the command that it stands for.
        let word = row.usage.split(' ').next().unwrap_or_default();
        let about = stage.asks(&format!("HELP {word}"));
        assert!(usages(&about).contains(&row.usage), "{}: {about}", row.usage);
        assert!(row.line.starts_with(word) || row.line == format!("HELP {word}"), "{}", row.line);
    }
    // Each is told of what is for them.
    let mut boris = boris().comes(stage.port(), "#lobby");
    let help = boris.commands("HELP").expect("anybody may");
    let told = usages(&help);
    let for_all: Vec<&str> = rows.iter().filter(|row| row.rank < Rank::Operator).map(|row| row.usage).collect();
    assert_eq!(told, for_all, "of the rest nobody else is told");
    assert_eq!(boris.commands("TERMINATE").map_err(|why| why.0), Err(ErrorCode::Refused));
    assert_eq!(stage.console.terminates(), 0);
    boris.ends_by(ByeReason::Terminated);
}

/// PROTOCOL.md 6.11-3.
#[test]
fn what_is_an_operators_is_refused_to_everybody_else_and_what_is_a_keepers_too() {
    let mut stage = Stage::set(Actor::Console);
    let mut anna = anna().comes(stage.port(), "#lobby");
    for row in for_rooms::ROWS.iter().filter(|row| row.rank == Rank::Keeper) {
        let room = row.line.split(' ').nth(1).expect("a room");
        anna.joins(room);
    }
    let mut boris = boris().comes(stage.port(), "#lobby");
    let _clara = clara().comes(stage.port(), "#lobby");
    let refused = |who: &mut Somebody, line: &str, wanted: ErrorCode| match who.commands(line) {
        Err((code, why)) if code == wanted => why,
        other => panic!("{line}: {other:?}"),
    };
    let rows = all();
    let commands = || rows.iter().filter(|row| !row.line.starts_with("HELP "));
    let rooms_before = stage.asks("ROOMS");
    for row in commands() {
        match row.rank {
            Rank::Operator => {
                // It is the same for whoever keeps rooms.
                for who in [&mut anna, &mut boris] {
                    assert_eq!(
                        refused(who, row.line, ErrorCode::Refused),
                        "only operators may do that",
                        "{}",
                        row.line
                    );
                }
            }
            Rank::Keeper => {
                let room = row.line.split(' ').nth(1).expect("a room");
                let mine = format!("{room} is not yours: only its keeper and operators do that");
                // From outside, and from inside.
                assert_eq!(refused(&mut boris, row.line, ErrorCode::Refused), mine);
                boris.joins(room);
                assert_eq!(refused(&mut boris, row.line, ErrorCode::Refused), mine);
                boris.peer.leave(room);
                // Nobody but operators settles anything for the lobby.
                let lobby = row.line.replacen(room, "#lobby", 1);
                assert!(refused(&mut anna, &lobby, ErrorCode::Refused).starts_with("#lobby is not yours"));
            }
            Rank::Anybody => {}
        }
    }
    let notices = [anna.notices(), boris.notices()].concat();
    assert!(notices.is_empty(), "nothing was done that anybody is told of: {notices:?}");
    assert_eq!(stage.asks("ROOMS"), rooms_before);
    for (line, nothing) in [
        ("BANS", "there are no bans"),
        ("INVITES", "there are no invitations"),
        ("MOTD", "there is no message of the day"),
        ("DEOP Anna", "Anna is not an operator"),
        ("UNMUTE Boris", "Boris is not muted"),
    ] {
        assert_eq!(stage.asks(line), nothing);
    }
    let log = stage.console.log();
    assert!(!log.contains("[*] "), "only what was done is an act: {log}");
    assert_eq!(stage.console.terminates(), 0);
}

/// PROTOCOL.md 6.11-2.
#[test]
fn what_is_no_command_changes_nothing_and_says_what_would_be_one() {
    let mut stage = Stage::set(Actor::Operator);
    let boris = boris().comes(stage.port(), "#lobby");
    for (line, hint) in [
        ("", "there is nothing in that line"),
        ("   ", "there is nothing in that line"),
        ("FLY", "no such command: FLY"),
        ("terminate", "in capitals"),
        ("TERMINATE now", "in capitals"),
        ("KICK", "usage: KICK #room NAME [REASON]  or  KICK NAME [REASON]"),
        ("BAN Boris 5x", "that is no duration"),
        ("BAN 10.0.0.0/8 1h", "that would keep too many out: a prefix has at least 16 bits"),
        ("LOCK lobby", "lobby is no room"),
        ("INVITE 0 0", "1 to 8760 hours, 1 to 1000 uses"),
        ("WHO is that", "WHO stands alone"),
        ("SAY a\u{1b}[2Jb", "no control characters"),
    ] {
        let why = stage.is_refused(line, ErrorCode::Malformed);
        assert!(why.contains(hint), "{line:?}: {why}");
    }
    let long = format!("SAY {}", "x".repeat(4_096));
    assert!(
        stage.clara.as_mut().is_some_and(|clara| {
            matches!(clara.commands(&long), Err((ErrorCode::Large | ErrorCode::Malformed, _)))
        })
    );
    for line in ["KICK Nobody", "BAN Nobody", "MUTE Nobody", "OP Nobody", "FORGET Nobody", "UNBAN Nobody", "LOCK #none"]
    {
        let why = stage.is_refused(line, ErrorCode::Absent);
        assert!(why.contains("Nobody") || why.contains("#none"), "{line}: {why}");
    }
    for (line, why) in [
        ("BAN Clara", "you cannot ban yourself"),
        ("BAN 127.0.0.0/16 1h", "you cannot ban yourself"),
        ("BAN 127.0.0.3 2d", "addresses change hands: they are banned for a day at most; ban the name"),
        ("FORGET Boris", "Boris is here: KICK Boris first"),
        ("LOCK #lobby", "the lobby has no keeper, and is open to all who may come in (--access)"),
    ] {
        assert_eq!(stage.is_refused(line, ErrorCode::Refused), why, "{line}");
    }
    drop(boris);
    assert_eq!(stage.console.terminates(), 0);
}
