//! Hidden input: passwords, on a terminal. And lines that are read before there is a screen.
//!
//! Invariant: input typed before or after the secret's line is kept; and echo is back when [`Hidden`] is dropped.

use std::io::{self, IsTerminal, Read, Write};
use std::thread;

use crossbeam::channel::{self, Receiver};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::store::standard_streams::BlockingStream;

/// The longest line that is taken, in bytes.
const LONGEST: usize = 4_096;

/// Byte of Ctrl+C where it raises no signal.
const CTRL_C: u8 = 3;

/// Effect of Ctrl+C while a secret is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CtrlC {
    /// It interrupts the program.
    Interrupts,
    /// It ends the line, which is none then.
    Cancels,
}

/// A terminal without echo, until this is dropped.
#[derive(Debug)]
pub(super) struct Hidden {
    before: Termios,
}

impl Hidden {
    /// Discards typed-ahead input, which is no secret.
    ///
    /// # Errors
    /// The system's error; standard input may be no terminal.
    pub(super) fn begin(ctrl_c: CtrlC) -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        // The line's end shows: so it is seen that it was taken.
        hidden.local_modes.insert(LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG);
        if ctrl_c == CtrlC::Cancels {
            hidden.local_modes.remove(LocalModes::ISIG);
            hidden.special_codes[SpecialCodeIndex::VEOL] = CTRL_C;
        }
        tcsetattr(io::stdin(), OptionalActions::Flush, &hidden)?;
        Ok(Self { before })
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}

/// A secret that the user is asked for. The terminal is as it was when this is dropped.
#[derive(Debug)]
pub struct SecretPrompt {
    /// Returns the secret, once; `None` if input ended, or the line is not UTF-8.
    pub answer: Receiver<Option<Zeroizing<String>>>,
    _hidden: Option<Hidden>,
}

impl From<Receiver<Option<Zeroizing<String>>>> for SecretPrompt {
    /// Asked for somewhere else than on this terminal.
    fn from(answer: Receiver<Option<Zeroizing<String>>>) -> Self {
        Self { answer, _hidden: None }
    }
}

/// Asks for a secret, without waiting for it.
///
/// # Errors
/// The system's error; standard input may be no terminal.
pub(super) fn ask(prompt: &str) -> io::Result<SecretPrompt> {
    let hidden = Hidden::begin(CtrlC::Interrupts)?;
    say(prompt)?;
    let (sender, answer) = channel::bounded(1);
    thread::Builder::new().name("secret".into()).spawn(move || {
        let _ = sender.send(read_line().ok().flatten());
    })?;
    Ok(SecretPrompt { answer, _hidden: Some(hidden) })
}

/// Asks for a secret, and waits for it. Ctrl+C gives none.
///
/// # Errors
/// The system's error; standard input may be no terminal.
pub(super) fn ask_and_wait(prompt: &str) -> io::Result<Option<Zeroizing<String>>> {
    let _hidden = Hidden::begin(CtrlC::Cancels)?;
    say(prompt)?;
    let typed = read_line()?;
    if typed.is_none() {
        say("\n")?;
    }
    Ok(typed)
}

fn say(prompt: &str) -> io::Result<()> {
    BlockingStream(io::stderr().lock()).write_all(prompt.as_bytes())
}

/// Reads a line of standard input, with a prompt on a terminal; the rest of the input is left unread.
///
/// # Errors
/// The system's error, or that the line is invalid.
pub fn line_of_input(prompt: &str) -> io::Result<Zeroizing<String>> {
    if io::stdin().is_terminal() {
        say(prompt)?;
    }
    read_line()?.ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "there is nothing in it"))
}

/// Reads a line of standard input, byte by byte; `None` at its end.
fn read_line() -> io::Result<Option<Zeroizing<String>>> {
    let mut input = BlockingStream(io::stdin());
    read_line_from(|byte| input.read(byte))
}

fn read_line_from(mut read: impl FnMut(&mut [u8; 1]) -> io::Result<usize>) -> io::Result<Option<Zeroizing<String>>> {
    // Never longer than it is made: none of it is left behind in memory that has been given back.
    let mut line = Zeroizing::new(Vec::with_capacity(LONGEST));
    let mut byte = [0];
    loop {
        match (read(&mut byte)?, byte) {
            (0, _) if line.is_empty() => return Ok(None),
            (_, [CTRL_C]) => return Ok(None),
            (0, _) | (_, [b'\n']) => break,
            (_, [byte]) if line.len() < LONGEST => line.push(byte),
            _ => return Err(io::Error::new(io::ErrorKind::InvalidData, "the line is too long")),
        }
    }
    let text = line.strip_suffix(b"\r").unwrap_or(&line);
    let text = std::str::from_utf8(text).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))?;
    Ok(Some(Zeroizing::new(text.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(mut bytes: &[u8]) -> (io::Result<Option<String>>, usize) {
        let line = read_line_from(|byte| bytes.read(byte));
        (line.map(|line| line.map(|line| line.to_string())), bytes.len())
    }

    #[test]
    fn a_line_is_read_and_not_a_byte_more() {
        for (bytes, line, left) in [
            (&b"secret\nmore\n"[..], Some("secret"), 5),
            (b"secret\r\nmore", Some("secret"), 4),
            (b"secret", Some("secret"), 0),
            (b"\n\n", Some(""), 1),
            (b"", None, 0),
        ] {
            let (read, rest) = lines(bytes);
            assert_eq!((read.unwrap().as_deref(), rest), (line, left), "{bytes:?}");
        }
    }

    #[test]
    fn what_is_no_line_is_refused() {
        assert!(lines(b"\xff\n").0.is_err());
        assert!(lines(&[b'x'; LONGEST + 1]).0.is_err());
        assert!(lines(&[&[b'x'; LONGEST][..], b"\n"].concat()).0.is_ok());
    }
}
