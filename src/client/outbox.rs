//! What the user has said and the server has not answered yet. PROTOCOL.md §6 "Numbers".
//!
//! Every message is answered once, in order. One that is to come again ("again", "wait") holds back all that follow,
//! so that nothing is lost and nothing overtakes.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::chat::message::ErrorCode;
use crate::chat::name::Text;

/// Messages that may be sent without an answer.
const WINDOW: usize = 16;
/// Messages that may wait in all.
pub const CAPACITY: usize = 1_000;
/// How long a message that is to come again waits at first, and at most.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// An answer that nothing was waiting for: the server breaks the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an answer to message {0}, which is not due")]
pub struct NotDue(pub u64);

/// Messages on their way.
#[derive(Debug)]
pub struct Outbox {
    /// The number that the next message gets.
    next: u64,
    sent: VecDeque<(u64, Text)>,
    /// Answered with "come again", in order; they go before what waits.
    returned: VecDeque<Text>,
    waiting: VecDeque<Text>,
    hold: Hold,
}

/// Why, and how long, nothing is sent.
#[derive(Debug, Default)]
struct Hold {
    until: Option<Instant>,
    /// The last time to wait; doubles.
    wait: Option<Duration>,
    /// The number that was last answered "again", if the room has not changed since.
    again: Option<u64>,
}

impl Outbox {
    /// Nothing said.
    #[must_use]
    pub fn new() -> Self {
        Self {
            next: 1,
            sent: VecDeque::new(),
            returned: VecDeque::new(),
            waiting: VecDeque::new(),
            hold: Hold::default(),
        }
    }

