//! A repair that is killed between dropping an index and building it: the same command again is the whole remedy.

use std::{fs, thread::sleep, time::Duration};

use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};
use rustix::process::Signal;
use transload::sandbox::{Release, ReplicaSet};

use super::{
    signals::{send, until_it_listens},
    terminal::{Ran, Terminal, finish, snapshot},
};
use crate::{
    copy::Side,
    eventually::eventually,
    indexes::{fill, lenient, plain_b, set, unique_a},
};

fn uri(set: &ReplicaSet, database: &str) -> String {
    super::data::uri(set, database)
}

/// The journals in the directory.
fn journals(terminal: &Terminal) -> Vec<String> {
    let names = fs::read_dir(terminal.path("")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("transload-repair-")).collect()
}

/// The indexes; none while the server cannot list them, because of one of them.
async fn names(side: &Side<'_>) -> Vec<String> {
    let orders = side.open().await.collection::<Document>("orders");
    let mut names = orders.list_index_names().await.unwrap_or_default();
    names.sort();
    names
}

/// Builds fail from the one after the first `skip` on, in a way that is tried again: the repair waits there.
async fn hold(side: &Side<'_>, skip: i32) {
    // 4.2.6 cannot tell one client from another.
    let data = doc! { "failCommands": ["createIndexes"], "errorCode": 189 };
    let mode = if skip == 0 { bson::bson!("alwaysOn") } else { bson::bson!({ "skip": skip }) };
    side.set.fail_point(doc! { "configureFailPoint": "failCommand", "mode": mode, "data": data }).await.unwrap();
}

/// Kills a repair once the server has no index of this name.
async fn cut(terminal: &Terminal, side: &Side<'_>, builds: i32, index: &str) {
    let uri = uri(side.set, side.database);
    hold(side, builds).await;
    let repair = terminal.command(&["indexes", "repair", &uri, "--yes"]).spawn().unwrap();
    for _ in 0..1000 {
        let names = names(side).await;
        if !names.is_empty() && !names.contains(&index.to_owned()) {
            break;
        }
        sleep(Duration::from_millis(20));
    }
    send(&repair, Signal::KILL);
    finish(repair, "transload indexes repair URI --yes").ends_with(1009);
    side.fail_no_more().await;
    assert!(!names(side).await.contains(&index.to_owned()));
    assert_eq!(journals(terminal).len(), 1);
}

#[tokio::test]
async fn a_repair_that_is_killed_is_finished_by_the_same_command() {
    let (terminal, (_turn, set)) = (Terminal::new(), set(Release::V4_2_6).await);
    let mut runs: Vec<Ran> = Vec::new();
    for (database, spec, builds, index, between) in [
        ("cli_cut_plain", plain_b(), 1, "b_1", vec!["_id_"]),
        ("cli_cut_unique", unique_a(), 2, "a_1", vec!["_id_", "transload_guard_a_1"]),
    ] {
        let side = Side::new(set, database);
        let uri = uri(set, database);
        fill(&side, &[spec]).await;
        cut(&terminal, &side, builds, index).await;
        assert_eq!(names(&side).await, between);
        runs.push(terminal.run(&["indexes", "check", &uri]).ends_with(4));
        runs.push(terminal.run(&["indexes", "repair", &uri, "--yes"]).ends_with(0));
        assert_eq!(names(&side).await, ["_id_", index]);
        assert_eq!(journals(&terminal), Vec::<String>::new());
        runs.push(terminal.run(&["indexes", "check", &uri]).ends_with(0));
    }
    snapshot("indexes-cut", &runs);
}

