//! What is compared with what: namespaces of both sides, in parts.

use std::collections::HashMap;

use super::{
    Side, VerifiedNamespace, VerifyOptions, VerifyReport,
    counts::Counts,
    item::Item,
    line::{Line, Parts},
    names::Names,
    sample::Sample,
    side::Holdings,
    structure,
};
use crate::{
    catalog::{self, LeftOut, Order},
    error::{Error, ErrorKind, Result},
    hex::hex,
    namespace::Namespace,
    report::kind_name,
    scan::Bounds,
};

/// Why a namespace of the left side is compared with nothing.
const ELSEWHERE: &str = "on the right it would be in another database than the one that is named";

/// A namespace that both sides have.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) left: Item,
    pub(super) right: Item,
    pub(super) parts: Vec<Bounds>,
    pub(super) sample: Option<Sample>,
    /// Whether an interrupted comparison has cut it into these parts.
    pub(super) is_resumed: bool,
}

/// A part to compare.
pub(super) struct Job {
    pub(super) pair: usize,
    pub(super) part: usize,
    weight: u64,
}

impl Pair {
    /// Cuts it into parts, or takes those that an interrupted comparison had.
    ///
    /// # Errors
    /// When a server cannot be asked.
    pub(super) async fn new(
        left: Item,
        right: Item,
        options: &VerifyOptions,
        known: &HashMap<String, Parts>,
    ) -> Result<Self> {
        let most = left.documents.max(right.documents);
        let wanted = options.sample.filter(|_| !left.has_collation() && !right.has_collation());
        let sample = wanted.zip(most).and_then(|(wanted, most)| Sample::of(wanted.documents, most, wanted.seed));
        let (left, right) = (left.clone().like(&right).await?, right.like(&left).await?);
        let mut pair = Pair { left, right, parts: Vec::new(), sample, is_resumed: false };
        if pair.left.order == Order::Nothing {
            return Ok(pair);
        }
        let known = known.get(&pair.left.namespace.to_string());
        pair.parts = known.map_or_else(Vec::new, Parts::parts);
        if known.is_some_and(|known| pair.line() == Line::Parts(known.clone())) {
            pair.is_resumed = true;
            return Ok(pair);
        }
        pair.parts = match (pair.left.is_in_archive(), pair.right.is_in_archive()) {
            _ if !pair.is_sorted() => vec![Bounds::default()],
            // The parts of an archive are where its blocks are.
            (false, true) => pair.right.split(options.part_bytes).await?,
            _ => pair.left.split(options.part_bytes).await?,
        };
        Ok(pair)
    }

    /// What the file of findings says of its parts.
    pub(super) fn line(&self) -> Line {
        Line::Parts(Parts {
            namespace: self.left.namespace.to_string(),
            left: self.left.identity(),
            right: self.right.identity(),
            sorted: self.is_sorted(),
            bounds: self.parts.iter().skip(1).filter_map(|part| part.lower.as_deref()).map(hex).collect(),
        })
    }

    /// Whether no two documents of a side can have one `_id`.
    pub(super) fn has_unique_ids(&self) -> bool {
        self.left.has_unique_ids() && self.right.has_unique_ids()
    }

    /// Whether both sides give their documents in the order of their keys.
    pub(super) fn is_sorted(&self) -> bool {
        self.left.is_sorted() && self.right.is_sorted()
    }

    /// Whether the order of its documents is data.
    pub(super) fn is_ordered(&self) -> bool {
        catalog::is_capped(&self.left.options) || catalog::is_capped(&self.right.options)
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
    // Whatever else a server has is none of an archive's business.
    let only_left = left.databases();
    let mut others: HashMap<Namespace, Item> =
        of_right.items.into_iter().map(|item| (item.namespace.clone(), item)).collect();
    let mut pairs = Vec::new();
    for item in of_left.items {
        let Some(name) = names.on_right(&item.namespace)? else {
            report.left_out.push(LeftOut { namespace: item.namespace, reason: ELSEWHERE });
            continue;
        };
        match others.remove(&name) {
            Some(other) => pairs.push((item, other)),
            None => report.discrepancies.push(structure::alone(&item, true)),
        }
    }
    let mut others: Vec<Item> = others.into_values().collect();
    others.sort_by(|one, other| one.namespace.cmp(&other.namespace));
    for item in others {
        let is_of = |name: Namespace| only_left.as_ref().is_none_or(|only| only.contains(name.database()));
        if names.on_left(&item.namespace)?.is_some_and(is_of) {
            report.discrepancies.push(structure::alone(&item, false));
        }
    }
    if pairs.is_empty() && report.discrepancies.is_empty() {
        return Err(Error::new(ErrorKind::NotFound, "there is nothing to compare: the sides have no namespace in common")
            .with_hint("--rename 'OLD.*=NEW.*' says what has another name on the right; a database in a connection string is compared alone")
            .at(format!("{} and {}", left.name(), right.name())));
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
