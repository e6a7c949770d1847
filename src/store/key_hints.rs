//! Remedies for key files that are not taken: the command that rewrites one, or what else brings the key back.
//!
//! A private key is a person's identity: no remedy moves away a file that can be rewritten, and a new key is the last
//! one named.

use std::path::Path;

use super::quoted;
use crate::secure::key_file::{DamageError, ForeignFileError, KeyFileError, Wrapping};

/// Options with which OpenSSL 3 reads old ciphers.
const LEGACY: &str = "-provider legacy -provider default ";

/// Returns a remedy for a private key file.
pub(super) fn for_private(path: &Path, why: &KeyFileError) -> String {
    match why {
        KeyFileError::Foreign(foreign) => for_foreign(path, foreign),
        KeyFileError::Damaged(DamageError::Structure) => {
            // An encoding that is not DER, which OpenSSL may read all the same.
            format!(
                "if OpenSSL reads it, {}; otherwise {}",
                rewriting(path, "openssl pkey -in FILE -out NEW"),
                backup(path)
            )
        }
        KeyFileError::Damaged(_) => backup(path),
        KeyFileError::Unsuitable(_) => another_key(path),
        // An identifier in dots, which this program cannot name, is seldom one that OpenSSL reads.
        KeyFileError::Encryption { name, .. } if name.contains('.') => {
            "let the tool that made it write it as PKCS#8, encrypted by AES-256-CBC: it stays the same key then".into()
        }
        KeyFileError::Encryption { is_legacy, .. } => rewriting(path, &encrypted(*is_legacy)),
        KeyFileError::Locked => "give its passphrase on a terminal, or by --passphrase-file".into(),
        KeyFileError::WrongPassphrase => {
            format!("openssl pkey -in {} -noout asks for it too, and shows whether it is the right one", quoted(path))
        }
    }
}

fn for_foreign(path: &Path, foreign: &ForeignFileError) -> String {
    let command = match foreign {
        // It rewrites the file in its place.
        ForeignFileError::OpenSsh => return same_key(&format!("ssh-keygen -p -m PKCS8 -f {}", quoted(path))),
        ForeignFileError::Putty | ForeignFileError::SshCom => {
            "puttygen FILE -O private-openssh-new -o NEW && ssh-keygen -p -m PKCS8 -f NEW"
        }
        ForeignFileError::OldEncryption { is_legacy, .. } => return rewriting(path, &encrypted(*is_legacy)),
        ForeignFileError::Der => "openssl pkey -inform DER -in FILE -out NEW",
        ForeignFileError::EncryptedDer { is_legacy: false } => "openssl pkey -inform DER -in FILE -aes256 -out NEW",
        ForeignFileError::EncryptedDer { is_legacy: true } => {
            "openssl pkey -provider legacy -provider default -inform DER -in FILE -aes256 -out NEW"
        }
        ForeignFileError::Pkcs12 { is_legacy: false } => "openssl pkcs12 -in FILE -nocerts -out NEW",
        ForeignFileError::Pkcs12 { is_legacy: true } => "openssl pkcs12 -legacy -in FILE -nocerts -out NEW",
        ForeignFileError::JavaKeyStore => {
            "keytool -importkeystore -srckeystore FILE -destkeystore NEW.p12 -deststoretype PKCS12 && \
             openssl pkcs12 -in NEW.p12 -nocerts -out NEW"
        }
        ForeignFileError::Pvk { is_legacy: false } => "openssl rsa -inform PVK -in FILE -out NEW",
        ForeignFileError::Pvk { is_legacy: true } => {
            "openssl rsa -provider legacy -provider default -inform PVK -in FILE -aes256 -out NEW"
        }
        ForeignFileError::KeyBlob => "openssl rsa -inform MSBLOB -in FILE -out NEW",
        ForeignFileError::Jwk => {
            "(umask 077; node -p 'crypto.createPrivateKey({key:JSON.parse(fs.readFileSync(0)),format:\"jwk\"})\
             .export({type:\"pkcs8\",format:\"pem\"})' < FILE > NEW)"
        }
        ForeignFileError::Base64OfPem => "(umask 077; base64 -d FILE > NEW)",
        ForeignFileError::BareBase64 => {
            "(umask 077; { echo -----BEGIN PRIVATE KEY-----; cat FILE; echo; echo -----END PRIVATE KEY-----; } > NEW)"
        }
        ForeignFileError::RsaPss { is_encrypted: false } => {
            "openssl rsa -in FILE -traditional | sed s/RSA-PSS/RSA/ | openssl pkey -out NEW"
        }
        ForeignFileError::RsaPss { is_encrypted: true } => {
            "openssl rsa -in FILE -traditional -aes256 -out NEW && sed -i s/RSA-PSS/RSA/ NEW && \
             ssh-keygen -p -m PKCS8 -f NEW"
        }
        ForeignFileError::Xml => {
            return "it stays the same key in another form: ExportPkcs8PrivateKeyPem() of .NET's RSA writes it".into();
        }
        ForeignFileError::Public(_) => {
            return format!(
                "the private key is not in it: put that back as {} from a backup. No program can compute it from the \
                 public one",
                quoted(path)
            );
        }
        ForeignFileError::Algorithm(_)
        | ForeignFileError::MultiPrime(_)
        | ForeignFileError::OpenPgp
        | ForeignFileError::PrivateKey => return another_key(path),
        ForeignFileError::Block(_) => return backup(path),
        ForeignFileError::Wrapped(Wrapping::Gpg) => "(umask 077; gpg --decrypt FILE > NEW)",
        ForeignFileError::Wrapped(Wrapping::Age) => "(umask 077; age --decrypt FILE > NEW)",
        ForeignFileError::Wrapped(Wrapping::AnsibleVault) => "ansible-vault decrypt --output NEW FILE",
        ForeignFileError::Wrapped(Wrapping::Gzip) => "(umask 077; gzip -dc < FILE > NEW)",
    };
    rewriting(path, command)
}