#[tokio::test]
async fn a_repair_is_killed_more_than_once() {
    let (terminal, (_turn, set)) = (Terminal::new(), set(Release::V4_2_6).await);
    let side = Side::new(set, "cli_cut_twice");
    fill(&side, &[unique_a(), plain_b()]).await;
    // The other one, the clean one, the guard.
    cut(&terminal, &side, 3, "a_1").await;
    // What is lost is built; then it is the turn of the other one.
    cut(&terminal, &side, 3, "b_1").await;
    assert_eq!(names(&side).await, ["_id_", "a_1", "transload_guard_a_1"]);
    let uri = uri(set, "cli_cut_twice");
    let lines = terminal.run(&["--json", "indexes", "repair", &uri, "--yes"]).ends_with(0).lines();
    let journal = lines.iter().find_map(|line| line["journal"].as_str()).unwrap();
    assert!(journal.starts_with("transload-repair-") && journal.ends_with(".indexes.json"), "{journal}");
    let summary = lines.last().unwrap();
    assert_eq!(summary["indexes"][0]["result"], "rebuilt");
    assert_eq!(summary["dropped"], serde_json::json!(["cli_cut_twice.orders transload_guard_a_1"]));
    assert_eq!((&summary["resumed"], &summary["journal"]), (&true.into(), &serde_json::Value::Null));
    assert_eq!(names(&side).await, ["_id_", "a_1", "b_1"]);
    assert_eq!(journals(&terminal), Vec::<String>::new());
}

#[tokio::test]
async fn at_whatever_moment_it_is_killed() {
    let (terminal, (_turn, set)) = (Terminal::new(), set(Release::V4_2_6).await);
    let (side, uri) = (Side::new(set, "cli_cut_anywhere"), uri(set, "cli_cut_anywhere"));
    for moment in 0..16 {
        side.open().await.drop().await.unwrap();
        fill(&side, &[unique_a(), plain_b()]).await;
        let mut repair = terminal.command(&["indexes", "repair", &uri, "--yes"]).spawn().unwrap();
        while journals(&terminal).is_empty() && repair.try_wait().unwrap().is_none() {
            sleep(Duration::from_millis(1));
        }
        sleep(Duration::from_millis(moment * 5));
        if repair.try_wait().unwrap().is_none() {
            send(&repair, Signal::KILL);
        }
        repair.wait().unwrap();
        terminal.run(&["indexes", "repair", &uri, "--yes"]).ends_with(0);
        assert_eq!(names(&side).await, ["_id_", "a_1", "b_1"], "{moment}");
        assert_eq!(journals(&terminal), Vec::<String>::new(), "{moment}");
        let mut collections = side.open().await.list_collection_names().await.unwrap();
        collections.sort();
        assert_eq!(collections, ["good", "orders"], "{moment}");
        terminal.run(&["indexes", "check", &uri]).ends_with(0);
    }
}

#[tokio::test]
async fn what_specs_were_tried_on_is_dropped_by_the_same_command_too() {
    let (terminal, (_turn, set)) = (Terminal::new(), set(Release::V4_2_6).await);
    let (side, uri) = (Side::new(set, "cli_cut_trial"), uri(set, "cli_cut_trial"));
    fill(&side, &[unique_a(), plain_b()]).await;
    hold(&side, 1).await;
    let repair = terminal.command(&["indexes", "repair", &uri, "--yes"]).spawn().unwrap();
    let collections = async || side.open().await.list_collection_names().await.unwrap();
    eventually("a spec is tried", async || collections().await.len() >= 3).await;
    send(&repair, Signal::KILL);
    finish(repair, "transload indexes repair URI --yes").ends_with(1009);
    side.fail_no_more().await;
    let summary = terminal.run(&["--json", "indexes", "check", &uri]).ends_with(4).lines().pop().unwrap();
    let left = summary["left_over"][0].as_str().unwrap();
    assert!(left.starts_with("cli_cut_trial.transload_scratch_"), "{left}");
    let address = set.uri().split("127.0.0.1:").nth(1).unwrap().split('/').next().unwrap().to_owned();
    // Another name of the same set.
    let alias = format!("mongodb://localhost:{address}/cli_cut_trial?directConnection=true");
    let repaired = terminal.run(&["--json", "indexes", "repair", &alias, "--yes"]).ends_with(0).lines().pop().unwrap();
    assert_eq!(repaired["dropped"], serde_json::json!([left]));
    assert_eq!(collections().await.len(), 2);
    assert_eq!(journals(&terminal), Vec::<String>::new());
}

