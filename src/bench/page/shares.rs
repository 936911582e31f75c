//! The stages of each dump, stacked: which share of the busy time each had.

use super::{
    markup::{Element, element},
    plot::{WIDTH, bar, label, plot},
    units::percent,
};
use crate::bench::{Row, Stages};

const LEFT: f64 = 190.0;
const RIGHT: f64 = 20.0;
const ROW: f64 = 40.0;
const BAR: f64 = 26.0;
/// The stages in words, and their classes are their names.
pub(super) const STAGES: [(&str, &str); 5] = [
    ("server", "waiting for the server"),
    ("copy", "copy"),
    ("compress", "compress"),
    ("checksum", "checksum"),
    ("write", "write and sync"),
];

/// A bar of all stages for each row that has some.
pub(super) fn shares(id: &'static str, title: &str, rows: &[(&Row, &Stages)]) -> Element {
    let width = WIDTH - LEFT - RIGHT;
    let top = 30.0;
    let each: Vec<String> = rows
        .iter()
        .map(|(row, stages)| {
            let shares = stages.stages.iter().map(|stage| format!("{} {}", stage.stage, percent(stage.share)));
            format!("{}: {}", row.name, shares.collect::<Vec<_>>().join(", "))
        })
        .collect();
    let mut svg = plot(id, top + ROW * rows.len() as f64 + 4.0, title, &format!("{}.", each.join("; ")));
    let mut x = LEFT;
    for (class, name) in STAGES {
        svg = svg.child(bar(class, x, 4.0, 12.0, 12.0).set("rx", 2));
        svg = svg.child(label(x + 18.0, 14.0, "start", name));
        x += 36.0 + name.chars().count() as f64 * 6.6;
    }
    for (number, (row, stages)) in rows.iter().enumerate() {
        let middle = top + ROW * number as f64 + ROW / 2.0;
        svg = svg.child(label(LEFT - 12.0, middle + 4.0, "end", &row.name));
        let mut x = LEFT;
        for stage in &stages.stages {
            let share = stage.share * width;
            let tip = element("title").text(format!("{}: {}", stage.stage, percent(stage.share)));
            svg = svg.child(bar(stage.stage, x, middle - BAR / 2.0, share, BAR).child(tip));
            if stage.share >= 0.06 {
                svg = svg.child(label(x + share / 2.0, middle + 4.0, "middle", &percent(stage.share)).class("inside"));
            }
            x += share;
        }
    }
    svg
}
