//! What holds for any bytes at all.

use bson::{Binary, Bson, Document, spec::BinarySubtype};
use proptest::{collection::vec, option, prelude::*, sample::select};

use super::*;

/// Names that mean something somewhere, and others.
fn names() -> impl Strategy<Value = String> {
    const KNOWN: [&str; 42] = [
        "v",
        "key",
        "name",
        "unique",
        "sparse",
        "expireAfterSeconds",
        "storageEngine",
        "weights",
        "default_language",
        "language_override",
        "textIndexVersion",
        "2dsphereIndexVersion",
        "bits",
        "min",
        "max",
        "bucketSize",
        "hidden",
        "coarsestIndexedLevel",
        "finestIndexedLevel",
        "partialFilterExpression",
        "collation",
        "wildcardProjection",
        "prepareUnique",
        "columnstoreProjection",
        "ns",
        "background",
        "dropDups",
        "clustered",
        "originalSpec",
        "safe",
        "_id",
        "a",
        "b",
        "a.b",
        "$**",
        "a.$**",
        "_fts",
        "_ftsx",
        "locale",
        "version",
        "wiredTiger",
        "mmapv1",
    ];
    prop_oneof![6 => select(&KNOWN[..]).prop_map(str::to_owned), 1 => "[^\0]{0,8}"]
}

fn values() -> impl Strategy<Value = Bson> {
    const WORDS: [&str; 13] =
        ["", "asc", "desc", "-1", "text", "2d", "2dsphere", "hashed", "geoHaystack", "n", "*", "_id_", "simple"];
    let leaf = prop_oneof![
        Just(Bson::Null),
        Just(Bson::Undefined),
        Just(Bson::MinKey),
        any::<bool>().prop_map(Bson::from),
        (-3..4_i32).prop_map(Bson::from),
        any::<i32>().prop_map(Bson::from),
        any::<i64>().prop_map(Bson::from),
        any::<f64>().prop_map(Bson::from),
        (-3.0..3.0).prop_map(Bson::from),
        any::<[u8; 16]>().prop_map(|bytes| Bson::Decimal128(bson::Decimal128::from_bytes(bytes))),
        select(&WORDS[..]).prop_map(Bson::from),
        any::<String>().prop_map(Bson::from),
        any::<[u8; 12]>().prop_map(|bytes| bson::oid::ObjectId::from_bytes(bytes).into()),
        any::<i64>().prop_map(|millis| bson::DateTime::from_millis(millis).into()),
        vec(any::<u8>(), 0..4).prop_map(|bytes| Binary { subtype: BinarySubtype::Generic, bytes }.into()),
        any::<String>().prop_map(Bson::JavaScriptCode),
        any::<String>().prop_map(Bson::Symbol),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let fields = vec((names(), inner.clone()), 0..4);
        prop_oneof![
            fields.prop_map(|fields| Bson::Document(fields.into_iter().collect())),
            vec(inner, 0..3).prop_map(Bson::Array)
        ]
    })
}

/// A spec of raw fields, so that names can stand there twice.
fn specs() -> impl Strategy<Value = Vec<u8>> {
    let key_names = select(&["a", "b", "_id", "$**", "a.b", "c"][..]).prop_map(str::to_owned);
    let key = vec((prop_oneof![5 => key_names, 1 => names()], values()), 0..4);
    let key_and_name = (option::weighted(0.95, key), option::weighted(0.8, "[abn]{1,2}"));
    (key_and_name, vec((names(), values()), 0..6), any::<prop::sample::Index>()).prop_map(
        |((key, name), options, place)| {
            let mut fields = options;
            let at = place.index(fields.len() + 1);
            if let Some(key) = key {
                fields.insert(
                    at,
                    ("key".to_owned(), Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes: raw(&key) })),
                );
            }
            fields.extend(name.map(|name| ("name".to_owned(), Bson::from(name))));
            raw(&fields)
        },
    )
}

/// The fields one after the other; binary data under the name `key` is a whole document.
fn raw(fields: &[(String, Bson)]) -> Vec<u8> {
    let mut builder = RawBuilder::new();
    for (name, value) in fields {
        match value {
            Bson::Binary(key) if name == "key" => {
                builder.document(name, &key.bytes);
            }
            _ => {
                let holder = bytes([("x".to_owned(), value.clone())].into_iter().collect::<Document>());
                let element = document::find(&holder, b"x").unwrap();
                builder.append_renamed(&element, name);
            }
        }
    }
    builder.finish()
}

