//! All datagrams are lost for a while, and then none.

use std::thread;
use std::time::{Duration, Instant};

use super::relay::{Faults, Relay};
use super::{server, they_talk, two_people};

/// KCP by itself would be silent for more than four seconds after this.
const OUTAGE: Duration = Duration::from_millis(10_500);
/// So soon a line arrives after the end of an outage; and slack for a busy machine.
const SOON: Duration = Duration::from_secs(2);
const SLACK: Duration = Duration::from_secs(1);

#[test]
fn what_was_said_in_an_outage_arrives_soon_after_it() {
    let server = server();
    let relay = Relay::to(server.port, Faults::default(), 1);
    let mut people = two_people(relay.port);
    they_talk(&mut people, "before");
    relay.becomes(Faults { lost: 100, ..Faults::default() });
    for person in &mut people {
        person.says("said in the outage");
    }
    thread::sleep(OUTAGE);
    relay.becomes(Faults::default());
    let end = Instant::now();
    people[1].sees("Anna", "said in the outage");
    people[0].sees("Boris", "said in the outage");
    let took = end.elapsed();
    println!("{took:?} after an outage of {OUTAGE:?}");
    assert!(took <= SOON + SLACK, "{took:?}");
    they_talk(&mut people, "after");
    let log = server.log();
    assert_eq!(log.matches("New connection").count(), 2, "{log}");
}
