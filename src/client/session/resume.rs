//! A session from one connection to the next, and from one session to the next. PROTOCOL.md §8.

use std::sync::Arc;
use std::time::Duration;

use super::outgoing::OutboxItem;
use super::{ClientSession, JoinState, Progress, ReadMarker, Request, asks_to_join, present};
use crate::chat::Now;
use crate::chat::message::{ToClient, ToServer, Welcome};
use crate::chat::name::{Name, RoomName};
use crate::client::notices;
use crate::client::ui_event::UiEvent;
use crate::secure::credential::{OwnCredential, UnixSeconds};
use crate::secure::identity::Fingerprint;

impl ClientSession {
    /// The connection is lost: what was asked on it is not answered any more.
    pub fn lost(&mut self, shown: &mut Vec<UiEvent>) {
        self.standing = JoinState::Lost;
        self.peers.session_numbers.forget_fresh();
        self.pings = 0;
        self.catching_up = false;
        self.sent_again.clear();
        for unknown in self.requests.lost() {
            shown.extend(match unknown {
                Request::Command(line) => Some(UiEvent::Undelivered(notices::not_known_to_be_done(&line))),
                Request::Password(_) => Some(UiEvent::Undelivered(notices::PASSWORD_NOT_KNOWN.into())),
                _ => None,
            });
        }
        self.requests.limbo().for_each(|room| self.rooms.remember_left(room));
    }

    /// True if there is a session that a server may go on with: one that has been welcomed.
    #[must_use]
    pub fn can_resume(&self) -> bool {
        self.cursor > 0
    }

    /// Asks to go on, on another connection: the message that comes first there.
    pub fn resume(&mut self) -> ToServer {
        let is_there = |room: &&RoomName| self.rooms.has(room, self.id);
        let stays = self.rooms.names().filter(is_there).find(|room| !self.is_leaving(room));
        let room = stays.or(self.rooms.names().find(is_there)).or(self.rooms.last());
        let room = room.cloned().unwrap_or_else(RoomName::lobby);
        self.standing = JoinState::Resuming(room.clone());
        asks_to_join(room, self.cursor)
    }

    /// Begins a new session instead of this one, with another credential: gives the message that asks to be let in, as
    /// the first on another connection. What was sent and has no answer is told; what was not sent goes on.
    pub fn start_new_session(&mut self, credential: Arc<OwnCredential>, shown: &mut Vec<UiEvent>) -> ToServer {
        self.lost(shown);
        self.own.credential = credential;
        self.left_off = self.left_off.max(self.cursor);
        self.cursor = 0;
        self.seen = ReadMarker::default();
        self.unopened.clear();
        self.looks_around = None;
        let unknown = self.outbox.start_new_session(OutboxItem::goes_on);
        let are_several = self.rooms.are_several();
        shown.extend(unknown.iter().filter_map(|item| item.not_known(are_several)));
        if !self.leaving {
            // Where one has been put out, or was on one's way out, one does not come back.
            for room in self.requests.left_again() {
                self.rooms.forget(room);
            }
        }
        self.requests.start_new_session();
        self.leaving = false;
        let last = self.rooms.last().filter(|_| !self.shut_out);
        let room = last.cloned().unwrap_or_else(RoomName::lobby);
        self.standing = JoinState::Joining(room.clone(), Box::new(self.own.nobody_else()));
        asks_to_join(room, 0)
    }

    /// A new session is not let into the room that it asked for first: the lobby is to be asked for first from now on.
    /// Gives that room, if it was another.
    pub fn asks_for_the_lobby(&mut self) -> Option<RoomName> {
        let JoinState::Joining(room, _) = &self.standing else {
            return None;
        };
        if *room == RoomName::lobby() {
            return None;
        }
        self.shut_out = true;
        Some(room.clone())
    }

    /// Bound on the events between the end of the last session and this one's join:
    /// most have no meaning here.
    #[must_use]
    pub fn passed_by(&self) -> u64 {
        self.cursor.saturating_sub(self.left_off)
    }

