//! Server commands, of the console, of operators and of members: one language.
//! PROTOCOL.md §6 "Commands".

use core::net::IpAddr;
use std::fmt;
use std::time::Duration;

use super::{shortened, split_word};
use crate::chat::name::{Name, RoomName, Visible};
use crate::chat::registry_record::Network;
use crate::chat::{Owner, fingerprint};

/// The longest line, in bytes.
pub const LONGEST: usize = 4_096;
/// The longest topic, reason, or words of the day, in bytes.
const LONGEST_WORDS: usize = 512;
/// Default duration of a mute and of an invitation.
const MUTED: Duration = Duration::from_secs(60 * 60);
const INVITED_HOURS: u64 = 24;
const MAX_HOURS: u64 = 8_760;
const MAX_USES: u32 = 1_000;
/// Longer than any duration in use.
const LONGEST_SPAN: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// A command for a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Tells what there is, or of one.
    Help(Option<String>),
    /// Lists rooms.
    Rooms,
    /// Tells a room's topic.
    Topic(RoomName),
    /// Lists the keys of one's name.
    Devices,
    /// Takes one of them away.
    RemoveDevice(Owner),
    /// A command about a room, for its owner.
    Room(RoomName, RoomCommand),
    /// Lists who is here.
    Who,
    /// Sends a notice to all members.
    Say(String),
    /// Disconnects a user, who may come back.
    Kick(Name, String),
    /// Bans a user; for so long, or until it is lifted.
    Ban(BanTarget, Option<Duration>, String),
    /// Lifts a ban.
    Unban(BanTarget),
    /// Lists bans.
    Bans,
    /// Mutes a user; for so long, or until it is lifted.
    Mute(Name, Option<Duration>),
    /// Lets them.
    Unmute(Name),
    /// Makes a user an operator.
    Op(Name),
    /// Makes them none.
    Deop(Name),
    /// Makes an invitation, good for so long and so many.
    Invite(Duration, u32),
    /// Lists invitations.
    Invites,
    /// Takes one back.
    Revoke(u64),
    /// Sets a name free.
    Forget(Name),
    /// Tells how it goes.
    Status,
    /// Reads the settings again.
    Reload,
    /// Tells the words of the day.
    WordsOfTheDay,
    /// Sets them; empty for none.
    SetWordsOfTheDay(String),
    /// Stops the server.
    Terminate,
}

/// A command on a room's settings, by its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoomCommand {
    /// Topic; empty for none.
    SetTopic(String),
    /// Only guests come in.
    Lock,
    /// All users.
    Unlock,
    /// Makes a user a guest.
    Invite(Name),
    /// Removes a member from it.
    Kick(Name, String),
    /// Hands it on.
    Keeper(Name),
    /// It stays when it is empty.
    Register,
    /// It does not.
    Unregister,
}

/// Target of a ban, as it was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BanTarget {
    /// The user of this name.
    Name(Name),
    /// The user of this key.
    Key(Owner),
    /// Users from this address.
    Network(Network),
    /// The target of the ban with this number, for lifting it; or the user with that name.
    Number(u64, Option<Name>),
}

/// Rank that a command needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// All users.
    Anybody,
    /// A room's keeper, in it.
    Keeper,
    /// Operators and the console.
    Operator,
}

/// A command, for those who ask what there is.
struct CommandEntry {
    word: &'static str,
    usage: &'static str,
    does: &'static str,
    rank: Rank,
}

const fn entry(word: &'static str, usage: &'static str, does: &'static str, rank: Rank) -> CommandEntry {
    CommandEntry { word, usage, does, rank }
}

use Rank::{Anybody, Keeper, Operator};

