//! Collections that are dropped, or made anew, while a dump is about to read them: none is taken for a short one.

use std::time::Duration;

use bson::doc;
use transload::sandbox::Release;

use crate::{
    copy::{Archive, Side},
    dump_faults::fill,
    held_reads::{HeldReads, Hold},
    odd_documents::numbered,
    servers::own,
};

#[tokio::test]
async fn a_collection_dropped_while_it_is_read_is_no_short_copy() {
    for made_anew in [false, true] {
        let set = own(Release::V6_0_5).await;
        let source = Side::new(&set, "dropped");
        fill(&source, "many").await;
        // Either the server says why the cursor ends, or it was lost before that.
        let lost = Hold::AndFail(Duration::from_secs(2), 43);
        let reads = match made_anew {
            true => HeldReads::new(&set, source.database, 1, lost).await,
            false => HeldReads::of(&source).await,
        };
        let archive = Archive::new();
        let (dumped, ()) = tokio::join!(archive.dump(&source), async {
            reads.begun(1).await;
            source.run(doc! { "drop": "many" }).await;
            if made_anew {
                source.insert("many", &[numbered(1_000_000, |_| {})]).await;
            }
        });
        let error = dumped.unwrap_err();
        assert!(
            error.to_string().ends_with("dropped.many was dropped, renamed or made anew while it was read"),
            "{error:?}"
        );
        assert!(!archive.path().exists());
    }
}

/// The server answers a find on a collection that is not there with no documents and no error.
#[tokio::test]
async fn a_collection_dropped_between_two_of_its_parts_is_no_short_copy() {
    for (create, parts) in [(doc! {}, 8 << 20), (doc! { "capped": true, "size": 100 << 20 }, 1 << 30)] {
        let set = own(Release::V6_0_5).await;
        let source = Side::new(&set, "dropped_between");
        let mut command = doc! { "create": "many" };
        command.extend(create);
        source.run(command).await;
        fill(&source, "many").await;
        // The first find waits, and finds nothing any more.
        source.fail(&["find"], doc! { "times": 1 }, doc! { "blockConnection": true, "blockTimeMS": 1500 }).await;
        let archive = Archive::new();
        let mut options = archive.options();
        options.part_bytes = parts;
        let (dumped, ()) = tokio::join!(archive.dump_as(&source, options), async {
            source.failing().await;
            source.run(doc! { "drop": "many" }).await;
        });
        let error = dumped.unwrap_err();
        assert!(error.to_string().contains("dropped_between.many"), "{error:?}");
        assert!(!archive.path().exists());
    }
}

#[tokio::test]
async fn a_time_series_collection_made_anew_before_it_is_read_is_no_short_copy() {
    let set = own(Release::V6_0_5).await;
    let source = Side::new(&set, "series_anew");
    let create = doc! { "create": "series", "timeseries": { "timeField": "t" } };
    source.run(create.clone()).await;
    let insert = doc! { "insert": "series", "documents": [{ "t": bson::DateTime::now(), "x": 1 }] };
    source.run(insert).await;
    source.fail(&["find"], doc! { "times": 1 }, doc! { "blockConnection": true, "blockTimeMS": 1500 }).await;
    let archive = Archive::new();
    let (dumped, ()) = tokio::join!(archive.dump(&source), async {
        source.failing().await;
        source.run(doc! { "drop": "series" }).await;
        source.run(create).await;
    });
    let error = dumped.unwrap_err();
    assert!(error.to_string().contains("series_anew"), "{error:?}");
}
