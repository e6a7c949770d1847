//! Commands of the console, of operators and of members. PROTOCOL.md §6 "Commands".

use super::bans::ban_line;
use super::command_reply::{
    Actor, CommandError, CommandOutcome, CommandReply, HostRequest, absent, because, count, end, lines, refused,
    replied, until_text,
};
use super::{
    AuditEvent, ByeReason, ChatState, Duration, Effect, ErrorCode, Event, JournalPlace, LeftReason, Now, RoomName,
    SessionNumber, SessionState, refusal,
};
use crate::chat::accounts::MAX_KEYS;
use crate::chat::command::server::{Command, Rank, help, shown_span};
use crate::chat::fingerprint;
use crate::chat::name::Name;
use crate::chat::registry_record::{Account, AccountId, DeviceKey, Invite, Mute};
use crate::chat::{ConnectionId, Owner, when};

/// Operators whose names all users may see.
const NAMED: usize = 10;

/// Counters of the server.
#[derive(Clone, Copy, Debug, Default)]
pub struct ServerCounts {
    /// Sessions, and how many of them have lost their connection.
    pub sessions: usize,
    /// Those that have lost it.
    pub away: usize,
    /// Rooms with members.
    pub rooms: usize,
    /// Registered names.
    pub names: usize,
    /// Messages and whispers since the start.
    pub messages: u64,
    /// For how many people that was.
    pub deliveries: u64,
    /// Events that a session has yet to read, in bytes.
    pub unread: u64,
}

impl ChatState {
    /// A line at the server's console; `None` if it is empty.
    pub fn console(&mut self, line: &str, now: Now, out: &mut Vec<Effect>) -> Option<CommandReply> {
        let reply = self.run_command(&Actor::Console, line, now, out);
        self.flush_registry_changes(out);
        reply
    }

    /// A line of a connected user.
    pub(super) fn handle_command(
        &mut self,
        from: ConnectionId,
        member: SessionNumber,
        line: &str,
        now: Now,
        out: &mut Vec<Effect>,
    ) {
        let Some(present) = self.present.get(&member) else {
            return;
        };
        let (owner, name) = (present.user.owner, present.user.name.clone());
        let is_operator = self.order.is_operator(owner);
        let by = Actor::Somebody { member, account: present.account, owner, name, is_operator };
        match self.run_command(&by, line, now, out) {
            Some(CommandReply::Wish(wish)) => out.push(Effect::Wish(from, wish)),
            Some(reply) => out.push(replied(from, &reply)),
            None => out.push(refusal(from, ErrorCode::Malformed, "there is nothing in that line")),
        }
    }

    fn run_command(&mut self, by: &Actor, line: &str, now: Now, out: &mut Vec<Effect>) -> Option<CommandReply> {
        let command = match Command::parse(line)? {
            Ok(command) => command,
            Err(hint) => return Some(CommandReply::Refused(ErrorCode::Malformed, hint)),
        };
        if command.rank() == Rank::Operator && !by.is_operator() {
            return Some(CommandReply::Refused(ErrorCode::Refused, "only operators may do that".into()));
        }
        // Its own end tells of itself, where it is told.
        let is_told = command == Command::Terminate && matches!(by, Actor::Console);
        let act = (command.is_act() && !is_told).then(|| command.to_string());
        Some(match self.execute(by, command, now, out) {
            Ok(done) => {
                out.extend(act.map(|what| Effect::Note(AuditEvent::Act { by: by.label(), what })));
                match done {
                    CommandOutcome::Text(text) => CommandReply::Done(text),
                    CommandOutcome::Wish(wish) => CommandReply::Wish(wish),
                }
            }
            Err(CommandError(code, why)) => CommandReply::Refused(code, why),
        })
    }

