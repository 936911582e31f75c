//! Collections that are read in many parts at once: everything comes, and comes once.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bson::doc;
use transload::{
    catalog,
    document::{self, kind},
    dump::Cursors,
    sandbox::Release,
    scan::{Bounds, PartScan, split},
    selection::{Selection, SelectionOptions},
};

use crate::{
    copy::{Archive, Side, assert_equal, assert_whole},
    odd_documents::{document, ids, int32, numbered, string},
    servers::{own, shared},
};

/// Dumps in parts of so many bytes, wants more than `least` of them, restores, and compares.
async fn copy_in_parts(source: &Side<'_>, target: &Side<'_>, part_bytes: u64, least: usize) {
    let archive = Archive::new();
    let mut options = archive.options();
    (options.part_bytes, options.cursors) = (part_bytes, Cursors::Fixed(4));
    let dumped = archive.dump_as(source, options).await.unwrap();
    assert!(dumped.namespaces.iter().any(|namespace| namespace.parts > least), "{:?}", dumped.namespaces);
    assert_whole(&archive.restore(target).await.unwrap());
    for collection in source.state().await.hashes.keys() {
        let expected = source.documents(collection).await;
        let found: BTreeSet<_> =
            archive.documents(&format!("{}.{collection}", source.database)).await.into_iter().collect();
        let missing: Vec<_> = expected.iter().filter(|document| !found.contains(*document)).collect();
        let missing: Vec<_> =
            missing.iter().map(|missing| transload::extjson::value(&document::id(missing).unwrap())).collect();
        assert!(missing.is_empty(), "{} of {} are missing: {missing:?}", missing.len(), expected.len());
    }
    assert_equal(source, target).await;
}

/// `_id`s of all types, several of each in turn, so that bounds of all types are drawn.
fn mixed_ids() -> Vec<(u8, Vec<u8>)> {
    let mut all = ids();
    for n in 10..400_i32 {
        all.push(int32(n));
        all.push((kind::DOUBLE, (f64::from(n) + 0.5).to_le_bytes().to_vec()));
        all.push((kind::INT64, (1_i64 << 40 | i64::from(n)).to_le_bytes().to_vec()));
        all.push(string(format!("key {n}")));
        all.push((kind::DATE, i64::from(n).to_le_bytes().to_vec()));
        all.push((kind::TIMESTAMP, (u64::from(n.unsigned_abs()) << 32).to_le_bytes().to_vec()));
        all.push((kind::OBJECT_ID, [&n.to_be_bytes()[..], &[7; 8]].concat()));
        all.push((kind::BINARY, [&4_i32.to_le_bytes()[..], &[0], &n.to_be_bytes()].concat()));
        for fields in [["a", "b"], ["b", "a"]] {
            let mut id = document::RawBuilder::new();
            id.int32(fields[0], n).int32(fields[1], n);
            all.push((kind::DOCUMENT, id.finish()));
        }
    }
    all
}

#[tokio::test]
async fn mixed_ids_in_many_parts_lose_nothing() {
    for release in [Release::V4_2_6, Release::V6_0_5] {
        let set = shared(release).await;
        let (source, target) = (Side::new(set, "mixed_parts"), Side::new(set, "mixed_parts_copy"));
        let text = "x".repeat(100);
        let documents = mixed_ids();
        let documents = documents.iter().map(|id| {
            document(id, |doc| {
                doc.string("text", &text);
            })
        });
        source.insert("mixed", &documents.collect::<Vec<_>>()).await;
        copy_in_parts(&source, &target, 5_000, 60).await;
        target.run(doc! { "dropDatabase": 1 }).await;
        // Down to a part for each document or two.
        copy_in_parts(&source, &target, 300, 1000).await;
    }
}

