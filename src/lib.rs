//! cfb-chat
pub mod chat;
pub mod client;
pub mod net;
pub mod secure;
pub mod server;
pub mod store;
pub mod wire;