/// The command for a file that stays encrypted, and becomes so in today's way.
fn encrypted(is_legacy: bool) -> String {
    format!("openssl pkey {}-in FILE -aes256 -out NEW", if is_legacy { LEGACY } else { "" })
}

/// The command with the file for FILE and one beside it for NEW, which then takes its place.
fn rewriting(path: &Path, command: &str) -> String {
    // A path may have FILE or NEW in it: no place is looked at twice.
    let (file, new) = (quoted(path), beside(path, ".new"));
    let parts: Vec<String> = command.split("FILE").map(|part| part.replace("NEW", &new)).collect();
    same_key(&format!("{} && mv {new} {file}", parts.join(&file)))
}

fn same_key(command: &str) -> String {
    format!("this rewrites it, and it stays the same key: {command}")
}

fn backup(path: &Path) -> String {
    format!(
        "put a backup of {} in its place: it is the only way to the same identity. Only if there is none, move the file \
         away: a new key is then made, with which you are unknown to all others",
        quoted(path)
    )
}

fn another_key(path: &Path) -> String {
    let (file, old, new) = (quoted(path), beside(path, ".old"), beside(path, ".new"));
    format!(
        "no command makes such a key of it. If your key is elsewhere, put it here; if there was none, this keeps the file \
         and puts a new key here: openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out {new} && \
         mv {file} {old} && mv {new} {file}"
    )
}

/// A file beside another, quoted.
fn beside(path: &Path, ending: &str) -> String {
    let mut beside = path.as_os_str().to_owned();
    beside.push(ending);
    quoted(Path::new(&beside))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stands_in_a_command_as_the_shell_takes_it() {
        let der = KeyFileError::Foreign(ForeignFileError::Der);
        let hint = for_private(Path::new("/NEW FILE's/key.pem"), &der);
        let (file, new) = (r"'/NEW FILE'\''s/key.pem'", r"'/NEW FILE'\''s/key.pem.new'");
        let expected = format!("openssl pkey -inform DER -in {file} -out {new} && mv {new} {file}");
        assert_eq!(hint, same_key(&expected));
    }

    #[test]
    fn an_encryption_that_openssl_may_not_know_is_left_to_the_tool_that_made_it() {
        let unknown = KeyFileError::Encryption { name: "PBES2/HMAC-SHA256/1.2.3".into(), is_legacy: false };
        assert!(for_private(Path::new("key.pem"), &unknown).starts_with("let the tool that made it"));
    }
}
