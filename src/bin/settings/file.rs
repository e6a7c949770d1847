//! The file of settings: TOML, one key for each long flag, all at the top.
//!
//! Each becomes the argument that it stands for, and is parsed as that: what is wrong with it is told with its line.

use std::any::TypeId;
use std::error::Error;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use cfb_chat::chat::name::Visible;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};
use toml::de::{DeTable, DeValue};

use super::Problem;

/// The longest file that is read, in bytes.
const MAX_FILE: u64 = 64 * 1_024;
/// Flags that ask for an action and are no setting.
const FOR_THE_LINE: [&str; 4] = ["config", "check", "help", "version"];

/// A setting of the file.
pub struct FileSetting {
    /// Which argument it is.
    pub id: String,
    /// The same setting as a command-line argument.
    pub argument: OsString,
    /// Its file and line.
    pub place: String,
}

/// Type of a value in TOML.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SettingKind {
    Number,
    Truth,
    Path,
    Text,
}

impl SettingKind {
    /// Returns the type of an argument's value.
    pub fn of(arg: &Arg) -> Self {
        let is = |types: &[TypeId]| types.iter().any(|other| arg.get_value_parser().type_id() == *other);
        if is(&[TypeId::of::<u16>(), TypeId::of::<u32>(), TypeId::of::<u64>(), TypeId::of::<usize>()]) {
            Self::Number
        } else if is(&[TypeId::of::<bool>()]) {
            Self::Truth
        } else if is(&[TypeId::of::<PathBuf>()]) {
            Self::Path
        } else {
            Self::Text
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Number => "a number",
            Self::Truth => "true or false",
            Self::Path | Self::Text => "a text in quotes",
        }
    }

    fn example(self) -> &'static str {
        match self {
            Self::Number => "1",
            Self::Truth => "true",
            Self::Path | Self::Text => "\"…\"",
        }
    }
}

/// All settings of a file, in its order. `named_by` is the flag or variable that names it, `settings` has the arguments
/// that they can be.
pub fn read(path: &Path, named_by: &str, settings: &Command) -> Result<Vec<FileSetting>, Problem> {
    let text = text_of(path).map_err(|why| Problem::File {
        what: format!("cannot read {}: {why}", path.display()),
        hint: Some(format!("{named_by} wants a file of settings, in TOML; server --help has an example")),
    })?;
    let source = SettingsFile { path, text: &text };
    let table = DeTable::parse(&text).map_err(|error| {
        let at = error.span().map_or(text.len(), |span| span.start);
        source.problem(at, error.message(), Some("a line is: key = value, and a text stands in quotes".into()))
    })?;
    let mut items = table.get_ref().iter().collect::<Vec<_>>();
    items.sort_by_key(|(key, _)| key.span().start);
    items
        .into_iter()
        .map(|(key, value)| source.item(key.span().start, key.get_ref(), value.get_ref(), settings))
        .collect()
}

fn text_of(path: &Path) -> io::Result<String> {
    let found = fs::metadata(path)?;
    // A pipe could be waited for in vain, and is read but once.
    if found.is_dir() {
        return Err(io::Error::other("it is a folder"));
    } else if !found.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(io::Error::other("it is too large: 64 KiB at most"));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::other("it is no text in UTF-8"))
}

struct SettingsFile<'a> {
    path: &'a Path,
    text: &'a str,
}

