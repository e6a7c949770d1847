//! Standard input, output and error, as they are inherited. Another process may have set them not to block: what has to
//! wait is then neither an error nor the end.

use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags, fcntl_getfl, fcntl_setfl, fstat};
use rustix::io::Errno;

/// Time after which a stream that has to be waited for is tried again in any case, in seconds.
const TRY_AGAIN: i64 = 10;

/// A stream that waits as long as it takes, as one does that blocks. It holds no bytes back.
pub struct BlockingStream<T>(pub T);

impl<T: AsFd> Read for BlockingStream<T> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        wait_for(&self.0, PollFlags::IN, || rustix::io::read(&self.0, &mut *into))
    }
}

impl<T: AsFd> Write for BlockingStream<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        wait_for(&self.0, PollFlags::OUT, || rustix::io::write(&self.0, bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn wait_for(
    stream: impl AsFd,
    what: PollFlags,
    mut act: impl FnMut() -> rustix::io::Result<usize>,
) -> io::Result<usize> {
    loop {
        match act() {
            Err(Errno::AGAIN) => {
                let timeout = Timespec { tv_sec: TRY_AGAIN, tv_nsec: 0 };
                // Interrupted or not: it is tried again, and says itself what is wrong.
                let _ = poll(&mut [PollFd::new(&stream, what)], Some(&timeout));
            }
            Err(Errno::INTR) => {}
            done => return Ok(done?),
        }
    }
}

/// Writes lines to standard output; a closed output is no reason to stop.
pub fn print(text: &str) {
    let _ = BlockingStream(io::stdout().lock()).write_all(text.as_bytes());
}

/// Writes lines to standard error, if it takes them.
pub fn print_error(text: &str) {
    let _ = BlockingStream(io::stderr().lock()).write_all(text.as_bytes());
}

/// Makes those standard streams block that are terminals, for a line editor that reads and writes them itself. They are
/// opened anew, as the processes that share them may count on what they have set.
pub fn make_terminals_block() {
    make_blocking(&io::stdin(), "/proc/self/fd/0", rustix::stdio::dup2_stdin);
    make_blocking(&io::stdout(), "/proc/self/fd/1", rustix::stdio::dup2_stdout);
    make_blocking(&io::stderr(), "/proc/self/fd/2", rustix::stdio::dup2_stderr);
}

fn make_blocking(stream: &(impl AsFd + IsTerminal), path: &str, replace: impl Fn(OwnedFd) -> rustix::io::Result<()>) {
    let flags = fcntl_getfl(stream).unwrap_or(OFlags::empty());
    if !stream.is_terminal() || !flags.contains(OFlags::NONBLOCK) {
        return;
    }
    let opened = rustix::fs::open(path, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty());
    // Where a terminal cannot be opened it is shared, as shells' line editors do.
    if !opened.is_ok_and(|opened| replace(opened).is_ok()) {
        let _ = fcntl_setfl(stream, flags - OFlags::NONBLOCK);
    }
}

/// True for a pipe with a name: when its last writer has gone another one may come.
pub fn is_named_pipe(stream: impl AsFd) -> bool {
    let is_pipe = fstat(&stream).is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Fifo);
    is_pipe && has_name(stream)
}

/// Linux keeps pipes without a name in a file system of their own.
#[cfg(target_os = "linux")]
fn has_name(pipe: impl AsFd) -> bool {
    const PIPEFS_MAGIC: u64 = 0x5049_5045;
    rustix::fs::fstatfs(pipe).is_ok_and(|system| u64::try_from(system.f_type) != Ok(PIPEFS_MAGIC))
}

#[cfg(not(target_os = "linux"))]
fn has_name(_pipe: impl AsFd) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;
    use std::time::Duration;

    #[test]
    fn a_pipe_that_does_not_block_is_waited_for() {
        let (reader, writer) = io::pipe().unwrap();
        for fd in [reader.as_fd(), writer.as_fd()] {
            fcntl_setfl(fd, fcntl_getfl(fd).unwrap() | OFlags::NONBLOCK).unwrap();
        }
        let sent = vec![b'x'; 300_000];
        let reading = thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            let mut read = Vec::new();
            BlockingStream(reader).read_to_end(&mut read).map(|_| read)
        });
        BlockingStream(writer).write_all(&sent).unwrap();
        assert_eq!(reading.join().unwrap().unwrap(), sent);
    }

    #[test]
    fn a_pipe_without_a_name_is_told_from_one_with() {
        let (reader, _writer) = io::pipe().unwrap();
        assert!(!is_named_pipe(reader));
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_named_pipe(std::fs::File::open(folder.path()).unwrap()));
    }
}
