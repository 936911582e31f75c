//! A database that is written to all the while.

use bson::doc;
use transload::sandbox::Release;

use super::{Migration, has};
use crate::{
    changes::workload::{Allowed, Catalog, Workload},
    copy::Side,
    servers::{own, shared},
};

async fn moves(from: Release, seed: u64) {
    let (source, target) = (format!("live_{seed}"), format!("live_{seed}_moved"));
    let source = Side::new(shared(from).await, &source);
    let target = Side::new(shared(Release::V6_0_5).await, &target);
    let allowed = Allowed { odd_names: from != Release::V4_2_6, catalog: Catalog::of(from), extremes: true };
    let mut workload = Workload::begin(source.set.client().await.unwrap(), source.database, seed, allowed).await;
    source.run(doc! { "create": "empty", "validator": { "a": 1 } }).await;
    let mut migration = Migration::new(source, target);
    migration.start(&[]);
    workload.steps(300).await;
    migration.until_following().await;
    workload.steps(300).await;
    let paused = migration.about("pause", &[]);
    assert!(paused.status.success());
    migration.until("paused", |status| status["stage"] == "paused" && status["paused"] == true).await;
    workload.steps(100).await;
    let resumed = migration.about("resume", &[]);
    assert!(resumed.status.success());
    workload.steps(100).await;
    workload.expire().await;
    let status = migration.until_following().await;
    assert_eq!(status["copy_complete"], true, "{status}");
    migration.cut_over().await;
    migration.assert_equal().await;
    let directory = migration.directory();
    let name = migration.source.database;
    assert!(has(&directory, "copy.tlz") && has(&directory, "copy.indexes.json"));
    assert!(has(&directory, &format!("{name}.plain.done")) && has(&directory, &format!("logs/{name}.plain.log")));
    assert_eq!(migration.status().unwrap()["stage"], "done");
}

#[tokio::test]
async fn a_live_database_arrives_exactly() {
    moves(Release::V6_0_5, 501).await;
}

#[tokio::test]
async fn a_live_database_of_4_2_arrives_exactly() {
    moves(Release::V4_2_6, 502).await;
}

/// A source that nothing was ever written to since: its stream moves on with what others write, and the fence's own word.
#[tokio::test]
async fn a_fenced_source_takes_no_writes_and_the_cutover_takes_seconds() {
    let (source, target) = (own(Release::V6_0_5).await, shared(Release::V6_0_5).await);
    let source = Side::new(&source, "fenced");
    source.open().await.collection("orders").insert_many((0..100).map(|id| doc! { "_id": id })).await.unwrap();
    let mut migration = Migration::new(source, Side::new(target, "fenced"));
    migration.start(&[]);
    migration.until_following().await;
    let begun = std::time::Instant::now();
    let output = migration.about_later("cutover", &["--fence-source"]).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("refuses writes"), "{said}");
    assert!(begun.elapsed() < std::time::Duration::from_secs(25), "{:?}", begun.elapsed());
    assert_eq!(migration.end().await, 0);
    let orders = migration.source.open().await.collection("orders");
    orders.insert_one(doc! { "_id": "later" }).await.unwrap_err();
    migration.assert_equal().await;
}

