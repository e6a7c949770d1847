//! In all orders of events, each session gets its own, in order, once. The fan-out worker is a model here.

use std::collections::{HashMap, VecDeque};

use proptest::prelude::*;

use super::*;

const NAMES: [&str; 3] = ["Ira", "Boris", "Zoe"];

#[derive(Clone, Copy, Debug)]
enum Op {
    Say(usize, bool),
    SayAgain(usize),
    Whisper(usize, usize),
    Share(usize, usize),
    Join(usize),
    Leave(usize),
    Lost(usize),
    Resume(usize),
    Seen(usize),
    Read(usize, usize),
    FallBehind(usize),
    CatchUp(usize),
    Tick(u64),
    Crash,
}

fn op() -> impl Strategy<Value = Op> {
    let who = 0..NAMES.len();
    prop_oneof![
        4 => (who.clone(), any::<bool>()).prop_map(|(who, other)| Op::Say(who, other)),
        1 => who.clone().prop_map(Op::SayAgain),
        2 => (who.clone(), who.clone()).prop_map(|(who, to)| Op::Whisper(who, to)),
        1 => (who.clone(), who.clone()).prop_map(|(who, to)| Op::Share(who, to)),
        2 => who.clone().prop_map(Op::Join),
        2 => who.clone().prop_map(Op::Leave),
        2 => who.clone().prop_map(Op::Lost),
        3 => who.clone().prop_map(Op::Resume),
        3 => who.clone().prop_map(Op::Seen),
        4 => (who.clone(), 0..6_usize).prop_map(|(who, count)| Op::Read(who, count)),
        1 => who.clone().prop_map(Op::FallBehind),
        2 => who.clone().prop_map(Op::CatchUp),
        2 => (0..3_000_u64).prop_map(Op::Tick),
        1 => Just(Op::Crash),
    ]
}

/// Model of a worker's view of a connection.
struct Line {
    member: SessionNumber,
    seats: Vec<RoomId>,
    behind: bool,
    sealed: Cursor,
    wire: VecDeque<Cursor>,
    /// Welcomes that wait behind what it has missed.
    own: VecDeque<Cursor>,
}

#[derive(Default)]
struct Client {
    conn: Option<ConnectionId>,
    cursor: Cursor,
    n: u64,
    got: Vec<Cursor>,
}

struct World {
    test: Test,
    limits: Limits,
    lines: HashMap<ConnectionId, Line>,
    clients: Vec<Client>,
    conns: u64,
    members: HashMap<RoomId, Vec<SessionNumber>>,
    due: HashMap<SessionNumber, Vec<Cursor>>,
    welcomed: Vec<(SessionNumber, Cursor)>,
}

impl World {
    fn new() -> Self {
        let limits = Limits { resume: Duration::from_secs(86_400), ..Limits::off() };
        let clients = NAMES.iter().map(|_| Client::default()).collect();
        let mut world = Self {
            test: Test::waiting(limits),
            limits,
            lines: HashMap::new(),
            clients,
            conns: 0,
            members: HashMap::new(),
            due: HashMap::new(),
            welcomed: Vec::new(),
        };
        for who in 0..NAMES.len() {
            assert!(world.connect(who, join("#lobby")));
        }
        world
    }

    fn member(who: usize) -> SessionNumber {
        SessionNumber(who as u64 + 1)
    }

    fn connect(&mut self, who: usize, join: ToServer) -> bool {
        self.conns += 1;
        let conn = ConnectionId(self.conns);
        let line = Line {
            member: Self::member(who),
            seats: vec![],
            behind: false,
            sealed: 0,
            wire: VecDeque::new(),
            own: VecDeque::new(),
        };
        self.lines.insert(conn, line);
        let key = u8::try_from(who).unwrap() + 1;
        let verdict = self.test.ask(conn.0, NAMES[who], key, key, join);
        if verdict != JoinOutcome::Admitted {
            return false;
        }
        self.clients[who].conn = Some(conn);
        self.execute();
        true
    }

