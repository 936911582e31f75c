//! Collections whose streams a router cannot open, or go on with, as a shard knows them by other UUIDs (SERVER-36154): they are
//! copied without a stream, anew at the cutover, and named wherever somebody looks.

use std::{process::Output, time::Duration};

use bson::{Bson, Document, doc};
use serde_json::Value;
use tokio_util::task::AbortOnDropHandle;
use transload::sandbox::{Release, ReplicaSet};

use super::Migration;
use crate::{
    copy::Side,
    router::{Router, error},
    servers::shared,
    stream::tick,
};

/// What a router says of such a collection.
pub(super) fn differs(namespace: &str) -> Option<Document> {
    Some(error(
        207,
        "InvalidUUID",
        &format!("Collection {namespace} UUID differs from UUID on change stream operations"),
    ))
}

/// What a change stream would be opened on: the name of a collection, or 1 for all of the database.
pub(super) fn watched(command: &Document) -> Option<&Bson> {
    let first = command.get_array("pipeline").ok()?.first()?.as_document()?;
    first.contains_key("$changeStream").then(|| command.get("aggregate"))?
}

pub(super) fn is_balancer(command: &Document) -> Option<Document> {
    command.contains_key("balancerStatus").then(|| doc! { "mode": "off", "inBalancerRound": false, "ok": 1.0 })
}

/// A router whose shard knows `name` of all collections by another UUID.
async fn router(set: &ReplicaSet, name: &'static str) -> Router {
    Router::before(set, move |command| match watched(command) {
        Some(Bson::String(collection)) if collection == name => differs(name),
        Some(Bson::Int32(1)) => differs("all of them"),
        _ => is_balancer(command),
    })
    .await
}

/// Writes on and on beside, so that the time of the source goes on.
pub(super) fn ticking(set: &'static ReplicaSet) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            tick(set).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }))
}

async fn filled(name: &'static str) -> Side<'static> {
    let side = Side::new(shared(Release::V6_0_5).await, name);
    for collection in ["orders", "events"] {
        let some = (0..200).map(|id| doc! { "_id": id, "of": collection });
        side.open().await.collection(collection).insert_many(some).await.unwrap();
    }
    side
}

/// A migration through a router.
async fn migration(name: &'static str, target: &'static str, router: &Router) -> Migration<'static> {
    let source = Side::new(shared(Release::V6_0_5).await, name);
    let mut migration = Migration::new(source, Side::new(shared(Release::V6_0_27).await, target));
    migration.source_uri = Some(router.uri(name));
    migration
}

pub(super) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Whether the status says that orders are not followed, and events are.
fn is_named(status: &Value, database: &str) -> bool {
    let stage_of = |name: &str| {
        let mut namespaces = status["namespaces"].as_array().into_iter().flatten();
        let found = namespaces.find(|one| one["namespace"] == format!("{database}.{name}"));
        found.map(|one| one["stage"].clone())
    };
    status["not_followed"].as_array().is_some_and(|lost| lost.len() == 1)
        && stage_of("events") == Some("following".into())
        && stage_of("orders") == Some("copied".into())
}

/// Writes to both collections, cuts over, and wants everything to be there, and a verdict that says what nobody knows.
async fn arrives_incomplete(mut migration: Migration<'_>, lost: &str) {
    let source = migration.source.open().await;
    for name in ["orders", "events"] {
        source.collection(name).insert_one(doc! { "_id": "written since" }).await.unwrap();
        source.collection::<Document>(name).delete_one(doc! { "_id": 7 }).await.unwrap();
    }
    migration.until_following().await;
    let text = migration.about("status", &[]);
    let shown = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(shown.contains(&format!("not followed, copied anew at the cutover: {lost}: ")), "{shown}");
    let output = migration.about_later("cutover", &["--yes", "--json"]).await;
    assert_eq!(output.status.code(), Some(3), "{}\n{}", said(&output), migration.said());
    let lines = String::from_utf8(output.stdout.clone()).unwrap();
    let report = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let report = report.into_iter().find(|line| line["type"] == "summary").unwrap();
    let line = report["not_followed"][0].as_str().unwrap();
    assert!(line.starts_with(&format!("{lost}: ")) && line.contains("SERVER-36154"), "{report}");
    assert_eq!(report["not_followed"].as_array().unwrap().len(), 1, "{report}");
    assert_eq!((&report["documents_different"], &report["outcome"]), (&Value::from(0), &Value::from("incomplete")));
    let anew = report["copied_anew"].as_array().unwrap();
    assert!(anew.len() == 1 && anew[0].as_str().unwrap().ends_with(lost.split_once('.').unwrap().1), "{report}");
    migration.assert_equal().await;
    let text = migration.about_later("cutover", &["--yes"]).await;
    assert!(said(&text).contains(&format!("NOT FOLLOWED  {lost}: ")), "{}", said(&text));
    migration.kill();
}

