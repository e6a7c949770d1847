//! Bytes: how values and frames look on the wire; and how texts spell addresses.
//!
//! ```text
//! TCP or UDP bytes ──▶ frame::Deframer ──▶ one frame ──▶ codec::Reader ──▶ fields
//! fields ──▶ codec::Writer ──▶ one frame ──▶ frame::prefix ──▶ bytes
//! ```
//!
//! Invariant: this floor does no I/O, knows no key, and no meaning of a message.

pub mod address;
pub mod codec;
pub mod frame;
