//! What all plots share: the frame with its title and description, axes, and scales with round numbers.

use super::markup::{Element, element, with_text};

/// The width of every plot, in its own units; on the page it is as wide as its column.
pub(super) const WIDTH: f64 = 860.0;

/// An empty plot of some height. Who cannot see it, hears `title` and `description`.
pub(super) fn plot(id: &'static str, height: f64, title: &str, description: &str) -> Element {
    element("svg")
        .set("id", id)
        .set("viewBox", format!("0 0 {WIDTH} {height:.0}"))
        .set("role", "img")
        .set("aria-labelledby", format!("{id}-title {id}-description"))
        .child(with_text("title", title).set("id", format!("{id}-title")))
        .child(with_text("desc", description).set("id", format!("{id}-description")))
}

/// A text at a point; `anchor` is `start`, `middle` or `end`.
pub(super) fn label(x: f64, y: f64, anchor: &str, text: &str) -> Element {
    with_text("text", text).at("x", x).at("y", y).set("text-anchor", anchor)
}

/// A line between two points.
pub(super) fn line(class: &str, from: (f64, f64), to: (f64, f64)) -> Element {
    element("line").class(class).at("x1", from.0).at("y1", from.1).at("x2", to.0).at("y2", to.1)
}

/// A filled rectangle.
pub(super) fn bar(class: &str, x: f64, y: f64, width: f64, height: f64) -> Element {
    let bar = element("rect").class(class).at("x", x).at("y", y);
    bar.at("width", width.max(0.0)).at("height", height.max(0.0))
}

/// A scale from 0 to a round number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    step: f64,
    steps: usize,
}

impl Scale {
    /// One that reaches as far as `most`, in about five steps.
    pub(super) fn to(most: f64) -> Self {
        if most <= 0.0 || !most.is_finite() {
            return Scale { step: 1.0, steps: 1 };
        }
        let rough = most / 5.0;
        let power = 10_f64.powf(rough.log10().floor());
        let fits = |factor: &&f64| *factor * power >= rough * 0.999;
        let step = power * [1.0, 2.0, 2.5, 5.0].iter().find(fits).unwrap_or(&10.0);
        Scale { step, steps: (most / step - 1e-9).ceil().max(1.0) as usize }
    }

    /// Its end.
    pub(super) fn most(self) -> f64 {
        self.step * self.steps as f64
    }

    /// Its round numbers, with 0 and the end.
    pub(super) fn ticks(self) -> impl Iterator<Item = f64> {
        (0..=self.steps).map(move |number| number as f64 * self.step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_end_in_round_numbers() {
        for (most, step, end) in [(9.3, 2.0, 10.0), (0.21, 0.05, 0.25), (100.0, 20.0, 100.0), (0.0, 1.0, 1.0)] {
            let scale = Scale::to(most);
            assert!((scale.step - step).abs() < 1e-9 && (scale.most() - end).abs() < 1e-9, "{most}: {scale:?}");
            assert!(scale.most() >= most && scale.ticks().count() <= 7);
        }
        assert_eq!(Scale::to(f64::NAN).most(), 1.0);
    }
}
