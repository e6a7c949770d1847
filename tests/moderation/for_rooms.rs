//! What everybody may do, and what a room's keeper may.

use cfb_chat::chat::command::server::Rank::{Anybody, Keeper};
use cfb_chat::chat::message::{ByeReason, ErrorCode, Event, LeftReason, ToClient};

use super::commands::{Row, row};
use super::for_operators::PASSWORD_CANARY;
use super::people::{CLARA, DORA, Who, fingerprint, has_left};
use super::stage::{Actor, Stage, boris, clara};

pub const TOPIC_CANARY: &str = "canary-of-a-topic";

pub const ROWS: [Row; 13] = [
    row("HELP [COMMAND]", "HELP KICK", Anybody, help),
    row("ROOMS", "ROOMS", Anybody, rooms),
    row("TOPIC #room", "TOPIC #told", Anybody, topic),
    row("DEVICES", "DEVICES", Anybody, devices),
    row("DEVICES SHA256:…", "DEVICES SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", Anybody, removes_a_device),
    row("TOPIC #room TEXT", "TOPIC #topic canary-of-a-topic", Keeper, sets_a_topic),
    row("LOCK #room", "LOCK #lock", Keeper, locks),
    row("UNLOCK #room", "UNLOCK #unlock", Keeper, unlocks),
    row("INVITE #room NAME", "INVITE #invite Boris", Keeper, makes_a_guest),
    row("KICK #room NAME [REASON]", "KICK #kick Boris rude words", Keeper, kicks_from_a_room),
    row("KEEPER #room NAME", "KEEPER #keeper Boris", Keeper, hands_on),
    row("REGISTER #room", "REGISTER #register", Keeper, registers),
    row("UNREGISTER #room", "UNREGISTER #unregister", Keeper, unregisters),
];

fn help(stage: &mut Stage, line: &str) {
    let told = stage.asks(line);
    assert!(told.starts_with("KICK #room NAME [REASON]  removes NAME from a room"), "{told}");
    assert_eq!(told.contains("who may join again"), stage.by != Actor::Keeper, "{told}");
    assert_eq!(stage.asks("HELP FLY"), "no such command: FLY; HELP lists them");
}

/// How many are in a room, as ROOMS tells; `None` if it tells of no such room.
fn people_in(stage: &mut Stage, room: &str) -> Option<(usize, String)> {
    let told = stage.asks("ROOMS");
    let of_room = told.lines().find(|line| line.split(' ').next() == Some(room))?;
    let rest = of_room[room.len()..].trim_start();
    let (count, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    Some((count.parse().unwrap_or_else(|_| panic!("{told}")), rest.trim().to_owned()))
}

fn rooms(stage: &mut Stage, line: &str) {
    let _keeper = stage.opens("#rooms");
    assert!(stage.asks(line).contains("#rooms"));
    let kept = format!("kept by {}", stage.keeper());
    assert_eq!(people_in(stage, "#rooms"), Some((1, kept.clone())));
    let _boris = boris().comes(stage.port(), "#rooms");
    assert_eq!(people_in(stage, "#rooms"), Some((2, kept.clone())));
    stage.does("TOPIC #rooms canary-of-a-topic", "TOPIC #rooms");
    stage.does("LOCK #rooms", "LOCK #rooms");
    assert_eq!(people_in(stage, "#rooms"), Some((2, format!("{kept}  locked  {TOPIC_CANARY}"))));
    // Who may not come in is not told that it is there.
    let mut dora = Who::new(&DORA, "Dora", 5).comes(stage.port(), "#lobby");
    let told = dora.commands("ROOMS").expect("anybody may");
    assert!(!told.contains("#rooms") && told.contains("#lobby"), "{told}");
}

fn topic(stage: &mut Stage, line: &str) {
    assert_eq!(stage.is_refused(line, ErrorCode::Absent), "no such room: #told");
    let _keeper = stage.opens("#told");
    assert_eq!(stage.asks(line), "#told has no topic");
    stage.does("TOPIC #told canary-of-a-topic", "TOPIC #told");
    assert_eq!(stage.asks(line), format!("topic of #told: {TOPIC_CANARY}"));
}

fn devices(stage: &mut Stage, line: &str) {
    if stage.by == Actor::Console {
        assert_eq!(stage.asks(line), "the console has no name");
        return;
    }
    let told = stage.asks(line);
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 2, "{told}");
    assert!(lines[0].starts_with(&fingerprint(CLARA)) && lines[0].ends_with("  this one"), "{told}");
    assert_eq!(lines[1], "no password is set (/password): no other key can use this name");
}

