//! A warning that would come many times a second: it is told once, and then how often it came.

use std::time::{Duration, Instant};

/// Time between two lines of the same warning.
const EVERY: Duration = Duration::from_secs(60);

/// Account of one kind of warning: what is told of it, and what is yet to be told.
#[derive(Debug, Default)]
pub(super) struct RepeatedWarning {
    told_at: Option<Instant>,
    /// Number of times that it came since it was told.
    untold: u64,
    text: String,
}

impl RepeatedWarning {
    /// It comes once more. Gives the line for the log, if there is one.
    pub(super) fn came(&mut self, text: String, now: Instant) -> Option<String> {
        if self.told_at.is_some_and(|told_at| now < told_at + EVERY) {
            (self.text, self.untold) = (text, self.untold + 1);
            return None;
        }
        let line = if self.untold == 0 { text } else { format!("{text} ({} times since)", self.untold + 1) };
        (self.told_at, self.untold) = (Some(now), 0);
        Some(line)
    }

    /// Gives the line that sums up what came since the last one, when it is due.
    pub(super) fn sum_up(&mut self, now: Instant) -> Option<String> {
        if self.until_due(now)? > Duration::ZERO {
            return None;
        }
        let line = format!("{} ({} times since)", self.text, self.untold);
        (self.told_at, self.untold) = (Some(now), 0);
        Some(line)
    }

    /// Time until a sum is due, if there is one.
    pub(super) fn until_due(&self, now: Instant) -> Option<Duration> {
        let told_at = self.told_at.filter(|_| self.untold > 0)?;
        Some((told_at + EVERY).saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_at_once_and_then_summed_up() {
        let (mut warning, start) = (RepeatedWarning::default(), Instant::now());
        let mut came = |seconds: u64| warning.came(format!("full {seconds}"), start + Duration::from_secs(seconds));
        assert_eq!(came(0).as_deref(), Some("full 0"));
        assert_eq!([came(1), came(2), came(59)], [None, None, None]);
        assert_eq!(came(60).as_deref(), Some("full 60 (4 times since)"));
        assert_eq!(came(61), None);
        assert_eq!(warning.until_due(start + Duration::from_secs(100)), Some(Duration::from_secs(20)));
        assert_eq!(warning.sum_up(start + Duration::from_secs(119)), None);
        assert_eq!(warning.sum_up(start + Duration::from_secs(120)).as_deref(), Some("full 61 (1 times since)"));
        assert_eq!(warning.until_due(start + Duration::from_secs(120)), None);
        assert_eq!(warning.came("again".into(), start + Duration::from_secs(200)).as_deref(), Some("again"));
    }
}
