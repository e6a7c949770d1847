//! Losing the connection, and coming back. PROTOCOL.md §8.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::connection::ActiveConnection;
use super::{ConnectionState, EventLoop, Phase, moment};
use crate::chat::message::{ErrorCode, ToServer};
use crate::client::reconnector::{Plan, ReconnectEvent, Reconnector};
use crate::client::ui_event::{MessageKind, UiEvent};
use crate::client::{ClientError, notices};
use crate::net::secure_channel::now;
use crate::secure::credential::OwnCredential;

/// Number of attempts if the connection ends before the first join.
const BEGINNINGS: u32 = 3;
/// A connection that lasted so long was a good one: the next pause is a short one again.
const ENOUGH: Duration = Duration::from_secs(1);
/// Changing one's credential is told of as a loss if it takes longer than this.
const QUIET: Duration = Duration::from_secs(2);

/// From a loss until all that was missed has come.
pub(super) struct Outage {
    since: Instant,
    /// Number of messages shown since the resume.
    caught_up: usize,
    why: ReconnectReason,
    /// The user is told of it only if it is longer than until then.
    quiet_until: Option<Instant>,
}

/// Why one comes back, and as what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReconnectReason {
    /// The connection was lost: the session goes on.
    Lost,
    /// The server could not go on with the session.
    Forgotten,
    /// Too much was waiting for one.
    Slow,
    /// The credential was about to end.
    Renewed,
}

