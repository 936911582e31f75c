//! What servers ask of a text index: where its fields stand, how much each weighs, and of which version it is.

use super::{key, number::Number};
use crate::{
    connect::Version,
    document::{self, Element, kind},
};

/// The newest version that releases before [`NEWER_VERSIONS`] build, of indexes on texts and on spheres.
pub(super) const LAST_VERSION: i64 = 3;
/// From here on there may be more.
pub(super) const NEWER_VERSIONS: Version = Version::new(8, 0, 0);
/// Servers take less than this.
const HEAVIEST: i64 = 100_000;

/// Says why no server builds it, if it is a text index.
pub(super) fn check(spec: &[u8], key: &[u8], target: Version) -> Result<(), String> {
    if key::kind_of(key) != b"text" {
        return Ok(());
    }
    check_fields(key)?;
    let weights = document::find(spec, b"weights");
    let none = weights.as_ref().is_none_or(|it| it.kind == kind::DOCUMENT && document::elements(it.value).count() == 0);
    if none && document::find(key, b"_fts").is_some() {
        return Err("its key names no field, and neither do its weights".to_owned());
    }
    let weights = weights.filter(|weights| weights.kind == kind::DOCUMENT);
    weights
        .map_or(Ok(()), |weights| document::elements(weights.value).map_while(Result::ok).try_for_each(check_weight))?;
    let number = |name: &[u8]| document::find(spec, name).and_then(|option| Number::of(&option));
    if let Some(version) = number(b"textIndexVersion").map(Number::truncated) {
        check_version(version, "textIndexVersion", target)?;
    }
    let language = document::find(spec, b"language_override").and_then(|field| field.string());
    if language.is_some_and(|field| field.is_empty() || field.starts_with(b"$") || field.contains(&b'.')) {
        return Err("its language_override is not the name of a field".to_owned());
    }
    Ok(())
}

/// Says why no server builds an index of this version.
pub(super) fn check_version(version: i64, option: &str, target: Version) -> Result<(), String> {
    match version {
        1..=LAST_VERSION => Ok(()),
        ..=0 => Err(format!("servers know no {option} {version}")),
        _ if target < NEWER_VERSIONS => Err(format!("servers before 8.0 know no {option} {version}")),
        _ => Ok(()),
    }
}

/// Text fields stand side by side; `_fts`, which stands for all of them where a server lists the index, before `_ftsx`.
fn check_fields(key: &[u8]) -> Result<(), String> {
    let fields: Vec<Element<'_>> = document::elements(key).map_while(Result::ok).collect();
    let is_text = |field: &Element<'_>| field.string() == Some(b"text");
    let mut behind = fields.iter().skip_while(|field| !is_text(field)).skip_while(|field| is_text(field));
    let next = behind.next();
    if behind.any(is_text) {
        return Err("the text fields of its key do not stand side by side".to_owned());
    }
    let is_counterpart = |field: &Element<'_>| {
        field.name == b"_ftsx" && Number::of(field).is_some_and(|number| number.exact() == Some(1))
    };
    match fields.iter().any(|field| field.name == b"_fts") && !next.is_some_and(is_counterpart) {
        true => Err("its key has no \"_ftsx\": 1 behind _fts".to_owned()),
        false => Ok(()),
    }
}

fn check_weight(weight: Element<'_>) -> Result<(), String> {
    let field = String::from_utf8_lossy(weight.name);
    if weight.name.is_empty() || (weight.name.starts_with(b"$") && weight.name != b"$**") {
        return Err(format!("its weights name a field that servers do not index: \"{field}\""));
    }
    match Number::of(&weight).map(Number::truncated) {
        Some(1..HEAVIEST) => Ok(()),
        _ => Err(format!("its weight of \"{field}\" is not between 0 and {HEAVIEST}")),
    }
}
