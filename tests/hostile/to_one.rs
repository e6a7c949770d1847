//! What goes to one: whispers, shared keys, letters, and whose a name is. PROTOCOL.md §6 "To one", "Numbers", §9.

use std::thread;
use std::time::Duration;

use cfb_chat::chat::SessionNumber;
use cfb_chat::chat::message::{ErrorCode, Event, Numbered, ToClient, ToServer};
use cfb_chat::chat::name::Name;
use cfb_chat::secure::identity::Identity;

use crate::support::peer::{ANNA, Answer, BORIS, Peer, room, still_serves};
use crate::support::process::Server;
use crate::support::voice::Voice;

/// A session that nobody has.
const NOBODY: SessionNumber = SessionNumber(1 << 40);

fn whisper(to: SessionNumber, boxed: &[u8]) -> Numbered {
    Numbered::Whisper { to, boxed: boxed.to_vec() }
}

fn share(to: &[SessionNumber], boxed: &[u8]) -> Numbered {
    Numbered::Share(to.iter().map(|to| (*to, boxed.to_vec())).collect())
}

fn letter(by: &Peer, to: &Identity, text: &[u8]) -> Numbered {
    by.voice.write_openly(to.public(), text)
}

/// One that has exactly this many bytes.
fn letter_of(by: &Peer, to: &Identity, length: usize) -> Numbered {
    let size = |text: &[u8]| match letter(by, to, text) {
        Numbered::Letter { letter, .. } => letter.len(),
        other => panic!("{other:?} is no letter"),
    };
    letter(by, to, &vec![0; length - (size(&[0; 4_000]) - 4_000)])
}

/// Comes into another room than the lobby.
fn join_elsewhere(port: u16, name: &str) -> Peer {
    let mut peer = Peer::enter(port, &BORIS, name);
    peer.ask_to_join("#side");
    peer.is_welcomed();
    peer
}

/// What the next number is answered.
fn answer(peer: &mut Peer, body: Numbered) -> Answer {
    peer.send_next(body);
    peer.is_answered()
}

/// What a letter is answered.
fn writes(author: &mut Peer, to: &Identity, text: &[u8]) -> Answer {
    let letter = letter(author, to, text);
    answer(author, letter)
}

/// Events with their cursors, of which there is no other.
fn events(messages: Vec<ToClient>) -> Vec<(u64, Event)> {
    let event = |message| match message {
        ToClient::Event { cursor, event, .. } => (cursor, event),
        other => panic!("{other:?} is no event"),
    };
    messages.into_iter().map(event).collect()
}

/// The letters that come before the answer to a Ping, with their cursors.
fn letters(peer: &mut Peer) -> Vec<(u64, String)> {
    let letter = |(cursor, event)| match event {
        Event::Letter(letter) => (cursor, String::from_utf8_lossy(Voice::read_openly(&letter)).into_owned()),
        other => panic!("{other:?} is no letter"),
    };
    events(peer.hears_until_pong()).into_iter().map(letter).collect()
}

fn texts(letters: &[(u64, String)]) -> Vec<&str> {
    letters.iter().map(|(_, text)| &**text).collect()
}

/// PROTOCOL.md 6.5-1.
#[test]
fn a_whisper_reaches_one_that_shares_a_room_and_nobody_else_hears_of_it() {
    let server = Server::without_limits();
    let mut side = join_elsewhere(server.port, "at-the-side");
    let mut boris = Peer::join(server.port, &BORIS, "Boris");
    let mut watcher = Peer::join(server.port, &BORIS, "watcher");
    let mut anna = Peer::join(server.port, &ANNA, "Anna");
    let gone = Peer::join(server.port, &BORIS, "gone");
    let gone_session = gone.number;
    gone.leaves_for_good();
    anna.sees_change();
    anna.sees_change();

    for (to, expected) in [
        (boris.number, Answer::Accepted(1)),
        (side.number, Answer::Error(ErrorCode::Absent, 2)),
        (gone_session, Answer::Error(ErrorCode::Absent, 3)),
        (NOBODY, Answer::Error(ErrorCode::Absent, 4)),
        (anna.number, Answer::Error(ErrorCode::Absent, 5)),
        (boris.number, Answer::Accepted(6)),
    ] {
        assert_eq!(answer(&mut anna, whisper(to, b"between us")), expected);
    }
    let whispered = Event::Whispered { who: anna.number, boxed: b"between us".to_vec() };
    for _ in 0..2 {
        assert_eq!(boris.hears_event(|event| matches!(event, Event::Whispered { .. })), whispered);
    }
    for peer in [&mut watcher, &mut side, &mut boris, &mut anna] {
        let is_whisper = |message: &ToClient| matches!(message, ToClient::Event { event: Event::Whispered { .. }, .. });
        assert!(!peer.hears_until_pong().iter().any(is_whisper));
    }

    anna.ask_to_join("#side");
    anna.is_welcomed();
    assert_eq!(answer(&mut anna, whisper(side.number, b"between us")), Answer::Accepted(7));
    assert_eq!(side.hears_event(|event| matches!(event, Event::Whispered { .. })), whispered);
    still_serves(server.port);
}

