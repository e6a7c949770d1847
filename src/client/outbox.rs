//! Messages that the server has not answered yet. PROTOCOL.md §6 "Numbers".
//!
//! Every message is answered once, in order. One that is to come again ("again", "wait") holds back all that follow,
//! so that no message is lost or overtakes another. An unanswered message is kept as it was sent: it survives a connection.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::chat::message::ErrorCode;

/// Messages that may be sent without an answer.
const WINDOW: usize = 16;
/// Messages that may wait in all.
pub const CAPACITY: usize = 1_000;
/// First and longest delay before a returned message is sent again.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// An answer to no message: the server breaks the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an answer to message {0}, which is not due")]
pub struct UnexpectedAckError(pub u64);

/// Messages on their way: `T` as they were said, `M` as they were sent.
#[derive(Debug)]
pub struct Outbox<T, M> {
    /// The number that the next message gets.
    next: u64,
    sent: VecDeque<Sent<T, M>>,
    /// Answered with "come again": they go before what waits, and those first that are as they will be.
    returned: [Vec<T>; 2],
    /// Number of such answers since the last message was sent.
    returning: u64,
    waiting: VecDeque<T>,
    hold: Hold,
}

/// A message that has no answer yet.
#[derive(Debug)]
struct Sent<T, M> {
    n: u64,
    item: T,
    message: M,
}

/// Reason and duration of a pause in sending.
#[derive(Debug, Default)]
struct Hold {
    until: Option<Instant>,
    /// The last time to wait; doubles.
    wait: Option<Duration>,
    /// The number that was last answered "again", if the room has not changed since.
    again: Option<u64>,
}

/// Outcome of a refused message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutboxError<T> {
    /// It will not be.
    ForGood(T),
    /// It may come again: [`Outbox::put_back`].
    ForNow(T),
}

/// Form of a message that is sent again: sealed already, or sealed anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// It goes before all that is yet to be made: what it was counted by stays in order.
    Made,
    /// It is made when it is sent.
    Unmade,
}

impl<T, M: Clone> Outbox<T, M> {
    /// An empty outbox.
    #[must_use]
    pub fn new() -> Self {
        Self {
            next: 1,
            sent: VecDeque::new(),
            returned: [Vec::new(), Vec::new()],
            returning: 0,
            waiting: VecDeque::new(),
            hold: Hold::default(),
        }
    }

