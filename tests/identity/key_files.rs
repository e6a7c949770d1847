//! Key pairs that are made, and those that are brought along.

use std::ffi::OsStr;
use std::thread;

use super::openssl::{make_key, openssl};
use crate::support::folder::Folder;
use crate::support::peer::{BORIS, Peer};
use crate::support::process::{CLIENT_PROGRAM, Client, Exit, Server, run, run_client};
use crate::support::wire::DeafPort;

/// Lets a user's key pair be made or loaded, and no more.
fn load(folder: &Folder, name: &str, more: &[&str]) -> Exit {
    let nobody = DeafPort::take();
    let bits = if more.contains(&"--bits") { &[][..] } else { &["--bits", "2048"] };
    let ended = run_client(folder, &[&["-p", &nobody.port, "-u", name], bits, more].concat(), "");
    assert_eq!(ended.status, Some(4), "{}", ended.err);
    ended
}

#[test]
fn a_new_key_pair_is_its_owners_alone_whatever_the_umask() {
    let all = Folder::empty();
    let keys = all.inside("not/there/yet");
    let script = "umask 000; exec \"$0\" -p \"$1\" -u Ira --bits 2048 --keys \"$2\"";
    let nobody = DeafPort::take();
    let words = ["-c", script, CLIENT_PROGRAM, &nobody.port].map(OsStr::new);
    let ended = run("sh", &[&words[..], &[keys.path().as_os_str()]].concat(), "");
    assert_eq!(ended.status, Some(4), "{}", ended.err);
    let files = [".", "client_Ira_private_key.pem", "client_Ira_public_key.pem"];
    assert_eq!(files.map(|file| keys.mode(file)), [0o700, 0o600, 0o644]);
    assert!(ended.err.starts_with("[!] New key pair in ") && ended.err.contains("\n    SHA256:"), "{}", ended.err);
}

#[test]
fn a_key_pair_is_made_once_and_loaded_ever_after() {
    let folder = Folder::empty();
    let files = ["client_Ira_private_key.pem", "client_Ira_public_key.pem"];
    assert!(load(&folder, "Ira", &[]).err.contains("[!] New key pair"));
    let first = files.map(|file| folder.read(file));
    assert!(!load(&folder, "Ira", &["--bits", "4096"]).err.contains("New key pair"));
    assert_eq!(files.map(|file| folder.read(file)), first);
    assert_eq!(folder.names(), files, "and nothing is left beside them");

    std::fs::remove_file(folder.file(files[1])).expect("it was there");
    assert!(!load(&folder, "Ira", &[]).err.contains("New key pair"));
    assert_eq!(files.map(|file| folder.read(file)), first, "the public half is written anew from the private one");

    assert!(load(&folder, "Boris", &[]).err.contains("[!] New key pair"), "another user has another");
    assert_eq!(files.map(|file| folder.read(file)), first);
}

#[test]
fn a_server_is_the_same_when_it_is_started_again_and_another_in_another_folder() {
    let (one, other) = (Folder::empty(), Folder::empty());
    let start = |folder: &Folder| {
        let server = Server::start_in(folder.inside("keys"), &["-p", "0", "--bits", "2048"]);
        fingerprint_of(&server)
    };
    let first = start(&one);
    assert_eq!(first, start(&one));
    assert_ne!(first, start(&other));
    let files = [".", "server_private_key.pem", "server_public_key.pem"];
    assert_eq!(files.map(|file| one.inside("keys").mode(file)), [0o700, 0o600, 0o644]);
}

/// As its log has it.
fn fingerprint_of(server: &Server) -> String {
    let line = server.wait_for_log("[+] Fingerprint: SHA256:");
    line.rsplit(' ').next().expect("a last word").to_owned()
}

#[test]
fn openssl_takes_the_keys_that_are_made() {
    let folder = Folder::empty();
    load(&folder, "Ira", &[]);
    let private = folder.file("client_Ira_private_key.pem");
    assert!(openssl("pkey -in FILE -check -noout", &private).contains("Key is valid"));
    let public = openssl("pkey -in FILE -pubout", &private);
    assert_eq!(public, folder.read("client_Ira_public_key.pem"));
    assert!(openssl("pkey -in FILE -text -noout", &private).contains("2048 bit"));
}

