//! What is said to be built by no server: each server is asked whether that is so.

use bson::{Bson, Decimal128, Document, bson, doc};
use transload::{
    catalog::index_spec::{Author, Context, NEWEST, Sanitized, sanitize},
    sandbox::Release,
};

use super::{bytes, document, version};
use crate::{copy::Side, servers::shared};

fn fields(number: usize, more: Document) -> Document {
    (0..number).map(|number| (format!("f{number}"), Bson::from(1))).chain(more).collect()
}

/// Keys with options that go with them, and such that do not.
fn ordinary() -> Vec<Document> {
    let filter = || doc! { "a": { "$gt": 1 } };
    let keys = [
        doc! { "a": 1 },
        doc! { "_id": 1, "a": 1 },
        doc! { "a": "hashed" },
        doc! { "_id": "hashed" },
        doc! { "a": "hashed", "b": 1 },
        doc! { "$**": 1 },
        doc! { "a.$**": 1 },
        doc! { "a": "text" },
        doc! { "a": 1, "b": "text", "c": 1 },
        doc! { "$**": "text" },
        doc! { "a": "2d" },
        doc! { "a": "2dsphere" },
    ];
    let options = [
        doc! {},
        doc! { "unique": true },
        doc! { "unique": false },
        doc! { "sparse": true },
        doc! { "partialFilterExpression": filter() },
        doc! { "partialFilterExpression": filter(), "sparse": true },
        doc! { "partialFilterExpression": {}, "sparse": true },
        doc! { "partialFilterExpression": filter(), "sparse": false, "unique": true },
        doc! { "partialFilterExpression": { "_id": { "$gt": 1 } } },
        doc! { "expireAfterSeconds": 5 },
        doc! { "collation": { "locale": "fr" } },
        doc! { "collation": { "locale": "simple" } },
        doc! { "wildcardProjection": { "b": 1 } },
        doc! { "v": 1 },
    ];
    let with = |key: &Document, options: &Document| {
        let mut spec = doc! { "key": key.clone() };
        spec.extend(options.clone());
        spec
    };
    keys.iter().flat_map(|key| options.iter().map(move |options| with(key, options))).collect()
}

fn keys() -> Vec<Document> {
    let texts = |number: usize| (0..number).map(|number| (format!("t{number}"), Bson::from("text")));
    let keys = vec![
        fields(32, doc! {}),
        fields(33, doc! {}),
        fields(30, doc! { "t": "text" }),
        fields(31, doc! { "t": "text" }),
        texts(40).collect(),
        fields(31, doc! { "h": "hashed" }),
        fields(32, doc! { "h": "hashed" }),
        fields(32, doc! { "s": "2dsphere" }),
        doc! { "a": "hashed", "b": "hashed" },
        doc! { "a": "hashed", "b": "2dsphere" },
        doc! { "a": "text", "b": "hashed" },
        doc! { "a": "2d", "b": "2dsphere" },
        doc! { "a": "2d", "b": "2d" },
        doc! { "a": 1, "b": "2d" },
        doc! { "a": "2d", "b": 1, "c": -1 },
        doc! { "a": "2dsphere", "b": "2dsphere" },
        doc! { "a": "text", "b": 1, "c": "text" },
        doc! { "a": 1, "$**": 1 },
        doc! { "a": "hashed", "$**": 1 },
        doc! { "a": "2dsphere", "$**": 1 },
        doc! { "a": "2dsphere", "b.$**": 1 },
        doc! { "a": "text", "b.$**": 1 },
        doc! { "a": "text", "$**": 1 },
        doc! { "a.$**": "text" },
        doc! { "$**": "hashed" },
        doc! { "$**": "2dsphere" },
        doc! { "a.$**": "2d" },
        doc! { "_fts": "text", "_ftsx": 1 },
        doc! { "_fts": "2d" },
        doc! { "_ftsx": 1 },
        doc! { "a": "columnstore" },
        doc! { "$**": "columnstore" },
        doc! { "a": "2dsphere_bucket" },
        doc! { "a": "queryable_encrypted_range" },
    ];
    let mut specs: Vec<Document> = keys.into_iter().map(|key| doc! { "key": key }).collect();
    for key in [
        doc! { "_fts": "text", "_ftsx": 1 },
        doc! { "_fts": "text", "_ftsx": 1.0, "a": 1 },
        doc! { "_fts": "text", "_ftsx": -1 },
        doc! { "_fts": "text", "b": 1, "_ftsx": 1 },
        doc! { "_fts": "text", "_ftsx": 1, "x": "text" },
        fields(30, doc! { "_fts": "text", "_ftsx": 1 }),
        fields(31, doc! { "_fts": "text", "_ftsx": 1 }),
    ] {
        specs.push(doc! { "key": key.clone(), "weights": { "w": 1 } });
        specs.push(doc! { "key": key, "weights": "$**" });
    }
    for key in [
        doc! { "a": "geoHaystack" },
        doc! { "a": "geoHaystack", "b": 1 },
        doc! { "b": 1, "a": "geoHaystack" },
        doc! { "a": "geoHaystack", "b": 1, "c": 1 },
        doc! { "a": "geoHaystack", "b": "geoHaystack" },
        doc! { "a": "geoHaystack", "b": "hashed" },
    ] {
        for size in [bson!(1), bson!(0), bson!(-1), bson!(0.5)] {
            specs.push(doc! { "key": key.clone(), "bucketSize": size });
        }
        specs.push(doc! { "key": key });
    }
    specs
}