/// All there is, in the order in which it is told.
const ALL: [CommandEntry; 37] = [
    entry("HELP", "HELP [COMMAND]", "lists commands, or explains one", Anybody),
    entry("ROOMS", "ROOMS", "lists rooms, their members' number and topic", Anybody),
    entry("TOPIC", "TOPIC #room", "shows a room's topic", Anybody),
    entry("DEVICES", "DEVICES", "lists the keys of your name", Anybody),
    entry("DEVICES", "DEVICES SHA256:…", "removes one of them", Anybody),
    entry("TOPIC", "TOPIC #room TEXT", "sets a room's topic; - for none", Keeper),
    entry("LOCK", "LOCK #room", "lets only its keeper, guests and operators join", Keeper),
    entry("UNLOCK", "UNLOCK #room", "lets all users join", Keeper),
    entry("INVITE", "INVITE #room NAME", "makes NAME a guest of a room", Keeper),
    entry("KICK", "KICK #room NAME [REASON]", "removes NAME from a room", Keeper),
    entry("KEEPER", "KEEPER #room NAME", "makes NAME the keeper of a room", Keeper),
    entry("REGISTER", "REGISTER #room", "keeps a room when it is empty", Keeper),
    entry("UNREGISTER", "UNREGISTER #room", "ends it when it is empty", Keeper),
    entry("WHO", "WHO", "lists users, their rooms and addresses", Operator),
    entry("SAY", "SAY TEXT", "sends TEXT to all users, as the server's notice", Operator),
    entry("KICK", "KICK NAME [REASON]", "disconnects NAME, who may join again", Operator),
    entry("BAN", "BAN NAME [DURATION] [REASON]", "bans NAME with all its keys", Operator),
    entry("BAN", "BAN SHA256:… [DURATION] [REASON]", "bans a key under every name", Operator),
    entry("BAN", "BAN ADDRESS[/PREFIX] [DURATION] [REASON]", "bans addresses: for an hour, at most a day", Operator),
    entry("UNBAN", "UNBAN NUMBER|NAME|SHA256:…|ADDRESS", "lifts a ban", Operator),
    entry("BANS", "BANS", "lists bans", Operator),
    entry("MUTE", "MUTE NAME [DURATION]", "mutes NAME: for an hour by default", Operator),
    entry("UNMUTE", "UNMUTE NAME", "lifts a mute", Operator),
    entry("OP", "OP NAME", "makes NAME an operator, with its present keys", Operator),
    entry("DEOP", "DEOP NAME", "removes operator rights", Operator),
    entry("INVITE", "INVITE [HOURS] [USES]", "makes an invitation: 24 hours and one user by default", Operator),
    entry("INVITES", "INVITES", "lists invitations", Operator),
    entry("REVOKE", "REVOKE NUMBER", "revokes an invitation", Operator),
    entry("FORGET", "FORGET NAME", "forgets a name, its keys and password", Operator),
    entry("STATUS", "STATUS", "shows uptime, counts, queues and memory", Operator),
    entry("RELOAD", "RELOAD", "reads the configuration file again", Operator),
    entry("MOTD", "MOTD", "shows the message of the day", Operator),
    entry("MOTD", "MOTD TEXT", "sets it; - for none. Newcomers read it", Operator),
    entry("TERMINATE", "TERMINATE", "ends all sessions and stops the server", Operator),
    entry("DURATION", "DURATION", "30s, 10m, 2h, 7d, 4w, or forever", Operator),
    entry("NAME", "NAME", "a user's name, present or absent", Keeper),
    entry("#ROOM", "#room", "a room's name, with its #", Anybody),
];

impl Command {
    /// Parses a line; `None` if it is empty. Words are case-insensitive, except TERMINATE.
    ///
    /// # Errors
    /// A hint, for a line that is no command: it changes no state.
    #[must_use]
    pub fn parse(line: &str) -> Option<Result<Self, String>> {
        if line.len() > LONGEST {
            return Some(Err(format!("a line has at most {LONGEST} bytes")));
        }
        let line = line.trim();
        // Others are shown what is in it, as the server's own lines.
        if line.chars().any(char::is_control) {
            return Some(Err("a line has no control characters in it".into()));
        }
        let (word, rest) = split_word(line);
        if word.is_empty() {
            return None;
        }
        let capitals = word.to_uppercase();
        if !ALL.iter().any(|entry| entry.word == capitals) || matches!(&*capitals, "DURATION" | "NAME" | "#ROOM") {
            return Some(Err(format!("no such command: {}; HELP lists them", shortened(word))));
        }
        if capitals == "TERMINATE" && line != "TERMINATE" {
            return Some(Err("to stop the server type TERMINATE, in capitals and alone".into()));
        }
        Some(Self::parse_words(&capitals, rest).map_err(|wrong| {
            let wrong = wrong.map_or_else(String::new, |why| format!("{why}; "));
            format!("{wrong}usage: {}", usage(&capitals))
        }))
    }

