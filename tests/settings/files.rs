//! The file: a key for each flag, what counts when several have something to say, and what is wrong with it.

use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use super::{checked, is_from, setting};
use crate::support::folder::Folder;
use crate::support::process::{CLIENT_PROGRAM, Process, SERVER_PROGRAM};

/// Flags that settle nothing.
const NO_SETTINGS: [&str; 4] = ["config", "check", "help", "version"];

/// The long flags, from the program's own help.
fn flags(folder: &Folder) -> Vec<String> {
    let help = checked(folder.path(), &["--help"], &[]).out;
    let (options, _) = help.split_once("\nExamples:").expect("it has examples");
    let flag = |line: &str| {
        let line = line.trim_start();
        let long =
            line.strip_prefix("--").or_else(|| line.get(4..)?.strip_prefix("--").filter(|_| line.starts_with('-')))?;
        Some(long.split(|char: char| !char.is_alphanumeric() && char != '-').next()?.to_owned())
    };
    let flags: Vec<String> = options.lines().filter_map(flag).collect();
    assert!(flags.len() >= 19, "{flags:?} in\n{options}");
    flags
}

#[test]
fn each_flag_has_its_key() {
    let folder = Folder::empty();
    let secret = folder.write("secret", "word\n", 0o600);
    let default = checked(folder.path(), &[], &[]);
    for key in flags(&folder) {
        if NO_SETTINGS.contains(&&*key) {
            continue;
        }
        let value = match &*key {
            "passphrase-file" => format!("\"{}\"", secret.display()),
            "public-address" => "\"chat.example.org:9443\"".into(),
            key => setting(&default, key).0,
        };
        folder.write("chat.toml", format!("\n{key} = {value}\n"), 0o600);
        let ended = checked(folder.path(), &["--config", "chat.toml"], &[]);
        is_from(&ended, &key, &value, "chat.toml:2");
    }
}

#[test]
fn what_check_prints_is_a_file_that_settles_the_same() {
    let folder = Folder::empty();
    let arguments =
        ["-p", "1234", "--udp", "--data", "a \"b\" \\ c", "--host", "::1", "--public-address", "2001:db8::1"];
    let printed = checked(folder.path(), &arguments, &[]);
    let bare = |out: &str| -> Vec<String> {
        out.lines().map(|line| line.split("  # ").next().unwrap_or_default().trim_end().to_owned()).collect()
    };
    folder.write("chat.toml", &printed.out, 0o600);
    let again = checked(folder.path(), &["--config", "chat.toml"], &[]);
    assert_eq!(again.status, Some(0), "{}", again.err);
    assert_eq!(bare(&again.out), bare(&printed.out));
    is_from(&again, "public-address", "\"2001:db8::1\"", "chat.toml:3");
}

#[test]
fn the_line_comes_first_then_the_environment_then_the_file() {
    let folder = Folder::empty();
    let file = "keys = \"of-file\"\ndata = \"of-file\"\nport = 1\nudp = true\nlimits = \"off\"\n";
    folder.write("chat.toml", file, 0o600);
    let environment = [("CFB_CHAT_CONFIG", "chat.toml"), ("CFB_CHAT_KEYS", "of-env"), ("CFB_CHAT_DATA", "of-env")];
    let ended = checked(folder.path(), &["--keys", "of-line", "-p", "2", "--udp=false"], &environment);
    is_from(&ended, "keys", "\"of-line\"", "command line");
    is_from(&ended, "port", "2", "command line");
    is_from(&ended, "udp", "false", "command line");
    is_from(&ended, "data", "\"of-env\"", "environment, CFB_CHAT_DATA");
    is_from(&ended, "limits", "\"off\"", "chat.toml:5");
    is_from(&ended, "journal", "\"disk\"", "default");
    let ended = checked(folder.path(), &[], &environment[..1]);
    is_from(&ended, "keys", "\"of-file\"", "chat.toml:1");
    is_from(&ended, "data", "\"of-file\"", "chat.toml:2");
    is_from(&ended, "udp", "true", "chat.toml:4");
    folder.write("other.toml", "port = 3", 0o600);
    is_from(&checked(folder.path(), &["--config", "other.toml"], &environment), "port", "3", "other.toml:1");
}

