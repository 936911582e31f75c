//! What is to be said of collections that were read in natural order, or were to be.

use std::collections::BTreeSet;

use transload_format::Contents;

use super::Job;
use crate::{catalog::Entry, scan::is_of_natural_order};

/// The ordinary collections that are read in natural order.
pub(super) fn in_natural_order(entries: &[Entry], jobs: &[Job]) -> Vec<String> {
    names(entries, jobs.iter().filter(|job| job.is_in_natural_order())).into_iter().collect()
}

/// Those in several parts that are read by `_id`, where natural order was wanted.
pub(super) fn not_in_natural_order(entries: &[Entry], jobs: &[Job]) -> impl Iterator<Item = String> {
    let by_id = jobs.iter().filter(|job| !job.is_in_natural_order() && *job.bounds() != Default::default());
    let text =
        |name| format!("{name} is read by _id: the server cannot go on in natural order, or not with one member");
    names(entries, by_id).into_iter().map(text)
}

fn names<'a>(entries: &[Entry], jobs: impl Iterator<Item = &'a Job>) -> BTreeSet<String> {
    jobs.filter_map(|job| Some(entries.get(job.entry)?.namespace.to_string())).collect()
}

/// Those of an archive whose parts in natural order are not all of one time.
pub(super) fn of_several_times(contents: &Contents) -> impl Iterator<Item = String> {
    let namespaces = contents.namespaces().iter().filter(|namespace| {
        let in_natural_order = namespace.parts.iter().filter(|part| is_of_natural_order(part.begun.lower.as_deref()));
        let times: BTreeSet<u64> = in_natural_order
            .flat_map(|part| [part.begun.low, part.finished.map_or(0, |finished| finished.high)])
            .collect();
        times.len() > 1 || times.contains(&0)
    });
    namespaces.map(|namespace| {
        format!(
            "{} was read in natural order, and not as of one time: a document that was deleted and inserted anew meanwhile may be \
             missing, or be there twice",
            namespace.collection.namespace
        )
    })
}
