//! Nothing is lost: servers are killed, connections cut, clients killed, disks fill up, clocks jump; and then it is
//! counted, message by message, what everybody was told and what stands on everybody's screen. Processes as people run
//! them, but where the protocol's own deadlines are too long to wait for.

mod clients_killed;
mod clock;
mod cuts;
mod damaged;
mod disk;
mod inside;
mod lasting;
mod leaving;
mod people;
mod rounds;
mod stops;
mod way;

use crate::support::apart;
use rand::SeedableRng;
use rand::rngs::StdRng;

/// The seed of a run, to have the same chances again.
const SEED: &str = "CFB_CHAT_TEST_SEED";

/// Chance, as it was in the run with this seed.
fn chance() -> StdRng {
    let seed = std::env::var(SEED).map_or_else(|_| rand::random(), |seed| seed.parse::<u64>().expect("a number"));
    println!("{SEED}={seed} has the same chances again");
    StdRng::seed_from_u64(seed)
}
