//! `client`: joins a chat.

mod shared;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use cfb_chat::chat::name::Name;
use cfb_chat::client::invitation_source::{InvitationSource, InvitationSourceError, invitation};
use cfb_chat::client::{ClientConfig, ClientError, ClientTimeouts, ServerPinError, Transport, run, ui};
use cfb_chat::net::udp::client::finish;
use cfb_chat::secure::identity::Fingerprint;
use cfb_chat::secure::invitation::Invitation;
use cfb_chat::store::process;
use clap::{CommandFactory, FromArgMatches, Parser};

use self::shared::{KeyArguments, host, report, report_origin, show_usage, variable_of, without_empty_variables};

const EXAMPLES: &str = "\
Examples:
  client -s 127.0.0.1 -p 9443 -u sahnawaz
  client -s chat.example.org -u Ira --fingerprint SHA256:…
             takes only this server, whatever the network says
  client --join - -u Ira
             takes an invitation: paste the line that you were given
  echo done | client -u builder
             says a line, and leaves when it is delivered

In the room:
  EXIT                leaves (so do end of input and Ctrl+C)
  /whisper NAME TEXT  says TEXT to NAME alone; a letter, if NAME is away
  /verify NAME        shows digits to compare with NAME
  /join #ROOM         comes into another room, or opens it
  /list, /help        who is here; all commands

Exit status:
  0  left
  1  anything else that failed
  2  wrong usage
  3  your own keys or files cannot be used
  4  the server cannot be reached
  5  not the server that was expected: nothing about you was sent
  6  refused by the server
  7  the server ended the session
  8  the connection was lost, and you left before it was back (or --no-reconnect);
     you left before you were in; or somebody broke the protocol
  9  left at the end of a pipe or file of which some lines were not delivered";

/// Exit status when the user's own keys or files cannot be used.
const OWN_FILES: u8 = 3;
/// So long what was said last over UDP may take to arrive.
const FINISH: Duration = Duration::from_secs(2);

/// Joins a private group chat. The talk goes to standard output; fingerprints, warnings and errors to standard error.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
#[allow(clippy::struct_excessive_bools, reason = "flags are what users give, one by one")]
struct ClientArguments {
    /// Server: a name or an address
    #[arg(short, long, default_value = "127.0.0.1", value_parser = host, conflicts_with_all = INVITED)]
    server: String,
    /// Its port
    #[arg(short, long, default_value_t = 9443, value_parser = clap::value_parser!(u16).range(1..), conflicts_with_all = INVITED)]
    port: u16,
    /// Come by an invitation, the first line of standard input: it says which server, and who it is
    #[arg(long, value_name = "-", value_parser = only_input, conflicts_with = "join_file")]
    join: Option<InvitationSource>,
    /// Come by an invitation, the first line of this file
    #[arg(long, value_name = "FILE")]
    join_file: Option<PathBuf>,
    /// File with the password of your name in its first line, if the server asks for it
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Reach it by UDP: for ways on which packets get lost, or addresses change. The server must have --udp too
    #[arg(long)]
    udp: bool,
    /// Your name in the room
    #[arg(short, long = "user", value_name = "NAME", value_parser = |text: &str| Name::normalize(text))]
    user: Name,
    #[command(flatten)]
    keys: KeyArguments,
    /// Take only the server with this fingerprint
    #[arg(long, value_name = "SHA256:…", conflicts_with_all = INVITED)]
    fingerprint: Option<Fingerprint>,
    /// Take only a server that is known already
    #[arg(long)]
    strict: bool,
    /// Let only users whom you have verified (/verify) read what you say
    #[arg(long)]
    verified_only: bool,
    /// End when the connection is lost, as scripts may want; otherwise the client comes back by itself
    #[arg(long)]
    no_reconnect: bool,
}

/// Flags of an invitation, which names address and server itself.
const INVITED: [&str; 2] = ["join", "join_file"];

/// An invitation is a secret, and every program can read a command line.
fn only_input(text: &str) -> Result<InvitationSource, &'static str> {
    if text == "-" {
        Ok(InvitationSource::Input)
    } else {
        Err("an invitation does not stand here: give -, and paste it")
    }
}

fn main() -> ExitCode {
    if let Err(error) = process::prepare() {
        report(ClientError::System(error), None);
        return ExitCode::FAILURE;
    }
    let command = without_empty_variables(ClientArguments::command());
    let parsed = command.clone().try_get_matches().and_then(|matches| {
        let variable = variable_of(&command, &matches, "keys");
        Ok((ClientArguments::from_arg_matches(&matches)?, variable))
    });
    match parsed {
        Ok((arguments, variable)) => join(arguments, variable),
        Err(error) => show_usage(&error),
    }
}

/// Joins as the arguments say. `variable` names the folder of the keys, if the environment does.
fn join(arguments: ClientArguments, variable: Option<String>) -> ExitCode {
    let source = arguments.join.or(arguments.join_file.map(InvitationSource::File));
    let invited = match source.as_ref().map(invitation).transpose() {
        Ok(invited) => invited,
        Err(error) => {
            report(&error, error.hint());
            return ExitCode::from(if matches!(error, InvitationSourceError::File(_)) { 3 } else { 2 });
        }
    };
    let transport = if arguments.udp { Transport::Udp } else { Transport::Tcp };
    let config = ClientConfig {
        host: invited.as_ref().map_or(arguments.server, |invited| invited.host().to_owned()),
        port: invited.as_ref().map_or(arguments.port, Invitation::port),
        transport,
        name: arguments.user,
        bits: arguments.keys.bits(),
        passphrase: arguments.keys.passphrase(),
        keys: arguments.keys.keys,
        fingerprint: invited.as_ref().map_or(arguments.fingerprint, |invited| Some(invited.server())),
        token: invited.map(|invited| invited.token().clone()),
        password_file: arguments.password_file,
        strict: arguments.strict,
        verified_only: arguments.verified_only,
        reconnect: !arguments.no_reconnect,
        timing: ClientTimeouts::standard(transport),
    };
    let ended = run(&config, &mut *ui::screen());
    finish(FINISH);
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error, error.hint());
            let status = status(&error);
            if let (Some(variable), OWN_FILES) = (variable, status) {
                report_origin("keys", &format!("environment, {variable}"));
            }
            ExitCode::from(status)
        }
    }
}

fn status(error: &ClientError) -> u8 {
    match error {
        ClientError::System(_) => 1,
        ClientError::Key(_) | ClientError::Files(_) | ClientError::Unwanted(ServerPinError::KnownServers(_)) => {
            OWN_FILES
        }
        ClientError::Unreachable { .. } => 4,
        ClientError::Unwanted(_) => 5,
        ClientError::Refused { .. } => 6,
        ClientError::Ended { .. } => 7,
        ClientError::Lost { .. } | ClientError::Hurried { .. } | ClientError::Abandoned | ClientError::Broken(_) => 8,
        ClientError::Unsent { .. } => 9,
    }
}
