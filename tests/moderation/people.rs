//! Somebody who is here, with all that they have heard kept until it is asked for.

use std::net::Ipv4Addr;
use std::sync::{Arc, LazyLock};

use cfb_chat::chat::SessionNumber;
use cfb_chat::chat::message::{ByeReason, ErrorCode, Event, LeftReason, ToClient, ToServer, Welcome};
use cfb_chat::secure::credential::OwnCredential;
use cfb_chat::secure::identity::Identity;

use crate::support::folder::{SERVER, identity};
use crate::support::hostile_server::IRA;
use crate::support::peer::{Peer, credential, room};
use crate::support::wire::{Refusal, Wire};

/// Two more keys, beside Anna's and Boris'.
pub static CLARA: &LazyLock<Identity> = &IRA;
pub static DORA: LazyLock<Identity> = LazyLock::new(|| identity(SERVER));
/// One that has no name anywhere until a test gives it one.
pub static NEW: LazyLock<Identity> =
    LazyLock::new(|| Identity::generate(&mut rand::rng(), 2_048).expect("a key of this size"));

/// Where somebody comes from, whose key they have, and by what name they go.
#[derive(Clone, Copy)]
pub struct Who {
    pub key: &'static Identity,
    pub name: &'static str,
    pub from: Ipv4Addr,
}

/// An Error that answers no message by its number.
pub type CommandRefusal = (ErrorCode, String);

pub struct Somebody {
    pub peer: Peer,
    /// What their Welcome said, the first one.
    pub notice: String,
    own: Arc<OwnCredential>,
    key: &'static Identity,
    cursor: u64,
    heard: Vec<ToClient>,
}

/// What proves who somebody is, in the way people read it.
pub fn fingerprint(key: &Identity) -> String {
    key.public().fingerprint().to_string()
}

impl Who {
    pub fn new(key: &'static Identity, name: &'static str, last: u8) -> Self {
        Self { key, name, from: Ipv4Addr::new(127, 0, 0, last) }
    }

    pub fn called(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    /// Goes as far as the handshake.
    pub fn enters(self, port: u16) -> Result<Somebody, Refusal> {
        Somebody::begins(port, self.key, self.name, self.from)
    }

    /// Comes into a room, or is told why not.
    pub fn tries(self, port: u16, room: &str, password: &str) -> Result<Somebody, CommandRefusal> {
        let mut somebody = self.enters(port).expect("the server takes them");
        somebody.joins_with(room, password).map(|()| somebody)
    }

    /// Comes into a room.
    pub fn comes(self, port: u16, room: &str) -> Somebody {
        self.tries(port, room, "").unwrap_or_else(|why| panic!("{} should come in: {why:?}", self.name))
    }

    /// Is refused, with this code; gives the reason.
    pub fn is_refused(self, port: u16, room: &str, password: &str, wanted: ErrorCode) -> String {
        match self.tries(port, room, password) {
            Ok(_) => panic!("{} should not come in", self.name),
            Err((code, why)) => {
                assert_eq!(code, wanted, "{}: {why}", self.name);
                why
            }
        }
    }
}

impl Somebody {
    /// Goes as far as the handshake, by whatever name.
    pub fn begins(port: u16, key: &'static Identity, name: &str, from: Ipv4Addr) -> Result<Self, Refusal> {
        Self::begins_with(port, key, credential(key, name), from)
    }

    fn begins_with(
        port: u16,
        key: &'static Identity,
        own: Arc<OwnCredential>,
        from: Ipv4Addr,
    ) -> Result<Self, Refusal> {
        let peer = Peer::enter_as(Wire::connect_from(from, port), key, &own)?;
        Ok(Self { peer, notice: String::new(), own, key, cursor: 0, heard: Vec::new() })
    }

    /// Comes back on another connection, with a session that lost its own: what it was in a room of.
    pub fn comes_back(self, port: u16, room: &str) -> Self {
        let Self { own, key, cursor, .. } = self;
        let mut back = Self::begins_with(port, key, own, Ipv4Addr::LOCALHOST).expect("the server takes them");
        back.peer.send(&ToServer::Join { room: self::room(room), password: String::new(), cursor });
        let welcome = back.waits(|message| welcome_of(message).cloned());
        assert!(welcome.resumed, "{welcome:?}");
        back.cursor = cursor;
        back
    }

