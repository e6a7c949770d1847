//! Keys that begin something longer, bytes that are no text, lines that the terminal cuts: messages are shown meanwhile,
//! and no line is lost or sent in part without a word.

use super::Terminal;

#[test]
fn messages_are_shown_after_each_key_that_others_might_follow() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, port) = Terminal::server(folder.path());
    let mut ira = Terminal::client("Ira", &port, folder.path());
    let mut boris = Terminal::client("Boris", &port, folder.path());
    ira.wait_for("[+] Boris joined the room.");
    boris.type_in("mine");
    for (number, key) in ["\x1b", "\x12", "\x13", "\x16", "\x11", "\x18", "\x1d"].into_iter().enumerate() {
        boris.type_in(key);
        ira.enter(&format!("after key {number}"));
        boris.wait_for(&format!("Ira: after key {number}"));
    }
    boris.enter(" line");
    ira.wait_for("Boris: mine line");
}

#[test]
fn a_byte_that_is_no_text_costs_neither_the_line_nor_the_session() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, port) = Terminal::server(folder.path());
    let mut ira = Terminal::client("Ira", &port, folder.path());
    let mut boris = Terminal::client("Boris", &port, folder.path());
    ira.wait_for("[+] Boris joined the room.");
    boris.type_in("caf au lait");
    boris.type_in(&"\x1b[D".repeat(" au lait".len()));
    // The editor sees that it is no text by the byte behind it, and drops both.
    boris.type_bytes(b"\xe9,");
    boris.wait_for("[!] What you typed is not UTF-8");
    boris.enter("");
    boris.enter("still here");
    ira.wait_for("Boris: still here");
    // The screen of these tests shows no U+FFFD.
    let came = String::from_utf8_lossy(&ira.came);
    assert!(came.contains("Boris: caf\u{fffd} au lait"), "{came}");
}

#[test]
fn a_line_that_the_terminal_cuts_is_refused_and_not_said_in_part() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, port) = Terminal::server(folder.path());
    let mut ira = Terminal::client("Ira", &port, folder.path());
    let client = [env!("CARGO_BIN_EXE_client"), "-u", "Boris", "--bits", "2048", "-p", &port];
    let mut boris = Terminal::start("env", &[&["TERM=dumb"], &client[..]].concat(), folder.path());
    ira.wait_for("[+] Boris joined the room.");
    boris.wait_for("Now you can start");
    boris.type_in(&("x".repeat(5_000) + "\n"));
    boris.wait_for("the terminal cuts lines at 4095 bytes");
    boris.type_in("a short one\n");
    ira.wait_for("Boris: a short one");
    assert!(!ira.lines().iter().any(|line| line.contains("xxxx")), "{:?}", ira.lines());
}
