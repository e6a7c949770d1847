//! Passwords and invitations, as people type them: nothing of a password shows, and the terminal is as it was.

use std::path::Path;

use cfb_chat::chat::message::{ErrorCode, ToClient, ToServer};
use cfb_chat::secure::invitation::Invitation;
use cfb_chat::secure::token::Token;

use super::{Terminal, last_line};
use crate::support::hostile_server::{HostileServer, Served, server};

const PASSWORD: &str = "correct horse";

/// A server that a client in this folder knows already.
fn known_in(folder: &Path) -> HostileServer {
    let hostile = HostileServer::start();
    std::fs::create_dir_all(folder.join("keys")).unwrap();
    std::fs::write(folder.join("keys/known_servers"), format!("127.0.0.1:{} {}\n", hostile.port(), server())).unwrap();
    hostile
}

/// Accepts a client, and asks it for a password.
fn asks(hostile: &HostileServer) -> Served {
    let mut served = Served::accept(hostile);
    served.waits_for(|said| matches!(said, ToServer::Join { password, .. } if password.is_empty()));
    served.tell(&ToClient::Error { code: ErrorCode::Password, text: String::new(), n: 0 });
    served
}

fn is_nowhere(secret: &str, terminal: &Terminal) {
    let screen = terminal.screen.screen().contents();
    assert!(!screen.contains(secret), "what is typed is not shown:\n{screen}");
}

#[test]
fn a_password_is_asked_for_and_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let hostile = known_in(folder.path());
    let port = hostile.port().to_string();
    let arguments = ["-p", &port, "-u", "Ira", "--bits", "2048"];
    let mut ira = Terminal::start(env!("CARGO_BIN_EXE_client"), &arguments, folder.path());
    let mut served = asks(&hostile);
    ira.wait_for("Password for Ira: ");
    ira.enter("short");
    ira.wait_for("[!] a password has 8 to 256 bytes.");
    ira.wait_until("another prompt", |screen| last_line(screen) == "Password for Ira:");
    ira.enter(&format!("nonsense\x15{PASSWORD}"));
    served.waits_for(|said| matches!(said, ToServer::Join { password, .. } if password == PASSWORD));
    served.welcomes(None);
    ira.wait_until("a prompt", |screen| last_line(screen) == ">");
    ira.type_in("seen");
    ira.wait_until("what was typed", |screen| last_line(screen) == "> seen");
    for secret in [PASSWORD, "short", "nonsense"] {
        is_nowhere(secret, &ira);
    }
    // Nor is it in what can be looked back at.
    ira.type_in("\x15\x1b[A");
    ira.type_in("x");
    ira.wait_until("nothing before", |screen| last_line(screen) == "> x");
}

/// A shell around the client shows in which state the terminal is afterwards. Ctrl+C is the shell's too.
fn around_client(port: u16) -> String {
    format!(
        "trap : INT; before=$(stty -g); '{}' -p {port} -u Ira --bits 2048; echo \"code $?\"; [ \"$before\" = \"$(stty -g)\" ] && echo same",
        env!("CARGO_BIN_EXE_client")
    )
}

#[test]
fn the_terminal_is_as_it_was_after_a_prompt_however_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let hostile = known_in(folder.path());
    // Ctrl+C, the end of the input, and the end of the connection.
    for (end, code) in [("\x03", 8), ("\x04", 6), ("", 8)] {
        let mut shell = Terminal::start("sh", &["-c", &around_client(hostile.port())], folder.path());
        let served = asks(&hostile);
        shell.wait_for("Password for Ira: ");
        shell.type_in("half a passw");
        if end.is_empty() {
            served.cuts();
        } else {
            // In the middle of a line the first Ctrl+D only ends that part.
            shell.type_in(if end == "\x04" { "\x15\x04" } else { end });
        }
        shell.wait_for(&format!("code {code}"));
        shell.wait_for("same");
        assert_eq!(shell.wait_for_end(), 0);
        is_nowhere("half a passw", &shell);
    }
}

#[test]
fn a_new_password_is_asked_for_twice_and_is_nowhere_to_be_seen() {
    let folder = tempfile::tempdir().unwrap();
    let hostile = known_in(folder.path());
    let mut shell = Terminal::start("sh", &["-c", &around_client(hostile.port())], folder.path());
    let mut served = Served::accept(&hostile);
    served.welcomes(None);
    shell.wait_until("a prompt", |screen| last_line(screen) == ">");
    for (first, second, told) in [
        (PASSWORD, Some("another horse"), "Nothing is changed: the two were not the same."),
        ("short", Some("short"), "Nothing is changed: a password has 8 to 256 bytes."),
        ("", None, "Nothing is changed: an empty password is none; /password off takes yours away."),
        (PASSWORD, Some(PASSWORD), "[server] It is set."),
    ] {
        shell.enter("/password");
        shell.wait_until("a prompt", |screen| last_line(screen) == "New password, 8 characters or more:");
        shell.enter(first);
        if let Some(second) = second {
            shell.wait_until("another prompt", |screen| last_line(screen) == "The same once more:");
            shell.enter(second);
        }
        if first == PASSWORD && second == Some(PASSWORD) {
            served.waits_for(|said| match said {
                ToServer::Password(password) => {
                    assert_eq!(password, PASSWORD, "and nothing before it");
                    true
                }
                _ => false,
            });
            served.tell(&ToClient::Answer("It is set.".into()));
        }
        shell.wait_for(told);
        shell.wait_until("a prompt", |screen| last_line(screen) == ">");
    }
    shell.enter("/password on the line");
    shell.wait_for("not sent: a password is not typed where it shows");
    shell.type_in("\x1b[A");
    shell.type_in("x");
    shell.wait_until("nothing to look back at", |screen| last_line(screen) == "> x");
    shell.enter("\x15/password off");
    served.waits_for(|said| matches!(said, ToServer::Password(password) if password.is_empty()));
    served.tell(&ToClient::Answer("It is gone.".into()));
    shell.wait_for("[server] It is gone.");
    // Leaving from the middle of it.
    shell.enter("/password");
    shell.wait_until("a prompt", |screen| last_line(screen) == "New password, 8 characters or more:");
    shell.type_in("half a passw\x03");
    shell.wait_for("Nothing is changed: no password was given.");
    shell.wait_until("a prompt", |screen| last_line(screen) == ">");
    shell.enter("EXIT");
    served.waits_for(|said| matches!(said, ToServer::Leave(_)));
    drop(served);
    shell.wait_for("code 0");
    shell.wait_for("same");
    for secret in [PASSWORD, "another horse", "half a passw"] {
        is_nowhere(secret, &shell);
    }
}

#[test]
fn an_invitation_is_asked_for_and_the_rest_is_the_line_editors() {
    let folder = tempfile::tempdir().unwrap();
    let hostile = HostileServer::start();
    let invited = Invitation::new("127.0.0.1", hostile.port(), server(), Token::new([9; 16])).unwrap();
    let arguments = ["--join", "-", "-u", "Ira", "--bits", "2048"];
    let mut ira = Terminal::start(env!("CARGO_BIN_EXE_client"), &arguments, folder.path());
    ira.wait_for("Invitation: ");
    ira.enter(&format!(" {invited} "));
    let mut served = Served::accept(&hostile);
    served.waits_for(|said| matches!(said, ToServer::Join { password, .. } if *password == invited.token().text()));
    served.welcomes(None);
    ira.wait_until("a prompt", |screen| last_line(screen) == ">");
    ira.enter("Hi");
    served.waits_for(|said| matches!(said, ToServer::Numbered { n: 1, .. }));
}
