//! What a review has found, each by name.

use std::time::Duration;

use bson::{Document, doc};
use transload::sandbox::Release;

use super::{Migration, has};
use crate::{copy::Side, servers::shared};

async fn small(from: Release, name: &'static str) -> Migration<'static> {
    let source = Side::new(shared(from).await, name);
    source.open().await.collection("orders").insert_many((0..10).map(|id| doc! { "_id": id })).await.unwrap();
    Migration::new(source, Side::new(shared(Release::V6_0_5).await, format!("{name}_moved").leak()))
}

/// Servers before 6.0 do not tell that a collection came into being: nor was it this migration's that had its name.
#[tokio::test]
async fn a_drop_or_a_rename_of_what_was_never_told_touches_nothing_of_others() {
    let mut migration = small(Release::V4_2_6, "reg_untold").await;
    let others = migration.target.open().await;
    for name in ["dropped", "renamed"] {
        others.collection(name).insert_one(doc! { "_id": "precious" }).await.unwrap();
    }
    migration.start(&[]);
    migration.until_following().await;
    let database = migration.source.open().await;
    database.run_command(doc! { "create": "renamed" }).await.unwrap();
    // Nor does the first make the second look as if it was told.
    for _ in 0..2 {
        database.run_command(doc! { "create": "dropped" }).await.unwrap();
        database.collection::<Document>("dropped").drop().await.unwrap();
    }
    let [from, to] = ["renamed", "orders"].map(|name| format!("reg_untold.{name}"));
    let admin = migration.source.set.client().await.unwrap().database("admin");
    admin.run_command(doc! { "renameCollection": from, "to": to, "dropTarget": true }).await.unwrap();
    // Nor does it become the migration's by having been renamed.
    database.run_command(doc! { "create": "renamed" }).await.unwrap();
    database.collection::<Document>("renamed").drop().await.unwrap();
    database.collection("orders").insert_one(doc! { "_id": "new" }).await.unwrap();
    migration.until_following().await;
    migration.cut_over().await;
    for name in ["dropped", "renamed"] {
        assert_eq!(migration.target.documents(name).await.len(), 1, "{name}");
    }
    assert_eq!(migration.target.documents("orders").await, migration.source.documents("orders").await);
}

/// A view that is a collection since, of which servers before 6.0 tell only the documents.
#[tokio::test]
async fn a_view_that_has_become_a_collection_takes_its_documents() {
    let mut migration = small(Release::V4_2_6, "reg_view").await;
    let database = migration.source.open().await;
    database.run_command(doc! { "create": "seen", "viewOn": "orders", "pipeline": [] }).await.unwrap();
    migration.start(&[]);
    migration.until_following().await;
    database.collection::<Document>("seen").drop().await.unwrap();
    database.collection("seen").insert_one(doc! { "_id": 1 }).await.unwrap();
    migration.arrives().await;
}

/// Deletes alone are writes, too, where nothing expires.
#[tokio::test]
async fn a_cutover_of_a_source_that_is_still_deleted_from_is_not_clean() {
    let mut migration = small(Release::V6_0_5, "reg_deletes").await;
    let orders = migration.source.open().await.collection::<Document>("orders");
    orders.insert_many((100..2000).map(|id| doc! { "_id": id })).await.unwrap();
    migration.start(&[]);
    migration.until_following().await;
    let deleting = async {
        for id in 100..2000 {
            orders.delete_one(doc! { "_id": id }).await.unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let output = tokio::select! {
        output = migration.about_later("cutover", &["--yes", "--verify", "none"]) => output,
        () = deleting => panic!("the cutover takes too long"),
    };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("changes were made on the source after the cutover had begun"), "{said}");
    migration.arrives().await;
}

/// Whoever asked a process that is gone hears so, and does not wait for ever.
#[tokio::test]
async fn a_cutover_that_was_asked_of_a_process_that_is_gone_is_answered() {
    let mut migration = small(Release::V6_0_5, "reg_request").await;
    migration.start(&[]);
    migration.until_following().await;
    migration.kill();
    let request = r#"{"id": 7, "fence_source": false, "verify": "full"}"#;
    std::fs::write(migration.directory().join("cutover.json"), request).unwrap();
    migration.start(&[]);
    migration.until_following().await;
    assert!(!has(&migration.directory(), "cutover.json"));
    let answer = std::fs::read_to_string(migration.directory().join("report.json")).unwrap();
    assert!(answer.contains("has ended before"), "{answer}");
    migration.arrives().await;
}

#[tokio::test]
async fn a_restart_that_was_killed_while_it_gave_up_goes_on() {
    let mut migration = small(Release::V6_0_5, "reg_given_up").await;
    migration.start(&[]);
    let begun = migration.until_following().await["begun"].clone();
    migration.kill();
    let directory = migration.directory();
    std::fs::rename(directory.join("migration.json"), directory.join("given-up.json")).unwrap();
    std::fs::remove_file(directory.join("copy.parts.json")).unwrap();
    let (code, said) = migration.ends(&[]).await;
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("was being given up") && said.contains("--restart"), "{said}");
    migration.start(&["--restart", "--yes", "--drop"]);
    migration.until("begun anew", |status| status["stage"] == "following" && status["begun"] != begun).await;
    migration.arrives().await;
    assert!(!has(&directory, "given-up.json"));
}

/// The way back is only for what came, and cannot begin when the target has had writes that nobody has recorded.
#[tokio::test]
async fn the_way_back_is_of_what_was_moved_and_from_the_cutover_on() {
    let mut migration = small(Release::V6_0_5, "reg_back").await;
    let database = migration.source.open().await;
    let create = doc! { "create": "weather", "timeseries": { "timeField": "at" } };
    database.run_command(create).await.unwrap();
    migration.start(&["--cutover", "when-caught-up", "--reverse-capture", "--exclude", "apart"]);
    migration.until("done", |status| status["stage"] == "done").await;
    let target = migration.target.open().await;
    for name in ["apart", "orders"] {
        target.collection(name).insert_one(doc! { "_id": "on the target" }).await.unwrap();
    }
    // The archive may be somewhere else by now.
    std::fs::remove_file(migration.directory().join("copy.tlz")).unwrap();
    migration.kill();
    migration.start(&["--reverse-capture"]);
    let uri = |side: &Side<'_>| side.set.uri().replace("/?", &format!("/{}?", side.database));
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_transload"));
    command.arg("replay").arg(migration.directory().join("reverse")).arg(uri(&migration.source));
    command.args(["--source", &uri(&migration.target), "--until", "now"]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // Of time series nobody tells.
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("weather: it is a time series"), "{said}");
    let names = database.list_collection_names().await.unwrap();
    assert!(!names.contains(&"apart".to_owned()), "{names:?}");
    assert_eq!(migration.source.documents("orders").await, migration.target.documents("orders").await);
    migration.kill();
    std::fs::remove_dir_all(migration.directory().join("reverse")).unwrap();
    let (code, said) = migration.ends(&["--reverse-capture"]).await;
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("were not recorded"), "{said}");
}

/// A restart takes a request away with everything else.
#[tokio::test]
async fn a_cutover_that_nobody_knows_of_any_more_is_not_waited_for() {
    let mut migration = small(Release::V6_0_5, "reg_lost_request").await;
    migration.start(&[]);
    migration.until_following().await;
    let directory = migration.directory();
    let answered = transload::migrate::answer(&directory, 7);
    let answered = tokio::time::timeout(Duration::from_secs(30), answered).await.expect("it waits for ever");
    assert!(answered.unwrap_err().to_string().contains("has ended before"));
    migration.arrives().await;
}