/// To a server, `min` without `max` ends before MaxKey.
#[tokio::test]
async fn regression_a_document_under_max_key_is_in_the_last_part_and_in_no_other() {
    let source = Side::new(shared(Release::V6_0_5).await, "max_key");
    let max_key = (kind::MAX_KEY, vec![]);
    source.insert("some", &[numbered(1, |_| {}), numbered(9, |_| {}), document(&max_key, |_| {})]).await;
    let server = source.server().await;
    let everything = Selection::new(&SelectionOptions::default()).unwrap();
    let entry = &catalog::read(&server, &everything).await.unwrap().entries[0];
    let (five, max) = (Some(numbered(5, |_| {})), Some(document(&max_key, |_| {})));
    for (lower, upper, count) in [
        (None, None, 3),
        (None, five.clone(), 1),
        (five.clone(), None, 2),
        (five.clone(), max.clone(), 1),
        (max.clone(), None, 1),
        (None, max, 2),
    ] {
        let bounds = Bounds { lower, upper };
        let mut scan = PartScan::new(&server, entry, &bounds, 0);
        let mut found = 0;
        while let Some(delivered) = scan.next().await.unwrap() {
            found += delivered.documents().unwrap().count();
        }
        assert_eq!(found, count, "{bounds:?}");
    }
}

#[tokio::test]
async fn mixed_ids_in_parts_whose_cursors_break_lose_nothing() {
    let set = own(Release::V6_0_5).await;
    let (source, target) = (Side::new(&set, "mixed_broken"), Side::new(&set, "mixed_broken_copy"));
    // Documents so large that each reply ends behind every second of them.
    let text = "x".repeat(2_500_000);
    let documents: Vec<_> = ids()
        .iter()
        .map(|id| {
            document(id, |doc| {
                doc.string("text", &text);
            })
        })
        .collect();
    for some in documents.chunks(4) {
        source.insert("mixed", some).await;
    }
    source.fail(&["getMore"], doc! { "times": 10_000 }, doc! { "errorCode": 43 }).await;
    copy_in_parts(&source, &target, 40_000_000, 1).await;
}

#[tokio::test]
async fn a_collation_in_many_parts_loses_nothing() {
    let set = own(Release::V6_0_5).await;
    let (source, target) = (Side::new(&set, "collation_parts"), Side::new(&set, "collation_parts_copy"));
    let collation = doc! { "locale": "en", "strength": 2 };
    source.run(doc! { "create": "words", "collation": collation }).await;
    let word = |n: i32| {
        let word: String = format!("{n:05}-äßÅzeż").chars().rev().collect();
        if n % 2 == 0 { word.to_uppercase() } else { word }
    };
    let documents: Vec<_> = (0..2000)
        .map(|n| {
            document(&string(word(n)), |doc| {
                doc.int32("n", n);
            })
        })
        .collect();
    source.insert("words", &documents).await;
    let twice = document(&string(word(0).to_lowercase()), |_| {});
    assert!(!source.takes("words", &twice).await, "the collation does not hold");
    copy_in_parts(&source, &target, 2_000, 30).await;
    // With breaks in between, the last `_id` of one cursor is found in the other spelling.
    source.fail(&["getMore"], doc! { "times": 3 }, doc! { "errorCode": 43 }).await;
    target.run(doc! { "dropDatabase": 1 }).await;
    copy_in_parts(&source, &target, 20_000, 2).await;
}

/// So many documents that the server is asked for a sample of them, which is as skewed as they are.
#[tokio::test]
async fn skewed_ids_and_sizes_in_many_parts_lose_nothing() {
    let set = own(Release::V6_0_5).await;
    let (source, target) = (Side::new(&set, "skewed_parts"), Side::new(&set, "skewed_parts_copy"));
    let long = "x".repeat(20_000);
    // Most are close together, a few are far away, and the hundredth part has most of the bytes.
    let close = (0..24_000_i32).map(int32);
    let far = (31..63).flat_map(|power| (-20..20_i64).map(move |n| ((1_i64 << power) + n).to_le_bytes().to_vec()));
    let far = far.map(|number| (kind::INT64, number));
    let words = (0..500).map(|n| string(format!("{}{n}", "same".repeat(50))));
    let ids: Vec<_> = close.chain(far).chain(words).collect();
    let documents = ids.iter().enumerate().map(|(n, id)| {
        document(id, |doc| {
            doc.string("text", if (12_000..12_250).contains(&n) { &long } else { "" });
        })
    });
    source.insert("skewed", &documents.collect::<Vec<_>>()).await;
    copy_in_parts(&source, &target, 100_000, 20).await;
    target.run(doc! { "dropDatabase": 1 }).await;
    // Far more parts than the sample has bounds for; how many, is a matter of luck.
    copy_in_parts(&source, &target, 1_000, 100).await;
}

