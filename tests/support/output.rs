//! What a process writes, collected by a thread, so that one can wait for it.

use std::io::Read;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use super::PATIENCE;

/// One stream of a process.
pub struct Output(Arc<Collected>);

#[derive(Default)]
struct Collected {
    seen: Mutex<Seen>,
    more: Condvar,
}

#[derive(Default)]
struct Seen {
    bytes: Vec<u8>,
    ended: bool,
}

impl Output {
    /// Collects all of `source`, in a thread of its own.
    pub fn collect(mut source: impl Read + Send + 'static) -> Self {
        let collected = Arc::new(Collected::default());
        let ours = Self(collected.clone());
        thread::spawn(move || {
            let mut chunk = [0; 4_096];
            loop {
                let read = source.read(&mut chunk).unwrap_or(0);
                let mut seen = collected.lock();
                seen.bytes.extend_from_slice(&chunk[..read]);
                seen.ended = read == 0;
                collected.more.notify_all();
                if read == 0 {
                    return;
                }
            }
        });
        ours
    }

    /// Everything so far.
    pub fn so_far(&self) -> String {
        self.0.lock().text()
    }

    /// Waits for a line with `part` in it, since the beginning; gives the first such line.
    pub fn wait_for(&self, part: &str) -> String {
        self.wait_for_times(part, 1).remove(0)
    }

    /// Waits until `part` has been in so many lines; gives these lines.
    pub fn wait_for_times(&self, part: &str, times: usize) -> Vec<String> {
        let found = |seen: &Seen| {
            let text = seen.text();
            let whole = text.rfind('\n').map_or("", |end| &text[..end]);
            let lines: Vec<String> = whole.lines().filter(|line| line.contains(part)).map(str::to_owned).collect();
            (lines.len() >= times).then_some(lines)
        };
        self.wait(found, &format!("{times} × {part:?}"))
    }

    /// Waits until it has ended; gives everything.
    pub fn wait_for_end(&self) -> String {
        self.wait(|seen| seen.ended.then(|| seen.text()), "the end")
    }

    fn wait<T>(&self, found: impl Fn(&Seen) -> Option<T>, what: &str) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = self.0.lock();
        loop {
            if let Some(found) = found(&seen) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero() && !seen.ended, "waited in vain for {what}; there was only:\n{}", seen.text());
            seen = self.0.more.wait_timeout(seen, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Collected {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// Bytes that are no text stay visible as such.
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}
