//! Persistent names, admission, owned rooms, and operators.

use super::*;
use crate::chat::registry_record::RegistryRecord;

const DAY: u64 = 24 * 60 * 60 * 1_000;
const HASH: [u8; 32] = [9; 32];

/// Registry contents, as the disk has them.
#[derive(Default)]
struct Disk(Vec<RegistryRecord>);

impl Disk {
    fn take(&mut self, test: &Test) {
        let kept = test.effects.iter().filter_map(|effect| match effect {
            Effect::Keep(JournalRecord::Lasting(lasting)) => Some(lasting.clone()),
            _ => None,
        });
        self.0.extend(kept);
    }
}

impl Test {
    /// A server with Ira, its operator, and Boris, who is none.
    fn with_operator() -> Self {
        let mut test = Self::new(Limits { joins: None, messages: None, ..Limits::standard() });
        test.arrive(1, "Ira", 1, 1);
        test.arrive(2, "Boris", 2, 2);
        assert_eq!(test.console("OP Ira"), "Ira is an operator, with 1 key");
        test
    }

    pub(super) fn console(&mut self, line: &str) -> String {
        self.effects.clear();
        match self.chat.console(line, self.now, &mut self.effects) {
            Some(CommandReply::Done(text)) => text,
            other => panic!("{line}: {other:?}"),
        }
    }

    /// Answer to a user's command.
    pub(super) fn orders(&mut self, conn: u64, line: &str) -> Result<String, ErrorCode> {
        let told = self.receive(conn, ToServer::Command(line.into()));
        match told.last() {
            Some(ToClient::Answer(text)) => Ok(text.clone()),
            Some(ToClient::Error { code, n: 0, .. }) => Err(*code),
            other => panic!("{line}: {other:?}"),
        }
    }

    pub(super) fn done(&mut self, conn: u64, line: &str) -> String {
        self.orders(conn, line).unwrap_or_else(|code| panic!("{line}: {code}"))
    }

    /// Comes in with a password, or a token.
    pub(super) fn arrive_with(&mut self, who: (&str, u8, u8), room: &str, with: With, address: &str) -> JoinOutcome {
        let (name, owner, session) = who;
        let password = if matches!(with, With::Nothing) { String::new() } else { "secret".into() };
        let message = ToServer::Join { room: RoomName::parse(room).unwrap(), password, cursor: 0 };
        let mut asks = JoinAttempt::first(message);
        match with {
            With::Token(hash) => asks.token = Some(hash),
            With::Checked(kept, fits) => asks.checked = Some((kept.into(), fits)),
            With::Nothing | With::Password => {}
        }
        let user = User {
            name: Name::parse(name).unwrap(),
            owner: [owner; 32],
            session: SessionId([session; 32]),
            spki: [owner].into(),
        };
        self.effects.clear();
        let who = AuthenticatedUser {
            conn: ConnectionId(session.into()),
            user,
            credential: [].into(),
            signature: [].into(),
            address: address.parse().ok(),
        };
        self.chat.arrive(who, &asks, self.now, &mut self.effects)
    }

    pub(super) fn is_in(&self, room: &str) -> usize {
        self.chat.rooms.get(&RoomName::parse(room).unwrap()).map_or(0, |open| open.roster.members().len())
    }

    pub(super) fn refusal_text(&self) -> String {
        let mut texts = self.effects.iter().filter_map(|effect| match effect {
            Effect::Tell(_, bytes) => match &ToClient::parse_all(bytes).unwrap()[..] {
                [ToClient::Error { text, .. }] => Some(text.clone()),
                _ => None,
            },
            _ => None,
        });
        texts.next_back().unwrap_or_default()
    }
}

