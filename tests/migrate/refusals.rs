//! What a migration refuses, and what it says then.

use bson::doc;
use transload::sandbox::Release;

use super::{Migration, has};
use crate::{
    cli::PASSWORD,
    copy::Side,
    servers::{guarded, shared},
};

async fn small(name: &'static str, target: &'static str) -> Migration<'static> {
    let set = shared(Release::V6_0_5).await;
    let source = Side::new(set, name);
    source.open().await.collection("orders").insert_many((0..10).map(|id| doc! { "_id": id })).await.unwrap();
    Migration::new(source, Side::new(set, target))
}

#[tokio::test]
async fn two_migrations_in_one_directory_are_refused_and_the_first_goes_on() {
    let mut migration = small("two_at_once", "two_at_once_moved").await;
    migration.start(&[]);
    migration.until_following().await;
    let (code, said) = migration.ends(&[]).await;
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("another migration is at work in it"), "{said}");
    migration.cut_over().await;
    migration.assert_equal().await;
}

#[tokio::test]
async fn other_servers_another_selection_and_half_a_state_are_refused() {
    let mut migration = small("altered", "altered_moved").await;
    migration.start(&[]);
    migration.until_following().await;
    migration.kill();
    let state = migration.directory().join("migration.json");
    let whole = std::fs::read(&state).unwrap();
    for (what, more) in [("--include", &["--include", "orders"][..]), ("--exclude", &["--exclude", "x*"])] {
        let (code, said) = migration.ends(more).await;
        assert_eq!(code, 2, "{said}");
        assert!(said.contains(&format!("begun with another {what}")), "{said}");
    }
    let elsewhere = Migration::new(
        Side::new(shared(Release::V4_2_6).await, migration.source.database),
        Side::new(migration.target.set, migration.target.database),
    );
    elsewhere.source.open().await.collection("orders").insert_one(doc! { "_id": 1 }).await.unwrap();
    let mut command = elsewhere.command_in(&migration.directory(), &[]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("begun with another source"), "{said}");
    std::fs::write(&state, &whole[..whole.len() / 2]).unwrap();
    let (code, said) = migration.ends(&[]).await;
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("migration.json: is not what a migration has written"), "{said}");
    std::fs::write(&state, whole).unwrap();
    migration.start(&[]);
    migration.arrives().await;
}

/// What is moved where is known by what the servers say of themselves, not by how they are called.
#[tokio::test]
async fn the_same_pair_by_another_spelling_or_user_goes_on_and_another_target_is_refused() {
    let guarded = guarded().await;
    let source = Side::new(guarded.set(), "respelled");
    source.open().await.collection("orders").insert_many((0..10).map(|id| doc! { "_id": id })).await.unwrap();
    let user = doc! { "createUser": "respeller", "pwd": PASSWORD, "roles": [{ "role": "read", "db": "respelled" }] };
    guarded.client().await.database("admin").run_command(user).await.unwrap();
    let mut migration = Migration::new(source, Side::new(shared(Release::V6_0_5).await, "respelled"));
    migration.source_uri = Some(guarded.uri("root", "/respelled"));
    migration.start(&[]);
    migration.until_following().await;
    migration.kill();
    let elsewhere = shared(Release::V6_0_27).await.member_uri(0).unwrap();
    migration.target_uri = Some(elsewhere.replace("/?", "/respelled?"));
    let (code, said) = migration.ends(&[]).await;
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("begun with another target") && said.contains("name the same servers"), "{said}");
    migration.target_uri = Some(migration.target.set.uri().replace("/?", "/otherwise?"));
    let (code, said) = migration.ends(&[]).await;
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("'respelled' would go to") || said.contains("begun with another database"), "{said}");
    // One member by another name, instead of the set; and another user.
    let member = migration.target.set.member_uri(0).unwrap().replace("127.0.0.1", "localhost");
    let address = member.split("://").nth(1).unwrap().split('/').next().unwrap();
    migration.target_uri = Some(format!("mongodb://{address}/respelled?directConnection=true"));
    migration.source_uri = Some(guarded.uri("respeller", "/respelled"));
    migration.start(&[]);
    migration.arrives().await;
    assert!(!migration.said().contains(PASSWORD));
}

#[tokio::test]
async fn names_that_are_taken_are_refused_unless_they_are_to_be_dropped() {
    let mut migration = small("taken", "taken_moved").await;
    let target = migration.target.open().await;
    for name in ["orders", "precious"] {
        target.collection(name).insert_one(doc! { "_id": "there before" }).await.unwrap();
    }
    let (code, said) = migration.ends(&[]).await;
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("taken_moved.orders") && said.contains("--drop"), "{said}");
    assert!(!has(&migration.directory(), "migration.json"));
    migration.start(&["--drop"]);
    migration.until_following().await;
    assert!(migration.said().contains("will be dropped: taken_moved.orders"), "{}", migration.said());
    migration.cut_over().await;
    assert_eq!(migration.target.documents("precious").await.len(), 1);
    target.collection::<bson::Document>("precious").drop().await.unwrap();
    migration.assert_equal().await;
}

#[tokio::test]
async fn a_restart_begins_anew_after_it_was_allowed_to() {
    let mut migration = small("restarted", "restarted_moved").await;
    migration.start(&[]);
    migration.until_following().await;
    migration.kill();
    let elsewhere = small("restarted_not", "restarted_not_moved").await;
    let (code, said) = elsewhere.ends(&["--restart", "--yes"]).await;
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("no migration in it that could be given up"), "{said}");
    let (code, said) = migration.ends(&["--restart"]).await;
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("--yes"), "{said}");
    let (code, said) = migration.ends(&["--restart", "--yes"]).await;
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("are there already"), "{said}");
    // What cannot begin anew is not given up.
    assert!(has(&migration.directory(), "migration.json") && has(&migration.directory(), "copy.tlz"));
    migration.start(&["--restart", "--yes", "--drop"]);
    migration.arrives().await;
}

#[tokio::test]
async fn a_cutover_with_writes_since_is_not_clean_and_gives_nothing_up() {
    let mut migration = small("written_since", "written_since_moved").await;
    migration.start(&[]);
    migration.until_following().await;
    // On the target, where nobody should write yet.
    let stray = migration.target.open().await.collection("orders");
    stray.insert_one(doc! { "_id": "stray" }).await.unwrap();
    let output = migration.about_later("cutover", &["--yes"]).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("1 documents differ"), "{said}");
    stray.delete_one(doc! { "_id": "stray" }).await.unwrap();
    migration.arrives().await;
}

#[tokio::test]
async fn commands_about_a_directory_without_a_migration_say_so() {
    let migration = small("no_migration", "no_migration_moved").await;
    for (what, more) in [("status", &[][..]), ("pause", &[]), ("resume", &[]), ("cutover", &["--yes"])] {
        let output = migration.about(what, more);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{what}: {said}");
        assert!(said.contains("holds no migration"), "{what}: {said}");
    }
}
