//! Threads that lead newcomers in: handshake and Join. PROTOCOL.md §3, §6.
//!
//! One that is free leads the next in: a thread that starts costs more than a check that it saves, and what handshakes
//! leave in the allocator stays where few of them were. An idle one ends.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::{self, Receiver, Sender};

use super::connection::Connection;
use super::{Shared, named_thread};

/// Time that an idle thread waits for a connection.
const PATIENCE: Duration = Duration::from_secs(2);

/// As many as there are newcomers, and a little longer than they are.
pub(super) struct HandshakePool {
    /// A rendezvous: a connection is taken by a waiting thread, or not at all.
    door: Sender<Connection>,
    inside: Receiver<Connection>,
}

impl HandshakePool {
    pub(super) fn new() -> Self {
        let (door, inside) = channel::bounded(0);
        Self { door, inside }
    }

    /// Hands over a connection.
    ///
    /// # Errors
    /// The system's error when it has no more threads.
    pub(super) fn spawn_handshake(&self, newcomer: Connection, shared: &Arc<Shared>) -> io::Result<()> {
        let Err(refused) = self.door.try_send(newcomer) else { return Ok(()) };
        let permit =
            shared.threads.take().ok_or_else(|| io::Error::other("there are as many threads as there may be"))?;
        let (first, inside, shared) = (refused.into_inner(), self.inside.clone(), shared.clone());
        named_thread("usher").spawn(move || {
            let _permit = permit;
            let mut newcomer = Some(first);
            while let Some(connection) = newcomer {
                connection.serve(&shared);
                newcomer = inside.recv_timeout(PATIENCE).ok();
            }
        })?;
        Ok(())
    }
}
