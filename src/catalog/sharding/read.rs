//! What a cluster says of its sharded collections: their keys, their chunks, its shards.
//!
//! Since 5.0 the chunks of a collection are known by its UUID, and its entry in `config.collections` has a `timestamp`; before,
//! they are known by its name. Since 8.0 there are entries of collections that are not sharded, too (`unsplittable`).

use bson::{Bson, RawDocumentBuf, rawdoc};

use super::ShardKey;
use crate::{
    connect::{Doing, Server},
    document::{self, RawBuilder, kind},
    error::{Error, ErrorKind, Result},
    namespace::Namespace,
};

/// A sharded collection.
#[derive(Clone, Debug)]
pub(crate) struct Sharded {
    pub(crate) namespace: Namespace,
    pub(crate) key: ShardKey,
    /// What finds its chunks.
    chunks: Vec<u8>,
}

/// A range of keys, and the shard that has it.
#[derive(Clone, Debug)]
pub(super) struct Chunk {
    pub(super) min: Vec<u8>,
    pub(super) max: Vec<u8>,
    pub(super) shard: String,
}

/// Whether a server is a router, in front of shards.
///
/// # Errors
/// When it does not answer.
pub(crate) async fn is_router(server: &Server) -> Result<bool> {
    Ok(server.hello().await?.get_str("msg").is_ok_and(|msg| msg == "isdbgrid"))
}

/// How a collection is sharded; none where it is not.
///
/// # Errors
/// What the server says.
pub(crate) async fn of(server: &Server, namespace: &Namespace) -> Result<Option<Sharded>> {
    let find = rawdoc! { "find": "collections", "filter": { "_id": namespace.to_string() } };
    let found = config(server, find, "look how a collection is sharded").await?;
    Ok(found.first().and_then(|entry| sharded(entry)))
}

/// All sharded collections.
///
/// # Errors
/// What the server says.
pub(crate) async fn all(server: &Server) -> Result<Vec<Sharded>> {
    let found = config(server, rawdoc! { "find": "collections" }, "read the shard keys").await?;
    Ok(found.iter().filter_map(|entry| sharded(entry)).collect())
}

/// The chunks of a collection, in the order of their keys.
pub(super) async fn chunks(server: &Server, sharded: &Sharded) -> Result<Vec<Chunk>> {
    let mut find = RawBuilder::new();
    find.string("find", "chunks").document("filter", &sharded.chunks);
    find.document("sort", rawdoc! { "min": 1 }.as_bytes());
    let find = RawDocumentBuf::from_bytes(find.finish())
        .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()).at(sharded.namespace.to_string()))?;
    let found = config(server, find, "read the chunks of a collection").await?;
    let chunk = |entry: &Vec<u8>| {
        let bound = |name: &[u8]| {
            document::find(entry, name).filter(|bound| bound.kind == kind::DOCUMENT).map(|bound| bound.value.to_vec())
        };
        let shard = document::find(entry, b"shard")?.string()?;
        let shard = String::from_utf8_lossy(shard).into_owned();
        Some(Chunk { min: bound(b"min")?, max: bound(b"max")?, shard })
    };
    Ok(found.iter().filter_map(chunk).collect())
}

/// The shards that take chunks.
pub(super) async fn shards(server: &Server) -> Result<Vec<String>> {
    let doing = Doing::new("list the shards", "listShards", "admin");
    let reply = server.run("admin", rawdoc! { "listShards": 1 }, &doing).await?;
    let shards = reply.get_array("shards").map(Vec::as_slice).unwrap_or_default();
    let name = |shard: &Bson| {
        let shard = shard.as_document()?;
        let leaves = shard.get_bool("draining").unwrap_or(false);
        shard.get_str("_id").ok().filter(|_| !leaves).map(str::to_owned)
    };
    Ok(shards.iter().filter_map(name).collect())
}

async fn config(server: &Server, find: RawDocumentBuf, what: &str) -> Result<Vec<Vec<u8>>> {
    server.reading_primary().documents("config", find, &Doing::new(what, "find", "config")).await
}

/// What an entry of `config.collections` says.
fn sharded(entry: &[u8]) -> Option<Sharded> {
    let is_set =
        |name: &[u8]| document::find(entry, name).is_some_and(|flag| flag.kind == kind::BOOL && flag.value == [1]);
    if is_set(b"dropped") || is_set(b"unsplittable") {
        return None;
    }
    let id = document::find(entry, b"_id")?;
    let namespace = Namespace::parse(std::str::from_utf8(id.string()?).ok()?).ok()?;
    let key = document::find(entry, b"key").filter(|key| key.kind == kind::DOCUMENT)?;
    let key = ShardKey::read(key.value, is_set(b"unique"))?;
    let mut chunks = RawBuilder::new();
    match document::find(entry, b"uuid").filter(|_| document::find(entry, b"timestamp").is_some()) {
        Some(uuid) => chunks.append(&uuid),
        None => chunks.append_renamed(&id, "ns"),
    };
    Some(Sharded { namespace, key, chunks: chunks.finish() })
}

#[cfg(test)]
mod tests {
    use bson::{Binary, Document, Timestamp, doc, spec::BinarySubtype};

    use super::*;

    fn read(entry: Document) -> Option<Sharded> {
        sharded(&bson::serialize_to_vec(&entry).unwrap())
    }

    #[test]
    fn entries_of_all_releases_are_understood() {
        let uuid = || Binary { subtype: BinarySubtype::Uuid, bytes: vec![7; 16] };
        let old = doc! { "_id": "shop.orders", "uuid": uuid(), "dropped": false, "key": { "a": 1.0 }, "unique": true };
        let found = read(old.clone()).unwrap();
        assert_eq!((found.key.to_string().as_str(), found.namespace.collection()), ("{a: 1}, unique", "orders"));
        assert_eq!(found.chunks, rawdoc! { "ns": "shop.orders" }.as_bytes());
        let mut new = old.clone();
        new.insert("timestamp", Timestamp { time: 5, increment: 1 });
        new.remove("dropped");
        assert_eq!(read(new.clone()).unwrap().chunks, rawdoc! { "uuid": uuid() }.as_bytes());
        new.insert("unsplittable", true);
        assert!(read(new).is_none());
        let mut dropped = old;
        dropped.insert("dropped", true);
        assert!(read(dropped).is_none());
    }
}
