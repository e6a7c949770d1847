//! Two ends, a network that does what a test wants, and a clock that only a test moves.

mod outages;
mod routes;

use std::net::SocketAddr;

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::net::udp::datagram::{MAX_DATAGRAM, PATH, parse};

const ID: Id = *b"talk";
const COOKIE: Cookie = [5; TAG];
const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
/// Delay of a datagram.
const WAY: Duration = Duration::from_millis(20);

fn at(port: u16) -> Route {
    SocketAddr::from(([192, 0, 2, 1], port)).into()
}

/// The two ends, by these numbers.
const CLIENT: usize = 0;
const SERVER: usize = 1;

/// Faults of a network, in datagrams of a hundred.
#[derive(Clone, Copy, Default)]
struct Bad {
    lost: u32,
    doubled: u32,
    late: u32,
}

struct Pair {
    ends: [UdpConnection; 2],
    now: Instant,
    /// Arrival, receiver, source address, bytes.
    under_way: Vec<(Instant, usize, Route, Vec<u8>)>,
    /// All that was ever sent, by sender.
    sent: Vec<(usize, Vec<u8>)>,
    /// Bytes read by each end.
    read: [Vec<u8>; 2],
    reads: [bool; 2],
    bad: Bad,
    client_port: u16,
    way: Duration,
    rng: StdRng,
}

impl Pair {
    fn new() -> Self {
        let now = Instant::now();
        let end = |side| UdpConnection::new(side, ID, COOKIE, at(if side == Side::Client { 9_443 } else { 1 }), now);
        Self {
            ends: [end(Side::Client), end(Side::Server)],
            now,
            under_way: Vec::new(),
            sent: Vec::new(),
            read: [Vec::new(), Vec::new()],
            reads: [true, true],
            bad: Bad::default(),
            client_port: 1,
            way: WAY,
            rng: StdRng::seed_from_u64(7),
        }
    }

    /// One that has gone on to DATA.
    fn authenticated() -> Self {
        let mut pair = Self::new();
        pair.ends[CLIENT].write(b"hello");
        pair.run(SECOND);
        pair.authenticate();
        pair.ends[CLIENT].write(b" again");
        pair.run(SECOND);
        assert_eq!(pair.read[SERVER], b"hello again");
        assert!(pair.ends[SERVER].is_authenticated());
        pair.ends[SERVER].write(b"welcome");
        pair.run(SECOND);
        assert_eq!(pair.read[CLIENT], b"welcome");
        pair.read = [Vec::new(), Vec::new()];
        pair
    }

    fn authenticate(&mut self) {
        let (client, server) = DatagramKeys::of_both(9);
        self.ends[SERVER].authenticate(server);
        self.ends[CLIENT].authenticate(client);
    }

    /// Gives `to` a datagram now. Whether it counted.
    fn give(&mut self, to: usize, from: Route, bytes: &[u8]) -> bool {
        let (_, datagram) = parse(bytes).expect("one of ours");
        self.ends[to].take(&datagram, from, self.now, &mut self.rng)
    }

    fn flush(&mut self, end: usize) {
        let mut out = Vec::new();
        self.ends[end].flush(self.now, &mut |bytes| out.push(bytes.to_vec()));
        for bytes in out {
            assert!(bytes.len() <= MAX_DATAGRAM, "{}", bytes.len());
            self.sent.push((end, bytes.clone()));
            let chance = |rng: &mut StdRng, of: u32| rng.random_range(0..100) < of;
            if chance(&mut self.rng, self.bad.lost) {
                continue;
            }
            let times = if chance(&mut self.rng, self.bad.doubled) { 2 } else { 1 };
            for _ in 0..times {
                let late = if chance(&mut self.rng, self.bad.late) { self.rng.random_range(0..200) } else { 0 };
                let from = at(if end == CLIENT { self.client_port } else { 9_443 });
                self.under_way.push((self.now + self.way + MS * late, 1 - end, from, bytes.clone()));
            }
        }
        let mut segment = [0; MAX_DATAGRAM];
        while self.reads[end]
            && let Some(read) = self.ends[end].read(&mut segment)
        {
            self.read[end].extend_from_slice(&segment[..read]);
        }
    }

