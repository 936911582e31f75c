//! How many cursors read at once: as many as somebody has said, or as many as the source is fastest with.
//!
//! A source far away, or one that reads from slow disks, does more with more cursors; one that is busy as it is does not, and one
//! that becomes slow is relieved by fewer. Which of them a source is, nobody knows beforehand, and it changes. So what a few
//! seconds bring is held against what they brought with other numbers: more are kept if they bring enough more that it is no
//! chance, fewer if they bring as much. What has not helped is tried less and less often.

use std::time::Duration;

use crate::rate::Rate;

/// Cursors that a source is read with at first, and no fewer unless it becomes slow.
const FIRST: usize = 4;
/// Cursors that it is read with at most, where nobody has said how many.
pub(super) const MOST: usize = 16;
/// The numbers that are tried.
const STEPS: [usize; 8] = [1, 2, 3, FIRST, 6, 9, 12, MOST];
/// More cursors must bring this share of what they would if each brought as much as those before.
const WORTH: f64 = 0.3;
/// Fewer must bring this much of what there was.
const AS_GOOD: f64 = 0.97;
/// A source that takes this many times as long for a reply as it did has become slow.
const SLOW: f64 = 2.0;
/// What is usual follows what is seen by this share.
const FOLLOWS: f64 = 0.125;
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
    /// The same where they are held to a rate, of which each of so many takes its share.
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

/// What a number of cursors has brought lately.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// Bytes in a second, or what the work is measured by.
    pub(super) rate: f64,
    /// How long the source has taken for a reply, in the mean.
    pub(super) reply: Duration,
}

/// Finds the number of cursors.
#[derive(Debug)]
pub(super) struct Tuner {
    count: usize,
    /// How many there were before another number was tried, and what they brought.
    before: Option<(usize, Seen)>,
    /// Whether more are tried next, or fewer.
    tries_more: bool,
    /// What the source does when nothing is tried.
    usual: Option<Seen>,
    /// Looks until something is tried, and how many there are between two tries.
    rest: (u32, u32),
}

impl Tuner {
    pub(super) fn new() -> Self {
        Tuner { count: FIRST, before: None, tries_more: true, usual: None, rest: (1, SHORT_REST) }
    }

    /// How many cursors are to read from now on, after what so many as were to have brought.
    pub(super) fn look(&mut self, seen: Seen) -> usize {
        match self.before.take() {
            Some((count, before)) if seen.rate < before.rate * self.least(count) => {
                (self.count, self.tries_more) = (count, !self.tries_more);
                self.rest = (self.rest.1, (self.rest.1 * 2).min(LONG_REST));
            }
            Some((count, _)) => {
                self.usual = Some(seen);
                self.rest = (SHORT_REST, SHORT_REST);
                // What has helped is gone on with at once.
                self.attempt(self.count > count, seen, self.least_of_all(count));
            }
            None if self.is_slow(seen) => {
                self.usual = Some(seen);
                self.attempt(false, seen, 1);
            }
            None => {
                let usual = self.usual.map_or(seen, |usual| usual.nearer(seen));
                self.usual = Some(usual);
                self.rest.0 = self.rest.0.saturating_sub(1);
                if self.rest.0 == 0 {
                    let more = self.count <= FIRST || self.tries_more && self.count < MOST;
                    // One look may have seen little by chance; what is usual is of many.
                    self.attempt(more, usual, FIRST);
                }
            }
        }
        self.count
    }

    /// How many times what `count` cursors brought those must bring that were tried in their place.
    fn least(&self, count: usize) -> f64 {
        match self.count > count {
            true => 1.0 + WORTH * (self.count as f64 / count as f64 - 1.0),
            false => AS_GOOD,
        }
    }

    /// Below the first number only a source that has become slow is led, and then to the end.
    fn least_of_all(&self, before: usize) -> usize {
        if before <= FIRST { 1 } else { FIRST }
    }

    fn is_slow(&self, seen: Seen) -> bool {
        self.usual
            .is_some_and(|usual| seen.reply.as_secs_f64() > usual.reply.as_secs_f64() * SLOW && seen.rate < usual.rate)
    }

