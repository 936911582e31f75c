//! `indexes check` and `indexes repair` wherever index specs are.

use std::{fs, io::Write};

use flate2::{Compression, write::GzEncoder};
use mongodb::bson::{self, Bson, doc};
use transload::sandbox::{Release, ReplicaSet, ReplicaSetOptions, RootUser};

use super::{
    data::{ORDERS, shop},
    json::schema,
    terminal::{PASSWORD, Ran, Terminal, redacted, snapshot, snapshot_text},
};
use crate::{
    copy::Side,
    indexes::{fill, plain_b, set, unique_a},
    servers::{binary, guarded},
};

fn uri(set: &ReplicaSet, database: &str) -> String {
    super::data::uri(set, database)
}

#[tokio::test]
async fn a_live_server_is_checked_and_repaired() {
    let terminal = Terminal::new();
    for release in [Release::V4_2_6, Release::V5_0_4, Release::V6_0_27] {
        let (_turn, set) = set(release).await;
        let (side, uri) = (Side::new(set, "cli_indexes"), uri(set, "cli_indexes"));
        fill(&side, &[unique_a(), plain_b()]).await;
        let runs: Vec<Ran> = vec![
            terminal.run(&["indexes", "check", &uri]).ends_with(4),
            terminal.run(&["indexes", "repair", &uri]).ends_with(2),
            terminal.run(&["indexes", "check", &uri, "--include", "good"]).ends_with(0),
            terminal.run(&["indexes", "check", &uri, "--include", "orders", "--quiet"]).ends_with(4),
            terminal.run(&["indexes", "repair", &uri, "--yes"]).ends_with(0),
            terminal.run(&["indexes", "check", &uri]).ends_with(0),
            terminal.run(&["indexes", "repair", &uri, "--yes"]).ends_with(0),
            terminal.run(&["indexes", "check", &uri, "--quiet"]).ends_with(0),
        ];
        snapshot(&format!("indexes-server-{}", release.version()), &runs);
    }
}

#[tokio::test]
async fn a_dump_names_what_its_server_hides() {
    let (terminal, (_turn, set)) = (Terminal::new(), set(Release::V6_0_27).await);
    fill(&Side::new(set, "cli_hidden"), &[unique_a(), plain_b()]).await;
    let target = super::data::empty("cli_hidden").await;
    let dumped = terminal.run(&["dump", &uri(set, "cli_hidden"), "a.tlz"]).ends_with(0);
    let restored = terminal.run(&["restore", "a.tlz", &target]).ends_with(0);
    let orders = super::data::client().await.database("cli_hidden").collection::<bson::Document>("orders");
    assert_eq!(orders.list_index_names().await.unwrap(), ["_id_", "a_1", "b_1"]);
    snapshot("hidden-bad-indexes", &[dumped, restored]);
}

#[tokio::test]
async fn on_a_terminal_it_asks() {
    let (terminal, (_turn, set)) = (Terminal::new(), set(Release::V4_2_6).await);
    let (side, uri) = (Side::new(set, "cli_indexes_ask"), uri(set, "cli_indexes_ask"));
    fill(&side, &[plain_b()]).await;
    let answer = |answer: &str, code: i32| {
        let script =
            format!("(sleep 1; printf '{answer}\\n') | script -qec '\"$T\" indexes repair \"{uri}\"' /dev/null");
        terminal.shell(&script).ends_with(code)
    };
    let refused = answer("n", 130);
    assert!(refused.out().contains("[y/N]") && refused.out().contains("nothing was changed"), "{refused}");
    terminal.run(&["indexes", "check", &uri]).ends_with(4);
    let agreed = answer("y", 0);
    assert!(agreed.out().contains("repaired: cli_indexes_ask.orders b_1"), "{agreed}");
    terminal.run(&["indexes", "check", &uri]).ends_with(0);
}

