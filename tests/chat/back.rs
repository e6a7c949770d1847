//! Connections that are cut, and a server that is killed: whoever was in comes back, and nothing is lost or said twice.

use super::path::Path;
use crate::support::folder::{Folder, SERVER, USER_A, USER_B};
use crate::support::process::{Client, READY, Server};
use rustix::process::Signal;

const BACK: &str = "[+] Back after ";

/// A server that goes on with sessions for so many seconds.
fn serve(port: &str, window: &str) -> Server {
    serve_in(Folder::of_server(SERVER), port, window)
}

fn serve_in(folder: Folder, port: &str, window: &str) -> Server {
    Server::start_in(folder, &["-p", port, "--limits", "off", "--resume-window", window])
}

fn joins(port: u16, name: &str, key: &str) -> Client {
    let client = Client::start(port, name, Folder::of_user(name, key), &[]);
    client.process.out.wait_for(READY);
    client
}

/// Two people, one of whom is at the end of a path that can be cut.
fn two(server: &Server) -> (Path, Client, Client) {
    let path = Path::to(server.port);
    let anna = joins(path.port, "Anna", USER_A);
    let boris = joins(server.port, "Boris", USER_B);
    anna.process.out.wait_for("[+] Boris joined the room.");
    (path, anna, boris)
}

/// Each reads just this of the other, in this order.
fn have_read(anna: &Client, boris: &Client, texts: &[String]) {
    for (reader, name) in [(anna, "Boris"), (boris, "Anna")] {
        for text in texts {
            reader.sees(name, text);
        }
        let due: Vec<String> = texts.iter().map(|text| format!("{name}: {text}")).collect();
        assert_eq!(reader.talk(), due);
    }
}

/// Leaves, and has been told of nothing that was lost, came twice, or is not known.
fn leaves_with_nothing_amiss(client: Client) {
    let ended = client.exit();
    assert_eq!(ended.status, Some(0), "{}", ended.err);
    let amiss = ["missing", "Dropped", "Not known", "Not delivered", "REFUSED", "new session"]
        .iter()
        .any(|word| ended.err.contains(word));
    assert!(!amiss, "{}", ended.err);
}

#[test]
fn whoever_is_cut_off_comes_back_and_nothing_is_lost_or_said_twice() {
    let server = serve("0", "120");
    let (path, mut anna, mut boris) = two(&server);
    let mut texts = Vec::new();
    for round in 1..=6 {
        for part in ["before", "while it is cut", "after"] {
            let text = format!("{part} {round}.");
            boris.says(&text);
            anna.says(&text);
            texts.push(text);
            if part == "before" {
                path.cut();
                anna.process.err.wait_for_times("[!] Connection lost. Reconnecting …", round);
            }
        }
        anna.process.err.wait_for_times(BACK, round);
    }
    have_read(&anna, &boris, &texts);
    for client in [anna, boris] {
        leaves_with_nothing_amiss(client);
    }
}

#[test]
fn a_server_that_is_killed_and_started_again_has_lost_nothing() {
    let server = serve("0", "120");
    let port = server.port.to_string();
    let (mut anna, mut boris) = (joins(server.port, "Anna", USER_A), joins(server.port, "Boris", USER_B));
    anna.process.out.wait_for("[+] Boris joined the room.");
    anna.says("before.");
    boris.sees("Anna", "before.");
    server.process.signal(Signal::KILL);
    let Server { mut process, folder, .. } = server;
    process.wait();
    for client in [&mut anna, &mut boris] {
        client.process.err.wait_for("[!] Connection lost. Reconnecting …");
        client.says("while nobody is there.");
    }
    let _server = serve_in(folder, &port, "120");
    anna.sees("Boris", "while nobody is there.");
    boris.sees("Anna", "while nobody is there.");
    for client in [anna, boris] {
        client.process.err.wait_for(BACK);
        leaves_with_nothing_amiss(client);
    }
}

#[test]
fn whoever_comes_back_too_late_is_in_again_as_somebody_new() {
    let server = serve("0", "0");
    let (path, mut anna, mut boris) = two(&server);
    for client in [&mut anna, &mut boris] {
        client.says("before.");
    }
    anna.sees("Boris", "before.");
    boris.sees("Anna", "before.");
    path.cut();
    anna.process.err.wait_for("[!] Connection lost. Reconnecting …");
    boris.process.out.wait_for("[+] Anna left the room.");
    boris.says("missed.");
    anna.process.err.wait_for(", in a new session: messages sent meanwhile cannot be caught up.");
    boris.process.out.wait_for_times("[+] Anna joined the room.", 1);
    anna.says("here I am.");
    boris.sees("Anna", "here I am.");
    boris.says("after.");
    anna.sees("Boris", "after.");
    let seen = anna.talk();
    assert!(seen == ["Boris: before.", "Boris: after."] || seen[1] == "Boris: missed.", "{seen:?}");
    if !seen.contains(&"Boris: missed.".to_owned()) {
        anna.process.err.wait_for("[!] 1 message from Boris is missing.");
    }
    assert_eq!([anna.exit().status, boris.exit().status], [Some(0), Some(0)]);
}
