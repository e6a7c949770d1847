//! Sessions that outlive their connections.

use super::*;

const RESUMED: (&str, u8, u8) = ("Ira", 1, 1);

fn resume(cursor: u64) -> ToServer {
    ToServer::Join { room: RoomName::lobby(), password: String::new(), cursor }
}

/// Ira on connection 1, Boris on 2; their Welcomes have cursors 1 and 2.
fn two(limits: Limits) -> Test {
    let mut test = Test::waiting(limits);
    test.arrive(1, "Ira", 1, 1);
    test.arrive(2, "Boris", 2, 2);
    test
}

impl Test {
    fn lost(&mut self, conn: u64) {
        self.effects.clear();
        self.chat.lost(ConnectionId(conn), self.now, &mut self.effects);
    }

    fn after(&mut self, time: Duration) -> Vec<Event> {
        self.now.tick += time;
        self.effects.clear();
        self.chat.tick(self.now, &mut self.effects);
        self.posted()
    }

    fn resume(&mut self, conn: u64, cursor: u64) -> JoinOutcome {
        let (name, owner, session) = RESUMED;
        self.ask(conn, name, owner, session, resume(cursor))
    }

    fn cursors(&self, conn: u64) -> Vec<u64> {
        let events = self.told(conn).into_iter();
        events.filter_map(|m| if let ToClient::Event { cursor, .. } = m { Some(cursor) } else { None }).collect()
    }

    /// All records so far, as a disk that was killed has them.
    pub(super) fn crash(&mut self, limits: Limits) {
        let kept = self.chat.snapshot();
        self.chat = ChatState::restore(limits, kept, self.now);
    }
}

#[test]
fn who_is_lost_goes_on_after_the_last_event_they_had_and_nobody_hears_of_it() {
    let mut test = two(Limits::off());
    test.lost(1);
    assert_eq!(test.receive(2, say(1, 2, 5)), [ToClient::Accepted(1)]);
    assert_eq!(test.receive(2, whisper(2, 1, 5)), [ToClient::Accepted(2)]);
    assert_eq!(test.after(Duration::from_millis(1_999)), []);
    assert_eq!(test.resume(3, 2), JoinOutcome::Admitted);
    let [ToClient::Welcome(welcome), ..] = &test.told(3)[..] else { panic!("{:?}", test.told(3)) };
    assert!(welcome.resumed && welcome.members.is_empty() && (welcome.change, welcome.cursor) == (0, 2));
    assert_eq!((test.cursors(3), test.posted()), (vec![3, 4], vec![]));
    assert_eq!(test.receive(3, say(1, 2, 5)), [ToClient::Accepted(1)], "as the member they were");
    assert_eq!(test.after(Duration::from_secs(300)), [], "nobody is waited for any more");
}

#[test]
fn what_is_settled_anew_counts_for_who_is_here_and_who_is_waited_for() {
    let mut test = two(Limits::off());
    let reconfigured = |test: &mut Test, limits| {
        let policy = Policy { access: Access::Closed, ..Policy::default() };
        test.chat.reconfigure(limits, policy, test.now);
        assert_eq!(test.chat.policy(), &policy);
    };
    test.lost(1);
    test.after(Duration::from_secs(100));
    reconfigured(&mut test, Limits { resume: Duration::from_secs(200), ..Limits::off() });
    assert_eq!(test.after(Duration::from_secs(99)), [], "they are waited for longer");
    let pace = Rate::per_minute(1);
    reconfigured(&mut test, Limits { resume: Duration::from_secs(30), messages: Some(pace), ..Limits::off() });
    assert_eq!(test.chat.due_at(), Some(test.now.tick));
    assert!(matches!(test.after(Duration::ZERO)[..], [Event::Left { reason: LeftReason::Lost, .. }]));
    let answers: Vec<_> = (1..=2).flat_map(|n| test.receive(2, say(n, 3, 5))).collect();
    assert_eq!((&answers[0], Test::codes(&answers)), (&ToClient::Accepted(1), vec![(ErrorCode::Wait, 2)]));
    reconfigured(&mut test, Limits { backlog: 1, ..Limits::off() });
    test.receive(2, say(2, 3, 5));
    assert!(
        test.effects.iter().any(|effect| matches!(effect, Effect::Keep(JournalRecord::Forgotten(_)))),
        "the journal is smaller"
    );
}

