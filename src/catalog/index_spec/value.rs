//! The values of options, in the types that servers take.

use super::{
    Author, Context, key,
    number::Number,
    option::{IndexOption, OptionType},
    repair::RepairKind,
    ttl::{self, Expiry},
    work::Work,
};
use crate::{
    document::{self, Element, RawBuilder, kind},
    extjson,
};

/// The one storage engine that every server knows: the one in memory is not in all builds.
const ENGINE: &[u8] = b"wiredTiger";
/// The version of the rules that all servers so far sort strings by. One that has no other refuses it (161).
const COLLATION_VERSION: &[u8] = b"57.1";

/// What a value's meaning depends on.
pub(super) struct Source<'a> {
    /// The key as it came.
    pub(super) pattern: &'a [u8],
    /// The clean key.
    pub(super) key: &'a [u8],
    /// The spec as it came.
    pub(super) spec: &'a [u8],
    pub(super) context: &'a Context<'a>,
}

/// Whether servers take a value for true: all but false, zero, and none.
pub(super) fn is_true(element: &Element<'_>) -> bool {
    match element.kind {
        kind::BOOL => element.value != [0],
        kind::NULL | kind::UNDEFINED => false,
        _ => {
            Number::of(element).is_none_or(|number| number.is_nan() || number.truncated() != 0 || !number.is_integral())
        }
    }
}

/// Whether a collation is the one that compares bytes, and that servers list by leaving it out.
pub(super) fn is_simple(collation: &Element<'_>) -> bool {
    document::find(collation.value, b"locale").and_then(|locale| locale.string()) == Some(b"simple")
}

/// Puts a known option into the clean spec, in the form that servers take; says why the index cannot be built
/// without it if it has none.
pub(super) fn keep(
    clean: &mut RawBuilder,
    option: &Element<'_>,
    known: &IndexOption,
    source: &Source<'_>,
    work: &mut Work,
) -> Result<(), String> {
    let (name, target) = (known.name, source.context.target);
    let mut drop = |kind, reason: &str| {
        work.repair(kind, name, Some(option), None, reason);
        Ok(())
    };
    if [kind::NULL, kind::UNDEFINED].contains(&option.kind) {
        return drop(RepairKind::Null, "it has no value");
    }
    if let Some(reason) = known.outdated {
        let is_refused = known.value == OptionType::Bool && option.kind != kind::BOOL && Number::of(option).is_none();
        return drop(if is_refused { RepairKind::Type } else { RepairKind::Outdated }, reason);
    }
    if !known.only.is_empty() && !known.only.contains(&key::kind_of(source.key)) {
        return drop(RepairKind::Outdated, "it is for indexes of another kind");
    }
    let is_essential = [OptionType::Essential, OptionType::Collation].contains(&known.value);
    if target < known.since {
        if is_essential {
            return Err(format!("the target ({target}) does not know the option {name}"));
        }
        return drop(RepairKind::Target, &format!("the target ({target}) does not know it"));
    }
    if is_essential && option.kind != kind::DOCUMENT {
        return match source.context.author {
            Author::Server => {
                drop(RepairKind::Type, "the servers that took it so did not know the option yet: it had no effect")
            }
            Author::Person => Err(format!("its {name} is no document, and without it the index would be another")),
        };
    }
    if name == "prepareUnique" && document::find(source.spec, b"unique").is_some_and(|unique| is_true(&unique)) {
        return drop(RepairKind::Outdated, "the index is unique already");
    }
    if name == "sparse" && is_true(option) && key::is_wildcard(source.key) {
        return drop(RepairKind::Target, "a wildcard index is sparse by itself, and servers refuse to be told so");
    }
    match known.value {
        OptionType::Bool | OptionType::StrictBool if option.kind == kind::BOOL => {}
        OptionType::Bool | OptionType::StrictBool => {
            let truth = is_true(option);
            let is_taken = known.value == OptionType::Bool && Number::of(option).is_some();
            let kind = if is_taken { RepairKind::Form } else { RepairKind::Type };
            let reason = "servers take every value but false, 0 and none for true";
            work.repair(kind, name, Some(option), Some(truth.to_string()), reason);
            clean.bool(name, truth);
            return Ok(());
        }
        OptionType::Number if Number::of(option).is_none() => {
            return drop(RepairKind::Type, "servers went by their default where it was no number");
        }
        OptionType::String if option.string().is_none() => return drop(RepairKind::Type, "it must be a text"),
        OptionType::String if name == "name" && !is_name(option.string().unwrap_or_default()) => {
            return drop(RepairKind::Name, "servers take no such name");
        }
        OptionType::Weights if option.kind != kind::DOCUMENT && option.string() != Some(b"$**") => {
            return drop(RepairKind::Type, "it must be a document");
        }
        OptionType::Document if option.kind != kind::DOCUMENT => {
            return drop(RepairKind::Type, "it must be a document");
        }
        OptionType::Essential | OptionType::Document if is_empty(option) && name != "partialFilterExpression" => {
            return drop(RepairKind::Null, "it says nothing");
        }
        OptionType::Number
        | OptionType::String
        | OptionType::Weights
        | OptionType::Essential
        | OptionType::Document => {}
        OptionType::Collation => {
            keep_collation(clean, option, source, work);
            return Ok(());
        }
        OptionType::Engines => {
            keep_engines(clean, option, work);
            return Ok(());
        }
        OptionType::Seconds => {
            keep_seconds(clean, option, source, work);
            return Ok(());
        }
        OptionType::IndexVersion => {
            keep_version(clean, option, source, work);
            return Ok(());
        }
    }
    clean.append(option);
    Ok(())
}

