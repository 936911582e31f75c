//! Sources that refuse writes for a cutover, which is never left unsaid; and those that cannot be told to: who is connected is named,
//! and a person asked, where there is one.

use std::process::{Command, Output, Stdio};

use bson::doc;
use mongodb::{Client, options::ClientOptions};
use transload::sandbox::Release;

use super::{Migration, stages::hold_for};
use crate::{copy::Side, servers::own};

const MAY_REFUSE: &str = "it may still refuse them, until db.adminCommand({setUserWriteBlockMode: 1, global: false})";

/// A command on a terminal of its own, and what is typed there.
async fn on_a_terminal(command: Command, typed: &str) -> Output {
    let quoted = |text: &std::ffi::OsStr| format!("'{}'", text.to_str().unwrap());
    let line: Vec<String> = std::iter::once(command.get_program()).chain(command.get_args()).map(quoted).collect();
    let mut shell = Command::new("sh");
    shell.args(["-c", "printf \"$1\" | script -qec \"$0\" /dev/null", &line.join(" "), typed]);
    shell.stdin(Stdio::null()).env("NO_COLOR", "1");
    tokio::task::spawn_blocking(move || shell.output().unwrap()).await.unwrap()
}

#[tokio::test]
async fn a_source_without_a_fence_names_who_is_connected_and_asks_on_a_terminal() {
    let (source, target) = tokio::join!(own(Release::V4_2_6), own(Release::V6_0_5));
    let (source, target) = (Side::new(&source, "no_fence"), Side::new(&target, "no_fence"));
    let mut options = ClientOptions::parse(source.set.uri()).await.unwrap();
    options.app_name = Some("the shop".to_owned());
    let shop = Client::with_options(options).unwrap().database("no_fence").collection("orders");
    shop.insert_many((0..100).map(|id| doc! { "_id": id })).await.unwrap();
    let mut migration = Migration::new(source, target);
    // Of one that cuts over by itself, the check says so before anything is written.
    let by_itself = ["--cutover", "when-caught-up", "--fence-source"];
    let (code, said) = migration.ends(&by_itself).await;
    assert!(code == 1 && said.contains("cannot be told to refuse writes"), "{code} {said}");
    let asked = on_a_terminal(migration.command(&by_itself), "n\\n").await;
    let shown = String::from_utf8_lossy(&asked.stdout).into_owned();
    assert_eq!(asked.status.code(), Some(1), "{shown}");
    assert!(shown.contains("the shop on 127.0.0.1 (") && shown.contains("nothing was done"), "{shown}");
    assert!(!migration.directory().join("migration.json").exists());

    migration.start(&[]);
    migration.until_following().await;
    let output = migration.about_later("cutover", &["--fence-source", "--yes"]).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    for text in ["cannot be told to refuse writes", "the shop on 127.0.0.1 (", "stop everything that writes to it"] {
        assert!(said.contains(text), "{text:?} is not said: {said}");
    }
    assert!(!said.contains("transload on") && !said.contains("setUserWriteBlockMode"), "{said}");
    let fenced = migration.about_command("cutover", &["--fence-source"]);
    let refused = on_a_terminal(fenced, "n\\n").await;
    let shown = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{shown}");
    assert!(shown.contains("Has everything been stopped that writes to") && shown.contains("the shop on"), "{shown}");
    // It goes on; the status says so the next time that it is written.
    migration.until("following once more", |status| status["stage"] == "following").await;
    let fenced = migration.about_command("cutover", &["--fence-source"]);
    let agreed = on_a_terminal(fenced, "y\\n").await;
    let shown = String::from_utf8_lossy(&agreed.stdout).into_owned();
    assert_eq!(agreed.status.code(), Some(0), "{shown}");
    assert!(shown.contains("EQUAL") && !shown.contains("refuses writes, until"), "{shown}");
    assert_eq!(migration.end().await, 0, "{}", migration.said());
    migration.assert_equal().await;
}

/// Of a source at rest, whoever says so is believed until the last write is looked for.
#[tokio::test]
async fn a_move_of_a_source_at_rest_goes_on_without_a_fence_when_a_person_says_so() {
    let (source, target) = tokio::join!(own(Release::V4_2_6), own(Release::V6_0_5));
    let (source, target) = (Side::new(&source, "at_rest"), Side::new(&target, "at_rest"));
    source.open().await.collection("orders").insert_many((0..100).map(|id| doc! { "_id": id })).await.unwrap();
    // A stream begins with the source's last write, and one that comes late is taken for one of the cutover's time: it is one of
    // another database.
    let apart = source.set.client().await.unwrap().database("apart");
    apart.collection("orders").insert_one(doc! { "_id": 1 }).await.unwrap();
    let migration = Migration::new(source, target);
    let command = migration.command(&["--cutover", "when-caught-up", "--fence-source"]);
    let agreed = on_a_terminal(command, "y\\n").await;
    let shown = String::from_utf8_lossy(&agreed.stdout).into_owned();
    assert_eq!(agreed.status.code(), Some(0), "{shown}");
    assert!(shown.contains("EQUAL"), "{shown}");
    migration.assert_equal().await;
}

/// Whoever waits hears of it, and so does whoever starts it again, until it is over, or begun anew.
#[tokio::test]
async fn a_fence_that_a_killed_cutover_has_left_is_told() {
    let (source, target) = tokio::join!(own(Release::V6_0_5), own(Release::V6_0_5));
    let (source, target) = (Side::new(&source, "fence_left"), Side::new(&target, "fence_left"));
    let orders = source.open().await.collection("orders");
    orders.insert_many((0..100).map(|id| doc! { "_id": id })).await.unwrap();
    let mut migration = Migration::new(source, target);
    migration.start(&[]);
    migration.until_following().await;
    hold_for(migration.target.set, &["listCollections", "listIndexes"], 2000).await;
    let mut command = migration.about_command("cutover", &["--fence-source"]);
    let asked = tokio::task::spawn_blocking(move || command.output().unwrap());
    migration.until("comparing", |status| status["step"] == "comparing the catalogs").await;
    migration.kill();
    let output = asked.await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && said.contains(MAY_REFUSE), "{said}");
    hold_for(migration.target.set, &[], 2000).await;
    orders.insert_one(doc! { "_id": "refused" }).await.unwrap_err();
    // Also of one that nobody has asked for since.
    for _ in 0..2 {
        let before = migration.said().matches(MAY_REFUSE).count();
        migration.start(&[]);
        migration.until("following", |status| status["stage"] == "following").await;
        assert_eq!(migration.said().matches(MAY_REFUSE).count(), before + 1, "{}", migration.said());
        migration.kill();
    }
    let before = migration.said().matches(MAY_REFUSE).count();
    let admin = migration.source.set.client().await.unwrap().database("admin");
    admin.run_command(doc! { "setUserWriteBlockMode": 1, "global": false }).await.unwrap();
    migration.start(&["--restart", "--drop", "--yes"]);
    migration.until("begun anew", |status| status["stage"] == "following").await;
    assert_eq!(migration.said().matches(MAY_REFUSE).count(), before + 1, "{}", migration.said());
    migration.arrives().await;
    assert_eq!(migration.said().matches(MAY_REFUSE).count(), before + 1, "{}", migration.said());
}
