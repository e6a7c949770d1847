//! Admission of users: bans, names that are taken, passwords, invitations. PROTOCOL.md §6.

use core::net::IpAddr;
use std::collections::HashSet;
use std::sync::Arc;

use super::bans::ban_text;
use super::{
    Access, ByeReason, ChatState, ConnectionId, Connectivity, Duration, Effect, ErrorCode, Event, HashMap, LeftReason,
    MessageSequence, Moderation, Now, Policy, Rate, ResumeRange, RoomName, SessionNumber, SessionState, ToClient,
    ToServer, User, refusal, set_aside, tell,
};
use crate::chat::accounts::NameOwnership;
use crate::chat::journal_record::JournalRecord;
use crate::chat::message::Person;
use crate::chat::registry_record::{Account, AccountId, Ban};

/// Wrong passwords of one name: five at once, then one in half a minute.
const TRIES: Rate = Rate { burst: 5, interval: Duration::from_secs(30) };
/// So many names have wrong passwords counted at once.
const MAX_TRIED: usize = 4_096;

/// A user who is authenticated and asks to join.
#[derive(Clone, Debug)]
pub struct AuthenticatedUser {
    /// Their connection.
    pub conn: ConnectionId,
    /// The user.
    pub user: User,
    /// Their credential, which others check for themselves.
    pub credential: Arc<[u8]>,
    /// Their identity's signature over it.
    pub signature: Arc<[u8]>,
    /// Where they come from.
    pub address: Option<IpAddr>,
}

/// A first message of a connection that has not joined.
#[derive(Clone, Debug)]
pub struct JoinAttempt {
    /// A Join, if all is well.
    pub message: ToServer,
    /// True if they have been asked for a password before.
    pub once_more: bool,
    /// SHA-256 of what could be an invitation's token, in the place of the password.
    pub token: Option<[u8; 32]>,
    /// The hash that the password was compared with, and the result.
    pub checked: Option<(String, bool)>,
}

impl JoinAttempt {
    /// A first message, before any check.
    #[must_use]
    pub fn first(message: ToServer) -> Self {
        Self { message, once_more: false, token: None, checked: None }
    }
}

/// Outcome of a connection's first message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JoinOutcome {
    /// They are in.
    Admitted,
    /// Another try, with a password, is allowed.
    OnceMore,
    /// Their password is to be compared with this, which takes time, and they ask again then.
    Check(String),
    /// The connection ends, after what there is to say, for this reason; its [`Effect::End`] is among the effects.
    Closed(String, Severity),
}

/// Severity of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// All sessions have ended.
    None,
    /// A name that has another owner.
    Slight,
    /// A wrong password or token.
    Wrong,
    /// Another reason.
    Plain,
}

/// A grant to join under a name.
struct NameGrant {
    /// The name that is theirs already, or becomes it.
    account: Option<AccountId>,
    /// The invitation that is used up.
    invite: Option<u64>,
}

impl ChatState {
    /// A connection's first message, or its second after [`JoinOutcome::OnceMore`], which is the last.
    pub fn arrive(
        &mut self,
        who: AuthenticatedUser,
        asks: &JoinAttempt,
        now: Now,
        out: &mut Vec<Effect>,
    ) -> JoinOutcome {
        let conn = who.conn;
        let verdict = self.decide(who, asks, now, out);
        if let JoinOutcome::Closed(..) = verdict {
            out.push(Effect::End(conn));
        }
        self.flush_registry_changes(out);
        verdict
    }

    fn decide(&mut self, who: AuthenticatedUser, asks: &JoinAttempt, now: Now, out: &mut Vec<Effect>) -> JoinOutcome {
        let conn = who.conn;
        let (room, password, cursor) = match &asks.message {
            ToServer::Join { room, password, cursor } => (room, password, *cursor),
            // Typing a password may take longer than the session is kept.
            ToServer::Ping if asks.once_more => {
                out.push(tell(conn, &ToClient::Pong));
                return JoinOutcome::OnceMore;
            }
            _ => return JoinOutcome::Closed("its first message is not a Join".into(), Severity::Plain),
        };
        if cursor > 0 {
            // They were put out when they were banned: but from where they were then, and as far as a crash remembers it.
            let account = self.sessions.get(&who.user.session).and_then(|member| self.present.get(member));
            let account = account.map(|present| present.account);
            if let Some(ban) = self.order.banned(who.user.owner, account, who.address, now.at) {
                let why = ban_text(ban);
                out.push(refusal(conn, ErrorCode::Refused, &why));
                return JoinOutcome::Closed(why, Severity::Plain);
            }
            return match self.resume(&who, room, cursor, now, out) {
                Ok(()) => JoinOutcome::Admitted,
                Err(why) => {
                    out.push(refusal(conn, ErrorCode::Refused, why));
                    JoinOutcome::Closed(why.into(), Severity::None)
                }
            };
        }
        let entitled = match self.check_entitled(&who.user, who.address, password, asks, now) {
            Ok(entitled) => entitled,
            Err(JoinDeniedError::Check(kept)) => return JoinOutcome::Check(kept),
            Err(JoinDeniedError::OnceMore(code, text)) => {
                out.push(refusal(conn, code, text));
                return JoinOutcome::OnceMore;
            }
            Err(JoinDeniedError::Closed(code, why, fault)) => {
                out.push(refusal(conn, code, &why));
                return JoinOutcome::Closed(why, fault);
            }
        };
        match self.admit(who, room, &entitled, now, out) {
            Ok(()) => JoinOutcome::Admitted,
            Err(why) => {
                out.push(refusal(conn, ErrorCode::Refused, &why));
                JoinOutcome::Closed(why, Severity::Plain)
            }
        }
    }

