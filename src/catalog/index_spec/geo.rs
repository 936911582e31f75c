//! What servers ask of an index on places: where in the key the place stands, and within which bounds its numbers are.

use super::{key, number::Number, text::check_version};
use crate::{
    connect::Version,
    document::{self, Element},
};

/// The precision of a flat place.
const BITS: std::ops::RangeInclusive<i64> = 1..=32;
/// The levels of cells on a sphere.
const LEVELS: std::ops::RangeInclusive<i64> = 0..=30;
/// The edges of a flat map that names none.
const EDGES: (f64, f64) = (-180.0, 180.0);

/// Says why no server builds it, if it is an index on places.
pub(super) fn check(spec: &[u8], key: &[u8], target: Version) -> Result<(), String> {
    let fields: Vec<Element<'_>> = document::elements(key).map_while(Result::ok).collect();
    let kind = key::kind_of(key);
    let places = fields.iter().filter(|field| field.string() == Some(kind)).count();
    let is_first = fields.first().is_some_and(|field| field.string() == Some(kind));
    let number = |name: &[u8]| document::find(spec, name).and_then(|option| Number::of(&option));
    match kind {
        b"2d" | b"geoHaystack" if places > 1 || !is_first => {
            let kind = String::from_utf8_lossy(kind);
            Err(format!("a {kind} index has one place, and that first in its key"))
        }
        b"2d" => check_flat(number),
        b"2dsphere" => check_sphere(number, target),
        // Only servers that know such indexes come here.
        b"geoHaystack" if fields.len() != 2 => Err("a geoHaystack index has one field beside the place".to_owned()),
        b"geoHaystack" if number(b"bucketSize").is_none_or(|size| size.exact() == Some(0)) => {
            Err("a geoHaystack index needs a bucketSize that is not 0".to_owned())
        }
        _ => Ok(()),
    }
}

fn check_flat(number: impl Fn(&[u8]) -> Option<Number>) -> Result<(), String> {
    if number(b"bits").is_some_and(|bits| !BITS.contains(&bits.truncated())) {
        return Err(format!("its bits are not between {} and {}", BITS.start(), BITS.end()));
    }
    // Which numbers without an end a release takes is its own to say.
    let edge = |name: &[u8], default: f64| number(name).map_or(Some(default), Number::finite);
    match (edge(b"min", EDGES.0), edge(b"max", EDGES.1)) {
        (Some(min), Some(max)) if min >= max => Err("its min is not below its max".to_owned()),
        _ => Ok(()),
    }
}

fn check_sphere(number: impl Fn(&[u8]) -> Option<Number>, target: Version) -> Result<(), String> {
    let whole = |name: &str| match number(name.as_bytes()) {
        Some(number) if !number.is_integral() => Err(format!("its {name} is not a whole number")),
        number => Ok(number.map(Number::truncated)),
    };
    if let Some(version) = whole("2dsphereIndexVersion")? {
        check_version(version, "2dsphereIndexVersion", target)?;
    }
    let level = |name: &str| match whole(name)? {
        Some(level) if !LEVELS.contains(&level) => {
            Err(format!("its {name} is not between {} and {}", LEVELS.start(), LEVELS.end()))
        }
        level => Ok(level),
    };
    match (level("coarsestIndexedLevel")?, level("finestIndexedLevel")?) {
        (Some(coarsest), Some(finest)) if coarsest > finest => {
            Err("its coarsestIndexedLevel is above its finestIndexedLevel".to_owned())
        }
        _ => Ok(()),
    }
}
