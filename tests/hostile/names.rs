//! Names that deceive, or act on a screen. PROTOCOL.md §6, §9.

use cfb_chat::chat::message::ErrorCode;
use cfb_chat::secure::handshake::RefusalCode;

use crate::support::acting_character;
use crate::support::peer::{ANNA, Answer, BORIS, Peer, credential, still_serves};
use crate::support::process::Server;
use crate::support::wire::{Refusal, Wire};

#[test]
fn names_that_break_the_rules_are_refused_sealed_and_reach_no_log() {
    let server = Server::without_limits();
    let too_long = "a".repeat(33);
    let far_too_long = "a".repeat(2_000);
    let names = [
        "",
        &too_long,
        &far_too_long,
        "two words",
        "line\nfeed",
        "carriage\rreturn",
        "ni\0l",
        "\u{1b}[2Jclear",
        "\u{1b}]0;title\u{7}",
        "c1\u{9b}31m",
        "\u{202e}reversed",
        "\u{2066}isolated",
        "zero\u{200b}width",
        "\u{feff}mark",
        "Zoe\u{308}",
    ];
    for name in names {
        let refused = Peer::enter_as(Wire::connect(server.port), &ANNA, &credential(&ANNA, name)).err();
        assert_eq!(refused, Some(Refusal::Sealed(RefusalCode::Name)), "{name:?}");
    }
    server.process.err.wait_for_times("[-] Refused ", names.len());
    still_serves(server.port);
    let log = server.log();
    assert_eq!(acting_character(&log), None, "{log:?}");
    assert!(!log.contains("reversed") && !log.contains("aaaa"), "{log}");
}

#[test]
fn names_that_look_like_somebody_elses_are_somebody_elses() {
    let server = Server::without_limits();
    let mut ira = Peer::join(server.port, &ANNA, "Ira");
    for name in ["lra", "ira", "IRA", "Іra", "Irа"] {
        let mut other = Peer::enter(server.port, &BORIS, name);
        other.ask_to_join("#lobby");
        assert_eq!(other.is_answered(), Answer::Error(ErrorCode::Taken, 0), "{name:?}");
    }
    ira.say_raw("nobody else is Ira");
    assert_eq!(ira.is_answered(), Answer::Accepted(1));
    assert_eq!(ira.change(), 1);
    still_serves(server.port);
}
