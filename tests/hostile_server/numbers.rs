//! The numbers by which a server names people: each is one session's, and a session has one. A server that lies about them
//! is left, or achieves that something is refused: what is signed and sealed names sessions.

use cfb_chat::chat::SessionNumber as Number;
use cfb_chat::chat::message::{ErrorCode, Event, LeftReason, Person, ToClient, ToServer, Welcome};
use cfb_chat::chat::name::RoomName;
use cfb_chat::net::secure_channel::now_in_millis;

use super::faults::is_a_fault;
use crate::support::hostile_server::{HostileServer, Member, Stage, home, number};

const STRANGER: &str = "a member was named before being introduced";

fn reused(number: Number) -> String {
    format!("it gives the number {} to a second member", number.0)
}

fn renumbered(number: Number) -> String {
    format!("it gives a second number, {}, to a present member", number.0)
}

/// Somebody's Person, under any number.
fn told_as(number: Number, who: &Member) -> ToClient {
    ToClient::Person(Person { member: number, ..who.as_person() })
}

/// The client's own Person, which a server does not send.
fn own_person(number: Number, stage: &Stage) -> ToClient {
    // Their credential makes them who they are; the rest of it is not looked at.
    let (spki, signature) = (stage.identity.spki().to_vec(), Vec::new());
    ToClient::Person(Person { member: number, spki, credential: stage.credential.clone(), signature })
}

/// PROTOCOL.md 6.1-3.
#[test]
fn a_number_is_given_to_one_only() {
    let mut stage = Stage::with(&[]);
    let taken = number(stage.session());
    stage.tell(&[told_as(taken, &Member::mallory())]);
    stage.ends_for(&reused(taken), &[]);

    for is_here in [true, false] {
        let (ira, mallory) = (Member::ira(), Member::mallory());
        let mut stage = Stage::with(&[&ira]);
        if !is_here {
            stage.left(ira.session());
        }
        stage.tell(&[told_as(ira.number(), &mallory)]);
        stage.ends_for(&reused(ira.number()), &[]);
    }
}

/// PROTOCOL.md 6.1-3.
#[test]
fn who_is_here_has_one_number() {
    let other = Number(5);
    is_a_fault(&renumbered(other), |stage, ira, _| stage.tell(&[told_as(other, ira)]));
    is_a_fault(&renumbered(other), |stage, _, _| {
        let person = own_person(other, stage);
        stage.tell(&[person]);
    });
    // It may be told once more, oneself too.
    let ira = Member::ira();
    let mut stage = Stage::with(&[&ira]);
    let own = own_person(number(stage.session()), &stage);
    stage.tell(&[told_as(ira.number(), &ira), own]);
    stage.left(ira.session());
    stage.sync();
    let person = own_person(other, &stage);
    stage.tell(&[person]);
    stage.ends_for(&renumbered(other), &[]);
}

/// PROTOCOL.md 6.1-4.
#[test]
fn who_comes_back_may_have_another_number_and_the_old_one_is_nobodys() {
    let (mut ira, other) = (Member::ira(), Number(5));
    let mut stage = Stage::with(&[&ira]);
    stage.left(ira.session());
    stage.tell(&[told_as(other, &ira)]);
    let (room, change, cursor) = (RoomName::lobby(), stage.change + 1, stage.cursor + 1);
    let joined = Event::Joined { room: room.clone(), who: other, change };
    stage.tell(&[ToClient::Event { cursor, at: now_in_millis(), event: joined }]);
    (stage.cursor, stage.change) = (cursor, change);
    stage.members.push(ira.session());
    stage.members.sort_unstable();
    let boxed = stage.whisper_from(&mut ira, "back again");
    stage.cursor += 1;
    let whispered = Event::Whispered { who: other, boxed };
    stage.tell(&[ToClient::Event { cursor: stage.cursor, at: now_in_millis(), event: whispered }]);
    stage.client.process.out.wait_for(" [whisper from Ira] back again");
    stage.event(Event::Left { room, who: ira.session(), change: change + 1, reason: LeftReason::Left });
    stage.ends_for(STRANGER, &["[whisper from Ira] back again"]);
}

