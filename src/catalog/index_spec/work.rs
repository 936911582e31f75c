//! A spec while it is cleaned, and what has been changed so far.

use super::{
    number::Number,
    repair::{Repair, RepairKind},
};
use crate::{
    document::{Element, kind},
    extjson,
};

/// The repairs made to one spec.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) repairs: Vec<Repair>,
}

impl Work {
    /// Notes a change: `before` as it was, `after` as extended JSON.
    pub(super) fn repair(
        &mut self,
        kind: RepairKind,
        field: &str,
        before: Option<&Element<'_>>,
        after: Option<String>,
        reason: impl Into<String>,
    ) {
        let (field, before, reason) = (field.to_owned(), before.map(shown), reason.into());
        self.repairs.push(Repair { kind, field, before, after, reason });
    }
}

/// A value for people: a plain number where that says all, else canonical extended JSON.
fn shown(value: &Element<'_>) -> String {
    match Number::of(value) {
        Some(Number::Integer(number)) if value.kind == kind::INT32 => number.to_string(),
        Some(Number::Double(number)) if number.is_finite() => format!("{number:?}"),
        _ => extjson::value(value),
    }
}
