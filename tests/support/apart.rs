//! A network of a test's own, where it can say that the network has changed: then clients that wait ever longer between
//! their attempts to be back try at once, and a hundred rounds take minutes and not hours.

use std::env;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

/// Says to a test that it has a network of its own.
const APART: &str = "CFB_CHAT_TEST_APART";

/// Whoever waits for the network is told of it this often.
const TELL_EVERY: Duration = Duration::from_millis(300);

/// Whether the test that asks has a network (and mounts) of its own.
pub fn is_apart() -> bool {
    env::var_os(APART).is_some()
}

/// Runs this test, by its full name, in namespaces of its own if the system lets anybody make them. Gives whether that
/// was done, and there is nothing more to do.
pub fn runs_apart(test: &str) -> bool {
    if is_apart() {
        return false;
    }
    let can = Command::new("unshare").args(["-Urmn", "sh", "-c", "ip link set lo up"]).output();
    if !can.is_ok_and(|tried| tried.status.success()) {
        println!("NOT APART: no namespaces for {test} here; it takes longer, or tests less");
        return false;
    }
    let own = env::current_exe().expect("a test is a program");
    let mut command = Command::new("unshare");
    command.env(APART, "1");
    command.args(["--user", "--map-root-user", "--mount", "--net", "sh", "-c"]);
    command.arg("ip link set lo up && exec \"$0\" \"$@\"").arg(own).args(["--exact", test, "--nocapture"]);
    let ended = command.stdin(Stdio::null()).output().expect("it was there a moment ago");
    println!("{}", String::from_utf8_lossy(&ended.stdout));
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    true
}

/// Whoever waits for the network is told, again and again until this is dropped, that it has changed; if it is the test's
/// own.
pub struct Telling {
    _stop: Sender<()>,
}

impl Telling {
    pub fn begin() -> Self {
        let (stop, stopped) = mpsc::channel();
        thread::spawn(move || {
            while is_apart() && stopped.recv_timeout(TELL_EVERY) == Err(RecvTimeoutError::Timeout) {
                for change in ["add", "del"] {
                    let told = Command::new("ip").args(["address", change, "10.9.8.7/32", "dev", "lo"]).status();
                    assert!(told.is_ok_and(|status| status.success()), "the network is ours");
                }
            }
        });
        Self { _stop: stop }
    }
}
