//! Index specs before real servers: what comes out clean is built, and what servers list themselves comes through.

mod generated;
mod kinds;
mod refused;

use bson::{Bson, Document, bson, doc};
use transload::{
    catalog::index_spec::{Author, Context, NEWEST, Sanitized, sanitize},
    connect::Version,
    sandbox::Release,
};

use crate::{
    copy::Side,
    servers::{own, shared},
};

fn version(release: Release) -> Version {
    match release {
        Release::V4_2_6 => Version::new(4, 2, 6),
        Release::V5_0_4 => Version::new(5, 0, 4),
        Release::V6_0_5 => Version::new(6, 0, 5),
        Release::V6_0_27 => Version::new(6, 0, 27),
    }
}

fn bytes(document: &Document) -> Vec<u8> {
    document.to_vec().unwrap()
}

fn document(bytes: &[u8]) -> Document {
    Document::from_reader(bytes).unwrap()
}

fn clean(sanitized: &[Sanitized]) -> Vec<Vec<u8>> {
    sanitized.iter().filter_map(|one| one.to_build().map(<[u8]>::to_vec)).collect()
}

/// The clean specs for a release, as a restore comes to them: first for any target, then for this one.
fn clean_for(release: Release, specs: &[Document], options: &Document) -> Vec<Document> {
    let options = bytes(options);
    let listed = Context { options: &options, target: NEWEST, author: Author::Server };
    let first = clean(&sanitize(&specs.iter().map(bytes).collect::<Vec<_>>(), &listed));
    let edited = Context { options: &options, target: version(release), author: Author::Person };
    clean(&sanitize(&first, &edited)).iter().map(|spec| document(spec)).collect()
}

/// Makes an empty collection with these indexes, which the server must take.
async fn build(side: &Side<'_>, name: &str, options: &Document, specs: &[Document]) {
    let database = side.open().await;
    let mut create = doc! { "create": name };
    create.extend(options.clone());
    database.run_command(create).await.unwrap();
    if specs.is_empty() {
        return;
    }
    if let Err(error) = database.run_command(doc! { "createIndexes": name, "indexes": specs }).await {
        panic!("{name} on {:?}: {error}\n{specs:#?}", side.database);
    }
}

/// What the server lists, but for the index on `_id`.
async fn listed(side: &Side<'_>, name: &str) -> Vec<Document> {
    let reply = side.run(doc! { "listIndexes": name }).await;
    let batch = reply.get_document("cursor").unwrap().get_array("firstBatch").unwrap();
    let specs = batch.iter().map(|spec| spec.as_document().unwrap().clone());
    specs.filter(|spec| spec.get_str("name").unwrap() != "_id_").collect()
}

/// One index for every variant that is known to have been met, each on a field of its own.
fn variants() -> Vec<Document> {
    let options = [
        ("safe", bson!(null)),
        ("w", bson!(1)),
        ("unknown", bson!({ "a": 1 })),
        ("ns", bson!("other.place")),
        ("dropDups", bson!(true)),
        ("background", bson!(null)),
        ("background", bson!("true")),
        ("background", bson!(1)),
        ("unique", bson!(null)),
        ("unique", bson!("true")),
        ("unique", bson!(1)),
        ("sparse", bson!(1.0)),
        ("expireAfterSeconds", bson!(null)),
        ("expireAfterSeconds", bson!("3600")),
        ("expireAfterSeconds", bson!(-1)),
        ("expireAfterSeconds", bson!(99_999_999_999_i64)),
        ("expireAfterSeconds", bson!(f64::NAN)),
        ("expireAfterSeconds", bson!(3600.5)),
        ("expireAfterSeconds", bson!(2_147_483_647)),
        ("v", bson!(0)),
        ("v", bson!(1)),
        ("v", bson!("2")),
        ("name", bson!(null)),
        ("name", bson!("*")),
        ("name", bson!("")),
        ("name", bson!("a\0b")),
        ("name", bson!("n".repeat(300))),
        ("name", bson!("_id_")),
        ("storageEngine", bson!({})),
        ("storageEngine", bson!({ "mmapv1": {} })),
        ("storageEngine", bson!({ "inMemory": {}, "wiredTiger": {} })),
        ("partialFilterExpression", bson!({})),
        ("partialFilterExpression", bson!("none")),
        ("collation", bson!({})),
        ("collation", bson!({ "locale": "fr", "version": "50.1" })),
        ("hidden", bson!(true)),
        ("hidden", bson!(1)),
        ("prepareUnique", bson!(true)),
        ("originalSpec", bson!({ "key": { "a": 1 }, "name": "a_1" })),
        ("weights", bson!({ "a": 1 })),
        ("bucketSize", bson!(5)),
        ("bits", bson!(26)),
        ("clustered", bson!(true)),
        ("_id", bson!(7)),
    ];
    let values = [bson!(true), bson!(0), bson!(-0.0), bson!(null), bson!(""), bson!({}), bson!("asc"), bson!("desc")];
    let others = [bson!(f64::NAN), bson!(-1e-300), bson!(1.0), bson!(1_i64), bson!(5), bson!([1]), Bson::MinKey];
    let mut specs = Vec::new();
    for (name, value) in options {
        let number = specs.len();
        let mut spec = doc! { "key": { format!("f{number}"): 1 }, "name": format!("n{number}") };
        spec.insert(name, value);
        specs.push(spec);
    }
    for value in values.into_iter().chain(others) {
        let number = specs.len();
        specs.push(doc! { "v": 1, "key": { format!("f{number}"): value, "x": -1 }, "name": format!("n{number}") });
    }
    specs.push(doc! { "v": 1, "key": { "_id": -1 }, "name": "falling" });
    specs.push(doc! { "v": 1, "key": { "_id": "hashed" }, "name": "hashed" });
    specs.push(doc! { "v": 1, "key": { "p": "geoHaystack", "t": 1 }, "name": "haystack", "bucketSize": 5 });
    specs.push(doc! { "v": 1, "key": { "sphere": "2dsphere" }, "name": "sphere" });
    specs
}

