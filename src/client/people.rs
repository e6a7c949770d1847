//! Everybody a server has told of: who they are, whether they are here, and what has passed between them and oneself.

mod check;

use std::collections::{HashMap, HashSet, VecDeque};

use crate::chat::Member;
use crate::chat::message::{Person, Session};
use crate::chat::name::Name;
use crate::secure::credential::{LIFETIME, SessionKeys, UnixSeconds};
use crate::secure::e2e::boxed::Counts;
use crate::secure::identity::Fingerprint;
use crate::store::known_users::{Acquaintance, KnownUsers};

use self::check::{Credential, DOES_NOT_HOLD, check, presented};
use super::directory::Directory;
use super::notices;

/// No room holds so many, with a newcomer or two on the way.
const MOST_IN_A_ROOM: usize = 12_500;
/// So many sessions are remembered until their credentials end. More is no chat, but an attack on one's memory.
pub const MOST_MET: usize = 65_536;

/// Of what is shared by somebody who has another key than they had, so much waits to be accepted: the last keys of a
/// room or two, each in a box as long as one may be (PROTOCOL.md §9).
const HELD: usize = 4;
const MOST_HELD: usize = 1_024;

/// A credential is taken for so long after its end, in seconds: clocks differ (PROTOCOL.md §2).
const GRACE: u64 = 24 * 60 * 60;

/// Everybody a server has told of.
#[derive(Debug)]
pub struct People {
    own: Session,
    met: HashMap<Session, Peer>,
    /// Those of them who are yet to be checked.
    unchecked: Vec<Session>,
    /// Which number each has on the wire.
    pub(super) directory: Directory,
    here: usize,
    /// Whose each look of a name is, of those who are here, oneself included.
    looks: HashMap<String, Vec<(Session, Fingerprint)>>,
    verified_only: bool,
}

#[derive(Debug)]
struct Peer {
    credential: Credential,
    /// What is to be checked: until then it does not hold.
    unchecked: Option<Box<Person>>,
    presence: Presence,
    /// Boxes, which are counted as long as the credential holds, even if they leave and come back.
    boxes: Counts,
    expires: UnixSeconds,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Presence {
    Away,
    Here(Standing),
    /// Here, but nothing of them is shown, and nothing is sent to them.
    Shunned(String),
    /// The same, for another key than they had: until the user accepts it. Boxes with keys wait for that.
    Changed(String, VecDeque<Vec<u8>>),
}

impl Presence {
    /// What the user is told of somebody of whom nothing is shown.
    fn told(&self) -> Option<&String> {
        match self {
            Self::Shunned(told) | Self::Changed(told, _) => Some(told),
            Self::Away | Self::Here(_) => None,
        }
    }
}

/// Why nobody's other key is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotChanged {
    /// There is none.
    #[error("nobody is here under exactly that name and with another key than they had")]
    Nobody,
    /// It could be another one than the user has compared.
    #[error("more than one other key has come under that name: join again, and compare the one that is here then")]
    Several,
    /// Somebody else is here by that name.
    #[error("somebody is here whose name looks like that one")]
    Taken,
}

/// The server's account of people does not add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPeople {
    /// More were told of than there can be.
    #[error("it tells of more people than there can be")]
    Crowd,
    /// A number that names somebody was given to somebody else.
    #[error("it gives the number {0}, which is somebody's, to somebody else")]
    Reused(u64),
    /// Somebody who is here was given another number.
    #[error("it gives a second number, {0}, to somebody who is here")]
    Renumbered(u64),
    /// One name and key came in while they were here: whoever whispers to them could be answered by an old session.
    #[error("it tells of one person as being here twice")]
    Twice,
}

/// How well somebody is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// First met in this session.
    New,
    /// Met before, with the same key.
    Known,
    /// The user has compared fingerprints.
    Verified,
}

impl Standing {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Known => "known",
            Self::Verified => "verified",
        }
    }
}

