//! Documents that a tool loses which decodes them: every type of BSON, names that no driver lets pass, `_id`s of all
//! types side by side, and the largest and deepest that servers take.

use transload::document::{RawBuilder, kind};

/// Bytes of the largest document that servers take.
const LARGEST: usize = 16 * 1024 * 1024;

/// A document with this `_id`, given as its type and value, and the fields that `fill` adds.
pub(crate) fn document(id: &(u8, Vec<u8>), fill: impl FnOnce(&mut RawBuilder)) -> Vec<u8> {
    let mut document = RawBuilder::new();
    document.append_element(id.0, "_id", &id.1);
    fill(&mut document);
    document.finish()
}

/// A document with a number as its `_id`.
pub(crate) fn numbered(id: i32, fill: impl FnOnce(&mut RawBuilder)) -> Vec<u8> {
    document(&int32(id), fill)
}

pub(crate) fn int32(value: i32) -> (u8, Vec<u8>) {
    (kind::INT32, value.to_le_bytes().to_vec())
}

pub(crate) fn string(text: impl AsRef<[u8]>) -> (u8, Vec<u8>) {
    (kind::STRING, text_value(text.as_ref()))
}

fn text_value(text: &[u8]) -> Vec<u8> {
    let length = i32::try_from(text.len() + 1).unwrap().to_le_bytes();
    [&length[..], text, &[0]].concat()
}

fn embedded(fill: impl FnOnce(&mut RawBuilder)) -> (u8, Vec<u8>) {
    let mut document = RawBuilder::new();
    fill(&mut document);
    (kind::DOCUMENT, document.finish())
}

fn binary_value(subtype: u8, bytes: &[u8]) -> Vec<u8> {
    [&i32::try_from(bytes.len()).unwrap().to_le_bytes()[..], &[subtype], bytes].concat()
}

/// Decimals by their bytes: 0, -0, 1, 1.0 (another exponent), the largest, infinities, NaN, NaN with a payload, a
/// signalling one, and a coefficient that is not canonical.
fn decimals() -> Vec<[u8; 16]> {
    let of = |high: u64, low: u64| {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&low.to_le_bytes());
        bytes[8..].copy_from_slice(&high.to_le_bytes());
        bytes
    };
    vec![
        of(0x3040_0000_0000_0000, 0),
        of(0xB040_0000_0000_0000, 0),
        of(0x3040_0000_0000_0000, 1),
        of(0x303E_0000_0000_0000, 10),
        of(0x5FFF_ED09_BEAD_87C0, 0x378D_8E63_FFFF_FFFF),
        of(0x7800_0000_0000_0000, 0),
        of(0xF800_0000_0000_0000, 0),
        of(0x7C00_0000_0000_0000, 0),
        of(0x7C00_0000_0000_0000, 0x1234),
        of(0x7E00_0000_0000_0000, 0),
        of(0x6C10_0000_0000_0000, 5),
    ]
}

