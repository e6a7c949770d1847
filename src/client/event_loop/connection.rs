//! One connection: a thread that reads it, and what seals what is sent on it.

use std::io;
use std::net::Shutdown;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel::{self, Receiver, Sender};
use zeroize::Zeroizing;

use crate::chat::message::{ServerMessageError, ToClient, ToServer};
use crate::client::connect::Connected;
use crate::net::secure_channel::{Incoming, ReadError};
use crate::net::{Link, write_all};
use crate::secure::record::Sealer;

/// Records that may wait to be looked at.
const QUEUE: usize = 256;
/// A server that accepts no bytes for so long is lost.
const STALLED: Duration = Duration::from_secs(30);

/// A connection. It ends when this is dropped.
pub(super) struct ActiveConnection {
    sealer: Sealer,
    link: Arc<dyn Link>,
    pub(super) arrived: Receiver<Arrived>,
    pub(super) last_sent: Instant,
}

/// Result of the reader thread's last read.
pub(super) type Arrived = Result<Vec<ToClient>, ReaderError>;

/// Why the reader thread reads no more.
pub(super) enum ReaderError {
    Ended(ReadError),
    Broken(ServerMessageError),
}

impl ActiveConnection {
    pub(super) fn begin(connected: Connected, silence: Duration) -> io::Result<Self> {
        let Connected { channel, link } = connected;
        let (records, arrived) = channel::bounded(QUEUE);
        let incoming = channel.incoming;
        thread::Builder::new().name("reader".into()).spawn(move || read(incoming, silence, &records))?;
        Ok(Self { sealer: channel.sealer, link, arrived, last_sent: Instant::now() })
    }

    /// Sends a message.
    ///
    /// # Errors
    /// Why the connection is lost.
    pub(super) fn send(&mut self, message: &ToServer) -> Result<(), String> {
        let mut frame = Vec::new();
        // There may be a password in it.
        self.sealer.seal(&Zeroizing::new(message.encode()), &mut frame);
        self.last_sent = Instant::now();
        match write_all(&*self.link, &frame, Instant::now() + STALLED) {
            Ok(()) => Ok(()),
            // Why it ended may still be waiting to be read: that is the better answer.
            Err(error) if is_gone(&error) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl Drop for ActiveConnection {
    fn drop(&mut self) {
        self.link.close(Shutdown::Both);
    }
}

fn read(mut incoming: Incoming, silence: Duration, records: &Sender<Arrived>) {
    loop {
        let messages = match incoming.next_text(silence) {
            Ok(text) => ToClient::parse_all(text).map_err(ReaderError::Broken),
            Err(ended) => Err(ReaderError::Ended(ended)),
        };
        let last = messages.is_err();
        // An error here means that the connection is no longer wanted.
        if records.send(messages).is_err() || last {
            return;
        }
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::NotConnected)
}
