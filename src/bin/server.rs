//! `server`: hosts a chat.

mod settings;
mod shared;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use cfb_chat::server::log_writer::LogWriter;
use cfb_chat::server::{Server, ServerConfig, StartError, console};
use cfb_chat::store::process;
use cfb_chat::store::standard_streams::{BlockingStream, print, print_error};
use chrono::{DateTime, Local};
use log::{LevelFilter, info};

use self::settings::{Found, Problem, check};
use self::shared::{report, report_origin, show_usage};

/// A setting on the command line, in the environment or in the file is wrong.
const WRONG_USAGE: u8 = 2;

fn main() -> ExitCode {
    if let Err(error) = process::prepare() {
        report(StartError::System(error), None);
        return ExitCode::FAILURE;
    }
    let line: Vec<OsString> = std::env::args_os().collect();
    let found = match settings::read(&line) {
        Ok(found) => found,
        Err(Problem::Usage(error)) => return show_usage(&error),
        Err(Problem::File { what, hint }) => {
            report(what, hint);
            return ExitCode::from(WRONG_USAGE);
        }
    };
    let config = found.arguments.settings.config();
    let outcome = if found.arguments.check { look(&found, &config) } else { run(line, &config) };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error, error.hint());
            for key in settings_of(&error) {
                if let Some(from) = found.hidden_origin(key) {
                    report_origin(key, from);
                }
            }
            ExitCode::from(match error {
                StartError::Key(_) => 3,
                StartError::Listen { .. } => 4,
                StartError::Data(_) => 5,
                StartError::System(_) => 1,
            })
        }
    }
}

/// The settings that an error is about.
fn settings_of(error: &StartError) -> &'static [&'static str] {
    match error {
        StartError::Key(_) => &["keys", "passphrase-file"],
        StartError::Listen { .. } => &["host", "port"],
        StartError::Data(_) => &["data"],
        StartError::System(_) => &[],
    }
}

/// Says what the settings are, and what stands in their way.
fn look(found: &Found, config: &ServerConfig) -> Result<(), StartError> {
    print(&check::listing(&found.origins));
    if let Some(warning) = check::warning(&found.arguments.settings) {
        print_error(&format!("warning: {warning}\nhint: --public-address HOST[:PORT] is what they name instead\n"));
    }
    check::look_at_the_disk(config)
}

fn run(line: Vec<OsString>, config: &ServerConfig) -> Result<(), StartError> {
    let log = start_log()?;
    let reread = move || match settings::read(&line) {
        Ok(found) => Ok(found.arguments.settings.config()),
        Err(problem) => Err(problem.to_string()),
    };
    let server = Server::start_with(config, Box::new(reread))?;
    let address = server.address();
    print(&format!("[+] Running on host: {}\n[+] Running on port: {}\n", address.ip(), address.port()));
    info!("[+] Fingerprint: {}", server.fingerprint());
    console::watch_signals(server.stopper())?;
    console::start(server.stopper())?;
    server.wait();
    log.finish(Duration::from_secs(1));
    print("[+] All connections had been terminated\n[+] Server is shut down\n");
    Ok(())
}

/// Of what goes there, the server lets through what it is settled to: that may change while it runs.
fn start_log() -> io::Result<LogWriter> {
    let local = |when| format!("{} ", DateTime::<Local>::from(when).format("%Y-%m-%d %H:%M:%S"));
    let pipe = LogWriter::start(BlockingStream(io::stderr()), local)?;
    env_logger::Builder::new()
        .filter_module("cfb_chat", LevelFilter::Trace)
        .filter_module("server", LevelFilter::Trace)
        .target(env_logger::Target::Pipe(Box::new(pipe.clone())))
        .format(|line, record| writeln!(line, "{}", record.args()))
        .init();
    Ok(pipe)
}
