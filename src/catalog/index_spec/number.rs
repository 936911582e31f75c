//! The number that a BSON value is, as far as index specs ask for it.

use crate::document::{Element, kind};

/// A number of any of the four types.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Integer(i64),
    Double(f64),
    /// Of a decimal: whether it is negative, and its value cut to a whole number. None for NaN.
    Decimal(Option<(bool, i64, bool)>),
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
            Number::Decimal(decimal) => matches!(decimal, Some((_, 0, true))),
        }
    }

    /// Whether it is below zero. Minus zero is not.
    pub(super) fn is_negative(self) -> bool {
        match self {
            Number::Integer(integer) => integer < 0,
            Number::Double(double) => double < 0.0,
            Number::Decimal(decimal) => matches!(decimal, Some((true, whole, integral)) if whole != 0 || !integral),
        }
    }

    /// Without its fraction; cut to what fits.
    #[allow(clippy::cast_possible_truncation, reason = "the cast saturates, and NaN is 0")]
    pub(super) fn truncated(self) -> i64 {
        match self {
            Number::Integer(integer) => integer,
            Number::Double(double) => double as i64,
            Number::Decimal(decimal) => decimal.map_or(0, |(_, whole, _)| whole),
        }
    }

    pub(super) fn is_integral(self) -> bool {
        match self {
            Number::Integer(_) => true,
            Number::Double(double) => double.fract() == 0.0,
            Number::Decimal(decimal) => matches!(decimal, Some((_, _, true))),
        }
    }
}

/// The sign, the whole part and whether there is no other part, of an IEEE 754 decimal in the encoding of BSON.
fn decimal(bits: u128) -> Option<(bool, i64, bool)> {
    const EXPONENT_BIAS: i32 = 6176;
    const LARGEST: u128 = 10_u128.pow(34) - 1;
    let negative = bits >> 127 == 1;
    let sign = |whole: u128| {
        let whole = i64::try_from(whole).unwrap_or(i64::MAX);
        if negative { whole.saturating_neg() } else { whole }
    };
    match (bits >> 122) & 0b1_1111 {
        0b1_1111 => return None,
        0b1_1110 => return Some((negative, sign(u128::MAX), true)),
        // A coefficient above the largest, which counts as zero.
        combination if combination >= 0b1_1000 => return Some((negative, 0, true)),
        _ => {}
    }
    let exponent = i32::try_from((bits >> 113) & 0x3fff).unwrap_or(0) - EXPONENT_BIAS;
    let coefficient = Some(bits & ((1 << 113) - 1)).filter(|coefficient| *coefficient <= LARGEST).unwrap_or(0);
    let power = 10_u128.checked_pow(exponent.unsigned_abs());
    let (whole, integral) = match (exponent < 0, power) {
        (false, Some(power)) => (coefficient.saturating_mul(power), true),
        (false, None) => (if coefficient == 0 { 0 } else { u128::MAX }, true),
        (true, Some(power)) => (coefficient / power, coefficient.is_multiple_of(power)),
        (true, None) => (0, coefficient == 0),
    };
    Some((negative, sign(whole), integral))
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
