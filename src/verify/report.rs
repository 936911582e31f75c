//! What a comparison has found, as data.

use serde::Serialize;

use super::{Side, VerifyOptions, counts::Counts, structure::Discrepancy};
use crate::catalog::LeftOut;

/// What a comparison has found.
#[derive(Clone, Debug, Serialize)]
pub struct VerifyReport {
    /// The left side.
    pub left: String,
    /// The right side.
    pub right: String,
    /// Whether nothing differs.
    pub equal: bool,
    /// What was compared, by the names on the left.
    pub namespaces: Vec<VerifiedNamespace>,
    /// All documents.
    pub documents: Counts,
    /// What differs besides documents.
    pub discrepancies: Vec<Discrepancy>,
    /// What is not the same and is no difference, as the order in which indexes were made.
    pub notes: Vec<String>,
    /// Where only a sample was compared: how many of each collection, about, and the seed that takes the same ones again.
    pub sample: Option<Sampled>,
    /// Differences that were none any more when they were looked at again.
    pub rechecked: u64,
    /// Documents that were copied again, or deleted on the right, and are equal since.
    pub repaired: u64,
    /// Parts that an interrupted comparison had done.
    pub resumed_parts: u64,
    /// The file with a line for each document that differs, if any does.
    pub findings: Option<String>,
    /// What is never copied nor compared, and why.
    pub left_out: Vec<LeftOut>,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// What could not be read, so that nobody can say that it is equal.
    pub missing: Vec<String>,
    /// How long it took.
    pub seconds: f64,
}

/// What was compared of a namespace.
#[derive(Clone, Debug, Serialize)]
pub struct VerifiedNamespace {
    /// Its name on the left.
    pub namespace: String,
    /// Its name on the right.
    pub right: String,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Its documents.
    pub documents: Counts,
}

/// A sample that was compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Sampled {
    /// How many documents of each collection, about.
    pub documents: u64,
    /// What decides which.
    pub seed: u64,
}

impl VerifyReport {
    /// A report in which nothing is found yet.
    pub(super) fn new(left: &Side, right: &Side, options: &VerifyOptions) -> Self {
        VerifyReport {
            left: left.name(),
            right: right.name(),
            equal: false,
            namespaces: Vec::new(),
            documents: Counts::default(),
            discrepancies: Vec::new(),
            notes: Vec::new(),
            sample: options.sample,
            rechecked: 0,
            repaired: 0,
            resumed_parts: 0,
            findings: None,
            left_out: Vec::new(),
            warnings: Vec::new(),
            missing: Vec::new(),
            seconds: 0.0,
        }
    }

    /// Whether everything was looked at and nothing differs.
    pub fn is_equal(&self) -> bool {
        self.equal
    }
}