    /// Lets time go on for so long, and do all that is due in it.
    fn run(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            (0..2).for_each(|end| self.flush(end));
            let due = self.ends.iter().map(|end| end.due(self.now)).filter(|due| *due > self.now);
            let next = due.chain(self.under_way.iter().map(|(when, ..)| *when)).min().unwrap_or(until);
            if next >= until {
                self.now = until;
                return;
            }
            self.now = next.max(self.now);
            let now = self.now;
            let mut came: Vec<_> = self.under_way.extract_if(.., |(when, ..)| *when <= now).collect();
            came.sort_by_key(|(when, ..)| *when);
            for (_, to, from, bytes) in came {
                self.give(to, from, &bytes);
            }
        }
    }

    /// Has an end write as much as it takes, and time go on, until all is written and read.
    fn transfers(&mut self, from: usize, text: &[u8]) {
        let (start, mut left) = (self.now, text);
        while self.read[1 - from].len() < text.len() {
            while !left.is_empty() && self.ends[from].has_room() {
                let (piece, rest) = left.split_at(left.len().min(16_384));
                self.ends[from].write(piece);
                left = rest;
            }
            self.run(SECOND / 10);
            assert!(self.now - start < SECOND * 3_600, "it stalls at {}", self.read[1 - from].len());
        }
        assert!(self.read[1 - from] == text, "what arrives is what was sent");
    }

    fn last_of(&self, end: usize) -> Vec<u8> {
        self.sent.iter().rev().find(|(by, _)| *by == end).expect("it has sent something").1.clone()
    }
}

fn text(length: usize) -> Vec<u8> {
    let mut text = vec![0; length];
    StdRng::seed_from_u64(1).fill(&mut text[..]);
    text
}

fn kinds(pair: &Pair, end: usize) -> Vec<u8> {
    let mut kinds: Vec<u8> = pair.sent.iter().filter(|(by, _)| *by == end).map(|(_, bytes)| bytes[0]).collect();
    kinds.dedup();
    kinds
}

/// PROTOCOL.md 10.3-1.
#[test]
fn acks_become_data_when_the_secret_is_there_and_never_acks_again() {
    let mut pair = Pair::authenticated();
    pair.transfers(CLIENT, &text(5_000));
    assert_eq!(kinds(&pair, CLIENT), [2, 4]);
    assert_eq!(kinds(&pair, SERVER), [2, 4]);
    let numbers: Vec<u64> = pair.sent.iter().filter(|(by, bytes)| *by == CLIENT && bytes[0] == 4).fold(
        Vec::new(),
        |mut numbers, (_, bytes)| {
            numbers.push(u64::from_be_bytes(bytes[5..13].try_into().unwrap()));
            numbers
        },
    );
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
}

/// PROTOCOL.md 10.3-2.
#[test]
fn the_server_sends_acks_until_data_has_come() {
    let mut pair = Pair::new();
    pair.ends[CLIENT].write(b"hello");
    pair.run(SECOND);
    let (_, keys) = DatagramKeys::of_both(9);
    pair.ends[SERVER].authenticate(keys);
    pair.ends[SERVER].write(b"secret");
    pair.run(SECOND);
    assert_eq!(pair.read[CLIENT], b"secret");
    assert_eq!((kinds(&pair, SERVER), pair.ends[SERVER].is_authenticated()), (vec![2], false));
}

#[test]
fn whatever_the_network_does_all_bytes_arrive_once_and_in_order() {
    for (lost, doubled, late) in [(1, 0, 0), (5, 5, 5), (20, 20, 30)] {
        let mut pair = Pair::authenticated();
        pair.bad = Bad { lost, doubled, late };
        pair.transfers(CLIENT, &text(200_000));
        pair.transfers(SERVER, &text(200_000));
    }
}

#[test]
fn a_handshake_gets_through_a_network_that_loses_a_third() {
    let mut pair = Pair::new();
    pair.bad = Bad { lost: 33, doubled: 10, late: 10 };
    pair.transfers(CLIENT, &text(6_000));
    pair.transfers(SERVER, &text(6_000));
    pair.read = [Vec::new(), Vec::new()];
    pair.authenticate();
    pair.transfers(CLIENT, &text(50_000));
    pair.transfers(SERVER, &text(50_000));
}

