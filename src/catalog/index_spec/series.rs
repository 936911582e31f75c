//! What servers ask of an index on a time-series collection, which they turn into one on its buckets.

use super::{Context, key, value};
use crate::{
    connect::Version,
    document::{self, Element},
};

/// The first release with indexes on measurements, and with a filter.
const ON_MEASUREMENTS: Version = Version::new(6, 0, 0);
/// The first release on which an index expires measurements.
pub(super) const EXPIRES: Version = Version::new(6, 3, 0);
/// The first release that may build a wildcard on measurements: older ones were asked.
const WILDCARD: Version = Version::new(7, 0, 0);

/// Says why no server builds it, if its collection is a time series.
pub(super) fn check(spec: &[u8], key: &[u8], context: &Context<'_>) -> Result<(), String> {
    let Some(series) = document::find(context.options, b"timeseries") else {
        return Ok(());
    };
    let option = |name: &[u8]| document::find(spec, name);
    let is = |name: &[u8]| option(name).is_some_and(|option| value::is_true(&option));
    if is(b"unique") {
        return Err("servers keep no keys unique in a time series".to_owned());
    }
    if key::kind_of(key) == b"text" {
        return Err("servers build no text indexes on a time series".to_owned());
    }
    if context.target < ON_MEASUREMENTS && option(b"partialFilterExpression").is_some() {
        return Err("servers before 6.0 take no partialFilterExpression on a time series".to_owned());
    }
    let named = |name: &[u8]| document::find(series.value, name).and_then(|field| field.string());
    let (time, meta) = (named(b"timeField"), named(b"metaField"));
    let is_in = |field: &Element<'_>, of: Option<&[u8]>| field.name.split(|byte| *byte == b'.').next() == of;
    for field in document::elements(key).map_while(Result::ok).filter(|field| !is_in(field, meta)) {
        let path = String::from_utf8_lossy(field.name);
        if context.target < ON_MEASUREMENTS && Some(field.name) != time {
            return Err(format!(
                "servers before 6.0 index only the times of a time series and its metadata, not {path}"
            ));
        }
        if context.target < WILDCARD && (field.name == b"$**" || field.name.ends_with(b".$**")) {
            return Err("servers before 7.0 build no wildcard indexes on the measurements of a time series".to_owned());
        }
        let kind = field.string().filter(|kind| *kind != b"2dsphere" || Some(field.name) == time);
        if let Some(kind) = kind {
            let kind = String::from_utf8_lossy(kind);
            return Err(format!("servers build no {kind} indexes on the measurements of a time series"));
        }
        if is(b"sparse") && Some(field.name) != time {
            return Err("servers build no sparse indexes on the measurements of a time series".to_owned());
        }
    }
    Ok(())
}
