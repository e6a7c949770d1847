//! All peers that a server has announced: identity, presence, and box counters.

mod verify;

use std::collections::{HashMap, HashSet, VecDeque};

use crate::chat::SessionNumber;
use crate::chat::message::{Person, SessionId};
use crate::chat::name::Name;
use crate::secure::credential::{LIFETIME, SessionKeys, UnixSeconds};
use crate::secure::e2e::sealed_box::BoxCounters;
use crate::secure::identity::Fingerprint;
use crate::store::known_users::{KnownUsers, PinStatus};

use self::verify::{Credential, DOES_NOT_HOLD, check, presented};
use super::notices;
use super::session_numbers::SessionNumbers;

/// No room holds so many, with a newcomer or two on the way.
const MAX_IN_A_ROOM: usize = 12_500;
/// So many sessions are remembered until their credentials end. More is no chat, but an attack on one's memory.
pub const MAX_MET: usize = 65_536;

/// Limit of waiting shares from a peer whose key has changed: the last keys of a
/// room or two, each in a box as long as one may be (PROTOCOL.md §9).
const HELD: usize = 4;
const MAX_HELD: usize = 1_024;

/// A credential is taken for so long after its end, in seconds: clocks differ (PROTOCOL.md §2).
const GRACE: u64 = 24 * 60 * 60;

/// All peers that a server has announced.
#[derive(Debug)]
pub struct PeerTable {
    own: SessionId,
    met: HashMap<SessionId, Peer>,
    /// Those of them who are yet to be checked.
    unchecked: Vec<SessionId>,
    /// Which number each has on the wire.
    pub(super) session_numbers: SessionNumbers,
    here: usize,
    /// Owners of the looks of present names, the local user included.
    looks: HashMap<String, Vec<(SessionId, Fingerprint)>>,
    verified_only: bool,
}

#[derive(Debug)]
struct Peer {
    credential: Credential,
    /// A credential to be checked: until then it does not hold.
    unchecked: Option<Box<Person>>,
    presence: PeerPresence,
    /// Boxes, which are counted as long as the credential holds, even if they leave and come back.
    boxes: BoxCounters,
    expires: UnixSeconds,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum PeerPresence {
    Away,
    Here(TrustLevel),
    /// Present, but rejected: their messages are hidden, and they receive no keys.
    Shunned(String),
    /// The same, for another key than they had: until the user accepts it. Boxes with keys wait for that.
    Changed(String, VecDeque<Vec<u8>>),
}

impl PeerPresence {
    /// Text for the user about a peer who is rejected.
    fn told(&self) -> Option<&String> {
        match self {
            Self::Shunned(told) | Self::Changed(told, _) => Some(told),
            Self::Away | Self::Here(_) => None,
        }
    }
}

/// Reason why a changed key is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyChangeError {
    /// There is none.
    #[error("no member with exactly that name has a changed key")]
    Nobody,
    /// It could be another one than the user has compared.
    #[error("more than one other key has come under that name: join again, and compare the one that is here then")]
    Several,
    /// Another peer is present under that name.
    #[error("a member's name looks like that one")]
    Taken,
}

/// The server's account of people does not add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerTableError {
    /// More were told of than there can be.
    #[error("it introduces too many people")]
    Crowd,
    /// A number of one session was given to another.
    #[error("it gives the number {0} to a second member")]
    Reused(u64),
    /// A present session was given another number.
    #[error("it gives a second number, {0}, to a present member")]
    Renumbered(u64),
    /// The same name and key joined again while present: a whisper could be answered by an old session.
    #[error("it lists one member twice")]
    Twice,
}

/// Trust level of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustLevel {
    /// First met in this session.
    New,
    /// Met before, with the same key.
    Known,
    /// The user has compared fingerprints.
    Verified,
}

impl TrustLevel {
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

/// A present peer who is not rejected.
#[derive(Clone, Copy, Debug)]
pub struct PresentSession<'a> {
    /// Their name.
    pub name: &'a Name,
    /// Their session's keys.
    pub keys: &'a SessionKeys,
    /// Trust level.
    pub standing: TrustLevel,
}

