//! What only operators do, and whoever sits at the console.

use cfb_chat::chat::command::server::Rank::Operator;
use cfb_chat::chat::message::{ByeReason, ErrorCode, Event, LeftReason, ToClient};
use cfb_chat::secure::invitation::Invitation;

use super::commands::{Row, row};
use super::people::{DORA, NEW, Who, fingerprint, has_left};
use super::stage::{Actor, Stage, anna, boris, settles};
use crate::support::peer::{Answer, BORIS};

pub const SAY_CANARY: &str = "canary-of-a-notice";
pub const MOTD_CANARY: &str = "canary-of-the-day";
pub const PASSWORD_CANARY: &str = "canary-of-a-password";
pub const REPLACED_CANARY: &str = "canary-of-what-is-said";

pub const ROWS: [Row; 21] = [
    row("WHO", "WHO", Operator, who),
    row("SAY TEXT", "SAY canary-of-a-notice", Operator, says),
    row("KICK NAME [REASON]", "KICK Boris rude words", Operator, kicks),
    row("BAN NAME [DURATION] [REASON]", "BAN Boris 2d rude words", Operator, bans_a_name),
    row(
        "BAN SHA256:… [DURATION] [REASON]",
        "BAN SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        Operator,
        bans_a_key,
    ),
    row("BAN ADDRESS[/PREFIX] [DURATION] [REASON]", "BAN 127.0.0.3/32 2h noise", Operator, bans_an_address),
    row("UNBAN NUMBER|NAME|SHA256:…|ADDRESS", "UNBAN Boris", Operator, unbans),
    row("BANS", "BANS", Operator, bans),
    row("MUTE NAME [DURATION]", "MUTE Boris 10m", Operator, mutes),
    row("UNMUTE NAME", "UNMUTE Boris", Operator, unmutes),
    row("OP NAME", "OP Anna", Operator, ops),
    row("DEOP NAME", "DEOP Anna", Operator, deops),
    row("INVITE [HOURS] [USES]", "INVITE 2 3", Operator, invites),
    row("INVITES", "INVITES", Operator, lists_invitations),
    row("REVOKE NUMBER", "REVOKE 1", Operator, revokes),
    row("FORGET NAME", "FORGET Former", Operator, forgets),
    row("STATUS", "STATUS", Operator, status),
    row("RELOAD", "RELOAD", Operator, reloads),
    row("MOTD", "MOTD", Operator, tells_the_words),
    row("MOTD TEXT", "MOTD canary-of-the-day", Operator, sets_the_words),
    row("TERMINATE", "TERMINATE", Operator, terminates),
];

fn who(stage: &mut Stage, line: &str) {
    let mut boris = boris().comes(stage.port(), "#lobby");
    boris.joins("#who");
    let told = stage.asks(line);
    let of_boris = told.lines().find(|line| line.starts_with("Boris ")).unwrap_or_else(|| panic!("{told}"));
    assert!(
        of_boris.contains("#lobby") && of_boris.contains("#who") && of_boris.ends_with("  from 127.0.0.3"),
        "{told}"
    );
    if stage.by == Actor::Operator {
        assert!(
            told.lines().any(|line| line.starts_with("Clara ") && line.ends_with("from 127.0.0.4  operator")),
            "{told}"
        );
    }
    assert!(told.lines().next().is_some_and(|first| first.ends_with(" here")), "{told}");
}

fn says(stage: &mut Stage, line: &str) {
    let (mut boris, mut anna) = (boris().comes(stage.port(), "#lobby"), anna().comes(stage.port(), "#elsewhere"));
    let answer = stage.does(line, "SAY");
    assert!(answer.starts_with("said to ") && answer.ends_with(" sessions"), "{answer}");
    for one in [&mut boris, &mut anna] {
        assert_eq!(one.notices(), [SAY_CANARY]);
    }
}

