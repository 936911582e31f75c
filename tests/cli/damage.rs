//! Archives that are not what was written, and files that never were archives.

use transload_format::limits::{FILE_HEADER_LEN, FOOTER_LEN};

use mongodb::bson::{Document, doc};

use super::{
    data::{ORDERS, archive, client, collections, empty, shop},
    terminal::{Ran, Terminal, snapshot},
};

const DATABASE: &str = "cli_damage";

fn flipped(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 0x10;
    bytes
}

#[tokio::test]
async fn a_damaged_archive_is_refused_before_anything_is_written() {
    let (terminal, uri) = (Terminal::new(), empty(DATABASE).await);
    archive(&terminal, DATABASE).await;
    let good = terminal.read("a.tlz");
    terminal.write("header.tlz", flipped(&good, FILE_HEADER_LEN - 20));
    let of_orders = stored_bytes_of_orders(&terminal);
    // The block of documents is the largest by far; the others hold records.
    terminal.write("record.tlz", flipped(&good, of_orders[0]));
    terminal.write("block.tlz", flipped(&good, of_orders[of_orders.len() / 2]));
    terminal.write("index.tlz", flipped(&good, good.len() - FOOTER_LEN - 30));
    terminal.write("footer.tlz", flipped(&good, good.len() - 10));
    terminal.write("cut.tlz", &good[..good.len() / 2]);
    terminal.write("longer.tlz", [good.as_slice(), b"x"].concat());
    let mut runs = Vec::new();
    for name in ["header.tlz", "record.tlz", "block.tlz", "index.tlz", "footer.tlz", "cut.tlz", "longer.tlz"] {
        runs.push(terminal.run(&["verify", name]).ends_with(1));
        let restored = terminal.run(&["restore", name, &uri]).ends_with(1);
        // The others are not even opened.
        let opened = ["record.tlz", "block.tlz"].contains(&name);
        assert_eq!(restored.stderr.contains("nothing was written to the target"), opened, "{restored}");
        runs.push(restored);
        let inspected = terminal.run(&["inspect", name]);
        // It reads the tail alone, and says nothing of the rest.
        inspected.ends_with(if opened || name == "header.tlz" { 0 } else { 1 });
        let documents = terminal.run(&["inspect", name, "--documents", "cli_damage.orders"]);
        documents.ends_with(if name == "record.tlz" { 0 } else { 1 });
        assert_eq!(collections(DATABASE).await, Vec::<String>::new(), "{name}");
    }
    let shown: Vec<String> = runs.iter().map(|run| super::terminal::redacted(&run.to_string())).collect();
    super::terminal::snapshot_text("damage", &shown.join("\n"));
}

/// Offsets of stored bytes of blocks that belong to the orders, as `verify` says when one of them is flipped.
fn stored_bytes_of_orders(terminal: &Terminal) -> Vec<usize> {
    let good = terminal.read("a.tlz");
    let is_theirs = |at: &usize| {
        terminal.write("try.tlz", flipped(&good, *at));
        let ran = terminal.run(&["verify", "try.tlz"]).ends_with(1);
        ran.stderr.contains("(cli_damage.orders): checksum mismatch of the stored bytes")
    };
    (FILE_HEADER_LEN..good.len() - FOOTER_LEN).step_by(16).filter(is_theirs).collect()
}

#[tokio::test]
async fn from_standard_input_what_comes_before_the_damage_stays_and_the_code_is_1() {
    let (terminal, uri) = (Terminal::new(), empty("cli_damage_stream").await);
    archive(&terminal, "cli_damage_stream").await;
    let good = terminal.read("a.tlz");
    terminal.write("tail.tlz", flipped(&good, good.len() - 10)).write("text.tlz", "no archive");
    let restored = terminal.feed(&terminal.path("tail.tlz"), &["restore", "-", &uri]).ends_with(1);
    assert_eq!(collections("cli_damage_stream").await, ["events", "orders"]);
    let verified = terminal.feed(&terminal.path("tail.tlz"), &["verify", "-"]).ends_with(1);
    let text = terminal.feed(&terminal.path("text.tlz"), &["restore", "-", &uri]).ends_with(1);
    snapshot("damaged-stream", &[restored, verified, text]);
}