/// For a source at rest, in one go; with the changes of the target recorded afterwards, for a way back.
#[tokio::test]
async fn a_move_that_cuts_over_by_itself_goes_on_recording_the_target() {
    let set = shared(Release::V6_0_5).await;
    let (source, target) = (Side::new(set, "by_itself"), Side::new(set, "by_itself_moved"));
    source.open().await.collection("orders").insert_many((0..100).map(|id| doc! { "_id": id })).await.unwrap();
    let mut migration = Migration::new(source, target);
    migration.start(&["--cutover", "when-caught-up", "--reverse-capture"]);
    migration.until("done", |status| status["stage"] == "done").await;
    migration.assert_equal().await;
    let orders = migration.target.open().await.collection("orders");
    orders.insert_one(doc! { "_id": "on the target" }).await.unwrap();
    let recorded = migration.directory().join("reverse").join("log").join("1");
    let size =
        || std::fs::read_dir(&recorded).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum::<u64>();
    let before = size();
    let begun = std::time::Instant::now();
    while size() == before {
        assert!(begun.elapsed() < std::time::Duration::from_secs(20), "nothing is recorded");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let again = migration.about("cutover", &["--yes"]);
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(said.contains("is over"), "{said}");
    migration.kill();
    // Whoever starts it once more hears how it ended.
    let mut command = migration.command(&[]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("EQUAL"), "{said}");
}

/// After the cutover the application writes to the target; and somebody finds that it has to go back.
#[tokio::test]
async fn the_way_back_leads_back() {
    for from in [Release::V4_2_6, Release::V6_0_5] {
        let (name, moved): (&str, &str) = match from {
            Release::V4_2_6 => ("way_back_4_2", "way_back_4_2_moved"),
            _ => ("way_back", "way_back_moved"),
        };
        let source = Side::new(shared(from).await, name);
        let target = Side::new(shared(Release::V6_0_5).await, moved);
        source.open().await.collection("orders").insert_many((0..100).map(|id| doc! { "_id": id })).await.unwrap();
        let mut migration = Migration::new(source, target);
        migration.start(&["--cutover", "when-caught-up", "--reverse-capture"]);
        migration.until("done", |status| status["stage"] == "done").await;
        let allowed = Allowed { odd_names: from != Release::V4_2_6, catalog: Catalog::of(from), extremes: false };
        let mut workload = Workload::begin(migration.target.set.client().await.unwrap(), moved, 503, allowed).await;
        workload.steps(300).await;
        // Killed and begun again, it goes on.
        migration.kill();
        workload.steps(50).await;
        migration.start(&["--reverse-capture"]);
        workload.steps(50).await;
        let reverse = migration.directory().join("reverse");
        let uri = |side: &Side<'_>| side.set.uri().replace("/?", &format!("/{}?", side.database));
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_transload"));
        command.arg("replay").arg(&reverse).arg(uri(&migration.source)).args(["--source", &uri(&migration.target)]);
        command.args(["--until", "now"]);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{said}");
        migration.assert_equal().await;
    }
}

/// Whatever a comparison says in the middle of it: who still writes, writes on.
#[tokio::test]
async fn a_cutover_of_a_source_that_is_still_written_to_is_never_clean() {
    let set = shared(Release::V6_0_5).await;
    let (source, target) = (Side::new(set, "still_written"), Side::new(set, "still_written_moved"));
    let orders = source.open().await.collection("orders");
    orders.insert_many((0..100).map(|id| doc! { "_id": id })).await.unwrap();
    let mut migration = Migration::new(source, target);
    migration.start(&[]);
    migration.until_following().await;
    for how in ["full", "counts", "none"] {
        let writing = async {
            for number in 0.. {
                orders.insert_one(doc! { "_id": format!("{how} {number}") }).await.unwrap();
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
        };
        let flags = ["--yes", "--verify", how];
        let output = tokio::select! {
            output = migration.about_later("cutover", &flags) => output,
            () = writing => unreachable!(),
        };
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!([Some(3), Some(4)].contains(&output.status.code()), "{how}: {said}");
        assert!(said.contains("changes were made on the source after the cutover had begun"), "{how}: {said}");
    }
    migration.arrives().await;
}

/// The fence may have been lifted since: it takes another order.
#[tokio::test]
async fn a_cutover_that_was_killed_is_given_up_and_may_be_asked_for_once_more() {
    let set = shared(Release::V6_0_5).await;
    let (source, target) = (Side::new(set, "cut_and_killed"), Side::new(set, "cut_and_killed_moved"));
    let text = "x".repeat(20_000);
    let orders = source.open().await.collection("orders");
    orders.insert_many((0..2000).map(|id| doc! { "_id": id, "text": format!("{id} {text}") })).await.unwrap();
    let mut migration = Migration::new(source, target);
    migration.start(&[]);
    migration.until_following().await;
    let killed = async {
        let state = migration.directory().join("migration.json");
        while !std::fs::read_to_string(&state).unwrap().contains("cutting-over") {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        kill_now(migration.process_id());
    };
    let (output, ()) = tokio::join!(migration.about_later("cutover", &["--yes"]), killed);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("stopped before the cutover was over"), "{said}");
    orders.insert_one(doc! { "_id": "later" }).await.unwrap();
    migration.start(&[]);
    migration.until_following().await;
    assert!(migration.said().contains("is given up"), "{}", migration.said());
    migration.cut_over().await;
    migration.assert_equal().await;
}

/// SIGKILL.
fn kill_now(process: u32) {
    let killed = std::process::Command::new("kill").args(["-9", &process.to_string()]).status().unwrap();
    assert!(killed.success());
}