/// PROTOCOL.md 8.4-3.
#[test]
fn an_old_connection_gives_way_to_the_same_session_without_a_word() {
    let mut test = two(Limits::off());
    assert_eq!(test.resume(3, 2), JoinOutcome::Admitted);
    assert!(test.effects.iter().any(|e| matches!(e, Effect::Cut(ConnectionId(1)))));
    test.lost(1);
    assert_eq!(test.chat.counts().sessions, 2);
    assert_eq!(test.receive(1, say(1, 2, 5)), [], "the old one is nobody's");
    assert_eq!(test.receive(3, ToServer::Ping), [ToClient::Pong]);
}

/// PROTOCOL.md 8.3-1, 8.3-2.
#[test]
fn others_are_told_of_who_is_away_for_long_and_of_their_end() {
    let mut test = two(Limits::off());
    let who = SessionNumber(1);
    test.lost(1);
    assert_eq!(test.chat.counts().away, 1);
    assert_eq!(test.after(Duration::from_secs(2)), [Event::Presence { who, lost: true }]);
    assert_eq!(test.after(Duration::from_secs(100)), []);
    test.resume(3, 2);
    assert_eq!(test.posted(), [Event::Presence { who, lost: false }]);
    test.lost(3);
    let all: Vec<_> = (0..4).flat_map(|_| test.after(Duration::from_secs(60))).collect();
    let left = Event::Left { room: RoomName::lobby(), who, change: 3, reason: LeftReason::Lost };
    assert_eq!(all, [Event::Presence { who, lost: true }, left]);
    assert!(matches!(test.resume(4, 2), JoinOutcome::Closed(_, Severity::None)));
    assert_eq!(test.chat.due_at(), None);
}

/// PROTOCOL.md 8.4-2, 8.4-7.
#[test]
fn what_cannot_be_gone_on_from_is_refused_and_nobody_hears_of_it() {
    let mut test = two(Limits::off());
    for _ in 0..3 {
        let n = test.chat.cursor - 1;
        test.receive(2, say(n, 2, 5));
    }
    test.receive(1, ToServer::Seen(4));
    let elsewhere = ToServer::Join { room: RoomName::parse("#other").unwrap(), password: String::new(), cursor: 5 };
    for (session, join) in [(1, resume(3)), (1, resume(6)), (1, elsewhere), (9, resume(1)), (1, resume(0))] {
        let verdict = test.ask(3, "Ira", 1, session, join.clone());
        assert!(matches!(verdict, JoinOutcome::Closed(..)), "{join:?}");
        assert_eq!(Test::codes(&test.told(3)), [(ErrorCode::Refused, 0)]);
        assert_eq!((test.posted(), test.chat.counts().sessions), (vec![], 2));
    }
    assert_eq!(test.resume(4, 5), JoinOutcome::Admitted);
}

/// PROTOCOL.md 8.6-1.
#[test]
fn the_same_person_with_another_session_replaces_who_is_lost() {
    let mut test = two(Limits::off());
    test.lost(1);
    assert_eq!(test.arrive(3, "Ira", 1, 3), JoinOutcome::Admitted);
    let left = Event::Left { room: RoomName::lobby(), who: SessionNumber(1), change: 3, reason: LeftReason::Replaced };
    assert_eq!(test.posted()[0], left);
    assert!(matches!(test.resume(4, 2), JoinOutcome::Closed(_, Severity::None)));
}

#[test]
fn who_is_lost_makes_way_where_all_places_are_taken() {
    let mut test = two(Limits { sessions: Some(2), ..Limits::off() });
    assert_eq!(test.arrive(3, "Zoe", 3, 3), JoinOutcome::Closed("the server is full".into(), Severity::Plain));
    test.lost(2);
    assert_eq!(test.arrive(4, "Zoe", 3, 3), JoinOutcome::Admitted);
    assert_eq!(test.chat.counts().sessions, 2);
}

/// PROTOCOL.md 8.1-4.
#[test]
fn what_everybody_has_seen_is_forgotten_and_one_s_own_words_hold_nothing_up() {
    let mut test = two(Limits::off());
    for n in 1..=9 {
        test.receive(1, say(n, 2, 5));
    }
    test.receive(2, ToServer::Seen(11));
    test.receive(1, ToServer::Seen(2));
    test.after(Duration::from_secs(1));
    assert!(test.chat.backlog.is_empty());
    assert!(test.effects.iter().any(|e| matches!(e, Effect::Keep(JournalRecord::Forgotten(11)))));
    test.lost(1);
    assert_eq!(test.resume(3, 2), JoinOutcome::Admitted, "nothing after it was for them");
}