fn contexts() -> impl Strategy<Value = (Vec<u8>, Version, Author)> {
    let options = [
        doc! {},
        doc! { "collation": { "locale": "fr" } },
        doc! { "capped": true, "size": 5 },
        doc! { "clusteredIndex": { "key": { "_id": 1 }, "name": "n", "unique": true } },
    ];
    let targets = [V4_2, Version::new(4, 4, 0), V5_0, V6_0, V7_0, V8_0, NEWEST];
    (select(options.to_vec()).prop_map(bytes), select(targets.to_vec()), select(vec![Author::Server, Author::Person]))
}

fn fields(spec: &[u8]) -> Vec<Element<'_>> {
    document::elements(spec).map_while(Result::ok).collect()
}

/// Every option that is there before and not after, or differs, or comes newly, stands in a repair.
fn assert_named(sanitized: &Sanitized, clean: &[u8]) {
    let is_named = |name: &[u8]| {
        let name = String::from_utf8_lossy(name);
        let inside = format!("{name}.");
        sanitized.repairs.iter().any(|repair| repair.field == name || repair.field.starts_with(&inside))
    };
    let (before, after) = (fields(&sanitized.original), fields(clean));
    for option in before.iter().filter(|option| !after.contains(option)) {
        assert!(is_named(option.name), "{option:?} in {sanitized:?}");
    }
    for option in after.iter().filter(|option| !before.contains(option)) {
        assert!(is_named(option.name), "{option:?} in {sanitized:?}");
    }
    if before != after {
        assert!(!sanitized.repairs.is_empty());
    }
}

fn assert_sound(specs: &[Vec<u8>], context: &Context<'_>) {
    let sanitized = sanitize(specs, context);
    let originals: Vec<_> = sanitized.iter().map(|sanitized| &sanitized.original).collect();
    assert_eq!(originals, specs.iter().collect::<Vec<_>>(), "the order");
    let clean: Vec<Vec<u8>> = sanitized.iter().filter_map(|one| one.to_build().map(<[u8]>::to_vec)).collect();
    let names: Vec<_> = sanitized.iter().filter(|one| one.to_build().is_some()).map(|one| &one.name).collect();
    for sanitized in &sanitized {
        match &sanitized.verdict {
            Verdict::Build(clean) => assert_named(sanitized, clean),
            Verdict::Merged(other) => {
                assert!(repairs(sanitized).contains(&(RepairKind::Merged, "key")));
                let of_collection =
                    other == "_id_" || name::of_clustered_index(context.options).as_ref() == Some(other);
                assert!(of_collection || names.contains(&other), "{sanitized:?}");
            }
            Verdict::Refused(reason) => assert!(!reason.is_empty()),
            Verdict::Inherent => {}
        }
    }
    for (place, name) in names.iter().enumerate() {
        assert!(!names[..place].contains(name) && *name != "_id_", "{names:?}");
    }
    for author in [context.author, Author::Person] {
        for (again, clean) in sanitize(&clean, &Context { author, ..*context }).iter().zip(&clean) {
            assert_eq!((again.to_build(), &again.repairs), (Some(&clean[..]), &vec![]), "{author:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_specs_come_out_sound(specs in vec(specs(), 0..5), (options, target, author) in contexts()) {
        assert_sound(&specs, &Context { options: &options, target, author });
    }

    #[test]
    fn any_bytes_come_out_sound(
        mut specs in vec(specs(), 1..3),
        flips in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
        (options, target, author) in contexts(),
    ) {
        for (place, byte) in flips {
            let place = place.index(specs[0].len());
            specs[0][place] = byte;
        }
        assert_sound(&specs, &Context { options: &options, target, author });
        let cut = cut.index(specs[0].len());
        specs[0].truncate(cut);
        assert_sound(&specs, &Context { options: &options, target, author });
    }

    #[test]
    fn noise_is_refused(noise in vec(any::<u8>(), 0..64)) {
        assert_sound(&[noise], &CONTEXT);
    }
}
