use super::*;
use std::time::{Duration, Instant};

use crate::wire::codec::Writer;

/// A user with a name and a numbered key.
const IRA: (&str, u8) = ("Ira", 1);
const USED: &str = "that session was used before: begin a new one";

mod adversary;
mod delivery;
mod moderation;
mod resume;

struct Test {
    chat: ChatState,
    now: Now,
    effects: Vec<Effect>,
}

impl Test {
    /// Where who is lost is gone at once.
    fn new(limits: Limits) -> Self {
        Self::waiting(Limits { resume: Duration::ZERO, ..limits })
    }

    /// Where who is lost is waited for.
    fn waiting(limits: Limits) -> Self {
        Self { chat: ChatState::new(limits), now: Now { at: 1, tick: Instant::now() }, effects: Vec::new() }
    }

    /// Comes in as `name`; key and session are told by numbers.
    fn arrive(&mut self, conn: u64, name: &str, owner: u8, session: u8) -> JoinOutcome {
        self.ask(conn, name, owner, session, join("#lobby"))
    }

    fn ask(&mut self, conn: u64, name: &str, owner: u8, session: u8, join: ToServer) -> JoinOutcome {
        let user = User {
            name: Name::parse(name).unwrap(),
            owner: [owner; 32],
            session: SessionId([session; 32]),
            spki: [owner].into(),
        };
        self.effects.clear();
        self.chat.arrive(
            AuthenticatedUser {
                conn: ConnectionId(conn),
                user,
                credential: [].into(),
                signature: [].into(),
                address: None,
            },
            &JoinAttempt::first(join),
            self.now,
            &mut self.effects,
        )
    }

    fn receive(&mut self, conn: u64, message: ToServer) -> Vec<ToClient> {
        self.effects.clear();
        self.chat.receive(ConnectionId(conn), message, self.now, &mut self.effects);
        self.told(conn)
    }

    fn told(&self, conn: u64) -> Vec<ToClient> {
        let own = self.effects.iter().filter_map(|effect| match effect {
            Effect::Tell(to, bytes) if *to == ConnectionId(conn) => Some(ToClient::parse_all(bytes).unwrap()),
            Effect::Introduce(to, persons) if *to == ConnectionId(conn) => {
                Some(persons.iter().flat_map(|person| ToClient::parse_all(person).unwrap()).collect())
            }
            Effect::One(Some(to), _, entry) if *to == ConnectionId(conn) => {
                Some(ToClient::parse_all(&entry.bytes).unwrap())
            }
            Effect::Answer(to, _, n, outcome) if *to == ConnectionId(conn) => Some(vec![answer(*n, *outcome)]),
            Effect::Bye(to, reason) if *to == ConnectionId(conn) => Some(vec![ToClient::Bye(*reason)]),
            Effect::CatchUp(to, _, piece) if *to == ConnectionId(conn) => {
                Some(piece.entries.iter().flat_map(|entry| ToClient::parse_all(&entry.bytes).unwrap()).collect())
            }
            _ => None,
        });
        own.flatten().collect()
    }

    fn posted(&self) -> Vec<Event> {
        let posted = self.effects.iter().filter_map(|effect| match effect {
            Effect::Post(_, entry) => Some(ToClient::parse_all(&entry.bytes).unwrap()),
            _ => None,
        });
        posted
            .flatten()
            .filter_map(|m| if let ToClient::Event { event, .. } = m { Some(event) } else { None })
            .collect()
    }

    fn codes(answers: &[ToClient]) -> Vec<(ErrorCode, u64)> {
        answers
            .iter()
            .filter_map(|m| if let ToClient::Error { code, n, .. } = m { Some((*code, *n)) } else { None })
            .collect()
    }
}

fn join(room: &str) -> ToServer {
    ToServer::Join { room: RoomName::parse(room).unwrap(), password: String::new(), cursor: 0 }
}

fn say(n: u64, change: u64, length: usize) -> ToServer {
    let body = Numbered::Say { room: RoomName::lobby(), change, envelope: vec![b'x'; length] };
    ToServer::Numbered { n, body }
}

fn whisper(n: u64, to: u8, length: usize) -> ToServer {
    ToServer::Numbered { n, body: Numbered::Whisper { to: SessionNumber(to.into()), boxed: vec![b'x'; length] } }
}

fn share(n: u64, boxes: &[(u8, usize)]) -> ToServer {
    let boxes = boxes.iter().map(|(to, length)| (SessionNumber((*to).into()), vec![b'x'; *length])).collect();
    ToServer::Numbered { n, body: Numbered::Share(boxes) }
}