fn removes_a_device(stage: &mut Stage, line: &str) {
    if stage.by == Actor::Console {
        assert_eq!(stage.asks(line), "the console has no name");
        return;
    }
    let why = stage.is_refused(line, ErrorCode::Absent);
    assert_eq!(why, "your name has no such key: DEVICES lists them");
    let own = format!("DEVICES {}", fingerprint(CLARA));
    assert!(stage.is_refused(&own, ErrorCode::Refused).starts_with("that is the key you are here with"));

    let port = stage.port();
    let other = Who::new(&DORA, "Clara", 5);
    assert!(stage.clara.as_mut().is_some_and(|clara| clara.sets_password(PASSWORD_CANARY).is_ok()));
    let mut with_other = other.tries(port, "#lobby", PASSWORD_CANARY).unwrap_or_else(|why| panic!("{why:?}"));
    stage.clara.take().expect("she is here").ends_by(ByeReason::Replaced);
    let who = with_other.commands("WHO").map_err(|why| why.0);
    assert_eq!(who, Err(ErrorCode::Refused), "an operator is a key, and that one is none");
    stage.clara = Some(clara().comes(port, "#lobby"));
    with_other.ends_by(ByeReason::Replaced);
    let told = stage.asks("DEVICES");
    assert!(told.contains(&fingerprint(&DORA)) && told.lines().count() == 3, "{told}");

    let gone = format!("DEVICES {}", fingerprint(&DORA));
    assert_eq!(stage.does(&gone, &gone), format!("{} cannot use this name any more", fingerprint(&DORA)));
    assert!(stage.clara.as_mut().is_some_and(|clara| clara.sets_password("").is_ok()));
    other.is_refused(port, "#lobby", PASSWORD_CANARY, ErrorCode::Taken);
    assert_eq!(stage.asks("DEVICES").lines().count(), 2);
}

fn sets_a_topic(stage: &mut Stage, line: &str) {
    let _keeper = stage.opens("#topic");
    let mut boris = boris().comes(stage.port(), "#topic");
    let told = format!("topic of #topic: {TOPIC_CANARY} ({})", stage.label());
    assert_eq!(stage.does(line, "TOPIC #topic"), told);
    assert_eq!(boris.notices(), [told]);
    let dora = Who::new(&DORA, "Dora", 5).comes(stage.port(), "#topic");
    assert!(dora.notice.ends_with(&format!("\ntopic of #topic: {TOPIC_CANARY}")), "{}", dora.notice);
    let gone = format!("{} removed the topic of #topic", stage.label());
    assert_eq!(stage.does("TOPIC #topic -", "TOPIC #topic"), gone);
    assert_eq!(boris.notices(), [gone]);
    assert_eq!(stage.asks("TOPIC #topic"), "#topic has no topic");
}

fn locks(stage: &mut Stage, line: &str) {
    let _keeper = stage.opens("#lock");
    let mut boris = boris().comes(stage.port(), "#lock");
    let told = format!("{} has locked #lock", stage.label());
    assert_eq!(stage.does(line, "LOCK #lock"), told);
    assert_eq!(boris.notices(), [told], "who is there stays, and is told");
    let dora = Who::new(&DORA, "Dora", 5);
    let why = dora.is_refused(stage.port(), "#lock", "", ErrorCode::Refused);
    assert_eq!(why, format!("#lock is locked: ask {} for an invitation", stage.keeper()));
    // And from another room.
    let mut dora = dora.comes(stage.port(), "#lobby");
    assert_eq!(dora.joins_with("#lock", "").map_err(|why| why.0), Err(ErrorCode::Refused));
    assert_eq!(dora.commands("TOPIC #lock").map_err(|why| why.0), Err(ErrorCode::Absent));
}

fn unlocks(stage: &mut Stage, line: &str) {
    let _keeper = stage.opens("#unlock");
    stage.does("LOCK #unlock", "LOCK #unlock");
    boris().is_refused(stage.port(), "#unlock", "", ErrorCode::Refused);
    assert_eq!(stage.does(line, "UNLOCK #unlock"), format!("{} has unlocked #unlock", stage.label()));
    boris().comes(stage.port(), "#unlock");
}

fn makes_a_guest(stage: &mut Stage, line: &str) {
    let _keeper = stage.opens("#invite");
    stage.does("LOCK #invite", "LOCK #invite");
    let mut boris = boris().comes(stage.port(), "#lobby");
    assert_eq!(stage.does(line, "INVITE #invite Boris"), "Boris is a guest of #invite");
    assert_eq!(boris.notices(), [format!("{} invites you to #invite: /join #invite", stage.label())]);
    boris.joins("#invite");
    let gone = Who::new(&DORA, "Dora", 5).comes(stage.port(), "#lobby");
    gone.goes("#lobby");
    let told = stage.does("INVITE #invite Dora", "INVITE #invite Dora");
    assert_eq!(told, "Dora is a guest of #invite, but is not here to be told");
    Who::new(&DORA, "Dora", 5).comes(stage.port(), "#invite");
}

