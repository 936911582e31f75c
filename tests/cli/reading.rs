//! How a dump reads, if somebody says it: in how many parts, and from which members.

use mongodb::bson::{Document, doc};
use transload::sandbox::{Release, ReplicaSet};

use super::{
    data::{shop, uri},
    terminal::Terminal,
};
use crate::{
    copy::Side,
    odd_documents::numbered,
    servers::{shared, three_members},
};

/// About 2 MB of documents.
async fn fill(side: &Side<'_>) {
    let text = "x".repeat(1000);
    let document = |n| {
        numbered(n, |document| {
            document.string("text", &text);
        })
    };
    side.insert("items", &(0..2000).map(document).collect::<Vec<_>>()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collection_is_read_in_as_many_parts_as_one_says() {
    let set = shared(Release::V6_0_5).await;
    let side = Side::new(set, "cli_parts");
    fill(&side).await;
    let (terminal, uri) = (Terminal::new(), uri(set, "cli_parts"));
    for (parts, least, most) in [("1", 1, 1), ("8", 8, 8), ("4096", 20, 32)] {
        let ran = terminal.run(&["dump", &uri, "a.tlz", "--force", "--json", "--parts", parts]).ends_with(0);
        let summary = ran.lines().pop().unwrap();
        assert_eq!(summary["documents"], 2000);
        let found = summary["namespaces"][0]["parts"].as_u64().unwrap();
        assert!((least..=most).contains(&found), "{found} parts, not {parts}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_and_a_restore_go_at_the_rate_that_one_says() {
    let set = shared(Release::V6_0_5).await;
    let side = Side::new(set, "cli_rate");
    fill(&side).await;
    let (terminal, uri) = (Terminal::new(), uri(set, "cli_rate"));
    // 2000 documents of 1 kB.
    for rate in ["1000docs", "1MB"] {
        let (archive, renamed) = (format!("{rate}.tlz"), format!("cli_rate.*=cli_rate_{rate}.*"));
        let dumped = terminal.run(&["dump", &uri, &archive, "--max-rate", rate]).ends_with(0);
        let restore = ["restore", &archive, &set.uri(), "--max-rate", rate, "--rename", &renamed];
        for ran in [dumped, terminal.run(&restore).ends_with(0)] {
            assert!((1.8..10.0).contains(&ran.took.as_secs_f64()), "{ran}");
        }
    }
}

/// Lets each member write down what it is asked for in a database.
async fn watch(set: &ReplicaSet, database: &str) {
    for member in 0..set.members() {
        set.member_client(member).await.unwrap().database(database).run_command(doc! { "profile": 2 }).await.unwrap();
    }
}

/// Commands of a program of this name on the documents, of each member by its own profile.
async fn reads(set: &ReplicaSet, database: &str, name: &str) -> Vec<u64> {
    let mut counts = Vec::new();
    for member in 0..set.members() {
        let database = set.member_client(member).await.unwrap().database(database);
        let profile = database.collection::<Document>("system.profile");
        let items = format!("{}.items", database.name());
        let reads = doc! { "op": { "$in": ["query", "getmore"] }, "ns": items, "appName": name };
        counts.push(profile.count_documents(reads).await.unwrap());
    }
    counts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_reads_the_members_that_one_says() {
    let set = three_members().await;
    let side = Side::new(&set, "cli_reads");
    fill(&side).await;
    let (terminal, plain) = (Terminal::new(), uri(&set, "cli_reads"));
    let elsewhere = format!("{plain}&readPreference=secondary");
    let primary = set.primary().await.unwrap();
    watch(&set, "cli_reads").await;
    let runs = [
        (&plain, &["--read-preference", "secondary"][..], false),
        (&plain, &["--read-preference", "secondary", "--consistent"], false),
        (&plain, &["--read-preference", "secondaryPreferred,maxStalenessSeconds=90"], false),
        (&plain, &["--read-preference", "secondary", "--read-order", "natural"], false),
        (&elsewhere, &["--read-preference", "primary"], true),
        (&elsewhere, &["--read-preference", "primaryPreferred", "--consistent"], true),
    ];
    for (run, (uri, preference, wants_primary)) in runs.into_iter().enumerate() {
        let name = format!("run{run}");
        let uri = format!("{uri}&appName={name}");
        let arguments = ["dump", &uri, "a.tlz", "--force", "--include", "cli_reads.items", "--parts", "8"];
        terminal.run(&[&arguments[..], preference].concat()).ends_with(0);
        let counts = reads(&set, "cli_reads", &name).await;
        let of_primary = counts[primary];
        let of_secondaries = counts.iter().sum::<u64>() - of_primary;
        let (read, unread) = if wants_primary { (of_primary, of_secondaries) } else { (of_secondaries, of_primary) };
        assert!(read >= 8 && unread == 0, "{preference:?}: {counts:?}, of which {primary} is the primary");
    }
    // No member has such a tag.
    let wait = format!("{plain}&serverSelectionTimeoutMS=500");
    let nobody = ["dump", &wait, "b.tlz", "--retry-for", "0", "--read-preference", "secondary,dc:nowhere"];
    terminal.run(&nobody).ends_with(1);
    assert!(!terminal.has("b.tlz"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_read_preference_and_no_rate_is_refused() {
    let (terminal, uri) = (Terminal::new(), shop("cli_no_reads").await);
    for (flag, value, says) in [
        ("--read-preference", "primary,dc:east", "there is one primary"),
        ("--read-preference", "sometimes", "is no mode of reading; wanted: primary, "),
        ("--read-order", "sideways", "is no order of reading; wanted: auto, id or natural"),
        ("--max-rate", "fast", "bytes a second, as 20MB or 16MiB, or documents a second, as 5000docs"),
        ("--parts", "0", "0 is not in 1..=4096"),
    ] {
        terminal.run(&["dump", &uri, "a.tlz", flag, value]).ends_with(2).says(says);
    }
    assert!(!terminal.has("a.tlz"));
}
