//! Capture and replay killed at any moment, again and again, while an application writes: the copy is exact all the same.
//!
//! A few kills by default. `TRANSLOAD_TEST_KILLS=100 TRANSLOAD_TEST_SEED=7 cargo test --test main -- kills` is the long
//! form: so many kills of each program, with another seed.

use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

use transload::sandbox::Release;

use super::{
    moving::Move,
    workload::{Allowed, Catalog, Random, Workload},
};
use crate::{copy::Side, eventually::eventually, servers::shared};

/// A number that a long run sets.
pub(crate) fn set_by(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().expect("a number"))
}

/// The program at work, killed when it is dropped.
struct Program(Child);

impl Program {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_transload"));
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Program(command.spawn().unwrap())
    }

    /// SIGKILL. It must not have ended by itself.
    fn kill(&mut self) {
        if let Some(status) = self.0.try_wait().unwrap() {
            panic!("it has ended by itself: {status}");
        }
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn killed_again_and_again(from: Release, seed: u64, kills: u64, through_target: bool) {
    let (source, target) = (format!("kills_{seed}"), format!("kills_{seed}_copy_{}", from as usize));
    let source = Side::new(shared(from).await, &source);
    let target = Side::new(shared(Release::V6_0_5).await, &target);
    let allowed = Allowed { odd_names: from != Release::V4_2_6, catalog: Catalog::of(from), extremes: true };
    let client = source.set.client().await.unwrap();
    let mut workload = Workload::begin(client, source.database, seed, allowed).await;
    let moved = Move::new(source, target);
    let directory = moved.directory().display().to_string();
    let archive = moved.archive.path().display().to_string();
    let uri = |side: &Side<'_>| side.set.uri().replace("/?", &format!("/{}?", side.database));
    let (from, to) = (uri(&moved.source), moved.target.set.uri());
    let rename = format!("{}.*={}.*", moved.source.database, moved.target.database);
    let events = moved.target.set.uri().replace("/?", &format!("/{}?", moved.database_of_events()));
    let mut capture = vec!["capture", &from, &directory, "--sync-interval", "20ms"];
    if through_target {
        capture.extend(["--events-to", "target", "--target", &events]);
    }
    let replay = ["replay", &directory, &to, "--archive", &archive, "--source", &from, "--rename", &rename];

    let mut capturing = Program::start(&capture);
    let manifest = moved.directory().join("capture.json");
    let has_begun = async || std::fs::read_to_string(&manifest).is_ok_and(|text| text.contains("\"begun\""));
    eventually("changes are recorded", has_begun).await;
    let ((), ()) = tokio::join!(workload.steps(100), moved.copy());
    let mut replaying = Program::start(&[&replay[..], &["--follow"]].concat());
    let mut random = Random::new(seed);
    for _ in 0..kills {
        let pause = Duration::from_millis(30 + random.below(700));
        let writes = async {
            let until = tokio::time::Instant::now() + pause;
            while tokio::time::Instant::now() < until {
                workload.step().await;
            }
        };
        writes.await;
        match random.below(3) {
            0 => capturing.kill(),
            1 => replaying.kill(),
            _ => {
                capturing.kill();
                replaying.kill();
            }
        }
        for (program, arguments) in
            [(&mut capturing, capture.clone()), (&mut replaying, [&replay[..], &["--follow"]].concat())]
        {
            if program.0.try_wait().unwrap().is_some() {
                *program = Program::start(&arguments);
            }
        }
    }
    workload.steps(50).await;
    workload.expire().await;
    moved.now().await;
    // Long enough to get over a lock that the kernel has not taken back yet.
    replaying.kill();
    let last = Command::new(env!("CARGO_BIN_EXE_transload")).args(replay).args(["--until", "now"]).output().unwrap();
    assert!(last.status.success(), "{}", String::from_utf8_lossy(&last.stderr));
    capturing.kill();
    moved.assert_equal().await;
}

#[tokio::test]
async fn a_move_that_is_killed_again_and_again_arrives_exactly() {
    let (kills, seed) = (set_by("TRANSLOAD_TEST_KILLS", 8), set_by("TRANSLOAD_TEST_SEED", 21));
    killed_again_and_again(Release::V6_0_5, seed, kills, false).await;
}

#[tokio::test]
async fn a_move_from_4_2_that_is_killed_again_and_again_arrives_exactly() {
    let (kills, seed) = (set_by("TRANSLOAD_TEST_KILLS", 5), set_by("TRANSLOAD_TEST_SEED", 22));
    killed_again_and_again(Release::V4_2_6, seed, kills, false).await;
}

#[tokio::test]
async fn a_move_through_the_target_that_is_killed_again_and_again_arrives_exactly() {
    let (kills, seed) = (set_by("TRANSLOAD_TEST_KILLS", 6), set_by("TRANSLOAD_TEST_SEED", 23));
    killed_again_and_again(Release::V5_0_4, seed, kills, true).await;
}
