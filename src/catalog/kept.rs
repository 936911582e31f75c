//! Index specs as a server keeps them in its catalog: of one collection, or of all at once.

use std::collections::HashMap;

use bson::{RawDocumentBuf, rawbson, rawdoc};

use super::truth::{ID, name};
use crate::{
    connect::{Doing, Server, Version},
    document,
    error::{Error, ErrorKind, Result},
    namespace::Namespace,
};

/// The first release with `$listCatalog`.
pub(super) const SHOWS_CATALOG: Version = Version::new(6, 0, 0);

/// The index specs of all collections that the catalog shows.
#[derive(Debug, Default)]
pub(super) struct Kept {
    specs: HashMap<String, Vec<Vec<u8>>>,
}

impl Kept {
    /// Those of a database, or of all, in one command; of none where the server does not show them, or not to this user: it
    /// takes privileges on all databases.
    ///
    /// # Errors
    /// When the server does not answer.
    pub(super) async fn of_all(server: &Server) -> Result<Self> {
        if server.version() < SHOWS_CATALOG {
            return Ok(Kept::default());
        }
        let doing = Doing::new("read the catalog", "listCollections", "admin");
        let of_database = server.default_database().map_or(rawdoc! {}, |database| rawdoc! { "db": database });
        let pipeline = rawbson!([{ "$listCatalog": {} }, { "$match": of_database }]);
        let command = rawdoc! { "aggregate": 1, "pipeline": pipeline, "cursor": {} };
        let entries = match server.documents("admin", command, &doing).await {
            Err(error) if [ErrorKind::Authorization, ErrorKind::Server].contains(&error.kind()) => Vec::new(),
            entries => entries?,
        };
        let mut kept = Kept::default();
        for entry in entries {
            let namespace = document::find(&entry, b"ns").and_then(|ns| ns.string());
            if let Some(namespace) = namespace.and_then(|ns| std::str::from_utf8(ns).ok()) {
                // A sharded cluster shows one for each shard.
                add_all(kept.specs.entry(namespace.to_owned()).or_default(), &entry);
            }
        }
        Ok(kept)
    }

    /// Those of a collection, in the order in which they were made, if the catalog shows it.
    pub(super) fn of(&self, namespace: &Namespace) -> Option<&Vec<Vec<u8>>> {
        self.specs.get(&namespace.to_string())
    }
}

/// The specs of one collection.
///
/// # Errors
/// What the server says.
pub(super) async fn kept(server: &Server, namespace: &Namespace) -> Result<Vec<Vec<u8>>> {
    if server.version() >= SHOWS_CATALOG {
        match in_catalog(server, namespace).await {
            Err(error) if [ErrorKind::Authorization, ErrorKind::Server].contains(&error.kind()) => {}
            specs => return specs,
        }
    }
    in_statistics(server, namespace).await
}

/// The specs in the catalog, in the order in which the indexes were made. A sharded cluster shows one for each shard.
async fn in_catalog(server: &Server, namespace: &Namespace) -> Result<Vec<Vec<u8>>> {
    let mut specs = Vec::new();
    for entry in aggregate(server, namespace, rawdoc! { "$listCatalog": {} }, "listCollections").await? {
        add_all(&mut specs, &entry);
    }
    Ok(specs)
}

/// Adds the specs of an entry of the catalog.
fn add_all(specs: &mut Vec<Vec<u8>>, entry: &[u8]) {
    let indexes = document::find(entry, b"md").and_then(|kept| document::find(kept.value, b"indexes"));
    let indexes = indexes.map_or(&[][..], |indexes| indexes.value);
    for index in document::elements(indexes).map_while(Result::ok) {
        if let Some(spec) = document::find(index.value, b"spec") {
            add(specs, spec.value);
        }
    }
}

/// The specs that come along with the counters of `$indexStats`, where they are in no order: by their names, but the
/// index on `_id` first.
async fn in_statistics(server: &Server, namespace: &Namespace) -> Result<Vec<Vec<u8>>> {
    let mut specs = Vec::new();
    for counters in aggregate(server, namespace, rawdoc! { "$indexStats": {} }, "indexStats").await? {
        let spec = document::find(&counters, b"spec").ok_or_else(|| {
            Error::new(ErrorKind::Server, format!("$indexStats of {namespace} gives no specs")).at(server.place())
        })?;
        add(&mut specs, spec.value);
    }
    specs.sort_by(|one, other| (name(one) != Some(ID), name(one)).cmp(&(name(other) != Some(ID), name(other))));
    Ok(specs)
}

async fn aggregate(
    server: &Server,
    namespace: &Namespace,
    stage: RawDocumentBuf,
    action: &'static str,
) -> Result<Vec<Vec<u8>>> {
    // It can be granted on the database, but the one role that is made for it stands on `admin`.
    let doing = Doing::new(format!("read the catalog of {namespace}"), action, "admin");
    let command = rawdoc! { "aggregate": namespace.collection(), "pipeline": [stage], "cursor": {} };
    server.documents(namespace.database(), command, &doing).await
}

fn add(specs: &mut Vec<Vec<u8>>, spec: &[u8]) {
    if !specs.iter().any(|other| name(other) == name(spec)) {
        specs.push(spec.to_vec());
    }
}
