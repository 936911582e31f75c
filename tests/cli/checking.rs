//! `check`: what would stop a move is found out before anything is written.

mod contents;
mod ends;
mod users;

use bson::{Bson, Document, doc};
use serde_json::Value;
use transload::sandbox::{Release, ReplicaSet, ReplicaSetOptions};

use super::{
    data::{client, empty, shop, uri},
    json::schema,
    terminal::{Ran, Terminal, snapshot_text},
};
use crate::{
    bad_indexes::careless,
    copy::Side,
    router::{Router, error},
    servers::{binary, guarded, own, shared},
};

/// All lines of a run.
fn findings(ran: &Ran) -> Vec<Value> {
    let summary = ran.lines().into_iter().find(|line| line["type"] == "summary").unwrap_or_else(|| panic!("{ran}"));
    summary["findings"].as_array().unwrap().clone()
}

/// The findings of a run: `verdict side what`, each once.
fn verdicts(ran: &Ran) -> Vec<String> {
    let of = |finding: &Value, name: &str| finding[name].as_str().unwrap().to_owned();
    let line = |finding: &Value| ["verdict", "side", "what"].map(|name| of(finding, name)).join(" ");
    let mut all: Vec<String> = findings(ran).iter().map(line).collect();
    all.dedup();
    all
}

