//! Names, order and rooms with whole programs: what every command does to whom, what is kept through a crash, and what
//! becomes of those who race, guess, flood and come twice. PROTOCOL.md §6.

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
