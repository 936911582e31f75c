//! Which point in time an archive is of, by what it says itself: the times of its parts and of its catalog.

use std::fmt;

use serde::Serialize;
use transload_format::Contents;

use crate::changes::token::{in_words, written};

/// Of which sort an archive is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PointInTime {
    /// It is what the server was at one cluster time.
    PointInTime,
    /// Its parts are of different times, or read over some time: with the changes since, it is what the server was.
    ConsistentAfterReplay,
    /// Nobody can say of what time it is.
    Fuzzy,
}

/// Which point in time an archive is of. Cluster times are `SECONDS,INCREMENT`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Consistency {
    /// Of which sort it is.
    pub is: PointInTime,
    /// The cluster time that it is of; after a replay, the first that it can be of.
    pub time: Option<String>,
    /// The cluster time from which on changes are to be replayed, to make a later time of it.
    pub replay_from: Option<String>,
    /// Why nobody can say.
    pub reason: Option<&'static str>,
    #[serde(skip)]
    times: (u64, u64),
}

impl Consistency {
    /// What a finished archive says of itself.
    pub fn of(contents: &Contents) -> Self {
        let since = contents.checkpoint().map_or(0, |checkpoint| checkpoint.cluster_time);
        let parts = contents.namespaces().iter().flat_map(|namespace| &namespace.parts);
        let windows = parts.map(|part| (part.begun.low, part.finished.map_or(0, |finished| finished.high)));
        Consistency::of_times(since, windows)
    }

    /// `since` is the time that the catalog is of, or before; each part has a low and a high. 0 is unknown.
    fn of_times(since: u64, windows: impl Iterator<Item = (u64, u64)>) -> Self {
        let mut last = 0;
        let mut is = PointInTime::PointInTime;
        for (low, high) in windows {
            if low == 0 || high == 0 || since == 0 {
                return Consistency::fuzzy("it does not tell the cluster times of its parts");
            }
            if (low, high) != (since, since) {
                is = PointInTime::ConsistentAfterReplay;
            }
            last = high.max(last);
        }
        if last == 0 {
            return Consistency::fuzzy("it has no part of a collection, which alone tells a time");
        }
        let (time, replay_from) = (Some(written(last)), Some(written(since)));
        Consistency { is, time, replay_from, reason: None, times: (last, since) }
    }

    fn fuzzy(reason: &'static str) -> Self {
        Consistency { is: PointInTime::Fuzzy, time: None, replay_from: None, reason: Some(reason), times: (0, 0) }
    }
}

impl fmt::Display for Consistency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (time, from) = self.times;
        match self.is {
            PointInTime::PointInTime => write!(f, "point-in-time at {}", in_words(time)),
            PointInTime::ConsistentAfterReplay => {
                let (time, from) = (in_words(time), written(from));
                write!(
                    f,
                    "consistent from {time} after replay of the changes from {from} on; until then no point in time"
                )
            }
            PointInTime::Fuzzy => write!(f, "fuzzy: {}", self.reason.unwrap_or("it tells no time")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_700_000_000 << 32;

    fn of(since: u64, windows: &[(u64, u64)]) -> (PointInTime, String) {
        let consistency = Consistency::of_times(since, windows.iter().copied());
        (consistency.is, consistency.to_string())
    }

    #[test]
    fn an_archive_of_one_time_is_a_point_in_time() {
        let (is, text) = of(S | 3, &[(S | 3, S | 3), (S | 3, S | 3)]);
        assert_eq!(is, PointInTime::PointInTime);
        assert_eq!(text, "point-in-time at 1700000000,3 (2023-11-14T22:13:20Z)");
    }

    #[test]
    fn anything_of_another_time_makes_it_none() {
        let other = [
            of(S | 3, &[(S | 3, S | 3), (S | 4, S | 4)]),
            of(S | 3, &[(S | 3, S | 3), (S | 3, S | 4)]),
            // The catalog is not of that time.
            of(S | 2, &[(S | 4, S | 4), (S | 4, S | 4)]),
        ];
        for (is, text) in other {
            assert_eq!(is, PointInTime::ConsistentAfterReplay);
            assert!(text.starts_with("consistent from 1700000000,4 (2023-11-14T22:13:20Z) after replay"), "{text}");
        }
    }

    #[test]
    fn without_times_it_is_fuzzy() {
        for (is, text) in [of(0, &[(S, S)]), of(S, &[(S, S), (0, 0)]), of(S, &[(S, 0)]), of(S, &[])] {
            assert_eq!(is, PointInTime::Fuzzy);
            assert!(text.starts_with("fuzzy: it "), "{text}");
        }
    }
}
