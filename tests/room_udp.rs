//! All of `room`, with the programs' clients on UDP; whoever else is there comes by TCP, to the same port.

#[path = "room.rs"]
mod room;
