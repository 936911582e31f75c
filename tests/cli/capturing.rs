//! `transload capture` as a process: stopped, killed, out of room, and gone on with.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use mongodb::bson::{Document, doc};
use rustix::process::Signal;
use transload::{
    changes::{
        capture::{Manifest, State},
        token,
    },
    sandbox::Release,
};

use super::{
    data::{empty, fill_large},
    signals::{send, until, until_it_listens},
    space::was_mounted,
    terminal::{Terminal, finish, snapshot},
};
use crate::{
    capture::{Recorded, assert_log, now},
    copy::Side,
    servers::shared,
};

async fn begin(side: &Side<'_>) -> u64 {
    now(side).await;
    side.server().await.operation_time().await.unwrap()
}

fn has_begun(directory: &Path) -> bool {
    matches!(Manifest::read(directory), Ok(Some(manifest)) if manifest.state == State::Begun)
}

/// Writes without pause until the file `stop` is there.
async fn write(side: &Side<'_>, stop: &Path) {
    let database = side.open().await;
    let mut id = 0;
    while !stop.exists() {
        for name in ["orders", "events", "orders"] {
            let documents = (id..id + 40).map(|id| doc! { "_id": id, "text": "x".repeat(300) });
            database.collection::<Document>(name).insert_many(documents).await.unwrap();
            id += 40;
        }
        crate::stream::transaction(side, &["orders", "events"], 10).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capture_that_is_killed_at_any_moment_goes_on_exactly() {
    let rounds: u64 = std::env::var("TRANSLOAD_TEST_KILLS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(12);
    let (terminal, side) = (Terminal::new(), Side::new(shared(Release::V6_0_5).await, "cli_capture_killed"));
    let (uri, begin) = (empty(side.database).await, begin(&side).await);
    let (since, changes, stop) = (token::written(begin), terminal.path("changes"), terminal.path("stop"));
    let kill = async {
        let mut state = 7_u64;
        for _ in 0..rounds {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let mut arguments = vec!["capture", &uri, "changes", "--sync-interval", "10ms"];
            if !has_begun(&changes) {
                arguments.extend(["--since", &since]);
            }
            let mut capture = terminal.command(&arguments).spawn().unwrap();
            tokio::time::sleep(Duration::from_millis(20 + (state >> 33) % 900)).await;
            capture.kill().unwrap();
            capture.wait().unwrap();
        }
        terminal.write("stop", "");
    };
    tokio::join!(kill, write(&side, &stop));
    let end = token::written(now(&side).await);
    terminal.run(&["capture", &uri, "changes", "--until", &end]).ends_with(0);
    assert_log(&changes.join("log/1"), &side, begin).await;
    assert!(Recorded::read(&changes.join("log/1")).lanes["cli_capture_killed.orders"].len() > 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_is_the_ordinary_end_and_says_where_it_is() {
    let (terminal, side) = (Terminal::new(), Side::new(shared(Release::V6_0_5).await, "cli_capture_int"));
    let uri = empty(side.database).await;
    let mut runs = Vec::new();
    for (round, signal) in [(0, Signal::INT), (1, Signal::TERM)] {
        let capture = terminal.command(&["capture", &uri, "changes"]).spawn().unwrap();
        until(|| has_begun(&terminal.path("changes")));
        until_it_listens(&capture);
        let orders = side.open().await.collection::<Document>("orders");
        orders.insert_many((0..3).map(|id| doc! { "_id": round * 3 + id })).await.unwrap();
        let recorded =
            || Recorded::read(&terminal.path("changes/log/1")).lanes.get("cli_capture_int.orders").map_or(0, Vec::len);
        // With the one that tells that the collection came into being.
        until(|| recorded() == usize::try_from(1 + 3 * (round + 1)).unwrap());
        send(&capture, signal);
        let ran = finish(capture, "transload capture URI changes").ends_with(0);
        assert!(ran.took < Duration::from_secs(3), "{ran}");
        runs.push(ran);
    }
    let lanes = Recorded::read(&terminal.path("changes/log/1")).lanes;
    let shown = crate::stream::shown(&lanes["cli_capture_int.orders"]);
    assert_eq!(shown.len(), 1 + 6, "{shown:?} {}", runs.iter().map(ToString::to_string).collect::<String>());
    snapshot("capture", &runs);
}

#[tokio::test]
async fn the_summary_is_json_when_json_is_wanted() {
    let (terminal, side) = (Terminal::new(), Side::new(shared(Release::V6_0_5).await, "cli_capture_json"));
    let uri = empty(side.database).await;
    side.run(doc! { "create": "orders" }).await;
    let since = token::written(begin(&side).await);
    side.run(doc! { "insert": "orders", "documents": [{ "_id": 1 }, { "_id": 2 }] }).await;
    let end = token::written(now(&side).await);
    let ran = terminal.run(&["--json", "capture", &uri, "c", "--since", &since, "--until", &end]).ends_with(0);
    let summary = ran.lines().pop().unwrap();
    assert_eq!((&summary["type"], &summary["events"]), (&"summary".into(), &2.into()), "{ran}");
    assert_eq!(summary["namespaces"][0]["namespace"], "cli_capture_json.orders");
    assert_eq!(summary["streams"][0]["watches"], "the database cli_capture_json");
    let again = terminal.run(&["--json", "capture", &uri, "c", "--since", &since]).ends_with(2);
    assert_eq!(again.lines()[0]["kind"], "usage");
}

/// A file system of 2 MB that is given more room while the capture waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_capture_waits_for_room_on_a_full_disk_and_loses_nothing() {
    if std::env::var_os("TRANSLOAD_TEST_NO_MOUNT").is_some() {
        eprintln!("left out by TRANSLOAD_TEST_NO_MOUNT: a full disk is not tried");
        return;
    }
    let (terminal, side) = (Terminal::new(), Side::new(shared(Release::V6_0_5).await, "cli_capture_full"));
    let (uri, begin) = (empty(side.database).await, begin(&side).await);
    fill_large(&side.set.client().await.unwrap(), side.database, 60).await;
    let end = token::written(now(&side).await);
    let since = token::written(begin);
    std::fs::create_dir(terminal.path("disk")).unwrap();
    let with = |unshare: &str| {
        terminal.shell(&format!(
            "{unshare} sh -c 'mount -t tmpfs -o size=2m tmpfs disk || exit 99; \
             \"$T\" capture \"$1\" disk/changes --since {since} --until {end} 2> said & capture=$!; tries=0; \
             until grep -q \"No space left\" said || [ $tries -gt 300 ]; do sleep 0.1; tries=$((tries+1)); done; sleep 2; \
             mount -o remount,size=64m disk; wait $capture; code=$?; cat said >&2; cp -r disk/changes out; exit $code' sh '{uri}'"
        ))
    };
    let begun = Instant::now();
    let mut ran = with("unshare --user --map-root-user --mount");
    if !was_mounted(&ran) {
        ran = with("unshare --mount");
    }
    assert!(was_mounted(&ran), "no file system can be mounted; TRANSLOAD_TEST_NO_MOUNT=1 leaves this test out\n{ran}");
    let ran = ran.ends_with(0).says("No space left on device: nothing more is recorded until there is room");
    assert!(begun.elapsed() > Duration::from_secs(2), "{ran}");
    assert_log(&terminal.path("out/log/1"), &side, begin).await;
}

#[tokio::test]
async fn events_to_a_target_need_one_that_is_not_the_source() {
    let (terminal, side) = (Terminal::new(), Side::new(shared(Release::V6_0_5).await, "cli_capture_target"));
    let uri = empty(side.database).await;
    now(&side).await;
    terminal
        .run(&["capture", &uri, "c", "--events-to", "target"])
        .ends_with(2)
        .says("--events-to target: needs the server that the events go to");
    terminal.run(&["capture", &uri, "c", "--target", &uri]).ends_with(2).says("add --events-to target");
    terminal
        .run(&["capture", &uri, "c", "--events-to", "target", "--target", &uri])
        .ends_with(2)
        .says("the target is the source itself");
}
