//! What the program takes of memory at the worst: documents as large as they may be, and many workers.
#![cfg(target_os = "linux")]

use std::{process::Stdio, time::Duration};

use mongodb::bson::doc;
use transload::{
    document::kind,
    sandbox::{Distance, Release},
};

use super::{data::uri, terminal::Terminal};
use crate::{copy::Side, odd_documents::numbered, servers::own};

const WORKERS: &str = "64";
/// How many of the largest documents there are. Each is a part.
const LARGE: i32 = 40;
/// A document has 16 MiB at most.
const LARGEST: usize = (16 << 20) - 64;
/// What the program may take at its peak. Its budgets are 32 MiB of replies, which exist twice for a moment, and 32 MiB of
/// blocks, which exist twice where they do not shrink; besides these, each worker has a block of 1 MiB at most that it fills.
const MOST_MIB: u64 = 192;

/// The same of a run to which nobody has said how many workers there are to be.
const MOST_BY_DEFAULT_MIB: u64 = 152;

/// The peak of the memory of a run, in MiB.
fn peak_of(terminal: &Terminal, arguments: &[&str]) -> u64 {
    let mut child =
        terminal.command(arguments).stdout(Stdio::inherit()).stderr(Stdio::inherit()).spawn().expect("it runs");
    let path = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let status = std::fs::read_to_string(&path).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib: Option<u64> = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        peak = peak.max(kib.unwrap_or(0) >> 10);
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(child.wait().unwrap().success(), "{arguments:?}");
    peak
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_workers_with_the_largest_documents_keep_to_the_memory_of_a_few() {
    let set = own(Release::V6_0_5).await;
    let side = Side::new(&set, "memory");
    let bytes = vec![7; LARGEST];
    for n in 0..LARGE {
        let document = numbered(n, |document| {
            let len = i32::try_from(LARGEST - 64).unwrap();
            let value = [&len.to_le_bytes()[..], &[0], &bytes[..LARGEST - 64]].concat();
            document.append_element(kind::BINARY, "bytes", &value);
        });
        side.insert("large", &[document]).await;
    }
    let text = "x".repeat(1000);
    let small: Vec<_> = (0..60_000)
        .map(|n| {
            numbered(n, |document| {
                document.string("text", &text);
            })
        })
        .collect();
    side.insert("small", &small).await;

    let (terminal, uri, parallel) = (Terminal::new(), uri(&set, "memory"), ["--parallel", WORKERS]);
    for codec in ["none", "zstd:1"] {
        let arguments = ["dump", &uri, "a.tlz", "--codec", codec, "--parts", WORKERS, "--force", "--quiet"];
        let peak = peak_of(&terminal, &[&arguments[..], &parallel].concat());
        assert!(peak > 32 && peak < MOST_MIB, "{peak} MiB for a dump, {codec}");
    }
    // As it is run by default: far away it takes to more cursors.
    let far = Distance::to(&set, Duration::from_millis(100)).await.unwrap();
    let far = far.uri().replacen("/?", "/memory?", 1);
    let peak = peak_of(&terminal, &["dump", &far, "far.tlz", "--quiet"]);
    assert!(peak > 32 && peak < MOST_BY_DEFAULT_MIB, "{peak} MiB for a dump from far away");
    let hash = async || set.db_hash("memory").await.unwrap().get_str("md5").unwrap().to_owned();
    let before = hash().await;
    side.run(doc! { "dropDatabase": 1 }).await;
    let peak = peak_of(&terminal, &[&["restore", "a.tlz", &uri, "--quiet"][..], &parallel].concat());
    assert!(peak > 32 && peak < MOST_MIB, "{peak} MiB for a restore");
    assert_eq!(hash().await, before);
}
