//! Servers that go and come back, members that step down, privileges that are withdrawn, a disk that is full.
//!
//! `TRANSLOAD_TEST_OUTAGE=60 cargo test --test main -- migrate::faults` is the long form: so many seconds without a server.

use std::time::Duration;

use bson::doc;
use transload::sandbox::{Release, ReplicaSet, ReplicaSetOptions, RootUser};

use super::Migration;
use crate::{
    changes::{
        kills::set_by,
        workload::{Allowed, Catalog, Random, Workload},
    },
    cli::PASSWORD,
    copy::Side,
    servers::{binary, own, shared, three_members},
};

const ALLOWED: Allowed = Allowed { odd_names: true, catalog: Catalog::Expanded, extremes: false };

async fn outage(set: &ReplicaSet) {
    let primary = set.primary().await.unwrap();
    set.kill(primary).unwrap();
    tokio::time::sleep(Duration::from_secs(set_by("TRANSLOAD_TEST_OUTAGE", 3))).await;
    set.restart(primary).await.unwrap();
}

/// Less than the outage lasts, so that what waits is the migration and not one command.
const IMPATIENT: [&str; 2] = ["--retry-for", "1"];

#[tokio::test]
async fn a_target_that_is_gone_for_a_while_is_waited_for() {
    let (source, target) = (shared(Release::V6_0_5).await, own(Release::V6_0_5).await);
    let (source, target) = (Side::new(source, "target_gone"), Side::new(&target, "target_gone"));
    let mut workload = Workload::begin(source.set.client().await.unwrap(), source.database, 521, ALLOWED).await;
    let mut migration = Migration::new(source, target);
    migration.start(&IMPATIENT);
    migration.until_following().await;
    let set = migration.target.set;
    tokio::join!(workload.steps(300), outage(set));
    workload.steps(50).await;
    migration.until_following().await;
    let status = migration.until("well again", |status| status["error"].is_null()).await;
    // The driver itself looks for a server for half a minute.
    if set_by("TRANSLOAD_TEST_OUTAGE", 3) > 40 {
        assert!(status["warnings"].to_string().contains("tried again"), "{status}");
    }
    migration.cut_over().await;
    migration.assert_equal().await;
}

#[tokio::test]
async fn a_source_that_is_gone_for_a_while_is_waited_for() {
    let (source, target) = (own(Release::V6_0_5).await, shared(Release::V6_0_5).await);
    let (source, target) = (Side::new(&source, "source_gone"), Side::new(target, "source_gone"));
    let mut workload = Workload::begin(source.set.client().await.unwrap(), source.database, 522, ALLOWED).await;
    let mut migration = Migration::new(source, target);
    migration.start(&IMPATIENT);
    migration.until_following().await;
    workload.steps(100).await;
    outage(migration.source.set).await;
    workload.steps(100).await;
    migration.arrives().await;
}

/// With a copy under way, and again while the changes are followed.
#[tokio::test]
async fn members_that_step_down_on_both_sides_cost_nothing() {
    let (source, target) = tokio::join!(three_members(), three_members());
    let (source, target) = (Side::new(&source, "step_downs"), Side::new(&target, "step_downs"));
    let mut workload = Workload::begin(source.set.client().await.unwrap(), source.database, 523, ALLOWED).await;
    let text = "x".repeat(20_000);
    let some = (0..1500).map(|id| doc! { "_id": id, "text": format!("{id} {text}") });
    source.open().await.collection("large").insert_many(some).await.unwrap();
    let mut migration = Migration::new(source, target);
    migration.start(&["--max-rate", "10MB"]);
    migration.until("copying", |status| status["bytes"].as_u64().is_some_and(|bytes| bytes > 2_000_000)).await;
    migration.target.set.step_down().await.unwrap();
    migration.source.set.step_down().await.unwrap();
    workload.steps(50).await;
    migration.until_following().await;
    migration.source.set.step_down().await.unwrap();
    migration.target.set.step_down().await.unwrap();
    workload.steps(50).await;
    migration.arrives().await;
}

