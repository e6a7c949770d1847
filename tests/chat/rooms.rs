//! Several rooms at once, as people use them: who is where reads what is said there, cut off or not.

use super::path::Path;
use crate::support::folder::{Folder, SERVER, USER_A, USER_B};
use crate::support::process::{Client, READY, Server};

fn joins(port: u16, name: &str, key: &str) -> Client {
    let client = Client::start(port, name, Folder::of_user(name, key), &[]);
    client.process.out.wait_for(READY);
    client
}

/// Two people in two rooms, the first at the end of a path that can be cut.
fn two_in_two(server: &Server) -> (Path, Client, Client) {
    let path = Path::to(server.port);
    let mut anna = joins(path.port, "Anna", USER_A);
    let mut boris = joins(server.port, "Boris", USER_B);
    anna.process.out.wait_for("[+] Boris joined the room.");
    anna.says("/join #lab");
    anna.process.err.wait_for("[+] You are in #lab now.");
    boris.says("/join lab");
    boris.process.err.wait_for("[!] In #lab: Anna.");
    anna.process.out.wait_for("[+] Boris joined #lab.");
    (path, anna, boris)
}

fn serve() -> Server {
    Server::start_in(Folder::of_server(SERVER), &["-p", "0", "--limits", "off", "--resume-window", "120"])
}

fn leaves(client: Client) {
    let ended = client.exit();
    assert_eq!(ended.status, Some(0), "{}", ended.err);
    let amiss = ["missing", "Dropped", "Not known", "Not delivered", "REFUSED", "new session"]
        .iter()
        .any(|word| ended.err.contains(word));
    assert!(!amiss, "{}", ended.err);
}

#[test]
fn what_is_said_in_a_room_is_read_there_and_whispers_reach_whoever_shares_one() {
    let server = serve();
    let (_path, mut anna, mut boris) = two_in_two(&server);
    anna.says("in the lab");
    boris.process.out.wait_for(" #lab Anna: in the lab");
    boris.says("/f lobby");
    boris.says("in the lobby");
    anna.process.out.wait_for(" #lobby Boris: in the lobby");
    boris.says("/part");
    boris.process.err.wait_for("[+] You have left #lobby.");
    anna.process.out.wait_for("[+] Boris left #lobby.");
    // They share one room, and that is enough.
    anna.says("/w Boris for you");
    boris.process.out.wait_for(" [whisper from Anna] for you");
    boris.says("/r and you");
    anna.process.out.wait_for(" [whisper from Boris] and you");
    boris.says("as in one room");
    anna.process.out.wait_for(" #lab Boris: as in one room");
    anna.says("you too");
    assert!(boris.sees("Anna", "you too").ends_with(" Anna: you too"));
    assert!(!boris.process.out.so_far().contains("#lab Anna: you too"), "who is in one room is not told which");
    // And back: what is counted goes on.
    boris.says("/join lobby");
    anna.process.out.wait_for("[+] Boris joined #lobby.");
    boris.says("back in the lobby");
    anna.process.out.wait_for(" #lobby Boris: back in the lobby");
    leaves(anna);
    leaves(boris);
}

#[test]
fn whoever_is_cut_off_in_several_rooms_has_missed_nothing_in_any() {
    let server = serve();
    let (path, mut anna, mut boris) = two_in_two(&server);
    for round in 1..=3 {
        path.cut();
        anna.process.err.wait_for_times("[!] Connection lost. Reconnecting …", round);
        for room in ["lab", "lobby"] {
            for client in [&mut anna, &mut boris] {
                client.says(&format!("/f {room}"));
                client.says(&format!("{room} {round}."));
            }
        }
        anna.process.err.wait_for_times("[+] Back after ", round);
        for room in ["lab", "lobby"] {
            anna.process.out.wait_for(&format!(" #{room} Boris: {room} {round}."));
            boris.process.out.wait_for(&format!(" #{room} Anna: {room} {round}."));
        }
    }
    for (reader, name) in [(&anna, "Boris"), (&boris, "Anna")] {
        let due: Vec<String> =
            (1..=3).flat_map(|round| ["lab", "lobby"].map(|room| format!("#{room} {name}: {room} {round}."))).collect();
        assert_eq!(reader.talk(), due);
    }
    leaves(anna);
    leaves(boris);
}

#[test]
fn whoever_opens_a_room_keeps_order_there() {
    let server = serve();
    let (_path, mut anna, mut boris) = two_in_two(&server);
    anna.says("/topic what we do");
    for client in [&anna, &boris] {
        client.process.err.wait_for("topic of #lab: what we do");
    }
    anna.says("/rooms");
    anna.process.err.wait_for("[+] You are in #lab, #lobby; you speak in the first");
    boris.says("/topic what I do");
    boris.process.err.wait_for("[!] Not done: TOPIC #lab what I do. The server says: ");
    anna.says("/lock");
    anna.says("/kick Boris too loud");
    boris.process.err.wait_for("[!] You are no longer in #lab (kicked).");
    assert!(boris.process.err.so_far().contains("too loud"), "{}", boris.process.err.so_far());
    anna.process.out.wait_for("[+] Boris left #lab.");
    // What Boris says goes to the lobby now, and nowhere else if he cannot have what he asks for.
    boris.says("as before");
    anna.process.out.wait_for(" #lobby Boris: as before");
    boris.says("/join lab");
    boris.says("only for the lab");
    boris.process.err.wait_for("[!] You are not in #lab. The server says: ");
    boris.process.err.wait_for("[!] Not sent: no room is in focus");
    anna.says("/invite Boris");
    boris.process.err.wait_for("invites you to #lab");
    boris.says("/join lab");
    boris.process.err.wait_for_times("[+] You are in #lab now.", 2);
    boris.says("a guest");
    anna.process.out.wait_for(" #lab Boris: a guest");
    assert!(!anna.process.out.so_far().contains("only for the lab"));
    assert_eq!([anna.exit().status, boris.exit().status], [Some(0), Some(0)]);
}
