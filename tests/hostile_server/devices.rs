//! Somebody known who comes with another key: refused, until the user says that it is theirs too.

use std::sync::LazyLock;

use cfb_chat::chat::message::{Event, Numbered, ToClient, ToServer};
use cfb_chat::chat::name::Name;
use cfb_chat::net::secure_channel::now_in_millis;
use cfb_chat::secure::identity::Identity;

use crate::support::folder::{USER_A, identity};
use crate::support::hostile_server::{HostileServer, IRA, MALLORY, Member, Stage, home, known};

/// A third key; that the client has the same makes no difference.
static THIRD: LazyLock<Identity> = LazyLock::new(|| identity(USER_A));

/// A client that knows Ira by one key; and Ira's other device, which has come in.
fn with_other_device(arguments: &[&str]) -> (Stage, Member) {
    let device = Member::new("Ira", &MALLORY);
    let mut stage = HostileServer::start().meets(home(&known("Ira", &IRA, " verified")), arguments);
    stage.welcomes(&[]);
    stage.told();
    stage.joins(&device);
    let told = stage.told().join("\n");
    assert!(
        told.contains("Ira HAS CHANGED KEYS") && told.contains("/accept Ira adds its key to the old one"),
        "{told}"
    );
    (stage, device)
}

fn both() -> String {
    known("Ira", &IRA, " verified") + &known("Ira", &MALLORY, "")
}

fn accepts(stage: &mut Stage) {
    stage.client.says("/accept Ira");
    stage.client.process.err.wait_for("known_users. To compare it: /verify Ira");
    let told =
        format!("\n[+] Accepted: another key of Ira's. Its fingerprint is\n    {}\n", MALLORY.public().fingerprint());
    assert!(stage.client.process.err.so_far().contains(&told));
    assert_eq!(stage.client.folder.read("known_users"), both(), "beside the old one, on disk");
}

#[test]
fn who_is_accepted_talks_and_is_talked_to_from_then_on() {
    let (mut stage, mut device) = with_other_device(&[]);
    stage.shares(&mut device);
    let before = stage.envelope_from(&mut device, "before");
    stage.relays(&device, before);
    assert!(stage.told().is_empty() && stage.talk().is_empty(), "nothing of theirs is shown");
    stage.client.says("Who is here?");
    let (n, Numbered::Say { .. }) = stage.hear_numbered() else { panic!("nobody is given a key") };
    stage.tell(&[ToClient::Accepted(n)]);
    accepts(&mut stage);
    stage.told();
    stage.says(&mut device, "it is me");
    stage.is_told("[!] 1 message from Ira is missing.");
    assert_eq!(stage.talks_to(&mut device, "Welcome"), [device.number()], "with the key");
    stage.whispers(&mut device, "psst");
    stage.client.says("/list");
    stage.client.process.err.wait_for(&format!("    Ira   new       {}", device.fingerprint()));
    stage.client.says("/accept Ira");
    stage.client.process.err.wait_for("[!] Ira is not accepted: no member with exactly that name");
    assert_eq!(stage.client.folder.read("known_users"), both(), "once");
    stage.ends();
}

#[test]
fn both_devices_are_the_same_person_one_after_the_other() {
    let (mut stage, device) = with_other_device(&[]);
    accepts(&mut stage);
    stage.left(device.session());
    let mut first = Member::ira();
    stage.told();
    stage.joins(&first);
    stage.shares(&mut first);
    stage.says(&mut first, "from the first");
    stage.left(first.session());
    let mut second = Member::new("Ira", &MALLORY);
    stage.joins(&second);
    stage.shares(&mut second);
    stage.says(&mut second, "from the second");
    assert!(stage.told().is_empty(), "nobody is new");
    // What the other device has written comes while this one is here.
    let letter = first.letter("Ira", &stage.identity, stage.server, now_in_millis(), "from the first, before");
    stage.event(Event::Letter(letter));
    stage.client.process.out.wait_for("[letter from Ira, without forward secrecy] from the first, before");
    assert!(stage.told().is_empty());
    stage.ends();
}

#[test]
fn digits_of_one_device_verify_no_other() {
    let (mut stage, mut device) = with_other_device(&[]);
    accepts(&mut stage);
    stage.client.says("/verify Ira");
    stage.client.process.err.wait_for("Then: /verify Ira yes");
    stage.left(device.session());
    let ira = Member::ira();
    stage.joins(&ira);
    stage.told();
    stage.left(ira.session());
    device = Member::new("Ira", &MALLORY);
    stage.joins(&device);
    stage.told();
    stage.client.says("/verify Ira yes");
    stage.client.process.err.wait_for("[+] Ira is verified.");
    let marked = known("Ira", &IRA, " verified") + &known("Ira", &MALLORY, " verified");
    assert_eq!(stage.client.folder.read("known_users"), marked);
    stage.ends();

    let (mut stage, device) = with_other_device(&[]);
    accepts(&mut stage);
    stage.left(device.session());
    stage.joins(&Member::ira());
    stage.told();
    stage.client.says("/verify Ira");
    stage.client.process.err.wait_for("Then: /verify Ira yes");
    stage.left(*stage.members.iter().find(|member| **member != stage.session()).expect("Ira"));
    stage.joins(&Member::new("Ira", &MALLORY));
    stage.told();
    stage.client.says("/verify Ira yes");
    stage.client.process.err.wait_for("[!] Ira is not marked: Ira has more than one key.");
    assert_eq!(stage.client.folder.read("known_users"), both());
    stage.ends();
}

