//! The work directory: what a kill leaves of it, and what is missing from it.

use std::fs;

use bson::{Document, doc};
use transload::{
    changes::{
        Event,
        capture::{CaptureOptions, Manifest, Since, State},
        token,
    },
    error::ErrorKind,
    sandbox::Release,
};

use super::{Capture, assert_recorded, now};
use crate::{copy::Side, servers::shared};

#[tokio::test]
async fn logs_without_their_manifest_are_an_error_and_never_begun_anew() {
    let side = Side::new(shared(Release::V6_0_5).await, "capture_manifest");
    let capture = Capture::new();
    let begin = capture.begin(&side).await;
    side.run(doc! { "insert": "orders", "documents": [{ "_id": 1 }] }).await;
    let (path, aside) = (capture.directory().join("capture.json"), capture.directory().join("aside"));
    fs::rename(&path, &aside).unwrap();
    let error = capture.run(&side, capture.options(&side)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
    assert!(error.to_string().contains("capture.json is missing"), "{error:?}");
    fs::write(&path, "{").unwrap();
    assert_eq!(capture.run(&side, capture.options(&side)).await.unwrap_err().kind(), ErrorKind::Damaged);
    fs::rename(&aside, &path).unwrap();
    capture.catch_up(&side).await;
    assert_recorded(&capture, &side, begin).await;
}

#[tokio::test]
async fn a_log_that_is_missing_is_an_error() {
    let side = Side::new(shared(Release::V6_0_5).await, "capture_no_log");
    let capture = Capture::new();
    capture.begin(&side).await;
    fs::remove_dir_all(capture.directory().join("log")).unwrap();
    assert!(capture.run(&side, capture.options(&side)).await.is_err());
    assert!(!capture.directory().join("log/1").exists());
}

#[tokio::test]
async fn a_capture_that_was_killed_while_it_began_begins_anew() {
    let side = Side::new(shared(Release::V6_0_5).await, "capture_beginning");
    let capture = Capture::new();
    capture.begin(&side).await;
    let mut manifest = Manifest::read(&capture.directory()).unwrap().unwrap();
    assert_eq!(manifest.state, State::Begun);
    manifest.state = State::Beginning;
    fs::write(capture.directory().join("capture.json"), serde_json::to_vec(&manifest).unwrap()).unwrap();
    fs::remove_dir_all(capture.directory().join("log/1")).unwrap();
    fs::create_dir(capture.directory().join("log/1")).unwrap();
    let begin = capture.begin(&side).await;
    side.run(doc! { "insert": "orders", "documents": [{ "_id": 1 }] }).await;
    capture.catch_up(&side).await;
    assert_recorded(&capture, &side, begin).await;
}

#[tokio::test]
async fn a_capture_begins_behind_a_token_or_at_a_time() {
    for release in [Release::V4_2_6, Release::V6_0_5] {
        let side = Side::new(shared(release).await, "capture_since");
        side.run(doc! { "dropDatabase": 1 }).await;
        let orders = side.open().await.collection::<Document>("orders");
        let begin = now(&side).await;
        for id in 0..10 {
            orders.insert_one(doc! { "_id": id }).await.unwrap();
        }
        let first = Capture::new();
        let until = Some(now(&side).await);
        let at = CaptureOptions { since: Some(Since::Time(begin + 1)), until, ..first.options(&side) };
        first.run(&side, at).await.unwrap();
        let all = first.recorded(1).lanes.remove("capture_since.orders").unwrap();
        let inserts: Vec<_> = all.iter().filter(|event| Event::parse(event).unwrap().name == "insert").collect();
        assert_eq!(inserts.len(), 10);
        let third = Event::parse(inserts[2]).unwrap();
        let digits = transload::document::find(third.token, b"_data").unwrap();
        let since: Since = std::str::from_utf8(digits.string().unwrap()).unwrap().parse().unwrap();
        let second = Capture::new();
        let behind = CaptureOptions { since: Some(since), until, ..second.options(&side) };
        second.run(&side, behind).await.unwrap();
        assert_eq!(second.recorded(1).lanes["capture_since.orders"].len(), 7, "{release}");
        let third_capture = Capture::new();
        let since = token::written(third.time).parse().unwrap();
        let at = CaptureOptions { since: Some(since), until, ..third_capture.options(&side) };
        third_capture.run(&side, at).await.unwrap();
        assert_eq!(third_capture.recorded(1).lanes["capture_since.orders"].len(), 8, "{release}");
    }
}
