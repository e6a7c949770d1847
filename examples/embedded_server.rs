//! A chat server inside another program: starts, prints an invitation, and stops at the end of input.
//!
//! ```sh
//! cargo run --release --example embedded_server -- FOLDER [PORT]
//! ```

use std::error::Error;
use std::io;
use std::path::PathBuf;

use cfb_chat::server::{Server, ServerConfig};
use log::LevelFilter;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("the first argument is a folder for keys and data")?);
    let port = arguments.next().map_or(Ok(0), |port| port.parse())?;
    let config = ServerConfig { bits: 2048, log_level: LevelFilter::Off, ..ServerConfig::in_folder(&folder, port) };
    let server = Server::start(&config)?;
    println!("listening on {}, fingerprint {}", server.address(), server.fingerprint());
    // Every console command works here; INVITE answers with the line that a client takes with --join -.
    println!("{}", server.stopper().command("INVITE 1 1").unwrap_or_default());
    io::copy(&mut io::stdin(), &mut io::sink())?;
    server.stopper().terminate();
    server.wait();
    Ok(())
}
