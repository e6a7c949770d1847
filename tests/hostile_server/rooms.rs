//! Several rooms at once, and what a server may do with them: answers that nobody asked for, rooms one is put out of, and
//! connections that are lost before it has said whether one is in.

use cfb_chat::chat::message::{
    ByeReason, ErrorCode, Event, LeftReason, Numbered, SessionId, ToClient, ToServer, Welcome,
};
use cfb_chat::chat::name::RoomName;
use cfb_chat::secure::e2e::roster::RosterHash;
use cfb_chat::secure::e2e::sealed_box::Purpose;

use crate::support::hostile_server::{Happened, HostileServer, Member, Stage, home, number, padded};

fn room(name: &str) -> RoomName {
    RoomName::parse(name).expect("a room's name")
}

fn lab() -> RoomName {
    room("#lab")
}

/// A client in the lobby, with Ira.
fn with_ira() -> (HostileServer, Stage, Member) {
    let (server, ira) = (HostileServer::start(), Member::ira());
    let mut stage = server.meets(home(""), &[]);
    stage.welcomes(&[&ira]);
    stage.told();
    (server, stage, ira)
}

/// The next thing that is neither counted nor told by the way.
fn hears(stage: &mut Stage) -> ToServer {
    loop {
        match stage.hear() {
            ToServer::Seen(_) | ToServer::Ping => {}
            other => return other,
        }
    }
}

fn refused(why: &str) -> ToClient {
    ToClient::Error { code: ErrorCode::Refused, text: why.into(), n: 0 }
}

fn join(room: RoomName, cursor: u64) -> ToServer {
    ToServer::Join { room, password: String::new(), cursor }
}

/// Lets the client into the laboratory, with these who were there before. Gives who is there now, in order.
fn lets_in(stage: &mut Stage, members: &[&Member], notice: &str) -> Vec<SessionId> {
    let people: Vec<ToClient> = members.iter().map(|member| member.person()).collect();
    stage.tell(&people);
    let mut sessions: Vec<SessionId> = members.iter().map(|member| member.session()).chain([stage.session()]).collect();
    sessions.sort_unstable();
    stage.cursor += 1;
    let (change, notice) = (sessions.len() as u64, notice.to_owned());
    let welcome = Welcome {
        room: lab(),
        members: sessions.iter().copied().map(number).collect(),
        change,
        notice,
        ..stage.welcome()
    };
    stage.tell(&[ToClient::Welcome(welcome)]);
    sessions
}

/// The user asks for the laboratory, and is let in.
fn is_in_the_lab(stage: &mut Stage, members: &[&Member], notice: &str) -> Vec<SessionId> {
    stage.client.says("/join lab");
    assert_eq!(hears(stage), join(lab(), 0));
    let sessions = lets_in(stage, members, notice);
    stage.client.process.err.wait_for("[+] You are in #lab now.");
    sessions
}

/// Somebody's key for the laboratory, and what they say there to these.
fn says_in_the_lab(stage: &mut Stage, from: &mut Member, sessions: &[SessionId], text: &str) {
    let boxed = from.boxes_up(&stage.keys, stage.server, Purpose::Key, &from.key.shared("#lab"));
    stage.event(Event::Shared { who: from.session(), boxed });
    let roster = roster(stage, sessions);
    let envelope = from.key.seal(&padded(text)).sign(&from.credential, stage.server, "#lab", roster);
    let (session, change) = (from.session(), sessions.len() as u64);
    stage.event(Event::Said { room: lab(), who: session, change, envelope });
}

fn roster(stage: &Stage, sessions: &[SessionId]) -> RosterHash {
    RosterHash::new(stage.server, "#lab", sessions.len() as u64, sessions.iter().map(|session| &session.0))
}

fn out_of_the_lab(stage: &Stage, change: u64, reason: LeftReason) -> Happened {
    Event::Left { room: lab(), who: stage.session(), change, reason }
}

