//! What the verbs have done, as data: printed as a table, or as JSON whose fields are only ever added to.

mod consistency;

use serde::Serialize;
use transload_format::Contents;

use crate::{
    catalog::{IndexFailure, LeftOut, index_spec::Repair},
    namespace::Namespace,
};

pub use crate::catalog::kind_name;
pub use consistency::{Consistency, PointInTime};

/// A namespace of an archive.
#[derive(Clone, Debug, Serialize)]
pub struct NamespaceReport {
    /// `database.collection`.
    pub namespace: String,
    /// What it is: `collection`, `view`, `time-series`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Its documents.
    pub documents: u64,
    /// Their bytes before compression.
    pub bytes: u64,
    /// The bytes they take in the archive.
    pub stored_bytes: u64,
    /// The parts it was read in.
    pub parts: usize,
    /// Its index specs.
    pub indexes: usize,
    /// The digest of its documents, 16 hexadecimal digits; equal for equal sets of documents.
    pub digest: String,
}

/// The namespaces of an archive, in the order of their ids.
pub fn namespaces(contents: &Contents) -> Vec<NamespaceReport> {
    let mut stored = vec![0_u64; contents.namespaces().len() + 1];
    for block in contents.blocks() {
        if let Some(sum) = usize::try_from(block.namespace).ok().and_then(|id| stored.get_mut(id)) {
            *sum += u64::from(block.stored_len);
        }
    }
    let sums = stored.into_iter().skip(1);
    let one = |(namespace, stored_bytes): (&transload_format::Namespace, u64)| NamespaceReport {
        namespace: namespace.collection.namespace.clone(),
        kind: kind_name(namespace.collection.kind),
        documents: namespace.totals.documents,
        bytes: namespace.totals.bytes,
        stored_bytes,
        parts: namespace.parts.len(),
        indexes: namespace.collection.indexes.len(),
        digest: format!("{:016x}", namespace.totals.digest),
    };
    contents.namespaces().iter().zip(sums).map(one).collect()
}

/// An index whose spec is not as servers take it.
#[derive(Clone, Debug, Serialize)]
pub struct BadIndex {
    /// The collection.
    pub namespace: String,
    /// The index.
    pub index: String,
    /// What will be changed.
    pub repairs: Vec<Repair>,
    /// Why it will not be built, if it will not.
    pub reason: Option<String>,
}

/// What a dump has done.
#[derive(Clone, Debug, Serialize)]
pub struct DumpReport {
    /// The archive.
    pub archive: String,
    /// Its length in bytes.
    pub archive_bytes: u64,
    /// The version of the server that was read.
    pub server: String,
    /// The codec, with its level.
    pub codec: String,
    /// All documents.
    pub documents: u64,
    /// Their bytes before compression.
    pub bytes: u64,
    /// How long it took.
    pub seconds: f64,
    /// How often a command was sent again, or a part opened again, after an error.
    pub retries: u64,
    /// Cursors that read at once, at most.
    pub cursors: usize,
    /// Which point in time the archive is of.
    pub consistency: Consistency,
    /// What the archive holds.
    pub namespaces: Vec<NamespaceReport>,
    /// The sidecar with the index specs; none on standard output.
    pub sidecar: Option<String>,
    /// Index specs that a restore will repair, or cannot build.
    pub bad_indexes: Vec<BadIndex>,
    /// The ordinary collections that were read in natural order, instead of by `_id`.
    pub natural_order: Vec<String>,
    /// What is never copied, and why.
    pub left_out: Vec<LeftOut>,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// What could not be read: with anything here the copy is not whole.
    pub missing: Vec<String>,
}

/// What a restore has done with one namespace, or would do.
#[derive(Clone, Debug, Serialize)]
pub struct RestoredNamespace {
    /// Its name in the archive.
    pub source: Namespace,
    /// Its name on the target.
    pub target: Namespace,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// What is done with it: `create`, `drop and create`, `append`.
    pub action: &'static str,
    /// Documents in the archive.
    pub documents: u64,
    /// Documents that the target took.
    pub inserted: u64,
    /// Documents whose `_id` the target had already; they are not loaded.
    pub duplicates: u64,
    /// Documents that the target refused.
    pub refused: u64,
    /// Indexes in the archive, but for the one on `_id`.
    pub indexes: usize,
    /// Indexes built.
    pub indexes_built: usize,
}

