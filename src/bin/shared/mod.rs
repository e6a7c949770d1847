//! Arguments that both programs share, and their error output.

use std::fmt::Display;
use std::path::PathBuf;

use cfb_chat::store::access::SecretAccess;
use cfb_chat::store::passphrase::PassphraseSource;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, Args};

const BITS: [&str; 3] = ["2048", "3072", "4096"];

/// Where one's key pair is.
#[derive(Args)]
pub struct KeyArguments {
    /// Folder of your key pair, and of what is known of others; made if it is not there
    #[arg(long, value_name = "DIR", default_value = "keys", env = "CFB_CHAT_KEYS")]
    pub keys: PathBuf,
    /// Size of a new RSA key, in bits
    #[arg(long, default_value = "3072", value_parser = PossibleValuesParser::new(BITS).map(|bits| number(&bits)))]
    bits: usize,
    /// File with the passphrase of your private key in its first line
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Take a private key, and files of secrets, that other users of this machine can read
    #[arg(
        long,
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        value_name = "true|false",
        default_value = "false",
        default_missing_value = "true",
        hide_possible_values = true
    )]
    allow_readable_secrets: bool,
}

impl KeyArguments {
    /// The size of a new key, in bits.
    pub fn bits(&self) -> usize {
        self.bits
    }

    /// Where the passphrase comes from.
    pub fn passphrase(&self) -> PassphraseSource {
        let access = if self.allow_readable_secrets { SecretAccess::Readable } else { SecretAccess::Private };
        PassphraseSource { file: self.passphrase_file.clone(), access }
    }
}

fn number(bits: &str) -> usize {
    bits.parse().expect("one of those that are taken")
}

/// A host's name or address; an IPv6 address may stand in brackets, as it does before a port.
pub fn host(text: &str) -> Result<String, String> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    match bare.split_once(':') {
        _ if bare.is_empty() => Err("a host has a name or an address".into()),
        // One colon: an IPv6 address has more.
        Some((host, port)) if !port.contains(':') => Err(format!("the port goes apart: {host} -p {port}")),
        _ => Ok(bare.to_owned()),
    }
}

/// Tells what went wrong, and what to do about it.
pub fn report(error: impl Display, hint: Option<String>) {
    eprintln!("error: {error}");
    if let Some(hint) = hint {
        eprintln!("hint: {hint}");
    }
}
