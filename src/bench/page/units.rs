//! Figures with their units, as people read them: three digits that count, and the unit behind.

/// A number of bytes, in decimal units.
pub(super) fn bytes(bytes: f64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = bytes;
    for unit in UNITS {
        if value < 999.5 || unit == "TB" {
            return format!("{} {unit}", if unit == "B" { format!("{value:.0}") } else { digits(value) });
        }
        value /= 1000.0;
    }
    String::new()
}

/// A number of bytes a second.
pub(super) fn rate(bytes_per_second: f64) -> String {
    format!("{}/s", bytes(bytes_per_second))
}

/// A time.
pub(super) fn seconds(seconds: f64) -> String {
    if seconds > 0.0 && seconds < 0.0995 {
        format!("{:.0} ms", seconds * 1000.0)
    } else {
        format!("{} s", digits(seconds))
    }
}

/// A share.
pub(super) fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// A number in groups of three digits.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

fn digits(value: f64) -> String {
    if value == 0.0 {
        "0".to_owned()
    } else if value < 9.995 {
        format!("{value:.2}")
    } else if value < 99.95 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_units_and_three_digits() {
        for (value, shown) in [(0.0, "0 B"), (999.0, "999 B"), (1_234.0, "1.23 kB"), (19_995_000.0, "20.0 MB")] {
            assert_eq!(bytes(value), shown);
        }
        assert_eq!((rate(2.5e8), bytes(5e15)), ("250 MB/s".to_owned(), "5000 TB".to_owned()));
        assert_eq!((seconds(0.012), seconds(0.5), seconds(123.4)), ("12 ms".into(), "0.50 s".into(), "123 s".into()));
        assert_eq!((count(7), count(1_315_000), percent(0.917)), ("7".into(), "1,315,000".into(), "92 %".into()));
    }
}
