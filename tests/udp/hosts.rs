//! Servers whose name has several addresses, of which the first is no use: over UDP and over TCP.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, ToSocketAddrs, UdpSocket};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use cfb_chat::secure::handshake::RefusalCode;
use cfb_chat::secure::handshake::server::refused_bare;
use rustix::process::Signal;

use crate::support::apart::{is_apart, runs_apart};
use crate::support::folder::{Folder, SERVER, USER_A};
use crate::support::process::{Client, Process, READY, Server, client_command, server_command};

const HOST: &str = "chat.test";
/// An address that takes a connection and is silent ends it after this.
const PATIENCE_OF_ONE: Duration = Duration::from_secs(10);

/// What the first address does with a connection.
#[derive(Clone, Copy, Debug)]
enum Useless {
    Silent,
    /// Over UDP it gives cookies, and is silent then.
    GivesCookies,
    HangsUp,
    SpeaksHttp,
    IsBusy,
    /// There is no listener.
    Closed,
    /// Connections wait for ever to be accepted, or datagrams to be read.
    Full,
}

/// Gives `HOST` these addresses, in a network and with mounts of the test's own. Returns false if the test is done.
fn with_names(test: &str, addresses: &[Ipv4Addr]) -> bool {
    if runs_apart(test) {
        return false;
    }
    if !is_apart() {
        println!("NOT TESTED: {test}: the system gives no network and mounts of its own");
        return false;
    }
    let folder = Folder::empty();
    let lines: Vec<String> = addresses.iter().map(|address| format!("{address} {HOST}\n")).collect();
    let hosts = folder.write("hosts", lines.concat(), 0o644);
    let mounted = Command::new("mount").arg("--bind").arg(&hosts).arg("/etc/hosts").status();
    let found = (HOST, 1).to_socket_addrs().map_or(0, Iterator::count);
    if !mounted.is_ok_and(|status| status.success()) || found != addresses.len() {
        println!("NOT TESTED: {test}: the system's names cannot be set");
        return false;
    }
    true
}

/// The addresses of `HOST`, in the order in which a client tries them.
fn in_order() -> Vec<SocketAddr> {
    (HOST, 0).to_socket_addrs().expect("it has addresses").collect()
}

/// Is useless at an address and a port, until the test ends.
fn is_useless_at(mut address: SocketAddr, port: u16, how: Useless) {
    address.set_port(port);
    if matches!(how, Useless::Closed) {
        return;
    }
    let datagrams = UdpSocket::bind(address).expect("a port of its own");
    if matches!(how, Useless::GivesCookies) {
        let cookies = datagrams.try_clone().expect("a socket");
        thread::spawn(move || {
            let mut buffer = [0; 2_048];
            while let Ok((length, from)) = cookies.recv_from(&mut buffer) {
                if length >= 5 && buffer[0] == 0 {
                    let _ = cookies.send_to(&[&[1], &buffer[1..5], &[7; 16]].concat(), from);
                }
            }
        });
    }
    let listener = TcpListener::bind(address).expect("a port of its own");
    thread::spawn(move || {
        let _datagrams = datagrams;
        if matches!(how, Useless::Full) {
            thread::sleep(crate::support::PATIENCE * 10);
        }
        let mut kept = Vec::new();
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            match how {
                Useless::Silent | Useless::GivesCookies | Useless::Full | Useless::Closed => kept.push(stream),
                Useless::HangsUp => drop(stream),
                Useless::SpeaksHttp => {
                    let _ = stream.read(&mut [0; 4_096]);
                    let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
                }
                Useless::IsBusy => {
                    let _ = stream.write_all(&refused_bare(RefusalCode::Busy).farewell.expect("it says so"));
                }
            }
        }
    });
}

fn comes(port: u16, transport: &[&str]) -> (Client, Duration) {
    let folder = Folder::of_user("Anna", USER_A);
    let start = Instant::now();
    let process = Process::start(&mut client_command(port, "Anna", &folder, &[&["-s", HOST], transport].concat()));
    process.out.wait_for(READY);
    (Client { process, folder }, start.elapsed())
}

#[test]
fn the_next_address_of_a_name_is_tried_when_the_first_does_not_answer() {
    let (second, third) = (Ipv4Addr::new(127, 0, 0, 12), Ipv4Addr::new(127, 0, 0, 13));
    let test = "hosts::the_next_address_of_a_name_is_tried_when_the_first_does_not_answer";
    if !with_names(test, &[Ipv4Addr::new(127, 0, 0, 11), second, third]) {
        return;
    }
    let all = in_order();
    for how in [
        Useless::Silent,
        Useless::GivesCookies,
        Useless::HangsUp,
        Useless::SpeaksHttp,
        Useless::IsBusy,
        Useless::Closed,
        Useless::Full,
    ] {
        // A SYN has an answer or none; other differences are those of streams.
        let is_of_both = matches!(how, Useless::Silent | Useless::Closed | Useless::GivesCookies);
        for transport in [&["--udp"][..], &[]].into_iter().filter(|by| by.is_empty() || is_of_both) {
            let host = all[2].ip().to_string();
            let folder = Folder::of_server(SERVER);
            let command = || server_command(&folder, &["--udp", "--host", &host, "-p", "0", "--limits", "off"]);
            let mut process = Process::start(&mut command());
            let line = process.out.wait_for("[+] Running on port: ");
            let port: u16 = line.rsplit(' ').next().and_then(|port| port.parse().ok()).expect("a port");
            is_useless_at(all[0], port, how);
            is_useless_at(all[1], port, how);
            let (mut anna, took) = comes(port, transport);
            println!("{how:?}, {transport:?}: {took:?}");
            assert!(took < PATIENCE_OF_ONE, "{how:?}, {transport:?}: {took:?}");
            // The same for a client that comes back.
            process.signal(Signal::KILL);
            process.wait();
            let (number, folder) = (port.to_string(), folder);
            let again = ["--udp", "--host", &host, "-p", &number, "--limits", "off"];
            let server = Server::running(Process::start(&mut server_command(&folder, &again)), folder);
            anna.says("are you there?");
            anna.process.err.wait_for("[+] Back after ");
            assert_eq!(anna.exit().status, Some(0), "{how:?}, {transport:?}");
            assert_eq!(server.terminate().status, Some(0));
        }
    }
}

#[test]
fn a_name_without_an_address_that_answers_is_told_of_once_all_were_tried() {
    let test = "hosts::a_name_without_an_address_that_answers_is_told_of_once_all_were_tried";
    if !with_names(test, &[Ipv4Addr::new(127, 0, 0, 11), Ipv4Addr::new(127, 0, 0, 12)]) {
        return;
    }
    let all = in_order();
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr()).expect("a port").port();
    is_useless_at(all[0], port, Useless::Silent);
    for transport in [&["--udp"][..], &[]] {
        let folder = Folder::of_user("Anna", USER_A);
        let command = &mut client_command(port, "Anna", &folder, &[&["-s", HOST], transport].concat());
        let ended = Process::start(command).wait();
        assert_ne!(ended.status, Some(0));
        // Over TCP the first has listened, which says more than that there is no listener at the second.
        let why = if transport.is_empty() { "did not answer in time" } else { "cannot reach" };
        assert!(ended.err.contains(why), "{transport:?}: {}", ended.err);
    }
}