#[test]
fn a_reader_that_does_not_read_stops_the_writer_and_starts_it_again() {
    for lost in [0, 20] {
        let mut pair = Pair::authenticated();
        pair.bad.lost = lost;
        pair.reads[CLIENT] = false;
        let all = text(2_000_000);
        let mut written = 0;
        for _ in 0..2_000 {
            while pair.ends[SERVER].has_room() {
                pair.ends[SERVER].write(&all[written..written + 1_000]);
                written += 1_000;
            }
            pair.run(MS * 10);
        }
        assert!(written < 1_000_000, "{written}");
        pair.reads[CLIENT] = true;
        let start = pair.now;
        while pair.read[CLIENT].len() < written {
            pair.run(SECOND);
            assert!(pair.now - start < SECOND * 120);
        }
        assert!(pair.read[CLIENT] == all[..written]);
    }
}

#[test]
fn nothing_is_due_while_nothing_happens() {
    let pair = Pair::authenticated();
    for end in &pair.ends {
        assert!(end.due(pair.now) > pair.now + SECOND * 80, "only that it will be forgotten");
    }
}

/// PROTOCOL.md 10.3-4.
#[test]
fn a_bent_datagram_does_not_count_whichever_bit_it_is() {
    let mut pair = Pair::authenticated();
    pair.ends[CLIENT].write(b"something");
    pair.flush(CLIENT);
    let good = pair.last_of(CLIENT);
    assert_eq!(good[0], 4);
    for bit in 0..good.len() * 8 {
        let mut bent = good.clone();
        bent[bit / 8] ^= 1 << (bit % 8);
        // A datagram of another conversation does not come here.
        if let Some((ID, datagram)) = parse(&bent) {
            assert!(!pair.ends[SERVER].take(&datagram, at(666), pair.now, &mut pair.rng), "bit {bit}");
        }
    }
    for cut in 0..good.len() {
        if let Some((_, datagram)) = parse(&good[..cut]) {
            assert!(!pair.ends[SERVER].take(&datagram, at(666), pair.now, &mut pair.rng), "cut at {cut}");
        }
    }
    assert_eq!(pair.ends[SERVER].route(), at(1));
    assert!(pair.give(SERVER, at(1), &good));
}

/// PROTOCOL.md 10.3-4, 10.3-5.
#[test]
fn what_was_taken_once_is_not_taken_again_and_moves_nothing() {
    let mut pair = Pair::authenticated();
    pair.transfers(CLIENT, &text(20_000));
    let seen: Vec<Vec<u8>> = pair.sent.iter().filter(|(by, _)| *by == CLIENT).map(|(_, bytes)| bytes.clone()).collect();
    for bytes in seen {
        assert!(!pair.give(SERVER, at(666), &bytes));
        assert!(!pair.give(CLIENT, at(666), &bytes), "sent back to who sent it");
    }
    assert_eq!(pair.ends[SERVER].route(), at(1));
}

/// PROTOCOL.md 10.3-2.
#[test]
fn acks_count_no_more_once_there_was_data() {
    let mut pair = Pair::authenticated();
    let of = |pair: &Pair, end| pair.sent.iter().find(|(by, bytes)| *by == end && bytes[0] == 2).unwrap().1.clone();
    let (of_client, of_server) = (of(&pair, CLIENT), of(&pair, SERVER));
    assert!(!pair.give(SERVER, at(1), &of_client));
    assert!(!pair.give(CLIENT, at(9_443), &of_server));
}

#[test]
fn nothing_is_put_into_a_stream_by_acks_once_there_is_a_secret() {
    let mut pair = Pair::new();
    pair.ends[CLIENT].write(b"hello");
    pair.run(SECOND);
    let mut pushed =
        pair.sent.iter().find(|(by, bytes)| *by == CLIENT && bytes.len() == 21 + 24 + 5).unwrap().1.clone();
    // The next segment, by an attacker who has seen the cookie.
    pushed[21 + 12] += 1;
    let (client, server) = DatagramKeys::of_both(9);
    pair.ends[SERVER].authenticate(server);
    assert!(!pair.give(SERVER, at(1), &pushed));
    pair.ends[SERVER].write(b"secret");
    pair.run(SECOND);
    assert_eq!(pair.read[CLIENT], b"secret");
    pair.ends[CLIENT].authenticate(client);
    assert!(!pair.give(CLIENT, at(9_443), &pushed));
    pair.ends[CLIENT].write(b", and more");
    pair.run(SECOND);
    assert_eq!(pair.read[SERVER], b"hello, and more");
}

