//! What the programs inherit: a mask for the modes of files, ignored signals, streams that do not block, a pipe with a
//! name for a console.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::folder::{Folder, SERVER, USER_A, USER_B};
use crate::support::process::{Client, Process, READY, Server, client_command, server_command};

/// Time in which a program that took a pause for the end would have ended.
const PAUSE: Duration = Duration::from_millis(700);

/// The same command, started by this one.
fn started_by(launcher: &[&str], command: &Command) -> Command {
    let mut launched = Command::new(launcher[0]);
    launched.args(&launcher[1..]).arg(command.get_program()).args(command.get_args());
    for variable in ["CFB_CHAT_KEYS", "CFB_CHAT_DATA", "CFB_CHAT_CONFIG"] {
        launched.env_remove(variable);
    }
    launched
}

/// With standard streams that do not block.
fn not_blocking(command: &Command) -> Command {
    let launcher = "import fcntl, os, sys\n\
                    for fd in range(3):\n    \
                        fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_NONBLOCK)\n\
                    os.execv(sys.argv[1], sys.argv[1:])";
    let mut command = started_by(&["python3", "-c", launcher], command);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A child that is ended with the test.
struct Unread(Child);

impl Drop for Unread {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Reads until a stream's end.
fn rest_of(mut stream: impl Read) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("text");
    text
}

/// With a mask, and without root's right to do what modes forbid.
fn masked(mask: &str, command: &Command) -> Command {
    let script = format!("umask {mask}; exec \"$0\" \"$@\"");
    let masked = started_by(&["sh", "-c", &script], command);
    if !rustix::process::geteuid().is_root() {
        return masked;
    }
    let setpriv = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"];
    started_by(&setpriv, &masked)
}

#[test]
fn folders_get_0700_and_files_0600_whatever_the_mask() {
    for mask in ["0177", "0277", "0377", "0777", "0", "027"] {
        let all = Folder::empty();
        let (keys, data) = (all.inside("made/keys"), all.inside("made/data"));
        let command = server_command(&keys, &["-p", "0", "--bits", "2048", "--data", data.path().to_str().unwrap()]);
        let server = Server::running(Process::start(&mut masked(mask, &command)), all.inside("made"));
        let people = all.inside("people/keys");
        let anna = client_command(server.port, "Anna", &people, &["--bits", "2048"]);
        let mut anna = Client { process: Process::start(&mut masked(mask, &anna)), folder: all.inside("people") };
        anna.process.out.wait_for(READY);
        anna.says("hello");
        assert_eq!(anna.exit().status, Some(0), "{mask}");
        for folder in [&all.inside("made"), &keys, &data, &all.inside("people"), &people] {
            assert_eq!(folder.mode("."), 0o700, "{mask}: {}", folder.path().display());
        }
        for folder in [&keys, &data, &people] {
            for name in folder.names() {
                let wanted = if name.contains("public") { 0o644 } else { 0o600 };
                assert_eq!(folder.mode(&name), wanted, "{mask}: {name}");
            }
        }
        assert_eq!(server.terminate().status, Some(0), "{mask}");
    }
}

#[test]
fn signals_that_are_ignored_at_the_start_stay_so() {
    let folder = Folder::of_server(SERVER);
    let ignoring = ["sh", "-c", "trap '' INT HUP TERM; exec \"$0\" \"$@\""];
    let server = server_command(&folder, &["-p", "0", "--limits", "off"]);
    let mut server = Server::running(Process::start(&mut started_by(&ignoring, &server)), folder);
    let user = Folder::of_user("Anna", USER_A);
    let mut anna = started_by(&ignoring, &client_command(server.port, "Anna", &user, &[]));
    let mut anna = Client { process: Process::start(&mut anna), folder: user };
    anna.process.out.wait_for(READY);
    for signal in [Signal::INT, Signal::INT, Signal::HUP, Signal::TERM, Signal::TERM] {
        server.process.signal(signal);
        anna.process.signal(signal);
        thread::sleep(Duration::from_millis(50));
    }
    thread::sleep(PAUSE);
    server.process.type_line("WHO");
    server.process.out.wait_for("Anna");
    anna.says("still here");
    assert_eq!(anna.exit().status, Some(0));
    assert!(!server.log().contains("settings"), "no reload either: {}", server.log());
    assert_eq!(server.terminate().status, Some(0));
}

/// A shell without job control starts what is in the background with SIGINT ignored: Ctrl+C is for the foreground.
#[test]
fn a_server_in_a_scripts_background_outlives_the_scripts_ctrl_c() {
    let folder = Folder::of_server(SERVER);
    let script = ["sh", "-c", "\"$0\" \"$@\" & echo \"number $!\"; trap 'echo woken' INT; wait; wait"];
    let command = started_by(&script, &server_command(&folder, &["-p", "0"]));
    let mut launched = started_by(&["setsid"], &command);
    let server = Server::running(Process::start(&mut launched), folder);
    let number = server.process.out.wait_for("number ").split(' ').nth(1).unwrap().parse().unwrap();
    let group = rustix::process::getpgid(rustix::process::Pid::from_raw(number)).unwrap();
    rustix::process::kill_process_group(group, Signal::INT).unwrap();
    server.process.out.wait_for("woken");
    thread::sleep(PAUSE);
    let anna = Client::join(server.port, "Anna");
    assert_eq!(anna.exit().status, Some(0));
    rustix::process::kill_process(rustix::process::Pid::from_raw(number).unwrap(), Signal::TERM).unwrap();
    server.process.out.wait_for("[+] Server is shut down");
}

#[test]
fn a_clients_streams_that_do_not_block_are_waited_for() {
    let server = Server::without_limits();
    let user = Folder::of_user("Anna", USER_A);
    let mut anna = not_blocking(&client_command(server.port, "Anna", &user, &[]));
    let mut anna = Unread(anna.spawn().expect("Python starts it"));
    server.wait_for_log("New connection. Username: Anna");
    let mut boris = Client::start(server.port, "Boris", Folder::of_user("Boris", USER_B), &[]);
    boris.process.out.wait_for(READY);
    // The first in the room is no news to it.
    server.wait_for_log("New person joined the room.");
    for line in 0..600 {
        boris.says(&format!("{line} {}", "x".repeat(400)));
    }
    assert_eq!(boris.exit().status, Some(0));
    let mut input = anna.0.stdin.take().unwrap();
    let mut says = |line: &str| {
        thread::sleep(PAUSE);
        input.write_all(line.as_bytes()).unwrap();
    };
    says("a line, ");
    says("a pause, its rest\n");
    says("EXIT\n");
    thread::sleep(PAUSE);
    let out = rest_of(anna.0.stdout.take().unwrap());
    let err = rest_of(anna.0.stderr.take().unwrap());
    let ended = anna.0.wait().expect("it is ours");
    assert_eq!((ended.code(), out.matches(" Boris: ").count()), (Some(0), 600), "{err}");
    server.wait_for_log("Message exchanged");
}

#[test]
fn a_servers_streams_that_do_not_block_are_waited_for() {
    const LINES: usize = 3_000;
    const QUESTIONS: usize = 200;
    let folder = Folder::of_server(SERVER);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut server = not_blocking(&server_command(&folder, &["-p", &port.to_string(), "--limits", "off"]));
    let mut server = Unread(server.spawn().expect("Python starts it"));
    let up = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
    assert!(
        (0..200).any(|_| up() || {
            thread::sleep(Duration::from_millis(50));
            false
        }),
        "it listens"
    );
    let mut anna = Client::join(port, "Anna");
    for line in 0..LINES {
        anna.says(&format!("{line}"));
    }
    let mut input = server.0.stdin.take().unwrap();
    for _ in 0..QUESTIONS {
        input.write_all(b"HELP\n").unwrap();
    }
    assert_eq!(anna.exit().status, Some(0), "a log and a console that are not read delay no client");
    thread::sleep(PAUSE);
    let reading = server.0.stdout.take().unwrap();
    let reading = thread::spawn(move || rest_of(reading));
    let log = server.0.stderr.take().unwrap();
    let log = thread::spawn(move || rest_of(log));
    thread::sleep(PAUSE);
    input.write_all(b"TERMINATE\n").unwrap();
    assert_eq!(server.0.wait().expect("it is ours").code(), Some(0));
    let (out, log) = (reading.join().unwrap(), log.join().unwrap());
    assert_eq!(out.matches("TERMINATE ").count(), QUESTIONS, "{out}");
    assert_eq!(log.matches("Message exchanged").count(), LINES, "{}", &log[log.len() - 2_000..]);
}

fn make_pipe(folder: &Folder) -> std::path::PathBuf {
    let pipe = folder.file("ctl");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    pipe
}

/// Opens a pipe, writes to it and closes it, as `echo` does.
fn echo(pipe: &Path, text: &str) {
    OpenOptions::new().write(true).open(pipe).unwrap().write_all(text.as_bytes()).unwrap();
}

#[test]
fn a_console_at_a_named_pipe_waits_for_its_next_writer() {
    let folder = Folder::of_server(SERVER);
    let pipe = make_pipe(&folder);
    let script = ["sh", "-c", "exec \"$0\" \"$@\" < \"$CTL\""];
    let mut command = started_by(&script, &server_command(&folder, &["-p", "0"]));
    let process = Process::start(command.env("CTL", &pipe));
    echo(&pipe, "WHO\n");
    let server = Server::running(process, folder);
    for (count, line) in [(1, ""), (2, "WHO\n"), (3, "WHO"), (4, "WHO\n"), (6, "WHO\nWHO\n")] {
        if !line.is_empty() {
            echo(&pipe, line);
        }
        server.process.out.wait_for_times("no user is here", count);
        thread::sleep(PAUSE);
    }
    assert!(!server.log().contains("console has ended"), "{}", server.log());
    echo(&pipe, "TERMINATE\n");
    server.process.out.wait_for("[+] Server is shut down");
}

#[test]
fn the_consoles_end_is_logged() {
    let folder = Folder::of_server(SERVER);
    let command = server_command(&folder, &["-p", "0"]);
    for input in ["/dev/null", "server_private_key.pem"] {
        let script = ["sh", "-c", "exec \"$0\" \"$@\" < \"$INPUT\""];
        let mut command = started_by(&script, &command);
        let server = Process::start(command.env("INPUT", folder.path().join(input)));
        server.err.wait_for("[*] The console has ended: its input is at its end");
        server.signal(Signal::TERM);
        server.out.wait_for("[+] Server is shut down");
    }
    let mut server = Server::running(Process::start(&mut server_command(&folder, &["-p", "0"])), folder);
    server.process.end_input();
    server.wait_for_log("[*] The console has ended");
    let anna = Client::join(server.port, "Anna");
    assert_eq!(anna.exit().status, Some(0), "the server goes on");
}
