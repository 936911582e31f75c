//! What becomes of every kind of spec that servers, drivers and people have left: a table for each noun, and
//! properties that hold for any bytes.

mod ids;
mod keys;
mod merging;
mod options;
mod pairs;
mod properties;
mod together;
mod ttl;
mod versions;

use bson::{Bson, Document, doc};

use super::*;

const V4_2: Version = Version::new(4, 2, 6);
const V5_0: Version = Version::new(5, 0, 4);
const V6_0: Version = Version::new(6, 0, 5);
const V7_0: Version = Version::new(7, 0, 0);
const V8_0: Version = Version::new(8, 0, 0);

const CONTEXT: Context<'static> = Context { options: &[5, 0, 0, 0, 0], target: V6_0, author: Author::Server };
const PERSON: Context<'static> = Context { author: Author::Person, ..CONTEXT };

fn bytes(document: Document) -> Vec<u8> {
    document.to_vec().unwrap()
}

fn on(target: Version) -> Context<'static> {
    Context { target, ..CONTEXT }
}

fn one(spec: Document, context: &Context<'_>) -> Sanitized {
    sanitize(&[bytes(spec)], context).remove(0)
}

fn all(specs: &[Document], context: &Context<'_>) -> Vec<Sanitized> {
    sanitize(&specs.iter().cloned().map(bytes).collect::<Vec<_>>(), context)
}

fn built(sanitized: &Sanitized) -> Document {
    let spec = sanitized.to_build().unwrap_or_else(|| panic!("{sanitized:?}"));
    Document::from_reader(spec).unwrap()
}

fn repairs(sanitized: &Sanitized) -> Vec<(RepairKind, &str)> {
    sanitized.repairs.iter().map(|repair| (repair.kind, repair.field.as_str())).collect()
}

/// A spec with one more option.
fn with(name: &str, value: impl Into<Bson>) -> Document {
    let mut spec = doc! { "v": 2, "key": { "a": 1 }, "name": "a_1" };
    spec.insert(name, value);
    spec
}

/// The option comes out as this, or not at all, with this one repair or none.
fn assert_option(name: &str, value: Bson, after: Option<Bson>, repair: Option<RepairKind>, context: &Context<'_>) {
    let sanitized = one(with(name, value.clone()), context);
    let spec = built(&sanitized);
    assert_eq!(spec.get(name), after.as_ref(), "{name}: {value}");
    let expected: Vec<_> = repair.into_iter().map(|kind| (kind, name)).collect();
    assert_eq!(repairs(&sanitized), expected, "{name}: {value}");
    assert_eq!(sanitized.is_bad(), repair.is_some_and(|kind| !kind.is_routine()), "{name}: {value}");
}

fn refusal(sanitized: &Sanitized) -> &str {
    match &sanitized.verdict {
        Verdict::Refused(reason) => reason,
        verdict => panic!("{verdict:?}"),
    }
}
