//! Actors of commands, and the words of the answers.

use super::{ConnectionId, Duration, Effect, ErrorCode, NOT_DONE, Now, SessionNumber, ToClient, refusal, tell};
use crate::chat::name::Name;
use crate::chat::registry_record::AccountId;
use crate::chat::{Owner, when};

/// Maximum length of a list, in bytes: it fits one record, with its frame.
const LONGEST_LIST: usize = 60_000;

/// Issuer of a command.
#[derive(Clone, Debug)]
pub(super) enum Actor {
    /// The server's console.
    Console,
    /// A connected user.
    Somebody { member: SessionNumber, account: AccountId, owner: Owner, name: Name, is_operator: bool },
}

/// Answer to a successful command.
pub(super) enum CommandOutcome {
    Text(String),
    Wish(HostRequest),
}

impl From<String> for CommandOutcome {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// A request to the process, which has a clock, files and threads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostRequest {
    /// A request to stop the server.
    Terminate,
    /// To read the settings again.
    Reload,
    /// To tell how it goes.
    Status,
    /// To draw a token, for [`invite`](super::ChatState::invite).
    Invite {
        /// For how long it is good.
        lasts: Duration,
        /// For how many.
        uses: u32,
        /// Inviter.
        by: String,
    },
}

/// Reason why a command is refused.
pub(super) struct CommandError(pub(super) ErrorCode, pub(super) String);

pub(super) fn refused(why: String) -> CommandError {
    CommandError(ErrorCode::Refused, why)
}

pub(super) fn absent(why: String) -> CommandError {
    CommandError(ErrorCode::Absent, why)
}

/// Outcome of a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandReply {
    /// Done, with this to tell.
    Done(String),
    /// Not done, and why.
    Refused(ErrorCode, String),
    /// To be done by others, who reply then.
    Wish(HostRequest),
}

impl Actor {
    pub(super) fn label(&self) -> String {
        match self {
            Self::Console => "the console".into(),
            Self::Somebody { name, .. } => name.to_string(),
        }
    }

    pub(super) fn member(&self) -> Option<SessionNumber> {
        if let Self::Somebody { member, .. } = self { Some(*member) } else { None }
    }

    pub(super) fn account(&self) -> Option<AccountId> {
        if let Self::Somebody { account, .. } = self { Some(*account) } else { None }
    }

    pub(super) fn is_operator(&self) -> bool {
        matches!(self, Self::Console | Self::Somebody { is_operator: true, .. })
    }
}

/// Answer to a user's command line.
#[must_use]
pub fn replied(to: ConnectionId, reply: &CommandReply) -> Effect {
    match reply {
        CommandReply::Done(text) => tell(to, &ToClient::Answer(text.clone())),
        CommandReply::Refused(code, why) => refusal(to, *code, why),
        CommandReply::Wish(_) => refusal(to, ErrorCode::Unsupported, NOT_DONE),
    }
}

pub(super) fn end(now: Now, lasts: Duration) -> u64 {
    now.at.saturating_add(u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX))
}

pub(super) fn until_text(until: Option<u64>) -> String {
    until.map_or("until it is lifted".into(), |until| format!("until {}", when(until)))
}

/// A count with its noun.
pub(super) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// A list: as many of its lines as one answer can have, and how many there are beyond that.
pub(super) fn lines(mut all: impl Iterator<Item = String>, none: &str) -> String {
    let mut text = String::new();
    while let Some(line) = all.next() {
        if text.len() + line.len() > LONGEST_LIST {
            return format!("{text}and {} more", 1 + all.count());
        }
        text.push_str(&line);
        text.push('\n');
    }
    if text.is_empty() { none.to_owned() } else { text.trim_end_matches('\n').to_owned() }
}

/// A reason, at the end of a sentence.
pub(super) fn because(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(": {reason}") }
}
