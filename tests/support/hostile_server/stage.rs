//! A client's session, from the server's side: what it is told, what it says, and what its user sees.

use std::collections::VecDeque;
use std::net::Shutdown;
use std::sync::Arc;
use std::time::Instant;

use cfb_chat::chat::message::{ByeReason, ErrorCode, Event, Numbered, SessionId, ToClient, ToServer, Welcome};
use cfb_chat::chat::name::{MAX_TEXT, RoomName};
use cfb_chat::net::secure_channel::{Channel, Incoming, now_in_millis};
use cfb_chat::net::{Link, write_all};
use cfb_chat::secure::credential::SessionKeys;
use cfb_chat::secure::identity::{Fingerprint, PublicIdentity};
use cfb_chat::secure::record::{MAX_RECORD_TEXT, Sealer};
use cfb_chat::wire::codec::Reader;

use super::super::PATIENCE;
use super::super::process::{Client, Exit, READY, talk};
use super::{Happened, HostileServer, Member, home, number, on_the_wire, server};

/// What stands before a server's words.
const MARK: &str = "[server] ";

/// A client's session, from the server's side.
pub struct Stage {
    pub client: Client,
    link: Arc<dyn Link>,
    incoming: Incoming,
    sealer: Sealer,
    heard: VecDeque<ToServer>,
    /// The client's session, and its identity.
    pub keys: SessionKeys,
    pub identity: PublicIdentity,
    pub credential: Vec<u8>,
    /// What boxes to it are sealed to.
    pub agreement: [u8; 32],
    pub server: Fingerprint,
    /// The lobby, as the client has been told.
    pub change: u64,
    pub members: Vec<SessionId>,
    pub cursor: u64,
    /// What the client asked to be let in with.
    pub password: String,
    /// When the client came in, by the server's clock.
    pub came_at: u64,
    marks: u32,
    told: usize,
}

impl Stage {
    /// Hears that the client wants to be let in.
    pub(super) fn begin(client: Client, link: Arc<dyn Link>, channel: Channel) -> Self {
        let Channel { incoming, sealer, peer } = channel;
        let user = peer.credential();
        let mut stage = Self {
            client,
            link,
            incoming,
            sealer,
            heard: VecDeque::new(),
            keys: user.session_keys(),
            identity: user.identity().clone(),
            credential: user.presented().credential.to_vec(),
            agreement: agreement(user.presented().credential),
            server: server(),
            change: 0,
            members: Vec::new(),
            cursor: 0,
            password: String::new(),
            came_at: now_in_millis(),
            marks: 0,
            told: 0,
        };
        stage.password = stage.hears_join();
        stage
    }

    /// Goes on with the same client on another connection; gives what it says first.
    pub(super) fn goes_on(&mut self, link: Arc<dyn Link>, channel: Channel) -> ToServer {
        let Channel { incoming, sealer, peer } = channel;
        let user = peer.credential();
        (self.link, self.incoming, self.sealer) = (link, incoming, sealer);
        self.credential = user.presented().credential.to_vec();
        (self.keys, self.agreement) = (user.session_keys(), agreement(&self.credential));
        self.heard.clear();
        self.hear()
    }

    /// A new client in the lobby, with these who were there before.
    pub fn with(members: &[&Member]) -> Self {
        let mut stage = HostileServer::start().meets(home(""), &[]);
        stage.welcomes(members);
        stage
    }

    /// Lets the client in.
    pub fn welcomes(&mut self, members: &[&Member]) {
        self.introduces(members);
        self.tell(&[ToClient::Welcome(self.welcome())]);
        self.client.process.out.wait_for(READY);
    }

    /// Tells who is in the lobby; the Welcome is yet to come.
    pub fn introduces(&mut self, members: &[&Member]) {
        let people: Vec<ToClient> = members.iter().map(|member| member.person()).collect();
        self.tell(&people);
        self.members = members.iter().map(|member| member.session()).chain([self.session()]).collect();
        self.members.sort_unstable();
        self.change = self.members.len() as u64;
        self.cursor += 1;
    }

    /// A Welcome to the lobby as it is.
    pub fn welcome(&self) -> Welcome {
        Welcome {
            room: RoomName::lobby(),
            members: self.members.iter().copied().map(number).collect(),
            change: self.change,
            resumed: false,
            cursor: self.cursor,
            at: self.came_at,
            notice: String::new(),
            longest_text: MAX_TEXT as u64,
            own: number(self.session()),
        }
    }

    /// The Welcome by which the session goes on.
    pub fn resumed(&self) -> Welcome {
        let (members, change, at) = (Vec::new(), 0, now_in_millis());
        Welcome { members, change, at, resumed: true, ..self.welcome() }
    }

    /// Answers the next Ping.
    pub fn pongs(&mut self) {
        while self.hear() != ToServer::Ping {}
        self.tell(&[ToClient::Pong]);
    }

    /// The client's session.
    pub fn session(&self) -> SessionId {
        SessionId(self.keys.session)
    }

    /// Sends messages, as many in a record as fit.
    pub fn tell(&mut self, messages: &[ToClient]) {
        let mut record = Vec::new();
        for message in messages.iter().map(ToClient::encode) {
            if record.len() + message.len() > MAX_RECORD_TEXT {
                self.tell_bytes(&std::mem::take(&mut record));
            }
            record.extend_from_slice(&message);
        }
        if !record.is_empty() {
            self.tell_bytes(&record);
        }
    }

