//! What holds of the page without a browser.

use std::collections::HashSet;

use super::page;
use crate::bench::{
    BenchReport, Cell, Data, DataOf, LeftOutRow, Machine, Row, Run, Sample, Spread, Sweep, Tool, Way, stages::Busy,
};

fn report() -> BenchReport {
    let sample = |seconds: f64, bytes| Sample { seconds, bytes };
    let run = |seconds: f64| Run {
        seconds,
        cpu_seconds: Some(seconds / 2.0),
        peak_bytes: Some(70 << 20),
        written_bytes: Some(40_000_000),
        samples: vec![sample(0.0, 0), sample(0.1, 30_000_000), sample(seconds, 95_000_000)],
    };
    let row = |name, way, is_process| {
        let runs = [0.5, 0.7, 0.4].map(run).into();
        Row::new(name, way, is_process, "command <of> \"it\"", 95_000_000, runs)
    };
    let busy =
        Busy { wall: 0.5, server: 1.2, copy: 0.2, held: 0.3, memory: 0.0, compress: 0.6, checksum: 0.1, write: 0.2 };
    let mut rows = vec![row("drain", Way::Dump, false), row("dump to disk", Way::Dump, false)];
    rows[1].stages = Some(busy.report(2, "the disk", None));
    rows.extend(["transload dump", "mongodump --gzip"].map(|name| row(name, Way::Dump, true)));
    rows.extend(["restore", "transload restore"].map(|name| row(name, Way::Restore, name != "restore")));
    let cell = |cursors, codec: &str, rate| Cell {
        cursors,
        codec: codec.to_owned(),
        seconds: Spread::of([0.4, 0.5]),
        bytes_per_second: rate,
        written_bytes: 1_000,
    };
    BenchReport {
        command: "transload bench SOURCE".to_owned(),
        begun: "2026-11-29T01:02:03.456Z".to_owned(),
        version: "0.1.0",
        build: "release",
        machine: Machine::this(),
        server: "6.0.5".to_owned(),
        source: "host:27017".to_owned(),
        target: Some("6.0.5".to_owned()),
        tools: vec![Tool { name: "mongodump", version: "100.18.0".to_owned() }],
        data: Data {
            what: "what is selected".to_owned(),
            documents: 131_500,
            bytes: 95_000_000,
            collections: vec![DataOf {
                namespace: "shop.<script>alert(1)</script>&\u{1b}".to_owned(),
                documents: 131_500,
                bytes: 95_000_000,
            }],
        },
        runs: 3,
        parallel: 4,
        codec: "zstd:1".to_owned(),
        rows,
        bottleneck: "the server: cursors waited 71 % of their time".to_owned(),
        sweep: Some(Sweep {
            cursors: vec![1, 4],
            codecs: vec!["none".to_owned(), "zstd:1".to_owned()],
            cells: vec![cell(1, "none", 9e7), cell(1, "zstd:1", 5e7), cell(4, "none", 2e8), cell(4, "zstd:1", 1e8)],
        }),
        left_out: vec![LeftOutRow { name: "mongorestore".to_owned(), reason: "it <failed>".to_owned() }],
        warnings: vec!["a warning".to_owned()],
        seconds: 12.3,
    }
}

/// Every tag is closed by its own, and no attribute stands bare. Gives the names of all elements.
fn elements(page: &str) -> Vec<String> {
    let body = page.strip_prefix("<!DOCTYPE html>").expect("a doctype");
    let (mut open, mut all) = (Vec::new(), Vec::new());
    for piece in body.split('<').skip(1) {
        let (tag, text) = piece.split_once('>').expect("a tag that ends");
        assert!(!text.contains('>'), "a bare > in {text:?}");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name));
            continue;
        }
        assert!(tag.matches('"').count().is_multiple_of(2), "{tag}");
        let name = tag.split_whitespace().next().expect("a name").to_owned();
        all.push(name.clone());
        if !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?} are not closed");
    all
}

#[test]
fn the_page_is_well_formed_and_its_ids_are_unique() {
    let page = page(&report());
    let elements = elements(&page);
    assert!(elements.iter().any(|name| name == "svg") && elements.iter().any(|name| name == "table"));
    let ids: Vec<&str> = page.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len(), "{ids:?}");
}