/// PROTOCOL.md 6.5-2.
#[test]
fn a_share_reaches_those_who_are_here_and_passes_over_the_rest() {
    let server = Server::without_limits();
    let mut side = join_elsewhere(server.port, "at-the-side");
    let mut boris = Peer::join(server.port, &BORIS, "Boris");
    let mut clara = Peer::join(server.port, &BORIS, "Clara");
    let gone = Peer::join(server.port, &BORIS, "gone");
    let mut anna = Peer::join(server.port, &ANNA, "Anna");
    let to = [boris.number, gone.number, side.number, NOBODY, anna.number, clara.number];
    gone.leaves_for_good();

    assert_eq!(answer(&mut anna, share(&to, b"a key")), Answer::Accepted(1));
    let shared = Event::Shared { who: anna.number, boxed: b"a key".to_vec() };
    for peer in [&mut boris, &mut clara] {
        assert_eq!(peer.hears_event(|event| matches!(event, Event::Shared { .. })), shared);
    }
    for peer in [&mut side, &mut anna] {
        let is_shared = |message: &ToClient| matches!(message, ToClient::Event { event: Event::Shared { .. }, .. });
        assert!(!peer.hears_until_pong().iter().any(is_shared));
    }
    assert_eq!(answer(&mut anna, share(&[], b"")), Answer::Accepted(2));
    assert_eq!(answer(&mut anna, share(&[NOBODY], b"a key")), Answer::Accepted(3));
    still_serves(server.port);
}

/// PROTOCOL.md 8.1-1.
#[test]
fn each_event_has_the_next_cursor_whomever_it_is_for() {
    let server = Server::without_limits();
    let mut boris = Peer::join(server.port, &BORIS, "Boris");
    let mut clara = Peer::join(server.port, &BORIS, "Clara");
    let mut anna = Peer::join(server.port, &ANNA, "Anna");
    boris.sees_change();
    boris.sees_change();
    clara.sees_change();

    // In one record, so that all of it is due at once.
    let change = anna.change();
    let say = Numbered::Say { room: room("#lobby"), change, envelope: b"said".to_vec() };
    let (to_boris, to_clara) = (boris.number, clara.number);
    let all = [
        whisper(to_boris, b"1"),
        share(&[to_boris, NOBODY, to_clara], b"2"),
        say.clone(),
        whisper(to_clara, b"3"),
        letter(&anna, &BORIS, b"4"),
        say,
        whisper(to_boris, b"5"),
    ];
    let record: Vec<u8> = all.into_iter().flat_map(|body| anna.next(body).encode()).collect();
    anna.record(&record);
    (1..=7).for_each(|n| assert_eq!(anna.is_answered(), Answer::Accepted(n)));

    let session = anna.number;
    let said = || Event::Said { room: room("#lobby"), who: session, change, envelope: b"said".to_vec() };
    let whispered = |text: &[u8]| Event::Whispered { who: session, boxed: text.to_vec() };
    let shared = || Event::Shared { who: session, boxed: b"2".to_vec() };
    let (for_boris, for_clara) = (events(boris.hears_until_pong()), events(clara.hears_until_pong()));
    // The same key has two sessions here: a letter goes to one of them.
    let is_letter = |(_, event): &&(u64, Event)| matches!(event, Event::Letter(_));
    let letter = for_boris.iter().chain(&for_clara).find(is_letter).expect("it has come").0;
    let but_letters = |all: Vec<(u64, Event)>| all.into_iter().filter(|one| !is_letter(&one)).collect::<Vec<_>>();
    // Three have joined.
    let expected = [(4, whispered(b"1")), (5, shared()), (7, said()), (10, said()), (11, whispered(b"5"))];
    assert_eq!(but_letters(for_boris), expected);
    assert_eq!(but_letters(for_clara), [(6, shared()), (7, said()), (8, whispered(b"3")), (10, said())]);
    assert_eq!(letter, 9);
    still_serves(server.port);
}

