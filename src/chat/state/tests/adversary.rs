//! Attacks by a user: to get what is another's, to stay after a kick, to bring all
//! to a stop.

use super::moderation::With;
use super::*;
use crate::chat::registry_record::{Account, RegistryRecord};
use crate::wire::frame::MAX_FRAME;

/// Size of a record over its text, at most.
const SEAL: usize = 32;
const LONGEST_NAME: &str = "𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀𐐀";

fn open() -> Limits {
    Limits { joins: None, messages: None, ..Limits::standard() }
}

fn room(name: &str) -> RoomName {
    RoomName::parse(name).unwrap()
}

impl Test {
    /// Goes on with a session, from an address.
    fn goes_on(&mut self, who: (&str, u8, u8), conn: u64, cursor: Cursor, address: &str) -> JoinOutcome {
        let (name, owner, session) = who;
        let user = User {
            name: Name::parse(name).unwrap(),
            owner: [owner; 32],
            session: SessionId([session; 32]),
            spki: [owner].into(),
        };
        let asks = JoinAttempt::first(ToServer::Join { room: RoomName::lobby(), password: String::new(), cursor });
        let who = AuthenticatedUser {
            conn: ConnectionId(conn),
            user,
            credential: [].into(),
            signature: [].into(),
            address: address.parse().ok(),
        };
        self.effects.clear();
        self.chat.arrive(who, &asks, self.now, &mut self.effects)
    }

    fn fits_a_record(&self, line: &str) {
        let longest = self.effects.iter().filter_map(|effect| match effect {
            Effect::Tell(_, bytes) => Some(bytes.len()),
            _ => None,
        });
        let longest = longest.max().unwrap();
        assert!(longest <= MAX_FRAME - SEAL, "{line}: {longest}");
        assert!(longest > MAX_FRAME / 2, "{line}: {longest} is no proof of anything");
    }
}

/// PROTOCOL.md 6.7-6.
#[test]
fn nobody_gets_a_name_by_one_that_looks_like_it_and_like_their_own() {
    let mut test = Test::new(open());
    test.arrive(1, "ira", 1, 1);
    test.arrive(2, "lra", 2, 2);
    test.chat.set_password(ConnectionId(2), Some("kept".into()), &mut test.effects);
    let between = test.arrive_with(("Ira", 3, 3), "#lobby", With::Checked("kept", true), "");
    assert!(matches!(between, JoinOutcome::Closed(..)), "{between:?}");
    assert!(matches!(test.arrive(4, "Ira", 2, 4), JoinOutcome::Closed(..)), "nor by its first key");
    assert_eq!(test.arrive(5, "ira", 1, 5), JoinOutcome::Admitted, "it is hers as ever");
}

#[test]
fn two_names_of_one_key_stay_two() {
    let mut test = Test::new(open());
    test.arrive(1, "ira", 1, 1);
    test.arrive(2, "lra", 1, 2);
    assert!(matches!(test.arrive(3, "Ira", 1, 3), JoinOutcome::Closed(..)));
    test.chat.lost(ConnectionId(2), test.now, &mut Vec::new());
    test.console("FORGET lra");
    assert!(
        matches!(test.arrive(4, "ira", 4, 4), JoinOutcome::Closed(_, Severity::Slight)),
        "the other is hers as ever"
    );
}

#[test]
fn the_lobby_has_no_keeper_whatever_is_settled_for_it() {
    let mut test = Test::new(open());
    test.arrive(1, "Mallory", 1, 1);
    test.arrive(2, "Zoe", 2, 2);
    test.console("TOPIC #lobby Welcome");
    for line in ["KICK #lobby Zoe", "TOPIC #lobby mine"] {
        assert_eq!(test.orders(1, line), Err(ErrorCode::Refused), "{line}");
    }
    assert_eq!(test.is_in("#lobby"), 2);
}

