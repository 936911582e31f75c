//! The number that a BSON value is, as far as index specs ask for it.

use crate::document::{Element, kind};

/// A number of any of the four types.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Integer(i64),
    Double(f64),
    /// None for NaN.
    Decimal(Option<Decimal>),
}

/// A decimal, cut to a whole number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decimal {
    negative: bool,
    whole: i64,
    /// Whether nothing was cut.
    integral: bool,
    /// Whether it is zero as a double, which is what servers look at.
    zero: bool,
}

impl Number {
    pub(super) fn of(element: &Element<'_>) -> Option<Self> {
        Some(match element.kind {
            kind::INT32 => Number::Integer(i32::from_le_bytes(element.value.try_into().ok()?).into()),
            kind::INT64 => Number::Integer(i64::from_le_bytes(element.value.try_into().ok()?)),
            kind::DOUBLE => Number::Double(f64::from_le_bytes(element.value.try_into().ok()?)),
            kind::DECIMAL128 => Number::Decimal(decimal(u128::from_le_bytes(element.value.try_into().ok()?))),
            _ => return None,
        })
    }

    pub(super) fn is_nan(self) -> bool {
        match self {
            Number::Integer(_) => false,
            Number::Double(double) => double.is_nan(),
            Number::Decimal(decimal) => decimal.is_none(),
        }
    }

    /// Whether it is zero, or so small that servers that counted in whole numbers could take it for that.
    pub(super) fn is_tiny(self) -> bool {
        const TINY: f64 = 1e-9;
        match self {
            Number::Integer(integer) => integer == 0,
            Number::Double(double) => double.abs() < TINY,
            Number::Decimal(decimal) => decimal.is_some_and(|decimal| decimal.zero),
        }
    }

    /// Whether it is below zero. Minus zero is not.
    pub(super) fn is_negative(self) -> bool {
        match self {
            Number::Integer(integer) => integer < 0,
            Number::Double(double) => double < 0.0,
            Number::Decimal(decimal) => decimal.is_some_and(|decimal| decimal.negative && !decimal.zero),
        }
    }

    /// Without its fraction; cut to what fits.
    #[allow(clippy::cast_possible_truncation, reason = "the cast saturates, and NaN is 0")]
    pub(super) fn truncated(self) -> i64 {
        match self {
            Number::Integer(integer) => integer,
            Number::Double(double) => double as i64,
            Number::Decimal(decimal) => decimal.map_or(0, |decimal| decimal.whole),
        }
    }

    /// Itself, if it is a whole number of which no digit was lost on the way.
    pub(super) fn exact(self) -> Option<i64> {
        const EXACT: u64 = 1 << 62;
        match self {
            Number::Integer(integer) => Some(integer),
            _ => Some(self.truncated()).filter(|whole| self.is_integral() && whole.unsigned_abs() < EXACT),
        }
    }

    /// As a double, if it is one that has an end, or a whole number.
    #[allow(clippy::cast_precision_loss, reason = "servers go by doubles themselves")]
    pub(super) fn finite(self) -> Option<f64> {
        match self {
            Number::Double(double) => Some(double).filter(|double| double.is_finite()),
            _ => self.exact().map(|whole| whole as f64),
        }
    }

    pub(super) fn is_integral(self) -> bool {
        match self {
            Number::Integer(_) => true,
            Number::Double(double) => double.fract() == 0.0,
            Number::Decimal(decimal) => decimal.is_some_and(|decimal| decimal.integral),
        }
    }
}

/// Reads an IEEE 754 decimal in the encoding of BSON.
fn decimal(bits: u128) -> Option<Decimal> {
    const EXPONENT_BIAS: i32 = 6176;
    const LARGEST: u128 = 10_u128.pow(34) - 1;
    let negative = bits >> 127 == 1;
    let of = |whole: u128, integral: bool, zero: bool| {
        let whole = i64::try_from(whole).unwrap_or(i64::MAX);
        Some(Decimal { negative, whole: if negative { whole.saturating_neg() } else { whole }, integral, zero })
    };
    match (bits >> 122) & 0b1_1111 {
        0b1_1111 => return None,
        0b1_1110 => return of(u128::MAX, true, false),
        // A coefficient above the largest, which counts as zero.
        combination if combination >= 0b1_1000 => return of(0, true, true),
        _ => {}
    }
    let exponent = i32::try_from((bits >> 113) & 0x3fff).unwrap_or(0) - EXPONENT_BIAS;
    let coefficient = Some(bits & ((1 << 113) - 1)).filter(|coefficient| *coefficient <= LARGEST).unwrap_or(0);
    let zero = format!("{coefficient}e{exponent}").parse() == Ok(0.0_f64);
    let (whole, integral) = match (exponent < 0, 10_u128.checked_pow(exponent.unsigned_abs())) {
        (false, Some(power)) => (coefficient.saturating_mul(power), true),
        (false, None) => (if coefficient == 0 { 0 } else { u128::MAX }, true),
        (true, Some(power)) => (coefficient / power, coefficient.is_multiple_of(power)),
        (true, None) => (0, coefficient == 0),
    };
    of(whole, integral, zero)
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;
    use crate::document::elements;

    fn decimal_of(text: &str) -> Number {
        let doc = rawdoc! { "a": text.parse::<bson::Decimal128>().unwrap() };
        let number = elements(doc.as_bytes()).next().unwrap().map(|element| Number::of(&element)).unwrap();
        number.unwrap()
    }

    #[test]
    fn decimals_are_read() {
        for (text, whole, integral, negative) in [
            ("0", 0, true, false),
            ("-0", 0, true, false),
            ("0E+6000", 0, true, false),
            ("1", 1, true, false),
            ("3600.5", 3600, false, false),
            ("-2.50", -2, false, true),
            ("1E-100", 0, false, false),
            ("-1E-100", 0, false, true),
            ("-1E-400", 0, false, false),
            ("12E2", 1200, true, false),
            ("9.999999999999999999999999999999999E6144", i64::MAX, true, false),
            ("-Infinity", -i64::MAX, true, true),
        ] {
            let number = decimal_of(text);
            let read = (number.truncated(), number.is_integral(), number.is_negative());
            assert_eq!(read, (whole, integral, negative), "{text}");
        }
        assert!(decimal_of("NaN").is_nan());
    }
}