    /// Checks that a user may join, by the name.
    fn check_entitled(
        &mut self,
        user: &User,
        address: Option<IpAddr>,
        password: &str,
        asks: &JoinAttempt,
        now: Now,
    ) -> Result<NameGrant, JoinDeniedError> {
        if self.ended.has(user.session) || self.sessions.contains_key(&user.session) {
            return Err(JoinDeniedError::plain("that session was used before: begin a new one"));
        }
        let standing = self.accounts.standing(&user.name, user.owner, |account| self.is_free(account, now.at));
        if let Some(ban) = self.order.banned(user.owner, standing.own(), address, now.at) {
            return Err(JoinDeniedError::banned(ban));
        }
        match (standing, self.policy.access) {
            (NameOwnership::Own(account), _) => Ok(NameGrant { account: Some(account), invite: None }),
            (NameOwnership::Taken(account), _) => {
                self.fits(account, password, asks, now)?;
                // A user who knows the password shares the ban.
                match self.order.banned(user.owner, Some(account), None, now.at) {
                    None => Ok(NameGrant { account: Some(account), invite: None }),
                    Some(ban) => Err(JoinDeniedError::banned(ban)),
                }
            }
            (NameOwnership::Free, _)
                if self.is_wary_of(address, now) && self.accounts.of(user.owner).next().is_none() =>
            {
                Err(JoinDeniedError::plain(
                    "a user at your address was just banned: new names from there are accepted again in ten minutes",
                ))
            }
            (NameOwnership::Free, Access::Open) => Ok(NameGrant { account: None, invite: None }),
            (NameOwnership::Free, Access::Closed) => {
                Err(JoinDeniedError::plain("this server is closed: only registered names may join"))
            }
            (NameOwnership::Free, Access::Invite) => {
                if self.accounts.of(user.owner).next().is_some() {
                    return Ok(NameGrant { account: None, invite: None });
                }
                match asks.token.and_then(|token| self.order.invited_by(token, now.at)) {
                    Some(invite) => Ok(NameGrant { account: None, invite: Some(invite) }),
                    None if password.is_empty() && !asks.once_more => {
                        Err(JoinDeniedError::OnceMore(ErrorCode::Invitation, "this server is by invitation"))
                    }
                    None => Err(JoinDeniedError::Closed(
                        ErrorCode::Invitation,
                        "that invitation is invalid or used up".into(),
                        Severity::Wrong,
                    )),
                }
            }
        }
    }

    /// Checks a password for a name that has another owner.
    fn fits(&mut self, id: AccountId, password: &str, asks: &JoinAttempt, now: Now) -> Result<(), JoinDeniedError> {
        let Some(kept) = self.accounts.get(id).and_then(|account| account.password.clone()) else {
            let why = "that name, or one that looks like it, belongs to another key";
            return Err(JoinDeniedError::Closed(ErrorCode::Taken, why.into(), Severity::Slight));
        };
        if password.is_empty() {
            let why = "that name belongs to another key, and has a password";
            return Err(if asks.once_more {
                JoinDeniedError::Closed(ErrorCode::Password, why.into(), Severity::Wrong)
            } else {
                JoinDeniedError::OnceMore(ErrorCode::Password, why)
            });
        }
        match &asks.checked {
            Some((with, true)) if *with == kept => {
                self.tries.remove(&id);
                Ok(())
            }
            Some(_) => Err(JoinDeniedError::Closed(ErrorCode::Password, "wrong password".into(), Severity::Wrong)),
            None => {
                if self.tries.len() >= MAX_TRIED {
                    self.tries.retain(|_, bucket| !bucket.is_full(now.tick));
                }
                // Counted before it is looked at, so that many at once are not more than one after the other.
                let may_try = self.tries.len() < MAX_TRIED || self.tries.contains_key(&id);
                if may_try && self.tries.entry(id).or_default().take(TRIES, now.tick) {
                    Err(JoinDeniedError::Check(kept))
                } else {
                    let why = "too many wrong passwords for that name: wait a minute";
                    Err(JoinDeniedError::Closed(ErrorCode::Wait, why.into(), Severity::Wrong))
                }
            }
        }
    }

