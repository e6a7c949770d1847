//! Being let in: with a token, or with a password, once the server asks for one. PROTOCOL.md §6 "Passwords", "Who may come in".
//!
//! Invariant: neither leaves for a server that was not known, or named by its fingerprint, before this run.

use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, never};
use zeroize::{Zeroize, Zeroizing};

use super::{ConnectionState, EventLoop};
use crate::chat::message::{ErrorCode, ToServer};
use crate::chat::name::Visible;
use crate::client::password_input::as_password;
use crate::client::ui::SecretPrompt;
use crate::client::ui_event::UiEvent;
use crate::client::{ClientConfig, ClientError};
use crate::store::known_servers::address;

/// So long a server waits for a password.
const PASSWORD: Duration = Duration::from_secs(60);

/// Credentials for a Join: password or token.
pub(super) struct Login {
    /// True if the server is who it is by more than its own word.
    is_pinned: bool,
    /// From a file.
    pub(super) password: Option<Zeroizing<String>>,
    /// It is being typed.
    asked: Option<SecretPrompt>,
    /// True if it has been sent on this connection: it is sent once.
    tried: bool,
}

impl Login {
    pub(super) fn new(is_pinned: bool, password: Option<Zeroizing<String>>) -> Self {
        Self { is_pinned, password, asked: None, tried: false }
    }

    /// True if a password may be sent.
    pub(super) fn is_pinned(&self) -> bool {
        self.is_pinned
    }

    /// Returns the channel of the typed password.
    pub(super) fn typed(&self) -> Receiver<Option<Zeroizing<String>>> {
        self.asked.as_ref().map_or_else(never, |asked| asked.answer.clone())
    }

    /// True if the user is being asked.
    pub(super) fn is_asking(&self) -> bool {
        self.asked.is_some()
    }
}

impl EventLoop<'_> {
    /// The first message on a connection: if one has never been in, with the token that one has been given.
    pub(super) fn asks_to_join(&mut self, mut join: ToServer) {
        self.entry.tried = false;
        if self.phase == super::Phase::Joining
            && let (ToServer::Join { password, .. }, Some(token)) = (&mut join, &self.config.token)
        {
            *password = token.text();
        }
        self.send_secret(join);
    }

    /// The server wants more than the key.
    pub(super) fn on_password_required(&mut self, text: &str) -> Result<(), ClientError> {
        let name = &self.config.name;
        let said = if text.is_empty() { String::new() } else { format!(" ({})", Visible(text)) };
        if self.entry.tried {
            let hint = "a name takes five wrong ones, then one every half a minute";
            return Err(refused(self.config, format!("the password is not the one of {name}{said}"), hint));
        }
        if self.config.token.is_some() {
            let hint =
                "it may be over, or used up: ask for another. If the name has a password, come without an invitation";
            return Err(refused(self.config, format!("the invitation is not taken{said}"), hint));
        }
        if !self.entry.is_pinned {
            let why = format!(
                "it wants a password{said}, and this is the first contact with it: none is sent to a server that is not known"
            );
            let hint = "compare its fingerprint. Then connect once more: it is known now; or give --fingerprint";
            return Err(refused(self.config, why, hint));
        }
        if let Some(password) = self.entry.password.clone() {
            self.retry_join(&password);
            return Ok(());
        }
        self.asks_user(&said)?;
        if let ConnectionState::Coming(_, deadline) = &mut self.way {
            *deadline = Instant::now() + PASSWORD;
        }
        Ok(())
    }

    fn asks_user(&mut self, said: &str) -> Result<(), ClientError> {
        self.entry.asked = self.screen.ask_secret(&format!("Password for {}: ", self.config.name))?;
        if self.entry.asked.is_some() {
            return Ok(());
        }
        let why = format!("{} has a password there{said}", self.config.name);
        let hint = "--password-file FILE has it. Or choose another name with -u";
        Err(refused(self.config, why, hint))
    }

    /// The user has answered.
    pub(super) fn on_password_typed(&mut self, typed: Option<Zeroizing<String>>) -> Result<(), ClientError> {
        // From here on the terminal shows again what is typed.
        self.entry.asked = None;
        let Some(typed) = typed else {
            return Err(refused(self.config, "no password was given".into(), OTHER_NAME));
        };
        match as_password(&typed) {
            Ok(password) => self.retry_join(&password),
            Err(why) => {
                self.screen.show(&UiEvent::Remark(format!("[!] {why}.")))?;
                self.asks_user("")?;
            }
        }
        Ok(())
    }

    /// Asks to be let in once more, on the same connection.
    fn retry_join(&mut self, secret: &str) {
        self.entry.tried = true;
        let mut join = self.session.asks_to_join();
        if let ToServer::Join { password, .. } = &mut join {
            secret.clone_into(password);
        }
        self.send_secret(join);
        if let ConnectionState::Coming(_, deadline) = &mut self.way {
            *deadline = Instant::now() + self.config.timing.join;
        }
    }

    fn send_secret(&mut self, mut message: ToServer) {
        self.send(&message);
        if let ToServer::Join { password, .. } = &mut message {
            password.zeroize();
        }
    }

    /// The user took longer than the server waits.
    pub(super) fn typed_too_late(&self) -> ClientError {
        refused(self.config, "no password was given in time".into(), OTHER_NAME)
    }

    /// The server does not let one in.
    pub(super) fn refused(&self, code: ErrorCode, text: &str) -> ClientError {
        let said = Visible(text).to_string();
        let (why, hint) = match code {
            ErrorCode::Taken => (
                "the name, or one that looks like it, belongs to another key".into(),
                Some(
                    "choose another with -u, or use the key that it was first used with; its owner can set a password \
                     with /password to use it with more keys",
                ),
            ),
            ErrorCode::Password => (format!("it wants a password ({said})"), Some(OTHER_NAME)),
            ErrorCode::Invitation if self.config.token.is_some() => {
                (said, Some("ask for another invitation; if the name is yours already, join without one"))
            }
            ErrorCode::Invitation => {
                (said, Some("ask the operator for one, and join with --join - or --join-file FILE"))
            }
            ErrorCode::Wait => (format!("too fast ({said})"), Some("wait half a minute, and try again")),
            _ => (said, None),
        };
        ClientError::Refused { address: address(&self.config.host, self.config.port), why, hint }
    }
}

const OTHER_NAME: &str = "choose another name with -u, or start once more";

fn refused(config: &ClientConfig, why: String, hint: &'static str) -> ClientError {
    ClientError::Refused { address: address(&config.host, config.port), why, hint: Some(hint) }
}
