//! The report as one page for a browser and for paper: nothing in it is fetched from anywhere, nothing in it runs.
//!
//! Each plot has a title and a description for who cannot see it, and a table beside it with the same figures.

mod curve;
mod heat;
mod markup;
mod plot;
mod race;
mod shares;
mod style;
mod tables;
mod units;

use self::{
    curve::curve,
    heat::heat,
    markup::{Element, element, with_text},
    race::race,
    shares::shares,
    style::STYLE,
    tables::{collections, commands, facts, figures, stage_times, sweep_figures},
    units::{bytes, count, percent, rate, seconds},
};
use super::{BenchReport, Row, Way};

/// The whole page.
pub fn page(report: &BenchReport) -> String {
    let head = element("head")
        .child(element("meta").set("charset", "utf-8"))
        .child(element("meta").set("name", "viewport").set("content", "width=device-width, initial-scale=1"))
        .child(element("meta").set("name", "color-scheme").set("content", "light dark"))
        .child(
            element("meta")
                .set("http-equiv", "Content-Security-Policy")
                .set("content", "default-src 'none'; style-src 'unsafe-inline'"),
        )
        .child(with_text("title", format!("transload bench, {}", date(report))))
        .child(with_text("style", STYLE));
    let mut main = element("main").child(header(report)).child(tiles(report));
    main = main.children(sides(report)).children(stages(report)).children(throughput(report));
    main = main.children(sweep(report)).child(data(report)).child(machine(report));
    let body = element("body").child(main);
    format!("<!DOCTYPE html>\n{}\n", element("html").set("lang", "en").child(head).child(body))
}

fn date(report: &BenchReport) -> String {
    report.begun.get(..16).map_or_else(|| report.begun.clone(), |date| format!("{} UTC", date.replace('T', " ")))
}

fn header(report: &BenchReport) -> Element {
    let what = format!(
        "{}. {} documents, {}; {}. MongoDB {} on {}.",
        date(report),
        count(report.data.documents),
        bytes(report.data.bytes as f64),
        report.data.what,
        report.server,
        report.source,
    );
    let mut header =
        element("header").child(with_text("h1", "How fast it dumps and restores")).child(with_text("p", what));
    header = header
        .child(with_text("p", format!("What holds a dump to the disk back: {}.", report.bottleneck)).class("verdict"));
    let left_out = report.left_out.iter().map(|row| format!("Not measured: {}: {}", row.name, row.reason));
    let warnings = report.warnings.iter().cloned().chain(left_out);
    header.children(warnings.map(|warning| with_text("p", warning).class("warning")))
}

/// The figures that one wants first.
fn tiles(report: &BenchReport) -> Element {
    let tile = |figure: String, of: String| {
        element("div").class("tile").child(with_text("b", figure)).child(with_text("span", of))
    };
    let mut tiles = element("div").class("tiles");
    let disk = report.row("dump to disk");
    if let Some(row) = disk {
        tiles = tiles.child(tile(rate(row.bytes_per_second), "dumped to the disk".to_owned()));
    }
    if let (Some(row), Some(limit)) = (disk, report.row("drain")) {
        let share = if row.seconds.median > 0.0 { limit.seconds.median / row.seconds.median } else { 0.0 };
        tiles = tiles.child(tile(percent(share), "of what the server can deliver".to_owned()));
    }
    if let Some(row) = report.row("restore") {
        tiles = tiles.child(tile(rate(row.bytes_per_second), "restored, with indexes".to_owned()));
    }
    for (ours, theirs) in [("transload dump", "mongodump --gzip"), ("transload restore", "mongorestore, best flags")] {
        if let (Some(our), Some(their)) = (report.row(ours), report.row(theirs)) {
            let ratio = if our.seconds.median > 0.0 { their.seconds.median / our.seconds.median } else { 0.0 };
            tiles = tiles.child(tile(format!("{ratio:.2} ×"), format!("as fast as {theirs}")));
        }
    }
    tiles
}

fn section(title: &str, text: String) -> Element {
    element("section").child(with_text("h2", title)).child(with_text("p", text))
}

