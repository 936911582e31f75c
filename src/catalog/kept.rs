//! Index specs as a server keeps them in its catalog, of one collection or of many.
//!
//! The catalog is shown by `$listCatalog` (6.0, to whoever may list) and, in no order, by `$indexStats`, which wants an
//! action of its own that neither `read` nor `dbAdmin` has.
//!
//! Many collections are asked about in one command, each by a `$unionWith`: of a collection a server takes 0.13 ms of
//! processor time so, and 0.5 ms in a command of its own (6.0.5). `$listCatalog` of the whole deployment at once would take
//! less, but the privileges of an administrator; it shows the catalogs of shards that have none of a collection any more
//! (SERVER-64980); and a database with views that is dropped meanwhile may cost such a server its life.

use std::collections::HashMap;

use bson::{Document, doc};
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::{
    connect::{Doing, Server, Version},
    document,
    error::{Error, ErrorKind, Result},
    namespace::Namespace,
};

/// The first release with `$listCatalog`.
pub(super) const SHOWS_CATALOG: Version = Version::new(6, 0, 0);
/// The name of the index on `_id`.
pub(super) const ID: &[u8] = b"_id_";
/// Collections that are asked about in one command.
const AT_ONCE: usize = 32;
/// Such commands in flight.
const CONCURRENCY: usize = 4;

/// The specs of these collections, which stand in the order of their names, each in the order in which its indexes were
/// made. Those that are not among them are to be asked about by themselves: the server does not show its catalog, or not to
/// this user, or shows it as no server did when this was written; or it is a shard, or a router, and each shard has its own.
///
/// # Errors
/// When the server does not answer.
pub(super) async fn kept_of_many(
    server: &Server,
    namespaces: &[Namespace],
) -> Result<HashMap<Namespace, Vec<Vec<u8>>>> {
    if server.version() < SHOWS_CATALOG {
        return Ok(HashMap::new());
    }
    let of_a_database = namespaces.chunk_by(|one, other| one.database() == other.database());
    let groups: Vec<_> = of_a_database.flat_map(|of| of.chunks(AT_ONCE)).map(<[Namespace]>::to_vec).collect();
    let kept = stream::iter(groups).map(|group| kept_of_group(server, group)).buffered(CONCURRENCY);
    Ok(kept.try_collect::<Vec<_>>().await?.into_iter().flatten().collect())
}

/// The same of collections of one database.
async fn kept_of_group(server: &Server, group: Vec<Namespace>) -> Result<Vec<(Namespace, Vec<Vec<u8>>)>> {
    let Some((first, others)) = group.split_first() else {
        return Ok(Vec::new());
    };
    let listing = || doc! { "$listCatalog": {} };
    let also = |other: &Namespace| doc! { "$unionWith": { "coll": other.collection(), "pipeline": [listing()] } };
    let pipeline = std::iter::once(listing()).chain(others.iter().map(also)).collect();
    let entries = match aggregate(server, first, pipeline, "listCollections").await {
        Err(error) if [ErrorKind::Authorization, ErrorKind::Server].contains(&error.kind()) => Vec::new(),
        entries => entries?,
    };
    let of = |namespace: &Namespace| {
        let is_of = |entry: &&Vec<u8>| {
            let name = document::find(entry, b"ns").and_then(|ns| ns.string());
            name == Some(namespace.to_string().as_bytes())
        };
        let specs = whole(entries.iter().find(is_of)?)?;
        Some((namespace.clone(), specs))
    };
    Ok(group.iter().filter_map(of).collect())
}

