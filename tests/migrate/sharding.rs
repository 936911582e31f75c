//! Moves into a sharded cluster, through a stand-in for its router: which commands are sent, in which order, and what is said of
//! it. What shards would make of them, it does not show.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use bson::{Binary, Bson, Document, Timestamp, doc, spec::BinarySubtype};
use serde_json::Value;
use transload::sandbox::{Release, ReplicaSet};

use super::{
    Migration,
    not_followed::{differs, said, ticking, watched},
};
use crate::{
    copy::Side,
    router::{FIRST, Router, error, found},
    servers::shared,
};

/// What a cluster has written down of a sharded collection.
#[derive(Clone)]
struct Entry {
    key: Document,
    unique: bool,
    /// The lower bounds, and the shard.
    chunks: Vec<(Document, &'static str)>,
}

/// A cluster of two shards, as far as its router tells.
#[derive(Clone, Default)]
struct Cluster {
    collections: Arc<Mutex<BTreeMap<String, Entry>>>,
    /// Whether it is as those before 5.0.
    is_old: bool,
    /// The bytes that each collection is said to have.
    bytes: Option<i64>,
    /// A collection that it does not follow.
    lost: Option<&'static str>,
    balances: bool,
}

impl Cluster {
    fn shard(&self, namespace: &str, key: Document, bounds: &[i32]) {
        let bound = |value: Bson| key.keys().map(|name| (name.clone(), value.clone())).collect::<Document>();
        let lowers = std::iter::once(bound(Bson::MinKey)).chain(bounds.iter().map(|value| bound(Bson::Int32(*value))));
        let chunks = lowers.map(|lower| (lower, "one")).collect();
        self.collections.lock().unwrap().insert(namespace.to_owned(), Entry { key, unique: false, chunks });
    }

    fn is_sharded(&self, namespace: &str) -> bool {
        self.collections.lock().unwrap().contains_key(namespace)
    }

    fn uuid(namespace: &str) -> Binary {
        // Names differ at their ends.
        let mut bytes: Vec<u8> = namespace.bytes().rev().collect();
        bytes.resize(16, 0);
        Binary { subtype: BinarySubtype::Uuid, bytes }
    }

    fn entries(&self, filter: &Document) -> Document {
        let collections = self.collections.lock().unwrap();
        let wanted = collections
            .iter()
            .filter(|(name, _)| filter.get_str("_id").is_ok_and(|id| id == *name) || filter.is_empty());
        let entry = |(name, entry): (&String, &Entry)| {
            let mut listed =
                doc! { "_id": name, "uuid": Self::uuid(name), "key": entry.key.clone(), "unique": entry.unique };
            match self.is_old {
                true => listed.insert("dropped", false),
                false => listed.insert("timestamp", Timestamp { time: 1, increment: 1 }),
            };
            listed
        };
        found("config.collections", wanted.map(entry).collect())
    }

    fn chunks(&self, filter: &Document) -> Document {
        let collections = self.collections.lock().unwrap();
        let is_it = |name: &String| match self.is_old {
            true => filter.get_str("ns").is_ok_and(|ns| ns == name),
            false => filter.get("uuid") == Some(&Bson::Binary(Self::uuid(name))),
        };
        let Some((_, entry)) = collections.iter().find(|(name, _)| is_it(name)) else {
            return found("config.chunks", Vec::new());
        };
        let end: Document = entry.key.keys().map(|name| (name.clone(), Bson::MaxKey)).collect();
        let uppers = entry.chunks.iter().skip(1).map(|(lower, _)| lower.clone()).chain([end]);
        let chunks = entry.chunks.iter().zip(uppers);
        found(
            "config.chunks",
            chunks.map(|((min, shard), max)| doc! { "min": min.clone(), "max": max, "shard": *shard }).collect(),
        )
    }

