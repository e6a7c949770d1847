//! Messages that no server sends which keeps to the protocol: the client says which it was, and ends the session.

use cfb_chat::chat::SessionNumber as Number;
use cfb_chat::chat::message::{
    ByeReason, ErrorCode, Event, LeftReason, Person, SessionId, ToClient, ToServer, Welcome,
};
use cfb_chat::chat::name::{Name, RoomName};
use cfb_chat::wire::codec::Writer;

use crate::support::acting_character;
use crate::support::hostile_server::{HostileServer, Member, Stage, home, number};

const STRANGER: &str = "a member was named before being introduced";
const MEMBER: &str = "the room's list of members does not add up: the server hides who is here";
const EVENT: &str = "an event that was not due";

/// In a room with Ira, who is heard before and not after; Mallory has been introduced, and is not in the room.
pub fn is_a_fault(fault: &str, bend: impl FnOnce(&mut Stage, &Member, &Member)) {
    let (mut ira, mallory) = (Member::ira(), Member::mallory());
    let mut stage = Stage::with(&[&ira]);
    stage.shares(&mut ira);
    stage.says(&mut ira, "before");
    stage.tell(&[mallory.person()]);
    bend(&mut stage, &ira, &mallory);
    let envelope = stage.envelope_from(&mut ira, "after");
    stage.relays(&ira, envelope);
    stage.ends_for(fault, &["Ira: before"]);
}

fn room(name: &str) -> RoomName {
    RoomName::parse(name).expect("a room's name")
}

/// PROTOCOL.md 6.2-7.
#[test]
fn events_about_somebody_who_was_never_introduced() {
    let session = SessionId([5; 32]);
    let (room, bytes) = (room("#lobby"), vec![1; 100]);
    let events = [
        Event::Said { room: room.clone(), who: session, change: 2, envelope: bytes.clone() },
        Event::Whispered { who: session, boxed: bytes.clone() },
        Event::Shared { who: session, boxed: bytes },
        Event::Joined { room: room.clone(), who: session, change: 3 },
        Event::Left { room, who: session, change: 3, reason: LeftReason::Lost },
    ];
    for event in events {
        is_a_fault(STRANGER, |stage, _, _| stage.event(event));
    }
}

/// PROTOCOL.md 6.2-7.
#[test]
fn events_in_a_room_that_one_is_not_in() {
    is_a_fault(EVENT, |stage, ira, _| {
        stage.event(Event::Said { room: room("#other"), who: ira.session(), change: 2, envelope: vec![1] });
    });
    is_a_fault(EVENT, |stage, _, mallory| {
        stage.event(Event::Joined { room: room("#other"), who: mallory.session(), change: 1 });
    });
    is_a_fault(EVENT, |stage, ira, _| {
        let reason = LeftReason::Left;
        stage.event(Event::Left { room: room("#other"), who: ira.session(), change: 3, reason });
    });
}

/// PROTOCOL.md 6.6-3.
#[test]
fn comings_and_goings_that_do_not_add_up() {
    is_a_fault(MEMBER, |stage, ira, _| stage.joined(ira.session()));
    is_a_fault(MEMBER, |stage, _, _| stage.joined(stage.session()));
    is_a_fault(MEMBER, |stage, _, mallory| stage.left(mallory.session()));
    for change in [0, 1, 2, 4, u64::MAX] {
        let fault = format!("the room's change {change} came where 3 was due: the server hides who is here");
        is_a_fault(&fault, |stage, _, mallory| {
            stage.event(Event::Joined { room: room("#lobby"), who: mallory.session(), change });
        });
        is_a_fault(&fault, |stage, ira, _| {
            let reason = LeftReason::Left;
            stage.event(Event::Left { room: room("#lobby"), who: ira.session(), change, reason });
        });
    }
}

/// PROTOCOL.md 6.2-7.
#[test]
fn cursors_that_do_not_grow() {
    for back in [0, 1] {
        let fault = format!("event {} came after event 3", 3 - back);
        is_a_fault(&fault, |stage, _, _| {
            stage.cursor -= 1 + back;
            stage.event(Event::Notice("back in time".into()));
        });
    }
    is_a_fault("event 3 came after event 3", |stage, _, _| {
        // What a client does not know counts as well.
        stage.tell_bytes(&Writer::new().array(4).uint(34).uint(3).uint(0).array(2).uint(99).uint(1).finish());
    });
}

/// PROTOCOL.md 6.2-7.
#[test]
fn answers_to_what_was_not_asked() {
    let not_due = |n: u64| format!("an answer to message {n}, which is not due");
    for code in [ErrorCode::Again, ErrorCode::Wait, ErrorCode::Large] {
        is_a_fault(&not_due(1), |stage, _, _| stage.answers(code, 1));
    }
    is_a_fault(&not_due(1), |stage, _, _| stage.tell(&[ToClient::Accepted(1)]));
    is_a_fault(&not_due(0), |stage, _, _| stage.tell(&[ToClient::Accepted(0)]));
    is_a_fault(&not_due(u64::MAX), |stage, _, _| stage.tell(&[ToClient::Accepted(u64::MAX)]));
    is_a_fault("an Error that was not due", |stage, _, _| stage.answers(ErrorCode::Absent, 0));
    is_a_fault("a Pong that was not due", |stage, _, _| stage.tell(&[ToClient::Pong]));
    is_a_fault("a Found that was not due", |stage, ira, _| stage.tell(&[found("Ira", ira)]));
}

