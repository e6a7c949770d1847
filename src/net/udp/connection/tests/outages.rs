//! Outages: how soon data goes on afterwards.

use super::*;

/// So soon a waiting line arrives after the first datagram that comes through.
const SOON: Duration = Duration::from_secs(2);
/// Pings of the program, which are data like any other.
const PING: Duration = Duration::from_secs(15);

/// Directions in which datagrams are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lost {
    Both,
    From(usize),
}

impl Pair {
    /// Lets time go on while datagrams are lost, and pings now and then.
    fn lose(&mut self, lost: Lost, time: Duration) {
        let (until, mut ping) = (self.now + time, self.now + PING);
        while self.now < until {
            // Less than the way takes, so that none of them arrives.
            self.run(WAY / 2);
            self.under_way.retain(|(_, to, ..)| matches!(lost, Lost::From(from) if from == *to));
            if self.now >= ping {
                self.ends[CLIENT].write(b"ping");
                ping += PING;
            }
        }
    }

    /// Waits until an end has read `text`. Returns the time since the first datagram for it that comes through.
    fn arrives(&mut self, to: usize, text: &[u8]) -> Duration {
        self.run(WAY / 2);
        let (sent, start) = (self.sent.iter().filter(|(from, _)| *from != to).count(), self.now);
        while self.sent.iter().filter(|(from, _)| *from != to).count() == sent {
            self.run(MS * 10);
            assert!(self.now - start < SOON, "an end is silent after an outage");
        }
        let first = self.now;
        while !self.read[to].windows(text.len()).any(|part| part == text) {
            self.run(MS * 10);
            assert!(self.now - start < SECOND * 60, "it never comes");
        }
        self.now - first
    }
}

#[test]
fn a_waiting_line_arrives_soon_after_an_outage() {
    for seconds in [3, 10, 25, 40, 60, 80] {
        for lost in [Lost::Both, Lost::From(CLIENT), Lost::From(SERVER)] {
            for (from, said_after) in [(CLIENT, 0), (SERVER, 0), (CLIENT, seconds / 2), (SERVER, seconds / 2)] {
                let mut pair = Pair::authenticated();
                pair.lose(lost, SECOND * said_after);
                pair.ends[from].write(b"the waiting line");
                pair.lose(lost, SECOND * (seconds - said_after));
                let took = pair.arrives(1 - from, b"the waiting line");
                assert!(took <= SOON, "{seconds} s, {lost:?}, said by {from} after {said_after} s: {took:?}");
            }
        }
    }
}

#[test]
fn all_that_was_on_its_way_arrives_soon_after_an_outage() {
    for seconds in [5, 25, 60] {
        for from in [CLIENT, SERVER] {
            let mut pair = Pair::authenticated();
            pair.transfers(from, &text(200_000));
            let more = text(60_000);
            // Much is under way at once when the outage begins.
            pair.ends[from].write(&more);
            pair.lose(Lost::Both, SECOND * seconds);
            pair.ends[from].write(b"the waiting line");
            let took = pair.arrives(1 - from, b"the waiting line");
            assert!(took <= SOON, "{seconds} s, by {from}: {took:?}");
        }
    }
}

#[test]
fn the_next_loss_after_datagrams_that_came_late_is_mended_soon() {
    let mut pair = Pair::authenticated();
    // A network that keeps datagrams for half a minute and then delivers them all.
    pair.ends[SERVER].write(b"kept");
    pair.flush(SERVER);
    let kept = std::mem::take(&mut pair.under_way);
    pair.lose(Lost::Both, SECOND * 30);
    pair.under_way = kept.into_iter().map(|(_, to, from, bytes)| (pair.now, to, from, bytes)).collect();
    pair.run(SECOND);
    // The times that these took are not the path's.
    pair.ends[SERVER].write(b"lost once");
    pair.lose(Lost::Both, WAY);
    let took = pair.arrives(CLIENT, b"lost once");
    assert!(took <= SOON, "{took:?}");
}

#[test]
fn a_writer_notices_soon_that_a_closed_window_is_open_again() {
    for seconds in [5, 25, 60] {
        let mut pair = Pair::authenticated();
        pair.reads[CLIENT] = false;
        let all = text(900_000);
        let mut left = &all[..];
        for _ in 0..200 {
            while !left.is_empty() && pair.ends[SERVER].has_room() {
                let (piece, rest) = left.split_at(left.len().min(16_384));
                pair.ends[SERVER].write(piece);
                left = rest;
            }
            pair.run(SECOND / 10);
        }
        assert!(!pair.ends[SERVER].has_room(), "the window is closed");
        // What tells of its opening is lost.
        pair.reads[CLIENT] = true;
        pair.lose(Lost::Both, SECOND * seconds);
        let read = pair.read[CLIENT].len();
        let start = pair.now;
        while pair.read[CLIENT].len() == read {
            pair.run(MS * 10);
            assert!(pair.now - start <= SOON, "{seconds} s: it waits for a reader that waits");
        }
    }
}

#[test]
fn in_an_outage_little_is_sent() {
    let mut pair = Pair::authenticated();
    pair.transfers(SERVER, &text(200_000));
    pair.ends[SERVER].write(&text(60_000));
    pair.lose(Lost::Both, SECOND * 10);
    pair.sent.clear();
    pair.lose(Lost::Both, SECOND * 60);
    for end in [CLIENT, SERVER] {
        let sent = pair.sent.iter().filter(|(by, _)| *by == end).count();
        assert!(sent <= 61, "{sent} datagrams in a minute");
    }
}

#[test]
fn on_a_path_of_three_seconds_all_arrives_in_order() {
    let mut pair = Pair::authenticated();
    pair.way = Duration::from_millis(1_500);
    pair.transfers(SERVER, &text(300_000));
    pair.bad = Bad { lost: 10, ..Bad::default() };
    pair.read[CLIENT].clear();
    pair.transfers(SERVER, &text(100_000));
}
