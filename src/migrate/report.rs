//! What a migration has come to, on one screen.

use serde::{Deserialize, Serialize};

/// Whether the target may take over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Everything is there, and compared.
    Clean,
    /// Nothing differs, as far as was looked, but something was skipped, or could not be done.
    #[default]
    Incomplete,
    /// The target is not what the source is.
    Different,
}

/// What a migration has come to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MigrationReport {
    /// The work directory.
    pub directory: String,
    /// The source's hosts.
    pub source: String,
    /// The target's hosts.
    pub target: String,
    /// When it was begun, as RFC 3339.
    pub begun: String,
    /// When it was over.
    pub ended: String,
    /// Collections and views that were copied.
    pub namespaces: u64,
    /// Documents that were copied.
    pub documents: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Seconds that the copy took, of the process that ended it.
    pub copy_seconds: f64,
    /// The source's cluster time that the target stands at: seconds and increment.
    pub point_in_time: (u32, u32),
    /// Whether the source refuses writes since.
    pub fenced: bool,
    /// Documents that were fetched from the source since, as their changes did not tell what they are.
    pub refetched: u64,
    /// How many of them were not there any more: an update of a document that was deleted right after it.
    pub refetched_gone: u64,
    /// Index specs that were changed, and how.
    pub repaired: Vec<String>,
    /// What was done to the catalog at the cutover.
    pub mended: Vec<String>,
    /// How the target's collections are sharded, where they are: `namespace by {field: 1}, 12 chunks on 2 shards`.
    pub sharded: Vec<String>,
    /// Collections that were copied anew at the cutover, as their changes could not be followed.
    pub copied_anew: Vec<String>,
    /// Collections whose changes were not told, or not to the end, and why: `namespace: reason`. They were copied anew at the cutover,
    /// and nobody knows what was written to them since.
    pub not_followed: Vec<String>,
    /// What could not be done, or is not there.
    pub failed: Vec<String>,
    /// Changes that could not be applied.
    pub dead_letters: u64,
    /// What is never copied, and why.
    pub left_out: Vec<String>,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// How the target was compared: `full`, `sample`, `counts`, `none`.
    pub verify: String,
    /// Documents that were compared.
    pub compared: u64,
    /// What differs: the first of it.
    pub differences: Vec<String>,
    /// How many documents differ.
    pub documents_different: u64,
    /// Seconds from the order to cut over until the comparison began.
    pub cutover_seconds: f64,
    /// Seconds that the comparison took.
    pub verify_seconds: f64,
    /// The verdict.
    pub outcome: Outcome,
}

impl MigrationReport {
    /// Whether the comparison has found any.
    pub(super) fn has_differences(&self) -> bool {
        self.documents_different > 0 || !self.differences.is_empty()
    }

    /// Whether the target may take over, by what is known so far.
    pub(super) fn outcome_so_far(&self) -> Outcome {
        if self.has_differences() {
            Outcome::Different
        } else if !self.failed.is_empty() || !self.not_followed.is_empty() || self.dead_letters > 0 {
            Outcome::Incomplete
        } else {
            Outcome::Clean
        }
    }
}
