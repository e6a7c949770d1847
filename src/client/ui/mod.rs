//! Screens: where things are shown, and where lines come from.

mod line;
mod plain;
mod secret;
mod typed_line;

pub use line::LineScreen;
pub use plain::PlainScreen;
pub use secret::{SecretPrompt, line_of_input};

use std::io::{self, IsTerminal};

use crossbeam::channel::Receiver;
use zeroize::Zeroizing;

use super::ui_event::UiEvent;
use crate::chat::name::RoomName;
use crate::store::shortcomings::take_untold;

/// Input of the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A line, and the room that it was typed for, as far as the screen knows.
    Line(String, Option<RoomName>),
    /// A new password for one's name, asked for twice; as it travels.
    Password(Zeroizing<String>),
    /// A line that cannot be sent, and why.
    Unreadable(&'static str),
    /// There will be no more.
    End,
}

/// Shows things, and gives lines. The order: `show` and `flush` at any time, `ask_secret` before
/// `start_input`, that once, `close` at the end.
pub trait Screen {
    /// Shows an event, whole, below all earlier ones.
    ///
    /// # Errors
    /// The system's error: the output is closed.
    fn show(&mut self, shown: &UiEvent) -> io::Result<()>;

    /// Shows the messages that were kept back to be drawn together: no more events follow for now. All
    /// other events are shown at once.
    ///
    /// # Errors
    /// The system's error: the output is closed.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Asks for a secret, hidden, before lines are taken; `None` without a terminal.
    ///
    /// # Errors
    /// The terminal's error.
    fn ask_secret(&mut self, prompt: &str) -> io::Result<Option<SecretPrompt>> {
        if io::stdin().is_terminal() { secret::ask(prompt).map(Some) } else { Ok(None) }
    }

    /// Begins to take lines.
    ///
    /// # Errors
    /// The system's error when it has no more threads, or no terminal.
    fn start_input(&mut self) -> io::Result<Receiver<Input>>;

    /// True for a terminal: then unsent lines are on the screen, and not the exit status's to tell.
    fn is_watched(&self) -> bool;

    /// True if what is typed has to wait for a connection: shown where one types, if there is such a place.
    fn set_away(&mut self, _away: bool) {}

    /// The lines taken so far have been done, and the next one is for this room: shown where one types, if rooms are told.
    fn speaks_in(&mut self, _room: Option<&RoomName>, _is_told: bool) {}

    /// Leaves the terminal as it was.
    fn close(&mut self);
}

/// Tells, once, what the disks of the user's folders cannot do.
///
/// # Errors
/// As [`Screen::show`].
pub(super) fn tell_shortcomings(screen: &mut dyn Screen) -> io::Result<()> {
    take_untold().into_iter().try_for_each(|told| screen.show(&UiEvent::Remark(format!("[!] {told}"))))
}

/// The screen for where one is: with line editing on a terminal that can be steered, plain elsewhere.
#[must_use]
pub fn screen() -> Box<dyn Screen> {
    let dumb = std::env::var("TERM").is_ok_and(|term| matches!(&*term, "" | "dumb" | "emacs" | "cons25"));
    if io::stdin().is_terminal() && io::stdout().is_terminal() && !dumb {
        Box::new(LineScreen::default())
    } else {
        Box::new(PlainScreen::default())
    }
}
