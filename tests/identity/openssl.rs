//! The `openssl` command, which these tests want.

use std::ffi::OsStr;
use std::path::Path;

use crate::support::folder::Folder;
use crate::support::process::run;

/// Runs it; it has to succeed. `FILE` stands for a file's path.
pub fn openssl(arguments: &str, file: &Path) -> String {
    let arguments: Vec<&OsStr> = arguments
        .split_whitespace()
        .map(|word| if word == "FILE" { file.as_os_str() } else { OsStr::new(word) })
        .collect();
    let ended = run("openssl", &arguments, "");
    assert_eq!(ended.status, Some(0), "{arguments:?}: {}", ended.err);
    ended.out
}

/// Makes a key in a user's folder.
pub fn make_key(folder: &Folder, name: &str, arguments: &str) {
    let path = folder.write(&format!("client_{name}_private_key.pem"), "", 0o600);
    openssl(&format!("genpkey -quiet -algorithm RSA -out FILE {arguments}"), &path);
}
