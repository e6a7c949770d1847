//! Sessions and the server's rules together, without sockets: every order in which messages can be under way, connections
//! be cut, and the server be killed and go on from its journal, which is on a real disk.
//!
//! Claim: all members read exactly what was said while they were in, in one order, once; whispers reach their
//! reader, once; and no fault is reported without a cause.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::chat::journal_record::JournalRecord;
use crate::chat::message::Event;
use crate::chat::rate_limit::Rate;
use crate::chat::state::{AuthenticatedUser, ChatState, Effect, JoinAttempt, JoinOutcome, Limits, answer};
use crate::chat::user::User;
use crate::chat::{Audience, ConnectionId, RoomId, SessionNumber};
use crate::client::ui_event::MessageKind;
use crate::secure::credential::CredentialBundle;
use crate::secure::e2e::body::BodyKind;
use crate::store::journal::Journal;

const NOW: u64 = 1_700_000_000_000;
const SERVER: Fingerprint = Fingerprint([7; 32]);

fn pem(which: usize) -> &'static str {
    [include_str!("../../../tests/vectors/keys/user_a.pem"), include_str!("../../../tests/vectors/keys/user_b.pem")]
        [which % 2]
}

/// A client's keys and pins, for all worlds: all clients have met.
static FOLDERS: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());

/// The first room of all clients, and the rooms beside it.
const ROOMS: [&str; 3] = ["#lobby", "#lab", "#den"];

/// A client that is joining, in one or more rooms, or leaving.
struct Somebody {
    name: Name,
    folder: std::path::PathBuf,
    here: Option<Here>,
}

struct Here {
    conn: ConnectionId,
    /// The server's number of the session, once it has joined.
    member: Option<SessionNumber>,
    user: User,
    session: ClientSession,
    files: Files,
    newcomer: Option<AuthenticatedUser>,
    up: VecDeque<ToServer>,
    down: VecDeque<ToClient>,
    read: Vec<String>,
    /// Messages that it should have read by now, if all data in flight had arrived, with their rooms.
    due: Vec<(RoomName, String)>,
    whispers: Vec<String>,
    whispers_due: Vec<String>,
    /// In which rooms the server has them, since which change, and how much was due to them before.
    joined: HashMap<RoomName, (u64, usize)>,
    /// Of which they know.
    welcomed: HashSet<RoomName>,
    said: usize,
    accepted: Vec<(RoomName, String)>,
    leaving: bool,
    /// Roster changes after which it said a text without readers, and how often it was told.
    unread: HashSet<(RoomId, u64)>,
    told_unread: usize,
}

/// An authenticated user.
fn newcomer(conn: ConnectionId, user: &User, credential: &OwnCredential) -> AuthenticatedUser {
    let CredentialBundle { credential, signature, .. } = credential.presented();
    AuthenticatedUser {
        conn,
        user: user.clone(),
        credential: credential.into(),
        signature: signature.into(),
        address: None,
    }
}

struct World {
    limits: Limits,
    chat: ChatState,
    folder: tempfile::TempDir,
    journal: Option<Journal>,
    tick: Instant,
    late: Duration,
    everybody: Vec<Somebody>,
    /// Connections that receive a room's events now.
    inside: HashMap<RoomId, Vec<(ConnectionId, SessionNumber)>>,
    /// Members, connected or not.
    members: HashMap<RoomId, Vec<SessionNumber>>,
    conns: u64,
    texts: usize,
    /// Clients that have ever left one room and not the others: counters in rooms they come back to have gaps.
    wanderers: HashSet<usize>,
    faults: Vec<(usize, String)>,
}

#[derive(Clone, Debug)]
enum Step {
    Join(usize),
    Leave(usize),
    /// Their process is killed.
    Lose(usize),
    /// Their connection is cut, and the server knows it or does not; they come back as soon as the server takes it.
    Cut(usize, bool),
    /// The server is killed, and started again.
    Crash,
    Say(usize),
    Whisper(usize, usize),
    /// They come into another room, or speak there again.
    Enter(usize, usize),
    /// They leave the room that they speak in, if they are in another.
    Part(usize),
    /// Delivers all data in flight.
    Settle,
    /// The server takes so many messages from them.
    Up(usize, usize),
    /// They take so many messages from the server.
    Down(usize, usize),
    /// Time passes: what was read is told as seen, and forgotten.
    Second,
    /// A minute passes: what was signed before it is signed for a roster that is stale.
    Minute,
}