/// A letter of this many bytes, by a user with this name and numbered key.
fn letter(n: u64, by: (&str, u8), to: u8, length: usize) -> ToServer {
    let head = Writer::new().array(4).text("").bytes(&[]).bytes(&[by.1]).text(by.0).finish();
    let of = |text: usize| Writer::new().array(2).value(&head).bytes(&vec![b'x'; text]).finish();
    let letter = (0..=length).map(of).find(|letter| letter.len() >= length).unwrap();
    ToServer::Numbered { n, body: Numbered::Letter { to: [to; 32], letter } }
}

/// PROTOCOL.md 6.1-2, 6.6-2, 6.6-4.
#[test]
fn a_newcomer_is_welcomed_and_the_others_are_told() {
    let mut test = Test::new(Limits::standard());
    assert_eq!(test.arrive(1, "sahnawaz", 1, 1), JoinOutcome::Admitted);
    assert!(!test.effects.iter().any(|e| matches!(e, Effect::Note(_))), "nobody was there to hear it");
    assert_eq!(test.arrive(2, "Ira", 2, 2), JoinOutcome::Admitted);
    let [ToClient::Person(person), ToClient::Welcome(welcome)] = &test.told(2)[..] else {
        panic!("{:?}", test.told(2))
    };
    assert_eq!((person.member, &person.spki), (SessionNumber(1), &vec![1]));
    assert_eq!((welcome.change, welcome.cursor), (2, 2));
    assert_eq!((&welcome.members[..], welcome.own), (&[SessionNumber(1), SessionNumber(2)][..], SessionNumber(2)));
    assert_eq!(test.posted(), [Event::Joined { room: RoomName::lobby(), who: SessionNumber(2), change: 2 }]);
    assert!(test.effects.iter().any(|e| matches!(e, Effect::Note(AuditEvent::Joined(name)) if name.as_str() == "Ira")));
}

/// PROTOCOL.md 6.6-7.
#[test]
fn a_say_is_posted_accepted_and_noted_once_and_its_repetition_only_answered() {
    let mut test = Test::new(Limits::standard());
    test.arrive(1, "Ira", 1, 1);
    for (round, events) in [1, 0].into_iter().enumerate() {
        assert_eq!(test.receive(1, say(1, 1, 5)), [ToClient::Accepted(1)]);
        assert_eq!(test.posted().len(), events, "round {round}");
        assert_eq!(test.effects.iter().filter(|e| matches!(e, Effect::Note(AuditEvent::Exchanged))).count(), events);
    }
}

/// PROTOCOL.md 6.3-4.
#[test]
fn what_is_not_taken_uses_its_number_up_unless_it_is_to_come_again() {
    let mut test = Test::new(Limits::off());
    test.arrive(1, "Ira", 1, 1);
    let elsewhere = Numbered::Say { room: RoomName::parse("#other").unwrap(), change: 1, envelope: vec![] };
    let cases = [
        (say(2, 1, 1), (ErrorCode::Again, 1)),
        (say(1, 7, 1), (ErrorCode::Again, 1)),
        (say(1, 1, 4_609), (ErrorCode::Large, 1)),
        (ToServer::Numbered { n: 2, body: Numbered::Malformed }, (ErrorCode::Malformed, 2)),
        (whisper(3, 9, 1), (ErrorCode::Absent, 3)),
        (ToServer::Numbered { n: 4, body: elsewhere }, (ErrorCode::Refused, 4)),
        (say(1, 1, 1), (ErrorCode::Large, 1)),
    ];
    for (message, expected) in cases {
        assert_eq!(Test::codes(&test.receive(1, message.clone())), [expected], "{message:?}");
        assert_eq!(test.posted(), []);
    }
    assert_eq!(test.receive(1, say(5, 1, 4_608)), [ToClient::Accepted(5)]);
}

#[test]
fn who_is_too_fast_waits_and_loses_nothing() {
    let mut test = Test::new(Limits::standard());
    test.arrive(1, "Ira", 1, 1);
    for n in 1..=20 {
        assert_eq!(test.receive(1, say(n, 1, 1)), [ToClient::Accepted(n)]);
    }
    assert_eq!(Test::codes(&test.receive(1, say(21, 1, 1))), [(ErrorCode::Wait, 21)]);
    test.now.tick += Duration::from_millis(200);
    assert_eq!(test.receive(1, say(21, 1, 1)), [ToClient::Accepted(21)]);
}