#[test]
fn who_is_banned_does_not_go_on_with_an_old_session() {
    let mut test = Test::waiting(open());
    let mallory = ("Mallory", 3, 3);
    test.arrive_with(mallory, "#lobby", With::Nothing, "192.0.2.3");
    test.arrive(4, "Zoe", 4, 4);
    test.chat.lost(ConnectionId(3), test.now, &mut Vec::new());
    test.console("BAN 198.51.100.0/24");
    let there = test.goes_on(mallory, 5, 1, "198.51.100.7");
    assert!(matches!(there, JoinOutcome::Closed(..)), "from an address that is banned: {there:?}");
    assert!(test.refusal_text().contains("banned"));
    assert_eq!(test.goes_on(mallory, 6, 1, "192.0.2.3"), JoinOutcome::Admitted, "the session is untouched");
    // A power cut can take back that they were put out, and not that they are banned.
    let before = test.chat.snapshot();
    test.console("BAN Mallory");
    let lasting = test.effects.iter().filter_map(|effect| match effect {
        Effect::Keep(kept) if matches!(kept.lasting(), Some(RegistryRecord::Ban(_))) => Some(kept.clone()),
        _ => None,
    });
    let kept = before.into_iter().chain(lasting).collect();
    test.chat = ChatState::restore(test.chat.limits, kept, test.now);
    assert!(matches!(test.goes_on(mallory, 7, 1, "192.0.2.3"), JoinOutcome::Closed(..)), "after a crash");
}

#[test]
fn who_is_muted_is_so_under_every_name_of_that_key() {
    let mut test = Test::new(open());
    test.arrive(1, "Mallory", 1, 1);
    test.console("MUTE Mallory");
    assert_eq!(test.arrive(2, "Other", 1, 2), JoinOutcome::Admitted);
    let change = test.chat.rooms[&RoomName::lobby()].roster.change();
    assert_eq!(Test::codes(&test.receive(2, say(1, change, 1))), [(ErrorCode::Muted, 1)]);
    test.console("UNMUTE Mallory");
    assert_eq!(test.receive(2, say(2, change, 1)), [ToClient::Accepted(2)]);
}

#[test]
fn no_list_is_longer_than_a_record() {
    let mut test = Test::new(open());
    for session in 1..=8 {
        test.arrive(session, &format!("name{session}"), u8::try_from(session).unwrap(), u8::try_from(session).unwrap());
        for number in 0..24 {
            let name = format!("#{LONGEST_NAME}{session}{number}");
            test.receive(session, join(&name));
            test.done(session, &format!("TOPIC {name} {}", "x".repeat(512)));
        }
    }
    test.console("OP name1");
    assert!(test.done(1, "ROOMS").lines().last().unwrap().starts_with("and "));
    test.fits_a_record("ROOMS");
    for number in 0..=255 {
        let key = crate::chat::fingerprint::ShownFingerprint([number; 32]);
        if number == 0 || number > 8 {
            test.console(&format!("BAN {key} forever {}", "x".repeat(512)));
        }
    }
    test.done(1, "BANS");
    test.fits_a_record("BANS");
    let present: Vec<SessionState> = (0..=255_u8)
        .map(|number| {
            let user = test.chat.present[&SessionNumber(1)].user.clone();
            let (place, range) = (Connectivity::Here(ConnectionId(1)), ResumeRange::default());
            let mut one = SessionState::new(
                user,
                [].into(),
                AccountId(number.into()),
                None,
                place,
                MessageSequence::default(),
                range,
            );
            one.seats.clone_from(&test.chat.present[&SessionNumber(1)].seats);
            one
        })
        .collect();
    test.chat.present.extend((100..).map(SessionNumber).zip(present));
    test.done(1, "WHO");
    test.fits_a_record("WHO");
}

