//! What a capture refuses, and what it says of it.

use std::{process::Stdio, sync::Arc, time::Duration};

use bson::doc;
use tokio_util::sync::CancellationToken;
use transload::{
    changes::capture::{CaptureOptions, Since, capture},
    connect::{Uri, connect},
    error::{Error, ErrorKind},
    progress::Silent,
    sandbox::Release,
};

use super::{Capture, now};
use crate::{
    copy::Side,
    servers::{binary, shared},
};

fn assert_error(error: &Error, kind: ErrorKind, message: &str) {
    assert_eq!(error.kind(), kind, "{error:?}");
    assert!(error.to_string().contains(message), "{error:?}");
    assert!(error.hint().is_some(), "{error:?}");
}

#[tokio::test]
async fn a_second_capture_into_one_directory_is_refused() {
    let side = Side::new(shared(Release::V6_0_5).await, "capture_second");
    let capture = Capture::new();
    capture.begin(&side).await;
    let first = CaptureOptions { duration: Some(Duration::from_secs(3)), ..capture.options(&side) };
    let second = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        capture.run(&side, capture.options(&side)).await.unwrap_err()
    };
    let (first, second) = tokio::join!(capture.run(&side, first), second);
    first.unwrap();
    assert_error(&second, ErrorKind::AlreadyExists, "another capture uses it");
    capture.catch_up(&side).await;
}

#[tokio::test]
async fn another_source_is_refused() {
    let side = Side::new(shared(Release::V6_0_5).await, "capture_source");
    let other = Side::new(shared(Release::V5_0_4).await, "capture_source");
    let capture = Capture::new();
    capture.begin(&side).await;
    let error = capture.run(&other, capture.options(&other)).await.unwrap_err();
    assert_error(&error, ErrorKind::Usage, "holds changes of");
    capture.catch_up(&side).await;
}

#[tokio::test]
async fn another_selection_than_the_one_that_was_begun_with_is_refused() {
    let side = Side::new(shared(Release::V6_0_5).await, "capture_selection");
    let capture = Capture::new();
    let mut options = capture.options(&side);
    options.selection.include = vec!["orders".to_owned()];
    let begun = CaptureOptions { duration: Some(Duration::ZERO), ..options.clone() };
    capture.run(&side, begun).await.unwrap();
    options.selection.include.push("events".to_owned());
    let error = capture.run(&side, options).await.unwrap_err();
    assert_error(&error, ErrorKind::Usage, "another selection");
    let since = CaptureOptions { since: Some(Since::Time(1 << 32)), ..capture.options(&side) };
    assert_error(&capture.run(&side, since).await.unwrap_err(), ErrorKind::Usage, "another beginning");
    let whole = CaptureOptions { full_documents: true, ..capture.options(&side) };
    assert_error(&capture.run(&side, whole).await.unwrap_err(), ErrorKind::Usage, "another form of events");
    // With none given, it is the one of the beginning.
    side.run(doc! { "insert": "events", "documents": [{ "_id": 1 }] }).await;
    capture.catch_up(&side).await;
    assert!(capture.recorded(1).lanes.is_empty());
}

#[tokio::test]
async fn a_beginning_in_the_future_is_refused() {
    let side = Side::new(shared(Release::V6_0_5).await, "capture_future");
    let capture = Capture::new();
    let since = Some(Since::Time(now(&side).await + (1 << 40)));
    let error = capture.run(&side, CaptureOptions { since, ..capture.options(&side) }).await.unwrap_err();
    assert_eq!((error.kind(), error.message().contains("is in the future")), (ErrorKind::Usage, true), "{error:?}");
}

#[tokio::test]
async fn a_server_without_a_replica_set_is_refused_with_the_remedy() {
    let server = binary(Release::V6_0_5).await;
    let folder = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut process = std::process::Command::new(server.path())
        .args(["--dbpath", folder.path().to_str().unwrap(), "--port", &port.to_string(), "--bind_ip", "127.0.0.1"])
        .args(["--nounixsocket", "--wiredTigerCacheSizeGB", "0.25"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let uri = format!("mongodb://127.0.0.1:{port}/shop?directConnection=true");
    let connected = connect(&Uri::read(&uri).unwrap().0, 2).await;
    let capture_into = Capture::new();
    let options = CaptureOptions {
        directory: capture_into.directory(),
        ..capture_into.options(&Side::new(shared(Release::V6_0_5).await, "shop"))
    };
    let refused = match connected {
        Ok(server) => capture(&server, options, Arc::new(Silent), CancellationToken::new()).await.unwrap_err(),
        Err(error) => error,
    };
    process.kill().unwrap();
    process.wait().unwrap();
    assert_error(&refused, ErrorKind::Server, "not a member of a replica set");
    assert!(refused.hint().unwrap().contains("rs.initiate()"));
    assert!(!capture_into.directory().exists(), "something was written");
}
