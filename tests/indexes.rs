//! Bad index specs on real servers: found as the server keeps them, repaired one by one, and never lost in silence.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bson::{Bson, Document, doc};
use futures_util::TryStreamExt;
use mongodb::options::Hint;
use tokio::sync::{Mutex, MutexGuard, OnceCell};
use tokio_util::sync::CancellationToken;
use transload::{
    catalog::sidecar::{Sidecar, sidecar_path},
    indexes::{Action, IndexesOptions, Plan, RepairReport, RepairResult, plan_server},
    progress::Silent,
    sandbox::{Release, ReplicaSet},
    selection::{Selection, SelectionOptions},
};

use crate::{
    copy::{Archive, Side, copy},
    odd_documents::numbered,
    servers::{own, shared},
};

/// A set of this release for tests with failpoints, one after the other.
pub(crate) async fn set(release: Release) -> (MutexGuard<'static, ()>, &'static ReplicaSet) {
    static SETS: [(Mutex<()>, OnceCell<ReplicaSet>); Release::ALL.len()] =
        [const { (Mutex::const_new(()), OnceCell::const_new()) }; Release::ALL.len()];
    let place = Release::ALL.iter().position(|each| *each == release).unwrap();
    let turn = SETS[place].0.lock().await;
    let set = SETS[place].1.get_or_init(|| own(release)).await;
    for name in ["failCommand", "skipIndexCreateFieldNameValidation"] {
        set.fail_point(doc! { "configureFailPoint": name, "mode": "off" }).await.unwrap();
    }
    (turn, set)
}

/// Lets a server take what old ones have taken.
pub(crate) async fn lenient(set: &ReplicaSet, mode: &str) {
    set.fail_point(doc! { "configureFailPoint": "skipIndexCreateFieldNameValidation", "mode": mode }).await.unwrap();
}

/// Documents with a unique `a`, and these indexes on them, the bad ones too.
pub(crate) async fn fill(side: &Side<'_>, indexes: &[Document]) {
    let with_fields = |id: i32| {
        numbered(id, |doc| {
            doc.int32("a", id).int32("b", id % 10);
        })
    };
    side.insert("orders", &(0..200).map(with_fields).collect::<Vec<_>>()).await;
    side.insert("good", &[numbered(1, |_| {})]).await;
    side.run(doc! { "createIndexes": "good", "indexes": [{ "key": { "x": 1 }, "name": "x_1" }] }).await;
    lenient(side.set, "alwaysOn").await;
    for index in indexes {
        side.run(doc! { "createIndexes": "orders", "indexes": [index] }).await;
    }
    lenient(side.set, "off").await;
}

/// What Mongoose left.
pub(crate) fn unique_a() -> Document {
    doc! { "v": 1, "key": { "a": 1 }, "name": "a_1", "unique": true, "safe": Bson::Null }
}

pub(crate) fn plain_b() -> Document {
    doc! { "v": 1, "key": { "b": 1 }, "name": "b_1", "w": 1 }
}

/// Where the journal of a test stands: empty when it begins.
fn journals(side: &Side<'_>) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("journals").join(side.database);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    directory
}

async fn plan(side: &Side<'_>) -> Plan {
    let server = side.server().await;
    let selection =
        SelectionOptions { default_database: Some(side.database.to_owned()), ..SelectionOptions::default() };
    let (selection, directory) = (Selection::new(&selection).unwrap(), journals(side));
    let options = IndexesOptions { selection, target: server.version(), directory };
    plan_server(&server, &options, &Silent).await.unwrap()
}

async fn repair(side: &Side<'_>) -> RepairReport {
    plan(side).await.carry_out(Arc::new(Silent), CancellationToken::new()).await.unwrap()
}

async fn listed(side: &Side<'_>) -> Vec<Document> {
    let list = side.open().await.run_cursor_command(doc! { "listIndexes": "orders" }).await.unwrap();
    list.try_collect().await.unwrap()
}

