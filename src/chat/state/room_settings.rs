//! Settings of a room, by its keeper or an operator. PROTOCOL.md §6 "Rooms".

use super::command_reply::{Actor, CommandError, CommandOutcome, absent, because, lines, refused};
use super::{ByeReason, ChatState, Effect, Event, LeftReason, Now, RoomName, SessionNumber};
use crate::chat::command::server::RoomCommand;
use crate::chat::name::Name;
use crate::chat::registry_record::{AccountId, RegistryRecord, RoomRules};

/// Registered rooms of one name, and of all.
const MAX_EACH: usize = 8;
const MAX_REGISTERED: usize = 1_000;
/// Guests of a room.
const MAX_GUESTS: usize = 256;

impl ChatState {
    /// Checks that a user may join a room that is locked, or any room; or gives the reason.
    pub(super) fn check_open_to(
        &self,
        room: &RoomName,
        account: Option<AccountId>,
        is_operator: bool,
    ) -> Result<(), String> {
        let Some(rules) = self.rules.get(room).filter(|rules| rules.locked && !is_operator) else {
            return Ok(());
        };
        let is_guest = account.is_some_and(|account| rules.keeper == Some(account) || rules.guests.contains(&account));
        if is_guest {
            return Ok(());
        }
        let keeper = rules.keeper.and_then(|keeper| self.accounts.get(keeper));
        let whom = keeper.map_or("an operator".into(), |keeper| keeper.name.to_string());
        Err(format!("{room} is locked: ask {whom} for an invitation"))
    }

    /// Settings of a room: its own, or the defaults of an unregistered room.
    fn rules_of(&self, room: &RoomName) -> RoomRules {
        self.rules.get(room).cloned().unwrap_or_else(|| RoomRules {
            room: room.clone(),
            keeper: self.rooms.get(room).and_then(|open| open.opened_by),
            locked: false,
            guests: Vec::new(),
            topic: String::new(),
            registered: false,
        })
    }

    /// Owner of a room, and the persistence of the room.
    fn keeper_of(&self, room: &RoomName) -> (Option<AccountId>, bool) {
        let opened_by = || self.rooms.get(room).and_then(|open| open.opened_by);
        self.rules.get(room).map_or_else(|| (opened_by(), false), |rules| (rules.keeper, rules.registered))
    }

    /// A room is empty.
    pub(super) fn on_room_empty(&mut self, room: &RoomName) {
        let is_kept = |rules: &RoomRules| rules.registered || rules.room == RoomName::lobby();
        if self.rules.get(room).is_some_and(|rules| !is_kept(rules)) {
            self.rules.remove(room);
            self.changes.push(RegistryRecord::RoomGone(room.clone()));
        }
    }

    /// Removes the rights of a name that has no owner.
    pub(super) fn release_rooms_of(&mut self, account: AccountId) {
        for open in self.rooms.values_mut().filter(|open| open.opened_by == Some(account)) {
            open.opened_by = None;
        }
        let of_it = |rules: &&RoomRules| rules.keeper == Some(account) || rules.guests.contains(&account);
        let all: Vec<RoomRules> = self.rules.values().filter(of_it).cloned().collect();
        for mut rules in all {
            rules.guests.retain(|guest| *guest != account);
            if rules.keeper == Some(account) {
                (rules.keeper, rules.registered) = (None, false);
            }
            let room = rules.room.clone();
            self.settle(rules);
            if !self.rooms.contains_key(&room) {
                self.on_room_empty(&room);
            }
        }
    }

    fn settle(&mut self, rules: RoomRules) {
        self.changes.push(RegistryRecord::Room(rules.clone()));
        self.rules.insert(rules.room.clone(), rules);
    }

    /// Text for a user who joins a room.
    pub(super) fn topic_text(&self, room: &RoomName) -> Option<String> {
        let topic = &self.rules.get(room)?.topic;
        (!topic.is_empty()).then(|| format!("topic of {room}: {topic}"))
    }

