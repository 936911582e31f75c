//! The index specs of a collection as its server really keeps them.
//!
//! What `listIndexes` says is not always that. 4.2 lists a spec as it is; 5.0 fails with code 5254501 on the whole
//! collection when one of its specs holds what it does not know, and does not say which; 6.0 leaves that out without a
//! word. The catalog itself is shown by `$listCatalog` (6.0, to whoever may list) and, in no order, by `$indexStats`,
//! which wants an action of its own that neither `read` nor `dbAdmin` has.

use bson::{RawDocumentBuf, rawdoc};

use crate::{
    connect::{Doing, Server, Version},
    document,
    error::{Error, ErrorKind, Result},
    namespace::Namespace,
};

/// "Could not parse catalog entry while replying to listIndexes".
const UNLISTABLE: i32 = 5_254_501;

/// The first release whose list may not be the truth.
const HIDES: Version = Version::new(5, 0, 0);
/// The first release with `$listCatalog`.
const SHOWS_CATALOG: Version = Version::new(6, 0, 0);

/// What lets a user read the specs where they are.
const HINT: &str = "the role 'clusterMonitor' on the database 'admin' gives the action 'indexStats', which is enough";

/// The index specs of a collection, and a word about them where the server could not list them and they were found
/// elsewhere: then the index on `_id` comes first, and the others by their names. What a server hides in its list
/// stays hidden; no target would take it. See [`unhidden`].
///
/// # Errors
/// What the server says. [`ErrorKind::Authorization`] also where it cannot list them because of a bad one, and the
/// user may not read them elsewhere.
pub async fn index_specs(server: &Server, namespace: &Namespace) -> Result<(Vec<Vec<u8>>, Option<String>)> {
    let (database, name) = (namespace.database(), namespace.collection());
    let doing = Doing::new(format!("list the indexes of {namespace}"), "listIndexes", database);
    let command = rawdoc! { "listIndexes": name, "cursor": {} };
    let unlistable = |code: i32| (code == UNLISTABLE).then_some(());
    if let Ok(specs) = server.documents_or(database, command, &doing, unlistable).await? {
        return Ok((specs, None));
    }
    match kept(server, namespace).await {
        Ok(specs) => {
            let note = "the server cannot list its indexes, because it does not know what stands in the spec of one; \
                        they were read from its catalog";
            Ok((specs, Some(format!("{namespace}: {note}"))))
        }
        Err(error) if error.kind() == ErrorKind::Authorization => {
            let message = format!(
                "the server cannot list the indexes of {namespace}, because it does not know what stands in the spec of \
                 one, and this user may not read them from its catalog"
            );
            Err(Error::new(ErrorKind::Authorization, message).with_hint(HINT).at(server.place()))
        }
        Err(error) => Err(error),
    }
}

/// The same specs as `listed`, with what the server does not show in its list; and why that could not be read, if it
/// could not.
///
/// # Errors
/// When the server does not answer.
pub async fn unhidden(
    server: &Server,
    namespace: &Namespace,
    mut listed: Vec<Vec<u8>>,
) -> Result<(Vec<Vec<u8>>, Option<String>)> {
    if server.version() < HIDES || listed.is_empty() {
        return Ok((listed, None));
    }
    let whole = match kept(server, namespace).await {
        Ok(whole) => whole,
        Err(error) if error.kind() == ErrorKind::Authorization => {
            return Ok((listed, Some(format!("this user may not read the server's catalog; {HINT}"))));
        }
        Err(error) if error.kind() == ErrorKind::Server => {
            return Ok((listed, Some(format!("its catalog cannot be read: {}", error.message()))));
        }
        Err(error) => return Err(error),
    };
    for spec in &mut listed {
        if let Some(found) = whole.iter().find(|other| name(other) == name(spec)) {
            spec.clone_from(found);
        }
    }
    Ok((listed, None))
}

/// The specs as the server keeps them.
async fn kept(server: &Server, namespace: &Namespace) -> Result<Vec<Vec<u8>>> {
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
        let indexes = document::find(&entry, b"md").and_then(|kept| document::find(kept.value, b"indexes"));
        let indexes = indexes.map_or(&[][..], |indexes| indexes.value);
        for index in document::elements(indexes).map_while(Result::ok) {
            if let Some(spec) = document::find(index.value, b"spec") {
                add(&mut specs, spec.value);
            }
        }
    }
    Ok(specs)
}

/// The specs that come along with the counters of `$indexStats`, where they are in no order.
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

const ID: &[u8] = b"_id_";

fn add(specs: &mut Vec<Vec<u8>>, spec: &[u8]) {
    if !specs.iter().any(|other| name(other) == name(spec)) {
        specs.push(spec.to_vec());
    }
}

fn name(spec: &[u8]) -> Option<&[u8]> {
    document::find(spec, b"name")?.string()
}