#[tokio::test]
async fn what_could_not_be_repaired_ends_in_3() {
    let (terminal, (_turn, set)) = (Terminal::new(), set(Release::V6_0_5).await);
    let side = Side::new(set, "cli_indexes_fail");
    fill(&side, &[plain_b()]).await;
    let uri = format!("{}&appName=cli_indexes_fail", uri(set, "cli_indexes_fail"));
    let data = doc! { "errorCode": 67, "namespace": "cli_indexes_fail.orders" };
    side.fail(&["createIndexes"], doc! { "times": 1000 }, data).await;
    let lost = terminal.run(&["indexes", "repair", &uri, "--yes"]).ends_with(3);
    side.fail_no_more().await;
    snapshot("indexes-lost", &[lost]);
}

#[tokio::test]
async fn an_archive_and_its_sidecar_are_checked_and_repaired() {
    let (terminal, (_turn, set)) = (Terminal::new(), set(Release::V4_2_6).await);
    let (side, uri) = (Side::new(set, "cli_indexes_archive"), uri(set, "cli_indexes_archive"));
    fill(&side, &[unique_a(), plain_b()]).await;
    terminal.run(&["dump", &uri, "a.tlz"]).ends_with(0);
    let _ = fs::remove_file(terminal.path("a.indexes.json"));
    let archive = terminal.read("a.tlz");
    let mut runs = vec![
        terminal.run(&["indexes", "check", "a.tlz"]).ends_with(4),
        terminal.run(&["indexes", "repair", "a.tlz"]).ends_with(0),
        terminal.run(&["indexes", "check", "a.indexes.json", "-v"]).ends_with(0),
        // What a restore would build is what counts.
        terminal.run(&["indexes", "check", "a.tlz"]).ends_with(0),
    ];
    assert_eq!(terminal.read("a.tlz"), archive);
    let derived = terminal.read("a.indexes.json");
    // Again, it is what it is.
    terminal.run(&["indexes", "repair", "a.tlz"]).ends_with(0);
    assert!(!terminal.has("a.indexes.json.old"));
    let edited = String::from_utf8(derived.clone()).unwrap();
    let from = "\"spec\":{\"v\":1,\"key\":{\"b\":1}";
    assert!(edited.contains(from), "{edited}");
    let edited = edited.replace(from, "\"spec\":{\"v\":1,\"key\":{\"b\":true},\"wtimeout\":5");
    terminal.write("a.indexes.json", &edited);
    runs.push(terminal.run(&["indexes", "check", "a.indexes.json"]).ends_with(4));
    runs.push(terminal.run(&["indexes", "check", "a.tlz"]).ends_with(4));
    runs.push(terminal.run(&["indexes", "repair", "a.indexes.json"]).ends_with(0));
    runs.push(terminal.run(&["indexes", "check", "a.indexes.json"]).ends_with(0));
    let repaired = String::from_utf8(terminal.read("a.indexes.json")).unwrap();
    let line = repaired.lines().find(|line| line.contains("\"name\":\"b_1\"")).unwrap();
    assert!(line.contains(from) && line.contains("\"original\":{\"v\":1,\"key\":{\"b\":1},"), "{line}");
    for field in ["\"w\"", "\"wtimeout\"", "\"key.b\""] {
        assert!(line.contains(&format!("\"field\":{field}")), "{line}");
    }
    runs.push(terminal.run(&["indexes", "repair", "a.tlz"]).ends_with(0));
    assert_eq!(terminal.read("a.indexes.json.old"), repaired.as_bytes());
    assert_eq!(terminal.read("a.indexes.json"), derived);
    // What is not selected stays as it was edited.
    terminal.write("a.indexes.json", &edited);
    terminal.run(&["indexes", "repair", "a.tlz", "--include", "*.good"]).ends_with(0);
    assert_eq!(terminal.read("a.indexes.json"), edited.as_bytes());
    terminal.write("a.indexes.json", &edited[..edited.len() / 2]);
    runs.push(terminal.run(&["indexes", "check", "a.tlz"]).ends_with(2));
    let summary = terminal.run(&["--json", "indexes", "repair", "a.tlz"]).ends_with(0).lines().pop().unwrap();
    assert_eq!(summary["files"], serde_json::json!(["a.indexes.json"]));
    let summary = terminal.run(&["--json", "indexes", "check", "a.tlz"]).ends_with(0).lines().pop().unwrap();
    assert_eq!((&summary["sidecar"], &summary["bad_in_archive"]), (&"a.indexes.json".into(), &2.into()));
    // A sidecar is one under any name.
    terminal.write("mine.json", &derived);
    runs.push(terminal.run(&["indexes", "check", "mine.json"]).ends_with(0));
    snapshot("indexes-archive", &runs);
}