fn kicks(stage: &mut Stage, line: &str) {
    let (boris_here, mut anna) = (boris().comes(stage.port(), "#lobby"), anna().comes(stage.port(), "#lobby"));
    let number = boris_here.number();
    assert_eq!(stage.does(line, "KICK Boris (rude words)"), "Boris is removed");
    let told = boris_here.ends_by(ByeReason::Kicked);
    assert_eq!(told.last(), Some(&format!("{} removed you: rude words", stage.label())));
    assert!(has_left(&anna.hears(), number, "#lobby", LeftReason::Kicked));
    assert_eq!(stage.is_refused(line, ErrorCode::Absent), "Boris is not here");
    boris().comes(stage.port(), "#lobby");
}

/// What BANS says of the last ban, and its number.
fn last_ban(stage: &mut Stage) -> (String, String) {
    let told = stage.asks("BANS");
    let last = told.lines().last().unwrap_or_default().trim_start().to_owned();
    let number = last.split(' ').next().unwrap_or_default().to_owned();
    assert!(number.parse::<u64>().is_ok(), "{told}");
    (last, number)
}

fn bans_a_name(stage: &mut Stage, line: &str) {
    let port = stage.port();
    let (boris_here, mut anna) = (boris().comes(port, "#lobby"), anna().comes(port, "#lobby"));
    let number = boris_here.number();
    let answer = stage.does(line, "BAN Boris 2d (rude words)");
    let by = format!("(by {}, ", stage.label());
    let parts = ["Boris with 1 key until 2", " UTC ", &by, ": rude words\nremoved 1"];
    assert!(parts.iter().all(|part| answer.contains(part)), "{answer}");
    let told = boris_here.ends_by(ByeReason::Kicked);
    let why = told.last().expect("they are told why").clone();
    assert!(why.starts_with("you are banned until 2") && why.ends_with(" UTC: rude words"), "{why}");
    assert!(has_left(&anna.hears(), number, "#lobby", LeftReason::Kicked));
    // Until when, and what for; under that name, with that key, and for a while by new names from there.
    assert_eq!(boris().is_refused(port, "#lobby", "", ErrorCode::Refused), why);
    assert_eq!(boris().called("Borislav").is_refused(port, "#lobby", "", ErrorCode::Refused), why);
    let new = Who { from: boris().from, ..Who::new(&NEW, "Newcomer", 0) };
    let wary = new.is_refused(port, "#lobby", "", ErrorCode::Refused);
    assert!(wary.starts_with("a user at your address was just banned"), "{wary}");
    stage.does("UNBAN Boris", "UNBAN Boris");
    boris().comes(port, "#lobby");
    new.comes(port, "#lobby").goes("#lobby");
    stage.does("FORGET Newcomer", "FORGET Newcomer");
}

fn bans_a_key(stage: &mut Stage, line: &str) {
    let port = stage.port();
    // Nobody here has that one; of somebody who has one:
    assert!(stage.does(line, "BAN SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA forever").ends_with("removed 0"));
    let key = fingerprint(&BORIS);
    let boris_here = boris().comes(port, "#lobby");
    let answer = stage.does(&format!("BAN {key} rude words"), &format!("BAN {key} forever (rude words)"));
    assert!(answer.contains(&format!("{key} until it is lifted (by ")) && answer.ends_with("removed 1"), "{answer}");
    let why = "you are banned until it is lifted: rude words";
    assert_eq!(boris_here.ends_by(ByeReason::Kicked).last().map(String::as_str), Some(why));
    for name in ["Boris", "Somebody-new"] {
        assert_eq!(boris().called(name).is_refused(port, "#lobby", "", ErrorCode::Refused), why);
    }
    stage.does(&format!("UNBAN {key}"), &format!("UNBAN {key}"));
    stage.does(&line.replacen("BAN", "UNBAN", 1), &line.replacen("BAN", "UNBAN", 1));
    boris().comes(port, "#lobby");
}

