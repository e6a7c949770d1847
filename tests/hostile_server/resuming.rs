//! Connections that are lost, and what a server may do when the client comes back: the session goes on only if all that
//! the server says fits, and what was said is neither lost unseen nor said twice.

use std::time::{Duration, Instant};

use cfb_chat::chat::SessionNumber as Number;
use cfb_chat::chat::message::{ByeReason, ErrorCode, Event, Numbered, SessionId, ToClient, ToServer, Welcome};
use cfb_chat::chat::name::{Name, RoomName};
use cfb_chat::secure::e2e::sealed_box::Purpose;
use rustix::process::Signal;

use crate::support::hostile_server::{HostileServer, IRA, MALLORY, Member, Stage, home, known, number, padded};

const NOT_DUE: &str = "a Welcome that was not due";
const LOST: &str = "[!] Connection lost. Reconnecting …";
const NEW_SESSION: &str = ", in a new session: messages sent meanwhile cannot be caught up.";

/// A room with Ira, who has been heard.
fn with_ira() -> (HostileServer, Stage, Member) {
    let (server, mut ira) = (HostileServer::start(), Member::ira());
    let mut stage = server.meets(home(""), &[]);
    stage.welcomes(&[&ira]);
    stage.shares(&mut ira);
    stage.says(&mut ira, "before");
    stage.told();
    (server, stage, ira)
}

fn join(cursor: u64) -> ToServer {
    ToServer::Join { room: RoomName::lobby(), password: String::new(), cursor }
}

/// The connection ends, and the client is there again, as the same, and asks to go on from where it was.
fn comes_back(server: &HostileServer, stage: &mut Stage) {
    let session = stage.session();
    stage.hangs_up();
    is_there_again(server, stage, session);
    stage.client.process.err.wait_for(LOST);
}

fn is_there_again(server: &HostileServer, stage: &mut Stage, session: SessionId) {
    assert_eq!(server.meets_again(stage), join(stage.cursor));
    assert_eq!(stage.session(), session, "under the same credential");
}

fn goes_on(stage: &mut Stage) {
    let resumed = stage.resumed();
    stage.tell(&[ToClient::Welcome(resumed)]);
}

/// The client is refused, and is there again as somebody new, among these.
fn begins_anew(server: &HostileServer, stage: &mut Stage, members: &[&Member], why: &[ToClient]) {
    let (session, cursor) = (stage.session(), stage.cursor);
    stage.tell(why);
    assert_eq!(server.meets_again(stage), join(0));
    assert_ne!(stage.session(), session, "another credential");
    stage.introduces(members);
    stage.cursor = cursor + 5;
    let welcome = stage.welcome();
    stage.tell(&[ToClient::Welcome(welcome)]);
}

fn refused() -> [ToClient; 1] {
    [ToClient::Error { code: ErrorCode::Refused, text: "no such session".into(), n: 0 }]
}

/// PROTOCOL.md 8.4-4, 8.4-8.
#[test]
fn the_session_goes_on_and_what_was_missed_is_caught_up() {
    let (server, mut stage, mut ira) = with_ira();
    stage.hangs_up();
    let mut missed = Vec::new();
    for text in ["while you were away", "and more"] {
        let envelope = stage.envelope_from(&mut ira, text);
        missed.push(stage.said(&ira, envelope));
    }
    let boxed = stage.whisper_from(&mut ira, "and for you alone");
    missed.push(Event::Whispered { who: ira.session(), boxed });
    let session = stage.session();
    is_there_again(&server, &mut stage, session);
    goes_on(&mut stage);
    for event in missed {
        stage.event(event);
    }
    stage.pongs();
    let told = stage.told();
    assert_eq!(told[0], LOST);
    assert!(told[1].starts_with("[+] Back after ") && told[1].ends_with(" s; 3 messages caught up."), "{told:?}");
    assert_eq!(told.len(), 2);
    comes_back(&server, &mut stage);
    goes_on(&mut stage);
    stage.pongs();
    stage.is_told_of(" s; nothing was missed.");
    stage.says(&mut ira, "here we are");
    assert_eq!(stage.talks_to(&mut ira, "all of us"), [ira.number()]);
    stage.ends();
}

