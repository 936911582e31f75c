//! What of a source is selected: what of it will be copied, and what will not be copied as it is.

use transload_format::CollectionType;

use super::Findings;
use crate::{
    catalog::{
        Catalog, LeftOut,
        index_spec::{Author, Context, NEWEST, sanitize},
    },
    selection::Selection,
};

/// How many names a line lists.
const NAMED: usize = 10;

/// What a source has that is selected.
pub(super) struct Contents {
    pub(super) selection: Selection,
    pub(super) catalog: Catalog,
    pub(super) documents: u64,
    pub(super) bytes: u64,
}

impl Contents {
    pub(super) fn new(selection: Selection, catalog: Catalog) -> Self {
        let documents = catalog.entries.iter().filter_map(|entry| entry.documents).sum();
        let bytes = catalog.entries.iter().filter_map(|entry| entry.bytes).sum();
        Contents { selection, catalog, documents, bytes }
    }

    /// Says what of it is not copied as it is.
    pub(super) fn check(&self, findings: &mut Findings) {
        namespaces(self, findings);
        indexes(&self.catalog, findings);
    }
}

/// Says what will be copied, and what will not.
fn namespaces(contents: &Contents, findings: &mut Findings) {
    let Contents { catalog, documents, bytes, .. } = contents;
    let found = format!("{} to copy, {documents} documents, {} MiB", catalog.entries.len(), bytes >> 20);
    findings.ok("namespaces", found);
    for missing in &catalog.missing {
        findings.refuse("namespaces", format!("cannot be read: {missing}"), "grant what is missing, as the lines about privileges say, or select what can be read: --include, --exclude");
    }
    for warning in &catalog.warnings {
        let remedy = "mend the flag that it names; of indexes, 'transload indexes check' tells more";
        findings.warn("namespaces", warning.clone(), remedy);
    }
    for left_out in &catalog.left_out {
        let LeftOut { namespace, reason } = left_out;
        let remedy = format!("nothing has to be done; what is wanted of {namespace}, copy to another name before");
        findings.warn("namespaces", format!("not copied: {namespace}: {reason}"), remedy);
    }
    let series: Vec<String> = catalog
        .entries
        .iter()
        .filter(|entry| entry.collection.kind == CollectionType::TimeSeries)
        .map(|entry| entry.namespace.to_string())
        .collect();
    if !series.is_empty() {
        let found = format!("time series, whose changes no server tells: {}", list(&series));
        let remedy = "they are copied anew at the cutover: stop what writes to them before you ask for it";
        findings.warn("namespaces", found, remedy);
    }
}

/// Says which index specs are bad.
fn indexes(catalog: &Catalog, findings: &mut Findings) {
    let (mut all, mut repaired, mut refused) = (0, Vec::new(), Vec::new());
    for entry in &catalog.entries {
        let context = Context { options: &entry.collection.options, target: NEWEST, author: Author::Server };
        for index in sanitize(&entry.collection.indexes, &context) {
            all += 1;
            let name = format!("{} {}", entry.namespace, index.name);
            match (index.is_bad(), index.to_build().is_some()) {
                (false, _) => {}
                (true, true) => repaired.push(name),
                (true, false) => refused.push(name),
            }
        }
    }
    if repaired.is_empty() && refused.is_empty() {
        findings.ok("indexes", format!("{all}, all as servers take them"));
    }
    if !repaired.is_empty() {
        let remedy = "they are repaired on the way; 'transload indexes check' shows how";
        findings.warn("indexes", format!("{} of {all} are bad: {}", repaired.len(), list(&repaired)), remedy);
    }
    if !refused.is_empty() {
        let remedy = "'transload indexes check' shows why; they are left out, and the move ends with exit code 3";
        findings.warn("indexes", format!("{} of {all} cannot be built: {}", refused.len(), list(&refused)), remedy);
    }
}

/// The first of some names.
pub(super) fn list(names: &[String]) -> String {
    let shown: Vec<&str> = names.iter().take(NAMED).map(String::as_str).collect();
    match names.len().checked_sub(NAMED).filter(|more| *more > 0) {
        Some(more) => format!("{} and {more} more", shown.join(", ")),
        None => shown.join(", "),
    }
}
