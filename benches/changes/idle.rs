//! What a capture and a replay that follows it take while nothing happens.

use std::time::Duration;

use bson::doc;
use transload::bench::usage_of;

use crate::Bench;

const SECONDS: u64 = 30;

pub(crate) async fn watch(bench: &Bench) {
    let client = bench.source.client().await.expect("connected");
    client.database("idle").collection("items").insert_one(doc! { "_id": 1 }).await.expect("inserted");
    let path = |name: &str| bench.folder.join(name).to_str().expect("a path").to_owned();
    let (archive, log) = (path("idle.tlz"), path("idle"));
    let (source, target) = (bench.source.uri(), bench.target.uri());
    let since = bench.time().await;
    let dump = ["dump", &source, &archive, "--include", "idle.*"];
    assert!(Bench::transload(&dump).status().expect("started").success());
    assert!(Bench::transload(&["restore", &archive, &target]).status().expect("started").success());
    let mut capture = Bench::transload(&["capture", &source, &log, "--since", &since, "--include", "idle.*"])
        .spawn()
        .expect("started");
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut replay =
        Bench::transload(&["replay", &log, &target, "--archive", &archive, "--include", "idle.*", "--follow"])
            .spawn()
            .expect("started");
    tokio::time::sleep(Duration::from_secs(5)).await;
    let copy = bench.target.client().await.expect("connected").database("admin");
    let counters = async || {
        let status = copy.run_command(doc! { "serverStatus": 1 }).await.expect("a status");
        let of = |name: &str| status.get_document("opcounters").expect("counters").get(name).map(ToString::to_string);
        ["insert", "query", "update", "delete", "getmore", "command"]
            .map(|name| of(name).expect("a counter").parse::<i64>().expect("a number"))
    };
    let before = (counters().await, usage_of(capture.id()), usage_of(replay.id()));
    tokio::time::sleep(Duration::from_secs(SECONDS)).await;
    let after = (counters().await, usage_of(capture.id()), usage_of(replay.id()));
    println!("nothing happens for {SECONDS} s");
    for (name, before, after) in [("transload capture", before.1, after.1), ("transload replay", before.2, after.2)] {
        let (before, after) = (before.expect("running"), after.expect("running"));
        println!(
            "  {name:<26} {:>6.2} % of a core, {} MiB peak",
            (after.cpu_seconds - before.cpu_seconds) / SECONDS as f64 * 100.0,
            after.peak_bytes >> 20
        );
    }
    let names = ["inserts", "queries", "updates", "deletes", "getMores", "commands"];
    let counts = names
        .iter()
        .zip(before.0.iter().zip(after.0))
        .map(|(name, (before, after))| format!("{} {name}", after - before));
    println!(
        "  at the target, this count and its own housekeeping included: {}\n",
        counts.collect::<Vec<_>>().join(", ")
    );
    for child in [&mut replay, &mut capture] {
        child.kill().expect("killed");
        child.wait().expect("a child");
    }
}
