//! What the walk promises: every type's length, the same fields as bson sees, and no panic on any bytes.

use bson::{
    Binary, DateTime, Decimal128, RawBson, RawJavaScriptCodeWithScope, Regex, Timestamp, oid::ObjectId, rawdoc,
    spec::BinarySubtype,
};
use proptest::prelude::*;

use super::{super::RawBuilder, *};

/// A field of every type, under the names `01`, `02`, … of their type bytes.
fn every_type() -> Vec<u8> {
    let code = RawJavaScriptCodeWithScope { code: "f()".to_owned(), scope: rawdoc! { "x": 1 } };
    let mut doc = RawBuilder::new();
    for element in elements(
        rawdoc! {
            "01": 1.5,
            "02": "two",
            "03": { "a": 1 },
            "04": [1, "b"],
            "05": Binary { subtype: BinarySubtype::Generic, bytes: vec![0, 1, 0] },
            "07": ObjectId::from_bytes([7; 12]),
            "08": true,
            "09": DateTime::from_millis(-1),
            "0a": RawBson::Null,
            "0b": Regex { pattern: "^a".try_into().unwrap(), options: "im".try_into().unwrap() },
            "0d": RawBson::JavaScriptCode("g()".to_owned()),
            "0e": RawBson::Symbol("sym".to_owned()),
            "0f": code,
            "10": 16,
            "11": Timestamp { time: 1, increment: 2 },
            "12": 18i64,
            "13": Decimal128::from_bytes([3; 16]),
            "7f": RawBson::MaxKey,
            "ff": RawBson::MinKey,
            "06": RawBson::Undefined,
        }
        .as_bytes(),
    ) {
        doc.append(&element.unwrap());
    }
    doc.append_element(kind::DB_POINTER, "0c", b"\x02\0\0\0b\0oid of 12 by").finish()
}

#[test]
fn every_type_is_walked_by_its_own_length() {
    let doc = every_type();
    let elements: Vec<Element<'_>> = elements(&doc).collect::<Result<_, _>>().unwrap();
    assert_eq!(elements.len(), 21);
    for element in &elements {
        assert_eq!(format!("{:02x}", element.kind).as_bytes(), element.name);
    }
    let rebuilt: Vec<u8> = elements.iter().flat_map(|element| element.whole).copied().collect();
    assert_eq!(rebuilt, doc[4..doc.len() - 1], "no byte is skipped");
}

#[test]
fn names_and_strings_that_are_not_utf8_are_walked() {
    let doc = RawBuilder::new().string(b"\xff\xfe", b"\xc3").int32("", 1).finish();
    let elements: Vec<Element<'_>> = elements(&doc).collect::<Result<_, _>>().unwrap();
    assert_eq!(elements[0].name, b"\xff\xfe");
    assert_eq!(elements[0].value, b"\x02\0\0\0\xc3\0");
    assert_eq!(elements[1].name, b"");
}

#[test]
fn every_truncation_of_a_document_is_an_error_and_ends_the_walk() {
    let doc = every_type();
    for len in 0..doc.len() {
        // Once as it was cut, once with a length and a NUL that claim all is well.
        let mut walk = elements(&doc[..len]);
        assert!(matches!(walk.next(), Some(Err(_))));
        assert!(walk.next().is_none());
        let mut claimed = doc[..len].to_vec();
        claimed.push(0);
        if let (Some(prefix), Ok(length)) = (claimed.first_chunk_mut(), i32::try_from(len + 1)) {
            *prefix = length.to_le_bytes();
        }
        let mut walk = elements(&claimed);
        while walk.next().is_some_and(|element| element.is_ok()) {}
        assert!(walk.next().is_none());
    }
}

#[test]
fn broken_values_are_told_by_their_place_and_reason() {
    let breaks: [(u8, &[u8], &str); 11] = [
        (kind::STRING, b"\0\0\0\0\0", "a string shorter than its NUL"),
        (kind::STRING, b"\xff\xff\xff\xff\0", "a string shorter than its NUL"),
        (kind::STRING, b"\x01\0\0\0a", "no NUL at a string's end"),
        (kind::STRING, b"\xff\xff\xff\x7f\0", PAST_THE_END),
        (kind::DOCUMENT, b"\x04\0\0\0", "an embedded document shorter than an empty one"),
        (kind::ARRAY, b"\x05\0\0\0\x01", "no NUL at an embedded document's end"),
        (kind::BINARY, b"\xff\xff\xff\xff\0", "binary of a negative length"),
        (kind::BINARY, b"\x09\0\0\0\0", PAST_THE_END),
        (kind::REGEX, b"a", "a regular expression without an end"),
        (kind::CODE_WITH_SCOPE, b"\x0d\0\0\0", "code with scope shorter than an empty one"),
        (0x14, b"", "an unknown type"),
    ];
    for (kind, value, reason) in breaks {
        let doc = RawBuilder::new().bool("a", true).append_element(kind, "b", value).finish();
        let broken = elements(&doc).find_map(Result::err);
        assert_eq!(broken, Some(Malformed { offset: 8, reason }));
    }
}

#[test]
fn a_document_that_ends_before_its_length_is_an_error() {
    let broken = elements(b"\x07\0\0\0\0\0\0").find_map(Result::err);
    assert_eq!(broken, Some(Malformed { offset: 4, reason: "ends before its length" }));
}

proptest! {
    #[test]
    fn no_bytes_make_the_walk_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64), fits: bool) {
        let mut bytes = bytes;
        if fits && bytes.len() >= 5 {
            let length = i32::try_from(bytes.len()).unwrap().to_le_bytes();
            bytes[..4].copy_from_slice(&length);
            *bytes.last_mut().unwrap() = 0;
        }
        let walked: usize = elements(&bytes).map_while(Result::ok).map(|element| element.whole.len()).sum();
        prop_assert!(walked <= bytes.len());
    }

    #[test]
    fn a_nul_is_found_where_a_plain_search_finds_it(bytes in proptest::collection::vec(0u8..3, 0..40)) {
        prop_assert_eq!(position_of_nul(&bytes), bytes.iter().position(|&byte| byte == 0));
    }

    #[test]
    fn high_bytes_before_a_nul_are_no_nul(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        prop_assert_eq!(position_of_nul(&bytes), bytes.iter().position(|&byte| byte == 0));
    }
}
