//! Keys where services find them: handed over by root, on disks that take no writes, behind pipes.
//!
//! Tests that hand a file from root to a service need root. Elsewhere they say that they have tested nothing.

use std::ffi::{OsStr, OsString};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{XattrFlags, setxattr};
use rustix::process::geteuid;

use super::openssl::openssl;
use crate::support::folder::{Folder, SERVER, USER_A, identity};
use crate::support::process::{CLIENT_PROGRAM, Exit, SERVER_PROGRAM, Server, run, run_client, run_server};
use crate::support::wire::DeafPort;

/// User and groups of the service; the second is the one that secrets are given to.
const SERVICE: u32 = 970;
const GROUP: u32 = 2_970;
const STRANGER: u32 = 971;

fn is_root() -> bool {
    let is_root = geteuid().is_root();
    if !is_root {
        eprintln!("NOT TESTED: only root can hand a file over");
    }
    is_root
}

/// Runs a program as the service; as the user of the tests, where that is not root.
fn run_as_service(program: &str, arguments: &[&OsStr]) -> Exit {
    if !geteuid().is_root() {
        return run(program, arguments, "");
    }
    let (user, group) = (format!("--reuid={SERVICE}"), format!("--regid={SERVICE}"));
    let groups = format!("--groups={GROUP}");
    let words = [user.as_str(), &group, &groups, program].map(OsStr::new);
    run("setpriv", &[&words[..], arguments].concat(), "")
}

/// A folder that every user can enter, for folders of keys that only some can.
fn passage() -> Folder {
    let folder = Folder::empty();
    set_mode(folder.path(), 0o755);
    folder
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("it is ours");
}

/// Makes a folder of the service's, unless it is there.
fn service_folder(path: PathBuf) -> PathBuf {
    fs::create_dir_all(&path).expect("a folder");
    if geteuid().is_root() {
        chown(&path, Some(SERVICE), Some(SERVICE)).expect("root can");
    }
    path
}

/// Runs both programs on their keys as the service: the server's check, and a client without a server.
fn run_both(keys: &Folder, more: &[&str]) -> [(Exit, i32); 2] {
    let nobody = DeafPort::take();
    let data = service_folder(keys.path().with_extension("data"));
    let (keys, data) = (keys.path().as_os_str(), data.as_os_str());
    let more: Vec<&OsStr> = more.iter().map(OsStr::new).collect();
    let server = ["--check", "-p", "0", "--keys"].map(OsStr::new);
    let client = ["-u", "Ira", "-p", &nobody.port, "--keys"].map(OsStr::new);
    [
        (run_as_service(SERVER_PROGRAM, &[&server[..], &[keys, OsStr::new("--data"), data], &more].concat()), 0),
        (run_as_service(CLIENT_PROGRAM, &[&client[..], &[keys], &more].concat()), 4),
    ]
}

#[track_caller]
fn taken(what: &str, keys: &Folder, more: &[&str]) {
    for (ended, expected) in run_both(keys, more) {
        assert_eq!(ended.status, Some(expected), "{what}: {}", ended.err);
        assert!(!ended.err.contains("New key pair"), "{what}: {}", ended.err);
    }
}

#[track_caller]
fn refused(what: &str, keys: &Folder, why: &[&str]) {
    for (ended, _) in run_both(keys, &[]) {
        assert_eq!(ended.status, Some(3), "{what}: {}", ended.err);
        for part in why {
            assert!(ended.err.contains(part), "{what}: no {part:?} in\n{}", ended.err);
        }
    }
}

const FILES: [(&str, &str); 2] = [("server_private_key.pem", SERVER), ("client_Ira_private_key.pem", USER_A)];

/// A folder with both private keys alone, in a passage.
fn keys_in(passage: &Folder, name: &str, mode: u32) -> Folder {
    let keys = passage.inside(name);
    fs::create_dir(keys.path()).expect("a folder");
    for (file, pem) in FILES {
        keys.write(file, pem, mode);
    }
    keys
}

/// Gives a file or folder the access control list that systemd gives a credential: owner and these users.
fn let_in(path: &Path, users: &[u32], rights: u16) {
    let entry =
        |tag: u16, rights: u16, id: u32| [&tag.to_le_bytes()[..], &rights.to_le_bytes(), &id.to_le_bytes()].concat();
    let none = u32::MAX;
    let mut list = [&2u32.to_le_bytes()[..], &entry(0x01, rights, none)].concat();
    list.extend(users.iter().flat_map(|user| entry(0x02, rights, *user)));
    for (tag, rights) in [(0x04, 0), (0x10, rights), (0x20, 0)] {
        list.extend(entry(tag, rights, none));
    }
    setxattr(path, "system.posix_acl_access", &list, XattrFlags::empty()).expect("the disk has lists");
}

