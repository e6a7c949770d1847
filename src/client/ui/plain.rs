//! Plain lines in, plain lines out: pipes, scripts, tests.

use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::thread;

use crossbeam::channel::{self, Receiver, Sender};

use super::{Input, Screen};
use crate::client::ui_event::{OutputStream, UiEvent};
use crate::store::standard_streams::BlockingStream;

/// The longest line that is held, in bytes; what is longer could not be sent either.
const LONGEST_LINE: u64 = 65_536;
/// The kernel cuts a line of a terminal without an editor here, in bytes (`N_TTY_BUF_SIZE` of Linux less one for its end),
/// without a word: a line of this length is suspect.
const CUT_AT: usize = 4_095;
const CUT: &str = "the terminal cuts lines at 4095 bytes, and this one may be longer; say it in parts, or from a file";

/// So many bytes are kept back at most: what is said in some milliseconds, if it is said as fast as it can be read.
const KEPT_BACK: usize = 16 * 1_024;

/// Standard input, output and error.
#[derive(Default)]
pub struct PlainScreen {
    /// Whole lines for standard output.
    kept_back: Vec<u8>,
}

impl Screen for PlainScreen {
    fn show(&mut self, shown: &UiEvent) -> io::Result<()> {
        if !shown.may_wait() {
            self.flush()?;
            return print(shown);
        }
        self.kept_back.extend_from_slice(shown.text().as_bytes());
        self.kept_back.push(b'\n');
        if self.kept_back.len() >= KEPT_BACK { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.kept_back.is_empty() {
            return Ok(());
        }
        let written = BlockingStream(io::stdout().lock()).write_all(&self.kept_back);
        // Shown in any case: they are not shown again.
        self.kept_back.clear();
        written
    }

    fn start_input(&mut self) -> io::Result<Receiver<Input>> {
        // A full pipe is waited for: it takes more when it is read.
        let (sender, lines) = channel::bounded(0);
        thread::Builder::new().name("input".into()).spawn(move || {
            read_lines(BufReader::new(BlockingStream(io::stdin())), io::stdin().is_terminal(), &sender);
        })?;
        Ok(lines)
    }

    fn is_watched(&self) -> bool {
        io::stdin().is_terminal()
    }

    fn close(&mut self) {
        let _ = self.flush();
    }
}

pub(super) fn print(shown: &UiEvent) -> io::Result<()> {
    let text = shown.text() + "\n";
    match shown.stream() {
        OutputStream::Output => BlockingStream(io::stdout().lock()).write_all(text.as_bytes()),
        OutputStream::Error => BlockingStream(io::stderr().lock()).write_all(text.as_bytes()),
    }
}

fn read_lines(mut input: impl BufRead, is_terminal: bool, lines: &Sender<Input>) {
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        match input.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut bytes) {
            Ok(0) => break,
            Err(_) => {
                // What is said so far is delivered; the rest cannot be read, and is not passed over in silence.
                let _ = lines.send(Input::Unreadable("the input cannot be read any more"));
                break;
            }
            Ok(_) => {}
        }
        let whole = bytes.last() == Some(&b'\n');
        let item = if !whole && bytes.len() as u64 == LONGEST_LINE {
            if input.skip_until(b'\n').is_err() {
                break;
            }
            Input::Unreadable("the line is longer than anything that can be sent")
        } else {
            let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            match std::str::from_utf8(line) {
                _ if is_terminal && line.len() >= CUT_AT => Input::Unreadable(CUT),
                Ok(line) => Input::Line(line.to_owned(), None),
                Err(_) => Input::Unreadable("the line is not UTF-8"),
            }
        };
        // An error is a session that has ended.
        if lines.send(item).is_err() {
            return;
        }
    }
    let _ = lines.send(Input::End);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(bytes: &[u8]) -> Vec<Input> {
        let (sender, lines) = channel::unbounded();
        read_lines(bytes, false, &sender);
        drop(sender);
        lines.iter().collect()
    }

    #[test]
    fn lines_end_with_a_line_feed_or_the_input() {
        let line = |text: &str| Input::Line(text.into(), None);
        assert_eq!(inputs(b"Hi\r\n\nthere"), [line("Hi"), line(""), line("there"), Input::End]);
    }

    #[test]
    fn a_line_that_a_terminal_may_have_cut_is_not_sent() {
        let (sender, lines) = channel::unbounded();
        let text = ["x".repeat(CUT_AT - 1), "x".repeat(CUT_AT), "é".repeat(3_000)[..CUT_AT - 1].to_owned() + "x"];
        read_lines(text.join("\n").as_bytes(), true, &sender);
        drop(sender);
        let found: Vec<Input> = lines.iter().collect();
        assert!(matches!(&found[..], [Input::Line(..), Input::Unreadable(CUT), Input::Unreadable(CUT), Input::End]));
    }

    #[test]
    fn what_is_not_text_or_too_long_is_told_and_the_rest_goes_on() {
        let long = vec![b'x'; 3 * 65_536];
        let all = [b"\xff\n", &long[..], b"\nHi\n"].concat();
        let found = inputs(&all);
        assert!(matches!(found[..], [Input::Unreadable(_), Input::Unreadable(_), Input::Line(..), Input::End]));
    }
}