fn bans_an_address(stage: &mut Stage, line: &str) {
    let port = stage.port();
    let boris_here = boris().comes(port, "#lobby");
    let answer = stage.does(line, "BAN 127.0.0.3 2h (noise)");
    assert!(answer.contains("127.0.0.3 until 2") && answer.ends_with("removed 1"), "{answer}");
    let told = boris_here.ends_by(ByeReason::Kicked);
    let why = boris().is_refused(port, "#lobby", "", ErrorCode::Refused);
    assert_eq!(told.last(), Some(&why));
    assert!(why.starts_with("you are banned until 2") && why.ends_with(" UTC: noise"), "{why}");
    let elsewhere = Who { from: [127, 0, 0, 33].into(), ..boris() };
    elsewhere.comes(port, "#lobby").goes("#lobby");
    stage.does("UNBAN 127.0.0.3", "UNBAN 127.0.0.3");
    boris().comes(port, "#lobby").goes("#lobby");
    // A whole network; unless it is said, for an hour.
    stage.does("BAN 127.0.0.32/28", "BAN 127.0.0.32/28 forever");
    elsewhere.is_refused(port, "#lobby", "", ErrorCode::Refused);
    boris().comes(port, "#lobby");
    assert!(!stage.asks("BANS").contains("until it is lifted"));
    stage.does("UNBAN 127.0.0.32/28", "UNBAN 127.0.0.32/28");
}

fn unbans(stage: &mut Stage, line: &str) {
    let port = stage.port();
    assert_eq!(stage.is_refused(line, ErrorCode::Absent), "there is no ban on Boris: BANS lists them");
    boris().comes(port, "#lobby").goes("#lobby");
    stage.does("BAN Boris", "BAN Boris forever");
    boris().is_refused(port, "#lobby", "", ErrorCode::Refused);
    assert_eq!(stage.does(line, "UNBAN Boris"), "Boris is no longer banned");
    let boris_here = boris().comes(port, "#lobby");
    // By its number; then nothing of it is left either.
    stage.does("BAN Boris", "BAN Boris forever");
    boris_here.ends_by(ByeReason::Kicked);
    let new = Who { from: boris().from, ..Who::new(&NEW, "Unsuspected", 0) };
    new.is_refused(port, "#lobby", "", ErrorCode::Refused);
    let (_, number) = last_ban(stage);
    let by_number = format!("UNBAN {number}");
    assert_eq!(stage.does(&by_number, &by_number), format!("{number} is no longer banned"));
    boris().comes(port, "#lobby");
    new.comes(port, "#lobby");
}

fn bans(stage: &mut Stage, line: &str) {
    assert_eq!(stage.asks(line), "there are no bans");
    boris().comes(stage.port(), "#lobby").goes("#lobby");
    stage.does("BAN Boris 3h rude words", "BAN Boris 3h (rude words)");
    let (told, number) = last_ban(stage);
    let by = format!("(by {}, ", stage.label());
    let parts = [&*format!("{number}  Boris with 1 key until 2"), &by, " UTC): rude words"];
    assert!(parts.iter().all(|part| told.contains(part)), "{told}");
    stage.does("UNBAN Boris", "UNBAN Boris");
    assert_eq!(stage.asks(line), "there are no bans");
}

fn mutes(stage: &mut Stage, line: &str) {
    let (mut boris, mut anna) = (boris().comes(stage.port(), "#lobby"), anna().comes(stage.port(), "#lobby"));
    boris.hears();
    assert_eq!(boris.says("#lobby", REPLACED_CANARY), Ok(()));
    let answer = stage.does(line, "MUTE Boris 10m");
    assert!(answer.starts_with("Boris is muted until 2") && answer.ends_with(" UTC"), "{answer}");
    let told = boris.notices();
    assert!(told[0].starts_with(&format!("{} has muted you until 2", stage.label())), "{told:?}");
    assert_eq!(boris.says("#lobby", REPLACED_CANARY), Err(ErrorCode::Muted));
    let anna_number = anna.number();
    let whisper = boris.peer.voice.whisper(anna_number, "and to one");
    boris.peer.send_next(whisper);
    assert_eq!(boris.peer.is_answered(), Answer::Error(ErrorCode::Muted, boris.peer.n));
    let heard = anna.hears();
    let is_said = |message: &&ToClient| matches!(message, ToClient::Event { event: Event::Said { .. }, .. });
    let is_whispered = |message: &ToClient| matches!(message, ToClient::Event { event: Event::Whispered { .. }, .. });
    assert_eq!(heard.iter().filter(is_said).count(), 1, "what came before");
    assert!(!heard.iter().any(is_whispered), "{heard:?}");
    stage.does("UNMUTE Boris", "UNMUTE Boris");
}

