//! Lines of the user, and their execution.

use super::{EventLoop, moment};
use zeroize::Zeroizing;

use crate::chat::command::{Compared, NewPassword, USER_HELP, UserCommand, for_server};
use crate::chat::name::{Name, RoomName};
use crate::client::session::{ClientSession, Files, SendError};
use crate::client::ui::Input;
use crate::client::ui_event::UiEvent;
use crate::client::{ClientError, notices};
use crate::secure::e2e::body::BodyKind;
use crate::secure::e2e::safety_number::SafetyNumber;

impl EventLoop<'_> {
    /// Does what a line says.
    pub(super) fn handle_input(&mut self, input: Input) -> Result<(), ClientError> {
        let (line, room) = match input {
            Input::Line(line, room) => (line, room),
            Input::End => {
                self.finish();
                return Ok(());
            }
            Input::Password(password) => {
                return self.sets_password(password);
            }
            Input::Unreadable(why) => {
                return self.not_sent(&format!("Not sent: {why}"));
            }
        };
        match UserCommand::parse(&line) {
            None => {}
            Some(Ok(UserCommand::Exit)) => {
                // Who says so has seen what there was to see.
                self.unsent = 0;
                self.finish();
            }
            Some(Ok(UserCommand::Help)) => self.answer(USER_HELP.into())?,
            Some(Ok(UserCommand::List(room))) => self.list(room)?,
            Some(Ok(UserCommand::Join(room))) => {
                self.session.join_room(&room);
                self.tell_focus(&room)?;
            }
            Some(Ok(UserCommand::Focus(room))) => match self.session.set_focus(&room) {
                Ok(()) => self.tell_focus(&room)?,
                Err(why) => self.mistakes(&why)?,
            },
            Some(Ok(UserCommand::Part(room))) => {
                let room = room.map_or_else(|| self.session.focus().cloned(), Ok);
                if let Err(why) = room.and_then(|room| self.session.part(&room)) {
                    self.mistakes(&why)?;
                }
            }
            Some(Ok(UserCommand::Rooms)) => {
                self.answer(notices::rooms(self.session.rooms()))?;
                self.session.command("ROOMS".into());
            }
            Some(Ok(UserCommand::ToRoom(word, rest))) => match self.place(room) {
                Ok(room) => match for_server(&[word, room.as_str(), rest]) {
                    Ok(line) => self.session.command(line),
                    Err(hint) => self.not_sent(&hint)?,
                },
                Err(why) => self.not_sent(&format!("Not sent: {why}"))?,
            },
            Some(Ok(UserCommand::ToServer(line))) => self.session.command(line),
            Some(Ok(UserCommand::Fingerprint)) => {
                let own = self.session.own();
                self.answer(notices::fingerprints(own.fingerprint(), own.server))?;
            }
            Some(Ok(UserCommand::Accept(name))) => self.accept(&name)?,
            Some(Ok(UserCommand::Password(NewPassword::Off))) => self.session.set_password(Zeroizing::default()),
            Some(Ok(UserCommand::Password(NewPassword::Set))) => {
                if let Some(password) = self.entry.password.clone() {
                    self.sets_password(password)?;
                } else {
                    self.not_sent(NO_PASSWORD)?;
                    // What stands behind it may be the password: it is not said to the room.
                    self.finish();
                }
            }
            Some(Ok(UserCommand::Verify(name, compared))) => self.verify(&name, compared)?,
            Some(Ok(UserCommand::Say(text))) => self.says(room, BodyKind::Text, text)?,
            Some(Ok(UserCommand::Act(text))) => self.says(room, BodyKind::Action, text)?,
            Some(Ok(UserCommand::Whisper(name, text))) => {
                self.say_with(|session, files| session.whisper(&name, text, moment(), files))?;
            }
            Some(Ok(UserCommand::Reply(text))) => {
                self.say_with(|session, files| session.reply(text, moment(), files))?;
            }
            Some(Err(hint)) => {
                self.mistaken = true;
                self.not_sent(&hint)?;
            }
        }
        Ok(())
    }

    /// Says a text in the room in focus; unless it was typed for another.
    fn says(&mut self, typed_for: Option<RoomName>, kind: BodyKind, text: &str) -> Result<(), ClientError> {
        let place = self.place(typed_for);
        self.say_with(|session, _| place.and_then(|_| session.say(kind, text, moment())))
    }

    /// The room in focus; none if what was typed was for another.
    fn place(&self, typed_for: Option<RoomName>) -> Result<RoomName, SendError> {
        let room = self.session.focus()?;
        match typed_for.filter(|typed_for| typed_for != room) {
            Some(other) => Err(SendError::Elsewhere(other)),
            None => Ok(room.clone()),
        }
    }

    fn list(&mut self, room: Option<RoomName>) -> Result<(), ClientError> {
        let room = room.or_else(|| self.session.rooms().next().cloned()).unwrap_or_else(RoomName::lobby);
        if !self.session.rooms().any(|other| *other == room) {
            return self.answer(format!("[!] {}.", capitalized(&SendError::NotThere(room).to_string())));
        }
        let list = notices::list(&room, &self.session.list(&room));
        let away = if self.is_in() { "" } else { notices::LIST_IS_OLD };
        self.answer(list + away)
    }

    /// Names the room in focus, on a terminal.
    fn tell_focus(&mut self, room: &RoomName) -> Result<(), ClientError> {
        if self.screen.is_watched() && self.session.focus() == Ok(room) {
            self.answer(notices::you_speak_in(room))?;
        }
        Ok(())
    }

    /// A request that cannot be done.
    fn mistakes(&mut self, why: &SendError) -> Result<(), ClientError> {
        self.not_sent(&capitalized(&why.to_string()))
    }

    fn say_with(
        &mut self,
        say: impl FnOnce(&mut ClientSession, &Files) -> Result<(), SendError>,
    ) -> Result<(), ClientError> {
        match say(&mut self.session, &self.files) {
            Ok(()) => Ok(()),
            Err(why) => self.not_sent(&format!("Not sent: {why}")),
        }
    }

    pub(super) fn answer(&mut self, text: String) -> Result<(), ClientError> {
        Ok(self.screen.show(&UiEvent::Answer(text))?)
    }

    fn verify(&mut self, name: &Name, compared: Compared) -> Result<(), ClientError> {
        let (name, fingerprint) = match self.session.whois(name, &self.files) {
            Ok(known) => known,
            Err(why) => return self.answer(format!("[!] {}.", capitalized(&why.to_string()))),
        };
        let answer = match compared {
            Compared::NotYet => {
                let own = self.session.own().fingerprint();
                self.compared = Some((name.clone(), fingerprint));
                notices::digits(&name, SafetyNumber::new(own, fingerprint))
            }
            // The peer may have left since the digits were shown, and their other device come.
            Compared::Yes if self.has_several_keys(&name) && self.compared != Some((name.clone(), fingerprint)) => {
                notices::digits_of_another(&name)
            }
            Compared::Yes => match self.session.verify(&name, fingerprint, &mut self.files) {
                Ok(true) => notices::verified(&name),
                Ok(false) => notices::no_such_line(&name, self.files.users.path()),
                Err(error) => format!("[!] {name} is not marked: {error}."),
            },
        };
        self.answer(answer)
    }

    /// As at a Join: no password goes to a server whose identity rests on its own word.
    fn sets_password(&mut self, password: Zeroizing<String>) -> Result<(), ClientError> {
        if !self.entry.is_pinned() {
            return self.not_sent(FIRST_CONTACT);
        }
        self.session.set_password(password);
        Ok(())
    }

    fn has_several_keys(&self, name: &Name) -> bool {
        self.files.users.find(name).is_some_and(|(_, keys)| keys.len() > 1)
    }

    fn accept(&mut self, name: &Name) -> Result<(), ClientError> {
        let mut shown = Vec::new();
        let accepted = self.session.accept(name, &mut self.files, &mut shown);
        self.show_all(&shown)?;
        match accepted {
            Ok(()) => Ok(()),
            Err(why) => self.answer(format!("[!] {name} is not accepted: {why}.")),
        }
    }

    fn not_sent(&mut self, why: &str) -> Result<(), ClientError> {
        self.unsent += 1;
        Ok(self.screen.show(&UiEvent::Remark(format!("[!] {why}.")))?)
    }
}

/// Answer to /password on a screen without a terminal.
const NO_PASSWORD: &str =
    "Nothing is changed: with no terminal to ask on, the password comes from --password-file FILE";

/// Refusal of a new password where the server's identity is unknown.
const FIRST_CONTACT: &str = "Nothing is changed: this is the first contact with this server, and no password is sent then. \
                             Compare its fingerprint, and join once more: it is known now";

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