#[test]
fn a_relative_path_begins_at_the_files_folder() {
    let folder = Folder::empty();
    std::fs::create_dir(folder.file("etc")).expect("a folder");
    folder.write("etc/chat.toml", "keys = \"keys\"\ndata = \"/srv/chat\"\n", 0o600);
    let ended = checked(folder.path(), &["--config", "etc/chat.toml"], &[]);
    is_from(&ended, "keys", "\"etc/keys\"", "etc/chat.toml:1");
    is_from(&ended, "data", "\"/srv/chat\"", "etc/chat.toml:2");
    let ended = checked(folder.path(), &["--config", "etc/chat.toml", "--keys", "keys"], &[]);
    is_from(&ended, "keys", "\"keys\"", "command line");
}

#[test]
fn what_is_wrong_in_a_file_is_told_with_its_line() {
    let folder = Folder::empty();
    let cases: [(&str, &str, &str); 29] = [
        ("\n\n\n\n\n\nport = 99999", "7: port: 99999 is not in 0..=65535", "port is --port"),
        ("port = -1", "1: port: -1 is not in 0..=65535", ""),
        ("port = 99999999999999999999", "1: port: ", ""),
        ("port = \"9443\"", "1: port: a text in quotes where a number is wanted", "port = 9443"),
        ("port = 94.43", "1: port: a number where a number is wanted", "port = 9443"),
        ("port = true", "1: port: true or false where a number is wanted", "port = 9443"),
        ("port = [1]", "1: port: a list where a number is wanted", "port = 9443"),
        ("port = 1979-05-27", "1: port: a date where a number is wanted", "port = 9443"),
        ("host = 1", "1: host: a number where a text in quotes is wanted", "host = \"127.0.0.1\""),
        ("udp = \"true\"", "1: udp: a text in quotes where true or false is wanted", "udp = false"),
        ("limits = false", "1: limits: true or false where a text in quotes is wanted", "limits = \"on\""),
        ("limits = \"of\"", "1: limits: of is none of on, off", "did you mean off?"),
        ("bits = 1024", "1: bits: 1024 is none of 2048, 3072, 4096", ""),
        ("access = \"all\"", "1: access: all is none of open, invite, closed", ""),
        ("unused-names = 0", "1: unused-names: 0 is not in 1..=36500", ""),
        ("data = \"\"", "1: data: it is empty", ""),
        ("host = \"a:1\"", "1: host: the port goes apart", ""),
        ("public-address = \"a b\"", "1: public-address: a b is no host's name or address", ""),
        ("host = \"\\u001b[2J:1\"", "1: host: the port goes apart: <U+001B>[2J", ""),
        ("# a word\nprot = 1", "2: prot: no such setting", "did you mean port?"),
        ("log_level = \"info\"", "1: log_level: no such setting", "did you mean log-level?"),
        ("\"a=b\" = 1", "1: a=b: no such setting", "each long flag is a key"),
        ("port = 1\nport = 2", "2: duplicate key", ""),
        ("port = 1\n[server]\nhost = \"::\"", "2: server: there are no tables here", "all keys stand at the top"),
        ("port.of.server = 1", "1: port: there are no tables here", ""),
        ("port = 1\ncheck = true", "2: check: is for the command line alone", ""),
        ("config = \"x\"", "1: config: is for the command line alone", ""),
        ("help = true\nversion = true", "1: help: is for the command line alone", ""),
        ("port = 1\nport", "2: ", "a line is: key = value"),
    ];
    for (text, what, hint) in cases {
        folder.write("chat.toml", text, 0o600);
        let ended = checked(folder.path(), &["--config", "chat.toml"], &[]);
        assert_eq!((ended.status, &*ended.out), (Some(2), ""), "{text:?}: {}", ended.err);
        assert!(ended.err.starts_with(&format!("error: chat.toml:{what}")), "{text:?}: {}", ended.err);
        assert!(ended.err.contains(&format!("\nhint: {hint}")), "{text:?}: {}", ended.err);
        assert_eq!(ended.err.lines().count(), 2, "{}", ended.err);
    }
}

#[test]
fn what_the_line_settles_is_still_looked_at_in_the_file() {
    let folder = Folder::empty();
    folder.write("chat.toml", "port = 99999", 0o600);
    let ended = checked(folder.path(), &["--config", "chat.toml", "-p", "1"], &[]);
    assert_eq!(ended.status, Some(2));
    assert!(ended.err.starts_with("error: chat.toml:1: port: "), "{}", ended.err);
}

