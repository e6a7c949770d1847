//! `server --check`: the settings in effect, as a file of settings would have them, and what stands in the way of using
//! them. It makes and changes no file.

use std::ffi::OsStr;
use std::fmt::Write;
use std::net::IpAddr;

use cfb_chat::chat::name::Visible;
use cfb_chat::server::{ServerConfig, StartError};
use cfb_chat::store::database;
use cfb_chat::store::key_files::{self, KeyHolder};

use super::SettingOrigin;
use super::arguments::ServerArguments;

/// The settings, one in a line, each with where it is from: a file of settings, too.
pub fn listing(origins: &[SettingOrigin]) -> String {
    let lines: Vec<(String, &str)> = origins.iter().map(|origin| (written(origin), &*origin.from)).collect();
    let width = lines.iter().map(|(line, _)| line.chars().count()).max().unwrap_or_default();
    let mut all = String::new();
    for (line, from) in lines {
        let _ = writeln!(all, "{line:width$}  # {}", Visible(from));
    }
    all
}

fn written(origin: &SettingOrigin) -> String {
    match &origin.value {
        None => format!("# {} is not set", origin.key),
        Some(value) if origin.is_text => format!("{} = {}", origin.key, quoted(value)),
        Some(value) => format!("{} = {}", origin.key, value.display()),
    }
}

/// A text as TOML has it in quotes.
fn quoted(text: &OsStr) -> String {
    let mut out = String::from("\"");
    for char in text.to_string_lossy().chars() {
        // What a screen would act on is escaped as well as what TOML would.
        let acts =
            char == '"' || char == '\\' || Visible(char.encode_utf8(&mut [0; 4])).to_string() != char.to_string();
        let _ = if acts { write!(out, "\\U{:08X}", u32::from(char)) } else { write!(out, "{char}") };
    }
    out + "\""
}

/// Checks that keys and data are usable, as far as they exist.
pub fn look_at_the_disk(config: &ServerConfig) -> Result<(), StartError> {
    key_files::look(&config.keys, KeyHolder::Server, &config.passphrase)?;
    database::look(&config.keeping.data)?;
    Ok(())
}

/// Returns a warning about settings that are valid and hardly meant.
pub fn warning(settings: &ServerArguments) -> Option<&'static str> {
    let listens_everywhere = settings.host.parse().is_ok_and(|address: IpAddr| address.is_unspecified());
    let is_named = settings.public_address.is_some();
    (listens_everywhere && !is_named).then_some("invitations would name this machine's host name")
}