#[tokio::test]
async fn what_a_restore_of_an_archive_would_not_build_is_bad() {
    let (terminal, (_turn, set)) = (Terminal::new(), set(Release::V4_2_6).await);
    let (side, uri) = (Side::new(set, "cli_indexes_hay"), uri(set, "cli_indexes_hay"));
    fill(&side, &[doc! { "key": { "at": "geoHaystack", "kind": 1 }, "name": "hay", "bucketSize": 1 }]).await;
    terminal.run(&["dump", &uri, "a.tlz"]).ends_with(0);
    let checked = terminal.run(&["indexes", "check", "a.tlz"]).ends_with(4);
    let old = terminal.run(&["indexes", "check", "a.tlz", "--target-version", "4.2.6"]).ends_with(0);
    // Whoever takes it out does not want it.
    let text = String::from_utf8(terminal.read("a.indexes.json")).unwrap();
    let (front, rest) = text.split_once(",\n      \"not_built\": [").unwrap();
    let (_, rest) = rest.split_once("\n      ]").unwrap();
    terminal.write("a.indexes.json", format!("{front}{rest}"));
    let edited = terminal.run(&["indexes", "check", "a.tlz"]).ends_with(0);
    let target = super::data::empty("cli_indexes_hay").await;
    terminal.run(&["restore", "a.tlz", &target]).ends_with(0);
    snapshot("indexes-not-built", &[checked, old, edited]);
}

fn metadata(name: &str, indexes: &str) -> String {
    format!(
        "{{\"options\":{{}},\"indexes\":[{{\"v\":{{\"$numberInt\":\"2\"}},\"key\":{{\"_id\":{{\"$numberInt\":\"1\"}}}},\"name\":\"_id_\"}}{indexes}],\
         \"uuid\":\"00ff\",\"collectionName\":\"{name}\",\"type\":\"collection\",\"later\":1.50}}"
    )
}