    /// Tries the next number, if there is one that is not below `least`.
    fn attempt(&mut self, more: bool, seen: Seen, least: usize) {
        let next = match more {
            true => STEPS.iter().find(|step| **step > self.count),
            false => STEPS.iter().rev().find(|step| **step < self.count && **step >= least),
        };
        if let Some(next) = next {
            self.before = Some((self.count, seen));
            self.count = *next;
        }
    }
}

impl Seen {
    /// The same, a little more like another.
    fn nearer(self, other: Seen) -> Seen {
        let between = |one: f64, other: f64| one + (other - one) * FOLLOWS;
        Seen {
            rate: between(self.rate, other.rate),
            reply: Duration::from_secs_f64(between(self.reply.as_secs_f64(), other.reply.as_secs_f64())),
        }
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
    fn numbers(tuner: &mut Tuner, looks: usize, mut source: impl FnMut(usize) -> Seen) -> Vec<usize> {
        let mut now = tuner.count;
        let mut look = |_| {
            now = tuner.look(source(now));
            now
        };
        (0..looks).map(&mut look).collect()
    }

    /// The share of looks after which so many cursors, or others, were to read.
    fn share(numbers: &[usize], is_so: impl Fn(usize) -> bool) -> f64 {
        numbers.iter().filter(|count| is_so(**count)).count() as f64 / numbers.len() as f64
    }

    /// The same source, of which each look sees up to a tenth more or less.
    fn by_chance(source: impl Fn(usize) -> Seen) -> impl FnMut(usize) -> Seen {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        move |count| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let seen = source(count);
            Seen { rate: seen.rate * (0.9 + 0.2 * (state >> 11) as f64 / (1_u64 << 53) as f64), ..seen }
        }
    }

    #[test]
    fn a_source_that_is_far_away_is_read_with_more() {
        let far = numbers(&mut Tuner::new(), 10, source(0.2, 1000.0 * MB));
        assert_eq!(far.last(), Some(&16), "{far:?}");
        let far = numbers(&mut Tuner::new(), 4000, by_chance(source(0.2, 1000.0 * MB)));
        assert!(share(&far, |count| count >= 12) > 0.9, "{far:?}");
    }

    #[test]
    fn no_more_than_help_are_kept() {
        let some = numbers(&mut Tuner::new(), 400, source(0.2, 45.0 * MB));
        assert!(share(&some, |count| count == 9) > 0.9 && some.iter().all(|count| *count <= 12), "{some:?}");
    }

    #[test]
    fn a_source_that_does_all_it_can_is_left_alone_more_and_more() {
        let busy = numbers(&mut Tuner::new(), 400, source(0.01, 100.0 * MB));
        assert!(share(&busy, |count| count == 4) > 0.97 && busy.iter().all(|count| [4, 6].contains(count)), "{busy:?}");
        let busy = numbers(&mut Tuner::new(), 4000, by_chance(source(0.01, 100.0 * MB)));
        assert!(share(&busy, |count| count == 4) > 0.9 && share(&busy, |count| count > 6) < 0.01, "{busy:?}");
    }

    #[test]
    fn a_source_that_becomes_slow_is_relieved_and_one_that_recovers_is_asked_for_more() {
        let mut tuner = Tuner::new();
        numbers(&mut tuner, 20, source(0.04, 1000.0 * MB));
        assert_eq!(tuner.count, 16);
        let slow = numbers(&mut tuner, 60, source(0.04, 20.0 * MB));
        assert!(share(&slow[20..], |count| count <= 6) > 0.9, "{slow:?}");
        let good = numbers(&mut tuner, 200, source(0.04, 1000.0 * MB));
        assert!(share(&good[100..], |count| count >= 12) > 0.9, "{good:?}");
    }

    #[test]
    fn fewer_that_bring_less_are_not_kept() {
        let mut tuner = Tuner::new();
        numbers(&mut tuner, 20, source(0.2, 1000.0 * MB));
        let slower = numbers(&mut tuner, 40, source(0.8, 1000.0 * MB));
        assert_eq!((slower.iter().min(), share(&slower, |count| count == 16) > 0.8), (Some(&12), true), "{slower:?}");
    }
}