    /// Sends any text as a record. If the client has gone, what it said shows why.
    pub fn tell_bytes(&mut self, text: &[u8]) {
        let mut frame = Vec::new();
        self.sealer.seal(text, &mut frame);
        let _ = write_all(&*self.link, &frame, Instant::now() + PATIENCE);
    }

    /// The next event, of now.
    pub fn next(&mut self, event: Happened) -> ToClient {
        self.next_at(now_in_millis(), event)
    }

    /// The next event, of this time.
    pub fn next_at(&mut self, at: u64, event: Happened) -> ToClient {
        self.cursor += 1;
        ToClient::Event { cursor: self.cursor, at, event: on_the_wire(event) }
    }

    /// Tells of something that happens now.
    pub fn event(&mut self, event: Happened) {
        self.event_at(now_in_millis(), event);
    }

    pub fn event_at(&mut self, at: u64, event: Happened) {
        let event = self.next_at(at, event);
        self.tell(&[event]);
    }

    /// Ends the connection, without a goodbye.
    pub fn hangs_up(&mut self) {
        self.link.close(Shutdown::Both);
    }

    /// The next thing that the client says.
    pub fn hear(&mut self) -> ToServer {
        while self.heard.is_empty() {
            let text = match self.incoming.next_text(PATIENCE) {
                Ok(text) => text,
                Err(ended) => panic!("{ended}; the client said: {}", self.client.process.err.so_far()),
            };
            self.heard.extend(ToServer::parse_all(text).expect("the client's messages can be read"));
        }
        self.heard.pop_front().expect("not empty")
    }

    /// The client asks to be let in; gives with what.
    pub fn hears_join(&mut self) -> String {
        match self.hear() {
            ToServer::Join { room, password, cursor: 0 } if room == RoomName::lobby() => password,
            other => panic!("a Join should have come: {other:?}"),
        }
    }

    /// The client has gone, and said nothing more.
    pub fn hears_nothing_more(&mut self) {
        assert_eq!(self.heard, []);
        if let Ok(text) = self.incoming.next_text(PATIENCE) {
            panic!("{:?}", ToServer::parse_all(text));
        }
    }

    /// The next counted thing; what is told by the way is passed over.
    pub fn hear_numbered(&mut self) -> (u64, Numbered) {
        loop {
            match self.hear() {
                ToServer::Numbered { n, body } => return (n, body),
                ToServer::Seen(_) | ToServer::Ping => {}
                other => panic!("something else: {other:?}"),
            }
        }
    }

    /// The next counted thing is taken.
    pub fn takes(&mut self) -> Numbered {
        let (n, body) = self.hear_numbered();
        self.tell(&[ToClient::Accepted(n)]);
        body
    }

    pub fn answers(&mut self, code: ErrorCode, n: u64) {
        self.tell(&[ToClient::Error { code, text: "no".into(), n }]);
    }

    /// Waits until the client has taken in everything that it has been told.
    pub fn sync(&mut self) -> String {
        self.marks += 1;
        let mark = format!("mark {}.", self.marks);
        self.event(Event::Notice(mark.clone()));
        self.client.process.err.wait_for(&format!("{MARK}{mark}"))
    }

    /// What the user has been told beside the talk since this was last asked, line by line.
    pub fn told(&mut self) -> Vec<String> {
        let mark = self.sync() + "\n";
        let all = self.client.process.err.so_far();
        let end = all.find(&mark).expect("it has been waited for");
        let since = all[self.told..end].lines().filter(|line| !line.starts_with(&format!("{MARK}mark ")));
        let since = since.map(str::to_owned).collect();
        self.told = end + mark.len();
        since
    }

    /// The user has been told just this.
    pub fn is_told(&mut self, words: &str) {
        assert_eq!(self.told(), [words]);
    }

    /// The user has been told this, among other things.
    pub fn is_told_of(&mut self, words: &str) {
        let told = self.told().join("\n");
        assert!(told.contains(words), "{words:?} is not in:\n{told}");
    }

    /// Everything that anybody has said, as far as the user has seen it.
    pub fn talk(&self) -> Vec<String> {
        talk(&self.client.process.out.so_far())
    }

    /// The user leaves, and nothing was amiss.
    pub fn ends(mut self) {
        self.client.says("EXIT");
        while !matches!(self.hear(), ToServer::Leave(_)) {}
        let session = self.session();
        self.left(session);
        self.tell(&[ToClient::Bye(ByeReason::Left)]);
        let Exit { status, err, .. } = self.client.process.wait();
        assert_eq!(status, Some(0), "{err}");
    }

    /// The client ends, for this fault of the server's; nothing has been shown as said but this.
    pub fn ends_for(mut self, fault: &str, talk_so_far: &[&str]) {
        let Exit { status, out, err } = self.client.process.wait();
        let last_line = err.lines().next_back().unwrap_or_default();
        assert_eq!(last_line, format!("error: the other end broke the protocol: {fault}"));
        assert_eq!(status, Some(8));
        assert_eq!(talk(&out), talk_so_far);
    }
}

/// A credential's X25519 key.
fn agreement(credential: &[u8]) -> [u8; 32] {
    let mut reader = Reader::new(credential);
    reader.array().expect("its fields");
    for _ in 0..5 {
        reader.value().expect("a field before the key");
    }
    reader.bytes_exact().expect("a key")
}