/// PROTOCOL.md 8.5-5.
#[test]
fn a_welcome_that_does_not_say_just_this_ends_it() {
    let bends: [fn(&mut Welcome, Number); 7] = [
        |welcome, _| welcome.resumed = false,
        |welcome, own| welcome.members = vec![own],
        |welcome, own| welcome.own = Number(own.0 + 1),
        |welcome, _| welcome.change = 1,
        |welcome, _| welcome.cursor += 1,
        |welcome, _| welcome.cursor -= 1,
        |welcome, _| welcome.room = RoomName::parse("#other").expect("a room"),
    ];
    for bend in bends {
        let (server, mut stage, _) = with_ira();
        comes_back(&server, &mut stage);
        let mut welcome = stage.resumed();
        bend(&mut welcome, number(stage.session()));
        stage.tell(&[ToClient::Welcome(welcome)]);
        stage.ends_for(NOT_DUE, &["Ira: before"]);
    }
    // One that lets it in anew, as if it had asked for that.
    let (server, mut stage, ira) = with_ira();
    comes_back(&server, &mut stage);
    let welcome = Welcome { cursor: stage.cursor + 1, ..stage.welcome() };
    stage.tell(&[ToClient::Welcome(welcome)]);
    stage.ends_for(NOT_DUE, &["Ira: before"]);
    let (server, mut stage, _) = with_ira();
    comes_back(&server, &mut stage);
    stage.tell(&[ira.person()]);
    stage.ends_for("something before the Welcome that was not due", &["Ira: before"]);
    // And one by which a session goes on that there never was; or twice.
    let mut stage = HostileServer::start().meets(home(""), &[]);
    stage.introduces(&[]);
    let welcome = Welcome { resumed: true, ..stage.welcome() };
    stage.tell(&[ToClient::Welcome(welcome)]);
    stage.ends_for(NOT_DUE, &[]);
    let (server, mut stage, _) = with_ira();
    comes_back(&server, &mut stage);
    goes_on(&mut stage);
    goes_on(&mut stage);
    stage.ends_for(NOT_DUE, &["Ira: before"]);
}

#[test]
fn what_has_come_does_not_come_again() {
    let (server, mut stage, mut ira) = with_ira();
    comes_back(&server, &mut stage);
    goes_on(&mut stage);
    let envelope = stage.envelope_from(&mut ira, "as if it were new");
    let event = stage.said(&ira, envelope);
    let cursor = stage.cursor;
    stage.cursor -= 1;
    stage.event(event);
    stage.ends_for(&format!("event {cursor} came after event {cursor}"), &["Ira: before"]);
}

/// PROTOCOL.md 8.5-1.
#[test]
fn what_has_no_answer_is_sent_again_as_it_was_and_goes_before_what_is_new() {
    let (server, mut stage, mut ira) = with_ira();
    stage.talks_to(&mut ira, "answered");
    for line in ["one", "two", "/w Ira three", "four"] {
        stage.client.says(line);
    }
    let sent: Vec<(u64, Numbered)> = (0..4).map(|_| stage.hear_numbered()).collect();
    stage.tell(&[ToClient::Accepted(sent[0].0)]);
    stage.sync();
    for round in 0..3 {
        comes_back(&server, &mut stage);
        stage.client.says(&format!("typed while away {round}"));
        goes_on(&mut stage);
        stage.pongs();
        let again: Vec<(u64, Numbered)> = (0..3).map(|_| stage.hear_numbered()).collect();
        assert_eq!(again, sent[1..]);
    }
    let numbers: Vec<u64> = sent[1..].iter().map(|(n, _)| *n).collect();
    stage.tell(&numbers.iter().map(|n| ToClient::Accepted(*n)).collect::<Vec<_>>());
    let mut all = sent;
    for _ in 0..3 {
        let (n, body) = stage.hear_numbered();
        assert_eq!(n, all.last().expect("some").0 + 1, "what is new is counted on");
        stage.tell(&[ToClient::Accepted(n)]);
        all.push((n, body));
    }
    let mut heard = Vec::new();
    for (_, body) in all {
        match body {
            Numbered::Say { envelope, .. } => heard.push(ira.reads(&stage, &envelope)),
            Numbered::Whisper { boxed, .. } => heard.push(ira.hears(&stage, &boxed)),
            other => panic!("{other:?}"),
        }
    }
    let away = [0, 1, 2].map(|round| format!("typed while away {round}"));
    assert_eq!(heard[..4], ["one", "two", "three", "four"]);
    assert_eq!(heard[4..], away);
    stage.ends();
}