fn numbers() -> Vec<Document> {
    let mut specs = Vec::new();
    let mut add = |kind: &str, options: Document| {
        let mut spec = doc! { "key": { "a": kind } };
        spec.extend(options);
        specs.push(spec);
    };
    let decimal = |text: &str| Bson::from(text.parse::<Decimal128>().unwrap());
    for version in
        [bson!(-1), bson!(0), bson!(1), bson!(3), bson!(3_i64), bson!(4), bson!(2.0), bson!(2.5), decimal("2.5")]
    {
        add("text", doc! { "textIndexVersion": version.clone() });
        add("2dsphere", doc! { "2dsphereIndexVersion": version });
    }
    for weight in
        [bson!(0), bson!(0.5), bson!(1.5), bson!(99_999.5), bson!(100_000), bson!(-1), bson!("x"), bson!(null)]
    {
        add("text", doc! { "weights": { "a": weight } });
    }
    for field in ["", "$x", "b", "$**"] {
        add("text", doc! { "weights": { field: 5 } });
    }
    for field in ["", "$x", "a.b", "b"] {
        add("text", doc! { "language_override": field });
    }
    for bits in [bson!(0), bson!(0.5), bson!(1), bson!(32.5), bson!(33), bson!(-1), bson!(1_i64 << 40), decimal("26")] {
        add("2d", doc! { "bits": bits });
    }
    for (min, max) in [(5, 5), (5, 1), (-1, 1)] {
        add("2d", doc! { "min": min, "max": max });
    }
    for edge in [doc! { "min": 200 }, doc! { "min": -500 }, doc! { "max": -500 }, doc! { "max": 500.5 }] {
        add("2d", edge);
    }
    for (coarsest, finest) in [(0, 30), (5, 4), (-1, 3), (0, 31), (3, 3)] {
        add("2dsphere", doc! { "coarsestIndexedLevel": coarsest, "finestIndexedLevel": finest });
    }
    add("2dsphere", doc! { "coarsestIndexedLevel": 2.9 });
    specs
}

fn of_series() -> Vec<Document> {
    let keys = [
        doc! { "m": 1 },
        doc! { "m.a": "2d" },
        doc! { "m.a": "2dsphere" },
        doc! { "m": "hashed" },
        doc! { "m": "text" },
        doc! { "m.$**": 1 },
        doc! { "m": 1, "x": 1 },
        doc! { "m": 1, "x": "2dsphere" },
        doc! { "m.$**": 1, "t": 1 },
        doc! { "mm": 1 },
        doc! { "t": -1 },
        doc! { "t": "hashed" },
        doc! { "t": "2dsphere" },
        doc! { "t.a": 1 },
        doc! { "x": 1.5 },
        doc! { "x": "2d" },
        doc! { "x": "2dsphere" },
        doc! { "x": "hashed" },
        doc! { "x.$**": 1 },
        doc! { "$**": 1 },
        doc! { "_id": 1 },
    ];
    let mut specs: Vec<Document> = keys.into_iter().map(|key| doc! { "key": key }).collect();
    for options in [
        doc! { "unique": true },
        doc! { "sparse": true },
        doc! { "partialFilterExpression": { "m": 1 } },
        doc! { "expireAfterSeconds": 5 },
        doc! { "collation": { "locale": "fr" } },
        doc! { "prepareUnique": true },
    ] {
        for key in [doc! { "m": 1 }, doc! { "t": 1 }, doc! { "x": 1 }] {
            let mut spec = doc! { "key": key };
            spec.extend(options.clone());
            specs.push(spec);
        }
    }
    specs
}

