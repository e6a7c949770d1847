//! Keys that are refused: the reason, what to do about it, exit 3, and everything left as it was.

use crate::support::folder::{Folder, USER_A, USER_B, identity};
use crate::support::process::{Exit, run_client, run_server};

use crate::support::wire::DeafPort;

/// A program, by what its key files begin with.
type Program<'a> = (&'a str, &'a dyn Fn(&Folder) -> Exit);

/// Runs both programs with these files as their keys; neither may start, nor change anything.
fn refused(private: Option<(&[u8], u32)>, public: Option<&str>, why: &[&str], more: &[&str]) {
    let nobody = DeafPort::take();
    let server_arguments = [&["-p", "0"], more].concat();
    let client_arguments = [&["-p", &nobody.port, "-u", "Ira"], more].concat();
    let programs: [Program<'_>; 2] = [
        ("server", &|folder| run_server(folder, &server_arguments)),
        ("client_Ira", &|folder| run_client(folder, &client_arguments, "")),
    ];
    for (stem, run) in programs {
        let folder = Folder::empty();
        let private_name = format!("{stem}_private_key.pem");
        let public_name = format!("{stem}_public_key.pem");
        if let Some((pem, mode)) = private {
            folder.write(&private_name, pem, mode);
        }
        if let Some(pem) = public {
            folder.write(&public_name, pem, 0o644);
        }
        let (names, before) = (folder.names(), contents(&folder));
        let ended = run(&folder);
        assert_eq!(ended.status, Some(3), "{stem}, {why:?}: {}", ended.err);
        assert!(ended.err.starts_with("error: "), "{}", ended.err);
        assert!(!ended.out.contains("Running") && !ended.out.contains("Connected"), "{}", ended.out);
        for part in why {
            assert!(ended.err.contains(part), "{stem}: no {part:?} in\n{}", ended.err);
        }
        assert_eq!((folder.names(), contents(&folder)), (names, before), "{stem}, {why:?}: something was changed");
    }
}

fn contents(folder: &Folder) -> Vec<Vec<u8>> {
    folder.names().iter().map(|name| std::fs::read(folder.file(name)).expect("a file")).collect()
}

#[test]
fn a_private_key_that_others_can_read() {
    for mode in [0o644, 0o640, 0o604, 0o666] {
        let mode_text = format!("(mode {mode:04o})");
        let why = ["can be read by others", &mode_text, "hint: chmod 600 '"];
        refused(Some((USER_A.as_bytes(), mode)), None, &why, &[]);
    }
}

/// Words of a hint that cost an identity if the file is whole.
const ABANDONS: [&str; 2] = ["move the file away", "unknown to all others"];

#[test]
fn a_private_key_that_is_damaged_or_none() {
    let changed = USER_A.replace(&USER_A[400..408], "????????");
    let cut = &USER_A.as_bytes()[..1_000];
    let cases: [(&[u8], &str); 7] = [
        (b"", "it is damaged: it is empty"),
        (b"\n\n\n", "it is damaged: it is empty"),
        (&[0; 100], "it is damaged: it has zero bytes only"),
        (b"hello\n", "it is damaged: there is no \"-----BEGIN PRIVATE KEY-----\" or other key in it"),
        (cut, "it is damaged: its end is missing"),
        (changed.as_bytes(), "it is damaged: line 7 has a character that is not base64"),
        (&[0xff; 100], "it is damaged: there is no"),
    ];
    for (content, why) in cases {
        let hint = "\nhint: put a backup of '";
        refused(Some((content, 0o600)), None, &["cannot use ", why, hint, "Only if there is none"], &[]);
    }
    let large = vec![b'x'; 1_048_577];
    refused(Some((&large, 0o600)), None, &["cannot read ", "too large for a key"], &[]);
}

