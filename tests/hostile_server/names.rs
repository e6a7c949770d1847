//! People who are not who their names say: what is known of a name, or can be seen here, is not given up for what a
//! server tells.

use cfb_chat::chat::message::{Event, ToClient};

use super::faults::is_a_fault;
use crate::support::folder::Folder;
use crate::support::hostile_server::{HostileServer, IRA, MALLORY, Member, Stage, home, home_inside, known};

/// Names that people would take for Ira's: with a small L, a Cyrillic letter, and in small letters.
const LOOK_ALIKES: [&str; 3] = ["lra", "Іra", "ira"];

/// Whatever this member says or does, nothing of it is shown and nothing is told, and nothing is sealed for them.
fn is_shunned(stage: &mut Stage, shunned: &mut Member) {
    stage.told();
    let talk = stage.talk();
    stage.shares(shunned);
    let envelope = stage.envelope_from(shunned, "believe me");
    stage.relays(shunned, envelope);
    let boxed = stage.whisper_from(shunned, "believe me");
    stage.event(Event::Whispered { who: shunned.session(), boxed });
    assert!(stage.told().is_empty(), "it has been told of when they came");
    assert_eq!(stage.talk(), talk);
    stage.client.says("Who is here?");
    let (_, said) = stage.hear_numbered();
    assert!(format!("{said:?}").starts_with("Say"), "a key was shared: {said:?}");
    stage.tell(&[ToClient::Accepted(1)]);
    assert!(!stage.client.process.out.so_far().contains(&format!("{} joined", shunned.name)));
}

/// PROTOCOL.md 6.7-4.
#[test]
fn who_looks_like_somebody_here_is_refused() {
    for name in LOOK_ALIKES {
        let (mut ira, mut impostor) = (Member::ira(), Member::new(name, &MALLORY));
        let mut stage = Stage::with(&[&ira]);
        stage.shares(&mut ira);
        stage.told();
        stage.joins(&impostor);
        stage.is_told_of(&format!("[!] {name} looks like"));
        stage.shares(&mut impostor);
        let envelope = stage.envelope_from(&mut impostor, "believe me");
        stage.relays(&impostor, envelope);
        assert_eq!(stage.talks_to(&mut ira, "Is it you?"), [ira.number()], "{name} gets no key");
        stage.says(&mut ira, "it is");
        stage.left(impostor.session());
        stage.says(&mut ira, "and they are gone");
        assert_eq!(stage.talk(), ["Ira: it is", "Ira: and they are gone"]);
        assert!(stage.told().is_empty());
        let kept = stage.client.folder.read("known_users");
        assert_eq!(kept, known("Ira", &IRA, ""), "{name} is not kept");
        stage.ends();
    }
}

/// PROTOCOL.md 6.7-4.
#[test]
fn who_looks_like_somebody_known_or_like_oneself_is_refused() {
    for (name, other) in [("lra", "Ira"), ("Іra", "Ira"), ("anna", ""), ("Аnna", "")] {
        let mut impostor = Member::new(name, &MALLORY);
        let mut stage = HostileServer::start().meets(home(&known("Ira", &IRA, "")), &[]);
        stage.welcomes(&[]);
        stage.told();
        stage.joins(&impostor);
        let told = stage.told().join("\n");
        assert!(told.starts_with(&format!("[!] {name} looks like")), "{told}");
        assert_eq!(told.contains("looks like Ira, a user you know"), other == "Ira", "{told}");
        assert_eq!(told.contains("remove line 1 of "), other == "Ira", "{told}");
        is_shunned(&mut stage, &mut impostor);
        assert!(stage.talk().is_empty());
        stage.ends();
    }
}

