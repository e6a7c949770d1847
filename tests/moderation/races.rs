//! Two who want the same at once: a name that is free, an invitation that is good for one.

use std::sync::Barrier;
use std::thread;

use cfb_chat::chat::message::{ErrorCode, ToClient, ToServer};
use cfb_chat::chat::name::Name;

use super::people::{DORA, Somebody, Who};
use super::stage::{anna, boris};
use crate::support::house::House;
use crate::support::peer::{ANNA, BORIS};

const ROUNDS: usize = 100;

/// The two spellings of a round's name; every other time they only look the same.
fn names(round: usize) -> [String; 2] {
    let other = if round.is_multiple_of(2) { format!("Ira-{round}") } else { format!("lra-{round}") };
    [format!("Ira-{round}"), other]
}

/// Comes by a name as soon as the other does too. Gives whether it is theirs.
fn races(port: u16, who: Who, which: usize, start: &Barrier) -> Vec<bool> {
    let race = |round| {
        let name = &names(round)[which];
        let mut somebody = Somebody::begins(port, who.key, name, who.from).expect("the server takes them");
        start.wait();
        match somebody.joins_with("#lobby", "") {
            Ok(()) => true,
            Err((ErrorCode::Taken, _)) => false,
            Err(why) => panic!("{name}: {why:?}"),
        }
    };
    (0..ROUNDS).map(race).collect()
}

#[test]
fn of_two_who_want_a_free_name_at_once_one_gets_it_for_good() {
    let mut house = House::open(&["--resume-window", "0"]);
    let (port, start) = (house.port, Barrier::new(2));
    let [of_anna, of_boris] = thread::scope(|scope| {
        let racing = [(anna(), 0), (boris(), 1)].map(|(who, which)| {
            let start = &start;
            scope.spawn(move || races(port, who, which, start))
        });
        racing.map(|race| race.join().expect("it ran to its end"))
    });
    for (round, (anna, boris)) in of_anna.iter().zip(&of_boris).enumerate() {
        assert!(anna != boris, "round {round}: {anna} and {boris}");
    }
    let won = of_anna.iter().filter(|won| **won).count();
    println!("Anna has {won} of {ROUNDS} names");
    house.kill();
    house.open_again();
    // Whose each is, as the server tells; and as it lets them in.
    let mut asking = Who::new(&DORA, "Dora", 5).comes(port, "#lobby");
    for (round, won) in of_anna.iter().enumerate() {
        let (owner, other) = if *won { (&*ANNA, &*BORIS) } else { (&*BORIS, &*ANNA) };
        for name in names(round) {
            let name = Name::parse(&name).expect("a name");
            asking.peer.send(&ToServer::Lookup(name));
            let found = asking.peer.wait_for(|message| match message {
                ToClient::Found { spki, .. } => Some(spki.clone()),
                ToClient::Error { code, .. } => panic!("round {round}: {code:?}"),
                _ => None,
            });
            assert!(found == owner.public().spki(), "round {round}");
        }
        if round < 10 {
            let [name, _] = names(round);
            let from = anna().from;
            let mut late = Somebody::begins(port, other, &name, from).expect("the server takes them");
            assert_eq!(late.joins_with("#lobby", "").map_err(|why| why.0), Err(ErrorCode::Taken));
            let mut again = Somebody::begins(port, owner, &name, from).expect("the server takes them");
            assert_eq!(again.joins_with("#lobby", ""), Ok(()));
        }
    }
}

#[test]
fn an_invitation_for_one_that_two_use_at_once_lets_one_in() {
    for round in 0..10 {
        let mut house = House::open(&["--access", "invite", "--resume-window", "0"]);
        house.server().process.type_line("INVITE 1 1");
        let invitation = house.server().process.out.wait_for("cfb-chat://");
        let token = invitation.rsplit('/').next().expect("a token");
        let (port, start) = (house.port, Barrier::new(2));
        let came = thread::scope(|scope| {
            let racing = [anna(), boris()].map(|who| {
                let start = &start;
                scope.spawn(move || {
                    let mut somebody = who.enters(port).expect("the server takes them");
                    start.wait();
                    let outcome = somebody.joins_with("#lobby", token).map_err(|why| why.0);
                    (outcome, somebody)
                })
            });
            racing.map(|race| race.join().expect("it ran to its end").0)
        });
        let won = came.iter().filter(|outcome| outcome.is_ok()).count();
        assert_eq!(won, 1, "round {round}: {came:?}");
        assert!(came.contains(&Err(ErrorCode::Invitation)), "round {round}: {came:?}");
        assert!(!house.log().contains(token));
    }
}