fn steps(peers: usize) -> impl Strategy<Value = Vec<Step>> {
    let who = move || 0..peers;
    let step = prop_oneof![
        6 => who().prop_map(Step::Join),
        1 => who().prop_map(Step::Leave),
        1 => who().prop_map(Step::Lose),
        4 => (who(), any::<bool>()).prop_map(|(who, known)| Step::Cut(who, known)),
        1 => Just(Step::Crash),
        8 => who().prop_map(Step::Say),
        3 => (who(), who()).prop_map(|(from, to)| Step::Whisper(from, to)),
        6 => (who(), 0..ROOMS.len()).prop_map(|(who, room)| Step::Enter(who, room)),
        4 => who().prop_map(Step::Part),
        2 => Just(Step::Settle),
        16 => (who(), 1..8_usize).prop_map(|(who, count)| Step::Up(who, count)),
        16 => (who(), 1..16_usize).prop_map(|(who, count)| Step::Down(who, count)),
        4 => Just(Step::Second),
        1 => Just(Step::Minute),
    ];
    proptest::collection::vec(step, 20..400)
}

impl World {
    fn new(peers: usize, limits: Limits) -> Self {
        let everybody = (0..peers)
            .map(|number| {
                let name = Name::parse(&format!("person-{number}")).unwrap();
                let folder = FOLDERS.path().join(name.as_str());
                Somebody { name, folder, here: None }
            })
            .collect();
        // Who is lost for good is replaced, or waited for to the end.
        let limits = Limits { resume: Duration::from_secs(1_000_000), ..limits };
        let folder = tempfile::tempdir().unwrap();
        let (journal, kept) = Journal::open(folder.path()).unwrap();
        let tick = Instant::now();
        let chat = ChatState::restore(limits, kept, Now { at: NOW, tick });
        let (journal, late) = (Some(journal), Duration::ZERO);
        let (inside, members, faults) = (HashMap::new(), HashMap::new(), Vec::new());
        let wanderers = HashSet::new();
        Self {
            limits,
            chat,
            folder,
            journal,
            tick,
            late,
            everybody,
            inside,
            members,
            conns: 0,
            texts: 0,
            wanderers,
            faults,
        }
    }

