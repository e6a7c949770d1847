//! A server that is killed, and started again in the same place with the same data.

use std::process::Command;

use rustix::process::Signal;

use crate::support::folder::{Folder, SERVER};
use crate::support::process::{Exit, Process, Server, server_command};

/// What a server says when it finds what another has left behind.
const FOUND: &str = "Recovered after a crash: ";

/// A server, one after the other.
pub struct House {
    pub folder: Folder,
    pub port: u16,
    arguments: Vec<String>,
    /// How its process is started, if not as usual.
    how: Box<dyn Fn(Command) -> Command>,
    server: Option<Server>,
    /// What those have logged that have ended.
    log: String,
}

impl House {
    /// Starts one, with keys and data of its own, without limits.
    pub fn open(arguments: &[&str]) -> Self {
        Self::open_as(Folder::of_server(SERVER), arguments, |command| command)
    }

    /// Starts one so, and all that follow too.
    pub fn open_as(folder: Folder, arguments: &[&str], how: impl Fn(Command) -> Command + 'static) -> Self {
        let mut house = Self {
            folder,
            port: 0,
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            how: Box::new(how),
            server: None,
            log: String::new(),
        };
        house.open_again();
        house
    }

    /// What its process is started with.
    fn command(&self) -> Command {
        let port = self.port.to_string();
        let mut arguments = vec!["-p", &*port];
        arguments.extend(self.arguments.iter().map(String::as_str));
        for (flag, value) in [("--limits", "off"), ("--resume-window", "120")] {
            if !arguments.contains(&flag) {
                arguments.extend([flag, value]);
            }
        }
        (self.how)(server_command(&self.folder, &arguments))
    }

    /// Starts it again.
    pub fn open_again(&mut self) {
        assert!(self.server.is_none(), "one is there");
        let server = Server::running(Process::start(&mut self.command()), self.folder.inside("."));
        self.port = server.port;
        self.server = Some(server);
    }

    /// Tries to start it again, and gives how it ended.
    pub fn cannot_open(&self) -> Exit {
        Process::start(&mut self.command()).wait()
    }

    /// Kills it: it has no time for anything.
    pub fn kill(&mut self) {
        self.server().process.signal(Signal::KILL);
        assert_eq!(self.ends().status, None, "it was killed, and did not end");
    }

    /// Waits until it has ended.
    pub fn ends(&mut self) -> Exit {
        let ended = self.server.take().expect("one is there").process.wait();
        self.log.push_str(&ended.err);
        ended
    }

    pub fn server(&mut self) -> &mut Server {
        self.server.as_mut().expect("one is there")
    }

    /// All that was logged, by one after the other.
    pub fn log(&self) -> String {
        self.log.clone() + &self.server.as_ref().map(Server::log).unwrap_or_default()
    }

    /// How many sessions and events were found again, in all.
    pub fn found_again(&self) -> (usize, usize) {
        let log = self.log();
        let all = log.lines().filter_map(|line| line.split_once(FOUND)).map(|(_, found)| {
            let numbers: Vec<usize> = found.split(' ').filter_map(|word| word.parse().ok()).collect();
            (numbers[0], numbers[1])
        });
        all.fold((0, 0), |sum, found| (sum.0 + found.0, sum.1 + found.1))
    }

    /// How many sessions came back to a server, in all.
    pub fn came_back(&self) -> usize {
        self.log().matches(" is back.\n").count()
    }
}
