//! When documents expire: what is made of an `expireAfterSeconds` that servers do not take as it is.
//!
//! Whatever is decided, no document may expire on the target that would have stayed on the source. So a number that
//! the target does not take is left out: what modern servers put in its place themselves (2147483647, SERVER-68477)
//! lets everything expire that is dated before 1958, and many programs mean "never" by the year 1. 4.2.6 let none of
//! it expire.

use super::{
    Author, key,
    number::Number,
    series,
    value::{self, Source},
};
use crate::{
    connect::Version,
    document::{self, Element, kind},
};

/// As many seconds as every release takes: 5.0.4 and older ones take no more than there were since 1970.
const TAKEN_BY_ALL: i32 = 1_700_000_000;
/// The first release that builds such indexes on capped collections again.
const ON_CAPPED: Version = Version::new(7, 1, 0);

/// What becomes of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expiry {
    /// It is fine.
    Keep,
    /// It is replaced.
    Seconds(i32, &'static str),
    /// The option is left out.
    Remove(&'static str),
}

/// Decides on a value. The fields are counted as servers counted them, in the key as it came.
pub(super) fn decide(value: &Element<'_>, source: &Source<'_>) -> Expiry {
    let context = source.context;
    if key::len(source.pattern) != 1 {
        return Expiry::Remove("servers expire nothing by an index on several fields");
    }
    if key::is_wildcard(source.key) {
        return Expiry::Remove("servers expire nothing by a wildcard index");
    }
    if context.is_time_series() && context.target < series::EXPIRES {
        return Expiry::Remove("servers before 6.3 expire nothing in a time series by an index");
    }
    let is_capped = document::find(context.options, b"capped").is_some_and(|capped| value::is_true(&capped));
    if is_capped && (context.author == Author::Server || context.target < ON_CAPPED) {
        return Expiry::Remove("servers before 7.1 expire nothing in a capped collection");
    }
    let Some(number) = Number::of(value) else {
        return Expiry::Remove("servers expire documents by numbers alone: on the source nothing expired");
    };
    if number.is_nan() {
        return Expiry::Remove("not a number: some servers would expire everything at once, so nothing does");
    }
    let seconds = number.truncated();
    if seconds < 0 {
        return Expiry::Remove("negative: everything would expire at once, so nothing does");
    }
    let Ok(whole) = i32::try_from(seconds) else {
        return Expiry::Remove("servers take no more than 2147483647, by which more would expire than did");
    };
    if seconds > i64::from(TAKEN_BY_ALL) && !takes_any(context.target) {
        return Expiry::Remove("the target takes no more seconds than there are since 1970");
    }
    match number.is_integral() && value.kind != kind::DECIMAL128 {
        true => Expiry::Keep,
        false => Expiry::Seconds(whole, "servers count whole seconds"),
    }
}

/// The longest time, in seconds, that a release takes for an index.
pub(crate) fn longest_expiry(target: Version) -> i32 {
    if takes_any(target) { i32::MAX } else { TAKEN_BY_ALL }
}

/// Whether a release takes up to 2147483647 seconds.
fn takes_any(target: Version) -> bool {
    let in_line = target >= Version::new(5, 0, 14) && target < Version::new(5, 1, 0);
    in_line || target >= Version::new(6, 0, 2)
}