#[test]
fn the_fullest_room_and_the_longest_notice_fit_a_welcome() {
    let mut test = Test::new(open());
    for number in 1..=12 {
        let name = format!("{LONGEST_NAME}{number:04}");
        test.arrive(number, &name, u8::try_from(number).unwrap(), u8::try_from(number).unwrap());
        test.console(&format!("OP {name}"));
    }
    test.console(&format!("MOTD {}", "x".repeat(512)));
    let name = format!("#{LONGEST_NAME}1234");
    test.receive(1, join(&name));
    test.done(1, &format!("TOPIC {name} {}", "x".repeat(512)));
    let notice = [test.chat.server_notice(), test.chat.topic_text(&room(&name)).unwrap()].join("\n");
    let welcome = crate::chat::message::Welcome {
        room: room(&name),
        members: vec![SessionNumber(u64::from(u32::MAX)); MAX_MEMBERS],
        change: u64::MAX,
        resumed: false,
        cursor: u64::MAX,
        at: u64::MAX,
        notice,
        longest_text: u64::MAX,
        own: SessionNumber(u64::MAX),
    };
    let length = ToClient::Welcome(welcome).encode().len();
    assert!(length <= MAX_FRAME - SEAL, "{length}");
}

#[test]
fn a_room_takes_as_many_as_a_welcome_can_list_and_no_more() {
    let mut test = Test::new(Limits { members: None, ..open() });
    test.arrive(1, "Ira", 1, 1);
    let fill = |test: &mut Test, most: usize| {
        let roster = &mut test.chat.rooms.get_mut(&RoomName::lobby()).unwrap().roster;
        // As many as there are numbers for, the last of them as high as there is.
        let first = u64::from(u32::MAX) - most as u64;
        (roster.members().len()..most).for_each(|number| roster.put_back(SessionNumber(first + number as u64)));
    };
    let welcome = |test: &Test, conn: u64| {
        let length = test.effects.iter().find_map(|effect| match effect {
            Effect::Tell(to, bytes) if *to == ConnectionId(conn) && bytes.len() > 10_000 => Some(bytes.len()),
            _ => None,
        });
        let is_full =
            test.told(conn).iter().any(|told| matches!(told, ToClient::Error { text, .. } if text.contains("full")));
        (length, is_full)
    };
    fill(&mut test, 10_000);
    assert_eq!(test.arrive(2, "Boris", 2, 2), JoinOutcome::Admitted);
    let (length, _) = welcome(&test, 2);
    assert!(length.is_some_and(|length| length <= MAX_FRAME - SEAL), "{length:?}");
    fill(&mut test, MAX_MEMBERS - 1);
    assert_eq!(test.arrive(3, "Zoe", 3, 3), JoinOutcome::Admitted);
    assert!(matches!(test.arrive(4, "Dora", 4, 4), JoinOutcome::Closed(..)));
    assert_eq!(welcome(&test, 4), (None, true));
    // After so many sessions numbers are longer, and rooms smaller.
    test.receive(3, ToServer::Leave(RoomName::lobby()));
    test.chat.members = u64::from(u32::MAX);
    assert!(matches!(test.arrive(5, "Dora", 4, 5), JoinOutcome::Closed(..)));
}

#[test]
fn a_names_number_is_never_used_again() {
    let mut test = Test::new(open());
    test.arrive(1, "Boris", 1, 1);
    test.arrive(2, "Zoe", 2, 2);
    let before = test.chat.accounts.find(&Name::parse("Zoe").unwrap()).unwrap().id;
    test.console("BAN Zoe");
    test.console("FORGET Zoe");
    test.arrive(3, "Mia", 3, 3);
    let after = test.chat.accounts.find(&Name::parse("Mia").unwrap()).unwrap().id;
    assert!(after > before, "the ban is another's: {after:?}, {before:?}");
    // Nor after a restart, as long as records name it.
    test.chat.lost(ConnectionId(3), test.now, &mut Vec::new());
    let ban = RegistryRecord::Ban(test.chat.order.bans(1).next().unwrap().clone());
    test.chat = ChatState::restore(test.chat.limits, vec![JournalRecord::Lasting(ban)], test.now);
    test.arrive(4, "Mia", 4, 4);
    assert!(test.chat.accounts.find(&Name::parse("Mia").unwrap()).unwrap().id > before);
}

