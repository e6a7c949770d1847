//! Coming in where one is not known: with the password of a name, and by invitation. PROTOCOL.md §6.

use cfb_chat::chat::state::Access;
use cfb_chat::secure::invitation::Invitation;
use cfb_chat::server::{self, ServerConfig};

use crate::support::folder::{Folder, SERVER, USER_A, USER_B};
use crate::support::process::{Exit, Server, run_client};

/// Somebody with a password in a file, who says these lines.
struct Visitor {
    folder: Folder,
    port: String,
    password: String,
}

impl Visitor {
    fn new(name: &str, key: &str, port: u16, password: &str) -> Self {
        let folder = Folder::of_user(name, key);
        let password = folder.write("password", password, 0o600).display().to_string();
        Self { folder, port: port.to_string(), password }
    }

    fn visits(&self, name: &str, lines: &str) -> Exit {
        run_client(&self.folder, &["-p", &self.port, "-u", name, "--password-file", &self.password], lines)
    }
}

#[test]
fn a_name_with_a_password_is_used_with_another_key_by_whoever_knows_it() {
    let server = Server::without_limits();
    let ira = Visitor::new("Ira", USER_A, server.port, "Zoe\u{308} 1234\n");
    let first = ira.visits("Ira", "/password\n");
    assert_eq!(first.status, Some(9), "{}", first.err);
    assert!(first.err.contains("[!] Nothing is changed: this is the first contact"), "{}", first.err);

    // Without a password the name is its first key's alone.
    let other = Visitor::new("Ira", USER_B, server.port, "Zoë 1234\n");
    let taken = other.visits("Ira", "");
    assert_eq!(taken.status, Some(6), "{}", taken.err);
    assert!(taken.err.contains("its owner can set a password with /password"), "{}", taken.err);

    let set = ira.visits("Ira", "/password\n");
    assert_eq!(set.status, Some(0), "{}", set.err);
    assert!(set.err.contains("[server] "), "{}", set.err);
    // Typed on another keyboard it is the same.
    let second = other.visits("Ira", "");
    assert_eq!(second.status, Some(0), "{}", second.err);
    // From then on the key is enough.
    let known = run_client(&other.folder, &["-p", &other.port, "-u", "Ira"], "");
    assert_eq!(known.status, Some(0), "{}", known.err);

    let third = Visitor::new("Ira", include_str!("../vectors/keys/server.pem"), server.port, "wrong horse\n");
    let first_contact = third.visits("Ira", "");
    assert_eq!(first_contact.status, Some(6), "{}", first_contact.err);
    assert!(first_contact.err.contains("none is sent to a server that is not known"), "{}", first_contact.err);
    let wrong = third.visits("Ira", "");
    assert_eq!(wrong.status, Some(6), "{}", wrong.err);
    assert!(wrong.err.contains("the password is not the one of Ira (wrong password)"), "{}", wrong.err);
    let off = ira.visits("Ira", "/password off\n");
    assert_eq!(off.status, Some(0), "{}", off.err);
    let taken = third.visits("Ira", "");
    assert!(taken.err.contains("belongs to another key"), "{}", taken.err);
    assert!(!server.log().contains("1234") && !server.log().contains("horse"));
}

#[test]
fn an_invitation_lets_one_in_once_and_from_then_on_the_key_does() {
    let folder = Folder::of_server(SERVER);
    let config = ServerConfig { access: Access::Invite, ..folder.server_settings() };
    let server = server::Server::start(&config).expect("a server");
    let line = server.stopper().command("INVITE").expect("an answer");
    let invitation: Invitation = line.trim().parse().unwrap_or_else(|why| panic!("{why}: {line}"));
    assert_eq!((invitation.port(), invitation.server()), (server.address().port(), server.fingerprint()));

    let (ira, zoe) = (Folder::of_user("Ira", USER_A), Folder::of_user("Zoe", USER_B));
    let port = invitation.port().to_string();
    let without = run_client(&zoe, &["-p", &port, "-u", "Zoe"], "");
    assert_eq!(without.status, Some(6), "{}", without.err);
    assert!(without.err.contains("by invitation"), "{}", without.err);

    let invited = run_client(&ira, &["-u", "Ira", "--join", "-"], &format!("{line}\nHi\n"));
    assert_eq!(invited.status, Some(0), "{}", invited.err);
    assert!(!invited.err.contains("Compare it with"), "the invitation says who the server is: {}", invited.err);
    let again = run_client(&ira, &["-p", &port, "-u", "Ira"], "");
    assert_eq!(again.status, Some(0), "{}", again.err);

    let file = zoe.write("invitation", line, 0o600).display().to_string();
    let late = run_client(&zoe, &["-u", "Zoe", "--join-file", &file], "");
    assert_eq!(late.status, Some(6), "{}", late.err);
    assert!(late.err.contains("that invitation is invalid"), "{}", late.err);
    server.stopper().terminate();
    server.wait();
}
