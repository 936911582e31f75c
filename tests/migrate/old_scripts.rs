//! What the scripts got wrong that transload replaces, each row by name. Here, and in the modules below, stand those that are
//! about a whole move; the others are tested where the part is that does it right:
//!
//! | theirs | the test |
//! |---|---|
//! | advice about UUIDs for any failure | `stream::a_stream_that_cannot_go_on_says_what_can_be_done` |
//! | a check of majority reads that sends nothing | `cli::checking::majority_reads_that_fail_are_refused_in_each_database`, `cli::checking::ends::a_port_that_is_dead_is_refused_and_the_other_end_looked_at` |
//! | a capture that begins after the dump | `cli::replaying::a_log_that_begins_after_the_copy_is_refused`, and every test here |
//! | one stream for each collection | `capture::a_deployment_is_one_stream_and_collections_are_one_each` |
//! | times that were made up | `capture::every_kind_of_event_is_recorded_in_its_lane_and_in_order` |
//! | an event, then its token | `capture::a_capture_that_is_stopped_again_and_again_records_every_event_once`, `migrate::kills` |
//! | tokens that are pickled | `cli::replaying::a_damaged_directory_is_an_error_and_never_a_new_beginning` |
//! | whole documents by `updateLookup` | `changes_deltas`, `changes::arriving` |
//! | a status written per event, and never purged | `migrate::events` |
//! | drops and renames of no consequence | `migrate::catalog` |
//! | streams that end without a word | `capture::a_capture_of_a_collection_goes_on_behind_its_drop_and_rename` |
//! | bad indexes dropped by hand | `migrate::catalog::bad_indexes_of_4_2_are_repaired_and_unique_and_expiring_ones_come_in_the_end` |
//! | no cutover, no comparison, no status | `migrate::live`, `migrate::status` |

mod changes;
mod directory;

use std::{fs, path::Path};

use bson::{Document, Timestamp, doc};
use futures_util::TryStreamExt;
use transload::sandbox::{Release, ReplicaSet};

use super::Migration;
use crate::{
    copy::Side,
    servers::{own, shared},
};

