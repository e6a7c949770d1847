//! What is kept on file: who somebody is, and which letters have been read. What cannot be kept is not used, whoever is
//! kept is announced, and a server cannot use the files against their owner.

use cfb_chat::chat::message::{Event, ToServer};
use cfb_chat::net::secure_channel::now_in_millis;

use crate::support::folder::Folder;
use crate::support::hostile_server::{HostileServer, IRA, Member, Stage, home, home_inside, known};

/// As much as such a file may have, in comments; `first` stands before them.
fn full_after(first: &str) -> String {
    let mut text = first.to_owned();
    let comment = format!("# {}\n", "x".repeat(61));
    while text.len() + comment.len() <= 8 * 1_024 * 1_024 {
        text.push_str(&comment);
    }
    text
}

/// PROTOCOL.md 7.4-1, 7.4-2.
#[test]
fn who_cannot_be_kept_is_not_shown_and_those_who_are_known_go_on() {
    let (mut ira, mut mallory) = (Member::ira(), Member::mallory());
    let file = full_after(&known("Ira", &IRA, ""));
    let mut stage = HostileServer::start().meets(home(&file), &[]);
    stage.welcomes(&[&ira]);
    stage.shares(&mut ira);
    stage.told();
    stage.joins(&mallory);
    stage.is_told_of("[!] Mallory is new, and could not be saved: ");
    stage.shares(&mut mallory);
    let envelope = stage.envelope_from(&mut mallory, "not shown");
    stage.relays(&mallory, envelope);
    assert!(stage.told().is_empty());
    assert_eq!(stage.talks_to(&mut ira, "for Ira alone"), [ira.number()]);
    stage.says(&mut ira, "still here");
    assert_eq!(stage.talk(), ["Ira: still here"]);
    assert_eq!(stage.client.folder.read("known_users"), file);
    stage.ends();
}

/// PROTOCOL.md 7.2-4.
#[test]
fn a_letter_that_cannot_be_noted_is_not_shown_and_waits() {
    let ira = Member::ira();
    let folder = home(&known("Ira", &IRA, ""));
    folder.write("letters_seen", full_after(""), 0o600);
    let mut stage = HostileServer::start().meets(folder, &[]);
    stage.welcomes(&[]);
    stage.told();
    let letter = ira.letter("Ira", &stage.identity, stage.server, now_in_millis(), "later");
    for _ in 0..2 {
        stage.event(Event::Letter(letter.clone()));
        stage.is_told_of("[!] A letter from Ira is not shown, as it could not be marked as read: ");
    }
    assert!(stage.talk().is_empty());
    // It has not said that it has seen it: the next thing that it says is something else.
    stage.client.says("EXIT");
    assert!(matches!(stage.hear(), ToServer::Leave(_)));
}

/// Whoever is kept has been announced, with the fingerprint.
fn is_announced_if_kept(stage: &mut Stage, who: &Member, told_before: &str) {
    let told = format!("{told_before}\n{}", stage.told().join("\n"));
    let is_kept = stage.client.folder.read("known_users").contains(&format!(" {} ", who.name));
    assert_eq!(told.contains(&who.fingerprint().to_string()), is_kept, "{told}");
}

#[test]
fn nobody_is_kept_unannounced_by_a_letter_that_cannot_be_noted() {
    let mut ira = Member::ira();
    let folder = home("");
    folder.write("letters_seen", full_after(""), 0o600);
    let mut stage = HostileServer::start().meets(folder, &[]);
    stage.welcomes(&[]);
    stage.told();
    let letter = ira.letter("Ira", &stage.identity, stage.server, now_in_millis(), "not shown");
    stage.event(Event::Letter(letter));
    is_announced_if_kept(&mut stage, &ira, "");
    stage.joins(&ira);
    stage.shares(&mut ira);
    stage.says(&mut ira, "here I am");
    let all = stage.client.process.err.so_far();
    assert!(all.contains(&format!("First contact with Ira. Their fingerprint is\n    {}", ira.fingerprint())), "{all}");
}

#[test]
fn nobody_is_kept_unannounced_by_a_letter_that_comes_again() {
    let whole = Folder::empty();
    let server = HostileServer::start();
    let ira = Member::ira();
    let mut stage = server.meets(home_inside(&whole), &[]);
    stage.welcomes(&[]);
    let letter = ira.letter("Ira", &stage.identity, stage.server, now_in_millis(), "once");
    stage.event(Event::Letter(letter.clone()));
    stage.client.process.out.wait_for("[letter from Ira, without forward secrecy] once");
    stage.ends();

    // The user has removed Ira's line, as one does for whoever has a new key; the server would have the old one back.
    let folder = home_inside(&whole);
    folder.write("known_users", "", 0o600);
    let mut stage = server.meets(folder, &[]);
    stage.welcomes(&[]);
    stage.told();
    stage.event(Event::Letter(letter));
    let told = stage.told().join("\n");
    assert!(told.contains("[!] Dropped: a repeated letter from Ira."), "{told}");
    is_announced_if_kept(&mut stage, &ira, &told);
    stage.ends();
}