#[test]
fn a_credential_of_systemd_is_taken_as_it_is() {
    if !is_root() {
        return;
    }
    let passage = passage();
    let keys = keys_in(&passage, "credentials", 0o400);
    for (file, _) in FILES {
        let_in(&keys.file(file), &[SERVICE], 4);
        assert_eq!(keys.mode(file), 0o440, "as the nine bits show it");
    }
    let_in(keys.path(), &[SERVICE], 5);
    taken("a list with the service", &keys, &[]);
    assert_eq!(keys.names().len(), 2, "and nothing is written");
    for (file, _) in FILES {
        let_in(&keys.file(file), &[SERVICE, STRANGER], 4);
    }
    refused("a list with another user", &keys, &["can be read by others (mode 0440)", "hint: as root: chown 970 '"]);
}

#[test]
fn a_secret_of_kubernetes_is_taken_as_it_is() {
    if !is_root() {
        return;
    }
    let passage = passage();
    let real = keys_in(&passage, "..2026_12_01", 0o440);
    for (file, _) in FILES {
        chown(real.file(file), Some(0), Some(GROUP)).expect("root can");
    }
    let keys = passage.inside("secret");
    fs::create_dir(keys.path()).expect("a folder");
    symlink("../..2026_12_01", keys.file("..data")).expect("a link");
    for (file, _) in FILES {
        symlink(Path::new("..data").join(file), keys.file(file)).expect("a link");
    }
    taken("root's file for the service's group", &keys, &[]);
    for (file, _) in FILES {
        set_mode(&real.file(file), 0o444);
    }
    refused("a file for all", &keys, &["can be read by others (mode 0444)", "hint: as root: chmod 440 '"]);
    taken("a file for all, if that is allowed", &keys, &["--allow-readable-secrets"]);
    for (file, _) in FILES {
        set_mode(&real.file(file), 0o460);
    }
    refused("a file that the group writes", &keys, &["can be read by others (mode 0460)"]);
}

#[test]
fn a_secret_on_a_disk_that_takes_no_writes_is_refused_with_a_hint_that_can_be_followed() {
    if !is_root() {
        return;
    }
    // The folder of a Kubernetes secret: all can write it by its mode, and none by its mount.
    let script = "mount -t tmpfs none \"$1\" && cp \"$2\" \"$1/server_private_key.pem\" && chmod 1777 \"$1\" && \
                  chmod \"$3\" \"$1/server_private_key.pem\" && mount -o remount,ro \"$1\" && shift 3 && exec \"$@\"";
    let passage = passage();
    let (mount, key) = (passage.inside("mount"), passage.write("key", SERVER, 0o600));
    fs::create_dir(mount.path()).expect("a folder");
    let run_on = |mode: &str, more: &[&str]| {
        let data = passage.file("data");
        let mut words = ["--mount", "sh", "-c", script, "sh"].map(OsString::from).to_vec();
        words.extend([mount.path().into(), key.clone().into(), mode.into(), SERVER_PROGRAM.into(), "--check".into()]);
        words.extend(["-p".into(), "0".into(), "--keys".into(), mount.path().into(), "--data".into(), data.into()]);
        words.extend(more.iter().map(OsString::from));
        run("unshare", &words, "")
    };
    let ended = run_on("0400", &[]);
    if ended.status != Some(0) && ended.err.contains("mount") {
        eprintln!("NOT TESTED: nothing can be mounted here: {}", ended.err);
        return;
    }
    assert_eq!(ended.status, Some(0), "{}", ended.err);
    let ended = run_on("0444", &[]);
    assert_eq!(ended.status, Some(3), "{}", ended.err);
    for part in ["can be read by others (mode 0444)", "takes no writes", "defaultMode", "--allow-readable-secrets"] {
        assert!(ended.err.contains(part), "no {part:?} in\n{}", ended.err);
    }
    assert!(!ended.err.contains("hint: chmod"), "{}", ended.err);
    assert_eq!(run_on("0444", &["--allow-readable-secrets"]).status, Some(0));
}

