//! A capture beside a stream that is drained into nothing.

use std::time::Duration;

use bson::{Document, RawDocument, Timestamp, doc, rawdoc};
use futures_util::{StreamExt, stream};
use mongodb::Client;

use crate::{
    Bench, document, in_database,
    race::{contender, race},
};

const DATABASE: &str = "drained";

/// Reads all events between two times, and keeps none.
pub(crate) async fn drain(uri: &str, since: Timestamp, until: Timestamp) {
    let database = Client::with_uri_str(uri).await.expect("connected").database(DATABASE);
    let stream = rawdoc! { "$changeStream": { "startAtOperationTime": since, "showExpandedEvents": true } };
    let open = rawdoc! { "aggregate": 1, "pipeline": [stream], "cursor": {} };
    let mut replies =
        database.run_raw_cursor_command(open).max_time(Duration::from_secs(1)).batch().await.expect("a stream");
    while let Some(reply) = replies.next().await {
        if reached(reply.expect("events").as_raw_document()) >= until {
            return;
        }
    }
    panic!("the stream has ended");
}

/// The time of the token behind a reply: the eight bytes behind its type.
fn reached(reply: &RawDocument) -> Timestamp {
    let cursor = reply.get_document("cursor").expect("a cursor");
    let token = cursor.get_document("postBatchResumeToken").expect("a token");
    let token = token.get_str("_data").expect("its data");
    let number = |range| u32::from_str_radix(&token[range], 16).expect("hexadecimal digits");
    Timestamp { time: number(2..10), increment: number(10..18) }
}

pub(crate) async fn race_captures(bench: &Bench, events: usize) {
    let client = bench.source.client().await.expect("connected");
    let items = client.database(DATABASE).collection::<Document>("items");
    let since = bench.time().await;
    let insert = async |start: usize| {
        let documents = (start..events.min(start + 1_000)).map(|id| document(id as i64, 0));
        items.insert_many(documents).await.expect("inserted");
    };
    stream::iter((0..events).step_by(1_000)).for_each_concurrent(2, insert).await;
    let until = bench.time().await;
    // A stream passes its last event with the next write.
    client.database("ticks").collection("ticks").insert_one(doc! { "at": "end" }).await.expect("inserted");

    let (uri, from, to) = (bench.source.uri(), since.clone(), until.clone());
    let drain = move || Bench::this(&["drain", &uri, &from, &to]);
    let directory = bench.folder.join("captured");
    let (uri, path) = (in_database(&bench.source.uri(), DATABASE), directory.clone());
    let (begin, end, from) = (since.clone(), until.clone(), uri.clone());
    let capture = move || {
        let path = path.to_str().expect("a path");
        Bench::transload(&["capture", &from, path, "--since", &begin, "--until", &end])
    };
    let events_in = "drained_events";
    let (target, source) = (in_database(&bench.target.uri(), events_in), uri);
    let (in_target, path) = (bench.folder.join("in_target"), bench.folder.join("in_target"));
    let capture_to_target = move || {
        let path = path.to_str().expect("a path");
        let to = ["--events-to", "target", "--target", &target];
        Bench::transload(&[&["capture", &source, path, "--since", &since, "--until", &until][..], &to].concat())
    };
    let mut contenders = [
        contender("transload capture", Some(directory), capture),
        contender("drained into nothing", None, drain),
        contender("capture --events-to target", Some(in_target), capture_to_target),
    ];
    let copy = bench.target.client().await.expect("connected").database(events_in);
    let clean = || async { copy.drop().await.expect("dropped") };
    let title = format!("{events} inserts of {} bytes, from the stream", document(1, 0).to_vec().expect("BSON").len());
    race(bench.runs, &title, &mut contenders, clean).await;
}