/// Somebody who is here, and whom nothing speaks against.
#[derive(Clone, Copy, Debug)]
pub struct Present<'a> {
    /// Their name.
    pub name: &'a Name,
    /// Their session's keys.
    pub keys: &'a SessionKeys,
    /// How well they are known.
    pub standing: Standing,
}

impl Present<'_> {
    /// Who they are, whatever their session.
    #[must_use]
    pub fn named(&self) -> (Name, Fingerprint) {
        (self.name.clone(), self.keys.fingerprint)
    }
}

/// What is to be told of people who have just come, in this order.
#[derive(Debug, Default)]
pub struct Arrivals {
    /// Who is met for the first time.
    pub new: Vec<(Name, Fingerprint)>,
    /// Of whom nothing will be shown, and why.
    pub shunned: Vec<String>,
}

impl People {
    /// Nobody but oneself, whose name nobody else may look like.
    #[must_use]
    pub fn new(own: Session, name: &Name, key: Fingerprint, verified_only: bool) -> Self {
        let (met, unchecked, looks, directory) = (HashMap::new(), Vec::new(), HashMap::new(), Directory::default());
        let mut people = Self { own, met, unchecked, directory, here: 0, looks, verified_only };
        people.take_looks(own, name, key);
        people
    }

    /// Takes a Person in. Their session is what their credential says it is, and their number what the server says; whether
    /// the credential holds is yet to be checked.
    ///
    /// # Errors
    /// [`BadPeople`] if the server tells of more people than there can be, or their number cannot be theirs.
    pub fn meet(&mut self, person: Person, now: UnixSeconds) -> Result<(), BadPeople> {
        let (session, number) = (Session(presented(&person).session()), person.member);
        let met = self.met.get(&session);
        let is_here = session == self.own || met.is_some_and(|peer| peer.presence != Presence::Away);
        match met.and_then(|peer| peer.unchecked.as_deref()) {
            Some(told) if *told == person => return self.directory.give(number, session, is_here),
            // One session, of which two things are told: the first that holds counts.
            Some(_) => self.check(now),
            None => {}
        }
        if is_here || self.met.get(&session).is_some_and(|peer| peer.credential.is_ok()) {
            return self.directory.give(number, session, is_here);
        }
        if self.met.len() >= MOST_MET {
            // With whom no box was exchanged there is nothing to remember of; nor of whose credential has ended.
            self.met.retain(|_, peer| {
                let counts = peer.boxes != Counts::default() && peer.expires.0.saturating_add(GRACE) >= now.0;
                peer.presence != Presence::Away || counts
            });
            if self.met.len() >= MOST_MET {
                return Err(BadPeople::Crowd);
            }
            self.directory.keep(|session| session == self.own || self.met.contains_key(&session));
        }
        self.directory.give(number, session, is_here)?;
        let peer = Peer {
            credential: Err(DOES_NOT_HOLD),
            unchecked: Some(Box::new(person)),
            presence: Presence::Away,
            boxes: Counts::default(),
            expires: UnixSeconds(now.0 + LIFETIME),
        };
        self.met.insert(session, peer);
        self.unchecked.push(session);
        if self.unchecked.len() > MOST_IN_A_ROOM {
            // Nobody comes in with so many: what is yet to be checked takes more memory than what has been.
            self.check(now);
        }
        Ok(())
    }

    /// The server says which number one has oneself.
    ///
    /// # Errors
    /// [`BadPeople`] if it cannot be one's own.
    pub fn is_oneself(&mut self, number: Member) -> Result<(), BadPeople> {
        self.directory.give(number, self.own, true)
    }

    /// Checks everybody who has been told of, and has not been checked.
    pub fn check(&mut self, now: UnixSeconds) {
        let take = |session: Session| Some((session, self.met.get_mut(&session)?.unchecked.take()?));
        let unchecked = std::mem::take(&mut self.unchecked).into_iter().filter_map(take);
        let (sessions, unchecked): (Vec<Session>, Vec<Box<Person>>) = unchecked.unzip();
        for (session, credential) in sessions.into_iter().zip(check(&unchecked, now)) {
            if let Some(peer) = self.met.get_mut(&session) {
                peer.expires = credential.as_ref().map_or(peer.expires, |(_, keys)| keys.expires);
                peer.credential = credential;
            }
        }
    }

