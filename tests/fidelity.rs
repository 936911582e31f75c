//! Documents arrive byte by byte as they were, however odd they are.

use std::collections::BTreeSet;

use bson::{Timestamp, doc};
use transload::{
    document::{RawBuilder, kind},
    sandbox::Release,
};

use crate::{
    copy::{Archive, Side, assert_equal, assert_whole, copy},
    odd_documents::{deep, document, every_type, ids, int32, largest, numbered, odd_names, string, values},
    servers::{own, shared},
};

/// Inserts each document that the server takes, and gives back how many it refused.
async fn insert_what_is_taken(side: &Side<'_>, collection: &str, documents: &[Vec<u8>]) -> usize {
    let mut refused = 0;
    for document in documents {
        refused += usize::from(!side.takes(collection, document).await);
    }
    refused
}

async fn assert_same_bytes(source: &Side<'_>, target: &Side<'_>, collection: &str) {
    let expected: BTreeSet<_> = source.documents(collection).await.into_iter().collect();
    let found: BTreeSet<_> = target.documents(collection).await.into_iter().collect();
    assert!(!expected.is_empty() && expected == found, "{collection}");
}

#[tokio::test]
async fn every_type_and_every_odd_value_arrives_as_it_was() {
    let set = shared(Release::V6_0_5).await;
    let (source, target) = (Side::new(set, "every_type"), Side::new(set, "every_type_copy"));
    source.insert("types", &every_type()).await;
    copy(&source, &target).await;
    assert_same_bytes(&source, &target, "types").await;
}

#[tokio::test]
async fn every_type_moves_between_4_2_and_6_0() {
    let old = Side::new(shared(Release::V4_2_6).await, "every_type_old");
    let new = Side::new(shared(Release::V6_0_27).await, "every_type_old");
    old.insert("types", &every_type()).await;
    old.insert("ids", &ids().iter().map(|id| document(id, |_| {})).collect::<Vec<_>>()).await;
    copy(&old, &new).await;
    let back = Side::new(shared(Release::V4_2_6).await, "every_type_back");
    copy(&new, &back).await;
}

#[tokio::test]
async fn odd_and_repeated_field_names_arrive_as_they_were() {
    let set = shared(Release::V6_0_5).await;
    let (source, target) = (Side::new(set, "odd_names"), Side::new(set, "odd_names_copy"));
    source.insert("names", &odd_names()).await;
    copy(&source, &target).await;
    assert_same_bytes(&source, &target, "names").await;
}