fn figure(plot: Element, caption: &str) -> Element {
    element("figure").child(plot).child(with_text("figcaption", caption))
}

fn rows(report: &BenchReport, way: Way) -> Vec<&Row> {
    report.rows.iter().filter(|row| row.way == way).collect()
}

fn sides(report: &BenchReport) -> Vec<Element> {
    let runs = if report.runs == 1 { "1 run".to_owned() } else { format!("{} runs", report.runs) };
    let how = format!(
        "medians of {runs} in turns, after one to warm up; whiskers from the fastest to the slowest, a dot for each run"
    );
    let mut sections = Vec::new();
    for (way, id, title, text) in [
        (
            Way::Dump,
            "dumps",
            "Dumps, side by side",
            "What a dump takes beyond draining the cursors, transload adds. The last rows are whole processes, so their processor time and \
             memory can be compared.",
        ),
        (
            Way::Restore,
            "restores",
            "Restores, side by side",
            "Into a throwaway server on this machine, emptied before each, with indexes; transload proves every block of the archive first.",
        ),
    ] {
        let rows = rows(report, way);
        if !rows.is_empty() {
            let plot =
                figure(race(id, &format!("{title}: seconds"), &rows), &format!("Seconds, less is better: {how}."));
            sections.push(section(title, text.to_owned()).child(plot).child(figures(title, &rows)));
        }
    }
    sections
}

fn stages(report: &BenchReport) -> Option<Element> {
    let rows: Vec<_> = report.rows.iter().filter_map(|row| Some((row, row.stages.as_ref()?))).collect();
    let text = "Seconds in which somebody was busy at a stage, all cursors, cores and the writer together. What is nearest to being busy \
                all the time that it has, holds the dump back.";
    (!rows.is_empty()).then(|| {
        let plot = shares("stages", "Where the time of a dump goes", &rows);
        let plot = figure(plot, "Shares of the busy time; the time in which cursors were held back is none of it.");
        section("Where the time goes", text.to_owned()).child(plot).child(stage_times(&rows))
    })
}

fn throughput(report: &BenchReport) -> Option<Element> {
    let drain = report.row("drain").map(|row| ("drain, on average", row.bytes_per_second));
    let mut all = element("div");
    let mut is_any = false;
    for (name, id, reference) in [("dump to disk", "dump-curve", drain), ("restore", "restore-curve", None)] {
        let Some(row) = report.row(name).filter(|row| row.runs.iter().any(|run| run.samples.len() > 1)) else {
            continue;
        };
        let title = format!("Throughput of the {name} over time");
        let caption = format!(
            "Bytes of documents a second, a curve for each of {} runs, the last in full colour; {} in the median.",
            row.runs.len(),
            seconds(row.seconds.median),
        );
        let heading = with_text("h3", if id == "dump-curve" { "Dump to disk" } else { "Restore" });
        all = all.child(heading).child(figure(curve(id, &title, row, reference), &caption));
        is_any = true;
    }
    let text = "Looked at ten times a second. A dump begins with the catalog and ends with a sync; a restore begins with a check of the archive, \
                and ends with indexes.";
    is_any.then(|| section("Throughput over time", text.to_owned()).child(all))
}

fn sweep(report: &BenchReport) -> Option<Element> {
    let sweep = report.sweep.as_ref()?;
    let text = "Dumps to nothing with other numbers of cursors and other codecs: more is better, and where more cursors bring no more, the \
                server or the processor is what there is.";
    let plot = heat("sweep", "Throughput by cursors and codecs", sweep);
    let plot = figure(plot, "Bytes of documents a second, by the median; the stronger, the faster.");
    Some(section("Cursors and codecs", text.to_owned()).child(plot).child(sweep_figures(sweep)))
}

fn data(report: &BenchReport) -> Element {
    section("What was copied", format!("{}.", report.data.what)).child(collections(&report.data))
}

fn machine(report: &BenchReport) -> Element {
    let text = "Figures without their machine say nothing; figures of two machines cannot be compared.";
    section("Machine, versions, commands", text.to_owned()).child(facts(report)).child(commands(report))
}

#[cfg(test)]
mod tests;