#[test]
fn what_is_too_large_is_told_before_who_it_is_for_and_nobody_gets_any_of_it() {
    let server = Server::without_limits();
    let mut boris = Peer::join(server.port, &BORIS, "Boris");
    let mut anna = Peer::join(server.port, &ANNA, "Anna");
    boris.sees_change();
    let nobody = Numbered::Letter { to: [7; 32], letter: vec![0; 6_145] };
    let mixed = Numbered::Share(vec![(boris.number, vec![0; 9]), (NOBODY, vec![0; 1_025])]);
    let large = [
        whisper(boris.number, &[0; 4_609]),
        whisper(NOBODY, &[0; 4_609]),
        share(&[boris.number; 129], b"x"),
        share(&[boris.number], &[0; 1_025]),
        mixed,
        letter_of(&anna, &BORIS, 6_145),
        nobody,
        whisper(boris.number, &vec![0; 60_000]),
    ];
    for (body, n) in large.into_iter().zip(1..) {
        assert_eq!(answer(&mut anna, body), Answer::Error(ErrorCode::Large, n));
    }
    assert_eq!(boris.hears_until_pong(), []);

    let largest = [
        (whisper(boris.number, &[0; 4_608]), 1),
        (share(&[boris.number; 128], b"x"), 128),
        (share(&[boris.number; 40], &[0; 1_024]), 40),
        (letter_of(&anna, &BORIS, 6_144), 1),
    ];
    for ((body, count), n) in largest.into_iter().zip(9..) {
        assert_eq!(answer(&mut anna, body), Answer::Accepted(n));
        assert_eq!(events(boris.hears_until_pong()).len(), count);
    }
    still_serves(server.port);
}

/// PROTOCOL.md 6.3-2.
#[test]
fn what_has_been_answered_is_answered_the_same_again_and_goes_to_nobody_twice() {
    let server = Server::without_limits();
    let mut boris = Peer::join(server.port, &BORIS, "Boris");
    let mut anna = Peer::join(server.port, &ANNA, "Anna");
    boris.sees_change();
    let bodies = [
        whisper(boris.number, b"once"),
        share(&[boris.number], b"once"),
        letter(&anna, &BORIS, b"once"),
        whisper(NOBODY, b"never"),
        Numbered::Letter { to: [7; 32], letter: b"never".to_vec() },
    ];
    let answers = [
        Answer::Accepted(1),
        Answer::Accepted(2),
        Answer::Accepted(3),
        Answer::Error(ErrorCode::Absent, 4),
        Answer::Error(ErrorCode::Absent, 5),
    ];
    for (events_of_round, round) in [(3, "first"), (0, "again")] {
        for ((body, n), expected) in bodies.iter().zip(1..).zip(answers) {
            anna.send(&ToServer::Numbered { n, body: body.clone() });
            assert_eq!(anna.is_answered(), expected, "{round}");
        }
        assert_eq!(events(boris.hears_until_pong()).len(), events_of_round, "{round}");
    }
    anna.send(&ToServer::Numbered { n: 7, body: whisper(boris.number, b"never") });
    assert_eq!(anna.is_answered(), Answer::Error(ErrorCode::Again, 6), "6 is missing");
    assert_eq!(boris.hears_until_pong(), []);
    still_serves(server.port);
}

