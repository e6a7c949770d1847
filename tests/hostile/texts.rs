//! Texts that act on a screen, or are too long.

use cfb_chat::chat::message::ErrorCode;

use crate::support::acting_character;
use crate::support::peer::{ANNA, Answer, BORIS, Peer, still_serves};
use crate::support::process::{Client, Server};

#[test]
fn what_would_act_on_a_screen_reaches_none_raw() {
    let server = Server::without_limits();
    let client = Client::join(server.port, "Ira");
    let mut peer = Peer::join(server.port, &BORIS, "Boris");
    let texts = [
        "\u{1b}[2J\u{1b}[H cleared",
        "\u{1b}]0;title\u{7}",
        "\u{1b}]52;c;ZXZpbA==\u{7}",
        "\u{9b}31m and \u{9d}0;x\u{9c}",
        "bell \u{7} backspace \u{8}\u{8} return \r delete \u{7f}",
        "line\n2023-06-25 09:35:24 Ira: forged",
        "\u{202e}desrever \u{2067}isolated\u{2069} \u{200f}",
        "\u{2028}2023-06-25 09:35:24 Ira: forged",
        "ze\u{200b}ro \u{feff}",
    ];
    for text in texts {
        peer.say(text);
    }
    peer.say("the last");
    client.sees("Boris", "the last");
    let screen = client.process.out.so_far();
    assert_eq!(acting_character(&screen), None, "{screen:?}");
    assert!(screen.contains(" Boris: <U+001B>[2J<U+001B>[H cleared\n"), "{screen}");
    let talk = client.talk();
    assert_eq!(talk.len(), texts.len() + 1, "{talk:#?}");
    assert!(talk.iter().all(|line| line.starts_with("Boris: ")), "{talk:#?}");
    let ended = client.exit();
    assert_eq!((ended.status, acting_character(&ended.err)), (Some(0), None), "{}", ended.err);
}

#[test]
fn a_client_says_that_a_text_is_too_long_and_sends_nothing_of_it() {
    let server = Server::without_limits();
    let mut peer = Peer::join(server.port, &BORIS, "Boris");
    let mut client = Client::join(server.port, "Ira");
    client.says(&"x".repeat(4_097));
    client.process.err.wait_for("Not sent: 4097 bytes are more than the 4096");
    client.says(&"ä".repeat(2_048));
    assert_eq!(peer.hears_said().1, "ä".repeat(2_048));
    client.process.type_bytes(b"\xff\xfe no text\n");
    client.process.err.wait_for("Not sent: the line is not UTF-8");
    client.says(&"y".repeat(200_000));
    client.process.err.wait_for("Not sent: the line is longer");
    client.says("after all that");
    assert_eq!(peer.hears_said().1, "after all that");
    assert_eq!(client.exit().status, Some(0));
}

#[test]
fn an_envelope_over_the_limit_is_told_off_and_uses_its_number_up() {
    let server = Server::without_limits();
    let mut peer = Peer::join(server.port, &ANNA, "Anna");
    let mut reader = Peer::join(server.port, &BORIS, "Boris");
    for (length, answer) in [
        (4_609, Answer::Error(ErrorCode::Large, 1)),
        (4_608, Answer::Accepted(2)),
        (60_000, Answer::Error(ErrorCode::Large, 3)),
        (4, Answer::Accepted(4)),
    ] {
        let say = peer.saying("#lobby", &vec![b'x'; length]);
        peer.send(&say);
        assert_eq!(peer.is_answered(), answer);
    }
    let heard = [(); 2].map(|()| reader.hears_raw().1.len());
    assert_eq!(heard, [4_608, 4]);
    still_serves(server.port);
}

#[test]
fn what_is_no_message_or_too_long_a_text_is_told_of_and_what_follows_is_shown() {
    let server = Server::without_limits();
    let client = Client::join(server.port, "Ira");
    let mut peer = Peer::join(server.port, &BORIS, "Boris");
    peer.say_raw("no message");
    client.process.err.wait_for("[!] A message from Boris could not be opened: malformed.");
    for text in [&*"x".repeat(4_097), ""] {
        peer.say(text);
    }
    client
        .process
        .err
        .wait_for_times("[!] A message from Boris cannot be shown: it is empty, too long, or not text.", 2);
    peer.say("short");
    client.sees("Boris", "short");
    assert_eq!(client.talk(), ["Boris: short"]);
    let ended = client.exit();
    assert!(!ended.err.contains("missing"), "{}", ended.err);
}
