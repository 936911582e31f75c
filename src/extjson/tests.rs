//! The specification's canonical examples, bson's own conversion as the oracle, and what bson cannot show.

use std::fmt::Write;

use bson::{Bson, RawDocumentBuf, oid::ObjectId};
use proptest::{collection::vec, prelude::*};
use serde_json::Value;

use super::*;
use crate::document::{RawBuilder, id, kind};

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

#[test]
fn the_canonical_examples_of_the_specification_are_met() {
    let examples = [
        ("0500000000", "{}"),
        ("10000000016400000000000000F03F00", r#"{"d":{"$numberDouble":"1.0"}}"#),
        ("10000000016400000000008000F03F00", r#"{"d":{"$numberDouble":"1.0001220703125"}}"#),
        ("100000000164002A1BF5F41022B14300", r#"{"d":{"$numberDouble":"1.2345678921232E+18"}}"#),
        ("10000000016400000000000000008000", r#"{"d":{"$numberDouble":"-0.0"}}"#),
        ("10000000016400000000000000F87F00", r#"{"d":{"$numberDouble":"NaN"}}"#),
        ("10000000016400000000000000F07F00", r#"{"d":{"$numberDouble":"Infinity"}}"#),
        ("10000000016400000000000000F0FF00", r#"{"d":{"$numberDouble":"-Infinity"}}"#),
        ("0E00000002610002000000620000", r#"{"a":"b"}"#),
        ("0D000000037800050000000000", r#"{"x":{}}"#),
        ("140000000461000C0000001030000A0000000000", r#"{"a":[{"$numberInt":"10"}]}"#),
        ("0D000000057800000000000000", r#"{"x":{"$binary":{"base64":"","subType":"00"}}}"#),
        ("0F0000000578000200000000FFFF00", r#"{"x":{"$binary":{"base64":"//8=","subType":"00"}}}"#),
        ("13000000057800060000000202000000FFFF00", r#"{"x":{"$binary":{"base64":"//8=","subType":"02"}}}"#),
        ("0F0000000578000200000080FFFF00", r#"{"x":{"$binary":{"base64":"//8=","subType":"80"}}}"#),
        ("0800000006610000", r#"{"a":{"$undefined":true}}"#),
        ("1400000007610056E1FC72E0C917E9C471416100", r#"{"a":{"$oid":"56e1fc72e0c917e9c4714161"}}"#),
        ("090000000862000100", r#"{"b":true}"#),
        ("10000000096100C5D8D6CC3B01000000", r#"{"a":{"$date":{"$numberLong":"1356351330501"}}}"#),
        ("10000000096100C33CE7B9BDFFFFFF00", r#"{"a":{"$date":{"$numberLong":"-284643869501"}}}"#),
        ("1000000009610000DC1FD277E6000000", r#"{"a":{"$date":{"$numberLong":"253402300800000"}}}"#),
        ("080000000A610000", r#"{"a":null}"#),
        ("0F0000000B610061626300696D0000", r#"{"a":{"$regularExpression":{"pattern":"abc","options":"im"}}}"#),
        (
            "1A0000000C610002000000620056E1FC72E0C917E9C471416100",
            r#"{"a":{"$dbPointer":{"$ref":"b","$id":{"$oid":"56e1fc72e0c917e9c4714161"}}}}"#,
        ),
        ("0E0000000D610002000000620000", r#"{"a":{"$code":"b"}}"#),
        ("0E0000000E610002000000620000", r#"{"a":{"$symbol":"b"}}"#),
        (
            "210000000F6100190000000500000061626364000C000000107800010000000000",
            r#"{"a":{"$code":"abcd","$scope":{"x":{"$numberInt":"1"}}}}"#,
        ),
        ("0C0000001069000000008000", r#"{"i":{"$numberInt":"-2147483648"}}"#),
        ("100000001161002A00000015CD5B0700", r#"{"a":{"$timestamp":{"t":123456789,"i":42}}}"#),
        ("10000000126100FFFFFFFFFFFFFF7F00", r#"{"a":{"$numberLong":"9223372036854775807"}}"#),
        ("180000001364000000000000000000000000000000403000", r#"{"d":{"$numberDecimal":"0"}}"#),
        ("180000001364000000000000000000000000000000007C00", r#"{"d":{"$numberDecimal":"NaN"}}"#),
        ("180000001364000100000000000000000000000000000000", r#"{"d":{"$numberDecimal":"1E-6176"}}"#),
        ("08000000FF610000", r#"{"a":{"$minKey":1}}"#),
        ("080000007F610000", r#"{"a":{"$maxKey":1}}"#),
    ];
    for (hex, json) in examples {
        assert_eq!(to_string(&unhex(hex)).unwrap(), json);
    }
}

#[test]
fn what_no_decoder_keeps_is_shown_as_it_is_stored() {
    let doc = RawBuilder::new()
        .int32("a", 1)
        .int32("a", 2)
        .append_element(kind::REGEX, "r", b"x\0mi\0")
        .string(b"\xff", b"\xc3(\0\x1f\"\\\n\x7f")
        .append_element(kind::BINARY, "old", b"\x05\0\0\0\x02\xff\0\0\0\x01")
        .finish();
    let json = to_string(&doc).unwrap();
    assert_eq!(
        json,
        concat!(
            r#"{"a":{"$numberInt":"1"},"a":{"$numberInt":"2"},"#,
            r#""r":{"$regularExpression":{"pattern":"x","options":"mi"}},"#,
            "\"\u{fffd}\":\"\u{fffd}(\\u0000\\u001f\\\"\\\\\\n\u{7f}\",",
            r#""old":{"$binary":{"base64":"/wAAAAE=","subType":"02"}}}"#,
        )
    );
}

#[test]
fn a_million_levels_of_nesting_need_no_stack() {
    const LEVELS: usize = 1_000_000;
    let mut doc = Vec::new();
    for inside in (1..=LEVELS).rev() {
        doc.extend_from_slice(&i32::try_from(5 + 8 * inside).unwrap().to_le_bytes());
        doc.extend_from_slice(b"\x03a\0");
    }
    doc.extend_from_slice(b"\x05\0\0\0");
    doc.resize(doc.len() + LEVELS + 1, 0);
    assert_eq!(to_string(&doc).unwrap().len(), 2 + LEVELS * r#"{"a":}"#.len());
}

#[test]
fn a_malformed_value_is_told_by_its_offset_in_the_whole() {
    let inner = RawBuilder::new().int32("b", 1).append_element(0x55, "x", b"").finish();
    let doc = RawBuilder::new().int32("a", 1).document("in", &inner).finish();
    let error = to_string(&doc).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
    assert_eq!(error.to_string(), "malformed BSON at byte 26: an unknown type");
    assert_eq!(doc[26], 0x55);
    let code = b"\x0e\0\0\0\xff\0\0\0\0\0\0\0\0\0";
    let doc = RawBuilder::new().append_element(kind::CODE_WITH_SCOPE, "s", code).finish();
    let error = to_string(&doc).unwrap_err();
    assert_eq!(error.to_string(), "malformed BSON at byte 7: a value that is not as long as its type");
}

#[test]
fn a_value_is_cut_for_a_message_and_a_short_one_is_not() {
    let doc = RawBuilder::new().string("_id", "x".repeat(1000)).finish();
    let shown = value(&id(&doc).unwrap());
    assert_eq!(shown, format!("\"{}…", "x".repeat(VALUE_CHARS - 1)));
    let doc = RawBuilder::new().string("_id", "ü".repeat(VALUE_CHARS - 2)).finish();
    assert_eq!(value(&id(&doc).unwrap()), format!("\"{}\"", "ü".repeat(VALUE_CHARS - 2)));
    let doc = RawBuilder::new()
        .embed("_id", |id| {
            id.int32("a", 1).append_element(0x55, "b", b"");
        })
        .finish();
    assert_eq!(value(&id(&doc).unwrap()), r#"{"a":{"$numberInt":"1"}…"#);
}

#[test]
fn an_output_that_refuses_is_an_error() {
    struct Full;
    impl Write for Full {
        fn write_str(&mut self, _: &str) -> fmt::Result {
            Err(fmt::Error)
        }
    }
    assert_eq!(write(b"\x05\0\0\0\0", &mut Full).unwrap_err().kind(), ErrorKind::Io);
}

fn any_value() -> impl Strategy<Value = Bson> {
    let leaf = prop_oneof![
        any::<f64>().prop_map(Bson::Double),
        any::<u64>().prop_map(|bits| Bson::Double(f64::from_bits(bits))),
        any::<String>().prop_map(Bson::String),
        any::<bool>().prop_map(Bson::Boolean),
        any::<i32>().prop_map(Bson::Int32),
        any::<i64>().prop_map(Bson::Int64),
        any::<i64>().prop_map(|millis| Bson::DateTime(bson::DateTime::from_millis(millis))),
        any::<[u8; 12]>().prop_map(|bytes| Bson::ObjectId(ObjectId::from_bytes(bytes))),
        any::<[u8; 16]>().prop_map(|bytes| Bson::Decimal128(bson::Decimal128::from_bytes(bytes))),
        any::<(u32, u32)>().prop_map(|(time, increment)| Bson::Timestamp(bson::Timestamp { time, increment })),
        (any::<u8>(), vec(any::<u8>(), 0..40))
            .prop_map(|(subtype, bytes)| Bson::Binary(bson::Binary { subtype: subtype.into(), bytes })),
        any::<String>().prop_map(Bson::Symbol),
        any::<String>().prop_map(Bson::JavaScriptCode),
        Just(Bson::Null),
        Just(Bson::Undefined),
        Just(Bson::MinKey),
        Just(Bson::MaxKey),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Bson::Array),
            vec(("[^\0]*", inner), 0..6).prop_map(|fields| Bson::Document(fields.into_iter().collect())),
        ]
    })
}

/// Doubles by their bits: ours and bson's are spelled differently, and bson leaves subnormal ones bare.
fn with_doubles_as_bits(json: &mut Value) {
    let double = match &*json {
        Value::Object(fields) => {
            fields.get("$numberDouble").and_then(Value::as_str).and_then(|text| text.parse::<f64>().ok())
        }
        Value::Number(number) if number.is_f64() => number.as_f64(),
        _ => None,
    };
    match (double, json) {
        // Of a NaN only that it is one comes back.
        (Some(double), json) if double.is_nan() => *json = "NaN".into(),
        (Some(double), json) => *json = format!("double {:x}", double.to_bits()).into(),
        (None, Value::Object(fields)) => fields.values_mut().for_each(with_doubles_as_bits),
        (None, Value::Array(values)) => values.iter_mut().for_each(with_doubles_as_bits),
        _ => {}
    }
}

proptest! {
    #[test]
    fn ordinary_documents_are_shown_as_bson_shows_them(value in any_value()) {
        let doc = bson::doc! { "v": value };
        let raw = RawDocumentBuf::try_from(&doc).unwrap();
        let mut ours: Value = serde_json::from_str(&to_string(raw.as_bytes()).unwrap()).unwrap();
        let mut theirs = Bson::Document(doc).into_canonical_extjson();
        with_doubles_as_bits(&mut ours);
        with_doubles_as_bits(&mut theirs);
        // As text, because the order of fields counts.
        prop_assert_eq!(ours.to_string(), theirs.to_string());
    }

    #[test]
    fn every_double_reads_back_as_itself(bits: u64) {
        let double = f64::from_bits(bits);
        let json = to_string(&RawBuilder::new().double("d", double).finish()).unwrap();
        let json: Value = serde_json::from_str(&json).unwrap();
        let read: f64 = json["d"]["$numberDouble"].as_str().unwrap().parse().unwrap();
        prop_assert!(read.to_bits() == bits || (read.is_nan() && double.is_nan()));
    }

    #[test]
    fn no_bytes_make_it_panic(mut bytes in vec(any::<u8>(), 5..64)) {
        let length = i32::try_from(bytes.len()).unwrap().to_le_bytes();
        bytes[..4].copy_from_slice(&length);
        *bytes.last_mut().unwrap() = 0;
        let _ = to_string(&bytes);
    }
}