/// PROTOCOL.md 6.5-6, 6.5-7.
#[test]
fn letters_wait_behind_the_first_welcome_until_they_have_been_seen() {
    let server = Server::without_limits();
    let mut anna = Peer::join(server.port, &ANNA, "Anna");
    assert_eq!(writes(&mut anna, &BORIS, b"too early"), Answer::Error(ErrorCode::Absent, 1), "no name of his yet");
    Peer::join(server.port, &BORIS, "Boris").leaves_for_good();
    for (text, n) in [(b"one", 2), (b"two", 3), (b"six", 4)] {
        assert_eq!(writes(&mut anna, &BORIS, text), Answer::Accepted(n));
    }

    let mut boris = Peer::join(server.port, &BORIS, "Boris");
    let first = letters(&mut boris);
    assert_eq!(texts(&first), ["one", "two", "six"], "the oldest first");
    boris.ask_to_join("#side");
    boris.is_welcomed();
    assert_eq!(letters(&mut boris), [], "each once on a connection");
    boris.send(&ToServer::Seen(first[0].0 - 1));
    boris.hears_until_pong();
    drop(boris);

    let mut boris = Peer::join(server.port, &BORIS, "Boris");
    let second = letters(&mut boris);
    assert_eq!(texts(&second), ["one", "two", "six"], "none has been seen");
    assert!(second[0].0 > first[2].0, "they are new events");
    boris.send(&ToServer::Seen(second[1].0));
    boris.hears_until_pong();
    boris.reset();

    // Under another name, which is the same reader's.
    let mut boris = Peer::join(server.port, &BORIS, "Boris-2");
    let third = letters(&mut boris);
    assert_eq!(texts(&third), ["six"]);
    boris.send(&ToServer::Seen(third[0].0 + 1_000));
    boris.leaves_for_good();
    assert_eq!(letters(&mut Peer::join(server.port, &BORIS, "Boris")), []);
    still_serves(server.port);
}

/// PROTOCOL.md 6.5-4, 6.5-7.
#[test]
fn a_letter_to_somebody_who_is_here_comes_at_once_and_waits_nevertheless() {
    let server = Server::without_limits();
    let mut boris = Peer::join(server.port, &BORIS, "Boris");
    let mut anna = Peer::join(server.port, &ANNA, "Anna");
    boris.sees_change();
    for (text, n) in [("one", 1), ("two", 2)] {
        assert_eq!(writes(&mut anna, &BORIS, text.as_bytes()), Answer::Accepted(n));
        assert_eq!(texts(&letters(&mut boris)), [text], "each once");
    }
    boris.reset();
    assert_eq!(texts(&letters(&mut Peer::join(server.port, &BORIS, "Boris"))), ["one", "two"]);
    still_serves(server.port);
}

/// Somebody of whom nobody has heard.
fn somebody_new() -> &'static Identity {
    Box::leak(Box::new(Identity::generate(&mut rand::rng(), 2_048).expect("a size that is taken")))
}

#[test]
fn ten_letters_wait_from_one_and_a_hundred_in_all() {
    let server = Server::without_limits();
    Peer::join(server.port, &BORIS, "Boris").leaves_for_good();
    let mut anna = Peer::join(server.port, &ANNA, "Anna");
    for n in 1..=10 {
        assert_eq!(writes(&mut anna, &BORIS, b"x"), Answer::Accepted(n));
    }
    assert_eq!(writes(&mut anna, &BORIS, b"x"), Answer::Error(ErrorCode::Refused, 11));
    assert_eq!(writes(&mut anna, &ANNA, b"x"), Answer::Accepted(12), "another reader");

    for number in 2..=10 {
        let mut author = Peer::join(server.port, somebody_new(), &format!("author-{number}"));
        (1..=10).for_each(|n| assert_eq!(writes(&mut author, &BORIS, b"x"), Answer::Accepted(n)));
    }
    let mut eleventh = Peer::join(server.port, somebody_new(), "author-11");
    assert_eq!(writes(&mut eleventh, &BORIS, b"x"), Answer::Error(ErrorCode::Refused, 1));

    let mut boris = Peer::join(server.port, &BORIS, "Boris");
    let waiting = letters(&mut boris);
    assert_eq!(waiting.len(), 100);
    assert_eq!(writes(&mut eleventh, &BORIS, b"x"), Answer::Error(ErrorCode::Refused, 2), "none has been seen");
    boris.send(&ToServer::Seen(waiting[0].0));
    boris.hears_until_pong();
    assert_eq!(writes(&mut eleventh, &BORIS, b"x"), Answer::Accepted(3));
    assert_eq!(writes(&mut anna, &BORIS, b"x"), Answer::Error(ErrorCode::Refused, 13), "a hundred again");
    boris.send(&ToServer::Seen(waiting[99].0));
    boris.hears_until_pong();
    assert_eq!(writes(&mut anna, &BORIS, b"x"), Answer::Accepted(14));
    still_serves(server.port);
}

