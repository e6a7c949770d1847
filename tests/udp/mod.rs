//! Talk over UDP, by real programs, through a network that does what it likes; and by strangers who would end it.

mod addresses;
mod clock;
mod hosts;
mod lossy;
mod moves;
mod outages;
mod relay;
mod restart;
mod strangers;

use crate::support::folder::{Folder, SERVER, USER_A, USER_B};
use crate::support::process::{Client, READY, Server};

/// A server without limits on both protocols.
fn server() -> Server {
    Server::start_in(Folder::of_server(SERVER), &["-p", "0", "--limits", "off", "--udp"])
}

/// Two people in the room, by way of this port, who know of each other.
fn two_people(port: u16) -> [Client; 2] {
    let anna = Client::start(port, "Anna", Folder::of_user("Anna", USER_A), &["--udp"]);
    anna.process.out.wait_for(READY);
    let boris = Client::start(port, "Boris", Folder::of_user("Boris", USER_B), &["--udp"]);
    boris.process.out.wait_for(READY);
    anna.process.out.wait_for("[+] Boris joined the room.");
    [anna, boris]
}

/// Each says something that the other reads.
fn they_talk(people: &mut [Client; 2], about: &str) {
    let [anna, boris] = people;
    anna.says(&format!("{about}, says Anna"));
    boris.sees("Anna", &format!("{about}, says Anna"));
    boris.says(&format!("{about}, says Boris"));
    anna.sees("Boris", &format!("{about}, says Boris"));
}
