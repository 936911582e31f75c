//! What is compared with what: namespaces of both sides, in parts.

use std::collections::{HashMap, HashSet};

use super::{
    Side, VerifiedNamespace, VerifyOptions, VerifyReport, counts::Counts, item::Item, names::Names, sample::Sample,
    side::Holdings, structure,
};
use crate::{
    catalog::{self, Order},
    error::Result,
    namespace::Namespace,
    report::kind_name,
    scan::Bounds,
};

/// A namespace that both sides have.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) left: Item,
    pub(super) right: Item,
    pub(super) parts: Vec<Bounds>,
    pub(super) sample: Option<Sample>,
}

/// A part to compare.
pub(super) struct Job {
    pub(super) pair: usize,
    pub(super) part: usize,
    weight: u64,
}

impl Pair {
    /// Cuts it into parts, unless it is known into which.
    ///
    /// # Errors
    /// When a server cannot be asked.
    pub(super) async fn new(
        left: Item,
        right: Item,
        options: &VerifyOptions,
        known: &HashMap<String, Vec<Bounds>>,
    ) -> Result<Self> {
        let most = left.documents.max(right.documents);
        let wanted = options.sample.filter(|_| !left.has_collation());
        let sample = wanted.zip(most).and_then(|(wanted, most)| Sample::of(wanted.documents, most, wanted.seed));
        let mut pair = Pair { left, right, parts: Vec::new(), sample };
        pair.parts = match known.get(&pair.left.namespace.to_string()) {
            Some(parts) => parts.clone(),
            None if pair.left.order == Order::Nothing => Vec::new(),
            None if !pair.is_sorted() => vec![Bounds::default()],
            // The parts of an archive are where its blocks are.
            None if pair.right.is_in_archive() && !pair.left.is_in_archive() => {
                pair.right.split(options.part_bytes).await?
            }
            None => pair.left.split(options.part_bytes).await?,
        };
        Ok(pair)
    }

    /// Whether both sides give their documents in the order of their keys.
    pub(super) fn is_sorted(&self) -> bool {
        self.left.is_sorted() && self.right.is_sorted()
    }

    /// Whether the order of its documents is data.
    pub(super) fn is_ordered(&self) -> bool {
        catalog::is_capped(&self.left.options)
    }

    /// What the report says of it.
    pub(super) fn report(&self, documents: Counts) -> VerifiedNamespace {
        VerifiedNamespace {
            namespace: self.left.namespace.to_string(),
            right: self.right.namespace.to_string(),
            kind: kind_name(self.left.kind),
            documents,
        }
    }
}

/// What stands on both sides; what stands on one alone is in the report.
///
/// # Errors
/// When a rename leads to a name that no server takes.
pub(super) fn paired(
    names: &Names,
    (left, of_left): (&Side, Holdings),
    (right, of_right): (&Side, Holdings),
    report: &mut VerifyReport,
) -> Result<Vec<(Item, Item)>> {
    for holdings in [&of_left, &of_right] {
        report.warnings.extend(holdings.warnings.iter().cloned());
    }
    report.left_out = of_left.left_out;
    let side =
        |name: String, missing: Vec<String>| missing.into_iter().map(move |missing| format!("{name}: {missing}"));
    report.missing = side(left.name(), of_left.missing).chain(side(right.name(), of_right.missing)).collect();
    let (only_left, only_right) = (left.databases(), right.databases());
    let is_of = |only: &Option<HashSet<String>>, name: &Namespace| {
        only.as_ref().is_none_or(|only| only.contains(name.database()))
    };
    let mut others: HashMap<Namespace, Item> =
        of_right.items.into_iter().map(|item| (item.namespace.clone(), item)).collect();
    let mut pairs = Vec::new();
    for item in of_left.items {
        let Some(name) = names.on_right(&item.namespace)? else { continue };
        match others.remove(&name) {
            Some(other) => pairs.push((item, other)),
            None if is_of(&only_right, &name) => report.discrepancies.push(structure::alone(&item, true)),
            None => {}
        }
    }
    let mut others: Vec<Item> = others.into_values().collect();
    others.sort_by(|one, other| one.namespace.cmp(&other.namespace));
    for item in others {
        if names.on_left(&item.namespace)?.is_some_and(|name| is_of(&only_left, &name)) {
            report.discrepancies.push(structure::alone(&item, false));
        }
    }
    Ok(pairs)
}

/// The parts that are to be compared, the largest first, so that no worker is left alone with a large one in the end.
pub(super) fn jobs(pairs: &[Pair], is_done: impl Fn(&Namespace, usize) -> bool) -> Vec<Job> {
    let of = |(number, pair): (usize, &Pair)| {
        let weight = pair.left.bytes.max(pair.right.bytes).unwrap_or(u64::MAX) / (pair.parts.len() as u64).max(1);
        let parts = (0..pair.parts.len()).filter(|part| !is_done(&pair.left.namespace, *part));
        parts.map(|part| Job { pair: number, part, weight }).collect::<Vec<_>>()
    };
    let mut jobs: Vec<Job> = pairs.iter().enumerate().flat_map(of).collect();
    jobs.sort_by_key(|job| std::cmp::Reverse(job.weight));
    jobs
}
