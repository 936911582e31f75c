//! What counts as progress of a build, from operations as servers describe them.

use std::sync::atomic::{AtomicU64, Ordering};

use bson::doc;

use super::*;

#[derive(Debug, Default)]
struct Sum(AtomicU64);

impl Progress for Sum {
    fn stage(&self, _: &str, _: Option<u64>, _: Option<u64>) {}
    fn advance(&self, documents: u64, _: u64) {
        self.0.fetch_add(documents, Ordering::Relaxed);
    }
    fn warn(&self, _: &str) {}
}

/// As 4.2.6, 5.0.4, 6.0.5 and 6.0.27 have it, in these words.
fn operation(namespace: &str, phase: &str, done: i64, total: i64) -> Vec<u8> {
    let msg = format!("Index Build: {phase} Index Build: {phase}: {done}/{total} {}%", done * 100 / total);
    let operation = doc! { "type": "op", "ns": namespace, "msg": msg, "progress": { "done": done, "total": total } };
    operation.to_vec().unwrap()
}

const SCAN: &str = "scanning collection";
const KEYS: &str = "inserting keys from external sorter into index";

#[test]
fn documents_are_counted_once_whatever_phases_follow_and_whoever_else_builds() {
    let sum = Sum::default();
    let (one, two) = (Namespace::new("shop", "one").unwrap(), Namespace::new("shop", "two").unwrap());
    let watch = BuildWatch::new(&sum, [(&one, 1000), (&two, 500)]);
    assert_eq!(watch.documents(), 1500);
    let between = doc! { "ns": "shop.one", "msg": "Index Build: draining writes received during build" };
    for (operations, told) in [
        (vec![operation("shop.one", SCAN, 400, 1000), operation("other.one", SCAN, 90, 100)], 400),
        (vec![operation("shop.one", SCAN, 900, 1000), operation("shop.two", SCAN, 100, 500)], 1000),
        // The keys of an array, index by index.
        (vec![operation("shop.one", KEYS, 2900, 3000), operation("shop.two", SCAN, 100, 500)], 1000),
        (vec![operation("shop.one", KEYS, 10, 1000)], 1000),
        // Documents that were there before the restore are read, too.
        (vec![operation("shop.one", SCAN, 4000, 5000), between.to_vec().unwrap()], 1100),
        // Tried again.
        (vec![operation("shop.two", SCAN, 20, 500)], 1100),
        // On two shards.
        (vec![operation("shop.two", SCAN, 100, 250), operation("shop.two", SCAN, 50, 250)], 1150),
    ] {
        watch.tell(&operations);
        assert_eq!(sum.0.load(Ordering::Relaxed), told);
    }
    watch.done(&one);
    watch.done(&two);
    watch.done(&two);
    assert_eq!(sum.0.load(Ordering::Relaxed), watch.documents());
}

#[test]
fn the_buckets_of_a_time_series_collection_are_its_documents() {
    let sum = Sum::default();
    let series = Namespace::new("shop", "series").unwrap();
    let watch = BuildWatch::new(&sum, [(&series, 10)]);
    watch.tell(&[operation("shop.system.buckets.series", SCAN, 7, 10)]);
    assert_eq!(sum.0.load(Ordering::Relaxed), 7);
}
