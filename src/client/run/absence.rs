//! Losing the connection, and coming back. PROTOCOL.md §8.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::live::Live;
use super::{Mode, Talk, Way, moment};
use crate::chat::message::{ErrorCode, ToServer};
use crate::client::attempts::{Attempts, News, Plan};
use crate::client::view::{Manner, Shown};
use crate::client::{ClientError, notices};
use crate::net::channel::now;
use crate::secure::credential::OwnCredential;

/// How often it is tried again if the connection ends before one has ever been in.
const BEGINNINGS: u32 = 3;
/// A connection that lasted so long was a good one: the next pause is a short one again.
const ENOUGH: Duration = Duration::from_secs(1);
/// Changing one's credential is told of as a loss if it takes longer than this.
const QUIET: Duration = Duration::from_secs(2);

/// From a loss until all that was missed has come.
pub(super) struct Absence {
    since: Instant,
    /// How many messages of others' have been shown since one is in again.
    caught_up: usize,
    why: Why,
    /// The user is told of it only if it is longer than until then.
    quiet_until: Option<Instant>,
}

/// Why one comes back, and as what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The connection was lost: the session goes on.
    Lost,
    /// The server could not go on with the session.
    Forgotten,
    /// Too much was waiting for one.
    Slow,
    /// The credential was about to end.
    Renewed,
}