#[test]
fn the_same_user_replaces_and_another_key_is_refused() {
    let mut test = Test::new(Limits::standard());
    test.arrive(1, "Ira", 1, 1);
    for look_alike in ["Ira", "ira", "lra", "Іra"] {
        let verdict = test.arrive(2, look_alike, 9, 9);
        assert!(matches!(verdict, JoinOutcome::Closed(_, Severity::Slight)), "{look_alike}");
        assert_eq!(Test::codes(&test.told(2)), [(ErrorCode::Taken, 0)]);
    }
    assert_eq!(test.arrive(3, "Ira", 1, 3), JoinOutcome::Admitted);
    assert_eq!(test.told(1), [ToClient::Bye(ByeReason::Replaced)]);
    assert_eq!(test.posted().len(), 2, "left, then joined");
    test.chat.lost(ConnectionId(3), test.now, &mut Vec::new());
    let verdict = test.arrive(4, "Ira", 9, 10);
    assert!(matches!(verdict, JoinOutcome::Closed(_, Severity::Slight)), "a name stays its owner's who is away");
}

#[test]
fn a_session_that_was_here_is_not_taken_again() {
    let mut test = Test::new(Limits::standard());
    test.arrive(1, "Ira", 1, 1);
    assert_eq!(test.arrive(2, "Ira", 1, 1), JoinOutcome::Closed(USED.into(), Severity::Plain), "present");
    test.chat.lost(ConnectionId(1), test.now, &mut Vec::new());
    assert_eq!(test.arrive(3, "Ira", 1, 1), JoinOutcome::Closed(USED.into(), Severity::Plain), "ended");
}

/// PROTOCOL.md 6.12-1.
#[test]
fn leaving_the_last_room_is_the_end_and_the_leaver_hears_it() {
    let mut test = Test::new(Limits::standard());
    test.arrive(1, "Ira", 1, 1);
    assert!(matches!(test.receive(1, join("#other"))[..], [ToClient::Welcome(_)]));
    assert_eq!(test.receive(1, ToServer::Leave(RoomName::lobby())), []);
    let [Effect::Post(_, entry), Effect::Exit(..), Effect::Keep(_), Effect::Keep(_)] = &test.effects[..] else {
        panic!("{:?}", test.effects)
    };
    assert_eq!(entry.except, None);
    let told = test.receive(1, ToServer::Leave(RoomName::parse("#other").unwrap()));
    assert_eq!(told, [ToClient::Bye(ByeReason::Left)]);
    assert_eq!(test.receive(1, ToServer::Ping), [], "who has left is not heard");
}

#[test]
fn joins_are_bounded_and_leaves_count_but_are_never_refused() {
    let mut test = Test::new(Limits::standard());
    test.arrive(1, "Ira", 1, 1);
    let other = RoomName::parse("#other").unwrap();
    let mut refused = 0;
    for _ in 0..16 {
        if Test::codes(&test.receive(1, join("#other"))).is_empty() {
            assert_eq!(test.receive(1, ToServer::Leave(other.clone())), []);
        } else {
            refused += 1;
        }
    }
    assert_eq!(refused, 16 - 8, "8 joins and 7 leaves beside the first join make 16; the 8th leave is a debt");
}

#[test]
fn full_rooms_and_full_servers_refuse() {
    let mut test = Test::new(Limits { members: Some(1), sessions: Some(2), ..Limits::standard() });
    test.arrive(1, "Ira", 1, 1);
    assert_eq!(test.arrive(2, "sahnawaz", 2, 2), JoinOutcome::Closed("the room is full".into(), Severity::Plain));
    assert_eq!(Test::codes(&test.told(2)), [(ErrorCode::Refused, 0)]);
    assert_eq!(test.chat.counts().sessions, 1);
}

#[test]
fn a_first_message_other_than_join_is_the_end() {
    let mut test = Test::new(Limits::standard());
    let verdict = test.ask(1, "Ira", 1, 1, ToServer::Ping);
    assert!(matches!((verdict, &test.effects[..]), (JoinOutcome::Closed(..), [Effect::End(ConnectionId(1))])));
}

/// PROTOCOL.md 6.3-6, 6.5-1.
#[test]
fn what_goes_to_one_goes_to_one_that_shares_a_room() {
    let mut test = Test::new(Limits::off());
    for (who, name) in [(1, "Ira"), (2, "Boris"), (3, "Zoe")] {
        test.arrive(who.into(), name, who, who);
    }
    assert_eq!(test.receive(1, whisper(1, 2, 100)), [ToClient::Accepted(1)]);
    let who = SessionNumber(1);
    let event = Event::Whispered { who, boxed: vec![b'x'; 100] };
    assert_eq!(test.told(2), [ToClient::Event { cursor: 4, at: 1, event }]);
    assert_eq!((test.told(3), test.posted()), (vec![], vec![]), "nobody else hears of it");

    assert_eq!(test.receive(1, share(2, &[(2, 9), (9, 9), (3, 9)])), [ToClient::Accepted(2)], "9 is nobody");
    for (conn, cursor) in [(2, 5), (3, 6)] {
        let event = Event::Shared { who, boxed: vec![b'x'; 9] };
        assert_eq!(test.told(conn), [ToClient::Event { cursor, at: 1, event }]);
    }
    test.receive(3, join("#side"));
    test.receive(3, ToServer::Leave(RoomName::lobby()));
    assert_eq!(Test::codes(&test.receive(1, whisper(3, 3, 9))), [(ErrorCode::Absent, 3)], "in another room");
    assert_eq!(Test::codes(&test.receive(1, whisper(4, 1, 9))), [(ErrorCode::Absent, 4)], "oneself");
}

