//! One conversation: which datagrams count, what is sent, and when it is over. No socket, no clock.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rand::CryptoRng;

use super::FIRST_AGAIN;
use super::datagram::{AROUND, Cookie, Datagram, Id, QUESTION, ack, untagged, untagged_path};
use super::kcp_check::{self, Content};
use super::kcp_stream::KcpStream;
use super::path::{Path, Route};
use super::replay_window::ReplayWindow;
use crate::secure::datagram::{DatagramKeys, TAG};

/// Time without a valid datagram after which it is forgotten.
const SILENCE: Duration = Duration::from_secs(90);
/// When both have ended their streams it is remembered for so long, for what is still on its way.
const AFTERGLOW: Duration = Duration::from_secs(2);
/// An ended side waits no longer than this for acknowledgements.
const FAREWELL: Duration = Duration::from_secs(30);
/// The end of a stream is told again so many times.
const TIMES_AGAIN: u32 = 5;
/// A RESET counts when what was sent has had no answer for so long.
const RESET_AFTER: Duration = Duration::from_secs(2);
/// Datagrams that a RESET may answer.
const ECHOES: usize = 64;
/// Far more than a credential's life, and KCP's clock does not overflow.
const OLDEST: Duration = Duration::from_secs(12 * 24 * 60 * 60);

/// Side of this end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Server,
}

/// State of this end's stream.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Open,
    /// All data is sent, but perhaps to be sent again.
    Since(Instant),
    /// The other end has been told so many times; if once more, then when.
    Told {
        since: Instant,
        times: u32,
        again: Option<Instant>,
    },
}

/// One conversation.
pub(super) struct UdpConnection {
    side: Side,
    id: Id,
    cookie: Cookie,
    /// Where the other end is. A client's never changes.
    path: Path,
    /// The server's challenge that is to be answered.
    asked: Option<[u8; QUESTION]>,
    keys: Option<DatagramKeys>,
    stream: KcpStream,
    /// The last DATA or PATH that was sent.
    number: u64,
    numbers: ReplayWindow,
    /// True if DATA or PATH has come.
    heard_data: bool,
    born: Instant,
    last_valid: Instant,
    /// Time since which sent data is unanswered, without a valid datagram.
    waiting_since: Option<Instant>,
    echoes: VecDeque<[u8; TAG]>,
    ending: Ending,
    /// Since when the other end has ended.
    other_ended: Option<Instant>,
    broken: bool,
}

impl UdpConnection {
    pub(super) fn new(side: Side, id: Id, cookie: Cookie, route: Route, now: Instant) -> Self {
        Self {
            side,
            id,
            cookie,
            path: Path::new(route),
            asked: None,
            keys: None,
            stream: KcpStream::new(id, now),
            number: 0,
            numbers: ReplayWindow::default(),
            heard_data: false,
            born: now,
            last_valid: now,
            waiting_since: None,
            echoes: VecDeque::new(),
            ending: Ending::Open,
            other_ended: None,
            broken: false,
        }
    }

    /// True if it has keys for its datagrams.
    pub(super) fn has_keys(&self) -> bool {
        self.keys.is_some()
    }

    /// The secret is there.
    pub(super) fn authenticate(&mut self, keys: DatagramKeys) {
        self.keys = Some(keys);
    }

    /// True if the other end has shown that it has the secret.
    pub(super) fn is_authenticated(&self) -> bool {
        self.heard_data
    }

    /// True if what is sent is DATA: the client's once it has the secret, the server's once it has heard some.
    fn sends_data(&self) -> bool {
        self.has_keys() && (self.side == Side::Client || self.heard_data)
    }

    /// Which it is.
    pub(super) fn id(&self) -> Id {
        self.id
    }

    /// Where the other end is, and by which own address it is reached.
    pub(super) fn route(&self) -> Route {
        self.path.route()
    }

