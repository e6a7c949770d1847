//! Bytes: how values and frames look on the wire.
//!
//! ```text
//! TCP or UDP bytes ──▶ frame::Deframer ──▶ one frame ──▶ codec::Reader ──▶ fields
//! fields ──▶ codec::Writer ──▶ one frame ──▶ frame::prefix ──▶ bytes
//! ```
//!
//! Invariant: nothing here does I/O, knows a key, or knows what a message means.

pub mod codec;
pub mod frame;
