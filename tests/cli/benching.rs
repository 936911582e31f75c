//! `bench`: what it measures, what it prints, that a source is only read, and that it leaves nothing behind.

use std::{fs, thread::sleep, time::Duration};

use mongodb::bson::{Document, doc};
use rustix::process::Signal;
use serde_json::Value;
use transload::sandbox::Release;

use super::{
    data::{client, shop, shop_on},
    json::schema,
    signals::{send, until_it_listens},
    terminal::{PASSWORD, Ran, Terminal, finish, snapshot, snapshot_text},
};
use crate::servers::{guarded, shared};

/// The report of a run with `--json`.
fn summary(ran: &Ran) -> Value {
    let lines = ran.lines();
    let summaries: Vec<&Value> = lines.iter().filter(|line| line["type"] == "summary").collect();
    assert_eq!(summaries.len(), 1, "{ran}");
    summaries[0].clone()
}

fn names(summary: &Value) -> Vec<&str> {
    let names = summary["rows"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap());
    // Those of mongo-tools depend on the machine.
    names.filter(|name| !name.starts_with("mongo")).collect()
}

/// The program where no mongo-tools are found, whatever this machine has.
fn without_tools(terminal: &Terminal, arguments: &[&str]) -> Ran {
    terminal.run_with(&[("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")], arguments)
}

const OURS: [&str; 7] =
    ["drain", "dump to nothing", "dump to memory", "dump to disk", "transload dump", "restore", "transload restore"];

#[test]
fn without_a_source_it_measures_the_shop_on_throwaway_servers() {
    let terminal = Terminal::new();
    fs::create_dir(terminal.path("dir")).unwrap();
    let flags = ["--scale", "0.002", "--runs", "1", "--sweep", "--report", "page.html", "--dir", "dir"];
    let ran = without_tools(&terminal, &[&["--json", "bench"][..], &flags].concat()).ends_with(0);
    assert_eq!(ran.stderr, "");
    let report = summary(&ran);
    assert_eq!(names(&report), OURS);
    // A row with stages, and one of a process.
    let mut shown = report.clone();
    shown["rows"] = Value::Array(vec![report["rows"][3].clone()]);
    shown["warnings"] = Value::Array(Vec::new());
    let process = schema(&report["rows"][4]);
    snapshot_text("json-bench", &format!("{}\n\n{process}", schema(&shown)));
    // 2,000 orders, 600 events, 30 blobs.
    assert_eq!(report["data"]["documents"], 2630);
    let bytes = report["data"]["bytes"].as_u64().unwrap();
    for row in report["rows"].as_array().unwrap() {
        assert_eq!(row["runs"].as_array().unwrap().len(), 1, "{row}");
        assert!(row["seconds"]["median"].as_f64().unwrap() > 0.0, "{row}");
        assert_eq!(row["peak_bytes"].is_null(), row["is_process"] == false, "{row}");
        let samples = row["runs"][0]["samples"].as_array().unwrap();
        assert_eq!(samples.is_empty(), row["is_process"] == true, "{row}");
        if row["is_process"] == false && row["name"] != "drain" {
            assert_eq!(samples.last().unwrap()["bytes"], bytes, "all documents have passed: {row}");
        }
    }
    // What is written is the same, wherever it goes.
    let written: Vec<&Value> = (1..5).map(|row| &report["rows"][row]["written_bytes"]).collect();
    assert!(written[0].as_u64().unwrap() > 100_000 && written.iter().all(|bytes| bytes.is_u64()), "{written:?}");
    for row in 1..4 {
        let stages = report["rows"][row]["stages"]["stages"].as_array().unwrap();
        let sum: f64 = stages.iter().map(|stage| stage["share"].as_f64().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-6, "{stages:?}");
        assert!(stages.iter().all(|stage| stage["seconds"].as_f64().unwrap() > 0.0), "each stage was seen: {stages:?}");
    }
    assert_eq!(report["bottleneck"], report["rows"][3]["stages"]["bottleneck"]);
    assert_eq!(report["sweep"]["cells"].as_array().unwrap().len(), 16);
    assert!(report["left_out"].as_array().unwrap().is_empty());
    assert_eq!(fs::read_dir(terminal.path("dir")).unwrap().count(), 0, "the folder in --dir is removed");

    let page = String::from_utf8(terminal.read("page.html")).unwrap();
    for id in ["dumps", "restores", "stages", "dump-curve", "restore-curve", "sweep"] {
        assert!(page.contains(&format!("<svg id=\"{id}\"")), "{id}");
    }
    in_a_browser(&terminal);
}