/// A small collection on its way to a 6.0 server.
async fn moving(from: Release, name: &'static str, documents: i32) -> Migration<'static> {
    moving_from(shared(from).await, name, documents).await
}

/// The same from a set of the test's own.
async fn moving_from<'a>(set: &'a ReplicaSet, name: &'static str, documents: i32) -> Migration<'a> {
    let (source, shared) = (Side::new(set, name), shared(Release::V6_0_5).await);
    let some = (0..documents).map(|id| doc! { "_id": id, "n": id });
    source.open().await.collection("orders").insert_many(some).await.unwrap();
    // Of one server, another database.
    let target = if std::ptr::eq(set, shared) { format!("{name}_moved").leak() } else { name };
    Migration::new(source, Side::new(shared, target))
}

/// They made an event of their own by a field `_tempfield_` in a document of the user's.
#[tokio::test]
async fn nothing_is_written_to_the_source() {
    let set = own(Release::V4_2_6).await;
    let source = Side::new(&set, "untouched");
    source.open().await.collection("orders").insert_many((0..1000).map(|id| doc! { "_id": id })).await.unwrap();
    let client = set.client().await.unwrap();
    let oplog = client.database("local").collection::<Document>("oplog.rs");
    let last = oplog.find_one(doc! {}).sort(doc! { "$natural": -1 }).await.unwrap().unwrap();
    let last: Timestamp = last.get_timestamp("ts").unwrap();
    let mut migration = Migration::new(source, Side::new(shared(Release::V6_0_5).await, "untouched"));
    migration.start(&[]);
    migration.arrives().await;
    // A server notes now and then that there is nothing to note, and counts its own sessions.
    let by_others = doc! { "ts": { "$gt": last }, "op": { "$ne": "n" }, "ns": { "$not": { "$regex": "^config\\." } } };
    let written: Vec<Document> = oplog.find(by_others).await.unwrap().try_collect().await.unwrap();
    assert_eq!(written, Vec::<Document>::new());
}

/// They skipped an empty collection, with its options, its indexes, and whatever was inserted later.
#[tokio::test]
async fn an_empty_collection_is_moved_with_its_options_its_indexes_and_what_comes_later() {
    let source = Side::new(shared(Release::V4_2_6).await, "empty_one");
    let validator = doc! { "a": { "$gte": 0 } };
    let options = doc! { "validator": validator, "validationLevel": "strict", "validationAction": "error" };
    let mut create = doc! { "create": "empty" };
    create.extend(options);
    source.run(create).await;
    let index = doc! { "key": { "a": 1 }, "name": "a_1", "unique": true };
    source.run(doc! { "createIndexes": "empty", "indexes": [index] }).await;
    let mut migration = Migration::new(source, Side::new(shared(Release::V6_0_5).await, "empty_one"));
    migration.start(&[]);
    migration.until_following().await;
    migration.source.open().await.collection("empty").insert_one(doc! { "_id": 1, "a": 1 }).await.unwrap();
    migration.arrives().await;
}

/// Their list of collections is taken as it is; a slip in it was an "empty collection", and skipped.
#[tokio::test]
async fn a_list_of_collections_is_taken_as_it_is_and_a_slip_in_it_is_an_error() {
    let set = shared(Release::V6_0_5).await;
    let (source, target) = (Side::new(set, "listed"), Side::new(set, "listed_moved"));
    for name in ["orders", "events", "secret"] {
        source.open().await.collection(name).insert_one(doc! { "_id": 1 }).await.unwrap();
    }
    let mut migration = Migration::new(source, target);
    let list = migration.directory().with_file_name("db.listed.collections.txt");
    fs::write(&list, "orders\nevnts\n").unwrap();
    let more = ["--collections-file", list.to_str().unwrap()];
    let (code, said) = migration.ends(&more).await;
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("evnts") && said.contains("events"), "{said}");
    fs::write(&list, "orders\nevents\n").unwrap();
    migration.start(&more);
    migration.until_following().await;
    migration.kill();
    // The same command goes on; so does the one without the list, and when the list is gone.
    migration.start(&more);
    migration.until_following().await;
    migration.kill();
    fs::remove_file(&list).unwrap();
    migration.start(&[]);
    migration.until_following().await;
    migration.cut_over().await;
    let arrived: Vec<String> = migration.target.state().await.options.into_keys().collect();
    assert_eq!(arrived, ["events", "orders"]);
}

/// They put connection strings, tokens and documents into logs.
#[tokio::test]
async fn neither_a_document_nor_a_connection_string_is_in_the_logs_or_the_status() {
    let set = shared(Release::V6_0_5).await;
    let (source, target) = (Side::new(set, "in_no_log"), Side::new(set, "in_no_log_moved"));
    let secret = |id: i32| doc! { "_id": id, "text": "a secret of the user's" };
    source.open().await.collection("orders").insert_many((0..10).map(secret)).await.unwrap();
    let mut migration = Migration::new(source, target);
    migration.start(&[]);
    migration.until_following().await;
    migration.source.open().await.collection("orders").insert_one(secret(99)).await.unwrap();
    migration.until_following().await;
    migration.cut_over().await;
    let mut texts = vec![migration.said()];
    read_all(&migration.directory(), &mut texts);
    read_all(&migration.directory().join("logs"), &mut texts);
    assert!(texts.len() > 5);
    for text in texts {
        assert!(!text.contains("a secret") && !text.contains("mongodb://"), "{text}");
    }
}

/// The files of a directory that people read.
fn read_all(directory: &Path, texts: &mut Vec<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| ["json", "jsonl", "log", "done"].iter().any(|e| extension == *e)) {
            texts.push(fs::read_to_string(path).unwrap());
        }
    }
}
