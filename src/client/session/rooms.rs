//! The rooms that one is in, and which of them one speaks in. PROTOCOL.md §6 "Joining", "Leaving", §8 "A new session".

use std::collections::{HashMap, HashSet, VecDeque};

use super::super::peers::{PeerTable, PresentSession};
use super::super::room_sender_key::RoomSenderKey;
use super::super::roster::Roster;
use super::Id;
use crate::chat::name::{Name, RoomName};
use crate::secure::e2e::sender_key::{InboundSenderKey, SealedMessage};
use crate::secure::identity::Fingerprint;

/// So many rooms that one has left are remembered: keys for them may still be on their way.
const LEFT: usize = 32;

/// The rooms of a session.
#[derive(Default)]
pub(super) struct JoinedRooms {
    /// Where one is.
    inside: HashMap<RoomName, JoinedRoom>,
    /// Where one is, or is coming back to, in the order in which one has last looked at them: the last is in focus.
    order: Vec<RoomName>,
    /// No text goes to any room until the user has chosen one.
    nowhere: bool,
    /// From the session before: rooms that one has not come back to yet.
    before: HashMap<RoomName, PreviousRoom>,
    /// Counters of own messages in rooms that this client has left: they continue in this session.
    spoken: HashMap<RoomName, u64>,
    /// Rooms that one has left, the last one last.
    left: VecDeque<RoomName>,
    /// Members who have lost their connection, and may be back soon.
    pub(super) away: HashSet<Id>,
}

/// A room that one is in.
pub(super) struct JoinedRoom {
    pub(super) roster: Roster,
    pub(super) sender_key: RoomSenderKey,
    /// Sender keys of the members; of those who joined later, from their first message on.
    pub(super) readings: HashMap<Id, InboundSenderKey>,
    /// The server's notice at the join.
    pub(super) notice: String,
    /// One was here before in this session: what was said then may still be on its way.
    pub(super) came_back: bool,
}

/// State that a new session carries over for a room: read positions, members, and what the user was told.
pub(super) struct PreviousRoom {
    pub(super) readings: HashMap<Id, InboundSenderKey>,
    pub(super) present: Vec<(Name, Fingerprint)>,
    pub(super) notice: String,
}

impl JoinedRooms {
    /// None yet; this one is to be the first.
    pub(super) fn beginning_with(room: RoomName) -> Self {
        Self { order: vec![room], ..Self::default() }
    }

    /// The room that one speaks in, if there is one.
    pub(super) fn focus(&self) -> Option<&RoomName> {
        if self.nowhere { None } else { self.order.last() }
    }

    /// The room that one was in last, wherever one looks.
    pub(super) fn last(&self) -> Option<&RoomName> {
        self.order.last()
    }

    /// Where one is, or is coming back to: what is in focus first.
    pub(super) fn names(&self) -> impl Iterator<Item = &RoomName> {
        self.order.iter().rev()
    }

    /// True if one has to be told which.
    pub(super) fn are_several(&self) -> bool {
        self.order.len() > 1
    }

    /// A room's name, if one has to be told it.
    pub(super) fn told(&self, room: &RoomName) -> Option<RoomName> {
        self.are_several().then(|| room.clone())
    }

    /// True if one is in a room, or coming back to it.
    pub(super) fn are_with(&self, room: &RoomName) -> bool {
        self.order.contains(room)
    }

    /// Looks at a room. Gives whether one is there.
    pub(super) fn set_focus(&mut self, room: &RoomName) -> bool {
        let Some(place) = self.order.iter().position(|other| other == room) else {
            return false;
        };
        let room = self.order.remove(place);
        self.order.push(room);
        self.nowhere = false;
        true
    }

    /// No text goes to any room until the user has chosen one.
    pub(super) fn clear_focus(&mut self) {
        self.nowhere = true;
    }

    pub(super) fn get(&self, room: &RoomName) -> Option<&JoinedRoom> {
        self.inside.get(room)
    }

