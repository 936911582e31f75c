//! Collections that are read in natural order, in parts: everything comes, whatever becomes of the records at which parts begin and
//! end, and nobody but the member that has that order goes on with it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bson::{Document, doc};
use tokio_util::sync::CancellationToken;
use transload::{
    document::{self, RawBuilder},
    dump::{Cursors, DumpOptions, dump},
    error::ErrorKind,
    progress::Silent,
    rate::Rate,
    report::DumpReport,
    sandbox::{Release, ReplicaSet, ReplicaSetOptions},
    scan::ReadOrder,
};

use crate::{
    changes::{moving::Move, workload::Random},
    copy::{Archive, Side, assert_equal, assert_whole},
    held_reads::{HeldReads, Hold},
    odd_documents::numbered,
    router::Router,
    servers::{binary, own, shared, three_members},
};

/// In parts of so many bytes.
fn options(archive: &Archive, part_bytes: u64) -> DumpOptions {
    DumpOptions { read_order: ReadOrder::Natural, part_bytes, cursors: Cursors::Fixed(4), ..archive.options() }
}

/// Documents with `_id`s in no order.
async fn fill(side: &Side<'_>, collection: &str, count: usize, bytes: usize) {
    let (mut random, text) = (Random::new(7), "x".repeat(bytes));
    let documents: Vec<_> = (0..count)
        .map(|n| {
            let id = i64::from_le_bytes(random.next().to_le_bytes());
            bson::rawdoc! { "_id": id, "n": i64::try_from(n).unwrap(), "text": text.as_str() }.into_bytes()
        })
        .collect();
    side.insert(collection, &documents).await;
}

#[tokio::test]
async fn a_collection_comes_whole_and_as_of_one_time() {
    for release in [Release::V5_0_4, Release::V6_0_5, Release::V6_0_27] {
        let set = shared(release).await;
        let (source, target) = (Side::new(set, "natural"), Side::new(set, "natural_copy"));
        fill(&source, "some", 5000, 100).await;
        source.run(doc! { "create": "words", "collation": { "locale": "en", "strength": 2 } }).await;
        fill(&source, "words", 5000, 100).await;
        source.run(doc! { "create": "ring", "capped": true, "size": 1_000_000 }).await;
        fill(&source, "ring", 2000, 100).await;
        // Whose records end somewhere in a reply.
        source.run(doc! { "delete": "words", "deletes": [{ "q": { "n": { "$mod": [7, 3] } }, "limit": 0 }] }).await;
        let archive = Archive::new();
        let dumped = archive.dump_as(&source, options(&archive, 10_000)).await.unwrap();
        assert_eq!(dumped.natural_order, ["natural.some", "natural.words"], "{dumped:?}");
        assert!(dumped.warnings.is_empty(), "{:?}", dumped.warnings);
        assert!(dumped.namespaces.iter().filter(|namespace| namespace.parts > 40).count() == 2, "{dumped:?}");
        let contents = archive.open();
        for namespace in contents.contents().namespaces().iter().filter(|namespace| namespace.parts.len() > 1) {
            let times: BTreeSet<_> =
                namespace.parts.iter().flat_map(|part| [part.begun.low, part.finished.unwrap().high]).collect();
            assert_eq!(times.len(), 1, "{times:?}");
            let least = Some(RawBuilder::new().append_element(document::kind::MIN_KEY, "_id", &[]).finish());
            assert!(namespace.parts.iter().all(|part| part.begun.lower == least && part.begun.upper.is_none()));
        }
        assert_whole(&archive.restore(&target).await.unwrap());
        assert_equal(&source, &target).await;
        // In the order of its records, within each part.
        let first = archive.documents("natural.some").await;
        let first: Vec<_> =
            first.iter().map(|document| document::find(document, b"n").unwrap().value.to_vec()).collect();
        let ascents = first.windows(2).filter(|pair| pair[0] < pair[1]).count();
        assert!(ascents > 4000, "{ascents}");
    }
}

