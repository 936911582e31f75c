//! The key pattern: what each of its values means to a server.

use super::{Author, Context, number::Number, repair::RepairKind, work::Work};
use crate::{
    connect::Version,
    document::{self, Element, RawBuilder},
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
/// Those that servers before a release do not know.
const SINCE: [(&[u8], Version); 3] = [
    (b"columnstore", Version::new(6, 1, 0)),
    (b"2dsphere_bucket", Version::new(5, 1, 0)),
    (b"queryable_encrypted_range", Version::new(6, 1, 0)),
];
/// The first release without geoHaystack.
const NO_HAYSTACK: Version = Version::new(5, 0, 0);
/// The first release with a hashed field among others.
const COMPOUND_HASHED: Version = Version::new(4, 4, 0);
/// The first release with a wildcard among other fields, and with a descending one.
const COMPOUND_WILDCARD: Version = Version::new(7, 0, 0);

/// A clean key pattern, or why there can be none.
pub(super) fn clean(pattern: &[u8], context: &Context<'_>, work: &mut Work) -> Result<Vec<u8>, String> {
    let pattern = once_each(pattern, work)?;
    let mut clean = RawBuilder::new();
    let no_descent = is_wildcard(&pattern) && context.target < COMPOUND_WILDCARD;
    for element in document::elements(&pattern).map_while(Result::ok) {
        check_path(&element, kind_of(&pattern))?;
        let mut repaired = direction(&element, context)?;
        let descends = match repaired {
            Some((direction, _)) => direction < 0,
            None => Number::of(&element).is_some_and(Number::is_negative),
        };
        if no_descent && descends {
            repaired = Some((1, "servers before 7.0 build wildcard indexes in ascending order alone"));
        }
        match repaired {
            None => clean.append(&element),
            Some((direction, why)) => {
                let field = field_name(&element);
                work.repair(RepairKind::KeyValue, &field, Some(&element), Some(direction.to_string()), why);
                clean.int32(element.name, direction)
            }
        };
    }
    match len(&pattern) {
        0 => Err("its key pattern is empty".to_owned()),
        1 => Ok(clean.finish()),
        _ if context.target < COMPOUND_HASHED && has_type(&pattern, b"hashed") => {
            Err("servers before 4.4 build no hashed indexes on several fields".to_owned())
        }
        _ if no_descent => Err("servers before 7.0 build no wildcard indexes on several fields".to_owned()),
        _ => Ok(clean.finish()),
    }
}

/// The pattern without the fields that it has named before.
fn once_each(pattern: &[u8], work: &mut Work) -> Result<Vec<u8>, String> {
    let mut once = RawBuilder::new();
    let mut names: Vec<&[u8]> = Vec::new();
    for element in document::elements(pattern) {
        let element = element.map_err(|malformed| format!("its key pattern is malformed: {malformed}"))?;
        if names.contains(&element.name) {
            let field = field_name(&element);
            work.repair(RepairKind::KeyTwice, &field, Some(&element), None, "a key has each field once");
        } else {
            names.push(element.name);
            once.append(&element);
        }
    }
    Ok(once.finish())
}

fn field_name(element: &Element<'_>) -> String {
    format!("key.{}", String::from_utf8_lossy(element.name))
}

/// The direction that a server took a value for; none if it can stay as it is.
fn direction(element: &Element<'_>, context: &Context<'_>) -> Result<Option<(i32, &'static str)>, String> {
    const NO_NUMBER: &str = "old servers took what is no number for ascending";
    if let Some(number) = Number::of(element) {
        return Ok(if number.is_nan() {
            Some((1, NO_NUMBER))
        } else if number.is_tiny() && number.is_negative() {
            Some((-1, "a value below zero is descending"))
        } else if number.is_tiny() {
            Some((1, "old servers took zero for ascending"))
        } else {
            None
        });
    }
    let Some(text) = element.string() else {
        return Ok(Some((1, NO_NUMBER)));
    };
    match text {
        b"" => Ok(Some((1, "old servers took an empty text for ascending"))),
        b"1" | b"asc" | b"ascending" => Ok(Some((1, "ascending in words"))),
        // The servers that had such indexes, those before 2.4, warned of a missing plugin, and went on.
        b"-1" | b"desc" | b"descending" if context.author == Author::Server => {
            Ok(Some((1, "the old servers that took words for directions took all of them for ascending")))
        }
        b"-1" | b"desc" | b"descending" => Ok(Some((-1, "descending in words"))),
        b"geoHaystack" if context.target >= NO_HAYSTACK => {
            Err("servers from 5.0 on have no geoHaystack indexes".to_owned())
        }
        text if TYPES.contains(&text) => {
            match SINCE.iter().find(|(kind, since)| *kind == text && context.target < *since) {
                Some((kind, since)) => {
                    Err(format!("servers before {since} know no index type \"{}\"", String::from_utf8_lossy(kind)))
                }
                None => Ok(None),
            }
        }
        text => Err(format!("servers know no index type \"{}\"", String::from_utf8_lossy(text))),
    }
}

/// Refuses paths that no server indexes in a key of this kind.
fn check_path(element: &Element<'_>, kind: &[u8]) -> Result<(), String> {
    let path = String::from_utf8_lossy(element.name);
    let parts: Vec<&[u8]> = element.name.split(|byte| *byte == b'.').collect();
    if parts.iter().any(|part| part.is_empty()) {
        return Err(format!("its key names an empty field: \"{path}\""));
    }
    if element.name == b"_fts" && element.string() != Some(b"text") {
        return Err("its key names the field _fts, which is of text indexes alone".to_owned());
    }
    let last = parts.len() - 1;
    for (number, part) in parts.iter().enumerate().filter(|(_, part)| part.starts_with(b"$")) {
        let of_a_reference = number > 0 && [&b"$ref"[..], b"$id", b"$db"].contains(part);
        let wildcard = number == last && *part == b"$**";
        let wildcard = wildcard
            && match element.string() {
                // All fields of a document go into a text index, but none of its other kinds.
                Some(word) if TYPES.contains(&word) => last == 0 && [&b"text"[..], b"columnstore"].contains(&word),
                // Below a path they are for an index that is nothing else.
                Some(word) if !word.is_empty() => last == 0,
                _ => last == 0 || kind == b"$**",
            };
        if !of_a_reference && !wildcard {
            return Err(format!("its key names a field that begins with $: \"{path}\""));
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

/// What kind of index it is: the first word that names one, `$**` for a wildcard, and nothing for all others.
pub(super) fn kind_of(pattern: &[u8]) -> &[u8] {
    let mut keys = document::elements(pattern).map_while(Result::ok);
    match keys.find_map(|key| key.string().filter(|text| TYPES.contains(text))) {
        Some(text) => text,
        None if has_wildcard(pattern) => b"$**",
        None => b"",
    }
}

/// Whether it is a wildcard index: one field is `$**`, alone or behind a path, and no word names another kind.
pub(super) fn is_wildcard(pattern: &[u8]) -> bool {
    kind_of(pattern) == b"$**"
}

fn has_wildcard(pattern: &[u8]) -> bool {
    let mut keys = document::elements(pattern).map_while(Result::ok);
    keys.any(|key| key.name == b"$**" || key.name.ends_with(b".$**"))
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
        match Number::of(&key).and_then(Number::exact) {
            Some(number) => normal.int64(key.name, number),
            None => normal.append(&key),
        };
    }
    normal.finish()
}
