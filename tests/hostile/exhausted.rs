//! Systems without room for another connection: it is told once, and those who are in go on.

use std::process::Command;
use std::thread;
use std::time::Duration;

use cfb_chat::chat::message::ToServer;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::support::folder::{Folder, SERVER};
use crate::support::peer::{BORIS, Peer, still_serves};
use crate::support::process::{Process, Server, server_command};
use crate::support::wire::Wire;

const TOLD: &str = "[!] Cannot take a connection in: ";
/// As long as it takes for dozens of attempts.
const LONG: Duration = Duration::from_secs(3);

/// A server without limits of its own, but with this one of the system's.
fn limited(limit: &str) -> (Server, usize) {
    let folder = Folder::of_server(SERVER);
    let server = server_command(&folder, &["-p", "0", "--limits", "off", "--log-level", "debug"]);
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{limit}; exec \"$0\" \"$@\"")]).arg(server.get_program()).args(server.get_args());
    let server = Server::running(Process::start(&mut command), folder);
    let told = server.wait_for_log("[!] Room for ");
    let room = told.split("Room for ").nth(1).and_then(|rest| rest.split(' ').next()).expect("a number");
    (server, room.parse().expect("a number"))
}

fn times_told(server: &Server) -> usize {
    server.log().matches(TOLD).count()
}

#[test]
fn as_many_connections_as_the_system_bears_are_taken_and_no_more() {
    for limit in ["ulimit -n 64", "ulimit -n 300"] {
        let (mut server, room) = limited(limit);
        assert!(server.log().contains(" connections at once, as RLIMIT_NOFILE has it"), "{}", server.log());
        assert!((8..300).contains(&room), "{limit}: {room}");
        let mut inside = Peer::join(server.port, &BORIS, "Boris");
        let open: Vec<Wire> = (0..room + 100).map(|_| Wire::connect(server.port)).collect();
        server.wait_for_log(&format!("{TOLD}there are {room} connections at once"));
        thread::sleep(LONG);
        assert_eq!(times_told(&server), 1, "{limit}: {}", server.log());
        inside.send(&ToServer::Ping);
        inside.hears_until_pong();
        drop(open);
        thread::sleep(LONG);
        still_serves(server.port);
        server.process.type_line("STATUS");
        server.process.out.wait_for(&format!("; room for {room} connections at once, as RLIMIT_NOFILE has it"));
    }
}

#[test]
fn descriptors_that_are_used_up_are_told_of_once() {
    let (server, _) = limited("true");
    let _inside = Peer::join(server.port, &BORIS, "Boris");
    let number = i32::try_from(server.process.id()).ok().and_then(Pid::from_raw);
    let bound = |files| {
        let maximum = getrlimit(Resource::Nofile).maximum;
        prlimit(number, Resource::Nofile, Rlimit { current: Some(files), maximum }).expect("it is ours");
    };
    bound(8);
    let open: Vec<Wire> = (0..20).map(|_| Wire::connect(server.port)).collect();
    server.wait_for_log(TOLD);
    thread::sleep(LONG);
    assert_eq!(times_told(&server), 1, "{}", server.log());
    assert!(server.log().contains("Too many open files"), "{}", server.log());
    bound(1_024);
    drop(open);
    still_serves(server.port);
}