    /// True if there is room for another message.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.sent.len() + self.returned.iter().map(Vec::len).sum::<usize>() + self.waiting.len() < CAPACITY
    }

    /// Messages that have no final answer.
    pub fn unanswered(&self) -> impl Iterator<Item = &T> {
        self.in_flight().chain(self.returned.iter().flatten()).chain(&self.waiting)
    }

    /// Messages that have been sent and not been answered.
    pub fn in_flight(&self) -> impl Iterator<Item = &T> {
        self.sent.iter().map(|sent| &sent.item)
    }

    /// Adds a message.
    pub fn push(&mut self, item: T) {
        self.waiting.push_back(item);
    }

    /// Adds a message that goes before all that wait.
    pub fn push_first(&mut self, item: T) {
        self.waiting.push_front(item);
    }

    /// The next message that may be sent now.
    pub fn due(&mut self, now: Instant) -> Option<&mut T> {
        let held = self.hold.until.is_some_and(|until| now < until);
        // Returned messages go first, and only when all sent messages are answered.
        if held || self.sent.len() >= WINDOW || (self.returning > 0 && !self.sent.is_empty()) {
            return None;
        }
        self.returns();
        self.due_now()
    }

    /// Queues returned messages in front.
    fn returns(&mut self) {
        self.returning = 0;
        let [made, unmade] = &mut self.returned;
        for item in unmade.drain(..).rev().chain(made.drain(..).rev()) {
            self.waiting.push_front(item);
        }
    }

    /// The message that is due, once [`Outbox::due`] has given it.
    pub fn due_now(&mut self) -> Option<&mut T> {
        self.waiting.front_mut()
    }

    /// The message that is due is sent like this, with the number that it gives.
    pub fn sent(&mut self, message: M) -> Option<u64> {
        let item = self.waiting.pop_front()?;
        let n = self.next;
        self.next += 1;
        self.sent.push_back(Sent { n, item, message });
        Some(n)
    }

    /// Returns unanswered messages, in order, as they were sent: for another connection of the same session. Messages
    /// answered with `again` are re-sent only after these are answered.
    pub fn sent_again(&self) -> impl Iterator<Item = (u64, M)> {
        self.sent.iter().map(|sent| (sent.n, sent.message.clone()))
    }

    /// Another session begins, with numbers from 1. What was not sent goes on in it, and what came back, if `keep` says so.
    /// Returns the messages that were sent and have no answer: their delivery is unknown.
    pub fn start_new_session(&mut self, keep: impl FnMut(&mut T) -> bool) -> Vec<T> {
        let sent = std::mem::take(&mut self.sent);
        self.returns();
        self.waiting.retain_mut(keep);
        self.next = 1;
        self.hold = Hold::default();
        sent.into_iter().map(|sent| sent.item).collect()
    }

    /// The message that is due is not to be sent any more.
    pub fn drop_due(&mut self) -> Option<T> {
        self.waiting.pop_front()
    }

    /// Takes out those of these that are not on their way.
    pub fn take_waiting(&mut self, mut is_it: impl FnMut(&T) -> bool) -> Vec<T> {
        let mut taken = Vec::new();
        for returned in &mut self.returned {
            taken.extend(returned.extract_if(.., |item| is_it(item)));
        }
        let waiting = std::mem::take(&mut self.waiting);
        for item in waiting {
            if is_it(&item) { taken.push(item) } else { self.waiting.push_back(item) }
        }
        taken
    }

    /// Time of the next message that is not due now.
    #[must_use]
    pub fn due_at(&self) -> Option<Instant> {
        let something = self.unanswered().next().is_some();
        self.hold.until.filter(|_| something && self.sent.is_empty())
    }

    /// `n` was taken; gives the message.
    ///
    /// # Errors
    /// [`UnexpectedAckError`] if it is not the next answer that is due.
    pub fn accepted(&mut self, n: u64) -> Result<T, UnexpectedAckError> {
        let item = self.answered(n)?;
        self.hold = Hold::default();
        Ok(item)
    }

    /// `n` was not taken.
    ///
    /// # Errors
    /// [`UnexpectedAckError`] if it is not the next answer that is due.
    pub fn not_taken(&mut self, n: u64, code: ErrorCode, now: Instant) -> Result<OutboxError<T>, UnexpectedAckError> {
        if !matches!(code, ErrorCode::Again | ErrorCode::Wait) {
            return self.answered(n).map(OutboxError::ForGood);
        }
        // It names the number that is next: that of the first to come back, for all that follow it too.
        let Sent { n: number, item, .. } = self.sent.pop_front().ok_or(UnexpectedAckError(n))?;
        let first = self.returning == 0;
        if n != number - self.returning {
            return Err(UnexpectedAckError(n));
        }
        self.returning += 1;
        self.next = n;
        if first && (code == ErrorCode::Wait || self.hold.again.replace(n) == Some(n)) {
            let wait = self.hold.wait.map_or(FIRST_WAIT, |wait| (wait * 2).min(LONGEST_WAIT));
            self.hold.wait = Some(wait);
            self.hold.until = Some(now + wait);
        }
        Ok(OutboxError::ForNow(item))
    }

    /// A message that was not taken for now comes again, in its order among those that are made, or are yet to be.
    pub fn put_back(&mut self, item: T, form: Form) {
        let [made, unmade] = &mut self.returned;
        if form == Form::Made { made.push(item) } else { unmade.push(item) }
    }

    /// The roster changed: messages made for the old roster may be sent again at once.
    pub fn room_changed(&mut self) {
        self.hold.again = None;
    }

    fn answered(&mut self, n: u64) -> Result<T, UnexpectedAckError> {
        match self.sent.front() {
            Some(due) if due.n == n && self.returning == 0 => {}
            _ => return Err(UnexpectedAckError(n)),
        }
        self.sent.pop_front().map(|sent| sent.item).ok_or(UnexpectedAckError(n))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbox(messages: usize) -> (Outbox<usize, String>, Instant) {
        let mut outbox = Outbox::new();
        (0..messages).for_each(|i| outbox.push(i));
        (outbox, Instant::now())
    }

    fn send_all(outbox: &mut Outbox<usize, String>, now: Instant) -> Vec<(u64, usize)> {
        let one = || outbox.due(now).copied().and_then(|item| Some((outbox.sent(format!("item {item}"))?, item)));
        std::iter::from_fn(one).collect()
    }

    /// It is sent again, without a reason against that.
    fn comes_again(outbox: &mut Outbox<usize, String>, n: u64, code: ErrorCode, now: Instant) {
        match outbox.not_taken(n, code, now) {
            Ok(OutboxError::ForNow(item)) => outbox.put_back(item, Form::Unmade),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_window_of_messages_is_sent_and_the_rest_follows_answers() {
        let (mut outbox, now) = outbox(20);
        assert_eq!(send_all(&mut outbox, now).len(), WINDOW);
        assert_eq!(outbox.accepted(1), Ok(0));
        assert_eq!(send_all(&mut outbox, now), [(17, 16)]);
        assert_eq!(outbox.accepted(1), Err(UnexpectedAckError(1)));
        assert_eq!(outbox.accepted(3), Err(UnexpectedAckError(3)));
    }

    #[test]
    fn what_is_too_fast_comes_again_in_order_after_all_is_answered() {
        let (mut outbox, now) = outbox(4);
        assert_eq!(send_all(&mut outbox, now).len(), 4);
        outbox.accepted(1).unwrap();
        comes_again(&mut outbox, 2, ErrorCode::Wait, now);
        assert_eq!(send_all(&mut outbox, now), []);
        comes_again(&mut outbox, 2, ErrorCode::Again, now);
        comes_again(&mut outbox, 2, ErrorCode::Again, now);
        assert_eq!(send_all(&mut outbox, now), [], "not before 200 ms");
        assert_eq!(outbox.due_at(), Some(now + FIRST_WAIT));
        assert_eq!(send_all(&mut outbox, now + FIRST_WAIT), [(2, 1), (3, 2), (4, 3)]);
        comes_again(&mut outbox, 2, ErrorCode::Wait, now);
        assert_eq!(outbox.hold.until, Some(now + 2 * FIRST_WAIT), "doubled");
    }

    #[test]
    fn a_stale_roster_comes_again_at_once_the_first_time_and_after_a_change() {
        let (mut outbox, now) = outbox(1);
        for waits in [false, true] {
            send_all(&mut outbox, now + LONGEST_WAIT);
            comes_again(&mut outbox, 1, ErrorCode::Again, now);
            assert_eq!(outbox.due_at().is_some(), waits);
        }
        outbox.room_changed();
        send_all(&mut outbox, now + LONGEST_WAIT);
        comes_again(&mut outbox, 1, ErrorCode::Again, now);
        assert_eq!(outbox.hold.until, Some(now + FIRST_WAIT), "no longer than before");
    }

    #[test]
    fn what_is_refused_for_good_is_given_back() {
        let (mut outbox, now) = outbox(2);
        send_all(&mut outbox, now);
        assert_eq!(outbox.not_taken(1, ErrorCode::Large, now), Ok(OutboxError::ForGood(0)));
        assert_eq!(outbox.accepted(2), Ok(1));
        assert_eq!(outbox.unanswered().count(), 0);
    }

    fn again(outbox: &Outbox<usize, String>) -> Vec<(u64, String)> {
        outbox.sent_again().collect()
    }

    #[test]
    fn what_has_no_answer_is_sent_again_as_it_was_under_its_number() {
        let (mut outbox, now) = outbox(20);
        assert_eq!(again(&outbox), [], "what was never sent is not sent again");
        send_all(&mut outbox, now);
        outbox.accepted(1).unwrap();
        outbox.not_taken(2, ErrorCode::Large, now).unwrap();
        let due: Vec<_> = (3..=16).map(|n| (n, format!("item {}", n - 1))).collect();
        assert_eq!(again(&outbox), due);
        assert_eq!(again(&outbox), due, "as often as a connection is lost");
        outbox.accepted(3).unwrap();
        assert_eq!(send_all(&mut outbox, now), [(17, 16), (18, 17), (19, 18)], "the window is what it was");
    }

    #[test]
    fn what_was_put_off_waits_until_what_is_sent_again_has_its_answers() {
        for code in [ErrorCode::Wait, ErrorCode::Again] {
            let (mut outbox, now) = outbox(5);
            send_all(&mut outbox, now);
            outbox.accepted(1).unwrap();
            comes_again(&mut outbox, 2, code, now);
            comes_again(&mut outbox, 2, ErrorCode::Again, now);
            // The connection goes, with 4 and 5 on their way.
            assert_eq!(again(&outbox), [(4, "item 3".into()), (5, "item 4".into())]);
            assert_eq!(send_all(&mut outbox, now + LONGEST_WAIT), [], "nothing before they are answered");
            comes_again(&mut outbox, 2, ErrorCode::Again, now);
            comes_again(&mut outbox, 2, ErrorCode::Again, now);
            assert_eq!(again(&outbox), []);
            let all = send_all(&mut outbox, now + LONGEST_WAIT);
            assert_eq!(all, [(2, 1), (3, 2), (4, 3), (5, 4)], "{code}");
            assert_eq!(again(&outbox).len(), 4, "now they are what has no answer");
        }
    }

    #[test]
    fn another_session_goes_on_with_what_was_not_sent_and_gives_back_what_nobody_knows_of() {
        let (mut outbox, now) = outbox(20);
        send_all(&mut outbox, now);
        outbox.accepted(1).unwrap();
        comes_again(&mut outbox, 2, ErrorCode::Wait, now);
        comes_again(&mut outbox, 2, ErrorCode::Again, now);
        let unknown = outbox.start_new_session(|item| *item != 17);
        assert_eq!(unknown, (3..16).collect::<Vec<_>>());
        assert_eq!(send_all(&mut outbox, now), [(1, 1), (2, 2), (3, 16), (4, 18), (5, 19)], "at once, from 1");
        assert_eq!(outbox.accepted(2), Err(UnexpectedAckError(2)));
        assert_eq!(outbox.accepted(1), Ok(1));
    }

    #[test]
    fn answers_that_are_not_due_are_told() {
        let (mut outbox, now) = outbox(3);
        assert_eq!(outbox.not_taken(1, ErrorCode::Wait, now), Err(UnexpectedAckError(1)), "nothing was sent");
        send_all(&mut outbox, now);
        assert_eq!(outbox.not_taken(2, ErrorCode::Wait, now), Err(UnexpectedAckError(2)));
        outbox.not_taken(1, ErrorCode::Again, now).unwrap_err();
    }
}
