//! The identity and the order of documents: `_id`s as the server's index on them sees them.
//!
//! A change event names its document by the bytes of its `_id`, and one document can be named by different bytes over
//! time: 1, 1L, 1.0 and NumberDecimal("1.0") are one key of a unique index, so what is deleted under one of them can be
//! inserted again under another. Events sorted into lanes or folded by raw bytes are thus put out of order. A [`Key`] is
//! the one string of bytes that all these have in common.
//!
//! The encoding follows the server's own `KeyString`: type brackets in the order of `canonicalizeBSONType`, every value
//! behind its bracket in a form that sorts as plain bytes, and nothing rounded. Two keys are equal exactly where a unique
//! index refuses the second, and order as the index does. Only simple collation is known here: what another collation
//! holds equal, the server alone can tell.

mod number;

use std::{borrow::Borrow, cmp::Ordering};

use crate::document::{self, Element, Elements, kind};

/// Where a type stands among the others; values of one bracket are compared with each other. Undefined and null are two
/// brackets, a symbol is a string.
mod bracket {
    pub(super) const END: u8 = 0;
    pub(super) const MIN_KEY: u8 = 10;
    pub(super) const UNDEFINED: u8 = 15;
    pub(super) const NULL: u8 = 20;
    pub(super) const NUMBER: u8 = 30;
    pub(super) const STRING: u8 = 60;
    pub(super) const DOCUMENT: u8 = 70;
    pub(super) const ARRAY: u8 = 80;
    pub(super) const BINARY: u8 = 90;
    pub(super) const OBJECT_ID: u8 = 100;
    pub(super) const BOOL: u8 = 110;
    pub(super) const DATE: u8 = 120;
    pub(super) const TIMESTAMP: u8 = 130;
    pub(super) const REGEX: u8 = 140;
    pub(super) const DB_POINTER: u8 = 150;
    pub(super) const CODE: u8 = 160;
    pub(super) const CODE_WITH_SCOPE: u8 = 170;
    pub(super) const MAX_KEY: u8 = 240;
    /// No server stores such a value. Its bytes are kept, so that it is equal to itself alone.
    pub(super) const MALFORMED: u8 = 250;
}

/// An `_id` as a unique index with simple collation holds it: equal, and ordered, as the server says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Vec<u8>);

impl Key {
    /// The key that the value of `id` is; its name is of no consequence.
    pub fn of(id: &Element<'_>) -> Self {
        let mut bytes = Vec::with_capacity(32);
        Self::write(id, &mut bytes);
        Key(bytes)
    }

    /// Appends the bytes of the key to `bytes`: for whoever looks up many and keeps few.
    pub fn write(id: &Element<'_>, bytes: &mut Vec<u8>) {
        bytes.push(bracket_of(id.kind));
        let mut open = Vec::new();
        write_value(id, bytes, &mut open);
        // Nesting goes on the heap: a document of thousands of levels must not take the stack with it.
        while let Some(level) = open.last_mut() {
            match level.rest.next() {
                Some(Ok(element)) => {
                    bytes.push(bracket_of(element.kind));
                    // The names in an array are its indexes; an index has no place for them.
                    if level.named {
                        bytes.extend_from_slice(element.name);
                        bytes.push(0);
                    }
                    write_value(&element, bytes, &mut open);
                }
                Some(Err(_)) => {
                    bytes.push(bracket::MALFORMED);
                    write_bytes(level.whole, bytes);
                }
                None => {
                    bytes.push(bracket::END);
                    open.pop();
                }
            }
        }
    }

    /// The bytes, to be kept.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// The bytes: unsigned lexicographic order is the key's.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for Key {
    /// What [`Key::write`] has written.
    fn from(bytes: &[u8]) -> Self {
        Key(bytes.to_vec())
    }
}

/// How the server's index on `_id`, with simple collation, orders two values. Their names are of no consequence.
///
/// Whoever compares one value with many makes a [`Key`] of each and compares these.
pub fn compare(a: &Element<'_>, b: &Element<'_>) -> Ordering {
    Key::of(a).cmp(&Key::of(b))
}

/// A document or array whose fields are being written.
struct Level<'a> {
    rest: Elements<'a>,
    whole: &'a [u8],
    named: bool,
}

