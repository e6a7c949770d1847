//! A connection's other end, for clients that are watched otherwise than as a [`super::Stage`] does.

use std::net::Shutdown;
use std::sync::Arc;
use std::time::Instant;

use cfb_chat::chat::message::{SessionId, ToClient, ToServer, Welcome};
use cfb_chat::chat::name::RoomName;
use cfb_chat::net::secure_channel::{Channel, now_in_millis};
use cfb_chat::net::{Link, write_all};
use cfb_chat::secure::credential::SessionKeys;

use super::super::PATIENCE;
use super::{HostileServer, number};

/// The server's end of a connection.
pub struct Served {
    link: Arc<dyn Link>,
    channel: Channel,
}

impl Served {
    pub fn accept(server: &HostileServer) -> Self {
        let (link, channel) = server.accepts(String::new);
        Self { link, channel: channel.expect("the handshake") }
    }

    /// The client's session.
    pub fn session(&self) -> SessionId {
        SessionId(self.channel.peer.credential().session_keys().session)
    }

    /// Lets the client in, alone; or, from a cursor, on.
    pub fn welcomes(&mut self, from: Option<u64>) {
        let own = number(self.session());
        let members = if from.is_some() { Vec::new() } else { vec![own] };
        let (room, at, notice, longest_text) = (RoomName::lobby(), now_in_millis(), String::new(), 4_096);
        let (resumed, change, cursor) = (from.is_some(), u64::from(from.is_none()), from.unwrap_or(1));
        let welcome = Welcome { room, members, change, resumed, cursor, at, notice, longest_text, own };
        self.tell(&ToClient::Welcome(welcome));
    }

    /// The public keys of the client's session.
    pub fn keys(&self) -> SessionKeys {
        self.channel.peer.credential().session_keys()
    }

    pub fn tell(&mut self, message: &ToClient) {
        self.tell_at_once(std::slice::from_ref(message));
    }

    /// Sends messages in one record, which they must fit in.
    pub fn tell_at_once(&mut self, messages: &[ToClient]) {
        let (text, mut frame) = (messages.iter().flat_map(ToClient::encode).collect::<Vec<u8>>(), Vec::new());
        self.channel.sealer.seal(&text, &mut frame);
        write_all(&*self.link, &frame, Instant::now() + PATIENCE).expect("the client reads");
    }

    /// Waits until the client says this; what it says before is passed over.
    pub fn waits_for(&mut self, is_it: impl Fn(&ToServer) -> bool) {
        loop {
            let text = self.channel.incoming.next_text(PATIENCE).expect("the client says something");
            if ToServer::parse_all(text).expect("the client's messages can be read").iter().any(&is_it) {
                return;
            }
        }
    }

    /// Ends the connection, without a goodbye.
    pub fn cuts(&self) {
        self.link.close(Shutdown::Both);
    }
}
