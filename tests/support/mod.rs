//! What the tests of the programs share: the programs as processes, a peer that says whatever a test wants, a wire that
//! is listened to. Ports are the system's choice, folders are temporary, and every wait has a deadline.

#![allow(dead_code, reason = "each test file uses its part of this")]

pub mod folder;
pub mod hostile_server;
pub mod output;
pub mod peer;
pub mod process;
pub mod proxy;
pub mod voice;
pub mod wire;

use std::time::Duration;

/// How long anything may take that a test waits for; mostly it takes milliseconds.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The first character of `text` that would act on a screen, if there is one; ends of lines may.
pub fn acting_character(text: &str) -> Option<char> {
    let acts = |char: &char| {
        (char.is_control() && *char != '\n')
            || matches!(char, '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}')
            || matches!(char, '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    text.chars().find(acts)
}
