//! Folders of keys on disks that lack what ext4 has: hard links, locks, permissions.
//!
//! A real exFAT is mounted where that can be done (root, a loop device, `mkfs.exfat` and either driver). What one of its
//! drivers or a network disk answers is had everywhere by a filter for system calls, which lets those calls fail.

use std::path::Path;
use std::process::Command;

use crate::support::folder::{Folder, SERVER};
use crate::support::process::{Exit, Process, Server, client_command, server_command};
use crate::support::wire::DeafPort;

/// Starts a program for which these system calls fail, each with an error. Calls of another machine are let through.
const FILTER: &str = r"
import ctypes, errno, os, platform, struct, sys
numbers = {
    'x86_64': {'link': 86, 'linkat': 265, 'renameat2': 316, 'flock': 73, 'fsync': 74, 'fcntl': 72},
    'aarch64': {'linkat': 37, 'renameat2': 276, 'flock': 32, 'fsync': 82, 'fcntl': 25},
}[platform.machine()]
LOAD, EQUAL, RETURN, ALLOW, FAIL = 0x20, 0x15, 0x06, 0x7fff0000, 0x00050000
program = [(LOAD, 0, 0, 0)]
failing = [word.split('=') for word in sys.argv[1].split(',')]
for name, error in failing:
    if name in numbers:
        program += [(EQUAL, 0, 1, numbers[name]), (RETURN, 0, 0, FAIL | getattr(errno, error))]
program += [(RETURN, 0, 0, ALLOW)]
code = b''.join(struct.pack('HBBI', *line) for line in program)
buffer = ctypes.create_string_buffer(code)
class Program(ctypes.Structure):
    _fields_ = [('length', ctypes.c_ushort), ('filter', ctypes.c_void_p)]
libc = ctypes.CDLL(None, use_errno=True)
filter = Program(len(program), ctypes.addressof(buffer))
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.byref(filter), 0, 0):
    sys.exit('no filter: ' + os.strerror(ctypes.get_errno()))
os.execv(sys.argv[2], sys.argv[2:])
";

/// What the drivers of exFAT answer: the older one knows no other way to rename either.
const NO_LINKS: &str = "link=EPERM,linkat=EPERM";
const NO_LINKS_NOR_OTHER_WAYS: &str = "link=EPERM,linkat=EPERM,renameat2=EINVAL";
/// What a network disk without its lock service answers.
const NO_LOCKS: &str = "flock=ENOLCK";
/// All of it, and folders that cannot be synced.
const NOTHING: &str = "link=ENOSYS,linkat=EOPNOTSUPP,renameat2=ENOSYS,flock=EOPNOTSUPP,fsync=EINVAL";

const LOCKS_TOLD: &str = "has no locks on files: of two programs that use it at once";

fn filtered(failing: &str, command: &Command) -> Command {
    let mut filtered = Command::new("python3");
    filtered.args(["-c", FILTER, failing]).arg(command.get_program()).args(command.get_args());
    filtered
}

fn visit(failing: &str, server: &Server, folder: &Folder, name: &str) -> Exit {
    let command = client_command(server.port, name, folder, &["--bits", "2048"]);
    let mut client = Process::start(&mut filtered(failing, &command));
    client.end_input();
    client.wait()
}

#[test]
fn keys_are_made_once_and_servers_known_without_links_or_locks() {
    let server = Server::start();
    for (name, failing) in
        [("Ira", NO_LINKS), ("Olga", NO_LINKS_NOR_OTHER_WAYS), ("Boris", NO_LOCKS), ("Clara", NOTHING)]
    {
        let all = Folder::empty();
        let keys = all.inside("keys");
        let first = visit(failing, &server, &keys, name);
        assert_eq!(first.status, Some(0), "{failing}: {}", first.err);
        assert!(first.err.contains("[!] New key pair"), "{failing}: {}", first.err);
        let names =
            [&*format!("client_{name}_private_key.pem"), &*format!("client_{name}_public_key.pem"), "known_servers"];
        assert_eq!(keys.names(), names, "{failing}: nothing half done is left");
        assert_eq!(keys.read("known_servers").lines().count(), 1);
        let lacks_locks = failing.contains("flock");
        assert_eq!(first.err.matches(LOCKS_TOLD).count(), usize::from(lacks_locks), "{failing}: {}", first.err);
        let (key, modes) = (keys.read(names[0]), names.map(|name| keys.mode(name)));
        assert_eq!(modes, [0o600, 0o644, 0o600]);

        let again = visit(failing, &server, &keys, name);
        assert_eq!((again.status, keys.read(names[0])), (Some(0), key), "{failing}: {}", again.err);
        assert!(!again.err.contains("New key pair"), "{failing}: {}", again.err);
    }
}

#[test]
fn clients_that_start_at_once_make_one_key_pair_without_links() {
    const CLIENTS: usize = 8;
    for failing in [NO_LINKS, NO_LINKS_NOR_OTHER_WAYS] {
        let all = Folder::empty();
        let keys = all.inside("keys");
        let nobody = DeafPort::take();
        let port = nobody.port.parse().expect("a port");
        let command = client_command(port, "Ira", &keys, &["--bits", "2048"]);
        let start = |_| Process::start(&mut filtered(failing, &command));
        let mut clients: Vec<Process> = (0..CLIENTS).map(start).collect();
        let ended: Vec<Exit> = clients.iter_mut().map(Process::wait).collect();
        assert!(ended.iter().all(|ended| ended.status == Some(4)), "{failing}: {ended:#?}");
        let made = ended.iter().filter(|ended| ended.err.contains("New key pair")).count();
        assert_eq!(made, 1, "{failing}: {ended:#?}");
        assert_eq!(keys.names(), ["client_Ira_private_key.pem", "client_Ira_public_key.pem"], "{failing}");
    }
}

