//! Members whom the server adds, or does not take away, for one of its clients or for all: what others say shows it, and
//! nobody is given a key before the user has been told of them.

use cfb_chat::chat::message::{Event, Numbered, SessionId, ToClient};
use cfb_chat::chat::name::RoomName;
use cfb_chat::net::secure_channel::now_in_millis;
use rustix::process::Signal;

use crate::support::hostile_server::{HostileServer, IRA, MALLORY, Member, Stage, home, known, said_at};

const OTHER_ROSTER: &str = "for an outdated or unknown list of members";
const OTHER_PEOPLE: &str = "the server shows Ira another list of members";

/// A room with Ira, whose key the client has.
fn with_ira() -> (Stage, Member) {
    let mut ira = Member::ira();
    let mut stage = Stage::with(&[&ira]);
    stage.shares(&mut ira);
    stage.told();
    (stage, ira)
}

#[test]
fn a_ghost_for_one_client_is_seen_there_and_what_others_say_does_not_fit() {
    let (mut stage, mut ira) = with_ira();
    let ghost = Member::mallory();
    let (before, at) = (stage.change, now_in_millis());
    let ira_sees = stage.members.clone();
    stage.tell(&[ghost.person()]);
    stage.joined_at(at, ghost.session());
    stage.is_told_of(&format!("[!] First contact with Mallory. Their fingerprint is\n    {}", ghost.fingerprint()));
    stage.client.process.out.wait_for("[+] Mallory joined the room.");

    // Ira's message may have been on its way when the ghost came, but no longer than a minute.
    let [on_its_way, late, later, renumbered, own_count] = [before, before, before, before, before + 1].map(|change| {
        let roster = stage.roster_of(change, &ira_sees);
        stage.envelope_for(roster, &mut ira, &format!("for change {change}"))
    });
    let said = said_at(before, ira.session(), on_its_way);
    stage.event_at(at + 65_000, said);
    stage.client.sees("Ira", &format!("for change {before}"));
    let said = said_at(before, ira.session(), late);
    stage.event_at(at + 65_001, said);
    stage.is_told_of(OTHER_ROSTER);
    let said = said_at(before, ira.session(), later);
    stage.event_at(u64::MAX, said);
    stage.is_told_of(OTHER_ROSTER);
    let said = said_at(before + 1, ira.session(), renumbered);
    stage.event(said);
    stage.is_told_of(OTHER_PEOPLE);
    let said = said_at(before + 1, ira.session(), own_count);
    stage.event(said);
    stage.is_told_of(OTHER_PEOPLE);
    assert_eq!(stage.talk(), [format!("Ira: for change {before}")]);

    stage.says(&mut ira, "I see Mallory too");
    stage.is_told("[!] 4 messages from Ira are missing.");
    stage.ends();
}

#[test]
fn a_ghost_for_all_is_shown_with_its_fingerprint() {
    let (mut stage, mut ira) = with_ira();
    let ghost = Member::mallory();
    stage.joins(&ghost);
    stage.is_told_of(&format!("[!] First contact with Mallory. Their fingerprint is\n    {}", ghost.fingerprint()));
    stage.says(&mut ira, "we are three");
    stage.client.says("/list");
    stage.client.process.err.wait_for("[+] In #lobby: 3");
    let listed = stage.client.process.err.wait_for("    Mallory");
    assert!(listed.contains("  new ") && listed.ends_with(&ghost.fingerprint().to_string()), "{listed}");
    stage.ends();
}

#[test]
fn a_ghost_that_is_hidden_from_one_client_shows_in_what_others_say() {
    let (mut stage, mut ira) = with_ira();
    let ghost = SessionId([3; 32]);
    let (change, members) = (stage.change, stage.members.clone());
    let ira_sees = stage.roster_of(change + 1, &[&members[..], &[ghost]].concat());
    let envelope = stage.envelope_for(ira_sees, &mut ira, "we are three");
    let said = said_at(change + 1, ira.session(), envelope.clone());
    stage.event(said);
    stage.is_told_of(OTHER_ROSTER);
    let said = said_at(change, ira.session(), envelope);
    stage.event(said);
    stage.is_told_of(OTHER_PEOPLE);
    stage.says(&mut ira, "we are two");
    stage.is_told("[!] 1 message from Ira is missing.");
    assert_eq!(stage.talk(), ["Ira: we are two"]);
    stage.ends();
}

