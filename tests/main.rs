//! All tests that stand outside the library, in one crate: it is linked once. Each module is a subject.

mod architecture;
mod chat;
mod durability;
mod examples;
mod forward_secrecy;
mod frozen_messages;
mod hostile;
mod hostile_server;
mod identity;
mod leaks;
mod links;
mod moderation;
mod names;
mod prose;
mod protocol;
mod room;
mod settings;
mod support;
mod terminal;
mod udp;
