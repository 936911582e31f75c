//! The figures behind the plots, in tables.

use super::{
    date,
    markup::{Element, element, with_text},
    shares::STAGES,
    units::{bytes, count, percent, rate, seconds},
};
use crate::bench::{BenchReport, Data, Row, Stages, Sweep};

/// A table of texts; the first cell of each row heads it.
fn table(caption: &str, heads: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Element {
    let head = heads.iter().map(|head| with_text("th", head).set("scope", "col"));
    let row = |cells: Vec<String>| {
        let cell = |(place, text): (usize, String)| match place {
            0 => with_text("th", text).set("scope", "row"),
            _ => with_text("td", text),
        };
        element("tr").children(cells.into_iter().enumerate().map(cell))
    };
    let table = element("table")
        .child(with_text("caption", caption))
        .child(element("thead").child(element("tr").children(head)))
        .child(element("tbody").children(rows.into_iter().map(row)));
    element("div").class("scroll").child(table)
}

fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "–".to_owned())
}

/// Everything of these rows; what none of them has, has no column.
pub(super) fn figures(title: &str, rows: &[&Row]) -> Element {
    let mut columns: Vec<(&str, Vec<String>)> = Vec::new();
    let mut column = |head, of: &dyn Fn(&Row) -> Option<String>| {
        let cells: Vec<Option<String>> = rows.iter().map(|row| of(row)).collect();
        if cells.iter().any(Option::is_some) {
            columns.push((head, cells.into_iter().map(or_dash).collect()));
        }
    };
    column("", &|row| Some(row.name.clone()));
    column("median", &|row| Some(seconds(row.seconds.median)));
    column("fastest", &|row| Some(seconds(row.seconds.min)));
    column("slowest", &|row| Some(seconds(row.seconds.max)));
    column("spread", &|row| Some(percent(row.seconds.width())));
    column("throughput", &|row| Some(rate(row.bytes_per_second)));
    column("processor", &|row| row.cpu_seconds.map(seconds));
    column("peak memory", &|row| row.peak_bytes.map(|peak| bytes(peak as f64)));
    column("written", &|row| row.written_bytes.map(|written| bytes(written as f64)));
    let heads: Vec<&str> = columns.iter().map(|(head, _)| *head).collect();
    let row = |number: usize| columns.iter().filter_map(|(_, cells)| cells.get(number).cloned()).collect();
    table(&format!("{title}: the figures"), &heads, (0..rows.len()).map(row))
}

/// The seconds of each stage.
pub(super) fn stage_times(rows: &[(&Row, &Stages)]) -> Element {
    let mut heads = vec![""];
    heads.extend(STAGES.map(|(_, name)| name));
    heads.extend(["held back", "memory"]);
    let cells = |(row, stages): &(&Row, &Stages)| {
        let mut cells = vec![row.name.clone()];
        cells.extend(stages.stages.iter().map(|stage| seconds(stage.seconds)));
        cells.extend([stages.held_seconds, stages.memory_seconds].map(seconds));
        cells
    };
    let times = table("Busy seconds of each stage, the mean of the runs", &heads, rows.iter().map(cells));
    let verdict = |(row, stages): &(&Row, &Stages)| {
        let verdict = format!("What holds the {} back: {}.", row.name, stages.bottleneck);
        with_text("li", verdict)
    };
    element("div").child(times).child(element("ul").children(rows.iter().map(verdict)))
}

/// Each cell of the sweep.
pub(super) fn sweep_figures(sweep: &Sweep) -> Element {
    let heads = ["cursors, codec", "median", "fastest", "slowest", "throughput", "written"];
    let cells = |cell: &crate::bench::Cell| {
        vec![
            format!("{}, {}", cell.cursors, cell.codec),
            seconds(cell.seconds.median),
            seconds(cell.seconds.min),
            seconds(cell.seconds.max),
            rate(cell.bytes_per_second),
            bytes(cell.written_bytes as f64),
        ]
    };
    table("The sweep: the figures", &heads, sweep.cells.iter().map(cells))
}

/// What was copied.
pub(super) fn collections(data: &Data) -> Element {
    let cells = |of: &crate::bench::DataOf| {
        let average = if of.documents > 0 { of.bytes as f64 / of.documents as f64 } else { 0.0 };
        vec![of.namespace.clone(), count(of.documents), bytes(of.bytes as f64), bytes(average)]
    };
    let heads = ["collection", "documents", "bytes", "a document"];
    table("The collections", &heads, data.collections.iter().map(cells))
}

/// The machine, the versions, and how it was measured.
pub(super) fn facts(report: &BenchReport) -> Element {
    let machine = &report.machine;
    let memory = machine.memory_bytes.map(|memory| format!(", {} of memory", bytes(memory as f64)));
    let mut facts = vec![
        ("Command".to_owned(), report.command.clone()),
        ("Begun".to_owned(), format!("{}; it took {}", date(report), seconds(report.seconds))),
        (
            "Machine".to_owned(),
            format!(
                "{}, {} cores, {}{}",
                machine.processor,
                machine.cores,
                machine.architecture,
                memory.unwrap_or_default()
            ),
        ),
        ("System".to_owned(), machine.system.clone()),
        ("transload".to_owned(), format!("{}, {} build", report.version, report.build)),
        ("MongoDB".to_owned(), format!("{}, {}", report.server, report.source)),
        (
            "Restored to".to_owned(),
            report.target.as_ref().map_or_else(
                || "nothing".to_owned(),
                |version| format!("MongoDB {version}, a throwaway server on this machine, which shares its cores"),
            ),
        ),
    ];
    facts.extend(report.tools.iter().map(|tool| (tool.name.to_owned(), tool.version.clone())));
    facts.push((
        "Runs".to_owned(),
        format!("{} of each row, after one to warm up, in turns there and back again", report.runs),
    ));
    facts.push(("Settings".to_owned(), format!("{} in parallel, {}", report.parallel, report.codec)));
    let pair = |(name, value): (String, String)| [with_text("dt", name), with_text("dd", value)];
    element("dl").children(facts.into_iter().flat_map(pair))
}

/// What each row did, and every one of its runs.
pub(super) fn commands(report: &BenchReport) -> Element {
    let head = ["row", "command", "each run"].map(|head| with_text("th", head).set("scope", "col").class("left"));
    let row = |row: &Row| {
        let runs: Vec<String> = row.runs.iter().map(|run| seconds(run.seconds)).collect();
        let command = if row.is_process { with_text("code", &row.command) } else { with_text("span", &row.command) };
        element("tr")
            .child(with_text("th", &row.name).set("scope", "row"))
            .child(element("td").class("left").child(command))
            .child(with_text("td", runs.join(", ")).class("left"))
    };
    let table = element("table")
        .child(with_text("caption", "What was run, with the connection string in a variable or on standard input"))
        .child(element("thead").child(element("tr").children(head)))
        .child(element("tbody").children(report.rows.iter().map(row)));
    element("div").class("scroll").child(table)
}
