//! The numbers of a credential's messages, and the answers they got. PROTOCOL.md §6 "Numbers".

use std::collections::VecDeque;

use super::message::ErrorCode;

/// Number of messages back that a rejection is remembered.
pub const REMEMBERED: u64 = 1_024;

/// Where a number stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeqStatus {
    /// It was answered before: with this, or accepted.
    Answered(Option<ErrorCode>),
    /// It is the next.
    Next,
    /// A message before it is missing: this one is not the next.
    TooHigh(u64),
}

/// Idempotency window of a credential: the last answered number, and the rejected ones.
#[derive(Debug, Default)]
pub struct MessageSequence {
    last: u64,
    refused: VecDeque<(u64, ErrorCode)>,
}

impl MessageSequence {
    /// Looks `n` up.
    #[must_use]
    pub fn standing(&self, n: u64) -> SeqStatus {
        match n {
            n if n <= self.last => {
                SeqStatus::Answered(self.refused.iter().find(|(refused, _)| *refused == n).map(|(_, code)| *code))
            }
            n if n == self.next() => SeqStatus::Next,
            _ => SeqStatus::TooHigh(self.next()),
        }
    }

    /// The number that is due.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.last + 1
    }

    /// As many have been answered as before, and these were not taken.
    #[must_use]
    pub fn restore(last: u64, refused: Vec<(u64, ErrorCode)>) -> Self {
        Self { last, refused: refused.into() }
    }

    /// Which were not taken, of those that are remembered, and why.
    pub fn refused(&self) -> impl Iterator<Item = (u64, ErrorCode)> {
        self.refused.iter().copied()
    }

    /// A message that was taken is, after all, known as one that was not.
    pub fn reject_accepted(&mut self, n: u64, code: ErrorCode) {
        let at = self.refused.partition_point(|(refused, _)| *refused < n);
        if self.refused.get(at).is_none_or(|(refused, _)| *refused != n) {
            self.refused.insert(at, (n, code));
            self.forget();
        }
    }

    /// The next number is used up by a message that was taken.
    pub fn accept(&mut self) {
        self.last += 1;
    }

    /// The next number is used up by a message that was not taken.
    pub fn refuse(&mut self, code: ErrorCode) {
        self.last += 1;
        self.refused.push_back((self.last, code));
        self.forget();
    }

    fn forget(&mut self) {
        while self.refused.front().is_some_and(|(n, _)| n + REMEMBERED <= self.last) {
            self.refused.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_gets_the_answer_it_got_the_first_time() {
        let mut numbers = MessageSequence::default();
        assert_eq!(numbers.standing(1), SeqStatus::Next);
        assert_eq!(numbers.standing(2), SeqStatus::TooHigh(1));
        numbers.accept();
        numbers.refuse(ErrorCode::Large);
        assert_eq!(numbers.standing(1), SeqStatus::Answered(None));
        assert_eq!(numbers.standing(2), SeqStatus::Answered(Some(ErrorCode::Large)));
        assert_eq!(numbers.standing(3), SeqStatus::Next);
        assert_eq!(numbers.standing(u64::MAX), SeqStatus::TooHigh(3));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut numbers = MessageSequence::default();
        (0..5_000).for_each(|_| numbers.refuse(ErrorCode::Refused));
        assert_eq!(numbers.refused.len() as u64, REMEMBERED);
        assert_eq!(numbers.standing(5_000), SeqStatus::Answered(Some(ErrorCode::Refused)));
    }
}
