//! What a migration leaves on the target when it is killed: whoever goes on waits for what is under way, and drops what was only tried.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bson::{Document, doc};
use transload::sandbox::Release;

use super::{Migration, stages::hold_for};
use crate::{
    copy::Side,
    eventually::eventually,
    router::{CUT, Router},
    servers::own,
};

/// How long each build is held, in milliseconds.
const HELD: i32 = 2000;

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
    hold_for(migration.target.set, &["createIndexes"], HELD).await;
    let mut command = migration.about_command("cutover", &["--yes"]);
    let asked = tokio::task::spawn_blocking(move || command.output().unwrap());
    eventually("an index is proven", async || !scratches(&migration.target).await.is_empty()).await;
    migration.kill();
    assert_eq!(asked.await.unwrap().status.code(), Some(1));
    hold_for(migration.target.set, &[], HELD).await;
    // The index that the dead process has asked for last is built before it goes on.
    tokio::time::sleep(Duration::from_millis(u64::try_from(HELD).unwrap() + 1000)).await;
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

/// A write that the target comes to late is older than those of whoever goes on.
#[tokio::test]
async fn the_end_of_what_a_killed_process_has_under_way_is_waited_for() {
    for restarts in [false, true] {
        let (source, target) = tokio::join!(own(Release::V6_0_5), own(Release::V6_0_5));
        let (source, target) = (Side::new(&source, "late"), Side::new(&target, "late"));
        let orders = source.open().await.collection::<Document>("orders");
        orders.insert_many((0..10).map(|id| doc! { "_id": id, "n": 0 })).await.unwrap();
        let mut migration = Migration::new(source, target);
        migration.target_uri = Some(format!("{}&appName=first", migration.target.set.uri().replace("/?", "/late?")));
        migration.start(&[]);
        migration.until_following().await;
        let data =
            doc! { "failCommands": ["update"], "appName": "first", "blockConnection": true, "blockTimeMS": 6000 };
        let command = doc! { "configureFailPoint": "failCommand", "mode": "alwaysOn", "data": data };
        migration.target.set.fail_point(command).await.unwrap();
        orders.update_one(doc! { "_id": 1 }, doc! { "$set": { "n": 1 } }).await.unwrap();
        migration.target.failing().await;
        migration.kill();
        orders.update_one(doc! { "_id": 1 }, doc! { "$set": { "n": 2 } }).await.unwrap();
        migration.target_uri = None;
        migration.start(if restarts { &["--restart", "--drop", "--yes"] } else { &[] });
        migration.arrives().await;
        let said = migration.said();
        assert!(said.contains("the target is at writes that a process before this one may have left to it"), "{said}");
        // However late it is.
        tokio::time::sleep(Duration::from_secs(7)).await;
        migration.assert_equal().await;
    }
}

/// The same process sends it again, when it has lost the connection, and what follows after it.
#[tokio::test]
async fn a_write_whose_answer_was_lost_overtakes_none_of_those_after_it() {
    let (source, target) = tokio::join!(own(Release::V6_0_5), own(Release::V6_0_5));
    let (source, target) = (Side::new(&source, "lost_answer"), Side::new(&target, "lost_answer"));
    let orders = source.open().await.collection::<Document>("orders");
    orders.insert_many((0..10).map(|id| doc! { "_id": id, "n": 0 })).await.unwrap();
    let cuts = Arc::new(AtomicBool::new(false));
    let cuts_once = Arc::clone(&cuts);
    let member = Router::as_the_member(target.set, move |command| {
        let is_update = command.keys().next().is_some_and(|name| name == "update");
        (is_update && cuts_once.swap(false, Ordering::Relaxed)).then(|| doc! { CUT: true })
    })
    .await;
    let mut migration = Migration::new(source, target);
    migration.target_uri = Some(format!("{}?directConnection=true&appName=first", member.uri("lost_answer")));
    migration.start(&[]);
    migration.until_following().await;
    let data = doc! { "failCommands": ["update"], "appName": "first", "blockConnection": true, "blockTimeMS": 6000 };
    let command = doc! { "configureFailPoint": "failCommand", "mode": { "times": 1 }, "data": data };
    migration.target.set.fail_point(command).await.unwrap();
    cuts.store(true, Ordering::Relaxed);
    orders.update_one(doc! { "_id": 1 }, doc! { "$set": { "n": 1 } }).await.unwrap();
    migration.target.failing().await;
    orders.update_one(doc! { "_id": 1 }, doc! { "$set": { "n": 2 } }).await.unwrap();
    migration.until_following().await;
    assert!(!cuts.load(Ordering::Relaxed));
    // However late it is.
    tokio::time::sleep(Duration::from_secs(7)).await;
    migration.arrives().await;
}
