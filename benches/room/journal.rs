//! What the journal costs: the same rooms with it on the disk and in memory, in turns.

use super::cpu::Placement;
use super::measures::{self, Light, Saturated};
use super::{Outcome, Setup, UNANSWERED};

/// What is compared: beside a journal in memory, one on the disk.
const PLACES: [[&str; 2]; 2] = [["--journal", "memory"], ["--journal", "disk"]];
/// So much of what is delivered with a journal in memory is to be delivered with one on the disk.
pub(crate) const AIM: f64 = 0.8;

/// A saturated room: in each round, first with a journal in memory, then with one on the disk.
pub(crate) struct Busy {
    pub(crate) members: usize,
    pub(crate) unanswered: u64,
    pub(crate) rounds: Vec<[Saturated; 2]>,
}

/// A quiet one.
pub(crate) struct Quiet {
    pub(crate) members: usize,
    pub(crate) rate: u32,
    pub(crate) rounds: Vec<[Light; 2]>,
}

pub(crate) fn saturated(setup: &Setup, members: usize, rounds: usize) -> Outcome<Vec<Busy>> {
    let of_window = |unanswered| Busy { members, unanswered, rounds: Vec::new() };
    let mut all: Vec<Busy> = UNANSWERED.map(of_window).into();
    for round in 0..rounds {
        let [memory, disk] = in_turns(round, |options| {
            measures::saturated(setup, Placement::Pinned, members, &setup.envelope, &UNANSWERED, options)
        })?;
        for ((busy, memory), disk) in all.iter_mut().zip(memory).zip(disk) {
            busy.rounds.push([memory, disk]);
        }
    }
    Ok(all)
}

pub(crate) fn light(setup: &Setup, members: usize, rate: u32, rounds: usize) -> Outcome<Quiet> {
    let measure = |options: &[&str]| measures::light(setup, Placement::Pinned, members, rate, options);
    let rounds = (0..rounds).map(|round| in_turns(round, measure)).collect::<Outcome<_>>()?;
    Ok(Quiet { members, rate, rounds })
}

/// Does something with each, in an order that is another each time. Gives them in the order of [`PLACES`].
fn in_turns<T>(round: usize, mut measure: impl FnMut(&[&str]) -> Outcome<T>) -> Outcome<[T; 2]> {
    let [memory, disk] = &PLACES;
    if round.is_multiple_of(2) {
        let first = measure(memory)?;
        Ok([first, measure(disk)?])
    } else {
        let first = measure(disk)?;
        Ok([measure(memory)?, first])
    }
}
