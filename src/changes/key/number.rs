//! Numbers of all four types as bytes that sort by value, with nothing rounded.
//!
//! A number is its sign and the largest double that is not above its magnitude; where that is not the number itself, its
//! up to 34 decimal digits follow. Each double is thus in its place among integers and decimals, and 2^53 + 1 is not
//! 2^53, nor NumberDecimal("0.1") the double 0.1: the server compares exactly, too (its `KeyString` stores a double and
//! a "decimal continuation").

use std::cmp::Ordering;

const NAN: u8 = 1;
const NEGATIVE_INFINITY: u8 = 2;
const NEGATIVE: u8 = 3;
const ZERO: u8 = 4;
const POSITIVE: u8 = 5;
const INFINITY: u8 = 6;

/// A NaN is below all numbers, and all zeros are one.
pub(super) fn double(value: f64, bytes: &mut Vec<u8>) {
    if value.is_nan() {
        bytes.push(NAN);
    } else if value == 0.0 {
        bytes.push(ZERO);
    } else if value.is_infinite() {
        bytes.push(if value < 0.0 { NEGATIVE_INFINITY } else { INFINITY });
    } else {
        signed(value < 0.0, &Magnitude { floor: value.abs(), digits: None }, bytes);
    }
}

pub(super) fn integer(value: i64, bytes: &mut Vec<u8>) {
    match value {
        0 => bytes.push(ZERO),
        _ => signed(value < 0, &Magnitude::of_integer(value.unsigned_abs()), bytes),
    }
}

/// An IEEE 754 decimal, in the binary encoding that BSON has.
pub(super) fn decimal(bits: u128, bytes: &mut Vec<u8>) {
    const EXPONENT_BIAS: i32 = 6176;
    const LARGEST: u128 = 10_u128.pow(34) - 1;
    let negative = bits >> 127 == 1;
    match (bits >> 122) & 0b1_1111 {
        0b1_1111 => return bytes.push(NAN),
        0b1_1110 => return bytes.push(if negative { NEGATIVE_INFINITY } else { INFINITY }),
        // A coefficient above the largest, which counts as zero.
        combination if combination >= 0b1_1000 => return bytes.push(ZERO),
        _ => {}
    }
    let mut coefficient = bits & ((1 << 113) - 1);
    if coefficient == 0 || coefficient > LARGEST {
        return bytes.push(ZERO);
    }
    let mut exponent = i32::try_from((bits >> 113) & 0x3fff).unwrap_or(0) - EXPONENT_BIAS;
    while coefficient.is_multiple_of(10) {
        coefficient /= 10;
        exponent += 1;
    }
    signed(negative, &Magnitude::of_decimal(coefficient, exponent), bytes);
}

fn signed(negative: bool, magnitude: &Magnitude, bytes: &mut Vec<u8>) {
    bytes.push(if negative { NEGATIVE } else { POSITIVE });
    let start = bytes.len();
    magnitude.write(bytes);
    if negative {
        bytes.iter_mut().skip(start).for_each(|byte| *byte = !*byte);
    }
}

/// A number above zero.
struct Magnitude {
    /// The largest double that is not above it.
    floor: f64,
    /// What it is, unless it is `floor`.
    digits: Option<Digits>,
}

/// `coefficient` times ten to the power of `exponent`; the coefficient is no zero and has at most 34 digits.
#[derive(Clone, Copy)]
struct Digits {
    coefficient: u128,
    exponent: i32,
}

impl Magnitude {
    #[allow(clippy::cast_precision_loss, reason = "no more bits are left than a double holds")]
    fn of_integer(integer: u64) -> Self {
        let surplus = (u64::BITS - integer.leading_zeros()).saturating_sub(f64::MANTISSA_DIGITS);
        let floor = integer >> surplus << surplus;
        let digits = Digits { coefficient: integer.into(), exponent: 0 };
        Magnitude { floor: floor as f64, digits: (floor != integer).then_some(digits) }
    }

    fn of_decimal(coefficient: u128, exponent: i32) -> Self {
        let digits = Digits { coefficient, exponent };
        if let Some(integer) = digits.as_integer() {
            return Self::of_integer(integer);
        }
        let nearest = format!("{coefficient}e{exponent}").parse().unwrap_or(f64::INFINITY);
        if nearest > f64::MAX {
            return Magnitude { floor: f64::MAX, digits: Some(digits) };
        }
        match digits.compare(nearest) {
            Ordering::Equal => Magnitude { floor: nearest, digits: None },
            Ordering::Less => Magnitude { floor: nearest.next_down(), digits: Some(digits) },
            Ordering::Greater => Magnitude { floor: nearest, digits: Some(digits) },
        }
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        // The bits of doubles that are not negative sort as the doubles do.
        bytes.extend_from_slice(&self.floor.to_bits().to_be_bytes());
        bytes.push(u8::from(self.digits.is_some()));
        if let Some(digits) = &self.digits {
            digits.write(bytes);
        }
    }
}

impl Digits {
    fn as_integer(self) -> Option<u64> {
        let power = 10_u64.checked_pow(u32::try_from(self.exponent).ok()?)?;
        u64::try_from(self.coefficient).ok()?.checked_mul(power)
    }

    /// The power of ten of the first digit.
    fn magnitude(self) -> i32 {
        self.exponent + self.coefficient.checked_ilog10().map_or(0, u32::cast_signed)
    }

    /// Compares with a finite double that is not negative, by decimal digits: all of a double's, if it must be.
    fn compare(self, double: f64) -> Ordering {
        if double == 0.0 {
            return Ordering::Greater;
        }
        // 40 digits decide unless both agree in them. No double has more than 767.
        [39, 766]
            .into_iter()
            .map(|decimals| {
                let text = format!("{double:.decimals$e}");
                let (mantissa, magnitude) = text.split_once('e').unwrap_or((&text, "0"));
                let own = self.coefficient.to_string().into_bytes().into_iter().chain(std::iter::repeat(b'0'));
                let others = mantissa.bytes().filter(u8::is_ascii_digit);
                let same_place = self.magnitude().cmp(&magnitude.parse().unwrap_or(0));
                same_place.then_with(|| own.take(decimals + 1).cmp(others))
            })
            .find(|ordering| ordering.is_ne())
            .unwrap_or(Ordering::Equal)
    }

    /// The power of ten, then all 34 digits with zeros behind: one form for each number, in its order.
    fn write(self, bytes: &mut Vec<u8>) {
        const BIAS: i32 = 1 << 14;
        const DIGITS: u32 = 34;
        let place = u16::try_from(self.magnitude() + BIAS).unwrap_or(0);
        bytes.extend_from_slice(&place.to_be_bytes());
        let missing = (DIGITS - 1).saturating_sub(self.coefficient.checked_ilog10().unwrap_or(0));
        let full = self.coefficient.saturating_mul(10_u128.saturating_pow(missing));
        bytes.extend_from_slice(&full.to_be_bytes());
    }
}
