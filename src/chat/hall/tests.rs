use super::*;
use std::time::{Duration, Instant};

const USED: &str = "that session has been here before: begin a new one";

struct Test {
    hall: Hall,
    now: Moment,
    effects: Vec<Effect>,
}

impl Test {
    fn new(limits: Limits) -> Self {
        Self { hall: Hall::new(limits), now: Moment { at: 1, tick: Instant::now() }, effects: Vec::new() }
    }

    /// Comes in as `name`; key and session are told by numbers.
    fn arrive(&mut self, conn: u64, name: &str, owner: u8, session: u8) -> Verdict {
        let who = Newcomer {
            conn: Conn(conn),
            name: Name::parse(name).unwrap(),
            owner: [owner; 32],
            session: Session([session; 32]),
            person: ToClient::Pong.encode().into(),
        };
        self.effects.clear();
        self.hall.arrive(who, &Asks::First(join("#lobby")), self.now, &mut self.effects)
    }

    fn receive(&mut self, conn: u64, message: ToServer) -> Vec<ToClient> {
        self.effects.clear();
        self.hall.receive(Conn(conn), message, self.now, &mut self.effects);
        self.told(conn)
    }

    fn told(&self, conn: u64) -> Vec<ToClient> {
        let own = self.effects.iter().filter_map(|effect| match effect {
            Effect::Tell(to, bytes) if *to == Conn(conn) => Some(ToClient::parse_all(bytes).unwrap()),
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

#[test]
fn a_newcomer_is_welcomed_and_the_others_are_told() {
    let mut test = Test::new(Limits::standard());
    assert_eq!(test.arrive(1, "sahnawaz", 1, 1), Verdict::Admitted);
    assert!(!test.effects.iter().any(|e| matches!(e, Effect::Note(_))), "nobody was there to hear it");
    assert_eq!(test.arrive(2, "Ira", 2, 2), Verdict::Admitted);
    let [ToClient::Pong, ToClient::Welcome(welcome)] = &test.told(2)[..] else { panic!("{:?}", test.told(2)) };
    assert_eq!((welcome.change, welcome.cursor, welcome.sessions.len()), (2, 2, 2));
    assert_eq!(test.posted(), [Event::Joined { room: RoomName::lobby(), session: Session([2; 32]), change: 2 }]);
    assert!(test.effects.iter().any(|e| matches!(e, Effect::Note(Note::Joined(name)) if name.as_str() == "Ira")));
}

#[test]
fn a_say_is_posted_accepted_and_noted_once_and_its_repetition_only_answered() {
    let mut test = Test::new(Limits::standard());
    test.arrive(1, "Ira", 1, 1);
    for (round, events) in [1, 0].into_iter().enumerate() {
        assert_eq!(test.receive(1, say(1, 1, 5)), [ToClient::Accepted(1)]);
        assert_eq!(test.posted().len(), events, "round {round}");
        assert_eq!(test.effects.iter().filter(|e| matches!(e, Effect::Note(Note::Exchanged))).count(), events);
    }
}

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
        (ToServer::Numbered { n: 3, body: Numbered::Unsupported }, (ErrorCode::Unsupported, 3)),
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
        assert_eq!(test.arrive(2, look_alike, 9, 9), Verdict::OnceMore, "{look_alike}");
        assert_eq!(Test::codes(&test.told(2)), [(ErrorCode::Password, 0)]);
    }
    assert_eq!(test.arrive(3, "Ira", 1, 3), Verdict::Admitted);
    assert_eq!(test.told(1), [ToClient::Bye(ByeReason::Replaced)]);
    assert_eq!(test.posted().len(), 2, "left, then joined");
    test.hall.lost(Conn(3), test.now, &mut Vec::new());
    assert_eq!(test.arrive(4, "Ira", 9, 10), Verdict::OnceMore, "a name stays its owner's who is away");
}

#[test]
fn a_session_that_was_here_is_not_taken_again() {
    let mut test = Test::new(Limits::standard());
    test.arrive(1, "Ira", 1, 1);
    assert_eq!(test.arrive(2, "Ira", 1, 1), Verdict::Closed(USED), "present");
    test.hall.lost(Conn(1), test.now, &mut Vec::new());
    assert_eq!(test.arrive(3, "Ira", 1, 1), Verdict::Closed(USED), "ended");
}

#[test]
fn leaving_the_last_room_is_the_end_and_the_leaver_hears_it() {
    let mut test = Test::new(Limits::standard());
    test.arrive(1, "Ira", 1, 1);
    assert!(matches!(test.receive(1, join("#other"))[..], [ToClient::Welcome(_)]));
    assert_eq!(test.receive(1, ToServer::Leave(RoomName::lobby())), []);
    let [Effect::Post(_, entry), Effect::Exit(..)] = &test.effects[..] else { panic!("{:?}", test.effects) };
    assert_eq!(entry.except, None);
    let told = test.receive(1, ToServer::Leave(RoomName::parse("#other").unwrap()));
    assert_eq!(told, [ToClient::Bye(ByeReason::Left)]);
    assert!(matches!(test.effects.last(), Some(Effect::End(Conn(1)))));
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
    assert_eq!(test.arrive(2, "sahnawaz", 2, 2), Verdict::Closed("the room is full"));
    assert_eq!(Test::codes(&test.told(2)), [(ErrorCode::Refused, 0)]);
    assert_eq!(test.hall.who().len(), 1);
}

#[test]
fn a_first_message_other_than_join_is_the_end() {
    let mut test = Test::new(Limits::standard());
    let who = Newcomer {
        conn: Conn(1),
        name: Name::parse("Ira").unwrap(),
        owner: [1; 32],
        session: Session([1; 32]),
        person: [].into(),
    };
    let verdict = test.hall.arrive(who, &Asks::First(ToServer::Ping), test.now, &mut test.effects);
    assert!(matches!((verdict, &test.effects[..]), (Verdict::Closed(_), [Effect::End(Conn(1))])));
}
