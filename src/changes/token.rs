//! Resume tokens: the bytes that a server takes a stream up again with, and the cluster time in them.
//!
//! A token is `{_data: "82…"}`: hexadecimal digits of a sortable key that begins with a cluster time. Nothing else of it
//! is read here. A high-water mark, which a server gives when it has nothing to tell, has the same form.

use crate::document::{self, RawBuilder, kind};

/// What a sortable key that begins with a timestamp begins with.
const TIMESTAMP: u8 = 0x82;
/// That byte and the timestamp behind it, seconds and increment, the highest byte first.
const LEAST: usize = 1 + 8;

/// The cluster time of a token: of an event that it stands behind, or the time that a stream had come to. All events
/// before that time are before the token; of a high-water mark, those of the time itself are behind it.
///
/// `None` when the token is of another form, which a server that is not MongoDB's may give.
pub fn time(token: &[u8]) -> Option<u64> {
    let data = document::find(token, b"_data")?;
    let key: [u8; LEAST] = match data.kind {
        kind::STRING => {
            // Rust's own reading would take a sign, too.
            let is_digits = |digits: &&[u8]| digits.iter().all(u8::is_ascii_hexdigit);
            let digits = data.string()?.get(..2 * LEAST).filter(is_digits)?;
            let mut key = [0; LEAST];
            for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
                *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
            }
            key
        }
        // Servers whose feature compatibility is 3.6: its length, its subtype, its bytes.
        kind::BINARY => *data.value.get(5..)?.first_chunk()?,
        _ => return None,
    };
    let (first, time) = key.split_first()?;
    (*first == TIMESTAMP).then(|| time.try_into().ok().map(u64::from_be_bytes))?
}

/// The token whose `_data` is `digits`, if they can be one's.
pub fn from_digits(digits: &str) -> Option<Vec<u8>> {
    let plausible = digits.len().is_multiple_of(2) && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let token = RawBuilder::new().string("_data", digits).finish();
    (plausible && time(&token).is_some()).then_some(token)
}

/// Seconds that one cluster time is behind another.
pub(crate) fn seconds_behind(time: u64, source: u64) -> u64 {
    (source >> 32).saturating_sub(time >> 32)
}

/// Seconds and increment of a cluster time, as people write them: `1700000000,3`.
pub fn written(time: u64) -> String {
    format!("{},{}", time >> 32, time & u64::from(u32::MAX))
}

/// The same with the moment that it is by the server's clock: `1700000000,3 (2023-11-14T22:13:20Z)`.
pub(crate) fn in_words(time: u64) -> String {
    let milliseconds = i64::try_from(time >> 32).unwrap_or(i64::MAX).saturating_mul(1000);
    match bson::DateTime::from_millis(milliseconds).try_to_rfc3339_string() {
        Ok(moment) => format!("{} ({moment})", written(time)),
        Err(_) => written(time),
    }
}

#[cfg(test)]
mod tests {
    use bson::{Binary, rawdoc, spec::BinarySubtype};

    use super::*;

    // As 6.0.5 wrote it.
    const OF_AN_EVENT: &str = "826565D6D8000000022B022C0100296E5A1004";

    #[test]
    fn a_token_tells_its_cluster_time() {
        let time_of = |digits: &str| time(rawdoc! { "_data": digits }.as_bytes());
        assert_eq!(time_of(OF_AN_EVENT), Some((0x6565_D6D8 << 32) | 2));
        assert_eq!(time_of(&OF_AN_EVENT.to_lowercase()), Some((0x6565_D6D8 << 32) | 2));
        let bytes = vec![0x82, 0, 0, 0, 7, 0, 0, 0, 3, 0x46];
        let binary = rawdoc! { "_data": Binary { subtype: BinarySubtype::Generic, bytes } };
        assert_eq!(time(binary.as_bytes()), Some((7 << 32) | 3));
    }

    #[test]
    fn a_token_of_another_form_tells_nothing() {
        for digits in ["", "82", "8265", "836565D6D800000002", "82+565D6D800000002", "826565D6D80000000é"] {
            assert_eq!(time(rawdoc! { "_data": digits }.as_bytes()), None, "{digits}");
        }
        assert_eq!(time(rawdoc! { "_data": 5 }.as_bytes()), None);
        assert_eq!(time(rawdoc! { "ts": "x" }.as_bytes()), None);
        assert_eq!(time(b"nonsense"), None);
    }

    #[test]
    fn a_time_is_written_with_its_moment() {
        assert_eq!(in_words((1_700_000_000 << 32) | 3), "1700000000,3 (2023-11-14T22:13:20Z)");
    }

    #[test]
    fn a_token_is_made_of_its_digits() {
        let token = from_digits(OF_AN_EVENT).unwrap();
        assert_eq!(token, rawdoc! { "_data": OF_AN_EVENT }.as_bytes());
        assert_eq!(from_digits("82zz"), None);
        assert_eq!(from_digits("1700000000"), None);
    }
}