    /// A room's topic, for those who may know of it.
    pub(super) fn tell_topic(&self, by: &Actor, room: &RoomName) -> Result<CommandOutcome, CommandError> {
        self.check_visible_to(by, room)?;
        Ok(self.topic_text(room).unwrap_or_else(|| format!("{room} has no topic")).into())
    }

    fn check_visible_to(&self, by: &Actor, room: &RoomName) -> Result<(), CommandError> {
        let is_there = self.rooms.contains_key(room) || self.rules.contains_key(room);
        let is_in = by.member().and_then(|member| self.present.get(&member)).is_some_and(|one| one.is_in(room));
        let may_see = is_in || self.check_open_to(room, by.account(), by.is_operator()).is_ok();
        if is_there && may_see { Ok(()) } else { Err(absent(format!("no such room: {room}"))) }
    }

    /// Rooms that a user may know of.
    pub(super) fn list_rooms(&self, by: &Actor) -> String {
        let mut all: Vec<&RoomName> = self.rooms.keys().chain(self.rules.keys()).collect();
        all.sort_unstable();
        all.dedup();
        all.retain(|room| self.check_visible_to(by, room).is_ok());
        let widest = all.iter().map(|room| room.as_str().chars().count()).max().unwrap_or_default();
        let line = |room: &&RoomName| {
            let here = self.rooms.get(*room).map_or(0, |open| open.roster.members().len());
            let rules = self.rules.get(*room);
            let locked = if rules.is_some_and(|rules| rules.locked) { "  locked" } else { "" };
            let keeper = self.keeper_of(room).0.and_then(|keeper| self.accounts.get(keeper));
            let keeper = keeper.map_or(String::new(), |keeper| format!("  kept by {}", keeper.name));
            let topic = rules.map_or("", |rules| &rules.topic);
            format!("{room:<widest$}  {here:>4}{keeper}{locked}{}{topic}", if topic.is_empty() { "" } else { "  " })
        };
        lines(all.iter().map(line), "there are no rooms")
    }

    /// Does what a room's keeper may, or an operator.
    pub(super) fn settle_room(
        &mut self,
        by: &Actor,
        room: &RoomName,
        what: RoomCommand,
        now: Now,
        out: &mut Vec<Effect>,
    ) -> Result<CommandOutcome, CommandError> {
        self.check_visible_to(by, room)?;
        let is_lobby = *room == RoomName::lobby();
        if !by.is_operator() && !by.member().is_some_and(|member| self.keeps(member, room)) {
            let whose = if is_lobby { "only operators do that there" } else { "only its keeper and operators do that" };
            return Err(refused(format!("{room} is not yours: {whose}")));
        }
        let mut rules = self.rules_of(room);
        if is_lobby && !matches!(what, RoomCommand::SetTopic(_) | RoomCommand::Kick(..)) {
            return Err(refused("the lobby has no keeper, and is open to all who may come in (--access)".into()));
        }
        let told = match what {
            RoomCommand::Kick(name, reason) => return self.kick_from(by, room, &name, &reason, now, out),
            RoomCommand::Invite(name) => return self.make_guest(by, rules, &name, now, out),
            RoomCommand::Lock | RoomCommand::Unlock => {
                rules.locked = what == RoomCommand::Lock;
                format!("{} has {} {room}", by.label(), if rules.locked { "locked" } else { "unlocked" })
            }
            RoomCommand::SetTopic(topic) if topic.is_empty() => {
                rules.topic = topic;
                format!("{} removed the topic of {room}", by.label())
            }
            RoomCommand::SetTopic(topic) => {
                let told = format!("topic of {room}: {topic} ({})", by.label());
                rules.topic = topic;
                told
            }
            RoomCommand::Keeper(name) => {
                let account = self.named(&name)?;
                if rules.registered && rules.keeper != Some(account) {
                    self.check_register(Some(account))?;
                }
                rules.keeper = Some(account);
                rules.guests.retain(|guest| *guest != account);
                format!("{} has made {name} the keeper of {room}", by.label())
            }
            RoomCommand::Register => {
                if !rules.registered && self.rules.values().filter(|rules| rules.registered).count() >= MAX_REGISTERED {
                    return Err(refused("there are too many registered rooms here already".into()));
                }
                let keeper = rules.keeper.or(by.account());
                if !rules.registered {
                    self.check_register(keeper)?;
                }
                (rules.keeper, rules.registered) = (keeper, true);
                format!("{room} is registered: it stays when empty ({})", by.label())
            }
            RoomCommand::Unregister => {
                rules.registered = false;
                format!("{room} is unregistered: it ends when empty ({})", by.label())
            }
        };
        self.settle(rules);
        if self.rooms.contains_key(room) {
            // The actor has the answer.
            self.broadcast(&room.clone(), by.member(), &[], Event::Notice(told.clone()), now, out);
        } else {
            self.on_room_empty(room);
        }
        Ok(told.into())
    }