/// The specs of an entry, if they are all there, and as a server lists them: it is not one of several, by shards; it has no index
/// on `_id` that is none, and is no time series; and its indexes look as they should.
fn whole(entry: &[u8]) -> Option<Vec<Vec<u8>>> {
    let options = of_collection(entry, b"options");
    let has = |name: &[u8]| document::find(options, name).is_some();
    if document::find(entry, b"shard").is_some() || has(b"clusteredIndex") || has(b"timeseries") {
        return None;
    }
    let mut specs = Vec::new();
    for index in indexes(entry) {
        let index = index.ok()?;
        specs.push(document::find(index.value, b"spec").filter(|spec| name(spec.value).is_some())?.value.to_vec());
    }
    (!specs.is_empty()).then_some(specs)
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
    for entry in aggregate(server, namespace, vec![doc! { "$listCatalog": {} }], "listCollections").await? {
        for index in indexes(&entry).map_while(Result::ok) {
            if let Some(spec) = document::find(index.value, b"spec") {
                add(&mut specs, spec.value);
            }
        }
    }
    Ok(specs)
}

/// The indexes of an entry of the catalog.
fn indexes(entry: &[u8]) -> document::Elements<'_> {
    document::elements(of_collection(entry, b"indexes"))
}

/// What an entry of the catalog has of its collection under a name; nothing, where there is none.
fn of_collection<'a>(entry: &'a [u8], name: &[u8]) -> &'a [u8] {
    let found = document::find(entry, b"md").and_then(|kept| document::find(kept.value, name));
    found.map_or(&[][..], |found| found.value)
}

/// The specs that come along with the counters of `$indexStats`, where they are in no order: by their names, but the
/// index on `_id` first.
async fn in_statistics(server: &Server, namespace: &Namespace) -> Result<Vec<Vec<u8>>> {
    let mut specs = Vec::new();
    for counters in aggregate(server, namespace, vec![doc! { "$indexStats": {} }], "indexStats").await? {
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
    pipeline: Vec<Document>,
    action: &'static str,
) -> Result<Vec<Vec<u8>>> {
    // It can be granted on the database, but the one role that is made for it stands on `admin`.
    let doing = Doing::new(format!("read the catalog of {namespace}"), action, "admin");
    let command = doc! { "aggregate": namespace.collection(), "pipeline": pipeline, "cursor": {} };
    let command = bson::serialize_to_raw_document_buf(&command)
        .map_err(|error| Error::new(ErrorKind::Internal, format!("a bad command of our own: {error}")))?;
    server.documents(namespace.database(), command, &doing).await
}

fn add(specs: &mut Vec<Vec<u8>>, spec: &[u8]) {
    if !specs.iter().any(|other| name(other) == name(spec)) {
        specs.push(spec.to_vec());
    }
}

/// The name of an index.
pub(super) fn name(spec: &[u8]) -> Option<&[u8]> {
    document::find(spec, b"name")?.string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specs_are_taken_from_the_catalog_only_if_they_are_all_there() {
        let spec = |name: &str| doc! { "v": 2, "key": { "_id": 1 }, "name": name };
        let whole = |entry: Document| whole(&bson::serialize_to_vec(&entry).unwrap());
        let indexes = vec![doc! { "spec": spec("_id_"), "ready": true }, doc! { "spec": spec("a_1"), "ready": false }];
        let entry = doc! { "ns": "shop.orders", "md": { "indexes": indexes.clone() } };
        let expected = ["_id_", "a_1"].map(|name| bson::serialize_to_vec(&spec(name)).unwrap());
        assert_eq!(whole(entry.clone()).unwrap(), expected);
        let mut of_a_shard = entry;
        of_a_shard.insert("shard", "one");
        assert_eq!(whole(of_a_shard), None);
        for option in ["clusteredIndex", "timeseries"] {
            let options = doc! { option: {} };
            assert_eq!(whole(doc! { "md": { "options": options, "indexes": indexes.clone() } }), None);
        }
        for other in [doc! { "index": spec("b_1") }, doc! { "spec": { "key": { "b": 1 } } }] {
            let indexes = [indexes.clone(), vec![other]].concat();
            assert_eq!(whole(doc! { "ns": "shop.orders", "md": { "indexes": indexes } }), None);
        }
        for none in [doc! {}, doc! { "md": { "indexes": [] } }, doc! { "md": { "catalog": indexes } }] {
            assert_eq!(whole(none), None);
        }
    }
}
