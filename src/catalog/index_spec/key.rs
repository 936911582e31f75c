//! The key pattern: what each of its values means to a server.

use super::{number::Number, repair::RepairKind, work::Work};
use crate::{
    connect::Version,
    document::{self, Element, RawBuilder, kind},
};

/// The kinds of indexes that a key can name by a string.
const TYPES: [&[u8]; 8] = [
    b"text",
    b"2d",
    b"2dsphere",
    b"hashed",
    b"geoHaystack",
    b"columnstore",
    b"2dsphere_bucket",
    b"queryable_encrypted_range",
];
/// The first release without geoHaystack.
const NO_HAYSTACK: Version = Version::new(5, 0, 0);

/// A clean key pattern, or why there can be none.
pub(super) fn clean(pattern: &[u8], target: Version, work: &mut Work) -> Result<Vec<u8>, String> {
    let mut clean = RawBuilder::new();
    let mut names: Vec<&[u8]> = Vec::new();
    for element in document::elements(pattern) {
        let element = element.map_err(|malformed| format!("its key pattern is malformed: {malformed}"))?;
        check_path(element.name)?;
        let field = format!("key.{}", String::from_utf8_lossy(element.name));
        if names.contains(&element.name) {
            work.repair(RepairKind::KeyTwice, &field, Some(&element), None, "a key has each field once");
            continue;
        }
        names.push(element.name);
        match direction(&element, target)? {
            None => clean.append(&element),
            Some((direction, why)) => {
                work.repair(RepairKind::KeyValue, &field, Some(&element), Some(direction.to_string()), why);
                clean.int32(element.name, direction)
            }
        };
    }
    if names.is_empty() {
        return Err("its key pattern is empty".to_owned());
    }
    Ok(clean.finish())
}

/// The direction that a server took a value for; none if it can stay as it is.
fn direction(element: &Element<'_>, target: Version) -> Result<Option<(i32, &'static str)>, String> {
    if let Some(number) = Number::of(element) {
        return Ok(if number.is_nan() {
            Some((1, "old servers took what is no number for ascending"))
        } else if number.is_tiny() && number.is_negative() {
            Some((-1, "a value below zero is descending"))
        } else if number.is_tiny() {
            Some((1, "old servers took zero for ascending"))
        } else {
            None
        });
    }
    let Some(text) = element.string() else {
        return Ok(Some((1, "old servers took what is no number for ascending")));
    };
    match text {
        b"" => Ok(Some((1, "old servers took an empty text for ascending"))),
        b"1" | b"asc" | b"ascending" => Ok(Some((1, "ascending in words"))),
        b"-1" | b"desc" | b"descending" => Ok(Some((-1, "descending in words"))),
        b"geoHaystack" if target >= NO_HAYSTACK => Err("servers from 5.0 on have no geoHaystack indexes".to_owned()),
        text if TYPES.contains(&text) => Ok(None),
        text => Err(format!("servers know no index type \"{}\"", String::from_utf8_lossy(text))),
    }
}

/// Refuses paths that no server indexes.
fn check_path(path: &[u8]) -> Result<(), String> {
    let parts: Vec<&[u8]> = path.split(|byte| *byte == b'.').collect();
    if parts.iter().any(|part| part.is_empty()) {
        return Err(format!("its key names an empty field: \"{}\"", String::from_utf8_lossy(path)));
    }
    let last = parts.len() - 1;
    for (number, part) in parts.iter().enumerate().filter(|(_, part)| part.starts_with(b"$")) {
        let of_a_reference = number > 0 && [&b"$ref"[..], b"$id", b"$db"].contains(part);
        let wildcard = number == last && *part == b"$**";
        if !of_a_reference && !wildcard {
            return Err(format!("its key names a field that begins with $: \"{}\"", String::from_utf8_lossy(path)));
        }
    }
    Ok(())
}

/// Whether the key is `{_id: 1}`, as servers see it: they have the index with the collection. They see it in
/// `{_id: -1}` too.
pub(super) fn is_of_id(pattern: &[u8]) -> bool {
    let mut keys = document::elements(pattern);
    let of_id = |key: &Element<'_>| {
        let one = |number: Number| !number.is_nan() && number.truncated().unsigned_abs() == 1;
        key.name == b"_id" && Number::of(key).is_some_and(one)
    };
    matches!(keys.next(), Some(Ok(key)) if of_id(&key)) && keys.next().is_none()
}

/// Whether the key has this value anywhere, as `2dsphere`.
pub(super) fn has_type(pattern: &[u8], name: &[u8]) -> bool {
    document::elements(pattern).map_while(Result::ok).any(|key| key.string() == Some(name))
}

/// The number of fields.
pub(super) fn len(pattern: &[u8]) -> usize {
    document::elements(pattern).count()
}

/// The name that drivers give to an index on this key.
pub(super) fn default_name(pattern: &[u8]) -> String {
    let part = |key: Element<'_>| {
        let value = match (Number::of(&key), key.string()) {
            (Some(number), _) => number.truncated().to_string(),
            (None, text) => String::from_utf8_lossy(text.unwrap_or_default()).into_owned(),
        };
        format!("{}_{value}", String::from_utf8_lossy(key.name))
    };
    document::elements(pattern).map_while(Result::ok).map(part).collect::<Vec<_>>().join("_")
}

/// The key with its numbers in one form: what two keys have in common that servers take for one.
pub(super) fn normal(pattern: &[u8]) -> Vec<u8> {
    let mut normal = RawBuilder::new();
    for key in document::elements(pattern).map_while(Result::ok) {
        match key.kind {
            kind::INT32 | kind::INT64 => {
                normal.double(key.name, Number::of(&key).map_or(0.0, |number| number.truncated() as f64))
            }
            _ => normal.append(&key),
        };
    }
    normal.finish()
}