    /// Checks that a name may register one more room.
    fn check_register(&self, keeper: Option<AccountId>) -> Result<(), CommandError> {
        let its = self.rules.values().filter(|rules| rules.registered && rules.keeper == keeper);
        if its.count() < MAX_EACH {
            return Ok(());
        }
        Err(refused(format!("its keeper has {MAX_EACH} registered rooms already")))
    }

    /// True if a user owns a room: its owner does, and while the owner is away the longest member, unless
    /// it is registered.
    fn keeps(&self, member: SessionNumber, room: &RoomName) -> bool {
        let Some(present) = self.present.get(&member).filter(|_| *room != RoomName::lobby()) else {
            return false;
        };
        let (keeper, is_registered) = self.keeper_of(room);
        if keeper == Some(present.account) {
            return true;
        }
        let Some(open) = self.rooms.get(room).filter(|_| !is_registered) else {
            return false;
        };
        let members = open.roster.members();
        let is_keeper = |member: &SessionNumber| self.present.get(member).is_some_and(|it| keeper == Some(it.account));
        members.first() == Some(&member) && !members.iter().any(is_keeper)
    }

    fn make_guest(
        &mut self,
        by: &Actor,
        mut rules: RoomRules,
        name: &Name,
        now: Now,
        out: &mut Vec<Effect>,
    ) -> Result<CommandOutcome, CommandError> {
        let (account, room) = (self.named(name)?, rules.room.clone());
        // A user who is invited again and again by a stranger cannot prevent it.
        let is_news = !rules.guests.contains(&account) && rules.keeper != Some(account);
        if is_news {
            if rules.guests.len() >= MAX_GUESTS {
                return Err(refused(format!("{room} has {MAX_GUESTS} guests already")));
            }
            rules.guests.push(account);
            self.settle(rules);
        }
        let is_here = self.session_of(account);
        if let Some(member) =
            is_here.filter(|member| is_news && self.present.get(member).is_some_and(|one| !one.is_in(&room)))
        {
            let text = format!("{} invites you to {room}: /join {room}", by.label());
            self.send_event(member, Event::Notice(text), now, out);
        }
        let told = if is_here.is_some() { "" } else { ", but is not here to be told" };
        Ok(format!("{name} is a guest of {room}{told}").into())
    }

    fn kick_from(
        &mut self,
        by: &Actor,
        room: &RoomName,
        name: &Name,
        reason: &str,
        now: Now,
        out: &mut Vec<Effect>,
    ) -> Result<CommandOutcome, CommandError> {
        let account = self.named(name)?;
        let member =
            self.session_of(account).filter(|member| self.present.get(member).is_some_and(|it| it.is_in(room)));
        let member = member.ok_or_else(|| absent(format!("{name} is not in {room}")))?;
        if let Some(rules) = self.rules.get(room).filter(|rules| rules.guests.contains(&account)) {
            let mut rules = rules.clone();
            rules.guests.retain(|guest| *guest != account);
            self.settle(rules);
        }
        let text = format!("{} removed you from {room}{}", by.label(), because(reason));
        self.send_event(member, Event::Notice(text), now, out);
        self.remove_member(member, room, LeftReason::Kicked, now, out);
        if self.present.get(&member).is_some_and(|present| present.rooms().next().is_none()) {
            self.end(member, LeftReason::Kicked, Some(ByeReason::Kicked), now, out);
        }
        Ok(format!("{name} is removed from {room}").into())
    }
}
