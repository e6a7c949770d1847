//! Whoever says far too much at once is slowed, and nothing else; the others go on talking.

use cfb_chat::chat::message::ErrorCode;

use super::people::Who;
use super::stage::{anna, boris};
use crate::support::folder::{Folder, SERVER};
use crate::support::peer::{Answer, Peer};
use crate::support::process::{Client, Server};

const FLOOD: usize = 1_000;
/// Messages of any kind that one may send at once are a few more.
const AT_ONCE: usize = 90;

fn server() -> Server {
    Server::start_in(Folder::of_server(SERVER), &["-p", "0", "--resume-window", "120"])
}

/// What others hear while somebody floods: `says` says something now and then, and `hears` hears it all, in order.
fn talk_goes_on(says: &mut Peer, hears: &mut Peer) {
    for i in 0..5 {
        let text = format!("calm {i}");
        says.say(&text);
        let heard = std::iter::repeat_with(|| hears.hears_said()).find(|(who, _)| *who == says.number);
        assert_eq!(heard.map(|(_, said)| said), Some(text));
    }
}

#[test]
fn a_client_with_a_thousand_lines_to_say_is_slowed_and_stays() {
    let mut server = server();
    let mut flooder = Client::join(server.port, "Flooder");
    let mut hears = boris().comes(server.port, "#lobby");
    let mut says = Who::new(super::people::CLARA, "Clara", 4).comes(server.port, "#lobby");
    hears.hears();
    let lines: Vec<String> = (0..FLOOD).map(|i| format!("flood {i}\n")).collect();
    flooder.process.type_bytes(lines.concat().as_bytes());
    // What it may say at once has come, and it is told to wait; more comes at the pace of all.
    let first = hears.peer.hears_said();
    assert_eq!(first.1, "flood 0");
    talk_goes_on(&mut says.peer, &mut hears.peer);
    let of_flooder = std::iter::repeat_with(|| hears.peer.hears_said()).filter(|(who, _)| *who == first.0);
    let later: Vec<usize> = of_flooder.take(25).map(|(_, said)| said[6..].parse().expect("a number")).collect();
    assert!(later.windows(2).all(|two| two[0] + 1 == two[1]), "each is heard once, and in order: {later:?}");
    server.process.type_line("BANS");
    server.process.out.wait_for("there are no bans");
    server.process.type_line("WHO");
    assert!(!server.process.out.wait_for("Flooder").contains("reconnecting"));
    let log = server.log();
    assert!(!log.contains("Flooder: connection lost") && !log.contains("Flooder left"), "{log}");
}

#[test]
fn whoever_sends_hundreds_of_messages_at_once_is_told_to_wait_and_stays() {
    let mut server = server();
    let mut hears = boris().comes(server.port, "#lobby");
    let mut says = Who::new(super::people::CLARA, "Clara", 4).comes(server.port, "#lobby");
    let mut flooder = anna().comes(server.port, "#lobby");
    hears.hears();
    // As many as are read at once.
    for _ in 0..AT_ONCE {
        let say = flooder.peer.saying("#lobby", b"flood");
        flooder.peer.send(&say);
    }
    let answers: Vec<Answer> = (0..AT_ONCE).map(|_| flooder.peer.is_answered()).collect();
    let taken = answers.iter().filter(|answer| matches!(answer, Answer::Accepted(_))).count();
    assert!((20..30).contains(&taken), "{taken} taken");
    assert!(answers.contains(&Answer::Error(ErrorCode::Wait, taken as u64 + 1)), "{answers:?}");
    // And far more: it is read no faster, and that is all.
    for _ in 0..FLOOD / 4 {
        let say = flooder.peer.saying("#lobby", b"flood");
        flooder.peer.send(&say);
    }
    for _ in 0..taken {
        hears.peer.hears_raw();
    }
    says.hears();
    for i in 0..5 {
        let text = format!("calm {i}");
        assert_eq!(says.says("#lobby", &text), Ok(()));
        assert_eq!(hears.peer.hears_said(), (says.number(), text));
    }
    server.process.type_line("BANS");
    server.process.out.wait_for("there are no bans");
    let mut answers = (0..FLOOD / 4).map(|_| flooder.peer.is_answered());
    assert!(answers.all(|answer| matches!(answer, Answer::Error(ErrorCode::Again, _))), "behind what was to wait");
    flooder.peer.hears_until_pong();
}