/// PROTOCOL.md 8.8-2.
#[test]
fn who_lags_behind_all_that_is_held_is_told_slow() {
    let mut test = two(Limits { backlog: 10_000, ..Limits::off() });
    for n in 1..=40 {
        test.receive(2, say(n, 2, 400));
    }
    test.effects.clear();
    test.chat.catch_up(ConnectionId(1), 2, test.now, &mut test.effects);
    assert_eq!(test.told(1), [ToClient::Bye(ByeReason::Slow)]);
    assert!(matches!(test.posted()[..], [Event::Left { reason: LeftReason::Slow, .. }]));
    let mut test = two(Limits { backlog: 10_000, ..Limits::off() });
    for n in 1..=40 {
        test.receive(2, say(n, 2, 400));
    }
    test.lost(1);
    assert!(matches!(test.resume(3, 2), JoinOutcome::Closed(_, Severity::None)));
    assert_eq!(test.resume(4, 42), JoinOutcome::Admitted, "but not who has had all of it");
}

#[test]
fn what_is_missed_comes_in_pieces_and_nothing_twice() {
    let mut test = two(Limits::off());
    test.lost(1);
    for n in 1..=200 {
        test.receive(2, say(n, 2, 4_000));
    }
    test.resume(3, 2);
    let (mut all, mut last) = (test.cursors(3), false);
    let mut pieces = 1;
    while !last {
        let piece = test
            .effects
            .iter()
            .rev()
            .find_map(|e| if let Effect::CatchUp(_, _, p) = e { Some(p.clone()) } else { None });
        let Some(Piece { to, is_last, .. }) = piece else { panic!() };
        last = is_last;
        if !last {
            test.effects.clear();
            test.chat.catch_up(ConnectionId(3), to, test.now, &mut test.effects);
            all.extend(test.cursors(3));
            pieces += 1;
        }
    }
    assert_eq!(all, (3..=202).collect::<Vec<_>>());
    assert!(pieces > 2);
    assert!(matches!(test.effects.last(), Some(Effect::Enter(ConnectionId(3), _, _, 202))), "from then on as it comes");
}

/// PROTOCOL.md 8.1-5.
#[test]
fn after_a_crash_everybody_goes_on_where_they_were() {
    let limits = Limits::off();
    let mut test = two(limits);
    test.receive(2, say(1, 2, 5));
    test.receive(2, say(2, 1, 100_000));
    test.receive(2, whisper(3, 1, 5));
    test.crash(limits);
    assert_eq!(test.chat.counts().away, test.chat.counts().sessions);
    assert_eq!(test.resume(3, 2), JoinOutcome::Admitted);
    assert_eq!(test.cursors(3), [3, 4]);
    assert_eq!(test.ask(4, "Boris", 2, 2, resume(2)), JoinOutcome::Admitted);
    let answers = [(1, ToClient::Accepted(1)), (3, ToClient::Accepted(3)), (4, ToClient::Accepted(4))];
    for (n, expected) in answers {
        assert_eq!(test.receive(4, say(n, 2, 5)), [expected]);
    }
    assert_eq!(Test::codes(&test.receive(4, say(2, 2, 5))), [(ErrorCode::Large, 2)], "as the first time");
    assert_eq!(test.posted(), []);
    assert_eq!(test.arrive(5, "Zoe", 3, 3), JoinOutcome::Admitted);
    let [.., ToClient::Welcome(welcome)] = &test.told(5)[..] else { panic!() };
    let members: Vec<u64> = welcome.members.iter().map(|member| member.0).collect();
    assert_eq!((welcome.change, welcome.cursor, members), (3, 6, vec![1, 2, NUMBERS + 1]));
}