    /// Takes a datagram of this conversation. Gives whether it counts.
    pub(super) fn take(
        &mut self,
        datagram: &Datagram<'_>,
        from: Route,
        now: Instant,
        rng: &mut impl CryptoRng,
    ) -> bool {
        let valid = match *datagram {
            Datagram::Ack(cookie, segments) => from == self.route() && self.take_ack(cookie, segments, now),
            Datagram::Data { number, segments, tag, tagged } => {
                let newest = self.take_data(number, segments, tag, tagged, now);
                newest.map(|newest| self.followed(from, newest, tagged, rng)).is_some()
            }
            Datagram::Path { number, question, tag, tagged } => {
                let newest = self.is_valid(number, tag, tagged).then(|| self.note(number));
                newest.map(|newest| self.followed(from, newest, tagged, rng)).is_some_and(|()| {
                    match self.side {
                        Side::Client => self.asked = Some(question),
                        Side::Server => self.path.answered(from, question),
                    }
                    true
                })
            }
            Datagram::Reset(echo) => {
                self.broken |= self.side == Side::Client && self.believes_reset(echo, now);
                false
            }
            Datagram::Syn | Datagram::SynAck(_) => false,
        };
        if valid {
            self.last_valid = now;
            self.waiting_since = None;
            self.stream.heard(now);
        }
        valid
    }

    fn take_ack(&mut self, cookie: Cookie, segments: &[u8], now: Instant) -> bool {
        // In as much time for each kind.
        let differs = cookie.iter().zip(self.cookie).fold(0, |differs, (one, other)| differs | (one ^ other));
        // A peer with the secret has read all data that came without it. A client needs no more, and a server only what
        // says that the last of it has arrived.
        let counts = !self.has_keys() || (self.side == Side::Server && !self.heard_data);
        if !counts || differs != 0 {
            return false;
        }
        let content = self.stream.look(segments, kcp_check::HANDSHAKE, now);
        let content = content.filter(|content| content.pushed == 0 || !self.has_keys());
        content.map(|content| self.stream.take(segments, content, now)).is_some()
    }

    /// Gives whether it is the newest, if it counts.
    fn take_data(&mut self, number: u64, segments: &[u8], tag: [u8; TAG], tagged: &[u8], now: Instant) -> Option<bool> {
        if !self.is_valid(number, tag, tagged) {
            return None;
        }
        let content = match segments {
            [] => None,
            segments => Some(self.stream.look(segments, kcp_check::MAX_WINDOW_OFFSET, now)?),
        };
        let newest = self.note(number);
        match content {
            Some(content) => self.stream.take(segments, content, now),
            None => drop(self.other_ended.get_or_insert(now)),
        }
        Some(newest)
    }

    /// True if it has not come before, and is from who has the keys.
    fn is_valid(&self, number: u64, tag: [u8; TAG], tagged: &[u8]) -> bool {
        self.numbers.is_new(number) && self.keys.as_ref().is_some_and(|keys| keys.incoming.verify(tagged, &tag))
    }

    /// Notes one that counts. Gives whether it is the newest.
    fn note(&mut self, number: u64) -> bool {
        self.heard_data = true;
        self.numbers.note(number)
    }

    /// One that counts has come from there.
    fn followed(&mut self, from: Route, newest: bool, tagged: &[u8], rng: &mut impl CryptoRng) {
        if self.side == Side::Server {
            self.path.came(from, newest, tagged.len() + TAG, rng);
        }
    }

    /// An attacker who saw a datagram can forge this answer; the peer with the secret has answered before it counts.
    fn believes_reset(&self, echo: [u8; TAG], now: Instant) -> bool {
        self.unanswered_for(now) >= RESET_AFTER && self.echoes.contains(&echo)
    }

    /// Duration for which data is unanswered.
    pub(super) fn unanswered_for(&self, now: Instant) -> Duration {
        self.waiting_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    /// True if more may be written.
    pub(super) fn has_room(&self) -> bool {
        self.stream.has_room()
    }

    /// Takes bytes to send, a few KiB at a time.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        self.stream.write(bytes);
    }

    /// The writer is closed.
    pub(super) fn end(&mut self, now: Instant) {
        if matches!(self.ending, Ending::Open) {
            self.ending = Ending::Since(now);
        }
    }

    /// The next bytes that have come, at most a segment's.
    pub(super) fn read(&mut self, into: &mut [u8]) -> Option<usize> {
        self.stream.read(into)
    }

    /// True if the other end has ended its stream: no data follows what can be read now.
    pub(super) fn other_has_ended(&self) -> bool {
        self.other_ended.is_some()
    }