    fn now(&self) -> Now {
        Now { at: NOW + u64::try_from(self.late.as_millis()).unwrap(), tick: self.tick + self.late }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Join(who) => self.join(who),
            Step::Leave(who) => self.leave(who),
            Step::Lose(who) => self.lose(who),
            Step::Cut(who, is_known) => self.cut(who, is_known),
            Step::Crash => self.crash(),
            Step::Say(who) => self.say(who),
            Step::Whisper(from, to) => self.whisper(from, to),
            Step::Enter(who, room) => self.enter(who, room),
            Step::Part(who) => self.part(who),
            Step::Settle => self.settle(),
            Step::Up(who, count) => _ = (0..count).all(|_| self.up(who)),
            Step::Down(who, count) => _ = (0..count).all(|_| self.down(who)),
            Step::Second => self.late += Duration::from_millis(1_100),
            Step::Minute => self.late += Duration::from_secs(61),
        }
    }

    fn join(&mut self, who: usize) {
        if self.everybody[who].here.is_some() {
            return;
        }
        self.conns += 1;
        let (conn, name) = (ConnectionId(self.conns), self.everybody[who].name.clone());
        let identity = Identity::from_pem(pem(who), None).unwrap();
        let credential = OwnCredential::for_user(&mut rand::rng(), &identity, name.as_str(), UnixSeconds(NOW / 1_000));
        let (identity, credential) = (Arc::new(identity), Arc::new(credential));
        let user = User {
            name: name.clone(),
            owner: identity.public().fingerprint().0,
            session: Id(credential.session()),
            spki: credential.presented().spki.into(),
        };
        let newcomer = newcomer(conn, &user, &credential);
        let own = LocalUser { name, identity, credential, server: SERVER, verified_only: false };
        let folder = &self.everybody[who].folder;
        let files = Files { users: KnownUsers::open(folder, SERVER).unwrap(), letters: LettersSeen::in_folder(folder) };
        let (session, join) = ClientSession::join(own, RoomName::lobby());
        self.everybody[who].here = Some(Here {
            conn,
            member: None,
            user,
            session,
            files,
            newcomer: Some(newcomer),
            up: [join].into(),
            down: VecDeque::new(),
            read: Vec::new(),
            due: Vec::new(),
            whispers: Vec::new(),
            whispers_due: Vec::new(),
            joined: HashMap::new(),
            welcomed: HashSet::new(),
            said: 0,
            accepted: Vec::new(),
            leaving: false,
            unread: HashSet::new(),
            told_unread: 0,
        });
    }

    /// Leaves, once all texts are delivered; until then it only intends to.
    fn leave(&mut self, who: usize) {
        if let Some(here) = self.everybody[who].here.as_mut().filter(|here| !here.welcomed.is_empty())
            && !here.leaving
            && here.session.is_settled()
        {
            here.leaving = true;
            let leaves = here.session.leave();
            here.up.extend(leaves);
        }
    }

    /// A client that has asked for a room waits for it before its next action.
    fn able(&mut self, who: usize) -> Option<&mut Here> {
        let here = self.everybody[who].here.as_mut().filter(|here| !here.welcomed.is_empty());
        here.filter(|here| !here.leaving && !here.session.is_joining() && here.session.has_room())
    }

    fn enter(&mut self, who: usize, room: usize) {
        if let Some(here) = self.able(who) {
            here.session.join_room(&RoomName::parse(ROOMS[room]).unwrap());
        }
        self.send(who);
    }

    fn part(&mut self, who: usize) {
        if let Some(here) = self.able(who) {
            let room = here.session.focus().unwrap().clone();
            if here.session.part(&room).is_ok() {
                self.wanderers.insert(who);
            }
        }
        self.send(who);
    }

    fn lose(&mut self, who: usize) {
        if let Some(here) = self.everybody[who].here.take() {
            let (now, mut effects) = (self.now(), Vec::new());
            self.chat.lost(here.conn, now, &mut effects);
            self.carry_out(effects);
        }
    }

    /// Drops all data in flight, both ways.
    fn cut(&mut self, who: usize, is_known: bool) {
        let Some(here) = &mut self.everybody[who].here else {
            return;
        };
        let old = here.conn;
        self.conns += 1;
        here.conn = ConnectionId(self.conns);
        (here.up, here.down) = Default::default();
        if here.newcomer.take().is_some() || here.leaving || !here.session.can_resume() {
            // No room to come back to.
            self.everybody[who].here = None;
        } else {
            let mut shown = Vec::new();
            here.session.lost(&mut shown);
            assert_eq!(shown, []);
            // A room of which they have not heard they leave, and are in anew: what was said there is not for them.
            let Here { joined, welcomed, due, .. } = here;
            for (room, (_, before)) in joined.extract_if(|room, _| !welcomed.contains(room)) {
                let after = due.split_off(before);
                due.extend(after.into_iter().filter(|(other, _)| *other != room));
                self.wanderers.insert(who);
            }
            here.up.push_back(here.session.resume());
            here.newcomer = Some(newcomer(here.conn, &here.user, &here.session.own.credential));
        }
        if is_known {
            self.is_cut(old);
            let (now, mut effects) = (self.now(), Vec::new());
            self.chat.lost(old, now, &mut effects);
            self.carry_out(effects);
        }
    }

    fn is_cut(&mut self, conn: ConnectionId) {
        self.inside.values_mut().for_each(|all| all.retain(|(other, _)| *other != conn));
    }

    fn crash(&mut self) {
        for who in 0..self.everybody.len() {
            self.cut(who, false);
        }
        self.inside.clear();
        drop(self.journal.take());
        let (journal, kept) = Journal::open(self.folder.path()).unwrap();
        self.chat = ChatState::restore(self.limits, kept, self.now());
        self.journal = Some(journal);
    }

    fn say(&mut self, who: usize) {
        self.texts += 1;
        let (text, now) = (format!("text {}", self.texts), self.now());
        if let Some(here) = self.able(who) {
            let room = here.session.focus().unwrap().clone();
            here.session.say(BodyKind::Text, &text, now).unwrap();
            here.accepted.push((room, text));
        }
        self.send(who);
    }

    fn whisper(&mut self, from: usize, to: usize) {
        self.texts += 1;
        let (text, now, to) = (format!("whisper {}", self.texts), self.now(), self.everybody[to].name.clone());
        if let Some(here) = self.everybody[from].here.as_mut().filter(|here| !here.leaving) {
            // To an absent user it would be a letter, and to the client itself an error.
            if here.session.peers.find(&to).is_some() {
                here.session.whisper(&to, &text, now, &here.files).unwrap();
            }
        }
        self.send(from);
    }

    /// Sends what is due.
    fn send(&mut self, who: usize) {
        let now = self.now();
        if let Some(here) = &mut self.everybody[who].here {
            let mut shown = Vec::new();
            while let Some(message) = here.session.take_due(now, &mut shown) {
                here.up.push_back(message);
            }
        }
    }

    /// The server takes one message. Gives whether there was one.
    fn up(&mut self, who: usize) -> bool {
        let now = self.now();
        let Some((here, message)) =
            self.everybody[who].here.as_mut().and_then(|here| here.up.pop_front().map(|message| (here, message)))
        else {
            return false;
        };
        let (conn, mut effects) = (here.conn, Vec::new());
        self.chat.tick(now, &mut effects);
        if let Some(newcomer) = here.newcomer.take() {
            let verdict = self.chat.arrive(newcomer, &JoinAttempt::first(message), now, &mut effects);
            assert_eq!(verdict, JoinOutcome::Admitted);
        } else {
            self.chat.receive(conn, message, now, &mut effects);
        }
        self.carry_out(effects);
        true
    }

    /// They take one message. Gives whether there was one.
    fn down(&mut self, who: usize) -> bool {
        let now = self.now();
        let Some((here, message)) =
            self.everybody[who].here.as_mut().and_then(|here| here.down.pop_front().map(|message| (here, message)))
        else {
            return false;
        };
        let mut shown = Vec::new();
        let progress = here.session.receive(message, now, &mut here.files, &mut shown);
        let looked = here.session.look_around(now, &mut here.files, &mut shown);
        for item in shown {
            match item {
                UiEvent::Message { manner: MessageKind::Said(_), text, .. } => {
                    here.read.push(text.as_written().to_owned());
                }
                UiEvent::Message { manner: MessageKind::WhisperFrom, text, .. } => {
                    here.whispers.push(text.as_written().to_owned());
                }
                UiEvent::Remark(remark) if remark.contains("its sender has left") => here.whispers.push(remark),
                UiEvent::Remark(remark) if remark.contains("No member of") => here.told_unread += 1,
                UiEvent::Remark(remark) if !EXPECTED.iter().any(|expected| remark.contains(expected)) => {
                    self.faults.push((who, remark));
                }
                _ => {}
            }
        }
        let rooms: HashSet<RoomName> = ROOMS.map(|room| RoomName::parse(room).unwrap()).into();
        here.welcomed = rooms.into_iter().filter(|room| here.session.rooms.has(room, here.session.id)).collect();
        match progress.and_then(|progress| looked.map(|()| progress)) {
            Ok(Progress::Bye(ByeReason::Left)) => self.everybody[who].here = None,
            Ok(Progress::Goes | Progress::Welcomed | Progress::Resumed | Progress::Pong) => {}
            other => self.faults.push((who, format!("{other:?}"))),
        }
        self.send(who);
        true
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        let journal = self.journal.as_mut().unwrap();
        journal.begin().unwrap();
        for effect in &effects {
            match effect {
                Effect::Keep(kept) => journal.keep(kept).unwrap(),
                Effect::Post(room, entry) => journal.event(Audience::Room(*room), entry).unwrap(),
                Effect::One(_, member, entry) => journal.event(Audience::One(*member), entry).unwrap(),
                _ => {}
            }
        }
        journal.commit().unwrap();
        for effect in effects {
            match effect {
                Effect::Tell(conn, bytes) => self.tell(conn, &bytes),
                Effect::Introduce(conn, persons) => persons.iter().for_each(|person| self.tell(conn, person)),
                Effect::Post(room, entry) => {
                    for (conn, member) in self.inside.get(&room).cloned().unwrap_or_default() {
                        if entry.except != Some(member) {
                            self.tell(conn, &entry.bytes);
                        }
                    }
                    self.note_said(room, &entry.bytes, entry.except);
                }
                Effect::One(conn, member, entry) => {
                    let parsed = ToClient::parse_all(&entry.bytes).unwrap();
                    let is_whisper = matches!(parsed[..], [ToClient::Event { event: Event::Whispered { .. }, .. }]);
                    if let Some(here) = self.by_member(member).filter(|_| is_whisper) {
                        here.whispers_due.push(String::new());
                    }
                    if let Some(conn) = conn {
                        self.tell(conn, &entry.bytes);
                    }
                }
                Effect::CatchUp(conn, member, piece) => {
                    assert_eq!(self.at(conn).unwrap().member, Some(member));
                    piece.entries.iter().for_each(|entry| self.tell(conn, &entry.bytes));
                    if !piece.is_last {
                        let (now, mut more) = (self.now(), Vec::new());
                        self.chat.catch_up(conn, piece.to, now, &mut more);
                        self.carry_out(more);
                    }
                }
                Effect::Keep(JournalRecord::Seat { member, room, until, .. }) => {
                    let members = self.members.entry(room).or_default();
                    members.retain(|other| *other != member);
                    members.extend(until.is_none().then_some(member));
                }
                Effect::Cut(conn) => self.is_cut(conn),
                Effect::Answer(conn, _, n, outcome) => self.tell(conn, &answer(n, outcome).encode()),
                Effect::Bye(conn, reason) => self.tell(conn, &ToClient::Bye(reason).encode()),
                Effect::Enter(conn, member, room, _) => {
                    self.inside.entry(room).or_default().push((conn, member));
                    self.at(conn).unwrap().member = Some(member);
                }
                Effect::Exit(conn, room, _) => self.inside.entry(room).or_default().retain(|(other, _)| *other != conn),
                Effect::Keep(_) | Effect::End(_) | Effect::Note(_) | Effect::Wish(..) => {}
            }
        }
    }

    fn tell(&mut self, conn: ConnectionId, bytes: &[u8]) {
        let Some(here) = self.at(conn) else {
            return;
        };
        for message in ToClient::parse_all(bytes).unwrap() {
            match &message {
                ToClient::Welcome(Welcome { room, change, resumed: false, .. }) => {
                    here.joined.insert(room.clone(), (*change, here.due.len()));
                }
                ToClient::Event { event: Event::Left { room, who, .. }, .. } if Some(*who) == here.member => {
                    here.joined.remove(room);
                }
                _ => {}
            }
            here.down.push_back(message);
        }
    }

    /// A text was accepted: all members since it was signed are to read it.
    fn note_said(&mut self, room: RoomId, bytes: &[u8], speaker: Option<SessionNumber>) {
        let parsed = ToClient::parse_all(bytes).unwrap();
        let Some(ToClient::Event { event: Event::Said { room: name, change, .. }, .. }) = parsed.first() else {
            return;
        };
        let (change, Some(speaker)) = (*change, speaker) else { return };
        let Some(said) = self.by_member(speaker).map(|here| {
            here.said += 1;
            here.accepted[here.said - 1].clone()
        }) else {
            return;
        };
        assert_eq!(said.0, *name, "it was said there");
        let mut readers = 0;
        for member in self.members.get(&room).cloned().unwrap_or_default() {
            let was_there = |here: &&mut Here| here.joined.get(name).is_some_and(|(since, _)| *since <= change);
            if let Some(here) = self.by_member(member).filter(|_| member != speaker).filter(was_there) {
                here.due.push(said.clone());
                readers += 1;
            }
        }
        if let Some(here) = self.by_member(speaker).filter(|_| readers == 0) {
            here.unread.insert((room, change));
        }
    }

    fn by_member(&mut self, member: SessionNumber) -> Option<&mut Here> {
        let here = self.everybody.iter_mut().filter_map(|somebody| somebody.here.as_mut());
        here.filter(|here| here.member == Some(member)).last()
    }

    fn at(&mut self, conn: ConnectionId) -> Option<&mut Here> {
        self.everybody.iter_mut().filter_map(|somebody| somebody.here.as_mut()).find(|here| here.conn == conn)
    }

    /// A fault that a client reported. A client that comes back to a room goes on counting there, and hears what has
    /// been counted on: what is missing then was not for them.
    fn faults(&self) -> Vec<String> {
        let is_gap = |who: &usize, told: &str| {
            let speaker = self.everybody.iter().position(|other| told.contains(&format!("from {} ", other.name)));
            told.contains("missing") && [Some(*who), speaker].iter().flatten().any(|who| self.wanderers.contains(who))
        };
        let faults = self.faults.iter().filter(|(who, told)| !is_gap(who, told));
        faults.map(|(who, told)| format!("{who} is told: {told}")).collect()
    }

    /// Delivers all data in flight and all texts.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            let mut moved = false;
            for who in 0..self.everybody.len() {
                self.send(who);
                while self.up(who) {
                    moved = true;
                }
            }
            for who in 0..self.everybody.len() {
                while self.down(who) {
                    moved = true;
                }
            }
            let waits =
                self.everybody.iter().flat_map(|somebody| &somebody.here).any(|here| !here.session.is_settled());
            if !moved && !waits {
                return;
            }
            self.late += Duration::from_millis(if moved { 1 } else { 200 });
        }
        panic!("something is never delivered");
    }
}

