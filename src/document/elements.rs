//! The walk over one document's fields: type byte, name, and as many bytes as the type says.
//!
//! The one place that knows how long a value of each BSON type is.

use super::malformed::Malformed;

/// The type bytes of BSON, the deprecated ones included.
#[allow(missing_docs)]
pub mod kind {
    pub const DOUBLE: u8 = 0x01;
    pub const STRING: u8 = 0x02;
    pub const DOCUMENT: u8 = 0x03;
    pub const ARRAY: u8 = 0x04;
    pub const BINARY: u8 = 0x05;
    pub const UNDEFINED: u8 = 0x06;
    pub const OBJECT_ID: u8 = 0x07;
    pub const BOOL: u8 = 0x08;
    pub const DATE: u8 = 0x09;
    pub const NULL: u8 = 0x0A;
    pub const REGEX: u8 = 0x0B;
    pub const DB_POINTER: u8 = 0x0C;
    pub const CODE: u8 = 0x0D;
    pub const SYMBOL: u8 = 0x0E;
    pub const CODE_WITH_SCOPE: u8 = 0x0F;
    pub const INT32: u8 = 0x10;
    pub const TIMESTAMP: u8 = 0x11;
    pub const INT64: u8 = 0x12;
    pub const DECIMAL128: u8 = 0x13;
    pub const MAX_KEY: u8 = 0x7F;
    pub const MIN_KEY: u8 = 0xFF;
}

/// One field of a document, as the bytes that make it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element<'a> {
    /// The type byte, one of [`kind`].
    pub kind: u8,
    /// The name, without its NUL. Not always UTF-8.
    pub name: &'a [u8],
    /// The value, with its length prefix where the type has one.
    pub value: &'a [u8],
    /// Everything from the type byte to the value's end.
    pub whole: &'a [u8],
}

impl<'a> Element<'a> {
    /// The bytes of a string, without its length and its NUL. Not always UTF-8.
    pub fn string(&self) -> Option<&'a [u8]> {
        match self.kind {
            kind::STRING => self.value.get(4..self.value.len().saturating_sub(1)),
            _ => None,
        }
    }
}

/// The fields of `doc` in order; what an embedded document or array holds is walked by calling this on its value.
///
/// `doc` is exactly one document, from its length to its final NUL.
pub fn elements(doc: &[u8]) -> Elements<'_> {
    let state = match document_body(doc) {
        Ok(body) => State::Walking(body),
        Err(reason) => State::Refused(reason),
    };
    Elements { len: doc.len(), state }
}

/// Iterator over a document's fields. It ends after its first error.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    len: usize,
    state: State<'a>,
}

#[derive(Clone, Debug)]
enum State<'a> {
    /// The bytes from the next element to the final NUL, which is among them.
    Walking(&'a [u8]),
    Refused(&'static str),
    Ended,
}

impl Elements<'_> {
    /// Where in the document the next element begins.
    pub(crate) fn offset(&self) -> usize {
        match self.state {
            State::Walking(rest) => self.len - rest.len(),
            State::Refused(_) | State::Ended => 0,
        }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<Element<'a>, Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let rest = match self.state {
            State::Walking(rest) => rest,
            State::Refused(reason) => {
                self.state = State::Ended;
                return Some(Err(Malformed { offset: 0, reason }));
            }
            State::Ended => return None,
        };
        if rest == [0] {
            self.state = State::Ended;
            return None;
        }
        match first_element(rest) {
            Ok((element, after)) => {
                self.state = State::Walking(after);
                Some(Ok(element))
            }
            Err(reason) => {
                self.state = State::Ended;
                Some(Err(Malformed { offset: self.len - rest.len(), reason }))
            }
        }
    }
}

impl std::iter::FusedIterator for Elements<'_> {}

/// What follows the length of a whole document, its final NUL included.
fn document_body(doc: &[u8]) -> Result<&[u8], &'static str> {
    let (length, body) = doc.split_first_chunk().ok_or("shorter than a document's length")?;
    if usize::try_from(i32::from_le_bytes(*length)) != Ok(doc.len()) {
        return Err("the length is not the document's");
    }
    match body.last() {
        Some(0) => Ok(body),
        _ => Err("no NUL at the document's end"),
    }
}

