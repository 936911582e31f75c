//! Users and roles come along when they are wanted, and those that are there stay.

use std::{collections::BTreeMap, sync::Arc};

use bson::{Document, doc};
use tokio_util::sync::CancellationToken;
use transload::{
    dump::DumpOptions,
    error::ErrorKind,
    progress::Silent,
    report::{DumpReport, PointInTime, RestoreReport},
    restore::{RestoreOptions, Source, restore},
    sandbox::{Release, ReplicaSet},
    scan::ReadOrder,
};

use crate::{
    copy::{Archive, Side},
    servers::own,
};

/// Users and roles, with their credentials, by their names.
async fn accounts(set: &ReplicaSet) -> BTreeMap<String, Document> {
    let admin = set.client().await.unwrap().database("admin");
    let mut all = BTreeMap::new();
    for name in ["system.users", "system.roles"] {
        let mut found = admin.collection::<Document>(name).find(doc! {}).await.unwrap();
        while found.advance().await.unwrap() {
            let account = found.deserialize_current().unwrap();
            all.insert(format!("{name} {}", account.get_str("_id").unwrap()), account);
        }
    }
    all
}

async fn fill(set: &ReplicaSet, databases: &[&str]) {
    let client = set.client().await.unwrap();
    for name in databases {
        let database = client.database(name);
        database.collection("items").insert_one(doc! { "_id": 1 }).await.unwrap();
        let reads = doc! { "resource": { "db": name, "collection": "" }, "actions": ["find"] };
        database.run_command(doc! { "createRole": "mine", "privileges": [reads], "roles": [] }).await.unwrap();
        let roles = vec![doc! { "role": "mine", "db": name }, doc! { "role": "read", "db": "elsewhere" }];
        let user = doc! { "createUser": "ann", "pwd": format!("secret of {name}"), "roles": roles, "customData": { "z": 1, "a": 2 } };
        database.run_command(user).await.unwrap();
    }
}

async fn dump(set: &ReplicaSet, database: Option<&str>, archive: &Archive, consistent: bool) -> DumpReport {
    // A filter says of which databases they are, which no record does.
    let (part_bytes, read_order) = (100, ReadOrder::Natural);
    let options = DumpOptions { users_and_roles: true, consistent, part_bytes, read_order, ..archive.options() };
    let side = Side::new(set, database.unwrap_or("nothing"));
    let server = if database.is_some() { side.server().await } else { side.server_of_all().await };
    transload::dump::dump(&server, options, Arc::new(Silent), CancellationToken::new()).await.unwrap()
}

async fn load(archive: &Archive, set: &ReplicaSet, users_and_roles: bool, streamed: bool) -> RestoreReport {
    let side = Side::new(set, "nothing");
    let options = RestoreOptions { users_and_roles, ..archive.restore_options(&side) };
    let options =
        RestoreOptions { selection: Default::default(), existing: transload::restore::Existing::Drop, ..options };
    let source = if streamed {
        Source::Stream("a stream", Box::new(std::fs::File::open(archive.path()).unwrap()))
    } else {
        Source::File(archive.open())
    };
    let server = side.server_of_all().await;
    restore(source, &server, options, Arc::new(Silent), CancellationToken::new()).await.unwrap()
}

async fn move_all(from: Release) {
    let (source, target) = (own(from).await, own(Release::V6_0_5).await);
    fill(&source, &["one", "two"]).await;
    fill(&target, &["there"]).await;
    let before = accounts(&target).await;
    let archive = Archive::new();
    let dumped = dump(&source, None, &archive, from >= Release::V5_0_4).await;
    if from >= Release::V5_0_4 {
        assert_eq!(dumped.consistency.is, PointInTime::PointInTime, "{:?}", dumped.consistency);
    }
    let kept: Vec<String> = dumped.left_out.iter().map(|out| out.namespace.to_string()).collect();
    assert_eq!(kept, ["admin.*", "config.*", "local.*"]);
    // Unasked they stay where they are, and that is said.
    let restored = load(&archive, &target, false, false).await;
    assert_eq!((restored.users, restored.left_out.len()), (0, 2), "{restored:?}");
    assert!(accounts(&target).await == before);
    for streamed in [false, true] {
        let restored = load(&archive, &target, true, streamed).await;
        assert_eq!((restored.users, restored.roles, restored.left_out.len()), (2, 2, 0), "{restored:?}");
        let mut expected = accounts(&source).await;
        expected.extend(before.clone());
        assert!(accounts(&target).await == expected);
    }
    let scratch = target.client().await.unwrap().database("admin").list_collection_names().await.unwrap();
    assert!(scratch.iter().all(|name| !name.starts_with("transload")), "{scratch:?}");
}

#[tokio::test]
async fn users_and_roles_of_4_2_move_to_6_0() {
    move_all(Release::V4_2_6).await;
}

#[tokio::test]
async fn users_and_roles_of_6_0_move_to_6_0() {
    move_all(Release::V6_0_5).await;
}

/// They may hold hashes of passwords, and only a restore that is at work needs them.
#[tokio::test]
async fn what_an_interrupted_restore_has_left_on_the_target_is_named() {
    let target = own(Release::V6_0_5).await;
    fill(&target, &["one"]).await;
    let archive = Archive::new();
    dump(&target, None, &archive, true).await;
    let client = target.client().await.unwrap();
    for database in ["admin", "one"] {
        client.database(database).create_collection("transload_scratch_0123456789abcdef").await.unwrap();
    }
    let restored = load(&archive, &target, true, false).await;
    let mut named: Vec<&String> = restored.warnings.iter().filter(|warning| warning.contains("scratch")).collect();
    named.sort();
    let [of_admin, of_one] = named[..] else { panic!("{named:?}") };
    assert!(of_admin.starts_with("admin.transload_scratch_0123456789abcdef: a scratch collection"), "{of_admin}");
    assert!(of_one.starts_with("one.transload_scratch_0123456789abcdef: a scratch collection"), "{of_one}");
}

#[tokio::test]
async fn of_one_database_its_own_users_and_roles_come_along() {
    let (source, target) = (own(Release::V6_0_5).await, own(Release::V6_0_5).await);
    fill(&source, &["one", "two"]).await;
    let archive = Archive::new();
    dump(&source, Some("one"), &archive, false).await;
    let restored = load(&archive, &target, true, false).await;
    assert_eq!((restored.users, restored.roles), (1, 1), "{restored:?}");
    let names: Vec<String> = accounts(&target).await.into_keys().collect();
    assert_eq!(names, ["system.roles one.mine", "system.users one.ann"]);
}

#[tokio::test]
async fn an_archive_without_users_is_refused_before_anything_is_written() {
    let set = own(Release::V6_0_5).await;
    let (source, target) = (Side::new(&set, "plain"), Side::new(&set, "plain_copy"));
    source.run(doc! { "insert": "items", "documents": [{ "_id": 1 }] }).await;
    let archive = Archive::new();
    archive.dump(&source).await.unwrap();
    let options = RestoreOptions { users_and_roles: true, ..archive.restore_options(&target) };
    let refused = archive.restore_as(&target, options).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Usage, "{refused}");
    assert!(target.state().await.options.is_empty());
}
