//! Splits an empty collection before anything is loaded into it, and spreads its chunks over the shards: else all that is loaded
//! would go to one shard, and be moved from there while it is.
//!
//! - By a hash, a server does that itself; it is told how many chunks to make (`numInitialChunks`, which those from 7.2 on take for
//!   nothing: they make one for each shard).
//! - By ranges, the bounds are those of the source's own chunks, where it is sharded by the same key, else of a sample.
//!
//! A chunk is to get [`CHUNK_BYTES`] or more: a small collection is not split.

use bson::{RawDocumentBuf, rawdoc};
use mongodb::error::ErrorKind as DriverErrorKind;

use super::{
    ShardKey,
    read::{self, Chunk, Sharded},
};
use crate::{
    connect::{Doing, Retry, Server, retry},
    document::{self, RawBuilder, kind},
    error::{Error, ErrorKind, Result},
    namespace::Namespace,
};

/// Bytes of documents that a chunk is to have at least: the size that servers since 6.0 give to a range.
const CHUNK_BYTES: u64 = 128 * 1024 * 1024;
/// The most chunks for each shard: moving them takes its time, and more spread no better.
const CHUNKS_OF_A_SHARD: usize = 32;
/// Sampled keys for each chunk: evens out the luck of the draw.
const SAMPLES_OF_A_CHUNK: usize = 20;
/// What a router says while the balancer, or another command, is at work: `LockTimeout`, `LockBusy`, `ConflictingOperationInProgress`.
const BUSY: [i32; 3] = [24, 46, 117];

/// How many chunks so many bytes are to have.
pub(super) fn wanted_chunks(bytes: u64, shards: usize) -> usize {
    if shards < 2 {
        return 1;
    }
    usize::try_from(bytes / CHUNK_BYTES).unwrap_or(usize::MAX).clamp(1, shards.saturating_mul(CHUNKS_OF_A_SHARD))
}

/// So many bounds of `all`, which are in order, at equal distances. None comes twice.
fn thinned(all: &[Vec<u8>], bounds: usize) -> Vec<Vec<u8>> {
    if all.len() <= bounds {
        return all.to_vec();
    }
    (1..=bounds).filter_map(|number| all.get(number * all.len() / (bounds + 1))).cloned().collect()
}

/// Keys of the source that part a collection into about so many chunks.
pub(super) async fn bounds(source: &Server, from: &Namespace, key: &ShardKey, chunks: usize) -> Result<Vec<Vec<u8>>> {
    let wanted = chunks.saturating_sub(1);
    if wanted == 0 {
        return Ok(Vec::new());
    }
    let of_source = match chunks_of_source(source, from, key).await {
        // Who may not read them draws a sample.
        Err(error) if matches!(error.kind(), ErrorKind::Authorization | ErrorKind::Server) => Vec::new(),
        chunks => chunks?,
    };
    let mut bounds: Vec<Vec<u8>> = of_source.into_iter().skip(1).map(|chunk| chunk.min).collect();
    if bounds.len() < wanted && !key.is_hashed() {
        bounds = sample(source, from, key, chunks).await?;
    }
    Ok(thinned(&bounds, wanted))
}

/// The chunks of the source, if it is sharded by the same key.
async fn chunks_of_source(source: &Server, from: &Namespace, key: &ShardKey) -> Result<Vec<Chunk>> {
    if !read::is_router(source).await? {
        return Ok(Vec::new());
    }
    match read::of(source, from).await?.filter(|sharded| sharded.key.serves_for(&plain(key))) {
        Some(sharded) => read::chunks(source, &sharded).await,
        None => Ok(Vec::new()),
    }
}

/// The same key, whether or not it is unique.
fn plain(key: &ShardKey) -> ShardKey {
    ShardKey::read(&key.document(), false).unwrap_or_else(|| key.clone())
}

/// Keys of random documents, in their order.
async fn sample(source: &Server, from: &Namespace, key: &ShardKey, chunks: usize) -> Result<Vec<Vec<u8>>> {
    let size = i64::try_from(chunks * SAMPLES_OF_A_CHUNK).unwrap_or(i64::MAX);
    let mut command = RawBuilder::new();
    command.string("aggregate", from.collection());
    command.embed_array("pipeline", |pipeline| {
        pipeline.document("0", rawdoc! { "$sample": { "size": size } }.as_bytes());
        pipeline.embed("1", |stage| {
            stage.embed("$project", |fields| {
                if key.names().all(|name| name != b"_id" && !name.starts_with(b"_id.")) {
                    fields.int32("_id", 0);
                }
                for name in key.names() {
                    fields.int32(name, 1);
                }
            });
        });
        pipeline.embed("2", |stage| {
            stage.document("$sort", &key.document());
        });
    });
    command.document("cursor", rawdoc! { "batchSize": 10_000 }.as_bytes()).bool("allowDiskUse", true);
    // Keys are compared byte by byte, whatever the collation of their collection.
    command.document("collation", rawdoc! { "locale": "simple" }.as_bytes());
    let command = RawDocumentBuf::from_bytes(command.finish())
        .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()).at(from.to_string()))?;
    let doing = Doing::new(format!("sample the shard keys of {from}"), "find", from.database());
    let found = source.documents(from.database(), command, &doing).await?;
    let mut keys: Vec<Vec<u8>> = found.iter().filter_map(|document| key_of(key, document)).collect();
    keys.dedup();
    Ok(keys)
}