fn keep_collation(clean: &mut RawBuilder, option: &Element<'_>, source: &Source<'_>, work: &mut Work) {
    let mut drop = |kind, reason: &str| work.repair(kind, "collation", Some(option), None, reason);
    let fields = || document::elements(option.value).map_while(Result::ok);
    let is_other = |field: &Element<'_>| field.name == b"version" && field.string() != Some(COLLATION_VERSION);
    if fields().all(|field| is_other(&field)) {
        return drop(RepairKind::Null, "it says nothing");
    }
    if is_simple(option) && is_first(source) && !needs_second(source) {
        return drop(RepairKind::Outdated, "an index of version 1 has the simple collation, and must not name it");
    }
    if !fields().any(|field| is_other(&field)) {
        clean.append(option);
        return;
    }
    let mut own = RawBuilder::new();
    fields().filter(|field| !is_other(field)).for_each(|field| put(&mut own, &field));
    replace(clean, option, &own.finish(), RepairKind::Target, "servers sort by their own version of its rules", work);
}

fn keep_engines(clean: &mut RawBuilder, option: &Element<'_>, work: &mut Work) {
    let mut drop = |kind, reason: &str| work.repair(kind, "storageEngine", Some(option), None, reason);
    if option.kind != kind::DOCUMENT {
        return drop(RepairKind::Type, "it must be a document");
    }
    if is_empty(option) {
        return drop(RepairKind::Null, "it says nothing");
    }
    let engines = || document::elements(option.value).map_while(Result::ok);
    let is_kept = |engine: &Element<'_>| engine.name == ENGINE && engine.kind == kind::DOCUMENT;
    let reason = "it is for a storage engine that the target may not have";
    match engines().filter(is_kept).count() {
        0 => drop(RepairKind::Target, reason),
        kept if kept == engines().count() => put(clean, option),
        _ => {
            let mut own = RawBuilder::new();
            engines().filter(is_kept).take(1).for_each(|engine| put(&mut own, &engine));
            replace(clean, option, &own.finish(), RepairKind::Target, reason, work);
        }
    }
}

fn keep_seconds(clean: &mut RawBuilder, option: &Element<'_>, source: &Source<'_>, work: &mut Work) {
    const NAME: &str = "expireAfterSeconds";
    match ttl::decide(option, source) {
        Expiry::Keep => put(clean, option),
        Expiry::Seconds(seconds, reason) => {
            work.repair(RepairKind::Expiry, NAME, Some(option), Some(seconds.to_string()), reason);
            clean.int32(NAME, seconds);
        }
        Expiry::Remove(reason) => work.repair(RepairKind::Expiry, NAME, Some(option), None, reason),
    }
}

fn keep_version(clean: &mut RawBuilder, option: &Element<'_>, source: &Source<'_>, work: &mut Work) {
    let mut drop = |kind, reason: &str| work.repair(kind, "v", Some(option), None, reason);
    match Number::of(option) {
        None => drop(RepairKind::Type, "it must be a number"),
        Some(version) if version.exact() == Some(1) && needs_second(source) => {
            drop(RepairKind::Type, "an index of version 1 can be no such index");
        }
        Some(version) if matches!(version.exact(), Some(1 | 2)) => put(clean, option),
        Some(_) => {
            drop(RepairKind::Outdated, "servers build indexes of version 1 and 2, and 2 unless told otherwise");
        }
    }
}

/// Whether the spec is of an index of version 1.
fn is_first(source: &Source<'_>) -> bool {
    let version = document::find(source.spec, b"v").and_then(|version| Number::of(&version));
    version.and_then(Number::exact) == Some(1)
}

/// Whether servers build the index in version 2 alone: version 1 has no wildcards, and no collation.
fn needs_second(source: &Source<'_>) -> bool {
    let collation = document::find(source.spec, b"collation").filter(|collation| collation.kind == kind::DOCUMENT);
    key::is_wildcard(source.key) || collation.is_some_and(|collation| !is_empty(&collation) && !is_simple(&collation))
}

fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name != b"*" && !name.contains(&0)
}

fn is_empty(element: &Element<'_>) -> bool {
    document::elements(element.value).next().is_none()
}

fn put(builder: &mut RawBuilder, element: &Element<'_>) {
    builder.append(element);
}

/// Puts another document in the place of an option's.
fn replace(clean: &mut RawBuilder, option: &Element<'_>, own: &[u8], kind: RepairKind, reason: &str, work: &mut Work) {
    let mut whole = RawBuilder::new();
    whole.document(option.name, own);
    let whole = whole.finish();
    let after = document::find(&whole, option.name).map(|after| extjson::value(&after));
    work.repair(kind, &String::from_utf8_lossy(option.name), Some(option), after, reason);
    clean.document(option.name, own);
}