    /// Whether there is room for another message.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.len() < CAPACITY
    }

    /// Messages that have no final answer.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sent.len() + self.returned.len() + self.waiting.len()
    }

    /// Adds a message.
    pub fn push(&mut self, text: Text) {
        self.waiting.push_back(text);
    }

    /// The next message that is to be sent now, with its number.
    pub fn take_due(&mut self, now: Instant) -> Option<(u64, Text)> {
        let held = self.hold.until.is_some_and(|until| now < until);
        // What came back goes first, and only when everything sent is answered.
        if held || self.sent.len() >= WINDOW || (!self.returned.is_empty() && !self.sent.is_empty()) {
            return None;
        }
        while let Some(text) = self.returned.pop_back() {
            self.waiting.push_front(text);
        }
        let text = self.waiting.pop_front()?;
        let n = self.next;
        self.next += 1;
        self.sent.push_back((n, text.clone()));
        Some((n, text))
    }

    /// When something may be due that is not now.
    #[must_use]
    pub fn due_at(&self) -> Option<Instant> {
        let something = !(self.returned.is_empty() && self.waiting.is_empty());
        self.hold.until.filter(|_| something && self.sent.is_empty())
    }

    /// `n` was taken.
    ///
    /// # Errors
    /// [`NotDue`] if it is not the one whose answer is due.
    pub fn accepted(&mut self, n: u64) -> Result<(), NotDue> {
        self.answered(n)?;
        self.hold = Hold::default();
        Ok(())
    }

    /// `n` was not taken; gives the message, unless it will be sent again by itself.
    ///
    /// # Errors
    /// [`NotDue`] if it is not the one whose answer is due.
    pub fn not_taken(&mut self, n: u64, code: ErrorCode, now: Instant) -> Result<Option<Text>, NotDue> {
        if !matches!(code, ErrorCode::Again | ErrorCode::Wait) {
            return Ok(Some(self.answered(n)?));
        }
        // It names the number that is next: that of the first to come back, for all that follow it too.
        let (number, text) = self.sent.pop_front().ok_or(NotDue(n))?;
        let first = self.returned.is_empty();
        if n != number - self.returned.len() as u64 {
            return Err(NotDue(n));
        }
        self.returned.push_back(text);
        self.next = n;
        if first && (code == ErrorCode::Wait || self.hold.again.replace(n) == Some(n)) {
            let wait = self.hold.wait.map_or(FIRST_WAIT, |wait| (wait * 2).min(LONGEST_WAIT));
            self.hold.wait = Some(wait);
            self.hold.until = Some(now + wait);
        }
        Ok(None)
    }

    /// Somebody joined or left: what was written for another roster may go at once.
    pub fn room_changed(&mut self) {
        self.hold.again = None;
    }

    fn answered(&mut self, n: u64) -> Result<Text, NotDue> {
        match self.sent.front() {
            Some((due, _)) if *due == n && self.returned.is_empty() => {}
            _ => return Err(NotDue(n)),
        }
        self.sent.pop_front().map(|(_, text)| text).ok_or(NotDue(n))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbox(messages: usize) -> (Outbox, Instant) {
        let mut outbox = Outbox::new();
        (0..messages).for_each(|i| outbox.push(text(i)));
        (outbox, Instant::now())
    }

    fn text(i: usize) -> Text {
        Text::parse(&i.to_string(), 100).unwrap()
    }

    fn send_all(outbox: &mut Outbox, now: Instant) -> Vec<(u64, Text)> {
        std::iter::from_fn(|| outbox.take_due(now)).collect()
    }

    #[test]
    fn a_window_of_messages_is_sent_and_the_rest_follows_answers() {
        let (mut outbox, now) = outbox(20);
        assert_eq!(send_all(&mut outbox, now).len(), WINDOW);
        assert_eq!(outbox.accepted(1), Ok(()));
        assert_eq!(send_all(&mut outbox, now), [(17, text(16))]);
        assert_eq!(outbox.accepted(1), Err(NotDue(1)));
        assert_eq!(outbox.accepted(3), Err(NotDue(3)));
    }

    #[test]
    fn what_is_too_fast_comes_again_in_order_after_all_is_answered() {
        let (mut outbox, now) = outbox(4);
        assert_eq!(send_all(&mut outbox, now).len(), 4);
        outbox.accepted(1).unwrap();
        assert_eq!(outbox.not_taken(2, ErrorCode::Wait, now), Ok(None));
        assert_eq!(send_all(&mut outbox, now), []);
        assert_eq!(outbox.not_taken(2, ErrorCode::Again, now), Ok(None));
        assert_eq!(outbox.not_taken(2, ErrorCode::Again, now), Ok(None));
        assert_eq!(send_all(&mut outbox, now), [], "not before 200 ms");
        assert_eq!(outbox.due_at(), Some(now + FIRST_WAIT));
        assert_eq!(send_all(&mut outbox, now + FIRST_WAIT), [(2, text(1)), (3, text(2)), (4, text(3))]);
        assert_eq!(outbox.not_taken(2, ErrorCode::Wait, now), Ok(None));
        assert_eq!(outbox.hold.until, Some(now + 2 * FIRST_WAIT), "doubled");
    }

    #[test]
    fn a_stale_roster_comes_again_at_once_the_first_time_and_after_a_change() {
        let (mut outbox, now) = outbox(1);
        for waits in [false, true] {
            send_all(&mut outbox, now + LONGEST_WAIT);
            outbox.not_taken(1, ErrorCode::Again, now).unwrap();
            assert_eq!(outbox.due_at().is_some(), waits);
        }
        outbox.room_changed();
        send_all(&mut outbox, now + LONGEST_WAIT);
        outbox.not_taken(1, ErrorCode::Again, now).unwrap();
        assert_eq!(outbox.hold.until, Some(now + FIRST_WAIT), "no longer than before");
    }

    #[test]
    fn what_is_refused_for_good_is_given_back() {
        let (mut outbox, now) = outbox(2);
        send_all(&mut outbox, now);
        assert_eq!(outbox.not_taken(1, ErrorCode::Large, now), Ok(Some(text(0))));
        assert_eq!(outbox.accepted(2), Ok(()));
        assert_eq!(outbox.len(), 0);
    }

    #[test]
    fn answers_that_are_not_due_are_told() {
        let (mut outbox, now) = outbox(3);
        assert_eq!(outbox.not_taken(1, ErrorCode::Wait, now), Err(NotDue(1)), "nothing was sent");
        send_all(&mut outbox, now);
        assert_eq!(outbox.not_taken(2, ErrorCode::Wait, now), Err(NotDue(2)));
        outbox.not_taken(1, ErrorCode::Again, now).unwrap_err();
    }
}