fn found(ran: &Ran, what: &str) -> String {
    findings(ran).iter().filter(|finding| finding["what"] == what).map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_move_that_can_begin() {
    let terminal = Terminal::new();
    let (source, target) = (shop("cli_check").await, uri(shared(Release::V6_0_27).await, "cli_check_copy"));
    let before = client().await.database("cli_check").run_command(doc! { "dbHash": 1 }).await.unwrap();
    let rename = ["--rename", "cli_check.*=cli_check_copy.*"];
    let ran = terminal.run(&[&["check", &source, &target, "--json"][..], &rename].concat()).ends_with(0);
    let summary = ran.lines().into_iter().find(|line| line["type"] == "summary").unwrap();
    snapshot_text("json-check", &schema(&summary));
    assert_eq!(
        verdicts(&ran),
        [
            "ok source reachable",
            "ok source authenticated",
            "ok source version",
            "ok source changes told",
            "ok source reads",
            "ok source topology",
            "ok source privileges",
            "ok source namespaces",
            "ok source indexes",
            "ok source majority reads",
            "ok source change streams",
            "ok source oplog",
            "ok source members",
            "ok target reachable",
            "ok target authenticated",
            "ok target version",
            "ok target topology",
            "ok target features",
            "ok target writes",
            "ok target members",
            "ok target privileges",
            "ok target names",
            "ok here disk",
        ]
    );
    let after = client().await.database("cli_check").run_command(doc! { "dbHash": 1 }).await.unwrap();
    assert_eq!(before.get("collections"), after.get("collections"));
    let copy = shared(Release::V6_0_27).await.client().await.unwrap().database("cli_check_copy");
    let is_untouched = copy.list_collection_names().await.unwrap().is_empty();
    assert!(is_untouched && std::fs::read_dir(terminal.path(".")).unwrap().count() == 0);
    let text = terminal.run(&[&["check", &source, &target][..], &rename].concat()).ends_with(0);
    let is_well = |line: &str| line.starts_with("ok ") || line.ends_with(": a move can begin");
    assert!(text.stderr.lines().count() == 24 && text.stderr.lines().all(is_well), "{text}");
}

#[tokio::test]
async fn what_would_stop_a_move_is_refused_with_what_to_do() {
    let terminal = Terminal::new();
    let source = shop("cli_check_refused").await;
    // The target has one of the names, and the source is the target.
    let taken = shop("cli_check_taken").await;
    let rename = ["--rename", "cli_check_refused.*=cli_check_taken.*"];
    let ran = terminal.run(&[&["check", &source, &taken, "--json"][..], &rename].concat()).ends_with(1);
    assert!(found(&ran, "names").contains("2 are there already") && found(&ran, "names").contains("--drop"), "{ran}");
    let ran = terminal.run(&["check", &source, &source, "--json"]).ends_with(1);
    assert!(found(&ran, "names").contains("it is the source"), "{ran}");
    // Nobody tells of a standalone's changes.
    let options = ReplicaSetOptions { standalone: true, ..ReplicaSetOptions::new(binary(Release::V6_0_5).await) };
    let alone = ReplicaSet::start(&options).await.unwrap();
    alone.client().await.unwrap().database("shop").collection("a").insert_one(doc! { "_id": 1 }).await.unwrap();
    let ran = terminal.run(&["check", &alone.uri(), "--json"]).ends_with(1);
    assert!(verdicts(&ran).contains(&"refused source topology".to_owned()), "{ran}");
    terminal
        .run(&["dump", &alone.uri(), "a.tlz", "--consistent"])
        .ends_with(2)
        .says("a standalone server has no cluster time");
    assert!(!terminal.has("a.tlz.partial"));
    assert!(
        terminal
            .run(&["check", &empty("cli_check_nothing").await])
            .ends_with(1)
            .stderr
            .contains("there is no database")
    );
}

#[tokio::test]
async fn bad_indexes_time_series_and_older_targets_are_told() {
    let terminal = Terminal::new();
    let set = careless(Release::V4_2_6).await;
    let old = set.client().await.unwrap().database("cli_check_old");
    old.collection::<Document>("users").insert_one(doc! { "_id": 1 }).await.unwrap();
    let bad = doc! { "v": 1, "key": { "a": 1 }, "name": "a_1", "safe": Bson::Null };
    old.run_command(doc! { "createIndexes": "users", "indexes": [bad] }).await.unwrap();
    let ran = terminal.run(&["check", &uri(&set, "cli_check_old"), "--json"]).ends_with(0);
    assert!(found(&ran, "indexes").contains("1 of 2 are bad: cli_check_old.users a_1"), "{ran}");
    let new = client().await.database("cli_check_new");
    new.run_command(doc! { "create": "weather", "timeseries": { "timeField": "t" } }).await.unwrap();
    let clustered = doc! { "key": { "_id": 1 }, "unique": true };
    new.run_command(doc! { "create": "near", "clusteredIndex": clustered }).await.unwrap();
    let (new, older) = (empty("cli_check_new").await, uri(&set, "cli_check_new"));
    let ran = terminal.run(&["check", &new, &older, "--json"]).ends_with(1);
    assert!(found(&ran, "namespaces").contains("whose changes no server tells: cli_check_new.weather"), "{ran}");
    let features = found(&ran, "features");
    for words in
        ["it takes no time series: cli_check_new.weather", "it takes no clustered collections: cli_check_new.near"]
    {
        assert!(features.contains(words), "{words}: {ran}");
    }
    assert!(features.contains("MongoDB 5.0 or later") && features.contains("MongoDB 5.3 or later"), "{ran}");
    // It is as the check says.
    terminal.run(&["dump", &new, "new.tlz"]);
    for collection in ["weather", "near"] {
        terminal.run(&["restore", "new.tlz", &older, "--include", collection]).ends_with(1).says("failed to create");
    }
    assert!(found(&ran, "version").contains("is older than the source's"), "{ran}");
}

/// The router answers while the command runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_sharding_a_target_takes_is_named_with_its_role() {
    let terminal = Terminal::new();
    let guarded = guarded().await;
    let router = Router::before(guarded.set(), |command| match command.keys().next().map(String::as_str) {
        Some("balancerStatus") => Some(doc! { "mode": "off", "ok": 1.0 }),
        _ => None,
    })
    .await;
    let source = shop("cli_check_sharding").await;
    let user = |name: &str| format!("mongodb://{name}:{}@{}/?authSource=admin", super::PASSWORD, router.address());
    let rename = ["--rename", "cli_check_sharding.*=copies.*", "--shard-key", "cli_check_sharding.orders=customer"];
    let ran = terminal.run(&[&["check", &source, &user("writer"), "--json"][..], &rename].concat()).ends_with(1);
    let privileges = found(&ran, "privileges");
    for words in
        ["copies: the user lacks enableSharding", "splitChunk, moveChunk", "the role 'clusterManager' on 'admin'"]
    {
        assert!(privileges.contains(words), "{words}: {ran}");
    }
    assert!(found(&ran, "sharding").contains("cli_check_sharding.orders by {customer: 1}"), "{ran}");
    let ran = terminal.run(&[&["check", &source, &user("root"), "--json"][..], &rename].concat()).ends_with(0);
    assert!(found(&ran, "balancer").contains("stopped"), "{ran}");
    let ran = terminal.run(&["check", &source, "--shard-key", "cli_check_sharding.orders=customer"]).ends_with(2);
    assert!(ran.stderr.contains("--shard-key: is about a target, and none is named"), "{ran}");
}

#[tokio::test]
async fn privileges_that_are_missing_are_named_with_their_roles() {
    let terminal = Terminal::new();
    let guarded = guarded().await;
    let reader = guarded.uri("reader", "/shop");
    let ran = terminal.run(&["check", &reader, "--json"]).ends_with(0);
    assert!(verdicts(&ran).contains(&"ok source privileges".to_owned()), "{ran}");
    // A reader cannot take a copy.
    let ran = terminal.run(&["check", &reader, &reader, "--rename", "shop.*=shop.copy_*", "--json"]).ends_with(1);
    let privileges = found(&ran, "privileges");
    assert!(
        privileges.contains("insert") && privileges.contains("readWrite") && privileges.contains("collMod"),
        "{ran}"
    );
    assert!(!ran.out().contains(super::PASSWORD));
    // Nobody may write there either, whatever needs no login.
    let open = shop("cli_check_guarded").await;
    let nobody = format!("mongodb://{}/?directConnection=true", guarded.address());
    let ran = terminal.run(&["check", &open, &nobody, "--json"]).ends_with(1);
    assert!(found(&ran, "authenticated").contains("the server wants a user"), "{ran}");
    // What the target's connection string names is all that goes there.
    let ran = terminal.run(&["check", &open, &empty("cli_check_other").await, "--json"]).ends_with(1);
    assert!(found(&ran, "names").contains("nothing goes to 'cli_check_other'"), "{ran}");
}

