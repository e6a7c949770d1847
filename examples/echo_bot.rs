//! A bot: joins a chat, and repeats in the room what other members say.
//!
//! ```sh
//! cargo run --release --example echo_bot -- FOLDER PORT [NAME]
//! ```
//!
//! A bot is a screen that answers: the client shows it events, and takes its lines as if they were typed. The client does
//! all else: keys, encryption, reconnecting.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use cfb_chat::chat::name::{Name, RoomName};
use cfb_chat::client::ui::{Input, Screen};
use cfb_chat::client::ui_event::{MessageKind, UiEvent};
use cfb_chat::client::{ClientConfig, run};
use crossbeam::channel::{Receiver, Sender, bounded};

/// Answers that wait to be sent. More than that are dropped: a bot need not answer a flood.
const CAPACITY: usize = 64;

struct EchoBot {
    answers: Sender<Input>,
    lines: Receiver<Input>,
}

impl EchoBot {
    fn new() -> Self {
        let (answers, lines) = bounded(CAPACITY);
        Self { answers, lines }
    }

    fn answer(&self, text: &str, room: Option<RoomName>) {
        // `/say` sends the text as it is, also where it looks like a command.
        let _ = self.answers.try_send(Input::Line(format!("/say {text}"), room));
    }
}

impl Screen for EchoBot {
    fn show(&mut self, shown: &UiEvent) -> io::Result<()> {
        println!("{}", shown.text());
        match shown {
            // The room is named only where there are several; without a name it is the one that lines go to.
            UiEvent::Message { manner: MessageKind::Said(room), name, text, .. } => {
                self.answer(&format!("{name} said: {text}"), room.clone());
            }
            UiEvent::Joined(name, room) => self.answer(&format!("Welcome, {name}"), room.clone()),
            _ => {}
        }
        Ok(())
    }

    fn start_input(&mut self) -> io::Result<Receiver<Input>> {
        Ok(self.lines.clone())
    }

    fn is_watched(&self) -> bool {
        false
    }

    fn close(&mut self) {}
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("the first argument is a folder for the bot's keys")?);
    let port = arguments.next().ok_or("the second argument is the server's port")?.parse()?;
    let name = Name::parse(&arguments.next().unwrap_or_else(|| "echo".into()))?;
    let config = ClientConfig { bits: 2048, ..ClientConfig::new("127.0.0.1", port, name, &folder) };
    Ok(run(&config, &mut EchoBot::new())?)
}
