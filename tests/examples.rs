//! The programs in `examples/`: a bot talks in a server that another program embeds.

use std::path::PathBuf;
use std::process::Command;

use crate::support::folder::{Folder, USER_B};
use crate::support::process::{Client, Process, SERVER_PROGRAM};

/// A program of `examples/`, beside the server's own.
fn example(name: &str) -> PathBuf {
    let program = PathBuf::from(SERVER_PROGRAM).with_file_name("examples").join(name);
    assert!(program.is_file(), "{} is missing: cargo build --examples", program.display());
    program
}

#[test]
fn a_bot_answers_in_a_server_that_another_program_embeds() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Process::start(Command::new(example("embedded_server")).arg(folder.path()));
    let line = server.out.wait_for("listening on 127.0.0.1:");
    let port = line.split([':', ',']).nth(1).unwrap().to_owned();
    server.out.wait_for("cfb-chat://");
    let keys = folder.path().join("bot");
    let mut bot = Process::start(Command::new(example("echo_bot")).arg(keys).arg(&port));
    bot.out.wait_for("Now you can start to exchange messages");
    let mut ira = Client::start(port.parse().unwrap(), "Ira", Folder::of_user("Ira", USER_B), &[]);
    ira.sees("echo", "Welcome, Ira");
    ira.says("/say /help");
    ira.sees("echo", "Ira said: /help");
    assert_eq!(ira.exit().status, Some(0));
    bot.out.wait_for("[+] Ira left the room.");
    server.end_input();
    assert_eq!(server.wait().status, Some(0));
    let ended = bot.wait();
    assert_eq!(ended.status, Some(1), "a bot whose server stops says why: {}", ended.err);
}