/// Opens the page in headless Chromium where there is one: the page is what the browser makes of it, and is drawn.
fn in_a_browser(terminal: &Terminal) {
    let found = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&folders).any(|folder| folder.join(name).is_file())
    });
    let Some(browser) = found else {
        eprintln!("left out: no Chromium on PATH, so the page was not opened in a browser");
        return;
    };
    let file = format!("file://{}", terminal.path("page.html").display());
    let common = "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --user-data-dir=profile";
    let dumped = terminal.shell(&format!("{browser} {common} --dump-dom '{file}' 2>/dev/null")).ends_with(0);
    let page = String::from_utf8(terminal.read("page.html")).unwrap();
    for tag in ["<section", "<svg", "<rect", "<polyline", "<table", "<td", "<title"] {
        assert_eq!(
            dumped.out().matches(tag).count(),
            page.matches(tag).count(),
            "{tag}: the browser has repaired the page"
        );
    }
    let shot = format!("{browser} {common} --window-size=1000,3000 --screenshot=page.png '{file}' 2>/dev/null");
    terminal.shell(&shot).ends_with(0);
    let png = terminal.read("page.png");
    assert!(png.starts_with(b"\x89PNG") && png.len() > 50_000, "{} bytes", png.len());
}

#[tokio::test]
async fn a_source_is_only_read() {
    let (terminal, uri) = (Terminal::new(), shop("cli_bench").await);
    let database = client().await.database("cli_bench");
    let log = client().await.database("local").collection::<Document>("oplog.rs");
    // The server's own word of what is there, and every write that there ever was.
    let state = async || {
        let hash = database.run_command(doc! { "dbHash": 1 }).await.unwrap();
        let writes = log.count_documents(doc! { "ns": { "$regex": r"^cli_bench\." } }).await.unwrap();
        (hash.get_str("md5").unwrap().to_owned(), hash.get_document("collections").unwrap().len(), writes)
    };
    let before = state().await;
    assert!(before.2 > 3, "the log has what was inserted: {before:?}");
    let flags = ["--include", "orders", "--runs", "2", "--codec", "none", "--parallel", "2"];
    let ran = without_tools(&terminal, &[&["--json", "bench", &uri][..], &flags].concat()).ends_with(0);
    let report = summary(&ran);
    assert_eq!(state().await, before);
    assert_eq!(names(&report), OURS);
    assert_eq!((&report["data"]["documents"], &report["codec"]), (&Value::from(120), &Value::from("none")));
    assert_eq!(report["data"]["collections"][0]["namespace"], "cli_bench.orders");
    assert!(report["sweep"].is_null() && report["command"].as_str().unwrap().starts_with("transload bench SOURCE "));
    assert!(!ran.out().contains("mongodb://"), "{ran}");
    let databases = client().await.list_database_names().await.unwrap();
    assert!(!databases.iter().any(|name| name == "shop"), "{databases:?}");
    database.drop().await.unwrap();
}

