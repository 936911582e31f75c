//! What a cutover only tries on the target, and leaves there when it is killed, is dropped by whoever goes on.

use bson::doc;
use transload::sandbox::Release;

use super::{Migration, PATIENCE, stages::hold};
use crate::{copy::Side, servers::own};

/// The scratch collections that the target has.
async fn scratches(target: &Side<'_>) -> Vec<String> {
    let names = target.open().await.list_collection_names().await.unwrap();
    names.into_iter().filter(|name| name.starts_with("transload_scratch_")).collect()
}

/// Kills a cutover while it proves the index of a collection that is copied anew.
async fn killed_while_it_proves_an_index(migration: &mut Migration<'_>) {
    let (database, name) = (migration.source.open().await, migration.source.database);
    database.collection("orders").insert_one(doc! { "_id": 1 }).await.unwrap();
    database.collection("hidden").insert_many((0..10).map(|id| doc! { "_id": id, "at": id })).await.unwrap();
    let index = doc! { "createIndexes": "hidden", "indexes": [{ "key": { "at": 1 }, "name": "at_1" }] };
    database.run_command(index).await.unwrap();
    migration.start(&["--exclude", &format!("{name}.hidden")]);
    migration.until_following().await;
    let rename = doc! { "renameCollection": format!("{name}.hidden"), "to": format!("{name}.shown") };
    migration.source.set.client().await.unwrap().database("admin").run_command(rename).await.unwrap();
    migration.until_following().await;
    hold(migration.target.set, &["createIndexes"]).await;
    let mut command = migration.about_command("cutover", &["--yes"]);
    let asked = tokio::task::spawn_blocking(move || command.output().unwrap());
    let tried = async {
        while scratches(&migration.target).await.is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, tried).await.expect("an index is proven");
    migration.kill();
    assert_eq!(asked.await.unwrap().status.code(), Some(1));
    hold(migration.target.set, &[]).await;
    // The index that the dead process has asked for last is built before it goes on.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(scratches(&migration.target).await.len(), 1);
}

#[tokio::test]
async fn what_a_killed_cutover_has_tried_goes_with_the_next_one() {
    let (source, target) = tokio::join!(own(Release::V6_0_5), own(Release::V6_0_5));
    let mut migration = Migration::new(Side::new(&source, "tried"), Side::new(&target, "tried"));
    killed_while_it_proves_an_index(&mut migration).await;
    migration.start(&[]);
    migration.arrives().await;
    assert_eq!(scratches(&migration.target).await, [""; 0]);
}

#[tokio::test]
async fn what_a_killed_cutover_has_tried_goes_with_a_restart() {
    let (source, target) = tokio::join!(own(Release::V6_0_5), own(Release::V6_0_5));
    let mut migration = Migration::new(Side::new(&source, "given_up"), Side::new(&target, "given_up"));
    killed_while_it_proves_an_index(&mut migration).await;
    migration.start(&["--restart", "--drop", "--yes"]);
    migration.arrives().await;
    assert_eq!(scratches(&migration.target).await, [""; 0]);
}