    fn parse_words(word: &str, rest: &str) -> Result<Self, Option<String>> {
        let alone = |command| if rest.is_empty() { Ok(command) } else { Err(Some(format!("{word} stands alone"))) };
        match word {
            "HELP" => Ok(Self::Help((!rest.is_empty()).then(|| rest.to_uppercase()))),
            "ROOMS" => alone(Self::Rooms),
            "WHO" => alone(Self::Who),
            "BANS" => alone(Self::Bans),
            "INVITES" => alone(Self::Invites),
            "STATUS" => alone(Self::Status),
            "RELOAD" => alone(Self::Reload),
            "TERMINATE" => alone(Self::Terminate),
            "DEVICES" if rest.is_empty() => Ok(Self::Devices),
            "DEVICES" => fingerprint::parse(rest).map(Self::RemoveDevice).ok_or(Some("that is no fingerprint".into())),
            "SAY" => Ok(Self::Say(words(rest)?)),
            "MOTD" if rest.is_empty() => Ok(Self::WordsOfTheDay),
            "MOTD" => Ok(Self::SetWordsOfTheDay(if rest == "-" { String::new() } else { words(rest)? })),
            "BAN" => parse_ban(rest),
            "UNBAN" => whom_to_unban(rest).map(Self::Unban),
            "MUTE" => {
                let (who, rest) = named(rest)?;
                let span = if rest.is_empty() {
                    Some(MUTED)
                } else {
                    span(rest).map_err(|DurationError| Some(NO_SPAN.into()))?
                };
                Ok(Self::Mute(who, span))
            }
            "UNMUTE" => only_name(rest).map(Self::Unmute),
            "OP" => only_name(rest).map(Self::Op),
            "DEOP" => only_name(rest).map(Self::Deop),
            "FORGET" => only_name(rest).map(Self::Forget),
            "REVOKE" => rest.parse().map(Self::Revoke).map_err(|_| None),
            "INVITE" if !rest.starts_with('#') => parse_invite(rest),
            "KICK" if !rest.starts_with('#') => {
                let (who, reason) = named(rest)?;
                Ok(Self::Kick(who, reason_of(reason)?))
            }
            _ => parse_in_room(word, rest),
        }
    }

    /// Returns the rank it needs. A room owner's rank holds for that room only.
    #[must_use]
    pub fn rank(&self) -> Rank {
        match self {
            Self::Help(_) | Self::Rooms | Self::Topic(_) | Self::Devices | Self::RemoveDevice(_) => Anybody,
            Self::Room(..) => Keeper,
            _ => Operator,
        }
    }

    /// True if it changes state that the log reports.
    #[must_use]
    pub fn is_act(&self) -> bool {
        !matches!(
            self,
            Self::Help(_)
                | Self::Rooms
                | Self::Topic(_)
                | Self::Devices
                | Self::Who
                | Self::Bans
                | Self::Invites
                | Self::Status
                | Self::WordsOfTheDay
        )
    }
}

/// Returns the help for this rank; or for one command.
#[must_use]
pub fn help(about: Option<&str>, rank: Rank) -> String {
    let is_asked = |entry: &&CommandEntry| about.is_none_or(|word| entry.word == word) && entry.rank <= rank;
    let asked: Vec<&CommandEntry> = ALL.iter().filter(is_asked).collect();
    if asked.is_empty() {
        return format!("no such command: {}; HELP lists them", shortened(about.unwrap_or_default()));
    }
    let widest = asked.iter().map(|entry| entry.usage.chars().count()).max().unwrap_or_default();
    let lines = asked.iter().map(|CommandEntry { usage, does, .. }| format!("{usage:<widest$}  {does}"));
    lines.collect::<Vec<_>>().join("\n")
}

fn usage(word: &str) -> String {
    let of_word = ALL.iter().filter(|entry| entry.word == word);
    of_word.map(|entry| entry.usage).collect::<Vec<_>>().join("  or  ")
}

