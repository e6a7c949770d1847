//! Arguments that both programs share, and their error output.

use std::fmt::Display;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;

use cfb_chat::store::access::SecretAccess;
use cfb_chat::store::passphrase::PassphraseSource;
use cfb_chat::store::standard_streams::{print, print_error};
use clap::builder::{PossibleValuesParser, Resettable, TypedValueParser};
use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Args, Command};

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

/// Takes environment variables that are empty for ones that are not set.
pub fn without_empty_variables(command: Command) -> Command {
    command.mut_args(|arg| {
        let is_empty = arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
        if is_empty { arg.env(Resettable::Reset) } else { arg }
    })
}

/// The environment variable that an argument's value comes from, if one does.
pub fn variable_of(command: &Command, matches: &ArgMatches, id: &str) -> Option<String> {
    let arg = command.get_arguments().find(|arg| arg.get_id() == id)?;
    let is_from_there = matches.value_source(id) == Some(ValueSource::EnvVariable);
    arg.get_env().filter(|_| is_from_there).map(|variable| variable.display().to_string())
}

/// Tells what went wrong, and what to do about it.
pub fn report(error: impl Display, hint: Option<String>) {
    print_error(&format!("error: {error}\n"));
    if let Some(hint) = hint {
        print_error(&format!("hint: {hint}\n"));
    }
}

/// Tells where a value comes from that an error is about, if it is not seen on the command line.
pub fn report_origin(key: &str, from: &str) {
    print_error(&format!("note: {key} comes from {from}\n"));
}

/// Shows what is wrong with the arguments, or the help that they ask for.
pub fn show_usage(error: &clap::Error) -> ExitCode {
    let is_error = error.use_stderr();
    let is_colored = if is_error { io::stderr().is_terminal() } else { io::stdout().is_terminal() };
    let text = error.render();
    let text = if is_colored { text.ansi().to_string() } else { text.to_string() };
    if is_error {
        print_error(&text);
    } else {
        print(&text);
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}
