//! The two stores of change events keep one contract: each test here runs over both.

use std::path::Path;

use bson::{Document, Timestamp, doc, rawdoc};
use tempfile::TempDir;
use transload::{
    changes::{
        Store, StoreReader, StoreWriter,
        cdc::{Cdc, CdcWriter, EVENTS, POSITIONS},
        log::{Item, LogOptions, LogPlace, LogWriter, Position},
    },
    connect::Server,
    error::{ErrorKind, Result},
    sandbox::Release,
};
use transload_format::Documents;

use crate::{copy::Side, servers::shared};

const OPTIONS: LogOptions = LogOptions {
    segment_bytes: 4096,
    block_bytes: 300,
    codec: transload_format::Codec::Zstd(1),
    idle: std::time::Duration::from_secs(10),
};

/// A store in which a stream has begun at time 0.
struct Begun {
    folder: TempDir,
    store: Store,
}

fn position(time: u64) -> Position {
    Position { token: rawdoc! { "_data": format!("token {time}") }.into_bytes(), time }
}

/// An event, with what a store must bring back as it is.
fn event(number: i32) -> Vec<u8> {
    rawdoc! {
        "_id": { "_data": format!("82{number:08}") }, "operationType": "update",
        "clusterTime": Timestamp { time: 7, increment: number as u32 + 1 },
        "ns": { "db": "shop", "coll": "orders" }, "documentKey": { "_id": number },
        "updateDescription": { "updatedFields": { "$set": 1, "a.b": { "$ref": "x" } }, "removedFields": ["", "a.1"] },
        "empty": Timestamp { time: 0, increment: 0 },
    }
    .into_bytes()
}

fn number(event: &[u8]) -> i32 {
    let event = bson::RawDocument::from_bytes(event).unwrap();
    event.get_document("documentKey").unwrap().get_i32("_id").unwrap()
}

async fn begin_log() -> Begun {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("1");
    drop(LogWriter::create(&directory, &position(0), OPTIONS).unwrap());
    Begun { folder, store: Store::Log(directory) }
}

fn cdc(server: &Server, folder: &Path, database: &str) -> Cdc {
    Cdc::new(server, database, "a capture", 1, folder)
}

async fn begin_cdc(side: &Side<'_>) -> Begun {
    side.run(doc! { "dropDatabase": 1 }).await;
    let folder = tempfile::tempdir().unwrap();
    let cdc = cdc(&side.server().await, folder.path(), side.database);
    cdc.check_free().await.unwrap();
    CdcWriter::create(&cdc, &position(0)).await.unwrap();
    Begun { folder, store: Store::Cdc(Box::new(cdc)) }
}

/// Runs a test over both stores; what it does blocks.
async fn over_both(name: &str, test: impl Fn(&Begun) + Clone + Send + 'static) {
    let mut all = vec![begin_log().await];
    for release in [Release::V4_2_6, Release::V6_0_5] {
        all.push(begin_cdc(&Side::new(shared(release).await, name)).await);
    }
    for begun in all {
        let test = test.clone();
        tokio::task::spawn_blocking(move || test(&begun)).await.unwrap();
    }
}

fn resume(begun: &Begun) -> (StoreWriter, Position) {
    begun.store.clone().resume(OPTIONS).unwrap()
}

fn drain(reader: &mut StoreReader) -> Vec<Item> {
    std::iter::from_fn(|| reader.next().unwrap()).collect()
}

fn read(begun: &Begun) -> Vec<Item> {
    drain(&mut begun.store.read(None).unwrap())
}

fn events(items: &[Item]) -> Vec<Vec<u8>> {
    let blocks = items.iter().filter_map(|item| match item {
        Item::Events { events, .. } => Some(events),
        Item::Checkpoint { .. } => None,
    });
    blocks.flat_map(|events| Documents::new(events).map(|event| event.unwrap().to_vec())).collect()
}

fn numbers(items: &[Item]) -> Vec<i32> {
    events(items).iter().map(|event| number(event)).collect()
}

fn places(items: &[Item]) -> Vec<LogPlace> {
    let found = items.iter().filter_map(|item| match item {
        Item::Checkpoint { place, .. } => Some(*place),
        Item::Events { .. } => None,
    });
    found.collect()
}

/// Appends to one lane, with a position behind each ten.
fn fill(writer: &mut StoreWriter, numbers: std::ops::Range<i32>) {
    for number in numbers {
        writer.append("shop.orders", &event(number), false).unwrap();
        if number % 10 == 9 {
            writer.commit(&position(number as u64)).unwrap();
        }
    }
}