/// PROTOCOL.md 7.4-3.
#[test]
fn somebody_with_the_name_of_a_known_one_and_another_key_is_refused_until_the_line_is_removed() {
    for mark in ["", " verified"] {
        let whole = Folder::empty();
        let server = HostileServer::start();
        let folder = home_inside(&whole);
        folder.write("known_users", format!("# by hand\n{}", known("Ira", &IRA, mark)), 0o600);
        let mut false_ira = Member::new("Ira", &MALLORY);
        let mut stage = server.meets(folder, &[]);
        stage.welcomes(&[]);
        stage.told();
        stage.joins(&false_ira);
        let told = stage.told();
        let (was, is) = (IRA.public().fingerprint(), MALLORY.public().fingerprint());
        assert_eq!(told[0], "[!] Ira HAS CHANGED KEYS. This may be an impostor.");
        assert_eq!(told[1..3], [format!("    the key was  {was}"), format!("    the key is   {is}")]);
        let line = format!("remove line 2 of {}", stage.client.folder.file("known_users").display());
        assert!(told[3..].join("\n").contains(&line), "{told:#?}");
        is_shunned(&mut stage, &mut false_ira);
        stage.ends();

        let folder = home_inside(&whole);
        folder.write("known_users", "# by hand\n", 0o600);
        let mut new_ira = Member::new("Ira", &MALLORY);
        let mut stage = server.meets(folder, &[]);
        stage.welcomes(&[&new_ira]);
        stage.is_told_of(&format!("[!] First contact with Ira. Their fingerprint is\n    {is}"));
        stage.shares(&mut new_ira);
        stage.says(&mut new_ira, "I have a new key");
        stage.ends();
    }
}

#[test]
fn somebody_with_the_name_of_one_who_is_here_and_another_key_is_refused_with_both_fingerprints() {
    let (mut ira, mut false_ira) = (Member::ira(), Member::new("Ira", &MALLORY));
    let mut stage = Stage::with(&[&ira]);
    stage.shares(&mut ira);
    stage.told();
    stage.joins(&false_ira);
    let told = stage.told().join("\n");
    for fingerprint in [ira.fingerprint(), false_ira.fingerprint()] {
        assert!(told.starts_with("[!] ") && told.contains(&fingerprint.to_string()), "{told}");
    }
    stage.shares(&mut false_ira);
    let envelope = stage.envelope_from(&mut false_ira, "believe me");
    stage.relays(&false_ira, envelope);
    assert_eq!(stage.talks_to(&mut ira, "Is it you?"), [ira.number()]);
    stage.says(&mut ira, "it is");
    assert_eq!(stage.talk(), ["Ira: it is"]);
    stage.ends();
}

#[test]
fn of_two_look_alikes_who_are_told_of_at_once_one_is_refused_then_and_ever_after() {
    let whole = Folder::empty();
    let server = HostileServer::start();
    let (ira, lra) = (Member::ira(), Member::new("lra", &MALLORY));
    let mut stage = server.meets(home_inside(&whole), &[]);
    stage.welcomes(&[&ira, &lra]);
    let told = stage.told().join("\n");
    let (taken, refused) = if told.contains("First contact with Ira.") { (&ira, &lra) } else { (&lra, &ira) };
    let words = format!("[!] {} looks like", refused.name);
    assert!(told.contains(&words), "{told}");
    assert!(told.contains(&format!("First contact with {}.", taken.name)), "{told}");
    let kept = stage.client.folder.read("known_users");
    assert_eq!(kept, known(taken.name, taken.identity, ""), "only one of them is kept");
    stage.ends();

    let mut again = Member::new(refused.name, refused.identity);
    let mut stage = server.meets(home_inside(&whole), &[]);
    stage.welcomes(&[]);
    stage.told();
    stage.joins(&again);
    stage.is_told_of(&words);
    is_shunned(&mut stage, &mut again);
    stage.ends();
}

#[test]
fn nobody_is_here_twice() {
    is_a_fault("it lists one member twice", |stage, _, _| {
        stage.joins(&Member::ira());
        stage.joins(&Member::ira());
    });
    // One after the other is as it should be; and what the first has said is not the second's.
    let (mut ira, mut again) = (Member::ira(), Member::ira());
    let mut stage = Stage::with(&[&ira]);
    stage.shares(&mut ira);
    stage.told();
    let envelope = stage.envelope_from(&mut ira, "by the first");
    stage.left(ira.session());
    stage.joins(&again);
    assert!(stage.told().is_empty(), "the same key is the same person");
    stage.shares(&mut again);
    stage.relays(&again, envelope);
    stage.is_told_of("REFUSED: a message in Ira's name");
    stage.says(&mut again, "by the second");
    assert_eq!(stage.talk(), ["Ira: by the second"]);
    stage.ends();
}
