//! Notices about rooms and about requests to the server.

use std::time::Duration;

use super::{Listed, here};
use crate::chat::message::LeftReason;
use crate::chat::name::{RoomName, Visible};

/// One has come into another room.
pub fn you_are_in(room: &RoomName, peers: &[Listed]) -> String {
    let others = here(room, peers).unwrap_or_else(|| "[!] No other member is there.".into());
    format!("[+] You are in {room} now.\n{others}")
}

/// One speaks in another room from now on.
pub fn you_speak_in(room: &RoomName) -> String {
    format!("[+] Your messages go to {room} now.")
}

/// One has left a room by one's own wish.
pub fn you_have_left(room: &RoomName) -> String {
    format!("[+] You have left {room}.")
}

/// The rooms that one is in, the one in focus first.
pub fn rooms<'a>(all: impl Iterator<Item = &'a RoomName>) -> String {
    let all: Vec<String> = all.map(ToString::to_string).collect();
    format!("[+] You are in {}{}", all.join(", "), if all.len() > 1 { "; you speak in the first" } else { "" })
}

/// One is not in the room any more, and did not ask for it.
pub fn kicked(room: &RoomName, reason: LeftReason) -> String {
    format!("[!] You are no longer in {room} ({reason}): your messages are not delivered.")
}

/// The same of one room of several.
pub fn kicked_from(room: &RoomName, reason: LeftReason) -> String {
    format!("[!] You are no longer in {room} ({reason}).")
}

/// The server does not let one into another room.
pub fn not_let_into(room: &RoomName, why: &str) -> String {
    format!("[!] You are not in {room}. The server says: {}", Visible(why))
}

/// The server does not let a new session into a room of the last one.
pub fn not_back_in(room: &RoomName, why: &str) -> String {
    format!("[!] You are no longer in {room}. The server says: {}", Visible(why))
}

/// The room that one was in is not to be had in a new session.
pub fn tries_the_lobby(room: &RoomName) -> String {
    format!("[!] Not back in {room}; trying #lobby. The server says: ")
}

/// Messages that the server has not answered, though it is there.
pub fn not_accepted_yet(waiting: usize, timeout: Duration) -> String {
    let messages = if waiting == 1 { "a message".into() } else { format!("{waiting} messages") };
    format!("[!] Not accepted yet: the server has not answered {messages} for {} s.", timeout.as_secs())
}

/// A request that the server did not carry out.
pub fn not_done(line: &str, why: &str) -> String {
    format!("[!] Not done: {}. The server says: {}", Visible(line), Visible(why))
}

/// A request whose outcome is unknown.
pub fn not_known_to_be_done(line: &str) -> String {
    format!("[!] The connection was lost; outcome unknown: {}", Visible(line))
}

/// The password is what it was.
pub fn password_not_set(why: &str) -> String {
    format!("[!] The password is unchanged. The server says: {}", Visible(why))
}

/// The state of the password is unknown.
pub const PASSWORD_NOT_KNOWN: &str =
    "[!] The connection was lost; it is not known whether the password was changed. /password sets it again.";

/// A private message of a session that this client never met.
pub fn whisper_of_somebody_gone() -> String {
    "[!] A private message could not be opened: its sender has left.".into()
}