/// PROTOCOL.md 6.5-8.
#[test]
fn whose_a_name_is_can_be_asked_whether_they_are_here_or_not() {
    let server = Server::without_limits();
    Peer::join(server.port, &BORIS, "Boris").leaves_for_good();
    let mut anna = Peer::join(server.port, &ANNA, "Anna");
    let lookup = |name: &str| ToServer::Lookup(Name::parse(name).expect("a name"));
    for (name, who) in [("Boris", &*BORIS), ("Anna", &*ANNA)] {
        anna.send(&lookup(name));
        let found = ToClient::Found { name: Name::parse(name).expect("a name"), spki: who.public().spki().to_vec() };
        assert_eq!(anna.hear(), Some(found));
    }
    anna.send(&lookup("Clara"));
    assert_eq!(anna.is_answered(), Answer::Error(ErrorCode::Absent, 0));
    still_serves(server.port);
}

/// Tries until it is not too fast any more, as slowly as the protocol wants it.
fn in_time(peer: &mut Peer, message: &ToServer) -> Answer {
    loop {
        peer.send(message);
        match peer.is_answered() {
            Answer::Error(ErrorCode::Wait, _) => thread::sleep(Duration::from_millis(200)),
            answer => return answer,
        }
    }
}

#[test]
fn each_kind_costs_as_much_as_a_message_to_a_room() {
    let server = Server::start();
    let mut anna = Peer::join(server.port, &ANNA, "Anna");
    let lookup = ToServer::Lookup(Name::parse("Clara").expect("a name"));
    let nobody = || Numbered::Letter { to: [7; 32], letter: b"x".to_vec() };
    // Ten rounds of four, in one record: twenty at once are let through, what follows is too fast.
    let mut n = 0;
    let mut record = Vec::new();
    for _ in 0..10 {
        for body in [whisper(NOBODY, b"x"), share(&[NOBODY], b"x"), nobody()] {
            n += 1;
            record.extend(ToServer::Numbered { n, body }.encode());
        }
        record.extend(lookup.encode());
    }
    anna.record(&record);
    let answers: Vec<Answer> = (0..40).map(|_| anna.is_answered()).collect();
    // Those that are counted wait for the disk, and the others do not wait for them.
    let (lookups, counted): (Vec<Answer>, Vec<Answer>) =
        answers.into_iter().partition(|answer| matches!(answer, Answer::Error(_, 0)));
    let taken = |answer: &&Answer| !matches!(answer, Answer::Error(ErrorCode::Wait | ErrorCode::Again, _));
    let [took, looked_up] = [&counted, &lookups].map(|answers| answers.iter().take_while(taken).count());
    assert!((20..24).contains(&(took + looked_up)), "{counted:?} {lookups:?}");
    assert!(took.abs_diff(3 * looked_up) <= 3, "each costs as much: {took} and {looked_up}");
    let next = took as u64 + 1;
    let too_fast = [Answer::Error(ErrorCode::Wait, next), Answer::Error(ErrorCode::Again, next)];
    assert!(counted[took..].iter().all(|answer| too_fast.contains(answer)), "{counted:?}");
    assert!(lookups[looked_up..].iter().all(|answer| *answer == Answer::Error(ErrorCode::Wait, 0)), "{lookups:?}");

    let again = ToServer::Numbered { n: next, body: whisper(NOBODY, b"x") };
    assert_eq!(in_time(&mut anna, &again), Answer::Error(ErrorCode::Absent, next), "nothing was used up");
    assert_eq!(in_time(&mut anna, &lookup), Answer::Error(ErrorCode::Absent, 0));
    still_serves(server.port);
}

/// PROTOCOL.md 6.5-3.
#[test]
fn a_letter_in_somebody_elses_name_is_refused() {
    let server = Server::without_limits();
    let mut boris = Peer::join(server.port, &BORIS, "Boris");
    let mut anna = Peer::join(server.port, &ANNA, "Anna");
    let also_anna = Peer::join(server.port, &ANNA, "Another");
    boris.hears_until_pong();
    let forged = [
        letter(&also_anna, &BORIS, b"another name"),
        letter(&boris, &BORIS, b"another key"),
        Numbered::Letter { to: BORIS.public().fingerprint().0, letter: b"no letter".to_vec() },
        Numbered::Letter { to: BORIS.public().fingerprint().0, letter: vec![] },
    ];
    for (body, n) in forged.into_iter().zip(1..) {
        assert_eq!(answer(&mut anna, body), Answer::Error(ErrorCode::Refused, n));
    }
    assert_eq!(boris.hears_until_pong(), []);
    assert_eq!(writes(&mut anna, &BORIS, b"her own"), Answer::Accepted(5));
    still_serves(server.port);
}
