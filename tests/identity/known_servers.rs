//! Which server is taken for which: PROTOCOL.md §7 "Who is who", and `--fingerprint` and `--strict`.

use cfb_chat::wire::frame::{Deframer, MAX_HANDSHAKE_FRAME};

use crate::support::folder::{Folder, SERVER, USER_A, USER_B, identity};
use crate::support::process::{Exit, Server, run_client};
use crate::support::proxy::{Direction, Proxy};

fn fingerprint(pem: &str) -> String {
    identity(pem).public().fingerprint().to_string()
}

fn visit(folder: &Folder, port: u16, more: &[&str]) -> Exit {
    let port = port.to_string();
    run_client(folder, &[&["-p", &port, "-u", "Ira"], more].concat(), "")
}

fn user() -> Folder {
    Folder::of_user("Ira", USER_A)
}

#[test]
fn a_new_server_is_shown_and_kept_and_is_silent_from_then_on() {
    let (server, folder) = (Server::start(), user());
    let address = format!("127.0.0.1:{}", server.port);
    let first = visit(&folder, server.port, &[]);
    assert_eq!(first.status, Some(0), "{}", first.err);
    let shown = format!("[!] First contact with {address}. Its fingerprint is\n    {}\n", fingerprint(SERVER));
    assert!(first.err.starts_with(&shown), "{}", first.err);
    assert!(first.err.contains("Compare it with what the server shows"), "{}", first.err);
    server.wait_for_log(&format!("Fingerprint: {}", fingerprint(SERVER)));
    assert_eq!(folder.read("known_servers"), format!("{address} {}\n", fingerprint(SERVER)));
    assert_eq!(folder.mode("known_servers"), 0o600);

    for more in [&[][..], &["--strict"], &["--fingerprint", &fingerprint(SERVER)]] {
        let again = visit(&folder, server.port, more);
        assert_eq!((again.status, again.err.as_str()), (Some(0), ""), "{more:?}");
    }
    assert_eq!(folder.read("known_servers").lines().count(), 1);
}

#[test]
fn a_server_that_has_changed_is_refused_loudly_and_learns_nothing_of_the_user() {
    let (server, folder) = (Server::start(), user());
    let port = server.port;
    assert_eq!(visit(&folder, port, &[]).status, Some(0));
    let before = folder.read("known_servers");
    assert_eq!(server.terminate().status, Some(0));

    let other = Server::start_in(Folder::of_server(USER_B), &["-p", &port.to_string()]);
    for more in [&[][..], &["--fingerprint", &fingerprint(USER_B)]] {
        let refused = visit(&folder, port, more);
        assert_eq!(refused.status, Some(5), "{}", refused.err);
        for part in [
            &format!("error: THE SERVER AT 127.0.0.1:{port} HAS CHANGED KEYS."),
            &format!("it was  {}", fingerprint(SERVER)),
            &format!("it is   {}", fingerprint(USER_B)),
            "hint: ask the operator. If the server has a new key, remove line 1 of ",
        ] {
            assert!(refused.err.contains(part), "no {part:?} in\n{}", refused.err);
        }
        assert_eq!(folder.read("known_servers"), before);
    }
    other.process.err.wait_for_times("left during the handshake", 2);
    assert!(!other.log().contains("New connection"), "{}", other.log());

    folder.write("known_servers", "", 0o600);
    assert_eq!(visit(&folder, port, &[]).status, Some(0), "once the line is removed");
}

#[test]
fn to_a_server_that_is_not_wanted_only_fresh_keys_are_sent() {
    let server = Server::without_limits();
    let wrong = fingerprint(USER_B);
    let cases: [(&[&str], bool); 3] = [(&["--fingerprint", &wrong], false), (&["--strict"], false), (&[], true)];
    for (more, is_known_otherwise) in cases {
        let (proxy, folder) = (Proxy::start(server.port, 1), user());
        if is_known_otherwise {
            folder.write("known_servers", format!("127.0.0.1:{} {wrong}\n", proxy.port), 0o600);
        }
        let refused = visit(&folder, proxy.port, more);
        assert_eq!(refused.status, Some(5), "{more:?}: {}", refused.err);
        assert!(refused.err.contains(&fingerprint(SERVER)), "{more:?}: {}", refused.err);
        assert_eq!(folder.names().contains(&"known_servers".to_owned()), is_known_otherwise, "{more:?}: not kept");

        let sent = proxy.kept().into_iter().find(|kept| kept.direction == Direction::ToServer).expect("both");
        let mut frames = Deframer::new(MAX_HANDSHAKE_FRAME);
        frames.feed(&sent.bytes);
        assert_eq!(frames.next_frame().map(|frame| frame.map(|frame| frame[1])), Ok(Some(1)), "the first message");
        assert_eq!(frames.next_frame(), Ok(None), "{more:?}: and nothing else");
    }
}

#[test]
fn a_fingerprint_from_elsewhere_is_as_good_as_a_first_contact() {
    for more in [&["--fingerprint"][..], &["--strict", "--fingerprint"]] {
        let (server, folder) = (Server::start(), user());
        let right = fingerprint(SERVER);
        let visited = visit(&folder, server.port, &[more, &[&right]].concat());
        assert_eq!(visited.status, Some(0), "{}", visited.err);
        assert!(visited.err.contains("First contact") && !visited.err.contains("Compare"), "{}", visited.err);
        assert_eq!(folder.read("known_servers"), format!("127.0.0.1:{} {right}\n", server.port));
    }
}

#[test]
fn a_line_that_cannot_be_read_is_told_and_nothing_is_guessed() {
    let server = Server::start();
    let address = format!("127.0.0.1:{}", server.port);
    let good = format!("# mine\n\nelsewhere:9443 {}\n", fingerprint(USER_B));
    for bad in [address.clone(), format!("{address} SHA256:short"), format!("{address} md5:00"), "\u{1b}[2J".into()] {
        let folder = user();
        let content = format!("{good}{bad}\n");
        folder.write("known_servers", &content, 0o600);
        let refused = visit(&folder, server.port, &[]);
        assert_eq!(refused.status, Some(3), "{}", refused.err);
        assert!(refused.err.contains("known_servers, line 4: not \"host:port SHA256:…\""), "{}", refused.err);
        assert!(refused.err.contains("hint: mend or remove line 4"), "{}", refused.err);
        assert_eq!(folder.read("known_servers"), content);
    }
    assert!(!server.log().contains("New connection"), "{}", server.log());

    let folder = user();
    folder.write("known_servers", good.trim_end(), 0o600);
    let visited = visit(&folder, server.port, &[]);
    assert_eq!(visited.status, Some(0), "comments, empty lines and other servers are passed over: {}", visited.err);
    assert_eq!(folder.read("known_servers"), format!("{good}{address} {}\n", fingerprint(SERVER)));
}

#[test]
fn a_server_is_known_by_its_name_and_port_together() {
    let server = Server::start();
    let folder = user();
    let here = format!("127.0.0.1:{} {}\n", server.port, fingerprint(SERVER));
    let others = format!("127.0.0.1:1 {0}\nlocalhost:{1} {0}\n", fingerprint(USER_B), server.port);
    folder.write("known_servers", &others, 0o600);
    assert_eq!(visit(&folder, server.port, &[]).status, Some(0));
    assert_eq!(folder.read("known_servers"), format!("{others}{here}"));
    let by_name = visit(&folder, server.port, &["-s", "LOCALHOST"]);
    assert_eq!(by_name.status, Some(5), "the same by whatever capitals: {}", by_name.err);
}