/// A value of every type, several of those that have odd ones.
pub(crate) fn values() -> Vec<(u8, Vec<u8>)> {
    let mut values = vec![
        (kind::UNDEFINED, vec![]),
        (kind::NULL, vec![]),
        (kind::MIN_KEY, vec![]),
        (kind::MAX_KEY, vec![]),
        (kind::BOOL, vec![0]),
        (kind::BOOL, vec![1]),
        int32(i32::MIN),
        (kind::INT64, i64::MAX.to_le_bytes().to_vec()),
        (kind::DATE, i64::MIN.to_le_bytes().to_vec()),
        (kind::DATE, (-1_i64).to_le_bytes().to_vec()),
        (kind::TIMESTAMP, 1_u64.to_le_bytes().to_vec()),
        (kind::TIMESTAMP, u64::MAX.to_le_bytes().to_vec()),
        (kind::OBJECT_ID, vec![0; 12]),
        (kind::OBJECT_ID, vec![0xFF; 12]),
        string(""),
        string("a\0b"),
        string("\u{FEFF}é\u{301}🦀"),
        // No UTF-8: a stray byte, an overlong NUL, half a surrogate pair, a cut sequence.
        string(b"\xFF"),
        string(b"\xC0\x80"),
        string(b"\xED\xA0\x80"),
        string(b"caf\xC3"),
        (kind::SYMBOL, text_value(b"symbol")),
        (kind::CODE, text_value(b"function () { return 1 }")),
        (kind::DB_POINTER, [text_value(b"shop.orders"), vec![7; 12]].concat()),
        // Options in no order, and one that is none.
        (kind::REGEX, b"a(?<b>/)\0xsim\0".to_vec()),
        (kind::REGEX, b"\0\0".to_vec()),
        embedded(|_| {}),
        (kind::ARRAY, RawBuilder::new().int32("0", 1).append_element(kind::UNDEFINED, "1", &[]).finish()),
        // An array whose fields are not its numbers.
        (kind::ARRAY, RawBuilder::new().int32("7", 1).int32("x", 2).int32("", 3).finish()),
    ];
    let scope = RawBuilder::new().int32("x", 1).finish();
    let code = [text_value(b"return x"), scope].concat();
    let length = i32::try_from(code.len() + 4).unwrap().to_le_bytes();
    values.push((kind::CODE_WITH_SCOPE, [&length[..], &code].concat()));
    for double in [
        0.0_f64.to_bits(),
        (-0.0_f64).to_bits(),
        1,
        f64::MAX.to_bits(),
        f64::INFINITY.to_bits(),
        f64::NEG_INFINITY.to_bits(),
        f64::NAN.to_bits(),
        0x7FF8_0000_DEAD_BEEF,
        0x7FF0_0000_0000_0001,
        0xFFF8_0000_0000_0000,
    ] {
        values.push((kind::DOUBLE, double.to_le_bytes().to_vec()));
    }
    values.extend(decimals().into_iter().map(|decimal| (kind::DECIMAL128, decimal.to_vec())));
    for subtype in [0, 1, 3, 4, 5, 6, 0x80, 0xFF] {
        values.push((kind::BINARY, binary_value(subtype, &[9; 16])));
    }
    values.push((kind::BINARY, binary_value(0, &[])));
    // The old subtype has its length a second time.
    values.push((kind::BINARY, binary_value(2, &[3, 0, 0, 0, 1, 2, 3])));
    values
}

/// Each value in a document of its own, then all of them in one, under one name.
pub(crate) fn every_type() -> Vec<Vec<u8>> {
    let each = (0..).zip(values());
    let mut documents: Vec<_> = each
        .map(|(id, (kind, value))| {
            numbered(id, |doc| {
                doc.append_element(kind, "value", &value);
            })
        })
        .collect();
    documents.push(numbered(-1, |doc| {
        for (kind, value) in values() {
            doc.append_element(kind, "value", &value);
        }
    }));
    documents
}

/// Field names that are no trouble for a server of 5.0 or later. 4.2 refuses those that begin with `$` or hold a dot.
pub(crate) fn odd_names() -> Vec<Vec<u8>> {
    let names: [&[u8]; 16] = [
        b"",
        b".",
        b"..",
        b"a.b",
        b".a",
        b"a.",
        b"$",
        b"$set",
        b"$ref",
        b"$oid",
        b"a b",
        b"a\nb",
        b"\xFF",
        b"__proto__",
        b"0",
        "🦀".as_bytes(),
    ];
    let mut documents: Vec<_> = (0..)
        .zip(names)
        .map(|(id, name)| {
            numbered(id, |doc| {
                doc.int32(name, 1);
            })
        })
        .collect();
    documents.push(numbered(100, |doc| {
        for name in names {
            doc.embed(name, |inner| {
                inner.int32(name, 1).int32(name, 2);
            });
        }
    }));
    documents.push(numbered(101, |doc| {
        doc.int32("twice", 1).string("twice", "b").int32("twice", 1);
    }));
    documents.push(numbered(102, |doc| {
        doc.embed("inner", |inner| {
            inner.int32("_id", 1).int32("_id", 2);
        });
    }));
    documents
}