    pub fn joins_with(&mut self, room: &str, password: &str) -> Result<(), CommandRefusal> {
        self.peer.send(&ToServer::Join { room: self::room(room), password: password.into(), cursor: 0 });
        let outcome = self.waits(|message| match message {
            ToClient::Welcome(welcome) => Some(Ok(welcome.notice.clone())),
            ToClient::Error { code, text, n: 0 } => Some(Err((*code, text.clone()))),
            _ => None,
        });
        outcome.map(|notice| self.notice = notice)
    }

    pub fn joins(&mut self, room: &str) {
        self.joins_with(room, "").unwrap_or_else(|why| panic!("{room}: {why:?}"));
    }

    /// Gives a command.
    pub fn commands(&mut self, line: &str) -> Result<String, CommandRefusal> {
        self.peer.send(&ToServer::Command(line.into()));
        self.is_told()
    }

    /// Sets the password of one's name.
    pub fn sets_password(&mut self, password: &str) -> Result<String, CommandRefusal> {
        self.peer.send(&ToServer::Password(password.into()));
        self.is_told()
    }

    fn is_told(&mut self) -> Result<String, CommandRefusal> {
        self.waits(|message| match message {
            ToClient::Answer(text) => Some(Ok(text.clone())),
            ToClient::Error { code, text, n: 0 } => Some(Err((*code, text.clone()))),
            _ => None,
        })
    }

    /// What comes next of a kind; what comes before it is kept.
    fn waits<T>(&mut self, wanted: impl Fn(&ToClient) -> Option<T>) -> T {
        loop {
            let message = self.peer.hear().expect("the connection ended before what was waited for");
            self.notes(&message);
            match wanted(&message) {
                Some(found) => return found,
                None => self.heard.push(message),
            }
        }
    }

    fn notes(&mut self, message: &ToClient) {
        if let ToClient::Event { cursor, .. } | ToClient::Welcome(Welcome { cursor, .. }) = message {
            self.cursor = *cursor;
        }
    }

    /// All that has happened to them by now, since they were asked last.
    pub fn hears(&mut self) -> Vec<ToClient> {
        let later = self.peer.hears_until_pong();
        for message in &later {
            self.notes(message);
        }
        self.heard.drain(..).chain(later).collect()
    }

    /// The notices among it.
    pub fn notices(&mut self) -> Vec<String> {
        notices(&self.hears())
    }

    /// They are removed they are told why, then Bye, then the end. Gives the notices.
    pub fn ends_by(mut self, bye: ByeReason) -> Vec<String> {
        let last = self.peer.hears_out();
        let heard: Vec<ToClient> = self.heard.drain(..).chain(last).collect();
        assert_eq!(heard.last(), Some(&ToClient::Bye(bye)), "{heard:?}");
        notices(&heard)
    }

    /// Says something in the lobby, or in another room. Gives whether it was taken, or why not.
    pub fn says(&mut self, room: &str, text: &str) -> Result<(), ErrorCode> {
        for body in self.peer.voice.say(&self::room(room), text) {
            self.peer.send_next(body);
            self.waits(|message| match message {
                ToClient::Accepted(_) => Some(Ok(())),
                ToClient::Error { code, n: 1.., .. } => Some(Err(*code)),
                _ => None,
            })?;
        }
        Ok(())
    }

    /// Leaves this room, the last one, and hears goodbye.
    pub fn goes(mut self, room: &str) {
        self.peer.leave(room);
        self.peer.is_told_bye(ByeReason::Left);
        self.peer.ends();
    }

    pub fn number(&self) -> SessionNumber {
        self.peer.number
    }
}

pub fn notices(heard: &[ToClient]) -> Vec<String> {
    let notice = |message: &ToClient| match message {
        ToClient::Event { event: Event::Notice(text), .. } => Some(text.clone()),
        _ => None,
    };
    heard.iter().filter_map(notice).collect()
}

/// Whether somebody was seen leaving a room so.
pub fn has_left(heard: &[ToClient], number: SessionNumber, name: &str, why: LeftReason) -> bool {
    heard.iter().any(|message| match message {
        ToClient::Event { event: Event::Left { room, who, reason, .. }, .. } => {
            (room.as_str(), *who, *reason) == (name, number, why)
        }
        _ => false,
    })
}

fn welcome_of(message: &ToClient) -> Option<&Welcome> {
    if let ToClient::Welcome(welcome) = message { Some(welcome) } else { None }
}
