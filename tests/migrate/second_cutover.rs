//! A cutover that is not clean, what happens after it, and the one that is.

use bson::{Document, doc};
use transload::sandbox::Release;

use super::Migration;
use crate::{copy::Side, servers::shared};

/// One whose target has a document that the source has not, once it follows.
async fn with_a_stray(from: Release, name: &'static str) -> Migration<'static> {
    let source = Side::new(shared(from).await, name);
    let database = source.open().await;
    database.collection("orders").insert_many((0..10).map(|id| doc! { "_id": id })).await.unwrap();
    database.collection("others").insert_one(doc! { "_id": 1 }).await.unwrap();
    let index = doc! { "key": { "at": 1 }, "name": "at_1", "expireAfterSeconds": 3600 };
    database.run_command(doc! { "createIndexes": "orders", "indexes": [index] }).await.unwrap();
    let mut migration =
        Migration::new(source, Side::new(shared(Release::V6_0_5).await, format!("{name}_moved").leak()));
    migration.start(&[]);
    migration.until_following().await;
    add_stray(&migration).await;
    migration
}

async fn add_stray(migration: &Migration<'_>) {
    migration.target.open().await.collection("others").insert_one(doc! { "_id": "stray" }).await.unwrap();
}

async fn is_different(migration: &mut Migration<'_>) {
    let output = migration.about_later("cutover", &["--yes", "--verify", "counts"]).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(4), "{said}");
    migration.until_following().await;
}

async fn without_the_stray(migration: &Migration<'_>) {
    let others = migration.target.open().await.collection::<Document>("others");
    others.delete_one(doc! { "_id": "stray" }).await.unwrap();
}

/// When the documents of the target's collection expire by its index.
async fn expiry(migration: &Migration<'_>) -> i64 {
    let listed = migration.target.open().await.run_command(doc! { "listIndexes": "orders" }).await.unwrap();
    let listed = listed.get_document("cursor").unwrap().get_array("firstBatch").unwrap().clone();
    let listed: Vec<Document> = listed.into_iter().map(|index| index.as_document().unwrap().clone()).collect();
    let index = listed.iter().find(|index| index.get_str("name").is_ok_and(|name| name == "at_1")).unwrap();
    index.get("expireAfterSeconds").and_then(|seconds| seconds.as_i32().map(i64::from).or(seconds.as_i64())).unwrap()
}

/// What expires is held back once more while changes are applied, and let in the end.
#[tokio::test]
async fn after_a_cutover_that_was_not_clean_nothing_expires_again() {
    let mut migration = with_a_stray(Release::V6_0_5, "second_ttl").await;
    assert_eq!(expiry(&migration).await, i64::from(i32::MAX));
    is_different(&mut migration).await;
    assert_eq!(expiry(&migration).await, i64::from(i32::MAX), "{}", migration.said());
    without_the_stray(&migration).await;
    let shorter = doc! { "collMod": "orders", "index": { "name": "at_1", "expireAfterSeconds": 60 } };
    migration.source.open().await.run_command(shorter).await.unwrap();
    migration.until_following().await;
    assert_eq!(expiry(&migration).await, i64::from(i32::MAX));
    // One that ends with its cutover, whatever it has come to, leaves the target as it is to be used.
    add_stray(&migration).await;
    migration.kill();
    // Where something expires, documents are looked at again for a minute, and numbers of others are not.
    let (code, said) = migration.ends(&["--cutover", "when-caught-up", "--verify", "counts"]).await;
    assert_eq!((code, expiry(&migration).await), (4, 60), "{said}");
    migration.start(&[]);
    migration.until_following().await;
    assert_eq!(expiry(&migration).await, i64::from(i32::MAX));
    without_the_stray(&migration).await;
    migration.arrives().await;
    assert_eq!(expiry(&migration).await, 60);
}

/// Servers before 6.0 tell nothing of views: one comes with a cutover, and goes with the next.
#[tokio::test]
async fn what_a_cutover_has_made_goes_with_the_next_one_if_the_source_has_it_no_more() {
    let mut migration = with_a_stray(Release::V4_2_6, "second_view").await;
    let (source, target) = (migration.source.open().await, migration.target.open().await);
    source.run_command(doc! { "create": "seen", "viewOn": "orders", "pipeline": [] }).await.unwrap();
    is_different(&mut migration).await;
    assert!(target.list_collection_names().await.unwrap().contains(&"seen".to_owned()));
    source.collection::<Document>("seen").drop().await.unwrap();
    without_the_stray(&migration).await;
    migration.arrives().await;
    assert!(!target.list_collection_names().await.unwrap().contains(&"seen".to_owned()));
}

/// When it is over, whoever asks for what it has come to hears that, though the process goes on.
#[tokio::test]
async fn who_asks_when_it_is_over_is_answered() {
    let mut migration = with_a_stray(Release::V6_0_5, "second_answer").await;
    without_the_stray(&migration).await;
    migration.kill();
    migration.start(&["--reverse-capture"]);
    migration.until_following().await;
    let output = migration.about_later("cutover", &["--yes"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let directory = migration.directory();
    let asked = std::time::Duration::from_secs(30);
    let answered = tokio::time::timeout(asked, transload::migrate::answer(&directory, 7)).await.expect("it waits");
    assert_eq!(answered.unwrap().outcome, transload::migrate::Outcome::Clean);
    migration.kill();
}

/// A restart that is refused gives nothing up, and takes nothing from what is told of it.
#[tokio::test]
async fn a_restart_that_is_refused_leaves_the_status_as_it_is() {
    let mut migration = with_a_stray(Release::V6_0_5, "second_restart").await;
    let followed = migration.until("told", |status| status["stage"] == "following").await;
    migration.kill();
    let (code, said) = migration.ends(&["--restart", "--yes"]).await;
    assert_eq!(code, 1, "{said}");
    let status = migration.status().unwrap();
    assert_eq!((&status["stage"], &status["begun"]), (&followed["stage"], &followed["begun"]));
    assert_eq!(status["namespaces"][0]["documents"], followed["namespaces"][0]["documents"]);
    assert!(!super::has(&migration.directory(), "status.before.json"));
}

/// Whoever compares less is told so, in the verdict itself.
#[tokio::test]
async fn a_cutover_that_compares_less_says_what_it_has_compared() {
    for (how, verdict) in [
        ("sample", "NOTHING DIFFERS of what was compared; A SAMPLE ONLY compared"),
        ("counts", "NOTHING DIFFERS of what was compared; counts alone compared"),
        ("none", "NOT COMPARED: nothing is known to be missing; nothing was compared"),
    ] {
        let mut migration = with_a_stray(Release::V6_0_5, format!("second_{how}").leak()).await;
        without_the_stray(&migration).await;
        let output = migration.about_later("cutover", &["--yes", "--verify", how]).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{how}: {said}");
        assert!(said.contains(verdict) && !said.contains("EQUAL"), "{how}: {said}");
        migration.end().await;
        migration.assert_equal().await;
    }
}