#[tokio::test]
async fn a_part_goes_on_where_a_cursor_broke() {
    let set = own(Release::V6_0_5).await;
    let (source, target) = (Side::new(&set, "natural_broken"), Side::new(&set, "natural_broken_copy"));
    // A reply is behind every two of them.
    fill(&source, "large", 60, 2_500_000).await;
    source.fail(&["getMore"], doc! { "times": 10_000 }, doc! { "errorCode": 43 }).await;
    let archive = Archive::new();
    let dumped = archive.dump_as(&source, options(&archive, 50_000_000)).await.unwrap();
    assert!(dumped.retries > 10 && dumped.natural_order.len() == 1, "{dumped:?}");
    assert_whole(&archive.restore(&target).await.unwrap());
    assert_equal(&source, &target).await;
}

async fn standalone() -> ReplicaSet {
    let options = ReplicaSetOptions { standalone: true, ..ReplicaSetOptions::new(binary(Release::V6_0_5).await) };
    ReplicaSet::start(&options).await.unwrap()
}

/// A server without a time reads what is there: records at which parts begin and end are gone by then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_that_are_there_throughout_come_once_while_records_go() {
    let set = standalone().await;
    let source = Side::new(&set, "natural_come_and_go");
    let text = "x".repeat(500);
    let items = source.open().await.collection::<Document>("items");
    source.fail(&["find"], doc! { "activationProbability": 0.1 }, doc! { "errorCode": 43 }).await;
    for round in 0..2 {
        items.drop().await.unwrap();
        // One of three goes.
        items.insert_many((0..12_000).map(|n: i32| doc! { "_id": n * 7919 % 12_000, "text": &text })).await.unwrap();
        let stay: Vec<i32> = (0..12_000).filter(|n| n % 3 != 1).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let writer = tokio::spawn({
            let (stop, items, text) = (Arc::clone(&stop), items.clone(), text.clone());
            async move {
                let (mut random, mut writes) = (Random::new(round), 0);
                while !stop.load(Ordering::Relaxed) {
                    let ids: Vec<i32> = (0..100).map(|_| i32::try_from(random.below(4000)).unwrap() * 3 + 1).collect();
                    items.delete_many(doc! { "_id": { "$in": &ids } }).await.unwrap();
                    let new = ids.iter().map(|id| doc! { "_id": id + 1_000_000, "text": &text });
                    let _ = items.insert_many(new).ordered(false).await;
                    writes += 200;
                }
                writes
            }
        });
        let archive = Archive::new();
        let options = DumpOptions { max_rate: Some(Rate::Bytes(4_000_000)), ..options(&archive, 60_000) };
        let dumped = archive.dump_as(&source, options).await.unwrap();
        stop.store(true, Ordering::Relaxed);
        assert!(writer.await.unwrap() > 1000, "too few writes to have shown anything");
        assert!(dumped.natural_order.len() == 1 && dumped.namespaces[0].parts > 50, "{dumped:?}");
        assert!(dumped.warnings.iter().any(|warning| warning.contains("not as of one time")), "{dumped:?}");
        let mut counts: BTreeMap<i32, u32> = BTreeMap::new();
        for found in archive.documents("natural_come_and_go.items").await {
            let id = i32::from_le_bytes(document::id(&found).unwrap().value.try_into().unwrap());
            *counts.entry(id).or_default() += 1;
        }
        let wrong: Vec<_> = stay.iter().filter(|id| counts.get(id) != Some(&1)).collect();
        assert!(wrong.is_empty(), "{} of {}, as {:?}", wrong.len(), stay.len(), wrong.first());
        // Nothing that was deleted and not inserted anew came twice either.
        assert!(counts.values().all(|count| *count == 1));
    }
}