#[test]
fn what_is_no_archive_is_named_where_it_can_be() {
    let terminal = Terminal::new();
    let uri = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=500";
    let mut newer = std::fs::read("format/vectors/invalid/version-2.tlz").unwrap();
    terminal.write("newer.tlz", &newer);
    newer.truncate(0);
    terminal.write("empty.tlz", &newer).write("text.tlz", "these are only words of no archive at all\n".repeat(20));
    terminal.write("dump.gz", [&[0x1f, 0x8b, 8, 0][..], &[7; 400]].concat());
    terminal.write("dump.archive", [&[0x6d, 0xe2, 0x99, 0x81][..], &[7; 400]].concat());
    std::fs::create_dir(terminal.path("folder")).unwrap();
    let mut runs: Vec<Ran> = Vec::new();
    for (name, code) in [
        ("empty.tlz", 1),
        ("text.tlz", 1),
        ("dump.gz", 1),
        ("dump.archive", 1),
        ("newer.tlz", 1),
        ("missing.tlz", 1),
        ("folder", 2),
    ] {
        let ran = terminal.run(&["verify", name]).ends_with(code);
        // The archive is looked at before the server, and all commands say the same.
        for arguments in [&["inspect", name, "--documents", "shop.orders"][..], &["restore", name, uri]] {
            assert_eq!(terminal.run(arguments).ends_with(code).stderr, ran.stderr);
        }
        if name != "missing.tlz" && name != "folder" {
            let fed = terminal.feed(&terminal.path(name), &["verify", "-"]).ends_with(code);
            assert_eq!(fed.stderr, ran.stderr.replace(name, "standard input"));
        }
        runs.push(ran);
    }
    snapshot("no-archive", &runs);
}

#[tokio::test]
async fn what_only_shows_when_it_is_decompressed_costs_nothing_that_was_to_be_dropped() {
    let (terminal, uri) = (Terminal::new(), shop("cli_raw_crc").await);
    terminal.write("raw.tlz", std::fs::read("format/vectors/invalid/raw-crc.tlz").unwrap());
    let ran = terminal.run(&["restore", "raw.tlz", &uri, "--rename", "db.c=cli_raw_crc.orders", "--drop"]).ends_with(1);
    let orders = client().await.database("cli_raw_crc").collection::<Document>("orders");
    assert_eq!(orders.count_documents(doc! {}).await.unwrap(), ORDERS);
    let recovered = terminal.run(&["recover", "raw.tlz", "b.tlz"]).ends_with(3);
    terminal.run(&["verify", "b.tlz"]).ends_with(0);
    snapshot("raw-crc", &[ran, recovered]);
}

#[tokio::test]
async fn change_events_are_verified_but_not_restored_as_documents() {
    let (terminal, uri) = (Terminal::new(), empty("cli_events").await);
    let path = std::path::Path::new("format/vectors/valid/changes.tlz");
    terminal.write("changes.tlz", std::fs::read(path).unwrap());
    terminal.run(&["verify", "changes.tlz"]).ends_with(0);
    terminal.feed(path, &["verify", "-"]).ends_with(0);
    let rename = "shop.*=cli_events.*";
    let runs = [
        terminal.run(&["restore", "changes.tlz", &uri, "--rename", rename]).ends_with(2),
        terminal.feed(path, &["restore", "-", &uri, "--rename", rename]).ends_with(2),
    ];
    let broken = std::path::Path::new("format/vectors/invalid/raw-crc.tlz");
    terminal.feed(broken, &["verify", "-"]).ends_with(1);
    snapshot("events", &runs);
}