#[test]
fn what_goes_to_one_is_bounded() {
    let mut test = Test::new(Limits::off());
    test.arrive(1, "Ira", 1, 1);
    test.arrive(2, "Boris", 2, 2);
    let many = vec![(2, 9); 129];
    let large = [whisper(1, 2, 4_609), share(2, &many), share(3, &[(2, 1_025)]), letter(4, IRA, 2, 6_145)];
    for (message, n) in large.into_iter().zip(1..) {
        assert_eq!(Test::codes(&test.receive(1, message)), [(ErrorCode::Large, n)]);
    }
    let fits = [whisper(5, 2, 4_608), share(6, &many[1..]), share(7, &[(2, 1_024)]), letter(8, IRA, 2, 6_144)];
    for (message, n) in fits.into_iter().zip(5..) {
        assert_eq!(test.receive(1, message), [ToClient::Accepted(n)]);
    }
}

#[test]
fn a_letter_waits_until_it_has_been_seen() {
    let letters = |told: Vec<ToClient>| -> Vec<u64> {
        let letter = |message: &ToClient| match message {
            ToClient::Event { cursor, event: Event::Letter(_), .. } => Some(*cursor),
            _ => None,
        };
        told.iter().filter_map(letter).collect()
    };
    let mut test = Test::new(Limits::off());
    test.arrive(1, "Ira", 1, 1);
    assert_eq!(Test::codes(&test.receive(1, letter(1, IRA, 2, 9))), [(ErrorCode::Absent, 1)], "nobody has come by yet");
    test.arrive(2, "Boris", 2, 2);
    test.receive(2, ToServer::Leave(RoomName::lobby()));
    assert_eq!(test.receive(1, letter(2, IRA, 2, 9)), [ToClient::Accepted(2)]);
    test.arrive(3, "Boris", 2, 3);
    assert!(matches!(test.told(3)[..], [.., ToClient::Welcome(_), ToClient::Event { .. }]), "behind the Welcome");
    let [cursor] = letters(test.told(3))[..] else { panic!("one letter") };

    test.receive(3, ToServer::Seen(cursor - 1));
    test.effects.clear();
    test.chat.lost(ConnectionId(3), test.now, &mut test.effects);
    test.arrive(4, "Boris", 2, 4);
    let [again] = letters(test.told(4))[..] else { panic!("it comes again") };
    assert!(again > cursor);
    test.receive(1, letter(3, IRA, 2, 9));
    let [second] = letters(test.told(4))[..] else { panic!("at once to somebody who is here, and once") };
    test.receive(4, ToServer::Seen(second));
    test.receive(4, ToServer::Leave(RoomName::lobby()));
    test.arrive(5, "Boris", 2, 5);
    assert_eq!(letters(test.told(5)), [0; 0], "not again");
}

#[test]
fn letters_that_wait_are_bounded() {
    let mut test = Test::new(Limits::off());
    test.arrive(99, "Boris", 99, 99);
    test.receive(99, ToServer::Leave(RoomName::lobby()));
    for author in 1..=11 {
        let name = format!("author-{author}");
        test.arrive(author.into(), &name, author, author);
        for n in 1..=11 {
            let codes = Test::codes(&test.receive(author.into(), letter(n, (&name, author), 99, 9)));
            let is_full = n > 10 || author > 10;
            assert_eq!(codes, if is_full { vec![(ErrorCode::Refused, n)] } else { vec![] }, "{author} {n}");
        }
    }
}

#[test]
fn whose_a_name_is_can_be_asked() {
    let mut test = Test::new(Limits::standard());
    test.arrive(1, "Ira", 1, 1);
    test.arrive(2, "Boris", 2, 2);
    test.receive(2, ToServer::Leave(RoomName::lobby()));
    let name = |text| Name::parse(text).unwrap();
    let found = ToClient::Found { name: name("Boris"), spki: vec![2] };
    assert_eq!(test.receive(1, ToServer::Lookup(name("Boris"))), [found]);
    assert_eq!(Test::codes(&test.receive(1, ToServer::Lookup(name("Zoe")))), [(ErrorCode::Absent, 0)]);
    let codes: Vec<_> = (0..20).flat_map(|_| Test::codes(&test.receive(1, ToServer::Lookup(name("Zoe"))))).collect();
    assert_eq!(codes[codes.len() - 1], (ErrorCode::Wait, 0), "it counts");
}
