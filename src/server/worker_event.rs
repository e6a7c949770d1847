//! Events of workers and the disk for the service, which waits for them at times and for which they never wait.

use crate::chat::{ConnectionId, Cursor, SessionNumber};

/// An event for the service, from threads that must not wait for it.
pub enum WorkerEvent {
    /// A connection has been told that it is too slow.
    Slow(ConnectionId),
    /// A connection that lags behind has received all events up to here, and takes more.
    Behind(ConnectionId, Cursor),
    /// The disk keeps messages again; or not any more, and why.
    Disk(Result<(), String>),
    /// The disk keeps what stays when the server stops again; or does not any more, and why.
    Lasting(Result<(), String>),
    /// The disk wants all there is.
    WantsSnapshot,
    /// The disk could not keep this message.
    Volatile(SessionNumber, u64),
}