    pub(super) fn get_mut(&mut self, room: &RoomName) -> Option<&mut JoinedRoom> {
        self.inside.get_mut(room)
    }

    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut JoinedRoom> {
        self.inside.values_mut()
    }

    /// In how many rooms one is.
    pub(super) fn count(&self) -> usize {
        self.inside.len()
    }

    /// True if a session shares a room with this client.
    pub(super) fn have(&self, session: Id) -> bool {
        self.inside.values().any(|inside| inside.roster.has(session))
    }

    /// True if this client and a session are members of this room.
    pub(super) fn has(&self, room: &RoomName, session: Id) -> bool {
        self.inside.get(room).is_some_and(|inside| inside.roster.has(session))
    }

    /// One has come in. Gives what one had of the room in the session before.
    pub(super) fn enter(&mut self, room: &RoomName, roster: Roster, notice: String) -> Option<PreviousRoom> {
        let mut before = self.before.remove(room);
        let readings = before.as_mut().map(|before| std::mem::take(&mut before.readings)).unwrap_or_default();
        let came_back = self.left.contains(room);
        let sender_key = RoomSenderKey::resume_at(self.spoken.remove(room).unwrap_or_default());
        self.inside.insert(room.clone(), JoinedRoom { roster, sender_key, readings, notice, came_back });
        if !self.order.contains(room) {
            self.order.insert(0, room.clone());
        }
        before
    }

    /// One is no longer in a room: gives who was there.
    pub(super) fn exit(&mut self, room: &RoomName) -> Vec<Id> {
        self.forget(room);
        let Some(inside) = self.inside.remove(room) else {
            return Vec::new();
        };
        self.count_on(room, inside.sender_key.counter());
        self.remember_left(room);
        inside.roster.members().to_vec()
    }

    /// One is no longer in a room, or will not have been there: what was on its way then may still come.
    pub(super) fn remember_left(&mut self, room: &RoomName) {
        self.left.retain(|other| other != room);
        if self.left.len() >= LEFT {
            self.left.pop_front();
        }
        self.left.push_back(room.clone());
    }

    /// One does not come back to a room.
    pub(super) fn forget(&mut self, room: &RoomName) {
        self.before.remove(room);
        self.order.retain(|other| other != room);
    }

    /// True if one has been in a room not long ago.
    pub(super) fn have_left(&self, room: &RoomName) -> bool {
        self.left.contains(room)
    }

    /// Handles the acceptance of a room's message; the client may have left the room since.
    pub(super) fn settle(&mut self, room: &RoomName, said: &SealedMessage) {
        match self.inside.get_mut(room) {
            Some(inside) => inside.sender_key.settle(said),
            None => self.count_on(room, said.counter() + 1),
        }
    }

    /// It has been refused for good.
    pub(super) fn refuse(&mut self, room: &RoomName, said: &SealedMessage) {
        match self.inside.get_mut(room) {
            Some(inside) => inside.sender_key.refused(said),
            None => self.count_on(room, said.counter() + 1),
        }
    }

    fn count_on(&mut self, room: &RoomName, counter: u64) {
        if counter > 0 {
            let spoken = self.spoken.entry(room.clone()).or_default();
            *spoken = counter.max(*spoken);
        }
    }

    /// Another session of one's own has begun, and is in no room yet.
    pub(super) fn start_new_session(&mut self, peers: &PeerTable) {
        for (room, inside) in std::mem::take(&mut self.inside) {
            if self.order.contains(&room) {
                let present = present(&inside.roster, peers);
                let JoinedRoom { mut readings, notice, .. } = inside;
                readings.values_mut().for_each(InboundSenderKey::carry_over);
                self.before.insert(room, PreviousRoom { readings, present, notice });
            }
        }
        self.spoken.clear();
        self.left.clear();
        self.away.clear();
    }
}

/// Members of a room that are not rejected, without this client.
pub(super) fn present(roster: &Roster, peers: &PeerTable) -> Vec<(Name, Fingerprint)> {
    let shown = roster.members().iter().filter_map(|session| peers.get(*session));
    shown.map(|present: PresentSession<'_>| present.named()).collect()
}