async fn names(side: &Side<'_>) -> Vec<String> {
    let mut names: Vec<String> =
        listed(side).await.iter().map(|spec| spec.get_str("name").unwrap().to_owned()).collect();
    names.sort();
    names
}

fn results(report: &RepairReport) -> Vec<(&str, RepairResult)> {
    report.indexes.iter().map(|index| (index.index.as_str(), index.result)).collect()
}

#[tokio::test]
async fn bad_specs_are_found_on_every_release_whatever_it_lists() {
    for release in Release::ALL {
        let (_turn, set) = set(release).await;
        let side = Side::new(set, "bad_specs");
        fill(&side, &[unique_a(), plain_b()]).await;
        let plan = plan(&side).await;
        let report = plan.report();
        let found: Vec<_> = report.bad.iter().map(|index| (index.index.as_str(), index.action)).collect();
        assert_eq!(found, [("a_1", Action::Repair), ("b_1", Action::Repair)], "{release}");
        assert_eq!((report.collections, report.indexes), (2, 5), "{release}");
        assert_eq!(report.warnings.len(), usize::from(release == Release::V5_0_4), "{:?}", report.warnings);
        assert!(report.missing.is_empty());
    }
}

#[tokio::test]
async fn a_repair_leaves_every_release_with_clean_indexes_that_are_used() {
    for release in Release::ALL {
        let (_turn, set) = set(release).await;
        let side = Side::new(set, "repair");
        fill(&side, &[unique_a(), plain_b()]).await;
        let report = repair(&side).await;
        let repaired = RepairResult::Repaired;
        assert_eq!(results(&report), [("a_1", repaired), ("b_1", repaired)], "{release} {report:?}");
        assert!(report.is_whole());
        let specs = listed(&side).await;
        assert!(specs.iter().all(|spec| !spec.contains_key("safe") && !spec.contains_key("w")), "{specs:?}");
        assert_eq!(names(&side).await, ["_id_", "a_1", "b_1"], "{release}");
        let database = side.open().await;
        let orders = database.collection::<Document>("orders");
        let hint = Hint::Name("b_1".to_owned());
        let found: Vec<Document> = orders.find(doc! { "b": 3 }).hint(hint).await.unwrap().try_collect().await.unwrap();
        assert_eq!(found.len(), 20, "{release}");
        let twice = orders.insert_one(doc! { "_id": "twice", "a": 7 }).await.unwrap_err().to_string();
        assert!(twice.contains("E11000"), "{release}: {twice}");
        assert!(plan(&side).await.report().bad.is_empty(), "{release}");
        let collections = database.list_collection_names().await.unwrap();
        assert_eq!(collections.len(), 2, "{collections:?}");
    }
}

#[tokio::test]
async fn keys_stay_unique_while_their_index_is_built_again() {
    let (_turn, set) = set(Release::V4_2_6).await;
    let side = Side::new(set, "stay_unique");
    fill(&side, &[unique_a()]).await;
    let orders = side.open().await.collection::<Document>("orders");
    let (stop, tried) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let writer = tokio::spawn({
        let (orders, stop, tried) = (orders.clone(), stop.clone(), tried.clone());
        async move {
            while !stop.load(Ordering::Relaxed) {
                let id = tried.fetch_add(1, Ordering::Relaxed) as i64;
                orders.insert_one(doc! { "_id": format!("twice {id}"), "a": id % 200 }).await.unwrap_err();
            }
        }
    });
    let report = repair(&side).await;
    stop.store(true, Ordering::Relaxed);
    writer.await.unwrap();
    assert_eq!(results(&report), [("a_1", RepairResult::Repaired)]);
    assert!(tried.load(Ordering::Relaxed) > 10);
    assert_eq!(orders.count_documents(doc! {}).await.unwrap(), 200);
    assert_eq!(names(&side).await, ["_id_", "a_1"]);
}