#[tokio::test]
async fn what_people_have_done_meanwhile_counts() {
    let (terminal, (_turn, set)) = (Terminal::new(), set(Release::V4_2_6).await);
    let uri = uri(set, "cli_cut_meanwhile");
    let side = Side::new(set, "cli_cut_meanwhile");
    fill(&side, &[unique_a()]).await;
    cut(&terminal, &side, 2, "a_1").await;
    let journal = journals(&terminal).pop().unwrap();
    let text = terminal.read(&journal);
    // By hand, under another name.
    let by_hand = doc! { "key": { "a": 1.0 }, "name": "mine", "unique": true };
    side.run(doc! { "createIndexes": "orders", "indexes": [by_hand] }).await;
    let mut runs = vec![terminal.run(&["indexes", "repair", &uri, "--yes"]).ends_with(0)];
    assert_eq!(names(&side).await, ["_id_", "mine"]);
    assert_eq!(journals(&terminal), Vec::<String>::new());
    // Nothing is left to do but to say so; nobody need be asked.
    terminal.write(&journal, &text);
    runs.push(terminal.run(&["indexes", "repair", &uri, "--yes"]).ends_with(0));
    assert_eq!(journals(&terminal), Vec::<String>::new());
    // Another collection of this name.
    side.run(doc! { "drop": "orders" }).await;
    terminal.write(&journal, &text);
    runs.push(terminal.run(&["indexes", "repair", &uri, "--yes"]).ends_with(0));
    side.run(doc! { "create": "orders" }).await;
    terminal.write(&journal, &text);
    runs.push(terminal.run(&["indexes", "repair", &uri, "--yes"]).ends_with(0));
    assert_eq!(names(&side).await, ["_id_"]);
    assert_eq!(journals(&terminal), [format!("{journal}.old")]);
    assert_eq!(terminal.read(&format!("{journal}.old")), text);
    // Another journal, which must not take the place of what is kept.
    let other = [text.as_slice(), b"\n"].concat();
    terminal.write(&journal, &other);
    runs.push(terminal.run(&["indexes", "repair", &uri, "--yes"]).ends_with(0));
    assert_eq!(terminal.read(&format!("{journal}.old")), text);
    assert_eq!(terminal.read(&format!("{journal}.old.1")), other);
    assert_eq!(journals(&terminal).len(), 2);
    // The other collection has all that the journal lists.
    side.run(doc! { "createIndexes": "orders", "indexes": [{ "key": { "a": 1 }, "name": "a_1", "unique": true }] })
        .await;
    terminal.write(&journal, &other);
    runs.push(terminal.run(&["indexes", "repair", &uri, "--yes"]).ends_with(0));
    assert_eq!(journals(&terminal).len(), 2);
    snapshot("indexes-meanwhile", &runs);
}

#[tokio::test]
async fn a_collection_that_has_another_name_now_is_finished_under_it() {
    let mut runs = Vec::new();
    for (release, is_name_taken) in [(Release::V4_2_6, false), (Release::V5_0_4, false), (Release::V6_0_27, true)] {
        let (terminal, (_turn, set)) = (Terminal::new(), set(release).await);
        let (side, uri) = (Side::new(set, "cli_cut_renamed"), uri(set, "cli_cut_renamed"));
        fill(&side, &[unique_a()]).await;
        cut(&terminal, &side, 2, "a_1").await;
        let rename = doc! { "renameCollection": "cli_cut_renamed.orders", "to": "cli_cut_renamed.sold" };
        set.client().await.unwrap().database("admin").run_command(rename).await.unwrap();
        if is_name_taken {
            side.run(doc! { "create": "orders" }).await;
        }
        let says = "cli_cut_renamed.orders is called cli_cut_renamed.sold now";
        terminal.run(&["indexes", "check", &uri]).ends_with(4).says(says);
        runs.push(terminal.run(&["indexes", "repair", &uri, "--yes"]).ends_with(0));
        let mut names = side.open().await.collection::<Document>("sold").list_index_names().await.unwrap();
        names.sort();
        assert_eq!(names, ["_id_", "a_1"], "{release}");
        assert_eq!(journals(&terminal), Vec::<String>::new(), "{release}");
        terminal.run(&["indexes", "check", &uri]).ends_with(0);
    }
    runs.truncate(1);
    snapshot("indexes-cut-renamed", &runs);
}