fn refused<T>(result: Result<T>) -> ErrorKind {
    result.err().expect("it was not refused").kind()
}

#[tokio::test]
async fn what_is_appended_comes_back_byte_by_byte_and_in_order() {
    over_both("stores_bytes", |begun| {
        let (mut writer, first) = resume(begun);
        assert_eq!(first, position(0));
        fill(&mut writer, 0..5000);
        let items = read(begun);
        assert_eq!(events(&items), (0..5000).map(event).collect::<Vec<_>>());
        assert!(places(&items).is_sorted_by(|one, other| one < other));
        assert!(matches!(&items[0], Item::Checkpoint { position: first, .. } if *first == position(0)));
        assert!(matches!(items.last().unwrap(), Item::Checkpoint { position: last, .. } if *last == position(4999)));
    })
    .await;
}

#[tokio::test]
async fn what_no_position_follows_is_not_seen_and_is_gone_after_a_resume() {
    over_both("stores_tail", |begun| {
        let (mut writer, _) = resume(begun);
        fill(&mut writer, 0..25);
        writer.flush().unwrap();
        assert_eq!(numbers(&read(begun)), (0..20).collect::<Vec<_>>());
        drop(writer);
        let mut reader = begun.store.read(None).unwrap();
        drain(&mut reader);
        let (mut writer, last) = resume(begun);
        assert_eq!(last, position(19));
        fill(&mut writer, 20..40);
        assert_eq!(numbers(&drain(&mut reader)), (20..40).collect::<Vec<_>>());
        assert_eq!(numbers(&read(begun)), (0..40).collect::<Vec<_>>());
    })
    .await;
}

#[tokio::test]
async fn a_barrier_stands_alone_between_what_came_before_and_after_it() {
    over_both("stores_barriers", |begun| {
        let (mut writer, _) = resume(begun);
        for (lane, number, barrier) in [
            ("a.x", 1, false),
            ("a.y", 2, false),
            ("a.x", 3, true),
            ("a.y", 4, false),
            ("a.$cmd", 5, true),
            ("a.x", 6, false),
        ] {
            writer.append(lane, &event(number), barrier).unwrap();
        }
        writer.commit(&position(9)).unwrap();
        let items = read(begun);
        assert_eq!(numbers(&items), [1, 2, 3, 4, 5, 6]);
        assert_eq!(items.iter().filter(|item| matches!(item, Item::Events { .. })).count(), 6);
    })
    .await;
}

#[tokio::test]
async fn reading_goes_on_from_every_place_and_events_have_the_same_places() {
    over_both("stores_places", |begun| {
        let (mut writer, _) = resume(begun);
        for round in 0..3 {
            for number in 0..70 {
                let lane = ["shop.a", "shop.b", "shop.$cmd"][number as usize % 3];
                writer.append(lane, &event(number + 100 * round), number % 31 == 0).unwrap();
                if number % 10 == 9 {
                    writer.commit(&position((number + 100 * round) as u64)).unwrap();
                }
            }
            writer.flush().unwrap();
            drop(writer);
            writer = resume(begun).0;
        }
        let items = read(begun);
        for (index, item) in items.iter().enumerate() {
            let Item::Checkpoint { place, .. } = item else { continue };
            assert_eq!(drain(&mut begun.store.read(Some(*place)).unwrap()), items[index + 1..]);
        }
        let wrong = LogPlace { offset: 1, ..places(&items)[1] };
        assert_eq!(refused(begun.store.read(Some(wrong))), ErrorKind::Damaged);
    })
    .await;
}

#[tokio::test]
async fn pruning_takes_nothing_that_stands_behind_the_place() {
    over_both("stores_prune", |begun| {
        let (mut writer, _) = resume(begun);
        fill(&mut writer, 0..500);
        let before = read(begun);
        let place = *places(&before).iter().rfind(|place| place.segment <= 30).unwrap();
        let behind = drain(&mut begun.store.read(Some(place)).unwrap());
        begun.store.prune(place).unwrap();
        begun.store.prune(place).unwrap();
        assert_eq!(drain(&mut begun.store.read(Some(place)).unwrap()), behind);
        assert!(read(begun).len() < before.len());
        assert_eq!(refused(begun.store.read(Some(places(&before)[0]))), ErrorKind::NotFound);
        fill(&mut writer, 500..510);
        drop(writer);
        assert_eq!(resume(begun).1, position(509));
    })
    .await;
}

