//! Index specs that old servers kept and newer ones refuse: repaired, reported, edited by hand, never lost in silence.

use bson::{Bson, Document, doc};
use transload::{
    catalog::sidecar::{Sidecar, sidecar_path},
    error::ErrorKind,
    restore::{IndexPolicy, IndexSource},
    sandbox::{Release, ReplicaSet},
};

use crate::{
    copy::{Archive, Side, assert_equal},
    odd_documents::numbered,
    servers::{own, shared},
};

fn index(field: &str) -> Document {
    doc! { "key": { field: 1 }, "name": format!("{field}_1") }
}

fn junk(field: &str, name: &str, value: impl Into<Bson>) -> Document {
    let mut spec = doc! { "v": 1, "key": { field: 1 }, "name": format!("{field}_1") };
    spec.insert(name, value);
    spec
}

/// A server that keeps what a driver puts into a spec, as all of them did once.
pub(crate) async fn careless(release: Release) -> ReplicaSet {
    let set = own(release).await;
    let on = doc! { "configureFailPoint": "skipIndexCreateFieldNameValidation", "mode": "alwaysOn" };
    set.fail_point(on).await.unwrap();
    set
}

async fn fill(side: &Side<'_>, collection: &str, indexes: Vec<Document>) {
    side.insert(collection, &[numbered(1, |_| {}), numbered(2, |_| {})]).await;
    side.run(doc! { "createIndexes": collection, "indexes": indexes }).await;
}

fn names(specs: &[String], of: &[&str]) -> Vec<bool> {
    of.iter().map(|name| specs.iter().any(|spec| spec.contains(&format!("\"{name}\"")))).collect()
}

#[tokio::test]
async fn mongooses_safe_null_is_repaired_on_the_way_to_every_release_and_named() {
    // 5.0.4 does not even list the indexes of such a collection.
    for from in [Release::V4_2_6, Release::V5_0_4] {
        let set = careless(from).await;
        let source = Side::new(&set, "safe_null");
        fill(&source, "orders", vec![index("a"), junk("bad", "safe", Bson::Null), index("b")]).await;
        fill(&source, "others", vec![index("a")]).await;
        let archive = Archive::new();
        let dumped = archive.dump(&source).await.unwrap();
        assert_eq!(dumped.missing, Vec::<String>::new(), "{from}");
        assert_eq!(dumped.bad_indexes.len(), 1, "{from}");
        assert_eq!((dumped.bad_indexes[0].index.as_str(), &dumped.bad_indexes[0].reason), ("bad_1", &None));
        let sidecar = Sidecar::read(&sidecar_path(&archive.path())).unwrap();
        let collection = sidecar.collection("safe_null.orders").unwrap();
        let mut repairs = collection.indexes.iter().flat_map(|index| &index.repairs);
        assert!(repairs.any(|repair| repair.field == "safe" && repair.after.is_none()), "{from}");
        let database = format!("safe_null_{from}").replace('.', "_");
        for release in Release::ALL {
            let target = Side::new(shared(release).await, &database);
            let restored = archive.restore(&target).await.unwrap();
            assert!(restored.is_whole(), "{from} {release}: {:?}", restored.failed_indexes);
            let repaired: Vec<_> = restored.repaired_indexes.iter().filter(|index| index.index == "bad_1").collect();
            assert_eq!(repaired.len(), 1, "{from} {release}");
            assert!(repaired[0].repairs.iter().any(|repair| repair.field == "safe"), "{from} {release}");
            let found = target.state().await.indexes;
            let has = names(&found["orders"], &["a_1", "bad_1", "b_1", "safe"]);
            assert_eq!(has, [true, true, true, false], "{from} {release}");
            assert!(!found.keys().any(|name| name.contains("scratch")), "{from} {release}");
        }
    }
}