    /// Gives all datagrams that are due.
    pub(super) fn flush(&mut self, now: Instant, send: &mut dyn FnMut(&[u8])) {
        if let Some(question) = self.path.question(now).or(self.asked.take()) {
            self.send_tagged(send, |id, number| untagged_path(id, number, question));
        }
        self.send_packets(now, send);
        // While packets are held back no more are made: for KCP time stands still, and no data is lost.
        if self.stream.next_packet().is_none() {
            self.stream.flush(now);
            self.send_packets(now, send);
        }
        if self.sends_data() && self.stream.is_delivered() && self.path.allows(AROUND) {
            self.tell_end(now, send);
        }
    }

    /// Sends as many packets as may go where the other end is.
    fn send_packets(&mut self, now: Instant, send: &mut dyn FnMut(&[u8])) {
        while self.stream.next_packet().is_some_and(|length| self.path.allows(AROUND + length))
            && let Some((packet, content)) = self.stream.packet(now)
        {
            self.broken |= content.highest >= kcp_check::MAX_WINDOW_OFFSET - 1;
            self.send(&packet, content, now, send);
        }
    }

    fn tell_end(&mut self, now: Instant, send: &mut dyn FnMut(&[u8])) {
        let (since, times) = match self.ending {
            Ending::Open => return,
            Ending::Since(since) => (since, 0),
            Ending::Told { since, times, again } => {
                if again.is_none_or(|again| again > now) {
                    return;
                }
                (since, times)
            }
        };
        let again = (times < TIMES_AGAIN).then(|| now + FIRST_AGAIN * 2_u32.pow(times));
        self.ending = Ending::Told { since, times: times + 1, again };
        self.send(&[], Content::default(), now, send);
    }

    fn send(&mut self, segments: &[u8], content: Content, now: Instant, send: &mut dyn FnMut(&[u8])) {
        if content.asks {
            self.waiting_since.get_or_insert(now);
        }
        if self.sends_data() {
            self.send_tagged(send, |id, number| untagged(id, number, segments));
        } else {
            self.send_bytes(&ack(self.id, &self.cookie, segments), send);
        }
    }

    fn send_tagged(&mut self, send: &mut dyn FnMut(&[u8]), build: impl FnOnce(Id, u64) -> Vec<u8>) {
        let Some(keys) = &self.keys else { return };
        self.number += 1;
        let mut bytes = build(self.id, self.number);
        let tag = keys.outgoing.tag(&bytes);
        bytes.extend_from_slice(&tag);
        self.send_bytes(&bytes, send);
    }

    fn send_bytes(&mut self, bytes: &[u8], send: &mut dyn FnMut(&[u8])) {
        if let Some(echo) = bytes.last_chunk().filter(|_| self.side == Side::Client) {
            if self.echoes.len() >= ECHOES {
                self.echoes.pop_front();
            }
            self.echoes.push_back(*echo);
        }
        self.path.sent(bytes.len());
        send(bytes);
    }

    /// True if both have said that they have ended.
    pub(super) fn has_ended(&self) -> bool {
        self.other_ended.is_some() && matches!(self.ending, Ending::Told { .. })
    }

    /// Time of the timeout without input.
    fn over_at(&self) -> Instant {
        let silent = (self.last_valid + SILENCE).min(self.born + OLDEST);
        let ended = match (self.ending, self.other_ended) {
            (Ending::Open, _) => return silent,
            // Without a secret no peer can be told.
            (Ending::Since(since), _) if !self.sends_data() => since + AFTERGLOW,
            (Ending::Since(since), _) | (Ending::Told { since, .. }, None) => since + FAREWELL,
            (Ending::Told { since, .. }, Some(other)) => since.max(other) + AFTERGLOW,
        };
        silent.min(ended)
    }

    /// True if it is to be forgotten.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.broken || self.over_at() <= now
    }

    /// Time of the next action without input.
    pub(super) fn due(&self, now: Instant) -> Instant {
        let again = match self.ending {
            Ending::Told { again, .. } => again,
            Ending::Open | Ending::Since(_) => None,
        };
        // Data for an unvalidated address waits for datagrams from it.
        let goes = self.stream.next_packet().is_none() && self.path.allows(AROUND);
        let work = [self.stream.due(now), again].into_iter().flatten().filter(|_| goes);
        work.chain(self.path.due(now)).fold(self.over_at(), Instant::min)
    }
}

#[cfg(test)]
mod tests;