/// What becomes of a spec that a person wrote, as it came and for this release.
fn judged(release: Release, spec: &Document, options: &[u8]) -> Sanitized {
    let mut spec = spec.clone();
    spec.insert("name", "n");
    let context = Context { options, target: version(release), author: Author::Person };
    sanitize(&[bytes(&spec)], &context).remove(0)
}

/// Whether a server builds it, alone in an empty collection.
async fn is_built(side: &Side<'_>, spec: Document) -> Result<(), String> {
    let database = side.open().await;
    let built = database.run_command(doc! { "createIndexes": "c", "indexes": [spec] }).await;
    if built.is_ok() {
        side.run(doc! { "dropIndexes": "c", "index": "*" }).await;
    }
    built.map(drop).map_err(|error| error.to_string())
}

/// Every one of these is refused here if, and only if, the server refuses it.
async fn agree(release: Release, options: Document, specs: Vec<Document>) {
    let side = Side::new(shared(release).await, "index_refused");
    let database = side.open().await;
    let _ = database.run_command(doc! { "drop": "c" }).await;
    let mut create = doc! { "create": "c" };
    create.extend(options.clone());
    database.run_command(create).await.unwrap();
    let options = bytes(&options);
    let mut refused = 0;
    for spec in specs {
        let judged = judged(release, &spec, &options);
        match judged.to_build() {
            Some(clean) => {
                let built = is_built(&side, document(clean)).await;
                assert_eq!(built, Ok(()), "{release}: {spec} was said to be built");
            }
            None => {
                let mut asked = spec.clone();
                asked.insert("name", "n");
                assert!(is_built(&side, asked).await.is_err(), "{release}: {spec} was refused: {judged:?}");
                refused += 1;
            }
        }
    }
    assert!(refused > 0, "{release}");
}

#[tokio::test]
async fn what_no_server_builds_is_refused_and_nothing_else() {
    let all = Release::ALL.map(|release| async move {
        agree(release, doc! {}, [ordinary(), keys(), numbers()].concat()).await;
        agree(release, doc! { "collation": { "locale": "de" } }, ordinary()).await;
        if release != Release::V4_2_6 {
            agree(release, doc! { "timeseries": { "timeField": "t", "metaField": "m" } }, of_series()).await;
        }
    });
    futures_util::future::join_all(all).await;
}

#[tokio::test]
async fn a_collection_holds_as_many_indexes_as_it_is_said_to_and_one_of_texts() {
    for release in Release::ALL {
        let side = Side::new(shared(release).await, "index_together");
        let clustered = doc! { "clusteredIndex": { "key": { "_id": 1 }, "unique": true } };
        let is_new = version(release) >= version(Release::V6_0_5);
        for options in [Some(doc! {}), is_new.then_some(clustered)].into_iter().flatten() {
            let _ = side.open().await.run_command(doc! { "drop": "c" }).await;
            let mut specs: Vec<Document> = (0..65)
                .map(|number| doc! { "key": { format!("f{number}"): 1 }, "name": format!("n{number}") })
                .collect();
            specs.insert(0, doc! { "key": { "t": "text" }, "name": "t" });
            specs.insert(1, doc! { "key": { "t2": "text" }, "name": "t2" });
            let raw: Vec<_> = specs.iter().map(bytes).collect();
            let described = bytes(&options);
            let context = Context { options: &described, target: version(release), author: Author::Person };
            let sanitized = sanitize(&raw, &context);
            let (built, refused): (Vec<_>, Vec<_>) = sanitized.iter().partition(|one| one.to_build().is_some());
            let built: Vec<Document> = built.iter().map(|one| document(one.to_build().unwrap())).collect();
            super::build(&side, "c", &options, &built).await;
            for refused in refused {
                let asked = doc! { "createIndexes": "c", "indexes": [document(&refused.original)] };
                side.open().await.run_command(asked).await.unwrap_err();
            }
        }
    }
    let series = bytes(&doc! { "timeseries": { "timeField": "t" } });
    let context = Context { options: &series, target: NEWEST, author: Author::Person };
    let specs: Vec<_> = (0..64).map(|number| bytes(&doc! { "key": { format!("f{number}"): 1 } })).collect();
    assert!(sanitize(&specs, &context).iter().all(|one| one.to_build().is_some()));
}
