//! Names, order and rooms with whole programs: what every command does to whom, what is kept through a crash, and what
//! becomes of those who race, guess, flood and come twice. PROTOCOL.md §6.

#[path = "../support/mod.rs"]
mod support;

#[path = "../durability/house.rs"]
#[allow(dead_code, reason = "what was found again is counted elsewhere")]
mod house;

mod clients;
mod commands;
mod entry;
mod flood;
mod for_operators;
mod for_rooms;
mod lasting;
mod people;
mod races;
mod stage;
mod twice;
