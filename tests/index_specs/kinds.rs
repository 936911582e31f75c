//! Indexes of every kind, as a server lists them itself: nothing is wrong with them, and the same is built from them.

use bson::{Document, doc};
use transload::{
    catalog::index_spec::{Author, Context, sanitize},
    sandbox::Release,
};

use super::{build, bytes, clean, document, listed, version};
use crate::{copy::Side, servers::shared};

/// Indexes that a release of this version builds in one collection.
fn kinds(release: Release) -> Vec<Document> {
    let mut kinds = vec![
        doc! { "key": { "a": 1, "b": -1, "c.d": 1 }, "name": "compound", "background": true },
        doc! { "key": { "first": 1 }, "name": "first", "v": 1 },
        doc! { "key": { "u": 1 }, "name": "unique", "unique": true },
        doc! { "key": { "s": 1 }, "name": "sparse", "sparse": true },
        doc! { "key": { "us": 1 }, "name": "both", "unique": true, "sparse": true },
        doc! { "key": { "p": 1 }, "name": "partial", "partialFilterExpression": { "p": { "$gt": 5 }, "q": { "$exists": true } } },
        doc! { "key": { "ttl": 1 }, "name": "ttl", "expireAfterSeconds": 1_500_000_000 },
        doc! { "key": { "now": -1 }, "name": "now", "expireAfterSeconds": 0 },
        doc! { "key": { "t": "text", "z": "text" }, "name": "text", "weights": { "t": 3 }, "default_language": "german", "language_override": "lang", "collation": { "locale": "simple" } },
        doc! { "key": { "h": "hashed" }, "name": "hashed" },
        doc! { "key": { "g": "2dsphere", "x": 1 }, "name": "sphere", "collation": { "locale": "simple" } },
        doc! { "key": { "g1": "2dsphere" }, "name": "first sphere", "2dsphereIndexVersion": 1, "coarsestIndexedLevel": 2, "finestIndexedLevel": 20 },
        doc! { "key": { "g2": "2d" }, "name": "flat", "min": -500.0, "max": 500.0, "bits": 20, "collation": { "locale": "simple" } },
        doc! { "key": { "$**": 1 }, "name": "wild", "wildcardProjection": { "a": 1, "b.c": 1 } },
        doc! { "key": { "w.$**": 1 }, "name": "wild below" },
        doc! { "key": { "col": 1 }, "name": "collation", "collation": { "locale": "fr", "strength": 2, "backwards": true } },
        doc! { "key": { "a": 1, "b": -1, "c.d": 1 }, "name": "the same keys", "collation": { "locale": "de" } },
        doc! { "key": { "engine": 1 }, "name": "engine", "storageEngine": { "wiredTiger": { "configString": "prefix_compression=false" } } },
        doc! { "key": { "odd": 1.5, "odd2": -7_i64 }, "name": "odd directions" },
        doc! { "key": { "_id": "hashed" }, "name": "_id_hashed" },
        doc! { "key": { "ref.$id": 1 }, "name": "n".repeat(300) },
    ];
    match release {
        Release::V4_2_6 => {
            kinds.push(doc! { "key": { "hay": "geoHaystack", "x": 1 }, "name": "haystack", "bucketSize": 2.5, "collation": { "locale": "simple" } })
        }
        _ => kinds.extend([
            doc! { "key": { "hid": 1 }, "name": "hidden", "hidden": true },
            doc! { "key": { "x": 1, "h": "hashed" }, "name": "compound hashed" },
            doc! { "key": { "u": 1 }, "name": "not unique" },
            doc! { "key": { "u": 1 }, "name": "not unique, sparse", "sparse": true },
            doc! { "key": { "p": 1 }, "name": "other part", "partialFilterExpression": { "p": { "$lt": 5 } } },
            doc! { "key": { "$**": 1 }, "name": "other wild", "wildcardProjection": { "z": 0 } },
        ]),
    }
    if version(release) >= version(Release::V6_0_5) {
        kinds.push(doc! { "key": { "pu": 1 }, "name": "preparing", "prepareUnique": true });
        kinds.push(doc! { "key": { "max": 1 }, "name": "hardly ever", "expireAfterSeconds": i32::MAX });
        kinds.push(doc! { "key": { "or": 1 }, "name": "either", "partialFilterExpression": { "$or": [{ "x": 1 }, { "y": 2 }] } });
    }
    kinds
}