impl Talk<'_> {
    /// The connection is lost.
    pub(super) fn has_lost(&mut self, why: &str) -> Result<(), ClientError> {
        if !self.config.reconnect {
            return Err(self.lost(why));
        }
        match self.mode {
            // Coming back only to leave is not worth it.
            Mode::Leaving(_) => {
                self.mode = Mode::Over;
                Ok(())
            }
            Mode::Finishing if self.session.undelivered() == 0 => {
                self.mode = Mode::Over;
                Ok(())
            }
            // Who types a password cannot know which connection it is for.
            Mode::Joining if self.pauses > BEGINNINGS || self.entry.is_asking() => Err(self.lost(why)),
            _ if self.renewing.is_some() => self.begins_anew(Why::Renewed),
            Mode::Joining => self.begins_anew(Why::Lost),
            _ if self.session.can_resume() => {
                let mut shown = Vec::new();
                self.session.lost(&mut shown);
                self.show_all(&shown)?;
                let join = self.session.resume();
                self.goes_away(join, Why::Lost)
            }
            // A new session that was cut off before it was let in: another one.
            _ => self.begins_anew(Why::Forgotten),
        }
    }

    /// The session cannot go on: a new one takes its place, on another connection.
    pub(super) fn begins_anew(&mut self, why: Why) -> Result<(), ClientError> {
        let own = self.session.own();
        let credential = OwnCredential::for_user(&mut rand::rng(), &own.identity, own.name.as_str(), now());
        let mut shown = Vec::new();
        let join = self.session.begin_anew(Arc::new(credential), &mut shown);
        self.renewing = None;
        let away = self.goes_away(join, why);
        self.show_all(&shown)?;
        away
    }

    fn goes_away(&mut self, join: ToServer, why: Why) -> Result<(), ClientError> {
        // A server that lets one in and drops one at once is not tried ever faster.
        let lasted = self.back_at.take().map_or(Duration::ZERO, |back| back.elapsed());
        if lasted >= ENOUGH {
            self.pauses = 0;
        }
        if why != Why::Renewed {
            self.pauses = self.pauses.max(1);
        }
        let own = self.session.own();
        let plan = Plan {
            config: self.config.clone(),
            identity: own.identity.clone(),
            credential: own.credential.clone(),
            server: own.server,
            pauses: self.pauses,
            most: if self.mode == Mode::Joining { BEGINNINGS } else { u32::MAX },
        };
        self.way = Way::Away(Attempts::start(plan)?, join);
        self.screen.set_away(true);
        if let Some(absence) = &mut self.absence {
            // Where there was too much to read, that is why the session is another, whatever else went wrong.
            absence.why = if absence.why == Why::Slow { Why::Slow } else { why };
            absence.caught_up = if why == Why::Lost { absence.caught_up } else { 0 };
            return Ok(());
        }
        let since = Instant::now();
        let quiet_until = (why == Why::Renewed).then(|| since + QUIET);
        self.absence = Some(Absence { since, caught_up: 0, why, quiet_until });
        let told = if self.mode == Mode::Joining { notices::CUT } else { notices::lost(why == Why::Slow) };
        if quiet_until.is_none() {
            self.screen.show(&Shown::Remark(told.into()))?;
        }
        Ok(())
    }

    /// There is something to tell of the attempts.
    pub(super) fn hears(&mut self, news: News) -> Result<(), ClientError> {
        match news {
            News::Odd(error) => Ok(self.screen.show(&Shown::Remark(notices::odd(&error.to_string())))?),
            News::Hopeless(error) => Err(error),
            News::There(connected, pauses) => {
                self.pauses = pauses;
                let live = Live::begin(*connected, self.config.timing.silence)?;
                let deadline = Instant::now() + self.config.timing.join;
                if let Way::Away(_, join) = std::mem::replace(&mut self.way, Way::Coming(live, deadline)) {
                    self.asks_to_join(join);
                }
                if self.session.can_resume() {
                    // Its answer comes behind all that was missed.
                    let ping = self.session.ping();
                    self.send(&ping);
                }
                Ok(())
            }
        }
    }

    /// The server does not let one in again.
    pub(super) fn is_not_let_in(&mut self, code: ErrorCode, text: &str) -> Result<(), ClientError> {
        if code != ErrorCode::Refused || !self.config.reconnect {
            return Err(self.refused(code, text));
        }
        if let Some(room) = self.session.asks_for_the_lobby() {
            self.screen.show(&Shown::quoted(&notices::tries_the_lobby(&room), text))?;
        } else if !self.session.can_resume() {
            self.screen.show(&Shown::quoted(notices::NOT_LET_IN, text))?;
        }
        self.begins_anew(Why::Forgotten)
    }

    /// The session goes on, or a new one has begun, on this connection.
    pub(super) fn is_in_again(&mut self) {
        self.back_at = Some(Instant::now());
        if let Way::Coming(live, _) = std::mem::replace(&mut self.way, Way::None) {
            self.way = Way::Open(live);
        }
    }

    /// Messages of others' that have been shown are caught up, if one has been away.
    pub(super) fn counts(&mut self, shown: &[Shown]) {
        let is_theirs = |shown: &&Shown| match shown {
            Shown::Message { manner, .. } => !matches!(manner, Manner::WhisperTo | Manner::LetterTo),
            _ => false,
        };
        if let Some(absence) = &mut self.absence {
            absence.caught_up += shown.iter().filter(is_theirs).count();
        }
    }

    /// All that was missed has come, or it is clear what has not.
    pub(super) fn is_back(&mut self) -> io::Result<()> {
        let Some(Absence { since, caught_up, why, .. }) = self.absence.take() else {
            return Ok(());
        };
        self.screen.set_away(false);
        let after = since.elapsed();
        self.screen.show(&Shown::Remark(match why {
            Why::Lost => notices::back(after, caught_up),
            Why::Forgotten => notices::back_anew(after),
            Why::Slow => notices::back_after_too_much(after, self.session.passed_by()),
            Why::Renewed => notices::RENEWED.into(),
        }))
    }

    /// Changes one's credential in time, when there is nothing else to do.
    pub(super) fn renew_in_time(&mut self) {
        let is_idle = self.mode == Mode::Talking && self.absence.is_none() && self.renewing.is_none();
        let is_time = || self.session.ends_within(self.config.timing.renew, moment());
        if self.config.reconnect && is_idle && self.is_in() && self.session.is_settled() && is_time() {
            self.leave_all();
            self.renewing = Some(Instant::now() + self.config.timing.leave);
        }
    }

    /// Tells of an absence that was to be short, and is not.
    pub(super) fn tell_of_absence(&mut self) -> io::Result<()> {
        match &mut self.absence {
            Some(absence) if absence.quiet_until.is_some_and(|until| until <= Instant::now()) => {
                absence.quiet_until = None;
                self.screen.show(&Shown::Remark(notices::lost(false).into()))
            }
            _ => Ok(()),
        }
    }

    /// When that is due.
    pub(super) fn telling_due(&self) -> Option<Instant> {
        self.absence.as_ref().and_then(|absence| absence.quiet_until)
    }
}