#[test]
fn in_several_rooms_each_line_names_its_own_and_what_is_said_goes_to_one() {
    let (_server, mut stage, mut ira) = with_ira();
    let mut mallory = Member::mallory();
    let sessions = is_in_the_lab(&mut stage, &[&ira, &mallory], "Topic: acids\n[+] Ira joined the room.\u{1b}[2J\n");
    let told = stage.told().join("\n");
    for line in ["[!] In #lab: Ira, Mallory.", "[server] Topic: acids", "[server] [+] Ira joined the room.<U+001B>[2J"]
    {
        assert!(told.contains(line), "{line:?} is not in:\n{told}");
    }
    says_in_the_lab(&mut stage, &mut mallory, &sessions, "in the lab");
    stage.client.process.out.wait_for(" #lab Mallory: in the lab");
    stage.shares(&mut ira);
    let envelope = stage.envelope_from(&mut ira, "in the lobby");
    stage.relays(&ira, envelope);
    stage.client.process.out.wait_for(" #lobby Ira: in the lobby");
    // To both of the laboratory, and then to the one of the lobby.
    stage.client.says("to the lab");
    let shared = |body: Numbered| match body {
        Numbered::Share(boxes) => boxes.len(),
        other => panic!("no key: {other:?}"),
    };
    assert_eq!(shared(stage.takes()), 2);
    assert!(matches!(stage.takes(), Numbered::Say { room, change: 3, .. } if room == lab()));
    stage.client.says("/f lobby");
    stage.client.says("to the lobby");
    assert_eq!(shared(stage.takes()), 1);
    assert!(matches!(stage.takes(), Numbered::Say { room, change: 2, .. } if room == RoomName::lobby()));
    // Who leaves one room is still in the other.
    let (session, change) = (ira.session(), 4);
    stage.event(Event::Left { room: lab(), who: session, change, reason: LeftReason::Left });
    stage.client.process.out.wait_for("[+] Ira left #lab.");
    stage.whispers(&mut ira, "still here");
    stage.event(Event::Left { room: lab(), who: mallory.session(), change: 5, reason: LeftReason::Lost });
    let boxed = stage.whisper_from(&mut mallory, "gone");
    stage.event(Event::Whispered { who: mallory.session(), boxed });
    stage.is_told_of("REFUSED: a message from Mallory, who is not in the room.");
    stage.client.says("/part lab");
    assert_eq!(hears(&mut stage), ToServer::Leave(lab()));
    let left = out_of_the_lab(&stage, 6, LeftReason::Left);
    stage.event(left);
    stage.is_told("[+] You have left #lab.");
    let envelope = stage.envelope_from(&mut ira, "as before");
    stage.relays(&ira, envelope);
    stage.client.sees("Ira", "as before");
    assert!(!stage.client.process.out.so_far().contains("#lobby Ira: as before"));
    stage.client.says("/part");
    stage.client.process.err.wait_for("It is the only room you are in: EXIT leaves");
    stage.ends();
}

#[test]
fn what_nobody_asked_for_ends_it() {
    let is_a_fault = |fault: &str, tell: &dyn Fn(&mut Stage)| {
        let (_server, mut stage, _ira) = with_ira();
        tell(&mut stage);
        stage.ends_for(&format!("{fault} that was not due"), &[]);
    };
    is_a_fault("an Answer", &|stage| stage.tell(&[ToClient::Answer("done".into())]));
    is_a_fault("a Welcome", &|stage| drop(lets_in(stage, &[], "")));
    let left = |stage: &mut Stage| {
        let (session, change) = (stage.session(), stage.change + 1);
        stage.event(Event::Left { room: RoomName::lobby(), who: session, change, reason: LeftReason::Left });
    };
    is_a_fault("one's own leaving", &left);
    let asks = |stage: &mut Stage| {
        stage.client.says("/join lab");
        assert_eq!(hears(stage), join(lab(), 0));
    };
    is_a_fault("an Answer", &|stage| {
        asks(stage);
        stage.tell(&[ToClient::Answer("done".into())]);
    });
    is_a_fault("a Welcome", &|stage| {
        asks(stage);
        let welcome = Welcome { room: room("#other"), cursor: stage.cursor + 1, ..stage.welcome() };
        stage.tell(&[ToClient::Welcome(welcome)]);
    });
    is_a_fault("an event", &|stage| {
        asks(stage);
        let session = stage.members[0];
        stage.event(Event::Joined { room: lab(), who: session, change: 1 });
    });
    is_a_fault("an Error", &|stage| {
        asks(stage);
        stage.tell(&[refused("once"), refused("twice")]);
    });
}