/// Half-way: it ends with the reason, and the same command goes on when they are given back.
#[tokio::test]
async fn privileges_that_are_withdrawn_end_it_and_it_goes_on_when_they_are_back() {
    let mut options = ReplicaSetOptions::new(binary(Release::V6_0_5).await);
    options.root = Some(RootUser::new("root", PASSWORD));
    let set = ReplicaSet::start(&options).await.unwrap();
    let source = Side::new(&set, "withdrawn");
    let admin = set.client().await.unwrap().database("admin");
    let read = bson::bson!([{ "role": "read", "db": "withdrawn" }]);
    let user = doc! { "createUser": "mover", "pwd": PASSWORD, "roles": read.clone() };
    admin.run_command(user).await.unwrap();
    let text = "x".repeat(20_000);
    let some = (0..1000).map(|id| doc! { "_id": id, "text": format!("{id} {text}") });
    source.open().await.collection("large").insert_many(some).await.unwrap();
    let mut migration = Migration::new(source, Side::new(shared(Release::V6_0_5).await, "withdrawn"));
    let address = set.member_uri(0).unwrap();
    let address = address.rsplit_once('@').unwrap().1.split('/').next().unwrap().to_owned();
    let uri = format!("mongodb://mover:{PASSWORD}@{address}/withdrawn?directConnection=true&authSource=admin");
    migration.source_uri = Some(uri);
    migration.start(&["--max-rate", "8MB"]);
    migration.until("copying", |status| status["bytes"].as_u64().is_some_and(|bytes| bytes > 2_000_000)).await;
    admin.run_command(doc! { "revokeRolesFromUser": "mover", "roles": read.clone() }).await.unwrap();
    assert_eq!(migration.end().await, 1, "{}", migration.said());
    assert!(migration.said().contains("not authorized"), "{}", migration.said());
    assert!(!migration.said().contains(PASSWORD));
    let status = migration.status().unwrap();
    assert!(status["running"] == false && status["error"].to_string().contains("not authorized"), "{status}");
    admin.run_command(doc! { "grantRolesToUser": "mover", "roles": read }).await.unwrap();
    source_writes(&migration.source).await;
    migration.start(&[]);
    migration.arrives().await;
}

async fn source_writes(source: &Side<'_>) {
    source.open().await.collection("large").insert_one(doc! { "_id": "later" }).await.unwrap();
}

/// The work directory's disk: what waits for room goes on by itself once there is some.
#[tokio::test]
async fn a_full_disk_is_waited_for() {
    if std::env::var_os("TRANSLOAD_TEST_NO_MOUNT").is_some() {
        eprintln!("left out by TRANSLOAD_TEST_NO_MOUNT: a full disk is not tried");
        return;
    }
    let set = shared(Release::V6_0_5).await;
    let source = Side::new(set, "no_room");
    // 8 MB that do not compress, for a disk of 6 MB.
    let mut random = Random::new(7);
    let some = (0..400).map(|id| {
        let bytes: Vec<u8> = (0..2500).flat_map(|_| random.next().to_le_bytes()).collect();
        doc! { "_id": id, "bytes": bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes } }
    });
    let some: Vec<_> = some.collect();
    source.open().await.collection("large").insert_many(some).await.unwrap();
    let migration = Migration::new(source, Side::new(set, "no_room_moved"));
    std::fs::create_dir(migration.directory()).unwrap();
    let small = "mount -t tmpfs -o size=6m tmpfs \"$1\" || exit 99; shift; \"$@\" & program=$!; sleep 4; \
        mount -o remount,size=64m \"$0\"; wait $program";
    let directory = migration.directory().display().to_string();
    let plain = migration.command(&["--cutover", "when-caught-up"]);
    let mut outside = None;
    for flags in [&["--user", "--map-root-user", "--mount"][..], &["--mount"]] {
        let mut command = std::process::Command::new("unshare");
        command.args(flags).args(["sh", "-c", small, &directory, &directory]).arg(plain.get_program());
        command.args(plain.get_args());
        let ended = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        let was_mounted = ended.status.code() != Some(99) && !said.contains("unshare: ");
        outside = Some((ended.status.code(), said));
        if was_mounted {
            break;
        }
    }
    let (code, said) = outside.unwrap();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("No space left") || said.contains("more room"), "{said}");
    assert!(said.contains("EQUAL"), "{said}");
    migration.assert_equal().await;
}
