//! What a restore can be told: names, selection, what to do with what is there, nothing at all; and streams.

use std::{fs::File, sync::Arc, time::Duration};

use bson::doc;
use tokio_util::sync::CancellationToken;
use transload::{
    archive::ArchiveFile,
    error::ErrorKind,
    inspect::inspect,
    progress::Silent,
    restore::{Existing, RestoreOptions, Source, restore},
    sandbox::Release,
    verify::scrub::{scrub, scrub_stream},
};

use crate::{
    copy::{Archive, Side, assert_equal, assert_whole},
    odd_documents::{document, every_type, ids, numbered},
    servers::{own, shared},
};

/// A database with a bit of everything, and its archive.
async fn archive(database: &str) -> (Side<'_>, Archive) {
    let source = Side::new(shared(Release::V6_0_5).await, database);
    source.insert("types", &every_type()).await;
    source.insert("ids", &ids().iter().map(|id| document(id, |_| {})).collect::<Vec<_>>()).await;
    source.insert("a.b", &[numbered(1, |_| {})]).await;
    source.run(doc! { "create": "capped", "capped": true, "size": 1 << 20 }).await;
    source.insert("capped", &(0..500).map(|id| numbered(500 - id, |_| {})).collect::<Vec<_>>()).await;
    source.run(doc! { "create": "series", "timeseries": { "timeField": "t" } }).await;
    source.run(doc! { "insert": "series", "documents": [{ "t": bson::DateTime::now() }] }).await;
    source.run(doc! { "create": "view", "viewOn": "types", "pipeline": [] }).await;
    source.run(doc! { "createIndexes": "types", "indexes": [{ "key": { "x": 1 }, "name": "x_1" }] }).await;
    let archive = Archive::new();
    archive.dump(&source).await.unwrap();
    (source, archive)
}

#[tokio::test]
async fn an_archive_is_restored_under_other_names() {
    let (source, archive) = archive("renamed").await;
    let target = Side::new(source.set, "renamed_copy");
    let mut options = archive.restore_options(&target);
    options.selection.rename = vec!["renamed.types=renamed_copy.kinds".into(), "renamed.*=renamed_copy.old.*".into()];
    assert_whole(&archive.restore_as(&target, options).await.unwrap());
    let (expected, found) = (source.state().await, target.state().await);
    assert_eq!(expected.hashes["types"], found.hashes["kinds"]);
    assert_eq!(expected.indexes["types"], found.indexes["kinds"]);
    for name in ["ids", "a.b", "capped"] {
        assert_eq!(expected.hashes[name], found.hashes[&format!("old.{name}")]);
        assert_eq!(expected.options[name], found.options[&format!("old.{name}")]);
    }
    assert_eq!(expected.hashes["system.buckets.series"], found.hashes["system.buckets.old.series"]);
}

