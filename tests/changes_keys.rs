//! The order and the identity of `_id`s, as real servers have them: their index is the judge of `changes::Key`.

use std::collections::BTreeMap;

use bson::{RawDocumentBuf, doc, rawdoc};
use futures_util::TryStreamExt;
use mongodb::options::Hint;
use transload::{
    changes::Key,
    document::{self, RawBuilder, kind},
    sandbox::Release,
};

use crate::{
    copy::Side,
    odd_documents::{document as document_of, ids, int32, string, values},
    servers::shared,
};

type Id = (u8, Vec<u8>);

fn decimal(text: &str) -> Id {
    (kind::DECIMAL128, text.parse::<bson::Decimal128>().unwrap().bytes().to_vec())
}

fn double(value: f64) -> Id {
    (kind::DOUBLE, value.to_le_bytes().to_vec())
}

/// Doubles, and decimals as near to them as 34 digits come; integers about the powers that doubles end at.
fn numbers() -> Vec<Id> {
    let mut numbers = Vec::new();
    let doubles = [
        0.1,
        0.5,
        1.0,
        1.5,
        2.0 / 3.0,
        1e15,
        1e16 + 2.0,
        123_456.789,
        1e22,
        1e23,
        5e-324,
        1e-310,
        2.3e-308,
        1e-290,
        1e-250,
        1e300,
        f64::MAX,
        f64::MIN_POSITIVE,
        9_007_199_254_740_993.0,
        9.223_372_036_854_775e18,
        9_223_372_036_854_775_808.0,
        1.8e19,
        4_503_599_627_370_497.5,
        3e-7,
    ];
    for value in doubles.into_iter().flat_map(|value: f64| [value.next_down(), value, value.next_up()]) {
        for value in [value, -value] {
            numbers.push(double(value));
            if value.is_finite() {
                for digits in [14, 15, 16, 33] {
                    let text = format!("{value:.digits$e}");
                    numbers.push(decimal(&text));
                }
                // The neighbours in the last of 34 digits.
                let text = format!("{value:.33e}");
                let (mantissa, exponent) = text.split_once('e').unwrap();
                let digits: i128 = mantissa.replace('.', "").parse().unwrap();
                let exponent: i32 = exponent.parse::<i32>().unwrap() - 33;
                numbers.extend([digits - 1, digits + 1].map(|digits| decimal(&format!("{digits}E{exponent}"))));
            }
        }
    }
    for power in [0, 31, 52, 53, 54, 55, 56, 62, 63] {
        for offset in -2..=2 {
            let whole = (1_i128 << power) + offset;
            for whole in [whole, -whole] {
                numbers.push(decimal(&whole.to_string()));
                numbers.push(decimal(&format!("{whole}.5")));
                numbers.push(decimal(&format!("{whole}00E-2")));
                if let Ok(whole) = i64::try_from(whole) {
                    numbers.push((kind::INT64, whole.to_le_bytes().to_vec()));
                }
                if let Ok(whole) = i32::try_from(whole) {
                    numbers.push(int32(whole));
                }
            }
        }
    }
    for text in [
        "1E6144",
        "9.999999999999999999999999999999999E6144",
        "1E-6176",
        "-1E-6176",
        "1E400",
        "1E-400",
        "NaN",
        "-Infinity",
    ] {
        numbers.push(decimal(text));
    }
    numbers
}

/// Everything as an `_id`, and in one: in a document, and in an array behind something that differs in type.
fn candidates() -> Vec<Vec<u8>> {
    let plain: Vec<Id> =
        ids().into_iter().chain(values()).chain(numbers()).chain([string("a"), string("a\0"), string("aa")]).collect();
    let mut candidates = Vec::new();
    for (kind, value) in &plain {
        let embedded = RawBuilder::new().append_element(*kind, "v", value).finish();
        let mut listed = RawBuilder::new();
        listed.embed_array("v", |list| {
            list.append_element(*kind, "0", value).append_element(kind::MIN_KEY, "1", &[]);
        });
        let listed = listed.finish();
        candidates.push(document_of(&(*kind, value.clone()), |_| {}));
        candidates.push(document_of(&(kind::DOCUMENT, embedded), |_| {}));
        candidates.push(document_of(&(kind::DOCUMENT, listed), |_| {}));
    }
    candidates
}

async fn keys_are_the_indexs(release: Release) {
    let side = Side::new(shared(release).await, "changes_keys");
    let database = side.open().await;
    let mut taken = BTreeMap::new();
    for candidate in candidates() {
        let insert = rawdoc! {
            "insert": "ids", "documents": [RawDocumentBuf::from_bytes(candidate.clone()).unwrap()], "writeConcern": { "w": 1 },
        };
        let key = Key::of(&document::id(&candidate).unwrap());
        let code = match database.run_raw_command(insert).await {
            Ok(reply) => {
                reply.get_array("writeErrors").ok().and_then(|errors| errors[0].as_document()?.get_i32("code").ok())
            }
            Err(error) => panic!("{error}"),
        };
        match code {
            None => assert_eq!(taken.insert(key, candidate.clone()), None, "a second one is taken: {candidate:?}"),
            Some(11000) => assert!(taken.contains_key(&key), "refused as a duplicate: {candidate:?}"),
            // Arrays, regular expressions and undefined are no `_id`s.
            Some(_) => {}
        }
    }
    let collection = database.collection::<RawDocumentBuf>("ids");
    let find = collection.find(doc! {}).sort(doc! { "_id": 1 }).hint(Hint::Keys(doc! { "_id": 1 }));
    let sorted: Vec<RawDocumentBuf> = find.await.unwrap().try_collect().await.unwrap();
    assert!(sorted.len() > 1000, "{}", sorted.len());
    let ours: Vec<&Vec<u8>> = taken.values().collect();
    for (theirs, ours) in sorted.iter().zip(ours) {
        assert_eq!(theirs.as_bytes(), ours);
    }
    assert_eq!(sorted.len(), taken.len());
}

#[tokio::test]
async fn keys_are_equal_and_ordered_as_in_the_index_of_4_2() {
    keys_are_the_indexs(Release::V4_2_6).await;
}

#[tokio::test]
async fn keys_are_equal_and_ordered_as_in_the_index_of_6_0() {
    keys_are_the_indexs(Release::V6_0_5).await;
}