fn kicks_from_a_room(stage: &mut Stage, line: &str) {
    let _keeper = stage.opens("#kick");
    let mut dora = Who::new(&DORA, "Dora", 5).comes(stage.port(), "#kick");
    let mut boris_in_two = boris().comes(stage.port(), "#lobby");
    boris_in_two.joins("#kick");
    assert_eq!(stage.does(line, "KICK #kick Boris (rude words)"), "Boris is removed from #kick");
    let heard = boris_in_two.hears();
    let text = format!("{} removed you from #kick: rude words", stage.label());
    let is_told =
        |message: &ToClient| matches!(message, ToClient::Event { event: Event::Notice(told), .. } if *told == text);
    let is_gone = |message: &ToClient| matches!(message, ToClient::Event { event: Event::Left { .. }, .. });
    let (told, left) = (heard.iter().position(is_told), heard.iter().position(is_gone));
    assert!(told.is_some() && told < left, "told why before it happens: {heard:?}");
    let number = boris_in_two.number();
    assert!(has_left(&heard, number, "#kick", LeftReason::Kicked), "{heard:?}");
    assert!(has_left(&dora.hears(), number, "#kick", LeftReason::Kicked));
    assert_eq!(boris_in_two.says("#lobby", "I am still here"), Ok(()));
    assert_eq!(stage.is_refused(line, ErrorCode::Absent), "Boris is not in #kick");
    // Out of the last room is out; and they may come back.
    let boris_in_one = boris().comes(stage.port(), "#kick");
    boris_in_two.ends_by(ByeReason::Replaced);
    stage.does("KICK #kick Boris", "KICK #kick Boris");
    let told = boris_in_one.ends_by(ByeReason::Kicked);
    assert_eq!(told, [format!("{} removed you from #kick", stage.label())]);
    boris().comes(stage.port(), "#kick");
    // A guest is none any more.
    stage.does("LOCK #kick", "LOCK #kick");
    stage.does("INVITE #kick Boris", "INVITE #kick Boris");
    let _again = boris().comes(stage.port(), "#kick");
    stage.does("KICK #kick Boris", "KICK #kick Boris");
    boris().is_refused(stage.port(), "#kick", "", ErrorCode::Refused);
}

fn hands_on(stage: &mut Stage, line: &str) {
    let keeper = stage.opens("#keeper");
    let mut boris = boris().comes(stage.port(), "#keeper");
    assert_eq!(boris.commands("LOCK #keeper").map_err(|why| why.0), Err(ErrorCode::Refused));
    let told = format!("{} has made Boris the keeper of #keeper", stage.label());
    assert_eq!(stage.does(line, "KEEPER #keeper Boris"), told);
    assert_eq!(boris.notices(), [told]);
    assert_eq!(boris.commands("LOCK #keeper"), Ok("Boris has locked #keeper".into()));
    stage.console.wait_for_log("[*] Boris: LOCK #keeper", 1);
    let why = match keeper {
        Some(mut anna) => anna.commands("UNLOCK #keeper").map_err(|why| why.1),
        None => Err(stage.is_refused("UNLOCK #keeper", ErrorCode::Refused)),
    };
    assert_eq!(why, Err("#keeper is not yours: only its keeper and operators do that".into()));
}

/// Whoever opened a room leaves it, and nobody is in it then.
fn is_left_by(stage: &mut Stage, keeper: Option<super::people::Somebody>, room: &str) {
    match keeper {
        Some(anna) => anna.goes(room),
        None => stage.clara.as_mut().expect("she is here").peer.leave(room),
    }
}

fn registers(stage: &mut Stage, line: &str) {
    let keeper = stage.opens("#register");
    let mut boris_inside = boris().comes(stage.port(), "#register");
    let told = format!("#register is registered: it stays when empty ({})", stage.label());
    assert_eq!(stage.does(line, "REGISTER #register"), told);
    assert_eq!(boris_inside.notices(), [told]);
    stage.does("TOPIC #register canary-of-a-topic", "TOPIC #register");
    boris_inside.goes("#register");
    is_left_by(stage, keeper, "#register");
    assert_eq!(people_in(stage, "#register"), Some((0, format!("kept by {}  {TOPIC_CANARY}", stage.keeper()))));
    // Whoever comes first into it does not keep it.
    let mut first = boris().comes(stage.port(), "#register");
    assert!(first.notice.ends_with(&format!("\ntopic of #register: {TOPIC_CANARY}")), "{}", first.notice);
    assert_eq!(first.commands("LOCK #register").map_err(|why| why.0), Err(ErrorCode::Refused));
}

fn unregisters(stage: &mut Stage, line: &str) {
    let keeper = stage.opens("#unregister");
    stage.does("REGISTER #unregister", "REGISTER #unregister");
    let told = format!("#unregister is unregistered: it ends when empty ({})", stage.label());
    assert_eq!(stage.does(line, "UNREGISTER #unregister"), told);
    assert!(people_in(stage, "#unregister").is_some(), "somebody is");
    is_left_by(stage, keeper, "#unregister");
    assert_eq!(people_in(stage, "#unregister"), None);
    // Whoever opens it again keeps it.
    let mut boris = boris().comes(stage.port(), "#unregister");
    assert!(boris.commands("LOCK #unregister").is_ok());
}