    /// True if one's credential ends within this time, or was made at another time altogether, by the wall clock.
    #[must_use]
    pub fn is_due_for_renewal(&self, left: Duration, now: Now) -> bool {
        let (credential, seconds) = (&self.own.credential, now.at / 1_000);
        credential.expires().0 < seconds.saturating_add(left.as_secs()) || !credential.is_current(UnixSeconds(seconds))
    }

    /// The message that asks to be let in.
    #[must_use]
    pub fn asks_to_join(&self) -> ToServer {
        let room = match &self.standing {
            JoinState::Joining(room, _) | JoinState::Resuming(room) => room.clone(),
            JoinState::Inside | JoinState::Lost => self.rooms.last().cloned().unwrap_or_else(RoomName::lobby),
        };
        asks_to_join(room, self.cursor)
    }

    /// True if a Welcome says just what it has to for the session to go on.
    pub(super) fn is_resumed_by(&self, welcome: &Welcome) -> bool {
        let Welcome { members, change, resumed, cursor, own, .. } = welcome;
        let is_own = self.peers.session_numbers.number(self.id) == Some(*own);
        *resumed && members.is_empty() && *change == 0 && *cursor == self.cursor && is_own
    }

    /// Resumes the session: unanswered messages are sent again before any new one, and so is Seen.
    pub(super) fn goes_on(&mut self, now: Now) -> Progress {
        let numbered = self.outbox.sent_again().map(|(n, body)| ToServer::Numbered { n, body });
        self.sent_again = numbered.collect();
        // What was asked before may have been done, and what that led to is among what was missed.
        if self.pings == 0 && self.requests.all().any(Request::may_be_done) {
            let ping = self.ping();
            self.sent_again.push_back(ping);
        }
        self.catching_up = self.pings > 0;
        self.seen.schedule_by(now.tick);
        Progress::Resumed
    }

    /// Lists joins and leaves of a room between the old session and the new one.
    pub(super) fn changes_since(&self, room: &RoomName, before: &[(Name, Fingerprint)]) -> Vec<UiEvent> {
        let now = self.rooms.get(room).map_or_else(Vec::new, |inside| present(&inside.roster, &self.peers));
        let told = self.rooms.told(room);
        let gone = before.iter().filter(|who| !now.contains(who));
        let left = gone.map(|(name, _)| UiEvent::Left(name.clone(), told.clone()));
        let come = now.iter().filter(|who| !before.contains(who));
        let joined = come.map(|(name, _)| UiEvent::Joined(name.clone(), told.clone()));
        left.chain(joined).collect()
    }
}

