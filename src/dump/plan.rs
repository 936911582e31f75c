//! What a dump reads: the catalog, and the parts of its collections.

use std::cmp::Reverse;

use super::DumpOptions;
use crate::{
    at_once::at_once,
    catalog::{self, Catalog, Entry, LeftOut, Order},
    connect::Server,
    error::{Error, Result},
    namespace::Namespace,
    scan::{Bounds, PartScan, Range, ReadOrder, part_bytes_of, ranges},
};

/// Samples of collections taken at once.
const SPLITS_AT_ONCE: usize = 4;

/// What there is to read.
pub(super) struct Plan {
    pub(super) catalog: Catalog,
    pub(super) jobs: Vec<Job>,
    /// What happened up to this cluster time is in the copy; 0 if none is kept.
    pub(super) since: u64,
    /// The cluster time of the catalog, or a later one: nothing is to be read as of before it.
    pub(super) floor: u64,
    /// Whether nothing else is: the catalog is of that time, and all parts have to be.
    pub(super) at_one_time: bool,
}

/// A part to read.
#[derive(Debug)]
pub(crate) struct Job {
    /// The place of its namespace among those of the archive.
    pub(crate) entry: usize,
    pub(crate) range: Range,
    /// Bytes that it may have.
    pub(crate) weight: u64,
    /// How far it was read, if that was begun before.
    pub(crate) begun: Option<Begun>,
}

/// A part that an archive has the beginning of.
#[derive(Debug)]
pub(crate) struct Begun {
    /// Its number in its namespace.
    pub(crate) number: u32,
    /// The cluster time before it was read.
    pub(crate) low: u64,
    /// The last document that the archive has of it.
    pub(crate) last: Option<Vec<u8>>,
}

impl Job {
    /// The bounds that it has in an archive.
    pub(crate) fn bounds(&self) -> &Bounds {
        match &self.range {
            Range::Ids(bounds) => bounds,
            Range::Records(records) => records.bounds(),
        }
    }

    /// Whether it is a range of records.
    pub(crate) fn is_in_natural_order(&self) -> bool {
        matches!(self.range, Range::Records(_))
    }

    /// A scan of it, as of `low`.
    pub(crate) fn scan<'a>(&'a self, server: &'a Server, entry: &'a Entry, low: u64) -> PartScan<'a> {
        let scan = PartScan::new(server, entry, self.bounds(), low);
        match &self.range {
            Range::Ids(_) => scan,
            Range::Records(records) => scan.of_records(records),
        }
    }
}

impl Plan {
    /// Each part is to be read as it is when its turn comes, or was within the second before.
    pub(super) async fn part_by_part(server: &Server, options: &DumpOptions) -> Result<Self> {
        // Who is to be read must answer before anything is written.
        server.operation_time().await?;
        // What happens from now on is not all in the copy; what happened before is.
        // A secondary that is behind would tell an older time, and an older catalog than that time's.
        let primary = server.reading_primary();
        let since = primary.operation_time().await?;
        let catalog = catalog_of(&primary, options).await?;
        let jobs = cut(server, &catalog, options.cutting()).await?;
        let floor = primary.operation_time().await?;
        Ok(Plan { catalog, jobs, since, floor, at_one_time: false })
    }
}

/// What is to be dumped, users and roles with it if they are wanted, in the order of the names.
pub(super) async fn catalog_of(server: &Server, options: &DumpOptions) -> Result<Catalog> {
    let mut catalog = catalog::read(server, &options.selection).await?;
    if options.users_and_roles {
        catalog.entries.extend(catalog::users_and_roles(server).await?);
        catalog.entries.sort_by(|one, other| one.namespace.cmp(&other.namespace));
    }
    if server.default_database().is_some() && !options.users_and_roles {
        let reason = "users and roles of the database, if it has any; --users-and-roles takes them along";
        catalog.left_out.push(LeftOut { namespace: Namespace::new("admin", catalog::USERS)?, reason });
    }
    if server.default_database().is_none() {
        let users_and_roles = match options.users_and_roles {
            true => "kept by the server itself, but for users and roles",
            false => "kept by the server itself; --users-and-roles takes users and roles along",
        };
        let itself = "kept by the server itself";
        for (database, reason) in [("admin", users_and_roles), ("config", itself), ("local", itself)] {
            catalog.left_out.push(LeftOut { namespace: Namespace::new(database, "*")?, reason });
        }
    }
    Ok(catalog)
}

/// How collections are cut into parts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cutting {
    /// Bytes that a part should have.
    pub(crate) part_bytes: u64,
    /// How many parts each collection should have instead.
    pub(crate) parts: Option<u16>,
    /// By what it is cut, and read.
    pub(crate) order: ReadOrder,
}

/// The parts of all collections, the largest first, so that no worker is left alone with a large one at the end.
///
/// # Errors
/// As [`ranges`].
pub(crate) async fn cut(server: &Server, catalog: &Catalog, cutting: Cutting) -> Result<Vec<Job>> {
    let jobs_of = |(entry, of): (usize, &Entry)| {
        let of = of.clone();
        let part_bytes = part_bytes_of(&of, cutting.part_bytes, cutting.parts);
        async move {
            let parts = match of.order {
                Order::Nothing => Vec::new(),
                _ => ranges(server, &of, part_bytes, cutting.order).await?,
            };
            let weight = of.bytes.unwrap_or(u64::MAX) / u64::try_from(parts.len()).unwrap_or(1).max(1);
            Ok::<_, Error>(
                parts.into_iter().map(move |range| Job { entry, range, weight, begun: None }).collect::<Vec<_>>(),
            )
        }
    };
    let bytes = |(_, of): &(usize, &Entry)| of.bytes.unwrap_or(u64::MAX);
    let all = at_once(catalog.entries.iter().enumerate(), SPLITS_AT_ONCE, bytes, jobs_of).await?;
    Ok(largest_first(all.into_iter().flatten().collect()))
}

fn largest_first(mut jobs: Vec<Job>) -> Vec<Job> {
    jobs.sort_by_key(|job| Reverse(job.weight));
    jobs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_parts_are_read_first() {
        let job = |entry, weight| Job { entry, range: Range::Ids(Bounds::default()), weight, begun: None };
        // Of a capped collection without a size nobody knows how large it is.
        let jobs = largest_first(vec![job(0, 10), job(1, 500), job(1, 500), job(2, u64::MAX), job(3, 20)]);
        assert_eq!(jobs.iter().map(|job| job.entry).collect::<Vec<_>>(), [2, 1, 1, 3, 0]);
    }
}