#[test]
fn who_is_put_out_of_one_room_goes_on_in_the_other_and_of_the_last_is_out() {
    let (_server, mut stage, _ira) = with_ira();
    is_in_the_lab(&mut stage, &[], "");
    stage.told();
    let kicked = out_of_the_lab(&stage, 2, LeftReason::Kicked);
    stage.event(kicked);
    assert_eq!(stage.told(), ["[!] You are no longer in #lab (kicked).", "[+] Your messages go to #lobby now."]);
    stage.client.says("here I am");
    assert!(matches!(stage.takes(), Numbered::Share(_)));
    assert!(matches!(stage.takes(), Numbered::Say { room, .. } if room == RoomName::lobby()));
    let (session, change) = (stage.session(), stage.change + 1);
    stage.event(Event::Left { room: RoomName::lobby(), who: session, change, reason: LeftReason::Kicked });
    stage.tell(&[ToClient::Bye(ByeReason::Kicked)]);
    let ended = stage.client.process.wait();
    assert_eq!(ended.status, Some(7), "{}", ended.err);
    assert!(ended.err.contains("removed you (kicked)"), "{}", ended.err);
}

/// PROTOCOL.md 8.5-4.
#[test]
fn a_room_of_which_one_has_not_heard_is_left_and_joined_anew() {
    for was_let_in in [true, false] {
        let (server, mut stage, _ira) = with_ira();
        let (mut mallory, session) = (Member::mallory(), stage.session());
        stage.client.says("/join lab");
        stage.client.says("once I am in");
        assert_eq!(hears(&mut stage), join(lab(), 0));
        stage.hangs_up();
        assert_eq!(server.meets_again(&mut stage), join(RoomName::lobby(), stage.cursor));
        let resumed = stage.resumed();
        stage.tell(&[ToClient::Welcome(resumed)]);
        if was_let_in {
            // Nobody has told who is there. Keys and talk are passed over; a whisper waits until somebody has.
            let boxed = mallory.boxes_up(&stage.keys, stage.server, Purpose::Key, &mallory.key.shared("#lab"));
            let (from, change) = (mallory.session(), 2);
            stage.event(Event::Shared { who: from, boxed });
            stage.event(Event::Said { room: lab(), who: from, change, envelope: vec![1; 100] });
            let boxed = stage.whisper_from(&mut mallory, "welcome");
            stage.event(Event::Whispered { who: from, boxed });
            stage.event(Event::Presence { who: from, lost: true });
        }
        stage.pongs();
        assert_eq!(hears(&mut stage), ToServer::Leave(lab()));
        assert_eq!(stage.session(), session, "it goes on");
        if was_let_in {
            let left = out_of_the_lab(&stage, 3, LeftReason::Left);
            stage.event(left);
        } else {
            stage.tell(&[refused("not in that room")]);
        }
        assert_eq!(hears(&mut stage), join(lab(), 0));
        let sessions = lets_in(&mut stage, &[&mallory], "");
        if was_let_in {
            stage.client.process.out.wait_for(" [whisper from Mallory] welcome");
        }
        // What was typed behind the command was for that room only.
        assert!(matches!(stage.takes(), Numbered::Share(boxes) if boxes[0].0 == mallory.number()));
        assert!(matches!(stage.takes(), Numbered::Say { room, .. } if room == lab()));
        says_in_the_lab(&mut stage, &mut mallory, &sessions, "and hello");
        stage.client.process.out.wait_for(" #lab Mallory: and hello");
        let told = stage.told().join("\n");
        assert!(!told.contains("missing") && !told.contains("REFUSED") && !told.contains("could not"), "{told}");
        stage.client.says("/part lab");
        assert_eq!(hears(&mut stage), ToServer::Leave(lab()));
        let left = out_of_the_lab(&stage, 3, LeftReason::Left);
        stage.event(left);
        stage.ends();
    }
}