#[tokio::test]
async fn an_index_that_another_one_serves_for_is_dropped() {
    let (_turn, set) = set(Release::V6_0_5).await;
    let side = Side::new(set, "merged");
    // Two numbers to the server, and one direction.
    let ascending = |number: f64, name: &str| doc! { "v": 1, "key": { "b": number }, "name": name };
    let mut first = ascending(1e-12, "first");
    first.insert("safe", Bson::Null);
    fill(&side, &[first, ascending(1.0, "good")]).await;
    let report = repair(&side).await;
    assert_eq!(results(&report), [("first", RepairResult::Merged)], "the good one stays: {report:?}");
    assert_eq!(names(&side).await, ["_id_", "good"]);
}

#[tokio::test]
async fn an_index_that_cannot_be_built_clean_is_put_back_as_it_was() {
    let (_turn, set) = set(Release::V6_0_5).await;
    let side = Side::new(set, "put_back");
    fill(&side, &[plain_b()]).await;
    let plan = plan(&side).await;
    lenient(set, "alwaysOn").await;
    side.fail(&["createIndexes"], doc! { "times": 1 }, doc! { "errorCode": 67, "namespace": "put_back.orders" }).await;
    let report = plan.carry_out(Arc::new(Silent), CancellationToken::new()).await.unwrap();
    assert_eq!(results(&report), [("b_1", RepairResult::PutBack)], "{report:?}");
    assert!(report.indexes[0].reason.as_ref().unwrap().contains("error 67 CannotCreateIndex"), "{report:?}");
    assert!(!report.is_whole());
    assert_eq!(names(&side).await, ["_id_", "b_1"]);
    assert_eq!(self::plan(&side).await.report().bad.len(), 1, "it is as it was");
}

#[tokio::test]
async fn an_index_that_cannot_be_built_at_all_is_called_lost_and_its_keys_stay_unique() {
    let (_turn, set) = set(Release::V6_0_5).await;
    let side = Side::new(set, "lost");
    fill(&side, &[unique_a()]).await;
    let plan = plan(&side).await;
    // The guard is built, and nothing after it.
    side.fail(&["createIndexes"], doc! { "skip": 1 }, doc! { "errorCode": 67, "namespace": "lost.orders" }).await;
    let report = plan.carry_out(Arc::new(Silent), CancellationToken::new()).await.unwrap();
    assert_eq!(results(&report), [("a_1", RepairResult::Lost)], "{report:?}");
    let reason = report.indexes[0].reason.as_ref().unwrap();
    assert!(reason.contains("IT IS MISSING NOW") && reason.contains("\"name\":\"a_1\""), "{reason}");
    assert_eq!(names(&side).await, ["_id_", "transload_guard_a_1"]);
    side.fail_no_more().await;
    let orders = side.open().await.collection::<Document>("orders");
    orders.insert_one(doc! { "_id": "twice", "a": 7 }).await.unwrap_err();
}

#[tokio::test]
async fn what_the_server_would_refuse_is_not_dropped() {
    let (_turn, set) = set(Release::V6_0_5).await;
    let side = Side::new(set, "not_dropped");
    fill(&side, &[plain_b(), unique_a()]).await;
    let everywhere = |code: i32| doc! { "errorCode": code };
    // In the collection itself it is the guard that cannot be built; of the plain one there is none.
    let there = doc! { "errorCode": 67, "namespace": "not_dropped.orders" };
    for (data, drop) in [(everywhere(67), ""), (everywhere(13), "b_1"), (there, "")] {
        let plan = plan(&side).await;
        side.fail(&["createIndexes"], doc! { "times": 1000 }, data).await;
        let report = plan.carry_out(Arc::new(Silent), CancellationToken::new()).await.unwrap();
        side.fail_no_more().await;
        assert!(report.indexes.iter().all(|index| index.result == RepairResult::Left), "{report:?}");
        if !drop.is_empty() {
            side.run(doc! { "dropIndexes": "orders", "index": drop }).await;
        }
    }
    assert_eq!(names(&side).await, ["_id_", "a_1"]);
    assert_eq!(side.open().await.list_collection_names().await.unwrap().len(), 2);
}

