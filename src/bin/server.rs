//! `server`: hosts a chat.

mod settings;
mod shared;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use cfb_chat::server::log_writer::LogWriter;
use cfb_chat::server::{Server, ServerConfig, StartError, console};
use chrono::{DateTime, Local};
use log::{LevelFilter, info};

use self::settings::{Found, Problem, check};
use self::shared::report;

/// A setting on the command line, in the environment or in the file is wrong.
const WRONG_USAGE: u8 = 2;

fn main() -> ExitCode {
    let line: Vec<OsString> = std::env::args_os().collect();
    let found = match settings::read(&line) {
        Ok(found) => found,
        Err(Problem::Usage(error)) => error.exit(),
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
            ExitCode::from(match error {
                StartError::Key(_) => 3,
                StartError::Listen { .. } => 4,
                StartError::Data(_) => 5,
                StartError::System(_) => 1,
            })
        }
    }
}

/// Says what the settings are, and what stands in their way.
fn look(found: &Found, config: &ServerConfig) -> Result<(), StartError> {
    print(&check::listing(&found.origins));
    if let Some(warning) = check::warning(&found.arguments.settings) {
        eprintln!("warning: {warning}\nhint: --public-address HOST[:PORT] is what they name instead");
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

/// Lines on standard output; a closed output is no reason to stop.
fn print(lines: &str) {
    let mut output = io::stdout().lock();
    let _ = output.write_all(lines.as_bytes()).and_then(|()| output.flush());
}

/// Of what goes there, the server lets through what it is settled to: that may change while it runs.
fn start_log() -> io::Result<LogWriter> {
    let local = |when| format!("{} ", DateTime::<Local>::from(when).format("%Y-%m-%d %H:%M:%S"));
    let pipe = LogWriter::start(io::stderr(), local)?;
    env_logger::Builder::new()
        .filter_module("cfb_chat", LevelFilter::Trace)
        .filter_module("server", LevelFilter::Trace)
        .target(env_logger::Target::Pipe(Box::new(pipe.clone())))
        .format(|line, record| writeln!(line, "{}", record.args()))
        .init();
    Ok(pipe)
}
