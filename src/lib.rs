//! cfb-chat
pub mod chat;
pub mod secure;
pub mod wire;