/// An `_id` of each type that a server takes, and of each kind within the types; all are keys of their own.
pub(crate) fn ids() -> Vec<(u8, Vec<u8>)> {
    let mut ids = vec![
        (kind::MIN_KEY, vec![]),
        (kind::MAX_KEY, vec![]),
        (kind::NULL, vec![]),
        (kind::BOOL, vec![0]),
        (kind::BOOL, vec![1]),
        int32(0),
        (kind::INT64, 1_i64.to_le_bytes().to_vec()),
        (kind::DOUBLE, 2.0_f64.to_le_bytes().to_vec()),
        (kind::DECIMAL128, decimal(3)),
        (kind::INT64, i64::MAX.to_le_bytes().to_vec()),
        (kind::INT64, i64::MIN.to_le_bytes().to_vec()),
        (kind::DOUBLE, 9_007_199_254_740_993_f64.to_le_bytes().to_vec()),
        (kind::INT64, 9_007_199_254_740_993_i64.to_le_bytes().to_vec()),
        (kind::DOUBLE, f64::NAN.to_le_bytes().to_vec()),
        (kind::DOUBLE, f64::INFINITY.to_le_bytes().to_vec()),
        (kind::DOUBLE, f64::NEG_INFINITY.to_le_bytes().to_vec()),
        (kind::DOUBLE, 0.1_f64.to_le_bytes().to_vec()),
        string(""),
        string("1"),
        string("NaN"),
        string("a.b"),
        string("$a"),
        string(b"\xFF\xFE"),
        string("a\0b"),
        string("x".repeat(3000)),
        (kind::SYMBOL, text_value(b"a symbol")),
        (kind::OBJECT_ID, vec![0; 12]),
        (kind::OBJECT_ID, vec![0xFF; 12]),
        (kind::BINARY, binary_value(0, b"")),
        (kind::BINARY, binary_value(0, b"abc")),
        (kind::BINARY, binary_value(4, &[1; 16])),
        (kind::BINARY, binary_value(3, &[1; 16])),
        (kind::DATE, 0_i64.to_le_bytes().to_vec()),
        (kind::DATE, (-1_i64).to_le_bytes().to_vec()),
        (kind::TIMESTAMP, 0_u64.to_le_bytes().to_vec()),
        (kind::TIMESTAMP, 1_u64.to_le_bytes().to_vec()),
        (kind::TIMESTAMP, u64::MAX.to_le_bytes().to_vec()),
        (kind::CODE, text_value(b"code")),
        (kind::DB_POINTER, [text_value(b"shop.orders"), vec![7; 12]].concat()),
        embedded(|_| {}),
        embedded(|id| {
            id.int32("a", 1).int32("b", 2);
        }),
        embedded(|id| {
            id.int32("b", 2).int32("a", 1);
        }),
        embedded(|id| {
            id.int32("a", 1).int32("a", 2);
        }),
        embedded(|id| {
            id.append_element(kind::UNDEFINED, "a", &[]);
        }),
        embedded(|id| {
            id.append_element(kind::REGEX, "a", b"x\0i\0");
        }),
        embedded(|id| {
            id.embed_array("a", |array| {
                array.int32("0", 1);
            });
        }),
        embedded(|id| {
            id.int32("", 1);
        }),
        embedded(|id| {
            id.int32("a.b", 1);
        }),
        embedded(|id| {
            id.double("a", f64::NAN);
        }),
    ];
    let scope = RawBuilder::new().finish();
    let code = [text_value(b"scoped"), scope].concat();
    let length = i32::try_from(code.len() + 4).unwrap().to_le_bytes();
    ids.push((kind::CODE_WITH_SCOPE, [&length[..], &code].concat()));
    ids
}

fn decimal(value: u64) -> Vec<u8> {
    [value.to_le_bytes(), 0x3040_0000_0000_0000_u64.to_le_bytes()].concat()
}

/// The largest document that servers take.
pub(crate) fn largest(id: i32) -> Vec<u8> {
    let around = numbered(id, |doc| {
        doc.binary("data", 0, &[]);
    })
    .len();
    // Bytes that do not compress, so that the block is as large as the document.
    let mut state = 1_u64;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    });
    let noise: Vec<u8> = noise.take(LARGEST - around).collect();
    let document = numbered(id, |doc| {
        doc.binary("data", 0, &noise);
    });
    assert_eq!(document.len(), LARGEST);
    document
}

/// A document of this many levels, arrays and documents in turn.
pub(crate) fn deep(id: i32, levels: usize) -> Vec<u8> {
    let mut inner = RawBuilder::new().int32("0", 1).finish();
    for level in 1..levels {
        let kind = if level % 2 == 0 { kind::DOCUMENT } else { kind::ARRAY };
        inner = RawBuilder::new().append_element(kind, "0", &inner).finish();
    }
    numbered(id, |doc| {
        doc.document("0", &inner);
    })
}
