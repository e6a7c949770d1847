//! A terminal: a line to edit at the bottom, arriving lines above it. Append-only: shown lines are never redrawn.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crossbeam::channel::{self, Receiver, Sender, TrySendError};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use rustyline::error::ReadlineError;
use rustyline::history::MemHistory;
use rustyline::{Cmd, Config, Editor, ExternalPrinter, KeyEvent, Prompt};
use zeroize::Zeroizing;

use super::plain::print;
use super::secret::ask_and_wait;
use super::typed_line::TypedLine;
use super::{Input, Screen};
use crate::chat::command::{NewPassword, UserCommand};
use crate::chat::name::RoomName;
use crate::client::outbox::CAPACITY;
use crate::client::password_input::as_password;
use crate::client::ui_event::{OutputStream, UiEvent};
use crate::store::standard_streams::make_terminals_block;

/// Behind the room, if there are several; and while what is typed waits for a connection. Both are as wide: the editor
/// measures the prompt once for each line.
const PROMPT: &str = "> ";
const PROMPT_AWAY: &str = "~ ";
/// A command may have the next line go to another room: so long it is waited for, with no line to edit.
const DONE_WITHIN: Duration = Duration::from_secs(5);
/// Pause before a terminal that does not block is made to.
const NOT_AGAIN_WITHIN: Duration = Duration::from_millis(20);
/// Escape begins a longer key, or is one: so long the editor waits for more, in milliseconds, and shows nothing meanwhile.
const ESCAPE_WITHIN: u16 = 50;
/// Keys after which the editor waits for another one and shows nothing meanwhile, with Ctrl: they do nothing here.
const WAITING_KEYS: [char; 6] = ['R', 'S', 'V', 'Q', 'X', ']'];
/// Time for pending events at the end.
const SHOWN_WITHIN: Duration = Duration::from_secs(1);
/// Ends what the line editor may have begun: bracketed paste; and the prompt that waits for a line.
const LEAVE_LINE: &[u8] = b"\r\x1b[K\x1b[?2004l";

/// So many lines are kept back, and drawn together, at most: what is said in some milliseconds, if it is said as fast as it
/// can be read. Then the typing user has a turn.
const TOGETHER: usize = 64;

const NOT_UTF_8: &str =
    "[!] What you typed is not UTF-8: \u{fffd} stands for it. Check the line, and the terminal's encoding.\n";

type LineEditor = Editor<TypedLine, MemHistory>;

/// A terminal with line editing.
#[derive(Default)]
pub struct LineScreen {
    editing: Option<Editing>,
    /// Events kept back while a line is edited.
    kept_back: Vec<UiEvent>,
    desk: Arc<PromptState>,
}

/// State that the editor's thread shares with the others.
#[derive(Default)]
struct PromptState {
    away: AtomicBool,
    place: Mutex<PromptTarget>,
    changed: Condvar,
}

/// Where the next line goes.
#[derive(Default)]
struct PromptTarget {
    room: Option<RoomName>,
    is_told: bool,
    /// The lines passed on so far have been done.
    is_known: bool,
}

/// The prompt of one line. Its room stays what it is, and so does its width: a line goes to the room that it was typed for,
/// or to none.
struct PromptLine {
    desk: Arc<PromptState>,
    room: Option<RoomName>,
    there: String,
    away: String,
}

impl Prompt for PromptLine {
    /// The editor asks whenever it draws the line, which it does after all that is shown above.
    fn raw(&self) -> &str {
        if self.desk.away.load(Ordering::Relaxed) { &self.away } else { &self.there }
    }
}

