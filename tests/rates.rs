//! What is read and loaded in a second, as the servers count it: about what the rate wants, at any time and over all.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bson::doc;
use transload::{
    dump::Cursors,
    rate::Rate,
    restore::Existing,
    sandbox::{Release, ReplicaSet},
};

use crate::{
    copy::{Archive, Side, assert_whole},
    odd_documents::numbered,
    servers::own,
};

const DOCUMENTS: u32 = 3000;
/// Seconds that they should take.
const SECONDS: f64 = 8.0;
/// Insert commands, and cursors where there is a rate.
const PARALLEL: usize = 4;

fn rates(bytes: u64) -> [Rate; 2] {
    [Rate::Bytes(bytes / SECONDS as u64), Rate::Documents(u64::from(DOCUMENTS) / SECONDS as u64)]
}

/// Documents of one size.
async fn fill(side: &Side<'_>) -> u64 {
    let text = "x".repeat(2000);
    let document = |n: u32| {
        numbered(n as i32, |document| {
            document.string("text", &text);
        })
    };
    let documents: Vec<_> = (0..DOCUMENTS).map(document).collect();
    side.insert("items", &documents).await;
    documents.iter().map(|document| document.len() as u64).sum()
}

/// A machine that is busy with something else may hold anything up, but not three times.
const TRIES: usize = 3;

/// Does the work until it was within a tenth of the rate, which it must not have been above.
async fn held_to_rate<T>(set: &ReplicaSet, count: &'static str, work: impl AsyncFn() -> T) {
    for left in (0..TRIES).rev() {
        let took = done_within_rate(set, count, &work).await;
        if took < SECONDS * 1.1 {
            return;
        }
        assert!(left > 0, "{took} s");
    }
}

/// Does the work, and holds a count of the server's against the rate. Gives the seconds that it took.
async fn done_within_rate<T>(set: &ReplicaSet, count: &'static str, work: &impl AsyncFn() -> T) -> f64 {
    let (stop, begun) = (Arc::new(AtomicBool::new(false)), Instant::now());
    let admin = set.client().await.unwrap().database("admin");
    let watch = tokio::spawn({
        let stop = Arc::clone(&stop);
        async move {
            let mut samples = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let status = admin.run_command(doc! { "serverStatus": 1 }).await.unwrap();
                let counts = status.get_document("metrics").unwrap().get_document("document").unwrap();
                samples.push((begun.elapsed().as_secs_f64(), counts.get_i64(count).unwrap() as f64));
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            samples
        }
    });
    let begun = Instant::now();
    work().await;
    let took = begun.elapsed().as_secs_f64();
    tokio::time::sleep(Duration::from_millis(200)).await;
    stop.store(true, Ordering::Relaxed);
    let samples = watch.await.unwrap();

    assert!(took > SECONDS * 0.98, "{took} s");
    // Whatever was counted before, as the `_id`s of a sample, is not counted.
    let before = samples.last().unwrap().1 - f64::from(DOCUMENTS);
    let a_second = f64::from(DOCUMENTS) / SECONDS;
    assert!(samples.len() > 20, "{samples:?}");
    let (mut at_last, mut last) = (0.0, 0.0);
    for (at, count) in samples {
        let count = (count - before).max(0.0);
        // What is on its way may come a little early.
        let most = a_second * (at * 1.1 + 0.2);
        assert!(count <= most, "{count} documents after {at} s, {most} at most");
        // And not all at once after a wait, but for what a pause of the machine has held up.
        let at_once = a_second * ((at - at_last) * 1.1 + 0.4);
        assert!(count - last <= at_once, "{} documents between {at_last} s and {at} s", count - last);
        (at_last, last) = (at, count);
    }
    took
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_is_held_to_its_rate() {
    let set = own(Release::V6_0_5).await;
    let side = Side::new(&set, "rate_of_dump");
    let bytes = fill(&side).await;
    for rate in rates(bytes) {
        let dump = async || {
            let archive = Archive::new();
            let mut options = archive.options();
            (options.max_rate, options.cursors, options.part_bytes) = (Some(rate), Cursors::Adapting, bytes / 6);
            let dumped = archive.dump_as(&side, options).await.unwrap();
            assert_eq!((dumped.documents, dumped.bytes), (DOCUMENTS.into(), bytes), "{rate:?}");
            assert!(dumped.namespaces[0].parts >= PARALLEL, "{rate:?}");
        };
        held_to_rate(&set, "returned", dump).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_is_held_to_its_rate() {
    let set = own(Release::V6_0_5).await;
    let side = Side::new(&set, "rate_of_restore");
    let bytes = fill(&side).await;
    let archive = Archive::new();
    archive.dump(&side).await.unwrap();
    for rate in rates(bytes) {
        let restore = async || {
            let mut options = archive.restore_options(&side);
            (options.max_rate, options.parallel, options.existing) = (Some(rate), PARALLEL, Existing::Drop);
            let restored = archive.restore_as(&side, options).await.unwrap();
            assert_whole(&restored);
            assert_eq!(restored.inserted, u64::from(DOCUMENTS), "{rate:?}");
        };
        held_to_rate(&set, "inserted", restore).await;
    }
}