fn found(name: &str, whose: &Member) -> ToClient {
    ToClient::Found { name: Name::parse(name).expect("a name"), spki: whose.identity.public().spki().to_vec() }
}

#[test]
fn answers_out_of_their_order() {
    let again = |n| ToClient::Error { code: ErrorCode::Again, text: String::new(), n };
    // The client has sent a key, and then what it says: 1 and 2.
    let cases: [(&[ToClient], u64); 6] = [
        (&[ToClient::Accepted(2)], 2),
        (&[ToClient::Accepted(1), ToClient::Accepted(1)], 1),
        (&[ToClient::Accepted(1), ToClient::Accepted(2), again(2)], 2),
        (&[again(2)], 2),
        (&[ToClient::Accepted(1), again(1)], 1),
        (&[again(1), ToClient::Accepted(1)], 1),
    ];
    for (answers, n) in cases {
        is_a_fault(&format!("an answer to message {n}, which is not due"), |stage, _, _| {
            stage.client.says("Hi");
            assert_eq!([(); 2].map(|()| stage.hear_numbered().0), [1, 2]);
            stage.tell(answers);
        });
    }
    is_a_fault("a Found that was not due", |stage, ira, mallory| {
        stage.left(ira.session());
        stage.client.process.out.wait_for("[+] Ira left the room.");
        stage.client.says("/w Ira where are you?");
        assert!(matches!(stage.hear(), ToServer::Lookup(_)));
        stage.tell(&[found("Mallory", mallory)]);
    });
}

/// PROTOCOL.md 6.2-7.
#[test]
fn messages_with_wrong_fields() {
    let write = Writer::new;
    let event = |event: Writer| write().array(4).uint(34).uint(9).uint(0).value(&event.finish()).finish();
    let cases = [
        (write().array(2).uint(32).text("#lobby").finish(), 32),
        (write().array(2).uint(33).text("1").finish(), 33),
        (write().array(3).uint(34).uint(9).uint(0).finish(), 34),
        (event(write().array(4).uint(1).text("#lobby").uint(1).uint(2)), 34),
        (event(write().array(3).uint(2).bytes(&[1; 32]).bytes(b"x")), 34),
        (event(write().array(3).uint(3).uint(1).text("x")), 34),
        (event(write().array(4).uint(4).text("lobby").uint(1).uint(3)), 34),
        (event(write().array(5).uint(5).text("#lobby").uint(1).uint(3).text("bored")), 34),
        (event(write().array(1).uint(6)), 34),
        (event(write().array(2).uint(7).text("x")), 34),
        (write().array(4).uint(35).uint(1).bytes(b"x").bytes(b"y").finish(), 35),
        (write().array(5).uint(35).uint(0).bytes(b"x").bytes(b"y").bytes(b"z").finish(), 35),
        (event(write().array(3).uint(2).uint(0).bytes(b"x")), 34),
        (write().array(4).uint(36).text("tired").text("").uint(0).finish(), 36),
        (write().array(3).uint(37).text("two words").bytes(b"x").finish(), 37),
        (write().array(2).uint(39).text("enough").finish(), 39),
    ];
    for (message, kind) in cases {
        is_a_fault(&format!("a message of type {kind} with wrong fields"), |stage, _, _| stage.tell_bytes(&message));
    }
    for record in [&b""[..], &[0x80], &[0x05], &[0x81, 0x20], &[0x82, 0x18, 0x26]] {
        is_a_fault("a record without messages", |stage, _, _| stage.tell_bytes(record));
    }
}

#[test]
fn welcomes_that_do_not_add_up() {
    let (ira, mallory) = (Member::ira(), Member::mallory());
    let refused = |fault: &str, bend: &dyn Fn(&mut Stage)| {
        let mut stage = HostileServer::start().meets(home(""), &[]);
        stage.introduces(&[&ira]);
        bend(&mut stage);
        stage.tell(&[ToClient::Welcome(stage.welcome())]);
        stage.ends_for(fault, &[]);
    };
    refused(STRANGER, &|stage| stage.members.push(mallory.session()));
    refused(MEMBER, &|stage| stage.members.push(ira.session()));
    refused(MEMBER, &|stage| stage.members.retain(|session| *session == ira.session()));
    refused(MEMBER, &|stage| stage.members.clear());
    refused(MEMBER, &|stage| stage.change = 1);
    refused("event 0 came after event 0", &|stage| stage.cursor = 0);
    refused(EVENT, &|stage| stage.event(Event::Notice("before the Welcome".into())));
    refused("a Welcome that was not due", &|stage| {
        let welcome = Welcome { room: room("#other"), ..stage.welcome() };
        stage.tell(&[ToClient::Welcome(welcome)]);
    });
    is_a_fault("a Welcome that was not due", |stage, _, _| {
        stage.cursor += 1;
        stage.tell(&[ToClient::Welcome(stage.welcome())]);
    });
}