#[test]
fn rooms_that_are_handed_on_count_too() {
    let mut test = Test::new(open());
    test.arrive(1, "Mallory", 1, 1);
    test.arrive(2, "Puppet", 2, 2);
    for number in 1..=9 {
        test.receive(1, join(&format!("#room{number}")));
        test.done(1, &format!("REGISTER #room{number}"));
        let handed_on = test.orders(1, &format!("KEEPER #room{number} Puppet"));
        assert_eq!(handed_on.is_ok(), number <= 8, "{number}: {handed_on:?}");
    }
}

#[test]
fn a_guest_is_told_of_it_once() {
    let mut test = Test::new(open());
    test.arrive(1, "Mallory", 1, 1);
    test.arrive(2, "Zoe", 2, 2);
    test.receive(1, join("#lab"));
    for told in [1, 0, 0] {
        test.done(1, "INVITE #lab Zoe");
        assert_eq!(test.told(2).len(), told);
    }
}

#[test]
fn what_time_brings_about_is_written_down_with_it() {
    let mut test = Test::waiting(open());
    test.arrive(1, "Zoe", 1, 1);
    test.receive(1, join("#lab"));
    test.done(1, "TOPIC #lab cats");
    let is_gone = |effect: &Effect| matches!(effect, Effect::Keep(JournalRecord::Lasting(RegistryRecord::RoomGone(_))));
    test.chat.lost(ConnectionId(1), test.now, &mut Vec::new());
    test.now.tick += Duration::from_secs(121);
    test.effects.clear();
    test.chat.tick(test.now, &mut test.effects);
    assert!(test.effects.iter().any(is_gone));
}

#[test]
fn a_key_that_is_known_may_have_another_name_whoever_was_banned_beside_it() {
    let mut test = Test::new(open());
    test.arrive_with(("Mallory", 3, 3), "#lobby", With::Nothing, "192.0.2.3");
    test.arrive_with(("Boris", 2, 2), "#lobby", With::Nothing, "192.0.2.3");
    test.console("BAN Mallory");
    assert_eq!(test.arrive_with(("Boris2", 2, 4), "#lobby", With::Nothing, "192.0.2.3"), JoinOutcome::Admitted);
    let new = test.arrive_with(("Trudy", 5, 5), "#lobby", With::Nothing, "192.0.2.3");
    assert!(matches!(new, JoinOutcome::Closed(..)));
}

#[test]
fn when_all_names_are_taken_the_one_that_was_here_least_lately_gives_way() {
    let mut test = Test::new(open());
    test.arrive(1, "Zoe", 1, 1);
    test.chat.lost(ConnectionId(1), test.now, &mut Vec::new());
    test.now.at += 1;
    test.arrive(2, "Ira", 2, 2);
    let mut number = 1_000;
    while !test.chat.accounts.is_full() {
        number += 1;
        test.chat.accounts.restore(Account {
            id: AccountId(number),
            name: Name::parse("Mallory").unwrap(),
            looks: vec![format!("mallory{number}")],
            keys: Vec::new(),
            password: (number == 1_001).then(|| "kept".into()),
            used_at: if number == 1_001 { 0 } else { 3 },
        });
    }
    assert_eq!(test.arrive(3, "Mia", 3, 3), JoinOutcome::Admitted);
    assert!(test.chat.accounts.find(&Name::parse("Zoe").unwrap()).is_none());
    assert!(test.chat.accounts.find(&Name::parse("Ira").unwrap()).is_some(), "she is here");
    assert!(test.chat.accounts.get(AccountId(1_001)).is_some(), "it has a password");
}