    /// What the router says, if it is not the server that does.
    fn answer(&self, command: &Document) -> Option<Document> {
        let name = command.keys().next()?.as_str();
        let of = command.get_str(name).unwrap_or_default().to_owned();
        let database = command.get_str("$db").unwrap_or_default();
        let ok = doc! { "ok": 1.0 };
        match name {
            "balancerStatus" => {
                Some(doc! { "mode": if self.balances { "full" } else { "off" }, "inBalancerRound": false, "ok": 1.0 })
            }
            "listShards" => Some(
                doc! { "shards": [{ "_id": "one" }, { "_id": "two" }, { "_id": "three", "draining": true }], "ok": 1.0 },
            ),
            "enableSharding" => Some(ok),
            "aggregate" if watched(command).is_some() => match watched(command) {
                Some(Bson::String(name)) if self.lost.is_some_and(|lost| lost == name) => differs(name),
                Some(Bson::Int32(1)) if self.lost.is_some() => differs("one of them"),
                _ => None,
            },
            "find" if database == "config" => {
                let filter = command.get_document("filter").cloned().unwrap_or_default();
                match of.as_str() {
                    "collections" => Some(self.entries(&filter)),
                    "chunks" => Some(self.chunks(&filter)),
                    _ => None,
                }
            }
            "dataSize" => self.bytes.map(|_| error(13408, "Location13408", "keyPattern must equal shard key")),
            "collStats" => self.bytes.map(|bytes| doc! { "count": 1000, "size": bytes, "ok": 1.0 }),
            "drop" => {
                self.collections.lock().unwrap().remove(&format!("{database}.{of}"));
                None
            }
            "shardCollection" => {
                let key = command.get_document("key").unwrap().clone();
                let chunks = command.get_i32("numInitialChunks").map_or(&[][..], |_| &[0]);
                self.shard(&of, key.clone(), chunks);
                let unique = command.get_bool("unique").unwrap_or(false);
                self.collections.lock().unwrap().get_mut(&of)?.unique = unique;
                // A server makes the index, if there is none.
                let sign = |(name, value): (&String, &Bson)| format!("{name}_{}", value.as_str().unwrap_or("1"));
                let name = key.iter().map(sign).collect::<Vec<_>>().join("_");
                let (database, collection) = of.split_once('.').unwrap();
                let make = doc! { "createIndexes": collection, "indexes": [{ "key": key, "name": name, "unique": unique }], "$db": database };
                Some(if of.ends_with(".supported") {
                    ok
                } else {
                    doc! { FIRST: make, "ok": 1.0 }
                })
            }
            "split" => {
                let mut collections = self.collections.lock().unwrap();
                let entry = collections.get_mut(&of)?;
                let middle = command.get_document("middle").unwrap().clone();
                if entry.chunks.iter().any(|(lower, _)| *lower == middle) {
                    return Some(error(2, "BadValue", "cannot split on initial or final chunk's key"));
                }
                entry.chunks.push((middle, "one"));
                Some(ok)
            }
            "moveChunk" => {
                let mut collections = self.collections.lock().unwrap();
                let bounds = command.get_array("bounds").unwrap();
                let lower = bounds[0].as_document().unwrap();
                let chunk = collections.get_mut(&of)?.chunks.iter_mut().find(|(min, _)| min == lower).unwrap();
                chunk.1 = if command.get_str("to").unwrap() == "two" { "two" } else { "one" };
                Some(ok)
            }
            _ => None,
        }
    }

    async fn router(&self, set: &ReplicaSet) -> Router {
        let cluster = self.clone();
        Router::before(set, move |command| cluster.answer(command)).await
    }
}

/// Two clusters with a router each, of servers with one member.
struct Two {
    source: Cluster,
    target: Cluster,
    routers: (Router, Router),
    migration: Migration<'static>,
}

impl Two {
    async fn new(name: &'static str, source: Cluster, target: Cluster) -> Self {
        let (from, onto) = (shared(Release::V6_0_5).await, shared(Release::V6_0_27).await);
        let routers = (source.router(from).await, target.router(onto).await);
        let mut migration = Migration::new(Side::new(from, name), Side::new(onto, name));
        migration.source_uri = Some(routers.0.uri(name));
        migration.target_uri = Some(routers.1.uri(name));
        Two { source, target, routers, migration }
    }

    /// What the target was asked that is about a collection: the names of the commands, in their order.
    fn asked(&self, collection: &str) -> Vec<String> {
        let namespace = format!("{}.{collection}", self.migration.target.database);
        let is_of = |command: &Document| {
            let name = command.keys().next().unwrap();
            command.get_str(name).is_ok_and(|of| of == namespace || of == collection)
        };
        let asked = self.routers.1.asked();
        asked.iter().filter(|command| is_of(command)).map(|command| command.keys().next().unwrap().clone()).collect()
    }

    /// The commands of one name about a collection.
    fn commands(&self, name: &str, collection: &str) -> Vec<Document> {
        let namespace = format!("{}.{collection}", self.migration.target.database);
        let asked = self.routers.1.asked();
        asked.into_iter().filter(|command| command.get_str(name).is_ok_and(|of| of == namespace)).collect()
    }

    /// Whether the first of these comes before the first of those.
    fn comes_before(&self, collection: &str, first: &str, second: &str) -> bool {
        let asked = self.asked(collection);
        let at = |name: &str| asked.iter().position(|asked| asked == name);
        at(first).is_some() && at(first) < at(second)
    }