/// Two releases: one that takes no two indexes of one key, and one that does if one of them alone is unique.
#[tokio::test]
async fn an_index_that_does_less_does_not_count_as_the_one_that_was_dropped() {
    let ttl_b = doc! { "v": 1, "key": { "b": 1 }, "name": "b_1", "expireAfterSeconds": 1_000_000, "w": 1 };
    let mut runs = Vec::new();
    for (release, spec, name, field, is_beside) in [
        (Release::V4_2_6, unique_a(), "a_1", "unique", false),
        (Release::V4_2_6, unique_a(), "mine", "unique", false),
        (Release::V4_2_6, ttl_b.clone(), "mine", "expireAfterSeconds", false),
        (Release::V6_0_27, unique_a(), "a_1", "unique", false),
        (Release::V6_0_27, unique_a(), "mine", "unique", true),
        (Release::V6_0_27, ttl_b, "mine", "expireAfterSeconds", false),
    ] {
        let (terminal, (_turn, set)) = (Terminal::new(), set(release).await);
        let (side, uri) = (Side::new(set, "cli_cut_less"), uri(set, "cli_cut_less"));
        side.open().await.drop().await.unwrap();
        let (index, key) = (spec.get_str("name").unwrap().to_owned(), spec.get_document("key").unwrap().clone());
        let is_unique = field == "unique";
        fill(&side, &[spec]).await;
        cut(&terminal, &side, if is_unique { 2 } else { 1 }, &index).await;
        side.run(doc! { "createIndexes": "orders", "indexes": [{ "key": key, "name": name }] }).await;
        let guarded = || async { names(&side).await.contains(&"transload_guard_a_1".to_owned()) };
        if !is_beside {
            let journal = journals(&terminal);
            let checked = terminal.run(&["--json", "indexes", "check", &uri]).ends_with(4).lines().pop().unwrap();
            assert!(
                checked["lost"][0]["reason"]
                    .as_str()
                    .unwrap()
                    .starts_with(&format!("the index {name} that is there now ")),
                "{checked}"
            );
            let repaired = terminal.run(&["indexes", "repair", &uri, "--yes"]).ends_with(3);
            assert_eq!((guarded().await, journals(&terminal)), (is_unique, journal), "{release} {name}");
            runs.push(repaired);
            side.run(doc! { "dropIndexes": "orders", "index": name }).await;
        }
        terminal.run(&["indexes", "repair", &uri, "--yes"]).ends_with(0);
        assert_eq!((guarded().await, journals(&terminal)), (false, vec![]), "{release} {name}");
        let indexes = side.open().await.run_cursor_command(doc! { "listIndexes": "orders" }).await.unwrap();
        let indexes: Vec<Document> = indexes.try_collect().await.unwrap();
        let found = indexes.iter().find(|found| found.get_str("name").unwrap() == index).unwrap();
        assert!(found.contains_key(field), "{release} {found}");
    }
    runs.truncate(3);
    snapshot("indexes-cut-less", &runs);
}

#[tokio::test]
async fn what_cannot_be_built_stays_in_the_journal_until_it_can() {
    let (terminal, (_turn, set)) = (Terminal::new(), set(Release::V4_2_6).await);
    let (side, uri) = (Side::new(set, "cli_cut_refused"), uri(set, "cli_cut_refused"));
    fill(&side, &[unique_a()]).await;
    cut(&terminal, &side, 2, "a_1").await;
    let journal = journals(&terminal).pop().unwrap();
    let orders = side.open().await.collection::<Document>("orders");
    side.run(doc! { "dropIndexes": "orders", "index": "transload_guard_a_1" }).await;
    orders.insert_one(doc! { "_id": "twice", "a": 7 }).await.unwrap();
    let refused = terminal.run(&["indexes", "repair", &uri, "--yes"]).ends_with(3);
    assert_eq!(journals(&terminal), [journal]);
    orders.delete_one(doc! { "_id": "twice" }).await.unwrap();
    let built = terminal.run(&["indexes", "repair", &uri, "--yes"]).ends_with(0);
    assert_eq!(names(&side).await, ["_id_", "a_1"]);
    snapshot("indexes-cut-refused", &[refused, built]);
}