/// What is wanted of the cutover, and of what comes after it.
#[tokio::test]
async fn wishes_that_cannot_be_fulfilled_are_refused_before_the_move() {
    let terminal = Terminal::new();
    let source = shop("cli_check_wishes").await;
    let old = uri(shared(Release::V4_2_6).await, "cli_check_wishes");
    let all = ["--fence-source", "--reverse-capture", "--events-to", "target", "--json"];
    let ran = terminal.run(&[&["check", &source, &old][..], &all].concat()).ends_with(0);
    assert!(found(&ran, "fence").contains("it can be told"), "{ran}");
    assert!(found(&ran, "events").contains("they go to cli_check_wishes._cdc"), "{ran}");
    let of_target = |one: &&String| one.starts_with("ok target change streams");
    assert_eq!(verdicts(&ran).iter().filter(of_target).count(), 1, "{ran}");
    let copy = empty("cli_check_wishes_2").await;
    let rename = ["--rename", "cli_check_wishes.*=cli_check_wishes_2.*"];
    let ran = terminal.run(&[&["check", &source, &copy][..], &all, &rename].concat()).ends_with(1);
    assert!(found(&ran, "events").contains("the target is the source itself"), "{ran}");
    let set = shared(Release::V4_2_6).await.client().await.unwrap().database("cli_check_unfenced");
    set.collection("a").insert_one(doc! { "_id": 1 }).await.unwrap();
    let unfenced = uri(shared(Release::V4_2_6).await, "cli_check_unfenced");
    let ran = terminal.run(&["check", &unfenced, "--fence-source", "--json"]).ends_with(1);
    assert!(found(&ran, "fence").contains("MongoDB 4.2.6 cannot be told to refuse writes"), "{ran}");
    let reader = guarded().await.uri("reader", "/shop");
    let ran = terminal.run(&["check", &reader, "--fence-source", "--json"]).ends_with(1);
    let fence = found(&ran, "fence");
    assert!(fence.contains("lacks setUserWriteBlockMode") && fence.contains("'hostManager' on 'admin'"), "{ran}");
    assert!(found(&ran, "load").contains("clusterMonitor"), "{ran}");
}

/// The scripts' check never sent a thing, and passed against a port that nobody listened on (see `ends`).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn majority_reads_that_fail_are_refused_in_each_database() {
    let terminal = Terminal::new();
    let set = own(Release::V6_0_5).await;
    let (source, side) = (uri(&set, "cli_check_majority"), Side::new(&set, "cli_check_majority"));
    side.open().await.collection("orders").insert_one(doc! { "_id": 1 }).await.unwrap();
    side.fail(&["find"], doc! { "times": 1 }, doc! { "errorCode": 148 }).await;
    let ran = terminal.run(&["check", &format!("{source}&appName=cli_check_majority"), "--json"]).ends_with(1);
    assert!(verdicts(&ran).contains(&"refused source majority reads".to_owned()), "{ran}");
    // A stream of all databases stands still with any of them.
    set.client()
        .await
        .unwrap()
        .database("cli_check_still")
        .collection("a")
        .insert_one(doc! { "_id": 1 })
        .await
        .unwrap();
    let router = Router::before(&set, |command| {
        let is_majority = command
            .get_document("readConcern")
            .is_ok_and(|read| read.get_str("level").is_ok_and(|level| level == "majority"));
        match command.keys().next().map(String::as_str) {
            Some("balancerStatus") => Some(doc! { "mode": "off", "ok": 1.0 }),
            Some("find") if is_majority && command.get_str("$db").is_ok_and(|db| db == "cli_check_still") => {
                Some(error(148, "ReadConcernMajorityNotEnabled", "no"))
            }
            _ => None,
        }
    })
    .await;
    let ran = terminal.run(&["check", &router.uri(""), "--json"]).ends_with(1);
    let reads = found(&ran, "majority reads");
    assert!(reads.contains("read cli_check_still.a as") && reads.contains("answered: cli_check_majority"), "{ran}");
    let oplog = found(&ran, "oplog");
    assert!(oplog.contains("through a router") && oplog.contains("rs.printReplicationInfo()"), "{ran}");
}
