//! The lobby as the client is told of it: who comes and goes, and what they say there.

use cfb_chat::chat::SessionNumber as Number;
use cfb_chat::chat::message::{Event, LeftReason, Numbered, SessionId};
use cfb_chat::chat::name::RoomName;
use cfb_chat::net::secure_channel::now_in_millis;
use cfb_chat::secure::e2e::roster::RosterHash;
use cfb_chat::secure::e2e::sealed_box::Purpose;

use super::{Happened, Member, Stage, padded, said_at};

impl Stage {
    /// Somebody comes in.
    pub fn joins(&mut self, member: &Member) {
        self.tell(&[member.person()]);
        self.joined(member.session());
    }

    /// A session that has been introduced comes in.
    pub fn joined(&mut self, session: SessionId) {
        self.joined_at(now_in_millis(), session);
    }

    pub fn joined_at(&mut self, at: u64, session: SessionId) {
        self.change += 1;
        self.members.push(session);
        self.members.sort_unstable();
        self.event_at(at, Event::Joined { room: RoomName::lobby(), who: session, change: self.change });
    }

    pub fn left(&mut self, session: SessionId) {
        self.left_at(now_in_millis(), session);
    }

    pub fn left_at(&mut self, at: u64, session: SessionId) {
        self.change += 1;
        self.members.retain(|member| *member != session);
        let reason = LeftReason::Left;
        self.event_at(at, Event::Left { room: RoomName::lobby(), who: session, change: self.change, reason });
    }

    /// The lobby's members as the client has them.
    pub fn roster(&self) -> RosterHash {
        self.roster_of(self.change, &self.members)
    }

    /// Any roster of the lobby.
    pub fn roster_of(&self, change: u64, members: &[SessionId]) -> RosterHash {
        let mut sessions: Vec<&[u8; 32]> = members.iter().map(|member| &member.0).collect();
        sessions.sort_unstable();
        RosterHash::new(self.server, "#lobby", change, sessions.into_iter())
    }

    /// Somebody's key for the lobby, in a box for the client.
    pub fn key_from(&self, from: &mut Member) -> Vec<u8> {
        from.boxes_up(&self.keys, self.server, Purpose::Key, &from.key.shared("#lobby"))
    }

    pub fn whisper_from(&self, from: &mut Member, text: &str) -> Vec<u8> {
        from.boxes_up(&self.keys, self.server, Purpose::Whisper, &padded(text))
    }

    /// What somebody says, sealed and signed for the lobby as it is.
    pub fn envelope_from(&self, from: &mut Member, text: &str) -> Vec<u8> {
        self.envelope_for(self.roster(), from, text)
    }

    /// What somebody says, sealed and signed for the lobby as they see it.
    pub fn envelope_for(&self, roster: RosterHash, from: &mut Member, text: &str) -> Vec<u8> {
        from.key.seal(&padded(text)).sign(&from.credential, self.server, "#lobby", roster)
    }

    /// Hands somebody's key out.
    pub fn shares(&mut self, from: &mut Member) {
        let boxed = self.key_from(from);
        self.event(Event::Shared { who: from.session(), boxed });
    }

    /// Hands an envelope out, as somebody's.
    pub fn relays(&mut self, from: &Member, envelope: Vec<u8>) {
        let event = self.said(from, envelope);
        self.event(event);
    }

    pub fn said(&self, from: &Member, envelope: Vec<u8>) -> Happened {
        self.said_by(from.session(), envelope)
    }

    pub fn said_by(&self, session: SessionId, envelope: Vec<u8>) -> Happened {
        said_at(self.change, session, envelope)
    }

    /// Somebody says something, and all of it holds: it is shown.
    pub fn says(&mut self, from: &mut Member, text: &str) {
        let envelope = self.envelope_from(from, text);
        self.relays(from, envelope);
        self.client.sees(from.name, text);
    }

    /// Somebody whispers something, and all of it holds: it is shown.
    pub fn whispers(&mut self, from: &mut Member, text: &str) {
        let boxed = self.whisper_from(from, text);
        self.event(Event::Whispered { who: from.session(), boxed });
        self.client.process.out.wait_for(&format!(" [whisper from {}] {text}", from.name));
    }

    /// The user says something, and this member can read it. Gives who was sent the key for it.
    pub fn talks_to(&mut self, reader: &mut Member, line: &str) -> Vec<Number> {
        self.sync();
        self.client.says(line);
        let mut shared = Vec::new();
        loop {
            match self.takes() {
                Numbered::Share(boxes) => {
                    shared.extend(boxes.iter().map(|(to, _)| *to));
                    reader.takes_key(self, &boxes);
                }
                Numbered::Say { change, envelope, .. } => {
                    assert_eq!(change, self.change);
                    assert_eq!(reader.reads(self, &envelope), line);
                    return shared;
                }
                other => panic!("neither a key nor something said: {other:?}"),
            }
        }
    }
}