/// The key of a document; none where it has a value that no key has. What is missing counts as null.
fn key_of(key: &ShardKey, document: &[u8]) -> Option<Vec<u8>> {
    let mut values = RawBuilder::new();
    for name in key.names() {
        let mut steps = name.split(|byte| *byte == b'.');
        let mut found = document::find(document, steps.next()?);
        for step in steps {
            found = match found {
                Some(outer) if outer.kind == kind::DOCUMENT => document::find(outer.value, step),
                // In an array are several values.
                Some(outer) if outer.kind == kind::ARRAY => return None,
                _ => None,
            };
        }
        match found {
            None => values.append_element(kind::NULL, name, &[]),
            Some(value) if [kind::ARRAY, kind::REGEX, kind::UNDEFINED].contains(&value.kind) => return None,
            // The ends are bounds already.
            Some(value) if [kind::MIN_KEY, kind::MAX_KEY].contains(&value.kind) => return None,
            Some(value) => values.append_renamed(&value, name),
        };
    }
    Some(values.finish())
}

/// Splits a collection at so many of `bounds` where it is not split yet, and gives its chunks to the shards in turn.
pub(super) async fn spread(
    target: &Server,
    sharded: &Sharded,
    bounds: &[Vec<u8>],
    missing: usize,
    shards: &[String],
) -> Result<()> {
    let namespace = &sharded.namespace;
    let there: Vec<Vec<u8>> = read::chunks(target, sharded).await?.into_iter().map(|chunk| chunk.min).collect();
    let others: Vec<Vec<u8>> = bounds.iter().filter(|bound| !there.contains(bound)).cloned().collect();
    for bound in &thinned(&others, missing) {
        let mut command = RawBuilder::new();
        command.string("split", namespace.to_string()).document("middle", bound);
        let doing = Doing::new(format!("split {namespace}"), "splitChunk", namespace.database());
        run(target, command, &doing).await?;
    }
    let chunks = read::chunks(target, sharded).await?;
    // The first chunk stays where it is.
    let first = chunks.first().and_then(|chunk| shards.iter().position(|shard| *shard == chunk.shard)).unwrap_or(0);
    let turn = shards.iter().cycle().skip(first);
    for (Chunk { min, max, .. }, to) in chunks.iter().zip(turn).filter(|(chunk, to)| chunk.shard != **to) {
        let mut command = RawBuilder::new();
        command.string("moveChunk", namespace.to_string());
        command.embed_array("bounds", |bounds| {
            bounds.document("0", min).document("1", max);
        });
        command.string("to", to);
        let doing = Doing::new(format!("move a chunk of {namespace}"), "moveChunk", namespace.database());
        run(target, command, &doing).await?;
    }
    Ok(())
}

/// Runs a command until it is done; what is in its way goes.
async fn run(server: &Server, mut command: RawBuilder, doing: &Doing) -> Result<()> {
    let command = RawDocumentBuf::from_bytes(command.finish())
        .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?;
    let mut patience = server.patience();
    loop {
        let error = match server.watched(server.database("admin").run_raw_command(command.clone())).await {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        let is_busy = matches!(error.kind.as_ref(), DriverErrorKind::Command(command) if BUSY.contains(&command.code));
        let again = if is_busy { Retry::BackOff } else { retry(&error) };
        if !patience.wait(again).await {
            return Err(server.failure(error, doing));
        }
    }
}

#[cfg(test)]
mod tests {
    use bson::{RawBson, rawdoc};

    use super::*;
    use crate::catalog::sharding::ShardKeyOf;

    #[test]
    fn a_small_collection_is_not_split_and_a_large_one_not_without_end() {
        assert_eq!(wanted_chunks(0, 3), 1);
        assert_eq!(wanted_chunks(CHUNK_BYTES * 2 - 1, 3), 1);
        assert_eq!(wanted_chunks(CHUNK_BYTES * 5, 3), 5);
        assert_eq!(wanted_chunks(u64::MAX, 3), 96);
        assert_eq!(wanted_chunks(u64::MAX, 1), 1, "there is nowhere to spread it");
    }

    #[test]
    fn bounds_are_thinned_out_evenly_and_kept_where_they_are_few() {
        let all: Vec<Vec<u8>> = (0..100).map(|byte| vec![byte]).collect();
        assert_eq!(thinned(&all, 3), [[25], [50], [75]]);
        assert_eq!(thinned(&all, 1), [[50]]);
        assert_eq!(thinned(&all[..3], 3), [[0], [1], [2]]);
        assert_eq!(thinned(&all[..4], 3), [[1], [2], [3]]);
        assert_eq!(thinned(&[], 3), Vec::<Vec<u8>>::new());
        for bounds in 1..100 {
            let thin = thinned(&all, bounds);
            assert!(thin.len() == bounds && thin.windows(2).all(|pair| pair[0] < pair[1]), "{bounds}");
        }
    }

    #[test]
    fn the_key_of_a_document_is_its_values_as_they_are() {
        let key = "a.b=x.y:1,_id:1".parse::<ShardKeyOf>().unwrap().key;
        let of = |document: RawDocumentBuf| key_of(&key, document.as_bytes());
        assert_eq!(
            of(rawdoc! { "_id": 7_i64, "x": { "y": "z" } }),
            Some(rawdoc! { "x.y": "z", "_id": 7_i64 }.into_bytes())
        );
        assert_eq!(of(rawdoc! { "_id": 7, "x": 5 }), Some(rawdoc! { "x.y": RawBson::Null, "_id": 7 }.into_bytes()));
        assert_eq!(of(rawdoc! { "_id": 7, "x": [{ "y": 1 }] }), None);
        assert_eq!(of(rawdoc! { "_id": 7, "x": { "y": [1] } }), None);
        assert_eq!(of(rawdoc! { "_id": RawBson::MinKey, "x": { "y": 1 } }), None);
    }
}