fn unmutes(stage: &mut Stage, line: &str) {
    let mut boris_here = boris().comes(stage.port(), "#lobby");
    assert_eq!(stage.is_refused(line, ErrorCode::Absent), "Boris is not muted");
    assert_eq!(stage.does("MUTE Boris forever", "MUTE Boris forever"), "Boris is muted until it is lifted");
    boris_here.notices();
    assert_eq!(boris_here.says("#lobby", REPLACED_CANARY), Err(ErrorCode::Muted));
    // It is the name that is muted, not the session.
    let mut again = boris().comes(stage.port(), "#lobby");
    assert_eq!(again.says("#lobby", REPLACED_CANARY), Err(ErrorCode::Muted));
    assert_eq!(stage.does(line, "UNMUTE Boris"), "Boris may speak again");
    assert_eq!(again.notices(), ["you may speak again"]);
    let say = again.peer.saying("#lobby", b"anything");
    again.peer.send(&say);
    assert_eq!(again.peer.is_answered(), Answer::Accepted(again.peer.n));
}

fn ops(stage: &mut Stage, line: &str) {
    let mut anna = anna().comes(stage.port(), "#lobby");
    assert_eq!(anna.commands("WHO").map_err(|why| why.0), Err(ErrorCode::Refused));
    assert_eq!(stage.does(line, "OP Anna"), "Anna is an operator, with 1 key");
    assert_eq!(anna.notices(), [format!("{} has made you an operator: /server HELP", stage.label())]);
    assert!(anna.commands("WHO").is_ok_and(|told| told.contains("Anna")));
    assert_eq!(stage.is_refused(line, ErrorCode::Refused), "Anna is an operator already");
    let boris = boris().comes(stage.port(), "#lobby");
    assert!(boris.notice.contains("Operators: Anna"), "{}", boris.notice);
    stage.does("DEOP Anna", "DEOP Anna");
}

fn deops(stage: &mut Stage, line: &str) {
    let mut anna = anna().comes(stage.port(), "#lobby");
    stage.does("OP Anna", "OP Anna");
    anna.notices();
    assert_eq!(stage.does(line, "DEOP Anna"), "Anna is not an operator any more");
    assert_eq!(anna.notices(), [format!("{} has removed your operator rights", stage.label())]);
    assert_eq!(anna.commands("WHO").map_err(|why| why.0), Err(ErrorCode::Refused));
    assert_eq!(stage.is_refused(line, ErrorCode::Refused), "Anna is not an operator");
}

fn invites(stage: &mut Stage, line: &str) {
    let answer = stage.does(line, "INVITE for 2h, 3 times");
    let invitation: Invitation = answer.parse().unwrap_or_else(|why| panic!("{why}: {answer}"));
    assert_eq!(invitation.port(), stage.port());
    assert_eq!(invitation.server().to_string(), fingerprint(&DORA), "they have the same key, here");
    let token = invitation.token().text();
    assert!(!stage.console.log().contains(&*token), "a token is for those who are invited");
    assert!(!stage.asks("INVITES").contains(&*token));
}

fn lists_invitations(stage: &mut Stage, line: &str) {
    stage.does("INVITE 5 7", "INVITE for 5h, 7 times");
    let told = stage.asks(line);
    let last = told.lines().last().unwrap_or_default();
    assert!(last.contains("  good for 7 until 2") && last.ends_with(&format!("  (by {})", stage.label())), "{told}");
}