impl SettingsFile<'_> {
    /// A file and a line.
    fn place(&self, at: usize) -> String {
        let before = &self.text.as_bytes()[..at.min(self.text.len())];
        let line = before.split(|byte| *byte == b'\n').count();
        format!("{}:{line}", self.path.display())
    }

    fn problem(&self, at: usize, what: impl AsRef<str>, hint: Option<String>) -> Problem {
        let hint = hint.map(|hint| Visible(&hint).to_string());
        Problem::File { what: format!("{}: {}", self.place(at), Visible(what.as_ref())), hint }
    }

    fn item(&self, at: usize, key: &str, value: &DeValue<'_>, settings: &Command) -> Result<FileSetting, Problem> {
        if matches!(value, DeValue::Table(_)) {
            let what = format!("{key}: there are no tables here");
            return Err(self.problem(at, what, Some("all keys stand at the top, as key = value".into())));
        }
        let Some(arg) = settings.get_arguments().find(|arg| arg.get_long() == Some(key)) else {
            return Err(self.unknown(at, key, settings));
        };
        let kind = SettingKind::of(arg);
        let Some(value) = self.value(kind, value) else {
            let what = format!("{key}: {} where {} is wanted", article(value), kind.name());
            return Err(self.problem(at, what, Some(format!("{key} = {}", example(arg, kind)))));
        };
        let mut argument = OsString::from(format!("--{key}="));
        argument.push(&value);
        if let Err(error) = settings.clone().try_get_matches_from([&argument]) {
            let what = format!("{key}: {}", why(&error, &value.to_string_lossy()));
            let hint = suggested(&error, ContextKind::SuggestedValue).map(|value| format!("did you mean {value}?"));
            let help = || arg.get_help().map(|help| format!("{key} is --{key} of the command line: {help}"));
            return Err(self.problem(at, what, hint.or_else(help)));
        }
        Ok(FileSetting { id: arg.get_id().to_string(), argument, place: self.place(at) })
    }

    /// A value as it would stand on the line, if it is of that kind. A path is looked for from the file's folder on.
    fn value(&self, kind: SettingKind, value: &DeValue<'_>) -> Option<OsString> {
        Some(match (kind, value) {
            // A number too large for every type stays as written, and is refused as such.
            (SettingKind::Number, DeValue::Integer(number)) => {
                match i64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(number) => number.to_string().into(),
                    Err(_) => number.as_str().into(),
                }
            }
            (SettingKind::Truth, DeValue::Boolean(truth)) => truth.to_string().into(),
            (SettingKind::Text, DeValue::String(text)) => text.as_ref().into(),
            (SettingKind::Path, DeValue::String(text)) if text.is_empty() => OsString::new(),
            (SettingKind::Path, DeValue::String(text)) => {
                self.path.parent().unwrap_or(Path::new("")).join(text.as_ref()).into()
            }
            _ => return None,
        })
    }

    fn unknown(&self, at: usize, key: &str, settings: &Command) -> Problem {
        if FOR_THE_LINE.contains(&key) {
            let what = format!("{key}: is for the command line alone");
            return self.problem(at, what, Some("take it out of the file".into()));
        }
        let is_plain = key.chars().all(|char| char.is_ascii_alphanumeric() || char == '-' || char == '_');
        let error = is_plain.then(|| settings.clone().try_get_matches_from([format!("--{key}")]).err()).flatten();
        let nearest = error.and_then(|error| suggested(&error, ContextKind::SuggestedArg));
        let hint = match nearest {
            Some(flag) => format!("did you mean {}?", flag.trim_start_matches('-')),
            None => "each long flag is a key; server --help lists them".into(),
        };
        self.problem(at, format!("{key}: no such setting"), Some(hint))
    }
}

/// Returns clap's reason against a value, in one line.
fn why(error: &clap::Error, value: &str) -> String {
    match (error.kind(), error.get(ContextKind::ValidValue)) {
        (ErrorKind::InvalidValue, _) if value.is_empty() => "it is empty".into(),
        (ErrorKind::InvalidValue, Some(ContextValue::Strings(valid))) => {
            format!("{value} is none of {}", valid.join(", "))
        }
        _ => error.source().map_or_else(|| error.kind().to_string(), ToString::to_string),
    }
}

fn suggested(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(one) => Some(one.clone()),
        ContextValue::Strings(some) => some.first().cloned(),
        _ => None,
    }
}

fn article(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text in quotes",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn example(arg: &Arg, kind: SettingKind) -> String {
    match (arg.get_default_values().first(), kind) {
        (Some(value), SettingKind::Number | SettingKind::Truth) => value.display().to_string(),
        (Some(value), SettingKind::Path | SettingKind::Text) => format!("\"{}\"", value.display()),
        (None, kind) => kind.example().into(),
    }
}