#[test]
fn more_people_than_there_can_be() {
    let nobody = |number: u64| {
        let credential = number.to_be_bytes().to_vec();
        ToClient::Person(Person { member: Number(number), spki: vec![], credential, signature: vec![] })
    };
    let mut stage = HostileServer::start().meets(home(""), &[]);
    stage.introduces(&[]);
    let people: Vec<ToClient> = (1..=12_501).map(nobody).collect();
    stage.tell(&people);
    let members: Vec<Number> = (1..=12_501).map(Number).chain([number(stage.session())]).collect();
    let welcome = Welcome { change: members.len() as u64, members, ..stage.welcome() };
    stage.tell(&[ToClient::Welcome(welcome)]);
    stage.ends_for("it introduces too many people", &[]);
    // Who is only told of, and never comes, gives way to others.
    let mut stage = Stage::with(&[]);
    stage.told();
    let people: Vec<ToClient> = (1..=65_537).map(nobody).collect();
    stage.tell(&people);
    assert!(stage.told().is_empty());
    stage.ends();
}

/// PROTOCOL.md 6.12-4.
#[test]
fn a_goodbye_is_no_fault_and_says_why() {
    let mut stage = Stage::with(&[]);
    stage.tell(&[ToClient::Bye(ByeReason::Kicked)]);
    let ended = stage.client.process.wait();
    assert_eq!(ended.status, Some(7), "{}", ended.err);
    let mut stage = HostileServer::start().meets(home(""), &["--no-reconnect"]);
    stage.welcomes(&[]);
    stage.hangs_up();
    let ended = stage.client.process.wait();
    assert_eq!(ended.status, Some(8), "{}", ended.err);
    assert!(ended.err.contains("error: the connection was lost"), "{}", ended.err);
}

/// PROTOCOL.md 6.2-3.
#[test]
fn what_a_later_server_may_say_is_no_fault() {
    let mut ira = Member::ira();
    let mut stage = Stage::with(&[&ira]);
    stage.shares(&mut ira);
    stage.told();
    let presented = ira.as_person();
    let write = Writer::new;
    stage.cursor += 3;
    let cursor = stage.cursor;
    let messages = [
        write().array(1).uint(0).finish(),
        write().array(2).uint(41).text("later").finish(),
        write().array(3).uint(u64::MAX).uint(1).array(0).finish(),
        // Of somebody who is known, once more; and a field more than there are now.
        write()
            .array(6)
            .uint(35)
            .uint(ira.number().0)
            .bytes(&presented.spki)
            .bytes(&presented.credential)
            .bytes(&presented.signature)
            .uint(7)
            .finish(),
        write()
            .array(5)
            .uint(34)
            .uint(cursor - 2)
            .uint(0)
            .array(3)
            .uint(8)
            .uint(ira.number().0)
            .uint(1)
            .text("x")
            .finish(),
        write().array(4).uint(34).uint(cursor - 1).uint(0).array(1).uint(99).finish(),
        write().array(4).uint(34).uint(cursor).uint(0).array(3).uint(6).text("from the operator").uint(7).finish(),
    ];
    stage.tell_bytes(&messages.concat());
    stage.is_told("[server] from the operator");
    stage.says(&mut ira, "I am here");
    stage.talks_to(&mut ira, "So am I");
    stage.ends();
}

/// PROTOCOL.md 6.2-8.
#[test]
fn what_a_server_says_acts_on_no_screen() {
    let evil = "\u{1b}[2J\u{9b}31m\u{202e}\u{2066}evil\r\n\u{7}";
    let mut ira = Member::ira();
    let mut stage = HostileServer::start().meets(home(""), &[]);
    stage.introduces(&[&ira]);
    let welcome = Welcome { notice: evil.into(), ..stage.welcome() };
    stage.tell(&[ToClient::Welcome(welcome)]);
    stage.event(Event::Notice(evil.into()));
    stage.is_told_of("[server] <U+001B>[2J<U+009B>31m<U+202E><U+2066>evil<U+000D>\n[server] <U+0007>");
    stage.shares(&mut ira);
    stage.says(&mut ira, "still here");
    let screens = [stage.client.process.out.so_far(), stage.client.process.err.so_far()];
    assert_eq!(screens.map(|screen| acting_character(&screen)), [None, None]);
    stage.ends();
    // A refusal is in the server's words too.
    let mut stage = HostileServer::start().meets(home(""), &[]);
    stage.tell(&[ToClient::Error { code: ErrorCode::Refused, text: evil.into(), n: 0 }]);
    let ended = stage.client.process.wait();
    assert_eq!((ended.status, acting_character(&ended.err)), (Some(6), None), "{:?}", ended.err);
    assert!(ended.err.contains("<U+001B>[2J"), "{:?}", ended.err);
}
