//! What a reading of `verify` has found: ways to call equal what is not, and the other way round.

use transload::recover::recover;

use super::*;

/// Compares until some parts are done.
async fn interrupted(bench: &Bench, left: &Side<'_>, right: &Side<'_>, parts: usize) {
    let cancel = CancellationToken::new();
    let options = bench.options.clone();
    let work = verify(server(left).await, server(right).await, options, Arc::new(Silent), cancel.clone());
    let stop = async {
        let done =
            || std::fs::read_to_string(bench.findings()).map_or(0, |text| text.matches("\"type\":\"part\"").count());
        while done() < parts {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        cancel.cancel();
    };
    let (interrupted, ()) = tokio::join!(work, stop);
    assert_eq!(interrupted.unwrap_err().kind(), ErrorKind::Interrupted);
}

#[tokio::test]
async fn what_a_recovered_archive_has_lost_is_missing() {
    let set = shared(Release::V6_0_5).await;
    let source = Side::new(set, "verify_recovered");
    source.run(doc! { "dropDatabase": 1 }).await;
    source.insert("items", &numbered(5000)).await;
    source.insert("lost", &numbered(10)).await;
    let whole = Archive::new();
    let options = transload::dump::DumpOptions { part_bytes: 100_000, ..whole.options() };
    whole.dump_as(&source, options).await.unwrap();
    let mut bytes = std::fs::read(whole.path()).unwrap();
    let (mut lost, opened) = (0, whole.open());
    let contents = opened.contents();
    for block in contents.blocks() {
        let name = contents.namespace(block.namespace).map(|of| of.collection.namespace.clone()).unwrap_or_default();
        let is_lost = name.ends_with("lost") || (name.ends_with("items") && [2, 3, 7].contains(&block.part));
        if block.kind == transload_format::Kind::Documents && is_lost {
            lost += u64::from(block.count);
            let middle = usize::try_from(block.offset).unwrap() + block.stored_len as usize / 2 + 20;
            bytes[middle] ^= 0xFF;
        }
    }
    let damaged = whole.path().with_extension("damaged");
    std::fs::write(&damaged, bytes).unwrap();
    let recovered = Archive::new();
    let onto = transload::archive::Destination::File { path: recovered.path(), replace: false };
    recover(&damaged, onto, CancellationToken::new()).await.unwrap();
    let bench = Bench::new();
    for is_left in [true, false] {
        let (one, other) = (archive(&recovered), server(&source).await);
        let report = if is_left { bench.compare(one, other).await } else { bench.compare(other, one).await };
        let counts = report.documents;
        assert_eq!(counts.differences(), lost, "{report:#?}");
        assert_eq!(if is_left { counts.missing_left } else { counts.missing_right }, lost);
        std::fs::remove_file(bench.findings()).unwrap();
    }
}

#[tokio::test]
async fn nothing_compared_is_nothing_proven() {
    let (left, right) = twins("verify_nothing", "verify_nothing_copy", &numbered(3)).await;
    let archived = Archive::new();
    archived.dump(&left).await.unwrap();
    let bench = Bench::new();
    let set = shared(Release::V6_0_5).await;
    for (one, other) in [
        (archive(&archived), server(&right).await),
        (archive(&archived), server(&Side::new(set, "verify_no_such_database")).await),
    ] {
        let refused = bench.open(one, other).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::NotFound, "{refused}");
    }
    // A database that an archive lacks is missing there.
    let other = Side::new(set, "verify_nothing_more");
    other.run(doc! { "dropDatabase": 1 }).await;
    other.insert("items", &numbered(1)).await;
    let mut bench = Bench::new();
    bench.options.selection.include = vec!["verify_nothing*.*".to_owned()];
    let report = bench.compare(verify::Side::Server(left.server_of_all().await), archive(&archived)).await;
    let missing: Vec<&str> = report.discrepancies.iter().map(|of| of.namespace.as_str()).collect();
    assert_eq!(missing, ["verify_nothing_copy.items", "verify_nothing_more.items"]);
}

#[tokio::test]
async fn a_capped_collection_is_not_repaired_out_of_its_order() {
    let (left, right) = twins("verify_capped_repair", "verify_capped_repair_copy", &[]).await;
    for (side, first) in [(&left, 0), (&right, 1)] {
        side.run(doc! { "create": "log", "capped": true, "size": 1 << 20, "max": 50 }).await;
        side.insert("log", &numbered(40)[first..]).await;
    }
    let bench = Bench::new();
    let mut verification = bench.open(server(&left).await, server(&right).await).await.unwrap();
    verification.repair(&silent(), CancellationToken::new()).await.unwrap();
    let report = verification.finish().unwrap();
    assert!(!report.is_equal() && report.documents.missing_right == 1, "{report:?}");
    assert!(report.warnings.iter().any(|warning| warning.contains("capped")), "{:?}", report.warnings);
    assert_eq!(right.documents("log").await.len(), 39);
}

#[tokio::test]
async fn a_collection_that_was_made_anew_is_compared_anew() {
    let (left, right) = twins("verify_anew", "verify_anew_copy", &numbered(20_000)).await;
    let mut bench = Bench::new();
    (bench.options.part_bytes, bench.options.parallel) = (150_000, 1);
    interrupted(&bench, &left, &right, 5).await;
    right.run(doc! { "drop": "items" }).await;
    right.insert("items", &numbered(20_000)[3..]).await;
    let report = bench.servers(&left, &right).await;
    assert_eq!((report.resumed_parts, report.documents.missing_right), (0, 3), "{report:?}");
}

