//! Sources far away, and how many cursors they are read with.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;
use transload::{
    connect::{Uri, connect},
    dump::{Cursors, dump},
    progress::Silent,
    sandbox::{Distance, Release},
};

use crate::{
    copy::{Archive, Side, assert_equal, assert_whole},
    odd_documents::numbered,
    servers::shared,
};

const ROUND_TRIP: Duration = Duration::from_millis(100);

#[tokio::test]
async fn a_source_far_away_is_read_with_more_cursors_and_whole() {
    let set = shared(Release::V6_0_5).await;
    let (source, target) = (Side::new(set, "far_away"), Side::new(set, "far_away_copy"));
    let text = "x".repeat(1000);
    let document = |n: i32| {
        numbered(n, |document| {
            document.string("text", &text);
        })
    };
    source.insert("items", &(0..20_000).map(document).collect::<Vec<_>>()).await;
    let distance = Distance::to(set, ROUND_TRIP).await.unwrap();
    let uri = format!("{}&appName=distance", distance.uri().replacen("/?", "/far_away?", 1));
    let server = connect(&Uri::read(&uri).unwrap().0, Cursors::Adapting.most()).await.unwrap();
    let archive = Archive::new();
    let mut options = archive.options();
    (options.cursors, options.parts) = (Cursors::Adapting, Some(300));
    let report = dump(&server, options, Arc::new(Silent), CancellationToken::new()).await.unwrap();
    assert!(report.cursors >= 6, "{} cursors, {} s", report.cursors, report.seconds);
    assert_eq!(report.documents, 20_000);
    assert_whole(&archive.restore(&target).await.unwrap());
    assert_equal(&source, &target).await;
}
