//! The line that is being edited, kept beside the editor: the editor drops it when a byte is not UTF-8.

use std::cell::RefCell;

use rustyline::completion::Completer;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{Context, Helper};

/// Stands for input that is not UTF-8.
const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;

/// A copy of the line, in front of the cursor and behind it. The editor asks for hints after each change, and for
/// highlighting after each move of the cursor: it gets neither.
#[derive(Default)]
pub(super) struct TypedLine {
    line: RefCell<(String, String)>,
}

impl TypedLine {
    /// Forgets the line: another one begins.
    pub(super) fn begin(&self, initial: &(String, String)) {
        self.line.replace(initial.clone());
    }

    /// The line with U+FFFD at the cursor.
    pub(super) fn with_replacement(&self) -> (String, String) {
        let (mut before, behind) = self.line.borrow().clone();
        before.push(REPLACEMENT);
        (before, behind)
    }

    fn keep(&self, line: &str, position: usize) {
        if let Some((before, behind)) = line.split_at_checked(position) {
            self.line.replace((before.to_owned(), behind.to_owned()));
        }
    }
}

impl Hinter for TypedLine {
    type Hint = String;

    fn hint(&self, line: &str, position: usize, _context: &Context<'_>) -> Option<String> {
        self.keep(line, position);
        None
    }
}

impl Completer for TypedLine {
    type Candidate = String;
}

impl Highlighter for TypedLine {
    fn highlight_char(&self, line: &str, position: usize, _kind: CmdKind) -> bool {
        self.keep(line, position);
        false
    }
}

impl Validator for TypedLine {}
impl Helper for TypedLine {}
