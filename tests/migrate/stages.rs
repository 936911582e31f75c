//! A migration that is killed in each of its stages, one after the other, and arrives exactly.
//!
//! The target is made slow in what a stage does, so that the stage lasts until it is seen; and a kill comes the moment that the
//! status, which anybody may read, names it.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use bson::doc;
use transload::{
    migrate::{Status, status},
    sandbox::{Release, ReplicaSet},
};

use super::{Migration, PATIENCE, has};
use crate::{
    changes::workload::{Allowed, Catalog, Workload},
    copy::Side,
    servers::own,
};

/// The one stage that nothing makes last.
const STARTING: &str = "starting, with the changes recorded";

/// How long each command is held that a stage needs, in milliseconds.
const HELD: i32 = 400;
/// What every run is started with.
const FLAGS: [&str; 7] =
    ["--max-rate", "30MB", "--progress-interval", "20ms", "--pause-after-copy", "--exclude", "staged.hidden"];

/// A stage, and how it is come by.
struct Stage {
    name: &'static str,
    /// What is asked for once the migration follows, or is held.
    ask: Ask,
    /// The commands that the target is slow in.
    held: &'static [&'static str],
    is_there: fn(&Status, &Path) -> bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ask {
    Nothing,
    Pause,
    Resume,
    Cutover,
}

/// Whether a collection stands so.
fn stands(status: &Status, collection: &str, stage: &str) -> bool {
    status.namespaces.iter().any(|one| one.namespace == format!("staged.{collection}") && one.stage == stage)
}

fn state(directory: &Path) -> String {
    std::fs::read_to_string(directory.join("migration.json")).unwrap_or_default()
}