/// PROTOCOL.md 8.2-4, 8.4-6.
#[test]
fn a_letter_on_its_way_is_neither_lost_nor_doubled_by_a_crash() {
    let limits = Limits::off();
    let mut test = two(limits);
    test.receive(2, letter(1, ("Boris", 2), 1, 100));
    let kept: Vec<JournalRecord> = test
        .effects
        .iter()
        .filter_map(|e| if let Effect::Keep(kept) = e { Some(kept.clone()) } else { None })
        .collect();
    let mut found = test.chat.snapshot();
    found.extend(kept.into_iter().filter(|kept| kept.lasting().is_some()));
    test.chat = ChatState::restore(limits, found, test.now);
    test.resume(3, 2);
    assert_eq!(test.cursors(3), [3]);
    test.ask(4, "Boris", 2, 2, resume(2));
    test.receive(4, letter(2, ("Boris", 2), 1, 100));
    assert_eq!(test.cursors(3), [4], "the first is on its way already");
    test.receive(3, ToServer::Seen(4));
    let gone = test
        .effects
        .iter()
        .filter(|e| matches!(e, Effect::Keep(JournalRecord::Lasting(RegistryRecord::LetterGone(_)))))
        .count();
    assert_eq!(gone, 2);
}

#[test]
fn a_letter_is_not_taken_twice_when_a_crash_comes_between_it_and_its_number() {
    let limits = Limits::off();
    let mut test = two(limits);
    let mut found = test.chat.snapshot();
    test.receive(2, whisper(1, 1, 5));
    assert_eq!(test.receive(2, letter(2, ("Boris", 2), 1, 100)), [ToClient::Accepted(2)]);
    let effects = std::mem::take(&mut test.effects).into_iter();
    let kept = effects.filter_map(|effect| if let Effect::Keep(kept) = effect { Some(kept) } else { None });
    found.extend(kept.filter(|kept| kept.lasting().is_some()));
    // The journal has neither of them.
    test.chat = ChatState::restore(limits, found, test.now);
    test.resume(3, 2);
    assert_eq!(test.cursors(3), [3], "the letter, which nobody has handed over before");
    assert_eq!(test.ask(4, "Boris", 2, 2, resume(2)), JoinOutcome::Admitted);
    // What is sent again may stand under another number, and is the same.
    test.receive(4, whisper(1, 1, 5));
    assert_eq!(test.cursors(3), [4]);
    test.receive(4, whisper(2, 1, 5));
    assert_eq!(test.receive(4, letter(3, ("Boris", 2), 1, 100)), [ToClient::Accepted(3)]);
    assert_eq!(test.cursors(3), [0; 0], "it is not taken again");
    assert_eq!(test.receive(4, letter(4, ("Boris", 2), 1, 100)), [ToClient::Accepted(4)]);
    assert_eq!(test.cursors(3).len(), 1, "once is enough: this is another");
}

/// PROTOCOL.md 8.1-3, 6.3-2.
#[test]
fn what_the_disk_could_not_keep_is_answered_so_ever_after() {
    let mut test = two(Limits::off());
    test.receive(1, say(1, 2, 5));
    test.chat.mark_not_durable(SessionNumber(1), 1);
    assert_eq!(Test::codes(&test.receive(1, say(1, 2, 5))), [(ErrorCode::Volatile, 1)]);
    assert_eq!(test.receive(1, say(2, 2, 5)), [ToClient::Accepted(2)]);
}

#[test]
fn what_one_has_not_seen_is_held_though_one_has_said_something_since() {
    let mut test = two(Limits::off());
    test.receive(2, say(1, 2, 5));
    test.receive(1, say(1, 2, 5));
    test.receive(2, ToServer::Seen(4));
    test.after(Duration::from_secs(1));
    test.lost(1);
    assert_eq!(test.resume(3, 2), JoinOutcome::Admitted);
    assert_eq!(test.cursors(3), [3]);
}

#[test]
fn a_number_that_is_known_as_volatile_is_remembered_once() {
    let mut test = two(Limits::off());
    test.receive(1, say(1, 2, 5));
    for _ in 0..5_000 {
        // Each time it is sent again it is answered "volatile", and the disk reports that again (disk.rs, hand_out).
        test.receive(1, say(1, 2, 5));
        test.chat.mark_not_durable(SessionNumber(1), 1);
    }
    let remembered = test.chat.present[&SessionNumber(1)].numbers.refused().count();
    assert!(remembered <= 1_024, "{remembered} entries for one number");
}

