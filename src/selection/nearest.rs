//! What there is instead of a name that was not found, the most similar first.

use crate::namespace::printable;

const SHOWN: usize = 10;

/// Lists `names`, those closest to `wanted` first: at most ten, then how many more there are.
pub(super) fn nearest(wanted: &str, names: impl Iterator<Item = String>) -> String {
    let mut names: Vec<(usize, String)> = names.map(|name| (distance(wanted, &name), name)).collect();
    if names.is_empty() {
        return "there is nothing to select from".to_owned();
    }
    names.sort();
    let more = names.len().saturating_sub(SHOWN);
    let shown: Vec<String> = names.iter().take(SHOWN).map(|(_, name)| printable(name)).collect();
    let tail = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("there are: {}{tail}", shown.join(", "))
}

/// How many characters must be inserted, removed or replaced to get from `a` to `b`.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let Some((first, others)) = row.split_first_mut() else { break };
        let mut left = i + 1;
        let mut diagonal = std::mem::replace(first, left);
        for (above, to) in others.iter_mut().zip(&b) {
            let best = (diagonal + usize::from(from != *to)).min(left + 1).min(*above + 1);
            diagonal = std::mem::replace(above, best);
            left = best;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_counts_single_changes() {
        for (a, b, count) in
            [("", "", 0), ("", "abc", 3), ("oders", "orders", 1), ("kitten", "sitting", 3), ("ab", "ü", 2)]
        {
            assert_eq!(distance(a, b), count, "{a} {b}");
            assert_eq!(distance(b, a), count, "{b} {a}");
        }
    }

    #[test]
    fn the_closest_come_first_and_the_rest_is_counted() {
        let names = (0..15).map(|i| format!("other{i:02}")).chain(["orders\n".to_owned(), "order".to_owned()]);
        assert_eq!(
            nearest("orders", names),
            "there are: order, orders\\n, other00, other01, other02, other03, other04, other05, other06, other07 \
             and 7 more"
        );
        assert_eq!(nearest("x", std::iter::empty()), "there is nothing to select from");
    }
}