#[tokio::test]
async fn only_what_is_selected_is_restored() {
    let (source, archive) = archive("selected").await;
    let target = Side::new(source.set, "selected_copy");
    let mut options = archive.restore_options(&target);
    options.selection.include = vec!["selected.*".into()];
    options.selection.exclude = vec!["selected.ids".into(), "selected.series".into(), "selected.view".into()];
    let restored = archive.restore_as(&target, options).await.unwrap();
    assert_whole(&restored);
    let names: Vec<_> = target.state().await.hashes.into_keys().collect();
    assert_eq!(names, ["a.b", "capped", "types"]);

    let mut options = archive.restore_options(&target);
    options.selection.include = vec!["selected.nothing".into()];
    assert_eq!(archive.restore_as(&target, options).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn what_is_there_is_refused_and_stays_unless_it_is_to_be_dropped() {
    let (source, archive) = archive("existing").await;
    let target = Side::new(source.set, "existing_copy");
    target.insert("ids", &[numbered(77, |_| {})]).await;
    target.insert("unrelated", &[numbered(77, |_| {})]).await;
    let before = target.state().await;
    let error = archive.restore(&target).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert_eq!(target.state().await, before, "something was written");

    let mut options = archive.restore_options(&target);
    options.existing = Existing::Drop;
    for _ in 0..2 {
        assert_whole(&archive.restore_as(&target, options.clone()).await.unwrap());
        assert_eq!(target.state().await.hashes["unrelated"], before.hashes["unrelated"]);
    }
    target.run(doc! { "drop": "unrelated" }).await;
    assert_equal(&source, &target).await;
}

#[tokio::test]
async fn appended_duplicates_are_counted_and_named_and_the_copy_is_not_whole() {
    let set = shared(Release::V6_0_5).await;
    let (source, target) = (Side::new(set, "append"), Side::new(set, "append_copy"));
    source.insert("items", &(0..100).map(|id| numbered(id, |_| {})).collect::<Vec<_>>()).await;
    let archive = Archive::new();
    archive.dump(&source).await.unwrap();
    // One is the very document, one has the same key with another type, one is of the target alone.
    let same_key = document(&(transload::document::kind::DOUBLE, 8.0_f64.to_le_bytes().to_vec()), |_| {});
    target.insert("items", &[numbered(7, |_| {}), same_key, numbered(1000, |_| {})]).await;
    let mut options = archive.restore_options(&target);
    options.existing = Existing::Append;
    let restored = archive.restore_as(&target, options.clone()).await.unwrap();
    assert_eq!((restored.documents, restored.inserted, restored.duplicates, restored.refused), (100, 98, 2, 0));
    assert!(!restored.is_whole());
    let named: Vec<_> = restored.rejected.iter().map(|rejected| rejected.id.as_str()).collect();
    assert_eq!(named, [r#"{"$numberInt":"7"}"#, r#"{"$numberInt":"8"}"#]);
    assert_eq!(target.documents("items").await.len(), 101);

    let restored = archive.restore_as(&target, options).await.unwrap();
    assert_eq!((restored.inserted, restored.duplicates, restored.rejected.len()), (0, 100, 10));
}

#[tokio::test]
async fn duplicates_of_a_capped_collection_are_all_counted() {
    let set = shared(Release::V6_0_5).await;
    let (source, target) = (Side::new(set, "append_capped"), Side::new(set, "append_capped_copy"));
    for side in [&source, &target] {
        side.run(doc! { "create": "items", "capped": true, "size": 1 << 20 }).await;
    }
    source.insert("items", &(0..100).map(|id| numbered(id, |_| {})).collect::<Vec<_>>()).await;
    target.insert("items", &[numbered(0, |_| {}), numbered(50, |_| {}), numbered(99, |_| {})]).await;
    let archive = Archive::new();
    archive.dump(&source).await.unwrap();
    let mut options = archive.restore_options(&target);
    options.existing = Existing::Append;
    let restored = archive.restore_as(&target, options).await.unwrap();
    assert_eq!((restored.inserted, restored.duplicates), (97, 3));
    assert_eq!(target.documents("items").await.len(), 100);
}

#[tokio::test]
async fn duplicates_of_every_id_are_counted() {
    let (source, archive) = archive("append_ids").await;
    let target = Side::new(source.set, "append_ids_copy");
    let mut options = archive.restore_options(&target);
    options.selection.include = vec!["append_ids.ids".into()];
    options.existing = Existing::Append;
    archive.restore_as(&target, options.clone()).await.unwrap();
    let restored = archive.restore_as(&target, options).await.unwrap();
    assert_eq!((restored.inserted, restored.duplicates), (0, ids().len() as u64));
}

#[tokio::test]
async fn a_dry_run_touches_nothing() {
    let (source, archive) = archive("dry_run").await;
    let target = Side::new(source.set, "dry_run_copy");
    target.insert("ids", &[numbered(77, |_| {})]).await;
    let before = target.state().await;
    let mut options = archive.restore_options(&target);
    (options.dry_run, options.existing) = (true, Existing::Drop);
    for stream in [false, true] {
        let restored = if stream {
            from_stream(&archive, &target, options.clone()).await.unwrap()
        } else {
            archive.restore_as(&target, options.clone()).await.unwrap()
        };
        assert!(restored.dry_run && restored.inserted == 0 && restored.documents > 500);
        assert_eq!(target.state().await, before);
    }
}

async fn from_stream(
    archive: &Archive,
    side: &Side<'_>,
    options: RestoreOptions,
) -> transload::error::Result<transload::report::RestoreReport> {
    let source = Source::Stream("stream", Box::new(File::open(archive.path()).unwrap()));
    restore(source, &side.server().await, options, Arc::new(Silent), CancellationToken::new()).await
}

#[tokio::test]
async fn a_stream_is_restored_like_a_file() {
    let (source, archive) = archive("streamed").await;
    let target = Side::new(source.set, "streamed_copy");
    let restored = from_stream(&archive, &target, archive.restore_options(&target)).await.unwrap();
    assert_whole(&restored);
    assert_equal(&source, &target).await;
    assert!(source.documents("capped").await == target.documents("capped").await);

    let some = Side::new(source.set, "streamed_some");
    let mut options = archive.restore_options(&some);
    options.selection.include = vec!["streamed.a.b".into()];
    assert_whole(&from_stream(&archive, &some, options).await.unwrap());
    assert_eq!(some.state().await.hashes.into_keys().collect::<Vec<_>>(), ["a.b"]);
}

#[tokio::test]
async fn a_cut_or_damaged_archive_is_never_restored_in_silence() {
    let (source, archive) = archive("damaged").await;
    let whole = std::fs::read(archive.path()).unwrap();
    let (target, name) = (Side::new(source.set, "damaged_copy"), archive.path());
    let options = archive.restore_options(&target);
    let mut broken = whole.clone();
    broken[whole.len() / 3] ^= 1;
    for (bytes, kind) in [(&whole[..whole.len() / 2], ErrorKind::Unfinished), (&broken[..], ErrorKind::Damaged)] {
        std::fs::write(&name, bytes).unwrap();
        target.run(doc! { "dropDatabase": 1 }).await;
        let error = from_stream(&archive, &target, options.clone()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error:?}");
        target.run(doc! { "dropDatabase": 1 }).await;
        let opened = ArchiveFile::open(&name);
        let error = match opened {
            Err(error) => error,
            Ok(file) => {
                let cancel = CancellationToken::new();
                let server = target.server().await;
                restore(Source::File(file), &server, options.clone(), Arc::new(Silent), cancel).await.unwrap_err()
            }
        };
        assert_eq!(error.kind(), kind, "{error:?}");
        assert!(target.open().await.list_collection_names().await.unwrap().is_empty(), "something was written");
    }
}

#[tokio::test]
async fn an_archive_says_what_is_in_it() {
    let (source, archive) = archive("inspected").await;
    let file = archive.open();
    let inspected = inspect(&file).unwrap();
    let scrubbed = scrub(&file, Arc::new(Silent), CancellationToken::new()).await.unwrap();
    let input = File::open(archive.path()).unwrap();
    let streamed = scrub_stream("stream", input, Arc::new(Silent), CancellationToken::new()).await.unwrap();
    let expected = every_type().len() + ids().len() + 1 + 500 + 1;
    for documents in [inspected.documents, scrubbed.documents, streamed.documents] {
        assert_eq!(documents, expected as u64);
    }
    assert_eq!(inspected.server.as_deref(), Some("6.0.5"));
    assert_eq!(inspected.namespaces.len(), 6);
    let state = source.state().await;
    let types = inspected.namespaces.iter().find(|found| found.summary.namespace == "inspected.types").unwrap();
    assert_eq!((types.index_specs.len(), state.indexes["types"].len()), (2, 2));
    let part = &types.read_in[0];
    assert!(part.low.is_some() && part.low <= part.high);
    let digest = |namespaces: &[transload::report::NamespaceReport]| {
        namespaces.iter().map(|found| found.digest.clone()).collect::<Vec<_>>()
    };
    assert_eq!(digest(&scrubbed.namespaces), digest(&streamed.namespaces));

    let mut shown = 0;
    let show = |line: &str| {
        shown += 1;
        serde_json::from_str::<serde_json::Value>(line).unwrap();
        Ok(())
    };
    transload::inspect::documents(&file, "inspected.ids", 10, show).await.unwrap();
    assert_eq!(shown, 10);
}

#[tokio::test]
async fn a_cancelled_restore_is_interrupted() {
    let (_, archive) = archive("cancelled_restore").await;
    let set = own(Release::V6_0_5).await;
    let target = Side::new(&set, "cancelled_restore");
    let block = doc! { "blockConnection": true, "blockTimeMS": 10_000 };
    target.fail(&["insert"], doc! { "times": 100 }, block).await;
    let (server, cancel) = (target.server().await, CancellationToken::new());
    let begun = std::time::Instant::now();
    let source = Source::File(archive.open());
    let (restored, ()) = tokio::join!(
        restore(source, &server, archive.restore_options(&target), Arc::new(Silent), cancel.clone()),
        async {
            target.failing().await;
            cancel.cancel();
        }
    );
    assert_eq!(restored.unwrap_err().kind(), ErrorKind::Interrupted);
    assert!(begun.elapsed() < Duration::from_secs(8));
}

/// The connection string of a target may send reads to secondaries; what a restore looks up must not go there.
#[tokio::test]
async fn regression_a_target_that_is_read_from_secondaries_is_looked_up_on_its_primary() {
    let source = Side::new(shared(Release::V6_0_27).await, "reads_secondary");
    let times = (0..10).map(|id| {
        numbered(id, |doc| {
            doc.append_element(transload::document::kind::TIMESTAMP, "t", &[0; 8]);
        })
    });
    source.insert_literally("times", &times.collect::<Vec<_>>()).await;
    let archive = Archive::new();
    archive.dump(&source).await.unwrap();
    let target = Side::new(shared(Release::V6_0_5).await, "reads_secondary");
    // There is no secondary at all: whatever is read from one waits for ever.
    let server = target.server_with("&readPreference=secondary&serverSelectionTimeoutMS=1500").await;
    let options = archive.restore_options(&target);
    let restored =
        restore(Source::File(archive.open()), &server, options, Arc::new(Silent), CancellationToken::new()).await;
    assert_whole(&restored.unwrap());
    assert_equal(&source, &target).await;
}
