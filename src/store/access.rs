//! Access to files of secrets: which other users can reach one, judged by owner, mode, access control list and disk.
//!
//! A secret is its owner's alone, or root's: root may hand it to a service by an access control list that names the
//! service's user (systemd's LoadCredential), or by a group that the service is in (a Kubernetes secret with fsGroup).
//! PostgreSQL has the same rule for groups.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{StatVfsMountFlags, getxattr, statfs, statvfs};
use rustix::process::{getegid, geteuid, getgroups};

use super::{DiskError, quoted, read_error};

/// Extended attribute with a file's access control list.
const LIST: &str = "system.posix_acl_access";
/// The longest list that is read, in bytes: five hundred entries.
const MAX_LIST: usize = 4_096;
/// Version of the list's encoding (linux/posix_acl_xattr.h): four bytes, then eight for each entry.
const LIST_VERSION: u32 = 2;

/// File systems without modes (linux/magic.h): FAT, exFAT, NTFS, ntfs3, and Windows' disks in WSL (9P).
const WITHOUT_MODES: [u32; 5] = [0x4d44, 0x2011_bab0, 0x5346_544e, 0x7366_746e, 0x0102_1997];
/// File systems that may have none: FUSE, Windows' network (SMB, CIFS, SMB2), folders of virtual machines.
const MAY_LACK_MODES: [u32; 6] = [0x6573_5546, 0x6573_5543, 0x517b, 0xff53_4d42, 0xfe53_4d42, 0x786f_4256];
/// Remedy where files have the modes that their disk was mounted with.
pub(super) const MOUNT: &str = "mount that disk so that its files are yours alone (-o umask=077,uid=YOU)";

const READ: u32 = 0o4;
const ROOT: u32 = 0;

/// Rule for files of secrets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SecretAccess {
    /// Refuse a file that other users of the machine can read.
    #[default]
    Private,
    /// Take it: a container's only user, for example, decides that (`--allow-readable-secrets`).
    Readable,
}

/// Right of a user or a group other than the owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Right {
    User(u32, u32),
    Group(u32, u32),
}

/// Entry of an access control list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ListEntry {
    tag: u16,
    rights: u32,
    id: u32,
}

const TAG_USER: u16 = 0x02;
const TAG_OWNING_GROUP: u16 = 0x04;
const TAG_GROUP: u16 = 0x08;
const TAG_MASK: u16 = 0x10;

/// Owner, group and mode of a file.
struct FileRights {
    owner: u32,
    group: u32,
    mode: u32,
}

impl From<&Metadata> for FileRights {
    fn from(found: &Metadata) -> Self {
        Self { owner: found.uid(), group: found.gid(), mode: found.mode() & 0o7777 }
    }
}

/// The user that the program runs as, and its groups.
struct ProcessUser {
    user: u32,
    groups: Vec<u32>,
}

impl ProcessUser {
    fn current() -> Self {
        let mut groups = vec![getegid().as_raw()];
        groups.extend(getgroups().unwrap_or_default().into_iter().map(rustix::process::Gid::as_raw));
        Self { user: geteuid().as_raw(), groups }
    }
}

/// Refuses a file of a secret that other users can read, unless the rule takes it.
pub(super) fn refuse_readable(path: &Path, rule: SecretAccess) -> Result<(), DiskError> {
    let found = fs::metadata(path).map_err(read_error(path))?;
    let mode = found.mode() & 0o7777;
    let is_private =
        mode & 0o077 == 0 || is_private(&ProcessUser::current(), &FileRights::from(&found), &list_of(path));
    if is_private || rule == SecretAccess::Readable {
        return Ok(());
    }
    Err(DiskError::Exposed { path: path.to_owned(), mode, remedy: remedy(path, &found) })
}

/// True if the file's rights let only its owner, root and this program read it, or users that root let in.
fn is_private(reader: &ProcessUser, file: &FileRights, list: &[ListEntry]) -> bool {
    if file.mode & 0o007 != 0 {
        return false;
    }
    // A service that runs as root is given a group of its own by Kubernetes; root's group is what any file of root has.
    let is_handed_over =
        |group| file.owner == ROOT && reader.groups.contains(&group) && (reader.user, group) != (ROOT, 0);
    others(list, file).into_iter().all(|right| match right {
        Right::User(user, _) => user == reader.user || user == ROOT,
        Right::Group(group, READ) => is_handed_over(group),
        Right::Group(..) => false,
    })
}

