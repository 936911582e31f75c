//! How many documents were compared, and how many differ in which way.

use serde::{Deserialize, Serialize};

use super::finding;

/// Counts of one part, of a namespace, or of everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Documents of the left side.
    pub left: u64,
    /// Documents of the right side.
    pub right: u64,
    /// Bytes of the documents, of each once.
    pub bytes: u64,
    /// Documents that are missing on the right.
    pub missing_right: u64,
    /// Documents that are missing on the left.
    pub missing_left: u64,
    /// Documents that differ, in more than the order of their fields.
    pub different: u64,
    /// Documents that differ in the order of their fields alone.
    pub field_order: u64,
}

impl Counts {
    /// One more document that differs, in this way.
    pub(super) fn find(&mut self, class: &str) {
        match class {
            finding::ONLY_LEFT => self.missing_right += 1,
            finding::ONLY_RIGHT => self.missing_left += 1,
            finding::FIELD_ORDER => self.field_order += 1,
            _ => self.different += 1,
        }
    }

    /// The documents that were compared, whether they differ or not.
    pub(super) fn compared(self) -> Self {
        Counts { left: self.left, right: self.right, bytes: self.bytes, ..Counts::default() }
    }

    /// Adds others.
    pub(super) fn add(&mut self, other: Counts) {
        self.left += other.left;
        self.right += other.right;
        self.bytes += other.bytes;
        self.missing_right += other.missing_right;
        self.missing_left += other.missing_left;
        self.different += other.different;
        self.field_order += other.field_order;
    }

    /// All documents that differ in some way.
    pub fn differences(&self) -> u64 {
        self.missing_right + self.missing_left + self.different + self.field_order
    }
}
