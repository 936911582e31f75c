//! When documents expire: what is made of an `expireAfterSeconds` that servers do not take as it is.
//!
//! Whatever is decided, no document may expire on the target that would have stayed on the source.

use crate::document::{Element, kind};

use super::number::Number;

/// The most that servers take. It means never, and is what they put in the place of what they cannot use themselves
/// (SERVER-68477).
pub(super) const NEVER: i32 = i32::MAX;

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

pub(super) fn decide(value: &Element<'_>) -> Expiry {
    let Some(number) = Number::of(value) else {
        return Expiry::Remove("servers expire documents by numbers alone: on the source nothing expired");
    };
    if number.is_nan() {
        return Expiry::Seconds(NEVER, "not a number: some servers would expire everything at once, so nothing does");
    }
    let seconds = number.truncated();
    if seconds < 0 {
        return Expiry::Seconds(NEVER, "negative: everything would expire at once, so nothing does");
    }
    let Ok(seconds) = i32::try_from(seconds) else {
        return Expiry::Seconds(NEVER, "servers take no more than 2147483647");
    };
    match number.is_integral() && value.kind != kind::DECIMAL128 {
        true => Expiry::Keep,
        false => Expiry::Seconds(seconds, "servers count whole seconds"),
    }
}