#[test]
fn a_key_of_another_kind_size_exponent_or_form() {
    let none = "no command makes such a key of it";
    let same = "this rewrites it, and it stays the same key: ";
    let cases: [(&[u8], &str, &str); 14] = [
        (include_bytes!("../vectors/keys/ed25519.pem"), "it is not an RSA key: its algorithm is Ed25519", none),
        (include_bytes!("../vectors/keys/openssh_ed25519.key"), "its algorithm is ssh-ed25519", none),
        (include_bytes!("../vectors/keys/rsa_pss_only.pem"), "it is an RSA-PSS key, which may sign only", same),
        (include_bytes!("../vectors/keys/rsa_1024.pem"), "it has 1024 bits; 2048, 3072 and 4096 are taken", none),
        (include_bytes!("../vectors/keys/rsa_8192.pem"), "it has 8192 bits; 2048, 3072 and 4096 are taken", none),
        (include_bytes!("../vectors/keys/rsa_exponent_3.pem"), "its public exponent is not 65537", none),
        (include_bytes!("../vectors/keys/three_primes.pem"), "it is an RSA key of 3 primes", none),
        (
            include_bytes!("../vectors/keys/openssh.key"),
            "an RSA key in OpenSSH's own format",
            "ssh-keygen -p -m PKCS8 -f '",
        ),
        (include_bytes!("../vectors/keys/putty.ppk"), "an RSA key in PuTTY's format", "puttygen '"),
        (
            include_bytes!("../vectors/keys/ira_pkcs1_encrypted.pem"),
            "in an old PEM form, encrypted with AES-256-CBC (\"Proc-Type: 4,ENCRYPTED\")",
            "openssl pkey -in '",
        ),
        (
            include_bytes!("../vectors/keys/ira_pbes1.pem"),
            "encrypted with PKCS12/SHA1/DES-EDE3-CBC",
            "openssl pkey -in '",
        ),
        (include_bytes!("../vectors/keys/ira_des.pem"), "PBES2/HMAC-SHA256/DES-CBC", "openssl pkey -provider legacy "),
        (include_bytes!("../vectors/keys/ira_pkcs1_public.pem"), "it is a public key", "the private key is not in it"),
        (b"ssh-rsa AAAA ira@home\n", "it is a public key of SSH", "the private key is not in it"),
    ];
    for (content, why, hint) in cases {
        refused(Some((content, 0o600)), None, &["cannot use ", why, "\nhint: ", hint], &[]);
        let folder = Folder::empty();
        folder.write("client_Ira_private_key.pem", content, 0o600);
        let ended = run_client(&folder, &["-p", &DeafPort::take().port, "-u", "Ira"], "");
        for part in ABANDONS {
            assert!(!ended.err.contains(part), "{why}: {}", ended.err);
        }
    }
}

#[test]
fn a_public_key_that_is_not_the_private_ones_or_stands_alone() {
    let public = identity(USER_B).public().to_pem();
    let (private, why) = ((USER_A.as_bytes(), 0o600), [" is not the public half of ", "\nhint: remove '"]);
    refused(Some(private), Some(&public), &why, &[]);
    refused(
        None,
        Some(&public),
        &[" is there, but ", "_private_key.pem is not", "\nhint: put the private key back from a backup"],
        &[],
    );
    let why = [
        " as the public half: it is damaged: there is no",
        "\nhint: remove '",
        "': it is written anew from the private",
    ];
    refused(Some(private), Some("hello\n"), &why, &[]);
    refused(Some(private), Some(USER_B), &["it is a private key, which does not belong in a file for others"], &[]);
}

#[test]
fn an_encrypted_key_without_its_passphrase() {
    let locked = (include_bytes!("../vectors/keys/ira_pbkdf2.pem").as_slice(), 0o600);
    refused(Some(locked), None, &["it is protected by a passphrase", "--passphrase-file"], &[]);
    let secrets = Folder::empty();
    let cases = [
        (
            secrets.write("wrong", "incorrect horse\n", 0o600),
            "the passphrase does not open it\nhint: openssl pkey -in '",
        ),
        (secrets.write("empty", "", 0o600), "its first line is empty"),
        (secrets.write("exposed", "correct horse\n", 0o644), "exposed can be read by others (mode 0644)"),
        (secrets.file("missing"), "cannot read "),
    ];
    for (file, why) in cases {
        let more = ["--passphrase-file", file.to_str().expect("UTF-8")];
        refused(Some(locked), None, &[why], &more);
    }
}

#[test]
fn a_folder_in_which_anybody_can_put_files() {
    use std::os::unix::fs::PermissionsExt;

    let folder = Folder::of_user("Ira", USER_A);
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).expect("it is ours");
    let ended = run_client(&folder, &["-p", &DeafPort::take().port, "-u", "Ira"], "");
    assert_eq!(ended.status, Some(3), "{}", ended.err);
    assert!(ended.err.contains("can be written by every user (mode 0777)"), "{}", ended.err);
    assert!(ended.err.contains("hint: chmod 700 '"), "{}", ended.err);
}