impl PresentSession<'_> {
    /// Name and keys, the same in all sessions.
    #[must_use]
    pub fn named(&self) -> (Name, Fingerprint) {
        (self.name.clone(), self.keys.fingerprint)
    }
}

/// Notices about newcomers, in this order.
#[derive(Debug, Default)]
pub struct Arrivals {
    /// Peers met for the first time.
    pub new: Vec<(Name, Fingerprint)>,
    /// Peers that are rejected, with the reason.
    pub shunned: Vec<String>,
}

impl PeerTable {
    /// The local user alone, whose name no other peer may look like.
    #[must_use]
    pub fn new(own: SessionId, name: &Name, key: Fingerprint, verified_only: bool) -> Self {
        let (met, unchecked, looks, session_numbers) =
            (HashMap::new(), Vec::new(), HashMap::new(), SessionNumbers::default());
        let mut peers = Self { own, met, unchecked, session_numbers, here: 0, looks, verified_only };
        peers.take_looks(own, name, key);
        peers
    }

    /// Takes a Person in. Their session is what their credential says it is, and their number what the server says; whether
    /// the credential holds is yet to be checked.
    ///
    /// # Errors
    /// [`PeerTableError`] if the server tells of more people than there can be, or their number cannot be theirs.
    pub fn meet(&mut self, person: Person, now: UnixSeconds) -> Result<(), PeerTableError> {
        let (session, number) = (SessionId(presented(&person).session()), person.member);
        let met = self.met.get(&session);
        let is_here = session == self.own || met.is_some_and(|peer| peer.presence != PeerPresence::Away);
        match met.and_then(|peer| peer.unchecked.as_deref()) {
            Some(told) if *told == person => return self.session_numbers.give(number, session, is_here),
            // One session, of which two things are told: the first that holds counts.
            Some(_) => self.check(now),
            None => {}
        }
        if is_here || self.met.get(&session).is_some_and(|peer| peer.credential.is_ok()) {
            return self.session_numbers.give(number, session, is_here);
        }
        if self.met.len() >= MAX_MET {
            // A peer without boxes needs no counters; nor does one whose credential has expired.
            self.met.retain(|_, peer| {
                let counts = peer.boxes != BoxCounters::default() && peer.expires.0.saturating_add(GRACE) >= now.0;
                peer.presence != PeerPresence::Away || counts
            });
            if self.met.len() >= MAX_MET {
                return Err(PeerTableError::Crowd);
            }
            self.session_numbers.keep(|session| session == self.own || self.met.contains_key(&session));
        }
        self.session_numbers.give(number, session, is_here)?;
        let peer = Peer {
            credential: Err(DOES_NOT_HOLD),
            unchecked: Some(Box::new(person)),
            presence: PeerPresence::Away,
            boxes: BoxCounters::default(),
            expires: UnixSeconds(now.0 + LIFETIME),
        };
        self.met.insert(session, peer);
        self.unchecked.push(session);
        if self.unchecked.len() > MAX_IN_A_ROOM {
            // No room has so many members: unchecked credentials take more memory than checked ones.
            self.check(now);
        }
        Ok(())
    }

    /// Sets the number of this client's own session.
    ///
    /// # Errors
    /// [`PeerTableError`] if it cannot be one's own.
    pub fn set_own_number(&mut self, number: SessionNumber) -> Result<(), PeerTableError> {
        self.session_numbers.give(number, self.own, true)
    }

    /// Checks all announced peers that are unchecked.
    pub fn check(&mut self, now: UnixSeconds) {
        let take = |session: SessionId| Some((session, self.met.get_mut(&session)?.unchecked.take()?));
        let unchecked = std::mem::take(&mut self.unchecked).into_iter().filter_map(take);
        let (sessions, unchecked): (Vec<SessionId>, Vec<Box<Person>>) = unchecked.unzip();
        for (session, credential) in sessions.into_iter().zip(check(&unchecked, now)) {
            if let Some(peer) = self.met.get_mut(&session) {
                peer.expires = credential.as_ref().map_or(peer.expires, |(_, keys)| keys.expires);
                peer.credential = credential;
            }
        }
    }

