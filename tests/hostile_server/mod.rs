//! A server that means harm, or lets somebody do it, against the client as it runs: whatever it sends, nothing is shown
//! that does not hold, the user is told, and nothing is said to whoever is not meant to read it.

mod again;
mod ahead;
mod credentials;
mod devices;
mod entry;
mod faults;
mod files;
mod flips;
mod forger;
mod ghosts;
mod letters;
mod members;
mod names;
mod newcomers;
mod numbers;
mod order;
mod outsiders;
mod real_server;
mod recording;
mod renewal;
mod resuming;
mod rooms;
mod unaccepted;