#[tokio::test]
async fn a_password_reaches_the_processes_and_nobody_else() {
    let terminal = Terminal::new();
    let uri = guarded().await.uri("reader", "/shop");
    terminal.write("uri", &uri);
    fs::set_permissions(terminal.path("uri"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let ran = without_tools(&terminal, &["bench", "@uri", "--runs", "1", "--report", "page.html"]).ends_with(0);
    assert!(ran.out().contains("transload dump") && ran.out().contains("bottleneck: "), "{ran}");
    let page = String::from_utf8(terminal.read("page.html")).unwrap();
    assert!(page.contains("transload dump env:SOURCE process.tlz"));
    for secret in [PASSWORD, "mongodb://", "reader"] {
        assert!(!page.contains(secret), "{secret} is on the page");
    }
}

#[tokio::test]
async fn without_a_server_to_restore_to_the_restores_are_left_out_and_it_is_said() {
    let (terminal, uri) = (Terminal::new(), shop("cli_bench_alone").await);
    let variables = [("TRANSLOAD_MONGOD", "/no/such/mongod"), ("PATH", "/usr/bin:/bin")];
    let ran = terminal.run_with(&variables, &["--json", "bench", &uri, "--runs", "1"]).ends_with(3);
    let report = summary(&ran);
    assert_eq!(names(&report), OURS[..5]);
    assert_eq!(report["left_out"][0]["name"], "restore");
    assert!(report["left_out"][0]["reason"].as_str().unwrap().contains("no such file: /no/such/mongod"));
    assert!(ran.lines().iter().any(|line| line["type"] == "warning"), "{ran}");
    // Without a source there is nothing to measure at all.
    terminal.run_with(&variables, &["bench"]).ends_with(1).says("no such file: /no/such/mongod");
    client().await.database("cli_bench_alone").drop().await.unwrap();
}

#[tokio::test]
async fn an_index_that_the_throwaway_server_cannot_build_is_said() {
    let (terminal, old) = (Terminal::new(), shared(Release::V4_2_6).await);
    let uri = shop_on(old, "cli_bench_old").await;
    let database = old.client().await.unwrap().database("cli_bench_old");
    let spec = doc! { "key": { "at": "geoHaystack", "code": 1 }, "name": "near", "bucketSize": 1 };
    database.run_command(doc! { "createIndexes": "orders", "indexes": [spec] }).await.unwrap();
    let ran = without_tools(&terminal, &["--json", "bench", &uri, "--runs", "1"]).ends_with(3);
    let report = summary(&ran);
    assert_eq!(names(&report), OURS);
    let left_out = report["left_out"].as_array().unwrap();
    assert_eq!(left_out.len(), 1, "{left_out:?}");
    assert!(
        left_out[0]["reason"].as_str().unwrap().starts_with("the index near of cli_bench_old.orders was not built")
    );
    database.drop().await.unwrap();
}

/// Tools that write so many bytes and read them again, so that nobody needs mongo-tools to see where their figures stand.
#[tokio::test]
async fn tools_on_the_path_stand_beside_ours() {
    use std::os::unix::fs::PermissionsExt;
    let (terminal, uri) = (Terminal::new(), shop("cli_bench_beside").await);
    let version = "#!/bin/sh\ntest \"$1\" = --version && echo \"$(basename $0) version: 9.9.9\" && exit 0\n\
        grep -q mongodb:// || exit 7\nfor flag; do case $flag in --archive=*) archive=${flag#*=};; --gzip) of=1;; esac; done\n";
    let dump = format!("{version}head -c \"${{of:+2}}1234\" /dev/zero > $archive\n");
    // It finds what was dumped, and fails without it.
    let restore = format!("{version}test \"$(wc -c < $archive)\" -eq 1234\n");
    for (tool, script) in [("mongodump", dump), ("mongorestore", restore)] {
        terminal.write(tool, script);
        fs::set_permissions(terminal.path(tool), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:/usr/bin:/bin", terminal.path("").display());
    let ran = terminal.run_with(&[("PATH", &path)], &["--json", "bench", &uri, "--runs", "1"]).ends_with(0);
    let report = summary(&ran);
    assert_eq!(report["tools"].as_array().unwrap().len(), 2, "{}", report["tools"]);
    let theirs: Vec<(&str, &Value)> = report["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["name"].as_str().unwrap(), &row["written_bytes"]))
        .filter(|(name, _)| name.starts_with("mongo"))
        .collect();
    let (plain, compressed) = (Value::from(1234), Value::from(21234));
    let expected = [
        ("mongodump", &plain),
        ("mongodump --gzip", &compressed),
        ("mongorestore", &Value::Null),
        ("mongorestore, best flags", &Value::Null),
    ];
    assert_eq!(theirs, expected);
    client().await.database("cli_bench_beside").drop().await.unwrap();
}

/// Tools that do nothing but fail, so that nobody needs them to see what becomes of that.
#[tokio::test]
async fn a_tool_that_fails_is_left_out_and_named() {
    use std::os::unix::fs::PermissionsExt;
    let (terminal, uri) = (Terminal::new(), shop("cli_bench_tools").await);
    let script = "#!/bin/sh\ntest \"$1\" = --version && echo \"mongodump version: 9.9.9\" && exit 0\n\
        grep -q mongodb:// && echo 'Failed: it is a fake' >&2\nexit 1\n";
    terminal.write("mongodump", script);
    fs::set_permissions(terminal.path("mongodump"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", terminal.path("").display());
    let ran = terminal.run_with(&[("PATH", &path)], &["--json", "bench", &uri, "--runs", "1"]).ends_with(3);
    let report = summary(&ran);
    assert_eq!(names(&report), OURS);
    assert_eq!(report["tools"][0]["version"], "9.9.9");
    let left_out: Vec<&str> =
        report["left_out"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(left_out, ["mongodump", "mongodump --gzip"]);
    let reason = "mongodump: failed (exit status: 1): Failed: it is a fake";
    assert_eq!(report["left_out"][0]["reason"], reason);
    client().await.database("cli_bench_tools").drop().await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_is_refused_before_anything_is_measured() {
    let (terminal, uri) = (Terminal::new(), shop("cli_bench_refused").await);
    terminal.write("page.html", "kept");
    let run = |arguments: &[&str], code| terminal.run(&[&["bench"], arguments].concat()).ends_with(code);
    let runs = [
        run(&["--report", "page.html"], 1),
        run(&["--report", "nowhere/page.html"], 1),
        run(&["--report", "."], 2),
        run(&["--dir", "nowhere"], 1),
        run(&["--include", "orders"], 2),
        run(&["shop.tlz"], 2),
        run(&["--runs", "0"], 2),
        run(&["--scale", "0"], 2),
    ];
    snapshot("bench-refused", &runs);
    run(&[&uri, "--include", "missing"], 1).says("missing");
    assert!(run(&["ann:Sup3r-S3cret@host/shop"], 2).stderr.contains("is no connection string"));
    assert_eq!(terminal.read("page.html"), b"kept");
    client().await.database("cli_bench_refused").drop().await.unwrap();
}

#[tokio::test]
async fn a_signal_ends_it_and_leaves_nothing_behind() {
    let terminal = Terminal::new();
    for directory in ["dir", "tmp"] {
        fs::create_dir(terminal.path(directory)).unwrap();
    }
    let arguments = ["bench", "--scale", "0.005", "--runs", "100", "--report", "page.html", "--dir", "dir"];
    // In the beginning, and in the middle of the runs.
    for milliseconds in [300, 8000] {
        let mut command = terminal.command(&arguments);
        let bench = command.env("TMPDIR", terminal.path("tmp")).spawn().unwrap();
        until_it_listens(&bench);
        sleep(Duration::from_millis(milliseconds));
        send(&bench, Signal::INT);
        let ran = finish(bench, "transload bench").ends_with(130);
        assert!(ran.took < Duration::from_secs(6), "{ran}");
        for directory in ["dir", "tmp"] {
            let left: Vec<_> = fs::read_dir(terminal.path(directory)).unwrap().flatten().collect();
            assert!(left.is_empty(), "{left:?}");
        }
        assert!(!terminal.has("page.html"));
    }
}

/// A throwaway server of the shop has no users, and the tools fail where they are told to authenticate as nobody.
#[test]
fn tools_are_not_told_to_authenticate_where_there_are_no_users() {
    use std::os::unix::fs::PermissionsExt;
    let terminal = Terminal::new();
    let version = "#!/bin/sh\ntest \"$1\" = --version && echo \"$(basename $0) version: 9.9.9\" && exit 0\n\
        grep -q authSource && echo 'Failed: Authentication failed' >&2 && exit 1\n\
        for flag; do case $flag in --archive=*) archive=${flag#*=};; esac; done\n";
    for (tool, work) in [("mongodump", "echo dumped > $archive\n"), ("mongorestore", "grep -q dumped $archive\n")] {
        terminal.write(tool, format!("{version}{work}"));
        fs::set_permissions(terminal.path(tool), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:{}", terminal.path("").display(), std::env::var("PATH").unwrap());
    let arguments = ["--json", "bench", "--scale", "0.001", "--runs", "1"];
    let report = summary(&terminal.run_with(&[("PATH", &path)], &arguments).ends_with(0));
    assert_eq!(report["left_out"].as_array().map(Vec::len), Some(0), "{}", report["left_out"]);
}