    /// Adds peers who joined one of this client's rooms; a peer who shares another room is present
    /// already. A peer met for the first time is pinned before its data is used: one that cannot be pinned is rejected.
    ///
    /// # Errors
    /// [`PeerTableError`] if there are too many peers, or one is present twice.
    pub fn on_peers_joined(
        &mut self,
        sessions: &[SessionId],
        rooms: usize,
        now: UnixSeconds,
        known: &mut KnownUsers,
    ) -> Result<Arrivals, PeerTableError> {
        let mut new = Vec::new();
        let is_away =
            |session: &&SessionId| self.met.get(*session).is_some_and(|peer| peer.presence == PeerPresence::Away);
        let sessions: Vec<SessionId> = sessions.iter().filter(is_away).copied().collect();
        self.check(now);
        for session in &sessions {
            let Some(peer) = self.met.get(session) else { continue };
            let has_ended = peer.expires.0.saturating_add(GRACE) < now.0;
            let presence = match peer.credential.as_ref().map(|(name, keys)| (name.clone(), keys.fingerprint)) {
                Err(why) => PeerPresence::Shunned(notices::stranger(why)),
                // It held when it was looked at; they may have been away since.
                Ok(_) if has_ended => PeerPresence::Shunned(notices::stranger("their credential has ended")),
                Ok((name, fingerprint)) if self.is_here(&name, fingerprint) => return Err(PeerTableError::Twice),
                Ok((name, fingerprint)) => {
                    let presence = self.judge(&name, fingerprint, known);
                    if let PeerPresence::Here(standing) = presence {
                        // Each is looked at beside those before: two who look alike may come at once.
                        self.take_looks(*session, &name, fingerprint);
                        if standing == TrustLevel::New {
                            new.push((*session, (name, fingerprint)));
                        }
                    }
                    presence
                }
            };
            self.set_presence(*session, presence);
        }
        if self.here > MAX_IN_A_ROOM.saturating_mul(rooms) {
            return Err(PeerTableError::Crowd);
        }
        let mut arrivals = Arrivals { new: self.keep(new, known), shunned: Vec::new() };
        for session in &sessions {
            arrivals.shunned.extend(self.met.get(session).and_then(|peer| peer.presence.told()).cloned());
        }
        Ok(arrivals)
    }