#[tokio::test]
async fn views_are_none_of_a_resumed_comparison() {
    let (left, right) = twins("verify_views", "verify_views_copy", &numbered(20_000)).await;
    for side in [&left, &right] {
        side.run(doc! { "create": "view", "viewOn": "items", "pipeline": [{ "$match": { "n": { "$lt": 5 } } }] }).await;
    }
    let mut bench = Bench::new();
    (bench.options.part_bytes, bench.options.parallel) = (150_000, 1);
    interrupted(&bench, &left, &right, 5).await;
    let report = bench.servers(&left, &right).await;
    assert!(report.is_equal() && report.resumed_parts >= 5 && report.documents.left == 20_000, "{report:?}");
}

#[tokio::test]
async fn what_stands_in_a_document_s_way_is_deleted_first() {
    let (left, right) = twins("verify_way", "verify_way_copy", &numbered(10)).await;
    for side in [&left, &right] {
        let unique = doc! { "key": { "n": 1 }, "name": "n_1", "unique": true };
        side.run(doc! { "createIndexes": "items", "indexes": [unique] }).await;
    }
    let items = right.open().await.collection::<Document>("items");
    items.update_one(doc! { "_id": 9 }, doc! { "$set": { "n": 90 } }).await.unwrap();
    // Of another part of the index than the one whose value it has.
    items.insert_one(doc! { "_id": "in the way", "n": 9 }).await.unwrap();
    let bench = Bench::new();
    let mut verification = bench.open(server(&left).await, server(&right).await).await.unwrap();
    verification.repair(&silent(), CancellationToken::new()).await.unwrap();
    let report = verification.finish().unwrap();
    assert!(report.is_equal() && report.repaired == 2 && report.warnings.is_empty(), "{report:?}");
}

#[tokio::test]
async fn a_repair_that_is_refused_says_why_and_loses_nothing() {
    let (left, right) = twins("verify_refused", "verify_refused_copy", &numbered(10)).await;
    // The left has two documents with one value; the right has an index that takes one of them.
    left.open()
        .await
        .collection::<Document>("items")
        .update_one(doc! { "_id": 1 }, doc! { "$set": { "n": 2 } })
        .await
        .unwrap();
    let unique = doc! { "key": { "n": 1 }, "name": "n_1", "unique": true };
    right.run(doc! { "createIndexes": "items", "indexes": [unique] }).await;
    let items = right.open().await.collection::<Document>("items");
    items.delete_one(doc! { "_id": 1 }).await.unwrap();
    items.insert_one(doc! { "_id": 1_i64, "n": 1, "mine": true }).await.unwrap();
    let bench = Bench::new();
    let mut verification = bench.open(server(&left).await, server(&right).await).await.unwrap();
    verification.repair(&silent(), CancellationToken::new()).await.unwrap();
    let report = verification.finish().unwrap();
    assert_eq!((report.documents.different, report.repaired), (1, 0), "{report:?}");
    assert!(report.warnings.iter().any(|warning| warning.contains("unique index on n")), "{:?}", report.warnings);
    assert_eq!(items.count_documents(doc! { "_id": 1, "mine": true }).await.unwrap(), 1, "what was there is there");
}

#[tokio::test]
async fn a_file_of_somebody_else_is_left_alone() {
    let (left, right) = twins("verify_files", "verify_files_copy", &numbered(1)).await;
    let mut bench = Bench::new();
    std::fs::write(bench.findings(), "no line").unwrap();
    let refused = bench.open(server(&left).await, server(&right).await).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::AlreadyExists, "{refused}");
    assert_eq!(std::fs::read(bench.findings()).unwrap(), b"no line");
    bench.options.findings = bench.folder.path().to_owned();
    let refused = bench.open(server(&left).await, server(&right).await).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Usage, "{refused}");
}

#[tokio::test]
async fn what_servers_list_after_any_collmod_is_no_difference() {
    for release in [Release::V4_2_6, Release::V5_0_4, Release::V6_0_5] {
        let (left, right) = (
            Side::new(shared(release).await, "verify_moded"),
            Side::new(shared(Release::V6_0_5).await, "verify_unmoded"),
        );
        for side in [&left, &right] {
            side.run(doc! { "dropDatabase": 1 }).await;
            side.run(doc! { "create": "items" }).await;
        }
        left.run(doc! { "collMod": "items", "validator": { "n": 1 } }).await;
        left.run(doc! { "collMod": "items", "validator": {} }).await;
        assert!(left.state().await.options["items"].contains("strict"), "it lists no more than before");
        equal(&left, &right).await;
        equal(&right, &left).await;
        left.run(doc! { "collMod": "items", "validationLevel": "moderate" }).await;
        let report = Bench::new().servers(&left, &right).await;
        let found: Vec<_> = report.discrepancies.iter().map(ToString::to_string).collect();
        assert_eq!(found, [r#"verify_moded.items: option validationLevel: missing on the right ("moderate")"#]);
    }
}
