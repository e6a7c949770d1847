//! A credential that is about to end: the client changes it by itself, and nobody is bothered.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use cfb_chat::chat::message::{ByeReason, Numbered, ToClient, ToServer};
use cfb_chat::client::ui::Input;
use cfb_chat::client::{ClientTimeouts, Transport, run};
use crossbeam::channel::{Sender, bounded};

use super::recording::{RecordingScreen, config};
use crate::support::hostile_server::{HostileServer, Served, home};

/// Seven days is how long a credential holds: one is always about to end.
const ALWAYS: Duration = Duration::from_secs(8 * 24 * 60 * 60);

fn is_leave(message: &ToServer) -> bool {
    matches!(message, ToServer::Leave(_))
}

/// PROTOCOL.md 2.1-4, 2.1-5.
#[test]
fn a_credential_that_is_about_to_end_is_changed_without_noise_and_nothing_is_lost() {
    let (server, folder) = (HostileServer::start(), home(""));
    let timing = ClientTimeouts { renew: ALWAYS, ..ClientTimeouts::standard(Transport::Tcp) };
    let config = config(&server, &folder, timing);
    let (seen, (typed, lines)): (Arc<Mutex<Vec<String>>>, (Sender<Input>, _)) = (Arc::default(), bounded(8));
    let mut screen = RecordingScreen { seen: seen.clone(), lines };
    let client = thread::spawn(move || run(&config, &mut screen));

    let mut first = Served::accept(&server);
    first.welcomes(None);
    first.waits_for(is_leave);
    typed.send(Input::Line("said meanwhile".into(), None)).expect("the client runs");
    first.tell(&ToClient::Bye(ByeReason::Left));
    let mut second = Served::accept(&server);
    assert_ne!(second.session(), first.session(), "another credential");
    second.waits_for(|message| matches!(message, ToServer::Join { cursor: 0, .. }));
    second.welcomes(None);
    second.waits_for(|said| matches!(said, ToServer::Numbered { n: 1, body: Numbered::Say { .. } }));
    // The end of a connection instead of a goodbye is one too.
    second.tell(&ToClient::Accepted(1));
    second.waits_for(is_leave);
    second.cuts();
    let mut third = Served::accept(&server);
    assert_ne!(third.session(), second.session());
    third.welcomes(None);
    third.waits_for(is_leave);
    typed.send(Input::End).expect("the client runs");
    thread::sleep(Duration::from_millis(200));
    third.tell(&ToClient::Bye(ByeReason::Left));
    client.join().expect("it does not fail").expect("it has left");

    let seen = seen.lock().expect("nobody has failed");
    let last_step = seen.iter().position(|line| line.contains("Now you can start")).expect("it was let in");
    let renewed = "[+] Credential renewed for a week.";
    let unread = "[!] No member of #lobby could read that, and it is not kept for later ones.";
    assert_eq!(seen[last_step + 1..], [renewed, unread, renewed]);
}
