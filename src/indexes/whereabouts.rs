//! Where a collection of the journal is now, and what it has: it may have got another name, or another one its name.

use bson::{Binary, Bson, Uuid, rawdoc};

use crate::{
    catalog,
    connect::{Doing, Server},
    document,
    error::{ErrorKind, Result},
    hex::hex,
    namespace::Namespace,
};

/// Where a collection of the journal is now.
pub(super) enum Whereabouts {
    There,
    Renamed(Namespace),
    Nowhere,
    /// Another one has its name.
    Replaced {
        /// A view has none.
        has_indexes: bool,
    },
}

/// Looks for a collection by its UUID, which stays when it gets another name, and which another one of its name has not.
pub(super) async fn whereabouts(server: &Server, then: &Namespace, uuid: Option<&str>) -> Result<Whereabouts> {
    let found = catalog::found(server, then).await?;
    let Some(uuid) = uuid else {
        return Ok(if found.is_some() { Whereabouts::There } else { Whereabouts::Nowhere });
    };
    let now = found.flatten().map(hexadecimal);
    if now.as_deref() == Some(uuid) {
        return Ok(Whereabouts::There);
    }
    Ok(match (named(server, then.database(), uuid).await?, found) {
        (Some(now), _) => Whereabouts::Renamed(now),
        (None, None) => Whereabouts::Nowhere,
        (None, Some(other)) => Whereabouts::Replaced { has_indexes: other.is_some() },
    })
}

/// The collection of a database that has this UUID.
pub(super) async fn named(server: &Server, database: &str, uuid: &str) -> Result<Option<Namespace>> {
    let Ok(uuid) = Uuid::parse_str(uuid) else { return Ok(None) };
    let doing = Doing::new(format!("list the collections of {database}"), "listCollections", database);
    let command = rawdoc! { "listCollections": 1, "filter": { "info.uuid": Binary::from(uuid) }, "cursor": {} };
    let found = server.documents(database, command, &doing).await?;
    let name = found.first().and_then(|info| document::find(info, b"name")?.string());
    name.map(|name| Namespace::new(database, String::from_utf8_lossy(name))).transpose()
}

/// The specs of a collection as they are really kept.
pub(super) async fn live(server: &Server, namespace: &Namespace) -> Result<Vec<Vec<u8>>> {
    let (specs, _) = catalog::index_specs(server, namespace).await?;
    Ok(catalog::unhidden(server, namespace, specs).await?.0)
}

/// The names of the indexes that are being built. Who may not ask is told of none.
pub(super) async fn building(server: &Server, namespace: &Namespace) -> Result<Vec<String>> {
    let doing = Doing::new(format!("ask what is built on {namespace}"), "collStats", namespace.database());
    let command = rawdoc! { "collStats": namespace.collection() };
    let statistics = match server.run(namespace.database(), command, &doing).await {
        // A view has none.
        Err(error) if [ErrorKind::Authorization, ErrorKind::Server].contains(&error.kind()) => return Ok(Vec::new()),
        statistics => statistics?,
    };
    // A sharded cluster tells of each shard.
    let shards = statistics.get_document("shards").into_iter().flat_map(|shards| shards.values());
    let all = shards.filter_map(Bson::as_document).chain([&statistics]);
    let names = all.filter_map(|of| of.get_array("indexBuilds").ok()).flatten();
    Ok(names.filter_map(|name| name.as_str().map(str::to_owned)).collect())
}

/// A UUID as the journal has it.
pub(super) fn hexadecimal(uuid: [u8; 16]) -> String {
    hex(&uuid)
}
