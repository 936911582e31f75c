//! One change stream on real servers: what comes, in which order, and that nothing that breaks loses or doubles an event.

use std::time::{Duration, Instant};

use bson::{Document, RawDocumentBuf, doc};
use transload::{
    changes::{
        ChangeStream, Event, Operation, StreamOptions, Watch,
        stream::{Reply, Start},
        token,
    },
    connect::{Server, Version},
    error::{Error, ErrorKind},
    namespace::Namespace,
    sandbox::{Release, ReplicaSet},
};

use crate::{
    copy::Side,
    held_reads::{HeldReads, Hold},
    servers::{own, shared, three_members},
};

/// No stream takes this long to come up with the writes of a test.
const LIMIT: Duration = Duration::from_secs(60);

/// The events of a plain stream of the test's own, from `time` on, as many as `count`.
pub(crate) async fn plain(side: &Side<'_>, watch: &Watch, time: u64, count: usize) -> Vec<Vec<u8>> {
    let time = bson::Timestamp { time: (time >> 32) as u32, increment: time as u32 };
    let mut stage = doc! { "startAtOperationTime": time };
    if side.server().await.version() >= Version::new(6, 0, 0) {
        stage.insert("showExpandedEvents", true);
    }
    if *watch == Watch::Deployment {
        stage.insert("allChangesForCluster", true);
    }
    let of = match watch {
        Watch::Collection(namespace) => bson::Bson::from(namespace.collection()),
        _ => bson::Bson::from(1),
    };
    let database = side.set.client().await.unwrap().database(watch.database());
    let mut events = Vec::new();
    while events.len() < count {
        let command = doc! { "aggregate": of.clone(), "pipeline": [{ "$changeStream": stage.clone() }], "cursor": {} };
        let mut cursor = database.run_cursor_command(command).await.unwrap();
        while events.len() < count {
            // A stream that was invalidated ends.
            if !cursor.advance().await.unwrap() {
                break;
            }
            events.push(cursor.current().as_bytes().to_vec());
        }
        let token = document_of(events.last().unwrap()).get_document("_id").unwrap().clone();
        stage.remove("startAtOperationTime");
        stage.insert("startAfter", token);
    }
    events
}

pub(crate) fn document_of(event: &[u8]) -> Document {
    bson::deserialize_from_slice(event).unwrap()
}

/// Operation, collection and `_id` of events, for messages.
pub(crate) fn shown(events: &[Vec<u8>]) -> Vec<String> {
    let show = |event: &Vec<u8>| {
        let event = document_of(event);
        let collection = event.get_document("ns").ok().and_then(|ns| ns.get_str("coll").ok()).unwrap_or("-").to_owned();
        let id = event.get_document("documentKey").ok().and_then(|key| key.get("_id").cloned());
        let id = id.map_or_else(String::new, |id| format!(" {id}"));
        format!("{} {collection}{id}", event.get_str("operationType").unwrap())
    };
    events.iter().map(show).collect()
}

/// Options as `capture` uses them on this server.
pub(crate) fn options(server: &Server) -> StreamOptions {
    StreamOptions { expanded_events: server.version() >= Version::new(6, 0, 0), full_documents: false }
}

/// Reads until the stream has passed `time`.
async fn read_past(stream: &mut ChangeStream, time: u64) -> Vec<Vec<u8>> {
    let mut events = Vec::new();
    let begun = Instant::now();
    loop {
        let reply: Reply = stream.next().await.unwrap();
        events.extend(reply.events().unwrap().into_iter().map(<[u8]>::to_vec));
        assert!(begun.elapsed() < LIMIT, "the stream does not come on");
        if reply.time > time {
            return events;
        }
    }
}

/// A write elsewhere, so that streams pass what was written before.
pub(crate) async fn tick(set: &ReplicaSet) {
    let beside = set.client().await.unwrap().database("beside");
    beside.collection::<Document>("tick").insert_one(doc! {}).await.unwrap();
}