    /// These have come in, to one of so many rooms that one is in; who shares another of them with oneself is here
    /// already. Who is met for the first time is kept before anything of theirs is used: whoever cannot be kept is shunned.
    ///
    /// # Errors
    /// [`BadPeople`] if more are here than there can be, or somebody is here twice.
    pub fn come_in(
        &mut self,
        sessions: &[Session],
        rooms: usize,
        now: UnixSeconds,
        known: &mut KnownUsers,
    ) -> Result<Arrivals, BadPeople> {
        let mut new = Vec::new();
        let is_away = |session: &&Session| self.met.get(*session).is_some_and(|peer| peer.presence == Presence::Away);
        let sessions: Vec<Session> = sessions.iter().filter(is_away).copied().collect();
        self.check(now);
        for session in &sessions {
            let Some(peer) = self.met.get(session) else { continue };
            let has_ended = peer.expires.0.saturating_add(GRACE) < now.0;
            let presence = match peer.credential.as_ref().map(|(name, keys)| (name.clone(), keys.fingerprint)) {
                Err(why) => Presence::Shunned(notices::stranger(why)),
                // It held when it was looked at; they may have been away since.
                Ok(_) if has_ended => Presence::Shunned(notices::stranger("their credential has ended")),
                Ok((name, fingerprint)) if self.is_here(&name, fingerprint) => return Err(BadPeople::Twice),
                Ok((name, fingerprint)) => {
                    let presence = self.judge(&name, fingerprint, known);
                    if let Presence::Here(standing) = presence {
                        // Each is looked at beside those before: two who look alike may come at once.
                        self.take_looks(*session, &name, fingerprint);
                        if standing == Standing::New {
                            new.push((*session, (name, fingerprint)));
                        }
                    }
                    presence
                }
            };
            self.set_presence(*session, presence);
        }
        if self.here > MOST_IN_A_ROOM.saturating_mul(rooms) {
            return Err(BadPeople::Crowd);
        }
        let mut arrivals = Arrivals { new: self.keep(new, known), shunned: Vec::new() };
        for session in &sessions {
            arrivals.shunned.extend(self.met.get(session).and_then(|peer| peer.presence.told()).cloned());
        }
        Ok(arrivals)
    }

    /// Keeps people who are new. Who cannot be kept, or was by another process with another key, is shunned.
    fn keep(&mut self, new: Vec<(Session, (Name, Fingerprint))>, known: &mut KnownUsers) -> Vec<(Name, Fingerprint)> {
        let mut names = HashSet::new();
        let mut all: Vec<_> = new.iter().map(|(_, who)| who.clone()).filter(|who| names.insert(who.clone())).collect();
        let kept = if all.is_empty() { Ok(()) } else { known.keep(&all) };
        for (session, (name, fingerprint)) in new {
            let presence = match self.judge(&name, fingerprint, known) {
                Presence::Here(Standing::New) => {
                    let why = kept.as_ref().err().map_or("their line is not there".into(), ToString::to_string);
                    Presence::Shunned(notices::not_kept(&name, &why))
                }
                presence => presence,
            };
            if presence.told().is_some() {
                self.forget_looks(session, &name);
                self.set_presence(session, presence);
                all.retain(|who| *who != (name.clone(), fingerprint));
            }
        }
        all
    }

    /// From now on nothing of somebody is shown, and nothing is sent to them. Gives what the user is told of it.
    pub fn shun(&mut self, session: Session, why: &str) -> Option<String> {
        let peer = self.met.get_mut(&session).filter(|peer| peer.presence != Presence::Away)?;
        let told = notices::stranger(why);
        peer.presence = Presence::Shunned(told.clone());
        Some(told)
    }