/// In the order in which a migration comes to them.
const STAGES: [Stage; 16] = [
    Stage {
        name: "checking",
        ask: Ask::Nothing,
        held: &["listCollections", "listDatabases"],
        is_there: |status, directory| status.stage == "checking" && !has(directory, "migration.json"),
    },
    Stage {
        name: STARTING,
        ask: Ask::Nothing,
        // It is soon over: then nothing is to be loaded yet.
        held: &["create"],
        is_there: |status, directory| status.stage == "starting" && has(directory, "capture.json"),
    },
    Stage {
        name: "copying, with nothing copied",
        ask: Ask::Nothing,
        held: &["create", "createIndexes"],
        is_there: |status, directory| {
            status.stage == "copying"
                && has(directory, "copy.parts.json")
                && status.bytes == 0
                && stands(status, "large", "waiting")
        },
    },
    Stage {
        name: "copying, with some of it loaded",
        ask: Ask::Nothing,
        held: &[],
        is_there: |status, directory| {
            status.stage == "copying"
                && status.bytes * 8 > status.total_bytes
                && has(directory, "copy.tlz.partial")
                && stands(status, "large", "copying")
        },
    },
    Stage {
        name: "copying, with all of it read and not all loaded",
        ask: Ask::Nothing,
        held: &["insert"],
        is_there: |status, directory| {
            status.stage == "copying" && has(directory, "copy.tlz") && stands(status, "large", "copying")
        },
    },
    Stage {
        name: "building indexes",
        ask: Ask::Nothing,
        held: &["createIndexes"],
        is_there: |status, _| status.stage == "building indexes" && stands(status, "plain", "indexing"),
    },
    Stage {
        name: "copied",
        ask: Ask::Nothing,
        held: &[],
        is_there: |status, directory| {
            status.stage == "paused" && status.copy_complete && state(directory).contains(r#""stage": "copied""#)
        },
    },
    Stage {
        name: "catching up",
        ask: Ask::Resume,
        held: &["update", "delete", "insert"],
        is_there: |status, _| status.stage == "catching up" && stands(status, "large", "catching up"),
    },
    Stage {
        name: "building unique indexes",
        ask: Ask::Nothing,
        held: &["createIndexes"],
        is_there: |status, _| {
            status.stage == "building unique indexes"
                && stands(status, "unique", "indexing")
                && stands(status, "large", "catching up")
        },
    },
    Stage {
        name: "following",
        ask: Ask::Nothing,
        held: &[],
        is_there: |status, _| status.stage == "following" && status.events > 0 && stands(status, "large", "following"),
    },
    Stage {
        name: "paused",
        ask: Ask::Pause,
        held: &[],
        is_there: |status, directory| {
            status.stage == "paused" && stands(status, "large", "paused") && state(directory).contains("following")
        },
    },
    Stage {
        name: "cutting over, draining",
        ask: Ask::Cutover,
        held: &["update", "delete", "insert"],
        is_there: |status, _| at_cutover(status, "draining"),
    },
    Stage {
        name: "cutting over, copying anew",
        ask: Ask::Cutover,
        held: &["drop"],
        is_there: |status, _| at_cutover(status, "copying anew") && stands(status, "shown", "copying anew"),
    },
    Stage {
        name: "cutting over, comparing the catalogs",
        ask: Ask::Cutover,
        held: &["listCollections", "listIndexes"],
        is_there: |status, _| at_cutover(status, "comparing the catalogs"),
    },
    Stage {
        name: "cutting over, comparing",
        ask: Ask::Cutover,
        held: &["find"],
        is_there: |status, _| at_cutover(status, "comparing") && stands(status, "large", "comparing"),
    },
    Stage { name: "done", ask: Ask::Cutover, held: &[], is_there: |status, _| status.stage == "done" },
];

fn at_cutover(status: &Status, step: &str) -> bool {
    status.stage == "cutting over" && status.step.as_deref() == Some(step)
}

/// Holds some commands of all clients, or none any more.
async fn hold(set: &ReplicaSet, commands: &[&str]) {
    hold_for(set, commands, HELD).await;
}

/// The same for so many milliseconds each.
pub(super) async fn hold_for(set: &ReplicaSet, commands: &[&str], milliseconds: i32) {
    let data = doc! { "failCommands": commands, "blockConnection": true, "blockTimeMS": milliseconds };
    let command = match commands.is_empty() {
        true => doc! { "configureFailPoint": "failCommand", "mode": "off" },
        false => doc! { "configureFailPoint": "failCommand", "mode": "alwaysOn", "data": data },
    };
    set.fail_point(command).await.unwrap();
}

/// Waits for what the status is to say, and looks every few milliseconds.
async fn seen(migration: &mut Migration<'_>, what: &str, is_so: impl Fn(&Status, &Path) -> bool) -> Status {
    let (begun, directory) = (Instant::now(), migration.directory());
    loop {
        let now = status(&directory).ok().filter(|now| now.running);
        if let Some(now) = now.filter(|now| is_so(now, &directory)) {
            return now;
        }
        let now = || status(&directory).map(|now| (now.stage, now.step, now.error));
        assert!(migration.runs(), "it has ended before it was {what}: {}", migration.said());
        assert!(begun.elapsed() < PATIENCE, "it is never {what}: {:?}", now());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Starts a migration until the stage that is soon over was seen.
async fn seen_to_start(migration: &mut Migration<'_>, stage: &Stage, more: &[&str]) -> Status {
    let is_past = |status: &Status| status.stage != "checking" && status.stage != "starting";
    for _ in 0..20 {
        let either = |status: &Status, directory: &Path| (stage.is_there)(status, directory) || is_past(status);
        let status = seen(migration, stage.name, either).await;
        if !is_past(&status) {
            return status;
        }
        migration.kill();
        migration.start(&[&FLAGS[..], more].concat());
    }
    panic!("{} is always over before it is seen", stage.name);
}

/// Brings a migration to a stage, and kills it there.
async fn killed_at(migration: &mut Migration<'_>, stage: &Stage, more: &[&str]) {
    let target = migration.target.set;
    if stage.ask == Ask::Nothing {
        hold(target, stage.held).await;
    }
    migration.start(&[&FLAGS[..], more].concat());
    match stage.ask {
        Ask::Nothing => {}
        Ask::Resume => {
            seen(migration, "held", |status, _| status.stage == "paused").await;
            hold(target, stage.held).await;
            assert!(migration.about("resume", &[]).status.success());
        }
        Ask::Pause | Ask::Cutover => {
            seen(migration, "following", |status, _| status.stage == "following").await;
            hold(target, stage.held).await;
        }
    }
    if stage.ask == Ask::Pause {
        assert!(migration.about("pause", &[]).status.success());
    }
    let asked = (stage.ask == Ask::Cutover).then(|| {
        let mut command = migration.about_command("cutover", &["--yes"]);
        tokio::task::spawn_blocking(move || command.output().unwrap())
    });
    let before = match stage.name {
        STARTING => seen_to_start(migration, stage, more).await,
        _ => seen(migration, stage.name, stage.is_there).await,
    };
    if stage.name == "done" {
        let said = asked.unwrap().await.unwrap();
        assert_eq!(said.status.code(), Some(0), "{}", String::from_utf8_lossy(&said.stderr));
        migration.kill();
        return;
    }
    migration.kill();
    if let Some(asked) = asked {
        let said = asked.await.unwrap();
        assert_eq!(said.status.code(), Some(1), "{}: {}", stage.name, String::from_utf8_lossy(&said.stderr));
    }
    // What the dead process has asked for last is waited for by whoever goes on.
    hold(target, &[]).await;
    if stage.name == "paused" {
        assert!(migration.about("resume", &[]).status.success());
    }
    if let Ok(dead) = status(&migration.directory()) {
        let is_soon_over = stage.name == STARTING && dead.stage == "copying";
        assert!(
            !dead.running && (dead.stage == before.stage || is_soon_over),
            "{}: {} {}",
            stage.name,
            before.stage,
            dead.stage
        );
    }
}

async fn killed_at_every_stage(from: Release, seed: u64) {
    let (source, target) = tokio::join!(own(from), own(Release::V6_0_5));
    let (source, target) = (Side::new(&source, "staged"), Side::new(&target, "staged"));
    let allowed = Allowed { odd_names: from != Release::V4_2_6, catalog: Catalog::of(from), extremes: false };
    let mut workload = Workload::begin(source.set.client().await.unwrap(), source.database, seed, allowed).await;
    let database = source.open().await;
    let text = "x".repeat(20_000);
    for first in (0..3000).step_by(500) {
        let some = (first..first + 500).map(|id: i32| doc! { "_id": id, "text": format!("{id} {text}") });
        database.collection("large").insert_many(some).await.unwrap();
    }
    // What is not selected, and comes into the selection by another name, is copied anew at the cutover.
    database.collection("hidden").insert_many((0..100).map(|id| doc! { "_id": id })).await.unwrap();
    let mut migration = Migration::new(source, target);
    for stage in &STAGES {
        let is_over = AtomicBool::new(false);
        let killed = async {
            match stage.name {
                "done" => killed_at(&mut migration, stage, &["--reverse-capture"]).await,
                _ => killed_at(&mut migration, stage, &[]).await,
            }
            is_over.store(true, Ordering::Relaxed);
        };
        // Nothing may be written when it is the last time.
        let most = match stage.ask {
            _ if stage.name == "done" => 0,
            // It has to be drained by a target that is slow.
            Ask::Cutover => 60,
            _ => u64::MAX,
        };
        let writing = async {
            for _ in 0..most {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                workload.step().await;
            }
        };
        tokio::join!(killed, writing);
        if stage.name == "paused" {
            let to = format!("{}.shown", database.name());
            let rename = doc! { "renameCollection": format!("{}.hidden", database.name()), "to": to };
            migration.source.set.client().await.unwrap().database("admin").run_command(rename).await.unwrap();
        }
        if stage.name == "cutting over, comparing" {
            workload.expire().await;
        }
    }
    // A document that was fetched by another spelling of its `_id` than the target has is put in its place all the same.
    let log = std::fs::read_to_string(migration.directory().join("logs/staged.collated.log")).unwrap();
    assert!(!log.contains("could not be applied"), "{log}");
    // Whoever starts it once more hears how it ended.
    migration.start(&[]);
    assert_eq!(migration.end().await, 0, "{}", migration.said());
    assert!(migration.said().contains("EQUAL"), "{}", migration.said());
    migration.assert_equal().await;
}

#[tokio::test]
async fn a_migration_that_is_killed_at_every_stage_arrives_exactly() {
    killed_at_every_stage(Release::V6_0_5, 541).await;
}

#[tokio::test]
async fn a_migration_from_4_2_that_is_killed_at_every_stage_arrives_exactly() {
    killed_at_every_stage(Release::V4_2_6, 542).await;
}
