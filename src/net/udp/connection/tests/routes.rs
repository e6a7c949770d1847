//! Servers with several addresses: a route is both ends' addresses.

use super::*;
use crate::net::udp::path::LocalAddress;

/// The client's address, by which it calls this one of the server's addresses.
fn called(last: u8) -> Route {
    let address = [198, 51, 100, last].into();
    Route { local: Some(LocalAddress { address, interface: 0 }), ..at(1) }
}

/// A pair whose client has called the server's first address.
fn at_the_first() -> Pair {
    let mut pair = Pair::authenticated();
    pair.ends[SERVER].path = Path::new(called(1));
    pair
}

/// The next datagram of the client; it is not in flight.
fn next_of_client(pair: &mut Pair) -> Vec<u8> {
    pair.ends[CLIENT].write(b"more");
    pair.run(SECOND / 100);
    pair.under_way.clear();
    pair.last_of(CLIENT)
}

#[test]
fn a_datagram_that_was_sent_on_to_another_address_takes_answers_there_for_a_moment_only() {
    let mut pair = at_the_first();
    let datagram = next_of_client(&mut pair);
    assert!(pair.give(SERVER, called(2), &datagram));
    assert_eq!(pair.ends[SERVER].route(), called(2), "it is the newest");
    assert!(!pair.ends[SERVER].path.is_shown(), "but the client has not shown that it reads what comes from there");
    pair.ends[SERVER].write(&[7; 16_384]);
    let before = pair.sent.len();
    pair.flush(SERVER);
    let sent: usize = pair.sent[before..].iter().map(|(_, bytes)| bytes.len()).sum();
    assert!(sent <= 3 * datagram.len(), "{sent} bytes for {}", datagram.len());
    pair.now += SECOND;
    let datagram = next_of_client(&mut pair);
    assert!(pair.give(SERVER, called(1), &datagram));
    assert!(pair.ends[SERVER].path.is_shown(), "where the client has been before, at once");
    assert_eq!(pair.ends[SERVER].route(), called(1));
}

#[test]
fn a_datagram_that_came_before_moves_nothing_to_another_address() {
    let mut pair = at_the_first();
    let datagram = next_of_client(&mut pair);
    assert!(pair.give(SERVER, called(1), &datagram));
    assert!(!pair.give(SERVER, called(2), &datagram));
    assert_eq!(pair.ends[SERVER].route(), called(1));
}
