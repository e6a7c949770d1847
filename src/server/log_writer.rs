//! A log that never holds the server up: a terminal that is stopped with Ctrl+S, or a full pipe, must not stop a room.
//!
//! Lines wait in a bounded queue for a thread of their own; when that is full they are counted, and the count is told.
//! That thread says when they were written: what it takes to know the local time is held once for each thread that does.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use crossbeam::channel::{self, Receiver, Sender};

/// Lines that may wait.
const QUEUE: usize = 4_096;

enum LogItem {
    Line(SystemTime, Vec<u8>),
    Flush(Sender<()>),
}

/// Where log lines are written to; each write is one line, and gets its time.
#[derive(Clone)]
pub struct LogWriter {
    lines: Sender<LogItem>,
    lost: Arc<AtomicU64>,
}

impl LogWriter {
    /// Starts the thread that writes to `target`; `head` is what a line of that time begins with.
    ///
    /// # Errors
    /// The system's error when it has no more threads.
    pub fn start(
        target: impl Write + Send + 'static,
        head: impl Fn(SystemTime) -> String + Send + 'static,
    ) -> io::Result<Self> {
        let (lines, waiting) = channel::bounded(QUEUE);
        let lost = Arc::new(AtomicU64::new(0));
        let counted = lost.clone();
        thread::Builder::new().name("log".into()).spawn(move || write_lines(target, &head, &waiting, &counted))?;
        Ok(Self { lines, lost })
    }

    /// Waits until all earlier lines are written, but no longer than `timeout`.
    pub fn finish(&self, timeout: Duration) {
        let (done, finished) = channel::bounded(1);
        if self.lines.send_timeout(LogItem::Flush(done), timeout).is_ok() {
            let _ = finished.recv_timeout(timeout);
        }
    }
}

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.lines.try_send(LogItem::Line(SystemTime::now(), line.to_vec())).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_lines(
    mut target: impl Write,
    head: &impl Fn(SystemTime) -> String,
    waiting: &Receiver<LogItem>,
    lost: &AtomicU64,
) {
    for item in waiting {
        // A target that accepts no more lines is no reason to stop the server.
        match item {
            LogItem::Line(when, line) => drop(target.write_all(&[head(when).as_bytes(), &line].concat())),
            LogItem::Flush(done) => drop((target.flush(), done.try_send(()))),
        }
        let missing = lost.swap(0, Ordering::Relaxed);
        if missing > 0 {
            let _ = writeln!(target, "[!] {missing} log lines were lost: the log was not read");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_that_takes_nothing_holds_nobody_up_and_the_lost_are_counted() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut pipe = LogWriter::start(writer, |_| "then ".into()).unwrap();
        // More than the system's pipe and the queue hold, without a reader.
        for _ in 0..20_000 {
            pipe.write_all(&[b'x'; 63]).unwrap();
            pipe.flush().unwrap();
        }
        drop(pipe);
        let mut written = String::new();
        io::Read::read_to_string(&mut reader, &mut written).unwrap();
        assert!(written.starts_with("then xxx") && written.contains("log lines were lost"));
    }
}