/// As the log shows it: with its target, and never with a user's text.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let because = |reason: &str| if reason.is_empty() { String::new() } else { format!(" ({})", Visible(reason)) };
        let lasts = |span: &Option<Duration>| span.map_or("forever".into(), shown_span);
        match self {
            Self::Room(room, in_room) => match in_room {
                RoomCommand::SetTopic(_) => write!(f, "TOPIC {room}"),
                RoomCommand::Lock => write!(f, "LOCK {room}"),
                RoomCommand::Unlock => write!(f, "UNLOCK {room}"),
                RoomCommand::Invite(name) => write!(f, "INVITE {room} {name}"),
                RoomCommand::Kick(name, reason) => write!(f, "KICK {room} {name}{}", because(reason)),
                RoomCommand::Keeper(name) => write!(f, "KEEPER {room} {name}"),
                RoomCommand::Register => write!(f, "REGISTER {room}"),
                RoomCommand::Unregister => write!(f, "UNREGISTER {room}"),
            },
            Self::RemoveDevice(owner) => write!(f, "DEVICES {}", fingerprint::ShownFingerprint(*owner)),
            Self::Say(_) => f.write_str("SAY"),
            Self::Kick(name, reason) => write!(f, "KICK {name}{}", because(reason)),
            Self::Ban(whom, span, reason) => write!(f, "BAN {whom} {}{}", lasts(span), because(reason)),
            Self::Unban(whom) => write!(f, "UNBAN {whom}"),
            Self::Mute(name, span) => write!(f, "MUTE {name} {}", lasts(span)),
            Self::Unmute(name) => write!(f, "UNMUTE {name}"),
            Self::Op(name) => write!(f, "OP {name}"),
            Self::Deop(name) => write!(f, "DEOP {name}"),
            Self::Invite(span, uses) => write!(f, "INVITE for {}, {uses} times", shown_span(*span)),
            Self::Revoke(number) => write!(f, "REVOKE {number}"),
            Self::Forget(name) => write!(f, "FORGET {name}"),
            Self::SetWordsOfTheDay(_) | Self::WordsOfTheDay => f.write_str("MOTD"),
            Self::Reload => f.write_str("RELOAD"),
            Self::Terminate => f.write_str("TERMINATE"),
            Self::Help(_) => f.write_str("HELP"),
            Self::Rooms => f.write_str("ROOMS"),
            Self::Topic(room) => write!(f, "TOPIC {room}"),
            Self::Devices => f.write_str("DEVICES"),
            Self::Who => f.write_str("WHO"),
            Self::Bans => f.write_str("BANS"),
            Self::Invites => f.write_str("INVITES"),
            Self::Status => f.write_str("STATUS"),
        }
    }
}

impl fmt::Display for BanTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Key(owner) => fingerprint::ShownFingerprint(*owner).fmt(f),
            Self::Network(network) => network.fmt(f),
            Self::Number(number, _) => number.fmt(f),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = if self.first.is_ipv4() { 32 } else { 128 };
        if self.prefix == whole { self.first.fmt(f) } else { write!(f, "{}/{}", self.first, self.prefix) }
    }
}

const NO_SPAN: &str = "that is no duration: 30s, 10m, 2h, 7d, 4w, or forever";

fn parse_ban(rest: &str) -> Result<Command, Option<String>> {
    let (first, rest) = split_word(rest);
    let whom = whom(first)?;
    let (second, after) = split_word(rest);
    let (lasts, reason) = match span(second) {
        Ok(lasts) => (lasts, after),
        // What begins as one was meant as one.
        Err(DurationError) if second.starts_with(|first: char| first.is_ascii_digit()) => {
            return Err(Some(NO_SPAN.into()));
        }
        Err(DurationError) => (None, rest),
    };
    Ok(Command::Ban(whom, lasts, reason_of(reason)?))
}

fn whom(text: &str) -> Result<BanTarget, Option<String>> {
    if text.is_empty() {
        return Err(None);
    }
    if let Some(owner) = fingerprint::parse(text) {
        return Ok(BanTarget::Key(owner));
    }
    if text.starts_with("SHA256:") {
        return Err(Some("that is no fingerprint".into()));
    }
    let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
    if let Ok(address) = address.parse::<IpAddr>() {
        let prefix = prefix.map(str::parse).transpose().map_err(|_| Some("that prefix is no number".into()))?;
        return Network::new(address, prefix).map(BanTarget::Network).map_err(|why| Some(why.into()));
    }
    name(text).map(BanTarget::Name)
}

fn whom_to_unban(text: &str) -> Result<BanTarget, Option<String>> {
    match text.parse() {
        Ok(number) => Ok(BanTarget::Number(number, Name::normalize(text).ok())),
        Err(_) => whom(text),
    }
}

