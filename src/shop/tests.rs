//! What the shop promises: the same bytes everywhere, the sizes and shapes it names, ids in order.

use super::*;
use crate::document::{elements, find, has_empty_timestamp, id, kind};

const SHOP: Shop = Shop { seed: 1, scale: 1.0 };

fn range(shop: &Shop, collection: Collection, range: std::ops::Range<u64>) -> Vec<u8> {
    let mut out = Vec::new();
    range.for_each(|i| shop.document(collection, i, &mut out));
    out
}

/// The documents one by one.
fn each(collection: Collection, range: std::ops::Range<u64>) -> Vec<Vec<u8>> {
    let document = |i| {
        let mut out = Vec::new();
        SHOP.document(collection, i, &mut out);
        out
    };
    range.map(document).collect()
}

fn mean_size(collection: Collection) -> usize {
    range(&SHOP, collection, 0..2000).len() / 2000
}

#[test]
fn the_same_seed_and_number_give_the_same_bytes_as_ever() {
    // FNV-1a. A change of these numbers makes every measurement of before one of other data: think twice.
    let hash = |bytes: Vec<u8>| {
        let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
    };
    let hashes = Collection::ALL.map(|collection| hash(range(&SHOP, collection, 0..100)));
    assert_eq!(hashes, [1_564_925_647_992_075_268, 9_882_210_151_734_071_266, 11_476_904_810_166_069_251]);
}

#[test]
fn a_document_depends_on_no_other() {
    for collection in Collection::ALL {
        assert_eq!(range(&SHOP, collection, 0..20), each(collection, 0..20).concat());
    }
}

#[test]
fn another_seed_gives_other_documents() {
    let other = Shop { seed: 2, ..SHOP };
    for collection in Collection::ALL {
        assert_ne!(range(&SHOP, collection, 0..1), range(&other, collection, 0..1));
    }
}

#[test]
fn documents_are_of_the_sizes_they_are_said_to_be() {
    assert!((450..490).contains(&mean_size(Collection::Orders)), "{}", mean_size(Collection::Orders));
    assert!((870..960).contains(&mean_size(Collection::Events)), "{}", mean_size(Collection::Events));
    assert_eq!(mean_size(Collection::Blobs), 16 * 1024 + 25);
}

#[test]
fn ids_are_of_their_type_and_ascend() {
    for (collection, id_kind) in
        [(Collection::Orders, kind::OBJECT_ID), (Collection::Events, kind::STRING), (Collection::Blobs, kind::INT32)]
    {
        let mut ids = Vec::new();
        for document in each(collection, 0..300) {
            let id = id(&document).unwrap();
            assert_eq!(id.kind, id_kind);
            let bytes = id.value.iter().copied();
            // Integers are stored from their lowest byte on.
            ids.push(if id_kind == kind::INT32 { bytes.rev().collect() } else { bytes.collect::<Vec<u8>>() });
        }
        assert!(ids.is_sorted_by(|a, b| a < b), "{collection:?}");
    }
    assert_eq!(id(&range(&SHOP, Collection::Events, 7..8)).unwrap().value, b"\x10\0\0\0ev-000000000007\0");
}

#[test]
fn every_document_is_one_that_bson_can_read() {
    for collection in Collection::ALL {
        for document in each(collection, 0..500) {
            bson::deserialize_from_slice::<bson::Document>(&document).unwrap();
            assert!(!has_empty_timestamp(&document));
        }
    }
}

#[test]
fn an_order_has_one_to_five_items_with_decimal_prices() {
    let mut counts = [0; 6];
    for order in each(Collection::Orders, 0..2000) {
        let items = find(&order, b"items").unwrap();
        for item in elements(items.value) {
            let price = find(item.unwrap().value, b"price").unwrap();
            let price = bson::Decimal128::from_bytes(price.value.try_into().unwrap()).to_string();
            assert!(
                price.ends_with(".99") || price.ends_with(".95") || price.ends_with(".90") || price.ends_with(".49")
            );
        }
        counts[elements(items.value).count()] += 1;
    }
    assert!(counts[0] == 0 && counts[1] > counts[2] && counts[5] > 0, "{counts:?}");
}

#[test]
fn the_words_of_a_status_and_of_an_event_all_occur() {
    let distinct = |collection, name: &[u8]| {
        let documents = each(collection, 0..2000);
        let values = documents.iter().map(|document| find(document, name).unwrap().value);
        values.collect::<std::collections::HashSet<_>>().len()
    };
    assert_eq!(distinct(Collection::Orders, b"status"), 5);
    assert_eq!(distinct(Collection::Events, b"type"), 8);
}

#[test]
fn counts_follow_the_scale_and_no_collection_is_empty() {
    let counts = |scale| Shop { seed: 1, scale }.collections().map(|(_, count)| count);
    assert_eq!(counts(1.0), [1_000_000, 300_000, 15_000]);
    assert_eq!(counts(0.001), [1000, 300, 15]);
    assert_eq!(counts(0.0), [1, 1, 1]);
    assert_eq!(counts(f64::NAN), [1, 1, 1]);
}

#[test]
fn index_specs_are_those_that_a_server_takes() {
    let specs = Collection::ALL.map(|collection| collection.indexes());
    let specs: Vec<String> = specs.iter().flatten().map(|spec| crate::extjson::to_string(spec).unwrap()).collect();
    assert_eq!(
        specs,
        [
            r#"{"key":{"customer.id":{"$numberInt":"1"}},"name":"customer.id_1"}"#,
            r#"{"key":{"status":{"$numberInt":"1"},"created":{"$numberInt":"-1"}},"name":"status_1_created_-1"}"#,
            r#"{"key":{"ts":{"$numberInt":"1"}},"name":"ts_1"}"#,
        ]
    );
}
