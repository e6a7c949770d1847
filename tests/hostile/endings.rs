//! How a server ends, and what does not end it.

use std::net::Ipv4Addr;

use rustix::process::Signal;

use crate::support::folder::{Folder, SERVER};
use crate::support::peer::{ANNA, Answer, Peer, still_serves};
use crate::support::process::{Client, Exit, Server};

const CLIENTS: [&str; 5] = ["Anna", "Boris", "Clara", "Dmitri", "Emma"];

fn ends_well(end: impl FnOnce(Server) -> Exit) {
    let server = Server::start();
    let port = server.port;
    let mut clients = CLIENTS.map(|name| Client::join(port, name));
    let ended = end(server);

    let (host, last) = (Ipv4Addr::LOCALHOST, "[+] All connections had been terminated\n[+] Server is shut down\n");
    assert_eq!(ended.out, format!("[+] Running on host: {host}\n[+] Running on port: {port}\n{last}"));
    assert_eq!(ended.status, Some(0), "{}", ended.err);
    for client in &mut clients {
        let ended = client.process.wait();
        assert_eq!(ended.status, Some(7), "{}", ended.err);
        assert!(ended.err.ends_with("error: the server ended the session: it stops (terminated)\n"), "{}", ended.err);
    }
    // At once, although the system still remembers the old one's connections.
    let again = Server::start_in(Folder::of_server(SERVER), &["-p", &port.to_string()]);
    assert_eq!(again.port, port);
    still_serves(port);
}

#[test]
fn terminate_tells_everybody_and_the_port_is_free_at_once() {
    ends_well(Server::terminate);
}

#[test]
fn ctrl_c_ends_it_as_terminate_does() {
    ends_well(|mut server| {
        server.process.signal(Signal::INT);
        server.process.wait()
    });
}

#[test]
fn sigterm_ends_it_as_terminate_does() {
    ends_well(|mut server| {
        server.process.signal(Signal::TERM);
        server.process.wait()
    });
}

#[test]
fn terminate_ends_it_whoever_is_half_way_in_or_has_vanished() {
    let server = Server::without_limits();
    let _silent = crate::support::wire::Wire::connect(server.port);
    let _owes_the_join = Peer::enter(server.port, &ANNA, "Olga");
    Peer::join(server.port, &ANNA, "Anna").reset();
    let mut stays = Peer::join(server.port, &ANNA, "Boris");
    assert_eq!(server.terminate().status, Some(0));
    stays.is_told_bye(cfb_chat::chat::message::ByeReason::Terminated);
    stays.ends();
}

#[test]
fn only_the_exact_word_ends_it() {
    let mut server = Server::without_limits();
    for line in ["hello", "terminate", "TERMINATE now", "\u{1b}[2J", "EXIT", "\u{0}"] {
        server.process.type_line(line);
    }
    server.process.out.wait_for("no such command: hello; HELP lists them");
    server.process.out.wait_for("to stop the server type TERMINATE, in capitals");
    server.process.type_line("WHO");
    server.process.out.wait_for("no user is here");
    still_serves(server.port);
    assert_eq!(server.terminate().status, Some(0));
}

#[test]
fn the_end_of_its_input_leaves_it_running() {
    let mut server = Server::without_limits();
    server.process.end_input();
    still_serves(server.port);
    server.process.signal(Signal::TERM);
    assert_eq!(server.process.wait().status, Some(0));
}

#[test]
fn a_log_that_nobody_reads_stops_no_room() {
    let (server, _unread) = Server::with_unread_log();
    let mut peer = Peer::join(server.port, &ANNA, "Anna");
    // More lines than the system's pipe and the server's queue hold together.
    for _ in 0..70 {
        (0..100).for_each(|_| peer.say_raw("x"));
        (0..100).for_each(|_| assert!(matches!(peer.is_answered(), Answer::Accepted(_))));
    }
    still_serves(server.port);
    assert_eq!(server.terminate().status, Some(0));
}
