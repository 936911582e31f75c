//! What no server builds although each word of the spec is fine by itself: options that do not go with the key, or with
//! each other.
//!
//! Each rule was held against servers of 4.2, 5.0 and 6.0, and those that have an end name the release. What stands in
//! a filter or a projection stays the server's to judge.

use super::{Context, geo, key, series, text, value};
use crate::document::{self, Element, kind};

/// The fields that a key may have. All text fields of one take two.
const FIELDS: usize = 32;
/// The kinds of indexes that compare bytes alone.
const NO_COLLATION: [&[u8]; 3] = [b"text", b"2d", b"geoHaystack"];

/// Whether an index of this kind takes no collation but the simple one.
pub(super) fn is_simple_alone(key: &[u8]) -> bool {
    NO_COLLATION.contains(&key::kind_of(key))
}

/// Says why no server builds a clean spec, if none does.
pub(super) fn check(spec: &[u8], key: &[u8], context: &Context<'_>) -> Result<(), String> {
    check_key(key)?;
    let option = |name: &[u8]| document::find(spec, name);
    let is = |name: &[u8]| option(name).is_some_and(|option| value::is_true(&option));
    let kind = key::kind_of(key);
    if is(b"unique") && kind == b"hashed" {
        return Err("servers keep no keys unique by a hashed index".to_owned());
    }
    if is(b"unique") && kind == b"$**" {
        return Err("servers keep no keys unique by a wildcard index".to_owned());
    }
    if option(b"wildcardProjection").is_some() && document::find(key, b"$**").is_none() {
        return Err("servers take a wildcardProjection only where the key has the field $**".to_owned());
    }
    if is(b"sparse") && option(b"partialFilterExpression").is_some() {
        return Err("servers take sparse and partialFilterExpression only one without the other".to_owned());
    }
    let collation = option(b"collation").filter(|collation| collation.kind == kind::DOCUMENT);
    if is_simple_alone(key) && collation.is_some_and(|collation| !value::is_simple(&collation)) {
        let kind = String::from_utf8_lossy(kind);
        return Err(format!("servers build {kind} indexes with the simple collation alone"));
    }
    text::check(spec, key, context.target)?;
    geo::check(spec, key, context.target)?;
    series::check(spec, key, context)
}

fn check_key(key: &[u8]) -> Result<(), String> {
    let fields: Vec<Element<'_>> = document::elements(key).map_while(Result::ok).collect();
    let is_of = |field: &Element<'_>, kind: &[u8]| field.string() == Some(kind);
    let texts = fields.iter().filter(|field| is_of(field, b"text")).count();
    let kept = match texts {
        0 => fields.len(),
        _ if fields.iter().any(|field| field.name == b"_fts") => fields.len(),
        _ => fields.len().saturating_sub(texts).saturating_add(2),
    };
    if kept > FIELDS {
        return Err(format!("its key has more than the {FIELDS} fields that servers index together"));
    }
    let kind = key::kind_of(key);
    let kinds = || fields.iter().filter_map(|field| field.string()).filter(|word| !word.is_empty());
    if let Some(other) = kinds().find(|other| *other != kind) {
        let [kind, other] = [kind, other].map(String::from_utf8_lossy);
        return Err(format!("its key names two kinds of index, {kind} and {other}, and an index is of one"));
    }
    match kinds().count() {
        2.. if kind == b"hashed" => Err("servers hash one field of a key alone".to_owned()),
        _ => Ok(()),
    }
}