    async fn cutover(&mut self) -> (Option<i32>, Value) {
        let output = self.migration.about_later("cutover", &["--yes", "--json"]).await;
        let lines = String::from_utf8(output.stdout.clone()).unwrap();
        let report = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let report = report.into_iter().find(|line| line["type"] == "summary");
        (output.status.code(), report.unwrap_or_else(|| panic!("{}", said(&output))))
    }
}

async fn fill(side: &Side<'_>, collection: &str, documents: i32) {
    let text = "x".repeat(1000);
    let some = (0..documents).map(|id| doc! { "_id": id, "customer": id % 200, "device": id, "text": &text });
    side.open().await.collection(collection).insert_many(some).await.unwrap();
}

const GIB: i64 = 1 << 30;

#[tokio::test]
async fn a_target_is_sharded_as_the_source_is_and_spread_before_anything_is_loaded() {
    for is_old in [true, false] {
        let name = if is_old { "sharded_old" } else { "sharded_new" };
        let source = Cluster { is_old, bytes: Some(GIB), ..Cluster::default() };
        source.shard(
            &format!("{name}.orders"),
            doc! { "customer": 1.0 },
            &(1..20).map(|ten| ten * 10).collect::<Vec<_>>(),
        );
        source.shard(&format!("{name}.events"), doc! { "device": "hashed" }, &[0]);
        source.shard(&format!("{name}.supported"), doc! { "customer": 1 }, &[]);
        source.shard("elsewhere.orders", doc! { "a": 1 }, &[]);
        let target = Cluster { is_old: !is_old, ..Cluster::default() };
        let mut two = Two::new(name, source, target).await;
        for collection in ["orders", "events", "notes", "supported"] {
            fill(&two.migration.source, collection, 1000).await;
        }
        let database = two.migration.source.open().await;
        let index = doc! { "key": { "customer": 1 }, "name": "by customer" };
        database.run_command(doc! { "createIndexes": "supported", "indexes": [index] }).await.unwrap();
        let _ticking = ticking(two.migration.source.set);
        two.migration.start(&[]);
        two.migration.until_following().await;
        let said = two.migration.said();
        assert!(said.contains("orders by {customer: 1}") && said.contains("1 more will not be sharded"), "{said}");
        // Eight chunks of 128 MiB, of the twenty of the source.
        let splits: Vec<i32> = two
            .commands("split", "orders")
            .iter()
            .map(|split| split.get_document("middle").unwrap().get_i32("customer").unwrap())
            .collect();
        assert_eq!(splits, [30, 50, 80, 100, 120, 150, 170], "{is_old}");
        assert_eq!(two.commands("moveChunk", "orders").len(), 4, "every other one");
        for first in ["shardCollection", "split", "moveChunk"] {
            assert!(two.comes_before("orders", first, "insert"), "{first}: {:?}", two.asked("orders"));
        }
        assert!(two.comes_before("orders", "create", "shardCollection"));
        let hashed = two.commands("shardCollection", "events");
        assert_eq!((hashed.len(), hashed[0].get_i32("numInitialChunks").ok()), (1, Some(8)));
        assert!(two.commands("split", "events").is_empty(), "the server does that itself");
        assert!(two.comes_before("supported", "createIndexes", "shardCollection"), "{:?}", two.asked("supported"));
        assert!(two.commands("shardCollection", "notes").is_empty());
        assert!(two.source.is_sharded("elsewhere.orders") && !two.target.is_sharded("elsewhere.orders"));
        let (code, report) = two.cutover().await;
        // The indexes that the server has made for the keys stay, and are no difference.
        assert_eq!((code, &report["outcome"]), (Some(0), &Value::from("clean")), "{report}");
        let sharded: Vec<&str> =
            report["sharded"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
        let line = |of: &str| format!("{name}.{of}");
        assert_eq!(sharded.len(), 3, "{report}");
        assert_eq!(sharded[1], line("orders by {customer: 1}, 8 chunks on 2 shards"));
        assert!(sharded[0].starts_with(&line("events by {device: \"hashed\"}, ")), "{report}");
        let indexes = two.migration.target.state().await.indexes;
        assert!(indexes["orders"].iter().any(|spec| spec.contains("\"customer_1\"")), "{indexes:?}");
        assert_eq!(indexes["supported"], two.migration.source.state().await.indexes["supported"]);
        assert_eq!(two.migration.end().await, 0);
        let said = two.migration.said();
        assert!(said.contains(&format!("sharded       {}", sharded[1])), "{said}");
    }
}

#[tokio::test]
async fn a_key_that_the_user_names_is_kept_after_kills_and_when_a_collection_is_made_anew() {
    let name = "sharded_by_flag";
    let source = Cluster { bytes: Some(GIB), ..Cluster::default() };
    let mut two = Two::new(name, source, Cluster::default()).await;
    for collection in ["orders", "again"] {
        fill(&two.migration.source, collection, 1000).await;
    }
    let ticking = ticking(two.migration.source.set);
    let keys =
        ["--shard-key", "sharded_by_flag.orders=customer,_id,unique", "--shard-key", "sharded_by_flag.again=device"];
    two.migration.start(&[&keys[..], &["--max-rate", "200KB"]].concat());
    two.migration.until("copying", |status| status["bytes"].as_u64().is_some_and(|bytes| bytes > 100_000)).await;
    two.migration.kill();
    // Another key is refused; none is the one that it has.
    let mut other = two.migration.command(&["--shard-key", "sharded_by_flag.orders=device"]);
    let output = tokio::task::spawn_blocking(move || other.output().unwrap()).await.unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("begun with another --shard-key"), "{}", said(&output));
    two.migration.start(&[]);
    two.migration.until_following().await;
    let sharded = two.commands("shardCollection", "orders");
    assert_eq!(sharded.len(), 1, "{sharded:?}");
    assert_eq!(sharded[0].get_document("key").unwrap(), &doc! { "customer": 1, "_id": 1 });
    assert_eq!(sharded[0].get_bool("unique").ok(), Some(true));
    let splits = two.commands("split", "orders");
    assert_eq!(splits.len(), 7, "of a sample: {}", two.migration.said());
    let middles = splits.iter().map(|split| split.get_document("middle").unwrap());
    let middles: Vec<(i32, i32)> =
        middles.map(|middle| (middle.get_i32("customer").unwrap(), middle.get_i32("_id").unwrap())).collect();
    assert!(middles.windows(2).all(|pair| pair[0] < pair[1]), "{middles:?}");
    assert!(middles.iter().all(|(customer, id)| id % 200 == *customer), "{middles:?}");
    // What is told of documents must not go by the `_id` alone: that of the key may be on another shard.
    let orders = two.migration.source.open().await.collection::<Document>("orders");
    orders.update_one(doc! { "_id": 3 }, doc! { "$set": { "customer": 777 } }).await.unwrap();
    orders.update_one(doc! { "_id": 4 }, doc! { "$set": { "text": "changed" } }).await.unwrap();
    orders.replace_one(doc! { "_id": 5 }, doc! { "customer": 778 }).await.unwrap();
    orders.delete_one(doc! { "_id": 6 }).await.unwrap();
    orders.insert_one(doc! { "_id": "new", "customer": 1 }).await.unwrap();
    let database = two.migration.source.open().await;
    database.run_command(doc! { "drop": "again" }).await.unwrap();
    fill(&two.migration.source, "again", 10).await;
    two.migration.until_following().await;
    let updates = two.asked("orders").into_iter().filter(|name| name == "update").count();
    assert_eq!(updates, 0, "an upsert by the _id alone is refused by a router");
    assert_eq!(two.commands("shardCollection", "again").len(), 2, "{:?}", two.asked("again"));
    let (code, report) = two.cutover().await;
    assert_eq!(code, Some(0), "{report}");
    assert_eq!(report["sharded"].as_array().unwrap().len(), 2, "{report}");
    assert_eq!(two.migration.end().await, 0);
    drop(ticking);
    assert!(two.target.is_sharded("sharded_by_flag.again"));
}

#[tokio::test]
async fn what_is_copied_anew_at_the_cutover_is_sharded_anew() {
    let name = "sharded_anew";
    let source = Cluster { lost: Some("orders"), ..Cluster::default() };
    source.shard(&format!("{name}.orders"), doc! { "customer": 1 }, &[]);
    let mut two = Two::new(name, source, Cluster::default()).await;
    for collection in ["orders", "events"] {
        fill(&two.migration.source, collection, 100).await;
    }
    let _ticking = ticking(two.migration.source.set);
    two.migration.start(&[]);
    two.migration.until_following().await;
    assert_eq!(two.commands("shardCollection", "orders").len(), 1);
    let (code, report) = two.cutover().await;
    assert_eq!((code, &report["documents_different"]), (Some(3), &Value::from(0)), "{report}");
    assert_eq!(two.commands("shardCollection", "orders").len(), 2);
    assert_eq!(report["sharded"][0], "sharded_anew.orders by {customer: 1}, 1 chunk on 1 shard", "{report}");
    assert_eq!((&report["failed"], &report["differences"]), (&Value::Array(vec![]), &Value::Array(vec![])), "{report}");
    two.migration.kill();
}

/// A server keeps values apart only within a shard.
#[tokio::test]
async fn a_unique_index_that_does_not_begin_with_the_key_is_told_with_the_reason() {
    let name = "sharded_unique";
    let (source, target) = (Cluster::default(), Cluster::default());
    let mut two = Two::new(name, source, target.clone()).await;
    fill(&two.migration.source, "orders", 100).await;
    let index = doc! { "key": { "device": 1 }, "name": "device_1", "unique": true };
    two.migration.source.run(doc! { "createIndexes": "orders", "indexes": [index] }).await;
    two.routers.1.answer(move |command| {
        let is_unique =
            |index: &Bson| index.as_document().is_some_and(|index| index.get_bool("unique").unwrap_or(false));
        let refused = command.get_str("createIndexes").is_ok_and(|name| name == "orders")
            && command.get_array("indexes").is_ok_and(|indexes| indexes.iter().any(is_unique));
        match refused {
            true => Some(error(
                67,
                "CannotCreateIndex",
                "cannot create unique index over { device: 1 } with shard key pattern { customer: 1 }",
            )),
            false => target.answer(command),
        }
    });
    let _ticking = ticking(two.migration.source.set);
    two.migration.start(&["--shard-key", "sharded_unique.orders=customer"]);
    two.migration.until_following().await;
    let (code, report) = two.cutover().await;
    // The target lacks what the source has.
    assert_eq!(code, Some(4), "{report}");
    let failed = report["failed"].to_string();
    assert!(failed.contains("sharded_unique.orders: index device_1: built: not done: error 67"), "{report}");
    assert!(failed.contains("cannot create unique index over"), "{report}");
    assert_eq!(report["documents_different"], 0, "{report}");
    two.migration.kill();
}

#[tokio::test]
async fn what_cannot_be_sharded_is_refused_before_anything_is_written() {
    let name = "sharded_refused";
    let mut two = Two::new(name, Cluster::default(), Cluster { balances: true, ..Cluster::default() }).await;
    fill(&two.migration.source, "orders", 10).await;
    two.migration.source.run(doc! { "create": "capped", "capped": true, "size": 4096 }).await;
    let _ticking = ticking(two.migration.source.set);
    let run = async |migration: &Migration<'_>, more: &[&str]| {
        let mut command = migration.command(more);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        (output.status.code(), said(&output))
    };
    for (key, code, why) in [
        ("sharded_refused.others=a", 1, "there is no such collection on the source that is selected"),
        ("sharded_refused.capped=a", 1, "it is capped"),
        ("sharded_refused.orders=a,hashed,unique", 2, "cannot be unique and hashed"),
    ] {
        let (ended, said) = run(&two.migration, &["--shard-key", key]).await;
        assert_eq!(ended, Some(code), "{said}");
        assert!(said.contains(why), "{key}: {said}");
        if code == 1 {
            assert!(said.contains("it runs, and moves chunks while they are loaded"), "{said}");
        }
    }
    // A target that is no cluster.
    let plain = two.migration.target_uri.take();
    let (ended, said) = run(&two.migration, &["--shard-key", "sharded_refused.orders=customer"]).await;
    assert_eq!(ended, Some(1), "{said}");
    assert!(said.contains("it is no sharded cluster") && said.contains("leave --shard-key out"), "{said}");
    two.migration.target_uri = plain;
    // One that has the collection by another key.
    two.target.shard("sharded_refused.orders", doc! { "device": 1 }, &[]);
    let (ended, said) = run(&two.migration, &["--shard-key", "sharded_refused.orders=customer"]).await;
    assert_eq!(ended, Some(1), "{said}");
    assert!(said.contains("is sharded by {device: 1}, and was to be by {customer: 1}"), "{said}");
    assert!(two.migration.target.documents("orders").await.is_empty());
    // A source whose chunks move.
    let moving = Cluster { balances: true, ..Cluster::default() };
    let router = moving.router(two.migration.source.set).await;
    let mut elsewhere =
        Migration::new(Side::new(two.migration.source.set, name), Side::new(two.migration.target.set, name));
    elsewhere.source_uri = Some(router.uri(name));
    let (ended, said) = run(&elsewhere, &[]).await;
    assert_eq!(ended, Some(1), "{said}");
    assert!(said.contains("it runs, and chunks move") && said.contains("sh.stopBalancer()"), "{said}");
}