#[tokio::test]
async fn every_variant_that_is_known_is_built_by_every_release() {
    for release in Release::ALL {
        let side = Side::new(shared(release).await, "index_variants");
        let specs = clean_for(release, &variants(), &doc! {});
        // All but the haystack and the second index on _id.
        assert_eq!(specs.len(), variants().len() - 2, "{release}");
        build(&side, "all", &doc! {}, &specs).await;
        let built = listed(&side, "all").await;
        assert_eq!(built.len(), specs.len(), "{release}");
        let expiring = built.iter().filter(|spec| spec.contains_key("expireAfterSeconds")).count();
        let expected = if version(release) < version(Release::V6_0_5) { 1 } else { 2 };
        assert_eq!(expiring, expected, "{release}");
        let sphere = built.iter().find(|spec| spec.get_str("name").unwrap() == "sphere").unwrap();
        assert_eq!(sphere.get_i32("2dsphereIndexVersion").unwrap(), 1, "{release}");
    }
}

/// A 4.2 server that takes what old ones took, and lists it; nothing of it reaches a 6.0 server.
#[tokio::test]
async fn what_an_old_server_has_kept_is_listed_cleaned_and_built_by_a_new_one() {
    let set = own(Release::V4_2_6).await;
    let on = doc! { "configureFailPoint": "skipIndexCreateFieldNameValidation", "mode": "alwaysOn" };
    set.fail_point(on).await.unwrap();
    let (source, target) = (Side::new(&set, "junk"), Side::new(shared(Release::V6_0_5).await, "junk"));
    let mut junk = Vec::new();
    for (number, (name, value)) in [
        ("safe", bson!(null)),
        ("w", bson!(1)),
        ("j", bson!(true)),
        ("wtimeout", bson!({ "a": [1] })),
        ("background", bson!(1)),
        ("sparse", bson!(1.0)),
        ("unique", bson!(1_i64)),
        ("dropDups", bson!(true)),
        ("expireAfterSeconds", bson!(f64::NAN)),
        ("expireAfterSeconds", bson!(3600.5)),
        ("weights", bson!({ "a": 1 })),
        ("bits", bson!(26)),
        ("bucketSize", bson!(5)),
        ("clustered", bson!(true)),
        ("originalSpec", bson!(5)),
        ("prepareUnique", bson!("yes")),
        ("é", bson!("é")),
        ("_id", bson!(7)),
    ]
    .into_iter()
    .enumerate()
    {
        let mut spec = doc! { "v": 1, "key": { format!("f{number}"): 1 }, "name": format!("n{number}") };
        spec.insert(name, value);
        junk.push(spec);
    }
    build(&source, "junk", &doc! {}, &junk).await;
    let specs = listed(&source, "junk").await;
    assert!(specs.iter().any(|spec| spec.contains_key("safe")), "{specs:?}");
    assert_eq!(specs.len(), junk.len());
    let clean = clean_for(Release::V6_0_5, &specs, &doc! {});
    assert_eq!(clean.len(), junk.len());
    build(&target, "junk", &doc! {}, &clean).await;
    let built = listed(&target, "junk").await;
    let with = |name: &str| built.iter().filter(|spec| spec.contains_key(name)).count();
    let counts = ["safe", "clustered", "bucketSize", "unique", "sparse", "expireAfterSeconds"].map(with);
    assert_eq!(counts, [0, 0, 0, 1, 1, 1], "{built:?}");
}
