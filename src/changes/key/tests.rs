//! What the key promises: one string of bytes for what the server holds equal, in the order of the server's index.

use std::cmp::Ordering;

use bson::{
    Binary, DateTime, Decimal128, RawBson, RawDocumentBuf, RawJavaScriptCodeWithScope, Regex, Timestamp, oid::ObjectId,
    rawbson, rawdoc, spec::BinarySubtype,
};
use proptest::prelude::*;

use super::*;
use crate::document::RawBuilder;

fn key_of(value: impl Into<RawBson>) -> Key {
    let mut doc = RawDocumentBuf::new();
    doc.append(bson::cstr!("_id"), value.into());
    Key::of(&document::id(doc.as_bytes()).unwrap())
}

fn decimal(text: &str) -> RawBson {
    RawBson::Decimal128(text.parse::<Decimal128>().unwrap())
}

#[test]
fn numbers_of_one_value_are_one_key_whatever_their_type() {
    let groups: Vec<Vec<RawBson>> = vec![
        vec![
            rawbson!(1),
            rawbson!(1i64),
            rawbson!(1.0),
            decimal("1"),
            decimal("1.0"),
            decimal("1E0"),
            decimal("10E-1"),
        ],
        vec![
            rawbson!(0),
            rawbson!(0i64),
            rawbson!(0.0),
            rawbson!(-0.0),
            decimal("0"),
            decimal("-0"),
            decimal("0E+6000"),
        ],
        vec![rawbson!(f64::NAN), rawbson!(-f64::NAN), decimal("NaN"), decimal("-NaN")],
        vec![rawbson!(f64::INFINITY), decimal("Infinity")],
        vec![rawbson!(f64::NEG_INFINITY), decimal("-Infinity")],
        vec![rawbson!(-7), rawbson!(-7.0), decimal("-7.000000000000000000000000000000000")],
        vec![rawbson!(0.5), decimal("0.5"), decimal("5.000E-1")],
        vec![rawbson!(1i64 << 53), rawbson!(9_007_199_254_740_992.0), decimal("9007199254740992")],
        vec![rawbson!((1i64 << 53) + 1), decimal("9007199254740993")],
        vec![rawbson!(i64::MIN), rawbson!(-9_223_372_036_854_775_808.0), decimal("-9223372036854775808")],
        vec![rawbson!(i64::MAX), decimal("9223372036854775807")],
        vec![rawbson!(9_223_372_036_854_775_808.0), decimal("9223372036854775808")],
        vec![rawbson!(1e22), decimal("1E22"), decimal("10000000000000000000000")],
        vec![rawbson!(0.1)],
        vec![decimal("0.1"), decimal("1E-1"), decimal("0.1000")],
        vec![decimal("0.1000000000000000055511151231257827")],
        vec![decimal("1E6144"), decimal("1.000000000000000000000000000000000E6144")],
        vec![decimal("1E-6176")],
        vec![rawbson!(5e-324)],
        vec![rawbson!(f64::MAX)],
    ];
    for (i, group) in groups.iter().enumerate() {
        for (j, other) in groups.iter().enumerate() {
            for (a, b) in group.iter().flat_map(|a| other.iter().map(move |b| (a, b))) {
                assert_eq!(key_of(a.clone()) == key_of(b.clone()), i == j, "{a:?} {b:?}");
            }
        }
    }
}

