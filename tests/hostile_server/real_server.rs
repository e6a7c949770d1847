//! A member who means harm, in a room of a server that means none: what the server's limits and the clients' checks are
//! worth together.

use cfb_chat::chat::message::{ErrorCode, Numbered, ToClient};

use crate::support::folder::{Folder, USER_B};
use crate::support::hostile_server::IRA;
use crate::support::peer::{BORIS, Peer};
use crate::support::process::{Client, READY, Server};

/// Comes into the room, with Ira's key.
fn ira(port: u16) -> Client {
    comes(port, "Ira", &IRA.to_pem(None))
}

fn comes(port: u16, name: &str, pem: &str) -> Client {
    let client = Client::start(port, name, Folder::of_user(name, pem), &[]);
    client.process.out.wait_for(READY);
    client
}

/// Each says something, and the other sees it.
fn still_talk(one: &mut Client, other: &mut Client, names: [&str; 2], round: u32) {
    let texts = names.map(|name| format!("{name} {round}."));
    one.says(&texts[0]);
    other.sees(names[0], &texts[0]);
    other.says(&texts[1]);
    one.sees(names[1], &texts[1]);
}

#[test]
fn whoever_fills_somebodys_letters_fills_only_their_own_share() {
    let server = Server::without_limits();
    let first = ira(server.port);
    let mut anna = Client::join(server.port, "Anna");
    let mut mallory = comes(server.port, "Mallory", USER_B);
    assert_eq!(first.exit().status, Some(0));
    anna.process.out.wait_for("[+] Ira left the room.");
    mallory.process.out.wait_for("[+] Ira left the room.");
    for number in 0..13 {
        mallory.says(&format!("/whisper Ira spam {number}."));
    }
    mallory.process.out.wait_for("[letter to Ira, without forward secrecy] spam 9.");
    let refused = mallory.process.err.wait_for_times("[!] Not delivered (too many letters wait for Ira already)", 3);
    assert!(refused[0].ends_with("spam 10.") && refused[2].ends_with("spam 12."), "{refused:#?}");
    anna.says("/whisper Ira not spam");
    anna.process.out.wait_for("[letter to Ira, without forward secrecy] not spam");

    let mut ira = ira(server.port);
    ira.process.out.wait_for("[letter from Anna, without forward secrecy] not spam");
    assert_eq!(ira.talk().len(), 11, "{:#?}", ira.talk());
    anna.process.out.wait_for("[+] Ira joined the room.");
    still_talk(&mut ira, &mut anna, ["Ira", "Anna"], 1);
    for client in [ira, anna, mallory] {
        assert_eq!(client.exit().status, Some(0));
    }
}

#[test]
fn what_cannot_be_opened_is_told_of_and_the_others_go_on() {
    let server = Server::without_limits();
    let mut ira = ira(server.port);
    let mut anna = Client::join(server.port, "Anna");
    ira.process.out.wait_for("[+] Anna joined the room.");
    let mut boris = Peer::join(server.port, &BORIS, "Boris");
    anna.process.out.wait_for("[+] Boris joined the room.");
    ira.process.out.wait_for("[+] Boris joined the room.");
    let to = ["Ira", "Anna"].map(|name| boris.voice.find(name));
    for round in 0..10 {
        let garbage = vec![7; 100];
        boris.say_raw("no envelope at all");
        for to in to {
            boris.send_next(Numbered::Whisper { to, boxed: garbage.clone() });
        }
        boris.send_next(Numbered::Share(to.map(|to| (to, garbage.clone())).to_vec()));
        still_talk(&mut ira, &mut anna, ["Ira", "Anna"], round);
    }
    for client in [&ira, &anna] {
        for what in ["A message", "A whisper", "A key"] {
            let words = format!("[!] {what} from Boris could not be opened: malformed.");
            client.process.err.wait_for_times(&words, 10);
        }
        let talk = client.talk();
        assert!(talk.len() == 10 && !talk.iter().any(|line| line.contains("Boris")), "{talk:#?}");
    }
    // What holds is shown, whatever came before it.
    boris.say("now I mean it");
    ira.sees("Boris", "now I mean it");
    anna.sees("Boris", "now I mean it");
    for client in [ira, anna] {
        assert_eq!(client.exit().status, Some(0));
    }
}

#[test]
fn whoever_comes_and_goes_as_fast_as_they_may_is_stopped_and_the_others_go_on() {
    let server = Server::start();
    let mut ira = ira(server.port);
    let mut anna = Client::join(server.port, "Anna");
    ira.process.out.wait_for("[+] Anna joined the room.");
    let mut rounds = 0;
    loop {
        let mut boris = Peer::enter(server.port, &BORIS, "Boris");
        boris.ask_to_join("#lobby");
        let is_in = boris.wait_for(|message| match message {
            ToClient::Welcome(_) => Some(true),
            ToClient::Error { code: ErrorCode::Refused, n: 0, .. } => Some(false),
            _ => None,
        });
        if !is_in {
            break;
        }
        boris.leaves_for_good();
        rounds += 1;
        assert!(rounds <= 16, "sixteen joins and leaves a minute are the most");
        still_talk(&mut ira, &mut anna, ["Ira", "Anna"], rounds);
    }
    assert!(rounds >= 4, "{rounds}");
    still_talk(&mut ira, &mut anna, ["Ira", "Anna"], rounds + 1);
    let told = anna.process.err.so_far();
    assert_eq!(told.matches("First contact with Boris").count(), 1, "{told}");
    for client in [ira, anna] {
        assert_eq!(client.exit().status, Some(0));
    }
}