fn compressed(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// The options of a collection say what its indexes mean, in every place that specs are kept in.
#[test]
fn a_good_index_is_good_for_what_its_collection_is() {
    const OWN: &str = r#"{"v":2,"key":{"_id":1},"name":"own"}"#;
    const CLUSTERED: &str = r#"{"v":2,"key":{"_id":1},"name":"mine","unique":true,"clustered":true}"#;
    const EXPIRING: &str = r#"{"v":2,"key":{"at":1},"name":"at_1","expireAfterSeconds":60}"#;
    const SIMPLE: &str = r#"{"v":2,"key":{"a":1},"name":"fr"},{"v":2,"key":{"a":1},"name":"simple"}"#;
    let terminal = Terminal::new();
    let cases = [
        ("series", r#"{"timeseries":{"timeField":"t"}}"#, OWN, 0),
        ("plain", "{}", OWN, 4),
        ("clustered", r#"{"clusteredIndex":{"key":{"_id":1},"unique":true,"name":"mine"}}"#, CLUSTERED, 0),
        ("capped", r#"{"capped":true,"size":4096}"#, EXPIRING, 4),
        ("growing", "{}", EXPIRING, 0),
        ("twice", "{}", SIMPLE, 4),
    ];
    for (name, options, index, code) in cases {
        let metadata = format!(r#"{{"options":{options},"indexes":[{index}],"collectionName":"{name}"}}"#);
        let path = format!("{name}/shop/{name}.metadata.json");
        fs::create_dir_all(terminal.path(&format!("{name}/shop"))).unwrap();
        terminal.write(&path, &metadata);
        let target = ["--target-version", "6.0.5"];
        terminal.run(&[&["indexes", "check", name][..], &target].concat()).ends_with(code);
        if code == 0 {
            terminal.run(&["indexes", "repair", name]).ends_with(0);
            assert_eq!(terminal.read(&path), metadata.into_bytes());
        }
        let kept = match options {
            "{}" => String::new(),
            options => format!(r#""options":{options},"#),
        };
        let sidecar = format!(
            r#"{{"sidecar":1,"collections":[{{"namespace":"shop.{name}",{kept}"indexes":[{}]}}]}}"#,
            index.split("},{").map(|spec| format!(r#"{{"spec":{}}}"#, braced(spec))).collect::<Vec<_>>().join(",")
        );
        let path = format!("{name}.indexes.json");
        terminal.write(&path, &sidecar);
        terminal.run(&[&["indexes", "check", &path][..], &target].concat()).ends_with(code);
    }
}

/// A spec that was cut out of a list, with its braces.
fn braced(spec: &str) -> String {
    let open = if spec.starts_with('{') { "" } else { "{" };
    let close = if spec.matches('{').count() + open.len() > spec.matches('}').count() { "}" } else { "" };
    format!("{open}{spec}{close}")
}

#[test]
fn what_no_server_builds_is_bad_before_a_server_is_asked() {
    let terminal = Terminal::new();
    let specs = [
        r#"{"key":{"a":"hashed"},"name":"h","unique":true}"#,
        r#"{"key":{"$**":1},"name":"w","unique":true}"#,
        r#"{"key":{"$**":1},"name":"sparse","sparse":true}"#,
        r#"{"key":{"a":1},"name":"p","sparse":true,"partialFilterExpression":{"a":1}}"#,
        r#"{"key":{"a":"text"},"name":"t"}"#,
        r#"{"key":{"b":"text"},"name":"second"}"#,
        r#"{"key":{"a":1,"c":"hashed"},"name":"new"}"#,
    ];
    let spec = |spec: &&str| format!(r#"{{"spec":{spec}}}"#);
    let listed = specs.iter().map(spec).collect::<Vec<_>>().join(",");
    terminal.write(
        "a.indexes.json",
        format!(r#"{{"sidecar":1,"collections":[{{"namespace":"shop.orders","indexes":[{listed}]}}]}}"#),
    );
    fs::create_dir_all(terminal.path("dump/shop")).unwrap();
    let many: String =
        (0..65).map(|number| format!(r#",{{"v":2,"key":{{"f{number}":1}},"name":"n{number}"}}"#)).collect();
    terminal.write("dump/shop/many.metadata.json", metadata("many", &many));
    let runs = [
        terminal.run(&["indexes", "check", "a.indexes.json"]).ends_with(4),
        terminal.run(&["indexes", "check", "a.indexes.json", "--target-version", "4.2.6"]).ends_with(4),
        terminal.run(&["indexes", "repair", "a.indexes.json"]).ends_with(3),
        terminal.run(&["indexes", "check", "a.indexes.json"]).ends_with(0),
        terminal.run(&["indexes", "check", "dump"]).ends_with(4),
    ];
    snapshot("indexes-unbuildable", &runs);
}

#[test]
fn junk_in_the_index_on_id_is_named_and_taken_out_of_files() {
    let terminal = Terminal::new();
    let of_id = r#"{"v":1,"key":{"_id":1},"name":"_id_","safe":null}"#;
    fs::create_dir_all(terminal.path("dump/shop")).unwrap();
    terminal.write("dump/shop/a.metadata.json", format!(r#"{{"indexes":[{of_id}]}}"#));
    let sidecar = format!(r#"{{"sidecar":1,"collections":[{{"namespace":"shop.a","indexes":[{{"spec":{of_id}}}]}}]}}"#);
    terminal.write("a.indexes.json", sidecar);
    let mut runs = Vec::new();
    for place in ["dump", "a.indexes.json"] {
        runs.push(terminal.run(&["indexes", "check", place]).ends_with(4));
        runs.push(terminal.run(&["indexes", "repair", place]).ends_with(0));
        terminal.run(&["indexes", "check", place]).ends_with(0);
    }
    let text = String::from_utf8(terminal.read("dump/shop/a.metadata.json")).unwrap();
    assert_eq!(text, r#"{"indexes":[{"v":{"$numberInt":"1"},"key":{"_id":{"$numberInt":"1"}},"name":"_id_"}]}"#);
    snapshot("indexes-of-id", &runs);
}

#[test]
fn a_metadata_file_that_is_left_out_stops_nothing() {
    let terminal = Terminal::new();
    fs::create_dir_all(terminal.path("dump/shop")).unwrap();
    terminal.write("dump/shop/good.metadata.json", metadata("good", ""));
    terminal.write("dump/shop/torn.metadata.json", "{\"indexes\":[");
    terminal
        .write("dump/shop/twice.metadata.json", "{\"indexes\":[{\"key\":{\"a\":1},\n\"name\":\"a\",\"name\":\"b\"}]}");
    let check = |selection: &[&str]| terminal.run(&[&["indexes", "check", "dump"][..], selection].concat());
    let runs = [
        check(&["--include", "*.good"]).ends_with(0),
        check(&["--exclude", "shop.t*"]).ends_with(0),
        check(&["--exclude", "*.torn"]).ends_with(1),
        check(&[]).ends_with(1),
        terminal.run(&["indexes", "repair", "dump", "--include", "shop.good"]).ends_with(0),
    ];
    snapshot("indexes-left-out", &runs);
}

#[tokio::test]
async fn what_a_repair_is_for_is_said_of_files_and_known_of_servers() {
    let (terminal, (_turn, set)) = (Terminal::new(), set(Release::V4_2_6).await);
    let (side, uri) = (Side::new(set, "cli_indexes_for"), uri(set, "cli_indexes_for"));
    fill(&side, &[doc! { "key": { "at": "geoHaystack", "kind": 1 }, "name": "hay", "bucketSize": 1 }, plain_b()]).await;
    terminal.run(&["dump", &uri, "a.tlz"]).ends_with(0);
    let has_hay = |built: bool| {
        let text = String::from_utf8(terminal.read("a.indexes.json")).unwrap();
        let (built_ones, _) = text.split_once("\"not_built\"").unwrap_or((&text, ""));
        assert_eq!(built_ones.contains("\"hay\""), built, "{text}");
    };
    has_hay(false);
    terminal.run(&["indexes", "repair", "a.tlz", "--target-version", "4.2.6"]).ends_with(0);
    has_hay(true);
    let sidecar = ["indexes", "repair", "a.indexes.json", "--target-version", "5.0.4"];
    terminal.run(&sidecar).ends_with(3);
    has_hay(false);
    let other = ["indexes", "repair", &uri, "--yes", "--target-version", "6.0.5"];
    let own = ["indexes", "repair", &uri, "--yes", "--target-version", "4.2.6"];
    snapshot("indexes-target-version", &[terminal.run(&other).ends_with(2), terminal.run(&own).ends_with(0)]);
}

#[test]
fn a_directory_of_mongodump_is_checked_and_repaired() {
    let terminal = Terminal::new();
    const BAD: &str =
        r#",{"v":{"$numberInt":"2"},"key":{"a":true},"name":"a_1","safe":null,"unique":{"$numberInt":"1"}}"#;
    const GOOD: &str = r#",{"v":{"$numberInt":"2"},"key":{"g":{"$numberInt":"1"}},"name":"g_1","background":true}"#;
    const TWICE: &str = r#",{"key":{"g":1.0},"name":"g again"}"#;
    const HAYSTACK: &str = r#",{"v":2,"key":{"h":"geoHaystack","x":1},"name":"h","bucketSize":1}"#;
    let long = format!("n {}", "é".repeat(60));
    let cut = format!("n+{}%24{}", "%C3%A9".repeat(34), "x".repeat(27));
    fs::create_dir_all(terminal.path("dump/shop")).unwrap();
    fs::create_dir_all(terminal.path("dump/other")).unwrap();
    let files = [
        ("dump/shop/orders.metadata.json".to_owned(), metadata("orders", &[GOOD, BAD, TWICE].concat()).into_bytes()),
        (format!("dump/shop/{cut}.metadata.json.gz"), compressed(&metadata(&long, BAD))),
        ("dump/other/good.metadata.json".to_owned(), metadata("good", GOOD).into_bytes()),
        ("dump/other/zip.metadata.json.gz".to_owned(), compressed(&metadata("zip", GOOD))),
        ("dump/other/places.metadata.json".to_owned(), metadata("places", HAYSTACK).into_bytes()),
    ];
    for (name, bytes) in &files {
        terminal.write(name, bytes);
    }
    // Only what is pointed at is changed, not what points.
    fs::create_dir(terminal.path("real")).unwrap();
    terminal.write("real/linked", metadata("linked", BAD));
    let link = terminal.path("dump/shop/linked.metadata.json");
    std::os::unix::fs::symlink("../../real/linked", &link).unwrap();
    let run = |arguments: &[&str], code: i32| terminal.run(&[&["indexes"], arguments].concat()).ends_with(code);
    let runs = vec![
        run(&["check", "dump", "-v"], 4),
        run(&["check", "dump/other"], 4),
        run(&["check", "dump", "--target-version", "4.2.6", "--include", "other.*"], 0),
        run(&["check", "dump/other/places.metadata.json"], 4),
        run(&["repair", "dump", "--include", "shop.*"], 0),
        run(&["repair", "dump"], 3),
        run(&["check", "dump/shop"], 0),
    ];
    for (name, bytes) in &files[2..] {
        assert_eq!(terminal.read(name), *bytes, "{name}");
    }
    let clean = r#",{"v":{"$numberInt":"2"},"key":{"a":{"$numberInt":"1"}},"name":"a_1","unique":true}"#;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    assert_eq!(text(terminal.read(&files[0].0)), metadata("orders", &[GOOD, clean].concat()));
    assert_eq!(text(terminal.read("real/linked")), metadata("linked", clean));
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    let zipped = terminal.shell(&format!("gunzip -c 'dump/shop/{cut}.metadata.json.gz'")).ends_with(0);
    assert_eq!(zipped.out(), metadata(&long, clean));
    assert_eq!(fs::read_dir(terminal.path("dump/shop")).unwrap().count(), 3);
    snapshot("indexes-mongodump", &runs);
}

#[test]
fn what_holds_no_indexes_is_told_by_what_it_is() {
    let terminal = Terminal::new();
    fs::create_dir_all(terminal.path("empty")).unwrap();
    terminal.write("notes.json", "{}").write("notes.txt", "notes").write("a.metadata.json", "{\"indexes\":[{]}");
    terminal.write("a.indexes.json", "{\"sidecar\": 1").write("b.tlz", "").write("m", [0x6d, 0xe2, 0x99, 0x81]);
    let run = |place: &str| terminal.run(&["indexes", "check", place]);
    let mut runs = vec![run("notes.json").ends_with(2), run("a.indexes.json").ends_with(2)];
    runs.extend(
        ["missing", "empty", "notes.txt", "a.metadata.json", "b.tlz", "m"].map(|place| run(place).ends_with(1)),
    );
    runs.push(terminal.run(&["indexes", "check", "empty", "--target-version", "six"]).ends_with(2));
    snapshot("indexes-nowhere", &runs);
}

#[tokio::test]
async fn a_reader_checks_and_is_told_what_a_repair_needs() {
    let (set, terminal) = (guarded().await, Terminal::new());
    let checked = terminal.run(&["indexes", "check", &set.uri("reader", "/shop")]).ends_with(0);
    let nobody = terminal.run(&["indexes", "check", &set.uri("nobody", "/shop")]).ends_with(1);
    let finder = terminal.run(&["indexes", "check", &set.uri("finder", "/shop")]).ends_with(3);
    snapshot("indexes-reader", &[checked, nobody, finder]);
}

/// 5.0 cannot list them, and shows them to few.
#[tokio::test]
async fn where_the_specs_can_be_read_is_said_to_whoever_may_not() {
    let mut options = ReplicaSetOptions::new(binary(Release::V5_0_4).await);
    options.root = Some(RootUser::new("root", PASSWORD));
    let (set, terminal) = (ReplicaSet::start(&options).await.unwrap(), Terminal::new());
    fill(&Side::new(&set, "shop"), &[unique_a(), plain_b()]).await;
    let admin = set.client().await.unwrap().database("admin");
    let read = doc! { "role": "read", "db": "shop" };
    for (user, roles) in [
        ("reader", bson::bson!([read.clone()])),
        ("monitor", bson::bson!([read.clone(), { "role": "clusterMonitor", "db": "admin" }])),
        ("owner", bson::bson!([{ "role": "readWrite", "db": "shop" }])),
    ] {
        admin.run_command(doc! { "createUser": user, "pwd": PASSWORD, "roles": roles }).await.unwrap();
    }
    let uri = |user: &str| set.uri().replace("root:", &format!("{user}:")).replace("/?", "/shop?authSource=admin&");
    let runs = [
        terminal.run(&["indexes", "check", &uri("reader")]).ends_with(3),
        terminal.run(&["dump", &uri("reader"), "a.tlz"]).ends_with(3),
        terminal.run(&["indexes", "check", &uri("monitor")]).ends_with(4),
        terminal.run(&["dump", &uri("monitor"), "b.tlz"]).ends_with(0),
        terminal.run(&["indexes", "repair", &uri("monitor"), "--yes"]).ends_with(3),
        terminal.run(&["indexes", "repair", &uri("owner"), "--yes"]).ends_with(3),
    ];
    let left = terminal.run(&["--json", "indexes", "check", &uri("monitor")]).ends_with(4).lines().pop().unwrap();
    assert_eq!(left["bad"].as_array().unwrap().len(), 2, "{left}");
    snapshot("indexes-privileges", &runs);
}

#[tokio::test]
async fn the_reports_as_json() {
    let (terminal, (_turn, set)) = (Terminal::new(), set(Release::V6_0_5).await);
    let (side, uri) = (Side::new(set, "cli_indexes_json"), uri(set, "cli_indexes_json"));
    fill(
        &side,
        &[unique_a(), doc! { "key": { "x": 1 }, "name": "x", "partialFilterExpression": { "x": Bson::Int32(1) } }],
    )
    .await;
    let check = terminal.run(&["--json", "indexes", "check", &uri]).ends_with(4);
    let summary = check.lines().pop().unwrap();
    assert_eq!(summary["bad"][0]["repairs"][0]["field"], "safe");
    snapshot_text("json-indexes-check", &schema(&summary));
    let repair = terminal.run(&["--json", "indexes", "repair", &uri, "--yes"]).ends_with(0);
    snapshot_text("json-indexes-repair", &schema(&repair.lines().pop().unwrap()));
    assert_eq!((check.stderr.as_str(), repair.stderr.as_str()), ("", ""));
}

#[tokio::test]
async fn a_server_without_bad_indexes_is_left_alone() {
    let (terminal, uri) = (Terminal::new(), shop("cli_indexes_good").await);
    let checked = terminal.run(&["indexes", "check", &uri]).ends_with(0);
    assert!(redacted(checked.out()).contains("none of 3 indexes is bad, in 2 collections"), "{checked}");
    terminal.run(&["indexes", "repair", &uri, "--yes"]).ends_with(0).says("no bad index was found");
    let orders = super::data::client().await.database("cli_indexes_good").collection::<bson::Document>("orders");
    assert_eq!(orders.count_documents(doc! {}).await.unwrap(), ORDERS);
}