/// Each kind of operation, with `$` and dotted names where the server takes them.
pub(crate) async fn write_all_kinds(side: &Side<'_>) {
    let client = side.set.client().await.unwrap();
    let database = client.database(side.database);
    let orders = database.collection::<Document>("orders");
    for id in 0..5 {
        orders.insert_one(doc! { "_id": id, "lines": [1, 2, 3], "at": { "x": id } }).await.unwrap();
    }
    orders.update_one(doc! { "_id": 0 }, doc! { "$set": { "at.x": 9 }, "$unset": { "lines": 1 } }).await.unwrap();
    orders.update_one(doc! { "_id": 1 }, vec![doc! { "$set": { "lines": [1] } }]).await.unwrap();
    orders.replace_one(doc! { "_id": 2 }, doc! { "new": true }).await.unwrap();
    orders.update_one(doc! { "_id": "up" }, doc! { "$set": { "a": 1 } }).upsert(true).await.unwrap();
    orders.delete_one(doc! { "_id": 3 }).await.unwrap();
    side.run(doc! { "create": "made" }).await;
    side.run(doc! { "createIndexes": "orders", "indexes": [{ "key": { "at.x": 1 }, "name": "x" }] }).await;
    side.run(doc! { "dropIndexes": "orders", "index": "x" }).await;
    side.run(doc! { "collMod": "orders", "validationLevel": "moderate" }).await;
    transaction(side, &["orders", "made"], 3).await;
    let (from, to) = (format!("{}.made", side.database), format!("{}.renamed", side.database));
    client.database("admin").run_command(doc! { "renameCollection": from, "to": to }).await.unwrap();
    side.run(doc! { "drop": "renamed" }).await;
    database.collection::<Document>("last").insert_one(doc! { "_id": 1 }).await.unwrap();
    database.drop().await.unwrap();
    database.collection::<Document>("after").insert_one(doc! { "_id": 1 }).await.unwrap();
}

/// A transaction that inserts `count` documents into each of several collections.
pub(crate) async fn transaction(side: &Side<'_>, collections: &[&str], count: usize) {
    let client = side.set.client().await.unwrap();
    let mut session = client.start_session().await.unwrap();
    // What has just happened to one of the collections makes a server refuse it for a moment.
    while let Err(error) = in_transaction(&client, side.database, collections, count, &mut session).await {
        assert!(error.contains_label(mongodb::error::TRANSIENT_TRANSACTION_ERROR), "{error}");
        session.abort_transaction().await.unwrap();
    }
    session.commit_transaction().await.unwrap();
}

