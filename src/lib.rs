//! cfb-chat: private group chat. A server that relays, and a client; this library is all of both.
//!
//! ```text
//! floor 4   bin/server ─┐                        ┌─ bin/client     arguments → Config → run → exit code
//! floor 3   server ─────┴── never each other ────┴── client        threads, console; session, screens
//! floor 2   net                    store                           pipes; disk
//! floor 1   secure      (never each other)       chat              secrecy; people and rules
//! floor 0   wire                                                   bytes
//! ```
//!
//! Imports go down only, and each third-party crate is named in its own rooms: `tests/architecture.rs` holds both.
//! The protocol is in PROTOCOL.md; sections are cited as §n.

#![deny(clippy::unwrap_used)]

pub mod chat;
pub mod client;
pub mod net;
pub mod secure;
pub mod server;
pub mod store;
pub mod wire;
