//! The client in this process, with pipes for a screen: its deadlines can be short here.

use std::io::{self, PipeWriter, Write};
use std::thread::{self, JoinHandle};

use cfb_chat::chat::name::Name;
use cfb_chat::client::ui::{Input, Screen};
use cfb_chat::client::ui_event::{OutputStream, UiEvent};
use cfb_chat::client::{ClientConfig, ClientError, ClientTimeouts, Transport, run};
use cfb_chat::store::passphrase::PassphraseSource;
use crossbeam::channel::{self, Receiver, Sender};

use crate::support::folder::Folder;
use crate::support::output::Output;
use crate::support::process::Exit;

/// A client that runs here.
pub struct Inside {
    pub out: Output,
    pub err: Output,
    lines: Sender<Input>,
    running: JoinHandle<Result<(), ClientError>>,
}

struct Pipes {
    out: PipeWriter,
    err: PipeWriter,
    lines: Receiver<Input>,
}

impl Screen for Pipes {
    fn show(&mut self, shown: &UiEvent) -> io::Result<()> {
        let pipe = if shown.stream() == OutputStream::Output { &mut self.out } else { &mut self.err };
        pipe.write_all(format!("{}\n", shown.text()).as_bytes())
    }

    fn start_input(&mut self) -> io::Result<Receiver<Input>> {
        Ok(self.lines.clone())
    }

    fn is_watched(&self) -> bool {
        false
    }

    fn close(&mut self) {}
}

impl Inside {
    pub fn start(port: u16, name: &str, folder: &Folder, timing: ClientTimeouts) -> Self {
        let config = ClientConfig {
            host: "127.0.0.1".into(),
            port,
            transport: Transport::Tcp,
            name: Name::parse(name).expect("a name"),
            keys: folder.path().to_owned(),
            bits: 2_048,
            passphrase: PassphraseSource::default(),
            fingerprint: None,
            token: None,
            password_file: None,
            strict: false,
            verified_only: false,
            reconnect: true,
            timing,
        };
        let ((read_out, out), (read_err, err)) = (io::pipe().expect("a pipe"), io::pipe().expect("a pipe"));
        let (sender, lines) = channel::unbounded();
        let mut screen = Pipes { out, err, lines };
        let running = thread::spawn(move || run(&config, &mut screen));
        Self { out: Output::collect(read_out), err: Output::collect(read_err), lines: sender, running }
    }

    pub fn says(&self, line: &str) {
        let _ = self.lines.send(Input::Line(line.to_owned(), None));
    }

    /// Waits until it has ended; its status is 0, or 1 for all that is not.
    pub fn ends(self) -> Exit {
        let (out, err) = (self.out.wait_for_end(), self.err.wait_for_end());
        let outcome = self.running.join().expect("it does not panic");
        let (status, why) = match outcome {
            Ok(()) => (0, String::new()),
            Err(error) => (1, format!("error: {error}\n")),
        };
        Exit { status: Some(status), out, err: err + &why }
    }
}