/// Remarks that are no faults.
const EXPECTED: [&str; 3] = ["First contact", "has just gone", "[server] This server cannot read"];

fn check(peers: usize, limits: Limits, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut world = World::new(peers, limits);
    for who in 0..=peers / 2 {
        world.join(who);
    }
    world.settle();
    for step in steps {
        world.step(step);
    }
    world.settle();
    prop_assert_eq!(world.faults(), Vec::<String>::new());
    for somebody in &world.everybody {
        if let Some(here) = &somebody.here {
            let due: Vec<&String> = here.due.iter().map(|(_, text)| text).collect();
            prop_assert_eq!(here.read.iter().collect::<Vec<_>>(), due, "{}", somebody.name);
            prop_assert_eq!(here.whispers.len(), here.whispers_due.len(), "{}", somebody.name);
            prop_assert_eq!(here.said, here.accepted.len(), "all of {}'s was accepted", somebody.name);
            prop_assert!(here.told_unread <= here.unread.len(), "{} was read", somebody.name);
        }
    }
    Ok(())
}

#[test]
fn who_is_alone_is_told_once_that_nobody_reads_it_and_again_when_somebody_has_come_and_gone() {
    let mut world = World::new(2, Limits::off());
    let steps = [Step::Join(0), Step::Say(0), Step::Say(0), Step::Join(1), Step::Say(0), Step::Leave(1), Step::Say(0)];
    let told = steps.map(|step| {
        world.step(&step);
        world.settle();
        let here = world.everybody[0].here.as_ref().unwrap();
        (here.unread.len(), here.told_unread)
    });
    assert_eq!(told, [(0, 0), (1, 1), (1, 1), (1, 1), (1, 1), (1, 1), (2, 2)]);
    assert_eq!(world.faults(), Vec::<String>::new());
}

#[test]
fn whoever_leaves_a_room_and_comes_back_is_read_on_and_reads_on() {
    let away = [Step::Say(0), Step::Enter(0, 1), Step::Settle, Step::Say(0), Step::Enter(0, 0), Step::Part(0)];
    let back = [Step::Settle, Step::Say(1), Step::Settle, Step::Enter(0, 0), Step::Settle, Step::Say(0), Step::Say(1)];
    let steps: Vec<Step> = [Step::Enter(1, 1), Step::Settle, Step::Enter(1, 0)]
        .into_iter()
        .chain((0..3).flat_map(|_| away.iter().chain(&back).cloned()))
        .collect();
    check(2, Limits::off(), &steps).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn everybody_reads_what_was_said_while_they_were_in_in_one_order_and_once(
        (peers, steps) in (2..=12_usize).prop_flat_map(|peers| (Just(peers), steps(peers)))
    ) {
        check(peers, Limits::off(), &steps)?;
    }

    #[test]
    fn the_same_where_the_server_slows_people_down(steps in steps(4)) {
        let slowly = Rate::per_second(3, 5);
        check(4, Limits { messages: Some(slowly), ..Limits::off() }, &steps)?;
    }
}
