//! Whoever means harm, or does it, against the programs as they run: each gets what PROTOCOL.md says, and after each the
//! server goes on for everybody else.

mod connections;
mod eavesdropper;
mod endings;
mod exhausted;
mod handshake;
mod names;
mod records;
mod rules;
mod sessions;
mod slow_reader;
mod texts;
mod to_one;
