//! Clocks that are wrong when a machine boots, and set right later: over UDP and over TCP.

use std::fs;
use std::path::{Path, PathBuf};

use super::they_talk;
use crate::support::clock::{faketime, with_clock};
use crate::support::folder::{Folder, SERVER, USER_A, USER_B};
use crate::support::process::{Client, Exit, Process, READY, Server, client_command, server_command};

/// Beside the true time: early in 1970, and the true time.
const BOOT: &str = "-20700d";
const RIGHT: &str = "+0d";
/// More failures than an address may have at once.
const MANY: usize = 18;
const CLOCKS_DIFFER: &str = "the two clocks differ by more than a day";

/// A server with all limits, and the file that its clock follows.
fn server_at(setting: &str, library: &Path) -> (Server, PathBuf) {
    let folder = Folder::of_server(SERVER);
    let clock = folder.write("clock", setting, 0o600);
    let command = server_command(&folder, &["--udp", "-p", "0"]);
    (Server::running(Process::start(&mut with_clock(command, library, &clock)), folder), clock)
}

fn by<'a>(transport: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [transport, more].concat()
}

/// A user whose clock is right.
fn comes(port: u16, name: &str, key: &str, transport: &[&str]) -> Client {
    let folder = Folder::of_user(name, key);
    let command = &mut client_command(port, name, &folder, &by(transport, &[]));
    let client = Client { process: Process::start(command), folder };
    client.process.out.wait_for(READY);
    client
}

/// A user who tries once.
fn tries(port: u16, transport: &[&str], library: &Path, setting: &str) -> Exit {
    let folder = Folder::of_user("Boris", USER_B);
    let clock = folder.write("clock", setting, 0o600);
    let command = client_command(port, "Boris", &folder, &by(transport, &["--no-reconnect"]));
    let mut process = Process::start(&mut with_clock(command, library, &clock));
    process.wait()
}

const TRANSPORTS: [&[&str]; 2] = [&["--udp"], &[]];

#[test]
fn newcomers_get_in_as_soon_as_the_servers_clock_is_right() {
    let Some(library) = faketime() else {
        println!("NOT TESTED: a server's clock: there is no libfaketime here (Debian's package faketime)");
        return;
    };
    for wrong in [BOOT, "-9d", "+9d"] {
        for transport in TRANSPORTS {
            let (server, clock) = server_at(wrong, &library);
            for _ in 0..MANY {
                let refused = tries(server.port, transport, &library, RIGHT);
                assert!(refused.err.contains(CLOCKS_DIFFER), "{wrong}, {transport:?}: {}", refused.err);
            }
            fs::write(&clock, RIGHT).expect("a file");
            let anna = comes(server.port, "Anna", USER_A, transport);
            assert_eq!(anna.exit().status, Some(0), "{wrong}, {transport:?}");
        }
    }
}

#[test]
fn a_wrong_clock_of_a_user_is_no_offence() {
    let Some(library) = faketime() else {
        println!("NOT TESTED: a user's clock: there is no libfaketime here (Debian's package faketime)");
        return;
    };
    for transport in TRANSPORTS {
        let (server, _clock) = server_at(RIGHT, &library);
        // By the first the user's program finds that the clocks differ, by the second the server does.
        for wrong in [BOOT, "+3d"] {
            for _ in 0..MANY {
                let refused = tries(server.port, transport, &library, wrong);
                assert!(refused.err.contains(CLOCKS_DIFFER), "{wrong}, {transport:?}: {}", refused.err);
            }
        }
        let anna = comes(server.port, "Anna", USER_A, transport);
        assert_eq!(anna.exit().status, Some(0), "{transport:?}");
        assert!(!server.log().contains("too many failures"), "{}", server.log());
    }
}

/// Server and member boot in 1970 together, and time comes from the network later.
#[test]
fn members_return_when_all_clocks_have_been_set() {
    let Some(library) = faketime() else {
        println!("NOT TESTED: all clocks: there is no libfaketime here (Debian's package faketime)");
        return;
    };
    for wrong in [BOOT, "-9d", "+9d"] {
        for transport in TRANSPORTS {
            let (server, clock) = server_at(wrong, &library);
            let folder = Folder::of_user("Anna", USER_A);
            let command = client_command(server.port, "Anna", &folder, &by(transport, &[]));
            let process = Process::start(&mut with_clock(command, &library, &clock));
            let anna = Client { process, folder };
            anna.process.out.wait_for(READY);
            fs::write(&clock, RIGHT).expect("a file");
            let port = server.port.to_string();
            let Server { mut process, folder, .. } = server;
            process.signal(rustix::process::Signal::KILL);
            process.wait();
            let command = server_command(&folder, &["--udp", "-p", &port]);
            let server = Server::running(Process::start(&mut with_clock(command, &library, &clock)), folder);
            // The member's credential is of another time, so that a new one takes its place.
            server.wait_for_log("New connection. Username: Anna");
            let boris = comes(server.port, "Boris", USER_B, transport);
            anna.process.out.wait_for("[+] Boris joined the room.");
            they_talk(&mut [anna, boris], &format!("{wrong}, {transport:?}"));
        }
    }
}

/// A member's machine is set wrong while the member talks, and then right.
#[test]
fn a_member_whose_clock_jumps_stays_in_the_room() {
    let Some(library) = faketime() else {
        println!("NOT TESTED: a member's clock: there is no libfaketime here (Debian's package faketime)");
        return;
    };
    let (server, _clock) = server_at(RIGHT, &library);
    let folder = Folder::of_user("Anna", USER_A);
    let clock = folder.write("clock", RIGHT, 0o600);
    let command = client_command(server.port, "Anna", &folder, &["--udp"]);
    let process = Process::start(&mut with_clock(command, &library, &clock));
    let anna = Client { process, folder };
    anna.process.out.wait_for(READY);
    let boris = comes(server.port, "Boris", USER_B, &["--udp"]);
    anna.process.out.wait_for("[+] Boris joined the room.");
    let mut people = [anna, boris];
    for setting in ["+9d", RIGHT, "-9d", BOOT, RIGHT] {
        fs::write(&clock, setting).expect("a file");
        they_talk(&mut people, &format!("at {setting}"));
        they_talk(&mut people, &format!("at {setting} again"));
    }
    let log = server.log();
    assert_eq!(log.matches("New connection").count(), 2, "{log}");
    assert!(!log.contains("left the server"), "{log}");
}
