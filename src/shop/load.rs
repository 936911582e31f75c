//! Fills a server with the shop: raw inserts by a few tasks at once, then the indexes.
//!
//! For sandboxes and benchmarks, so it wants empty collections and does not retry: whatever a server refuses is an
//! error.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bson::{Bson, Document, RawDocumentBuf};
use mongodb::{Client, Database};
use tokio::task::JoinSet;

use super::{Collection, Shop};
use crate::{
    document::RawBuilder,
    error::{Error, ErrorKind, Result},
};

/// How many inserts are under way at once. One server of a sandbox takes in no more from a larger number.
const TASKS: usize = 4;

/// About how many bytes one insert command carries; 1-2 MB are faster through the driver than more.
const COMMAND_BYTES: u64 = 1_500_000;

/// Fills `database` with the shop and returns the number of documents inserted.
///
/// Writes are acknowledged by a majority. [`ErrorKind::Server`] when a document or an index is refused, or when
/// fewer documents are acknowledged than were sent. After an error, what other tasks had inserted stays.
pub async fn load(client: &Client, database: &str, shop: &Shop) -> Result<u64> {
    let database = client.database(database);
    let mut documents = 0;
    for (collection, count) in shop.collections() {
        insert_all(&database, collection, count, *shop).await?;
        let indexes = collection.indexes();
        if !indexes.is_empty() {
            run(&database, collection, create_indexes_command(collection, &indexes)).await?;
        }
        documents += count;
    }
    Ok(documents)
}

/// Dropping the set on the first error stops the other tasks between two of their commands.
async fn insert_all(database: &Database, collection: Collection, count: u64, shop: Shop) -> Result<()> {
    let next = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let (database, next) = (database.clone(), Arc::clone(&next));
        tasks.spawn(insert_ranges(database, collection, count, shop, next));
    }
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(worker_failed)??;
    }
    Ok(())
}

/// Takes one range of documents after the other from `next`, until all are taken.
async fn insert_ranges(
    database: Database,
    collection: Collection,
    count: u64,
    shop: Shop,
    next: Arc<AtomicU64>,
) -> Result<()> {
    let per_command = COMMAND_BYTES / collection.typical_size();
    loop {
        let start = next.fetch_add(per_command, Ordering::Relaxed);
        if start >= count {
            return Ok(());
        }
        let end = count.min(start + per_command);
        // Some milliseconds of computing, which are not the runtime's to wait for.
        let built = tokio::task::spawn_blocking(move || insert_command(&shop, collection, start, end));
        let reply = run(&database, collection, built.await.map_err(worker_failed)?).await?;
        let inserted = reply.get("n").and_then(number).unwrap_or(0);
        if u64::try_from(inserted) != Ok(end - start) {
            let message = format!("{inserted} documents acknowledged out of {}", end - start);
            return Err(Error::new(ErrorKind::Server, message).at(place(&database, collection)));
        }
    }
}

fn insert_command(shop: &Shop, collection: Collection, start: u64, end: u64) -> Vec<u8> {
    let mut document = Vec::new();
    RawBuilder::new()
        .string("insert", collection.name())
        .bool("ordered", false)
        .embed("writeConcern", majority)
        .embed_array("documents", |documents| {
            for i in start..end {
                document.clear();
                shop.document(collection, i, &mut document);
                // Without leading zeros: servers refuse an array's field that is not named by its number.
                documents.document((i - start).to_string(), &document);
            }
        })
        .finish()
}

fn create_indexes_command(collection: Collection, indexes: &[Vec<u8>]) -> Vec<u8> {
    RawBuilder::new()
        .string("createIndexes", collection.name())
        .embed_array("indexes", |array| {
            for (i, spec) in indexes.iter().enumerate() {
                array.document(i.to_string(), spec);
            }
        })
        .embed("writeConcern", majority)
        .finish()
}

fn majority(concern: &mut RawBuilder) {
    concern.string("w", "majority");
}

/// Runs a write command and reads its reply for errors: the driver calls a command with failed writes a success.
async fn run(database: &Database, collection: Collection, command: Vec<u8>) -> Result<Document> {
    let at_place = |error: Error| error.at(place(database, collection));
    let command = RawDocumentBuf::from_bytes(command)
        .map_err(|error| at_place(Error::new(ErrorKind::Internal, "a command is malformed").with_source(error)))?;
    // Not the driver's whole error, nor as a source: its text ends in the server's reply, which may quote documents.
    let reply = database
        .run_raw_command(command)
        .await
        .map_err(|error| at_place(Error::new(ErrorKind::Server, error.kind.to_string())))?;
    match refusal(&reply) {
        Some(refusal) => Err(at_place(Error::new(ErrorKind::Server, refusal))),
        None => Ok(reply),
    }
}

/// What a reply says went wrong. Only counts and codes: the server's text may hold a document's values.
fn refusal(reply: &Document) -> Option<String> {
    if let Ok(errors) = reply.get_array("writeErrors")
        && let Some(first) = errors.first()
    {
        let code = first.as_document().and_then(|first| first.get("code")).and_then(number).unwrap_or(0);
        return Some(format!("{} documents refused, the first with code {code}", errors.len()));
    }
    let concern = reply.get_document("writeConcernError").ok()?;
    let code = concern.get("code").and_then(number).unwrap_or(0);
    Some(format!("written, but not by a majority: code {code}"))
}

/// Servers answer with any of the number types.
fn number(value: &Bson) -> Option<i64> {
    match value {
        Bson::Int32(number) => Some((*number).into()),
        Bson::Int64(number) => Some(*number),
        Bson::Double(number) => Some(*number as i64),
        _ => None,
    }
}

fn place(database: &Database, collection: Collection) -> String {
    format!("{}.{}", database.name(), collection.name())
}

fn worker_failed(error: tokio::task::JoinError) -> Error {
    Error::new(ErrorKind::Internal, "a task that loads the shop failed").with_source(error)
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;
    use crate::document::{elements, find};

    #[test]
    fn an_insert_command_holds_its_range_of_documents_in_the_servers_limits() {
        let shop = Shop { seed: 1, scale: 1.0 };
        for collection in Collection::ALL {
            let end = 7 + COMMAND_BYTES / collection.typical_size();
            let command = insert_command(&shop, collection, 7, end);
            assert!((1_000_000..2_000_000).contains(&command.len()), "{collection:?} {}", command.len());
            let array = find(&command, b"documents").unwrap().value;
            let mut expected = Vec::new();
            for (i, element) in elements(array).enumerate() {
                let element = element.unwrap();
                assert_eq!(element.name, i.to_string().as_bytes(), "servers answer 40422 otherwise");
                expected.clear();
                shop.document(collection, 7 + i as u64, &mut expected);
                assert_eq!(element.value, expected);
            }
            assert_eq!(elements(array).count() as u64, end - 7);
        }
    }

    #[test]
    fn a_reply_with_errors_is_a_refusal_although_the_command_succeeded() {
        assert_eq!(refusal(&doc! { "ok": 1, "n": 3 }), None);
        let errors = vec![doc! { "index": 0, "code": 11000, "errmsg": "dup key: { secret }" }, doc! {}];
        assert_eq!(
            refusal(&doc! { "ok": 1, "n": 1, "writeErrors": errors }),
            Some("2 documents refused, the first with code 11000".to_owned())
        );
        assert_eq!(
            refusal(&doc! { "ok": 1, "n": 3, "writeConcernError": { "code": 64 } }),
            Some("written, but not by a majority: code 64".to_owned())
        );
    }
}