#[tokio::test]
async fn lost_connections_and_elections_are_waited_out() {
    let (_turn, set) = set(Release::V6_0_5).await;
    let side = Side::new(set, "waited_out");
    for data in [doc! { "closeConnection": true }, doc! { "errorCode": 189 }] {
        side.open().await.drop().await.unwrap();
        fill(&side, &[unique_a(), plain_b()]).await;
        let plan = plan(&side).await;
        side.fail(&["createIndexes", "dropIndexes", "drop", "listIndexes"], doc! { "times": 7 }, data).await;
        let report = plan.carry_out(Arc::new(Silent), CancellationToken::new()).await.unwrap();
        assert!(report.is_whole() && report.retries >= 7, "{report:?}");
        assert_eq!(names(&side).await, ["_id_", "a_1", "b_1"]);
    }
}

#[tokio::test]
async fn a_repair_is_stopped_between_two_indexes() {
    let (_turn, set) = set(Release::V6_0_5).await;
    let side = Side::new(set, "stopped");
    fill(&side, &[unique_a()]).await;
    let (plan, cancel) = (plan(&side).await, CancellationToken::new());
    cancel.cancel();
    let report = plan.carry_out(Arc::new(Silent), cancel).await.unwrap();
    assert!(report.interrupted && !report.is_whole());
    assert_eq!(self::plan(&side).await.report().bad.len(), 1);
}

#[tokio::test]
async fn a_dump_of_a_server_that_cannot_list_its_indexes_has_them_all() {
    let (_turn, set) = set(Release::V5_0_4).await;
    let side = Side::new(set, "unlistable");
    fill(&side, &[unique_a(), plain_b()]).await;
    let archive = Archive::new();
    let dumped = archive.dump(&side).await.unwrap();
    assert!(dumped.missing.is_empty(), "{:?}", dumped.missing);
    assert!(
        dumped.warnings[0].starts_with("unlistable.orders: the server cannot list its indexes"),
        "{:?}",
        dumped.warnings
    );
    let specs = archived(&archive);
    assert_eq!(specs[0].get_str("name").unwrap(), "_id_");
    assert_eq!(specs[1], unique_a());
    assert_eq!(specs[2], plain_b());
    // Once they are repaired, it is a source like any other.
    assert!(repair(&side).await.is_whole());
    copy(&side, &Side::new(set, "unlistable_copy")).await;
}

/// The specs of `orders` as an archive has them.
fn archived(archive: &Archive) -> Vec<Document> {
    let file = archive.open();
    let is_orders = |it: &&transload_format::Namespace| it.collection.namespace.ends_with(".orders");
    let orders = file.contents().namespaces().iter().find(is_orders).unwrap();
    orders.collection.indexes.iter().map(|spec| bson::deserialize_from_slice(spec).unwrap()).collect()
}

