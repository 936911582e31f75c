//! What a check has found and a repair has done, as data: fields are only ever added.

use serde::Serialize;
use serde_json::Value;

use super::{collection::Collection, place::PlaceKind};
use crate::{
    catalog::index_spec::{Repair, Sanitized},
    namespace::Namespace,
};

/// What is done about a bad index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Its spec is made clean.
    Repair,
    /// It is taken out: another index serves for it.
    Merge,
    /// It cannot be built.
    Refuse,
    /// It is built again: a repair that was cut has dropped it.
    Rebuild,
}

/// An index whose spec is not as servers want it.
#[derive(Clone, Debug, Serialize)]
pub struct CheckedIndex {
    /// Its collection.
    pub namespace: Namespace,
    /// Its name.
    pub index: String,
    /// What is done about it.
    pub action: Action,
    /// The index that serves for it, if it is merged.
    pub merged_into: Option<String>,
    /// Why it cannot be built.
    pub reason: Option<String>,
    /// How it is done, on a server.
    pub how: Option<String>,
    /// Its spec, as canonical extended JSON; null if that is malformed.
    pub original: Value,
    /// Its clean spec.
    pub clean: Option<Value>,
    /// What is changed.
    pub repairs: Vec<Repair>,
}

/// What a check has found.
#[derive(Clone, Debug, Serialize)]
pub struct CheckReport {
    /// The server's hosts, or the path.
    pub place: String,
    /// What kind of place it is.
    pub kind: PlaceKind,
    /// The version that the specs must suit; none if it is the newest there is.
    pub target_version: Option<String>,
    /// Collections looked at.
    pub collections: usize,
    /// Indexes looked at, those on `_id` too.
    pub indexes: usize,
    /// The bad ones.
    pub bad: Vec<CheckedIndex>,
    /// Good ones that are written in another way today.
    pub routine: Vec<CheckedIndex>,
    /// What the server lacks since a repair that was cut: it is in that repair's journal.
    pub lost: Vec<CheckedIndex>,
    /// What such a repair has left on the server: guards, which are dropped once their indexes are there, and collections
    /// that it tried specs on.
    pub left_over: Vec<String>,
    /// The journal that such a repair has left.
    pub journal: Option<String>,
    /// The sidecar beside an archive, which a restore builds from: then it is what was looked at.
    pub sidecar: Option<String>,
    /// How many specs are bad in that archive itself.
    pub bad_in_archive: Option<usize>,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// What could not be looked at.
    pub missing: Vec<String>,
}

/// What has become of a bad index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RepairResult {
    /// Its spec is clean now.
    Repaired,
    /// It is gone: another index serves for it.
    Merged,
    /// It was missing since a repair that was cut, and is there again, clean.
    Rebuilt,
    /// It is as it was.
    Left,
    /// It was dropped, could not be built clean, and was built again as it was.
    PutBack,
    /// It was dropped and could not be built again: it is missing.
    Lost,
}

impl RepairResult {
    /// Whether nothing is left to do about it.
    pub fn is_good(self) -> bool {
        matches!(self, RepairResult::Repaired | RepairResult::Merged | RepairResult::Rebuilt)
    }
}

/// A bad index, and what has become of it.
#[derive(Clone, Debug, Serialize)]
pub struct RepairedIndex {
    /// Its collection.
    pub namespace: Namespace,
    /// Its name.
    pub index: String,
    /// What has become of it.
    pub result: RepairResult,
    /// Why it is not repaired, or what else is to be known.
    pub reason: Option<String>,
}

impl RepairedIndex {
    pub(super) fn new(collection: &Collection, index: &Sanitized, done: (RepairResult, Option<String>)) -> Self {
        let (namespace, index, (result, reason)) = (collection.namespace.clone(), index.name.clone(), done);
        RepairedIndex { namespace, index, result, reason }
    }
}

/// What a repair has done.
#[derive(Clone, Debug, Serialize)]
pub struct RepairReport {
    /// The server's hosts, or the path.
    pub place: String,
    /// What kind of place it is.
    pub kind: PlaceKind,
    /// Each bad index.
    pub indexes: Vec<RepairedIndex>,
    /// The files that were written anew.
    pub files: Vec<String>,
    /// What a repair that was cut had left, and what was dropped.
    pub dropped: Vec<String>,
    /// The journal, if not all that it lists is there: the same command, in the same directory, goes on from it.
    pub journal: Option<String>,
    /// Whether a repair that was cut was finished.
    pub resumed: bool,
    /// How often a command was sent again after an error.
    pub retries: u64,
    /// Whether it was stopped before it had come to the end.
    pub interrupted: bool,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// What could not be looked at.
    pub missing: Vec<String>,
}

impl RepairReport {
    /// Whether nothing bad is left.
    pub fn is_whole(&self) -> bool {
        let is_done = self.indexes.iter().all(|index| index.result.is_good());
        is_done && self.missing.is_empty() && self.journal.is_none() && !self.interrupted
    }
}