    /// Carries out effects as the disk and the workers do.
    fn execute(&mut self) {
        for effect in std::mem::take(&mut self.test.effects) {
            match effect {
                Effect::Keep(kept) => {
                    if let JournalRecord::Seat { member, room, until, .. } = kept {
                        let members = self.members.entry(room).or_default();
                        members.retain(|other| *other != member);
                        members.extend(until.is_none().then_some(member));
                    }
                }
                Effect::Post(room, entry) => {
                    for member in self.members.get(&room).into_iter().flatten() {
                        if entry.except != Some(*member) {
                            self.due.entry(*member).or_default().push(entry.cursor);
                        }
                    }
                    for line in self.lines.values_mut() {
                        if line.seats.contains(&room) && entry.except != Some(line.member) {
                            line.put(entry.cursor);
                        }
                    }
                }
                Effect::One(conn, member, entry) => {
                    self.due.entry(member).or_default().push(entry.cursor);
                    if let Some(line) = conn.and_then(|conn| self.lines.get_mut(&conn)).filter(|line| !line.behind) {
                        line.put(entry.cursor);
                    }
                }
                Effect::Tell(conn, bytes) => {
                    if let [ToClient::Welcome(welcome)] = &ToClient::parse_all(&bytes).unwrap()[..]
                        && let Some(line) = self.lines.get_mut(&conn)
                    {
                        // A Welcome names an event that the session has had by it.
                        if line.behind {
                            line.own.push_back(welcome.cursor);
                        } else {
                            line.put(welcome.cursor);
                        }
                        self.due.entry(line.member).or_default().push(welcome.cursor);
                        self.welcomed.push((line.member, welcome.cursor));
                    }
                }
                Effect::Enter(conn, _, room, _) => {
                    if let Some(line) = self.lines.get_mut(&conn).filter(|line| !line.behind) {
                        assert!(!line.seats.contains(&room));
                        line.seats.push(room);
                    }
                }
                Effect::Exit(conn, room, _) => {
                    if let Some(line) = self.lines.get_mut(&conn) {
                        line.seats.retain(|seat| *seat != room);
                    }
                }
                Effect::CatchUp(conn, _, piece) => {
                    if let Some(line) = self.lines.get_mut(&conn) {
                        for entry in piece.entries.iter().filter(|entry| entry.cursor > piece.from) {
                            line.put_own(entry.cursor);
                            line.put(entry.cursor);
                        }
                        line.put_own(if piece.is_last { Cursor::MAX } else { piece.to + 1 });
                        (line.sealed, line.behind) = (piece.to, !piece.is_last);
                    }
                }
                Effect::Cut(conn) => drop(self.lines.remove(&conn)),
                Effect::Bye(..) | Effect::End(_) => panic!("nobody leaves"),
                Effect::Introduce(..) | Effect::Answer(..) | Effect::Note(_) | Effect::Wish(..) => {}
            }
        }
    }

    fn receive(&mut self, who: usize, message: ToServer) {
        if let Some(conn) = self.clients[who].conn {
            self.test.receive(conn.0, message);
            self.execute();
        }
    }

    fn handle_numbered(&mut self, who: usize, body: Numbered) {
        if self.clients[who].conn.is_some() {
            let change = self.test.chat.rooms.get(&RoomName::lobby()).unwrap().roster.change();
            let n = self.clients[who].n + 1;
            let body = match body {
                Numbered::Say { room, envelope, .. } => {
                    let change = self.test.chat.rooms.get(&room).map_or(change, |open| open.roster.change());
                    Numbered::Say { room, change, envelope }
                }
                body => body,
            };
            self.receive(who, ToServer::Numbered { n, body });
            let numbers = &self.test.chat.present[&Self::member(who)].numbers;
            self.clients[who].n = numbers.next() - 1;
        }
    }

    fn other() -> RoomName {
        RoomName::parse("#other").unwrap()
    }

    fn lose(&mut self, who: usize) {
        if let Some(conn) = self.clients[who].conn.take() {
            self.lines.remove(&conn);
            self.test.effects.clear();
            self.test.chat.lost(conn, self.test.now, &mut self.test.effects);
            self.execute();
        }
    }

    fn catch_up(&mut self, who: usize) {
        let line = self.clients[who].conn.and_then(|conn| Some((conn, self.lines.get(&conn)?)));
        if let Some((conn, line)) = line.filter(|(_, line)| line.behind) {
            let from = line.sealed;
            self.test.effects.clear();
            self.test.chat.catch_up(conn, from, self.test.now, &mut self.test.effects);
            self.execute();
        }
    }

    fn read(&mut self, who: usize, count: usize) {
        let client = &mut self.clients[who];
        if let Some(line) = client.conn.and_then(|conn| self.lines.get_mut(&conn)) {
            for cursor in line.wire.drain(..count.min(line.wire.len())) {
                client.got.push(cursor);
                client.cursor = cursor;
            }
        }
    }

    fn resume(&mut self, who: usize) -> Result<(), TestCaseError> {
        if self.clients[who].cursor > 0 {
            let join =
                ToServer::Join { room: RoomName::lobby(), password: String::new(), cursor: self.clients[who].cursor };
            prop_assert!(self.connect(who, join), "{who} cannot resume from {}", self.clients[who].cursor);
        }
        Ok(())
    }

