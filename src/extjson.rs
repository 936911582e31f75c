//! Shows raw documents as canonical Extended JSON v2, straight from their bytes.
//!
//! Decoding first would show something else than what is stored: duplicate fields would be one, regex options
//! sorted, ill-formed text refused, and a deeply nested document would overflow the stack. Here each field is
//! written as the walk meets it, so order, duplicates and the deprecated types stay, and nesting costs heap only.
//!
//! It is for reading, not for storing. Three things do not come back: bytes that are no UTF-8 (shown as U+FFFD), the
//! payload of a NaN, and the difference between a user's field that is called `$oid` and an object id.

mod scalar;
mod text;
mod walk;

use std::fmt;

use crate::{
    document::{Element, Malformed},
    error::{Error, ErrorKind, Result},
};

/// The characters that [`value`] shows before it cuts.
pub const VALUE_CHARS: usize = 96;

/// Writes `doc` to `out` as one JSON object on one line.
///
/// What was written before an error stays written. Malformed bytes are [`ErrorKind::Damaged`]; an `out` that refuses
/// is [`ErrorKind::Io`].
pub fn write(doc: &[u8], out: &mut impl fmt::Write) -> Result<()> {
    Ok(walk::document(doc, out)?)
}

/// `doc` as one JSON object on one line.
pub fn to_string(doc: &[u8]) -> Result<String> {
    let mut json = String::with_capacity(doc.len().saturating_mul(2));
    write(doc, &mut json)?;
    Ok(json)
}

/// Writes the value of `element`, without its name, to `out`; errors are those of [`write`](fn@write).
pub fn write_value(element: &Element<'_>, out: &mut impl fmt::Write) -> Result<()> {
    Ok(walk::value(element, out)?)
}

/// The value of `element` for a message that must name it, as the `_id` of a document: after [`VALUE_CHARS`]
/// characters, or where it is malformed, it is cut with an `…`.
pub fn value(element: &Element<'_>) -> String {
    let mut short = Short { text: String::new(), left: VALUE_CHARS };
    match walk::value(element, &mut short) {
        Ok(()) => short.text,
        Err(_) => short.text + "…",
    }
}

/// Text that refuses to grow beyond so many characters, which also ends the walk: of a 16 MB value the first hundred
/// bytes are read.
struct Short {
    text: String,
    left: usize,
}

impl fmt::Write for Short {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        for char in more.chars() {
            self.left = self.left.checked_sub(1).ok_or(fmt::Error)?;
            self.text.push(char);
        }
        Ok(())
    }
}

/// Why the writing ended early.
enum Stop {
    Malformed(Malformed),
    Refused(fmt::Error),
}

impl From<fmt::Error> for Stop {
    fn from(error: fmt::Error) -> Self {
        Stop::Refused(error)
    }
}

impl From<Stop> for Error {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Malformed(malformed) => malformed.into(),
            Stop::Refused(error) => {
                Error::new(ErrorKind::Io, "the output took no more extended JSON").with_source(error)
            }
        }
    }
}

#[cfg(test)]
mod tests;
