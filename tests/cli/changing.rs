//! Collections that change under a dump: it fails and says why, where a short copy would look whole.

use std::time::Duration;

use mongodb::bson::{Document, doc};
use regex::Regex;
use transload::sandbox::{Release, ReplicaSet};

use super::{
    data::uri,
    terminal::{Ran, Terminal, finish, redacted, snapshot_text},
};
use crate::{
    copy::Side,
    held_reads::{HeldReads, Hold},
    odd_documents::numbered,
    servers::own,
};

/// For what a test does in the middle of a dump, on a loaded machine.
const PAUSE: Duration = Duration::from_secs(8);
const CURSOR_NOT_FOUND: i32 = 43;

/// Documents of 3 MB: each is a reply of its own, and no more than three of them fit into the capped collection.
async fn fill(side: &Side<'_>, ids: std::ops::Range<i32>) {
    let text = "x".repeat(3_000_000);
    let large = |id| {
        numbered(id, |doc| {
            doc.string("text", &text);
        })
    };
    side.insert("many", &ids.map(large).collect::<Vec<_>>()).await;
}

/// A dump of three documents, with `change` after the first of them. The cursor may be lost as well.
async fn dumped(
    set: &ReplicaSet,
    database: &str,
    create: Document,
    lost: bool,
    change: impl AsyncFnOnce(Side<'_>),
) -> Ran {
    let (terminal, side) = (Terminal::new(), Side::new(set, database));
    side.run(create).await;
    fill(&side, 0..3).await;
    let hold = if lost { Hold::AndFail(PAUSE, CURSOR_NOT_FOUND) } else { Hold::For(PAUSE) };
    let reads = HeldReads::new(set, database, 1, hold).await;
    let source = format!("{}&appName={database}", uri(set, database));
    let dump = terminal.command(&["dump", &source, "a.tlz"]).spawn().unwrap();
    reads.begun(1).await;
    change(side).await;
    let ran = finish(dump, "transload dump URI a.tlz").ends_with(1);
    assert!(terminal.has("a.tlz.partial") && !terminal.has("a.tlz"));
    ran
}

/// How many documents had come by then is chance.
fn shown(runs: &[Ran]) -> String {
    let documents = Regex::new(r"\d+ documents in N bytes").unwrap();
    let one = |run: &Ran| documents.replace(&redacted(&run.to_string()), "N documents in N bytes").into_owned();
    runs.iter().map(one).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn a_capped_collection_that_rolls_over_under_a_dump_is_no_short_copy() {
    let set = own(Release::V6_0_5).await;
    let capped = doc! { "create": "many", "capped": true, "size": 10 << 20 };
    let mut runs = Vec::new();
    for (database, lost) in [("cli_rolled", false), ("cli_rolled_lost", true)] {
        let roll = async |side: Side<'_>| {
            fill(&side, 3..6).await;
            assert_eq!(side.documents("many").await.len(), 3, "it did not roll over");
        };
        runs.push(dumped(&set, database, capped.clone(), lost, roll).await);
    }
    snapshot_text("rolled-over", &shown(&runs));
}

#[tokio::test]
async fn a_collection_that_is_dropped_under_a_dump_is_no_short_copy() {
    let set = own(Release::V6_0_5).await;
    let mut runs = Vec::new();
    for (database, lost) in [("cli_dropped", false), ("cli_dropped_lost", true)] {
        let drop = async |side: Side<'_>| {
            side.run(doc! { "drop": "many" }).await;
        };
        runs.push(dumped(&set, database, doc! { "create": "many" }, lost, drop).await);
    }
    snapshot_text("dropped", &shown(&runs));
}