    /// Somebody is in no room any more.
    pub fn go(&mut self, session: Session) {
        let Some(peer) = self.met.get_mut(&session) else {
            return;
        };
        self.here -= usize::from(peer.presence != Presence::Away);
        peer.presence = Presence::Away;
        if let Ok((name, _)) = &peer.credential {
            let name = name.clone();
            self.forget_looks(session, &name);
        }
    }

    /// Whether the server has told who this session is.
    #[must_use]
    pub fn has_met(&self, session: Session) -> bool {
        self.met.contains_key(&session)
    }

    /// Somebody who is here, unless nothing of theirs is to be shown.
    #[must_use]
    pub fn get(&self, session: Session) -> Option<Present<'_>> {
        let peer = self.met.get(&session)?;
        match (&peer.credential, &peer.presence) {
            (Ok((name, keys)), Presence::Here(standing)) => Some(Present { name, keys, standing: *standing }),
            _ => None,
        }
    }

    /// The name of somebody who may have gone: made visible, for telling of them.
    #[must_use]
    pub fn last_name(&self, session: Session) -> String {
        let credential = self.met.get(&session).map(|peer| &peer.credential);
        credential.and_then(|it| it.as_ref().ok()).map_or("somebody".into(), |(name, _)| name.to_string())
    }

    /// The boxes between somebody and oneself.
    pub fn boxes(&mut self, session: Session) -> Option<&mut Counts> {
        self.met.get_mut(&session).map(|peer| &mut peer.boxes)
    }

    /// Somebody who is here by this name, or by one that could be taken for it.
    #[must_use]
    pub fn find(&self, name: &Name) -> Option<(Session, Present<'_>)> {
        let alike = name.skeletons().into_iter().filter_map(|look| self.looks.get(&look)).flatten();
        alike.rev().find_map(|(session, _)| Some((*session, self.get(*session)?)))
    }

    /// Whether somebody is here by this name, or one that could be taken for it, of whom nothing is shown.
    #[must_use]
    pub fn shuns(&self, name: &Name) -> bool {
        let shunned = self.met.values().filter(|peer| peer.presence.told().is_some());
        shunned.flat_map(|peer| &peer.credential).any(|(other, _)| other.looks_like(name))
    }

    /// Whether what one says may be read by this session.
    #[must_use]
    pub fn may_read(&self, session: Session) -> bool {
        self.get(session).is_some_and(|present| self.trusts(present.standing))
    }

    /// Whether somebody of this standing may be sent anything.
    #[must_use]
    pub fn trusts(&self, standing: Standing) -> bool {
        !self.verified_only || standing == Standing::Verified
    }

    /// The user has compared fingerprints with whoever has this key.
    pub fn verify(&mut self, name: &Name, fingerprint: Fingerprint) {
        for peer in self.met.values_mut() {
            if let (Ok((whose, keys)), Presence::Here(standing)) = (&peer.credential, &mut peer.presence)
                && keys.fingerprint == fingerprint
                && whose == name
            {
                *standing = Standing::Verified;
            }
        }
    }

    /// Whether a name looks like that of somebody here with another key.
    #[must_use]
    pub fn is_taken(&self, name: &Name, fingerprint: Fingerprint) -> bool {
        let whose = name.skeletons().into_iter().filter_map(|look| self.looks.get(&look));
        whose.flatten().any(|(_, other)| *other != fingerprint)
    }

    /// Whether a name looks like that of somebody here who is not the one that is known by just this name.
    #[must_use]
    pub fn is_somebody_elses(&self, name: &Name, fingerprint: Fingerprint) -> bool {
        let whose = name.skeletons().into_iter().filter_map(|look| self.looks.get(&look)).flatten();
        let mut others = whose.filter(|(_, other)| *other != fingerprint);
        others.any(|(session, _)| self.get(*session).is_none_or(|present| present.name != name))
    }

    /// Who is here by exactly this name, and refused because it was another's key so far.
    ///
    /// # Errors
    /// [`NotChanged`] if there is nobody such, or if it could be another one than the user means.
    pub fn changed(&self, name: &Name, known: &KnownUsers) -> Result<(Session, Fingerprint), NotChanged> {
        let met = self.met.iter().filter_map(|(session, peer)| {
            let (whose, keys) = peer.credential.as_ref().ok().filter(|(whose, _)| whose == name)?;
            let is_other = matches!(known.judge(whose, keys.fingerprint), Acquaintance::Changed { .. });
            is_other.then_some((*session, keys.fingerprint, &peer.presence))
        });
        let mut here = met.clone().filter(|(_, _, presence)| matches!(presence, Presence::Changed(..)));
        let (session, fingerprint, _) = here.next().ok_or(NotChanged::Nobody)?;
        if met.clone().any(|(_, other, _)| other != fingerprint) {
            return Err(NotChanged::Several);
        }
        if self.is_taken(name, fingerprint) { Err(NotChanged::Taken) } else { Ok((session, fingerprint)) }
    }

    /// What is shared by somebody whose key may yet be accepted: it comes but once.
    pub fn hold(&mut self, session: Session, boxed: &[u8]) {
        if let Some(Presence::Changed(_, held)) = self.met.get_mut(&session).map(|peer| &mut peer.presence)
            && boxed.len() <= MOST_HELD
        {
            held.truncate(HELD - 1);
            held.push_front(boxed.to_vec());
        }
    }

    /// The user has accepted the key of somebody who was refused for it: they are here, as newly met. Gives what they
    /// have shared so far, the last first.
    pub fn admit(&mut self, session: Session) -> VecDeque<Vec<u8>> {
        let Some(peer) = self.met.get_mut(&session) else {
            return VecDeque::new();
        };
        let (Ok((name, keys)), Presence::Changed(_, held)) = (&peer.credential, &mut peer.presence) else {
            return VecDeque::new();
        };
        let (name, fingerprint, held) = (name.clone(), keys.fingerprint, std::mem::take(held));
        peer.presence = Presence::Here(Standing::New);
        self.take_looks(session, &name, fingerprint);
        held
    }

    fn judge(&self, name: &Name, fingerprint: Fingerprint, known: &KnownUsers) -> Presence {
        match known.judge(name, fingerprint) {
            Acquaintance::Changed { known: was, line } => {
                let told = notices::changed_key(name, was, fingerprint, known.path(), line);
                Presence::Changed(told, VecDeque::new())
            }
            Acquaintance::LooksLike { name: other, line } => {
                Presence::Shunned(notices::looks_known(name, &other, known.path(), line))
            }
            _ if self.is_taken(name, fingerprint) => Presence::Shunned(notices::look_alike(name)),
            Acquaintance::Known { verified: true } => Presence::Here(Standing::Verified),
            Acquaintance::Known { .. } => Presence::Here(Standing::Known),
            Acquaintance::New => Presence::Here(Standing::New),
        }
    }

    /// Whether somebody is here by this name and with this key.
    fn is_here(&self, name: &Name, fingerprint: Fingerprint) -> bool {
        let [look, _] = name.skeletons();
        let mut whose = self.looks.get(&look).into_iter().flatten().filter(|(_, key)| *key == fingerprint);
        whose.any(|(session, _)| self.get(*session).is_some_and(|present| present.name == name))
    }

    fn set_presence(&mut self, session: Session, presence: Presence) {
        if let Some(peer) = self.met.get_mut(&session) {
            self.here += usize::from(peer.presence == Presence::Away);
            peer.presence = presence;
        }
    }

    fn take_looks(&mut self, session: Session, name: &Name, fingerprint: Fingerprint) {
        for look in name.skeletons() {
            self.looks.entry(look).or_default().push((session, fingerprint));
        }
    }

    fn forget_looks(&mut self, session: Session, name: &Name) {
        for look in name.skeletons() {
            if let Some(whose) = self.looks.get_mut(&look) {
                whose.retain(|(other, _)| *other != session);
                if whose.is_empty() {
                    self.looks.remove(&look);
                }
            }
        }
    }
}