fn revokes(stage: &mut Stage, line: &str) {
    stage.does("INVITE", "INVITE for 1d, 1 times");
    let listed = stage.asks("INVITES");
    let numbers = listed.lines().map(|line| line.trim_start().split(' ').next().unwrap_or_default().to_owned());
    let first_word = line.split(' ').next().unwrap_or_default();
    for number in numbers {
        let line = format!("{first_word} {number}");
        assert_eq!(stage.does(&line, &line), format!("invitation {number} is revoked"));
        let why = stage.is_refused(&line, ErrorCode::Absent);
        assert_eq!(why, format!("there is no invitation {number}: INVITES lists them"));
    }
    assert_eq!(stage.asks("INVITES"), "there are no invitations");
}

fn forgets(stage: &mut Stage, line: &str) {
    let (port, former) = (stage.port(), boris().called("Former"));
    former.comes(port, "#lobby").goes("#lobby");
    anna().called("Former").is_refused(port, "#lobby", "", ErrorCode::Taken);
    assert_eq!(stage.does(line, "FORGET Former"), "Former is free");
    let mut latter = anna().called("Former").comes(port, "#lobby");
    former.is_refused(port, "#lobby", "", ErrorCode::Taken);
    assert_eq!(stage.is_refused(line, ErrorCode::Refused), "Former is here: KICK Former first");
    latter.hears();
    latter.goes("#lobby");
    stage.does(line, "FORGET Former");
    assert_eq!(stage.is_refused(line, ErrorCode::Absent), "no user named Former is known here");
}

fn status(stage: &mut Stage, line: &str) {
    let _boris = boris().comes(stage.port(), "#lobby");
    let told = stage.asks(line);
    let words: Vec<&str> = told.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(words, ["up", "people", "messages", "queue", "memory"], "{told}");
    assert!(told.contains(" here, ") && told.contains(" rooms; ") && told.contains(" MiB"), "{told}");
}

fn reloads(stage: &mut Stage, line: &str) {
    settles(stage, "public-address = \"chat.example.org\"\n");
    let told = stage.does(line, "RELOAD");
    assert!(told.contains("public-address: none → chat.example.org"), "{told}");
    settles(stage, "port = 99999\n");
    let told = stage.does(line, "RELOAD");
    assert!(told.contains("port: 99999") && told.ends_with("the settings are as they were"), "{told}");
    settles(stage, "");
    let told = stage.does(line, "RELOAD");
    assert!(told.contains("public-address: chat.example.org → none"), "{told}");
}

fn tells_the_words(stage: &mut Stage, line: &str) {
    assert_eq!(stage.asks(line), "there is no message of the day");
    stage.does("MOTD canary-of-the-day", "MOTD");
    assert_eq!(stage.asks(line), MOTD_CANARY);
    stage.does("MOTD -", "MOTD");
}

fn sets_the_words(stage: &mut Stage, line: &str) {
    assert_eq!(stage.does(line, "MOTD"), "message of the day set: newcomers read it");
    let boris_here = boris().comes(stage.port(), "#lobby");
    assert!(boris_here.notice.ends_with(&format!("\n{MOTD_CANARY}")), "{}", boris_here.notice);
    assert_eq!(stage.does("MOTD -", "MOTD"), "no message of the day");
    let again = boris().comes(stage.port(), "#lobby");
    assert!(
        !again.notice.contains(MOTD_CANARY) && again.notice.starts_with("This server cannot read"),
        "{}",
        again.notice
    );
}

pub fn terminates(stage: &mut Stage, line: &str) {
    let boris = boris().comes(stage.port(), "#lobby");
    let ended = match stage.clara.take() {
        Some(mut clara) => {
            assert_eq!(clara.commands(line).map_err(|why| why.0), Ok("the server stops".into()));
            let ended = stage.console.ends();
            clara.ends_by(ByeReason::Terminated);
            stage.console.wait_for_log("[*] Clara: TERMINATE", 1);
            ended
        }
        None => stage.console.terminates(),
    };
    assert_eq!(ended, 0);
    boris.ends_by(ByeReason::Terminated);
}
