//! Throughput over time: a curve for each run of a row.

use super::{
    markup::{Element, element},
    plot::{Scale, WIDTH, label, line, plot},
    units::{rate, seconds},
};
use crate::bench::{Row, Sample};

const LEFT: f64 = 82.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 210.0;

/// The bytes a second of each run between two looks, the last run the strongest; and a line for a rate to compare with.
pub(super) fn curve(id: &'static str, title: &str, row: &Row, reference: Option<(&str, f64)>) -> Element {
    let runs: Vec<Vec<(f64, f64)>> = row.runs.iter().map(|run| rates(&run.samples)).collect();
    let fastest = runs.iter().flatten().map(|(_, rate)| *rate).fold(0.0, f64::max);
    let longest = row.runs.iter().map(|run| run.seconds).fold(0.0, f64::max);
    let up = Scale::to(fastest.max(reference.map_or(0.0, |(_, rate)| rate)));
    let along = Scale::to(longest);
    let right = WIDTH - 20.0;
    let x = |seconds: f64| LEFT + seconds / along.most() * (right - LEFT);
    let y = |rate: f64| BOTTOM - rate / up.most() * (BOTTOM - TOP);
    let description = format!(
        "{} runs of {} in the median, {} on average, {} at most between two looks.",
        row.runs.len(),
        seconds(row.seconds.median),
        rate(row.bytes_per_second),
        rate(fastest),
    );
    let mut svg = plot(id, BOTTOM + 28.0, title, &description);
    for tick in up.ticks() {
        svg = svg.child(line("grid", (LEFT, y(tick)), (right, y(tick))));
        svg = svg.child(label(LEFT - 8.0, y(tick) + 4.0, "end", &rate(tick)).class("soft"));
    }
    for tick in along.ticks() {
        svg = svg.child(line("axis", (x(tick), BOTTOM), (x(tick), BOTTOM + 4.0)));
        svg = svg.child(label(x(tick), BOTTOM + 19.0, "middle", &seconds(tick)).class("soft"));
    }
    svg = svg.child(line("axis", (LEFT, BOTTOM), (right, BOTTOM)));
    if let Some((name, limit)) = reference {
        svg = svg.child(line("reference", (LEFT, y(limit)), (right, y(limit))));
        svg = svg.child(label(right, y(limit) - 5.0, "end", name).class("soft"));
    }
    for (number, run) in runs.iter().enumerate() {
        let points: Vec<String> = run.iter().map(|(at, rate)| format!("{:.1},{:.1}", x(*at), y(*rate))).collect();
        let class = if number + 1 == runs.len() { "curve" } else { "curve earlier" };
        svg = svg.child(element("polyline").class(class).set("points", points.join(" ")));
    }
    svg
}

/// Bytes a second between each two samples, from the one to the other: the corners of a curve in steps.
fn rates(samples: &[Sample]) -> Vec<(f64, f64)> {
    // The last look comes when a run ends, and may come right after another one.
    const LEAST: f64 = 0.02;
    let mut rates = Vec::new();
    let mut rest = samples.iter();
    let Some(mut last) = rest.next() else { return rates };
    for sample in rest {
        let passed = sample.seconds - last.seconds;
        if passed < LEAST {
            continue;
        }
        let rate = sample.bytes.saturating_sub(last.bytes) as f64 / passed;
        rates.extend([(last.seconds, rate), (sample.seconds, rate)]);
        last = sample;
    }
    rates
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_of_the_time_between_two_looks() {
        let sample = |seconds, bytes| Sample { seconds, bytes };
        let samples = [sample(0.0, 0), sample(0.1, 0), sample(0.3, 40), sample(0.3001, 40), sample(0.5, 50)];
        let rates = rates(&samples);
        let rounded: Vec<(i32, i32)> =
            rates.iter().map(|(at, rate)| ((at * 100.0).round() as i32, rate.round() as i32)).collect();
        assert_eq!(rounded, [(0, 0), (10, 0), (10, 200), (30, 200), (30, 50), (50, 50)]);
        assert!(super::rates(&[]).is_empty());
    }
}