    /// Keeps people who are new. Who cannot be kept, or was by another process with another key, is shunned.
    fn keep(&mut self, new: Vec<(SessionId, (Name, Fingerprint))>, known: &mut KnownUsers) -> Vec<(Name, Fingerprint)> {
        let mut names = HashSet::new();
        let mut all: Vec<_> = new.iter().map(|(_, who)| who.clone()).filter(|who| names.insert(who.clone())).collect();
        let kept = if all.is_empty() { Ok(()) } else { known.keep(&all) };
        for (session, (name, fingerprint)) in new {
            let presence = match self.judge(&name, fingerprint, known) {
                PeerPresence::Here(TrustLevel::New) => {
                    let why = kept.as_ref().err().map_or("their line is not there".into(), ToString::to_string);
                    PeerPresence::Shunned(notices::not_kept(&name, &why))
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

    /// Rejects a peer: hides its messages and sends it no keys. Returns the text for the user.
    pub fn reject(&mut self, session: SessionId, why: &str) -> Option<String> {
        let peer = self.met.get_mut(&session).filter(|peer| peer.presence != PeerPresence::Away)?;
        let told = notices::stranger(why);
        peer.presence = PeerPresence::Shunned(told.clone());
        Some(told)
    }

    /// Marks a peer that has left all rooms.
    pub fn go(&mut self, session: SessionId) {
        let Some(peer) = self.met.get_mut(&session) else {
            return;
        };
        self.here -= usize::from(peer.presence != PeerPresence::Away);
        peer.presence = PeerPresence::Away;
        if let Ok((name, _)) = &peer.credential {
            let name = name.clone();
            self.forget_looks(session, &name);
        }
    }

    /// True if the server has told who this session is.
    #[must_use]
    pub fn has_met(&self, session: SessionId) -> bool {
        self.met.contains_key(&session)
    }

    /// A present peer, unless it is rejected.
    #[must_use]
    pub fn get(&self, session: SessionId) -> Option<PresentSession<'_>> {
        let peer = self.met.get(&session)?;
        match (&peer.credential, &peer.presence) {
            (Ok((name, keys)), PeerPresence::Here(standing)) => {
                Some(PresentSession { name, keys, standing: *standing })
            }
            _ => None,
        }
    }

    /// The name of a peer who may have left, made printable.
    #[must_use]
    pub fn last_name(&self, session: SessionId) -> String {
        let credential = self.met.get(&session).map(|peer| &peer.credential);
        credential.and_then(|it| it.as_ref().ok()).map_or("somebody".into(), |(name, _)| name.to_string())
    }

    /// The counters of boxes with a peer.
    pub fn boxes(&mut self, session: SessionId) -> Option<&mut BoxCounters> {
        self.met.get_mut(&session).map(|peer| &mut peer.boxes)
    }

    /// A present peer with this name, or with one that looks like it.
    #[must_use]
    pub fn find(&self, name: &Name) -> Option<(SessionId, PresentSession<'_>)> {
        let alike = name.skeletons().into_iter().filter_map(|look| self.looks.get(&look)).flatten();
        alike.rev().find_map(|(session, _)| Some((*session, self.get(*session)?)))
    }

    /// True if a rejected peer is present with this name, or with one that looks like it.
    #[must_use]
    pub fn shuns(&self, name: &Name) -> bool {
        let shunned = self.met.values().filter(|peer| peer.presence.told().is_some());
        shunned.flat_map(|peer| &peer.credential).any(|(other, _)| other.looks_like(name))
    }

    /// True if what one says may be read by this session.
    #[must_use]
    pub fn may_read(&self, session: SessionId) -> bool {
        self.get(session).is_some_and(|present| self.trusts(present.standing))
    }

    /// True if a peer of this trust level may receive keys.
    #[must_use]
    pub fn trusts(&self, standing: TrustLevel) -> bool {
        !self.verified_only || standing == TrustLevel::Verified
    }

    /// Marks the peer with this key as verified.
    pub fn verify(&mut self, name: &Name, fingerprint: Fingerprint) {
        for peer in self.met.values_mut() {
            if let (Ok((whose, keys)), PeerPresence::Here(standing)) = (&peer.credential, &mut peer.presence)
                && keys.fingerprint == fingerprint
                && whose == name
            {
                *standing = TrustLevel::Verified;
            }
        }
    }

    /// True if a name looks like that of a present peer with another key.
    #[must_use]
    pub fn is_taken(&self, name: &Name, fingerprint: Fingerprint) -> bool {
        let whose = name.skeletons().into_iter().filter_map(|look| self.looks.get(&look));
        whose.flatten().any(|(_, other)| *other != fingerprint)
    }

    /// True if a name looks like that of a present peer who is not the known one of just this name.
    #[must_use]
    pub fn is_somebody_elses(&self, name: &Name, fingerprint: Fingerprint) -> bool {
        let whose = name.skeletons().into_iter().filter_map(|look| self.looks.get(&look)).flatten();
        let mut others = whose.filter(|(_, other)| *other != fingerprint);
        others.any(|(session, _)| self.get(*session).is_none_or(|present| present.name != name))
    }

    /// Returns the present peer of exactly this name who was rejected for a changed key.
    ///
    /// # Errors
    /// [`KeyChangeError`] if there is no such peer, or if the user could mean another.
    pub fn changed(&self, name: &Name, known: &KnownUsers) -> Result<(SessionId, Fingerprint), KeyChangeError> {
        let met = self.met.iter().filter_map(|(session, peer)| {
            let (whose, keys) = peer.credential.as_ref().ok().filter(|(whose, _)| whose == name)?;
            let is_other = matches!(known.judge(whose, keys.fingerprint), PinStatus::Changed { .. });
            is_other.then_some((*session, keys.fingerprint, &peer.presence))
        });
        let mut here = met.clone().filter(|(_, _, presence)| matches!(presence, PeerPresence::Changed(..)));
        let (session, fingerprint, _) = here.next().ok_or(KeyChangeError::Nobody)?;
        if met.clone().any(|(_, other, _)| other != fingerprint) {
            return Err(KeyChangeError::Several);
        }
        if self.is_taken(name, fingerprint) { Err(KeyChangeError::Taken) } else { Ok((session, fingerprint)) }
    }

    /// Keeps a share of a peer whose key may yet be accepted: it is sent only once.
    pub fn hold(&mut self, session: SessionId, boxed: &[u8]) {
        if let Some(PeerPresence::Changed(_, held)) = self.met.get_mut(&session).map(|peer| &mut peer.presence)
            && boxed.len() <= MAX_HELD
        {
            held.truncate(HELD - 1);
            held.push_front(boxed.to_vec());
        }
    }

    /// Accepts a peer who was rejected for a changed key: the peer is present, as newly met. Returns the keys
    /// that the peer has shared so far, the last first.
    pub fn admit(&mut self, session: SessionId) -> VecDeque<Vec<u8>> {
        let Some(peer) = self.met.get_mut(&session) else {
            return VecDeque::new();
        };
        let (Ok((name, keys)), PeerPresence::Changed(_, held)) = (&peer.credential, &mut peer.presence) else {
            return VecDeque::new();
        };
        let (name, fingerprint, held) = (name.clone(), keys.fingerprint, std::mem::take(held));
        peer.presence = PeerPresence::Here(TrustLevel::New);
        self.take_looks(session, &name, fingerprint);
        held
    }

    fn judge(&self, name: &Name, fingerprint: Fingerprint, known: &KnownUsers) -> PeerPresence {
        match known.judge(name, fingerprint) {
            PinStatus::Changed { known: was, line } => {
                let told = notices::changed_key(name, was, fingerprint, known.path(), line);
                PeerPresence::Changed(told, VecDeque::new())
            }
            PinStatus::LooksLike { name: other, line } => {
                PeerPresence::Shunned(notices::looks_known(name, &other, known.path(), line))
            }
            _ if self.is_taken(name, fingerprint) => PeerPresence::Shunned(notices::look_alike(name)),
            PinStatus::Known { verified: true } => PeerPresence::Here(TrustLevel::Verified),
            PinStatus::Known { .. } => PeerPresence::Here(TrustLevel::Known),
            PinStatus::New => PeerPresence::Here(TrustLevel::New),
        }
    }

    /// True if a peer is present with this name and this key.
    fn is_here(&self, name: &Name, fingerprint: Fingerprint) -> bool {
        let [look, ..] = name.skeletons();
        let mut whose = self.looks.get(&look).into_iter().flatten().filter(|(_, key)| *key == fingerprint);
        whose.any(|(session, _)| self.get(*session).is_some_and(|present| present.name == name))
    }

    fn set_presence(&mut self, session: SessionId, presence: PeerPresence) {
        if let Some(peer) = self.met.get_mut(&session) {
            self.here += usize::from(peer.presence == PeerPresence::Away);
            peer.presence = presence;
        }
    }

    fn take_looks(&mut self, session: SessionId, name: &Name, fingerprint: Fingerprint) {
        for look in name.skeletons() {
            self.looks.entry(look).or_default().push((session, fingerprint));
        }
    }

    fn forget_looks(&mut self, session: SessionId, name: &Name) {
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