/// PROTOCOL.md 8.5-3.
#[test]
fn a_leave_that_has_no_answer_may_have_been_done() {
    for was_done in [true, false] {
        let (server, mut stage, _ira) = with_ira();
        is_in_the_lab(&mut stage, &[], "");
        stage.client.says("/part");
        assert_eq!(hears(&mut stage), ToServer::Leave(lab()));
        stage.hangs_up();
        assert_eq!(server.meets_again(&mut stage), join(RoomName::lobby(), stage.cursor), "not the one that is left");
        let resumed = stage.resumed();
        stage.tell(&[ToClient::Welcome(resumed)]);
        let left = out_of_the_lab(&stage, 2, LeftReason::Left);
        if was_done {
            stage.event(left);
            stage.pongs();
        } else {
            stage.pongs();
            assert_eq!(hears(&mut stage), ToServer::Leave(lab()));
            stage.event(left);
        }
        stage.client.process.err.wait_for("[+] You have left #lab.");
        stage.ends();
    }
}

#[test]
fn a_new_session_comes_back_to_its_rooms_and_to_the_lobby_if_that_is_all() {
    let (server, mut stage, ira) = with_ira();
    is_in_the_lab(&mut stage, &[], "");
    stage.hangs_up();
    assert_eq!(server.meets_again(&mut stage), join(lab(), stage.cursor));
    stage.client.says("for the lab alone");
    stage.client.says("/list");
    stage.client.process.err.wait_for("You are reconnecting");
    stage.tell(&[refused("no such session")]);
    assert_eq!(server.meets_again(&mut stage), join(lab(), 0), "where one was first");
    stage.tell(&[refused("the room is locked")]);
    assert_eq!(server.meets_again(&mut stage), join(RoomName::lobby(), 0));
    stage.introduces(&[&ira]);
    let welcome = stage.welcome();
    stage.tell(&[ToClient::Welcome(welcome)]);
    assert_eq!(hears(&mut stage), join(lab(), 0), "once more, from inside");
    stage.tell(&[refused("the room is locked")]);
    let told = stage.told().join("\n");
    for line in [
        "[!] Not back in #lab; trying #lobby. The server says: the room is locked",
        "[!] You are no longer in #lab. The server says: the room is locked",
        "[!] Not delivered, in #lab (you are not in #lab): for the lab alone",
        "[+] Your messages go to #lobby now.",
    ] {
        assert!(told.contains(line), "{line:?} is not in:\n{told}");
    }
    stage.client.says("for all");
    assert!(matches!(stage.takes(), Numbered::Share(_)));
    assert!(matches!(stage.takes(), Numbered::Say { room, .. } if room == RoomName::lobby()));
    stage.ends();
}