    fn execute(
        &mut self,
        by: &Actor,
        command: Command,
        now: Now,
        out: &mut Vec<Effect>,
    ) -> Result<CommandOutcome, CommandError> {
        let rank = if by.is_operator() { Rank::Operator } else { Rank::Keeper };
        Ok(match command {
            Command::Help(about) => help(about.as_deref(), rank).into(),
            Command::Rooms => self.list_rooms(by).into(),
            Command::Topic(room) => self.tell_topic(by, &room)?,
            Command::Devices => self.list_devices(by)?,
            Command::RemoveDevice(owner) => self.remove_device(by, owner)?,
            Command::Room(room, what) => self.settle_room(by, &room, what, now, out)?,
            Command::Who => self.list_people().into(),
            Command::Say(text) => {
                self.notice(&text, now, out);
                format!("said to {}", count(self.present.len(), "session")).into()
            }
            Command::Kick(name, reason) => {
                let account = self.named(&name)?;
                let member = self.session_of(account).ok_or_else(|| absent(format!("{name} is not here")))?;
                let told = format!("{} removed you{}", by.label(), because(&reason));
                self.kick(member, &told, now, out);
                format!("{name} is removed").into()
            }
            Command::Ban(whom, lasts, reason) => self.ban(by, whom, lasts, &reason, now, out)?,
            Command::Unban(whom) => self.unban(&whom, now.at)?,
            Command::Bans => lines(self.order.bans(now.at).map(ban_line), "there are no bans").into(),
            Command::Mute(name, lasts) => {
                let account = self.named(&name)?;
                let until = lasts.map(|lasts| end(now, lasts));
                self.order.mute(Mute { account, until, by: by.label() });
                let until = until_text(until);
                self.tell_name(account, &format!("{} has muted you {until}", by.label()), now, out);
                format!("{name} is muted {until}").into()
            }
            Command::Unmute(name) => {
                let account = self.named(&name)?;
                if !self.order.unmute(account) {
                    return Err(absent(format!("{name} is not muted")));
                }
                self.tell_name(account, "you may speak again", now, out);
                format!("{name} may speak again").into()
            }
            Command::Op(name) => self.make_operator(by, &name, true, now, out)?,
            Command::Deop(name) => self.make_operator(by, &name, false, now, out)?,
            Command::Invite(lasts, uses) => CommandOutcome::Wish(HostRequest::Invite { lasts, uses, by: by.label() }),
            Command::Invites => {
                let line = |it: &Invite| {
                    format!("{:>3}  good for {} until {}  (by {})", it.id, it.uses, when(it.until), it.by)
                };
                lines(self.order.invites(now.at).map(line), "there are no invitations").into()
            }
            Command::Revoke(id) if self.order.revoke(id) => format!("invitation {id} is revoked").into(),
            Command::Revoke(id) => return Err(absent(format!("there is no invitation {id}: INVITES lists them"))),
            Command::Forget(name) => self.forget_name(&name)?,
            Command::Status => CommandOutcome::Wish(HostRequest::Status),
            Command::Reload => CommandOutcome::Wish(HostRequest::Reload),
            Command::WordsOfTheDay if self.order.words().is_empty() => {
                String::from("there is no message of the day").into()
            }
            Command::WordsOfTheDay => self.order.words().to_owned().into(),
            Command::SetWordsOfTheDay(words) => {
                self.order.set_words(&words);
                String::from(if words.is_empty() {
                    "no message of the day"
                } else {
                    "message of the day set: newcomers read it"
                })
                .into()
            }
            Command::Terminate => CommandOutcome::Wish(HostRequest::Terminate),
        })
    }

    /// The account of an owned name.
    pub(super) fn named(&self, name: &Name) -> Result<AccountId, CommandError> {
        let account = self.accounts.find(name);
        account.map(|account| account.id).ok_or_else(|| absent(format!("no user named {name} is known here")))
    }

    /// Takes a token in.
    ///
    /// # Errors
    /// Why there is no such invitation.
    pub fn invite(
        &mut self,
        token: [u8; 32],
        lasts: Duration,
        uses: u32,
        by: &str,
        now: Now,
        out: &mut Vec<Effect>,
    ) -> Result<u64, String> {
        let done = self.order.invite(token, end(now, lasts), uses, by, now.at).map_err(|why| why.to_string());
        self.flush_registry_changes(out);
        done
    }

    /// Returns the counters.
    #[must_use]
    pub fn counts(&self) -> ServerCounts {
        ServerCounts {
            sessions: self.present.len(),
            away: self.present.values().filter(|present| present.conn().is_none()).count(),
            rooms: self.rooms.len(),
            names: self.accounts.len(),
            unread: self.backlog.bytes(),
            ..self.counts
        }
    }

    pub(super) fn kick(&mut self, member: SessionNumber, told: &str, now: Now, out: &mut Vec<Effect>) {
        self.send_event(member, Event::Notice(told.to_owned()), now, out);
        self.end(member, LeftReason::Kicked, Some(ByeReason::Kicked), now, out);
    }

    fn tell_name(&mut self, account: AccountId, text: &str, now: Now, out: &mut Vec<Effect>) {
        if let Some(member) = self.session_of(account) {
            self.send_event(member, Event::Notice(text.to_owned()), now, out);
        }
    }

    fn make_operator(
        &mut self,
        by: &Actor,
        name: &Name,
        is_one: bool,
        now: Now,
        out: &mut Vec<Effect>,
    ) -> Result<CommandOutcome, CommandError> {
        let account = self.named(name)?;
        let keys = self.accounts.get(account).map(Account::owners).unwrap_or_default();
        let changed = keys.into_iter().filter(|owner| self.order.set_operator(*owner, is_one)).count();
        if changed == 0 {
            let why = if is_one { "is an operator already" } else { "is not an operator" };
            return Err(refused(format!("{name} {why}")));
        }
        let (told, answer) = if is_one {
            ("made you an operator: /server HELP", format!("{name} is an operator, with {}", count(changed, "key")))
        } else {
            ("removed your operator rights", format!("{name} is not an operator any more"))
        };
        self.tell_name(account, &format!("{} has {told}", by.label()), now, out);
        Ok(answer.into())
    }