/// PROTOCOL.md 10.2-5.
#[test]
fn an_ack_comes_from_its_address_with_its_cookie() {
    let mut pair = Pair::new();
    pair.ends[CLIENT].write(b"hello");
    pair.flush(CLIENT);
    let good = pair.last_of(CLIENT);
    assert!(!pair.give(SERVER, at(2), &good));
    let mut bent = good.clone();
    bent[5] ^= 1;
    assert!(!pair.give(SERVER, at(1), &bent));
    assert!(pair.give(SERVER, at(1), &good));
}

/// PROTOCOL.md 10.3-5.
#[test]
fn a_client_whose_address_changes_is_followed_and_late_datagrams_do_not_call_back() {
    let mut pair = Pair::authenticated();
    pair.ends[CLIENT].write(b"from the old port");
    pair.flush(CLIENT);
    let kept = pair.last_of(CLIENT);
    pair.under_way.clear();
    pair.client_port = 2;
    pair.ends[CLIENT].write(b", from the new one");
    pair.run(SECOND);
    assert_eq!(pair.ends[SERVER].route(), at(2));
    assert_eq!(pair.read[SERVER], b"from the old port, from the new one");
    assert!(pair.give(SERVER, at(1), &kept), "it had not come");
    assert_eq!(pair.ends[SERVER].route(), at(2), "but it is older");
    pair.transfers(SERVER, &text(3_000));
}

/// PROTOCOL.md 10.5-2.
#[test]
fn a_reset_counts_when_it_echoes_and_nobody_with_the_secret_has_answered() {
    let reset = |of: &[u8]| crate::net::udp::datagram::reset(ID, of).unwrap();
    let mut pair = Pair::authenticated();
    // A quiet time is no lack of answers.
    pair.run(SECOND * 30);
    pair.ends[CLIENT].write(b"anybody?");
    pair.flush(CLIENT);
    let (asked, start) = (pair.last_of(CLIENT), pair.now);
    pair.under_way.clear();
    pair.give(CLIENT, at(9_443), &reset(&asked));
    assert!(!pair.ends[CLIENT].is_over(pair.now), "it came too soon");
    pair.now = start + SECOND * 2;
    pair.give(CLIENT, at(9_443), &reset(&[1; 40]));
    assert!(!pair.ends[CLIENT].is_over(pair.now), "it echoes nothing");
    pair.give(SERVER, at(1), &reset(&asked));
    assert!(!pair.ends[SERVER].is_over(pair.now), "a server believes none");
    pair.give(CLIENT, at(9_443), &reset(&asked));
    assert!(pair.ends[CLIENT].is_over(pair.now));
}

/// PROTOCOL.md 10.5-2.
#[test]
fn resets_do_nothing_to_who_is_answered() {
    let mut pair = Pair::authenticated();
    for _ in 0..50 {
        pair.ends[CLIENT].write(b"hello?");
        pair.flush(CLIENT);
        let asked = pair.last_of(CLIENT);
        pair.give(CLIENT, at(9_443), &crate::net::udp::datagram::reset(ID, &asked).unwrap());
        pair.run(SECOND);
        assert!(!pair.ends[CLIENT].is_over(pair.now));
    }
}

/// PROTOCOL.md 10.1-7, 10.6-1.
#[test]
fn both_ends_are_told_of_the_end_and_forget_two_seconds_later() {
    for lost in [0, 20] {
        let mut pair = Pair::authenticated();
        pair.bad.lost = lost;
        pair.ends[SERVER].write(b"the last words");
        let now = pair.now;
        pair.ends[SERVER].end(now);
        let start = pair.now;
        while !pair.ends[CLIENT].other_has_ended() {
            pair.run(SECOND / 10);
            assert!(pair.now - start < SECOND * 60);
        }
        assert_eq!(pair.read[CLIENT], b"the last words", "all of it comes before the end");
        let now = pair.now;
        pair.ends[CLIENT].end(now);
        while !pair.ends.iter().all(UdpConnection::has_ended) {
            pair.run(SECOND / 10);
            assert!(pair.now - start < SECOND * 60);
        }
        assert!(pair.now - start < SECOND * 8);
        pair.run(SECOND * 2);
        assert!(pair.ends.iter().all(|end| end.is_over(pair.now)));
    }
}