#[test]
fn a_new_session_reads_on_in_each_room() {
    let (server, mut stage, _ira) = with_ira();
    let (mut mallory, lobby) = (Member::mallory(), RoomName::lobby());
    let sessions = is_in_the_lab(&mut stage, &[&mallory], "");
    says_in_the_lab(&mut stage, &mut mallory, &sessions, "read before");
    stage.client.process.out.wait_for(" #lab Mallory: read before");
    stage.client.says("/f lobby");
    // Lines are taken in order: when this one has come, the one before it has counted.
    stage.client.says("/rooms");
    assert_eq!(hears(&mut stage), ToServer::Command("ROOMS".into()));
    stage.tell(&[ToClient::Answer("none".into()), ToClient::Bye(ByeReason::Slow)]);
    assert_eq!(server.meets_again(&mut stage), join(lobby, 0));
    stage.introduces(&[]);
    let welcome = stage.welcome();
    stage.tell(&[ToClient::Welcome(welcome)]);
    assert_eq!(hears(&mut stage), join(lab(), 0));
    mallory.boxes = 0;
    let sessions = lets_in(&mut stage, &[&mallory], "");
    stage.client.process.out.wait_for("[+] Ira left #lobby.");
    mallory.key.seal(&padded("missed"));
    says_in_the_lab(&mut stage, &mut mallory, &sessions, "after");
    stage.client.process.out.wait_for(" #lab Mallory: after");
    stage.is_told_of("[!] 1 message from Mallory is missing.");
    stage.client.process.signal(rustix::process::Signal::KILL);
}

/// PROTOCOL.md 6.11-1, 6.11-4.
#[test]
fn what_the_server_is_to_do_is_sent_as_it_is_and_its_answer_is_shown() {
    let (server, mut stage, _ira) = with_ira();
    let cases = [
        ("/topic what we do", "TOPIC #lobby what we do"),
        ("/kick Ira too loud", "KICK #lobby Ira too loud"),
        ("/lock", "LOCK #lobby"),
        ("/server", "HELP"),
        ("/ban Ira 1h", "BAN Ira 1h"),
        ("/rooms", "ROOMS"),
    ];
    for (typed, sent) in cases {
        stage.client.says(typed);
        assert_eq!(hears(&mut stage), ToServer::Command(sent.into()));
        stage.tell(&[ToClient::Answer(format!("{sent}: done\nand \u{202e}more"))]);
        stage.is_told_of(&format!("[server] {sent}: done\n[server] and <U+202E>more"));
    }
    // Too fast: once more. Refused: told. Not answered: told, and not done twice.
    stage.client.says("/server ONE");
    stage.client.says("/server TWO");
    stage.client.says("/server THREE");
    let command = |line: &str| ToServer::Command(line.into());
    assert_eq!(hears(&mut stage), command("ONE"));
    stage.answers(ErrorCode::Wait, 0);
    assert_eq!(hears(&mut stage), command("ONE"));
    stage.tell(&[refused("only operators may")]);
    stage.is_told_of("[!] Not done: ONE. The server says: only operators may");
    assert_eq!(hears(&mut stage), command("TWO"));
    stage.hangs_up();
    assert_eq!(server.meets_again(&mut stage), join(RoomName::lobby(), stage.cursor));
    stage.client.process.err.wait_for("[!] The connection was lost; outcome unknown: TWO");
    let resumed = stage.resumed();
    stage.tell(&[ToClient::Welcome(resumed)]);
    stage.pongs();
    assert_eq!(hears(&mut stage), command("THREE"));
    stage.tell(&[ToClient::Answer("done".into())]);
    stage.ends();
}

#[test]
fn a_pipe_that_is_not_let_into_a_room_says_nothing_elsewhere_and_its_end_tells() {
    let (_server, mut stage, _ira) = with_ira();
    stage.client.says("/join lab");
    stage.client.says("a secret of the lab");
    stage.client.process.end_input();
    assert_eq!(hears(&mut stage), join(lab(), 0));
    stage.tell(&[refused("the room is locked")]);
    // Nothing is said before it leaves.
    assert_eq!(hears(&mut stage), ToServer::Leave(RoomName::lobby()));
    let session = stage.session();
    stage.left(session);
    stage.tell(&[ToClient::Bye(ByeReason::Left)]);
    let ended = stage.client.process.wait();
    assert_eq!(ended.status, Some(9), "{}", ended.err);
    for line in ["[!] You are not in #lab. The server says: the room is locked", "[!] Not sent: no room is in focus"] {
        assert!(ended.err.contains(line), "{line:?} is not in:\n{}", ended.err);
    }
}