    fn step(&mut self, op: Op) -> Result<(), TestCaseError> {
        match op {
            Op::Say(who, other) => {
                let room = if other { Self::other() } else { RoomName::lobby() };
                self.handle_numbered(who, Numbered::Say { room, change: 0, envelope: vec![0; 9] });
            }
            Op::SayAgain(who) if self.clients[who].n > 0 => {
                let before = self.test.chat.cursor;
                let n = self.clients[who].n;
                let body = Numbered::Say { room: RoomName::lobby(), change: 1, envelope: vec![] };
                self.receive(who, ToServer::Numbered { n, body });
                prop_assert_eq!(self.test.chat.cursor, before, "doubled");
            }
            Op::Whisper(who, to) => {
                let to = Self::member(to);
                self.handle_numbered(who, Numbered::Whisper { to, boxed: vec![0; 90_000 / 20] });
            }
            Op::Share(who, to) => {
                let to = Self::member(to);
                self.handle_numbered(who, Numbered::Share(vec![(to, vec![1]), (to, vec![2])]));
            }
            Op::Join(who) => self.receive(who, join("#other")),
            Op::Leave(who) => self.receive(who, ToServer::Leave(Self::other())),
            Op::Lost(who) if self.clients[who].cursor > 0 => self.lose(who),
            Op::Resume(who) => self.resume(who)?,
            Op::Seen(who) => self.receive(who, ToServer::Seen(self.clients[who].cursor)),
            Op::Read(who, count) => self.read(who, count),
            Op::FallBehind(who) => {
                if let Some(line) = self.clients[who].conn.and_then(|conn| self.lines.get_mut(&conn))
                    && !line.behind
                    && line.sealed > 0
                {
                    (line.behind, line.seats) = (true, vec![]);
                }
            }
            Op::CatchUp(who) => self.catch_up(who),
            Op::Tick(millis) => {
                self.test.now.tick += Duration::from_millis(millis);
                self.test.effects.clear();
                self.test.chat.tick(self.test.now, &mut self.test.effects);
                self.execute();
            }
            Op::Crash if self.clients.iter().all(|client| client.cursor > 0) => {
                self.lines.clear();
                self.clients.iter_mut().for_each(|client| client.conn = None);
                self.test.crash(self.limits);
            }
            Op::SayAgain(_) | Op::Lost(_) | Op::Crash => {}
        }
        Ok(())
    }
}

impl Line {
    /// Its own of before this.
    fn put_own(&mut self, before: Cursor) {
        while let Some(own) = self.own.pop_front_if(|own| *own < before) {
            self.put(own);
        }
    }

    fn put(&mut self, cursor: Cursor) {
        self.wire.push_back(cursor);
        self.sealed = cursor;
    }
}

/// Joins are answered by a Welcome that is no event and does not come again; a session that joins a second room and is
/// lost before it reads that Welcome is another matter.
fn without(cursors: &[Cursor], welcomes: &[Cursor]) -> Vec<Cursor> {
    cursors.iter().filter(|cursor| !welcomes.contains(cursor)).copied().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happens_each_gets_what_is_theirs_in_order_and_once(ops in prop::collection::vec(op(), 1..120)) {
        let mut world = World::new();
        for op in ops {
            world.step(op)?;
        }
        for who in 0..NAMES.len() {
            if world.clients[who].cursor == 0 {
                world.read(who, 1);
            }
            world.resume(who)?;
            while world.clients[who].conn.is_some_and(|conn| world.lines[&conn].behind) {
                world.catch_up(who);
            }
        }
        for who in 0..NAMES.len() {
            world.read(who, usize::MAX);
            let due = &world.due[&World::member(who)];
            let got = &world.clients[who].got;
            prop_assert!(got.is_sorted_by(|one, next| one < next), "{who} got {got:?}");
            let missed = without(due, got);
            let own = |cursor: &Cursor| !world.is_own_welcome(who, *cursor);
            let missed: Vec<_> = missed.into_iter().filter(own).collect();
            prop_assert_eq!(missed, Vec::<Cursor>::new(), "{} misses, of {:?}", who, due);
            prop_assert_eq!(without(got, due), Vec::<Cursor>::new());
        }
    }
}

impl World {
    /// True if this is a Welcome's cursor: that of its own joined event.
    fn is_own_welcome(&self, who: usize, cursor: Cursor) -> bool {
        self.welcomed.contains(&(Self::member(who), cursor))
    }
}
