//! How many cursors read at once: as many as somebody has said, or as many as the source is fastest with.
//!
//! A source far away, or one that reads from slow disks, does more with more cursors; one that is busy as it is does not, and one
//! that becomes slow is relieved by fewer. Which of them a source is, nobody knows beforehand, and it changes. So what a few
//! seconds bring is held against what they brought with other numbers: more are kept if they bring more, fewer if they bring as
//! much. What has not helped is tried less and less often.

use std::time::Duration;

use crate::rate::Rate;

/// Cursors that a source is read with at first.
const FIRST: usize = 4;
/// Cursors that it is read with at most, where nobody has said how many.
const MOST: usize = 16;
/// More cursors must bring this many times what there was.
const BETTER: f64 = 1.1;
/// Fewer must bring this much of it.
const AS_GOOD: f64 = 0.95;
/// A source that takes this many times as long for a reply as it did has become slow.
const SLOW: f64 = 2.0;
/// Looks until something else is tried, after what has helped.
const SHORT_REST: u32 = 4;
/// The same after what has never helped.
const LONG_REST: u32 = 64;

/// How many cursors read at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cursors {
    /// So many.
    Fixed(usize),
    /// Few at first, then as many as the source is fastest with.
    Adapting,
}

impl Cursors {
    /// The same where they are held to a rate: more would bring no more.
    pub(crate) fn held_to(self, rate: Option<Rate>) -> Self {
        if rate.is_some() { Cursors::Fixed(self.first()) } else { self }
    }

    /// How many there are at first.
    pub(crate) fn first(self) -> usize {
        match self {
            Cursors::Fixed(count) => count.max(1),
            Cursors::Adapting => FIRST,
        }
    }

    /// How many there may be.
    pub fn most(self) -> usize {
        match self {
            Cursors::Fixed(count) => count.max(1),
            Cursors::Adapting => MOST,
        }
    }
}

/// What the cursors together have brought lately.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// Bytes in a second.
    pub(super) rate: f64,
    /// How long the source has taken for a reply, in the mean.
    pub(super) reply: Duration,
}

/// Finds the number of cursors.
#[derive(Debug)]
pub(super) struct Tuner {
    count: usize,
    most: usize,
    /// How many there were before another number was tried, and what they brought.
    before: Option<(usize, Seen)>,
    /// Whether the number has only just changed, so that what is seen is of both.
    settles: bool,
    /// What the source does when nothing is tried.
    usual: Option<Seen>,
    /// Looks until something is tried, and how many there are between two tries.
    rest: (u32, u32),
}

impl Tuner {
    pub(super) fn new(cursors: Cursors) -> Self {
        let (count, most) = (cursors.first(), cursors.most());
        Tuner { count, most, before: None, settles: true, usual: None, rest: (0, SHORT_REST) }
    }

    /// How many cursors are to read from now on, after `seen`.
    pub(super) fn look(&mut self, seen: Seen) -> usize {
        if std::mem::take(&mut self.settles) {
            return self.count;
        }
        match self.before.take() {
            Some((count, before)) => {
                let least = if self.count > count { BETTER } else { AS_GOOD };
                if seen.rate < before.rate * least {
                    self.turn_to(count);
                    self.rest = (self.rest.1, (self.rest.1 * 2).min(LONG_REST));
                    self.usual = Some(before);
                } else {
                    self.usual = Some(seen);
                    self.rest = (if self.count > count { 0 } else { SHORT_REST }, SHORT_REST);
                }
            }
            None => {
                let is_slow = self.usual.is_some_and(|usual| {
                    seen.reply.as_secs_f64() > usual.reply.as_secs_f64() * SLOW && seen.rate < usual.rate
                });
                let usual = self.usual.get_or_insert(seen);
                if is_slow {
                    *usual = seen;
                    self.attempt((self.count * 2 / 3).max(1), seen);
                    return self.count;
                }
                self.rest.0 = self.rest.0.saturating_sub(1);
            }
        }
        if self.rest.0 == 0 {
            self.attempt((self.count * 3).div_ceil(2).min(self.most), seen);
        }
        self.count
    }

    /// Tries another number.
    fn attempt(&mut self, count: usize, seen: Seen) {
        if count != self.count {
            self.before = Some((self.count, seen));
            self.turn_to(count);
        }
    }

    fn turn_to(&mut self, count: usize) {
        self.count = count;
        self.settles = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: f64 = 1e6;

    /// What cursors bring that read from a source with replies of 1 MB, each after so long, and so much of them in a second.
    fn source(seconds: f64, most: f64) -> impl Fn(usize) -> Seen {
        move |count| {
            let rate = (count as f64 * MB / seconds).min(most);
            Seen { rate, reply: Duration::from_secs_f64(count as f64 * MB / rate) }
        }
    }

    /// The numbers that were read with in so many looks at a source.
    fn numbers(tuner: &mut Tuner, looks: usize, source: impl Fn(usize) -> Seen) -> Vec<usize> {
        let mut now = tuner.count;
        let mut look = |_| {
            now = tuner.look(source(now));
            now
        };
        (0..looks).map(&mut look).collect()
    }

    #[test]
    fn a_source_that_is_far_away_is_read_with_more() {
        let mut tuner = Tuner::new(Cursors::Adapting);
        let far = numbers(&mut tuner, 20, source(0.2, 1000.0 * MB));
        assert_eq!(far.last(), Some(&16), "{far:?}");
    }

    #[test]
    fn no_more_than_help_are_kept() {
        let mut tuner = Tuner::new(Cursors::Adapting);
        let some = numbers(&mut tuner, 400, source(0.2, 45.0 * MB));
        let kept = some.iter().filter(|count| **count == 9).count();
        assert!(kept > 340 && some.iter().max() == Some(&14), "{some:?}");
    }

    #[test]
    fn a_source_that_does_all_it_can_is_left_alone_more_and_more() {
        let mut tuner = Tuner::new(Cursors::Adapting);
        let busy = numbers(&mut tuner, 400, source(0.01, 100.0 * MB));
        assert_eq!(busy.iter().filter(|count| **count != 4).count(), 2 * 9, "{busy:?}");
    }

    #[test]
    fn a_source_that_becomes_slow_is_relieved_and_one_that_recovers_is_asked_for_more() {
        let mut tuner = Tuner::new(Cursors::Adapting);
        numbers(&mut tuner, 20, source(0.04, 1000.0 * MB));
        assert_eq!(tuner.count, 16);
        let slow = numbers(&mut tuner, 40, source(0.04, 20.0 * MB));
        assert!(slow.last().is_some_and(|count| *count < 16), "{slow:?}");
        let good = numbers(&mut tuner, 200, source(0.04, 1000.0 * MB));
        assert!(good.iter().rev().take(100).all(|count| *count >= 15), "{good:?}");
    }

    #[test]
    fn fewer_that_bring_less_are_not_kept() {
        let mut tuner = Tuner::new(Cursors::Adapting);
        numbers(&mut tuner, 20, source(0.2, 1000.0 * MB));
        let slower = numbers(&mut tuner, 40, source(0.8, 1000.0 * MB));
        assert_eq!((slower.iter().min(), slower.last()), (Some(&10), Some(&16)), "{slower:?}");
    }

    #[test]
    fn a_number_that_was_said_stays() {
        let mut tuner = Tuner::new(Cursors::Fixed(7));
        assert_eq!(numbers(&mut tuner, 9, source(0.2, 1000.0 * MB)), [7; 9]);
    }
}
