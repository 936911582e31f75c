//! A unique index that keeps the keys of another one unique while that is dropped and built again.
//!
//! It has the same key with one direction turned round: that holds the same documents apart, and is another key
//! pattern, which every release lets stand beside the first. (From 5.0 on a filter that holds all documents would do
//! too, but not on 4.2, and not together with `sparse`.)

use crate::{
    catalog::{index_spec::Sanitized, sidecar::index_name},
    document::{self, Element, RawBuilder, kind},
};

/// What the names of guards begin with.
pub(super) const PREFIX: &str = "transload_guard_";

/// The options that say what a unique index holds and how it compares.
const SAME: [&[u8]; 5] = [b"v", b"unique", b"sparse", b"collation", b"partialFilterExpression"];

/// A guard.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Guard {
    pub(super) name: String,
    pub(super) spec: Vec<u8>,
}

/// Whether the keys of an index with this spec are unique.
pub(super) fn is_unique(spec: &[u8]) -> bool {
    document::find(spec, b"unique").is_some_and(|unique| unique.kind == kind::BOOL && unique.value != [0])
}

/// Whether an index is a guard of this unique one.
pub(super) fn is_of(spec: &[u8], clean: &[u8]) -> bool {
    let fields = |spec: &[u8]| {
        let key = document::find(spec, b"key").map_or(Vec::new(), |key| directions(key.value));
        key.into_iter().map(|(field, _)| field.to_vec()).collect::<Vec<_>>()
    };
    index_name(spec) == name(clean) && fields(spec) == fields(clean)
}

/// Old servers take names of 127 bytes together with that of the collection.
fn name(clean: &[u8]) -> String {
    format!("{PREFIX}{}", index_name(clean).chars().take(20).collect::<String>())
}

/// The guard of a unique index among these others, if there can be one.
pub(super) fn guard(clean: &[u8], others: &[Sanitized]) -> Option<Guard> {
    let key = document::find(clean, b"key")?.value;
    let fields: Vec<Element<'_>> = document::elements(key).collect::<Result<_, _>>().ok()?;
    let is_taken = |turned: &[u8]| {
        let same =
            |spec: &[u8]| document::find(spec, b"key").is_some_and(|key| directions(key.value) == directions(turned));
        let is_guard = |other: &Sanitized| other.name.starts_with(PREFIX);
        others
            .iter()
            .filter(|other| !is_guard(other))
            .any(|other| same(&other.original) || other.to_build().is_some_and(same))
    };
    let turned = (0..fields.len()).filter_map(|which| turn(&fields, which)).find(|turned| !is_taken(turned))?;
    let name = name(clean);
    let mut spec = RawBuilder::new();
    spec.document("key", &turned).string("name", &name);
    let same = document::elements(clean).map_while(Result::ok).filter(|option| SAME.contains(&option.name));
    same.for_each(|option| {
        spec.append(&option);
    });
    Some(Guard { name, spec: spec.finish() })
}

/// The key with one of its directions turned round.
fn turn(fields: &[Element<'_>], which: usize) -> Option<Vec<u8>> {
    let mut turned = RawBuilder::new();
    for (number, field) in fields.iter().enumerate() {
        match number == which {
            true => turned.int32(field.name, if direction(field)? < 0 { 1 } else { -1 }),
            false => turned.append(field),
        };
    }
    Some(turned.finish())
}

/// Each field with its direction, or 0 for what has none.
fn directions(key: &[u8]) -> Vec<(&[u8], i32)> {
    let fields = document::elements(key).map_while(Result::ok);
    fields.map(|field| (field.name, direction(&field).unwrap_or(0))).collect()
}

fn direction(field: &Element<'_>) -> Option<i32> {
    let negative = match field.kind {
        kind::INT32 => i32::from_le_bytes(field.value.try_into().ok()?) < 0,
        kind::INT64 => i64::from_le_bytes(field.value.try_into().ok()?) < 0,
        kind::DOUBLE => f64::from_le_bytes(field.value.try_into().ok()?) < 0.0,
        _ => return None,
    };
    Some(if negative { -1 } else { 1 })
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;
    use crate::catalog::index_spec::{Author, Context, NEWEST, sanitize};

    fn others(specs: &[bson::RawDocumentBuf]) -> Vec<Sanitized> {
        let specs: Vec<_> = specs.iter().map(|spec| spec.as_bytes().to_vec()).collect();
        sanitize(&specs, &Context { options: &document::EMPTY, target: NEWEST, author: Author::Server })
    }

    #[test]
    fn a_guard_has_another_key_and_holds_the_same_apart() {
        let spec =
            rawdoc! { "key": { "a": 1, "b": -1 }, "name": "a_b", "unique": true, "sparse": true, "hidden": true };
        let beside = others(&[rawdoc! { "key": { "a": -1.0, "b": -1_i64 }, "name": "x" }, spec.clone()]);
        let guard = guard(spec.as_bytes(), &beside).unwrap();
        let expected =
            rawdoc! { "key": { "a": 1, "b": 1 }, "name": "transload_guard_a_b", "unique": true, "sparse": true };
        assert_eq!(guard.spec, expected.as_bytes());
        assert_eq!(guard.name, "transload_guard_a_b");
    }

    #[test]
    fn where_all_directions_are_taken_there_is_none() {
        let spec = rawdoc! { "key": { "a": 1 }, "name": "a", "unique": true };
        let beside = others(&[rawdoc! { "key": { "a": -1 }, "name": "x" }]);
        assert_eq!(guard(spec.as_bytes(), &beside), None);
        assert!(is_unique(spec.as_bytes()));
    }
}