#[tokio::test]
async fn a_strict_restore_lists_every_bad_index_and_writes_nothing() {
    let set = careless(Release::V4_2_6).await;
    let source = Side::new(&set, "strict");
    fill(&source, "orders", vec![junk("x", "safe", Bson::Null), junk("y", "w", 1), index("z")]).await;
    let archive = Archive::new();
    archive.dump(&source).await.unwrap();
    let target = Side::new(shared(Release::V6_0_5).await, "strict_copy");
    let mut options = archive.restore_options(&target);
    options.index_policy = IndexPolicy::Strict;
    let error = archive.restore_as(&target, options.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadIndexes);
    for name in ["strict.orders x_1", "safe", "strict.orders y_1: w "] {
        assert!(error.to_string().contains(name), "{error}");
    }
    assert!(!error.to_string().contains("z_1"), "{error}");
    assert_eq!(target.state().await.indexes.len(), 0);

    options.dry_run = true;
    let planned = archive.restore_as(&target, options.clone()).await.unwrap_err();
    assert_eq!((planned.kind(), planned.to_string()), (error.kind(), error.to_string()));
    options.dry_run = false;

    // What only the target finds is listed with what shows without it.
    let path = sidecar_path(&archive.path());
    let sidecar = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, sidecar.replace(r#""name":"z_1""#, r#""name":"z_1","collation":{"locale":"nowhere"}"#))
        .unwrap();
    let both = archive.restore_as(&target, options.clone()).await.unwrap_err().to_string();
    for words in ["strict.orders x_1", "strict.orders z_1", "Field 'locale' is invalid"] {
        assert!(both.contains(words), "{both}");
    }
    std::fs::write(&path, sidecar).unwrap();

    options.index_policy = IndexPolicy::Skip;
    let restored = archive.restore_as(&target, options).await.unwrap();
    let left: Vec<_> = restored.failed_indexes.iter().map(|failed| failed.index.as_str()).collect();
    assert_eq!(left, ["x_1", "y_1"]);
    assert!(!restored.is_whole());
    assert_eq!(names(&target.state().await.indexes["orders"], &["x_1", "y_1", "z_1"]), [false, false, true]);
}

#[tokio::test]
async fn an_index_that_no_server_builds_costs_eleven_other_collections_nothing() {
    let (old, new) = (shared(Release::V4_2_6).await, shared(Release::V6_0_5).await);
    let source = Side::new(old, "twelve");
    for number in 0..12 {
        let mut indexes = vec![index("a"), index("b")];
        if number == 7 {
            indexes.push(doc! { "key": { "at": "geoHaystack", "kind": 1 }, "name": "hay", "bucketSize": 1 });
        }
        fill(&source, &format!("c{number}"), indexes).await;
    }
    let archive = Archive::new();
    archive.dump(&source).await.unwrap();
    let target = Side::new(new, "twelve_copy");
    let restored = archive.restore(&target).await.unwrap();
    assert_eq!(restored.failed_indexes.len(), 1);
    assert_eq!(restored.failed_indexes[0].index, "hay");
    assert!(restored.failed_indexes[0].reason.contains("geoHaystack"), "{:?}", restored.failed_indexes);
    assert!(!restored.is_whole());
    let found = target.state().await.indexes;
    assert_eq!(found.len(), 12);
    assert!(found.values().all(|specs| names(specs, &["a_1", "b_1", "hay"]) == [true, true, false]));

    // A server that knows such indexes gets it.
    let target = Side::new(old, "twelve_again");
    assert!(archive.restore(&target).await.unwrap().is_whole());
    assert_equal(&source, &target).await;
}

#[tokio::test]
async fn what_only_the_server_can_judge_is_judged_before_a_document_is_loaded() {
    let source = Side::new(shared(Release::V6_0_5).await, "judged");
    fill(&source, "orders", vec![index("a")]).await;
    let archive = Archive::new();
    archive.dump(&source).await.unwrap();
    let path = sidecar_path(&archive.path());
    let text = std::fs::read_to_string(&path).unwrap();
    let filter = r#""name":"a_1","partialFilterExpression":{"a":{"$nonsense":1}}"#;
    std::fs::write(&path, text.replace(r#""name":"a_1""#, filter)).unwrap();
    let target = Side::new(shared(Release::V5_0_4).await, "judged_copy");
    let mut options = archive.restore_options(&target);
    options.index_policy = IndexPolicy::Strict;
    let error = archive.restore_as(&target, options.clone()).await.unwrap_err();
    assert!(error.to_string().contains("judged.orders a_1: error 2"), "{error}");
    assert_eq!(target.state().await.indexes.len(), 0);
    options.index_policy = IndexPolicy::Repair;
    let restored = archive.restore_as(&target, options).await.unwrap();
    assert_eq!((restored.failed_indexes.len(), restored.inserted), (1, 2));
}

#[tokio::test]
async fn what_no_server_builds_is_said_before_a_document_is_loaded_and_costs_no_other() {
    let source = Side::new(shared(Release::V6_0_5).await, "unbuildable");
    let text = doc! { "key": { "t": "text" }, "name": "t_text" };
    fill(&source, "orders", vec![index("a"), text, index("b")]).await;
    let archive = Archive::new();
    archive.dump(&source).await.unwrap();
    let path = sidecar_path(&archive.path());
    let sidecar = std::fs::read_to_string(&path).unwrap();
    let more = r#"{"spec":{"key":{"u":"hashed"},"name":"u_hashed","unique":true}},
        {"spec":{"key":{"s":"text"},"name":"s_text"}},"#;
    std::fs::write(&path, sidecar.replacen(r#""indexes": ["#, &format!(r#""indexes": [{more}"#), 1)).unwrap();
    let target = Side::new(shared(Release::V5_0_4).await, "unbuildable_copy");
    let mut options = archive.restore_options(&target);
    options.index_policy = IndexPolicy::Strict;
    let refused = archive.restore_as(&target, options.clone()).await.unwrap_err().to_string();
    for says in [
        "unbuildable.orders u_hashed: servers keep no keys unique by a hashed index",
        "unbuildable.orders t_text: a collection has one text index, and s_text is another one",
    ] {
        assert!(refused.contains(says), "{refused}");
    }
    assert_eq!(target.state().await.indexes.len(), 0);
    options.index_policy = IndexPolicy::Repair;
    let restored = archive.restore_as(&target, options).await.unwrap();
    let mut failed: Vec<_> = restored.failed_indexes.iter().map(|failed| failed.index.as_str()).collect();
    failed.sort_unstable();
    assert_eq!((failed, restored.inserted, restored.is_whole()), (vec!["t_text", "u_hashed"], 2, false));
    let found = &target.state().await.indexes["orders"];
    assert_eq!(names(found, &["a_1", "b_1", "s_text", "t_text", "u_hashed"]), [true, true, true, false, false]);
}

#[tokio::test]
async fn a_restore_builds_what_the_sidecar_says() {
    let (source, set) = (Side::new(shared(Release::V6_0_5).await, "edited"), shared(Release::V6_0_27).await);
    fill(&source, "orders", vec![index("a"), index("b")]).await;
    let archive = Archive::new();
    archive.dump(&source).await.unwrap();
    let path = sidecar_path(&archive.path());
    let original = std::fs::read_to_string(&path).unwrap();
    // b goes, a becomes unique, c is new, as a person would write it.
    let line = |name: &str| original.lines().find(|line| line.contains(name)).unwrap().trim().to_owned();
    let (a, b) = (line("\"a_1\""), line("\"b_1\""));
    let new = r#"{ "spec": { "key": { "c": -1, "d": 1 } } }"#;
    let edited = original.replace(&a, &a.replace(r#""name":"a_1""#, r#""name":"a_1","sparse":true"#));
    std::fs::write(&path, edited.replace(&b, new)).unwrap();
    let target = Side::new(set, "edited_copy");
    let restored = archive.restore(&target).await.unwrap();
    assert!(restored.is_whole(), "{:?}", restored.failed_indexes);
    let found = &target.state().await.indexes["orders"];
    assert_eq!(names(found, &["a_1", "sparse", "b_1", "c_-1_d_1"]), [true, true, false, true], "{found:?}");

    // The archive still has what came from the server.
    std::fs::remove_file(&path).unwrap();
    target.run(doc! { "dropDatabase": 1 }).await;
    archive.restore(&target).await.unwrap();
    target.run(doc! { "dropDatabase": 1 }).await;
    let other = archive.path().with_file_name("elsewhere.json");
    std::fs::write(&other, original).unwrap();
    let mut options = archive.restore_options(&target);
    options.indexes = IndexSource::File(other);
    archive.restore_as(&target, options.clone()).await.unwrap();
    assert_equal(&source, &target).await;
    target.run(doc! { "dropDatabase": 1 }).await;
    options.indexes = IndexSource::None;
    let restored = archive.restore_as(&target, options).await.unwrap();
    assert!(restored.is_whole());
    assert_eq!(target.state().await.indexes["orders"].len(), 1);
}

#[tokio::test]
async fn indexes_on_the_measurements_of_a_time_series_come_through_as_they_are() {
    let set = shared(Release::V6_0_27).await;
    let (source, target) = (Side::new(set, "series"), Side::new(set, "series_copy"));
    source.run(doc! { "create": "ts", "timeseries": { "timeField": "t", "metaField": "m" } }).await;
    let point = doc! { "type": "Point", "coordinates": [1, 2] };
    let measurement = doc! { "_id": 1, "t": bson::DateTime::from_millis(1_000_000), "m": 1, "loc": point };
    source.open().await.collection::<Document>("ts").insert_one(measurement).await.unwrap();
    let indexes = vec![
        doc! { "key": { "loc": "2dsphere" }, "name": "loc" },
        doc! { "key": { "_id": 1 }, "name": "idd" },
        doc! { "key": { "m": 1, "t": -1 }, "name": "m_t" },
    ];
    source.run(doc! { "createIndexes": "ts", "indexes": indexes }).await;
    let archive = Archive::new();
    archive.dump(&source).await.unwrap();
    let restored = archive.restore(&target).await.unwrap();
    assert!(restored.is_whole(), "{:?}", restored.failed_indexes);
    assert_eq!(restored.merged_indexes.len(), 0, "{:?}", restored.merged_indexes);
    // As they are listed; what buckets keep of them beside that has its fields in another order.
    assert_eq!(source.state().await.indexes["ts"], target.state().await.indexes["ts"]);
}

#[tokio::test]
async fn a_slip_in_an_edited_sidecar_makes_no_other_index() {
    let source = Side::new(shared(Release::V6_0_5).await, "slip");
    fill(&source, "orders", vec![index("a")]).await;
    let archive = Archive::new();
    archive.dump(&source).await.unwrap();
    let path = sidecar_path(&archive.path());
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("\u{feff}{}", text.replace(r#""name":"a_1""#, r#""name":"a_1","uniqe":true"#)))
        .unwrap();
    let target = Side::new(shared(Release::V6_0_5).await, "slip_copy");
    let error = archive.restore(&target).await.unwrap_err();
    let says = format!(
        "{}: line 7: a_1 of slip.orders: the sidecar gives it the option 'uniqe': servers know no such option",
        path.display()
    );
    assert_eq!(error.to_string(), says);
    assert_eq!(target.state().await.indexes.len(), 0);
}

#[tokio::test]
async fn a_slip_that_can_be_mended_or_costs_an_index_is_named_with_its_line() {
    let source = Side::new(shared(Release::V6_0_5).await, "mended");
    fill(&source, "orders", vec![index("a"), index("b")]).await;
    let archive = Archive::new();
    archive.dump(&source).await.unwrap();
    let path = sidecar_path(&archive.path());
    let text = std::fs::read_to_string(&path).unwrap();
    let text = text.replace(r#""name":"a_1""#, r#""name":"a_1","sparse":"true""#);
    let filter = r#""name":"b_1","partialFilterExpression":"x""#;
    std::fs::write(&path, text.replace(r#""name":"b_1""#, filter)).unwrap();
    let target = Side::new(shared(Release::V6_0_5).await, "mended_copy");
    let restored = archive.restore(&target).await.unwrap();
    let at = |line: usize| format!("({}, line {line})", path.display());
    let repair = &restored.repaired_indexes.iter().find(|index| index.index == "a_1").unwrap().repairs[0];
    assert!(repair.field == "sparse" && repair.reason.ends_with(&at(7)), "{repair:?}");
    let failed = &restored.failed_indexes[0];
    assert!(failed.index == "b_1" && failed.reason.ends_with(&at(8)), "{failed:?}");
}