/// Hosts are not looked up, but collections are.
#[tokio::test]
async fn a_journal_of_another_spelling_of_a_server_is_finished_and_one_of_another_server_is_told_of() {
    let (terminal, (_turn, set)) = (Terminal::new(), set(Release::V4_2_6).await);
    let (side, uri) = (Side::new(set, "cli_cut_spelled"), uri(set, "cli_cut_spelled"));
    fill(&side, &[plain_b()]).await;
    cut(&terminal, &side, 1, "b_1").await;
    let journal = journals(&terminal).pop().unwrap();
    let text = String::from_utf8(terminal.read(&journal)).unwrap();
    let server = text.lines().find(|line| line.contains("\"server\"")).unwrap();
    let uuid = text.lines().find(|line| line.contains("\"uuid\"")).unwrap();
    let spelled = |name: &str| text.replace(server, &format!("  \"server\": \"{name}\","));
    let other = "transload-repair-localhost_27017.indexes.json";
    let elsewhere = "transload-repair-elsewhere_27017.indexes.json";
    let none = format!("      \"uuid\": \"{}\",", "0123456789abcdef".repeat(2));
    terminal.write(other, spelled("localhost:27017"));
    terminal.write(elsewhere, spelled("elsewhere:27017").replace(uuid, &none));
    // A set that has these collections, and another name, has them from a copy.
    terminal.write("transload-repair-staging.indexes.json", spelled("staging/localhost:27017"));
    terminal.write("transload-repair-torn.indexes.json", "{");
    let mut runs = vec![terminal.run(&["indexes", "check", &uri]).ends_with(4)];
    fs::remove_file(terminal.path(&journal)).unwrap();
    runs.push(terminal.run(&["indexes", "check", &uri]).ends_with(4));
    let held = fs::File::open(terminal.path(other)).unwrap();
    held.lock().unwrap();
    runs.push(terminal.run(&["indexes", "repair", &uri, "--yes"]).ends_with(1));
    drop(held);
    assert_eq!((names(&side).await, journals(&terminal).len()), (vec!["_id_".to_owned()], 4));
    runs.push(terminal.run(&["indexes", "repair", &uri, "--yes"]).ends_with(0));
    assert_eq!(names(&side).await, ["_id_", "b_1"]);
    assert!(!terminal.has(other) && terminal.has(elsewhere));
    assert_eq!(terminal.read(&format!("{other}.old")), spelled("localhost:27017").into_bytes());
    runs.push(terminal.run(&["indexes", "check", &uri]).ends_with(0));
    snapshot("indexes-spelled", &runs);
}

#[tokio::test]
async fn a_journal_is_taken_for_no_sidecar() {
    let (terminal, (_turn, set)) = (Terminal::new(), set(Release::V4_2_6).await);
    let (side, uri) = (Side::new(set, "cli_cut_sidecar"), uri(set, "cli_cut_sidecar"));
    fill(&side, &[plain_b()]).await;
    terminal.run(&["dump", &uri, "a.tlz"]).ends_with(0);
    cut(&terminal, &side, 1, "b_1").await;
    let journal = journals(&terminal).pop().unwrap();
    let text = terminal.read(&journal);
    let mut runs = vec![terminal.run(&["indexes", "check", &journal]).ends_with(2)];
    runs.push(terminal.run(&["indexes", "repair", &journal]).ends_with(2));
    runs.push(terminal.run(&["restore", "a.tlz", &uri, "--drop", "--indexes", &journal]).ends_with(2));
    terminal.write("a.indexes.json", &text);
    runs.push(terminal.run(&["restore", "a.tlz", &uri, "--drop"]).ends_with(2));
    runs.push(terminal.run(&["indexes", "check", "a.tlz"]).ends_with(2));
    assert_eq!(terminal.read(&journal), text);
    snapshot("indexes-no-sidecar", &runs);
}

