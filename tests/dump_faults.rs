//! Dumps that are interrupted by everything a server does, and lose nothing; or fail, and say so.

use std::time::Duration;

use bson::{Document, doc};
use tokio_util::sync::CancellationToken;
use transload::{dump::dump, error::ErrorKind, progress::Silent, sandbox::Release};
use transload_format::{Event, Scanner};

use crate::{
    copy::{Archive, Side, assert_equal, assert_whole},
    held_reads::HeldReads,
    odd_documents::{document, ids, numbered},
    servers::{own, shared},
};

/// Documents in the collection that is read in several replies.
pub(crate) const MANY: i32 = 2400;

/// Fills `read` with about 24 MB: with replies of 4 MiB, one read takes half a dozen getMores.
pub(crate) async fn fill(side: &Side<'_>, collection: &str) {
    let text = "x".repeat(10_000);
    let documents: Vec<_> = (0..MANY)
        .map(|id| {
            numbered(id, |doc| {
                doc.string("text", &text);
            })
        })
        .collect();
    side.insert(collection, &documents).await;
}

/// Dumps, restores elsewhere, and compares; gives back the number of retries.
async fn dumps_whole(source: &Side<'_>, target: &str) -> u64 {
    let archive = Archive::new();
    let dumped = archive.dump(source).await.unwrap();
    source.fail_no_more().await;
    let target = Side::new(shared(Release::V6_0_5).await, target);
    target.run(doc! { "dropDatabase": 1 }).await;
    let restored = archive.restore(&target).await.unwrap();
    assert_whole(&restored);
    assert_eq!(restored.inserted, dumped.documents);
    assert_equal(source, &target).await;
    dumped.retries
}

#[tokio::test]
async fn a_cursor_that_breaks_again_and_again_loses_and_doubles_nothing() {
    let set = own(Release::V6_0_5).await;
    let source = Side::new(&set, "broken_cursor");
    fill(&source, "many").await;
    let ids: Vec<_> = ids().iter().map(|id| document(id, |_| {})).collect();
    source.insert("ids", &ids).await;
    for data in [
        doc! { "closeConnection": true },
        doc! { "errorCode": 43 },
        doc! { "errorCode": 237 },
        doc! { "errorCode": 11600 },
        doc! { "errorCode": 189 },
        doc! { "errorCode": 10107 },
    ] {
        source.fail(&["getMore"], doc! { "times": 3 }, data.clone()).await;
        assert!(dumps_whole(&source, "broken_cursor").await >= 3, "{data}");
    }
}

#[tokio::test]
async fn every_command_of_a_dump_is_tried_again() {
    const SMALL: i32 = 25_000;
    let set = own(Release::V6_0_5).await;
    let source = Side::new(&set, "every_command");
    fill(&source, "many").await;
    // So many that their `_id`s are sampled.
    let text = "x".repeat(700);
    let small = |id| {
        numbered(id, |doc| {
            doc.string("text", &text);
        })
    };
    source.insert("small", &(0..SMALL).map(small).collect::<Vec<_>>()).await;
    // The index of a clustered collection stands in no catalog.
    source.run(doc! { "create": "with_index_listed", "clusteredIndex": { "key": { "_id": 1 }, "unique": true } }).await;
    for command in ["find", "listCollections", "listIndexes", "aggregate", "dataSize", "ping"] {
        for data in [doc! { "closeConnection": true }, doc! { "errorCode": 189 }] {
            source.fail(&[command], doc! { "times": 2 }, data.clone()).await;
            let archive = Archive::new();
            let mut options = archive.options();
            options.part_bytes = 8 << 20;
            let dumped = archive.dump_as(&source, options).await.unwrap();
            source.fail_no_more().await;
            assert!(dumped.retries >= 2, "{command} {data}");
            assert_eq!(dumped.documents, (MANY + SMALL) as u64, "{command} {data}");
            let parts: Vec<_> = dumped.namespaces.iter().map(|namespace| namespace.parts).collect();
            assert_eq!(parts, [2, 2, 1], "{command} {data}");
        }
    }
    // The sample is taken by an aggregation as well, after two for the catalog: of the ordinary collections, and of the clustered one.
    let after_the_catalog = doc! { "skip": 2 };
    for data in [doc! { "closeConnection": true }, doc! { "errorCode": 189 }] {
        source.fail(&["aggregate"], after_the_catalog.clone(), data.clone()).await;
        let archive = Archive::new();
        let mut options = archive.options();
        options.part_bytes = 8 << 20;
        let no_more = async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            source.fail_no_more().await;
        };
        let (dumped, ()) = tokio::join!(archive.dump_as(&source, options), no_more);
        let dumped = dumped.unwrap();
        assert!(dumped.retries >= 1, "{data}");
        assert_eq!((dumped.namespaces[0].parts, dumped.namespaces[1].parts), (2, 2), "{data}");
    }
    // What only evens out the parts must not stop the dump.
    source.fail(&["aggregate"], after_the_catalog, doc! { "errorCode": 28799 }).await;
    let archive = Archive::new();
    let mut options = archive.options();
    options.part_bytes = 8 << 20;
    let dumped = archive.dump_as(&source, options).await.unwrap();
    assert_eq!(dumped.documents, (MANY + SMALL) as u64);
    assert_eq!((dumped.namespaces[0].parts, dumped.namespaces[1].parts), (2, 1));
}

