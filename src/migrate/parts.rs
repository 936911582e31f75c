//! `copy.parts.json`: how the collections of a copy were cut, so that a copy that was killed goes on with the same parts.

use std::path::Path;

use serde::{Deserialize, Serialize};
use transload_format::CollectionType;

use super::directory::read_json;
use crate::{
    archive::Unfinished,
    catalog::{self, Catalog, Entry},
    dump::{Begun, Job},
    error::{Error, ErrorKind, Result},
    hex::{from_hex, hex},
    namespace::Namespace,
    replace::replace,
    scan::{Bounds, Range},
};

/// The parts of all collections, in the order in which they are to be read.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Parts {
    namespaces: Vec<Listed>,
    parts: Vec<Part>,
    /// What the catalog had to say.
    pub(crate) left_out: Vec<String>,
    pub(crate) warnings: Vec<String>,
    pub(crate) missing: Vec<String>,
}

/// A namespace, in the order of the archive.
#[derive(Debug, Serialize, Deserialize)]
struct Listed {
    namespace: String,
    /// The UUID of what holds its documents, in hexadecimal digits.
    uuid: Option<String>,
    documents: Option<u64>,
    bytes: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Part {
    /// The place of its namespace.
    of: usize,
    lower: Option<String>,
    upper: Option<String>,
    weight: u64,
}

impl Parts {
    /// The parts of a copy that begins.
    pub(crate) fn of(catalog: &Catalog, jobs: &[Job]) -> Self {
        let listed = |entry: &Entry| Listed {
            namespace: entry.namespace.to_string(),
            uuid: entry.uuid.map(|uuid| hex(&uuid)),
            documents: entry.documents,
            bytes: entry.bytes,
        };
        let part = |job: &Job| Part {
            of: job.entry,
            lower: job.bounds().lower.as_deref().map(hex),
            upper: job.bounds().upper.as_deref().map(hex),
            weight: job.weight,
        };
        Parts {
            namespaces: catalog.entries.iter().map(listed).collect(),
            parts: jobs.iter().map(part).collect(),
            left_out: catalog.left_out.iter().map(|left| format!("{}: {}", left.namespace, left.reason)).collect(),
            warnings: catalog.warnings.clone(),
            missing: catalog.missing.clone(),
        }
    }

    /// Those in `path`; none if there are none.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>> {
        read_json(path)
    }

    /// Writes them in one step, durably.
    ///
    /// # Errors
    /// What the operating system says.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_vec(self)
            .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()).at(path.display().to_string()))?;
        replace(path, &text)
    }

    /// Whether an archive has the records of all collections, and the time of their reading: without them nothing of it is
    /// of use.
    pub(crate) fn is_announced(&self, unfinished: &Unfinished) -> bool {
        let contents = &unfinished.contents;
        let archived = contents.namespaces().iter().map(|namespace| namespace.collection.namespace.as_str());
        contents.checkpoint().is_some() && archived.eq(self.namespaces.iter().map(|listed| listed.namespace.as_str()))
    }

    /// The namespaces of the archive, as they are read.
    ///
    /// # Errors
    /// When a name in it is none.
    pub(crate) fn entries(&self, unfinished: &Unfinished) -> Result<Vec<Entry>> {
        let of = |(listed, archived): (&Listed, &transload_format::Namespace)| {
            let collection = archived.collection.clone();
            let namespace = Namespace::parse(&collection.namespace)?;
            let data = match collection.kind {
                CollectionType::TimeSeries => {
                    Namespace::new(namespace.database(), format!("system.buckets.{}", namespace.collection()))?
                }
                _ => namespace.clone(),
            };
            Ok(Entry {
                namespace,
                data,
                order: catalog::order(&collection),
                uuid: listed.uuid.as_deref().and_then(|uuid| from_hex(uuid).try_into().ok()),
                documents: listed.documents,
                bytes: listed.bytes,
                of_database: None,
                collection,
            })
        };
        self.namespaces.iter().zip(unfinished.contents.namespaces()).map(of).collect()
    }

    /// The parts that an archive does not have whole.
    pub(crate) fn open(&self, unfinished: &Unfinished) -> Vec<Job> {
        let namespaces = unfinished.contents.namespaces();
        let open = |part: &Part| {
            let of = |bound: &Option<String>| bound.as_deref().map(from_hex);
            let bounds = Bounds { lower: of(&part.lower), upper: of(&part.upper) };
            let archived = (1..).zip(namespaces.get(part.of).into_iter().flat_map(|namespace| &namespace.parts));
            let begun = archived.into_iter().find(|(_, archived)| archived.begun.lower == bounds.lower);
            let begun = match begun {
                Some((_, archived)) if archived.finished.is_some() => return None,
                Some((number, archived)) => {
                    let id = u32::try_from(part.of + 1).unwrap_or(u32::MAX);
                    let last = unfinished.last.get(&(id, number)).cloned();
                    Some(Begun { number, low: archived.begun.low, last })
                }
                None => None,
            };
            Some(Job { entry: part.of, range: Range::Ids(bounds), weight: part.weight, begun })
        };
        self.parts.iter().filter_map(open).collect()
    }

    /// Documents and bytes of all collections, as far as the server told.
    pub(crate) fn sums(&self) -> (u64, u64) {
        let sum = |of: fn(&Listed) -> Option<u64>| self.namespaces.iter().filter_map(of).sum();
        (sum(|listed| listed.documents), sum(|listed| listed.bytes))
    }

    /// The namespaces in the order of their ids, each with its documents and their bytes, about.
    pub(crate) fn namespaces(&self) -> impl Iterator<Item = (&str, Option<u64>, Option<u64>)> {
        self.namespaces.iter().map(|listed| (listed.namespace.as_str(), listed.documents, listed.bytes))
    }
}
