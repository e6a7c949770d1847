//! Which numbers have come, so that none counts twice.

/// Numbers so far below the highest are too old to tell.
pub(super) const REMEMBERED: u64 = 1_024;
/// One more than they fill: the newest is mostly not full.
const BLOCKS: usize = 17;

/// The numbers of one direction's datagrams.
#[derive(Debug, Default)]
pub(super) struct ReplayWindow {
    highest: u64,
    /// A bit a number, in blocks of 64 that are used again.
    seen: [u64; BLOCKS],
}

impl ReplayWindow {
    /// True if a number has not come, as far as one can tell.
    pub(super) fn is_new(&self, number: u64) -> bool {
        let remembered = number > self.highest || self.highest - number < REMEMBERED;
        number > 0 && remembered && (number > self.highest || self.seen[block(number)] & bit(number) == 0)
    }

    /// Notes a number that is new. Gives whether it is the highest so far.
    pub(super) fn note(&mut self, number: u64) -> bool {
        let is_highest = number > self.highest;
        if is_highest {
            // Of more blocks than there are all are used again.
            for passed in (self.highest / 64 + 1..=number / 64).take(BLOCKS) {
                self.seen[block(passed * 64)] = 0;
            }
            self.highest = number;
        }
        self.seen[block(number)] |= bit(number);
        is_highest
    }
}

#[allow(clippy::cast_possible_truncation, reason = "it is less than the number of blocks")]
fn block(number: u64) -> usize {
    (number / 64 % BLOCKS as u64) as usize
}

fn bit(number: u64) -> u64 {
    1 << (number % 64)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    /// PROTOCOL.md 10.3-4.
    #[test]
    fn each_counts_once_and_zero_and_old_ones_never() {
        let mut numbers = ReplayWindow::default();
        assert!(!numbers.is_new(0));
        for number in [1, 3, 2, 5_000, 3_977] {
            assert!(numbers.is_new(number), "{number}");
            assert_eq!(numbers.note(number), [1, 3, 5_000].contains(&number), "{number}");
            assert!(!numbers.is_new(number), "{number}");
        }
        assert!(!numbers.is_new(3_976), "too old to tell");
        assert!(numbers.is_new(u64::MAX) && numbers.note(u64::MAX));
        assert!(!numbers.is_new(5_000) && numbers.is_new(u64::MAX - 1));
    }

    proptest! {
        #[test]
        fn it_is_as_if_all_were_remembered(steps in prop::collection::vec((0_u64..3_000, 0_u64..2), 1..400)) {
            let (mut numbers, mut seen, mut base) = (ReplayWindow::default(), HashSet::new(), 0);
            for (step, jump) in steps {
                base += jump * step;
                let number = base + step % 1_500;
                let highest = seen.iter().max().copied().unwrap_or(0);
                let new = number > 0 && !seen.contains(&number) && (number > highest || highest - number < REMEMBERED);
                prop_assert_eq!(numbers.is_new(number), new);
                if new {
                    prop_assert_eq!(numbers.note(number), number > highest);
                    seen.insert(number);
                }
            }
        }
    }
}
