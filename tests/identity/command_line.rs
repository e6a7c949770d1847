//! What the programs say of themselves, and of what they cannot do.

use crate::support::folder::{Folder, SERVER, USER_A};
use crate::support::process::{Server, run_client, run_server};

use crate::support::wire::DeafPort;

#[test]
fn help_has_examples_and_every_exit_status() {
    let folder = Folder::empty();
    let (server, client) = (run_server(&folder, &["--help"]), run_client(&folder, &["--help"], ""));
    for (ended, statuses) in [(server, 4), (client, 8)] {
        assert_eq!((ended.status, ended.err.as_str()), (Some(0), ""));
        for part in ["Usage: ", "Examples:\n", "Exit status:\n"] {
            assert!(ended.out.contains(part), "no {part:?} in\n{}", ended.out);
        }
        let (_, after) = ended.out.split_once("Exit status:\n").expect("it has one");
        for status in 0..=statuses {
            assert!(after.contains(&format!("  {status}  ")), "no exit status {status} in\n{after}");
        }
    }
    for ended in [run_server(&folder, &["--version"]), run_client(&folder, &["--version"], "")] {
        assert_eq!(ended.status, Some(0));
        assert!(ended.out.contains(env!("CARGO_PKG_VERSION")), "{}", ended.out);
    }
    assert_eq!(folder.names(), [""; 0], "and nothing is made");
}

const FINGERPRINT: &str = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

#[test]
fn an_invitation_that_is_none_is_told_and_nobody_is_asked_to_let_one_in() {
    let folder = Folder::of_user("Ira", USER_A);
    let line = format!("cfb-chat://127.0.0.1:9/#{FINGERPRINT}/AAAAAAAAAAAAAAAAAAAAAA");
    let bad = [
        ("", "cannot read the invitation from standard input: there is nothing in it"),
        ("\n", "an invitation begins with cfb-chat://"),
        ("hello\u{1b}[2J\n", "an invitation begins with cfb-chat://"),
        (&line[..line.len() - 1], "a token is 22 characters of base64url"),
        (&line.replace(":9/", ":99999/"), "an invitation's port is a number from 1 to 65535"),
        (&"x".repeat(5_000), "the line is too long"),
    ];
    for (input, why) in bad {
        let ended = run_client(&folder, &["-u", "Ira", "--join", "-"], input);
        assert_eq!(ended.status, Some(2), "{}", ended.err);
        assert!(ended.err.starts_with("error: ") && ended.err.contains(why), "{}", ended.err);
        assert!(!ended.err.contains('\u{1b}'), "{}", ended.err);
    }
    let file = folder.write("invitation", "hello\n", 0o600).display().to_string();
    let ended = run_client(&folder, &["-u", "Ira", "--join-file", &file], "");
    assert_eq!(ended.status, Some(2), "{}", ended.err);
    assert!(ended.err.contains("hint: it is one line: cfb-chat://host:port/#SHA256:…/token"), "{}", ended.err);
    let ended = run_client(&folder, &["-u", "Ira", "--join-file", "/nonexistent"], "");
    assert_eq!(ended.status, Some(3), "{}", ended.err);
    // A good one leads to the server: here there is none.
    let ended = run_client(&folder, &["-u", "Ira", "--join", "-"], &line);
    assert_eq!(ended.status, Some(4), "{}", ended.err);
}

#[test]
fn wrong_usage_is_exit_2_and_makes_nothing() {
    let folder = Folder::empty();
    let client: [&[&str]; 16] = [
        &[],
        &["-u", ""],
        &["-u", "two words"],
        &["-u", "\u{1b}[2Jclear"],
        &["-u", "zero\u{200b}width"],
        &["-u", "123456789012345678901234567890123"],
        &["-u", "Ira", "-p", "0"],
        &["-u", "Ira", "-p", "65536"],
        &["-u", "Ira", "--bits", "1024"],
        &["-u", "Ira", "--fingerprint", "SHA256:short"],
        &["-u", "Ira", "--join", "cfb-chat://a:1/#secret"],
        &["-u", "Ira", "--join", "-", "--join-file", "x"],
        &["-u", "Ira", "--join", "-", "-s", "127.0.0.1"],
        &["-u", "Ira", "--join-file", "x", "-p", "9443"],
        &["-u", "Ira", "--join", "-", "--fingerprint", FINGERPRINT],
        &["--join", "-"],
    ];
    for arguments in client {
        let ended = run_client(&folder, arguments, "");
        assert_eq!(ended.status, Some(2), "{arguments:?}: {}", ended.err);
        assert!(ended.err.starts_with("error: "), "{arguments:?}: {}", ended.err);
    }
    let server: [&[&str]; 5] =
        [&["-p", "65536"], &["-p", "nine"], &["--bits", "2047"], &["--limits", "some"], &["--log-level", "loud"]];
    for arguments in server {
        let ended = run_server(&folder, arguments);
        assert_eq!(ended.status, Some(2), "{arguments:?}: {}", ended.err);
    }
    assert_eq!(folder.names(), [""; 0]);
}

#[test]
fn a_server_that_cannot_be_reached_is_exit_4() {
    let folder = Folder::of_user("Ira", USER_A);
    let nobody = DeafPort::take();
    let ended = run_client(&folder, &["-p", &nobody.port, "-u", "Ira"], "");
    assert_eq!(ended.status, Some(4), "{}", ended.err);
    assert!(ended.err.contains(&format!("error: cannot reach 127.0.0.1:{}: ", nobody.port)), "{}", ended.err);
    assert!(ended.err.contains("\nhint: "), "{}", ended.err);
    let ended = run_client(&folder, &["-s", "no.such.host.invalid", "-u", "Ira"], "");
    assert_eq!(ended.status, Some(4), "{}", ended.err);
}

#[test]
fn an_address_that_cannot_be_listened_on_is_exit_4() {
    let server = Server::start();
    let port = server.port.to_string();
    let cases: [(&[&str], &str); 2] = [
        (&["-p", &port], "hint: another program listens there"),
        (&["-p", "0", "--host", "192.0.2.1"], "hint: --host wants an address of this machine"),
    ];
    for (arguments, hint) in cases {
        let ended = run_server(&Folder::of_server(SERVER), arguments);
        assert_eq!(ended.status, Some(4), "{}", ended.err);
        assert!(ended.err.contains("error: cannot listen on ") && ended.err.contains(hint), "{}", ended.err);
        assert_eq!(ended.out, "");
    }
}