#[test]
fn a_welcome_gives_oneself_a_number_that_nobody_has() {
    let ira = Member::ira();
    let refused = |fault: &str, own: &dyn Fn(&Stage) -> Welcome| {
        let mut stage = HostileServer::start().meets(home(""), &[]);
        stage.introduces(&[&ira]);
        let welcome = own(&stage);
        stage.tell(&[ToClient::Welcome(welcome)]);
        stage.ends_for(fault, &[]);
    };
    refused(&reused(ira.number()), &|stage| Welcome { own: ira.number(), ..stage.welcome() });
    refused(STRANGER, &|stage| Welcome { own: Number(5), ..stage.welcome() });
    let not_there = "the room's list of members does not add up: the server hides who is here";
    refused(not_there, &|stage| Welcome { own: Number(5), members: vec![ira.number()], ..stage.welcome() });
}

#[test]
fn another_room_gives_oneself_no_other_number() {
    let mut stage = Stage::with(&[]);
    stage.client.says("/join lab");
    while !matches!(stage.hear(), ToServer::Join { .. }) {}
    stage.cursor += 1;
    let (room, own) = (RoomName::parse("#lab").expect("a room"), Number(5));
    let welcome = Welcome { room, own, members: vec![own], change: 1, ..stage.welcome() };
    stage.tell(&[ToClient::Welcome(welcome)]);
    stage.ends_for(&renumbered(own), &[]);
}

/// The connection ends, and the session goes on on another.
fn goes_on(server: &HostileServer, stage: &mut Stage) {
    stage.hangs_up();
    assert!(matches!(server.meets_again(stage), ToServer::Join { cursor, .. } if cursor == stage.cursor));
    let resumed = stage.resumed();
    stage.tell(&[ToClient::Welcome(resumed)]);
}

/// PROTOCOL.md 6.1-8.
#[test]
fn a_session_that_goes_on_knows_who_has_which_number() {
    let (server, ira) = (HostileServer::start(), Member::ira());
    let mut stage = server.meets(home(""), &[]);
    stage.welcomes(&[&ira]);
    goes_on(&server, &mut stage);
    stage.tell(&[told_as(ira.number(), &Member::mallory())]);
    stage.ends_for(&reused(ira.number()), &[]);
}

/// PROTOCOL.md 6.1-7.
#[test]
fn a_number_that_was_told_for_nothing_may_be_somebody_elses_after_a_loss() {
    let (server, ira, mut mallory) = (HostileServer::start(), Member::ira(), Member::mallory());
    let mut stage = server.meets(home(""), &[]);
    stage.welcomes(&[]);
    // That somebody comes in is lost with the connection, and the server's disk takes it back.
    stage.sync();
    stage.client.says("/rooms");
    while !matches!(stage.hear(), ToServer::Command(_)) {}
    stage.tell(&[told_as(mallory.number(), &ira), ToClient::Answer("it has come".into())]);
    stage.client.process.err.wait_for("it has come");
    goes_on(&server, &mut stage);
    stage.joins(&mallory);
    stage.whispers(&mut mallory, "it is mine");
    // What has come stays.
    goes_on(&server, &mut stage);
    stage.tell(&[told_as(mallory.number(), &ira)]);
    stage.ends_for(&reused(mallory.number()), &["[whisper from Mallory] it is mine"]);
}

/// PROTOCOL.md 6.1-8.
#[test]
fn a_new_session_begins_with_no_numbers() {
    let (server, ira, mut mallory) = (HostileServer::start(), Member::ira(), Member::mallory());
    let mut stage = server.meets(home(""), &[]);
    stage.introduces(&[]);
    stage.tell(&[told_as(mallory.number(), &ira)]);
    let members = vec![mallory.number(), number(stage.session())];
    let welcome = Welcome { members, change: 2, ..stage.welcome() };
    stage.tell(&[ToClient::Welcome(welcome)]);
    stage.client.process.err.wait_for("First contact with Ira");
    stage.hangs_up();
    server.meets_again(&mut stage);
    // The server has lost its journal: it counts from the beginning.
    stage.tell(&[ToClient::Error { code: ErrorCode::Refused, text: "no such session".into(), n: 0 }]);
    assert!(matches!(server.meets_again(&mut stage), ToServer::Join { cursor: 0, .. }));
    stage.introduces(&[&mallory]);
    let welcome = stage.welcome();
    stage.tell(&[ToClient::Welcome(welcome)]);
    stage.whispers(&mut mallory, "it is mine");
    stage.left(mallory.session());
    stage.ends();
}