    /// Admits a user, if there is a place. A refused join changes no state: no name is
    /// taken, no session replaced.
    fn admit(
        &mut self,
        who: AuthenticatedUser,
        room: &RoomName,
        entitled: &NameGrant,
        now: Now,
        out: &mut Vec<Effect>,
    ) -> Result<(), String> {
        let user = &who.user;
        let earlier = entitled.account.and_then(|account| self.session_of(account));
        let is_full = self.limits.sessions.is_some_and(|most| self.present.len() >= most);
        // Who is lost makes way.
        let makes_way = if is_full && earlier.is_none() { self.longest_away() } else { None };
        if is_full && earlier.or(makes_way).is_none() {
            return Err("the server is full".into());
        }
        self.check_join(user.owner, entitled.account, room, earlier, now)?;
        let (policy, order, present) = (&self.policy, &self.order, &self.present);
        let is_free = |account: &Account| policy.is_free(account, order, present, now.at);
        let most = self.limits.names;
        let before = entitled.account.and_then(|account| self.accounts.get(account));
        let is_new_key = before.is_some_and(|account| !account.has(user.owner));
        // Looked through once, not for each of so many names.
        let here: HashSet<AccountId> =
            if self.accounts.is_full() { present.values().map(|it| it.account).collect() } else { HashSet::new() };
        let gives_way = |account: &Account| {
            account.password.is_none()
                && !account.keys.iter().any(|key| order.is_operator(key.owner))
                && !here.contains(&account.id)
        };
        let account = self
            .accounts
            .claim(user, entitled.account, most, now.at, is_free, gives_way)
            .map_err(|why| why.to_string())?;
        if let Some(invite) = entitled.invite {
            self.order.use_up(invite);
        }
        if let Some(member) = makes_way {
            self.end(member, LeftReason::Lost, None, now, out);
        }
        if let Some(earlier) = earlier {
            self.end(earlier, LeftReason::Replaced, Some(ByeReason::Replaced), now, out);
        }
        let owner = user.owner;
        let is_new_key = is_new_key.then(|| user.name.clone());
        let member = self.begin(who, account, out);
        self.join(member, room, now, out);
        if let Some(name) = is_new_key {
            let told = format!(
                "others know {name} by another key: your messages stay hidden from them until they /accept {name}"
            );
            self.send_event(member, Event::Notice(told), now, out);
        }
        self.hand_over_letters(owner, member, now, out);
        Ok(())
    }

    /// A session begins.
    fn begin(&mut self, who: AuthenticatedUser, account: AccountId, out: &mut Vec<Effect>) -> SessionNumber {
        let AuthenticatedUser { conn, user, credential, signature, address } = who;
        self.members += 1;
        let (member, range) = (SessionNumber(self.members), ResumeRange::default());
        let (spki, credential, signature) = (user.spki.to_vec(), credential.to_vec(), signature.to_vec());
        let person: Arc<[u8]> = ToClient::Person(Person { member, spki, credential, signature }).encode().into();
        self.conns.insert(conn, member);
        self.sessions.insert(user.session, member);
        if set_aside(self.members) > set_aside(self.members - 1) {
            out.push(Effect::Keep(JournalRecord::Members(set_aside(self.members))));
        }
        let (kept, last, refused) = (user.clone(), 0, Vec::new());
        out.push(Effect::Keep(JournalRecord::Session {
            member,
            user: kept,
            person: person.clone(),
            last,
            refused,
            range,
        }));
        self.names.insert(account, member);
        let present = SessionState::new(
            user,
            person,
            account,
            address,
            Connectivity::Here(conn),
            MessageSequence::default(),
            range,
        );
        self.present.insert(member, present);
        member
    }

    /// True if a name is free again: it has expired, and no session uses it.
    fn is_free(&self, account: &Account, now: u64) -> bool {
        self.policy.is_free(account, &self.order, &self.present, now)
    }

    /// The session that goes by a name now.
    pub(super) fn session_of(&self, account: AccountId) -> Option<SessionNumber> {
        self.names.get(&account).copied()
    }
}

/// Reason why a user is not admitted, for now or at all.
enum JoinDeniedError {
    OnceMore(ErrorCode, &'static str),
    Check(String),
    Closed(ErrorCode, String, Severity),
}

impl JoinDeniedError {
    fn plain(why: &'static str) -> Self {
        Self::Closed(ErrorCode::Refused, why.into(), Severity::Plain)
    }

    fn banned(ban: &Ban) -> Self {
        Self::Closed(ErrorCode::Refused, ban_text(ban), Severity::Plain)
    }
}

impl Policy {
    fn is_free(
        &self,
        account: &Account,
        order: &Moderation,
        present: &HashMap<SessionNumber, SessionState>,
        now: u64,
    ) -> bool {
        account.is_unused(self.unused_names, now)
            && !account.keys.iter().any(|key| order.is_operator(key.owner))
            && !present.values().any(|present| present.account == account.id)
    }
}
