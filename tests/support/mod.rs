//! What the tests of the programs share: the programs as processes, a peer that says whatever a test wants, a wire that
//! is listened to. Ports are the system's choice, folders are temporary, and every wait has a deadline.

pub mod apart;
pub mod clock;
pub mod folder;
pub mod hostile_server;
pub mod house;
pub mod output;
pub mod peer;
pub mod process;
pub mod proxy;
pub mod sources;
pub mod voice;
pub mod wire;

use std::fmt::Debug;
use std::str::FromStr;
use std::time::Duration;

/// How long anything may take that a test waits for; mostly it takes milliseconds.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The number of rounds of a test that repeats itself: `CFB_CHAT_ROUNDS` if that is set, as in tests/long, else `usual`.
pub fn rounds<N: FromStr<Err: Debug>>(usual: N) -> N {
    std::env::var("CFB_CHAT_ROUNDS").map_or(usual, |rounds| rounds.parse().expect("a number"))
}

/// The first character of `text` that would act on a screen, if there is one; ends of lines may.
pub fn acting_character(text: &str) -> Option<char> {
    let acts = |char: &char| {
        (char.is_control() && *char != '\n')
            || matches!(char, '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}')
            || matches!(char, '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    text.chars().find(acts)
}