#[tokio::test]
async fn a_dump_has_what_a_server_hides_and_names_it() {
    let mut made = vec![plain_b(), unique_a()];
    made.push(doc! { "v": 2, "key": { "a": 1, "b": -1 }, "name": "A last one" });
    for release in [Release::V6_0_5, Release::V6_0_27] {
        let (_turn, set) = set(release).await;
        let side = Side::new(set, "hidden_junk");
        fill(&side, &made).await;
        assert!(listed(&side).await.iter().all(|spec| !spec.contains_key("safe") && !spec.contains_key("w")));
        let archive = Archive::new();
        let dumped = archive.dump(&side).await.unwrap();
        assert_eq!((&dumped.warnings, &dumped.missing), (&vec![], &vec![]), "{release}");
        let bad: Vec<_> =
            dumped.bad_indexes.iter().map(|bad| (bad.index.as_str(), bad.repairs[0].field.as_str())).collect();
        assert_eq!(bad, [("b_1", "w"), ("a_1", "safe")], "{release}");
        assert_eq!(archived(&archive)[1..], made, "{release}");
        let sidecar = Sidecar::read(&sidecar_path(&archive.path())).unwrap();
        let indexes = &sidecar.collection("hidden_junk.orders").unwrap().indexes;
        let original: Document = bson::deserialize_from_slice(indexes[1].original.as_ref().unwrap()).unwrap();
        assert_eq!(original, unique_a(), "{release}");
        assert!(indexes[1].repairs.iter().any(|repair| repair.field == "safe" && repair.after.is_none()));
        let database = format!("hidden_junk_{release}").replace('.', "_");
        let target = Side::new(shared(Release::V6_0_5).await, &database);
        let restored = archive.restore(&target).await.unwrap();
        assert!(restored.is_whole(), "{release} {:?}", restored.failed_indexes);
        assert_eq!(restored.repaired_indexes.len(), 2, "{release}");
        assert_eq!(names(&target).await, ["A last one", "_id_", "a_1", "b_1"], "{release}");
    }
}

#[tokio::test]
async fn a_dump_by_whoever_may_not_read_the_catalog_is_whole_and_says_so_once() {
    let (_turn, set) = set(Release::V6_0_5).await;
    let side = Side::new(set, "hidden_from_me");
    fill(&side, &[unique_a(), plain_b()]).await;
    side.fail(&["aggregate"], doc! { "times": 1000 }, doc! { "errorCode": 13 }).await;
    let archive = Archive::new();
    let dumped = archive.dump(&side).await.unwrap();
    side.fail_no_more().await;
    assert!(dumped.missing.is_empty() && dumped.bad_indexes.is_empty(), "{dumped:?}");
    assert_eq!(dumped.warnings.len(), 1, "{:?}", dumped.warnings);
    let says = "hidden_from_me.good and 1 more: options that the server does not know may be there";
    assert!(dumped.warnings[0].starts_with(says), "{:?}", dumped.warnings);
    assert_eq!(archived(&archive), listed(&side).await);
}

#[tokio::test]
async fn indexes_that_cannot_be_listed_come_in_the_order_in_which_they_were_made() {
    let (_turn, set) = set(Release::V5_0_4).await;
    let side = Side::new(set, "creation_order");
    let names = ["zulu", "mike", "alpha", "Yankee", "x10", "x9", "bravo"];
    let spec = |name: &str| doc! { "v": 2, "key": { name: 1 }, "name": name };
    let mut made: Vec<Document> = names.iter().map(|name| spec(name)).collect();
    made[2].insert("safe", Bson::Null);
    fill(&side, &made).await;
    // What is made again comes last.
    side.run(doc! { "dropIndexes": "orders", "index": "mike" }).await;
    side.run(doc! { "createIndexes": "orders", "indexes": [spec("mike")] }).await;
    let order = ["_id_", "zulu", "alpha", "Yankee", "x10", "x9", "bravo", "mike"];
    let of = |archive: &Archive| {
        archived(archive).iter().map(|spec| spec.get_str("name").unwrap().to_owned()).collect::<Vec<_>>()
    };
    let archive = Archive::new();
    archive.dump(&side).await.unwrap();
    assert_eq!(of(&archive), order);
    // Whoever may not ask for sizes has them by their names.
    side.fail(&["collStats"], doc! { "times": 1000 }, doc! { "errorCode": 13 }).await;
    let archive = Archive::new();
    archive.dump(&side).await.unwrap();
    side.fail_no_more().await;
    assert_eq!(of(&archive), ["_id_", "Yankee", "alpha", "bravo", "mike", "x10", "x9", "zulu"]);
}