fn bracket_of(kind: u8) -> u8 {
    match kind {
        kind::MIN_KEY => bracket::MIN_KEY,
        kind::UNDEFINED => bracket::UNDEFINED,
        kind::NULL => bracket::NULL,
        kind::DOUBLE | kind::INT32 | kind::INT64 | kind::DECIMAL128 => bracket::NUMBER,
        kind::STRING | kind::SYMBOL => bracket::STRING,
        kind::DOCUMENT => bracket::DOCUMENT,
        kind::ARRAY => bracket::ARRAY,
        kind::BINARY => bracket::BINARY,
        kind::OBJECT_ID => bracket::OBJECT_ID,
        kind::BOOL => bracket::BOOL,
        kind::DATE => bracket::DATE,
        kind::TIMESTAMP => bracket::TIMESTAMP,
        kind::REGEX => bracket::REGEX,
        kind::DB_POINTER => bracket::DB_POINTER,
        kind::CODE => bracket::CODE,
        kind::CODE_WITH_SCOPE => bracket::CODE_WITH_SCOPE,
        kind::MAX_KEY => bracket::MAX_KEY,
        _ => bracket::MALFORMED,
    }
}

/// Writes one value so that no value's bytes are the beginning of another's in the same bracket. What is embedded goes
/// on `open`.
fn write_value<'a>(element: &Element<'a>, bytes: &mut Vec<u8>, open: &mut Vec<Level<'a>>) {
    if try_value(element, bytes, open).is_none() {
        bytes.push(bracket::MALFORMED);
        write_bytes(element.value, bytes);
    }
}

/// None, with nothing written, when the value is not one of its type.
fn try_value<'a>(element: &Element<'a>, bytes: &mut Vec<u8>, open: &mut Vec<Level<'a>>) -> Option<()> {
    let value = element.value;
    match element.kind {
        kind::MIN_KEY | kind::MAX_KEY | kind::UNDEFINED | kind::NULL => {}
        kind::INT32 => number::integer(i32::from_le_bytes(value.try_into().ok()?).into(), bytes),
        kind::INT64 => number::integer(i64::from_le_bytes(value.try_into().ok()?), bytes),
        kind::DOUBLE => number::double(f64::from_le_bytes(value.try_into().ok()?), bytes),
        kind::DECIMAL128 => number::decimal(u128::from_le_bytes(value.try_into().ok()?), bytes),
        kind::STRING | kind::SYMBOL | kind::CODE => write_text(text(value)?, bytes),
        kind::DOCUMENT | kind::ARRAY => {
            let named = element.kind == kind::DOCUMENT;
            open.push(Level { rest: document::elements(value), whole: value, named });
        }
        kind::BINARY => {
            let (subtype, data) = value.get(4..)?.split_first()?;
            write_length(data.len(), bytes);
            bytes.push(*subtype);
            bytes.extend_from_slice(data);
        }
        kind::OBJECT_ID => bytes.extend_from_slice(value),
        kind::BOOL => bytes.push(u8::from(*value.first()? != 0)),
        kind::DATE => {
            let offset = i64::from_le_bytes(value.try_into().ok()?).cast_unsigned() ^ (1 << 63);
            bytes.extend_from_slice(&offset.to_be_bytes());
        }
        kind::TIMESTAMP => bytes.extend_from_slice(&u64::from_le_bytes(value.try_into().ok()?).to_be_bytes()),
        // Pattern and options, each with its NUL.
        kind::REGEX => bytes.extend_from_slice(value),
        kind::DB_POINTER => {
            let (namespace, id) = value.split_at_checked(value.len().checked_sub(12)?)?;
            let namespace = text(namespace)?;
            write_length(namespace.len(), bytes);
            bytes.extend_from_slice(namespace);
            bytes.extend_from_slice(id);
        }
        kind::CODE_WITH_SCOPE => {
            let code_len = usize::try_from(i32::from_le_bytes(*value.get(4..)?.first_chunk()?)).ok()?;
            let (code, scope) = value.get(4..)?.split_at_checked(code_len.checked_add(4)?)?;
            write_text(text(code)?, bytes);
            open.push(Level { rest: document::elements(scope), whole: scope, named: true });
        }
        _ => return None,
    }
    Some(())
}

/// What stands between the length of a string and its NUL.
fn text(value: &[u8]) -> Option<&[u8]> {
    value.get(4..value.len().checked_sub(1)?)
}

/// A text ends with a NUL; one in it is escaped, as in `KeyString`, so that a shorter text comes first.
fn write_text(text: &[u8], bytes: &mut Vec<u8>) {
    for (i, piece) in text.split(|&byte| byte == 0).enumerate() {
        if i > 0 {
            bytes.extend_from_slice(&[0, 0xff]);
        }
        bytes.extend_from_slice(piece);
    }
    bytes.push(0);
}

fn write_bytes(data: &[u8], bytes: &mut Vec<u8>) {
    write_length(data.len(), bytes);
    bytes.extend_from_slice(data);
}

/// A length is compared before what it is the length of.
fn write_length(len: usize, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(&u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes());
}

#[cfg(test)]
mod tests;