#[test]
fn what_was_put_off_comes_again_after_what_was_under_way() {
    let (server, mut stage, mut ira) = with_ira();
    stage.talks_to(&mut ira, "first");
    stage.client.says("second");
    stage.client.says("third");
    let [second, third] = [stage.hear_numbered(), stage.hear_numbered()];
    stage.answers(ErrorCode::Wait, second.0);
    stage.sync();
    comes_back(&server, &mut stage);
    goes_on(&mut stage);
    assert_eq!(stage.hear_numbered(), third, "it has no answer");
    stage.answers(ErrorCode::Again, second.0);
    assert_eq!(stage.hear_numbered(), second);
    assert_eq!(stage.hear_numbered(), third);
    stage.tell(&[ToClient::Accepted(second.0), ToClient::Accepted(third.0)]);
    stage.ends();
}

#[test]
fn an_answer_that_came_before_the_loss_does_not_come_again() {
    let (server, mut stage, mut ira) = with_ira();
    stage.talks_to(&mut ira, "first");
    comes_back(&server, &mut stage);
    goes_on(&mut stage);
    stage.tell(&[ToClient::Accepted(2)]);
    stage.ends_for("an answer to message 2, which is not due", &["Ira: before"]);
}

/// PROTOCOL.md 8.5-2.
#[test]
fn a_name_that_was_asked_for_is_asked_for_again() {
    let server = HostileServer::start();
    let mut stage = server.meets(home(&known("Ira", &IRA, "")), &[]);
    stage.welcomes(&[]);
    stage.client.says("/w Ira Hello");
    let lookup = ToServer::Lookup(Name::parse("Ira").expect("a name"));
    while stage.hear() != lookup {}
    comes_back(&server, &mut stage);
    goes_on(&mut stage);
    while stage.hear() != lookup {}
    let spki = IRA.public().spki().to_vec();
    stage.tell(&[ToClient::Found { name: Name::parse("Ira").expect("a name"), spki }]);
    assert!(matches!(stage.takes(), Numbered::Letter { .. }));
    stage.client.process.out.wait_for("[letter to Ira, without forward secrecy] Hello");
    stage.ends();
}