/// PROTOCOL.md 10.6-1.
#[test]
fn who_has_ended_waits_for_nobody_for_ever() {
    let mut pair = Pair::authenticated();
    pair.bad.lost = 100;
    pair.ends[SERVER].write(b"into the void");
    let now = pair.now;
    pair.ends[SERVER].end(now);
    pair.run(SECOND * 29);
    assert!(!pair.ends[SERVER].is_over(pair.now));
    pair.run(SECOND);
    assert!(pair.ends[SERVER].is_over(pair.now));
    let mut young = Pair::new();
    let now = young.now;
    young.ends[SERVER].end(now);
    assert!(young.ends[SERVER].is_over(now + SECOND * 2), "without a secret there is no way to say so");
}

/// PROTOCOL.md 10.6-1.
#[test]
fn silence_for_ninety_seconds_is_the_end_and_what_is_not_valid_is_silence() {
    let mut pair = Pair::authenticated();
    let (last, bent) = (pair.now, [pair.last_of(CLIENT), vec![0]].concat());
    pair.run(SECOND * 80);
    assert!(!pair.give(SERVER, at(1), &bent));
    assert!(!pair.ends[SERVER].is_over(pair.now));
    assert!(pair.ends[SERVER].is_over(last + SECOND * 90));
}

fn some_segment() -> impl Strategy<Value = Vec<u8>> {
    let number = || prop_oneof![0_u32..700, any::<u32>(), Just(1 << 30), Just((1 << 31) - 1), Just(1 << 31)];
    let window = prop_oneof![Just(256_u16), Just(0), Just(1), any::<u16>()];
    let length = prop_oneof![3 => Just(None), 1 => any::<u32>().prop_map(Some)];
    let head = (80_u8..86, prop_oneof![9 => Just(0_u8), 1 => any::<u8>()], window, number(), number(), number());
    (head, length, prop::collection::vec(any::<u8>(), 0..40)).prop_map(|(head, length, text)| {
        let (kind, fragment, window, stamp, number, acknowledged) = head;
        let length = length.unwrap_or(u32::try_from(text.len()).unwrap());
        let fields = [stamp, number, acknowledged, length].map(u32::to_le_bytes).concat();
        [&ID[..], &[kind, fragment], &window.to_le_bytes(), &fields, &text].concat()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// A holder of the keys may send any bytes; they harm at most their own connection.
    #[test]
    fn whatever_comes_under_a_valid_tag_nothing_panics_or_grows(
        datagrams in prop::collection::vec((prop::collection::vec(some_segment(), 1..20), 0_u32..2_000), 1..200),
    ) {
        let mut pair = Pair::authenticated();
        pair.reads[SERVER] = false;
        let (keys, _) = DatagramKeys::of_both(9);
        let mut number = 1_000;
        pair.ends[SERVER].write(&text(10_000));
        for (segments, later) in datagrams {
            pair.now += MS * later;
            number += 1;
            let mut segments = segments.concat();
            segments.truncate(MAX_DATAGRAM - 29);
            let mut bytes = untagged(ID, number, &segments);
            let tag = keys.outgoing.tag(&bytes);
            bytes.extend_from_slice(&tag);
            pair.give(SERVER, at(1), &bytes);
            let before = pair.sent.len();
            pair.flush(SERVER);
            prop_assert!(pair.sent.len() - before <= 256 + 2, "{}", pair.sent.len() - before);
            let due = pair.ends[SERVER].due(pair.now);
            prop_assert!(due >= pair.now || pair.ends[SERVER].is_over(pair.now));
        }
        let mut segment = [0; MAX_DATAGRAM];
        let mut read = 0;
        while pair.ends[SERVER].read(&mut segment).is_some() {
            read += 1;
        }
        prop_assert!(read <= 2 * 256, "{}", read);
    }
}

/// PROTOCOL.md 10.4-2.
#[test]
fn where_nobody_has_shown_that_they_read_is_not_sent_many_times_what_came_from_there() {
    let mut pair = Pair::authenticated();
    let victim = SocketAddr::from(([203, 0, 113, 9], 53)).into();
    let (mut number, mut una, mut came, mut sent) = (pair.ends[CLIENT].number, 1_u32, 0, 0);
    for _ in 0..500 {
        // A member who never sees what goes to the victim acknowledges it all the same.
        let head: [&[u8]; 6] = [&ID, &[84, 0, 0, 1], &[0; 4], &[0; 4], &una.to_le_bytes(), &[0; 4]];
        number += 1;
        let mut bytes = untagged(ID, number, &head.concat());
        let tag = pair.ends[CLIENT].keys.as_ref().unwrap().outgoing.tag(&bytes);
        bytes.extend_from_slice(&tag);
        assert!(pair.give(SERVER, victim, &bytes));
        came += bytes.len();
        let server = &mut pair.ends[SERVER];
        assert_eq!(server.route(), victim);
        while server.has_room() {
            server.write(&[0; 16 * 1_024]);
        }
        server.flush(pair.now, &mut |bytes| {
            sent += bytes.len();
            if let Some((_, Datagram::Data { segments, .. })) = parse(bytes) {
                una = una.max(kcp_check::made(segments).highest + 1);
            }
        });
        pair.now += MS * 10;
    }
    assert!(sent <= 3 * came, "{came} bytes brought the victim {sent}, {} times as many", sent / came);
    assert!(sent > came, "and not nothing");
    // Held-back data is sent to a validated address.
    pair.run(SECOND);
    assert_eq!(pair.ends[SERVER].route(), victim);
}

/// A pair with a client just seen at port 2, and much for the server to send there; and what it has sent there.
fn moved() -> (Pair, Vec<Vec<u8>>) {
    let mut pair = Pair::authenticated();
    pair.client_port = 2;
    pair.ends[CLIENT].write(b"from the new port");
    pair.flush(CLIENT);
    let datagram = pair.last_of(CLIENT);
    pair.under_way.clear();
    assert!(pair.give(SERVER, at(2), &datagram));
    assert_eq!(pair.ends[SERVER].route(), at(2));
    while pair.ends[SERVER].has_room() {
        pair.ends[SERVER].write(&[7; 16_384]);
    }
    let sent = sends(&mut pair, SERVER);
    (pair, sent)
}

/// Returns the datagrams that an end sends now; none is in flight.
fn sends(pair: &mut Pair, end: usize) -> Vec<Vec<u8>> {
    let before = pair.sent.len();
    pair.flush(end);
    pair.under_way.clear();
    pair.sent[before..].iter().map(|(_, bytes)| bytes.clone()).collect()
}

fn bytes_of(datagrams: &[Vec<u8>]) -> usize {
    datagrams.iter().map(Vec::len).sum()
}

/// A PATH of the client's, with this in it.
fn answer_of(pair: &mut Pair, question: [u8; QUESTION]) -> Vec<u8> {
    let client = &mut pair.ends[CLIENT];
    client.number += 1;
    let mut bytes = untagged_path(ID, client.number, question);
    let tag = client.keys.as_ref().unwrap().outgoing.tag(&bytes);
    bytes.extend_from_slice(&tag);
    bytes
}

fn question_of(bytes: &[u8]) -> [u8; QUESTION] {
    assert_eq!((bytes[0], bytes.len()), (5, PATH));
    bytes[13..21].try_into().unwrap()
}

/// PROTOCOL.md 10.4-3.
#[test]
fn who_answers_from_a_new_address_gets_all_of_it_there() {
    let (mut pair, sent) = moved();
    assert!(bytes_of(&sent) <= 3 * pair.last_of(CLIENT).len(), "{}", bytes_of(&sent));
    assert!(pair.give(CLIENT, at(9_443), &sent[0]));
    let answered = sends(&mut pair, CLIENT);
    assert_eq!(question_of(&answered[0]), question_of(&sent[0]));
    assert!(pair.give(SERVER, at(2), &answered[0]));
    assert!(pair.ends[SERVER].stream.next_packet().is_some(), "something is held back");
    assert!(bytes_of(&sends(&mut pair, SERVER)) > 3 * answered[0].len() && pair.ends[SERVER].path.is_shown());
    assert_eq!(pair.ends[SERVER].stream.next_packet(), None, "all of it has gone");
    assert!(!pair.give(SERVER, at(3), &answered[0]), "each counts once");
    assert_eq!(pair.ends[SERVER].route(), at(2));
}

/// PROTOCOL.md 10.4-5.
#[test]
fn no_other_answer_and_none_from_elsewhere_lets_anything_go() {
    let (mut pair, sent) = moved();
    let question = question_of(&sent[0]);
    let wrong = answer_of(&mut pair, [question[0] ^ 1; QUESTION]);
    assert!(pair.give(SERVER, at(2), &wrong), "the client has sent it, but it shows nothing");
    assert!(bytes_of(&sends(&mut pair, SERVER)) <= 3 * PATH + 200);
    // The right one, but that they read there is not that they read here.
    let elsewhere = answer_of(&mut pair, question);
    assert!(pair.give(SERVER, at(3), &elsewhere));
    assert_eq!(pair.ends[SERVER].route(), at(3));
    let sent = sends(&mut pair, SERVER);
    assert!(bytes_of(&sent) <= 3 * PATH);
    assert_ne!(question_of(&sent[0]), question, "another address, another question");
    let back = answer_of(&mut pair, question);
    assert!(pair.give(SERVER, at(2), &back), "and none is asked twice");
    assert!(bytes_of(&sends(&mut pair, SERVER)) <= 3 * PATH);
}

#[test]
fn where_it_was_shown_already_nothing_is_asked() {
    let (mut pair, _) = moved();
    let back = answer_of(&mut pair, [0; QUESTION]);
    assert!(pair.give(SERVER, at(1), &back));
    let sent = sends(&mut pair, SERVER);
    assert!(bytes_of(&sent) > 2_000);
    assert!(sent.iter().all(|bytes| bytes[0] == 4));
}

/// PROTOCOL.md 10.4-1.
#[test]
fn who_does_not_answer_is_asked_again_but_not_for_ever() {
    let (mut pair, sent) = moved();
    let (question, mut asked) = (question_of(&sent[0]), vec![]);
    let start = pair.now;
    while pair.now < start + SECOND * 20 {
        let due = pair.ends[SERVER].due(pair.now);
        assert!(due > pair.now, "there is nothing to do but to wait");
        pair.now = due;
        let sent = sends(&mut pair, SERVER);
        assert!(sent.iter().all(|bytes| question_of(bytes) == question));
        asked.extend(sent.iter().map(|_| pair.now - start));
    }
    assert!(asked.first().is_some_and(|first| *first == MS * 250), "{asked:?}");
    assert!(asked.len() <= 6, "{asked:?}");
    let more = answer_of(&mut pair, [0; QUESTION]);
    assert!(pair.give(SERVER, at(2), &more));
    assert_eq!(question_of(&sends(&mut pair, SERVER)[0]), question, "something has come from there");
}

#[test]
fn a_client_that_moves_while_much_comes_waits_for_one_question_and_answer() {
    for (lost, most) in [(0, MS * 60), (20, SECOND * 5)] {
        let mut pair = Pair::authenticated();
        pair.bad.lost = lost;
        for port in 2..12 {
            while pair.ends[SERVER].has_room() {
                pair.ends[SERVER].write(&[7; 16_384]);
            }
            pair.run(MS * 50);
            pair.client_port = port;
            pair.ends[CLIENT].write(b"here I am");
            let start = pair.now;
            while pair.ends[SERVER].route() != at(port) || !pair.ends[SERVER].path.is_shown() {
                pair.run(MS * 5);
                assert!(pair.now - start <= most + MS * 10, "to port {port}, {lost} % lost: {:?}", pair.now - start);
            }
            let before = pair.read[CLIENT].len();
            pair.run(WAY + MS * 20);
            assert!(lost > 0 || pair.read[CLIENT].len() > before + 1_000, "what was held back goes at once");
        }
        let left = pair.read[CLIENT].len();
        pair.run(SECOND * 60);
        assert!(pair.read[CLIENT].len() > left && pair.ends[SERVER].stream.is_delivered());
    }
}

#[test]
fn what_is_held_back_does_not_grow_whatever_comes() {
    let (mut pair, _) = moved();
    let mut came = 0;
    for round in 0..2_000_u32 {
        // Segments that came long ago: each wants to be acknowledged.
        let mut segment = [&ID[..], &[81, 0, 0, 1], &[0; 16], b"!"].concat();
        segment[20] = 1;
        let client = &mut pair.ends[CLIENT];
        client.number += 1;
        let mut bytes = untagged(ID, client.number, &segment.repeat(1 + round as usize % 40));
        let tag = client.keys.as_ref().unwrap().outgoing.tag(&bytes);
        bytes.extend_from_slice(&tag);
        assert!(pair.give(SERVER, at(2), &bytes));
        came += bytes.len();
        pair.now += MS * 20;
    }
    let sent = bytes_of(&sends(&mut pair, SERVER));
    assert!(sent <= 2 * 256 * MAX_DATAGRAM && sent <= 3 * (came + 100), "{sent}");
}