#[test]
fn readable_secrets_are_taken_if_that_is_allowed_and_only_then() {
    let folder = Folder::of_user("Ira", USER_A);
    set_mode(&folder.file("client_Ira_private_key.pem"), 0o644);
    let word = folder.write("word", "sesame sesame\n", 0o644);
    let word = word.to_str().expect("UTF-8");
    let nobody = DeafPort::take();
    let arguments = ["-p", &nobody.port, "-u", "Ira", "--password-file", word];
    let ended = run_client(&folder, &arguments, "");
    assert_eq!(ended.status, Some(3), "{}", ended.err);
    for allowed in ["--allow-readable-secrets", "--allow-readable-secrets=true"] {
        let ended = run_client(&folder, &[&arguments[..], &[allowed]].concat(), "");
        assert_eq!(ended.status, Some(4), "{}", ended.err);
    }
    let ended = run_client(&folder, &[&arguments[..], &["--allow-readable-secrets=false"]].concat(), "");
    assert_eq!(ended.status, Some(3), "{}", ended.err);
    let server = Folder::of_server(SERVER);
    set_mode(&server.file("server_private_key.pem"), 0o644);
    let settings = server.write("chat.toml", "allow-readable-secrets = true\n", 0o600);
    assert_eq!(run_server(&server, &["--check"]).status, Some(3));
    let ended = run_server(&server, &["--check", "--config", settings.to_str().expect("UTF-8")]);
    assert_eq!(ended.status, Some(0), "{}", ended.err);
}

#[test]
fn a_private_key_alone_in_a_folder_that_takes_no_files_is_enough() {
    let passage = passage();
    let keys = keys_in(&passage, "keys", 0o600);
    for path in [keys.path().to_owned(), keys.file(FILES[0].0), keys.file(FILES[1].0)] {
        if geteuid().is_root() {
            chown(path, Some(SERVICE), Some(SERVICE)).expect("root can");
        }
    }
    set_mode(keys.path(), 0o500);
    taken("the private key alone", &keys, &[]);
    assert_eq!(keys.names().len(), 2, "and nothing is left beside it");

    // The server itself, not only its check; its data is elsewhere.
    let data = service_folder(passage.file("data"));
    let script = "(sleep 1; echo TERMINATE) | exec \"$0\" -p 0 --keys \"$1\" --data \"$2\"";
    let words = [OsStr::new("-c"), OsStr::new(script), OsStr::new(SERVER_PROGRAM)];
    let ended = run_as_service("sh", &[&words[..], &[keys.path().as_os_str(), data.as_os_str()]].concat());
    assert_eq!(ended.status, Some(0), "{}", ended.err);
    let fingerprint = identity(SERVER).public().fingerprint();
    assert!(ended.err.contains(&format!("[+] Fingerprint: {fingerprint}")), "{}", ended.err);
    assert_eq!(keys.names().len(), 2);
    set_mode(keys.path(), 0o700);
}

#[test]
fn a_client_that_was_given_the_fingerprint_needs_no_file_but_its_key() {
    let server = Server::start();
    let passage = passage();
    let keys = keys_in(&passage, "keys", 0o600);
    for path in [keys.path().to_owned(), keys.file(FILES[0].0), keys.file(FILES[1].0)] {
        if geteuid().is_root() {
            chown(path, Some(SERVICE), Some(SERVICE)).expect("root can");
        }
    }
    set_mode(keys.path(), 0o500);
    let (port, fingerprint) = (server.port.to_string(), identity(SERVER).public().fingerprint().to_string());
    let plain = ["-p", &port, "-u", "Ira", "--keys"].map(OsStr::new);
    let plain = [&plain[..], &[keys.path().as_os_str()]].concat();
    let ended = run_as_service(CLIENT_PROGRAM, &plain);
    assert_eq!(ended.status, Some(3), "an unknown server cannot be kept: {}", ended.err);
    let given = ["--fingerprint", &fingerprint].map(OsStr::new);
    let ended = run_as_service(CLIENT_PROGRAM, &[&plain[..], &given].concat());
    assert_eq!(ended.status, Some(0), "{}", ended.err);
    assert!(ended.err.contains(", which is not kept: cannot write "), "{}", ended.err);
    set_mode(keys.path(), 0o700);
}

#[test]
fn a_link_to_a_key_that_is_not_there_makes_no_new_one() {
    let folder = Folder::empty();
    symlink("/nonexistent/stick/key.pem", folder.file("client_Ira_private_key.pem")).expect("a link");
    let ended = run_client(&folder, &["-p", &DeafPort::take().port, "-u", "Ira"], "");
    assert_eq!(ended.status, Some(3), "{}", ended.err);
    assert!(ended.err.contains("it is a link to /nonexistent/stick/key.pem, and that is not there"), "{}", ended.err);
    assert_eq!(folder.names().len(), 1, "{:?}", folder.names());
}

