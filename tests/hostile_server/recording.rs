//! A client inside the test's process, with a screen that is recorded.

use std::io;
use std::sync::{Arc, Mutex};

use cfb_chat::chat::name::Name;
use cfb_chat::client::ui::{Input, Screen};
use cfb_chat::client::ui_event::UiEvent;
use cfb_chat::client::{ClientConfig, ClientTimeouts, Transport};
use cfb_chat::store::passphrase::PassphraseSource;
use crossbeam::channel::Receiver;

use crate::support::folder::Folder;
use crate::support::hostile_server::{CLIENT, HostileServer};

/// A screen that keeps what it is shown.
pub struct RecordingScreen {
    pub seen: Arc<Mutex<Vec<String>>>,
    pub lines: Receiver<Input>,
}

impl Screen for RecordingScreen {
    fn show(&mut self, shown: &UiEvent) -> io::Result<()> {
        self.seen.lock().expect("nobody has failed").push(shown.text());
        Ok(())
    }

    fn start_input(&mut self) -> io::Result<Receiver<Input>> {
        Ok(self.lines.clone())
    }

    fn is_watched(&self) -> bool {
        true
    }

    fn close(&mut self) {}
}

/// The client of that server, with its files in `folder`.
pub fn config(server: &HostileServer, folder: &Folder, timing: ClientTimeouts) -> ClientConfig {
    ClientConfig {
        host: "127.0.0.1".into(),
        port: server.port(),
        name: Name::parse(CLIENT).expect("a name"),
        keys: folder.path().to_owned(),
        bits: 2_048,
        passphrase: PassphraseSource::default(),
        fingerprint: None,
        token: None,
        password_file: None,
        strict: false,
        verified_only: false,
        reconnect: true,
        transport: Transport::Tcp,
        timing,
    }
}
