//! Many people who talk, come, go, vanish and come back, as chance has it: whoever is in reads what is said, once, in one
//! order, and whispers reach whom they are for. Processes as people run them.

mod account;
mod back;
mod crowd;
mod path;
mod rooms;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::support::rounds;
use crowd::Crowd;

/// Crowds of a usual run.
const CROWDS: u32 = 8;
/// The seed of a run, to have the same again.
const SEED: &str = "CFB_CHAT_TEST_SEED";

/// What somebody does. Whoever cannot, does not.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Says so many things to the room, one after the other.
    Say(usize, usize),
    /// Does something in the room.
    Act(usize),
    /// Says something to one alone, who may be away.
    Whisper(usize, usize),
    /// Comes in, or back; the others do not wait for it.
    Come(usize),
    /// Leaves as one should.
    Leave(usize),
    /// Is killed.
    Die(usize),
    /// Loses the connection.
    Lose(usize),
    /// All see who is here, and hear each other.
    Settle,
}

/// So many people, and what they do.
fn plans() -> impl Strategy<Value = (usize, Vec<Step>)> {
    (2..=12_usize).prop_flat_map(|people| {
        let who = || 0..people;
        let step = prop_oneof![
            8 => who().prop_map(|who| Step::Say(who, 1)),
            2 => (who(), 2..=20_usize).prop_map(|(who, times)| Step::Say(who, times)),
            2 => who().prop_map(Step::Act),
            5 => (who(), who()).prop_map(|(from, to)| Step::Whisper(from, to)),
            6 => who().prop_map(Step::Come),
            3 => who().prop_map(Step::Leave),
            1 => who().prop_map(Step::Die),
            1 => who().prop_map(Step::Lose),
            1 => Just(Step::Settle),
        ];
        (Just(people), prop::collection::vec(step, 20..80))
    })
}

#[test]
fn whoever_is_in_reads_all_that_is_said_once_and_in_one_order_and_whispers_reach_whom_they_are_for() {
    let seed = std::env::var(SEED).map_or_else(|_| rand::random(), |seed| seed.parse::<u64>().expect("a number"));
    println!("{SEED}={seed} has the same people do the same again");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config { cases: rounds(CROWDS), failure_persistence: None, max_shrink_iters: 0, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let outcome = runner.run(&plans(), |(people, steps)| {
        account::holds(&Crowd::gather(people).live(&steps));
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{SEED}={seed}: {error}"));
}
