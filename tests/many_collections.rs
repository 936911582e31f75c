//! Dumps of many small collections: few commands for each, and the same catalog as when each is asked for by itself.

use bson::{Bson, Document, doc};
use transload::{
    catalog::{self, Catalog},
    sandbox::Release,
    selection::{Selection, SelectionOptions},
};

use crate::{
    copy::{Archive, Side, assert_equal},
    indexes::{lenient, set},
    odd_documents::numbered,
};

/// More than are asked about in one command.
const MANY: usize = 40;

/// Many collections, and some whose index specs stand elsewhere than others', or are bad.
async fn fill(side: &Side<'_>) {
    for n in 0..MANY {
        let name = format!("c{n:02}");
        side.insert(&name, &[numbered(i32::try_from(n).unwrap(), |_| {})]).await;
        side.run(doc! { "createIndexes": &name, "indexes": [{ "key": { "a": 1 }, "name": "a_1" }] }).await;
    }
    for create in [
        doc! { "create": "clustered", "clusteredIndex": { "key": { "_id": 1 }, "unique": true, "name": "own name" } },
        doc! { "create": "series", "timeseries": { "timeField": "t", "metaField": "m" } },
        doc! { "create": "capped", "capped": true, "size": 10_000 },
        doc! { "create": "swedish", "collation": { "locale": "sv" } },
        doc! { "create": "view", "viewOn": "c01", "pipeline": [] },
    ] {
        side.run(create).await;
    }
    side.run(doc! { "createIndexes": "series", "indexes": [{ "key": { "m.x": 1, "t": 1 }, "name": "m.x_1_t_1" }] })
        .await;
    let indexes = vec![
        doc! { "name": "unique", "unique": true, "sparse": true, "key": { "u": 1 } },
        doc! { "key": { "p": 1 }, "name": "partial", "partialFilterExpression": { "p": { "$gt": 5 } } },
        doc! { "key": { "ttl": 1 }, "name": "ttl", "expireAfterSeconds": 2_000_000_000 },
        doc! { "key": { "t": "text" }, "name": "text", "weights": { "t": 3 }, "collation": { "locale": "simple" } },
        doc! { "key": { "$**": 1 }, "name": "wild", "wildcardProjection": { "a": 1 } },
        doc! { "key": { "hid": 1 }, "name": "hidden", "hidden": true },
        doc! { "key": { "col": 1 }, "name": "collation", "collation": { "locale": "fr", "strength": 2 } },
    ];
    side.run(doc! { "createIndexes": "swedish", "indexes": indexes }).await;
    lenient(side.set, "alwaysOn").await;
    let bad = doc! { "key": { "bad": 1 }, "name": "bad", "safe": Bson::Null };
    side.run(doc! { "createIndexes": "swedish", "indexes": [bad] }).await;
    lenient(side.set, "off").await;
}

async fn catalog_of(side: &Side<'_>, include: &[String]) -> Catalog {
    let options = SelectionOptions {
        include: include.to_vec(),
        default_database: Some(side.database.to_owned()),
        ..SelectionOptions::default()
    };
    catalog::read(&side.server().await, &Selection::new(&options).unwrap()).await.unwrap()
}

/// The index specs of an entry, each with its options in the order of their names.
fn specs(entry: &catalog::Entry) -> Vec<Vec<(String, Bson)>> {
    let sorted = |spec: &Vec<u8>| {
        let spec: Document = bson::deserialize_from_slice(spec).unwrap();
        let mut options: Vec<_> = spec.into_iter().collect();
        options.sort_by(|one, other| one.0.cmp(&other.0));
        options
    };
    entry.collection.indexes.iter().map(sorted).collect()
}

#[tokio::test]
async fn the_catalog_of_many_collections_is_what_each_has() {
    for release in Release::ALL {
        if release == Release::V4_2_6 || release == Release::V5_0_4 {
            // What they have is asked for collection by collection.
            continue;
        }
        let (_turn, set) = set(release).await;
        let side = Side::new(set, "many_alike");
        fill(&side).await;
        let all = catalog_of(&side, &[]).await;
        // Those of whose catalog nothing is shown are asked about by themselves.
        side.fail(&["aggregate"], doc! { "times": 2 }, doc! { "errorCode": 13 }).await;
        let denied = catalog_of(&side, &[]).await;
        side.fail_no_more().await;
        // As a router says it of what is sharded.
        side.fail(&["dataSize"], doc! { "times": 1000 }, doc! { "errorCode": 13408 }).await;
        let stats = catalog_of(&side, &[]).await;
        side.fail_no_more().await;
        let sizes = |of: &Catalog| of.entries.iter().map(|of| (of.documents, of.bytes)).collect::<Vec<_>>();
        assert_eq!(sizes(&all), sizes(&stats), "{release}");
        assert!(all.entries.iter().all(|of| of.documents.is_some() && of.bytes.is_some()), "{release}");
        assert_eq!(all.entries.len(), MANY + 5, "{release}");
        for catalog in [&all, &denied] {
            assert_eq!((&catalog.warnings, &catalog.missing), (&vec![], &vec![]), "{release}");
        }
        for (entry, denied) in all.entries.iter().zip(&denied.entries) {
            let one = catalog_of(&side, &[entry.namespace.to_string()]).await;
            let [one] = one.entries.as_slice() else { panic!("{release} {}", entry.namespace) };
            for other in [one, denied] {
                assert_eq!(specs(entry), specs(other), "{release} {}", entry.namespace);
                assert_eq!((entry.uuid, entry.order), (other.uuid, other.order), "{release} {}", entry.namespace);
                let size = |of: &catalog::Entry| (of.documents, of.bytes);
                assert_eq!(size(entry), size(other), "{release} {}", entry.namespace);
            }
        }
        let swedish = all.entries.iter().find(|entry| entry.namespace.collection() == "swedish").unwrap();
        assert!(specs(swedish).last().unwrap().contains(&("safe".to_owned(), Bson::Null)), "{release}");
    }
}

/// How often the server was asked so.
async fn asked(side: &Side<'_>, command: &str) -> i64 {
    let status = side.run(doc! { "serverStatus": 1 }).await;
    let commands = status.get_document("metrics").unwrap().get_document("commands").unwrap();
    commands.get_document(command).and_then(|of| of.get_i64("total")).unwrap_or(0)
}

#[tokio::test]
async fn a_small_collection_takes_three_commands() {
    let (_turn, set) = set(Release::V6_0_5).await;
    let (side, target) = (Side::new(set, "many_small"), Side::new(set, "many_small_copy"));
    fill(&side).await;
    side.run(doc! { "dropIndexes": "swedish", "index": "bad" }).await;
    const COMMANDS: [&str; 7] =
        ["find", "listCollections", "dataSize", "listIndexes", "collStats", "aggregate", "ping"];
    let mut before = Vec::new();
    for command in COMMANDS {
        before.push(asked(&side, command).await);
    }
    let archive = Archive::new();
    archive.dump(&side).await.unwrap();
    let mut took = Vec::new();
    for (command, before) in COMMANDS.iter().zip(before) {
        took.push((*command, asked(&side, command).await - before));
    }
    let many = i64::try_from(MANY).unwrap();
    for (command, times) in &took {
        match *command {
            "find" | "listCollections" | "dataSize" => assert!((many..many + 20).contains(times), "{took:?}"),
            _ => assert!(*times < 12, "{took:?}"),
        }
    }
    archive.restore(&target).await.unwrap();
    assert_equal(&side, &target).await;
}