#[test]
fn who_is_accepted_but_not_verified_reads_nothing_that_is_for_the_verified() {
    let (mut stage, mut device) = with_other_device(&["--verified-only"]);
    accepts(&mut stage);
    stage.is_told_of("[!] Ira is not verified, and cannot read what you say");
    stage.client.says("Is it you?");
    stage.client.process.err.wait_for("[!] Not sent: no member could read it");
    stage.client.says("/verify Ira");
    stage.client.process.err.wait_for("Then: /verify Ira yes");
    stage.client.says("/verify Ira yes");
    stage.client.process.err.wait_for("[+] Ira is verified.");
    assert_eq!(stage.talks_to(&mut device, "It is"), [device.number()]);
    stage.ends();
}

#[test]
fn only_one_who_was_refused_for_their_key_is_accepted_and_only_under_exactly_that_name() {
    let (look_alike, new) = (Member::new("lra", &MALLORY), Member::new("Zoe", &THIRD));
    let mut stage = HostileServer::start().meets(home(&known("Ira", &IRA, "")), &[]);
    stage.welcomes(&[]);
    stage.joins(&look_alike);
    stage.joins(&new);
    stage.told();
    let before = stage.client.folder.read("known_users");
    for name in ["Ira", "lra", "Zoe", "Anna", "nobody"] {
        stage.client.says(&format!("/accept {name}"));
        stage.client.process.err.wait_for(&format!("[!] {name} is not accepted: no member with exactly that name"));
    }
    assert_eq!(stage.client.folder.read("known_users"), before);
    stage.ends();
}

#[test]
fn of_two_other_keys_none_is_accepted_for_it_could_be_the_one_that_was_not_compared() {
    let (mut stage, device) = with_other_device(&[]);
    stage.left(device.session());
    stage.joins(&Member::new("Ira", &THIRD));
    stage.told();
    stage.client.says("/accept Ira");
    stage.client.process.err.wait_for("[!] Ira is not accepted: more than one other key has come under that name");
    assert_eq!(stage.client.folder.read("known_users"), known("Ira", &IRA, " verified"));
    stage.ends();
}

#[test]
fn a_key_that_cannot_be_kept_is_not_accepted() {
    let (mut stage, mut device) = with_other_device(&[]);
    stage.client.folder.write("known_users", "not a line\n", 0o600);
    stage.client.says("/accept Ira");
    stage.client.process.err.wait_for("[!] Ira is not accepted: ");
    stage.told();
    stage.shares(&mut device);
    let envelope = stage.envelope_from(&mut device, "believe me");
    stage.relays(&device, envelope);
    assert!(stage.told().is_empty() && stage.talk().is_empty());
    stage.ends();
}

#[test]
fn a_letter_goes_to_any_key_that_is_known_and_to_no_other() {
    let mut stage = HostileServer::start().meets(home(&both()), &[]);
    stage.welcomes(&[]);
    stage.told();
    for (text, to) in [("one", &*IRA), ("two", &*MALLORY)] {
        stage.client.says(&format!("/whisper Ira {text}"));
        while !matches!(stage.hear(), ToServer::Lookup(_)) {}
        let found = |who: &Identity| ToClient::Found {
            name: Name::parse("Ira").expect("a name"),
            spki: who.public().spki().to_vec(),
        };
        stage.tell(&[found(to)]);
        let Numbered::Letter { to: reader, .. } = stage.takes() else { panic!("a letter should have come") };
        assert_eq!(reader, to.public().fingerprint().0);
    }
    stage.client.says("/whisper Ira three");
    while !matches!(stage.hear(), ToServer::Lookup(_)) {}
    stage.tell(&[ToClient::Found { name: Name::parse("Ira").expect("a name"), spki: THIRD.public().spki().to_vec() }]);
    let told = stage.told().join("\n");
    assert!(told.starts_with("[!] REFUSED: the server hands out another key for Ira than those you know"), "{told}");
    for known in [&IRA, &MALLORY] {
        assert!(told.contains(&known.public().fingerprint().to_string()), "{told}");
    }
    stage.ends();
}