/// Documents that have grown over the years: the last tenth of them has nearly all bytes.
#[tokio::test]
async fn parts_have_about_as_many_bytes_each_however_sizes_go_with_ids() {
    let source = Side::new(shared(Release::V6_0_5).await, "grown_parts");
    let text = "x".repeat(3000);
    let documents: Vec<_> = (0..30_000)
        .map(|n| {
            numbered(n, |document| {
                document.string("text", if n < 27_000 { "" } else { &text });
            })
        })
        .collect();
    source.insert("grown", &documents).await;
    let server = source.server().await;
    let everything = Selection::new(&SelectionOptions::default()).unwrap();
    let entry = &catalog::read(&server, &everything).await.unwrap().entries[0];
    let parts = split(&server, entry, 1_000_000).await.unwrap();
    assert!(parts.len() > 5, "{}", parts.len());
    let (mut counts, mut bytes) = (0, Vec::new());
    for bounds in &parts {
        let (mut scan, mut of_part) = (PartScan::new(&server, entry, bounds, 0), 0);
        while let Some(delivered) = scan.next().await.unwrap() {
            for document in delivered.documents().unwrap() {
                (counts, of_part) = (counts + 1, of_part + document.len());
            }
        }
        bytes.push(of_part);
    }
    assert_eq!(counts, documents.len());
    let all: usize = bytes.iter().sum();
    assert!(bytes.iter().all(|of_part| *of_part < all / 2), "{bytes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_that_are_there_throughout_come_once_while_others_come_and_go() {
    let set = own(Release::V6_0_5).await;
    let source = Side::new(&set, "come_and_go");
    let text = "x".repeat(500);
    // The even ones stay, the odd ones come and go.
    let stay: Vec<_> = (0..8000)
        .map(|n| {
            numbered(n * 2, |doc| {
                doc.string("text", &text);
            })
        })
        .collect();
    source.insert("items", &stay).await;
    source.fail(&["find"], doc! { "activationProbability": 0.1 }, doc! { "errorCode": 189 }).await;

    let stop = Arc::new(AtomicBool::new(false));
    let items = source.open().await.collection::<bson::Document>("items");
    let writer = tokio::spawn({
        let (stop, text) = (Arc::clone(&stop), text.clone());
        async move {
            let (mut round, mut writes) = (0_i32, 0_u64);
            while !stop.load(Ordering::Relaxed) {
                let ids: Vec<i32> = (0..100).map(|n| ((round * 37 + n * 160) % 16_000) | 1).collect();
                let some = ids.iter().map(|id| doc! { "_id": id, "text": &text });
                let _ = items.insert_many(some).ordered(false).await;
                items.delete_many(doc! { "_id": { "$in": &ids } }).await.unwrap();
                (round, writes) = (round + 1, writes + 100);
            }
            writes
        }
    });
    for _ in 0..3 {
        let archive = Archive::new();
        let mut options = archive.options();
        (options.part_bytes, options.cursors) = (20_000, Cursors::Fixed(4));
        let dumped = archive.dump_as(&source, options).await.unwrap();
        assert!(dumped.namespaces[0].parts > 50);
        let mut counts: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
        for found in archive.documents("come_and_go.items").await {
            *counts.entry(document::id(&found).unwrap().value.to_vec()).or_default() += 1;
        }
        assert!(counts.values().all(|count| *count == 1), "a document came twice");
        let found: BTreeSet<_> = counts.into_keys().collect();
        let missing = stay.iter().filter(|document| !found.contains(document::id(document).unwrap().value)).count();
        assert_eq!(missing, 0);
    }
    stop.store(true, Ordering::Relaxed);
    assert!(writer.await.unwrap() > 1000, "too few writes to have shown anything");
}