#[derive(Clone, Copy)]
pub(super) enum With {
    Nothing,
    Password,
    Checked(&'static str, bool),
    Token([u8; 32]),
}

/// PROTOCOL.md 6.7-5.
#[test]
fn a_name_is_its_owners_until_it_was_not_used_for_long() {
    let mut test = Test::new(Limits { joins: None, ..Limits::standard() });
    test.arrive(1, "Ira", 1, 1);
    test.chat.lost(ConnectionId(1), test.now, &mut Vec::new());
    test.now.at += 179 * DAY;
    assert!(matches!(test.arrive(2, "ira", 2, 2), JoinOutcome::Closed(_, Severity::Slight)));
    assert_eq!(test.arrive(3, "Ira", 1, 3), JoinOutcome::Admitted, "used again");
    test.chat.lost(ConnectionId(3), test.now, &mut Vec::new());
    test.now.at += 179 * DAY;
    assert!(matches!(test.arrive(4, "ira", 2, 4), JoinOutcome::Closed(_, Severity::Slight)));
    test.now.at += 2 * DAY;
    assert_eq!(test.arrive(5, "ira", 2, 5), JoinOutcome::Admitted, "it was free");
    assert!(matches!(test.arrive(6, "Ira", 1, 6), JoinOutcome::Closed(_, Severity::Slight)), "it is another's");
}

#[test]
fn neither_a_password_nor_an_operators_name_runs_out() {
    let mut test = Test::with_operator();
    test.chat.set_password(ConnectionId(2), Some("kept".into()), &mut test.effects);
    for conn in [1, 2] {
        test.chat.lost(ConnectionId(conn), test.now, &mut Vec::new());
    }
    test.now.at += 1_000 * DAY;
    assert!(matches!(test.arrive(7, "Ira", 7, 7), JoinOutcome::Closed(_, Severity::Slight)));
    assert_eq!(test.arrive(8, "Boris", 8, 8), JoinOutcome::OnceMore);
}

/// PROTOCOL.md 6.7-6.
#[test]
fn nobody_hoards_names() {
    let mut test = Test::new(Limits { joins: None, ..Limits::standard() });
    for number in 1..=8 {
        assert_eq!(test.arrive(number.into(), &format!("name{number}"), 1, number), JoinOutcome::Admitted);
    }
    assert!(matches!(test.arrive(9, "name9", 1, 9), JoinOutcome::Closed(..)));
    assert!(test.refusal_text().contains("8 names"));
    assert_eq!(test.arrive(10, "name1", 1, 10), JoinOutcome::Admitted, "those that it has it keeps");
}

/// PROTOCOL.md 6.7-7, 6.8-4.
#[test]
fn a_password_lets_another_key_in_and_then_it_needs_none() {
    let mut test = Test::new(Limits { joins: None, ..Limits::standard() });
    test.arrive(1, "Ira", 1, 1);
    test.chat.set_password(ConnectionId(1), Some("kept".into()), &mut test.effects);
    let other = |session| ("ira", 2, session);
    assert_eq!(test.arrive_with(other(2), "#lobby", With::Nothing, ""), JoinOutcome::OnceMore);
    assert_eq!(test.arrive_with(other(3), "#lobby", With::Password, ""), JoinOutcome::Check("kept".into()));
    let wrong = test.arrive_with(other(3), "#lobby", With::Checked("kept", false), "");
    assert!(matches!(wrong, JoinOutcome::Closed(_, Severity::Wrong)));
    let stale = test.arrive_with(other(4), "#lobby", With::Checked("before", true), "");
    assert!(matches!(stale, JoinOutcome::Closed(_, Severity::Wrong)), "another one was set meanwhile");
    assert_eq!(test.arrive_with(other(5), "#lobby", With::Checked("kept", true), ""), JoinOutcome::Admitted);
    assert_eq!(test.told(1), [ToClient::Bye(ByeReason::Replaced)], "a name is here once");
    assert_eq!(test.arrive_with(other(6), "#lobby", With::Nothing, ""), JoinOutcome::Admitted, "it is one of its keys");
    let devices = test.done(6, "DEVICES");
    assert_eq!(devices.lines().count(), 3, "{devices}");
    let first = crate::chat::fingerprint::ShownFingerprint([1; 32]);
    let own = crate::chat::fingerprint::ShownFingerprint([2; 32]);
    assert_eq!(test.orders(6, &format!("DEVICES {own}")), Err(ErrorCode::Refused), "not the one it is here with");
    test.done(6, &format!("DEVICES {first}"));
    assert_eq!(test.arrive_with(("Ira", 1, 7), "#lobby", With::Nothing, ""), JoinOutcome::OnceMore);
}

#[test]
fn five_wrong_passwords_are_looked_at_and_then_one_in_half_a_minute() {
    let mut test = Test::new(Limits { joins: None, ..Limits::standard() });
    test.arrive(1, "Ira", 1, 1);
    test.chat.set_password(ConnectionId(1), Some("kept".into()), &mut test.effects);
    let tries = |test: &mut Test, session| {
        let who = ("Ira", session, session);
        test.arrive_with(who, "#lobby", With::Password, "") == JoinOutcome::Check("kept".into())
    };
    let looked_at = (10..30).filter(|session| tries(&mut test, *session)).count();
    assert_eq!(looked_at, 5);
    assert_eq!(Test::codes(&test.told(29)), [(ErrorCode::Wait, 0)]);
    test.now.tick += Duration::from_secs(30);
    assert_eq!((30..40).filter(|session| tries(&mut test, *session)).count(), 1);
    assert_eq!(test.arrive(50, "Ira", 1, 50), JoinOutcome::Admitted, "its owner needs none");
}

/// PROTOCOL.md 6.9-1, 6.9-4.
#[test]
fn by_invitation_a_new_name_needs_a_token_that_is_used_up() {
    let mut test = Test::new(Limits { joins: None, ..Limits::standard() });
    test.arrive(1, "Ira", 1, 1);
    test.chat.reconfigure(test.chat.limits, Policy { access: Access::Invite, ..Policy::default() }, test.now);
    assert_eq!(test.arrive(2, "Ira", 1, 2), JoinOutcome::Admitted, "who has a name comes in as ever");
    assert_eq!(test.arrive(3, "Boris", 3, 3), JoinOutcome::OnceMore);
    let hour = Duration::from_secs(3_600);
    assert_eq!(test.chat.invite(HASH, hour, 1, "Ira", test.now, &mut test.effects), Ok(1));
    assert!(test.console("INVITES").contains("good for 1"));
    let other = test.arrive_with(("Boris", 3, 4), "#lobby", With::Token([8; 32]), "");
    assert!(matches!(other, JoinOutcome::Closed(_, Severity::Wrong)));
    assert_eq!(test.arrive_with(("Boris", 3, 5), "#lobby", With::Token(HASH), ""), JoinOutcome::Admitted);
    let again = test.arrive_with(("Mallory", 6, 6), "#lobby", With::Token(HASH), "");
    assert!(matches!(again, JoinOutcome::Closed(_, Severity::Wrong)), "once is once");
    test.chat.invite(HASH, hour, 5, "Ira", test.now, &mut test.effects).unwrap();
    test.now.at += 3_600_001;
    let late = test.arrive_with(("Mallory", 6, 7), "#lobby", With::Token(HASH), "");
    assert!(matches!(late, JoinOutcome::Closed(_, Severity::Wrong)), "it has run out");
    test.chat.invite(HASH, hour, 5, "Ira", test.now, &mut test.effects).unwrap();
    let number = test.console("INVITES").trim().split(' ').next().unwrap().to_owned();
    test.console(&format!("REVOKE {number}"));
    let revoked = test.arrive_with(("Mallory", 6, 8), "#lobby", With::Token(HASH), "");
    assert!(matches!(revoked, JoinOutcome::Closed(_, Severity::Wrong)));
}

/// PROTOCOL.md 6.9-2.
#[test]
fn a_closed_server_takes_names_that_are_registered() {
    let mut test = Test::new(Limits { joins: None, ..Limits::standard() });
    test.arrive(1, "Ira", 1, 1);
    test.chat.reconfigure(test.chat.limits, Policy { access: Access::Closed, ..Policy::default() }, test.now);
    assert_eq!(test.arrive(2, "Ira", 1, 2), JoinOutcome::Admitted);
    assert!(matches!(test.arrive(3, "Boris", 3, 3), JoinOutcome::Closed(_, Severity::Plain)));
    assert!(
        matches!(test.arrive(4, "Ira2", 1, 4), JoinOutcome::Closed(_, Severity::Plain)),
        "another name is a new one"
    );
}

#[test]
fn only_operators_may_and_each_word_is_refused_to_others() {
    let mut test = Test::with_operator();
    for line in [
        "WHO",
        "SAY x",
        "KICK Ira",
        "BAN Ira",
        "UNBAN Ira",
        "BANS",
        "MUTE Ira",
        "UNMUTE Ira",
        "OP Boris",
        "DEOP Ira",
        "INVITE",
        "INVITES",
        "REVOKE 1",
        "FORGET Ira",
        "STATUS",
        "RELOAD",
        "MOTD",
        "MOTD x",
        "TERMINATE",
    ] {
        assert_eq!(test.orders(2, line), Err(ErrorCode::Refused), "{line}");
        assert!(!test.effects.iter().any(|effect| matches!(effect, Effect::Wish(..) | Effect::Keep(_))), "{line}");
    }
    assert_eq!(test.orders(2, "nonsense"), Err(ErrorCode::Malformed));
    assert_eq!(test.orders(2, ""), Err(ErrorCode::Malformed));
    assert!(!test.done(2, "HELP").contains("TERMINATE") && test.done(1, "HELP").contains("TERMINATE"));
    assert!(test.done(1, "WHO").contains("2 here"));
    assert!(test.effects.iter().all(|effect| !matches!(effect, Effect::Note(_))), "a question is no act");
    test.receive(1, ToServer::Command("TERMINATE".into()));
    assert!(matches!(test.effects[..], [Effect::Note(_), Effect::Wish(ConnectionId(1), HostRequest::Terminate)]));
}

#[test]
fn an_operator_is_a_key_and_not_a_name() {
    let mut test = Test::with_operator();
    test.chat.set_password(ConnectionId(1), Some("kept".into()), &mut test.effects);
    assert_eq!(test.arrive_with(("Ira", 7, 7), "#lobby", With::Checked("kept", true), ""), JoinOutcome::Admitted);
    assert_eq!(test.orders(7, "WHO"), Err(ErrorCode::Refused), "who knows the password is not an operator");
    test.console("OP Ira");
    assert!(test.orders(7, "WHO").is_ok());
    test.console("DEOP Ira");
    assert_eq!(test.orders(7, "WHO"), Err(ErrorCode::Refused));
}

/// PROTOCOL.md 6.4-4.
#[test]
fn who_is_banned_is_put_out_told_why_and_stays_out_until_then() {
    let mut test = Test::with_operator();
    test.arrive_with(("Mallory", 3, 3), "#lobby", With::Nothing, "192.0.2.3");
    let done = test.done(1, "BAN Mallory 2h spam");
    assert!(done.contains("by Ira") && done.contains("removed 1"), "{done}");
    let told = test.told(3);
    assert!(
        matches!(&told[..], [ToClient::Event { event: Event::Notice(text), .. }, ToClient::Bye(ByeReason::Kicked)]
        if text.contains("you are banned until") && text.ends_with(": spam")),
        "{told:?}"
    );
    assert!(matches!(test.arrive(4, "Mallory", 3, 4), JoinOutcome::Closed(..)));
    assert!(test.refusal_text().contains("spam"));
    assert!(matches!(test.arrive(5, "Other", 3, 5), JoinOutcome::Closed(..)), "the key is banned, whatever its name");
    let new_key = test.arrive_with(("Trudy", 6, 6), "#lobby", With::Nothing, "192.0.2.3");
    assert!(matches!(new_key, JoinOutcome::Closed(..)), "a new key from there");
    let registered = test.arrive_with(("Boris", 2, 7), "#lobby", With::Nothing, "192.0.2.3");
    assert_eq!(registered, JoinOutcome::Admitted, "whoever is known there is not hit");
    test.now.tick += Duration::from_secs(600);
    assert_eq!(test.arrive_with(("Trudy", 6, 8), "#lobby", With::Nothing, "192.0.2.3"), JoinOutcome::Admitted);
    assert!(test.done(1, "BANS").contains("Mallory"));
    test.now.at += 7_200_000;
    assert_eq!(test.arrive(9, "Mallory", 3, 9), JoinOutcome::Admitted);
    assert_eq!(test.done(1, "BANS"), "there are no bans");
}

#[test]
fn every_ban_can_be_lifted_and_nobody_bans_themselves() {
    let mut test = Test::with_operator();
    let key = crate::chat::fingerprint::ShownFingerprint([7; 32]).to_string();
    test.arrive(3, "Mallory", 7, 3);
    for (ban, unban) in [
        ("BAN Mallory".to_owned(), "UNBAN Mallory".to_owned()),
        (format!("BAN {key} 1h"), format!("UNBAN {key}")),
        ("BAN Mallory forever".to_owned(), "UNBAN 1".to_owned()),
    ] {
        test.done(1, &ban);
        assert!(matches!(test.arrive(4, "Mallory", 7, 4), JoinOutcome::Closed(..)), "{ban}");
        test.done(1, &unban);
        assert_eq!(test.orders(1, &unban), Err(ErrorCode::Absent));
    }
    test.done(1, "BAN 192.0.2.0/24");
    assert!(matches!(test.arrive_with(("Zoe", 8, 8), "#lobby", With::Nothing, "192.0.2.9"), JoinOutcome::Closed(..)));
    test.done(1, "UNBAN 192.0.2.77/24");
    assert_eq!(test.arrive_with(("Zoe", 8, 9), "#lobby", With::Nothing, "192.0.2.9"), JoinOutcome::Admitted);
    assert_eq!(test.orders(1, "BAN 192.0.2.0/24 2d"), Err(ErrorCode::Refused), "addresses change hands");
    assert_eq!(test.orders(1, "BAN Ira"), Err(ErrorCode::Refused));
    assert_eq!(test.orders(1, "BAN Nobody"), Err(ErrorCode::Absent));
}

#[test]
fn who_is_muted_hears_and_says_nothing_until_then() {
    let mut test = Test::with_operator();
    test.done(1, "MUTE Boris 10m");
    assert!(
        matches!(&test.told(2)[..], [ToClient::Event { event: Event::Notice(text), .. }] if text.contains("muted you"))
    );
    assert_eq!(Test::codes(&test.receive(2, say(1, 2, 10))), [(ErrorCode::Muted, 1)]);
    assert_eq!(Test::codes(&test.receive(2, whisper(2, 1, 10))), [(ErrorCode::Muted, 2)]);
    assert_eq!(Test::codes(&test.receive(2, letter(3, ("Boris", 2), 1, 100))), [(ErrorCode::Muted, 3)]);
    assert_eq!(test.receive(2, share(4, &[(1, 10)])), [ToClient::Accepted(4)], "keys are no words");
    test.now.at += 600_000;
    assert_eq!(test.receive(2, say(5, 2, 10)), [ToClient::Accepted(5)]);
    test.done(1, "MUTE Boris forever");
    test.now.at += 1_000 * DAY;
    assert_eq!(Test::codes(&test.receive(2, say(6, 2, 10))), [(ErrorCode::Muted, 6)]);
    test.done(1, "UNMUTE Boris");
    assert_eq!(test.receive(2, say(7, 2, 10)), [ToClient::Accepted(7)]);
    assert_eq!(test.orders(1, "UNMUTE Boris"), Err(ErrorCode::Absent));
}

/// PROTOCOL.md 6.10-1, 6.10-2.
#[test]
fn a_rooms_keeper_settles_it_and_nobody_else_does() {
    let mut test = Test::with_operator();
    test.receive(2, join("#lab"));
    test.arrive(3, "Zoe", 3, 3);
    test.receive(3, join("#lab"));
    for line in ["LOCK #lab", "TOPIC #lab x", "KICK #lab Boris", "INVITE #lab Ira", "KEEPER #lab Zoe", "REGISTER #lab"]
    {
        assert_eq!(test.orders(3, line), Err(ErrorCode::Refused), "{line}");
    }
    test.done(2, "TOPIC #lab cold fusion");
    assert!(matches!(&test.posted()[..], [Event::Notice(text)] if text == "topic of #lab: cold fusion (Boris)"));
    assert_eq!(test.done(3, "TOPIC #lab"), "topic of #lab: cold fusion");
    test.done(2, "LOCK #lab");
    test.arrive(4, "Mallory", 4, 4);
    assert_eq!(Test::codes(&test.receive(4, join("#lab"))), [(ErrorCode::Refused, 0)]);
    assert!(!test.done(4, "ROOMS").contains("#lab"), "who may not come in is not told of it");
    assert_eq!(test.orders(4, "TOPIC #lab"), Err(ErrorCode::Absent));
    test.done(2, "INVITE #lab Mallory");
    assert!(
        matches!(&test.told(4)[..], [ToClient::Event { event: Event::Notice(text), .. }] if text.contains("/join #lab"))
    );
    let welcome = test.receive(4, join("#lab"));
    let welcomed = |m: &ToClient| matches!(m, ToClient::Welcome(w) if w.notice == "topic of #lab: cold fusion");
    assert!(welcome.iter().any(welcomed), "{welcome:?}");
    test.done(2, "KICK #lab Mallory be kind");
    let told = test.told(4);
    assert!(matches!(&told[..], [ToClient::Event { event: Event::Notice(text), .. }] if text.ends_with("be kind")));
    assert!(matches!(&test.posted()[..], [Event::Left { reason: LeftReason::Kicked, .. }]));
    assert_eq!((test.is_in("#lab"), test.is_in("#lobby")), (2, 4));
    assert_eq!(Test::codes(&test.receive(4, join("#lab"))), [(ErrorCode::Refused, 0)], "a guest no more");
    assert!(test.receive(1, join("#lab")).iter().any(|m| matches!(m, ToClient::Welcome(_))), "an operator may");
    test.done(2, "KEEPER #lab Zoe");
    assert_eq!(test.orders(2, "UNLOCK #lab"), Err(ErrorCode::Refused));
    test.done(3, "UNLOCK #lab");
    test.done(1, "TOPIC #lab -");
    assert_eq!(test.orders(2, "LOCK #lobby"), Err(ErrorCode::Refused));
    assert_eq!(test.orders(1, "LOCK #lobby"), Err(ErrorCode::Refused), "where everybody starts");
}

/// PROTOCOL.md 6.10-3.
#[test]
fn who_is_there_longest_keeps_a_room_while_its_keeper_is_not() {
    let mut test = Test::with_operator();
    test.receive(2, join("#lab"));
    test.arrive(3, "Zoe", 3, 3);
    test.receive(3, join("#lab"));
    test.receive(2, ToServer::Leave(RoomName::parse("#lab").unwrap()));
    test.done(3, "TOPIC #lab mine");
    test.receive(2, join("#lab"));
    assert_eq!(test.orders(3, "LOCK #lab"), Err(ErrorCode::Refused), "its keeper is there again");
    test.done(2, "REGISTER #lab");
    test.receive(2, ToServer::Leave(RoomName::parse("#lab").unwrap()));
    assert_eq!(test.orders(3, "LOCK #lab"), Err(ErrorCode::Refused), "a registered one waits for its keeper");
    test.receive(3, ToServer::Leave(RoomName::parse("#lab").unwrap()));
    assert!(test.done(3, "ROOMS").contains("#lab       0  kept by Boris  mine"), "{}", test.done(3, "ROOMS"));
    test.done(2, "UNREGISTER #lab");
    assert!(!test.done(3, "ROOMS").contains("#lab"));
}

#[test]
fn who_has_opened_a_room_keeps_it_through_a_crash_without_a_word_to_what_lasts() {
    let (mut test, mut disk) = (Test::with_operator(), Disk::default());
    for (conn, name) in [(3, "Zoe"), (4, "Mallory")] {
        test.arrive(conn.into(), name, conn, conn);
        disk.take(&test);
    }
    let names = disk.0.clone();
    for (conn, room) in [(3, "#lab"), (4, "#lab"), (4, "#den"), (3, "#den")] {
        test.receive(conn, join(room));
        disk.take(&test);
    }
    assert_eq!(disk.0, names);
    let kept = disk.0.into_iter().map(JournalRecord::Lasting).chain(test.chat.snapshot()).collect();
    test.chat = ChatState::restore(Limits::off(), kept, test.now);
    for (conn, name, from) in [(13, "Zoe", 3), (14, "Mallory", 4)] {
        let resumed = ToServer::Join { room: RoomName::lobby(), password: String::new(), cursor: test.chat.cursor };
        assert_eq!(test.ask(conn, name, from, from, resumed), JoinOutcome::Admitted);
    }
    let rooms = test.done(14, "ROOMS");
    assert!(rooms.contains("#lab       2  kept by Zoe\n"), "{rooms}");
    assert_eq!(test.orders(14, "LOCK #lab"), Err(ErrorCode::Refused));
    test.done(14, "LOCK #den");
    test.console("KICK Zoe");
    let (journal, mut disk) = (test.chat.snapshot(), Disk(names));
    test.console("FORGET Zoe");
    disk.0.retain(|kept| !matches!(kept, RegistryRecord::Account(account) if account.name.as_str() == "Zoe"));
    let rooms = test.console("ROOMS");
    assert!(rooms.contains("#lab       1\n"), "nobody's: {rooms}");
    let kept = disk.0.into_iter().map(JournalRecord::Lasting).chain(journal).collect();
    test.chat = ChatState::restore(Limits::off(), kept, test.now);
    assert_eq!(test.chat.rooms[&RoomName::parse("#lab").unwrap()].opened_by, None, "not after a crash either");
}

/// PROTOCOL.md 6.10-5.
#[test]
fn one_line_says_what_the_server_keeps_and_who_its_operators_are() {
    let mut test = Test::with_operator();
    test.chat.limits.resume = Duration::from_secs(120);
    test.done(1, "MOTD Tea at four");
    test.arrive(3, "Zoe", 3, 3);
    let told = test.told(3);
    let Some(ToClient::Welcome(welcome)) = told.iter().find(|m| matches!(m, ToClient::Welcome(_))) else { panic!() };
    let lines: Vec<&str> = welcome.notice.lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    for said in ["for 2m (on disk)", "letters, for 30d", "unused for 180d", "Operators: Ira."] {
        assert!(lines[0].contains(said), "{said}: {}", lines[0]);
    }
    assert_eq!(lines[1], "Tea at four");
    test.console("DEOP Ira");
    test.console("MOTD -");
    let unused_names = Duration::from_secs(24 * 60 * 60);
    let policy = Policy { unused_names, journal: JournalPlace::Memory, ..Policy::default() };
    test.chat.reconfigure(test.chat.limits, policy, test.now);
    test.arrive(4, "Mia", 4, 4);
    let told = test.told(4);
    let Some(ToClient::Welcome(welcome)) = told.iter().find(|m| matches!(m, ToClient::Welcome(_))) else { panic!() };
    for said in ["(in memory)", "unused for 1d", "Operators: none."] {
        assert!(welcome.notice.contains(said), "{said}: {}", welcome.notice);
    }
    assert_eq!(welcome.notice.lines().count(), 1);
}

#[test]
fn a_name_that_is_forgotten_is_free_with_all_it_had() {
    let mut test = Test::with_operator();
    test.receive(2, join("#lab"));
    test.done(2, "REGISTER #lab");
    assert_eq!(test.orders(1, "FORGET Boris"), Err(ErrorCode::Refused), "he is here");
    test.done(1, "MUTE Boris");
    test.chat.lost(ConnectionId(2), test.now, &mut Vec::new());
    test.done(1, "FORGET Boris");
    assert!(!test.done(1, "ROOMS").contains("#lab"));
    assert_eq!(test.arrive(3, "boris", 3, 3), JoinOutcome::Admitted);
    let change = test.chat.rooms[&RoomName::lobby()].roster.change();
    assert_eq!(test.receive(3, say(1, change, 1)), [ToClient::Accepted(1)], "the mute was another's");
}

/// PROTOCOL.md 8.1-6.
#[test]
fn all_that_was_settled_is_there_after_a_restart() {
    let (mut test, mut disk) =
        (Test::new(Limits { joins: None, messages: None, ..Limits::standard() }), Disk::default());
    for (conn, name) in [(1, "Ira"), (2, "Boris"), (3, "Mallory"), (4, "Zoe")] {
        test.arrive(conn.into(), name, conn, conn);
        disk.take(&test);
    }
    test.receive(2, join("#lab"));
    disk.take(&test);
    test.receive(2, join("#passing"));
    disk.take(&test);
    for line in ["OP Ira", "BAN Mallory forever spam", "MUTE Zoe forever", "MOTD Tea at four", "TOPIC #lobby hello"] {
        test.console(line);
        disk.take(&test);
    }
    for line in ["REGISTER #lab", "LOCK #lab", "INVITE #lab Zoe", "TOPIC #lab fusion"] {
        test.done(2, line);
        disk.take(&test);
    }
    test.effects.clear();
    test.chat.set_password(ConnectionId(2), Some("kept".into()), &mut test.effects);
    test.chat.invite(HASH, Duration::from_secs(3_600), 2, "Ira", test.now, &mut test.effects).unwrap();
    disk.take(&test);

    let kept = disk.0.into_iter().map(JournalRecord::Lasting).collect();
    let limits = Limits { resume: Duration::ZERO, ..test.chat.limits };
    let mut test = Test { chat: ChatState::restore(limits, kept, test.now), ..test };
    test.chat.reconfigure(limits, Policy { access: Access::Invite, ..Policy::default() }, test.now);
    assert!(matches!(test.arrive(11, "Mallory", 3, 13), JoinOutcome::Closed(..)));
    assert!(test.refusal_text().contains("spam"));
    assert_eq!(test.arrive(12, "Ira", 1, 12), JoinOutcome::Admitted);
    assert!(
        test.told(12)
            .iter()
            .any(|m| matches!(m, ToClient::Welcome(w) if w.notice.ends_with("Tea at four\ntopic of #lobby: hello")))
    );
    assert!(test.done(12, "BANS").contains("Mallory") && test.done(12, "INVITES").contains("good for 2"));
    assert_eq!(test.arrive(14, "Boris", 9, 14), JoinOutcome::OnceMore, "it has a password");
    assert_eq!(test.arrive_with(("New", 15, 15), "#lobby", With::Token(HASH), ""), JoinOutcome::Admitted);
    let rooms = test.done(12, "ROOMS");
    assert!(rooms.contains("#lab") && rooms.contains("locked") && rooms.contains("fusion"), "{rooms}");
    assert!(!rooms.contains("#passing"), "nobody is there, and it is not registered");
    assert_eq!(test.arrive(16, "Zoe", 4, 16), JoinOutcome::Admitted);
    let change = test.chat.rooms[&RoomName::lobby()].roster.change();
    assert_eq!(Test::codes(&test.receive(16, say(1, change, 1))), [(ErrorCode::Muted, 1)]);
    assert!(test.receive(16, join("#lab")).iter().any(|m| matches!(m, ToClient::Welcome(_))), "a guest");
    assert_eq!(Test::codes(&test.receive(15, join("#lab"))), [(ErrorCode::Refused, 0)]);
}
