//! How fast something goes, by where it was in the last seconds.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Over how long is measured.
const OVER: Duration = Duration::from_secs(10);
/// What falls must be watched for so long before it is said when it comes to its end.
const AT_LEAST: Duration = Duration::from_secs(3);

/// Moments, and where something was then.
#[derive(Debug, Default)]
pub(super) struct Meter(VecDeque<(Instant, u64)>);

impl Meter {
    /// It is there now: by how much it grows in a second.
    pub(super) fn grows(&mut self, now: Instant, value: u64) -> u64 {
        let Some((then, before)) = self.note(now, value) else { return 0 };
        let milliseconds = (now - then).as_millis().max(1);
        let rate = u128::from(value.saturating_sub(before)) * 1000 / milliseconds;
        u64::try_from(rate).unwrap_or(u64::MAX)
    }

    /// It is there now: in how many seconds it comes to nothing, if it goes on to fall as it does. None where that is too early to
    /// say, or it does not fall.
    pub(super) fn ends_in(&mut self, now: Instant, value: u64) -> Option<u64> {
        let (then, before) = self.note(now, value)?;
        let over = now - then;
        if over < AT_LEAST {
            return None;
        }
        let fallen = u128::from(before.checked_sub(value)?);
        let milliseconds = (u128::from(value) * over.as_millis()).checked_div(fallen)?;
        u64::try_from(milliseconds.div_ceil(1000)).ok()
    }

    /// Forgets what was.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Notes where it is, and gives the first moment that counts.
    fn note(&mut self, now: Instant, value: u64) -> Option<(Instant, u64)> {
        self.0.push_back((now, value));
        while self.0.front().is_some_and(|(then, _)| now - *then > OVER) {
            self.0.pop_front();
        }
        self.0.front().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_of_the_last_seconds() {
        let (begun, mut meter) = (Instant::now(), Meter::default());
        assert_eq!(meter.grows(begun, 500), 0);
        assert_eq!(meter.grows(begun + Duration::from_secs(2), 1500), 500);
        assert_eq!(meter.grows(begun + Duration::from_secs(12), 1500), 0, "what was long ago does not count");
    }

    #[test]
    fn an_end_is_told_of_what_falls_and_of_nothing_else() {
        let (begun, mut meter) = (Instant::now(), Meter::default());
        let at = |seconds| begun + Duration::from_secs(seconds);
        assert_eq!(meter.ends_in(at(0), 100), None);
        assert_eq!(meter.ends_in(at(1), 90), None, "it is too early to say");
        assert_eq!(meter.ends_in(at(4), 60), Some(6));
        assert_eq!(meter.ends_in(at(5), 100), None);
        assert_eq!(meter.ends_in(at(6), 130), None);
    }
}
