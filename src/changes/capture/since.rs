//! A moment as people write it: a cluster time, a time of the clock, or a resume token.

use std::str::FromStr;

use crate::{
    changes::token,
    error::{Error, ErrorKind, Result},
};

/// A cluster time: seconds in the upper half, an increment in the lower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub u64);

impl FromStr for Moment {
    type Err = Error;

    /// Reads `SECONDS,INCREMENT`, `SECONDS` since 1970, or a time as `2026-01-31T12:00:00Z`.
    fn from_str(text: &str) -> Result<Self> {
        let seconds = |text: &str| text.parse::<u32>().ok().map(|seconds| u64::from(seconds) << 32);
        let pair = || {
            let (time, increment) = text.split_once(',')?;
            Some(seconds(time)? | u64::from(increment.trim().parse::<u32>().ok()?))
        };
        let clock = || {
            let time = bson::DateTime::parse_rfc3339_str(text).ok()?;
            u32::try_from(time.timestamp_millis() / 1000).ok().map(|seconds| u64::from(seconds) << 32)
        };
        pair().or_else(|| seconds(text)).or_else(clock).map(Moment).ok_or_else(|| {
            Error::new(ErrorKind::Usage, "is no time: SECONDS, SECONDS,INCREMENT, or as 2026-01-31T12:00:00Z")
        })
    }
}

/// Where a capture begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Since {
    /// With the events of a cluster time.
    Time(u64),
    /// Behind a resume token, a document.
    Token(Vec<u8>),
}

impl FromStr for Since {
    type Err = Error;

    /// Reads a [`Moment`], or the hexadecimal digits that are a token's `_data`.
    fn from_str(text: &str) -> Result<Self> {
        match token::from_digits(text) {
            Some(token) => Ok(Since::Token(token)),
            None => text.parse().map(|Moment(time)| Since::Time(time)).map_err(|_| {
                Error::new(
                    ErrorKind::Usage,
                    "is neither a time (SECONDS, SECONDS,INCREMENT, or as 2026-01-31T12:00:00Z) nor the digits of a resume \
                     token's _data (82…)",
                )
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_in_three_ways() {
        let moment = |text: &str| text.parse::<Moment>().ok().map(|Moment(time)| (time >> 32, time & 0xffff_ffff));
        assert_eq!(moment("1700000000,3"), Some((1_700_000_000, 3)));
        assert_eq!(moment("1700000000"), Some((1_700_000_000, 0)));
        assert_eq!(moment("2023-11-14T22:13:20Z"), Some((1_700_000_000, 0)));
        assert_eq!(moment("2023-11-14T23:13:20+01:00"), Some((1_700_000_000, 0)));
        for text in ["", "soon", "5000000000", "1,x", "-1", "1969-01-01T00:00:00Z"] {
            assert_eq!(moment(text), None, "{text}");
        }
    }

    #[test]
    fn a_token_is_told_from_a_time() {
        let digits = "826565D6D8000000022B022C0100296E5A1004";
        assert!(matches!(digits.parse(), Ok(Since::Token(_))));
        assert_eq!("8265".parse::<Since>().ok(), Some(Since::Time(8265 << 32)));
        assert!("8265zz".parse::<Since>().is_err());
    }
}
