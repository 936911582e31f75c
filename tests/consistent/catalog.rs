//! What a consistent dump makes of the catalog: all of it as of its one time, or refused before anything is written.

use std::time::Duration;

use bson::doc;
use transload::{
    error::{Error, ErrorKind},
    report::{DumpReport, PointInTime},
    sandbox::Release,
    selection::{Selection, SelectionOptions},
};

use super::dump_consistently;
use crate::{
    copy::{Archive, Side, assert_equal, assert_whole},
    odd_documents::numbered,
    servers::{own, shared},
};

async fn dump(side: &Side<'_>, archive: &Archive) -> Result<DumpReport, Error> {
    let mut options = archive.options();
    options.consistent = true;
    archive.dump_as(side, options).await
}

fn assert_nothing_was_written(archive: &Archive) {
    assert!(!archive.path().exists() && !archive.partial().exists());
}

#[tokio::test]
async fn a_server_that_is_too_old_is_refused() {
    let side = Side::new(shared(Release::V4_2_6).await, "consistent_4_2");
    side.insert("some", &[numbered(1, |_| {})]).await;
    let archive = Archive::new();
    let error = dump(&side, &archive).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert!(error.to_string().ends_with("--consistent wants a server from 5.0 on, and this is 4.2.6"), "{error:?}");
    assert!(error.hint().unwrap().contains("transload capture"));
    assert_nothing_was_written(&archive);
}

#[tokio::test]
async fn a_capped_collection_is_refused_by_its_name() {
    for release in [Release::V5_0_4, Release::V6_0_5, Release::V6_0_27] {
        let side = Side::new(shared(release).await, "consistent_capped");
        side.run(doc! { "create": "log", "capped": true, "size": 100_000 }).await;
        for name in ["log", "some"] {
            side.insert(name, &[numbered(1, |_| {})]).await;
        }
        let archive = Archive::new();
        let error = dump(&side, &archive).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(error.to_string().ends_with("as --consistent wants it: consistent_capped.log"), "{error:?}");
        assert!(error.hint().unwrap().contains("--exclude"));
        assert_nothing_was_written(&archive);

        let mut options = archive.options();
        let exclude = vec!["consistent_capped.log".to_owned()];
        options.selection = Selection::new(&SelectionOptions { exclude, ..SelectionOptions::default() }).unwrap();
        options.consistent = true;
        let dumped = archive.dump_as(&side, options).await.unwrap();
        assert_eq!((dumped.documents, dumped.consistency.is), (1, PointInTime::PointInTime));
    }
}

/// All but capped ones: time-series, clustered, empty ones, views.
#[tokio::test]
async fn collections_of_all_other_kinds_are_of_the_one_time() {
    for release in [Release::V5_0_4, Release::V6_0_5] {
        let side = Side::new(shared(release).await, "consistent_kinds");
        side.run(doc! { "create": "series", "timeseries": { "timeField": "t" } }).await;
        let times = (0..100).map(|n| doc! { "t": bson::DateTime::from_millis(n * 10_000_000), "n": n });
        side.run(doc! { "insert": "series", "documents": times.collect::<Vec<_>>() }).await;
        side.run(doc! { "create": "empty" }).await;
        side.run(doc! { "create": "seen", "viewOn": "plain", "pipeline": [] }).await;
        side.run(doc! { "create": "system.js" }).await;
        let clustered = doc! { "key": { "_id": 1 }, "unique": true };
        if release == Release::V6_0_5 {
            side.run(doc! { "create": "clustered", "clusteredIndex": clustered }).await;
        }
        let collated = doc! { "locale": "de", "strength": 1 };
        side.run(doc! { "create": "collated", "collation": collated }).await;
        for name in ["plain", "clustered", "collated"] {
            side.insert(name, &(0..100).map(|id| numbered(id, |_| {})).collect::<Vec<_>>()).await;
        }
        let (archive, retries) = dump_consistently(&side).await;
        assert_eq!(retries, 0);
        let target = Side::new(shared(release).await, "consistent_kinds_copy");
        assert_whole(&archive.restore(&target).await.unwrap());
        assert_equal(&side, &target).await;
    }
}

#[tokio::test]
async fn a_collection_that_comes_before_the_one_time_is_in_it() {
    let set = own(Release::V6_0_5).await;
    let side = Side::new(&set, "consistent_late");
    side.insert("early", &[numbered(1, |_| {})]).await;
    // The time is asked for after the first reading of the catalog.
    side.fail(&["ping"], doc! { "times": 1 }, doc! { "blockConnection": true, "blockTimeMS": 1500 }).await;
    let archive = Archive::new();
    let (dumped, ()) = tokio::join!(dump(&side, &archive), async {
        side.failing().await;
        side.insert("late", &[numbered(1, |_| {}), numbered(2, |_| {})]).await;
    });
    let dumped = dumped.unwrap();
    assert_eq!((dumped.documents, dumped.consistency.is), (3, PointInTime::PointInTime));
}

#[tokio::test]
async fn a_catalog_that_never_rests_ends_the_dump_with_its_names() {
    let set = own(Release::V6_0_5).await;
    let side = Side::new(&set, "consistent_restless");
    side.insert("first", &[numbered(1, |_| {})]).await;
    side.fail(&["ping"], doc! { "times": 100 }, doc! { "blockConnection": true, "blockTimeMS": 500 }).await;
    let archive = Archive::new();
    let churn = async {
        for number in 0.. {
            side.run(doc! { "create": format!("next{number}") }).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let dumped = tokio::select! {
        dumped = dump(&side, &archive) => dumped,
        () = churn => unreachable!(),
    };
    let error = dumped.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Server);
    assert!(error.to_string().contains("at last consistent_restless.next"), "{error:?}");
    assert_nothing_was_written(&archive);
}

#[tokio::test]
async fn a_collection_renamed_while_a_consistent_dump_reads_ends_it() {
    let set = own(Release::V6_0_5).await;
    let side = Side::new(&set, "consistent_renamed");
    crate::dump_faults::fill(&side, "many").await;
    let reads = crate::held_reads::HeldReads::of(&side).await;
    let archive = Archive::new();
    let (dumped, ()) = tokio::join!(dump(&side, &archive), async {
        reads.begun(1).await;
        let database = side.database;
        let rename = doc! { "renameCollection": format!("{database}.many"), "to": format!("{database}.other") };
        set.client().await.unwrap().database("admin").run_command(rename).await.unwrap();
        reads.release().await;
    });
    let error = dumped.unwrap_err();
    assert!(error.to_string().contains("consistent_renamed.many"), "{error:?}");
    assert!(!archive.path().exists());
}
