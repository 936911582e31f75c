//! A spec while it is cleaned, and what has been changed so far.

use super::repair::{Repair, RepairKind};
use crate::{document::Element, extjson};

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
        let (field, before, reason) = (field.to_owned(), before.map(extjson::value), reason.into());
        self.repairs.push(Repair { kind, field, before, after, reason });
    }
}
