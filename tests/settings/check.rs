//! `server --check`: it says what is, what is wrong and what is odd, and leaves everything as it is.

use std::fs;

use super::{checked, is_from};
use crate::support::folder::{Folder, SERVER, USER_A};

#[test]
fn it_makes_nothing_and_tells_where_all_is_from() {
    let folder = Folder::empty();
    let ended = checked(folder.path(), &["--access", "invite", "--unused-names", "30"], &[]);
    is_from(&ended, "access", "\"invite\"", "command line");
    is_from(&ended, "unused-names", "30", "command line");
    is_from(&ended, "port", "9443", "default");
    assert!(ended.out.contains("# public-address is not set"), "{}", ended.out);
    assert_eq!(ended.err, "");
    assert_eq!(folder.names(), [""; 0]);
}

#[test]
fn wrong_usage_is_exit_2() {
    let folder = Folder::empty();
    let wrong: [&[&str]; 8] = [
        &["--access", "all"],
        &["--unused-names", "0"],
        &["--unused-names", "36501"],
        &["--public-address", "a b"],
        &["--public-address", "host:0"],
        &["--public-address", "exämple.org"],
        &["--udp=perhaps"],
        &["--prot", "1"],
    ];
    for arguments in wrong {
        let ended = checked(folder.path(), arguments, &[]);
        assert_eq!((ended.status, &*ended.out), (Some(2), ""), "{arguments:?}");
    }
}

#[test]
fn keys_and_data_that_cannot_be_used_are_told_and_left() {
    let folder = Folder::of_server(SERVER);
    let look = |arguments: &[&str]| checked(folder.path(), &[&["--keys", "."], arguments].concat(), &[]);
    assert_eq!(look(&[]).status, Some(0));
    folder.write("server_public_key.pem", "none", 0o644);
    assert_eq!(look(&[]).status, Some(3));
    fs::remove_file(folder.file("server_public_key.pem")).expect("it is there");
    folder.write("server_private_key.pem", SERVER, 0o644);
    let ended = look(&[]);
    assert_eq!(ended.status, Some(3));
    assert!(ended.err.contains("can be read by others (mode 0644)\nhint: chmod 600 "), "{}", ended.err);
    assert!(ended.out.contains("port = 9443"), "the settings are told all the same: {}", ended.out);
    folder.write("server_private_key.pem", USER_A, 0o600);

    folder.write("file", "", 0o600);
    for data in ["file", "file/below"] {
        let ended = look(&["--data", data]);
        assert_eq!(ended.status, Some(5), "{}", ended.err);
    }
    fs::create_dir(folder.file("data")).expect("a folder");
    folder.write("data/journal.db", "", 0o644);
    let ended = look(&[]);
    assert_eq!(ended.status, Some(5));
    assert!(ended.err.contains("journal.db can be read by others"), "{}", ended.err);
    folder.write("data/journal.db", "", 0o600);
    assert_eq!(look(&[]).status, Some(0));
    let ended = look(&["--passphrase-file", "missing"]);
    assert_eq!(ended.status, Some(3), "{}", ended.err);
    let names = folder.inside("data").names();
    assert_eq!((names, folder.read("data/journal.db")), (vec!["journal.db".to_owned()], String::new()));
    assert_eq!(folder.names(), ["data", "file", "server_private_key.pem"]);
}

#[test]
fn a_server_for_all_addresses_without_a_name_for_itself_is_warned_of() {
    let folder = Folder::empty();
    for host in ["0.0.0.0", "::", "[::]"] {
        let ended = checked(folder.path(), &["--host", host], &[]);
        assert_eq!(ended.status, Some(0));
        assert!(
            ended.err.starts_with("warning: invitations would name this machine's host name\nhint: "),
            "{}",
            ended.err
        );
        let named = checked(folder.path(), &["--host", host, "--public-address", "chat.example.org"], &[]);
        assert_eq!((named.status, &*named.err), (Some(0), ""));
    }
}