/// In the order of the server's index.
fn ascending() -> Vec<RawBson> {
    let uuid = |bytes: &[u8]| RawBson::Binary(Binary { subtype: BinarySubtype::Uuid, bytes: bytes.to_vec() });
    let generic = |bytes: &[u8]| RawBson::Binary(Binary { subtype: BinarySubtype::Generic, bytes: bytes.to_vec() });
    let regex = |pattern: &str, options: &str| {
        RawBson::RegularExpression(Regex { pattern: pattern.try_into().unwrap(), options: options.try_into().unwrap() })
    };
    let scope = |scope| RawBson::JavaScriptCodeWithScope(RawJavaScriptCodeWithScope { code: "f".to_owned(), scope });
    vec![
        RawBson::MinKey,
        RawBson::Undefined,
        RawBson::Null,
        rawbson!(f64::NAN),
        rawbson!(f64::NEG_INFINITY),
        decimal("-9.999999999999999999999999999999999E6144"),
        rawbson!(-f64::MAX),
        rawbson!(-9_223_372_036_854_775_808.0),
        rawbson!(i64::MIN + 1),
        rawbson!(-1.5),
        rawbson!(-1),
        decimal("-0.1"),
        rawbson!(-5e-324),
        decimal("-1E-6176"),
        rawbson!(0),
        decimal("1E-6176"),
        decimal("2E-6176"),
        rawbson!(5e-324),
        decimal("5E-324"),
        rawbson!(f64::MIN_POSITIVE),
        decimal("0.09999999999999999999999999999999999"),
        decimal("0.1"),
        decimal("0.1000000000000000055511151231257827"),
        rawbson!(0.1),
        decimal("0.1000000000000000055511151231257828"),
        rawbson!(1),
        decimal("1.000000000000000000000000000000001"),
        rawbson!(1.000_000_000_000_000_2),
        rawbson!(9_007_199_254_740_992.0),
        rawbson!((1i64 << 53) + 1),
        decimal("9007199254740993.5"),
        rawbson!(9_007_199_254_740_994.0),
        rawbson!(i64::MAX),
        decimal("9223372036854775807.5"),
        rawbson!(9_223_372_036_854_775_808.0),
        decimal("1.797693134862315708145274237317043E308"),
        rawbson!(f64::MAX),
        decimal("1.797693134862315708145274237317044E308"),
        decimal("9.999999999999999999999999999999999E6144"),
        rawbson!(f64::INFINITY),
        rawbson!(""),
        rawbson!("\0"),
        rawbson!("A"),
        RawBson::Symbol("B".to_owned()),
        rawbson!("a"),
        rawbson!("a\0"),
        rawbson!("a\0\0"),
        rawbson!("a\0b"),
        rawbson!("a\u{1}"),
        rawbson!("aa"),
        rawbson!("é"),
        rawbson!({}),
        rawbson!({ "b": 1 }),
        rawbson!({ "b": 1, "a": 1 }),
        rawbson!({ "b": 2 }),
        rawbson!({ "c": 0 }),
        rawbson!({ "a": "x" }),
        rawbson!({ "a": {} }),
        rawbson!({ "a": { "b": 1 } }),
        rawbson!({ "a": [] }),
        rawbson!({ "a": [1] }),
        rawbson!({ "a": [1, 1] }),
        rawbson!({ "a": [2] }),
        generic(b""),
        generic(b"a"),
        generic(b"b"),
        uuid(b"a"),
        generic(b"aa"),
        generic(&[0; 300]),
        RawBson::ObjectId(ObjectId::from_bytes([1; 12])),
        RawBson::ObjectId(ObjectId::from_bytes([0xff; 12])),
        rawbson!(false),
        rawbson!(true),
        RawBson::DateTime(DateTime::from_millis(i64::MIN)),
        RawBson::DateTime(DateTime::from_millis(-1)),
        RawBson::DateTime(DateTime::from_millis(1)),
        RawBson::Timestamp(Timestamp { time: 0, increment: u32::MAX }),
        RawBson::Timestamp(Timestamp { time: 1, increment: 0 }),
        RawBson::Timestamp(Timestamp { time: u32::MAX, increment: 0 }),
        regex("a", ""),
        regex("a", "i"),
        regex("aa", ""),
        RawBson::JavaScriptCode("f".to_owned()),
        scope(rawdoc! {}),
        scope(rawdoc! { "a": 1 }),
        RawBson::MaxKey,
    ]
}

#[test]
fn values_stand_in_the_order_of_the_index() {
    let values: Vec<Key> = ascending().into_iter().map(key_of).collect();
    for (i, a) in values.iter().enumerate() {
        for (j, b) in values.iter().enumerate() {
            assert_eq!(a.cmp(b), i.cmp(&j), "{:?} {:?}", ascending()[i], ascending()[j]);
        }
    }
}

#[test]
fn names_and_order_of_fields_are_part_of_the_key_and_the_types_of_numbers_in_them_are_not() {
    assert_eq!(key_of(rawbson!({ "a": 1, "b": [2i64] })), key_of(rawbson!({ "a": 1.0, "b": [decimal("2.0")] })));
    assert_ne!(key_of(rawbson!({ "a": 1, "b": 2 })), key_of(rawbson!({ "b": 2, "a": 1 })));
    assert_ne!(key_of(rawbson!({ "a": 1 })), key_of(rawbson!({ "b": 1 })));
    assert_ne!(key_of(rawbson!({ "a": { "b": 1 } })), key_of(rawbson!({ "a": {}, "b": 1 })));
    assert_eq!(key_of("x"), key_of(RawBson::Symbol("x".to_owned())));
    assert_ne!(key_of("x"), key_of(RawBson::JavaScriptCode("x".to_owned())));
}

#[test]
fn a_pointer_is_compared_by_the_length_of_its_namespace_first() {
    let pointer = |namespace: &str, id: &[u8; 12]| {
        let length = u32::try_from(namespace.len() + 1).unwrap().to_le_bytes();
        let value = [&length[..], namespace.as_bytes(), b"\0", id].concat();
        let doc = RawBuilder::new().append_element(kind::DB_POINTER, "_id", &value).finish();
        Key::of(&document::id(&doc).unwrap())
    };
    assert!(pointer("b", &[9; 12]) < pointer("aa", &[0; 12]));
    assert!(pointer("b", &[1; 12]) < pointer("b", &[2; 12]));
}