/// Effective rights of users and groups beside the owner and all others.
fn others(list: &[ListEntry], file: &FileRights) -> Vec<Right> {
    let group_bits = (file.mode >> 3) & 0o7;
    if list.is_empty() {
        return if group_bits == 0 { Vec::new() } else { vec![Right::Group(file.group, group_bits)] };
    }
    let mask = list.iter().find(|entry| entry.tag == TAG_MASK).map_or(0o7, |entry| entry.rights);
    let effective = list.iter().filter_map(|entry| match (entry.tag, entry.rights & mask) {
        (_, 0) => None,
        (TAG_USER, rights) => Some(Right::User(entry.id, rights)),
        (TAG_GROUP, rights) => Some(Right::Group(entry.id, rights)),
        (TAG_OWNING_GROUP, rights) => Some(Right::Group(file.group, rights)),
        _ => None,
    });
    effective.collect()
}

/// The access control list of a file; empty if it has none, or its disk knows none.
fn list_of(path: &Path) -> Vec<ListEntry> {
    let mut bytes = vec![0; MAX_LIST];
    let length = getxattr(path, LIST, &mut bytes[..]).unwrap_or(0);
    parse_list(&bytes[..length]).unwrap_or_default()
}

fn parse_list(bytes: &[u8]) -> Option<Vec<ListEntry>> {
    let (version, entries) = bytes.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*version) != LIST_VERSION || entries.len() % 8 != 0 {
        return None;
    }
    let entry = |bytes: &[u8]| {
        let (tag, rest) = bytes.split_first_chunk::<2>()?;
        let (rights, rest) = rest.split_first_chunk::<2>()?;
        let (id, _) = rest.split_first_chunk::<4>()?;
        let rights = u32::from(u16::from_le_bytes(*rights));
        Some(ListEntry { tag: u16::from_le_bytes(*tag), rights, id: u32::from_le_bytes(*id) })
    };
    entries.chunks_exact(8).map(entry).collect()
}

/// Refuses a folder that every user can write (mode bit 0o002), unless its disk takes no writes: Kubernetes mounts
/// secrets so.
pub(super) fn refuse_open_folder(folder: &Path, mode: u32) -> Result<(), DiskError> {
    if mode & 0o002 == 0 || is_read_only(folder) {
        return Ok(());
    }
    Err(DiskError::Open { path: folder.to_owned(), mode })
}

/// True if the disk that a file is on takes no writes.
fn is_read_only(path: &Path) -> bool {
    statvfs(path).is_ok_and(|disk| disk.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// True if a file is on a disk of one of these kinds.
fn is_on(path: &Path, kinds: &[u32]) -> bool {
    // The widths of the numbers differ among machines.
    #[allow(
        clippy::cast_sign_loss,
        clippy::cast_possible_truncation,
        reason = "a number of 32 bits, however it is kept"
    )]
    statfs(path).is_ok_and(|disk| kinds.contains(&(disk.f_type as u32)))
}

/// The command that gives a file another mode, by the user who can; or what does it where no command can.
pub(super) fn chmod(mode: &str, path: &Path) -> String {
    if is_on(path, &WITHOUT_MODES) {
        return format!("its disk keeps no permissions: {MOUNT}");
    }
    let user = geteuid().as_raw();
    let is_own = user == ROOT || fs::metadata(path).is_ok_and(|found| found.uid() == user);
    let command = format!("{}chmod {mode} {}", if is_own { "" } else { "as root: " }, quoted(path));
    if is_on(path, &MAY_LACK_MODES) { format!("{command}; if that changes nothing, {MOUNT}") } else { command }
}

/// Ways to let the program read a secret that it may not read.
pub(super) fn let_in(path: &Path) -> String {
    let user = geteuid().as_raw();
    format!(
        "user {user}, as which this runs, has to be able to read it. As root: chown {user} {}; for a service of systemd: \
         LoadCredential; for a pod of Kubernetes: fsGroup",
        quoted(path)
    )
}

/// A command that makes a secret private, or what does it where no command can.
fn remedy(path: &Path, found: &Metadata) -> String {
    let user = geteuid().as_raw();
    let file = quoted(path);
    if is_read_only(path) {
        return "it is on a disk that takes no writes: give it another mode where it comes from (Kubernetes: defaultMode \
                0400, and 0440 with fsGroup; Docker: mode 0400 and uid; systemd: LoadCredential), or give \
                --allow-readable-secrets if no other user can reach it"
            .into();
    }
    if is_on(path, &WITHOUT_MODES) {
        return format!("{}, or give --allow-readable-secrets if no other user can reach it", chmod("600", path));
    }
    if found.uid() == user || user == ROOT {
        return chmod("600", path);
    }
    if found.uid() == ROOT && ProcessUser::current().groups.contains(&found.gid()) {
        return chmod("440", path);
    }
    format!("as root: chown {user} {file} && chmod 600 {file}")
}

#[cfg(test)]
mod tests;