/// A document that the target did not take.
#[derive(Clone, Debug, Serialize)]
pub struct Rejected {
    /// The collection on the target.
    pub namespace: Namespace,
    /// Its `_id`, as canonical extended JSON, cut if it is long.
    pub id: String,
    /// Why.
    pub reason: String,
}

/// An index that was built from a changed spec.
#[derive(Clone, Debug, Serialize)]
pub struct RepairedIndex {
    /// The collection.
    pub namespace: Namespace,
    /// The index.
    pub index: String,
    /// What was changed.
    pub repairs: Vec<Repair>,
}

/// An index that was not built because another one does the same.
#[derive(Clone, Debug, Serialize)]
pub struct MergedIndex {
    /// The collection.
    pub namespace: Namespace,
    /// The index.
    pub index: String,
    /// The one that serves for it.
    pub served_by: String,
    /// Why.
    pub reason: String,
}

/// What a restore has done.
#[derive(Clone, Debug, Serialize)]
pub struct RestoreReport {
    /// The archive.
    pub archive: String,
    /// The target's hosts.
    pub target: String,
    /// Whether this was only a plan.
    pub dry_run: bool,
    /// Documents in the archive that were selected.
    pub documents: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Documents that the target took.
    pub inserted: u64,
    /// Documents whose `_id` the target had already.
    pub duplicates: u64,
    /// Documents that the target refused.
    pub refused: u64,
    /// How long it took.
    pub seconds: f64,
    /// How long of that the indexes took.
    pub index_seconds: f64,
    /// How often a command was sent again after an error.
    pub retries: u64,
    /// Each namespace.
    pub namespaces: Vec<RestoredNamespace>,
    /// The first documents that were not taken.
    pub rejected: Vec<Rejected>,
    /// Indexes whose specs were changed, and how; routine changes too.
    pub repaired_indexes: Vec<RepairedIndex>,
    /// Indexes that another one serves for.
    pub merged_indexes: Vec<MergedIndex>,
    /// Indexes that could not be built, or were left out.
    pub failed_indexes: Vec<IndexFailure>,
    /// Users that were merged into those of the target.
    pub users: u64,
    /// Roles that were.
    pub roles: u64,
    /// What of the archive is not restored, and why.
    pub left_out: Vec<LeftOut>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

impl RestoreReport {
    /// Whether everything in the archive that was selected is on the target now.
    pub fn is_whole(&self) -> bool {
        self.duplicates == 0 && self.refused == 0 && self.failed_indexes.is_empty()
    }
}

/// What a capture has recorded in one stream.
#[derive(Clone, Debug, Serialize)]
pub struct StreamReport {
    /// Its number; its log is `log/NUMBER`.
    pub stream: usize,
    /// What it watches.
    pub watches: String,
    /// Events recorded by this run.
    pub events: u64,
    /// The cluster time that everything before is recorded: `SECONDS,INCREMENT`.
    pub position: String,
    /// Seconds from there to the source's last write, in the source's own time; none if the source did not answer.
    pub lag_seconds: Option<u64>,
}

/// Events of one lane that a capture has recorded.
#[derive(Clone, Debug, Serialize)]
pub struct LaneReport {
    /// `database.collection`, or `database.$cmd` for events about a database.
    pub namespace: String,
    /// Its events.
    pub events: u64,
    /// Their bytes before compression.
    pub bytes: u64,
}

/// What a run of a capture has done.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CaptureReport {
    /// The work directory.
    pub directory: String,
    /// The version of the server.
    pub server: String,
    /// All events that this run has recorded, durably.
    pub events: u64,
    /// Their bytes before compression.
    pub bytes: u64,
    /// How long it ran.
    pub seconds: f64,
    /// How often something was tried again after an error.
    pub retries: u64,
    /// The streams.
    pub streams: Vec<StreamReport>,
    /// What was recorded, by lanes.
    pub namespaces: Vec<LaneReport>,
    /// Collections that are selected and not recorded, or not any more, and why: `namespace: reason`.
    pub not_followed: Vec<String>,
    /// What the user should know.
    pub warnings: Vec<String>,
}