#[test]
fn a_passphrase_from_a_pipe_is_read_once() {
    let folder = Folder::empty();
    let nobody = DeafPort::take();
    let script = "exec \"$0\" -p \"$1\" -u Ira --bits 2048 --keys \"$2\" --passphrase-file <(echo 'correct horse')";
    let client = || {
        let words = ["-c", script, CLIENT_PROGRAM, &nobody.port].map(OsStr::new);
        run("bash", &[&words[..], &[folder.path().as_os_str()]].concat(), "")
    };
    let made = client();
    assert_eq!(made.status, Some(4), "{}", made.err);
    assert!(made.err.contains("New key pair"), "{}", made.err);
    let private = folder.file("client_Ira_private_key.pem");
    assert!(folder.read("client_Ira_private_key.pem").starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
    let words = ["pkey", "-noout", "-check", "-passin", "pass:correct horse", "-in"].map(OsStr::new);
    assert_eq!(run("openssl", &[&words[..], &[private.as_os_str()]].concat(), "").status, Some(0));
    let loaded = client();
    assert_eq!(loaded.status, Some(4), "{}", loaded.err);
    assert!(!loaded.err.contains("New key pair"), "{}", loaded.err);
}

#[test]
fn a_secret_from_standard_input_leaves_the_lines_behind_it() {
    let server = Server::start();
    let folder = Folder::empty();
    folder.write("client_Ira_private_key.pem", include_str!("../vectors/keys/ira_pbkdf2.pem"), 0o600);
    let port = server.port.to_string();
    let arguments = ["-p", &port, "-u", "Ira", "--passphrase-file", "/dev/stdin"];
    let ended = run_client(&folder, &arguments, "correct horse\r\n/list\n");
    assert_eq!(ended.status, Some(0), "{}", ended.err);
    assert!(ended.out.contains("[+] Now you can start to exchange messages"), "{}", ended.out);
    assert!(format!("{}{}", ended.out, ended.err).contains("Ira"), "the command was read: {}", ended.out);
}

#[test]
fn a_key_that_ssh_keygen_has_rewritten_comes_back_by_the_command_in_the_hint() {
    let folder = Folder::of_user("Ira", USER_A);
    let file = folder.file("client_Ira_private_key.pem");
    let quoted = format!("'{}'", file.display());
    let sh = |command: &str| run("sh", &["-c", command], "");
    assert_eq!(sh(&format!("ssh-keygen -q -p -N '' -f {quoted}")).status, Some(0));
    let nobody = DeafPort::take();
    let client = || run_client(&folder, &["-p", &nobody.port, "-u", "Ira"], "");
    let refused = client();
    assert_eq!(refused.status, Some(3), "{}", refused.err);
    let (_, command) = refused.err.split_once("it stays the same key: ").expect("a command");
    assert_eq!(command.trim(), format!("ssh-keygen -p -m PKCS8 -f {quoted}"));
    // The command asks for a new passphrase, on a terminal alone.
    assert_eq!(sh(&format!("{} -N ''", command.trim())).status, Some(0));
    let taken = client();
    assert_eq!(taken.status, Some(4), "{}", taken.err);
    assert_eq!(folder.read("client_Ira_public_key.pem"), identity(USER_A).public().to_pem());
}

#[test]
fn commands_of_openssl_in_hints_bring_keys_back() {
    let plain = Folder::empty();
    let plain = (plain.write("key", USER_A, 0o600), plain);
    let expected = openssl("pkey -in FILE -pubout", &plain.0);
    let forms =
        ["rsa -traditional -aes128 -passout pass:sesame", "pkcs8 -topk8 -v2 camellia-256-cbc -passout pass:sesame"];
    for form in forms {
        let folder = Folder::of_user("Ira", USER_A);
        let file = folder.file("client_Ira_private_key.pem");
        openssl(&format!("{form} -in {} -out FILE", plain.0.display()), &file);
        let word = folder.write("word", "sesame\n", 0o600);
        let nobody = DeafPort::take();
        let word = word.to_str().expect("UTF-8");
        let arguments = ["-p", &nobody.port, "-u", "Ira", "--passphrase-file", word];
        let refused = run_client(&folder, &arguments, "");
        assert_eq!(refused.status, Some(3), "{form}: {}", refused.err);
        let (_, command) = refused.err.split_once("it stays the same key: ").expect("a command");
        let command = command.replace(" -aes256", " -aes256 -passin pass:sesame -passout pass:sesame");
        let ended = run("sh", &["-c", &command], "");
        assert_eq!(ended.status, Some(0), "{form}: {}", ended.err);
        let taken = run_client(&folder, &arguments, "");
        assert_eq!(taken.status, Some(4), "{form}: {}", taken.err);
        assert_eq!(folder.read("client_Ira_public_key.pem"), expected, "{form}");
        assert_eq!(folder.mode("client_Ira_private_key.pem"), 0o600, "{form}");
    }
}