#[test]
fn every_plot_is_there_with_a_title_a_description_and_a_table() {
    let page = page(&report());
    for id in ["dumps", "restores", "stages", "dump-curve", "restore-curve", "sweep"] {
        assert!(page.contains(&format!("<svg id=\"{id}\"")), "{id}");
        assert!(page.contains(&format!("aria-labelledby=\"{id}-title {id}-description\"")), "{id}");
        for part in ["title", "description"] {
            let at = page.find(&format!("id=\"{id}-{part}\">")).expect(part);
            let text = page[at..].split_once('>').unwrap().1.split('<').next().unwrap();
            assert!(text.len() > 10, "{id}: {text:?}");
        }
    }
    for caption in ["Dumps, side by side: the figures", "Busy seconds of each stage", "The sweep: the figures"] {
        assert!(page.contains(caption), "{caption}");
    }
    assert_eq!(page.matches("class=\"curve").count(), 6, "a curve for each run");
    assert_eq!(page.matches("class=\"cell\"").count(), 4, "a cell for each");
}

#[test]
fn nothing_is_fetched_and_nothing_runs() {
    let page = page(&report());
    for word in ["http://", "https://", "//", "src=", "href=", "url(", "@import", "<script", "<link", " on"] {
        let found = page.find(word).map(|at| &page[at..page.len().min(at + 40)]);
        // In prose, "on" is a word.
        let is_harmless = word == " on" && !page.contains(" onload") && !page.contains(" onclick");
        assert!(found.is_none() || is_harmless, "{found:?}");
    }
}

#[test]
fn names_and_reasons_are_escaped() {
    let page = page(&report());
    assert!(page.contains("shop.&lt;script&gt;alert(1)&lt;/script&gt;&amp;\\u{1b}"));
    assert!(page.contains("it &lt;failed&gt;") && page.contains("command &lt;of&gt; &quot;it&quot;"));
}

#[test]
fn it_is_light_dark_and_on_paper() {
    let page = page(&report());
    for rule in
        ["@media (prefers-color-scheme: dark)", "@media print", "break-inside: avoid", "color-scheme: light dark"]
    {
        assert!(page.contains(rule), "{rule}");
    }
    // Each colour of the light page has one for the dark page, and one on paper.
    let names = |from: &str| -> HashSet<String> {
        let block = page[page.find(from).unwrap()..].split_once(":root {").unwrap().1.split_once('}').unwrap().0;
        let colours = block.split(';').filter_map(|rule| rule.trim().strip_prefix("--"));
        colours.filter_map(|rule| rule.split(':').next()).map(str::to_owned).collect()
    };
    let light = names("<style>");
    assert!(light.len() > 10);
    assert_eq!(light, names("prefers-color-scheme: dark"));
    let paper = names("@media print");
    assert!(light.difference(&paper).all(|name| name == "warn-line"), "{light:?} {paper:?}");
}

#[test]
fn what_names_the_machine_the_versions_the_commands_and_the_spread_is_there() {
    let page = page(&report());
    let machine = Machine::this();
    for text in [
        machine.processor.as_str(),
        &machine.system,
        "100.18.0",
        "0.1.0, release build",
        "transload bench SOURCE",
        "2026-11-29 01:02 UTC",
        "the server: cursors waited 71 % of their time",
        "0.50 s, 0.70 s, 0.40 s",
        "60 %",
        "131,500",
    ] {
        assert!(page.contains(text), "{text}");
    }
}

#[test]
fn a_page_without_restores_sweep_and_samples_has_no_empty_plots() {
    let mut report = report();
    report.rows.retain(|row| row.way == Way::Dump);
    report.rows.iter_mut().flat_map(|row| &mut row.runs).for_each(|run| run.samples.clear());
    (report.sweep, report.target) = (None, None);
    let page = page(&report);
    elements(&page);
    for id in ["restores", "dump-curve", "restore-curve", "sweep"] {
        assert!(!page.contains(&format!("<svg id=\"{id}\"")), "{id}");
    }
}