/// True if this may come before the Welcome of a session that is to go on.
pub(super) fn may_come_first(message: &ToClient) -> bool {
    matches!(message, ToClient::Welcome(_) | ToClient::Error { n: 0, .. } | ToClient::Bye(_) | ToClient::Unknown)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::{Files, LocalUser, ProtocolError};
    use super::*;
    use crate::chat::SessionNumber;
    use crate::chat::message::{Event, Numbered};
    use crate::chat::name::RoomName;
    use crate::secure::e2e::body::BodyKind;
    use crate::secure::identity::Identity;
    use crate::store::known_users::KnownUsers;
    use crate::store::letters_seen::LettersSeen;

    const NOW: u64 = 1_700_000_000_000;
    const DAY: u64 = 24 * 60 * 60;
    const SERVER: Fingerprint = Fingerprint([7; 32]);

    /// A client alone in a room, with its files.
    struct Alone {
        session: ClientSession,
        files: Files,
        tick: Instant,
        _folder: tempfile::TempDir,
    }

    impl Alone {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let identity = Identity::from_pem(include_str!("../../../tests/vectors/keys/user_a.pem"), None).unwrap();
            let (name, credential) = (Name::parse("Anna").unwrap(), Self::credential(&identity));
            let own =
                LocalUser { name, identity: Arc::new(identity), credential, server: SERVER, verified_only: false };
            let users = KnownUsers::open(folder.path(), SERVER).unwrap();
            let files = Files { users, letters: LettersSeen::in_folder(folder.path()) };
            let (session, join) = ClientSession::join(own, RoomName::lobby());
            assert_eq!(join, asks_to_join(RoomName::lobby(), 0));
            let mut alone = Self { session, files, tick: Instant::now(), _folder: folder };
            alone.is_let_in(1);
            alone
        }

        fn credential(identity: &Identity) -> Arc<OwnCredential> {
            Arc::new(OwnCredential::for_user(&mut rand::rng(), identity, "Anna", UnixSeconds(NOW / 1_000)))
        }

        fn at(&self, seconds: u64) -> Now {
            Now { at: NOW + seconds * 1_000, tick: self.tick + Duration::from_secs(seconds) }
        }

        fn welcome(resumed: bool, cursor: u64) -> ToClient {
            let members = if resumed { Vec::new() } else { vec![SessionNumber(1)] };
            let (room, change) = (RoomName::lobby(), u64::from(!resumed));
            let welcome = Welcome {
                room,
                members,
                change,
                resumed,
                cursor,
                at: NOW,
                notice: String::new(),
                longest_text: 4_096,
                own: SessionNumber(1),
            };
            ToClient::Welcome(welcome)
        }

        fn is_let_in(&mut self, cursor: u64) {
            let welcome = Self::welcome(false, cursor);
            assert_eq!(self.hears(welcome), Ok(Progress::Welcomed));
        }

        fn hears(&mut self, message: ToClient) -> Result<Progress, ProtocolError> {
            let now = self.at(0);
            let progress = self.session.receive(message, now, &mut self.files, &mut Vec::new())?;
            self.session.look_around(now, &mut self.files, &mut Vec::new())?;
            Ok(progress)
        }

        fn says(&mut self, text: &str) {
            let now = self.at(0);
            self.session.say(BodyKind::Text, text, now).unwrap();
        }

        /// All that it sends now, but for Seen.
        fn sends(&mut self) -> Vec<ToServer> {
            let now = self.at(0);
            let all = std::iter::from_fn(|| self.session.take_due(now, &mut Vec::new()));
            all.filter(|message| !matches!(message, ToServer::Seen(_))).collect()
        }

        fn numbers(&mut self) -> Vec<u64> {
            let number = |message: &ToServer| match message {
                ToServer::Numbered { n, body: Numbered::Say { .. } } => *n,
                other => panic!("{other:?}"),
            };
            self.sends().iter().map(number).collect()
        }
    }

    #[test]
    fn nothing_is_sent_while_the_connection_is_away_and_all_of_it_after() {
        let mut alone = Alone::new();
        alone.says("one");
        alone.says("two");
        let sent = alone.sends();
        assert_eq!(sent.len(), 2);
        alone.session.ping();
        alone.session.lost(&mut Vec::new());
        alone.says("three");
        assert_eq!((alone.sends(), alone.session.due_at()), (vec![], None));
        let join = ToServer::Join { room: RoomName::lobby(), password: String::new(), cursor: 1 };
        assert_eq!(alone.session.resume(), join);
        assert_eq!(alone.sends(), []);
        let welcome = Alone::welcome(true, 1);
        assert_eq!(alone.hears(welcome), Ok(Progress::Resumed));
        let again = alone.sends();
        assert_eq!(again[..2], sent);
        assert!(matches!(again[2], ToServer::Numbered { n: 3, .. }));
        assert_eq!(
            alone.hears(ToClient::Pong),
            Err(ProtocolError::Unasked("a Pong")),
            "that Ping was another connection's"
        );
    }

    #[test]
    fn a_leave_that_has_no_answer_is_sent_again_last() {
        let mut alone = Alone::new();
        alone.says("one");
        let mut sent = alone.sends();
        sent.extend(alone.session.leave());
        alone.session.lost(&mut Vec::new());
        alone.session.resume();
        let welcome = Alone::welcome(true, 1);
        assert_eq!(alone.hears(welcome), Ok(Progress::Resumed));
        // Not before it is known that it was not done: what was missed comes before the Pong.
        let leave = sent.pop().unwrap();
        sent.push(ToServer::Ping);
        assert_eq!(alone.sends(), sent);
        assert_eq!(alone.hears(ToClient::Pong), Ok(Progress::Pong));
        assert_eq!(alone.sends(), [leave]);
    }

    /// PROTOCOL.md 8.4-5.
    #[test]
    fn a_resumed_welcome_brings_no_limit_and_no_time_of_its_own() {
        let mut alone = Alone::new();
        alone.session.lost(&mut Vec::new());
        alone.session.resume();
        let ToClient::Welcome(mut welcome) = Alone::welcome(true, 1) else { panic!("a Welcome") };
        (welcome.longest_text, welcome.at, welcome.notice) = (1, u64::MAX, "anew".into());
        assert_eq!(alone.hears(ToClient::Welcome(welcome)), Ok(Progress::Resumed));
        alone.says("more than a byte");
        assert_eq!((alone.numbers(), alone.session.latest), (vec![1], NOW));
    }

    #[test]
    fn what_has_come_is_told_in_a_while_and_once_and_what_is_much_at_once() {
        let mut alone = Alone::new();
        for cursor in 2..5 {
            alone.hears(ToClient::Event { cursor, at: NOW, event: Event::Unknown }).unwrap();
        }
        let due = alone.session.due_at().unwrap();
        assert!((alone.at(10).tick..=alone.at(20).tick).contains(&due));
        let (soon, then) = (alone.at(9), alone.at(20));
        assert_eq!(alone.session.take_due(soon, &mut Vec::new()), None);
        assert_eq!(alone.session.take_due(then, &mut Vec::new()), Some(ToServer::Seen(4)));
        assert_eq!((alone.session.take_due(then, &mut Vec::new()), alone.session.due_at()), (None, None));
        let mut come = |cursor| {
            alone.hears(ToClient::Event { cursor, at: NOW, event: Event::Unknown }).unwrap();
            let now = alone.at(0);
            alone.session.take_due(now, &mut Vec::new())
        };
        assert_eq!(come(4 + 8_191), None);
        assert_eq!(come(4 + 8_192), Some(ToServer::Seen(4 + 8_192)));
    }

    /// PROTOCOL.md 2.1-4.
    #[test]
    fn a_credential_is_changed_in_its_last_day_and_what_is_said_meanwhile_goes_on() {
        let mut alone = Alone::new();
        let day = Duration::from_secs(DAY);
        let ends = |alone: &Alone, seconds| alone.session.is_due_for_renewal(day, alone.at(seconds));
        assert!(!ends(&alone, 0) && !ends(&alone, 6 * DAY) && ends(&alone, 6 * DAY + 1));
        let before = alone.session.id;
        alone.session.leave();
        alone.says("meanwhile");
        assert_eq!(alone.sends(), [], "not in a session that is being left");
        let credential = Alone::credential(&alone.session.own.identity);
        let mut shown = Vec::new();
        let join = alone.session.start_new_session(credential, &mut shown);
        assert_eq!(join, ToServer::Join { room: RoomName::lobby(), password: String::new(), cursor: 0 });
        assert_eq!((shown, alone.sends()), (vec![], vec![]));
        alone.is_let_in(7);
        assert_ne!(alone.session.id, before);
        assert_eq!((alone.numbers(), alone.session.passed_by()), (vec![1], 6));
    }

    /// PROTOCOL.md 6.3-9, 8.6-2.
    #[test]
    fn a_new_session_says_what_was_not_sent_and_tells_of_the_rest() {
        let mut alone = Alone::new();
        (0..20).for_each(|text| alone.says(&format!("text {text}")));
        assert_eq!(alone.numbers().len(), 16);
        alone.hears(ToClient::Accepted(1)).unwrap();
        alone.session.lost(&mut Vec::new());
        let credential = Alone::credential(&alone.session.own.identity);
        let mut shown = Vec::new();
        alone.session.start_new_session(credential, &mut shown);
        assert_eq!((shown.len(), alone.session.undelivered()), (15, 4));
        assert!(shown.iter().all(|item| item.text().starts_with("[!] Delivery unknown: text ")));
        alone.is_let_in(1);
        assert_eq!(alone.numbers(), [1, 2, 3, 4]);
    }
}