/// Of documents that are deleted and inserted anew meanwhile, one part has one state and another part another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_onto_parts_of_several_times_is_exact() {
    let set = own(Release::V6_0_5).await;
    let moved = Move::new(Side::new(&set, "natural_moved"), Side::new(&set, "natural_moved_copy"));
    let items = moved.source.open().await.collection::<Document>("items");
    let text = "x".repeat(300);
    items.insert_many((0..6000).map(|n| doc! { "_id": n * 7919 % 6000, "n": 0, "text": &text })).await.unwrap();
    let capture = moved.capture().await;
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (stop, items, text) = (Arc::clone(&stop), items.clone(), text.clone());
        async move {
            let (mut random, mut rounds) = (Random::new(3), 0);
            while !stop.load(Ordering::Relaxed) {
                let id = i32::try_from(random.below(6000)).unwrap();
                items.delete_one(doc! { "_id": id }).await.unwrap();
                items.insert_one(doc! { "_id": id, "n": rounds, "text": &text }).await.unwrap();
                let other = i32::try_from(random.below(6000)).unwrap();
                items.update_one(doc! { "_id": other }, doc! { "$inc": { "n": 1 } }).await.unwrap();
                rounds += 1;
            }
            rounds
        }
    });
    // All parts are to be of one time, and the dump takes longer than the server keeps its history.
    let admin = set.client().await.unwrap().database("admin");
    admin.run_command(doc! { "setParameter": 1, "minSnapshotHistoryWindowInSeconds": 0 }).await.unwrap();
    let options = DumpOptions { max_rate: Some(Rate::Bytes(500_000)), ..options(&moved.archive, 30_000) };
    let dumped = moved.archive.dump_as(&moved.source, options).await.unwrap();
    stop.store(true, Ordering::Relaxed);
    assert!(writer.await.unwrap() > 200, "too few writes to have shown anything");
    assert!(dumped.natural_order.len() == 1 && dumped.namespaces[0].parts > 40, "{dumped:?}");
    let archive = moved.archive.open();
    let windows = archive.contents().namespaces()[0].parts.iter();
    let times: BTreeSet<_> = windows.flat_map(|part| [part.begun.low, part.finished.unwrap().high]).collect();
    assert!(times.len() > 3, "{times:?}");
    assert!(dumped.warnings.iter().any(|warning| warning.contains("not as of one time")), "{dumped:?}");
    moved.archive.restore(&moved.target).await.unwrap();
    moved.recorded_now().await;
    capture.stop().await;
    let mut options = moved.options(None);
    options.follow = false;
    moved.replay_as(options, true, CancellationToken::new()).await.unwrap();
    moved.assert_equal().await;
}

/// After a crash a member may have given other records to the documents that it wrote last.
#[tokio::test]
async fn a_dump_ends_when_its_member_is_started_anew() {
    let set = own(Release::V6_0_5).await;
    let source = Side::new(&set, "natural_anew");
    fill(&source, "many", 3000, 10_000).await;
    let reads = HeldReads::of(&source).await;
    let archive = Archive::new();
    let (dumped, ()) = tokio::join!(archive.dump_as(&source, options(&archive, 15_000_000)), async {
        reads.begun(1).await;
        set.kill(0).unwrap();
        set.restart(0).await.unwrap();
    });
    let error = dumped.unwrap_err();
    assert!(error.to_string().contains("natural order was started anew, or is another one"), "{error}");
    assert!(error.hint().unwrap().contains("--read-order id"), "{:?}", error.hint());
}

/// Large collections whose `_id`s come in no order are read so without being asked for it; the others are not.
#[tokio::test]
async fn large_collections_whose_ids_come_in_no_order_are_read_so() {
    let set = own(Release::V6_0_5).await;
    let (source, target) = (Side::new(&set, "natural_auto"), Side::new(&set, "natural_auto_copy"));
    fill(&source, "scattered", 700, 100_000).await;
    let text = "x".repeat(100_000);
    let numbered = |n| {
        numbered(n, |document| {
            document.string("text", &text);
        })
    };
    source.insert("rising", &(0..700).map(numbered).collect::<Vec<_>>()).await;
    source.insert("falling", &(0..700).map(|n| numbered(-n)).collect::<Vec<_>>()).await;
    fill(&source, "small", 1000, 10_000).await;
    let archive = Archive::new();
    let dumped = archive.dump(&source).await.unwrap();
    assert_eq!(dumped.natural_order, ["natural_auto.scattered"]);
    assert_whole(&archive.restore(&target).await.unwrap());
    assert_equal(&source, &target).await;
    let archive = Archive::new();
    let in_parts = DumpOptions { parts: Some(8), ..archive.options() };
    let dumped = archive.dump_as(&source, in_parts).await.unwrap();
    assert_eq!(dumped.natural_order, ["natural_auto.scattered"], "what is small has no other order");
    assert!(dumped.namespaces.iter().all(|namespace| namespace.parts > 4), "{dumped:?}");
    let archive = Archive::new();
    let by_id = DumpOptions { read_order: ReadOrder::Id, ..archive.options() };
    assert!(archive.dump_as(&source, by_id).await.unwrap().natural_order.is_empty());
}