#[tokio::test]
async fn a_collection_whose_stream_cannot_be_opened_is_copied_without_one_and_named() {
    let name = "uuid_at_opening";
    let source = filled(name).await;
    let _ticking = ticking(source.set);
    let router = router(source.set, "orders").await;
    let mut checked = std::process::Command::new(env!("CARGO_BIN_EXE_transload"));
    checked.args(["check", &router.uri(name), "--json"]);
    let checked = tokio::task::spawn_blocking(move || checked.output().unwrap()).await.unwrap();
    assert_eq!(checked.status.code(), Some(0), "{}", said(&checked));
    let findings = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(findings.contains("not followed: uuid_at_opening.orders: "), "{findings}");
    assert!(findings.contains("_flushRoutingTableCacheUpdates: 'uuid_at_opening.orders'"), "{findings}");
    let mut migration = migration(name, "uuid_at_opening", &router).await;
    migration.start(&[]);
    migration.until_following().await;
    // What is not followed is not followed after a kill either.
    migration.kill();
    migration.start(&[]);
    migration.until("named", |status| is_named(status, "uuid_at_opening")).await;
    arrives_incomplete(migration, "uuid_at_opening.orders").await;
}

#[tokio::test]
async fn a_stream_that_is_lost_in_the_middle_ends_alone_and_holds_nobody_up() {
    let name = "uuid_in_the_middle";
    let source = filled(name).await;
    let _ticking = ticking(source.set);
    let router = router(source.set, "none of them").await;
    let mut migration = migration(name, "uuid_in_the_middle", &router).await;
    migration.start(&[]);
    let status = migration.until_following().await;
    assert_eq!(status["not_followed"], Value::Array(Vec::new()), "{status}");
    router.answer(|command| {
        // The cursors of streams alone wait for no longer than so.
        let is_stream = command.contains_key("maxTimeMS");
        let is_its = command.get_str("collection").is_ok_and(|name| name == "orders");
        if is_stream && is_its { differs("orders") } else { is_balancer(command) }
    });
    migration.until("named", |status| is_named(status, "uuid_in_the_middle")).await;
    arrives_incomplete(migration, "uuid_in_the_middle.orders").await;
}

#[tokio::test]
async fn where_nothing_can_be_followed_a_migration_is_refused_and_says_what_cures_it() {
    let name = "uuid_of_all";
    let source = filled(name).await;
    let router = Router::before(source.set, |command| match watched(command) {
        Some(_) => differs("all of them"),
        None => is_balancer(command),
    })
    .await;
    let mut migration = migration(name, "uuid_of_all", &router).await;
    migration.start(&[]);
    assert_eq!(migration.end().await, 1, "{}", migration.said());
    let said = migration.said();
    assert!(said.contains("SERVER-36154") && said.contains("_flushRoutingTableCacheUpdates"), "{said}");
}

#[tokio::test]
async fn a_capture_without_one_of_its_streams_records_the_others_and_ends_in_3() {
    let name = "uuid_captured";
    let source = filled(name).await;
    // Else the last of these is of the time that the capture begins with.
    tick(source.set).await;
    let router = router(source.set, "orders").await;
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("changes").display().to_string();
    // Each goes on behind the one before it.
    let mut events = 0;
    for run in 0..5 {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_transload"));
        command.args(["capture", &router.uri(name), &directory, "--for", "3s", "--json"]);
        let captured = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let lines = String::from_utf8_lossy(&captured.stdout).into_owned();
        assert_eq!(captured.status.code(), Some(3), "{lines}");
        let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let report = lines.iter().find(|line| line["type"] == "summary").unwrap();
        assert_eq!(report["streams"].as_array().unwrap().len(), 1, "{report}");
        assert!(report["not_followed"][0].as_str().unwrap().starts_with("uuid_captured.orders: "), "{report}");
        events += report["events"].as_u64().unwrap();
        match run {
            0 => drop(source.open().await.collection("events").insert_one(doc! {}).await.unwrap()),
            // A stream of a machine that has much to do may take its time.
            _ if events > 0 => break,
            _ => {}
        }
    }
    assert_eq!(events, 1);
    // Nor is what is replayed of it whole.
    let target = Side::new(shared(Release::V6_0_27).await, name);
    let target = target.set.uri().replace("/?", &format!("/{name}?"));
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_transload"));
    command.args(["replay", &directory, &target, "--source", &router.uri(name)]);
    let replayed = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert_eq!(replayed.status.code(), Some(3), "{}", said(&replayed));
    assert!(said(&replayed).contains("uuid_captured.orders"), "{}", said(&replayed));
    assert!(said(&replayed).contains("its changes are not recorded; copy it anew"), "{}", said(&replayed));
}
