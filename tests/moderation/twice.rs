//! A name that is here once: two programs that go by it do not take it from each other for ever.

use super::people::fingerprint;
use super::stage::boris;
use crate::support::folder::{Folder, SERVER, USER_A, USER_B, identity};
use crate::support::process::{Client, READY, Server};

const PASSWORD: &str = "correct horse\n";
const CAME: &str = "[+] New connection. Username: Ira\n";

/// Ira's folder on a device, with the server's key and her password in it.
fn device(key: &str, known_servers: &str) -> Folder {
    let folder = Folder::of_user("Ira", key);
    folder.write("password", PASSWORD, 0o600);
    folder.write("known_servers", known_servers, 0o600);
    folder
}

fn comes(server: &Server, folder: Folder) -> Client {
    let password = folder.file("password").display().to_string();
    let client = Client::start(server.port, "Ira", folder, &["--password-file", &password]);
    client.process.out.wait_for(READY);
    client
}

/// The first is told, ends, and does not come back; the second is there, and heard.
fn is_replaced(server: &Server, mut first: Client, second: &mut Client, came_before: usize) {
    let ended = first.process.wait();
    assert!(ended.err.contains("replaced"), "{}", ended.err);
    assert_ne!(ended.status, Some(0), "{}", ended.err);
    let mut watcher = boris().comes(server.port, "#lobby");
    second.process.err.wait_for("Boris");
    second.says("it is me");
    let (_, text) = watcher.peer.hears_said();
    assert_eq!(text, "it is me");
    assert_eq!(server.log().matches(CAME).count(), came_before + 1, "{}", server.log());
    watcher.goes("#lobby");
}

#[test]
fn a_second_device_is_here_and_the_first_does_not_come_back() {
    let server = Server::without_limits();
    // The server has to be known before a password is sent to it.
    let known = format!("127.0.0.1:{} {}\n", server.port, fingerprint(&identity(SERVER)));
    let mut first = comes(&server, device(USER_A, &known));
    first.says("/password");
    first.process.err.wait_for("[server] another key can use your name");
    let mut second = comes(&server, device(USER_B, &known));
    is_replaced(&server, first, &mut second, 1);
    // Nor is it otherwise when it is the very same key.
    let mut third = comes(&server, device(USER_B, &known));
    is_replaced(&server, second, &mut third, 2);
    assert_eq!(third.exit().status, Some(0));
}