/// PROTOCOL.md 8.6-1, 8.6-2.
#[test]
fn who_is_refused_begins_anew_and_says_what_is_known_of_each_message() {
    let (server, mut stage, mut ira) = with_ira();
    let mallory = Member::mallory();
    stage.joins(&mallory);
    let read_before = stage.envelope_from(&mut ira, "read in the first session");
    stage.relays(&ira, read_before);
    stage.client.sees("Ira", "read in the first session");
    stage.talks_to(&mut ira, "answered");
    stage.told();
    stage.client.says("under way");
    stage.client.says("/w Ira a secret under way");
    stage.hear_numbered();
    stage.hear_numbered();
    comes_back(&server, &mut stage);
    stage.client.says("typed while away");
    stage.client.says("/w Ira for you");
    stage.client.says("/w Mallory too late");
    stage.client.says("/list");
    stage.client.process.err.wait_for("You are reconnecting: these were the members");
    // Mallory is gone by then.
    let old = ira.key.shared("#lobby");
    begins_anew(&server, &mut stage, &[&ira], &refused());
    stage.client.process.out.wait_for("[+] Mallory left the room.");
    let told = stage.told().join("\n");
    for line in [
        "[!] Delivery unknown: under way\n",
        "[!] Delivery unknown, to Ira alone: a secret under way\n",
        NEW_SESSION,
        "[!] Not delivered (Mallory has just gone: another /whisper leaves a letter): too late",
    ] {
        assert!(told.contains(line), "{line:?} is not in:\n{told}");
    }
    let mut ira_again = Member::with_credential("Ira", &IRA, ira.credential);
    ira_again.key = ira.key;
    let mut said = Vec::new();
    for n in 1..=3 {
        let (number, body) = stage.hear_numbered();
        assert_eq!(number, n, "numbers begin anew");
        stage.tell(&[ToClient::Accepted(n)]);
        match body {
            Numbered::Share(boxes) => ira_again.takes_key(&stage, &boxes),
            Numbered::Say { envelope, .. } => said.push(ira_again.reads(&stage, &envelope)),
            Numbered::Whisper { boxed, .. } => said.push(ira_again.hears(&stage, &boxed)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(said, ["typed while away", "for you"]);
    // What Ira says is counted on: nothing is shown twice, and what is missing shows.
    let boxed = ira_again.boxes_up(&stage.keys, stage.server, Purpose::Key, &old);
    stage.event(Event::Shared { who: ira_again.session(), boxed });
    let missed = stage.envelope_from(&mut ira_again, "missed");
    stage.says(&mut ira_again, "after");
    stage.is_told("[!] 1 message from Ira is missing.");
    stage.relays(&ira_again, missed);
    stage.is_told("[!] Dropped: a repeated message from Ira.");
    assert_eq!(stage.talk().iter().filter(|line| line.contains("read in the first")).count(), 1);
    stage.ends();
}

/// PROTOCOL.md 8.6-4.
#[test]
fn what_was_read_in_the_first_session_is_passed_over_in_the_next() {
    let (server, mut stage, mut ira) = with_ira();
    let first_key = ira.key.shared("#lobby");
    let again = ira.key.seal(&padded("read before"));
    let envelope = again.sign(&ira.credential, stage.server, "#lobby", stage.roster());
    stage.relays(&ira, envelope);
    stage.client.sees("Ira", "read before");
    comes_back(&server, &mut stage);
    begins_anew(&server, &mut stage, &[&ira], &refused());
    stage.told();
    ira.boxes = 0;
    let boxed = ira.boxes_up(&stage.keys, stage.server, Purpose::Key, &first_key);
    stage.event(Event::Shared { who: ira.session(), boxed });
    let envelope = again.sign(&ira.credential, stage.server, "#lobby", stage.roster());
    stage.relays(&ira, envelope);
    assert!(stage.told().is_empty(), "it was shown then");
    stage.says(&mut ira, "new");
    assert!(stage.told().is_empty(), "and nothing is missing");
    assert_eq!(stage.talk(), ["Ira: before", "Ira: read before", "Ira: new"]);
    stage.ends();
}

#[test]
fn who_was_too_slow_is_told_how_much_it_may_be() {
    let (server, mut stage, ira) = with_ira();
    begins_anew(&server, &mut stage, &[&ira], &[ToClient::Bye(ByeReason::Slow)]);
    let told = stage.told();
    assert!(told[0].contains("too many messages were waiting for you. Reconnecting …"), "{told:?}");
    assert!(told[1].contains("too many events to catch up (5 events at most). Missing messages"), "{told:?}");
    assert_eq!(told.len(), 2);
    stage.ends();
}

/// PROTOCOL.md 8.6-3.
#[test]
fn whoever_is_cut_off_before_a_welcome_comes_as_somebody_new() {
    let server = HostileServer::start();
    let mut stage = server.meets(home(""), &[]);
    let first = stage.session();
    stage.hangs_up();
    assert_eq!(server.meets_again(&mut stage), join(0));
    assert_ne!(stage.session(), first);
    stage.welcomes(&[]);
    // And so after a session that could not go on.
    comes_back(&server, &mut stage);
    let resumed = stage.session();
    stage.tell(&refused());
    for _ in 0..2 {
        assert_eq!(server.meets_again(&mut stage), join(0));
        stage.hangs_up();
    }
    assert_eq!(server.meets_again(&mut stage), join(0));
    assert_ne!(stage.session(), resumed);
    stage.welcomes(&[]);
    stage.is_told_of(NEW_SESSION);
    stage.ends();
    // If that never ends, it does.
    let mut stage = server.meets(home(""), &[]);
    for _ in 0..3 {
        stage.hangs_up();
        server.meets_again(&mut stage);
    }
    stage.hangs_up();
    let ended = stage.client.process.wait();
    assert_eq!(ended.status, Some(8), "{}", ended.err);
}

/// PROTOCOL.md 8.7-1.
#[test]
fn nothing_is_sent_to_another_server_that_is_there_instead() {
    let (mut server, mut stage, _) = with_ira();
    server.becomes(&MALLORY);
    stage.client.says("a secret");
    stage.hangs_up();
    let (_, channel) = server.accepts(|| stage.client.process.err.so_far());
    assert!(channel.is_err(), "it does not say who it is");
    let ended = stage.client.process.wait();
    assert_eq!(ended.status, Some(5), "{}", ended.err);
    assert!(ended.err.contains("HAS CHANGED KEYS"), "{}", ended.err);
}

#[test]
fn whoever_wants_to_leave_while_away_leaves() {
    let (server, mut stage, _) = with_ira();
    drop(server);
    stage.hangs_up();
    stage.client.process.err.wait_for(LOST);
    let asked = Instant::now();
    stage.client.says("EXIT");
    let ended = stage.client.process.wait();
    assert_eq!(ended.status, Some(0), "{}", ended.err);
    assert!(asked.elapsed() < Duration::from_secs(5), "at once");
    // With something that is not delivered it waits for the server, and at the second Ctrl+C no longer.
    let (server, mut stage, _) = with_ira();
    drop(server);
    stage.client.says("Is anybody there?");
    stage.hear_numbered();
    stage.hangs_up();
    stage.client.process.err.wait_for(LOST);
    stage.client.process.signal(Signal::INT);
    stage.client.process.signal(Signal::TERM);
    let ended = stage.client.process.wait();
    assert_eq!(ended.status, Some(8), "{}", ended.err);
    assert!(ended.err.contains("it is not known whether your last"), "{}", ended.err);
}

/// PROTOCOL.md 8.5-3.
#[test]
fn whoever_leaves_while_away_with_something_to_deliver_delivers_it_first() {
    let (server, mut stage, mut ira) = with_ira();
    stage.talks_to(&mut ira, "first");
    comes_back(&server, &mut stage);
    stage.client.says("my last words");
    stage.client.says("EXIT");
    goes_on(&mut stage);
    let (n, body) = stage.hear_numbered();
    let Numbered::Say { envelope, .. } = body else { panic!("{body:?}") };
    assert_eq!(ira.reads(&stage, &envelope), "my last words");
    stage.tell(&[ToClient::Accepted(n)]);
    while !matches!(stage.hear(), ToServer::Leave(_)) {}
    // Coming back only to leave is not worth it.
    stage.hangs_up();
    assert_eq!(stage.client.process.wait().status, Some(0));
}

/// PROTOCOL.md 8.2-1.
#[test]
fn the_server_is_told_in_a_while_what_has_come() {
    let (_server, mut stage, mut ira) = with_ira();
    while !matches!(stage.hear(), ToServer::Seen(_)) {}
    stage.told();
    let start = Instant::now();
    for text in ["one", "two", "three"] {
        stage.says(&mut ira, text);
    }
    let cursor = stage.cursor;
    let mut seen = Vec::new();
    while seen.last() != Some(&cursor) {
        if let ToServer::Seen(cursor) = stage.hear() {
            seen.push(cursor);
        }
    }
    // 20 s after the first at the latest; twice that, so that a busy machine fails nobody.
    assert!(seen.len() <= 2 && start.elapsed() < Duration::from_secs(40), "{seen:?} after {:?}", start.elapsed());
    stage.ends();
}

#[test]
fn who_has_lost_their_connection_is_listed_so_until_they_are_back_or_gone() {
    let (_server, mut stage, ira) = with_ira();
    let listed = |stage: &mut Stage, times: usize| {
        stage.sync();
        stage.client.says("/list");
        let lines = stage.client.process.err.wait_for_times("    Ira ", times);
        lines[times - 1].ends_with("  (reconnecting)")
    };
    let (session, is_lost) = (ira.session(), |lost| Event::Presence { who: Member::session(&ira), lost });
    assert!(!listed(&mut stage, 1));
    stage.event(is_lost(true));
    assert!(listed(&mut stage, 2));
    stage.event(is_lost(false));
    assert!(!listed(&mut stage, 3));
    stage.event(is_lost(true));
    stage.left(session);
    stage.joined(session);
    assert!(!listed(&mut stage, 4));
    let told = stage.client.process.err.so_far();
    assert!(!told.contains("[!] Connection lost"), "it is not one's own: {told}");
    stage.ends();
}
