//! The sweep as a heat map: cursors down, codecs across, the fastest the strongest.

use super::{
    markup::Element,
    plot::{WIDTH, bar, label, plot},
    units::rate,
};
use crate::bench::Sweep;

const LEFT: f64 = 110.0;
const TOP: f64 = 30.0;
const ROW: f64 = 44.0;

/// A cell for each number of cursors with each codec.
pub(super) fn heat(id: &'static str, title: &str, sweep: &Sweep) -> Element {
    let width = (WIDTH - LEFT) / sweep.codecs.len().max(1) as f64;
    let rates = || sweep.cells.iter().map(|cell| cell.bytes_per_second);
    let (least, most) = (rates().fold(f64::INFINITY, f64::min), rates().fold(0.0, f64::max));
    let fastest = sweep.cells.iter().max_by(|one, other| one.bytes_per_second.total_cmp(&other.bytes_per_second));
    let description = fastest.map_or_else(String::new, |cell| {
        format!("The fastest: {} cursors, {}, {}.", cell.cursors, cell.codec, rate(cell.bytes_per_second))
    });
    let mut svg = plot(id, TOP + ROW * sweep.cursors.len() as f64, title, &description);
    for (column, codec) in sweep.codecs.iter().enumerate() {
        svg = svg.child(label(LEFT + width * (column as f64 + 0.5), TOP - 11.0, "middle", codec));
    }
    for (row, cursors) in sweep.cursors.iter().enumerate() {
        let y = TOP + ROW * row as f64;
        let name = if *cursors == 1 { "1 cursor".to_owned() } else { format!("{cursors} cursors") };
        svg = svg.child(label(LEFT - 12.0, y + ROW / 2.0 + 4.0, "end", &name));
        for (column, codec) in sweep.codecs.iter().enumerate() {
            let of_this = |cell: &&crate::bench::Cell| cell.cursors == *cursors && cell.codec == *codec;
            let Some(cell) = sweep.cells.iter().find(of_this) else { continue };
            // Even the slowest is to be seen.
            let heat = 0.12 + 0.88 * between(least, most, cell.bytes_per_second);
            let x = LEFT + width * column as f64;
            let text = label(x + width / 2.0, y + ROW / 2.0 + 4.0, "middle", &rate(cell.bytes_per_second));
            svg = svg.child(bar("cell", x, y, width, ROW).set("fill-opacity", format!("{heat:.2}")).set("rx", 6));
            svg = svg.child(if heat > 0.75 { text.class("on-accent") } else { text });
        }
    }
    svg
}

fn between(least: f64, most: f64, value: f64) -> f64 {
    if most > least { (value - least) / (most - least) } else { 1.0 }
}
