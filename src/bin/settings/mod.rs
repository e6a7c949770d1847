//! Settings of the server: from the command line, the environment, a file, and defaults.
//!
//! ```text
//! file ──▶ --key=value ──┐
//! line, environment ─────┴──▶ clap, which knows what each may be ──▶ Settings ──▶ Config
//! ```
//!
//! Invariant: a value is valid in the file if and only if it is on the line: there is one validator.

pub mod address;
pub mod arguments;
pub mod check;
mod file;

use std::ffi::OsString;
use std::fmt::{self, Display};
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, CommandFactory, FromArgMatches};

use self::arguments::{Arguments, ServerArguments};
use self::file::FileSetting;
use crate::shared::{variable_of, without_empty_variables};

const COMMAND_LINE: &str = "command line";
const DEFAULT: &str = "default";

/// Why there are no settings.
pub enum Problem {
    /// On the line, or in the environment; asking for help is one too.
    Usage(clap::Error),
    /// In the file.
    File {
        /// The error, with file and line.
        what: String,
        /// Remedy.
        hint: Option<String>,
    },
}

impl Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(error) => error.fmt(f),
            Self::File { what, hint: None } => f.write_str(what),
            Self::File { what, hint: Some(hint) } => write!(f, "{what}\nhint: {hint}"),
        }
    }
}

impl From<clap::Error> for Problem {
    fn from(error: clap::Error) -> Self {
        Self::Usage(error)
    }
}

/// All settings, and where each is from.
pub struct Found {
    pub arguments: Arguments,
    pub origins: Vec<SettingOrigin>,
}

/// Where a setting is from.
pub struct SettingOrigin {
    pub key: String,
    /// As it would stand on the line; `None` if it is not set.
    pub value: Option<OsString>,
    /// True if it is written in quotes.
    pub is_text: bool,
    pub from: String,
}

impl Found {
    /// Where a setting is from, if the command line does not show it: a variable, or a line of the file.
    pub fn hidden_origin(&self, key: &str) -> Option<&str> {
        let origin = self.origins.iter().find(|origin| origin.key == key)?;
        Some(&*origin.from).filter(|from| ![COMMAND_LINE, DEFAULT].contains(from))
    }
}

/// Reads the settings from a line (with the program's name first), the environment, and the file that they name.
pub fn read(line: &[OsString]) -> Result<Found, Problem> {
    let command = without_empty_variables(Arguments::command());
    let given = command.clone().try_get_matches_from(line)?;
    let path = given.get_one::<PathBuf>("config");
    let mut items = match path {
        Some(path) => {
            let named_by = variable_of(&command, &given, "config");
            file::read(path, named_by.as_deref().unwrap_or("--config"), &settings())?
        }
        None => Vec::new(),
    };
    // What is said on the line or in the environment is said once: what the file has of it is valid, and passed over.
    items.retain(|item| !is_given(&given, &item.id));
    let (program, rest) = line.split_at(line.len().min(1));
    let all = program.iter().chain(items.iter().map(|item| &item.argument)).chain(rest);
    let matches = command.try_get_matches_from(all)?;
    let arguments = Arguments::from_arg_matches(&matches)?;
    let origins = settings().get_arguments().map(|arg| origin(arg, &given, &matches, &items)).collect();
    Ok(Found { arguments, origins })
}

/// The arguments that are settings, and no others: those that a file may have.
fn settings() -> Command {
    let bare = Command::new("server").no_binary_name(true).disable_help_flag(true).disable_version_flag(true);
    without_empty_variables(ServerArguments::augment_args(bare))
}

fn is_given(matches: &ArgMatches, id: &str) -> bool {
    matches!(matches.value_source(id), Some(ValueSource::CommandLine | ValueSource::EnvVariable))
}

fn origin(arg: &Arg, given: &ArgMatches, matches: &ArgMatches, items: &[FileSetting]) -> SettingOrigin {
    let id = arg.get_id().as_str();
    let from = match given.value_source(id) {
        Some(ValueSource::CommandLine) => COMMAND_LINE.to_owned(),
        Some(ValueSource::EnvVariable) => {
            let variable = arg.get_env().unwrap_or_default();
            format!("environment, {}", variable.display())
        }
        _ => items.iter().find(|item| item.id == id).map_or(DEFAULT.to_owned(), |item| item.place.clone()),
    };
    let value = matches.get_raw(id).and_then(|mut values| values.next()).map(OsString::from);
    // Whole, so that it is the same place wherever a file with it stands.
    let value = match (file::SettingKind::of(arg), value) {
        (file::SettingKind::Path, Some(path)) => Some(std::path::absolute(&path).map_or(path, OsString::from)),
        (_, value) => value,
    };
    SettingOrigin {
        key: arg.get_long().unwrap_or(id).to_owned(),
        value,
        is_text: matches!(file::SettingKind::of(arg), file::SettingKind::Text | file::SettingKind::Path),
        from,
    }
}
