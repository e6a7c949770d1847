//! A server on a machine with several addresses answers from the one that was called.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::they_talk;
use crate::support::PATIENCE;
use crate::support::apart::{is_apart, runs_apart};
use crate::support::folder::{Folder, SERVER, USER_A, USER_B};
use crate::support::process::{Client, READY, Server};

/// After so long without an answer a client takes another port.
const MOVES_AFTER: Duration = Duration::from_secs(3);

fn server_on(host: &str, port: u16) -> Server {
    Server::start_in(Folder::of_server(SERVER), &["--host", host, "-p", &port.to_string(), "--limits", "off", "--udp"])
}

/// Two members, each by an address of the server's own.
fn two_people_at([anna, boris]: [&str; 2], port: u16) -> [Client; 2] {
    let anna = Client::start(port, "Anna", Folder::of_user("Anna", USER_A), &["-s", anna, "--udp"]);
    anna.process.out.wait_for(READY);
    let boris = Client::start(port, "Boris", Folder::of_user("Boris", USER_B), &["-s", boris, "--udp"]);
    boris.process.out.wait_for(READY);
    anna.process.out.wait_for("[+] Boris joined the room.");
    [anna, boris]
}

/// Datagrams of each kind that a server answers: a SYN, and a DATA and an ACK of no known conversation.
fn questions() -> [Vec<u8>; 3] {
    let syn = [&[0][..], b"talk", &[0; 59]].concat();
    let of_kind = |kind: u8| [&[kind][..], b"talk", &[7; 40]].concat();
    [syn, of_kind(4), of_kind(2)]
}

/// Cookies and RESETs come from where they were asked for.
fn answers_strangers(called: IpAddr, port: u16) {
    let any = if called.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    for question in questions() {
        let socket = UdpSocket::bind(any).expect("a port");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
        // Unconnected: an answer from elsewhere is seen too.
        socket.send_to(&question, (called, port)).expect("it is this machine");
        let (_, from) = socket.recv_from(&mut [0; 2_048]).expect("an answer");
        assert_eq!(from, SocketAddr::from((called, port)), "an answer to a datagram of kind {}", question[0]);
    }
}

/// Members come, talk, move and come back by both addresses.
fn talk_goes_on(host: &str, called: [&str; 2]) {
    let server = server_on(host, 0);
    let port = server.port;
    for address in called {
        answers_strangers(address.parse().expect("an address"), port);
    }
    let mut people = two_people_at(called, port);
    they_talk(&mut people, "before");
    // Both clients hear no answer, so they take another port, which the server asks about.
    server.process.signal(Signal::STOP);
    for person in &mut people {
        person.says("said meanwhile");
    }
    thread::sleep(MOVES_AFTER + Duration::from_secs(1));
    server.process.signal(Signal::CONT);
    they_talk(&mut people, "after both moved");
    let log = server.log();
    assert_eq!(log.matches("New connection").count(), 2, "{log}");
    drop(server);
    // A RESET tells that the next server does not know them: by 90 s of silence it would take longer.
    let start = Instant::now();
    let _second = server_on(host, port);
    for person in &mut people {
        person.says("to the next server");
    }
    for person in &people {
        person.process.err.wait_for("[+] Back after ");
    }
    assert!(start.elapsed() < PATIENCE, "by a RESET");
}

#[test]
fn a_server_for_all_ipv4_addresses_answers_from_the_one_that_was_called() {
    talk_goes_on("0.0.0.0", ["127.0.0.5", "127.0.0.77"]);
}

/// Runs `ip` and gives whether it did as it was told.
fn ip(arguments: &str) -> bool {
    Command::new("ip").args(arguments.split(' ')).output().is_ok_and(|told| told.status.success())
}

/// Gives a machine several IPv6 addresses, in a network of the test's own. Clients call from the last, so an answer
/// whose address the system chooses comes from there.
fn with_addresses(test: &str, test_them: impl FnOnce()) {
    if runs_apart(test) {
        return;
    }
    if !is_apart() {
        println!("NOT TESTED: {test}: the system gives no network of its own");
        return;
    }
    if !(5..=7).all(|number| ip(&format!("-6 address add fd00:cfb::{number}/64 dev lo nodad"))) {
        println!("NOT TESTED: {test}: there is no IPv6 here");
        return;
    }
    for number in 5..=6 {
        assert!(ip(&format!("-6 route del local fd00:cfb::{number} table local")));
        assert!(ip(&format!("-6 route add local fd00:cfb::{number} dev lo table local src fd00:cfb::7")));
    }
    test_them();
}

#[test]
fn a_server_for_all_ipv6_addresses_answers_from_the_one_that_was_called() {
    with_addresses("addresses::a_server_for_all_ipv6_addresses_answers_from_the_one_that_was_called", || {
        talk_goes_on("::", ["fd00:cfb::5", "fd00:cfb::6"]);
    });
}

#[test]
fn a_server_for_both_families_answers_ipv4_clients_from_the_address_that_was_called() {
    with_addresses(
        "addresses::a_server_for_both_families_answers_ipv4_clients_from_the_address_that_was_called",
        || {
            talk_goes_on("::", ["127.0.0.5", "fd00:cfb::6"]);
        },
    );
}