fn parse_invite(rest: &str) -> Result<Command, Option<String>> {
    let (hours, uses) = split_word(rest);
    let hours = if hours.is_empty() { INVITED_HOURS } else { hours.parse().map_err(|_| None)? };
    let uses = if uses.is_empty() { 1 } else { uses.parse().map_err(|_| None)? };
    if !(1..=MAX_HOURS).contains(&hours) || !(1..=MAX_USES).contains(&uses) {
        return Err(Some(format!("1 to {MAX_HOURS} hours, 1 to {MAX_USES} uses")));
    }
    Ok(Command::Invite(Duration::from_secs(hours * 60 * 60), uses))
}

fn parse_in_room(word: &str, rest: &str) -> Result<Command, Option<String>> {
    let (room, rest) = split_word(rest);
    if room.is_empty() {
        return Err(None);
    }
    let room = RoomName::parse(room).map_err(|why| Some(format!("{} is no room: {why}", shortened(room))))?;
    let alone = |command| if rest.is_empty() { Ok(command) } else { Err(None) };
    let command = match word {
        "TOPIC" if rest.is_empty() => return Ok(Command::Topic(room)),
        "TOPIC" => RoomCommand::SetTopic(if rest == "-" { String::new() } else { words(rest)? }),
        "LOCK" => alone(RoomCommand::Lock)?,
        "UNLOCK" => alone(RoomCommand::Unlock)?,
        "REGISTER" => alone(RoomCommand::Register)?,
        "UNREGISTER" => alone(RoomCommand::Unregister)?,
        "INVITE" => RoomCommand::Invite(only_name(rest)?),
        "KEEPER" => RoomCommand::Keeper(only_name(rest)?),
        "KICK" => {
            let (who, reason) = named(rest)?;
            RoomCommand::Kick(who, reason_of(reason)?)
        }
        _ => return Err(None),
    };
    Ok(Command::Room(room, command))
}

fn name(text: &str) -> Result<Name, Option<String>> {
    Name::normalize(text).map_err(|why| Some(format!("{} is no name: {why}", shortened(text))))
}

/// The name that stands first, and what comes after it.
fn named(rest: &str) -> Result<(Name, &str), Option<String>> {
    let (first, rest) = split_word(rest);
    if first.is_empty() { Err(None) } else { Ok((name(first)?, rest)) }
}

fn only_name(rest: &str) -> Result<Name, Option<String>> {
    match named(rest)? {
        (name, "") => Ok(name),
        _ => Err(None),
    }
}

fn words(text: &str) -> Result<String, Option<String>> {
    match text.len() {
        0 => Err(None),
        1..=LONGEST_WORDS => Ok(text.to_owned()),
        length => Err(Some(format!("{length} bytes are more than {LONGEST_WORDS}"))),
    }
}

fn reason_of(text: &str) -> Result<String, Option<String>> {
    if text.is_empty() { Ok(String::new()) } else { words(text) }
}

struct DurationError;

/// A duration; `None` for one without end.
fn span(text: &str) -> Result<Option<Duration>, DurationError> {
    if text.eq_ignore_ascii_case("forever") {
        return Ok(None);
    }
    let at = text.len().checked_sub(1).ok_or(DurationError)?;
    let (number, unit) = text.split_at_checked(at).ok_or(DurationError)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        "w" => 7 * 24 * 60 * 60,
        _ => return Err(DurationError),
    };
    let seconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(seconds)).ok_or(DurationError)?;
    let span = Duration::from_secs(seconds);
    if span.is_zero() || span > LONGEST_SPAN { Err(DurationError) } else { Ok(Some(span)) }
}

/// A duration as it would be written.
#[must_use]
pub fn shown_span(span: Duration) -> String {
    let seconds = span.as_secs();
    let units = [(7 * 24 * 60 * 60, 'w'), (24 * 60 * 60, 'd'), (60 * 60, 'h'), (60, 'm')];
    let whole = units.into_iter().find(|(unit, _)| seconds >= *unit && seconds.is_multiple_of(*unit));
    whole.map_or_else(|| format!("{seconds}s"), |(unit, letter)| format!("{}{letter}", seconds / unit))
}

#[cfg(test)]
mod tests;