#[test]
fn a_key_made_with_a_passphrase_is_encrypted_and_openssl_opens_it() {
    let folder = Folder::empty();
    let passphrase = folder.write("passphrase", "correct horse\nbattery staple\n", 0o600);
    let more = ["--passphrase-file", passphrase.to_str().expect("UTF-8")];
    load(&folder, "Ira", &more);
    let pem = folder.read("client_Ira_private_key.pem");
    assert!(pem.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"), "{pem}");
    let private = folder.file("client_Ira_private_key.pem");
    let words = ["pkey", "-check", "-noout", "-passin", "pass:correct horse", "-in"].map(OsStr::new);
    let ended = run("openssl", &[&words[..], &[private.as_os_str()]].concat(), "");
    assert_eq!(ended.status, Some(0), "{}", ended.err);
    assert!(!load(&folder, "Ira", &more).err.contains("New key pair"));
}

#[test]
fn keys_of_openssl_are_taken_encrypted_ones_with_their_passphrase() {
    let server = Server::start();
    let mut listener = Peer::join(server.port, &BORIS, "listener");
    let port = server.port.to_string();
    let cases = [
        ("plain-2048", "-pkeyopt rsa_keygen_bits:2048", None),
        ("plain-3072", "-pkeyopt rsa_keygen_bits:3072", None),
        ("locked", "-pkeyopt rsa_keygen_bits:2048 -aes-256-cbc -pass pass:sesame", Some("sesame")),
    ];
    for (name, arguments, passphrase) in cases {
        let folder = Folder::empty();
        make_key(&folder, name, arguments);
        let before = folder.read(&format!("client_{name}_private_key.pem"));
        let file = folder.write("passphrase", passphrase.unwrap_or_default(), 0o600);
        let with = ["--passphrase-file", file.to_str().expect("UTF-8")];
        let more = if passphrase.is_some() { &with[..] } else { &[] };
        let ended = run_client(&folder, &[&["-p", &port, "-u", name], more].concat(), "Hi\n");
        assert_eq!(ended.status, Some(0), "{name}: {}", ended.err);
        assert_eq!(listener.hears_said().1, "Hi", "{name}");
        assert_eq!(folder.read(&format!("client_{name}_private_key.pem")), before, "{name}: left as it was");
    }
}

#[test]
fn clients_that_start_at_once_in_an_empty_folder_make_one_key_pair_and_all_use_it() {
    const CLIENTS: usize = 8;
    let server = Server::start();
    let all = Folder::empty();
    let keys = || all.inside("keys");
    let start = |_| Client::start(server.port, "Ira", keys(), &["--bits", "2048"]);
    let mut clients: Vec<Client> = (0..CLIENTS).map(start).collect();

    // Each replaces the one before; somebody with another key would be told that the name is taken.
    server.process.err.wait_for_times("[+] Ira left the server.", CLIENTS - 1);
    for client in &mut clients {
        client.says("EXIT");
    }
    let ended: Vec<Exit> = clients.iter_mut().map(|client| client.process.wait()).collect();
    let count = |status| ended.iter().filter(|ended| ended.status == Some(status)).count();
    assert_eq!((count(0), count(7)), (1, CLIENTS - 1), "{ended:#?}");
    assert_eq!(ended.iter().filter(|ended| ended.err.contains("New key pair")).count(), 1, "{ended:#?}");

    let names = ["client_Ira_private_key.pem", "client_Ira_public_key.pem", "known_servers"];
    assert_eq!(keys().names(), names, "nothing is left beside them");
    assert_eq!(keys().read("known_servers").lines().count(), 1, "one line, whoever wrote it");
    assert!(openssl("pkey -in FILE -check -noout", &keys().file(names[0])).contains("Key is valid"));
}

#[test]
fn servers_that_start_at_once_in_an_empty_folder_are_the_same_server() {
    let all = &Folder::empty();
    // Each with data of its own: those are one server's.
    let start = |number: usize| {
        let data = all.file(&format!("data-{number}"));
        let data = data.to_str().expect("text");
        Server::start_in(all.inside("keys"), &["-p", "0", "--bits", "2048", "--data", data])
    };
    let servers: Vec<Server> = thread::scope(|scope| {
        let starting: Vec<_> = (0..4).map(|number| scope.spawn(move || start(number))).collect();
        starting.into_iter().map(|server| server.join().expect("it starts")).collect()
    });
    let fingerprints: Vec<String> = servers.iter().map(fingerprint_of).collect();
    assert!(fingerprints.iter().all(|other| *other == fingerprints[0]), "{fingerprints:?}");
    assert_eq!(all.inside("keys").names(), ["server_private_key.pem", "server_public_key.pem"]);
}

#[test]
fn names_cannot_leave_the_folder() {
    let all = Folder::empty();
    let keys = all.inside("keys");
    let names = ["x/../evil", "x/../../evil", "a/b", "a..", "_."];
    for name in names {
        load(&keys, name, &[]);
    }
    assert_eq!(all.names(), ["keys"]);
    assert_eq!(keys.names().len(), 2 * names.len(), "{:?}", keys.names());
}