impl PromptState {
    fn place(&self) -> MutexGuard<'_, PromptTarget> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The prompt for the next line, once it is known where that goes.
    fn prompt(self: &Arc<Self>) -> PromptLine {
        let is_open = |place: &mut PromptTarget| !place.is_known && !self.away.load(Ordering::Relaxed);
        let waited = self.changed.wait_timeout_while(self.place(), DONE_WITHIN, is_open);
        let (place, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let room = place.room.as_ref().filter(|_| place.is_told).map_or("", RoomName::as_str);
        let (there, away) = (format!("{room}{PROMPT}"), format!("{room}{PROMPT_AWAY}"));
        PromptLine { desk: self.clone(), room: place.room.clone(), there, away }
    }
}

struct Editing {
    /// Events to show, for a thread of its own: the editor takes them while a line is edited, and the editor must
    /// not wait for a caller that waits for it.
    shown: Option<Sender<Vec<UiEvent>>>,
    /// Ends with that thread.
    all_shown: Receiver<()>,
    before: Option<Termios>,
    lines: Receiver<Input>,
    thread: thread::JoinHandle<()>,
}

impl Screen for LineScreen {
    fn show(&mut self, shown: &UiEvent) -> io::Result<()> {
        let is_edited = matches!(self.editing, Some(Editing { shown: Some(_), .. }));
        // What goes to a file goes past the terminal.
        if !is_edited || shown.stream() == OutputStream::Error && !io::stderr().is_terminal() {
            self.flush()?;
            return print(shown);
        }
        self.kept_back.push(shown.clone());
        if shown.may_wait() && self.kept_back.len() < TOGETHER { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> io::Result<()> {
        let kept_back = std::mem::take(&mut self.kept_back);
        match &self.editing {
            _ if kept_back.is_empty() => Ok(()),
            Some(Editing { shown: Some(sender), .. }) => {
                sender.send(kept_back).map_err(|_| io::ErrorKind::BrokenPipe.into())
            }
            _ => kept_back.iter().try_for_each(print),
        }
    }

    fn start_input(&mut self) -> io::Result<Receiver<Input>> {
        // The editor takes a terminal that does not block for one that has ended.
        make_terminals_block();
        let config = Config::builder().keyseq_timeout(Some(ESCAPE_WITHIN)).build();
        let mut editor: LineEditor = Editor::with_history(config, MemHistory::new()).map_err(io::Error::other)?;
        editor.set_helper(Some(TypedLine::default()));
        for key in WAITING_KEYS {
            editor.bind_sequence(KeyEvent::ctrl(key), Cmd::Noop);
        }
        let mut printer = editor.create_external_printer().map_err(io::Error::other)?;
        let (shown, to_show) = channel::bounded::<Vec<UiEvent>>(CAPACITY / TOGETHER);
        let (ends, all_shown) = channel::bounded(0);
        thread::Builder::new().name("screen".into()).spawn(move || {
            let _ends: Sender<()> = ends;
            for mut items in &to_show {
                // The editor draws its line once for all that waits.
                while items.len() < TOGETHER
                    && let Ok(more) = to_show.try_recv()
                {
                    items.extend(more);
                }
                let lines = items.iter().map(|item| item.text() + "\n").collect::<String>();
                // What the editor cannot write at once it does not show.
                make_terminals_block();
                // An editor that has ended accepts no events and blocks no caller.
                if printer.print(lines).or_else(|_| items.iter().try_for_each(print)).is_err() {
                    return;
                }
            }
        })?;
        let before = tcgetattr(io::stdin()).ok();
        let (sender, lines) = channel::bounded(CAPACITY);
        let mut full = editor.create_external_printer().map_err(io::Error::other)?;
        let desk = self.desk.clone();
        desk.place().is_known = true;
        let thread = thread::Builder::new().name("input".into()).spawn(move || {
            while let Some((input, room)) = next_input(&mut editor, &desk, &mut full) {
                if !pass_on(&input, room, &sender, &desk, &mut full) {
                    return;
                }
            }
            let _ = sender.try_send(Input::End);
        })?;
        self.editing = Some(Editing { shown: Some(shown), all_shown, before, lines: lines.clone(), thread });
        Ok(lines)
    }

    fn is_watched(&self) -> bool {
        true
    }

    fn set_away(&mut self, away: bool) {
        let _place = self.desk.place();
        self.desk.away.store(away, Ordering::Relaxed);
        self.desk.changed.notify_all();
    }

    fn speaks_in(&mut self, room: Option<&RoomName>, is_told: bool) {
        let mut place = self.desk.place();
        if place.room.as_ref() != room || place.is_told != is_told {
            (place.room, place.is_told) = (room.cloned(), is_told);
        }
        // A line that waits may lead elsewhere.
        if self.editing.as_ref().is_some_and(|editing| editing.lines.is_empty()) && !place.is_known {
            place.is_known = true;
            self.desk.changed.notify_all();
        }
    }

    fn close(&mut self) {
        let _ = self.flush();
        let Some(mut editing) = self.editing.take() else {
            return;
        };
        // An editor that waits for a command to be done takes what is yet to be shown.
        self.desk.place().is_known = true;
        self.desk.changed.notify_all();
        drop(editing.shown.take());
        let _ = editing.all_shown.recv_timeout(SHOWN_WITHIN);
        // The editor's thread may wait for a key for ever: the terminal is put right without it.
        if !editing.thread.is_finished() {
            if let Some(before) = editing.before {
                let _ = tcsetattr(io::stdin(), OptionalActions::Now, &before);
            }
            let _ = io::stdout().write_all(LEAVE_LINE).and_then(|()| io::stdout().flush());
        }
    }
}

/// Reads the next line or paste, with its room; `None` at the end of input, and for Ctrl+C.
fn next_input(
    editor: &mut LineEditor,
    desk: &Arc<PromptState>,
    printer: &mut impl ExternalPrinter,
) -> Option<(String, Option<RoomName>)> {
    let mut initial = (String::new(), String::new());
    loop {
        let prompt = desk.prompt();
        if let Some(typed) = editor.helper() {
            typed.begin(&initial);
        }
        match editor.readline_with_initial(&prompt, (&initial.0, &initial.1)) {
            Ok(text) => {
                // Of a paste each line is one: who looks back for one is not to say all of it again.
                for line in text.lines().filter(|line| !UserCommand::is_secret(line)) {
                    // What cannot be kept is only less to look back at.
                    let _ = editor.add_history_entry(line);
                }
                return Some((text, prompt.room));
            }
            Err(ReadlineError::Signal(_)) => {}
            // Another process that shares the terminal has set it not to block.
            Err(error) if has_not_blocked(&error) => {
                thread::sleep(NOT_AGAIN_WITHIN);
                make_terminals_block();
            }
            // The editor has dropped the line, and what was read of a paste behind the byte.
            Err(ReadlineError::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
                initial = editor.helper().map(TypedLine::with_replacement).unwrap_or_default();
                let _ = printer.print(NOT_UTF_8.into());
            }
            Err(_) => return None,
        }
    }
}

/// True if the editor would have had to wait, on a terminal that does not let it.
fn has_not_blocked(error: &ReadlineError) -> bool {
    match error {
        ReadlineError::Io(error) => error.kind() == io::ErrorKind::WouldBlock,
        ReadlineError::Errno(errno) => io::Error::from(*errno).kind() == io::ErrorKind::WouldBlock,
        _ => false,
    }
}

/// Passes each line on, without ever waiting: what arrives is shown only while the editor runs. Gives whether to go on.
fn pass_on(
    text: &str,
    mut room: Option<RoomName>,
    sender: &Sender<Input>,
    desk: &PromptState,
    printer: &mut impl ExternalPrinter,
) -> bool {
    let mut refused = 0;
    for line in text.lines() {
        let command = UserCommand::parse(line);
        if line.starts_with('/') {
            // What was pasted behind it goes where it leads.
            room = None;
        }
        let input = if matches!(command, Some(Ok(UserCommand::Password(NewPassword::Set)))) {
            match ask_for_password() {
                Ok(password) => Input::Password(password),
                Err(why) => {
                    let _ = printer.print(format!("[!] Nothing is changed: {why}.\n"));
                    continue;
                }
            }
        } else {
            Input::Line(line.to_owned(), room.clone())
        };
        let mut place = desk.place();
        place.is_known &= !line.starts_with('/');
        match sender.try_send(input) {
            Ok(()) if matches!(command, Some(Ok(UserCommand::Exit))) => return false,
            Ok(()) => {}
            Err(TrySendError::Full(_)) => refused += 1,
            Err(TrySendError::Disconnected(_)) => return false,
        }
    }
    if refused > 0 {
        let _ = printer.print(format!("[!] {refused} lines were not sent: {CAPACITY} are waiting already.\n"));
    }
    true
}

/// Asks for a new password, twice. The terminal is the editor's again afterwards.
fn ask_for_password() -> Result<Zeroizing<String>, String> {
    let ask = |prompt| match ask_and_wait(prompt) {
        Ok(typed) => typed.ok_or_else(|| "no password was given".to_owned()),
        Err(error) => Err(error.to_string()),
    };
    let first = ask("New password, 8 characters or more: ")?;
    if first.is_empty() {
        return Err("an empty password is none; /password off takes yours away".into());
    }
    // A user who types two lines unseen must not say the second to the room.
    let second = ask("The same once more: ")?;
    let first = as_password(&first).map_err(|why| why.to_string())?;
    match as_password(&second) {
        Ok(second) if second == first => Ok(first),
        _ => Err("the two were not the same".into()),
    }
}
