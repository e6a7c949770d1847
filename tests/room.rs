//! Talk from end to end, between clients as people run them: each test by TCP, and by UDP to the same port.

use std::collections::HashMap;
use std::sync::Barrier;
use std::thread;

use cfb_chat::chat::SessionNumber;
use cfb_chat::chat::message::{Event, LeftReason, ToClient, ToServer};
use rustix::process::Signal;

use crate::support::folder::{Folder, SERVER, USER_A, USER_B};
use crate::support::peer::{ANNA, Answer, BORIS, Peer};
use crate::support::process::{Client, READY, Server, is_time, run_client, talk};

/// The flags that choose a transport, for a server as for a client.
type Transport = &'static [&'static str];

/// Runs each test by each transport.
macro_rules! by_each_transport {
    ($($test:ident,)+) => {
        mod tcp {
            $(#[test]
            fn $test() {
                super::$test(&[]);
            })+
        }
        mod udp {
            $(#[test]
            fn $test() {
                super::$test(&["--udp"]);
            })+
        }
    };
}

by_each_transport! {
    a_conversation_reads_as_it_always_has,
    everybody_hears_everybody_in_one_order_and_each_in_their_own,
    whoever_comes_late_hears_all_from_then_on_and_nothing_before,
    a_line_from_a_pipe_is_delivered_before_the_client_leaves,
    a_pipe_of_which_some_lines_cannot_be_sent_ends_with_a_status_that_says_so,
    sixty_quick_lines_all_arrive_in_order_with_limits_on,
    exit_the_end_of_input_and_signals_leave_in_good_order,
    a_line_is_said_as_it_is_unless_it_is_a_command_and_a_mistyped_command_never_is,
    a_text_of_any_length_up_to_the_bound_arrives_as_it_was_said,
    two_rooms_do_not_hear_each_other,
}

/// Starts a server with all limits on.
fn start_server(by: Transport) -> Server {
    Server::start_in(Folder::of_server(SERVER), &[&["-p", "0"], by].concat())
}

/// Starts a server whose failures earn no penalties.
fn start_unlimited_server(by: Transport) -> Server {
    Server::start_in(Folder::of_server(SERVER), &[&["-p", "0", "--limits", "off"], by].concat())
}

/// Starts a client with user A's key, and waits until it is in the room.
fn join(by: Transport, port: u16, name: &str) -> Client {
    let client = Client::start(port, name, Folder::of_user(name, USER_A), by);
    client.process.out.wait_for(READY);
    client
}

const SET_UP: &str = "\
[+] Connected successfully.
[+] Exchanging keys.
[+] Getting public key from the server
[+] Sending public key to server
[+] Exchange completed!
[+] Initial set up had been completed!
[+] Now you can start to exchange messages
";

fn a_conversation_reads_as_it_always_has(by: Transport) {
    let server = start_server(by);
    let port = server.port;
    let mut sahnawaz = join(by, port, "sahnawaz");
    server.wait_for_log("Secret key had been sent to the client");
    let mut ira = Client::start(port, "Ira", Folder::of_user("Ira", USER_B), by);
    ira.process.out.wait_for(READY);
    sahnawaz.process.out.wait_for("[+] Ira joined the room.");
    ira.says("Hi");
    sahnawaz.sees("Ira", "Hi");
    sahnawaz.says("Hello Ira");
    ira.sees("sahnawaz", "Hello Ira");

    let ira = ira.exit();
    sahnawaz.process.out.wait_for("[+] Ira left the room.");
    let sahnawaz = sahnawaz.exit();
    server.process.err.wait_for_times("left the server.", 2);
    let ended = server.terminate();

    assert_eq!((ira.status, sahnawaz.status, ended.status), (Some(0), Some(0), Some(0)));
    assert_eq!(
        untimed(&sahnawaz.out),
        format!("{SET_UP}[+] Ira joined the room.\n<time> Ira: Hi\n[+] Ira left the room.\n")
    );
    assert_eq!(untimed(&ira.out), format!("{SET_UP}<time> sahnawaz: Hello Ira\n"));
    let log = untimed(&ended.err);
    let (fingerprint, story) = log.split_once('\n').expect("several lines");
    assert!(fingerprint.starts_with("<time> [+] Fingerprint: SHA256:"), "{fingerprint}");
    assert_eq!(
        story,
        "\
<time> [+] New connection. Username: sahnawaz
<time> [+] Client public key had been received
<time> [+] Secret key had been sent to the client
<time> [+] New connection. Username: Ira
<time> [+] Client public key had been received
<time> [+] Secret key had been sent to the client
<time> [+] Broadcast message:  New person joined the room. Username: Ira
<time> Message exchanged
<time> Message exchanged
<time> [+] Ira left the server.
<time> [+] sahnawaz left the server.
"
    );
    assert_eq!(
        ended.out,
        format!(
            "[+] Running on host: 127.0.0.1\n[+] Running on port: {port}\n\
             [+] All connections had been terminated\n[+] Server is shut down\n"
        )
    );
}

