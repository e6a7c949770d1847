//! A server that answers pings and no messages: the author is told.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use cfb_chat::chat::message::{Numbered, ToClient, ToServer};
use cfb_chat::client::ui::Input;
use cfb_chat::client::{ClientTimeouts, Transport, run};
use crossbeam::channel::bounded;

use super::recording::{RecordingScreen, config};
use crate::support::hostile_server::{HostileServer, Served, home};

/// PROTOCOL.md 6.13-2.
#[test]
fn a_message_that_has_no_answer_is_told_once_and_its_answer_ends_that() {
    let (server, folder) = (HostileServer::start(), home(""));
    let timing = ClientTimeouts {
        ping: Duration::from_millis(20),
        accept: Duration::from_millis(500),
        leave: Duration::from_millis(50),
        ..ClientTimeouts::standard(Transport::Tcp)
    };
    let config = config(&server, &folder, timing);
    let seen = Arc::<Mutex<Vec<String>>>::default();
    let (typed, lines) = bounded(8);
    let mut screen = RecordingScreen { seen: seen.clone(), lines };
    let client = thread::spawn(move || run(&config, &mut screen));

    let mut served = Served::accept(&server);
    served.welcomes(None);
    typed.send(Input::Line("is it there".into(), None)).expect("the client runs");
    served.waits_for(|said| matches!(said, ToServer::Numbered { n: 1, body: Numbered::Say { .. } }));
    let told = || {
        let seen = seen.lock().expect("nobody has failed");
        seen.iter().filter(|line| line.contains("Not accepted yet: the server has not answered a message")).count()
    };
    // The connection is alive all the time: each ping has its answer. Bounded, as two seconds of pings.
    for _ in 0..100 {
        served.waits_for(|said| matches!(said, ToServer::Ping));
        served.tell(&ToClient::Pong);
    }
    assert_eq!(told(), 1);
    served.tell(&ToClient::Accepted(1));
    typed.send(Input::Line("and now".into(), None)).expect("the client runs");
    served.waits_for(|said| matches!(said, ToServer::Numbered { n: 2, .. }));
    for _ in 0..100 {
        served.waits_for(|said| matches!(said, ToServer::Ping));
        served.tell(&ToClient::Pong);
    }
    assert_eq!(told(), 2);
    served.tell(&ToClient::Accepted(2));
    typed.send(Input::End).expect("the client runs");
    client.join().expect("it does not fail").expect("it has left");
}
