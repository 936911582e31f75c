//! A dotted path, taken apart into what it goes through.

use super::{Delta, Nested, Paths};
use crate::document::{self, kind};

/// Servers nest no deeper than 200 levels, 250 at most (`BSONDepth`). It also bounds every recursion along a path.
const DEEPEST: usize = 256;

/// One component of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part<'a> {
    /// The field's name, or the index in decimal.
    pub(super) name: &'a [u8],
    /// What it is in.
    pub(super) within: Within,
}

/// What a component of a path is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Within {
    Document,
    Array,
    /// What the document that it is applied to has there.
    Either,
}

/// A path could mean more than one thing, or nothing that any server says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ambiguous;

impl<'a> Delta<'a> {
    /// Takes `path` apart into `parts`, which are cleared before.
    pub(super) fn resolve(&self, path: &'a [u8], parts: &mut Vec<Part<'a>>) -> Result<(), Ambiguous> {
        parts.clear();
        let told = self.told.and_then(|told| document::find(told, path));
        match (told, self.paths) {
            (Some(list), _) if list.kind == kind::ARRAY => listed(path, list.value, parts)?,
            (Some(_), _) => return Err(Ambiguous),
            // The server lists a path if a name in it has a dot, or is a number and not the first: what is not listed has
            // numbers for indexes only.
            (None, Paths::Told) => parts.extend(path.split(|&byte| byte == b'.').enumerate().map(|(i, name)| {
                let within = if i > 0 && index(name).is_some() { Within::Array } else { Within::Document };
                Part { name, within }
            })),
            (None, _) if !path.contains(&b'.') => parts.push(Part { name: path, within: Within::Document }),
            (None, Paths::Maybe(Nested::Refetch)) => return Err(Ambiguous),
            (None, Paths::Plain | Paths::Maybe(Nested::Trust)) => {
                parts.extend(path.split(|&byte| byte == b'.').map(|name| Part { name, within: Within::Either }));
                if parts.iter().any(|part| part.name.is_empty()) {
                    return Err(Ambiguous);
                }
                if let Some(first) = parts.first_mut() {
                    first.within = Within::Document;
                }
            }
        }
        if parts.len() > DEEPEST { Err(Ambiguous) } else { Ok(()) }
    }
}

/// Follows the array of `disambiguatedPaths`: strings are names, with whatever dots in them, and numbers are indexes.
fn listed<'a>(path: &'a [u8], list: &[u8], parts: &mut Vec<Part<'a>>) -> Result<(), Ambiguous> {
    let mut rest = Some(path);
    for component in document::elements(list) {
        let (component, left) = (component.map_err(|_| Ambiguous)?, rest.ok_or(Ambiguous)?);
        let (len, within) = match component.string() {
            Some(name) => (name.len(), Within::Document),
            None => (left.iter().position(|&byte| byte == b'.').unwrap_or(left.len()), Within::Array),
        };
        let (name, behind) = left.split_at_checked(len).ok_or(Ambiguous)?;
        let agrees = match component.string() {
            Some(listed) => listed == name,
            None => index(name).is_some() && super::whole_number(&component) == index(name),
        };
        if !agrees || parts.len() > DEEPEST {
            return Err(Ambiguous);
        }
        parts.push(Part { name, within });
        rest = match behind.split_first() {
            None => None,
            Some((b'.', behind)) => Some(behind),
            Some(_) => return Err(Ambiguous),
        };
    }
    if rest.is_some() { Err(Ambiguous) } else { Ok(()) }
}

/// The array index that a name is: decimal, without leading zeros (`isNumericPathComponentStrict`).
pub(super) fn index(name: &[u8]) -> Option<u32> {
    let canonical = name == b"0" || (name.first() != Some(&b'0') && name.iter().all(u8::is_ascii_digit));
    std::str::from_utf8(name).ok().filter(|_| canonical)?.parse().ok()
}
