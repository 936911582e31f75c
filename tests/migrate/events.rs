//! Events that are kept in the target, for hosts without a durable disk.

use bson::doc;
use transload::sandbox::Release;

use super::{Migration, has};
use crate::{
    changes::workload::{Allowed, Catalog, Workload},
    copy::Side,
    servers::shared,
};

const TO_TARGET: [&str; 2] = ["--events-to", "target"];

async fn names(side: &Side<'_>) -> Vec<String> {
    side.open().await.list_collection_names().await.unwrap()
}

async fn from_4_2(source: &'static str, target: &'static str) -> Migration<'static> {
    let source = Side::new(shared(Release::V4_2_6).await, source);
    source.open().await.collection("orders").insert_many((0..10).map(|id| doc! { "_id": id })).await.unwrap();
    Migration::new(source, Side::new(shared(Release::V6_0_5).await, target))
}

/// `_cdc` purged, which the scripts never did.
#[tokio::test]
async fn events_in_the_target_make_the_same_copy_and_are_gone_after_it() {
    let source = Side::new(shared(Release::V4_2_6).await, "events_in_target");
    let target = Side::new(shared(Release::V6_0_5).await, "events_in_target_moved");
    let allowed = Allowed { odd_names: false, catalog: Catalog::of(Release::V4_2_6), extremes: true };
    let mut workload = Workload::begin(source.set.client().await.unwrap(), source.database, 531, allowed).await;
    let mut migration = Migration::new(source, target);
    migration.start(&TO_TARGET);
    migration.until("recorded", |status| status["stage"] != "checking" && status["stage"] != "starting").await;
    workload.steps(200).await;
    migration.kill();
    let (code, said) = migration.ends(&["--events-to", "log"]).await;
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("begun with another --events-to: target"), "{said}");
    workload.steps(200).await;
    // It knows where they are.
    migration.start(&["--reverse-capture"]);
    workload.steps(200).await;
    migration.until_following().await;
    let there = names(&migration.target).await;
    assert!(there.contains(&"_cdc".to_owned()) && there.contains(&"_cdc_positions".to_owned()), "{there:?}");
    let segments = std::fs::read_dir(migration.directory().join("log")).unwrap().count();
    assert_eq!(segments, 0, "nothing is in the log");
    let output = migration.about_later("cutover", &["--yes"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let begun = std::time::Instant::now();
    while names(&migration.target).await.iter().any(|name| name.starts_with("_cdc")) {
        assert!(begun.elapsed() < std::time::Duration::from_secs(20), "the events are never dropped");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    migration.assert_equal().await;
    // The way back does not lead over the way here.
    let manifest = std::fs::read_to_string(migration.directory().join("reverse").join("capture.json")).unwrap();
    assert!(manifest.contains("events_in_target_moved._cdc_positions"), "{manifest}");
    assert!(migration.runs(), "{}", migration.said());
}

#[tokio::test]
async fn events_of_a_migration_that_is_given_up_go_with_it_and_those_of_another_stay() {
    let mut migration = from_4_2("events_given_up", "events_given_up_moved").await;
    migration.start(&TO_TARGET);
    let begun = migration.until_following().await["begun"].clone();
    migration.kill();
    // Another one, to the same place.
    let folder = tempfile::tempdir().unwrap();
    let mut command = migration.command_in(&folder.path().join("other"), &[&TO_TARGET[..], &["--drop"]].concat());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("target events: _cdc_positions holds what another capture has written"), "{said}");
    assert!(!has(&folder.path().join("other"), "migration.json"));
    migration.start(&["--restart", "--yes", "--drop"]);
    migration.until("begun anew", |status| status["stage"] == "following" && status["begun"] != begun).await;
    assert!(!names(&migration.target).await.iter().any(|name| name.starts_with("_cdc")), "they stay for ever");
    migration.arrives().await;
}

#[tokio::test]
async fn a_collection_that_goes_where_the_events_are_is_refused() {
    let migration = from_4_2("events_in_the_way", "events_in_the_way").await;
    let rename = "events_in_the_way.orders=events_in_the_way._cdc";
    let (code, said) = migration.ends(&[&["--rename", rename][..], &TO_TARGET].concat()).await;
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("events_in_the_way.orders is to be moved to events_in_the_way._cdc"), "{said}");
}
