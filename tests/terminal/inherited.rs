//! Terminals that another process sets not to block: before a program starts, or while it runs.

use std::path::Path;
use std::thread;
use std::time::Duration;

use super::Terminal;
use super::last_line;

/// Starts a program after it has set its terminal not to block.
const BEFORE: &str = "import fcntl, os, sys\n\
                      fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_NONBLOCK)\n\
                      os.execv(sys.argv[1], sys.argv[1:])";
/// Starts a program, and sets its terminal not to block a while later.
const MEANWHILE: &str = "import fcntl, os, sys, time\n\
                         if os.fork():\n    \
                             os.execv(sys.argv[1], sys.argv[1:])\n\
                         time.sleep(2)\n\
                         fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_NONBLOCK)";

fn start(launcher: &str, program: &str, arguments: &[&str], folder: &Path) -> Terminal {
    Terminal::start("python3", &[&["-c", launcher, program], arguments].concat(), folder)
}

/// Has a room talk to one whose terminal does not block, and back.
fn talk_goes_on(launcher: &str, pause: Duration) {
    let folder = tempfile::tempdir().unwrap();
    let mut server = start(launcher, env!("CARGO_BIN_EXE_server"), &["-p", "0", "--bits", "2048"], folder.path());
    server.wait_for("Fingerprint: SHA256:");
    let port = server.line_with("[+] Running on port: ").split(": ").nth(1).unwrap().to_owned();
    let mut sahnawaz = Terminal::client("sahnawaz", &port, folder.path());
    let arguments = ["-p", &port, "-u", "Ira", "--bits", "2048"];
    let mut ira = start(launcher, env!("CARGO_BIN_EXE_client"), &arguments, folder.path());
    ira.wait_for("[+] Now you can start to exchange messages");
    ira.wait_until("a prompt", |screen| last_line(screen) == ">");
    thread::sleep(pause);
    // More than a terminal holds, while its screen is not read.
    for line in 0..20 {
        sahnawaz.enter(&format!("{line} {}", "x".repeat(1_000)));
        sahnawaz.wait_for(&format!("> {line} xx"));
        sahnawaz.wait_until("the next prompt", |screen| last_line(screen) == ">");
    }
    sahnawaz.enter("the last");
    ira.wait_for(" sahnawaz: the last");
    ira.wait_until("a prompt", |screen| last_line(screen) == ">");
    for line in ["first", "second"] {
        ira.enter(line);
        sahnawaz.wait_for(&format!(" Ira: {line}"));
    }
    ira.enter("EXIT");
    assert_eq!(ira.wait_for_end(), 0);
    server.enter("WHO");
    server.wait_for("sahnawaz");
    server.enter("TERMINATE");
    server.wait_for("[+] Server is shut down");
}

#[test]
fn a_terminal_that_does_not_block_is_like_any_other() {
    talk_goes_on(BEFORE, Duration::ZERO);
}

#[test]
fn a_terminal_that_is_set_not_to_block_later_is_like_any_other() {
    talk_goes_on(MEANWHILE, Duration::from_secs(3));
}