/// Older servers cannot go on behind a record, and a router knows of none.
#[tokio::test]
async fn where_there_is_no_natural_order_to_go_on_in_ids_are_read() {
    let old = Side::new(shared(Release::V4_2_6).await, "natural_old");
    fill(&old, "some", 3000, 100).await;
    let archive = Archive::new();
    let by_id = |dumped: &DumpReport| {
        assert!(dumped.natural_order.is_empty() && dumped.documents == 3000, "{dumped:?}");
        assert!(dumped.warnings.iter().any(|warning| warning.contains("some is read by _id")), "{dumped:?}");
    };
    by_id(&archive.dump_as(&old, options(&archive, 10_000)).await.unwrap());
    let set = shared(Release::V6_0_5).await;
    let behind = Side::new(set, "natural_routed");
    fill(&behind, "some", 3000, 100).await;
    let router = Router::before(set, |_| None).await;
    let uri = transload::connect::Uri::read(&router.uri("natural_routed")).unwrap().0;
    let server = transload::connect::connect(&uri, 4).await.unwrap();
    let archive = Archive::new();
    by_id(&dump(&server, options(&archive, 10_000), Arc::new(Silent), CancellationToken::new()).await.unwrap());
}

#[tokio::test]
async fn a_dump_goes_on_with_its_member_when_that_steps_down() {
    let set = three_members().await;
    let (source, target) = (Side::new(&set, "natural_member"), Side::new(&set, "natural_member_copy"));
    fill(&source, "many", 6000, 10_000).await;
    let first = set.primary().await.unwrap();
    let reads = HeldReads::new(&set, source.database, 1000, Hold::For(Duration::from_secs(2))).await;
    let archive = Archive::new();
    let (dumped, ()) = tokio::join!(archive.dump_as(&source, options(&archive, 30_000_000)), async {
        reads.begun(1).await;
        set.step_down().await.unwrap();
        assert_ne!(set.primary().await.unwrap(), first);
        assert!(reads.kill_cursors(source.database, "many").await >= 1, "the dump was not in the middle");
        reads.release().await;
    });
    let dumped = dumped.unwrap();
    assert!(dumped.retries > 0 && dumped.natural_order.len() == 1, "{dumped:?}");
    assert_whole(&archive.restore(&target).await.unwrap());
    assert_equal(&source, &target).await;
}

#[tokio::test]
async fn a_dump_ends_when_its_member_is_lost_and_says_in_which_order_others_could_go_on() {
    let set = three_members().await;
    let source = Side::new(&set, "natural_lost");
    fill(&source, "many", 3000, 10_000).await;
    let reads = HeldReads::of(&source).await;
    let archive = Archive::new();
    let server = source.server_with("&serverSelectionTimeoutMS=2000").await.with_patience(Duration::from_secs(3));
    let options = options(&archive, 15_000_000);
    let (dumped, ()) = tokio::join!(dump(&server, options, Arc::new(Silent), CancellationToken::new()), async {
        reads.begun(1).await;
        set.kill(set.primary().await.unwrap()).unwrap();
    });
    let error = dumped.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    assert!(error.hint().unwrap().contains("--read-order id"), "{:?}", error.hint());
    assert!(!archive.path().exists() && archive.partial().exists());
}