#[tokio::test]
async fn without_a_journal_nothing_is_dropped() {
    let (terminal, (_turn, set)) = (Terminal::new(), set(Release::V4_2_6).await);
    let (side, uri) = (Side::new(set, "cli_no_journal"), uri(set, "cli_no_journal"));
    fill(&side, &[plain_b()]).await;
    let repair = || terminal.run(&["indexes", "repair", &uri, "--yes"]);
    cut(&terminal, &side, 1, "b_1").await;
    let journal = journals(&terminal).pop().unwrap();
    let text = String::from_utf8(terminal.read(&journal)).unwrap();
    let mut runs = Vec::new();
    let server = text.lines().find(|line| line.contains("\"server\"")).unwrap();
    let (set_name, _) = server.split_once('/').unwrap();
    let other = format!("{set_name}/elsewhere:1\",");
    for bad in [&text[..text.len() / 2], &text.replace(server, ""), &text.replace(server, &other), "{}", ""] {
        terminal.write(&journal, bad);
        runs.push(repair());
        assert_eq!(terminal.read(&journal), bad.as_bytes());
    }
    fs::remove_file(terminal.path(&journal)).unwrap();
    // The index is back, bad again, and the journal has no place.
    lenient(set, "alwaysOn").await;
    side.run(doc! { "createIndexes": "orders", "indexes": [plain_b()] }).await;
    lenient(set, "off").await;
    fs::create_dir(terminal.path(&journal)).unwrap();
    runs.push(repair());
    fs::remove_dir(terminal.path(&journal)).unwrap();
    let script = format!("mkdir d && cd d && rmdir ../d && \"$T\" indexes repair '{uri}' --yes");
    runs.push(terminal.shell(&script).ends_with(1));
    // Another repair has it.
    terminal.write(&journal, &text);
    let held = fs::File::open(terminal.path(&journal)).unwrap();
    held.lock().unwrap();
    runs.push(terminal.run(&["indexes", "check", &uri]).ends_with(4));
    runs.push(repair().ends_with(1));
    drop(held);
    assert_eq!(names(&side).await, ["_id_", "b_1"]);
    repair().ends_with(0);
    assert_eq!(journals(&terminal), Vec::<String>::new());
    snapshot("indexes-no-journal", &runs);
}

/// A server does not stop a build when whoever began it is gone, and lists the index from the beginning.
#[tokio::test]
async fn a_build_that_goes_on_after_the_kill_is_waited_for() {
    for release in [Release::V4_2_6, Release::V5_0_4, Release::V6_0_27] {
        let (terminal, (_turn, set)) = (Terminal::new(), set(release).await);
        let (side, uri) = (Side::new(set, "cli_cut_build"), uri(set, "cli_cut_build"));
        fill(&side, &[unique_a()]).await;
        let hang = |mode: &str| doc! { "configureFailPoint": "hangAfterStartingIndexBuild", "mode": mode };
        // The server stops in the build of the clean index, but not in those before it.
        hold(&side, 2).await;
        let repair = terminal.command(&["indexes", "repair", &uri, "--yes"]).spawn().unwrap();
        let is_guarded = async || names(&side).await == ["_id_", "transload_guard_a_1"];
        eventually("the index is guarded", is_guarded).await;
        set.fail_point(hang("alwaysOn")).await.unwrap();
        side.fail_no_more().await;
        eventually("it is being built", async || names(&side).await.contains(&"a_1".to_owned())).await;
        send(&repair, Signal::KILL);
        finish(repair, "transload indexes repair URI --yes").ends_with(1009);
        let says = "cli_cut_build.orders a_1 is being built still: a repair waits for it";
        terminal.run(&["indexes", "check", &uri]).ends_with(4).says(says);
        let mut again = terminal.command(&["indexes", "repair", &uri, "--yes"]).spawn().unwrap();
        sleep(Duration::from_millis(1500));
        assert!(again.try_wait().unwrap().is_none(), "{release}");
        assert_eq!(names(&side).await, ["_id_", "a_1", "transload_guard_a_1"], "{release}");
        let mut stopped = terminal.command(&["indexes", "repair", &uri, "--yes"]).spawn().unwrap();
        until_it_listens(&stopped);
        sleep(Duration::from_millis(500));
        assert!(stopped.try_wait().unwrap().is_none(), "{release}");
        send(&stopped, Signal::INT);
        finish(stopped, "transload indexes repair URI --yes").ends_with(130);
        set.fail_point(hang("off")).await.unwrap();
        finish(again, "transload indexes repair URI --yes").ends_with(0);
        assert_eq!(names(&side).await, ["_id_", "a_1"], "{release}");
        assert_eq!(journals(&terminal), Vec::<String>::new(), "{release}");
    }
}
