//! What is found in one part, as it is found: counts, and lines for the file of findings.

use std::sync::Arc;

use super::{
    counts::Counts,
    finding::Finding,
    findings::{Done, Findings},
    line::{Difference, Line},
};
use crate::{
    document::{self, RawBuilder},
    error::Result,
    namespace::Namespace,
    progress::Progress,
};

/// Bytes of lines at which they are written.
const LINES: usize = 64 * 1024;
/// Documents after which progress is told.
const TOLD: u64 = 5_000;

/// What was found in one part.
#[derive(Debug)]
pub(super) struct Ledger<'a> {
    /// The collection on the left.
    namespace: &'a Namespace,
    part: usize,
    /// Whether no two documents of it can have one `_id`.
    has_unique_ids: bool,
    ignores_field_order: bool,
    findings: &'a Findings,
    progress: &'a Arc<dyn Progress>,
    counts: Counts,
    /// What of it has been told.
    told: Counts,
    lines: Vec<u8>,
}

impl<'a> Ledger<'a> {
    pub(super) fn new(
        (namespace, part): (&'a Namespace, usize),
        has_unique_ids: bool,
        ignores_field_order: bool,
        findings: &'a Findings,
        progress: &'a Arc<dyn Progress>,
    ) -> Self {
        let (counts, told) = (Counts::default(), Counts::default());
        let lines = Vec::new();
        Ledger { namespace, part, has_unique_ids, ignores_field_order, findings, progress, counts, told, lines }
    }

    /// A document that one side or both have.
    ///
    /// # Errors
    /// When its `_id` is malformed, or the findings cannot be written.
    pub(super) fn compare(&mut self, left: Option<&[u8]>, right: Option<&[u8]>) -> Result<()> {
        self.count(left.is_some(), right.is_some(), left.or(right));
        match Finding::between(left, right) {
            None => Ok(()),
            Some(Finding::FieldOrder { .. }) if self.ignores_field_order => Ok(()),
            Some(finding) => self.note(&finding, left.or(right).unwrap_or_default()),
        }
    }

    /// A document that both have and that differs, though of one side only the digest is known: that, or `{_id: …}` of the
    /// left one.
    ///
    /// # Errors
    /// As [`compare`](Self::compare).
    pub(super) fn unequal(&mut self, left: &[u8]) -> Result<()> {
        self.count(true, true, Some(left));
        let finding = Finding::Different { path: String::new(), left: "object", right: "object" };
        self.note(&finding, left)
    }

    /// Writes what is left to be written: the part was compared to its end, and its documents stand in one order, or have
    /// `crossed`.
    ///
    /// # Errors
    /// When the findings cannot be written.
    pub(super) fn finish(mut self, crossed: bool) -> Result<Done> {
        self.tell();
        let (namespace, part, counts) = (self.namespace.to_string(), self.part, self.counts);
        Line::Part { namespace, part, counts, crossed }.write(&mut self.lines)?;
        self.findings.append(&self.lines)?;
        Ok(Done { counts, crossed })
    }

    fn count(&mut self, left: bool, right: bool, document: Option<&[u8]>) {
        self.counts.left += u64::from(left);
        self.counts.right += u64::from(right);
        self.counts.bytes += document.map_or(0, |document| document.len() as u64);
        if self.counts.left - self.told.left >= TOLD {
            self.tell();
        }
    }

    fn tell(&mut self) {
        self.progress.advance(self.counts.left - self.told.left, self.counts.bytes - self.told.bytes);
        self.told = self.counts;
    }

    fn note(&mut self, finding: &Finding, document: &[u8]) -> Result<()> {
        self.counts.find(finding.class());
        let key = document::id(document).map_or_else(Vec::new, |id| RawBuilder::new().append(&id).finish());
        let difference = Difference::new((self.namespace, self.part), (&key, self.has_unique_ids), finding)?;
        Line::Difference(difference).write(&mut self.lines)?;
        if self.lines.len() >= LINES {
            self.findings.append(&std::mem::take(&mut self.lines))?;
        }
        Ok(())
    }
}
