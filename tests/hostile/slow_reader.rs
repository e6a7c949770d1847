//! A reader that does not read. PROTOCOL.md §8 "Lagging": it is left behind, and reads on from the journal when it reads
//! again; only if that has forgotten what comes next, it hears Bye slow.

use cfb_chat::chat::message::{ByeReason, Event, LeftReason, ToClient};

use crate::support::folder::{Folder, SERVER};
use crate::support::peer::{ANNA, Answer, BORIS, Peer, still_serves};
use crate::support::process::Server;

/// More than the system holds for a socket, and the server beside it: 12 MB in texts of 4,000 bytes.
const MANY: usize = 3_000;
/// What the system holds for who does not read, at their end; much less, and TCP sends it drop by drop.
const HELD: usize = 256 * 1_024;
/// So many in one record, twice: it has 65,503 bytes at most.
const AT_ONCE: usize = 6;

/// Says so much while one does not read; the others have each at once, in order.
fn talk_past(stopped: &mut Peer, server: &Server) -> Peer {
    stopped.hold(HELD);
    let mut reader = Peer::join(server.port, &BORIS, "reader");
    let mut speaker = Peer::join(server.port, &ANNA, "speaker");
    for first in (1..=MANY).step_by(AT_ONCE) {
        says_at_once(&mut speaker, first, &["#lobby"]);
        for number in first..first + AT_ONCE {
            assert_eq!(reader.hears_raw().1, numbered(number), "each once, in order");
        }
    }
    reader
}

/// Says so many texts in each of these rooms, all in one record.
fn says_at_once(speaker: &mut Peer, first: usize, rooms: &[&str]) {
    let mut record = Vec::new();
    for number in first..first + AT_ONCE {
        for room in rooms {
            record.extend(speaker.saying(room, numbered(number).as_bytes()).encode());
        }
    }
    speaker.record(&record);
    for _ in 0..AT_ONCE * rooms.len() {
        assert!(matches!(speaker.is_answered(), Answer::Accepted(_)));
    }
}

fn numbered(number: usize) -> String {
    format!("{number:04000}")
}

/// PROTOCOL.md 8.8-1.
#[test]
fn a_reader_that_stops_holds_nobody_up_and_reads_all_of_it_when_it_reads_again() {
    let server = Server::without_limits();
    let mut stopped = Peer::join(server.port, &ANNA, "stopped");
    talk_past(&mut stopped, &server);
    for number in 1..=MANY {
        assert_eq!(stopped.hears_raw().1, numbered(number), "no gap");
    }
    // And from then on as all others.
    let mut late = Peer::join(server.port, &BORIS, "late");
    late.say_raw("caught up?");
    assert_eq!(stopped.hears_raw().1, "caught up?");
    stopped.say_raw("yes");
    assert_eq!(late.hears_raw().1, "yes");
}

/// PROTOCOL.md 8.8-2.
#[test]
fn a_reader_that_stops_for_longer_than_the_journal_reaches_hears_bye_slow() {
    let arguments = ["-p", "0", "--limits", "off", "--journal-size", "5"];
    let server = Server::start_in(Folder::of_server(SERVER), &arguments);
    let mut stopped = Peer::join(server.port, &ANNA, "stopped");
    let mut reader = talk_past(&mut stopped, &server);
    let heard = stopped.hears_out();
    assert!(heard.last() == Some(&ToClient::Bye(ByeReason::Slow)), "{} messages, and no Bye slow", heard.len());
    let texts = heard.iter().filter_map(|message| match message {
        ToClient::Event { event: Event::Said { envelope, .. }, .. } => Some(envelope),
        _ => None,
    });
    for (number, text) in (1..).zip(texts) {
        assert_eq!(*text, numbered(number).as_bytes(), "what it did get has no gap");
    }
    let left = reader.hears_event(|event| matches!(event, Event::Left { reason: LeftReason::Slow, .. }));
    assert!(matches!(left, Event::Left { who: session, .. } if session == stopped.number));
    still_serves(server.port);
}

#[test]
fn a_reader_that_stops_in_two_rooms_reads_both_in_their_order() {
    let server = Server::without_limits();
    let mut stopped = Peer::join(server.port, &ANNA, "stopped");
    stopped.ask_to_join("#second");
    stopped.is_welcomed();
    stopped.hold(HELD);
    let mut speaker = Peer::join(server.port, &BORIS, "speaker");
    speaker.ask_to_join("#second");
    speaker.is_welcomed();
    for first in (1..=MANY / 2).step_by(AT_ONCE) {
        says_at_once(&mut speaker, first, &["#lobby", "#second"]);
    }
    for number in 1..=MANY / 2 {
        for expected in ["#lobby", "#second"] {
            let said = stopped.hears_event(|event| matches!(event, Event::Said { .. }));
            let Event::Said { room, envelope, .. } = said else { unreachable!() };
            assert_eq!((room.as_str(), &*envelope), (expected, numbered(number).as_bytes()));
        }
    }
}
