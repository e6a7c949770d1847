//! Rights of users and groups, as systemd, Kubernetes and administrators set them.

use std::os::unix::fs::PermissionsExt;

use super::*;

const SERVICE: u32 = 970;
const GROUP: u32 = 2_000;
const STRANGER: u32 = 1_001;

fn entry(tag: u16, id: u32, rights: u32) -> ListEntry {
    ListEntry { tag, rights, id }
}

/// Returns true if a file of this owner, group and mode, with this list, is private to the service.
fn service_takes(owner: u32, group: u32, mode: u32, list: &[ListEntry]) -> bool {
    let reader = ProcessUser { user: SERVICE, groups: vec![SERVICE, GROUP] };
    is_private(&reader, &FileRights { owner, group, mode }, list)
}

/// The list that systemd gives a credential: owner r, the service's user r, the group none, mask r.
fn credential(user: u32, group_rights: u32) -> Vec<ListEntry> {
    vec![
        entry(0x01, u32::MAX, READ),
        entry(TAG_USER, user, READ),
        entry(TAG_OWNING_GROUP, u32::MAX, group_rights),
        entry(TAG_MASK, u32::MAX, READ),
        entry(0x20, u32::MAX, 0),
    ]
}

#[test]
fn a_file_of_the_owner_alone_is_private() {
    for mode in [0o600, 0o400, 0o700, 0o200] {
        assert!(service_takes(SERVICE, SERVICE, mode, &[]), "{mode:o}");
        assert!(service_takes(ROOT, ROOT, mode, &[]), "{mode:o}, which an administrator's capability reads");
    }
    for mode in [0o640, 0o604, 0o644, 0o660, 0o620, 0o610, 0o440] {
        assert!(!service_takes(SERVICE, GROUP, mode, &[]), "{mode:o}");
    }
}

#[test]
fn a_credential_of_systemd_is_private_if_its_list_names_the_service_alone() {
    assert!(service_takes(ROOT, ROOT, 0o440, &credential(SERVICE, 0)));
    assert!(!service_takes(ROOT, ROOT, 0o440, &credential(STRANGER, 0)), "another user's");
    let mut two = credential(SERVICE, 0);
    two.push(entry(TAG_USER, STRANGER, READ));
    assert!(!service_takes(ROOT, ROOT, 0o440, &two), "a second user");
    assert!(!service_takes(ROOT, ROOT, 0o440, &credential(SERVICE, READ)), "root's own group beside");
    let mut masked = credential(SERVICE, 0);
    masked.push(entry(TAG_USER, STRANGER, 0));
    masked.push(entry(TAG_GROUP, STRANGER, 0o2));
    assert!(service_takes(ROOT, ROOT, 0o440, &masked), "rights that the mask takes away are none");
    assert!(!service_takes(ROOT, ROOT, 0o444, &credential(SERVICE, 0)), "all others");
}

#[test]
fn a_secret_of_kubernetes_is_private_if_root_gave_it_to_a_group_of_the_service() {
    assert!(service_takes(ROOT, GROUP, 0o440, &[]));
    assert!(service_takes(ROOT, GROUP, 0o640, &[]));
    assert!(!service_takes(ROOT, STRANGER, 0o440, &[]), "another group");
    assert!(!service_takes(ROOT, GROUP, 0o460, &[]), "a group that writes");
    assert!(!service_takes(ROOT, GROUP, 0o444, &[]), "all others");
    assert!(!service_takes(STRANGER, GROUP, 0o440, &[]), "given by a user who is not root");
    let root = ProcessUser { user: ROOT, groups: vec![ROOT, GROUP] };
    let root_takes = |group| is_private(&root, &FileRights { owner: ROOT, group, mode: 0o440 }, &[]);
    assert!(root_takes(GROUP), "a service that runs as root");
    assert!(!root_takes(ROOT) && !root_takes(STRANGER), "what any file of root may have");
}

#[test]
fn a_list_is_read_as_the_kernel_writes_it() {
    let bytes = [&[2, 0, 0, 0][..], &[2, 0, 4, 0, 0xca, 3, 0, 0], &[0x10, 0, 7, 0, 255, 255, 255, 255]].concat();
    assert_eq!(parse_list(&bytes), Some(vec![entry(TAG_USER, SERVICE, READ), entry(TAG_MASK, u32::MAX, 7)]));
    for bytes in [&[][..], &[2, 0, 0], &[3, 0, 0, 0], &bytes[..bytes.len() - 1]] {
        assert_eq!(parse_list(bytes), None);
    }
}

#[test]
fn the_rule_that_takes_readable_files_takes_them() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("it's a secret");
    fs::write(&file, "x").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let refused = refuse_readable(&file, SecretAccess::Private).unwrap_err();
    assert_eq!(refused.hint(), Some(format!("chmod 600 {}", quoted(&file))));
    assert!(refuse_readable(&file, SecretAccess::Readable).is_ok());
}