/// Lists the indexes of one collection, wants nothing to be wrong with them, builds them in another one, and wants
/// the server to list the same there.
async fn come_through(release: Release, options: &Document, [from, to]: [&str; 2], side: &Side<'_>) {
    let specs = listed(side, from).await;
    let raw: Vec<_> = specs.iter().map(bytes).collect();
    let described = bytes(options);
    let server = Context { options: &described, target: version(release), author: Author::Server };
    let sanitized = sanitize(&raw, &server);
    for one in &sanitized {
        assert!(!one.is_bad(), "{release}: {one:?}");
    }
    let clean: Vec<Document> = clean(&sanitized).iter().map(|spec| document(spec)).collect();
    build(side, to, options, &clean).await;
    let same = |specs: &[Document]| -> Vec<Document> {
        let strip = |spec: &Document| spec.clone().into_iter().filter(|(name, _)| name != "ns" && name != "background");
        specs.iter().map(|spec| strip(spec).collect()).collect()
    };
    assert_eq!(same(&specs), same(&listed(side, to).await), "{release} {from}");
}

#[tokio::test]
async fn what_a_server_lists_comes_through_and_is_built_the_same() {
    for release in Release::ALL {
        let side = Side::new(shared(release).await, "index_kinds");
        let collation = doc! { "collation": { "locale": "sv" } };
        for (names, options) in [(["plain", "plain_2"], doc! {}), (["collated", "collated_2"], collation)] {
            build(&side, names[0], &options, &kinds(release)).await;
            come_through(release, &options, names, &side).await;
        }
    }
}

#[tokio::test]
async fn indexes_of_clustered_collections_and_of_time_series_come_through() {
    for release in [Release::V5_0_4, Release::V6_0_5, Release::V6_0_27] {
        let side = Side::new(shared(release).await, "index_series");
        let series = doc! { "timeseries": { "timeField": "t", "metaField": "m" } };
        let mut indexes = vec![
            doc! { "key": { "m.sensor": 1, "t": -1 }, "name": "sensor" },
            doc! { "key": { "m.place": "2dsphere" }, "name": "place" },
        ];
        if version(release) >= version(Release::V6_0_5) {
            indexes
                .push(doc! { "key": { "x": 1 }, "name": "measured", "partialFilterExpression": { "x": { "$gt": 5 } } });
            indexes.push(doc! { "key": { "place": "2dsphere" }, "name": "measured place" });
            let options = doc! { "clusteredIndex": { "key": { "_id": 1 }, "unique": true, "name": "by id" } };
            build(&side, "clustered", &options, &[doc! { "key": { "a": 1 }, "name": "a_1" }]).await;
            come_through(release, &options, ["clustered", "clustered_2"], &side).await;
        }
        build(&side, "series", &series, &indexes).await;
        build(&side, "series_2", &series, &[]).await;
        let listed_of_buckets = listed(&side, "system.buckets.series").await;
        assert_eq!(listed_of_buckets.len(), indexes.len());
        let options = bytes(&doc! { "clusteredIndex": true });
        let server = Context { options: &options, target: version(release), author: Author::Server };
        let sanitized = sanitize(&listed_of_buckets.iter().map(bytes).collect::<Vec<_>>(), &server);
        assert!(sanitized.iter().all(|one| !one.is_bad()), "{sanitized:?}");
        let specs: Vec<Document> = clean(&sanitized).iter().map(|spec| document(spec)).collect();
        side.run(doc! { "createIndexes": "system.buckets.series_2", "indexes": specs }).await;
        assert_eq!(listed_of_buckets, listed(&side, "system.buckets.series_2").await, "{release}");
    }
}
