//! All rows of one way, side by side: how long each took, with every run.

use super::{
    markup::{Element, element},
    plot::{Scale, WIDTH, bar, label, line, plot},
    units::{rate, seconds},
};
use crate::bench::Row;

const LEFT: f64 = 190.0;
const RIGHT: f64 = 150.0;
const ROW: f64 = 34.0;
const BAR: f64 = 18.0;

/// A bar for the median of each row, a whisker from its fastest run to its slowest, and a dot for each run.
pub(super) fn race(id: &'static str, title: &str, rows: &[&Row]) -> Element {
    let most = rows.iter().map(|row| row.seconds.max).fold(0.0, f64::max);
    let scale = Scale::to(most);
    let x = |value: f64| LEFT + value / scale.most() * (WIDTH - LEFT - RIGHT);
    let bottom = ROW * rows.len() as f64 + 8.0;
    let each: Vec<String> = rows.iter().map(|row| format!("{}: {}", row.name, seconds(row.seconds.median))).collect();
    let mut svg = plot(id, bottom + 26.0, title, &format!("Medians. {}.", each.join("; ")));
    for tick in scale.ticks() {
        svg = svg.child(line("grid", (x(tick), 2.0), (x(tick), bottom)));
        svg = svg.child(label(x(tick), bottom + 17.0, "middle", &tick_text(tick)).class("soft"));
    }
    for (number, row) in rows.iter().enumerate() {
        let middle = ROW * number as f64 + ROW / 2.0 + 4.0;
        let (low, high, median) = (x(row.seconds.min), x(row.seconds.max), x(row.seconds.median));
        svg = svg
            .child(label(LEFT - 12.0, middle + 4.0, "end", &row.name))
            .child(bar(kind(&row.name), LEFT, middle - BAR / 2.0, median - LEFT, BAR).set("rx", 3))
            .child(line("whisker", (low, middle), (high, middle)));
        for end in [low, high] {
            svg = svg.child(line("whisker", (end, middle - 4.0), (end, middle + 4.0)));
        }
        let dot = |run: f64| element("circle").class("run").at("cx", x(run)).at("cy", middle).at("r", 2.8);
        svg = svg.children(row.runs.iter().map(|run| dot(run.seconds)));
        let text = format!("{}  ·  {}", seconds(row.seconds.median), rate(row.bytes_per_second));
        svg = svg.child(label(high.max(median) + 12.0, middle + 4.0, "start", &text));
    }
    svg.child(line("axis", (LEFT, 2.0), (LEFT, bottom)))
}

/// Whose it is: ours, another program's, or the limit that the server sets.
fn kind(name: &str) -> &'static str {
    if name == "drain" {
        "limit"
    } else if name.starts_with("mongo") {
        "other"
    } else {
        "ours"
    }
}

fn tick_text(tick: f64) -> String {
    let text = format!("{tick:.3}");
    format!("{} s", text.trim_end_matches('0').trim_end_matches('.'))
}
