//! What the server is started with: the line, the environment and a file, which of them counts, what is said of one that
//! is wrong, and what changes when it is read again.

mod check;
mod files;
mod inherited;
mod reload;

use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::process::{Exit, SERVER_PROGRAM};

/// What `server --check` says, with these arguments too, in this folder and with this environment.
fn checked(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Exit {
    let mut command = Command::new(SERVER_PROGRAM);
    for variable in ["CFB_CHAT_KEYS", "CFB_CHAT_DATA", "CFB_CHAT_CONFIG"] {
        command.env_remove(variable);
    }
    let command = command.current_dir(folder).arg("--check").args(arguments).envs(environment.iter().copied());
    let output = command.stdin(Stdio::null()).output().expect("the program starts");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Exit { status: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// A setting among those that were printed: its value, and where it is from.
fn setting(ended: &Exit, key: &str) -> (String, String) {
    assert_eq!(ended.status, Some(0), "{}", ended.err);
    let line = ended.out.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "));
    let (value, from) =
        line.unwrap_or_else(|| panic!("no {key} in\n{}", ended.out)).split_once("  # ").expect("a place");
    (value.trim_end().to_owned(), from.to_owned())
}

/// The same, to compare; of a path, which is printed whole, the end.
fn is_from(ended: &Exit, key: &str, value: &str, from: &str) {
    let (found, place) = setting(ended, key);
    let is_path = matches!(key, "keys" | "data" | "passphrase-file");
    let is_it = if is_path {
        found == value || found.starts_with("\"/") && found.ends_with(&format!("/{}", value.trim_start_matches('"')))
    } else {
        found == value
    };
    assert!(is_it && place == from, "{key} = {found}  # {place}: not {value}  # {from}");
}
