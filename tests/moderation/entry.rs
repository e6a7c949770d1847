//! Who comes in: with the right password, after wrong ones, by invitation, and when it is closed.

use cfb_chat::chat::message::{ByeReason, ErrorCode};
use cfb_chat::secure::handshake::RefusalCode;

use super::people::{CLARA, DORA, Who, fingerprint};
use super::stage::{Actor, Stage, anna, boris, settles};
use crate::support::folder::{Folder, SERVER};
use crate::support::peer::ANNA;
use crate::support::process::Server;
use crate::support::wire::Refusal;

const PASSWORD: &str = "correct horse";
const WRONG: &str = "battery staple";

/// Somebody with another key, who goes by Anna's name.
fn other(last: u8) -> Who {
    Who::new(CLARA, "Anna", last)
}

#[test]
fn with_the_password_of_a_name_another_key_is_one_of_its_keys_and_replaces_the_first() {
    let server = Server::without_limits();
    let mut first = anna().comes(server.port, "#lobby");
    other(4).is_refused(server.port, "#lobby", "", ErrorCode::Taken);
    assert!(first.sets_password(PASSWORD).is_ok());
    other(4).is_refused(server.port, "#lobby", WRONG, ErrorCode::Password);
    // Asked for it, and given it on the same connection.
    let mut second = other(4).enters(server.port).expect("the server takes them");
    assert_eq!(second.joins_with("#lobby", "").map_err(|why| why.0), Err(ErrorCode::Password));
    assert_eq!(second.joins_with("#lobby", PASSWORD), Ok(()));
    first.ends_by(ByeReason::Replaced);
    let told = second.commands("DEVICES").expect("anybody may");
    let keys: Vec<&str> = told.lines().take(2).collect();
    assert!(keys[0].starts_with(&fingerprint(&ANNA)) && !keys[0].ends_with("this one"), "{told}");
    assert!(keys[1].starts_with(&fingerprint(CLARA)) && keys[1].ends_with("  this one"), "{told}");
    // From now on that key needs none, and the name is here once.
    let again = other(4).comes(server.port, "#lobby");
    second.ends_by(ByeReason::Replaced);
    let mut first = anna().comes(server.port, "#lobby");
    again.ends_by(ByeReason::Replaced);
    // A password that is gone lets nobody in; who is one of its keys stays one.
    assert!(first.sets_password("").is_ok());
    Who::new(&DORA, "Anna", 5).is_refused(server.port, "#lobby", PASSWORD, ErrorCode::Taken);
    other(4).comes(server.port, "#lobby");
    assert!(!server.log().contains(PASSWORD) && !server.log().contains(WRONG));
}

#[test]
fn wrong_passwords_hold_up_whoever_guesses_at_that_name_and_not_its_owner() {
    let server = Server::without_limits();
    let mut owner = anna().comes(server.port, "#lobby");
    let mut clara = Who::new(CLARA, "Clara", 4).comes(server.port, "#lobby");
    assert!(owner.sets_password(PASSWORD).is_ok() && clara.sets_password(PASSWORD).is_ok());
    for guess in 0..5 {
        // From wherever, with whatever key.
        let who = if guess % 2 == 0 { other(10 + guess) } else { Who::new(&DORA, "Anna", 10 + guess) };
        who.is_refused(server.port, "#lobby", WRONG, ErrorCode::Password);
    }
    for password in [WRONG, PASSWORD] {
        let why = other(20).is_refused(server.port, "#lobby", password, ErrorCode::Wait);
        assert_eq!(why, "too many wrong passwords for that name: wait a minute");
    }
    // The owner is not held up, here or coming; nor is another name.
    assert_eq!(owner.says("#lobby", "I am here"), Ok(()));
    let again = anna().comes(server.port, "#lobby");
    owner.ends_by(ByeReason::Replaced);
    drop(again);
    Who::new(&DORA, "Clara", 5).tries(server.port, "#lobby", PASSWORD).unwrap_or_else(|why| panic!("{why:?}"));
}

