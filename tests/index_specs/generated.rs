//! Specs at random, of classes that a server must build when they have been cleaned.
//!
//! Left out is what servers alone judge: what a filter, a projection or a collation says, languages of texts, and
//! configurations of storage engines.

use bson::{Bson, Document, bson, doc};
use proptest::{
    collection::vec,
    option::weighted,
    prelude::*,
    sample::select,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};
use transload::sandbox::Release;

use super::{build, clean_for, listed};
use crate::{copy::Side, servers::shared};

const CASES: usize = 40;

fn nothing_or_junk() -> Vec<Bson> {
    vec![bson!(null), Bson::Undefined, bson!("true"), bson!({}), bson!([1]), bson!(f64::NAN), bson!(""), Bson::MaxKey]
}

fn directions() -> impl Strategy<Value = Bson> {
    let legacy = [bson!(true), bson!(0), bson!(-0.0), bson!(-1e-12), bson!("asc"), bson!("desc"), bson!("-1")];
    prop_oneof![
        4 => select(vec![bson!(1), bson!(-1), bson!(1.0), bson!(-1_i64), bson!(5), bson!(1.5), bson!(f64::INFINITY)]),
        2 => select(legacy.to_vec()),
        2 => select(nothing_or_junk().into_iter().filter(|junk| junk != &bson!("true")).collect::<Vec<_>>()),
        1 => any::<[u8; 16]>().prop_map(|bytes| bson::Decimal128::from_bytes(bytes).into()),
    ]
}

fn keys() -> impl Strategy<Value = Document> {
    let fields = select(vec!["a", "b", "c.d", "_id", "é", "ref.$id"]).prop_map(str::to_owned);
    prop_oneof![
        8 => vec((fields, directions()), 1..4).prop_map(|fields| fields.into_iter().collect::<Document>()),
        2 => select(vec![
            doc! { "g": "2dsphere", "a": true },
            doc! { "p": "2d" },
            doc! { "b": 1, "p": "2d" },
            doc! { "a": "hashed" },
            doc! { "a": "hashed", "b": -1 },
            doc! { "$**": true },
            doc! { "a.$**": 1 },
            doc! { "t": "text", "a": 1 },
            doc! { "$**": "text" },
        ]),
    ]
}

/// An option and its value, now and then as junk.
fn options() -> impl Strategy<Value = (String, Bson)> {
    let of = |name: &'static str, good: Vec<Bson>| {
        let values = prop_oneof![2 => select(good), 1 => select(nothing_or_junk())];
        values.prop_map(move |value| (name.to_owned(), value)).boxed()
    };
    let truths = || vec![bson!(true), bson!(false), bson!(1), bson!(0.0), bson!(1_i64)];
    prop_oneof![
        of("background", truths()),
        of("dropDups", truths()),
        of("hidden", truths()),
        of("prepareUnique", truths()),
        of("ns", vec![bson!("a.b")]),
        of("v", vec![bson!(0), bson!(1), bson!(2), bson!(2.0), bson!(1_i64), bson!(9)]),
        of(
            "collation",
            vec![bson!({ "locale": "fr" }), bson!({ "locale": "simple" }), bson!({ "locale": "de", "version": "1" })]
        ),
        of(
            "storageEngine",
            vec![bson!({ "wiredTiger": {} }), bson!({ "mmapv1": {}, "wiredTiger": {} }), bson!({ "inMemory": {} })]
        ),
        of("originalSpec", vec![bson!({ "key": { "a": 1 }, "name": "a_1" })]),
        of("weights", vec![bson!({ "a": 1 })]),
        of("bucketSize", vec![bson!(5)]),
        of("textIndexVersion", vec![bson!(3)]),
        of("wildcardProjection", vec![bson!({ "a": 1 })]),
        of("default_language", vec![bson!("english")]),
        of("clustered", truths()),
        ("[a-zA-Z_]{1,8}", select(nothing_or_junk())).prop_map(|(name, value)| (format!("x{name}"), value)),
        (-3_000_000_000_i64..3_000_000_000).prop_map(|seconds| ("expireAfterSeconds".to_owned(), seconds.into())),
        (-3e9..3e9).prop_map(|seconds: f64| ("expireAfterSeconds".to_owned(), seconds.into())),
        of("expireAfterSeconds", vec![bson!("60"), bson!(0.5), bson!(i32::MAX), bson!(1e300)]),
    ]
}

/// The options that leave documents out.
fn narrowing() -> impl Strategy<Value = Vec<(String, Bson)>> {
    let truths = vec![bson!(true), bson!(false), bson!(1), bson!("yes"), bson!(null)];
    let filters = vec![bson!({}), bson!({ "x": { "$gt": 5 } }), bson!({ "x": 1 }), bson!("x"), bson!(null)];
    (weighted(0.25, select(truths)), weighted(0.25, select(filters))).prop_map(|(sparse, filter)| {
        let sparse = sparse.map(|value| ("sparse".to_owned(), value));
        sparse.into_iter().chain(filter.map(|value| ("partialFilterExpression".to_owned(), value))).collect()
    })
}

fn specs() -> impl Strategy<Value = Vec<Document>> {
    let names = weighted(
        0.9,
        select(vec![bson!("n"), bson!("m"), bson!("_id_"), bson!("*"), bson!(""), bson!(5), bson!("a\0b")]),
    );
    let unique = weighted(0.3, select(vec![bson!(true), bson!(1), bson!("true"), bson!(null)]));
    let spec =
        (keys(), names, unique, narrowing(), vec(options(), 0..4)).prop_map(|(key, name, unique, narrow, options)| {
            let mut spec = doc! {};
            let unique = unique.map(|unique| ("unique".to_owned(), unique));
            spec.extend(options.into_iter().chain(unique).chain(narrow));
            spec.insert("key", key);
            name.map(|name| spec.insert("name", name));
            spec
        });
    vec(spec, 1..8)
}

#[tokio::test]
async fn whatever_comes_out_clean_is_built() {
    let config = Config { failure_persistence: None, ..Config::default() };
    let mut runner =
        TestRunner::new_with_rng(config, proptest::test_runner::TestRng::deterministic_rng(Default::default()));
    let cases: Vec<_> = (0..CASES).map(|_| specs().new_tree(&mut runner).unwrap().current()).collect();
    let cases = &cases;
    let built = Release::ALL.map(|release| async move {
        let side = Side::new(shared(release).await, "index_generated");
        let mut built = 0;
        for (number, specs) in cases.iter().enumerate() {
            let options = if number % 4 == 3 {
                doc! { "capped": true, "size": 4096 }
            } else {
                doc! {}
            };
            let clean = clean_for(release, specs, &options);
            let name = format!("c{number}");
            build(&side, &name, &options, &clean).await;
            assert_eq!(listed(&side, &name).await.len(), clean.len(), "{release}: {specs:#?}");
            built += clean.len();
        }
        built
    });
    let built = futures_util::future::join_all(built).await;
    assert!(built.iter().all(|built| *built > CASES), "{built:?}");
}