#[test]
fn somebody_whose_leaving_is_hidden_shows_in_what_others_say_and_in_the_next_change() {
    let (mut ira, mallory) = (Member::ira(), Member::mallory());
    let mut stage = Stage::with(&[&ira, &mallory]);
    stage.shares(&mut ira);
    stage.says(&mut ira, "Mallory, are you leaving?");
    stage.told();
    let (change, members) = (stage.change, stage.members.clone());
    let ira_sees: Vec<SessionId> = members.into_iter().filter(|session| *session != mallory.session()).collect();
    let roster = stage.roster_of(change + 1, &ira_sees);
    let envelope = stage.envelope_for(roster, &mut ira, "Mallory has left");
    let said = said_at(change + 1, ira.session(), envelope.clone());
    stage.event(said);
    stage.is_told_of(OTHER_ROSTER);
    let said = said_at(change, ira.session(), envelope);
    stage.event(said);
    stage.is_told_of(OTHER_PEOPLE);
    let again = Member::mallory();
    stage.tell(&[again.person()]);
    stage.event(Event::Joined { room: RoomName::lobby(), who: again.session(), change: change + 2 });
    let due = change + 1;
    let fault = format!("the room's change {} came where {due} was due: the server hides who is here", change + 2);
    stage.ends_for(&fault, &["Ira: Mallory, are you leaving?"]);
}

/// PROTOCOL.md 7.3-8.
#[test]
fn nobody_is_given_a_key_before_the_user_has_been_told_of_them() {
    static NAMES: [&str; 8] = ["g0", "g1", "g2", "g3", "g4", "g5", "g6", "g7"];
    let (mut stage, mut ira) = with_ira();
    for name in NAMES {
        let ghost = Member::new(name, &MALLORY);
        // The user speaks at the very moment at which the ghost comes.
        stage.client.says("Who is here?");
        stage.joins(&ghost);
        let mut shared = Vec::new();
        while !shared.contains(&ghost.number()) {
            match stage.hear_numbered() {
                (n, Numbered::Share(boxes)) => {
                    shared = boxes.into_iter().map(|(session, _)| session).collect();
                    if shared.contains(&ghost.number()) {
                        // Held, so that it says nothing after: what is there was there before the key had left.
                        stage.client.process.signal(Signal::STOP);
                    }
                    stage.tell(&[ToClient::Accepted(n)]);
                }
                (n, _) => {
                    // What was said before they came is not for them: only what is said next is.
                    stage.tell(&[ToClient::Accepted(n)]);
                    stage.client.says("And who now?");
                }
            }
        }
        let kept = stage.client.folder.read("known_users");
        assert!(kept.contains(&known(name, &MALLORY, "")), "{kept}");
        stage.client.process.err.wait_for(&format!("[!] First contact with {name}. Their fingerprint is"));
        stage.client.process.signal(Signal::CONT);
    }
    stage.says(&mut ira, "that was that");
}

/// PROTOCOL.md 7.3-8.
#[test]
fn who_is_not_verified_gets_no_key_if_that_was_asked_for() {
    let (mut ira, mut ghost) = (Member::ira(), Member::mallory());
    let folder = home(&known("Ira", &IRA, " verified"));
    let mut stage = HostileServer::start().meets(folder, &["--verified-only"]);
    stage.welcomes(&[&ira]);
    stage.shares(&mut ira);
    stage.told();
    stage.joins(&ghost);
    let told = stage.told().join("\n");
    assert!(told.contains(&format!("First contact with Mallory. Their fingerprint is\n    {}", ghost.fingerprint())));
    assert!(told.contains("[!] Mallory is not verified, and cannot read what you say (--verified-only)."), "{told}");
    assert_eq!(stage.talks_to(&mut ira, "for Ira alone"), [ira.number()]);
    stage.left(ghost.session());
    stage.joins(&ghost);
    stage.told();
    assert_eq!(stage.talks_to(&mut ira, "still for Ira alone"), [], "and no new key: nobody who had it has left");
    stage.client.says("/whisper Mallory a secret");
    stage.client.process.err.wait_for("[!] Not sent: Mallory is not verified, and --verified-only was given.");
    // What they say is shown; and when their fingerprint has been compared, they may read.
    stage.shares(&mut ghost);
    stage.says(&mut ghost, "I can speak");
    stage.client.says("/verify Mallory yes");
    stage.client.process.err.wait_for("[+] Mallory is verified.");
    assert_eq!(stage.talks_to(&mut ghost, "for Mallory too"), [ghost.number()]);
    stage.ends();
}