#[test]
fn thousands_of_levels_and_broken_values_overflow_and_panic_nothing() {
    let mut nested = rawdoc! {}.into_bytes();
    for _ in 0..3_000 {
        nested = RawBuilder::new().document("a", &nested).finish();
    }
    let element = Element { kind: kind::DOCUMENT, name: b"_id", value: &nested, whole: &nested };
    let shallower = document::find(&nested, b"a").unwrap();
    assert_eq!(compare(&element, &element), Ordering::Equal);
    assert_eq!(compare(&element, &shallower), Ordering::Greater);
    for kind in 0..=u8::MAX {
        for value in
            [&b""[..], b"\0", b"\x05\0\0\0\x01", b"\xff\xff\xff\xff", b"\x0f\0\0\0\xff\xff\xff\x7f\0\0\0\0\0\0\0"]
        {
            let broken = Element { kind, name: b"", value, whole: value };
            assert_eq!(compare(&broken, &broken), Ordering::Equal);
        }
    }
}

fn scalars() -> impl Strategy<Value = RawBson> {
    let decimals =
        (any::<bool>(), 0..10u64.pow(16), -20..20i32, 0..3u32).prop_map(|(negative, digits, exponent, zeros)| {
            let sign = if negative { "-" } else { "" };
            decimal(&format!("{sign}{}E{}", digits * 10u64.pow(zeros), exponent))
        });
    prop_oneof![
        (-3..3i32).prop_map(RawBson::Int32),
        (-3..3i64).prop_map(RawBson::Int64),
        (-6..6i32).prop_map(|halves| RawBson::Double(f64::from(halves) / 2.0)),
        (-6..6i32).prop_map(|halves| decimal(&format!("{}E-1", halves * 5))),
        any::<i64>().prop_map(RawBson::Int64),
        any::<i64>().prop_map(|n| decimal(&n.to_string())),
        (-2..2i64).prop_map(|n| RawBson::Int64((1 << 53) + n)),
        (-2..2i64).prop_map(|n| decimal(&((1i64 << 53) + n).to_string())),
        any::<f64>().prop_map(RawBson::Double),
        any::<[u8; 16]>().prop_map(|bytes| RawBson::Decimal128(Decimal128::from_bytes(bytes))),
        decimals,
        "[ab\0]{0,3}".prop_map(RawBson::String),
        "[ab\0]{0,2}".prop_map(RawBson::Symbol),
        Just(RawBson::Null),
        Just(RawBson::Undefined),
        any::<bool>().prop_map(RawBson::Boolean),
    ]
}

fn values() -> impl Strategy<Value = RawBson> {
    scalars().prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(|values| {
                let mut array = bson::RawArrayBuf::new();
                values.into_iter().for_each(|value| array.push(value));
                RawBson::Array(array)
            }),
            prop::collection::vec(("[ab]", inner), 0..3).prop_map(|fields| {
                let mut doc = RawDocumentBuf::new();
                for (name, value) in fields {
                    let name: bson::raw::CString = name.as_str().try_into().unwrap();
                    doc.append(name, value);
                }
                RawBson::Document(doc)
            }),
        ]
    })
}

/// The exact value of a finite number, as `coefficient * 2^two * 10^ten`, compared in whole numbers where that fits.
fn small_number(value: &RawBson) -> Option<i128> {
    let scaled =
        |number: f64| (number.fract().abs() % 0.5 == 0.0 && number.abs() < 1e9).then_some((number * 2.0) as i128);
    match value {
        RawBson::Int32(n) => Some(i128::from(*n) * 2),
        RawBson::Int64(n) => Some(i128::from(*n) * 2),
        RawBson::Double(n) => scaled(*n),
        _ => None,
    }
}

proptest! {
    #[test]
    fn keys_are_a_total_order_that_agrees_with_equality(a in values(), b in values(), c in values()) {
        let (a, b, c) = (key_of(a), key_of(b), key_of(c));
        prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
        prop_assert_eq!(a.cmp(&b) == Ordering::Equal, a == b);
        if a <= b && b <= c {
            prop_assert!(a <= c);
        }
    }

    #[test]
    fn whole_and_half_numbers_compare_by_value(a in scalars(), b in scalars()) {
        if let (Some(x), Some(y)) = (small_number(&a), small_number(&b)) {
            prop_assert_eq!(key_of(a).cmp(&key_of(b)), x.cmp(&y));
        }
    }

    #[test]
    fn a_double_and_its_shortest_decimal_are_as_near_as_their_digits_say(number in any::<f64>().prop_filter("finite", |n| n.is_finite() && *n != 0.0)) {
        // 17 digits round to the double itself, so its neighbours are on either side of them.
        let text = format!("{number:.16e}").parse::<Decimal128>().unwrap();
        let text = key_of(RawBson::Decimal128(text));
        prop_assert!(key_of(number.next_down()) < text && text < key_of(number.next_up()));
    }

    #[test]
    fn any_bytes_are_some_key(kind in any::<u8>(), value in prop::collection::vec(any::<u8>(), 0..60)) {
        let element = Element { kind, name: b"_id", value: &value, whole: &value };
        prop_assert_eq!(compare(&element, &element), Ordering::Equal);
    }
}