#[test]
fn wrong_passwords_cost_the_address_that_they_come_from() {
    const MAX_ATTEMPTS: usize = 12;
    let server = Server::start_in(Folder::of_server(SERVER), &["-p", "0"]);
    let mut owner = anna().comes(server.port, "#lobby");
    assert!(owner.sets_password(PASSWORD).is_ok());
    let guessing = other(66);
    let mut refused = None;
    let guesses = (0..MAX_ATTEMPTS).take_while(|_| match guessing.enters(server.port) {
        Ok(mut somebody) => {
            let why = somebody.joins_with("#lobby", WRONG).expect_err("it is wrong").0;
            assert!(matches!(why, ErrorCode::Password | ErrorCode::Wait), "{why:?}");
            // The server counts it when it has closed.
            somebody.peer.ends();
            true
        }
        Err(why) => {
            refused = Some(why);
            false
        }
    });
    let guesses = guesses.count();
    assert!((5..MAX_ATTEMPTS).contains(&guesses), "{guesses}");
    assert!(matches!(refused, Some(Refusal::Bare(RefusalCode::Busy) | Refusal::Silent)), "{refused:?}");
    // All that comes from there, and nothing else.
    assert!(Who { from: guessing.from, ..boris() }.enters(server.port).is_err());
    boris().comes(server.port, "#lobby");
    assert_eq!(owner.says("#lobby", "I am here"), Ok(()));
}

#[test]
fn a_server_that_is_by_invitation_or_closed_knows_who_has_been_there() {
    let mut stage = Stage::set(Actor::Console);
    let port = stage.port();
    anna().comes(port, "#lobby").goes("#lobby");
    let reloads = |stage: &mut Stage, access: &str| {
        settles(stage, &format!("access = \"{access}\"\n"));
        assert!(stage.asks("RELOAD").contains(&format!("→ {access}")));
    };
    reloads(&mut stage, "invite");
    let told = boris().is_refused(port, "#lobby", "", ErrorCode::Invitation);
    assert!(told == "this server is by invitation", "{told}");
    boris().is_refused(port, "#lobby", "no token at all", ErrorCode::Invitation);
    boris().is_refused(port, "#lobby", "AAAAAAAAAAAAAAAAAAAAAA", ErrorCode::Invitation);
    let token = |stage: &mut Stage, uses: &str| {
        let invitation = stage.asks(&format!("INVITE 1 {uses}"));
        invitation.rsplit('/').next().expect("a token").to_owned()
    };
    let for_two = token(&mut stage, "2");
    // Whoever is known uses nothing up.
    anna().tries(port, "#lobby", &for_two).unwrap_or_else(|why| panic!("{why:?}")).goes("#lobby");
    boris().tries(port, "#lobby", &for_two).unwrap_or_else(|why| panic!("{why:?}")).goes("#lobby");
    boris().comes(port, "#lobby").goes("#lobby");
    let revoked = token(&mut stage, "1");
    let number = stage.asks("INVITES").lines().last().and_then(|line| line.trim().split(' ').next().map(str::to_owned));
    stage.asks(&format!("REVOKE {}", number.expect("an invitation")));
    let dora = Who::new(&DORA, "Dora", 5);
    dora.is_refused(port, "#lobby", &revoked, ErrorCode::Invitation);

    reloads(&mut stage, "closed");
    let why = dora.is_refused(port, "#lobby", &for_two, ErrorCode::Refused);
    assert_eq!(why, "this server is closed: only registered names may join");
    anna().comes(port, "#lobby");
    anna().called("Annabel").is_refused(port, "#lobby", "", ErrorCode::Refused);
    reloads(&mut stage, "invite");
    dora.tries(port, "#lobby", &for_two).unwrap_or_else(|why| panic!("{why:?}"));
    Who::new(CLARA, "Clara", 4).is_refused(port, "#lobby", &for_two, ErrorCode::Invitation);
    let log = stage.console.log();
    assert!(!log.contains(&for_two) && !log.contains(&revoked));
    assert_eq!(stage.console.terminates(), 0);
}