impl EventLoop<'_> {
    /// The connection is lost.
    pub(super) fn on_connection_lost(&mut self, why: &str) -> Result<(), ClientError> {
        if !self.config.reconnect {
            return Err(self.lost(why));
        }
        match self.phase {
            // Coming back only to leave is not worth it.
            Phase::Leaving(_) => {
                self.phase = Phase::Over;
                Ok(())
            }
            Phase::Finishing if self.session.undelivered() == 0 => {
                self.phase = Phase::Over;
                Ok(())
            }
            // Who types a password cannot know which connection it is for.
            Phase::Joining if self.pauses > BEGINNINGS || self.entry.is_asking() => Err(self.lost(why)),
            _ if self.renewing.is_some() => self.begins_anew(ReconnectReason::Renewed),
            Phase::Joining => self.begins_anew(ReconnectReason::Lost),
            _ if self.session.can_resume() => {
                let mut shown = Vec::new();
                self.session.lost(&mut shown);
                self.show_all(&shown)?;
                let join = self.session.resume();
                self.start_reconnect(join, ReconnectReason::Lost)
            }
            // A new session that was cut off before it was let in: another one.
            _ => self.begins_anew(ReconnectReason::Forgotten),
        }
    }

    /// The session cannot go on: a new one takes its place, on another connection.
    pub(super) fn begins_anew(&mut self, why: ReconnectReason) -> Result<(), ClientError> {
        let own = self.session.own();
        let credential = OwnCredential::for_user(&mut rand::rng(), &own.identity, own.name.as_str(), now());
        let mut shown = Vec::new();
        let join = self.session.start_new_session(Arc::new(credential), &mut shown);
        self.renewing = None;
        let away = self.start_reconnect(join, why);
        self.show_all(&shown)?;
        away
    }

    fn start_reconnect(&mut self, join: ToServer, why: ReconnectReason) -> Result<(), ClientError> {
        // A server that lets one in and drops one at once is not tried ever faster.
        let lasted = self.back_at.take().map_or(Duration::ZERO, |back| back.elapsed());
        if lasted >= ENOUGH {
            self.pauses = 0;
        }
        if why != ReconnectReason::Renewed {
            self.pauses = self.pauses.max(1);
        }
        let own = self.session.own();
        let plan = Plan {
            config: self.config.clone(),
            identity: own.identity.clone(),
            credential: own.credential.clone(),
            server: own.server,
            pauses: self.pauses,
            most: if self.phase == Phase::Joining { BEGINNINGS } else { u32::MAX },
        };
        self.way = ConnectionState::Away(Reconnector::start(plan)?, join);
        self.screen.set_away(true);
        if let Some(outage) = &mut self.outage {
            // After too much missed data, that is the reason for the new session, also after other failures.
            outage.why = if outage.why == ReconnectReason::Slow { ReconnectReason::Slow } else { why };
            outage.caught_up = if why == ReconnectReason::Lost { outage.caught_up } else { 0 };
            return Ok(());
        }
        let since = Instant::now();
        let quiet_until = (why == ReconnectReason::Renewed).then(|| since + QUIET);
        self.outage = Some(Outage { since, caught_up: 0, why, quiet_until });
        let told =
            if self.phase == Phase::Joining { notices::CUT } else { notices::lost(why == ReconnectReason::Slow) };
        if quiet_until.is_none() {
            self.screen.show(&UiEvent::Remark(told.into()))?;
        }
        Ok(())
    }

    /// Handles an event of the reconnector.
    pub(super) fn on_reconnect_event(&mut self, news: ReconnectEvent) -> Result<(), ClientError> {
        match news {
            ReconnectEvent::Odd(error) => Ok(self.screen.show(&UiEvent::Remark(notices::odd(&error.to_string())))?),
            ReconnectEvent::Hopeless(error) => Err(error),
            ReconnectEvent::Stale(pauses) => {
                self.pauses = pauses;
                self.begins_anew(ReconnectReason::Forgotten)
            }
            ReconnectEvent::There(connected, pauses) => {
                self.pauses = pauses;
                let live = ActiveConnection::begin(*connected, self.config.timing.silence)?;
                let deadline = Instant::now() + self.config.timing.join;
                if let ConnectionState::Away(_, join) =
                    std::mem::replace(&mut self.way, ConnectionState::Coming(live, deadline))
                {
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
    pub(super) fn on_join_refused(&mut self, code: ErrorCode, text: &str) -> Result<(), ClientError> {
        if code != ErrorCode::Refused || !self.config.reconnect {
            return Err(self.refused(code, text));
        }
        if let Some(room) = self.session.asks_for_the_lobby() {
            self.screen.show(&UiEvent::quoted(&notices::tries_the_lobby(&room), text))?;
        } else if !self.session.can_resume() {
            self.screen.show(&UiEvent::quoted(notices::NOT_LET_IN, text))?;
        }
        self.begins_anew(ReconnectReason::Forgotten)
    }

    /// The session goes on, or a new one has begun, on this connection.
    pub(super) fn on_joined(&mut self) {
        self.back_at = Some(Instant::now());
        if let ConnectionState::Coming(live, _) = std::mem::replace(&mut self.way, ConnectionState::None) {
            self.way = ConnectionState::Open(live);
        }
    }

    /// Messages of others' that have been shown are caught up, if one has been away.
    pub(super) fn counts(&mut self, shown: &[UiEvent]) {
        let is_theirs = |shown: &&UiEvent| match shown {
            UiEvent::Message { manner, .. } => !matches!(manner, MessageKind::WhisperTo | MessageKind::LetterTo),
            _ => false,
        };
        if let Some(outage) = &mut self.outage {
            outage.caught_up += shown.iter().filter(is_theirs).count();
        }
    }

    /// All that was missed has come, or it is clear what has not.
    pub(super) fn on_caught_up(&mut self) -> io::Result<()> {
        let Some(Outage { since, caught_up, why, .. }) = self.outage.take() else {
            return Ok(());
        };
        self.screen.set_away(false);
        let after = since.elapsed();
        self.screen.show(&UiEvent::Remark(match why {
            ReconnectReason::Lost => notices::back(after, caught_up),
            ReconnectReason::Forgotten => notices::back_anew(after),
            ReconnectReason::Slow => notices::back_after_too_much(after, self.session.passed_by()),
            ReconnectReason::Renewed => notices::RENEWED.into(),
        }))
    }

    /// Renews the credential in time, when the client is idle.
    pub(super) fn renew_in_time(&mut self) {
        let is_idle = self.phase == Phase::Talking && self.outage.is_none() && self.renewing.is_none();
        let is_time = || {
            let now = moment();
            self.session.is_due_for_renewal(self.config.timing.renew, now) && self.server_clock.agrees(now)
        };
        if self.config.reconnect && is_idle && self.is_in() && self.session.is_settled() && is_time() {
            self.leave_all();
            self.renewing = Some(Instant::now() + self.config.timing.leave);
        }
    }

    /// Tells of an absence that was to be short, and is not.
    pub(super) fn tell_of_absence(&mut self) -> io::Result<()> {
        match &mut self.outage {
            Some(outage) if outage.quiet_until.is_some_and(|until| until <= Instant::now()) => {
                outage.quiet_until = None;
                self.screen.show(&UiEvent::Remark(notices::lost(false).into()))
            }
            _ => Ok(()),
        }
    }

    /// When that is due.
    pub(super) fn telling_due(&self) -> Option<Instant> {
        self.outage.as_ref().and_then(|outage| outage.quiet_until)
    }
}