#[test]
fn a_server_tells_of_a_disk_that_has_nothing_and_makes_its_key_there() {
    let all = Folder::empty();
    let (keys, data) = (all.inside("keys"), all.file("data"));
    let command = server_command(&keys, &["-p", "0", "--bits", "2048", "--data", data.to_str().unwrap()]);
    let server = Server::running(Process::start(&mut filtered(NO_LINKS_NOR_OTHER_WAYS, &command)), keys);
    assert_eq!(server.folder.names(), ["server_private_key.pem", "server_public_key.pem"]);
    assert_eq!(server.terminate().status, Some(0));
}

#[test]
fn a_limit_on_the_size_of_files_is_a_full_disk() {
    let all = Folder::empty();
    let limited = |command: &Command| {
        let mut limited = Command::new("sh");
        limited.args(["-c", "ulimit -f 0; exec \"$0\" \"$@\""]).arg(command.get_program()).args(command.get_args());
        Process::start(&mut limited).wait()
    };
    let nobody = DeafPort::take();
    let port = nobody.port.parse().expect("a port");
    let ended = limited(&client_command(port, "Ira", &all.inside("keys"), &["--bits", "2048"]));
    assert_eq!(ended.status, Some(3), "{}", ended.err);
    assert!(ended.err.contains("File too large"), "{}", ended.err);
    assert_eq!(all.inside("keys").names(), [""; 0], "nothing half done is left");
    let ended = limited(&server_command(&Folder::of_server(SERVER), &["-p", "0"]));
    assert!(matches!(ended.status, Some(3 | 5)), "{ended:?}");
    assert!(ended.err.starts_with("error: ") && !ended.err.contains("panicked"), "{}", ended.err);
}

#[test]
fn databases_on_a_disk_without_locks_are_refused_with_a_way_out() {
    let folder = Folder::of_server(SERVER);
    let command = server_command(&folder, &["-p", "0"]);
    let mut server = Process::start(&mut filtered("fcntl=ENOLCK", &command));
    let ended = server.wait();
    assert_eq!(ended.status, Some(5), "{}", ended.err);
    assert!(ended.err.contains("locks") && ended.err.contains("--data"), "{}", ended.err);
}

/// A real exFAT, mounted for as long as this lives.
struct ExFat<'a> {
    place: &'a Path,
    device: String,
}

impl<'a> ExFat<'a> {
    /// Makes and mounts one, if this machine has what that takes.
    fn mount(image: &Path, place: &'a Path, options: &str) -> Option<Self> {
        let run = |program: &str, arguments: &[&str]| {
            let output = Command::new(program).args(arguments).output().ok().filter(|done| done.status.success())?;
            Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        let image = image.to_str()?;
        run("truncate", &["-s", "16M", image])?;
        run("mkfs.exfat", &[image])?;
        let device = run("losetup", &["-f", "--show", image])?;
        let mounted = Self { place, device };
        let target = place.to_str()?;
        run("mount", &["-t", "exfat", "-o", options, &mounted.device, target])
            .or_else(|| run("mount.exfat-fuse", &["-o", options, &mounted.device, target]))?;
        Some(mounted)
    }
}

impl Drop for ExFat<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.place).output();
        let _ = Command::new("losetup").args(["-d", &self.device]).output();
    }
}

#[test]
fn keys_on_a_real_exfat() {
    let all = Folder::empty();
    let place = all.file("stick");
    std::fs::create_dir(&place).unwrap();
    let server = Server::start();
    {
        let Some(_stick) = ExFat::mount(&all.file("image"), &place, "umask=077") else {
            println!("NOT TESTED: a real exFAT; that takes root, a loop device, mkfs.exfat and a driver");
            return;
        };
        let keys = all.inside("stick/keys");
        for status in ["made", "known"] {
            let mut client = Process::start(&mut client_command(server.port, "Ira", &keys, &["--bits", "2048"]));
            client.end_input();
            let ended = client.wait();
            assert_eq!(ended.status, Some(0), "{status}: {}", ended.err);
        }
        assert_eq!(keys.names(), ["client_Ira_private_key.pem", "client_Ira_public_key.pem", "known_servers"]);
    }
    // As most systems mount a stick: every user can read what is there, and no mode changes that.
    let _stick = ExFat::mount(&all.file("image"), &place, "umask=022").expect("it was mounted a moment ago");
    let keys = all.inside("stick/keys");
    let mut client = Process::start(&mut client_command(server.port, "Ira", &keys, &["--bits", "2048"]));
    let ended = client.wait();
    assert_eq!(ended.status, Some(3), "{}", ended.err);
    let parts = ["its disk keeps no permissions", "(mode 0755)", "hint: mount that disk", "umask=077"];
    assert!(parts.iter().all(|part| ended.err.contains(part)), "{}", ended.err);
    assert_eq!(keys.names(), [""; 0], "nothing is left that others could read");
    let data = all.file("stick/data");
    let keys = Folder::of_server(SERVER);
    let ended = Process::start(&mut server_command(&keys, &["-p", "0", "--data", data.to_str().unwrap()])).wait();
    assert_eq!((ended.status, all.inside("stick/data").names().len()), (Some(5), 0), "{}", ended.err);
}