#[inline]
fn first_element(rest: &[u8]) -> Result<(Element<'_>, &[u8]), &'static str> {
    let (&kind, named) = rest.split_first().ok_or("no NUL at the document's end")?;
    if kind == 0 {
        return Err("ends before its length");
    }
    let name_len = position_of_nul(named).ok_or("a name without an end")?;
    let value_at = 1 + name_len + 1;
    let value_len = value_len(kind, rest.get(value_at..).unwrap_or_default())?;
    let end = value_at.checked_add(value_len).ok_or(PAST_THE_END)?;
    let (whole, after) = rest.split_at_checked(end).ok_or(PAST_THE_END)?;
    let (Some(name), Some(value)) = (whole.get(1..value_at - 1), whole.get(value_at..)) else {
        return Err(PAST_THE_END);
    };
    Ok((Element { kind, name, value, whole }, after))
}

const PAST_THE_END: &str = "a value reaches past the document's end";

/// How many of `bytes` make up a value of type `kind`; they may be fewer than that.
#[inline]
fn value_len(kind: u8, bytes: &[u8]) -> Result<usize, &'static str> {
    match kind {
        kind::NULL | kind::UNDEFINED | kind::MIN_KEY | kind::MAX_KEY => Ok(0),
        kind::BOOL => Ok(1),
        kind::INT32 => Ok(4),
        kind::DOUBLE | kind::DATE | kind::TIMESTAMP | kind::INT64 => Ok(8),
        kind::OBJECT_ID => Ok(12),
        kind::DECIMAL128 => Ok(16),
        kind::STRING | kind::CODE | kind::SYMBOL => string_len(bytes),
        kind::DOCUMENT | kind::ARRAY => {
            let len = prefix(bytes, 5, "an embedded document shorter than an empty one")?;
            ends_in_nul(bytes, len, "no NUL at an embedded document's end")
        }
        kind::BINARY => Ok(4 + 1 + prefix(bytes, 0, "binary of a negative length")?),
        kind::DB_POINTER => Ok(string_len(bytes)? + 12),
        // The shortest: its own length, an empty string, an empty scope.
        kind::CODE_WITH_SCOPE => prefix(bytes, 4 + 5 + 5, "code with scope shorter than an empty one"),
        kind::REGEX => {
            let pattern = position_of_nul(bytes).ok_or("a regular expression without an end")? + 1;
            let options = position_of_nul(bytes.get(pattern..).unwrap_or_default());
            Ok(pattern + options.ok_or("a regular expression without an end")? + 1)
        }
        _ => Err("an unknown type"),
    }
}

fn string_len(bytes: &[u8]) -> Result<usize, &'static str> {
    let len = 4 + prefix(bytes, 1, "a string shorter than its NUL")?;
    ends_in_nul(bytes, len, "no NUL at a string's end")
}

/// The length that stands before a value, if it is at least `least`.
fn prefix(bytes: &[u8], least: usize, too_short: &'static str) -> Result<usize, &'static str> {
    let length = bytes.first_chunk().ok_or(PAST_THE_END)?;
    match usize::try_from(i32::from_le_bytes(*length)) {
        Ok(length) if length >= least => Ok(length),
        _ => Err(too_short),
    }
}

fn ends_in_nul(bytes: &[u8], len: usize, otherwise: &'static str) -> Result<usize, &'static str> {
    match bytes.get(len - 1) {
        Some(0) => Ok(len),
        Some(_) => Err(otherwise),
        None => Err(PAST_THE_END),
    }
}

/// Eight bytes at a time: names are short, and a byte-wise search of them is most of a walk's cost.
#[inline]
pub(super) fn position_of_nul(bytes: &[u8]) -> Option<usize> {
    const LOWEST: u64 = u64::from_le_bytes([0x01; 8]);
    const HIGHEST: u64 = u64::from_le_bytes([0x80; 8]);
    let (chunks, tail) = bytes.as_chunks();
    for (i, chunk) in chunks.iter().enumerate() {
        let word = u64::from_le_bytes(*chunk);
        // The lowest bit that is set belongs to the first zero byte; higher ones may be false, and are not asked.
        let zeros = word.wrapping_sub(LOWEST) & !word & HIGHEST;
        if zeros != 0 {
            return Some(i * 8 + zeros.trailing_zeros() as usize / 8);
        }
    }
    tail.iter().position(|&byte| byte == 0).map(|at| chunks.len() * 8 + at)
}

#[cfg(test)]
mod tests;