#[test]
fn who_has_had_all_that_is_for_them_resumes_although_more_has_been_forgotten_since() {
    let mut test = two(Limits { backlog: 10_000, ..Limits::off() });
    test.arrive(3, "Zoe", 3, 3);
    test.receive(3, join("#other"));
    test.receive(3, ToServer::Leave(RoomName::lobby()));
    test.arrive(4, "Vera", 4, 4);
    test.receive(4, join("#other"));
    let last = test.chat.cursor;
    // Ira has had Vera's joined event, 7; their Seen is still on its way when the connection is lost.
    let had = test.chat.present[&SessionNumber(1)].due(SessionNumber(1), &test.chat.rooms);
    assert!(had > 1 && had <= last);
    test.lost(1);
    for n in 1..=40 {
        test.receive(4, whisper(n, 3, 400));
    }
    assert_eq!(test.resume(5, had), JoinOutcome::Admitted, "nothing has come for them after {had}");
}

#[test]
fn after_a_crash_what_was_said_in_a_room_one_has_left_is_still_there() {
    let limits = Limits::off();
    let other = RoomName::parse("#other").unwrap();
    let mut missed = Vec::new();
    for stays_open in [false, true] {
        let mut test = two(limits);
        test.receive(1, join("#other"));
        if stays_open {
            test.receive(2, join("#other"));
        }
        let had = test.chat.cursor;
        let change = test.chat.rooms[&other].roster.change();
        let body = Numbered::Say { room: other.clone(), change, envelope: vec![0] };
        test.receive(if stays_open { 2 } else { 1 }, ToServer::Numbered { n: 1, body });
        test.receive(1, ToServer::Leave(other.clone()));
        let latest = test.chat.cursor;
        // Ira has received no event after their second Welcome, or Boris's joined event.
        test.crash(limits);
        assert_eq!(test.ask(4, "Boris", 2, 2, resume(latest)), JoinOutcome::Admitted);
        // Ira comes back, and is cut off again before reading any of it.
        assert_eq!(test.resume(5, had), JoinOutcome::Admitted);
        test.lost(5);
        test.receive(4, ToServer::Seen(latest));
        test.after(Duration::from_secs(1));
        assert_eq!(test.resume(6, had), JoinOutcome::Admitted);
        if !test.cursors(6).contains(&latest) {
            missed.push(stays_open);
        }
    }
    assert_eq!(
        missed, [false; 0],
        "(is somebody still in that room) Ira misses the answer to their Leave, and what was said"
    );
}

/// PROTOCOL.md 6.1-1.
#[test]
fn a_sessions_number_is_never_used_again_not_after_a_crash_either() {
    let mut test = two(Limits::off());
    test.arrive(3, "Zoe", 3, 3);
    test.receive(3, ToServer::Leave(RoomName::lobby()));
    // No event of Zoe is left to be read.
    for conn in [1, 2] {
        test.receive(conn, ToServer::Seen(100));
    }
    test.after(Duration::from_secs(2));
    assert!(test.chat.backlog.is_empty());
    test.crash(Limits::off());
    test.arrive(4, "Dora", 4, 4);
    let [.., ToClient::Welcome(welcome)] = &test.told(4)[..] else { panic!("{:?}", test.told(4)) };
    assert_eq!(
        (welcome.own, &welcome.members[..]),
        (SessionNumber(NUMBERS + 1), &[1, 2, NUMBERS + 1].map(SessionNumber)[..])
    );
    // As the version before wrote it down: each number, and none set aside.
    test.chat = ChatState::restore(Limits::off(), vec![JournalRecord::Members(NUMBERS + 6)], test.now);
    test.arrive(5, "Clara", 5, 5);
    assert_eq!((test.chat.members, set_aside_by(&test)), (2 * NUMBERS + 1, Some(3 * NUMBERS)));
}

fn set_aside_by(test: &Test) -> Option<u64> {
    test.effects.iter().find_map(|effect| match effect {
        Effect::Keep(JournalRecord::Members(count)) => Some(*count),
        _ => None,
    })
}

#[test]
fn numbers_are_set_aside_before_they_are_used() {
    let mut test = Test::new(Limits::off());
    let mut set_aside = 0;
    for number in 1..=150_u8 {
        test.arrive(number.into(), &format!("m{number}"), number, number);
        set_aside = set_aside_by(&test).unwrap_or(set_aside);
        assert_eq!(set_aside, u64::from(number).div_ceil(NUMBERS) * NUMBERS);
    }
}