#[tokio::test]
async fn names_that_an_old_target_refuses_are_counted_and_named() {
    let source = Side::new(shared(Release::V6_0_5).await, "names_to_4_2");
    let target = Side::new(shared(Release::V4_2_6).await, "names_to_4_2");
    source.insert("names", &odd_names()).await;
    let probe = Side::new(shared(Release::V4_2_6).await, "names_to_4_2_probe");
    let refused = insert_what_is_taken(&probe, "names", &odd_names()).await;
    assert!(refused > 0);

    let archive = Archive::new();
    archive.dump(&source).await.unwrap();
    let restored = archive.restore(&target).await.unwrap();
    assert_eq!(restored.refused, refused as u64);
    assert_eq!(restored.inserted, (odd_names().len() - refused) as u64);
    assert!(!restored.is_whole());
    assert!(restored.rejected.iter().any(|rejected| rejected.id == r#"{"$numberInt":"7"}"#), "{:?}", restored.rejected);
}

#[tokio::test]
async fn ids_of_every_type_stand_side_by_side() {
    let set = shared(Release::V6_0_5).await;
    let (source, target) = (Side::new(set, "every_id"), Side::new(set, "every_id_copy"));
    let documents: Vec<_> = ids()
        .iter()
        .map(|id| {
            document(id, |doc| {
                doc.int32("a", 1);
            })
        })
        .collect();
    source.insert("ids", &documents).await;
    copy(&source, &target).await;
    assert_same_bytes(&source, &target, "ids").await;
}

#[tokio::test]
async fn the_largest_and_the_deepest_documents_arrive_as_they_were() {
    let set = shared(Release::V6_0_5).await;
    let (source, target) = (Side::new(set, "extremes"), Side::new(set, "extremes_copy"));
    let large: Vec<_> = (0..3).map(largest).collect();
    let mixed: Vec<_> = (3..200)
        .map(|id| {
            numbered(id, |doc| {
                doc.int32("a", 1);
            })
        })
        .collect();
    source.insert("large", &large).await;
    source.insert("large", &mixed).await;
    let mut deepest = 100;
    while source.takes("deep", &deep(i32::try_from(deepest).unwrap(), deepest)).await {
        deepest += 1;
    }
    assert!(deepest > 150, "{deepest}");
    copy(&source, &target).await;
    assert_same_bytes(&source, &target, "deep").await;
}

/// A document with this `_id` and an empty timestamp, and what else `fill` adds.
fn with_empty_timestamp(id: &(u8, Vec<u8>), fill: impl FnOnce(&mut RawBuilder)) -> Vec<u8> {
    document(id, |doc| {
        doc.int32("a", 1).append_element(kind::TIMESTAMP, "t", &[0; 8]);
        fill(doc);
    })
}

/// Empty timestamps in documents of every `_id`, beside every value, and under odd names; more of them than one
/// command puts back.
fn empty_timestamps() -> Vec<Vec<u8>> {
    let mut documents: Vec<_> = ids().iter().map(|id| with_empty_timestamp(id, |_| {})).collect();
    documents.extend((2000..3200).map(|id| with_empty_timestamp(&int32(id), |_| {})));
    documents.push(with_empty_timestamp(&int32(1000), |doc| {
        doc.embed("inner", |inner| {
            inner.append_element(kind::TIMESTAMP, "t", &[0; 8]);
        });
        for (kind, value) in values() {
            doc.append_element(kind, "value", &value);
        }
    }));
    for (id, name) in (1001..).zip(["$u", "a.b", "", "🦀"]) {
        documents.push(with_empty_timestamp(&int32(id), |doc| {
            doc.append_element(kind::TIMESTAMP, name, &[0; 8]);
            doc.embed("inner", |inner| {
                inner.int32("twice", 1).int32("twice", 2);
            });
        }));
    }
    documents.push(with_empty_timestamp(&string("large"), |doc| {
        doc.binary("data", 0, &vec![7; 15 << 20]);
    }));
    documents.push(with_empty_timestamp(&string("deep"), |doc| {
        doc.document("deep", &deep(1, 150));
    }));
    documents
}

#[tokio::test]
async fn empty_timestamps_stay_empty_whether_the_target_can_be_told_to_or_not() {
    let source = Side::new(shared(Release::V6_0_27).await, "empty_timestamps");
    source.insert_literally("times", &empty_timestamps()).await;
    let empty = source.open().await.collection::<bson::Document>("times");
    let empty = empty.count_documents(doc! { "t": Timestamp { time: 0, increment: 0 } }).await.unwrap();
    assert_eq!(empty, empty_timestamps().len() as u64, "the source has none, so nothing was tested");

    for release in [Release::V6_0_5, Release::V5_0_4] {
        let replacing = Side::new(shared(release).await, "empty_timestamps");
        copy(&source, &replacing).await;
        assert_same_bytes(&source, &replacing, "times").await;
    }
    let replacing = Side::new(shared(Release::V6_0_5).await, "empty_timestamps");
    let told = Side::new(shared(Release::V6_0_27).await, "empty_timestamps_told");
    copy(&replacing, &told).await;
    assert_same_bytes(&source, &told, "times").await;
}

#[tokio::test]
async fn empty_timestamps_of_one_name_are_refused_and_do_not_kill_an_old_server() {
    let source = Side::new(shared(Release::V6_0_27).await, "empty_twice");
    let target_set = own(Release::V6_0_5).await;
    let target = Side::new(&target_set, "empty_twice");
    let twice = with_empty_timestamp(&int32(1), |doc| {
        doc.append_element(kind::TIMESTAMP, "t", &[0; 8]);
    });
    let dotted_and_twice = with_empty_timestamp(&int32(2), |doc| {
        doc.append_element(kind::TIMESTAMP, "a.b", &[0; 8]).int32("x", 1).int32("x", 2);
    });
    source.insert_literally("times", &[twice, dotted_and_twice]).await;

    let archive = Archive::new();
    archive.dump(&source).await.unwrap();
    let restored = archive.restore(&target).await.unwrap();
    assert_eq!((restored.inserted, restored.refused, restored.rejected.len()), (0, 2, 2));
    assert!(!restored.is_whole());
    assert!(restored.rejected[0].reason.contains("by its clock"), "{:?}", restored.rejected);
}

#[tokio::test]
async fn the_same_documents_are_no_difference_and_others_are() {
    let set = shared(Release::V6_0_5).await;
    let (left, right) = (Side::new(set, "oracle_left"), Side::new(set, "oracle_right"));
    left.insert(
        "a",
        &[numbered(1, |doc| {
            doc.double("x", 1.0);
        })],
    )
    .await;
    right
        .insert(
            "a",
            &[numbered(1, |doc| {
                doc.int32("x", 1);
            })],
        )
        .await;
    assert_ne!(left.state().await.hashes, right.state().await.hashes);
    right.run(doc! { "drop": "a" }).await;
    let archive = Archive::new();
    archive.dump(&left).await.unwrap();
    assert_whole(&archive.restore(&right).await.unwrap());
    assert_equal(&left, &right).await;
}