#[tokio::test]
async fn events_too_large_or_too_deep_for_a_document_come_back() {
    over_both("stores_large", |begun| {
        let (mut writer, _) = resume(begun);
        let with = |number: i32, inner: bson::RawDocumentBuf| {
            let mut large = rawdoc! {
                "_id": { "_data": format!("83{number}") }, "operationType": "insert",
                "ns": { "db": "shop", "coll": "orders" }, "documentKey": { "_id": number },
            };
            large.append(bson::cstr!("fullDocument"), inner);
            large.into_bytes()
        };
        let deep = (0..178).fold(rawdoc! { "a": "the deepest" }, |inner, _| rawdoc! { "a": inner });
        let all = [event(1), with(2, rawdoc! { "x": "x".repeat((16 << 20) - 100) }), event(3), with(4, deep)];
        all.iter().for_each(|event| writer.append("shop.orders", event, false).unwrap());
        writer.commit(&position(1)).unwrap();
        let items = read(begun);
        assert!(events(&items) == all, "the bytes differ");
        if let (Store::Cdc(_), Some(Item::Checkpoint { place, .. })) = (&begun.store, items.last()) {
            let files = || std::fs::read_dir(begun.folder.path()).unwrap().count();
            assert_eq!(files(), 1);
            begun.store.prune(*place).unwrap();
            assert_eq!(files(), 0);
        }
    })
    .await;
}

#[tokio::test]
async fn a_writer_that_was_overtaken_commits_nothing_more() {
    let begun = begin_cdc(&Side::new(shared(Release::V6_0_5).await, "stores_overtaken")).await;
    let work = move || {
        let (mut old, _) = resume(&begun);
        fill(&mut old, 0..15);
        let (mut new, last) = resume(&begun);
        assert_eq!(last, position(9));
        // What a command of the old one that was under way leaves only now.
        old.flush().unwrap();
        assert_eq!(refused(old.commit(&position(14))), ErrorKind::AlreadyExists);
        fill(&mut new, 10..30);
        assert_eq!(numbers(&read(&begun)), (0..30).collect::<Vec<_>>());
    };
    tokio::task::spawn_blocking(work).await.unwrap();
}

#[tokio::test]
async fn what_is_missing_or_another_captures_is_an_error_and_never_a_new_beginning() {
    let side = Side::new(shared(Release::V6_0_5).await, "stores_damage");
    let begun = std::sync::Arc::new(begin_cdc(&side).await);
    let blocking = |work: fn(&Begun) -> Option<ErrorKind>| {
        let begun = begun.clone();
        async move { tokio::task::spawn_blocking(move || work(&begun)).await.unwrap() }
    };
    blocking(|begun| {
        fill(&mut resume(begun).0, 0..100);
        None
    })
    .await;
    let events = side.open().await.collection::<Document>(EVENTS);
    events.delete_one(doc! { "n": 57i64 }).await.unwrap();
    let missing = blocking(|begun| {
        let mut reader = begun.store.read(None).unwrap();
        std::iter::from_fn(|| reader.next().map_or_else(|error| Some(Some(error.kind())), |item| item.map(|_| None)))
            .find_map(|kind| kind)
    });
    assert_eq!(missing.await, Some(ErrorKind::Damaged));
    let other = Cdc::new(&side.server().await, side.database, "another", 1, begun.folder.path());
    assert_eq!(refused(other.check_free().await), ErrorKind::AlreadyExists);
    side.open().await.collection::<Document>(POSITIONS).drop().await.unwrap();
    assert_eq!(
        blocking(|begun| begun.store.clone().resume(OPTIONS).err().map(|error| error.kind())).await,
        Some(ErrorKind::Damaged)
    );
}

#[tokio::test]
async fn a_dump_does_not_take_events_for_data_and_says_so() {
    let side = Side::new(shared(Release::V6_0_5).await, "stores_dump");
    let _begun = begin_cdc(&side).await;
    side.insert("orders", &[rawdoc! { "_id": 1 }.into_bytes()]).await;
    let archive = crate::copy::Archive::new();
    let report = archive.dump(&side).await.unwrap();
    let mut left_out: Vec<_> = report.left_out.iter().map(|left_out| left_out.namespace.collection()).collect();
    left_out.sort_unstable();
    assert_eq!(left_out, [EVENTS, POSITIONS, "system.users"]);
    assert_eq!(archive.documents("stores_dump.orders").await.len(), 1);
}