/// Times differ; that there is one does not.
fn untimed(text: &str) -> String {
    let line = |line: &str| match line.split_at_checked(20) {
        Some((time, rest)) if is_time(time) => format!("<time> {rest}\n"),
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

fn everybody_hears_everybody_in_one_order_and_each_in_their_own(by: Transport) {
    const SPEAKERS: usize = 5;
    const EACH: usize = 100;
    let server = start_unlimited_server(by);
    let port = server.port;
    let mut listener = Peer::join(port, &BORIS, "listener");
    let together = &Barrier::new(SPEAKERS);
    let heard: Vec<(SessionNumber, Vec<(SessionNumber, String)>)> = thread::scope(|scope| {
        let speakers: Vec<_> = (0..SPEAKERS)
            .map(|number| {
                let mut peer = Peer::join(port, &ANNA, &format!("speaker-{number}"));
                scope.spawn(move || {
                    together.wait();
                    (0..EACH).for_each(|message| peer.say_raw(&message.to_string()));
                    (peer.number, (0..EACH * (SPEAKERS - 1)).map(|_| peer.hears_raw()).collect())
                })
            })
            .collect();
        speakers.into_iter().map(|speaker| speaker.join().expect("it heard all")).collect()
    });
    let all: Vec<(SessionNumber, String)> = (0..SPEAKERS * EACH).map(|_| listener.hears_raw()).collect();

    let mut next: HashMap<SessionNumber, usize> = HashMap::new();
    for (who, text) in &all {
        let next = next.entry(*who).or_default();
        assert_eq!(*text, next.to_string(), "each sender's in its order");
        *next += 1;
    }
    for (session, heard) in heard {
        let others: Vec<_> = all.iter().filter(|(who, _)| *who != session).cloned().collect();
        assert!(heard == others, "everybody's in one order");
    }
}

fn whoever_comes_late_hears_all_from_then_on_and_nothing_before(by: Transport) {
    let server = start_unlimited_server(by);
    let mut speaker = Peer::join(server.port, &ANNA, "speaker");
    let mut late = Vec::new();
    for number in 0..100_u32 {
        if number.is_multiple_of(20) {
            late.push((number, Peer::join(server.port, &BORIS, &format!("late-{number}"))));
        }
        speaker.say_raw(&number.to_string());
        assert_eq!(speaker.is_answered(), Answer::Accepted(speaker.n));
    }
    for (first, peer) in &mut late {
        for number in *first..100 {
            assert_eq!(peer.hears_raw(), (speaker.number, number.to_string()));
        }
    }
}

fn a_line_from_a_pipe_is_delivered_before_the_client_leaves(by: Transport) {
    let server = start_server(by);
    let mut listener = Peer::join(server.port, &BORIS, "listener");
    let port = server.port.to_string();
    for input in ["done\n", "done"] {
        let folder = Folder::of_user("builder", USER_A);
        let ended = run_client(&folder, &[&["-p", &port, "-u", "builder"], by].concat(), input);
        assert_eq!(ended.status, Some(0), "{}", ended.err);
        assert_eq!(listener.hears_said().1, "done");
        let left = listener.sees_change();
        assert!(matches!(left, Event::Left { reason: LeftReason::Left, .. }), "{left:?}");
    }
}

fn a_pipe_of_which_some_lines_cannot_be_sent_ends_with_a_status_that_says_so(by: Transport) {
    let server = start_server(by);
    let port = server.port.to_string();
    let mut peer = Peer::join(server.port, &BORIS, "Boris");
    let folder = Folder::of_user("builder", USER_A);
    let input = format!("first\n/tmp/log is full\n{}\nlast", "x".repeat(5_000));
    let ended = run_client(&folder, &[&["-p", &port, "-u", "builder"], by].concat(), &input);
    assert_eq!(ended.status, Some(9), "{}", ended.err);
    assert!(ended.err.contains("2 lines were not delivered, see above"), "{}", ended.err);
    assert_eq!([peer.hears_said().1, peer.hears_said().1], ["first", "last"], "the rest is delivered");
}

fn sixty_quick_lines_all_arrive_in_order_with_limits_on(by: Transport) {
    let server = start_server(by);
    let mut listener = Peer::join(server.port, &BORIS, "listener");
    let port = server.port.to_string();
    let lines: Vec<String> = (0..60).map(|number| format!("line {number}")).collect();
    let ended = run_client(
        &Folder::of_user("builder", USER_A),
        &[&["-p", &port, "-u", "builder"], by].concat(),
        &lines.join("\n"),
    );
    assert_eq!(ended.status, Some(0), "{}", ended.err);
    for line in lines {
        assert_eq!(listener.hears_said().1, line);
    }
}

/// A way to leave, in words and in deed.
type WayToLeave = (&'static str, fn(&mut Client));

fn exit_the_end_of_input_and_signals_leave_in_good_order(by: Transport) {
    let server = start_server(by);
    let mut listener = Peer::join(server.port, &BORIS, "listener");
    let ways: [WayToLeave; 4] = [
        ("EXIT", |client| client.says("EXIT")),
        ("the end of input", |client| client.process.end_input()),
        ("Ctrl+C", |client| client.process.signal(Signal::INT)),
        ("SIGTERM", |client| client.process.signal(Signal::TERM)),
    ];
    for (way, leave) in ways {
        let mut client = join(by, server.port, "Ira");
        leave(&mut client);
        let ended = client.process.wait();
        assert_eq!(ended.status, Some(0), "{way}: {}", ended.err);
        assert!(matches!(listener.sees_change(), Event::Joined { .. }), "{way}");
        assert!(matches!(listener.sees_change(), Event::Left { reason: LeftReason::Left, .. }), "{way}");
    }
}

fn a_line_is_said_as_it_is_unless_it_is_a_command_and_a_mistyped_command_never_is(by: Transport) {
    let server = start_server(by);
    let mut listener = Peer::join(server.port, &BORIS, "listener");
    let mut client = join(by, server.port, "Ira");
    let typed = [
        ("/sya secret", None),
        ("/say EXIT", Some("EXIT")),
        ("/mgs Boris secret", None),
        ("exit", Some("exit")),
        ("", None),
        ("   ", None),
        ("/say /etc is a folder", Some("/etc is a folder")),
        ("/say", None),
        ("  indented, with 李雷 and 😀", Some("  indented, with 李雷 and 😀")),
        ("/", None),
        ("TERMINATE", Some("TERMINATE")),
        ("/help", None),
        ("/exit", None),
        ("the last", Some("the last")),
    ];
    for (line, _) in typed {
        client.says(line);
    }
    for said in typed.iter().filter_map(|(_, said)| *said) {
        assert_eq!(listener.hears_said().1, said);
    }
    client.process.err.wait_for("[!] not sent, and no such command: /sya; /help lists them.");
    client.process.err.wait_for("[!] not sent, and no such command: /mgs; /help lists them.");
    client.process.err.wait_for("/say TEXT           says TEXT");
    let ended = client.exit();
    assert_eq!((ended.status, talk(&ended.out).len()), (Some(0), 0), "nothing of one's own comes back");
}

fn a_text_of_any_length_up_to_the_bound_arrives_as_it_was_said(by: Transport) {
    let server = start_unlimited_server(by);
    let mut ira = join(by, server.port, "Ira");
    let boris = Client::start(server.port, "Boris", Folder::of_user("Boris", USER_B), by);
    // What is said before she has seen him come is not for him.
    ira.process.out.wait_for("[+] Boris joined the room.");
    for text in ["x".repeat(4_096), "ä".repeat(2_048), "🙂".repeat(1_024), "tab\tand more".into()] {
        ira.says(&text);
        boris.sees("Ira", &text.replace('\t', "<U+0009>"));
    }
    assert_eq!(boris.talk().len(), 4);
}

fn two_rooms_do_not_hear_each_other(by: Transport) {
    let server = start_server(by);
    let mut both = Peer::join(server.port, &ANNA, "both");
    both.ask_to_join("#side");
    both.is_welcomed();
    let mut lobby = Peer::join(server.port, &BORIS, "in-the-lobby");
    let mut side = Peer::enter(server.port, &BORIS, "at-the-side");
    side.ask_to_join("#side");
    side.is_welcomed();
    let joined = [both.sees_change(), both.sees_change()];
    assert!(matches!(&joined[0], Event::Joined { room, .. } if room.as_str() == "#lobby"), "{joined:?}");
    assert!(matches!(&joined[1], Event::Joined { room, .. } if room.as_str() == "#side"), "{joined:?}");

    for (room, text) in [("#lobby", "for the lobby"), ("#side", "for the side"), ("#lobby", "once more")] {
        let say = both.saying(room, text.as_bytes());
        both.send(&say);
        assert_eq!(both.is_answered(), Answer::Accepted(both.n));
    }
    assert_eq!([(); 2].map(|()| lobby.hears_raw().1), ["for the lobby", "once more"]);
    assert_eq!(side.hears_raw().1, "for the side");

    both.leave("#lobby");
    assert!(matches!(both.sees_change(), Event::Left { reason: LeftReason::Left, .. }));
    let say = side.saying("#side", b"still together");
    side.send(&say);
    assert_eq!(both.hears_raw(), (side.number, "still together".into()));
    for peer in [&mut lobby, &mut side] {
        peer.send(&ToServer::Ping);
    }
    lobby.wait_for(|message| match message {
        ToClient::Event { event: Event::Said { .. }, .. } => panic!("{message:?} is not for the lobby"),
        ToClient::Pong => Some(()),
        _ => None,
    });
}