#[tokio::test]
async fn after_every_reply_a_cursor_can_break() {
    let set = own(Release::V6_0_5).await;
    let source = Side::new(&set, "every_reply");
    fill(&source, "many").await;
    // Every getMore fails, so that each reply comes from a cursor of its own.
    for data in [doc! { "errorCode": 43 }, doc! { "closeConnection": true }] {
        source.fail(&["getMore"], doc! { "times": 1000 }, data).await;
        assert!(dumps_whole(&source, "every_reply").await > 4);
    }
}

#[tokio::test]
async fn a_collection_in_natural_order_whose_cursor_breaks_is_read_on_where_it_was() {
    let set = own(Release::V6_0_5).await;
    let source = Side::new(&set, "broken_natural");
    source.run(doc! { "create": "capped", "capped": true, "size": 100 << 20 }).await;
    let clustered = doc! { "key": { "_id": 1 }, "unique": true };
    source.run(doc! { "create": "clustered", "clusteredIndex": clustered }).await;
    let text = "x".repeat(10_000);
    // In an order that is not the one of their ids.
    let documents: Vec<_> = (0..MANY)
        .map(|id| {
            numbered(id.wrapping_mul(7919) % MANY, |doc| {
                doc.string("text", &text);
            })
        })
        .collect();
    for name in ["capped", "clustered"] {
        source.insert(name, &documents).await;
    }
    let mut sorted = documents.clone();
    sorted.sort_by_key(|document| i32::from_le_bytes(document[9..13].try_into().unwrap()));
    for data in [doc! { "errorCode": 43 }, doc! { "closeConnection": true }] {
        source.fail(&["getMore"], doc! { "times": 3 }, data).await;
        let archive = Archive::new();
        let dumped = archive.dump(&source).await.unwrap();
        assert!(dumped.retries >= 3);
        assert!(archive.documents("broken_natural.capped").await == documents, "the order or the documents differ");
        assert!(archive.documents("broken_natural.clustered").await == sorted);
        source.fail_no_more().await;
    }
}

#[tokio::test]
async fn an_error_that_stays_ends_the_dump_and_leaves_it_unfinished() {
    let set = own(Release::V6_0_5).await;
    let source = Side::new(&set, "error_stays");
    fill(&source, "many").await;
    source.fail(&["getMore"], doc! { "skip": 2 }, doc! { "errorCode": 2 }).await;
    let archive = Archive::new();
    let error = archive.dump(&source).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Server, "{error:?}");
    assert!(!archive.path().exists());
    assert_eq!(scan(&archive.partial()), "unfinished");
}

/// What a scan from front to back makes of a file.
fn scan(path: &std::path::Path) -> &'static str {
    let mut scanner = Scanner::new();
    scanner.push(&std::fs::read(path).unwrap());
    let mut documents = 0;
    while let Some(event) = scanner.next().unwrap() {
        if let Event::Block(block) = event {
            documents += block.header.count;
        }
    }
    match scanner.end() {
        Ok(_) => "finished",
        Err(transload_format::Error::Unfinished { documents: found, .. }) => {
            assert!(found > 0 && found == u64::from(documents));
            "unfinished"
        }
        Err(_) => "damaged",
    }
}

#[tokio::test]
async fn a_cancelled_dump_is_interrupted_and_leaves_what_it_had() {
    let set = own(Release::V6_0_5).await;
    let source = Side::new(&set, "cancelled");
    fill(&source, "many").await;
    let reads = HeldReads::of(&source).await;
    let archive = Archive::new();
    let cancel = CancellationToken::new();
    let server = source.server().await;
    let (dumped, ()) =
        tokio::join!(dump(&server, archive.options(), std::sync::Arc::new(Silent), cancel.clone()), async {
            reads.begun(2).await;
            cancel.cancel();
        });
    let error = dumped.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Interrupted);
    assert!(error.hint().unwrap().contains("archive.tlz.partial stays"), "{error:?}");
    assert!(!archive.path().exists());
    assert_eq!(scan(&archive.partial()), "unfinished");
}

#[tokio::test]
async fn a_dump_cancelled_while_it_waits_for_the_catalog_ends_at_once() {
    let set = own(Release::V6_0_5).await;
    let source = Side::new(&set, "cancelled_early");
    fill(&source, "many").await;
    let server = source.server().await;
    let waits: Document = doc! { "blockConnection": true, "blockTimeMS": 5000 };
    source.fail(&["listCollections"], doc! { "times": 1 }, waits).await;
    let archive = Archive::new();
    let cancel = CancellationToken::new();
    let begun = std::time::Instant::now();
    let (dumped, ()) =
        tokio::join!(dump(&server, archive.options(), std::sync::Arc::new(Silent), cancel.clone()), async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            cancel.cancel();
        });
    assert_eq!(dumped.unwrap_err().kind(), ErrorKind::Interrupted);
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}