    fn forget_name(&mut self, name: &Name) -> Result<CommandOutcome, CommandError> {
        let account = self.named(name)?;
        if self.session_of(account).is_some() {
            return Err(refused(format!("{name} is here: KICK {name} first")));
        }
        let keys = self.accounts.get(account).map(Account::owners).unwrap_or_default();
        self.order.forget(account, &keys);
        self.accounts.forget(account);
        Ok(format!("{name} is free").into())
    }

    fn list_devices(&self, by: &Actor) -> Result<CommandOutcome, CommandError> {
        let Actor::Somebody { account, owner, .. } = by else {
            return Err(refused("the console has no name".into()));
        };
        let account = self.accounts.get(*account).ok_or_else(|| absent("your name is not known here".into()))?;
        let line = |key: &DeviceKey| {
            let this = if key.owner == *owner { "  this one" } else { "" };
            let (added, used) = (when(key.added_at), when(key.used_at));
            format!("{}  since {added}, last used {used}{this}", fingerprint::ShownFingerprint(key.owner))
        };
        let password = match (&account.password, account.keys.len()) {
            (Some(_), MAX_KEYS..) => "a password is set; no more keys fit",
            (Some(_), _) => "a password is set: with it another key can use this name",
            (None, _) => "no password is set (/password): no other key can use this name",
        };
        Ok(format!("{}\n{password}", lines(account.keys.iter().map(line), "no keys")).into())
    }

    fn remove_device(&mut self, by: &Actor, gone: Owner) -> Result<CommandOutcome, CommandError> {
        match by {
            Actor::Console => Err(refused("the console has no name".into())),
            Actor::Somebody { owner, .. } if *owner == gone => {
                Err(refused("that is the key you are here with: use another one to remove it".into()))
            }
            Actor::Somebody { account, .. } if self.accounts.remove_key(*account, gone) => {
                // A user who gives a key up does not trust it, under any of its names.
                self.order.set_operator(gone, false);
                Ok(format!("{} cannot use this name any more", fingerprint::ShownFingerprint(gone)).into())
            }
            Actor::Somebody { .. } => Err(absent("your name has no such key: DEVICES lists them".into())),
        }
    }

    fn list_people(&self) -> String {
        let mut all: Vec<_> = self.present.values().collect();
        all.sort_unstable_by(|one, other| one.user.name.cmp(&other.user.name));
        let widest = all.iter().map(|it| it.user.name.as_str().chars().count()).max().unwrap_or_default();
        let line = |it: &&SessionState| {
            let rooms: Vec<&str> = it.rooms().map(RoomName::as_str).collect();
            let from = it.address.map_or(String::new(), |address| format!("  from {}", address.to_canonical()));
            let operator = if self.order.is_operator(it.user.owner) { "  operator" } else { "" };
            let away = if it.conn().is_none() { "  (reconnecting)" } else { "" };
            format!("{:<widest$}  {}{from}{operator}{away}", it.user.name, rooms.join(" "))
        };
        if all.is_empty() {
            return "no user is here".into();
        }
        format!("{} here\n{}", all.len(), lines(all.iter().map(line), ""))
    }

    /// Text that a newcomer reads about this server's settings: one line; then the message of the day.
    pub(super) fn server_notice(&self) -> String {
        let mut operators: Vec<&Name> =
            self.order.operators().filter_map(|owner| self.accounts.of(owner).next()).map(|it| &it.name).collect();
        operators.sort_unstable();
        operators.dedup();
        let mut named: Vec<String> = operators.iter().take(NAMED).map(ToString::to_string).collect();
        if operators.len() > NAMED {
            named.push(format!("{} more", operators.len() - NAMED));
        }
        let operators = if named.is_empty() { "none".into() } else { named.join(", ") };
        let journal = match self.policy.journal {
            JournalPlace::Disk => "on disk",
            JournalPlace::Memory => "in memory",
        };
        let unread = match self.limits.resume {
            Duration::ZERO => String::new(),
            resume => format!("undelivered messages, for {} ({journal}); ", shown_span(resume)),
        };
        let rules = format!(
            "This server cannot read messages. It keeps, sealed: {unread}letters, for 30d. And in the clear: names and \
             keys, until unused for {}; rooms; bans. Operators: {operators}.",
            shown_span(self.policy.unused_names),
        );
        if self.order.words().is_empty() { rules } else { format!("{rules}\n{}", self.order.words()) }
    }
}
