//! What was said for a room as it was before the reader came, or long ago.

use cfb_chat::secure::e2e::roster::RosterHash;

use crate::support::hostile_server::{Happened, MINUTE, Member, Stage, said_at};

const OTHER_ROSTER: &str =
    "[!] REFUSED: a message from Ira for an outdated or unknown list of members. The server may have held it back.";

/// The room as it was before Mallory came, and Ira, who goes on talking to it.
struct Old {
    ira: Member,
    mallory: Member,
    change: u64,
    roster: RosterHash,
    /// When Mallory came.
    replaced: u64,
}

impl Old {
    fn replaced() -> (Stage, Self) {
        let (mut ira, mallory) = (Member::ira(), Member::mallory());
        let mut stage = Stage::with(&[&ira]);
        stage.shares(&mut ira);
        let (change, roster, replaced) = (stage.change, stage.roster(), stage.came_at + 1_000);
        stage.tell(&[mallory.person()]);
        stage.joined_at(replaced, mallory.session());
        stage.told();
        (stage, Self { ira, mallory, change, roster, replaced })
    }

    fn said(&mut self, stage: &Stage, text: &str) -> Happened {
        let envelope = stage.envelope_for(self.roster, &mut self.ira, text);
        said_at(self.change, self.ira.session(), envelope)
    }
}

/// Something that Ira said when the client was not there yet; at this time, as the server tells it.
fn says_before(stage: &mut Stage, ira: &mut Member, at: u64) {
    let change = stage.change - 1;
    let roster = stage.roster_of(change, &[ira.session()]);
    let envelope = stage.envelope_for(roster, ira, "before you came");
    let said = said_at(change, ira.session(), envelope);
    stage.event_at(at, said);
}

/// PROTOCOL.md 7.3-12.
#[test]
fn a_newcomer_passes_over_what_was_said_before_for_a_minute() {
    let mut ira = Member::ira();
    let mut stage = Stage::with(&[&ira]);
    stage.told();
    let came = stage.came_at;
    for at in [came, came + 1, came + MINUTE] {
        says_before(&mut stage, &mut ira, at);
        assert!(stage.told().is_empty(), "it was on its way");
    }
    says_before(&mut stage, &mut ira, came + MINUTE + 1);
    stage.is_told(OTHER_ROSTER);
    assert!(stage.talk().is_empty());

    ira.renews_key(4);
    stage.shares(&mut ira);
    assert!(stage.told().is_empty(), "what she said before is not missing");
    says_before(&mut stage, &mut ira, came);
    stage.is_told(OTHER_ROSTER);
    ira.renews_key(4);
    stage.shares(&mut ira);
    stage.says(&mut ira, "now you are here");
    assert_eq!(stage.talk(), ["Ira: now you are here"]);
    stage.ends();
}

#[test]
fn a_newcomer_passes_over_nothing_of_those_who_came_later() {
    let (mut ira, mut mallory) = (Member::ira(), Member::mallory());
    let mut stage = Stage::with(&[&mallory]);
    stage.told();
    stage.joins(&ira);
    stage.told();
    let (came, roster) = (stage.came_at, stage.roster());
    for from in [&mut ira, &mut mallory] {
        let envelope = stage.envelope_for(roster, from, "before you came");
        let said = said_at(1, from.session(), envelope);
        stage.event_at(came, said);
    }
    stage.is_told(OTHER_ROSTER);
    ira.renews_key(0);
    stage.shares(&mut ira);
    stage.says(&mut ira, "now I am here");
    stage.ends();
}

/// PROTOCOL.md 7.3-12.
#[test]
fn a_newcomer_passes_over_nothing_of_somebody_whose_first_key_has_come_even_if_they_left_since() {
    let mut ira = Member::ira();
    let mut stage = Stage::with(&[&ira]);
    stage.shares(&mut ira);
    let came = stage.came_at;
    stage.left(ira.session());
    stage.joins(&ira);
    stage.told();
    let roster = stage.roster_of(1, &[ira.session()]);
    let envelope = stage.envelope_for(roster, &mut ira, "before you came");
    let said = said_at(1, ira.session(), envelope);
    stage.event_at(came, said);
    stage.is_told(OTHER_ROSTER);
    stage.ends();
}

/// PROTOCOL.md 7.3-10.
#[test]
fn what_was_said_for_a_change_of_a_minute_ago_is_shown_and_for_an_older_one_refused() {
    let (mut stage, mut old) = Old::replaced();
    let replaced = old.replaced;
    // A minute, and five seconds for the clocks.
    let said = old.said(&stage, "just so");
    stage.event_at(replaced + MINUTE + 5_000, said);
    stage.client.sees("Ira", "just so");
    let said = old.said(&stage, "too late");
    stage.event_at(replaced + MINUTE + 5_001, said);
    stage.is_told(OTHER_ROSTER);
    stage.ends();
}

/// PROTOCOL.md 7.3-9, 7.3-10.
#[test]
fn what_was_said_thirty_two_changes_ago_is_shown_and_not_one_more() {
    let (mut stage, mut old) = Old::replaced();
    let (replaced, mallory) = (old.replaced, old.mallory.session());
    // However quick they are.
    for _ in 0..15 {
        stage.left_at(replaced, mallory);
        stage.joined_at(replaced, mallory);
    }
    stage.left_at(replaced, mallory);
    assert_eq!(stage.change, old.change + 32);
    let said = old.said(&stage, "32 back");
    stage.event_at(replaced, said);
    stage.client.sees("Ira", "32 back");
    stage.told();
    stage.joined_at(replaced, mallory);
    let said = old.said(&stage, "33 back");
    stage.event_at(replaced, said);
    stage.is_told(OTHER_ROSTER);
    stage.says(&mut old.ira, "for the room as it is");
    assert_eq!(stage.talk(), ["Ira: 32 back", "Ira: for the room as it is"]);
    stage.ends();
}
