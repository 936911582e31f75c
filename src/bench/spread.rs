//! What several runs come to: the one in the middle, and how far they lie apart.

use serde::Serialize;

/// The middle and the ends of some figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    /// The median; of an even number of figures, the mean of the two in the middle.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl Spread {
    /// Of these figures, in any order. All zeros if there are none.
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        let (Some(min), Some(max)) = (figures.first(), figures.last()) else { return Spread::default() };
        let (below, above) = ((figures.len() - 1) / 2, figures.len() / 2);
        let middle = |at: usize| figures.get(at).copied().unwrap_or_default();
        Spread { median: (middle(below) + middle(above)) / 2.0, min: *min, max: *max }
    }

    /// How far they lie apart, as a share of the median.
    pub fn width(&self) -> f64 {
        if self.median > 0.0 { (self.max - self.min) / self.median } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_found_whatever_the_order() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Spread { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 3.0]), Spread { median: 2.5, min: 1.0, max: 4.0 });
        assert_eq!(Spread::of([7.0]), Spread { median: 7.0, min: 7.0, max: 7.0 });
        assert_eq!(Spread::of([]), Spread::default());
    }

    #[test]
    fn the_width_is_a_share_of_the_median() {
        assert_eq!(Spread::of([1.0, 2.0, 3.0]).width(), 1.0);
        assert_eq!(Spread::of([0.0, 0.0]).width(), 0.0);
    }
}
