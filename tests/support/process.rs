//! The two programs as their users run them, ended when they are dropped.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::process::{Child, ChildStderr, ChildStdin, Command, Stdio};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};

use super::folder::{Folder, SERVER, USER_A};
use super::output::Output;

pub const SERVER_PROGRAM: &str = env!("CARGO_BIN_EXE_server");
pub const CLIENT_PROGRAM: &str = env!("CARGO_BIN_EXE_client");

/// What a client says when it is in the room.
pub const READY: &str = "[+] Now you can start to exchange messages";

/// A process whose streams are pipes.
pub struct Process {
    child: Child,
    input: Option<ChildStdin>,
    pub out: Output,
    pub err: Output,
}

/// How a process ended.
#[derive(Debug)]
pub struct Exit {
    /// Its exit status; `None` if a signal ended it.
    pub status: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Process {
    fn spawn(program: &str, arguments: &[impl AsRef<OsStr>]) -> Self {
        Self::start(&mut command(program, arguments))
    }

    /// One that is started like this, whatever it is.
    pub fn start(command: &mut Command) -> Self {
        let (mut process, errors) = Self::start_unread(command);
        process.err = Output::collect(errors);
        process
    }

    /// One whose standard error nobody reads.
    fn start_unread(command: &mut Command) -> (Self, ChildStderr) {
        let mut child = command
            .env_remove("CFB_CHAT_KEYS")
            .env_remove("CFB_CHAT_DATA")
            .env_remove("CFB_CHAT_CONFIG")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let (input, errors) = (child.stdin.take(), child.stderr.take().expect("it is piped"));
        let out = Output::collect(child.stdout.take().expect("it is piped"));
        (Self { child, input, out, err: Output::collect(std::io::empty()) }, errors)
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Types a line. Whether it is read shows in what it leads to.
    pub fn type_line(&mut self, line: &str) {
        self.type_bytes(format!("{line}\n").as_bytes());
    }

    pub fn type_bytes(&mut self, bytes: &[u8]) {
        let input = self.input.as_mut().expect("its input has not been ended");
        let _ = input.write_all(bytes).and_then(|()| input.flush());
    }

    pub fn end_input(&mut self) {
        self.input = None;
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it has not been waited for");
    }

    /// Waits until it has ended, by itself.
    pub fn wait(&mut self) -> Exit {
        let (out, err) = (self.out.wait_for_end(), self.err.wait_for_end());
        let status = self.child.wait().expect("it is ours").code();
        Exit { status, out, err }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // What each has shown tells why a test has failed.
        if thread::panicking() {
            eprintln!("-- {} showed:\n{}\n-- and told:\n{}", self.id(), self.out.so_far(), self.err.so_far());
        }
        // Both do nothing to one that has ended and been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(program: &str, arguments: &[impl AsRef<OsStr>]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

/// Starts the server's program.
pub fn server_command(folder: &Folder, arguments: &[&str]) -> Command {
    command(SERVER_PROGRAM, &served_from(folder, arguments))
}

/// Starts the client's program.
pub fn client_command(port: u16, name: &str, folder: &Folder, arguments: &[&str]) -> Command {
    let port = port.to_string();
    command(CLIENT_PROGRAM, &with_keys(folder, &[&["-p", &port, "-u", name], arguments].concat()))
}

/// Runs a program until it ends by itself, with this on its input.
pub fn run(program: &str, arguments: &[impl AsRef<OsStr>], input: &str) -> Exit {
    let mut process = Process::spawn(program, arguments);
    process.type_bytes(input.as_bytes());
    process.end_input();
    process.wait()
}

/// Runs the server's program, with arguments or keys by which it cannot run for long.
pub fn run_server(folder: &Folder, arguments: &[&str]) -> Exit {
    run(SERVER_PROGRAM, &served_from(folder, arguments), "")
}

/// Runs the client's program, with this on its input.
pub fn run_client(folder: &Folder, arguments: &[&str], input: &str) -> Exit {
    run(CLIENT_PROGRAM, &with_keys(folder, arguments), input)
}

fn with_keys(folder: &Folder, arguments: &[&str]) -> Vec<OsString> {
    let keys = ["--keys".into(), folder.path().into()];
    keys.into_iter().chain(arguments.iter().map(OsString::from)).collect()
}

/// With its keys and its data in a folder. Who is lost is gone at once, unless that is said otherwise: most tests are
/// about something else.
fn served_from(folder: &Folder, arguments: &[&str]) -> Vec<OsString> {
    let mut all = with_keys(folder, arguments);
    for (flag, value) in [("--data", folder.file("data").into()), ("--resume-window", OsString::from("0"))] {
        if !arguments.contains(&flag) {
            all.extend([flag.into(), value]);
        }
    }
    all
}

/// A server that listens on 127.0.0.1.
pub struct Server {
    pub process: Process,
    pub port: u16,
    pub folder: Folder,
}

impl Server {
    /// With all limits on, and the tests' key.
    pub fn start() -> Self {
        Self::start_in(Folder::of_server(SERVER), &["-p", "0"])
    }

    /// Without limits: failures earn no penalties.
    pub fn without_limits() -> Self {
        Self::start_in(Folder::of_server(SERVER), &["-p", "0", "--limits", "off"])
    }

    pub fn start_in(folder: Folder, arguments: &[&str]) -> Self {
        Self::running(Process::start(&mut server_command(&folder, arguments)), folder)
    }

    /// Without limits, and nobody reads its log.
    pub fn with_unread_log() -> (Self, ChildStderr) {
        let folder = Folder::of_server(SERVER);
        let (process, log) = Process::start_unread(&mut server_command(&folder, &["-p", "0", "--limits", "off"]));
        (Self::running(process, folder), log)
    }

    /// Waits for a line of the log.
    pub fn wait_for_log(&self, part: &str) -> String {
        self.process.err.wait_for(part)
    }

    /// The log so far.
    pub fn log(&self) -> String {
        self.process.err.so_far()
    }

    /// Lets it end as its operator would.
    pub fn terminate(mut self) -> Exit {
        self.process.type_line("TERMINATE");
        self.process.wait()
    }

    /// One that has just been started, with these keys.
    pub fn running(process: Process, folder: Folder) -> Self {
        let line = process.out.wait_for("[+] Running on port: ");
        let port = line.rsplit(' ').next().and_then(|port| port.parse().ok()).expect("a port");
        Self { process, port, folder }
    }
}

/// A client, on pipes.
pub struct Client {
    pub process: Process,
    pub folder: Folder,
}

impl Client {
    /// Comes into the room, with user A's key, whatever the name.
    pub fn join(port: u16, name: &str) -> Self {
        let client = Self::start(port, name, Folder::of_user(name, USER_A), &[]);
        client.process.out.wait_for(READY);
        client
    }

    /// Is started, and may come in or not.
    pub fn start(port: u16, name: &str, folder: Folder, arguments: &[&str]) -> Self {
        let process = Process::start(&mut client_command(port, name, &folder, arguments));
        Self { process, folder }
    }

    pub fn says(&mut self, line: &str) {
        self.process.type_line(line);
    }

    /// Waits until somebody's words are on its screen.
    pub fn sees(&self, name: &str, text: &str) -> String {
        self.process.out.wait_for(&format!(" {name}: {text}"))
    }

    /// What others have said, in the order of its screen: `name: text`.
    pub fn talk(&self) -> Vec<String> {
        talk(&self.process.out.so_far())
    }

    /// Leaves, as it should be left.
    pub fn exit(mut self) -> Exit {
        self.process.type_line("EXIT");
        self.process.wait()
    }
}

/// The lines of a screen that are talk, without their times.
pub fn talk(screen: &str) -> Vec<String> {
    let said = |line: &str| {
        let (time, said) = line.split_at_checked("2023-06-25 09:35:24 ".len())?;
        is_time(time).then(|| said.to_owned())
    };
    screen.lines().filter_map(said).collect()
}

/// Whether this is `YYYY-MM-DD HH:MM:SS `.
pub fn is_time(text: &str) -> bool {
    let pattern = "dddd-dd-dd dd:dd:dd ";
    let fits = |(char, wanted): (char, char)| if wanted == 'd' { char.is_ascii_digit() } else { char == wanted };
    text.len() == pattern.len() && text.chars().zip(pattern.chars()).all(fits)
}
