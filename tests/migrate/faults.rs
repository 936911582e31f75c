//! Servers that go and come back, members that step down, privileges that are withdrawn, a disk that is full.
//!
//! `TRANSLOAD_TEST_OUTAGE=60 cargo test --test main -- migrate::faults` is the long form: so many seconds without a server.

use std::time::Duration;

use bson::doc;
use transload::sandbox::{Release, ReplicaSet, ReplicaSetOptions, RootUser};

use super::{Migration, status::Looker};
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
    let looker = Looker::at(migration.directory());
    migration.until_following().await;
    let set = migration.target.set;
    tokio::join!(workload.steps(300), outage(set));
    workload.steps(50).await;
    migration.until_following().await;
    looker.has_seen_no_lie();
    let status = migration.until("well again", |status| status["error"].is_null()).await;
    // The driver itself looks for a server for half a minute.
    if set_by("TRANSLOAD_TEST_OUTAGE", 3) > 40 {
        assert!(status["warnings"].to_string().contains("tried again"), "{status}");
    }
    migration.cut_over().await;
    migration.assert_equal().await;
}

async fn a_source_is_gone(release: Release, name: &'static str, seed: u64) {
    let (source, target) = (own(release).await, shared(Release::V6_0_5).await);
    let (source, target) = (Side::new(&source, name), Side::new(target, name));
    let allowed = Allowed { odd_names: release != Release::V4_2_6, catalog: Catalog::of(release), ..ALLOWED };
    let mut workload = Workload::begin(source.set.client().await.unwrap(), source.database, seed, allowed).await;
    let mut migration = Migration::new(source, target);
    migration.start(&IMPATIENT);
    let looker = Looker::at(migration.directory());
    migration.until_following().await;
    workload.steps(100).await;
    outage(migration.source.set).await;
    workload.steps(100).await;
    migration.until_following().await;
    looker.has_seen_no_lie();
    migration.cut_over().await;
    migration.assert_equal().await;
}

#[tokio::test]
async fn a_source_that_is_gone_for_a_while_is_waited_for() {
    a_source_is_gone(Release::V6_0_5, "source_gone", 522).await;
}

#[tokio::test]
async fn a_source_of_4_2_that_is_gone_for_a_while_is_waited_for() {
    a_source_is_gone(Release::V4_2_6, "source_gone_4_2", 524).await;
}

/// With a copy under way, and again while the changes are followed; and with writes going on all the while.
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
    let looker = Looker::at(migration.directory());
    migration.until("copying", |status| status["bytes"].as_u64().is_some_and(|bytes| bytes > 2_000_000)).await;
    let (source, target) = (migration.source.set, migration.target.set);
    let step_down = async || {
        target.step_down().await.unwrap();
        source.step_down().await.unwrap();
    };
    writing_through(&mut workload, step_down()).await;
    migration.until_following().await;
    writing_through(&mut workload, step_down()).await;
    migration.until_following().await;
    looker.has_seen_no_lie();
    migration.cut_over().await;
    migration.assert_equal().await;
}

/// Writes until something is over, and some more.
async fn writing_through(workload: &mut Workload, work: impl Future<Output = ()>) {
    let mut work = std::pin::pin!(work);
    let before = workload.done;
    loop {
        tokio::select! {
            biased;
            () = &mut work => break,
            () = workload.steps(1) => {}
        }
    }
    assert!(workload.done > before, "nothing was written meanwhile");
    workload.steps(50).await;
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
    source_writes(&migration.source, "later").await;
    migration.start(&[]);
    migration.arrives().await;
}

/// The same of the target's user.
#[tokio::test]
async fn privileges_on_the_target_that_are_withdrawn_end_it_and_it_goes_on_when_they_are_back() {
    let mut options = ReplicaSetOptions::new(binary(Release::V6_0_5).await);
    options.root = Some(RootUser::new("root", PASSWORD));
    let set = ReplicaSet::start(&options).await.unwrap();
    let source = Side::new(shared(Release::V6_0_5).await, "withdrawn_target");
    let admin = set.client().await.unwrap().database("admin");
    let write = bson::bson!(["readWriteAnyDatabase", "dbAdminAnyDatabase"]);
    let roles = bson::bson!(["readWriteAnyDatabase", "dbAdminAnyDatabase", "clusterMonitor"]);
    admin.run_command(doc! { "createUser": "loader", "pwd": PASSWORD, "roles": roles }).await.unwrap();
    let text = "x".repeat(20_000);
    let some = (0..1000).map(|id| doc! { "_id": id, "text": format!("{id} {text}") });
    source.open().await.collection("large").insert_many(some).await.unwrap();
    let mut migration = Migration::new(source, Side::new(&set, "withdrawn_target"));
    let address = set.member_uri(0).unwrap();
    let address = address.rsplit_once('@').unwrap().1.split('/').next().unwrap().to_owned();
    let uri = format!("mongodb://loader:{PASSWORD}@{address}/withdrawn_target?directConnection=true&authSource=admin");
    migration.target_uri = Some(uri);
    for stage in ["copying", "following"] {
        migration.start(&["--max-rate", "8MB"]);
        let is_there = |status: &serde_json::Value| {
            status["stage"] == stage && status["bytes"].as_u64().is_some_and(|bytes| bytes > 2_000_000)
        };
        migration.until(stage, is_there).await;
        admin.run_command(doc! { "revokeRolesFromUser": "loader", "roles": write.clone() }).await.unwrap();
        source_writes(&migration.source, stage).await;
        assert_eq!(migration.end().await, 1, "{}", migration.said());
        let status = migration.status().unwrap();
        assert!(status["running"] == false && status["error"].to_string().contains("not authorized"), "{status}");
        assert!(!migration.said().contains(PASSWORD));
        admin.run_command(doc! { "grantRolesToUser": "loader", "roles": write.clone() }).await.unwrap();
    }
    migration.start(&[]);
    migration.arrives().await;
}

async fn source_writes(source: &Side<'_>, id: &str) {
    source.open().await.collection("large").insert_one(doc! { "_id": id }).await.unwrap();
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
    let small = "mount -t tmpfs -o size=6m tmpfs \"$1\" || exit 99; shift; \"$@\" 2> \"$0.said\" & program=$!; tries=0; \
        until grep -qE 'No space left|more room' \"$0.said\" || [ $tries -gt 300 ]; do sleep 0.1; tries=$((tries+1)); done; \
        mount -o remount,size=64m \"$0\"; wait $program; code=$?; cat \"$0.said\" >&2; exit $code";
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
