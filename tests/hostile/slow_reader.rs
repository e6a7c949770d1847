//! A reader that does not read. PROTOCOL.md §9: 4 MiB waiting for it, then Bye slow.

use cfb_chat::chat::message::{ByeReason, Event, LeftReason, ToClient};

use crate::support::peer::{ANNA, Answer, BORIS, Peer, still_serves};
use crate::support::process::Server;

/// More than the system holds for a socket, and the server beside it.
const MOST: usize = 8_000;

#[test]
fn a_reader_that_stops_holds_nobody_up_and_hears_bye_slow_when_it_reads_again() {
    let server = Server::without_limits();
    let mut stopped = Peer::join(server.port, &ANNA, "stopped");
    stopped.hold(4_096);
    let mut reader = Peer::join(server.port, &BORIS, "reader");
    let mut speaker = Peer::join(server.port, &ANNA, "speaker");

    let (mut said, mut is_gone) = (0, false);
    while !is_gone && said < MOST {
        said += 1;
        speaker.say_raw(&format!("{said:04000}"));
        assert_eq!(speaker.is_answered(), Answer::Accepted(speaker.n));
        let mut read = false;
        while !read {
            match reader.hear().expect("the others go on") {
                ToClient::Event { event: Event::Said { envelope, .. }, .. } => {
                    assert_eq!(envelope, format!("{said:04000}").as_bytes(), "each once, in order");
                    read = true;
                }
                ToClient::Event { event: Event::Left { session, reason, .. }, .. } => {
                    assert_eq!((session, reason), (stopped.session, LeftReason::Slow));
                    is_gone = true;
                }
                _ => {}
            }
        }
    }
    assert!(is_gone || matches!(reader.sees_change(), Event::Left { reason: LeftReason::Slow, .. }));

    stopped.hold(4 * 1_024 * 1_024);
    let heard = stopped.hears_out();
    assert!(heard.last() == Some(&ToClient::Bye(ByeReason::Slow)), "{} messages, and no Bye slow", heard.len());
    let texts = heard.iter().filter_map(|message| match message {
        ToClient::Event { event: Event::Said { envelope, .. }, .. } => Some(envelope),
        _ => None,
    });
    for (number, text) in (1..).zip(texts) {
        assert_eq!(*text, format!("{number:04000}").as_bytes(), "what it did get has no gap");
    }
    still_serves(server.port);
}

#[test]
fn a_reader_that_stops_in_two_rooms_is_told_slow_too() {
    let server = Server::without_limits();
    let mut stopped = Peer::join(server.port, &ANNA, "stopped");
    stopped.ask_to_join("#second");
    stopped.is_welcomed();
    let mut speaker = Peer::join(server.port, &BORIS, "speaker");
    speaker.ask_to_join("#second");
    speaker.is_welcomed();
    let text = vec![b'x'; 4_096];
    let mut is_gone = false;
    for _ in 0..MOST {
        // Both rooms in one record, so that both are due in one sweep.
        let both = ["#lobby", "#second"].map(|room| speaker.saying(room, &text).encode());
        speaker.record(&both.concat());
        for _ in 0..2 {
            let left = |message: &ToClient| {
                matches!(message, ToClient::Event { event: Event::Left { reason: LeftReason::Slow, .. }, .. })
            };
            match speaker.hear().expect("the others go on") {
                message if left(&message) => is_gone = true,
                _ => {}
            }
        }
        if is_gone {
            break;
        }
    }
    assert!(is_gone);
    let heard = stopped.hears_out();
    assert!(heard.last() == Some(&ToClient::Bye(ByeReason::Slow)), "{} messages, and no Bye slow", heard.len());
    still_serves(server.port);
}