async fn in_transaction(
    client: &mongodb::Client,
    database: &str,
    collections: &[&str],
    count: usize,
    session: &mut mongodb::ClientSession,
) -> mongodb::error::Result<()> {
    session.start_transaction().await?;
    for _ in 0..count {
        for collection in collections {
            let collection = client.database(database).collection::<Document>(collection);
            collection.insert_one(doc! { "in": "transaction" }).session(&mut *session).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn every_kind_of_event_comes_as_a_plain_stream_gives_it() {
    for release in [Release::V4_2_6, Release::V5_0_4, Release::V6_0_5] {
        let side = Side::new(shared(release).await, "stream_kinds");
        side.run(doc! { "dropDatabase": 1 }).await;
        let server = side.server().await;
        let begin = server.operation_time().await.unwrap();
        for collection in ["orders", "made"] {
            side.run(doc! { "create": collection }).await;
        }
        side.run(doc! { "drop": "made" }).await;
        write_all_kinds(&side).await;
        let end = server.operation_time().await.unwrap();
        tick(side.set).await;
        for watch in [
            Watch::Database(side.database.to_owned()),
            Watch::Collection(Namespace::new(side.database, "orders").unwrap()),
            Watch::Deployment,
        ] {
            let mut stream = ChangeStream::new(&server, watch.clone(), Start::At(begin), options(&server));
            let first = stream.next().await.unwrap();
            assert_eq!((first.events().unwrap().len(), first.time), (0, begin), "{release} {watch}");
            let events = read_past(&mut stream, end).await;
            let expected = plain(&side, &watch, begin, events.len()).await;
            assert_eq!(shown(&events), shown(&expected), "{release} {watch}");
            assert!(events == expected, "{release} {watch}: the bytes differ");
            for event in &events {
                let event = Event::parse(event).unwrap();
                assert_eq!(token::time(event.token), Some(event.time), "{release} {}", event.name);
            }
        }
    }
}

/// The documents inserted into `collection`, one event each, while `during` happens to the stream.
async fn assert_all_come(side: &Side<'_>, stream: &mut ChangeStream, count: i32) {
    let end = side.server().await.operation_time().await.unwrap();
    tick(side.set).await;
    let events = read_past(stream, end).await;
    let ids: Vec<i32> = events
        .iter()
        .filter_map(|event| document_of(event).get_document("documentKey").ok()?.get_i32("_id").ok())
        .collect();
    assert!(ids.iter().copied().eq(0..count), "{} events came of {count}", ids.len());
}

/// About 20 MB of events, which take several replies.
async fn insert_many(side: &Side<'_>, count: i32) {
    let text = "x".repeat(10_000);
    let documents: Vec<_> = (0..count)
        .map(|id| {
            crate::odd_documents::numbered(id, |document| {
                document.string("text", &text);
            })
        })
        .collect();
    side.insert("many", &documents).await;
}

#[tokio::test]
async fn a_stream_that_breaks_again_and_again_loses_and_doubles_nothing() {
    let set = own(Release::V6_0_5).await;
    let side = Side::new(&set, "stream_breaks");
    let server = side.server().await;
    let begin = server.operation_time().await.unwrap();
    insert_many(&side, 4000).await;
    for data in [
        doc! { "closeConnection": true },
        doc! { "errorCode": 43 },
        doc! { "errorCode": 237 },
        doc! { "errorCode": 50 },
        doc! { "errorCode": 189 },
        doc! { "errorCode": 10107 },
        doc! { "errorCode": 10058, "errorLabels": ["ResumableChangeStreamError"] },
    ] {
        for commands in [&["getMore"][..], &["getMore", "aggregate"]] {
            side.fail(commands, doc! { "times": 3 }, data.clone()).await;
            let before = server.retries();
            let mut stream = ChangeStream::new(
                &server,
                Watch::Database(side.database.to_owned()),
                Start::At(begin),
                options(&server),
            );
            assert_all_come(&side, &mut stream, 4000).await;
            assert!(server.retries() >= before + 3, "{data}");
        }
    }
    // Even when no getMore ever succeeds.
    side.fail(&["getMore"], doc! { "times": 100_000 }, doc! { "errorCode": 43 }).await;
    let watch = Watch::Database(side.database.to_owned());
    let mut stream = ChangeStream::new(&server, watch, Start::At(begin), options(&server));
    assert_all_come(&side, &mut stream, 4000).await;
    side.fail_no_more().await;
}

#[tokio::test]
async fn a_stream_goes_on_after_a_step_down_and_with_its_cursor_killed() {
    let set = three_members().await;
    let side = Side::new(&set, "stream_steps_down");
    let server = side.server().await;
    let begin = server.operation_time().await.unwrap();
    insert_many(&side, 4000).await;
    let reads = HeldReads::new(&set, side.database, 1000, Hold::For(Duration::from_millis(300))).await;
    let watch = Watch::Database(side.database.to_owned());
    let mut stream = ChangeStream::new(&server, watch, Start::At(begin), options(&server));
    let disturb = async {
        reads.begun(1).await;
        reads.kill_cursors(side.database, "$cmd.aggregate").await;
        reads.begun(2).await;
        set.step_down().await.unwrap();
        reads.release().await;
    };
    let first = async {
        let mut ids = Vec::new();
        while ids.len() < 4000 {
            let reply = stream.next().await.unwrap();
            for event in reply.events().unwrap() {
                if let Ok(key) = document_of(event).get_document("documentKey") {
                    ids.push(key.get_i32("_id").unwrap());
                }
            }
        }
        ids
    };
    let (ids, ()) = tokio::join!(first, disturb);
    assert!(ids.into_iter().eq(0..4000));
    assert!(server.retries() > 0);
}

#[tokio::test]
async fn a_stream_that_cannot_go_on_says_what_can_be_done() {
    let set = own(Release::V6_0_5).await;
    let side = Side::new(&set, "stream_ends");
    let server = side.server().await;
    let begin = server.operation_time().await.unwrap();
    for (code, kind, message, hint) in [
        (286, ErrorKind::Server, "does not reach back", "only a new copy helps"),
        (280, ErrorKind::Server, "given the stream up", "only a new copy helps"),
        (136, ErrorKind::Server, "rolled over", "only a new copy helps"),
        (260, ErrorKind::Server, "does not know the position", "copy anew"),
        (13, ErrorKind::Authorization, "not authorized to watch the database stream_ends", "mongodb://USER@HOST/"),
        (40573, ErrorKind::Server, "not a member of a replica set", "--replSet"),
        (148, ErrorKind::Server, "majority reads", "enableMajorityReadConcern"),
    ] {
        side.fail(&["aggregate", "getMore"], doc! { "times": 100 }, doc! { "errorCode": code }).await;
        let watch = Watch::Database(side.database.to_owned());
        let mut stream = ChangeStream::new(&server, watch, Start::At(begin), options(&server));
        let error: Error = loop {
            match stream.next().await {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        side.fail_no_more().await;
        assert_eq!(error.kind(), kind, "{error:?}");
        assert!(error.to_string().contains(message) && error.hint().unwrap().contains(hint), "{error:?}");
    }
}

/// A stream of whole documents whose update and document together are over 16 MB.
#[tokio::test]
async fn an_event_that_is_too_large_is_joined_or_reduced_and_never_a_dead_end() {
    for release in [Release::V4_2_6, Release::V6_0_5, Release::V6_0_27] {
        let side = Side::new(shared(release).await, "stream_large");
        side.run(doc! { "dropDatabase": 1 }).await;
        tick(side.set).await;
        let server = side.server().await;
        let begin = server.operation_time().await.unwrap();
        let database = side.open().await;
        let large = database.collection::<Document>("large");
        let insert = async |from: i32| {
            large.insert_many((from..from + 50).map(|id| doc! { "_id": id })).await.unwrap();
        };
        insert(0).await;
        large.insert_one(doc! { "_id": "large", "a": "x".repeat(6 << 20), "b": "y" }).await.unwrap();
        large.update_one(doc! { "_id": "large" }, doc! { "$set": { "b": "z".repeat(9 << 20) } }).await.unwrap();
        insert(50).await;
        let end = server.operation_time().await.unwrap();
        tick(side.set).await;
        let whole = StreamOptions { full_documents: true, ..options(&server) };
        let watch = Watch::Database(side.database.to_owned());
        let mut stream = ChangeStream::new(&server, watch.clone(), Start::At(begin), whole);
        let events = read_past(&mut stream, end).await;
        let names = shown(&events);
        let documents: Vec<_> = names.iter().filter(|name| !name.starts_with("create")).collect();
        assert_eq!(documents.len(), 102, "{release}: {names:?}");
        let update = events.iter().find(|event| Event::parse(event).unwrap().name == "update").unwrap();
        let parsed = Event::parse(update).unwrap();
        assert!(parsed.refetch && parsed.document.is_some() && parsed.update.is_none(), "{release}");
        assert_eq!(document_of(update).get_document("documentKey").unwrap(), &doc! { "_id": "large" });
        // Behind it another stream goes on.
        let start = Start::After(parsed.token.to_vec());
        let mut stream = ChangeStream::new(&server, watch, start, whole);
        assert_eq!(read_past(&mut stream, end).await.len(), 50, "{release}");
    }
}

/// On 6.0.27 a reply that ends with the end of its stream has a token that stands before it.
#[tokio::test]
async fn a_stream_that_ends_again_and_again_goes_on_behind_each_end() {
    for release in [Release::V4_2_6, Release::V6_0_5, Release::V6_0_27] {
        let side = Side::new(shared(release).await, "stream_again");
        let server = side.server().await;
        let begin = server.operation_time().await.unwrap();
        for id in 0..3 {
            side.open().await.collection::<Document>("orders").insert_one(doc! { "_id": id }).await.unwrap();
            side.run(doc! { "dropDatabase": 1 }).await;
        }
        let end = server.operation_time().await.unwrap();
        tick(side.set).await;
        let watch = Watch::Database(side.database.to_owned());
        let mut stream = ChangeStream::new(&server, watch.clone(), Start::At(begin), options(&server));
        let events = read_past(&mut stream, end).await;
        let ends =
            events.iter().filter(|event| Event::parse(event).unwrap().operation == Operation::Invalidate).count();
        assert_eq!(ends, 3, "{release}: {:?}", shown(&events));
        assert_eq!(events, plain(&side, &watch, begin, events.len()).await);
    }
}

#[tokio::test]
async fn an_idle_stream_moves_on_with_the_deployment() {
    for release in [Release::V4_2_6, Release::V6_0_5] {
        let side = Side::new(shared(release).await, "stream_idle");
        let server = side.server().await;
        let begin = server.operation_time().await.unwrap();
        let watch = Watch::Database(side.database.to_owned());
        let mut stream = ChangeStream::new(&server, watch.clone(), Start::At(begin), options(&server));
        stream.next().await.unwrap();
        tick(side.set).await;
        tick(side.set).await;
        let reached = server.operation_time().await.unwrap();
        let begun = Instant::now();
        let reply = loop {
            let reply = stream.next().await.unwrap();
            if reply.time >= reached {
                break reply;
            }
            assert!(begun.elapsed() < LIMIT);
        };
        // A token of no event is as good as one.
        let orders = side.open().await.collection::<RawDocumentBuf>("orders");
        orders.insert_one(bson::rawdoc! { "_id": 1 }).await.unwrap();
        let mut again = ChangeStream::new(&server, watch, Start::After(reply.token), options(&server));
        let event = loop {
            let reply = again.next().await.unwrap();
            if let Some(event) =
                reply.events().unwrap().into_iter().find(|event| Event::parse(event).unwrap().name == "insert")
            {
                break event.to_vec();
            }
        };
        assert!(document_of(&event).get_document("documentKey").unwrap().get_i32("_id").unwrap() == 1);
        side.run(doc! { "dropDatabase": 1 }).await;
    }
}
