//! `client`: joins a chat.

use std::path::PathBuf;
use std::process::ExitCode;

use cfb_chat::chat::name::Name;
use cfb_chat::client::{ClientError, Config, Timing, Unwanted, run, ui};
use cfb_chat::secure::identity::Fingerprint;
use cfb_chat::store::passphrase::PassphraseSource;
use clap::Parser;

const EXAMPLES: &str = "\
Examples:
  client -s 127.0.0.1 -p 9443 -u sahnawaz
  client -s chat.example.org -u Ira --fingerprint SHA256:…    only this server, whatever the network says
  echo done | client -s 127.0.0.1 -u builder                  says a line, and leaves when it is delivered

In the room:
  EXIT       leaves (so do end of input and Ctrl+C)
  /say TEXT  says TEXT, whatever it is: EXIT, or something with a / in front
  /help      lists the commands

Exit status:
  0  left                                         5  not the server that was expected: nothing was sent
  1  anything else that failed                    6  refused by the server
  2  wrong usage                                  7  the server ended the session
  3  one's own keys or files cannot be used       8  the connection was lost, or somebody broke the protocol
  4  the server cannot be reached";

/// Joins a private group chat. The talk goes to standard output; fingerprints, warnings and errors to standard error.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Arguments {
    /// Server: a name or an address
    #[arg(short, long, default_value = "127.0.0.1")]
    server: String,
    /// Its port
    #[arg(short, long, default_value_t = 9443, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// Your name in the room
    #[arg(short, long = "user", value_name = "NAME", value_parser = |text: &str| Name::normalize(text))]
    user: Name,
    /// Folder of your key pair and of the servers that you know; made if it is not there
    #[arg(long, value_name = "DIR", default_value = "keys", env = "CFB_CHAT_KEYS")]
    keys: PathBuf,
    /// Size of a new RSA key, in bits
    #[arg(long, default_value = "3072", value_parser = ["2048", "3072", "4096"])]
    bits: String,
    /// File whose first line is the passphrase of your private key
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Take only the server with this fingerprint
    #[arg(long, value_name = "SHA256:…")]
    fingerprint: Option<Fingerprint>,
    /// Take only a server that is known already
    #[arg(long)]
    strict: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let config = Config {
        host: arguments.server,
        port: arguments.port,
        name: arguments.user,
        keys: arguments.keys,
        bits: arguments.bits.parse().unwrap_or(3072),
        passphrase: PassphraseSource { file: arguments.passphrase_file },
        fingerprint: arguments.fingerprint,
        strict: arguments.strict,
        timing: Timing::standard(),
    };
    match run(&config, &mut *ui::screen()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            if let Some(hint) = error.hint() {
                eprintln!("hint: {hint}");
            }
            ExitCode::from(status(&error))
        }
    }
}

fn status(error: &ClientError) -> u8 {
    match error {
        ClientError::System(_) => 1,
        ClientError::Key(_) | ClientError::Unwanted(Unwanted::KnownServers(_)) => 3,
        ClientError::Unreachable { .. } => 4,
        ClientError::Unwanted(_) => 5,
        ClientError::Refused { .. } => 6,
        ClientError::Ended(_) => 7,
        ClientError::Lost { .. } | ClientError::Broken(_) => 8,
    }
}