#[test]
fn a_file_that_cannot_be_read_is_exit_2_and_said_so() {
    let folder = Folder::empty();
    std::fs::create_dir(folder.file("folder")).expect("a folder");
    symlink("nowhere", folder.file("dangling")).expect("a link");
    folder.write("large", format!("#{}", "x".repeat(64 * 1_024)), 0o600);
    folder.write("bytes", b"host = \"\xff\"", 0o600);
    let cases = [
        ("missing", "No such file"),
        ("dangling", "No such file"),
        ("folder", "it is a folder"),
        ("/dev/null", "it is no file"),
        ("large", "it is too large: 64 KiB at most"),
        ("bytes", "it is no text in UTF-8"),
    ];
    for (file, why) in cases {
        let ended = checked(folder.path(), &["--config", file], &[]);
        assert_eq!((ended.status, &*ended.out), (Some(2), ""), "{file}: {}", ended.err);
        assert!(ended.err.starts_with(&format!("error: cannot read {file}: {why}")), "{}", ended.err);
        assert!(ended.err.contains("\nhint: "), "{}", ended.err);
    }
    folder.write("largest", format!("#{}", "x".repeat(64 * 1_024 - 1)), 0o600);
    assert_eq!(checked(folder.path(), &["--config", "largest"], &[]).status, Some(0));
}

#[test]
fn an_empty_variable_is_not_set_and_an_error_names_the_variable_it_is_from() {
    let folder = Folder::empty();
    let empty = [("CFB_CHAT_CONFIG", ""), ("CFB_CHAT_KEYS", ""), ("CFB_CHAT_DATA", "")];
    let ended = checked(folder.path(), &[], &empty);
    is_from(&ended, "keys", "\"keys\"", "default");
    is_from(&ended, "data", "\"data\"", "default");
    folder.write("chat.toml", "keys = \"of-file\"\nport = 1\ndata = \"/dev/null/of-file\"\n", 0o600);
    let ended = checked(folder.path(), &["--config", "chat.toml"], &[("CFB_CHAT_DATA", ""), ("CFB_CHAT_KEYS", "")]);
    assert!(ended.out.contains("/of-file\"") && ended.out.contains("# chat.toml:1"), "{}", ended.out);
    assert_eq!(ended.status, Some(5), "{}", ended.err);
    assert!(ended.err.ends_with("\nnote: data comes from chat.toml:3\n"), "{}", ended.err);

    let wrong: [(&str, &str, i32); 3] = [
        ("CFB_CHAT_KEYS", "/dev/null/keys", 3),
        ("CFB_CHAT_DATA", "/dev/null/data", 5),
        ("CFB_CHAT_CONFIG", "/dev/null/chat.toml", 2),
    ];
    for (variable, value, status) in wrong {
        let ended = checked(folder.path(), &[], &[(variable, value)]);
        assert_eq!(ended.status, Some(status), "{}", ended.err);
        assert!(ended.err.contains(value) && ended.err.contains(variable), "{}", ended.err);
        let flag = format!("--{}", variable.strip_prefix("CFB_CHAT_").unwrap().to_lowercase());
        let ended = checked(folder.path(), &[&flag, value], &[]);
        assert_eq!(ended.status, Some(status), "{}", ended.err);
        assert!(!ended.err.contains("CFB_CHAT"), "{}", ended.err);
    }

    let client = |keys: &str| {
        let mut client = Command::new(CLIENT_PROGRAM);
        client.args(["-p", "1", "-u", "Ira", "--bits", "2048"]).env("CFB_CHAT_KEYS", keys).current_dir(folder.path());
        let output = client.stdin(Stdio::null()).output().expect("the program starts");
        (output.status.code(), String::from_utf8(output.stderr).expect("text"))
    };
    let (status, err) = client("");
    assert_eq!((status, folder.inside("keys").names().len()), (Some(4), 2), "{err}");
    let (status, err) = client("/dev/null/keys");
    assert_eq!(status, Some(3), "{err}");
    assert!(err.ends_with("\nnote: keys comes from environment, CFB_CHAT_KEYS\n"), "{err}");
}

#[test]
fn a_path_is_a_path_however_it_begins() {
    for name in ["file:x", "file:x?mode=memory", "file:///tmp/x", ":memory:", "a?b#c%41"] {
        let all = Folder::empty();
        let mut server = Command::new(SERVER_PROGRAM);
        server.args(["-p", "0", "--bits", "2048", "--data", name]).current_dir(all.path());
        let server = Process::start(&mut server);
        server.out.wait_for("[+] Running on port: ");
        let data = all.inside(name);
        assert_eq!(data.names(), ["chat.db", "chat.db-wal", "journal.db", "journal.db-wal"], "{name}");
    }
}
